"""A sampler owns the control flow: in which order text is written, when it is corrected, how long a
step is.

It is a generator of Steps. How noise comes off in a step is the noise's and the process's part; a
sampler only says which traits it `needs`, and `matrix()` is the table of all pairs that fit. Its
keyword-only parameters, annotated with a Range, are its options: sliders, command-line flags and
documentation are made from them. Files are discovered, as processes are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff.options import Annotated, Choice, Option, Range, Words, declared, first_sentence
from tinydiff.plugins import discover, where
from tinydiff.predictions import Prediction
from tinydiff.processes import PROCESSES, Process, check_needs
from tinydiff.text import Canvas

__all__ = [
    "SAMPLERS",
    "Annotated",
    "Choice",
    "Range",
    "Sampler",
    "State",
    "Step",
    "Words",
    "after",
    "column",
    "matrix",
    "moves",
    "sampler",
]


class State(NamedTuple):
    """The state of a run: what a sampler starts from, and what it may be sent to go on from."""

    x: Tensor  # tokens (B, L), or numbers (B, L, D)
    canvas: Canvas  # what is given, and by now accepted for good: at time 0
    t: float = 1.0
    # what the sampler remembers beside x (its `Step.memory`); None where it begins
    memory: object = None
    guides: dict | None = None  # what guides remember (`guides.Context.memory`)
    rng: Tensor | None = None  # how far the random numbers have come
    step: int = 0  # the number of the Frame that it is of; 0 is none


class Step(NamedTuple):
    """What a sampler yields after each step: the new state, the prediction that led to it, and the
    time reached. A caller that sends a State in return makes the sampler go on from that."""

    x: Tensor
    prediction: Prediction
    t: float
    # the first column that the prediction is of; with a cache only the last ones are asked
    first: int = 0
    canvas: Canvas | None = None  # where the sampler accepted something for good
    memory: object = None
    drafts: Tensor | None = None  # (B, L): guesses that were checked; mask_id elsewhere


@dataclass(frozen=True)
class Sampler:
    """A registered sampler. `steps_matter` is False for those that take one call for each
    token, whatever number of steps is asked for. keeps: what of its guesses a step keeps, in words
    for a newcomer. weighs: do its steps have the law that weighs particles (particles.py)?"""

    name: str
    run: Callable[..., Iterator[Step]]
    needs: frozenset[str]
    paper: str
    about: str
    steps_matter: bool
    keeps: str
    weighs: bool = False
    planner: Callable[..., int] | None = None
    asker: Callable[..., int] | None = None
    computer: Callable[..., int] | None = None
    sizer: Callable[..., int | None] | None = None

    @property
    def options(self) -> dict[str, Option]:
        """Default and range or choice of each option, in the order of the signature."""
        return declared(self.run)

    def planned(self, process: Process, canvas: Canvas, steps: int, **options) -> int:
        """How many steps it takes at the most to write a canvas."""
        if self.planner:
            return self.planner(process, canvas, steps, **options)
        open_ = int((~canvas.given).sum(1).max())
        return steps if self.steps_matter and open_ else open_

    def asks(self, process: Process, **options) -> int:
        """How many calls of the network a step takes at the most."""
        return self.asker(process, **options) if self.asker else 1

    def computed(self, process: Process, window: int, **options) -> int:
        """How many positions of a window a call computes, at the most."""
        return self.computer(process, window, **options) if self.computer else window

    def size(self, process: Process, **options) -> int | None:
        """Of how many tokens the pieces are in which it writes; None where it says nothing."""
        return self.sizer(process, **options) if self.sizer else None

    def different(self, process: Process, canvas: Canvas, counts: Sequence[int]) -> tuple[int, ...]:
        """Those of `counts` that make a difference: of several that the sampler turns into the same
        number of steps, the largest."""
        return tuple({self.planned(process, canvas, count): count for count in counts}.values())

    def fits(self, traits: frozenset[str]) -> bool:
        return self.needs <= traits


SAMPLERS: dict[str, Sampler] = {}


def sampler(
    name: str,
    *,
    needs: set[str],
    paper: str,
    steps_matter: bool = True,
    keeps: str = "some of them",
    weighs: bool = False,
    planned: Callable[..., int] | None = None,
    asks: Callable[..., int] | None = None,
    computes: Callable[..., int] | None = None,
    size: Callable[..., int | None] | None = None,
):
    """Register a generator function (process, denoise, start, times, rng, *, options) as the
    sampler `name`: it yields Steps from the State `start` to the text at time 0. The first sentence
    of its docstring is what the page says of it.

    denoise:  the process's denoise(x, t, cache=None), perhaps wrapped by guides
    times:    falls from 1 to 0; `moves` gives the steps below the start's time
    keeps:    what of its guesses a step keeps, as the page tells it: "those it is surest of"
    weighs:   True where a step draws x_s by the prediction's own draw or by `Noise.reverse`, so
              that particles can be weighed (particles.py)
    planned:  planned(process, canvas, steps, **options), the most steps it takes, where that is not
              the number that is asked for
    asks:     asks(process, **options), the most calls of the network in a step, where it is not one
    computes: computes(process, window, **options), the most positions that a call computes, where
              that is not the whole window
    size:     size(process, **options), of the pieces in which it writes, where it does

    Raises ValueError for an unknown trait, and for a name that is taken.
    """
    check_needs(f"The sampler {name!r}", needs)

    def register_it(run):
        about = first_sentence(run, f"The sampler {name!r}")
        if (there := SAMPLERS.get(name)) is not None and where(there.run) != where(run):
            raise ValueError(f"There is a sampler {name!r} already: call it otherwise.")
        how = (steps_matter, keeps, weighs, planned, asks, computes, size)
        made = Sampler(name, run, frozenset(needs), paper, about, *how)
        declared(run)  # raises where an option is declared badly
        SAMPLERS[name] = made
        return run

    return register_it


def column(process: Process | type[Process]) -> list[str]:
    """The names of the samplers that fit a process."""
    return [s.name for s in SAMPLERS.values() if s.fits(process.traits)]


def matrix() -> dict[tuple[str, str], bool]:
    """(process, sampler) -> does it fit."""
    return {(p, s): SAMPLERS[s].fits(PROCESSES[p].traits) for p in PROCESSES for s in SAMPLERS}


def moves(start: State, times: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The steps (t, s) of a grid that lie below the time of the start."""
    return pairwise([start.t, *(t for t in times if t < start.t - 1e-9)])


def after(sent: State | None, x: Tensor, canvas: Canvas) -> tuple[Tensor, Canvas]:
    """x and the canvas with which a sampler goes on after a step: its own, or those of the State
    that it was sent."""
    return (x, canvas) if sent is None else (sent.x, sent.canvas)


def hidden(x: Tensor, process: Process) -> Tensor:
    """(B, L) bool: what is still masked."""
    return x == process.mask_id


def place_of(score: Tensor, allowed: Tensor) -> Tensor:
    """The rank of each allowed position by score, the highest score first, (B, L); positions that
    are not allowed rank last."""
    return (
        torch.where(allowed, score, -torch.inf)
        .argsort(dim=1, descending=True, stable=True)
        .argsort(dim=1)
    )


discover(__name__, __path__)
