"""A tokenizer cuts text into tokens: characters, or pieces of words. Each kind is one file here.

What is given to a model is given as the tokens that stand there and never cut anew, because a
model's own tokens are often not those that a tokenizer would cut its text into.
"""

from __future__ import annotations

import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tinydiff.plugins import discover
from tinydiff.sentences import brief

MASK_SIGN = "·"  # what stands in a text for the mask
FIRST_SIGN = 0x100
HALF = 0xEE00  # private code points: HALF + byte is a byte of a character that is not whole
HALVES = re.compile(f"[{chr(HALF)}-{chr(HALF + 0xFF)}]+")
# the bytes of one character, and those of one that is not whole; ui/static/glyphs.js has the same
UNIT = re.compile(
    "[\ueec2-\ueedf][\uee80-\ueebf]|[\ueee0-\ueeef][\uee80-\ueebf]{2}"
    "|[\ueef0-\ueef4][\uee80-\ueebf]{3}|[\uee00-\ueeff][\uee80-\ueebf]*"
)
BROKEN = "▯"  # what is drawn for the bytes of a character that is not whole
TOKENIZERS: dict[str, type[Tokenizer]] = {}


class Tokenizer(ABC):
    """Tokens 0 .. V-1, and the mask, V. Tokens are (L,) tensors of any whole type.

    pieces:  what each token spells by itself, (V,); a byte that is no whole character is one of
             HALVES there, and `joined` makes characters of them
    end_id:  the token that ends a text and spells nothing; None where there is none
    one_way: whether a text can be cut into tokens in one way only; if not, bits are an upper bound
    """

    kind: ClassVar[str]  # its name in a checkpoint
    unit: ClassVar[str]  # the word for its tokens in sentences
    one_way: ClassVar[bool]
    pieces: Sequence[str]
    end_id: int | None = None

    def __init_subclass__(cls):
        TOKENIZERS[cls.kind] = cls

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def mask_id(self) -> int:
        return len(self)

    @abstractmethod
    def typed(self, text: str) -> str:
        """`text` as this tokenizer can write it. The length may change."""

    @property
    def signs(self) -> str:
        """One character for each token, by which the token travels to the browser."""
        return "".join(map(chr, range(FIRST_SIGN, FIRST_SIGN + len(self))))

    def tokens(self, signs: str) -> Tensor:
        """The tokens (L,) of signs; any other character becomes the mask."""
        found = (ord(sign) - FIRST_SIGN for sign in signs)
        return torch.tensor([i if 0 <= i < len(self) else self.mask_id for i in found])

    @abstractmethod
    def writes(self, character: str) -> bool:
        """Whether it can write that character."""

    @abstractmethod
    def encode(self, text: str, place: int = 0) -> Tensor:
        """`typed(text)` as tokens, (L,) int64.

        Raises ValueError if it cannot be written, in a sentence that says where; `place` is the
        number of characters that stand before `text`.
        """

    def encode_all(self, texts: list[str]) -> list[list[int]]:
        """The tokens of many texts."""
        return [self.encode(text).tolist() for text in texts]

    @abstractmethod
    def spell(self, ids: Tensor) -> list[str]:
        """What each token adds to the text; joined, the text. The mask becomes MASK_SIGN."""

    def decode(self, ids: Tensor) -> str:
        """The text of tokens (L,)."""
        return "".join(self.spell(ids))

    def encoded(self, ids: Tensor) -> bytes:
        """The text of tokens (L,) in UTF-8, which may begin or end within a character."""
        return self.decode(ids).encode("utf-8", "surrogatepass")

    @abstractmethod
    def counts(self, ids: Tensor) -> Tensor:
        """How many characters each token spells, in the shape of `ids`, int64; 0 for the mask."""

    @abstractmethod
    def config(self) -> dict:
        """Its entry in config.json."""

    def files(self) -> dict[str, bytes]:
        """Its other files in a checkpoint: contents by name."""
        return {}

    @classmethod
    @abstractmethod
    def check(cls, config: Mapping) -> None:
        """Raises ValueError, TypeError or KeyError where `config` was not made by a tokenizer."""

    @classmethod
    @abstractmethod
    def load(cls, config: Mapping, read: Callable[[str, int], bytes]) -> Tokenizer:
        """What `config` and `files` were made from. read(name, limit) gives a file's bytes.

        Raises ValueError, in one sentence, for what no tokenizer has written.
        """

    def unlike(self, other: Tokenizer) -> str:
        """How its tokens differ from those of another tokenizer, as words that follow its name; ""
        where the tokens differ only in their numbers."""
        ours, theirs = set(self.pieces), set(other.pieces)
        sides = ("has not", theirs - ours), ("has", ours - theirs)
        return " but ".join(f"{some} {brief(''.join(sorted(p)), 20)}" for some, p in sides if p)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.identity() == other.identity()

    def __hash__(self) -> int:
        return hash(self.identity())

    @abstractmethod
    def identity(self) -> bytes:
        """Equal for two tokenizers of a kind if and only if they are the same."""


def joined(pieces: Iterable[str]) -> str:
    """The text of pieces in a row; bytes that form no character become U+FFFD."""

    def whole(found: re.Match) -> str:
        return bytes(ord(half) - HALF for half in found[0]).decode("utf-8", "replace")

    return HALVES.sub(whole, "".join(pieces))


def drawn(pieces: Sequence[str]) -> list[str]:
    """What each of the pieces in a row adds to a text that is drawn: a character whose bytes lie in
    several stands at the last of them, and so does one BROKEN for those of one that is not whole.
    """
    text = "".join(pieces)
    signs = list(text)
    for found in UNIT.finditer(text):
        whole = joined(found[0])
        end = BROKEN if whole[0] == "\ufffd" else whole
        signs[slice(*found.span())] = [""] * (len(found[0]) - 1) + [end]
    ends = list(itertools.accumulate(map(len, pieces)))
    return ["".join(signs[a:b]) for a, b in zip([0, *ends], ends)]


def load(config: Mapping, read: Callable[[str, int], bytes]) -> Tokenizer:
    """The tokenizer of a checkpoint. Raises as `Tokenizer.load`."""
    return kind_of(config).load(config, read)


def check(config: Mapping) -> None:
    """Raises as `Tokenizer.check`."""
    kind_of(config).check(config)


def kind_of(config: Mapping) -> type[Tokenizer]:
    """The kind of tokenizer that a config.json names; of one that names none, characters."""
    made = config.get("tokenizer", {"kind": "characters"})
    if not isinstance(made, dict) or made.get("kind") not in TOKENIZERS:
        raise ValueError(f"its tokenizer must be of the kind {' or '.join(TOKENIZERS)}.")
    return TOKENIZERS[made["kind"]]


discover(__name__, __path__)
