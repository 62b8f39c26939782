"""Noise schedules: alpha(t), what is left of the text at time t, and its slope; and the grids that
steps lie on.

    alpha(0) = 1,  alpha(1) = floor > 0,  alpha falls in between.

Every schedule is its own curve rescaled to end at the floor, so that no formula has to guard a
division by alpha or its logarithm. A schedule does not know what the noise is; `slope` is d alpha /
dt, written by hand, checked by autograd.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from tinydiff.sentences import brief

SCHEDULES: dict[str, type[Schedule]] = {}


class Schedule(ABC):
    """alpha(t) on [0, 1]. Subclasses give a falling curve and its slope; this class rescales them
    to [floor, 1]."""

    name: str

    def __init_subclass__(cls):
        SCHEDULES[cls.name] = cls

    def __init__(self, floor: float = 1e-3):
        if not 0 < floor < 1:
            raise ValueError(f"A schedule ends at a floor between 0 and 1, not {floor}.")
        ends = self.curve(torch.tensor([0.0, 1.0], dtype=torch.float64))
        self.floor, self.high, self.low = floor, ends[0].item(), ends[1].item()
        self.scale = (1 - floor) / (self.high - self.low)

    @abstractmethod
    def curve(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def curve_slope(self, t: Tensor) -> Tensor: ...

    def alpha(self, t: Tensor) -> Tensor:
        """What is left of the text at time t (any shape)."""
        return torch.where(t == 0, 1.0, (self.curve(t) - self.high) * self.scale + 1)

    def slope(self, t: Tensor) -> Tensor:
        """d alpha / dt, at most 0 (any shape)."""
        return self.curve_slope(t) * self.scale

    def time(self, alpha: Tensor) -> Tensor:
        """The t at which alpha(t) is `alpha` (any shape, float64); 1 for anything below the
        floor."""
        return bisected(lambda t: self.alpha(t) > alpha, alpha)

    def weight(self, t: Tensor) -> Tensor:
        """-alpha' / (1 - alpha): the weight of the loss at time t for masked noise (MDLM,
        arXiv:2406.07524, eq. 10)."""
        return -self.slope(t) / (1 - self.alpha(t))


def bisected(before: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """The t from 0 to 1, of the shape of `like` (float64), up to which before(t) is true."""
    low, high = torch.zeros_like(like), torch.ones_like(like)
    for _ in range(60):
        middle = (low + high) / 2
        later = before(middle)
        low, high = torch.where(later, middle, low), torch.where(later, high, middle)
    return (low + high) / 2


class Linear(Schedule):
    """1 - t. The papers' "log-linear" noise (sigma = -log(1 - t)) is this one."""

    name = "linear"

    def curve(self, t):
        return 1 - t

    def curve_slope(self, t):
        return -torch.ones_like(t)


class Cosine(Schedule):
    """cos^2(pi / 2 (t + s) / (1 + s)) (Nichol and Dhariwal, arXiv:2102.09672, eq. 17). "cosine" has
    no offset, s = 0, and its slope at t = 0 is 0; "cosine-0.008" has the paper's offset, with which
    the slope at t = 0 is not 0 and noise comes a little faster at first.
    """

    name, s = "cosine", 0.0

    def __init__(self, floor: float = 1e-3, s: float = 0.0):
        self.s = s
        if s:
            self.name = f"cosine-{s:.6f}".rstrip("0")
        super().__init__(floor)

    def curve(self, t):
        return torch.cos(math.pi / 2 * (t + self.s) / (1 + self.s)) ** 2

    def curve_slope(self, t):
        return -math.pi / 2 / (1 + self.s) * torch.sin(math.pi * (t + self.s) / (1 + self.s))


class Sqrt(Schedule):
    """1 - sqrt(t): noise comes fast at first (Diffusion-LM, arXiv:2205.14217, appendix A). Its
    slope at 0 is infinite."""

    name = "sqrt"

    def curve(self, t):
        return 1 - torch.sqrt(t)

    def curve_slope(self, t):
        return -0.5 / torch.sqrt(t)


