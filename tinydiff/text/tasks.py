"""Several tasks for one network: a file of lines `task TAB source TAB target`.

A row of a batch is, in tokens,

    <task> source END END ... | target END END ...
    given: S tokens           | open: T tokens

The task is the first token, one that spells nothing, so that no text is ever taken for it. S is
`room` of the source with its task and one END: the source is cut into few sizes, and a batch has
rows of one size. T depends on S alone (`target_room`), since who writes knows the source and not
how long the target will be: training and writing see the same canvases. Of the END behind a target
the first counts, the rest is padding. END is the tokenizer's end of a text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tinydiff.randomness import Rng, seeded
from tinydiff.sentences import brief
from tinydiff.text.canvas import Canvas
from tinydiff.text.corpora import TOGETHER, check_file, code_points, id_type
from tinydiff.text.documents import batches, how_many, room
from tinydiff.text.tokenizers import Tokenizer, subwords

Row = tuple[str, str, str]  # task, source, target
SUFFIX = ".tsv"
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
TAGS = re.compile(r"<[a-z][a-z0-9-]{0,39}>(?: <[a-z][a-z0-9-]{0,39}>)*")
TRAIN = re.compile(r"(^|_)train(\.\w+)$")  # of a file's name; beside it lies one with "valid"
VALID = re.compile(r"(^|_)valid(\.\w+)$")
EVERY = "all"
SHORTEST, LONGEST = 16, 48  # tokens of room for a target


# ---------------------------------------------------------------- the file


def is_table(source: str | Path) -> bool:
    """Is a corpus a file of pairs with their tasks?"""
    return str(source).lower().endswith(SUFFIX)


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers from 1. Raises ValueError for a file that is
    missing, empty, or no text."""
    check_file(path)
    text = "".join(codes.tobytes().decode("utf-32-le") for codes in code_points(path))
    if not text.strip():
        raise ValueError(f"The file {brief(path.name)} is empty: write a pair in each line.")
    yield from enumerate(text.removesuffix("\n").split("\n"), 1)


def rows_of(path: Path, task: str) -> list[Row]:
    """The rows of a file whose task is asked for: all, or those of some names, "translate,reply",
    each of which stands for the tasks that begin with it and a dash as well. Lines of a file of two
    columns, source and target, are of the one task that is named.

    Raises ValueError, in one sentence, for a line that is no pair and for a task that the file has
    not.
    """
    found = [row_of(path, number, line, task) for number, line in lines_of(path)]
    known = sorted({name for name, *_ in found})
    wanted = asked(task, known, path)
    return [row for row in found if row[0] in wanted]


def row_of(path: Path, number: int, line: str, task: str) -> Row:
    where, parts = f"Line {number} of {brief(path.name)}", line.split("\t")
    if len(parts) == 2 and NAME.fullmatch(task) and task != EVERY:
        parts = [task, *parts]
    if len(parts) != 3:
        raise ValueError(
            f"{where} has {len(parts)} column{'s' * (len(parts) != 1)}: write task, source and "
            "target with a TAB between, or source and target, and name one task."
        )
    name, source, target = (part.strip() for part in parts)
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{where} has the task {brief(name)}: name it in small letters, digits and dashes."
        )
    if not (source and target):
        raise ValueError(f"{where} has an empty {'target' if source else 'source'}: write one.")
    return name, source, target


def asked(task: str, known: Sequence[str], path: Path) -> set[str]:
    """Which of the known tasks are meant. Raises ValueError for one that there is not."""
    names = [name.strip() for name in task.split(",")] if task not in ("", EVERY) else list(known)
    found = {name: [k for k in known if k == name or k.startswith(f"{name}-")] for name in names}
    if missing := [name for name, some in found.items() if not some]:
        raise ValueError(
            f"There is no task {brief(missing[0])} in {brief(path.name)}; there are "
            f"{', '.join(known)}."
        )
    return {one for some in found.values() for one in some}


# ---------------------------------------------------------------- the canvas


