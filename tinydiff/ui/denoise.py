"""The first tab: one text, written before one's eyes.

A run streams to the player as it is made; what it showed last is kept for the visitor's downloads.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import torch

from tinydiff import runs
from tinydiff.frames import Frame
from tinydiff.measure import evaluate
from tinydiff.nets.memory import keep_some_freed
from tinydiff.paths import ASSETS
from tinydiff.processes import PROCESSES, Process
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS, Range, column
from tinydiff.schedules import GRIDS
from tinydiff.show import export, render
from tinydiff.store import catalogue, hub
from tinydiff.store.catalogue import Model
from tinydiff.text import Tokenizer
from tinydiff.ui import recording, steering
from tinydiff.ui.errors import one_of, refusal, refusals
from tinydiff.ui.player import Player, curves
from tinydiff.ui.request import (
    LIMITS,
    OPENING,
    STEPS,
    frames,
    from_query,
    open_model,
    origin,
    query,
    read,
)
from tinydiff.ui.session import Job, Session
from tinydiff.ui.steering import shown
from tinydiff.ui.tab import HUB_QUEUE, QUICK, QUIET, SAMPLE, Site, Tab, first_model, spaced
from tinydiff.uncertainty import percent

EXAMPLE = ASSETS / "example.json"
FIELDS = (
    "noise",
    "model",
    "sampler",
    "steps",
    "length",
    "seed",
    "mode",
    "prompt",
    "template",
    "spacing",
)  # and then those of steering.py, and the options of all samplers
PROMPT, TEMPLATE = "starts with", "fill the blanks"
BLANKS = "Lily found a ␣␣␣ in the garden. She ␣␣␣␣ and ran home."  # with ␣ to copy
BUNDLED, HUB = "bundled", "Hub id"
HUB_INFO = "A checkpoint, or a repository of several, that anybody made; nothing in it is run."

keep_some_freed()
# two visitors share two cores; threads that wait for each other cost more than they bring
torch.set_num_threads(1)


# ---------------------------------------------------------------- a run


def write(request: Request, job: Job) -> Iterator[dict]:
    """Values for the player while the text is written; the last one is done and holds the
    numbers."""
    wire = wire_for(request)
    for value in render.stream(pictures(request, wire, frames(request, job)), wire):
        job.kept = value
        yield value
    if not job.replaced:
        said = {"said": job.notice} if job.late else {}
        numbers = stats(wire.end, request.process)
        job.kept = wire.value(done=True, stats=numbers, stopped=job.ended, **said)
        yield job.kept


def wire_for(request: Request) -> render.Wire:
    settings, process = request.settings, request.process
    return render.Wire(
        settings["steps"] + 1,
        process.V,
        settings=settings,
        query=query(settings),
        family=process.name,
        curves=curves(process),
    )


def pictures(
    request: Request, wire: render.Wire, frames: Iterator[Frame]
) -> Iterator[render.Picture]:
    """The pictures of a run; the wire hears how many there will be."""

    def counted():
        for frame in frames:
            wire.total = frame.steps + 1
            yield frame

    return render.record(request.process, request.canvas, counted())


def stats(end: render.Picture, process: Process) -> list[list[str]]:
    """The line under the text that `process` wrote: name, value, and what it is to be compared
    with."""
    calls, seconds = max(1, end.calls), max(1e-9, end.seconds)
    fresh = "".join(sign for sign, given in zip(end.text, end.given) if not given)
    text = render.spelled(end.text, process.tokenizer)
    written = len(render.spelled(fresh, process.tokenizer).replace(render.MASK, ""))
    rows = [
        ["calls", f"{end.calls:,}", ""],
        ["a call", f"{1000 * seconds / calls:.1f} ms", ""],
        ["speed", f"{written / seconds:,.0f} characters/s", ""],
    ]
    return rows if render.MASK in end.text else rows + judged(text, process)


def judged(text: str, process: Process) -> list[list[str]]:
    """What others say of a text; nothing of one that another text was learned for than the
    judge's."""
    quality = evaluate.judged([text], process)
    real = catalogue.real_text(process.corpus)
    ends = catalogue.yardsticks(process.corpus)
    rows = []
    if quality.bits is not None:
        rows.append(
            [
                "judge",
                f"{quality.bits:.2f} bits/character",
                f"real text {real['bits']:.2f}" if "bits" in real else "",
            ]
        )
    if quality.words is not None:
        good, long = evaluate.word_counts(text, catalogue.words(process.corpus))
        scale = (
            f"letters in pairs {percent(ends['pairs']['words'])}, real text "
            f"{percent(ends['real']['words'])}"
            if ends
            else ""
        )
        rows.append(["real words", f"{good} of {long} long ones", scale])
    return rows


