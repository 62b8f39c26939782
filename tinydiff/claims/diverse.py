"""More diverse: how much texts repeat themselves and each other, where a judge likes two writers
equally well."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise

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
    share,
    sure,
    together,
    verdict,
)
from tinydiff.claims.lab import MASKED, RIVAL, SPEEDY, jackknife, texts_in
from tinydiff.measure.evaluate import TEMPERATURES, WORD, distinct_words
from tinydiff.text import Canvas
from tinydiff.uncertainty import Mean, written

TOKENS, STEPS, WORDS = 256, 32, 4  # of a text; of diffusion; of a group of words
LEVELS = 3  # of the judge's value, at which two writers are compared
OURS, THEIRS, REAL = "masked", "autoregressive", "real stories"
MEAN = "mean"  # over all levels

Line = list[tuple[float, float]]  # the judge's bits and a share, over temperatures


class Diverse(Claim):
    name = "diverse"
    said = "Diffusion's texts are more diverse."
    how = (
        f"{OURS.capitalize()} diffusion ({STEPS} steps) and its autoregressive rival write stories "
        f"of at most {TOKENS} tokens from nothing, at temperatures from {min(TEMPERATURES):g} to "
        f"{max(TEMPERATURES):g}. A cold writer pleases a judge and repeats itself; a hot one does "
        "neither. So two writers are compared where the judge likes both equally well, on the "
        f"lines between the temperatures. We count groups of {WORDS} words: how many of them are "
        "different ones, and how many of a text stand in some other text of the same writer too."
    )
    minutes = 14
    models = (MASKED, RIVAL)
    plots = {
        "frontier": Plot(
            "Variety against the judge", "judge, bits a character", "share of different groups"
        ),
        "overlap": Plot(
            "What texts have in common", "judge, bits a character", "share in another text too"
        ),
        "judge": Plot("What the judge makes of it", "temperature", "judge, bits a character"),
    }
    note = (
        "Fewer bits are likelier to the judge, not always better: texts that are all alike please "
        "it most. The share of different groups falls with the amount of text; "
        "all points have as many texts."
    )

    def measure(self, lab):
        writers = {
            label: [Texts(lab, *written_at(lab, key, t)) for t in temperatures(lab)]
            for label, key in ((OURS, MASKED), (THEIRS, RIVAL))
        }
        for label, settings in writers.items():
            for t, texts in zip(temperatures(lab), settings):
                bits, words = texts.bits(), texts.words()
                yield Point("judge", label, t, *values(bits), texts.n, label)
                yield Point("words", label, t, *values(words), texts.n, label)
                yield from pictured(label, texts, label)
        yield from pictured(REAL, Texts(lab, real(lab), 0.0), "ink")
        yield from differences(*writers.values())

    def answer(self, points):
        (new,), (again,) = (points.line(plot, REAL) for plot in COUNTS)
        known = (
            f"Of real stories (judge: {new.x:.2f} bits a character) {share(new.mean)} of the "
            f"groups of {WORDS} words are different ones, and {share(again.mean)} stand in another "
            "story too."
        )
        if not points.labels("difference"):
            text = f"There is no value of the judge that both writers reach. {known}"
            return Answer(UNDECIDED, text, "The judge never likes both writers equally well.")
        more, common = (points.mean("difference", averaged(plot), 0) for plot in COUNTS)
        levels = points.line("difference", "frontier")
        each = ", ".join(f"{of_hundred(p.mean)} at {p.x:.2f} bits" for p in levels)
        text = (
            "Where the judge likes both equally well, diffusion's share of different groups "
            f"differs from its rival's by {of_hundred(more)}{perhaps(more)}: {each}. Its share of "
            "groups that stand in another text too differs by "
            f"{of_hundred(common)}{perhaps(common)}. "
            f"{known} Diffusion's texts have {amount(points, OURS)} words on average, its rival's "
            f"{amount(points, THEIRS)}: who writes more repeats more."
        )
        kind = "no surely different" if not sure(more) else "more" if more.value > 0 else "less"
        brief = (
            f"Liked equally well by a judge, diffusion's texts have {kind} variety "
            f"({of_hundred(more)})."
        )
        return Answer(judged(more, common, levels), text, brief)

    def plays(self):
        settings = dict(steps=STEPS, seed=1, temperature=0.6)
        return [
            Play("A story by diffusion", dict(model=MASKED, **settings)),
            Play("A story by its rival", dict(model=RIVAL, seed=1, temperature=0.7)),
        ]


def judged(more: Mean, common: Mean, levels: list[Point]) -> str:
    """The verdict of the two means; what is surely so at one level of the judge and surely not so
    at another holds partly."""
    each = {verdict(point.mean) for point in levels}
    return PARTLY if {HOLDS, FAILS} <= each else together(verdict(more), verdict(common, -1))


# ---------------------------------------------------------------- texts


def temperatures(lab) -> tuple[float, ...]:
    """At which texts are written; both ends in a quick look."""
    return (TEMPERATURES[0], TEMPERATURES[-1]) if lab.quick else TEMPERATURES


def written_at(lab, key: str, temperature: float) -> tuple[list[str], float]:
    """Stories that a model writes from nothing, and their temperature."""
    process = lab.model(key)
    tokens = 64 if lab.quick else TOKENS
    how = dict(temperature=temperature)
    if "causal" not in process.traits:
        how |= dict(sampler="ancestral", steps=4 if lab.quick else STEPS, batch=SPEEDY // tokens)
    found, _ = lab.write(process, Canvas.blank(tokens, lab.texts), **how)
    return texts_in(process, found), temperature


def real(lab) -> list[str]:
    """Held-out stories, as many and at most as long."""
    tokenizer, stories, n = lab.model(RIVAL).tokenizer, lab.heldout, lab.texts
    some = [stories[i * len(stories) // n] for i in range(n)]
    return [tokenizer.decode(tokenizer.encode(text)[:TOKENS]) for text in some]


class Texts:
    """Texts of one writer at one temperature, and what the judge makes of each."""

    def __init__(self, lab, texts: list[str], temperature: float):
        self.texts, self.temperature, self.n = texts, temperature, len(texts)
        nats = lab.nats(texts)
        self.nats = torch.stack([each.sum() for each in nats])
        self.characters = torch.tensor([len(each) for each in nats])
        self.shared = cache(self.share)  # differences ask for the same ones again

    def bits(self) -> Mean:
        """Bits a character."""
        bits = self.nats / torch.tensor(2.0).log()
        return uncertainty.mean(bits, self.characters, consecutive=False)

    def words(self) -> Mean:
        """Words of a text."""
        counts = [len(WORD.findall(text)) for text in self.texts]
        return uncertainty.mean(counts, [1] * self.n, consecutive=False)

    def share(self, plot: str, rows: tuple[int, ...]) -> tuple[float, float]:
        """Bits a character of some of the texts, and what is counted of them."""
        some = torch.tensor(rows)
        bits = self.nats[some].sum() / self.characters[some].sum().clamp_min(1)
        count = COUNTS[plot]([self.texts[row] for row in rows])
        return (bits / torch.tensor(2.0).log()).item(), count


# ---------------------------------------------------------------- what is counted


def distinct(texts: list[str]) -> float:
    """The share of groups of words that are different from each other, of all texts together."""
    return distinct_words(texts, WORDS) or 0.0


def overlap(texts: list[str]) -> float:
    """The share of a text's different groups of words that stand in some other text too, of all
    texts together."""
    groups = [groups_of(text) for text in texts]
    there = Counter(group for each in groups for group in each)
    total = sum(map(len, groups))
    return sum(n for n in there.values() if n > 1) / total if total else 0.0


@cache
def groups_of(text: str) -> frozenset[tuple[str, ...]]:
    words = [found.group().lower() for found in WORD.finditer(text)]
    return frozenset(zip(*(words[i:] for i in range(WORDS))))


COUNTS: dict[str, Callable[[list[str]], float]] = {"frontier": distinct, "overlap": overlap}


def pictured(label: str, texts: Texts, family: str):
    """What is counted of texts, at their place on the judge's axis."""
    bits, rows = texts.bits().value, torch.arange(texts.n)
    for plot in COUNTS:
        mean = jackknife(lambda some, of=plot: texts.shared(of, numbers(some))[1], rows)
        yield Point(plot, label, bits, *values(mean), texts.n, family)


