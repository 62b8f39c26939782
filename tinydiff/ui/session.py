"""What the page keeps for a visitor: the runs that are under way, the models in their menus, the
files that they download.

A Job is one run of one tab. It ends when its work is done, when the visitor stops it, when they
start another, or when its time is over; whatever computes asks its Job, and nothing else ends a
run. A training is apart: it goes on beside other runs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from tinydiff.frames import Frame
from tinydiff.runs import Request
from tinydiff.samplers import State
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.ui import visitor_models
from tinydiff.ui.visitor_models import VisitorModel

SECONDS = 300.0  # that a run may take
RECENT = 24  # models of the Hub that stay in a visitor's menus
APART = "train"  # the tab whose runs neither end those of others nor are ended by them
LATE = (
    "The run was ended after {:.0f} minutes, what was written stays: take fewer steps, or a "
    "shorter text."
)


class Job:
    """One run of a tab. kept: what the tab keeps from one run of a visitor to their next; asked:
    the values and the request of one that waits for its turn."""

    def __init__(self, kept: object = None, asked: tuple | None = None):
        self.kept, self.seconds, self.began = kept, SECONDS, time.monotonic()
        self.asked = asked
        self.made: object = None  # what is remembered of it, where that is not its last value
        self.frame: Frame | None = None  # the newest
        self.looks = None  # looks.Looks of a run that is over, where there are any
        self.filled = None  # gaps.Filled, where a gap of any length was filled
        self.request: Request | None = None  # what is written
        self.keeps_states = False  # can the run be forked at a step?
        self.states: list[State] = []  # then those after each step
        self.stopped = False  # by the visitor
        self.replaced = False  # by a newer run: nobody looks at this one any more
        self.late = False  # its time was over before it was done

    @property
    def wanted(self) -> bool:
        return not (self.stopped or self.replaced)

    @property
    def over(self) -> bool:
        """Has it had all its time?"""
        return time.monotonic() - self.began > self.seconds

    @property
    def finished(self) -> bool:
        """Was it neither stopped nor replaced nor late?"""
        return self.wanted and not self.late

    @property
    def ended(self) -> bool:
        """Did it end before its work was done?"""
        return self.stopped or self.late

    @property
    def notice(self) -> str:
        """What is said of a run whose time was over; "" of any other."""
        return LATE.format(self.seconds / 60) if self.late else ""

    def watch(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames for as long as the job is wanted and has time; then the work is stopped."""
        try:
            for frame in frames:
                self.frame = frame
                if self.keeps_states and frame.state is not None:
                    self.states.append(frame.state)
                yield frame
                if not self.wanted:
                    return
                if self.over and frame.step < frame.steps:
                    self.late = True
                    gr.Warning(self.notice, title="Time is over")
                    return
        finally:
            frames.close()

    def values(self, shown: Iterator) -> Iterator:
        """What a tab shows of the run, until a newer run has replaced it."""
        for value in shown:
            if self.replaced:
                return
            yield value


class Session:
    """One visitor: the newest job of each tab, by the tab's name, and what is theirs."""

    def __init__(self):
        self.jobs: dict[str, Job] = {}
        self.models: dict[str, Model] = catalogue.models()  # in the menus of Watch
        self.recent: dict[str, Model] = {}  # of the Hub, that they used, the newest first
        self.link: Request | None = None  # what the page was opened with
        self.recorded: str = ""  # the recorded run that the page was opened with (originals.py)
        self.secret = ""  # of the model that they trained
        self.choice: object = None  # of a noise or a model, the newest
        self.looks = 0  # at which they let the slider go
        self.turn: Request | None = None  # of which they uncover the words themselves
        self.tries = 0  # how often they had words written again
        self.past: list = []  # what was on the player before they touched it (touch.Held)
        self.folder: tempfile.TemporaryDirectory | None = None

    def begin(self, tab: str, job: Job | None = None) -> Job:
        """A new job, or the one that is given, which replaces the tab's older one, takes over what
        that kept, and stops the visitor's runs in other tabs."""
        job = job or Job()
        job.kept = self.kept(tab)
        if tab in self.jobs:
            self.jobs[tab].replaced = True
            job.filled = job.filled or self.jobs[tab].filled
        for other in self.jobs.keys() - {tab, APART} if tab != APART else ():
            self.stop(other)
        self.jobs[tab] = job
        return job

    def take(self, tab: str, values: tuple) -> tuple[Job, object] | None:
        """The tab's job and its request, where it waits for its turn with these values: that has
        come."""
        job = self.jobs.get(tab)
        if job is None or job.asked is None or job.asked[0] != values:
            return None
        (_, request), job.asked, job.began = job.asked, None, time.monotonic()
        return job, request

    def stop(self, tab: str) -> None:
        if tab in self.jobs:
            self.jobs[tab].stopped = True

    def kept(self, tab: str) -> object:
        """What the newest job of a tab has kept; None where there was none."""
        return self.jobs[tab].kept if tab in self.jobs else None

    def trained_model(self) -> VisitorModel | None:
        """The model that they trained, while it is kept."""
        return visitor_models.CACHE.find(self.secret)

    def remember(self, models: Mapping[str, Model]) -> None:
        """Models of the Hub that they used: they are in their menus from now on."""
        known = catalogue.models() | catalogue.rewriters()
        fresh = {key: model for key, model in models.items() if key not in known}
        self.recent = dict([*(fresh | (self.recent | fresh)).items()][:RECENT])
        self.models |= {key: model for key, model in fresh.items() if not model.task}

    def local_models(self) -> dict[str, Model]:
        """The models that write plain text: those of this copy, the one that they trained last, and
        those of the Hub that they used."""
        found, name = self.trained_model(), visitor_models.NAME
        recent = {key: model for key, model in self.recent.items() if not model.task}
        mine = {name: Model(name, found.process.name, found.title, None)} if found else {}
        return catalogue.models() | mine | recent

    def rewriters(self) -> dict[str, Model]:
        """The models that rewrite: those of this copy, and those of the Hub that they used."""
        recent = {key: model for key, model in self.recent.items() if model.task}
        return catalogue.rewriters() | recent

    def file(self, name: str) -> Path:
        """Where a file to download is written; it goes with the session. Gradio copies what lies
        elsewhere than in its own folder, and keeps the copy.
        """
        if self.folder is None:
            Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
            self.folder = tempfile.TemporaryDirectory(prefix="tinydiff-", dir=get_upload_folder())
        return Path(self.folder.name) / name

    def end(self) -> None:
        """The visitor has left: stop what runs, and delete what is theirs."""
        for tab in self.jobs:
            self.stop(tab)
        visitor_models.CACHE.remove(self.secret)
        if self.folder is not None:
            self.folder.cleanup()
        self.folder, self.jobs = None, {}
