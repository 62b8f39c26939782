"""The autoregressive baseline: one character after the other, each given all before it.

    p(x_0) = product over i of p(x_0_i | x_0_1 .. x_0_{i-1})

The same network as everybody's, with causal attention; the first input is the mask id, "nothing
yet". As a process it erases from the right: at time t the first (1 - t) L characters are left. Its
likelihood is exact. It does not see what is given to the right of a character, so it cannot fill a
gap knowing what comes after.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tinydiff.processes import Prediction, Process, certain


class Autoregressive(Process):
    name, title, paper = "autoregressive", "Autoregressive", "arXiv:1706.03762"
    about = (
        "No noise at all: the text is written from left to right, one character a call. The "
        "rival to beat."
    )
    traits = frozenset({"tokens", "prefix", "timeless", "causal", "cache"})

    def network(self):
        return dict(inputs=self.V + 1, outputs=self.V, attention="causal", timed=False)

    def prior(self, canvas, rng):
        return self.pin(torch.full_like(canvas.tokens, self.mask_id), canvas)

    def corrupt(self, x0, t, rng):
        L = x0.shape[1]
        return torch.where(
            torch.arange(L, device=x0.device) < ((1 - t) * L).round(), x0, self.mask_id
        )

    def likelihood(self, x, t):
        return torch.where((x == self.mask_id)[..., None], 0.0, certain(x, self.V))

    def denoise(self, x, t, label=None, cache=None):
        """With a cache: the prediction for the positions from len(cache) on, (B, L - len(cache),
        V); x itself is whole."""
        start = 0 if cache is None else len(cache)
        raw = self.logits(x, t, label, cache)
        x = x[:, start:]
        return Prediction(
            torch.where((x == self.mask_id)[..., None], raw.log_softmax(-1), certain(x, self.V)),
            raw,
        )

    def ahead(self, size=None):
        return 1

    def loss(self, canvas, rng):
        return self.bound(canvas, rng) / canvas.given.shape[1]

    def bound(self, canvas, rng):
        """-log p of the open characters, each given everything to its left: exact where all that is
        given stands before them. What is given further right is not seen.
        """
        raw = self.logits(canvas.tokens, canvas.time(1.0), canvas.label)
        surprise = F.cross_entropy(raw.mT, canvas.tokens, reduction="none")
        return torch.where(canvas.given, 0, surprise).sum(1)

    def logits(self, x, t, label, cache=None):
        """Of p(x_i | x_1 .. x_{i-1}), (B, L - len(cache), V): the input is moved one place to the
        right."""
        moved = F.pad(x[:, :-1], (1, 0), value=self.mask_id)
        start = 0 if cache is None else len(cache)
        return self.net(moved[:, start:], t[:, start:], label, cache=cache)

    def perfect(self, language, x, t):
        # x is the network's input, moved to the right
        return language.following(F.pad(x[:, 1:], (0, 1)))
