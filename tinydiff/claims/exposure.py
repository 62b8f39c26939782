"""Exposure bias: what a model writes behind its own text, and behind true text (Bengio et al.,
arXiv:1506.03099; Ranzato et al., arXiv:1511.06732)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from string import ascii_lowercase

import torch
from torch import Tensor

from tinydiff import exact, uncertainty
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
    Points,
    apart,
    sure,
    together,
    told,
    which,
)
from tinydiff.claims.lab import MASKED, RIVAL, Lab, texts_in
from tinydiff.processes import Process, build
from tinydiff.randomness import seeded
from tinydiff.text import Canvas, Characters
from tinydiff.train.loop import Config, optimizers, rate
from tinydiff.uncertainty import Mean

STARTS = (16, 64, 128)  # tokens of a beginning
BEHIND, PART = 64, 16  # tokens written behind it, and of a part of them
ROUNDS = 8  # in which beginnings are written, until enough of them have not ended
AHEAD = "autoregressive"
AROUND = "masked"
TRUE, OWN = "{}, true beginning", "{}, its own beginning"
WORDS, OTHERS = "the true words", "masked, the rival's own beginning"
SAME = "both behind the same beginnings"
# the exact language: one of CHAINS chains of LETTERS letters writes a text
CHAINS, LETTERS, LENGTH, SPREAD = 4, 8, 64, 1.5
SHAPE = dict(layers=2, heads=2, width=64, length=LENGTH)
PLACES = (1, 2, 4, 8, 16, 32, 48, 63)  # letters before a bet
LATE = 16  # from which on there are many
STEPS, BATCH, FASTEST = 3000, 32, 3e-3  # of a training, texts of a step, learning rate
LETTERED = 2048  # texts of the exact language

Read = tuple[Tensor, Tensor]  # bits and characters of the parts of texts, (N, parts) each


class Exposure(Claim):
    name = "exposure"
    said = (
        "An autoregressive model learns from true beginnings, and is punished for its own when it "
        "writes (exposure bias)."
    )
    how = (
        f"Both models write {BEHIND} tokens behind {', '.join(map(str, STARTS[:-1]))} and "
        f"{STARTS[-1]} tokens of a story: of a true one, and of one that they began themselves. "
        "The judge counts the bits of what they write, once after it has read the beginning, and "
        "once without. Behind the longest, the masked model also goes on with what the rival "
        "began. Then small networks learn a language in which all bets are known: one of "
        f"{CHAINS} hidden chains of letters writes a text, and every letter helps to tell which. "
        "We measure how far the bet on the next letter is from the true one."
    )
    minutes = 16
    models = (MASKED, RIVAL)
    note = (
        "A model that writes coldly makes text that is likelier than true text, and what follows "
        "likely text is likely again. So few bits behind an own beginning can hide a penalty: the "
        "judge cannot tell the two apart. That is why both models also go on with the same "
        "beginnings, and why there is an exact language, which is written without any cooling. "
        "The masked model's canvas ends with the last token that counts, and it often ends its "
        "story there. Each network of the exact language was trained once, with as many texts; the "
        "masked one learns more slowly, so that all its bets are further off."
    )
    plots = {
        "judge": Plot(
            f"The judge has read the beginning: the {BEHIND} tokens behind it",
            "tokens of the beginning",
            "judge, bits a character",
            doubling=True,
        ),
        "places": Plot(
            f"The same behind {STARTS[-1]} tokens, by place",
            "tokens behind the beginning",
            "judge, bits a character",
        ),
        "alone": Plot(
            "The judge has not read the beginning",
            "tokens of the beginning",
            "judge, bits a character",
            doubling=True,
        ),
        "exact": Plot(
            "A language whose bets are known: how far the next bet is from the true one",
            "letters before it",
            "divergence, bits",
            doubling=True,
            log=True,
        ),
    }

    def measure(self, lab):
        *some, longest = lab.some(STARTS, 1)
        for n in some:
            yield from behind(lab, n)
        yield from behind(lab, longest, longest=True)
        yield from in_the_open(lab)

    def answer(self, points):
        n = int(points.line("judge", WORDS)[-1].x)
        ahead, around = (excess(points, "late", name, 0) for name in (AHEAD, AROUND))
        true, own, around_true, around_own = (
            points.mean("late", label.format(name), 0)
            for name in (AHEAD, AROUND)
            for label in (TRUE, OWN)
        )
        judged = excess(points, "judge", AHEAD, n)
        known = (
            f"In the exact language, behind {LATE} letters and more, the bets of the "
            f"autoregressive network are {told(true, 'bits')} from the true ones behind true text "
            f"and {told(own, 'bits')} behind its own"
        )
        text = (
            f"{self.judged(points, n)} {known}: {told(ahead, signed=True)}. For the masked network "
            f"it is {told(around_true)} and {told(around_own)}: {told(around, signed=True)}."
        )
        brief = which(
            judged,
            "Behind its own text the autoregressive model writes worse than behind true text",
            "Behind its own text the autoregressive model writes no worse than behind true text, "
            "the judge even likes it better",
            "Behind its own text the autoregressive model writes as well as behind true text",
        )
        brief += f" ({told(judged, 'bits a character', signed=True)}). Where the right bet is "
        brief += f"known for each letter, its bets are {told(ahead, 'bits', signed=True)} "
        brief += f"worse behind its own letters, those of masks {told(around, signed=True)}."
        stories = punished(judged, points.mean("difference", SAME, n))
        return Answer(together(stories, punished(ahead, apart(ahead, around))), text, brief)

    def judged(self, points: Points, n: int) -> str:
        """What the judge says behind n tokens."""
        ahead, around = (excess(points, "judge", name, n) for name in (AHEAD, AROUND))
        same = points.mean("difference", SAME, n)
        true, own = (points.mean("judge", label.format(AHEAD), n) for label in (TRUE, OWN))
        return (
            f"Behind {n} true tokens the judge needs {told(true, 'bits')} a character for what the "
            f"autoregressive model writes, behind {n} of its own {told(own, 'bits')}: "
            f"{told(ahead, signed=True)}. For the masked model it is "
            f"{told(around, signed=True)}; true words cost "
            f"{told(points.mean('judge', WORDS, n), 'bits')}. Where both go on with what the "
            "autoregressive model began, in the place of true beginnings, it loses "
            f"{told(same, 'bits')} more than the masked one."
        )

    def plays(self):
        begun = "Once upon a time, there was a little girl named Lily. One day, she"
        return [
            Play(
                "Autoregression, on its own from the third word",
                dict(model=RIVAL, prompt="Once upon", seed=1, temperature=0.6),
            ),
            Play(
                "The same behind a true beginning",
                dict(model=RIVAL, prompt=begun, seed=1, temperature=0.6),
            ),
        ]


# ---------------------------------------------------------------- verdicts


def excess(points: Points, plot: str, family: str, x: float) -> Mean:
    """What a model's own beginnings cost it more than true ones."""
    return apart(*(points.mean(plot, label.format(family), x) for label in (OWN, TRUE)))


