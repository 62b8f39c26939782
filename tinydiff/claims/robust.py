"""Robust or not: what a model writes behind a prompt with slips in it."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterator

import torch
from torch import Tensor

from tinydiff import uncertainty
from tinydiff.claims import Answer, Claim, Play, Plot, Point, sure, together, told, verdict, which
from tinydiff.claims.lab import MASKED, RIVAL, Lab, texts_in
from tinydiff.randomness import Rng
from tinydiff.text import Canvas

PROMPT, BEHIND = 64, 64  # tokens of a prompt, and written behind it
SHARES = (0, 2, 5, 10, 20)  # percent of the letters, or of the words
AHEAD, AROUND = "autoregressive", "masked"
TYPED, SWAPPED = "typed", "swapped"
STRANGE, CLEAN = "strange", "clean"  # the words of another story; those behind the clean prompt
ALIKE = 8  # prompts of about the same number of tokens that are written on together

Read = tuple[Tensor, Tensor]  # bits and characters of texts, (N,) each


class Robust(Claim):
    name = "robust"
    said = "Diffusion is robust against noise in its input."
    how = (
        f"The first {PROMPT} tokens of held-out stories are the prompts. In one line letters of "
        "them are replaced by random letters, in the other words change places with their "
        f"neighbours. Both models write {BEHIND} tokens behind them. The judge reads the clean "
        "prompt, and is asked for what they wrote. What a model loses by the slips is the "
        "difference to what it wrote behind the clean prompt of the same story. As a yardstick, "
        "the judge also reads behind each prompt what was written for another story."
    )
    minutes = 9
    models = (MASKED, RIVAL)
    note = (
        "The slips are in what is given, which no model here may change: each was trained on clean "
        "prompts, and the noise of a diffusion is in what is to be written. There is no exact "
        "version: of the exact language of letters in pairs a perfect network sees the last letter "
        "of a prompt only, so that slips before it cost nothing."
    )
    plots = {
        TYPED: Plot("Letters mistyped", "letters of the prompt, percent", "lost, bits a character"),
        SWAPPED: Plot(
            "Words swapped with their neighbours",
            "words of the prompt, percent",
            "lost, bits a character",
        ),
    }

    def measure(self, lab):
        rival = lab.model(RIVAL)
        prompts = texts_in(rival, lab.stories(rival, PROMPT))
        read: dict[str, dict[tuple[str, int], Read]] = {}
        for key, name in ((RIVAL, AHEAD), (MASKED, AROUND)):
            clean = written_on(lab, key, prompts)
            read[name] = {(CLEAN, 0): judged(lab, prompts, clean)}
            yield from yardsticks(lab, name, prompts, clean, read[name][CLEAN, 0])
            for plot in (TYPED, SWAPPED):
                yield Point(plot, name, 0, 0.0, None, 0, name)
                for percent in lab.some(SHARES)[1:]:
                    noisy = spoiled(lab, prompts, plot, percent)
                    found = judged(lab, prompts, written_on(lab, key, noisy))
                    read[name][plot, percent] = found
                    lost = uncertainty.contrast((1, *found), (-1, *read[name][CLEAN, 0]))
                    yield Point(plot, name, percent, lost.value, lost.error, len(prompts), name)
        yield from compared(read)

    def answer(self, points):
        most = int(points.line(TYPED, AHEAD)[-1].x)
        shown, found = [], []
        for plot, what in ((TYPED, "letters mistyped"), (SWAPPED, "words swapped")):
            ours, rivals = (points.mean(plot, name, most) for name in (AROUND, AHEAD))
            more = points.mean("difference", plot, 0)
            found.append(verdict(more, -1))
            shown.append(
                f"With {most} % of the {what} the masked model loses {told(ours, 'bits')} a "
                f"character, the autoregressive one {told(rivals, 'bits')}; over all "
                f"shares the difference, masked less autoregressive, is {told(more, signed=True)}."
            )
        strange = [points.mean(STRANGE, name, 0) for name in (AROUND, AHEAD)]
        shown.append(
            f"The words of another story would cost {told(strange[0], 'bits')} and "
            f"{told(strange[1], 'bits')}."
        )
        return Answer(together(*found), " ".join(shown), plainly(points, most))

    def plays(self):
        text = "Lily went to the park with her dog. The dog was happy and"
        noisy = "Lily wemt to thx park with her dgg. The doq was haqpy and"
        return [
            Play(
                f"{'Masked' if key == MASKED else 'Autoregressive'}, {words}",
                dict(model=key, prompt=prompt, length=128, seed=1, temperature=heat),
            )
            for key, heat in ((MASKED, 0.5), (RIVAL, 0.6))
            for words, prompt in (("a clean prompt", text), ("a prompt with slips", noisy))
        ]


def plainly(points, most: int) -> str:
    """What the figures mean: who loses more by slips, and whether swapped words cost anything."""
    masked, rival = (points.mean(TYPED, name, most) for name in (AROUND, AHEAD))
    words = "masks suffer {} autoregression"
    typed = which(
        points.mean("difference", TYPED, 0),
        words.format("more than"),
        words.format("less than"),
        words.format("as much as"),
    )
    swapped = [points.mean(SWAPPED, name, most) for name in (AROUND, AHEAD)]
    costs = "hurt" if any(sure(one) and one.value > 0 for one in swapped) else "do not hurt"
    return (
        f"By mistyped letters {typed}: with {most} % of them the text behind loses "
        f"{told(masked)} bits a character against {told(rival)}. Swapped words {costs}."
    )


# ---------------------------------------------------------------- slips


def spoiled(lab: Lab, texts: list[str], kind: str, percent: float) -> list[str]:
    """Texts with slips, the same at every call; those of a small share are among those of a large
    one."""
    slip = {TYPED: mistyped, SWAPPED: swapped}[kind]
    return [slip(text, percent / 100, lab.rng(i)) for i, text in enumerate(texts)]


def mistyped(text: str, share: float, rng: Rng) -> str:
    """A text with a share of its letters replaced by other ones, capitals by capitals."""
    places = [i for i, c in enumerate(text) if c in string.ascii_letters]
    order = torch.randperm(len(places), generator=rng).tolist()
    moves = torch.randint(1, 26, (len(places),), generator=rng).tolist()
    letters = list(text)
    for k in order[: round(share * len(places))]:
        c = letters[places[k]]
        first = ord("a" if c.islower() else "A")
        letters[places[k]] = chr(first + (ord(c) - first + moves[k]) % 26)
    return "".join(letters)


def swapped(text: str, share: float, rng: Rng) -> str:
    """A text in which a share of the words, by pairs, stand in the place of their neighbours; no
    word moves twice. A part of a pair is a pair by chance."""
    parts = re.split(r"(\s+)", text)  # every second one is a space
    pairs = list(range(0, len(parts) - 2, 2))
    order = torch.randperm(len(pairs), generator=rng).tolist()
    chance = torch.rand(1, generator=rng).item()
    left, moved = math.floor(share * len(parts[::2]) / 2 + chance), set()
    for i in (pairs[k] for k in order):
        if left and not moved & {i, i + 2}:
            parts[i], parts[i + 2] = parts[i + 2], parts[i]
            moved |= {i, i + 2}
            left -= 1
    return "".join(parts)


# ---------------------------------------------------------------- writing and reading


def written_on(lab: Lab, key: str, prompts: list[str]) -> list[str]:
    """What a model writes behind prompts, at its best temperature. Slips make more tokens of a
    prompt: those of about as many are written on together, on a canvas that has room for the
    longest, and the first BEHIND tokens behind each count."""
    process, written = lab.model(key), [""] * len(prompts)
    more = 16 if lab.quick else BEHIND
    starts = [process.tokenizer.encode(text) for text in prompts]
    order = sorted(range(len(starts)), key=lambda i: len(starts[i]))
    for first in range(0, len(order), ALIKE):
        some = order[first : first + ALIKE]
        canvas = Canvas.blank(len(starts[some[-1]]) + more, len(some))
        for row, given, i in zip(canvas.tokens, canvas.given, some):
            row[: len(starts[i])], given[: len(starts[i])] = starts[i], True
        tokens, _ = lab.write(process, canvas, seed=lab.seed + 1000 * first, **manner(lab, key))
        rows = [row[len(starts[i]) :][:more] for row, i in zip(tokens, some)]
        for i, text in zip(some, texts_in(process, torch.stack(rows))):
            written[i] = text
    return written


def manner(lab: Lab, key: str) -> dict:
    """How a model writes: a masked one as it was evaluated, two tokens a step."""
    steps = 4 if lab.quick else BEHIND // 2
    masked = dict(sampler="ancestral", steps=steps) if key == MASKED else {}
    return dict(temperature=lab.best(key)) | masked


def judged(lab: Lab, prompts: list[str], written: list[str]) -> Read:
    """The judge's bits of what was written, behind prompts, and the characters of it."""
    whole = [a + b for a, b in zip(prompts, written)]
    nats = lab.nats(whole, list(map(len, prompts)))
    bits = [each.sum().item() / math.log(2) for each in nats]
    return torch.tensor(bits, dtype=torch.float64), torch.tensor([len(each) for each in nats])


