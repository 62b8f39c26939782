"""What the command lines share: flags made from signatures, errors in one sentence, training and playing in a terminal.

Flags are never typed twice: a training flag is a field of `train.Config` with its annotation, a sampler's flag is an option
of its signature with its Range. `python -m tinydiff` and train_space.py are thin layers over this file.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import os
import signal
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from tinydiff import endings, evaluate, hub, render
from tinydiff.export import COLUMNS, caption, glyph, rows
from tinydiff.generate import generate
from tinydiff.processes import PROCESSES
from tinydiff.render import Picture
from tinydiff.samplers import SAMPLERS, Choice, Range, matrix
from tinydiff.train import PRESETS, Config, TrainingError, start
from tinydiff.train import Progress as Trained

EVERY = 30.0  # seconds between two lines of progress where there is no terminal
STYLES = {
    render.MASKED: "dim",
    render.NEW: "bold red",
    render.AGAIN: "bold magenta reverse",
    render.GIVEN: "underline",
    render.DOUBT: "italic dim",
    render.NOISE: "dim strike",
    render.WRITTEN: "",
}
LEGEND = {render.NEW: "new", render.AGAIN: "changed again", render.GIVEN: "given", render.DOUBT: "unsure", render.NOISE: "noise"}


# ---------------------------------------------------------------- flags and errors


class Parser(argparse.ArgumentParser):
    """Answers a mistake in one sentence."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` lists what there is.\n")


def guarded(command: Callable[[], int | None]) -> int:
    """The exit status of a command: 0, or 2 and one sentence on stderr, or 130 when it was interrupted."""
    try:
        return command() or 0
    except BrokenPipeError:  # whoever read our output has enough; Python must not flush into the broken pipe again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TrainingError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def spoken(about: str) -> str:
    """Help as argparse wants it."""
    return about.replace("%", "%%")


def config_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each field of train.Config. What is not given stays out of the namespace: the preset decides it."""
    hints = typing.get_type_hints(Config, include_extras=True)
    for field in fields(Config):
        kind, about = typing.get_args(hints[field.name])
        how = {"action": argparse.BooleanOptionalAction} if kind is bool else {"type": kind, "metavar": kind.__name__}
        parser.add_argument(flag(field.name), default=argparse.SUPPRESS, help=spoken(f"{about} ({field.default})"), **how)


def config_of(args: argparse.Namespace) -> Config:
    """The Config that the flags ask for: their preset's with what is given, or that of the run to be resumed."""
    given = {f.name: getattr(args, f.name) for f in fields(Config) if hasattr(args, f.name)}
    stopped = Path(given.get("out", Config.out)) / "resume.json"
    if args.resume and stopped.is_file():
        return replace(Config(**json.loads(stopped.read_text("utf-8"))), **given)
    base = PRESETS.get(given.get("preset", ""), Config())
    return replace(base, **{"out": f"runs/{given.get('process', base.process)}", **given})


