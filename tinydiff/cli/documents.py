"""The computed parts of README.md and docs/: matrix, tables and trees, written by `python -m
tinydiff docs`.

A part stands between two comments, of which the first names it: <!-- matrix --> and <!-- end -->.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tinydiff.claims import told
from tinydiff.files import write_text
from tinydiff.measure import controlled, drafted
from tinydiff.measure.tables import TABLES
from tinydiff.paths import ASSETS, PACKAGE
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, matrix
from tinydiff.sentences import say

ROOT = ASSETS.parent
# in reading order; no room imports from one behind it
ROOMS = (
    "sentences",
    "paths",
    "papers",
    "files",
    "plugins",
    "uncertainty",
    "randomness",
    "text",
    "options",
    "schedules",
    "predictions",
    "matching",
    "noises",
    "nets",
    "processes",
    "classifier",
    "doubt",
    "drafts",
    "samplers",
    "frames",
    "guides",
    "particles",
    "generate",
    "endings",
    "rewrite",
    "exact",
    "show",
    "store",
    "runs",
    "recipes",
    "train",
    "measure",
    "gaps",
    "mending",
    "claims",
    "ui",
    "deploy",
    "cli",
)
BESIDE = {
    "assets/": "bundled models, recorded runs and pictures",
    "docs/": "what was measured, training, the Hub, deploying, every file",
    "tests/": "what is proven: exact languages, contracts, bad input, the page in a browser",
}
ALONE = {"schedules", "generate", "exact", "runs"}  # modules that the README shows
PART = re.compile(r"(?<=^<!-- )(?!end )([a-z]+)( -->\n).*?(?=^<!-- end -->)", re.M | re.S)


def matrix_table() -> str:
    """Which sampler fits which process."""
    fits = matrix()
    lines = [
        "| sampler | " + " | ".join(PROCESSES) + " | what it does |",
        "|---|" + ":-:|" * len(PROCESSES) + "---|",
    ]
    for name, chosen in SAMPLERS.items():
        marks = " | ".join("✓" if fits[p, name] else " " for p in PROCESSES)
        lines.append(f"| `{name}` | {marks} | {chosen.about} |")
    return "\n".join(lines)


# ---------------------------------------------------------------- the tree


def about(path: Path) -> str:
    """The first sentence of a module's docstring; a folder's is its __init__.py's."""
    module = path / "__init__.py" if path.is_dir() else path
    whole = " ".join((ast.get_docstring(ast.parse(module.read_text("utf-8"))) or "").split())
    return re.split(r"(?<=[^.][.?!])\s", whole)[0].removesuffix(".")  # "4 ..." ends none


def rooms() -> str:
    """The rooms of the package in reading order, a line each, and the modules that stand alone and
    are no helpers."""
    rows = [(name, about(ROOT / name)) for name in ("app.py", "train_space.py")]
    rows += [*BESIDE.items(), ("tinydiff/", about(PACKAGE))]
    return drawn([*rows, *(("  " + room(name)[0], room(name)[1]) for name in ROOMS if shown(name))])


def shown(name: str) -> bool:
    return (PACKAGE / name).is_dir() or name in ALONE


def room(name: str) -> tuple[str, str]:
    path = PACKAGE / name
    return (
        (f"{name}/", about(path))
        if path.is_dir()
        else (f"{name}.py", about(PACKAGE / f"{name}.py"))
    )


def tree() -> str:
    """Every module of the package, the rooms in reading order."""
    rows = [("tinydiff/", about(PACKAGE))]
    for name in ROOMS:
        rows += [("  " + room(name)[0], room(name)[1]), *inside(PACKAGE / name, 4)]
    return drawn([*rows, ("  __main__.py", about(PACKAGE / "__main__.py"))])


def inside(folder: Path, indent: int) -> Iterator[tuple[str, str]]:
    """The modules of a folder, with those of its folders."""
    for path in sorted(folder.glob("*")):
        if path.is_dir() and (path / "__init__.py").is_file():
            yield " " * indent + path.name + "/", about(path)
            yield from inside(path, indent + 2)
        elif path.suffix == ".py" and path.name != "__init__.py":
            yield " " * indent + path.name, about(path)


def drawn(rows: list[tuple[str, str]]) -> str:
    """Names and sentences in two columns."""
    wide = max(len(name) for name, _ in rows) + 2
    return "\n".join(["```text", *(f"{name:{wide}}{sentence}" for name, sentence in rows), "```"])


# ---------------------------------------------------------------- the files

PARTS: dict[str, Callable[[], str]] = {"matrix": matrix_table, "rooms": rooms, "tree": tree}
PARTS |= TABLES | controlled.TABLES | drafted.TABLES | {"claims": told.markdown}


def documents() -> list[Path]:
    """The files that hold computed parts."""
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def renewed(text: str) -> str:
    """A document with its computed parts as they would be computed now. Raises ValueError for a
    part that nothing computes."""
    if unknown := [name for name, _ in PART.findall(text) if name not in PARTS]:
        raise ValueError(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.")
    return PART.sub(lambda found: f"{found[1]}{found[2]}{PARTS[found[1]]()}\n", text)


def outdated() -> dict[Path, str]:
    """The documents of which a computed part is not what it would be now, as they should be. Raises
    ValueError outside of a clone of the repository."""
    if not (ROOT / "README.md").is_file():
        raise ValueError("The documents are no part of an installation: run it in a clone.")
    texts = {path: path.read_text("utf-8") for path in documents()}
    renewals = {path: renewed(text) for path, text in texts.items()}
    return {path: now for path, now in renewals.items() if now != texts[path]}


def write_all(check: bool = False) -> int:
    """Write what is out of date, or with `check` only tell; the exit status."""
    for path, now in (changed := outdated()).items():
        say(f"{path.relative_to(ROOT)} {'is out of date' if check else 'is written anew'}")
        if not check:
            write_text(path, now)
    return int(check and bool(changed))
