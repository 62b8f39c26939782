"""Both sides of a gap, and a rival that sees the left one and writes until something fits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tinydiff import uncertainty
from tinydiff.claims import FAILS, HOLDS, Answer, Claim, Play, Plot, Point, apart, share, sure, told
from tinydiff.claims.lab import MASKED, RIVAL, texts_in
from tinydiff.processes import Process
from tinydiff.store import catalogue
from tinydiff.text import Canvas

LEFT, RIGHT = 48, 32  # tokens around a gap
GUESSED, WRITTEN = (1, 4), (16, 32)  # tokens of a gap
TRIES = (1, 2, 4, 8, 16, 32, 64)
TRUE, BOTH, ALONE = "the true words", "masked, both sides", "autoregressive, left side"
BEST = "autoregressive, best of n"
LETTERS = 512  # of the exact language


class Sides(Claim):
    name = "sides"
    said = "Diffusion sees both sides of a gap; autoregression sees only what stands before it."
    how = (
        f"Gaps are cut into held-out stories, {LEFT} tokens before them and {RIGHT} behind. Of "
        "short ones we count the tokens that are guessed right, each the likeliest. Long ones are "
        "written; the judge reads what stands before, and is asked for the gap and for what "
        "follows it. The rival writes from the left, or writes n gaps and keeps the one for which "
        "its own likelihood of all three parts is highest."
    )
    minutes = 8
    models = (MASKED, RIVAL)
    plots = {
        "right": Plot("Tokens guessed right", "tokens of the gap", "share right", doubling=True),
        "written": Plot(
            "Gaps of 16 tokens, written", "gaps tried, n", "judge, bits a character", doubling=True
        ),
        "longer": Plot(
            "Gaps of 32 tokens, written", "gaps tried, n", "judge, bits a character", doubling=True
        ),
        "exact": Plot(
            "The same with perfect networks, letters in pairs", "letters of the gap", "share right"
        ),
    }

    def measure(self, lab):
        yield from self.guessed(lab)
        for plot, gap in zip(("written", "longer"), WRITTEN):
            yield from self.written(lab, plot, gap)
        yield from exact(lab)

    def guessed(self, lab):
        for gap in GUESSED:
            n = 4 * lab.texts
            for key, label in ((MASKED, BOTH), (RIVAL, ALONE)):
                process = lab.model(key)
                tokens = lab.stories(process, LEFT + gap + RIGHT, n)
                right = filled(lab, process, tokens, gap, temperature=0.0) == cut(tokens, gap)
                mean = uncertainty.mean(right.sum(1), [gap] * n, consecutive=False)
                yield Point("right", label, gap, mean.value, mean.error, n, process.name)

    def written(self, lab, plot, gap):
        masked, rival = lab.model(MASKED), lab.model(RIVAL)
        tokens = lab.stories(masked, LEFT + gap + RIGHT)
        own = filled(lab, masked, tokens, gap, temperature=lab.best(MASKED))
        read = {TRUE: read_with(lab, masked, tokens, cut(tokens, gap))}
        read[BOTH] = read_with(lab, masked, tokens, own)
        for label, family in ((TRUE, "ink"), (BOTH, masked.name)):
            mean = uncertainty.contrast((1, *read[label]))
            yield Point(plot, label, 1, mean.value, mean.error, len(tokens), family)
        tries, liking = [], []
        for k in range(max(lab.some(TRIES))):
            how = dict(temperature=lab.best(RIVAL), seed=lab.seed + 1000 * (k + 1))
            tries.append(filled(lab, rival, tokens, gap, **how))
            liking.append(likelihood(rival, with_gap(tokens, tries[-1])))
        tries, liking = torch.stack(tries), torch.stack(liking)  # (n, B, gap), (n, B)
        for n in lab.some(TRIES):
            best = liking[:n].argmax(0)
            kept = read_with(lab, rival, tokens, tries[best, torch.arange(len(tokens))])
            mean = uncertainty.contrast((1, *kept))
            yield Point(plot, BEST, n, mean.value, mean.error, len(tokens), rival.name)
            more = uncertainty.contrast((1, *kept), (-1, *read[BOTH]))
            yield Point("difference", plot, n, more.value, more.error, len(tokens))

    def answer(self, points):
        both, alone = (points.mean("right", label, 1) for label in (BOTH, ALONE))
        ours, true = (points.mean("longer", label, 1) for label in (BOTH, TRUE))
        tried = points.line("longer", BEST)
        more = points.line("difference", "longer")
        level = next((p.x for p in more if not sure(p.mean) or p.value < 0), math.inf)
        first, last = tried[0].mean, tried[-1].mean
        draws = (
            f"The best of {level:.0f} tries from the left is as good, within the error"
            if level < math.inf
            else f"Even the best of {tried[-1].x:.0f} tries from the left is not as good"
        )
        text = (
            f"Of single missing tokens the network that sees both sides guesses {share(both)} "
            f"right, the one that sees the left {share(alone)}. In gaps of {WRITTEN[1]} tokens "
            f"the judge needs {told(ours, 'bits')} a character for what both sides wrote, "
            f"{told(first, 'bits')} for what the left wrote, {told(true, 'bits')} for the true "
            f"words. {draws} ({told(last, 'bits')} at {tried[-1].x:.0f})."
        )
        ahead = sure(apart(both, alone)) and both.value > alone.value
        brief = (
            f"Who sees both sides of a gap guesses {share(both)} of single missing tokens, who "
            f"sees the left alone {share(alone)}. In gaps of {WRITTEN[1]} "
            f"{draws[0].lower()}{draws[1:]}."
        )
        return Answer(HOLDS if ahead else FAILS, text, brief)

    def plays(self):
        text = "Lily wanted to make a cake.… Lily was sad because the cake was gone."
        return [
            Play(
                "A gap, filled from both sides",
                dict(model=MASKED, template=text, steps=32, seed=1, temperature=0.6),
            )
        ]


# ---------------------------------------------------------------- gaps


def read_with(lab, process: Process, tokens: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """The judge's bits of a gap and what follows it, behind what stands before it, and the
    characters of both, of each story."""
    whole = texts_in(process, with_gap(tokens, gap))
    nats = lab.nats(whole, list(map(len, texts_in(process, tokens[:, :LEFT]))))
    bits = torch.stack([each.sum() for each in nats]) / math.log(2)
    return bits, torch.tensor([len(each) for each in nats])


def cut(tokens: Tensor, gap: int) -> Tensor:
    """The gaps (B, gap) of stories (B, LEFT + gap + RIGHT)."""
    return tokens[:, LEFT : LEFT + gap]


def with_gap(tokens: Tensor, gap: Tensor) -> Tensor:
    """The stories with other words in their gaps (B, n)."""
    n = gap.shape[1]
    return torch.cat([tokens[:, :LEFT], gap, tokens[:, LEFT + n :]], 1)


def filled(lab, process: Process, tokens: Tensor, gap: int, **how) -> Tensor:
    """The gaps (B, gap) as a process writes them: from both sides where it sees both."""
    if "causal" in process.traits:
        return lab.continued(process, tokens[:, :LEFT], gap, **how)
    places = torch.arange(tokens.shape[1])
    canvas = Canvas(tokens, ((places < LEFT) | (places >= LEFT + gap)).expand(tokens.shape))
    written, _ = lab.write(process, canvas, sampler="confidence", steps=gap, **how)
    return cut(written, gap)


@torch.no_grad()
def likelihood(rival: Process, tokens: Tensor) -> Tensor:
    """log p of token rows (B, L) under an autoregressive process, (B,) nats."""
    blank = Canvas(tokens, torch.zeros_like(tokens, dtype=torch.bool))
    return -rival.bound(blank, None)


def exact(lab):
    """The same where the bets are known: one letter of the bigram language of Shakespeare."""
    language = catalogue.bigrams()
    n = LETTERS if not lab.quick else 16
    x = language.sample(n, 9, lab.rng())
    for gap in (1, 3):
        hidden = torch.zeros(9, dtype=torch.bool)
        hidden[4 : 4 + gap] = True
        known = torch.nn.functional.one_hot(x, len(language.tokenizer)).double().log()
        both = language.posterior(torch.where(hidden[:, None], 0.0, known))[:, hidden].argmax(-1)
        left = [x[:, 3]]
        for _ in range(gap):
            left.append(language.step[left[-1]].argmax(-1))
        for label, guess, family in (
            (BOTH, both, "masked"),
            (ALONE, torch.stack(left[1:], 1), "autoregressive"),
        ):
            right = (guess == x[:, hidden]).sum(1)
            mean = uncertainty.mean(right, [gap] * n, consecutive=False)
            yield Point("exact", label, gap, mean.value, mean.error, n, family)
