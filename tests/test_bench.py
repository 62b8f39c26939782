"""The benchmark: its arithmetic is what torch counts, and every figure it reports is one that it
measured."""

import io
import json

import pytest
import torch
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from tinydiff.measure import bench
from tinydiff.processes import PROCESSES
from tinydiff.samplers import column
from tinydiff.train.loop import SHAPES

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Small matrices and short runs: what is tested does not depend on them."""
    monkeypatch.setattr(bench, "SQUARES", {"cpu": (128,)})
    monkeypatch.setattr(bench, "STEPS", 8)


# the one kernel that the counter does not know
FUSED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: (
        sdpa_flop_count(q, k, v)
    )
}


@pytest.mark.parametrize("preset", SHAPES)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_multiply_adds_are_those_that_torch_counts(preset, batch):
    """The formula agrees exactly with torch's own counter, which counts a multiply-add as two
    operations."""
    process = bench.untrained("masked", preset)
    with FlopCounterMode(display=False, custom_mapping=FUSED) as counter, torch.no_grad():
        process.net(torch.zeros(batch, bench.LENGTH, dtype=torch.int64))
    assert 2 * bench.multiply_adds(SHAPES[preset], batch, bench.LENGTH) == counter.get_total_flops()


@pytest.mark.parametrize("preset", ["tiny"])
def test_backward_is_twice_the_forward(preset):
    """A training step's products are three times the forward pass's, to within the input's own,
    which need no gradient."""
    net = bench.untrained("masked", preset).net.train()
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(2, bench.LENGTH, dtype=torch.int64)).sum().backward()
    forward = 2 * bench.multiply_adds(SHAPES[preset], 2, bench.LENGTH)
    assert counter.get_total_flops() == pytest.approx(bench.BACKWARD * forward, rel=0.05)


@pytest.mark.long
def test_a_report_holds_every_cell_and_is_json():
    """One row for each shape, format and batch; times positive; the JSON gives the same ratios as
    the rows."""
    said = []
    report = bench.bench(("tiny",), repeats=1, training=False, say=said.append)
    measured = bench.formats(CPU)
    assert {(r.preset, r.precision, r.batch) for r in report.rows} == {
        ("tiny", p, b) for p in measured for b in bench.BATCHES
    }
    assert (
        {s.precision for s in report.shares}
        == {text.precision for text in report.long}
        == set(report.products)
        == set(measured)
    )
    assert all(r.milliseconds > 0 and r.ceiling > 0 for r in report.rows) and said
    plain = json.loads(json.dumps(report.plain()))
    assert [row["ratio"] for row in plain["rows"]] == [
        r.milliseconds / r.ceiling for r in report.rows
    ]
    assert report.hardware and report.threads == torch.get_num_threads()
    out = io.StringIO()
    for table in bench.tables(report):
        Console(file=out, width=140).print(table)
    assert "tiny" in out.getvalue() and report.hardware in out.getvalue()


@pytest.mark.parametrize(
    "fast, asked, formats", [(True, False, 2), (False, True, 2), (False, False, 1)]
)
def test_bf16_is_measured_where_it_is_fast_or_asked_for(monkeypatch, fast, asked, formats):
    """Where bf16 is slow no time is spent on it unless somebody asks; what programs take by
    themselves is always measured."""
    monkeypatch.setattr(bench, "fast_bf16", lambda device: fast)
    assert bench.formats(CPU, asked) == ["fp32", "bf16"][:formats]


@pytest.mark.parametrize("name", PROCESSES)
def test_the_time_outside_the_network_is_part_of_the_whole(name):
    """For the default sampler of each process the share lies between 0 and 1, and the calls are
    those of the last frame."""
    share = bench.overhead(bench.untrained(name, "tiny"), column(PROCESSES[name])[0], "fp32", CPU)
    assert 0 < share.share < 1 and 0 < share.calls <= bench.LENGTH


def test_the_stopwatch_counts_the_calls_and_leaves():
    """It times each call while it lasts and none after."""
    net = torch.nn.Linear(4, 4)
    with bench.stopwatch(net, CPU) as seconds:
        net(torch.zeros(1, 4)), net(torch.zeros(1, 4))
    net(torch.zeros(1, 4))
    assert len(seconds) == 2 and all(0 < s < 1 for s in seconds)


def test_training_steps_are_the_trainers_own():
    """A training row times whole optimizer steps at the tokens of a batch."""
    row = bench.training_row("tiny", dict.fromkeys(bench.DTYPES, 1e9), 1, False, "cpu")
    assert row.tokens == bench.TRAINING_BATCH * SHAPES["tiny"]["length"] and row.milliseconds > 0
    assert row.tokens_a_second == pytest.approx(1000 * row.tokens / row.milliseconds)


def test_the_median_is_of_what_comes_after_the_warm_up():
    """Slow first calls are not counted."""
    naps = iter([0.05, 0.05, 0.0, 0.0, 0.0])
    assert bench.median_ms(lambda: bench.time.sleep(next(naps)), 3, CPU) < 20


@pytest.mark.parametrize("wrong", [dict(presets=("vast",)), dict(repeats=0), dict(repeats=10**9)])
def test_what_cannot_be_measured_is_refused(wrong):
    """An unknown shape and a senseless number of repeats are told before anything is measured."""
    with pytest.raises(ValueError, match="vast|repeats"):
        bench.bench(**{"presets": ("tiny",), **wrong})
