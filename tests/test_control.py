"""The table of control: shares are those of languages that are known, what ended early is the same
run, and what is kept is of the bundled weights."""

import json
import math
from functools import partial
from itertools import combinations

import pytest
import torch

from tests.languages import LANGUAGES, SHARES
from tinydiff import exact
from tinydiff.cli.commands import main
from tinydiff.measure import control, controlled
from tinydiff.measure.control import Reader, Task
from tinydiff.store import catalogue
from tinydiff.text import Canvas

LETTERS = LANGUAGES["characters"]
TASK = Task("one", "has one b and a letter behind it", dict(pattern="(a|c)*b(a|c)*."))
FITS = sum(SHARES[:3])  # abca, abab and ccba match; bbbb and caca do not


class Coin:
    """A judge to whom every character is worth a bit."""

    name = "coin"

    def __init__(self):
        self.read = 0

    def spans(self, texts):
        assert texts and all(texts), "a tokenizer may refuse what is empty"
        self.read += len(texts)
        return [[((i, i + 1), math.log(2)) for i in range(len(text))] for text in texts]


def blank(batch):
    return Canvas.blank(4, batch)


SLOW = [pytest.param(name, marks=pytest.mark.long) for name in ("uniform", "gaussian")]


@pytest.mark.parametrize("name", ["masked", "autoregressive", *SLOW])
def test_a_rule_holds_always_and_chance_as_often_as_the_language_says(name):
    """The share of texts with the rule is 1; without it it is the language's own probability, and
    the judge's bits are those of the texts that fit."""
    model, reader = exact.perfect(name, LETTERS), Reader(Coin())
    how = dict(temperature=1.0, steps=64)
    with_rule = control.ruled(model, TASK, blank, 40, reader, **how)
    assert with_rule["share"] == 1 and with_rule["bits"] == 1 and with_rule["n"] == 40
    assert with_rule["calls"] > 0 and with_rule["ms"] > 0
    n = 1200
    free = control.drawn(model, {"one": TASK.keeps}, blank, n, reader, **how)
    found = free["tasks"]["one"]
    assert found["fit"] == found["n"] == round(found["share"] * n)
    assert abs(found["share"] - FITS) < 4 * found["share_error"] + 0.01
    assert found["best"] == pytest.approx(1.0) and found["bits"] == free["bits"] == 1


def test_what_python_finds_to_fit_is_what_the_automaton_lets_through():
    for text in ("abca", "abab", "ccba", "bbbb", "caca"):
        assert TASK.keeps(text) == (text in ("abca", "abab", "ccba"))
    keeps = {task.name: task.keeps for task in control.TASKS}
    assert keeps["dragon"]("A dragon!") and not keeps["dragon"]("Dragons and dragonflies.")
    assert keeps["three"]("sorry, dragon: cake") and not keeps["three"]("sorry dragon")
    assert keeps["noe"]("A big cat.") and not keeps["noe"]("THE CAT")
    assert keeps["sentences"]("One. Two! Three?") and not keeps["sentences"]("One. Two.")
    assert keeps["begins"]("She ran. He sat.") and not keeps["begins"]("She ran. They sat.")
    assert keeps["ends"]("A story. The end.") and not keeps["ends"]("The end. Or not.")


@pytest.mark.parametrize(("fit", "n", "tries"), [(0, 6, 3), (2, 6, 3), (5, 6, 3), (1, 4, 4)])
def test_the_best_of_some_is_the_share_of_samples_with_one_that_fits(fit, n, tries):
    """Against all samples of so many."""
    fits = [k < fit for k in range(n)]
    each = [any(fits[i] for i in some) for some in combinations(range(n), tries)]
    assert control.one_of(fit, n, tries) == pytest.approx(sum(each) / len(each))


def test_nothing_is_read_twice_and_empty_texts_are_left_out():
    judge = Coin()
    reader = Reader(judge)
    assert reader.bits(["ab", "", "ab", "abc"]).value == pytest.approx(1.0)
    assert reader.bits(["abc"]).value == pytest.approx(1.0) and judge.read == 2
    assert reader.bits([""]) is None
    assert control.told(["a b c d"] * control.GROUP, reader)["variety"] == 1 / control.GROUP


