"""All families on one axis: the table holds what the evaluations say, and errors are the samplers'
own."""

import json
import math

import pytest

from tests.conftest import SHAPE, random_process
from tinydiff.exact import perfect
from tinydiff.measure import families
from tinydiff.store import catalogue, checkpoint
from tinydiff.ui import families as tab
from tinydiff.ui import training


def evaluated(folder, name, bits, **config):
    """A checkpoint without weights, and an evaluation that says what it is told."""
    process = random_process(name)
    made = checkpoint.config_of(
        process, {**SHAPE, "labels": 0}, "test", seconds=120, step=7, **config
    )
    rows = [
        dict(sampler=s, steps=n, calls=n, bits=5.0 - n / 100, bits_error=0.1, words=n / 200)
        for s in ("first", "other")
        for n in families.AT
    ]
    single = [dict(sampler="only", steps=1, calls=24, bits=2.0, words=0.9)]
    causal = "causal" in process.traits
    found = dict(
        letters=4,
        bound=dict(bits=bits, nats=bits / 2, error=0.01),
        real=dict(bits=2.1, words=0.98),
        steps=[] if causal else rows,
        single=single if causal else [],
        default={},
        temperatures=[],
    )
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(made))
    (folder / "evaluation.json").write_text(json.dumps(found))


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Three families and a rewriter, none with its weights, in the place of the bundled ones."""
    evaluated(tmp_path / "checkpoints" / "worse", "uniform", 3.0)
    evaluated(tmp_path / "checkpoints" / "better", "masked", 2.0)
    evaluated(tmp_path / "checkpoints" / "rival", "autoregressive", 1.5)
    evaluated(tmp_path / "checkpoints" / "rewriter", "masked", 0.5, task="restore")
    monkeypatch.setattr(catalogue, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(families, "RECORDED", tmp_path / "families.json")
    return tmp_path


def test_the_table_is_what_was_evaluated(bundle):
    """Fewest bits first, the standard error in bits, quality of the first sampler alone; rewriters
    and weights are not asked."""
    rows = families.measured()
    assert [r["name"] for r in rows] == ["rival", "better", "worse"]
    assert [r["bits"] for r in rows] == [1.5, 2.0, 3.0]
    assert all(
        r["error"] == pytest.approx(0.01 / math.log(2))
        and r["ms"] > 0
        and r["minutes"] == 2
        and r["steps"] == 7
        for r in rows
    )
    assert [r["exact"] for r in rows] == [True, False, False]
    assert rows[1]["quality"]["32"] == dict(
        bits=5.0 - 0.32, words=0.16, bits_error=0.1, words_error=None
    ) and rows[0]["quality"] == {
        "128": dict(bits=2.0, words=0.9, bits_error=None, words_error=None)
    }
    assert [p["calls"] for p in rows[1]["curve"]] == list(families.AT)
    assert rows[1]["parameters"] == sum(p.numel() for p in random_process("masked").parameters())


def test_families_are_compared_on_the_same_windows(bundle):
    """A row tells how much more it needs than the nearest above that was measured on the same
    windows, with the error of the difference: 0.25 bits exactly where every window differs by as
    much.
    """
    each = [10.0 + i % 7 for i in range(48)]
    for name, more in (("rival", 0.0), ("worse", 24 * 0.25 * math.log(2))):
        path = bundle / "checkpoints" / name / "evaluation.json"
        found = json.loads(path.read_text())
        found["bound"] |= dict(
            text="the same", counts=[[48, 24]], each=[nats + more for nats in each]
        )
        path.write_text(json.dumps(found))
    rival, better, worse = families.measured()
    assert rival["behind"] is better["behind"] is None and not better["blocks"]
    assert worse["behind"]["name"] == "rival" and worse["behind"]["bits"] == pytest.approx(0.25)
    assert worse["behind"]["error"] < 1e-6 < rival["error"]


def test_markdown_has_a_cell_for_every_column(bundle):
    """Every row is as long as the head; an exact figure is not called a bound."""
    head, rule, *rows = families.markdown(dict(rows=families.measured())).splitlines()
    assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
    assert "| 1.500 ± 0.014 *" in rows[0] and "| ≤ 2.000 ± 0.014 *" in rows[1]


def test_a_samplers_error_is_its_own():
    """With the perfect network one call for a whole text is far off, many calls are as good as true
    texts."""
    process = perfect("masked", catalogue.bigrams())
    (one, far), (many, near) = (families.divergence(process, "ancestral", n) for n in (1, 128))
    assert one == 1 and many <= 128
    assert far > 0.5 and near < families.floor() + 0.03


def test_the_tab_shows_what_was_recorded(bundle, monkeypatch):
    """Nothing before anything was measured; then a row and a curve for every family."""
    assert tab.story()["rows"] == [] and tab.story()["pictures"] == []
    chain = [[n, 4.0 / n] for n in families.COUNTS]
    found = {
        "ancestral": chain,
        "gibbs": [[2 * n - 1, y] for n, y in chain],
        "left_to_right": [[128, 0.2]],
    }
    monkeypatch.setattr(families, "errors", lambda say, known: {"masked": found, "gone": {}})
    said = families.record()
    assert families.read() == json.loads(json.dumps(said))
    story = tab.story()
    assert [r["process"] for r in story["rows"]] == ["autoregressive", "masked", "uniform", ""]
    assert story["rows"][-1]["cells"][:2] == ["real text", "test"]
    assert "| real text | test |" in families.markdown(said) and "98" in families.markdown(said)
    assert all("better" in p and "worse" in p for p in story["pictures"][:3])
    assert "masked 0.031 at 128" in story["pictures"][3]


def test_the_frontier_of_two_judges(bundle, monkeypatch):
    """Where texts were read at several temperatures: a picture a judge, a curve a family, by the
    first sampler, real text a point; a judge that did not read real text has none."""
    path = bundle / "checkpoints" / "better" / "evaluation.json"
    found = json.loads(path.read_text())
    found["temperatures"] = [
        dict(sampler=s, temperature=t, bits=t, outside=2 * t, distinct4_words=t / 2)
        for s in ("first", "other")
        for t in (0.5, 1.0)
    ]
    found["default"] = dict(outside=1.5, outside_error=0.1, perplexity=60.4)
    path.write_text(json.dumps(found))
    monkeypatch.setattr(families, "errors", lambda say, known: {})
    measured = families.record()
    row = measured["rows"][1]
    assert [p["temperature"] for p in row["frontier"]] == [0.5, 1.0]
    assert "1.50 ± 0.10 (perplexity 60)" in families.table_cells(row)
    real = dict(bits=2.1, outside=1.1, distinct4_words=0.9)
    ours, theirs = tab.frontiers(measured["rows"], real)
    assert "better 0.50 at 25 % to 1.00 at 50 %" in ours and "uniform" not in ours
    assert "better 1.00 at 25 % to 2.00 at 50 %" in theirs
    assert len(tab.frontiers(measured["rows"], real | {"outside": None})) == 1


def test_the_errors_are_told_in_figures_and_shades(bundle, monkeypatch):
    """The further above the floor, the darker; calls are told where they are not the steps; one
    figure stands alone."""
    chain = [[2 * n - 1, 4.0 / n] for n in families.COUNTS]
    monkeypatch.setattr(
        families,
        "errors",
        lambda say, known: {"masked": {"gibbs": chain, "left_to_right": [[128, 0.2]]}},
    )
    families.record()
    (noise,) = tab.story()["errors"]
    gibbs, one = noise["rows"]
    shades = [cell["dark"] for cell in gibbs["cells"]]
    assert shades == sorted(shades, reverse=True) and shades[0] == 1 and shades[-1] == 0
    assert [cell["calls"] for cell in gibbs["cells"]] == [None, 3, 7, 15, 31, 63, 127, 255]
    assert [(cell["text"], cell["calls"]) for cell in one["cells"]] == [("0.20", None)]


def test_a_checkpoint_without_its_weights_keeps_its_numbers(bundle):
    """It is in the table and in Training, and no menu offers to run it."""
    assert "better" not in catalogue.models() and "better" in catalogue.bundled()
    assert "better" in [row["name"] for row in families.measured()]
    facts = dict(training.answer("better")["facts"])
    assert facts["Parameters"].endswith("million")


def test_what_is_recorded_is_not_measured_again(monkeypatch):
    """Only missing cells are measured; anew, all of them."""
    asked = []
    monkeypatch.setattr(
        families,
        "divergence",
        lambda process, sampler, n: asked.append((process.name, sampler)) or [n, 0.5],
    )
    whole = families.errors()
    first = set(asked)
    assert first == {(name, sampler) for name in whole for sampler in whole[name]}
    asked.clear()
    del whole["masked"]["gibbs"]
    assert families.errors(before=whole)["masked"]["gibbs"] and set(asked) == {("masked", "gibbs")}
