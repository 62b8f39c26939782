"""Orders of reveal for masked diffusion. All of them ask the network about every mask, draw a
character for each, and keep some; they differ in which. Ranking by a function of the state (the
largest probability, the entropy) and then drawing is exact at one reveal a step; several reveals a
step take the characters for independent, which is the error one sees.
"""

import torch

from tinydiff.processes import draw, rand
from tinydiff.samplers import Annotated, Range, Step, hidden, pairwise, place_of, sampler

# the least share of masks of which a network is told the time: at none at all its ratios have no
# logarithm
EARLIEST = 1e-12


def reveal_by(score, process, denoise, canvas, times, rng):
    """Reveal as many characters a step as the schedule says, those first for which score(log_x0,
    rng) is highest."""
    x = process.prior(canvas, rng)
    total = hidden(x, process).sum(1, keepdim=True)
    noise = 1 - process.schedule.alpha(torch.tensor(times, dtype=torch.float64))
    prediction = None
    for (t, s), share in zip(pairwise(times), (noise / noise[0]).tolist()[1:]):
        keep = (total * share).round()
        masked = hidden(x, process)
        count = masked.sum(1, keepdim=True) - keep
        if prediction is None or count.max() > 0:
            prediction = denoise(x, canvas.time(t))
            place = place_of(score(prediction.log_x0, rng), masked)
            x = torch.where(masked & (place < count), draw(prediction.log_x0, rng), x)
        yield Step(x, prediction, s)


def gumbel(like, rng):
    return -torch.log(-torch.log(rand(like, rng).double().clamp(1e-12, 1 - 1e-12)))


def negative_entropy(log_p):
    # exp of far smaller ones is ten times slower on a CPU
    return (log_p.clamp_min(-80).exp() * log_p).sum(-1)


@sampler("confidence", needs={"mask"}, paper="arXiv:2202.04200")
def confidence(
    process,
    denoise,
    canvas,
    times,
    rng,
    *,
    noise: Annotated[
        float,
        Range(0, 10, "Gumbel noise on the ranking: 0 is strictly the surest, 10 nearly any order"),
    ] = 0.0,
):
    """Reveal the positions that the network is surest of (MaskGIT)."""

    def score(log_p, rng):
        surest = log_p.amax(-1)
        return surest + noise * gumbel(surest, rng)

    yield from reveal_by(score, process, denoise, canvas, times, rng)


@sampler("margin", needs={"mask"}, paper="arXiv:2502.06768")
def margin(process, denoise, canvas, times, rng):
    """Reveal where the best character is furthest ahead of the second best."""

    def score(log_p, rng):
        best = log_p.exp().topk(min(2, log_p.shape[-1])).values
        return best[..., 0] - best[..., -1]

    yield from reveal_by(score, process, denoise, canvas, times, rng)


@sampler("entropy", needs={"mask"}, paper="arXiv:2508.15487")
def entropy(process, denoise, canvas, times, rng):
    """Reveal where the whole bet is least spread out (lowest entropy)."""
    yield from reveal_by(
        lambda log_p, rng: negative_entropy(log_p), process, denoise, canvas, times, rng
    )


@sampler("random", needs={"mask"}, paper="arXiv:2110.02037")
def random(process, denoise, canvas, times, rng):
    """Reveal in random order, the same number of characters every step."""
    yield from reveal_by(
        lambda log_p, rng: rand(log_p[..., 0], rng), process, denoise, canvas, times, rng
    )


def reveal_while(enough, process, denoise, canvas, times, rng):
    """Reveal the places for which enough(log_x0, masked) is True, however many; what is left at the
    last step comes at once. The time is not the step's but that at which as much is masked, for
    networks that are told it.
    """
    x = process.prior(canvas, rng)
    total = hidden(x, process).sum(1).clamp_min(1).double()
    now = torch.ones_like(total)
    for s in times[1:]:
        masked = hidden(x, process)
        if not masked.any():
            return
        prediction = denoise(x, canvas.time(now))
        accept = masked & (enough(prediction.log_x0, masked) if s > 0 else True)
        x = torch.where(accept, draw(prediction.log_x0, rng), x)
        now = process.schedule.time(1 - hidden(x, process).sum(1) / total)
        yield Step(x, prediction, now.mean().item())


@sampler("threshold", needs={"mask"}, paper="arXiv:2505.22618")
def threshold(
    process,
    denoise,
    canvas,
    times,
    rng,
    *,
    at_least: Annotated[
        float,
        Range(0, 1, "accept every character surer than this: 0 takes all at once, 1 one a step"),
    ] = 0.9,
):
    """Reveal every position that is sure enough, and always the surest one; stops when all is
    written (Fast-dLLM)."""

    def enough(log_p, masked):
        surest = log_p.amax(-1)
        return (place_of(surest, masked) == 0) | (
            surest.exp() >= at_least if at_least < 1 else False
        )

    yield from reveal_while(enough, process, denoise, canvas, times, rng)


@sampler("entropy_budget", needs={"mask"}, paper="arXiv:2505.24857")
def entropy_budget(
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
    """Reveal the least uncertain positions while their entropies, less the largest of them, stay
    under a budget."""

    yield from reveal_while(
        lambda log_p, masked: within_budget(log_p, masked, budget),
        process,
        denoise,
        canvas,
        times,
        rng,
    )


def within_budget(log_p, allowed, budget):
    """(B, L) bool: the allowed places of lowest entropy, as long as their entropies, less the
    largest, sum up to `budget`."""
    spread = torch.where(allowed, -negative_entropy(log_p).double(), torch.inf)
    ordered, where = spread.sort(1)
    within = ordered.cumsum(1) - ordered <= budget  # the largest of a sorted prefix is its last
    return torch.zeros_like(allowed).scatter(1, where, within)


@sampler("first_hitting", needs={"mask"}, paper="arXiv:2409.02908", steps_matter=False)
def first_hitting(process, denoise, canvas, times, rng):
    """Jump to the moment at which the next character is revealed: one call a character, exact, no
    step size."""
    x = process.prior(canvas, rng)
    # 1 - alpha, the share that is masked
    noise = torch.ones(len(x), 1, dtype=torch.float64, device=x.device)
    while (masked := hidden(x, process)).any():
        n = masked.sum(1, keepdim=True)
        # 0 stands for all below 2**-24, and a time of 0 is none with masks
        u = rand(noise, rng).clamp_min(2**-25)
        noise = torch.where(n > 0, (noise * u ** (1 / n.clamp_min(1))).clamp_min(EARLIEST), 0)
        t = process.schedule.time(1 - noise)
        prediction = denoise(x, canvas.time(t))
        first = place_of(rand(x.double(), rng), masked) == 0
        x = torch.where(masked & first, draw(prediction.log_x0, rng), x)
        yield Step(x, prediction, t.mean().item())
