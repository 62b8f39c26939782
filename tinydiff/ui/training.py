"""The tab How ours learned: how a checkpoint came to be: its curves, its samples through training
as a flip-book, and its facts."""

from __future__ import annotations

import math

import gradio as gr

from tinydiff.measure.families import untrained
from tinydiff.processes import PROCESSES
from tinydiff.randomness import seeded
from tinydiff.sentences import brief
from tinydiff.show import plots
from tinydiff.store import catalogue
from tinydiff.store.card import drawable
from tinydiff.store.catalogue import Model
from tinydiff.store.checkpoint import Card
from tinydiff.ui.errors import refusal, refusals
from tinydiff.ui.request import look_up, opened_among
from tinydiff.ui.session import Session
from tinydiff.ui.tab import HUB_QUEUE, QUIET, Panel, Site, Tab, first_model, in_menus, menu
from tinydiff.uncertainty import written

PAGE = 256  # characters of the perfect language's sample


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    first = first_model()
    known = catalogue.guests("text") | catalogue.bundled() | catalogue.models()
    gr.Markdown(
        "A network that knows nothing gives every character the same chance: log 65 = 4.17 "
        "nats. Drag through its training "
        "to see letters, then words, then lines come."
    )
    model = gr.Dropdown(
        menu(known | catalogue.rewriters()),
        value=first,
        label="Model",
        elem_id="training-model",
        info="Or a Hub id. Whose training is shown; a perfect network was never trained.",
        allow_custom_value=True,
    )
    panel = Panel("training", story(first))
    model.input(changed, [site.session, model], [model, panel], **QUIET, **HUB_QUEUE)
    site.offer(in_menus(model, of=offered), [model])
    gr.api(answer, api_name="training")


def offered(session: Session) -> dict[str, Model]:
    """All models that tell of their training, and the perfect networks."""
    known = catalogue.bundled() | catalogue.models() | catalogue.rewriters()
    return known | session.recent


def changed(session: Session, name: str) -> tuple:
    """Another model: the models to choose from, and what the panel shows of it."""
    with refusals():
        key = pulled(look_up(name, session, lambda model: True), session)
        return gr.update(choices=menu(offered(session)), value=key), story(key)


def pulled(name: str, session: Session) -> str:
    """The key of a model whose card is here. Raises ValueError."""
    known = offered(session)
    if (key := catalogue.named(name, known)) in known and not catalogue.of_hub(key):
        return key
    return opened_among(name, known, session)[0].key


def answer(model: str) -> dict:
    """What the panel shows of a model. Raises gr.Error for an unknown one."""
    known = catalogue.bundled() | catalogue.models() | catalogue.rewriters()
    key = catalogue.named(model, known)
    if not isinstance(key, str) or key not in known:
        there = ", ".join(catalogue.short(known))
        raise refusal(f"There is no model {brief(key)}; there are {there}.")
    return story(key)


def story(key: str) -> dict:
    """Picture, pages of the flip-book, facts and a sentence about a model."""
    card = catalogue.card_of(key)
    return checkpoint_story(card) if card else perfect_story(key)


def checkpoint_story(card: Card) -> dict:
    family, rows = card.config["process"], drawable(card.metrics)
    return {
        "family": family,
        "picture": picture(rows, bound_of(card), family) if rows else "",
        "pages": [
            dict(step=row["step"], valid=row["valid"], text=row["sample"])
            for row in rows
            if row.get("sample")
        ],
        "facts": facts(card),
        "note": note(rows, PROCESSES[family].traits),
    }


def bound_of(card: Card) -> float | None:
    return card.evaluation.get("bound", {}).get("nats")


def picture(rows: list[dict], bound: float | None, family: str) -> str:
    last = rows[-1]
    alt = (
        f"Training loss and validation bound against the step: after {last['step']:,} steps "
        "the bound is "
        f"{last['valid']:.3f} nats a character, {last['valid'] / math.log(2):.3f} bits"
    )
    return plots.both(plots.training, rows, bound, family, alt=alt, wide=620)


