"""Solvers for real-valued states: ways from x_t to x_s that take one estimate of the clean codes as
the truth. All write x_t as sqrt(alpha) mean + sqrt(1 - alpha) noise, and differ in how much of the
noise they keep and in what they carry over from the last step."""

import torch

from tinydiff.samplers import Annotated, Choice, Range, Step, moves, sampler

Clamp = Annotated[
    int,
    Range(
        0,
        1,
        "1: the estimate is the code of the likeliest token (Diffusion-LM's clamping), "
        "0: the mean over all",
    ),
]
Shift = Annotated[
    float,
    Range(
        0, 4, "steps by which the state is moved further than the network is told (asymmetric time)"
    ),
]
NONE = 1e-12  # in the place of the noise of what is clean, by which nobody divides


def solve(step, process, denoise, start, times, rng, clamp, shift=0.0):
    """Take steps from noise to text with step(x, mean, (a_t, b_t), (a_s, b_s), memory) -> (x_s, the
    memory of the next step); a and b are `levels`. A position that becomes clean gets the code of
    its likeliest token."""
    noise, x, canvas, memory = process.noise, start.x, start.canvas, start.memory
    for t, s in moves(start, times):
        prediction, codes = denoise(x, canvas.time(t)), noise.codes()
        mean = noise.nearest(prediction) if clamp else prediction.mean(codes)
        alpha_t, alpha_s = alphas(noise, canvas, t), alphas(noise, canvas, s)
        if (alpha_s == 1).all():
            new = x  # whatever: nothing of it stays
        else:
            further = alphas(noise, canvas, max(0.0, s - shift * (t - s)))
            new, memory = step(x, mean.to(x.dtype), levels(alpha_t), levels(further), memory)
        new = noise.arrived(x, new.to(x.dtype), prediction, alpha_t, alpha_s)
        x = noise.pin(new, canvas)
        sent = yield Step(x, prediction, s, memory=memory)
        if sent is not None:
            x, canvas, memory = sent.x, sent.canvas, sent.memory


def alphas(noise, canvas, t):
    """alpha of each position at time t, (B, L, 1), float64."""
    return noise.alpha(canvas.time(t, torch.float64))[..., None]


def levels(alpha):
    """sqrt(alpha) and sqrt(1 - alpha), the sizes of text and of noise."""
    return alpha.sqrt(), (1 - alpha).sqrt().clamp_min(NONE)


@sampler("ddim", needs={"reals"}, paper="arXiv:2010.02502")
def ddim(
    process,
    denoise,
    start,
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

    def step(x, mean, at_t, at_s, memory):  # DDIM, eq. 12 and 16
        (a_t, b_t), (a_s, b_s) = at_t, at_s
        fresh = eta * b_s / b_t * (1 - (a_t / a_s) ** 2).clamp_min(0).sqrt()
        kept = (b_s**2 - fresh**2).clamp_min(0).sqrt()
        a_t, b_t, a_s, kept, fresh = (part.to(x.dtype) for part in (a_t, b_t, a_s, kept, fresh))
        new = a_s * mean + kept * (x - a_t * mean) / b_t + fresh * process.noise.normal(x, rng)
        return new, None

    yield from solve(step, process, denoise, start, times, rng, clamp, shift)


# what epsilon is multiplied with, from beta and sqrt(1 - abar_t): as DDPM has it, and a misprint
FACTORS = {"beta": lambda beta, b_t: beta / b_t, "sqrt-beta": lambda beta, b_t: beta.sqrt()}
REFUSED = {
    "beta-before": "This reverse step divides by sqrt(1 - abar_0) = 0 at its last step: choose the "
    "factor beta."
}
# sigma^2 from beta, sqrt(1 - abar_t) and sqrt(1 - abar_s) (DDPM, section 3.2: both are right)
VARIANCES = {
    "beta-tilde": lambda beta, b_t, b_s: (b_s / b_t) ** 2 * beta,
    "beta": lambda beta, b_t, b_s: beta,
}
Factor = Annotated[
    str,
    Choice(
        lambda process: (*FACTORS, *REFUSED),
        "what epsilon is multiplied with: beta is beta / sqrt(1 - abar_t), which is right; "
        "misprints are sqrt-beta, and beta-before, which is beta / sqrt(1 - abar_(t-1))",
        REFUSED,
    ),
]
Variance = Annotated[
    str,
    Choice(
        lambda process: tuple(VARIANCES),
        "sigma^2, how much fresh noise: beta-tilde is right for a known text, beta for pure noise",
    ),
]


@sampler("ddpm", needs={"reals"}, paper="arXiv:2006.11239")
def ddpm(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    clamp: Clamp = 0,
    shift: Shift = 0.0,
    factor: Factor = "beta",
    variance: Variance = "beta-tilde",
):
    """The reverse chain of Gaussian noise: most of the noise comes off, a little fresh noise goes
    on (DDPM)."""

    def step(x, mean, at_t, at_s, memory):
        """DDPM, eq. 11: abar is alpha at times of the grid, and 1 - beta the ratio of two
        neighbours."""
        (a_t, b_t), (a_s, b_s) = at_t, at_s
        beta = (1 - (a_t / a_s) ** 2).clamp_min(0)
        off, wide = FACTORS[factor](beta, b_t), VARIANCES[variance](beta, b_t, b_s).sqrt()
        grown, a_t, b_t, off, wide = (p.to(x.dtype) for p in (a_s / a_t, a_t, b_t, off, wide))
        epsilon = (x - a_t * mean) / b_t
        return grown * (x - off * epsilon) + wide * process.noise.normal(x, rng), None

    yield from solve(step, process, denoise, start, times, rng, clamp, shift)


@sampler("dpm_solver", needs={"reals"}, paper="arXiv:2211.01095")
def dpm_solver(process, denoise, start, times, rng, *, clamp: Clamp = 0):
    """DDIM's path with steps of second order: the estimate is carried on as it changed in the last
    step (DPM-Solver++ 2M)."""

    def step(x, mean, at_t, at_s, last):  # DPM-Solver++, algorithm 2
        """last: the mean before, and the step in half log SNR that it was made for; a position that
        had not moved then takes a step of first order."""
        (a_t, b_t), (a_s, b_s) = at_t, at_s
        h = (a_s / b_s * b_t / a_t).log()
        ahead = mean
        if last is not None:
            before, h_before = last
            more = (mean - before) * h.to(x.dtype) / (2 * h_before).to(x.dtype)
            ahead = mean + torch.where(h_before > 0, more, 0)
        keep, add = b_s / b_t, a_s - b_s / b_t * a_t
        return keep.to(x.dtype) * x + add.to(x.dtype) * ahead, (mean, h)

    yield from solve(step, process, denoise, start, times, rng, clamp)
