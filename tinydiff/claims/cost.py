"""What it costs to learn: bits against steps, and against epochs where text is scarce."""

from __future__ import annotations

import math
from dataclasses import replace

from tinydiff import uncertainty
from tinydiff.claims import FAILS, HOLDS, PARTLY, Answer, Claim, Play, Plot, Point, sure, told
from tinydiff.claims.lab import STORIES
from tinydiff.train.loop import Config

KINDS = ("masked", "autoregressive")
SHARES = (1.6, 6.3, 25.0)  # megabytes to learn from
DISTANCE = "masks behind autoregression"
WORN = 0.02  # bits that a network must lose to be called worse
NAMES = {1.6: "1/16", 6.3: "1/4", 25.0: "all"}


class Cost(Claim):
    name = "cost"
    said = (
        "Diffusion costs more to train than autoregression; but where text is scarce it makes more "
        "of it."
    )
    how = (
        "Both kinds learn from 1.6, 6.3 and 25 MB of stories: the same network, tokenizer, batches "
        "and steps, and a step costs both the same. Every 50 steps both are measured on the same "
        "stories that nobody learned from; an epoch is over when all text was read once. "
        "The distance is that of the weights that did best, on the beginnings of the same stories."
    )
    minutes = 125
    plots = {
        "steps": Plot("With all of the text", "training steps", "bits a character", doubling=True),
        "epochs": Plot("With less of it", "epochs", "bits a character", doubling=True),
        "distance": Plot(
            "How far masks are behind, each at its best",
            "megabytes to learn from",
            "bits a character",
        ),
    }
    error = "over stories, of the distance; none of validations; one training each"
    note = (
        "The bits of masked networks are an upper bound, those of autoregressive ones are exact. "
        "Learning rates are the same for both, so neither is at its own best."
    )

    def trainings(self):
        return {
            f"{kind}-{share:g}": replace(STORIES, process=kind, megabytes=share)
            for share in SHARES
            for kind in KINDS
        }

    @classmethod
    def usual(cls, kind: str) -> tuple[str, Config]:
        """The network of a kind that learned from all of the text, for other claims: its name and
        how it is trained."""
        name = f"{kind}-{max(SHARES):g}"
        return name, cls().trainings()[name]

    def measure(self, lab):
        ends: dict[float, list] = {}
        for name, config in self.trainings().items():
            process = lab.trained(self.name, name, config)
            bits, characters = lab.known(process)
            ends.setdefault(config.megabytes, []).append(bits)
            for row in lab.rows(self.name, name):
                bits, epochs = row["valid"] / math.log(2), lab.epochs(config, row["step"])
                label = f"{config.process}, {NAMES[config.megabytes]}"
                if config.megabytes == max(SHARES):
                    yield Point("steps", config.process, row["step"], bits, None, 1, config.process)
                yield Point("epochs", label, round(epochs, 4), bits, None, 1, config.process)
        for share, (ours, rival) in ends.items():
            mean = uncertainty.mean(ours - rival, characters, consecutive=False)
            n = len(characters)
            yield Point("distance", DISTANCE, share, mean.value, mean.error, n, "masked")

    def answer(self, points):
        ours, rival = (points.line("steps", kind) for kind in KINDS)
        reached = ours[-1].value
        level = next((p.x for p in rival if p.value <= reached), math.inf)
        distance = points.line("distance", DISTANCE)
        few, all_ = distance[0], distance[-1]
        sooner = (
            f"What masks reach in {ours[-1].x:.0f} steps, {reached:.2f} bits, autoregression "
            f"reaches in {level:.0f}."
            if level < math.inf
            else f"Autoregression does not reach the {reached:.2f} bits of masks."
        )
        scarce = ", ".join(f"{told(p.mean)} bits with {NAMES[p.x]}" for p in distance)
        closing = (
            "With less text masks lose less of their distance"
            if nearer(few, all_)
            else "With less text masks do not come nearer"
        )
        worn = overfitted(points)
        text = (
            f"{sooner} Each at its best, masks are behind autoregression by {scarce} of the text. "
            f"{closing}.{worn}"
        )
        return Answer(self.judged(level, ours[-1].x, few, all_), text, f"{sooner}{worn}")

    def judged(self, level: float, last: float, few: Point, all_: Point) -> str:
        dearer, scarcer = level < last, nearer(few, all_)
        return HOLDS if dearer and scarcer else PARTLY if dearer or scarcer else FAILS

    def plays(self):
        return [Play("Train one yourself", tab="train")]


def nearer(few: Point, all_: Point) -> bool:
    """Is the distance with little text surely less than that with all of it?"""
    error = math.hypot(few.error or 0.0, all_.error or 0.0)
    return few.value < all_.value and sure(uncertainty.Mean(few.value - all_.value, error))


def overfitted(points) -> str:
    """A sentence for when the rival became worse on the least text, "" where it did not."""
    ours, rival = (points.line("epochs", f"{kind}, {NAMES[min(SHARES)]}") for kind in KINDS)
    best, end = min(rival, key=lambda p: p.value), rival[-1]
    if end.value < best.value + WORN:
        return ""
    return (
        f" With {NAMES[min(SHARES)]} of the text autoregression is best after {best.x:.0f} epochs, "
        f"{best.value:.2f} bits; after {end.x:.0f} it has {end.value:.2f}, masks "
        f"{ours[-1].value:.2f}."
    )
