"""Parts of sentences to people: how values are named, what counts as a number or a text, and lines
that are printed."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TextIO

HUGE = 1e300  # no number of ours is larger
NAME = 200  # characters that a name has at the most
SPOKEN = 500  # characters of a sentence, at most about
# what a terminal obeys, or lets the text around it stand elsewhere: controls (C0, DEL, C1), marks
# and overrides of writing direction, line separators; and halves of characters, which cannot be
# written
OBEYED = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
PICTURES = {chr(i): chr(0x2400 + i) for i in range(0x20)} | {"\x7f": "\u2421"}


def brief(value: object, room: int = 60) -> str:
    """A value as a sentence names it: its repr, shortened if it is long, so that no answer is as
    long as what was sent."""
    try:
        words = repr(value)
    except ValueError:  # Python refuses to write out whole numbers of more than 4,300 digits
        return "a number of thousands of digits"
    except RecursionError:
        return "brackets within brackets"
    return words if len(words) <= room else f"{words[:room]}... ({len(words):,} characters)"


def table(head: str, *rows: str) -> list[str]:
    """The lines of a table in Markdown; the cells of a row stand between bars, "a | b"."""
    rule = "|---" * (1 + head.count("|")) + "|"
    return [f"| {head} |", rule, *(f"| {row} |" for row in rows)]


def listed(names: Sequence[str], most: int = 40) -> str:
    """Names as a sentence lists them; of very many, the first."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def is_text(value: object) -> bool:
    """Whether it is a text that UTF-8 can encode, without lone surrogates."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def is_number(value: object) -> bool:
    """Whether it is a finite number that a float can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= HUGE


def clean(text: str) -> str:
    """Text that a terminal shows and does not obey, whoever wrote it: controls become their
    pictures, ␛ for ESC, other such signs �. Line breaks and tabs stay."""
    return OBEYED.sub(lambda found: PICTURES.get(found[0], "\ufffd"), text)


def say(text: object, to: TextIO | None = None) -> None:
    """Print a line, cleaned. Everything that these programs print goes through here, or through
    `clean` into what rich draws."""
    stream = to or sys.stdout
    encoding = stream.encoding or "utf-8"
    print(clean(str(text)).encode(encoding, "replace").decode(encoding), file=stream, flush=True)


def sentence(words: object) -> str:
    """Words on one line, shortened if they are far too many."""
    line = " ".join(str(words).split())
    return line if len(line) <= SPOKEN else f"{line[: SPOKEN - 100]} ... {line[-100:]}"
