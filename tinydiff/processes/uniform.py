"""Uniform noise: D3PM (Austin et al., arXiv:2107.03006), UDLM (arXiv:2412.10193), Duo
(arXiv:2506.10892).

    q(x_t | x_0):   each character is kept with probability alpha(t), else it is any character,
                    perhaps the same one
    p(x_s | x_t) =  sum over v of p(x_0 = v | x_t) q(x_s | x_t, x_0 = v)
    -log p(x_0) <=  KL(q(x_1 | x_0) || uniform)
                    + E_t [ -alpha' / (alpha V) * sum over positions of D(x_t) ]
    D(z) =          sum over y != z of  r(y) - q(y) log r(y) + q(y) (log q(y) - 1)

with the ratios q(y) = q(x_t = y | x_0) / q(x_t = z | x_0) and r(y) the same under the prediction
(the score entropy of SEDD, arXiv:2310.16834, eq. 5; what D3PM's bound becomes when its steps grow
short).

The network is asked what the rest of the text says of a character, p(x_0_i | x_t without i); what
the character itself says is added by Bayes' rule, so that a given one (t = 0) is certain without a
branch. The mixture above is then the same, ratio by ratio and step by step, as the "plug-in" of
UDLM and Duo, who put the network's distribution p in the place of the one-hot x_0, r(y) = (V alpha
p(y) + 1 - alpha) / (V alpha p(z) + 1 - alpha): what is best there is not p(x_0 | x_t) but the same
leave-one-out distribution (arXiv:2605.22765).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tinydiff.processes import LOG_ZERO, Prediction, Process, draw, rand, rows, spread

T_END = 1e-6  # the bound ends here; the rest of it, for any network, is under 1e-4 nats a character


class Uniform(Process):
    name, title, paper = "uniform", "Uniform (D3PM)", "arXiv:2107.03006"
    about = (
        "Characters are replaced by random ones; the network must find out which are wrong, and "
        "may change its mind."
    )
    traits = frozenset({"diffusion", "tokens", "posterior", "ratios", "pieces"})
    sight = "ratios"

    def network(self):
        return dict(inputs=self.V, outputs=self.V, attention="bidirectional", timed=True)

    def prior(self, canvas, rng):
        return self.pin(self.anything(canvas.tokens, rng), canvas)

    def corrupt(self, x0, t, rng):
        return torch.where(rand(x0, rng) < self.schedule.alpha(t), x0, self.anything(x0, rng))

    def anything(self, like: Tensor, rng) -> Tensor:
        """Random characters, (B, L)."""
        L, where = like.shape[1], dict(generator=rng, device=rng.device)
        return rows(lambda n: torch.randint(self.V, (n, L), **where), len(like), rng).to(
            like.device
        )

    def likelihood(self, x, t):
        return log_kernel(self.schedule.alpha(t), x, self.V)

    def denoise(self, x, t, label=None, cache=None):
        raw = self.net(x, t, label)
        return Prediction((raw + self.likelihood(x, t)).log_softmax(-1), raw)

    def perfect(self, language, x, t):
        return super().perfect(language, x, t) - self.likelihood(x, t)

    def reverse(self, x, prediction, t, s, rng):
        return draw(self.step(x, prediction.log_x0, t, s), rng)

    def step(self, x, log_x0, t, s):
        """log p(x_s = y | x_t), (B, L, V): D3PM, eq. 4."""
        alpha_t, alpha_s = self.schedule.alpha(t.double()), self.schedule.alpha(s.double())
        back = log_kernel(alpha_t / alpha_s, x, self.V)  # q(x_t | x_s = y)
        # p(x_0 = v | x_t) / q(x_t | x_0 = v)
        weight = log_x0.double() - log_kernel(alpha_t, x, self.V)
        return (back + smoothed(weight, alpha_s)).log_softmax(-1)

    def log_ratios(self, x, log_x0, t):
        """log p_t(y) / p_t(x) for x with one character made y, (B, L, V)."""
        alpha = self.schedule.alpha(t)
        return smoothed(log_x0 - log_kernel(alpha, x, self.V), alpha)

    def rate(self, t):
        """How fast noise makes any given other character of a character."""
        return -self.schedule.slope(t) / self.schedule.alpha(t) / self.V

    def jumps(self, t, s):
        """`rate` summed up from s to t."""
        return (self.schedule.alpha(s).log() - self.schedule.alpha(t).log()) / self.V

    def undone(self, log_r, x, t, s):
        """log p(x_s = y | x_t) from the log-ratios (B, L, V) alone, (B, L, V): SEDD, eq. 19. What
        no noise can have made counts as 0.
        """
        kept, r = (
            self.schedule.alpha(t.double()) / self.schedule.alpha(s.double()),
            log_r.double().exp(),
        )
        # p_s(y) / p_t(x), times `kept`
        before = r - (1 - kept)[..., None] / self.V * r.sum(-1, keepdim=True)
        return (
            (before.clamp_min(0).log() + log_kernel(kept, x, self.V))
            .log_softmax(-1)
            .clamp_min(LOG_ZERO)
        )

    def weight(self, t):
        """That of the score entropy in the bound."""
        return self.rate(t)

    def loss(self, canvas, rng):
        t = canvas.time(self.times(len(canvas.tokens), rng))
        nats = self.divergence(canvas, self.corrupt(canvas.tokens, t, rng), t)
        return torch.where(canvas.given, 0, nats).sum(1) / canvas.given.shape[1]

    def bound(self, canvas, rng):
        return integral(self.divergence, self, canvas, rng) + self.unfinished() * (
            ~canvas.given
        ).sum(1)

    def unfinished(self):
        """KL(q(x_1 | x_0) || uniform), nats a character: what is left of the text at t = 1."""
        other = (1 - self.schedule.floor) / self.V
        same = self.schedule.floor + other
        return same * math.log(same * self.V) + (self.V - 1) * other * math.log(other * self.V)

    def divergence(self, canvas, x, t):
        """The bound's integrand at times t (B, L), (B, L). Meant for the positions that are not
        given."""
        log_x0 = self.denoise(x, t.float(), canvas.label).log_x0.to(t.dtype)
        # any time at which all is finite: nobody counts these
        t = torch.where(canvas.given, 0.5, t)
        log_r = self.log_ratios(x, log_x0, t)
        nats = score_entropy(log_r, x, canvas.tokens, self.schedule.alpha(t))
        return self.rate(t) * nats


def integral(integrand, process, canvas, rng):
    """E_t [ integrand(canvas, x_t, t) ] summed over what is open, (B,), one draw. Times are drawn
    evenly in sqrt(t): near t = 0 a wrong character is as rare as t and costs 1 / t, which drawn
    evenly in t has a variance without end.
    """
    u = spread(len(canvas.tokens), rng).clamp_min(T_END**0.5).to(canvas.tokens.device)
    t = canvas.time(u.square())
    nats = integrand(canvas, process.corrupt(canvas.tokens, t, rng), t.double())
    return 2 * u.double() * torch.where(canvas.given, 0, nats).sum(1)


def log_kernel(alpha, x, V):
    """log q(x | v) for every v, (B, L, V): log of alpha [v = x] + (1 - alpha) / V."""
    other = (1 - alpha)[..., None] / V
    same, other = (
        (alpha[..., None] + other).log().clamp_min(LOG_ZERO),
        other.log().clamp_min(LOG_ZERO),
    )
    return other.expand(*x.shape, V).scatter(-1, x[..., None], same)


def smoothed(weight, alpha):
    """log sum over v of exp(weight(v)) (alpha [v = y] + (1 - alpha) / V), (B, L, V)."""
    top = weight.amax(-1, keepdim=True)
    v = (weight - top).exp()
    return top + (alpha[..., None] * v + (1 - alpha)[..., None] * v.mean(-1, keepdim=True)).log()


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
