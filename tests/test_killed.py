"""A run that is killed at any moment, or whose disk is full, loses nothing that was saved."""

import hashlib
import multiprocessing
import os
import random
import resource
import signal
import time
from dataclasses import replace

import pytest
import torch

from tinydiff.store import checkpoint
from tinydiff.store.checkpoint import CheckpointError
from tinydiff.train.loop import PRESETS, start, train

# what a child runs starts from a process that has everything imported, also what an optimizer loads
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tinydiff.train.loop", "torch._dynamo"])


@pytest.fixture
def config(tmp_path):
    text = tmp_path / "words.txt"
    rng = random.Random(0)
    text.write_text(
        "".join(rng.choice(["the king ", "a rose\n", "my lord ", "to be "]) for _ in range(2000))
    )
    return replace(
        PRESETS["tiny"],
        corpus=str(text),
        out=str(tmp_path / "whole"),
        steps=120,
        batch=4,
        validate_every=40,
        save_every=1,
        precision="fp32",
        device="cpu",
    )


def go_on(config, resume):
    torch.set_num_threads(1)
    for _ in train(config, resume=resume):
        pass


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def wait_for(moment, child, seconds=60):
    """Until `moment()` or the child's end."""
    end = time.monotonic() + seconds
    while not moment() and child.is_alive() and time.monotonic() < end:
        time.sleep(0.0005)


@pytest.mark.parametrize("moments", [2, pytest.param(20, marks=pytest.mark.long)])
def test_killed_at_many_moments(config, tmp_path, moments):
    """SIGKILL, half of the times after a random time and half in the middle of a save: what can be
    loaded is always one of the checkpoints of the run that was never killed, resuming always works,
    and the end is that run's to the bit.
    """
    config = replace(config, steps=6 * moments, validate_every=2 * moments)
    whole = {digest(tmp_path / "whole") for _ in train(config)}
    killed = replace(config, out=str(tmp_path / "killed"))
    out = tmp_path / "killed"
    rng = random.Random(1)
    kills = saving = 0
    while kills < moments:
        child = context.Process(target=go_on, args=(killed, (out / "resume.json").is_file()))
        child.start()
        if kills % 2:
            wait_for(lambda: list(out.glob("*.partial")), child)
        else:
            known = (out / "resume.json").is_file() and (out / "resume.json").stat().st_mtime_ns
            wait_for(
                lambda known=known: (
                    out.joinpath("resume.json").is_file()
                    and out.joinpath("resume.json").stat().st_mtime_ns != known
                ),
                child,
            )
            time.sleep(rng.uniform(0, 0.04))
        assert child.is_alive(), "It came to its end before it was killed often enough."
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills, saving = kills + 1, saving + bool(list(out.glob("*.partial")))
        if (out / "config.json").is_file():
            assert checkpoint.load(out) and digest(out) in whole
    go_on(killed, resume=True)
    assert saving >= moments // 4
    assert digest(out) == digest(tmp_path / "whole")
    rows = [
        [(r["step"], r["loss"], r["valid"]) for r in checkpoint.card(c.out).metrics]
        for c in (config, killed)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 3
    assert not list(out.glob("*.partial"))


def fill(config, limit, told):
    """Train five steps and save, then find that no file may be longer than `limit` bytes; tell what
    is said."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    run = start(config)
    steps = run.steps()
    for _ in range(5):
        next(steps)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        next(steps)
    except CheckpointError as error:
        told.put(str(error))


@pytest.mark.parametrize("limit", [1000, pytest.param(200_000, marks=pytest.mark.long), 500_000])
def test_a_full_disk_leaves_the_last_good_one(config, tmp_path, limit):
    """Whether the weights or what resuming needs does not fit: one sentence, and the checkpoint of
    before, which resumes."""
    told = context.SimpleQueue()
    child = context.Process(target=fill, args=(replace(config, steps=8), limit, told))
    child.start()
    child.join(60)
    assert not told.empty() and "make room there" in (words := told.get()) and "\n" not in words
    out = tmp_path / "whole"
    assert (
        checkpoint.read_config(out)["step"] == 5
        and checkpoint.load(out)
        and not list(out.glob("*.partial"))
    )
    assert [p.step for p in train(replace(config, steps=8), resume=True)] == [6, 7, 8]
