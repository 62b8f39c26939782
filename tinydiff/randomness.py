"""Random numbers, through one small protocol.

Numbers are asked for with a shape and a purpose ("reveal", "x0", ...), each purpose once in a turn
of a step. Whoever writes the text (`generate`) sets the step and the first column of the window.
Together with the seed these name every number, so that torch's generator could be replaced by one
that another language can repeat (a counter hashed with these). Torch's generator ignores the names
and goes on from number to number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

# log of a probability that no draw meets; of far smaller ones exp is ten times slower on a CPU
NEVER = -200.0
LEAST_EXP = -87.0  # the same of float32
MANY, PART = 512, 64  # categories


class Rng(Protocol):
    """Where random numbers come from. Shapes are (B, ...): a row for each text."""

    step: int  # of the text that is written, counted from 0
    turn: int  # within the step, for samplers that ask the network several times
    first: int  # column of the whole text at which the window begins
    part: int  # this is part `part` of a batch computed in `parts` parts
    parts: int

    def uniform(self, *shape: int, purpose: str, dtype: torch.dtype = torch.float32) -> Tensor:
        """Numbers in [0, 1)."""

    def normal(self, *shape: int, purpose: str) -> Tensor:
        """Standard normal numbers."""

    def integers(self, high: int, *shape: int, purpose: str) -> Tensor:
        """Whole numbers from 0 to high - 1."""

    def common(self, *shape: int, purpose: str) -> Tensor:
        """Numbers in [0, 1) that are the same in every part of a batch."""

    def state(self) -> Tensor:
        """The generator's state, to which `restore` returns."""

    def restore(self, state: Tensor) -> None: ...


class TorchRng(torch.Generator):
    """torch's generator as an Rng, the one that everything here uses.

    With `parts` above 1 a batch is computed in parts, one after the other or on several machines:
    each part draws the numbers of the whole batch and keeps its own rows, so that the parts
    together are the batch computed at once.
    """

    step = turn = first = part = 0
    parts = 1

    def uniform(self, *shape, purpose, dtype=torch.float32):
        return rows(
            lambda n: torch.rand(n, *shape[1:], generator=self, device=self.device, dtype=dtype),
            shape[0],
            self,
        )

    def normal(self, *shape, purpose):
        return rows(
            lambda n: torch.randn(n, *shape[1:], generator=self, device=self.device), shape[0], self
        )

    def integers(self, high, *shape, purpose):
        return rows(
            lambda n: torch.randint(high, (n, *shape[1:]), generator=self, device=self.device),
            shape[0],
            self,
        )

    def common(self, *shape, purpose):
        return torch.rand(*shape, generator=self, device=self.device)

    def state(self):
        return self.get_state()

    def restore(self, state):
        self.set_state(state)


def seeded(seed: int) -> TorchRng:
    """A generator that begins at a seed."""
    return TorchRng().manual_seed(seed)


def rows(draw: Callable[[int], Tensor], batch: int, rng: Rng) -> Tensor:
    """The rows of this part, (batch, ...), of what `draw` draws for all parts together."""
    return draw(batch * rng.parts)[rng.part * batch : (rng.part + 1) * batch]


def stratified(batch: int, rng: Rng) -> Tensor:
    """`batch` uniform numbers in [0, 1), one in each of as many equal parts (VDM, arXiv:2107.00630,
    appendix I.1)."""
    start = rng.common(1, purpose="time")
    return rows(lambda n: (torch.arange(n, device=start.device) / n + start) % 1, batch, rng)


def rand(like: Tensor, rng: Rng, purpose: str = "reveal") -> Tensor:
    """Uniform numbers in [0, 1), one for each element of `like` (B, ...)."""
    return rng.uniform(*like.shape, purpose=purpose).to(like.device)


def categorical(log_p: Tensor, rng: Rng, purpose: str = "x0") -> Tensor:
    """One category for each row of log-probabilities (B, ..., V), by inversion in float64: Gumbel
    noise in float32 cuts off the tails, which works like a lower temperature (arXiv:2409.02908)."""
    u = rng.uniform(*log_p.shape[:-1], 1, purpose=purpose, dtype=torch.float64).to(log_p.device)
    return inverse(log_p, u)


def inverse(log_p: Tensor, u: Tensor) -> Tensor:
    """The category at which the probabilities of each row (B, ..., V) sum up to u (B, ..., 1) of
    all."""
    if log_p.shape[-1] > MANY:
        sure, found = log_p.max(-1)  # of what is certain nothing is drawn
        open_ = sure < 0
        found[open_] = inverse_of_many(log_p[open_], u[open_])
        return found
    total = log_p.double().clamp_min(NEVER).softmax(-1).cumsum(-1)
    return (u * total[..., -1:] >= total).sum(-1).clamp_max(log_p.shape[-1] - 1)


def inverse_of_many(log_p: Tensor, u: Tensor) -> Tensor:
    """The same for numbers u (B, ..., 1), a tenth of the time where there are many categories:
    first which PART of them it is, by sums in float64, then which one in it."""
    V = log_p.shape[-1]
    p = (log_p - log_p.amax(-1, keepdim=True)).clamp_min(LEAST_EXP).exp()
    parts = F.pad(p, (0, -V % PART)).unflatten(-1, (-1, PART))
    sums = parts.sum(-1, dtype=torch.float64)
    total = sums.cumsum(-1)
    aim = u * total[..., -1:]
    which = (aim >= total).sum(-1, keepdim=True).clamp_max(total.shape[-1] - 1)
    aim = aim - (total - sums).gather(-1, which)
    part = parts.take_along_dim(which[..., None], -2).squeeze(-2).double().cumsum(-1)
    inside = (aim >= part).sum(-1, keepdim=True).clamp_max(PART - 1)
    return (PART * which + inside).squeeze(-1).clamp_max(V - 1)
