"""What a run of the page may cost: nothing sensible is refused, nothing that would hold the page is
begun, and a clock ends what takes longer, with what was written and a sentence.
"""

import time

import gradio as gr
import pytest
import torch

from tests.conftest import SHAPE, brief, random_process
from tinydiff.generate import generate
from tinydiff.paths import STATIC
from tinydiff.processes import PROCESSES, build
from tinydiff.samplers import column
from tinydiff.samplers.blockwise import orders
from tinydiff.schedules import schedule
from tinydiff.show import render
from tinydiff.store import catalogue
from tinydiff.text import Canvas, Characters
from tinydiff.ui import blocks, cost, denoise, learn, noise, race, request, rewrite, steps
from tinydiff.ui import session as sessions
from tinydiff.ui.session import Job


def refusal(call, *values, **named) -> str:
    with pytest.raises((gr.Error, ValueError)) as caught:
        call(*values, **named)
    return str(getattr(caught.value, "message", caught.value))


# ---------------------------------------------------------------- what is counted


@pytest.mark.parametrize("process", brief(PROCESSES))
def test_no_run_asks_more_than_is_counted(process, monkeypatch):
    """For every sampler of every process, and every order of blocks, a run of two windows makes at
    most the calls that `work` counts: with each call counted as one and nothing else.
    """
    monkeypatch.setattr(cost, "CALL", 1.0)
    monkeypatch.setattr(cost, "call", lambda *_: 0.0)
    model = random_process(process)
    cases = [(name, {}) for name in column(model)]
    some = {"ancestral", "gibbs", "confidence", "first_hitting", "left_to_right"}
    cases += (
        [("blockwise", dict(order=order)) for order in orders(model) if order in some]
        if "pieces" in model.traits
        else []
    )
    if "gibbs" in column(model):
        cases.append(("gibbs", dict(sweeps=3)))
    for name, options in cases:
        canvas, count = Canvas.blank(SHAPE["length"] + 4), 3
        *_, frame = generate(model, canvas, sampler=name, steps=count, **options)
        assert frame.calls <= cost.work(model, canvas, sampler=name, steps=count, **options), (
            name,
            options,
        )


# ---------------------------------------------------------------- what is allowed

LONG = [
    dict(length=1024, steps=256),
    pytest.param(dict(length=1024, steps=64), marks=pytest.mark.long),
    dict(length=256, steps=256),
]


@pytest.mark.parametrize("wish", LONG, ids=str)
def test_every_sensible_run_is_allowed(wish):
    """Denoise with every model and every sampler at the usual options, up to the ends of the
    sliders; gibbs, which asks twice a step, up to 256 characters at 256 steps.
    """
    for key in catalogue.models():
        for name in column(catalogue.open_model(key)):
            if name == "gibbs" and wish["length"] * wish["steps"] > 1024 * 64:
                continue
            asked = request.read(dict(model=key, sampler=name, prompt="", **wish))
            assert cost.of(asked) <= cost.MOST


def test_every_sensible_run_of_steps_is_allowed(monkeypatch):
    """Steps with any three samplers of any model; a race of four of the slowest lanes; a text of
    4,096 characters block by block with the usual cache; eight candidates.
    """
    monkeypatch.setattr(steps, "card", lambda *_: pytest.fail("begun"))
    monkeypatch.setattr(steps, "panel_of", lambda key, cards, *_: dict(cards=cards))
    for key in catalogue.models():
        names = [name for name in steps.offered(catalogue.models()[key])][: steps.MOST]
        assert next(steps.steps(key, names, 1, 1.0, ""))["cards"] == []
    lanes = [
        ["perfect-gaussian", "ancestral", 256],
        ["masked", "gibbs", 256],
        ["gaussian", "ancestral", 256],
        ["block", None, 256],
    ]
    asked = [
        request.read(dict(model=m, steps=n, prompt="", **({"sampler": s} if s else {})))
        for m, s, n in lanes
        if m in catalogue.models()
    ]
    cost.check(map(cost.of, asked))
    for key in blocks.offered():
        for block in blocks.values(catalogue.open_model(key), "block"):
            order = blocks.values(catalogue.open_model(key), "order")[0]
            cache = blocks.values(catalogue.open_model(key), "cache")[0]
            kept = "none" if cache == "none" else cache
            length = 4096 if kept != "none" else 1024
            blocks.read(
                key, block, min(16, max(1, block)), order, cache, "length", length, "", 0.8, 1
            )
    if rewrite.offered():
        key = next(iter(catalogue.rewriters()))
        rewrite.read(key, "to be", None, 64, rewrite.MOST, 1.0, 1)


# ---------------------------------------------------------------- what is refused


