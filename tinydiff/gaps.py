"""A gap of free length: several widths are written, each several times, and of all of them the one
is taken that the model itself thinks likeliest, with what stands around it.

Likeliest is the least bound of a character on everything from the gap on, given what stands before
it: texts of different lengths are compared by what a character of them costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff import runs
from tinydiff.measure.evaluate import nats_of
from tinydiff.options import check_number
from tinydiff.processes import Process
from tinydiff.randomness import seeded
from tinydiff.runs import Request
from tinydiff.sentences import brief
from tinydiff.text import BLANK, Canvas
from tinydiff.text.canvas import GAP

WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16)  # tokens of a gap
MOST = 64  # tokens of a gap, and texts of a width
DRAWS, BATCH = 16, 16  # noisings of a text for its bound, and texts at once
SEEDS = 2**31


class Candidate(NamedTuple):
    """A text whose gap is filled. inside: what stands in the gap; bits: of a character from there
    on."""

    width: int
    inside: str
    text: str
    bits: float


def candidates(
    settings: Mapping,
    process: Process,
    widths: Sequence[int] = WIDTHS,
    each: int = 4,
    draws: int = DRAWS,
) -> Iterator[Candidate]:
    """All candidates for the gap (GAP) in the template of complete or incomplete settings, width by
    width. Raises ValueError as `requests` does."""
    asked = requests(settings, lambda whole: runs.request(whole, process), widths, each)
    return (written(request, draws) for request in asked)


def requests(
    settings: Mapping,
    read: Callable[[dict], Request],
    widths: Sequence[int] = WIDTHS,
    each: int = 4,
) -> list[Request]:
    """The runs that write the candidates, each from its own settings, as a template of blanks and
    with a seed of its own: `each` of every width, without widths at which they cannot be run, as
    where the rules need more room. read: checks settings. Raises ValueError, in one sentence, where
    there is not one gap, and where no width can be run."""
    template = settings.get("template") or ""
    if (found := template.count(GAP)) != 1:
        raise ValueError(
            f"The text {brief(template)} has {found or 'no'} gaps: write one {GAP} where words of "
            "any length are to stand."
        )
    if not widths:
        raise ValueError("No width of the gap is named: name one, as 4 or 2,4,8.")
    for name, values in (("a width", widths), ("texts of a width", [each])):
        for value in values:
            check_number(name, value, 1, MOST, whole=True)
    asked, refused = [], []
    for width in widths:
        here = {"template": template.replace(GAP, BLANK * width), "until": "length"}
        try:
            first = read({**settings, **here})
            first.frames()  # which raises where it cannot be run
        except ValueError as error:
            refused.append(error)
            continue
        seed = first.settings["seed"]
        seeds = [{"seed": (seed + k) % SEEDS} for k in range(each)]
        asked += [replace(first, settings=first.settings | one) for one in seeds]
    if not asked:
        raise refused[0]
    return asked


def written(request: Request, draws: int = DRAWS) -> Candidate:
    """The candidate of a run."""
    *_, frame = request.frames()
    return judged(request, frame.tokens, draws)


def judged(request: Request, tokens: Tensor, draws: int = DRAWS) -> Candidate:
    """The candidate of a run that wrote these tokens, (1, L)."""
    process, canvas = request.process, request.canvas
    places = (~canvas.given[0]).nonzero()[:, 0]
    first, last = int(places[0]), int(places[-1])
    known = canvas.with_written(tokens, ~canvas.given)
    before = (torch.arange(canvas.given.shape[1]) < first).expand_as(canvas.given)
    known = replace(known, given=before)
    (row,) = tokens
    inside, whole = map(process.tokenizer.decode, (row[first : last + 1], row))
    return Candidate(len(places), inside, whole, bits_of(process, known, draws))


def bits_of(process: Process, known: Canvas, draws: int) -> float:
    """The bound of a character on what is open of a known text, (1, L); with the same noise
    for all of one length."""
    nats = nats_of(process, known, draws, BATCH, seeded(0))
    return (nats / known.characters(process.tokenizer).clamp_min(1) / math.log(2)).item()


def bits_behind(process: Process, text: str, start: int, draws: int = DRAWS) -> float:
    """The same of a text from its character `start` on."""
    ids, before = (process.tokenizer.encode(part) for part in (text, text[:start].rstrip()))
    first = min(len(before), len(ids) - 1)
    given = (torch.arange(len(ids)) < first)[None]
    return bits_of(process, Canvas(ids[None], given), draws)


def best(found: Sequence[Candidate]) -> Candidate:
    """The likeliest."""
    return min(found, key=lambda one: one.bits)
