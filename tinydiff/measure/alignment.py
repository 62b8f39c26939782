"""Which words of a source a word of its target rests on: leave one out.

    influence(j, i) = log p(y_j | source, the other words) - log p(y_j | the same without word i)

in nats, summed over the tokens of word j. A word is left out by making its positions open and
putting the process's own noise there, at t = 1: the mask where a noise has one. It says what the
network's bet falls by, not what translates what: a word that the others make certain rests on no
single word of the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff.processes import Process
from tinydiff.randomness import seeded
from tinydiff.text import Canvas, Tokenizer
from tinydiff.text.tasks import canvas_of

TOGETHER = 64  # rows of a call


class Alignment(NamedTuple):
    """The words of a source (n) and of a target (m) with the influence of the former on the
    latter, (m, n), nats; below 0 where the bet rises without the word."""

    source: list[str]
    target: list[str]
    influence: Tensor


def alignment(process: Process, task: str, source: str, target: str) -> Alignment:
    """The influence of each word of a source on each word of the target that was written from it.
    Raises ValueError as `tasks.canvas_of` does, and for a target that is empty or too long."""
    canvas, cut = canvas_of(process.tokenizer, task, [source], process.length), process.tokenizer
    ids, S = cut.encode(target.strip()), int(canvas.given.sum())
    T = canvas.tokens.shape[1] - S
    if not 0 < len(ids) < T:
        raise ValueError(
            f"The target has {len(ids)} {cut.unit} and there is room for 1 to {T - 1}: give some "
            "of its words."
        )
    canvas.tokens[0, S : S + len(ids)] = ids
    given = words_of(cut, cut.encode(source.strip()), 1)
    made = words_of(cut, ids, S)
    places = [list(span) for _, span in made]
    falls = influence(process, canvas.tokens[0], [list(span) for _, span in given], places)
    return Alignment([text for text, _ in given], [text for text, _ in made], falls)


def words_of(tokenizer: Tokenizer, ids: Tensor, first: int) -> list[tuple[str, range]]:
    """The words of a text as they are written, what stands behind them included, with the positions
    of their tokens, the first of which is `first`. A token that begins with a space begins a word,
    and so does a letter behind what is none: "l'", "eau." """
    found: list[tuple[str, range]] = []
    inside = False  # a word, whose letters go on
    for place, piece in enumerate(tokenizer.spell(ids), first):
        letter = piece[:1].isalnum()
        if not found or piece[:1].isspace() or (letter and not inside and found[-1][0].strip()):
            found.append(("", range(place, place)))
        text, span = found[-1]
        found[-1] = text + piece, range(span.start, place + 1)
        inside = piece[-1:].isalnum() if piece else inside
    return [(text.strip(), span) for text, span in found]


@torch.no_grad()
def influence(
    process: Process, tokens: Tensor, source: Sequence[list[int]], target: Sequence[list[int]]
) -> Tensor:
    """tokens (L,): a source and its target, complete. source, target: the positions of n and m
    words. Returns (m, n), nats.

    A row of the batch hides one word of the target and one of the source, or none; a network that
    reads from the left is asked for each token behind those before it.
    """
    asked = [[place] for places in target for place in places]
    if "causal" not in process.traits:
        asked = list(target)
    rows = [(there, gone) for there in asked for gone in [[], *source]]
    bets = [
        bet
        for k in range(0, len(rows), TOGETHER)
        for bet in hidden(process, tokens, rows[k:][:TOGETHER])
    ]
    bets = torch.tensor(bets, dtype=torch.float64).reshape(len(asked), 1 + len(source))
    falls, owner = bets[:, :1] - bets[:, 1:], {p: j for j, some in enumerate(target) for p in some}
    whole = torch.zeros(len(target), len(source), dtype=falls.dtype)
    return whole.index_add_(0, torch.tensor([owner[there[0]] for there in asked]), falls)


def hidden(process: Process, tokens: Tensor, rows: Sequence[tuple[list, list]]) -> list[float]:
    """log p of what stands at some positions, with these and others hidden, for each row."""
    given = torch.ones(len(rows), len(tokens), dtype=torch.bool)
    for row, (there, gone) in enumerate(rows):
        given[row, [*there, *gone]] = False
    canvas = Canvas(tokens.expand(given.shape), given).to(process.device)
    one = Canvas(canvas.tokens[:1], torch.zeros_like(canvas.given[:1]))
    noise = process.noise.prior(one, seeded(0))  # the same in all rows: they differ in words alone
    x = process.noise.pin(noise.expand(len(rows), *noise.shape[1:]), canvas)
    log_p = process.denoise(x, canvas.time(1.0)).log_x0.cpu()
    return [
        float(sum(log_p[row, place, tokens[place]] for place in there))
        for row, (there, _) in enumerate(rows)
    ]
