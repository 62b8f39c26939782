"""The tab Blocks without a browser: what a run streams, what may not be asked, what the pictures
hold."""

import gradio as gr
import pytest

from tinydiff.show.render import MASK
from tinydiff.store import catalogue
from tinydiff.ui import blocks
from tinydiff.ui.blocks import TAB, read, search, write
from tinydiff.ui.session import Job, Session

USUAL = dict(
    model="perfect-block",
    block=16,
    each=8,
    order="random",
    cache="exact",
    rule="length",
    length=128,
    prompt="A",
    temperature=1.0,
    seed=3,
)


def asked(**more):
    return read(**{**USUAL, **more})


def test_a_run_grows_block_by_block(monkeypatch):
    """What is finished stays, in every message; only the block that is written holds masks; the end
    tells its numbers."""
    monkeypatch.setattr(blocks, "EVERY", 0)
    job = Job()
    seen = list(write(asked(), job))
    for before, after in zip(seen, seen[1:]):
        assert (
            after["text"].startswith(before["text"][: before["start"]])
            and MASK not in after["text"][: after["start"]]
        )
        assert len(after["text"]) - before["start"] <= 32 and after["start"] % 16 == 0
    last = seen[-1]
    assert last["state"] == "done" and len(last["text"]) == 128 and last["text"].startswith("A")
    facts = dict(last["facts"])
    assert facts["characters"] == "128" and facts["calls"] == "64"
    assert [n for n, _ in job.kept[0]["pace"]] == [64, 128] and last["pictures"]


def test_the_cache_changes_nothing_but_the_time():
    """The same text with it and without; the picture then has both lines."""
    session = Session()
    texts = [
        list(write(asked(cache=cache), session.begin("blocks")))[-1] for cache in ("none", "exact")
    ]
    assert texts[0]["text"] == texts[1]["text"]
    assert all(f"cache: {cache}" in texts[1]["pictures"][0] for cache in ("none", "exact"))


def test_stop_keeps_what_is_written(monkeypatch):
    """Also in the middle of a block, whose other characters stay masks."""
    monkeypatch.setattr(blocks, "EVERY", 0)
    session = Session()
    for value in write(asked(), session.begin("blocks")):
        if value["state"] == "writing" and len(value["text"]) > 40 and MASK in value["text"]:
            session.stop("blocks")
        last = value
    assert last["state"] == "stopped" and 32 < len(last["text"]) < 80 and MASK in last["text"]


def test_the_recording_tells_all_that_a_run_does(monkeypatch):
    """Its tokens too, by which its bar and the network's window are drawn, and where texts end."""
    saved, options = {}, {name: USUAL[name] for name in blocks.USUAL}
    monkeypatch.setattr(blocks, "offered", lambda: {"perfect-block": None})
    monkeypatch.setattr(blocks, "USUAL", options)
    monkeypatch.setattr(blocks.recording, "save", lambda name, value, models: saved.update(value))
    blocks.record()
    last = list(write(asked(order=""), Job()))[-1]
    assert set(saved["run"]) == set(last) - set(blocks.BESIDE) and "ends" in saved["run"]
    assert saved["run"]["written"] == saved["run"]["total"] == 128
    assert saved["run"]["unit"] == "characters"
    assert set(blocks.BESIDE) == set(blocks.pictures_of([], "perfect-block", "block", 16))


def test_a_new_run_replaces_the_old_one(monkeypatch):
    monkeypatch.setattr(blocks, "EVERY", 0)
    session = Session()
    first = TAB.start(session, *{**USUAL}.values())
    next(first)
    second = TAB.start(session, *{**USUAL, "seed": 4}.values())
    next(second)
    assert list(first) == [] and list(second)[-1]["state"] == "done"


def test_a_text_may_end_sooner():
    """At a blank line, which stays; the rest of the canvas is not written."""
    for seed in range(20):
        value = list(write(asked(rule="blank line", length=512, seed=seed), Job()))[-1]
        if value["state"] == "ended":
            break
    assert (
        value["state"] == "ended"
        and value["text"].endswith("\n\n")
        and value["text"].count("\n\n") == 1
    )


@pytest.mark.parametrize(
    "wrong, says",
    [
        (dict(model="nonsense"), "no model"),
        (dict(model=["masked"]), "give a text"),
        (dict(block=7), "block is 7"),
        (dict(block=0), "block is 0"),
        (dict(block="16"), "block is '16'"),
        (dict(order="magic"), "order is 'magic'"),
        (dict(cache="prefix"), "cache is 'prefix'"),
        (dict(each=0), "steps a block"),
        (dict(each=2.5), "steps a block"),
        (dict(length=10**6), "length"),
        (dict(temperature=float("nan")), "temperature"),
        (dict(seed=-1), "seed"),
        (dict(rule="tea"), "no rule"),
        (dict(prompt="x" * 200), "shorten the prompt"),
        (dict(prompt="\u00e9"), "\u00e9"),
        (dict(prompt=None), "prompt"),
    ],
)
def test_what_cannot_be_asked(wrong, says):
    """One sentence each, before anything is computed."""
    with pytest.raises(gr.Error) as caught:
        asked(**wrong)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_every_offered_model_can_be_chosen():
    """Learned ones first; each brings its sizes, orders, caches and pictures."""
    found = blocks.offered()
    assert (
        "perfect-block" in found and "perfect-masked" in found and "perfect-gaussian" not in found
    )
    ranks = [(model.folder is None, not blocks.learned(model.process)) for model in found.values()]
    assert ranks == sorted(ranks)
    for key in found:
        block, order, cache, panel, model = blocks.changed(Session(), key, 32)
        assert model["value"] == key and key in [value for _, value in model["choices"]]
        assert (
            block["value"] == 32 and order["choices"] and cache["value"] == cache["choices"][0][1]
        )
        assert ("exact" if "block" in key else "approximate") in panel["note"]


def test_the_variance_lab_shows_the_last_search():
    """Its window is that of the least variance, named with what it gains; a checkpoint without a
    search shows none."""
    rows = [
        {"step": 1, "variances": {"4": {"0.00-1.00": 9.0, "0.20-0.90": 2.0, "0.00-0.50": 3.0}}},
        {"step": 2},
    ]
    lab = search(rows, 4, "block")
    assert (
        "4.5 times" in lab["words"] and "0.20 to 0.90" in lab["words"] and "<svg" in lab["picture"]
    )
    assert search(rows, 16, "block") is None and search([], 4, "block") is None


def test_the_bridge_needs_an_evaluation():
    """Without one there is no curve, and nothing is made up; with one every size is named."""
    assert not blocks.bits_bridge([], "block", "") and not blocks.judge_bridge([], [], "block", "")
    rows = [
        dict(size=n, bits=3.0, bound=dict(nats=1.0 + n / 100, bits=1.5 + n / 100, error=0.01))
        for n in (1, 4, 16)
    ]
    assert all(
        f"{n} {1.5 + n / 100:.3f}" in blocks.bits_bridge(rows, "block", "") for n in (1, 4, 16)
    )
    assert catalogue.models()
