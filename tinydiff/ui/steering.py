"""The fields of the guides: a menu for each attribute of the label, and a widget for each option
that a guide declares, shown where the model can do it.

What is hidden has its usual value, so that nothing is asked of a model that it cannot do.
"""

from __future__ import annotations

import gradio as gr

from tinydiff import guides
from tinydiff.options import Choice, Model, Option, Words
from tinydiff.processes import Process
from tinydiff.runs import parts_of
from tinydiff.store import catalogue
from tinydiff.store.checkpoint import BOUNDS
from tinydiff.ui.request import LIMITS, opening
from tinydiff.ui.tab import RESEARCH, Menu, spaced

# what is not for researchers alone
PLAIN = {"temperature", "contains", "no_letters", "ends_with", "exactly", "each_begins"}
PLAIN |= {"acrostic", "line_ends", "form", "crossword", "passive"}
# names that a menu offers beside one's own
BUNDLED = {"classifier": catalogue.classifiers, "drafter": catalogue.of_masks}
FINE = {"temperature": 0.05, "top_p": 0.05}  # steps of sliders, of others a hundredth

# of the menus for the label, one for each attribute that a model may have
LABELS = ("label", *(f"label-{n}" for n in range(2, BOUNDS["attributes"][1] + 1)))


def count() -> int:
    """How many fields there are."""
    return len(LABELS) + len(guides.options())


def rules() -> list[str]:
    """The options that say what the whole text may be; they stand last of all."""
    return [name for each in guides.in_order() if each.stage == "pattern" for name in each.options]


def fields(process: Process, ruled: bool) -> list:
    """The widgets of all options of guides that are `rules`, or of all others, with the menus for
    the label before them."""
    found = menus(process)
    updates, usual, known = found[len(LABELS) :], opening(), guides.options()
    firsts = {name: {"value": usual[name]} | shown(update) for name, update in zip(known, updates)}

    def made(names) -> list:
        return [widget(name, known[name], name, firsts[name]) for name in names]

    if ruled:
        return made(rules())
    kinds = [
        Menu(
            **shown(update),
            info="What kind of text it is to be, of those that the model was told.",
            elem_id=elem_id,
        )
        for elem_id, update in zip(LABELS, found)
    ]
    return [*kinds, *made(name for name in known if name not in rules())]


def menus(process: Process) -> list[dict]:
    """An update for each field, for another model. What it cannot do is hidden and has its usual
    value, and so have menus of what depends on the model."""
    updates = [kinds_of(process, place) for place in range(len(LABELS))]
    able, usual = guides.offered(process), opening()
    for name, option in guides.options().items():
        update = gr.update(visible=name in able) | menu_of(option, process)
        updates.append(update if name in able else update | {"value": usual[name]})
    return updates


def kinds_of(process: Process, place: int) -> dict:
    """The menu of an attribute of the label."""
    known = list(process.attributes.items())
    name, values = known[place] if place < len(known) else ("label", ())
    kinds = [("any", ""), *((value, value) for value in values)]
    title = f"Label: {name}" if len(known) > 1 else "Label"  # the text's length is a field too
    return gr.update(visible=bool(values), choices=kinds, value="", label=title)


def menu_of(option: Option, process: Process) -> dict:
    """What a menu of an option holds, which depends on the process; no other option does."""
    if not isinstance(option.span, Choice):
        return {}
    values = option.span.of(process)
    return dict(choices=[(spaced(str(value)), value) for value in values], value=values[0])


def values_of(settings: dict, updates: list[dict]) -> list[dict]:
    """The updates of `menus` with the values that settings have."""
    label, n = settings["label"], len(LABELS)
    kinds = [{**update, "value": told(label, update)} for update in updates[:n]]
    kept = {name: settings[name] for name in guides.options() if settings[name] is not None}
    kept = dict.fromkeys(guides.models(), "") | kept  # no model is an empty field
    return kinds + [
        {**update, "value": kept[name]} if name in kept else update
        for name, update in zip(guides.options(), updates[n:])
    ]


def told(label: str, update: dict) -> str:
    """Of a label the value that is in a menu, "" where none is."""
    values = [value for _, value in update["choices"]]
    return next((name for name in (label, *parts_of(label)) if name in values), "")


def settings_of(values: tuple) -> dict:
    """Settings from the values of the fields."""
    kinds = [value for value in values[: len(LABELS)] if value not in (None, "")]
    label = kinds[0] if len(kinds) == 1 else ", ".join(map(str, kinds))
    named = zip(guides.options(), values[len(LABELS) :])
    models = guides.models()
    return {"label": label} | {
        k: value for k, value in named if value is not None and (value or k not in models)
    }


def widget(name: str, option: Option, elem_id: str, first: dict) -> gr.Component:
    """A slider, a menu or a line of text for an option, for a model its name or its id on the Hub;
    `first` is what it shows at first."""
    span, about = option.span, option.span.about
    named = dict(
        label=name.replace("_", "-" if elem_id == name else " ").capitalize(),
        info=about[0].upper() + about[1:] + ".",
        elem_id=elem_id,
        elem_classes=[] if name in PLAIN else RESEARCH,
    )
    if isinstance(span, Model) and name in BUNDLED:
        names = [("none", ""), *((known, known) for known in BUNDLED[name]())]
        given = {"value": option.default or "", **named, **first}
        return gr.Dropdown(names, **given, allow_custom_value=True)
    if isinstance(span, Model):
        return gr.Textbox(**{"value": option.default, **named, **first}, max_length=300)
    if isinstance(span, Words):
        return gr.Textbox(**{"value": option.default, **named, **first}, max_length=span.most)
    if isinstance(span, Choice):
        return Menu(**{"choices": [], **named, **first})
    low, high = LIMITS[name][:2] if elem_id == name and name in LIMITS else (span.low, span.high)
    step = 1 if type(option.default) is int else FINE.get(name, (high - low) / 100)
    return gr.Slider(low, high, **{"value": option.default, **named, **first}, step=step)


def shown(update: dict) -> dict:
    """An update as the arguments of a widget."""
    return {k: v for k, v in update.items() if k != "__type__"}
