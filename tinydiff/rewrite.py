"""Rewriting: a source is given, a target is written beside it (DiffuSeq, arXiv:2210.08933); how,
and how well.

The source stands in the first half of the canvas and is never noised; the target is written in the
second, up to its first END (text.py). What follows the END is written like everything else, so that
the network may decide the length anywhere, and is not read. How well: characters to change
(Levenshtein) and lines without a fault, beside the source as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff import uncertainty
from tinydiff.frames import Frame
from tinydiff.generate import check_number, generate
from tinydiff.processes import Process
from tinydiff.samplers import SAMPLERS, column
from tinydiff.sentences import brief, table
from tinydiff.text import Canvas, Pairs, Tasks, Tokenizer, ended, halves, paired
from tinydiff.text.pairs import end_of
from tinydiff.text.tasks import canvas_of as canvas_of_task
from tinydiff.text.tasks import names_of, source_room, written

STEPS = (1, 2, 4, 8, 16, 32, 64)
USUAL = 32  # steps
PREVIEW = 16  # steps of what training shows of several tasks
SURER = 0.5  # a temperature: of what is nearly determined, the likelier is the better
SEEDS, MOST = 5, 8  # candidates, and the most of them
TOGETHER = 64  # rows of several tasks that are written at once
PAIRS, SHOWN = 200, 12  # of an evaluation: pairs, and those that it shows
USE = 'print(tinydiff.rewrite.write(process, ["to be or not to be that is the question"])[0])'


# ---------------------------------------------------------------- writing


def canvas_of(tokenizer: Tokenizer, sources: Sequence[str], length: int) -> Canvas:
    """Sources given in the first half of windows of `length`, the second half open.

    Raises ValueError, in one sentence, for a source that is empty, too long, or has characters that
    the model does not know.
    """
    room = length // 2 - 1
    if not sources:
        raise ValueError("There is nothing to rewrite: give a line of words.")
    for source in sources:
        if not source.strip():
            raise ValueError("There is nothing to rewrite: give a line of words.")
        if (taken := len(tokenizer.encode(source))) > room:
            raise ValueError(
                f"The words have {taken} {tokenizer.unit} and there is room for {room}: give fewer."
            )
    source = halves(tokenizer, sources, length)
    return paired(torch.cat([source, torch.full_like(source, end_of(tokenizer))], 1), tokenizer)


def targets(tokenizer: Tokenizer, tokens: Tensor) -> list[str]:
    """What is written in the second halves of windows (B, L), up to its END."""
    return [ended(tokenizer.decode(row)) for row in tokens[:, tokens.shape[1] // 2 :]]


def write(
    process: Process,
    sources: Sequence[str],
    sampler: str | None = None,
    steps: int = USUAL,
    seed: int = 0,
    temperature: float = 1.0,
) -> list[str]:
    """A target for each source. Raises ValueError as `canvas_of` and `generate` do."""
    canvas = canvas_of(process.tokenizer, sources, process.length)
    *_, frame = generate(
        process, canvas, sampler=sampler, steps=steps, seed=seed, temperature=temperature
    )
    return targets(process.tokenizer, frame.tokens)


def perform(
    process: Process,
    task: str,
    sources: Sequence[str],
    sampler: str | None = None,
    steps: int = USUAL,
    seed: int = 0,
    temperature: float = 1.0,
) -> list[str]:
    """A target for each source of a task, by a network that learned several (text/tasks.py). Raises
    ValueError as `tasks.canvas_of` and `generate` do."""
    return performed(process, task, sources, sampler, steps, seed, temperature).texts


class Written(NamedTuple):
    """Targets, and how many calls of the network each took, in the mean."""

    texts: list[str]
    calls: float


def performed(
    process: Process,
    task: str,
    sources: Sequence[str],
    sampler: str | None = None,
    steps: int = USUAL,
    seed: int = 0,
    temperature: float = 1.0,
) -> Written:
    """`perform`, with what it took."""

    def write(canvas: Canvas) -> tuple[Tensor, int]:
        frames = generate(
            process, canvas, sampler=sampler, steps=steps, seed=seed, temperature=temperature
        )
        with closing(frames):
            for frame in frames:
                if is_over(process, frame):
                    break
        return frame.tokens, frame.calls

    return together(process, task, sources, write)


def is_over(process: Process, frame: Frame) -> bool:
    """Is nothing left to write that is read? From left to right that is so where every text has its
    END; else it is known at the last step."""
    if "causal" not in process.traits:
        return False
    ends = (frame.tokens == process.tokenizer.end_id) & ~frame.given
    return bool(ends.any(1).all())


def together(
    process: Process,
    task: str,
    sources: Sequence[str],
    write: Callable[[Canvas], tuple[Tensor, int]],
) -> Written:
    """What is written for the sources of a task. write: the tokens of a canvas, and the calls that
    they took; it gets sources that take the same room, at most TOGETHER of them."""
    if not sources:
        raise ValueError("There is nothing to write from: give a source of some words.")
    groups: dict[int, list[int]] = defaultdict(list)
    for i, source in enumerate(sources):
        groups[source_room(len(process.tokenizer.encode(source.strip())))].append(i)
    parts = [
        group[k : k + TOGETHER] for group in groups.values() for k in range(0, len(group), TOGETHER)
    ]
    found, calls = [""] * len(sources), 0
    for some in parts:
        canvas = canvas_of_task(process.tokenizer, task, [sources[i] for i in some], process.length)
        tokens, took = write(canvas)
        calls += took * len(some)
        for i, text in zip(some, written(process.tokenizer, canvas, tokens)):
            found[i] = text
    return Written(found, calls / len(sources))


def task_of(process: Process, asked: str = "") -> str:
    """The task of a network that learned several which is asked for, or its only one; "" where the
    network restores lines and knows no others. Raises ValueError, in one sentence, for a task that
    it has not, and where none is named of several."""
    names = names_of(process.task)
    if asked in names or (not names and asked in ("", process.task)):
        return asked if names else ""
    if not asked and len(names) == 1:
        return names[0]
    known = ", ".join(names or [process.task])
    if not asked:
        raise ValueError(f"This model has several tasks: name one of {known}.")
    raise ValueError(f"There is no task {brief(asked)} in this model; there are {known}.")


def page_of_tasks(process: Process, data: Tasks) -> str:
    """A validation pair of each task with what the model writes for it: the sample that training
    shows."""
    firsts = {task: source for task, source, _ in reversed(data.rows["valid"])}
    return "\n".join(
        f"<{task}> {source} -> {perform(process, task, [source], steps=PREVIEW)[0]}"
        for task, source in sorted(firsts.items())
    )


def usual_sampler(names: Sequence[str]) -> str:
    """The sampler to rewrite with, among those that fit: "confidence" where there is one, because
    the targets are nearly determined by their sources."""
    return "confidence" if "confidence" in names else names[0]


def best(
    process: Process,
    sources: Sequence[str],
    sampler: str | None = None,
    steps: int = USUAL,
    seed: int = 0,
    temperature: float = SURER,
    candidates: int = SEEDS,
    task: str = "",
) -> list[str]:
    """Of `candidates` targets for each source the one that is nearest to the others. task: of a
    network that learned several. Raises as `write` or `perform` does."""
    check_number("candidates", candidates, 1, MOST, whole=True)
    again = [source for source in sources for _ in range(candidates)]
    how = (sampler or usual_sampler(column(process)), steps, seed, temperature)
    found = perform(process, task, again, *how) if task else write(process, again, *how)
    groups = [found[i : i + candidates] for i in range(0, len(found), candidates)]
    return [group[mbr(group)] for group in groups]


def page(process: Process, data: Pairs, lines: int = 6) -> str:
    """Some sources of the validation pairs with what the model writes for them: the sample that
    training shows."""
    sources, _ = data.texts(evenly(data.valid, lines))
    return "\n".join(
        f"{source} -> {written}" for source, written in zip(sources, write(process, sources))
    )


def evenly(rows: Tensor, count: int) -> Tensor:
    """`count` rows at equal distances; all rows where there are fewer."""
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows))).long()]


# ---------------------------------------------------------------- how well


def distance(one: str, other: str) -> int:
    """The Levenshtein distance: the fewest insertions, deletions and substitutions of characters,
    row by row of the table (Wagner and Fischer 1974)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def character_error_rate(written: Sequence[str], truth: Sequence[str]) -> float:
    """Edits over all texts, divided by the number of characters of the truth; can be above 1."""
    return sum(map(distance, written, truth)) / max(1, sum(map(len, truth)))