def note(rows: list[dict], traits: frozenset[str]) -> str:
    if not rows:
        return "This checkpoint brought no metrics.jsonl, so how it was trained is not known."
    if len(rows) < 3:
        return (
            "This checkpoint is young: it was validated only a few times, so there is little of "
            "a curve yet."
        )
    noise = (
        (", noise levels drawn where they teach most", ", all noise levels alike")
        if "diffusion" in traits
        else ("", "")
    )
    return (
        f"The training loss is of windows drawn that moment{noise[0]}; the validation bound "
        "is of text that was never trained "
        f"on{noise[1]}. The shade between them is the gap."
    )


def facts(card: Card) -> list[tuple[str, str]]:
    """(what, how much) in the order in which one asks."""
    config, evaluation = card.config, card.evaluation
    net, made = config["net"], config.get("training", {})
    found = [
        ("Hardware", config.get("hardware")),
        ("Time", duration(config.get("seconds"))),
        (
            "Steps",
            made.get("steps")
            and f"{config.get('step', 0):,} of {made['steps']:,}, {made.get('batch')} windows each",
        ),
        ("Parameters", f"{parameters(card) / 1e6:.1f} million"),
        (
            "Network",
            f"{net['layers']} layers, {net['heads']} heads, width {net['width']}, "
            f"{net['length']} {'tokens' if 'tokenizer' in config else 'characters'}",
        ),
        (
            "Schedule",
            f"{config['schedule']['name']}, {config['schedule']['floor']:.2g} of the text "
            "left at t = 1",
        ),
        (
            "Options",
            ", ".join(
                f"{name} {value}" for name, value in config.get("options", {}).items()
            ).replace("_", " "),
        ),
        ("Corpus", config["corpus"].replace("_", " ").title()),
        ("Task", config.get("task")),
        ("Held-out bound", bound_text(evaluation.get("bound"))),
        ("On trained text", bound_text(evaluation.get("train_bound"))),
        ("Gap", gap(evaluation)),
    ]
    return [(what, text) for what, text in found if text]


def parameters(card: Card) -> int:
    """How many numbers the weights are, whether they are there or not."""
    return sum(p.numel() for p in untrained(card).parameters())


def duration(seconds: float | None) -> str | None:
    return f"{seconds / 60:.0f} minutes" if seconds else None


def bound_text(bound: dict | None) -> str | None:
    if not bound:
        return None
    error = bound.get("error")
    bits = written(bound["nats"] / math.log(2), error and error / math.log(2))
    return f"{written(bound['nats'], error)} nats, {bits} bits a character"


def gap(evaluation: dict) -> str | None:
    if not (evaluation.get("bound") and evaluation.get("train_bound")):
        return None
    heldout, seen = evaluation["bound"], evaluation["train_bound"]
    # of different texts, so they do not move together
    error = math.hypot(heldout.get("error") or 0, seen.get("error") or 0)
    return (
        f"{written(heldout['nats'] - seen['nats'], error, signed=True)} nats a character, held-out "
        "less trained-on"
    )


def perfect_story(key: str) -> dict:
    """A perfect network has no training: what it knows, and a page of its language."""
    language = catalogue.bigrams()
    ids = language.sample(1, PAGE, seeded(1))[0]
    nats = language.entropy(PAGE) / PAGE
    return {
        "family": catalogue.models()[key].process,
        "picture": "",
        "pages": [dict(step=0, valid=nats, text=language.tokenizer.decode(ids))],
        "facts": [
            ("Network", "none: Bayes' rule, computed for each call"),
            ("Language", "a Markov chain of the character pairs of Tiny Shakespeare"),
            (
                "Its entropy",
                f"{nats:.4f} nats, {nats / math.log(2):.3f} bits a character: no loss can be lower",
            ),
        ],
        "note": "A perfect network was never trained: it knows its language exactly, so every "
        "error left is the sampler's. This is a page of that language.",
    }


TAB = Tab("training", "How ours learned", build=build)
