"""What a network predicts of the clean text, and the only ways from a prediction to text.

Every process gives `log_x0`. Code that needs text asks for a draw, the best tokens or the mean
code; a guide that wants all three to obey a constraint returns a Prediction of its own.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from tinydiff.randomness import Rng, categorical

LOG_ZERO = -1e9  # log of a probability of zero, finite so that mixing two never makes a NaN


class Prediction:
    """log_x0: (B, L, V) log p(x_0_i = v | x_t); raw: the network's output in its own terms.

    log_match: (B,) of a prediction that obeys rules, log-probability of a text that does under what
               the network itself predicts; else None
    """

    log_match: Tensor | None = None
    shift: Tensor | None = None  # (B, L, D) by which a guide moves the mean code

    def __init__(self, log_x0: Tensor, raw: Tensor):
        self.log_x0, self.raw = log_x0, raw
        self.drawn: Tensor | None = None
        self.averaged: tuple[Tensor, Tensor] | None = None  # codes, and the mean over them

    def draw(self, rng: Rng) -> Tensor:
        """x_0, (B, L): all positions at once, by default each independently. Further calls return
        the same text, so that a step which needs x_0 in two places draws it once."""
        if self.drawn is None:
            self.drawn = categorical(self.log_x0, rng)
        return self.drawn

    def best(self) -> Tensor:
        """The likeliest token of each position, (B, L)."""
        return self.log_x0.argmax(-1)

    def mean(self, codes: Tensor) -> Tensor:
        """The mean of codes (V, D) over the prediction, (B, L, D)."""
        if torch.is_grad_enabled():
            return self.moved(self.mean_over(codes))
        if self.averaged is None or self.averaged[0] is not codes:
            self.averaged = codes, self.moved(self.mean_over(codes))
        return self.averaged[1]

    def moved(self, mean: Tensor) -> Tensor:
        return mean if self.shift is None else mean + self.shift.to(mean.dtype)

    def mean_over(self, codes: Tensor) -> Tensor:
        return self.log_x0.exp().to(codes.dtype) @ codes

    def with_log_x0(self, log_x0: Tensor) -> Prediction:
        """The same prediction with other log-probabilities, and no text drawn from it yet."""
        new = copy.copy(self)
        new.log_x0, new.drawn, new.averaged = log_x0, None, None
        return new

    def shifted(self, shift: Tensor) -> Prediction:
        """The same prediction with its mean code moved by so much, (B, L, D)."""
        new = self.anew()
        new.shift = shift
        return new

    def anew(self) -> Prediction:
        """The same prediction, with no text drawn from it yet."""
        return self.with_log_x0(self.log_x0)

    def drawing(self, x0: Tensor) -> Prediction:
        """The same prediction, with the text (B, L) as what `draw` returns."""
        new = self.anew()
        new.drawn = x0
        return new

    def rows(self, rows: Tensor) -> Prediction:
        """The prediction for some of the texts alone."""
        new = self.with_log_x0(self.log_x0[rows])
        new.raw = self.raw[rows]
        new.shift = None if self.shift is None else self.shift[rows]
        return new

    def columns(self, start: int, stop: int) -> Prediction:
        """The prediction for columns start .. stop alone."""
        new = self.with_log_x0(self.log_x0[:, start:stop])
        new.raw = self.raw[:, start:stop]
        new.shift = None if self.shift is None else self.shift[:, start:stop]
        return new


def certain(x: Tensor, V: int) -> Tensor:
    """log of the one-hot distribution on x: (B, L) -> (B, L, V)."""
    there = torch.where(x < V, 0.0, LOG_ZERO)[..., None]
    nothing = torch.full((*x.shape, V), LOG_ZERO, device=x.device)
    return nothing.scatter_(-1, x.clamp_max(V - 1)[..., None], there)


def substituted(raw: Tensor, x: Tensor, mask_id: int) -> Tensor:
    """log_x0 of a network that says something of the masks alone (SUBS, MDLM, arXiv:2406.07524,
    section 3.2.3): the mask has no probability, and what is written stays. raw (B, L, V): logits.
    """
    masked, log_x0 = x == mask_id, certain(x, raw.shape[-1]).to(raw.dtype)
    log_x0[masked] = raw[masked].log_softmax(-1)
    return log_x0
