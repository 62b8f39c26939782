"""The command lines: flags come from signatures, every mistake is one sentence, and what runs is what the library runs."""

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from rich.console import Console

import tinydiff
import train_space
from tests.conftest import SHAPE, random_process
from tinydiff import checkpoint, console, evaluate, render
from tinydiff.__main__ import main, parser
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, Range, matrix
from tinydiff.train import Config, start

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint folder of an untrained masked process with random weights."""
    folder, process = tmp_path_factory.mktemp("model"), random_process("masked")
    config = checkpoint.config_of(process, {**SHAPE, "labels": 0}, "noise", step=1)
    return str(checkpoint.save(process, config, folder))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "tale.txt"
    path.write_text("once upon a time there was a tale. " * 60, encoding="utf-8")
    return str(path)


def one_sentence(capsys, *argv, run=main):
    """The sentence with which a command refuses: exit status 2, one line on stderr, nothing on stdout, no traceback."""
    try:
        status = run([str(a) for a in argv])
    except SystemExit as stop:  # argparse's own
        status = stop.code
    out, err = capsys.readouterr()
    assert status == 2, (out, err)
    assert out == "" and err.count("\n") == 1 and len(err.strip()) > 10 and "Traceback" not in err
    return err


# ---------------------------------------------------------------- flags


def other(field):
    """A value of the field's type that is not its default."""
    kind = type(field.default)
    return not field.default if kind is bool else f"{field.default}x" if kind is str else field.default + 1


