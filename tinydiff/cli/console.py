"""What the command lines share: flags made from signatures, errors in one sentence, training and
playing in a terminal.

Flags are never typed twice: a training flag is a field of `train.Config` with its annotation, a
sampler's flag is an option of its signature with its Range. `python -m tinydiff` and train_space.py
are thin layers over this file.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import re
import sys
import time
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from tinydiff import endings
from tinydiff.generate import generate
from tinydiff.measure import evaluate
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, Choice, Range, matrix
from tinydiff.sentences import brief, clean, say, sentence
from tinydiff.show import render
from tinydiff.show.export import COLUMNS, caption, glyph, rows
from tinydiff.show.render import Picture
from tinydiff.store import checkpoint, hub
from tinydiff.train.loop import PRESETS, Config, Run, TrainingError, check, start
from tinydiff.train.loop import Progress as Trained
from tinydiff.train.pace import Pace, Stop
from tinydiff.train.pushing import Keeper

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
LEGEND = {
    render.NEW: "new",
    render.AGAIN: "changed again",
    render.GIVEN: "given",
    render.DOUBT: "unsure",
    render.NOISE: "noise",
}


# ---------------------------------------------------------------- flags and errors


class Parser(argparse.ArgumentParser):
    """Answers a mistake in one sentence."""

    def parse_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else args
        for word_ in args:
            if re.fullmatch(r"-[^=]*=--", word_):  # argparse would hand on an empty list
                self.error(f"the value of {word_[:-3]} cannot be --")
        return super().parse_args(args, namespace)

    def error(self, message):
        say(
            f"{self.prog}: {sentence(message)}; `{self.prog} --help` lists what there is.",
            sys.stderr,
        )
        self.exit(2)


def guarded(command: Callable[[], int | None]) -> int:
    """The exit status of a command: 0, or 2 and one sentence on stderr, or 130 when it was
    interrupted."""
    try:
        return command() or 0
    except (
        BrokenPipeError
    ):  # whoever read our output has enough; Python must not flush into the broken pipe again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TrainingError, OSError) as error:
        say(sentence(error), sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        say(
            "This machine has not the memory for that: make the text, the batch or the "
            "network smaller.",
            sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        say("Stopped.", sys.stderr)
        return 130


def is_memory(error: Exception) -> bool:
    """Did an allocation fail? torch says so of the CPU in words alone."""
    return isinstance(
        error, (MemoryError, torch.OutOfMemoryError)
    ) or "can't allocate memory" in str(error)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def spoken(about: str) -> str:
    """Help as argparse wants it."""
    return about.replace("%", "%%")


def config_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each field of train.Config. What is not given stays out of the namespace: the
    preset decides it."""
    hints = typing.get_type_hints(Config, include_extras=True)
    for field in fields(Config):
        kind, about = typing.get_args(hints[field.name])
        how = (
            {"action": argparse.BooleanOptionalAction}
            if kind is bool
            else {"type": kind, "metavar": kind.__name__}
        )
        parser.add_argument(
            flag(field.name),
            default=argparse.SUPPRESS,
            help=spoken(f"{about} ({field.default})"),
            **how,
        )


def config_of(args: argparse.Namespace) -> Config:
    """The Config that the flags ask for: their preset's with what is given, or that of the run to
    be resumed."""
    given = {f.name: getattr(args, f.name) for f in fields(Config) if hasattr(args, f.name)} | {
        "out": str(out_of(args))
    }
    if args.resume and (out_of(args) / "resume.json").is_file():
        return replace(saved_config(out_of(args)), **given)
    return replace(PRESETS.get(given.get("preset", ""), Config()), **given)


def saved_config(folder: Path) -> Config:
    """The Config of a run that was saved in a folder. Raises CheckpointError where that cannot be
    read."""
    told = checkpoint.read_object(folder, "resume.json")
    if strange := told.keys() - {f.name for f in fields(Config)}:
        raise checkpoint.CheckpointError(
            f"The resume.json in {folder.name!r} has {brief(min(strange))}, which this "
            "version does not know: it is damaged or a newer one's."
        )
    check(config := Config(**told | {"device": "auto"}))  # it may have trained on another machine
    return replace(config, device=told.get("device", "auto"))


def out_of(args: argparse.Namespace) -> Path:
    """The folder of the run that the flags ask for."""
    preset = PRESETS.get(getattr(args, "preset", ""), Config())
    return Path(getattr(args, "out", "") or f"runs/{getattr(args, 'process', preset.process)}")


