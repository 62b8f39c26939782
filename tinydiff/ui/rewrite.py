"""The tab Tasks: a source goes in; what is written from it (its translation, another wording, a
summary, a reply, the line in print) comes out beside it, several times, and one is chosen.

The source is given and the target is written. All candidates are rows of one batch, so that a step
costs one call; the player shows the first of them. Candidates for a source whose target is known
are compared with it, and of what is translated the words of the source are drawn on which those of
the target rest. The first view is recorded by `python -m tinydiff.ui.recordings rewrite`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import gradio as gr
from torch import Tensor

from tinydiff import rewrite as rewriting
from tinydiff import runs
from tinydiff.frames import Frame
from tinydiff.generate import check_number, check_sampler
from tinydiff.measure.alignment import alignment, words_of
from tinydiff.processes import PROCESSES, Process
from tinydiff.rewrite import (
    MOST,
    SEEDS,
    STEPS,
    SURER,
    USUAL,
    character_error_rate,
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
from tinydiff.text import Canvas, plain
from tinydiff.text.pairs import end_of
from tinydiff.text.tasks import canvas_of as canvas_of_task
from tinydiff.text.tasks import names_of
from tinydiff.text.tasks import written as written_of_task
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
from tinydiff.ui.tasks import (
    EXAMPLES,
    RESTORE,
    TRANSLATE,
    able,
    check_task,
    choices,
    examples,
    first_model,
    is_example,
    known,
    room,
    said,
    tasks_of,
)
from tinydiff.ui.writing import pictures

LONGEST = 1000  # characters that are looked at, before what has no place in a source is taken out
DRAWN = 16  # words of a source, and of a target, whose influence is drawn
SEED = 7


# ---------------------------------------------------------------- the tab


def offered() -> bool:
    """Is there a model for this tab?"""
    return bool(catalogue.rewriters())


ABOUT = (
    "A small model writes its answer everywhere at once, beside your words, which no noise touches "
    "(DiffuSeq). It has read short sentences and children's stories: expect mistakes, and nonsense "
    "for anything else."
)


class Chips(gr.Radio):
    """A choice that holds others when another field changes. What the page sends may be of those
    before, so who reads it looks whether it fits."""

    def preprocess(self, payload):
        return payload

    def get_block_name(self) -> str:
        return "radio"


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    first = first_model()
    model_, last = catalogue.rewriters()[first], recorded(first)
    task_ = tasks_of(model_.task)[0]
    gr.Markdown(ABOUT)
    task = Chips(
        choices(model_.task),
        value=task_,
        label="Task",
        elem_id="rewrite-task",
        elem_classes="td-chips tr-tasks",
    )
    with gr.Row(elem_classes="tt-controls"):
        words = gr.Textbox(
            examples(first, model_, task_)[0],
            label="Your words",
            max_lines=6,
            scale=5,
            elem_id="rewrite-words",
            min_width=280,
            info=asks(first, task_),
        )
        go = gr.Button("Write", variant="primary", elem_id="rewrite-run", min_width=120)
    offers = gr.Dataset(
        components=[words],
        samples=samples(first, model_, task_),
        type="index",
        label="Sentences that no model was trained on",
        elem_id="rewrite-examples",
    )
    with gr.Accordion("More", open=False, elem_classes="td-more tr-more"):
        model, *rest = build_settings(first)
    stale_line(TAB.name)
    player = Player(last.get("player"), elem_id="rewrite-player", elem_classes=["tr-player"])
    panel = Panel("rewrite", last.get("sheet") or blank())
    connect(site, task, words, offers, [model, *rest])
    starts, fields = [go.click, words.submit], [model, words, *rest, task]
    run = TAB.wire(site, starts, fields, [player, panel], player.stop)
    filled = offers.click(filled_in, [site.session, model, task, offers], words, **QUICK)
    filled.success(None, None, None, js=asked_js(TAB.name))
    TAB.line_up(site, filled.success(**run | {"api_name": "run_rewrite_example"}))
    gr.api(rewrite, api_name="rewrite", concurrency_id="sample", concurrency_limit=2)


def build_settings(first: str) -> list:
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
    return [model, sampler, steps, count, temperature, seed]


def slider(label: str, low: float, high: float, value: float, step: float) -> gr.Slider:
    name = f"rewrite-{label.lower()}"
    return gr.Slider(low, high, value, step=step, label=label, elem_id=name, min_width=150, scale=2)


def connect(site: Site, task: Chips, words: gr.Textbox, offers: gr.Dataset, settings: list) -> None:
    """What fields do to each other."""
    model, sampler, steps, *_ = settings
    here = [site.session, model, task, words]
    changed = [model, sampler, steps, task, words, offers]
    model.input(model_chosen, here, changed, **QUIET, **HUB_QUEUE)
    task.input(task_chosen, here, [words, offers], **QUICK)
    site.offer(in_menus(model, of=Session.rewriters), [model])
    sampler.input(sampler_chosen, sampler, steps, **QUICK)


def model_chosen(session: Session, name: str, task: str = "", words: str = "") -> tuple:
    """Another model: the models to choose from, its samplers, its tasks with the one that was
    chosen where it knows that, and what `task_chosen` fills in."""
    with refusals():
        model, process = open_rewriter(look_up(name, session, rewrites), session)
    models = gr.update(choices=models_menu(session.rewriters()), value=model.key)
    names = tasks_of(model.task)
    task = task if task in names else names[0]
    chips = gr.update(choices=choices(model.task), value=task)
    filled = task_chosen(session, model.key, task, words)
    return models, gr.update(**menu(process.name)), gr.update(visible=True), chips, *filled


def task_chosen(session: Session, key: str, task: str, words: str) -> tuple[dict, dict]:
    """Another task: its first example in the place of another one, what the field asks for, and all
    its examples. What visitors typed stays."""
    with refusals():
        model, _ = open_rewriter(key, session)
        task = check_task(model, task)
        some = examples(model.key, model, task)
        typed = isinstance(words, str) and words.strip() and not is_example(words, model.key)
        field = {} if typed else {"value": some[0]}
        field = gr.update(info=asks(model.key, task), **field)
    return field, gr.update(samples=samples(model.key, model, task))


def filled_in(session: Session, key: str, task: str, place: object) -> str:
    """The example at a place."""
    with refusals():
        model, _ = open_rewriter(key, session)
        some = examples(model.key, model, check_task(model, task))
        check_number("example", place, 0, len(some) - 1, whole=True)
        return some[place]


def samples(key: str, model: Model, task: str) -> list[list[str]]:
    """The examples as a Dataset has them."""
    return [[source] for source in examples(key, model, task)][:EXAMPLES]


def asks(key: str, task: str) -> str:
    """What is said under the field."""
    process = catalogue.open_model(key)
    return f"{said(task).asks} Up to {room(process)} {process.tokenizer.unit}."


def rewrites(model: Model) -> bool:
    """Does it write from a source?"""
    return bool(model.task)


def open_rewriter(name: object, session: Session | None = None) -> tuple[Model, Process]:
    """A model that writes from a source: a bundled one by its name, or a checkpoint of the Hub, as
    `open_model` opens it. Raises ValueError."""
    name, there = runs.text("model", name).strip(), catalogue.rewriters()
    if name not in there and not catalogue.of_hub(name):
        raise ValueError(
            f"There is no model {brief(name)}; there are {', '.join(there)}, and any checkpoint of "
            "the Hub that rewrites, as user/name."
        )
    model, process = opened_among(name, there, session)
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


# ---------------------------------------------------------------- a run


def read(
    model: str,
    words: str,
    sampler: str | None,
    steps: int,
    candidates: int,
    temperature: float,
    seed: int,
    task: str = "",
    session: Session | None = None,
) -> Request:
    """Check everything; the source is the request's prompt, the candidates are the rows of its
    canvas. Raises gr.Error in one sentence."""
    with refusals():
        if not isinstance(words, str) or len(words) > LONGEST:
            raise ValueError(f"Give a line of words, {LONGEST:,} characters at the most.")
        check_number("candidates", candidates, 1, MOST, whole=True)
        numbers = dict(steps=steps, temperature=temperature, seed=seed)
        numbers = {name: number(name, value) for name, value in numbers.items()}
        chosen, process = open_rewriter(model, session)
        task = check_task(chosen, task)
        source = plain(words) if task == RESTORE else " ".join(words.split())
        named = dict(
            model=chosen.key, process=process.name, sampler=check_sampler(process, sampler).name
        )
        canvas = canvas_of(process, task, source, int(candidates))
        asked = dict(task=task, prompt=source, length=canvas.tokens.shape[1])
        request = Request(defaults() | named | numbers | asked, process, canvas)
        cost.check([cost.of(request)])
    return request


def canvas_of(process: Process, task: str, source: str, rows: int) -> Canvas:
    """The source given in each of the rows, with the task where the model knows several."""
    if names_of(process.task):
        return canvas_of_task(process.tokenizer, task, [source] * rows, process.length)
    return rewriting.canvas_of(process.tokenizer, [source] * rows, process.length)


def read_fields(session: Session, *values) -> Request:
    """What the widgets of the page ask for."""
    return read(*values, session=session)


def rewrite(
    words: str,
    model: str = "",
    steps: int = USUAL,
    candidates: int = SEEDS,
    temperature: float = SURER,
    seed: int = SEED,
    task: str = "",
) -> dict:
    """Write targets for a source: every candidate, its mean distance to the others, and which is
    nearest to them. Without a task the first one of the model, without a model the first one that
    knows the task."""
    key = model or (task and able(task)) or first_model()
    *_, (_, panel) = TAB.alone(read(key, words, None, steps, candidates, temperature, seed, task))
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
        title=shown_of(len(request.canvas.tokens)),
        source=dict(
            text=settings["prompt"],
            name=said(settings["task"]).title,
            above=process.tokenizer.kind == "characters",
        ),
    )
    status = "Every candidate is being written; the first is shown."
    for value in render.stream(target(request, wire, frames(request, job)), wire):
        yield value, panel_of(request, [], status)
    if not job.replaced:
        stopped = job.notice or "Stopped: there is nothing to compare."
        found = [] if job.ended else written(request, job.frame.tokens)
        panel = panel_of(request, found, stopped if job.ended else "")
        yield wire.value(done=True, stats=stats(wire.end), stopped=job.ended), panel


def shown_of(candidates: int) -> str:
    """What stands over the text that is written before the visitor's eyes."""
    if candidates == 1:
        return "The answer"
    return f"Candidate 1 of {candidates}; the chosen one is marked below"


