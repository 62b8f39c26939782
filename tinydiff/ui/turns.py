"""When a run's turn comes: what is known of a run that waits, how long runs take here, and the
sentence that its visitor reads meanwhile.

A run's time is its work (cost.py) at the pace of the runs that were finished last; the line is
served in its order by as many places as it has.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

RECENT = 16  # runs that the pace is of
FIRST = (9.5e10, 2.0)  # the opening on a slow core, for the pace of the first: work, seconds
LATE = 0.5  # seconds that are left of a run that has taken longer than it was thought to


@dataclass
class Turn:
    """A run that was asked for and checked.

    seconds: that it will take, about
    begin:   it is the visitor's newest run, and ends their older ones; None where it is no run
    known:   is there a finished run of the same settings?
    find:    the outputs of that run for this visitor; None where there is none
    end:     nobody wants it any more
    """

    seconds: Callable[[], float]
    begin: Callable[[], None] | None = None
    known: Callable[[], bool] = lambda: False
    find: Callable[[], object] = lambda: None
    end: Callable[[], None] = lambda: None
    began: float | None = None  # when its place was free, by the monotonic clock

    def left(self) -> float:
        """Seconds until a run that has begun is done, about."""
        passed = 0.0 if self.began is None else time.monotonic() - self.began
        return max(LATE, self.seconds() - passed)


@dataclass(frozen=True)
class Ask:
    """How a run is asked for before it waits, and the tab that it is of.

    turn: the inputs of an event -> the run's Turn, None where there is nothing to run; raises
          gr.Error, which is answered at once
    """

    tab: str
    turn: Callable[..., Turn | None]


class Pace:
    """How long runs take here: by the last RECENT of them."""

    def __init__(self):
        self.recent: deque[tuple[float, float]] = deque([FIRST], maxlen=RECENT)

    def take(self, work: float, seconds: float) -> None:
        """A run was finished: its multiplications, and how long it took."""
        self.recent.append((work, seconds))

    def seconds(self, work: float | None = None) -> float:
        """That so many multiplications take; without a number, that a run takes."""
        works, seconds = map(sum, zip(*self.recent))
        return seconds / len(self.recent) if work is None else work * seconds / max(1.0, works)


PACE = Pace()


def waits(takes: Iterable[float], left: Iterable[float], places: int) -> Iterator[float]:
    """Seconds until each run of a line begins. takes: that each of them takes, in their order;
    left: that those which have begun still take, at most one a place."""
    free = sorted(left)[:places]
    free += [0.0] * (places - len(free))
    heapq.heapify(free)
    for seconds in takes:
        begins = heapq.heappop(free)
        heapq.heappush(free, begins + seconds)
        yield begins


def sentence(before: int, seconds: float) -> str:
    """What is told to who waits: "3 before you, about 20 s"."""
    place = f"{before} before you" if before else "You are next"
    return f"{place}, about {rounded(seconds)}"


def rounded(seconds: float) -> str:
    """As exact as an estimate can be: seconds, then five of them, then minutes."""
    if seconds <= 10:
        return f"{max(1, math.ceil(seconds))} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    return f"{round(seconds / 60)} min"
