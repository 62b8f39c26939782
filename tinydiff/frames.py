"""A Frame is one picture of a text being written; the Board keeps the text and makes Frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tinydiff.processes import T_MIN, Process
from tinydiff.samplers import State, Step
from tinydiff.text import Canvas

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
    # (B,): `Prediction.log_match`, where there are rules and the whole window was predicted
    match: Tensor | None = None
    # int64: what somebody guessed there and the step checked; mask_id elsewhere; None where nobody
    # guesses
    drafts: Tensor | None = None
    # on the first frame: what it came from, step 0, before any call
    before: Frame | None = None
    # where the writing stands: `generate(start=...)` goes on from there; None while a text longer
    # than the window is written
    state: State | None = None


class Board:
    """The whole text as it stands and the last prediction of each position, from which Frames are
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
        self.match: Tensor | None = None
        self.drafts: Tensor | None = None
        # what stands is not weighed again, and keeps the confidence it was written with
        self.firm = "prefix" in process.traits

    def enter(self, part: Canvas, start: int) -> None:
        """Begin the window `part`, whose first column is `start`."""
        self.start, self.fixed = start, part.given.cpu()
        self.last: tuple[Tensor, Tensor] | None = None  # its state before, and the times of that

    @torch.no_grad()
    def begin(self, x: Tensor, t: float = 1.0) -> None:
        """Note the noise from which the window starts; there is no prediction of it yet."""
        t, V = self.time(x, t), self.process.V
        nothing = x.new_full((*x.shape[:2], V), -math.log(V), dtype=torch.float32)
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
        if step.drafts is not None:
            nothing = torch.full_like(self.tokens, self.mask)
            self.drafts = paste(nothing, step.drafts.cpu(), self.start)
        t, log_x0 = self.time(step.x, step.t), step.prediction.log_x0
        self.match = step.prediction.log_match if log_x0.shape[1] == step.x.shape[1] else None
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
        """The times (B, L) of a state of the window, nearly 0 where tokens are given, where every
        formula is still finite."""
        return torch.where(self.fixed, T_MIN, max(t, T_MIN)).to(x.device)

    def canvas_time(self, t: Tensor) -> Tensor:
        """`time` with exactly 0 at given positions, as networks get it: asked with the same times,
        the process answers from its memory of the last call."""
        return torch.where(self.fixed.to(t.device), 0.0, t)

    def note(self, log_x0: Tensor, sure: Tensor, start: int) -> None:
        """Note a prediction log_x0 (B, n, V) for the columns from `start` on, and the log of the
        confidence in what stands there (B, n)."""
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
        """Note the process's view of a step from x to `new`, for the columns from `start` on."""
        if name := self.process.view_name:
            view = self.process.noise.view(name, x, t, log_x0, new).float().cpu()
            if self.view is None:
                # of what is not begun
                self.view = torch.full((*self.tokens.shape, view.shape[-1]), 0.5)
            self.view = paste(self.view, view, start)

    def picture(self) -> dict[str, Tensor]:
        """The tensors of a Frame; none of them is changed later."""
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
            "match",
            "drafts",
        )
        return {name: getattr(self, name) for name in names}


def paste(whole: Tensor, part: Tensor, start: int) -> Tensor:
    """A copy of `whole` (B, L, ...) with `part` in it from column `start` on."""
    if part.shape == whole.shape:
        return part
    whole = whole.clone()
    whole[:, start : start + part.shape[1]] = part
    return whole
