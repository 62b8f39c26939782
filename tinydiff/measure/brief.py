"""A short evaluation of a checkpoint, for the card that it is pushed with: a minute or so on two
cores (71 s of one core for a `small` model of Tiny Shakespeare).

The figures of `evaluate.run`, of less: the bound on some of the held-out text with few noisings,
few texts, of the first sampler alone, no temperatures, no sizes of blocks.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from tinydiff import rewrite
from tinydiff.measure import evaluate, tasking
from tinydiff.measure.evaluate import Judged
from tinydiff.nets.precision import auto_is_fp32
from tinydiff.processes import Process
from tinydiff.randomness import seeded
from tinydiff.samplers import SAMPLERS, column
from tinydiff.store import checkpoint
from tinydiff.text import Canvas, Corpus, Documents, Tasks, paired, pairs

WINDOWS, DRAWS = 128, 4  # of held-out text at the most, and noisings of each
TEXTS, NOISED = 8, 8  # written for a figure; windows of which the loss is measured over noise
COUNTS = (8, 32, 128)  # steps
PAIRS, RUNS = 32, 12  # lines that are rewritten, and runs of the usual steps that this takes, about
COPYING = 1.2e-9  # seconds to look one character up in one that was learned, about


def run(folder: Path, corpus: Corpus | Tasks) -> dict:
    """Evaluate a checkpoint briefly, and write evaluation.json and the card, as `evaluate.run`
    does, which raises the same."""
    return evaluate.recorded(Path(folder), corpus, lambda process: measured(process, corpus))


def measured(process: Process, corpus: Corpus | Tasks) -> dict:
    if isinstance(corpus, Tasks):
        return tasking.measured(process, corpus, tasking.BRIEF) | {"brief": True}
    found = of_task(process, corpus) if process.task else of_texts(process, corpus)
    return found | {"brief": True}


def of_task(process: Process, corpus: Corpus) -> dict:
    """The evaluation of a process that rewrites."""
    data = pairs(corpus, process.task, process.length)
    bounds = (
        evaluate.bound_over(
            process,
            paired(rewrite.evenly(rows, WINDOWS), data.tokenizer),
            DRAWS,
            consecutive=False,
        )
        for rows in (data.valid, data.train)
    )
    heldout, seen = (found.row() for found in bounds)
    told = rewrite.measured(process, data, PAIRS)
    return dict(corpus=corpus.name, bound=heldout, train_bound=seen, **told)


def of_texts(process: Process, corpus: Corpus) -> dict:
    """The evaluation of a process that writes plain text."""
    lexicon, settings = evaluate.vocabulary(process, corpus), evaluate.settings_for(process)
    quality: Judged = partial(evaluate.judged, process=process, lexicon=lexicon)
    heldout, seen = evaluate.bounds(process, beginning(process, corpus), DRAWS)
    windows = evaluate.some_of(process, corpus, TEXTS)
    real = [corpus.tokenizer.decode(canvas.tokens[0]) for canvas in windows]
    texts, _ = evaluate.samples(process, batch=TEXTS, **settings)
    rows = [evaluate.point(process, quality, *one, TEXTS) for one in points(process)]
    counted, learned = SAMPLERS[column(process)[0]].steps_matter, corpus.text
    return dict(
        corpus=corpus.name,
        bound=heldout.row(),
        train_bound=seen.row(),
        levels=evaluate.loss_over_noise(process, windows[:NOISED]),
        letters=evaluate.LETTERS,
        outside="",
        real=asdict(quality(real)),
        yardsticks=evaluate.yardsticks(corpus, process.length, lexicon),
        texts=TEXTS,
        along=TEXTS,
        default={**settings, **asdict(quality(texts))},
        longest_copy=max(evaluate.longest_copy(text, learned) for text in texts),
        real_longest_copy=max(evaluate.longest_copy(text, learned) for text in real),
        steps=rows if counted else [],
        single=[] if counted else rows,
        temperatures=[],
        samples=texts[:4],
    )


def points(process: Process) -> list[tuple[str, int]]:
    """(sampler, steps) at which texts are measured: the first sampler's."""
    name = column(process)[0]
    canvas = Canvas.blank(process.length or 256)
    chosen = SAMPLERS[name]
    counts = chosen.different(process, canvas, COUNTS) if chosen.steps_matter else (1,)
    return [(name, n) for n in counts]


def beginning(process: Process, corpus: Corpus) -> Corpus:
    """The corpus with the first of its held-out text alone, about WINDOWS windows; documents stay
    whole."""
    if not (process.ends and corpus.ended):
        return replace(corpus, valid=corpus.valid[: WINDOWS * process.length])
    windows = Documents(corpus, process.length).valid
    if len(windows.start) <= WINDOWS:
        return corpus
    first = int((windows.document == windows.document[WINDOWS]).nonzero()[0, 0]) or WINDOWS
    return replace(corpus, valid=corpus.valid[: int(windows.start[first])])


# ---------------------------------------------------------------- how long it takes


def seconds(folder: Path, corpus: Corpus | Tasks) -> float:
    """About how long `run` takes here, from the time of one call of the network."""
    process = checkpoint.load(Path(folder))
    length = process.length or 256
    with auto_is_fp32():
        call = timed(process, length)
    if isinstance(corpus, Tasks):
        return call / TEXTS / length * tasking.tokens(corpus, tasking.BRIEF)
    if process.task:
        return call * PAIRS / TEXTS * RUNS * rewrite.USUAL
    steps = evaluate.settings_for(process)["steps"] + sum(n for _, n in points(process))
    rows = min(WINDOWS, len(corpus.valid) // length) * DRAWS + evaluate.SEEN
    noised = evaluate.LEVELS * NOISED
    copied = 2 * TEXTS * length * (1 if process.tokenizer.one_way else evaluate.PIECE)
    return call * (steps + (rows + noised) / TEXTS) + COPYING * copied * len(corpus.text)


@torch.no_grad()
def timed(process: Process, length: int) -> float:
    """Seconds of a call for TEXTS texts, the second of two."""
    canvas = Canvas.blank(length, TEXTS)
    x, t = process.noise.prior(canvas, seeded(0)), canvas.time(1.0)
    for _ in range(2):
        begun = time.perf_counter()
        process.denoise(x, t)
        took = time.perf_counter() - begun
    return took
