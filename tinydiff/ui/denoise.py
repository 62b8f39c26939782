"""The first tab: one text, written before one's eyes.

A run streams to the player as it is made. Each visitor has a Desk, which knows the run that is
theirs: a new run or Stop is noticed by the old one at its next step.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import torch
from gradio.utils import get_upload_folder

from tinydiff.measure import evaluate
from tinydiff.nets.memory import keep_some_freed
from tinydiff.paths import ASSETS
from tinydiff.processes import PROCESSES, Process
from tinydiff.samplers import SAMPLERS, Range, column
from tinydiff.show import export, render
from tinydiff.store import catalogue, hub
from tinydiff.store.catalogue import Model
from tinydiff.ui import cost, inputs, visitor_models
from tinydiff.ui.inputs import DEFAULTS, LIMITS, STEPS, Asked
from tinydiff.ui.player import Player, curves
from tinydiff.ui.tab import keep, told
from tinydiff.uncertainty import percent

EXAMPLE = ASSETS / "example.json"
SAMPLE = dict(concurrency_id="sample", concurrency_limit=2, show_progress="hidden")
FIELDS = (
    "noise",
    "model",
    "sampler",
    "steps",
    "length",
    "temperature",
    "top_p",
    "seed",
    "mode",
    "prompt",
    "template",
)
PROMPT, TEMPLATE = "starts with", "fill the blanks"
BUNDLED, HUB = "bundled", "Hub id"
HUB_INFO = "A checkpoint, or a repository of several, that anybody made; nothing in it is run."

keep_some_freed()
# two visitors share two cores; threads that wait for each other cost more than they bring
torch.set_num_threads(1)


class Desk:
    """What a visitor has on the page: which run is theirs, and the last picture of it."""

    def __init__(self):
        self.turn, self.stopped = 0, 0
        self.value: dict | None = None  # the last that was streamed
        self.link: Asked | None = None  # what the page was opened with
        # that the menus hold: those of `here`, or of a repository of the Hub
        self.models = catalogue.models()
        self.folder: tempfile.TemporaryDirectory | None = None
        self.secret = ""  # of the model that they trained

    def begin(self) -> int:
        self.turn += 1
        return self.turn

    def stop(self) -> None:
        self.stopped = self.turn

    def wanted(self, turn: int) -> bool:
        return self.turn == turn and self.stopped != turn

    def own(self) -> visitor_models.Own | None:
        """The model that they trained, while it is kept."""
        return visitor_models.SHELF.find(self.secret)

    def here(self) -> dict[str, Model]:
        """The models of this copy, and the visitor's own last."""
        own = self.own()
        return catalogue.models() | (
            {visitor_models.NAME: Model(visitor_models.NAME, own.process.name, own.title, None)}
            if own
            else {}
        )

    def run(self) -> render.Run:
        """The run on the player: their own, or the recorded one."""
        return render.unpack(self.value or example())

    def file(self, name: str) -> Path:
        """Where a file to download is written; it goes with the visit. Gradio copies what lies
        elsewhere than in its own folder, and keeps the copy.
        """
        if self.folder is None:
            Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
            self.folder = tempfile.TemporaryDirectory(prefix="tinydiff-", dir=get_upload_folder())
        return Path(self.folder.name) / name

    def leave(self) -> None:
        """The visit is over: nothing of it stays."""
        self.stop()
        visitor_models.SHELF.drop(self.secret)
        if self.folder is not None:
            self.folder.cleanup()
        self.folder = self.value = None


# ---------------------------------------------------------------- a run


def write(asked: Asked, desk: Desk) -> Iterator[dict]:
    """Values for the player while the text is written; the last one is done and holds the
    numbers."""
    turn, wire, clock = desk.begin(), wire_for(asked), cost.Clock()
    for value in render.stream(pictures(asked, wire, lambda: desk.wanted(turn), clock), wire):
        if desk.turn != turn:
            return
        desk.value = value
        yield value
    if desk.turn == turn:
        late = {"said": clock.words} if clock.late else {}
        desk.value = wire.value(
            done=True,
            stats=stats(wire.end, asked.process),
            stopped=clock.late or desk.stopped == turn,
            **late,
        )
        yield desk.value


def wire_for(asked: Asked) -> render.Wire:
    settings, process = asked.settings, asked.process
    return render.Wire(
        settings.steps + 1,
        process.V,
        settings=settings.plain(),
        query=settings.query(),
        family=process.name,
        curves=curves(process),
    )


