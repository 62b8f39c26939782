"""The panel of the opening tab: its widgets, what each of them shows for a model, and the settings
that their values stand for.

What somebody new needs comes first: how the text begins, the noise, the model. The sampler, its
options and what steers are folded under "More", and a combination that cannot be is not shown.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import gradio as gr

from tinydiff import guides
from tinydiff.processes import PROCESSES, Process
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS, Range, column
from tinydiff.schedules import GRIDS
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.text import Tokenizer
from tinydiff.text.canvas import BLANK, UNDERSCORE, is_template
from tinydiff.ui import steering
from tinydiff.ui.errors import refusals
from tinydiff.ui.gaps import dotted
from tinydiff.ui.request import LIMITS, OPENING, open_model, origin
from tinydiff.ui.session import Session
from tinydiff.ui.steering import shown
from tinydiff.ui.tab import RESEARCH, Menu, first_model, spaced

FIELDS = ("noise", "model", "sampler", "steps", "length", "seed", "text", "spacing")
# and then those of steering.py, and the options of all samplers
HUB = "from the Hub …"  # of the models, behind those that are there
HUB_INFO = "A checkpoint, or a repository of several, that anybody made; nothing in it is run."
# what is ready to be tried
CHIPS = {
    "an opening": OPENING["prompt"],
    "a gap": "Lily saw a big dog in the park. … So they played with the ball all day.",
    "last line given": "…………… They were best friends.",
    "both ends": "Once upon a time there was a little fox. ……… The fox was happy again.",
    "dragon, cake, sorry, no z, sad end": OPENING["prompt"],
    "a text with slips": "Once upon a time there was a little boy named Tim. He had a red ball "
    "that he liked to thorw. One day the ball rolled into lake the. Tim was sad. A big dog saw the "
    "ball and jumped into the water. He brought the cake back to Tim. Tim was happy and hugged the "
    "dog. They played with the ball all day.",
}
SLIPS = ("a text with slips",)  # those that are not written on, but doubted (doubting.py)
# of those that have some the rules, and the label, for a model that knows it
RULES = {
    "dragon, cake, sorry, no z, sad end": {"contains": "dragon, cake, sorry", "no_letters": "z"}
}
TOLD = {"dragon, cake, sorry, no z, sad end": "sad"}


# ---------------------------------------------------------------- what the menus hold


def noises(models: dict[str, Model]) -> list[tuple[str, str]]:
    """As somebody new would call them, in the order of PROCESSES' papers here: the one that the
    page opens with, then the others in the order of the models."""
    names = dict.fromkeys(model.process for model in models.values())
    first = models[OPENING["model"]].process if OPENING["model"] in models else ""
    ordered = sorted(names, key=lambda name: name != first)
    return [(PROCESSES[name].plain or PROCESSES[name].title, name) for name in ordered]


def noise_info(process: type[Process] | Process) -> str:
    """The field's term, a link to the paper, as Markdown."""
    number = process.paper.partition(":")[2]
    where = f"https://arxiv.org/abs/{number}" if process.paper.startswith("arXiv:") else ""
    return f"[{process.title} ↗]({where})" if where else process.title


def noise_about(process: type[Process] | Process) -> str:
    """What the noise does, in a sentence, then the link."""
    return f"{process.about} {noise_info(process)}"


def models_of(process: str, models: dict[str, Model]) -> list[tuple[str, str]]:
    return [(model.title, key) for key, model in models.items() if model.process == process]


def model_menu(process: str, models: dict[str, Model]) -> list[tuple[str, str]]:
    """The models of a process, and the way to one of the Hub."""
    return [*models_of(process, models), (HUB, HUB)]


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


def raw_settings(model, sampler, steps, length, seed, text, spacing, *more) -> dict:
    """The values of the widgets under the names of settings. A text with something to be written
    before its end is a template; else it is how the text begins."""
    steered, sliders = more[: steering.count()], more[steering.count() :]
    typed = dotted(text) if isinstance(text, str) else text or ""
    template = typed if isinstance(typed, str) and is_template(typed) else None
    prompt = typed.rstrip(" …") if isinstance(typed, str) and typed.endswith("…") else typed
    return steering.settings_of(steered) | dict(
        model=model,
        sampler=sampler,
        steps=steps,
        length=length,
        seed=seed,
        spacing=spacing,
        prompt="" if template is not None else prompt,
        template=template,
        options=own_options(sampler, sliders),
    )


def text_of(request: Request) -> str:
    """What stands in the field of the text for a run: its template, or how it begins."""
    template = request.settings["template"]
    if template is None:
        return request.settings["prompt"]
    writes = request.process.tokenizer.writes(UNDERSCORE)
    return template if writes else template.replace(UNDERSCORE, BLANK)


