"""A toy network: each position sees itself and the mean of all, no order at all."""

import torch

from tinydiff.nets import Network


class Bag(Network):
    name = "bag"

    def __init__(self, *, inputs, outputs, width, reals=False, labels=0, length=None, **shape):
        super().__init__()
        self.labels = labels
        self.embed = torch.nn.Linear(inputs, width) if reals else torch.nn.Embedding(inputs, width)
        self.time = torch.nn.Linear(1, width)
        self.head = torch.nn.Linear(2 * width, outputs)

    def forward(self, x, t, label=None, *, mask=None, cache=None, places=None):
        if mask is not None or cache is not None:
            raise TypeError("The network 'bag' knows no masks and no caches.")
        h = self.embed(x) if t is None else self.embed(x) + self.time(t[..., None].float())
        return self.head(torch.cat([h, h.mean(1, keepdim=True).expand(h.shape)], -1))