def punished(own: Mean, beside: Mean) -> str:
    """The verdict on a model that loses `own` behind what it wrote, and so much more than another
    one: both must be above 0."""
    above = [sure(one) and one.value > 0 for one in (own, beside)]
    if any(above):
        return HOLDS if all(above) else PARTLY
    return FAILS if sure(own) or sure(beside) else UNDECIDED


# ---------------------------------------------------------------- stories


def more_of(lab: Lab) -> int:
    """How many tokens are written behind a beginning."""
    return PART if lab.quick else BEHIND


def behind(lab: Lab, n: int, longest: bool = False) -> Iterator[Point]:
    """What is written behind n tokens. Where they are the longest beginning, the masked model goes
    on with what the rival began, too."""
    models = {AHEAD: lab.model(RIVAL), AROUND: lab.model(MASKED)}
    tokens = lab.stories(models[AHEAD], n + more_of(lab))
    begun = {WORDS: tokens[:, :n]}
    more, family = {WORDS: tokens[:, n:]}, {WORDS: "ink"}
    for name, process in models.items():
        begun[TRUE.format(name)] = tokens[:, :n]
        begun[OWN.format(name)] = beginnings(lab, process, n)
    if longest:
        begun[OTHERS] = begun[OWN.format(AHEAD)]
    for label in list(begun)[1:]:
        process = models[label.partition(",")[0]]
        more[label], family[label] = written_on(lab, process, begun[label]), process.name
    for plot in ("judge", "alone"):
        read = {
            label: reading(lab, models[AHEAD], begun[label], more[label], plot == "judge")
            for label in begun
        }
        for label, found in read.items():
            yield from points_of(plot, label, n, found, family[label], longest)
        if longest and plot == "judge":
            yield beside(read, n)