class Polynomial(Schedule):
    """1 - t^2: little noise in the first half of the time (MD4, arXiv:2406.04329, table 4)."""

    name = "polynomial"
    power = 2.0

    def curve(self, t):
        return 1 - t**self.power

    def curve_slope(self, t):
        return -self.power * t ** (self.power - 1)


class Geometric(Schedule):
    """exp(-sigma_min^(1-t) sigma_max^t) with sigma from 1e-4 to 20 (SEDD, arXiv:2310.16834,
    appendix C.1)."""

    name = "geometric"
    sigma_min, sigma_max = 1e-4, 20.0

    def sigma(self, t):
        return self.sigma_min ** (1 - t) * self.sigma_max**t

    def curve(self, t):
        return torch.exp(-self.sigma(t))

    def curve_slope(self, t):
        sigma = self.sigma(t)
        return -torch.exp(-sigma) * sigma * math.log(self.sigma_max / self.sigma_min)


class DDPM(Schedule):
    """The beta table 1e-4 .. 0.02 over 1,000 steps (Ho et al., arXiv:2006.11239, section 4), in the
    continuous limit: the product of 1 - beta_k becomes exp(-sum of beta_k).
    """

    name = "ddpm"
    beta_min, beta_max, table = 1e-4, 0.02, 1000

    def curve(self, t):
        return torch.exp(
            -self.table * (self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2)
        )

    def curve_slope(self, t):
        return -self.table * (self.beta_min + (self.beta_max - self.beta_min) * t) * self.curve(t)


class ShortDDPM(DDPM):
    """The same beta table cut to 128 steps, as it stands in many tutorials. It is not rescaled:
    alpha(1) is 0.27, so that a quarter of the text is left where sampling starts from pure noise.
    Kept to show what that costs.
    """

    name = "ddpm-128"
    table = 128

    def __init__(self, floor: float = 1e-3):
        super().__init__(floor)
        self.floor, self.scale = self.low, 1.0


OFFSET = re.compile(r"cosine-(0\.\d{1,6})")


def schedule(name: str, floor: float = 1e-3) -> Schedule:
    """The schedule called `name`: one of SCHEDULES, or the cosine with an offset s between 0 and 1,
    "cosine-0.008". Raises ValueError that lists the names.
    """
    offset = OFFSET.fullmatch(name) if isinstance(name, str) else None
    if offset:
        return Cosine(floor, float(offset[1]))
    if name not in SCHEDULES:
        raise ValueError(
            f"There is no schedule {name!r}; there are {', '.join(SCHEDULES)}, and "
            "cosine-0.008, with any offset below 1."
        )
    return SCHEDULES[name](floor)


# ---------------------------------------------------------------- grids: where the steps lie on t


def uniform_grid(u: Tensor, schedule: Schedule) -> Tensor:
    """Steps of equal length."""
    return u


def cosine_grid(u: Tensor, schedule: Schedule) -> Tensor:
    """cos(pi/2 (1 - u)): short steps at the noisy end (MD4, arXiv:2406.04329, eq. 6: better with
    few steps)."""
    return torch.cos(math.pi / 2 * (1 - u))


def information_grid(u: Tensor, schedule: Schedule) -> Tensor:
    """Steps of equal fall in alpha: each step reveals the same share of the text, whatever the
    schedule."""
    return schedule.time(1 - u * (1 - schedule.floor))


GRIDS = {"uniform": uniform_grid, "cosine": cosine_grid, "information": information_grid}


def check_grid(name: object) -> None:
    """Raises ValueError, which lists the grids, unless this is one."""
    if not isinstance(name, str) or name not in GRIDS:
        raise ValueError(f"There is no grid {brief(name)}; there are {', '.join(GRIDS)}.")


def grid(steps: int, schedule: Schedule, name: str = "uniform") -> list[float]:
    """Times 1 = t_0 > t_1 > ... > t_steps = 0. Raises ValueError for an unknown grid."""
    check_grid(name)
    u = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    times = GRIDS[name](u, schedule).tolist()
    return [1.0, *times[1:-1], 0.0]
