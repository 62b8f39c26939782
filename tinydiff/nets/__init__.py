"""Networks. Each maps a state, a time for each position and perhaps a label to (B, L, outputs).

One file here is one network. Files are discovered: a Network with a `name` in a new file of this
folder can be trained (`--network NAME`) and is found again in its checkpoints.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from tinydiff.plugins import discover

NETS: dict[str, type[Network]] = {}


class Network(nn.Module):
    """What processes ask: net(x, t, label, *, mask=None, cache=None, places=None) -> (B, n,
    outputs), for x (B, n) tokens or (B, n, inputs) numbers, times t (B, n) or None, labels (B,) or
    None.

    It is made with `Process.network()` (inputs, outputs, attention, timed, reals) and the shape
    (layers, heads, width, length, labels). What it cannot do (a mask, a cache) it refuses with a
    TypeError.
    """

    name: ClassVar[str]  # "transformer"
    labels: int = 0  # classes of text that it knows

    @classmethod
    def least_weights(cls, shape: dict[str, int]) -> int:
        """How many weights a network of this shape has at the least: a file with fewer is refused
        before any memory is taken."""
        return 0

    def __init_subclass__(cls):
        if "name" in vars(cls):
            NETS[cls.name] = cls


discover(__name__, __path__)

from tinydiff.nets.precision import fast_bf16, lowered, precision  # noqa: E402
from tinydiff.nets.transformer import Cache, Transformer  # noqa: E402

__all__ = [
    "NETS",
    "Cache",
    "Network",
    "Transformer",
    "fast_bf16",
    "lowered",
    "precision",
]
