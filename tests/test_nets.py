"""The Transformer: what it may see, what it remembers, and how it starts."""

import math

import pytest
import torch

from tinydiff.nets import Cache, Transformer, lowered, precision

SHAPE = dict(inputs=11, outputs=10, layers=2, heads=2, width=32, length=16)


def network(**more):
    torch.manual_seed(0)
    net = Transformer(**SHAPE, **more)
    torch.nn.init.normal_(net.head.weight, std=0.5)
    return net.eval()


def seen(net, **more):
    """(L, L) bool: does the output at a row's position depend on the input at a column's? By gradients through embeddings."""
    embedded = []
    hook = net.embed.register_forward_hook(lambda module, inputs, out: embedded.append(out.requires_grad_()) or out)
    out = net(torch.arange(8)[None] % 10, torch.full((1, 8), 0.5), **more)
    hook.remove()
    rows = [
        torch.autograd.grad(out[0, i].square().sum(), embedded[0], retain_graph=True)[0][0].norm(dim=-1) > 0 for i in range(8)
    ]
    return torch.stack(rows)


def test_an_untrained_network_knows_nothing():
    """The cross-entropy before training is exactly log V."""
    net = Transformer(**SHAPE)
    loss = torch.nn.functional.cross_entropy(net(torch.randint(10, (4, 16))).flatten(0, 1), torch.randint(10, (64,)))
    assert loss.item() == pytest.approx(math.log(10), abs=1e-6)


def test_bidirectional_sees_everything():
    """Every output depends on every input."""
    assert seen(network()).all()


def test_causal_leaks_nothing():
    """An output depends on its own input and those before it, and on nothing after, by gradients."""
    assert seen(network(attention="causal")).equal(torch.ones(8, 8, dtype=torch.bool).tril())


def test_a_mask_is_obeyed():
    """One layer sees exactly what the mask allows, its own position included."""
    torch.manual_seed(0)
    net = Transformer(**{**SHAPE, "layers": 1})
    torch.nn.init.normal_(net.head.weight)
    allowed = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) < 0.4
    allowed.fill_diagonal_(True)
    assert seen(net, mask=allowed).equal(allowed)


@pytest.mark.parametrize("sizes", [[1] * 12, [5, 1, 6], [12]])
def test_cached_equals_uncached(sizes):
    """Reading in pieces with a cache gives what reading at once gives, to float precision."""
    net, x, cache, parts = network(attention="causal"), torch.randint(10, (3, 12)), Cache(), []
    with torch.no_grad():
        whole = net(x)
        for piece in x.split(sizes, 1):
            parts.append(net(piece, cache=cache))
    assert len(cache) == 12
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)


def test_time_and_label_reach_every_position():
    """A timed network listens to the time of each position; a labelled one to its label; no label is the null class."""
    net = network(timed=True, labels=3)
    x, t = torch.randint(10, (2, 8)), torch.full((2, 8), 0.5)
    assert not torch.allclose(net(x, t), net(x, t * 0))
    assert not torch.allclose(net(x, t, torch.tensor([0, 1])), net(x, t))
    assert torch.allclose(net(x, t, torch.tensor([3, 3])), net(x, t))


def test_shapes_that_cannot_be_are_told():
    """One sentence."""
    with pytest.raises(ValueError, match="width / heads must be even"):
        Transformer(**{**SHAPE, "width": 30, "heads": 4})
    with pytest.raises(ValueError, match="'bidirectional' or 'causal'"):
        Transformer(**SHAPE, attention="sideways")


def test_matrices_cast_once_say_the_same():
    """A network whose matrices are held in bf16 answers to the bit what autocast, casting at each call, answers; in fp32 it is the
    network itself, and all but the matrices is shared."""
    net, cpu = network(timed=True), torch.device("cpu")
    kept = lowered(net, "bf16", cpu)
    x, t = torch.randint(0, 10, (2, 16), generator=torch.Generator().manual_seed(0)), torch.full((2, 16), 0.5)
    with torch.no_grad(), precision("bf16", cpu)():
        assert torch.equal(kept(x, t), net(x, t))
    assert lowered(net, "fp32", cpu) is net and net.head.weight.dtype == torch.float32
    assert kept.head.weight.dtype == torch.bfloat16 and kept.embed.weight is net.embed.weight
