"""Nine seeds of one setting beside each other, on the tab Steps: how different its texts are, and
so how little one text says about it.

Each is the run that Watch makes with that seed. Words that stand in a phrase of PHRASE words which
OFTEN of the texts have are marked as shared.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from tinydiff.endings import read_of, texts_of
from tinydiff.runs import DEFAULTS, Request
from tinydiff.samplers import SAMPLERS, column
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.ui import cost, recording
from tinydiff.ui.cards import is_perfect, length, pieces
from tinydiff.ui.errors import one_of, refusals
from tinydiff.ui.request import LOOKS, OPENING, frames, open_model, read
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import Panel, Site, Tab, first_model, stale_line
from tinydiff.ui.writing import measure_of
from tinydiff.uncertainty import mean, percent

SEEDS = tuple(range(1, 10))
USUAL = 8  # looks
PHRASE, OFTEN = 4, 3


# ---------------------------------------------------------------- the widgets


def build(site: Site, fields: list) -> None:
    """The sheet, and what it takes beside the fields of the tab: model, samplers, temperature and
    prompt."""
    gr.Markdown(ABOUT, elem_classes="tt-part")
    with gr.Row(elem_classes="tt-controls tt-compact"):
        looks = gr.Radio(
            list(LOOKS),
            value=USUAL,
            label="Looks (steps)",
            elem_id="seeds-looks",
            elem_classes="td-ticks",
            min_width=300,
            scale=3,
        )
        run = gr.Button("Write nine", variant="primary", elem_id="seeds-run", min_width=120)
        stop = gr.Button("Stop", elem_id="seeds-stop", min_width=80, scale=0)
    stale_line(SHEET.name)
    panel = Panel("seeds", recorded() or nothing())
    SHEET.wire(site, [run.click], [*fields, looks], panel, stop.click)
    gr.api(seeds, api_name="seeds", concurrency_id="sample", concurrency_limit=2)


ABOUT = (
    "## Nine seeds\n\nOne card may be luck. Here are nine texts of one setting, which differ in "
    "their random numbers alone: what several say alike is underlined."
)


# ---------------------------------------------------------------- a run


@dataclass(frozen=True)
class Plan:
    """What is to be run of a model: a request for each seed."""

    model: Model
    looks: int
    requests: list[Request]


def read_fields(session: Session, name, samplers, temperature, prompt, looks) -> Plan:
    """Check everything; of several samplers the first is meant. Raises gr.Error in one sentence."""
    with refusals():
        model, process = opened = open_model(name, session)
    sampler = samplers[0] if isinstance(samplers, list) and samplers else samplers
    sampler = one_of("sampler", sampler, column(process))
    same = dict(sampler=sampler, steps=looks, length=length(model, process))
    same |= dict(temperature=temperature, prompt=prompt or "")
    requests = [read({**same, "seed": seed}, session, opened) for seed in SEEDS]
    with refusals():
        cost.check(map(cost.of, requests))
    return Plan(model, looks, requests)


def write(plan: Plan, job: Job) -> Iterator[dict]:
    """The panel after each seed."""
    texts: list[dict] = []
    for request in plan.requests:
        yield sheet_of(plan, texts, f"Being written: seed {request.settings['seed']} of 9.")
        *_, frame = frames(request, job)
        if job.ended or job.replaced:
            yield sheet_of(plan, texts, job.notice or f"Stopped: {len(texts)} of 9 are written.")
            return
        texts.append(text_of(request, frame))
    yield sheet_of(plan, texts, "All nine are written.")


def text_of(request: Request, frame) -> dict:
    """A text: its seed, its pieces and its measure."""
    process, key = request.process, request.settings["model"]
    (text,) = texts_of(process, frame)
    return dict(
        seed=request.settings["seed"],
        pieces=pieces(read_of(process, frame)[0], process),
        measure={} if is_perfect(key) else measure_of(text, process),
    )


def seeds(model: str, sampler: str, temperature: float, prompt: str, looks: int) -> Iterator[dict]:
    """The sheet after each of nine seeds. Raises gr.Error in one sentence."""
    yield from SHEET.alone(read_fields(Session(), model, [sampler], temperature, prompt, looks))


# ---------------------------------------------------------------- what the panel shows


def sheet_of(plan: Plan, texts: list[dict], status: str) -> dict:
    """Everything that the panel draws."""
    marked = shared(["".join(piece for piece, _ in text["pieces"]) for text in texts])
    sampler = plan.requests[0].settings["sampler"]
    return dict(
        family=plan.model.process,
        looks=plan.looks if SAMPLERS[sampler].steps_matter else None,
        texts=[text | {"shared": spans} for text, spans in zip(texts, marked)],
        summary=summary(texts),
        status=status,
    )


def nothing() -> dict:
    return dict(family="", looks=None, texts=[], summary="", status="No texts yet.")


def summary(texts: list[dict]) -> str:
    """How far the measures of texts lie apart, in a sentence; "" of one text."""
    found = [text["measure"] for text in texts if text["measure"]]
    if len(found) < 2:
        return ""
    shares = [measure["share"] for measure in found]
    average = mean(shares, [1] * len(shares), consecutive=False)
    return (
        f"{found[0]['name'].capitalize()} of {len(shares)} texts: "
        f"{percent(average.value, average.error)} on average, from {100 * min(shares):.0f} to "
        f"{100 * max(shares):.0f} %."
    )


def shared(texts: list[str]) -> list[list[list[int]]]:
    """Of each text the spans [first, end] of characters that stand in a phrase of PHRASE words
    which at least OFTEN of the texts have, whatever their capitals and punctuation."""
    words = [list(re.finditer(r"\w+(?:'\w+)*", text)) for text in texts]
    phrases = [
        [tuple(m.group().lower() for m in some[i : i + PHRASE]) for i in range(len(some))]
        for some in words
    ]
    often = Counter(phrase for some in phrases for phrase in set(some) if len(phrase) == PHRASE)
    found = []
    for some, mine in zip(words, phrases):
        spans: list[list[int]] = []
        for i, phrase in enumerate(mine):
            if often[phrase] < OFTEN:
                continue
            first, end = some[i].start(), some[i + PHRASE - 1].end()
            if spans and first <= spans[-1][1]:
                spans[-1][1] = end
            else:
                spans.append([first, end])
        found.append(spans)
    return found


# ---------------------------------------------------------------- the recording


def recorded() -> dict:
    """The sheet that is recorded, where the tab opens with its model."""
    found = recording.load("steps").get("sheet", {}) if first_model() == DEFAULTS["model"] else {}
    return found | {"status": recording.caption("steps")} if found else {}


def recorded_anew() -> dict:
    """The sheet of the usual settings."""
    key = first_model()
    sampler = column(catalogue.open_model(key))[0]
    usual = OPENING["temperature"], OPENING["prompt"], USUAL
    *_, value = SHEET.alone(read_fields(Session(), key, [sampler], *usual))
    return value | {"status": ""}


SHEET = Tab(
    "seeds",
    "Nine seeds",
    build=build,
    read=read_fields,
    run=write,
    parts=lambda plan: plan.requests,
)