def yardsticks(
    lab: Lab, name: str, prompts: list[str], clean: list[str], found: Read
) -> Iterator[Point]:
    """The bits behind the clean prompts, and how many more the words of another story cost."""
    mean = uncertainty.mean(*found, consecutive=False)
    yield Point(CLEAN, name, 0, mean.value, mean.error, len(prompts), name)
    strange = judged(lab, prompts, clean[1:] + clean[:1])
    lost = uncertainty.contrast((1, *strange), (-1, *found))
    yield Point(STRANGE, name, 0, lost.value, lost.error, len(prompts), name)


def compared(read: dict[str, dict[tuple[str, int], Read]]) -> Iterator[Point]:
    """How much more the masked model loses than the autoregressive one, the mean over all shares,
    on the same prompts."""
    for kind in (TYPED, SWAPPED):
        shares = [percent for plot, percent in read[AROUND] if plot == kind]
        parts = [
            (sign * side / len(shares), *read[name][where])
            for sign, name in ((1, AROUND), (-1, AHEAD))
            for percent in shares
            for side, where in ((1, (kind, percent)), (-1, (CLEAN, 0)))
        ]
        more = uncertainty.contrast(*parts)
        n = len(read[AROUND][CLEAN, 0][0])
        yield Point("difference", kind, 0, more.value, more.error, n, AROUND)