def stranger(**shape):
    """A sound network of a stranger, 2.3 MB of it."""
    torch.manual_seed(0)
    return build(
        "masked",
        Characters("abcdefgh \n"),
        schedule("linear"),
        **{**dict(layers=24, heads=32, width=64, length=4096), **shape},
    )


@pytest.mark.parametrize("shape", [{}, dict(heads=16, length=1024, width=128)])
def test_a_stranger_s_network_that_is_too_slow(shape):
    """It is refused before it starts, whether it would take too long or too much memory."""
    model = stranger(**shape)
    with pytest.raises(ValueError, match="shorter text"):
        cost.check([cost.work(model, Canvas.blank(1024), sampler="ancestral", steps=256)])
    assert cost.work(model, Canvas.blank(64), sampler="ancestral", steps=8) < cost.MOST


def test_what_the_sliders_reach_beyond_all_sense():
    """Eight sweeps after each of 256 steps on 1,024 characters, and 64 steps for each character: a
    sentence each, no traceback."""
    words = refusal(
        request.read,
        dict(prompt="", sampler="gibbs", length=1024, steps=256, options={"sweeps": 8}),
    )
    assert "times as much" in words and "fewer steps" in words
    key = next(iter(blocks.offered()))
    order = blocks.values(catalogue.open_model(key), "order")[0]
    cache = blocks.values(catalogue.open_model(key), "cache")[0]
    for block, each, length in ((1, 64, 256), (1, 64, 4096), (4, 64, 4096)):
        assert "fewer steps" in refusal(
            blocks.read, key, block, each, order, cache, "length", length, "", 0.8, 1
        )


# ---------------------------------------------------------------- the clock


@pytest.fixture
def no_time(monkeypatch):
    """Every clock is over at once; what visitors are told."""
    told = []
    monkeypatch.setattr(sessions, "SECONDS", 0.0)
    monkeypatch.setattr(gr, "Warning", lambda words, **_: told.append(words))
    return told


def test_a_run_that_takes_too_long(no_time):
    """Denoise: it ends after the step it is at, what was written stays, and a sentence says so, on
    the page and in the answer."""
    asked = request.read({"model": "perfect-masked", "length": 32, "steps": 8, "prompt": ""})
    *_, value = denoise.TAB.alone(asked)
    assert (
        value["done"]
        and value["stopped"]
        and no_time == [value["said"]]
        and "what was written stays" in value["said"]
    )
    assert len(render.unpack(value).frames) == 2


def test_steps_that_take_too_long(no_time):
    """Steps, Race, Blocks, Rewrite and Noise: each ends with what it has and a sentence."""
    *_, panel = steps.steps("perfect-masked", ["ancestral"], 1, 1.0, "")
    # one step was all
    assert len(panel["cards"]) == 1 and "what was written stays" in panel["status"]
    assert "longer" in refusal(list, race.race("", 1, [["perfect-masked", "ancestral", 8]] * 2))
    *_, value = race.race(
        "", 1, [["perfect-masked", "ancestral", 1], ["perfect-masked", "ancestral", 8]]
    )
    assert value["done"] and len(value["lanes"]) == 1 and "stays" in value["status"]
    key = "perfect-masked"
    asked = blocks.read(key, 16, 4, "ancestral", "none", "length", 64, "", 1.0, 1)
    *_, value = blocks.TAB.alone(asked)
    assert value["state"] == "stopped" and "stays" in value["said"]
    assert "longer" in refusal(noise.dissolved, "A sentence of its own.", noise.PERFECT)


@pytest.mark.skipif(not rewrite.offered(), reason="no bundled model rewrites")
def test_a_rewriting_that_takes_too_long(no_time):
    """It says so where the candidates would stand."""
    asked = rewrite.read(next(iter(catalogue.rewriters())), "to be", "ancestral", 8, 1, 1.0, 1)
    *_, (player, panel) = rewrite.TAB.alone(asked)
    assert player["stopped"] and "stays" in panel["status"]


def test_a_training_that_takes_too_long(no_time, monkeypatch):
    """It is ended when its minutes and a little more are over; what was learned is kept."""
    monkeypatch.setattr(learn, "SPARE", -1e9)
    text, kept = (STATIC / "rhymes.txt").read_text("utf-8"), []
    *_, value = learn.learn(
        learn.Lesson(text, "masked", 5.0), Job(), lambda folder, step: kept.append(step)
    )
    assert value["state"] == "done" and kept == [1] and no_time == [learn.LATE]


def test_runs_have_numbers_of_their_own(monkeypatch):
    """Whatever the clock says, the number of a new run is one that none had: clocks that go back
    hide no run."""
    first = render.Wire(1, 9).run
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert first < render.Wire(1, 9).run < render.fresh_run()
