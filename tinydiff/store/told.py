"""What a stranger's checkpoint tells of itself, as far as it can be drawn.

Of metrics.jsonl, evaluation.json and the story in config.json whatever has not the form in which
the page draws it is left out. Nothing of it is believed to be true, only to be drawable: the page
says whose figures they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tinydiff.sentences import NAME, is_number, is_text
from tinydiff.store import checkpoint
from tinydiff.store.checkpoint import Card, CheckpointError

METRICS, EVALUATION = "metrics.jsonl", "evaluation.json"
ROWS = 4096  # of one list
LETTERS = 20_000  # characters of a sample
MOST = 1e6  # no loss, figure or time that is drawn is larger
SPAN = re.compile(r"([01](?:\.\d{1,6})?)-([01](?:\.\d{1,6})?)")  # a window of times, "0.0-1.0"
WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")

Check = Callable[[object], bool]


# ---------------------------------------------------------------- forms of values


def number(value: object) -> bool:
    return is_number(value) and 0 <= value <= MOST


def signed(value: object) -> bool:
    return is_number(value) and abs(value) <= MOST


def whole(value: object) -> bool:
    return type(value) is int and 0 <= value <= 10**12


def some(value: object) -> bool:
    """A whole number from 1 on."""
    return whole(value) and value > 0


def share(value: object) -> bool:
    return is_number(value) and 0 <= value <= 1


def word(value: object) -> bool:
    """A name as our samplers and caches have it."""
    return isinstance(value, str) and bool(WORD.fullmatch(value))


def name(value: object) -> bool:
    return is_text(value) and len(value) <= NAME


def text(value: object) -> bool:
    return is_text(value) and len(value) <= LETTERS


def numbers(value: object) -> bool:
    return isinstance(value, list) and len(value) <= ROWS and all(map(is_number, value))


def pairs(value: object) -> bool:
    """[[how many, count], ...]."""
    return (
        isinstance(value, list)
        and len(value) <= ROWS
        and all(isinstance(pair, list) and len(pair) == 2 for pair in value)
        and all(whole(n) and n <= ROWS for pair in value for n in pair)
    )


def entries(found: object, needed: dict[str, Check], more: dict[str, Check]) -> dict | None:
    """The entries of an object that have their form, None in the place of each of `more` that has
    not; None where one of those that are needed has not."""
    if not isinstance(found, dict) or not all(
        key in found and check(found[key]) for key, check in needed.items()
    ):
        return None
    kept = {key: found[key] for key in needed}
    return kept | {
        k: found[k] if k in found and check(found[k]) else None for k, check in more.items()
    }


def rows(found: object, needed: dict[str, Check], more: dict[str, Check]) -> list[dict]:
    """The objects of a list that have what is needed."""
    each = (entries(row, needed, more) for row in (found if isinstance(found, list) else [])[:ROWS])
    return [row for row in each if row is not None]


# ---------------------------------------------------------------- what is told


QUALITY = {
    "bits": number,
    "words": share,
    "distinct4": share,
    "entropy": number,
    "bits_error": number,
    "words_error": share,
    "distinct4_words": share,
    "outside": number,
    "outside_error": number,
    "perplexity": number,
}
CURVE = {"sampler": word, "steps": some, "calls": some}
BOUND = {"nats": number, "bits": number}
OF_BOUND = {"error": number, "windows": whole, "text": name, "each": numbers, "counts": pairs}
PAIR = {"source": text, "written": text, "truth": text}
CACHE = {"cache": name, "nats": number, "ms": number}


def evaluation(found: object) -> dict:
    """What can be drawn of an evaluation.json; {} where it holds no bound."""
    found = found if isinstance(found, dict) else {}
    bounds = {
        key: bound
        for key in ("bound", "train_bound")
        if (bound := entries(found.get(key), BOUND, OF_BOUND))
    }
    if "bound" not in bounds:
        return {}
    kept = {
        key: rows(found.get(key), CURVE, QUALITY | {"temperature": number})
        for key in ("steps", "single", "temperatures")
    }
    one = {
        key: entries(found.get(key), {}, QUALITY | {"temperature": number}) or {}
        for key in ("default", "real")
    }
    blocks = [
        row | {"bound": bound}
        for row in rows(found.get("blocks"), {"size": some, "bound": mapping}, QUALITY)
        if (bound := entries(row["bound"], {"nats": above, "bits": above, "error": number}, {}))
    ]
    return {
        **bounds,
        **kept,
        **one,
        "blocks": blocks,
        "caches": rows(found.get("caches"), CACHE, QUALITY),
        "levels": rows(found.get("levels"), {"t": share}, {"nats": number}),
        "samples": rows(found.get("samples"), PAIR, {}),
    }


def mapping(value: object) -> bool:
    return isinstance(value, dict)


def above(value: object) -> bool:
    return number(value) and value > 0


def metrics(found: list[dict]) -> list[dict]:
    """The rows of a metrics.jsonl with what can be drawn of each."""
    more = {"loss": signed, "valid": signed, "sample": text, "variances": mapping}
    kept = rows(found, {"step": whole}, more)
    return [
        {key: value for key, value in row.items() if value is not None and key != "variances"}
        | ({"variances": searches(row["variances"])} if row["variances"] else {})
        for row in kept
    ]


def searches(found: dict) -> dict[str, dict[str, float]]:
    """By size of blocks the variance over each window of times; without the searches that lack even
    times."""
    kept = {
        size: windows
        for size, windows in list(found.items())[:16]
        if size.isdecimal() and mapping(windows) and len(windows) <= ROWS
        if all(window(*pair) for pair in windows.items())
    }
    return {
        size: windows
        for size, windows in kept.items()
        if (0.0, 1.0) in [tuple(map(float, key.split("-"))) for key in windows]
    }


def window(key: str, variance: object) -> bool:
    span = SPAN.fullmatch(key)
    return bool(span) and float(span[1]) < float(span[2]) <= 1 and above(variance)


def config(found: dict) -> dict:
    """A config.json that was checked, without what it tells of its training where that has another
    form."""
    made = found.get("training", {})
    kept = {k: v for k, v in made.items() if name(k) and (name(v) or signed(v) or type(v) is bool)}
    counted = {k: v for k, v in kept.items() if k not in ("steps", "batch") or whole(v)}
    more = {"training": counted} if "training" in found else {}
    return {k: v for k, v in found.items() if k != "hardware" or name(v)} | more


def card(folder: Path) -> Card:
    """The card of a stranger's checkpoint, as far as it can be drawn. Raises CheckpointError where
    there is no config."""
    told = {}
    for part, read in ((METRICS, checkpoint.read_jsonl), (EVALUATION, checkpoint.read_json)):
        try:
            told[part] = read(folder / part)
        except CheckpointError:
            told[part] = {}
    found = told[EVALUATION]
    found = found if "letters" in found else checkpoint.without_words(found)
    return Card(
        folder,
        config(checkpoint.read_config(folder)),
        metrics(told[METRICS]),
        evaluation(found),
    )
