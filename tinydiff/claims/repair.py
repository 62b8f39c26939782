"""Errors taken back: true texts with wrong words in them, and samplers that are not told which."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
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
    apart,
    share,
    sure,
    told,
    which,
)
from tinydiff.claims.lab import MASKED, texts_in
from tinydiff.exact import Markov, perfect
from tinydiff.generate import generate, noised
from tinydiff.processes import Process
from tinydiff.randomness import Rng
from tinydiff.samplers import SAMPLERS
from tinydiff.store import catalogue
from tinydiff.text import Canvas
from tinydiff.uncertainty import Mean

UNIFORM = "stories/uniform"
TOKENS, LETTERS, CHECKED = 48, 64, 256  # of a story, of an exact text, and how many of these
AT = 0.3  # the time to which texts are noised
WRONG, USUAL = (5, 10, 20), 10  # per cent of the tokens
CALLS, SOME = (8, 32, 128), 32
TRUE, SPOILED, BAYES = "the true text", "with the wrong tokens", "the best there is (Bayes)"


class Way(NamedTuple):
    """A noise and the sampler that takes it off."""

    family: str
    sampler: str

    @property
    def label(self) -> str:
        return f"{self.family}, {self.sampler}"

    def steps(self, process: Process, calls: int) -> int:
        """The steps of the whole way from t = 1 of which those below AT take so many calls."""
        return int(calls / SAMPLERS[self.sampler].asks(process) / AT)


FLOOR = Way("masked", "ancestral")
WAYS = (
    FLOOR,
    *(Way("masked", name) for name in ("remask", "gibbs", "renoise")),
    *(Way("uniform", name) for name in ("ancestral", "gibbs")),
)


class Spoiled(NamedTuple):
    """Texts (B, L), and the same with wrong tokens in them."""

    true: Tensor
    tokens: Tensor

    @property
    def wrong(self) -> Tensor:
        return self.tokens != self.true


class Repair(Claim):
    name = "repair"
    said = "Diffusion can take errors back."
    how = (
        f"In the first {TOKENS} tokens of held-out stories one in ten is replaced by another, "
        f"drawn by how often it occurs. Then noise hides or replaces {100 * AT:.0f} % of all "
        "tokens, and a sampler writes on from there. It is not told which tokens are wrong. A "
        "wrong token is mended if it ends as the true one; a right one is broken if it ends as "
        "another. The ancestral sampler of masks never changes what stands: it mends only what the "
        "noise hid by chance. Letters in pairs are the same with perfect networks."
    )
    minutes = 25
    models = (MASKED, UNIFORM)
    plots = {
        "mended": Plot("Wrong tokens that are mended", "calls", "share mended", doubling=True),
        "broken": Plot("Right tokens that are broken", "calls", "share broken", doubling=True),
        "left": Plot("Wrong tokens afterwards", "calls", "share of all", doubling=True),
        "levels": Plot(
            f"More and fewer errors, {SOME} calls", "wrong before, %", "wrong afterwards, share"
        ),
        "judge": Plot(
            "What a judge makes of it", "calls", "judge, bits a character", doubling=True
        ),
        "exact_mended": Plot(
            "Perfect networks: letters mended", "calls", "share mended", doubling=True
        ),
        "exact_broken": Plot(
            "Perfect networks: letters broken", "calls", "share broken", doubling=True
        ),
        "exact_left": Plot(
            "Perfect networks: wrong letters afterwards", "calls", "share of all", doubling=True
        ),
    }
    note = (
        "A wrong token that becomes a third one is neither mended nor missed. Noise hides right "
        "tokens too, and not all of them come back: those count as broken."
    )

    def measure(self, lab):
        process = lab.model(MASKED)
        stories, often = lab.stories(process, TOKENS), frequencies(lab, process)
        for wrong in WRONG[1:2] if lab.quick else WRONG:
            texts = spoiled(stories, often, wrong, lab.rng(wrong))
            found = written(lab, texts, lab.some(CALLS, 1) if wrong == USUAL else (SOME,))
            if wrong == USUAL:
                yield from against_calls("", texts, found)
                yield from judged(lab, process, texts, found)
            before = texts.wrong.double().mean().item()
            yield Point("levels", SPOILED, wrong, before, None, 0, "ink")
            for (way, calls), tokens in found.items():
                if calls == SOME or lab.quick:
                    mean = left(texts, tokens)
                    yield point("levels", way.label, wrong, mean, way.family, len(tokens))
        yield from exact(lab)

    def answer(self, points):
        most = points.line("left", FLOOR.label)[-1].x
        kinds = [label for label in points.labels("left") if label != SPOILED]
        net, more = (
            {label: points.mean("difference", f"{label}: {what}", most) for label in kinds}
            for what in ("wrong", "mended")
        )
        best = max(kinds, key=lambda label: points.mean("mended", label, most).value)
        least = min(kinds, key=lambda label: points.mean("left", label, most).value)

        def at(plot, label=best):
            return share(points.mean(plot, label, most))

        def judge(label):
            return told(points.mean("judge", label, most))

        text = (
            f"With {most:.0f} calls {best} mends {at('mended')} of the wrong tokens and leaves "
            f"{at('missed')} as they were. Masks that are never put back mend "
            f"{at('mended', FLOOR.label)}. But {best} also breaks {at('broken')} of the right "
            f"tokens. The fewest wrong tokens are left by {least}: {at('left', least)}; before, "
            f"{at('left', SPOILED)} were wrong. The judge needs {judge(SPOILED)} bits a character "
            f"for the spoiled text, {judge(best)} for what {best} makes of it, {judge(TRUE)} for "
            f"the true one. With a perfect network of letters in pairs {best} mends "
            f"{at('exact_mended')} and breaks {at('exact_broken')}. The best guess that Bayes' "
            f"rule allows there mends {at('exact_mended', BAYES)} and breaks "
            f"{at('exact_broken', BAYES)}."
        )
        after, before = points.mean("left", best, most), points.mean("left", SPOILED, most)
        brief = (
            f"The best of {len(kinds)} ways mends {at('mended')} of the wrong tokens, but breaks "
            f"{at('broken')} of the right ones, since it is not told which are wrong: "
            f"{which(apart(after, before), 'more', 'fewer', 'as many')} are wrong afterwards "
            f"({share(after)}) than before ({share(before)})."
        )
        return Answer(decided(net, more), text, brief)

    def plays(self):
        return [
            Play(
                "Words that change their mind",
                dict(model=UNIFORM, sampler="gibbs", length=64, steps=64, seed=7),
            ),
            Play(
                "Masks that come back",
                dict(model=MASKED, sampler="remask", length=64, steps=64, seed=7),
            ),
        ]


def decided(net: dict[str, Mean], more: dict[str, Mean]) -> str:
    """Errors are taken back where fewer are left than there were; partly, where more are mended
    than by chance but as many broken."""
    if any(sure(one) and one.value < 0 for one in net.values()):
        return HOLDS
    if any(sure(one) and one.value > 0 for label, one in more.items() if label != FLOOR.label):
        return PARTLY
    return FAILS if all(sure(one) for one in net.values()) else UNDECIDED


# ---------------------------------------------------------------- errors, and what becomes of them


def frequencies(lab, process: Process) -> Tensor:
    """How often each token stands in held-out stories, (V,)."""
    ids = torch.cat([process.tokenizer.encode(text) for text in lab.heldout])
    return torch.bincount(ids, minlength=process.V).double()


def spoiled(true: Tensor, often: Tensor, wrong: float, rng: Rng) -> Spoiled:
    """`wrong` per cent of the tokens of each text (B, L) replaced by others, drawn in proportion to
    `often` (V,)."""
    count = max(1, round(wrong / 100 * true.shape[1]))
    places = torch.rand(true.shape, generator=rng).argsort(1)[:, :count]
    there = true.gather(1, places)
    weight = torch.where(F.one_hot(there.flatten(), len(often)).bool(), 0, often)
    other = torch.multinomial(weight, 1, generator=rng).view(there.shape)
    return Spoiled(true, true.scatter(1, places, other))


def written(lab, texts: Spoiled, calls) -> dict[tuple[Way, int], Tensor]:
    """What each way makes of the spoiled texts, by its calls, at each model's own temperature."""
    found = {}
    for way in WAYS:
        key = f"stories/{way.family}"
        for count in calls:
            found[way, count] = rewritten(
                lab.model(key), texts, way, count, lab.seed, temperature=lab.best(key)
            )
    return found


