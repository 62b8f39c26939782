"""Training: it learns, it resumes as if it had never stopped, and it stops when it must."""

import math
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from tests.conftest import brief
from tinydiff.processes import PROCESSES
from tinydiff.randomness import seeded
from tinydiff.store import checkpoint
from tinydiff.train.loop import (
    NUMBERS,
    PRESETS,
    SHAPES,
    Config,
    TrainingError,
    TrainingRun,
    check,
    pick_device,
    rate,
    start,
    train,
)
from tinydiff.train.muon import Muon


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A corpus that is easy to learn: words in a random order."""
    rng = seeded(0)
    words = ["the king ", "a rose\n", "my lord ", "to be ", "or not "]
    path = tmp_path_factory.mktemp("corpus") / "words.txt"
    path.write_text("".join(words[i] for i in torch.randint(5, (2000,), generator=rng)))
    return path


@pytest.fixture
def config(text, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["tinydiff.train.loop"], "TUNED", 8)
    return replace(
        PRESETS["tiny"],
        corpus=str(text),
        out=str(tmp_path / "run"),
        steps=12,
        batch=4,
        validate_every=6,
        save_every=4,
        precision="fp32",
    )


# tokens, numbers, and a window of times that is searched for
OWN_WAYS = {"masked", "gaussian", "block"}


@pytest.mark.parametrize("name", brief(PROCESSES, lambda name: name == "masked"))
def test_it_learns(config, name):
    """In 120 steps of one process, 300 of the others, the bound falls from log V to less than 60 %
    of it under masks and 85 % under noise that must first be told from text: words and their order
    cannot be told from letters alone (the entropy of the letters is 93 % of log V).
    """
    steps = 120 if name == "masked" else 300
    often = dict(steps=steps, validate_every=steps, save_every=steps)
    config = replace(config, process=name, batch=16, **often)
    *_, last = train(config)
    share = 0.6 if "prefix" in last.process.traits else 0.85
    assert last.valid < share * math.log(last.process.V)
    assert last.bits == pytest.approx(last.valid / 0.693147, rel=1e-5)
    assert len(last.sample) == 64


@pytest.mark.parametrize("name", brief(PROCESSES, lambda name: name in OWN_WAYS))
def test_resuming_gives_the_losses_of_a_run_never_stopped(config, name, tmp_path):
    """Stopped between two saves, at any step: the same losses, the same weights, the same rows of
    metrics.jsonl."""
    config = replace(config, process=name)
    whole = [p.loss for p in train(config)]
    broken = replace(config, out=str(tmp_path / "broken"))
    run = train(broken)
    first = [next(run).loss for _ in range(7)]
    run.close()
    rest = list(train(broken, resume=True))
    assert [p.step for p in rest] == list(range(5, 13))
    assert first[:4] + [p.loss for p in rest] == whole
    one, two = checkpoint.load(config.out).state_dict(), checkpoint.load(broken.out).state_dict()
    assert all(one[key].equal(two[key]) for key in one)
    rows = [
        [(r["step"], r["valid"]) for r in checkpoint.card(c.out).metrics if r["step"]]
        for c in (config, broken)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 2


@pytest.mark.parametrize("stopped", [0, 7, 10])
def test_the_best_by_validation_is_kept(config, tmp_path, monkeypatch, stopped):
    """Once a validation is worse than an earlier one, the checkpoint holds the weights of the best
    and says of which step they are, whether or not the run was stopped between; before, those of
    its last step."""
    config = replace(config, steps=12, validate_every=2, save_every=1)
    bounds = {2: 3.0, 4: 2.0, 6: 2.5, 8: 1.0, 10: 1.5, 12: 1.25}
    monkeypatch.setattr(TrainingRun, "validate", lambda run: bounds[run.step])
    averages, kept = {}, {}
    for resume in (False, True) if stopped else (False,):
        run = train(config, resume=resume)
        for now in run:
            averages[now.step] = now.process.net.state_dict()
            averages[now.step] = {key: value.clone() for key, value in averages[now.step].items()}
            known = checkpoint.card(config.out).config
            kept[now.step] = (known.get("best"), checkpoint.load(config.out).net.state_dict())
            if now.step == stopped and not resume:
                run.close()
                break
    assert [best for best, _ in kept.values()] == [*[None] * 5, 4, 4, None, None, 8, 8, 8]
    told = checkpoint.trained(checkpoint.card(config.out), "run")
    assert told["step"] == 8 and told["curve"] == [[step, bounds[step]] for step in (2, 4, 6, 8)]
    for step, (best, weights) in kept.items():
        average = averages[best or step]
        assert all(weights[key].equal(average[key].bfloat16().float()) for key in weights)


def test_a_loss_that_is_not_finite_stops_the_run(config):
    """It names the step, and the last good checkpoint, which is left as it was."""
    run = train(config)
    for _ in range(5):
        progress = next(run)
    frame = run.gi_frame.f_locals["self"]
    frame.process.net.head.weight.data.fill_(torch.nan)
    with pytest.raises(
        TrainingError, match="not finite at step 6; the last good checkpoint, of step 4"
    ):
        next(run)
    assert progress.step == 5 and checkpoint.load(config.out)


def test_a_run_is_not_overwritten(config):
    """Starting again in the same folder needs --resume, and resuming needs something to resume."""
    list(train(config))
    with pytest.raises(ValueError, match="resume it, or choose another folder"):
        train(config)
    with pytest.raises(ValueError, match="nothing to resume"):
        train(replace(config, out=config.out + "-other"), resume=True)


def test_bad_configs_are_told_before_the_first_step(config):
    """Process, preset, schedule, precision, corpus."""
    for wrong, says in (
        (dict(process="magic"), "no process"),
        (dict(preset="huge"), "no preset"),
        (dict(schedule="x"), "no schedule"),
        (dict(precision="fp8"), "no precision"),
        (dict(corpus="none.txt"), "no corpus file"),
    ):
        with pytest.raises(ValueError, match=says):
            train(replace(config, **wrong))
    short = config.corpus.replace("words", "short")
    with open(short, "w") as file:
        file.write("too short for a window")
    with pytest.raises(ValueError, match="at least 640 characters"):
        train(replace(config, corpus=short))


NAN, FAR = math.nan, int("9" * 400)
NO_NUMBERS = {  # what was taken without a word, and what stands beside it
    "ema": (NAN, -0.1, 2.0),
    "given": (NAN, -0.1, 7.0),
    "drop_label": (NAN, -1.0, 1.1),
    "drop_attribute": (NAN, -1.0, 1.1),
    "clip": (NAN, -1.0, 0.0, math.inf),
    "time_spread": (NAN, -1.0, math.inf),
    "warmup": (-5, 2.5),
    "decay": (NAN, -0.1, 1.5),
    "streams": (NAN, -0.1, 2.0),
    "megabytes": (NAN, 0.0, math.inf),
    "lr": (NAN, 0.0, -1e-3, math.inf),
    "weight_decay": (NAN, -0.1, math.inf),
    "seed": (-1, 2**63),
    "steps": (0, -1, 3.0),
    "batch": (0, -4),
    "accumulate": (0, -1),
    "minutes": (-1.0, NAN, math.inf),
    "validate_every": (0, -7),
    "save_every": (0, -7),
}


def test_every_number_of_a_config_has_limits(config):
    """Outside of them, not finite, of 400 digits, or no number at all: one short sentence that
    names the field; at both limits, nothing is said. No number of Config is without.
    """
    numbers = {f.name for f in fields(Config) if type(f.default) in (int, float)}
    assert set(NUMBERS) == set(NO_NUMBERS) == numbers
    for name, wrong in NO_NUMBERS.items():
        for value in (*wrong, FAR, -FAR, "7", None, True, [1]):
            with pytest.raises(ValueError, match=f"^{name} is ") as told:
                check(replace(config, **{name: value}))
            assert "\n" not in str(told.value) and len(str(told.value)) < 200
        for value in set(NUMBERS[name]) - ({10**6} if name == "accumulate" else set()):
            check(replace(config, **{name: value}))


def test_every_word_of_a_config_is_a_text(config):
    """What stands in a file in the place of a text or of true and false is told, too."""
    for one in fields(Config):
        if type(one.default) in (str, bool):
            with pytest.raises(ValueError, match=f"^{one.name} is "):
                check(replace(config, **{one.name: 7}))


@pytest.mark.parametrize(
    "name",
    ["xyz", "", "meta", "cuda", "cuda:99", "cuda:-1", "cpu:0", "CPU", "mps", "cuda:" + "9" * 400],
)
def test_a_device_that_is_not_here(config, name):
    """One sentence, before the first step; a GPU that there is none of is told as such."""
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(
        ValueError, match="There is no device" if "cuda" not in name else "device"
    ) as told:
        train(replace(config, device=name))
    assert len(str(told.value)) < 200
    assert pick_device("cpu").type == "cpu" and pick_device("auto").type in ("cpu", "cuda")


def test_the_average_is_what_is_kept(config):
    """The checkpoint holds the averaged weights, not the last ones."""
    *_, last = train(config)
    kept = checkpoint.load(config.out).net.head.weight
    assert kept.equal(last.process.net.head.weight.bfloat16().float())


def test_labels_are_learned(tmp_path, config, plays):
    """With the plays' genres the network has a label for each and one more for none."""
    config = replace(config, corpus="shakespeare", label="genre", steps=2, validate_every=2)
    *_, last = train(config)
    assert last.process.net.labels == 6 and last.process.net.label.weight.shape[0] == 7
    assert checkpoint.read_config(tmp_path / "run")["labels"][0] == "comedies"


