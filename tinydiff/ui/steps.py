"""The tab Steps: texts of one seed at 1, 2, 4 ... looks, nine seeds of one setting (sheet.py), and
quality against calls as a curve.

A card is the run that Watch makes of the same settings.

A trained model is judged by the bundled autoregressive one. A perfect network is measured exactly:
how far its texts' pairs of characters are from the language's own, so that every error is the
sampler's. What is bundled is there at once (evaluation.json of the checkpoints, and
assets/recorded/steps.json, which `python -m tinydiff.ui.recordings` writes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import gradio as gr

from tinydiff.exact import bigram_divergence
from tinydiff.measure import families
from tinydiff.processes import PROCESSES, Process
from tinydiff.randomness import seeded
from tinydiff.runs import DEFAULTS, Request
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show import plots
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.store.checkpoint import Card
from tinydiff.text import Canvas
from tinydiff.ui import away, cost, recording, sheet
from tinydiff.ui.cards import PERFECT_LENGTH, PERFECT_TEXTS, card, is_perfect, length, many
from tinydiff.ui.errors import one_of, refusal, refusals
from tinydiff.ui.families import WORDS, ends
from tinydiff.ui.request import LOOKS, OPENING, look_up, open_model, read, writes
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
    stale_line,
    with_steps,
)

MOST = 3  # samplers in one picture
ITSELF = "its evaluation"
SAID_ITSELF = f"The curve “{ITSELF}” is what came with this checkpoint, measured by who made it."


# ---------------------------------------------------------------- the tab


ABOUT = (
    "How few looks does a network need? One look writes everything at once, each word alone; with "
    "more, words hear each other."
)


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    first = catalogue.models()[first_model()]
    gr.Markdown(ABOUT)
    with gr.Row(elem_classes="tt-controls tt-compact"):
        model, prompt, samplers, seed, temperature = build_fields(first)
        run = gr.Button("Write all", variant="primary", elem_id="steps-run", min_width=110)
        stop = gr.Button("Stop", elem_id="steps-stop", min_width=80, scale=0)
    stale_line(TAB.name)
    panel = Panel("steps", first_view(first))
    sheet.build(site, [model, samplers, temperature, prompt])
    Panel("curves")  # which the script of the one above draws
    site.offer(in_menus(model, of=Session.local_models), [model])
    fields = [model, samplers, seed, temperature, prompt]
    menus = [model, samplers, temperature, prompt, panel]
    model.input(changed, [site.session, *fields], menus, **QUIET, **HUB_QUEUE)
    TAB.wire(site, [run.click, prompt.submit], fields, panel, stop.click)
    gr.api(steps, api_name="steps", concurrency_id="sample", concurrency_limit=2)
    away.build()


def build_fields(first: Model) -> list:
    """The model, how texts begin, the samplers, the seed and the temperature."""
    model = gr.Dropdown(
        menu(),
        value=first.key,
        label="Model",
        scale=3,
        min_width=170,
        allow_custom_value=True,
        elem_id="steps-model",
    )
    prompt = gr.Textbox(
        usual_prompt(first),
        label="Begin with",
        max_length=128,
        max_lines=1,
        scale=3,
        min_width=170,
        elem_id="steps-prompt",
    )
    samplers = gr.Dropdown(
        offered(first),
        value=offered(first)[:1],
        multiselect=True,
        max_choices=MOST,
        label="Samplers (up to three)",
        elem_id="steps-samplers",
        scale=3,
        min_width=190,
    )
    seed = gr.Number(OPENING["seed"], label="Seed", precision=0, minimum=0, min_width=80)
    temperature = gr.Number(
        usual_temperature(first),
        minimum=0,
        maximum=2,
        step=0.05,
        label="Temperature",
        elem_id="steps-temperature",
        min_width=100,
    )
    return [model, prompt, samplers, seed, temperature]


def offered(model: Model) -> list[str]:
    """The samplers of a model."""
    return column(PROCESSES[model.process])


def changed(session: Session, name: str, samplers, seed, temperature, prompt) -> tuple:
    """The model menu, the sampler menu, the temperature, the prompt and the first view of another
    model; what the visitor has set stays, and marks that view."""
    with refusals():
        model, _ = open_model(look_up(name, session, writes), session)
        view = first_view(model)
    names, models = offered(model), gr.update(choices=menu(session.local_models()), value=model.key)
    if temperature in (1.0, DEFAULTS["temperature"]):
        temperature = usual_temperature(model)
    if prompt in ("", OPENING["prompt"]):
        prompt = usual_prompt(model)
    usual = OPENING["seed"], usual_temperature(model), usual_prompt(model)
    stale = bool(view["cards"]) and (seed, temperature, prompt) != usual
    samplers = gr.Dropdown(choices=names, value=names[:1])
    return models, samplers, temperature, prompt, view | {"stale": stale}


def usual_temperature(model: Model) -> float:
    """The page's; of a perfect network 1, at which it knows its language exactly."""
    return 1.0 if is_perfect(model.key) else DEFAULTS["temperature"]


