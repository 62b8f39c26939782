"""Long texts by blocks, and by windows that slide, at equal calls of the network."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tinydiff import uncertainty
from tinydiff.claims import (
    Answer,
    Claim,
    Play,
    Plot,
    Point,
    share,
    sure,
    together,
    told,
    verdict,
)
from tinydiff.claims.lab import MASKED, RIVAL, SPEEDY, jackknife
from tinydiff.exact import bigram_divergence, perfect
from tinydiff.generate import generate
from tinydiff.processes import Process
from tinydiff.store import catalogue
from tinydiff.text import Canvas
from tinydiff.uncertainty import Mean

BLOCK, SCORE = "stories/block", "stories/score-masked"
TOKENS, GIVEN, PARTS = 1024, 32, 4  # of a text, of its true beginning; parts that are judged
QUICK = 272, 240  # tokens and those given, in a quick look
LETTERS, EXACT, CALLS = 128, 256, (8, 16, 32, 64, 128)  # of an exact text, how many, in what
BLOCKS, SLIDING, RATIOS = "blocks", "masked, sliding window", "score entropy, sliding window"
REFERENCE, REAL = "autoregressive", "real stories"
WHOLE, TRUE = "masked, all at once", "true texts"


class Way(NamedTuple):
    """A model, and how it writes a long text."""

    key: str
    label: str
    sampler: str
    steps: int = 1  # a window of 256 tokens; a rival takes one for each token
    batch: int = 64  # texts that are written at once


# 2 calls for each block of 16 tokens, 124 in all; 18 for each of 7 windows, 126 in all
EQUAL = (
    Way(BLOCK, BLOCKS, "blockwise", 32),
    Way(MASKED, SLIDING, "ancestral", 18, SPEEDY // 256),
    Way(SCORE, RATIOS, "ancestral", 18, SPEEDY // 256),
)
MORE = Way(BLOCK, BLOCKS, "blockwise", 128)  # 496 calls
LAST = Way(RIVAL, REFERENCE, "left_to_right")


class Judged(NamedTuple):
    """The judge's bits of texts and their characters, in each part of them, (B, PARTS)."""

    bits: Tensor
    characters: Tensor

    def part(self, k: int) -> Judged:
        """Part 1, 2 ... of the texts, or with 0 all of them, (B,)."""
        return Judged(*(x[:, k - 1] if k else x.sum(1) for x in self))

    def mean(self, k: int) -> Mean:
        """Bits a character of a part."""
        return uncertainty.mean(*self.part(k), consecutive=False)


