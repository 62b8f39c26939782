"""generate(): the Steps of a sampler as Frames, one a step. Page, terminal and files all make text
here.

It checks the settings, lets guides wrap the process's denoise, counts the calls, and writes a text
that is longer than the network's window in pieces: the last characters of a piece are given to the
next. It knows no process, sampler or guide by name.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from tinydiff import guides, nets
from tinydiff.frames import Board, Frame
from tinydiff.options import check, check_number
from tinydiff.particles import Crowd
from tinydiff.predictions import Prediction
from tinydiff.processes import T_MIN, Process
from tinydiff.randomness import Rng, seeded
from tinydiff.samplers import SAMPLERS, Sampler, State, Step, column, moves
from tinydiff.schedules import grid
from tinydiff.sentences import brief, listed
from tinydiff.text import Canvas

MAX_STEPS = 4096


class CountedDenoise:
    """The process's denoise without gradients, counting the network's calls; guides wrap it,
    samplers call it."""

    def __init__(
        self,
        process: Process,
        label: Tensor | None,
        autocast: Callable[[], AbstractContextManager],
        each: int = 1,
    ):
        self.process, self.label, self.autocast, self.calls = process, label, autocast, 0
        self.each = each  # texts that are computed in the place of one

    def __call__(self, x, t, cache=None, **hint) -> Prediction:
        return self.call(x, t, self.label, cache, **hint)

    def unconditional(self, x, t, cache=None, **hint) -> Prediction:
        return self.call(x, t, None, None if cache is None else cache.twin(), **hint)

    def beside(self, process: Process) -> Callable[..., Prediction]:
        """The denoise of another process, whose calls are counted as well."""

        def denoise(x, t, cache=None) -> Prediction:
            self.calls += self.each
            with torch.no_grad(), self.autocast():
                return process.denoise(x, t, None, cache)

        return denoise

    def call(self, x, t, label, cache, **hint) -> Prediction:
        self.calls += 0 if cache is not None and cache.free else self.each
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
               a canvas that has a label), and what else files of guides/ declare; an option that
               is another model takes one that was opened

    Raises ValueError, in one sentence, before anything is computed.
    """
    chosen = check_sampler(process, sampler)
    check_number("steps", steps, 1, MAX_STEPS, whole=True)
    if seed is not None or start is None or start.rng is None:
        check_number("seed", seed, 0, 2**63 - 1, whole=True)
    check_options(process, chosen, options)
    steering = {name: options.pop(name) for name in guides.options() if name in options}
    times = grid(steps, process.noise.schedule, spacing)
    check_canvas(process, canvas, chosen.size(process, **options))
    guides.check_asked(process, canvas, steering)
    check_weighed(process, chosen, each := guides.particles(steering))
    steering = {name: beside(value, process) for name, value in steering.items()}
    canvas = canvas.to(process.device)
    begin = None if start is None else joined(process, canvas, start)

    rng = seeded(seed or 0)
    if seed is None:
        rng.restore(start.rng)
    net = nets.lowered(process, precision, process.device)
    autocast = nets.precision(precision, process.device)
    denoise = CountedDenoise(net, canvas.repeated(each).label, autocast, each)
    plan = partial(chosen.planned, process, steps=steps, **options)

    def write(denoise, start: State) -> Iterator[Step]:
        return chosen.run(process, denoise, start, times, rng, **options)

    writing = Writing(process, chosen.name, denoise, steering, rng, plan, write, times, each)
    return writing.frames(canvas, begin)


def beside(value: object, process: Process) -> object:
    """An option's value; another model on the device of the one that writes."""
    if not isinstance(value, Process):
        return value
    there = value.device == process.device
    return (value if there else copy.deepcopy(value).to(process.device)).eval()


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


def joined(process: Process, canvas: Canvas, start: State) -> State:
    """The state with what the canvas gives written into it, and the state's own given positions
    kept: what was accepted for good. Raises ValueError unless it is one of the canvas, and of this
    process."""
    check_start(process, canvas, start)
    canvas = canvas.with_written(start.canvas.tokens, start.canvas.given)
    with torch.no_grad():
        return start._replace(x=process.noise.pin(start.x, canvas), canvas=canvas)


def noised(process: Process, canvas: Canvas, t: float, seed: int = 0) -> State:
    """A text (the canvas's tokens) noised to time t, but where it is given: `generate` writes on
    from there (SDEdit, arXiv:2108.01073). Raises ValueError for a t outside (0, 1]."""
    check_number("t", t, T_MIN, 1)
    canvas, rng = canvas.to(process.device), seeded(seed)
    with torch.no_grad():
        x = process.noise.corrupt(canvas.tokens, canvas.time(t), rng)
        return State(process.noise.pin(x, canvas), canvas, float(t), rng=rng.state())