def points_of(
    plot: str, label: str, n: int, found: Read, family: str, longest: bool
) -> Iterator[Point]:
    """Bits a character of all that is written, and of its parts."""
    bits, characters = found
    N = len(bits)
    mean = uncertainty.mean(bits.sum(1), characters.sum(1), consecutive=False)
    yield Point(plot, label, n, mean.value, mean.error, N, family)
    parts = "places" if longest and plot == "judge" else f"{plot} {n}"
    for k in range(bits.shape[1]):
        if characters[:, k].sum():  # somebody has not ended
            mean = uncertainty.mean(bits[:, k], characters[:, k], consecutive=False)
            yield Point(parts, label, PART * k + PART / 2, mean.value, mean.error, N, family)


def beside(read: dict[str, Read], n: int) -> Point:
    """What the autoregressive model loses against the masked one behind the rival's beginnings,
    more than behind true ones."""
    pairs = (OWN.format(AHEAD), OTHERS), (TRUE.format(AHEAD), TRUE.format(AROUND))
    each = [
        [(sign, *(part.sum(1) for part in read[label])) for sign, label in zip((1, -1), pair)]
        for pair in pairs
    ]
    mean = apart(*(uncertainty.contrast(*parts) for parts in each))
    return Point("difference", SAME, n, mean.value, mean.error, len(read[OTHERS][0]), AHEAD)


def manner(lab: Lab, process: Process, tokens: int) -> dict:
    """How a process writes so many tokens: at its best temperature, a masked one as it was
    evaluated, two tokens a step."""
    if process.name == AHEAD:
        return dict(temperature=lab.best(RIVAL))
    steps = 4 if lab.quick else tokens // 2
    return dict(temperature=lab.best(MASKED), sampler="ancestral", steps=steps)


def written_on(lab: Lab, process: Process, start: Tensor) -> Tensor:
    """The tokens (N, more) that a process writes behind beginnings (N, n)."""
    more = more_of(lab)
    return lab.continued(process, start, more, **manner(lab, process, more))


def beginnings(lab: Lab, process: Process, n: int) -> Tensor:
    """The first n tokens, (N, n), of stories that a process writes from nothing, of those that have
    not ended by then. They are longer, for a masked one ends its story where the canvas ends."""
    N, found = lab.texts, torch.zeros(0, n, dtype=torch.int64)
    canvas = Canvas.blank(n + more_of(lab), N)
    how = manner(lab, process, n + more_of(lab))
    for turn in range(ROUNDS):
        seed = lab.seed + 10_000 * (turn + 1)
        tokens, _ = lab.write(process, canvas, seed=seed, **how)
        whole = (tokens[:, :n] != process.tokenizer.end_id).all(1)
        found = torch.cat([found, tokens[whole, :n]])
        if len(found) >= N:
            return found[:N]
    raise ValueError(f"The stories of '{process.name}' end before {n} tokens: ask for fewer.")


