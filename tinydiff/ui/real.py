"""The tab Real model: a pretrained language model writes, a small adapter drafts what comes next,
and the model checks all drafts in one call (samplers/speculative.py). Beside it the same model
writes one token a call.

Both are written in one run, each on a clock of its own: the one that is behind takes the next step,
so that at every moment both have had the same time. What is compared is a law and not a text: the
same seed gives other draws where other numbers are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import gradio as gr
import torch
import torch.nn.functional as F

from tinydiff import runs
from tinydiff.files import CheckpointError
from tinydiff.generate import Frame, check_number, generate
from tinydiff.nets.precision import remembering
from tinydiff.processes import YES_NO
from tinydiff.sentences import is_text
from tinydiff.store import catalogue
from tinydiff.text import Canvas, chat
from tinydiff.text.tokenizers.subwords import Subwords
from tinydiff.ui import base, recording
from tinydiff.ui.errors import one_of, refusals
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import QUICK, QUIET, Panel, Site, Tab, asked_js, stale_line

FORMS = ["a beginning", "an instruction"]
LIMITS = {
    "length": (16, 160, True),
    "temperature": (0, 2, False),
    "top-p": (0.05, 1, False),
    "guesses before each check": (0, 7, True),
    "seed": (0, 2**31 - 1, True),
}
USUAL = {"length": 80, "temperature": 0.7, "top-p": 0.95, "seed": 7}
GUESSES = 2
LONGEST = 2000  # characters of what is given
ROOM = 512  # tokens of all: each has a law over all words, which is held at once in the first look
EVERY = 0.08  # seconds between two messages
NUMBERS, MILLIONS = 1.35e8, " of 135 million numbers"  # the usual model
MEGABYTES = 270
READ = 18  # multiplications in the time in which a number of the model is read from memory
TELLING = 8  # tokens of which a speed can be told
SAME = 0.05  # a difference in speed that is none
EXAMPLES = {
    "why the sky is blue": (FORMS[1], "Why is the sky blue?"),
    "a recipe": (FORMS[1], "Give me a simple recipe for pancakes."),
    "counting": (FORMS[0], "One, two, three, four,"),
    "once upon a time": (FORMS[0], "Once upon a time"),
    "a program": (FORMS[0], "def is_prime(n):\n"),
}
FIRST = "why the sky is blue"

ABOUT = (
    "A language model{} writes. A small helper guesses its next words; the "
    "model checks all guesses in one look and keeps those that it would have written itself: the "
    "text is exactly its own, in fewer looks. Whether it is there sooner, the clock tells."
)
IDLE = "The model is opened at the first “Write”, which takes some seconds."
OPENING = "The model is being opened: some seconds, the first time only."
UNCHECKED = "Unchecked: every guess stays, and nobody looks whether the guesses fit together."
ALONE = "No helper fits this model: its guesses are what followed the last time in this text."


@dataclass(frozen=True)
class Wish:
    """What a visitor asks for, checked as far as it can be before the model is open."""

    words: str
    chat: bool
    guesses: int
    check: bool
    beside: bool
    length: int
    temperature: float
    top_p: float
    seed: int

    @property
    def drafted(self) -> bool:
        return self.guesses > 0


def read(
    session: Session | None,
    form: object,
    words: object,
    guesses: object,
    check: object,
    beside: object,
    *numbers: object,
) -> Wish:
    """Check everything that the widgets send. Raises gr.Error in one sentence."""
    one_of("form", form, FORMS)
    named = dict(zip(USUAL, numbers)) | {"guesses before each check": guesses}
    with refusals():
        words = runs.text("words", words or "")
        if not is_text(words):
            raise ValueError("Your words hold half a character: type them anew.")
        if len(words) > LONGEST:
            raise ValueError(
                f"Your words are {len(words):,} characters; there is room for {LONGEST:,}."
            )
        for name, value in named.items():
            check_number(name, value, *LIMITS[name])
        if why := base.lacking():
            raise ValueError(why)
        wish = Wish(
            words,
            form == FORMS[1],
            int(guesses),
            bool(check),
            bool(beside),
            int(named["length"]),
            float(named["temperature"]),
            float(named["top-p"]),
            int(named["seed"]),
        )
        if base.SHELF.is_open():
            canvas_of(wish, base.SHELF.take().process.tokenizer)
    return wish


def canvas_of(wish: Wish, tokenizer: Subwords) -> Canvas:
    """What is given, and room for as many tokens as are wanted. Raises ValueError."""
    if wish.chat:
        given = chat.asked(tokenizer, wish.words)
    else:
        given = tokenizer.encode(wish.words)
    if len(given) + wish.length > ROOM:
        raise ValueError(
            f"Your words are {len(given)} tokens; beside a text of {wish.length} there is room for "
            f"{ROOM - wish.length}: give fewer of them."
        )
    tokens = F.pad(given, (0, wish.length))[None]
    known = torch.arange(tokens.shape[1])[None] < len(given)
    return Canvas(tokens, known)


def costs(wish: Wish) -> float:
    """Multiplications in the time that a run takes, about, which goes by with reading the model."""
    looks = wish.length / (1 + 0.5 * wish.guesses) + wish.length * (wish.drafted and wish.beside)
    return looks * NUMBERS * READ


# ---------------------------------------------------------------- what is written


@dataclass
class Lane:
    """A text while it is written.

    steps: of each look how many guesses were kept, whether the model wrote a token itself, the
           guesses that were dropped, as text, and the seconds of the look
    """

    name: str
    frames: Iterator[Frame]
    tokenizer: Subwords
    ends: set[int]
    first: int  # column
    ids: list[int] = field(default_factory=list)
    steps: list[tuple[int, int, str, float]] = field(default_factory=list)
    looks: int = 0
    seconds: float = 0.0
    over: bool = False

    def step(self) -> None:
        """Take a look, or be over."""
        frame = next(self.frames, None)
        if frame is None:
            self.over = True
        else:
            self.take(frame)

    def take(self, frame: Frame) -> None:
        row, at = frame.tokens[0], self.first + len(self.ids)
        fresh = row[at:][frame.changed[0, at:]].tolist()
        guessed = [] if frame.drafts is None else frame.drafts[0, at:].tolist()
        guessed = [token for token in guessed if token != self.tokenizer.mask_id]
        kept = next((i for i, two in enumerate(zip(fresh, guessed)) if two[0] != two[1]), None)
        kept = min(len(fresh), len(guessed)) if kept is None else kept
        end = next((i for i, token in enumerate(fresh) if token in self.ends), None)
        if end is not None:
            fresh, self.over = fresh[:end], True
        kept, dropped = min(kept, len(fresh)), [] if self.over else guessed[kept:]
        spent, self.seconds, self.looks = frame.seconds - self.seconds, frame.seconds, frame.calls
        told = self.tokenizer.decode(torch.tensor(dropped, dtype=torch.int64)).strip("\ufffd")
        self.ids += fresh
        self.steps.append((kept, len(fresh) - kept, told, round(spent, 4)))

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return len(self.ids) / max(self.seconds, 1e-9)

    def told(self) -> dict:
        pieces = self.tokenizer.spell(torch.tensor(self.ids, dtype=torch.int64))
        facts = dict(steps=[*self.steps], looks=self.looks, over=self.over)
        return dict(name=self.name, pieces=pieces) | facts


def lanes(wish: Wish, opened: base.Opened, job: Job) -> list[Lane]:
    """What is to be written: with guesses and, beside it, without. Raises ValueError."""
    process, made = opened.process, []
    tokenizer, canvas = process.tokenizer, canvas_of(wish, process.tokenizer)
    common = dict(temperature=wish.temperature, top_p=wish.top_p, seed=wish.seed)
    check = YES_NO[0 if wish.check else 1]
    drafted = dict(sampler="speculative", ahead=wish.guesses, check=check, drafter=opened.drafter)
    ends, first = chat.ends(tokenizer, wish.chat), int(canvas.given.sum())
    ways = [("With guesses", drafted)] if wish.drafted else []
    if wish.beside or not wish.drafted:
        ways.append(("One by one", dict(sampler="left_to_right")))
    for name, how in ways:
        frames = job.watch(generate(process, canvas, **how, **common))
        made.append(Lane(name, frames, tokenizer, ends, first))
    return made


def write(wish: Wish, job: Job) -> Iterator[tuple[dict, dict]]:
    """What the panel shows while both texts are written, and whether the model is to be
    fetched."""
    hidden, shown = gr.update(visible=False), gr.update(visible=True)
    try:
        if why := base.missing():
            job.stopped = True  # no run: nothing is learned of how long one takes
            yield dict(status=why), shown
            return
        if not base.SHELF.is_open():
            yield dict(status=OPENING, busy=True), hidden
        opened = base.SHELF.take()
        job.began = time.monotonic()
        made = lanes(wish, opened, job)
    except (CheckpointError, ValueError) as error:
        job.stopped = True
        yield {"refused": str(error)}, hidden
        return
    told = dict(words=wish.words, chat=wish.chat, note=note(wish, opened))
    for _ in raced(made):
        yield told | dict(lanes=[lane.told() for lane in made], status="", busy=True), hidden
    status = stopped(job) if job.ended else verdict(wish, made)
    yield told | dict(lanes=[lane.told() for lane in made], status=status), hidden


def raced(made: list[Lane]) -> Iterator[None]:
    """Let the lane that is behind on its own clock take the next look, until all are over; now and
    then, a moment to show them."""
    last = 0.0
    try:
        while open_ := [lane for lane in made if not lane.over]:
            min(open_, key=lambda lane: lane.seconds).step()
            if time.monotonic() - last > EVERY:
                yield
                last = time.monotonic()
    finally:
        for lane in made:
            lane.frames.close()


def note(wish: Wish, opened: base.Opened) -> str:
    """What is to be known of how this is written; "" where nothing is."""
    if not wish.drafted:
        return ""
    parts = [] if opened.drafter else [ALONE]
    return " ".join(parts if wish.check else [*parts, UNCHECKED])


def stopped(job: Job) -> str:
    return job.notice or "Stopped: what was written stays."


def verdict(wish: Wish, made: list[Lane]) -> str:
    """Which was faster, in a sentence or two."""
    if len(made) < 2 or min(len(lane.ids) for lane in made) < TELLING:
        return "Written."
    fast, slow = made
    times, tokens = fast.speed / slow.speed, len(fast.ids) / max(1, fast.looks)
    look = (fast.seconds / max(1, fast.looks)) / (slow.seconds / max(1, slow.looks))
    each = f"a look brought {tokens:.1f} tokens and took {look:.1f} times as long"
    if times > 1 + SAME:
        said = f"Guessing was {times:.1f} times as fast here: {each}."
    elif times < 1 - SAME:
        said = f"Guessing was slower here, {times:.2f} times as fast: {each}."
    else:
        said = f"Guessing made no difference here: {each}."
    return said + (SAME_WORDS if not wish.temperature and wish.check else "")


SAME_WORDS = " At temperature 0 nothing is drawn: both are the same words."


# ---------------------------------------------------------------- fetching


def fetching(session: Session) -> Iterator[tuple[dict, dict, dict]]:
    """The panel and the buttons while the model is fetched, for as long as this visitor waits."""
    fetch, cancel = gr.update(visible=False), gr.update(visible=True)
    job = begin(session)
    with refusals():
        one = base.fetch(job)
        while job.wanted and not one.over:
            yield dict(status="", fetched=[one.done, one.total], busy=True), fetch, cancel
            time.sleep(base.PAUSE)
        there = not base.missing()
    job.stopped = True
    status = "It is here: press “Write”." if there else one.said or "It was not fetched."
    yield dict(status=status), gr.update(visible=not there), gr.update(visible=False)


def begin(session: Session) -> Job:
    """This visitor's waiting for the model, which ends an older one of theirs."""
    if FETCH in session.jobs:
        session.jobs[FETCH].replaced = True
    job = session.jobs[FETCH] = Job()
    return job


