"""The command lines: flags come from signatures, every mistake is one sentence, and what runs is
what the library runs."""

import argparse
import contextlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import time
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import save_file

import tinydiff
import train_space
from tests import programs
from tests.conftest import SHAPE, random_process
from tinydiff import files, runs
from tinydiff.cli import errors, flags, terminal, training
from tinydiff.cli.commands import main, parser
from tinydiff.measure import evaluate
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, Range, matrix
from tinydiff.show import render
from tinydiff.store import card, catalogue, checkpoint
from tinydiff.train.loop import Config, start
from tinydiff.train.pace import Stop

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
    path.write_text("once upon a time there was a tale. " * 80, encoding="utf-8")
    return str(path)


def one_sentence(capsys, *argv, run=main):
    """The sentence with which a command refuses: exit status 2, one line on stderr, nothing on
    stdout, no traceback."""
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
    return (
        not field.default
        if kind is bool
        else f"{field.default}x"
        if kind is str
        else field.default + 1
    )


@pytest.mark.parametrize("field", fields(Config), ids=lambda field: field.name)
def test_every_field_of_config_is_a_flag(field):
    """What a flag is given arrives in its own field of Config, and changes no other but the folder
    that bears its name."""
    value = other(field)
    name = field.name.replace("_", "-")
    words = (
        [f"--{'' if value else 'no-'}{name}"]
        if isinstance(value, bool)
        else [f"--{name}", str(value)]
    )
    changed = vars(flags.config_of(parser().parse_args(["train", *words])))
    base = vars(flags.config_of(parser().parse_args(["train"])))
    assert changed[field.name] == value
    assert {k for k in base if base[k] != changed[k]} <= {field.name, "out"}


def test_every_option_of_every_sampler_is_a_flag():
    """`sample` takes each option under its name, and nothing that was not given is passed on."""
    for chosen in SAMPLERS.values():
        for name, (_, span) in chosen.options.items():
            values = [span.high] if isinstance(span, Range) else span.of(PROCESSES["masked"])
            for value in values:
                args = parser().parse_args(
                    ["sample", "--sampler", chosen.name, flags.flag(name), str(value)]
                )
                assert flags.settings_of(args)["options"] == {name: value}
    assert flags.settings_of(parser().parse_args(["sample"]))["options"] == {}


def test_a_preset_decides_what_is_not_given():
    """--preset tiny takes that preset's steps, and a flag beside it wins."""
    tiny = tinydiff.PRESETS["tiny"]
    assert flags.config_of(parser().parse_args(["train", "--preset", "tiny"])).steps == tiny.steps
    given = flags.config_of(parser().parse_args(["train", "--preset", "tiny", "--steps", "7"]))
    assert (given.steps, given.batch) == (7, tiny.batch)


