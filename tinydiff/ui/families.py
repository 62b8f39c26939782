"""The tab Families: every bundled family on one axis, and each sampler's own error, as `python
-m tinydiff families` measured them. Nothing is computed here but the time of a call of a checkpoint
that a visitor puts beside them, whose other figures are those it brought.
"""

from __future__ import annotations

import math

import gradio as gr

from tinydiff.measure import evaluate, families
from tinydiff.processes import PROCESSES
from tinydiff.sentences import brief
from tinydiff.show import plots
from tinydiff.store import catalogue
from tinydiff.ui.errors import refusals
from tinydiff.ui.request import look_up, open_model, writes
from tinydiff.ui.session import Session
from tinydiff.ui.tab import HUB_QUEUE, QUIET, Panel, Site, Tab, menu
from tinydiff.uncertainty import written

NOBODY = ""
READING = (
    "Two texts to learn from, stories in pieces of words and Shakespeare in characters; for "
    "each the same network for all families. How long each learned stands beside it, behind "
    "what the network had learned that it began with. **Bits a character** are what a family "
    "needs for text that it never saw (an upper bound, but for autoregression over characters), "
    "so that discrete and continuous noise stand on one axis. Their errors are those of this "
    "text as a sample of others and move together; how far two models are apart on the same "
    "windows is much surer, and stands beside them. A star: the weights are not here, and the "
    "error takes neighbouring windows for independent, which is several times too sure. Words "
    "are of four letters or more. The judge is the autoregressive model of the same text; the "
    "outside judge is a pretrained language model that never learned from it (perplexity of a "
    "word in brackets). The colder a sampler, the likelier its texts and the more they repeat: "
    "judges are compared at equal shares of distinct phrases, further to the right and below is "
    "better."
)
NONE = (("nothing", NOBODY),)
HEAD = [
    "family",
    "text",
    "bits a character",
    "more than a row above",
    *(f"judge, {n} steps" for n in families.AT),
    *(f"words, {n} steps" for n in families.AT),
    "outside judge",
    "ms a call",
    "parameters",
    "training steps",
    "minutes",
]


def build(site: Site) -> None:
    """The widgets of the tab."""
    gr.Markdown("For researchers: every bundled model on one axis, and what was measured of each.")
    with gr.Accordion("How to read the table", open=False, elem_classes="td-more"):
        gr.Markdown(READING)
    first = next(iter(catalogue.guests("text")), NOBODY)
    try:
        shown = story(first)
    except ValueError:
        first, shown = NOBODY, story()
    model = gr.Dropdown(
        [*NONE, *guest_menu()],
        value=first,
        label="Beside them",
        allow_custom_value=True,
        elem_id="families-model",
        info="A checkpoint of the Hub, by its id, with the figures that it brought.",
    )
    panel = Panel("families", shown)
    model.input(changed, [site.session, model], [model, panel], **QUIET, **HUB_QUEUE)
    site.offer(lambda session: [gr.update(choices=[*NONE, *guest_menu(session)])], [model])


def guest_menu(session: Session | None = None) -> list[tuple[str, str]]:
    """The checkpoints that are not bundled, for the menu."""
    recent = {k: m for k, m in session.recent.items() if not m.task} if session else {}
    found = catalogue.guests("text") | recent
    return menu(found) if found else []


def changed(session: Session, name: str) -> tuple:
    """Another checkpoint beside the bundled ones: those to choose from, and the panel."""
    with refusals():
        key = open_model(look_up(name, session, writes), session)[0].key if name else NOBODY
        if key and not catalogue.brings_card(key):
            raise ValueError(f"{brief(key)} is no checkpoint of the Hub: bundled ones are here.")
        shown = story(key)
    return gr.update(choices=[*NONE, *guest_menu(session)], value=key), shown


def story(guest: str = NOBODY) -> dict:
    """Everything the panel shows; guest: a checkpoint that is put beside the bundled ones, by its
    key. Raises ValueError where it was not evaluated."""
    result = families.read()
    if guest:
        name = catalogue.short_name(guest)
        result = families.with_guest(result, catalogue.card_of(guest), name)
    rows = result.get("rows", [])
    errors = {p: found for p, found in result.get("errors", {}).items() if p in PROCESSES}
    drawn = [row for row in rows if row["corpus"] == rows[0]["corpus"]]
    pictures = (
        [
            axis(drawn),
            *(against(result, drawn, *what) for what in QUALITY),
            *frontiers(drawn, result.get("real", {}).get(drawn[0]["corpus"], {})),
        ]
        if rows
        else []
    )
    return {
        "head": HEAD,
        "rows": [
            dict(process=row.get("process", ""), title=row.get("title", "real text"), cells=cells)
            for row, cells in families.table_rows(result)
        ],
        "pictures": [*pictures, chains(errors, result["floor"])] if errors else pictures,
        "counts": families.COUNTS,
        "errors": [
            dict(
                process=name,
                title=PROCESSES[name].title,
                rows=[error_row(*item, result["floor"]) for item in found.items()],
            )
            for name, found in errors.items()
        ],
        "note": "How far the texts are from the language they should be of, in nats a character: "
        f"{result.get('texts')} texts of "
        f"{result.get('length')} characters by the perfect network of each noise, so that "
        "every error is the sampler's. As many "
        f"true texts give {result.get('floor', 0):.2f}; the stronger the colour, the further "
        "above that.",
    }


