"""Real-valued noise: the Gaussian formulas against closed forms, its four readings, analog bits,
hints, and the solvers."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch

from tests.conftest import SHAPE, brief, random_process
from tests.languages import LANGUAGES, enumerated
from tinydiff import exact
from tinydiff.generate import generate
from tinydiff.guides import Context
from tinydiff.guides.classifier_free import classifier_free
from tinydiff.guides.self_conditioning import self_conditioning
from tinydiff.guides.temperature import temperature
from tinydiff.guides.top_p import top_p
from tinydiff.noises import gaussian
from tinydiff.predictions import Prediction, certain
from tinydiff.processes import build
from tinydiff.processes.bits import natural
from tinydiff.randomness import seeded
from tinydiff.samplers import SAMPLERS, State
from tinydiff.schedules import schedule
from tinydiff.store import checkpoint
from tinydiff.text import Canvas, Characters

REALS = ("gaussian", "bits")
READINGS = ("x0-ce", "x0", "epsilon", "v")


def full(t, x):
    return torch.full(x.shape[:2], t)


@pytest.mark.parametrize("name", REALS)
def test_noise_has_its_moments(name, rng):
    """x_t has mean sqrt(alpha) e(x_0) and variance 1 - alpha in every direction; all codes have
    length sqrt(D)."""
    process = random_process(name)
    codes = process.noise.codes()
    assert torch.allclose(
        codes.norm(dim=-1), torch.full((10,), math.sqrt(process.noise.D)), atol=1e-5
    )
    x0 = torch.full((100_000, 1), 3)
    x = process.noise.corrupt(x0, full(0.4, x0), rng)
    alpha = process.noise.schedule.alpha(torch.tensor(0.4)).item()
    assert torch.allclose(x.mean(0)[0], math.sqrt(alpha) * codes[3], atol=0.02)
    assert torch.allclose(x.var(0)[0], torch.full((process.noise.D,), 1 - alpha), atol=0.02)


@pytest.mark.parametrize("name", REALS)
def test_likelihood_is_the_normal_density(name, rng):
    """Differences of the log-likelihood between characters are those of the normal density with
    mean sqrt(alpha) e(v)."""
    process = random_process(name)
    x0 = torch.randint(10, (5, 7), generator=rng)
    t = full(0.6, x0)
    x = process.noise.corrupt(x0, t, rng)
    alpha = process.noise.schedule.alpha(t)[..., None, None]
    density = -(x[:, :, None] - alpha.sqrt() * process.noise.codes()).square().sum(-1) / (
        2 * (1 - alpha[..., 0])
    )
    assert torch.allclose(process.noise.likelihood(x, t), density.log_softmax(-1), atol=1e-4)


@pytest.mark.parametrize("name", REALS)
def test_a_step_back_keeps_the_marginal(name, rng):
    """With the truth as the prediction, x_s after a step has the moments of q(x_s | x_0): the
    posterior is DDPM's."""
    process = random_process(name)
    x0 = torch.full((100_000, 1), 4)
    t, s = full(0.8, x0), full(0.3, x0)
    truth = Prediction(certain(x0, 10), None)
    if name == "gaussian":
        assert process.reading.posterior
    x = process.noise.reverse(process.noise.corrupt(x0, t, rng), truth, t, s, rng)
    alpha = process.noise.schedule.alpha(torch.tensor(0.3)).item()
    assert torch.allclose(x.mean(0)[0], math.sqrt(alpha) * process.noise.codes()[4], atol=0.02)
    assert torch.allclose(x.var(0)[0], torch.full((process.noise.D,), 1 - alpha), atol=0.02)


