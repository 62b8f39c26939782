"""A guide changes what is written without any training: it wraps `denoise`, or looks at each step
after it was taken, and works with every sampler and every process that has what it needs.

One file here is one guide, or a few that belong together. Files are discovered, as samplers are.
Keyword-only parameters are a guide's options: generate, the command line, links and the page read
them from the signature. Each has a default that changes nothing. Names of options are unique over
all samplers and guides, so that a setting need not name its owner.

Most guides change the prediction log p(x_0 | x_t) and nothing else: the sampler takes its step with
the changed prediction as if the network had made it. By Bayes' rule log_x0 is the sum of two terms,
what the rest of the text says of a token and what its own noisy state says
(`Process.state_likelihood`). Temperature, top-k and top-p act on the first term alone; the second
is added again afterwards (`reweighed`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tinydiff.options import (
    Annotated,
    Choice,
    Model,
    Option,
    Range,
    Words,
    check,
    declared,
    first_sentence,
)
from tinydiff.plugins import discover, where
from tinydiff.predictions import LOG_ZERO, Prediction
from tinydiff.processes import TRAITS, Process, check_needs
from tinydiff.randomness import MANY, NEVER, Rng
from tinydiff.samplers import SAMPLERS, Step
from tinydiff.sentences import brief
from tinydiff.text import Canvas

__all__ = [
    "GUIDES",
    "STAGES",
    "Annotated",
    "Choice",
    "Context",
    "Guide",
    "Model",
    "Range",
    "Steered",
    "Words",
    "guide",
    "reweighed",
]

# the order of wrapping, innermost stage first; within a stage, the order of the guides' names
STAGES = {
    "end": "when a run is over; it changes no prediction",
    "hint": "what the network is given beside the text",
    "label": "the predictions with a label and without become one",
    "classifier": "another network reweighs the prediction",
    "temperature": "how sharp the prediction is",
    "cut": "which tokens the prediction keeps",
    "pattern": "what the whole text may be",
}
# names of settings and of arguments of `generate`, which no option of a guide may have
TAKEN = {"process", "canvas", "sampler", "steps", "seed", "spacing", "precision", "start"} | {
    *("model", "prompt", "template", "length", "until", "label", "options", "mode"),
    *("help", "run", "record", "files", "plots", "out", "prompts"),
    *("seeds", "samplers"),  # and flags of commands
}
# the least log-likelihood of a state that `reweighed` subtracts: beyond it float64 has no digits
# left for what the rest of the text says
CERTAIN = -300.0

Denoise = Callable[..., Prediction]  # (x, t, cache=None) -> Prediction
# (x_t, t, the Step that was taken from there) -> the state from which the sampler goes on
Change = Callable[[Tensor, float, Step], Tensor]
# a Step -> the text (B, L) with which the run ends early, or None
Done = Callable[[Step], "Tensor | None"]


@dataclass(frozen=True)
class Context:
    """What a guide sees of the text that it steers."""

    process: Process
    canvas: Canvas  # the window that is written, (B, n): what of it is given, and its label
    text: Canvas | None = None  # the whole, (B, L); what was written before the window is given
    start: int = 0  # the window's first column in the whole
    rng: Rng | None = None  # the sampler's
    # what guides remember from call to call, each by its name: part of the state of a run, so that
    # a run which goes on from a Frame goes on exactly
    memory: dict[str, Any] = field(default_factory=dict)
    # makes the denoise of another process, whose calls count as those of the one that writes
    beside: Callable[[Process], Denoise] | None = None
    # makes the denoise that the guide wraps once more, for a network that is told no label
    unlabelled: Callable[[], Denoise] | None = None


class Steered(NamedTuple):
    """What a guide makes of a run: a wrapped `denoise`, and optionally `step` and `done`, which are
    called after each step that was taken and therefore know the time to which it led.

    denoise(x, t, cache=None) gets the state from the window's first column on. With a cache it may
    return a prediction for the last columns alone: `log_x0` may be shorter than x.
    """

    denoise: Denoise
    step: Change | None = None
    done: Done | None = None


@dataclass(frozen=True)
class Guide:
    """A registered guide."""

    name: str
    wrap: Callable[..., Denoise | Steered]
    stage: str
    needs: frozenset[str]
    paper: str
    about: str
    checker: Callable[..., None] | None = None
    asker: Callable[..., int] | None = None
    crowd: Callable[..., int] | None = None

    @property
    def options(self) -> dict[str, Option]:
        """Default and range or choice of each option, in the order of the signature."""
        return declared(self.wrap)

    def own(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Those of some options that are its own."""
        return {name: options[name] for name in self.options if name in options}

    def values(self, options: Mapping[str, Any], process: Process) -> dict[str, Any]:
        """The value of each of its options: those given in `options`, else the default."""
        usual_ = {name: usual(option, process) for name, option in self.options.items()}
        return usual_ | self.own(options)

    def lacking(self, process: Process) -> list[str]:
        """What it needs and the process does not have: traits, or "labels"."""
        has = process.traits | ({"labels"} if process.labels else set())
        return sorted(self.needs - has)

    def wrapped(self, denoise: Denoise, context: Context, asked: Mapping[str, Any]) -> Steered:
        """What it makes of a run with these options. Raises its ValueErrors, which then say the
        option that they are of."""
        values = self.values(asked, context.process)
        try:
            made = self.wrap(denoise, context, **values)
        except ValueError as error:
            known = self.options
            said = [
                f"{name} is {brief(spoken(value))}"
                for name, value in values.items()
                if value != usual(known[name], context.process)
            ]
            raise ValueError(f"{', '.join(said) or self.name}: {error}") from error
        return made if isinstance(made, Steered) else Steered(made)


