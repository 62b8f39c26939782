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
# what an adapter adds to a product: (layer, the name of its matrix, its input) -> the sum, or None
Beside = Callable[[int, str, Tensor], Tensor]


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
        """Tokens (B, n) -> logits (B, n, V); whatever is no token is `begin`."""
        states = self.states(self.embed(x), mask=mask, cache=cache, places=places)
        return self.logits(states)

    def embed(self, x: Tensor) -> Tensor:
        """(B, n) -> (B, n, width)."""
        known = torch.where(x < len(self.embedding), x, self.begin)
        return F.embedding(known, self.embedding).float()

    def logits(self, states: Tensor) -> Tensor:
        """(B, n, width) -> (B, n, V)."""
        return product(self.model.lm_head, states).float()

    def states(
        self,
        h: Tensor,
        *,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        places: Tensor | None = None,
        adapted: Callable[[int, str, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """What stands before the head, (B, n, width), for inputs of that shape.

        mask:    (n, m) or (B, n, m) bool, which keys a query sees; by default all that are read
                 before it, and itself
        places:  (n,) or (B, n), of the inputs in the text; by default behind the cache
        adapted: adapted(layer, name, x) is added to the product of the matrix `name` with x
        """
        past, n = len(cache) if cache is not None else 0, h.shape[1]
        if places is None:
            places = torch.arange(past, past + n, device=h.device)
        if mask is None:
            mask = torch.ones(n, past + n, dtype=torch.bool, device=h.device).tril(past)
        turn = self.model.model.rotary_emb(h, places.expand(len(h), n))
        for i, layer in enumerate(self.model.model.layers):
            h = self.layer(i, layer, h, turn, mask, cache, adapted)
        return self.model.model.norm(h)

    def layer(self, i, layer, h, turn, mask, cache, adapted) -> Tensor:
        attention, mlp = layer.self_attn, layer.mlp
        B, n, _ = h.shape

        def times(part: nn.Module, name: str, x: Tensor) -> Tensor:
            found = product(getattr(part, name), x)
            return found if adapted is None else found + adapted(i, name, x)

        x = layer.input_layernorm(h)
        q, k, v = (
            times(attention, name, x).view(B, n, -1, attention.head_dim).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        q, k = (rotated(part, *turn) for part in (q, k))
        if cache is not None:
            k, v = cache.extend(i, k, v)
        seen = attend(q, k, v, mask, attention.scaling)
        h = h + times(attention, "o_proj", seen.transpose(1, 2).reshape(B, n, -1)).float()
        x = layer.post_attention_layernorm(h)
        x = mlp.act_fn(times(mlp, "gate_proj", x)) * times(mlp, "up_proj", x)
        return h + times(mlp, "down_proj", x).float()


def product(linear: nn.Linear, x: Tensor) -> Tensor:
    """linear(x), in the format of its weights."""
    return linear(x.to(linear.weight.dtype))


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The pairs (x_i, x_{i + d/2}) of x, (B, H, n, d), turned by angles (B, n, d)."""
    cos, sin = cos[:, None].to(x.dtype), sin[:, None].to(x.dtype)
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    """softmax(scale q k') v, (B, H, n, d), where groups of queries share keys and values (B, G, m,
    d)."""
    B, H, n, d = q.shape
    groups, mask = k.shape[1], mask.expand(B, *mask.shape[-2:])
    q = q.reshape(B, groups, H // groups * n, d)
    score = (q * scale) @ k.mT
    hidden = ~mask.repeat(1, H // groups, 1)[:, None]
    score = score.float().masked_fill(hidden, -torch.inf).softmax(-1)
    return (score.to(v.dtype) @ v).view(B, H, n, d)