@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_says_the_same(reading, language, rng):
    """Noise, v and code are one output read differently: the perfect networks of all four give the
    same mean, and the same bound draw by draw.
    """
    usual = exact.perfect("gaussian", language)
    other = exact.perfect("gaussian", language, parameterisation=reading)
    x0 = language.sample(200, 4, rng)
    t = full(0.5, x0)
    x = usual.noise.corrupt(x0, t, rng)
    means = [p.hint(p.denoise(x, t)) for p in (usual, other)]
    assert torch.allclose(*means, atol=1e-4)
    canvas = Canvas(x0, torch.zeros_like(x0, dtype=torch.bool))
    bounds = [p.bound(canvas, seeded(1)) for p in (usual, other)]
    assert torch.allclose(*bounds, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reading", brief(READINGS[1:], lambda reading: reading == "v"))
def test_regressions_sample_the_language(reading, language):
    """A network that says the mean code alone is enough for a chain of short steps."""
    model = exact.perfect("gaussian", language, parameterisation=reading)
    assert "posterior" not in model.traits
    *_, frame = generate(model, Canvas.blank(4, 4000), sampler="ancestral", steps=64, seed=3)
    share = torch.stack([(frame.tokens == s).all(1).double().mean() for s in language.strings])
    assert 0.5 * ((share - language.log_p.exp()).abs().sum() + 1 - share.sum()).item() < 0.035


@pytest.mark.parametrize("reading", READINGS[1:])
def test_a_changed_prediction_moves_the_mean_of_a_regression(reading, language, rng):
    """By as much as the mean over the prediction moves; where nothing is changed it is the
    network's own, to the last digit; and guided it is the mix of both means.
    """
    model = exact.perfect("gaussian", language, parameterisation=reading)
    x0 = language.sample(50, 4, rng)
    t = full(0.5, x0)
    x = model.noise.corrupt(x0, t, rng)
    said = model.denoise(x, t)
    own = said.said
    assert model.hint(said).equal(own)
    context = Context(model, Canvas.blank(4, 2))
    for wrap, value in ((temperature, {"temperature": 0.5}), (top_p, {"top_p": 0.4})):
        changed = wrap(model.denoise, context, **value)(x, t)
        moved = (changed.log_x0.exp() - said.log_x0.double().exp()) @ model.noise.codes().double()
        assert (
            torch.allclose(model.hint(changed), (own + moved).float(), atol=1e-4)
            and moved.abs().max() > 0.05
        )
    three = enumerated(language.tokenizer, ["abca", "bbbb", "ccba"], [1, 1, 1])
    other = exact.perfect("gaussian", three, parameterisation=reading)
    context = replace(context, unlabelled=lambda: other.denoise)
    mixed = classifier_free(model.denoise, context, guidance=1.5)(x, t)
    means = own, other.denoise(x, t).said
    assert torch.allclose(model.hint(mixed), 2.5 * means[0] - 1.5 * means[1], atol=1e-3)


def test_a_regression_of_two_tokens_predicts_as_bayes_does(alphabet, rng):
    """Of two codes there is one prediction with a given mean, the posterior itself; of more it is
    as far along the mean."""
    two = enumerated(alphabet(2), "ab", [0.7, 0.3])
    five = enumerated(alphabet(5), "abcde", [0.4, 0.25, 0.2, 0.1, 0.05])
    for language in (two, five):
        mean, bayes = (
            exact.perfect("gaussian", language, parameterisation=reading)
            for reading in ("x0", "x0-ce")
        )
        x0 = language.sample(300, 1, rng)
        t = full(0.7, x0)
        x = mean.noise.corrupt(x0, t, rng)
        said = mean.denoise(x, t)
        if language is two:
            assert torch.allclose(
                said.log_x0.exp(), bayes.denoise(x, t).log_x0.exp().float(), atol=2e-3
            )
        along = ((said.log_x0.exp() @ mean.noise.codes()) * said.raw).sum(-1)
        assert torch.allclose(along, said.raw.square().sum(-1), atol=0.05)


def test_temperature_and_top_p_act_on_regressions(language):
    """A low temperature and a small nucleus write the likeliest text (0.35) more often, and stay in
    the language."""
    model = exact.perfect("gaussian", language, parameterisation="epsilon")
    for settings in ({"temperature": 0.1}, {"top_p": 0.3}):
        *_, frame = generate(
            model, Canvas.blank(4, 400), sampler="ancestral", steps=32, seed=3, **settings
        )
        share = torch.stack([(frame.tokens == s).all(1).double().mean() for s in language.strings])
        assert share[0] > 0.41 and share.sum() > 0.95, (settings, share)


@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_learns_with_finite_gradients(reading, rng):
    """Also where positions are given (t = 0), and for the codes themselves."""
    process = build(
        "gaussian", Characters("abcdefgh \n"), **SHAPE, options={"parameterisation": reading}
    )
    given = torch.arange(24).expand(8, -1) < 9
    for _ in range(3):
        process.loss(
            Canvas(torch.randint(10, (8, 24), generator=rng), given), rng
        ).mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in process.parameters())
    assert process.noise.points.grad.abs().sum() > 0


