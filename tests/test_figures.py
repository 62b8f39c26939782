"""Errors are those of closed forms, whatever holds passages together, and no figure has more digits
than are known."""

import math

import pytest
import torch

from tinydiff import uncertainty


def autoregressive(
    phi: float, length: int, series: int, rng: torch.Generator
) -> tuple[torch.Tensor, float]:
    """Series (series, length) of x_i = phi x_(i-1) + noise with variance 1, stationary, and the
    standard deviation of their means: Var = (1 + 2 sum_k (1 - k/n) phi^k) / n.
    """
    x = torch.randn(series, length, generator=rng, dtype=torch.float64)
    for i in range(1, length):
        x[:, i] = phi * x[:, i - 1] + math.sqrt(1 - phi**2) * x[:, i]
    inner = 1 + 2 * sum((1 - k / length) * phi**k for k in range(1, length))
    return x, math.sqrt(inner / length)


@pytest.mark.parametrize(
    "phi,low,high",
    [(0.0, 1.0, 1.2), (0.3, 0.95, 1.15), (0.6, 0.93, 1.1), (0.8, 0.88, 1.05), (0.9, 0.8, 0.95)],
)
def test_the_error_of_correlated_passages_is_the_closed_form(phi, low, high, rng):
    """AR(1) with 436 passages: the root mean square of the errors of 200 series is the true one,
    but for what uncertainty.py says of the rule, where passages taken for independent give sqrt((1
    - phi) / (1 + phi)) of it; and the closed form is what the means of the series scatter by.
    """
    x, true = autoregressive(phi, 436, 200, rng)
    assert x.mean(1).std().item() == pytest.approx(true, rel=0.2)
    ones = torch.ones(436)
    blocks, alone = (
        [uncertainty.mean(row, ones, consecutive=c).error / true for row in x]
        for c in (True, False)
    )
    found, naive = (
        math.sqrt(sum(e * e for e in errors) / len(errors)) for errors in (blocks, alone)
    )
    assert low < found < high
    assert naive == pytest.approx(math.sqrt((1 - phi) / (1 + phi)), rel=0.1)


def test_nineteen_of_twenty_intervals_hold_the_truth(rng):
    """Two errors to both sides cover the true mean in 90 to 98 % of 400 series, correlated (phi =
    0.8) or not; independent errors would in 43 % of the correlated ones.
    """
    for phi in (0.0, 0.8):
        x, _ = autoregressive(phi, 436, 400, rng)
        found = [uncertainty.mean(row, torch.ones(436), consecutive=True) for row in x]
        assert 0.90 <= sum(abs(m.value) < 2 * m.error for m in found) / 400 <= 0.98


def test_a_paired_difference_forgets_what_both_share(rng):
    """Two models on passages whose difficulty is shared and correlated: the error of the difference
    is that of what is their own, exactly the one computed from it alone, and far below either
    model's error.
    """
    shared, _ = autoregressive(0.9, 436, 1, rng)
    own = 0.05 * torch.randn(2, 436, generator=rng, dtype=torch.float64)
    counts = torch.full((436,), 256.0)
    one, other = (256 * (2 + shared[0] + mine) for mine in own)
    found = uncertainty.difference(one, other, counts)
    alone = uncertainty.mean(256 * (own[0] - own[1]), counts, consecutive=True)
    assert (found.value, found.error) == pytest.approx((alone.value, alone.error))
    assert found.error < uncertainty.mean(one, counts, consecutive=True).error / 10


def test_the_error_of_a_paired_difference_of_unequal_passages(rng):
    """Passages of 20 to 80 units, as many or fewer of the other kind, with much that both share:
    the spread of the differences over 400 sets is the error that is told, and their mean the true
    one.
    """
    found = []
    for _ in range(400):
        counts = torch.randint(20, 81, (60,), generator=rng)
        fewer = (counts * (0.5 + 0.5 * torch.rand(60, generator=rng))).long()
        shared = 0.3 * torch.randn(60, generator=rng)
        noise = 0.1 * torch.randn(2, 60, generator=rng)
        one, other = counts * (1.5 + shared + noise[0]), fewer * (1.2 + shared + noise[1])
        found.append(uncertainty.contrast((1, one, counts), (-1, other, fewer)))
    values = torch.tensor([each.value for each in found])
    error = sum(each.error for each in found) / len(found)
    assert abs(values.mean().item() - 0.3) < 4 * values.std().item() / 20
    assert abs(values.std().item() / error - 1) < 0.12  # of 400 its own error is 0.035
    assert error < 0.03 < 0.3 * 2**0.5 / 60**0.5  # unpaired it would be twice that


def test_a_ratio_weighs_passages_by_what_they_hold(rng):
    """Passages of different lengths: the mean is over units, the error that of the ratio, here by
    2,000 repetitions; one passage alone has no error.
    """
    counts = torch.tensor([1.0, 4, 2, 8] * 10)
    draws = [torch.distributions.Binomial(counts, 0.3).sample().double() for _ in range(2000)]
    ratios = torch.stack([d.sum() / counts.sum() for d in draws])
    errors = torch.tensor([uncertainty.mean(d, counts, consecutive=False).error for d in draws])
    assert errors.square().mean().sqrt().item() == pytest.approx(ratios.std().item(), rel=0.06)
    assert uncertainty.mean([3.0], [10.0], consecutive=True) == uncertainty.Mean(0.3, None)


def test_blocks_are_never_fewer_than_a_dozen():
    """The lengths double while FEWEST blocks are left; leftovers are in a block too."""
    assert uncertainty.block_lengths(436) == [1, 2, 4, 8, 16, 32]
    assert (
        uncertainty.block_lengths(24) == [1, 2]
        and uncertainty.block_lengths(23) == [1]
        and uncertainty.block_lengths(2) == [1]
    )
    rest = torch.zeros(25, dtype=torch.float64)
    rest[-1] = 1
    assert uncertainty.of_blocks(rest, 2) > 0


@pytest.mark.parametrize(
    "value,error,text",
    [
        (2.12848, 0.0696, "2.13 ± 0.07"),
        (1.7069, 0.162, "1.71 ± 0.16"),
        (1.6797, 0.0112, "1.680 ± 0.011"),
        (83.2, 2.6, "83.2 ± 2.6"),
        (83.2, 4.2, "83 ± 4"),
        (83.2, 12.6, "83 ± 13"),
        (5.0, 0.0355, "5.00 ± 0.04"),
        (1.23456, 0.00354, "1.2346 ± 0.0035"),
        (1.23456, 0.0097, "1.235 ± 0.010"),
        (0.3, 0.96, "0.3 ± 1.0"),
        (2.12848, None, "2.128"),
        (2.0, 0.0, "2.000"),
        (2.0, math.nan, "2.000"),
        (123.0, 120.0, "123 ± 120"),
    ],
)
def test_as_many_digits_as_the_error_leaves(value, error, text):
    """The Particle Data Group's rule, on both sides of its limits; where there is no error, three
    digits."""
    assert uncertainty.written(value, error) == text


def test_a_share_in_percent():
    """With its error, without one, and none at all; a difference has its sign."""
    assert (
        uncertainty.percent(0.832, 0.03) == "83.2 ± 3.0 %"
        and uncertainty.percent(0.832, 0.041) == "83 ± 4 %"
    )
    assert (
        uncertainty.percent(0.832) == "83 %"
        and uncertainty.percent(None) == ""
        and uncertainty.percent(1.0, 0.0) == "100 %"
    )
    assert uncertainty.written(0.0172, 0.0061, signed=True) == "+0.017 ± 0.006"
