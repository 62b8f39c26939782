"""A process is a way to learn to undo a noise: it owns the network's arguments, the loss, the
bound, and how the network's output is read.

One file here is one family, and reads like a section of its paper. What happens to text is the
noise's part (noises/); the order in which text is revealed or corrected is the samplers'
(samplers/). Files are discovered: a class with a `name` in a new file of this folder is a new
process, and the samplers whose `needs` are among its `traits` fit it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from tinydiff import noises
from tinydiff.nets import NETS, Cache
from tinydiff.noises import Noise
from tinydiff.plugins import check_class, discover, register
from tinydiff.predictions import Prediction
from tinydiff.randomness import Rng, stratified
from tinydiff.schedules import Schedule
from tinydiff.text import Canvas, Tokenizer
from tinydiff.text.labels import Attributes, flat

PROCESSES: dict[str, type[Process]] = {}
SIZES = (16, 1, 2, 4, 8, 32, 64, 256)  # tokens a piece of a text, the usual number first
YES_NO = ("yes", "no")  # the choices of an option that is on or off
T_MIN = 1e-3  # training draws times from [T_MIN, 1]; evaluation cuts nothing off

TRAITS = noises.TRAITS | {
    "diffusion": "one call predicts every open position, so a step may be of any length",
    "posterior": "log_x0 is p(x_0_i | x_t) itself: a draw from it is as good as what was there",
    "hint": "denoise takes the last estimate of the clean state as a hint (self-conditioning)",
    "timeless": "the prediction depends on the state alone, not on t",
    "pieces": "a piece of the text can be written given those before it (`pieces`)",
    "blocks": "learned for pieces of a text: `at` is the same network with pieces of another size",
    "causal": "a prediction depends on what stands to the left only",
    "cache": "denoise takes a Cache of what was read before",
}


class Piece(NamedTuple):
    """Part of a text as a text of its own, for a sampler: the process and the denoise that write
    it, and the canvas that it is written on."""

    process: Process
    canvas: Canvas
    denoise: Callable[..., Prediction]
    first: int  # the column of the whole at which it begins


class Process(nn.Module, ABC):
    """A way to learn to undo a noise. Abstract; every subclass with a `name` is registered.

    Times t are (B, L), 0 at given positions. rng is the only source of randomness.

    schedule: the noise's schedule
    options:  what the process leaves open, {name: value}; an option that is not named takes the
              first of its choices

    Raises ValueError for an option or a value that does not exist.
    """

    name: ClassVar[str]  # "masked"
    title: ClassVar[str]  # "Masked (MDLM)"
    plain: ClassVar[str] = ""  # "hidden words", as a newcomer would say it; "" is the title
    unit: ClassVar[str] = "a character"  # of which its losses are, in a sentence
    paper: ClassVar[str]  # "arXiv:2406.07524"
    about: ClassVar[str]  # one sentence for the page
    over: ClassVar[type[Noise]]  # the noise that it undoes
    traits: frozenset[str]  # those of the noise, and its own
    # options with their values, the usual one first
    choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    sizes: Sequence[int] = SIZES  # of the pieces in which text can be written, the usual one first
    # what can be kept of the pieces before, the usual one first
    caches: ClassVar[tuple[str, ...]] = ("none",)
    # whose samplers write a piece, where they are another process's
    writes_with: ClassVar[type[Process] | None] = None
    # which of the noise's views of a step is worth drawing beside the text; "" is none
    view_name: ClassVar[str] = ""
    # does its loss ask a teacher (`taught_by`): a checkpoint, or the average of itself?
    learns_from: ClassVar[bool] = False
    # names of weights in files that were written when they had another name
    stored_as: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls):
        if "name" in vars(cls):  # what several processes share has none
            check_class(cls, "process", ("title", "paper", "about", "over", "traits"))
            cls.over.view_called(cls.view_name)  # raises where it has none
            register(PROCESSES, "process", cls.name, cls)

    def __init__(
        self,
        net: nn.Module | None,
        tokenizer: Tokenizer,
        schedule: Schedule,
        length: int | None,
        options: Mapping[str, str] = MappingProxyType({}),
    ):
        super().__init__()
        self.options = chosen(self.name, self.choices, options)
        self.noise = self.over(tokenizer, schedule)
        self.net, self.tokenizer = net, tokenizer
        self.length = length  # the longest text seen at once; None is any
        self.task = ""  # what it was trained to rewrite (text.TASKS); "" writes plain text
        self.corpus = ""  # the name of what it learned; "" is not known
        self.ends = False  # did it learn where texts end, with its tokenizer's end_id?
        # of the classes it knows, by attributes, where they have names
        self.label_names: Attributes = {}
        # whom it learns from, where its loss needs a teacher; no part of its own weights
        self.teachers: tuple[Process, ...] = ()
        # standard deviation of the times drawn in training around 1/2; 0 draws them uniformly
        self.time_spread = 0.0
        # does the loss weigh all noise levels alike, and not as the bound does?
        self.even_loss = False

    @property
    def usual_options(self) -> dict[str, str]:
        """The value that each option has where nothing is said of it: a checkpoint that was written
        before there was the option has it."""
        return {name: values[0] for name, values in self.choices.items()}

    def chooses(self, option: str) -> bool:
        """Is an option on, whose choices are YES_NO?"""
        return self.options[option] == YES_NO[0]

    @property
    def mask_id(self) -> int:
        return self.tokenizer.mask_id

    @property
    def V(self) -> int:
        return len(self.tokenizer)

    @property
    def attributes(self) -> Attributes:
        """The classes of text that its network knows, by attributes, by their names or, without
        names, by numbers; {} where it knows none."""
        numbers = tuple(map(str, range(getattr(self.net, "labels", 0))))
        return self.label_names or ({"label": numbers} if numbers else {})

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of these classes; () where there are none."""
        return flat(self.attributes)

    @property
    def device(self) -> torch.device:
        return next(self.parameters(), torch.empty(0)).device

    @abstractmethod
    def network(self) -> dict:
        """What this process needs of its network: the arguments of Transformer other than the
        shape."""

    @abstractmethod
    def loss(self, canvas: Canvas, rng: Rng) -> Tensor:
        """The training objective of each row, (B,): nats of the open tokens, divided by the length
        of the row. So every open token has the same weight in the mean over rows. Divided by the
        number of open tokens in the row, a single open token would weigh as much as a whole open
        row, and its noise, which nothing averages out, would dominate the gradient.
        """

    @abstractmethod
    def bound(self, canvas: Canvas, rng: Rng) -> Tensor:
        """One draw of the bound of each row, (B,), in nats: its mean is an upper bound on -log
        p(open tokens | given tokens)."""

    @abstractmethod
    def denoise(
        self, x: Tensor, t: Tensor, label: Tensor | None = None, cache: Cache | None = None
    ) -> Prediction:
        """The network's prediction at state x and times t (B, L). With the trait "hint" it takes
        `hint` as well."""

    def denoise_known(self, x: Tensor, t: Tensor, canvas: Canvas) -> Prediction:
        """The prediction at state x, times t (B, L), of a text that is known, a canvas; a process
        that reads what it has written before is given it as it is there."""
        return self.denoise(x, t, canvas.label)

    @abstractmethod
    def predict(self, raw: Tensor, x: Tensor, t: Tensor) -> Prediction:
        """The prediction that an output of the network stands for, at state x, times t (B, L)."""

    def taught_by(self, teacher: Process) -> None:
        """Set the teacher, a process over the same tokens, for a `loss` that asks for one
        (`learns_from`)."""
        self.teachers = (teacher,)

    @property
    def teacher(self) -> Process:
        """The teacher. Raises ValueError where there is none."""
        if not self.teachers:
            raise ValueError(f"'{self.name}' learns from a teacher: name one.")
        return self.teachers[0]

    def tune(self, canvas: Canvas, rng: Rng) -> dict:
        """Called now and then in training, with text to learn from, for what the process decides
        itself; returns what to record, as JSON."""
        return {}

    def files(self) -> dict[str, bytes]:
        """What stands beside its config and weights in a checkpoint: contents by name."""
        return self.tokenizer.files()

    def check(self) -> None:
        """Raises ValueError, in one sentence, if the weights that were loaded cannot be used."""

    def state_likelihood(self, x: Tensor, t: Tensor) -> Tensor:
        """The part of log_x0 that comes from each position's own noisy state and not from the
        network, (B, L, V), up to a constant; zeros where the noise has no likelihood per position.
        """
        if "likelihood" not in self.traits:
            return x.new_zeros(*x.shape[:2], self.V)
        return self.noise.likelihood(x, t)

    @property
    def mixes_raw(self) -> bool:
        """Whether guidance mixes outputs of the network (mean codes), not log-probabilities."""
        return False

    def pieces(self, size: int, cache: str) -> Callable[..., Piece]:
        """How a text is written in pieces of `size` tokens: a function (canvas, start, stop,
        denoise, noise) -> Piece, which a sampler calls for columns start .. stop once all columns
        before them are given. noise: x_1 of the whole canvas, with what is given in it. cache: one
        of `caches`.

        By default the piece is the text so far, which is read again at each call. Where something
        is given to the right of it, the piece is the whole text: its open positions stay at time 1,
        pure noise that says nothing.
        """

        def piece(canvas, start, stop, denoise, noise):
            behind, written = canvas.slice(stop, canvas.tokens.shape[1]), canvas.slice(0, stop)
            if not behind.given.any():
                return Piece(self, written, denoise, 0)

            def within(x, t, cache=None):
                found = denoise(
                    torch.cat([x, noise[:, stop:]], 1), torch.cat([t, behind.time(1.0)], 1), cache
                )
                return found.columns(0, stop)

            return Piece(self, written, within, 0)

        return piece

    def computed(self, size: int, cache: str, window: int) -> int:
        """How many positions of a window a call computes while a piece of `size` is written, at the
        most."""
        return window

    def ahead(self, size: int | None = None) -> int | None:
        """How many tokens form a group within which the network sees to the right: a position sees
        to the end of its own group, groups being counted from the window's first token. None: it
        sees to the end of the text. size: the size of the pieces in which text is written; None is
        the usual one.
        """
        return None

    def perfect(self, language, x: Tensor, t: Tensor) -> Tensor:
        """The output that this process's network would have if it knew the language exactly
        (exact.py): Bayes' rule. For noises with the trait "likelihood"."""
        return language.posterior(self.noise.likelihood(x, t))

    def times(self, batch: int, rng: Rng) -> Tensor:
        """Training times (B,) in [T_MIN, 1], stratified over the batch: uniform or, if
        `time_spread` is set, normal around 1/2 with that standard deviation (arXiv:2605.13026). The
        loss is not reweighted for that, so it is then no bound; `bound` is."""
        u = stratified(batch, rng)
        if self.time_spread:
            low, high = torch.special.ndtr(
                torch.tensor([-0.5, 0.5], device=u.device) / self.time_spread
            )
            u = 0.5 + self.time_spread * torch.special.ndtri(low + (high - low) * u)
        return u.clamp(T_MIN, 1).to(self.device)


