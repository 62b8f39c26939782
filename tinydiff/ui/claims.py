"""The tab Claims: what is said of text diffusion, and what was measured of it (tinydiff/claims).

Nothing is computed here; the page asks for the cards when the tab is first seen.
"""

from __future__ import annotations

import json
from functools import lru_cache

import gradio as gr

from tinydiff import runs
from tinydiff.claims import CLAIMS, SURPRISING, Answer, Claim, Play, Plot, Points, results, told
from tinydiff.measure.printed import CARDS, Card, measured
from tinydiff.show import plots, points
from tinydiff.ui import originals, recording
from tinydiff.ui.request import query
from tinydiff.ui.tab import QUICK, Panel, Site, Tab
from tinydiff.uncertainty import written

ABOUT = (
    "What is said of text diffusion, and what we measured. Every answer has its error, the run to "
    "watch and the command that made it; a difference within twice its error is undecided. The "
    "judge is a language model from elsewhere: the fewer bits it needs for a text, the likelier it "
    "finds it. "
    "Measured on small models of children's stories: what holds here may fail in large ones."
)


WORDS = {  # that the cards use, for who is new to them
    "autoregressive": "writes one word after the other, from left to right, as chatbots do",
    "masked": "diffusion whose noise hides words; uniform noise puts wrong ones in their place",
    "tokens": "words, and pieces of rare words",
    "bits a character": "how surprised the judge is by a text: fewer is better",
    "nats": "bits by another name: a nat is 1.44 of them",
    "bound": "bits of true text under a model at the most: how well it has learned",
    "linear, cosine, sqrt, ddpm": "schedules: how much of a text is hidden at each time",
    "steps of equal information": "each uncovers the same share of the text",
    "sliding window": "a long text written piece by piece, the last half of each given to the next",
    "score entropy": "another loss for masks (SEDD): how much likelier each word would be",
    "behind": "what follows: the 64 tokens behind a beginning are written after it",
    "perfect network": "one that knows each bet exactly, of a tiny language: what is still wrong "
    "is the fault of the steps",
    "0.9 ± 0.1": "the figure and its standard error",
}
LETTERS = {  # of the formulas on the cards of misprints
    "x₀, xₜ": "the clean text, as numbers; what noise has made of it in t of T steps",
    "βₜ": "how much noise step t adds",
    "αₜ, ᾱₜ": "what step t leaves of the text, 1 − βₜ; what all steps up to t leave together",
    "ε": "the noise that is in xₜ, as the network sees it",
    "σₜ z": "fresh noise, which a step puts on again",
}
ASKING = "tinydiff.asking('Claims', element, () => trigger('opened'), props, watch)"


def build(site: Site) -> None:
    """The panel, which is empty until it is seen."""
    gr.Markdown(ABOUT)
    panel = Panel("claims", js_on_load=ASKING)
    panel.opened(answer, None, panel, **QUICK)


def answer() -> dict:
    """What the panel shows: a string of JSON, which Gradio's page does not walk through."""
    return {"packed": packed()}


@lru_cache(maxsize=1)
def packed() -> str:
    return json.dumps(shown(), ensure_ascii=False, separators=(",", ":"))


def shown() -> dict:
    """The cards of all claims that were measured, the surprising ones named first."""
    found = results.answers()
    cards = [card(CLAIMS[name](), *of_it) for name, of_it in found.items()]
    first = [surprise(name, found[name][2]) for name in SURPRISING if name in found]
    watched = [dict(title=title, link=link) for title, link in originals.links()]
    return dict(
        cards=cards,
        first=first,
        mistakes=mistakes(),
        originals=watched,
        words=[*WORDS.items()],
        letters=[*LETTERS.items()],
    )


def surprise(name: str, found: Answer) -> dict:
    """An answer that is named first."""
    return dict(name=name, text=found.short, verdict=found.verdict)


def mistakes() -> list[dict]:
    """The cards on which a misprint is to be found, with what was measured of it."""
    rows = recording.load(TAB.name).get("mistakes", [])
    return [
        dict(
            title=card.title,
            question=card.question,
            printed=card.printed,
            right=card.right,
            hint=card.hint,
            why=card.why,
            found=[row["sentence"] for row in rows if row["mistake"] == card.name],
            plays=watched(card),
            unseen=card.unseen,
        )
        for card in CARDS
        if rows
    ]


HOW = ("Watch it as printed", "Watch it put right")
RECORDED = {"schedule": ("as-written", "rescaled")}  # mistakes that are seen in a recorded run
COIN = {"model": "perfect-bits", "steps": 128, "length": 64, "seed": 1}


def watched(card: Card) -> list[dict]:
    """The run in which its mistake is seen, and the same with the right formula; none where there
    is none."""
    if pair := RECORDED.get(card.name):
        links = {f"?recorded={name}" for name in pair} & {link for _, link in originals.links()}
        named = zip(HOW, pair) if len(links) == len(pair) else ()
        return [dict(title=title, link=f"?recorded={name}") for title, name in named]
    if not card.settings or card.unseen:
        return []
    right = {name: value for name, value in card.settings.items() if name != "options"}
    both = zip(HOW, (card.settings, right))
    return [dict(title=title, link=link(Play("", COIN | named))) for title, named in both]


def record() -> None:
    """Measure the misprints, for the first view."""
    recording.save(TAB.name, {"mistakes": measured()}, [])


def card(claim: Claim, result: dict, seen: Points, found: Answer) -> dict:
    """Everything that is shown of a claim."""
    return dict(
        name=claim.name,
        said=claim.said,
        verdict=found.verdict,
        brief=found.short,
        answer=found.text,
        how=claim.how,
        note=claim.note,
        pictures=[picture(plot, name, seen) for name, plot in drawn(claim, seen)],
        plays=[dict(title=play.title, link=link(play)) for play in claim.plays()],
        tables=[table(plot, name, seen) for name, plot in drawn(claim, seen)],
        facts=told.facts(claim, result),
    )


def drawn(claim: Claim, seen: Points) -> list[tuple[str, Plot]]:
    """The pictures of a claim that have points."""
    return [(name, plot) for name, plot in claim.plots.items() if seen.labels(name)]


def picture(plot: Plot, name: str, seen: Points) -> dict:
    """A picture with its title."""
    lines = []
    for label in seen.labels(name):
        line = seen.line(name, label)
        x, y, errors = zip(*((p.x, p.value, p.error) for p in line))
        lines.append(points.Line(label, x, y, errors, line[0].family))
    alt = f"{plot.title}; {plot.y} against {plot.x}: " + "; ".join(
        f"{line.label} {written(line.y[-1], line.errors[-1])} at {line.x[-1]:g}" for line in lines
    )
    axes = (plot.x, plot.y, plot.doubling, plot.log)
    return dict(title=plot.title, svg=plots.both(points.picture, lines, *axes, alt=alt, wide=540))


def table(plot: Plot, name: str, seen: Points) -> dict:
    """The figures of a picture."""
    head, *rows = told.figures(plot, name, seen)
    return dict(title=f"{plot.title}: {plot.y}", head=head, rows=rows)


def link(play: Play) -> str:
    """Where a button leads: a run of Watch by its settings, or a tab."""
    if play.settings is None:
        return f"#{play.tab}"
    return "?" + query(runs.request(dict(play.settings)).settings)


TAB = Tab("claims", "Claims", build=build, record=record)
