"""A drafter: another network guesses the next tokens of a text, and the one that writes checks them
(samplers/speculative.py). Nothing of its law is changed: guesses decide the number of calls."""

from __future__ import annotations

import torch.nn.functional as F

from tinydiff.guides import Annotated, Model, guide
from tinydiff.nets.ahead import Ahead
from tinydiff.processes import Process


def check(process, canvas, drafter):
    """Raises ValueError for a drafter that does not guess what is behind masks."""
    if drafter is not None and drafter.noise.name != "mask":
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
    """Have a model of masks guess the next tokens, all at once, which the model that writes then
    checks."""
    if drafter is None:
        return denoise
    asked, L = context.beside(drafter), context.canvas.tokens.shape[1]

    def guessed(x, t, cache=None):
        if not (isinstance(cache, Ahead) and cache.drafting):
            return denoise(x, t, cache)
        n, open_ = x.shape[1], x == drafter.mask_id
        whole = F.pad(x, (0, L - n), value=drafter.mask_id)
        times = F.pad(open_.to(t.dtype), (0, L - n), value=1.0)
        first = int(open_.any(0).nonzero()[0])
        return asked(whole, times).columns(first, n)

    return guessed