def check_step(name: str, step: object, x: Tensor) -> None:
    """Raises ValueError unless what the sampler `name` yielded is a Step whose state is like x."""
    if not isinstance(step, Step):
        raise ValueError(f"The sampler {name!r} yields {brief(step)}; it is to yield Steps.")
    found = step.x if isinstance(step.x, Tensor) else None
    if found is None or (found.shape, found.dtype) != (x.shape, x.dtype):
        state = brief(step.x) if found is None else f"{tuple(found.shape)} {found.dtype}"
        raise ValueError(
            f"The sampler {name!r} yields the state {state}; it began with {tuple(x.shape)} "
            f"{x.dtype}."
        )
    if not isinstance(step.prediction, Prediction):
        raise ValueError(
            f"The sampler {name!r} yields {brief(step.prediction)} as what was predicted; it is to "
            "be a Prediction, as `denoise` gives it."
        )


@dataclass
class Writing:
    """A run of `generate`: the text while it is written.

    plan(canvas) is the number of steps that a window takes; write(denoise, state) are the Steps of
    the sampler
    """

    process: Process
    sampler: str
    denoise: CountedDenoise
    steering: dict
    rng: Rng
    plan: Callable[..., int]
    write: Callable[..., Iterator[Step]]
    times: list[float]
    each: int = 1  # particles of each text
    memory: dict = field(default_factory=dict)  # what guides remember

    def frames(self, canvas: Canvas, start: State | None) -> Iterator[Frame]:
        """The Frames of all windows in turn, from the state `start` if there is one."""
        self.process.eval()
        L, before, spent = canvas.tokens.shape[1], None, 0.0
        spans, board = windows(L, self.process.length), Board(self.process, canvas)
        total, number = self.total(canvas, spans, start), start.step if start else 0
        first = True
        for left, stop, _ in spans:
            part = canvas.slice(left, stop)
            if part.given.all():
                continue
            begin = self.begun(start, part)
            board.enter(part, left)
            if first:
                board.begin(begin.x[:: self.each], begin.t)
                before = Frame(number, total, begin.t, 0, 0.0, **board.picture())
            first, clock = False, time.perf_counter()
            for step in self.window(begin, canvas, left, number):
                board.take(step)
                number, spent = number + 1, spent + time.perf_counter() - clock
                kept = len(spans) == self.each == 1
                state = self.state(step, part, number) if kept else None
                facts = (number, total, step.t, self.denoise.calls, spent)
                yield Frame(*facts, **board.picture(), before=before, state=state)
                clock, before = time.perf_counter(), None
            # what was written is given to the next window
            done = (torch.arange(L, device=canvas.tokens.device) < stop).expand(canvas.given.shape)
            canvas = canvas.with_written(board.tokens.to(done.device), done)

    def total(self, canvas, spans, start: State | None) -> int:
        """How many Frames there will be: all of a run from noise or, if the state has no number,
        those from the state on."""
        planned = sum(self.plan(canvas.slice(fresh, stop)) for _, stop, fresh in spans)
        if start is None or start.step:
            return planned
        return min(planned, len(list(moves(start, self.times))))

    @torch.no_grad()
    def begun(self, start: State | None, part: Canvas) -> State:
        """The state from which a window is written, a row for each particle."""
        if start is None:
            canvas = part.repeated(self.each)
            return State(self.process.noise.prior(canvas, self.rng), canvas)
        if self.each == 1:
            return start
        x = start.x.repeat_interleave(self.each, 0)
        return State(x, start.canvas.repeated(self.each), start.t)

    def window(self, begin: State, text: Canvas, left: int, number: int) -> Iterator[Step]:
        """The Steps of a window whose first column is `left`; the first Step has the number
        `number`."""
        self.memory.clear()
        self.memory.update(guides.kept(begin.guides or {}))
        text = text.repeated(self.each)
        facts = (self.process, begin.canvas, text, left, self.rng, self.memory)
        context = guides.Context(*facts, self.denoise.beside)
        plain = self.denoise.unconditional
        guided, *after = guides.steered(self.denoise, plain, context, self.steering)
        self.rng.first = left
        steps = self.sampled(self.write(guided, begin), *after, begin)
        while True:
            self.rng.step = number
            step = next(steps, None)
            if step is None:
                return
            yield step
            number += 1

    def sampled(
        self, steps: Iterator[Step], changes: list, ends: list, begin: State
    ) -> Iterator[Step]:
        """The steps of the sampler, none of whose arithmetic is for learning; after each of them
        guides (`changes`), and what weighs particles, may hand the sampler another state to go on
        from, and guides (`ends`) may end the run. Raises ValueError for what is no Step."""
        if not isinstance(steps, Iterator):
            raise ValueError(
                f"The sampler {self.sampler!r} gives {brief(steps)}; it is to yield Steps."
            )
        x, t, sent, canvas, crowd = begin.x, begin.t, None, begin.canvas, self.crowd(begin)
        text = None
        while text is None:
            with torch.no_grad():
                try:
                    step = steps.send(sent)
                except StopIteration:
                    return
                check_step(self.sampler, step, begin.x)
                canvas = step.canvas or canvas
                for change in changes:
                    step = step._replace(x=change(x, t, step))
                moved = crowd.moved(x, t, step, canvas) if crowd else None
                x, t = step.x, step.t
                sent = State(x, canvas, t, step.memory) if changes else None
                if moved:
                    x, sent = moved.x, moved
                text = next((text for end in ends if (text := end(step)) is not None), None)
                if text is not None:
                    whole = canvas.with_written(text, torch.ones_like(canvas.given))
                    step = step._replace(x=self.process.noise.pin(x, whole), t=0.0)
            yield crowd.picture(step) if crowd else step

    def crowd(self, begin: State) -> Crowd | None:
        """What weighs the particles of a window, where there are several of a text."""
        if self.each == 1:
            return None
        texts = len(begin.x) // self.each
        return Crowd(self.process.noise, texts, self.each, self.rng, self.memory)

    def state(self, step: Step, part: Canvas, number: int) -> State:
        """The state of the run after a step."""
        canvas, memory = step.canvas or part, guides.kept(self.memory)
        return State(step.x, canvas, step.t, step.memory, memory, self.rng.state(), number)


