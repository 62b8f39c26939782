"""The curves beside a run, as plain numbers: what is left of the text at each time, the weight of
the loss, the loss of its checkpoint on held-out text there; and what each picture has of them.

A curve is a list of values at even distances of t, the first at 0, the last at 1; the held-out loss
is a list of [t, value]. What is read between two of them is interpolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from tinydiff.processes import Process
from tinydiff.sentences import is_number
from tinydiff.show import render
from tinydiff.show.render import BEHIND, GIVEN, MASK, Run

PLACES = 64  # of a text of any length
POINTS = 65  # of each curve of a noise
MOST = 1025  # points of a curve in a file that anybody may have written
NAMES = ("alpha", "weight")


def of(process: Process) -> dict[str, list[float]]:
    """alpha(t) and the loss weight at evenly spaced times from 0 to 1, in blocks those of a block;
    nothing where a process has no time."""
    if not process.traits & {"diffusion", "blocks"}:
        return {}
    t = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    # of a text: where time depends on the position, the mean over it
    each = t[:, None].expand(-1, process.length or PLACES)
    alpha, weight = process.noise.alpha(each), process.noise.weight(each.clamp_min(1e-3))
    weight[0] = weight[1]  # at t = 0 there is no noise and no mistake
    return {"alpha": rounded(alpha.mean(1)), "weight": rounded(weight.mean(1))}


def rounded(values: torch.Tensor) -> list[float]:
    return [round(v, 4) for v in values.tolist()]


def of_levels(levels: object) -> dict[str, list[list[float]]]:
    """The loss over noise that an evaluation holds (`evaluate.loss_over_noise`), as [t, nats a
    character] each, without the times at which a token had no probability. {} where it holds none,
    or something else."""
    rows = [row for row in levels if isinstance(row, dict)] if isinstance(levels, list) else []
    pairs = [(row.get("t"), row.get("nats")) for row in rows if row.get("nats") is not None]
    if not all(is_number(t) and is_number(nats) for t, nats in pairs):
        return {}
    found = {"loss": [[round(t, 4), round(nats, 4)] for t, nats in pairs]}
    return found if are(found) else {}


def are(found: object) -> bool:
    """Whether `of` and `of_levels` could have made them; for files that anybody may have
    written."""
    return isinstance(found, dict) and all(
        isinstance(values, list)
        and 2 <= len(values) <= MOST
        and (are_pairs(values) if name == "loss" else name in NAMES and all(map(is_value, values)))
        for name, values in found.items()
    )


def are_pairs(values: list) -> bool:
    """Is it a list of [t, value], t rising from above 0 to 1 at the most?"""
    if not all(isinstance(one, list) and len(one) == 2 for one in values):
        return False
    if not all(map(is_value, (part for one in values for part in one))):
        return False
    times = [0, *(t for t, _ in values)]
    return times[-1] <= 1 and all(a < b for a, b in zip(times, times[1:]))


def is_value(found: object) -> bool:
    """Is it a finite number from 0 on?"""
    return is_number(found) and found >= 0


def at(values: list[float], t: float) -> float:
    """A curve at a time, on the line between two points."""
    place = t * (len(values) - 1)
    left = min(int(place), len(values) - 2)
    return values[left] + (place - left) * (values[left + 1] - values[left])


def loss_at(pairs: list[list[float]], t: float) -> float:
    """The held-out loss at a time, on the line between two of those at which it was measured; 0 at
    t = 0, where nothing is noised. Beyond the last, that."""
    known = [[0.0, 0.0], *pairs]
    for (a, y), (b, z) in zip(known, known[1:]):
        if t <= b:
            return y + (t - a) / (b - a) * (z - y)
    return known[-1][1]


def weight_at(values: list[float], t: float) -> float | None:
    """The weight of the loss at a time, interpolated as 1 / weight, which for masks is t itself;
    None at t = 0, where nothing is noised and the weight of masks has no bound."""
    if t == 0:
        return None
    inverse = at([0.0, *(1 / y if y else 0.0 for y in values[1:])], t)
    return 1 / inverse if inverse else 0.0


# ---------------------------------------------------------------- along a run


@dataclass(frozen=True)
class Point:
    """What the curves have at a picture; None of what is not known. Shares and means are over what
    the run writes: not what is given, nor what is behind the end of the text."""

    step: int
    t: float
    alpha: float | None  # what is left of the text
    weight: float | None  # of the loss
    loss: float | None  # nats a character, of the checkpoint on held-out text
    hidden: float  # share that is masked
    changing: float  # share that differs from the picture before
    entropy: float  # of the prediction, nats, the mean
    calls: int
    seconds: float


def along(run: Run) -> list[Point]:
    """A Point for each picture of a run."""
    found, before, curves = [], run.frames[0].text, run.curves
    for picture, states in zip(run.frames, render.states(run.frames)):
        open_ = [i for i, state in enumerate(states) if state not in (GIVEN, BEHIND)]
        count, text, t = max(1, len(open_)), picture.text, picture.t
        found.append(
            Point(
                picture.step,
                t,
                at(curves["alpha"], t) if "alpha" in curves else None,
                weight_at(curves["weight"], t) if "weight" in curves else None,
                loss_at(curves["loss"], t) if "loss" in curves else None,
                sum(text[i] == MASK for i in open_) / count,
                sum(text[i] != before[i] for i in open_) / count,
                math.fsum(picture.entropy[i] for i in open_) / count,
                picture.calls,
                picture.seconds,
            )
        )
        before = text
    return found