class Long(Claim):
    name = "long"
    said = "Block diffusion writes long texts in fewer calls."
    how = (
        f"Four models write on behind the first {GIVEN} tokens of held-out stories until there are "
        f"{TOKENS:,} tokens, story after story. Blocks of 16 tokens are written one after the "
        "other, each given all that stands before it in a window of 256. Two others write such a "
        "window at once, keep its second half, and write the next half behind it. These three get "
        "as many calls of their network; the rival writes one token a call. The judge reads the "
        "whole text, and is asked for each quarter of it. The same is done with perfect networks "
        f"and {LETTERS} letters in pairs: there only the way of writing is at fault."
    )
    minutes = 31
    models = (BLOCK, MASKED, SCORE, RIVAL)
    plots = {
        "quarters": Plot(
            "The judge along the text", "quarter of the text", "judge, bits a character"
        ),
        "calls": Plot("The whole text", "calls", "judge, bits a character", doubling=True),
        "seconds": Plot("Seconds of a text", "calls", "seconds", doubling=True, log=True, digits=2),
        "exact": Plot(
            "Perfect networks: how far texts are from their language",
            "calls",
            "bits a letter",
            doubling=True,
        ),
    }
    note = (
        "The models had not the same training: what blocks lose by theirs and what by their order "
        "is told apart with perfect networks alone. Seconds are of a text among many that are "
        "written at once."
    )

    def measure(self, lab):
        rows = streams(lab)
        yield from quarters(judged(lab, RIVAL, rows), REAL, "ink")
        found = {}
        for way in (*EQUAL, LAST):
            tokens, cost = written(lab, way, rows)
            texts = found[way.label] = judged(lab, way.key, tokens)
            yield from quarters(texts, way.label, lab.model(way.key).name)
            yield from spent(lab, way, texts, cost)
            empty = uncertainty.mean(*unused(lab, way, tokens), consecutive=False)
            yield Point("unused", way.label, 0, empty.value, empty.error, lab.texts)
        tokens, cost = written(lab, MORE, rows)
        yield from spent(lab, MORE, judged(lab, MORE.key, tokens), cost)
        for other in (SLIDING, RATIOS):
            yield from differences(other, found[BLOCKS], found[other])
        yield from bounds()
        yield from exact(lab)

    def answer(self, points):
        few, more = points.line("calls", BLOCKS)
        masked, score, rival = (
            points.line("calls", label)[0] for label in (SLIDING, RATIOS, REFERENCE)
        )
        ours, theirs = (points.line("seconds", label)[0] for label in (BLOCKS, SLIDING))
        apart = [points.mean("difference", label, 0) for label in (SLIDING, RATIOS)]
        parts = [points.mean("difference", SLIDING, k) for k in (1, PARTS)]
        bounds = ", ".join(
            f"{told(points.mean('bound', key, 0))} ({label})"
            for key, label in ((BLOCK, "blocks"), (MASKED, "masked"), (SCORE, "score entropy"))
        )
        text = (
            f"In {few.x:.0f} calls blocks come to {told(few.mean, 'bits')} a character, windows of "
            f"masks in {masked.x:.0f} to {told(masked.mean)}, score entropy in {score.x:.0f} to "
            f"{told(score.mean)}. On the same beginnings blocks need {more_or_less(apart[0])} than "
            f"masks ({more_or_less(parts[0])} in the first quarter, {more_or_less(parts[1])} in "
            f"the last) and {more_or_less(apart[1])} than score entropy. In {more.x:.0f} calls "
            f"blocks come to {told(more.mean)}, the rival in {rival.x:,.0f} to "
            f"{told(rival.mean)}; real stories have {told(points.mean('whole', REAL, 0))}. A call "
            f"for a block computes less: its {few.x:.0f} calls take {ours.value:.2f} s a text, "
            f"those for windows of masks {theirs.value:.2f} s. Windows of masks leave "
            f"{share(points.mean('unused', SLIDING, 0))} of their tokens empty behind the ends of "
            f"stories, blocks {share(points.mean('unused', BLOCKS, 0))}. The networks differ by "
            f"their training already: their bounds on held-out stories are {bounds} bits a "
            f"character. {perfectly(points)}"
        )
        worse = "worse" if apart[0].value > 0 else "better"
        brief = (
            f"In as many calls, long texts of blocks are {worse} than those of a window of "
            f"masks that slides over the text ({more_or_less(apart[0])} a character); a call "
            f"for a block computes less, though: {ours.value:.2f} s a text in the place of "
            f"{theirs.value:.2f} s. The networks were not trained alike."
        )
        return Answer(together(*(verdict(one, -1) for one in apart)), text, brief)

    def plays(self):
        return [Play("Block by block, without an end", tab="blocks")]


# ---------------------------------------------------------------- texts


def sizes(lab) -> tuple[int, int]:
    """The tokens of a text, and those of its true beginning."""
    return QUICK if lab.quick else (TOKENS, GIVEN)


