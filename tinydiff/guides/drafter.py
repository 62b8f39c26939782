"""A drafter: another network guesses the next tokens of a text, and the one that writes checks them
(samplers/speculative.py). Nothing of its law is changed: guesses decide the number of calls."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tinydiff.drafts import Drafts
from tinydiff.guides import Annotated, Model, guide
from tinydiff.nets.ahead import DRAFT, Ahead
from tinydiff.predictions import LOG_ZERO, Prediction
from tinydiff.processes import Process

# tokens that an adapter drafts, the first ones: those of byte pair encoding are numbered as they
# were merged, frequent ones first; the others are drafted never, and written all the same (FR-Spec,
# arXiv:2502.14856)
WORDS = 1 << 14


def check(process, canvas, drafter):
    """Raises ValueError for a drafter that does not guess what is behind masks, and for an adapter
    of another model."""
    if isinstance(drafter, Drafts):
        drafter.taught_by(process)
    elif drafter is not None and drafter.noise.name != "mask":
        raise ValueError(
            f"The drafter '{drafter.name}' does not work with masks: name a model that does, such "
            "as stories/masked."
        )


@guide("drafter", stage="hint", needs={"causal", "cache"}, paper="arXiv:2302.01318", check=check)
def drafter(
    denoise,
    context,
    *,
    drafter: Annotated[
        Process | None,
        Model("a model of masks that guesses ahead for the sampler `speculative`"),
    ] = None,
):
    """Have another network guess the next tokens, which the one that writes then checks: a model of
    masks all at once, or an adapter of a pretrained model from left to right."""
    if drafter is None:
        return denoise
    guess = (by_adapter if isinstance(drafter, Drafts) else by_masks)(drafter, denoise, context)

    def guessed(x, t, cache=None):
        return guess(x, t, cache) if isinstance(cache, Ahead) else denoise(x, t, cache)

    return guessed


def by_masks(drafter, denoise, context):
    """All masks at once, in one look of its own at the whole canvas."""
    asked, L = context.beside(drafter), context.canvas.tokens.shape[1]

    def guess(x, t, cache):
        if cache.task != DRAFT:
            return denoise(x, t, cache)
        n, open_ = x.shape[1], x == drafter.mask_id
        whole = F.pad(x, (0, L - n), value=drafter.mask_id)
        times = F.pad(open_.to(t.dtype), (0, L - n), value=1.0)
        return asked(whole, times).columns(first_of(open_), n)

    return guess


def by_adapter(drafter, denoise, context):
    """One mask after the other, of those that were read when the text was last checked."""
    net, adapter = context.process.net, drafter.net.to_draft()
    V = context.process.V

    def guess(x, t, cache):
        cache.rider = adapter
        k = first_of(x == drafter.mask_id)
        place = k - len(cache)
        if cache.task != DRAFT or cache.group is None or place >= cache.masks:
            return denoise(x, t, cache)
        with torch.no_grad():
            state = cache.group[:, place]
            before = torch.zeros_like(state) if cache.before is None else cache.before
            token = net.embed(x[:, k - 1 : k])[:, 0]
            cache.before = adapter.following(state, token, before)
            raw = net.logits(cache.before[:, None], WORDS)
            raw = F.pad(raw, (0, V - raw.shape[-1]), value=LOG_ZERO)
        return Prediction(raw.log_softmax(-1), raw)

    return guess


def first_of(open_: torch.Tensor) -> int:
    """The first column in which something is."""
    return int(open_.any(0).nonzero()[0])
