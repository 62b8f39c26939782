"""Promise 1: with a perfect network, every cell of the matrix samples the language and every bound
is its entropy."""

import math
from functools import cache

import pytest
import torch

from tests.conftest import LIKE_OTHERS, brief
from tests.languages import ALPHABETS, LANGUAGES, enumerated, part_of
from tinydiff import exact
from tinydiff.generate import generate
from tinydiff.processes import PROCESSES
from tinydiff.randomness import seeded
from tinydiff.samplers import matrix
from tinydiff.schedules import SCHEDULES, schedule
from tinydiff.text import Canvas

# what writes many tokens in one look, however many steps there are: tests/test_mask_again.py says
# how far it is from the language, which no option changes
NEVER_EXACT = {"mask_again"}
FITS = [cell for cell, fits in matrix().items() if fits]
CELLS = [cell for cell in FITS if cell[1] not in NEVER_EXACT]
# of a process that is like another, with a sampler that asks its own ratios or its own codes
OWN = [("score-masked", "tweedie"), ("score-uniform", "euler"), ("bits", "ancestral")]
SOME = brief(CELLS, lambda *cell: cell[0] not in LIKE_OTHERS or cell in OWN)
# every sampler with one process, every process with its first sampler
CROSS = {sampler: (process, sampler) for process, sampler in reversed(CELLS)}.values()
CROSS = {*CROSS, *{process: (process, sampler) for process, sampler in reversed(CELLS)}.values()}
REAL = ("gaussian", "bits")  # their bounds vary most
N = 5000
# three times the total variation of N true samples of the five strings, 0.011 on average; the worst
# of 300 was 0.027
FLOOR = 0.03
# texts, how far their distribution may be from the language's (of 300 times 1,000 true samples the
# worst was 0.052), and three standard errors of a share of 0.8
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
@pytest.mark.parametrize("process,sampler", SOME)
def test_every_cell_samples_the_language(process, sampler, texts, floor, error, language):
    """With many steps, the distribution of the texts from nothing is the language's, within
    sampling error. After the token with which two texts begin, in the same batch, they have 0.8 and
    0.2, within three standard errors.
    """
    model, steps = exact.perfect(process, language), 128 if texts == N else 64
    canvas = part_of(language, 2, "x___", batch=2 * texts)
    canvas.given[:texts] = False
    tokens = last(
        model, canvas, sampler=sampler, steps=steps, seed=3, **ONE_A_STEP.get(sampler, {})
    )
    free, prompted = tokens.split(texts)
    assert total_variation(free, language) < floor
    assert abs((prompted == language.strings[2]).all(1).double().mean() - 0.8) < error
    assert abs((prompted == language.strings[4]).all(1).double().mean() - 0.2) < error


@pytest.mark.parametrize(
    "process,sampler",
    [
        cell
        for cell in brief(FITS, lambda *cell: cell[0] not in LIKE_OTHERS or cell in OWN)
        if "causal" not in PROCESSES[cell.values[0]].traits
    ],
)
def test_every_cell_that_sees_both_sides_fills_a_gap(process, sampler, language):
    """In 'a__a' only 'abca' fits; in '__ba' only 'ccba'; and so with pieces."""
    model = exact.perfect(process, language)
    for only, places in ((0, "x__x"), (2, "__xx")):
        canvas = part_of(language, only, places, batch=50)
        tokens = last(model, canvas, sampler=sampler, steps=16, **ONE_A_STEP.get(sampler, {}))
        assert (tokens == language.strings[only]).all()


def mean_bound(model, language, rng, given=0, batches=60):
    """The mean of the bound over texts whose first tokens are given, and its standard error
    over batches of 1,000, in each of which the noise levels are spread evenly.
    """
    means = []
    for _ in range(batches):
        x = language.sample(1000, 4, rng)
        canvas = Canvas(x, (torch.arange(4) < given).expand(x.shape))
        means.append(model.bound(canvas, rng).double().mean())
    means = torch.stack(means)
    return means.mean().item(), (means.std() / batches**0.5).item()


