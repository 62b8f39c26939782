"""What every network is to a process, and the register of those that there are."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from tinydiff.plugins import register

NETS: dict[str, type[Network]] = {}


class Network(nn.Module):
    """What processes ask: net(x, t, label, *, mask=None, cache=None, places=None) -> (B, n,
    outputs), for x (B, n) tokens or (B, n, inputs) numbers, times t (B, n) or None, labels (B,) or
    None.

    It is made with `Process.network()` (inputs, outputs, attention, timed, reals) and the shape
    (layers, heads, width, length, labels; and tied=True where the head is to be the embedding).
    What it cannot do (a mask, a cache) it refuses with a TypeError.
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
            register(NETS, "network", cls.name, cls)
