"""How one file becomes a method: the modules of a folder are imported, and register what they
define.

This is how the package's own folders (noises/, nets/, processes/, samplers/, guides/,
text/tokenizers/) are read, the entry points `tinydiff.plugins` of installed packages, and the files
of a folder that the machine's owner names (`--plugins FOLDER`, or the variable TINYDIFF_PLUGINS).
Plug-ins are programs and are run: name only what you wrote or read.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

VARIABLE, GROUP = "TINYDIFF_PLUGINS", "tinydiff.plugins"


ABOUT = (
    "also take noises, processes, networks, samplers, guides and tokenizers from the Python files "
    f"in this folder, which are run (or name it in {VARIABLE})"
)


class PluginError(ValueError):
    """A plug-in that cannot be loaded; the message is one sentence that says which and why."""


def register(registry: dict, kind: str, name: str, thing) -> None:
    """Put a thing into a registry. Raises ValueError where another thing has its name."""
    there = registry.get(name)
    if there is not None and where(there) != where(thing):
        raise ValueError(f"There is a {kind} {name!r} already, in {there.__module__}: rename it.")
    registry[name] = thing


def check_class(cls: type, kind: str, needed: Sequence[str]) -> None:
    """Raises ValueError, in one sentence, for a class that lacks one of the attributes `needed`."""
    lacking = [name for name in needed if not hasattr(cls, name)]
    if lacking:
        raise ValueError(f"The {kind} {cls.name!r} does not say its {', '.join(lacking)}.")


def where(thing) -> tuple[str, str]:
    return thing.__module__, thing.__qualname__


def discover(package: str, path: list[str]) -> None:
    """Import every module of a folder of the package."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")


def folder_of(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """The folder that `--plugins` names in a command line, and the other arguments."""
    words, folder = list(argv), None
    for i, word in enumerate(words):
        if word == "--plugins" and i + 1 < len(words):
            folder = words[i + 1]
            return folder, words[:i] + words[i + 2 :]
        if word.startswith("--plugins="):
            return word.partition("=")[2], words[:i] + words[i + 1 :]
    return folder, words


def load(folder: str | Path | None = None) -> list[str]:
    """Import the installed plug-ins and the files of a folder, once each; returns their names. By
    default the folder is the one in TINYDIFF_PLUGINS. Raises PluginError."""
    folder = folder or os.environ.get(VARIABLE) or None
    loaded = [import_entry(entry) for entry in entry_points(group=GROUP)]
    if folder is None:
        return loaded
    folder = Path(folder)
    if not folder.exists():
        raise PluginError(f"There is no folder of plug-ins {str(folder)!r}: name one that exists.")
    files = [folder] if folder.is_file() else sorted(folder.glob("[!_]*.py"))
    return loaded + [import_file(path) for path in files]


def load_on_the_page() -> None:
    """`load` where the page's owner has set TINYDIFF_PLUGINS. Else nothing is imported, not even
    installed plug-ins, because strangers reach the page."""
    if os.environ.get(VARIABLE):
        load()


def import_entry(entry) -> str:
    """An installed plug-in."""
    try:
        entry.load()
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises
        raise failed(entry.name, error) from error
    return entry.name


def import_file(path: Path) -> str:
    """Import a file of a folder under a name of its own, unless it was imported already."""
    name = f"tinydiff_plugins.{path.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises
        del sys.modules[name]
        raise failed(str(path.resolve()), error) from error
    return path.stem


def failed(name: str, error: Exception) -> PluginError:
    words = " ".join(str(error).split())[:200].rstrip(".")
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    at = f", line {lines[-1]}" if lines else ""
    return PluginError(
        f"The plug-in {name!r} cannot be loaded ({type(error).__name__}{at}: {words})."
    )
