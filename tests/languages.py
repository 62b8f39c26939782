"""Small languages that are known exactly: some whose tokens are characters, some whose tokens are
pieces of several."""

from itertools import product
from string import ascii_lowercase

import torch

from tinydiff.exact import Enumerated
from tinydiff.text import Canvas, Characters, Tokenizer
from tinydiff.text.tokenizers import TOKENIZERS

END = "$"  # what is typed for the token that ends a text


class Pieces(Tokenizer):
    """Tokens of several characters, of which one may be another one's beginning; END, if it is
    there, spells nothing. In what is typed, a bar stands between two tokens."""

    kind, unit, one_way = "toy", "tokens", False

    def __init__(self, *pieces):
        self.pieces = pieces
        self.end_id = pieces.index("") if "" in pieces else None

    def typed(self, text):
        return text

    def writes(self, character):
        return any(character in piece for piece in self.pieces)

    def encode(self, text, place=0):
        named = [piece or END for piece in self.pieces]
        if strange := [piece for piece in text.split("|") if text and piece not in named]:
            raise ValueError(f"There is no token {strange[0]!r} at {place}.")
        found = [named.index(piece) for piece in text.split("|") if text]
        return torch.tensor(found, dtype=torch.int64)

    def spell(self, ids):
        return [(*self.pieces, "·")[i] for i in ids.tolist()]

    def counts(self, ids):
        return torch.tensor([*map(len, self.pieces), 0])[ids]

    def config(self):
        return {}

    def identity(self):
        return repr(self.pieces).encode()

    check = load = None


TOKENIZERS.pop("toy")

# Of both languages the texts 0 and 1 begin with the same two tokens, 2 and 4 with the same one and
# 3 with another; the first and the last token of 0 are those of no other text, nor the last two of
# 2. Of the pieces one is the beginning and one the end of another, and 0, 2 and 3 end.
SHARES = [0.35, 0.25, 0.2, 0.15, 0.05]
LANGUAGES = {
    "characters": Enumerated(["abca", "abab", "ccba", "bbbb", "caca"], SHARES),
    "pieces": Enumerated(
        ["ab|ab|$|$", "ab|ab|a|bab", "bab|bab|a|$", "a|ab|$|$", "bab|a|bab|a"],
        SHARES,
        Pieces("a", "ab", "bab", ""),
    ),
}

LETTERS = ascii_lowercase + "012345"
WORDS = ["".join(word) for n in range(1, 6) for word in product("ab", repeat=n)]
ALPHABETS = {
    "characters": lambda n: Characters(LETTERS[:n]),
    # a, ab, END, b, aa, ba and so on
    "pieces": lambda n: Pieces(*["a", "ab", "", *(w for w in WORDS if w not in ("a", "ab"))][:n]),
}


def typed(tokenizer, letters):
    """What is typed for tokens that are told by letters, a for the first of the alphabet."""
    pieces = [tokenizer.pieces[LETTERS.index(letter)] for letter in letters]
    between = "|" if isinstance(tokenizer, Pieces) else ""
    return between.join(piece or END for piece in pieces)


def enumerated(tokenizer, strings, probabilities):
    """A language of strings whose tokens are told by letters."""
    return Enumerated([typed(tokenizer, string) for string in strings], probabilities, tokenizer)


def part_of(language, text, places, batch=1):
    """A canvas with those tokens of a text of the language that have no blank in `places`."""
    stands = torch.tensor([place != "_" for place in places])
    tokens = torch.where(stands, language.strings[text], 0)
    return Canvas(tokens.repeat(batch, 1), stands.repeat(batch, 1))
