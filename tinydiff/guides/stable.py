"""Ending early: a run is over when its likeliest text stays the same and the network is sure of it.

This is how DiffusionGemma stops (its generation config: one look without a change, a mean entropy
below 0.005 nats), together with the entropy bound of arXiv:2505.24857."""

from __future__ import annotations

from tinydiff.guides import Annotated, Range, Steered, guide

TINY = -80.0  # as good as log 0; exp of far smaller ones is ten times slower on a CPU


@guide("stable", stage="end", needs={"diffusion"}, paper="arXiv:2505.24857")
def stable(
    denoise,
    context,
    *,
    stable: Annotated[
        int,
        Range(0, 16, "ends when the likeliest text stayed the same so many looks long; 0: never"),
    ] = 0,
    sure: Annotated[
        float, Range(0, 1, "and its mean entropy is below this, in nats a token")
    ] = 0.005,
):
    """End when the likeliest text stays the same and the network is sure of it; that text is
    taken."""
    if not stable:
        return denoise
    open_ = ~context.canvas.given

    def done(step):
        prediction = step.prediction
        if prediction.raw.shape[1] != open_.shape[1]:
            return None  # a piece of the window
        best = prediction.best()
        before, looks = context.memory.get("stable", (None, 0))
        same = before is not None and bool(((best == before) | ~open_).all())
        context.memory["stable"] = best, looks + 1 if same else 0
        if not same or looks + 1 < stable:
            return None
        log_p = prediction.log_x0
        entropy = (log_p.clamp_min(TINY).exp() * -log_p).sum(-1)
        mean = (entropy * open_).sum(1) / open_.sum(1).clamp_min(1)
        return best if bool((mean < sure).all()) else None

    return Steered(denoise, done=done)
