"""A Canvas is text to be written: what stands there, and what of it may not change.

Prompt, infilling and source are all `given`, and given positions are at time 0 (`Canvas.time`),
which is all that any process needs to know. Padding is open, and counts as no part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tinydiff.sentences import brief
from tinydiff.text.tokenizers import Tokenizer

BLANK, UNDERSCORE = "␣", "_"  # what a template writes for "to be filled in"
GAP = "…"  # what it writes for some words in a row
GAP_ROOM = {"characters": 48}  # tokens of one by the word for them
GAP_PIECES = 12  # and where they are pieces of words
MAX_CANVAS = 1 << 20  # tokens: more is a slip of the finger, not a text


@dataclass(frozen=True)
class Canvas:
    """Text to be written: what stands there, and what of it may not change."""

    tokens: Tensor  # (B, L) int64; what stands at a position that is not given does not matter
    given: Tensor  # (B, L) bool: prompt, infill context, source
    # (B,) int64 classes for guidance, or (B, k) of several attributes; None is unconditional
    label: Tensor | None = None
    padding: Tensor | None = None  # (B, L) bool: open, but no part of the text (see `counted`)

    @staticmethod
    def blank(length: int, batch: int = 1) -> Canvas:
        """Nothing given: `batch` texts of `length` tokens."""
        check_size(length, batch)
        return Canvas(
            torch.zeros(batch, length, dtype=torch.int64),
            torch.zeros(batch, length, dtype=torch.bool),
        )

    @staticmethod
    def prompt(
        tokenizer: Tokenizer, text: str, length: int, suffix: str = "", batch: int = 1
    ) -> Canvas:
        """`text` given at the start, `suffix` at the end, `length` tokens in all.

        Raises ValueError for what the tokenizer cannot write, and if no room is left to write in.
        """
        canvas = Canvas.blank(length, batch)
        before, behind = tokenizer.encode(text), tokenizer.encode(suffix)
        if (taken := len(before) + len(behind)) >= length:
            raise ValueError(
                f"The prompt has {taken} {tokenizer.unit} and the text only {length}: "
                "shorten the prompt or ask for a longer text."
            )
        for ids, start in ((before, 0), (behind, length - len(behind))):
            canvas.tokens[:, start : start + len(ids)] = ids
            canvas.given[:, start : start + len(ids)] = True
        return canvas

    @staticmethod
    def template(tokenizer: Tokenizer, text: str, batch: int = 1) -> Canvas:
        """`text` given except at its `blanks`, each of which is one token to be written, and at its
        gaps, each of which is as many as some ten words have (`widened`). Pieces of words begin
        with their space, so one before a blank belongs to it.

        Raises ValueError if there is no blank, and for what the tokenizer cannot write.
        """
        text, space = widened(tokenizer, text), "" if tokenizer.one_way else " ?"
        parts = re.split(f"({space}[{blanks(tokenizer)}])", text)  # every second one is a blank
        if len(parts) == 1:
            raise ValueError(
                f"The template has no blank: write {blanks(tokenizer)[-1]!r} for each of the "
                f"{tokenizer.unit} to be filled in."
            )
        tokens, open_, place = [], [], 0
        for k, part in enumerate(parts):
            ids = torch.zeros(1, dtype=torch.int64) if k % 2 else tokenizer.encode(part, place)
            tokens.append(ids), open_.append(torch.full((len(ids),), k % 2 == 1))
            place += len(part)
        check_size(sum(map(len, tokens)), batch)
        return Canvas(torch.cat(tokens).repeat(batch, 1), ~torch.cat(open_).repeat(batch, 1))

    def time(self, t: float | Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Time at each position, (B, L): `t` (a number, (B,) or (B, L)), but 0 where given."""
        t = torch.as_tensor(t, dtype=dtype, device=self.tokens.device)
        return torch.where(self.given, 0.0, t[:, None] if t.ndim == 1 else t)

    @property
    def counted(self) -> Tensor:
        """The tokens over which nats are averaged, (B, L) bool.

        Losses and bounds are sums over all open positions, padding too, because padding tells where
        the text ends: a bound that left it out, but let the network see it, would get the length
        for free and lie below -log p of the text. As the padding follows from the text, p(text) =
        p(text and padding), and the sum over both is a bound on the text.
        """
        return ~self.given if self.padding is None else ~(self.given | self.padding)

    def characters(self, tokenizer: Tokenizer) -> Tensor:
        """How many characters the counted tokens of each row spell, (B,)."""
        return torch.where(self.counted, tokenizer.counts(self.tokens), 0).sum(1)

    def with_written(self, tokens: Tensor, where: Tensor) -> Canvas:
        """The canvas with `tokens` (B, L) given as well where `where` (B, L) is True."""
        tokens = torch.where(where & ~self.given, tokens, self.tokens)
        return replace(self, tokens=tokens, given=self.given | where)

    def slice(self, start: int, stop: int) -> Canvas:
        """Columns start .. stop of the canvas."""
        padding = None if self.padding is None else self.padding[:, start:stop]
        return replace(
            self,
            tokens=self.tokens[:, start:stop],
            given=self.given[:, start:stop],
            padding=padding,
        )

    def with_label(self, label: Tensor | None) -> Canvas:
        """The same text with another class for each row, (B,), with several, (B, k), or with
        none."""
        return replace(self, label=label)

    def part(self, part: int, parts: int) -> Canvas:
        """The rows of one of `parts` equal parts of the batch."""
        size = len(self.tokens) // parts
        return self.each(lambda x: x[part * size : (part + 1) * size])

    def repeated(self, times: int) -> Canvas:
        """Each text so many times, one beside the other. Raises ValueError where there is no room
        for them."""
        if times == 1:
            return self
        check_size(self.tokens.shape[1], len(self.tokens) * times)
        return self.each(lambda x: x.repeat_interleave(times, 0))

    def to(self, device) -> Canvas:
        return self.each(lambda x: x.to(device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Canvas:
        """The canvas with `change` applied to every tensor."""
        parts = (self.tokens, self.given, self.label, self.padding)
        return Canvas(*(None if x is None else change(x) for x in parts))


def blanks(tokenizer: Tokenizer) -> str:
    """The signs that are blanks of a template: BLANK, and UNDERSCORE too, the one that is easier to
    type, if the tokenizer has no such character."""
    return BLANK if tokenizer.writes(UNDERSCORE) else BLANK + UNDERSCORE


def widened(tokenizer: Tokenizer, text: str) -> str:
    """A template with blanks in the place of every GAP; GAP stays where it is a letter of the
    alphabet."""
    if tokenizer.unit in GAP_ROOM and tokenizer.writes(GAP):
        return text
    return text.replace(GAP, BLANK * GAP_ROOM.get(tokenizer.unit, GAP_PIECES))


def is_template(text: str) -> bool:
    """Is there something to be written before the end of what is given?"""
    return BLANK in text or GAP in text.rstrip().rstrip(GAP)


def check_size(length: int, batch: int) -> None:
    if not (isinstance(length, int) and isinstance(batch, int) and length >= 1 and batch >= 1):
        raise ValueError(
            f"A text needs at least one token, not length {brief(length)} and batch {brief(batch)}."
        )
    if length * batch > MAX_CANVAS:
        raise ValueError(
            f"{brief(batch)} texts of {brief(length)} tokens are more than the "
            f"{MAX_CANVAS:,} there is room for."
        )