# ---------------------------------------------------------------- what the widgets show


def menus(models: dict[str, Model], key: str, process: Process, sampler: str) -> list:
    """Noise, model, sampler, steps, length, what steers and options, with one of the models chosen;
    it is `process`."""
    about = dict(value=process.name, info=noise_about(process))
    noise = gr.update(choices=noises(models), **about)
    model = gr.update(choices=model_menu(process.name, models), value=key, info=origin(key))
    menu, steps, *seen = sampler_menu(process, sampler)
    length = gr.update(info=length_info(process.tokenizer))
    return [noise, model, menu, steps, length, *steering.menus(process), *seen]


def usual(sampler: object) -> str:
    """What is wanted of the samplers of another noise: what stood there, unless as the usual one of
    some noise."""
    first = [column(process)[0] for process in PROCESSES.values()]
    return sampler if isinstance(sampler, str) and sampler not in first else ""


def fitted(session: Session, noise: object, values: tuple) -> list:
    """The values of the fields behind the noise as they are once `menus` has come: whoever presses
    Write before that asks for what they chose last. Raises gr.Error."""
    (model, sampler, *rest), models = values, session.models
    if not isinstance(model, str) or model not in models:
        return list(values)
    there = models_of(noise, models)
    if models[model].process != noise and there:
        model, sampler = there[0][1], usual(sampler)
    elif not isinstance(sampler, str) or sampler not in SAMPLERS:
        return list(values)
    with refusals():
        _, process = open_model(model, session)
    _, _, menu, _, _, *updates = menus(models, model, process, sampler)
    plain = len(FIELDS) - 3  # those behind the sampler, whatever the model
    more = map(fitting, updates, rest[plain:])
    return [model, menu["value"], *rest[:plain], *more]


def fitting(update: dict, value: object) -> object:
    """The value of a field after an update: what it holds, where that may still be."""
    kept = "value" not in update or value in [v for _, v in update.get("choices", ())]
    return value if kept or value is None else update["value"]


def unchanged() -> list:
    """In the place of `menus`."""
    return [gr.skip()] * (5 + steering.count() + len(options()))


