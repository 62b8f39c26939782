"""A cache of pictures: plain data in assets/pictures, each file named after what it was computed
from.

The name is a hash of everything that the data depends on: the source file of the function that
makes it, the function's arguments, and what else it reads. So what is found is what would be
computed, and after any change it is not found and is computed. `python -m tinydiff.ui.pictures`
makes all pictures that the page opens with, and deletes the others.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from tinydiff.paths import ASSETS

Plain = TypeVar("Plain")  # what JSON can hold

FOLDER = ASSETS / "pictures"


def stored(make: Callable[..., Plain], *what, reads: object = ()) -> Plain:
    """make(*what), taken from the cache if it is there. `what` and `reads` are plain data,
    dataclasses of plain data, or functions; reads is what the result depends on beside the
    arguments."""
    path = FOLDER / f"{key(make, what, reads)}.json.gz"
    return read(path) if path.is_file() else make(*what)


def read(path: Path):
    return json.loads(gzip.decompress(path.read_bytes()))


def write(path: Path, value) -> None:
    """Write a value; the same value always gives the same bytes."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(value, ensure_ascii=False).encode(), mtime=0))


def key(make: Callable, what: tuple, reads: object) -> str:
    """The name of a cached value: 20 hexadecimal digits."""
    depends = [
        text(make.__code__.co_filename),
        make.__qualname__,
        [named(part) for part in what],
        reads,
    ]
    # a picture that is drawn by a function of another file depends on that file too
    home = make.__code__.co_filename
    files = {f.__code__.co_filename for f in what if hasattr(f, "__code__")} - {home}
    depends += [text(path) for path in sorted(files)]
    return hashlib.sha256(repr(depends).encode()).hexdigest()[:20]


def named(part: object) -> object:
    """A function is represented by its name, because its text is part of the source file's."""
    return getattr(part, "__qualname__", part)


@lru_cache(maxsize=8)
def text(path: str | Path) -> str:
    """The text of a source file."""
    return Path(path).read_text("utf-8")
