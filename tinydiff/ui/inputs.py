"""What a visitor asks for, checked: raw values from widgets, the API or a link -> Asked, or one
sentence.

Widgets enforce little on the server and the API nothing, so every value is looked at again here. A
link is the same settings as the page's address, so the same link is the same run.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

import gradio as gr

from tinydiff.generate import Frame, check_number, check_options, check_sampler
from tinydiff.measure import evaluate
from tinydiff.processes import Process
from tinydiff.sentences import brief
from tinydiff.store import catalogue, hub
from tinydiff.text import Canvas
from tinydiff.ui import cost, visitor_models
from tinydiff.ui.gpu import generate

DEFAULTS = dict(
    model="masked",
    length=256,
    top_p=1.0,
    seed=7,
    prompt="ROMEO:",
    template=None,
    options={},
    **evaluate.DEFAULT,
)
LIMITS = {  # low, high, whole
    "steps": (1, 256, True),
    "length": (16, 1024, True),
    "temperature": (0, 2, False),
    "top_p": (0.05, 1, False),
    "seed": (0, 2**31 - 1, True),
}
STEPS = [1, 2, 4, 8, 16, 32, 64, 128, 256]


@dataclass(frozen=True)
class Settings:
    """A run, as plain JSON. `template` is None where a prompt is meant."""

    model: str
    process: str
    sampler: str
    steps: int
    length: int
    temperature: float
    top_p: float
    seed: int
    prompt: str
    template: str | None
    options: dict[str, float]

    def plain(self) -> dict:
        return asdict(self)

    def query(self) -> str:
        """The settings as the query of a link; what is as in DEFAULTS is left out, but never
        everything."""
        own = {k: v for k, v in self.plain().items() if k in DEFAULTS and v != DEFAULTS[k]} | {
            "seed": self.seed
        }
        return urlencode(
            {k: json.dumps(v, ensure_ascii=False) if k == "options" else v for k, v in own.items()}
        )


@dataclass(frozen=True)
class Asked:
    """Checked settings with what they mean: ready to run."""

    settings: Settings
    process: Process
    canvas: Canvas

    def frames(self, clock: cost.Clock | None = None) -> Iterator[Frame]:
        """The run, for as long as the clock gives it."""
        s = self.settings
        frames = generate(
            self.process,
            self.canvas,
            sampler=s.sampler,
            steps=s.steps,
            seed=s.seed,
            temperature=s.temperature,
            top_p=s.top_p,
            **s.options,
        )
        return (clock or cost.Clock()).watch(frames)

    @property
    def work(self) -> float:
        """What it takes, in multiplications."""
        s = self.settings
        return cost.work(self.process, self.canvas, sampler=s.sampler, steps=s.steps, **s.options)


@contextmanager
def told():
    """A ValueError inside becomes a gr.Error with the same sentence."""
    try:
        yield
    except ValueError as error:
        raise sentence(str(error)) from None


def sentence(words: str) -> gr.Error:
    """What the visitor sees; the words may hold what a stranger typed, and the toast reads HTML."""
    return gr.Error(html.escape(words, quote=False), title="Not possible", print_exception=False)


def read(raw: Mapping[str, object], own: visitor_models.Own | None = None) -> Asked:
    """Check everything; what is not named is as in DEFAULTS; own is the visitor's own model. Raises
    gr.Error in one sentence."""
    with told():
        unknown = sorted(set(raw) - set(DEFAULTS))
        if unknown:
            raise ValueError(
                f"There is no setting {brief(unknown[0])}; there are {', '.join(DEFAULTS)}."
            )
        values = {**DEFAULTS, **raw}
        numbers = {name: number(name, values[name]) for name in LIMITS}
        model = pinned(values["model"])
        process = open_model(model, own)
        sampler = (
            check_sampler(process, text("sampler", values["sampler"]))
            if "sampler" in raw
            else default(process)
        )
        options = options_of(values["options"])
        check_options(process, sampler, options)
        prompt = text("prompt", values["prompt"])
        template = None if values["template"] is None else text("template", values["template"])
        canvas = canvas_of(process, prompt, template, numbers["length"])
        settings = Settings(
            model=model,
            process=process.name,
            sampler=sampler.name,
            prompt=prompt,
            template=template,
            options=options,
            **numbers,
        )
        asked = Asked(settings, process, canvas)
        cost.check([asked.work])
    return asked


def known(name: str, value: object, choices) -> str:
    """One of the choices. Raises gr.Error that lists them."""
    if not isinstance(value, str) or value not in choices:
        raise sentence(f"There is no {name} {brief(value)}; there are {', '.join(choices)}.")
    return value


def default(process: Process):
    """The sampler that is meant where none is named."""
    try:
        return check_sampler(process, DEFAULTS["sampler"])
    except ValueError:
        return check_sampler(process, None)


def number(name: str, value: object) -> int | float:
    low, high, whole = LIMITS[name]
    check_number(name, value, low, high, whole)
    return int(value) if whole else float(value)


def text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"The {name} is {brief(value)}; give a text.")
    return value.replace("\r\n", "\n")


def options_of(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ValueError(
            f"The options are {brief(value)}; give a name and a number for each, or {{}}."
        )
    return value


def canvas_of(process: Process, prompt: str, template: str | None, length: int) -> Canvas:
    """The canvas that a prompt or a template describes."""
    if template is None:
        return Canvas.prompt(process.tokenizer, prompt, length)
    low, high, _ = LIMITS["length"]
    if len(template) > high:
        raise ValueError(
            f"The template has {len(template):,} characters; there is room for {high:,}."
        )
    return Canvas.template(process.tokenizer, template)


def pinned(name: object) -> str:
    """The key of a model: a bundled one or a perfect network by its name, or a checkpoint of the
    Hub with the commit that it is now, fetched if it is not here. Folders of this machine are not
    open to visitors.
    """
    name = text("model", name).strip()
    if name == visitor_models.NAME or name in catalogue.models():
        return name
    if hub.is_source(name):
        return str(hub.pull(name).source)
    known = ", ".join(catalogue.models())
    raise ValueError(
        f"There is no model {brief(name)}; there are {known}, and any checkpoint of the Hub "
        "as user/name."
    )


def open_model(name: object, own: visitor_models.Own | None = None) -> Process:
    """A model that writes plain text, by its key or Hub id, or the visitor's own. Raises
    ValueError."""
    if name == visitor_models.NAME and own is None:
        raise ValueError(
            "The model 'mine' is there only for who trained it, and for an hour: train your "
            "own under Train."
        )
    if name == visitor_models.NAME:
        return own.process
    process = catalogue.open_model(key := pinned(name))
    if process.task:
        raise ValueError(
            f"The model {key!r} rewrites lines and writes no plain text: choose another."
        )
    return process


def origin(model: str) -> str:
    """One line on where a model comes from."""
    if model == visitor_models.NAME:
        return "You trained it; it is here for this visit, and nobody else can see it."
    return (
        f"From the Hub, commit {hub.Source.parse(model).revision[:12]}."
        if hub.is_source(model)
        else "In this copy."
    )


# ---------------------------------------------------------------- links


def from_query(query: Mapping[str, str]) -> dict[str, object]:
    """The raw settings in a link; names that are not ours are left alone (the page has its own,
    such as __theme)."""
    return {name: parsed(name, value) for name, value in query.items() if name in DEFAULTS}


def parsed(name: str, value: str) -> object:
    """A number where one is meant, and the text itself where it is not one: `read` says what is
    wrong with it."""
    if name not in LIMITS and name != "options":
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # brackets within brackets, deeper than Python goes
        return value