def length_info(tokenizer: Tokenizer) -> str:
    """What the length is counted in."""
    return (
        f"{tokenizer.unit.capitalize()} in all, where the text has no gap. Beyond what the network "
        "has seen at once, piece by piece."
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


def sampler_parts(sampler: str) -> list:
    """What depends on the sampler: is there a number of steps, and which options."""
    return [
        gr.update(visible=SAMPLERS[sampler].steps_matter),
        *(gr.update(visible=name == sampler) for name, _ in options()),
    ]


def fields_of(request: Request, models: dict[str, Model]) -> list:
    """An update for each widget, in the order of FIELDS, then what steers, then the options."""
    s = request.settings
    noise, model, menu, steps, length, *more = menus(
        models, s["model"], request.process, s["sampler"]
    )
    steered, seen = more[: steering.count()], more[steering.count() :]
    counts, length = {**steps, "value": s["steps"]}, {**length, "value": s["length"]}
    return [
        *[noise, model, menu, counts, length, s["seed"], text_of(request), s["spacing"]],
        *steering.values_of(s, steered),
        *(option_value(*pair, s, seen) for pair, seen in zip(options(), seen)),
    ]


def option_value(sampler: str, option: str, settings: dict, update: dict) -> dict:
    """The update of an option's widget with the value that settings have for it, or the usual one;
    None where that depends on the process."""
    value = settings["options"].get(option, SAMPLERS[sampler].options[option][0])
    return update if value is None else {**update, "value": value}


def refused(words: str):
    """The sentence under the Hub id. It may hold what was typed, and the page reads markup there,
    whose signs become others."""
    return gr.update(
        visible=True,
        info=words.translate(str.maketrans("<>*`", "‹›∗'")),
        elem_classes=["td-refused"],
    )


# ---------------------------------------------------------------- the widgets


def build(go: Callable[[], None]) -> tuple:
    """The widget of the Hub id, and those of FIELDS, of what steers and of every option of every
    sampler. go: builds what stands between them and what is ready to be tried."""
    models, first = catalogue.models(), first_model()
    process = catalogue.find(first)[1]
    text = build_text()
    noise, model, source = build_models(models, first, process)
    with gr.Accordion("More", open=False, elem_classes="td-more"):
        sampler, steps, spacing, length, seed, steered, sliders = build_more(process)
    with gr.Accordion("Rules for the text", open=False, elem_classes="td-more td-rules"):
        steered += steering.fields(process, ruled=True)
    go()
    fields = [noise, model, sampler, steps, length, seed, text, spacing]
    return source, [*fields, *steered, *sliders]


def build_text() -> gr.Textbox:
    """What is given."""
    return gr.Textbox(
        OPENING["prompt"],
        label="Begin with",
        lines=2,
        max_lines=6,
        elem_id="prompt",
        info="These words stay. One … (or ... between spaces) is a gap of any length, several are "
        "about ten words each, ␣ is one piece of a word.",
    )


def build_models(models: dict[str, Model], first: str, process: Process) -> list:
    """The noise, the model, and the Hub id of another."""
    noise = gr.Dropdown(
        noises(models),
        value=process.name,
        label="Noise",
        info=noise_about(process),
        elem_id="noise",
    )
    model = Menu(
        model_menu(process.name, models),
        value=first,
        label="Model",
        elem_id="model",
        info=origin(first),
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
    return [noise, model, source]


def build_more(process: Process) -> list:
    """What is folded: the sampler, its steps and their spacing, the length, the seed, what steers,
    and all options."""
    menu, steps, *seen = sampler_menu(process, OPENING["sampler"])
    sampler = Menu(**shown(menu), label="Sampler")
    steps = gr.Number(  # what is too much is refused in a sentence under it
        OPENING["steps"],
        label="Looks (steps)",
        precision=0,
        elem_id="steps",
        info="How often the network looks: 1 writes everything at once, each word alone.",
    )
    steered = steering.fields(process, ruled=False)
    spacing = gr.Dropdown(
        [(spaced(name), name) for name in GRIDS],
        value=OPENING["spacing"],
        label="Spacing",
        elem_id="spacing",
        elem_classes=RESEARCH,
        info="How the looks lie in time: evenly, closer in the noise, or as much text each.",
    )
    length = slider("length", "Length", 16, length_info(process.tokenizer))
    seed = build_seed()
    sliders = [option_widget(*pair, shown(update)) for pair, update in zip(options(), seen)]
    return [sampler, steps, spacing, length, seed, steered, sliders]


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


def new_seed() -> int:
    return random.randrange(10_000)


def slider(name: str, label: str, step: float, info: str) -> gr.Slider:
    low, high, _ = LIMITS[name]
    return gr.Slider(low, high, OPENING[name], step=step, label=label, info=info, elem_id=name)


def option_widget(sampler: str, option: str, first: dict) -> gr.Slider | gr.Dropdown:
    """A slider or a menu; `first` is what it shows at first."""
    elem_id = f"option-{sampler}-{option}"
    return steering.widget(option, SAMPLERS[sampler].options[option], elem_id, first)


def build_chips() -> gr.Radio:
    """What is ready to be tried."""
    return gr.Radio(list(CHIPS), label="Ready to try", elem_id="chips", elem_classes="td-chips")


def chosen_chip(session: Session, model: object, name: str) -> list:
    """The text, the value of each menu for the label, and that of each of the `steering.rules`."""
    rules, known = RULES.get(name, {}), guides.options()
    with refusals():
        kinds = [*open_model(model, session)[1].attributes.values()]
    wanted = TOLD.get(name, "")
    told = [wanted if wanted in values else "" for values in kinds]
    return [
        CHIPS.get(name, OPENING["prompt"]),
        *told,
        *[""] * (len(steering.LABELS) - len(told)),
        *(rules.get(rule, known[rule].default) for rule in steering.rules()),
    ]


def unfolded() -> str:
    """What opens the fold of the rules where a chip has some."""
    names = json.dumps([*RULES])
    return f"(name) => {{ if ({names}.includes(name)) tinydiff.open('.td-rules'); return []; }}"


def build_hands() -> tuple:
    """What else a visitor can do: the button for what is doubted in a text of their own, how much
    of one is written anew, the button for that, and the one with which they are the sampler
    themselves."""
    with gr.Accordion("Touch it", open=False, elem_classes="td-more td-hands", elem_id="hands"):
        gr.HTML(DOUBTED, apply_default_css=False)
        doubts = gr.Button("What does it doubt in it?", size="sm", elem_id="doubt-mine")
        share = gr.Slider(
            0.05,
            1,
            0.4,
            step=0.05,
            label="Rewrite a text of yours",
            info="Write it under “Begin with”. From nearly as it is, to nothing left of it.",
            elem_id="share",
        )
        rewrite = gr.Button("Rewrite it", size="sm", elem_id="rewrite-mine")
        gr.HTML(YOURS, apply_default_css=False)
        mine = gr.Button("You uncover the words", size="sm", elem_id="your-turn")
    return doubts, share, rewrite, mine


DOUBTED = (
    "<p class='td-yours'><b>A text of yours</b> Write a whole one under “Begin with”. Would the "
    "model write each word there, given all the others?</p>"
)
YOURS = (
    "<p class='td-yours'>Be the sampler: one look at a time, click a hidden word and take one of "
    "the network's five bets. Then let the machine finish.</p>"
)
