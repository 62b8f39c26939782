"""A process is a way to noise text and to learn to undo it: it owns its mathematics and its
network.

One file here is one process, and reads like a section of its paper. Files are discovered: a class
with a `name` in a new file of this folder is a new process, and the samplers whose `needs` are
among its `traits` are its samplers. A process does not know in which order text is revealed or
corrected; that is the samplers' part.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from tinydiff.nets import Cache, Transformer
from tinydiff.schedules import Schedule, schedule
from tinydiff.text import Canvas, Tokenizer

PROCESSES: dict[str, type[Process]] = {}
# log of a probability of zero, finite so that mixing two predictions never makes a NaN
LOG_ZERO = -1e9
# log of a probability that no draw meets; of far smaller ones exp is ten times slower on a CPU
NEVER = -200.0
SIZES = (16, 1, 2, 4, 8, 32, 64, 256)  # characters a piece of a text, the usual number first
T_MIN = 1e-3  # training draws times from [T_MIN, 1]; evaluation cuts nothing off

TRAITS = {
    "diffusion": "one call predicts every open position, so a step may be of any length",
    "tokens": "the state is (B, L) token ids",
    "reals": "the state is (B, L, D) numbers, sqrt(alpha) times a token's code and Gaussian noise",
    "posterior": "log_x0 is p(x_0_i | x_t) itself: a draw from it is as good as what was there",
    "ratios": "it knows how much likelier the state would be with one token changed (`log_ratios`)",
    "hint": "denoise takes the last estimate of the clean state as a hint (self-conditioning)",
    "prefix": "what is not written shows as mask_id, and it can go on from a written beginning",
    "mask": "the noise is the mask: what is written is clean, and predictions hold in any order",
    "timeless": "the prediction depends on the state alone, not on t",
    "pieces": "a piece of the text can be written given those before it (`pieces`)",
    "blocks": "learned for pieces of a text: `at` is the same network with pieces of another size",
    "causal": "a prediction depends on what stands to the left only",
    "cache": "denoise takes a Cache of what was read before",
}


class Prediction(NamedTuple):
    """What the network says of the clean text."""

    log_x0: Tensor  # (B, L, V) log p(x_0_i = v | x_t)
    raw: Tensor  # the network's output in the process's own terms


class Piece(NamedTuple):
    """Part of a text as a text of its own, for a sampler: what it is written with, and on."""

    process: Process
    canvas: Canvas
    denoise: Callable[..., Prediction]
    first: int  # the column of the whole at which it begins


class Process(nn.Module, ABC):
    """A way to noise text and to learn to undo it. Abstract; every subclass is final.

    State is (B, L) int64 for token processes, (B, L, D) float for real-valued ones. Times t, s are
    (B, L) with s <= t, 0 at given positions. rng is the only source of randomness.

    options: what the process leaves open, {name: value}; what is not named is the first of its
    choices. Raises ValueError.
    """

    name: ClassVar[str]  # "masked"
    title: ClassVar[str]  # "Masked (MDLM)"
    paper: ClassVar[str]  # "arXiv:2406.07524"
    about: ClassVar[str]  # one sentence for the page
    traits: frozenset[str]
    usual_schedule: ClassVar[str] = "linear"  # what is known of the text falls evenly with it
    floor: ClassVar[float] = (
        1e-3  # alpha(1), what is left of the text where sampling starts from pure noise
    )
    most_left: ClassVar[float] = 0.01  # the largest floor with which it can be trained and sampled
    # options with their values, the usual one first
    choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    sizes: Sequence[int] = SIZES  # of the pieces in which text can be written, the usual one first
    # what can be kept of the pieces before, the usual one first
    caches: ClassVar[tuple[str, ...]] = ("none",)
    kind: ClassVar[type[Process] | None] = (
        None  # whose noise it is, where that is another process's
    )
    sight: ClassVar[str] = (
        ""  # what of a step is worth drawing beside the text (`look`): "ratios", "walk" or "planes"
    )

    def __init_subclass__(cls):
        if "name" in vars(cls):  # what several processes share has none
            PROCESSES[cls.name] = cls

    def __init__(
        self,
        net: nn.Module | None,
        tokenizer: Tokenizer,
        schedule: Schedule,
        length: int | None,
        options: Mapping[str, str] = MappingProxyType({}),
    ):
        super().__init__()
        self.net, self.tokenizer, self.schedule = net, tokenizer, schedule
        self.length = length  # the longest text seen at once; None is any
        self.options = chosen(self.name, self.choices, options)
        self.task = ""  # what it was trained to rewrite (text.TASKS); "" writes plain text
        self.corpus = ""  # the name of what it learned; "" is not known
        self.label_names: tuple[str, ...] = ()  # of the classes it knows, where they have names
        self.bell = (
            0.0  # standard deviation of the times drawn in training around 1/2; 0 is uniform
        )

    @abstractmethod
    def network(self) -> dict:
        """What this process asks of its network: the arguments of Transformer beyond the shape."""

    @property
    def mask_id(self) -> int:
        return self.tokenizer.mask_id

    @property
    def V(self) -> int:
        return len(self.tokenizer)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of text that its network knows, by their names, or by numbers where they have
        none; () where it knows none."""
        return self.label_names or tuple(map(str, range(getattr(self.net, "labels", 0))))

    @property
    def device(self) -> torch.device:
        return next(self.parameters(), torch.empty(0)).device

    @classmethod
    def noise(cls, name: str = "") -> Schedule:
        """A schedule, the usual one if none is named, that ends at this process's floor. Raises
        ValueError."""
        return schedule(name or cls.usual_schedule, cls.floor)

    @abstractmethod
    def prior(self, canvas: Canvas, rng: torch.Generator) -> Tensor:
        """x_1, with what is given already in place."""

    @abstractmethod
    def corrupt(self, x0: Tensor, t: Tensor, rng: torch.Generator) -> Tensor:
        """x_t ~ q(x_t | x_0) for tokens x0 (B, L) and times t (B, L)."""

    @abstractmethod
    def likelihood(self, x: Tensor, t: Tensor) -> Tensor:
        """log q(x_t_i | x_0_i = v), (B, L, V), up to a constant in v."""

    @abstractmethod
    def loss(self, canvas: Canvas, rng: torch.Generator) -> Tensor:
        """(B,) the training objective: nats of what is not given, over the length of the row. So in
        the mean over rows every open character weighs the same. Over what is open in its own row,
        one that is open alone would weigh L times as much as one in an open row, and its noise,
        which nothing beside it evens out, would be most of the gradient's.
        """

    @abstractmethod
    def bound(self, canvas: Canvas, rng: torch.Generator) -> Tensor:
        """(B,) nats, one draw: its mean is an upper bound on -log p(what is not given | what is
        given)."""

    @abstractmethod
    def denoise(
        self, x: Tensor, t: Tensor, label: Tensor | None = None, cache: Cache | None = None
    ) -> Prediction:
        """The network's prediction at state x and times t (B, L). With the trait "hint" it takes
        `hint` as well."""

    def tune(self, canvas: Canvas, rng: torch.Generator) -> dict:
        """Called now and then in training, on text to learn from: what the process decides for
        itself, to be noted as JSON."""
        return {}

    def check(self) -> None:
        """Raises ValueError, in one sentence, if weights that were loaded cannot be used."""

    def pin(self, x: Tensor, canvas: Canvas) -> Tensor:
        """x with what is given written into it. Here for tokens; real-valued states have their
        own."""
        return torch.where(canvas.given, canvas.tokens, x)

    def read(self, x: Tensor) -> Tensor:
        """(B, L) tokens to show; mask_id where nothing is written yet. Here for tokens; real-valued
        states have their own."""
        return x

    def reverse(
        self, x: Tensor, prediction: Prediction, t: Tensor, s: Tensor, rng: torch.Generator
    ) -> Tensor:
        """x_s ~ p(x_s | x_t, prediction). Processes with the trait "diffusion" have it."""
        raise TypeError(
            f"'{self.name}' has no reverse step: it writes one character after the other."
        )

    def certainty(self, x: Tensor, t: Tensor, log_x0: Tensor) -> Tensor:
        """log of how sure the characters are that `read` shows, (B, L), for x at times t, 0 where
        given. Here what the prediction gives them; real-valued states have their own.
        """
        return log_x0.gather(-1, self.read(x).clamp_max(self.V - 1)[..., None])[..., 0]

    def own(self, x: Tensor, t: Tensor) -> Tensor:
        """What of log_x0 is told by each position's own noisy state and not by the network, (B, L,
        V), up to a constant."""
        return self.likelihood(x, t)

    @property
    def means(self) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
        """Where the network says a mean code and no bet: log_x0 (B, L, V) from its output, x and t;
        else None."""
        return None

    def look(self, x: Tensor, t: Tensor, log_x0: Tensor, new: Tensor) -> Tensor:
        """What `sight` names of a step from x at times t > 0, of which log_x0 was said, to `new`:
        (B, L, K) numbers from 0 to 1. Here "ratios": how strongly the best other character pulls, r
        / (1 + r) for the largest ratio r.
        """
        there = x[..., None] == torch.arange(self.V, device=x.device)
        return (
            self.log_ratios(x, log_x0, t)
            .masked_fill(there, LOG_ZERO)
            .amax(-1, keepdim=True)
            .sigmoid()
        )

    def pieces(self, size: int, cache: str) -> Callable[..., Piece]:
        """How a text is written in pieces of `size`: a function (canvas, start, stop, denoise,
        noise) -> Piece, which a sampler asks for columns start .. stop when all before them is
        given. noise: x_1 of the whole canvas, with what is given in it. cache: one of `caches`.

        Here the process itself, on the text so far, which is read again at each call; where
        something is given behind it, on the whole text: what is open there stays at time 1, pure
        noise that tells nothing.
        """

        def piece(canvas, start, stop, denoise, noise):
            behind, written = canvas.slice(stop, canvas.tokens.shape[1]), canvas.slice(0, stop)
            if not behind.given.any():
                return Piece(self, written, denoise, 0)

            def within(x, t, cache=None):
                found = denoise(
                    torch.cat([x, noise[:, stop:]], 1), torch.cat([t, behind.time(1.0)], 1), cache
                )
                return Prediction(found.log_x0[:, :stop], found.raw[:, :stop])

            return Piece(self, written, within, 0)

        return piece

    def ahead(self, size: int | None = None) -> int | None:
        """How far the network sees to the right: to the end of the characters, this many at a time
        counted from the window's first, among which the one is that it is asked for; None is to the
        end of the text. size: that of the pieces in which is written, the usual one if it is None.
        """
        return None

    def weight(self, t: Tensor) -> Tensor:
        """What multiplies the network's error at time t in the loss or the bound (any shape), for
        the page's picture."""
        return self.schedule.weight(t)

    def perfect(self, language, x: Tensor, t: Tensor) -> Tensor:
        """What this process's network would put out if it knew the language exactly (exact.py):
        Bayes' rule."""
        return language.posterior(self.likelihood(x, t))

    def times(self, batch: int, rng: torch.Generator) -> Tensor:
        """Training times (B,) in [T_MIN, 1], spread evenly over the batch and bent into a bell
        around 1/2 where `bell` is set (arXiv:2605.13026). Losses do not weigh the bell out again,
        so they are then no bound: that is `bound`, which knows no bell.
        """
        u = spread(batch, rng)
        if self.bell:
            low, high = torch.special.ndtr(torch.tensor([-0.5, 0.5], device=rng.device) / self.bell)
            u = 0.5 + self.bell * torch.special.ndtri(low + (high - low) * u)
        return u.clamp(T_MIN, 1).to(self.device)