# ---------------------------------------------------------------- the recorded run


def example() -> dict:
    """The run that plays at load, as one value for the player; under the text it says so where the
    same seed would not make it again here.
    """
    value, said = json.loads(EXAMPLE.read_text("utf-8")), recording.caption("example")
    return value | {"stats": [*value["stats"], ["recorded", said, ""]]} if said else value


def record_example(path: Path = EXAMPLE) -> None:
    """Write the opening run as the one that plays at load."""
    *_, value = TAB.alone(read({}))
    # playing it leaves the address alone
    head = {name: part for name, part in value["head"].items() if name != "query"}
    value = {**value, "run": 0, "head": head}
    recording.save("example", value, [OPENING["model"]], path)


def on_player(session: Session) -> dict:
    """The run on the player: the visitor's own, or the recorded one."""
    return session.kept(TAB.name) or example()


# ---------------------------------------------------------------- what the menus hold


def noises(models: dict[str, Model]) -> list[tuple[str, str]]:
    """In the order of the models, beginning with the one that the page opens with."""
    names = dict.fromkeys(model.process for model in models.values())
    first = models[OPENING["model"]].process if OPENING["model"] in models else ""
    return [(PROCESSES[name].title, name) for name in sorted(names, key=lambda name: name != first)]


def models_of(process: str, models: dict[str, Model]) -> list[tuple[str, str]]:
    return [(model.title, key) for key, model in models.items() if model.process == process]


def options() -> list[tuple[str, str]]:
    """Every (sampler, option) there is."""
    return [(s.name, option) for s in SAMPLERS.values() for option in s.options]


def own_options(sampler: str, values: tuple) -> dict[str, float | str]:
    """From the values of all option widgets, those of one sampler."""
    return {
        option: value
        for (name, option), value in zip(options(), values)
        if name == sampler and value is not None
    }


# ---------------------------------------------------------------- handlers


def raw_settings(
    model, sampler, steps, length, seed, mode, prompt, template, spacing, *more
) -> dict:
    """The values of the widgets under the names of settings."""
    steered, sliders = more[: steering.count()], more[steering.count() :]
    return steering.settings_of(steered) | dict(
        model=model,
        sampler=sampler,
        steps=steps,
        length=length,
        seed=seed,
        spacing=spacing,
        prompt=prompt or "",
        template=(template or "") if mode == TEMPLATE else None,
        options=own_options(sampler, sliders),
    )


def read_fields(session: Session, *values) -> Request:
    """What the widgets of the page ask for."""
    return read(raw_settings(*values), session)


def denoise(settings: dict) -> Iterator[dict]:
    """Write a text; the settings are those of a link: model, sampler, steps, spacing, length, seed,
    prompt, template, until, label, the options of guides by their names (temperature, top_k, top_p,
    guidance ...) and options, those of the sampler; each may be left out. Streams the run so far as
    tinydiff/show/render.py packs it.
    """
    if not isinstance(settings, dict):
        raise refusal(
            "The settings are not a JSON object: give names and values, or {} for the usual ones."
        )
    yield from TAB.alone(read(settings))


