"""Recorded runs of models that are not bundled: recorded where their weights are, and watched where
they are not."""

from dataclasses import replace

import gradio as gr
import pytest

from tinydiff.show import render
from tinydiff.train.loop import PRESETS, train
from tinydiff.ui import claims, denoise, originals, race, recording, recordings
from tinydiff.ui.session import Session

HOW = {
    "as-written": dict(process="gaussian", options="parameterisation=epsilon", schedule="ddpm-128"),
    "masked": dict(process="masked"),
}


@pytest.fixture(scope="module")
def shelf(lines, tmp_path_factory):
    """Two of the three models, tiny, after two steps."""
    out, often = tmp_path_factory.mktemp("originals"), dict(steps=2, validate_every=2, save_every=2)
    for name, how in HOW.items():
        made = replace(PRESETS["tiny"], corpus=str(lines), out=str(out / name), batch=2, **often)
        list(train(replace(made, precision="fp32", **how)))
    return out


@pytest.fixture
def recorded(shelf, tmp_path, monkeypatch, capsys):
    """Their recording, in small; what was said of it."""
    monkeypatch.setattr(recording, "FOLDER", tmp_path)
    monkeypatch.setattr(recording, "MADE", tmp_path / "made.json")
    monkeypatch.setattr(recordings, "LENGTH", 24)
    monkeypatch.setattr(recordings, "STEPS", 4)
    originals.recorded.cache_clear()
    recordings.record_originals(shelf)
    yield capsys.readouterr().out
    originals.recorded.cache_clear()


def test_what_is_there_is_recorded(recorded, shelf):
    """Each run with what its model learned and the command that makes its weights; of the one that
    is not there the command is said; recording again without weights keeps what there is."""
    assert originals.command("rescaled") in recorded and recorded.count("is kept") == 1
    value = originals.run("as-written")
    assert len(render.unpack(value).frames) == 5 and value["done"]
    *_, (*_, said) = value["stats"]
    assert "after 2 steps" in said and originals.command("as-written") in said
    names = [lane["name"] for lane in originals.race()["lanes"]]
    assert names == [
        "Tiny Diffusion, as it is written",
        "Tiny Diffusion, masks in the place of blur",
    ]
    before = originals.recorded()
    recordings.record_originals(shelf / "nowhere")
    assert originals.recorded()["runs"] == before["runs"]


def test_they_are_watched_by_their_address(recorded):
    """Watch shows the run with the address that Claims leads to, offers no change of its words, and
    refuses one in a sentence; a name that nobody recorded is refused as well."""
    assert [link for _, link in originals.links()] == [
        "?recorded=as-written",
        "?recorded=masked",
        "#race",
    ]
    assert [one["link"] for one in claims.shown()["originals"]][0] == "?recorded=as-written"
    session = Session()
    session.recorded = "masked"
    (value,) = denoise.linked(session)
    assert value["head"]["query"] == "recorded=masked" and value["head"]["looks"] == []
    assert denoise.on_player(session) == value and originals.is_recording(value)
    (said,) = denoise.done_to(session, {"do": "again", "cells": [1]}, ())
    assert said["refused"] == originals.CLOSED
    session.recorded = "moon"
    with pytest.raises(gr.Error, match="no recorded run 'moon'; there are as-written, masked"):
        list(denoise.linked(session))


def test_they_race(recorded):
    """In a race of two lanes, of which each says what was learned."""
    value = race.original()
    assert value["done"] and len(value["lanes"]) == 2 and value["run"]
    assert all("2 steps" in lane["term"] for lane in value["lanes"])


def test_without_a_recording_nothing_is_offered(tmp_path, monkeypatch):
    """Neither in Claims nor in Race."""
    monkeypatch.setattr(recording, "FOLDER", tmp_path)
    originals.recorded.cache_clear()
    assert originals.links() == [] and originals.race() == {}
    with pytest.raises(ValueError, match="there are none"):
        originals.run("masked")
    originals.recorded.cache_clear()