@pytest.mark.parametrize("name", brief(PROCESSES, lambda name: name != "bits"))
def test_the_bound_is_the_entropy(name, language, rng):
    """The mean of the bound is the language's entropy, within four of its own standard errors (and
    those are small)."""
    model = exact.perfect(name, language)
    found, error = mean_bound(model, language, rng, batches=180 if name in REAL else 60)
    assert error < 0.02
    assert abs(found - language.entropy(4)) < 4 * error


@pytest.mark.parametrize("name", brief(PROCESSES))
def test_the_bound_of_what_is_open_given_a_prompt(name, language, rng):
    """With the first token given, the bound is the entropy of the rest given it: the chain
    rule."""
    model = exact.perfect(name, language)
    found, error = mean_bound(model, language, rng, given=1)
    assert error < 0.03
    first = torch.bincount(language.strings[:, 0], weights=language.log_p.exp())
    conditional = language.entropy(4) + (first * first.log()).nansum().item()
    assert abs(found - conditional) < 4 * error


@pytest.mark.parametrize("noise", [name for name in SCHEDULES if name != "ddpm-128"])
def test_the_loss_of_masked_is_its_bound_whatever_the_schedule(noise, language, rng):
    """MDLM's invariance: with uniform times the training objective is the bound, up to the T_MIN
    that is cut off."""
    model = exact.perfect("masked", language, schedule(noise))
    x = language.sample(40_000, 4, rng)
    nats = model.loss(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng) * 4
    error = (nats.std() / len(nats) ** 0.5).item()
    # sqrt falls so fast at 0 that the cut T_MIN = 1e-3 takes 1.6 % of the text with it
    assert abs(nats.mean().item() - language.entropy(4)) < 4 * error + 0.045


def test_markov_posterior_is_enumeration(alphabet, rng):
    """Forward-backward gives what summing over all texts gives."""
    V, L = 3, 4
    chain = exact.Markov(
        alphabet(V),
        torch.rand(V, generator=rng).double().softmax(0),
        torch.rand(V, V, generator=rng).double().softmax(1),
    )
    texts = torch.cartesian_prod(*[torch.arange(V)] * L)
    strings = ["".join("abc"[i] for i in row) for row in texts.tolist()]
    listed = enumerated(chain.tokenizer, strings, chain.log_prob(texts).exp().tolist())
    seen = torch.randn(5, L, V, generator=rng) * 3
    assert torch.allclose(chain.posterior(seen), listed.posterior(seen), atol=1e-9)
    assert torch.allclose(chain.following(texts), listed.following(texts), atol=1e-9)
    assert abs(chain.entropy(L) - listed.entropy(L)) < 1e-9
    assert abs(chain.log_prob(texts).exp().sum().item() - 1) < 1e-9


def mixture_of(tokenizer, shares, seed=4):
    """A mixture of as many chains as there are shares, all far from uniform."""
    rng, V = seeded(seed), len(tokenizer)
    numbers = [(torch.randn(V, generator=rng), torch.randn(V, V, generator=rng)) for _ in shares]
    chains = [
        exact.Markov(tokenizer, (2 * start).double().softmax(0), (2 * step).double().softmax(1))
        for start, step in numbers
    ]
    return exact.Mixture(chains, shares)