def noise_chosen(session: Session, process: str, sampler: str):
    """Another noise: its models and its samplers. The usual sampler of one gives way to that of the
    other."""
    choices = models_of(process, session.models)
    if not choices:
        raise refusal("The models of that repository are not here any more: load its Hub id again.")
    usual = {column(kind)[0] for kind in PROCESSES.values()}
    return model_chosen(session, choices[0][1], "" if sampler in usual else sampler)


def model_chosen(session: Session, model: str, sampler: str):
    """Another model of this noise, with samplers of its own."""
    with refusals():
        chosen, process = open_model(model, session)
    return menus(session.models, chosen.key, process, sampler)


def where_chosen(session: Session, where: str, sampler: str):
    """The models of this copy again, or a place for an id of the Hub; until one is loaded, nothing
    else changes."""
    if where == HUB:
        return gr.update(visible=True), *unchanged()
    session.models = session.local_models()
    return gr.update(visible=False), *model_chosen(session, OPENING["model"], sampler)


def hub_asked(session: Session, source: str, sampler: str):
    """The menus hold what a repository holds, for this visitor. A refusal stands under the id and
    changes nothing else."""
    try:
        models, first = catalogue.hub_models(runs.text("Hub id", source).strip())
    except ValueError as error:
        return refused(str(error)), *unchanged()
    session.models = models
    shown = menus(models, next(iter(models)), first, sampler)
    return gr.update(info=hub_info(models), elem_classes=[]), *shown


def refused(words: str):
    """The sentence under the Hub id. It may hold what was typed, and the page reads markup there,
    whose signs become others."""
    return gr.update(
        info=words.translate(str.maketrans("<>*`", "‹›∗'")), elem_classes=["td-refused"]
    )


def hub_info(models: dict[str, Model]) -> str:
    """What stands under a Hub id that was loaded."""
    sha = hub.Source.parse(next(iter(models))).revision
    return f"Commit {sha[:12]}: {len(models)} model{'s' if len(models) > 1 else ''} to play with."


def unchanged() -> list:
    """In the place of `menus`."""
    return [gr.skip()] * (5 + steering.count() + len(options()))


def menus(models: dict[str, Model], key: str, process: Process, sampler: str) -> list:
    """Noise, model, sampler, steps, length, what steers and options, with one of the models chosen;
    it is `process`."""
    about = dict(value=process.name, info=PROCESSES[process.name].about)
    noise = gr.update(choices=noises(models), **about)
    model = gr.update(choices=models_of(process.name, models), value=key, info=origin(key))
    menu, steps, *seen = sampler_menu(process, sampler)
    length = gr.update(info=length_info(process.tokenizer))
    return [noise, model, menu, steps, length, *steering.menus(process), *seen]


def length_info(tokenizer: Tokenizer) -> str:
    """What the length is counted in."""
    return (
        f"{tokenizer.unit.capitalize()} in all. Beyond what the network has seen at once, piece by "
        "piece."
    )


def sampler_menu(process: Process, wanted: str):
    """The samplers of a process, `wanted` if it is among them, and what the options of all of them
    may be."""
    names = column(process)
    sampler = wanted if wanted in names else names[0]
    menu = gr.update(
        choices=[(spaced(name), name) for name in names],
        value=sampler,
        info=SAMPLERS[sampler].about,
    )
    steps, *seen = sampler_parts(sampler)
    return menu, steps, *[update | offer(process, *pair) for pair, update in zip(options(), seen)]


def offer(process: Process, sampler: str, option: str) -> dict:
    """What a menu of an option holds, which depends on the process."""
    _, span = SAMPLERS[sampler].options[option]
    values = [] if isinstance(span, Range) else list(span.of(process))
    return (
        dict(choices=[(spaced(str(value)), value) for value in values], value=values[0])
        if values
        else {}
    )


def sampler_chosen(sampler: str):
    one_of("sampler", sampler, SAMPLERS)
    return gr.update(info=SAMPLERS[sampler].about), *sampler_parts(sampler)


def sampler_parts(sampler: str) -> list:
    """What depends on the sampler: is there a number of steps, and which options."""
    return [
        gr.update(visible=SAMPLERS[sampler].steps_matter),
        *(gr.update(visible=name == sampler) for name, _ in options()),
    ]