GUIDES: dict[str, Guide] = {}


def guide(
    name: str,
    *,
    stage: str,
    needs: set[str] = frozenset(),
    paper: str,
    check: Callable[..., None] | None = None,
    asks: Callable[..., int] | None = None,
    particles: Callable[..., int] | None = None,
):
    """Register a function (denoise, context, *, options) -> Denoise | Steered as the guide `name`.

    It is called once for each window of a text, with the value of each option, and returns
    `denoise` unchanged where its options leave nothing to do. The first sentence of its docstring
    is what the page says of the guide.

    stage:  a key of STAGES
    needs:  traits of the process, and "labels" where its network must know classes of text
    check:  check(process, canvas, **options) raises ValueError, in one sentence, for what cannot be
            done; it is called before anything is computed, if an option is not at its default
    asks:   asks(**options) returns how many calls of the network it makes of one
    particles: particles(**options) returns how many are to be written in the place of each text
            (particles.py)

    Raises ValueError for an unknown stage or trait, and for an option whose name is taken.
    """
    check_needs(f"The guide {name!r}", needs, ("labels",))

    def register(wrap):
        about = first_sentence(wrap, f"The guide {name!r}")
        if (there := GUIDES.get(name)) is not None and where(there.wrap) != where(wrap):
            raise ValueError(f"There is a guide {name!r} already: call it otherwise.")
        made = Guide(name, wrap, stage, frozenset(needs), paper, about, check, asks, particles)
        if stage not in STAGES:
            raise ValueError(
                f"The guide {name!r} has the stage {stage!r}; there are {', '.join(STAGES)}."
            )
        for option in made.options:
            if owner := owner_of(option, name):
                raise ValueError(
                    f"The option {option!r} of the guide {name!r} has the name of one of {owner}: "
                    "call it otherwise."
                )
        GUIDES[name] = made
        return wrap

    return register


def owner_of(option: str, other: str = "") -> str:
    """Whose option has this name, in words for a sentence; "" if nobody but the guide `other` has
    it."""
    if option in TAKEN:
        return "generate's settings"
    samplers = [
        f"the sampler {each.name!r}" for each in SAMPLERS.values() if option in each.options
    ]
    guides = [f"the guide {each.name!r}" for each in in_order() if option in each.options]
    return next((who for who in samplers + guides if who != f"the guide {other!r}"), "")


def in_order() -> list[Guide]:
    """All guides, the innermost first."""
    places = list(STAGES)
    return sorted(GUIDES.values(), key=lambda each: (places.index(each.stage), each.name))


def options() -> dict[str, Option]:
    """The options of all guides, the innermost first."""
    return {name: option for each in in_order() for name, option in each.options.items()}


def usual(option: Option, process: Process | None = None) -> Any:
    """The default of an option; where it depends on the process, the first of its choices."""
    if isinstance(option.span, Choice) and option.default is None and process is not None:
        return option.span.of(process)[0]
    return option.default


def models() -> list[str]:
    """The options that are other models, by their names."""
    return [name for name, option in options().items() if isinstance(option.span, Model)]


def offered(process: Process) -> dict[str, Option]:
    """The options of those guides that a process can do, the innermost first."""
    able = [each for each in in_order() if not each.lacking(process)]
    return {name: option for each in able for name, option in each.options.items()}


