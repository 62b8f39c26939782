"""Erasure from the right: at time t the first (1 - t) L tokens are left. An autoregressive network
undoes it."""

from __future__ import annotations

import torch

from tinydiff.noises import Noise
from tinydiff.predictions import certain


class Erasure(Noise):
    name = "erasure"
    about = "The text is cut off, later and later."
    traits = frozenset({"tokens", "likelihood", "prefix", "clock"})

    def prior(self, canvas, rng):
        return self.pin(torch.full_like(canvas.tokens, self.mask_id), canvas)

    def corrupt(self, x0, t, rng):
        L = x0.shape[1]
        left = torch.arange(L, device=x0.device) < ((1 - t) * L).round()
        return torch.where(left, x0, self.mask_id)

    def likelihood(self, x, t):
        return torch.where((x == self.mask_id)[..., None], 0.0, certain(x, self.V))