def test_a_mixture_is_enumeration(alphabet, rng):
    """Over all short texts its probabilities sum to one; what it says behind masks and noise, what
    follows and its entropy are what summing over all texts gives, and its texts are as frequent.
    """
    V, L = 3, 4
    mixture = mixture_of(alphabet(V), [0.5, 0.3, 0.2])
    texts = torch.cartesian_prod(*[torch.arange(V)] * L)
    p = mixture.log_prob(texts).exp()
    assert abs(p.sum().item() - 1) < 1e-9
    strings = ["".join("abc"[i] for i in row) for row in texts.tolist()]
    listed = enumerated(mixture.tokenizer, strings, p.tolist())
    seen = torch.randn(5, L, V, generator=rng) * 3
    masked = torch.where(torch.rand(5, L, 1, generator=rng) < 0.5, 0.0, seen)
    for known in (seen, masked):
        assert torch.allclose(mixture.posterior(known), listed.posterior(known), atol=1e-9)
    assert torch.allclose(mixture.following(texts), listed.following(texts), atol=1e-9)
    spread = (p * (p.log() + listed.entropy(L)).square()).sum().item() ** 0.5
    error = spread / exact.ENTROPY_TEXTS**0.5
    assert abs(mixture.entropy(L) - listed.entropy(L)) < 4 * error < 0.05
    assert total_variation(mixture.sample(N, L, rng), listed) < 3 * (V**L / N) ** 0.5 / 2


def test_what_follows_in_a_mixture_is_a_ratio(alphabet, rng):
    """At 24 letters, where nothing can be listed: p(x_i | past) is p(past and x_i) / p(past), and
    the same is said of a text of which all the rest is hidden."""
    mixture = mixture_of(alphabet(12), [1, 2])
    x = mixture.sample(6, 24, rng)
    follows = mixture.following(x).gather(-1, x[..., None])[..., 0]
    for i in (1, 7, 23):
        ratio = mixture.log_prob(x[:, : i + 1]) - mixture.log_prob(x[:, :i])
        assert torch.allclose(follows[:, i], ratio, atol=1e-9)
        known = torch.nn.functional.one_hot(x, 12).double().log()
        known[:, i:] = 0
        assert torch.allclose(mixture.posterior(known)[:, i], mixture.following(x)[:, i], atol=1e-9)


@pytest.mark.parametrize("name", ["masked", "autoregressive"])
def test_the_bound_is_the_entropy_of_a_mixture(name, rng):
    """At 64 letters of two chains: the mean of the perfect network's bound is the mean surprise of
    the same texts, within four standard errors of the difference."""
    mixture = mixture_of(ALPHABETS["characters"](6), [1, 1])
    x = mixture.sample(600, 64, rng)
    nats = exact.perfect(name, mixture).bound(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng)
    more = nats + mixture.log_prob(x)
    assert abs(more.mean().item()) < 4 * (more.std() / len(more) ** 0.5).item() + 1e-3


def test_a_mixture_refuses_what_is_none(alphabet):
    """No chain, chains of two tokenizers, a share too many and a share of 0, in one sentence
    each."""
    three, four = (mixture_of(alphabet(n), [1]).chains[0] for n in (3, 4))
    for chains, shares in (([], None), ([three, four], None), ([three], [1, 1]), ([three], [0])):
        with pytest.raises(ValueError, match="mixture"):
            exact.Mixture(chains, shares)


CHAINS = {"characters": 12, "pieces": 6}


@pytest.fixture(scope="module", params=CHAINS)
def chain(request):
    """A chain of 12 characters, or of 6 pieces, far from uniform."""
    rng, V = seeded(5), CHAINS[request.param]
    step = (3 * torch.randn(V, V, generator=rng)).softmax(1)
    start = torch.linalg.matrix_power(step, 200)[0]
    return exact.Markov(ALPHABETS[request.param](V), start, step)


@pytest.mark.parametrize("name", PROCESSES)
def test_the_bound_is_the_entropy_of_long_texts(name, chain, rng):
    """The same at 64 tokens of a Markov chain: per token within four standard errors."""
    model = exact.perfect(name, chain)
    x = chain.sample(600, 64, rng)
    nats = model.bound(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng) / 64
    assert (
        abs(nats.mean().item() - chain.entropy(64) / 64)
        < 4 * (nats.std() / len(nats) ** 0.5).item()
    )


