"""The tab Steps: texts of one seed at 1, 2, 4 ... steps, and quality against calls as a curve.

A trained model is judged by the bundled autoregressive one. A perfect network is measured exactly:
how far its texts' pairs of characters are from the language's own, so that every error is the
sampler's. What is bundled is there at once (evaluation.json of the checkpoints, and
assets/recorded/steps.json, which `python -m tinydiff.ui.recordings` writes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import gradio as gr

from tinydiff.endings import read_of, texts_of
from tinydiff.exact import bigram_divergence
from tinydiff.frames import Frame
from tinydiff.measure import evaluate, families
from tinydiff.processes import PROCESSES, Process
from tinydiff.randomness import seeded
from tinydiff.runs import DEFAULTS, Request
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show import plots
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.store.checkpoint import Card
from tinydiff.text import Canvas
from tinydiff.ui import away, cost, recording
from tinydiff.ui.errors import one_of, refusal, refusals
from tinydiff.ui.families import WORDS, ends
from tinydiff.ui.request import LIMITS, frames, look_up, open_model, read, writes
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import (
    HUB_QUEUE,
    QUIET,
    Panel,
    Site,
    Tab,
    first_model,
    in_menus,
    menu,
    with_steps,
)

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PERFECT_COUNTS = COUNTS[:-1]
# for the divergence: enough characters that the curve stands clear of its floor
PERFECT_TEXTS = 64
PERFECT_LENGTH = 128  # characters of each
MOST = 3  # samplers in one picture
ITSELF = "its evaluation"
SAID_ITSELF = f"The curve “{ITSELF}” is what came with this checkpoint, measured by who made it."


# ---------------------------------------------------------------- the tab


ABOUT = (
    "How few looks does a network need? Every card is the same seed with another number of steps. "
    "One step writes everything at once, each part alone; more steps let them listen to each "
    "other. Words that are none are faint."
)


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    first = catalogue.models()[first_model()]
    gr.Markdown(ABOUT)
    model, samplers, prompt = build_fields(first)
    with gr.Row(elem_classes="tt-controls"):
        seed = gr.Number(
            7,
            label="Seed",
            precision=0,
            minimum=0,
            min_width=150,
            info="The same seed gives the same texts.",
        )
        temperature = gr.Slider(
            0,
            2,
            usual_temperature(first),
            step=0.05,
            label="Temperature",
            elem_id="steps-temperature",
            min_width=150,
            info="0 takes the likeliest, 1 is the model as it is.",
        )
        run = gr.Button("Run the steps", variant="primary", elem_id="steps-run", min_width=150)
        stop = gr.Button("Stop", elem_id="steps-stop", min_width=100, scale=0)
    panel = Panel("steps", first_view(first))
    menus = [samplers, temperature, panel]
    model.input(changed, [site.session, model], [model, *menus], **QUIET, **HUB_QUEUE)
    site.offer(in_menus(model, of=Session.local_models), [model])
    fields = [model, samplers, seed, temperature, prompt]
    TAB.wire(site, [run.click], fields, panel, stop.click)
    gr.api(steps, api_name="steps", concurrency_id="sample", concurrency_limit=2)
    away.build()


def build_fields(first: Model) -> list:
    """The model, its samplers and the prompt."""
    with gr.Row():
        model = gr.Dropdown(
            menu(),
            value=first.key,
            label="Model",
            scale=2,
            allow_custom_value=True,
            info="Or a Hub id. A perfect network leaves only the sampler's own error.",
            elem_id="steps-model",
        )
        samplers = gr.Dropdown(
            offered(first),
            value=offered(first)[:1],
            multiselect=True,
            max_choices=MOST,
            label="Samplers",
            info="Up to three, in one picture.",
            elem_id="steps-samplers",
            scale=2,
        )
        prompt = gr.Textbox(
            "",
            label="Prompt",
            max_length=128,
            placeholder="Once upon a time",
            info="How every text begins.",
        )
    return [model, samplers, prompt]


def offered(model: Model) -> list[str]:
    """The samplers of a model."""
    return column(PROCESSES[model.process])


def changed(session: Session, name: str) -> tuple:
    """The model menu, the sampler menu, the temperature and the first view of another model."""
    with refusals():
        model, _ = open_model(look_up(name, session, writes), session)
        view = first_view(model)
    names, models = offered(model), gr.update(choices=menu(session.local_models()), value=model.key)
    samplers = gr.Dropdown(choices=names, value=names[:1])
    return models, samplers, gr.update(value=usual_temperature(model)), view


def usual_temperature(model: Model) -> float:
    """The page's; of a perfect network 1, at which it knows its language exactly."""
    return 1.0 if is_perfect(model.key) else DEFAULTS["temperature"]


# ---------------------------------------------------------------- what the panel shows


def first_view(model: Model) -> dict:
    """The panel before anything was run: the recorded cards and the bundled curves."""
    cards = recording.load("steps").get(model.key, [])
    return panel_of(model, cards, [], recording.caption("steps") if cards else "")


