"""The tab Noise, without a browser: what it sends is the noise that the processes make, whoever
observes."""

import math

import gradio as gr
import pytest
import torch

from tinydiff.processes import PROCESSES, build
from tinydiff.schedules import SCHEDULES, schedule
from tinydiff.store import catalogue
from tinydiff.ui import learn, noise, recording
from tinydiff.ui.fields import models_of
from tinydiff.ui.session import Session
from tinydiff.ui.tab import Site
from tinydiff.ui.tabs import TABS

SENTENCE = "What light"


def test_every_process_has_one_row():
    """Each process stands in one group, under the process whose noise it has."""
    groups = noise.noises()
    assert sorted(name for names in groups for name in names) == sorted(PROCESSES)
    assert all(
        PROCESSES[name].over is PROCESSES[names[0]].over for names in groups for name in names
    )


def test_a_family_that_nobody_met_yet():
    """A process from outside appears where it fits and the page is built: with a likelihood as a
    perfect network and with a row; without one, as a latent process is, in neither, and both can be
    learned."""

    def registered(name, dropped=frozenset()):
        traits = PROCESSES["masked"].traits - dropped
        type(name, (PROCESSES["masked"],), dict(name=name, title=name, traits=traits))

    before = dict(PROCESSES)
    registered("stranger"), registered("latent", {"likelihood"})
    caches = (noise.dissolved, noise.information_pictures, noise.pictures, noise.process_of)
    for cache in caches:
        cache.cache_clear()
    try:
        assert "perfect-stranger" in catalogue.models()
        assert "perfect-latent" not in catalogue.models()
        rows = [name for names in noise.noises() for name in names]
        assert "stranger" in rows and "latent" not in rows
        assert {"stranger", "latent"} <= {name for _, name in learn.noises()}
        assert "perfect-stranger" in {key for _, key in models_of("stranger", catalogue.models())}
        with gr.Blocks() as page:
            site = Site(page, gr.Tabs(), gr.State(Session()))
            for tab in TABS:
                tab.build(site)
        choices = str([block.get_config() for block in page.blocks.values()])
        assert "perfect network, stranger" in choices and "perfect network, latent" not in choices
    finally:
        PROCESSES.clear(), PROCESSES.update(before)
        for cache in caches:
            cache.cache_clear()


@pytest.mark.parametrize("names", noise.noises(), ids=lambda names: names[0])
def test_a_row_goes_from_the_sentence_to_nothing(names):
    """Without noise all is shown, certain and known; at the end hardly anything is known beyond
    what the language says of any text; what a character tells of itself falls from all to nothing.
    """
    row = noise.row(names, catalogue.bigrams().tokenizer.encode(SENTENCE), noise.PERFECT)
    assert len(row["states"]) == len(row["tells"]) == noise.TIMES
    shown, guess, sure, known, near = row["states"][0]
    assert shown == guess == SENTENCE and set(sure) == set(near) == {"9"}
    assert known == pytest.approx(math.log(65), abs=0.01)
    assert row["states"][-1][3] < 1.5
    assert (
        row["tells"][0] == pytest.approx(1, abs=0.01)
        and row["tells"][-1] < 0.02
        and row["tells"] == sorted(row["tells"])[::-1]
    )


def test_what_is_recorded_of_a_noise_is_measured():
    """assets/recorded/noise.json holds every noise, and of each what `information` measures now, to
    the four digits that are kept."""
    kept = recording.load("noise")
    assert list(kept) == [names[0] for names in noise.noises()]
    for name, tells in kept.items():
        assert tells == pytest.approx(noise.information(name), abs=1.5e-4), (
            f"{name}: run `python -m tinydiff.ui.recordings noise`"
        )


@pytest.mark.parametrize("name", [names[0] for names in noise.noises()])
def test_a_network_observes_every_noise(name, monkeypatch):
    """An untrained network of each kind answers at every level, with no more than there is to
    know."""
    torch.manual_seed(0)
    model = build(
        name, catalogue.bigrams().tokenizer, layers=1, heads=1, width=16, length=64
    ).eval()
    monkeypatch.setattr(noise, "trained_process", lambda wanted: model if wanted == name else None)
    noise.process_of.cache_clear()
    rows = noise.dissolved.__wrapped__(SENTENCE, noise.TRAINED)["rows"]
    noise.process_of.cache_clear()
    assert [row["process"] for row in rows] == [name] and len(rows[0]["states"]) == noise.TIMES
    assert all(-0.01 <= known <= math.log(65) + 0.01 for _, _, _, known, _ in rows[0]["states"])


def test_no_sentence():
    """Who deletes what they typed sees it stay; a program is told."""
    assert noise.typed("", noise.PERFECT) == gr.skip()
    for sentence in ("", "\u200b", "a" * 999, 5, None):
        with pytest.raises(gr.Error, match="Give a sentence of 1 to"):
            noise.answer(sentence)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_level_is_the_alpha_of_its_time(name):
    """At each time of a schedule that level of noise holds whose alpha is nearest to it."""
    sent = noise.numbers(schedule(name))
    assert all(
        abs((1 - alpha) - level / 100) < 0.0062
        for alpha, level in zip(sent["alpha"], sent["level"])
    )