def mode_chosen(mode: str):
    return (
        gr.update(visible=mode == PROMPT),
        gr.update(visible=mode == TEMPLATE),
        gr.update(visible=mode == PROMPT),
    )


def new_seed() -> int:
    return random.randrange(10_000)


def opened(session: Session, request: gr.Request):
    """The page was opened: with a link, the widgets show its settings, and its run is what `linked`
    will make. The session is handed back so that Gradio clears it away some time after the visitor
    left.
    """
    raw = from_query(dict(request.query_params))
    if not raw:
        return session, *[gr.skip()] * (2 + len(FIELDS) + steering.count() + len(options()))
    with refusals():
        model, process = open_model(asked := raw.get("model", OPENING["model"]))
    if said := catalogue.instead(asked):
        gr.Info(said, title="Another model")
    session.link = read(raw, opened=(model, process))
    of_hub = catalogue.of_hub(model.key)
    session.models = {model.key: model} if of_hub else catalogue.models()
    place = hub_place(session.models) if of_hub else (gr.skip(), gr.skip())
    return session, *place, *fields_of(session.link, session.models)


def hub_place(models: dict[str, Model]) -> tuple:
    """Where the models of a link to the Hub come from: the choice, and the Hub id."""
    return HUB, gr.update(visible=True, value=next(iter(models)), info=hub_info(models))


def linked(session: Session) -> Iterator[dict]:
    """The run of the link with which the page was opened, if there was one."""
    if session.link is None:
        yield gr.skip()
    else:
        job = session.begin(TAB.name)
        yield from job.values(write(session.link, job))


def fields_of(request: Request, models: dict[str, Model]) -> list:
    """An update for each widget, in the order of FIELDS, then what steers, then the options."""
    s = request.settings
    noise, model, menu, steps, length_, *more = menus(
        models, s["model"], request.process, s["sampler"]
    )
    steered, seen = more[: steering.count()], more[steering.count() :]
    mode = PROMPT if s["template"] is None else TEMPLATE
    texts = zip(mode_chosen(mode), (s["prompt"], s["template"] or BLANKS, s["length"]))
    prompt, template, length = ({**update, "value": value} for update, value in texts)
    length = {**length_, **length}
    counts = {**steps, "choices": ticks(s["steps"]), "value": s["steps"]}
    shown = [noise, model, menu, counts, length, s["seed"], mode, prompt, template, s["spacing"]]
    steered = steering.values_of(s, steered)
    return [
        *shown,
        *steered,
        *(option_value(*pair, s, seen) for pair, seen in zip(options(), seen)),
    ]


def option_value(sampler: str, option: str, settings: dict, update: dict) -> dict:
    """The update of an option's widget with the value that settings have for it, or the usual one;
    None where that depends on the process."""
    value = settings["options"].get(option, SAMPLERS[sampler].options[option][0])
    return update if value is None else {**update, "value": value}


def ticks(steps: int) -> list[tuple[str, int]]:
    """The menu of step counts, with one more where a link asks for it."""
    return [(str(n), n) for n in sorted({*STEPS, steps})]


# ---------------------------------------------------------------- the widgets


def build(site: Site) -> None:
    """The widgets of the tab and their wiring."""
    with gr.Row(elem_classes="td-press"):
        with gr.Column(elem_classes="td-page"):
            player = Player(example(), linked=True, elem_id="denoise-player")
            build_downloads(site.session)
        with gr.Column(elem_classes="td-controls"):
            gr.HTML(
                html_template=FOLD,
                js_on_load=FOLD_JS,
                apply_default_css=False,
                elem_classes="td-fold-host",
            )
            with gr.Column(elem_classes="td-fields"):
                where, source, *fields = build_fields()
            go = gr.Button("Generate", variant="primary", elem_id="generate", elem_classes="td-go")
    site.player, site.fields = player, [where, source, *fields]
    wire(site, go, fields)
    wire_hub(site, where, source, fields)


