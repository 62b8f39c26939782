"""generate(): a sampler's Steps as Frames, one picture a step; the one place where text is made,
for page, terminal and files.

It validates, lets guides wrap the process's denoise, counts the calls, and writes text that is
longer than the network's window piece by piece: the last characters of a piece are given to the
next. It does not know any process, sampler or guide by name.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from tinydiff import guides, nets
from tinydiff.options import check, check_number
from tinydiff.predictions import Prediction
from tinydiff.processes import T_MIN, Process
from tinydiff.randomness import seeded
from tinydiff.samplers import SAMPLERS, Sampler, State, Step, column
from tinydiff.schedules import grid
from tinydiff.sentences import brief
from tinydiff.text import Canvas

MAX_STEPS = 4096
# log of a probability that is as good as 0; of far smaller ones exp is ten times slower on a CPU
TINY = -80.0
TOP = 5  # likeliest tokens kept of each prediction


@dataclass(frozen=True)
class Frame:
    """One picture of the text being written: enough to draw it, nothing left to compute. All
    tensors (B, L), on the CPU."""

    step: int  # 1 .. steps
    steps: int  # how many there will be; some samplers stop earlier
    t: float  # the time reached: 1 is noise, 0 is text
    calls: int  # calls of the network so far
    seconds: float  # time spent so far
    tokens: Tensor  # int64; mask_id where nothing is written yet
    best: Tensor  # int64: the likeliest token; mask_id where the prediction is uniform
    # float: the probability of what stands there; where nothing is written, of the likeliest token
    confidence: Tensor
    entropy: Tensor  # float, nats: of the prediction
    changed: Tensor  # bool: different from the frame before
    given: Tensor  # bool
    top_tokens: Tensor  # int64 (B, L, up to 5): the likeliest tokens, the likeliest first
    top_probabilities: Tensor  # float (B, L, up to 5): their probabilities
    view: Tensor | None = None  # float (B, L, K) from 0 to 1: what `view_name` of the process names
    # on the first frame: what it came from, step 0, before any call
    before: Frame | None = None
    # where the writing stands: `generate(start=...)` goes on from there; None while a text longer
    # than the window is written
    state: State | None = None


class CountedDenoise:
    """The process's denoise, without gradients, with a count of the network's calls; what guides
    wrap and samplers call."""

    def __init__(
        self, process: Process, label: Tensor | None, autocast: Callable[[], AbstractContextManager]
    ):
        self.process, self.label, self.autocast, self.calls = process, label, autocast, 0

    def __call__(self, x, t, cache=None, **hint) -> Prediction:
        return self.call(x, t, self.label, cache, **hint)

    def unconditional(self, x, t, cache=None, **hint) -> Prediction:
        return self.call(x, t, None, None if cache is None else cache.twin(), **hint)

    def call(self, x, t, label, cache, **hint) -> Prediction:
        self.calls += 1
        with torch.no_grad(), self.autocast():
            return self.process.denoise(x, t, label, cache, **hint)


def generate(
    process: Process,
    canvas: Canvas,
    *,
    sampler: str | None = None,
    steps: int = 64,
    seed: int | None = 0,
    spacing: str = "uniform",
    precision: str = "auto",
    start: State | None = None,
    **options: float | str,
) -> Iterator[Frame]:
    """Write the canvas; a Frame after each step. Closing the generator stops the work.

    sampler:   a name from `samplers.column(process)`; None takes the first of them
    steps:     1 .. 4096 denoising steps for each window (samplers that write a token a call take
               as many as they need)
    seed:      the same seed gives the same frames; None goes on with the numbers of `start`
    spacing:   how the steps lie on the time axis: "uniform", "cosine" or "information"
    precision: "bf16", "fp32", or "auto": bf16 where this machine multiplies it faster
    start:     a state to go on from, in the place of noise: a Frame's, with which a run goes on
               exactly as it did (with its steps, sampler and options, and seed None), or text
               noised to a time (`noised`); the canvas fits the network's window
    options:   the sampler's own, and those of the guides: temperature, top_k, top_p, guidance (with
               a canvas that has a label), and what else files of guides/ declare

    Raises ValueError, in one sentence, before anything is computed.
    """
    chosen = check_sampler(process, sampler)
    check_number("steps", steps, 1, MAX_STEPS, whole=True)
    if seed is not None or start is None or start.rng is None:
        check_number("seed", seed, 0, 2**63 - 1, whole=True)
    check_options(process, chosen, options)
    steering = {name: options.pop(name) for name in guides.options() if name in options}
    times = grid(steps, process.noise.schedule, spacing)
    if canvas.given.all():
        raise ValueError("Nothing is left to write: everything on the canvas is given.")
    check_tokens(process, canvas)
    check_label(process, canvas)
    check_visible(process, canvas, options.get("block"))
    guides.check_asked(process, canvas, steering)
    canvas = canvas.to(process.device)
    if start is not None:
        check_start(process, canvas, start)

    net = nets.lowered(process, precision, process.device)
    denoise = CountedDenoise(net, canvas.label, nets.precision(precision, process.device))
    rng = seeded(seed or 0)
    if seed is None:
        rng.set_state(start.rng)

    memory: dict = {}

    def run(part: Canvas, text: Canvas, first: int) -> Iterator[Step]:
        with torch.no_grad():
            begin = start or State(process.noise.prior(part, rng), part)
        memory.clear()
        memory.update(guides.kept(begin.guides or {}))
        context = guides.Context(process, begin.canvas, text, first, rng, memory)
        guided, changes = guides.steered(denoise, denoise.unconditional, context, steering)
        return sampled(chosen.run(process, guided, begin, times, rng, **options), changes, begin)

    def planned(part: Canvas) -> int:
        return chosen.planned(process, part, steps, **options)

    @torch.no_grad()
    def noise(part: Canvas) -> Tensor:
        """The state that a sampler begins with: its first random numbers make it."""
        return start.x if start else process.noise.prior(part, seeded(seed))

    return frames(process, canvas, run, planned, denoise, noise, rng, memory)


def check_start(process: Process, canvas: Canvas, start: State) -> None:
    """Raises ValueError unless a state is one of the canvas, and of this process."""
    L, window = canvas.tokens.shape[1], process.length
    if window is not None and window < L:
        raise ValueError(f"A run that starts from a state fits the window of {window}, not {L}.")
    prior = process.noise.prior(canvas, seeded(0))
    if start.x.shape != prior.shape or start.x.dtype != prior.dtype:
        raise ValueError(
            f"The state is {brief(tuple(start.x.shape))} {start.x.dtype}; '{process.name}' starts "
            f"from {tuple(prior.shape)} {prior.dtype}."
        )
    check_number("the state's time", start.t, 0, 1)


def noised(process: Process, canvas: Canvas, t: float, seed: int = 0) -> State:
    """A text (the canvas's tokens) noised to time t, but where it is given: `generate` writes on
    from there (SDEdit, arXiv:2108.01073). Raises ValueError for a t outside (0, 1]."""
    check_number("t", t, T_MIN, 1)
    canvas, rng = canvas.to(process.device), seeded(seed)
    with torch.no_grad():
        x = process.noise.corrupt(canvas.tokens, canvas.time(t), rng)
        return State(process.noise.pin(x, canvas), canvas, float(t), rng=rng.get_state())


def sampled(steps: Iterator[Step], changes: list, begin: State) -> Iterator[Step]:
    """The steps, none of whose arithmetic is for learning; after each of them the guides may hand
    the sampler another state to go on from. begin: the state that it begins with."""
    x, t, sent, canvas = begin.x, begin.t, None, begin.canvas
    while True:
        with torch.no_grad():
            try:
                step = steps.send(sent)
            except StopIteration:
                return
            before, sent, canvas = x, None, step.canvas or canvas
            for change in changes:
                step = step._replace(x=change(before, t, step))
            if changes:
                x, t = step.x, step.t
                sent = State(x, canvas, t, step.memory)
        yield step


def frames(process, canvas, run, planned, denoise, noise, rng, memory) -> Iterator[Frame]:
    """The Frames of one window after the other. run(window, text, start) yields Steps;
    planned(window) says how many; noise(window) is the state that the first window comes from.
    """
    process.eval()
    L = canvas.tokens.shape[1]
    spans, board = windows(L, process.length), Board(process, canvas)
    total, step, spent = sum(planned(canvas.slice(fresh, stop)) for _, stop, fresh in spans), 0, 0.0
    before = None
    for start, stop, _ in spans:
        part = canvas.slice(start, stop)
        if part.given.all():
            continue
        board.enter(part, start)
        if step == 0:
            board.begin(noise(part))
            before = Frame(0, total, 1.0, 0, 0.0, **board.picture())
        clock = time.perf_counter()
        for step, now in enumerate(run(part, canvas, start), step + 1):  # noqa: B020
            board.take(now)
            spent += time.perf_counter() - clock
            state = None
            if len(spans) == 1:
                state = State(
                    now.x,
                    now.canvas or part,
                    now.t,
                    now.memory,
                    guides.kept(memory),
                    rng.get_state(),
                )
            yield Frame(
                step,
                total,
                now.t,
                denoise.calls,
                spent,
                **board.picture(),
                before=before,
                state=state,
            )
            clock, before = time.perf_counter(), None
        # what was written is given to the next window
        done = torch.arange(L, device=canvas.tokens.device) < stop
        canvas = Canvas(
            torch.where(done, board.tokens.to(done.device), canvas.tokens),
            canvas.given | done,
            canvas.label,
        )


class Board:
    """The whole text as it stands, and the last prediction of each position, from which Frames are
    made. On the CPU."""

    def __init__(self, process: Process, canvas: Canvas):
        canvas, self.process, self.mask = canvas.to("cpu"), process, process.mask_id
        shape, top = canvas.tokens.shape, min(TOP, process.V)
        self.given = canvas.given
        self.tokens = torch.where(canvas.given, canvas.tokens, self.mask)
        self.changed = torch.zeros(shape, dtype=torch.bool)
        self.best = torch.where(canvas.given, canvas.tokens, self.mask)
        self.confidence, self.entropy = (
            canvas.given.float(),
            torch.where(canvas.given, 0.0, math.log(process.V)),
        )
        self.top_tokens, self.top_probabilities = (
            torch.zeros(*shape, top, dtype=torch.int64),
            torch.zeros(*shape, top),
        )
        self.view: Tensor | None = None
        # what stands is not weighed again, and keeps the confidence it was written with
        self.firm = "prefix" in process.traits

    def enter(self, part: Canvas, start: int) -> None:
        """From now on the window `part` is written, whose first column is `start`."""
        self.start, self.fixed = start, part.given.cpu()
        self.last: tuple[Tensor, Tensor] | None = None  # its state before, and the times of that

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Note the noise that the window comes from, of which there is no prediction yet."""
        t, nothing = (
            self.time(x, 1.0),
            x.new_full(
                (*x.shape[:2], self.process.V), -math.log(self.process.V), dtype=torch.float32
            ),
        )
        self.tokens = paste(self.tokens, self.process.noise.read(x).cpu(), self.start)
        if not self.firm:
            sure = self.process.noise.certainty(x, self.canvas_time(t), nothing).exp().float().cpu()
            self.confidence = paste(self.confidence, torch.where(self.fixed, 1.0, sure), self.start)
        self.see(x, t, nothing, x, self.start)
        self.last = x, t

    @torch.no_grad()
    def take(self, step: Step) -> None:
        """Note a step of the window."""
        tokens = paste(self.tokens, self.process.noise.read(step.x).cpu(), self.start)
        self.changed, self.tokens = tokens != self.tokens, tokens
        t, log_x0 = self.time(step.x, step.t), step.prediction.log_x0
        columns = slice(step.first, step.first + log_x0.shape[1])
        sure = self.process.noise.certainty(
            step.x[:, columns], self.canvas_time(t)[:, columns], log_x0
        )
        self.note(log_x0.cpu(), sure.cpu(), self.start + step.first)
        x, before = self.last or (step.x, t)
        self.see(
            x[:, columns], before[:, columns], log_x0, step.x[:, columns], self.start + step.first
        )
        self.last = step.x, t

    def time(self, x: Tensor, t: float) -> Tensor:
        """The times (B, L) of a state of the window; of what is given nearly 0, where all is
        finite."""
        return torch.where(self.fixed, T_MIN, max(t, T_MIN)).to(x.device)

    def canvas_time(self, t: Tensor) -> Tensor:
        """The same, but 0 where given, as the network gets them: with the same times the process
        answers from its memory of the last call."""
        return torch.where(self.fixed.to(t.device), 0.0, t)

    def note(self, log_x0: Tensor, sure: Tensor, start: int) -> None:
        """Note a prediction (B, n, V) for the columns from `start` on, and log of how sure is what
        stands there (B, n)."""
        here = slice(start, start + log_x0.shape[1])
        log_p, tokens = log_x0.topk(self.top_tokens.shape[-1])
        blank = self.tokens[:, here] == self.mask
        confidence = torch.where(blank, log_p[..., 0], sure).exp().float()
        kept = ~blank & ~self.changed[:, here] & self.firm
        entropy = (log_x0.clamp_min(TINY).exp() * -log_x0).sum(-1).float().clamp_min(0)
        knows = entropy < math.log(log_x0.shape[-1]) - 1e-4
        self.best = paste(self.best, torch.where(knows, tokens[..., 0], self.mask), start)
        self.confidence = paste(
            self.confidence, torch.where(kept, self.confidence[:, here], confidence), start
        )
        self.entropy = paste(self.entropy, entropy, start)
        self.top_tokens, self.top_probabilities = (
            paste(self.top_tokens, tokens, start),
            paste(self.top_probabilities, log_p.exp().float(), start),
        )

    def see(self, x: Tensor, t: Tensor, log_x0: Tensor, new: Tensor, start: int) -> None:
        """Note what the process shows of a step from x to `new`, for the columns from `start`
        on."""
        if name := self.process.view_name:
            view = self.process.noise.view(name, x, t, log_x0, new).float().cpu()
            if self.view is None:
                # of what is not begun
                self.view = torch.full((*self.tokens.shape, view.shape[-1]), 0.5)
            self.view = paste(self.view, view, start)

    def picture(self) -> dict[str, Tensor]:
        """The tensors of a Frame; none is written to again."""
        names = (
            "tokens",
            "best",
            "confidence",
            "entropy",
            "changed",
            "given",
            "top_tokens",
            "top_probabilities",
            "view",
        )
        return {name: getattr(self, name) for name in names}


def paste(whole: Tensor, part: Tensor, start: int) -> Tensor:
    """A copy of `whole` (B, L, ...) with `part` in it from column `start` on."""
    if part.shape == whole.shape:
        return part
    whole = whole.clone()
    whole[:, start : start + part.shape[1]] = part
    return whole


def windows(L: int, window: int | None) -> list[tuple[int, int, int]]:
    """(start, stop, first fresh column) of the pieces in which L characters are written: each but
    the first takes the last half window as given.
    """
    if window is None or window >= L:
        return [(0, L, 0)]
    spans, stop = [(0, window, 0)], window
    while stop < L:
        fresh, stop = stop, min(L, stop + window // 2)
        spans.append((stop - window, stop, fresh))
    return spans


# ---------------------------------------------------------------- checks of the arguments


def check_sampler(process: Process, name: str | None) -> Sampler:
    names = column(process)
    if name is None:
        return SAMPLERS[names[0]]
    if not isinstance(name, str) or name not in SAMPLERS:
        raise ValueError(
            f"There is no sampler {brief(name)}; '{process.name}' offers {', '.join(names)}."
        )
    if name not in names:
        lacking = ", ".join(sorted(SAMPLERS[name].needs - process.traits))
        raise ValueError(
            f"{name!r} needs a process with the trait {lacking}; '{process.name}' offers "
            f"{', '.join(names)}."
        )
    return SAMPLERS[name]


def check_options(process: Process, chosen: Sampler, options: dict) -> None:
    """Raises ValueError unless each option is one of the sampler's, with a value that it may have,
    or one of a guide's (`guides.check_asked` looks at those)."""
    of_guides, of_sampler = guides.options(), chosen.options
    for name, value in options.items():
        if name in of_guides and name in of_sampler:
            raise ValueError(
                f"The sampler {chosen.name!r} and {guides.owner_of(name, chosen.name)} both have "
                f"an option {name!r}: call one of them otherwise."
            )
        if name in of_sampler:
            check(name, value, of_sampler[name], process)
        elif name not in of_guides:
            raise ValueError(
                f"The sampler {chosen.name!r} has no option {brief(name)}; it has "
                f"{', '.join(of_sampler) or 'none'}, and guides have {', '.join(of_guides)}."
            )


def check_tokens(process: Process, canvas: Canvas) -> None:
    known = canvas.tokens[canvas.given]
    strange = known[(known < 0) | (known >= process.V)]
    if len(strange):
        raise ValueError(
            f"The canvas gives the id {int(strange[0])}; this model knows {process.V} "
            "characters, numbered from 0."
        )


def check_visible(process: Process, canvas: Canvas, block: int | None) -> None:
    """Raises ValueError where something is given further right than the network sees (`ahead`) when
    it writes what is before it."""
    ahead, L = process.ahead(block), canvas.tokens.shape[1]
    if ahead is None:
        return
    for start, stop, fresh in windows(L, process.length):
        part = torch.arange(stop - start, device=canvas.given.device) // ahead
        given, new = (
            canvas.given[:, start:stop],
            torch.arange(start, stop, device=canvas.given.device) >= fresh,
        )
        # of the parts that are seen at once, one with something to write
        first = torch.where(~given & new, part, L).amin(1)
        last = torch.where(given & new, part, -1).amax(1)
        if (first < last).any():
            seen = f"the {ahead} characters of a block" if ahead > 1 else "a character"
            raise ValueError(
                f"'{process.name}' would not see what is given behind {seen} that it writes, "
                "because it reads from left to right: "
                "give a beginning alone, or take a process that sees both sides, such as 'masked'."
            )


def check_label(process: Process, canvas: Canvas) -> None:
    labels = getattr(process.net, "labels", 0)
    if canvas.label is not None and not (canvas.label < labels).all():
        raise ValueError(
            f"This model knows {labels} labels, numbered from 0; {int(canvas.label.max())} "
            "is not one of them."
        )
