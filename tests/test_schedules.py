"""Schedules and grids: ends, direction, slope."""

import math

import pytest
import torch

from tinydiff.schedules import GRIDS, SCHEDULES, grid, schedule

T = torch.linspace(0.001, 0.999, 201, dtype=torch.float64)


@pytest.mark.parametrize("name", SCHEDULES)
def test_ends_and_direction(name):
    """alpha(0) is 1, alpha(1) the floor, and alpha falls in between."""
    noise = schedule(name)
    ends = noise.alpha(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends[0].item() == pytest.approx(1, abs=1e-4)
    assert ends[1].item() == pytest.approx(noise.floor, abs=1e-9)
    assert (noise.alpha(T).diff() < 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_slope_is_the_derivative(name):
    """slope equals autograd of alpha, and weight is -slope / (1 - alpha)."""
    noise, t = schedule(name), T.clone().requires_grad_()
    (slope,) = torch.autograd.grad(noise.alpha(t).sum(), t)
    assert torch.allclose(noise.slope(T), slope, rtol=1e-9)
    assert torch.allclose(noise.weight(T), -slope / (1 - noise.alpha(T)), rtol=1e-9)


def test_the_weight_of_linear_is_one_over_t():
    """For the linear schedule the loss weight is 1/t (MDLM, section 3.4), whatever the floor."""
    assert torch.allclose(schedule("linear", 0.01).weight(T), 1 / T)


@pytest.mark.parametrize("s", [0.008, 0.2])
def test_the_cosine_with_its_offset(s):
    """Eq. 17 of arXiv:2102.09672 down to the floor; its noise does not begin at a
    standstill, as without the offset; the name that it has makes it again."""
    noise = schedule(f"cosine-{s}", 1e-9)

    def f(t):
        return math.cos((t + s) / (1 + s) * math.pi / 2) ** 2

    assert torch.allclose(
        noise.alpha(T),
        torch.tensor([f(t) / f(0) for t in T.tolist()], dtype=torch.float64),
        atol=1e-6,
    )
    start = T[:1] * 0
    assert noise.slope(start) < -0.02 and schedule("cosine").slope(start) == 0
    x = T.clone().requires_grad_()
    assert torch.allclose(
        noise.slope(T), torch.autograd.grad(noise.alpha(x).sum(), x)[0], rtol=1e-9
    )
    assert noise.name == f"cosine-{s}" and schedule(noise.name).alpha(T).equal(
        schedule(f"cosine-{s}").alpha(T)
    )
    assert schedule("cosine-0.0").name == "cosine" and "cosine-0.008" not in SCHEDULES


@pytest.mark.parametrize(
    "name",
    [
        "cosine-",
        "cosine-1.5",
        "cosine-x",
        "cosine-0.1e1",
        "cosine--0.1",
        "linear-0.1",
        "cosine-nan",
    ],
)
def test_offsets_that_there_are_not(name):
    with pytest.raises(ValueError, match="no schedule .* cosine-0.008, with any offset below 1"):
        schedule(name)


def test_ddpm_is_the_beta_table():
    """The continuous curve is the product of 1 - beta over the published table, to the second order
    in beta."""
    for name, steps in (("ddpm", 1000), ("ddpm-128", 128)):
        left = torch.cumprod(1 - torch.linspace(1e-4, 0.02, steps, dtype=torch.float64), 0)
        curve = schedule(name).curve(torch.arange(1, steps + 1, dtype=torch.float64) / steps)
        assert (curve - left).abs().max() < 3e-3
    assert schedule("ddpm-128").floor == pytest.approx(0.275, abs=0.01)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("spacing", GRIDS)
def test_grids_fall_from_one_to_zero(name, spacing):
    """Every grid starts at 1, ends at 0, and falls strictly, with one step as with 256."""
    for steps in (1, 2, 256):
        times = grid(steps, schedule(name), spacing)
        assert len(times) == steps + 1 and times[0] == 1 and times[-1] == 0
        assert all(s < t for t, s in zip(times, times[1:]))


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_information_grid_falls_equally_in_alpha(name):
    """Each step of the information grid takes the same share of alpha."""
    noise = schedule(name)
    falls = noise.alpha(torch.tensor(grid(10, noise, "information"), dtype=torch.float64)).diff()
    assert torch.allclose(falls, falls.mean(), atol=1e-4)


@pytest.mark.parametrize("name", SCHEDULES)
def test_time_undoes_alpha(name):
    """alpha(time(a)) is a, for all that is left between the floor and everything."""
    noise = schedule(name)
    left = torch.linspace(noise.floor + 1e-6, 0.999, 50, dtype=torch.float64)
    assert torch.allclose(noise.alpha(noise.time(left)), left, atol=1e-9)


def test_unknown_names_are_told():
    """One sentence with the names there are."""
    with pytest.raises(ValueError, match="linear, cosine"):
        schedule("lineal")
    with pytest.raises(ValueError, match="uniform, cosine"):
        grid(3, schedule("linear"), "even")
    with pytest.raises(ValueError, match="floor"):
        schedule("linear", 0.0)
