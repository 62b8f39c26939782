"""Speed, beside what this machine could do: a call of the network, a training step, and the time
spent outside the network.

    ceiling = multiply-adds of the Transformer's matrix products
              / multiply-adds a second of a large matrix product

Both are measured in the same run and in the same number format, so the ratio can be compared
between machines of any speed. float32 is always measured, bfloat16 where it is fast or asked for.
Times are medians, after warm-up runs (allocation, compilation) that are not counted. Softmax, norms
and rotations are not part of the ceiling, so they lower the ratio. Networks are untrained: the time
does not depend on the weights.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from rich.table import Column, Table

from tinydiff.generate import generate
from tinydiff.nets import fast_bf16
from tinydiff.nets import precision as autocast
from tinydiff.nets.precision import settle
from tinydiff.processes import PROCESSES, Process, build
from tinydiff.randomness import seeded
from tinydiff.samplers import column
from tinydiff.text import Canvas, Characters, Corpus
from tinydiff.train.loop import SHAPES, Config, TrainingRun, hardware, pick_device

CHARACTERS = 65  # of Tiny Shakespeare
LENGTH = 256
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCHES = (1, 8)
TRAINING_BATCH = 32
BACKWARD = 3  # forward and backward take three times the products of forward alone
STEPS = 128
LONG = 4096  # characters of a long text
BLOCK = 16  # characters of one of its blocks
PARTS = 4  # of a long text, each timed by itself
# sides of the matrices whose product is the ceiling
SQUARES = {
    "cpu": (1024, 1536, 2048),
    "cuda": (4096, 8192),
}
MAX_REPEATS = 1000


@dataclass(frozen=True)
class Row:
    """One measured time beside its ceiling. `tokens` is the number of tokens that were computed in
    that time."""

    what: str  # "call" or "training step"
    preset: str
    precision: str
    batch: int
    milliseconds: float
    ceiling: float  # milliseconds
    tokens: int
    compiled: bool = False

    @property
    def ratio(self) -> float:
        return self.milliseconds / self.ceiling

    @property
    def tokens_a_second(self) -> float:
        return 1000 * self.tokens / self.milliseconds


@dataclass(frozen=True)
class Share:
    """How the time of a run divides into network and everything else, in milliseconds."""

    process: str
    sampler: str
    precision: str
    calls: int
    milliseconds: float
    outside: float

    @property
    def share(self) -> float:
        return self.outside / self.milliseconds


@dataclass(frozen=True)
class Long:
    """A long text, written in blocks of BLOCK characters with STEPS steps for each window.
    Milliseconds."""

    cache: str
    precision: str
    characters: int
    calls: int
    milliseconds: float
    parts: list[float]  # a character, in each of PARTS equal parts of the text


@dataclass(frozen=True)
class Report:
    """All that one run of the benchmark measured, and on what."""

    hardware: str
    threads: int
    torch: str
    # multiply-adds a second of the machine's own matrix product, by precision
    products: dict[str, float]
    rows: list[Row]
    shares: list[Share]
    long: list[Long]

    def plain(self) -> dict:
        """As JSON holds it, with the ratios written out."""
        rows = [
            asdict(row) | dict(ratio=row.ratio, tokens_a_second=row.tokens_a_second)
            for row in self.rows
        ]
        return asdict(self) | dict(
            rows=rows, shares=[asdict(s) | dict(share=s.share) for s in self.shares]
        )


def bench(
    presets: tuple[str, ...] = ("small", "base"),
    *,
    repeats: int = 15,
    training: bool = True,
    compiled: bool = True,
    bf16: bool = False,
    device: str = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Measure everything, in one run on this machine.

    presets:   names in train.SHAPES
    repeats:   1 .. 1000; the median of them is taken
    training:  False leaves out the training steps
    compiled:  False leaves out the compiled one of them, which takes longest
    bf16:      measure bfloat16 even where it is slow
    say:       called with the name of what is measured next

    Raises ValueError for a preset that does not exist and for other numbers of repeats.
    """
    unknown = [preset for preset in presets if preset not in SHAPES]
    if unknown:
        raise ValueError(f"There is no preset {unknown[0]!r}; there are {', '.join(SHAPES)}.")
    if not 1 <= repeats <= MAX_REPEATS:
        raise ValueError(f"repeats is {repeats}; give a whole number from 1 to {MAX_REPEATS}.")
    where = pick_device(device)
    say("the machine's own matrix product")
    products = {name: product_rate(DTYPES[name], where) for name in formats(where, bf16)}
    rows = list(calls(presets, products, repeats, where, say))
    if training:
        rows += training_steps(presets, products, min(repeats, 5), compiled, device, say)
    shares = list(overheads(presets[0], products, max(1, repeats // 5), where, say))
    texts = list(long_texts(presets[0], products, LONG if repeats > 1 else 2 * LENGTH, where, say))
    return Report(
        hardware(where), torch.get_num_threads(), torch.__version__, products, rows, shares, texts
    )


def formats(device: torch.device, bf16: bool = False) -> list[str]:
    """The number formats worth measuring: float32, and bfloat16 where it is fast or asked for."""
    return [name for name in DTYPES if name == "fp32" or bf16 or fast_bf16(device)]


# ---------------------------------------------------------------- the arithmetic


def multiply_adds(shape: dict, batch: int, length: int, outputs: int = CHARACTERS) -> int:
    """Of the matrix products of one forward pass: 12 D^2 + 2 L D a layer and position, and the
    head.

    qkv 3 D^2, out D^2, up and down 4 D^2 each; scores and their product with the values L D each,
    as dense products.
    """
    D = shape["width"]
    return batch * length * (shape["layers"] * (12 * D * D + 2 * length * D) + D * outputs)


def product_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Multiply-adds a second of the fastest large square matrix products."""
    return max(square_rate(n, dtype, device) for n in SQUARES.get(device.type, SQUARES["cpu"]))


def square_rate(n: int, dtype: torch.dtype, device: torch.device) -> float:
    a, b = torch.randn(2, n, n, dtype=dtype, device=device)
    return n**3 / (median_ms(lambda: a @ b, 7, device) / 1000)


def median_ms(
    work: Callable[[], object], repeats: int, device: torch.device, warm: int = 2
) -> float:
    """Median time of `work()` in milliseconds, after `warm` runs that are not counted."""
    times = []
    for _ in range(warm + repeats):
        start = time.perf_counter()
        work()
        settle(device)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[warm:])


# ---------------------------------------------------------------- what is measured


def untrained(name: str, preset: str) -> Process:
    tokenizer = Characters("".join(chr(33 + i) for i in range(CHARACTERS)))
    return build(name, tokenizer, **SHAPES[preset] | dict(length=LENGTH)).eval()


def calls(presets, products, repeats, device, say) -> Iterator[Row]:
    for preset in presets:
        process = untrained("masked", preset).to(device)
        for precision in products:
            for batch in BATCHES:
                say(f"a call of {preset} at ({batch}, {LENGTH}) in {precision}")
                took = call_ms(process, precision, batch, repeats, device)
                ceiling = 1000 * multiply_adds(SHAPES[preset], batch, LENGTH) / products[precision]
                yield Row("call", preset, precision, batch, took, ceiling, batch * LENGTH)


def call_ms(
    process: Process, precision: str, batch: int, repeats: int, device: torch.device
) -> float:
    x = torch.randint(process.V + 1, (batch, LENGTH), device=device)
    t = torch.ones(batch, LENGTH, device=device)
    with torch.no_grad(), autocast(precision, device)():
        return median_ms(lambda: process.net(x, t), repeats, device)


def training_steps(presets, products, repeats, compiled, device, say) -> Iterator[Row]:
    for preset in presets:
        for compile in (False, True) if compiled else (False,):
            say(f"training steps of {preset}, {'compiled' if compile else 'not compiled'}")
            yield training_row(preset, products, repeats, compile, device)


def training_row(preset: str, products: dict, repeats: int, compile: bool, device: str) -> Row:
    """A step as the trainer takes it, optimizer and average included."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            preset=preset, batch=TRAINING_BATCH, compile=False, device=device, out=folder
        )
        run = TrainingRun(config, noise(), resume=False)
        run.speed_up()
        if compile:
            run.process.net.compile()
        took = median_ms(run.advance, repeats, run.device)
    where = pick_device(device)
    precision = "bf16" if fast_bf16(where) else "fp32"
    length = config.shape["length"]
    ceiling = (
        1000 * BACKWARD * multiply_adds(config.shape, TRAINING_BATCH, length) / products[precision]
    )
    return Row(
        "training step",
        preset,
        precision,
        TRAINING_BATCH,
        took,
        ceiling,
        TRAINING_BATCH * length,
        compile,
    )


def noise() -> Corpus:
    """Random characters: time does not depend on what is learnt."""
    tokenizer = Characters("".join(chr(33 + i) for i in range(CHARACTERS)))
    ids = torch.randint(CHARACTERS, (20 * LENGTH,), generator=seeded(0))
    return Corpus("noise", tokenizer, ids, ids)


def overheads(preset, precisions, repeats, device, say) -> Iterator[Share]:
    for name in PROCESSES:
        process = untrained(name, preset).to(device)
        chosen = column(process)[0]
        for precision in precisions:
            say(f"{STEPS} steps of {name} with {chosen} in {precision}")
            runs = [overhead(process, chosen, precision, device) for _ in range(1 + repeats)]
            yield sorted(runs[1:], key=lambda run: run.share)[repeats // 2]


def overhead(process: Process, chosen: str, precision: str, device: torch.device) -> Share:
    with stopwatch(process.net, device) as inside:
        start = time.perf_counter()
        *_, frame = generate(
            process, Canvas.blank(LENGTH), sampler=chosen, steps=STEPS, precision=precision
        )
        whole = 1000 * (time.perf_counter() - start)
    return Share(process.name, chosen, precision, frame.calls, whole, whole - 1000 * sum(inside))


def long_texts(preset, precisions, length, device, say) -> Iterator[Long]:
    process = untrained("block", preset).to(device)
    for cache in process.caches:
        for precision in precisions:
            say(f"{length:,} characters in blocks of {BLOCK} in {precision}, cache: {cache}")
            yield long_text(process, cache, precision, length)


def long_text(process: Process, cache: str, precision: str, length: int) -> Long:
    frames = list(
        generate(
            process,
            Canvas.blank(length),
            sampler="blockwise",
            block=BLOCK,
            order="random",
            cache=cache,
            steps=STEPS,
            precision=precision,
        )
    )
    ends = [frames[(i + 1) * len(frames) // PARTS - 1].seconds for i in range(PARTS)]
    parts = [1000 * (end - start) * PARTS / length for start, end in zip([0.0, *ends], ends)]
    return Long(cache, precision, length, frames[-1].calls, 1000 * ends[-1], parts)


@contextmanager
def stopwatch(net: torch.nn.Module, device: torch.device) -> Iterator[list[float]]:
    """A context whose value is the list of seconds that each call of `net` takes."""
    seconds: list[float] = []

    def stop(*_):
        settle(device)
        seconds[-1] = time.perf_counter() - seconds[-1]

    hooks = [
        net.register_forward_pre_hook(lambda *_: seconds.append(time.perf_counter())),
        net.register_forward_hook(stop),
    ]
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()


# ---------------------------------------------------------------- to be read


def tables(report: Report) -> list[Table]:
    """The report as tables for a terminal."""
    return [times_table(report), shares_table(report), texts_table(report)]


def times_table(report: Report) -> Table:
    """Calls of the network and training steps, beside the ceiling."""
    rates = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in report.products.items())
    times = Table(
        "",
        "preset",
        "format",
        "size",
        "compiled",
        *map(right, ("ms", "ceiling ms", "ratio", "characters/s")),
        title=f"{report.hardware}; {report.threads} threads; torch {report.torch}",
        caption="Ceiling: this machine's matrix product, "
        f"billions of multiply-adds a second: {rates}",
    )
    for row in report.rows:
        times.add_row(
            row.what,
            row.preset,
            row.precision,
            f"{row.batch} x {row.tokens // row.batch}",
            "yes" if row.compiled else "",
            f"{row.milliseconds:,.1f}",
            f"{row.ceiling:,.1f}",
            f"{row.ratio:.1f}",
            f"{row.tokens_a_second:,.0f}",
        )
    return times


def shares_table(report: Report) -> Table:
    """What is spent outside the network."""
    shares = Table(
        "process",
        "sampler",
        "format",
        *map(right, ("calls", "network ms a call", "ms", "outside ms", "share outside")),
        title=f"{STEPS} steps of {LENGTH} characters: time spent outside the network",
    )
    for s in report.shares:
        inside = (s.milliseconds - s.outside) / s.calls
        shares.add_row(
            s.process,
            s.sampler,
            s.precision,
            str(s.calls),
            f"{inside:.1f}",
            f"{s.milliseconds:,.0f}",
            f"{s.outside:,.0f}",
            f"{s.share:.1%}",
        )
    return shares


def texts_table(report: Report) -> Table:
    """A long text with each cache."""
    texts = Table(
        "cache",
        "format",
        *map(right, ("calls", "s", "ms a character", *(f"part {i + 1}" for i in range(PARTS)))),
        title=f"{report.long[0].characters:,} characters in blocks of {BLOCK}, {STEPS} steps a "
        f"window of {LENGTH}",
    )
    for text in report.long:
        texts.add_row(
            text.cache,
            text.precision,
            f"{text.calls:,}",
            f"{text.milliseconds / 1000:.1f}",
            *(f"{ms:.2f}" for ms in (text.milliseconds / text.characters, *text.parts)),
        )
    return texts


def right(header: str) -> Column:
    return Column(header, justify="right")
