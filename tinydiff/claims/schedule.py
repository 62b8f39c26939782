"""The noise schedule: what it changes of the bound, of learning and of few steps; and whether it
should adapt to length and task."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from tinydiff import uncertainty
from tinydiff.claims import (
    FAILS,
    HOLDS,
    PARTLY,
    UNDECIDED,
    Answer,
    Claim,
    Play,
    Plot,
    Point,
    sure,
    told,
)
from tinydiff.claims.lab import MASKED, STORIES, jackknife, texts_in
from tinydiff.exact import Markov, bigram_divergence, perfect
from tinydiff.generate import generate
from tinydiff.processes import Process, build
from tinydiff.randomness import Rng
from tinydiff.schedules import schedule
from tinydiff.store import catalogue
from tinydiff.text import Canvas
from tinydiff.uncertainty import Mean

LINEAR, BENT, STOPS = "linear", "cosine-0.008", "ddpm-128"
SCHEDULES = (LINEAR, BENT, "sqrt", "ddpm", "polynomial")
LEARNED = SCHEDULES[:4]
FLOOR = 1e-6  # of the text, which is left at t = 1 where the bound is measured
POWER, DRAWS = 4, 32  # of the times for it: t = u ** POWER for even u
UPTO = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # times up to which the bound is summed
LETTERS, CHECKED, WRITTEN = 64, 256, 512  # of an exact text; how many are measured, and written
COUNTS = (4, 8, 16, 32)
GRIDS = {"even": "uniform", "equal information": "information"}
TASKS = ("writing", "infilling", "restoring")
LENGTHS = (64, 128, 256)
FEW, MANY = 8, 32  # steps: FEW at every length, MANY at the first
ENTROPY = "entropy: nobody can do better"
SURER = 3.0  # errors of a difference between grids, of which there are a dozen
SHARP = 0.02  # of a value: the largest error with which no difference counts as no difference


class ScheduleClaim(Claim):
    name = "schedule"
    said = "The noise schedule matters, and it should adapt to length and task."
    how = (
        "A schedule says how much of a text is hidden at each time. With a perfect network of "
        "letters in pairs we measure the bound on the bits of a text under five schedules, and how "
        "far texts of few steps are from the language. Four networks learn stories alike but for "
        "the schedule. Masks need not know the time, so one trained network can write under any: "
        f"it takes steps that are even under {BENT}, or steps of equal information, each of which "
        "uncovers the same share of the text. (Even steps of the linear schedule are the same as "
        "these.) It writes from nothing, fills the middle third of a story, or restores a story "
        "of which a random half is given."
    )
    minutes = 72
    models = (MASKED,)
    plots = {
        "bound": Plot(
            "The bound, summed up to a time", "time t, 0 is clean", "bits a letter, so far"
        ),
        "steps": Plot(
            "Few steps with a perfect network",
            "steps",
            "nats a letter from the language",
            doubling=True,
            log=True,
        ),
        **{
            task: Plot(
                f"The trained network, {task}",
                "tokens of the text",
                "judge, bits a character",
                doubling=True,
            )
            for task in TASKS
        },
        "learning": Plot("Speed of learning", "training steps", "bits a character", doubling=True),
    }
    note = (
        "One training of each schedule: those errors are over texts, not over trainings. The times "
        f"for the bound are drawn as u^{POWER} for even u and weighed for it, since under some "
        "schedules even times have a variance without end."
    )

    def trainings(self):
        alike = replace(STORIES, process="masked", steps=1100, time_spread=0.0)
        return {name: replace(alike, schedule=name) for name in LEARNED}

    def measure(self, lab):
        language = catalogue.bigrams()
        yield from bounds(lab, language)
        yield from by_steps(lab, language)
        for task in TASKS:
            yield from written(lab, task)
        yield from self.learning(lab)

    def learning(self, lab):
        """The validations of four trainings, and their last bound on the same stories."""
        bits = {}
        for name, config in lab.some([*self.trainings().items()]):
            process = lab.trained(self.name, name, config)
            for row in lab.rows(self.name, name):
                valid = row["valid"] / math.log(2)
                yield Point("learning", name, row["step"], valid, None, 1, "masked")
            bits[name], characters = lab.known(process)
            x = lab.rows(self.name, name)[-1]["step"]
            mean = uncertainty.mean(bits[name], characters, consecutive=False)
            n = len(characters)
            yield Point("learned", name, x, mean.value, mean.error, n, "masked")
            if name != LINEAR:
                mean = uncertainty.mean(bits[name] - bits[LINEAR], characters, consecutive=False)
                label = f"{name}: learned"
                yield Point("difference", label, x, mean.value, mean.error, n, "masked")

    def answer(self, points):
        found = {
            what: [p for p in points.all if p.plot == "difference" and p.label.endswith(what)]
            for what in (": bound", ": steps", ": learned", ": grid")
        }
        surely = {what: [p for p in found[what] if p.value and sure(p.mean)] for what in found}
        entropy = points.mean("bound", ENTROPY, 1.0)
        far = max(found[": bound"], key=lambda p: abs(p.value))
        few = points.line("steps", LINEAR)[0].x
        reached = {label: points.mean("steps", label, few) for label in points.labels("steps")}
        best, worst = extremes(reached)
        learned = {p.label: p.mean for p in points.all if p.plot == "learned"}
        quick, slow = extremes(learned)
        same = "not the same for all" if surely[": bound"] else "the same for all, within its error"
        text = (
            f"For masks the bound is {same}: the {told(entropy, 'bits')} of a letter; furthest "
            f"from them, by {told(far.mean, 'bits', signed=True)}, is {name(far)}. "
            f"In {few:.0f} steps texts of a perfect network end "
            f"{told(reached[best], 'nats')} a letter from the language with {best}, "
            f"{told(reached[worst])} with {worst}. After equal training {quick} stands at "
            f"{told(learned[quick], 'bits')} a character, {slow} at {told(learned[slow])}. "
            f"{grids(found[': grid'], surely[': grid'])} {refused()}"
        )
        brief = (
            f"For masks every schedule has {'another' if surely[': bound'] else 'the same'} bound; "
            f"it decides how good few steps are ({best} best, {worst} worst) and how fast a "
            f"network learns ({quick} fastest, {slow} slowest)."
        )
        return Answer(decided(found, surely), text, brief)

    def plays(self):
        shared = dict(model=MASKED, length=128, steps=FEW, seed=7)
        return [
            Play("Eight steps of equal information", shared | dict(spacing="information")),
            Play("Eight steps, short ones first", shared | dict(spacing="cosine")),
        ]


def name(point: Point) -> str:
    return point.label.partition(":")[0]


def extremes(values: dict[str, Mean]) -> tuple[str, str]:
    """Where the lowest value is, and where the highest."""
    ordered = sorted(values, key=lambda label: values[label].value)
    return ordered[0], ordered[-1]


def grids(found: list[Point], surely: list[Point]) -> str:
    """What came of steps of equal information against even ones."""
    total = f"Of {len(found)} comparisons with the trained network"
    if not surely:
        return f"{total} of steps of equal information with even ones none is beyond its error."
    better, worse = ([p for p in surely if p.value * way > 0] for way in (-1, 1))
    largest = max(surely, key=lambda p: abs(p.value))
    return (
        f"{total}, steps of equal information are better than even ones in {len(better)} and worse "
        f"in {len(worse)}, beyond the error; most in {name(largest)} at {largest.x:.0f} tokens, "
        f"by {told(largest.mean, 'bits', signed=True)} a character."
    )


def refused() -> str:
    """What is said where masks are to be trained with a table that stops too early."""
    tokenizer = catalogue.bigrams().tokenizer
    try:
        build("masked", tokenizer, STOPS, layers=1, heads=1, width=16, length=16)
    except ValueError as refusal:
        return f"The table of 128 steps as it is printed is refused: “{refusal}”"
    return "The table of 128 steps as it is printed is taken."


def decided(found: dict[str, list[Point]], surely: dict[str, list[Point]]) -> str:
    """It matters if texts of few steps or what was learned differ; it should adapt if the better
    grid is not the same for all lengths and tasks; where only one of these is so, it is partly so.
    """
    matters = bool(surely[": steps"] or surely[": learned"])
    ways = {p.value > 0 for p in surely[": grid"] if abs(p.value) > SURER * (p.error or 0)}
    if matters and len(ways) == 2:
        return HOLDS
    if matters or ways:
        return PARTLY
    largest = max(p.error or 0 for what in (": steps", ": learned", ": grid") for p in found[what])
    return FAILS if largest < SHARP else UNDECIDED


# ---------------------------------------------------------------- the bound


@torch.no_grad()
def bounds(lab, language: Markov):
    """The bound of the perfect network, summed from t = 0 up to a time, and its distance from the
    surprise of the same texts, which nobody can beat."""
    n = 8 if lab.quick else CHECKED
    tokens, scale = language.sample(n, LETTERS, lab.rng()), LETTERS * math.log(2)
    surprise = -language.log_prob(tokens) / scale
    for name in SCHEDULES:
        process = perfect("masked", language, schedule(name, FLOOR))
        t, nats = integrand(process, tokens, 2 if lab.quick else DRAWS, lab.rng(1))
        for time in UPTO:
            bits = torch.where(t <= time, nats, 0).mean(1) / scale
            mean = uncertainty.mean(bits, torch.ones(n), consecutive=False)
            yield Point("bound", name, time, mean.value, mean.error, n, "masked")
        mean = uncertainty.mean(bits - surprise, torch.ones(n), consecutive=False)
        yield Point("difference", f"{name}: bound", 1.0, mean.value, mean.error, n, "masked")
    for time in UPTO:
        bits = language.entropy(LETTERS) / scale
        yield Point("bound", ENTROPY, time, bits, None, 0, "ink")


def integrand(process: Process, tokens: Tensor, draws: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """Times (B, draws), and nats of texts (B, L) whose mean over draws is the bound of each, (B,
    draws): the loss of training with the weight of its schedule (MDLM, arXiv:2406.07524, eq. 10).
    u is drawn evenly, for each text one in each of as many equal parts, and t = u ** POWER."""
    canvas = Canvas(tokens, torch.zeros_like(tokens, dtype=torch.bool))
    times, nats = [], []
    for k in range(draws):
        u = (k + torch.rand(len(tokens), generator=rng, dtype=torch.float64)) / draws
        t = canvas.time((u**POWER).clamp_min(1e-12), torch.float64)
        x = process.noise.corrupt(tokens, t, rng)
        weight = process.noise.weight(t) * POWER * u[:, None] ** (POWER - 1)
        weight = torch.where(x == process.mask_id, weight, 0)
        times.append(t[:, 0])
        nats.append((weight * process.surprise(x, canvas)).sum(1))
    return torch.stack(times, 1), torch.stack(nats, 1)


# ---------------------------------------------------------------- few steps


def by_steps(lab, language: Markov):
    """How far texts of the perfect network are from the language in few steps, above what as many
    true letters show: under every schedule, and on other grids."""
    n = 8 if lab.quick else WRITTEN
    blank, true = Canvas.blank(LETTERS, n), language.sample(n, LETTERS, lab.rng(2))
    plain = {name: (name, "uniform") for name in SCHEDULES}
    ways = plain | {
        f"{BENT}, equal information": (BENT, "information"),
        f"{LINEAR}, short steps first": (LINEAR, "cosine"),
    }

    def apart(tokens, others):
        return bigram_divergence(tokens, language) - bigram_divergence(others, language)

    for steps in lab.some(COUNTS, 1):
        found = {}
        for label, (name, spacing) in ways.items():
            process = scheduled(perfect("masked", language), name)
            how = dict(sampler="ancestral", steps=steps, spacing=spacing, seed=lab.seed)
            *_, frame = generate(process, blank, **how)
            found[label] = frame.tokens
            mean = jackknife(apart, frame.tokens, true)
            yield Point("steps", label, steps, mean.value, mean.error, n, "masked")
            if label != LINEAR:
                mean = jackknife(apart, frame.tokens, found[LINEAR])
                label = f"{label}: steps"
                yield Point("difference", label, steps, mean.value, mean.error, n, "masked")


def scheduled(process: Process, name: str) -> Process:
    """The same network under another schedule, which it need not know."""
    noise, tokenizer = process.over.schedule_of(name), process.tokenizer
    made = type(process)(process.net, tokenizer, noise, process.length, process.options)
    made.ends = process.ends
    return made.eval()


# ---------------------------------------------------------------- lengths and tasks


def written(lab, task: str):
    """The judge on what the trained network makes of a task, with even steps and with steps of
    equal information."""
    process = scheduled(lab.model(MASKED), BENT)
    for length in lab.some(LENGTHS, 1):
        canvas, begin = asked(lab, process, task, length)
        begins = [len(text) for text in texts_in(process, canvas.tokens[:, :begin])]
        for steps in (FEW, MANY) if length == LENGTHS[0] and not lab.quick else (FEW,):
            nats = {}
            for grid, spacing in GRIDS.items():
                how = dict(sampler="ancestral", steps=steps, spacing=spacing)
                tokens, _ = lab.write(process, canvas, temperature=lab.best(MASKED), **how)
                nats[grid] = lab.nats(texts_in(process, tokens), begins)
                mean, n = bits_of(nats[grid]), len(tokens)
                label = f"{grid}, {steps} steps"
                yield Point(task, label, length, mean.value, mean.error, n, "masked")
            mean = bits_apart(*(nats[grid] for grid in reversed(GRIDS)))
            label = f"{task} in {steps} steps: grid"
            yield Point("difference", label, length, mean.value, mean.error, n, "masked")


def asked(lab, process: Process, task: str, length: int) -> tuple[Canvas, int]:
    """The canvas of a task, and the token from which on the judge counts."""
    if task == "writing":
        return Canvas.blank(length, lab.texts), 0
    tokens, places = lab.stories(process, length), torch.arange(length)
    if task == "infilling":
        begin = length // 3
        given = (places < begin) | (places >= length - begin)
        return Canvas(tokens, given.expand(tokens.shape)), begin
    order = torch.rand(tokens.shape, generator=lab.rng(3)).argsort(1)
    return Canvas(tokens, order < length // 2), 0


def bits_of(nats: list[Tensor]) -> Mean:
    """Bits a character of texts, all together."""
    bits = [each.sum().item() / math.log(2) for each in nats if len(each)]
    return uncertainty.mean(bits, [len(each) for each in nats if len(each)], consecutive=False)


def bits_apart(one: list[Tensor], other: list[Tensor]) -> Mean:
    """The mean over texts of how many bits a character one takes more than the other."""
    pairs = [(a.mean() - b.mean()).item() for a, b in zip(one, other) if len(a) and len(b)]
    return uncertainty.mean(torch.tensor(pairs) / math.log(2), [1] * len(pairs), consecutive=False)
