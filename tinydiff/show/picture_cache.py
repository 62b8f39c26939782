"""What is made again and again from the same numbers, made once: plain data in assets/pictures,
each file named after what it was made from.

The name is a hash of everything that the data depends on: the text of the file in which the
function stands that makes it, what the function was given, and what else it reads. So what is found
is what would be made, and where anything has changed nothing is found and it is made. `python -m
tinydiff.ui.pictures` makes all that the page opens with, and throws the rest away.
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
    """make(*what), or what it once was for the same. `what` and `reads` are plain data, dataclasses
    of it, or functions; reads is what else the result depends on.
    """
    path = FOLDER / f"{key(make, what, reads)}.json.gz"
    return read(path) if path.is_file() else make(*what)


def read(path: Path):
    return json.loads(gzip.decompress(path.read_bytes()))


def write(path: Path, value) -> None:
    """The same bytes for the same value, whenever it is written."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(value, ensure_ascii=False).encode(), mtime=0))


def key(make: Callable, what: tuple, reads: object) -> str:
    """20 hexadecimal digits."""
    depends = [
        text(make.__code__.co_filename),
        make.__qualname__,
        [named(part) for part in what],
        reads,
    ]
    return hashlib.sha256(repr(depends).encode()).hexdigest()[:20]


def named(part: object) -> object:
    """A function counts by its name: its text is part of the file's."""
    return getattr(part, "__qualname__", part)


@lru_cache(maxsize=8)
def text(path: str | Path) -> str:
    """The text of a file, for `reads`."""
    return Path(path).read_text("utf-8")