def chosen(
    name: str, choices: dict[str, tuple[str, ...]], options: Mapping[str, str]
) -> dict[str, str]:
    """The value of every option. Raises ValueError, in one sentence, for a name or a value that
    there is not."""
    for key, value in options.items():
        if key not in choices:
            raise ValueError(
                f"'{name}' has no option {key!r}; it has {', '.join(choices) or 'none'}."
            )
        if value not in choices[key]:
            raise ValueError(
                f"{key} of '{name}' is {value!r}; there are {', '.join(choices[key])}."
            )
    return {key: options.get(key, values[0]) for key, values in choices.items()}


class Share(torch.Generator):
    """Random numbers for part `part` of a batch that is computed in `parts` parts, one after the
    other or on several machines: each part draws the numbers of all and keeps its own rows, so the
    parts together are the batch computed at once.
    """

    part, parts = 0, 1


def rows(draw: Callable[[int], Tensor], batch: int, rng: torch.Generator) -> Tensor:
    """What `draw` draws for `batch` rows, (batch, ...); with a Share, its rows of what is drawn for
    all."""
    part, parts = (rng.part, rng.parts) if isinstance(rng, Share) else (0, 1)
    return draw(batch * parts)[part * batch : (part + 1) * batch]


def spread(batch: int, rng: torch.Generator) -> Tensor:
    """`batch` uniform numbers in [0, 1), one in each of as many equal parts (VDM, arXiv:2107.00630,
    appendix I.1)."""
    start = torch.rand(1, generator=rng, device=rng.device)
    return rows(lambda n: (torch.arange(n, device=rng.device) / n + start) % 1, batch, rng)


