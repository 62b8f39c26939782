"""In which precision a network runs: bfloat16 where the hardware multiplies it faster, else float32."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def precision(name: str, device: torch.device) -> Callable[[], AbstractContextManager]:
    """A function that makes the autocast context. name: "auto", "bf16" or "fp32"; raises ValueError for another."""
    use = is_bf16(name, device)
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=use)


def lowered(module: Net, name: str, device: torch.device) -> Net:
    """The module to ask under `precision(name, device)`: in bf16 a copy whose matrices are cast once, instead of at each call.

    Its answers are the same to the bit. All but the matrices is shared with the module, not copied.
    """
    if not is_bf16(name, device):
        return module
    memo = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    for part in module.modules():
        if isinstance(part, nn.Linear):
            memo[id(part.weight)] = nn.Parameter(part.weight.detach().bfloat16(), requires_grad=False)
    return copy.deepcopy(module, memo)


def is_bf16(name: str, device: torch.device) -> bool:
    """Does a precision mean bfloat16 on that device? Raises ValueError for an unknown one."""
    if name not in ("auto", "bf16", "fp32"):
        raise ValueError(f"There is no precision {name!r}; there are auto, bf16 and fp32.")
    return name == "bf16" or (name == "auto" and fast_bf16(device))


def fast_bf16(device: torch.device) -> bool:
    """Does the hardware multiply bfloat16 faster than float32?"""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