def windows(L: int, window: int | None) -> list[tuple[int, int, int]]:
    """(start, stop, first fresh column) of the pieces in which L characters are written: each but
    the first begins with half a window of what is written already, as given."""
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


def check_weighed(process: Process, chosen: Sampler, particles: int) -> None:
    """Raises ValueError where particles are asked for and the steps of the sampler do not weigh
    them."""
    if particles > 1 and not chosen.weighs:
        able = [name for name in column(process) if SAMPLERS[name].weighs] or ["another model"]
        raise ValueError(
            f"{particles} particles are asked for, and the steps of {chosen.name!r} give them no "
            f"weights: take 1, or {'one of ' * (len(able) > 1)}{', '.join(able)}."
        )


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


def check_canvas(process: Process, canvas: Canvas, block: int | None) -> None:
    """Raises ValueError unless something is left to write, the process knows what is given, and its
    network will see that."""
    if canvas.given.all():
        raise ValueError("Nothing is left to write: everything on the canvas is given.")
    check_tokens(process, canvas)
    check_label(process, canvas)
    check_visible(process, canvas, block)


def check_tokens(process: Process, canvas: Canvas) -> None:
    known = canvas.tokens[canvas.given]
    strange = known[(known < 0) | (known >= process.V)]
    if len(strange):
        raise ValueError(
            f"The canvas gives the id {int(strange[0])}; this model knows {process.V} "
            "tokens, numbered from 0."
        )


def check_visible(process: Process, canvas: Canvas, size: int | None) -> None:
    """Raises ValueError where something is given to the right of what the network sees (`ahead`)
    while it writes what stands before it, in pieces of `size`."""
    ahead, L = process.ahead(size), canvas.tokens.shape[1]
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
            seen = f"the {ahead} tokens of a block" if ahead > 1 else "a token"
            raise ValueError(
                f"'{process.name}' would not see what is given behind {seen} that it writes, "
                "because it reads from left to right: "
                "give a beginning alone, or take a process that sees both sides, such as 'masked'."
            )


def check_label(process: Process, canvas: Canvas) -> None:
    """Raises ValueError unless each row's labels are the model's, at most one of each attribute;
    the number behind the last stands for none."""
    if canvas.label is None:
        return
    labels, told = len(process.labels), canvas.label.reshape(len(canvas.label), -1)
    strange = told[(told < 0) | (told > labels)] if labels else told.flatten()
    if len(strange):
        raise ValueError(
            f"This model knows {labels} labels, numbered from 0; {int(strange[0])} "
            "is not one of them."
        )
    if told.shape[1] > (most := getattr(process.net, "attributes", 1)):
        raise ValueError(
            f"A text of this model has {most} labels at the most, not {told.shape[1]}."
        )
    first = 0
    for name, values in process.attributes.items():
        if (((told >= first) & (told < first + len(values))).sum(1) > 1).any():
            raise ValueError(f"A text has one {name}: give one of {listed(values)}.")
        first += len(values)
