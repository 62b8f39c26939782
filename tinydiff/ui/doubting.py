"""What a model doubts in a text, on the tab Watch, and its mending: doubted words are underlined,
and on request their stretches are opened one after the other, from the end of the text on.

Asked about is the text on the player, or one of the visitor's own, which is put there first. Such a
run stands beside the text: it is a Job of its own, which ends when anything else is begun.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from tinydiff import gaps, mending, runs
from tinydiff.doubt import AT_ONCE, Doubt
from tinydiff.mending import LIMITS, Doubted
from tinydiff.processes import Process
from tinydiff.runs import Request
from tinydiff.sentences import brief
from tinydiff.show import render
from tinydiff.store import catalogue
from tinydiff.text import Canvas
from tinydiff.text.canvas import is_template
from tinydiff.ui import cost
from tinydiff.ui.gaps import work
from tinydiff.ui.memory import MEMORY, made_of
from tinydiff.ui.request import frames, read
from tinydiff.ui.session import Job, Session
from tinydiff.ui.touch import Held, by_hand
from tinydiff.ui.turns import PACE, rounded

NAME = "doubt"  # of its jobs
WAYS = ("bets", "head")  # a look for each token, and one look of a head
EACH, STEPS = 2, 8  # texts of each width of a gap, and looks of each


@dataclass
class Proof:
    """A text with what is doubted in it, and what was put in the place of that.

    of:      the number of the run on the player that shows the text
    request: what the player shows, whose model doubts
    changes: of each stretch that was opened {start, stop, new, bits}, from the end of the text on
    mended:  the text with them
    """

    of: int
    request: Request
    text: str
    way: str = WAYS[0]
    words: list[Doubted] = field(default_factory=list)
    changes: list[dict] = field(default_factory=list)
    mended: str = ""

    @property
    def model(self) -> str:
        return self.request.settings["model"]

    @property
    def stretches(self) -> list[tuple[int, int, int]]:
        """Those that are doubted, from the end of the text on."""
        return mending.stretches(self.text, self.words, LIMITS[self.way])[::-1]

    def told(self, busy: str = "", **more) -> dict:
        """What the page is told beside the run. busy: what is being done, a sentence."""
        words = [[word.start, word.stop, round(word.doubt, 7)] for word in self.words]
        ways = WAYS if catalogue.doubt_beside(self.model) else WAYS[:1]
        told = dict(text=self.text, way=self.way, ways=ways, words=words, limit=LIMITS[self.way])
        told |= dict(changes=[*self.changes], left=len(self.stretches) - len(self.changes))
        return {"run": self.of, "proof": told | dict(busy=busy) | more}

    def key(self, *more) -> str | None:
        """By what its words, or with more its mended text, are remembered."""
        weights = made_of(self.model)
        return weights and json.dumps([NAME, self.model, weights, self.way, self.text, *more])


class Ended(Exception):
    """A job was ended while a model doubted."""


class Watched:
    """A process that asks its job before each call."""

    def __init__(self, process: Process, job: Job):
        self.process, self.job = process, job

    def __getattr__(self, name: str):
        return getattr(self.process, name)

    def denoise(self, x, t):
        self.job.late = self.job.over
        if not self.job.finished:
            raise Ended
        return self.process.denoise(x, t)


# ---------------------------------------------------------------- what is asked for


def own(wanted: Request, text: str) -> Request:
    """A text, which stands there whole, for the model that is wanted. Raises ValueError."""
    if is_template(runs.text("text", text)):
        raise ValueError("The text has a gap: fill it first, with Write, or take it out.")
    mending.check(wanted.process, None)
    ids, _ = mending.tokens_of(wanted.process, text)
    nothing = torch.zeros_like(ids, dtype=torch.bool)
    settings = {"length": ids.shape[1], "prompt": "", "template": None}
    return by_hand(wanted, settings, canvas=Canvas(ids, nothing, wanted.canvas.label))


def of_held(held: Held, of: int) -> Proof:
    """The finished text on the player, whose run has this number. Raises ValueError."""
    text = render.spelled(held.pictures[-1].text, held.request.process.tokenizer)
    if render.MASK in text:
        raise ValueError("The text is not finished: let it be written to its end first.")
    return Proof(of, held.request, text)


def head_of(proof: Proof) -> Doubt | None:
    """The head of a proof's way, for this visitor alone: it is told whose states it reads. Raises
    ValueError for a way that there is not, and for a model that no head was trained beside."""
    if proof.way not in WAYS:
        raise ValueError(f"The way is {brief(proof.way)}; there are {', '.join(WAYS)}.")
    if proof.way == WAYS[0]:
        return None
    if not (name := catalogue.doubt_beside(proof.model)):
        raise ValueError("No head was trained beside this model: ask its own bets.")
    return copy.deepcopy(catalogue.opened_doubt(name))


def check(proof: Proof) -> float:
    """Multiplications that it takes to doubt the text, about. Raises ValueError, in one sentence,
    for what cannot be doubted."""
    process = proof.request.process
    mending.check(process, head_of(proof))
    length = mending.tokens_of(process, proof.text)[0].shape[1]
    looks = 1 if proof.way == "head" else length
    total = cost.bound(process, length, looks, AT_ONCE)
    cost.check([total])
    return total


def begin(session: Session) -> Job:
    """A job beside what is on the player, which replaces the visitor's older one."""
    job = Job(session.kept(NAME))
    if NAME in session.jobs:
        session.jobs[NAME].replaced = True
    session.jobs[NAME] = job
    return job


