"""What README and docs/ tell people to type works: every command is run, in small."""

import re
import shlex
from functools import partialmethod
from pathlib import Path

import pytest

import train_space
from tests.loopback import Hub
from tests.test_keep import hub_of
from tinydiff.cli.commands import main, parser
from tinydiff.deploy import spaces
from tinydiff.measure import evaluate
from tinydiff.processes import PROCESSES
from tinydiff.store import catalogue
from tinydiff.train.loop import TrainingRun

ROOT = Path(__file__).resolve().parent.parent
# in the order of what they tell people to do
FIRST = ["README.md", "docs/training.md", "docs/hub.md"]
DOCUMENTS = list(dict.fromkeys(FIRST + [f"docs/{path.name}" for path in ROOT.glob("docs/*.md")]))
UNLINKED = {"docs/tree.md", "docs/deploy.md"}  # which name no path
WHOLE = "\n".join((ROOT / name).read_text("utf-8") for name in DOCUMENTS)
BLOCKS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", WHOLE, re.S)
    for line in block.splitlines()
]
WORDS = [
    shlex.split(words)
    for words in re.findall(
        r"`((?:python|make|tinydiff) [^`]+)`", re.sub(r"```.*?```", "", WHOLE, flags=re.S)
    )
]
EACH = dict.fromkeys(tuple(words) for words in [*BLOCKS, *WORDS] if words)
COMMANDS = [list(words) for words in EACH if words[0] != "export"]
TINY = [
    "--preset",
    "tiny",
    "--batch",
    "1",
    "--steps",
    "1",
    "--validate-every",
    "1",
    "--no-compile",
    "--device",
    "cpu",
]
SMALLER = {
    "sample": ["--length", "40", "--steps", "3"],
    "rewrite": ["--steps", "2", "--candidates", "1"],
    "eval": ["--texts", "4", "--draws", "2"],
    "train": TINY,
    "export": ["--length", "40", "--steps", "2"],
    "sweep": ["--length", "40", "--steps", "1,2", "--seeds", "0:2"],
}
# minutes, or they write into this repository; that their flags are right is seen, what they do is
# tested elsewhere
TOO_LONG = {
    "families",
    "docs",
    "released",
    "bench",
    "claim",
    "control",
    "tasks",
}


@pytest.mark.parametrize("name", [*DOCUMENTS, "CONTRIBUTING.md"])
def test_every_path_that_is_named_is_there(name):
    """Files and folders of this repository, in programs and in sentences."""
    text = (ROOT / name).read_text("utf-8")
    named = set(
        re.findall(r"(?<![\w./-])((?:assets|docs|tests|tinydiff|tools|\.ci)/[\w./-]*[\w/])", text)
    )
    assert (named or name in UNLINKED) and not [
        path for path in named if not (ROOT / path).exists()
    ]


def test_there_are_commands():
    """Enough of them are found for the test below to mean something."""
    assert len(COMMANDS) >= 20 and {"make", "python", "tinydiff"} == {
        words[0] for words in COMMANDS
    }


def run(words: list[str]) -> None:
    """One command, in this process."""
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
        assert all(target in targets or "=" in target for target in words[1:])
    elif words[0] == "tinydiff":
        parser().parse_args(words[1:])
    elif words[1] == "train_space.py":
        assert train_space.main([*words[2:], *TINY[2 if "--start" in words else 0 :]]) == 0
    elif words[1] == "-m":
        assert words[2] == "tinydiff"
        parser().parse_args(words[3:])
        if words[3] not in TOO_LONG:
            assert main([*words[3:], *SMALLER.get(words[3], [])]) == 0
    else:
        assert (ROOT / words[1]).is_file()


def test_every_command_runs(tmp_path, monkeypatch, capsys):
    """One after the other, as they stand there, in a folder with a text `your.txt`, beside a Hub of
    which nobody is asked but the stand-in; trainings of a step, texts of 40 characters. A deploy is
    checked, and not done.
    """
    from huggingface_hub import constants

    letters = catalogue.load("masked").tokenizer.characters
    (tmp_path / "your.txt").write_text(letters * 60, encoding="utf-8")
    (tmp_path / "prompts.txt").write_text("Once upon a time\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinydiff.text.corpora._tiny_shakespeare", lambda: tmp_path / "your.txt")
    for curve in (
        "curve_samplers",
        "trade_samplers",
    ):  # many texts for each of many numbers of steps and temperatures
        monkeypatch.setattr(evaluate, curve, lambda process: [])
    # a minute, measured in test_block
    monkeypatch.setattr(PROCESSES["block"], "tune", lambda *_: {})
    monkeypatch.setattr(
        TrainingRun, "validate", partialmethod(TrainingRun.validate, batches=1, batch=2)
    )
    deployed = []
    monkeypatch.setattr(
        spaces, "deploy", lambda target, *_: (spaces.check(target), deployed.append(target))
    )
    monkeypatch.setenv("HF_TOKEN", "hf_ofTheUser")
    with Hub({"hf_ofTheUser": "user"}) as hub:
        for name, value in hub_of(hub.url, tmp_path / "home").items():
            monkeypatch.setattr(constants, name, value)
        for words in COMMANDS:
            print("$", shlex.join(words))
            run(words)
        assert {"user/name", "user/collection"} <= {name for _, name in hub.repos}
    said = capsys.readouterr().out
    assert len(deployed) == 6 and "\nOnce upon a time" in said and "Pushed runs/mine" in said
    assert {path.name for path in Path("runs").iterdir()} == {"mine", "rival", "blocks"}
