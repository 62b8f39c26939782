"""How much sense a text makes to a second model: the share of its sentences in which it stumbles
over no word, and the words that it stumbles over.

The judge is the bundled autoregressive model of the same text (`judge_of`). It stumbles
where a word, its pieces together, was less likely than one in 8,000 to it, knowing all before. Real
text does that too, for it says what nobody expects: its own share is the value to compare with, and
that of words in random order the other end. A judge who stumbles over most of real text, as that of
Shakespeare in characters does, is not asked.
"""

from __future__ import annotations

import re
from functools import lru_cache

import torch
import torch.nn.functional as F

from tinydiff import uncertainty
from tinydiff.processes import Process
from tinydiff.randomness import seeded
from tinydiff.store import catalogue
from tinydiff.text import Canvas
from tinydiff.uncertainty import Mean

STUMBLE = 9.0  # nats of a word: a chance of one in 8,100
TELLING = 0.5  # of the sentences of real text that at least make sense to a judge who can be asked
# with the mark and the quotes that end it; the last one may be cut
SENTENCE = re.compile(r"[^.!?]*[^\W\d_][^.!?]*(?:[.!?]+[\"'”]?|$)")

WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")

Span = tuple[int, int]  # where a word begins in a text, and where it ends


def judge_of(process: Process) -> Process | None:
    """The bundled judge that can score a process's texts: it learned the same corpus with the same
    tokenizer. None where there is none."""
    judge = catalogue.judge(process.corpus)
    return judge if judge and judge.tokenizer == process.tokenizer else None


@lru_cache(maxsize=16)  # its sense and its slips are asked for one after the other
def surprises(text: str, judge: Process) -> tuple[tuple[Span, float], ...]:
    """The words of a text and the signs between them, each with its nats to an autoregressive
    judge, given all before it in the judge's window; () where it cannot write the text."""
    if not text or not all(map(judge.tokenizer.writes, set(text))):
        return ()
    found: list[list] = []
    end = 0
    for part in judge.tokenizer.encode(text).split(judge.length):
        canvas = Canvas(part[None], torch.zeros(1, len(part), dtype=torch.bool))
        with torch.no_grad():
            raw = judge.logits(canvas.tokens, canvas.time(1.0), None)
        nats = F.cross_entropy(raw[0].float(), part, reduction="none").tolist()
        for token, surprise in zip(part.tolist(), nats):
            piece = judge.tokenizer.pieces[token]
            begin, end = end, end + len(piece)
            if found and piece[:1].isalpha():  # goes on with a word, or with the space before it
                found[-1][1:] = end, found[-1][2] + surprise
            else:
                found.append([begin, end, surprise])
    return tuple(((begin, end), nats) for begin, end, nats in found)


def stumbles(text: str, judge: Process) -> list[Span]:
    """The words over which a judge stumbles, without the space before them; not those at either
    end, which may be cut."""
    found = []
    for (begin, end), nats in surprises(text, judge):
        word = text[begin:end]
        if nats > STUMBLE and word.strip() and begin > 0 and end < len(text):
            found.append((begin + len(word) - len(word.lstrip()), end))
    return found


def slips(text: str, process: Process) -> list[Span]:
    """The words of what a process wrote that are in no dictionary, or over which its judge
    stumbles, in their order; [] where nobody judges it."""
    judge = judge_of(process)
    if judge is None:
        return []
    known = catalogue.words(process.corpus)
    all_ = stumbles(text, judge) if is_asked(process) else []
    all_ += [
        match.span()
        for match in WORD.finditer(text)
        if match.start() > 0 and match.end() < len(text) and match.group().lower() not in known
    ]
    found: list[Span] = []
    for begin, end in sorted(all_):
        if found and begin < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def is_asked(process: Process) -> bool:
    """Does a judge of what a process writes find sense in most of real text?"""
    ends = catalogue.sense(process.corpus)
    return judge_of(process) is not None and bool(ends) and ends["real"]["share"] > TELLING


def whole(text: str, bad: list[Span]) -> tuple[int, int]:
    """How many sentences of a text hold none of these words, and how many there are."""
    spans = [match.span() for match in SENTENCE.finditer(text)]
    good = [not any(begin <= at < end for at, _ in bad) for begin, end in spans]
    return sum(good), len(good)


def sense(texts: list[str], judge: Process | None) -> Mean | None:
    """The share of the sentences of texts in which the judge stumbles over no word; None where
    there is no judge, or no sentence."""
    counts = [whole(text, stumbles(text, judge)) for text in texts] if judge else []
    if not sum(n for _, n in counts):
        return None
    good, all_ = zip(*[(good, n) for good, n in counts if n])
    return uncertainty.mean(good, all_, consecutive=False)


def scale(real: list[str], process: Process) -> dict:
    """The two ends to compare a text with: the share of real text, and that of the same words in
    random order, and their errors; None where nobody judges them."""
    judge, mixed = judge_of(process), [shuffled(text, seed) for seed, text in enumerate(real)]
    found = {"real": sense(real, judge), "shuffled": sense(mixed, judge)}
    return {
        name: dict(share=mean and mean.value, error=mean and mean.error)
        for name, mean in found.items()
    }


def shuffled(text: str, seed: int = 0) -> str:
    """The words of a text in random order."""
    words = text.split()
    order = torch.randperm(len(words), generator=seeded(seed)).tolist()
    return " ".join(words[i] for i in order)
