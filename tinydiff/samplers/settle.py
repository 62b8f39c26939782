"""Accept the least uncertain tokens for good and keep denoising the rest: what an entropy budget
(arXiv:2505.24857) is for noise that is not a mask. An accepted token counts as given from then on:
it is clean, and its time, which the network gets, is 0."""

from tinydiff.samplers import Step, after, moves, sampler
from tinydiff.samplers.unmask import Budget, within_budget


def ends(noise, canvas, s):
    """Which positions are clean at time s."""
    return noise.alpha(canvas.time(s)) == 1


@sampler(
    "settle",
    needs={"diffusion", "posterior"},
    paper="arXiv:2505.24857",
    keeps="those it is surest of",
)
def settle(process, denoise, start, times, rng, *, budget: Budget = 0.5):
    """Accept the least uncertain tokens for good, keep denoising the rest; stops when all are
    accepted.

    A token drawn from p(x_0_i | x_t) has the distribution of the true one, whichever noise stood
    there. So one token a step is exact, but for the length of the steps that the other positions
    take.
    """
    noise, x, canvas = process.noise, start.x, start.canvas
    for t, s in moves(start, times):
        prediction, open_ = denoise(x, canvas.time(t)), ~canvas.given
        accept = open_ & (within_budget(prediction.log_x0, open_, budget) | ends(noise, canvas, s))
        x = noise.reverse(x, prediction, canvas.time(t), canvas.time(s), rng)
        canvas = canvas.with_written(prediction.draw(rng), accept)
        x = noise.pin(x, canvas)
        done = bool(canvas.given.all())
        sent = yield Step(x, prediction, 0.0 if done else s, canvas=canvas)
        if done:
            return
        x, canvas = after(sent, x, canvas)
