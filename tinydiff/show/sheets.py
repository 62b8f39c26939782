"""What is drawn, as CSV: the curves of a run, quality against steps, the table of families, a race.
Units stand in the heads of columns; shares are from 0 to 1; what is not known is empty.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence

from tinydiff.show.curves import along
from tinydiff.show.render import Run

DIGITS = 6  # of a number that was measured, significant ones
# keys of what was measured, and what they are called
JUDGED = {
    "bits": "judge [bits/character]",
    "bits_error": "judge, standard error [bits/character]",
    "words": "real words [share]",
    "words_error": "real words, standard error [share]",
}
MEASURED = JUDGED | {
    "distinct4": "distinct 4-grams of characters [share]",
    "distinct4_words": "distinct 4-grams of words [share]",
    "entropy": "entropy of characters [bits]",
    "outside": "outside judge [bits/character]",
    "outside_error": "outside judge, standard error [bits/character]",
    "perplexity": "perplexity of a word, outside judge",
}


def sheet(head: Sequence[str], rows: Iterable[Sequence]) -> str:
    """CSV with a head and a line a row (RFC 4180, lines end with a line feed)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def cell(value: object) -> object:
    """A value as it is written: no more digits than mean something, nothing for None."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else value


def table(columns: Mapping[str, str], rows: Iterable[Mapping]) -> str:
    """CSV of rows by key; columns: the keys that are written, and what each is called."""
    return sheet([*columns.values()], ([row.get(key) for key in columns] for row in rows))


RUN = {
    "step": "step",
    "t": "t, 1 noise to 0 text",
    "alpha": "alpha(t), text left [share]",
    "weight": "loss weight",
    "loss": "held-out loss [nats/character]",
    "hidden": "hidden [share]",
    "changing": "changed in this step [share]",
    "entropy": "mean entropy of the prediction [nats/token]",
    "calls": "calls of the network",
    "seconds": "time [s]",
}


def of_run(run: Run) -> str:
    """The curves of a run (`curves.along`), a line a picture."""
    return table(RUN, map(vars, along(run)))


def of_cards(cards: Iterable[Mapping]) -> str:
    """The cards of the tab Steps: what a text at each number of steps cost and how good it is; of a
    perfect network its divergence from its language."""
    columns = {"sampler": "sampler", "steps": "steps", "calls": "calls of the network"}
    columns |= {"ms": "time [ms]", "bits": JUDGED["bits"], "words": JUDGED["words"]}
    columns |= {"divergence": "divergence [nats/character]", "text": "text"}
    rows = [
        {"text": "".join(piece for piece, _ in card.get("pieces", ())), **card} for card in cards
    ]
    return table(columns, rows)


def of_evaluations(evaluations: Mapping[str, Mapping]) -> str:
    """The curves that checkpoints were measured on, by their names: quality over steps, of samplers
    without steps, and over temperatures."""
    columns = {"model": "model", "curve": "curve", "sampler": "sampler", "steps": "steps"}
    columns |= {
        "temperature": "temperature",
        "calls": "calls of the network",
        "ms": "time [ms/text]",
    }
    rows = [
        {**row, "model": name, "curve": curve}
        for name, found in evaluations.items()
        for curve in ("steps", "single", "temperatures")
        for row in found.get(curve, [])
    ]
    return table(columns | MEASURED, rows)


def of_losses(evaluations: Mapping[str, Mapping]) -> str:
    """The loss on held-out text over noise of checkpoints, by their names."""
    columns = {
        "model": "model",
        "t": "t, 1 noise to 0 text",
        "nats": "held-out loss [nats/character]",
    }
    rows = (
        {**row, "model": name} for name, e in evaluations.items() for row in e.get("levels", [])
    )
    return table(columns, rows)


FAMILY = {
    "name": "model",
    "process": "family",
    "corpus": "text",
    "bits": "bound [bits/character]",
    "error": "bound, standard error [bits/character]",
    "exact": "bound is exact",
    "behind_bits": "more than a row above [bits/character]",
    "behind_error": "more, standard error [bits/character]",
    "behind_name": "than",
    "outside": MEASURED["outside"],
    "outside_error": MEASURED["outside_error"],
    "perplexity": MEASURED["perplexity"],
    "ms": "time of a call [ms]",
    "parameters": "parameters",
    "steps": "training steps",
    "minutes": "training [min]",
    "steps_before": "training steps of the network that it began with",
    "minutes_before": "training of that [min]",
}


def of_families(result: Mapping) -> str:
    """The table of families (`families.read`), with quality at each number of steps there."""
    rows = result.get("rows", [])
    counts = dict.fromkeys(n for row in rows for n in row["quality"])
    at = {f"{key} at {n}": f"{title}, {n} steps" for n in counts for key, title in JUDGED.items()}
    return table(FAMILY | at, map(family, rows))


def family(row: Mapping) -> dict:
    """A row of it, flat."""
    more, before = row.get("behind") or {}, row.get("before") or {}
    flat = {f"behind_{key}": value for key, value in more.items()}
    flat |= {key: value for key, value in row.get("default", {}).items() if key in MEASURED}
    flat |= {f"{key} at {n}": v for n, found in row["quality"].items() for key, v in found.items()}
    if before:
        flat |= dict(steps_before=before.get("step"), minutes_before=before.get("seconds", 0) / 60)
    return flat | dict(row)


def of_errors(result: Mapping) -> str:
    """Each sampler's own error, of perfect networks, and that of as many true texts."""
    columns = {"family": "family", "sampler": "sampler", "calls": "calls of the network"}
    columns |= {"nats": "divergence [nats/character]"}
    rows = [
        dict(family=name, sampler=sampler, calls=calls, nats=nats)
        for name, samplers in result.get("errors", {}).items()
        for sampler, points in samplers.items()
        for calls, nats in points
    ]
    floor = [dict(sampler="true texts", nats=result["floor"])] if "floor" in result else []
    return table(columns, rows + floor)


def of_race(value: Mapping) -> str:
    """The lanes of a race: what each took and how good its text is."""
    columns = {"name": "lane", "family": "family", "calls": "calls of the network"}
    columns |= {"ms": "time [ms]", "bits": JUDGED["bits"], "words": JUDGED["words"]}
    return table(columns, value.get("lanes", []))
