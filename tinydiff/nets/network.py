"""The interface of a network, and the register of all networks."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from tinydiff.plugins import register

NETS: dict[str, type[Network]] = {}


class Network(nn.Module):
    """The interface that processes use: net(x, t, label, *, mask=None, cache=None, places=None) ->
    (B, n, outputs), for x (B, n) tokens or (B, n, inputs) numbers, times t (B, n) or None, labels
    (B,), (B, k) of several attributes, or None.

    It is made with the arguments of `Process.network()` (inputs, outputs, attention, timed, reals)
    and the shape (layers, heads, width, length, labels; attributes where there are several; tied
    and positions where they are wanted). An argument that it does not support (a
    mask, a cache) raises TypeError.
    """

    name: ClassVar[str]  # "transformer"
    labels: int = 0  # classes of text that it knows
    attributes: int = 1  # of which a text has as many, each of another attribute

    @classmethod
    def least_weights(cls, shape: dict[str, int]) -> int:
        """How many weights a network of this shape has at the least: a file with fewer is refused
        before any memory is taken."""
        return 0

    def work(self, new: int, window: int) -> float:
        """Multiplications of a call for `new` positions of a text that look at a window, about:
        here each weight once a position. A network that compares positions, or runs more than once,
        says what that takes beside: the page begins nothing that is too large."""
        return float(new * sum(p.numel() for p in self.parameters()))

    def largest(self, window: int) -> int:
        """Numbers in the largest tensor of a call for one text, beside what it puts out."""
        return 0

    def __init_subclass__(cls):
        if "name" in vars(cls):
            register(NETS, "network", cls.name, cls)