def option_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each option of any sampler; whose it is stands in its help."""
    owners: dict[str, list] = {}
    for chosen in SAMPLERS.values():
        for name, (default, span) in chosen.options.items():
            owners.setdefault(name, []).append((chosen.name, default, span))
    for name, uses in owners.items():
        about = "; ".join(f"{who}: {span.about} ({reach(default, span)})" for who, default, span in uses)
        kind = dict(type=float, metavar="number") if isinstance(uses[0][2], Range) else dict(type=word, metavar="choice")
        parser.add_argument(flag(name), dest=f"option_{name}", help=spoken(about), **kind)


def reach(default: float | None, span: Range | Choice) -> str:
    """What values an option takes, and which one where none is given."""
    return f"{span.low:g} to {span.high:g}, {default}" if isinstance(span, Range) else "the first that the model has"


def word(text: str) -> int | str:
    """A value of a choice: a number where it is one."""
    return int(text) if text.isdecimal() else text


def run_flags(parser: argparse.ArgumentParser) -> None:
    """What makes a run: the model, the canvas, generate's own arguments and the samplers' options."""
    default = {name: p.default for name, p in inspect.signature(generate).parameters.items()}
    default |= {name: evaluate.DEFAULT[name] for name in ("steps", "temperature")}  # as on the page
    add = parser.add_argument
    add("--model", default="masked", help="a bundled model, a checkpoint folder or a Hub id (masked)")
    add("--sampler", default=default["sampler"], help="a name from `python -m tinydiff matrix` (the model's first)")
    add("--prompt", default="", help=r"what the text starts with; \n is a new line")
    add("--template", default="", help="a text with _ for each character to be filled in, in the place of a prompt")
    add("--length", type=int, default=256, help="characters, the prompt included (256)")
    add("--until", default="length", help=f"where the text ends: {', '.join(endings.RULES)} (length)")
    for name, about in (("steps", "denoising steps"), ("seed", "the same seed gives the same text"),
                        ("temperature", "below 1 surer, above 1 wilder"), ("top_p", "share of probability that is kept")):  # fmt: skip
        add(flag(name), type=type(default[name]), default=default[name], help=f"{about} ({default[name]})")
    option_flags(parser.add_argument_group("options of the samplers"))


def settings_of(args: argparse.Namespace) -> dict:
    """The settings of a run as plain JSON, from the flags."""
    names = ("model", "sampler", "steps", "length", "temperature", "top_p", "seed", "until")
    options = {name.removeprefix("option_"): value for name, value in vars(args).items()
               if name.startswith("option_") and value is not None}  # fmt: skip
    text = {name: getattr(args, name).replace("\\n", "\n") for name in ("prompt", "template")}
    return {name: getattr(args, name) for name in names} | text | {"options": options}


# ---------------------------------------------------------------- training


class Stop:
    """While it lasts, Ctrl-C and SIGTERM do not end the program but are remembered; a second Ctrl-C does end it."""

    def __init__(self):
        self.status = 0  # the exit status that is asked for

    def __enter__(self):
        self.old = {}
        if threading.current_thread() is threading.main_thread():
            self.old = {s: signal.signal(s, self.remember) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self.old.items():
            signal.signal(number, handler)

    def remember(self, number, frame):
        if self.status:
            raise KeyboardInterrupt
        self.status = 128 + number


def train_flags(parser: argparse.ArgumentParser) -> None:
    config_flags(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, with the settings it had")
    parser.add_argument("--push-to", metavar="USER/NAME", help="upload the checkpoint to the Hugging Face Hub at the end")
    parser.add_argument("--private", action="store_true", help="make that Hub repository a private one")


def train_command(args: argparse.Namespace, program: str) -> int:
    """Train as the flags say, show how it goes, and say how to open what came out or how to go on."""
    if args.push_to and not hub.is_repo_id(args.push_to):
        raise ValueError(f"{args.push_to!r} is not a Hub id: it has the form 'user/name'.")
    config = config_of(args)
    run = start(config, resume=args.resume)
    if run.step >= config.steps:
        raise ValueError(f"The run in {config.out!r} has all its {config.steps} steps: give a larger --steps to go on.")
    with Stop() as stop:
        report = bar if sys.stdout.isatty() else lines
        for _ in report(run.steps(), config, run.step):
            if stop.status:
                run.save()
                print(f"Stopped at step {run.step} and saved; go on with: {program} --resume --out {config.out}")
                return stop.status
    opened = 'rewrite "plain words"' if config.task else "sample"
    print(f"The checkpoint is in {config.out}; open it with: python -m tinydiff {opened} --model {config.out}")
    if args.push_to:
        print(f"Pushed to {hub.push(config.out, args.push_to, private=args.private)}")
    return 0


def bar(steps: Iterator[Trained], config: Config, first: int) -> Iterator[Trained]:
    """Progress on a terminal: a bar, and a sample of the text at each validation."""
    columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(None), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task, clock = progress.add_task("", total=config.steps, completed=first), Clock(config, first)
        for now in steps:
            progress.update(task, completed=now.step, description=clock.words(now))
            if now.sample is not None:
                progress.console.print(Text(now.sample.strip(), "dim"))
                progress.console.print(Text(f"step {now.step}: {clock.words(now)}"))
            yield now


def lines(steps: Iterator[Trained], config: Config, first: int) -> Iterator[Trained]:
    """Progress where there is no terminal: a line at each validation and now and then between."""
    clock, said = Clock(config, first), 0.0
    for now in steps:
        if now.valid is not None or time.monotonic() - said > EVERY:
            said = time.monotonic()
            print(f"step {now.step} of {now.steps}: {clock.words(now)}, {clock.left(now)} left", flush=True)
        yield now


class Clock:
    """How fast a run goes, counted from its first step in this program, and the last validation that it reported."""

    def __init__(self, config: Config, first: int):
        self.size, self.first, self.start, self.bits = config.batch * config.shape["length"], first, None, None

    def pace(self, now: Trained) -> float:
        """Seconds a step. The first step, which compiles, counts only while there is no other."""
        if self.start is None:
            self.first, self.start = now.step, now.seconds
        steps = now.step - self.first
        return (now.seconds - self.start) / steps if steps else now.seconds / now.step

    def words(self, now: Trained) -> str:
        self.bits = now.bits or self.bits
        known = "" if self.bits is None else f", {self.bits:.3f} bits a character"
        return f"loss {now.loss:.3f}{known}, {self.size / max(self.pace(now), 1e-9):,.0f} tokens/s"

    def left(self, now: Trained) -> str:
        seconds = round((now.steps - now.step) * self.pace(now))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


# ---------------------------------------------------------------- playing


def play(pictures: Iterable[Picture], settings: dict, total: int, console: Console) -> Picture:
    """Show a run in the terminal as it comes; the last picture."""
    states = render.States()
    with contextlib.closing(pictures), Live(console=console, refresh_per_second=30) as live:
        for picture in pictures:
            live.update(frame(picture, states(picture), settings, total, min(COLUMNS, console.width)))
    return picture


def frame(picture: Picture, states: str, settings: dict, total: int, width: int) -> Group:
    """One picture as what rich draws: rows of cells, a line of facts, a legend."""
    page = Text("\n").join(cells(*row) for row in rows(picture.text, states, width=width))
    legend = Text("   ").join(Text(name, STYLES[state]) for state, name in LEGEND.items())
    return Group(page, Text(""), Text(caption(settings, picture, total), "dim"), legend)


def cells(text: str, states: str) -> Text:
    row = Text(no_wrap=True)
    for character, state in zip(text, states):
        row.append(glyph(character), STYLES[state])
    return row


# ---------------------------------------------------------------- the matrix


def matrix_table() -> Table:
    """The process x sampler table, for a terminal."""
    fits = matrix()
    table = Table(Column("sampler", no_wrap=True), Column("processes", ratio=1), Column("what it does", ratio=2))
    for name, chosen in SAMPLERS.items():
        table.add_row(name, ", ".join(p for p in PROCESSES if fits[p, name]), chosen.about)
    return table


def matrix_markdown() -> str:
    """The process x sampler table as it stands in the README."""
    fits = matrix()
    lines = ["| sampler | " + " | ".join(PROCESSES) + " | what it does |", "|---|" + ":-:|" * len(PROCESSES) + "---|"]
    for name, chosen in SAMPLERS.items():
        marks = " | ".join("✓" if fits[p, name] else " " for p in PROCESSES)
        lines.append(f"| `{name}` | {marks} | {chosen.about} |")
    return "\n".join(lines)
