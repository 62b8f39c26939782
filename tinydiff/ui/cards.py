"""A text as a card: in pieces, with what it cost and how good it is.

Of a trained model it is judged by others; of a perfect network many texts are written, and measured
exactly against its language.
"""

from __future__ import annotations

from dataclasses import replace

from tinydiff.endings import read_of, texts_of
from tinydiff.exact import bigram_divergence
from tinydiff.frames import Frame
from tinydiff.measure import evaluate
from tinydiff.measure.sense import slips
from tinydiff.processes import Process
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.text import Canvas
from tinydiff.ui.request import LIMITS, OPENING, frames
from tinydiff.ui.session import Job
from tinydiff.ui.writing import measure_of

# for the divergence: enough characters that the curve stands clear of its floor
PERFECT_TEXTS = 64
PERFECT_LENGTH = 128  # characters of each


def is_perfect(key: str) -> bool:
    return key.startswith(catalogue.PERFECT)


def length(model: Model, process: Process) -> int:
    """Of the texts: the opening's, if the network sees as much at once."""
    low, high = LIMITS["length"][0], OPENING["length"]
    return PERFECT_LENGTH if is_perfect(model.key) else min(max(low, process.length), high)


def many(request: Request) -> Request:
    """Of a perfect network as many texts as its divergence is measured on."""
    if not is_perfect(request.settings["model"]):
        return request
    prompt, tokenizer = request.settings["prompt"], request.process.tokenizer
    canvas = Canvas.prompt(tokenizer, prompt, PERFECT_LENGTH, batch=PERFECT_TEXTS)
    return replace(request, canvas=canvas)


def card(request: Request, job: Job) -> dict:
    """One number of steps, as `many` made it: the text, what it cost and how good it is; {} where
    the job ended before it was done."""
    settings, process = request.settings, request.process
    *_, frame = frames(request, job)
    if job.ended or job.replaced:
        return {}
    written = texts_of(process, frame)[0]
    found = dict(
        sampler=settings["sampler"],
        steps=settings["steps"] if SAMPLERS[settings["sampler"]].steps_matter else None,
        calls=frame.calls,
        ms=1000 * frame.seconds,
        pieces=pieces(read_of(process, frame)[0], process),
    )
    exact = is_perfect(settings["model"])
    return found | (exact_quality(frame) if exact else judged_quality(written, process))


def exact_quality(frame: Frame) -> dict:
    return dict(
        divergence=bigram_divergence(frame.tokens, catalogue.bigrams()), texts=PERFECT_TEXTS
    )


def judged_quality(written: str, process: Process) -> dict:
    quality = evaluate.judged([written], process)
    return dict(
        bits=quality.bits, words=quality.words, measure=measure_of(written, process, quality)
    )


def pieces(written: str, process: Process) -> list[list]:
    """The text in pieces, each with whether it may be read: False for slips (measure/sense.py)."""
    found, last = [], 0
    for begin, end in slips(written, process):
        found += [[written[last:begin], True], [written[begin:end], False]]
        last = end
    return [piece for piece in [*found, [written[last:], True]] if piece[0]]
