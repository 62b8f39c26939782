"""Gaussian noise on codes of characters: Diffusion-LM (arXiv:2205.14217), CDCD (arXiv:2211.15089),
Plaid (arXiv:2305.18619).

    x_t =           sqrt(alpha) e(x_0) + sqrt(1 - alpha) noise;  each code e(v) has length sqrt(D)
    p(x_s | x_t) =  q(x_s | x_t, E[e(x_0) | x_t])                         (DDPM, arXiv:2006.11239)
    -log p(x_0) <=  -log p(x_0 | x_0+) + KL(q(x_1 | x_0) || N(0, 1))
                    + 1/2 E_t [ -SNR'(t) |e(x_0) - E[e(x_0) | x_t]|^2 ]

with SNR = alpha / (1 - alpha) (VDM, arXiv:2107.00630, eq. 17): bits a character, on the axis of the
discrete families. `Reals` is what all such processes share, `Gaussian` learns the codes, bits.py
has fixed ones.

The network's output is read in one of four ways. "x0-ce": logits of p(x_0 | x_t), trained by
cross-entropy (CDCD); the mean is taken over it. "x0", "epsilon", "v": the mean code, the noise, or
sqrt(alpha) noise - sqrt(1 - alpha) code, trained by squared error (Diffusion-LM; DDPM;
arXiv:2202.00512); what they say of characters is how near each code is (`nearness`), no posterior.
Where a bet on characters is changed (temperature, top-p), the mean code that a network said moves
as the mean over the bet does. With "x0-ce" the network says what the rest of the text tells, and
the character's own noisy code is added by Bayes' rule.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import wraps

import torch
import torch.nn.functional as F
from torch import Tensor

from tinydiff.processes import T_MIN, Prediction, Process, certain, rows, spread

LEAST = 1e-6  # the variance of what is given, in the place of 0
# where the bound hands over to reading the nearest code: it then differs from it by under 1e-6 nats
LOG_SNR_END = 7.0


def once(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """For a method of tensors: its last answer is kept for whoever asks the same within a step. It
    is computed where gradients may flow, and for other numbers, codes, another schedule or another
    precision.
    """

    @wraps(function)
    def asked(self, *tensors: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return function(self, *tensors)
        given, told = (
            (*tensors, self.codes()),
            (self.schedule, torch.is_autocast_enabled(self.device.type)),
        )
        before = self.kept.get(function.__name__)  # another thread may put its own there
        if before is None or before[0] != told or not all(map(same, before[1], given)):
            copies = tuple(tensor.clone() for tensor in given)
            before = self.kept[function.__name__] = (told, copies, function(self, *tensors))
        return before[2]

    return asked


def same(a: Tensor, b: Tensor) -> bool:
    """The same numbers in the same format, in the same place?"""
    return a.dtype == b.dtype and a.device == b.device and a.equal(b)


class Reals(Process):
    """What processes on (B, L, D) numbers share. Subclasses have `codes()` and say how the
    network's output is read."""

    traits = frozenset({"diffusion", "reals", "hint", "pieces"})
    floor = 1e-4
    choices = {"self_conditioning": ("yes", "no")}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.traits = type(self).traits - self.lost()
        self.kept: dict[str, tuple] = {}  # what `once` remembers

    def lost(self) -> set[str]:
        """Traits that the options take away."""
        return set() if self.options["self_conditioning"] == "yes" else {"hint"}

    @property
    @abstractmethod
    def D(self) -> int:
        """Numbers a character."""

    @abstractmethod
    def codes(self) -> Tensor:
        """e(v) for every character, (V, D), each of length sqrt(D)."""

    @abstractmethod
    def read_out(self, raw: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """log_x0 (B, L, V) from the network's output."""

    def estimate(self, x, prediction, t):
        """E[e(x_0) | x_t], (B, L, D), from what the prediction says of characters."""
        return self.mean(prediction.log_x0).to(x.dtype)

    @once
    def mean(self, log_x0: Tensor) -> Tensor:
        """The mean code, (B, L, D), over a bet on characters."""
        return log_x0.exp().to(self.codes().dtype) @ self.codes()

    # ------------------------------------------------------------ noise

    def prior(self, canvas, rng):
        return self.pin(self.normal(canvas.tokens, rng), canvas)

    def corrupt(self, x0, t, rng):
        alpha = self.schedule.alpha(t)[..., None]
        return (alpha.sqrt() * self.codes()[x0] + (1 - alpha).sqrt() * self.normal(x0, rng)).float()

    def normal(self, like: Tensor, rng) -> Tensor:
        """Standard normal numbers, (B, L, D)."""
        L, where = like.shape[1], dict(generator=rng, device=rng.device)
        return rows(lambda n: torch.randn(n, L, self.D, **where), len(like), rng).to(like.device)

    @once
    def likelihood(self, x, t):
        return (self.evidence(x, t) @ self.codes().T).log_softmax(-1)

    def evidence(self, x, t):
        """sqrt(alpha) x / (1 - alpha): its product with a code is the log-likelihood, as all codes
        are of one length."""
        alpha = self.schedule.alpha(t)[..., None].to(x.dtype)
        return alpha.sqrt() * x / (1 - alpha).clamp_min(LEAST)

    def pin(self, x, canvas):
        return torch.where(canvas.given[..., None], self.codes()[canvas.tokens], x)

    def read(self, x):
        """The nearest characters."""
        return (x @ self.codes().T).argmax(-1)

    def certainty(self, x, t, log_x0):
        """What the state alone says of the nearest characters: how near they are, for the noise
        that there is."""
        return self.likelihood(x, t).amax(-1)

    # ------------------------------------------------------------ the network

    def network(self):
        told = 2 if "hint" in self.traits else 1
        return dict(
            inputs=told * self.D,
            outputs=self.outputs(),
            reals=True,
            attention="bidirectional",
            timed=True,
        )

    def denoise(self, x, t, label=None, cache=None, hint=None):
        """hint: an earlier estimate of the clean codes, (B, L, D), or None."""
        known = (
            [torch.zeros_like(x) if hint is None else hint.to(x.dtype)]
            if "hint" in self.traits
            else []
        )
        raw = self.net(torch.cat([x, *known], -1), t, label)
        with torch.autocast(
            x.device.type, enabled=False
        ):  # what the noisy codes tell is too fine for the network's bf16
            return Prediction(self.read_out(raw, x, t), raw)

    def denoise_twice(self, x, t, label=None):
        """The prediction with its own first answer as the hint (arXiv:2208.04202, section 3.2): a
        function of x_t alone."""
        first = self.denoise(x, t, label)
        return (
            self.denoise(x, t, label, hint=self.estimate(x, first, t))
            if "hint" in self.traits
            else first
        )

    def hinted(self, x, t, label, rng):
        """As in training: with a hint in half of the batches, through which no gradient goes."""
        if "hint" not in self.traits or torch.rand(1, generator=rng, device=rng.device) < 0.5:
            return self.denoise(x, t, label)
        with torch.no_grad():
            hint = self.estimate(x, self.denoise(x, t, label), t)
        return self.denoise(x, t, label, hint=hint)

    def perfect(self, language, x, t):
        """As everybody's, (B, L, V), without the hint, which a perfect network does not need."""
        return super().perfect(language, x[..., : self.D], t)

    # ------------------------------------------------------------ steps and bounds

    def reverse(self, x, prediction, t, s, rng):
        return self.back(x, self.estimate(x, prediction, t), prediction, t, s, rng)

    def back(self, x, mean, prediction, t, s, rng):
        """x_s ~ q(x_s | x_t, mean) (DDPM, eq. 7); at s = 0 the code of the best character
        (Diffusion-LM's rounding)."""
        alpha_t, alpha_s = self.schedule.alpha(t)[..., None], self.schedule.alpha(s)[..., None]
        step, left = alpha_t / alpha_s, (1 - alpha_t).clamp_min(LEAST)
        middle = alpha_s.sqrt() * (1 - step) / left * mean + step.sqrt() * (1 - alpha_s) / left * x
        noise = ((1 - alpha_s) / left * (1 - step)).clamp_min(0).sqrt() * self.normal(x, rng)
        x, ends = (middle + noise).to(x.dtype), s[..., None] == 0
        return torch.where(ends, self.nearest(prediction).to(x.dtype), x) if ends.any() else x

    def nearest(self, prediction):
        """The code of the likeliest character, (B, L, D)."""
        return self.codes()[prediction.log_x0.argmax(-1)]

    def loss(self, canvas, rng):
        """Cross-entropy of the characters at every noise level alike (CDCD, section 3.2)."""
        t = canvas.time(self.times(len(canvas.tokens), rng))
        x = self.corrupt(canvas.tokens, t, rng)
        log_x0 = self.hinted(x, t, canvas.label, rng).log_x0
        nats = F.nll_loss(log_x0.mT, canvas.tokens, reduction="none")
        return torch.where(canvas.given, 0, nats).sum(1) / canvas.given.shape[1]

    def bound(self, canvas, rng):
        """Noise levels are drawn evenly in log SNR, which the integral does not mind (VDM, section
        5.1)."""
        start = math.log(self.schedule.floor / (1 - self.schedule.floor))
        log_snr = start + (LOG_SNR_END - start) * spread(len(canvas.tokens), rng).double().to(
            self.device
        )
        t = canvas.time(self.schedule.time(log_snr.sigmoid()))
        x = self.corrupt(canvas.tokens, t, rng)
        mean = self.estimate(x, self.denoise_twice(x, t, canvas.label), t)
        error = (self.codes()[canvas.tokens] - mean).double().square().sum(-1)
        nats = 0.5 * (LOG_SNR_END - start) * log_snr.exp()[:, None] * error
        return torch.where(
            canvas.given, 0, nats + self.unfinished() + self.unread(canvas, rng)
        ).sum(1)

    def weight(self, t):
        """-SNR' / 2, with SNR = alpha / (1 - alpha) (VDM, eq. 17)."""
        return -self.schedule.slope(t) / (2 * (1 - self.schedule.alpha(t)) ** 2)

    def unfinished(self):
        """KL(q(x_1 | x_0) || N(0, 1)), nats a character: what is left of the text at t = 1."""
        return -self.D / 2 * math.log1p(-self.schedule.floor)

    def unread(self, canvas, rng):
        """-log p(x_0 | x_t) at the end of the bound, read from the nearest codes without the
        network, (B, L)."""
        t = torch.full(
            canvas.tokens.shape,
            self.schedule.time(torch.tensor(LOG_SNR_END).double().sigmoid()).item(),
        )
        log_p = self.likelihood(
            self.corrupt(canvas.tokens, t.to(self.device), rng), t.to(self.device)
        )
        return F.nll_loss(log_p.mT, canvas.tokens, reduction="none").double()


class Gaussian(Reals):
    name, title, paper = "gaussian", "Gaussian on embeddings (Diffusion-LM)", "arXiv:2205.14217"
    about = (
        "Every character is a point in space; noise shakes the points, and the network says "
        "where they came from."
    )
    traits = Reals.traits | {"posterior"}
    choices = {"parameterisation": ("x0-ce", "x0", "epsilon", "v"), **Reals.choices}
    usual_schedule = "sqrt"
    most_left = 0.5  # so that one can see what a schedule costs that stops too early
    sight = "walk"
    D = 16

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.points = torch.nn.Parameter(
            torch.randn(self.V, self.D, generator=torch.Generator().manual_seed(0))
        )
        self.found: tuple[Tensor, Tensor] | None = (
            None  # points, and the `codes` that were found for them
        )
        self.map: tuple[Tensor, Tensor] | None = None  # points, and the `axes`

    @property
    def reading(self) -> str:
        return self.options["parameterisation"]

    def lost(self):
        return super().lost() | (set() if self.reading == "x0-ce" else {"posterior"})

    def check(self):
        short = self.points.norm(dim=-1) < 1e-6
        if short.any():
            sign = self.tokenizer.pieces[int(short.nonzero()[0])]
            raise ValueError(
                f"The code of {sign!r} has no direction (it is all zeros), so noise cannot "
                "be told from it."
            )

    def codes(self):
        if torch.is_grad_enabled():
            return F.normalize(self.points, dim=-1) * math.sqrt(self.D)
        if self.found is None or not same(
            self.found[0], self.points
        ):  # as long as nobody moves the points
            self.found = (
                self.points.detach().clone(),
                F.normalize(self.points, dim=-1) * math.sqrt(self.D),
            )
        return self.found[1]

    def look(self, x, t, log_x0, new):
        """Where the state is on the map of codes, (B, L, 2)."""
        return self.on_map(new)

    def on_map(self, x):
        """Points (..., D) seen along the two directions in which the codes differ most, (..., 2).
        From 0 to 1 is what a code can reach; each axis points to where its largest number is
        positive.
        """
        return (0.5 + x @ self.axes().to(x) / (2 * math.sqrt(self.D))).clamp(0, 1)

    def axes(self):
        """The two directions, (D, 2); found once, as long as nobody moves the points."""
        if self.map is None or not same(self.map[0], self.points):
            codes = self.codes().detach()
            apart = codes - codes.mean(0)
            axes = torch.linalg.eigh(apart.T @ apart).eigenvectors[:, [-1, -2]]
            self.map = (
                self.points.detach().clone(),
                axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign(),
            )
        return self.map[1]

    def own(self, x, t):
        return super().own(x, t) if self.reading == "x0-ce" else x.new_zeros(*x.shape[:2], self.V)

    @property
    def means(self):
        return None if self.reading == "x0-ce" else self.read_out

    def outputs(self):
        return self.V if self.reading == "x0-ce" else self.D

    def read_out(self, raw, x, t):
        if self.reading == "x0-ce":
            return (raw + self.likelihood(x, t)).log_softmax(-1)
        mean = self.mean_of(raw, x, t)
        return torch.where(
            (t > 0)[..., None], nearness(mean, mean @ self.codes().T), certain(self.read(x), self.V)
        )

    def estimate(self, x, prediction, t):
        """The mean over the bet; of a mean that the network said itself, that mean, moved by as
        much as the mean over the bet has moved since (guidance.py), which is not at all where
        nobody changed it.
        """
        if self.reading == "x0-ce":
            return super().estimate(x, prediction, t)
        with torch.autocast(x.device.type, enabled=False):  # as in `denoise`
            said = self.read_out(prediction.raw, x, t)
            moved = (prediction.log_x0.exp() - said.exp()).to(x.dtype) @ self.codes()
        return self.mean_of(prediction.raw, x, t) + moved

    def mean_of(self, raw, x, t):
        """The mean code that an output stands for; `target` the other way."""
        alpha = self.schedule.alpha(t)[..., None].to(raw.dtype)
        if self.reading == "x0":
            return raw
        if self.reading == "epsilon":
            return (x - (1 - alpha).sqrt() * raw) / alpha.sqrt()
        return alpha.sqrt() * x - (1 - alpha).sqrt() * raw

    def target(self, mean, x, t):
        """The output that stands for a mean code; of the true code, what is to be learned."""
        alpha = self.schedule.alpha(t)[..., None].to(mean.dtype)
        if self.reading == "x0":
            return mean
        noise = (x - alpha.sqrt() * mean) / (1 - alpha).clamp_min(LEAST).sqrt()
        return (
            noise if self.reading == "epsilon" else alpha.sqrt() * noise - (1 - alpha).sqrt() * mean
        )

    def loss(self, canvas, rng):
        """Squared error, the mean over D, and the cross-entropy of reading a hardly noised code
        (Diffusion-LM, section 4.2, whose term for the prior is a constant here, because codes do
        not grow).
        """
        if self.reading == "x0-ce":
            return super().loss(canvas, rng)
        t = canvas.time(self.times(len(canvas.tokens), rng))
        x = self.corrupt(canvas.tokens, t, rng)
        error = self.hinted(x, t, canvas.label, rng).raw - self.target(
            self.codes()[canvas.tokens], x, t
        )
        clean = self.corrupt(canvas.tokens, torch.full_like(t, T_MIN), rng)
        rounding = F.cross_entropy((clean @ self.codes().T).mT, canvas.tokens, reduction="none")
        both = torch.where(canvas.given, 0, error.square().mean(-1) + rounding)
        return both.sum(1) / canvas.given.shape[1]

    def perfect(self, language, x, t):
        log_p, x = super().perfect(language, x, t), x[..., : self.D]
        if self.reading == "x0-ce":
            return log_p - self.likelihood(x, t)
        return self.target(log_p.exp().to(x.dtype) @ self.codes(), x, t)


def nearness(mean: Tensor, near: Tensor) -> Tensor:
    """A bet on characters, log p (B, L, V), that a mean code (B, L, D) may be the mean of: p ~
    exp(sharpness * near), near (B, L, V) its product with every code, with so much sharpness that
    the mean over p lies as far along it as it does itself. Of two characters that is the only bet
    with this mean; of more the evenest that knows of its direction alone.
    """
    far = mean.square().sum(-1, keepdim=True)
    low, high = torch.full_like(far, -8.0), torch.full_like(far, 3.0)  # of log2 of the sharpness
    with torch.no_grad():
        for _ in range(14):
            middle = (low + high) / 2
            short = ((middle.exp2() * near).softmax(-1) * near).sum(-1, keepdim=True) < far
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return (low.exp2() * near).log_softmax(-1)
