"""A gap of any length, on the tab Watch: a text with one … is written at several widths, and the
one that the model finds likeliest is put in; the others stand under it, each a click away.

Each is a run of its own, which its settings make again: a template of as many blanks, and a seed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import gradio as gr

from tinydiff.gaps import BATCH, DRAWS, WIDTHS, judged, requests
from tinydiff.runs import Request
from tinydiff.show import render
from tinydiff.text import blanks
from tinydiff.text.canvas import GAP, GAP_ROOM
from tinydiff.ui import cost
from tinydiff.ui.errors import refusals, said
from tinydiff.ui.request import check_template, frames, open_model, read
from tinydiff.ui.session import Job, Session
from tinydiff.ui.writing import done, pictures, wire_for

EACH = 2  # texts of a width
LETTERS = 4  # of a piece of a word, about: so much wider are gaps of letters
DOTS = re.compile(r"(?<!\S)\.\.\.(?!\S)")  # which stand alone: a text may pause with three dots
BEHIND = (
    "The text has a gap, and this noise writes from left to right without seeing what stands "
    "behind: choose another, such as hidden words."
)


@dataclass(frozen=True)
class Filling:
    """What is asked for: the runs of all widths, each width's side by side."""

    requests: list[Request]


@dataclass
class Filled:
    """What came of it, the likeliest of each width: their runs, as values for the player, and what
    is told of each. of: a number that no other has."""

    of: int = field(default_factory=render.fresh_run)
    requests: list[Request] = field(default_factory=list)
    values: list[dict] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)

    @property
    def best(self) -> int:
        """The place of the likeliest."""
        return min(range(len(self.rows)), key=lambda i: self.rows[i]["bits"])

    def shown(self, place: int, left: list[int] = (), **more) -> dict:
        """What the player shows with one of them in the gap. left: widths that are still to be
        tried."""
        letters = self.requests[place].process.tokenizer.unit in GAP_ROOM
        unit = "letters" if letters else "pieces"
        told = dict(of=self.of, rows=[*self.rows], best=self.best, shown=place, left=[*left])
        return self.values[place] | {"gaps": told | dict(unit=unit, tries=EACH)} | more

    def packed(self, asked: Filling) -> dict:
        """As plain JSON, to be remembered."""
        numbers = {id(request): number for number, request in enumerate(asked.requests)}
        places = [numbers[id(request)] for request in self.requests]
        return dict(places=places, values=self.values, rows=self.rows)

    @classmethod
    def unpacked(cls, asked: Filling, made: dict) -> Filled:
        runs = [asked.requests[place] for place in made["places"]]
        return cls(requests=runs, values=made["values"], rows=made["rows"])


# ---------------------------------------------------------------- what is asked for


def dotted(text: str) -> str:
    """A text with GAP for three dots that stand alone, which are easier to type."""
    return DOTS.sub(GAP, text)


def asked(raw: Mapping, session: Session | None = None) -> Filling | Request:
    """The runs that fill the one gap of settings; where they have none, or more that is to be
    written, their own run, in which each gap is as wide as some words. Raises gr.Error in one
    sentence."""
    template = raw.get("template")
    if not isinstance(template, str) or template.count(GAP) != 1:
        return read(raw, session)
    with refusals():
        check_template(template)
        opened = _, process = open_model(raw["model"], session)
        tokenizer = process.tokenizer
        letters = tokenizer.unit in GAP_ROOM
        if set(blanks(tokenizer)) & set(template) or letters and tokenizer.writes(GAP):
            return read(raw, session, opened)
        if "diffusion" not in process.traits:
            raise ValueError(BEHIND)

        def checked(settings: dict) -> Request:
            try:
                return read(settings, session, opened)
            except gr.Error as error:
                raise ValueError(said(error)["refused"]) from None

        widths = [LETTERS * width if letters else width for width in WIDTHS]
        found = requests(raw, checked, widths, EACH)
        cost.check(map(work, found))
    return Filling(found)


def work(request: Request) -> float:
    """Multiplications of a text for a gap, about: those of its run, and of its bound."""
    length = request.canvas.tokens.shape[1]
    return cost.of(request) + cost.bound(request.process, length, DRAWS, BATCH)


def work_of(request: Filling | Request) -> float:
    """Multiplications of all that is computed, about."""
    return sum(map(work, request.requests)) if isinstance(request, Filling) else cost.of(request)


def parts(request: Filling | Request) -> list[Request]:
    """All that is computed."""
    return request.requests if isinstance(request, Filling) else [request]


# ---------------------------------------------------------------- a run


def write(asked: Filling, job: Job) -> Iterator[dict]:
    """Values for the player: first what is given, then after each width the likeliest text so far,
    and at last the likeliest as a run of its own."""
    filled = job.filled = Filled()
    widths = [(w, [*group]) for w, group in groupby(asked.requests, width)]
    yield from given(widths[0][1][0])
    for place, (_, tries) in enumerate(widths):
        likeliest(tries, job, filled)
        if job.replaced:
            return
        if job.ended:
            break
        left = [w for w, _ in widths[place + 1 :]]
        if left:
            yield kept(job, filled, left, still=True)
    if filled.rows:
        ended = {"said": job.notice} if job.late else {}
        yield kept(job, filled, run=render.fresh_run(), stopped=job.ended, **ended)
    job.made = filled.packed(asked)


def width(request: Request) -> int:
    """Tokens of its gap."""
    return int((~request.canvas.given).sum())


def given(request: Request) -> Iterator[dict]:
    """The text before anything is written."""
    wire = wire_for(request)
    wire.head |= {"looks": [], "query": None}
    begun = request.frames()
    for picture in pictures(request, wire, begun):
        wire.add(picture)
        yield wire.value()
        break
    begun.close()


def likeliest(tries: list[Request], job: Job, filled: Filled) -> None:
    """Write all runs of a width, and add the likeliest of those that were finished."""
    found = []
    for request in tries:
        wire = wire_for(request)
        for picture in pictures(request, wire, frames(request, job)):
            wire.add(picture)
        if not job.finished:
            break
        found.append((judged(request, job.frame.tokens), request, wire))
    if not found or job.replaced:
        return
    one, request, wire = min(found, key=lambda each: each[0].bits)
    filled.requests.append(request)
    filled.values.append(done(request, wire))
    filled.rows.append(dict(width=one.width, inside=one.inside, bits=round(one.bits, 3)))


def kept(job: Job, filled: Filled, left: list[int] = (), **more) -> dict:
    """The likeliest so far is what the visitor has; while widths are left it has no link."""
    value = filled.shown(filled.best, left, **more)
    if left:
        value["head"] = value["head"] | {"looks": [], "query": None}
    job.request, job.kept = filled.requests[filled.best], value
    return value


def again(asked: Filling, job: Job, made: dict) -> dict:
    """An earlier run of the same text."""
    job.filled = filled = Filled.unpacked(asked, made)
    return kept(job, filled, run=render.fresh_run())


def picked(filled: Filled | None, deed: dict) -> tuple[Request, dict]:
    """Another of them: its request and its value. Raises ValueError."""
    place = deed.get("place")
    if filled is None or deed.get("of") != filled.of:
        raise ValueError("What else could stand there is not kept any more: press Write again.")
    if type(place) is not int or not 0 <= place < len(filled.rows):
        raise ValueError("There is no such text for the gap: choose one of those that are shown.")
    return filled.requests[place], filled.shown(place, run=render.fresh_run())
