"""Patterns: the finished text belongs to a regular language, whatever the noise.

What the network predicts is a factorised bet over tokens, so a pattern's automaton can be imposed
on it exactly (matching.py). Every draw is a text that matches, and so is the finished one, always:
what becomes clean in one step comes from one joint draw, what stands for good is certain in the
next bet, and no bet rules a token out. From left to right, where nobody bets on the tokens behind,
this is constrained decoding (arXiv:2307.09702).

It is exact for the bet, not for the model's own distribution of the texts that match: a bet does
not know how its tokens depend on each other.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from tinydiff.guides import Annotated, Range, Words, guide
from tinydiff.matching import Edges, Matching
from tinydiff.sentences import brief
from tinydiff.text import automata, patterns
from tinydiff.text.automata import Automaton

MOST = 64  # particles
LONGEST = 8192  # tokens of a text that a pattern can be asked of


def asked(**options) -> list[tuple[str, str]]:
    """What is asked for: (the option and its value, in words; an expression)."""
    found = []
    for name, value in options.items():
        if not value:
            continue
        spoken = name.replace("_", " ")
        named = f"{spoken} {brief(value)}" if value != 1 else spoken
        try:
            made = KINDS[name](str(value))
        except ValueError as error:
            raise ValueError(f"{spoken} is {brief(value)}: {error}") from None
        found += [(named, one) for one in made]
    return found


KINDS = {
    "pattern": patterns.written,
    "contains": patterns.contains,
    "no_letters": patterns.without,
    "ends_with": patterns.ends_with,
    "exactly": patterns.exactly,
    "each_begins": patterns.each_begins,
    "acrostic": patterns.acrostic,
    "line_ends": patterns.line_ends,
    "form": patterns.form,
    "crossword": patterns.crossword,
    "passive": patterns.passive,
}


def check(process, canvas, **options):
    """Raises ValueError where the process takes no step by its bet over tokens, for patterns that
    cannot be read, and for those that no text matches with what is given."""
    options.pop("particles")
    if not (wanted := asked(**options)):
        return
    if process.mixes_raw:
        raise ValueError(
            f"{wanted[0][0]} is asked for, and this model predicts codes and no tokens: take one "
            "whose parameterisation is x0-ce."
        )
    if (L := canvas.tokens.shape[1]) > LONGEST:
        raise ValueError(f"A text with a pattern has at most {LONGEST:,} tokens, not {L:,}.")
    whole = joined(tuple(wanted), process.tokenizer)
    if not possible(whole, canvas):
        alone = next((words for words, one in wanted if not fits(one, process, canvas)), None)
        what = alone or " and ".join(words for words, _ in wanted)
        raise ValueError(
            f"{what} cannot be had in a text of {L} {process.tokenizer.unit} with what is given "
            "here: change the length, the beginning or what is asked for."
        )


def fits(expression: str, process, canvas) -> bool:
    return possible(automata.lifted(expression, process.tokenizer), canvas)


def possible(automaton: Automaton, canvas) -> bool:
    """Can every row of a canvas be completed to a text that matches?"""
    return bool(reach(automaton, canvas)[:, 0, 0].all())


def reach(automaton: Automaton, canvas) -> np.ndarray:
    """From which states a text can be finished behind each column, (B, L + 1, Q) bool."""
    (B, L), (Q, _) = canvas.tokens.shape, automaton.moves.shape
    source, group = np.nonzero(automaton.moves >= 0)
    edges = np.unique(source * Q + automaton.moves[source, group])
    leaving, first = np.unique(edges // Q, return_index=True)
    given, tokens = canvas.given.cpu().numpy(), canvas.tokens.cpu().numpy()
    group = automaton.group[np.where(given, tokens, 0)]
    found = np.empty((B, L + 1, Q), bool)
    found[:, L] = automaton.accepting
    for i in reversed(range(L)):
        onward = np.pad(found[:, i + 1], ((0, 0), (0, 1)))  # of state -1, too
        known = np.take_along_axis(onward, automaton.moves[:, group[:, i]].T, 1)
        free = np.zeros((B, Q), bool)
        free[:, leaving] = np.logical_or.reduceat(found[:, i + 1][:, edges % Q], first, 1)
        found[:, i] = np.where(given[:, i, None], known, free)
    return found


@lru_cache(maxsize=32)
def joined(wanted: tuple[tuple[str, str], ...], tokenizer) -> Automaton:
    """The texts that have all that is asked for. Raises ValueError, in one sentence."""
    made, before = None, []
    for words, expression in wanted:
        others = [other for other in dict.fromkeys(before) if other != words]
        before.append(words)
        try:
            one = automata.lifted(expression, tokenizer)
            made = one if made is None else automata.both(made, one)
        except ValueError as error:
            named = " beside ".join([words, *others])
            raise ValueError(f"{named} cannot be had: {error}") from None
        if made.empty:
            named = " and ".join([words, *others])
            raise ValueError(f"{named} rule each other out: take one of them away.")
    return made


def crowd(*, particles: int = 1, **options) -> int:
    """As many as are asked for, where something is asked of the text."""
    return particles if any(options.values()) else 1


@lru_cache(maxsize=8)
def edges_of(automaton: Automaton, device: torch.device) -> Edges:
    return Edges(automaton, device)


@guide("pattern", stage="pattern", paper="arXiv:2307.09702", check=check, particles=crowd)
def pattern(
    denoise,
    context,
    *,
    pattern: Annotated[str, Words(500, "a regular expression that the whole text matches")] = "",
    contains: Annotated[str, Words(200, "words that stand in the text, with commas")] = "",
    no_letters: Annotated[str, Words(50, "letters that stand nowhere in the text")] = "",
    ends_with: Annotated[str, Words(200, "the words with which the text ends")] = "",
    exactly: Annotated[
        str, Words(30, "how long it is: 20 words, 3 sentences, 4 lines or 99 characters")
    ] = "",
    each_begins: Annotated[
        str, Words(200, "the words with one of which every sentence begins, with commas")
    ] = "",
    acrostic: Annotated[str, Words(40, "the word that the first letters of the lines spell")] = "",
    line_ends: Annotated[
        str, Words(500, "the words with one of which every line ends, with commas: a rhyme")
    ] = "",
    form: Annotated[
        str, Words(40, "what a date or number in it looks like: 9 a digit, A and a letters")
    ] = "",
    crossword: Annotated[str, Words(40, "a word in it, a dot for each unknown letter")] = "",
    passive: Annotated[int, Range(0, 1, "1: something is done by somebody in it")] = 0,
    particles: Annotated[
        int,
        Range(
            1, MOST, "texts written in the place of one, which is drawn by how well rules fit it"
        ),
    ] = 1,
):
    """Make the finished text match a pattern, always."""
    options = {name: value for name, value in locals().items() if name in KINDS}
    if not (wanted := asked(**options)):
        return denoise
    process, text = context.process, context.text or context.canvas
    automaton = joined(tuple(wanted), process.tokenizer)
    edges, finished = edges_of(automaton, process.device), reach(automaton, text)
    before = text.tokens[:, : context.start].cpu().numpy()
    first = automaton.read(before, np.zeros(len(before), np.int64))

    def matched(x, t, cache=None):
        prediction = denoise(x, t, cache)
        n, m = prediction.log_x0.shape[1], x.shape[1]
        tokens = process.noise.read(x)
        fixed = (t == 0) | (tokens != process.mask_id if "prefix" in process.traits else False)
        begin = automaton.read(tokens[:, : m - n].cpu().numpy(), first)
        end = finished[:, context.start + m]
        return Matching(prediction, tokens[:, m - n :], fixed[:, m - n :], edges, begin, end)

    return matched