@pytest.mark.parametrize("field", fields(Config), ids=lambda field: field.name)
def test_every_field_of_config_is_a_flag(field):
    """What a flag is given arrives in its own field of Config, and changes no other but the folder that bears its name."""
    value = other(field)
    name = field.name.replace("_", "-")
    words = [f"--{'' if value else 'no-'}{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    changed = vars(console.config_of(parser().parse_args(["train", *words])))
    base = vars(console.config_of(parser().parse_args(["train"])))
    assert changed[field.name] == value
    assert {k for k in base if base[k] != changed[k]} <= {field.name, "out"}


def test_every_option_of_every_sampler_is_a_flag():
    """`sample` takes each option under its name, and nothing that was not given is passed on."""
    for chosen in SAMPLERS.values():
        for name, (_, span) in chosen.options.items():
            values = [span.high] if isinstance(span, Range) else span.of(PROCESSES["masked"])
            for value in values:
                args = parser().parse_args(["sample", "--sampler", chosen.name, console.flag(name), str(value)])
                assert console.settings_of(args)["options"] == {name: value}
    assert console.settings_of(parser().parse_args(["sample"]))["options"] == {}


def test_a_preset_decides_what_is_not_given():
    """--preset tiny takes that preset's steps, and a flag beside it wins."""
    tiny = tinydiff.PRESETS["tiny"]
    assert console.config_of(parser().parse_args(["train", "--preset", "tiny"])).steps == tiny.steps
    given = console.config_of(parser().parse_args(["train", "--preset", "tiny", "--steps", "7"]))
    assert (given.steps, given.batch) == (7, tiny.batch)


@pytest.mark.parametrize("command", ["sample", "train", "eval", "matrix", "bench", "export"])
def test_help_of_every_command(command, capsys):
    """--help prints and ends with status 0."""
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and "--help" in capsys.readouterr().out


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize("argv, says", [
    ([], "command"),
    (["dance"], "dance"),
    (["sample", "--steps", "abc"], "abc"),
    (["sample", "--model", "nobody"], "nobody"),
    (["sample", "--sampler", "magic"], "magic"),
    (["sample", "--steps", "0"], "steps"),
    (["sample", "--steps", "1000000000"], "steps"),
    (["sample", "--temperature", "nan"], "temperature"),
    (["sample", "--temperature", "-1"], "temperature"),
    (["sample", "--top-p", "0"], "top_p"),
    (["sample", "--seed", "-1"], "seed"),
    (["sample", "--length", "0"], "length"),
    (["sample", "--prompt", "b€d"], "€"),
    (["sample", "--prompt", "a" * 300], "300"),
    (["sample", "--template", "abc"], "blank"),
    (["sample", "--sampler", "ancestral", "--noise", "1"], "noise"),
    (["sample", "--sampler", "confidence", "--noise", "1e9"], "noise"),
    (["sample", "--flavour", "sweet"], "flavour"),
    (["rewrite", "--model", "masked", "hello"], "sample"),
    (["rewrite", "--candidates", "9", "hello"], "candidates"),
    (["rewrite", "--steps", "0", "hello"], "steps"),
    (["rewrite", "..."], "give a line"),
    (["rewrite", "a" * 100], "room"),
    (["sample", "--model", "restore-masked"], "rewrite"),
    (["export", "a.gif"], "--record"),
    (["export", "--record", "a.docx"], "a.docx"),
    (["export", "--record", "/nowhere/at/all/a.gif"], "nowhere"),
    (["export", "--run", "missing.json", "a.gif"], "missing.json"),
    (["bench", "--preset", "huge"], "huge"),
    (["bench", "--repeats", "0"], "repeats"),
    (["train", "--corpus", "missing.txt"], "missing.txt"),
    (["train", "--lr", "fast"], "fast"),
    (["train", "--push-to", "../etc"], "../etc"),
    (["eval", "missing"], "missing"),
], ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "")  # fmt: skip
def test_a_mistake_is_one_sentence(argv, says, model, corpus, capsys):
    """Each bad input that reaches the command line is answered with status 2 and one sentence that names it."""
    if argv[:1] in (["sample"], ["export"]) and "--model" not in argv:
        argv = [*argv, "--model", model]
    if argv[:1] in (["train"], ["eval"]) and "--corpus" not in argv:
        argv = [*argv, "--corpus", corpus]
    assert says in one_sentence(capsys, *argv)


@pytest.mark.parametrize(
    "data, says", [(b"", "empty"), (b"a\0b", "binary"), (b"\xff\xfe\xfd", "UTF-8"), (b"short", "characters")]
)
def test_a_bad_corpus_is_one_sentence(data, says, tmp_path, capsys):
    """A corpus that is empty, binary, not UTF-8 or shorter than a window stops both trainers before the first step."""
    path = tmp_path / "bad.txt"
    path.write_bytes(data)
    argv = ["--corpus", path, "--out", tmp_path / "run", "--preset", "tiny"]
    assert says in one_sentence(capsys, "train", *argv)
    assert says in one_sentence(capsys, *argv, run=train_space.main)
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_one_sentence(model, tmp_path, capsys):
    """A checkpoint cut short, and one without weights, are refused by name."""
    for keep in (100, 0):
        folder = tmp_path / f"cut{keep}"
        folder.mkdir()
        (folder / "config.json").write_bytes((Path(model) / "config.json").read_bytes())
        if keep:
            (folder / "model.safetensors").write_bytes((Path(model) / "model.safetensors").read_bytes()[:keep])
        assert folder.name in one_sentence(capsys, "sample", "--model", folder)


def test_an_interrupt_has_its_own_status(capsys):
    """Ctrl-C ends a command with status 130 and without a traceback."""

    def interrupted():
        raise KeyboardInterrupt

    assert console.guarded(interrupted) == 130
    assert "Traceback" not in capsys.readouterr().err


# ---------------------------------------------------------------- sample


def test_sample_prints_what_generate_writes(model, capsys):
    """Away from a terminal `sample` prints the finished text alone, the one that `generate` gives for the same seed."""
    argv = ["--sampler", "confidence", "--steps", "6", "--noise", "0.5", "--length", "20", "--seed", "3"]
    assert main(["sample", "--model", model, "--prompt", "abc", *argv]) == 0
    process = tinydiff.load(model)
    canvas = tinydiff.Canvas.prompt(process.tokenizer, "abc", 20)
    *_, frame = tinydiff.generate(process, canvas, sampler="confidence", steps=6, noise=0.5, seed=3)
    assert capsys.readouterr().out == process.tokenizer.decode(frame.tokens[0]) + "\n"


def test_sample_keeps_a_template(model, capsys):
    """Every character of a template that is not a blank is printed where it stood; \\n is a new line."""
    assert main(["sample", "--model", model, "--template", r"ab__cd\n_h"]) == 0
    text = capsys.readouterr().out[:-1]
    assert len(text) == 9 and (text[:2], text[4:7], text[8]) == ("ab", "cd\n", "h")


def test_the_terminal_shows_every_character(model):
    """The player's last frame holds the finished text, row after row, and the caption counts the calls."""
    settings, total, pictures = tinydiff.export.begin({"model": model, "length": 100, "steps": 4, "sampler": "random", "seed": 1})
    out = io.StringIO()
    last = console.play(pictures, settings, total, Console(file=out, force_terminal=True, width=80))
    drawn = console.frame(last, "w" * 100, settings, total, 64)
    lines = drawn.renderables[0].plain.split("\n")
    assert "".join(lines) == "".join(tinydiff.export.glyph(c) for c in last.text)
    assert [len(line) for line in lines] == [64, 36]
    assert f"step {total} of {total}" in drawn.renderables[2].plain and out.getvalue()


def test_every_state_has_a_sign_beside_its_colour():
    """No two states that a terminal shows differ by colour alone."""
    colours = {"red", "magenta", "yellow", "green", "blue", "cyan"}
    shapes = [" ".join(w for w in console.STYLES[state].split() if w not in colours) for state in console.STYLES]
    assert len(set(shapes)) == len(shapes)
    assert set(console.STYLES) == {
        render.MASKED,
        render.NEW,
        render.AGAIN,
        render.GIVEN,
        render.DOUBT,
        render.WRITTEN,
        render.NOISE,
    }


def test_the_module_runs_as_a_program(model):
    """`python -m tinydiff sample` in a pipe gives the text and status 0; a mistake gives status 2 and no traceback."""
    run = [sys.executable, "-m", "tinydiff", "sample", "--model", model, "--length", "12", "--steps", "2"]
    good = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert good.returncode == 0 and len(good.stdout) == 13 and good.stderr == ""


# ---------------------------------------------------------------- matrix


def test_the_matrix_is_the_declared_one(capsys):
    """Each cell of the printed table says what `matrix()` says."""
    assert main(["matrix", "--markdown"]) == 0
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    printed = {(p, row[0].strip("`")): cell == "✓" for row in rows for p, cell in zip(head[1:], row[1:-1], strict=False)}
    assert {pair: fits for pair, fits in printed.items() if pair[0] in PROCESSES} == matrix()
    assert main(["matrix"]) == 0 and "ancestral" in capsys.readouterr().out


def test_eval_measures_the_folder_on_the_corpus(model, corpus, monkeypatch, capsys):
    """`eval` hands the folder and the corpus to evaluate.run and prints what that found, as JSON."""
    monkeypatch.setattr(evaluate, "run", lambda folder, data: {"folder": str(folder), "characters": len(data.train)})
    assert main(["eval", model, "--corpus", corpus]) == 0
    characters = int(0.9 * len(Path(corpus).read_text("utf-8")))
    assert json.loads(capsys.readouterr().out) == {"folder": model, "characters": characters}


# ---------------------------------------------------------------- train

TINY = ["--preset", "tiny", "--batch", "2", "--validate-every", "2", "--save-every", "2", "--no-compile"]


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A folder in which `python -m tinydiff train` took two steps, and what it said."""
    out, said = tmp_path_factory.mktemp("trained") / "run", io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["train", "--corpus", corpus, "--out", str(out), "--steps", "2", "--lr", "0.001", *TINY]) == 0
    return out, said.getvalue()


def test_training_leaves_a_checkpoint_that_sample_opens(trained, corpus, capsys):
    """`train` writes a checkpoint, says how to open it, and that command works; a second run does not overwrite it."""
    out, said = trained
    assert "bits a character" in said and "tokens/s" in said and f"--model {out}" in said
    assert main(["sample", "--model", str(out), "--length", "10", "--steps", "2"]) == 0
    capsys.readouterr()
    assert "resume" in one_sentence(capsys, "train", "--corpus", corpus, "--out", out, "--steps", "2", *TINY)


def test_both_trainers_train_alike(trained, corpus, tmp_path):
    """`python -m tinydiff train` and train_space.py leave the same weights."""
    flags = ["--corpus", corpus, "--steps", "2", "--lr", "0.001", *TINY]
    assert train_space.main(["--out", str(tmp_path / "b"), *flags]) == 0
    one, two = (tinydiff.load(folder).state_dict() for folder in (trained[0], tmp_path / "b"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_resumed_run_keeps_its_settings(trained, tmp_path, capsys):
    """--resume takes the settings of the run in --out; a flag beside it changes one of them."""
    out = str(shutil.copytree(trained[0], tmp_path / "run"))
    assert "--steps" in one_sentence(capsys, "train", "--resume", "--out", out)
    args = argparse.Namespace(resume=True, out=out, steps=4)
    assert (console.config_of(args).lr, console.config_of(args).steps, console.config_of(args).batch) == (0.001, 4, 2)
    assert main(["train", "--resume", "--out", out, "--steps", "4"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["step"] == 4


def test_nothing_to_resume_is_one_sentence(corpus, tmp_path, capsys):
    """--resume where there is no run says so."""
    assert "resume" in one_sentence(capsys, "train", "--resume", "--corpus", corpus, "--out", tmp_path / "none", *TINY)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_sigterm_saves_and_says_how_to_go_on(corpus, tmp_path):
    """A terminated trainer ends with the signal's status and leaves a run that resumes where it stopped."""
    out = tmp_path / "run"
    run = [sys.executable, "train_space.py", "--corpus", corpus, "--out", str(out), "--steps", "1000000", *TINY[:4],
           "--validate-every", "1000000", "--save-every", "1000000", "--no-compile"]  # fmt: skip
    with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert "step 1 of" in program.stdout.readline()
        time.sleep(0.3)
        program.send_signal(signal.SIGTERM)
        said, err = program.communicate(timeout=60)
    assert program.returncode == 128 + signal.SIGTERM and "--resume" in said and err == ""
    step = int(said.split("step ")[-1].split()[0])
    assert step > 1 and json.loads((out / "config.json").read_text())["step"] == step
    resumed = console.start(console.config_of(argparse.Namespace(resume=True, out=str(out))), resume=True)
    assert resumed.step == step


def test_the_second_interrupt_ends_the_program():
    """The first Ctrl-C is remembered, the second raises; afterwards the old handlers are back."""
    before = signal.getsignal(signal.SIGINT)
    with console.Stop() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.status == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_on_a_terminal_names_what_it_learns(corpus, tmp_path, monkeypatch, capsys):
    """With a terminal the bar passes every step on and shows the sample of each validation."""
    config = console.config_of(parser().parse_args(["train", "--corpus", corpus, "--out", str(tmp_path), "--steps", "2", *TINY]))
    steps = list(console.bar(start(config)))
    assert [p.step for p in steps] == [1, 2]
    assert "bits a character" in capsys.readouterr().out


# ---------------------------------------------------------------- export


def test_export_records_and_replays(model, tmp_path, capsys):
    """A run recorded as JSON and drawn later gives the same GIF as one drawn at once, and each file is named."""
    flags = ["--record", "--model", model, "--length", "20", "--steps", "3", "--seed", "2"]
    first, second, kept = tmp_path / "a.gif", tmp_path / "b.gif", tmp_path / "a.json"
    assert main(["export", *flags, str(first), str(kept)]) == 0
    assert capsys.readouterr().out.split() == [str(first), str(kept)]
    assert main(["export", "--run", str(kept), str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()
