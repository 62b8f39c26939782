"""From settings to a run: the one way that the command line, the page, links and exports share.

Settings are plain values by name; every option of a guide is one, and where that is another model,
its name. A setting that is left out has its value of `defaults`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import torch

from tinydiff import guides
from tinydiff.classifier import Classifier
from tinydiff.doubt import Doubt
from tinydiff.drafts import Drafts
from tinydiff.endings import check_rule, until, usual
from tinydiff.generate import Frame, check_options, check_sampler, check_weighed, generate
from tinydiff.processes import Process
from tinydiff.samplers import State
from tinydiff.schedules import check_grid
from tinydiff.sentences import brief, listed
from tinydiff.show import curves as drawn
from tinydiff.show import render
from tinydiff.show.render import Picture, Run
from tinydiff.store import catalogue
from tinydiff.text import Canvas, blanks

# of which nothing was said, where no guide says otherwise (`defaults`); "process" is what the model
# is, an answer and no question
DEFAULTS = {
    "model": "stories/masked",
    "process": None,
    "sampler": None,  # the first that fits the model
    "steps": 64,
    "seed": 0,
    "spacing": "uniform",  # of the steps, one of schedules.GRIDS
    "temperature": 0.6,  # at which stories/masked repeats itself little more than real stories
    "top_p": 1.0,
    "label": "",  # of the model's, by name or number; "glad, short" names some
    "length": 256,
    "prompt": "",
    "template": None,  # in the place of a prompt
    "until": None,  # one of endings.RULES; its `usual` one
    "options": {},  # of the sampler
}
# the settings that are arguments of generate, beside the options of samplers and guides
GENERATED = ("sampler", "steps", "seed", "spacing")


def defaults() -> dict:
    """The default of every setting: DEFAULTS, and for each guide's options the default of its
    signature, None where that depends on the model."""
    return {name: option.default for name, option in guides.options().items()} | DEFAULTS


@dataclass(frozen=True)
class Request:
    """Checked settings, and what they stand for: a run that is ready to start. settings: all of
    them, as plain JSON; models: those that guides are handed, opened, by the option of each; start:
    a state of the canvas to go on from; linked: whether the settings alone make the run again."""

    settings: dict
    process: Process
    canvas: Canvas
    models: dict[str, Process] = field(default_factory=dict)
    start: State | None = None  # what it goes on from, in the place of noise
    linked: bool = True  # do its settings make it again?

    @property
    def arguments(self) -> dict:
        """The keyword arguments of `generate`."""
        named = {name: self.settings[name] for name in GENERATED}
        begun = {} if self.start is None else {"start": self.start}
        return named | begun | self.steering | self.settings["options"]

    @property
    def steering(self) -> dict:
        """The options of guides, with models that were opened."""
        return steering(self.settings) | self.models

    def frames(self, generate: Callable[..., Iterator[Frame]] = generate) -> Iterator[Frame]:
        """The run. Closing it stops the work."""
        frames = generate(self.process, self.canvas, **self.arguments)
        return until(frames, self.process, self.settings["until"] or usual(self.process))


def request(
    settings: Mapping,
    process: Process | None = None,
    load: Callable[[str], Process] = catalogue.load,
) -> Request:
    """Complete settings and check them. process: the settings' model, if it is open already; load:
    opens the models that guides are handed. Raises ValueError, in one sentence, before anything is
    computed."""
    whole = complete(settings)
    models = {name: load(whole[name]) for name in guides.models() if whole[name]}
    process = catalogue.load(whole["model"]) if process is None else process
    if isinstance(process, Doubt):
        raise ValueError(
            f"{brief(whole['model'])} doubts texts and writes nothing: name the model beside which "
            "it was trained."
        )
    if isinstance(process, Drafts):
        raise ValueError(
            f"{brief(whole['model'])} drafts and writes nothing itself: name the model beside "
            "which it was trained, and this one as its drafter."
        )
    if isinstance(process, Classifier):
        raise ValueError(
            f"{brief(whole['model'])} tells labels and writes nothing: name a model, and this one "
            "as its classifier."
        )
    if process.task:
        raise ValueError(
            f"The model {brief(whole['model'])} rewrites lines and writes no plain text: choose "
            "another, or open it with `python -m tinydiff rewrite`."
        )
    sampler = check_sampler(process, whole["sampler"])
    check_options(process, sampler, whole["options"])
    whole["until"] = whole["until"] or usual(process)
    check_rule(whole["until"])
    check_grid(whole["spacing"])
    named = {"process": process.name, "sampler": sampler.name, "label": label(process, whole)}
    canvas = canvas_of(process, whole | named)
    asked = Request(whole | named, process, canvas, models)
    guides.check_asked(process, canvas, asked.steering | whole["options"])
    check_weighed(process, sampler, guides.particles(asked.steering))
    return asked


def steering(settings: Mapping) -> dict:
    """The options of guides among the settings."""
    return {k: settings[k] for k in guides.options() if settings.get(k) is not None}


def complete(settings: Mapping) -> dict:
    """All settings, with `defaults` for those left out, and texts with plain line breaks. Raises
    ValueError for unknown names, and for values of a wrong type."""
    usual = defaults()
    if unknown := sorted(set(settings) - set(usual)):
        known = [name for name in usual if name != "process"]
        raise ValueError(f"There is no setting {brief(unknown[0])}; there are {', '.join(known)}.")
    whole = usual | {name: value for name, value in settings.items() if value is not None}
    if not isinstance(whole["options"], dict):
        raise ValueError(
            f"The options are {brief(whole['options'])}; give a name and a number for each, or "
            "{}."
        )
    texts = [name for name in ("prompt", "template", *guides.models()) if whole[name] is not None]
    whole |= {name: text(name, whole[name]) for name in texts}
    return whole | {name: whole[name] or None for name in guides.models()}


def text(name: str, value: object) -> str:
    """A text as it was typed, whatever system it was typed on. Raises ValueError if it is none."""
    if not isinstance(value, str):
        raise ValueError(f"The {name} is {brief(value)}; give a text.")
    return value.replace("\r\n", "\n")


def label(process: Process, settings: Mapping) -> str:
    """The names of the labels that settings give by names or numbers, "glad, short", "" for none.
    Raises ValueError for a label that the model does not know, and for two of one attribute."""
    wanted, known = settings["label"], process.labels
    if wanted == "":
        return ""
    if not known:
        raise ValueError(
            f"The label is {brief(wanted)}, but this model, {brief(settings['model'])}, knows no "
            "labels: leave it out."
        )
    named = {k: name for number, name in enumerate(known) for k in (number, str(number))}
    named |= {name: name for name in known}  # a name may be another's number
    whole = type(wanted) is int or (isinstance(wanted, str) and wanted in named)
    parts = [wanted] if whole or not isinstance(wanted, str) else parts_of(wanted)
    if strange := [part for part in parts if type(part) not in (int, str) or part not in named]:
        raise ValueError(f"The label is {brief(strange[0])}; this model knows {listed(known)}.")
    names = dict.fromkeys(named[part] for part in parts)
    for values in process.attributes.values():
        if len(found := [name for name in names if name in values]) > 1:
            raise ValueError(
                f"The label is {brief(', '.join(found))}; give one of {listed(values)}."
            )
    return ", ".join(name for name in known if name in names)


def parts_of(label: str) -> list[str]:
    """The names in "glad, short"."""
    return [part.strip() for part in label.split(",") if part.strip()]


def canvas_of(process: Process, settings: Mapping) -> Canvas:
    """The canvas that settings describe: the template where there is one, else the prompt at the
    start of `length` tokens; with the labels. Raises ValueError as that does, and for a template
    that is empty."""
    if settings["template"] == "":
        blank = blanks(process.tokenizer)[-1]
        raise ValueError(f"The template is empty: write {blank} for each token to be filled in.")
    if settings["template"] is not None:
        canvas = Canvas.template(process.tokenizer, settings["template"])
    else:
        canvas = Canvas.prompt(process.tokenizer, settings["prompt"], settings["length"])
    if not settings["label"]:
        return canvas
    known, label = process.labels, settings["label"]
    which = [known.index(name) for name in ([label] if label in known else parts_of(label))]
    return canvas.with_label(torch.tensor(which).repeat(len(canvas.tokens), 1).squeeze(1))


def begin(settings: Mapping) -> tuple[dict, int, Iterator[Picture]]:
    """Start a run: the completed settings, the number of steps that it will take, and an iterator
    of its pictures. Raises as `request` does."""
    return started(request(settings))


def started(asked: Request) -> tuple[dict, int, Iterator[Picture]]:
    """`begin`, of settings that are checked."""
    frames = asked.frames()
    first = next(frames)
    length = {"length": asked.canvas.tokens.shape[1]}
    pictures = render.record(asked.process, asked.canvas, chain([first], frames))
    return asked.settings | length, first.steps, pictures


def record(settings: Mapping) -> Run:
    """The whole run that settings describe, with its `curves`. Raises as `begin` does."""
    asked = request(settings)
    whole, _, pictures = started(asked)
    return Run(whole, list(pictures), curves(asked))


def curves(asked: Request) -> dict[str, list]:
    """What is drawn beside a run, over t: alpha and the loss weight of its noise, and, where its
    checkpoint was evaluated, its loss on held-out text."""
    return drawn.of(asked.process) | drawn.of_levels(evaluation(asked.settings["model"])["levels"])


def evaluation(model: str) -> dict:
    """What was measured of a model, with "levels", [] where that is not known."""
    try:
        card = None if model.startswith(catalogue.PERFECT) else catalogue.found_card(model)
    except (OSError, ValueError):
        card = None  # a visitor's own, which has none, or a damaged one: then nothing is drawn
    return {"levels": [], **(card.evaluation if card else {})}
