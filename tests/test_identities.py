"""What is said to be equal is equal, number by number: bounds of different papers, ratios and
posteriors, steps and chains."""

import pytest
import torch
import torch.nn.functional as F

from tests.conftest import SHAPE
from tests.languages import enumerated, part_of
from tinydiff import exact
from tinydiff.generate import generate
from tinydiff.nets import precision
from tinydiff.noises.uniform import log_kernel, smoothed
from tinydiff.predictions import Prediction
from tinydiff.processes import PROCESSES, build
from tinydiff.processes.uniform import score_entropy
from tinydiff.randomness import seeded
from tinydiff.schedules import schedule
from tinydiff.text import Canvas, Characters

V = 5
RATIOS = [name for name, process in PROCESSES.items() if "ratios" in process.traits]
SCORES = ["score-masked", "score-uniform"]
BASE = {name: name.removeprefix("score-") for name in RATIOS}


def made(name, answer):
    """A process of V characters whose network answers answer(x, t)."""
    process = PROCESSES[name](None, Characters("abcde"), schedule("linear"), None)
    process.net = exact.PerfectNetwork(answer)
    return process


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def full(t, x):
    return torch.full(x.shape, t, dtype=torch.float64)


def mixture(noise, x, log_x0, t, s):
    """log p(x_s = y | x_t) of uniform noise, (B, L, V): the sum over x_0 of what it is given each
    (D3PM, arXiv:2107.03006, eq. 4)."""
    alpha_t, alpha_s = noise.alpha(t.double()), noise.alpha(s.double())
    back = log_kernel(alpha_t / alpha_s, x, noise.V)  # q(x_t | x_s = y)
    # p(x_0 = v | x_t) / q(x_t | x_0 = v)
    weight = log_x0.double() - log_kernel(alpha_t, x, noise.V)
    return (back + smoothed(weight, alpha_s)).log_softmax(-1)


def noised(name, rng, t=0.6, shape=(40, 6)):
    """A process without a network, texts, what noise makes of them, and its times."""
    process = made(name, None)
    x0 = torch.randint(V, shape, generator=rng)
    return process, x0, process.noise.corrupt(x0, full(t, x0), rng), full(t, x0)


def prediction(process, x, t, seed=1):
    """A random p(x_0 | x_t) that agrees with x_t, (B, L, V), as denoise would give it."""
    return (2 * numbers(*x.shape, V, seed=seed) + process.noise.likelihood(x, t)).log_softmax(-1)


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("given", [0, 2])
def test_score_entropy_over_masks_is_the_cross_entropy_of_mdlm(given, rng):
    """Ratios that are alpha / (1 - alpha) times probabilities: the bounds and the losses are the
    same, draw by draw."""
    table = 2 * numbers(V + 1, V)

    def answer(x, t):  # depends on the character to the left and on the one to the right
        return table[x.roll(1, 1)] + table[x.roll(-1, 1)].flip(-1)

    masked = made("masked", answer)
    score = made(
        "score-masked", lambda x, t: answer(x, t).log_softmax(-1) + torch.log(torch.tensor(V))
    )
    x0 = torch.randint(V, (50, 6), generator=rng)
    canvas = Canvas(x0, (torch.arange(6) < given).expand(x0.shape))
    for what in ("bound", "loss"):
        one, other = (getattr(process, what)(canvas, seeded(7)) for process in (masked, score))
        assert torch.allclose(one.double(), other.double(), rtol=1e-5) and one.mean() > 1


def test_score_entropy_over_masks_as_it_is_written(rng):
    """SEDD, eq. 10, from the ratios that `scores` gives, is the integrand that `divergence` gives
    in another form."""
    process, x0, x, t = noised("score-masked", rng)
    process.net = exact.PerfectNetwork(lambda x, t: numbers(*x.shape, V))
    s = process.denoise(x, t).raw.exp()
    alpha = process.noise.schedule.alpha(t)
    q = alpha / (1 - alpha)  # of x_0 to the mask, and 0 of all others
    bracket = s.sum(-1) - q * s.gather(-1, x0[..., None])[..., 0].log() + q * (q.log() - 1)
    integrand = torch.where(x == process.mask_id, process.noise.rate(t) * bracket, 0)
    assert torch.allclose(process.divergence(Canvas(x0, x0 < 0), x, t), integrand, rtol=1e-9)