# ---------------------------------------------------------------- what is done


def doubt(proof: Proof, job: Job) -> Iterator[dict]:
    """What the page is told: that it looks, and for how long about, then each word's doubt."""
    job.kept, process = proof, proof.request.process
    known, head = proof.key(), head_of(proof)
    if (found := MEMORY.find(known)) is None:
        yield proof.told(looking(proof))
        try:
            # a head hooks into the network while it looks, which others write with meanwhile
            doubter = Watched(process, job) if head is None else copy.deepcopy(process)
            found = mending.doubts(doubter, head, proof.text)
        except Ended:
            yield proof.told(stopped=True)
            return
        MEMORY.keep(known, found)
    proof.words = [Doubted(*word) for word in found]
    yield proof.told()


def looking(proof: Proof) -> str:
    """What it does to doubt, and for how long about."""
    if proof.way == "head":
        return "It takes one look at the whole text."
    tokenizer, seconds = proof.request.process.tokenizer, PACE.seconds(check(proof))
    count = len(tokenizer.encode(proof.text))
    return f"It hides each of {count} {tokenizer.unit} in turn: about {rounded(seconds)}."


def mend(proof: Proof, job: Job, session: Session, seed: object) -> Iterator[dict]:
    """What the page is told while the doubted stretches are opened, and after each. Raises
    ValueError, gr.Error."""
    process = proof.request.process
    settings = dict(model=proof.model, steps=STEPS, seed=seed, prompt="")
    known = proof.key("mended", settings)
    if (found := MEMORY.find(known)) is not None:
        proof.changes, proof.mended = found["changes"], found["mended"]
        return
    for k, (start, stop, n) in enumerate(places := proof.stretches, 1):
        busy = f"Place {k} of {len(places)} is open: gaps of several lengths are filled."
        now = dict(now=[start, stop], busy=busy)
        yield proof.told(**now)
        text, tries = proof.mended, []
        template, widths = mending.opened(process, text, start, stop, n)
        before = gaps.bits_behind(process, text, start)
        for request in candidates(settings | {"template": template}, widths, process, session):
            for _ in frames(request, job):
                pass
            if not job.finished:
                return
            tries.append(gaps.judged(request, job.frame.tokens))
            yield proof.told(**now)
        one, proof.mended = mending.chosen(text, start, stop, before, tries)
        bits = [round(value, 3) for value in one.bits]
        proof.changes.append(dict(start=start, stop=stop, new=one.new, bits=bits))
    MEMORY.keep(known, dict(changes=proof.changes, mended=proof.mended))


def candidates(
    settings: Mapping, widths: list[int], process: Process, session: Session
) -> list[Request]:
    """The runs that write what could stand in a gap. Raises ValueError, gr.Error."""
    model = session.local_models().get(settings["model"])
    opened = model and (model, process)
    found = gaps.requests(settings, lambda whole: read(whole, session, opened), widths, EACH)
    cost.check(map(work, found))
    return found


# ---------------------------------------------------------------- what a visitor asked for


def answered(
    session: Session,
    deed: Mapping,
    held: Held,
    of: int,
    raw: Mapping,
    settle: Callable[[Request], dict],
) -> Iterator[dict]:
    """What the player is told of a deed: {"do": "doubt", "way" or "mine": True, for the text of the
    panel} or {"do": "mend"}. Raises ValueError, gr.Error, in one sentence.

    of:     the number of the run that the player shows
    raw:    the settings of the panel
    settle: puts a text on the player, which can be undone, and gives its value
    """
    if deed["do"] == "mend":
        yield from mended(session, of, raw["seed"], settle)
        return
    value: dict = {}
    if deed.get("mine"):
        text = raw["prompt"] if raw["template"] is None else raw["template"]
        wanted = read({**raw, "prompt": "", "template": None}, session)
        proof = Proof(of, own(wanted, text), text)
        check(proof)  # before anything gives way to it
        value = settle(proof.request)
        proof.of = value["run"]
    else:
        proof = of_held(held, of)
        proof.way = deed.get("way", WAYS[0])
        check(proof)
    job = begin(session)
    yield from (value | told for told in job.values(doubt(proof, job)))


def mended(
    session: Session, of: int, seed: object, settle: Callable[[Request], dict]
) -> Iterator[dict]:
    """The same of what was doubted last: when it is over, or was stopped, the new text is put on
    the player, with what was replaced."""
    proof, before = session.kept(NAME), session.jobs.get("denoise")
    if not isinstance(proof, Proof) or proof.of != of or proof.changes:
        raise ValueError("What was doubted is of another text: ask for this one first.")
    job, proof.mended = begin(session), proof.text
    yield from job.values(mend(proof, job, session, seed))
    if job.replaced or session.jobs.get("denoise") is not before:
        return
    ended, value = job.ended, {}
    if proof.mended != proof.text:
        value = settle(own(proof.request, proof.mended))
        proof.of = value["run"]
    yield value | proof.told(stopped=ended, over=True)