def test_a_refusal_is_kept_as_its_sentence():
    """What reads from left to right sees no end that is given."""
    model = exact.perfect("autoregressive", LETTERS)
    given = torch.tensor([[False, False, False, True]])

    def canvas(batch):
        return Canvas(LETTERS.strings[:1].repeat(batch, 1), given.repeat(batch, 1))

    for cell in (
        control.ruled(model, TASK, canvas, 2, Reader(Coin())),
        control.drawn(model, {}, canvas, 2, Reader(Coin())),
    ):
        assert "reads from left to right" in cell["refused"] and len(cell) == 1


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian"])
def test_a_run_that_ends_early_is_the_same_run(name, monkeypatch):
    """Looks are saved where runs ended before, and nowhere else; a run that ends nowhere writes
    the same text."""
    monkeypatch.setattr(control, "SURE", 0.5)
    model, how = exact.perfect(name, LETTERS), dict(steps=24, temperature=1.0)
    cell = control.early(model, blank, 20, Reader(Coin()), **how)
    assert 0 < cell["ended"] <= 1 and cell["saved"] > 0 and cell["more"] == 0
    assert cell["early"]["looks"] < cell["full"]["looks"] == 24
    monkeypatch.setattr(control, "SURE", 0.0)
    never = control.early(model, blank, 20, Reader(Coin()), **how)
    assert never["ended"] == never["saved"] == 0 and never["same"] == 1


def test_cells_are_kept_until_their_weights_change(tmp_path, monkeypatch):
    """A cell is measured once, written at once, and measured again with another seed or judge; some
    are asked for by how they begin."""
    done = []

    def cells(study):
        for name in ("free/masked", "rule/masked/dragon"):
            measure = partial(lambda name: done.append(name) or dict(n=1), name)
            yield control.Cell(name, "stories/masked", measure)

    monkeypatch.setattr(control, "cells", cells)
    path = tmp_path / "control.json"
    record = partial(control.record, path=path)
    record(control.Study(Coin()), ["rule"])
    assert done == ["rule/masked/dragon"] == [*control.read(path)]
    record(control.Study(Coin()))
    assert done == ["rule/masked/dragon", "free/masked"]
    assert [*control.read(path)] == ["free/masked", "rule/masked/dragon"]
    record(control.Study(Coin(), seed=1))
    assert len(done) == 4
    with pytest.raises(ValueError, match="There is no cell 'moon'; they begin with free, rule"):
        record(control.Study(Coin()), ["moon"])


def test_the_command_measures_a_cell(tmp_path, capsys):
    path = tmp_path / "control.json"
    assert main(["control", "rule/masked/dragon", "--quick", "--out", str(path)]) == 0
    (cell,) = json.loads(path.read_text("utf-8")).values()
    assert cell["share"] == 1 and cell["n"] == 2 and cell["with"]["quick"]
    assert main(["control", "slip/masked/head/swapped", "--quick", "--out", str(path)]) == 0
    cell = json.loads(path.read_text("utf-8"))["slip/masked/head/swapped"]
    assert (
        0 <= cell["found"] <= 1
        and cell["slips"] >= 2
        and cell["right"] > 20
        and cell["slipped"] > 0
    )
    assert cell["with"]["beside"] == catalogue.fingerprint("stories")
    assert main(["control", "moon", "--out", str(path)]) == 2
    assert "There is no cell 'moon'" in capsys.readouterr().err


def test_what_is_kept_is_of_the_bundled_weights():
    """Every cell is large, of the weights that are there and of one judge, and every rule holds in
    every text; the documents are what is computed of it (test_structure)."""
    kept, there = control.read(), control.models()
    names = [cell.name for cell in control.cells(control.Study(Coin()))]
    assert [*kept] == names, "python -m tinydiff control"
    assert control.outdated() == [], "python -m tinydiff released control"
    assert len({cell["with"]["judge"] for cell in kept.values()}) == 1
    for name, cell in kept.items():
        kind, process = name.split("/")[:2]
        assert cell["with"]["weights"] == catalogue.fingerprint(there[process]), name
        assert not cell["with"]["quick"] and cell["on"].keys() == {"date", "hardware", "precision"}
        assert kind != "rule" or cell.get("refused") or cell["share"] == 1, name
    for part in controlled.TABLES.values():
        assert "nan" not in (text := part()) and "inf" not in text