def test_the_bound_over_masks_tells_the_network_the_time(alphabet, rng):
    """For a network whose answers change with t, the mean of the bound is the integral over the
    times, here by quadrature and by adding up over every set of masks.
    """
    language = enumerated(alphabet(2), ["ab", "ba", "bb"], [0.5, 0.3, 0.2])
    process = exact.perfect("score-masked", language)
    known, wrong = process.net.answer, numbers(2, 2)
    process.net = exact.PerfectNetwork(lambda x, t: known(x, t) + 2 * t[..., None].double() * wrong)

    def mean(share):  # of the integrand when each token is masked with probability `share`
        t = process.noise.schedule.time(1 - share * (1 - process.noise.schedule.floor))
        total = 0
        for masks in torch.cartesian_prod(torch.tensor([False, True]), torch.tensor([False, True])):
            x = torch.where(masks, process.mask_id, language.strings)
            canvas = Canvas(language.strings, torch.zeros_like(language.strings, dtype=torch.bool))
            nats = torch.where(masks, process.surprise(canvas, x, t.expand(x.shape)), 0).sum(1)
            chance = torch.where(masks, share, 1 - share).prod()
            total = total + chance * (language.log_p.exp() * nats).sum()
        return total / share

    middles = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    integral = torch.stack([mean(share) for share in middles]).mean()
    x0 = language.sample(60_000, 2, rng)
    nats = process.bound(Canvas(x0, torch.zeros_like(x0, dtype=torch.bool)), rng).double()
    error = nats.std() / len(nats) ** 0.5
    assert (
        abs(nats.mean() - integral) < 4 * error < 0.1
        and abs(integral - language.entropy(2)) > 20 * error
    )


def plug_in(p, x, alpha):
    """log of the ratios if p (B, L, V) stands in the place of the one-hot x_0 (UDLM, Duo)."""
    level = (V * alpha[..., None] * p + 1 - alpha[..., None]).log()
    return level - level.gather(-1, x[..., None])


def udlm(p, x, x0, alpha, slope):
    """The integrand of UDLM's continuous bound (arXiv:2412.10193, section 4), as it stands there,
    (B, L)."""
    true = V * alpha[..., None] * F.one_hot(x0, V) + (1 - alpha[..., None])
    ours = V * alpha[..., None] * p + (1 - alpha[..., None])
    true_z, ours_z = (level.gather(-1, x[..., None]) for level in (true, ours))
    sums = (true / true_z * torch.log(ours_z * true / (ours * true_z))).sum(-1)
    return slope / (V * alpha) * (V / true_z[..., 0] - V / ours_z[..., 0] - sums)


def kernel(alpha):
    """q(x_t = y | x_s = v) as a matrix [v, y]."""
    return alpha * torch.eye(V, dtype=torch.float64) + (1 - alpha) / V


def chain_back(x, p, alpha_t, alpha_s):
    """D3PM, eq. 3, with p (N, V) in the place of the one-hot x_0: p(x_s | x_t), (N, V)."""
    joint = kernel(alpha_t / alpha_s).T[x] * (p @ kernel(alpha_s))
    return joint / joint.sum(-1, keepdim=True)


