"""A corpus of documents as windows: each begins where a document does, and ends where it ends.

    n tokens with END, at most L      one window
    more                              tokens 0 .. L, then L/2 .. 3L/2, of which the first half is
                                      given, and so on, until the document ends

So every token is open in one window. END fills a window to its size, `room(n)`, the only thing
beside the text that a network sees of its length; it is less than a fifth of any window.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff.randomness import Rng, seeded
from tinydiff.text.canvas import Canvas
from tinydiff.text.corpora import Corpus, random_given, windows
from tinydiff.text.labels import Attributes
from tinydiff.text.tokenizers import Tokenizer


def room(sizes: Tensor) -> Tensor:
    """The size of the window for a number of tokens, both (N,): a multiple of an eighth of the
    power of two that it fits into."""
    grain = (2.0 ** (sizes.double().log2().ceil() - 3)).clamp_min(1).long()
    return -(-sizes // grain) * grain


class Windows(NamedTuple):
    """Where the windows of one split are, in the order of the text, (P,) each."""

    start: Tensor  # its first token
    size: Tensor  # tokens of text, with those that are given and the END
    given: Tensor  # tokens at its beginning that were open in the window before
    room: Tensor  # tokens, with what fills it
    document: Tensor  # the number of its document


def windows_of(ids: Tensor, end: int, length: int) -> Windows:
    """The windows of at most `length` tokens of ids (N,), in which `end` closes every document; of
    one that has no end at the end of the text too."""
    stops = (ids == end).nonzero()[:, 0] + 1
    if not len(stops) or stops[-1] < len(ids):
        stops = torch.cat([stops, torch.tensor([len(ids)])])
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), stops[:-1]])
    sizes, half = stops - starts, length // 2
    parts = 1 + (-(-(sizes - length) // half)).clamp_min(0)  # windows of each document
    document = torch.arange(len(sizes)).repeat_interleave(parts)
    number = torch.arange(len(document)) - (parts.cumsum(0) - parts)[document]
    start = starts[document] + number * half
    size = (stops[document] - start).clamp_max(length)
    given = torch.where(number > 0, length - half, 0)
    return Windows(start, size, given, room(size).clamp_max(length), document)


class Documents:
    """The documents of a corpus as windows to learn from. An epoch reads each window of the
    training text once, in batches of windows of one size, in an order that its number decides.

    length:  tokens of a window at the most
    streams: the share of batches that are windows which begin anywhere in the documents one behind
             the other, as a text without an end is written. Their first half is given, as in a
             further window of a long document: what begins with nothing begins with a document. If
             all batches are streams, nothing more is given in them than elsewhere
    """

    def __init__(self, corpus: Corpus, length: int, streams: float = 0.0):
        self.corpus, self.length, self.streams = corpus, length, streams
        self.train, self.valid = (
            windows_of(ids, self.tokenizer.end_id, length) for ids in (corpus.train, corpus.valid)
        )
        self.order: tuple[tuple, list[Tensor]] = ((), [])  # of the epoch that was read last

    @property
    def name(self) -> str:
        return self.corpus.name

    @property
    def tokenizer(self) -> Tokenizer:
        return self.corpus.tokenizer

    @property
    def attributes(self) -> Attributes:
        return self.corpus.attributes

    @property
    def labels(self) -> tuple[str, ...]:
        return self.corpus.labels

    @property
    def fingerprint(self) -> str:
        return self.corpus.fingerprint

    def canvases(self, split: str, length: int, batch: int, rng: Rng, given_share: float) -> Canvas:
        """A batch to train on, as a Corpus gives it, of as many tokens as `batch` windows of the
        whole length have. Of the training text `rng.step` says which; of the other any."""
        streams = [math.floor(step * self.streams) for step in (rng.step, rng.step + 1)]
        if streams[1] > streams[0]:
            canvas = self.stream(split, length, batch, rng)
        elif split == "train":
            canvas = self.canvas(split, self.turn(rng.step - streams[0], length * batch))
        else:
            found = batches(self.valid, length * batch, seeded(0))
            canvas = self.canvas(split, found[int(rng.integers(len(found), 1, purpose="batch"))])
        given = canvas.given | random_given(*canvas.tokens.shape, rng, given_share)
        some_left = replace(canvas, given=given).counted.any(1, keepdim=True)
        return replace(canvas, given=torch.where(some_left, given, canvas.given))

    def stream(self, split: str, length: int, batch: int, rng: Rng) -> Canvas:
        """Windows that begin anywhere in the documents, one behind the other."""
        tokens, _ = windows(getattr(self.corpus, split), length, batch, rng)
        before = (torch.arange(length) < length // 2) & (self.streams < 1)
        return Canvas(tokens, before.expand_as(tokens))

    def turn(self, step: int, tokens: int) -> Tensor:
        """Which windows are read at a step, (n,)."""
        epoch, place = divmod(step, how_many(self.train, tokens))
        if self.order[0] != (epoch, tokens):
            self.order = (epoch, tokens), batches(self.train, tokens, seeded(epoch))
        return self.order[1][place]

    def size_nats(self, split: str) -> Tensor:
        """-log of how often each window's size is in the training text, among windows that begin a
        document or among those that go on, (P,) float64; of sizes that it lacks as if once."""
        here, known = getattr(self, split), self.train
        found = torch.zeros(len(here.room), dtype=torch.float64)
        for goes_on in (False, True):
            sizes = known.room[(known.given > 0) == goes_on]
            for size in here.room.unique():
                seen = max(1, int((sizes == size).sum())) / max(1, len(sizes))
                found[(here.room == size) & ((here.given > 0) == goes_on)] = -math.log(seen)
        return found

    def canvas(self, split: str, which: Tensor) -> Canvas:
        """Windows of one split by their numbers (n,), END behind those that are shorter; with the
        labels of the whole document, where it has any."""
        windows, ids = getattr(self, split), getattr(self.corpus, split)
        place = torch.arange(int(windows.room[which].max()))
        start, size, given = (part[which][:, None] for part in windows[:3])
        tokens = ids[(start + place).clamp_max(len(ids) - 1)].long()
        label = getattr(self.corpus, f"{split}_label")
        return Canvas(
            torch.where(place < size, tokens, self.tokenizer.end_id),
            place < given,
            None if label is None else label[windows.document[which]].long(),
            padding=place >= size,
        )


def rows(room: int, tokens: int) -> int:
    """How many windows of one size are read together."""
    return max(1, tokens // room)


def how_many(windows: Windows, tokens: int) -> int:
    """Batches of an epoch."""
    sizes, counts = windows.room.unique(return_counts=True)
    return sum(-(-n // rows(size, tokens)) for size, n in zip(sizes.tolist(), counts.tolist()))


def batches(windows: Windows, tokens: int, rng: Rng) -> list[Tensor]:
    """All windows, in any order, as batches of `tokens` tokens of one size; the last of a size
    begins it anew where it is not full."""
    shuffled, found = torch.randperm(len(windows.room), generator=rng), []
    for size in windows.room.unique().tolist():
        some, n = shuffled[windows.room[shuffled] == size], rows(size, tokens)
        full = -(-len(some) // n) * n
        found += some[torch.arange(full) % len(some)].split(n)
    return [found[i] for i in torch.randperm(len(found), generator=rng).tolist()]