FETCH = "fetch"  # the name of such a job


def fetch_words() -> str:
    """What stands on the button."""
    return f"Fetch it ({MEGABYTES} MB)" if base.is_usual() else "Fetch it"


def about() -> str:
    """The sentences above."""
    named = base.name()
    other = f" ({base.short(named)})" if "/" in base.short(named) else ""  # of a path nothing
    return ABOUT.format(MILLIONS if base.is_usual() else other)


# ---------------------------------------------------------------- the tab


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    gr.Markdown(about())
    form, words, chips = build_words()
    guesses, check, beside, go, stop = build_how()
    with gr.Accordion("More", open=False, elem_classes="td-more tm-more"):
        rest = build_settings()
    stale_line(TAB.name)
    panel = Panel("real", first_view())
    with gr.Row(elem_classes="tm-fetch"):
        fetch = gr.Button(
            fetch_words(), variant="primary", visible=False, elem_id="real-fetch", scale=0
        )
        cancel = gr.Button("Cancel", visible=False, elem_id="real-cancel", scale=0)
    fields = [form, words, guesses, check, beside, *rest]
    run = TAB.wire(site, [go.click], fields, [panel, fetch], stop.click)
    filled = chips.input(filled_in, chips, [form, words], **QUICK)
    filled.success(None, None, None, js=asked_js(TAB.name))
    TAB.line_up(site, filled.success(**run | {"api_name": "run_real_example"}))
    line = dict(concurrency_id="fetch", concurrency_limit=16)
    fetch.click(fetching, site.session, [panel, fetch, cancel], **QUIET, **line)
    cancel.click(lambda session: session.stop(FETCH), site.session, None, **QUICK)


