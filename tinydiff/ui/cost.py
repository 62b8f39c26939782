"""What a run of the page may cost: too much is refused before it starts, and what takes longer than
it was thought to is ended by its `Job`, with what it has written.

Two places serve all visitors, so a run is bounded by what the largest sensible wish of the bundled
models takes on slow cores. The work is counted in multiplications: of matrices, of attention
(layers x heads x length^2), of the vocabulary, and what each call takes beside them. It is a rough
measure, whose constants were set by calls on a busy machine; what it misses, the Job ends.
"""

from __future__ import annotations

from collections.abc import Iterable

from tinydiff import guides, runs
from tinydiff.generate import windows
from tinydiff.processes import Process
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS
from tinydiff.text import Canvas

MOST = 3e12  # multiplications of a run: above all that tests/test_cost.py calls sensible
NUMBERS = 1 << 26  # in the largest tensor of a call
CALL = 1e8  # what a call takes however small it is
SOFTMAX, DRAW = 100, 50  # multiplications that a weight of attention costs, and a probability
# of a perfect network: for each position, and for that position in each text
PERFECT, ITS_TEXT = 1e6, 1.6e5


def of(request: Request) -> float:
    """Multiplications of what is asked for, about. Raises as `work` does."""
    named = {name: request.settings[name] for name in ("sampler", "steps")}
    options = request.settings["options"]
    once = work(request.process, request.canvas, **named, **options)
    return once * guides.asks(runs.steering(request.settings) | options)


def work(process: Process, canvas: Canvas, *, sampler: str, steps: int, **options) -> float:
    """Multiplications of a run, about. Raises ValueError if a call would need more memory than
    there is for one."""
    chosen, total, L = SAMPLERS[sampler], 0.0, canvas.tokens.shape[1]
    names = {name: value for name, value in options.items() if name in chosen.options}
    for _, stop, fresh in windows(L, process.length):
        window = min(L, process.length or L)
        calls = chosen.planned(process, canvas.slice(fresh, stop), steps, **names) * chosen.asks(
            process, **names
        )
        total += calls * (
            CALL
            + call(process, len(canvas.tokens), window, computed(process, window, sampler, options))
        )
    return total


def computed(process: Process, window: int, sampler: str, options: dict) -> int:
    """How many positions a call computes: with a cache those that are new."""
    cached = sampler == "blockwise" and (options.get("cache") or process.caches[0]) != "none"
    if cached:
        return min(window, options.get("block") or process.sizes[0])
    return 1 if sampler == "left_to_right" and "cache" in process.traits else window


def call(process: Process, batch: int, window: int, new: int) -> float:
    """Multiplications of one call for `new` positions that look at a window. Raises ValueError
    where it is too large."""
    net, V = process.net, process.V
    if not hasattr(net, "blocks"):
        return new * (PERFECT + ITS_TEXT * batch)
    layers, heads, width = len(net.blocks), net.blocks[0].heads, net.norm.weight.numel()
    largest = batch * max(heads * window**2, window * V)
    if largest > NUMBERS:
        raise ValueError(
            f"A call of this network would hold {largest:,} numbers at once; there is room "
            f"for {NUMBERS:,}: "
            "ask for a shorter text, or take a smaller network."
        )
    matrices = new * (12 * layers * width**2 + V * (width + DRAW))
    return batch * (matrices + layers * new * window * (2 * width + SOFTMAX * heads))


def check(works: Iterable[float]) -> None:
    """Raises ValueError if a run of these parts would take more than MOST."""
    total = sum(works)
    if total > MOST:
        raise ValueError(
            f"That would take {total / MOST:,.1f} times as much as a run of this page may: "
            "take fewer steps, a shorter "
            "text, or a smaller network."
        )
