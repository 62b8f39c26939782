"""Wrappers around denoise: each takes a function (x, t, cache) -> Prediction and returns another. They multiply with every
sampler and process instead of adding a branch to each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tinydiff.nets import Cache
from tinydiff.processes import LOG_ZERO, NEVER, Prediction

Denoise = Callable[..., Prediction]
CERTAIN = -12.0  # log of a probability that is as good as 0: no network is more certain, however little noise there is


def temperature(denoise: Denoise, value: float, own: Callable[[Tensor, Tensor], Tensor]) -> Denoise:
    """What the rest of the text says of a character, divided by `value`; then what its own noisy state says, as it is. Below 1
    the surest gains, above 1 everything gets likelier; 0 takes the best alone.

    own(x, t) is the process's: log_x0 is the sum of both by Bayes' rule. At a mask the second is nothing, and this is
    log_x0 / value. Under other noise, dividing the sum would make what stands as much surer of itself as the network, so that
    less changes its mind: uniform noise then wrote as many wrong words at 0.5 as at 1.
    """

    def warmed(x: Tensor, t: Tensor, cache: Cache | None = None) -> Prediction:
        prediction = denoise(x, t, cache)
        state = own(x, t).double()[:, -prediction.log_x0.shape[1] :]  # with a cache only the last columns are asked
        state = (state - state.amax(-1, keepdim=True)).clamp_min(CERTAIN)
        rest = (prediction.log_x0.double() - state).clamp_min(NEVER)
        return prediction._replace(log_x0=(rest / max(value, 1e-4) + state).log_softmax(-1).clamp_min(LOG_ZERO))

    return denoise if value == 1 else warmed


def top_p(denoise: Denoise, value: float) -> Denoise:
    """Only the fewest characters whose probabilities reach `value` together (Holtzman et al., arXiv:1904.09751)."""

    def cut(x: Tensor, t: Tensor, cache: Cache | None = None) -> Prediction:
        prediction = denoise(x, t, cache)
        log_p, order = prediction.log_x0.double().sort(-1, descending=True)
        before = log_p.exp().cumsum(-1) - log_p.exp()
        kept = torch.where(before < value, log_p, LOG_ZERO).log_softmax(-1)
        return prediction._replace(log_x0=torch.empty_like(kept).scatter_(-1, order, kept))

    return denoise if value == 1 else cut


def self_conditioned(denoise: Denoise, estimate: Callable[..., Tensor]) -> Denoise:
    """Each call is told what the one before made of the clean state (analog bits, arXiv:2208.04202, section 3.2).

    estimate(x, prediction, t) is the process's; denoise must take `hint`. Begin anew, with another wrapper, for another text;
    one that has become longer begins anew by itself.
    """
    before: Tensor | None = None

    def reminded(x: Tensor, t: Tensor, cache: Cache | None = None) -> Prediction:
        nonlocal before
        fits = before is not None and before.shape[1] == x.shape[1]
        prediction = denoise(x, t, cache, hint=before if fits else None)
        before = estimate(x, prediction, t)
        return prediction

    return reminded


def classifier_free(conditional: Denoise, unconditional: Denoise, weight: float) -> Denoise:
    """(1 + weight) log p(x_0 | x_t, label) - weight log p(x_0 | x_t), renormalised (LLaDA, arXiv:2502.09992, eq. 16, with the
    same weight; others' scale is 1 + weight). 0 is the label as learned. Nisonoff et al. (arXiv:2406.01572) mix rates and do
    not renormalise, which also changes how fast text is revealed (arXiv:2507.08965)."""

    def guided(x: Tensor, t: Tensor, cache: Cache | None = None) -> Prediction:
        with_label = conditional(x, t, cache)
        mixed = (1 + weight) * with_label.log_x0.double() - weight * unconditional(x, t, cache).log_x0.double()
        return with_label._replace(log_x0=mixed.log_softmax(-1).clamp_min(LOG_ZERO))

    return conditional if weight == 0 else guided
