"""Claims: every one runs, says something of its own figures, and is told on the page."""

import json
import math
import sys
from functools import partialmethod
from urllib.parse import parse_qs

import pytest

from tinydiff import claims
from tinydiff.claims import CLAIMS, Claim, Point, Points, exposure, results, robust, told
from tinydiff.claims.lab import Lab, texts_in
from tinydiff.cli.commands import main
from tinydiff.randomness import seeded
from tinydiff.show.points import Line, picture
from tinydiff.store import catalogue
from tinydiff.train.loop import TrainingRun
from tinydiff.ui import claims as tab
from tinydiff.ui.tabs import TABS
from tinydiff.uncertainty import Mean


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The results of all claims in toy sizes, as the command writes them."""
    folder = tmp_path_factory.mktemp("claims")
    argv = ["claim", "--all", "--quick", "--out", str(folder), "--folder", str(folder / "nets")]
    with pytest.MonkeyPatch.context() as patched:  # what trainings do beside, tested elsewhere
        validate = partialmethod(TrainingRun.validate, batches=1, batch=2)
        patched.setattr(TrainingRun, "validate", validate)
        patched.setattr(TrainingRun, "sample", lambda self: "")
        assert main(argv) == 0
    return folder


def test_every_claim_runs_and_says_something(quick):
    found = results.answers(quick)
    assert [*found] == claims.ordered()
    for name, (result, points, answer) in found.items():
        assert result["quick"] and result["seed"] == 0 and points.all, name
        assert answer.verdict in claims.VERDICTS and answer.brief, name
        for text in (answer.text, answer.short):
            assert text.endswith((".", ".”")) and "nan" not in text.split() and "  " not in text, (
                name
            )
        assert all(math.isfinite(p.value) for p in points.all), name
        drawn = {plot for plot in CLAIMS[name].plots if points.labels(plot)}
        assert drawn and drawn >= {plot for plot in CLAIMS[name].plots if plot != "places"}, name
        for key, digest in result["weights"].items():
            assert digest == catalogue.fingerprint(key)


def test_the_page_and_the_document_tell_every_claim(quick, monkeypatch):
    monkeypatch.setattr(results.answers, "__defaults__", (quick,))
    shown = tab.shown()
    assert [card["name"] for card in shown["cards"]] == claims.ordered()
    assert {one["name"] for one in shown["first"]} <= set(CLAIMS)
    for card in shown["cards"]:
        assert card["pictures"] and all("<svg" in one["svg"] for one in card["pictures"])
        assert len(card["tables"]) == len(card["pictures"])
        assert dict(card["facts"])["command"] == f"python -m tinydiff claim {card['name']}"
    text = told.markdown()
    assert all(f"### {CLAIMS[name].said}" in text for name in CLAIMS)


def test_every_claim_has_its_place_and_its_buttons_lead_somewhere():
    assert set(claims.SURPRISING) <= set(CLAIMS) == set(claims.ORDER)
    names = {one.name for one in TABS}
    for name, claim in CLAIMS.items():
        assert claim.said.endswith(".") and claim.how[-1] in ".?", name
        plays = claim().plays()
        assert plays, name
        for play in plays:
            address = tab.link(play)  # raises where the settings are no run
            assert "model=" in address or address[1:] in names, name


def test_what_is_kept_is_of_the_bundled_weights():
    """What was measured is as large as is said, and of the weights that are there."""
    for name, (result, _, answer) in results.answers().items():
        assert not result["quick"] and answer.verdict in claims.VERDICTS, name
        for key, digest in result["weights"].items():
            assert digest == catalogue.fingerprint(key), f"measure {name} again"


def test_a_difference_within_twice_its_error_is_undecided():
    assert claims.verdict(Mean(0.1, 0.06)) == claims.UNDECIDED
    assert claims.verdict(Mean(0.1, 0.04)) == claims.HOLDS
    assert claims.verdict(Mean(0.1, 0.04), -1) == claims.FAILS
    assert claims.verdict(Mean(-0.1, None)) == claims.FAILS
    said = [claims.which(Mean(x, 0.04), "more", "less", "level") for x in (0.1, -0.1, 0.07)]
    assert said == ["more", "less", "level"]
    assert claims.apart(Mean(3, 0.3), Mean(1, 0.4)) == Mean(2, 0.5)
    assert (
        claims.share(Mean(0.5, 0.02)) == "50.0 ± 2.0 %" and claims.share(Mean(0.5, None)) == "50 %"
    )


def test_points_are_found_where_they_stand(tmp_path):
    rows = [Point("a", "one", x, x / 3, None, 4, "masked") for x in (2, 1)]
    points = Points(rows)
    assert points.mean("a", "one", 2) == Mean(2 / 3, None)
    assert [p.x for p in points.line("a", "one")] == [1, 2] and points.labels("a") == ["one"]
    with pytest.raises(KeyError):
        points.mean("a", "two", 1)
    result = dict(name="x", seed=0, points=[results.kept(row) for row in rows])
    path = results.write(result, tmp_path)
    assert json.loads(path.read_text("utf-8"))["points"][0] == [
        "a",
        "one",
        2,
        0.66667,
        None,
        4,
        "masked",
    ]
    assert results.points_of(results.read("x", tmp_path)).mean("a", "one", 2) == Mean(0.66667, None)
    assert results.read("y", tmp_path) is None


def test_a_claim_that_lacks_something_is_refused():
    with pytest.raises(ValueError, match="does not say its said"):

        class Nothing(Claim):
            name = "nothing"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["claim"], "Name claims, or give --all"),
        (["claim", "sides", "--all"], "Name claims, or give --all"),
        (["claim", "moon"], "There is no claim 'moon'"),
        (["claim", "sides", "--seed", "-1"], "seed"),
    ],
)
def test_bad_commands_are_told_in_a_sentence(argv, said, capsys):
    assert main(argv) != 0
    assert said in capsys.readouterr().err


def test_an_outside_judge_without_its_library_is_a_sentence(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["claim", "sides", "--judge", "no/such.gguf"]) != 0
    assert "needs `pip install" in capsys.readouterr().err


def test_the_lab_reads_what_stands_behind_a_prefix():
    """The nats of a text are those of its parts, and a prefix is read and not counted."""
    lab = Lab(quick=True)
    text = lab.heldout[0][:200]
    (whole,), (behind,) = lab.nats([text]), lab.nats([text], [50])
    assert len(whole) == len(text) and len(behind) == len(text) - 50
    assert behind.sum().item() == pytest.approx(whole[50:].sum().item())
    bits = lab.bits([text]).value
    assert bits == pytest.approx(whole.sum().item() / len(text) / math.log(2))


def test_what_is_written_goes_on_from_its_prefix():
    lab = Lab(quick=True)
    process = lab.model("stories/autoregressive")
    prefix = lab.stories(process, 8)
    more = lab.continued(process, prefix, 4, temperature=0.0)
    assert more.shape == (len(prefix), 4) and more.equal(
        lab.continued(process, prefix, 4, temperature=0.0)
    )
    assert all(texts_in(process, more))


PROMPT = (
    "Once upon a time, there was a little girl named Lily. She had a big red ball that she loved."
)


def test_letters_are_mistyped_as_often_as_is_said():
    """So many letters are other ones, as large as before, and nothing else; the slips of a small
    share are among those of a large one, and none is no slip."""
    letters = sum(c.isalpha() for c in PROMPT)
    before: set[int] = set()
    for share in (0, 0.1, 0.5):
        found = robust.mistyped(PROMPT, share, seeded(3))
        wrong = {i for i, (a, b) in enumerate(zip(PROMPT, found)) if a != b}
        assert len(found) == len(PROMPT) and len(wrong) == round(share * letters)
        assert all(PROMPT[i].isalpha() and found[i].isalpha() for i in wrong)
        assert all(PROMPT[i].islower() == found[i].islower() for i in wrong)
        assert before <= wrong
        before = wrong


def test_words_are_swapped_as_often_as_is_said():
    """Over many texts the share of words that stand elsewhere is what is said, each of them beside
    its old place; the words are the same."""
    words = PROMPT.split()
    assert robust.swapped(PROMPT, 0, seeded(0)) == PROMPT
    moved = 0
    for seed in range(300):
        found = robust.swapped(PROMPT, 0.2, seeded(seed)).split()
        assert sorted(found) == sorted(words)
        away = [i for i, (a, b) in enumerate(zip(words, found)) if a != b]
        assert all(words[i] in (found[max(0, i - 1)], *found[i + 1 : i + 2]) for i in away)
        moved += len(away)
    # a part of a pair is drawn: 300 draws of a share of 0.9, and of 2 words each
    assert abs(moved / 300 - 0.2 * len(words)) < 4 * 2 * (0.25 / 300) ** 0.5


def test_a_penalty_needs_both_differences():
    """Exposure: above true beginnings, and above what the other model loses."""
    up, none, down = Mean(0.3, 0.1), Mean(0.1, 0.1), Mean(-0.3, 0.1)
    assert exposure.punished(up, up) == claims.HOLDS
    assert exposure.punished(up, down) == exposure.punished(none, up) == claims.PARTLY
    assert exposure.punished(none, none) == claims.UNDECIDED
    assert exposure.punished(down, none) == exposure.punished(none, down) == claims.FAILS
    assert claims.together(claims.HOLDS, claims.FAILS) == claims.PARTLY
    assert claims.together(claims.UNDECIDED, claims.FAILS) == claims.FAILS


def test_each_misprint_can_be_watched_beside_the_right_formula_or_says_why_not():
    """As it is printed and put right, in two runs that differ in nothing else; or a sentence."""
    found = tab.mistakes()
    for card in found:
        titles = [play["title"] for play in card["plays"]]
        assert titles == [*tab.HOW] if titles else card["unseen"].startswith("There is no run")
    assert [len(card["plays"]) for card in found] == [2, 0, 2, 0]
    wrong, right = [parse_qs(play["link"][1:]) for play in found[0]["plays"]]
    assert wrong.pop("options") == ['{"factor": "sqrt-beta"}'] and wrong == right


def test_only_what_was_measured_has_a_tick():
    """Nothing lies between two quarters of a text."""
    line = Line("x", [1, 2, 3, 4], [1.0, 1.5, 1.2, 1.1], [None] * 4, "ink")
    figure = picture([line], "quarter", "bits", False, False)
    assert figure.axes[0].get_xticks().tolist() == [1, 2, 3, 4]