def pictures(
    asked: Asked, wire: render.Wire, wanted, clock: cost.Clock
) -> Iterator[render.Picture]:
    """The pictures of a run for as long as it is wanted and has time."""
    frames = asked.frames(clock)

    def watched():
        for frame in frames:
            wire.total = frame.steps + 1
            yield frame
            if not wanted():
                break
        frames.close()

    return render.record(asked.process, asked.canvas, watched())


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
    quality, real, ends, rows = (
        evaluate.judged([text], process),
        catalogue.real_text(),
        catalogue.yardsticks(),
        [],
    )
    if quality.bits is not None:
        rows.append(
            [
                "judge",
                f"{quality.bits:.2f} bits/character",
                f"real text {real['bits']:.2f}" if "bits" in real else "",
            ]
        )
    if quality.words is not None:
        good, long = evaluate.word_counts(text)
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
    value, said = json.loads(EXAMPLE.read_text("utf-8")), told("example")
    return value | {"stats": [*value["stats"], ["recorded", said, ""]]} if said else value


def record_example(path: Path = EXAMPLE) -> None:
    """Write the run with DEFAULTS as the one that plays at load."""
    *_, value = write(inputs.read({}), Desk())
    # playing it leaves the address alone
    head = {name: part for name, part in value["head"].items() if name != "query"}
    value = {**value, "run": 0, "head": head}
    keep("example", value, [DEFAULTS["model"]], path)


# ---------------------------------------------------------------- what the menus hold


def noises(models: dict[str, Model]) -> list[tuple[str, str]]:
    """In the order of the models, beginning with the one that the page opens with."""
    held = dict.fromkeys(model.process for model in models.values())
    first = models[DEFAULTS["model"]].process if DEFAULTS["model"] in models else ""
    return [(PROCESSES[name].title, name) for name in sorted(held, key=lambda name: name != first)]


def models_of(process: str, models: dict[str, Model]) -> list[tuple[str, str]]:
    return [(model.title, key) for key, model in models.items() if model.process == process]


def title(name: str) -> str:
    return name.replace("_", " ")


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
    model, sampler, steps, length, temperature, top_p, seed, mode, prompt, template, *sliders
) -> dict:
    """The values of the widgets under the names of DEFAULTS."""
    return dict(
        model=model,
        sampler=sampler,
        steps=steps,
        length=length,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        prompt=prompt or "",
        template=(template or "") if mode == TEMPLATE else None,
        options=own_options(sampler, sliders),
    )


def start(desk: Desk, *values) -> Iterator[dict]:
    """A run with the settings on the page."""
    yield from write(inputs.read(raw_settings(*values), desk.own()), desk)


def denoise(settings: dict) -> Iterator[dict]:
    """Write a text; the settings are those of a link: model, sampler, steps, length, temperature,
    top_p, seed, prompt, template, options, each of which may be left out. Streams the run so far as
    tinydiff/render.py packs it.
    """
    if not isinstance(settings, dict):
        raise inputs.sentence(
            "The settings are not a JSON object: give names and values, or {} for the usual ones."
        )
    yield from write(inputs.read(settings), Desk())


def stop(desk: Desk) -> None:
    desk.stop()


def noise_chosen(desk: Desk, process: str, sampler: str):
    """Another noise: its models and its samplers."""
    choices = models_of(process, desk.models)
    if not choices:
        raise inputs.sentence(
            "The models of that repository are not here any more: load its Hub id again."
        )
    with inputs.told():
        return menus(desk.models, choices[0][1], sampler, desk.own())


def model_chosen(desk: Desk, model: str, sampler: str):
    """Another model of this noise, with samplers of its own."""
    with inputs.told():
        return menus(desk.models, model, sampler, desk.own())


def where_chosen(desk: Desk, where: str, sampler: str):
    """The models of this copy again, or a place for an id of the Hub; until one is loaded, nothing
    else changes."""
    if where == HUB:
        return gr.update(visible=True), *unchanged()
    desk.models = desk.here()
    return gr.update(visible=False), *menus(desk.models, DEFAULTS["model"], sampler)