def draw(log_p: Tensor, rng: torch.Generator) -> Tensor:
    """One category for each row of log-probabilities (..., V), by inversion in float64: float32
    Gumbel noise cuts the tails off, which works like a lower temperature (arXiv:2409.02908).
    """
    total = log_p.double().clamp_min(NEVER).softmax(-1).cumsum(-1)
    u = torch.rand(*log_p.shape[:-1], 1, generator=rng, device=rng.device, dtype=torch.float64).to(
        log_p.device
    )
    return (u * total[..., -1:] >= total).sum(-1).clamp_max(log_p.shape[-1] - 1)


def rand(like: Tensor, rng: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1), one for each element of `like` (B, ...)."""
    drawn = rows(
        lambda n: torch.rand(n, *like.shape[1:], generator=rng, device=rng.device), len(like), rng
    )
    return drawn.to(like.device)


def certain(x: Tensor, V: int) -> Tensor:
    """log of the one-hot distribution on x: (B, L) -> (B, L, V)."""
    return torch.where(x[..., None] == torch.arange(V, device=x.device), 0.0, LOG_ZERO)


def discover(package: str, path: list[str]) -> None:
    """Import every module of a folder, so that what is defined there registers itself."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")


discover(__name__, __path__)


def build(
    name: str,
    tokenizer: Tokenizer,
    noise: Schedule | str = "",
    *,
    layers: int,
    heads: int,
    width: int,
    length: int,
    labels: int = 0,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Process:
    """An untrained process. noise: a schedule or the name of one, "" for the usual. Raises
    ValueError for an unknown name or option.
    """
    if name not in PROCESSES:
        raise ValueError(f"There is no process {name!r}; there are {', '.join(PROCESSES)}.")
    noise = PROCESSES[name].noise(noise) if isinstance(noise, str) else noise
    if noise.floor > PROCESSES[name].most_left:
        raise ValueError(
            f"The schedule {noise.name!r} leaves {noise.floor:.0%} of the text at t = 1, so "
            f"{name!r} could not start from "
            "pure noise: choose one that reaches its floor, such as 'linear'."
        )
    process = PROCESSES[name](None, tokenizer, noise, length, options)
    process.net = Transformer(
        **process.network(), layers=layers, heads=heads, width=width, length=length, labels=labels
    )
    return process
