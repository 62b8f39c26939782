"""The contract of every process, and of the helpers they share."""

import pytest
import torch

from tests.conftest import random_process
from tinydiff import exact
from tinydiff.predictions import LOG_ZERO, certain
from tinydiff.processes import TRAITS
from tinydiff.randomness import categorical, inverse_of_many
from tinydiff.text import Canvas


def full(t, x):
    return torch.full(x.shape, t)


@pytest.fixture
def x0(rng):
    return torch.randint(10, (64, 24), generator=rng)


def test_corrupt_at_both_ends(small, x0, rng):
    """At t = 0 nothing changes, wherever; at t = 1 the text and another text look alike, as the
    prior does: the shares of the characters that are shown differ by no more than chance and the
    schedule's floor.
    """
    assert small.noise.read(small.noise.corrupt(x0, full(0.0, x0), rng)).equal(x0)
    other = torch.full_like(x0, 3).repeat(40, 1)  # a text of one character alone
    noised = small.noise.read(small.noise.corrupt(other, full(1.0, other), rng))
    blank = small.noise.read(small.noise.prior(Canvas.blank(24, 40 * 64), rng))
    shares = [torch.bincount(x.flatten(), minlength=11) / x.numel() for x in (noised, blank)]
    # of real numbers, their size
    left = (
        small.noise.schedule.floor if "tokens" in small.traits else small.noise.schedule.floor**0.5
    )
    assert (shares[0] - shares[1]).abs().max() < 0.012 + 5 * left


def test_given_positions_are_left_alone(small, x0, rng):
    """corrupt at canvas.time(t) never touches what is given, and prior and pin hold it."""
    given = torch.rand(x0.shape, generator=rng) < 0.5
    canvas = Canvas(x0, given)
    x = small.noise.corrupt(x0, canvas.time(0.8), rng)
    clean = small.noise.pin(small.noise.prior(canvas, rng), canvas)
    assert torch.allclose(x[given].double(), clean[given].double()) and small.noise.read(x)[
        given
    ].equal(x0[given])
    assert small.noise.prior(canvas, rng)[given].equal(clean[given])
    assert small.noise.read(small.noise.pin(torch.zeros_like(x), canvas))[given].equal(x0[given])


def test_likelihood_is_the_frequency_of_corrupt(rng):
    """For masked noise: q(x_t = v | x_0 = v) + q(mask | x_0 = v) = 1, as corrupt draws them."""
    process = random_process("masked")
    x0 = torch.zeros(200_000, 1, dtype=torch.int64)
    x = process.noise.corrupt(x0, full(0.3, x0), rng)
    assert set(x.unique().tolist()) == {0, process.mask_id}
    assert (x == 0).double().mean().item() == pytest.approx(
        process.noise.schedule.alpha(torch.tensor(0.3)).item(), abs=0.005
    )


def test_likelihood_never_excludes_the_truth(small, x0, rng):
    """log q(x_t | x_0 = v) is finite at the true character, and on average at least as high there
    as at any other: the posterior under equal chances is calibrated.
    """
    like = small.noise.likelihood(
        small.noise.corrupt(x0, full(0.5, x0), rng), full(0.5, x0)
    ).double()
    truth = like.gather(2, x0[..., None])[..., 0]
    assert (truth > -1e6).all()
    p = like.log_softmax(-1).exp()
    hit = (p.argmax(-1) == x0)[p.amax(-1) > p.amin(-1) + 1e-6]  # where anything can be told at all
    sure = p.amax(-1)[p.amax(-1) > p.amin(-1) + 1e-6]
    assert abs(hit.double().mean() - sure.mean()) < 0.05


def test_predictions_are_distributions(small, x0, rng):
    """log_x0 sums to one over the real characters; what is given, or under masks written, keeps its
    character."""
    given = torch.rand(x0.shape, generator=rng) < 0.3
    t = Canvas(x0, given).time(0.5)
    x = small.noise.corrupt(x0, t, rng)
    log_p = small.denoise(x, t).log_x0
    assert torch.allclose(log_p.exp().sum(-1), torch.ones(x0.shape), atol=1e-5)
    shown = small.noise.read(x)
    written = shown != small.mask_id if "prefix" in small.traits else given
    assert (
        log_p.argmax(-1)[written].equal(shown[written]) and (log_p.amax(-1)[written] > -1e-5).all()
    )


def test_reverse_keeps_what_is_written_and_ends_with_text(x0, rng):
    """Masked: a step never changes a written character, and the last step leaves no mask."""
    process = random_process("masked")
    x = process.noise.corrupt(x0, full(0.7, x0), rng)
    prediction = process.denoise(x, full(0.7, x0))
    for s in (0.4, 0.0):
        new = process.noise.reverse(x, prediction, full(0.7, x0), full(s, x0), rng)
        assert new[x != process.mask_id].equal(x[x != process.mask_id])
    assert (new != process.mask_id).all()


