"""All families on one axis: what every bundled checkpoint reached, and the error that each sampler
has of its own.

`python -m tinydiff families` makes both from the checkpoints' evaluations and from perfect
networks, and writes assets/recorded/families.json, which the page shows and the README quotes. A
call is timed on this machine, one text of 256 characters, in the precision that pages use; weights
are not needed for that, so a family whose weights were left out for want of room is timed as well.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from itertools import groupby

import torch

from tinydiff.exact import bigram_divergence, perfect
from tinydiff.files import write_text
from tinydiff.generate import generate
from tinydiff.measure import evaluate
from tinydiff.nets import precision
from tinydiff.paths import ASSETS
from tinydiff.processes import PROCESSES, Process, build
from tinydiff.randomness import seeded
from tinydiff.samplers import SAMPLERS, column
from tinydiff.store import catalogue, checkpoint
from tinydiff.store.card import judge, outside
from tinydiff.store.checkpoint import Card
from tinydiff.text import Canvas
from tinydiff.uncertainty import percent, written

RECORDED = ASSETS / "recorded" / "families.json"
AT = (8, 32, 128)  # steps at which quality is compared
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)  # steps at which a sampler's own error is measured
TEXTS, LENGTH = 32, 128  # for that
OUTSIDE = ("outside", "outside_error", "perplexity")  # what the outside judge says of texts


# ---------------------------------------------------------------- the table


def measured() -> list[dict]:
    """A row for each evaluated checkpoint that writes plain text, corpus by corpus, the fewest bits
    first."""
    corpora = dict.fromkeys(model.corpus for model in catalogue.bundled().values())
    return [row for corpus in corpora for row in measured_of(corpus)]


def measured_of(corpus: str) -> list[dict]:
    """The rows of a corpus."""
    cards = cards_of(corpus)
    rows = sorted((row(card) for card in cards if card.evaluation), key=lambda found: found["bits"])
    bounds = {card.path.name: card.evaluation.get("bound") for card in cards}
    return [
        found | {"behind": behind(found["name"], [r["name"] for r in rows[:place]], bounds)}
        for place, found in enumerate(rows)
    ]


def with_guest(result: dict, card: Card, name: str) -> dict:
    """The recorded table with a row for a checkpoint that is not bundled, behind those of its text
    that need fewer bits. Raises ValueError where it was not evaluated."""
    found = card.evaluation
    if not found.get("bound") or not (found["steps"] or found["single"]):
        raise ValueError(
            f"{name!r} brought no evaluation, so it has no row here: `python -m tinydiff eval` "
            "measures a checkpoint before it is pushed."
        )
    own = row(card, name, repeats=1) | {"behind": None}
    rows = result.get("rows", [])
    corpora = dict.fromkeys(r["corpus"] for r in rows) | {own["corpus"]: None}
    found = sorted([*rows, own], key=lambda r: r["bits"])
    return result | {"rows": [r for corpus in corpora for r in found if r["corpus"] == corpus]}


def cards_of(corpus: str) -> list[Card]:
    """The cards of a corpus's checkpoints that write plain text."""
    models = catalogue.bundled().items()
    return [
        catalogue.card_of(k) for k, model in models if model.corpus == corpus and not model.task
    ]


def behind(name: str, above: list[str], bounds: dict[str, dict]) -> dict | None:
    """How many more bits a character it needs than the nearest of the rows above that was measured
    on the same windows; None where none was."""
    for other in reversed(above):
        try:
            found = evaluate.compare(bounds[name], bounds[other])
        except ValueError:
            continue
        return dict(
            name=other,
            bits=found.value / math.log(2),
            error=found.error and found.error / math.log(2),
        )
    return None