def reading(lab: Lab, process: Process, start: Tensor, more: Tensor, whole: bool) -> Read:
    """The judge's bits of the parts of what was written behind beginnings, and their characters.
    whole: does it read the beginning first?"""
    before = texts_in(process, start) if whole else [""] * len(more)
    upto = [texts_in(process, more[:, :k]) for k in range(0, more.shape[1] + 1, PART)]
    nats = lab.nats([a + b for a, b in zip(before, upto[-1])], list(map(len, before)))
    ends = torch.tensor([list(map(len, texts)) for texts in zip(*upto)])  # (N, parts + 1)
    bits = [
        torch.stack([each[a:b].sum() for a, b in zip(places, places[1:])]) / math.log(2)
        for each, places in zip(nats, ends.tolist())
    ]
    return torch.stack(bits), ends.diff(dim=1)


# ---------------------------------------------------------------- the exact language


def in_the_open(lab: Lab) -> Iterator[Point]:
    """How far the bets of trained networks are from the true ones."""
    language = mixture()
    N = 8 if lab.quick else LETTERED
    for name in (AHEAD, AROUND):
        process = taught(lab, name, language)
        order = {} if name == AHEAD else dict(sampler="random", steps=LENGTH)
        if lab.quick and order:
            order["steps"] = 4
        own, _ = lab.write(process, Canvas.blank(LENGTH, N), **order)
        for label, x in ((TRUE, language.sample(N, LENGTH, lab.rng(1))), (OWN, own)):
            far = divergence(process, language, x)
            for place, row in zip(PLACES, far):
                mean = uncertainty.mean(row, torch.ones(N), consecutive=False)
                yield Point("exact", label.format(name), place, mean.value, mean.error, N, name)
            late = far[[place >= LATE for place in PLACES]].mean(0)
            mean = uncertainty.mean(late, torch.ones(N), consecutive=False)
            yield Point("late", label.format(name), 0, mean.value, mean.error, N, name)


def mixture() -> exact.Mixture:
    """The language: some ten letters into a text it is settled which chain writes."""
    rng, letters = seeded(7), Characters(ascii_lowercase[:LETTERS])
    start = torch.full((LETTERS,), 1 / LETTERS, dtype=torch.float64)
    steps = SPREAD * torch.randn(CHAINS, LETTERS, LETTERS, generator=rng, dtype=torch.float64)
    return exact.Mixture([exact.Markov(letters, start, step) for step in steps.softmax(-1)])


def taught(lab: Lab, name: str, language: exact.Mixture) -> Process:
    """A small network that has learned the language, from texts that it never sees twice, by the
    bound: the mean of `loss`, with less variance."""
    lab.tell(f"exposure: {name} learns an exact language")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lab.seed)
        process = build(name, language.tokenizer, **SHAPE).train()
    steps, rng = 3 if lab.quick else STEPS, lab.rng(2)
    config = Config(lr=FASTEST, weight_decay=0.0)
    chosen = optimizers(process, config, torch.float32)
    for first in range(0, steps, BATCH):  # many texts at once are drawn in a tenth of the time
        n = min(BATCH, steps - first)
        for k, x in enumerate(language.sample(n * BATCH, LENGTH, rng).split(BATCH)):
            loss = process.bound(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng) / LENGTH
            process.zero_grad()
            loss.mean().backward()
            torch.nn.utils.clip_grad_norm_(process.parameters(), config.clip)
            for optimizer in chosen:
                for group in optimizer.param_groups:
                    group["lr"] = FASTEST * rate(first + k, (first + k) / steps, 100, 0.3)
                optimizer.step()
    return process.eval()


@torch.no_grad()
def divergence(process: Process, language: exact.Mixture, x: Tensor) -> Tensor:
    """KL(true bet || the network's) on the letter behind each of PLACES of texts x (N, L), of which
    nothing further right is seen, (PLACES, N), bits."""
    true, rows = language.following(x), []
    for place in PLACES:
        seen = torch.where(torch.arange(LENGTH) < place, x, process.mask_id)
        bet = process.denoise(seen, torch.ones(x.shape)).log_x0[:, place].double()
        rows.append((true[:, place].exp() * (true[:, place] - bet)).sum(-1) / math.log(2))
    return torch.stack(rows)
