"""Blocks of one word are autoregression, and what training leaves between them comes from the
variance of the gradient (BD3-LM, arXiv:2503.09573, sections 4 and 5.3)."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch

from tinydiff.claims import FAILS, HOLDS, PARTLY, Answer, Claim, Play, Plot, Point, told
from tinydiff.claims.cost import Cost
from tinydiff.claims.lab import RIVAL, STORIES
from tinydiff.processes import Process
from tinydiff.schedules import schedule
from tinydiff.store import catalogue
from tinydiff.text import Canvas

BLOCK = "stories/block"
EVEN, CLIPPED, AUTO = "blocks of one, any share", "blocks of one, all hidden", "autoregressive"
SIZES = (4, 16)  # of blocks whose gradient is looked at
WINDOWS = {  # of the times of training, for each size (BD3-LM, table 7, and the whole)
    "t from 0 to 1": (0.0, 1.0),
    "t from 0.5 to 1": (0.5, 1.0),
    "t from 0.3 to 0.8": (0.3, 0.8),
    "t from 0 to 0.5": (0.0, 0.5),
}
SHAPES = ("linear", "cosine", "polynomial", "sqrt")
DRAWS, ROWS = 24, 4  # of noise, and windows of text that are noised
LENGTH = 192  # tokens of one


class Blocks(Claim):
    name = "blocks"
    said = (
        "Blocks of one word are autoregression; the gap that training leaves between them comes "
        "from the variance of the gradient."
    )
    how = (
        "Three networks learn alike and cost alike: an autoregressive one; blocks of one word, of "
        "which a random share is hidden in training, as the bound has it; blocks of one word that "
        "are always hidden, the only question that they have. Then the gradient of the bundled "
        "network of blocks is computed again and again with other noise on the same text: how "
        "large is what changes beside what stays?"
    )
    minutes = 70
    models = (BLOCK, RIVAL)
    plots = {
        "one": Plot("Learning", "training steps", "bits a character", doubling=True),
        "sizes": Plot(
            "Blocks of 1 to 64, one network", "tokens of a block", "bits a character", doubling=True
        ),
        "noise": Plot(
            "Noise of the gradient",
            "tokens of a block",
            "variance / square of the mean",
            doubling=True,
            log=True,
            digits=1,
        ),
    }
    note = "One training of each: their differences have no error over trainings."

    def trainings(self):
        # a step reads text and noise: it costs twice a step of the rival
        steps = dict(steps=STORIES.steps // 2, validate_every=STORIES.validate_every)
        return {
            name: replace(STORIES, process="block", options=f"block=1,clip={clip}", **steps)
            for name, clip in (("even", "no"), ("clipped", "yes"))
        }

    def measure(self, lab):
        for (name, config), label in zip(self.trainings().items(), (EVEN, CLIPPED)):
            lab.trained(self.name, name, config)
            yield from learned(lab, self.name, name, label, "block", 2)
        name, config = Cost.usual("autoregressive")
        lab.trained(Cost.name, name, config)
        yield from learned(lab, Cost.name, name, AUTO, "autoregressive", 1)
        yield from sizes()
        yield from noise(lab)

    def answer(self, points):
        even, clipped, rival = (points.line("one", label)[-1] for label in (EVEN, CLIPPED, AUTO))
        sizes = points.line("sizes", "blocks")
        shown = ", ".join(f"{told(p.mean)} at {p.x:.0f}" for p in sizes)
        one = points.line("noise", "t from 0 to 1")[0]
        least = min(
            (p for p in points.all if p.plot == "noise" and p.x == one.x), key=lambda p: p.value
        )
        text = (
            f"At equal cost blocks of one that are always hidden reach {clipped.value:.3f} bits, "
            f"with any share hidden {even.value:.3f}, autoregression {rival.value:.3f}. Of the "
            f"gradient in blocks of {one.x:.0f} the noise is {told(one.mean)} times the rest with "
            f"even times, and the least with {least.label}: {told(least.mean)}. Bits a character "
            f"of one network by the size of its blocks: {shown}."
        )
        brief = (
            f"Blocks of one word that learn at any share of noise end "
            f"{even.value - rival.value:+.3f} bits from autoregression; with the word always "
            f"hidden, where the noise of the gradient is least, {clipped.value - rival.value:+.3f}."
        )
        return Answer(self.judged(even.value, clipped.value, rival.value), text, brief)

    def judged(self, even: float, clipped: float, rival: float) -> str:
        """The gap is that of variance where most of it goes with the variance."""
        gap, left = even - rival, clipped - rival
        if gap <= 0:
            return FAILS
        return HOLDS if left < gap / 4 else PARTLY if left < gap else FAILS

    def plays(self):
        return [Play("Blocks of any size", tab="blocks")]


def learned(lab, claim, name, label, family, cost):
    """Validations against steps of the autoregressive network, of which one of blocks costs two."""
    for row in lab.rows(claim, name):
        bits = row["valid"] / math.log(2)
        yield Point("one", label, cost * row["step"], bits, None, 1, family)


def sizes():
    """Bits of the bundled network by the size of its blocks, from its evaluation."""
    card = catalogue.card_of(BLOCK).evaluation
    for row in card["blocks"]:
        known = row["bound"]
        bits, error = known["bits"], known["error"] and known["error"] / math.log(2)
        yield Point("sizes", "blocks", row["size"], bits, error, known["windows"], "block")


# ---------------------------------------------------------------- the gradient


def noise(lab):
    """The variance of the gradient of blocks beside the square of its mean, both summed over all
    weights, for windows of times and for schedules."""
    process = lab.model(BLOCK)
    canvas = texts(lab, process)
    for size in lab.some(SIZES, 1):
        for label, window in lab.some([*WINDOWS.items()], 1):
            yield spread(lab, process, canvas, size, window, label)
        for shape in lab.some(SHAPES[1:], 1):
            yield spread(lab, with_schedule(process, shape), canvas, size, (0.0, 1.0), shape)


def spread(lab, process: Process, canvas: Canvas, size: int, window, label: str) -> Point:
    """One point of it. The estimate of the mean's square is freed of the variance that is left in
    the mean; its error is that of leaving out one draw after the other."""
    draws = 3 if lab.quick else DRAWS
    grads = torch.stack([gradient(process, canvas, size, window, lab.rng(k)) for k in range(draws)])
    inner = grads @ grads.T  # (n, n)
    value = ratio(inner)
    kept = ~torch.eye(draws, dtype=torch.bool)
    left = torch.tensor([ratio(inner[keep][:, keep]) for keep in kept])
    error = ((draws - 1) / draws * (left - left.mean()).square().sum()).sqrt().item()
    return Point("noise", label, size, value, error, draws, "block")


def ratio(inner: torch.Tensor) -> float:
    """Variance over square of the mean, from the products of gradients (n, n)."""
    n = len(inner)
    squares = inner.diagonal().mean()
    mean = (inner.sum() - inner.diagonal().sum()) / (n * (n - 1))
    return ((squares - mean) / mean.clamp_min(1e-12)).item()


def gradient(process: Process, canvas: Canvas, size: int, window, rng) -> torch.Tensor:
    """The gradient of the loss of one noising, all weights in a row, float32."""
    net = process.net.requires_grad_(True)
    nats, _ = process.nats(canvas, rng, size, *window)
    loss = nats.sum(1).mean() / canvas.given.shape[1]
    found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None]).float()


def with_schedule(process: Process, name: str) -> Process:
    """The same network under another schedule."""
    other = copy.copy(process)
    other.noise = copy.copy(process.noise)
    other.noise.schedule = schedule(name)
    return other


def texts(lab, process: Process) -> Canvas:
    """Windows of held-out stories to noise."""
    tokens = lab.stories(process, 64 if lab.quick else LENGTH, ROWS)
    return Canvas(tokens, torch.zeros_like(tokens, dtype=torch.bool))
