"""Ancestral sampling: step back along the noise's own reverse chain, x_s ~ p(x_s | x_t). Exact in
the limit of many steps."""

import torch

from tinydiff.samplers import Annotated, Range, Step, moves, sampler


@sampler(
    "ancestral",
    needs={"diffusion"},
    paper="arXiv:2006.11239",
    keeps="a few, picked by chance",
    weighs=True,
)
def ancestral(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    greedy: Annotated[
        int,
        Range(0, 1, "1: the last step takes the best token instead of drawing (Duo's greedy tail)"),
    ] = 0,
):
    """Follow the reverse chain of the noise itself: every position takes its chance at every
    step."""
    noise, x, canvas, prediction = process.noise, start.x, start.canvas, None
    for t, s in moves(start, times):
        if prediction is None:
            prediction = denoise(x, canvas.time(t))
        once = greedy_tail(prediction, noise, canvas.time(s), rng) if greedy else prediction.anew()
        new = noise.reverse(x, once, canvas.time(t), canvas.time(s), rng)
        new = noise.pin(new, canvas)
        sent = yield Step(new, prediction, s)
        if sent is not None:
            new, canvas = sent.x, sent.canvas
        # nothing changed and the network is not told the time: its answer would be the same (MDLM,
        # section 4.1)
        if sent is not None or "timeless" not in process.traits or not new.equal(x):
            prediction = None
        x = new


def greedy_tail(prediction, noise, s, rng):
    """The prediction, made to draw its best token at each position that becomes clean in this step
    (Duo, arXiv:2506.10892)."""
    ends = noise.alpha(s) == 1
    if not ends.any():
        return prediction.anew()
    best = prediction.best()
    return prediction.drawing(best if ends.all() else torch.where(ends, best, prediction.draw(rng)))