def build_words() -> list:
    """What is given, in which form, and examples."""
    first, words_ = EXAMPLES[FIRST]
    with gr.Row(elem_classes="tt-controls"):
        words = gr.Textbox(
            words_,
            label="Your words",
            max_lines=6,
            scale=4,
            min_width=280,
            elem_id="real-words",
            info="May be empty. English; it is small, and often wrong.",
        )
        form = gr.Radio(
            FORMS,
            value=first,
            label="They are",
            elem_id="real-form",
            elem_classes="td-ticks",
            info="A beginning is gone on with, an instruction is answered.",
            scale=2,
            min_width=240,
        )
    chips = gr.Radio(list(EXAMPLES), label="Try", elem_id="real-examples", elem_classes="td-chips")
    return [form, words, chips]


def build_how() -> list:
    """Guesses, the check, the lane beside, Write and Stop."""
    with gr.Row(elem_classes="tt-controls"):
        name = "guesses before each check"
        guesses = gr.Slider(
            *LIMITS[name][:2],
            GUESSES,
            step=1,
            label=name.capitalize(),
            elem_id="real-guesses",
            info="0: it writes one by one.",
            scale=3,
            min_width=220,
        )
        check = gr.Checkbox(
            True,
            label="Check the guesses",
            info="Off: the helper alone writes most of it.",
            elem_id="real-check",
            scale=2,
            min_width=190,
        )
        beside = gr.Checkbox(
            True,
            label="Beside it, one by one",
            info="On the same clock.",
            elem_id="real-beside",
            scale=2,
            min_width=190,
        )
        go = gr.Button("Write", variant="primary", elem_id="real-run", min_width=120)
        stop = gr.Button("Stop", elem_id="real-stop", min_width=90, scale=0)
    return [guesses, check, beside, go, stop]