@pytest.mark.parametrize("name", brief(PROCESSES, lambda name: name in ("masked", "gaussian")))
def test_a_batch_computed_in_parts_is_the_batch(config, name, tmp_path):
    """In four parts or at once, with labels or given text or none: the same losses, because the
    parts share out the same random numbers, and the same weights to float precision.
    """
    made = replace(config, process=name, batch=8, given=0.5, steps=6)
    whole = [p.loss for p in train(made)]
    parts = replace(made, accumulate=4, out=str(tmp_path / "parts"))
    assert [p.loss for p in train(parts)] == pytest.approx(whole, abs=2e-4)


def test_minutes_end_a_run(config, monkeypatch):
    """It stops at the first step past its minutes, is saved, and its learning rate has fallen by
    the clock."""
    ticks = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    run = list(train(replace(config, steps=10_000, minutes=0.2, warmup=1, decay=1.0)))
    assert (
        run[-1].seconds >= 12 > run[-2].seconds and run[-1].share == 1 and run[-1].valid is not None
    )
    rows = checkpoint.card(config.out).metrics
    assert checkpoint.read_config(Path(config.out))["step"] == run[-1].step == rows[-1]["step"] < 20
    assert rows[-1]["lr"] < 0.2 * config.lr


def test_the_rate_rises_and_falls():
    """From 1 % over the warm-up to its height, then linearly to 2 %, here along the whole way."""
    rates = [rate(step, step / 1000, 100, 1.0) for step in range(1001)]
    assert (
        rates[0] == pytest.approx(0.01)
        and max(rates) == rates[99] > 0.9
        and rates[1000] == pytest.approx(0.02)
    )


