"""Analog bits (Chen, Zhang and Hinton, arXiv:2208.04202): the number of a character, in binary, as
real numbers.

A character is ceil(log2 V) bits, each -1 or 1, with Gaussian noise on them (gaussian.py). The
network puts out one number a bit; p(x_0) is the product of its bits' probabilities, normalised over
the codes that are in use: 65 characters leave 63 of the 128 codes of 7 bits unused. The paper
learns the bits by squared error; here the numbers are logits, learned by the cross-entropy of the
code. The optimum has the same mean E[bits | x_t], but stays between -1 and 1. A product of bits
cannot express that two bits depend on each other, so a draw from it is not a draw from p(x_0 |
x_t), and this process lacks the trait "posterior".
"""

from __future__ import annotations

import torch

from tinydiff.noises.gaussian import Bits as BitNoise
from tinydiff.predictions import Prediction
from tinydiff.processes.gaussian import Reals

# log of how much less likely than the likeliest token a state may say that another is
CERTAIN = -12.0


class Bits(Reals):
    name, title, paper = "bits", "Analog bits", "arXiv:2208.04202"
    plain = "binary noise"
    about = (
        "Every word or letter is a number in binary, its bits are real numbers, and noise blurs "
        "them."
    )
    over = BitNoise
    traits = Reals.traits | BitNoise.traits
    view_name = "planes"

    def outputs(self):
        return self.noise.D

    def predict(self, raw, x, t):
        logits = (raw + self.noise.evidence(x, t)) @ self.noise.codes().to(raw.dtype).T
        return Prediction(logits.log_softmax(-1), raw)

    def state_likelihood(self, x, t):
        """Clamped where it is more certain than the product of bits of a perfect network can be:
        the means of that product stay off their limits (`natural`), and the two would seem to
        contradict each other."""
        state = super().state_likelihood(x, t)
        return (state - state.amax(-1, keepdim=True)).clamp_min(CERTAIN)

    def perfect(self, language, x, t):
        codes = self.noise.codes().double()
        mean = super().perfect(language, x, t).exp() @ codes
        known = self.noise.evidence(x[..., : self.noise.D], t)
        return natural(mean.flatten(0, 1), codes).view(mean.shape) - known


def natural(mean: torch.Tensor, codes: torch.Tensor, rounds: int = 60) -> torch.Tensor:
    """The h (N, D) for which the distribution softmax(h . codes) has the given mean (N, D), by
    Newton's method on a convex function. Means on the boundary of what codes can give are moved
    slightly inside, where h is finite."""
    mean = mean + 1e-7 * (codes.mean(0) - mean)
    h = torch.atanh(mean.clamp(-1 + 1e-7, 1 - 1e-7))
    open_ = torch.arange(len(h))  # rows that are not there yet
    # (V, D D): one product gives the second moments of all rows
    pairs = (codes[:, :, None] * codes[:, None]).flatten(1)
    for _ in range(rounds):
        p = (h[open_] @ codes.T).softmax(-1)
        found = p @ codes
        miss = mean[open_] - found
        far = miss.abs().amax(-1) > 1e-8
        if not far.any():
            break
        open_, p, found, miss = open_[far], p[far], found[far], miss[far]
        moments = (p @ pairs).unflatten(1, mean.shape[1:] * 2)
        covariance = moments - found[:, :, None] * found[:, None]
        step = torch.linalg.solve(covariance + 1e-9 * torch.eye(h.shape[1], dtype=h.dtype), miss)
        h[open_] += step * (2 / step.square().sum(-1, keepdim=True).sqrt().clamp_min(2))
    return h
