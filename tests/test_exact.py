"""Promise 1: with a perfect network, every cell of the matrix samples the language and every bound is its entropy."""

import math
from functools import cache

import pytest
import torch

from tinydiff import exact
from tinydiff.generate import generate
from tinydiff.processes import PROCESSES
from tinydiff.samplers import matrix
from tinydiff.schedules import SCHEDULES, schedule
from tinydiff.text import Canvas, Tokenizer

CELLS = [cell for cell, fits in matrix().items() if fits]
N = 5000
FLOOR = (
    0.03  # three times the total variation of N true samples of the five strings, 0.011 on average; the worst of 300 was 0.027
)
# texts, how far their distribution may be from the language's (of 300 times 1,000 true samples the worst was 0.052), and three
# standard errors of a share of 0.8
FEW = pytest.param(1000, 0.06, 0.038, id="few")
MANY = pytest.param(N, FLOOR, 0.017, id="many", marks=pytest.mark.long)
ONE_A_STEP = {
    "threshold": {"at_least": 1.0},
    "entropy_budget": {"budget": 0.0},
    "gibbs": {"redraw": 1},
    "remask": {"share": 0.1},
    "settle": {"budget": 0.0},
}


def total_variation(samples, language):
    share = torch.stack([(samples == s).all(1).double().mean() for s in language.strings])
    return 0.5 * ((share - language.log_p.exp()).abs().sum() + 1 - share.sum()).item()


def last(*args, **kwargs):
    *_, frame = generate(*args, **kwargs)
    return frame.tokens


@pytest.mark.parametrize("texts,floor,error", [FEW, MANY])
@pytest.mark.parametrize("process,sampler", CELLS)
def test_every_cell_samples_the_language(process, sampler, texts, floor, error, language):
    """With many steps, the distribution of the texts from nothing is the language's, within sampling error. After the prompt
    'c', in the same batch, the continuations 'cba' and 'aca' have 0.8 and 0.2, within three standard errors."""
    model = exact.perfect(process, language)
    canvas = Canvas.prompt(language.tokenizer, "c", 4, batch=2 * texts)
    canvas.given[:texts] = False
    tokens = last(model, canvas, sampler=sampler, steps=128, seed=3, **ONE_A_STEP.get(sampler, {}))
    free, prompted = tokens.split(texts)
    assert total_variation(free, language) < floor
    assert abs((prompted == language.strings[2]).all(1).double().mean() - 0.8) < error
    assert abs((prompted == language.strings[4]).all(1).double().mean() - 0.2) < error


@pytest.mark.parametrize("process,sampler", [cell for cell in CELLS if "causal" not in PROCESSES[cell[0]].traits])
def test_every_cell_that_sees_both_sides_fills_a_gap(process, sampler, language):
    """In 'a__a' only 'abca' fits; in '__ba' only 'ccba'."""
    model = exact.perfect(process, language)
    for template, only in (("a__a", 0), ("__ba", 2)):
        canvas = Canvas.template(language.tokenizer, template, batch=50)
        tokens = last(model, canvas, sampler=sampler, steps=16, **ONE_A_STEP.get(sampler, {}))
        assert (tokens == language.strings[only]).all()


def mean_bound(model, language, rng, given=0, batches=120):
    """The mean of the bound over texts whose first characters are given, and its standard error over batches of 1,000, in
    each of which the noise levels are spread evenly."""
    means = []
    for _ in range(batches):
        x = language.sample(1000, 4, rng)
        canvas = Canvas(x, (torch.arange(4) < given).expand(x.shape))
        means.append(model.bound(canvas, rng).double().mean())
    means = torch.stack(means)
    return means.mean().item(), (means.std() / batches**0.5).item()


@pytest.mark.parametrize("name", PROCESSES)
def test_the_bound_is_the_entropy(name, language, rng):
    """The mean of the bound is the language's entropy, within four of its own standard errors (and those are small)."""
    model = exact.perfect(name, language)
    found, error = mean_bound(model, language, rng)
    assert error < 0.02
    assert abs(found - language.entropy(4)) < 4 * error


@pytest.mark.parametrize("name", PROCESSES)
def test_the_bound_of_what_is_open_given_a_prompt(name, language, rng):
    """With the first character given, the bound is the entropy of the rest given it: the chain rule."""
    model = exact.perfect(name, language)
    found, error = mean_bound(model, language, rng, given=1)
    first = torch.bincount(language.strings[:, 0], weights=language.log_p.exp())
    conditional = language.entropy(4) + (first * first.log()).nansum().item()
    assert abs(found - conditional) < 4 * error


@pytest.mark.parametrize("noise", [name for name in SCHEDULES if name != "ddpm-128"])
def test_the_loss_of_masked_is_its_bound_whatever_the_schedule(noise, language, rng):
    """MDLM's invariance: with uniform times the training objective is the bound, up to the T_MIN that is cut off."""
    model = exact.perfect("masked", language, schedule(noise))
    x = language.sample(40_000, 4, rng)
    nats = model.loss(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng) * 4
    error = (nats.std() / len(nats) ** 0.5).item()
    # sqrt falls so fast at 0 that the cut T_MIN = 1e-3 takes 1.6 % of the text with it
    assert abs(nats.mean().item() - language.entropy(4)) < 4 * error + 0.045


