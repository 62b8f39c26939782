"""Masked diffusion: MDLM (Sahoo et al., arXiv:2406.07524), MD4 (arXiv:2406.04329), LLaDA
(arXiv:2502.09992), on the noise of noises/mask.py.

    p(x_s | x_t):   a mask becomes a token drawn from p(x_0 | x_t) with probability
                    (alpha_s - alpha_t) / (1 - alpha_t)
    -log p(x_0) <=  E_t [ -alpha' / (1 - alpha) * sum over masked of -log p(x_0_i | x_t) ]

The bound (MDLM, eq. 11) is for alpha that falls from 1 to 0. The network is not told the time:
p(x_0 | x_t) does not depend on it (LLaDA, eq. 11; arXiv:2409.02908). Training may be at a few
shares of masks alone, as BERT's is (`Masked.training_times`); the bound is not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tinydiff.nets import Cache
from tinydiff.noises.mask import Mask
from tinydiff.predictions import Prediction, substituted
from tinydiff.processes import Piece, Process
from tinydiff.randomness import rand, stratified

# the shares of masks that training draws from, evenly, by the option `levels`
LEVELS = {"ten": tuple(k / 10 for k in range(10, 0, -1)), "bert": (0.15,)}
SLOWEST = 1e-300  # in the place of a pace of 0, by which nobody divides


class Around(Cache):
    """What a network that sees both sides made of the text around columns start .. stop when it was
    first asked. It stays as it was while those columns change, which is approximate: read again,
    all of it would have changed with them.
    """

    def __init__(self, start: int, stop: int):
        super().__init__()
        self.start, self.stop = start, stop

    def ask(self, net, x, label):
        """The network's output, (B, L, V): at the first call of everything, then of the columns
        alone, 0 elsewhere."""
        here = slice(self.start, self.stop)
        if self.layers:
            places = torch.arange(x.shape[1], device=x.device)[here]
            part = net(x[:, here], None, label, cache=self.fork(), places=places)
            return F.pad(part, (0, 0, self.start, x.shape[1] - self.stop))
        whole = Cache()
        raw = net(x, None, label, cache=whole)
        around = [slice(0, self.start), slice(self.stop, x.shape[1])]
        self.layers = [
            tuple(torch.cat([part[:, :, where] for where in around], 2) for part in pair)
            for pair in whole.layers
        ]
        return raw


class Masked(Process):
    name, title, paper = "masked", "Masked (MDLM)", "arXiv:2406.07524"
    plain = "hidden words"
    about = (
        "Words or letters are hidden behind masks; the network guesses what is behind all of them "
        "at once."
    )
    over = Mask
    traits = Mask.traits | {"diffusion", "timeless", "posterior", "pieces"}
    choices = {"levels": ("all", *LEVELS)}
    caches = ("none", "prefix", "dual")

    def network(self):
        return dict(inputs=self.V + 1, outputs=self.V, attention="bidirectional", timed=False)

    def denoise(self, x, t, label=None, cache=None):
        return self.predict(
            self.net(x, t, label) if cache is None else cache.ask(self.net, x, label), x, t
        )

    def predict(self, raw, x, t):
        return Prediction(substituted(raw, x, self.mask_id), raw)

    def pieces(self, size, cache):
        """A block between what is written and masks to the end of the canvas, as LLaDA decodes
        (arXiv:2502.09992). Fast-dLLM's caches (arXiv:2505.22618, section 3.2) keep what was read
        when the block was all masks: "prefix" of what stands before it, "dual" also of the masks
        behind. Both are approximate, see `Around`.
        """

        def piece(canvas, start, stop, denoise, noise):
            L = canvas.tokens.shape[1]
            before, behind = canvas.tokens[:, :start], noise[:, stop:]
            memories = {"none": None, "prefix": Around(start, L), "dual": Around(start, stop)}

            def within(x, t, _=None):
                whole = torch.cat([before, x, behind], 1)
                found = denoise(whole, F.pad(t, (start, L - stop)), memories[cache])
                return found.columns(start, stop)

            return Piece(self, canvas.slice(start, stop), within, start)

        return piece

    def computed(self, size, cache, window):
        return {"none": window, "prefix": window, "dual": min(size, window)}[cache]

    def loss(self, canvas, rng):
        t, weight = self.training_times(canvas, rng)
        x = self.noise.corrupt(canvas.tokens, t, rng)
        weight = torch.where(x == self.mask_id, weight, 0)
        return (weight * self.surprise(x, canvas)).sum(1) / canvas.given.shape[1]

    def training_times(self, canvas, rng):
        """Times of training, (B, L), and the weight of what is masked then, (B, 1) or (B, L).

        With the option `levels` other than "all" each row's share of masks is one of LEVELS, and
        its loss the cross-entropy of its masked tokens by their number, the expected one: every
        level weighs the same. "bert" is BERT's share (arXiv:1810.04805, section 3.1) without its
        80/10/10 rule: what is chosen is always the mask. "ten" is as RoBERTa becomes a generator.
        Either is only how the network learns: `bound` is over all levels.
        """
        if self.options["levels"] == "all":
            t = canvas.time(self.times(len(canvas.tokens), rng))
            even = torch.full_like(t, 2.0)
            return t, even if self.even_loss else self.noise.weight(t.clamp_min(1e-6))
        u = stratified(len(canvas.tokens), rng)
        shares = u.new_tensor(LEVELS[self.options["levels"]], dtype=torch.float64)
        which = (u * len(shares)).long()
        t = self.noise.when(1 - shares, canvas.tokens.shape[1])[which, 0]
        return canvas.time(t), (1 / shares[which, None]).to(self.device, torch.float32)

    def bound(self, canvas, rng):
        """By masking exactly k of the n open tokens, k ~ U{1..n}: what the bound over times is
        for every schedule whose alpha falls from 1 to 0, with much less variance (LLaDA, eq. 14;
        the any-order view of arXiv:2110.02037; where time depends on the position, in the order of
        the noise). Nothing is cut off at either end.
        """
        x, weight, _ = some_masked(canvas, self.noise, rng)
        return (weight * torch.where(x == self.mask_id, self.surprise(x, canvas), 0)).sum(1)

    def surprise(self, x, canvas):
        """-log p(x_0_i | x_t), (B, L), meant for the masked positions."""
        raw = self.net(x, canvas.time(1.0), canvas.label)
        return F.cross_entropy(raw.mT, canvas.tokens, reduction="none")


def some_masked(canvas, noise, rng):
    """x with exactly k of n open tokens masked; the weight of each, (B, L); and the time at which
    the last of them was hidden, (B, 1), when alpha falls from 1 to 0.

    The term of that one counts n times. Who it is, nobody needs to know: given all that are masked
    then, it is i in proportion to the `weight` of the noise at i. One time for all makes it n / k.
    """
    n = (~canvas.given).sum(1, keepdim=True)
    k = 1 + (stratified(len(n), rng).to(n.device)[:, None] * n).long()
    hidden = noise.lost_at(rand(canvas.tokens, rng, "order").double())
    hidden = torch.where(canvas.given, 2.0, hidden)
    masked = (hidden.argsort(dim=1).argsort(dim=1) < k) & ~canvas.given
    t = hidden.sort(dim=1).values.gather(1, k - 1).clamp_max(1)
    pace = torch.where(masked, noise.weight(t.expand_as(hidden)), 0)
    weight = n * pace / pace.sum(1, keepdim=True).clamp_min(SLOWEST)
    return torch.where(masked, noise.mask_id, canvas.tokens), weight.float(), t
