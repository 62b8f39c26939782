"""The tab Rewrite: plain words go in, a line as it would be printed comes out beside them, several
times, and one is chosen.

The canvas is a window of the model's: its first half holds the words and is given, its second is
written. All candidates are rows of one batch, so that a step costs one call; the player shows the
first of them. Words whose printed line is known (the examples of the checkpoints' evaluations) are
compared with it. The first view is recorded by
`python -m tinydiff.ui.recordings rewrite`.
"""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from tinydiff import runs
from tinydiff.generate import check_number, check_sampler
from tinydiff.processes import PROCESSES, Process
from tinydiff.rewrite import (
    MOST,
    SEEDS,
    STEPS,
    SURER,
    USUAL,
    canvas_of,
    character_error_rate,
    mbr,
    risks,
    targets,
    usual_sampler,
)
from tinydiff.runs import Request, defaults
from tinydiff.samplers import SAMPLERS, column
from tinydiff.sentences import brief
from tinydiff.show import render
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.text import plain
from tinydiff.ui import cost, recording
from tinydiff.ui.errors import one_of, refusals
from tinydiff.ui.player import Player, curves
from tinydiff.ui.request import frames, look_up, number, opened_among
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import (
    HUB_QUEUE,
    QUICK,
    QUIET,
    Panel,
    Site,
    Tab,
    asked_js,
    in_menus,
    spaced,
    stale_line,
)
from tinydiff.ui.tab import menu as models_menu
from tinydiff.ui.writing import pictures

WORDS = "to be or not to be that is the question"
LONGEST = 500  # characters that are looked at, before what has no place in a source is taken out
EXAMPLES = 6
SEED = 7


# ---------------------------------------------------------------- the tab


def offered() -> bool:
    """Is there a model for this tab?"""
    return bool(catalogue.rewriters())


ABOUT = (
    "A source is given, a target is written beside it (DiffuSeq). These models learned to give a "
    "line back its capitals and its punctuation: the words stand in the first row and are never "
    "noised, the line appears in the second, everywhere at once."
)


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    first, last = next(iter(catalogue.rewriters())), recording.load("rewrite")
    last = {} if first in catalogue.GUESTS else last
    gr.Markdown(ABOUT)
    with gr.Row(elem_classes="tt-controls"):
        words = gr.Textbox(
            WORDS,
            label="Your words",
            max_lines=2,
            scale=5,
            elem_id="rewrite-words",
            min_width=280,
            info=f"Up to {room(first)} characters. Capitals and punctuation are taken out before "
            "they are given.",
        )
        go = gr.Button("Rewrite", variant="primary", elem_id="rewrite-run", min_width=120)
    model, *rest = build_settings(site, first)
    stale_line(TAB.name)
    examples = gr.Examples(
        [[source] for source in known_lines()][:EXAMPLES] or [[WORDS]],
        [words],
        elem_id="rewrite-examples",
        label="Lines that no model was trained on",
        api_visibility="private",
    )
    player = Player(last.get("player"), elem_id="rewrite-player", elem_classes=["tr-player"])
    panel = Panel("rewrite", last.get("sheet") or blank())
    starts, fields = [go.click, words.submit], [model, words, *rest]
    run = TAB.wire(site, starts, fields, [player, panel], player.stop)
    examples.load_input_event.success(None, None, None, js=asked_js(TAB.name))
    TAB.line_up(
        site, examples.load_input_event.success(**run | {"api_name": "run_rewrite_example"})
    )
    gr.api(rewrite, api_name="rewrite", concurrency_id="sample", concurrency_limit=2)


def build_settings(site: Site, first: str) -> list:
    """Model, sampler, steps, candidates, temperature and seed."""
    with gr.Row(elem_classes="tt-controls"):
        model = gr.Dropdown(
            models_menu(catalogue.rewriters()),
            value=first,
            label="Model",
            elem_id="rewrite-model",
            min_width=190,
            allow_custom_value=True,
            info="Or a Hub id.",
        )
        sampler = gr.Dropdown(
            **menu(process_of(first)), label="Sampler", elem_id="rewrite-sampler", min_width=150
        )
        steps = gr.Dropdown(
            list(STEPS), value=USUAL, label="Steps", elem_id="rewrite-steps", min_width=90
        )
        count = slider("Candidates", 1, MOST, SEEDS, 1)
        temperature = slider("Temperature", 0, 2, SURER, 0.05)
        seed = gr.Number(
            SEED, label="Seed", precision=0, minimum=0, elem_id="rewrite-seed", min_width=90
        )
    chosen = [site.session, model]
    model.input(model_chosen, chosen, [model, sampler, steps], **QUIET, **HUB_QUEUE)
    site.offer(in_menus(model, of=Session.rewriters), [model])
    sampler.input(sampler_chosen, sampler, steps, **QUICK)
    return [model, sampler, steps, count, temperature, seed]


