"""Other numbers of looks for the text that is shown: the slider under it swaps between them.

Those of the run that the page opens with are recorded. Those of a visitor's own run are computed
behind it, one after the other, the one that they dragged to first, and only while nobody waits.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tinydiff.runs import DEFAULTS, Request
from tinydiff.ui import recording
from tinydiff.ui.request import OPENING, frames
from tinydiff.ui.session import Job, Session
from tinydiff.ui.writing import done, looks, pictures, wire_for

PAUSE = 0.15  # seconds between two looks whether somebody waits
TURN = threading.Lock()  # one text is computed behind the others at a time


@dataclass
class Looks:
    """The texts of one run at several numbers of steps.

    run:     the number of the visitor's run
    counts:  the numbers of steps that there are to be
    chosen:  the one that is shown
    made:    values for the player by number of steps
    """

    run: int
    request: Request
    counts: list[int]
    chosen: int
    made: dict[int, dict] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request, value: dict) -> Looks:
        """Those of a finished run."""
        steps = request.settings["steps"]
        return cls(value["run"], request, looks(request), steps, {steps: value})

    def next(self) -> int | None:
        """The one to compute now: what the visitor waits for, else the one that takes least."""
        left = [count for count in self.counts if count not in self.made]
        return self.chosen if self.chosen in left else min(left, default=None)

    def value(self) -> dict:
        """What the page is told: the run, and its texts by number of steps."""
        first = self.request.settings["steps"]
        made = {str(count): value for count, value in self.made.items() if count != first}
        return {"run": self.run, "made": made}


def packed(value: dict) -> dict:
    """`Looks.value` for the page, each text one string of JSON: Gradio's page copies all that it
    holds at every event, and goes through what is no string."""
    made = {
        count: json.dumps(run, ensure_ascii=False, separators=(",", ":"))
        for count, run in value.get("made", {}).items()
    }
    return value | {"made": made}


def behind(found: Looks, wanted: Callable[[], bool], quiet: Callable[[], bool]) -> Iterator[dict]:
    """`Looks.value` after each text that was computed, for as long as they are wanted."""
    while wanted() and (count := found.next()) is not None:
        if not quiet() or not TURN.acquire(timeout=PAUSE):
            time.sleep(PAUSE)
            continue
        try:
            made = written(found.request, count, lambda: wanted() and quiet())
        finally:
            TURN.release()
        if made:
            found.made[count] = made
            yield found.value()


def written(request: Request, steps: int, wanted: Callable[[], bool]) -> dict | None:
    """The value of the whole run with another number of steps; None where it was not wanted any
    more before it was done."""
    asked = replace(request, settings=request.settings | {"steps": steps})
    job, wire = Job(), wire_for(asked)
    for picture in pictures(asked, wire, frames(asked, job)):
        wire.add(picture)
        job.stopped = not wanted()
    return None if job.stopped else done(asked, wire)


def is_recorded() -> bool:
    """Does the page open with the run that is recorded?"""
    return OPENING["model"] == DEFAULTS["model"]


def recorded() -> dict:
    """The texts of the run that the page opens with, as `Looks.value`."""
    return recording.load("looks")


def record(request: Request, value: dict) -> None:
    """Compute and keep them."""
    found = Looks.of(request, value)
    for _ in behind(found, lambda: True, lambda: True):
        pass
    recording.save("looks", found.value(), [request.settings["model"]])


def of_session(session: Session, tab: str) -> Looks | None:
    """Those of the visitor's newest run."""
    job = session.jobs.get(tab)
    return job.looks if job else None
