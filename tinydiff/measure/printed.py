"""What common misprints of diffusion cost, on languages that are known exactly, and the cards on
which a reader looks for them.

A coin falls on heads with probability .80: one token, of which the noise is known exactly (the code
is 1 for heads, -1 for tails). So whatever else DDPM draws is the fault of its formula or of its
schedule, here with T = 128. What it costs to learn without a rounding loss is seen on four letters
that follow each other, with a network of one layer that learns them in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff.exact import Enumerated, Markov, bigram_divergence, perfect
from tinydiff.generate import generate
from tinydiff.options import check_number
from tinydiff.processes import PROCESSES, T_MIN, Process, build
from tinydiff.randomness import seeded
from tinydiff.samplers import SAMPLERS, State
from tinydiff.schedules import grid
from tinydiff.text import Canvas, Characters

COIN = Enumerated(["h", "t"], [0.8, 0.2])
HEADS = 0  # its token
STEPS = 128
WHOLE, SHORT = "ddpm", "ddpm-128"  # the schedule that ends in noise, and the unfinished one
# each letter is followed by the next one in seven of ten cases
LETTERS = Markov(
    Characters("abcd"),
    torch.full((4,), 0.25),
    0.1 + 0.6 * torch.eye(4).roll(1, 1),
)
LENGTH, LESSONS, BATCH, RATE = 4, 250, 32, 0.015  # of the texts of letters, and of learning them
READ, WRITTEN, FEW = 2000, 500, 32  # texts that are read, those that are written, and in steps
Heads = Callable[..., tuple[float, float]]  # (schedule, options of ddpm) -> a share and its error


class Card(NamedTuple):
    """A page of "find the mistake". settings: of a run in which it is seen; unseen: why there is
    none."""

    name: str
    title: str
    question: str
    printed: str
    right: str
    hint: str
    why: str
    settings: Mapping = MappingProxyType({})
    unseen: str = ""


CARDS = (
    Card(
        "factor",
        "The factor of the noise",
        "A step of DDPM takes off a part of the noise ε that the network predicts. Which part of "
        "this line is wrong?",
        "xₜ₋₁ = (xₜ − √βₜ · ε) / √αₜ + σₜ z",
        "xₜ₋₁ = (xₜ − βₜ / √(1 − ᾱₜ) · ε) / √αₜ + σₜ z",
        "Try β = 0.02 where no text is left, ᾱ = 0: how much of ε does the line take off, and how "
        "much did one step put on?",
        "√β is larger than β / √(1 − ᾱ), seven times where the noise is strong. Each step takes "
        "off more than one step put on. What is likely grows with every step, until it is certain.",
        MappingProxyType({"sampler": "ddpm", "options": {"factor": "sqrt-beta"}}),
    ),
    Card(
        "zero",
        "The last step",
        "The loop goes from t = T down to t = 1. What happens at its end?",
        "xₜ₋₁ = (xₜ − βₜ / √(1 − ᾱₜ₋₁) · ε) / √αₜ + σₜ z",
        "xₜ₋₁ = (xₜ − βₜ / √(1 − ᾱₜ) · ε) / √αₜ + σₜ z",
        "ᾱ₀ = 1, because a clean text has no noise. Put t = 1 into the root.",
        "The root is √(1 − ᾱ₀) = 0, and nobody can divide by 0. The noise ε is that in xₜ, so its "
        "size is √(1 − ᾱₜ), which is never 0.",
        MappingProxyType({"sampler": "ddpm", "options": {"factor": "beta-before"}}),
        "There is no run to watch: the last step cannot be computed, and is refused.",
    ),
    Card(
        "schedule",
        "Noise that stops too early",
        "The formulas of this program are right. Why does it not draw what it has learned?",
        "T = 128, β from 0.0001 to 0.02; start with x_T ~ N(0, 1)",
        "β such that ᾱ_T is nearly 0: take 128 of the 1,000 steps; start with x_T ~ N(0, 1)",
        "ᾱ_T is the product of all 1 − β. β is 0.01 in the mean: what is 0.99 to the power of 128?",
        "ᾱ_T = 0.27, so x_T still knows a quarter of the text, and the network has learned to read "
        "it there. But the program starts from noise that knows nothing. The network takes its "
        "accidents for text.",
        unseen="There is no run to watch: no model here has a schedule that stops early.",
    ),
    Card(
        "rounding",
        "A loss of zero",
        "Every token has a code e, which is learned together with the network that is to find it. "
        "Why is this loss not enough?",
        "loss = |e(x₀) − ê(xₜ)|²",
        "loss = |e(x₀) − ê(xₜ)|² − log p(x₀ | e(x₀) with hardly any noise)",
        "Which codes make it easiest to find the right one?",
        "If all tokens have the same code, the network finds it always: the loss is 0, and no "
        "token can be told from another. The second term, the rounding loss, keeps codes apart.",
        unseen="There is no run to watch: this mistake is made in learning, before anything is "
        "written.",
    ),
)


def measured(draws: int = 20_000, seed: int = 0) -> list[dict]:
    """A row for each mistake and schedule, and for the choice of sigma^2, which is no mistake.

    mistake: the name of a Card, or "none"; printed, right: both formulas; schedule; of: what the
    shares count; printed_share, right_share: with printed_error and right_error, their standard
    errors over `draws` coins or READ texts, None where nothing can be drawn; sentence: what was
    found. Raises ValueError for draws outside 100 .. 1,000,000 or a seed that is none.
    """
    check_number("draws", draws, 100, 1_000_000, whole=True)
    check_number("seed", seed, 0, 2**63 - 1, whole=True)

    @cache
    def heads(schedule: str, **options: str) -> tuple[float, float]:
        return share(tosses(schedule, draws, seed, **options) == HEADS)

    rows = [factor_row(heads, schedule) for schedule in (WHOLE, SHORT)]
    rows += [zero_row(heads), schedule_row(heads), variance_row(heads)]
    return [*rows, rounding_row(seed)]


def tosses(schedule: str, draws: int, seed: int, **options: str) -> Tensor:
    """Coins that DDPM draws with a perfect epsilon, (draws, 1) tokens; options: of `ddpm`."""
    return written(coin(schedule), Canvas.blank(1, draws), STEPS, seed, **options)


def coin(schedule: str) -> Process:
    """The perfect network of the coin, whose code is one number, -1 or 1."""
    return perfect("bits", COIN, PROCESSES["bits"].over.schedule_of(schedule))


@torch.no_grad()
def written(process: Process, canvas: Canvas, steps: int, seed: int, **options: str) -> Tensor:
    """What DDPM writes on a canvas, (B, L) tokens, without a Frame for every step."""
    rng = seeded(seed)
    start = State(process.noise.prior(canvas, rng), canvas)
    times = grid(steps, process.noise.schedule)
    *_, last = SAMPLERS["ddpm"].run(process, process.denoise, start, times, rng, **options)
    return process.noise.read(last.x)


def share(found: Tensor) -> tuple[float, float]:
    """The share of what is true, and its standard error, which is not 0 where all is or nothing: by
    Laplace's rule one more of each is counted for it."""
    n, k = found.numel(), found.sum().item()
    p = (k + 1) / (n + 2)
    return k / n, (p * (1 - p) / n) ** 0.5


