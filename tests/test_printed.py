"""DDPM as it is printed: the options of the sampler, what each misprint costs, and the write-up's
shape."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.conftest import SHAPE, random_process
from tests.languages import LANGUAGES
from tinydiff import exact, runs
from tinydiff.cli import flags
from tinydiff.cli.commands import parser
from tinydiff.generate import generate
from tinydiff.measure import printed
from tinydiff.processes import T_MIN, build
from tinydiff.randomness import seeded
from tinydiff.samplers import SAMPLERS, State
from tinydiff.schedules import grid, schedule
from tinydiff.store import catalogue
from tinydiff.text import Canvas, Characters
from tinydiff.train.loop import PRESETS, Config, check, options_of

SENTENCE = "divides by sqrt(1 - abar_0) = 0 at its last step"


def interpolated(at, values, low, wide):
    """Values on an even grid that begins at `low`, between its points."""
    place = ((at - low) / wide).clamp(0, len(values) - 1.001)
    left = place.long()
    return values[left] + (place - left) * (values[left + 1] - values[left])


def chance_of_heads(name, factor, variance):
    """P(heads) of DDPM's chain on a coin of .80, by going back through it with the chance of heads
    from each x: no random number, and none of the sampler's code."""
    abar = schedule(name, 1e-4).alpha(torch.linspace(0, 1, 129, dtype=torch.float64))
    x = torch.linspace(-7, 7, 701, dtype=torch.float64)
    z = torch.linspace(-5, 5, 41, dtype=torch.float64)
    weight = (-z.square() / 2).exp()
    heads = (x > 0).double()
    for before, now in zip(abar[1:-1], abar[2:]):
        beta = 1 - now / before
        mean = torch.tanh(math.log(4) / 2 + now.sqrt() * x / (1 - now))
        epsilon = (x - now.sqrt() * mean) / (1 - now).sqrt()
        off = beta.sqrt() if factor == "sqrt-beta" else beta / (1 - now).sqrt()
        sigma = (beta if variance == "beta" else beta * (1 - before) / (1 - now)).sqrt()
        to = ((x - off * epsilon) / (1 - beta).sqrt())[:, None] + sigma * z
        heads = interpolated(to, heads, -7, 0.02) @ weight / weight.sum()
    start = (-x.square() / 2).exp()
    return (heads @ start / start.sum()).item()


FIGURES = [
    ("ddpm-128", "sqrt-beta", 1.0),
    ("ddpm-128", "beta", 0.735),
    ("ddpm", "sqrt-beta", 0.997),
    ("ddpm", "beta", 0.80),
]


@pytest.mark.parametrize("name, factor, known", FIGURES)
def test_what_the_printed_factor_costs(name, factor, known):
    """On a coin of .80 with a perfect epsilon, T = 128: the chain's exact chance of heads is the
    known one within .005, and what the sampler draws is the exact one within four standard errors.
    """
    for variance in ("beta-tilde", "beta") if factor == "beta" else ("beta-tilde",):
        true = chance_of_heads(name, factor, variance)
        assert abs(true - known) < 0.005
        tosses = printed.tosses(name, 4000, 1, factor=factor, variance=variance)
        error = (true * (1 - true) / 4000) ** 0.5
        assert abs((tosses == printed.HEADS).double().mean() - true) < 4 * error + 1e-3


def chain(process, name, canvas, **options):
    """The states of a sampler in 32 steps on one canvas."""
    rng, times = seeded(4), grid(32, process.noise.schedule)
    start = State(process.noise.prior(canvas, rng), canvas)
    steps = SAMPLERS[name].run(process, process.denoise, start, times, rng, **options)
    return [step.x for step in steps]


