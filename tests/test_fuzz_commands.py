"""What nobody should give: every flag and every file of a run, filled with all kinds of rubbish.
The answer is the work, or status 2 and one short sentence on stderr; never another error, and
nothing that a terminal would obey. A seeded handful here, all under `make test-long`.
"""

import argparse
import functools
import io
import itertools
import json
import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import SHAPE, random_process
from tinydiff import runs, sentences
from tinydiff.cli import errors, terminal
from tinydiff.cli.commands import main, parser
from tinydiff.deploy import spaces
from tinydiff.measure import bench, evaluate, families
from tinydiff.store import checkpoint
from tinydiff.train.loop import TrainingRun

LARGE = "9" * 400
RUBBISH = [
    "",
    " ",
    "0",
    "1",
    "-1",
    "2.5",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1e-320",
    LARGE,
    "-" + LARGE,
    "9" * 5000,
    "0x10",
    "١",
    "½",
    "None",
    "true",
    "[[[[",
    "{}",
    "a=b",
    "a=",
    "=b",
    "../..",
    "/",
    "/dev/zero",
    "/dev/full",
    "/proc/self/mem",
    "x" * 5000,
    "é€🙂" * 99,
    "\x1b]0;x\x07\x9b2J\u202e",
    "\udcff",
    "a\nb",
    "user/name",
    "user/name@x",
    "mine",
    "__class__",
    "%s%n",
    "--",
    "-h",
    "a\\nb",
]
COMMANDS = (
    "sample",
    "rewrite",
    "train",
    "eval",
    "push",
    "pull",
    "matrix",
    "bench",
    "export",
    "deploy",
    "compare",
    "sweep",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained checkpoint that writes, in an alphabet of a stranger: ESC, BEL, DEL's
    neighbours, C1 and bidi are letters of it."""
    process = random_process("masked")
    folder = tmp_path_factory.mktemp("model") / "model"
    config = checkpoint.config_of(process, {**SHAPE, "labels": 0}, "noise", step=1)
    assert len(config["characters"]) == 10
    return str(
        checkpoint.save(
            process, config | {"characters": "a\x1b\x07\x00\r\x9b\u202e\u2066\u2028\x85"}, folder
        )
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "tale.txt"
    path.write_text("once upon a time there was a tale. " * 80, encoding="utf-8")
    path.with_name("prompts.txt").write_text("a\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def spared(monkeypatch, tmp_path):
    """What takes long is left out; all that comes before it is done: files are read, networks
    built, numbers checked."""

    def far_enough(*_, **__):
        raise ValueError("So far it is sound, and here the work would begin.")

    monkeypatch.setattr(TrainingRun, "steps", lambda self: iter(()))
    for module, name in (
        (bench, "product_rate"),
        (evaluate, "of_texts"),
        (families, "record"),
        (spaces, "build"),
    ):
        monkeypatch.setattr(module, name, far_enough)
    # it takes longer than most answers
    monkeypatch.setattr(sys.modules["tinydiff.cli.commands"], "parser", functools.cache(parser))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("some words\n"))


def answered(capsys, argv):
    """Run a command: its exit status, after looking at what it said."""
    try:
        status = main([str(word) for word in argv])
    except SystemExit as stop:  # argparse's own
        status = stop.code
    out, err = capsys.readouterr()
    assert status in (0, 2), argv
    assert not sentences.OBEYED.search(out) and not sentences.OBEYED.search(err), argv
    if status == 2:
        err = err.removeprefix("the machine's own matrix product\n")  # what `bench` is at
        assert err.count("\n") == 1 and 10 < len(err) < 900 and "Traceback" not in err, (argv, err)
    return status


def base(command, model, corpus, out):
    """The arguments of a command that would work."""
    short = ["--model", model, "--length", "12", "--steps", "2"]
    return {
        "sample": short,
        "rewrite": ["--steps", "1", "hello"],
        "pull": ["user/name"],
        "matrix": [],
        "bench": [],
        "train": [
            "--corpus",
            corpus,
            "--preset",
            "tiny",
            "--no-compile",
            "--device",
            "cpu",
            "--precision",
            "fp32",
            "--out",
            out,
        ],
        "eval": [model, "--corpus", corpus],
        "push": [model, "user/name"],
        "export": ["--record", "run.json", *short],
        "deploy": ["user/name", "--dry-run"],
        "compare": ["masked", model],
        "sweep": [Path(corpus).with_name("prompts.txt"), "--out", "o.csv", "--seeds", "1", *short],
    }[command]


@functools.cache
def flags(command):
    """Those of a command that take a value; "" is a word without a flag."""
    group = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return [(a.option_strings or [""])[-1] for a in group.choices[command]._actions if a.nargs != 0]


def cases(model, corpus, out):
    """((command, flag), arguments) of every value for every flag."""
    for command, value in itertools.product(COMMANDS, RUBBISH):
        for name in flags(command):
            yield (
                (command, name),
                [
                    command,
                    *base(command, model, corpus, out),
                    *([f"{name}={value}"] if name else [value]),
                ],
            )


def test_some_rubbish_in_every_flag(spared, model, corpus, tmp_path, capsys):
    """One value for each flag of each command."""
    found = list(cases(model, corpus, tmp_path / "run"))
    random.Random(0).shuffle(found)
    statuses = [answered(capsys, argv) for argv in dict(found).values()]
    for argv in (
        ["sample", "--template=--"],
        ["train", "--preset=--"],
        ["bench", "--preset=--"],
    ):  # which argparse took for a list
        assert answered(capsys, argv) == 2
    assert (
        statuses.count(2) > 40
        and 0 in statuses
        and len(statuses) == sum(len(set(flags(c))) for c in COMMANDS)
    )


@pytest.mark.long
def test_all_rubbish_in_every_flag(spared, model, corpus, tmp_path, capsys):
    """All of it."""
    for _, argv in cases(model, corpus, tmp_path / "run"):
        answered(capsys, argv)


def test_what_a_model_writes_is_not_obeyed(model, capsys):
    """Whatever letters its alphabet has, in a pipe and in a terminal's picture: shown, not obeyed;
    line breaks and tabs stay."""
    assert (
        main(["sample", "--model", model, "--length", "200", "--steps", "2", "--temperature", "5"])
        == 0
    )
    out = capsys.readouterr().out
    assert (
        len(out) == 201
        and {"\u241b", "\u2407", "\ufffd"} < set(out)
        and not sentences.OBEYED.search(out)
    )
    assert sentences.clean("a\tb\nc\x1b[2J\u202eé語🙂·\x7f") == "a\tb\nc\u241b[2J\ufffdé語🙂·\u2421"
    screen = terminal.Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    settings, total, pictures = runs.begin({"model": model, "length": 60, "steps": 2})
    last = terminal.play(pictures, settings, total, screen)
    drawn = terminal.frame(last, last.text, "w" * 60, settings, total, 64)
    assert not sentences.OBEYED.search("".join(part.plain for part in drawn.renderables))


def test_all_that_is_printed_goes_one_way():
    """No print but the one of `sentences.say` in what the command lines run, no text of others
    given to rich but through `clean`."""
    for path in (Path(sentences.__file__), *Path(errors.__file__).parent.glob("*.py")):
        source = path.read_text("utf-8")
        assert source.count("    print(") == (path.name == "sentences.py")


@pytest.mark.parametrize(
    "more",
    [
        ["--batch", "1000000"],
        ["--batch", "1000000", "--accumulate", "2"],
        ["--batch", "999983", "--precision", "bf16"],
    ],
)
def test_a_batch_beyond_memory_is_refused(spared, corpus, tmp_path, capsys, monkeypatch, more):
    """Before a network is built or a window drawn; with parts that fit it is not refused."""
    trainer = sys.modules["tinydiff.train.loop"]
    monkeypatch.setattr(trainer, "memory", lambda: 16e9)
    argv = ["train", *base("train", "", corpus, tmp_path / "run")]
    monkeypatch.setattr(trainer, "TrainingRun", lambda *_: pytest.fail("A network was built."))
    assert main([*map(str, argv), *more]) == 2
    assert "GB of memory and there are 16: give a smaller batch" in capsys.readouterr().err
    monkeypatch.setattr(
        trainer, "TrainingRun", lambda *_: (_ for _ in ()).throw(ValueError("It would begin."))
    )
    main([*map(str, argv), "--batch", "100000", "--accumulate", "10000"])
    assert "It would begin." in capsys.readouterr().err


def test_an_allocation_that_fails_is_a_sentence(capsys):
    """Where no bound foresaw it: of Python and of torch; another RuntimeError is a fault of ours
    and stays one."""
    import torch

    for work in (lambda: torch.empty(1 << 60, dtype=torch.uint8), lambda: bytearray(1 << 62)):
        assert errors.guarded(work) == 2 and "has not the memory" in capsys.readouterr().err
    with pytest.raises(RuntimeError):
        errors.guarded(lambda: (_ for _ in ()).throw(RuntimeError("shape")))


# ---------------------------------------------------------------- files


@pytest.fixture(scope="module")
def stopped(corpus, tmp_path_factory):
    """A folder with a run of one step, and its words."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    flags_ = [*base("train", "", corpus, out), "--steps", "1", "--batch", "1"]
    assert main(["train", *map(str, flags_)]) == 0
    return out


def bent(data, rng):
    """Bytes with a few of them changed, cut out, doubled or put in."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        a = rng.randrange(min(len(data), 3000) if rng.random() < 0.8 else len(data)) if data else 0
        b = a + rng.choice((1, 1, 4, 100))
        data[a:b] = rng.choice(
            (
                b"",
                bytes(rng.randrange(256) for _ in range(b - a)),
                data[a:b] * 2,
                b"\0",
                b"9" * 400,
                b"-",
                b"[",
                b"null",
            )
        )
    return bytes(data)


FILES = ("resume.json", "config.json", "metrics.jsonl", "resume.safetensors", "model.safetensors")


def bend(stopped, tmp_path, capsys, corpus, rng, times):
    out = shutil.copytree(stopped, tmp_path / "bent")
    for name in FILES:
        whole = (stopped / name).read_bytes()
        for _ in range(times):
            (out / name).write_bytes(bent(whole, rng))
            answered(capsys, ["train", "--resume", "--out", out, "--steps", "2"])
            answered(capsys, ["push", out, "user/name"])
            answered(capsys, ["eval", out, "--corpus", corpus])
            if name in FILES[1::3]:
                answered(capsys, ["sample", "--model", out, "--length", "8", "--steps", "1"])
            for path in out.iterdir():
                shutil.copy(stopped / path.name, path) if (
                    stopped / path.name
                ).is_file() else path.unlink()


def test_some_bent_files_of_a_run(spared, stopped, corpus, tmp_path, capsys):
    """A few bytes of a file changed, and the run resumed, pushed, measured and played with."""
    bend(stopped, tmp_path, capsys, corpus, random.Random(0), 2)


@pytest.mark.long
def test_many_bent_files_of_a_run(spared, stopped, corpus, tmp_path, capsys):
    """Sixty of each."""
    bend(stopped, tmp_path, capsys, corpus, random.Random(1), 60)


def test_links_to_what_is_no_file(spared, stopped, corpus, tmp_path, capsys):
    """In the place of every file of a run a link to a device that never ends, to one that cannot be
    read, to itself, or a folder."""
    for name, target in zip(
        FILES * 2, ("/dev/zero", "/proc/self/mem", "loop", "/", "/dev/zero", "/", "loop")
    ):
        out = shutil.copytree(stopped, tmp_path / "linked")
        (out / name).unlink()
        (out / name).symlink_to(out / name if target == "loop" else target)
        statuses = [
            answered(capsys, ["train", "--resume", "--out", out, "--steps", "2"]),
            answered(capsys, ["push", out, "user/name"]),
        ]
        assert name in ("metrics.jsonl", "model.safetensors") or 2 in statuses
        shutil.rmtree(out)
    assert json.loads((stopped / "resume.json").read_text())
