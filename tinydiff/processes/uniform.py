"""Diffusion over uniform noise: D3PM (Austin et al., arXiv:2107.03006), UDLM (arXiv:2412.10193),
Duo (arXiv:2506.10892), on noises/uniform.py.

    p(x_s | x_t) =  sum over v of p(x_0 = v | x_t) q(x_s | x_t, x_0 = v)
    -log p(x_0) <=  KL(q(x_1 | x_0) || uniform)
                    + E_t [ -alpha' / (alpha V) * sum over positions of D(x_t) ]
    D(z) =          sum over y != z of  r(y) - q(y) log r(y) + q(y) (log q(y) - 1)

with the ratios q(y) = q(x_t = y | x_0) / q(x_t = z | x_0) and r(y) the same under the prediction
(the score entropy of SEDD, arXiv:2310.16834, eq. 5; what D3PM's bound becomes when its steps grow
short).

The network is asked what the rest of the text says of a token, p(x_0_i | x_t without i); what the
token itself says is added by Bayes' rule, so that a given one (t = 0) is certain without a branch.
The mixture above is then the same, ratio by ratio and step by step, as the "plug-in" of UDLM and
Duo, who put the network's distribution p in the place of the one-hot x_0, r(y) = (V alpha p(y) + 1
- alpha) / (V alpha p(z) + 1 - alpha): what is best there is not p(x_0 | x_t) but the same
leave-one-out distribution (arXiv:2605.22765).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tinydiff.noises.uniform import UniformNoise
from tinydiff.predictions import Prediction
from tinydiff.processes import Process
from tinydiff.randomness import stratified

# of what noise takes, where the bound ends: the rest, for any network, is under 1e-4 nats a token
LEAST = 1e-6
CLEANEST = 1 - 1e-9  # the largest alpha at which all is finite


class Uniform(Process):
    name, title, paper = "uniform", "Uniform (D3PM)", "arXiv:2107.03006"
    plain = "wrong words"
    about = (
        "Words or letters are replaced by random ones; the network must find out which are wrong, "
        "and may change its mind."
    )
    over = UniformNoise
    traits = UniformNoise.traits | {"diffusion", "posterior", "pieces"}
    view_name = "ratios"

    def network(self):
        return dict(inputs=self.V, outputs=self.V, attention="bidirectional", timed=True)

    def denoise(self, x, t, label=None, cache=None):
        return self.predict(self.net(x, t, label), x, t)

    def predict(self, raw, x, t):
        return Prediction((raw + self.noise.likelihood(x, t)).log_softmax(-1), raw)

    def perfect(self, language, x, t):
        return super().perfect(language, x, t) - self.noise.likelihood(x, t)

    def loss(self, canvas, rng):
        t = canvas.time(self.times(len(canvas.tokens), rng))
        nats = self.divergence(canvas, self.noise.corrupt(canvas.tokens, t, rng), t)
        return torch.where(canvas.given, 0, nats).sum(1) / canvas.given.shape[1]

    def bound(self, canvas, rng):
        open_ = (~canvas.given).sum(1)
        nats = integral(self.divergence, self.noise, canvas, rng)
        return nats + self.noise.unfinished() * open_

    def divergence(self, canvas, x, t):
        """The bound's integrand at times t (B, L), (B, L). Meant for the positions that are not
        given."""
        log_x0 = self.denoise(x, t.float(), canvas.label).log_x0.to(t.dtype)
        clean = self.noise.alpha(t) == 1
        # any time at which all is finite: nobody counts these
        t = torch.where(canvas.given, 0.5, t)
        alpha = self.noise.alpha(t).clamp_max(CLEANEST)
        log_r = self.noise.log_ratios(x, log_x0, t)
        nats = self.noise.rate(t) * score_entropy(log_r, x, canvas.tokens, alpha)
        return torch.where(clean, 0, nats)


def integral(integrand, noise, canvas, rng):
    """E_t [ integrand(canvas, x_t, t) ] summed over what is open, (B,), one draw. Times are drawn
    evenly in sqrt(1 - alpha), of all positions in the mean: where alpha is nearly 1, a wrong token
    is as rare as 1 - alpha and costs 1 / (1 - alpha), which drawn evenly in alpha has a variance
    without end.
    """
    B, L = canvas.tokens.shape
    u = stratified(B, rng).clamp_min(LEAST**0.5).to(canvas.tokens.device).double()
    one = torch.ones(1, L, dtype=torch.float64, device=u.device)
    most = (1 - noise.alpha(one)).sqrt().mean()
    t = noise.when(-u * most, L, lambda alpha: -(1 - alpha).sqrt())
    lost = 1 - noise.alpha(t * one)
    speed = torch.where(lost > 0, -noise.slope(t * one) / (2 * lost.sqrt()), 0).mean(1)
    now = canvas.time(t, torch.float64)
    nats = integrand(canvas, noise.corrupt(canvas.tokens, now, rng), now)
    return most / speed * torch.where(canvas.given, 0, nats).sum(1)


def score_entropy(log_r, x, x0, alpha):
    """D(x_t) of this file's head at every position, (B, L), for uniform noise: log_r (B, L, V) are
    the predicted log-ratios, x what stands there and x0 the truth (B, L), alpha (B, L). 0 if the
    ratios are the true ones, else more.
    """
    V = log_r.shape[-1]
    # q(other) / q(x_0) under the truth
    log_c = torch.log1p(-alpha) - torch.log(V * alpha + 1 - alpha)
    there = F.one_hot(x, V).bool()
    total = log_r.exp().masked_fill(there, 0).sum(-1)
    logs = log_r.masked_fill(there, 0).sum(-1)
    log_r0 = log_r.gather(-1, x0[..., None])[..., 0]
    c, up = log_c.exp(), torch.exp(-log_c)
    kept = total - c * logs + (V - 1) * c * (log_c - 1)
    lost = total - (logs - log_r0) - up * log_r0 + up * (-log_c - 1) - (V - 2)
    return torch.where(x == x0, kept, lost)
