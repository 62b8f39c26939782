"""What was measured of the bundled models, as tables of Markdown for the documents: nothing in them
is typed, all of it stands in the checkpoints' evaluations and in assets/recorded/families.json.
"""

from __future__ import annotations

import re

from tinydiff.measure import evaluate, families
from tinydiff.measure.evaluate import LETTERS, STEPS, TEMPERATURES
from tinydiff.paths import ASSETS
from tinydiff.store import catalogue, checkpoint, scored
from tinydiff.store.card import columns, judge, phrases_of
from tinydiff.store.checkpoint import Card
from tinydiff.text.tasks import names_of
from tinydiff.uncertainty import percent, written

TRADED = ("shakespeare/masked", "shakespeare/uniform")  # whose temperatures are shown
TALES = "tinystories"
GAPS = (100, 200, 300, 400, 500, 600, 700, 800)  # steps at which two are compared
LEARNED = (100, 200, 300, 400, 800, 1600, 2400)  # steps at which the bound is shown
TWENTY = ASSETS / "recorded" / "twenty.json"
ORDERS = {  # the samplers of perfect networks that are shown
    "masked": ("ancestral", "random", "confidence"),
    "uniform": ("ancestral", "renoise", "gibbs"),
    "gaussian": ("ancestral", "dpm_solver"),
    "bits": ("ancestral", "dpm_solver"),
}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown, the first column to the left and the others to the right."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---|" + "--:|" * (len(head) - 1), *lines[1:]])


def writers(corpus: str = catalogue.BIGRAMS) -> list[Card]:
    """The evaluated models of a corpus that write plain text, fewest bits first."""
    measured = [card for card in families.cards_of(corpus) if card.evaluation]
    return sorted(measured, key=lambda card: card.evaluation["bound"]["bits"])


def rewriters() -> list[Card]:
    """The evaluated models that rewrite, the fewest faults first."""
    one = [key for key, model in catalogue.bundled().items() if model.task and not several(model)]
    cards = map(catalogue.card_of, one)
    return sorted(
        (card for card in cards if card.evaluation), key=lambda card: card.evaluation["mbr"]["cer"]
    )


def several(model: catalogue.Model) -> bool:
    """Has it several tasks?"""
    return bool(names_of(model.task))


def taskers() -> dict[str, dict]:
    """What was written by the networks of several tasks, by their families, masked noise first."""
    keys = [key for key, model in catalogue.bundled().items() if several(model)]
    cards = [card for key in keys if "tasks" in (card := catalogue.card_of(key)).evaluation]
    cards.sort(key=lambda card: (card.config["process"] != "masked", card.config["process"]))
    return {card.config["process"]: card.evaluation["tasks"] for card in cards}


def words(row: dict) -> str:
    """The share of real words; nothing where it was not measured."""
    return percent(row.get("words"), row.get("words_error"))


def nats(bound: dict) -> str:
    """A bound; a star where its error is of windows that were taken for independent."""
    star = "" if bound.get("each") or not bound["error"] else " *"
    return written(bound["nats"], bound["error"]) + star


def settings() -> str:
    """Every model at the settings that the page opens with, beside real text."""
    head = [
        "model",
        f"real words of {LETTERS} letters or more",
        "judge, bits a character",
        "distinct 4-grams",
        "nats a character on training text",
        "on the last 10 %",
        "longest copy",
    ]
    rows = []
    for card in writers():
        found = card.evaluation
        bounds = [nats(dict(found["train_bound"], each=True)), nats(found["bound"])]
        chosen = quality(found["default"])
        rows.append([card.path.name, *chosen, *bounds, str(found["longest_copy"])])
    measured, whole = writers()[0].evaluation, catalogue.yardsticks()["real"]
    real = catalogue.real_text() | dict(words=whole["words"], words_error=whole["error"])
    copied = str(measured["real_longest_copy"])
    return table(head, [*rows, ["real text", *quality(real), "", "", copied]])


def stories() -> str:
    """Every model of stories at the settings that evaluation has, beside real stories."""
    cards = writers(TALES)
    real = cards[0].evaluation["real"]
    known = columns(cards[0].evaluation)
    rows = [
        [card.path.name, *(cell(card.evaluation["default"]) for cell in known.values())]
        for card in cards
    ]
    rows.append(["real stories", *(cell(real) for cell in known.values())])
    return table(["model", *known], rows)


def quality(row: dict) -> list[str]:
    return [words(row), judge(row), percent(row["distinct4"])]


