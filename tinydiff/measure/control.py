"""Control: how well texts keep what is asked of them, how good they are, and what it costs (the
table of Diffusion-LM, arXiv:2205.14217).

Each task is asked of every bundled model of stories in two ways: with the rule, which holds by
construction, and without it, where texts are written until one keeps it (rejection). The
autoregressive model with the rule is constrained decoding, token by token. Whether a text keeps a
rule is told by Python's own expressions, which know no automata; whether it is sad by the lexicon
that its labels are made of. More tables are measured here: labels with guidance, classifiers at
several weights, runs that end early (guides/stable.py), and slips that are found and mended
(slips.py).

`python -m tinydiff control` writes assets/recorded/control.json, a cell a line; a cell that was
measured with the same weights, judge and settings is kept. A text is LENGTH tokens at the most; the
judge's bits are of texts with a rule, or of those without that keep it. The share of different
groups of words falls with the amount of text, so it is of TOGETHER texts each, and a mean of those.
"""

from __future__ import annotations

import copy
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff import uncertainty
from tinydiff.endings import texts_of
from tinydiff.files import write_text
from tinydiff.generate import generate
from tinydiff.guides.pattern import asked
from tinydiff.measure import slips
from tinydiff.measure.evaluate import distinct_words
from tinydiff.nets.precision import is_bf16
from tinydiff.paths import ASSETS
from tinydiff.processes import Process
from tinydiff.runs import DEFAULTS
from tinydiff.sentences import brief
from tinydiff.store import catalogue, checkpoint
from tinydiff.text import Canvas, blanks, labels
from tinydiff.train.loop import hardware
from tinydiff.uncertainty import Mean

RECORDED = ASSETS / "recorded" / "control.json"
MINUTES = 45  # that all of it takes on one core of a machine with AMX
LENGTH, LOOKS, TEMPERATURE = 96, 32, DEFAULTS["temperature"]
TOGETHER = 8  # texts that are written at once: the bets on more leave a processor's cache
GROUP, WORDS = 8, 4  # texts among which groups of so many words are counted
TRIES = 16  # texts of which rejection takes the first that fits
READ = 64  # texts that the judge reads of a cell, at the most
CORPUS = "tinystories"
# texts of a cell with a rule, and without one, as fast as a process writes; of the others FEW
FAST, SLOW, FEW = (32, 128), (16, 32), (8, 16)
MANY = {"autoregressive": (64, 256), "block": FAST, "masked": FAST}
MANY |= {"uniform": SLOW, "gaussian": SLOW}
MOODS = {"masked": 32, "gaussian": 24}  # texts of a cell with a label
MOOD = "sad"
GUIDED = (0.0, 1.0, 2.0, 4.0)  # guidance at which labels are measured
SURE = 0.005  # nats a token below which a run may end
GAP = "Once upon a time, there was a little girl named Lily.{} Lily and her mom went home."
WIDTH = 40  # tokens of the gap
EARLY_TEXTS = 64
PUSHED = {"masked": 32, "gaussian": 24, "uniform": 24}  # texts of a cell with a classifier
PUSHES = (1.0, 2.0, 4.0, 8.0, 16.0)  # its weights
OWN_STEPS = 3  # along the gradient a step (Diffusion-LM), of real-valued noise
SLIPPED = 16  # true texts that are damaged, the shortest
TOY = 150  # characters of one in a quick look
DOUBTED_BY = ("bets", "head")
HEAD = "stories"
# who is measured ending early: a process, and its sampler
EARLY = (
    *(("masked", name) for name in ("ancestral", "remask", "gibbs", "settle")),
    *((process, name) for process in ("uniform", "gaussian") for name in ("ancestral", "settle")),
)


# (settings, a model of masks, a head that doubts or None, a text) -> (start, stop, new, ...) of
# each stretch that was opened, with the text as it is then
Mend = Callable[..., Iterator[tuple[tuple, str]]]


@dataclass(frozen=True)
class Task:
    """What is asked of a text: in words, as options of the guide `pattern`, and perhaps around a
    gap that is to be filled."""

    name: str
    said: str
    rule: Mapping[str, str]
    gap: bool = False

    def keeps(self, text: str) -> bool:
        """Does a text have it?"""
        return all(re.fullmatch(one, text) for _, one in asked(**self.rule))


