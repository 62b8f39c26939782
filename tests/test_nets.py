"""The Transformer: what it may see, what it remembers, and how it starts."""

import importlib
import math
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tinydiff.nets import Cache, Transformer, fast_bf16, lowered, precision, transformer
from tinydiff.nets.transformer import RMSNorm, attend, rotate, rotation
from tinydiff.randomness import seeded

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")
chooser = importlib.import_module("tinydiff.nets.precision")  # the function of that name hides it
SHAPE = dict(inputs=11, outputs=10, layers=2, heads=2, width=32, length=16)


def network(**more):
    torch.manual_seed(0)
    net = Transformer(**SHAPE, **more)
    torch.nn.init.normal_(net.head.weight, std=0.5)
    return net.eval()


def seen(net, **more):
    """(L, L) bool: does the output at a row's position depend on the input at a column's? By
    gradients through embeddings."""
    embedded = []
    hook = net.embed.register_forward_hook(
        lambda module, inputs, out: embedded.append(out.requires_grad_()) or out
    )
    out = net(torch.arange(8)[None] % 10, torch.full((1, 8), 0.5), **more)
    hook.remove()
    rows = [
        torch.autograd.grad(out[0, i].square().sum(), embedded[0], retain_graph=True)[0][0].norm(
            dim=-1
        )
        > 0
        for i in range(8)
    ]
    return torch.stack(rows)


def test_an_untrained_network_knows_nothing():
    """The cross-entropy before training is exactly log V."""
    net = Transformer(**SHAPE)
    loss = torch.nn.functional.cross_entropy(
        net(torch.randint(10, (4, 16))).flatten(0, 1), torch.randint(10, (64,))
    )
    assert loss.item() == pytest.approx(math.log(10), abs=1e-6)


def test_bidirectional_sees_everything():
    """Every output depends on every input."""
    assert seen(network()).all()


def test_causal_leaks_nothing():
    """An output depends on its own input and those before it, and on nothing after, by
    gradients."""
    assert seen(network(attention="causal")).equal(torch.ones(8, 8, dtype=torch.bool).tril())


def test_a_mask_is_obeyed():
    """One layer sees exactly what the mask allows, its own position included."""
    torch.manual_seed(0)
    net = Transformer(**{**SHAPE, "layers": 1})
    torch.nn.init.normal_(net.head.weight)
    allowed = torch.rand(8, 8, generator=seeded(0)) < 0.4
    allowed.fill_diagonal_(True)
    assert seen(net, mask=allowed).equal(allowed)


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("sizes", [[1] * 12, [5, 1, 6], [12]])
def test_cached_equals_uncached(sizes, positions):
    """Reading in pieces with a cache gives what reading at once gives, to float precision."""
    net = network(attention="causal", positions=positions)
    x, cache, parts = torch.randint(10, (3, 12)), Cache(), []
    if positions:
        torch.nn.init.normal_(net.position.weight)
    with torch.no_grad():
        whole = net(x)
        for piece in x.split(sizes, 1):
            parts.append(net(piece, cache=cache))
    assert len(cache) == 12
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)


def test_masks_alone_look_the_same_everywhere_without_positions():
    """Rotations tell distances, and where all tokens are alike a distance tells nothing; with
    positions learned the bets differ. They begin as nothing, and behind the last all are the
    last."""
    torch.manual_seed(0)
    plain, told = network(), network(positions=True)
    told.load_state_dict(plain.state_dict(), strict=False)
    masks = torch.full((1, 8), 9)
    with torch.no_grad():
        same = plain(masks)
        assert torch.allclose(same, same[:, :1].expand_as(same), atol=1e-5)
        assert told(masks).equal(same)
        torch.nn.init.normal_(told.position.weight)
        assert not torch.allclose(told(masks)[:, 1], told(masks)[:, 0], atol=0.1)
        last = told.length - 1
        here, behind = (told(masks[:, :1], places=torch.tensor([i])) for i in (last, last + 5))
        assert torch.allclose(here, behind, atol=1e-5)


def test_time_and_label_reach_every_position():
    """A timed network listens to the time of each position; a labelled one to its label; no label
    is the null class."""
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
    """A network whose matrices are held in bf16 answers to the bit what autocast, casting at each
    call, answers; in fp32 it is the network itself, and all but the matrices is shared.
    """
    net, cpu = network(timed=True), torch.device("cpu")
    kept = lowered(net, "bf16", cpu)
    x = torch.randint(0, 10, (2, 16), generator=seeded(0))
    t = torch.full((2, 16), 0.5)
    with torch.no_grad(), precision("bf16", cpu)():
        assert torch.equal(kept(x, t), net(x, t))
    assert lowered(net, "fp32", cpu) is net and net.head.weight.dtype == torch.float32
    assert kept.head.weight.dtype == torch.bfloat16 and kept.embed.weight is net.embed.weight


