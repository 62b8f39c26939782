"""Slips that are made on purpose: words of a true text are damaged at random, and what becomes of
them is set beside the true text.

Three kinds: a word has another letter, two neighbours are exchanged, a word of another text stands
there. A slip is found if a word of it is taken out, and mended if all of its true words stand
there again; a right word is broken if it no longer does. What was put in is aligned with the true
words of the stretch (difflib).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from random import Random
from string import ascii_lowercase
from typing import NamedTuple

from tinydiff.measure.own import WORD

EVERY = 12  # words, of which one is damaged
SHORTEST = 4  # letters of a word in which one is mistyped


class Slip(NamedTuple):
    """A stretch of a damaged text, text[start:stop], and which words of the true text it was."""

    start: int
    stop: int
    words: range


class Slipped(NamedTuple):
    """A true text, and the same with slips in it."""

    true: str
    text: str
    slips: list[Slip]


class Outcome(NamedTuple):
    """Of a text: slips, and how many were found and mended; right words, how many were taken out,
    and how many are no longer there."""

    slips: int
    found: int
    mended: int
    right: int
    taken: int
    broken: int


# ---------------------------------------------------------------- making them


def mistyped(words: list[str], other: Sequence[str], rng: Random) -> str:
    """A word with one letter exchanged, not its first."""
    (word,) = words
    place = rng.randrange(1, len(word))
    letter = rng.choice([one for one in ascii_lowercase if one != word[place].lower()])
    return word[:place] + letter + word[place + 1 :]


def swapped(words: list[str], other: Sequence[str], rng: Random) -> str:
    """Two neighbours, exchanged."""
    return " ".join(reversed(words))


def foreign(words: list[str], other: Sequence[str], rng: Random) -> str:
    """A word of another text."""
    return rng.choice([word for word in other if word.lower() != words[0].lower()])


KINDS: dict[str, Callable[[list[str], Sequence[str], Random], str]] = {
    "mistyped": mistyped,
    "swapped": swapped,
    "foreign": foreign,
}


def damaged(text: str, kind: str, other: str, rng: Random) -> Slipped:
    """A text in which one word of EVERY is damaged, none of them beside another. other: a text
    whose words are put in."""
    found, theirs = list(WORD.finditer(text)), WORD.findall(other)
    chosen: list[range] = []
    for words in rng.sample(places := candidates(text, kind), len(places)):
        apart = all(words.start > one.stop or words.stop < one.start for one in chosen)
        if apart and len(chosen) < max(1, len(found) // EVERY):
            chosen.append(words)
    new, slips, at = "", [], 0
    for words in sorted(chosen, key=lambda one: one.start):
        put = KINDS[kind]([found[i].group() for i in words], theirs, rng)
        new += text[at : found[words.start].start()]
        slips.append(Slip(len(new), len(new) + len(put), words))
        new, at = new + put, found[words.stop - 1].end()
    return Slipped(text, new + text[at:], slips)


def candidates(text: str, kind: str) -> list[range]:
    """The words that a slip can be made of."""
    found = list(WORD.finditer(text))
    if kind == "swapped":
        return [
            range(i, i + 2)
            for i, (a, b) in enumerate(zip(found, found[1:]))
            if text[a.end() : b.start()] == " " and a.group().lower() != b.group().lower()
        ]
    least = SHORTEST if kind == "mistyped" else 1
    return [range(i, i + 1) for i, word in enumerate(found) if len(word.group()) >= least]


# ---------------------------------------------------------------- what came of them


def outcome(slipped: Slipped, changes: Sequence[tuple[int, int, str]]) -> Outcome:
    """What became of a damaged text, of which each stretch text[start:stop] of `changes` was taken
    out and another text put in. Damaged or not, it has as many words."""
    true, words = WORD.findall(slipped.true), list(WORD.finditer(slipped.text))
    spoiled = {i for slip in slipped.slips for i in slip.words}
    opened: set[int] = set()
    there = set(range(len(words))) - spoiled
    for start, stop, new in changes:
        inside = {i for i, word in enumerate(words) if word.start() < stop and word.end() > start}
        opened |= inside
        for slip in slipped.slips:
            if inside & set(slip.words):
                inside |= set(slip.words)
        if not inside:
            continue
        first, last = min(inside), max(inside)
        head, tail = words[first].start(), words[last].end()
        now = WORD.findall(slipped.text[head:start] + new + slipped.text[stop:tail])
        there -= inside
        there |= {first + i for i in kept(true[first : last + 1], now)}
    right = set(range(len(words))) - spoiled
    return Outcome(
        slips=len(slipped.slips),
        found=sum(bool(opened & set(slip.words)) for slip in slipped.slips),
        mended=sum(there >= set(slip.words) for slip in slipped.slips),
        right=len(right),
        taken=len(right & opened),
        broken=len(right - there),
    )


def kept(true: list[str], now: list[str]) -> set[int]:
    """Which words of one list stand in another, in their order."""
    same = SequenceMatcher(None, true, now, autojunk=False)
    return {i for a, _, n in same.get_matching_blocks() for i in range(a, a + n)}
