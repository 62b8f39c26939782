"""What was measured of networks of several tasks (measure/tasking.py), as lines of Markdown for
cards and documents.

A cell is chrF, from 0 to 100, with its error, where no other figure is named.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinydiff import uncertainty
from tinydiff.sentences import table
from tinydiff.store.checkpoint import Card
from tinydiff.text.tasks import names_of
from tinydiff.uncertainty import Mean, percent, written

STEPS = (1, 2, 4, 8, 16, 32)
COLUMNS = (
    *map(str, STEPS),
    "a token a call",
    "greedy",
    "beam",
    "one of five",
    "nearest of five",
    "BLEU, greedy",
    "of eight differ",
    "alike",
)
WITHIN = ("truth to the source", "written to the source", "a truth", "right length", "cut out")
USE = 'print(tinydiff.rewrite.perform(process, "{}", ["some words"])[0])'


def value(row: dict, name: str = "chrf") -> str:
    """A figure with its error, "" where it was not measured."""
    if row.get(name) is None:
        return ""
    error = row.get(f"{name}_error")
    return written(row[name], error) if error else f"{row[name]:.1f}"


def share(row: dict, name: str) -> str:
    return percent(row.get(name), row.get(f"{name}_error"))


def cells(found: dict) -> Iterator[tuple[str, list[str]]]:
    """What was measured of one task, by the sampler: the COLUMNS, of samplers but the usual one
    those of steps alone."""
    ways, seeds = found["ways"], found["seeds"]
    by_name = {row["way"]: row for row in ways if row["way"] != "drawn"}
    for sampler in dict.fromkeys(row["sampler"] for row in ways):
        at = {
            row["steps"]: row for row in ways if row["way"] == "drawn" and row["sampler"] == sampler
        }
        drawn = [value(at.get(steps, {})) for steps in (*STEPS, None)]
        usual = sampler == ways[0]["sampler"]
        sure = [value(by_name.get(name, {})) for name in ("greedy", "beam")]
        several = [value(seeds, name) for name in ("one", "nearest")]
        rest = [
            value(by_name.get("greedy", {}), "bleu"),
            share(seeds, "distinct"),
            value(seeds, "alike"),
        ]
        yield sampler, [*drawn, *(sure + several + rest if usual else [""] * 7)]


def best(found: dict) -> dict:
    """The greedy way, where it was measured, else what was drawn."""
    greedy = (row for row in found["ways"] if row["way"] == "greedy")
    return next(greedy, found["ways"][0])


def within(found: dict) -> list[str]:
    """What is told of texts beside their truths: WITHIN, as far as the task has it."""
    row = best(found)
    if "to_source" not in row:
        return ["", "", share(row, "exact"), "", ""]
    near = [f"{found['truth_to_source']:.1f}", f"{row['to_source']:.1f}"]
    return [*near, share(row, "exact"), percent(row.get("fits")), percent(row.get("cut"))]


def ratio(found: dict, rival: dict, way: str, other: str) -> Mean | None:
    """chrF over the rival's, both of the same sources, with the error of the ratio on them; None
    where they are of others, and where the rival has none."""
    if found["text"] != rival["text"] or way not in found["each"] or other not in rival["each"]:
        return None
    own, its = found["each"][way], rival["each"][other]
    return uncertainty.mean(own, its, consecutive=False) if any(its) else None


def filled(head: tuple[str, ...], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The columns in which some row has a cell."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    return [head[i] for i in kept], [[row[i] for i in kept] for row in rows]


# ---------------------------------------------------------------- the card


def names(model: Card) -> str:
    """For which tasks, in words."""
    known = names_of(model.config["task"])
    return f" for the task{'s' * (len(known) > 1)} {', '.join(known)}"


def measurements(result: dict) -> list[str]:
    """The lines of a card."""
    heldout, seen = (value(result[name], "nats") for name in ("bound", "train_bound"))
    lines = [
        "",
        f"Bound on held-out pairs, as many tokens of each task: **{heldout} nats** a character of "
        f"the target, over {result['bound']['windows']} pairs; on pairs it was trained on {seen} "
        "nats. Errors are standard errors of pairs taken for independent.",
        "",
        *table("| bound, nats a character | pairs", *map(bound_of, result["by_task"].items())),
    ]
    return lines + (what_was_written(result) if result.get("tasks") else [])


def bound_of(item: tuple[str, dict]) -> str:
    name, found = item
    return f"{name} | {value(found, 'nats')} | {found['pairs']}"


def what_was_written(result: dict) -> list[str]:
    """Scores of what was written for held-out sources, and samples."""
    whole = [
        [name, sampler, str(found["lines"]), *row]
        for name, found in result["tasks"].items()
        for sampler, row in cells(found)
    ]
    head, rows = filled(("task", "sampler", "sources", *COLUMNS), whole)
    beside = [[name, *beside_of(found)] for name, found in result["tasks"].items()]
    first = next(iter(result["tasks"].values()))
    temperature = first["ways"][0]["temperature"]
    return [
        "",
        f"chrF of what is written for held-out sources, over steps at temperature {temperature:g}; "
        "greedy is at temperature 0. Errors are over sources:",
        "",
        *table(" | ".join(head), *map(" | ".join, rows)),
        "",
        "chrF to the truths of the source as it is and of the truth of another source, and what "
        "else is known of the greedy texts:",
        "",
        *table(" | ".join(("", "source", "another's truth", *WITHIN)), *map(" | ".join, beside)),
        "",
        "Source, what was written, truth:",
        "",
        "```",
        *(
            f"<{row['task']}> {row['source']}\n{row['written']}\n{row['truth']}\n"
            for row in result["samples"]
        ),
        "```",
    ]


def beside_of(found: dict) -> list[str]:
    return [value(found["copy"]), value(found["chance"]), *within(found)]
