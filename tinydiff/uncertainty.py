"""A measured value and its error: of a mean over consecutive passages, of a difference on the same
passages, of a share; and how both are written.

Neighbouring passages of one text are correlated; taken for independent, they give errors that are
several times too small. So passages are joined into blocks, long enough for the means of blocks to
be nearly independent (batch means; Flyvbjerg and Petersen 1989). Short blocks give too small an
error, few blocks an uncertain one. The rule here: compute the error with blocks of 1, 2, 4 ...
passages, as long as at least FEWEST blocks are left, and take the largest. On 436 passages that is
a tenth too large if they are independent, right for a correlation of 0.6 between neighbours, and a
seventh too small for 0.9; correlation over more than a twelfth of the text is not seen. The error
from n blocks has itself a relative standard error of 1 / sqrt(2 (n - 1)): 0.2 with the fewest.
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
    # each passage's contribution to the deviation of the mean
    rest = (sums - value * counts) / counts.sum()
    lengths = block_lengths(len(rest)) if consecutive else [1]
    return Mean(
        value,
        max((of_blocks(rest, length) for length in lengths), default=None)
        if len(rest) > 1
        else None,
    )


def block_lengths(passages: int) -> list[int]:
    """The lengths of blocks that are tried, in passages; 1 is always among them."""
    return [1] + [2**k for k in range(1, passages.bit_length()) if passages // 2**k >= FEWEST]


def of_blocks(rest: Tensor, length: int) -> float:
    """The standard error of the sum of `rest` (N,), whose mean is 0, if blocks of about `length`
    passages are independent; N need not be a multiple of it.
    """
    blocks = max(2, len(rest) // length)
    ends = torch.arange(blocks + 1) * len(rest) // blocks
    sums = torch.cat([rest.new_zeros(1), rest.cumsum(0)])[ends].diff()
    return (sums.square().sum() * blocks / (blocks - 1)).sqrt().item()


def difference(
    one: Sequence[float] | Tensor, other: Sequence[float] | Tensor, counts: Sequence[float] | Tensor
) -> Mean:
    """The mean of `one` - `other` per unit, paired on the same consecutive passages. What makes a
    passage hard for both cancels, so that the error is far smaller than the errors of the two.
    """
    one, other = (torch.as_tensor(x, dtype=torch.float64) for x in (one, other))
    return mean(one - other, counts, consecutive=True)


def contrast(*parts: tuple[float, Tensor, Tensor]) -> Mean:
    """A weighted sum of means per unit, paired on the same passages, each drawn by itself: parts
    are weights with sums (N,) and counts (N,), whose units need not be as many.

    The error is that of the first order: of the sum of weight (sum - mean count) / (mean of the
    counts).
    """
    value, rest = 0.0, torch.zeros(len(parts[0][1]), dtype=torch.float64)
    for weight, sums, counts in parts:
        sums, counts = sums.double(), counts.double()
        ratio = (sums.sum() / counts.sum()).item()
        value += weight * ratio
        rest = rest + weight * (sums - ratio * counts) / counts.mean()
    return mean(rest + value, torch.ones(len(rest)), consecutive=False)


# ---------------------------------------------------------------- how it is written


def decimals(error: float) -> int:
    """How many decimals to write: two significant digits of the error if its first three digits
    are 100 to 354, else one; 950 and above round up to 1000 and keep two (Particle Data Group,
    Review of Particle Physics, 5.3).
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
    """ "83 ± 3 %" for a share from 0 to 1; "" for None."""
    if share is None:
        return ""
    return f"{written(100 * share, 100 * error)} %" if error else f"{100 * share:.0f} %"