def test_what_unfinished_noise_costs(language, rng):
    """DDPM's table cut to 128 steps leaves alpha(1) = 0.276. The exact bound is worse by KL(q(x_1)
    || N(0, 1)), which is KL(q(x_1 | x_0) || N(0, 1)) = -D/2 log(1 - alpha(1)) a token, less what
    x_1 tells of x_0; rescaled it costs next to nothing.
    """
    short, whole = (
        exact.perfect("gaussian", language, schedule(name, 1e-4)) for name in ("ddpm-128", "ddpm")
    )
    assert short.noise.unfinished() == pytest.approx(
        -8 * math.log(1 - short.noise.schedule.floor), rel=0.01
    )
    assert whole.noise.unfinished() < 1e-3
    x = language.sample(40_000, 4, rng)
    canvas = Canvas(x, torch.zeros_like(x, dtype=torch.bool))
    lost = short.bound(canvas, rng).mean().item() - language.entropy(4)
    told = 4 * short.noise.unfinished() - lost
    # x_1 tells much, but not more than there is
    assert 0.5 * language.entropy(4) < told < language.entropy(4) + 0.05
    assert abs(whole.bound(canvas, rng).mean().item() - language.entropy(4)) < 0.1


def test_a_code_of_zeros_is_refused(tmp_path):
    """A checkpoint whose table has a row without a direction says so in a sentence."""
    process = random_process("gaussian")
    process.noise.points.data[2] = 0
    checkpoint.save(
        process, checkpoint.config_of(process, {**SHAPE, "labels": 0}, "test"), tmp_path
    )
    with pytest.raises(checkpoint.CheckpointError, match="The code of 'c' has no direction"):
        checkpoint.load(tmp_path)


def test_options_and_schedules_that_do_not_exist():
    """One sentence for an unknown option, an unknown value, and a schedule that stops too early."""

    def make(name, noise="", **options):
        return build(name, Characters("abc"), noise, **SHAPE, options=options)

    with pytest.raises(
        ValueError,
        match="'gaussian' has no option 'depth'; it has parameterisation, self_conditioning",
    ):
        make("gaussian", depth="3")
    with pytest.raises(
        ValueError, match="parameterisation of 'gaussian' is 'u'; there are x0-ce, x0, epsilon, v"
    ):
        make("gaussian", parameterisation="u")
    with pytest.raises(
        ValueError, match="'ddpm-128' leaves 28% of the text at t = 1, so 'bits' could not start"
    ):
        make("bits", "ddpm-128")
    assert make("gaussian", "ddpm-128").noise.schedule.floor == pytest.approx(0.276, abs=0.001)


# ---------------------------------------------------------------- bits


def test_bits_are_binary_numbers():
    """Codes are the numbers of the characters in binary, -1 for 0; 65 characters need 7 bits, and 2
    need one."""
    process = build("bits", Characters("abcdefgh \n"), **SHAPE)
    assert process.noise.D == 4
    assert process.noise.codes()[5].tolist() == [-1, 1, -1, 1]
    assert build("bits", Characters("".join(map(chr, range(33, 98)))), **SHAPE).noise.D == 7
    assert build("bits", Characters("ab"), **SHAPE).noise.D == 1


def test_characters_are_products_of_bits(rng):
    """log_x0 is the sum over bits of log p(bit), renormalised over the codes that are in use: none
    else has a chance."""
    process = random_process("bits")
    x0 = torch.randint(10, (3, 5), generator=rng)
    t = full(0.5, x0)
    x = process.noise.corrupt(x0, t, rng)
    prediction = process.denoise(x, t)
    logits = 2 * (prediction.raw + process.noise.evidence(x, t))
    each = torch.nn.functional.logsigmoid(logits[:, :, None] * process.noise.codes()).sum(-1)
    assert torch.allclose(prediction.log_x0, each.log_softmax(-1), atol=1e-4)
    assert process.noise.read(torch.ones(1, 1, 4)).item() < 10  # the code 1111 is nobody's


def test_the_perfect_bits_have_the_right_mean(rng):
    """natural() inverts the mean of a product over the codes in use, also close to certainty."""
    codes = torch.tensor(list(product([-1.0, 1.0], repeat=3)))[:6].double()
    p = torch.randn(200, 6, generator=rng).double().mul(6).softmax(-1)
    found = (natural(p @ codes, codes) @ codes.T).softmax(-1) @ codes
    assert (found - p @ codes).abs().max() < 1e-6