ENDS = (("real text", "real"), ("letters in pairs", "pairs"), ("letters by chance", "letters"))
WORDS = f"share of real words of {evaluate.LETTERS} letters or more"
QUALITY = (("words", WORDS), ("bits", "judge, bits a character"))


def axis(rows: list[dict]) -> str:
    alt = "Bits a character on held-out text: " + "; ".join(
        f"{r['name']} {written(r['bits'], r['error'])}" for r in rows
    )
    return plots.both(plots.on_one_axis, rows, alt=alt, wide=620)


def against(result: dict, rows: list[dict], what: str, ylabel: str) -> str:
    """Quality against calls, a curve a family, all of one corpus."""
    found, corpus = ((r, points(r["curve"], what)) for r in rows), rows[0]["corpus"]
    curves = [
        plots.Curve(r["name"], *some, r["process"], heavy=False) for r, some in found if some[0]
    ]
    known = (result.get(key, {}).get(corpus, {}) for key in ("real", "yardsticks"))
    levels = ends(what, *known)
    alt = f"{ylabel} against calls of the network: " + "; ".join(
        f"{c.label} {c.y[-1]:.2f} at {c.x[-1]} calls" for c in curves
    )
    return plots.both(plots.against_calls, curves, ylabel, levels, alt=alt, wide=540)


def ends(what: str, real: dict, yardsticks: dict) -> list[plots.Level]:
    """What quality is to be compared with: real text, and where it is real words also what chance
    reaches."""
    known = (
        {"real text": real.get("bits")}
        if what == "bits"
        else {name: yardsticks.get(key, {}).get("words") for name, key in ENDS}
    )
    return [plots.Level(name, level) for name, level in known.items() if level is not None]


JUDGES = (("bits", "our judge, bits a character"), ("outside", "outside judge, bits a character"))


def frontiers(rows: list[dict], real: dict) -> list[str]:
    """Quality against diversity, a picture for each judge that read the texts and real text."""
    found = []
    for who, ylabel in JUDGES:
        curves = [curve for row in rows if (curve := over_temperatures(row, who)).x]
        if not curves or real.get(who) is None or real.get("distinct4_words") is None:
            continue
        star = (100 * real["distinct4_words"], real[who])
        alt = f"{ylabel} against distinct 4-grams of words, over temperatures: " + "; ".join(
            f"{c.label} {c.y[0]:.2f} at {c.x[0]:.0f} % to {c.y[-1]:.2f} at {c.x[-1]:.0f} %"
            for c in curves
        )
        found.append(plots.both(plots.frontier, curves, star, ylabel, alt=alt, wide=540))
    return found


def over_temperatures(row: dict, who: str) -> plots.Curve:
    """A family's points, the coldest first."""
    known = [r for r in row.get("frontier", ()) if r.get(who) is not None]
    x, y = [100 * r["distinct4_words"] for r in known], [r[who] for r in known]
    return plots.Curve(row["name"], x, y, row["process"], heavy=False)


def points(rows: list[dict], what: str) -> tuple[list, list]:
    known = sorted((r["calls"], r[what]) for r in rows if r[what] is not None)
    return [x for x, _ in known], [y for _, y in known]


def chains(errors: dict, floor: float) -> str:
    """The error of each noise's own reverse chain against calls."""
    found = {
        name: samplers["ancestral"] for name, samplers in errors.items() if "ancestral" in samplers
    }
    curves = [
        plots.Curve(name, [x for x, _ in points], [y for _, y in points], name, heavy=False)
        for name, points in found.items()
    ]
    alt = (
        "A perfect network's divergence from the language with ancestral steps, against calls: "
        + "; ".join(f"{c.label} {c.y[-1]:.3f} at {c.x[-1]}" for c in curves)
    )
    ylabel, levels = "perfect network, ancestral: nats off", [plots.Level("true texts", floor)]
    return plots.both(plots.error_against_calls, curves, ylabel, levels, alt=alt, wide=540)


def error_row(sampler: str, points: list, floor: float) -> dict:
    """A sampler's errors: what is written in each cell, how dark it is from 0 to 1, and its calls
    where they are not the steps that were asked for. A sampler that takes a call a character has
    one figure, the last.
    """
    steps_of = families.COUNTS[-len(points) :]
    return dict(
        sampler=sampler,
        cells=[
            dict(
                text=f"{nats:.2f}",
                dark=min(1.0, max(0.0, math.log(nats / floor) / math.log(20))),
                calls=calls if calls != steps else None,
            )
            for steps, (calls, nats) in zip(steps_of, points)
        ],
    )


TAB = Tab("all-families", "Families", build=build)
