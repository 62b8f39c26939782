"""Slower, or faster by writing in parallel: calls of the network and milliseconds to a level of the
judge that diffusion and its autoregressive rival both reach."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

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
from tinydiff.claims.lab import MASKED, RIVAL, SPEEDY, jackknife, milliseconds
from tinydiff.generate import windows
from tinydiff.processes import Process
from tinydiff.text import Canvas
from tinydiff.uncertainty import Mean

LENGTHS = (32, 64, 128, 256, 512, 1024)  # tokens of a text
# steps a window at which diffusion is measured; texts of 512 tokens are the longest ones, cut
STEPS = {
    32: (2, 4, 8, 16, 32),
    64: (2, 4, 8, 16, 32),
    128: (4, 8, 16, 32),
    256: (4, 8, 16, 32),
    1024: (8, 16),
}
MARGIN = 0.05  # bits a character: who is that near to a level has reached it
OURS, THEIRS = "masked", "autoregressive"
KEPT, READ = "autoregressive with its cache", "autoregressive without a cache"
CALLS = "calls"


class Parallel(Claim):
    name = "parallel"
    said = (
        "Diffusion is faster than autoregression, because each call of its network writes many "
        "tokens at once."
    )
    how = (
        f"{OURS.capitalize()} diffusion and its autoregressive rival write texts of "
        f"{LENGTHS[0]} to {LENGTHS[-1]:,} tokens from nothing, each at its own best temperature. "
        "The rival takes a call of its network for each token, and its text is cut where the "
        "tokens are full. Diffusion fits a story into them and takes as many calls as it is told; "
        f"we ask how many it needs until the judge likes its texts within {MARGIN:g} bits a "
        "character of a level that both reach: the worse of the best values of the two. Between "
        "the numbers of calls that were tried lie straight lines over their logarithm. Texts "
        "longer than the window of 256 tokens, story after story, are written in windows, each of "
        "which begins with half of the one before. Milliseconds are those of one text alone on "
        "this machine, the least of several runs; the rival keeps what it has read (a cache), or "
        "reads it again at each call."
    )
    minutes = 23
    models = (MASKED, RIVAL)
    plots = {
        "calls": Plot(
            "Calls to the level that both reach",
            "tokens of a text",
            "calls",
            doubling=True,
            log=True,
        ),
        "ms": Plot(
            "Milliseconds to the same level",
            "tokens of a text",
            "ms for a text",
            doubling=True,
            log=True,
            digits=0,
        ),
        "judge": Plot(
            "What the judge makes of it", "calls", "judge, bits a character", doubling=True
        ),
    }
    note = (
        "The opposite is said too: that diffusion is slower, because each of its calls reads the "
        "whole text again. That is why both are counted, calls and milliseconds. "
        "The verdict is on 'faster': in calls, and in milliseconds of a rival with its cache. A "
        "level that one of the two passes by far is a low one for it: it would not take fewer "
        "calls for that."
    )

    def measure(self, lab):
        lengths = lab.some(LENGTHS, 1)
        rival = along(lab, written(lab, RIVAL, lengths[-1]), RIVAL, lengths)
        for n, texts in rival.items():
            yield Point("judge", THEIRS, n, *texts.bits, lab.texts, THEIRS)
        for n, tries in attempts(lab, lengths).items():
            for calls, texts in tries.items():
                yield Point("judge", tries_of(n), calls, *texts.bits, lab.texts, OURS)
            yield from self.compared(lab, n, tries, rival[n])

    def compared(self, lab, n, tries, theirs):
        """Calls and milliseconds of both for texts of n tokens, and the differences."""
        calls = jackknife(lambda rows: needed(tries, theirs, rows), torch.arange(lab.texts))
        yield Point(CALLS, OURS, n, calls.value, calls.error, lab.texts, OURS)
        yield Point(CALLS, THEIRS, n, n, None, 0, THEIRS)
        yield Point("difference", CALLS, n, calls.value - n, calls.error, lab.texts)
        each = ms_a_call(lab, n, calls.value)
        ours = Mean(each * calls.value, each * (calls.error or 0))
        yield Point("ms", OURS, n, ours.value, ours.error, lab.texts, OURS)
        for label, process in ((KEPT, lab.model(RIVAL)), (READ, forgetful(lab.model(RIVAL)))):
            theirs = alone(lab, process, n, temperature=lab.best(RIVAL))
            yield Point("ms", label, n, theirs, None, 0, THEIRS)
            yield Point("difference", label, n, ours.value - theirs, ours.error, lab.texts)

    def answer(self, points):
        seen = points.line(CALLS, OURS)
        some = [p.x for p in seen if p.x == 256] + [seen[-1].x] * (seen[-1].x != 256)
        text = (
            f"{' '.join(cost(points, n) for n in some)} In calls {who(points, CALLS)}. In "
            f"milliseconds {who(points, KEPT)} where the rival keeps what it has read; where it "
            f"reads all again at each call, {who(points, READ)}."
        )
        last = some[0]
        calls, ours, theirs = (
            points.mean(*place, last) for place in ((CALLS, OURS), ("ms", OURS), ("ms", KEPT))
        )
        best = best_of(points, last), points.mean("judge", THEIRS, last)
        brief = (
            f"For texts that are as good, of {last:,.0f} tokens, diffusion takes {told(calls)} "
            f"calls and {whole(ours)} ms, autoregression a call for each token and "
            f"{whole(theirs)} ms. That is as good as both can be: at its best the judge gives "
            f"diffusion {told(best[0])} bits a character, autoregression {told(best[1])}."
        )
        return Answer(self.judged(points), text, brief)

    def judged(self, points) -> str:
        """Holds where diffusion is surely faster in calls and in milliseconds, at every length."""
        each = {sign(p) for label in (CALLS, KEPT) for p in points.line("difference", label)}
        if each == {-1}:
            return HOLDS
        return FAILS if each == {1} else UNDECIDED if each == {0} else PARTLY

    def plays(self):
        settings = dict(model=MASKED, steps=16, seed=1, temperature=0.5)
        return [
            Play("A story in 16 calls", settings),
            Play("A story in a call a token", dict(model=RIVAL, seed=1, temperature=0.6)),
            Play("Let them race", tab="race"),
        ]


# ---------------------------------------------------------------- what the judge makes of texts


class Judged(NamedTuple):
    """The judge's bits of texts, and their characters, (B,) each."""

    nats: Tensor
    characters: Tensor

    @property
    def bits(self) -> tuple[float, float | None]:
        """Bits a character, and their error."""
        mean = uncertainty.mean(self.nats, self.characters, consecutive=False)
        return mean.value, mean.error

    def of(self, rows: Tensor) -> float:
        """Bits a character of some of the texts."""
        return (self.nats[rows].sum() / self.characters[rows].sum().clamp_min(1)).item()