def test_the_uniform_bound_three_ways(rng):
    """The score entropy, UDLM's long form, and what D3PM's sum of divergences becomes when its
    steps grow short: the same, for a prediction that is mixed over and for one that is plugged in.
    """
    process, x0, x, t = noised("uniform", rng, t=0.4, shape=(30, 1))
    alpha, slope = process.noise.schedule.alpha(t), process.noise.schedule.slope(t)
    p = numbers(30, 1, V).softmax(-1)

    def integrand(log_r):
        return (process.noise.rate(t) * score_entropy(log_r, x, x0, alpha))[:, 0]

    T = 200_000
    alpha_s = process.noise.schedule.alpha(t[0, 0] - 1 / T)
    here, there = x[:, 0], alpha[0, 0]
    each = torch.stack(
        [
            chain_back(here, F.one_hot(torch.full_like(here, v), V).double(), there, alpha_s)
            for v in range(V)
        ],
        -1,
    )
    true = each.gather(-1, x0[..., None].expand(-1, V, 1))[..., 0]
    mixed = torch.einsum("nyv,nv->ny", each, p[:, 0])
    plugged = chain_back(here, p[:, 0], there, alpha_s)

    def limit(model):
        return T * (true * (true / model).log()).sum(-1)

    assert (x == x0).any() and (x != x0).any()
    assert torch.allclose(
        udlm(p, x, x0, alpha, slope)[:, 0], integrand(plug_in(p, x, alpha)), rtol=1e-9
    )
    assert torch.allclose(limit(plugged), integrand(plug_in(p, x, alpha)), rtol=1e-3)
    assert torch.allclose(
        limit(mixed), integrand(process.noise.log_ratios(x, p.log(), t)), rtol=1e-3
    )
    assert not torch.allclose(limit(mixed), limit(plugged), rtol=0.1)


def test_plugged_in_and_mixed_are_one_without_the_character_itself(language, rng):
    """What the network of "uniform" is asked, the distribution that leaves out what stands there,
    gives by plug-in the ratios and the steps that p(x_0 | x_t) gives by mixing; and the perfect
    network's is that of the language.
    """
    process, x0, x, t = noised("uniform", rng)
    raw, alpha, s = numbers(*x.shape, V), process.noise.schedule.alpha(t), full(0.35, x)
    process.net = exact.PerfectNetwork(lambda x, t: raw)
    log_x0 = process.denoise(x, t).log_x0
    assert torch.allclose(
        process.noise.log_ratios(x, log_x0, t), plug_in(raw.softmax(-1), x, alpha), atol=1e-9
    )
    plugged = chain_back(
        x.flatten(),
        raw.softmax(-1).flatten(0, 1),
        alpha[0, 0],
        process.noise.schedule.alpha(s[0, 0]),
    )
    assert torch.allclose(
        mixture(process.noise, x, log_x0, t, s).exp().flatten(0, 1), plugged, atol=1e-9
    )

    process = exact.perfect("uniform", language)
    x = language.sample(20, 4, rng).flip(0).roll(1, 1)
    like = process.noise.likelihood(x, full(0.5, x))
    answer = process.net(x, full(0.5, x)).softmax(-1)
    for i in range(4):
        seen = like.clone()
        seen[:, i] = 0
        assert torch.allclose(answer[:, i], language.posterior(seen)[:, i].exp(), atol=1e-9)


def bregman(r, q):
    """The divergence of q from r that belongs to the convex function a log a."""
    return q * q.log() - r * r.log() - (r.log() + 1) * (q - r)


def test_score_entropy_is_a_bregman_divergence(rng):
    """Of the true ratios from the estimated ones: 0 at the truth, more elsewhere, at once and where
    the truth was lost."""
    process, x0, x, t = noised("uniform", rng)
    alpha = process.noise.schedule.alpha(t)
    levels = log_kernel(alpha, x0, V)  # q(y | x_0) = q(x_0 | y)
    true = levels - levels.gather(-1, x[..., None])
    wrong = true + numbers(*x.shape, V)
    other = F.one_hot(x, V) == 0
    found = score_entropy(wrong, x, x0, alpha)
    assert torch.allclose(
        found, torch.where(other, bregman(wrong.exp(), true.exp()), 0).sum(-1), rtol=1e-9
    )
    assert (found > 0).all() and score_entropy(true, x, x0, alpha).abs().max() < 1e-9


