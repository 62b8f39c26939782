"""A text as its own judge: how well somebody would guess its letters who had only counted them, and
what of a text that was written stands in it.

The first nine tenths of a text are learned from and the rest is held out (text/corpora.py), so what
a network reaches can be set beside what counting reaches on the same letters. Letters are counted
alone, P(c) = (n_c + 1) / (N + V), and in pairs, mixed with that by Witten and Bell's weights
(1991): P(c | b) = (n_bc + T_b P(c)) / (n_b + T_b), where T_b different letters have followed b.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
RUN = 20  # characters in a row that stand in another text are copied, not met by chance


def counted(train: str, held: str) -> tuple[float, float]:
    """Nats a character of `held`, for letters by frequency and for letters in pairs, both counted
    in `train`; `held` has two characters or more."""
    alone, pairs = Counter(train), Counter(zip(train, train[1:]))
    begun, followed = Counter(train[:-1]), Counter(b for b, _ in pairs)
    V = len(set(train) | set(held))
    letter = {c: (alone[c] + 1) / (len(train) + V) for c in set(held)}

    def after(b: str, c: str) -> float:
        T = followed[b]
        return (pairs[b, c] + T * letter[c]) / (begun[b] + T) if T else letter[c]

    by_letters = sum(n * math.log(letter[c]) for c, n in Counter(held).items())
    by_pairs = sum(n * math.log(after(*pair)) for pair, n in Counter(zip(held, held[1:])).items())
    by_pairs += math.log(letter[held[0]])
    return -by_letters / len(held), -by_pairs / len(held)


def words_in(texts: Sequence[str], known: str) -> float | None:
    """The share of the words of texts that stand in `known`, whatever their capitals; of each text
    the first and the last word are left out, which may have been cut. None where there is none."""
    there = {word.lower() for word in WORD.findall(known)}
    words = [word.lower() for text in texts for word in WORD.findall(text)[1:-1]]
    return sum(word in there for word in words) / len(words) if words else None


def copied(texts: Sequence[str], known: str) -> float | None:
    """The share of the characters of texts that lie in runs of RUN or more which stand in `known`
    word for word. None where no text is as long."""
    whole = there = 0
    for text in texts:
        hit = [False] * len(text)
        for i in range(len(text) - RUN + 1):
            if text[i : i + RUN] in known:
                hit[i : i + RUN] = [True] * RUN
        if len(text) >= RUN:
            whole, there = whole + len(text), there + sum(hit)
    return there / whole if whole else None
