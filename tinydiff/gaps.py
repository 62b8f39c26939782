"""A gap of free length: several widths are written, each several times, and of all of them the one
is taken that the model itself thinks likeliest, with what stands around it.

Likeliest is the least bound of a character on everything from the gap on, given what stands before
it: texts of different lengths are compared by what a character of them costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff import runs
from tinydiff.frames import Frame
from tinydiff.measure.evaluate import nats_of
from tinydiff.options import check_number
from tinydiff.processes import Process
from tinydiff.randomness import seeded
from tinydiff.sentences import brief
from tinydiff.text import BLANK, Canvas
from tinydiff.text.canvas import GAP

WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16)  # tokens of a gap
MOST = 64  # tokens of a gap, and texts of a width
DRAWS, BATCH = 16, 16  # noisings of a text for its bound, and texts at once


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
    width. Raises ValueError, in one sentence, before anything is written, where there is not one
    gap, and for settings that no run can have."""
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
    begun = []
    for width in widths:
        here = {"template": template.replace(GAP, BLANK * width), "until": "length"}
        asked = runs.request({**settings, **here}, process)
        asked = replace(asked, canvas=asked.canvas.repeated(each))
        begun.append((width, asked.canvas, asked.frames()))  # which raises where it cannot be run
    return filled(process, begun, draws)


def filled(
    process: Process, begun: Sequence[tuple[int, Canvas, Iterator[Frame]]], draws: int
) -> Iterator[Candidate]:
    """Candidates of checked runs: their widths, canvases and frames."""
    for width, canvas, frames in begun:
        *_, frame = frames
        first = int((~canvas.given[0]).nonzero()[0])  # column of the gap
        bits = bits_from(process, frame.tokens, first, draws)
        for row, value in zip(frame.tokens, bits.tolist()):
            inside, whole = (
                process.tokenizer.decode(part) for part in (row[first : first + width], row)
            )
            yield Candidate(width, inside, whole, value)


def bits_from(process: Process, tokens: Tensor, first: int, draws: int) -> Tensor:
    """The bound of a character on texts (B, L) from column `first` on, given what stands before it,
    (B,); with the same noise for all of one length."""
    given = (torch.arange(tokens.shape[1]) < first).expand(tokens.shape)
    known = Canvas(tokens, given)
    nats = nats_of(process, known, draws, BATCH, seeded(0))
    return nats / known.characters(process.tokenizer).clamp_min(1) / math.log(2)


def bits_behind(process: Process, text: str, start: int, draws: int = DRAWS) -> float:
    """The same of a text from its character `start` on."""
    ids, first = (
        process.tokenizer.encode(text),
        len(process.tokenizer.encode(text[:start].rstrip())),
    )
    return bits_from(process, ids[None], min(first, len(ids) - 1), draws).item()


def best(found: Sequence[Candidate]) -> Candidate:
    """The likeliest."""
    return min(found, key=lambda one: one.bits)