def target_room(source_room: int) -> int:
    """Tokens of room for a target, T, with its END, beside a source that takes S: half as many
    again and three, at least SHORTEST and at most LONGEST."""
    return min(LONGEST, max(SHORTEST, source_room * 3 // 2 + 3))


def source_room(tokens: int) -> int:
    """Tokens that a source of so many takes, S, with its task and at least one END."""
    return int(room(torch.tensor([tokens + 2])))


def longest_source(length: int) -> int:
    """The most tokens of a source whose row fits into `length`."""
    sizes = [n for n in range(1, length) if (S := source_room(n)) + target_room(S) <= length]
    return max(sizes, default=0)


def canvas_of(tokenizer: Tokenizer, task: str, sources: Sequence[str], length: int) -> Canvas:
    """Sources of one size given, their targets open, (B, S + T). Raises ValueError, in one
    sentence, for a task that the tokenizer has no token for, for a source that is empty or too
    long, and for sources of several sizes."""
    tag, end, most = tag_of(tokenizer, task), tokenizer.end_id, longest_source(length)
    found = []
    for source in sources:
        ids = tokenizer.encode(source.strip()).tolist()
        if not ids:
            raise ValueError("There is nothing to write from: give a source of some words.")
        if len(ids) > most:
            raise ValueError(
                f"The source has {len(ids)} {tokenizer.unit} and there is room for {most}: give "
                "fewer words."
            )
        found.append([tag, *ids])
    sizes = {source_room(len(ids) - 1) for ids in found}
    if len(sizes) != 1:
        raise ValueError("Sources that are written from together must take the same room.")
    (S,) = sizes
    tokens = torch.full((len(found), S + target_room(S)), end)
    for row, ids in zip(tokens, found):
        row[: len(ids)] = torch.tensor(ids)
    return laid_out(tokens, S, end)


def laid_out(tokens: Tensor, S: int, end: int) -> Canvas:
    """The canvas of rows (B, S + T): the first S given, behind the first END of the others
    padding."""
    given = (torch.arange(tokens.shape[1]) < S).expand(tokens.shape)
    ends = (tokens == end) & ~given
    return Canvas(tokens, given, padding=ends & (ends.cumsum(1) > 1))


def written(tokenizer: Tokenizer, canvas: Canvas, tokens: Tensor) -> list[str]:
    """What is written in the open part of rows (B, S + T), up to its END."""
    found = []
    for row, given in zip(tokens, canvas.given):
        ids = row[~given.to(row.device)]
        stop = (ids == tokenizer.end_id).nonzero()[:, 0]
        found.append(tokenizer.decode(ids[: stop[0]] if len(stop) else ids).strip())
    return found


# ---------------------------------------------------------------- tags


def names_of(task: str) -> tuple[str, ...]:
    """The tasks that a checkpoint's tags name, "<reply> <restore>"; () where it has none."""
    return tuple(tag[1:-1] for tag in task.split(" ")) if TAGS.fullmatch(task) else ()


def tags_of(names: Sequence[str]) -> str:
    """What `names_of` reads."""
    return " ".join(f"<{name}>" for name in names)


def tag_of(tokenizer: Tokenizer, task: str) -> int:
    """The token of a task. Raises ValueError where there is none."""
    if task not in (known := getattr(tokenizer, "tags", {})):
        raise ValueError(f"There is no task {brief(task)}; there are {', '.join(known) or 'none'}.")
    return known[task]


def cutter_of(how: str | Tokenizer, rows: Sequence[Row]) -> Tokenizer:
    """The tokenizer of rows: as it is, read from a file, or learned from them ("bpe-4096").
    Raises ValueError where it has no END or lacks the token of a task."""
    names = sorted({task for task, *_ in rows})
    if how == "characters":
        raise ValueError("Tasks are learned in pieces of words: give the tokenizer bpe-4096.")
    size = how.removeprefix("bpe-") if isinstance(how, str) else ""
    if size.isdecimal() and how != size:
        texts = dict.fromkeys(side for _, *both in rows for side in both)
        return subwords.Subwords.learned(texts, int(size), [f"<{name}>" for name in names])
    found = how if isinstance(how, Tokenizer) else subwords.made(how, [])
    known = getattr(found, "tags", {})
    missing = [name for name in names if name not in known]
    if missing or found.end_id is None:
        token = f"<{missing[0]}>" if missing else subwords.END
        raise ValueError(
            f"The tokenizer has no token {token}: learn one from these pairs, with bpe-4096."
        )
    return found


# ---------------------------------------------------------------- what is learned


class Layout(NamedTuple):
    """The rows of one split, one behind the other in `ids`; each part but that is (N,)."""

    ids: Tensor  # in the smallest type that holds them
    start: Tensor  # the row's first token
    source: Tensor  # S
    room: Tensor  # S + T
    task: Tensor  # its number


class Tasks:
    """Pairs of several tasks to learn from. An epoch reads each once, in batches of rows of one
    size and of any task, in an order that its number decides.

    few:      pairs of training that are read of each task, the first ones; by default all
    left_out: how many of what is read is too long, by the source or the target
    """

    attributes: ClassVar[dict] = {}
    labels: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        tokenizer: Tokenizer,
        train: Sequence[Row],
        valid: Sequence[Row],
        length: int,
        few: int | None = None,
    ):
        self.name, self.tokenizer = name, tokenizer
        self.names = tuple(sorted({task for task, *_ in train}))
        self.task = tags_of(self.names)
        text = "\n".join("\t".join(row) for row in (*train, *valid))
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.rows = {}
        train = train if few is None else first_of(train, few)
        for split, rows in (("train", train), ("valid", valid)):
            layout, self.rows[split] = laid(tokenizer, rows, self.names, length)
            if not self.rows[split]:
                raise ValueError(
                    f"The pairs {brief(name)} have none to {split} on whose source and target "
                    f"fit into {length} {tokenizer.unit}: give more and shorter ones."
                )
            setattr(self, split, layout)
        self.left_out = len(train) + len(valid) - sum(map(len, self.rows.values()))
        self.order: tuple[tuple, list[Tensor]] = ((), [])  # of the epoch that was read last

    def canvases(self, split: str, length: int, batch: int, rng: Rng, given_share: float) -> Canvas:
        """A batch to train on, as a Corpus gives it, of as many tokens as `batch` windows of
        `length` have. The source is given, whatever the share. Of training `rng.step` says which
        rows; of validation any."""
        if split == "train":
            return self.canvas(split, self.turn(rng.step, length * batch))
        found = batches(self.valid, length * batch, seeded(0))
        return self.canvas(split, found[int(rng.integers(len(found), 1, purpose="batch"))])

    def turn(self, step: int, tokens: int) -> Tensor:
        """Which rows are read at a step, (n,)."""
        epoch, place = divmod(step, how_many(self.train, tokens))
        if self.order[0] != (epoch, tokens):
            self.order = (epoch, tokens), batches(self.train, tokens, seeded(epoch))
        return self.order[1][place]

    def canvas(self, split: str, which: Tensor) -> Canvas:
        """Rows of one split and one size, by their numbers (n,)."""
        layout: Layout = getattr(self, split)
        place = torch.arange(int(layout.room[which[0]]))
        tokens = layout.ids[layout.start[which][:, None] + place].long()
        return laid_out(tokens, int(layout.source[which[0]]), self.tokenizer.end_id)


def first_of(rows: Sequence[Row], few: int) -> list[Row]:
    """The first rows of each task."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if len(group := groups.setdefault(row[0], [])) < few:
            group.append(row)
    return [row for group in groups.values() for row in group]


def laid(
    tokenizer: Tokenizer, rows: Sequence[Row], names: Sequence[str], length: int
) -> tuple[Layout, list[Row]]:
    """The rows that fit, laid out, and the same as they are written."""
    number, end = {name: i for i, name in enumerate(names)}, tokenizer.end_id
    tags = {name: tag_of(tokenizer, name) for name in names}
    kept, parts, sizes = [], [], []
    rows = [row for row in rows if row[0] in number]
    sides = encoded(tokenizer, rows)
    rooms = {n: (S := source_room(n), target_room(S)) for n in range(1, length)}
    for row in rows:
        source, target = sides[row[1]], sides[row[2]]
        S, T = rooms.get(len(source), (length, 1))
        if length >= S + T and len(target) < T:
            fill = S - 1 - len(source), T - len(target)
            ids = [tags[row[0]], *source, *[end] * fill[0], *target, *[end] * fill[1]]
            parts.append(np.array(ids, dtype=id_type(len(tokenizer))))
            sizes.append((S, S + T, number[row[0]]))
            kept.append(row)
    S, whole, task = torch.tensor(sizes, dtype=torch.int64).reshape(-1, 3).unbind(1)
    flat = np.concatenate(parts or [np.empty(0, dtype=id_type(len(tokenizer)))])
    return Layout(torch.from_numpy(flat), whole.cumsum(0) - whole, S, whole, task), kept


def encoded(tokenizer: Tokenizer, rows: Sequence[Row]) -> dict[str, list[int]]:
    """The tokens of all sources and targets, of each text once."""
    texts, found = list(dict.fromkeys(side for _, *both in rows for side in both)), {}
    for k in range(0, len(texts), TOGETHER):
        some = texts[k : k + TOGETHER]
        found |= zip(some, tokenizer.encode_all(some))
    return found


def tasks(
    source: str | Path,
    task: str,
    tokenizer: str | Tokenizer,
    length: int,
    few: int | None = None,
) -> Tasks:
    """The tasks of a file NAME.tsv. NAME_train.tsv, or train.tsv, is validated on the file beside
    it that is named "valid" in the place of "train", and that one stands for both; of any other the
    last tenth validates, without the pairs whose source is in training. few: as in Tasks.

    Raises ValueError, in one sentence, for a file that holds no pairs, a task that it has not, and
    a tokenizer that does not fit.
    """
    path = Path(source)
    learned = path.with_name(VALID.sub(r"\1train\2", path.name))
    path = learned if learned.is_file() else path
    rows = rows_of(path, task)
    beside = path.with_name(TRAIN.sub(r"\1valid\2", path.name))
    if beside != path and beside.is_file():
        names = ",".join(sorted({name for name, *_ in rows}))
        train, valid = rows, rows_of(beside, names)
    else:
        cut = int(0.9 * len(rows))
        seen = {given for _, given, _ in rows[:cut]}
        train, valid = rows[:cut], [row for row in rows[cut:] if row[1] not in seen]
    name = TRAIN.sub("", path.name).removesuffix(path.suffix) or path.parent.name or "tasks"
    return Tasks(name, cutter_of(tokenizer, train), train, valid, length, few)
