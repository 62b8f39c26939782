"""What a model doubts in a text, on the page: what is asked for, what is shown, what is kept, and
what is refused."""

import copy

import gradio as gr
import pytest

from tinydiff import mending
from tinydiff.show import render
from tinydiff.store import catalogue
from tinydiff.ui import cost, denoise, doubting, fields, memory
from tinydiff.ui.session import Session

SLIPS = fields.CHIPS[fields.SLIPS[0]]
SHORT = "Lily saw a big dgo. They went home."
MODEL = "stories/masked"


def panel(text=SHORT, model=MODEL, seed=7):
    """The values of the fields behind the noise."""
    return [model, "ancestral", 64, 128, seed, text, "uniform"]


def done(session, values, **deed):
    return [*denoise.done_to(session, deed, values)]


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Nothing is remembered from one test to the next."""
    monkeypatch.setattr(doubting, "MEMORY", memory.Memory())


@pytest.fixture
def mine():
    """A session whose visitor had their own text doubted, and the last value."""
    session = Session()
    (*_, value) = done(session, panel(), do="doubt", mine=True)
    return session, value


def marked(proof):
    """The words that are doubted."""
    return [
        proof["text"][start:stop] for start, stop, doubt in proof["words"] if doubt > proof["limit"]
    ]


def text_of(value):
    """What a value reads."""
    end = render.unpack(value).frames[-1].text
    return render.spelled(end, catalogue.open_model(MODEL).tokenizer)


def test_the_example_shows_its_slips():
    """A mistyped word, two that were swapped, and one of another story, and no right word."""
    (first, value) = done(Session(), panel(SLIPS), do="doubt", mine=True)
    assert "about" in first["proof"]["busy"] and not first["proof"]["words"]
    assert marked(value["proof"]) == ["thorw", "lake", "the", "cake"]
    assert text_of(value) == SLIPS and value["still"] and value["proof"]["left"] == 3


def test_the_text_on_the_player_stays():
    """What the page opens with is asked about, by bets and by the head, as the terminal asks."""
    session, process = Session(), catalogue.open_model(MODEL)
    heads = {"bets": None, "head": copy.deepcopy(catalogue.opened_doubt("stories"))}
    for way, head in heads.items():
        (_, value) = done(session, panel(), do="doubt", way=way)
        proof = value["proof"]
        assert value.keys() == {"run", "proof"} and value["run"] == denoise.example()["run"]
        assert proof["text"] == text_of(denoise.example()) and proof["ways"] == ("bets", "head")
        words = mending.doubts(process, head, proof["text"])
        assert [word[:2] for word in proof["words"]] == [[*word[:2]] for word in words]
        assert [w[2] for w in proof["words"]] == pytest.approx([w.doubt for w in words], abs=1e-6)
        assert proof["limit"] == mending.LIMITS[way]
    assert not session.jobs.get("denoise") and not session.past


def test_a_text_is_doubted_once(mine, monkeypatch):
    """Whoever asks the same is told at once, whatever else they do meanwhile."""
    _, value = mine
    monkeypatch.setattr(mending, "doubts", None)
    (again,) = done(Session(), panel(), do="doubt", mine=True)
    assert again["proof"] == value["proof"] and again["run"] != value["run"]


def test_a_text_is_mended_stretch_by_stretch(mine):
    """From the end on, each shown as it comes, as the terminal mends it; the new text is on the
    player with what was replaced, and is taken back."""
    session, before = mine
    *busy, value = done(session, panel(), do="mend")
    assert all(one["run"] == before["run"] and one["proof"]["busy"] for one in busy)
    settings = dict(model=MODEL, steps=doubting.STEPS, seed=7)
    process = catalogue.open_model(MODEL)
    found = [*mending.mend(settings, process, None, SHORT, each=doubting.EACH)]
    assert found and before["proof"]["left"] == len(found)
    changes = value["proof"]["changes"]
    assert [(c["start"], c["stop"], c["new"]) for c in changes] == [one[:3] for one, _ in found]
    assert text_of(value) == found[-1][1] != SHORT and value["run"] != before["run"]
    assert value["proof"]["over"] and not value["proof"]["busy"] and not value["proof"]["left"]
    assert value["proof"]["text"] == SHORT
    (back,) = done(session, panel(), do="undo")
    assert text_of(back) == SHORT
    done(session, panel(), do="doubt")
    (again,) = done(session, panel(), do="mend")  # it is remembered
    assert again["proof"]["changes"] == changes and text_of(again) == text_of(value)


def test_what_was_mended_before_it_was_stopped_stays():
    session = Session()
    done(session, panel(SLIPS), do="doubt", mine=True)
    for value in denoise.done_to(session, {"do": "mend"}, panel()):
        if len(value["proof"]["changes"]) == 1:
            session.stop(doubting.NAME)
    (change,) = value["proof"]["changes"]
    assert value["proof"]["stopped"] and value["proof"]["left"] == 2
    old = SLIPS[change["start"] : change["stop"]]
    assert text_of(value) == SLIPS.replace(old, change["new"]) != SLIPS


def test_a_visitor_who_goes_ends_it(monkeypatch):
    """Between two looks, and not at the end of all."""
    session, asked = Session(), 0
    process = catalogue.open_model(MODEL)
    denoising = type(process).denoise

    def counted(self, *values, **more):
        nonlocal asked
        asked += 1
        session.end()
        return denoising(self, *values, **more)

    monkeypatch.setattr(type(process), "denoise", counted)
    proof = doubting.Proof(0, denoise.read({"model": MODEL}), SLIPS)
    *_, told = doubting.doubt(proof, doubting.begin(session))
    assert told["proof"]["stopped"] and not told["proof"]["words"] and asked == 1


def test_a_newer_text_is_not_replaced(mine):
    """Whoever begins another thing while a text is mended keeps what that shows."""
    session, _ = mine
    steps = denoise.done_to(session, {"do": "mend"}, panel())
    next(steps)
    newer = denoise.settled(session, session.jobs["denoise"].request, {"run": 1})
    assert [*steps] == [] and session.kept("denoise") == newer


def test_nothing_is_shared(monkeypatch):
    """A head is told whose states it reads, and hooks into that network: both are copies of the
    visitor's own."""
    proof, seen = doubting.Proof(0, denoise.read({"model": MODEL}), SHORT, "head"), []
    asked = mending.doubts
    monkeypatch.setattr(mending, "doubts", lambda *two: seen.append(two) or asked(*two))
    *_, told = doubting.doubt(proof, doubting.begin(Session()))
    ((process, head, _),) = seen
    assert told["proof"]["words"] and process is not proof.request.process
    assert head is not catalogue.opened_doubt("stories")
    assert not catalogue.opened_doubt("stories").teachers


