"""Evaluation: every character is counted once, the measures measure what they say, the card says
what was measured."""

import argparse
import json
import math
import random
import re
from dataclasses import asdict

import pytest
import torch

from tests.conftest import SHAPE, random_process
from tinydiff import exact, uncertainty
from tinydiff.cli import flags
from tinydiff.measure import evaluate
from tinydiff.randomness import seeded
from tinydiff.store import card, catalogue, checkpoint
from tinydiff.text import Characters, Corpus
from tinydiff.uncertainty import Mean


def test_every_character_is_counted_once():
    """A network that finds every character equally likely has the bound log V, whatever is left
    over for the last window."""
    for name in ("masked", "autoregressive"):
        process = random_process(name)
        torch.nn.init.zeros_(process.net.head.weight)
        for n in (24, 25, 47, 48, 240):
            found = evaluate.bound(process, torch.randint(10, (n,)), draws=3)
            assert found.nats == pytest.approx(math.log(10), abs=1e-5)
            assert found.windows == math.ceil(n / 24)
            assert found.bits == pytest.approx(math.log2(10), abs=1e-5)


@pytest.mark.parametrize("name", ["masked", "autoregressive"])
def test_the_bound_of_a_perfect_network_is_the_entropy_rate(name, alphabet, rng):
    """On a long text of a Markov chain, in windows: the entropy of a window over the characters
    that its tokens spell, within four of its own standard errors."""
    step = (2 * torch.randn(6, 6, generator=rng)).double().softmax(1)
    chain = exact.Markov(alphabet(6), torch.linalg.matrix_power(step, 99)[0], step)
    process = exact.perfect(name, chain)
    process.length = 32
    found = evaluate.bound(process, chain.sample(1, 32 * 300, rng)[0], draws=4)
    assert found.error < 0.03
    characters = 32 * (chain.start * torch.tensor([*map(len, chain.tokenizer.pieces)])).sum().item()
    assert abs(found.nats - chain.entropy(32) / characters) < 4 * found.error


def test_the_judge_prefers_real_text():
    """A line of verse has fewer bits a character than its words shuffled, and those than its
    letters shuffled."""
    verse = (
        "O, speak again, bright angel! for thou art\nAs glorious to this night, being o'er my "
        "head\nAs is a winged messenger\n"
    )
    words = " ".join(sorted(verse.split()))
    letters = "".join(verse[i] for i in torch.randperm(len(verse), generator=seeded(0)))
    bits = [evaluate.judge_bits([text]).value for text in (verse, words, letters)]
    assert bits[0] < bits[1] < bits[2]
    assert evaluate.judge_bits([verse]).error is None
    assert evaluate.judge_bits([verse, letters]).value == pytest.approx((bits[0] + bits[2]) / 2)
    assert evaluate.judge_bits(["naïve"]) is None and evaluate.judge_bits([]) is None
    assert evaluate.judge_bits(["", verse]).value == bits[0] and evaluate.judge_bits([""]) is None


def test_real_words():
    """Words of fewer than four letters do not count, nor words that touch an end; an apostrophe
    belongs to its word and is no letter; capitals do not matter. The error is over texts, and one
    alone has none.
    """
    text = "xqzz The King, o'er zzxq hills' he'ld xqzz"
    assert evaluate.word_counts(text) == (3, 4)
    assert evaluate.real_words([text]) == uncertainty.Mean(3 / 4, None)
    assert evaluate.real_words(["word"]) is None and evaluate.real_words([]) is None
    found = evaluate.real_words([text, "a zzxq zzxq zzxq zzxq b"] * 8)
    assert found.value == 3 / 8
    assert found.error == pytest.approx(math.sqrt(16 * (3 / 2) ** 2 * 16 / 15) / 64)


def test_both_ends_of_the_scale_of_real_words():
    """Letters by chance, letters in pairs and the text itself, from a corpus of dictionary words;
    each with its error. Short words would have given chance far more.
    """
    rng = random.Random(0)
    known = sorted(word for word in catalogue.words() if word.isalpha())
    text = " ".join(rng.choice(known) for _ in range(12_000))
    ids = (tokenizer := Characters.of(text)).encode(text)
    found = evaluate.yardsticks(Corpus("words", tokenizer, ids, ids[: 256 * 40]), 256)
    assert found["letters"]["words"] < found["pairs"]["words"] < 0.2 and found["real"]["words"] == 1
    assert 0 < found["letters"]["error"] < 0.01 and 0 < found["pairs"]["error"] < 0.02


