"""A run as something to be run elsewhere: Python with this package, a command, a call of a page;
and the papers of its methods.

What is as usual is left out. On the same machine and in the same precision each of them writes the
same text again.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping

from tinydiff import endings, guides, papers, runs
from tinydiff.processes import PROCESSES
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS, column
from tinydiff.sentences import brief

WIDE = 88  # columns of a line
# the arguments of `generate` beside options, as its signature has them
GENERATED = {"sampler": None, "steps": 64, "seed": 0, "spacing": "uniform"}


# ---------------------------------------------------------------- what is worth saying


def said(asked: Request, usual: Mapping) -> dict:
    """The settings of a run that are not as usual, without those that its model, its sampler or its
    template decide."""
    whole, process = asked.settings, asked.process
    free = dict(usual) | {"sampler": column(process)[0], "until": endings.usual(process)}
    if not SAMPLERS[whole["sampler"]].steps_matter:
        free["steps"] = whole["steps"]
    if whole["template"] is not None:
        free |= {name: whole[name] for name in ("prompt", "length")}
    return {name: whole[name] for name in usual if name != "process" and whole[name] != free[name]}


# ---------------------------------------------------------------- Python


def python(asked: Request) -> str:
    """A program that prints the text of a run, with this package alone."""
    whole, rule = asked.settings, asked.settings["until"]
    stops = rule != "length"
    lines = ["import tinydiff", f"from tinydiff.endings import read_of{', until' * stops}", ""]
    lines += [f"process = tinydiff.load({whole['model']!r})", f"canvas = {canvas(whole)}"]
    if whole["label"]:
        names = asked.settings["label"]
        known = [names] if names in asked.process.labels else runs.parts_of(names)
        lines[:1] = ["import torch", "", lines[0]]
        lines += [
            f"labels = torch.tensor([process.labels.index(name) for name in {known!r}])",
            "canvas = canvas.with_label(labels.repeat(1, 1).squeeze(1))",
        ]
    words = ["process", "canvas", *(f"{k}={value}" for k, value in arguments(asked).items())]
    call = f"frames = tinydiff.generate({', '.join(words)})"
    each = [f"    {word}," for word in words]
    lines += [call] if len(call) <= WIDE else ["frames = tinydiff.generate(", *each, ")"]
    frames = f"until(frames, process, {rule!r})" if stops else "frames"
    lines += [f"*_, frame = {frames}", f"print(read_of(process, frame, {rule!r})[0])"]
    return "\n".join(lines) + "\n"


def canvas(whole: Mapping) -> str:
    """The canvas of a run."""
    if whole["template"] is not None:
        return f"tinydiff.Canvas.template(process.tokenizer, {whole['template']!r})"
    if not whole["prompt"]:
        return f"tinydiff.Canvas.blank({whole['length']!r})"
    return f"tinydiff.Canvas.prompt(process.tokenizer, {whole['prompt']!r}, {whole['length']!r})"


def arguments(asked: Request) -> dict[str, str]:
    """The arguments of `generate` as they are written, those that are not as usual there."""
    whole, process = asked.settings, asked.process
    free = GENERATED | {"sampler": column(process)[0]}
    if not SAMPLERS[whole["sampler"]].steps_matter:
        free["steps"] = whole["steps"]
    named = {name: whole[name] for name in GENERATED if whole[name] != free[name]}
    usual = {name: guides.usual(one, process) for name, one in guides.options().items()}
    named |= {k: v for k, v in runs.steering(whole).items() if v != usual[k]}
    written = {name: repr(value) for name, value in (named | whole["options"]).items()}
    opened = {name: f"tinydiff.load({written[name]})" for name in asked.models if name in written}
    return written | opened


# ---------------------------------------------------------------- a command


def command(asked: Request, what: str = "sample", *more: str) -> str:
    """A command line for a POSIX shell that writes the run; `more` are further words. Raises
    ValueError for a text that no command line can hold."""
    words = ["python", "-m", "tinydiff", what, *more]
    settings = said(asked, runs.defaults())
    options = settings.pop("options", {})
    for name, value in (settings | options).items():
        text = typed(value) if name in ("prompt", "template") else str(value)
        words += flag(name, text)
    return shlex.join(words)


def flag(name: str, text: str) -> list[str]:
    """The words of a flag. Raises ValueError for a text with a sign that ends it."""
    if "\0" in text:
        raise ValueError(f"The {name} is {brief(text)}, and no command line holds its sign \\0.")
    word = "--" + name.replace("_", "-")
    return [f"{word}={text}"] if text.startswith("-") else [word, text]


def typed(text: str) -> str:
    r"""A text as the command line takes it: \n is a new line there, and \\n is \n."""
    return re.sub(r"\\+(?=n)", lambda found: 2 * found[0], text)


def meant(text: str) -> str:
    r"""The text that was typed: \n is a new line, \\n is \n; other backslashes are themselves."""

    def read(found: re.Match) -> str:
        count = len(found[1])
        return "\\" * (count // 2) + ("\n" if count % 2 else "n")

    return re.sub(r"(\\+)n", read, text)


# ---------------------------------------------------------------- a page


def curl(asked: Request, base: str, usual: Mapping) -> str:
    """Two commands for a POSIX shell that let a page write the run: the first asks for it, the
    second reads what comes, the run so far in each line that begins with `data:`.

    base:  the page's address, "http://127.0.0.1:7860"
    usual: the settings that the page has where nothing is said
    """
    base = base.rstrip("/")
    call = f"{base}/gradio_api/call/denoise"
    body = json.dumps({"data": [said(asked, usual)]})
    ask = shlex.join(["curl", "-s", call, "-H", "Content-Type: application/json", "-d", body])
    return f'event=$({ask} | cut -d \'"\' -f 4)\ncurl -sN {shlex.quote(call)}/"$event"\n'


# ---------------------------------------------------------------- papers


def bibtex(settings: Mapping) -> str:
    """BibTeX of the methods of a run, its process, its sampler and the guides that changed
    something, and of this program. settings: complete ones."""
    found = [PROCESSES[settings["process"]].paper] if settings["process"] in PROCESSES else []
    names = [settings["sampler"], *settings["options"].values()]  # an order of blocks is a sampler
    found += [SAMPLERS[name].paper for name in names if isinstance(name, str) and name in SAMPLERS]
    return papers.entries(
        found + [guide.paper for guide in guides.in_order() if used(guide, settings)]
    )


def used(guide: guides.Guide, settings: Mapping) -> bool:
    """Whether a guide changed something in a run; one without options did where it could."""
    if not guide.options:
        process = PROCESSES.get(settings["process"])
        return process is not None and guide.needs <= process.traits
    return any(
        settings.get(name) not in (None, option.default) for name, option in guide.options.items()
    )