@pytest.mark.parametrize(
    "deed, text, model, said",
    [
        ({"mine": True}, "", MODEL, "There is no text: write some."),
        ({"mine": True}, "a " * 600, MODEL, "this model reads 255 at once: shorten it"),
        ({"mine": True}, "She … home.", MODEL, "The text has a gap: fill it first"),
        ({"mine": True}, SHORT, "stories/uniform", "has no masks to open a text with"),
        ({"mine": True}, SHORT, "nobody", "There is no model"),
        ({"mine": True}, 7, MODEL, "."),
        ({"way": "guess"}, SHORT, MODEL, "The way is 'guess'; there are bets, head."),
        ({"way": ["head"]}, SHORT, MODEL, "there are bets, head."),
        ({"do": "mend"}, SHORT, MODEL, "ask for this one first"),
    ],
)
def test_what_is_refused(deed, text, model, said):
    """In one sentence, and what is on the player stays."""
    session = Session()
    (value,) = done(session, panel(text, model), **{"do": "doubt"} | deed)
    assert said in value["refused"] and "\n" not in value["refused"]
    assert not session.jobs


def test_a_head_is_for_the_model_beside_which_it_was_trained():
    request = denoise.read({"model": "stories/score-masked"})
    proof = doubting.Proof(0, request, SHORT, "head")
    with pytest.raises(ValueError, match="No head was trained beside this model"):
        doubting.check(proof)
    assert proof.told()["proof"]["ways"] == ("bets",)


def test_a_text_that_would_take_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(cost, "MOST", 1e6)
    (value,) = done(Session(), panel(), do="doubt", mine=True)
    assert "times as much as a run of this page may" in value["refused"]


def test_bets_are_counted_and_one_look_takes_less():
    request = denoise.read({"model": MODEL})
    bets, head = (doubting.check(doubting.Proof(0, request, SLIPS, w)) for w in doubting.WAYS)
    assert bets > 20 * head > 0


@pytest.mark.parametrize("words, widths", [(2, [1, 2, 3, 4]), (126, [1, 2, 3]), (400, [1])])
def test_a_gap_fits_into_what_the_model_reads(words, widths):
    """What is left out are the widths for which there is no room; the least stays."""
    process = catalogue.open_model(MODEL)
    text = " dog and" * words
    assert mending.opened(process, "a" + text, 0, 1, 1) == ("…" + text, widths)


def test_the_chip_is_doubted_and_not_written_on():
    """And the others are written on, as ever."""
    session, noise = Session(), "masked"
    *_, value = denoise.tried(session, fields.SLIPS[0], noise, *panel(SLIPS))
    assert value["proof"]["left"] == 3
    turn = denoise.ask_tried(session, "an opening", noise, *panel("Once", "nobody"))
    assert turn.known() and "There is no model" in turn.find()["refused"]
    with pytest.raises(gr.Error):
        denoise.read_fields(session, noise, *panel("Once", "nobody"))