def hub_asked(desk: Desk, source: str, sampler: str):
    """The menus hold what a repository holds, for this visitor. A refusal stands under the id and
    changes nothing else."""
    try:
        models = catalogue.held(inputs.text("Hub id", source).strip())
        found = menus(models, next(iter(models)), sampler)
    except ValueError as error:
        return refused(str(error)), *unchanged()
    desk.models = models
    return gr.update(info=shelf_info(models), elem_classes=[]), *found


def refused(words: str):
    """The sentence under the Hub id. It may hold what was typed, and the page reads markup there,
    whose signs become others."""
    return gr.update(
        info=words.translate(str.maketrans("<>*`", "‹›∗'")), elem_classes=["td-refused"]
    )


def shelf_info(models: dict[str, Model]) -> str:
    """What stands under a Hub id that was loaded."""
    sha = hub.Source.parse(next(iter(models))).revision
    return f"Commit {sha[:12]}: {len(models)} model{'s' if len(models) > 1 else ''} to play with."


def unchanged() -> list:
    """In the place of `menus`."""
    return [gr.skip()] * (4 + len(options()))


def menus(
    models: dict[str, Model], key: str, sampler: str, own: visitor_models.Own | None = None
) -> list:
    """Noise, model, sampler, steps and options, with one of the models chosen."""
    process = inputs.open_model(key, own)
    about = dict(value=process.name, info=PROCESSES[process.name].about)
    noise = gr.update(choices=noises(models), **about)
    model = gr.update(choices=models_of(process.name, models), value=key, info=inputs.origin(key))
    return [noise, model, *sampler_menu(process, sampler)]


def sampler_menu(process: Process, wanted: str):
    """The samplers of a process, `wanted` if it is among them, and what the options of all of them
    may be."""
    names = column(process)
    sampler = wanted if wanted in names else names[0]
    menu = gr.update(
        choices=[(title(name), name) for name in names], value=sampler, info=SAMPLERS[sampler].about
    )
    steps, *seen = sampler_parts(sampler)
    return menu, steps, *[update | offer(process, *pair) for pair, update in zip(options(), seen)]


def offer(process: Process, sampler: str, option: str) -> dict:
    """What a menu of an option holds, which depends on the process."""
    _, span = SAMPLERS[sampler].options[option]
    values = [] if isinstance(span, Range) else list(span.of(process))
    return (
        dict(choices=[(title(str(value)), value) for value in values], value=values[0])
        if values
        else {}
    )


def sampler_chosen(sampler: str):
    inputs.known("sampler", sampler, SAMPLERS)
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


def opened(desk: Desk, request: gr.Request):
    """The page was opened: with a link, the widgets show its settings, and its run is what `linked`
    will make. The desk is handed back so that Gradio clears it away some time after the visitor
    left.
    """
    raw = inputs.from_query(dict(request.query_params))
    if not raw:
        return desk, *[gr.skip()] * (2 + len(FIELDS) + len(options()))
    desk.link = inputs.read(raw)
    desk.models = catalogue.shelf(desk.link.settings.model)
    return desk, *place_for(desk), *widgets_for(desk.link, desk.models)


def linked(desk: Desk) -> Iterator[dict]:
    """The run of the link with which the page was opened, if there was one."""
    if desk.link is None:
        yield gr.skip()
    else:
        yield from write(desk.link, desk)


def place_for(desk: Desk) -> tuple:
    """Where the models of a link come from: the choice, and the Hub id."""
    model = desk.link.settings.model
    if not hub.is_source(model):
        return gr.skip(), gr.skip()
    return HUB, gr.update(visible=True, value=model, info=shelf_info(desk.models))


def widgets_for(
    asked: Asked, models: dict[str, Model], own: visitor_models.Own | None = None
) -> list:
    """An update for each widget, in the order of FIELDS and then the options."""
    s = asked.settings
    noise, model, menu, steps, *seen = menus(models, s.model, s.sampler, own)
    sliders = [
        {
            **update,
            **(
                {"value": value}
                if (value := s.options.get(option, usual(name, option))) is not None
                else {}
            ),
        }
        for (name, option), update in zip(options(), seen)
    ]
    typed = [
        {**update, "value": value}
        for update, value in zip(mode_chosen(mode_of(s)), (s.prompt, s.template or "", s.length))
    ]
    prompt, template, length = typed
    return [
        noise,
        model,
        menu,
        {**steps, "choices": ticks(s.steps), "value": s.steps},
        length,
        s.temperature,
        s.top_p,
        s.seed,
        mode_of(s),
        prompt,
        template,
        *sliders,
    ]