# ---------------------------------------------------------------- hints


def test_each_call_is_told_what_the_last_one_made_of_it(rng):
    """The wrapper feeds the estimate of the call before, nothing at first, and a new text begins
    without memory."""
    process, told = random_process("gaussian"), []

    def denoise(x, t, cache=None, hint=None):
        told.append(hint)
        return process.denoise(x, t, hint=hint)

    x = process.noise.prior(Canvas.blank(24, 2), rng)
    reminded = self_conditioning(denoise, Context(process, Canvas.blank(24, 2)))
    t = full(0.9, x)
    first = reminded(x, t)
    reminded(x, full(0.8, x))
    assert told[0] is None and told[1].equal(process.hint(first))
    one = [f.tokens for f in generate(process, Canvas.blank(36), steps=4, seed=1)]
    two = [f.tokens for f in generate(process, Canvas.blank(36), steps=4, seed=1)]
    assert all(a.equal(b) for a, b in zip(one, two))


def test_without_hints_the_network_is_narrower():
    """self_conditioning=no takes the trait away and half of the network's input."""
    with_, without = (
        build("bits", Characters("abc"), **SHAPE, options={"self_conditioning": yes})
        for yes in ("yes", "no")
    )
    assert with_.net.embed.in_features == 2 * without.net.embed.in_features
    assert "hint" in with_.traits and "hint" not in without.traits
    assert len(list(generate(without, Canvas.blank(24), steps=3))) == 3


# ---------------------------------------------------------------- solvers


def states(process, name, times, seed=0, texts=300, **options):
    """The states of a solver on one canvas, without reading them."""
    rng = seeded(seed)
    canvas = Canvas.blank(4, texts)
    start = State(process.noise.prior(canvas, rng), canvas, times[0])
    run = SAMPLERS[name].run(process, process.denoise, start, times, rng, **options)
    return [step.x for step in run]


def line(n):
    return torch.linspace(0.9, 0.4, n + 1, dtype=torch.float64).tolist()


def test_ddim_with_all_its_noise_is_ddpm(language):
    """eta = 1 takes DDPM's step: the same mean and the same variance, so with the same random
    numbers the same state."""
    process = exact.perfect("gaussian", language)
    times = [1.0, 0.7, 0.45]
    chain = states(process, "ancestral", times)
    for name, options in (("ddpm", {}), ("ddim", {"eta": 1.0})):
        assert all(
            torch.allclose(a, b, atol=1e-3)
            for a, b in zip(chain, states(process, name, times, **options))
        )


def test_ddim_is_a_fixed_path(language):
    """Without fresh noise the start decides everything; with it, it does not."""
    process = exact.perfect("gaussian", language)
    fixed = torch.randn(300, 4, process.noise.D, generator=seeded(1))
    process.noise.prior = lambda canvas, _: fixed
    ends = [
        states(process, "ddim", line(6), seed, eta=eta)[-1] for eta in (0.0, 1.0) for seed in (1, 2)
    ]
    assert ends[0].equal(ends[1]) and not ends[2].equal(ends[3])


def test_the_second_order_solver_is_of_second_order(language):
    """From one start at t = 0.9: halving the step halves DDIM's error at t = 0.4 and quarters
    DPM-Solver++'s."""
    process = exact.perfect("gaussian", language)
    texts = 300 if language is LANGUAGES["characters"] else 100
    reference = states(process, "dpm_solver", line(512), texts=texts)[-1]

    def off(name, n):
        found = states(process, name, line(n), texts=texts)[-1]
        return (found - reference).square().mean().sqrt().item()

    first = off("ddim", 64) / off("ddim", 128)
    second = off("dpm_solver", 64) / off("dpm_solver", 128)
    assert 1.7 < first < 2.4 and 3.0 < second < 5.5
    assert off("dpm_solver", 64) < 0.2 * off("ddim", 64)


