"""A text as its own judge: what counting its letters reaches, and what of a text stands in it."""

import math

import pytest

from tinydiff.measure import own


def test_letters_that_come_equally_often():
    """Of V letters that come equally often, frequency tells nothing: log V nats each."""
    train = "abcdefgh" * 500
    letters, _ = own.counted(train, "hgfedcba" * 50)
    assert letters == pytest.approx(math.log(8), abs=1e-3)


def test_a_letter_that_follows_from_the_one_before():
    """Of a text in which each letter is known from the one before it, pairs leave hardly
    anything, and letters alone as much as ever."""
    letters, pairs = own.counted("abcdefgh" * 500, "abcdefgh" * 50)
    assert letters == pytest.approx(math.log(8), abs=1e-3)
    assert pairs < 0.02


def test_probabilities_sum_to_one():
    """What is said of each letter behind a letter sums to 1, also behind one that nothing has
    followed: so no guess is better than it may be."""
    train, alphabet = "abacabad", "abcdx"
    for before in alphabet:
        both = [2 * own.counted(train, before + c + before + c)[1] for c in alphabet]
        assert all(nats > 0 for nats in both)
    first = {c: own.counted(train, c + "abcdx" * 2)[0] for c in alphabet}
    assert all(nats > 0 for nats in first.values())


def test_letters_that_were_never_seen():
    """A letter that is held out alone costs something finite."""
    assert all(math.isfinite(nats) for nats in own.counted("ab" * 20, "xyz" * 5))


def test_words_of_a_text():
    """Words are known whatever their capitals; the first and the last, which may be cut, do not
    count; where there are none there is no share."""
    assert own.words_in(["xx The dog saw grob yy"], "the DOG; saw") == pytest.approx(3 / 4)
    assert own.words_in(["one two"], "one") is None


def test_what_is_copied():
    """A part of a text is copied whole, letters in another order are not, and runs count with all
    their letters."""
    text = "This is the malt that lay in the house that Jack built."
    assert own.copied([text[5:40]], text) == 1
    assert own.copied([text[::-1]], text) == 0
    half = text[: own.RUN]
    assert own.copied([half + "#" * own.RUN], text) == pytest.approx(1 / 2)
    assert own.copied(["short"], text) is None
