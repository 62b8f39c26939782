"""A measured value and its error: of a mean over consecutive passages, of a difference on the same
passages, of a share; and how both are written.

Neighbouring passages of one text resemble each other: whoever takes them for independent finds
errors that are several times too small. So passages are put together to blocks, long ones, whose
means are as good as independent (batch means; Flyvbjerg and Petersen 1989). With short blocks the
error still grows with their length, with few blocks it is known badly. The rule here: blocks of 1,
2, 4 ... passages, as long as at least FEWEST blocks are left, and of these errors the largest. On
436 passages that is a tenth too much where they are independent, right where each keeps 0.6 of the
one before it, a seventh too little where it keeps 0.9, and what holds on for longer than a dozenth
of the text it cannot see. An error from n blocks is itself known to a share of 1 / sqrt(2 (n - 1))
only: a fifth, with the fewest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 12  # blocks
DIGITS = 3  # after the point, where no error says how many are known


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error; None where there are not enough passages to tell."""

    value: float
    error: float | None

    def __str__(self) -> str:
        return written(self.value, self.error)


def mean(
    sums: Sequence[float] | Tensor, counts: Sequence[float] | Tensor, *, consecutive: bool
) -> Mean:
    """The mean per unit over passages that hold `sums` (N,) in `counts` (N,) units each, and its
    standard error.

    consecutive: the passages follow each other in one text, in this order; False if each was drawn
    by itself.
    """
    sums, counts = (torch.as_tensor(x, dtype=torch.float64) for x in (sums, counts))
    value = (sums.sum() / counts.sum()).item()
    # what each passage adds to the mean beside its share of it
    rest = (sums - value * counts) / counts.sum()
    lengths = block_lengths(len(rest)) if consecutive else [1]
    return Mean(
        value,
        max((of_blocks(rest, length) for length in lengths), default=None)
        if len(rest) > 1
        else None,
    )


def block_lengths(passages: int) -> list[int]:
    """The lengths that are tried, in passages: always 1."""
    return [1] + [2**k for k in range(1, passages.bit_length()) if passages // 2**k >= FEWEST]


def of_blocks(rest: Tensor, length: int) -> float:
    """The standard error of the sum of `rest` (N,), whose mean is 0, if blocks of `length` are
    independent. What is left over is spread over the blocks.
    """
    blocks = max(2, len(rest) // length)
    ends = torch.arange(blocks + 1) * len(rest) // blocks
    sums = torch.cat([rest.new_zeros(1), rest.cumsum(0)])[ends].diff()
    return (sums.square().sum() * blocks / (blocks - 1)).sqrt().item()


def difference(
    one: Sequence[float] | Tensor, other: Sequence[float] | Tensor, counts: Sequence[float] | Tensor
) -> Mean:
    """How much more `one` has per unit than `other` on the same consecutive passages. What makes a
    passage hard for both drops out, so that the error is far smaller than those of the two.
    """
    one, other = (torch.as_tensor(x, dtype=torch.float64) for x in (one, other))
    return mean(one - other, counts, consecutive=True)


# ---------------------------------------------------------------- how it is written


def decimals(error: float) -> int:
    """Digits after the point that an error leaves worth writing: where its first three are 100 to
    354, two of it, else one; from 950 on they are rounded up to 1,000, of which two are kept
    (Particle Data Group, Review of Particle Physics, 5.3).
    """
    power = math.floor(math.log10(error))
    return max(0, (1 if round(error / 10.0 ** (power - 2)) < 355 else 0) - power)


def written(value: float, error: float | None, *, signed: bool = False) -> str:
    """ "2.13 ± 0.07": no more digits than are known. Without an error, three after the point."""
    sign = "+" if signed else ""
    if not error or not math.isfinite(error):
        return f"{value:{sign}.{DIGITS}f}"
    digits = decimals(error)
    return f"{value:{sign}.{digits}f} ± {error:.{digits}f}"


def percent(share: float | None, error: float | None = None) -> str:
    """ "83 ± 3 %", of a share from 0 to 1; nothing where there is none."""
    if share is None:
        return ""
    return f"{written(100 * share, 100 * error)} %" if error else f"{100 * share:.0f} %"
