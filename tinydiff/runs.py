"""From settings to a run: the one way that the command line, the page, links and exports share.

Settings are plain values by their names; what is left out has generate's own default.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import chain

from tinydiff.endings import until
from tinydiff.generate import generate
from tinydiff.processes import Process
from tinydiff.samplers import column
from tinydiff.show import render
from tinydiff.show.render import Picture, Run
from tinydiff.store import catalogue
from tinydiff.text import Canvas

# the settings that are arguments of generate
GENERATED = (
    "sampler",
    "steps",
    "seed",
    "temperature",
    "top_p",
)


def begin(settings: dict) -> tuple[dict, int, Iterator[Picture]]:
    """Start a run: its settings made whole, the number of steps it will take, and its pictures as
    they come.

    settings: model, prompt, template, length, until (one of endings.RULES), and generate's sampler,
    steps, seed, temperature, top_p and options. What is left out has generate's default. Raises
    ValueError, in one sentence, before anything is computed.
    """
    whole = {
        name: settings.get(name) if settings.get(name) is not None else default
        for name, default in defaults().items()
    }
    process = catalogue.load(whole["model"])
    if process.task:
        raise ValueError(
            f"The model {whole['model']!r} rewrites lines: open it with `python -m tinydiff "
            "rewrite`."
        )
    canvas = canvas_of(process, whole)
    frames = generate(
        process, canvas, **{name: whole[name] for name in GENERATED}, **whole["options"]
    )
    frames = until(frames, process, whole["until"])
    whole |= {
        "process": process.name,
        "sampler": whole["sampler"] or column(process)[0],
        "length": canvas.tokens.shape[1],
    }
    first = next(frames)
    return whole, first.steps, render.record(process, canvas, chain([first], frames))


def defaults() -> dict:
    """The settings of a run of which nothing was said: generate's own where it has them."""
    own = {
        name: p.default
        for name, p in inspect.signature(generate).parameters.items()
        if name in GENERATED
    }
    return {
        "model": "masked",
        "process": None,
        **own,
        "length": 256,
        "prompt": "",
        "template": "",
        "until": "length",
        "options": {},
    }


def canvas_of(process: Process, settings: dict) -> Canvas:
    """The canvas that settings describe: the template where there is one, else the prompt at the
    start of `length`."""
    if settings["template"]:
        return Canvas.template(process.tokenizer, settings["template"])
    return Canvas.prompt(process.tokenizer, settings["prompt"], settings["length"])


def record(settings: dict) -> Run:
    """The whole run that settings describe. Raises as `begin` does."""
    whole, _, pictures = begin(settings)
    return Run(whole, list(pictures))
