"""The guided story: what its scenes hold is what the bundled models say, and what is said of it."""

import json
import re
from pathlib import Path

import pytest
import torch

from tinydiff.nets.precision import auto_is_fp32
from tinydiff.show import render
from tinydiff.store import catalogue
from tinydiff.text import Canvas
from tinydiff.ui import story

ROOT = Path(__file__).parent.parent
WORDS_A_MINUTE = 130  # read aloud, slowly
SHOWN = [scene["shown"] for scene in story.scenes()]


@pytest.fixture(scope="module")
def process():
    return catalogue.load(story.MODEL)


def spelled(shown: dict) -> str:
    return "".join(shown["pieces"][sign] for sign in shown["text"])


def written(value: dict) -> str:
    """The text at the end of a recorded run."""
    run, spelling = render.unpack(value), render.Spelling()
    for picture in run.frames:
        spelling.take(picture)
    *_, last = render.states(run.frames)
    return "".join(spelling.shown(run.frames[-1].text, last))


def test_the_scenes_are_short():
    """Eight scenes of one to three sentences, read aloud in well under five minutes with a pause in
    each; what a scene links to is there."""
    assert len(story.SCENES) == len(SHOWN) == 8 and all(SHOWN)
    for scene in story.SCENES:
        assert 1 <= len(re.findall(r"[.?!](?=\s|$)", scene.text)) <= 3
        assert (ROOT / scene.file).is_file()
        assert re.fullmatch(r"\d{4}\.\d{5}", scene.arxiv) and scene.paper and scene.formula
    words = sum(len(f"{scene.title} {scene.text}".split()) for scene in story.SCENES)
    assert words / WORDS_A_MINUTE < 3


def test_a_word_that_is_hidden_stays_hidden(process):
    """The story fades: at t = 0 all is there, at t = 1 all is hidden, and in between about as much
    as alpha(t) says; no word comes back as t rises."""
    shown = SHOWN[0]
    assert spelled(shown) == story.STORY
    gone, n = torch.tensor(shown["gone"]), len(shown["gone"])
    assert gone.min() > 0 and gone.max() <= shown["times"] == story.TIMES
    for step in (10, 30, 50, 70, 90):
        share = (gone <= step).float().mean().item()
        expected = 1 - process.noise.alpha(torch.tensor(step / story.TIMES)).item()
        assert abs(share - expected) < 4 * (expected * (1 - expected) / n) ** 0.5


def test_the_bets_are_the_networks(process):
    """One hidden word: five bets, sorted, as the network gives them, and the same shares for typed
    words; the true word is among what is offered."""
    shown = SHOWN[1]
    tokens = process.tokenizer.encode(story.STORY)
    place = shown["place"]
    assert process.tokenizer.pieces[tokens[place]] == story.WORD
    canvas = Canvas(tokens[None], (torch.arange(len(tokens)) != place)[None])
    x = torch.where(canvas.given, canvas.tokens, process.mask_id)
    with torch.no_grad(), auto_is_fp32():
        p = process.denoise(x, canvas.time(1.0)).log_x0[0, place].exp()
    for word, share in shown["bets"]:
        assert share == pytest.approx(p[story.token(process, f" {word}")].item(), abs=2e-3)
        assert shown["words"][word.lower()] == share
    shares = [share for _, share in shown["bets"]]
    assert shares == sorted(shares, reverse=True) and len(shares) == 5
    assert story.WORD.strip() in shown["offered"] and set(shown["offered"]) <= set(shown["words"])


def test_one_look_knows_less_the_more_is_hidden():
    """The share of hidden words that one look gets right falls; what is right is counted so."""
    truth, shares = SHOWN[2]["text"], []
    for look in SHOWN[2]["looks"]:
        right = sum(look["text"][i] == truth[i] for i in look["hidden"])
        rest = set(range(len(truth))) - set(look["hidden"])
        assert right == look["right"] and all(look["text"][i] == truth[i] for i in rest)
        shares.append(right / len(look["hidden"]))
    assert shares == sorted(shares, reverse=True) and shares[0] > 2 * shares[-1]


