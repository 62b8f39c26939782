"""Orders of reveal for masked diffusion. Each sampler asks the network about every mask, draws a
token for each, and keeps some of them; the samplers differ in which. Ranking positions by a
function of the state (the largest probability, the entropy) and then drawing is exact at one reveal
a step; several reveals a step treat the tokens as independent, which is the error one sees.
"""

import torch

from tinydiff.randomness import rand
from tinydiff.samplers import Annotated, Range, Step, after, hidden, moves, place_of, sampler

# the least share of masks of which a network is told the time: at none at all its ratios have no
# logarithm
EARLIEST = 1e-12


Budget = Annotated[
    float,
    Range(
        0,
        20,
        "nats of uncertainty accepted a step: 0 is one token, and all that are certain",
    ),
]


def reveal_by(score, process, denoise, start, times, rng):
    """Reveal as many tokens a step as the schedule says, in the order of score(log_x0, rng), the
    highest first."""
    x, canvas = start.x, start.canvas
    total = masks_at_first(start, process)
    prediction = None
    for t, s in moves(start, times):
        left = (total * masked_share(process, canvas, s)).round()
        masked = hidden(x, process)
        count = masked.sum(1, keepdim=True) - left
        if prediction is None or count.max() > 0:
            prediction = denoise(x, canvas.time(t))
            place = place_of(score(prediction.log_x0, rng), masked)
            x = torch.where(masked & (place < count), prediction.draw(rng), x)
        sent = yield Step(x, prediction, s, memory=total)
        if sent is not None:
            x, canvas, prediction = sent.x, sent.canvas, None


def masked_share(process, canvas, t):
    """The share at time t of the tokens that are masked at time 1, (B, 1)."""
    open_ = (~canvas.given).double()
    masked = 1 - process.noise.alpha(canvas.time(t, torch.float64))
    first = 1 - process.noise.alpha(canvas.time(1.0, torch.float64))
    share = torch.where(first > 0, masked / first, 0)
    # a mean that is exact where all are equal: half tokens are rounded
    least = torch.where(canvas.given, torch.inf, share).amin(1, keepdim=True).clamp_max(1)
    more = ((share - least) * open_).sum(1, keepdim=True) / open_.sum(1, keepdim=True).clamp_min(1)
    return (least + more).float()


def masks_at_first(start, process):
    """How many masks there are at time 1, (B, 1). A state at an earlier time has the share of them
    that the noise leaves there."""
    if start.memory is not None:
        return start.memory
    there = hidden(start.x, process).sum(1, keepdim=True)
    if start.t == 1:
        return there
    return there / masked_share(process, start.canvas, start.t)


def gumbel(like, rng):
    return -torch.log(-torch.log(rand(like, rng).double().clamp(1e-12, 1 - 1e-12)))


def negative_entropy(log_p):
    # exp of far smaller ones is ten times slower on a CPU
    return (log_p.clamp_min(-80).exp() * log_p).sum(-1)