def target(request: Request, wire: render.Wire, frames: Iterator[Frame]) -> Iterator:
    """The pictures of the target alone, which ends at its first END."""
    canvas, cut = request.canvas, request.process.tokenizer
    first, stop = int(canvas.given[0].sum()), canvas.tokens.shape[1]
    end = cut.end_id if names_of(request.process.task) else end_of(cut)
    alone = replace(request, canvas=canvas.slice(first, stop))
    for picture in pictures(alone, wire, (behind(frame, first) for frame in frames)):
        if picture.scene:
            kept = {name: value for name, value in picture.scene.items() if name != "between"}
            picture = replace(picture, scene=kept | {"end": cut.signs[end]})
        yield picture


def behind(frame: Frame, first: int) -> Frame:
    """A frame from one column on."""
    parts = {name: value for name, value in vars(frame).items() if isinstance(value, Tensor)}
    before = behind(frame.before, first) if frame.before else None
    return replace(frame, before=before, **{name: v[:, first:] for name, v in parts.items()})


def written(request: Request, tokens: Tensor) -> list[str]:
    """The targets of the rows, up to their END."""
    process = request.process
    if names_of(process.task):
        return written_of_task(process.tokenizer, request.canvas, tokens)
    return targets(process.tokenizer, tokens)


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
    return dict(family="", rows=[], status="No line yet: press “Write”.")


