"""Pretrained language models that read from left to right: the Llama kind (SmolLM2, Qwen2), opened
by the library `transformers` (store/bases.py), with any mask, positions and a cache.

Its modules and weights are the library's; here is the way through them, because what is read may be
two texts at once: one that is known, as the model always read it, and behind it positions that an
adapter changes (nets/adapter.py). Sums of layers are kept in float32, products are in the format of
the weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinydiff.nets.network import Network
from tinydiff.nets.transformer import Cache

KNOWN = ("LlamaForCausalLM", "Qwen2ForCausalLM")  # architectures that are read here
# (layer, the name of a matrix, what it is multiplied with, their product) -> what becomes of it
Beside = Callable[[int, str, Tensor, Tensor], Tensor]


class Causal(Network):
    """A causal language model of `transformers`.

    model: one of KNOWN
    begin: the token that stands in the place of "nothing yet", before a text

    Raises ValueError, in one sentence, for another architecture.
    """

    def __init__(self, model: nn.Module, begin: int):
        super().__init__()
        if (kind := type(model).__name__) not in KNOWN:
            raise ValueError(f"The architecture {kind} is not read here; {', '.join(KNOWN)} are.")
        self.model, self.begin = model, begin
        self.outputs = len(self.embedding)  # tokens that are told; there may be rows for none

    @property
    def width(self) -> int:
        return self.model.config.hidden_size

    @property
    def embedding(self) -> Tensor:
        """(V, width)."""
        return self.model.model.embed_tokens.weight

    def work(self, new, window):
        return float(new * sum(p.numel() for p in self.parameters()))

    def forward(self, x, t=None, label=None, *, mask=None, cache=None, places=None):
        """Tokens (B, n) -> logits (B, n, V); whatever is no token is `begin`. Number formats are
        those of the weights, whatever is asked for around it."""
        with torch.autocast(x.device.type, enabled=False):
            if (rider := getattr(cache, "rider", None)) is not None:
                return rider.read(self, x, cache)
            states = self.states(self.embed(x), mask=mask, cache=cache, places=places)
            return self.logits(states)

    def embed(self, x: Tensor) -> Tensor:
        """(B, n) -> (B, n, width)."""
        known = torch.where(x < len(self.embedding), x, self.begin)
        return F.embedding(known, self.embedding).float()

    def logits(self, states: Tensor, most: int | None = None) -> Tensor:
        """(B, n, width) -> (B, n, V), or for the first `most` tokens alone."""
        head, outputs = self.model.lm_head, min(self.outputs, most or self.outputs)
        if head.bias is None and outputs < len(head.weight):
            rows = states.to(head.weight.dtype).flatten(0, 1).contiguous()
            return F.linear(rows, head.weight[:outputs]).unflatten(0, states.shape[:2]).float()
        return product(head, states)[..., :outputs].float()

    def states(
        self,
        h: Tensor,
        *,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        places: Tensor | None = None,
        adapted: Beside | None = None,
    ) -> Tensor:
        """What stands before the head, (B, n, width), for inputs of that shape.

        mask:    (n, m) or (B, n, m) bool, which keys a query sees; by default all that are read
                 before it, and itself
        places:  (n,) or (B, n), of the inputs in the text; by default behind the cache
        adapted: what becomes of each product
        """
        past, n = len(cache) if cache is not None else 0, h.shape[1]
        if places is None:
            places = torch.arange(past, past + n, device=h.device)
        if mask is None:
            mask = torch.ones(n, past + n, dtype=torch.bool, device=h.device).tril(past)
        cos, sin = self.model.model.rotary_emb(h, places.expand(len(h), n))
        turn = tuple(part[:, None].to(self.embedding.dtype) for part in (cos, sin))
        bias = torch.zeros(mask.shape, device=h.device).masked_fill_(~mask, -torch.inf)
        bias = bias.view(-1, 1, n, past + n).to(self.embedding.dtype)
        for i, layer in enumerate(self.model.model.layers):
            h = self.layer(i, layer, h, turn, bias, cache, adapted)
        return self.model.model.norm(h)

    def layer(self, i, layer, h, turn, bias, cache, adapted) -> Tensor:
        attention, mlp = layer.self_attn, layer.mlp
        B, n, _ = h.shape

        def times(part: nn.Module, name: str, x: Tensor) -> Tensor:
            found = product(getattr(part, name), x)
            return found if adapted is None else adapted(i, name, x, found)

        x = layer.input_layernorm(h).to(self.embedding.dtype)
        q, k, v = (
            times(attention, name, x).view(B, n, -1, attention.head_dim).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        q, k = (rotated(part, *turn) for part in (q, k))
        if cache is not None:
            k, v = cache.extend(i, k, v)
        seen = attend(q, k, v, bias, attention.scaling)
        h = h + times(attention, "o_proj", seen.transpose(1, 2).reshape(B, n, -1))
        x = layer.post_attention_layernorm(h).to(self.embedding.dtype)
        x = mlp.act_fn(times(mlp, "gate_proj", x)) * times(mlp, "up_proj", x)
        return h + times(mlp, "down_proj", x)


def product(linear: nn.Linear, x: Tensor) -> Tensor:
    """linear(x) for x (B, n, inputs), in the format of its weights."""
    rows = x.to(linear.weight.dtype).flatten(0, 1).contiguous()  # slices are multiplied slowly
    return linear(rows).unflatten(0, x.shape[:2])


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The pairs (x_i, x_{i + d/2}) of x, (B, H, n, d), turned by angles (B, 1, n, d)."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: float) -> Tensor:
    """softmax(scale q k' + bias) v, (B, H, n, d), where groups of queries share keys and values (B,
    G, m, d); they are read as one query more often."""
    B, H, n, d = q.shape
    groups = k.shape[1]
    q, bias = q.reshape(B, groups, -1, d), bias.repeat(1, 1, H // groups, 1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale).view(B, H, n, d)
