"""Where a text ends before its canvas does: rules that watch what is written and stop the run.

A rule sees the finished beginning of a text, everything before the first mask. Under noise without
masks nothing is finished before the last step, so there a rule only says where to cut.
"""

from __future__ import annotations

import itertools
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


# the number of characters after which a text ends: (its process, the tokens of its finished
# beginning, the number of characters that were given)
Rule = Callable[[Process, Tensor, int], "int | None"]


def own_end(process: Process, tokens: Tensor, start: int) -> int | None:
    """Where the token stands with which a text of its corpus ends."""
    ends = (
        (tokens == process.tokenizer.end_id).nonzero()
        if process.tokenizer.end_id is not None
        else ()
    )
    return len(process.tokenizer.decode(tokens[: int(ends[0])])) if len(ends) else None


def by_text(find: Callable[[str, int], int | None]) -> Rule:
    """A rule that looks at the text alone."""
    return lambda process, tokens, start: find(process.tokenizer.decode(tokens), start)


RULES: dict[str, Rule] = {
    "length": lambda process, tokens, start: None,
    "end": own_end,
    "blank line": by_text(blank_line),
    "repetition": by_text(repetition),
}


def usual(process: Process) -> str:
    """The rule of which nothing is said: of a process that learned where texts end, that."""
    return "end" if process.ends else "length"


def character_bits(text: str) -> float:
    """The entropy of a text's characters, in bits."""
    return -sum(c / len(text) * math.log2(c / len(text)) for c in Counter(text).values())


def check_rule(name: object) -> None:
    """Raises ValueError, in one sentence, unless it is one of RULES."""
    if not isinstance(name, str) or name not in RULES:
        raise ValueError(
            f"There is no rule {brief(name)} for where a text ends; there are {', '.join(RULES)}."
        )


def finished(process: Process, tokens: Tensor) -> Tensor:
    """The beginning of one text (L,) in which nothing is masked."""
    return tokens[(tokens != process.mask_id).cumprod(0).bool()]


def texts_of(process: Process, frame: Frame, rule: str = "") -> list[str]:
    """The texts of a frame, each up to where it ends by a rule; "" is the `usual` one."""
    rule = rule or usual(process)
    decoded = map(process.tokenizer.decode, frame.tokens)
    return [text[:end] for text, end in zip(decoded, ending(process, frame, rule))]


def between(process: Process, tokens: Tensor, pieces: list[str]) -> list[int]:
    """The numbers of characters after which one text of a stream ends and the next begins: where
    the token stands that ends a text and spells nothing. pieces: what each token spells."""
    ends = itertools.accumulate(map(len, pieces))
    return [n for i, n in zip(tokens.tolist(), ends) if i == process.tokenizer.end_id]


def read_of(process: Process, frame: Frame, rule: str = "") -> list[str]:
    """`texts_of` to be read: in a stream a blank line stands between two texts. What is measured
    is `texts_of`."""
    spelled = map(process.tokenizer.spell, frame.tokens)
    return [
        parted(text, between(process, tokens, pieces))
        for text, tokens, pieces in zip(texts_of(process, frame, rule), frame.tokens, spelled)
    ]


def parted(text: str, ends: list[int]) -> str:
    """A stream with a blank line behind each of its texts but the last."""
    parts = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)])]
    return "\n\n".join(part for part in parts if part)


def until(frames: Iterator[Frame], process: Process, rule: str) -> Iterator[Frame]:
    """The frames until every text has ended by the rule (`ending`), all of them under noise without
    masks. Closing the iterator stops the run, and so does reaching the end. Raises ValueError for
    an unknown rule."""
    check_rule(rule)
    masks = "prefix" in process.traits  # else noise stands there, which may hold an end
    return watched(frames, process, rule) if masks and rule != "length" else frames


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
    given = frame.given.int().cumprod(1).sum(1).tolist()
    starts = [len(process.tokenizer.decode(row[:n])) for row, n in zip(frame.tokens, given)]
    done = [finished(process, row) for row in frame.tokens]
    return [RULES[rule](process, tokens, start) for tokens, start in zip(done, starts)]
