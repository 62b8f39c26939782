"""Several processes train as one does; `accelerate launch` itself starts them in the tests that
take longer."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from tests.browser.conftest import free_port
from tests.programs import Program
from tinydiff.randomness import seeded
from tinydiff.store import checkpoint
from tinydiff.train.loop import PRESETS, train

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = [
    "-m",
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_processes",
    "2",
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
    "--main_process_port",
    "0",
]
PROGRAM = """
import json, sys
from tinydiff.train.loop import Config, start
run = start(Config(**json.loads(sys.argv[1])))
losses = [now.loss for now in run.steps()]
if run.writes:
    print(json.dumps(losses))
run.together.end_training()
"""


def launched(*program, cwd):
    """Two processes on the CPU."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *LAUNCH, *map(str, program)],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
    )


def side_by_side(*program, cwd) -> list[str]:
    """What two processes print that are told of each other as `accelerate launch` tells them."""
    told = dict(WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1")
    told |= dict(MASTER_PORT=str(free_port()), ACCELERATE_USE_CPU="true", PYTHONPATH=str(ROOT))
    both = [
        Program(*program, cwd=cwd, env=os.environ | told | dict(RANK=rank, LOCAL_RANK=rank))
        for rank in "01"
    ]
    with ThreadPoolExecutor() as readers:
        said = list(readers.map(lambda one: one.communicate(timeout=240), both))
    assert [one.returncode for one in both] == [0, 0], said
    return [out for out, _ in said]


@pytest.fixture
def config(tmp_path):
    text = tmp_path / "words.txt"
    rng = seeded(0)
    words = ["the king ", "a rose\n", "my lord ", "to be ", "or not "]
    text.write_text("".join(words[i] for i in torch.randint(5, (2000,), generator=rng)))
    return replace(
        PRESETS["tiny"],
        corpus=str(text),
        out=str(tmp_path / "one"),
        steps=20,
        batch=16,
        given=0.5,
        precision="fp32",
        validate_every=10,
        save_every=10,
        device="cpu",
    )


def test_two_processes_are_one_with_twice_the_batch(config, tmp_path):
    """Uniform noise, parts of the text given, each process's windows in two parts: all 20 losses to
    1e-4, the bounds too, and one writer.
    """
    config = replace(config, process="uniform")
    whole = [p.loss for p in train(config)]
    (tmp_path / "program.py").write_text(PROGRAM)
    two = replace(config, batch=8, accumulate=2, out=str(tmp_path / "two"))
    said = side_by_side(tmp_path / "program.py", json.dumps(asdict(two)), cwd=tmp_path)
    assert not said[1]
    losses = json.loads(said[0].strip().splitlines()[-1])
    assert len(losses) == 20 and losses == pytest.approx(whole, abs=1e-4)
    rows = [checkpoint.card(c.out).metrics for c in (config, two)]
    assert [r["step"] for r in rows[1]] == [10, 20]
    assert [r["valid"] for r in rows[1]] == pytest.approx([r["valid"] for r in rows[0]], abs=1e-4)
    assert checkpoint.read_config(tmp_path / "two")["hardware"].endswith("2 processes")


@pytest.mark.long
def test_the_command_line_reports_once(config, tmp_path):
    """train_space.py under `accelerate launch`: one line a validation, one checkpoint."""
    flags = [
        "--corpus",
        config.corpus,
        "--preset",
        "tiny",
        "--batch",
        4,
        "--device",
        "cpu",
        "--out",
        "run",
        "--steps",
        4,
    ]
    done = launched(
        ROOT / "train_space.py", *flags, "--validate-every", 2, "--save-every", 2, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("step 4 of 4") == done.stdout.count("The checkpoint is in run") == 1


@pytest.mark.long
def test_together_after_alone(config, tmp_path):
    """What one process has begun two go on with."""
    list(train(replace(config, out=str(tmp_path / "run"), steps=4, batch=4)))
    done = launched(ROOT / "train_space.py", "--resume", "--out", "run", "--steps", 6, cwd=tmp_path)
    assert done.returncode == 0 and checkpoint.read_config(tmp_path / "run")["step"] == 6


DIFFERENT = """
import json, os, sys
import torch
from tinydiff.nets.precision import _tried
# this machine multiplies bf16 fast, the other one does not
_tried["cpu"] = os.environ["RANK"] == "1"
from tinydiff.train.loop import Config, start
run = start(Config(**json.loads(sys.argv[1])))
list(run.steps())
computes = torch.bfloat16 if run.autocast()._enabled else torch.float32
print("dtypes", run.optimizers[1].dtype, computes)
run.together.end_training()
"""


@pytest.mark.long
def test_machines_of_two_kinds_compute_alike(config, tmp_path):
    """One multiplies bf16 fast and the other does not: both compute in float32, or their weights
    would drift apart."""
    (tmp_path / "program.py").write_text(DIFFERENT)
    made = replace(config, precision="auto", steps=2, batch=4, validate_every=2, save_every=2)
    done = launched(tmp_path / "program.py", json.dumps(asdict(made)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("dtypes torch.float32 torch.float32") == 2
