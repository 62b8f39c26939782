"""Uniform noise: a token is kept or replaced by any other (D3PM, arXiv:2107.03006, section 3.1).

q(x_t | x_0):        each token is kept with probability alpha(t), else it is any token, perhaps
                     the same one
q(x_s | x_t, x_0) ~  q(x_t | x_s) q(x_s | x_0)                                  (D3PM, eq. 3)
"""

from __future__ import annotations

import math

import torch

from tinydiff.noises import Ratios
from tinydiff.predictions import LOG_ZERO
from tinydiff.randomness import rand


class UniformNoise(Ratios):
    name = "uniform"
    about = "Tokens are replaced by random ones."
    traits = frozenset({"tokens", "likelihood", "ratios"})

    def prior(self, canvas, rng):
        return self.pin(self.anything(canvas.tokens, rng, "prior"), canvas)

    def corrupt(self, x0, t, rng):
        kept = rand(x0, rng, "corrupt") < self.alpha(t)
        return torch.where(kept, x0, self.anything(x0, rng, "noise"))

    def anything(self, like, rng, purpose):
        """Random tokens, (B, L)."""
        return rng.integers(self.V, *like.shape, purpose=purpose).to(like.device)

    def likelihood(self, x, t):
        return log_kernel(self.alpha(t), x, self.V)

    def reverse(self, x, prediction, t, s, rng):
        """With a = alpha(t) / alpha(s) and b = alpha(s), the product of (a [y = x_t] + (1 - a) / V)
        and (b [y = x_0] + (1 - b) / V) over y is a mixture of three: x_t, x_0 and any token."""
        x0, b = prediction.draw(rng), self.alpha(s.double())
        a = self.alpha(t.double()) / b
        stays = a * (1 - b) / self.V + torch.where(x == x0, a * b, 0.0)
        clean, any_ = (1 - a) * b / self.V, (1 - a) * (1 - b) / self.V
        u = rand(x.double(), rng) * (stays + clean + any_)
        other = torch.where(u < stays + clean, x0, self.anything(x, rng, "any"))
        return torch.where(u < stays, x, other)

    def log_ratios(self, x, log_x0, t):
        alpha = self.alpha(t)
        return smoothed(log_x0 - log_kernel(alpha, x, self.V), alpha)

    def rate(self, t):
        return -self.slope(t) / self.alpha(t) / self.V

    def jumps(self, t, s):
        return (self.alpha(s).log() - self.alpha(t).log()) / self.V

    def undone(self, log_r, x, t, s):
        """(B, L, V). States that no noise can have made get probability 0."""
        kept = self.alpha(t.double()) / self.alpha(s.double())
        r = log_r.double().exp()
        # p_s(y) / p_t(x), times `kept`
        before = r - (1 - kept)[..., None] / self.V * r.sum(-1, keepdim=True)
        step = before.clamp_min(0).log() + log_kernel(kept, x, self.V)
        return step.log_softmax(-1).clamp_min(LOG_ZERO)

    def unfinished(self):
        """KL(q(x_1 | x_0) || uniform), nats a token: what is left of the text at t = 1."""
        other = (1 - self.schedule.floor) / self.V
        same = self.schedule.floor + other
        return same * math.log(same * self.V) + (self.V - 1) * other * math.log(other * self.V)


def log_kernel(alpha, x, V):
    """log q(x | v) for every v, (B, L, V): log of alpha [v = x] + (1 - alpha) / V."""
    other = (1 - alpha)[..., None] / V
    same = (alpha[..., None] + other).log().clamp_min(LOG_ZERO)
    other = other.log().clamp_min(LOG_ZERO)
    return other.expand(*x.shape, V).scatter(-1, x[..., None], same)


def smoothed(weight, alpha):
    """log sum over v of exp(weight(v)) (alpha [v = y] + (1 - alpha) / V), (B, L, V)."""
    top = weight.amax(-1, keepdim=True)
    v = (weight - top).exp()
    return top + (alpha[..., None] * v + (1 - alpha)[..., None] * v.mean(-1, keepdim=True)).log()
