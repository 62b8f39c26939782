"""The Transformer: what it may see, what it remembers, and how it starts."""

import importlib
import math
import threading
import time

import pytest
import torch

from tinydiff.nets import Cache, Transformer, fast_bf16, lowered, precision

CPU = torch.device("cpu")
chooser = importlib.import_module("tinydiff.nets.precision")  # the function of that name hides it
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


# ---------------------------------------------------------------- bf16 or fp32


@pytest.fixture
def untried(monkeypatch):
    """A process that has not found out yet what its machine does fast."""
    monkeypatch.setattr(chooser, "_tried", {})


@pytest.mark.parametrize("slower, fast", [(9.0, False), (1.0, False), (0.9, False), (0.7, True), (0.1, True)])
@pytest.mark.parametrize("capable", [True, False])
def test_the_clock_decides_and_no_flag(untried, monkeypatch, slower, fast, capable):
    """bf16 is taken where its products are clearly faster, whatever the processor says that it can; "auto" follows."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: capable)
    monkeypatch.setattr(chooser, "product_seconds", lambda dtype, device: slower if dtype == torch.bfloat16 else 1.0)
    assert fast_bf16(CPU) == fast == chooser.is_bf16("auto", CPU)
    net = network()
    assert (lowered(net, "auto", CPU) is net) == (not fast)


def test_one_slow_moment_decides_nothing(untried, monkeypatch):
    """The first product of each format is not counted, nor one during which the machine did something else."""
    took = {torch.bfloat16: iter([50.0, 1.0, 30.0, 1.0, 1.0, 9.0]), torch.float32: iter([0.01, 2.0, 2.0, 2.0, 40.0, 2.0])}
    monkeypatch.setattr(chooser, "product_seconds", lambda dtype, device: next(took[dtype]))
    assert fast_bf16(CPU)


def test_the_trial_is_made_once_and_leaves_no_trace(untried, monkeypatch):
    """One trial for all threads that ask at once, in a fraction of a second; random numbers and threads are as before."""
    tries, real, said = [], chooser.trial, []
    monkeypatch.setattr(chooser, "trial", lambda device: tries.append(device) or real(device))
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    start = time.perf_counter()
    asking = [threading.Thread(target=lambda: said.append(fast_bf16(CPU))) for _ in range(4)]
    [one.start() for one in asking], [one.join() for one in asking]
    assert time.perf_counter() - start < 1
    assert len(tries) == 1 and len(said) == 4 and len(set(said)) == 1
    assert torch.get_rng_state().equal(state) and torch.get_num_threads() == threads


def test_what_is_chosen_is_the_faster_on_this_machine(untried):
    """Measured apart from the trial, on another product: the chosen format does not take much longer than the other."""
    x = torch.ones(128, 256)
    with chooser.one_thread(), torch.no_grad():

        def quickest(dtype):
            weight, times = torch.ones(512, 256, dtype=dtype), []
            for _ in range(4):
                start = time.perf_counter()
                torch.nn.functional.linear(x.to(dtype), weight)
                times.append(time.perf_counter() - start)
            return min(times)

        low, full = quickest(torch.bfloat16), quickest(torch.float32)
    assert low < 1.1 * full if fast_bf16(CPU) else full < 2 * low


def test_a_device_that_was_never_tried_out_computes_in_fp32(untried):
    """Of other devices nothing is known, and nothing is run on them."""
    assert not fast_bf16(torch.device("meta"))