def test_markov_posterior_is_enumeration(rng):
    """Forward-backward gives what summing over all texts gives."""
    V, L = 3, 4
    chain = exact.Markov(
        Tokenizer("abc"), torch.rand(V, generator=rng).double().softmax(0), torch.rand(V, V, generator=rng).double().softmax(1)
    )
    texts = torch.cartesian_prod(*[torch.arange(V)] * L)
    strings = ["".join("abc"[i] for i in row) for row in texts.tolist()]
    listed = exact.Enumerated(strings, chain.log_prob(texts).exp().tolist())
    seen = torch.randn(5, L, V, generator=rng) * 3
    assert torch.allclose(chain.posterior(seen), listed.posterior(seen), atol=1e-9)
    assert torch.allclose(chain.following(texts), listed.following(texts), atol=1e-9)
    assert abs(chain.entropy(L) - listed.entropy(L)) < 1e-9
    assert abs(chain.log_prob(texts).exp().sum().item() - 1) < 1e-9


@pytest.fixture(scope="module")
def chain():
    """A chain of 12 characters, far from uniform."""
    rng = torch.Generator().manual_seed(5)
    step = (3 * torch.randn(12, 12, generator=rng)).softmax(1)
    start = torch.linalg.matrix_power(step, 200)[0]
    return exact.Markov(Tokenizer("abcdefghijkl"), start, step)


@pytest.mark.parametrize("name", PROCESSES)
def test_the_bound_is_the_entropy_of_long_texts(name, chain, rng):
    """The same at 64 characters of a Markov chain: per character within four standard errors."""
    model = exact.perfect(name, chain)
    x = chain.sample(600, 64, rng)
    nats = model.bound(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng) / 64
    assert abs(nats.mean().item() - chain.entropy(64) / 64) < 4 * (nats.std() / len(nats) ** 0.5).item()


@pytest.fixture(scope="module")
def true_distances(chain):
    """How far the pairs in so many true texts of 48 characters are from the chain's: mean and spread."""

    def of(texts):
        far = [pair_distance(chain.sample(texts, 48, torch.Generator().manual_seed(s)), chain) for s in range(20)]
        return sum(far) / 20, torch.tensor(far).std().item()

    return cache(of)


@pytest.mark.parametrize("texts", [pytest.param(40, id="few"), pytest.param(150, id="many", marks=pytest.mark.long)])
@pytest.mark.parametrize("process,sampler", CELLS)
def test_every_cell_samples_long_texts(process, sampler, texts, chain, true_distances):
    """At 48 characters: pairs of characters are as frequent as the chain says, within what true samples differ by."""
    model, steps = exact.perfect(process, chain), 160
    tokens = last(model, Canvas.blank(48, texts), sampler=sampler, steps=steps, seed=6, **ONE_A_STEP.get(sampler, {}))
    mean, spread = true_distances(texts)
    assert pair_distance(tokens, chain) < mean + 5 * spread


def pair_distance(x, chain):
    """Total variation between the pairs in x and the chain's own."""
    V = len(chain.tokenizer)
    found = torch.bincount((x[:, :-1] * V + x[:, 1:]).flatten(), minlength=V * V).double()
    return 0.5 * (found / found.sum() - (chain.start[:, None] * chain.step).flatten()).abs().sum().item()


def test_few_steps_cost_what_independence_costs():
    """On the text AB or BA with one step, two characters drawn alone agree half of the time: total variation 1/2, exactly."""
    language = exact.Enumerated(["ab", "ba"], [1, 1])
    for sampler in ("ancestral", "confidence", "random"):
        tokens = last(exact.perfect("masked", language), Canvas.blank(2, N), sampler=sampler, steps=1)
        assert abs(total_variation(tokens, language) - 0.5) < 0.03


def test_a_wrong_weight_is_noticed(language, rng):
    """The tests above have teeth: a bound that is 5 % too small fails them by far."""
    model = exact.perfect("masked", language)
    x = language.sample(20_000, 4, rng)
    nats = 0.95 * model.bound(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng)
    assert abs(nats.mean().item() - language.entropy(4)) > 4 * (nats.std() / len(nats) ** 0.5).item()


# ---------------------------------------------------------------- what a state tells of its character


ALPHABET = Tokenizer("abcdefghijklmnopqrst")
TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def told(name):
    return exact.information(exact.perfect(name, exact.Markov.of(torch.arange(20), ALPHABET)), TIMES, draws=400)


@pytest.mark.parametrize("name", PROCESSES)
def test_information_falls_from_all_to_nothing(name):
    """No noise tells all there is to know, log V, pure noise next to nothing, and more noise never tells more."""
    known = told(name)
    assert known[0].item() == pytest.approx(math.log(20), abs=1e-3) and known[-1] < 0.02
    assert (known.diff() <= 0).all()


@pytest.mark.parametrize("name", ["masked", "autoregressive"])
def test_information_of_masks_is_the_share_that_is_left(name):
    """A character is there or is not: alpha log V."""
    assert torch.allclose(told(name), math.log(20) * (1 - TIMES), atol=0.05)


def test_information_of_uniform_noise():
    """log V + p log p + (V - 1) q log q with p = alpha + (1 - alpha) / V, what the character that stands there is worth."""
    q = TIMES * (1 - 1e-3) / 20
    p = 1 - 19 * q
    assert torch.allclose(told("uniform"), math.log(20) + torch.xlogy(p, p) + 19 * torch.xlogy(q, q), atol=0.05)


def test_information_of_bits():
    """Of 32 characters of 5 bits every bit is one alone: 5 times what a sign tells through Gaussian noise, by quadrature."""
    tokenizer = Tokenizer("abcdefghijklmnopqrstuvwxyz012345")
    process = exact.perfect("bits", exact.Markov.of(torch.arange(32), tokenizer))
    alpha = process.schedule.alpha(TIMES[1:-1])
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    snr = (alpha / (1 - alpha))[:, None]
    lost = (density * torch.nn.functional.softplus(-2 * (snr + snr.sqrt() * z))).sum(1)
    known = exact.information(process, TIMES[1:-1], draws=300)
    assert torch.allclose(known, 5 * (math.log(2) - lost), atol=0.05)
