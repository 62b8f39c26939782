"""Correctors: samplers that let a token change again after it was written."""

import torch

from tinydiff.randomness import rand
from tinydiff.samplers import Annotated, Range, Step, after, hidden, moves, place_of, sampler


@sampler(
    "remask",
    needs={"mask"},
    paper="arXiv:2503.00307",
    keeps="a few, and hides some older ones again",
)
def remask(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    share: Annotated[
        float,
        Range(
            0,
            1,
            "how much of the remasking that the noise allows is done: 0 is ancestral, 1 the most",
        ),
    ] = 0.1,
):
    """Hide some written tokens again at every step and write them anew (ReMDM)."""
    noise, x, canvas = process.noise, start.x, start.canvas
    for t, s in moves(start, times):
        alpha_t, alpha_s = noise.alpha(canvas.time(t)), noise.alpha(canvas.time(s))
        # ReMDM, eq. 7: any sigma up to this keeps q(x_s | x_0)
        sigma = share * ((1 - alpha_s) / alpha_t).clamp_max(1)
        prediction = denoise(x, canvas.time(t))
        masked, u = hidden(x, process), rand(x, rng)
        reveal = masked & (u < (alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t))  # ReMDM, eq. 6
        hide = ~masked & ~canvas.given & (u < sigma)
        x = torch.where(hide, process.mask_id, x)
        x = torch.where(reveal, prediction.draw(rng), x)
        x, canvas = after((yield Step(x, prediction, s)), x, canvas)


@sampler("renoise", needs={"diffusion", "tokens", "posterior"}, paper="arXiv:2602.21185")
def renoise(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    share: Annotated[
        float,
        Range(0, 1, "how many of the tokens forget, each step: 0 is ancestral, 1 all of them"),
    ] = 0.05,
):
    """At every step a few tokens are drawn anew: x_0 from the prediction, then noised; the
    others step back.

    The psi-samplers of Duo's second chapter: a mixture of q(x_s | x_0) and q(x_s | x_t, x_0) leaves
    every q(x_s | x_0) as it is, whatever the noise. Characters that are drawn anew in the same step
    are drawn as if independent, so this is exact only if they are few.
    """
    noise, x, canvas = process.noise, start.x, start.canvas
    for t, s in moves(start, times):
        prediction = denoise(x, canvas.time(t))
        onward = noise.reverse(x, prediction, canvas.time(t), canvas.time(s), rng)
        anew = noised_again(process, prediction, canvas, s, rng)
        x = noise.pin(torch.where(rand(x, rng, "forget") < share, anew, onward), canvas)
        x, canvas = after((yield Step(x, prediction, s)), x, canvas)


@sampler(
    "mask_again",
    needs={"mask", "posterior"},
    paper="arXiv:2602.21185",
    keeps="some, old and new alike, picked by chance",
)
def mask_again(process, denoise, start, times, rng):
    """Write all masks at once, then hide a share of the whole text again, old tokens and new ones
    alike, less at every step (BERT as a generator).

    The loop of the essay "BERT is just a Single Text Diffusion Step": x_0 from the prediction, then
    x_s ~ q(x_s | x_0), with 0.9, 0.8 ... 0 of masks in ten even steps of the linear schedule. On
    masks it is `renoise` with a share of 1, and ReMDM (arXiv:2503.00307, eq. 6) with sigma = 1 -
    alpha_s: it differs from ancestral in that written tokens are hidden and drawn again.

    With a perfect network it does not keep x_t ~ q(x_t): tokens that are written in the same look
    are independent given what stood there, and every look writes all masks. At a time in between
    that error stays, however many steps there are. The last looks write few at once and go over
    the text again and again, so the error of the finished text falls, but with the root of the
    steps: on the text AB or BA it tends to sqrt(pi / steps) / 8, ancestral's to 1 / (2 steps).
    """
    x, canvas = start.x, start.canvas
    for t, s in moves(start, times):
        prediction = denoise(x, canvas.time(t))
        x = process.noise.pin(noised_again(process, prediction, canvas, s, rng), canvas)
        x, canvas = after((yield Step(x, prediction, s)), x, canvas)


def noised_again(process, prediction, canvas, s, rng):
    """x_s ~ q(x_s | x_0) for the x_0 that the prediction draws, whatever stood there before."""
    return process.noise.corrupt(prediction.draw(rng), canvas.time(s), rng)


@sampler(
    "gibbs",
    needs={"diffusion", "tokens", "posterior"},
    paper="arXiv:2205.14987",
    asks=lambda process, sweeps=1, **_: 1 + int(sweeps),
)
def gibbs(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    sweeps: Annotated[
        int, Range(0, 8, "corrections after each step, a call each: 0 is ancestral")
    ] = 1,
    redraw: Annotated[
        int, Range(0, 64, "tokens drawn anew a correction: one is exact, many correct more")
    ] = 4,
):
    """After each step, draw a few tokens anew at the same noise level: x_0 from the prediction,
    then its noise again.

    One position at a time, this leaves the text's distribution at that level as it is. With masks
    it makes the jumps of the corrector of Campbell et al. (section 4.4), in the same proportions.
    """
    noise, x, canvas = process.noise, start.x, start.canvas
    for t, s in moves(start, times):
        prediction = denoise(x, canvas.time(t))
        x = noise.pin(noise.reverse(x, prediction, canvas.time(t), canvas.time(s), rng), canvas)
        for rng.turn in range(1, 1 + int(sweeps) if s > 0 else 1):
            anew = denoise(x, canvas.time(s)).draw(rng)
            anew = noise.corrupt(anew, canvas.time(s), rng)
            chosen = place_of(rand(anew, rng, "order"), ~canvas.given) < redraw
            x = noise.pin(torch.where(chosen, anew, x), canvas)
        rng.turn = 0
        x, canvas = after((yield Step(x, prediction, s)), x, canvas)
