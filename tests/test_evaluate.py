"""Evaluation: every character is counted once, the measures measure what they say, the card says what was measured."""

import argparse
import json
import math
import re
from dataclasses import asdict

import pytest
import torch

from tests.conftest import SHAPE, random_process
from tinydiff import card, checkpoint, console, evaluate, exact, library
from tinydiff.text import Corpus, Tokenizer


def test_every_character_is_counted_once():
    """A network that finds every character equally likely has the bound log V, whatever is left over for the last window."""
    for name in ("masked", "autoregressive"):
        process = random_process(name)
        torch.nn.init.zeros_(process.net.head.weight)
        for n in (24, 25, 47, 48, 240):
            found = evaluate.bound(process, torch.randint(10, (n,)), draws=3)
            assert found.nats == pytest.approx(math.log(10), abs=1e-5)
            assert found.windows == math.ceil(n / 24)
            assert found.bits == pytest.approx(math.log2(10), abs=1e-5)


@pytest.mark.parametrize("name", ["masked", "autoregressive"])
def test_the_bound_of_a_perfect_network_is_the_entropy_rate(name, rng):
    """On a long text of a Markov chain, in windows: the entropy of a window, within four of its own standard errors."""
    step = (2 * torch.randn(6, 6, generator=rng)).double().softmax(1)
    chain = exact.Markov(Tokenizer("abcdef"), torch.linalg.matrix_power(step, 99)[0], step)
    process = exact.perfect(name, chain)
    process.length = 32
    found = evaluate.bound(process, chain.sample(1, 32 * 300, rng)[0], draws=4)
    assert found.error < 0.03
    assert abs(found.nats - chain.entropy(32) / 32) < 4 * found.error


def test_the_judge_prefers_real_text():
    """A line of verse has fewer bits a character than its words shuffled, and those than its letters shuffled."""
    verse = (
        "O, speak again, bright angel! for thou art\nAs glorious to this night, being o'er my head\nAs is a winged messenger\n"
    )
    words = " ".join(sorted(verse.split()))
    letters = "".join(verse[i] for i in torch.randperm(len(verse), generator=torch.Generator().manual_seed(0)))
    bits = [evaluate.judge_bits([text]) for text in (verse, words, letters)]
    assert bits[0] < bits[1] < bits[2]
    assert evaluate.judge_bits(["naïve"]) is None and evaluate.judge_bits([]) is None


def test_real_words():
    """Words that touch an end are left out; an apostrophe belongs to its word; capitals do not matter."""
    assert evaluate.real_words(["xqz The king, o'er zzxq hills xqz"]) == 4 / 5
    assert evaluate.real_words(["word"]) is None


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
    assert {"king", "thou", "o'er", "montague", "i", "a"} <= library.words()
    assert not {"xqz", "b", "thth"} & library.words()


def test_evaluating_a_checkpoint_writes_its_card(tmp_path, monkeypatch):
    """run() writes evaluation.json and a card that holds the bound, the command and a table; bad rows are not hidden."""
    monkeypatch.setattr(evaluate, "STEPS", (1, 4))
    monkeypatch.setattr(evaluate, "FEWER", (4,))
    monkeypatch.setattr(evaluate, "TEMPERATURES", (1.0,))
    process = random_process("masked")
    made = dict(training={"process": "masked", "steps": 7}, step=7, seconds=60.0, hardware="an abacus")
    folder = checkpoint.save(process, checkpoint.config_of(process, {**SHAPE, "labels": 0}, "letters", **made), tmp_path / "m")
    ids = torch.randint(10, (24 * 40,), generator=torch.Generator().manual_seed(0))
    data = Corpus("letters", process.tokenizer, ids, ids[: 24 * 8])
    result = evaluate.run(folder, data, batch=4, draws=2)
    assert json.loads((folder / "evaluation.json").read_text()) == result == library.checkpoint.card(folder).evaluation
    text = (folder / "README.md").read_text()
    assert text.startswith("---\n") and f"**{result['bound']['nats']:.4f} nats**" in text
    assert "an abacus" in text and "--process masked --steps 7" in text
    samplers = {row["sampler"] for row in result["steps"] + result["single"]}
    assert {"ancestral", "confidence", "left_to_right"} <= samplers
    assert {row["steps"] for row in result["steps"]} == {1, 4}


def test_a_card_without_evaluation_says_so(tmp_path):
    """Nothing is made up."""
    process = random_process("masked")
    folder = checkpoint.save(process, checkpoint.config_of(process, {**SHAPE, "labels": 0}, "letters"), tmp_path / "m")
    card.write(folder)
    assert "Not evaluated yet." in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", list(library.trained()))
def test_the_command_of_a_card_is_its_run(name):
    """The flags in a bundled card, read as the trainer reads them, are the settings of that run."""
    known = library.card_of(name)
    command = re.search(r"`python train_space.py (.*?)`", (known.path / "README.md").read_text("utf-8"))[1]
    parser = argparse.ArgumentParser()
    console.train_flags(parser)
    config, made = asdict(console.config_of(parser.parse_args(command.split()))), known.config["training"]
    assert {k: config[k] for k in made if k not in card.NOT_LEARNED} == {
        k: v for k, v in made.items() if k not in card.NOT_LEARNED
    }
