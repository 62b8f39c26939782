"""Ancestral sampling: step back along the process's own reverse chain, x_s ~ p(x_s | x_t). Exact in
the limit of many steps."""

from tinydiff.processes import certain
from tinydiff.samplers import Annotated, Range, Step, pairwise, sampler


@sampler("ancestral", needs={"diffusion"}, paper="arXiv:2006.11239")
def ancestral(
    process,
    denoise,
    canvas,
    times,
    rng,
    *,
    greedy: Annotated[
        int,
        Range(
            0, 1, "1: the last step takes the best character instead of drawing (Duo's greedy tail)"
        ),
    ] = 0,
):
    """Follow the reverse chain of the process itself: every position takes its chance at every
    step."""
    x, prediction = process.prior(canvas, rng), None
    for t, s in pairwise(times):
        if prediction is None:
            prediction = denoise(x, canvas.time(t))
        bet = best(prediction) if greedy and s == 0 else prediction  # arXiv:2506.10892
        new = process.pin(process.reverse(x, bet, canvas.time(t), canvas.time(s), rng), canvas)
        yield Step(new, prediction, s)
        # nothing changed and the network is not told the time: its answer would be the same (MDLM,
        # section 4.1)
        if "timeless" not in process.traits or not new.equal(x):
            prediction = None
        x = new


def best(prediction):
    """The prediction with all its probability on the likeliest character."""
    log_x0 = prediction.log_x0
    return prediction._replace(log_x0=certain(log_x0.argmax(-1), log_x0.shape[-1]).to(log_x0))
