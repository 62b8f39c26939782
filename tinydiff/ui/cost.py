"""What a run of the page may cost: too much is refused before it starts, and what takes longer than
it was thought to is ended by a clock, with what it has written.

Two places serve all visitors, so a run is bounded by what the largest sensible wish of the bundled
models takes on slow cores. The work is counted in multiplications: of matrices, of attention
(layers x heads x length^2), of the vocabulary, and what each call takes beside them. It is a rough
measure, whose constants were set by calls on a busy machine; what it misses, the clock ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import gradio as gr

from tinydiff.generate import Frame, windows
from tinydiff.processes import Process
from tinydiff.samplers import SAMPLERS
from tinydiff.text import Canvas

MOST = 3e12  # multiplications of a run: above all that tests/test_cost.py calls sensible
SECONDS = 300.0  # of a run
NUMBERS = 1 << 26  # in the largest tensor of a call
CALL = 1e8  # what a call takes however small it is
# multiplications that a weight of attention costs, and a probability that is drawn from
SOFTMAX, DRAW = (
    100,
    50,
)
# of a perfect network: for each position, and for that position in each text
PERFECT, ITS_TEXT = (
    1e6,
    1.6e5,
)
LATE = (
    "The run was ended after {:.0f} minutes, what was written stays: take fewer steps, or a "
    "shorter text."
)


@dataclass
class Clock:
    """The time of a run, which may have several parts. late: was it ended before it was done?"""

    seconds: float = field(default_factory=lambda: SECONDS)
    began: float = field(default_factory=time.monotonic)
    late: bool = False

    @property
    def over(self) -> bool:
        return time.monotonic() - self.began > self.seconds

    @property
    def words(self) -> str:
        """What is said of a run that was late."""
        return LATE.format(self.seconds / 60)

    def watch(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames until the time is over; the visitor is told."""
        for frame in frames:
            yield frame
            if self.over and frame.step < frame.steps:
                self.late = True
                frames.close()
                gr.Warning(self.words, title="Time is over")
                return


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
            + call(process, len(canvas.tokens), window, asked(process, window, sampler, options))
        )
    return total


def asked(process: Process, window: int, sampler: str, options: dict) -> int:
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
