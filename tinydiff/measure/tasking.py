"""How well a network of several tasks writes: the bound by task, and BLEU and chrF of what it
writes for held-out sources.

Of each task, in the order of the file:

    drawn     at the usual steps, and along the steps, at temperature SURER
    greedy    at temperature 0
    beam      of an autoregressive network (measure/beam.py)
    nearest   of CANDIDATES the one that is nearest to the others: minimum Bayes risk
    eight     seeds: how many of the texts differ, and how alike they are

Beside them, without a network: the source as it is, since a copy is no paraphrase, and the truth of
another source, which is what chance reaches. A source that has several targets in the held-out file
stands once, with all of them as its truths. Of sentences to translate those with WORDS words on
their English side are taken. Errors are over sources.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from tinydiff import rewrite, uncertainty
from tinydiff.generate import check_sampler
from tinydiff.measure import beam, evaluate, scores
from tinydiff.measure.evaluate import Bound
from tinydiff.options import check_number
from tinydiff.processes import Process
from tinydiff.randomness import seeded
from tinydiff.rewrite import Written
from tinydiff.samplers import SAMPLERS, column
from tinydiff.sentences import brief
from tinydiff.store import checkpoint
from tinydiff.text import Corpus, Tasks, corpus
from tinydiff.text.gather import LENGTHS
from tinydiff.text.tasks import is_table, names_of, tasks

STEPS, USUAL = (1, 2, 4, 8, 16, 32), 16  # steps along which it is measured, and the usual ones
CANDIDATES, SEEDS = rewrite.SEEDS, 8
WORDS = (4, 12)  # of the English side of what is translated
MOST = 500  # sources of each task that is no translation
TOKENS = 64  # that a source takes with its target: of a task with more, fewer sources are taken
SHOWN = 3  # samples of each task
READ = 2000  # pairs of training that are read of each task
BATCH = 64  # rows of a call for the bound


@dataclass(frozen=True)
class Amount:
    """How much is measured.

    texts:    sentences to translate each way; of other tasks a fourth of them, at most MOST
    along:    sources for each number of steps, of tasks whose rows are long half of them at least;
              0 leaves steps, greedy, beam and seeds out
    held:     held-out pairs of each task for the bound, and as many of training
    draws:    noisings of each
    samplers: along whose steps it is measured; by default the first that fits, and the usual one
    """

    texts: int = 500
    along: int = 64
    held: int = 64
    draws: int = 16
    samplers: tuple[str, ...] = ()


BRIEF = Amount(texts=16, along=0, held=16, draws=4)


def learned_by(folder: str | Path) -> tuple[str, ...]:
    """The tasks that a checkpoint has; () of one that restores or writes plain text, and where
    there is none."""
    try:
        task = checkpoint.read_config(Path(folder)).get("task", "")
    except checkpoint.CheckpointError:
        return ()
    return names_of(task) if isinstance(task, str) else ()


def text_of(folder: str | Path, source: str, **more) -> Corpus | Tasks:
    """What a checkpoint learned from, by the name of a corpus or the file of its pairs, that of
    training or that of validation; of training READ pairs of each task are read. more: of `corpus`.
    Raises ValueError, in one sentence, where a network of tasks is given a text without pairs, and
    as `tasks` and `corpus` do."""
    folder = Path(folder)
    names, cutter = learned_by(folder), checkpoint.cutter(folder)
    if not names:
        return corpus(source, tokenizer=cutter, **more)
    if not is_table(source):
        raise ValueError(
            f"{folder.name!r} learned tasks from pairs, and {brief(source)} is no file of pairs: "
            "give the train.tsv that it learned from."
        )
    shape = checkpoint.check_config(checkpoint.read_config(folder), folder)
    return tasks(source, ",".join(names), cutter, shape["length"], READ)


def run(folder: str | Path, data: Tasks, amount: Amount = Amount()) -> dict:
    """Evaluate a checkpoint of tasks and write evaluation.json and its card, as `evaluate.run`
    does, which raises the same; ValueError without sacrebleu."""
    check(amount)
    scores.library()

    def measure(process: Process) -> dict:
        for name in amount.samplers:
            check_sampler(process, name)
        return measured(process, data, amount)

    return evaluate.recorded(Path(folder), data, measure)


def check(amount: Amount) -> None:
    check_number("texts", amount.texts, 4, 4096, whole=True)
    check_number("along", amount.along, 0, amount.texts, whole=True)
    check_number("draws", amount.draws, 2, 1024, whole=True)


def measured(process: Process, data: Tasks, amount: Amount) -> dict:
    """The bounds, and what is written; without sacrebleu the bounds alone."""
    found = bounds(process, data, amount)
    if not scores.is_there():
        return found
    lines = (lines_of(data, name, amount) for name in data.names)
    each = {some.task: of_task(process, some, amount) for some in lines if some.sources}
    shown = [dict(task=name, **row) for name in each for row in each[name].pop("samples")]
    return dict(**found, tasks=each, samples=shown)


# ---------------------------------------------------------------- the bound


def bounds(process: Process, data: Tasks, amount: Amount) -> dict:
    """The bound on as many held-out pairs of each task, with that of each, and on pairs of
    training."""
    which = held(data, "valid", amount.held)
    heldout = bound(process, data, "valid", which, amount.draws)
    few = max(1, amount.draws // 4)
    trained = bound(process, data, "train", held(data, "train", amount.held), few)
    each = {
        name: one_task(heldout, here)
        for number, name in enumerate(data.names)
        if (here := data.valid.task[which] == number).any()
    }
    return dict(
        corpus=data.name,
        bound=heldout.row(),
        train_bound=trained.row(),
        by_task=each,
    )


def held(data: Tasks, split: str, most: int) -> Tensor:
    """The numbers of the first pairs of each task, (n,)."""
    layout = getattr(data, split)
    each = [(layout.task == number).nonzero()[:, 0] for number in range(len(data.names))]
    return torch.cat([some[: spared(layout.room[some], most)] for some in each])


def spared(rooms: Tensor, most: int) -> int:
    """How many of the rows that take `rooms` tokens, (n,), are measured: at most so many, and no
    more tokens than as many rows of TOKENS have, but one."""
    return max(1, int((rooms[:most].cumsum(0) <= TOKENS * most).sum()))


def bound(process: Process, data: Tasks, split: str, which: Tensor, draws: int) -> Bound:
    """The bound on pairs by their numbers (n,) in one split, nats a character of the target: rows
    of one size together, since what a network sees of the size follows from the source alone."""
    draws, rng = 1 if "causal" in process.traits else draws, seeded(0)
    sizes = getattr(data, split).room[which]
    nats, count = torch.zeros(len(which), dtype=torch.float64), torch.zeros_like(which)
    texts = []
    for size in sizes.unique():
        here = (sizes == size).nonzero()[:, 0]
        canvas = data.canvas(split, which[here])
        nats[here] = evaluate.nats_of(process, canvas, draws, BATCH, rng)
        count[here] = canvas.characters(process.tokenizer)
        texts.append(canvas)
    return evaluate.bound_of(process, nats, texts, count, draws, consecutive=False)


def one_task(whole: Bound, chosen: Tensor) -> dict:
    """The bound on some of the rows, chosen (n,) bool."""
    nats, count = (torch.tensor(part)[chosen] for part in (whole.each, whole.counts))
    mean = uncertainty.mean(nats, count, consecutive=False)
    return dict(nats=mean.value, error=mean.error, pairs=len(nats))


def tokens(data: Tasks, amount: Amount) -> int:
    """About how many tokens a network reads for the bounds, and to write once for each source."""
    noised = sum(
        int(getattr(data, split).room[held(data, split, amount.held)].sum()) * draws
        for split, draws in (("valid", amount.draws), ("train", max(1, amount.draws // 4)))
    )
    each = (len(lines_of(data, name, amount).sources) for name in data.names)
    rooms = (data.valid.room[data.valid.task == k].sum() for k in range(len(data.names)))
    pairs = (max(1, int((data.valid.task == k).sum())) for k in range(len(data.names)))
    return noised + USUAL * sum(n * int(room) // m for n, room, m in zip(each, rooms, pairs))


# ---------------------------------------------------------------- what is written for


@dataclass(frozen=True)
class Lines:
    """Sources of a task that are held out, each with its truths."""

    task: str
    sources: tuple[str, ...]
    truths: tuple[tuple[str, ...], ...]

    def first(self, n: int) -> Lines:
        return replace(self, sources=self.sources[:n], truths=self.truths[:n])

    @property
    def name(self) -> str:
        """A hash: two networks can be compared line by line where it is the same."""
        whole = json.dumps([self.task, self.sources, self.truths])
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def lines_of(data: Tasks, task: str, amount: Amount) -> Lines:
    """The first held-out sources of a task, as many as are to be written for; none where no pair
    fits into the network."""
    truths: dict[str, list[str]] = {}
    for name, source, target in data.rows["valid"]:
        if name == task and fits(task, source, target):
            truths.setdefault(source, []).append(target)
    most = amount.texts if task.startswith("translate-") else min(MOST, amount.texts // 4)
    rooms = data.valid.room[data.valid.task == data.names.index(task)]
    most = max(4, spared(rooms, max(most, amount.along)), amount.along // 2)
    some = dict(islice(truths.items(), most))
    return Lines(task, tuple(some), tuple(map(tuple, some.values())))


def fits(task: str, source: str, target: str) -> bool:
    """Has a sentence to translate WORDS words on its English side? Any other fits."""
    if not task.startswith("translate-"):
        return True
    english = target if task.endswith("-en") else source
    return WORDS[0] <= len(english.split()) <= WORDS[1]


# ---------------------------------------------------------------- how well


def of_task(process: Process, lines: Lines, amount: Amount) -> dict:
    """All that is measured of one task. each: chrF of every source, rounded, by the way."""
    usual = usual_of(process)
    drawn, texts = row(process, lines, "drawn", **usual)
    found, each = [drawn], {"drawn": scores.chrf_each(texts, lines.truths)}
    if amount.along:
        few = lines.first(amount.along)
        found += along(process, few, amount.samplers, usual)
        for way, write in sure_ways(process, usual).items():
            one, better = row(process, lines, way, write=write, **usual | {"temperature": 0.0})
            found.append(one)
            each[way] = scores.chrf_each(better, lines.truths)
    shown = zip(lines.sources, texts, lines.truths)
    return dict(
        lines=len(lines.sources),
        text=lines.name,
        copy=scored(lines.sources, lines),
        chance=scored([truth[0] for truth in (*lines.truths[1:], lines.truths[0])], lines),
        truth_to_source=to_source([truth[0] for truth in lines.truths], lines),
        ways=found,
        seeds=of_seeds(process, few_of(lines, amount.along), usual) if amount.along else {},
        each={way: [round(value) for value in values] for way, values in each.items()},
        samples=[
            dict(source=source, written=text, truth=truth[0])
            for source, text, truth in islice(shown, SHOWN)
        ],
    )


def usual_of(process: Process) -> dict:
    """The settings at which a task is written: steps None where the sampler takes a call for each
    token."""
    name = rewrite.usual_sampler(column(process))
    steps = USUAL if SAMPLERS[name].steps_matter else None
    return dict(sampler=name, steps=steps, temperature=rewrite.SURER)


def along(process: Process, lines: Lines, samplers: Sequence[str], usual: dict) -> list[dict]:
    """Along the steps of each sampler, but for what is measured already."""
    asked = samplers or dict.fromkeys((usual["sampler"], column(process)[0]))
    settings = [
        usual | {"sampler": name, "steps": steps}
        for name in asked
        if SAMPLERS[name].steps_matter
        for steps in STEPS
    ]
    return [row(process, lines, "drawn", **how)[0] for how in settings if how != usual]


def sure_ways(process: Process, usual: dict) -> dict[str, Callable[[Lines], Written] | None]:
    """What seeks the likeliest: greedy, and a beam where the network reads from left to right."""
    if "causal" not in process.traits:
        return {"greedy": None}
    return {
        "greedy": None,
        "beam": lambda lines: beam.perform(process, lines.task, lines.sources),
    }


def row(
    process: Process,
    lines: Lines,
    way: str,
    *,
    write: Callable[[Lines], Written] | None = None,
    **settings,
) -> tuple[dict, list[str]]:
    """One way to write with its settings, its cost and its scores; and the texts."""
    begun = time.perf_counter()
    found = write(lines) if write else performed(process, lines, **settings)
    ms = 1000 * (time.perf_counter() - begun) / len(lines.sources)
    cost = dict(calls=round(found.calls, 1), ms=round(ms, 1), lines=len(lines.sources))
    return dict(way=way, **settings, **cost, **scored(found.texts, lines)), found.texts


def performed(process: Process, lines: Lines, steps: int | None, **settings) -> Written:
    steps = steps or rewrite.USUAL
    return rewrite.performed(process, lines.task, lines.sources, steps=steps, **settings)


def scored(texts: Sequence[str], lines: Lines) -> dict:
    """What texts for all lines score. exact: the share that is a truth; to_source: chrF to the
    source, of a task within one language; fits: the share of summaries that have as many words as
    were asked for; cut: the share of them that stands in the source as it is."""
    chrf = scores.mean(scores.chrf_each(texts, lines.truths))
    words = scores.bleu(texts, lines.truths)
    exact = scores.mean([text in truths for text, truths in zip(texts, lines.truths)])
    found = dict(
        chrf=chrf.value,
        chrf_error=chrf.error,
        chrf_whole=scores.chrf_whole(texts, lines.truths),
        bleu=words.value,
        bleu_error=words.error,
        exact=exact.value,
        exact_error=exact.error,
    )
    if not lines.task.startswith("translate-"):
        found |= dict(to_source=to_source(texts, lines))
    asked, _, length = lines.task.partition("-")
    if asked == "summarise" and length in LENGTHS:
        (low, high), pairs = LENGTHS[length], list(zip(texts, lines.sources))
        found |= dict(
            fits=scores.mean([low <= len(text.split()) <= high for text in texts]).value,
            cut=scores.mean([bool(text) and text in one for text, one in pairs]).value,
        )
    return found


def to_source(texts: Sequence[str], lines: Lines) -> float:
    """The mean chrF of texts to their sources."""
    return scores.mean(scores.chrf_each(texts, [[one] for one in lines.sources])).value


# ---------------------------------------------------------------- several seeds


def few_of(lines: Lines, along: int) -> Lines:
    """Of what is translated half as many as along the steps, of other tasks an eighth, but 8, of
    which SEEDS seeds are 64 texts."""
    part = 2 if lines.task.startswith("translate-") else 8
    return lines.first(min(along, max(8, along // part)))


def of_seeds(process: Process, lines: Lines, usual: dict) -> dict:
    """SEEDS texts for each source: how many of them differ, how alike they are, and, of the first
    CANDIDATES, the mean and the one that is nearest to the others, with what it gains."""
    again = replace(
        lines,
        sources=tuple(source for source in lines.sources for _ in range(SEEDS)),
        truths=tuple(truths for truths in lines.truths for _ in range(SEEDS)),
    )
    texts = performed(process, again, **usual).texts
    groups = [texts[i : i + SEEDS] for i in range(0, len(texts), SEEDS)]
    some = [group[:CANDIDATES] for group in groups]
    chosen = [group[rewrite.mbr(group)] for group in some]
    one = [
        sum(scores.chrf_each(group, [truths] * CANDIDATES)) / CANDIDATES
        for group, truths in zip(some, lines.truths)
    ]
    nearest = scores.chrf_each(chosen, lines.truths)
    values = dict(
        one=scores.mean(one),
        nearest=scores.mean(nearest),
        gain=scores.mean([a - b for a, b in zip(nearest, one)]),
        distinct=scores.mean([len(set(group)) / SEEDS for group in groups]),
        alike=scores.mean([scores.alike(group) for group in groups]),
    )
    told = {name: value.value for name, value in values.items()}
    errors = {f"{name}_error": value.error for name, value in values.items()}
    return dict(lines=len(lines.sources), **usual, **told, **errors)