TASKS = (
    Task("dragon", "has the word dragon", dict(contains="dragon")),
    Task("three", "has dragon, cake and sorry", dict(contains="dragon, cake, sorry")),
    Task("noe", "has no letter e", dict(no_letters="e")),
    Task("sentences", "is three sentences", dict(exactly="3 sentences")),
    Task("begins", "every sentence begins with She or He", dict(each_begins="She, He")),
    Task("ends", "ends with “The end.”", dict(ends_with="The end.")),
    Task("gap", "a gap is filled, with the word dragon", dict(contains="dragon"), gap=True),
)


# ---------------------------------------------------------------- writing and reading


@dataclass(frozen=True)
class Written:
    """Texts, and what one of them cost: calls of the network, and milliseconds of a core, which are
    the same whatever else a machine does."""

    texts: list[str]
    calls: int
    ms: float


def canvas_for(process: Process, gap: bool, batch: int) -> Canvas:
    """A blank canvas, or the one with the gap."""
    if gap:
        blank = " " + blanks(process.tokenizer)[-1]
        return Canvas.template(process.tokenizer, GAP.format(blank * WIDTH), batch)
    return Canvas.blank(LENGTH, batch)


def write(
    process: Process, canvas: Callable[[int], Canvas], n: int, seed: int = 0, **how
) -> Written:
    """n texts on canvases (of a number of rows), TOGETHER at once, each by the process's first
    sampler unless `how` names one. Raises ValueError as `generate` does."""
    texts, calls, began = [], 0, time.process_time()
    for first in range(0, n, TOGETHER):
        rows = canvas(min(TOGETHER, n - first))
        *_, frame = generate(process, rows, seed=seed + first, **settings() | how)
        texts += texts_of(process, frame)
        calls = max(calls, frame.calls)
    return Written(texts, calls, 1000 * (time.process_time() - began) / n)


def settings() -> dict:
    return dict(steps=LOOKS, temperature=TEMPERATURE)


class Reader:
    """A judge that reads no text twice. judge: measure/outside.py's, or another with `spans`."""

    def __init__(self, judge):
        self.judge, self.known = judge, {}

    def nats(self, texts: Sequence[str]) -> list[float]:
        """-log p of each text; of an empty one 0."""
        new = [text for text in dict.fromkeys(texts) if text and text not in self.known]
        for text, spans in zip(new, self.judge.spans(new) if new else ()):
            self.known[text] = math.fsum(nats for _, nats in spans)
        return [self.known.get(text, 0.0) for text in texts]

    def bits(self, texts: Sequence[str]) -> Mean | None:
        """Bits a character of all texts, with the error over texts; None where there is none."""
        texts = [text for text in texts if text][:READ]
        if not texts:
            return None
        bits = [nats / math.log(2) for nats in self.nats(texts)]
        return uncertainty.mean(bits, [len(text) for text in texts], consecutive=False)


def kept(name: str, mean: Mean | None) -> dict:
    """A mean as a cell holds it."""
    error = f"{name}_error"
    return {name: mean and rounded(mean.value), error: mean and mean.error and rounded(mean.error)}


def rounded(value: float) -> float:
    return float(f"{value:.5g}")


def share(count: int, n: int) -> Mean:
    """The share of n texts that are drawn one by one, and its error."""
    p = count / n
    return Mean(p, math.sqrt(p * (1 - p) / (n - 1)) if n > 1 else None)


def variety(texts: Sequence[str]) -> Mean | None:
    """The share of different groups of words among GROUP texts, over all whole groups."""
    groups = [texts[i : i + GROUP] for i in range(0, len(texts) - GROUP + 1, GROUP)]
    each = [found for some in groups if (found := distinct_words(list(some), WORDS)) is not None]
    return uncertainty.mean(each, [1] * len(each), consecutive=False) if each else None


def told(texts: Sequence[str], reader: Reader) -> dict:
    """What is kept of some texts: their number, the judge's bits, their variety."""
    return dict(n=len(texts)) | kept("bits", reader.bits(texts)) | kept("variety", variety(texts))


def cost(written: Written) -> dict:
    return dict(calls=written.calls, ms=rounded(written.ms))


# ---------------------------------------------------------------- cells


def ruled(process, task: Task, canvas, n: int, reader: Reader, **how) -> dict:
    """Texts with the rule, and the first of them; or the sentence with which the process
    refuses."""
    try:
        found = write(process, canvas, n, **how, **task.rule)
    except ValueError as error:
        return dict(refused=str(error))
    fit = sum(map(task.keeps, found.texts))
    first = dict(text=found.texts[0])
    return kept("share", share(fit, n)) | cost(found) | told(found.texts, reader) | first


