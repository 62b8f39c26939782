"""Accept the surest characters for good and keep denoising the rest: what an entropy budget
(arXiv:2505.24857) is for noise that is not a mask. What is accepted counts as given from then on:
it is clean, at time 0, and the network is told so.
"""

import torch

from tinydiff.processes import draw
from tinydiff.samplers import Annotated, Range, Step, pairwise, sampler
from tinydiff.samplers.unmask import within_budget
from tinydiff.text import Canvas


@sampler("settle", needs={"diffusion", "posterior"}, paper="arXiv:2505.24857")
def settle(
    process,
    denoise,
    canvas,
    times,
    rng,
    *,
    budget: Annotated[
        float,
        Range(
            0,
            20,
            "nats of uncertainty accepted a step: 0 is one character, and all that are certain",
        ),
    ] = 0.5,
):
    """Accept the least uncertain characters for good, keep denoising the rest; stops when all are
    accepted.

    A character drawn from p(x_0_i | x_t) is as good as the true one, whichever noise stood there:
    one a step is exact but for the length of the others' step.
    """
    x = process.prior(canvas, rng)
    for t, s in pairwise(times):
        prediction = denoise(x, canvas.time(t))
        accept = ~canvas.given & (
            within_budget(prediction.log_x0, ~canvas.given, budget) if s > 0 else True
        )
        x = process.reverse(x, prediction, canvas.time(t), canvas.time(s), rng)
        tokens = torch.where(accept, draw(prediction.log_x0, rng), canvas.tokens)
        canvas = Canvas(tokens, canvas.given | accept, canvas.label)
        x = process.pin(x, canvas)
        done = bool(canvas.given.all())
        yield Step(x, prediction, 0.0 if done else s)
        if done:
            return