def test_the_chain_of_pairs_is_the_one_of_the_text(alphabet, rng):
    """Transitions of `followed` are those of the text, which come from a Markov chain; nothing
    follows that never did."""
    step = (2 * torch.randn(5, 5, generator=rng)).double().softmax(1)
    train = exact.Markov(alphabet(5), torch.full((5,), 0.2).double(), step).sample(1, 20_000, rng)[
        0
    ]
    there = torch.bincount(train[:-1] * 5 + train[1:], minlength=25).view(5, 5).double()
    rows = evaluate.followed(train, torch.arange(5).repeat(40), 500, rng)
    found = (
        torch.bincount((rows[:, :-1] * 5 + rows[:, 1:]).flatten(), minlength=25).view(5, 5).double()
    )
    assert (found[there == 0] == 0).all()
    assert (
        found / found.sum(1, keepdim=True) - there / there.sum(1, keepdim=True)
    ).abs().max() < 0.02


def test_two_models_are_compared_on_the_same_windows(rng):
    """The difference is the one of the means, its error that of the differences and not of either;
    evaluation.json keeps enough for it, and another text is refused.
    """
    one, other = random_process("autoregressive"), random_process("autoregressive")
    torch.nn.init.zeros_(other.net.head.weight)
    ids = torch.randint(10, (24 * 40 + 5,), generator=rng)
    rows = [
        json.loads(evaluate.compact(evaluate.bound(process, ids).row())) for process in (one, other)
    ]
    found = evaluate.compare(*rows)
    assert found.value == pytest.approx(rows[0]["nats"] - rows[1]["nats"], abs=1e-3)
    assert len(rows[0]["each"]) == rows[0]["windows"] == 41 and rows[0]["counts"] == [
        [40, 24],
        [1, 5],
    ]
    alone = uncertainty.mean(
        torch.tensor(rows[0]["each"]) - torch.tensor(rows[1]["each"]),
        torch.tensor([24.0] * 40 + [5]),
        consecutive=True,
    )
    assert found.error == pytest.approx(alone.error, rel=1e-3)
    elsewhere = evaluate.bound(one, ids.flip(0)).row()
    for strange in (elsewhere, {key: rows[0][key] for key in ("nats", "error")}):
        with pytest.raises(ValueError, match="on the same windows"):
            evaluate.compare(rows[0], strange)


def test_a_list_of_numbers_is_one_line_of_json():
    """What is read back is what was written; texts with brackets and numbers stay as they are."""
    result = dict(
        each=[1.5, -2, 3e-9],
        counts=[[40, 24], [1, 5]],
        nothing=[],
        text="[ 1,\n 2 ]",
        rows=[dict(a=1), dict(a=None)],
    )
    assert json.loads(evaluate.compact(result)) == result
    assert '"each": [1.5, -2, 3e-09]' in evaluate.compact(result)


def test_the_judge_speaks_of_what_it_learned():
    """Bits and Shakespeare's words are told of who learned his text with the judge's alphabet,
    trained or perfect; of who learned another, by its config, nothing is told but how varied the
    text is, unless words of its own are known.
    """
    text = "\nWhat light through yonder window breaks?\n"
    for name in ("masked", "autoregressive", "perfect-uniform"):
        found = evaluate.judged([text], catalogue.open_model(name))
        assert found.bits is not None and found.words == 1
    stranger = random_process("masked")
    stranger.corpus = catalogue.judge().corpus
    other = catalogue.checkpoint.load(catalogue.bundled()["shakespeare/masked"].folder)
    other.corpus = "mine"
    for process in (stranger, other):
        found = evaluate.judged([text], process)
        assert found.bits is found.words is None and found.distinct4 == 1
        assert evaluate.judged(
            [text], process, frozenset({"light", "what"})
        ).words == pytest.approx(2 / 6)


def test_diversity():
    """Distinct n-grams and entropy of texts that are known."""
    assert evaluate.distinct(["abcdabcd"], 4) == 4 / 5
    assert evaluate.distinct(["aaaa", "aaaa"], 4) == 1 / 2
    assert evaluate.character_entropy(["abab", "cdcd"]) == 2
    assert evaluate.character_entropy(["aaa"]) == 0


def test_the_longest_copy():
    """The longest run that stands in the source."""
    assert evaluate.longest_copy("xxhello worldyy", "say hello world") == len("hello world")
    assert evaluate.longest_copy("xyz", "abc") == 0


def test_the_dictionary_knows_shakespeare():
    """Common words and his, but not letters in a row."""
    assert {"king", "thou", "o'er", "montague", "i", "a"} <= catalogue.words()
    assert not {"xqz", "b", "thth"} & catalogue.words()