def written(lab, key: str, n: int, **how) -> Tensor:
    """Texts of n tokens (B, n) that a model writes from nothing at its own best temperature."""
    blank = Canvas.blank(n, lab.texts)
    return lab.write(lab.model(key), blank, temperature=lab.best(key), **how)[0]


def along(lab, tokens: Tensor, key: str, lengths: Sequence[int]) -> dict[int, Judged]:
    """What the judge makes of the first n tokens of texts, for each n."""
    bits, characters = lab.along(lab.model(key), tokens, (0, *lengths))
    return {n: Judged(*each) for n, *each in zip(lengths, bits.cumsum(1).T, characters.cumsum(1).T)}


def attempts(lab, lengths: Sequence[int]) -> dict[int, dict[int, Judged]]:
    """For each length the texts of diffusion by their calls, rising."""
    found: dict[int, dict[int, Judged]] = {n: {} for n in lengths}
    for n, steps in STEPS.items():
        if n not in lengths:
            continue
        cut = [n] if n <= 256 else [m for m in lengths if m > 256]
        for many in lab.some(steps):
            batch = SPEEDY // min(n, 256)
            tokens = written(lab, MASKED, n, sampler="ancestral", steps=many, batch=batch)
            for m, texts in along(lab, tokens, MASKED, cut).items():
                found[m][many * pieces(lab, m)] = texts
    return found


