"""Slips: what is damaged is known, and what becomes of it is counted as it is."""

from random import Random

import pytest

from tinydiff.measure import slips
from tinydiff.measure.own import WORD

TRUE = "The cat sat on the big mat. The dog ran home, and the girl saw a small red bird there. "
TALE = (TRUE * 3).strip()
OTHER = "Moons shine brightly over quiet hills tonight."


def words(text):
    return WORD.findall(text)


@pytest.mark.parametrize("kind", list(slips.KINDS))
@pytest.mark.parametrize("seed", range(5))
def test_a_slip_is_of_its_kind(kind, seed):
    """As many words, every slip where it is said to be, and nothing else changed."""
    made = slips.damaged(TALE, kind, OTHER, Random(seed))
    true, now = words(made.true), words(made.text)
    assert len(true) == len(now) and len(made.slips) == len(true) // slips.EVERY
    spoiled = {i for slip in made.slips for i in slip.words}
    assert {i for i, (a, b) in enumerate(zip(true, now)) if a != b} == spoiled
    for start, stop, of in made.slips:
        old, new = [true[i] for i in of], words(made.text[start:stop])
        if kind == "mistyped":
            assert sum(a != b for a, b in zip(old[0], new[0])) == 1 and old[0][0] == new[0][0]
        if kind == "swapped":
            assert new == old[::-1]
        if kind == "foreign":
            assert new[0] in OTHER


def test_what_becomes_of_it():
    """Three slips: one is mended, one gets another wrong word, one is missed; of the right words
    one is taken out and comes back, one is broken."""
    true = "a cat sat on the mat and a dog ran home to bed"
    text = "a cbt sat on the mxt and a dog rzn home to bed"
    found = [slips.Slip(text.index(w), text.index(w) + 3, range(i, i + 1)) for w, i in WRONG]
    slipped = slips.Slipped(true, text, found)
    changes = [
        (2, 9, "cat sat"),  # a slip and a right word, both true now
        (text.index("mxt"), text.index("mxt") + 3, "hat"),
        (text.index("dog"), text.index("dog") + 3, "big dog or hen"),
        (text.index("bed"), len(text), "sleep"),
    ]
    assert slips.outcome(slipped, changes) == slips.Outcome(
        slips=3, found=2, mended=1, right=10, taken=3, broken=1
    )
    assert slips.outcome(slipped, []) == slips.Outcome(3, 0, 0, 10, 0, 0)


WRONG = [("cbt", 1), ("mxt", 5), ("rzn", 9)]


def test_neighbours_are_mended_from_one_of_them():
    """A pair of which one word is taken out can come right by what is put there."""
    true, text = "the cat sat", "cat the sat"
    slipped = slips.Slipped(true, text, [slips.Slip(0, 7, range(0, 2))])
    assert slips.outcome(slipped, [(0, 7, "the cat")]).mended == 1
    assert slips.outcome(slipped, [(0, 3, "the cat")]) == (1, 1, 1, 1, 0, 0)
    assert slips.outcome(slipped, [(0, 3, "a")]).mended == 0
