"""Where tensors live."""

from __future__ import annotations

import re

import torch


def pick_device(name: str = "auto") -> str:
    """Resolve "auto" to "cuda" where a GPU can be used, else "cpu".

    Raises
    ------
    ValueError
        The device is none of auto, cpu, cuda, cuda:0, …, or there is no such GPU.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if gpus else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ValueError(f"device {name!r} does not exist; use 'auto', 'cpu', 'cuda' or 'cuda:1'")
    if name != "cpu" and int(name.partition(":")[2] or 0) >= gpus:
        raise ValueError(f"device {name!r} was asked for, but this torch finds {gpus} CUDA GPUs; use 'auto' or 'cpu'")
    return name