def mode_of(settings: inputs.Settings) -> str:
    return PROMPT if settings.template is None else TEMPLATE


def ticks(steps: int) -> list[tuple[str, int]]:
    """The menu of step counts, with one more where a link asks for it."""
    return [(str(n), n) for n in sorted({*STEPS, steps})]


def usual(sampler: str, option: str) -> float | None:
    """None where it depends on the process."""
    return SAMPLERS[sampler].options[option][0]


# ---------------------------------------------------------------- the widgets


def build(page: gr.Blocks) -> tuple[gr.State, Player, list]:
    """The widgets of the tab and their wiring: the desk, the player, and the fields with where
    models come from, for who brings something to play with.
    """
    desk = gr.State(Desk(), delete_callback=Desk.leave)
    with gr.Row(elem_classes="td-press"):
        with gr.Column(elem_classes="td-page"):
            player = Player(example(), linked=True, elem_id="denoise-player")
            build_downloads(desk)
        with gr.Column(elem_classes="td-panel"):
            gr.HTML(
                html_template=FOLD,
                js_on_load=FOLD_JS,
                apply_default_css=False,
                elem_classes="td-fold-host",
            )
            with gr.Column(elem_classes="td-fields"):
                where, source, *fields = build_fields()
            go = gr.Button("Generate", variant="primary", elem_id="generate", elem_classes="td-go")
    wire(page, desk, player, go, fields)
    wire_hub(page, desk, player, where, source, fields)
    return desk, player, [where, source, *fields]