@pytest.mark.parametrize("name", ["gaussian", "bits"])
@pytest.mark.parametrize("noise", ["ddpm", "ddpm-128", "sqrt"])
def test_the_right_factor_is_the_ancestral_chain(name, noise):
    """With the same random numbers every state is the same, to rounding, with a prompt too."""
    language = LANGUAGES["characters"]
    process = exact.perfect(name, language, schedule(noise, 1e-4))
    canvas = Canvas.prompt(language.tokenizer, "a", length=4, batch=100)
    pairs = zip(chain(process, "ancestral", canvas), chain(process, "ddpm", canvas))
    assert all(torch.allclose(one, other, atol=2e-3) for one, other in pairs)


def test_a_step_is_what_is_printed():
    """One step from t = 0.8 to 0.3 by hand, for each factor and each variance; what is given does
    not move."""
    process = random_process("gaussian")
    canvas = Canvas.prompt(process.tokenizer, "ab", length=24)
    start = State(process.noise.prior(canvas, seeded(1)), canvas, 0.8)
    z = process.noise.normal(start.x, seeded(2))
    now, before = process.noise.schedule.alpha(torch.tensor([0.8, 0.3])).tolist()
    beta = 1 - now / before
    with torch.no_grad():
        prediction = process.denoise(start.x, canvas.time(0.8))
        mean = prediction.mean(process.noise.codes())
        epsilon = (start.x - now**0.5 * mean) / (1 - now) ** 0.5
        for factor, off in (("beta", beta / (1 - now) ** 0.5), ("sqrt-beta", beta**0.5)):
            for variance, wide in (("beta", beta), ("beta-tilde", beta * (1 - before) / (1 - now))):
                options = dict(factor=factor, variance=variance)
                run = SAMPLERS["ddpm"].run
                step = next(run(process, process.denoise, start, [0.3], seeded(2), **options))
                by_hand = (start.x - off * epsilon) / (1 - beta) ** 0.5 + wide**0.5 * z
                assert torch.allclose(step.x[:, 2:], by_hand[:, 2:], atol=1e-4)
                assert step.x[:, :2].equal(start.x[:, :2])


def test_a_division_by_zero_is_refused(monkeypatch):
    """In that sentence, before the network is asked or a number is drawn; a factor that does not
    exist is another sentence."""
    process = random_process("gaussian")
    monkeypatch.setattr(process, "denoise", lambda *_: pytest.fail("the network was asked"))
    monkeypatch.setattr(process.noise, "prior", lambda *_: pytest.fail("noise was drawn"))
    with pytest.raises(ValueError) as refused:
        next(generate(process, Canvas.blank(8), sampler="ddpm", factor="beta-before"))
    assert SENTENCE in str(refused.value)
    settings = {"sampler": "ddpm", "options": {"factor": "beta-before"}}
    with pytest.raises(ValueError) as asked:
        runs.request(settings, process)
    assert str(asked.value) == str(refused.value)
    with pytest.raises(ValueError, match="there are beta, sqrt-beta, beta-before"):
        next(generate(process, Canvas.blank(8), sampler="ddpm", factor="alpha"))


# ---------------------------------------------------------------- the rounding loss


@pytest.mark.parametrize("reading", ["x0", "epsilon", "v"])
def test_the_rounding_loss_can_be_left_out(reading):
    """With the same random numbers the losses with it and without it differ by the cross-entropy of
    reading hardly noised codes, which is all that its gradient is of."""
    losses, x = {}, torch.randint(10, (6, 24), generator=seeded(3))
    for rounding in ("yes", "no"):
        options = dict(parameterisation=reading, self_conditioning="no", rounding=rounding)
        torch.manual_seed(0)
        process = build("gaussian", Characters("abcdefgh \n"), "sqrt", **SHAPE, options=options)
        rng = seeded(5)
        with torch.no_grad():
            losses[rounding] = process.loss(Canvas(x, x < 0), rng)
    again, codes = seeded(5), process.noise.codes().detach()
    process.times(6, again)
    process.noise.normal(x, again)
    clean = process.noise.corrupt(x, torch.full((6, 24), T_MIN), again).detach()
    nats = F.cross_entropy((clean @ codes.T).mT, x, reduction="none").mean(1)
    assert torch.allclose(losses["yes"] - losses["no"], nats, atol=1e-5) and (nats > 0).all()