def steps(corpus: str = catalogue.BIGRAMS) -> str:
    """The judge, and real words where they were measured, along the steps of each model's first
    sampler."""
    rows = []
    for card in writers(corpus):
        if not card.evaluation["steps"]:
            continue
        at = {row["steps"]: row for row in families.curve(card.evaluation)}
        if any(count in at for count in STEPS):
            rows.append([card.path.name, *(both(at.get(count, {})) for count in STEPS)])
    return table(["steps", *map(str, STEPS)], rows)


def both(row: dict) -> str:
    return "; ".join(filter(None, (judge(row), words(row))))


def temperatures() -> str:
    """Quality against diversity: judge; real words; distinct 4-grams."""
    rows = []
    for name in TRADED:
        measured = catalogue.found_card(name).evaluation["temperatures"]
        for sampler in dict.fromkeys(row["sampler"] for row in measured):
            at = {row["temperature"]: row for row in measured if row["sampler"] == sampler}
            cells = [f"{both(at[t])}; {percent(at[t]['distinct4'])}" for t in at]
            rows.append([f"{name.split('/')[-1]}, `{sampler}`", *cells])
    return table(["temperature", *map(str, at)], rows)


def frontier() -> str:
    """Stories over temperatures: our judge and the outside one; distinct 4-grams of words."""
    rows = []
    for card in writers(TALES):
        found = card.evaluation["temperatures"]
        at = {row["temperature"]: row for row in found if row["sampler"] == found[0]["sampler"]}
        told = (at.get(t, {}) for t in TEMPERATURES)
        cells = (filter(None, (judge(r), judge(r, "outside"), phrases_of(r))) for r in told)
        rows.append([card.path.name, *map("; ".join, cells)])
    return table(["temperature", *map(str, TEMPERATURES)], rows)


def perfect() -> str:
    """By how many nats a character texts of perfect networks differ from their language."""
    found, rows = families.read(), []
    for process, samplers in ORDERS.items():
        for sampler in samplers:
            measured = found["errors"][process][sampler]
            cells = [f"{value:.2f}" for _, value in measured]
            rows.append([f"{process}, `{sampler}`", *cells])
    true = ["as many true texts", *[f"{found['floor']:.2f}"] * len(families.COUNTS)]
    return table(["steps", *map(str, families.COUNTS)], [*rows, true])


def blocks() -> str:
    """Bounds of `block` for every size of block, beside the models that it lies between."""
    sizes = catalogue.found_card("block").evaluation["blocks"]
    one, other = (catalogue.found_card(name).evaluation for name in ("autoregressive", "masked"))
    rows = [("autoregressive", one["bound"], {}), *((size_of(r), r["bound"], r) for r in sizes)]
    rows.append(("masked", other["bound"], {}))
    cells, before = [], None
    for name, bound, row in rows:
        more = evaluate.compare(bound, before) if before else None
        difference = written(more.value, more.error, signed=True) if more else ""
        cells.append([name, nats(bound), difference, judge(row)])
        before = bound
    head = ["characters a block", "nats a character", "more than the row above", "judge, bits"]
    return table(head, cells)


def size_of(row: dict) -> str:
    return str(row["size"])


def long() -> str:
    """One text of `block`, a thousand characters after the other."""
    rows = catalogue.found_card("block").evaluation["long"]
    head = ["characters until", *(f"{row['until']:,}" for row in rows)]
    return table(
        head,
        [
            ["entropy of characters, bits", *(f"{row['entropy']:.2f}" for row in rows)],
            ["distinct 4-grams", *(percent(row["distinct4"]) for row in rows)],
            ["judge, bits a character", *map(judge, rows)],
        ],
    )


def rewriting() -> str:
    """Errors of the models that rewrite: character errors, lines without a fault."""
    head = ["", "bound, nats a character", "one of five", "nearest of five (minimum Bayes risk)"]
    cards, rows = rewriters(), []
    for card in cards:
        best = card.evaluation["mbr"]
        one = faults(best["cer_of_one"], best["exact_of_one"])
        rows.append(
            [
                card.path.name,
                nats(card.evaluation["bound"]),
                one,
                faults(best["cer"], best["exact"]),
            ]
        )
    copy = cards[0].evaluation["copy"]
    source = ["the source as it is", "", faults(copy["cer"], copy["exact"]), ""]
    return table(head, [source, *rows])


def faults(errors: float, exact: float) -> str:
    return f"{100 * errors:.1f} %, {100 * exact:.3g} %"