def check_asked(process: Process, canvas: Canvas, asked: Mapping[str, Any]) -> None:
    """Raises ValueError, in one sentence, for a value that an option cannot have, and for a guide
    that is asked for where the process lacks what it needs."""
    for each in in_order():
        own, known = each.own(asked), each.options
        for name, value in own.items():
            check(name, value, known[name], process)
        wanted = [name for name in own if own[name] != usual(known[name], process)]
        if wanted and (lacking := each.lacking(process)):
            words = f" ({TRAITS[lacking[0]]})" if lacking[0] in TRAITS else ""
            raise ValueError(
                f"{wanted[0]} is {brief(spoken(own[wanted[0]]))}, which needs a model with "
                f"{lacking[0]}{words}, and this one, '{process.name}', has none: leave it out."
            )
        if wanted and each.checker:
            each.checker(process, canvas, **each.values(asked, process))


def spoken(value: Any) -> Any:
    """A value as a sentence names it, an opened model by its process."""
    return value.name if isinstance(value, Process) else value


def asks(asked: Mapping[str, Any]) -> int:
    """How many calls of the network one call of `denoise` becomes, with these options."""
    each = [one.asker(**one.own(asked)) for one in GUIDES.values() if one.asker]
    return math.prod(each)


def particles(asked: Mapping[str, Any]) -> int:
    """How many particles are written in the place of each text, with these options."""
    each = [one.crowd(**one.own(asked)) for one in GUIDES.values() if one.crowd]
    return math.prod(each)


def steered(
    denoise: Denoise, unlabelled: Denoise, context: Context, asked: Mapping[str, Any]
) -> tuple[Denoise, list[Change], list[Done]]:
    """`denoise` wrapped by every guide that the process can do, in the declared order, and the
    guides' functions of a step and those that end a run, in the same order.

    denoise, unlabelled: the process's own, with the canvas's label and without one
    """
    able = [each for each in in_order() if not each.lacking(context.process)]
    return wrapped(able, denoise, unlabelled, context, asked)


def wrapped(
    guides, denoise, unlabelled, context, asked
) -> tuple[Denoise, list[Change], list[Done]]:
    """`steered` by the given guides, the innermost first."""
    changes, ends = [], []
    for n, each in enumerate(guides):

        def again(inner=guides[:n]) -> Denoise:
            memory = context.memory.setdefault("unlabelled", {})
            bare = replace(context, canvas=replace(context.canvas, label=None), memory=memory)
            return wrapped(inner, unlabelled, unlabelled, bare, asked)[0]

        here = replace(context, unlabelled=again)
        denoise, change, done = each.wrapped(denoise, here, asked)
        changes += [change] if change else []
        ends += [done] if done else []
    return denoise, changes, ends


def kept(memory: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of what guides remember, which does not change while they go on: dicts are copied, and
    guides replace values without changing them."""
    return {k: kept(value) if isinstance(value, dict) else value for k, value in memory.items()}


# ---------------------------------------------------------------- what several guides share


def reweighed(
    prediction: Prediction,
    x: Tensor,
    t: Tensor,
    process: Process,
    change: Callable[[Tensor], Tensor],
) -> Prediction:
    """The prediction after a change to what the rest of the text says of each token, while what the
    position's own noisy state says (`Process.state_likelihood`) is added as it is.

    change: of log-probabilities up to a constant, (n, V), of n positions, float64, or what the
    network gave where there are MANY. Under masks these are the masks alone: what is written is
    certain, and at a mask the state says nothing.
    """
    log_x0 = prediction.log_x0
    L, V = log_x0.shape[1:]
    if "prefix" in process.traits:
        open_ = x[:, -L:] == process.mask_id  # with a cache only the last columns are asked
        changed = log_x0.clone() if V > MANY else log_x0.to(torch.float64, copy=True)
        rest = change(levelled(changed[open_]))
        changed[open_] = rest.log_softmax(-1).clamp_min(LOG_ZERO)
        return prediction.with_log_x0(changed)
    state = process.state_likelihood(x, t).double()[:, -L:].flatten(0, 1)
    state = (state - state.amax(-1, keepdim=True)).clamp_min(CERTAIN)
    made = change(levelled(log_x0.double().flatten(0, 1) - state)) + state
    return prediction.with_log_x0(made.log_softmax(-1).clamp_min(LOG_ZERO).view_as(log_x0))


def levelled(log_p: Tensor) -> Tensor:
    """Log-probabilities up to a constant, so that the largest is 0, and no others than a draw may
    meet."""
    return (log_p - log_p.amax(-1, keepdim=True)).clamp_min(NEVER)


discover(__name__, __path__)