def build_settings() -> list:
    """Length, temperature, top-p and seed, in the order of USUAL."""
    steps = {"length": 1, "temperature": 0.05, "top-p": 0.05}
    info = {
        "length": "Tokens, pieces of words, at the most.",
        "temperature": "0 takes the likeliest.",
        "top-p": "Of the likeliest, this share of all bets.",
    }
    with gr.Row(elem_classes="tt-controls"):
        made = [
            gr.Slider(
                *LIMITS[name][:2],
                USUAL[name],
                step=step,
                label=name.capitalize(),
                info=info[name],
                elem_id=f"real-{name}",
                min_width=180,
                scale=2,
            )
            for name, step in steps.items()
        ]
        seed = gr.Number(
            USUAL["seed"], label="Seed", precision=0, minimum=0, elem_id="real-seed", min_width=100
        )
    return [*made, seed]


def filled_in(name: str) -> tuple[str, str]:
    """The form and the words of an example."""
    return EXAMPLES[one_of("example", name, EXAMPLES)]


# ---------------------------------------------------------------- the first view


def first_view() -> dict:
    """The recorded run, where there is one, and what is to be known before the first."""
    found, said = recording.load("real"), base.lacking() or IDLE
    return found | dict(status=f"{RECORDED} {said}" if found else said)


def record() -> None:
    """Write the first view: the first example, with the bundled adapter, in the precision that it
    has for visitors of this machine."""
    asked = read(None, *EXAMPLES[FIRST], GUESSES, True, True, *USUAL.values())
    with remembering({}):
        *_, (value, _) = write(asked, Job())
        recording.save("real", value, catalogue.drafters()[:1])


RECORDED = "This is a recording, with the times of another machine."
TAB = Tab(
    "real",
    "Real model",
    build=build,
    read=read,
    run=write,
    costs=costs,
    remembered=False,
    record=record if catalogue.drafters() else None,
    refused=lambda value: (value, gr.skip()),
)