def row(card: Card, name: str = "", repeats: int = 9) -> dict:
    """One checkpoint's row: bits with their standard error, quality at few and many steps, cost.
    name: by default its folder's; repeats: calls of which the median time is taken."""
    config, found = card.config, card.evaluation
    process = untrained(card)
    return dict(
        name=name or card.path.name,
        corpus=config["corpus"],
        process=config["process"],
        title=PROCESSES[config["process"]].title,
        bits=found["bound"]["bits"],
        error=found["bound"]["error"] and found["bound"]["error"] / math.log(2),
        blocks=bool(found["bound"].get("each")),
        exact="causal" in process.traits and process.tokenizer.one_way,
        quality=quality(found),
        curve=curve(found),
        default={key: found["default"].get(key) for key in OUTSIDE},
        frontier=frontier(found),
        ms=milliseconds(process, repeats),
        parameters=sum(p.numel() for p in process.parameters()),
        minutes=config.get("seconds", 0) / 60,
        steps=config.get("step", 0),
        before=config.get("before", {}),
        hardware=config.get("hardware", ""),
    )


def curve(found: dict) -> list[dict]:
    """The evaluation's rows of the first sampler along the steps; the only row of a sampler that
    takes one call a character."""
    rows = found["steps"] or found["single"]
    return [
        {
            key: r.get(key)
            for key in ("sampler", "steps", "calls", "bits", "words", "bits_error", "words_error")
        }
        for r in rows
        if r["sampler"] == rows[0]["sampler"]
    ]


def frontier(found: dict) -> list[dict]:
    """The evaluation's rows over temperatures, of the first sampler, where distinct 4-grams of
    words were counted."""
    rows = found["temperatures"]
    return [
        {key: r.get(key) for key in ("temperature", "distinct4_words", "bits", "outside")}
        for r in rows
        if r["sampler"] == rows[0]["sampler"] and r.get("distinct4_words") is not None
    ]


def quality(found: dict) -> dict[str, dict]:
    """Judge's bits and share of real words at each number of steps in AT; a sampler whose steps do
    not matter has one entry, at the last of them."""
    rows = {r["steps"]: r for r in curve(found)} if found["steps"] else {AT[-1]: curve(found)[0]}
    kept = ("bits", "words", "bits_error", "words_error")
    return {str(n): {key: rows[n].get(key) for key in kept} for n in AT if n in rows}


def untrained(card: Card) -> Process:
    """The checkpoint's process with random weights, to time a call of."""
    config, tokenizer = card.config, checkpoint.tokenizer_of(card.config, card.path)
    process = build(
        config["process"], tokenizer, **config["net"], options=config.get("options", {})
    )
    return process.eval()


def milliseconds(process: Process, repeats: int = 9) -> float:
    """The median time of a call for one text of 256 characters, or of the network's window where
    that is smaller."""
    canvas, rng = Canvas.blank(min(256, process.length or 256)), seeded(0)
    x = process.noise.prior(canvas, rng)
    t = canvas.time(1.0)
    autocast = precision("auto", process.device)
    took = []
    with torch.no_grad(), autocast():
        for _ in range(2 + repeats):
            start = time.perf_counter()
            process.denoise(x, t)
            took.append(1000 * (time.perf_counter() - start))
    return statistics.median(took[2:])


# ---------------------------------------------------------------- each sampler's own error


def errors(
    say: Callable[[str], None] = lambda line: None, before: dict[str, dict[str, list]] | None = None
) -> dict[str, dict[str, list]]:
    """process -> sampler -> [calls, divergence in nats a character] for the perfect network of the
    bundled language. `before`: errors that were recorded before, which are kept.
    """
    found: dict[str, dict[str, list]] = {}
    for name in catalogue.perfect_families():
        process = perfect(name, catalogue.bigrams())
        for sampler in column(process):
            if recorded := (before or {}).get(name, {}).get(sampler):
                found.setdefault(name, {})[sampler] = recorded
                continue
            say(f"{name} with {sampler}")
            chosen = SAMPLERS[sampler]
            counts = (
                chosen.different(process, Canvas.blank(LENGTH), COUNTS)
                if chosen.steps_matter
                else COUNTS[-1:]
            )
            found.setdefault(name, {})[sampler] = [divergence(process, sampler, n) for n in counts]
    return found


def divergence(process: Process, sampler: str, steps: int) -> list:
    """[calls, nats a character] of TEXTS texts: how far their pairs of characters are from the
    language's own."""
    *_, frame = generate(process, Canvas.blank(LENGTH, TEXTS), sampler=sampler, steps=steps)
    return [frame.calls, round(bigram_divergence(frame.tokens, catalogue.bigrams()), 5)]