def test_presets_have_the_sizes_they_are_said_to_have():
    """tiny is for tests; base is the 10.7 million parameters of nanoGPT's character model."""
    from tinydiff.processes import build
    from tinydiff.schedules import schedule
    from tinydiff.text import Characters

    sizes = {}
    for name, shape in SHAPES.items():
        process = build(
            "masked", Characters("".join(map(chr, range(65)))), schedule("linear"), **shape
        )
        sizes[name] = sum(p.numel() for p in process.parameters())
    assert (
        sizes["tiny"] < 150_000
        and 2.5e6 < sizes["small"] < 3.5e6
        and 10.6e6 < sizes["base"] < 10.8e6
    )


def test_muon_takes_the_matrices_of_the_blocks(config):
    """Every parameter is in exactly one optimizer; embeddings and head are AdamW's."""
    from tinydiff.text import corpus

    run = TrainingRun(config, corpus(config.corpus), resume=False)
    adam, muon = ([p for group in o.param_groups for p in group["params"]] for o in run.optimizers)
    assert (
        len(adam) + len(muon)
        == len(list(run.process.parameters()))
        == len({id(p) for p in adam + muon})
    )
    assert any(p is run.process.net.embed.weight for p in adam) and all(p.ndim == 2 for p in muon)


def test_a_checkpoint_names_no_place(config):
    """What is shared says which corpus it learned, but not where that or anything else was on this
    machine."""
    list(train(config))
    text = (Path(config.out) / "config.json").read_text()
    assert (
        '"corpus": "words"' in text
        and str(Path(config.out).parent) not in text
        and str(Path(config.corpus).parent) not in text
    )


