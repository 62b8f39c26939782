"""Particles: of the texts that keep rules, those that the model itself writes, in their
proportions."""

from types import SimpleNamespace

import pytest
import torch

from tests.conftest import random_process
from tests.languages import LANGUAGES, part_of
from tests.test_exact import total_variation
from tests.test_pattern import wrote
from tinydiff import exact
from tinydiff.generate import generate
from tinydiff.guides.pattern import edges_of, joined
from tinydiff.matching import Matching
from tinydiff.particles import Crowd, quantiles
from tinydiff.predictions import Prediction
from tinydiff.randomness import seeded
from tinydiff.runs import request
from tinydiff.samplers import SAMPLERS, Step, matrix
from tinydiff.text import Canvas
from tinydiff.text.automata import lifted
from tinydiff.ui import cost

LANGUAGE = LANGUAGES["characters"]
# all particles begin with the same place, and few of them with the right token; one place a step
SUREST = {"confidence": {}, "margin": {}, "entropy": {}}
SUREST |= {"threshold": {"at_least": 1.0}, "entropy_budget": {"budget": 0.0}}
WEIGHED = [cell for cell, fits in matrix().items() if fits and SAMPLERS[cell[1]].weighs]
QUICK = {("masked", "first_hitting"), ("autoregressive", "left_to_right"), ("uniform", "ancestral")}
QUICK |= {("gaussian", "ancestral")}


def conditional(expression, language=LANGUAGE):
    """The language's own distribution of the texts that match."""
    found = lifted(expression, language.tokenizer).matches(language.strings.numpy())
    log_p = torch.where(torch.as_tensor(found), language.log_p, -torch.inf).log_softmax(0)
    return SimpleNamespace(strings=language.strings, log_p=log_p)


@pytest.mark.parametrize(
    "process,sampler",
    [pytest.param(*c, marks=[] if c in QUICK else pytest.mark.long) for c in WEIGHED],
)
def test_the_law_is_the_models_own(process, sampler):
    """Texts that a bet alone would write in wrong proportions have their own with particles, from
    nothing and behind a beginning."""
    model, expression = exact.perfect(process, LANGUAGE), "[ab]*c[ab]*|b+"
    blank, many = Canvas.blank(4, batch=400), 64 if sampler in SUREST else 8
    settings = dict(sampler=sampler, steps=16, **SUREST.get(sampler, {}), pattern=expression)
    alone = total_variation(wrote(model, blank, **settings), conditional(expression))
    several = wrote(model, blank, **settings, particles=many)
    # of 400 true samples of two texts the error is 0.023, and 0.075 one time in a thousand
    assert alone > 0.11 and total_variation(several, conditional(expression)) < 0.075
    # behind ab there are abca and abab, and both have been asked for by halves
    found = wrote(model, part_of(LANGUAGE, 0, "xx__", 400), sampler=sampler, steps=16, **HALF)
    share = (found == LANGUAGE.strings[0]).all(1).double().mean().item()
    assert abs(share - 0.35 / 0.6) < 0.075


HALF = dict(pattern="ab(ca|ab)", particles=8)


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian", "bits"])
@torch.no_grad()
def test_how_much_likelier_rules_made_a_step(name):
    """Over all steps that the noise can make without rules, p times exp(favoured) is what rules
    make of it: it sums to one, and the joint draw follows it."""
    model = exact.perfect(name, LANGUAGE)
    noise, rng, texts = model.noise, seeded(3), 40_000
    canvas = Canvas.blank(4)
    x = noise.corrupt(LANGUAGE.strings[:1], canvas.time(0.7), seeded(1))
    t, s = canvas.time(0.7), canvas.time(0.3)
    before = model.denoise(x, t)
    edges = edges_of(joined((("a pattern", "[ab]*c[ab]*|b+"),), LANGUAGE.tokenizer), x.device)
    fixed = (x == model.mask_id) < 0 if x.ndim == 2 else torch.zeros(1, 4, dtype=torch.bool)
    if name == "masked":
        fixed = x != model.mask_id
    end = edges_end(joined((("a pattern", "[ab]*c[ab]*|b+"),), LANGUAGE.tokenizer))
    ruled = Matching(before, noise.read(x), fixed, edges, torch.zeros(1, dtype=int).numpy(), end)
    many = Prediction(before.log_x0.expand(texts, -1, -1), before.raw.expand(texts, -1, -1))
    crowd = ruled.rows(torch.zeros(texts, dtype=torch.int64))
    wide = [value.expand(texts, *value.shape[1:]) for value in (x, t, s)]
    plain = noise.reverse(wide[0], many, *wide[1:], rng)
    weight = noise.favoured(wide[0], crowd, plain, *wide[1:]).exp()
    assert weight.mean().item() == pytest.approx(1, abs=5 * weight.std().item() / texts**0.5)
    # what rules make more frequent, by weight and by draw
    drawn = noise.read(noise.reverse(wide[0], crowd, *wide[1:], rng))
    by_weight = noise.read(plain)
    for token in range(model.V):
        there = (by_weight == token).double()
        mean = (weight[:, None] * there).mean(0)
        error = (weight[:, None] * there).std(0) / texts**0.5 + 1e-3
        assert ((mean - (drawn == token).double().mean(0)).abs() < 5 * error).all()