# ---------------------------------------------------------------- at equal judge


def differences(ours: list[Texts], theirs: list[Texts]):
    """What is counted of ours less of theirs, at levels of the judge that both reach. Texts of one
    number have the same random numbers at all temperatures, and are left out together."""
    rows = torch.arange(ours[0].n)
    low, high = reached(*(line(texts, "frontier", rows) for texts in (ours, theirs)))
    if low >= high:
        return
    levels = [low + (high - low) * k / (LEVELS - 1) for k in range(LEVELS)]
    for plot in COUNTS:

        def apart(some: Tensor, levels: list[float], plot=plot) -> float:
            lines = [line(texts, plot, some) for texts in (ours, theirs)]
            each = [value_at(lines[0], level) - value_at(lines[1], level) for level in levels]
            return sum(each) / len(each)

        for level in levels:
            mean = jackknife(lambda some, at=level: apart(some, [at]), rows)
            yield Point("difference", plot, level, *values(mean), len(rows))
        mean = jackknife(lambda some: apart(some, levels), rows)
        yield Point("difference", averaged(plot), 0, *values(mean), len(rows))


def line(settings: list[Texts], plot: str, rows: Tensor) -> Line:
    """The judge's bits and what is counted, over temperatures, of some rows; bits rise."""
    return sorted(texts.shared(plot, numbers(rows)) for texts in settings)


def reached(one: Line, other: Line) -> tuple[float, float]:
    """The lowest and the highest value of the judge that two writers reach."""
    return max(one[0][0], other[0][0]), min(one[-1][0], other[-1][0])


def value_at(line: Line, level: float) -> float:
    """What is counted at a level of the judge: on the straight pieces between the points of a line,
    of which the outer ones go on."""
    k = min(max(1, bisect([bits for bits, _ in line], level)), len(line) - 1)
    (a, y), (b, z) = list(pairwise(line))[k - 1]
    return y + (z - y) * (level - a) / (b - a) if b > a else y


def numbers(rows: Tensor) -> tuple[int, ...]:
    return tuple(rows.tolist())


# ---------------------------------------------------------------- words


def averaged(plot: str) -> str:
    return f"{plot}, {MEAN}"


def values(mean: Mean) -> tuple[float, float | None]:
    return mean.value, mean.error


def of_hundred(difference: Mean) -> str:
    """ "+2.1 ± 0.8 points" of a difference of shares."""
    error = difference.error and 100 * difference.error
    return f"{written(100 * difference.value, error, signed=True)} points"


def perhaps(difference: Mean) -> str:
    return "" if sure(difference) else ", which may be chance"


def amount(points, label: str) -> str:
    """The words of a text, over all temperatures."""
    found = [point.value for point in points.line("words", label)]
    return f"{sum(found) / len(found):.0f}"
