"""The autoregressive baseline: one token after the other, each given all before it.

    p(x_0) = product over i of p(x_0_i | x_0_1 .. x_0_{i-1})

The Transformer of all processes, with causal attention; the first input is the mask id, which
stands for "nothing yet". The noise that it undoes is erasure from the right (noises/erasure.py).
Its likelihood is exact. It does not see what is given to the right of a token, so it cannot fill a
gap knowing what comes after.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tinydiff.nets.ahead import DRAFT, TELL, Ahead, repeated
from tinydiff.noises.erasure import Erasure
from tinydiff.predictions import Prediction, certain, substituted
from tinydiff.processes import Process


class Autoregressive(Process):
    name, title, paper = "autoregressive", "Autoregressive", "arXiv:1706.03762"
    plain = "one after the other"
    about = (
        "No noise at all: the text is written from left to right, one token a call. The "
        "rival to beat."
    )
    over = Erasure
    traits = Erasure.traits | {"timeless", "causal", "cache"}

    def network(self):
        return dict(inputs=self.V + 1, outputs=self.V, attention="causal", timed=False)

    def denoise(self, x, t, label=None, cache=None):
        """With a cache: the prediction for the positions from len(cache) on, (B, L - len(cache),
        V); x is always the whole text. With one that reads ahead: what it is handed to ask for."""
        start = 0 if cache is None else len(cache)
        if isinstance(cache, Ahead) and cache.task == DRAFT:
            start = int((x == self.mask_id).any(0).nonzero()[0])
            guess = certain(repeated(x[:, :start], x.shape[1] - start), self.V)
            return Prediction(guess, guess)
        if isinstance(cache, Ahead) and cache.task == TELL:
            return self.predict(cache.told(), x[:, -1:], t[:, -1:])
        raw = self.logits(x, t, label, cache)
        raw = cache.kept(raw) if isinstance(cache, Ahead) else raw
        return self.predict(raw, x[:, start:], t[:, start:])

    def predict(self, raw, x, t):
        return Prediction(substituted(raw, x, self.mask_id), raw)

    def ahead(self, size=None):
        return 1

    def loss(self, canvas, rng):
        return self.bound(canvas, rng) / canvas.given.shape[1]

    def bound(self, canvas, rng):
        """-log p of the tokens that count, each given everything to its left: exact where all that
        is given stands before them. What is given further right is not seen, and the padding is
        certain once the text has come to its end."""
        raw = self.logits(canvas.tokens, canvas.time(1.0), canvas.label)
        surprise = F.cross_entropy(raw.mT, canvas.tokens, reduction="none")
        return torch.where(canvas.counted, surprise, 0).sum(1)

    def logits(self, x, t, label, cache=None):
        """Logits of p(x_i | x_1 .. x_{i-1}), (B, L - len(cache), V): the input is x shifted right
        by one."""
        if isinstance(cache, Ahead):
            x, t = cache.filled(x), t[:, :1].expand(-1, x.shape[1] + cache.drafted)
        moved = F.pad(x[:, :-1], (1, 0), value=self.mask_id)
        start = 0 if cache is None else len(cache)
        return self.net(moved[:, start:], t[:, start:], label, cache=cache)

    def perfect(self, language, x, t):
        return language.following(F.pad(x[:, 1:], (0, 1)))  # x is the input, moved to the right
