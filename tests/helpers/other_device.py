"""A second device for tests on a machine without one: it computes on the CPU and lets no tensor of the CPU near.

A tensor `Elsewhere` says that its device is "meta:1". It holds a tensor of the CPU with its numbers, and every
operation on it is done with that. So whatever asks for a number gets one, and an answer is, bit for bit, that of the
CPU. What a GPU would refuse is refused:

* a tensor of the CPU and one from elsewhere in one operation; only a number (no axis) may take part in arithmetic
* random numbers that are drawn there: one seed means the same on every device
* `.numpy()` of a tensor that lies there
* least squares by another driver than "gels"

A GPU also takes indices that lie on the CPU. Here they are refused: they would be copied at every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from piwsl_lab.training import trainer

# Autograd knows it everywhere and needs no driver for it. It has a number, as "meta" alone is used by checkpoints.
ELSEWHERE = torch.device("meta:1")
FUSED = "_get_fused_kernels_supported_devices"  # torch's list of devices on which AdamW is one call
MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class MixedDevices(RuntimeError):
    """What a GPU would have refused."""


class Elsewhere(Tensor):
    """A tensor of the other device; `held` has its numbers."""

    held: Tensor
    is_meta = False  # else torch would warn that weights are copied to where nothing is kept
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> Elsewhere:
        return Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=ELSEWHERE,
        )  # fmt: skip

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __repr__(self) -> str:
        return f"Elsewhere({self.held})"

    @property
    def data(self) -> Tensor:
        """As of any tensor; where another is set, its numbers come with it: `Module.double` does that."""
        return Tensor.data.__get__(self)

    @data.setter
    def data(self, other: Elsewhere) -> None:
        Tensor.data.__set__(self, other)
        self.held = other.held

    def tolist(self) -> Any:
        """As a GPU gives them; torch has no list of a tensor of one's own."""
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operation gives, elsewhere if its tensors are there or it is told so."""
    tensors = [*tensors_in(args), *tensors_in(kwargs.values())]
    from_there = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, Elsewhere)}
    device = kwargs.get("device")
    there = bool(from_there) if device is None else torch.device(device) == ELSEWHERE
    if not from_there and not there:
        return func(*args, **kwargs)
    refuse(func, tensors if from_there else [], kwargs)
    kwargs = {name: here(value) for name, value in kwargs.items()}
    result = func(*here(args), **(kwargs if device is None else {**kwargs, "device": "cpu"}))
    given = {id(tensor) for tensor in tensors}

    def back(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(map(back, value))
        if not isinstance(value, Tensor):
            return value
        if id(value) in from_there:  # in place: it is the tensor that it was
            assert value.shape == from_there[id(value)].shape, f"{func} changes a shape in place"
            return from_there[id(value)]
        return Elsewhere(value) if there and id(value) not in given else value

    return back(result)


def tensors_in(values: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors among the arguments of an operation, or in lists of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from tensors_in(value)


def here(value: Any) -> Any:
    """An argument with the tensors that tensors from elsewhere hold."""
    if isinstance(value, Elsewhere):
        return value.held
    return type(value)(map(here, value)) if isinstance(value, tuple | list) else value


@cache
def has_tag(func: Any, tag: torch.Tag) -> bool:
    """Whether torch says this of an operation."""
    return tag in func.tags


def refuse(func: Any, tensors: list[Tensor], kwargs: dict[str, Any]) -> None:
    """Raise what a GPU would have raised."""
    if kwargs.get("generator") is not None or has_tag(func, torch.Tag.nondeterministic_seeded):
        raise MixedDevices(f"{func} draws random numbers on the other device: draw them on the CPU and move them")
    if func is torch.ops.aten.linalg_lstsq.default and kwargs.get("driver") != "gels":
        raise MixedDevices(f"{func} on a GPU has the driver gels alone: move the system to the CPU")
    for tensor in tensors:
        if isinstance(tensor, Elsewhere) or func in MOVES:
            continue
        if tensor.dim() > 0 or not has_tag(func, torch.Tag.pointwise):
            raise MixedDevices(f"{func} of a tensor {list(tensor.shape)} on {where(tensor)} and of tensors elsewhere")


def where(tensor: Tensor) -> str:
    """Its device in words."""
    return "the CPU" if tensor.device.type == "cpu" else str(tensor.device)


class _Computes(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class _Makes(TorchFunctionMode):
    """`torch.tensor(…, device="meta:1")` would forget the numbers: they are made here and moved there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = torch.device(kwargs.pop("device"))
            if isinstance(args[0], Tensor):
                return args[0].to(device, kwargs.get("dtype"))
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Inside the block there is a second device, which is yielded; trainers with device "auto" take it."""
    with ExitStack() as stack:
        stack.enter_context(
            mock.patch.object(trainer, "pick_device", lambda name: ELSEWHERE if name == "auto" else name)
        )
        for module in map(import_module, ("torch.optim.adam", "torch.optim.adamw", "torch.optim.optimizer")):
            known = getattr(module, FUSED, None)
            if known is not None:
                stack.enter_context(mock.patch.object(module, FUSED, lambda k=known: [*k(), ELSEWHERE.type]))
        stack.enter_context(_Computes())
        stack.enter_context(_Makes())
        yield ELSEWHERE


def numbers(values: Any) -> Any:
    """The same nest of tensors, on the CPU and detached: what two devices are compared by."""
    return tree_map_only(Tensor, lambda tensor: tensor.detach().cpu(), values)
