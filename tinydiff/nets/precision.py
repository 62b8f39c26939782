"""In which precision a network runs: bfloat16 where this machine multiplies it faster, else
float32.

A short trial decides. What a processor reports is not enough: many support bfloat16 and multiply it
slower.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn

Net = TypeVar("Net", bound=nn.Module)

# bfloat16 is taken where its products take no more than this share of float32's time: it rounds,
# and casts cost too
ENOUGH = 0.8
PAIRS = 12  # timings of each format, of which the quickest counts
# rows, inputs, outputs: the product outweighs the memory for its result, and is soon over
SIZES = {
    "cpu": (128, 256, 512),
    "cuda": (2048, 2048, 2048),
}


def precision(name: str, device: torch.device) -> Callable[[], AbstractContextManager]:
    """A function that makes the autocast context. name: "auto", "bf16" or "fp32"; raises ValueError
    for another."""
    use = is_bf16(name, device)
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=use)


def lowered(module: Net, name: str, device: torch.device) -> Net:
    """The module to ask under `precision(name, device)`: in bf16 a copy whose matrices are cast
    once, instead of at each call.

    Its answers are the same to the bit. All but the matrices is shared with the module, not copied.
    """
    return cast_once(module, {}) if is_bf16(name, device) else module


def cast_once(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """A module of the same parts, each once, whose matrices are in bfloat16."""
    if module not in done:
        made = done[module] = copy.copy(module)
        parts = {
            name: None if part is None else cast_once(part, done)
            for name, part in module._modules.items()
        }
        made.__dict__ |= {"_modules": parts, "_parameters": dict(module._parameters)}
        if isinstance(module, nn.Linear):
            weight = module.weight.detach().bfloat16()
            made._parameters["weight"] = nn.Parameter(weight, requires_grad=False)
    return done[module]


def is_bf16(name: str, device: torch.device) -> bool:
    """Does a precision mean bfloat16 on that device? Raises ValueError for an unknown one."""
    if name not in ("auto", "bf16", "fp32"):
        raise ValueError(f"There is no precision {name!r}; there are auto, bf16 and fp32.")
    return name == "bf16" or (name == "auto" and fast_bf16(device))


def fast_bf16(device: torch.device) -> bool:
    """Does this machine multiply bfloat16 faster than float32? Tried once for each kind of device,
    in some milliseconds, and remembered: a process has one answer, so the same seed gives the same
    frames in it.
    """
    with _trying:
        if device.type not in _tried:
            _tried[device.type] = device.type in SIZES and trial(device)
        return _tried[device.type]


_tried: dict[str, bool] = {}
_trying = threading.Lock()


@contextmanager
def auto_is_fp32() -> Iterator[None]:
    """A context in which "auto" means float32 on every machine, for runs that others must be able
    to reproduce."""
    with remembering(dict.fromkeys(("cpu", "cuda", "mps"), False)):
        yield


@contextmanager
def remembering(tried: dict[str, bool]) -> Iterator[None]:
    """A context in which this was found of the kinds of devices; of others it is tried anew."""
    before = dict(_tried)
    _tried.clear()
    _tried.update(tried)
    try:
        yield
    finally:
        _tried.clear()
        _tried.update(before)


def trial(device: torch.device) -> bool:
    """Time the same product in both formats, by turns, so that what else the machine does slows
    both."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return False
    quickest = dict.fromkeys((torch.float32, torch.bfloat16), float("inf"))
    with torch.no_grad(), torch.autocast(device.type, enabled=False), one_thread():
        for turn in range(1 + PAIRS):
            for dtype in quickest:
                took = product_seconds(dtype, device)
                # the first of all warms up
                quickest[dtype] = min(quickest[dtype], took) if turn else float("inf")
    return quickest[torch.bfloat16] <= ENOUGH * quickest[torch.float32]


def product_seconds(dtype: torch.dtype, device: torch.device) -> float:
    """Seconds of one product as autocast does it: numbers in float32 are cast, the matrix is
    already in the format."""
    rows, inputs, outputs = SIZES[device.type]
    x = torch.ones(rows, inputs, device=device)
    weight = torch.ones(outputs, inputs, device=device, dtype=dtype)
    settle(device)
    start = time.perf_counter()
    F.linear(x.to(dtype), weight)
    settle(device)
    return time.perf_counter() - start


def settle(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def one_thread() -> Iterator[None]:
    """Threads of a busy machine wait for each other much longer than a small product takes; one
    alone is timed well."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