@sampler(
    "confidence",
    needs={"mask", "clock"},
    paper="arXiv:2202.04200",
    keeps="those it is surest of",
    weighs=True,
)
def confidence(
    process,
    denoise,
    start,
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

    yield from reveal_by(score, process, denoise, start, times, rng)


@sampler(
    "margin",
    needs={"mask", "clock"},
    paper="arXiv:2502.06768",
    keeps="those it is surest of",
    weighs=True,
)
def margin(process, denoise, start, times, rng):
    """Reveal where the best token is furthest ahead of the second best."""

    def score(log_p, rng):
        best = log_p.exp().topk(min(2, log_p.shape[-1])).values
        return best[..., 0] - best[..., -1]

    yield from reveal_by(score, process, denoise, start, times, rng)


@sampler(
    "entropy",
    needs={"mask", "clock"},
    paper="arXiv:2508.15487",
    keeps="those it is surest of",
    weighs=True,
)
def entropy(process, denoise, start, times, rng):
    """Reveal where the prediction has the lowest entropy."""
    yield from reveal_by(
        lambda log_p, rng: negative_entropy(log_p), process, denoise, start, times, rng
    )


@sampler(
    "random",
    needs={"mask", "clock"},
    paper="arXiv:2110.02037",
    keeps="a few, picked by chance",
    weighs=True,
)
def random(process, denoise, start, times, rng):
    """Reveal in random order, the same number of tokens every step."""
    yield from reveal_by(
        lambda log_p, rng: rand(log_p[..., 0], rng), process, denoise, start, times, rng
    )


@sampler(
    "dilated",
    needs={"mask", "clock"},
    paper="arXiv:2506.19037",
    keeps="a few that lie far apart",
    weighs=True,
)
def dilated(process, denoise, start, times, rng):
    """Reveal tokens that are far from each other, so that neighbours do not come in the same step
    (dilated unmasking)."""
    yield from reveal_by(
        lambda log_p, rng: -reversed_bits(log_p[..., 0]), process, denoise, start, times, rng
    )


def reversed_bits(like):
    """The number of each place with its bits in reverse order, (B, L): counted up by it, places
    halve the gaps between those before them (van der Corput's sequence)."""
    places = torch.arange(like.shape[1], device=like.device).expand_as(like)
    bits = max(1, (like.shape[1] - 1).bit_length())
    return sum((places >> bit & 1) << (bits - 1 - bit) for bit in range(bits)).float()


def reveal_while(enough, process, denoise, start, times, rng):
    """Reveal the places for which enough(log_x0, masked) is True, however many; at the last step,
    all that are left. Networks that take the time get the time at which as many tokens are masked,
    not that of the step."""
    x, canvas = start.x, start.canvas
    total, t = start.memory or (masks_at_first(start, process)[:, 0].clamp_min(1).double(), start.t)
    for _, s in moves(start._replace(t=t), times):
        masked = hidden(x, process)
        if not masked.any():
            return
        prediction = denoise(x, canvas.time(time_of(masked, total, process)))
        accept = masked & (enough(prediction.log_x0, masked) if s > 0 else True)
        x = torch.where(accept, prediction.draw(rng), x)
        now = time_of(hidden(x, process), total, process).mean().item()
        x, canvas = after((yield Step(x, prediction, now, memory=(total, s))), x, canvas)


def time_of(masked, total, process):
    """The time at which as many of `total` tokens are masked, (B,)."""
    share = (masked.sum(1) / total).clamp_max(1)
    return torch.where(share == 1, 1.0, process.noise.schedule.time(1 - share))


@sampler(
    "threshold",
    needs={"mask", "clock"},
    paper="arXiv:2505.22618",
    keeps="those it is surest of",
    weighs=True,
)
def threshold(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    at_least: Annotated[
        float,
        Range(0, 1, "accept every token surer than this: 0 takes all at once, 1 one a step"),
    ] = 0.9,
):
    """Reveal every position that is sure enough, and always the surest one; stops when all is
    written (Fast-dLLM)."""

    def enough(log_p, masked):
        surest = log_p.amax(-1)
        return (place_of(surest, masked) == 0) | (
            surest.exp() >= at_least if at_least < 1 else False
        )

    yield from reveal_while(enough, process, denoise, start, times, rng)


@sampler(
    "entropy_budget",
    needs={"mask", "clock"},
    paper="arXiv:2505.24857",
    keeps="those it is surest of",
    weighs=True,
)
def entropy_budget(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    budget: Budget = 0.5,
):
    """Reveal the least uncertain positions while their entropies, less the largest of them, stay
    under a budget."""

    yield from reveal_while(
        lambda log_p, masked: within_budget(log_p, masked, budget),
        process,
        denoise,
        start,
        times,
        rng,
    )


def within_budget(log_p, allowed, budget):
    """(B, L) bool: the allowed places of lowest entropy, as long as their entropies, less the
    largest, sum up to `budget`."""
    entropies = torch.where(allowed, -negative_entropy(log_p).double(), torch.inf)
    ordered, where = entropies.sort(1)
    within = ordered.cumsum(1) - ordered <= budget  # the largest of a sorted prefix is its last
    return torch.zeros_like(allowed).scatter(1, where, within)


@sampler(
    "first_hitting",
    needs={"mask", "clock"},
    paper="arXiv:2409.02908",
    steps_matter=False,
    keeps="one, picked by chance",
    weighs=True,
)
def first_hitting(process, denoise, start, times, rng):
    """Jump to the moment at which the next token is revealed: one call a token, exact, no
    step size."""
    x, canvas = start.x, start.canvas
    # 1 - alpha, the share that is masked
    noise = torch.full((len(x), 1), masked_now(process, start.t), dtype=torch.float64)
    noise = noise.to(x.device) if start.memory is None else start.memory
    while (masked := hidden(x, process)).any():
        n = masked.sum(1, keepdim=True)
        # 0 stands for all below 2**-24, and a time of 0 is none with masks
        u = rand(noise, rng, "time").clamp_min(2**-25)
        noise = torch.where(n > 0, (noise * u ** (1 / n.clamp_min(1))).clamp_min(EARLIEST), 0)
        t = process.noise.schedule.time(1 - noise)
        prediction = denoise(x, canvas.time(t))
        first = place_of(rand(x.double(), rng, "order"), masked) == 0
        x = torch.where(masked & first, prediction.draw(rng), x)
        x, canvas = after((yield Step(x, prediction, t.mean().item(), memory=noise)), x, canvas)


def masked_now(process, t):
    """1 - alpha at time t, 1 at time 1: a sampler begins with nothing but masks."""
    alpha = process.noise.schedule.alpha(torch.tensor(t, dtype=torch.float64)).item()
    return 1.0 if t == 1 else 1 - alpha