# ---------------------------------------------------------------- the rows


def row(name: str, schedule: str, of: str, shares: tuple, sentence: str, **more) -> dict:
    """A row of `measured`. shares: as printed and right, each with its error, or (None, None);
    more: other formulas than the card's, and what else was measured."""
    card = next((card for card in CARDS if card.name == name), None)
    formulas = {"printed": card.printed, "right": card.right} if card else {}
    told = {"mistake": name, "schedule": schedule, "of": of, "sentence": sentence} | formulas
    for how, (value, error) in zip(("printed", "right"), shares):
        told |= {f"{how}_share": value, f"{how}_error": error}
    return told | more


def factor_row(heads: Heads, schedule: str) -> dict:
    """sqrt(beta) in the place of beta / sqrt(1 - abar)."""
    printed, right = heads(schedule, factor="sqrt-beta"), heads(schedule)
    noise = "Where the schedule ends in pure noise" if schedule == WHOLE else "Where it stops early"
    said = (
        f"{noise}, a coin of .80 falls on heads in {printed[0]:.1%} of the draws with √β, in "
        f"{right[0]:.1%} with the right factor."
    )
    return row("factor", schedule, "heads", (printed, right), said)


def zero_row(heads: Heads) -> dict:
    """The division by zero: nothing can be drawn, and the sentence is the refusal."""
    try:
        list(generate(coin(WHOLE), Canvas.blank(1), sampler="ddpm", factor="beta-before"))
    except ValueError as refusal:
        return row("zero", WHOLE, "heads", ((None, None), heads(WHOLE)), str(refusal))
    raise AssertionError("A division by zero was not refused.")