def slider(label: str, low: float, high: float, value: float, step: float) -> gr.Slider:
    name = f"rewrite-{label.lower()}"
    return gr.Slider(low, high, value, step=step, label=label, elem_id=name, min_width=150, scale=2)


def model_chosen(session: Session, name: str) -> tuple:
    """Another model: the models to choose from, and its samplers."""
    with refusals():
        model, process = open_rewriter(look_up(name, session, rewrites), session)
    models = gr.update(choices=models_menu(session.rewriters()), value=model.key)
    return models, gr.update(**menu(process.name)), gr.update(visible=True)


def rewrites(model: Model) -> bool:
    """Does it rewrite lines?"""
    return bool(model.task)


def open_rewriter(name: object, session: Session | None = None) -> tuple[Model, Process]:
    """A model that rewrites: a bundled one by its name, or a checkpoint of the Hub, as `open_model`
    opens it. Raises ValueError."""
    name, known = runs.text("model", name).strip(), catalogue.rewriters()
    if name not in known and not catalogue.of_hub(name):
        raise ValueError(
            f"There is no model {brief(name)}; there are {', '.join(known)}, and any checkpoint of "
            "the Hub that rewrites, as user/name."
        )
    model, process = opened_among(name, known, session)
    if not process.task:
        raise ValueError(
            f"The model {brief(name)} writes plain text and was not trained to rewrite: play it in "
            "the tab Watch."
        )
    return model, process


def process_of(key: str) -> str:
    """The process of a model of this copy, by name."""
    return catalogue.rewriters()[key].process


def sampler_chosen(name: str) -> dict:
    """Has the sampler a number of steps?"""
    return gr.update(visible=SAMPLERS[one_of("sampler", name, SAMPLERS)].steps_matter)


def menu(process: str) -> dict:
    """The sampler menu of a process, by name."""
    names = column(PROCESSES[process])
    return dict(choices=[(spaced(name), name) for name in names], value=usual_sampler(names))


def room(key: str) -> int:
    """Characters that a source may have."""
    return catalogue.open_model(key).length // 2 - 1


def lines_of(model: str) -> dict[str, str]:
    """The same from the evaluation that a checkpoint of the Hub, or a guest, brought."""
    card = catalogue.card_of(model) if catalogue.brings_card(model) else None
    samples = card.evaluation.get("samples", []) if card else []
    return {row["source"]: row["truth"] for row in samples}


def known_lines() -> dict[str, str]:
    """Sources of the validation text with their printed lines, from the evaluations of the bundled
    checkpoints."""
    keys = [key for key in catalogue.rewriters() if key not in catalogue.GUESTS]
    cards = [catalogue.card_of(key) for key in keys]
    return {
        row["source"]: row["truth"] for card in cards for row in card.evaluation.get("samples", [])
    }


# ---------------------------------------------------------------- a run


def read(
    model: str,
    words: str,
    sampler: str | None,
    steps: int,
    candidates: int,
    temperature: float,
    seed: int,
    session: Session | None = None,
) -> Request:
    """Check everything; the source is the request's prompt, the candidates are the rows of its
    canvas. Raises gr.Error in one sentence."""
    with refusals():
        if not isinstance(words, str) or len(words) > LONGEST:
            raise ValueError(f"Give a line of words, {LONGEST} characters at the most.")
        check_number("candidates", candidates, 1, MOST, whole=True)
        numbers = dict(steps=steps, temperature=temperature, seed=seed)
        numbers = {name: number(name, value) for name, value in numbers.items()}
        (chosen, process), source = open_rewriter(model, session), plain(words)
        named = dict(
            model=chosen.key, process=process.name, sampler=check_sampler(process, sampler).name
        )
        canvas = canvas_of(process.tokenizer, [source] * int(candidates), process.length)
        whole = defaults() | named | numbers | dict(prompt=source, length=process.length)
        request = Request(whole, process, canvas)
        cost.check([cost.of(request)])
    return request