def option_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each option of any sampler; whose it is stands in its help."""
    owners: dict[str, list] = {}
    for chosen in SAMPLERS.values():
        for name, (default, span) in chosen.options.items():
            owners.setdefault(name, []).append((chosen.name, default, span))
    for name, uses in owners.items():
        about = "; ".join(
            f"{who}: {span.about} ({reach(default, span)})" for who, default, span in uses
        )
        kind = (
            dict(type=float, metavar="number")
            if isinstance(uses[0][2], Range)
            else dict(type=word, metavar="choice")
        )
        parser.add_argument(flag(name), dest=f"option_{name}", help=spoken(about), **kind)


def reach(default: float | None, span: Range | Choice) -> str:
    """What values an option takes, and which one where none is given."""
    return (
        f"{span.low:g} to {span.high:g}, {default}"
        if isinstance(span, Range)
        else "the first that the model has"
    )


def word(text: str) -> int | str:
    """A value of a choice: a number where it is one."""
    return int(text) if text.isdecimal() else text


def run_flags(parser: argparse.ArgumentParser) -> None:
    """What makes a run: the model, the canvas, generate's own arguments and the samplers'
    options."""
    default = {name: p.default for name, p in inspect.signature(generate).parameters.items()}
    default |= {name: evaluate.DEFAULT[name] for name in ("steps", "temperature")}  # as on the page
    add = parser.add_argument
    add(
        "--model",
        default="masked",
        help="a bundled model, a checkpoint folder or a Hub id (masked)",
    )
    add(
        "--sampler",
        default=default["sampler"],
        help="a name from `python -m tinydiff matrix` (the model's first)",
    )
    add("--prompt", default="", help=r"what the text starts with; \n is a new line")
    add(
        "--template",
        default="",
        help="a text with _ (␣ where the model writes _ itself) for each token to be filled in, "
        "in the place of a prompt",
    )
    add("--length", type=int, default=256, help="tokens, the prompt included (256)")
    add(
        "--until",
        default="length",
        help=f"where the text ends: {', '.join(endings.RULES)} (length)",
    )
    for name, about in (
        ("steps", "denoising steps"),
        ("seed", "the same seed gives the same text"),
        ("temperature", "below 1 surer, above 1 wilder"),
        ("top_p", "share of probability that is kept"),
    ):
        add(
            flag(name),
            type=type(default[name]),
            default=default[name],
            help=f"{about} ({default[name]})",
        )
    option_flags(parser.add_argument_group("options of the samplers"))


def settings_of(args: argparse.Namespace) -> dict:
    """The settings of a run as plain JSON, from the flags."""
    names = ("model", "sampler", "steps", "length", "temperature", "top_p", "seed", "until")
    options = {
        name.removeprefix("option_"): value
        for name, value in vars(args).items()
        if name.startswith("option_") and value is not None
    }
    text = {name: getattr(args, name).replace("\\n", "\n") for name in ("prompt", "template")}
    return {name: getattr(args, name) for name in names} | text | {"options": options}


# ---------------------------------------------------------------- training


def train_flags(parser: argparse.ArgumentParser) -> None:
    config_flags(parser)
    add = parser.add_argument
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --out, or with the one that was pushed to --push-to, with the "
        "settings it had",
    )
    add(
        "--push-to",
        metavar="USER/NAME",
        help="upload the checkpoint to the Hugging Face Hub at the end",
    )
    add(
        "--push-every",
        metavar="MINUTES",
        type=float,
        default=0.0,
        help="upload it during the training too, in the background, with all that resuming needs; "
        "0 is never (0)",
    )
    add("--private", action="store_true", help="make that Hub repository a private one")
    add("--trackio", metavar="PROJECT", help="log the run to trackio as well, if it is installed")


def train_command(args: argparse.Namespace, program: str) -> int:
    """Train as the flags say, show how it goes, and say how to open what came out or how to go
    on."""
    keeper = Keeper(args.push_to, args.private, args.push_every) if args.push_to else None
    config = fetched_config(args)
    run = start(config, resume=args.resume)
    if run.share >= 1:
        raise ValueError(
            f"The run in {config.out!r} is at its end: give more --steps, or more --minutes, "
            "to go on."
        )
    with Stop() as stop:
        for _ in tracked(reported(run), config, args.trackio if run.writes else None):
            if any(
                run.agreed(stop.status)
            ):  # one process was told to stop: all do, at the same step
                run.save()
                break
            if keeper and run.writes:
                keeper.offer(run)
    if run.writes:
        say(ended(run, program))
        if keeper:
            say(f"Pushed to {keeper.finish(run)}")
    run.together.end_training()
    return stop.status


def ended(run: Run, program: str) -> str:
    """What to do with a run that has stopped or is at its end."""
    out = run.config.out
    if run.share < 1:
        return f"Stopped at step {run.step} and saved; go on with: {program} --resume --out {out}"
    opened = 'rewrite "plain words"' if run.config.task else "sample"
    return f"The checkpoint is in {out}; open it with: python -m tinydiff {opened} --model {out}"


def fetched_config(args: argparse.Namespace) -> Config:
    """The Config that the flags ask for; what they want to resume and is not here comes from the
    Hub."""
    if args.resume and args.push_to and not (out_of(args) / "resume.json").is_file():
        hub.pull_run(args.push_to, out_of(args))
    return config_of(args)


def reported(run: Run) -> Iterator[Trained]:
    """The run's steps, while they are shown: on a terminal as a bar, else in lines, of several
    processes by the first."""
    show = bar if sys.stdout.isatty() else lines
    return show(run) if run.writes else run.steps()


def bar(run: Run) -> Iterator[Trained]:
    """Progress on a terminal: a bar, and a sample of the text at each validation."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(None),
        TextColumn("{task.fields[left]} left"),
    )
    with Progress(*columns) as progress:
        task, clock = progress.add_task("", total=1.0, completed=run.share, left="?"), Pace(run)
        for now in run.steps():
            words = f"step {now.step}: {clock.words(now)}"
            progress.update(task, completed=now.share, description=words, left=clock.left(now))
            if now.sample is not None:
                progress.console.print(Text(clean(now.sample.strip()), "dim"))
                progress.console.print(Text(words))
            yield now