def test_an_untrained_network_s_bound_is_log_v(rng):
    """Zeros mean that all characters are alike: over masks each draw is log V a character, over
    uniform noise the mean is."""
    x0 = torch.randint(V, (40_000, 3), generator=rng)
    canvas = Canvas(x0, torch.zeros_like(x0, dtype=torch.bool))
    log_v = torch.log(torch.tensor(V, dtype=torch.float64))
    nats = {
        name: made(name, lambda x, t: torch.zeros(*x.shape, V)).bound(canvas, rng).double() / 3
        for name in SCORES
    }
    assert torch.allclose(nats["score-masked"], log_v, atol=1e-5)
    error = nats["score-uniform"].std() / len(x0) ** 0.5
    assert abs(nats["score-uniform"].mean() - log_v) < 4 * error < 0.1


# ---------------------------------------------------------------- ratios


@pytest.mark.parametrize("name", RATIOS)
def test_ratios_are_those_of_all_noised_texts(name, language):
    """p_t of every noised text, added up over the language, and its ratios to every neighbour's:
    what a perfect network says."""
    process, t = exact.perfect(name, language), 0.55
    alpha = process.noise.schedule.alpha(torch.tensor(t, dtype=torch.float64))
    v = len(language.tokenizer)
    uniform = BASE[name] == "uniform"
    states = v if uniform else v + 1
    # q(x_t = y | x_0 = v)
    noise = torch.full((v, states), (1 - alpha) / v if uniform else 0.0, dtype=torch.float64)
    noise[range(v), range(v)] += alpha
    if not uniform:
        noise[:, v] = 1 - alpha
    texts = torch.cartesian_prod(*[torch.arange(states)] * 4)
    each = noise[language.strings[:, None], texts[None]].prod(-1)  # (N, texts)
    p_t = (language.log_p.exp()[:, None] * each).sum(0).view(*[states] * 4)

    x = texts[p_t.flatten() > 0]
    times = full(t, x)
    said = process.noise.log_ratios(x, process.denoise(x, times).log_x0, times).exp()
    if name in SCORES:
        assert torch.allclose(process.denoise(x, times).raw.exp(), said, atol=1e-9)
    here = p_t[tuple(x.T)]
    for i in range(4):
        may = torch.ones(len(x), dtype=torch.bool) if uniform else x[:, i] == process.mask_id
        for y in range(v):
            neighbour = x.clone()
            neighbour[:, i] = y
            true = p_t[tuple(neighbour.T)] / here
            assert torch.allclose(said[may, i, y], true[may], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("dtype,close", [(torch.float64, 1e-9), (torch.float32, 2e-4)])
@pytest.mark.parametrize("name", SCORES)
def test_ratios_and_predictions_hold_the_same(name, dtype, close, rng):
    """p(x_0 | x_t) -> ratios -> p(x_0 | x_t) changes nothing, at any noise; where a character is
    given it is certain."""
    for t in (0.001, 0.3, 0.9, 1.0):
        process, _, x, t = noised(name, rng, t)
        t[:, 0] = 0
        x[:, 0] = 3
        log_x0 = prediction(process, x, t)
        log_s = process.noise.log_ratios(x, log_x0, t)
        constant = torch.log(
            (1 - process.noise.schedule.alpha(t)) / process.noise.schedule.alpha(t)
        )[..., None] + torch.log(torch.tensor(V))
        told = log_s + (constant if BASE[name] == "masked" else 0)
        process.net = exact.PerfectNetwork(lambda x, t, told=told: told.nan_to_num(7).to(dtype))
        found = process.denoise(x, t.to(dtype))
        assert found.log_x0.dtype == dtype and found.log_x0.isfinite().all()
        assert torch.allclose(found.log_x0.double().exp(), log_x0.exp(), atol=close)
        assert (found.log_x0[:, 0, 3] == 0).all()


@pytest.mark.parametrize("name", RATIOS)
def test_jumps_are_the_rate_summed_up(name):
    """Their slope in t is the rate, and none happen in no time."""
    process = made(name, None)
    t = torch.linspace(0.05, 1, 20, dtype=torch.float64, requires_grad=True)
    jumps = process.noise.jumps(t, torch.full_like(t, 0.05))
    assert (
        torch.allclose(torch.autograd.grad(jumps.sum(), t)[0], process.noise.rate(t), rtol=1e-9)
        and jumps[0] == 0
    )


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize("name", RATIOS)
def test_tweedie_is_the_matrix_exponential(name, rng):
    """SEDD, eq. 19, as it stands there, with the generator of the noise written out as a matrix;
    any ratios whatever."""
    process, _, x, t = noised(name, rng, t=0.5, shape=(20, 2))
    s = full(0.45, x)
    uniform = BASE[name] == "uniform"
    states = V if uniform else V + 1
    # dp / d sigma = Q p
    Q = torch.full((states, states), 1 / V if uniform else 0.0, dtype=torch.float64)
    if not uniform:
        Q[V] = 1
    Q -= torch.diag(Q.sum(0))
    sigma = process.noise.jumps(t, s)[0, 0] * (V if uniform else 1)

    log_r = 0.3 * numbers(*x.shape, V) - 1
    if uniform:
        log_r = log_r.masked_fill(F.one_hot(x, V).bool(), 0)
    # of the mask itself, where a mask is
    r = log_r.exp() if uniform else F.pad(log_r.exp(), (0, 1), value=1.0)
    step = (r @ torch.matrix_exp(-sigma * Q).T).clamp_min(0) * torch.matrix_exp(sigma * Q)[x]
    step = step / step.sum(-1, keepdim=True)
    may = torch.ones_like(x, dtype=torch.bool) if uniform else x == process.mask_id
    assert torch.allclose(process.noise.undone(log_r, x, t, s).exp()[may], step[may], atol=1e-9)


@pytest.mark.parametrize("name", RATIOS)
def test_tweedie_is_the_ancestral_step(name, rng):
    """From the ratios of a prediction, undoing one step's noise is the process's own step, to the
    last digit."""
    process, _, x, t = noised(name, rng)
    s = full(0.35, x)
    log_x0 = prediction(process, x, t)
    found = process.noise.undone(process.noise.log_ratios(x, log_x0, t), x, t, s).exp()
    if BASE[name] == "uniform":
        own = mixture(process.noise, x, log_x0, t, s).exp()
    else:
        alpha_t = process.noise.schedule.alpha(t)[..., None]
        alpha_s = process.noise.schedule.alpha(s)[..., None]
        reveal = (alpha_s - alpha_t) / (1 - alpha_t)  # MDLM, eq. 7
        own = torch.cat([reveal * log_x0.exp(), 1 - reveal], -1)
        own = torch.where((x == process.mask_id)[..., None], own, F.one_hot(x, V + 1).double())
    assert torch.allclose(found, own, atol=1e-9)


@pytest.mark.parametrize("name", RATIOS)
def test_a_step_leads_from_one_marginal_to_the_next(name):
    """For one character of known frequencies p: the mean over x_t of p(x_s | x_t) is p noised to
    s."""
    process, p = made(name, None), numbers(V).softmax(0)
    states = V if BASE[name] == "uniform" else V + 1
    x = torch.arange(states)[:, None]
    t, s = full(0.8, x), full(0.3, x)

    def noised_to(t):
        alpha = process.noise.schedule.alpha(t[0, 0])
        return (
            alpha * p + (1 - alpha) / V if states == V else torch.cat([alpha * p, 1 - alpha[None]])
        )

    log_x0 = (process.noise.likelihood(x, t) + p.log()).log_softmax(-1)
    step = process.noise.undone(process.noise.log_ratios(x, log_x0, t), x, t, s).exp()[:, 0]
    assert torch.allclose(noised_to(t) @ step, noised_to(s), atol=1e-9)


ALONE = ["ancestral", "tweedie", "gibbs", "renoise", "settle"]


@pytest.mark.parametrize("process,sampler", [(p, s) for p in RATIOS for s in ALONE])
def test_a_token_alone_is_exact_in_few_steps(process, sampler, alphabet):
    """Nothing is taken for independent where there is one token, so three steps are as good as
    a thousand."""
    language = enumerated(alphabet(3), ["a", "b", "c"], [0.6, 0.3, 0.1])
    options = {"renoise": {"share": 0.5}}.get(sampler, {})
    *_, frame = generate(
        exact.perfect(process, language),
        Canvas.blank(1, 20_000),
        sampler=sampler,
        steps=3,
        **options,
    )
    found = torch.bincount(frame.tokens[:, 0], minlength=3) / 20_000
    assert torch.allclose(found.double(), language.log_p.exp(), atol=0.014)  # four standard errors


@pytest.mark.parametrize("name", ["masked", "uniform", "score-uniform"])
def test_the_greedy_tail_takes_the_best(name, alphabet):
    """With one step and greedy = 1 every text is made of the likeliest tokens of their places,
    drawn ones are not."""
    language = enumerated(alphabet(3), ["ab", "ac", "ba"], [0.4, 0.25, 0.35])
    for greedy in (0, 1):
        *_, frame = generate(
            exact.perfect(name, language),
            Canvas.blank(2, 200),
            sampler="ancestral",
            steps=1,
            greedy=greedy,
        )
        assert bool((frame.tokens == language.strings[0]).all()) == bool(greedy)


@pytest.mark.parametrize(
    "name", [name for name, p in PROCESSES.items() if {"diffusion", "posterior"} <= p.traits]
)
def test_what_is_settled_is_given_from_then_on(name, language):
    """The network is told time 0 where a token was accepted, one more each step; then nothing
    is left and it stops."""
    process = exact.perfect(name, language)
    answer, told = process.net.answer, []

    def listening(x, t):
        told.append((t == 0).sum(1))
        return answer(x, t)

    process.net = exact.PerfectNetwork(listening)
    frames = list(
        generate(
            process,
            part_of(language, 3, "x___", batch=9),
            sampler="settle",
            steps=100,
            budget=0,
        )
    )
    settled = torch.stack(told, 1)[:, :: len(told) // len(frames)]
    assert (settled[:, 0] == 1).all() and (settled.diff() > 0)[settled[:, 1:] < 4].all()
    assert len(frames) <= 3 + 1 and frames[-1].t == 0
    assert (frames[-1].tokens[:, 0] == language.strings[3, 0]).all()


@pytest.mark.parametrize("sampler", ["left_to_right", "threshold", "entropy_budget", "confidence"])
def test_the_time_fits_the_masks(sampler, language):
    """A network that is told the time is told the one at which as many tokens are masked as
    there are, 1 - alpha(t)."""
    process = exact.perfect("score-masked", language)
    answer, told, there = process.net.answer, [], []

    def listening(x, t):
        told.append(1 - process.noise.schedule.alpha(t.amax(1)))
        there.append((x == process.mask_id).double().mean(1))
        return answer(x, t)

    process.net = exact.PerfectNetwork(listening)
    list(generate(process, Canvas.blank(4, 500), sampler=sampler, steps=4))
    told, there = torch.stack(told), torch.stack(there)
    assert len(told) > 1 and ((told - there).abs()[there > 0] < 0.002).all()


def test_the_first_hit_may_be_at_no_time_at_all(language, monkeypatch):
    """Random numbers that are all 0 ask for the moment 0, at which a network that is told the time
    has no ratios of masks: it is told one just after it, and what is written is a text of the
    language.
    """
    monkeypatch.setattr("tinydiff.samplers.unmask.rand", lambda like, *_: torch.zeros_like(like))
    for name in ("masked", "score-masked"):
        frames = list(
            generate(exact.perfect(name, language), Canvas.blank(4, 20), sampler="first_hitting")
        )
        assert all(
            frame.top_probabilities.isfinite().all() and frame.entropy.isfinite().all()
            for frame in frames
        )
        assert language.log_prob(frames[-1].tokens).isfinite().all()


# ---------------------------------------------------------------- guidance


class Labelled(exact.PerfectNetwork):
    """Perfect for the language of each label, and without one for their even mixture; all rows have
    one label."""

    attributes = 1

    def __init__(self, nets):
        super().__init__(None)
        self.nets, self.labels = nets, len(nets) - 1

    def forward(self, x, t, label=None, **more):
        return self.nets[-1 if label is None else int(label[0])](x, t, **more)


def labelled(name, *languages):
    """The process `name` for languages on the same strings, the last of which is the mixture of the
    others."""
    process = exact.perfect(name, languages[0])
    process.net = Labelled([exact.perfect(name, language).net for language in languages])
    return process


def written(process, shape, label, language, **settings):
    """The share of each string in texts with a label."""
    blank = Canvas.blank(*shape)
    canvas = Canvas(blank.tokens, blank.given, torch.full((shape[1],), label))
    *_, frame = generate(process, canvas, seed=2, **settings)
    return torch.stack([(frame.tokens == text).all(1).double().mean() for text in language.strings])


@pytest.mark.parametrize("name", PROCESSES)
def test_without_weight_a_label_is_its_language(name, alphabet):
    """guidance = 0 samples p(text | label), for every noise."""
    strings, shares = ["abab", "bbaa", "baba"], ([0.7, 0.2, 0.1], [0.1, 0.3, 0.6])
    languages = [enumerated(alphabet(2), strings, p) for p in (*shares, [0.4, 0.25, 0.35])]
    found = written(labelled(name, *languages), (4, 300), 1, languages[1], steps=48)
    # languages 0 and 1 are 0.6 apart
    assert 0.5 * (found - languages[1].log_p.exp()).abs().sum() < 0.09


class Attributed(exact.PerfectNetwork):
    """Perfect for what is left of a language when labels of its texts are told: each text has one
    of each attribute, of (S, attributes), and all rows are told the same."""

    def __init__(self, name, language, of):
        super().__init__(None)
        self.labels, self.attributes = int(of.max()) + 1, of.shape[1]
        self.name, self.language, self.of = name, language, of

    def left(self, told):
        p = [p * (told <= {*own}) for p, own in zip(self.language.log_p.exp(), self.of.tolist())]
        texts = ["".join(map("ab".__getitem__, text)) for text in self.language.strings.tolist()]
        return enumerated(self.language.tokenizer, texts, [float(one) for one in p])

    def forward(self, x, t, label=None, **more):
        told = set() if label is None else {*label[0].view(-1).tolist()} - {self.labels}
        return exact.perfect(self.name, self.left(told)).net(x, t, **more)


@pytest.mark.parametrize("name", PROCESSES)
def test_some_labels_of_several_are_the_texts_that_have_them(name, alphabet):
    """Of two attributes, how a text begins and how it ends, one, the other, both or none are told:
    what is written are the texts that have them, in their proportions; what is not told is averaged
    over. For every noise."""
    strings = ["aba", "abb", "bba", "baa", "aaa"]
    language = enumerated(alphabet(2), strings, [0.3, 0.25, 0.2, 0.15, 0.1])
    process = exact.perfect(name, language)
    of = torch.tensor([["ab".index(text[0]), 2 + "ab".index(text[-1])] for text in strings])
    process.net = Attributed(name, language, of)
    process.label_names = {"begins": ("with a", "with b"), "ends": ("in a", "in b")}
    blank = Canvas.blank(3, 300)
    for told in ([0, 4], [4, 2], [0, 2], [4, 4]):
        canvas = blank.with_label(torch.tensor(told).repeat(300, 1))
        *_, frame = generate(process, canvas, seed=2, steps=24)
        found = [(frame.tokens == text).all(1).double().mean() for text in language.strings]
        wanted = process.net.left({*told} - {4}).log_p.exp()
        assert 0.5 * (torch.stack(found) - wanted).abs().sum() < 0.09, told


@pytest.mark.parametrize("name", ["masked", "score-masked", "uniform", "score-uniform", "gaussian"])
def test_guidance_mixes_predictions(name, alphabet):
    """Of one token alone there is a target: p(v | label)^(1 + w) p(v)^-w, whatever the noise,
    as what the state says is in both predictions and counts once. Mixed posteriors of a step are
    another.
    """
    p = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.6, 0.3]])
    languages = [enumerated(alphabet(3), "abc", row.tolist()) for row in (*p, p.mean(0))]
    target = (p[0].square() / p.mean(0)).double()
    target /= target.sum()
    steps = 32 if name == "gaussian" else 8
    found = written(
        labelled(name, *languages),
        (1, 3000),
        0,
        languages[0],
        steps=steps,
        guidance=1.0,
        sampler="ancestral",
    )
    assert (target - languages[0].log_p.exp()).abs().sum() > 0.2
    assert 0.5 * (found - target).abs().sum() < 0.03