def streams(lab) -> Tensor:
    """Rows of held-out stories, an END behind each, (B, n): each row from another one on."""
    tokenizer, stories = lab.model(RIVAL).tokenizer, lab.heldout
    ids = [
        torch.cat([tokenizer.encode(text), torch.tensor([tokenizer.end_id])]) for text in stories
    ]
    whole, starts = torch.cat(ids), [0, *torch.tensor(list(map(len, ids))).cumsum(0).tolist()]
    places = torch.arange(sizes(lab)[0])
    begins = torch.tensor([starts[i * len(stories) // lab.texts] for i in range(lab.texts)])
    return whole[(begins[:, None] + places) % len(whole)].long()


def written(lab, way: Way, rows: Tensor) -> tuple[Tensor, dict]:
    """The rows with all but their beginnings written anew, and what it cost."""
    given = torch.arange(rows.shape[1]) < sizes(lab)[1]
    canvas = Canvas(rows, given.expand(rows.shape))
    steps = way.steps if not lab.quick else way.steps // 2 if way.key == BLOCK else 1
    how = dict(sampler=way.sampler, steps=steps, temperature=lab.best(way.key))
    return lab.write(lab.model(way.key), canvas, batch=way.batch, **how)


def judged(lab, key: str, rows: Tensor) -> Judged:
    """What the judge makes of the parts of texts behind their beginnings."""
    tokens, given = sizes(lab)
    stops = [given, *(tokens * k // PARTS for k in range(1, PARTS + 1))]
    if lab.quick:
        stops = [given + (tokens - given) * k // PARTS for k in range(PARTS + 1)]
    return Judged(*lab.along(lab.model(key), rows, stops))


def unused(lab, way: Way, rows: Tensor) -> tuple[Tensor, Tensor]:
    """How many written tokens end nothing and spell nothing, an END behind another, and of how
    many; (B,) each."""
    end = rows[:, sizes(lab)[1] :] == lab.model(way.key).tokenizer.end_id
    return (end[:, 1:] & end[:, :-1]).sum(1), torch.full((len(rows),), end.shape[1])


# ---------------------------------------------------------------- points


def quarters(texts: Judged, label: str, family: str):
    """The judge along the texts, and of all."""
    for k in range(PARTS + 1):
        mean, plot = texts.mean(k), "quarters" if k else "whole"
        if texts.part(k)[1].sum():  # else nobody wrote a character there
            yield Point(plot, label, k, mean.value, mean.error, len(texts.bits), family)


def spent(lab, way: Way, texts: Judged, cost: dict):
    """The judge and the time of whole texts, at their calls."""
    mean, family, seconds = texts.mean(0), lab.model(way.key).name, cost["ms"] / 1000 / lab.texts
    yield Point("calls", way.label, cost["calls"], mean.value, mean.error, lab.texts, family)
    yield Point("seconds", way.label, cost["calls"], seconds, None, 0, family)


def differences(label: str, ours: Judged, theirs: Judged):
    """How many bits a character more ours need than theirs behind the same beginnings, which are
    left out together: of all (0), and of each part."""
    for k in range(PARTS + 1):
        pair = (*ours.part(k), *theirs.part(k))
        mean = jackknife(lambda a, n, b, m: (pooled(a, n) - pooled(b, m)).item(), *pair)
        yield Point("difference", label, k, mean.value, mean.error, len(ours.bits))


def pooled(bits: Tensor, characters: Tensor) -> Tensor:
    """Bits a character of texts, all together."""
    return bits.sum() / characters.sum().clamp_min(1)


def bounds():
    """The bounds of the networks on held-out text, bits a character, as they were evaluated."""
    for key in (BLOCK, MASKED, SCORE):
        bound = catalogue.card_of(key).evaluation["bound"]
        error = bound["error"] * bound["bits"] / bound["nats"]
        yield Point("bound", key, 0, bound["bits"], error, bound["windows"])


def exact(lab):
    """Letters in pairs, written by perfect networks in blocks and all at once."""
    language = catalogue.bigrams()
    length, n = (32, 16) if lab.quick else (LETTERS, EXACT)
    ways = ((BLOCKS, "block", "blockwise"), (WHOLE, "masked", "ancestral"))
    for label, name, sampler in ways:
        process = perfect(name, language)
        for steps in lab.some(CALLS):
            calls, texts = exact_texts(lab, process, n, length, sampler=sampler, steps=steps)
            yield diverging(label, calls, texts, language, name)
    sample = language.sample(n, length, lab.rng(1))
    for steps in lab.some(CALLS):
        yield diverging(TRUE, steps, sample, language, "ink")


def exact_texts(lab, process: Process, n: int, length: int, **how) -> tuple[int, Tensor]:
    """The calls in which a perfect network writes texts, and the texts."""
    *_, frame = generate(process, Canvas.blank(length, n), seed=lab.seed, **how)
    return frame.calls, frame.tokens


def diverging(label: str, calls: int, texts: Tensor, language, family: str) -> Point:
    """How far texts are from their language."""
    mean = jackknife(lambda rows: bigram_divergence(rows, language) / math.log(2), texts)
    return Point("exact", label, calls, mean.value, mean.error, len(texts), family)


# ---------------------------------------------------------------- words


def more_or_less(difference: Mean) -> str:
    """ "0.12 ± 0.03 bits more"."""
    size = told(Mean(abs(difference.value), difference.error), "bits")
    way = "more" if difference.value > 0 else "less"
    return f"{size} {way}" + ("" if sure(difference) else " (undecided)")


def perfectly(points) -> str:
    """What perfect networks say of the two ways."""
    ours, whole = (points.line("exact", label)[1] for label in (BLOCKS, WHOLE))
    (true, *_) = points.line("exact", TRUE)
    return (
        f"With perfect networks letters in pairs are {told(ours.mean, 'bits')} a letter from their "
        f"language in {ours.x:.0f} calls by blocks, {told(whole.mean)} in {whole.x:.0f} all at "
        f"once; true texts as many are {told(true.mean)}."
    )