def schedule_row(heads: Heads) -> dict:
    """The unfinished schedule, with right formulas."""
    printed, right = heads(SHORT), heads(WHOLE)
    said = (
        f"A coin of .80 falls on heads in {printed[0]:.1%} of the draws where noise stops too "
        f"early, in {right[0]:.1%} where it ends in pure noise."
    )
    return row("schedule", SHORT, "heads", (printed, right), said)


def variance_row(heads: Heads) -> dict:
    """sigma^2 = beta beside beta-tilde: two right ways."""
    beta, tilde = heads(WHOLE, variance="beta"), heads(WHOLE)
    said = (
        f"σ² = β is no mistake: with it the coin falls on heads in {beta[0]:.1%} of the draws, "
        f"with the other choice in {tilde[0]:.1%}."
    )
    formulas = {"printed": "σₜ² = βₜ", "right": "σₜ² = βₜ (1 − ᾱₜ₋₁) / (1 − ᾱₜ)"}
    return row("none", WHOLE, "heads", (beta, tilde), said, **formulas)


def rounding_row(seed: int) -> dict:
    """Learning without a rounding loss. Beside the shares: printed_loss and right_loss, the squared
    error alone, and printed_divergence and right_divergence of what is written from the language,
    nats a letter. Of one training each: the errors are over texts only."""
    schedule = PROCESSES["gaussian"].over.usual_schedule
    printed, right = lesson(seed, "no"), lesson(seed, "yes")
    said = (
        f"Without a rounding loss the squared error is {printed['loss']:.1g}, with it "
        f"{right['loss']:.2f}; but {printed['read'][0]:.0%} of the letters are read right, with it "
        f"{right['read'][0]:.0%} (by chance {1 / len(LETTERS.tokenizer):.0%})."
    )
    more = {
        f"{how}_{name}": one[name]
        for how, one in (("printed", printed), ("right", right))
        for name in ("loss", "divergence")
    }
    shares = printed["read"], right["read"]
    return row("rounding", schedule, "letters read right", shares, said, **more)


# ---------------------------------------------------------------- learning


def lesson(seed: int, rounding: str) -> dict:
    """What a small network that predicts codes ("x0") has learned with a rounding loss or without:
    `read`, the share of letters that are read right from their own hardly noised codes, with its
    error; `loss`, the squared error; `divergence` of what it writes, nats a letter."""
    process = learned(seed, rounding)
    rng = seeded(seed)
    with torch.no_grad():
        x = LETTERS.sample(READ, LENGTH, rng)
        almost = process.noise.corrupt(x, torch.full(x.shape, T_MIN), rng)
        process.options["rounding"] = "no"  # the squared error alone
        loss = process.loss(Canvas(x, x < 0), rng).mean().item()
    read = share(process.noise.read(almost) == x)
    texts = written(process, Canvas.blank(LENGTH, WRITTEN), FEW, seed)
    far = bigram_divergence(texts, LETTERS)
    return dict(read=read, loss=loss, divergence=far)


def learned(seed: int, rounding: str) -> Process:
    """A network of one layer and its codes, after LESSONS batches of letters."""
    options = dict(parameterisation="x0", self_conditioning="no", rounding=rounding)
    shape = dict(layers=1, heads=2, width=32, length=LENGTH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        process = build("gaussian", LETTERS.tokenizer, **shape, options=options)
    rng, optimizer = seeded(seed), torch.optim.AdamW(process.parameters(), RATE)
    for _ in range(LESSONS):
        x = LETTERS.sample(BATCH, LENGTH, rng)
        loss = process.loss(Canvas(x, x < 0), rng).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return process.eval()