def chosen(
    name: str, choices: dict[str, tuple[str, ...]], options: Mapping[str, str]
) -> dict[str, str]:
    """The value of every option. Raises ValueError, in one sentence, for an unknown option or
    value."""
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


def check_needs(who: str, needs: Iterable[str], more: Iterable[str] = ()) -> None:
    """Raises ValueError where a sampler or a guide needs a trait that nothing has; `more` are what
    it may need beside."""
    kinds = (*noises.NOISES.values(), *PROCESSES.values())
    known = {*TRAITS, *more}.union(*(kind.traits for kind in kinds))
    if unknown := sorted(set(needs) - known):
        raise ValueError(
            f"{who} needs the trait {unknown[0]!r}, which no noise and no process has (one that "
            f"has it stands before it in its file); there are {', '.join(sorted(known))}."
        )


discover(__name__, __path__)


def build(
    name: str,
    tokenizer: Tokenizer,
    schedule: Schedule | str = "",
    *,
    layers: int,
    heads: int,
    width: int,
    length: int,
    labels: int = 0,
    attributes: int = 1,
    tied: bool = False,
    positions: bool = False,
    network: str = "transformer",
    options: Mapping[str, str] = MappingProxyType({}),
) -> Process:
    """An untrained process. schedule: a schedule or its name, "" for the usual one. Raises
    ValueError for an unknown name or option."""
    if name not in PROCESSES:
        raise ValueError(f"There is no process {name!r}; there are {', '.join(PROCESSES)}.")
    if network not in NETS:
        raise ValueError(f"There is no network {network!r}; there are {', '.join(NETS)}.")
    over = PROCESSES[name].over
    schedule = over.schedule_of(schedule) if isinstance(schedule, str) else schedule
    if schedule.floor > over.floor_limit:
        raise ValueError(
            f"The schedule {schedule.name!r} leaves {schedule.floor:.0%} of the text at t = 1, so "
            f"{name!r} could not start from "
            "pure noise: choose one that reaches its floor, such as 'linear'."
        )
    process = PROCESSES[name](None, tokenizer, schedule, length, options)
    left = process.noise.alpha(torch.ones(1, length or 64)).max().item()
    if left > max(over.floor_limit, schedule.floor) + 1e-6:
        raise ValueError(f"The noise of {name!r} leaves {left:.0%} of some position at t = 1.")
    shape = dict(layers=layers, heads=heads, width=width, length=length, labels=labels)
    shape |= {"attributes": attributes} if attributes > 1 else {}
    shape |= {"tied": True} if tied else {}
    shape |= {"positions": True} if positions else {}
    process.net = NETS[network](**process.network(), **shape)
    return process
