"""Training from a command line, for `python -m tinydiff train` and train_space.py: a run's progress
in a terminal, in lines and in trackio, and its pushes to the Hub."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from tinydiff.cli.flags import config_of, out_of
from tinydiff.measure import brief, tasking
from tinydiff.sentences import clean, say, sentence
from tinydiff.store import hub
from tinydiff.text import Tasks
from tinydiff.text.corpora import without_places
from tinydiff.train.loop import Config, Progress, TrainingRun, start
from tinydiff.train.pace import Pace, Stop
from tinydiff.train.pushing import Keeper
from tinydiff.uncertainty import written

EVERY = 30.0  # seconds between two lines of progress where there is no terminal


def train_command(args: argparse.Namespace, program: str) -> int:
    """Train as the flags say, show how it goes, and say how to open what came out or how to go
    on."""
    beside = [getattr(args, name, "") for name in ("classifier", "doubt", "drafts")]
    if args.push_to and any(beside):
        raise ValueError(
            "What stands beside a model is not pushed by itself: train it without --push-to."
        )
    keeper = Keeper(args.push_to, args.private, args.push_every) if args.push_to else None
    config = fetched_config(args)
    run = start(config, resume=args.resume)
    if run.share >= 1:
        raise ValueError(
            f"The run in {config.out!r} is at its end: give more --steps, or more --minutes, "
            "to go on."
        )
    with Stop() as stop:
        for _ in logged(reported(run), config, args.trackio if run.writes else None):
            if any(
                run.agreed(stop.status)
            ):  # one process was told to stop: all do, at the same step
                run.save()
                break
            if keeper and run.writes:
                keeper.offer(run)
    if run.writes:
        say(ended(run, program))
        if keeper and args.evaluate and run.share >= 1:
            for words in evaluated(run):
                say(words)
            keeper.renew()
        if keeper:
            say(f"Pushed to {keeper.finish(run)}")
    run.together.end_training()
    return stop.status


def evaluated(run: TrainingRun) -> Iterator[str]:
    """Measure a run that is at its end, for its card: how long it will take, then what was found.
    Whatever goes wrong is told, since what was trained is to be pushed all the same."""
    config = run.config
    try:
        more = dict(label=config.label or None, megabytes=config.megabytes)
        data = tasking.text_of(run.out, config.corpus, **more)
        about = max(1, round(brief.seconds(run.out, data) / 60))
        yield (
            f"The checkpoint is measured for its card, about {about} minute{'s' * (about > 1)} "
            "(--no-evaluate leaves that out)."
        )
        found = brief.run(run.out, data)
        bits = written(found["bound"]["nats"] / math.log(2), error_of(found["bound"]))
        yield f"It needs {bits} bits a character for text that it never saw, at the most."
    except (ValueError, OSError, MemoryError, RuntimeError, ArithmeticError) as error:
        yield sentence(f"It could not be measured and is pushed as it is: {error}")
    except KeyboardInterrupt:
        yield "The measuring was stopped; the checkpoint is pushed as it is."


def error_of(bound: dict) -> float | None:
    return bound["error"] and bound["error"] / math.log(2)


def ended(run: TrainingRun, program: str) -> str:
    """What to do with a run that has stopped or is at its end."""
    out = run.config.out
    if run.share < 1:
        return f"Stopped at step {run.step} and saved; go on with: {program} --resume --out {out}"
    if run.config.classifier:
        return (
            f"The classifier is in {out}; it steers with: python -m tinydiff sample --model "
            f"{run.config.classifier} --classifier {out} --aim {run.process.labels[0]}"
        )
    if run.config.doubt:
        return (
            f"It is in {out}; it doubts a text with: python -m tinydiff doubt --model "
            f'{run.config.doubt} --head {out} "A text."'
        )
    if run.config.drafts:
        return (
            f"The adapter is in {out}; it drafts with: python -m tinydiff sample --model "
            f"{run.config.drafts} --sampler speculative --drafter {out}"
        )
    opened = opening(run)
    kept = f" with the weights of step {run.best_step}, the best at validation" if run.worse else ""
    return (
        f"The checkpoint is in {out}{kept}; open it with: python -m tinydiff {opened} --model {out}"
    )


def opening(run: TrainingRun) -> str:
    """The command that writes with what was trained."""
    if isinstance(run.data, Tasks):
        return f'rewrite --task {run.data.names[0]} "some words"'
    return 'rewrite "plain words"' if run.config.task else "sample"


def fetched_config(args: argparse.Namespace) -> Config:
    """The Config that the flags ask for; what they want to resume and is not here comes from the
    Hub."""
    if args.resume and args.push_to and not (out_of(args) / "resume.json").is_file():
        hub.pull_run(args.push_to, out_of(args))
    return config_of(args)


def reported(run: TrainingRun) -> Iterator[Progress]:
    """The run's steps, while they are shown: on a terminal as a bar, else in lines, of several
    processes by the first."""
    show = bar if sys.stdout.isatty() else lines
    return show(run) if run.writes else run.steps()


def bar(run: TrainingRun) -> Iterator[Progress]:
    """Progress on a terminal: a bar, and a sample of the text at each validation."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(None),
        TextColumn("{task.fields[left]} left"),
    )
    with Bars(*columns) as progress:
        task, clock = progress.add_task("", total=1.0, completed=run.share, left="?"), Pace(run)
        for now in run.steps():
            words = f"step {now.step}: {clock.words(now)}"
            progress.update(task, completed=now.share, description=words, left=clock.left(now))
            if now.sample is not None:
                progress.console.print(Text(clean(now.sample.strip()), "dim"))
                progress.console.print(Text(words))
            yield now


def lines(run: TrainingRun) -> Iterator[Progress]:
    """Progress where there is no terminal: a line at each validation and now and then between."""
    clock, said = Pace(run), 0.0
    for now in run.steps():
        if now.valid is not None or time.monotonic() - said > EVERY:
            said = time.monotonic()
            say(f"step {now.step} of {now.steps}: {clock.words(now)}, {clock.left(now)} left")
        yield now


def logged(steps: Iterator[Progress], config: Config, project: str | None) -> Iterator[Progress]:
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
    places = {"corpus": without_places(config.corpus), "start": Path(config.start).name}
    about = {k: v for k, v in asdict(config).items() if k != "out"} | places
    trackio.init(project=project, config=about)
    try:
        for now in steps:
            row = {"loss": now.loss, f"bits {now.process.unit}": now.bits, "sample": now.sample}
            trackio.log(
                {name: value for name, value in row.items() if value is not None}, step=now.step
            )
            yield now
    finally:
        trackio.finish()