def usual_prompt(model: Model) -> str:
    """The page's; of a perfect network none, since all of its text is measured."""
    return "" if is_perfect(model.key) else OPENING["prompt"]


# ---------------------------------------------------------------- what the panel shows


def first_view(model: Model) -> dict:
    """The panel before anything was run: the recorded cards and the bundled curves."""
    cards = recorded(model)
    return panel_of(model, cards, [], recording.caption("steps") if cards else "")


def recorded(model: Model) -> list[dict]:
    """The cards that are recorded of a model."""
    return recording.load("steps").get("cards", {}).get(model.key, [])


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
        status = f"Being written: {named}, {len(cards) + 1} of {every}."
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
    return SAMPLERS[sampler].different(process, Canvas.blank(length(model, process)), LOOKS)


def panel_of(model: Model, cards: list[dict], run: list[dict], status: str) -> dict:
    """Everything that the panel draws. cards: those to show; run: those that the visitor's run has
    made so far."""
    return dict(
        family=model.process,
        about=LEGEND,
        cards=list(cards),
        status=status,
        **pictures(model, run),
    )


LEGEND = (
    "Smooth sentences: those in which a second model (the judge) stumbles over no word, whether "
    "they fit together or not; it stumbles over real text too, but less. How odd a text is to it, "
    "in bits a character: lower is better. Pale are the words that it stumbles over, and those in "
    "no dictionary."
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
    run = run or recorded(model)
    note = (
        "In colour: the texts above. Grey: the bundled models, means of several texts at "
        "temperature 1. One text alone scatters around such a mean, and a colder one is likelier."
    )
    missing = (
        "The bundled checkpoints were not evaluated yet, so the curve is of the texts below alone."
    )
    return dict(
        pictures=[
            picture("bits", ODD, model, run),
            picture("words", WORDS, model, run),
        ],
        note=" ".join(filter(None, (note if known_curves else missing, SAID_ITSELF * told))),
    )


ODD = "how odd to the judge, bits a character"


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
    curves = card_curves(run or recorded(model), "divergence", model.process)
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
    found = ((known, measured(known, what)) for known in families.cards_of(corpus))
    return [
        plots.Curve(known.path.name, *points(rows, what), "faded", heavy=False)
        for known, rows in found
        if rows
    ]


def own_curves(what: str, model: Model) -> list[plots.Curve]:
    """The first sampler's curve in the evaluation of a checkpoint that is not bundled."""
    known = catalogue.card_of(model.key) if catalogue.brings_card(model.key) else None
    rows = measured(known, what) if known else []
    return [plots.Curve(ITSELF, *points(rows, what), model.process, heavy=False)] if rows else []


def measured(known: Card, what: str) -> list[dict]:
    """The rows of an evaluation that have a figure, of the first sampler that has one."""
    evaluation = known.evaluation
    rows = [
        row
        for row in [*evaluation.get("steps", []), *evaluation.get("single", [])]
        if row.get(what) is not None
    ]
    return [row for row in rows if row["sampler"] == rows[0]["sampler"]]


# ---------------------------------------------------------------- the recording


def record() -> None:
    """Write the first views: the cards of every model, each with its first sampler and the page's
    defaults, and the sheet of seeds of the first."""
    cards = {}
    for key, model in catalogue.models().items():
        usual = offered(model)[:1], OPENING["seed"], usual_temperature(model), usual_prompt(model)
        plan = read_fields(Session(), key, *usual)
        cards[key] = [card(request, Job()) for request in plan.requests]
    recording.save("steps", {"cards": cards, "sheet": sheet.recorded_anew()}, cards)


TAB = Tab(
    "steps",
    "Steps",
    build=build,
    read=read_fields,
    run=write,
    parts=lambda plan: plan.requests,
    record=record,
)