def build_fields() -> list:
    """The widgets for the place of the models and the Hub id, for FIELDS and then for every option
    of every sampler."""
    opened, models = inputs.read({}).process, catalogue.models()
    process = opened.name
    menu, steps, *seen = sampler_menu(opened, DEFAULTS["sampler"])
    noise = gr.Radio(
        noises(models),
        value=process,
        label="Noise",
        info=PROCESSES[process].about,
        elem_classes="td-ticks td-many",
    )
    model = gr.Dropdown(
        models_of(process, models),
        value=DEFAULTS["model"],
        label="Model",
        elem_id="model",
        info=inputs.origin(DEFAULTS["model"]),
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
    sampler = gr.Dropdown(**shown(menu), label="Sampler")
    steps = gr.Radio(
        STEPS,
        value=DEFAULTS["steps"],
        label="Steps",
        elem_classes="td-ticks td-ruler",
        elem_id="steps",
        info="1: all characters at once, each alone. 256: about one at a time.",
    )
    mode = gr.Radio([PROMPT, TEMPLATE], value=PROMPT, label="The text", elem_classes="td-ticks")
    prompt = gr.Textbox(
        DEFAULTS["prompt"],
        show_label=False,
        label="Prompt",
        lines=1,
        max_lines=4,
        elem_id="prompt",
        info="What stands at the start; empty: nothing is given.",
    )
    template = gr.Textbox(
        "",
        label="Template",
        show_label=False,
        lines=3,
        max_lines=10,
        visible=False,
        elem_id="template",
        info="Each _ is to be filled in, and so is ␣ where the model can write _ itself; the rest "
        "stays.",
    )
    length = slider(
        "length",
        "Length",
        16,
        "Characters in all. Beyond what the network has seen at once, piece by piece.",
    )
    with gr.Row(elem_classes="td-pair"):
        seed = gr.Number(
            DEFAULTS["seed"],
            label="Seed",
            precision=0,
            minimum=0,
            elem_id="seed",
            info="Same seed, same run.",
        )
        dice = gr.Button("another", size="sm", elem_classes="td-dice", elem_id="dice")
    temperature = slider(
        "temperature", "Temperature", 0.05, "0: only its best bet. 1: as learned. 2: near chance."
    )
    top_p = slider(
        "top_p", "Top-p", 0.05, "The share of probability kept. 1: every character has its chance."
    )
    sliders = [option_widget(*pair, shown(update)) for pair, update in zip(options(), seen)]
    dice.click(new_seed, None, seed, queue=False, api_visibility="private")
    mode.input(
        mode_chosen,
        mode,
        [prompt, template, length],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return [
        where,
        source,
        noise,
        model,
        sampler,
        steps,
        length,
        temperature,
        top_p,
        seed,
        mode,
        prompt,
        template,
        *sliders,
    ]


def shown(update: dict) -> dict:
    """An update as the arguments of a widget."""
    return {k: v for k, v in update.items() if k != "__type__"}


def slider(name: str, label: str, step: float, info: str) -> gr.Slider:
    low, high, _ = LIMITS[name]
    return gr.Slider(low, high, DEFAULTS[name], step=step, label=label, info=info, elem_id=name)


def option_widget(sampler: str, option: str, first: dict) -> gr.Slider | gr.Dropdown:
    """A slider or a menu; `first` is what it shows at first."""
    default, span = SAMPLERS[sampler].options[option]
    named = dict(
        label=title(option).capitalize(),
        info=span.about.capitalize() + ".",
        elem_id=f"option-{sampler}-{option}",
    )
    if not isinstance(span, Range):
        return gr.Dropdown(**{"choices": [], **named, **first})
    step = 1 if isinstance(default, int) else (span.high - span.low) / 100
    return gr.Slider(span.low, span.high, default, step=step, **named, **first)


def build_downloads(desk: gr.State) -> None:
    """Link, GIF, HTML, JSON: a button each, and a hidden one that holds the file once it is
    made."""
    with gr.Row(elem_classes="td-take"):
        link = gr.Button("Link", size="sm", elem_id="take-link")
        link.click(None, None, None, js=LINK_JS)
        for name, writer in (("GIF", export.gif), ("HTML", export.html), ("JSON", export.json)):
            ask = gr.Button(name, size="sm", elem_id=f"take-{name.lower()}")
            file = gr.DownloadButton(name, visible="hidden", elem_id=f"file-{name.lower()}")
            made = ask.click(
                maker(writer, name.lower()),
                desk,
                file,
                show_progress="hidden",
                api_visibility="private",
                concurrency_id="file",
                concurrency_limit=1,
            )
            made.success(None, None, None, js=TAKE_JS % name.lower())


def maker(writer, kind: str):
    """A handler that writes the run on the player as a file of this kind."""

    def make(desk: Desk) -> str:
        path = desk.file(f"tinydiff-{desk.turn}.{kind}")
        writer(desk.run(), path)
        return str(path)

    return make


def wire(page: gr.Blocks, desk: gr.State, player: Player, go: gr.Button, fields: list) -> None:
    sampler, steps = fields[2:4]
    prompt, sliders, rest = fields[9], fields[11:], fields[1:]
    quick = dict(queue=False, show_progress="hidden", api_visibility="private")
    gr.on(
        [go.click, steps.input, prompt.submit],
        start,
        [desk, *rest],
        player,
        trigger_mode="multiple",
        api_visibility="private",
        **SAMPLE,
    )
    player.stop(stop, desk, None, **quick)
    sampler.input(sampler_chosen, sampler, [sampler, steps, *sliders], **quick)
    gr.api(denoise, api_name="denoise", concurrency_id="sample", concurrency_limit=2)


def wire_hub(
    page: gr.Blocks,
    desk: gr.State,
    player: Player,
    where: gr.Radio,
    source: gr.Textbox,
    fields: list,
) -> None:
    """What may have to ask the Hub: it waits in a queue of its own, so that nobody's run waits for
    it."""
    noise, model, sampler, steps, *_ = fields
    shown = [noise, model, sampler, steps, *fields[11:]]
    asks = dict(
        show_progress="hidden", api_visibility="private", concurrency_id="hub", concurrency_limit=8
    )
    noise.input(noise_chosen, [desk, noise, sampler], shown, **asks)
    model.input(model_chosen, [desk, model, sampler], shown, **asks)
    where.input(where_chosen, [desk, where, sampler], [source, *shown], **asks)
    source.submit(
        hub_asked,
        [desk, source, sampler],
        [source, *shown],
        trigger_mode="always_last",
        **{**asks, "show_progress": "minimal"},
    )
    loaded = page.load(opened, desk, [desk, where, source, *fields], **asks)
    loaded.success(linked, desk, player, api_visibility="private", **SAMPLE)


FOLD = """<button type="button" class="td-fold" aria-expanded="false">Settings</button>"""
FOLD_JS = """
const button = element.querySelector(".td-fold");
button.addEventListener("click", () => {
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  element.closest(".td-panel").classList.toggle("open", open);
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
    const held = document.querySelector("#file-%s");
    (held.closest("a") || held.querySelector("a") || held).click();
  }, 200);
  return [];
}"""
