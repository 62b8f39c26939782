"""What a model doubts: its own bets with a mask in each place are the exact conditionals; the loss
of the head is least for them; a text is mended where something better is found, else it stays."""

import json
from dataclasses import replace

import pytest
import torch

from tests.conftest import SHAPE
from tinydiff import exact, gaps, load, mending, processes, runs
from tinydiff.cli.commands import main
from tinydiff.doubt import Doubt, alone, states
from tinydiff.processes import PROCESSES
from tinydiff.randomness import seeded
from tinydiff.text import Canvas
from tinydiff.train.loop import PRESETS, train

LANGUAGE = exact.Enumerated(["abca", "abcc", "baca", "cbab", "bbbb"], [0.35, 0.25, 0.2, 0.15, 0.05])
MASKED = PROCESSES["masked"]


def test_bets_with_a_mask_are_the_conditionals():
    """p(x_0_i = x_i | the others), of texts of the language and of one that has no place in it."""
    process = exact.perfect("masked", LANGUAGE)
    x = torch.stack([LANGUAGE.tokenizer.encode(text) for text in ("abca", "abcc", "cbab")])
    found = alone(process, x)
    assert found[0].tolist() == pytest.approx([1, 1, 1, 0.35 / 0.6], abs=1e-6)
    assert found[1].tolist() == pytest.approx([1, 1, 1, 0.25 / 0.6], abs=1e-6)
    assert found[2].tolist() == pytest.approx([1, 1, 1, 1], abs=1e-6)
    wrong = alone(process, LANGUAGE.tokenizer.encode("abba")[None])[0]
    assert wrong[2] < 1e-6


class Known(torch.nn.Module):
    """A head that says, of texts of one hidden token, what is true, times a factor."""

    def __init__(self, process, factor):
        super().__init__()
        self.process, self.factor = process, factor

    def forward(self, x):
        known = x.clamp_max(len(LANGUAGE.tokenizer) - 1)  # what is no guess does not count
        return alone(self.process, known).clamp(1e-6, 1 - 1e-6).logit() * self.factor


