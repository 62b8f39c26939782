"""How good is it: the bound on held-out text, and the quality of what is written, on one axis for
every family.

The bound is nats and bits a character, every character of the split counted once, in float32, with
the averaged weights; its error is of blocks of consecutive windows (uncertainty.py), and the nats
of every window are kept, so that two models can be compared on the same windows. The quality of
samples is judged by others than the model: bits a character under the bundled autoregressive model
and, if asked for, under a stranger's (outside.py), the share of real words, and, because a text
that repeats itself pleases all of them, the share of distinct 4-grams, of characters and of words,
and the entropy of the characters. Real text of the same amount gives the value to compare each
with. Judges against distinct 4-grams of words over temperatures are the frontier of a family
(arXiv:2604.02718).

Real words are of LETTERS letters or more: of shorter ones chance writes many. Both ends of the
scale are measured with it: what letters drawn by chance reach, and what real text does
(`yardsticks`). Errors of both are over texts, because the words of one text stand and fall
together.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from tinydiff import rewrite, uncertainty
from tinydiff.endings import character_bits, texts_of
from tinydiff.files import check_writable, write_text
from tinydiff.generate import check_sampler, generate
from tinydiff.measure import sense
from tinydiff.measure.outside import Judge as Outside
from tinydiff.measure.sense import WORD, judge_of
from tinydiff.nets.precision import auto_is_fp32
from tinydiff.predictions import LOG_ZERO, Prediction
from tinydiff.processes import Process
from tinydiff.randomness import Rng, seeded
from tinydiff.runs import DEFAULTS
from tinydiff.samplers import SAMPLERS, column
from tinydiff.store import card, catalogue, checkpoint
from tinydiff.text import Canvas, Characters, Corpus, Documents, paired, pairs
from tinydiff.uncertainty import Mean

LETTERS = 4  # of a word, the least that is looked up
LEVELS = 33  # noise levels at which the loss is measured
NOISED = 64  # windows of the validation text on which it is, and on which sense is
SEEN = 128  # windows of the training text on which the bound is measured
YARD = 64  # texts without a network, for the floor of the scale
ENOUGH = 1 << 21  # characters of the training text that they imitate, at the most
STEPS = (1, 2, 4, 8, 16, 32, 64, 128)  # of a process's first sampler
FEWER = (8, 32, 128)  # of the others
SIZED = 1 << 16  # tokens of held-out text on which sizes of blocks are compared, at the most
PIECE = 4  # characters of a piece of words, about
LONG = 10_000  # characters of a text that is to show whether it wears out
# what a run is where nothing is said of it
DEFAULT = {"sampler": "ancestral"} | {name: DEFAULTS[name] for name in ("steps", "temperature")}
TEMPERATURES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Quality:
    """The quality of some texts. A figure is None where it cannot be measured: the text is too
    short, or has characters that the judge does not know. Errors are standard errors over texts,
    None for a single text."""

    bits: float | None  # bits a character under the judge
    words: float | None  # share of real words, 0 .. 1
    # distinct 4-grams over all 4-grams, 0 .. 1; falls with the amount of text
    distinct4: float | None
    entropy: float | None  # bits, of the distribution of characters
    bits_error: float | None = None
    words_error: float | None = None
    # distinct 4-grams of words over all of them, 0 .. 1
    distinct4_words: float | None = None
    outside: float | None = None  # bits a character under the outside judge
    outside_error: float | None = None
    perplexity: float | None = None  # of a word, under the outside judge
    empty: int = 0  # texts without a character, which no judge reads


Judged = Callable[[list[str]], Quality]  # `judged`, of one process


@dataclass(frozen=True)
class Bound:
    """The bound of a process on texts, in nats, and what of it each window has."""

    mean: Mean  # nats a character
    draws: int  # noisings of each window
    each: tuple[float, ...]  # nats of each window
    counts: tuple[int, ...]  # characters that count in each
    text: str  # names the windows: two bounds can be compared if it is the same

    @property
    def nats(self) -> float:
        return self.mean.value

    @property
    def error(self) -> float | None:
        return self.mean.error

    @property
    def bits(self) -> float:
        return self.nats / math.log(2)

    @property
    def windows(self) -> int:
        return len(self.each)

    def row(self) -> dict:
        """Its entry in evaluation.json; counts are run-length encoded, [how many, count]."""
        counts = [[len(list(same)), count] for count, same in groupby(self.counts)]
        return dict(
            nats=self.nats,
            error=self.error,
            bits=self.bits,
            windows=self.windows,
            draws=self.draws,
            text=self.text,
            counts=counts,
            each=[round(nats, 2) for nats in self.each],
        )


def compare(one: dict, other: dict) -> Mean:
    """How many nats a character more `one` needs than `other`, both rows of a Bound, with the error
    of the difference on the same windows. Raises ValueError where they are not of the same text or
    keep no windows.
    """
    if not (
        one.get("each")
        and one.get("text") == other.get("text")
        and one["counts"] == other["counts"]
    ):
        raise ValueError(
            "Two bounds can be compared where both were measured on the same windows: "
            "evaluate both with `eval`."
        )
    counts = [count for many, count in one["counts"] for _ in range(many)]
    return uncertainty.difference(one["each"], other["each"], counts)


# ---------------------------------------------------------------- the bound


def bound(process: Process, ids: Tensor, draws: int = 16, batch: int = 16) -> Bound:
    """The bound on all of `ids` (N,), in windows of the process's length; in the last window, what
    an earlier one counted is given. See `bound_over`."""
    length = process.length or 256
    starts = [*range(0, len(ids) - length, length), len(ids) - length]
    tokens = torch.stack([ids[a : a + length] for a in starts]).long()
    given = torch.zeros_like(tokens, dtype=torch.bool)
    given[-1, : length * (len(starts) - 1) - starts[-1]] = True
    return bound_over(process, Canvas(tokens, given), draws, batch)


def bound_over(
    process: Process, texts: Canvas, draws: int = 16, batch: int = 16, consecutive: bool = True
) -> Bound:
    """The bound on what is open in each row of a canvas, over the characters that count. `draws`
    noisings of each row, at noise levels that are spread evenly; one is enough where the bound is
    exact ("causal").

    consecutive: the rows follow each other in one text; False if each was drawn by itself. It
    decides what the error is.
    """
    draws = 1 if "causal" in process.traits else draws
    nats = nats_of(process, texts, draws, batch, seeded(0))
    return bound_of(process, nats, [texts], texts.characters(process.tokenizer), draws, consecutive)


@torch.no_grad()
def nats_of(process: Process, texts: Canvas, draws: int, batch: int, rng: Rng) -> Tensor:
    """The bound on each row of a canvas, (B,) float64, the mean of `draws` noisings."""
    found, group = [], max(1, batch // draws)
    for start in range(0, len(texts.tokens), group):
        rows = texts.each(lambda part, a=start: part[a : a + group])
        canvas = rows.each(lambda part: part.repeat(draws, *[1] * (part.ndim - 1)))
        nats = process.bound(canvas.to(process.device), rng)
        found.append(nats.double().cpu().view(draws, -1).mean(0))
    return torch.cat(found)


def bound_of(
    process: Process,
    nats: Tensor,
    texts: list[Canvas],
    count: Tensor,
    draws: int,
    consecutive: bool,
) -> Bound:
    """The Bound with these nats and characters of each window, (N,)."""
    mean, name = uncertainty.mean(nats, count, consecutive=consecutive), named(process, texts)
    return Bound(mean, draws, tuple(nats.tolist()), tuple(count.tolist()), name)


def bound_of_documents(
    process: Process, data: Documents, split: str, which: Tensor, draws: int, batch: int = 16
) -> Bound:
    """The bound on windows of documents, by their numbers (n,) in one split. A network that sees
    both sides is told the size of a window by its canvas, and so of the text, nearly: that size is
    paid for as often as it is in the training text (`Documents.size_nats`). Other arguments as in
    `bound_over`.
    """
    causal = "causal" in process.traits
    windows, draws, rng = getattr(data, split), 1 if causal else draws, seeded(0)
    nats = torch.zeros(len(which), dtype=torch.float64)
    count, texts, sizes = torch.zeros(len(which), dtype=torch.int64), [], windows.room[which]
    for size in sizes.unique():
        here = (sizes == size).nonzero()[:, 0]
        canvas = data.canvas(split, which[here])
        nats[here] = nats_of(process, canvas, draws, batch, rng)
        count[here] = canvas.characters(process.tokenizer)
        texts.append(canvas)
    nats += 0 if causal else data.size_nats(split)[which]
    in_order = len(which) == len(windows.room)
    return bound_of(process, nats, texts, count, draws, in_order)


def named(process: Process, texts: list[Canvas]) -> str:
    """A hash of windows: of all their characters, and of what is given."""
    parts = (part for text in texts for part in (text.tokens, text.given))
    found = hashlib.sha256(process.tokenizer.identity())
    for part in parts:
        found.update(part.cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def loss_over_noise(process: Process, texts: list[Canvas], n: int = LEVELS) -> list[dict]:
    """The loss over noise: -log p(x_0 | x_t), nats a character that counts, of texts noised to n
    times at even distances without t = 0; [] of a process that noises nothing. In blocks of the
    usual size each block is noised behind the text itself. It is None where a token of the text has
    no probability, as ratios that are cut off at 0 may give (`score-uniform`)."""
    if not process.traits & {"diffusion", "blocks"}:
        return []
    rows = []
    for k in range(1, n + 1):
        rng, nats, count = seeded(k), 0.0, 0
        for canvas in texts:
            nats += surprise(process, canvas.to(process.device), k / n, rng)
            count += int(canvas.characters(process.tokenizer).sum())
        rows.append(dict(t=k / n, nats=nats / count if math.isfinite(nats) else None))
    return rows


@torch.no_grad()
def surprise(process: Process, canvas: Canvas, time: float, rng: Rng) -> float:
    """-log p(x_0 | x_t), summed over all that counts in a canvas that is noised to a time; infinite
    where a token has no probability."""
    t = canvas.time(time)
    x = process.noise.corrupt(canvas.tokens, t, rng)
    log_x0 = process.denoise_known(x, t, canvas).log_x0
    nats = -log_x0.gather(-1, canvas.tokens[..., None])[..., 0].double()
    nats[nats >= -LOG_ZERO / 2] = math.inf
    return torch.where(canvas.counted, nats, 0).sum().item()


# ---------------------------------------------------------------- the quality of texts


def judged(
    texts: list[str],
    process: Process | None = None,
    lexicon: frozenset[str] | None = None,
    outside: Outside | None = None,
) -> Quality:
    """The quality of texts, all together.

    process: what wrote them, by default who learned Tiny Shakespeare. Where no bundled judge
             learned the same, bits and the share of real words say nothing, and are None
    lexicon: the words that count as real then
    outside: another judge that reads them too
    """
    judge = catalogue.judge() if process is None else judge_of(process)
    bits = judge_bits(texts, judge) if judge else None
    if judge and lexicon is None:
        lexicon = catalogue.words(judge.corpus)
    words = real_words(texts, lexicon=lexicon) if lexicon is not None else None
    beyond = outside.bits(texts) if outside and any(texts) else None
    return Quality(
        bits and bits.value,
        words and words.value,
        distinct(texts, 4),
        character_entropy(texts),
        bits and bits.error,
        words and words.error,
        distinct_words(texts, 4),
        beyond and beyond.value,
        beyond and beyond.error,
        beyond and perplexity(beyond.value, texts),
        texts.count(""),
    )


def vocabulary(process: Process, corpus: Corpus) -> frozenset[str]:
    """The words that count as real for a process: catalogue.words() of its corpus if a judge
    learned it too, else the words of its training text."""
    if judge_of(process):
        return catalogue.words(process.corpus)
    return frozenset(
        found.group().lower()
        for found in WORD.finditer(corpus.tokenizer.decode(corpus.train[:ENOUGH]))
    )


def judge_bits(texts: list[str], judge: Process | None = None) -> Mean | None:
    """Bits a character under a judge, an autoregressive model, by default that of Tiny Shakespeare,
    each text from its first character on, those that are empty left out. None where it cannot read
    one, or all are empty."""
    judge, nats, texts = judge or catalogue.judge(), [], [text for text in texts if text]
    for text in texts:
        if not all(map(judge.tokenizer.writes, set(text))):
            return None
        parts = judge.tokenizer.encode(text).split(judge.length)
        canvases = (
            Canvas(part[None], torch.zeros(1, len(part), dtype=torch.bool)) for part in parts
        )
        with torch.no_grad():
            nats.append(sum(judge.bound(canvas, seeded(0)).item() for canvas in canvases))
    bits = [one / math.log(2) for one in nats]
    return (
        uncertainty.mean(bits, [len(text) for text in texts], consecutive=False) if texts else None
    )


def real_words(
    texts: list[str], consecutive: bool = False, lexicon: frozenset[str] | None = None
) -> Mean | None:
    """The share of words of LETTERS letters or more that are in `lexicon`, by default
    catalogue.words(), over all texts."""
    real, all_ = zip(*(word_counts(text, lexicon) for text in texts)) if texts else ((), ())
    return uncertainty.mean(real, all_, consecutive=consecutive) if sum(all_) else None


def word_counts(text: str, lexicon: frozenset[str] | None = None) -> tuple[int, int]:
    """How many words of LETTERS letters or more are in `lexicon` (by default catalogue.words(), the
    dictionary and the training text), and how many there are. Words at either end are left out,
    because they may be cut."""
    lexicon = catalogue.words() if lexicon is None else lexicon
    inner = [
        m.group().lower() for m in WORD.finditer(text) if m.start() > 0 and m.end() < len(text)
    ]
    long = [word for word in inner if len(word.replace("'", "")) >= LETTERS]
    return sum(word in lexicon for word in long), len(long)


def yardsticks(
    corpus: Corpus, length: int, lexicon: frozenset[str] | None = None
) -> dict[str, dict]:
    """Both ends of the scale of real words, in texts of `length` characters: "letters", drawn
    independently with the frequencies of the training text; "pairs", each drawn given the one
    before it; "real", all of the held-out text."""
    rng, text = seeded(0), corpus.tokenizer.decode(corpus.train[:ENOUGH])
    alphabet = Characters.of(text)
    train = alphabet.encode(text)
    letters = train[rng.integers(len(train), YARD, length, purpose="letters")]
    made = dict(letters=letters, pairs=followed(train, letters[:, 0], length, rng))
    texts = {name: list(map(alphabet.decode, rows)) for name, rows in made.items()}
    texts["real"] = list(map(corpus.tokenizer.decode, corpus.valid.split(length)))
    shares = {name: real_words(some, name == "real", lexicon) for name, some in texts.items()}
    return {
        name: dict(words=share and share.value, error=share and share.error)
        for name, share in shares.items()
    }


def followed(train: Tensor, first: Tensor, length: int, rng: torch.Generator) -> Tensor:
    """Texts (B, length) that begin with `first` (B,), in which each next character is the one that
    follows the last at a random occurrence of it in `train`: the bigram chain, without a table."""
    order = train[:-1].argsort(stable=True)
    many = torch.bincount(train[:-1], minlength=int(train.max()) + 1)
    start, rows = many.cumsum(0) - many, [first]
    for _ in range(length - 1):
        place = (
            rng.uniform(len(first), purpose="pairs", dtype=torch.float64) * many[rows[-1]]
        ).long() + start[rows[-1]]
        # beyond the end: of what nothing follows
        rows.append(train[order[place.clamp_max(len(order) - 1)] + 1])
    return torch.stack(rows, 1)


def distinct(texts: list[str], n: int) -> float | None:
    """Share of the n-grams of characters that are different from each other."""
    grams = [text[i : i + n] for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def perplexity(bits: float, texts: list[str]) -> float | None:
    """Of a word, the geometric mean over texts with so many bits a character."""
    words = sum(len(WORD.findall(text)) for text in texts)
    return 2 ** (bits * sum(map(len, texts)) / words) if words else None


def distinct_words(texts: list[str], n: int) -> float | None:
    """Share of the n-grams of words, in lower case, that are different from each other."""
    each = ([found.group().lower() for found in WORD.finditer(text)] for text in texts)
    grams = [tuple(words[i : i + n]) for words in each for i in range(len(words) - n + 1)]
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


def samples(
    process: Process, sampler: str, steps: int, batch: int, seed: int = 0, **more
) -> tuple[list[str], dict]:
    """`batch` texts of the window's length, and what they cost: calls, and milliseconds a text."""
    canvas = Canvas.blank(process.length or 256, batch)
    *_, frame = generate(process, canvas, sampler=sampler, steps=steps, seed=seed, **more)
    cost = dict(calls=frame.calls, ms=round(1000 * frame.seconds / batch, 2))
    return texts_of(process, frame), cost


