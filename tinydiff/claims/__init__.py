"""What is said of text diffusion, and what was measured of it here: one file is one claim, found by
itself.

A claim measures Points, values with their errors, in a Lab; its answer is computed from them, so
that no figure in a sentence is typed. The points are kept in assets/claims, a file each, with
their seed, the weights they are of and the date (`python -m tinydiff claim NAME`). A difference
within twice its error is undecided.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from tinydiff.plugins import check_class, discover, register
from tinydiff.uncertainty import Mean, written

if TYPE_CHECKING:
    from tinydiff.claims.lab import Lab
    from tinydiff.train.loop import Config

CLAIMS: dict[str, type[Claim]] = {}
SURE = 2.0  # errors; a difference within so many is undecided
HOLDS, FAILS, PARTLY, UNDECIDED = "holds here", "fails here", "partly", "undecided here"
SURPRISING = ("repair", "bert", "sides")  # whose answers are shown first
# in which they are told; others behind
ORDER = (
    "exposure",
    "robust",
    "sides",
    "diverse",
    "parallel",
    "cost",
    "repair",
    "bert",
    "schedule",
    "rounding",
    "blocks",
    "long",
    "rates",
)
VERDICTS = (HOLDS, FAILS, PARTLY, UNDECIDED)


class Point(NamedTuple):
    """A measured value: in which picture, on which line and where it stands."""

    plot: str
    label: str
    x: float
    value: float
    error: float | None  # standard error; None where the value is exact
    n: int  # texts, or what else it is the mean over; 0 where it is exact
    family: str = ""  # whose colour it has

    @property
    def mean(self) -> Mean:
        return Mean(self.value, self.error)


@dataclass(frozen=True)
class Plot:
    """A picture of a claim: what its axes are. x may be on a scale of powers of two."""

    title: str
    x: str
    y: str
    doubling: bool = False  # is x on a scale of powers of two?
    log: bool = False  # is y on a logarithmic scale?
    digits: int = 3  # after the point in its table, where a value has no error


@dataclass(frozen=True)
class Answer:
    """What came out: a verdict, one of VERDICTS; sentences with the figures; and in `brief` what
    they mean, for who is new to it."""

    verdict: str
    text: str
    brief: str = ""  # "" is the first sentence of the text

    @property
    def short(self) -> str:
        return self.brief or re.split(r"(?<=\.)\s(?=[A-Z])", self.text)[0]


@dataclass(frozen=True)
class Play:
    """A button: a run of Watch by its settings, or a tab of the page by its name."""

    title: str
    settings: Mapping[str, object] | None = None
    tab: str = ""


class Points:
    """The points of a claim, to be looked up."""

    def __init__(self, points: Iterable[Point]):
        self.all = list(points)
        self.at = {(p.plot, p.label, p.x): p for p in self.all}

    def mean(self, plot: str, label: str, x: float) -> Mean:
        """The value at a place, with its error. Raises KeyError where nothing was measured."""
        return self.at[plot, label, x].mean

    def line(self, plot: str, label: str) -> list[Point]:
        """The points of a line, x rising."""
        return sorted(
            (p for p in self.all if (p.plot, p.label) == (plot, label)), key=lambda p: p.x
        )

    def labels(self, plot: str) -> list[str]:
        """The lines of a picture, in the order in which they were measured."""
        return list(dict.fromkeys(p.label for p in self.all if p.plot == plot))


class Claim(ABC):
    """A claim that is made of text diffusion. Abstract; every subclass with a `name` is found.

    Subclasses give `measure`, which writes what `answer` reads.
    """

    name: ClassVar[str]  # "exposure"
    said: ClassVar[str]  # the claim in a sentence
    how: ClassVar[str]  # what was done, for somebody new
    minutes: ClassVar[int]  # that it takes on two cores, trainings and all
    plots: ClassVar[dict[str, Plot]]
    models: ClassVar[tuple[str, ...]] = ()  # the bundled checkpoints that it reads
    error: ClassVar[str] = "over texts"  # what the errors are over
    note: ClassVar[str] = ""  # what to keep in mind

    def __init_subclass__(cls):
        if "name" in vars(cls):
            check_class(cls, "claim", ("said", "how", "minutes", "plots"))
            register(CLAIMS, "claim", cls.name, cls)

    def trainings(self) -> dict[str, Config]:
        """The networks that it trains, by their names."""
        return {}

    @abstractmethod
    def measure(self, lab: Lab) -> Iterable[Point]:
        """Measure everything."""

    @abstractmethod
    def answer(self, points: Points) -> Answer:
        """What came out. Raises KeyError for points of another version."""

    def plays(self) -> Sequence[Play]:
        """The buttons."""
        return ()


def ordered() -> list[str]:
    """The names of all claims, in the order in which they are told."""
    return sorted(CLAIMS, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


# ---------------------------------------------------------------- words for answers


def sure(difference: Mean) -> bool:
    """Is a difference more than chance?"""
    return not difference.error or abs(difference.value) > SURE * difference.error


def apart(one: Mean, other: Mean) -> Mean:
    """one - other, measured on different texts."""
    return Mean(one.value - other.value, math.hypot(one.error or 0, other.error or 0))


def told(value: Mean, unit: str = "", signed: bool = False) -> str:
    """ "0.12 ± 0.03 bits"."""
    return f"{written(value.value, value.error, signed=signed)}{' ' if unit else ''}{unit}"


def share(value: Mean) -> str:
    """ "12 ± 3 %" for a share from 0 to 1."""
    error = value.error and 100 * value.error
    return f"{written(100 * value.value, error)} %" if error else f"{100 * value.value:.0f} %"


def verdict(difference: Mean, claimed: int = 1) -> str:
    """What a difference says of a claim that it is above 0 (1), or below (-1)."""
    if not sure(difference):
        return UNDECIDED
    return HOLDS if difference.value * claimed > 0 else FAILS


def which(difference: Mean, above: str, below: str, level: str) -> str:
    """The words that fit a difference: above 0, below, or within chance."""
    return level if not sure(difference) else above if difference.value > 0 else below


def together(one: str, other: str) -> str:
    """What the verdicts of two experiments come to: what holds in one only holds partly."""
    if one == other:
        return one
    return PARTLY if {one, other} & {HOLDS, PARTLY} else FAILS


discover(__name__, __path__)
