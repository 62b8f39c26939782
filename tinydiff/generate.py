"""generate(): a sampler's Steps as Frames, one picture a step; the one place where text is made, for page, terminal and files.

It validates, wraps the process's denoise (guidance, temperature, top-p), counts the calls, and writes text that is longer
than the network's window piece by piece: the last characters of a piece are given to the next. It does not know any
process or sampler by name.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from tinydiff import guidance as wrap
from tinydiff import nets
from tinydiff.processes import Prediction, Process
from tinydiff.samplers import SAMPLERS, Sampler, Step, column
from tinydiff.schedules import grid
from tinydiff.text import Canvas

MAX_STEPS = 4096
TINY = -80.0  # log of a probability that is as good as 0; of far smaller ones exp is ten times slower on a CPU
FEW = 16  # positions for which casting the weights costs more than it saves
BETS = 5  # likeliest characters kept of each prediction


@dataclass(frozen=True)
class Frame:
    """One picture of the text being written: enough to draw it, nothing left to compute. All tensors (B, L), on the CPU."""

    step: int  # 1 .. steps
    steps: int  # how many there will be; some samplers stop earlier
    t: float  # the time reached: 1 is noise, 0 is text
    calls: int  # calls of the network so far
    seconds: float  # time spent so far
    tokens: Tensor  # int64; mask_id where nothing is written yet
    best: Tensor  # int64: the character the network bets on; mask_id where it has no opinion
    confidence: Tensor  # float: its probability for what it wrote, when it wrote it; for its best bet where nothing is written
    entropy: Tensor  # float, nats: how spread out its bet is
    changed: Tensor  # bool: different from the frame before
    given: Tensor  # bool
    bets: Tensor  # int64 (B, L, up to 5): the likeliest characters, the best first
    odds: Tensor  # float (B, L, up to 5): their probabilities


class Asked:
    """The process's denoise, without gradients, with a count of the real calls; what guidance wraps and samplers call."""

    def __init__(self, process: Process, label: Tensor | None, autocast: Callable[[], AbstractContextManager]):
        self.process, self.label, self.autocast, self.calls = process, label, autocast, 0

    def __call__(self, x, t, cache=None, **hint) -> Prediction:
        return self.ask(x, t, self.label, cache, **hint)

    def unconditional(self, x, t, cache=None, **hint) -> Prediction:
        return self.ask(x, t, None, cache, **hint)

    def ask(self, x, t, label, cache, **hint) -> Prediction:
        self.calls += 1
        few = t.shape[1] - (0 if cache is None else len(cache)) < FEW
        with torch.no_grad(), nullcontext() if few else self.autocast():
            return self.process.denoise(x, t, label, cache, **hint)


def generate(process: Process, canvas: Canvas, *, sampler: str | None = None, steps: int = 64, seed: int = 0,
             temperature: float = 1.0, top_p: float = 1.0, guidance: float = 0.0, spacing: str = "uniform",
             precision: str = "auto", **options: float) -> Iterator[Frame]:  # fmt: skip
    """Write the canvas; a Frame after each step. Closing the generator stops the work.

    sampler:     a name from `samplers.column(process)`; None takes the first of them
    steps:       1 .. 4096 denoising steps for each window (samplers that write a character a call take as many as they need)
    seed:        the same seed gives the same frames
    temperature: 0 .. 10, divides the log-probabilities; top_p: (0, 1], the share of probability kept
    guidance:    weight of classifier-free guidance, 0 .. 20; only where the canvas has a label
    spacing:     how the steps lie on the time axis: "uniform", "cosine" or "information"
    precision:   "bf16", "fp32", or "auto": bf16 where the hardware multiplies it faster
    options:     the sampler's own

    Raises ValueError, in one sentence, before anything is computed.
    """
    chosen = check_sampler(process, sampler)
    check_number("steps", steps, 1, MAX_STEPS, whole=True)
    check_number("seed", seed, 0, 2**63 - 1, whole=True)
    check_number("temperature", temperature, 0, 10)
    check_number("top_p", top_p, 1e-6, 1)
    check_number("guidance", guidance, 0, 20)
    check_options(chosen, options)
    times = grid(steps, process.schedule, spacing)
    if canvas.given.all():
        raise ValueError("Nothing is left to write: everything on the canvas is given.")
    check_label(process, canvas)
    canvas = canvas.to(process.device)

    asked = Asked(process, canvas.label, nets.precision(precision, process.device))
    rng = torch.Generator().manual_seed(seed)

    def run(part: Canvas):
        both = [reminded(ask, process) for ask in (asked, asked.unconditional)]
        denoise = wrap.classifier_free(*both, guidance) if canvas.label is not None else both[0]
        denoise = wrap.top_p(wrap.temperature(denoise, temperature), top_p)
        return sampled(chosen.run(process, denoise, part, times, rng, **options))

    def planned(part: Canvas) -> int:
        return int((~part.given).sum(1).max()) if not chosen.steps_matter else 0 if part.given.all() else steps

    return frames(process, canvas, run, planned, asked)


def reminded(ask: wrap.Denoise, process: Process) -> wrap.Denoise:
    """With the process's last estimate as a hint, where it takes one."""
    return wrap.self_conditioned(ask, process.estimate) if "hint" in process.traits else ask


def sampled(steps: Iterator[Step]) -> Iterator[Step]:
    """The steps, none of whose arithmetic is for learning."""
    while True:
        with torch.no_grad():
            step = next(steps, None)
        if step is None:
            return
        yield step