# ---------------------------------------------------------------- quick formulations say what the
# formulas say


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def plainly(net, x, see):
    """What the head of the file says, written out by the formulas, one after the other. see (n, n)
    bool."""
    h, places = net.embed(x), torch.arange(x.shape[1])

    def rms(x, norm):
        return (
            x
            / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt()
            * norm.weight
        )

    def turned(x):  # RoFormer, eq. 34, of the pairs (i, i + d / 2)
        half = x.shape[-1] // 2
        angle = places[:, None] * 10000.0 ** (-torch.arange(half) / half)
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)

    for block in net.blocks:
        q, k, v = (
            part.unflatten(-1, (block.heads, -1)).transpose(1, 2)
            for part in block.qkv(rms(h, block.norm1)).chunk(3, -1)
        )
        q, k = turned(rms(q, block.q_norm)), turned(rms(k, block.k_norm))
        score = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~see, -torch.inf)
        h = h + block.out((score.softmax(-1) @ v).transpose(1, 2).flatten(2))
        h = h + block.down(block.up(rms(h, block.norm2)).relu() ** 2)
    return net.head(rms(h, net.norm))


@pytest.mark.parametrize("learning", [True, False])
@pytest.mark.parametrize("sight", ["bidirectional", "causal", "mask"])
def test_the_network_is_its_formulas(learning, sight):
    """With and without gradients, whatever it may see: the formulas of its papers, to float
    precision."""
    net = network(attention="bidirectional" if sight == "mask" else sight)
    x = torch.randint(10, (3, 16))
    for p in net.parameters():
        p.data = 1 + 0.3 * numbers(*p.shape) if p.ndim == 1 else p.data + 0.1 * numbers(*p.shape)
    see = torch.ones(16, 16, dtype=torch.bool)
    see = (
        see.tril()
        if sight == "causal"
        else (numbers(16, 16) > 0).fill_diagonal_(True)
        if sight == "mask"
        else see
    )
    with torch.set_grad_enabled(learning):
        out = net(x, mask=see if sight == "mask" else None)
    expected, weights = plainly(net, x, see), list(net.parameters())
    assert (
        out.requires_grad == learning and (out - expected).abs().max() < 1e-5 * expected.abs().max()
    )
    if learning:
        push = numbers(*out.shape)
        for ours, theirs in zip(
            *(torch.autograd.grad((one * push).sum(), weights) for one in (out, expected))
        ):
            assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


@pytest.mark.parametrize("width", [2, 7, 256])
def test_the_norm_is_that_of_pytorch(width):
    """Values and gradients of nn.RMSNorm, of numbers of any size and of nothing but zeros; the
    weights have the same name."""
    ours, theirs = RMSNorm(width), torch.nn.RMSNorm(width)
    theirs.weight.data = 1 + numbers(width)
    ours.load_state_dict(theirs.state_dict())
    x = numbers(5, width) * torch.tensor([1e3, 1.0, 1e-3, 1e-6, 0.0])[:, None]
    found = []
    for norm in (ours, theirs):
        given = x.clone().requires_grad_()
        out = norm(given)
        found.append(
            (
                out,
                *torch.autograd.grad((out * numbers(5, width, seed=1)).sum(), (given, norm.weight)),
            )
        )
    for mine, other in zip(*found):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-5 * other.abs().max().item())


def test_turning_keeps_lengths_and_tells_distances():
    """Rotary positions: a product of two turned vectors depends on how far apart they are, and not
    on where."""
    q, k = numbers(2, 1, 1, 1, 64)

    def product(i, j):
        return (
            rotate(q, *rotation(torch.tensor([i]), 32), torch.ones(1, 1, 64))
            * rotate(k, *rotation(torch.tensor([j]), 32), torch.ones(1, 1, 64))
        ).sum()

    assert product(3, 10).item() == pytest.approx(product(200, 207).item(), abs=1e-3)
    assert product(5, 5).item() == pytest.approx((q * k).sum().item(), abs=1e-3)


@pytest.mark.parametrize("sight", ["all", "causal", "mask"])
@pytest.mark.parametrize("n, m", [(1, 1), (1, 9), (5, 9), (300, 300)])
def test_both_kernels_of_attention_are_one(monkeypatch, sight, n, m):
    """Written out, for gradients, and fused, for a call or a long text: the same numbers and the
    same gradients."""
    given = [
        numbers(2, 3, size, 8, seed=seed).requires_grad_() for seed, size in enumerate((n, m, m))
    ]
    mask = (numbers(n, m) > 0).index_fill(1, torch.tensor([0]), True) if sight == "mask" else None
    found = []
    for long in (10**9, 0):
        monkeypatch.setattr(transformer, "LONG", long)
        out = attend(*given, mask, sight == "causal" and n == m)
        found.append((out, *torch.autograd.grad(out.square().sum(), given)))
    with torch.no_grad():
        assert attend(*given, mask, sight == "causal" and n == m).equal(found[1][0])
    for written, fused in zip(*found):
        assert torch.allclose(written, fused, atol=1e-5)