def learning() -> str:
    """The bound at validations of the training of every model of stories, nats a character: at
    equal steps, which are equal numbers of tokens, and at the end, with all steps and minutes.
    Counted from the beginning of its own family (`checkpoint.curve`)."""
    rows = []
    for card in families.cards_of(TALES):
        at = dict(map(tuple, checkpoint.curve(card)))
        cells = [f"{at[count]:.3f}" if count in at else "" for count in LEARNED]
        told = families.steps_and_minutes(card.config)
        rows.append([card.path.name, *cells, f"{at[max(at)]:.3f}", *told])
    return table(["steps", *map(str, LEARNED), "at the end", "steps in all", "minutes"], rows)


def gap() -> str:
    """How far masked noise lies above the rival while both learn, at equal steps, which are equal
    numbers of tokens, and at the end of each."""
    cards = (catalogue.found_card(f"stories/{name}") for name in ("masked", "autoregressive"))
    masked, rival = (dict(map(tuple, checkpoint.curve(card))) for card in cards)
    both = [step for step in GAPS if step in masked and step in rival]
    pairs = [(masked[step], rival[step]) for step in both]
    pairs.append((masked[max(masked)], rival[max(rival)]))
    rows = [
        ["masked", *(f"{one:.3f}" for one, _ in pairs)],
        ["autoregressive", *(f"{other:.3f}" for _, other in pairs)],
        ["gap", *(f"{one / other - 1:.0%}" for one, other in pairs)],
    ]
    last = f"{max(masked):,} and {max(rival):,}"
    return table(["steps", *map(str, both), last], rows)


def twenty() -> str:
    """The stories of twenty seeds, as they came."""
    found = checkpoint.read_json(TWENTY)
    lines = [f"**{seed}.** {plain(text)}" for seed, text in enumerate(found.get("texts", []), 1)]
    return "\n\n".join(lines)


def plain(text: str) -> str:
    """A text as a paragraph of Markdown, in which nothing is a sign of Markdown."""
    return " ".join(re.sub(r"([\\`*_\[\]<>#~|])", r"\\\1", text).split())


NO_TASKS = "No network of several tasks that was evaluated lies in `assets/`."


def by_task(found: dict[str, dict]) -> list[tuple[str, dict[str, dict]]]:
    """Each task with what each family was measured to do."""
    names = dict.fromkeys(name for each in found.values() for name in each)
    return [(name, {f: each[name] for f, each in found.items() if name in each}) for name in names]


def tasks() -> str:
    """chrF of what networks of several tasks write, along steps, greedy, by a beam, of several
    seeds; a row for each sampler."""
    rows = [
        [name, f"{family}, `{sampler}`", f"{measured['lines']:,}", *row]
        for name, each in by_task(taskers())
        for family, measured in each.items()
        for sampler, row in scored.cells(measured)
    ]
    head = ("task", "by", "sources", *scored.COLUMNS)
    return table(*scored.filled(head, rows)) if rows else NO_TASKS


def beside() -> str:
    """What is known of texts beside their own truths: how near the source as it is and the truth of
    another source come to them, and how near texts are to their sources."""
    rows = [
        [name, family, *scored.beside_of(measured)]
        for name, each in by_task(taskers())
        for family, measured in each.items()
    ]
    head = ("task", "by", "the source", "another's truth", *scored.WITHIN)
    return table(*scored.filled(head, rows)) if rows else NO_TASKS


def ratios() -> str:
    """chrF of masked noise over that of its rival on the same sources, by the way to write."""
    found = taskers()
    masked, rival = found.get("masked", {}), found.get("autoregressive", {})
    rows = []
    for name in (name for name in masked if name in rival):
        each = (scored.ratio(masked[name], rival[name], *ways) for ways in RATIOS.values())
        rows.append([name, *("" if one is None else str(one) for one in each)])
    return table(["task", *RATIOS], rows) if rows else NO_TASKS


RATIOS = {  # the ways of masked noise and of the rival that are compared
    "drawn": ("drawn", "drawn"),
    "greedy": ("greedy", "greedy"),
    "greedy over a beam of four": ("greedy", "beam"),
}
TABLES = {
    "families": lambda: families.markdown(families.read()),
    "axis": lambda: families.markdown(families.read(), TALES),
    "settings": settings,
    "steps": steps,
    "temperatures": temperatures,
    "perfect": perfect,
    "blocks": blocks,
    "long": long,
    "rewriting": rewriting,
    "stories": stories,
    "storysteps": lambda: steps(TALES),
    "frontier": frontier,
    "learning": learning,
    "gap": gap,
    "twenty": twenty,
    "tasks": tasks,
    "beside": beside,
    "ratios": ratios,
}