def build_fields() -> list:
    """The widgets for the place of the models and the Hub id, for FIELDS, for what steers and for
    every option of every sampler."""
    models, first = catalogue.models(), first_model()
    process = catalogue.find(first)[1]
    menu, steps, *seen = sampler_menu(process, OPENING["sampler"])
    where, source, noise, model = build_models(models, first, process)
    sampler = gr.Dropdown(**shown(menu), label="Sampler")
    steps = gr.Radio(
        STEPS,
        value=OPENING["steps"],
        label="Steps",
        elem_classes="td-ticks td-ruler",
        elem_id="steps",
        info="1: everything at once, each alone. 256: about one at a time.",
    )
    mode, prompt, template, length = build_text(process.tokenizer)
    seed = build_seed()
    steered = steering.fields(process)
    spacing = gr.Dropdown(
        [(spaced(name), name) for name in GRIDS],
        value=OPENING["spacing"],
        label="Spacing",
        elem_id="spacing",
        info="How the steps lie in time: evenly, closer in the noise, or as much text each.",
    )
    sliders = [option_widget(*pair, shown(update)) for pair, update in zip(options(), seen)]
    text = [mode, prompt, template]
    fields = [noise, model, sampler, steps, length, seed, *text, spacing]
    return [where, source, *fields, *steered, *sliders]


def build_models(models: dict[str, Model], first: str, process: Process) -> list:
    """Where models come from, the Hub id, the noise and the model."""
    noise = gr.Radio(
        noises(models),
        value=process.name,
        label="Noise",
        info=PROCESSES[process.name].about,
        elem_classes="td-ticks td-many",
    )
    model = gr.Dropdown(
        models_of(process.name, models),
        value=first,
        label="Model",
        elem_id="model",
        info=origin(first),
    )
    where = gr.Radio(
        [BUNDLED, HUB],
        value=BUNDLED,
        label="Models from",
        show_label=False,
        elem_id="where",
        elem_classes="td-ticks",
    )
    source = gr.Textbox(
        "",
        label="Hub id",
        show_label=False,
        placeholder="user/name",
        visible=False,
        max_lines=1,
        max_length=300,
        submit_btn="Load",
        info=HUB_INFO,
        elem_id="hub-id",
    )
    return [where, source, noise, model]


def build_text(tokenizer: Tokenizer) -> list:
    """What is given: how, the prompt or the template, and how long the text is."""
    mode = gr.Radio([PROMPT, TEMPLATE], value=PROMPT, label="The text", elem_classes="td-ticks")
    prompt = gr.Textbox(
        OPENING["prompt"],
        show_label=False,
        label="Prompt",
        lines=1,
        max_lines=4,
        elem_id="prompt",
        info="What stands at the start; empty: nothing is given.",
    )
    template = gr.Textbox(
        BLANKS,
        label="Template",
        show_label=False,
        lines=3,
        max_lines=10,
        visible=False,
        elem_id="template",
        info="Each ␣ is a piece of a word, or a character, to be filled in; the rest stays. Models "
        "of characters that have no _ take that too.",
    )
    length = slider("length", "Length", 16, length_info(tokenizer))
    mode.input(mode_chosen, mode, [prompt, template, length], **QUICK)
    return [mode, prompt, template, length]


def build_seed() -> gr.Number:
    """The seed, and a die that throws another."""
    with gr.Row(elem_classes="td-pair"):
        seed = gr.Number(
            OPENING["seed"],
            label="Seed",
            precision=0,
            minimum=0,
            elem_id="seed",
            info="Same seed, same run.",
        )
        dice = gr.Button("another", size="sm", elem_classes="td-dice", elem_id="dice")
    dice.click(new_seed, None, seed, queue=False, api_visibility="private")
    return seed


def slider(name: str, label: str, step: float, info: str) -> gr.Slider:
    low, high, _ = LIMITS[name]
    return gr.Slider(low, high, OPENING[name], step=step, label=label, info=info, elem_id=name)


