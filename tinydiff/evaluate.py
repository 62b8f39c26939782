"""How good is it: the bound on held-out text, and the quality of what is written, on one axis for every family.

The bound is nats and bits a character, every character of the split counted once, in float32, with the averaged weights.
The quality of samples is judged by others than the model: bits a character under the bundled autoregressive model, the
share of real words, and, because a text that repeats itself pleases both, the share of distinct 4-grams and the entropy of
the characters. Real text of the same amount gives the value to compare each with.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from tinydiff import card, checkpoint, library, rewrite
from tinydiff.checkpoint import write_text
from tinydiff.endings import character_bits
from tinydiff.generate import generate
from tinydiff.processes import Process, draw
from tinydiff.samplers import SAMPLERS, column
from tinydiff.text import Canvas, Corpus, paired, pairs

WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # of a process's first sampler
FEWER = (8, 32, 128)  # of the others
LONG = 10_000  # characters of a text that is to show whether it wears out
DEFAULT = dict(sampler="ancestral", steps=128, temperature=0.8)  # what the page begins with
TEMPERATURES = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1)


@dataclass(frozen=True)
class Quality:
    """Of texts. None where it cannot be told: too short, or written in characters that the judge does not know."""

    bits: float | None  # bits a character under the judge
    words: float | None  # share of real words, 0 .. 1
    distinct4: float | None  # distinct 4-grams over all 4-grams, 0 .. 1; falls with the amount of text
    entropy: float | None  # bits, of the distribution of characters


@dataclass(frozen=True)
class Bound:
    nats: float  # a character
    error: float  # its standard error over windows
    windows: int
    draws: int

    @property
    def bits(self) -> float:
        return self.nats / math.log(2)

    def row(self) -> dict:
        return {**asdict(self), "bits": self.bits}


# ---------------------------------------------------------------- the bound


def bound(process: Process, ids: Tensor, draws: int = 16, batch: int = 16) -> Bound:
    """The bound on all of `ids` (N,), in windows of the process's length; what of the last window was counted before is
    given. More in `bound_over`."""
    length = process.length or 256
    starts = [*range(0, len(ids) - length, length), len(ids) - length]
    tokens = torch.stack([ids[a : a + length] for a in starts]).long()
    given = torch.zeros_like(tokens, dtype=torch.bool)
    given[-1, : length * (len(starts) - 1) - starts[-1]] = True
    return bound_over(process, Canvas(tokens, given), draws, batch)


def bound_over(process: Process, texts: Canvas, draws: int = 16, batch: int = 16) -> Bound:
    """The bound on what is open in each row of a canvas, over the characters that count. `draws` noisings of each row, at
    noise levels that are spread evenly; one is enough where the bound is exact ("causal")."""
    draws = 1 if "causal" in process.traits else draws
    rng, found, group = torch.Generator().manual_seed(0), [], max(1, batch // draws)
    with torch.no_grad():
        for rows in zip(texts.tokens.split(group), texts.given.split(group)):
            canvas = Canvas(*(row.repeat(draws, 1) for row in rows)).to(process.device)
            found.append(process.bound(canvas, rng).double().cpu().view(draws, -1).mean(0))
    nats, count = torch.cat(found), texts.counted.sum(1).double()
    mean = (nats.sum() / count.sum()).item()
    error = ((nats - mean * count).square().sum().sqrt() / count.sum()).item()
    return Bound(mean, error, len(count), draws)


# ---------------------------------------------------------------- the quality of texts


def judged(texts: list[str]) -> Quality:
    """Quality of texts, all together."""
    return Quality(judge_bits(texts), real_words(texts), distinct(texts, 4), character_entropy(texts))


def judge_bits(texts: list[str]) -> float | None:
    """Bits a character under the bundled autoregressive model, each text from its first character on."""
    judge = library.judge()
    nats, count = 0.0, 0
    for text in texts:
        if not text or set(text) - set(judge.tokenizer.characters):
            return None
        ids = judge.tokenizer.encode(text)
        for part in ids.split(judge.length):
            canvas = Canvas(part[None], torch.zeros(1, len(part), dtype=torch.bool))
            with torch.no_grad():
                nats += judge.bound(canvas, torch.Generator()).item()
        count += len(ids)
    return nats / count / math.log(2) if count else None


def real_words(texts: list[str]) -> float | None:
    """Share of words that are in the dictionary or in the training text; words that touch an end are left out, they may be
    cut."""
    known, found = library.words(), []
    for text in texts:
        found += [m.group().lower() for m in WORD.finditer(text) if m.start() > 0 and m.end() < len(text)]
    return sum(word in known for word in found) / len(found) if found else None


def distinct(texts: list[str], n: int) -> float | None:
    """Share of the n-grams of characters that are different from each other."""
    grams = [text[i : i + n] for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def character_entropy(texts: list[str]) -> float | None:
    """Bits of the distribution of single characters."""
    return character_bits("".join(texts)) if any(texts) else None


def longest_copy(text: str, source: str) -> int:
    """Length of the longest run of `text` that stands in `source` word for word."""
    best = 0
    for start in range(len(text)):
        while start + best < len(text) and text[start : start + best + 1] in source:
            best += 1
    return best


# ---------------------------------------------------------------- quality over steps


def samples(process: Process, sampler: str, steps: int, batch: int, seed: int = 0, **more) -> tuple[list[str], dict]:
    """`batch` texts of the window's length, and what they cost: calls, and milliseconds a text."""
    canvas = Canvas.blank(process.length or 256, batch)
    *_, frame = generate(process, canvas, sampler=sampler, steps=steps, seed=seed, **more)
    cost = dict(calls=frame.calls, ms=round(1000 * frame.seconds / batch, 2))
    return [process.tokenizer.decode(row) for row in frame.tokens], cost