def test_some_samplers_are_measured(monkeypatch, tmp_path):
    """Those that are asked for, over steps and over temperatures; one that the process has not is
    told before anything is measured."""
    monkeypatch.setattr(evaluate, "STEPS", (1, 4))
    monkeypatch.setattr(evaluate, "TEMPERATURES", (1.0,))
    process = random_process("masked")
    rows = evaluate.curves(process, evaluate.judged, 2, 1, ["ancestral"])
    assert [(r["sampler"], r["steps"]) for r in rows["steps"]] == [
        ("ancestral", 1),
        ("ancestral", 4),
    ]
    assert [r["sampler"] for r in rows["temperatures"]] == ["ancestral"] and rows["single"] == []
    folder = checkpoint.save(
        process,
        checkpoint.config_of(process, {**SHAPE, "labels": 0}, "letters"),
        tmp_path / "m",
    )
    ids = torch.randint(10, (24 * 40,), generator=seeded(0))
    data = Corpus("letters", process.tokenizer, ids, ids[: 24 * 8])
    with pytest.raises(ValueError, match="nothing"):
        evaluate.run(folder, data, samplers=["nothing"])
    assert not (folder / "evaluation.json").exists()


def test_evaluating_a_checkpoint_writes_its_card(tmp_path, monkeypatch):
    """run() writes evaluation.json and a card that holds the bound, the command and a table; bad
    rows are not hidden."""
    monkeypatch.setattr(evaluate, "STEPS", (1, 4))
    monkeypatch.setattr(evaluate, "FEWER", (4,))
    monkeypatch.setattr(evaluate, "TEMPERATURES", (1.0,))
    process = random_process("masked")
    made = dict(
        training={"process": "masked", "steps": 7}, step=7, seconds=60.0, hardware="an abacus"
    )
    folder = checkpoint.save(
        process,
        checkpoint.config_of(process, {**SHAPE, "labels": 0}, "letters", **made),
        tmp_path / "m",
    )
    ids = torch.randint(10, (24 * 40,), generator=seeded(0))
    data = Corpus("letters", process.tokenizer, ids, ids[: 24 * 8])
    result = evaluate.run(folder, data, batch=4, draws=2)
    assert (
        json.loads((folder / "evaluation.json").read_text())
        == result
        == catalogue.checkpoint.card(folder).evaluation
    )
    text = (folder / "README.md").read_text()
    assert text.startswith("---\n") and f"**{card.nats(result['bound'])} nats**" in text
    assert "an abacus" in text and "--process masked --steps 7" in text
    samplers = {row["sampler"] for row in result["steps"] + result["single"]}
    assert {"ancestral", "confidence", "left_to_right"} <= samplers
    assert {row["steps"] for row in result["steps"]} == {1, 4}


def test_a_card_without_evaluation_says_so(tmp_path):
    """Nothing is made up."""
    process = random_process("masked")
    folder = checkpoint.save(
        process, checkpoint.config_of(process, {**SHAPE, "labels": 0}, "letters"), tmp_path / "m"
    )
    card.write(folder)
    assert "Not evaluated yet." in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", list(catalogue.bundled()))
def test_the_command_of_a_card_is_its_run(name):
    """The flags in a bundled card, read as the trainer reads them, are the settings of that run."""
    known = catalogue.card_of(name)
    command = re.search(
        r"`python train_space.py (.*?)`", (known.path / "README.md").read_text("utf-8")
    )[1]
    parser = argparse.ArgumentParser()
    flags.train_flags(parser)
    config = asdict(flags.config_of(parser.parse_args(command.split())))
    made = known.config["training"]
    assert {k: config[k] for k in made if k not in card.NOT_LEARNED} == {
        k: v for k, v in made.items() if k not in card.NOT_LEARNED
    }


def test_another_judge_reads_too():
    """Its bits stand beside the others; texts without a character are counted, and read by none."""

    class Outside:
        def bits(self, texts):
            return Mean(len("".join(texts)), 0.5)

    found = evaluate.judged(["", "abc"], outside=Outside())
    assert (found.outside, found.outside_error, found.empty) == (3, 0.5, 1)
    assert evaluate.judged([""], outside=Outside()).outside is None


def test_distinct_phrases():
    """Four words in a row, whatever stands between them, in any case; not across texts."""
    assert evaluate.distinct_words(["One two three four. One two, three four!"], 4) == 4 / 5
    assert evaluate.distinct_words(["one two three four", "five", "One two three four"], 4) == 1 / 2
    assert evaluate.distinct_words(["one two three", "four five"], 4) is None


def test_a_card_tells_what_was_measured():
    """Two judges and distinct phrases have their columns where real text was read so, and the
    outside judge is named; a card from before has neither."""
    row = dict(bits=1.0, words=0.9, distinct4=0.4, entropy=4.0)
    told = row | dict(outside=1.25, outside_error=0.05, perplexity=44.2, distinct4_words=0.8)
    for real, extra in ((row, ""), (told, " | 1.25 ± 0.05 (perplexity 44)")):
        line = card.over_steps(dict(real=real, steps=[], single=[]))[-1]
        assert line.startswith(f"| real text | | | 1.00{extra} | 90 %")
    assert "1.25 ± 0.05 (perplexity 44) under the outside judge" in card.quality_of(told, told)[2]
