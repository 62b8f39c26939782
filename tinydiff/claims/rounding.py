"""What is lost where codes, which are real numbers, are read as words."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
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
from tinydiff.claims.lab import jackknife
from tinydiff.exact import Markov, bigram_divergence, perfect
from tinydiff.generate import generate
from tinydiff.processes import Process
from tinydiff.processes.gaussian import LOG_SNR_END
from tinydiff.randomness import Rng
from tinydiff.store import catalogue
from tinydiff.text import Canvas

GAUSSIAN = "stories/gaussian"
TOKENS, LETTERS = 128, 64  # of a story, and of an exact text
CHECKED, WRITTEN = 512, 256  # exact texts of which the bits are told, and that are written
DRAWS, EXACTLY = 32, 64  # of the noise level for each text, and for each exact one
ENDS = (-3.0, -2.0, -1.0, 0.0, 1.0, 3.0, LOG_SNR_END)  # log SNR at which codes are read as words
TIMES = (0.001, 0.004, 0.016, 0.063, 0.25)  # at which they are read, for the share read wrong
COUNTS = (4, 8, 16, 32, 64, 128)
PRIOR, STEPS = "noise that is not complete", "taking noise off"
NEAREST, NETWORK = "reading the nearest code", "reading by the network"
CODE, BET = "nearest code", "network's bet"
SUMS = {NEAREST: "sum, nearest code", NETWORK: "sum, by the network"}
ENTROPY = "entropy: nobody can do better"
MEAN, CLAMPED, MASKS, TRUE = "rounded at the end", "clamped at every step", "masks", "true texts"
PART = 0.01  # of the bound: what is a loss, and what error is too large to tell


class Rounding(Claim):
    name = "rounding"
    said = "Rounding to words loses information."
    how = (
        "Gaussian noise works on codes, which are real numbers; at the end they are read as words. "
        "Its bound on the bits of a text has three terms: noise at t = 1 that is not complete, "
        "taking noise off, and reading the codes. Here the last two meet at a signal-to-noise "
        f"ratio of e^{LOG_SNR_END:.0f}; we also let them meet earlier. With the exact denoiser of "
        "letters in pairs the sum can be compared with the entropy. Its texts show what few steps "
        "cost when codes are rounded at the end, or moved to the nearest word at every step "
        "(clamping)."
    )
    minutes = 5
    models = (GAUSSIAN,)
    plots = {
        "terms": Plot(
            "The terms of the bound on stories",
            "log signal-to-noise where words are read",
            "bits a character",
        ),
        "exact": Plot(
            "The same with the exact denoiser, letters in pairs",
            "log signal-to-noise where words are read",
            "bits a letter",
        ),
        "wrong": Plot(
            "Read wrong, with so little noise left",
            "time t, 0 is clean",
            "share read wrong",
            doubling=True,
        ),
        "steps": Plot(
            "Texts of the exact denoiser",
            "steps",
            "nats a letter from the language",
            doubling=True,
        ),
    }
    note = (
        f"In {STEPS} the mean code is estimated, and its squared error is weighed by how fast the "
        "signal rises. Reading by the network takes each word by itself."
    )

    def measure(self, lab):
        process, n = lab.model(GAUSSIAN), lab.texts
        tokens = lab.stories(process, 32 if lab.quick else TOKENS, n)
        yield from terms(lab, "terms", process, tokens, DRAWS)
        yield from wrong(lab, process, tokens, "words")
        language = catalogue.bigrams()
        process = perfect("gaussian", language, self_conditioning="no")
        tokens = language.sample(8 if lab.quick else CHECKED, LETTERS, lab.rng())
        yield from terms(lab, "exact", process, tokens, EXACTLY, language)
        yield from wrong(lab, process, tokens, "letters")
        yield from by_steps(lab, process, language)

    def answer(self, points):
        end = points.line("terms", STEPS)[-1].x
        early = points.line("terms", STEPS)[0].x
        reading, whole = (points.mean("terms", label, end) for label in (NEAREST, SUMS[NEAREST]))
        lost = points.mean("difference", "bound - entropy", end)
        entropy = points.mean("exact", ENTROPY, end)
        sooner = points.mean("exact", SUMS[NETWORK], early)
        few = points.line("steps", MEAN)[0].x
        reads = (
            f"Of the {told(whole, 'bits')} a character that stories cost, reading the nearest word "
            f"takes {reading.value:.3f}."
        )
        brief = (
            "Gaussian noise moves points in space, and at the end each point is read as the "
            f"nearest word. {reads} What costs is to round too early: in {few:.0f} steps, texts "
            f"rounded at every step end {told(points.mean('steps', CLAMPED, few))} nats a letter "
            "from the language, those rounded once, at the end, "
            f"{told(points.mean('steps', MEAN, few))}."
        )
        text = (
            f"{reads} With the exact denoiser the bound is {told(lost, 'bits', signed=True)} from "
            f"the {told(entropy)} bits of a letter{'' if sure(lost) else ', which is its error'}. "
            f"What costs is to read too early: with much noise left (log ratio {early:g}) letters "
            f"cost {told(sooner, 'bits')}; or at every step: in {few:.0f} steps, texts that are "
            f"rounded at the end are {told(points.mean('steps', MEAN, few), 'nats')} a letter from "
            f"the language, those rounded at each step {told(points.mean('steps', CLAMPED, few))}."
        )
        return Answer(decided(reading.value / whole.value, lost, entropy.value), text, brief)

    def plays(self):
        settings = dict(model=GAUSSIAN, length=64, steps=32, seed=7)
        return [Play("Points become words", settings)]


def decided(part: float, lost: uncertainty.Mean, entropy: float) -> str:
    """Rounding loses something if it is a fair part of the bound, or if the exact denoiser's bound
    stays above the entropy."""
    if (lost.error or 0) > PART * entropy:
        return UNDECIDED
    above = sure(lost) and lost.value > PART * entropy
    if part > PART and above:
        return HOLDS
    return PARTLY if part > PART or above else FAILS


# ---------------------------------------------------------------- the bound, term by term


@torch.no_grad()
def terms(
    lab, plot: str, process: Process, tokens: Tensor, draws: int, language: Markov | None = None
):
    """The terms of the bound in bits a character of texts (B, L), for every place where the words
    are read; with a language, beside its entropy."""
    canvas = Canvas(tokens, torch.zeros_like(tokens, dtype=torch.bool))
    scale = canvas.characters(process.tokenizer).double() * math.log(2)
    levels, nats = denoising(process, canvas, 2 if lab.quick else draws, lab.rng(1))
    noise, rng = process.noise, lab.rng(2)
    prior = torch.full_like(scale, tokens.shape[1] * noise.unfinished())
    for end in lab.some(ENDS[::-1]):
        found = {PRIOR: prior, STEPS: torch.where(levels < end, nats, 0).mean(1)}
        found |= reading(process, canvas, end, rng)
        both = found[PRIOR] + found[STEPS]
        found |= {SUMS[how]: both + found[how] for how in SUMS}
        for label, each in found.items():
            yield point(plot, label, end, each, scale)
        if language is not None:
            surprise = -language.log_prob(tokens)
            bits = language.entropy(tokens.shape[1]) / tokens.shape[1] / math.log(2)
            yield Point(plot, ENTROPY, end, bits, None, 0, "ink")
            gap = found[SUMS[NEAREST]] - surprise
            yield point("difference", "bound - entropy", end, gap, scale)


def point(plot: str, label: str, x: float, nats: Tensor, scale: Tensor) -> Point:
    mean = uncertainty.mean(nats / scale, torch.ones_like(nats), consecutive=False)
    return Point(plot, label, x, mean.value, mean.error, len(nats), "gaussian")


def denoising(process: Process, canvas: Canvas, draws: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """The diffusion term: noise levels, log SNR, (B, draws), and the nats for each whose mean over
    draws is the term, (B, draws). Levels are drawn evenly up to LOG_SNR_END, for each text one in
    each of as many equal parts; the integrand is that of the bound (VDM, arXiv:2107.00630, eq. 17):
    half of SNR times the squared error of the mean code, for each unit of log SNR."""
    noise, one = process.noise, torch.ones(1, 1, dtype=torch.float64)
    start = noise.alpha(one).logit().item()
    levels, nats = [], []
    for k in range(draws):
        u = (k + torch.rand(len(canvas.tokens), generator=rng, dtype=torch.float64)) / draws
        level = start + (LOG_SNR_END - start) * u
        t = canvas.time(noise.schedule.time(level.sigmoid()))
        x = noise.corrupt(canvas.tokens, t, rng)
        mean = process.denoise_twice(x, t).mean(noise.codes())
        error = (noise.codes()[canvas.tokens] - mean).double().square().sum((1, 2))
        levels.append(level)
        nats.append(0.5 * (LOG_SNR_END - start) * level.exp() * error)
    return torch.stack(levels, 1), torch.stack(nats, 1)


def reading(process: Process, canvas: Canvas, end: float, rng: Rng) -> dict[str, Tensor]:
    """The rounding term where words are read at a log SNR: -log p(x_0 | x_t) of each text (B,),
    nats, by each code alone and by the network, each word by itself."""
    noise, tokens = process.noise, canvas.tokens
    alpha = torch.full(tokens.shape, end, dtype=torch.float64).sigmoid()
    x, t = noise.noisy(tokens, alpha, rng), noise.schedule.time(alpha).float()
    by_code = noise.density(x, alpha)
    by_network = process.denoise_twice(x, t).log_x0
    return {
        how: F.nll_loss(log_p.mT, tokens, reduction="none").double().sum(1)
        for how, log_p in ((NEAREST, by_code), (NETWORK, by_network))
    }


# ---------------------------------------------------------------- what is read, and what is written


@torch.no_grad()
def wrong(lab, process: Process, tokens: Tensor, unit: str):
    """The share of words that are read wrong from codes with little noise."""
    noise, rng = process.noise, lab.rng(3)
    for time in lab.some(TIMES):
        t = torch.full(tokens.shape, time)
        x = noise.corrupt(tokens, t, rng)
        for how, read in ((CODE, noise.read(x)), (BET, process.denoise_twice(x, t).best())):
            amiss = (read != tokens).sum(1)
            mean = uncertainty.mean(amiss, [tokens.shape[1]] * len(tokens), consecutive=False)
            label = f"{unit}, {how}"
            yield Point("wrong", label, time, mean.value, mean.error, len(tokens), "gaussian")


def by_steps(lab, process: Process, language: Markov):
    """How far the exact denoiser's texts are from the language, above what as many true letters
    show, with masks beside it."""
    n = 8 if lab.quick else WRITTEN
    blank, true = Canvas.blank(LETTERS, n), language.sample(n, LETTERS, lab.rng(4))
    ways = {
        MEAN: (process, dict(sampler="ddpm", clamp=0)),
        CLAMPED: (process, dict(sampler="ddpm", clamp=1)),
        MASKS: (perfect("masked", language), dict(sampler="ancestral")),
    }

    def apart(tokens, others):
        return bigram_divergence(tokens, language) - bigram_divergence(others, language)

    for steps in lab.some(COUNTS):
        found = {}
        for label, (writer, how) in ways.items():
            *_, frame = generate(writer, blank, steps=steps, seed=lab.seed + 1, **how)
            found[label] = frame.tokens
            mean = jackknife(apart, frame.tokens, true)
            yield Point("steps", label, steps, mean.value, mean.error, n, writer.name)
        mean = jackknife(apart, found[CLAMPED], found[MEAN])
        label = "clamped - rounded"
        yield Point("difference", label, steps, mean.value, mean.error, n, "gaussian")
