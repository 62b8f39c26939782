"""How fragile hyperparameters are: the valley of learning rates."""

from __future__ import annotations

import math

import torch

from tinydiff import uncertainty
from tinydiff.claims import FAILS, HOLDS, UNDECIDED, Answer, Claim, Play, Plot, Point
from tinydiff.text import Canvas, corpus
from tinydiff.train.loop import Config

KINDS = ("masked", "gaussian", "autoregressive")
RATES = tuple(round(1e-4 * 10 ** (k / 3), 6) for k in range(10))  # 1e-4 ... 0.1
LOST = 0.1  # bits above the lowest point: the edge of the valley
STEPS = 2000  # about three minutes of a core
WINDOWS, DRAWS = 512, 8  # of the held-out text, and of noise on each


class Rates(Claim):
    name = "rates"
    said = "The hyperparameters of diffusion are fragile."
    how = (
        f"The smallest preset learns Tiny Shakespeare for {STEPS:,} steps, about three minutes, at "
        f"ten learning rates from {RATES[0]:g} to {RATES[-1]:g}: masks, blurred letters, and the "
        f"rival. {WINDOWS} windows of the held-out text tell what each has learned, with the same "
        f"noise on them. The valley of a kind is where it stays within {LOST} bits of its best."
    )
    minutes = 90
    plots = {
        "valley": Plot(
            "Ten learning rates", "learning rate, doublings of 0.0001", "bits a character", digits=2
        )
    }
    error = "over windows of text: one training of each kind and learning rate"

    def trainings(self):
        return {
            f"{kind}-{rate:g}": Config(
                process=kind,
                preset="tiny",
                lr=rate,
                steps=STEPS,
                batch=32,
                warmup=100,
                compile=False,
                validate_every=STEPS // 4,
                save_every=STEPS,
            )
            for kind in KINDS
            for rate in RATES
        }

    def measure(self, lab):
        few = [name for kind in KINDS for name in self.trainings() if name.startswith(kind)][::5]
        for name, config in self.trainings().items():
            if lab.quick and name not in few:
                continue
            process = lab.trained(self.name, name, config)
            bits, n = learned(lab, process, lab.as_here(config).corpus)
            x = round(math.log2(config.lr / RATES[0]), 3)
            yield Point("valley", config.process, x, bits.value, bits.error, n, config.process)

    def answer(self, points):
        width = {kind: valley(points.line("valley", kind)) for kind in KINDS}
        best = {
            kind: min(points.line("valley", kind), key=lambda point: point.value) for kind in KINDS
        }
        shown = "; ".join(
            f"{kind}: best {best[kind].value:.2f} bits at {RATES[0] * 2 ** best[kind].x:.2g}, "
            f"within {LOST} bits over a factor of {2 ** width[kind]:.0f}"
            for kind in KINDS
        )
        rival, ours = width["autoregressive"], [width[kind] for kind in KINDS[:2]]
        step = math.log2(RATES[1] / RATES[0])  # the rates stand so far apart: no finer can be told
        if all(one <= rival - step for one in ours):
            found = HOLDS
        elif all(one >= rival for one in ours):
            found = FAILS
        else:
            found = UNDECIDED
        brief = (
            f"Masks learn well at learning rates a factor of {2 ** width['masked']:.0f} apart, "
            f"blurred letters {2 ** width['gaussian']:.0f}, autoregression {2**rival:.0f}."
        )
        return Answer(found, f"{shown[0].upper()}{shown[1:]}.", brief)

    def plays(self):
        return [Play("Train one yourself", tab="train")]


@torch.no_grad()
def learned(lab, process, name: str) -> tuple[uncertainty.Mean, int]:
    """The bound of a network on windows of the held-out text, and how many those are."""
    data = corpus(name, tokenizer=process.tokenizer)
    windows = data.valid[: len(data.valid) // process.length * process.length]
    windows = windows.view(-1, process.length).long()
    n = min(len(windows), 32 if lab.quick else WINDOWS)
    tokens = windows[torch.arange(n) * len(windows) // n]
    canvas = Canvas(tokens, torch.zeros_like(tokens, dtype=torch.bool))
    draws = [process.bound(canvas, lab.rng(k)) for k in range(1 if lab.quick else DRAWS)]
    bits = torch.stack(draws).double().mean(0) / math.log(2)
    characters = canvas.characters(process.tokenizer)
    return uncertainty.mean(bits, characters, consecutive=False), n


def valley(line: list[Point]) -> float:
    """Doublings of the learning rate around the best one in which a line stays within LOST of it;
    between two rates the edge lies where the straight line between them has it."""
    values = [point.value for point in line]
    best = values.index(min(values))
    edge, width = values[best] + LOST, 0.0
    for way in (-1, 1):
        at = best
        while 0 <= at + way < len(line) and values[at + way] <= edge:
            at += way
        width += abs(line[at].x - line[best].x)
        if 0 <= at + way < len(line):
            part = (edge - values[at]) / (values[at + way] - values[at])
            width += part * abs(line[at + way].x - line[at].x)
    return width
