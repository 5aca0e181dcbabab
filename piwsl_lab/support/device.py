"""Where tensors live, and how many cores they keep busy."""

from __future__ import annotations

import os
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


def leave_cores_to_the_browser() -> None:
    """Take half of the cores at most, unless OMP_NUM_THREADS says otherwise.

    A second thread makes a step on a small molecule about a tenth faster. When the browser needs
    that core to draw, the threads wait for each other and every step takes several times as long.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // 2)))