@dataclass(frozen=True)
class Plan:
    """What is to be run of a model: a request for each sampler and number of steps."""

    model: Model
    requests: list[Request]


def read_fields(session: Session, name, samplers, seed, temperature, prompt) -> Plan:
    """Check everything. Raises gr.Error in one sentence."""
    with refusals():
        model, process = opened = open_model(name, session)
    if not isinstance(samplers, list) or not 1 <= len(samplers) <= MOST:
        raise refusal(f"Choose one to {MOST} samplers.")
    asked = dict(seed=seed, temperature=temperature, prompt=prompt or "")
    asked |= dict(length=length(model, process))
    requests = [
        many(read({**asked, "sampler": sampler, "steps": count}, session, opened))
        for sampler in samplers
        for count in counts(model, process, one_of("sampler", sampler, offered(model)))
    ]
    with refusals():
        cost.check(map(cost.of, requests))
    return Plan(model, requests)


def write(plan: Plan, job: Job) -> Iterator[dict]:
    """The panel after each number of steps."""
    cards, every = [], len(plan.requests)
    for request in plan.requests:
        named = with_steps(request.settings["sampler"], request.settings["steps"])
        status = f"{named} is being written: {len(cards) + 1} of {every}"
        yield panel_of(plan.model, cards, cards, status)
        made = card(request, job)
        if not made:
            status = job.notice or f"Stopped: {len(cards)} of {every} texts are written."
            yield panel_of(plan.model, cards, cards, status)
            return
        cards.append(made)
    yield panel_of(plan.model, cards, cards, f"All {len(cards)} texts are written.")


def steps(
    model: str, samplers: list[str], seed: int, temperature: float, prompt: str
) -> Iterator[dict]:
    """The panel after each number of steps. Raises gr.Error in one sentence."""
    yield from TAB.alone(read_fields(Session(), model, samplers, seed, temperature, prompt))


def counts(model: Model, process: Process, sampler: str) -> tuple[int, ...]:
    """The numbers of steps that are tried."""
    if not SAMPLERS[sampler].steps_matter:
        return (1,)
    asked = PERFECT_COUNTS if is_perfect(model.key) else COUNTS
    return SAMPLERS[sampler].different(process, Canvas.blank(length(model, process)), asked)


def is_perfect(key: str) -> bool:
    return key.startswith(catalogue.PERFECT)


def length(model: Model, process: Process) -> int:
    """Of the texts: as much as the network sees, as far as the page writes."""
    low, high, _ = LIMITS["length"]
    return PERFECT_LENGTH if is_perfect(model.key) else min(max(low, process.length), high)


def many(request: Request) -> Request:
    """Of a perfect network as many texts as its divergence is measured on."""
    if not is_perfect(request.settings["model"]):
        return request
    prompt, tokenizer = request.settings["prompt"], request.process.tokenizer
    canvas = Canvas.prompt(tokenizer, prompt, PERFECT_LENGTH, batch=PERFECT_TEXTS)
    return replace(request, canvas=canvas)


def card(request: Request, job: Job) -> dict:
    """One number of steps, as `many` made it: the text, what it cost and how good it is; {} where
    the job ended before it was done."""
    settings, process = request.settings, request.process
    *_, frame = frames(request, job)
    if job.ended or job.replaced:
        return {}
    written = texts_of(process, frame)[0]
    found = dict(
        sampler=settings["sampler"],
        steps=settings["steps"] if SAMPLERS[settings["sampler"]].steps_matter else None,
        calls=frame.calls,
        ms=1000 * frame.seconds,
        pieces=pieces(read_of(process, frame)[0], process.corpus),
    )
    exact = is_perfect(settings["model"])
    return found | (exact_quality(frame) if exact else judged_quality(written, process))


def exact_quality(frame: Frame) -> dict:
    return dict(
        divergence=bigram_divergence(frame.tokens, catalogue.bigrams()), texts=PERFECT_TEXTS
    )


def judged_quality(written: str, process: Process) -> dict:
    quality = evaluate.judged([written], process)
    return dict(bits=quality.bits, words=quality.words)


def pieces(written: str, corpus: str) -> list[list]:
    """The text in pieces, each with whether it may be read: False for words that are in no
    dictionary (`catalogue.words`)."""
    found, end, known = [], 0, catalogue.words(corpus)
    for match in evaluate.WORD.finditer(written):
        if match.group().lower() not in known and match.start() > 0 and match.end() < len(written):
            found += [[written[end : match.start()], True], [match.group(), False]]
            end = match.end()
    return [piece for piece in [*found, [written[end:], True]] if piece[0]]


def panel_of(model: Model, cards: list[dict], run: list[dict], status: str) -> dict:
    """Everything that the panel draws. cards: those to show; run: those that the visitor's run has
    made so far."""
    return dict(
        family=model.process,
        cards=list(cards),
        status=status,
        **pictures(model, run),
    )


# ---------------------------------------------------------------- the pictures