def lines(run: Run) -> Iterator[Trained]:
    """Progress where there is no terminal: a line at each validation and now and then between."""
    clock, said = Pace(run), 0.0
    for now in run.steps():
        if now.valid is not None or time.monotonic() - said > EVERY:
            said = time.monotonic()
            say(f"step {now.step} of {now.steps}: {clock.words(now)}, {clock.left(now)} left")
        yield now


def tracked(steps: Iterator[Trained], config: Config, project: str | None) -> Iterator[Trained]:
    """The steps, logged to trackio under the project's name, if one is given. Raises ValueError if
    it is not installed."""
    if not project:
        yield from steps
        return
    try:
        import trackio
    except ImportError:
        raise ValueError("--trackio needs the package of that name: pip install trackio.") from None
    # without where they are here
    places = {name: Path(getattr(config, name)).name for name in ("corpus", "start")}
    about = {k: v for k, v in asdict(config).items() if k != "out"} | places
    trackio.init(project=project, config=about)
    try:
        for now in steps:
            row = {"loss": now.loss, "bits a character": now.bits, "sample": now.sample}
            trackio.log(
                {name: value for name, value in row.items() if value is not None}, step=now.step
            )
            yield now
    finally:
        trackio.finish()


# ---------------------------------------------------------------- playing


def play(pictures: Iterable[Picture], settings: dict, total: int, console: Console) -> Picture:
    """Show a run in the terminal as it comes; the last picture."""
    states, spelling = render.States(), render.Spelling()
    with contextlib.closing(pictures), Live(console=console, refresh_per_second=30) as live:
        for picture in pictures:
            spelling.take(picture)
            wide = spread(spelling.each(picture.text), states(picture))
            live.update(frame(picture, *wide, settings, total, min(COLUMNS, console.width)))
    return picture


def spread(pieces: list[str], states: str) -> tuple[str, str]:
    """Pieces with a state each as characters with a state each."""
    return "".join(pieces), "".join(state * len(piece) for piece, state in zip(pieces, states))


def frame(
    picture: Picture, text: str, states: str, settings: dict, total: int, width: int
) -> Group:
    """One picture as what rich draws: rows of cells, a line of facts, a legend."""
    page = Text("\n").join(cells(*row) for row in rows(text, states, width=width))
    legend = Text("   ").join(Text(name, STYLES[state]) for state, name in LEGEND.items())
    return Group(page, Text(""), Text(clean(caption(settings, picture, total)), "dim"), legend)


def cells(text: str, states: str) -> Text:
    row = Text(no_wrap=True)
    for character, state in zip(text, states):
        row.append(clean(glyph(character)), STYLES[state])
    return row


# ---------------------------------------------------------------- the matrix


def matrix_table() -> Table:
    """The process x sampler table, for a terminal."""
    fits = matrix()
    table = Table(
        Column("sampler", no_wrap=True),
        Column("processes", ratio=1),
        Column("what it does", ratio=2),
    )
    for name, chosen in SAMPLERS.items():
        table.add_row(name, ", ".join(p for p in PROCESSES if fits[p, name]), chosen.about)
    return table


def matrix_markdown() -> str:
    """The process x sampler table as it stands in the README."""
    fits = matrix()
    lines = [
        "| sampler | " + " | ".join(PROCESSES) + " | what it does |",
        "|---|" + ":-:|" * len(PROCESSES) + "---|",
    ]
    for name, chosen in SAMPLERS.items():
        marks = " | ".join("✓" if fits[p, name] else " " for p in PROCESSES)
        lines.append(f"| `{name}` | {marks} | {chosen.about} |")
    return "\n".join(lines)