def drawn(process, tests: Mapping[str, Callable[[str], bool]], canvas, n, reader, **how) -> dict:
    """Texts without a rule, and those of them that pass each test; or the refusal."""
    try:
        found = write(process, canvas, n, **how)
    except ValueError as error:
        return dict(refused=str(error))
    passed = {}
    for name, test in tests.items():
        some = [text for text in found.texts if test(text)]
        passed[name] = (
            dict(fit=len(some))
            | kept("share", share(len(some), n))
            | dict(best=rounded(one_of(len(some), n, min(TRIES, n))))
            | told(some, reader)
        )
    return cost(found) | told(found.texts, reader) | dict(tasks=passed)


def one_of(fit: int, n: int, tries: int) -> float:
    """The chance that one at least of `tries` texts fits, drawn from n of which `fit` do: an
    estimate without bias of 1 - (1 - p)^tries."""
    return 1 - math.comb(n - fit, tries) / math.comb(n, tries)


def labelled(process, n: int, reader: Reader, guidance: float, late: bool, **how) -> dict:
    """Texts with the label MOOD, and how many of them the lexicon finds so."""
    number = torch.tensor([process.labels.index(MOOD)])

    def canvas(batch: int) -> Canvas:
        return Canvas.blank(LENGTH, batch).with_label(number.repeat(batch))

    how |= dict(guidance=guidance, guidance_late=int(late))
    return sad(write(process, canvas, n, **how), reader)


def sad(found: Written, reader: Reader) -> dict:
    """How many texts the lexicon finds sad."""
    fit = sum(map(is_sad(), found.texts))
    told_ = cost(found) | told(found.texts, reader)
    return kept("share", share(fit, len(found.texts))) | told_


def is_sad() -> Callable[[str], bool]:
    """The lexicon's word for a text. Raises ValueError where it is not installed."""
    number, of = labels.flat({"mood": labels.ATTRIBUTES["mood"][0]}).index(MOOD), labels.mood()
    return lambda text: bool(text.strip()) and of(text) == number


def early(process, canvas, n: int, reader: Reader, seed: int = 0, **how) -> dict:
    """Runs that go to their end and the same runs, ended early: looks, calls, the judge's bits of
    both and of their difference, and how many ended before. A run is one text, because it ends when
    all of its texts are stable."""
    texts, looks, calls = ([], []), ([], []), ([], [])
    for number in range(n):
        for k, stable in enumerate((0, 1)):
            asked_ = settings() | how | dict(stable=stable, sure=SURE, seed=seed + number)
            *_, frame = generate(process, canvas(1), **asked_)
            texts[k].extend(texts_of(process, frame))
            looks[k].append(frame.step), calls[k].append(frame.calls)
    full, short = (
        dict(looks=mean_of(looks[k]).value, calls=mean_of(calls[k]).value) | told(texts[k], reader)
        for k in (0, 1)
    )
    ended = sum(one < other for one, other in zip(looks[1], looks[0]))
    return dict(
        full=full,
        early=short,
        ended=ended / n,
        **kept("saved", mean_of([1 - b / a for a, b in zip(*calls)])),
        **kept("more", difference(*texts, reader)),
        same=sum(a == b for a, b in zip(*texts)) / n,
    )


def mended(
    process, head, mend: Mend, kind: str, stories: Sequence[str], reader: Reader, seed: int = 0
) -> dict:
    """True texts with slips of a kind: how many are found and mended, what becomes of right words,
    and what the judge makes of the true text, the damaged one and the mended one. head: who doubts;
    None for the model's own bets. All as `python -m tinydiff mend` does it."""
    texts, outcomes, began = ([], [], []), [], time.process_time()
    for number, (story, other) in enumerate(zip(stories, [*stories[1:], stories[0]])):
        slipped = slips.damaged(story, kind, other, Random(seed + number))
        found = list(mend(dict(seed=seed), process, head, slipped.text))
        outcomes.append(slips.outcome(slipped, [change[:3] for change, _ in found]))
        now = found[-1][1] if found else slipped.text
        for each, text in zip(texts, (story, slipped.text, now)):
            each.append(text)
    ms = 1000 * (time.process_time() - began) / len(stories)
    _, before, after = texts
    judged = zip(("true", "slipped", "mended_text"), texts)
    return (
        dict(n=len(stories), ms=rounded(ms), text=[before[0], after[0]])
        | {of: sum(getattr(one, of) for one in outcomes) for of in ("slips", "right")}
        | part("found", "slips", outcomes)
        | part("mended", "slips", outcomes)
        | part("taken", "right", outcomes)
        | part("broken", "right", outcomes)
        | {
            name: value
            for what, each in judged
            for name, value in kept(what, reader.bits(each)).items()
        }
    )