def exact_match(written: Sequence[str], truth: Sequence[str]) -> float:
    """The share of texts that equal the truth."""
    return sum(a == b for a, b in zip(written, truth)) / max(1, len(truth))


def risks(candidates: Sequence[str]) -> list[float]:
    """The mean distance of each candidate to the others; 0 where there are none."""
    others = max(1, len(candidates) - 1)
    return [sum(distance(one, other) for other in candidates) / others for one in candidates]


def mbr(candidates: Sequence[str]) -> int:
    """Which candidate is nearest to all others, the first of those that tie: minimum Bayes risk
    (DiffuSeq, section 4), with the edit distance as the loss.
    """
    found = risks(candidates)
    return found.index(min(found))


def score(written: Sequence[str], truth: Sequence[str]) -> dict:
    return dict(cer=character_error_rate(written, truth), exact=exact_match(written, truth))


def measured(process: Process, data: Pairs, pairs: int = PAIRS) -> dict:
    """Measurements over as many validation pairs: the source left as it is; the first sampler at
    every number of steps; others at the usual number; and minimum Bayes risk among candidates, as
    on the page, beside the mean of the candidates."""
    sources, truth = data.texts(evenly(data.valid, pairs))
    sampler = column(process)[0]
    counts = STEPS if SAMPLERS[sampler].steps_matter else (1,)
    steps = [dict(steps=n, **score(write(process, sources, sampler, n), truth)) for n in counts]
    others = [
        dict(
            sampler=name,
            temperature=t,
            steps=USUAL,
            **score(write(process, sources, name, temperature=t), truth),
        )
        for name in ("ancestral", "confidence", "left_to_right")
        if name in column(process)
        for t in (1.0, SURER)
        if (name, t) != (sampler, 1.0)
    ]
    candidates = list(
        zip(*[write(process, sources, sampler, USUAL, seed, SURER) for seed in range(SEEDS)])
    )
    chosen = [some[mbr(some)] for some in candidates]
    alone = [score(written, truth) for written in zip(*candidates)]
    mean = {f"{name}_of_one": sum(row[name] for row in alone) / SEEDS for name in ("cer", "exact")}
    shown = [dict(source=s, written=w, truth=t) for s, w, t in zip(sources, chosen, truth)]
    return dict(
        task=data.task,
        pairs=len(truth),
        sampler=sampler,
        copy=score(sources, truth),
        steps=steps,
        others=others,
        mbr=dict(steps=USUAL, temperature=SURER, seeds=SEEDS, **score(chosen, truth), **mean),
        samples=shown[:: -(-len(shown) // SHOWN)],
    )


# ---------------------------------------------------------------- the card


def measurements(result: dict) -> list[str]:
    """What `measured` found, and the bound, as lines of a card."""
    heldout, seen = (
        uncertainty.written(bound["nats"], bound["error"])
        for bound in (result["bound"], result["train_bound"])
    )
    how = (
        ", of the last 10 % by blocks of consecutive lines"
        if result["bound"].get("each")
        else " of lines taken for independent"
    )
    return [
        "",
        f"Bound on the lines of the last 10 %: **{heldout} nats** a character, over "
        f"{result['bound']['windows']} lines; on lines it was trained on {seen} nats. "
        f"Errors are standard errors{how}.",
        "",
        f"Over {result['pairs']} of these lines, at temperature 1 where no other is named "
        "(character errors: characters to change over characters of the truth):",
        "",
        *table("| steps | character errors | lines without a fault", *faults(result)),
        "",
        "Source, what was written, truth:",
        "",
        "```",
        *(f"{row['source']}\n{row['written']}\n{row['truth']}\n" for row in result["samples"]),
        "```",
    ]


def faults(result: dict) -> list[str]:
    """Rows of a table: who wrote, steps, character errors, lines without a fault."""
    choice = result["mbr"]
    one = dict(cer=choice["cer_of_one"], exact=choice["exact_of_one"])
    surer = f"candidates of temperature {choice['temperature']:g}"
    rows = [
        *((result["sampler"], row["steps"], row) for row in result["steps"]),
        *(
            (f"{row['sampler']}, temperature {row['temperature']:g}", row["steps"], row)
            for row in result["others"]
        ),
        (f"one of {choice['seeds']} {surer}, on average", choice["steps"], one),
        ("the one of them that is nearest to the others", choice["steps"], choice),
    ]
    return [
        f"the source as it is | | {table_cells(result['copy'])}",
        *(f"{who} | {steps} | {table_cells(row)}" for who, steps, row in rows),
    ]


def table_cells(row: dict) -> str:
    return f"{100 * row['cer']:.1f} % | {100 * row['exact']:.0f} %"