def test_the_loss_is_least_for_the_conditionals(rng):
    """Of one guess a text, whose mean cross-entropy nothing but the conditional has."""
    process = exact.perfect("masked", LANGUAGE)
    head = Doubt.build(MASKED, LANGUAGE.tokenizer, MASKED.over.schedule_of(), **SHAPE)
    head.taught_by(process)
    tokens = LANGUAGE.sample(3000, 4, rng)
    last = torch.tensor([[True, True, True, False]]).expand(3000, 4)
    nats = []
    for factor in (1.0, 0.0, 4.0):
        head.logits = Known(process, factor).forward
        head.times = lambda n, rng: torch.ones(n)
        mean, guessed, *_ = head.nats(Canvas(tokens, last), seeded(0))
        asked = guessed.any(1)
        assert not guessed[:, :3].any() and asked.double().mean() > 0.2
        nats.append(mean[asked].mean().item())
    assert nats[0] < nats[1] - 0.1 and nats[0] < nats[2] - 0.03


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trained toy model of masks, and the head beside it."""
    place = tmp_path_factory.mktemp("doubt")
    (place / "text.txt").write_text("the cat sat on the mat and the dog ran to the cat. " * 300)
    tiny = replace(PRESETS["tiny"], corpus=str(place / "text.txt"), steps=60, warmup=5)
    list(train(replace(tiny, out=str(place / "model"))))
    head = replace(PRESETS["doubt"], preset="tiny", corpus=str(place / "text.txt"), steps=20)
    head = replace(head, doubt=str(place / "model"), batch=8, validate_every=10, lr=3e-3)
    *_, end = train(replace(head, out=str(place / "head")))
    return place, end


def test_it_is_trained_and_kept(made, capsys):
    place, end = made
    assert "of wrong guesses found" in end.sample and end.bits > 0
    head, model = load(place / "head"), load(place / "model")
    assert isinstance(head, Doubt) and head.tokenizer == model.tokenizer
    config = json.loads((place / "head" / "config.json").read_text())
    assert config["doubt"] is True and config["training"]["doubt"] == "model"
    words = mending.doubts(model, head, "the cat sat on the mat")
    assert [word.start for word in words] == [0, 4, 8, 12, 15, 19]
    assert all(0 < word.doubt < 1 for word in words)
    line = ["doubt", "the cat sat", "--model", str(place / "model")]
    assert main([*line, "--head", str(place / "head")]) == 0
    assert capsys.readouterr().out.count("%") == 3
    assert main([*line, "--words", "1"]) == 0
    assert capsys.readouterr().out.count("%") == 1


def test_a_run_goes_on(made):
    """As if it had never stopped."""
    place, _ = made
    saved = json.loads((place / "head" / "resume.json").read_text())
    config = replace(PRESETS["doubt"], **saved)
    *_, end = train(replace(config, steps=22), resume=True)
    assert end.step == 22


def test_a_text_is_mended(made):
    """What is put in is what the bound likes better; where nothing is, the text stays."""
    place, _ = made
    model = load(place / "model")
    text, settings = (
        "the cat sat on the mdt and the dog",
        {"model": str(place / "model"), "steps": 4},
    )
    seen = list(mending.mend(settings, model, None, text, 0.5, each=2, draws=4))
    assert seen and all(one.bits[1] <= one.bits[0] for one, _ in seen)
    for one, now in seen:
        assert now.startswith(text[: one.start]) and one.new in now
        assert (one.new == text[one.start : one.stop]) == (one.bits[0] == one.bits[1])
    assert not list(mending.mend(settings, model, None, text, 1.0))
    before = gaps.bits_behind(model, text, 19, 4)
    assert before == gaps.bits_behind(model, text, 19, 4) > 0


def test_stretches():
    text = "one two three, four five"
    doubt = dict(zip(("one", "two", "three", "four", "five"), (0.9, 0.8, 0.9, 0.1, 0.9)))
    words = [
        mending.Doubted(word.start(), word.end(), doubt[word.group()])
        for word in mending.WORD.finditer(text)
    ]
    assert mending.stretches(text, words, 0.5) == [(0, 13, 3), (20, 24, 1)]
    assert mending.stretches(text, words, 0.85) == [(0, 3, 1), (8, 13, 1), (20, 24, 1)]


def test_refusals(made):
    place, _ = made
    model, head = load(place / "model"), load(place / "head")
    other = processes.build("masked", model.tokenizer, **SHAPE | {"width": 64, "layers": 3})
    for process, doubter, text, words in (
        (exact.perfect("uniform", LANGUAGE), None, "abca", "has no masks to open a text with"),
        (model, model, "the cat", "is no head that doubts"),
        (other, head, "the cat", "trained beside another model"),
        (model, None, "", "There is no text"),
        (model, None, "the cat " * 30, "this model reads 64 at once: shorten it"),
    ):
        with pytest.raises(ValueError, match=words):
            mending.doubts(process, doubter, text)
    with pytest.raises(ValueError, match="no layers to look into"):
        states(exact.perfect("masked", LANGUAGE), torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="learned from filled masks"):
        uniform = PROCESSES["uniform"]
        Doubt.build(uniform, model.tokenizer, uniform.over.schedule_of(), **SHAPE)
    with pytest.raises(ValueError, match="doubts texts and writes nothing"):
        runs.request({"model": str(place / "head")})
    text = str(place / "text.txt")
    for wrong, words in (
        (dict(doubt=str(place / "model"), classifier="stories/masked"), "not several"),
        (dict(doubt=str(place / "model"), label="mood"), "has no labels"),
        (dict(classifier=str(place / "model")), "A classifier tells labels: name them"),
        (dict(doubt="stories/autoregressive"), "no model of noise that this can be trained for"),
    ):
        with pytest.raises(ValueError, match=words):
            made_ = replace(PRESETS["tiny"], corpus=text, out=str(place / "none"), **wrong)
            list(train(made_))
    assert main(["doubt", "the cat", "--head", "nobody"]) == 2
