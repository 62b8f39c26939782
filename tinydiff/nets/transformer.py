"""One Transformer for every process: attention that sees both sides, only the past, or what a mask
allows.

    h_0 = embed(x) + position + time(t) + sum of labels
    h <- h + attention(norm(h));   h <- h + mlp(norm(h))      in every layer
    logits = head(norm(h))

Rotary positions (arXiv:2104.09864), RMSNorm (arXiv:1910.07467), normalised queries and keys
(arXiv:2010.04245), squared ReLU (arXiv:2109.08668). The head starts at zero, so an untrained
network's bound is exactly log V a character. It does not know what its inputs and outputs mean:
that is the process's.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinydiff.nets.network import Network

SOFTMAX = 100  # multiplications that a weight of attention costs
LONG = 1024  # keys from which on the fused kernel of a CPU is faster even with its backward


class Cache:
    """Keys and values of the positions that a causal network has read: a list over layers of (B, H,
    n, D / H) pairs."""

    free = False  # does what it is handed to ask no network?

    def __init__(self):
        self.layers: list[tuple[Tensor, Tensor]] = []
        self.other: Cache | None = None

    def twin(self) -> Cache:
        """A second cache, always the same one, for the same text read without its label."""
        if self.other is None:
            self.other = copy.copy(self)
            self.other.layers = []
        return self.other

    def __len__(self) -> int:
        return self.layers[0][0].shape[2] if self.layers else 0

    def fork(self) -> Cache:
        """A new cache that begins with the contents of this one; what is added to either is not
        added to the other."""
        copy = Cache()
        copy.layers = list(self.layers)
        return copy

    def pick(self, rows: Tensor) -> None:
        """Go on with these rows of the batch, (n,), in their order; one may come several times."""
        self.layers = [(k[rows], v[rows]) for k, v in self.layers]

    def first(self, n: int) -> list[tuple[Tensor, Tensor]]:
        """The layers' keys and values for the first n positions."""
        return [(k[:, :, :n], v[:, :, :n]) for k, v in self.layers]

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if layer == len(self.layers):
            self.layers.append((k, v))
        else:
            old_k, old_v = self.layers[layer]
            self.layers[layer] = torch.cat([old_k, k], 2), torch.cat([old_v, v], 2)
        return self.layers[layer]


class Transformer(Network):
    """The network of every bundled model.

    inputs:    number of input tokens (an embedding), at least V; or with `reals` the input's width
    reals:     True reads (B, n, inputs) numbers in the place of (B, n) tokens
    outputs:   width of the output
    layers, heads, width: the shape; width / heads must be even
    length:    positions it is trained for (it runs at any length; beyond, its positions are new)
    attention: "bidirectional" or "causal"
    timed:     True adds an embedding of the time at each position
    labels:    number of classes; one more, the last, is the null class
    attributes: how many of them a text has, one of each attribute; their embeddings are added, and
               the null class's for each that is not told
    positions: True adds a learned embedding of each position (BERT, arXiv:1810.04805), zero at
               first. Rotations tell how far apart two positions are and not where they are: a
               canvas of nothing but masks looks the same everywhere, and so does every bet about
               it. Behind `length` all are the last
    tied:      True takes the embedding for the head as well (arXiv:1608.05859), where there is one
    """

    name = "transformer"

    @classmethod
    def least_weights(cls, shape):
        return 12 * shape["layers"] * shape["width"] ** 2

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        layers: int,
        heads: int,
        width: int,
        length: int,
        attention: str = "bidirectional",
        timed: bool = False,
        reals: bool = False,
        labels: int = 0,
        attributes: int = 1,
        positions: bool = False,
        tied: bool = False,
    ):
        super().__init__()
        if width % heads or (width // heads) % 2:
            raise ValueError(
                f"A width of {width} cannot be shared by {heads} heads: width / heads must be even."
            )
        if attention not in ("bidirectional", "causal"):
            raise ValueError(f"Attention is 'bidirectional' or 'causal', not {attention!r}.")
        self.causal, self.length = attention == "causal", length
        self.labels, self.attributes = labels, attributes
        self.embed = nn.Linear(inputs, width, bias=False) if reals else nn.Embedding(inputs, width)
        self.position = nn.Embedding(length, width) if positions else None
        self.time = TimeEmbedding(width) if timed else None
        self.label = nn.Embedding(labels + 1, width) if labels else None
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = RMSNorm(width)
        self.outputs = outputs
        self.head = None if tied and not reals else nn.Linear(width, outputs, bias=False)
        self.half = width // heads // 2
        self.reset()

    def work(self, new, window):
        heads, width = self.blocks[0].heads, self.norm.weight.numel()
        pairs = len(self.blocks) * new * window
        return super().work(new, window) + pairs * (2 * width + SOFTMAX * heads)

    def largest(self, window):
        return self.blocks[0].heads * window**2

    def reset(self) -> None:
        for name, p in self.named_parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)
            if name.endswith(
                ("out.weight", "down.weight")
            ):  # residual branches start small (GPT-2)
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * len(self.blocks)))
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
        if self.position is not None:
            nn.init.zeros_(self.position.weight)
        if isinstance(self.embed, nn.Linear):  # its inputs are few, and of size one
            nn.init.normal_(self.embed.weight, std=0.5 / math.sqrt(self.embed.in_features))

    def forward(
        self,
        x: Tensor,
        t: Tensor | None = None,
        label: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """x (B, n) tokens or (B, n, inputs) numbers, t (B, n), label (B,), (B, k) or None -> (B, n,
        outputs).

        mask (n, m) bool says which keys a query may see, in place of the network's own rule. With a
        cache, x goes on where the cache ends, and the keys are the cache's and then x's own. places
        (n,) are the positions in the text, by default 0, 1, 2 ... or those that follow the cache.
        """
        past, n = len(cache) if cache is not None else 0, x.shape[1]
        if places is None:
            places = torch.arange(past, past + n, device=x.device)
        h = self.embed(x).float()  # (B, n, D)
        if self.position is not None:
            h = h + self.position(places.clamp_max(self.length - 1))
        if self.time is not None:
            h = h + self.time(t)
        if self.label is not None:
            h = h + self.label(self.told(label, x)).sum(1, keepdim=True)
        turn = rotation(places, self.half)
        causal = mask is None and self.causal and n > 1  # one alone, the last, sees everything
        if causal and past:
            mask = torch.ones(n, past + n, dtype=torch.bool, device=x.device).tril(past)
            causal = False
        for i, block in enumerate(self.blocks):
            h = block(
                h,
                turn,
                mask,
                causal,
                None if cache is None else lambda k, v, i=i: cache.extend(i, k, v),
            )
        head = self.embed.weight[: self.outputs] if self.head is None else self.head.weight
        return F.linear(self.norm(h), head).float()

    def told(self, label: Tensor | None, x: Tensor) -> Tensor:
        """The classes of each row, (B, attributes), the null class for what is not told."""
        B = len(x) if label is None else len(label)
        null = torch.full((B, self.attributes), self.labels, device=x.device)
        if label is None:
            return null
        label = label.reshape(B, -1)
        return torch.cat([label, null[:, label.shape[1] :]], 1)


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.q_norm, self.k_norm = RMSNorm(width // heads), RMSNorm(width // heads)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, h, turn, mask, causal, extend):
        B, n, D = h.shape
        # (B, n, H, D / H)
        q, k, v = self.qkv(self.norm1(h)).view(B, n, 3, self.heads, -1).unbind(2)
        q, k = (
            rotate(norm.unit(x.float()), *turn, norm.weight).to(v.dtype)
            for x, norm in ((q, self.q_norm), (k, self.k_norm))
        )
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, n, D / H)
        if extend is not None:
            k, v = extend(k, v)
        h = plus(h, self.out, attend(q, k, v, mask, causal).transpose(1, 2).reshape(B, n, D))
        return plus(h, self.down, squared_relu(self.up(self.norm2(h))))


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean of x^2 + eps) * weight over the last dimension, as nn.RMSNorm, by fewer passes
    over x: on a CPU PyTorch has no kernel of its own for it.
    """

    def __init__(self, width: int):
        super().__init__(width)
        self.register_buffer(
            "least", torch.tensor(torch.finfo(torch.float32).eps), persistent=False
        )

    def unit(self, x: Tensor) -> Tensor:
        """Without the weight."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.addcmul(self.least, length, length, value=1 / x.shape[-1]).rsqrt_()

    def forward(self, x: Tensor) -> Tensor:
        unit = self.unit(x)
        return unit * self.weight if torch.is_grad_enabled() else unit.mul_(self.weight)


