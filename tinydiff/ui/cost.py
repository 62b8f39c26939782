"""What a run of the page may cost: too much is refused before it starts, and what takes longer than
it was thought to is ended by its `Job`, with what it has written.

Two places serve all visitors, so a run is bounded by what the largest sensible wish of the bundled
models takes on slow cores. The work is counted in multiplications: the network's (`Network.work`;
one that says nothing takes one a weight and position), of the vocabulary, and what each call takes
beside them. It is a rough measure, whose constants were set by calls on a busy machine; what it
misses, the Job ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tinydiff import guides
from tinydiff.exact import PerfectNetwork
from tinydiff.generate import windows
from tinydiff.processes import Process
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS
from tinydiff.text import Canvas

MOST = 3e12  # multiplications of a run: above all that tests/test_cost.py calls sensible
NUMBERS = 1 << 26  # in the largest tensor of a call
CALL = 1e8  # what a call takes however small it is
DRAW = 50  # multiplications that a probability costs
# of a perfect network: for each position, and for that position in each text
PERFECT, ITS_TEXT = 1e6, 1.6e5


def of(request: Request) -> float:
    """Multiplications of what is asked for, about. Raises as `work` does."""
    named = {name: request.settings[name] for name in ("sampler", "steps")}
    options = request.settings["options"]
    asked = request.steering | options
    canvas = request.canvas.repeated(guides.particles(asked))
    return work(request.process, canvas, request.models, **named, **options) * guides.asks(asked)


def work(
    process: Process,
    canvas: Canvas,
    models: Mapping[str, Process] = MappingProxyType({}),
    *,
    sampler: str,
    steps: int,
    **options,
) -> float:
    """Multiplications of a run, about, each call being of the largest of the process and of the
    models that guides are handed. Raises ValueError if a call would need more memory than there is
    for one."""
    chosen, total, L = SAMPLERS[sampler], 0.0, canvas.tokens.shape[1]
    names = {name: value for name, value in options.items() if name in chosen.options}
    for _, stop, fresh in windows(L, process.length):
        window = min(L, process.length or L)
        calls = chosen.planned(process, canvas.slice(fresh, stop), steps, **names) * chosen.asks(
            process, **names
        )
        batch, new = len(canvas.tokens), chosen.computed(process, window, **names)
        each = [call(process, batch, window, new)]
        each += [call(model, batch, window, window) for model in models.values()]
        total += calls * (CALL + max(each))
    return total


def call(process: Process, batch: int, window: int, new: int) -> float:
    """Multiplications of one call for `new` positions that look at a window. Raises ValueError
    where it is too large."""
    net, V = process.net, process.V
    if isinstance(net, PerfectNetwork):
        return new * (PERFECT + ITS_TEXT * batch)
    largest = batch * max(net.largest(window), window * V)
    if largest > NUMBERS:
        raise ValueError(
            f"A call of this network would hold {largest:,} numbers at once; there is room "
            f"for {NUMBERS:,}: "
            "ask for a shorter text, or take a smaller network."
        )
    return batch * (net.work(new, window) + new * V * DRAW)


def bound(process: Process, length: int, draws: int, batch: int) -> float:
    """Multiplications of a bound on a text of so many tokens, about: `draws` noisings of it,
    `batch` at once. Raises ValueError as `work` does."""
    window = min(length, process.length or length)
    each = CALL + call(process, min(batch, draws), window, window)
    return -(-draws // batch) * each


def check(works: Iterable[float]) -> None:
    """Raises ValueError if a run of these parts would take more than MOST."""
    total = sum(works)
    if total > MOST:
        raise ValueError(
            f"That would take {total / MOST:,.1f} times as much as a run of this page may: "
            "take fewer steps, a shorter "
            "text, or a smaller network."
        )
