"""`python -m tinydiff sweep`: prompts of a file, seeds, samplers and numbers of steps to CSV."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from tinydiff import recipes, runs
from tinydiff.cli import flags
from tinydiff.files import Unread, check_writable, read_whole, write_text
from tinydiff.measure import sweep
from tinydiff.sentences import brief, say
from tinydiff.store import catalogue
from tinydiff.uncertainty import written

MAX_PROMPTS = 1 << 24  # bytes of a file of prompts
SAVED = 5.0  # seconds after which the rows so far are written again


def sweep_flags(made: argparse.ArgumentParser) -> None:
    """The flags of the command; those of a run are for all runs."""
    made.add_argument("prompts", metavar="FILE", help=r"a prompt a line; \n is a new line in it")
    made.add_argument("--out", required=True, metavar="CSV", help="a row a run is written here")
    made.add_argument(
        "--seeds", default="0:8", help="such as 3 or 1,5 or 0:8, which is 0 to 7 (0:8)"
    )
    made.add_argument("--samplers", default="", help="names, with commas (the model's first)")
    flags.run_flags(made, without=("prompt", "template", "seed", "sampler", "steps"))
    made.add_argument("--steps", default="64", help="such as 16,64 (64)")


def sweep_command(args: argparse.Namespace) -> None:
    """Run every prompt of a file with every seed, sampler and number of steps: CSV of all texts
    with their cost and quality, and of means with standard errors over seeds."""
    out = place(args.out)
    names = [name.strip() for name in args.samplers.split(",") if name.strip()] or [None]
    counts = [sweep.numbers(what, getattr(args, what)) for what in ("seeds", "steps")]
    prompts, settings = prompts_of(args.prompts), flags.settings_of(args)
    check = partial(runs.request, process=catalogue.load(runs.complete(settings)["model"]))
    asked = list(sweep.plan(prompts, counts[0], names, counts[1], settings, check))
    rows, saved = [], time.monotonic()
    try:
        for number, one in enumerate(asked, 1):
            rows.append(sweep.row(one))
            if time.monotonic() - saved > SAVED:
                write_text(out, sweep.sheet(rows))
                say(f"{number} of {len(asked)} runs", sys.stderr)
                saved = time.monotonic()
    finally:
        if rows:
            write_text(out, sweep.sheet(rows))
            write_text(beside(out), sweep.summary_sheet(rows))
    for line in sweep.summary(rows):
        say(told(line))
    say(out)
    say(beside(out))


def beside(out: Path) -> Path:
    """Where the means are written: out.csv has them in out.summary.csv."""
    return out.with_suffix(".summary.csv")


def told(line: dict) -> str:
    """A line of the summary in words."""
    steps = f", {line['steps']} steps" if line["steps"] is not None else ""
    parts = [f"{line['sampler']}{steps}: {line['calls']:g} calls"]
    for name, scale, unit in (("ms", 1, "ms"), ("bits", 1, "bits/character"), ("words", 100, "%")):
        if (value := line[name]) is not None:
            error = line[f"{name}_error"]
            said = written(scale * value, error and scale * error)
            parts.append(f"{said} {unit}{' real words' if name == 'words' else ''}")
    return ", ".join(parts)


def place(name: str) -> Path:
    """The file that is written. Raises ValueError where that is no place for one."""
    path = Path(name)
    if path.suffix.lower() != ".csv":
        raise ValueError(f"{brief(name, 200)} does not end in .csv: name a file that does.")
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"{brief(name, 200)} is no place for a file: name one in a folder that is there."
        )
    check_writable(path.parent)
    return path


def prompts_of(name: str) -> list[str]:
    """The prompts of a file, a line each, empty lines left out. Raises ValueError."""
    path = Path(name)
    try:
        found = read_whole(path, MAX_PROMPTS)
    except Unread as error:
        raise ValueError(f"The file {brief(path.name)} {error}.") from None
    if found is None:
        raise ValueError(f"There is no file {brief(name, 200)}: name one with a prompt a line.")
    try:
        text = found if isinstance(found, str) else found.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"The file {brief(path.name)} is not UTF-8: give plain text.") from None
    lines = [recipes.meant(line) for line in text.split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"The file {brief(path.name)} is empty: give a prompt a line.")
    return [line.removesuffix("\r") for line in lines]