def rewritten(process: Process, texts: Spoiled, way: Way, calls: int, seed: int, **how) -> Tensor:
    """Texts (B, L) noised to AT and written on from there. Nothing of them is given."""
    canvas = Canvas(texts.tokens, torch.zeros_like(texts.tokens, dtype=torch.bool))
    start, steps = noised(process, canvas, AT, seed), way.steps(process, calls)
    how |= dict(sampler=way.sampler, steps=steps, start=start, seed=None)
    *_, frame = generate(process, canvas, **how)
    return frame.tokens


def of_all(which: Tensor, among: Tensor) -> Mean:
    """The share of the places `among` (B, L) that are `which`, over texts."""
    return uncertainty.mean((which & among).sum(1), among.sum(1), consecutive=False)


def left(texts: Spoiled, tokens: Tensor) -> Mean:
    """The share of all tokens that are not the true ones."""
    return of_all(tokens != texts.true, torch.ones_like(texts.wrong))


def becomes(texts: Spoiled, tokens: Tensor) -> dict[str, Mean]:
    """What became of wrong and right tokens, by the names of plots."""
    true = tokens == texts.true
    return {
        "mended": of_all(true, texts.wrong),
        "missed": of_all(tokens == texts.tokens, texts.wrong),
        "broken": of_all(~true, ~texts.wrong),
        "left": left(texts, tokens),
    }