def point(
    process: Process,
    quality: Judged,
    sampler: str,
    steps: int,
    batch: int,
    temperature: float = 1.0,
) -> dict:
    """One row of a curve: the quality of a sampler's texts at a number of steps."""
    texts, cost = samples(process, sampler, steps, batch, temperature=temperature)
    return dict(
        sampler=sampler,
        steps=steps,
        temperature=temperature,
        **cost,
        **asdict(quality(texts)),
    )


def curve_samplers(process: Process) -> list[str]:
    return [name for name in column(process) if SAMPLERS[name].steps_matter]


def counts(process: Process, sampler: str) -> tuple[int, ...]:
    """The numbers of steps at which a sampler is measured."""
    asked = STEPS if sampler == column(process)[0] else FEWER
    return SAMPLERS[sampler].different(process, Canvas.blank(process.length or 256), asked)


def run(
    folder: Path,
    corpus: Corpus,
    batch: int = 16,
    draws: int = 16,
    samplers: Sequence[str] = (),
    outside: Outside | None = None,
    along: int = 0,
) -> dict:
    """Evaluate a checkpoint and write evaluation.json and the card, README.md, into its folder;
    what was written.

    batch texts for each figure, real ones too; along: for each along the steps, by default half as
    many; draws noisings of each window for the bound; samplers: those whose texts are measured over
    steps and temperatures, all that it has by default; outside: a judge that reads all texts too. A
    checkpoint with a task is measured by it. Raises CheckpointError, before anything is measured,
    for a text that it has not learned from, and if nothing can be written there; ValueError for a
    sampler that it has not.
    """

    def measure(process: Process) -> dict:
        for name in samplers:
            check_sampler(process, name)
        if process.task:
            return of_task(process, corpus, process.task, draws)
        return of_texts(process, corpus, batch, draws, samplers, outside, along or batch // 2)

    return recorded(Path(folder), corpus, measure)


def recorded(folder: Path, corpus: Corpus, measure: Callable[[Process], dict]) -> dict:
    """What is measured of a checkpoint, written to its evaluation.json and into its card. Raises
    CheckpointError as `run` does."""
    config = checkpoint.read_config(folder)
    checkpoint.check_config(config, folder)
    checkpoint.check_text(config, folder, corpus)
    check_writable(folder)
    with auto_is_fp32():
        result = measure(checkpoint.load(folder))
    weights = checkpoint.fingerprint(folder / "model.safetensors")
    result = dict(weights=weights, precision="fp32") | result
    write_text(folder / "evaluation.json", compact(result))
    card.write(folder)
    return result


def compact(result: dict) -> str:
    """JSON in which every list of numbers is on a line of its own."""
    # no text holds a line break: JSON writes it \n
    numbers = re.compile(r"\[\n\s+(-?\d[-+\d\s,.eE]*?)\n\s*\]")
    whole = json.dumps(result, indent=1, ensure_ascii=False)
    return numbers.sub(lambda found: f"[{' '.join(found[1].split())}]", whole)


def of_task(process: Process, corpus: Corpus, task: str, draws: int) -> dict:
    """The evaluation of a process that rewrites."""
    data = pairs(corpus, task, process.length)
    heldout, seen = (
        paired(rows, data.tokenizer) for rows in (data.valid, rewrite.evenly(data.train, 512))
    )
    return dict(
        corpus=corpus.name,
        bound=bound_over(process, heldout, draws).row(),
        train_bound=bound_over(process, seen, max(1, draws // 4), consecutive=False).row(),
        **rewrite.measured(process, data),
    )


def of_texts(
    process: Process,
    corpus: Corpus,
    batch: int,
    draws: int,
    samplers: Sequence[str],
    outside: Outside | None,
    along: int,
) -> dict:
    """The evaluation of a process that writes plain text."""
    length, lexicon, settings = process.length, vocabulary(process, corpus), settings_for(process)
    quality: Judged = partial(judged, process=process, lexicon=lexicon, outside=outside)
    heldout, trained = bounds(process, corpus, draws)
    real = [corpus.tokenizer.decode(canvas.tokens[0]) for canvas in some_of(process, corpus, batch)]
    many = some_of(process, corpus, NOISED)
    texts, _ = samples(process, batch=batch, **settings)
    return dict(
        corpus=corpus.name,
        bound=heldout.row(),
        train_bound=trained.row(),
        levels=loss_over_noise(process, many),
        letters=LETTERS,
        outside=outside.name if outside else "",
        real=asdict(quality(real)),
        yardsticks=yardsticks(corpus, length, lexicon),
        sense=sense.scale([corpus.tokenizer.decode(part.tokens[0]) for part in many], process),
        texts=batch,
        along=along,
        default={**settings, **asdict(quality(texts))},
        longest_copy=max(longest_copy(text, corpus.text) for text in texts),
        real_longest_copy=max(longest_copy(text, corpus.text) for text in real),
        **curves(process, quality, batch, along, samplers),
        samples=texts[:4],
        **of_blocks(process, corpus, quality, batch, draws),
    )


def bounds(process: Process, corpus: Corpus, draws: int) -> tuple[Bound, Bound]:
    """The bounds on all of the validation text and on SEEN windows of the training text; of
    documents, where a process learned those."""
    few = max(1, draws // 4)
    if process.ends and corpus.ended:
        data = Documents(corpus, process.length)
        everything = torch.arange(len(data.valid.room))
        seen = torch.randperm(len(data.train.room), generator=seeded(0))[:SEEN]
        return (
            bound_of_documents(process, data, "valid", everything, draws),
            bound_of_documents(process, data, "train", seen, few),
        )
    return bound(process, corpus.valid, draws), trained_bound(process, corpus, few)


def some_of(process: Process, corpus: Corpus, n: int) -> list[Canvas]:
    """`n` windows of the validation text at even distances, fewer where it has fewer; of documents
    those with their beginning."""
    if process.ends and corpus.ended:
        data = Documents(corpus, process.length)
        begins = (data.valid.given == 0).nonzero()[:, 0]
        n = min(n, len(begins))
        some = begins[torch.arange(n) * len(begins) // n]
        return [data.canvas("valid", one[None]) for one in some]
    pages = corpus.valid.split(process.length)[:-1]
    n = min(n, len(pages))
    some = [pages[i * len(pages) // n][None].long() for i in range(n)]
    return [Canvas(page, torch.zeros_like(page, dtype=torch.bool)) for page in some]


def trained_bound(process: Process, corpus: Corpus, draws: int) -> Bound:
    """The bound on SEEN windows of the training text, drawn from all of it."""
    L = process.length
    starts = L * torch.randperm(len(corpus.train) // L, generator=seeded(0))[:SEEN]
    seen = torch.stack([corpus.train[i : i + L] for i in starts.tolist()]).long()
    canvas = Canvas(seen, torch.zeros_like(seen, dtype=torch.bool))
    return bound_over(process, canvas, draws, consecutive=False)


def curves(
    process: Process, quality: Judged, batch: int, along: int, samplers: Sequence[str]
) -> dict[str, list[dict]]:
    """Quality over steps, of samplers that have no steps, and over temperatures, of the samplers
    that are asked for, or of all."""
    measured = partial(point, process, quality)
    asked = [name for name in column(process) if name in samplers or not samplers]
    stepless = [name for name in asked if not SAMPLERS[name].steps_matter]
    return dict(
        steps=[
            measured(name, n, along)
            for name in curve_samplers(process)
            if name in asked
            for n in counts(process, name)
        ],
        single=[measured(name, 1, along) for name in stepless],
        temperatures=[
            measured(name, 128, batch, t)
            for name in trade_samplers(process)
            if name in asked
            for t in TEMPERATURES
        ],
    )


def of_blocks(
    process: Process, corpus: Corpus, quality: Judged, batch: int, draws: int
) -> dict[str, list[dict]]:
    """What is measured of caches, where there are some, and of block sizes, where those are
    learned."""
    found = dict(caches=caches(process, quality, batch)) if len(process.caches) > 1 else {}
    if "blocks" in process.traits:
        sizes = [
            of_size(process.at(n), corpus, quality, batch, draws) for n in sorted(process.sizes)
        ]
        found |= dict(blocks=sizes, long=along(process, quality))
    return found


def along(process: Process, quality: Judged, length: int = LONG, part: int = 1000) -> list[dict]:
    """Does the quality of a long text fall? The quality of every `part` characters of one text of
    about `length`, written one token a call."""
    canvas = Canvas.blank(length if process.tokenizer.one_way else length // PIECE)
    *_, frame = generate(
        process,
        canvas,
        sampler="blockwise",
        steps=1,
        order="first_hitting",
        temperature=DEFAULT["temperature"],
    )
    text = process.tokenizer.decode(frame.tokens[0])
    return [
        dict(until=stop, **asdict(quality([text[stop - part : stop]])))
        for stop in range(part, min(length, len(text)) + 1, part)
    ]


def caches(process: Process, quality: Judged, batch: int) -> list[dict]:
    """What each cache of a process costs in exactness and saves in time, in blocks of the usual
    size: the divergence of its predictions (`cache_error`), the quality of texts, calls and
    milliseconds a text."""
    rows = []
    for name in process.caches:
        texts, cost = samples(
            process,
            "blockwise",
            DEFAULT["steps"],
            batch,
            temperature=DEFAULT["temperature"],
            cache=name,
        )
        rows.append(
            dict(
                cache=name,
                block=process.sizes[0],
                nats=cache_error(process, name, batch),
                **cost,
                **asdict(quality(texts)),
            )
        )
    return rows


@torch.no_grad()
def cache_error(process: Process, cache: str, batch: int) -> float:
    """KL(p without a cache | p with it), nats a masked character, while a block is written without
    a cache, a quarter of it at each call, in random order. The first call of a block, when nothing
    is cached yet, does not count."""
    size = process.sizes[0]
    canvas = Canvas.blank(process.length or 256, batch)
    rng = seeded(0)
    asked, total, count = (lambda x, t, cache: process.denoise(x, t, cache=cache)), 0.0, 0
    pieces = [process.pieces(size, name) for name in ("none", cache)]
    for start in range(0, canvas.tokens.shape[1], size):
        stop = min(start + size, canvas.tokens.shape[1])
        parts = [
            piece(canvas, start, stop, asked, process.noise.prior(canvas, rng)) for piece in pieces
        ]
        x = torch.full((batch, stop - start), process.mask_id)
        order = rng.uniform(*x.shape, purpose="order").argsort(1)
        for call in range(4):
            each = [part.denoise(x, torch.ones(x.shape)) for part in parts]
            exact, cached = (last_columns(found, stop - start) for found in each)
            log_p, log_q = exact.log_x0, cached.log_x0
            masked = x == process.mask_id
            if call:
                total += (log_p.exp() * (log_p - log_q)).sum(-1)[masked].sum().item()
                count += int(masked.sum())
            x = torch.where(masked & (order < (call + 1) / 4 * x.shape[1]), exact.draw(rng), x)
        tokens = torch.cat([canvas.tokens[:, :start], x, canvas.tokens[:, stop:]], 1)
        written = torch.arange(tokens.shape[1]) < stop
        canvas = canvas.with_written(tokens, written.expand(tokens.shape))
    return total / max(1, count)


def last_columns(found: Prediction, n: int) -> Prediction:
    L = found.log_x0.shape[1]
    return found.columns(L - n, L)


def settings_for(process: Process) -> dict:
    """The page's default settings, as far as the process offers their sampler."""
    return {
        **DEFAULT,
        "sampler": DEFAULT["sampler"]
        if DEFAULT["sampler"] in column(process)
        else column(process)[0],
    }


def of_size(process: Process, corpus: Corpus, quality: Judged, batch: int, draws: int) -> dict:
    """The bound, and the quality of text, with blocks of one size. The smaller the blocks, the more
    of them draw a number of masks in each noising, so that a quarter of the draws is enough. Texts
    are written one character a call, in exact order, so that sizes differ by what the network knows
    and not by how many characters it predicts at once.
    """
    (size,) = process.sizes
    texts, cost = samples(
        process, "blockwise", 1, batch, order="first_hitting", temperature=DEFAULT["temperature"]
    )
    few = 1 if size == 1 else max(2, draws // 4)
    return dict(
        size=size,
        bound=bound(process, corpus.valid[:SIZED], few).row(),
        **cost,
        **asdict(quality(texts)),
    )


def trade_samplers(process: Process) -> list[str]:
    """The samplers for which quality against entropy is measured: the first, and the greediest."""
    names = (
        ("blockwise",)
        if "blocks" in process.traits
        else ("ancestral", "confidence", "left_to_right")
    )
    return [name for name in names if name in column(process)]