def edges_end(automaton):
    return automaton.accepting[None]


def test_who_goes_on():
    """By even distances in the sums of the weights; where all lies on one, that one."""
    shares = torch.tensor([[0.5, 0.25, 0.25, 0.0]])
    assert quantiles(shares, (torch.arange(4) + torch.tensor([[0.5]])) / 4).tolist() == [
        [0, 0, 1, 2]
    ]
    crowd = Crowd(exact.perfect("masked", LANGUAGE).noise, 2, 4, seeded(0), {})
    crowd.log_weight[1, 2] = 50.0
    assert crowd.shown[1] == 6 and crowd.shares[0].tolist() == [0.25] * 4


def test_one_particle_is_none():
    """A text of one is the same, frame by frame, as before there were particles; so is one without
    rules, however many are asked for."""
    model, canvas = exact.perfect("masked", LANGUAGE), Canvas.blank(4, batch=8)
    for one, other in (
        (dict(pattern="a.*"), dict(pattern="a.*", particles=1)),
        ({}, dict(particles=8)),
    ):
        a, b = (generate(model, canvas, steps=3, **settings) for settings in (one, other))
        for frame, same in zip(a, b, strict=True):
            assert frame.tokens.equal(same.tokens) and frame.calls == same.calls


def test_frames_are_of_the_texts():
    """Whatever there is of particles, a frame has a row for each text; a call counts as many, and a
    crowd cannot be taken up in its middle."""
    model = exact.perfect("gaussian", LANGUAGE)
    canvas = part_of(LANGUAGE, 0, "x___", batch=3)
    *_, frame = frames = [*generate(model, canvas, steps=4, pattern="a.*", particles=5)]
    assert frame.calls == 20 and all(f.tokens.shape == (3, 4) for f in frames)
    assert frames[0].before.tokens.shape == (3, 4) and frame.match.shape == (3,)
    assert frame.state is None and (frame.tokens[:, 0] == canvas.tokens[:, 0]).all()


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian", "autoregressive"])
def test_long_texts_and_what_guides_remember(name):
    """Window after window, with networks that are given what they guessed before."""
    process = random_process(name)  # of 24 characters
    expression = r"[a-d]{20}(e|f)*[g-h]{9} \n?[a-h]*"
    settings = dict(steps=4, pattern=expression, particles=4)
    found = wrote(process, Canvas.blank(61, batch=2), sampler=None, **settings)
    assert lifted(expression, process.tokenizer).matches(found.numpy()).all()


@pytest.mark.parametrize(
    "process,sampler,able",
    [
        ("gaussian", "ddim", "take 1, or ancestral"),
        ("masked", "remask", "take 1, or one of ancestral, left_to_right, .*"),
        ("block", "blockwise", "take 1, or left_to_right"),
    ],
)
def test_samplers_without_weights_say_so(process, sampler, able):
    model = random_process(process)
    said = f"4 particles .* the steps of '{sampler}' give them no weights: {able}"
    with pytest.raises(ValueError, match=said):
        generate(model, Canvas.blank(8), sampler=sampler, pattern="a.*", particles=4)


def test_what_particles_cost():
    """As many as there are, and no more than there is room for."""
    usual = request(
        dict(model="shakespeare/masked", prompt="", contains="king", length=64, until="length")
    )
    several = request(
        dict(
            model="shakespeare/masked",
            prompt="",
            contains="king",
            length=64,
            until="length",
            particles=8,
        )
    )
    assert 4 < cost.of(several) / cost.of(usual) < 8.1
    with pytest.raises(ValueError, match="more than"):
        generate(
            exact.perfect("masked", LANGUAGE), Canvas.blank(4, 2**18), pattern="a.*", particles=64
        )


def test_a_step_that_nobody_took_weighs_nothing():
    """A state that stays as it is promises what it promised."""
    model = exact.perfect("masked", LANGUAGE)
    crowd = Crowd(model.noise, 1, 2, seeded(0), {})
    canvas = Canvas.blank(4, batch=2)
    x = torch.full((2, 4), model.mask_id)
    found = joined((("a pattern", "a.*"),), LANGUAGE.tokenizer)
    begin = torch.zeros(2, dtype=int).numpy()
    ruled = Matching(
        model.denoise(x, canvas.time(1.0)),
        x,
        x < 0,
        edges_of(found, x.device),
        begin,
        found.accepting[None].repeat(2, 0),
    )
    for _ in range(3):
        crowd.moved(x, 0.9, Step(x, ruled, 0.8), canvas)
    assert torch.allclose(crowd.log_weight, ruled.log_match[None], atol=1e-12)
