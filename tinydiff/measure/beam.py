"""Beam search: of all that an autoregressive network can write the likeliest, as far as a few
beginnings that are followed side by side find it.

At each token every beginning is continued in all ways; of those that go on the `width` likeliest
are kept, and of those that have ended the `width` best. A longer text is less likely for its length
alone, so what has ended is compared by (GNMT, arXiv:1609.08144, eq. 14)

    score(y) = log p(y) / ((5 + |y|) / 6)^penalty

with |y| tokens, the END among them. It ends where nothing that goes on can become better than the
best that has ended: log p only falls, and no text is longer than its canvas. As wide as there are
texts it finds the best of all; of width 1 it is greedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff import rewrite
from tinydiff.nets import Cache
from tinydiff.options import check_number
from tinydiff.processes import Process
from tinydiff.rewrite import Written
from tinydiff.text import Canvas

WIDTH, MOST = 4, 64  # beginnings
PENALTY = 0.6  # of GNMT, and of the Transformer (arXiv:1706.03762, section 6.1)


class Found(NamedTuple):
    """What a search found: tokens (B, L), their score (B,), and the calls of the network."""

    tokens: Tensor
    score: Tensor
    calls: int


class Beams(NamedTuple):
    """Beginnings of B texts, W of each: tokens (B, W, n), and their log p or score (B, W), the best
    first; -inf where there is none."""

    tokens: Tensor
    value: Tensor


@torch.no_grad()
def search(
    process: Process, canvas: Canvas, end: int, width: int = WIDTH, penalty: float = PENALTY
) -> Found:
    """The best text that is found for each row of a canvas, filled with `end` behind its end. All
    rows give the same number of tokens at their beginning, and no others.

    Raises ValueError for a network that does not write from left to right, for another canvas, and
    for a width or penalty that there is not.
    """
    check_number("width", width, 1, MOST, whole=True)
    check_number("penalty", penalty, 0, 2)
    check(process, canvas)
    start, (B, L) = int(canvas.given[0].sum()), canvas.tokens.shape
    x, cache, most = canvas.tokens[:, :start].to(process.device), Cache(), norm(L - start, penalty)
    alive = Beams(x[:, None], torch.zeros(B, 1, dtype=torch.float64, device=x.device))
    done = Beams(x.new_empty(B, 0, L), alive.value[:, :0])
    for place in range(start, L):
        more = continued(process, canvas, alive, cache)
        ends = torch.arange(more.shape[-1], device=x.device) == end
        stop = more if place + 1 == L else more.masked_fill(~ends, -torch.inf)
        fresh, _ = extended(alive, stop / norm(place + 1 - start, penalty), width)
        done = best_of(done, filled(fresh, end, L), width)
        alive, parents = extended(alive, more.masked_fill(ends, -torch.inf), width)
        if (done.value[:, 0] >= alive.value[:, 0] / most).all():
            break
        cache.pick(parents)
    return Found(done.tokens[:, 0].cpu(), done.value[:, 0].cpu(), place + 1 - start)


def check(process: Process, canvas: Canvas) -> None:
    if "causal" not in process.traits:
        raise ValueError(
            f"'{process.name}' does not write from left to right: a beam follows the beginnings of "
            "an autoregressive network."
        )
    first = canvas.given.cumprod(1).bool()
    if not (canvas.given.equal(first) and canvas.given.eq(canvas.given[:1]).all()):
        raise ValueError("A beam writes behind what is given: give as many tokens in each row.")
    if canvas.given.all():
        raise ValueError("Nothing is left to write: everything on the canvas is given.")


def norm(length: int, penalty: float) -> float:
    return ((5 + length) / 6) ** penalty


def continued(process: Process, canvas: Canvas, alive: Beams, cache: Cache) -> Tensor:
    """log p of all beginnings, each with every token behind it, (B, W, V) float64."""
    B, W, n = alive.tokens.shape
    x = torch.nn.functional.pad(alive.tokens.flatten(0, 1), (0, 1), value=process.mask_id)
    t = canvas.time(1.0)[:, : n + 1].to(x.device).repeat_interleave(W, 0)
    label = None if canvas.label is None else canvas.label.repeat_interleave(W, 0)
    log_p = process.denoise(x, t, label, cache).log_x0[:, -1].double().view(B, W, -1)
    return alive.value[..., None] + log_p


def extended(alive: Beams, value: Tensor, width: int) -> tuple[Beams, Tensor]:
    """The best continuations by their value (B, W, V), and which row each goes on from, of B W."""
    B, W, V = value.shape
    best, which = value.flatten(1).topk(min(width, W * V))
    parent = which // V
    begun = alive.tokens.gather(1, parent[..., None].expand(-1, -1, alive.tokens.shape[2]))
    rows = parent + W * torch.arange(B, device=parent.device)[:, None]
    return Beams(torch.cat([begun, (which % V)[..., None]], 2), best), rows.flatten()


def filled(beams: Beams, end: int, L: int) -> Beams:
    """With END behind them up to L tokens."""
    room = L - beams.tokens.shape[2]
    return beams._replace(tokens=torch.nn.functional.pad(beams.tokens, (0, room), value=end))


def best_of(one: Beams, other: Beams, width: int) -> Beams:
    """The best of both."""
    both = Beams(*(torch.cat(parts, 1) for parts in zip(one, other)))
    value, which = both.value.topk(min(width, both.value.shape[1]))
    return Beams(
        both.tokens.gather(1, which[..., None].expand(-1, -1, both.tokens.shape[2])), value
    )


# ---------------------------------------------------------------- tasks


def perform(
    process: Process,
    task: str,
    sources: Sequence[str],
    width: int = WIDTH,
    penalty: float = PENALTY,
) -> Written:
    """The best target that is found for each source of a task, as `rewrite.performed` writes them.
    Raises ValueError as `search` and `tasks.canvas_of` do."""
    end = process.tokenizer.end_id

    def write(canvas: Canvas) -> tuple[Tensor, int]:
        found = search(process, canvas, end, width, penalty)
        return found.tokens, found.calls

    return rewrite.together(process, task, sources, write)
