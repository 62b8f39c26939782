"""An adapter by which a frozen language model drafts its own next tokens.

Behind the text that the model reads as it always did stand masks, and tokens that are not checked
yet: a second stream, which sees the text before it and itself. LoRA (arXiv:2106.09685) acts on that
stream alone (gated LoRA, arXiv:2507.11851), so that what the model says of known text is not
changed by a bit. A small head goes over the masks' last states from left to right and adds what was
drafted before (Hydra, arXiv:2402.05109).

The model's shift is kept: position i, with token i - 1 or a mask in its place, says token i.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinydiff.nets.ahead import Ahead
from tinydiff.nets.causal import Beside, Causal

PARTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TOGETHER = (PARTS[:3], PARTS[3:4], PARTS[4:6], PARTS[6:])  # which multiply the same
SCALE = 2.0  # of what LoRA adds


class Adapter(nn.Module):
    """What is learned, for a network of one shape.

    shapes: of its matrices by PARTS, (outputs, inputs), the same in all layers
    rank:   of LoRA
    hidden: numbers inside the head
    """

    labels = 0

    def __init__(
        self,
        shapes: dict[str, tuple[int, int]],
        layers: int,
        width: int,
        rank: int,
        hidden: int,
    ):
        super().__init__()
        self.shapes, self.layers, self.width, self.rank = shapes, layers, width, rank
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        for i in range(layers):
            for name, (outputs, inputs) in shapes.items():
                self.a[f"{i}_{name}"] = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
                self.b[f"{i}_{name}"] = nn.Parameter(torch.zeros(outputs, rank))
        # `narrows`, of a copy that learns nothing any more
        self.kept: dict[tuple[int, str], Tensor] | None = None
        self.mask = nn.Parameter(torch.zeros(width))
        self.up, self.down = nn.Linear(3 * width, hidden), nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.down.weight)

    @classmethod
    def of(cls, net: Causal, rank: int, hidden: int) -> Adapter:
        """An untrained one: its mask is the mean of the embeddings, and else it changes nothing."""
        layers = net.model.model.layers
        shapes = {name: tuple(matrix(layers[0], name).weight.shape) for name in PARTS}
        made = cls(shapes, len(layers), net.width, rank, hidden)
        made.mask.data.copy_(net.embedding.detach().float().mean(0))
        return made

    def fits(self, net: Causal) -> bool:
        """Is it for a network of this shape?"""
        layers = net.model.model.layers
        return (net.width, len(layers)) == (self.width, self.layers) and all(
            tuple(matrix(layer, name).weight.shape) == tuple(self.shapes[name])
            for layer in layers
            for name in PARTS
        )

    def beside(self, first: int = 0) -> Beside:
        """LoRA's part of each product, from position `first` on. What several matrices multiply is
        made narrow for all of them at once."""
        b, narrow = dict(self.b), {}

        def added(layer: int, name: str, x: Tensor, found: Tensor) -> Tensor:
            head = next(group[0] for group in TOGETHER if name in group)
            if name == head:
                low = F.linear(x[:, first:].to(self.format), self.narrows(layer, head))
                names = group_of(head)
                narrow.update(zip(names, low.chunk(len(names), -1)))
            more = F.linear(narrow.pop(name), b[f"{layer}_{name}"])
            if first:
                found[:, first:].add_(more, alpha=SCALE)
                return found
            return torch.add(found, more.to(found.dtype), alpha=SCALE)

        return added

    def narrows(self, layer: int, head: str) -> Tensor:
        """The narrow matrices of a group in TOGETHER, one under the other."""
        if self.kept is not None and (layer, head) in self.kept:
            return self.kept[layer, head]
        made = torch.cat([self.a[f"{layer}_{name}"] for name in group_of(head)])
        if self.kept is not None:
            self.kept[layer, head] = made
        return made

    def to_draft(self) -> Adapter:
        """A copy that learns nothing any more. It stays in float32: products so small take a third
        of the time that they take in bfloat16."""
        made = copy.deepcopy(self).requires_grad_(False)
        made.kept = {}
        return made

    @property
    def format(self) -> torch.dtype:
        return self.mask.dtype

    def following(self, state: Tensor, token: Tensor, before: Tensor) -> Tensor:
        """The head: a mask's last state (B, D), changed by the token before it (its embedding, (B,
        D)) and by the changed state of the mask before it."""
        parts = [F.rms_norm(x, x.shape[-1:]) for x in (state, token, before + 1e-6)]
        return state + self.down(F.silu(self.up(torch.cat(parts, -1))))

    def chain(self, states: Tensor, tokens: Tensor) -> Tensor:
        """The changed states of masks (..., M, D), given the embedding of the token before each."""
        before, found = torch.zeros_like(states[..., 0, :]), []
        for state, token in zip(states.unbind(-2), tokens.unbind(-2)):
            before = self.following(state, token, before)
            found.append(before)
        return torch.stack(found, -2)

    def read(self, net: Causal, x: Tensor, cache: Ahead) -> Tensor:
        """The network's logits of x (B, n), whose last tokens are the cache's drafts; in the same
        call masks are read behind each place where the drafts may end, and what stands before the
        head of those is left in the cache, (B, places, masks, D)."""
        B, n = x.shape
        past, m, M = len(cache), cache.drafted, cache.masks
        last = past + n - 1 - m + torch.arange(m + 1, device=x.device)  # read before each group
        group = torch.arange(m + 1, device=x.device).repeat_interleave(M)
        places = last[group] + 1 + torch.arange(M, device=x.device).repeat(m + 1)
        own = torch.arange(past, past + n, device=x.device)
        known = torch.arange(past + n, device=x.device)
        above = torch.cat([known <= own[:, None], known.new_zeros(n, len(group)).bool()], 1)
        below = torch.cat([known <= last[group][:, None], group[:, None] == group], 1)
        h = torch.cat([net.embed(x), self.mask.float().expand(B, len(group), -1)], 1)
        states = net.states(
            h,
            mask=torch.cat([above, below]),
            cache=cache,
            places=torch.cat([own, places]),
            adapted=self.beside(n),
        )
        cache.layers = cache.first(past + n)
        cache.states = states[:, n:].float().view(B, m + 1, M, self.width)
        return net.logits(states[:, :n])


def group_of(head: str) -> tuple[str, ...]:
    return next(group for group in TOGETHER if group[0] == head)


def matrix(layer: nn.Module, name: str) -> nn.Linear:
    """One of PARTS of a layer."""
    return getattr(layer.self_attn if name in PARTS[:4] else layer.mlp, name)