def option_widget(sampler: str, option: str, first: dict) -> gr.Slider | gr.Dropdown:
    """A slider or a menu; `first` is what it shows at first."""
    elem_id = f"option-{sampler}-{option}"
    return steering.widget(option, SAMPLERS[sampler].options[option], elem_id, first)


def build_downloads(session: gr.State) -> None:
    """Link, GIF, HTML, JSON: a button each, and a hidden one that holds the file once it is
    made."""
    with gr.Row(elem_classes="td-take"):
        link = gr.Button("Link", size="sm", elem_id="take-link")
        link.click(None, None, None, js=LINK_JS)
        for name, writer in WRITERS.items():
            kind = name.lower()
            ask = gr.Button(name, size="sm", elem_id=f"take-{kind}")
            file = gr.DownloadButton(name, visible="hidden", elem_id=f"file-{kind}")
            line = dict(concurrency_id="file", concurrency_limit=1)
            made = ask.click(maker(writer, kind), session, file, **QUIET, **line)
            made.success(None, None, None, js=TAKE_JS % kind)


# what writes a value for the player as a file; a page holds it as it is
WRITERS = {
    "GIF": lambda value, path: export.gif(render.unpack(value), path),
    "HTML": export.played_html,
    "JSON": lambda value, path: export.json(render.unpack(value), path),
}


def maker(writer, kind: str):
    """A handler that writes the run on the player as a file of this kind."""

    def make(session: Session) -> str:
        value = on_player(session)
        path = session.file(f"tinydiff-{value['run']}.{kind}")
        writer(value, path)
        return str(path)

    return make


def wire(site: Site, go: gr.Button, fields: list) -> None:
    """What starts and stops a run, and what depends on the sampler."""
    sampler, steps = fields[2:4]
    prompt, sliders = fields[FIELDS.index("prompt")], fields[len(FIELDS) + steering.count() :]
    starts = [go.click, steps.input, prompt.submit]
    TAB.wire(site, starts, fields[1:], site.player, site.player.stop)
    sampler.input(sampler_chosen, sampler, [sampler, steps, *sliders], **QUICK)
    gr.api(denoise, api_name="denoise", concurrency_id="sample", concurrency_limit=2)


def wire_hub(site: Site, where: gr.Radio, source: gr.Textbox, fields: list) -> None:
    """What may have to ask the Hub."""
    session, (noise, model, sampler, *_) = site.session, fields
    shown = [*fields[:5], *fields[len(FIELDS) :]]
    asks = QUIET | HUB_QUEUE
    noise.input(noise_chosen, [session, noise, sampler], shown, **asks)
    model.input(model_chosen, [session, model, sampler], shown, **asks)
    where.input(where_chosen, [session, where, sampler], [source, *shown], **asks)
    asked = [session, source, sampler]
    loads = asks | dict(trigger_mode="always_last", show_progress="minimal")
    source.submit(hub_asked, asked, [source, *shown], **loads)
    loaded = site.page.load(opened, session, [session, where, source, *fields], **asks)
    loaded.success(linked, session, site.player, api_visibility="private", **SAMPLE)


TAB = Tab("denoise", "Denoise", build=build, read=read_fields, run=write, record=record_example)

FOLD = """<button type="button" class="td-fold" aria-expanded="false">Settings</button>"""
FOLD_JS = """
const button = element.querySelector(".td-fold");
button.addEventListener("click", () => {
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  element.closest(".td-controls").classList.toggle("open", open);
});
"""
LINK_JS = """() => {
  const button = document.querySelector("#take-link");
  const said = (words) => {
    button.textContent = words;
    setTimeout(() => { button.textContent = "Link"; }, 1500);
  };
  const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject();
  copied.then(() => said("Copied"), () => said("See the address"));
  return [];
}"""
TAKE_JS = """() => {
  setTimeout(() => {
    const file = document.querySelector("#file-%s");
    (file.closest("a") || file.querySelector("a") || file).click();
  }, 200);
  return [];
}"""