def point(process: Process, sampler: str, steps: int, batch: int, temperature: float = 1.0) -> dict:
    """One row of the curve: how good the texts of a sampler are at a number of steps."""
    texts, cost = samples(process, sampler, steps, batch, temperature=temperature)
    return dict(sampler=sampler, steps=steps, temperature=temperature, **cost, **asdict(judged(texts)))


def curve_samplers(process: Process) -> list[str]:
    return [name for name in column(process) if SAMPLERS[name].steps_matter]


def counts(process: Process, sampler: str) -> tuple[int, ...]:
    """The numbers of steps at which a sampler is measured."""
    asked = STEPS if sampler == column(process)[0] else FEWER
    return SAMPLERS[sampler].different(process, Canvas.blank(process.length or 256), asked)


def run(folder: Path, corpus: Corpus, batch: int = 16, draws: int = 16) -> dict:
    """Evaluate a checkpoint and write evaluation.json and the card, README.md, into its folder; what was written.

    batch texts for each figure, real ones too, half as many along the steps; draws noisings of each window for the bound.
    A checkpoint with a task is measured by it. Raises CheckpointError, before anything is measured, for a text that it has not
    learned from, and if nothing can be written there.
    """
    folder = Path(folder)
    config = checkpoint.read_config(folder)
    checkpoint.check_config(config, folder)
    checkpoint.check_text(config, folder, corpus)
    checkpoint.check_writable(folder)
    task = config.get("task")
    process = checkpoint.load(folder)
    result = of_task(process, corpus, task, draws) if task else of_texts(process, corpus, batch, draws)
    write_text(folder / "evaluation.json", json.dumps(result, indent=1, ensure_ascii=False))
    card.write(folder)
    return result