def read_fields(session: Session, *values) -> Request:
    """What the widgets of the page ask for."""
    return read(*values, session)


def rewrite(
    words: str,
    model: str = "",
    steps: int = USUAL,
    candidates: int = SEEDS,
    temperature: float = SURER,
    seed: int = SEED,
) -> dict:
    """Write lines for plain words: every candidate, its mean distance to the others, and which is
    nearest to them."""
    key = model or next(iter(catalogue.rewriters()), "")
    *_, (_, panel) = TAB.alone(read(key, words, None, steps, candidates, temperature, seed))
    return panel


def write(request: Request, job: Job) -> Iterator[tuple[dict, dict]]:
    """Player and panel while the target is written; at last all candidates, compared."""
    settings, process = request.settings, request.process
    wire = render.Wire(
        settings["steps"] + 1,
        process.V,
        settings=settings,
        family=process.name,
        curves=curves(process),
    )
    status = "Every candidate is being written; the first is shown."
    for value in render.stream(pictures(request, wire, frames(request, job)), wire):
        yield value, panel_of(request, [], status)
    if not job.replaced:
        stopped = job.notice or "Stopped: there is nothing to compare."
        found = [] if job.ended else targets(process.tokenizer, job.frame.tokens)
        panel = panel_of(request, found, stopped if job.ended else "")
        yield wire.value(done=True, stats=stats(wire.end), stopped=job.ended), panel


def again(request: Request, job: Job, made: list) -> tuple[dict, dict]:
    """Player and panel of an earlier run of the same words."""
    value, panel = made
    return value | {"run": render.fresh_run()}, panel


def stats(end: render.Picture) -> list[list[str]]:
    """The line under the text: name, value, nothing to compare it with."""
    calls = max(1, end.calls)
    return [["calls", f"{end.calls:,}", ""], ["a call", f"{1000 * end.seconds / calls:.1f} ms", ""]]


# ---------------------------------------------------------------- the panel


def blank() -> dict:
    """The panel before anything was run or recorded."""
    return dict(family="", rows=[], status="No line yet: press “Rewrite”.", about="")


def panel_of(request: Request, candidates: list[str], status: str) -> dict:
    """Everything that the panel draws: the candidates, the words as they are, and the printed line
    where it is known."""
    source = request.settings["prompt"]
    known, rows = lines_of(request.settings["model"]) | known_lines(), []
    truth = known.get(source)
    if candidates:
        best, apart = mbr(candidates), risks(candidates)
        for i, text in enumerate(candidates):
            mark = "nearest to the others" if i == best and len(candidates) > 1 else ""
            rows.append(row(f"candidate {i + 1}", text, truth, mark, apart[i]))
        rows += [row("your words as they are", source, truth)]
        rows += [row("in print", truth, truth)] if truth else []
    return dict(
        family=request.process.name,
        rows=rows,
        status=status,
        about=about(len(candidates), truth) if rows else "",
    )


def row(
    name: str, text: str, truth: str | None, mark: str = "", apart: float | None = None
) -> dict:
    """A line of the panel. apart: its mean distance to the other candidates; errors: where the
    truth is known."""
    return dict(
        name=name,
        text=text,
        mark=mark,
        apart=apart,
        errors=None if truth is None else character_error_rate([text], [truth]),
    )


def about(candidates: int, truth: str | None) -> str:
    """What the columns are."""
    apart = (
        (
            "Apart: characters to change to make another candidate of it, on average over "
            "the others; the one with the fewest is "
            "chosen (minimum Bayes risk)."
        )
        if candidates > 1
        else "One candidate alone leaves nothing to choose."
    )
    return apart + (
        " Errors: characters to change to make the printed line of it, over its length."
        if truth
        else ""
    )


def record() -> None:
    """Write the first view: the first line that is known in print."""
    source = next(iter(known_lines()), WORDS)
    model = next(iter(catalogue.rewriters()))
    request = read(model, source, menu(process_of(model))["value"], USUAL, SEEDS, SURER, SEED)
    *_, (value, panel) = TAB.alone(request)
    recording.save("rewrite", {"player": value, "sheet": panel}, [model])


TAB = Tab(
    "rewrite",
    "Rewrite",
    build=build,
    read=read_fields,
    run=write,
    again=again,
    offered=offered,
    record=record,
    refused=lambda value: (value, gr.skip()),
)
