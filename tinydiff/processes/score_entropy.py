"""Score entropy: SEDD (Lou, Meng and Ermon, arXiv:2310.16834), over masks and over uniform noise.

    s(y) =          the network's estimate of p_t(x with y at i) / p_t(x), the ratios of neighbours
                                                                                          (eq. 12)
    p(x_s | x_t) =  exp(-sigma Q) s, times exp(sigma Q)(x_s -> x_t)                       (eq. 19)
    -log p(x_0) <=  KL(q(x_1 | x_0) || prior) + E_t [ rate * D(x_t) ]
    D(x_t) =        sum over y of  s(y) - q(y) log s(y) + q(y) (log q(y) - 1)

with the ratios q(y) = q(x_t = y | x_0) / q(x_t | x_0) (eq. 9 and 10). Noise, prior and steps are
those of the noise; a step needs p(x_0 | x_t), which is eq. 19 with s = 0, clamped at 0 and
normalised, so that every sampler of that noise fits. The bound judges the ratios as they come from
the network.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from tinydiff.noises.mask import Mask
from tinydiff.noises.uniform import UniformNoise
from tinydiff.predictions import LOG_ZERO, Prediction
from tinydiff.processes import Process
from tinydiff.processes.masked import Masked, some_masked
from tinydiff.processes.uniform import CLEANEST, Uniform, integral, score_entropy

# more than the log of any true ratio; what exp makes of it is still far from the end of float32
HIGHEST = 30.0


class ScoreEntropy(Process):
    """The network says how much likelier each neighbour of x_t is, as a logarithm; 0 for what
    stands there already."""

    view_name = "ratios"

    @abstractmethod
    def scores(self, raw: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """log s(y), (B, L, V), from the network's output."""

    def denoise(self, x, t, label=None, cache=None):
        return self.predict(self.net(x, t, label), x, t)

    def predict(self, raw, x, t):
        log_s = self.scores(raw, x, t)
        log_x0 = self.noise.undone(log_s, x, t, torch.zeros_like(t))[..., : self.V].log_softmax(-1)
        return Prediction(log_x0.to(log_s.dtype), log_s)

    def loss(self, canvas, rng):
        t = canvas.time(self.times(len(canvas.tokens), rng))
        nats = self.divergence(canvas, self.noise.corrupt(canvas.tokens, t, rng), t)
        return torch.where(canvas.given, 0, nats).sum(1) / canvas.given.shape[1]

    @abstractmethod
    def divergence(self, canvas, x: Tensor, t: Tensor) -> Tensor:
        """The bound's integrand at times t (B, L), (B, L). Meant for the positions that are not
        given."""


class ScoreMasked(ScoreEntropy):
    name, title, paper = "score-masked", "Score entropy, masked (SEDD)", "arXiv:2310.16834"
    plain = "hidden words, by ratios"
    about = (
        "Words or letters are hidden behind masks; the network says how much likelier the text is "
        "with each of them there."
    )
    over = Mask
    traits = Masked.traits - {"timeless"}

    def network(self):
        return dict(inputs=self.V + 1, outputs=self.V, attention="bidirectional", timed=True)

    def scores(self, raw, x, t):
        alpha, log_u = self.noise.alpha(t.double())[..., None], self.surpluses(raw)
        log_s = log_u + torch.log(alpha / (1 - alpha)).to(log_u.dtype)
        return torch.where((x == self.mask_id)[..., None], log_s, LOG_ZERO)

    def surpluses(self, raw):
        """log s(y) + log((1 - alpha) / alpha), (B, L, V): what is left to learn, as the other
        factor, expm1(sigma), is known (SEDD, appendix C.2). At a mask it should be log p(x_0 = y |
        x_t). An untrained network says 1 / V.
        """
        return raw.clamp_max(HIGHEST) - math.log(self.V)

    def perfect(self, language, x, t):
        return super().perfect(language, x, t) + math.log(self.V)

    def divergence(self, canvas, x, t):
        weight = torch.where(x == self.mask_id, self.noise.weight(t.clamp_min(1e-6)), 0)
        return weight * self.surprise(canvas, x, t)

    def surprise(self, canvas, x, t):
        """The bracket of this file's head times (1 - alpha) / alpha, (B, L), meant for the masked
        positions: with s(y) = u(y) alpha / (1 - alpha) it is sum of u - log u(x_0) - 1, the
        cross-entropy of MDLM if u sums to one, else more.
        """
        log_u = self.surpluses(self.net(x, t.float(), canvas.label))
        return log_u.exp().sum(-1) - 1 + F.nll_loss(log_u.mT, canvas.tokens, reduction="none")

    def bound(self, canvas, rng):
        """As Masked's, by exactly k masks, each number of them with a time at which it is met.
        Nothing is cut off at either end: like a sampler this begins with nothing but masks, so
        alpha here is the noise's, stretched to end at 0.
        """
        x, weight, t = some_masked(canvas, self.noise, rng)
        nats = self.surprise(canvas, x, canvas.time(t))
        return (weight * torch.where(x == self.mask_id, nats, 0)).sum(1)


class ScoreUniform(ScoreEntropy):
    name, title, paper = "score-uniform", "Score entropy, uniform (SEDD)", "arXiv:2310.16834"
    plain = "wrong words, by ratios"
    about = (
        "Words or letters are replaced by random ones; the network says how much likelier the text "
        "is with each other one."
    )
    over = UniformNoise
    traits = Uniform.traits

    def network(self):
        return dict(inputs=self.V, outputs=self.V, attention="bidirectional", timed=True)

    def scores(self, raw, x, t):
        there = x[..., None] == torch.arange(self.V, device=x.device)
        return raw.clamp_max(HIGHEST).masked_fill(there, 0)

    def perfect(self, language, x, t):
        return self.noise.log_ratios(x, super().perfect(language, x, t), t.double())

    def divergence(self, canvas, x, t):
        raw = self.net(x, t.float(), canvas.label)
        log_s = self.scores(raw, x, t).to(t.dtype)
        clean = self.noise.alpha(t) == 1
        # any time at which all is finite: nobody counts these
        t = torch.where(canvas.given, 0.5, t)
        alpha = self.noise.alpha(t).clamp_max(CLEANEST)
        nats = score_entropy(log_s, x, canvas.tokens, alpha)
        return torch.where(clean, 0, self.noise.rate(t) * nats)

    def bound(self, canvas, rng):
        """Cut off at uniform.LEAST, as Uniform's is; what is left of the text at t = 1 is
        counted."""
        open_ = (~canvas.given).sum(1)
        nats = integral(self.divergence, self.noise, canvas, rng)
        return nats + self.noise.unfinished() * open_
