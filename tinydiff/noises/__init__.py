"""What happens to text: a noise takes x_0 to x_t, and takes x_t back to x_s when x_0 is known.

    q(x_t | x_0)        corrupt, likelihood; at t = 1 the prior
    q(x_s | x_t, x_0)   reverse, for the x_0 that a Prediction draws

One file here is one noise, without a network: what is learned about it is a process's part
(processes/), and several processes may learn about the same noise. Files are discovered: a class
with a `name` in a new file of this folder is a new noise.

Everything asks the noise for `alpha` and `slope`, at times (B, L): a noise may bend time along the
text, so that one position is finished before another begins. A position whose alpha does not change
in a step stays as it is, and it is clean where alpha is 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from tinydiff.plugins import check_class, discover, register
from tinydiff.predictions import LOG_ZERO, Prediction
from tinydiff.randomness import Rng, categorical
from tinydiff.schedules import Schedule, bisected, schedule
from tinydiff.text import Canvas, Tokenizer

NOISES: dict[str, type[Noise]] = {}

TRAITS = {
    "tokens": "the state is (B, L) token ids",
    "reals": "the state is (B, L, D) numbers, sqrt(alpha) times a token's code and Gaussian noise",
    "likelihood": "q(x_t_i | x_0_i) is known for every token, so there is a perfect network",
    "ratios": "it knows how much likelier the state would be with one token changed (`log_ratios`)",
    "prefix": "what is not written shows as mask_id, and it can go on from a written beginning",
    "clock": "one time for the whole text: at time t the share 1 - alpha(t) of it is not written",
    "mask": "the noise is the mask: what is written is clean, and predictions hold in any order",
}


class View(NamedTuple):
    """A picture of a step that a noise can give (`Noise.view`), which views/NAME.js draws."""

    name: str
    most: int | None = 64  # open columns that it shows; None: all columns, the given ones too
    evenly: bool = False  # those at even distances, in the place of the first
    mapped: bool = False  # drawn over a map of all tokens (`Noise.token_map`)

    def spots(self, given: Tensor) -> list[int]:
        """The columns that it shows of a text, by what of it is given, (L,) bool."""
        if self.most is None:
            return list(range(len(given)))
        open_ = (~given).nonzero()[:, 0].tolist()
        count = min(self.most, len(open_))
        if not self.evenly:
            return open_[:count]
        return [open_[(2 * i + 1) * len(open_) // (2 * count)] for i in range(count)]


NO_VIEW = View("", 0)


class Noise(nn.Module, ABC):
    """A way to noise text. Abstract; every subclass with a `name` is registered.

    The state is (B, L) int64 tokens or (B, L, D) float. Times t, s are (B, L) with s <= t, 0 at
    given positions. rng is the only source of randomness.
    """

    name: ClassVar[str]  # "mask"
    about: ClassVar[str] = ""  # one sentence for the page
    traits: ClassVar[frozenset[str]]
    # what is known of the text falls evenly with it
    usual_schedule: ClassVar[str] = "linear"
    # alpha(1): what is left of the text where sampling starts from pure noise
    floor: ClassVar[float] = 1e-3
    floor_limit: ClassVar[float] = 0.01  # the largest floor from which text can be written
    views: ClassVar[tuple[View, ...]] = ()  # what of a step is worth drawing (`view`)

    def __init_subclass__(cls):
        if "name" in vars(cls):  # what several noises share has none
            check_class(cls, "noise", ("traits",))
            register(NOISES, "noise", cls.name, cls)

    def __init__(self, tokenizer: Tokenizer, schedule: Schedule):
        super().__init__()
        self.tokenizer, self.schedule = tokenizer, schedule

    @property
    def V(self) -> int:
        return len(self.tokenizer)

    @property
    def mask_id(self) -> int:
        return self.tokenizer.mask_id

    @classmethod
    def schedule_of(cls, name: str = "") -> Schedule:
        """The schedule `name`, the usual one if none is named, that ends at this noise's floor.
        Raises ValueError."""
        return schedule(name or cls.usual_schedule, cls.floor)

    # ------------------------------------------------------------ time

    def alpha(self, t: Tensor) -> Tensor:
        """What is left of the text at times t (B, L) of each position."""
        return self.schedule.alpha(t)

    def slope(self, t: Tensor) -> Tensor:
        """d alpha / dt at times t (B, L)."""
        return self.schedule.slope(t)

    def when(
        self, share: Tensor, L: int, scale: Callable[[Tensor], Tensor] = torch.clone
    ) -> Tensor:
        """The times (B, 1) at which the mean over L positions of scale(alpha) falls to `share`
        (B,), float64; scale rises with alpha."""
        share = share[:, None]
        return bisected(
            lambda t: scale(self.alpha(t.expand(-1, L))).mean(1, keepdim=True) > share, share
        )

    def lost_at(self, share: Tensor) -> Tensor:
        """The times at which each position has lost `share` (B, L), float64, of what it loses up to
        t = 1."""
        left = 1 - share * (1 - self.alpha(torch.ones_like(share)))
        return bisected(lambda t: self.alpha(t) > left, share)

    def weight(self, t: Tensor) -> Tensor:
        """The weight of a prediction's error at time t in the bound (any shape)."""
        return -self.slope(t) / (1 - self.alpha(t))

    # ------------------------------------------------------------ from text to noise

    @abstractmethod
    def prior(self, canvas: Canvas, rng: Rng) -> Tensor:
        """x_1, with what is given already in place."""

    @abstractmethod
    def corrupt(self, x0: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x_0) for tokens x0 (B, L) and times t (B, L)."""

    def likelihood(self, x: Tensor, t: Tensor) -> Tensor:
        """log q(x_t_i | x_0_i = v), (B, L, V), up to a constant in v. Noises with the trait
        "likelihood" have it."""
        raise TypeError(f"The noise '{self.name}' has no likelihood per position.")

    # ------------------------------------------------------------ from noise to text

    def reverse(self, x: Tensor, prediction: Prediction, t: Tensor, s: Tensor, rng: Rng) -> Tensor:
        """x_s ~ q(x_s | x_t, x_0) for the x_0 that the prediction draws (its mean, for real-valued
        states); clean where alpha(s) is 1."""
        raise TypeError(f"The noise '{self.name}' has no reverse step.")

    def favoured(
        self, x: Tensor, prediction: Prediction, new: Tensor, t: Tensor, s: Tensor
    ) -> Tensor:
        """log of how much likelier a step from x to `new` is under a prediction that obeys rules
        than under the same without, (B,) float64. Here for steps that draw tokens: by Bayes' rule
        P(match | x_s, x_t) / P(match | x_t)."""
        seen = self.likelihood(new, s) - self.likelihood(x, t)
        return prediction.log_match_with(seen) - prediction.log_match

    def pin(self, x: Tensor, canvas: Canvas) -> Tensor:
        """x with what is given written into it. Here for tokens."""
        return torch.where(canvas.given, canvas.tokens, x)

    def read(self, x: Tensor) -> Tensor:
        """(B, L) tokens to show; mask_id where nothing is written yet. Here for tokens."""
        return x

    def certainty(self, x: Tensor, t: Tensor, log_x0: Tensor) -> Tensor:
        """log of the confidence in the tokens that `read` shows, (B, L), for x at times t. By
        default the probability that the prediction log_x0 (B, L, V) gives them."""
        return log_x0.gather(-1, self.read(x).clamp_max(self.V - 1)[..., None])[..., 0]

    def view(self, name: str, x: Tensor, t: Tensor, log_x0: Tensor, new: Tensor) -> Tensor:
        """The picture `name`, one of `views`, of a step from x at times t > 0 to `new`, with the
        prediction log_x0: (B, L, K) numbers from 0 to 1."""
        raise ValueError(f"The noise '{self.name}' has no view {name!r}.")

    @classmethod
    def view_called(cls, name: str) -> View:
        """One of `views`; "" is none. Raises ValueError where there is no such."""
        for view in (NO_VIEW, *cls.views):
            if view.name == name:
                return view
        known = ", ".join(view.name for view in cls.views) or "none"
        raise ValueError(f"The noise '{cls.name}' has no view {name!r}; it has {known}.")

    def token_map(self, name: str) -> Tensor:
        """Where each token lies on the map of a view, (V, 2) numbers from 0 to 1. Noises with a
        view that is `mapped` have it."""
        raise ValueError(f"The noise '{self.name}' has no map for the view {name!r}.")


class Ratios(Noise):
    """A noise on tokens that knows p_t(y) / p_t(x) for every x with one token changed to y."""

    views = (View("ratios", most=None),)

    @abstractmethod
    def log_ratios(self, x: Tensor, log_x0: Tensor, t: Tensor) -> Tensor:
        """log p_t(y) / p_t(x) for x with one token made y, (B, L, V), under the prediction
        log_x0."""

    @abstractmethod
    def rate(self, t: Tensor) -> Tensor:
        """How fast noise makes any one other state of a token, at times t (any shape)."""

    @abstractmethod
    def jumps(self, t: Tensor, s: Tensor) -> Tensor:
        """The integral of `rate` from s to t."""

    @abstractmethod
    def undone(self, log_r: Tensor, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """log p(x_s = y | x_t) from log-ratios (B, L, V) alone (SEDD, arXiv:2310.16834, eq. 19),
        (B, L, states)."""

    def jumped(self, prediction: Prediction, log_r: Tensor, rng: Rng) -> Tensor:
        """What each token becomes if it jumps, (B, L), drawn in proportion to the ratios log_r (B,
        L, V)."""
        return categorical(log_r, rng, "jump to")

    def view(self, name, x, t, log_x0, new):
        """r / (1 + r) for the largest ratio r to another token: how strongly that token pulls."""
        if name != "ratios":
            return super().view(name, x, t, log_x0, new)
        there = x[..., None] == torch.arange(self.V, device=x.device)
        log_r = self.log_ratios(x, log_x0, t).masked_fill(there, LOG_ZERO)
        return log_r.amax(-1, keepdim=True).sigmoid()


discover(__name__, __path__)