@pytest.mark.parametrize("name", ["masked", "score-masked", "uniform", "score-uniform", "gaussian"])
def test_a_nucleus_is_of_the_bet_alone(name, alphabet):
    """A nucleus of 0.5 of (0.4, 0.25, 0.2, 0.1, 0.05) keeps the first two, in their proportion,
    whatever stands on the noisy text and however often it is asked.
    """
    language = enumerated(alphabet(5), "abcde", [0.4, 0.25, 0.2, 0.1, 0.05])
    *_, frame = generate(
        exact.perfect(name, language),
        Canvas.blank(1, 2000),
        sampler="ancestral",
        steps=32,
        top_p=0.5,
    )
    found = torch.bincount(frame.tokens[:, 0], minlength=5) / 2000
    assert found[2:].sum() == 0 and abs(found[0] - 0.4 / 0.65) < 0.035


@pytest.mark.parametrize("steps", [2, 8])
def test_a_step_of_a_mixed_bet_is_no_mixed_step(steps, rng):
    """Over uniform noise the two ways to guide differ (classifier_free.py): in closed form, for one
    character."""
    process, p = made("uniform", None), numbers(2, V).softmax(-1)
    x = torch.arange(V)[:, None]
    t, s = full(1.0, x), full(1 - 1 / steps, x)
    predictions = [
        (process.noise.likelihood(x, t) + q.log()).log_softmax(-1) for q in (p[0], p.mean(0))
    ]
    mixed = mixture(
        process.noise, x, (2 * predictions[0] - predictions[1]).log_softmax(-1), t, s
    ).exp()
    mixed_steps = (
        2 * mixture(process.noise, x, predictions[0], t, s)
        - mixture(process.noise, x, predictions[1], t, s)
    ).softmax(-1)
    assert (mixed - mixed_steps).abs().sum(-1).max() > 0.01


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("size", [0.0, 1.0, 100.0])
def test_gradients_are_finite(name, size, rng):
    """With given characters, in bfloat16, untrained, and where the outputs are huge."""
    torch.manual_seed(0)
    process = build(name, Characters("abcdefgh \n"), **SHAPE)
    torch.nn.init.normal_(process.net.head.weight, std=size)
    x0 = torch.randint(10, (64, 24), generator=rng)
    with precision("bf16", torch.device("cpu"))():
        loss = process.loss(Canvas(x0, torch.rand(x0.shape, generator=rng) < 0.3), rng)
        assert (
            loss.dtype == torch.float32
            and process.denoise(x0, full(0.5, x0).float()).raw.dtype == torch.float32
        )
    loss.mean().backward()
    assert loss.isfinite().all() and all(
        p.grad.isfinite().all() for p in process.parameters() if p.grad is not None
    )


def test_a_step_over_uniform_noise_draws_the_mixture(rng):
    """`reverse` draws x_0 first and then x_s given it: as often as the sum over x_0 says, within
    four standard errors, from a token that was likely there and from one that was not."""
    process, _, x, t = noised("uniform", rng)
    x, t, s = x[:1, :2], t[:1, :2], full(0.35, x[:1, :2])
    log_x0 = prediction(process, x, t)
    many = 40_000
    wide = Prediction(log_x0.expand(many, -1, -1), None)
    new = process.noise.reverse(
        x.expand(many, -1), wide, t.expand(many, -1), s.expand(many, -1), rng
    )
    share = F.one_hot(new, process.V).double().mean(0)
    p = mixture(process.noise, x, log_x0, t, s).exp()[0]
    assert ((share - p).abs() < 4.5 * (p * (1 - p) / many).sqrt() + 1e-9).all()