def panel_of(request: Request, candidates: list[str], status: str) -> dict:
    """Everything that the panel draws: the candidates and, where they are known, the target and how
    far each is from it; and on what the words of the chosen one rest."""
    settings, rows, aligned = request.settings, [], None
    if candidates:
        apart = risks(candidates)
        best = apart.index(min(apart))
        rows = rows_of(settings, candidates, apart, best)
        aligned = aligned_of(request, candidates[best])
    return dict(
        family=request.process.name,
        rows=rows,
        status=status,
        about=about(len(candidates), rows) if rows else "",
        aligned=aligned,
        prose=bool(names_of(request.process.task)),
    )


def rows_of(settings: dict, candidates: list[str], apart: list[float], best: int) -> list[dict]:
    """The lines of the panel. Characters are counted where a line is restored, which is nearly
    determined; a sentence has many translations."""
    task, source = settings["task"], settings["prompt"]
    truth = known(settings["model"], task).get(source)
    counted = truth if task == RESTORE else None
    rows = []
    for i, text in enumerate(candidates):
        mark = "nearest to the others" if i == best and len(candidates) > 1 else ""
        rows.append(row(f"candidate {i + 1}", text, counted, mark, apart[i]))
    rows += [row("your words as they are", source, counted)] if task == RESTORE else []
    return rows + ([row(said(task).truth, truth, counted)] if truth else [])


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


def about(candidates: int, rows: list[dict]) -> str:
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
        if any(row["errors"] is not None for row in rows)
        else ""
    )


def aligned_of(request: Request, text: str) -> dict | None:
    """The words of a source and of its translation, and how many nats the bet for each of the
    latter falls by without each of the former; None where nothing is translated, and for more words
    than can be drawn."""
    process, settings = request.process, request.settings
    task, source, cut = settings["task"], settings["prompt"], process.tokenizer
    if not task.startswith(TRANSLATE) or not names_of(process.task) or not text:
        return None
    if max(len(words_of(cut, cut.encode(side), 0)) for side in (source, text)) > DRAWN:
        return None
    try:
        found = alignment(process, task, source, text)
    except ValueError:  # cut again it does not fit, or is other tokens
        return None
    falls = [[round(fall, 2) for fall in falls] for falls in found.influence.tolist()]
    return dict(source=found.source, target=found.target, falls=falls)


# ---------------------------------------------------------------- the first view


def recorded(key: str) -> dict:
    """The recorded view, {} where that is of another model."""
    last = recording.load("rewrite")
    settings = last.get("player", {}).get("head", {}).get("settings", {})
    return last if settings.get("model") == key and key not in catalogue.GUESTS else {}


def record() -> None:
    """Write the first view: the first example of the first task."""
    key = first_model()
    model = catalogue.rewriters()[key]
    task = tasks_of(model.task)[0]
    source, sampler = examples(key, model, task)[0], menu(model.process)["value"]
    request = read(key, source, sampler, USUAL, SEEDS, SURER, SEED, task)
    *_, (value, panel) = TAB.alone(request)
    recording.save("rewrite", {"player": value, "sheet": panel}, [key])


TAB = Tab(
    "rewrite",
    "Tasks",
    build=build,
    read=read_fields,
    run=write,
    again=again,
    offered=offered,
    record=record,
    refused=lambda value: (value, gr.skip()),
)
