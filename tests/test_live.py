"""The page of a training Space: it trains by itself, shows what there is, stops, goes on, and obeys
nobody but its owner."""

import sys
import time

import gradio as gr
import pytest

from tinydiff.cli import errors, flags, training
from tinydiff.store import checkpoint
from tinydiff.ui import trainer

FLAGS = [
    "--preset",
    "tiny",
    "--batch",
    "4",
    "--save-every",
    "5",
    "--validate-every",
    "10",
    "--device",
    "cpu",
    "--precision",
    "fp32",
]


def live(args):
    """A run in the background, of these flags."""
    args.resume = True
    return trainer.BackgroundRun(args, lambda: training.fetched_config(args))


def asked(*words):
    parser = errors.Parser()
    flags.train_flags(parser)
    return parser.parse_args([*FLAGS, *map(str, words)])


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_it_stops_and_goes_on(lines, tmp_path):
    """Stop saves in the middle; Go on continues from there to the end, and the curve and the
    samples are of the whole run."""
    run = live(asked("--corpus", lines, "--out", tmp_path / "run", "--steps", 400))
    run.go()
    wait(lambda: len(run.bounds) > 1)
    run.stop()
    stopped = checkpoint.read_config(tmp_path / "run")["step"]
    assert not run.busy and f"Stopped at step {stopped}" in run.words and stopped < 400
    again = live(asked("--corpus", lines, "--out", tmp_path / "run", "--steps", stopped + 20))
    again.go()
    wait(lambda: not again.busy)
    assert (
        "It is at its end" in again.words
        and checkpoint.read_config(tmp_path / "run")["step"] == stopped + 20
    )
    curve = again.curve()
    assert (
        set(curve["of"]) == {"training", "validation"}
        and curve["step"].min() <= 10
        and curve["step"].max() == stopped + 20
    )
    assert again.samples[0][0] == 10 and len(again.samples[-1][1]) == 64
    again.go()
    wait(lambda: not again.busy)
    assert again.words and "\n" not in again.words


def test_the_points_of_the_curve_are_means_of_equally_many_steps():
    """However long the run, at most twice POINTS, and each the mean of as many steps as the
    others."""
    run = live(asked())
    for step in range(1, 5001):
        run.take(trainer.Progress(step, 5000, step / 5000, float(step), 0.0, None))
    gaps = {b - a for (a, _), (b, _) in zip(run.losses, run.losses[1:])}
    assert gaps == {run.wide} and trainer.POINTS <= len(run.losses) <= 2 * trainer.POINTS
    assert all(mean == step - (run.wide - 1) / 2 for step, mean in run.losses)


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--corpus", "none.txt"], "no corpus file"),
        (["--process", "fog"], "fog"),
        (["--batch", "3", "--accumulate", "2"], "equal parts"),
        (["--minutes", "-1"], "minutes"),
    ],
)
def test_what_cannot_be_trained_is_said(flags, said, lines, tmp_path):
    """On the page, in one sentence."""
    run = live(asked("--corpus", lines, "--out", tmp_path / "run", *flags))
    run.go()
    wait(lambda: not run.busy)
    assert said in run.words and "\n" not in run.words and not run.bounds


def test_strangers_cannot_stop_it(monkeypatch):
    """At home anybody at the page; on a Space without a login nobody; with one, its owner alone."""
    done = []
    trainer.guarded(lambda: done.append("home"))()
    monkeypatch.setenv("SPACE_ID", "owner/space")
    with pytest.raises(gr.Error, match="Only the owner"):
        trainer.guarded(lambda: done.append("stranger"))()
    monkeypatch.setenv("OAUTH_CLIENT_ID", "x")
    monkeypatch.setenv("SPACE_AUTHOR_NAME", "owner")
    act = trainer.guarded(lambda: done.append("owner"))
    for name in (None, "stranger"):
        with pytest.raises(gr.Error, match="Only the owner"):
            act(
                name
                and gr.OAuthProfile(
                    {"preferred_username": name, "name": name, "profile": "", "picture": ""}
                )
            )
    act(gr.OAuthProfile({"preferred_username": "owner", "name": "o", "profile": "", "picture": ""}))
    assert done == ["home", "owner"]


def test_trackio_is_asked_for_by_name(monkeypatch, lines, tmp_path, capsys):
    """Where it is not installed, a sentence says so."""
    monkeypatch.setitem(sys.modules, "trackio", None)
    args = asked("--corpus", lines, "--out", tmp_path / "run", "--steps", 4, "--trackio", "mine")
    assert errors.guarded(lambda: training.train_command(args, "train")) == 2
    assert "pip install trackio" in capsys.readouterr().err


def test_trackio_gets_every_loss(monkeypatch, lines, tmp_path):
    """Losses of all steps, bits and samples of validations, no place of this machine, and an
    end."""

    class Fake:
        rows, ended = [], 0

        def init(self, project, config):
            self.project, self.config = project, config

        def log(self, row, step):
            self.rows.append((step, row))

        def finish(self):
            self.ended += 1

    fake = Fake()
    monkeypatch.setitem(sys.modules, "trackio", fake)
    args = asked("--corpus", lines, "--out", tmp_path / "run", "--steps", 12, "--trackio", "mine")
    assert training.train_command(args, "train") == 0
    assert (
        [step for step, _ in fake.rows] == list(range(1, 13))
        and fake.ended == 1
        and fake.project == "mine"
    )
    assert {step for step, row in fake.rows if "bits a character" in row} == {10, 12}
    assert str(tmp_path) not in str(fake.config) and fake.config["corpus"] == "lines.txt"
