"""Texts that a model writes itself, to learn from: an adapter that drafts for a model learns best
what that model would write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import torch

from tinydiff.endings import texts_of
from tinydiff.files import write_text
from tinydiff.generate import generate
from tinydiff.processes import Process
from tinydiff.text import Canvas
from tinydiff.text.corpora import documents_of
from tinydiff.text.tokenizers.subwords import END

WORDS = (4, 30)  # of a text by somebody else, with which one begins
TOGETHER = 16  # texts that are written at once


def beginnings(path: Path, n: int, seed: int) -> list[str]:
    """The first words of n documents of a file, drawn at random. Raises ValueError for an empty
    file."""
    rng, texts, (few, many) = Random(seed), documents_of(path), WORDS
    drawn = (rng.choice(texts).split() for _ in range(n))
    return [" ".join(words[: rng.randint(few, many)]) for words in drawn]


def write(
    process: Process,
    prompts: Sequence[str],
    out: Path,
    tokens: int = 160,
    temperature: float = 0.8,
    seed: int = 0,
) -> Iterator[int]:
    """Write a text behind each prompt into a file, each ended by END, and yield how many there are
    then. Those that an earlier call has written stay; it goes on behind them, as it would have.
    Raises ValueError for prompts that leave no room."""
    known = out.read_text("utf-8").split(f"\n{END}\n")[:-1] if out.is_file() else []
    if len(known) >= len(prompts):
        return
    known = known[: len(known) // TOGETHER * TOGETHER]
    for first in range(len(known), len(prompts), TOGETHER):
        rows = canvas_of(process, prompts[first : first + TOGETHER], tokens)
        *_, frame = generate(process, rows, temperature=temperature, seed=seed + first)
        known += [text.strip() for text in texts_of(process, frame)]
        write_text(out, "".join(f"{text}\n{END}\n" for text in known))
        yield len(known)


def canvas_of(process: Process, prompts: Sequence[str], tokens: int) -> Canvas:
    """A row for each prompt, given, with `tokens` behind the longest."""
    ids = [process.tokenizer.encode(prompt) for prompt in prompts]
    L = max(map(len, ids)) + tokens
    if process.length and process.length < L:
        raise ValueError(f"The prompts and {tokens} tokens are {L}, over {process.length}.")
    given = torch.arange(L) < torch.tensor([[len(each)] for each in ids])
    rows = torch.stack([torch.cat([each, each.new_zeros(L - len(each))]) for each in ids])
    return Canvas(rows, given)
