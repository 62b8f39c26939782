"""Pieces of words as tokens: byte pair encoding (Sennrich et al., arXiv:1508.07909) over bytes
(GPT-2), by the library `tokenizers`. Every text in every language can be written in them.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from tinydiff.files import from_hub
from tinydiff.sentences import brief
from tinydiff.text.tokenizers import HALF, MASK_SIGN, Tokenizer

FILE, MOST_BYTES = "tokenizer.json", 1 << 23
MOST = 0xD000  # tokens: each has a character below the surrogates as its sign
LONGEST = 200  # bytes that a token may spell
END = "<|endoftext|>"  # the name of the token that ends a text
TAG = re.compile(r"<([a-z][a-z0-9-]{0,39})>")  # the name of a token that tells a task
# ways to cut text into words that are safe
CUTS = {"ByteLevel", "Digits", "Punctuation", "Sequence"}
FORMS = {"NFC", "Sequence"}  # normalizers that keep what is written
# options of a model by which the same text is not always the same tokens, or tokens spell more than
# they are
ALTERING = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")


class Subwords(Tokenizer):
    """The tokens of a tokenizer.json with byte-level pieces.

    tags: the tokens that tell a task and spell nothing, by its name

    Raises ValueError, in one sentence, for anything else.
    """

    kind, unit, one_way = "subwords", "tokens", False

    def __init__(self, data: bytes):
        self.data = data
        spelled, special = contents(data)
        self.bytes = [b"" if i in special else piece for i, piece in enumerate(spelled)]
        self.pieces = tuple(piece.decode("utf-8", "halves") for piece in self.bytes)
        self.end_id = next((i for i, name in special.items() if name == END), None)
        named = {i: TAG.fullmatch(name) for i, name in special.items()}
        self.tags = {found[1]: i for i, found in named.items() if found}
        self.lengths = torch.tensor([*map(characters, self.bytes), 0])  # the mask's last
        self.cutter = cutter(data)
        self.lacks = frozenset(range(256)) - {one[0] for one in self.bytes if len(one) == 1}

    @classmethod
    def learned(cls, texts: Iterable[str], size: int, tags: Sequence[str] = ()) -> Subwords:
        """A tokenizer learned from texts, with `size` tokens or as many as they yield: END, the
        tags, the 256 bytes, and the most frequent pairs.

        Raises ValueError for a size that is too small or too large.
        """
        from tokenizers import Tokenizer as Cutter
        from tokenizers import decoders, models, pre_tokenizers, trainers

        if not (least := 257 + len(tags)) <= size <= MOST:
            raise ValueError(f"A vocabulary of pieces has {least} to {MOST:,} tokens, not {size}.")
        cut = Cutter(models.BPE())
        cut.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        cut.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            initial_alphabet=alphabet,
            special_tokens=[END, *tags],
            show_progress=False,
        )
        cut.train_from_iterator(texts, trainer)
        return cls(cut.to_str().encode())

    def with_end(self) -> Subwords:
        """The same tokens and, behind them, END; a piece that is spelled so becomes it. Itself
        where it has END. Raises ValueError where there is no room for one more."""
        from tokenizers import Tokenizer as Cutter

        if self.end_id is not None:
            return self
        more = Cutter.from_str(self.data.decode())
        more.add_special_tokens([END])
        data = more.to_str().encode()
        if more.get_vocab_size() > MOST or len(data) > MOST_BYTES:
            raise ValueError(
                f"its {FILE} has no token {END}, with which a document ends, and no room for it."
            )
        return Subwords(data)

    def typed(self, text):
        """Without the characters that its bytes do not spell: control characters, if any."""
        text = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
        return "".join(filter(self.writes, text)) if self.lacks else text

    def writes(self, character):
        return self.lacks.isdisjoint(character.encode("utf-8", "surrogatepass"))

    def encode(self, text, place=0):
        found = self.cutter.encode(self.typed(text), add_special_tokens=False).ids
        return torch.tensor(found, dtype=torch.int64)

    def encode_all(self, texts):
        found = self.cutter.encode_batch_fast(
            list(map(self.typed, texts)), add_special_tokens=False
        )
        return [one.ids for one in found]

    def spell(self, ids):
        """A character that several tokens spell stands at the last of them; bytes that form no
        character become U+FFFD, also where the text ends between them."""
        reader, found = codecs.getincrementaldecoder("utf-8")("replace"), []
        for i in ids.tolist():
            if i in (self.mask_id, self.end_id):
                rest = reader.decode(b"", final=True)
                found.append(rest + MASK_SIGN * (i == self.mask_id))
                reader.reset()
            else:
                found.append(reader.decode(self.bytes[i]))
        if found:
            found[-1] += reader.decode(b"", final=True)
        return found

    def encoded(self, ids):
        return b"".join(self.bytes[i] for i in ids.tolist())

    def counts(self, ids):
        return self.lengths.to(ids.device)[ids.long()]

    def config(self):
        return {"tokenizer": {"kind": self.kind, "size": len(self)}}

    def files(self):
        return {FILE: self.data}

    @classmethod
    def check(cls, config):
        size = config["tokenizer"]["size"]
        if type(size) is not int or not 257 <= size <= MOST:
            raise ValueError(f"pieces of words are 257 to {MOST:,} tokens, not {brief(size)}.")

    @classmethod
    def load(cls, config, read):
        cls.check(config)
        made = cls(read(FILE, MOST_BYTES))
        if len(made) != (size := config["tokenizer"]["size"]):
            raise ValueError(f"its {FILE} has {len(made):,} tokens, and it says {size:,}.")
        return made

    def identity(self):
        return self.data


def made(how: str, texts: list[str], ended: bool = False) -> Subwords:
    """A tokenizer by name: "bpe-N" is learned from texts, anything else is the path of a
    tokenizer.json, or the id of a repository of the Hub that has one. ended: the texts are
    documents, so it gets END where it has none. Raises ValueError, in one sentence."""
    size = how.removeprefix("bpe-")
    if how.startswith("bpe-") and size.isdecimal() and len(size) < 9:
        return Subwords.learned(texts, int(size))
    path = Path(how)
    if not path.is_file():
        path = of_hub(how)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(
            f"The file {brief(path.name)} is over {MOST_BYTES:,} bytes: it is no {FILE}."
        )
    try:
        found = Subwords(path.read_bytes())
        return found.with_end() if ended else found
    except ValueError as error:
        raise ValueError(f"The tokenizer {brief(path.name)} cannot be used: {error}") from None


def of_hub(name: str) -> Path:
    """The tokenizer.json of a repository of the Hub. Raises ValueError, in one sentence."""
    why = ""
    if re.fullmatch(r"\w[\w.-]{0,95}/[\w.-]{1,96}", name):
        try:
            return from_hub(name, FILE)
        except Exception as error:  # of the Hub, of the network, of the disk
            why = f" here, and the Hub gave none ({type(error).__name__})"
    raise ValueError(
        f"There is no tokenizer {brief(name)}{why}: name characters, bpe-4096 or the like, the "
        f"path of a {FILE}, or a Hub id."
    )


def characters(piece: bytes) -> int:
    """How many characters begin in a piece: its bytes that are no UTF-8 continuation."""
    return sum(byte & 0xC0 != 0x80 for byte in piece)


def halves(error: UnicodeDecodeError) -> tuple[str, int]:
    """An error handler: bytes that form no character become code points of their own."""
    return "".join(chr(HALF + b) for b in error.object[error.start : error.end]), error.end


codecs.register_error("halves", halves)


def byte_signs() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary (GPT-2): the byte's own
    where it is printable in Latin-1, else one from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(0x100 + i): b for i, b in enumerate(others)}


SIGNS = byte_signs()
# bytes that a vocabulary may lack: control characters, and what begins none of Unicode's characters
# today (those of planes 4 to 11 are not assigned, those from F5 on cannot be)
RARE = {*range(0x20), 0x7F, 0xC0, 0xC1, 0xF1, 0xF2, *range(0xF5, 0x100)} - {9, 10, 13}


def contents(data: bytes) -> tuple[list[bytes], dict[int, str]]:
    """What each token of a tokenizer.json spells, and the names of those that spell nothing.

    Only JSON is read here, nothing of the file is run. Raises ValueError, in one sentence.
    """
    try:
        found = json.loads(data)
        model, added = found["model"], found.get("added_tokens") or []
        vocabulary = dict(model["vocab"])
        special = {one["id"]: one["content"] for one in added}
        kinds = {part["type"] for part in parts_of(found.get("pre_tokenizer"))}
        forms = {part["type"] for part in parts_of(found.get("normalizer"))}
        whole = {i: piece for piece, i in vocabulary.items()} | special
        size = len(whole)
        plain = {model.get(name) or None for name in ALTERING} == {None}
        plain = plain and not any(
            cut.get("add_prefix_space") for cut in parts_of(found["pre_tokenizer"])
        )
        numbered = sorted(whole) == list(range(size)) and all(
            isinstance(w, str) for w in whole.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"its {FILE} is not one of the library `tokenizers`.") from None
    if (
        model.get("type") != "BPE"
        or "ByteLevel" not in kinds
        or kinds - CUTS
        or forms - FORMS
        or not plain
    ):
        raise ValueError(
            f"its {FILE} is not of byte-level pieces, the kind that this version reads."
        )
    if not numbered or size > MOST:
        raise ValueError(f"its {FILE} must number at most {MOST:,} tokens from 0 on.")
    pieces = [whole[i] for i in range(size)]
    if not {sign for sign, byte in SIGNS.items() if byte not in RARE} <= set(pieces):
        raise ValueError(
            f"its {FILE} lacks some of the bytes of which texts are made, so that not every text "
            "could be written."
        )
    if max(map(len, pieces)) > LONGEST:
        raise ValueError(f"its {FILE} has tokens of more than {LONGEST} bytes.")
    strange = [p for i, p in enumerate(pieces) if i not in special and not SIGNS.keys() >= set(p)]
    if strange:
        raise ValueError(f"its {FILE} has the piece {brief(strange[0])}, which spells no bytes.")
    return [bytes(SIGNS.get(c, 0x3F) for c in piece) for piece in pieces], special


def parts_of(part: dict | None) -> Iterator[dict]:
    """The parts of an entry of tokenizer.json: the entry itself or, if it is a sequence, its
    members."""
    if part is not None:
        yield part
        for one in (*(part.get("pretokenizers") or ()), *(part.get("normalizers") or ())):
            yield from parts_of(one)


def cutter(data: bytes):
    """The library's tokenizer. Names of special tokens in what people write are read as
    plain text."""
    from tokenizers import Tokenizer as Cutter

    try:
        found = Cutter.from_str(data.decode("utf-8"))
    except BaseException as error:  # the library's own are of no narrower kind
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise ValueError(f"its {FILE} is not one of the library `tokenizers`.") from None
    found.encode_special_tokens = True
    found.no_truncation(), found.no_padding()
    return found
