"""How fast a training goes, and how it is asked to stop."""

from __future__ import annotations

import math
import signal
import threading

from tinydiff.train.loop import Progress, TrainingRun


class Pace:
    """How fast a run goes, counted from its first step in this program, and the last validation
    that it reported."""

    def __init__(self, run: TrainingRun):
        config = run.config
        self.size = config.batch * config.shape["length"] * run.together.num_processes
        self.limit = 60 * config.minutes or math.inf
        self.first, self.start, self.bits = run.step, None, None

    def pace(self, now: Progress) -> float:
        """Seconds a step. The first step, which compiles, counts only while there is no other."""
        if self.start is None:
            self.first, self.start = now.step, now.seconds
        steps = now.step - self.first
        return (now.seconds - self.start) / steps if steps else now.seconds / now.step

    def words(self, now: Progress) -> str:
        self.bits = now.bits or self.bits
        known = "" if self.bits is None else f", {self.bits:.3f} bits {now.process.unit}"
        return f"loss {now.loss:.3f}{known}, {self.size / max(self.pace(now), 1e-9):,.0f} tokens/s"

    def left(self, now: Progress) -> str:
        seconds = round(
            max(0, min((now.steps - now.step) * self.pace(now), self.limit - now.seconds))
        )
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


class Stop:
    """A context in which Ctrl-C and SIGTERM do not end the program but are remembered; a second
    Ctrl-C does end it."""

    def __init__(self):
        self.status = 0  # the exit status that is asked for

    def __enter__(self):
        self.old = {}
        if threading.current_thread() is threading.main_thread():
            self.old = {s: signal.signal(s, self.remember) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self.old.items():
            signal.signal(number, handler)

    def remember(self, number, frame):
        if self.status:
            raise KeyboardInterrupt
        self.status = 128 + number
