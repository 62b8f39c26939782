"""Particles: several texts are written in the place of one, each weighed by how likely the network
now thinks it to keep the rules; in the end one of them is drawn by weight.

A bet that obeys rules (matching.py) is exact for the bet, which knows nothing of how tokens depend
on each other, and so not for the texts that keep the rules under the model. Twisted sequential
Monte Carlo mends that, exactly in the limit of many particles (arXiv:2306.17775 for diffusion,
arXiv:2404.17546 for language models). With p the step without rules and p_c the step with them,

    psi(x_t) = P(match | the bet at x_t)                      what a state promises
    phi(x_s) = psi(x_t) p_c(x_s | x_t) / p(x_s | x_t)         what the bet before promised of it
    weight   = product over steps of psi / phi                phi(x_1) = 1

phi is P(match | x_s, x_t) under the old bet where a step draws tokens (`Noise.favoured`). psi of a
state is known when the next step has been taken from it, so that no call of the network is made for
weights alone: a weight lags a step behind, and the last state, where psi = phi, needs none.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tinydiff.noises import Noise
from tinydiff.randomness import Rng
from tinydiff.samplers import State, Step
from tinydiff.text import Canvas


class Crowd:
    """`each` particles of each of `texts` texts; in tensors the particles of a text are rows beside
    each other.

    memory:     what guides remember of all particles
    log_weight: (texts, each), up to a constant
    """

    def __init__(self, noise: Noise, texts: int, each: int, rng: Rng, memory: dict):
        self.noise, self.each, self.rng, self.memory = noise, each, rng, memory
        self.first = torch.arange(texts)[:, None] * each
        self.log_weight = torch.zeros(texts, each, dtype=torch.float64)
        self.promised = torch.zeros(texts * each, dtype=torch.float64)  # log phi
        # which particle stands for a text: where this share of all weight is reached. It changes
        # little from step to step, and in the end it is a draw
        self.place = rng.uniform(texts, 1, purpose="particle", dtype=torch.float64).cpu()
        self.rows: Tensor | None = None  # that went on from the last step, where not all did

    @property
    def shares(self) -> Tensor:
        return self.log_weight.softmax(1)

    @property
    def shown(self) -> Tensor:
        """The rows of the particles that stand for the texts, (texts,)."""
        return (self.first + quantiles(self.shares, self.place))[:, 0]

    def moved(self, x: Tensor, t: float, step: Step, canvas: Canvas) -> State | None:
        """Weigh a step from x at time t. A State to go on from, where the weights of a text have
        come to lie on fewer than half of its particles (its effective size)."""
        prediction = step.prediction
        here = slice(step.first, step.first + prediction.raw.shape[1])
        old, new = (canvas.time(at)[:, here] for at in (t, step.t))
        more = self.noise.favoured(x[:, here], prediction, step.x[:, here], old, new).cpu()
        self.log_weight += (prediction.log_match - self.promised).view_as(self.log_weight)
        self.promised = prediction.log_match + more
        shares = self.shares
        poor, self.rows = 1 / shares.square().sum(1) < self.each / 2, None
        if not poor.any():
            return None
        # systematic resampling: one random number, and even distances
        u = self.rng.uniform(len(poor), 1, purpose="resample", dtype=torch.float64).cpu()
        chosen = quantiles(shares, (torch.arange(self.each) + u) / self.each)
        chosen = torch.where(poor[:, None], chosen, torch.arange(self.each))
        rows = (self.first + chosen).flatten()
        self.log_weight[poor] = 0.0
        self.promised, self.rows = self.promised[rows], rows
        self.memory.update(taken(self.memory, rows))
        return State(taken(step.x, rows), canvas, step.t, taken(step.memory, rows))

    def picture(self, step: Step) -> Step:
        """A step of the particles, after `moved`, as one of the texts."""
        rows = self.shown if self.rows is None else self.rows[self.shown]
        rows = rows.to(step.x.device)
        return Step(step.x[rows], step.prediction.rows(rows), step.t, step.first)


def quantiles(shares: Tensor, u: Tensor) -> Tensor:
    """Where the sums of shares (B, K) pass numbers u (B, n) in [0, 1), (B, n)."""
    sums = shares.cumsum(1)
    sums = sums / sums[:, -1:]
    return torch.searchsorted(sums, u.contiguous(), right=True).clamp_max(shares.shape[1] - 1)


def taken(value: Any, rows: Tensor) -> Any:
    """Those rows of all tensors (B, ...) that a value holds."""
    if isinstance(value, Tensor):
        return value[rows.to(value.device)]
    if isinstance(value, dict):
        return {name: taken(one, rows) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(taken(one, rows) for one in value)
    return value
