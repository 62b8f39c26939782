"""AR-Diffusion (Wu et al., arXiv:2305.09515): time depends on the position, so that the left is
clean before the right begins.

    t_i = 2 t - 1 + i / (L - 1), cut to [0, 1]
    -log p(x_0) <= sum over i of E_t [ -SNR_i'(t) / 2 |e(x_0_i) - E[e(x_0_i) | x_t]|^2 ]
                   and what both ends cost
"""

import torch

from tinydiff.noises.gaussian import LearnedCodes
from tinydiff.noises.mask import Mask
from tinydiff.noises.uniform import UniformNoise
from tinydiff.processes.gaussian import Gaussian
from tinydiff.processes.masked import Masked
from tinydiff.processes.score_entropy import ScoreMasked
from tinydiff.processes.uniform import Uniform


class Slant:
    """What any noise becomes whose time depends on the position."""

    def own_time(self, t):
        place = torch.linspace(0, 1, t.shape[1], dtype=t.dtype, device=t.device)
        return torch.where(t > 0, (2 * t - 1 + place).clamp(0, 1), t)

    def alpha(self, t):
        return self.schedule.alpha(self.own_time(t))

    def slope(self, t):
        own = self.own_time(t)
        return torch.where((own > 0) & (own < 1), 2 * self.schedule.slope(own.clamp_min(1e-6)), 0)


class Slanted(Slant, LearnedCodes):
    name, about = "slanted", "The points on the right are shaken before those on the left."
    usual_schedule = "linear"


class SlantedMask(Slant, Mask):
    name, about = "slanted-mask", "Tokens on the right are hidden before those on the left."
    traits = Mask.traits - {"clock"}


class SlantedUniform(Slant, UniformNoise):
    name, about = "slanted-uniform", "Tokens on the right are replaced before those on the left."


class SlantedMasked(Masked):
    name, title, over = "slanted-masked", "Masked, the right first", SlantedMask
    traits = Masked.traits - {"clock", "pieces"}


class SlantedScores(ScoreMasked):
    name, title, over = "slanted-scores", "Score entropy, the right first", SlantedMask
    traits = ScoreMasked.traits - {"clock", "pieces"}


class SlantedTokens(Uniform):
    name, title, over = "slanted-tokens", "Uniform, the right first", SlantedUniform
    traits = Uniform.traits - {"pieces"}


class ARDiffusion(Gaussian):
    name, title, paper = "ar-diffusion", "AR-Diffusion", "arXiv:2305.09515"
    about = "Points are shaken, the right of the text before the left."
    over = Slanted
    traits = Gaussian.traits - {"pieces"}
