"""What sentences to people are made of: values as they name them, and what counts as a number or a
text."""

from __future__ import annotations

import re

HUGE = 1e300  # no number of ours is larger


def brief(value: object, room: int = 60) -> str:
    """A value as a sentence names it: its repr, of a long one the beginning, so that no answer is
    as long as what was sent."""
    try:
        words = repr(value)
    except ValueError:  # Python refuses to write out whole numbers of more than 4,300 digits
        return "a number of thousands of digits"
    except RecursionError:
        return "brackets within brackets"
    return words if len(words) <= room else f"{words[:room]}... ({len(words):,} characters)"


def is_text(value: object) -> bool:
    """Is it a text that can be written in UTF-8, without halves of characters?"""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def is_number(value: object) -> bool:
    """Is it a finite number, and not so large that a float could not hold it?"""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= HUGE
