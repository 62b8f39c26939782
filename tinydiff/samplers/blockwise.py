"""Writing block by block: each block with an order of its own, given all blocks before it. Between autoregression (blocks of one
character) and diffusion (one block): BD3-LM (arXiv:2503.09573), and LLaDA's semi-autoregressive decoding (arXiv:2502.09992).
"""

import torch

from tinydiff.processes import Process
from tinydiff.samplers import SAMPLERS, Annotated, Choice, Range, Step, column, sampler
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


def planned(process: Process, canvas: Canvas, steps: int, block: int | None = None, order: str | None = None, **_) -> int:
    """The steps are shared by the blocks, one each at least."""
    each = spans(canvas, block or process.sizes[0])
    order = SAMPLERS[order or orders(process)[0]]
    share = max(1, steps // max(1, len(each)))
    return sum(order.planned(process, canvas.slice(*span), share) for span in each)


@sampler("blockwise", needs={"pieces"}, paper="arXiv:2503.09573", planned=planned)
def blockwise(process, denoise, canvas, times, rng, *,
              block: Annotated[int | None, Choice(lambda process: process.sizes, "characters a block: 1 is one after the other, all of them is one diffusion")] = None,
              order: Annotated[str | None, Choice(orders, "the sampler that writes a block")] = None,
              cache: Annotated[int, Range(0, 1, "1: what was read of finished blocks is kept, where a network allows it; 0: it is read again at every call")] = 1):  # fmt: skip
    """Write block by block, each with an order of its own, given all before it; the steps are shared by the blocks."""
    block, order = block or process.sizes[0], SAMPLERS[order or orders(process)[0]]
    rest, piece, each = process.prior(canvas, rng), process.pieces(block, bool(cache)), spans(canvas, block)
    share = max(1, (len(times) - 1) // max(1, len(each)))
    times = [times[round(i * (len(times) - 1) / share)] for i in range(share + 1)]
    for start, stop in each:
        part = piece(canvas, start, stop, denoise)
        for step in order.run(part.process, part.denoise, part.canvas, times, rng):
            x = torch.cat([rest[:, : part.first], step.x, rest[:, stop:]], 1)
            yield Step(x, step.prediction, step.t, part.first + step.first)
        tokens = torch.cat([canvas.tokens[:, : part.first], part.process.read(step.x), canvas.tokens[:, stop:]], 1)
        given = canvas.given | (torch.arange(tokens.shape[1], device=tokens.device) < stop)
        canvas = Canvas(tokens, given, canvas.label)
        rest = process.pin(rest, canvas)
