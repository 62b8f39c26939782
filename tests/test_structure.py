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
from tinydiff.generate import generate
from tinydiff.guides import GUIDES
from tinydiff.noises import NOISES
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, column
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
    assert capsys.readouterr().out.count("ROMEO: ") == 32


def test_the_readme_matrix_is_the_code_s():
    """The table in the README is the one that `python -m tinydiff matrix --markdown` prints."""
    from tinydiff.cli.documents import matrix_table

    assert matrix_table().strip() in (ROOT / "README.md").read_text("utf-8")


def test_the_readme_tree_names_the_files_there_are():
    """Every module is in the tree and every file in the tree exists."""
    tree = next(block for block in blocks("README.md", "text") if "tinydiff/" in block)
    named, folders = set(), {}
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        if not (match := re.match(r"\s*(\S+?)(\s{2,}|$)", line)):
            continue
        folders[indent] = match[1]
        path = (
            "".join(folders[i] for i in sorted(folders) if i < indent and folders[i].endswith("/"))
            + match[1]
        )
        folders = {i: f for i, f in folders.items() if i <= indent}
        named.add(path)
        assert (ROOT / path).exists(), path
    modules = {str(path.relative_to(ROOT)) for path in ROOT.glob("tinydiff/**/*.py")} | {
        "app.py",
        "train_space.py",
    }
    assert modules - {path for path in modules if path.endswith("__init__.py")} <= named


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


ORDER = [
    "sentences",
    "paths",
    "files",
    "plugins",
    "uncertainty",
    "text",
    "options",
    "randomness",
    "schedules",
    "predictions",
    "noises",
    "nets",
    "processes",
    "samplers",
    "guides",
    "generate",
    "endings",
    "rewrite",
    "exact",
    "show",
    "store",
    "runs",
    "train",
    "measure",
    "ui",
    "deploy",
    "cli",
]


def test_imports_only_point_left():
    """In the reading order, no module imports from a room behind its own, not even inside a
    function; every module stands in a room."""
    for path in sorted(ROOT.glob("tinydiff/**/*.py")):
        room = path.relative_to(ROOT / "tinydiff").parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinydiff"):
                below = node.module.removeprefix("tinydiff").removeprefix(".")
                targets = [below.split(".")[0]] if below else [alias.name for alias in node.names]
                for target in targets:
                    wrong = f"{path.relative_to(ROOT)} imports {target}"
                    assert ORDER.index(target) <= ORDER.index(room), wrong


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
