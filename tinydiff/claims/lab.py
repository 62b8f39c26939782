"""What claims are measured with: held-out stories, the bundled models and those that a claim
trains, texts that they write, and a judge that reads them.

The judge is an outside language model (measure/outside.py) or, where none is named, the bundled
autoregressive model, who may be partial to its own kind: what was read by it says so.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from tinydiff import uncertainty
from tinydiff.endings import between, parted
from tinydiff.files import write_text
from tinydiff.generate import generate
from tinydiff.measure import sense
from tinydiff.measure.outside import Judge as Outside
from tinydiff.paths import ASSETS
from tinydiff.processes import Process
from tinydiff.randomness import Rng, seeded
from tinydiff.store import catalogue, checkpoint
from tinydiff.text import Canvas, corpus
from tinydiff.train import loop
from tinydiff.uncertainty import Mean

TEXTS = 64  # of a point
FEW = 2  # of a quick one
BATCH = 64  # texts that are written at once
READ = 2048  # tokens that a judge reads at once: its bets on long texts take gigabytes
# tokens of the stories that trained networks are measured on, and draws of noise on each
KNOWN, REPEATS = 128, 8
SPEEDY = 1024  # tokens of which all bets fit a processor's cache: more at once take longer
RIVAL, MASKED = "stories/autoregressive", "stories/masked"
QUICKLY = dict(
    preset="tiny",
    tokenizer="characters",
    label="",
    start="",
    steps=4,
    minutes=0.0,
    batch=4,
    warmup=1,
    compile=False,
    validate_every=4,
)
# how the networks of claims about stories learn: about twenty minutes of a core with bf16
STORIES = loop.Config(
    corpus="tinystories",
    tokenizer=str(catalogue.CHECKPOINTS / MASKED / "tokenizer.json"),
    steps=1500,
    batch=16,
    lr=2e-3,
    decay=0.3,
    validate_every=50,
    save_every=200,
)
TALES = ASSETS / "recorded" / "twenty.json"  # stories for a quick look, written by a model

Span = tuple[tuple[int, int], float]  # of characters, and its nats


class OwnJudge:
    """The bundled autoregressive model of stories, as a judge."""

    name = RIVAL

    def __init__(self):
        self.process = catalogue.open_model(RIVAL)

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """As those of the outside judge."""
        return [list(sense.surprises(text, self.process)) for text in texts]


@dataclass
class Lab:
    """Where a claim is measured.

    judge:  who reads texts; by default the bundled autoregressive model
    folder: where the networks are that claims train, each in NAME of claim/NAME of network
    quick:  toy sizes: everything is done, nothing is found out
    seed:   of texts and noise
    tell:   is told what happens
    """

    judge: Outside | OwnJudge | None = None
    folder: Path = Path("runs/claims")
    quick: bool = False
    seed: int = 0
    tell: Callable[[str], None] = lambda line: None
    sizes: dict[float, int] = field(default_factory=dict)  # tokens of a corpus by its megabytes

    def __post_init__(self):
        self.judge = self.judge or OwnJudge()

    @property
    def texts(self) -> int:
        """How many texts a point has."""
        return FEW if self.quick else TEXTS

    def some(self, values: Sequence, few: int = 2) -> Sequence:
        """The values at which something is measured; the first `few` of them in a quick look."""
        return values[:few] if self.quick else values

    def rng(self, step: int = 0) -> Rng:
        return seeded(self.seed + step)

    # ------------------------------------------------------------ models

    def model(self, key: str) -> Process:
        """A bundled model."""
        return catalogue.open_model(key)

    def best(self, key: str) -> float:
        """A model's own best temperature: that at which the outside judge found its texts as likely
        as real text, as nearly as it gets, in its evaluation."""
        card = catalogue.card_of(key).evaluation
        real = card["real"]["outside"]
        rows = [row for row in card["temperatures"] if row.get("outside") is not None]
        return min(rows, key=lambda row: abs(row["outside"] - real))["temperature"]

    def trained(self, claim: str, name: str, config: loop.Config) -> Process:
        """A network that a claim trains, by its config; trained now unless it is there already, and
        gone on with where it was stopped. In a quick look it is tiny and learns from a toy text."""
        out = self.folder / claim / name
        config = replace(self.as_here(config), out=str(out))
        if not self.is_done(out, config):
            self.tell(f"{claim}: {name} is trained")
            for _ in loop.train(config, resume=(out / "resume.json").is_file()):
                pass
        return checkpoint.load(out)

    def as_here(self, config: loop.Config) -> loop.Config:
        """The config, or that of a quick look in its place."""
        return replace(config, **QUICKLY, corpus=str(self.toy_text())) if self.quick else config

    def toy_text(self) -> Path:
        """A file that a quick look learns from, of characters: the held-out stories, which need no
        network to be had."""
        path = self.folder / "toy.txt"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, "\n\n".join(self.heldout))
        return path

    def rows(self, claim: str, name: str) -> list[dict]:
        """The validations of a network that a claim trained, in their order."""
        rows = checkpoint.read_jsonl(self.folder / claim / name / "metrics.jsonl")
        return [row for row in rows if row.get("valid") is not None]

    def epochs(self, config: loop.Config, step: int) -> float:
        """How often a training has read its text after so many steps."""
        config = self.as_here(config)
        if config.megabytes not in self.sizes:
            data = corpus(config.corpus, tokenizer=config.tokenizer, megabytes=config.megabytes)
            self.sizes[config.megabytes] = len(data.train)
        read = step * config.batch * config.shape["length"]
        return read / self.sizes[config.megabytes]

    def is_done(self, out: Path, config: loop.Config) -> bool:
        """Was a training brought to its end?"""
        path = out / "config.json"
        if not path.is_file():
            return False
        known = json.loads(path.read_text("utf-8"))
        minutes = config.minutes and known["seconds"] >= 60 * config.minutes
        return known["step"] >= config.steps or bool(minutes)

    # ------------------------------------------------------------ texts

    @cached_property
    def heldout(self) -> list[str]:
        """Stories that no model has learned from, in their order; in a quick look some that a model
        wrote."""
        if self.quick:
            return json.loads(TALES.read_text("utf-8"))["texts"]
        process = self.model(RIVAL)
        data = corpus("tinystories", tokenizer=process.tokenizer)
        ends = (data.valid == process.tokenizer.end_id).nonzero()[:, 0] + 1
        parts = data.valid.tensor_split(ends)[1:-1]  # those at either end may be cut
        return [process.tokenizer.decode(part[:-1]) for part in parts]

    def stories(self, process: Process, tokens: int, n: int = 0) -> Tensor:
        """The beginnings of `n` held-out stories (of a point's number of texts) that are as long,
        (n, tokens), evenly over all there are."""
        n = n or self.texts
        found = []
        for text in self.heldout:
            ids = process.tokenizer.encode(text)
            if len(ids) >= tokens:
                found.append(ids[:tokens])
        if not found:
            raise ValueError(f"No held-out story has {tokens} tokens: ask for fewer.")
        n = min(n, len(found))  # none twice, or errors would be too small
        return torch.stack([found[i * len(found) // n] for i in range(n)]).long()

    def write(
        self, process: Process, canvas: Canvas, batch: int = BATCH, **how
    ) -> tuple[Tensor, dict]:
        """Tokens (B, L) that a process writes on a canvas, and what they cost: calls, and
        milliseconds for all of them. batch: texts that are written at once; how: as `generate`
        takes it."""
        tokens, calls, ms = [], 0, 0.0
        for first in range(0, len(canvas.tokens), batch):
            part = canvas.each(lambda rows, a=first: rows[a : a + batch])
            *_, frame = generate(
                process, part, seed=how.get("seed", self.seed) + first, **without_seed(how)
            )
            tokens.append(frame.tokens)
            calls, ms = max(calls, frame.calls), ms + 1000 * frame.seconds
        return torch.cat(tokens), dict(calls=calls, ms=ms)

    def continued(self, process: Process, prefix: Tensor, more: int, **how) -> Tensor:
        """The tokens (B, more) that a process writes behind prefixes (B, n)."""
        B, n = prefix.shape
        canvas = Canvas.blank(n + more, B).with_written(
            torch.cat([prefix, prefix.new_zeros(B, more)], 1), torch.arange(n + more) < n
        )
        return self.write(process, canvas, **how)[0][:, n:]

    @torch.no_grad()
    def known(self, process: Process) -> tuple[Tensor, Tensor]:
        """The bound of a trained network on held-out stories, bits (n,), with the same noise for
        all networks of a kind; and how many characters each has."""
        tokens = self.stories(process, min(KNOWN, process.length))
        canvas = Canvas(tokens, torch.zeros_like(tokens, dtype=torch.bool))
        draws = [process.bound(canvas, self.rng(k)) for k in range(1 if self.quick else REPEATS)]
        bits = torch.stack(draws).double().mean(0) / math.log(2)
        return bits, canvas.characters(process.tokenizer)

    # ------------------------------------------------------------ judging

    def nats(self, texts: Sequence[str], begins: Sequence[int] | None = None) -> list[Tensor]:
        """-log p under the judge of each character of texts, given all before it, each (n,); what
        stands before `begins` is read and not counted. A token's nats are spread evenly over its
        characters."""
        begins = [0] * len(texts) if begins is None else begins
        found = []
        for text, begin, spans in zip(texts, begins, self.judge.spans(list(texts))):
            each = torch.zeros(len(text), dtype=torch.float64)
            for (a, b), nats in spans:
                each[a:b] += nats / max(1, b - a)
            found.append(each[begin:])
        return found

    def bits(self, texts: Sequence[str], begins: Sequence[int] | None = None) -> Mean:
        """Bits a character under the judge, all texts together, with the error over texts."""
        nats = [each for each in self.nats(texts, begins) if len(each)]
        return uncertainty.mean(
            [each.sum().item() / math.log(2) for each in nats],
            [len(each) for each in nats],
            consecutive=False,
        )

    def along(
        self, process: Process, tokens: Tensor, stops: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Bits under the judge, and characters, of rows of tokens (B, L) between each of the places
        `stops` (n,) and the next, both (B, n - 1); as `streams_in` reads them."""
        bits, characters = [], []
        ends = [list(map(len, streams_in(process, tokens[:, :stop]))) for stop in stops]
        few = max(1, READ // tokens.shape[1])
        read = [self.nats(streams_in(process, rows)) for rows in tokens.split(few)]
        for nats, at in zip(chain(*read), zip(*ends)):
            at = torch.tensor(at).clamp_max(len(nats))
            total = torch.cat([nats.new_zeros(1), nats.cumsum(0)])
            bits.append(total[at].diff() / math.log(2))
            characters.append(at.diff())
        return torch.stack(bits), torch.stack(characters)


def without_seed(how: dict) -> dict:
    return {name: value for name, value in how.items() if name != "seed"}


def texts_in(process: Process, tokens: Tensor) -> list[str]:
    """What tokens (B, L) spell, each text up to its end."""
    end = process.tokenizer.end_id
    rows = [
        row if end is None else row[: int((row == end).int().cumsum(0).eq(0).sum())]
        for row in tokens
    ]
    return [process.tokenizer.decode(row) for row in rows]


def streams_in(process: Process, tokens: Tensor) -> list[str]:
    """What tokens (B, L) spell to their very end, a blank line between two stories."""
    spelled = [process.tokenizer.spell(row) for row in tokens]
    return [
        parted("".join(pieces), between(process, row, pieces))
        for row, pieces in zip(tokens, spelled)
    ]


def milliseconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The least time that something takes, of several."""
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - start))
    return min(took)


def jackknife(value: Callable[..., float], *samples: Tensor, groups: int = 16) -> Mean:
    """A value of whole samples of texts, each (B, L), and its error, from leaving out one group of
    rows after the other (Efron and Stein, Annals of Statistics 9, 1981). Of two samples the same
    rows are left out together, so that a difference may be told of both."""
    part = torch.arange(len(samples[0])) % min(groups, len(samples[0]))
    without = [value(*(rows[part != k] for rows in samples)) for k in range(int(part.max()) + 1)]
    each = torch.tensor(without, dtype=torch.float64)
    error = ((len(each) - 1) * each.var(correction=0)).sqrt().item() if len(each) > 1 else None
    return Mean(value(*samples), error)
