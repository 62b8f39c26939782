"""A toy tokenizer of one to three characters a piece: the longest piece that fits is taken."""

import torch

from tinydiff.text.tokenizers import Tokenizer


class Syllables(Tokenizer):
    kind, unit, one_way = "syllables", "syllables", False
    pieces = ("a", "b", "c", "ab", "ca", "bca")

    def typed(self, text):
        return text

    def writes(self, character):
        return character in "abc"

    def encode(self, text, place=0):
        found, rest = [], text
        while rest:
            fits = [piece for piece in self.pieces if rest.startswith(piece)]
            if not fits:
                raise ValueError(f"'syllables' cannot write {rest[0]!r}, at {place}.")
            found.append(self.pieces.index(max(fits, key=len)))
            rest, place = rest[len(self.pieces[found[-1]]) :], place + 1
        return torch.tensor(found, dtype=torch.int64)

    def spell(self, ids):
        return [(*self.pieces, "·")[i] for i in ids.tolist()]

    def counts(self, ids):
        return torch.tensor([*map(len, self.pieces), 0])[ids]

    def config(self):
        return {"tokenizer": {"kind": self.kind}}

    @classmethod
    def check(cls, config):
        pass

    @classmethod
    def load(cls, config, read):
        return cls()

    def identity(self):
        return b"syllables"