def plus(h: Tensor, linear: nn.Linear, x: Tensor) -> Tensor:
    """h + linear(x), in one kernel where both are of one number format."""
    if x.dtype != h.dtype:
        return h + linear(x)
    return torch.addmm(h.flatten(0, 1), x.flatten(0, 1), linear.weight.T).view_as(h)


def squared_relu(x: Tensor) -> Tensor:
    """relu(x)^2. Without gradients it is computed in place, because on a CPU allocating memory
    takes longer than the arithmetic."""
    return F.relu(x).square() if torch.is_grad_enabled() else x.relu_().square_()


class TimeEmbedding(nn.Module):
    """t in [0, 1], (B, n) -> (B, n, D): sines and cosines of 32 frequencies from 1 to 1,000
    radians, then an MLP."""

    def __init__(self, width: int):
        super().__init__()
        self.up, self.down = nn.Linear(64, width), nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        phase = t[..., None] * torch.logspace(0, 3, 32, device=t.device)
        return self.down(F.silu(self.up(torch.cat([phase.sin(), phase.cos()], -1))))


def rotation(places: Tensor, half: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of the rotary angles of positions (n,), for `rotate`, each (n, 1, D
    / H)."""
    angle = torch.outer(places, 10000.0 ** (-torch.arange(half, device=places.device) / half))
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], -1)[:, None], torch.cat([-sin, sin], -1)[:, None]


def rotate(x: Tensor, cos: Tensor, sin: Tensor, weight: Tensor) -> Tensor:
    """Turn the pairs (x_i, x_{i + d/2}) of weight * x, (B, n, H, d): (a, b) -> (a cos - b sin, b
    cos + a sin). The weight (d,) is multiplied with the few angles, not with the many numbers.
    """
    half = x.shape[-1] // 2
    return torch.addcmul(x * (cos * weight), x.roll(half, -1), sin * weight.roll(half, -1))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """softmax(q k' / sqrt(d)) v. causal: the i-th query sees the first i keys.

    On a CPU the fused kernel takes .4 - .8 of the time written out in float32, from 1 to 1,024
    positions; but not with its backward, nor in bfloat16, unless the text is LONG.
    """
    quick = not torch.is_grad_enabled() and q.dtype != torch.bfloat16
    if q.is_cuda or quick or k.shape[2] >= LONG:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    if causal:
        mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
    score = (q * q.shape[-1] ** -0.5) @ k.mT  # (B, H, n, m)
    if mask is not None:
        score = score.masked_fill(~mask, -1e4)
    return score.float().softmax(-1).to(v.dtype) @ v