def pieces(lab, n: int) -> int:
    """In how many windows diffusion writes n tokens."""
    return len(windows(n, lab.model(MASKED).length))


def needed(tries: dict[int, Judged], theirs: Judged, rows: Tensor) -> float:
    """The calls that diffusion needs to a level that both reach, of some of the texts: the fewest
    that were tried, or those on the way to the first that reach it."""
    bits = {calls: texts.of(rows) for calls, texts in tries.items()}
    level = max(min(bits.values()), theirs.of(rows)) + MARGIN
    for (before, above), (calls, below) in pairwise(bits.items()):
        if above > level >= below:
            way = (above - level) / (above - below)
            return before * (calls / before) ** way
        if above <= level:
            return before
    return list(bits)[-1]


# ---------------------------------------------------------------- milliseconds


def alone(lab, process: Process, n: int, **how) -> float:
    """Milliseconds in which a process writes one text of n tokens."""
    blank, times = Canvas.blank(n), 1 if lab.quick else 3 if n <= 256 else 2
    return milliseconds(lambda: lab.write(process, blank, **how), times)


def ms_a_call(lab, n: int, calls: float) -> float:
    """Milliseconds of one of about so many calls in which diffusion writes one text."""
    steps = max(1, round(calls / pieces(lab, n)))
    how = dict(sampler="ancestral", steps=steps, temperature=lab.best(MASKED))
    took = alone(lab, lab.model(MASKED), n, **how)
    return took / (steps * pieces(lab, n))


def forgetful(process: Process) -> Process:
    """The same autoregressive network, which reads all that stands there at each call."""
    kind = type(process)

    class Forgetful(kind):
        def denoise(self, x, t, label=None, cache=None):
            return super().denoise(x, t, label)

    found = copy.copy(process)
    found.__class__ = Forgetful
    return found


# ---------------------------------------------------------------- words


def sign(point: Point) -> int:
    """1 where diffusion is surely the more costly, -1 where the less, 0 where it is undecided."""
    return int(math.copysign(1, point.value)) if sure(point.mean) else 0


def whole(value: Mean) -> str:
    """Milliseconds without parts of them."""
    return told(value) if value.error else f"{value.value:,.0f}"


def best_of(points, n: float) -> Mean:
    """The least bits that the judge needs for diffusion's texts of n tokens."""
    return min((p.mean for p in points.line("judge", tries_of(n))), key=lambda mean: mean.value)


def cost(points, n: float) -> str:
    """A sentence with the calls and milliseconds for n tokens."""
    calls, ours = points.mean(CALLS, OURS, n), points.mean("ms", OURS, n)
    kept, read = (whole(points.mean("ms", label, n)) for label in (KEPT, READ))
    best = best_of(points, n)
    theirs = points.mean("judge", THEIRS, n)
    return (
        f"{n:,.0f} tokens: {told(calls)} calls and {whole(ours)} ms by diffusion, {n:,.0f} calls "
        f"and {kept} ms by its rival ({read} ms without a cache); at its best the judge gives "
        f"diffusion {told(best, 'bits')} a character, its rival {told(theirs, 'bits')}."
    )


def tries_of(n: float) -> str:
    """The line of diffusion's texts of n tokens."""
    return f"{OURS}, {n:,.0f} tokens"


def who(points, label: str) -> str:
    """Who needs fewer, at which numbers of tokens."""
    line = points.line("difference", label)
    named = ((-1, "diffusion needs fewer"), (1, "its rival needs fewer"), (0, "it is undecided"))
    parts = []
    for what, words in named:
        here = [f"{p.x:,.0f}" for p in line if sign(p) == what]
        if len(here) == len(line):
            return f"{words} at every length"
        parts += [f"{words} at {', '.join(here)} tokens"] if here else []
    return "; ".join(parts)
