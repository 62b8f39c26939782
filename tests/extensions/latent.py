"""A toy latent process: the codes of all positions are mixed, and the noise lies on the mixture. No
position has a likelihood of its own, so there is no perfect network."""

import torch
import torch.nn.functional as F

from tinydiff.noises import Noise
from tinydiff.predictions import Prediction
from tinydiff.processes import Process

D = 4


class Mixed(Noise):
    name, about = "mixed", "Noise on a mixture of all positions."
    traits = frozenset()

    def __init__(self, tokenizer, schedule):
        super().__init__(tokenizer, schedule)
        fixed = torch.Generator().manual_seed(1)
        self.codes = torch.nn.Parameter(torch.randn(self.V, D, generator=fixed))

    def mixing(self, L):
        """An orthogonal matrix, (L, L)."""
        fixed = torch.Generator().manual_seed(2)
        return torch.linalg.qr(torch.randn(L, L, generator=fixed))[0]

    def latent(self, x0):
        return self.mixing(x0.shape[1]) @ self.codes[x0]

    def prior(self, canvas, rng):
        return rng.normal(*canvas.tokens.shape, D, purpose="prior")

    def corrupt(self, x0, t, rng):
        alpha = self.alpha(t)[..., None]
        noise = rng.normal(*x0.shape, D, purpose="corrupt")
        return (alpha.sqrt() * self.latent(x0) + (1 - alpha).sqrt() * noise).float()

    def reverse(self, x, prediction, t, s, rng):
        alpha_t = self.alpha(t).amin(1)[:, None, None]
        alpha_s = self.alpha(s).amin(1)[:, None, None]
        clean = self.latent(prediction.draw(rng))
        step, left = alpha_t / alpha_s, 1 - alpha_t
        middle = alpha_s.sqrt() * (1 - step) / left * clean + step.sqrt() * (1 - alpha_s) / left * x
        width = ((1 - alpha_s) / left * (1 - step)).clamp_min(0).sqrt()
        return (middle + width * rng.normal(*x.shape, purpose="noise")).float()

    def pin(self, x, canvas):
        if not canvas.given.any():
            return x
        tokens = torch.where(canvas.given, canvas.tokens, self.read(x))
        return torch.where(canvas.given.any(1)[:, None, None], self.latent(tokens), x)

    def read(self, x):
        return torch.cdist(self.mixing(x.shape[1]).T @ x, self.codes).argmin(-1)


class Latent(Process):
    name, title, paper = "latent", "Latent (a toy)", "arXiv:2212.09462"
    about = "Diffusion in a latent of the whole text."
    over, traits = Mixed, frozenset({"diffusion"})

    def network(self):
        return dict(inputs=D, outputs=self.V, reals=True, attention="bidirectional", timed=True)

    def denoise(self, x, t, label=None, cache=None):
        return self.predict(self.net(x, t, label), x, t)

    def predict(self, raw, x, t):
        return Prediction(raw.log_softmax(-1), raw)

    def loss(self, canvas, rng):
        t = self.times(len(canvas.tokens), rng)[:, None].expand(canvas.tokens.shape)
        log_x0 = self.denoise(self.noise.corrupt(canvas.tokens, t, rng), t, canvas.label).log_x0
        return F.nll_loss(log_x0.mT, canvas.tokens, reduction="none").mean(1)

    def bound(self, canvas, rng):
        """That of guessing each token from nothing but noise, which is one."""
        t = torch.ones(canvas.tokens.shape)
        log_x0 = self.denoise(self.noise.prior(canvas, rng), t, canvas.label).log_x0
        nats = F.nll_loss(log_x0.mT, canvas.tokens, reduction="none")
        return torch.where(canvas.given, 0, nats).sum(1)
