"""Gaussian noise on codes of tokens (Diffusion-LM, arXiv:2205.14217, on DDPM, arXiv:2006.11239).

    q(x_t | x_0) =       N( sqrt(alpha) e(x_0), 1 - alpha ),      each code e(v) has length sqrt(D)
    q(x_s | x_t, mean)   DDPM, eq. 7, for an estimate `mean` of e(x_0)

`Codes` is what all such noises share, `LearnedCodes` owns codes that are learned, `Bits` has fixed
ones: the number of a token in binary, as real numbers -1 and 1 (analog bits, arXiv:2208.04202).
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from tinydiff.noises import Noise, View
from tinydiff.randomness import Rng

LEAST = 1e-6  # the variance of what is given, in the place of 0


class Codes(Noise):
    """Noise on (B, L, D) numbers. Subclasses have `codes()`."""

    traits = frozenset({"reals", "likelihood"})
    floor = 1e-4

    def __init__(self, tokenizer, schedule):
        super().__init__(tokenizer, schedule)
        self.last: tuple[Tensor, ...] | None = None  # x, t, codes, and the likelihood of these

    @property
    @abstractmethod
    def D(self) -> int:
        """Numbers a token."""

    @abstractmethod
    def codes(self) -> Tensor:
        """e(v) for every token, (V, D), each of length sqrt(D)."""

    def prior(self, canvas, rng):
        return self.pin(self.normal(canvas.tokens, rng, "prior"), canvas)

    def corrupt(self, x0, t, rng):
        return self.noisy(x0, self.alpha(t), rng)

    def noisy(self, x0: Tensor, alpha: Tensor, rng: Rng) -> Tensor:
        """Codes of which alpha (B, L) is left."""
        alpha, noise = alpha[..., None], self.normal(x0, rng, "corrupt")
        return (alpha.sqrt() * self.codes()[x0] + (1 - alpha).sqrt() * noise).float()

    def normal(self, like: Tensor, rng: Rng, purpose: str = "noise") -> Tensor:
        """Standard normal numbers, (B, L, D)."""
        return rng.normal(*like.shape[:2], self.D, purpose=purpose).to(like.device)

    def likelihood(self, x, t):
        """The last answer is remembered for a call with the same arguments in the same step."""
        if torch.is_grad_enabled():
            return self.log_density(x, t)
        asked, last = (x, t, self.codes(), self.alpha(t)), self.last
        if last is None or not all(map(same, last, asked)):
            copies = tuple(tensor.clone() for tensor in asked)
            last = self.last = (*copies, self.log_density(x, t))
        return last[-1]

    def log_density(self, x, t):
        return self.density(x, self.alpha(t))

    def density(self, x: Tensor, alpha: Tensor) -> Tensor:
        """The likelihood of codes of which alpha (B, L) is left."""
        return (self.weighed(x, alpha) @ self.codes().T).log_softmax(-1)

    def evidence(self, x: Tensor, t: Tensor) -> Tensor:
        """Its product with a code is the log-likelihood, as all codes are of one length."""
        return self.weighed(x, self.alpha(t))

    def weighed(self, x: Tensor, alpha: Tensor) -> Tensor:
        """sqrt(alpha) x / (1 - alpha)."""
        alpha = alpha[..., None].to(x.dtype)
        return alpha.sqrt() * x / (1 - alpha).clamp_min(LEAST)

    def pin(self, x, canvas):
        return torch.where(canvas.given[..., None], self.codes()[canvas.tokens], x)

    def read(self, x):
        """The nearest tokens."""
        return (x @ self.codes().T).argmax(-1)

    def certainty(self, x, t, log_x0):
        """What the state alone says of the nearest tokens: their probability under the noise that
        there is."""
        return self.likelihood(x, t).amax(-1)

    def reverse(self, x, prediction, t, s, rng):
        """A position with alpha(s) = 1 gets the code of its best token (Diffusion-LM rounds so)."""
        alpha_t, alpha_s = self.alpha(t)[..., None], self.alpha(s)[..., None]
        add, keep, width = posterior(alpha_t, alpha_s)
        middle = add * prediction.mean(self.codes()) + keep * x
        new = (middle + width * self.normal(x, rng)).to(x.dtype)
        return self.arrived(x, new, prediction, alpha_t, alpha_s)

    def favoured(self, x, prediction, new, t, s):
        """Of two normal densities of one width; the last step of a position is none."""
        alpha_t, alpha_s = (self.alpha(at.double())[..., None] for at in (t, s))
        add, keep, width = posterior(alpha_t, alpha_s)
        plain, ruled = (one.mean(self.codes()) for one in (prediction.before, prediction))
        away = add * (ruled - plain)
        more = away * (new - add * plain - keep * x - away / 2) / width.clamp_min(LEAST) ** 2
        return torch.where((alpha_s == 1) | (alpha_s == alpha_t), 0, more).sum((1, 2))

    def arrived(self, x, new, prediction, alpha_t, alpha_s):
        """`new`, but x where time did not move, and the code of the best token where the position
        becomes clean."""
        new = torch.where(alpha_t == alpha_s, x, new)
        ends = (alpha_s == 1) & (alpha_t < 1)
        return torch.where(ends, self.nearest(prediction).to(x.dtype), new) if ends.any() else new

    def nearest(self, prediction) -> Tensor:
        """The code of the likeliest token, (B, L, D)."""
        return self.codes()[prediction.best()]

    def weight(self, t):
        """-SNR' / 2, with SNR = alpha / (1 - alpha) (VDM, arXiv:2107.00630, eq. 17)."""
        return -self.slope(t) / (2 * (1 - self.alpha(t)) ** 2)

    def unfinished(self) -> float:
        """KL(q(x_1 | x_0) || N(0, 1)), nats a token: what is left of the text at t = 1."""
        return -self.D / 2 * math.log1p(-self.schedule.floor)