def test_the_marginal_of_a_step_is_the_schedule(rng):
    """Masked: after a step from t to s the share of masks is 1 - alpha(s)."""
    process = random_process("masked")
    x0 = torch.randint(10, (2000, 24), generator=rng)
    x = process.noise.corrupt(x0, full(0.9, x0), rng)
    fake = process.denoise(x[:1], full(0.9, x[:1])).with_log_x0(certain(x0, 10))
    s = full(0.35, x0)
    share = (
        (process.noise.reverse(x, fake, full(0.9, x0), s, rng) == process.mask_id).double().mean()
    )
    assert share.item() == pytest.approx(1 - process.noise.schedule.alpha(s[0, 0]).item(), abs=0.01)


def test_loss_and_bound_ignore_what_is_given(small, x0, rng):
    """With everything given the bound is zero, and with all but one character given it is that
    character's alone: under masks its surprise.
    """
    given = torch.ones_like(x0, dtype=torch.bool)
    assert small.bound(Canvas(x0, given), rng).abs().max() == 0
    given[:, -1] = False
    nats = small.bound(Canvas(x0, given), rng)
    assert nats.isfinite().all() and small.loss(Canvas(x0, given), rng).isfinite().all()
    if small.name not in ("masked", "autoregressive"):
        return
    hidden = x0.clone()
    hidden[:, -1] = small.mask_id
    log_p = small.denoise(hidden, Canvas(x0, given).time(0.5)).log_x0[:, -1]
    assert torch.allclose(nats, -log_p.gather(1, x0[:, -1:])[:, 0], atol=1e-4)


@pytest.mark.parametrize("name", ["masked", "score-masked", "block", "autoregressive"])
def test_every_open_token_weighs_the_same(name, language, rng):
    """In the mean of the loss over rows: the nats of a row are divided by its four places, whether
    two of them are open or all, so that the mean over both kinds is all their nats over all places.
    The nats are the language's own.
    """
    model = exact.perfect(
        name, language, **({"block": "4", "clip": "no"} if name == "block" else {})
    )
    rows = 6000
    x = language.sample(2 * rows, 4, rng)
    given = (torch.arange(2 * rows) % 2 == 0)[:, None] & (torch.arange(4) < 2)
    nats = model.loss(Canvas(x, given), rng).double()
    first = torch.bincount(
        language.strings[:, :2] @ torch.tensor([model.V, 1]), weights=language.log_p.exp()
    )
    of_rest = language.entropy(4) + torch.special.xlogy(first, first).sum().item()
    for some, true in ((nats[0::2], of_rest / 4), (nats[1::2], language.entropy(4) / 4)):
        assert abs(some.mean().item() - true) < 4 * (some.std() / rows**0.5).item() + 0.005


def test_training_times_are_even_and_the_bell_is_a_bell(small, rng):
    """Uniform: one time in every B-th part of [0, 1]. Bell: mean 1/2, narrower, and still
    inside."""
    u = small.times(1000, rng)
    assert (u.sort().values - torch.arange(1000) / 1000).abs().max() < 2.1e-3
    small.time_spread = 0.2
    normal = small.times(1000, rng)
    assert normal.mean().item() == pytest.approx(0.5, abs=0.01) and 0.17 < normal.std() < 0.2
    assert normal.min() >= 1e-3 and normal.max() <= 1


def test_draw_has_the_right_frequencies(rng):
    """Frequencies of a million draws match the probabilities, the small ones too, which float32
    noise would cut off."""
    p = torch.tensor([0.9, 0.0999, 1e-4, 0.0], dtype=torch.float64)
    drawn = categorical(p.log().expand(1_000_000, -1), rng)
    found = torch.bincount(drawn, minlength=4) / 1e6
    assert found[3] == 0
    assert ((found - p).abs() <= 5 * (p * (1 - p) / 1e6).sqrt()).all()


@pytest.mark.parametrize("V", [600, 4096])
def test_a_draw_from_many_categories_is_by_inversion(V):
    """In parts it finds what the cumulated probabilities in float64 say, for numbers from end to
    end, beside categories that cannot be."""
    log_p = 4 * torch.randn(64, 32, V, generator=torch.Generator().manual_seed(0))
    log_p[:, ::2, : V // 3] = LOG_ZERO
    log_p[:, 1::4, 1:] = LOG_ZERO
    u = torch.linspace(1e-12, 1 - 1e-12, 64 * 32, dtype=torch.float64).view(64, 32, 1)
    total = log_p.double().softmax(-1).cumsum(-1)
    expected = (u * total[..., -1:] >= total).sum(-1).clamp_max(V - 1)
    found = inverse_of_many(log_p, u)
    apart = found != expected  # numbers that fall on a boundary but for rounding
    nearest = (total / total[..., -1:] - u).abs().amin(-1)
    assert (nearest[apart] < 1e-6).all() and apart.sum() < 10
    assert log_p.gather(-1, found[..., None]).min() > LOG_ZERO


def test_traits_are_documented(small):
    """Every trait that a process declares is explained in TRAITS."""
    assert small.traits <= TRAITS.keys()


def test_the_network_counts_tokens_alone(language):
    """The mask is outside the vocabulary: no prediction has a column for it."""
    for name in ("masked", "autoregressive"):
        process = exact.perfect(name, language)
        assert process.denoise(
            torch.full((1, 4), process.mask_id), torch.ones(1, 4)
        ).log_x0.shape == (1, 4, len(language.tokenizer))
