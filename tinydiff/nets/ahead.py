"""Reading ahead: a causal network reads drafts as if they were known, and so says of each what it
would have written there itself (speculative decoding, arXiv:2302.01318)."""

from __future__ import annotations

import torch
from torch import Tensor

from tinydiff.nets.transformer import Cache

SEEN = 2  # tokens by which a place is found that has been there before
DRAFT, READ, TELL = "draft", "read", "tell"


class Ahead(Cache):
    """The Cache of a text whose end is drafted, and what it is handed to ask for:

    DRAFT: guesses for the masks at the end of the text; by default what stood in it before
    READ:  the next token, given the text; the drafts behind it are read in the same call
    TELL:  one token more, given drafts that were kept; the network is not asked again

    drafts: (B, m) tokens behind the text
    masks:  how many tokens are drafted at the most
    rider:  an adapter (nets/adapter.py) whose masks are read in the same call; it leaves `states`
    """

    def __init__(self, masks: int = 0):
        super().__init__()
        self.masks, self.task = masks, READ
        self.drafts: Tensor | None = None
        self.raw: Tensor | None = None  # of the tokens behind the next one, (B, m, V)
        self.rider = None
        self.states: Tensor | None = None  # (B, places where the drafts may end, masks, D)
        self.group: Tensor | None = None  # those of the place where they ended, (B, masks, D)
        self.before: Tensor | None = None  # of the last token that was drafted, (B, D)

    @property
    def free(self) -> bool:
        return self.task != READ

    @property
    def drafted(self) -> int:
        return 0 if self.drafts is None else self.drafts.shape[1]

    def twin(self):
        other = super().twin()
        other.task, other.drafts, other.rider = self.task, self.drafts, None
        return other

    def filled(self, x: Tensor) -> Tensor:
        """A text (B, n) that ends in a mask, with the drafts there and another mask behind them."""
        return torch.cat([x[:, :-1], self.drafts, x[:, -1:]], 1) if self.drafted else x

    def kept(self, raw: Tensor) -> Tensor:
        """Logits (B, n + m, V) without those of the tokens behind the next one, which are told
        later."""
        n = raw.shape[1] - self.drafted
        self.raw = raw[:, n:]
        return raw[:, :n]

    def told(self) -> Tensor:
        """The logits of one token more, (B, 1, V)."""
        raw, self.raw = self.raw[:, :1], self.raw[:, 1:]
        return raw

    def settle(self, known: int) -> None:
        """Forget what was read behind the first `known` tokens, the last of which is still to be
        read."""
        if self.states is not None:
            self.group = self.states[:, known - (len(self) - self.drafted)]
            self.before = self.states = None
        self.layers, self.drafts = self.first(known), None
        if self.other is not None:
            self.other.settle(known)


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