class LearnedCodes(Codes):
    name = "gaussian"
    about = "Every token is a point in space; noise shakes the points."
    usual_schedule = "sqrt"
    floor_limit = 0.5  # so that one can see what a schedule costs that stops too early
    views = (View("walk", most=8, evenly=True, mapped=True),)
    D = 16

    def __init__(self, tokenizer, schedule):
        super().__init__(tokenizer, schedule)
        fixed = torch.Generator().manual_seed(0)
        self.points = torch.nn.Parameter(torch.randn(self.V, self.D, generator=fixed))
        self.found: tuple[Tensor, Tensor] | None = None  # points, and the codes found for them
        self.map: tuple[Tensor, Tensor] | None = None  # points, and the `axes`

    def check(self):
        """Raises ValueError if a code has no direction."""
        short = self.points.norm(dim=-1) < 1e-6
        if short.any():
            sign = self.tokenizer.pieces[int(short.nonzero()[0])]
            raise ValueError(
                f"The code of {sign!r} has no direction (it is all zeros), so noise cannot "
                "be told from it."
            )

    def codes(self):
        if torch.is_grad_enabled():
            return self.normalised()
        if self.found is None or not same(self.found[0], self.points):  # nobody moved the points
            self.found = self.points.detach().clone(), self.normalised()
        return self.found[1]

    def normalised(self):
        return F.normalize(self.points, dim=-1) * math.sqrt(self.D)

    def view(self, name, x, t, log_x0, new):
        """Where the state is on the map of codes, (B, L, 2)."""
        return self.on_map(new) if name == "walk" else super().view(name, x, t, log_x0, new)

    def token_map(self, name):
        return self.on_map(self.codes().detach())

    def on_map(self, x: Tensor) -> Tensor:
        """Points (..., D) projected onto the two directions in which the codes differ most, (...,
        2). The range 0 to 1 holds what a code can reach; each axis is oriented so that its largest
        component is positive."""
        return (0.5 + x @ self.axes().to(x) / (2 * math.sqrt(self.D))).clamp(0, 1)

    def axes(self) -> Tensor:
        """The two directions, (D, 2), computed once for as long as the codes do not change."""
        if self.map is None or not same(self.map[0], self.points):
            codes = self.codes().detach()
            apart = codes - codes.mean(0)
            axes = torch.linalg.eigh(apart.T @ apart).eigenvectors[:, [-1, -2]]
            axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
            self.map = self.points.detach().clone(), axes
        return self.map[1]


class Bits(Codes):
    name = "bits"
    about = "Every token is a number in binary; noise blurs its bits."
    views = (View("planes"),)

    def __init__(self, tokenizer, schedule):
        super().__init__(tokenizer, schedule)
        place = torch.arange(self.D - 1, -1, -1)
        table = 2.0 * (torch.arange(self.V)[:, None] >> place & 1) - 1
        self.register_buffer("table", table, persistent=False)

    @property
    def D(self):
        return max(1, (self.V - 1).bit_length())

    def codes(self):
        return self.table

    def view(self, name, x, t, log_x0, new):
        """The bits themselves, (B, L, D), from 0 for -1 to 1 for 1."""
        if name != "planes":
            return super().view(name, x, t, log_x0, new)
        return ((1 + new) / 2).clamp(0, 1)


def posterior(alpha_t: Tensor, alpha_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What an estimate and x_t are multiplied with, and the width of q(x_s | x_t, estimate) (DDPM,
    eq. 7)."""
    step, left = alpha_t / alpha_s, (1 - alpha_t).clamp_min(LEAST)
    add, keep = alpha_s.sqrt() * (1 - step) / left, step.sqrt() * (1 - alpha_s) / left
    return add, keep, ((1 - alpha_s) / left * (1 - step)).clamp_min(0).sqrt()


def same(a: Tensor, b: Tensor) -> bool:
    """The same numbers in the same format, in the same place?"""
    return a.dtype == b.dtype and a.device == b.device and a.equal(b)
