"""Where a text ends before its canvas does: rules that watch what is written and stop the run.

A rule sees the finished beginning of a text, everything before the first mask. Under noise without
masks nothing is finished before the last step, so there a rule only says where to cut.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator

from torch import Tensor

from tinydiff.frames import Frame
from tinydiff.processes import Process
from tinydiff.sentences import brief

SPAN = 256  # characters that are looked at for repetition
# bits of their distribution; of Tiny Shakespeare's windows of 256 the lowest has 3.97, the median
# 4.58
LEAST = 3.5


def blank_line(text: str, start: int) -> int | None:
    """The end of the first paragraph, with its blank line."""
    at = text.find("\n\n", start)
    return None if at < 0 else at + 2


def repetition(text: str, start: int) -> int | None:
    """The first place where the last SPAN characters have too low an entropy (BD3-LM,
    arXiv:2503.09573, stops at low entropy)."""
    stops = range(start + SPAN, len(text) + 1, SPAN // 8)
    return next((stop for stop in stops if character_bits(text[stop - SPAN : stop]) < LEAST), None)


RULES: dict[str, Callable[[str, int], int | None]] = {
    "length": lambda text, start: None,
    "blank line": blank_line,
    "repetition": repetition,
}


def character_bits(text: str) -> float:
    """The entropy of a text's characters, in bits."""
    return -sum(c / len(text) * math.log2(c / len(text)) for c in Counter(text).values())


def check_rule(name: object) -> None:
    """Raises ValueError, in one sentence, unless it is one of RULES."""
    if not isinstance(name, str) or name not in RULES:
        raise ValueError(
            f"There is no rule {brief(name)} for where a text ends; there are {', '.join(RULES)}."
        )


def cut(text: str, start: int, rule: str, mask: str) -> str:
    """A text up to its end by the rule; where the rule finds an end, nothing unfinished is left in
    it. `start` characters were given."""
    return text[: RULES[rule](text.partition(mask)[0], start)]


def finished(process: Process, tokens: Tensor) -> str:
    """The beginning of one text (L,) in which nothing is masked."""
    return process.tokenizer.decode(tokens[(tokens != process.mask_id).cumprod(0).bool()])


def until(frames: Iterator[Frame], process: Process, rule: str) -> Iterator[Frame]:
    """The frames until every text has ended by the rule (`ending`). Closing the iterator stops the
    run, and so does reaching the end. Raises ValueError for an unknown rule."""
    check_rule(rule)
    return watched(frames, process, rule) if rule != "length" else frames


def watched(frames, process, rule):
    before = 0
    try:
        for frame in frames:
            yield frame
            written = (frame.tokens != process.mask_id).cumprod(1).sum().item()
            if written > before and all(ending(process, frame, rule)):
                return
            before = written
    finally:
        frames.close()


def ending(process: Process, frame: Frame, rule: str) -> list[int | None]:
    """The number of characters after which each text of a frame ends; None where it goes on."""
    starts = frame.given.int().cumprod(1).sum(1).tolist()
    return [
        RULES[rule](finished(process, tokens), len(process.tokenizer.decode(tokens[:start])))
        for tokens, start in zip(frame.tokens, starts)
    ]
