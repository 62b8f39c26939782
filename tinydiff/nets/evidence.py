"""Evidence: each token speaks for itself, and a text's answer is the mean of what they say.

    say_i  =  weight(place i) strength(t_i) table[x_i]

There is no attention and no layer, so what one changed token changes is known exactly, for all
tokens at all places at once: what a classifier that steers is asked at every look (classifier.py).
A text's evidence of a label, as naive Bayes and fastText (arXiv:1607.01759) add it up.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinydiff.nets.network import Network
from tinydiff.nets.transformer import TimeEmbedding

SCALE = 64.0  # of the table: a single token of many may decide
HIDDEN = 32  # numbers between a time and how strongly a token of that time speaks


class Evidence(Network):
    """The network of bundled classifiers. Of the shape only `length` matters: beyond, all places
    weigh alike."""

    name = "evidence"

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        length: int,
        reals: bool = False,
        timed: bool = False,
        **shape,
    ):
        super().__init__()
        self.table = (
            nn.Linear(inputs, outputs, bias=False) if reals else nn.Embedding(inputs, outputs)
        )
        nn.init.zeros_(self.table.weight)
        self.place = nn.Parameter(torch.zeros(length))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.time = nn.Sequential(TimeEmbedding(HIDDEN), nn.Linear(HIDDEN, 1)) if timed else None

    def forward(self, x, t=None, label=None, *, mask=None, cache=None, places=None) -> Tensor:
        """What each position says, (B, n, outputs)."""
        if mask is not None or cache is not None:
            raise TypeError("This network reads whole texts alone.")
        return self.table(x) * self.loud(t, x.shape[1]) + self.bias

    def loud(self, t: Tensor | None, n: int) -> Tensor:
        """How strongly each position speaks, (B, n, 1) or (1, n, 1)."""
        places = torch.arange(n, device=self.place.device).clamp_max(len(self.place) - 1)
        weight = SCALE * (1 + self.place[places])[None, :, None]
        return weight if self.time is None else weight * F.softplus(self.time(t))

    def changed(self, x: Tensor, t: Tensor, V: int, where: Tensor) -> Tensor:
        """The text's answer (the mean over positions) with the token v, clean, in the place of what
        stands at each of N positions `where` (B, n), (outputs, N, V)."""
        here, n = self(x, t), x.shape[1]
        others = (here.sum(1, keepdim=True) - here)[where].T  # (outputs, N)
        clean = self.loud(None if self.time is None else torch.zeros_like(t), n)
        loud = clean.expand(*x.shape[:2], 1)[where]  # (N, 1)
        says = self.table.weight[:V].T[:, None]  # (outputs, 1, V)
        return ((others + self.bias[:, None])[..., None] + loud * says) / n
