"""Plug-ins: a file in a folder, or an entry point, adds a method to registries, command line and
documents; one that fails is a sentence; the page takes none unless its owner says so."""

import sys
from importlib.metadata import EntryPoint

import pytest

from tinydiff import Canvas, exact, generate, guides, plugins, samplers
from tinydiff.cli import documents
from tinydiff.cli.commands import main
from tinydiff.samplers import SAMPLERS

FILE = '''
from typing import Annotated

from tinydiff.samplers import Range, Step, sampler


@sampler("{name}", needs={{"mask"}}, paper="none")
def order(process, denoise, start, times, rng, *, pull: Annotated[float, Range(0, 2, "pull")] = 1):
    """Write {name}."""
    x = start.x
    for t in times[:-1]:
        prediction = denoise(x, start.canvas.time(t))
        x = process.noise.pin(prediction.draw(rng), start.canvas)
        yield Step(x, prediction, float(t))
'''


@pytest.fixture
def folder(tmp_path):
    """A folder with one plug-in and a file of its own; what it registers is taken out again."""
    before, modules = dict(SAMPLERS), set(sys.modules)
    (tmp_path / "sideways.py").write_text(FILE.format(name="sideways"))
    (tmp_path / "_helper.py").write_text("raise SystemExit('A helper was imported.')")
    yield tmp_path
    SAMPLERS.clear()
    SAMPLERS.update(before)
    for name in set(sys.modules) - modules:
        if name.startswith("tinydiff_plugin"):
            del sys.modules[name]


def test_a_folder_adds_a_method_everywhere(folder, monkeypatch, capsys, language):
    """--plugins before or after the command, or the variable: the method is in the matrix, its
    option is a flag, the documents would show it, and it writes. Without, it is not there."""
    assert main(["matrix", "--markdown"]) == 0 and "sideways" not in capsys.readouterr().out
    assert main(["--plugins", str(folder), "matrix", "--markdown"]) == 0
    assert "| `sideways` |" in capsys.readouterr().out
    assert "Write sideways." in documents.matrix_table()
    model = exact.perfect("masked", language)
    *_, last = generate(model, Canvas.blank(4), sampler="sideways", steps=2)
    assert last.step == 2 and (last.tokens < model.V).all()
    with pytest.raises(SystemExit):
        main(["sample", "--help", "--plugins", str(folder)])
    assert "sideways: pull" in capsys.readouterr().out
    (folder / "upwards.py").write_text(FILE.format(name="upwards"))
    monkeypatch.setenv("TINYDIFF_PLUGINS", str(folder))
    assert main(["matrix", "--markdown"]) == 0 and "upwards" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text,reason",
    [
        (
            "import nowhere_to_be_found",
            "No module named 'nowhere_to_be_found'",
        ),
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError, line 1: division by zero"),
        ("import sys; sys.exit('gone')", "SystemExit, line 1: gone"),
    ],
)
def test_a_plug_in_that_fails_is_one_sentence(folder, capsys, text, reason):
    """It names the file and the reason, and no command is done; so does a folder that is none."""
    (folder / "broken.py").write_text(text)
    assert main(["--plugins", str(folder), "matrix"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and str(folder / "broken.py") in err and reason in err
    assert main(["--plugins", str(folder / "none"), "matrix"]) == 2
    assert "There is no folder of plug-ins" in capsys.readouterr().err


def test_a_need_that_nothing_has(capsys, tmp_path):
    """A trait that is misspelt is a sentence when its sampler or guide is registered, with the
    traits that there are; one that a process of the same file brings is none."""
    for made in (
        lambda: samplers.sampler("wrong", needs={"masks"}, paper="none"),
        lambda: guides.guide("wrong", stage="cut", needs={"masks"}, paper="none"),
    ):
        with pytest.raises(ValueError, match="'wrong' needs the trait 'masks', which no .* mask"):
            made()
    (tmp_path / "misspelt.py").write_text(FILE.format(name="misspelt").replace("mask", "masks"))
    assert main(["--plugins", str(tmp_path), "matrix"]) == 2
    said = capsys.readouterr().err
    assert "needs the trait 'masks'" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "line,words",
    [
        (
            "yield Step(x[:, 1:], prediction, 0.0)",
            r"yields the state \(1, 3\) torch.int64; it bega",
        ),
        ("yield Step(x.float(), prediction, 0.0)", r"state \(1, 4\) torch.float32; it began with"),
        ("yield Step(None, prediction, 0.0)", "yields the state None"),
        ("yield Step(x, x, 0.0)", "as what was predicted"),
        ("yield x", "yields tensor.*it is to yield Steps"),
        ("return [x]", "gives .*it is to yield Steps"),
    ],
)
def test_a_sampler_that_yields_what_is_no_step(folder, language, line, words):
    """A state of another shape or kind, or no Step at all: one sentence with the sampler's name."""
    text = FILE.format(name="bent").split("    x = start.x")[0]
    body = f"    x = start.x\n    prediction = denoise(x, start.canvas.time(1.0))\n    {line}\n"
    (folder / "bent.py").write_text(text + body)
    plugins.load(folder)
    with pytest.raises(ValueError, match=f"The sampler 'bent' .*{words}"):
        list(generate(exact.perfect("masked", language), Canvas.blank(4), sampler="bent"))


GUIDE = """
from typing import Annotated

from tinydiff.guides import Words, guide


@guide("ban", stage="cut", paper="none")
def ban(denoise, context, *, forbidden: Annotated[str, Words(20, "not written")] = ""):
    \"\"\"Write none of these.\"\"\"
    context.process.tokenizer.encode(forbidden)
    return denoise
"""


def test_a_guide_s_refusal_says_its_option(folder, language, capsys):
    """What a guide cannot take, such as a character that the model does not know, is a sentence
    that begins with the option, in Python and on the command line."""
    before = dict(guides.GUIDES)
    try:
        (folder / "ban.py").write_text(GUIDE)
        words = ["sample", "--model", "perfect-masked", "--length", "8", "--forbidden", "é"]
        assert main(["--plugins", str(folder), *words, "--steps", "1"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("forbidden is 'é': ") and said.count("\n") == 1
        with pytest.raises(ValueError, match="^forbidden is 'z': "):
            list(generate(exact.perfect("masked", language), Canvas.blank(4), forbidden="z"))
    finally:
        guides.GUIDES.clear()
        guides.GUIDES.update(before)


def test_an_installed_package_adds_a_method(folder, monkeypatch):
    """Its entry point of the group `tinydiff.plugins` names a module, which is imported."""
    (folder / "installed_orders.py").write_text(FILE.format(name="installed"))
    monkeypatch.syspath_prepend(folder)
    point = EntryPoint("orders", "installed_orders", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point][: group == plugins.GROUP])
    plugins.load()
    assert "installed" in SAMPLERS
    lost = EntryPoint("orders", "nothing_there", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [lost])
    with pytest.raises(
        plugins.PluginError, match=r"The plug-in 'orders'.*ModuleNotFoundError.*nothing_there"
    ):
        plugins.load()


def test_the_page_takes_none_unless_its_owner_says_so(folder, monkeypatch):
    """Where TINYDIFF_PLUGINS is not set nothing is looked for, not even what is installed."""
    monkeypatch.delenv("TINYDIFF_PLUGINS", raising=False)
    monkeypatch.setattr(plugins, "entry_points", lambda group: pytest.fail("Packages were asked."))
    plugins.load_on_the_page()
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    monkeypatch.setenv("TINYDIFF_PLUGINS", str(folder))
    plugins.load_on_the_page()
    assert "sideways" in SAMPLERS
