"""Pairs of lines: a source is given, a target is written beside it (DiffuSeq, arXiv:2210.08933)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tinydiff.randomness import Rng
from tinydiff.text.canvas import Canvas
from tinydiff.text.corpora import Corpus, compact
from tinydiff.text.tokenizers import Tokenizer

END = "\n"  # between source and target, behind the target and to the end: no line holds one


@dataclass(frozen=True)
class Pairs:
    """Sources and targets to learn from, a pair a window: the source in the first half, which is
    given, the target in the second (DiffuSeq, arXiv:2210.08933). Each is followed by END to the end
    of its half.
    """

    name: str
    tokenizer: Tokenizer
    task: str
    train: Tensor  # (N, L) ids as a Corpus holds them
    valid: Tensor  # (M, L); no target of it is one of `train`
    attributes: ClassVar[dict] = {}
    labels: tuple[str, ...] = ()
    fingerprint: str = ""  # of the corpus

    def canvases(self, split: str, length: int, batch: int, rng: Rng, given_share: float) -> Canvas:
        """A batch to train on, as a Corpus gives it. The windows have the length they were made
        with, and the whole source is given, whatever the share.
        """
        rows = getattr(self, split)
        return paired(rows[rng.integers(len(rows), batch, purpose="row")], self.tokenizer)

    def texts(self, rows: Tensor) -> tuple[list[str], list[str]]:
        """Sources and targets of windows (B, L)."""
        halves = rows.chunk(2, dim=1)
        sources, targets = ([ended(self.tokenizer.decode(row)) for row in half] for half in halves)
        return sources, targets


def pairs(corpus: Corpus, task: str = "restore", length: int = 128) -> Pairs:
    """The lines of a corpus as pairs for a task, split as the corpus is. Lines longer than their
    half less one END are left out, and of the validation lines those that are in the training text
    too.

    Raises ValueError, in one sentence, for an unknown task and for a corpus in which no lines are
    left.
    """
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}; there are {', '.join(TASKS)}.")
    cut, room = corpus.tokenizer, length // 2 - 1
    # the last line of a half may be cut by the split, and so may the first of the next
    train = usable(cut.decode(corpus.train).split(END)[:-1], task, cut, room)
    seen = {target for _, target in train}
    lines = dict.fromkeys(cut.decode(corpus.valid).split(END)[1:])
    valid = usable([line for line in lines if line not in seen], task, cut, room)
    if not (train and valid):
        raise ValueError(
            f"The corpus {corpus.name!r} has too few lines of 1 to {room} {cut.unit} for the task "
            f"{task!r}: give a longer text with a line break after each line."
        )
    rows = (
        torch.cat([halves(cut, side, length) for side in zip(*some)], 1) for some in (train, valid)
    )
    train, valid = (compact(some, len(cut)) for some in rows)
    return Pairs(corpus.name, cut, task, train, valid, fingerprint=corpus.fingerprint)


def plain(text: str) -> str:
    """Lower case without punctuation: apostrophes are dropped, every other sign that is no letter,
    digit or accent becomes a space, and runs of spaces become one."""
    bare = re.sub("['’]", "", text.lower())
    return " ".join(
        "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in bare).split()
    )


TASKS: dict[str, Callable[[str], str]] = {"restore": plain}  # the source that belongs to a target


def usable(lines: list[str], task: str, tokenizer: Tokenizer, room: int) -> list[tuple[str, str]]:
    """(source, target) for the lines of which both fit into `room` tokens, and whose source is not
    empty and can be written."""
    made = [(TASKS[task](line), line) for line in lines]
    made = [
        (source, line) for source, line in made if source and all(map(tokenizer.writes, source))
    ]
    lengths = ([*map(len, tokenizer.encode_all(list(side)))] for side in zip(*made))
    return [pair for pair, *both in zip(made, *lengths) if max(both) <= room]


def end_of(tokenizer: Tokenizer) -> int:
    """The token of END. Raises ValueError where it is no token, or several."""
    ids = tokenizer.encode(END).tolist()
    if len(ids) != 1:
        raise ValueError(
            "This tokenizer has no token for a line break, so lines cannot be told apart."
        )
    return ids[0]


def halves(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> Tensor:
    """Texts, each followed by END up to the end of its half of a window of `length`, (N, length //
    2) int64."""
    rows = torch.full((len(texts), length // 2), end_of(tokenizer))
    for row, ids in zip(rows, tokenizer.encode_all(list(texts))):
        row[: len(ids)] = torch.tensor(ids)
    return rows


def paired(tokens: Tensor, tokenizer: Tokenizer) -> Canvas:
    """The canvas of pairs (B, L): the first half given, the second open; in it the first END counts
    and the others are padding."""
    tokens = tokens.long()
    given = (torch.arange(tokens.shape[1]) < tokens.shape[1] // 2).expand(tokens.shape)
    ends = (tokens == end_of(tokenizer)) & ~given
    return Canvas(tokens, given, padding=ends & (ends.cumsum(1) > 1))


def ended(text: str) -> str:
    """The text up to its first END."""
    return text.partition(END)[0]
