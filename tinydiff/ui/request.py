"""What a visitor asks for, checked: raw values from widgets, the API or a link become a
`runs.Request`, or a refusal in one sentence.

Widgets enforce little on the server and the API nothing, so every value is looked at again here. A
link is the same settings as the page's address, so the same link is the same run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlencode

from tinydiff import guides, runs
from tinydiff.generate import Frame, check_number
from tinydiff.options import Choice, Range
from tinydiff.processes import PROCESSES, Process
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS, column
from tinydiff.sentences import brief
from tinydiff.store import catalogue, hub
from tinydiff.store.catalogue import Model
from tinydiff.ui import cost, gpu, visitor_models
from tinydiff.ui.errors import refusals
from tinydiff.ui.session import Job, Session

# the run that the page opens with, beside the options of guides (`opening`); opened.py changes it
# before the page is built, where its owner names a checkpoint
OPENING = {name: value for name, value in runs.DEFAULTS.items() if name != "process"} | {
    "prompt": "Once upon a time",
    "length": 128,
    "seed": 7,
}
# and what a link meant that names no model, as links did that were made before there were stories
BEFORE = {"model": "shakespeare/masked", "prompt": "ROMEO:", "steps": 128, "temperature": 0.8}
LONG = {"length": 256}  # and one that names no length
LIMITS = {  # low, high, whole
    "steps": (1, 256, True),
    "length": (16, 1024, True),
    "temperature": (0, 2, False),
    "top_k": (0, 100, True),
    "top_p": (0.05, 1, False),
    "seed": (0, 2**31 - 1, True),
}
STEPS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
LOOKS = (1, 2, 4, 8, 16, 32, 64, 128)  # numbers of steps that the slider has


def opening() -> dict:
    """The run that the page opens with; links and the API leave out what is as here."""
    return {name: value for name, value in runs.defaults().items() if name != "process"} | OPENING


def read(
    raw: Mapping[str, object],
    session: Session | None = None,
    opened: tuple[Model, Process] | None = None,
) -> Request:
    """Check everything; what is not named is as in `opening`. opened: the model, where it is open
    already. Raises gr.Error in one sentence."""
    with refusals():
        values = opening() | raw
        may_be_none = {"template", *guides.models()}
        if missing := [name for name in raw if raw[name] is None and name not in may_be_none]:
            raise ValueError(f"The {missing[0]} is None; give a value, or leave it out.")
        numbers = {name: number(name, values[name]) for name in LIMITS}
        check_template(values["template"])
        model, process = opened or open_model(values["model"], session)
        helpers = {k: open_helper(values[k], session) for k in guides.models() if values[k]}
        named = {k: key for k, (key, _) in helpers.items()} | {"model": model.key}
        there = dict(helpers.values())
        request = runs.request({**values, **numbers, **named}, process, there.__getitem__)
        cost.check([cost.of(request)])
    return request


def frames(request: Request, job: Job) -> Iterator[Frame]:
    """The run, on the GPU where there is one, for as long as its job is wanted and has time."""
    return job.watch(request.frames(gpu.generate))


def number(name: str, value: object) -> int | float:
    low, high, whole = LIMITS[name]
    check_number(name, value, low, high, whole)
    return int(value) if whole else float(value)


def check_template(value: object) -> None:
    """Raises ValueError for a template that is too long."""
    if value is None:
        return
    value, (_, most, _) = runs.text("template", value), LIMITS["length"]
    if len(value) > most:
        raise ValueError(f"The template has {len(value):,} characters; there is room for {most:,}.")


def open_model(name: object, session: Session | None = None) -> tuple[Model, Process]:
    """A model that writes plain text: a bundled one or a perfect network by its name, the one that
    the visitor trained, or a checkpoint of the Hub, which is pulled unless that commit is here; its
    key then names the commit, and it stays in the visitor's menus. Folders of this machine are not
    open to visitors. Raises ValueError."""
    name = runs.text("model", name).strip()
    if name == visitor_models.NAME:
        return trained_model(session)
    model, process = opened_among(name, catalogue.models(), session)
    if process.task:
        raise ValueError(
            f"The model {brief(name)} rewrites lines and writes no plain text: choose another, or "
            "play it in the tab Tasks."
        )
    return model, process


def open_helper(name: object, session: Session | None) -> tuple[str, Process]:
    """A model that a guide is handed, and its key: a bundled classifier by its name, or what
    `open_model` opens."""
    if name in catalogue.classifiers():
        return name, catalogue.opened_classifier(name)
    model, process = open_model(name, session)
    return model.key, process


def opened_among(
    name: str, known: Mapping[str, Model], session: Session | None
) -> tuple[Model, Process]:
    """One of the known models by its name, or one of the Hub. Raises ValueError."""
    if catalogue.named(name, known) not in known and not catalogue.of_hub(name):
        raise ValueError(
            f"There is no model {brief(name)}; there are {', '.join(catalogue.short(known))}, and "
            "any checkpoint of the Hub as user/name."
        )
    model, process = catalogue.find(name)
    if session is not None and catalogue.of_hub(model.key):
        session.remember({model.key: model})
    return model, process


def look_up(name: object, session: Session, fits: Callable[[Model], bool]) -> str:
    """What a visitor typed or chose, as `open_model` takes it: of a repository of the Hub that
    holds several the first that fits, and all of them are in the visitor's menus then. Raises
    ValueError."""
    name = runs.text("model", name).strip()
    known = session.local_models() | session.rewriters() | catalogue.bundled()
    if catalogue.named(name, known) in known or not catalogue.of_hub(name) or hub.is_here(name):
        return name
    end = time.monotonic() + hub.PATIENCE
    found = catalogue.hub_contents(name)
    key = next((key for key, model in found.items() if fits(model)), next(iter(found)))
    hub.pull(key, max(1.0, end - time.monotonic()))
    session.remember(found)
    return key


def writes(model: Model) -> bool:
    """Does it write plain text?"""
    return not model.task


def trained_model(session: Session | None) -> tuple[Model, Process]:
    """The model that the visitor trained. Raises ValueError where there is none."""
    if session is None or (found := session.trained_model()) is None:
        raise ValueError(
            "The model 'mine' is there only for who trained it, and for an hour: train your "
            "own under Train."
        )
    return session.local_models()[visitor_models.NAME], found.process


def origin(model: str) -> str:
    """One line on where a model comes from; nothing of one of this copy."""
    if model == visitor_models.NAME:
        return "You trained it; it is here for this visit, and nobody else can see it."
    if catalogue.of_hub(model):
        return f"From the Hub, commit {hub.Source.parse(model).revision[:12]}."
    return "The page was opened with it." if model in catalogue.GUESTS else ""


# ---------------------------------------------------------------- links


def query(settings: Mapping, until: str | None = None) -> str:
    """Settings as the query of a link; what is as in `opening` is left out, and so is the sampler
    that the model has first. Model, length and seed are always said. until:
    the usual value of that setting, where it is known."""
    first = column(PROCESSES[settings["process"]])[0]
    usual = opening() | {"sampler": first, "seed": None, "model": None, "length": None}
    said = {name: settings[name] for name in usual if settings[name] != usual[name]}
    if until is not None and said.get("until") == until:
        del said["until"]
    declared = SAMPLERS[settings["sampler"]].options if settings["sampler"] else {}
    own = {k: v for k, v in settings["options"].items() if v != declared[k][0]}
    said.pop("options", None)
    if own:
        said["options"] = json.dumps(own, ensure_ascii=False)
    return urlencode(said)


def from_query(query: Mapping[str, str]) -> dict[str, object]:
    """The raw settings in a link; names that are not ours are left alone (the page has its own,
    such as __theme). A seed without a model is of a link from BEFORE."""
    known, before = opening(), {}
    if "seed" in query:
        before = LONG | (BEFORE if "model" not in query else {})
    return before | {name: parsed(name, value) for name, value in query.items() if name in known}


def parsed(name: str, value: str) -> object:
    """A number where one is meant, and the text itself where it is not one: `read` says what is
    wrong with it."""
    option = guides.options().get(name)
    plain = isinstance(option.span, (Range, Choice)) if option else name in (*LIMITS, "options")
    if not plain:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # brackets within brackets, deeper than Python goes
        return value
