"""Regular languages over tokens: a pattern, lifted from characters to a vocabulary (Willard and
Louf, arXiv:2307.09702) by the library outlines-core, and what it does not have: intersections, the
least automaton, the token that ends a text.

An Automaton is deterministic and reads a text token by token. Tokens that lead from every state to
the same state are one group, so that a vocabulary of thousands costs no more than a few.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tinydiff.text.tokenizers import HALF, HALVES, Tokenizer

MOST = 1000  # states of an automaton, once those that do the same are one
MOST_LIFTED = 4000  # before that
LONGEST = 1000  # characters of a pattern
SECONDS = 10  # to read one
AT_ONCE = threading.Semaphore(2)  # patterns that are read
NOTHING = "no text that this model can write matches it."
LIFTING = Path(__file__).with_name("lifting.py")


@dataclass(frozen=True, eq=False)
class Automaton:
    """State 0 is the start. Every state can be reached, and a text can end after every one; the
    automaton of no text has one state and no moves.

    moves:     (Q, G) int64: the state to which a group of tokens leads, -1 where to none
    group:     (V,) int64: the group of each token
    accepting: (Q,) bool: whether a text may end here
    """

    moves: np.ndarray
    group: np.ndarray
    accepting: np.ndarray

    @property
    def empty(self) -> bool:
        """Does no text match?"""
        return not self.accepting.any()

    def read(self, tokens: np.ndarray, start: np.ndarray) -> np.ndarray:
        """The states (B,) after tokens (B, n) from states `start` (B,); -1 where no text that
        matches begins so."""
        table = np.pad(self.moves, ((0, 1), (0, 0)), constant_values=-1)  # of state -1, too
        for column in tokens.T:
            start = table[start, self.group[column]]
        return start

    def matches(self, tokens: np.ndarray) -> np.ndarray:
        """Whether each text of tokens (B, L) matches, (B,) bool."""
        ends = self.read(tokens, np.zeros(len(tokens), np.int64))
        return np.where(ends >= 0, self.accepting[ends], False)


def least(moves: np.ndarray, group: np.ndarray, accepting: np.ndarray) -> Automaton:
    """The automaton of fewest states and groups that accepts the same texts.

    States that lead to no text go first; then states are parted by whether they accept, and by
    where each group leads, until nothing parts any more (Moore, 1956).
    """
    alive = useful(moves, accepting)
    if not alive[0]:
        nothing = np.zeros(len(group), np.int64)
        return Automaton(np.full((1, 1), -1), nothing, np.array([False]))
    number = np.where(alive, alive.cumsum() - 1, -1)
    moves = np.where(moves >= 0, number[moves], -1)[alive]
    accepting = accepting[alive]

    part = accepting.astype(np.int64)
    weights = np.random.default_rng(0).integers(1, 2**63, moves.shape[1], dtype=np.uint64) | 1
    many = len(np.unique(part))
    while True:
        where = np.append(part, -1)[moves].astype(np.uint64) + 2
        key = (where * weights).sum(1) * np.uint64(2654435761) + part.astype(np.uint64)
        part = np.unique(key, return_inverse=True)[1].reshape(-1)
        if (now := part.max() + 1) == many:
            break
        many = now
    first = np.unique(part, return_index=True)[1]
    first = np.concatenate([first[part[0] : part[0] + 1], np.delete(first, part[0])])
    place = np.empty(many, np.int64)
    place[part[first]] = np.arange(many)
    merged = np.append(place[part], -1)[moves[first]]
    columns, again = np.unique(merged, axis=1, return_inverse=True)
    return Automaton(columns, again.reshape(-1)[group], accepting[first])


def useful(moves: np.ndarray, accepting: np.ndarray) -> np.ndarray:
    """The states that a text can reach and from which a text can end, (Q,) bool."""
    source, _ = np.nonzero(moves >= 0)
    target = moves[moves >= 0]
    ends, reached = accepting.copy(), np.arange(len(moves)) == 0
    for found, before, behind in ((reached, source, target), (ends, target, source)):
        while (more := found[before] & ~found[behind]).any():
            found[behind[more]] = True
    return reached & ends


def both(a: Automaton, b: Automaton) -> Automaton:
    """The texts that match both. Raises ValueError where it would have too many states."""
    V = len(a.group)
    pairs, first, group = np.unique(
        a.group * b.moves.shape[1] + b.group, return_index=True, return_inverse=True
    )
    of_a, of_b = a.moves[:, a.group[first]], b.moves[:, b.group[first]]
    known, rows, width = {0: 0}, [], len(b.moves)
    queue = [0]
    for code in queue:  # grows
        left, right = of_a[code // width], of_b[code % width]
        to = np.where((left >= 0) & (right >= 0), left * width + right, -1)
        for new in np.unique(to[to >= 0]).tolist():
            if new not in known:
                known[new] = len(queue)
                queue.append(new)
        rows.append(to)
        if len(queue) > 20 * MOST:
            raise ValueError(f"together they need over {20 * MOST:,} states: ask for less at once.")
    codes = np.array(queue)
    order = np.argsort(codes)
    to = np.stack(rows)
    place = order[np.searchsorted(codes, to, sorter=order).clip(max=len(codes) - 1)]
    accepting = a.accepting[codes // width] & b.accepting[codes % width]
    assert len(group) == V
    return bounded(least(np.where(to >= 0, place, -1), group.reshape(-1), accepting))


def bounded(automaton: Automaton) -> Automaton:
    """Itself. Raises ValueError where it has too many states."""
    if len(automaton.moves) > MOST:
        raise ValueError(
            f"it needs {len(automaton.moves):,} states and {MOST:,} are allowed: ask for less at "
            "once."
        )
    return automaton


def ended(automaton: Automaton, end: int) -> Automaton:
    """The same texts, each of which may be ended by the token `end`, behind which nothing but that
    token stands."""
    if automaton.empty:
        return automaton
    Q, G = automaton.moves.shape
    moves = np.full((Q + 1, G + 1), -1)
    moves[:Q, :G] = automaton.moves
    moves[:Q, G] = np.where(automaton.accepting, Q, -1)
    moves[Q, G] = Q
    group = automaton.group.copy()
    group[end] = G
    return least(moves, group, np.append(automaton.accepting, True))


@lru_cache(maxsize=64)
def lifted(pattern: str, tokenizer: Tokenizer) -> Automaton:
    """The texts that match a regular expression as a whole, in the tokens of a tokenizer; of one
    with a token that ends a text, ended ones too.

    The syntax is Rust's crate `regex`, in which `.` is any character but a line break unless the
    pattern begins with `(?s)`. Raises ValueError, in words that follow the pattern's name, for what
    is no regular expression, for one that no text of these tokens matches, and for one that is too
    large.
    """
    if len(pattern) > LONGEST:
        raise ValueError(f"it has {len(pattern):,} characters: {LONGEST:,} are read at the most.")
    pieces = [spelled(piece).hex() for piece in tokenizer.pieces]
    asked = json.dumps({"pattern": pattern, "pieces": pieces, "most": MOST_LIFTED})
    try:
        with AT_ONCE:
            done = subprocess.run(
                [sys.executable, "-I", str(LIFTING)],
                input=asked.encode(),
                capture_output=True,
                timeout=SECONDS,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"it was not read within {SECONDS} seconds: take one that repeats less."
        ) from None
    if done.returncode:
        raise ValueError(why(done.stderr.decode(errors="replace")))
    with np.load(io.BytesIO(done.stdout)) as found:
        made = least(found["moves"].astype(np.int64), found["group"], found["accepting"])
    if made.empty:
        raise ValueError(NOTHING)
    bounded(made)
    return made if tokenizer.end_id is None else ended(made, tokenizer.end_id)


def why(said: str) -> str:
    """What is wrong with a pattern, from what the library said of it."""
    if "states" in said:
        return f"it needs {said.split()[0]} states and {MOST_LIFTED:,} are read: repeat less."
    if "incompatible" in said:
        return NOTHING
    if "No module" in said:
        return "reading it needs `pip install outlines-core`."
    if "memory" in said.lower() or not said.strip():
        return "it needs too much memory to be read: take one that repeats less."
    if "word bound" in said or "universal start" in said:
        return "it asks for the edge of a word (\\b), which is not read: write what stands there."
    return "it cannot be read: brackets must close, and nothing may look ahead, behind or back."


def spelled(piece: str) -> bytes:
    """The bytes of a token, which may be part of a character."""
    out, at = b"", 0
    for found in HALVES.finditer(piece):
        out += piece[at : found.start()].encode() + bytes(ord(half) - HALF for half in found[0])
        at = found.end()
    return out + piece[at:].encode()