def pictures(model: Model, run: list[dict]) -> dict:
    """Pictures of quality against calls, and a sentence where something is missing."""
    if is_perfect(model.key):
        return dict(
            pictures=[exact_picture(model, run)],
            note=f"Measured on {PERFECT_TEXTS} texts of {PERFECT_LENGTH} characters. "
            "The dashed line is what as many true texts give: a finite number of texts never "
            "looks perfect.",
        )
    known_curves = any(bundled_curves(what, model.corpus) for what in ("bits", "words"))
    told = any(own_curves(what, model) for what in ("bits", "words"))
    run = run if run or known_curves else recording.load("steps").get(model.key, [])
    note = (
        "Grey: the bundled curves, means of several texts at temperature 1. One text alone, as on "
        "these cards, scatters around such a mean, and a colder one is likelier."
    )
    missing = (
        "The bundled checkpoints were not evaluated yet, so the curve is of the texts below alone."
    )
    return dict(
        pictures=[
            picture("bits", "judge, bits a character", model, run),
            picture("words", WORDS, model, run),
        ],
        note=" ".join(filter(None, (note if known_curves else missing, SAID_ITSELF * told))),
    )


def picture(what: str, ylabel: str, model: Model, run: list[dict]) -> str:
    family = model.process
    curves = [*bundled_curves(what, model.corpus), *own_curves(what, model)]
    curves += card_curves(run, what, family)
    levels = ends(what, catalogue.real_text(model.corpus), catalogue.yardsticks(model.corpus))
    alt = f"{ylabel} against calls of the network: " + "; ".join(ends_of(c) for c in curves)
    return plots.both(plots.against_calls, curves, ylabel, levels, alt=alt, wide=540)


def ends_of(curve: plots.Curve) -> str:
    return (
        f"{curve.label} from {curve.y[0]:.2f} at {curve.x[0]} calls to {curve.y[-1]:.2f} at "
        f"{curve.x[-1]}"
    )


def exact_picture(model: Model, run: list[dict]) -> str:
    before = [] if run else recording.load("steps").get(model.key, [])
    curves = card_curves(run or before, "divergence", model.process)
    alt = "exact divergence from the language, nats a character, against calls: " + "; ".join(
        ends_of(c) for c in curves
    )
    label = "divergence, nats a character"
    return plots.both(
        plots.against_calls, curves, label, [plots.Level("true texts", floor())], alt=alt, wide=680
    )


@lru_cache(maxsize=1)
def floor() -> float:
    """The divergence that as many true texts of the language give."""
    language = catalogue.bigrams()
    return bigram_divergence(language.sample(PERFECT_TEXTS, PERFECT_LENGTH, seeded(1)), language)


def card_curves(cards: list[dict], what: str, family: str) -> list[plots.Curve]:
    """A curve for each sampler of the cards, as far as they have got."""
    names = dict.fromkeys(card["sampler"] for card in cards)
    rows = {
        name: [c for c in cards if c["sampler"] == name and c.get(what) is not None]
        for name in names
    }
    return [plots.Curve(name, *points(some, what), family) for name, some in rows.items() if some]


def points(rows: list[dict], what: str) -> tuple[list[float], list[float]]:
    ordered = sorted(rows, key=lambda row: row["calls"])
    return [row["calls"] for row in ordered], [row[what] for row in ordered]


@lru_cache(maxsize=4)
def bundled_curves(what: str, corpus: str) -> list[plots.Curve]:
    """The first sampler's curve of every evaluated checkpoint of a corpus, in grey."""
    found = ((card, measured(card, what)) for card in families.cards_of(corpus))
    return [
        plots.Curve(card.path.name, *points(rows, what), "faded", heavy=False)
        for card, rows in found
        if rows
    ]


def own_curves(what: str, model: Model) -> list[plots.Curve]:
    """The first sampler's curve in the evaluation of a checkpoint that is not bundled."""
    card = catalogue.card_of(model.key) if catalogue.brings_card(model.key) else None
    rows = measured(card, what) if card else []
    return [plots.Curve(ITSELF, *points(rows, what), model.process, heavy=False)] if rows else []


def measured(card: Card, what: str) -> list[dict]:
    """The rows of an evaluation that have a figure, of the first sampler that has one."""
    evaluation = card.evaluation
    rows = [
        row
        for row in [*evaluation.get("steps", []), *evaluation.get("single", [])]
        if row.get(what) is not None
    ]
    return [row for row in rows if row["sampler"] == rows[0]["sampler"]]


# ---------------------------------------------------------------- the recording


def record() -> None:
    """Write the first views: the cards of every model, each with its first sampler and the page's
    defaults."""
    cards = {}
    for key, model in catalogue.models().items():
        plan = read_fields(Session(), key, offered(model)[:1], 7, usual_temperature(model), "")
        cards[key] = [card(request, Job()) for request in plan.requests]
    recording.save("steps", cards, cards)


TAB = Tab(
    "steps",
    "Steps",
    build=build,
    read=read_fields,
    run=write,
    parts=lambda plan: plan.requests,
    record=record,
)