def matrices(*shapes: tuple[int, int], seed: int = 0) -> list[torch.nn.Parameter]:
    rng = seeded(seed)
    found = [torch.nn.Parameter(torch.randn(shape, generator=rng)) for shape in shapes]
    for p in found:
        p.grad = torch.randn(p.shape, generator=rng) * torch.linspace(1e-3, 1, p.shape[1])
    return found


MATRICES = ((24, 24), (24, 96), (96, 24))
MUON = dict(lr=0.1, weight_decay=0.1, momentum=0.95)


def test_muon_in_float32_takes_the_steps_of_the_plain_iteration():
    """In float32 each step is that of the Newton-Schulz iteration as it is written down, in
    float64."""
    ours, truth = matrices(*MATRICES), [p.detach().double() for p in matrices(*MATRICES)]
    optimizer, means = Muon(ours, dtype=torch.float32, **MUON), [torch.zeros_like(p) for p in truth]
    for _ in range(3):
        optimizer.step()
        for i, p in enumerate(ours):
            grad = p.grad.double()
            means[i] = 0.95 * means[i] + 0.05 * grad
            x = 0.05 * grad + 0.95 * means[i]
            x = x / x.norm()
            for _ in range(5):
                x = 3.4445 * x - 4.775 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
            truth[i] = truth[i] * (1 - 0.1 * 0.1) - 0.1 * 0.2 * max(x.shape) ** 0.5 * x
    for p, wanted in zip(ours, truth):
        assert (p.double() - wanted).norm() < 1e-4 * wanted.norm()


def test_muon_in_either_precision_takes_nearly_the_same_step_and_keeps_the_same_state():
    """torch's own steps, in bfloat16, are ours up to bfloat16's rounding; either goes on from the
    other's state."""
    ours, theirs = matrices(*MATRICES), matrices(*MATRICES)
    fp32, bf16 = Muon(ours, dtype=torch.float32, **MUON), Muon(theirs, dtype=torch.bfloat16, **MUON)
    for optimizer in (fp32, bf16):
        optimizer.step()
    for p, q, first in zip(ours, theirs, matrices(*MATRICES)):
        assert (p - q).norm() < 0.03 * (p - first).norm()
    bf16.load_state_dict(fp32.state_dict())
    fp32.load_state_dict(bf16.state_dict())
    fp32.step()


def test_the_trial_of_compiling_changes_nothing(config):
    """Weights, gradients and random state are after the trial what they were; a short run is not
    compiled at all."""
    run = start(replace(config, compile=True))
    before, state = {k: v.clone() for k, v in run.process.state_dict().items()}, run.rng.get_state()
    run.speed_up()
    assert run.compiled is False and run.process.net._compiled_call_impl is None
    assert all(
        v.equal(before[k]) for k, v in run.process.state_dict().items()
    ) and run.rng.get_state().equal(state)
    assert all(p.grad is None for p in run.process.parameters())


@pytest.mark.parametrize(("faster", "fails"), [(True, False), (False, False), (False, True)])
def test_what_the_trial_finds_is_kept_and_resumed(config, monkeypatch, faster, fails):
    """The faster of both is taken, and again after resuming on the same machine; a machine that
    cannot compile does not."""
    long = replace(config, compile=True, steps=10**6)
    seconds = iter([1.0, 0.5 if faster else 2.0])

    def trial(run):
        if fails and run.process.net._compiled_call_impl is not None:
            raise RuntimeError("no compiler")
        return next(seconds)

    monkeypatch.setattr(TrainingRun, "trial_seconds", trial)
    run = start(long)
    run.speed_up()
    assert run.compiled is faster and (run.process.net._compiled_call_impl is not None) == faster
    run.save()
    assert start(long, resume=True).compiled is faster