def part(what: str, of: str, outcomes: Sequence[slips.Outcome]) -> dict:
    """The share of some words among others, with the error over texts."""
    sums, counts = ([getattr(one, name) for one in outcomes] for name in (what, of))
    return kept(what, uncertainty.mean(sums, counts, consecutive=False))


def mean_of(values: Sequence[float]) -> Mean:
    return uncertainty.mean(values, [1] * len(values), consecutive=False)


def difference(full: Sequence[str], short: Sequence[str], reader: Reader) -> Mean:
    """How many bits a character more the judge needs for `short`, text by text."""

    def part(texts) -> tuple[Tensor, Tensor]:
        bits = torch.tensor(reader.nats(texts), dtype=torch.float64) / math.log(2)
        return bits, torch.tensor([float(len(text)) for text in texts])

    return uncertainty.contrast((1.0, *part(short)), (-1.0, *part(full)))


# ---------------------------------------------------------------- all of them


@dataclass
class Study:
    """What cells are measured with. judge: who reads; quick: toy sizes, nothing is found out;
    stories: held-out ones, for slips; mend: as mending.py does it."""

    judge: object
    seed: int = 0
    quick: bool = False
    stories: Callable[[], Sequence[str]] = tuple
    mend: Mend | None = None
    reader: Reader = field(init=False)

    def __post_init__(self):
        self.reader = Reader(self.judge)

    def sizes(self, process: str) -> tuple[int, int]:
        """Texts with a rule, and without."""
        return (2, 4) if self.quick else MANY.get(process, FEW)

    def stamp(self, key: str, beside: str = "") -> dict:
        """With what a cell of a model is measured: where it is the same, the cell is kept. beside:
        the name of a second network."""
        return dict(
            weights=catalogue.fingerprint(key),
            **({"beside": catalogue.fingerprint(beside)} if beside else {}),
            judge=self.judge.name,
            seed=self.seed,
            quick=self.quick,
            length=LENGTH,
            looks=LOOKS,
            temperature=TEMPERATURE,
        )


def models() -> dict[str, str]:
    """The bundled models of stories by their families, those that write fast first."""
    found = {
        model.process: key
        for key, model in catalogue.own_models().items()
        if model.corpus == CORPUS and "/" in key
    }
    return dict(sorted(found.items(), key=lambda item: item[0] not in MANY))


class Cell(NamedTuple):
    """What is measured: by name, with a model's key and perhaps a second network beside it."""

    name: str
    key: str
    measure: Callable[[], dict]
    beside: str = ""


def cells(study: Study) -> Iterator[Cell]:
    """Every cell."""
    there = models()
    for process, key in there.items():
        yield from of_model(study, process, key)
    for process in [name for name in MOODS if name in there]:
        for guidance in GUIDED:
            for late in (False, True)[: 1 + (guidance > 0)]:
                name = f"label/{process}/{guidance:g}/{'late' if late else 'even'}"
                measure = partial(mood_cell, study, process, guidance, late)
                yield Cell(name, there[process], measure)
    for process in [name for name in PUSHED if f"moods-{name}" in catalogue.classifiers()]:
        for steps in (1, OWN_STEPS)[: 1 + (process == "gaussian")]:
            for push in PUSHES:
                measure = partial(push_cell, study, process, push, steps)
                name = f"push/{process}/{push:g}/{steps}"
                yield Cell(name, there[process], measure, f"moods-{process}")
    for process, sampler in EARLY:
        if process in there:
            measure = partial(early_cell, study, process, sampler)
            yield Cell(f"early/{process}/{sampler}", there[process], measure)
    for kind in slips.KINDS:
        for by in DOUBTED_BY:
            measure, beside = partial(slip_cell, study, by, kind), HEAD if by == "head" else ""
            yield Cell(f"slip/masked/{by}/{kind}", there["masked"], measure, beside)


