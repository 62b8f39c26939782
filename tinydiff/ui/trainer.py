"""The page of a training Space: the curve and the samples of one run while it trains, to stop and
to go on; kept on the Hub."""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import pandas as pd

from tinydiff.sentences import say
from tinydiff.train.loop import Config, Progress, TrainingError, TrainingRun, start
from tinydiff.train.pace import Pace, Stop
from tinydiff.train.pushing import Keeper
from tinydiff.ui.learn import can_login
from tinydiff.ui.server import Page
from tinydiff.ui.theme import HEAD, LAUNCH, THEME_JS

POINTS = 150  # of the loss on the curve, at the least, once there are so many steps
MISTAKES = (ValueError, TrainingError, OSError)


class BackgroundRun:
    """A training run in the background: `go` begins it or goes on, from the Hub where there is
    nothing here; `stop` saves it."""

    def __init__(
        self,
        args: argparse.Namespace,
        config: Callable[[], Config],
        measured: Callable[[TrainingRun], Iterator[str]] = lambda run: iter(()),
    ):
        """config: what the flags ask for; what is to be resumed and is not here it fetches;
        measured: measures a run that is at its end, and tells of it."""
        self.measured = measured
        self.args, self.config, self.thread, self.stopping = args, config, None, False
        self.keeper = Keeper(args.push_to, args.private, args.push_every) if args.push_to else None
        # (step, nats a character), each the mean of `wide` steps
        self.losses: list[tuple[int, float]] = []
        self.wide, self.bucket = 1, []
        self.bounds: list[tuple[int, float]] = []
        self.samples: list[tuple[int, str]] = []
        self.words, self.share = "It has not begun.", 0.0

    @property
    def busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def go(self) -> None:
        if not self.busy:
            self.stopping, self.words = False, "It begins."
            self.thread = threading.Thread(target=self.work, daemon=True)
            self.thread.start()

    def ask(self) -> None:
        """Ask it to save, to push where it is to be pushed, and to end."""
        self.stopping = True

    def stop(self) -> None:
        """Ask for it, and wait until that is done."""
        self.ask()
        if self.thread is not None:
            self.thread.join()

    def work(self) -> None:
        try:
            run = self.opened()
            self.train(run)
            run.save()
            done = "It is at its end" if run.share >= 1 else f"Stopped at step {run.step}"
            self.words = f"{done} and saved in {run.config.out}."
            if self.keeper and self.args.evaluate and run.share >= 1:
                for words in self.measured(run):
                    self.words = words
                self.keeper.renew()
            if self.keeper:
                self.words = f"{done}; pushed to {self.keeper.finish(run)}"
        except MISTAKES as error:
            self.words = " ".join(str(error).split())

    def opened(self) -> TrainingRun:
        """The run of the flags, or what there is of it already, here or on the Hub."""
        config = self.config()
        run = start(config, resume=(Path(config.out) / "resume.json").is_file())
        self.remember(run)
        return run

    def remember(self, run: TrainingRun) -> None:
        """The curve and the samples of what was trained before."""
        path = run.out / "metrics.jsonl"
        rows = (
            [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            if run.step and path.is_file()
            else []
        )
        rows = [row for row in rows if "valid" in row]
        self.losses = [(row["step"], row["loss"]) for row in rows]
        self.bounds = [(row["step"], row["valid"]) for row in rows]
        self.samples = [(row["step"], row["sample"]) for row in rows]

    def train(self, run: TrainingRun) -> None:
        clock = Pace(run)
        for now in run.steps():
            self.take(now)
            self.words = f"Step {now.step}: {clock.words(now)}, {clock.left(now)} left."
            if self.keeper:
                self.keeper.offer(run)
                self.words += f" {self.keeper.trouble}"
            if self.stopping:
                break

    def take(self, now: Progress) -> None:
        self.share = now.share
        self.bucket.append(now.loss)
        if len(self.bucket) == self.wide:
            self.losses.append((now.step, sum(self.bucket) / self.wide))
            self.bucket = []
        if len(self.losses) == 2 * POINTS:
            pairs = zip(self.losses[::2], self.losses[1::2])
            self.losses = [(step, (x + y) / 2) for (_, x), (step, y) in pairs]
            self.wide = 2 * self.wide
        if now.valid is not None:
            self.bounds.append((now.step, now.valid))
            self.samples.append((now.step, now.sample))

    def curve(self) -> pd.DataFrame:
        rows = [
            (step, nats, name)
            for name, points in (("training", self.losses), ("validation", self.bounds))
            for step, nats in list(points)
        ]
        return pd.DataFrame(rows, columns=["step", "nats a character", "of"])


def view_of(run: BackgroundRun) -> tuple:
    """Values of the page's words, curve, sample and two buttons."""
    none = (0, "The first one comes with the first validation.")
    step, sample = run.samples[-1] if run.samples else none
    return (
        run.words,
        run.curve(),
        gr.update(value=sample, label=f"A sample, after {step:,} steps"),
        gr.update(interactive=not run.busy),
        gr.update(interactive=run.busy and not run.stopping),
    )


def page(run: BackgroundRun) -> Page:
    """What a run looks like while it trains."""

    def shown() -> tuple:
        return view_of(run)

    with Page(title="tinydiff: training", analytics_enabled=False) as whole:
        gr.HTML(html_template=HEAD, js_on_load=THEME_JS, apply_default_css=False)
        gr.Markdown(
            "A model of text in training. The loss is in nats a character; validation is the "
            "bound itself.",
            elem_id="live-about",
        )
        words = gr.Textbox(label="Where it is", interactive=False, elem_id="live-words")
        curve = gr.LinePlot(
            x="step",
            y="nats a character",
            color="of",
            color_title="",
            label="Loss",
            elem_id="live-curve",
        )
        sample = gr.Textbox(lines=8, interactive=False, elem_id="live-sample")
        with gr.Row(visible=not public() or can_login()):
            go = gr.Button("Go on", interactive=False, elem_id="live-go")
            stop = gr.Button("Stop", interactive=False, elem_id="live-stop")
        if can_login():
            gr.LoginButton()
        view = [words, curve, sample, go, stop]
        whole.load(shown, None, view, show_progress="hidden")
        gr.Timer(2).tick(shown, None, view, show_progress="hidden")
        for button, act in ((go, run.go), (stop, run.ask)):
            button.click(
                guarded(act), None, None, show_progress="hidden", api_visibility="private"
            ).then(shown, None, view)
    return whole


def public() -> bool:
    """Is this a Space, where strangers watch?"""
    return "SPACE_ID" in os.environ


def guarded(act: Callable[[], None]) -> Callable:
    """`act`, on a Space for its owner alone."""
    if not public():
        return act

    def refused():
        raise gr.Error(
            "Only the owner of this Space can do that, where it has a login.", print_exception=False
        )

    def asked(profile: gr.OAuthProfile | None):
        if profile is None or profile.username != os.environ.get("SPACE_AUTHOR_NAME"):
            refused()
        act()

    return asked if can_login() else refused


def serve(
    args: argparse.Namespace,
    config: Callable[[], Config],
    measured: Callable[[TrainingRun], Iterator[str]],
) -> int:
    """Train and show it, until Ctrl-C or SIGTERM, which save; the exit status. Other arguments are
    those of BackgroundRun."""
    run = BackgroundRun(args, config, measured)
    run.go()
    page(run).launch(**LAUNCH | dict(prevent_thread_lock=True, footer_links=[]))
    with Stop() as stop:
        while not stop.status:
            time.sleep(0.2)
        run.stop()
        say(run.words)
    return stop.status