def test_two_words_that_fit_do_not_fit_together(process):
    """Each is the likeliest of its place, and was drawn; once the first is written the second is
    nearly impossible. A scene says so in these words."""
    shown = SHOWN[3]
    first, second = shown["pair"]
    words = [shown["pieces"][shown["text"][i]] for i in (first, second)]
    assert tuple(words) == story.PAIR
    assert [shown["first"][0][0], shown["second"][0][0]] == [word.strip() for word in words]
    before, after = shown["name"]
    assert before > 0.5 and after < 0.01
    assert all(f"“{word.strip()}”" in story.SCENES[3].text for word in words)
    request = story.asked(story.MODEL, **story.ONE)
    tokens = process.tokenizer.tokens(shown["text"])
    assert tokens[request.canvas.given[0]].equal(request.canvas.tokens[request.canvas.given])


def test_the_bets_get_surer_as_neighbours_come_in():
    """At the place that is framed: at the first look no word has half of the bets, at the last
    before it is written one has nearly all; most of the text is there by then."""
    frames, place = render.unpack(SHOWN[4]["run"]).frames, SHOWN[4]["place"]
    waits = [frame for frame in frames[1:] if frame.text[place] == render.MASK]
    assert waits[0].confidence[place] < 0.5 and waits[-1].confidence[place] > 0.8
    assert waits[-1].text.count(render.MASK) < len(waits[-1].text) / 2


def test_more_looks_make_more_sense():
    """The texts of the opening, by number of looks: one look has little sense, many have much."""
    texts = SHOWN[5]["texts"]
    counts = [text["looks"] for text in texts]
    assert counts == sorted(counts) and counts[0] == 1 and counts[-1] == 128
    shares = {text["looks"]: text["share"] for text in texts}
    assert shares[1] < 0.2 < 0.8 < shares[64] and shares[128] >= shares[8]


def test_four_noises_begin_alike():
    """Four runs of one beginning and as many steps; each has a sentence and is of its family."""
    runs = SHOWN[6]["runs"]
    assert [run["family"] for run in runs] == list(story.NOISES)
    for run in runs:
        text = written(run["run"])
        assert text.startswith(story.BEGIN) and render.MASK not in text
        assert run["about"].endswith(".")
    starts = {render.unpack(run["run"]).frames[0].text for run in runs}
    assert len(starts) == len(runs)


def test_appending_does_not_see_the_end():
    """Towards an end that is given: all three end with it; who appends writes what they write
    without it, and only what is set at any place is another text, in half of the looks at most."""
    (_, free), (_, towards) = SHOWN[7]["tasks"]
    for one, other in zip(free, towards):
        texts = written(one["run"]), written(other["run"])
        assert texts[0].startswith(story.BEGUN) and texts[1].endswith(story.END)
        assert (texts[1] == texts[0] + story.END) == (one["family"] != "masked")
    looks = {run["family"]: run["run"]["calls"] for run in towards}
    assert looks["masked"] <= looks["autoregressive"] / 2 == story.GAP / 2
    looks = {run["family"]: run["run"]["calls"] for run in free}
    assert looks["autoregressive"] == story.GAP


def test_the_same_seeds_make_it_again():
    """In float32 the run of the fifth scene is the recorded one."""
    with auto_is_fp32():
        value, _ = story.played(story.asked(story.MODEL, **story.RUN))
    assert written(value) == written(SHOWN[4]["run"])


def test_it_is_asked_for_and_not_loaded(monkeypatch):
    """The component is empty until the story is opened; then one string holds all, less than 300 KB
    of it, and says where it is of other weights."""
    assert story.Story().value is None
    told = json.loads(story.answer()["packed"])
    assert [scene["title"] for scene in told["scenes"]] == [s.title for s in story.SCENES]
    assert len(story.packed()) < 300_000
    monkeypatch.setattr(story.recording, "caption", lambda name: f"{name} is old")
    story.packed.cache_clear()
    assert json.loads(story.answer()["packed"])["note"] == "story is old"
    story.packed.cache_clear()
