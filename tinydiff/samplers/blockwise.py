"""Writing block by block: each block with an order of its own, given all blocks before it. Between
autoregression (blocks of one character) and diffusion (one block): BD3-LM (arXiv:2503.09573), and
LLaDA's semi-autoregressive decoding (arXiv:2502.09992).
"""

import torch

from tinydiff.processes import Process
from tinydiff.samplers import SAMPLERS, Annotated, Choice, Step, column, sampler
from tinydiff.text import Canvas


def orders(process):
    """The samplers that can write a block."""
    owner = process if "diffusion" in process.traits else process.kind
    return [name for name in column(owner) if name != "blockwise"] if owner else []


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
    """Of the steps for the whole canvas each block takes its share, one at least."""
    block, order = block or process.sizes[0], SAMPLERS[order or orders(process)[0]]
    return sum(
        order.planned(process, canvas.slice(*span), share(steps, canvas, *span))
        for span in spans(canvas, block)
    )


def share(steps: int, canvas: Canvas, start: int, stop: int) -> int:
    return max(1, steps * (stop - start) // canvas.tokens.shape[1])


def asks(process: Process, order: str | None = None, **_) -> int:
    """What its order asks."""
    return SAMPLERS[order or orders(process)[0]].asks(process)


@sampler("blockwise", needs={"pieces"}, paper="arXiv:2503.09573", planned=planned, asks=asks)
def blockwise(
    process,
    denoise,
    canvas,
    times,
    rng,
    *,
    block: Annotated[
        int | None,
        Choice(
            lambda process: process.sizes,
            "characters a block: 1 is one after the other, all of them is one diffusion",
        ),
    ] = None,
    order: Annotated[str | None, Choice(orders, "the sampler that writes a block")] = None,
    cache: Annotated[
        str | None,
        Choice(
            lambda process: process.caches,
            "what is kept of the text around a block: exact, nothing, or approximately what "
            "stands before it (prefix) or on both sides (dual)",
        ),
    ] = None,
):
    """Write block by block, each with an order of its own, given all before it; the steps are
    shared by the blocks."""
    block, order = block or process.sizes[0], SAMPLERS[order or orders(process)[0]]
    rest, piece, each = (
        process.prior(canvas, rng),
        process.pieces(block, cache or process.caches[0]),
        spans(canvas, block),
    )
    for start, stop in each:
        part, few = (
            piece(canvas, start, stop, denoise, rest),
            share(len(times) - 1, canvas, start, stop),
        )
        some = [times[round(i * (len(times) - 1) / few)] for i in range(few + 1)]
        for step in order.run(part.process, part.denoise, part.canvas, some, rng):
            x = torch.cat([rest[:, : part.first], step.x, rest[:, stop:]], 1)
            yield Step(x, step.prediction, step.t, part.first + step.first)
        tokens = torch.cat(
            [canvas.tokens[:, : part.first], part.process.read(step.x), canvas.tokens[:, stop:]], 1
        )
        given = canvas.given | (torch.arange(tokens.shape[1], device=tokens.device) < stop)
        canvas = Canvas(tokens, given, canvas.label)
        rest = process.pin(rest, canvas)