def frames(process, canvas, run, planned, asked) -> Iterator[Frame]:
    """The Frames of one window after the other. run(canvas) yields Steps; planned(canvas) says how many."""
    process.eval()
    L = canvas.tokens.shape[1]
    spans, board = windows(L, process.length), Board(process, canvas)
    total, step, spent = sum(planned(canvas.slice(fresh, stop)) for _, stop, fresh in spans), 0, 0.0
    for start, stop, _ in spans:
        part = canvas.slice(start, stop)
        if part.given.all():
            continue
        clock = time.perf_counter()
        for step, now in enumerate(run(part), step + 1):  # noqa: B020
            board.take(now, start)
            spent += time.perf_counter() - clock
            yield Frame(step, total, now.t, asked.calls, spent, **board.picture())
            clock = time.perf_counter()
        # what was written is given to the next window
        done = torch.arange(L, device=canvas.tokens.device) < stop
        canvas = Canvas(torch.where(done, board.tokens.to(done.device), canvas.tokens), canvas.given | done, canvas.label)


class Board:
    """The whole text as it stands, and the last opinion on each position: what Frames are taken from. On the CPU."""

    def __init__(self, process: Process, canvas: Canvas):
        canvas, self.process, self.mask = canvas.to("cpu"), process, process.mask_id
        shape, bets = canvas.tokens.shape, min(BETS, process.V)
        self.given = canvas.given
        self.tokens = torch.where(canvas.given, canvas.tokens, self.mask)
        self.changed = torch.zeros(shape, dtype=torch.bool)
        self.best = torch.full(shape, self.mask)
        self.confidence, self.entropy = torch.zeros(shape), torch.full(shape, math.log(process.V))
        self.bets, self.odds = torch.zeros(*shape, bets, dtype=torch.int64), torch.zeros(*shape, bets)

    def take(self, step: Step, start: int) -> None:
        """Note a step of the window that begins at column `start`."""
        tokens = paste(self.tokens, self.process.read(step.x).cpu(), start)
        self.changed, self.tokens = tokens != self.tokens, tokens
        self.note(step.prediction.log_x0.cpu(), start + step.first)

    def note(self, log_x0: Tensor, start: int) -> None:
        """Note a prediction (B, n, V) for the columns from `start` on."""
        here = slice(start, start + log_x0.shape[1])
        tokens, V = self.tokens[:, here], log_x0.shape[-1]
        likeliest, bets = log_x0.topk(self.bets.shape[-1])
        written = log_x0.gather(-1, tokens.clamp_max(V - 1)[..., None])[..., 0]
        blank = tokens == self.mask
        confidence = torch.where(blank, likeliest[..., 0], written).exp().float()
        kept = ~blank & ~self.changed[:, here]  # what stands keeps the confidence with which it was written
        entropy = (log_x0.clamp_min(TINY).exp() * -log_x0).sum(-1).float().clamp_min(0)
        knows = entropy < math.log(V) - 1e-4
        self.best = paste(self.best, torch.where(knows, bets[..., 0], self.mask), start)
        self.confidence = paste(self.confidence, torch.where(kept, self.confidence[:, here], confidence), start)
        self.entropy = paste(self.entropy, entropy, start)
        self.bets, self.odds = paste(self.bets, bets, start), paste(self.odds, likeliest.exp().float(), start)

    def picture(self) -> dict[str, Tensor]:
        """The tensors of a Frame; none is written to again."""
        names = ("tokens", "best", "confidence", "entropy", "changed", "given", "bets", "odds")
        return {name: getattr(self, name) for name in names}


def paste(whole: Tensor, part: Tensor, start: int) -> Tensor:
    """A copy of `whole` (B, L, ...) with `part` in it from column `start` on."""
    if part.shape == whole.shape:
        return part
    whole = whole.clone()
    whole[:, start : start + part.shape[1]] = part
    return whole


def windows(L: int, window: int | None) -> list[tuple[int, int, int]]:
    """(start, stop, first fresh column) of the pieces in which L characters are written: each but the first takes the last
    half window as given."""
    if window is None or window >= L:
        return [(0, L, 0)]
    spans, stop = [(0, window, 0)], window
    while stop < L:
        fresh, stop = stop, min(L, stop + window // 2)
        spans.append((stop - window, stop, fresh))
    return spans


# ---------------------------------------------------------------- what may be asked


def check_sampler(process: Process, name: str | None) -> Sampler:
    names = column(process)
    if name is None:
        return SAMPLERS[names[0]]
    if name not in SAMPLERS:
        raise ValueError(f"There is no sampler {name!r}; '{process.name}' offers {', '.join(names)}.")
    if name not in names:
        lacking = ", ".join(sorted(SAMPLERS[name].needs - process.traits))
        raise ValueError(f"{name!r} needs a process with the trait {lacking}; '{process.name}' offers {', '.join(names)}.")
    return SAMPLERS[name]


def check_number(name: str, value: object, low: float, high: float, whole: bool = False) -> None:
    """Raises ValueError unless value is a finite number (a whole one if asked) from low to high."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (whole and value != int(value)):
        raise ValueError(f"{name} is {value!r}; give a {'whole ' if whole else ''}number from {low:g} to {high:g}.")


def check_options(chosen: Sampler, options: dict) -> None:
    for name, value in options.items():
        if name not in chosen.options:
            known = ", ".join(chosen.options) or "none"
            raise ValueError(f"The sampler {chosen.name!r} has no option {name!r}; it has {known}.")
        _, span = chosen.options[name]
        check_number(name, value, span.low, span.high)


def check_label(process: Process, canvas: Canvas) -> None:
    labels = getattr(process.net, "labels", 0)
    if canvas.label is not None and not (canvas.label < labels).all():
        raise ValueError(f"This model knows {labels} labels, numbered from 0; {int(canvas.label.max())} is not one of them.")
