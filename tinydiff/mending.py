"""Mending: the words of a text that a model doubts (doubt.py) are taken out, and a gap of free
length is filled in their place (gaps.py). What stood there stays where nothing better is found.

Doubt is of words, because a slip of the finger changes how a word is cut into pieces: a word is
doubted as much as the most doubtful piece of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch

from tinydiff import gaps
from tinydiff.doubt import Doubt, alone
from tinydiff.processes import Process
from tinydiff.sentences import brief
from tinydiff.text.canvas import GAP

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
WIDTHS = (1, 2, 3, 4)  # tokens that are tried for each word of a gap
# of doubt, from which on a word is taken out: of bets, and of a head, one word of twenty of true
# stories is doubted more
LIMITS = {"bets": 0.995, "head": 0.75}


class Doubted(NamedTuple):
    """A word of a text, text[start:stop], and how much it is doubted, from 0 to 1."""

    start: int
    stop: int
    doubt: float


class Mended(NamedTuple):
    """A stretch of a text, text[start:stop], that was opened, and what stands there now; bits: of a
    character from there on, before and after."""

    start: int
    stop: int
    new: str
    bits: tuple[float, float]


def tokens_of(process: Process, text: str) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """The tokens of a text, (1, L), with END behind it where the model learned where texts end, and
    the place of each in the text. Raises ValueError for a text that is too long, and for none."""
    ids = process.tokenizer.encode(text)
    if not len(ids):
        raise ValueError("There is no text: write some.")
    room = (process.length or len(ids) + 1) - process.ends
    if len(ids) > room:
        raise ValueError(
            f"The text has {len(ids)} {process.tokenizer.unit}, and this model reads {room} at "
            "once: shorten it."
        )
    places, at = [], 0
    for size in process.tokenizer.counts(ids).tolist():
        places.append((at, at + size))
        at += size
    if process.ends:
        ids = torch.cat([ids, torch.tensor([process.tokenizer.end_id])])
    return ids[None], places


@torch.no_grad()
def doubts(process: Process, head: Doubt | None, text: str) -> list[Doubted]:
    """How much a model doubts each word of a text, by a head, or without one by its own bets, a
    call for each token. Raises ValueError, in one sentence."""
    check(process, head)
    ids, places = tokens_of(process, text)
    if head is None:
        right = alone(process, ids)[0]
    else:
        head.taught_by(process)
        right = head.right(ids)[0].double()
    found = []
    for word in WORD.finditer(text):
        inside = [
            float(1 - p)
            for p, (start, stop) in zip(right, places)
            if start < word.end() and stop > word.start() and text[start:stop].strip()
        ]
        found.append(Doubted(word.start(), word.end(), max(inside, default=0.0)))
    return found


def check(process: Process, head: Doubt | None) -> None:
    """Raises ValueError unless a process works with masks and a head is one for it."""
    if "mask" not in process.traits:
        raise ValueError(
            f"'{process.name}' has no masks to open a text with: name a model of masks, as "
            "stories/masked."
        )
    if head is None:
        return
    if not isinstance(head, Doubt):
        raise ValueError(
            f"{brief(head.name)} is no head that doubts: name one that was trained with --doubt."
        )
    seen = sum(block.qkv.in_features for block in getattr(process.net, "blocks", ()))
    if head.tokenizer != process.tokenizer or head.net.up.in_features != seen:
        raise ValueError("The head was trained beside another model: name one for this model.")


def stretches(text: str, words: list[Doubted], limit: float) -> list[tuple[int, int, int]]:
    """The stretches of a text in which every word is doubted by more than `limit`, and how many
    words each has."""
    found: list[tuple[int, int, int]] = []
    before = None
    for word in words:
        if word.doubt <= limit:
            before = None
        elif before is not None and text[before : word.start].strip() == "":
            start, _, n = found.pop()
            found.append((start, word.stop, n + 1))
            before = word.stop
        else:
            found.append((word.start, word.stop, 1))
            before = word.stop
    return found


def mend(
    settings: Mapping,
    process: Process,
    head: Doubt | None,
    text: str,
    limit: float | None = None,
    each: int = 4,
    draws: int = gaps.DRAWS,
) -> Iterator[tuple[Mended, str]]:
    """Open what is doubted, from the end of the text on, and yield each stretch with the text as it
    is then. settings: of the runs that fill gaps; limit: by default one of LIMITS. Raises
    ValueError, in one sentence."""
    limit = LIMITS["head" if head else "bets"] if limit is None else limit
    words = doubts(process, head, text)
    for start, stop, n in reversed(stretches(text, words, limit)):
        template, widths = opened(process, text, start, stop, n)
        before = gaps.bits_behind(process, text, start, draws)
        found = gaps.candidates({**settings, "template": template}, process, widths, each, draws)
        one, text = chosen(text, start, stop, before, list(found))
        yield one, text


def opened(process: Process, text: str, start: int, stop: int, n: int) -> tuple[str, list[int]]:
    """The text with a gap in the place of a stretch of n words, and how wide the gap is tried to
    be: what does not fit into what the model reads at once is left out, but for the least."""
    widths = sorted({n * width for width in WIDTHS if n * width <= gaps.MOST})
    around = len(process.tokenizer.encode(text[:start] + text[stop:])) + process.ends
    fits = [width for width in widths if not process.length or around + width <= process.length]
    return text[:start] + GAP + text[stop:], fits or widths[:1]


def chosen(
    text: str, start: int, stop: int, before: float, found: list[gaps.Candidate]
) -> tuple[Mended, str]:
    """The likeliest of all candidates for a stretch and of what stood there, whose bits are
    `before`, and the text with it."""
    best = gaps.best([*found, gaps.Candidate(0, text[start:stop], text, before)])
    if not best.width:
        return Mended(start, stop, text[start:stop], (before, before)), text
    first = len(text[:start].rstrip())  # a piece of a word begins with its space
    new = best.text[first : len(best.text) - (len(text) - stop)].strip()
    return Mended(start, stop, new, (before, best.bits)), best.text
