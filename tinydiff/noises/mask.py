"""The mask: a token is kept or hidden (absorbing noise, D3PM, arXiv:2107.03006, section 3.1).

q(x_t | x_0):        each token is kept with probability alpha(t), else it is the mask
q(x_s | x_t, x_0):   a mask becomes x_0 with probability (alpha_s - alpha_t) / (1 - alpha_t)
"""

from __future__ import annotations

import torch

from tinydiff.noises import Ratios
from tinydiff.predictions import LOG_ZERO, certain
from tinydiff.randomness import rand


class Mask(Ratios):
    name = "mask"
    about = "Tokens are hidden behind masks."
    traits = frozenset({"tokens", "likelihood", "ratios", "prefix", "clock", "mask"})

    def prior(self, canvas, rng):
        return self.pin(torch.full_like(canvas.tokens, self.mask_id), canvas)

    def corrupt(self, x0, t, rng):
        return torch.where(rand(x0, rng, "corrupt") < self.alpha(t), x0, self.mask_id)

    def likelihood(self, x, t):
        return torch.where((x == self.mask_id)[..., None], 0.0, certain(x, self.V))

    def reverse(self, x, prediction, t, s, rng):
        alpha_t, alpha_s = self.alpha(t), self.alpha(s)
        # MDLM, arXiv:2406.07524, eq. 7
        reveal = (x == self.mask_id) & (rand(x, rng) < (alpha_s - alpha_t) / (1 - alpha_t))
        return torch.where(reveal, prediction.draw(rng), x)

    def log_ratios(self, x, log_x0, t):
        """LOG_ZERO where a token stands (SEDD, arXiv:2310.16834, eq. 18)."""
        alpha = self.alpha(t)[..., None]
        written = log_x0 + torch.log(alpha / (1 - alpha))
        return torch.where((x == self.mask_id)[..., None], written, LOG_ZERO)

    def rate(self, t):
        """The rate at which noise masks a token, the same for every token."""
        return -self.slope(t) / self.alpha(t)

    def jumps(self, t, s):
        return self.alpha(s).log() - self.alpha(t).log()

    def jumped(self, prediction, log_r, rng):
        """A mask becomes x_0: its ratios are proportional to the prediction."""
        return prediction.draw(rng)

    def undone(self, log_r, x, t, s):
        """(B, L, V + 1), the mask last."""
        kept = (self.alpha(t.double()) / self.alpha(s.double()))[..., None]
        written = log_r + torch.log((1 - kept) / kept)
        hidden = (1 - written.exp().sum(-1, keepdim=True)).clamp_min(0).log()
        step = torch.cat([written, hidden], -1)
        masked = (x == self.mask_id)[..., None]
        step = torch.where(masked, step, certain(x, self.V + 1))
        return step.log_softmax(-1).clamp_min(LOG_ZERO)
