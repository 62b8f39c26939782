"""Streams: texts one after the other, as `block` writes them. Where one ends and the next begins is
seen wherever a text is read, and judges are given the text that they were always given."""

import io
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from tests.languages import Pieces
from tinydiff import exact, runs
from tinydiff.cli import commands, terminal
from tinydiff.endings import parted, read_of, texts_of
from tinydiff.generate import generate
from tinydiff.measure import evaluate
from tinydiff.show import export, render
from tinydiff.show.render import BREAK, Run
from tinydiff.text import Canvas, Characters
from tinydiff.ui import blocks, cards, race

# a story of one token, its END, and the beginning of the next
STREAM = exact.Enumerated(["a|$|b|c"], [1.0], Pieces("a", "b", "c", ""))
SETTINGS = {"process": "masked", "sampler": "ancestral", "model": "toy", "steps": 4, "until": ""}


def frames_of(process):
    return list(generate(process, Canvas.blank(4), steps=4, seed=1))


@pytest.fixture(scope="module")
def process():
    return exact.perfect("masked", STREAM)


@pytest.fixture(scope="module")
def run(process):
    pictures = render.record(process, Canvas.blank(4), frames_of(process))
    return Run(SETTINGS, list(pictures))


def test_it_is_read_in_parts_and_measured_whole(process):
    """A blank line where it is read, nothing where it is measured; of a text that ends itself
    neither."""
    *_, frame = frames_of(process)
    assert texts_of(process, frame) == ["abc"] and read_of(process, frame) == ["a\n\nbc"]
    assert texts_of(process, frame, "end") == read_of(process, frame, "end") == ["a"]
    process = exact.perfect("masked", STREAM)
    process.ends = True
    assert texts_of(process, frame) == read_of(process, frame) == ["a"]


def test_a_blank_line_stands_between_two_texts():
    """Not before the first, not behind the last, and never twice."""
    assert parted("abc", [1]) == "a\n\nbc" and parted("abc", []) == "abc"
    assert parted("abc", [0, 1, 1, 3]) == "a\n\nbc" and parted("", [0]) == ""


def test_sample_prints_blank_lines(process, monkeypatch, capsys):
    asked = SimpleNamespace(process=process, settings=SETTINGS, frames=lambda: frames_of(process))
    monkeypatch.setattr(runs, "request", lambda settings: asked)
    monkeypatch.setattr(commands.flags, "settings_of", lambda args: {})
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    commands.sample(None)
    assert sys.stdout.getvalue() == "a\n\nbc\n"


def test_the_scene_names_the_sign(process, run, tmp_path):
    """Only of a stream, and it travels on the wire and in files; a file may not make it longer than
    a sign."""
    scene = run.frames[0].scene
    assert scene["between"] == process.tokenizer.signs[3] and scene["end"] == ""
    assert render.unpack(render.pack(run, process.V)).frames[0].scene == scene
    export.json(run, tmp_path / "run.json")
    assert export.load_json(tmp_path / "run.json").frames[0].scene == scene
    for wrong in ("xy", 1, None):
        assert not render.is_scene({**scene, "between": wrong}, 4)
    told = exact.perfect("masked", STREAM)
    told.ends = True
    assert "between" not in render.scene(told, Canvas.blank(4))
    plain = Characters.of("ab")
    language = exact.Markov.of(plain.encode("abab"), plain)
    assert "between" not in render.scene(exact.perfect("masked", language), Canvas.blank(4))


def test_films_and_terminals_break_the_line(run):
    """A sign ends the row, and an empty row follows, in a film and in a terminal; where nothing
    follows there is none."""
    assert export.texts(run)[-1] == f"a{BREAK}bc" and export.lines_of(run) == 3
    *_, last = export.images(run, plots=False)
    assert last.size == export.background_size(3)
    assert [row for (row,) in export.rows(f"a{BREAK}bc")] == [f"a{BREAK}", "", "bc"]
    assert [row for (row,) in export.rows(f"ab{BREAK}")] == [f"ab{BREAK}"]
    long = f"some words{BREAK}and words of the next"
    cut = [row for (row,) in export.rows(long, width=11, words=True)]
    assert cut == [f"some words{BREAK}", "", "and words ", "of the next"]
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=80)
    terminal.play((picture for picture in run.frames), SETTINGS, 4, console)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", out.getvalue())
    lines = [line.rstrip() for line in plain.split("\n")]
    assert any(lines[i : i + 3] == ["a∎", "", "bc"] for i in range(len(lines)))


def test_noise_parts_nothing():
    """Noise without masks holds an END now and then: lines break when the run is over."""
    process = exact.perfect("uniform", STREAM)
    end = process.tokenizer.signs[3]
    pictures = [
        picture
        for seed in range(20)
        for picture in render.record(
            process, Canvas.blank(4), generate(process, Canvas.blank(4), steps=4, seed=seed)
        )
    ]
    assert any(end in picture.text for picture in pictures if picture.t > 0)
    spelling = render.Spelling()
    for picture in pictures:
        spelling.take(picture)
        drawn = "".join(spelling.parted(picture.text, render.WRITTEN * 4))
        assert (BREAK in drawn) == (picture.t == 0 and end in picture.text)


def test_judges_read_what_they_read(process, run, monkeypatch):
    """On the tabs Race, Steps and Blocks judges are given the text without signs, without blank
    lines; what is shown beside it has them."""
    read = []
    monkeypatch.setattr(
        evaluate,
        "judged",
        lambda texts, process: read.extend(texts) or SimpleNamespace(bits=None, words=None),
    )
    request = SimpleNamespace(process=process, settings=SETTINGS, canvas=Canvas.blank(4))
    spelling, states = render.Spelling(), render.States()
    shown = []
    for picture in run.frames:
        spelling.take(picture)
        shown.append((picture.seconds, picture.text, states(picture)))
    lane = race.lane_of(request, picture, shown, spelling)
    assert lane["between"] == run.frames[0].scene["between"]

    monkeypatch.setattr(cards, "frames", lambda request, job: frames_of(process))
    job = SimpleNamespace(ended=False, replaced=False)
    card = cards.card(request, job)
    assert "".join(piece for piece, _ in card["pieces"]) == "a\n\nbc"

    progress = blocks.Progress()
    asked = SimpleNamespace(process=process, settings={"options": {"block": 4}})
    *_, frame = frames_of(process)
    progress.take(asked, frame)
    assert (progress.text, progress.ends) == ("abc", [1])
    value = blocks.running(request, progress, "done")
    assert (value["text"], value["ends"]) == ("abc", [1])
    assert read == ["abc"] * 3
    progress.cut(0)
    assert progress.ends == []


def test_what_stands_behind_a_mask_is_counted(process):
    """A mask has the room of one character, so that the places where texts end are right while a
    block is written."""
    mask, end = process.mask_id, process.tokenizer.end_id
    frame = SimpleNamespace(tokens=torch.tensor([[mask, 0, end, 1]]), calls=1, seconds=0.1)
    progress = blocks.Progress()
    progress.take(SimpleNamespace(process=process, settings={"options": {"block": 4}}), frame)
    assert progress.text == f"{render.MASK}ab" and progress.ends == [2]
