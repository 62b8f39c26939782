"""What it costs to learn: bits against steps, and against epochs where text is scarce."""

from __future__ import annotations

import math
from dataclasses import replace

from tinydiff.claims import FAILS, HOLDS, PARTLY, Answer, Claim, Play, Plot, Point
from tinydiff.claims.lab import STORIES
from tinydiff.train.loop import Config

KINDS = ("masked", "autoregressive")
SHARES = (1.6, 6.3, 25.0)  # megabytes to learn from
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
        "stories that nobody learned from; an epoch is over when all text was read once."
    )
    minutes = 125
    plots = {
        "steps": Plot("With all of the text", "training steps", "bits a character", doubling=True),
        "epochs": Plot("With less of it", "epochs", "bits a character", doubling=True),
    }
    error = "none: one training of each kind, and the same held-out text for all"
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
        for name, config in self.trainings().items():
            lab.trained(self.name, name, config)
            for row in lab.rows(self.name, name):
                bits, epochs = row["valid"] / math.log(2), lab.epochs(config, row["step"])
                label = f"{config.process}, {NAMES[config.megabytes]}"
                if config.megabytes == max(SHARES):
                    yield Point("steps", config.process, row["step"], bits, None, 1, config.process)
                yield Point("epochs", label, round(epochs, 4), bits, None, 1, config.process)

    def answer(self, points):
        ours, rival = (points.line("steps", kind) for kind in KINDS)
        reached = ours[-1].value
        level = next((p.x for p in rival if p.value <= reached), math.inf)
        least = {
            label: min(p.value for p in points.line("epochs", label))
            for label in points.labels("epochs")
        }
        gaps = {
            share: least[f"masked, {NAMES[share]}"] - least[f"autoregressive, {NAMES[share]}"]
            for share in SHARES
        }
        few, all_ = gaps[min(SHARES)], gaps[max(SHARES)]
        sooner = (
            f"What masks reach in {ours[-1].x:.0f} steps, {reached:.2f} bits, autoregression "
            f"reaches in {level:.0f}."
            if level < math.inf
            else f"Autoregression does not reach the {reached:.2f} bits of masks."
        )
        scarce = ", ".join(f"{gap:+.2f} bits with {NAMES[share]}" for share, gap in gaps.items())
        closing = (
            "With less text masks lose less of their distance"
            if abs(few) < abs(all_)
            else "With less text masks do not come nearer"
        )
        text = (
            f"{sooner} At their best validation masks stand {scarce} of the text behind "
            f"autoregression. {closing}."
        )
        return Answer(self.judged(level, ours[-1].x, few, all_), text, sooner)

    def judged(self, level: float, last: float, few: float, all_: float) -> str:
        dearer, scarcer = level < last, few < all_
        return HOLDS if dearer and scarcer else PARTLY if dearer or scarcer else FAILS

    def plays(self):
        return [Play("Train one yourself", tab="train")]
