"""Wrappers around denoise: each takes a function (x, t, cache) -> Prediction and returns another.
They multiply with every sampler and process instead of adding a branch to each.

All of them change the bet, log p(x_0 | x_t), and nothing else: a step is taken with the changed bet
as if the network had said it. By Bayes' rule log_x0 is the sum of what the rest of the text says of
a character and of what its own noisy state says (`Process.own`); temperature and top-p act on the
first alone, and the second is added again (`apart`).

Classifier-free guidance mixes bets too, whatever the noise: (1 + w) log p(x_0 | x_t, label) - w log
p(x_0 | x_t). What the state says is in both and so counts once, and every sampler serves. Over
uniform noise the other choice is to mix the log-posteriors of a step, log p(x_s | x_t)
(arXiv:2412.10193, section 4): that writes another text, which depends on the length of the steps,
and serves the ancestral sampler alone. Of one character, mixed bets write exactly p(v | label)^(1 +
w) p(v)^-w; of more there is no such distribution behind either way, except at w = 0, which is the
label as learned. Where a network says a mean code in the place of a bet (gaussian.py), the means
are mixed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tinydiff.nets import Cache
from tinydiff.processes import LOG_ZERO, NEVER, Prediction

Denoise = Callable[..., Prediction]
Own = Callable[[Tensor, Tensor], Tensor]
Read = Callable[[Tensor, Tensor, Tensor], Tensor]
# log of a probability that is as good as 0, and that float64 holds: what is surer is no longer
# taken apart
CERTAIN = -300.0


def apart(prediction: Prediction, x: Tensor, t: Tensor, own: Own) -> tuple[Tensor, Tensor]:
    """log_x0 as what the rest of the text says and what its own noisy state says, which own(x, t)
    of the process tells, each (B, L, V), float64, up to a constant in v.
    """
    # with a cache only the last columns are asked
    state = own(x, t).double()[:, -prediction.log_x0.shape[1] :]
    state = (state - state.amax(-1, keepdim=True)).clamp_min(CERTAIN)
    rest = prediction.log_x0.double() - state
    return (rest - rest.amax(-1, keepdim=True)).clamp_min(NEVER), state


def temperature(denoise: Denoise, value: float, own: Own) -> Denoise:
    """What the rest of the text says of a character, divided by `value`; then what its own noisy
    state says, as it is. Below 1 the surest gains, above 1 everything gets likelier; 0 takes the
    best alone.

    At a mask the state says nothing, and this is log_x0 / value. Under other noise, dividing the
    sum would make what stands as much surer of itself as the network, so that less changes its
    mind: uniform noise then wrote as many wrong words at 0.5 as at 1.
    """

    def warmed(x: Tensor, t: Tensor, cache: Cache | None = None) -> Prediction:
        prediction = denoise(x, t, cache)
        rest, state = apart(prediction, x, t, own)
        return prediction._replace(
            log_x0=(rest / max(value, 1e-4) + state).log_softmax(-1).clamp_min(LOG_ZERO)
        )

    return denoise if value == 1 else warmed


def top_p(denoise: Denoise, value: float, own: Own) -> Denoise:
    """Only the fewest characters to which the rest of the text gives `value` together (Holtzman et
    al., arXiv:1904.09751); what the state says of them is added again. With the state's part left
    in, the character that stands there would always be one of them: a nucleus of 0.5 then let
    through a third of what it should have cut.
    """

    def cut(x: Tensor, t: Tensor, cache: Cache | None = None) -> Prediction:
        prediction = denoise(x, t, cache)
        rest, state = apart(prediction, x, t, own)
        log_p, order = rest.log_softmax(-1).sort(-1, descending=True)
        before = log_p.exp().cumsum(-1) - log_p.exp()
        kept = torch.where(before < value, log_p + state.gather(-1, order), LOG_ZERO).log_softmax(
            -1
        )
        return prediction._replace(log_x0=torch.empty_like(kept).scatter_(-1, order, kept))

    return denoise if value == 1 else cut


def self_conditioned(denoise: Denoise, estimate: Callable[..., Tensor]) -> Denoise:
    """Each call is told what the one before made of the clean state (analog bits, arXiv:2208.04202,
    section 3.2).

    estimate(x, prediction, t) is the process's; denoise must take `hint`. Begin anew, with another
    wrapper, for another text; one that has become longer begins anew by itself.
    """
    before: Tensor | None = None

    def reminded(x: Tensor, t: Tensor, cache: Cache | None = None) -> Prediction:
        nonlocal before
        fits = before is not None and before.shape[1] == x.shape[1]
        prediction = denoise(x, t, cache, hint=before if fits else None)
        before = estimate(x, prediction, t)
        return prediction

    return reminded


def classifier_free(
    conditional: Denoise, unconditional: Denoise, weight: float, read: Read | None = None
) -> Denoise:
    """(1 + weight) log p(x_0 | x_t, label) - weight log p(x_0 | x_t), renormalised (LLaDA,
    arXiv:2502.09992, eq. 16, with the same weight; others' scale is 1 + weight). 0 is the label as
    learned. Nisonoff et al. (arXiv:2406.01572) mix rates and do not renormalise, which also changes
    how fast text is revealed (arXiv:2507.08965).

    read(raw, x, t): the bet that belongs to an output, of a process whose outputs are mixed so and
    not its bets.
    """

    def mixed(told: Tensor, untold: Tensor) -> Tensor:
        return (1 + weight) * told - weight * untold

    def guided(x: Tensor, t: Tensor, cache: Cache | None = None) -> Prediction:
        told, untold = conditional(x, t, cache), unconditional(x, t, cache)
        if read:
            raw = mixed(told.raw, untold.raw)
            return Prediction(read(raw, x, t), raw)
        log_x0 = mixed(told.log_x0.double(), untold.log_x0.double())
        return told._replace(log_x0=log_x0.log_softmax(-1).clamp_min(LOG_ZERO))

    return conditional if weight == 0 else guided