class Kernels(TorchDispatchMode):
    """What a computation asks the machine for: how many kernels that compute, and the most numbers
    that one of them writes."""

    VIEWS = (
        "view",
        "transpose",
        "slice",
        "select",
        "unsqueeze",
        "unbind",
        "alias",
        "detach",
        "t.",
        "permute",
        "expand",
    )

    def __init__(self):
        super().__init__()
        self.count, self.most = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if not any(name in str(function) for name in self.VIEWS):
            self.count += 1
            tensors = [
                one
                for one in (out if isinstance(out, (tuple, list)) else [out])
                if isinstance(one, torch.Tensor)
            ]
            self.most = max([self.most, *(one.numel() for one in tensors)])
        return out


def asked(net, length, call=None):
    """What a call without gradients asks for."""
    with torch.no_grad(), Kernels() as kernels:
        (call or net)(torch.zeros(1, length, dtype=torch.int64))
    return kernels


def test_a_layer_is_few_kernels():
    """Much of a small network's call that is not products is the start of small kernels: a layer
    takes at most three quarters of those that the formulas take, written out one after the other.
    """
    few, more = (Transformer(**{**SHAPE, "layers": layers}).eval() for layers in (2, 3))
    see = torch.ones(16, 16, dtype=torch.bool)
    formulas = [
        asked(net, 16, lambda x, net=net: plainly(net, x, see)).count for net in (few, more)
    ]
    assert asked(more, 16).count - asked(few, 16).count <= 0.75 * (formulas[1] - formulas[0])


def test_no_call_holds_all_pairs_of_positions():
    """Without gradients attention needs memory for the text and not for its square."""
    assert asked(Transformer(**{**SHAPE, "layers": 1}).eval(), 1024).most < 1024 * 1024


# ---------------------------------------------------------------- bf16 or fp32


@pytest.fixture
def untried(monkeypatch):
    """A process that has not found out yet what its machine does fast."""
    monkeypatch.setattr(chooser, "_tried", {})


@pytest.mark.parametrize(
    "slower, fast", [(9.0, False), (1.0, False), (0.9, False), (0.7, True), (0.1, True)]
)
@pytest.mark.parametrize("capable", [True, False])
def test_the_clock_decides_and_no_flag(untried, monkeypatch, slower, fast, capable):
    """bf16 is taken where its products are clearly faster, whatever the processor says that it can;
    "auto" follows."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: capable)
    monkeypatch.setattr(
        chooser, "product_seconds", lambda dtype, device: slower if dtype == torch.bfloat16 else 1.0
    )
    assert fast_bf16(CPU) == fast == chooser.is_bf16("auto", CPU)
    net = network()
    assert (lowered(net, "auto", CPU) is net) == (not fast)


def test_one_slow_moment_decides_nothing(untried, monkeypatch):
    """The first product of each format is not counted, nor one during which the machine did
    something else."""
    took = {
        torch.bfloat16: iter([50.0, 1.0, 30.0, 1.0, 1.0, 9.0]),
        torch.float32: iter([0.01, 2.0, 2.0, 2.0, 40.0, 2.0]),
    }
    monkeypatch.setattr(chooser, "PAIRS", 5)
    monkeypatch.setattr(chooser, "product_seconds", lambda dtype, device: next(took[dtype]))
    assert fast_bf16(CPU)


def test_the_trial_is_made_once_and_leaves_no_trace(untried, monkeypatch):
    """One trial for all threads that ask at once, in a fraction of a second; random numbers and
    threads are as before."""
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
    """Measured apart from the trial, on another product: the chosen format does not take much
    longer than the other."""
    x = torch.ones(256, 256)
    times = {dtype: [] for dtype in (torch.bfloat16, torch.float32)}
    weights = {dtype: torch.ones(1024, 256, dtype=dtype) for dtype in times}
    with chooser.one_thread(), torch.no_grad():
        for _ in range(50):  # by turns and often: the other core works too
            for dtype, weight in weights.items():
                start = time.perf_counter()
                torch.nn.functional.linear(x.to(dtype), weight)
                times[dtype].append(time.perf_counter() - start)
    low, full = map(min, times.values())
    assert low < 1.1 * full if fast_bf16(CPU) else full < 2 * low


def test_a_device_that_was_never_tried_out_computes_in_fp32(untried):
    """Of other devices nothing is known, and nothing is run on them."""
    assert not fast_bf16(torch.device("meta"))


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc", reason="glibc alone"
)
@pytest.mark.parametrize(("name", "megabytes"), [("keep_all_freed", 48), ("keep_some_freed", 12)])
def test_freed_memory_is_taken_again_without_new_pages(name, megabytes):
    """Blocks as large as a step's, freed and taken again, cost next to no page faults; by default
    one for each 4 KB."""
    code = f"""
import resource, runpy, sys
memory = runpy.run_path("tinydiff/nets/memory.py")
if sys.argv[1] == "kept":
    memory["{name}"]()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    for _ in range(5):
        blocks = [b"x" * ({megabytes} << 20) for _ in range(3)]
        del blocks
print(faults() - before)
"""
    run = [
        subprocess.run(
            [sys.executable, "-c", code, how], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for how in ("kept", "not")
    ]
    kept, given_back = (int(done.stdout) for done in run)
    assert kept < 200 < given_back