def test_clamping_trusts_one_token(language):
    """With clamp = 1 the estimate is a code, so one step from noise to t lands at a * code + b *
    noise."""
    process = exact.perfect("gaussian", language)
    x = states(process, "ddim", [1.0, 0.5], clamp=1)[-1]
    rng = seeded(0)
    canvas = Canvas.blank(4, 300)
    start = process.noise.prior(canvas, rng)
    best = process.noise.nearest(process.denoise(start, canvas.time(1.0)))
    alpha = process.noise.schedule.alpha(torch.tensor([1.0, 0.5], dtype=torch.float64)).tolist()
    noise = (start - alpha[0] ** 0.5 * best) / (1 - alpha[0]) ** 0.5
    assert torch.allclose(
        x, (alpha[1] ** 0.5 * best + (1 - alpha[1]) ** 0.5 * noise).float(), atol=1e-4
    )


def test_asymmetric_time_moves_further_than_it_tells(language):
    """shift = 1 moves the state two steps for each one that the network is told of; 0 changes
    nothing."""
    process = exact.perfect("bits", language)
    times = [1.0, 0.8, 0.6]
    plain, none, moved = (
        states(process, "ddim", times, **o) for o in ({}, {"shift": 0.0}, {"shift": 1.0})
    )
    assert all(a.equal(b) for a, b in zip(plain, none))
    assert torch.allclose(moved[0], states(process, "ddim", [1.0, 0.6])[0], atol=1e-5)


def test_the_map_follows_the_points():
    """The directions that are drawn are kept while the codes stay, and found anew when they
    move."""
    process = random_process("gaussian")
    first, again = process.noise.axes(), process.noise.axes()
    assert first is again
    with torch.no_grad():
        process.noise.points.copy_(torch.randn(process.noise.points.shape, generator=seeded(5)))
    moved, fresh = process.noise.axes(), random_process("gaussian")
    fresh.load_state_dict(process.state_dict())
    assert not torch.allclose(first, moved) and torch.allclose(moved, fresh.noise.axes())


@pytest.mark.parametrize("name", ["gaussian", "bits"])
@pytest.mark.parametrize("temperature", [1.0, 0.8])
@pytest.mark.parametrize("prompt", ["", "ab"])
def test_a_step_computes_each_thing_once(monkeypatch, name, temperature, prompt):
    """The likelihood of a state, the codes and the mean over a prediction are asked for by the
    network's reading, the temperature, the step and the picture; each is computed once a step, and
    the frames are those of computing everything anew.
    """
    process, steps = random_process(name), 6
    canvas = Canvas.prompt(process.tokenizer, prompt, length=12) if prompt else Canvas.blank(12)

    def frames():
        return list(
            generate(
                process,
                canvas,
                sampler="ancestral",
                steps=steps,
                seed=3,
                temperature=temperature,
                precision="fp32",
            )
        )

    counted, made = [], []
    noise = type(process.noise)
    evidence, normalize = noise.evidence, gaussian.F.normalize
    with monkeypatch.context() as patch:
        patch.setattr(
            noise, "evidence", lambda self, x, t: counted.append(1) or evidence(self, x, t)
        )
        patch.setattr(gaussian.F, "normalize", lambda *a, **k: made.append(1) or normalize(*a, **k))
        once = frames()
    read_out = steps if name == "bits" else 0  # the bits' reading is of the evidence itself
    assert len(counted) <= steps + 1 + read_out and len(made) <= 1
    with monkeypatch.context() as patch:
        patch.setattr(gaussian, "same", lambda a, b: False)
        anew = frames()
    for a, b in zip(once, anew, strict=True):
        assert all(
            getattr(a, part).equal(getattr(b, part))
            for part in (
                "tokens",
                "confidence",
                "entropy",
                "top_tokens",
                "top_probabilities",
                "view",
            )
        )


def test_what_is_kept_is_not_kept_too_long():
    """Codes that moved, another schedule, numbers written over, a gradient asked for: everything is
    computed anew."""
    process, x, t = random_process("gaussian"), torch.randn(1, 5, 16), torch.full((1, 5), 0.5)
    with torch.no_grad():
        first = process.noise.likelihood(x, t)
        assert process.noise.likelihood(x.clone(), t) is first
        x += 1
        moved = process.noise.likelihood(x, t)
        assert not moved.equal(first)
        process.noise.points.data.copy_(process.noise.points.flip(0))
        assert torch.allclose(process.noise.likelihood(x, t), moved.flip(-1), atol=1e-5)
        process.noise.schedule = schedule("sqrt")
        assert not torch.allclose(process.noise.likelihood(x, t), moved.flip(-1), atol=1e-2)
    assert process.noise.likelihood(x, t).requires_grad and process.noise.codes().requires_grad
