"""Solvers for real-valued states: ways from x_t to x_s that trust one estimate of the clean codes.
All of them write x_t as sqrt(alpha) mean + sqrt(1 - alpha) noise, and differ in how much of the
noise they keep, and in what they remember.
"""

import torch

from tinydiff.samplers import Annotated, Range, Step, pairwise, sampler

Clamp = Annotated[
    int,
    Range(
        0,
        1,
        "1: the estimate is the code of the likeliest character (Diffusion-LM's clamping), "
        "0: the mean over all",
    ),
]
Shift = Annotated[
    float,
    Range(
        0, 4, "steps by which the state is moved further than the network is told (asymmetric time)"
    ),
]


def solve(step, process, denoise, canvas, times, rng, clamp, shift=0.0):
    """step(x, mean, t, s) -> x_s, from noise to text. At the end stands the code of the likeliest
    character."""
    x = process.prior(canvas, rng)
    for t, s in pairwise(times):
        prediction = denoise(x, canvas.time(t))
        mean = (
            process.nearest(prediction)
            if clamp or s == 0
            else process.estimate(x, prediction, canvas.time(t))
        )
        x = process.pin(mean if s == 0 else step(x, mean, t, max(0.0, s - shift * (t - s))), canvas)
        yield Step(x, prediction, s)


def levels(process, t):
    """sqrt(alpha) and sqrt(1 - alpha), the sizes of text and of noise at time t."""
    alpha = process.schedule.alpha(torch.tensor(t, dtype=torch.float64)).item()
    return alpha**0.5, (1 - alpha) ** 0.5


@sampler("ddim", needs={"reals"}, paper="arXiv:2010.02502")
def ddim(
    process,
    denoise,
    canvas,
    times,
    rng,
    *,
    eta: Annotated[
        float, Range(0, 1, "fresh noise: 0 is a fixed path from noise to text, 1 as much as DDPM")
    ] = 0.0,
    clamp: Clamp = 0,
    shift: Shift = 0.0,
):
    """Keep the noise that is there and shrink it: a fixed path from noise to text (DDIM), or with
    fresh noise as in DDPM."""

    def step(x, mean, t, s):  # DDIM, eq. 12 and 16
        (a_t, b_t), (a_s, b_s) = levels(process, t), levels(process, s)
        fresh = eta * b_s / b_t * max(0.0, 1 - (a_t / a_s) ** 2) ** 0.5
        kept = max(0.0, b_s**2 - fresh**2) ** 0.5
        return a_s * mean + kept * (x - a_t * mean) / b_t + fresh * process.normal(x, rng)

    yield from solve(step, process, denoise, canvas, times, rng, clamp, shift)


@sampler("ddpm", needs={"reals"}, paper="arXiv:2006.11239")
def ddpm(process, denoise, canvas, times, rng, *, clamp: Clamp = 0, shift: Shift = 0.0):
    """The reverse chain of Gaussian noise: most of the noise comes off, a little fresh noise goes
    on (DDPM)."""
    yield from ddim(process, denoise, canvas, times, rng, eta=1.0, clamp=clamp, shift=shift)


@sampler("dpm_solver", needs={"reals"}, paper="arXiv:2211.01095")
def dpm_solver(process, denoise, canvas, times, rng, *, clamp: Clamp = 0):
    """DDIM's path with steps of second order: the estimate is carried on as it changed in the last
    step (DPM-Solver++ 2M)."""
    last = None  # the mean before, and the step in half log SNR that it was made for

    def step(x, mean, t, s):  # DPM-Solver++, algorithm 2
        nonlocal last
        (a_t, b_t), (a_s, b_s) = levels(process, t), levels(process, s)
        h = torch.tensor(a_s / b_s * b_t / a_t).log().item()
        ahead = mean if last is None else mean + (mean - last[0]) * h / (2 * last[1])
        last = mean, h
        return b_s / b_t * x + (a_s - b_s / b_t * a_t) * ahead

    yield from solve(step, process, denoise, canvas, times, rng, clamp)