def of_model(study: Study, process: str, key: str) -> Iterator[Cell]:
    """The cells of a model with every rule, and without."""
    n, more = study.sizes(process)

    def rule(task: Task) -> dict:
        model = catalogue.open_model(key)
        canvas = partial(canvas_for, model, task.gap)
        return ruled(model, task, canvas, n, study.reader, seed=study.seed)

    def free(gap: bool) -> dict:
        model = catalogue.open_model(key)
        tests = {task.name: task.keeps for task in TASKS if task.gap == gap}
        tests |= {} if gap else {MOOD: is_sad()}
        canvas = partial(canvas_for, model, gap)
        return drawn(model, tests, canvas, more, study.reader, seed=study.seed)

    for gap, name in ((False, "free"), (True, "freegap")):
        yield Cell(f"{name}/{process}", key, partial(free, gap))
    for task in TASKS:
        yield Cell(f"rule/{process}/{task.name}", key, partial(rule, task))


def mood_cell(study: Study, process: str, guidance: float, late: bool) -> dict:
    n = 2 if study.quick else MOODS[process]
    model = catalogue.open_model(models()[process])
    return labelled(model, n, study.reader, guidance, late, seed=study.seed)


def push_cell(study: Study, process: str, push: float, steps: int) -> dict:
    """Texts that a classifier steers to MOOD."""
    n = 2 if study.quick else PUSHED[process]
    model, tells = (catalogue.load(name) for name in (models()[process], f"moods-{process}"))
    how = dict(classifier=tells, aim=MOOD, push=push, pushes=steps, seed=study.seed)
    return sad(write(model, partial(canvas_for, model, False), n, **how), study.reader)


def slip_cell(study: Study, by: str, kind: str) -> dict:
    """The shortest held-out stories, damaged and mended."""
    model, head = catalogue.load(models()["masked"]), None
    if by == "head":  # a copy, as it is told beside whom it stands
        head = copy.copy(catalogue.load(HEAD))
    stories = sorted(study.stories(), key=len)[:SLIPPED]
    stories = [story[:TOY] for story in stories[:2]] if study.quick else stories
    return mended(model, head, study.mend, kind, stories, study.reader, study.seed)


def early_cell(study: Study, process: str, sampler: str) -> dict:
    model, n = catalogue.open_model(models()[process]), 2 if study.quick else EARLY_TEXTS
    canvas = partial(canvas_for, model, False)
    return early(model, canvas, n, study.reader, seed=study.seed, sampler=sampler)


def record(
    study: Study,
    only: Sequence[str] = (),
    path: Path = RECORDED,
    say: Callable[[str], None] = lambda line: None,
) -> dict:
    """Measure what is not there, cell by cell, and write it; all that is there then.

    only: beginnings of the names of the cells that are measured. Raises ValueError for one that no
    cell has, and CheckpointError where no models are bundled.
    """
    catalogue.check_assets("The table of control")
    whole = list(cells(study))
    names = [cell.name for cell in whole]
    for part in only:
        if not any(name.startswith(part) for name in names):
            kinds = ", ".join(dict.fromkeys(name.partition("/")[0] for name in names))
            raise ValueError(f"There is no cell {brief(part)}; they begin with {kinds}.")
    for name, key, measure, beside in whole:
        if only and not name.startswith(tuple(only)):
            continue
        stamp = study.stamp(key, beside)
        if (read(path).get(name) or {}).get("with") == stamp:
            continue
        say(name)
        found = measure()
        keep(path, name, found | dict(on=made_on(), **{"with": stamp}), names)
    return read(path)


def outdated() -> list[str]:
    """The cells that were measured with other weights than are bundled."""
    now = {process: catalogue.fingerprint(key) for process, key in models().items()}
    return [
        name
        for name, cell in read().items()
        if cell["with"]["weights"] != now.get(name.split("/")[1])
    ]


def made_on() -> dict:
    device = torch.device("cpu")
    return dict(
        date=date.today().isoformat(),
        hardware=hardware(device),
        precision="bf16" if is_bf16("auto", device) else "fp32",
    )


def keep(path: Path, name: str, cell: dict, names: Sequence[str]) -> None:
    """Write a cell into the file, a line of its own, in the order of `names`."""
    found = read(path) | {name: cell}
    lines = [
        f"{json.dumps(each)}: {json.dumps(found[each], ensure_ascii=False)}"
        for each in names
        if each in found
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read(path: Path | None = None) -> dict[str, dict]:
    """The cells that were measured, by their names; {} where there are none."""
    return checkpoint.read_json(path or RECORDED)
