"""Reading ahead: a causal network reads drafts as if they were known, and so says of each what it
would have written there itself (speculative decoding, arXiv:2302.01318)."""

from __future__ import annotations

import torch
from torch import Tensor

from tinydiff.nets.transformer import Cache

SEEN = 2  # tokens by which a place is found that has been there before


class Ahead(Cache):
    """The Cache of a text whose end is drafted.

    drafts:   (B, m) tokens that are read in the place of the first masks of a text
    drafting: True while not the network is asked but whoever drafts for it: by default what stood
              in the text before (`repeated`)
    """

    def __init__(self):
        super().__init__()
        self.drafts: Tensor | None = None
        self.drafting = False

    @property
    def free(self) -> bool:
        return self.drafting

    def filled(self, x: Tensor) -> Tensor:
        """A text (B, n) that ends in m + 1 masks, with the drafts in the first m of them."""
        m = 0 if self.drafts is None else self.drafts.shape[1]
        return torch.cat([x[:, : x.shape[1] - m - 1], self.drafts, x[:, -1:]], 1) if m else x

    def settle(self, known: int) -> None:
        """Forget what was read behind the first `known` tokens, the last of which is still to be
        read."""
        self.layers, self.drafts = self.first(known), None


def repeated(x: Tensor, m: int) -> Tensor:
    """What followed the last time that the last SEEN tokens of each text (B, k) stood in it, (B,
    m); where they never did, its last token again and again; 0 where there is no token."""
    B, k = x.shape
    if k <= SEEN:
        return x[:, -1:].expand(B, m) if k else x.new_zeros(B, m)
    parts = x.unfold(1, SEEN, 1)  # (B, k - SEEN + 1, SEEN)
    same = (parts[:, :-1] == parts[:, -1:]).all(-1)
    places = torch.arange(same.shape[1], device=x.device)
    last = torch.where(same, places, -1).amax(1, keepdim=True)  # where they stood, or -1
    begin = torch.where(last < 0, k - 1, last + SEEN)
    return x.gather(1, begin + torch.arange(m, device=x.device) % (k - begin))
