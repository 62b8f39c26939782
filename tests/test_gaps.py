"""A gap of any length: of several widths the model finds the one that fits likeliest."""

import pytest
import torch

from tests.conftest import random_process
from tinydiff import gaps
from tinydiff.cli.commands import main
from tinydiff.exact import Markov, perfect
from tinydiff.text import Characters

LETTERS = Characters("abc\n ")


def chain():
    """a, b, c, a, b, c, and one letter in fifty by chance."""
    step = torch.full((5, 5), 0.005)
    for here, there in ((0, 1), (1, 2), (2, 0), (3, 0), (4, 0)):
        step[here, there] = 0.98
    return Markov(LETTERS, torch.full((5,), 0.2), step)


@pytest.mark.parametrize("process", ["masked", "uniform", "gaussian"])
def test_the_width_that_fits_is_found(process):
    """Between two b there is room for two letters, or for five: with another number of them
    something is out of order, and the bound says so."""
    model = perfect(process, chain())
    settings = dict(template="abcab…bcabc", steps=16, seed=4)
    found = [*gaps.candidates(settings, model, (1, 2, 3, 4, 5), each=3, draws=8)]
    assert [one.width for one in found] == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3 + [5] * 3
    best = gaps.best(found)
    assert best.inside in ("ca", "cabca") and best.text == f"abcab{best.inside}bcabc"
    worst = min(one.bits for one in found if one.width in (1, 3, 4))
    assert best.bits < worst - 0.2


def test_rules_hold_in_gaps():
    """As they do in any text."""
    found = gaps.candidates(
        dict(template="ab…bc", steps=4, pattern="ab(c|a|\n)*bc"), perfect("masked", chain()), (3, 4)
    )
    assert {one.inside.strip("ca\n") for one in found} == {""}


@pytest.mark.parametrize(
    "template,more,said",
    [
        ("abc", {}, "has no gaps: write one …"),
        ("a…b…c", {}, "has 2 gaps: write one …"),
        (None, {}, "has no gaps"),
        ("a…c", {"widths": ()}, "No width of the gap is named"),
        ("a…c", {"widths": (0,)}, "a width is 0; give a whole number from 1 to 64"),
        ("a…c", {"each": 99}, "texts of a width is 99"),
        ("a…x", {}, "x"),
    ],
)
def test_what_cannot_be_filled(template, more, said):
    with pytest.raises(ValueError, match=said):
        gaps.candidates({"template": template}, random_process("masked"), **more)


def test_what_reads_from_the_left_refuses():
    with pytest.raises(ValueError, match="left|behind|before"):
        gaps.candidates({"template": "a…b"}, random_process("autoregressive"), (2,))


def test_the_command(capsys):
    """The text on stdout, all candidates on stderr, a line each."""
    asked = ["fill", "She … home.", "--model", "shakespeare/masked", "--widths", "2,5"]
    main([*asked, "--each", "2", "--draws", "2", "--steps", "3"])
    out, err = capsys.readouterr()
    assert out.startswith("She ") and out.endswith(" home.\n")
    lines = [line for line in err.splitlines() if "bits a character" in line]
    assert len(lines) == 4 and ", 5 tokens: " in lines[-1]
