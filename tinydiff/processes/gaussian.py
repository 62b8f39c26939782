"""Diffusion over Gaussian noise on codes: Diffusion-LM (arXiv:2205.14217), CDCD (arXiv:2211.15089),
Plaid (arXiv:2305.18619), on noises/gaussian.py.

    p(x_s | x_t) =  q(x_s | x_t, E[e(x_0) | x_t])                         (DDPM, arXiv:2006.11239)
    -log p(x_0) <=  -log p(x_0 | x_0+) + KL(q(x_1 | x_0) || N(0, 1))
                    + 1/2 E_t [ -SNR'(t) |e(x_0) - E[e(x_0) | x_t]|^2 ]

with SNR = alpha / (1 - alpha) (VDM, arXiv:2107.00630, eq. 17): bits a character, on the axis of the
discrete families. `Reals` is what all such processes share, `Gaussian` learns the codes, bits.py
has fixed ones.

The network's output is read in one of four ways, each a class. "x0-ce": logits of p(x_0 | x_t),
trained by cross-entropy (CDCD), over which the mean code is taken. "x0", "epsilon", "v": the mean
code, the noise, or sqrt(alpha) noise - sqrt(1 - alpha) code, trained by squared error
(Diffusion-LM; DDPM; arXiv:2202.00512); their log_x0 is a distribution with that mean code
(`nearness`), not a posterior. Where a guide changes the distribution of tokens (temperature,
top-p), the mean code that the network predicted moves as the mean over the distribution does. With
"x0-ce" the network predicts from the rest of the text, and the token's own noisy code is added by
Bayes' rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from tinydiff.noises.gaussian import LEAST, Codes, LearnedCodes
from tinydiff.predictions import Prediction, certain
from tinydiff.processes import T_MIN, YES_NO, Process
from tinydiff.randomness import stratified

# where the bound hands over to reading the nearest code: it then differs from it by under 1e-6 nats
LOG_SNR_END = 7.0
SLOWEST = 1e-12  # in the place of a speed of 0, by which nobody divides


def log_snr(alpha: Tensor) -> Tensor:
    """log of alpha / (1 - alpha), up to the end of the bound."""
    return alpha.logit().clamp_max(LOG_SNR_END)


class Reals(Process):
    """What processes on (B, L, D) numbers share. Subclasses define how the network's output is
    read."""

    noise: Codes
    traits = frozenset({"diffusion", "hint", "pieces"})
    choices = {"self_conditioning": YES_NO}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.traits = type(self).traits - self.lost()

    def lost(self) -> set[str]:
        """The traits that the options take away."""
        return set() if self.chooses("self_conditioning") else {"hint"}

    @abstractmethod
    def outputs(self) -> int:
        """How many numbers the network puts out for a token."""

    # ------------------------------------------------------------ the network

    def network(self):
        inputs = (2 if "hint" in self.traits else 1) * self.noise.D
        return dict(
            inputs=inputs, outputs=self.outputs(), reals=True, attention="bidirectional", timed=True
        )

    def denoise(self, x, t, label=None, cache=None, hint=None):
        """hint: an earlier estimate of the clean codes, (B, L, D), or None."""
        raw = self.net(torch.cat([x, *self.known(x, hint)], -1), t, label)
        # what the noisy codes tell is too fine for the network's bf16
        with torch.autocast(x.device.type, enabled=False):
            return self.predict(raw, x, t)

    def known(self, x, hint) -> list[Tensor]:
        if "hint" not in self.traits:
            return []
        return [torch.zeros_like(x) if hint is None else hint.to(x.dtype)]

    def hint(self, prediction: Prediction) -> Tensor:
        """What self-conditioning hands to the next call: the mean code, (B, L, D)."""
        return prediction.mean(self.noise.codes())

    def denoise_twice(self, x, t, label=None):
        """The prediction with its own first answer as the hint (arXiv:2208.04202, section 3.2); it
        depends on x_t alone."""
        first = self.denoise(x, t, label)
        if "hint" not in self.traits:
            return first
        return self.denoise(x, t, label, hint=self.hint(first))

    def hinted(self, x, t, label, rng):
        """The prediction as in training: half of the batches with a hint, through which no gradient
        flows."""
        if "hint" not in self.traits or rng.common(1, purpose="hint") < 0.5:
            return self.denoise(x, t, label)
        with torch.no_grad():
            hint = self.hint(self.denoise(x, t, label))
        return self.denoise(x, t, label, hint=hint)

    def perfect(self, language, x, t):
        """(B, L, V). A perfect network needs no hint."""
        return super().perfect(language, x[..., : self.noise.D], t)

    # ------------------------------------------------------------ loss and bound

    def loss(self, canvas, rng):
        """Cross-entropy of the tokens at every noise level alike (CDCD, section 3.2)."""
        t = canvas.time(self.times(len(canvas.tokens), rng))
        x = self.noise.corrupt(canvas.tokens, t, rng)
        log_x0 = self.hinted(x, t, canvas.label, rng).log_x0
        nats = F.nll_loss(log_x0.mT, canvas.tokens, reduction="none")
        return torch.where(canvas.given, 0, nats).sum(1) / canvas.given.shape[1]

    def bound(self, canvas, rng):
        """Noise levels are drawn uniformly in log SNR, of all positions in the mean; the integral
        is the same for any density that they are drawn from (VDM, section 5.1)."""
        noise, (B, L) = self.noise, canvas.tokens.shape
        one = torch.ones(1, L, dtype=torch.float64, device=self.device)
        start = noise.alpha(one).logit().mean()
        u = stratified(B, rng).double().to(self.device)
        t = noise.when(start + (LOG_SNR_END - start) * u, L, log_snr)
        x, now = noise.corrupt(canvas.tokens, canvas.time(t), rng), canvas.time(t)
        mean = self.denoise_twice(x, now, canvas.label).mean(noise.codes())
        error = (noise.codes()[canvas.tokens] - mean).double().square().sum(-1)
        # d SNR / dt over the mean of d log SNR / dt: SNR itself where time is the same everywhere
        alpha, slope = noise.alpha(t * one), noise.slope(t * one)
        open_ = alpha.logit() < LOG_SNR_END
        speed = torch.where(open_, -slope / (alpha * (1 - alpha)), 0)
        weight = speed / speed.mean(1, keepdim=True).clamp_min(SLOWEST) * alpha / (1 - alpha)
        nats = 0.5 * (LOG_SNR_END - start) * torch.where(open_, weight, 0) * error
        nats = nats + noise.unfinished() + self.reconstruction(canvas, rng)
        return torch.where(canvas.given, 0, nats).sum(1)

    def reconstruction(self, canvas, rng):
        """The reconstruction term -log p(x_0 | x_0+), (B, L): what is lost by reading the hardly
        noised codes as their nearest tokens, without the network."""
        end = torch.full(canvas.tokens.shape, LOG_SNR_END, device=self.device).sigmoid()
        log_p = self.noise.density(self.noise.noisy(canvas.tokens, end, rng), end)
        return F.nll_loss(log_p.mT, canvas.tokens, reduction="none").double()


# ---------------------------------------------------------------- readings of the network's output


class Reading(ABC):
    """How an output of the network is read, and what target it is trained on."""

    posterior = False  # is log_x0 p(x_0_i | x_t) itself?

    @abstractmethod
    def outputs(self, noise: Codes) -> int:
        """How many numbers the network puts out for a token."""

    @abstractmethod
    def predict(self, noise: Codes, raw: Tensor, x: Tensor, t: Tensor) -> Prediction:
        """The prediction that an output stands for."""

    @abstractmethod
    def perfect(self, noise: Codes, log_p: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """The output that stands for the posterior log_p (B, L, V)."""


class Logits(Reading):
    """Logits of each token from the rest of the text; the token's own noisy code is added by Bayes'
    rule."""

    posterior = True

    def outputs(self, noise):
        return noise.V

    def predict(self, noise, raw, x, t):
        return Prediction((raw + noise.likelihood(x, t)).log_softmax(-1), raw)

    def perfect(self, noise, log_p, x, t):
        return log_p - noise.likelihood(x, t)


class MeanCode(Reading):
    """The mean code itself, "x0". Subclasses have an output from which it is computed."""

    def outputs(self, noise):
        return noise.D

    def predict(self, noise, raw, x, t):
        mean, codes = self.mean(raw, x, noise.alpha(t)[..., None].to(raw.dtype)), noise.codes()
        log_x0 = nearness(mean, mean @ codes.T)
        open_ = (t > 0)[..., None]
        return SaidMean(torch.where(open_, log_x0, certain(noise.read(x), noise.V)), raw, mean)

    def perfect(self, noise, log_p, x, t):
        mean = log_p.exp().to(x.dtype) @ noise.codes()
        return self.target(mean, x, noise.alpha(t)[..., None].to(mean.dtype))

    def mean(self, raw: Tensor, x: Tensor, alpha: Tensor) -> Tensor:
        """The mean code that an output stands for; alpha (B, L, 1)."""
        return raw

    def target(self, mean: Tensor, x: Tensor, alpha: Tensor) -> Tensor:
        """The output that stands for a mean code; of the true code, the training target."""
        return mean


class Epsilon(MeanCode):
    """The noise (DDPM)."""

    def mean(self, raw, x, alpha):
        return (x - (1 - alpha).sqrt() * raw) / alpha.sqrt()

    def target(self, mean, x, alpha):
        return (x - alpha.sqrt() * mean) / (1 - alpha).clamp_min(LEAST).sqrt()


class Velocity(MeanCode):
    """sqrt(alpha) noise - sqrt(1 - alpha) code (arXiv:2202.00512, section 4)."""

    def mean(self, raw, x, alpha):
        return alpha.sqrt() * x - (1 - alpha).sqrt() * raw

    def target(self, mean, x, alpha):
        noise = Epsilon().target(mean, x, alpha)
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * mean


class SaidMean(Prediction):
    """A prediction whose mean code the network predicted itself. Where a guide changes its
    log-probabilities, the mean moves by as much as the mean over them does."""

    def __init__(self, log_x0: Tensor, raw: Tensor, said: Tensor):
        super().__init__(log_x0, raw)
        self.said, self.before = said, log_x0

    def mean_over(self, codes):
        if self.log_x0 is self.before:
            return self.said
        with torch.autocast(codes.device.type, enabled=False):
            return self.said + (self.log_x0.exp() - self.before.exp()).to(codes.dtype) @ codes

    def columns(self, start, stop):
        new, before = super().columns(start, stop), self.before[:, start:stop]
        new.said = self.said[:, start:stop]
        new.before = new.log_x0 if self.log_x0 is self.before else before
        return new


READINGS: dict[str, Reading] = {
    "x0-ce": Logits(),
    "x0": MeanCode(),
    "epsilon": Epsilon(),
    "v": Velocity(),
}


class Gaussian(Reals):
    name, title, paper = "gaussian", "Gaussian on embeddings (Diffusion-LM)", "arXiv:2205.14217"
    plain = "blurred words"
    about = (
        "Every word or letter is a point in space; noise shakes the points, and the network says "
        "where they came from."
    )
    over = LearnedCodes
    traits = Reals.traits | LearnedCodes.traits | {"posterior"}
    choices = {"parameterisation": tuple(READINGS), **Reals.choices, "rounding": YES_NO}
    view_name = "walk"
    stored_as = {"points": "noise.points"}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.reading.posterior and not self.chooses("rounding"):
            raise ValueError(
                f"With {self.options['parameterisation']} the loss itself reads tokens, so there "
                "is no rounding loss to leave out: choose the parameterisation x0, epsilon or v."
            )

    @property
    def reading(self) -> Reading:
        return READINGS[self.options["parameterisation"]]

    def lost(self):
        return super().lost() | (set() if self.reading.posterior else {"posterior"})

    def check(self):
        self.noise.check()

    def outputs(self):
        return self.reading.outputs(self.noise)

    def predict(self, raw, x, t):
        return self.reading.predict(self.noise, raw, x, t)

    @property
    def mixes_raw(self):
        return not self.reading.posterior

    def state_likelihood(self, x, t):
        if self.reading.posterior:
            return super().state_likelihood(x, t)
        return x.new_zeros(*x.shape[:2], self.V)

    def loss(self, canvas, rng):
        return super().loss(canvas, rng) if self.reading.posterior else self.error(canvas, rng)

    def error(self, canvas, rng):
        """Squared error, the mean over D, and the cross-entropy of reading a hardly noised code
        (Diffusion-LM, section 4.2, whose term for the prior is a constant here, because codes do
        not grow). Without that rounding loss (rounding=no) nothing keeps the codes apart, and the
        noise on codes that are all the same is easily told.
        """
        noise, t = self.noise, canvas.time(self.times(len(canvas.tokens), rng))
        x, codes = noise.corrupt(canvas.tokens, t, rng), noise.codes()
        target = self.reading.target(codes[canvas.tokens], x, noise.alpha(t)[..., None])
        nats = (self.hinted(x, t, canvas.label, rng).raw - target).square().mean(-1)
        if self.chooses("rounding"):
            clean = noise.corrupt(canvas.tokens, torch.full_like(t, T_MIN), rng)
            nats = nats + F.cross_entropy((clean @ codes.T).mT, canvas.tokens, reduction="none")
        return torch.where(canvas.given, 0, nats).sum(1) / canvas.given.shape[1]

    def perfect(self, language, x, t):
        log_p = super().perfect(language, x, t)
        return self.reading.perfect(self.noise, log_p, x[..., : self.noise.D], t)


def nearness(mean: Tensor, near: Tensor) -> Tensor:
    """A distribution of tokens, log p (B, L, V), with the mean code (B, L, D): p ~ exp(sharpness *
    near), where near (B, L, V) is the product of the mean with every code, and the sharpness is
    such that the mean over p has the same component along the mean. Of two tokens it is the only
    distribution with this mean; of more, the one of most entropy among those that fit along its
    direction.
    """
    far = mean.square().sum(-1, keepdim=True)
    low, high = torch.full_like(far, -8.0), torch.full_like(far, 3.0)  # of log2 of the sharpness
    with torch.no_grad():
        for _ in range(14):
            middle = (low + high) / 2
            short = ((middle.exp2() * near).softmax(-1) * near).sum(-1, keepdim=True) < far
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return (low.exp2() * near).log_softmax(-1)