def against_calls(prefix: str, texts: Spoiled, found: dict[tuple[Way, int], Tensor]):
    """The points of the plots whose names begin with `prefix`, and what each way does beyond what
    was there (wrong) and beyond the FLOOR (mended), on the same texts."""
    n = len(texts.true)
    before = texts.wrong.double().mean().item()
    for calls in dict.fromkeys(calls for _, calls in found):
        yield Point(f"{prefix}left", SPOILED, calls, before, None, 0, "ink")
    for (way, calls), tokens in found.items():
        for plot, mean in becomes(texts, tokens).items():
            yield point(f"{prefix}{plot}", way.label, calls, mean, way.family, n)
        more = (tokens != texts.true).sum(1) - texts.wrong.sum(1)
        net = uncertainty.mean(more, [texts.true.shape[1]] * n, consecutive=False)
        floor = found[FLOOR, calls]
        beyond = ((tokens == texts.true).int() - (floor == texts.true).int()) * texts.wrong
        luck = uncertainty.mean(beyond.sum(1), texts.wrong.sum(1), consecutive=False)
        for what, mean in (("wrong", net), ("mended", luck)):
            label = f"{way.label}: {what}"
            yield point(f"{prefix}difference", label, calls, mean, way.family, n)


def judged(lab, process: Process, texts: Spoiled, found: dict[tuple[Way, int], Tensor]):
    """The judge on the true, the spoiled and the mended texts."""
    counts = list(dict.fromkeys(calls for _, calls in found))
    for label, tokens in ((TRUE, texts.true), (SPOILED, texts.tokens)):
        mean = lab.bits(texts_in(process, tokens))
        for calls in counts:
            yield point("judge", label, calls, mean, "ink", len(tokens))
    for (way, calls), tokens in found.items():
        mean = lab.bits(texts_in(process, tokens))
        yield point("judge", way.label, calls, mean, way.family, len(tokens))


def point(plot: str, label: str, x: float, mean: Mean, family: str, n: int) -> Point:
    return Point(plot, label, x, mean.value, mean.error, n, family)


# ---------------------------------------------------------------- where the bets are known


def exact(lab):
    """The same with perfect networks: what is wrong then is the sampler's own, but for what nobody
    can know."""
    language, calls = catalogue.bigrams(), lab.some(CALLS, 1)
    n = 8 if lab.quick else CHECKED
    true = language.sample(n, LETTERS, lab.rng())
    texts = spoiled(true, language.start, USUAL, lab.rng(USUAL))
    families = {way.family: perfect(way.family, language) for way in WAYS}
    found = {
        (way, count): rewritten(families[way.family], texts, way, count, lab.seed)
        for way in WAYS
        for count in calls
    }
    yield from against_calls("exact_", texts, found)
    best = guessed(language, texts)
    for plot, mean in becomes(texts, best).items():
        for count in calls:
            yield point(f"exact_{plot}", BAYES, count, mean, "ink", n)


def guessed(language: Markov, texts: Spoiled) -> Tensor:
    """The likeliest letter at each place of spoiled texts (B, L), by Bayes' rule, for somebody who
    knows how many letters are wrong and how they were drawn: nobody has more letters right."""
    rate, often = texts.wrong.double().mean(), language.start
    lies = often[texts.tokens][..., None] / (1 - often)  # drawn, if v is true: (B, L, V)
    same = F.one_hot(texts.tokens, len(often)).bool()
    return language.posterior(torch.where(same, 1 - rate, rate * lies).log()).argmax(-1)