@pytest.fixture(scope="module")
def true_distances(chain):
    """How far the pairs in so many true texts of 48 tokens are from the chain's: mean and
    spread."""

    def of(texts):
        far = [pair_distance(chain.sample(texts, 48, seeded(s)), chain) for s in range(20)]
        return sum(far) / 20, torch.tensor(far).std().item()

    return cache(of)


@pytest.mark.parametrize(
    "texts", [pytest.param(40, id="few"), pytest.param(150, id="many", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("process,sampler", brief(CELLS, lambda *cell: cell in CROSS))
def test_every_cell_samples_long_texts(process, sampler, texts, chain, true_distances):
    """At 48 tokens: pairs of them are as frequent as the chain says, within what true samples
    differ by."""
    model, steps = exact.perfect(process, chain), 160 if texts > 40 else 64
    tokens = last(
        model,
        Canvas.blank(48, texts),
        sampler=sampler,
        steps=steps,
        seed=6,
        **ONE_A_STEP.get(sampler, {}),
    )
    mean, spread = true_distances(texts)
    assert pair_distance(tokens, chain) < mean + 5 * spread


def pair_distance(x, chain):
    """Total variation between the pairs in x and the chain's own."""
    V = len(chain.tokenizer)
    found = torch.bincount((x[:, :-1] * V + x[:, 1:]).flatten(), minlength=V * V).double()
    return (
        0.5
        * (found / found.sum() - (chain.start[:, None] * chain.step).flatten()).abs().sum().item()
    )


# ---------------------------------------------------------------- what is given, wherever it stands


def shares_given(language, canvas):
    """p(text | what a canvas of one text gives), (N,)."""
    fits = ((language.strings == canvas.tokens) | ~canvas.given).all(1)
    return torch.where(fits, language.log_p.exp(), 0) / language.log_p.exp()[fits].sum()


BOTH_SIDES = [
    name for name, p in PROCESSES.items() if "pieces" in p.traits and "blocks" not in p.traits
]


@pytest.mark.parametrize(
    "name, block", [*((name, 2) for name in BOTH_SIDES), ("uniform", 1), ("masked", 1)]
)
def test_a_block_sees_what_is_given_behind_it(name, block, language):
    """Blocks smaller than the text, whose end or whose third token is given: the others have the
    distribution that the language has given those, and hardly a text is outside it.
    """
    model, rows = exact.perfect(name, language), 250
    parts = [part_of(language, 0, "___x"), part_of(language, 2, "__x_")]
    canvas = Canvas(
        torch.cat([part.tokens.repeat(rows, 1) for part in parts]),
        torch.cat([part.given.repeat(rows, 1) for part in parts]),
    )
    tokens = last(model, canvas, sampler="blockwise", block=block, steps=64, seed=5)
    for part, some in zip(parts, tokens.split(rows)):
        found = torch.stack([(some == text).all(1).double().mean() for text in language.strings])
        true = shares_given(language, part)
        assert found[true == 0].sum() + 1 - found.sum() < 0.035
        # 3 standard errors of the frequencies of three texts
        assert 0.5 * (found - true).abs().sum() < 0.1


def entropy_of(language, columns):
    """Nats of the tokens at some places of the texts of a language; columns (L,) bool."""
    _, group = torch.where(columns, language.strings, 0).unique(dim=0, return_inverse=True)
    p = torch.zeros(len(group), dtype=torch.float64).index_add(0, group, language.log_p.exp())
    return -torch.special.xlogy(p, p).sum().item()


def entropy_seen(language, given, ahead):
    """Nats of what is open given what is, for a network that sees `ahead` tokens at a time and all
    before them."""
    total, place = 0.0, torch.arange(4)
    for start in range(0, 4, ahead):
        here, before = (place >= start) & (place < start + ahead), place < start
        known = before | (here & given)
        total += entropy_of(language, before | here) - entropy_of(language, known)
    return total


GIVEN = {"a suffix": "__ab", "a middle": "__b_", "a hole": "a__a", "two holes": "_b_b"}
BOUNDS = [(name, {}) for name in PROCESSES] + [("block", {"block": "1"}), ("block", {"block": "2"})]


@pytest.mark.parametrize("name, options", BOUNDS)
def test_the_bound_given_a_suffix_a_middle_a_hole(name, options, language, rng):
    """The mean of the bound on what is open is its entropy given the rest, wherever that stands; of
    networks that read from left to right it is what is left of it when each part is told what is
    before it and in it.
    """
    model, rounds = exact.perfect(name, language, **options), 6
    copies = 800
    if name == "bits":  # of pieces few draws cost most
        copies = 100 if language is LANGUAGES["characters"] else 400
    given = torch.stack([torch.tensor([c != "_" for c in places]) for places in GIVEN.values()])
    count = len(given) * len(language.strings)
    x = language.strings.repeat(len(given), 1)
    holes = given.repeat_interleave(len(language.strings), 0)
    # every text with every mask, at evenly spread noise
    canvas = Canvas(x.repeat(copies, 1), holes.repeat(copies, 1))
    with torch.no_grad():
        found = torch.stack(
            [model.bound(canvas, rng).double().view(copies, count).mean(0) for _ in range(rounds)]
        )
    found = (found.view(rounds, len(given), -1) * language.log_p.exp()).sum(-1)
    mean, error = found.mean(0), found.std(0) / rounds**0.5
    for i, places in enumerate(given):
        true = entropy_seen(language, places, model.ahead() or 4)
        assert error[i] < 0.05 and abs(mean[i] - true) < 4 * error[i] + 2e-3, (
            list(GIVEN)[i],
            mean[i],
            true,
        )


@pytest.mark.parametrize("name", ["uniform", "score-uniform"])
def test_what_unfinished_uniform_noise_costs(name, language, rng):
    """Noise that leaves 0.3 of the text: the bound is worse by KL(q(x_1) || uniform) of whole
    texts, here over all V**4 of them. Without the term for the prior it would lie below the
    entropy.
    """
    floor, V = 0.3, len(language.tokenizer)
    model = exact.perfect(name, language, schedule("linear", floor))
    noise = floor * torch.eye(V, dtype=torch.float64) + (1 - floor) / V
    texts = torch.cartesian_prod(*[torch.arange(V)] * 4)
    q = (
        language.log_p.exp()[:, None] * noise[language.strings[:, None], texts[None]].prod(-1)
    ).sum(0)
    cost = (q * (q * V**4).log()).sum().item()
    prior = 4 * model.noise.unfinished()
    assert 0.09 < cost < prior
    means = []
    for _ in range(8):
        canvas = Canvas(language.strings.repeat(3000, 1), torch.zeros(15_000, 4, dtype=torch.bool))
        means.append(
            (model.bound(canvas, rng).double().view(3000, 5).mean(0) * language.log_p.exp()).sum()
        )
    mean, error = torch.stack(means).mean().item(), (torch.stack(means).std() / 8**0.5).item()
    assert error < 0.015 and abs(mean - language.entropy(4) - cost) < 4 * error


@pytest.mark.parametrize("name", ["gaussian", "bits"])
def test_the_bound_on_real_numbers_by_quadrature(name, alphabet, rng, monkeypatch):
    """Of one token of three, without any chance: every token, noise level and noise of a grid in
    the plane in which three codes lie (noise across it tells nothing), each weighed. The bound is
    the entropy to better than half a percent.
    """
    language = enumerated(alphabet(3), ["a", "b", "c"], [0.6, 0.3, 0.1])
    model = exact.perfect(name, language)
    z = torch.linspace(-6, 6, 19, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / torch.exp(-z.square() / 2).sum()
    levels = (torch.arange(40) + 0.5) / 40
    x, level, one, two = torch.cartesian_prod(*(torch.arange(n) for n in (3, 40, 19, 19))).T
    codes = model.noise.codes().detach().double()
    plane = torch.linalg.svd(codes - codes.mean(0), full_matrices=False).Vh[:2]
    noise = (torch.stack([z[one], z[two]], 1) @ plane).float()[:, None]
    monkeypatch.setattr("tinydiff.processes.gaussian.stratified", lambda batch, rng: levels[level])
    monkeypatch.setattr(model.noise, "normal", lambda like, rng, purpose: noise)
    nats = model.bound(Canvas(x[:, None], torch.zeros(len(x), 1, dtype=torch.bool)), rng).double()
    mean = (language.log_p.exp()[x] * density[one] * density[two] / 40 * nats).sum().item()
    assert abs(mean - language.entropy(1)) < 0.005 * language.entropy(1)


def test_few_steps_cost_what_independence_costs(alphabet):
    """On the text AB or BA with one step, two tokens drawn alone agree half of the time: total
    variation 1/2, exactly."""
    language = enumerated(alphabet(2), ["ab", "ba"], [1, 1])
    for sampler in ("ancestral", "confidence", "random"):
        tokens = last(
            exact.perfect("masked", language), Canvas.blank(2, N), sampler=sampler, steps=1
        )
        assert abs(total_variation(tokens, language) - 0.5) < 0.03


def test_a_wrong_weight_is_noticed(language, rng):
    """The tests above have teeth: a bound that is 5 % too small fails them by far."""
    model = exact.perfect("masked", language)
    x = language.sample(20_000, 4, rng)
    nats = 0.95 * model.bound(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng)
    assert (
        abs(nats.mean().item() - language.entropy(4)) > 4 * (nats.std() / len(nats) ** 0.5).item()
    )


# ---------------------------------------------------------------- what a state tells of its token


TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def told(name, alphabet):
    return exact.information(
        exact.perfect(name, exact.Markov.of(torch.arange(20), alphabet(20))), TIMES, draws=400
    )


@pytest.mark.parametrize("name", PROCESSES)
def test_information_falls_from_all_to_nothing(name, alphabet):
    """No noise tells all there is to know, log V, pure noise next to nothing, and more noise never
    tells more."""
    known = told(name, alphabet)
    assert known[0].item() == pytest.approx(math.log(20), abs=1e-3) and known[-1] < 0.02
    assert (known.diff() <= 0).all()


@pytest.mark.parametrize("name", ["masked", "autoregressive"])
def test_information_of_masks_is_the_share_that_is_left(name, alphabet):
    """A token is there or is not: alpha log V."""
    assert torch.allclose(told(name, alphabet), math.log(20) * (1 - TIMES), atol=0.05)


def test_information_of_uniform_noise(alphabet):
    """log V + p log p + (V - 1) q log q with p = alpha + (1 - alpha) / V, what the token that
    stands there is worth."""
    q = TIMES * (1 - 1e-3) / 20
    p = 1 - 19 * q
    assert torch.allclose(
        told("uniform", alphabet),
        math.log(20) + torch.xlogy(p, p) + 19 * torch.xlogy(q, q),
        atol=0.05,
    )


def test_information_of_bits(alphabet):
    """Of 32 tokens of 5 bits every bit is one alone: 5 times what a sign tells through Gaussian
    noise, by quadrature."""
    process = exact.perfect("bits", exact.Markov.of(torch.arange(32), alphabet(32)))
    alpha = process.noise.schedule.alpha(TIMES[1:-1])
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    snr = (alpha / (1 - alpha))[:, None]
    lost = (density * torch.nn.functional.softplus(-2 * (snr + snr.sqrt() * z))).sum(1)
    known = exact.information(process, TIMES[1:-1], draws=300)
    assert torch.allclose(known, 5 * (math.log(2) - lost), atol=0.05)
