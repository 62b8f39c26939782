"""What the documents say is what the code is: the README's program, matrix and tree, CONTRIBUTING's
examples, the imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.test_exact import total_variation
from tinydiff import exact
from tinydiff.cli import documents
from tinydiff.cli.commands import main
from tinydiff.generate import generate
from tinydiff.guides import GUIDES
from tinydiff.noises import NOISES
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, column, sampler
from tinydiff.text import Canvas

ROOT = Path(__file__).parent.parent


def blocks(name, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text("utf-8"), re.S)


@pytest.fixture
def registries():
    """What an example registers is taken out again."""
    every = NOISES, PROCESSES, SAMPLERS, GUIDES
    before = [dict(registry) for registry in every]
    yield
    for registry, old in zip(every, before):
        registry.clear()
        registry.update(old)


def test_the_readme_program_runs(capsys):
    """As it stands, and it prints a text that begins with its prompt after every step."""
    program = next(block for block in blocks("README.md") if "tinydiff.generate" in block)
    exec(compile(program, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("Once upon a time") >= 32


def test_the_documents_are_what_is_computed(capsys):
    """Matrix, tables and trees in README.md and docs/ are what `python -m tinydiff docs` writes
    now; the tree names every module once, with a sentence."""
    assert documents.outdated() == {}, "run `python -m tinydiff docs`"
    assert main(["matrix", "--markdown"]) == 0
    assert capsys.readouterr().out.strip() in (ROOT / "README.md").read_text("utf-8")
    for path in documents.documents():
        held = documents.PART.findall(path.read_text("utf-8"))
        assert len(held) == path.read_text("utf-8").count("<!-- end -->")
    tree = re.findall(r"^ *(\S+\.py|\S+/) +(.*)$", documents.tree(), re.M)
    modules = sorted(path for path in ROOT.glob("tinydiff/**/*.py") if path.name != "__init__.py")
    assert sorted(name for name, _ in tree if name.endswith(".py")) == sorted(
        path.name for path in modules
    )
    assert all(told for _, told in tree)


def test_a_new_method_needs_no_document(registries):
    """What is registered is in the matrix, and documents that do not have it are told to be out of
    date; a part that nothing computes is one sentence."""

    @sampler("sideways", needs={"mask"}, paper="none")
    def sideways(process, denoise, canvas, times, rng):
        """Write sideways."""

    assert (
        "| `sideways` |" in documents.matrix_table()
        and "Write sideways." in documents.matrix_table()
    )
    assert ROOT / "README.md" in documents.outdated()
    with pytest.raises(ValueError, match="There is no part 'nothing'"):
        documents.renewed("<!-- nothing -->\n<!-- end -->\n")


def test_the_readme_is_short():
    """The first read: at most 160 lines, with all that it is to hold."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 160
    assert all(f"<!-- {part} -->" in readme for part in ("matrix", "axis", "rooms"))


# to load, beside torch
SLOW = {
    "gradio",
    "pandas",
    "matplotlib",
    "accelerate",
    "huggingface_hub",
    "httpx",
}


def test_the_core_does_not_know_the_page():
    """A command loads neither the page nor what it does not use, so that it starts nearly as soon
    as torch; app.py imports no torch.
    """
    code = (
        "import sys, tinydiff.cli.commands as it; it.main(['matrix']); sys.exit(' "
        "'.join(set(sys.argv[1:]) & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *SLOW], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.stderr.strip() == "" and ended.stdout.count("ancestral") == 1
    tree = ast.parse((ROOT / "app.py").read_text("utf-8"))
    names = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not any(name.split(".")[0] == "torch" for name in names)


def test_gradio_writes_no_stubs():
    """Where tinydiff.ui is imported first, Gradio's components are made without the files for
    editors, and are whole."""
    import gradio
    from gradio import component_meta

    import tinydiff.ui

    assert component_meta.create_or_modify_pyi is tinydiff.ui.no_stubs
    assert not any(isinstance(finder, tinydiff.ui.WithoutStubs) for finder in sys.meta_path)

    class Own(gradio.HTML):
        """A component."""

    assert callable(Own().change) and not list(ROOT.glob("tests/*.pyi"))


ORDER = documents.ROOMS


# what stands beside the rooms, and the last room that each may import
BESIDE = {
    "tinydiff/__init__.py": "train",
    "tinydiff/__main__.py": "cli",
    "app.py": "ui",
    "train_space.py": "cli",
}
FILES = sorted([*ROOT.glob("tinydiff/**/*.py"), ROOT / "app.py", ROOT / "train_space.py"])


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, also inside a function, by their names below
    the package: "nets.network", "" for the package itself."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.relative_to(ROOT)}: write whole names, no dots"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if is_module(name) else node.module for name in whole}
    return {name.partition(".")[2] for name in found if name.partition(".")[0] == "tinydiff"}


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def module_of(path: Path) -> str:
    """As `imports` names it; of what stands beside the package, the file's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts[1:] if part != "__init__") or path.stem


def test_imports_only_point_left():
    """In the reading order, no module imports from a room behind its own, not even inside a
    function; every module stands in a room, and what stands beside them has a last room."""
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        last = BESIDE.get(name) or path.relative_to(ROOT / "tinydiff").parts[0].removesuffix(".py")
        for target in imports(path):
            wrong = f"{name} imports {target or 'the whole package'}"
            assert target and ORDER.index(target.split(".")[0]) <= ORDER.index(last), wrong


def test_no_modules_import_each_other():
    """Modules can be read one after the other, each after all that it imports, inside a room
    too."""
    left = {module_of(path): imports(path) for path in FILES}
    while ready := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ready:
            del left[name]
    assert not left


def test_lines_have_at_most_100_columns():
    """In every Python file, also those without a blank and those that end in an address, which
    ruff's E501 spares."""
    for path in [*ROOT.glob("tinydiff/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("*.py")]:
        lines = path.read_text("utf-8").splitlines()
        wide = [n for n, line in enumerate(lines, 1) if len(line) > 100]
        assert not wide, f"{path.relative_to(ROOT)}, lines {wide}"


def test_the_examples_of_contributing(registries, language, rng):
    """The example process and sampler register themselves, find each other, and are exact."""
    names = {"__name__": "example"}
    for block in blocks("CONTRIBUTING.md"):
        exec(compile(block, "CONTRIBUTING.md", "exec"), names)
    assert column(PROCESSES["backwards"]) == ["right_to_left"]
    model = exact.perfect("backwards", language)
    x = language.sample(4000, 4, rng)
    nats = model.bound(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng)
    assert abs(nats.mean().item() - language.entropy(4)) < 4 * nats.std().item() / 4000**0.5
    *_, frame = generate(model, Canvas.blank(4, 4000))
    assert total_variation(frame.tokens, language) < 0.03
    *_, hasty = generate(model, Canvas.blank(4, 4000), haste=4)
    assert total_variation(hasty.tokens, language) > 0.3


def test_no_pickle_is_read_or_written():
    """Promise 5: nothing in the code loads or saves in a format that can execute."""
    for path in [*ROOT.glob("tinydiff/**/*.py"), ROOT / "app.py", ROOT / "train_space.py"]:
        assert not re.search(
            r"\btorch\.(load|save)\(|\bpickle\b(?! weights)|trust_remote_code",
            path.read_text("utf-8"),
        ), path