@pytest.mark.parametrize(
    "command", ["sample", "train", "eval", "matrix", "bench", "export", "sweep"]
)
def test_help_of_every_command(command, capsys):
    """--help prints and ends with status 0."""
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and "--help" in capsys.readouterr().out


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    "argv, says",
    [
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
        (["export"], "FILE"),
        (["export", "a.gif", "--record", "--run", "b.json"], "--record"),
        (["export", "--record", "a.docx"], "a.docx"),
        (["export", "--record", "/nowhere/at/all/a.gif"], "nowhere"),
        (["export", "--run", "missing.json", "a.gif"], "missing.json"),
        (["bench", "--preset", "huge"], "huge"),
        (["bench", "--repeats", "0"], "repeats"),
        (["train", "--corpus", "missing.txt"], "missing.txt"),
        (["train", "--lr", "fast"], "fast"),
        (["train", "--push-to", "../etc"], "../etc"),
        (["eval", "missing"], "missing"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(argv, says, model, corpus, capsys):
    """Each bad input that reaches the command line is answered with status 2 and one sentence that
    names it."""
    if argv[:1] in (["sample"], ["export"]) and "--model" not in argv:
        argv = [*argv, "--model", model]
    if argv[:1] in (["train"], ["eval"]) and "--corpus" not in argv:
        argv = [*argv, "--corpus", corpus]
    assert says in one_sentence(capsys, *argv)


@pytest.mark.parametrize(
    "data, says",
    [(b"", "empty"), (b"a\0b", "binary"), (b"\xff\xfe\xfd", "UTF-8"), (b"short", "characters")],
)
def test_a_bad_corpus_is_one_sentence(data, says, tmp_path, capsys):
    """A corpus that is empty, binary, not UTF-8 or shorter than a window stops both trainers before
    the first step."""
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
            (folder / "model.safetensors").write_bytes(
                (Path(model) / "model.safetensors").read_bytes()[:keep]
            )
        assert folder.name in one_sentence(capsys, "sample", "--model", folder)


def test_an_interrupt_has_its_own_status(capsys):
    """Ctrl-C ends a command with status 130 and without a traceback."""

    def interrupted():
        raise KeyboardInterrupt

    assert errors.guarded(interrupted) == 130
    assert "Traceback" not in capsys.readouterr().err


# ---------------------------------------------------------------- sample


def test_sample_prints_what_generate_writes(model, capsys):
    """Away from a terminal `sample` prints the finished text alone, the one that `generate` gives
    for the same seed."""
    argv = [
        "--sampler",
        "confidence",
        "--steps",
        "6",
        "--noise",
        "0.5",
        "--length",
        "20",
        "--seed",
        "3",
    ]
    assert main(["sample", "--model", model, "--prompt", "abc", *argv]) == 0
    process = tinydiff.load(model)
    canvas = tinydiff.Canvas.prompt(process.tokenizer, "abc", 20)
    *_, frame = tinydiff.generate(process, canvas, sampler="confidence", steps=6, noise=0.5, seed=3)
    assert capsys.readouterr().out == process.tokenizer.decode(frame.tokens[0]) + "\n"


def test_sample_keeps_a_template(model, capsys):
    """Every character of a template that is not a blank is printed where it stood; \\n is a new
    line."""
    assert main(["sample", "--model", model, "--template", r"ab__cd\n_h"]) == 0
    text = capsys.readouterr().out[:-1]
    assert len(text) == 9 and (text[:2], text[4:7], text[8]) == ("ab", "cd\n", "h")


def test_an_empty_template_is_refused(model, tmp_path, capsys):
    """As on the page, in the place of a text that nobody asked for."""
    says = "The template is empty: write _ for each token to be filled in.\n"
    for argv in (["sample"], ["export", "--record", tmp_path / "run.json"]):
        assert one_sentence(capsys, *argv, "--model", model, "--template", "") == says
    assert not list(tmp_path.iterdir())


def test_another_model_is_told_once(model, tmp_path, monkeypatch, capsys):
    """Where a name meant weights that are gone, on stderr, in the words of the page; not of other
    names, nor of a folder that has such a name."""
    monkeypatch.setattr(catalogue, "instead", lambda name: f"{name!r} is gone." * (name == "gone"))
    monkeypatch.setattr(catalogue, "load", lambda name: tinydiff.load(model))
    few = ["--length", "8", "--steps", "2"]
    recorded = ["export", "--record", str(tmp_path / "run.json")]
    for argv in (["sample"], recorded):
        for name, told in (("gone", 1), ("checkpoints/gone", 1), ("user/name", 0)):
            assert main([*argv, "--model", name, *few]) in (None, 0)
            assert capsys.readouterr().err == "'gone' is gone.\n" * told
    for named in ("--start", "--teacher"):
        assert main(["train", named, "gone", "--corpus", str(tmp_path / "none.txt")]) == 2
        assert capsys.readouterr().err.startswith("'gone' is gone.\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    assert main(["sample", "--model", "gone", *few]) in (None, 0)
    assert capsys.readouterr().err == ""


def test_the_stories_of_a_family_in_the_place_of_its_plays(capsys):
    """`sample --model shakespeare/uniform` says which model it opens, and its text is alone on
    stdout."""
    asked = ["sample", "--model", "shakespeare/uniform", "--length", "8", "--steps", "1"]
    assert main(asked) in (None, 0)
    out, err = capsys.readouterr()
    said = "The weights of 'uniform' that had learned Shakespeare are not kept any more: this is "
    assert err == f"{said}'stories/uniform'.\n" and "weights" not in out


def test_the_terminal_shows_every_character(model):
    """The player's last frame holds the finished text, row after row, and the caption counts the
    calls."""
    settings, total, pictures = runs.begin(
        {"model": model, "length": 100, "steps": 4, "sampler": "random", "seed": 1}
    )
    out = io.StringIO()
    last = terminal.play(
        pictures, settings, total, Console(file=out, force_terminal=True, width=80)
    )
    drawn = terminal.frame(last, last.text, "w" * 100, settings, total, 64)
    lines = drawn.renderables[0].plain.split("\n")
    assert "".join(lines) == "".join(tinydiff.show.export.glyph(c) for c in last.text)
    assert [len(line) for line in lines] == [64, 36]
    assert f"step {total} of {total}" in drawn.renderables[2].plain and out.getvalue()


def test_every_state_has_a_sign_beside_its_colour():
    """No two states that a terminal shows differ by colour alone."""
    colours = {"red", "magenta", "yellow", "green", "blue", "cyan"}
    shapes = [
        " ".join(w for w in terminal.STYLES[state].split() if w not in colours)
        for state in terminal.STYLES
    ]
    assert len(set(shapes)) == len(shapes)
    assert set(terminal.STYLES) == {
        render.MASKED,
        render.NEW,
        render.AGAIN,
        render.GIVEN,
        render.DOUBT,
        render.WRITTEN,
        render.NOISE,
    }


def test_the_module_runs_as_a_program(model):
    """`python -m tinydiff sample` in a pipe gives the text and status 0; a mistake gives status 2
    and no traceback."""
    good = programs.run(
        "-m", "tinydiff", "sample", "--model", model, "--length", "12", "--steps", "2"
    )
    assert good.returncode == 0 and len(good.stdout) == 13 and good.stderr == ""


# ---------------------------------------------------------------- matrix


def test_the_matrix_is_the_declared_one(capsys):
    """Each cell of the printed table says what `matrix()` says."""
    assert main(["matrix", "--markdown"]) == 0
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    printed = {
        (p, row[0].strip("`")): cell == "✓"
        for row in rows
        for p, cell in zip(head[1:], row[1:-1], strict=False)
    }
    assert {pair: fits for pair, fits in printed.items() if pair[0] in PROCESSES} == matrix()
    assert main(["matrix"]) == 0 and "ancestral" in capsys.readouterr().out


def test_eval_measures_the_folder_on_the_corpus(model, corpus, monkeypatch, capsys):
    """`eval` hands the folder, the corpus and how much is measured to evaluate.run and prints what
    that found, as JSON; too few texts are one sentence."""

    def run(folder, data, *much):
        return {"folder": str(folder), "characters": len(data.train), "much": much}

    monkeypatch.setattr(evaluate, "run", run)
    characters = int(0.9 * len(Path(corpus).read_text("utf-8")))
    asked = ["eval", model, "--corpus", corpus]
    for more, much in (
        ([], [16, 16, [], None, 0]),
        (["--texts", "8", "--samplers", "gibbs"], [8, 16, ["gibbs"], None, 0]),
        (["--along", "64"], [16, 16, [], None, 64]),
    ):
        assert main([*asked, *more]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found == {"folder": model, "characters": characters, "much": much}
    assert main([*asked, "--texts", "1"]) == 2
    assert "texts is 1" in capsys.readouterr().err


# ---------------------------------------------------------------- train

TINY = [
    "--preset",
    "tiny",
    "--batch",
    "2",
    "--validate-every",
    "2",
    "--save-every",
    "2",
    "--no-compile",
]


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A folder in which `python -m tinydiff train` took two steps, and what it said."""
    out, said = tmp_path_factory.mktemp("trained") / "run", io.StringIO()
    with contextlib.redirect_stdout(said):
        assert (
            main(
                [
                    "train",
                    "--corpus",
                    corpus,
                    "--out",
                    str(out),
                    "--steps",
                    "2",
                    "--lr",
                    "0.001",
                    *TINY,
                ]
            )
            == 0
        )
    return out, said.getvalue()


def test_training_leaves_a_checkpoint_that_sample_opens(trained, corpus, capsys):
    """`train` writes a checkpoint, says how to open it, and that command works; a second run does
    not overwrite it."""
    out, said = trained
    assert "bits a character" in said and "tokens/s" in said and f"--model {out}" in said
    assert main(["sample", "--model", str(out), "--length", "10", "--steps", "2"]) == 0
    capsys.readouterr()
    assert "resume" in one_sentence(
        capsys, "train", "--corpus", corpus, "--out", out, "--steps", "2", *TINY
    )


def test_both_trainers_train_alike(trained, corpus, tmp_path):
    """`python -m tinydiff train` and train_space.py leave the same weights."""
    words = ["--corpus", corpus, "--steps", "2", "--lr", "0.001", *TINY]
    assert train_space.main(["--out", str(tmp_path / "b"), *words]) == 0
    one, two = (tinydiff.load(folder).state_dict() for folder in (trained[0], tmp_path / "b"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_resumed_run_keeps_its_settings(trained, tmp_path, capsys):
    """--resume takes the settings of the run in --out; a flag beside it changes one of them."""
    out = str(shutil.copytree(trained[0], tmp_path / "run"))
    assert "--steps" in one_sentence(capsys, "train", "--resume", "--out", out)
    args = argparse.Namespace(resume=True, out=out, steps=4)
    assert (
        flags.config_of(args).lr,
        flags.config_of(args).steps,
        flags.config_of(args).batch,
    ) == (0.001, 4, 2)
    assert main(["train", "--resume", "--out", out, "--steps", "4"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["step"] == 4


def unchanged(folder):
    """What a folder holds, to be compared with what it holds later."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "flags,says",
    [
        (["--process", "uniform"], "--process"),
        (["--preset", "small"], "--preset"),
        (["--schedule", "cosine"], "--schedule"),
        (["--no-muon"], "--muon"),
        (["--task", "restore"], "--task"),
        (["--corpus", "letters"], "has not 'n' but has 'N'"),
        (["--corpus", "more"], "has 'xyz'"),
        (["--corpus", "text"], "another text"),
        (["--device", "xyz"], "device"),
        (["--lr", "nan"], "lr is nan"),
    ],
)
def test_resuming_another_run_is_refused(trained, corpus, tmp_path, capsys, flags, says):
    """Another kind of noise, shape, schedule or optimizer; another text with as many letters, with
    more of them, or with the same ones: one sentence that names what differs, and the run stays as
    it was to the byte, alphabet included.
    """
    tale = Path(corpus).read_text("utf-8")
    for name, other in (
        ("letters", tale.replace("n", "N")),
        ("more", tale + "xyz" * 9),
        ("text", tale.replace("tale", "late")),
    ):
        (tmp_path / name).write_text(other, "utf-8")
    (tmp_path / "lines.txt").write_text("".join(f"tale {i}\n" for i in range(300)), "utf-8")
    out = shutil.copytree(trained[0], tmp_path / "run")
    flags = [str(tmp_path / word) if (tmp_path / word).is_file() else word for word in flags]
    flags += ["--corpus", tmp_path / "lines.txt"] if "--task" in flags else []
    before = unchanged(out)
    assert says in one_sentence(capsys, "train", "--resume", "--out", out, "--steps", "4", *flags)
    assert unchanged(out) == before


def test_the_same_flags_beside_resume_change_nothing(trained, corpus, tmp_path):
    """The flags with which a run was begun may stand beside --resume, as they do in a training
    Space."""
    out = str(shutil.copytree(trained[0], tmp_path / "run"))
    flags = ["--process", "masked", "--corpus", corpus, "--lr", "0.001", *TINY]
    assert main(["train", "--resume", "--out", out, "--steps", "3", *flags]) == 0


def test_a_run_with_older_names_of_settings_goes_on(trained, tmp_path):
    """A checkpoint whose config.json and resume.json say `bell` loads, its card's command takes
    today's flag, and it is resumed with the value that it was begun with."""
    out = shutil.copytree(trained[0], tmp_path / "run")
    for name, within in (("config.json", "training"), ("resume.json", "")):
        whole = json.loads((out / name).read_text())
        settings = whole[within] if within else whole
        del settings["time_spread"]
        settings["bell"] = 0.125
        (out / name).write_text(json.dumps(whole))
    assert checkpoint.load(out)
    assert "--time-spread 0.125" in card.body(checkpoint.card(out), "")
    assert main(["train", "--resume", "--out", str(out), "--steps", "3"]) == 0
    for found in (
        json.loads((out / "resume.json").read_text()),
        json.loads((out / "config.json").read_text())["training"],
    ):
        assert found["time_spread"] == 0.125 and "bell" not in found


def test_evaluating_on_another_text_is_refused(
    trained, corpus, model, tmp_path, capsys, monkeypatch
):
    """With other letters or another text than it learned from, and where nothing can be written,
    before anything is measured."""
    monkeypatch.setattr(evaluate, "of_texts", lambda *_: pytest.fail("It was measured."))
    tale, other = Path(corpus).read_text("utf-8"), tmp_path / "other.txt"
    for text, says in (
        (tale.replace("n", "N"), "has not 'n' but has 'N'"),
        (tale + "once ", "another text"),
    ):
        other.write_text(text, "utf-8")
        words = one_sentence(capsys, "eval", trained[0], "--corpus", other)
        assert says in words and "learned from 'tale'" in words

    def closed(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", closed)
    words = one_sentence(capsys, "eval", trained[0], "--corpus", corpus)
    assert "Read-only file system" in words and "choose another folder" in words


def test_a_second_trainer_is_told_that_there_is_one(corpus, tmp_path, capsys):
    """While a training runs in a folder another is refused with that reason, new or resumed, and
    takes nothing from its rows."""
    out = tmp_path / "run"
    argv = ["--corpus", corpus, "--out", out, "--steps", "4", *TINY, "--validate-every", "3"]
    steps = start(flags.config_of(parser().parse_args(["train", *map(str, argv)]))).steps()
    next(steps)
    assert "Another training is running" in one_sentence(capsys, "train", *argv)
    assert [now.step for now in itertools.islice(steps, 2)] == [2, 3]
    assert "Another training is running" in one_sentence(capsys, "train", "--resume", "--out", out)
    assert len(list(steps)) == 1 and [
        row["step"] for row in checkpoint.read_jsonl(out / "metrics.jsonl")
    ] == [3, 4]
    with files.alone(out):
        pass  # it is over


DAMAGE = {  # of a file of a run, and a word of the sentence
    "resume.json": [
        (b"", "JSON"),
        (b"{", "not JSON"),
        (b"[" * 99_999, "not JSON"),
        (b"[]", "JSON"),
        (b"\xff", "not JSON"),
        (b'{"steps": "x"}', "steps is 'x'"),
        (b'{"steps": %s}' % (b"9" * 400), "steps is 999"),
        (b'{"magic": 1}', "'magic'"),
        (b'{"corpus": 7}', "corpus is 7"),
        (b'{"preset": []}', "preset is []"),
        (b'{"out": null}', "out is None"),
    ],
    "config.json": [(b"", "JSON"), (b"{}", "format"), (b'{"format": 1}', "missing")],
    "resume.safetensors": [(b"", "damaged"), (b"\0" * 8, "damaged"), (b"\xff" * 99, "damaged")],
    "metrics.jsonl": [],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_is_one_sentence(trained, tmp_path, capsys, name):
    """Cut anywhere, empty, nested without end, of other types or with other numbers: --resume
    refuses in one short sentence; rows of metrics.jsonl that cannot be read are left out.
    """
    out = shutil.copytree(trained[0], tmp_path / "run")
    whole = (out / name).read_bytes()
    for data, says in [
        *DAMAGE[name],
        (whole[: len(whole) // 2], "" if name != "resume.safetensors" else "damaged"),
    ]:
        (out / name).write_bytes(data)
        if name != "metrics.jsonl":
            words = one_sentence(capsys, "train", "--resume", "--out", out, "--steps", "3")
            assert says in words and len(words) < 400, words
    assert sorted(path.name for path in out.iterdir()) == sorted(
        path.name for path in trained[0].iterdir()
    )


def test_rows_that_are_no_rows_do_not_stop_a_run(trained, tmp_path):
    """Whatever stands in metrics.jsonl, the rows before it are kept and training goes on; U+2028 in
    a sample ends no row."""
    out = shutil.copytree(trained[0], tmp_path / "run")
    first = json.dumps({"step": 1, "sample": "a\u2028b\x85c"}, ensure_ascii=False).encode() + b"\n"
    for bad in (
        b"[]",
        b"7",
        b'{"step": "x"}',
        b'{"x": 1}',
        b"\xff",
        b"[" * 99_999,
        b'{"step": 1e999}',
        b'{"step": NaN}',
    ):
        (out / "metrics.jsonl").write_bytes(first + bad + b"\n" + first)
        assert [row["sample"] for row in checkpoint.read_jsonl(out / "metrics.jsonl")] == [
            "a\u2028b\x85c"
        ]
    assert main(["train", "--resume", "--out", str(out), "--steps", "3"]) == 0
    assert [row["step"] for row in checkpoint.read_jsonl(out / "metrics.jsonl")] == [1, 3]


def weights_of(out, change):
    """What resuming needs, changed: its tensors and what its header tells."""
    with safe_open(out / "resume.safetensors", "pt") as file:
        tensors, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    change(tensors, about)
    save_file(tensors, out / "resume.safetensors", metadata=about)


def slot(tensors):
    return next(key for key in tensors if key.startswith("optimizer.0") and tensors[key].ndim)


@pytest.mark.parametrize(
    "change",
    [
        lambda t, a: a.clear(),
        lambda t, a: a.update(step="x"),
        lambda t, a: a.update(step="-1"),
        lambda t, a: a.update(step="9" * 400),
        lambda t, a: a.update(seconds="nan"),
        lambda t, a: a.update(seconds="1e999"),
        lambda t, a: t.pop("rng"),
        lambda t, a: t.update(rng=torch.zeros(3, dtype=torch.uint8)),
        lambda t, a: t.update(rng=torch.zeros(5056)),
        lambda t, a: t.pop("process.net.head.weight"),
        lambda t, a: t.update({"average.more": torch.zeros(1)}),
        lambda t, a: t["process.net.head.weight"].fill_(torch.nan),
        lambda t, a: t.update({slot(t): torch.zeros(3)}),
        lambda t, a: t.pop(slot(t)),
        lambda t, a: t.update({"optimizer.0.999.exp_avg": torch.zeros(3)}),
        lambda t, a: t.update({"optimizer.0.x": torch.zeros(3)}),
    ],
)
def test_damaged_weights_of_a_run_are_one_sentence(trained, tmp_path, capsys, change):
    """What the file says is there and is not, is of another shape, or is no number."""
    out = shutil.copytree(trained[0], tmp_path / "run")
    weights_of(out, change)
    assert (
        "is damaged"
        in (words := one_sentence(capsys, "train", "--resume", "--out", out, "--steps", "3"))
        and len(words) < 400
    )


def test_nothing_to_resume_is_one_sentence(corpus, tmp_path, capsys):
    """--resume where there is no run says so."""
    assert "resume" in one_sentence(
        capsys, "train", "--resume", "--corpus", corpus, "--out", tmp_path / "none", *TINY
    )


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_sigterm_saves_and_says_how_to_go_on(corpus, tmp_path):
    """A terminated trainer ends with the signal's status and leaves a run that resumes where it
    stopped."""
    out = tmp_path / "run"
    run = [
        "train_space.py",
        "--corpus",
        corpus,
        "--out",
        str(out),
        "--steps",
        "1000000",
        *TINY[:4],
        "--validate-every",
        "1000000",
        "--save-every",
        "1000000",
        "--no-compile",
    ]
    program = programs.Program(*run)
    assert "step 1 of" in program.stdout.readline()
    time.sleep(0.3)
    program.send_signal(signal.SIGTERM)
    said, err = program.communicate(timeout=60)
    assert program.returncode == 128 + signal.SIGTERM and "--resume" in said and err == ""
    step = int(said.split("step ")[-1].split()[0])
    assert step > 1 and json.loads((out / "config.json").read_text())["step"] == step
    resumed = training.start(
        flags.config_of(argparse.Namespace(resume=True, out=str(out))), resume=True
    )
    assert resumed.step == step


def test_the_second_interrupt_ends_the_program():
    """The first Ctrl-C is remembered, the second raises; afterwards the old handlers are back."""
    before = signal.getsignal(signal.SIGINT)
    with Stop() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.status == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_on_a_terminal_names_what_it_learns(corpus, tmp_path, monkeypatch, capsys):
    """With a terminal the bar passes every step on and shows the sample of each validation."""
    config = flags.config_of(
        parser().parse_args(
            ["train", "--corpus", corpus, "--out", str(tmp_path), "--steps", "2", *TINY]
        )
    )
    steps = list(training.bar(start(config)))
    assert [p.step for p in steps] == [1, 2]
    assert "bits a character" in capsys.readouterr().out


# ---------------------------------------------------------------- export


def test_export_records_and_replays(model, tmp_path, capsys):
    """A run recorded as JSON and drawn later gives the same GIF as one drawn at once, and each file
    is named."""
    flags = ["--record", "--model", model, "--length", "20", "--steps", "3", "--seed", "2"]
    first, second, kept = tmp_path / "a.gif", tmp_path / "b.gif", tmp_path / "a.json"
    assert main(["export", *flags, str(first), str(kept)]) == 0
    assert capsys.readouterr().out.split() == [str(first), str(kept)]
    assert main(["export", "--run", str(kept), str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()


def test_two_bundled_models_are_compared(capsys):
    """`compare` tells the paired difference, which is that of the bounds with an error below
    either's; one without its windows is told in a sentence.
    """
    assert main(["compare", "uniform", "masked"]) == 0
    said = capsys.readouterr().out
    value, error = map(
        float, re.search(r"uniform - masked: ([+-][\d.]+) ± ([\d.]+) nats", said).groups()
    )
    one, other = (catalogue.card_of(name).evaluation["bound"] for name in ("uniform", "masked"))
    assert value == pytest.approx(one["nats"] - other["nats"], abs=0.001) and error < min(
        one["error"], other["error"]
    )
    assert main(["compare", "uniform", "score-masked"]) == 2
    assert "on the same windows" in capsys.readouterr().err
