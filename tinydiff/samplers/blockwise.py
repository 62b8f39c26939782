"""Writing block by block: each block in an order of its own, given all blocks before it. It lies
between autoregression (blocks of one token) and diffusion (one block): BD3-LM
(arXiv:2503.09573), and LLaDA's semi-autoregressive decoding (arXiv:2502.09992)."""

import torch

from tinydiff.processes import Process
from tinydiff.samplers import SAMPLERS, Annotated, Choice, State, Step, column, moves, sampler
from tinydiff.text import Canvas


def orders(process):
    """The samplers that can write a block."""
    owner = process if "diffusion" in process.traits else process.writes_with
    return [n for n in column(owner) if "pieces" not in SAMPLERS[n].needs] if owner else []


def spans(canvas: Canvas, block: int) -> list[tuple[int, int]]:
    """(start, stop) of the blocks in which something is open."""
    L = canvas.tokens.shape[1]
    blocks = [(start, min(start + block, L)) for start in range(0, L, block)]
    return [(start, stop) for start, stop in blocks if not canvas.given[:, start:stop].all()]


def planned(
    process: Process,
    canvas: Canvas,
    steps: int,
    block: int | None = None,
    order: str | None = None,
    **_,
) -> int:
    """How many steps it takes in all: each block gets its share of `steps` by its length, but one
    at least."""
    block, order = block or process.sizes[0], SAMPLERS[order or orders(process)[0]]
    return sum(
        order.planned(process, canvas.slice(*span), share(steps, canvas, *span))
        for span in spans(canvas, block)
    )


def share(steps: int, canvas: Canvas, start: int, stop: int) -> int:
    return max(1, steps * (stop - start) // canvas.tokens.shape[1])


def asks(process: Process, order: str | None = None, **_) -> int:
    """As many as the sampler that writes its blocks."""
    return SAMPLERS[order or orders(process)[0]].asks(process)


def computes(process: Process, window: int, block=None, cache=None, **_) -> int:
    """With a cache what is new."""
    return process.computed(block or process.sizes[0], cache or process.caches[0], window)


Block = Annotated[
    int | None,
    Choice(
        lambda process: process.sizes,
        "tokens a block: 1 is one after the other, all of them is one diffusion",
    ),
]
Order = Annotated[str | None, Choice(orders, "the sampler that writes a block")]
Cache = Annotated[
    str | None,
    Choice(
        lambda process: process.caches,
        "what is kept of the text around a block: exact, nothing, or approximately what "
        "stands before it (prefix) or on both sides (dual)",
    ),
]


@sampler(
    "blockwise",
    needs={"pieces"},
    paper="arXiv:2503.09573",
    planned=planned,
    asks=asks,
    computes=computes,
    size=lambda process, block=None, **_: block,
)
def blockwise(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    block: Block = None,
    order: Order = None,
    cache: Cache = None,
):
    """Write block by block, each with an order of its own, given all before it; the steps are
    shared by the blocks."""
    block, order = block or process.sizes[0], SAMPLERS[order or orders(process)[0]]
    canvas, rest, inner = start.canvas, start.x, start.memory
    grid = (
        times
        if inner is not None
        else [t for pair in moves(start, times) for t in pair[:1]] + [0.0]
    )
    piece = process.pieces(block, cache or process.caches[0])
    for first, stop in spans(canvas, block):
        part = piece(canvas, first, stop, denoise, rest)
        few = share(len(grid) - 1, canvas, first, stop)
        some = [grid[round(i * (len(grid) - 1) / few)] for i in range(few + 1)]
        now, memory = inner or (some[0], None)
        begin = State(rest[:, part.first : stop], part.canvas, now, memory)
        last = begin.x
        writing, sent, inner = order.run(part.process, part.denoise, begin, some, rng), None, None
        while (step := next_step(writing, sent)) is not None:
            last = step.x
            x = torch.cat([rest[:, : part.first], last, rest[:, stop:]], 1)
            where = part.first + step.first
            sent = yield Step(x, step.prediction, step.t, where, canvas, (step.t, step.memory))
            if sent is not None:
                rest, last = sent.x, sent.x[:, part.first : stop]
                sent = State(last, step.canvas or part.canvas, step.t, step.memory)
        canvas = canvas.with_written(*read(part, last, canvas, stop))
        rest = process.noise.pin(rest, canvas)


def read(part, x, canvas, stop):
    """(tokens, where), both (B, L): the canvas's tokens with those of x, the part written last, up
    to column `stop`; and True up to that column."""
    before, behind = canvas.tokens[:, : part.first], canvas.tokens[:, stop:]
    tokens = torch.cat([before, part.process.noise.read(x), behind], 1)
    return tokens, (torch.arange(tokens.shape[1], device=x.device) < stop).expand(tokens.shape)


def next_step(writing, sent):
    """The sampler's next step, after sending it a State where it is to go on from another; None at
    its end."""
    try:
        return writing.send(sent)
    except StopIteration:
        return None
