"""The page's scripts as one: ES modules that import from each other, joined into a plain script.

A component of Gradio takes the body of a function, and an exported page may fetch nothing: neither
can import. So the modules of ui/static are joined here, each in a function of its own, ordered by
their imports. Three forms of the language of modules are understood, each on lines of its own, and
anything else is refused:

    import {a, b} from "./x.js";              its path from the file that asks
    import * as views from "./views/*.js";    what all files of a folder export
    export function a ... | export class a ... | export const a ...

"./views/*.js" also stands for the scripts beside noises and processes from outside the package:
simplex.py may bring simplex.js, written as if it lay in views. This file does not know gradio.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tinydiff.noises import NOISES
from tinydiff.paths import PACKAGE, STATIC
from tinydiff.processes import PROCESSES

IMPORT = re.compile(r'^import (?:\{([\w\s,]+)\}|\* as (\w+)) from "(\.\.?/[\w/*-]+\.js)";\n', re.M)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.M)
OTHER = re.compile(r"^(?:import|export)\b.*", re.M)
COMMENT = re.compile(r"^ *//.*\n", re.M)
VIEWS = STATIC / "views"  # a view for each kind of noise, by name


def bundle(entry: str) -> str:
    """A module of ui/static and all that it imports, as a plain script that puts the module's
    exports into the global `tinydiff`.

    Raises ValueError, in one sentence, for circular imports, for an import of what is not exported,
    and for any form other than the three.
    """
    done: dict[Path, str] = {}
    join(STATIC / entry, done, ())
    modules, end = "".join(done.values()), place(STATIC / entry)
    return f"globalThis.tinydiff = (() => {{\n{modules}return {end};\n}})();\n"


def join(path: Path, done: dict[Path, str], above: tuple[Path, ...]) -> None:
    """Put a module into `done`, after the modules that it imports."""
    if path in above:
        raise ValueError(
            f"{path.name} and {above[-1].name} import each other: part what both need."
        )
    if path in done:
        return
    text = path.read_text("utf-8")
    for names, _, asked in IMPORT.findall(text):
        for file in files(asked, path):
            join(file, done, (*above, path))
            missing = sorted(set(words(names)) - set(exports(file.read_text("utf-8"))))
            if missing:
                raise ValueError(
                    f"{path.name} imports {missing[0]}, which {asked} does not export."
                )
    done[path] = wrapped(path, text)


def wrapped(path: Path, text: str) -> str:
    """A module as a constant that holds its exports."""
    body = EXPORT.sub("", IMPORT.sub(lambda found: imported(found, path), text))
    if other := OTHER.search(body):
        raise ValueError(f"{path.name} has {other[0]!r}, a form that is not understood here.")
    body = COMMENT.sub("", body).strip()
    given = ", ".join(exports(text))
    return f"const {place(path)} = (() => {{\n{body}\nreturn {{{given}}};\n}})();\n"


def imported(found: re.Match, path: Path) -> str:
    """An import of the module at `path` as a constant."""
    names, whole, asked = found.groups()
    modules = [place(file) for file in files(asked, path)]
    if names:
        return f"const {{{', '.join(words(names))}}} = {modules[0]};\n"
    members = ", ".join(f"...{module}" for module in modules)
    return f"const {whole} = {{{members}}};\n"


def words(names: str) -> list[str]:
    return re.findall(r"\w+", names)


def exports(text: str) -> list[str]:
    """The names that a module exports."""
    return EXPORT.findall(text)


def files(asked: str, path: Path) -> list[Path]:
    """The modules that an import in the module at `path` names. Raises ValueError if there are
    none."""
    home = path.parent if path.is_relative_to(STATIC) else VIEWS
    folder = (home / asked).resolve().parent
    found = sorted(folder.glob(Path(asked).name)) + (brought() if asked == "./views/*.js" else [])
    if not found:
        raise ValueError(f"{path.name} imports {asked}, and there is no such file.")
    return found


def brought() -> list[Path]:
    """The scripts beside noises and processes from outside the package that share their file's
    name."""
    kinds = [*NOISES.values(), *PROCESSES.values()]
    modules = (sys.modules.get(cls.__module__) for cls in kinds)
    homes = {
        Path(file).resolve() for module in modules if (file := getattr(module, "__file__", ""))
    }
    scripts = {home.with_suffix(".js") for home in homes if not home.is_relative_to(PACKAGE)}
    return sorted(script for script in scripts if script.is_file())


def place(path: Path) -> str:
    """The name of the constant that holds a module."""
    name = path.relative_to(STATIC) if path.is_relative_to(STATIC) else Path("views", path.name)
    return "$" + re.sub(r"\W", "_", str(name.with_suffix("")))