def test_a_loss_that_reads_tokens_keeps_its_rounding():
    """Cross-entropy of tokens has no rounding loss beside it: one sentence."""
    with pytest.raises(ValueError, match="With x0-ce the loss itself reads tokens"):
        build("gaussian", Characters("ab"), **SHAPE, options={"rounding": "no"})


# ---------------------------------------------------------------- what is shown


def test_what_is_measured_for_the_cards():
    """Each mistake has a card and a row, each figure an error; the printed factor and the schedule
    that stops early draw another coin, sigma^2 = beta does not; without a rounding loss the squared
    error is nearly nothing and letters are read by chance."""
    rows = printed.measured(draws=2000, seed=2)
    assert {row["mistake"] for row in rows} == {card.name for card in printed.CARDS} | {"none"}
    for row in rows:
        assert {"printed", "right", "schedule", "of", "sentence"} <= row.keys()
        assert 0 < row["right_error"] < 0.012 and row["sentence"].endswith(".")
        apart = (row["printed_share"] or 0) - row["right_share"]
        far = abs(apart) > 5 * row["right_error"]
        assert far == (row["mistake"] != "none")
    (zero,) = (row for row in rows if row["mistake"] == "zero")
    assert zero["printed_share"] is None and SENTENCE in zero["sentence"]
    (rounding,) = (row for row in rows if row["mistake"] == "rounding")
    assert rounding["printed_loss"] < 0.01 < rounding["right_loss"]
    assert rounding["printed_share"] < 0.4 and rounding["right_share"] > 0.99
    assert rounding["printed_divergence"] > 2 * rounding["right_divergence"]


def test_a_card_asks_and_answers():
    """Every text is there, the mistake is in what is printed, and a card's run is one that the
    sampler knows or refuses."""
    for card in printed.CARDS:
        assert all(text.strip() for text in card[:7]) and card.printed != card.right
        for option, value in card.settings.get("options", {}).items():
            span = SAMPLERS[card.settings["sampler"]].options[option].span
            assert value in span.of(None)


@pytest.mark.parametrize("draws", [0, 2.5, "many"])
def test_draws_that_cannot_be(draws):
    with pytest.raises(ValueError, match="draws is .*; give a whole number from 100 to 1000000"):
        printed.measured(draws)


# ---------------------------------------------------------------- the preset


@pytest.mark.parametrize("name, noise", [("", "ddpm-128"), ("-rescaled", "ddpm")])
def test_the_preset_has_the_shape_that_is_written(name, noise):
    """6 layers, 6 heads, width 384, 256 characters, batches of 32, epsilon by squared error with
    AdamW at 1e-3, the betas as written or rescaled: 10.7 million numbers for 65 characters."""
    words = ["train", "--preset", f"tiny-diffusion-ddpm{name}"]
    config = flags.config_of(parser().parse_args(words))
    check(config)
    assert config.shape == dict(layers=6, heads=6, width=384, length=256)
    assert (config.process, config.schedule, config.batch) == ("gaussian", noise, 32)
    assert (config.lr, config.muon, config.time_spread) == (1e-3, False, 0.0)
    options = options_of(config.options)
    assert options == {"parameterisation": "epsilon", "self_conditioning": "no"}
    letters = Characters("".join(map(chr, range(65, 130))))
    process = build(config.process, letters, noise, **config.shape, options=options)
    assert sum(p.numel() for p in process.parameters()) == pytest.approx(10.7e6, rel=0.03)


def test_checkpoints_of_the_smaller_recipe_stay_readable():
    """The two bundled curves were learned by a network of 4 layers; their commands say so."""
    for name in ("tiny-diffusion-ddpm", "tiny-diffusion-ddpm-rescaled"):
        config = catalogue.found_card(f"shakespeare/{name}").config
        trained = config["training"]
        known = {k: trained[k] for k in ("process", "preset", "schedule", "options", "lr", "batch")}
        assert Config(**known).shape == {k: config["net"][k] for k in PRESETS["small"].shape}
