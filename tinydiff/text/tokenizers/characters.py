"""Characters as tokens."""

from __future__ import annotations

import unicodedata

import numpy as np
import torch
from torch import Tensor

from tinydiff.text.tokenizers import MASK_SIGN, Tokenizer

MOST = 1 << 14  # characters of a vocabulary
LONG = 1 << 20  # tokens that are written together
SHORT = 1 << 12  # of so few each is written by itself
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


class Characters(Tokenizer):
    """Each character is a token, numbered in the order of `characters`.

    Raises ValueError if `characters` is empty or holds one twice.
    """

    kind = unit = "characters"
    one_way = True

    def __init__(self, characters: str):
        if not characters or len(set(characters)) != len(characters):
            raise ValueError("A tokenizer needs at least one character, each of them once.")
        self.characters = self.pieces = characters
        self.ids = {c: i for i, c in enumerate(characters)}

    @classmethod
    def of(cls, text: str) -> Characters:
        """The tokenizer whose vocabulary is the characters of `text`, sorted."""
        return cls("".join(sorted(set(text))))

    def typed(self, text: str) -> str:
        """`text` with characters outside the vocabulary written plainly where that is possible:
        curly quotes, dashes, ellipses, ligatures and odd spaces (PLAIN, else Unicode's NFKC). Other
        characters stay, also those that cannot be written, which `encode` reports. The length may
        change.
        """
        if self.ids.keys() >= set(text):
            return text
        whole = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
        return "".join(c if c in self.ids else self.plainly(c) for c in whole)

    def plainly(self, c: str) -> str:
        """A character outside the vocabulary in characters of the vocabulary, or itself where that
        is not possible."""
        folded = unicodedata.normalize("NFKC", c)
        for way in (*PLAIN.get(c, ()), folded, *PLAIN.get(folded, ())):
            if self.ids.keys() >= set(way):
                return way
        return c

    @property
    def signs(self):
        return self.characters

    def tokens(self, signs):
        return torch.tensor([self.ids.get(sign, self.mask_id) for sign in signs])

    def writes(self, character):
        return character in self.ids

    def encode(self, text, place=0):
        text = self.typed(text)
        if strange := list(dict.fromkeys(c for c in text if c not in self.ids)):
            raise ValueError(self.refused(strange, place + text.index(strange[0]) + 1))
        return torch.tensor([self.ids[c] for c in text], dtype=torch.int64)

    @staticmethod
    def refused(strange: list[str], place: int) -> str:
        """The sentence about characters outside the vocabulary; the first of them stands at
        `place`."""
        first, *others = map(repr, strange[:NAMED])
        more = [f"{len(strange) - NAMED} more"] * (len(strange) > NAMED)
        also = "".join(
            f" and {name}" if name == (others + more)[-1] else f", {name}" for name in others + more
        )
        them = "them" if also else "it"
        return (
            f"This model does not know {first} at position {place}{also}: leave {them} out or "
            "write something else there."
        )

    def spell(self, ids):
        return list(map((self.characters + MASK_SIGN).__getitem__, ids.tolist()))

    def decode(self, ids):
        return (
            written(self.characters + MASK_SIGN, ids) if len(ids) > SHORT else super().decode(ids)
        )

    def counts(self, ids):
        return (ids < len(self)).long()

    def config(self):
        return {"characters": self.characters}

    @classmethod
    def check(cls, config):
        characters = config["characters"]
        if len(characters) > MOST or any("\ud800" <= c <= "\udfff" for c in characters):
            raise ValueError(f"characters must be a text of at most {MOST:,} different ones.")
        cls(characters)

    @classmethod
    def load(cls, config, read):
        cls.check(config)
        return cls(config["characters"])

    def identity(self):
        return self.characters.encode("utf-8", "surrogatepass")


def written(signs: str, ids: Tensor) -> str:
    """signs[i] for each id (N,), through a lookup table: a Python list of a long text's characters
    would take fifty times the memory."""
    table = np.frombuffer(signs.encode("utf-32-le", "surrogatepass"), np.uint32)
    return "".join(
        table[part.numpy()].tobytes().decode("utf-32-le", "surrogatepass")
        for part in ids.split(LONG)
    )