def of_task(process: Process, corpus: Corpus, task: str, draws: int) -> dict:
    """What is measured of a process that rewrites."""
    data = pairs(corpus, task, process.length)
    held, seen = (paired(rows, data.tokenizer) for rows in (data.valid, rewrite.spread(data.train, 512)))
    return dict(
        corpus=corpus.name,
        bound=bound_over(process, held, draws).row(),
        train_bound=bound_over(process, seen, max(1, draws // 4)).row(),
        **rewrite.measured(process, data),
    )


def of_texts(process: Process, corpus: Corpus, batch: int, draws: int) -> dict:
    """What is measured of a process that writes plain text."""
    length = process.length
    own = dict(caches=caches(process, batch)) if len(process.caches) > 1 else {}
    if "blocks" in process.traits:
        sizes = [of_size(process.at(n), corpus, batch, draws) for n in sorted(process.sizes)]
        own |= dict(blocks=sizes, long=along(process))
    pages = corpus.valid.split(length)[:-1]
    real = [corpus.tokenizer.decode(pages[i * len(pages) // batch]) for i in range(batch)]  # spread over the text
    sample_of = torch.randperm(len(corpus.train) // length, generator=torch.Generator().manual_seed(0))[:128]
    train_part = torch.cat([corpus.train[i * length : (i + 1) * length] for i in sample_of.tolist()])
    settings = settings_for(process)
    texts, _ = samples(process, batch=batch, **settings)
    return dict(
        corpus=corpus.name,
        bound=bound(process, corpus.valid, draws).row(),
        train_bound=bound(process, train_part, max(1, draws // 4)).row(),
        real=asdict(judged(real)),
        texts=batch,
        default={**settings, **asdict(judged(texts))},
        longest_copy=max(longest_copy(text, corpus.text) for text in texts),
        real_longest_copy=max(longest_copy(text, corpus.text) for text in real),
        steps=[point(process, name, n, batch // 2) for name in curve_samplers(process) for n in counts(process, name)],
        single=[point(process, name, 1, batch // 2) for name in column(process) if not SAMPLERS[name].steps_matter],
        temperatures=[point(process, name, 128, batch, t) for name in trade_samplers(process) for t in TEMPERATURES],
        samples=texts[:4],
        **own,
    )


def along(process: Process, length: int = LONG, part: int = 1000) -> list[dict]:
    """Does a long text wear out? The quality of every thousand characters of one, written a character a call."""
    canvas = Canvas.blank(length)
    *_, frame = generate(process, canvas, sampler="blockwise", steps=1, order="first_hitting", temperature=DEFAULT["temperature"])
    text = process.tokenizer.decode(frame.tokens[0])
    return [dict(until=stop, **asdict(judged([text[stop - part : stop]]))) for stop in range(part, length + 1, part)]


def caches(process: Process, batch: int) -> list[dict]:
    """What each cache of a process costs in exactness and gains in time, in blocks of its usual size: nats by which predictions
    differ (`cache_error`), the quality of texts, calls and milliseconds a text."""
    rows = []
    for name in process.caches:
        texts, cost = samples(process, "blockwise", DEFAULT["steps"], batch, temperature=DEFAULT["temperature"], cache=name)
        rows.append(
            dict(cache=name, block=process.sizes[0], nats=cache_error(process, name, batch), **cost, **asdict(judged(texts)))
        )
    return rows


@torch.no_grad()
def cache_error(process: Process, cache: str, batch: int) -> float:
    """KL(p without a cache | p with it), nats a masked character, while a quarter of a block is written at each call, in random order
    and without a cache; the first call of a block, which has nothing to remember, does not count."""
    size, canvas, rng = process.sizes[0], Canvas.blank(process.length or 256, batch), torch.Generator().manual_seed(0)
    asked, total, count = (lambda x, t, cache: process.denoise(x, t, cache=cache)), 0.0, 0
    pieces = [process.pieces(size, name) for name in ("none", cache)]
    for start in range(0, canvas.tokens.shape[1], size):
        stop = min(start + size, canvas.tokens.shape[1])
        parts = [piece(canvas, start, stop, asked) for piece in pieces]
        x = torch.full((batch, stop - start), process.mask_id)
        order = torch.rand(x.shape, generator=rng).argsort(1)
        for call in range(4):
            log_p, log_q = (part.denoise(x, torch.ones(x.shape)).log_x0[:, start - stop :] for part in parts)
            masked = x == process.mask_id
            if call:
                total += (log_p.exp() * (log_p - log_q)).sum(-1)[masked].sum().item()
                count += int(masked.sum())
            x = torch.where(masked & (order < (call + 1) / 4 * x.shape[1]), draw(log_p, rng), x)
        tokens = torch.cat([canvas.tokens[:, :start], x, canvas.tokens[:, stop:]], 1)
        canvas = Canvas(tokens, canvas.given | (torch.arange(tokens.shape[1]) < stop))
    return total / max(1, count)


def settings_for(process: Process) -> dict:
    """The page's settings, as far as a process knows their sampler."""
    return {**DEFAULT, "sampler": DEFAULT["sampler"] if DEFAULT["sampler"] in column(process) else column(process)[0]}


def of_size(process: Process, corpus: Corpus, batch: int, draws: int) -> dict:
    """The bound and the quality of text with blocks of one size. The smaller the blocks, the more of them have a number of masks
    of their own in each noising, so that a quarter of the draws says enough. Texts are written a character a call, in exact
    order, so that sizes differ by what the network knows and not by how many characters it must guess at once."""
    (size,) = process.sizes
    texts, cost = samples(process, "blockwise", 1, batch, order="first_hitting", temperature=DEFAULT["temperature"])
    few = 1 if size == 1 else max(2, draws // 4)
    return dict(size=size, bound=bound(process, corpus.valid, few).row(), **cost, **asdict(judged(texts)))


def trade_samplers(process: Process) -> list[str]:
    """The samplers for which quality against entropy is drawn: the first, and the greediest order."""
    names = ("blockwise",) if "blocks" in process.traits else ("ancestral", "confidence", "left_to_right")
    return [name for name in names if name in column(process)]