def floor(draws: int = 8) -> float:
    """The mean divergence that as many true texts give."""
    rng, language = seeded(0), catalogue.bigrams()
    return (
        sum(bigram_divergence(language.sample(TEXTS, LENGTH, rng), language) for _ in range(draws))
        / draws
    )


# ---------------------------------------------------------------- the record


def record(say: Callable[[str], None] = lambda line: None, anew: bool = True) -> dict:
    """Measure everything, write it to families.json, and return it. Without `anew` the samplers'
    errors that were recorded are kept. Raises CheckpointError where no models are bundled."""
    catalogue.check_assets("The table of families")
    before = {} if anew else read().get("errors", {})
    rows = measured()
    corpora = dict.fromkeys(row["corpus"] for row in rows)
    result = dict(
        rows=rows,
        real={corpus: catalogue.real_text(corpus) for corpus in corpora},
        yardsticks={corpus: catalogue.yardsticks(corpus) for corpus in corpora},
        errors=errors(say, before),
        floor=floor(),
        texts=TEXTS,
        length=LENGTH,
    )
    write_text(RECORDED, json.dumps(result, ensure_ascii=False, indent=1))
    return result


def read() -> dict:
    """The recorded table; {} where there is none."""
    return checkpoint.read_json(RECORDED)


def markdown(result: dict, corpus: str = "") -> str:
    """The table as it stands in the documents; columns in which nothing stands are left out.
    corpus: of that one alone."""
    head = [
        "family",
        "text",
        "bits a character",
        "more than a row above",
        *(f"judge, {n}" for n in AT),
        *(f"words, {n}" for n in AT),
        "outside judge",
        "ms a call",
        "parameters",
        "steps",
        "minutes",
    ]
    text = [cells for _, cells in table_rows(result) if corpus in ("", cells[1])]
    rows = [head, *text]
    kept = [i for i in range(len(head)) if any(row[i] for row in rows[1:])]
    lines = ["| " + " | ".join(row[i] for i in kept) + " |" for row in rows]
    return "\n".join([lines[0], "|---|" + "--:|" * (len(kept) - 1), *lines[1:]])


def table_rows(result: dict) -> list[tuple[dict, list[str]]]:
    """The rows of the table with their cells; below those of each text the text itself, an empty
    row, as its judges read it."""
    found: list[tuple[dict, list[str]]] = []
    for corpus, rows in groupby(result.get("rows", []), lambda row: row["corpus"]):
        found += [(row, table_cells(row)) for row in rows]
        if real := result.get("real", {}).get(corpus):
            last = [""] * (len(AT) - 1)
            words = percent(real.get("words"), real.get("words_error"))
            read = [*last, judge(real), *last, words, outside(real)]
            found.append(({}, ["real text", said(corpus), "", "", *read, *[""] * 4]))
    return found


def said(corpus: str) -> str:
    return corpus.replace("_", " ")


def table_cells(found: dict) -> list[str]:
    """One row in words. A star is an error of windows that were taken for independent."""
    at = [found["quality"].get(str(n), {}) for n in AT]
    ours = [judge(q) for q in at]
    words = [percent(q.get("words"), q.get("words_error")) for q in at]
    sign, star = "" if found["exact"] else "≤ ", "" if found.get("blocks") else " *"
    bits = f"{sign}{written(found['bits'], found['error'])}{star}"
    more = found.get("behind")
    behind = f"{written(more['bits'], more['error'], signed=True)} ({more['name']})" if more else ""
    told = dict(step=found["steps"], seconds=60 * found["minutes"], before=found.get("before"))
    cost = [f"{found['ms']:.1f}", f"{found['parameters'] / 1e6:.2f} M", *steps_and_minutes(told)]
    beyond = outside(found.get("default", {}))
    return [found["name"], said(found["corpus"]), bits, behind, *ours, *words, beyond, *cost]


def steps_and_minutes(config: dict) -> tuple[str, str]:
    """Steps and minutes of a training, behind those of the network that it was begun with."""
    parts = [part for part in (config.get("before"), config) if part]
    steps = (f"{part.get('step', 0):,}" for part in parts)
    minutes = (f"{part.get('seconds', 0) / 60:.0f}" for part in parts)
    return " + ".join(steps), " + ".join(minutes)
