"""BERT as one step of diffusion: what a network knows that learned at one share of masks."""

from __future__ import annotations

import math
from dataclasses import replace

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
    sure,
    told,
    which,
)
from tinydiff.claims.cost import Cost
from tinydiff.claims.lab import MASKED, STORIES, texts_in
from tinydiff.exact import bigram_divergence, perfect
from tinydiff.generate import generate
from tinydiff.store import catalogue
from tinydiff.text import Canvas

LEVELS = (0.05, 0.15, 0.3, 0.5, 0.7, 0.9, 1.0)  # shares of a text that are hidden
BERT, TEN, ALL = "15 %, as BERT", "ten shares", "every share"
LENGTH, LOOKS = 128, 32  # tokens and looks of what is written
COUNTS = (1, 2, 4, 8, 16, 32, 64)  # looks of the perfect network
LETTERS, CHECKED = 64, 512  # of its texts, and how many


class Bert(Claim):
    name = "bert"
    said = "BERT is one step of text diffusion: its 15 % of masks are a special case."
    how = (
        "Three networks learn alike but for the share of words that is hidden from them: always "
        "15 %, as BERT's; one of 100, 90 ... 10 %; any share. Each is asked for the hidden words "
        "at every share, and each writes stories from nothing but masks in 32 looks. A loop that "
        "is printed in places (guess all, keep a share of it at random, mask the rest again, words "
        "that stood there too) writes beside the exact one, also with a perfect network."
    )
    minutes = 75
    models = (MASKED,)
    plots = {
        "loss": Plot("What each knows", "share hidden, %", "bits a hidden token", digits=2),
        "written": Plot("What each writes", "looks", "judge, bits a character", doubling=True),
        "exact": Plot(
            "Both loops with a perfect network",
            "looks",
            "nats a letter from the language",
            doubling=True,
            log=True,
        ),
    }
    note = (
        "One training of each: the errors are over texts, not over trainings. In as many steps "
        "BERT's network is asked for 15 % of the words, the others for about half of them."
    )

    def trainings(self):
        return {
            name: replace(STORIES, process="masked", options=f"levels={name}")
            for name in ("bert", "ten")
        }

    def measure(self, lab):
        trained = {
            label: lab.trained(self.name, name, config)
            for (name, config), label in zip(self.trainings().items(), (BERT, TEN))
        }
        trained[ALL] = lab.trained(Cost.name, *Cost.usual("masked"))
        read = {label: losses(lab, process) for label, process in trained.items()}
        for k, level in enumerate(lab.some(LEVELS, 7)):
            x = round(100 * level)
            for label, found in read.items():
                mean = uncertainty.contrast((1, *found[k]))
                yield Point("loss", label, x, mean.value, mean.error, lab.texts, "masked")
            more = uncertainty.contrast((1, *read[BERT][k]), (-1, *read[ALL][k]))
            yield Point("difference", "loss", x, more.value, more.error, lab.texts)
        real = lab.stories(lab.model(MASKED), LENGTH)
        mean = lab.bits(texts_in(lab.model(MASKED), real))
        yield Point("written", "real stories", LOOKS, mean.value, mean.error, len(real), "ink")
        for label, process in trained.items():
            for sampler in ("ancestral", "mask_again"):
                name = label if sampler == "ancestral" else f"{label}, masked again"
                yield written(lab, process, sampler, name)
        yield from exact(lab)

    def answer(self, points):
        at = {x: (points.mean("loss", BERT, x), points.mean("loss", ALL, x)) for x in (15, 90)}
        few, many = (points.mean("difference", "loss", x) for x in (15, 90))
        bert, ten, all_ = (points.mean("written", label, LOOKS) for label in (BERT, TEN, ALL))
        loops = {name: points.line("exact", name)[-1] for name in points.labels("exact")}
        looks = loops["ancestral"].x
        text = (
            f"With 15 % hidden BERT's network needs {told(at[15][0], 'bits')} a token and the one "
            f"that learned every share {told(at[15][1], 'bits')}: {told(few, signed=True)} on the "
            f"same words. With 90 % hidden it is {told(at[90][0])} against {told(at[90][1])}: "
            f"{told(many, signed=True)}. What it writes from "
            f"nothing costs the judge {told(bert, 'bits')} a character, against {told(all_)} for "
            f"every share and {told(ten)} for ten. With a perfect network and {looks:.0f} "
            f"looks the exact loop ends {told(loops['ancestral'].mean, 'nats')} from the language, "
            f"the one that masks again {told(loops['mask_again'].mean)}."
        )
        own = which(
            few,
            "Even with BERT's 15 % hidden, the network that learned every share knows more",
            "With 15 % hidden BERT's network knows more than the one that learned every share",
            "With 15 % hidden BERT's network and the one that learned every share know the same",
        )
        brief = (
            f"{own} ({told(at[15][0])} and {told(at[15][1], 'bits')} a hidden token); with 90 % "
            f"hidden BERT needs {told(at[90][0])}, the other {told(at[90][1])}."
        )
        return Answer(self.judged(few, many), text, brief)

    def judged(self, few, many):
        """It is a special case if the network of every share knows BERT's share as well, and BERT
        others worse."""
        same = not sure(few) or few.value > 0
        worse = sure(many) and many.value > 0
        if same and worse:
            return HOLDS
        return PARTLY if worse else UNDECIDED if same else FAILS

    def plays(self):
        settings = dict(model=MASKED, length=64, steps=LOOKS, seed=7, sampler="mask_again")
        return [Play("Guess all, mask again", settings)]


@torch.no_grad()
def losses(lab, process) -> list[tuple[Tensor, Tensor]]:
    """The bits and the number of the hidden tokens of each held-out story, at each share; for every
    network the same are hidden."""
    found = []
    tokens = lab.stories(process, LENGTH)
    order = torch.rand(tokens.shape, generator=lab.rng()).argsort(1)
    for level in lab.some(LEVELS, 7):
        hidden = order < max(1, round(level * LENGTH))
        x = torch.where(hidden, process.mask_id, tokens)
        bets = process.denoise(x, torch.where(hidden, level, 0.0)).log_x0
        nats = F.nll_loss(bets.mT, tokens, reduction="none")
        bits = torch.where(hidden, nats, 0).double().sum(1) / math.log(2)
        found.append((bits, hidden.sum(1)))
    return found


def written(lab, process, sampler, name):
    """The judge on what a network writes from nothing."""
    canvas = Canvas.blank(LENGTH, lab.texts)
    looks = 4 if lab.quick else LOOKS
    tokens, _ = lab.write(process, canvas, sampler=sampler, steps=looks, temperature=0.8)
    mean = lab.bits([text for text in texts_in(process, tokens) if text])
    return Point("written", name, LOOKS, mean.value, mean.error, lab.texts, "masked")


def exact(lab):
    """How far texts of a perfect network are from its language, with either loop."""
    language = catalogue.bigrams()
    process, n = perfect("masked", language), 8 if lab.quick else CHECKED
    true = bigram_divergence(language.sample(n, LETTERS, lab.rng()), language)
    for steps in lab.some(COUNTS, 2):
        for sampler in ("ancestral", "mask_again"):
            canvas = Canvas.blank(LETTERS, n)
            *_, frame = generate(process, canvas, sampler=sampler, steps=steps, seed=lab.seed)
            found = bigram_divergence(frame.tokens, language)
            yield Point("exact", sampler, steps, found, None, n, "masked")
        yield Point("exact", "true texts", steps, true, None, n, "ink")
