"""What was measured of control (measure/control.py), as tables of Markdown for docs/control.md and
docs/steering.md: nothing in them is typed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tinydiff.measure import control
from tinydiff.measure.tables import table
from tinydiff.uncertainty import Mean, percent, written

RULE, TRIED = "with the rule", "written until one fits"
SURE = 2.0  # errors; a difference within so many is none
ENOUGH = 8  # texts that fit, of which the judge's bits are told
NOTHING = "-"
GUIDANCE = 2.0  # of the label, in the table of tasks
MOOD = f"its end is {control.MOOD}, by a lexicon"


def mean(cell: dict, name: str) -> Mean | None:
    """A figure of a cell; None where it was not measured."""
    return None if cell.get(name) is None else Mean(cell[name], cell.get(f"{name}_error"))


def bits(cell: dict) -> str:
    return str(found) if (found := mean(cell, "bits")) else ""


def parts(cell: dict, name: str = "share") -> str:
    """A share in per cent."""
    return percent(cell.get(name), cell.get(f"{name}_error"))


def refusal(cell: dict) -> str:
    """Why a family does not do it, in two words."""
    return "refuses" if "refused" in cell else ""


def processes(cells: dict) -> list[str]:
    """The families that were measured."""
    return [name.split("/")[1] for name in cells if name.startswith("free/")]


def asked() -> Iterator[tuple[str, str, bool]]:
    """The tasks: name, in words, and whether a gap is filled."""
    yield from ((task.name, task.said, task.gap) for task in control.TASKS)
    yield control.MOOD, MOOD, False


def held(cells: dict, process: str, task: str) -> dict:
    """The cell of a task with its rule, or with its label."""
    if task == control.MOOD:
        return cells.get(f"label/{process}/{GUIDANCE:g}/even", {})
    return cells.get(f"rule/{process}/{task}", {})


def tried(cells: dict, process: str, task: str, gap: bool) -> tuple[dict, dict]:
    """Texts that were written without the rule, and those of them that fit."""
    free = cells.get(f"{'freegap' if gap else 'free'}/{process}", {})
    return free, free.get("tasks", {}).get(task, {})


def until_one(free: dict, fit: dict, name: str) -> float:
    """What it costs until one fits; infinite where none did."""
    return free[name] / fit["share"] if fit["share"] else math.inf


def at_least(free: dict, fit: dict, name: str, digits: int = 0) -> str:
    """The same in words: more than all that were tried, where none did."""
    cost = until_one(free, fit, name)
    if math.isfinite(cost):
        return f"{cost:,.{digits}f}"
    return f"> {free[name] * free['n']:,.{digits}f}"


def seconds(ms: float) -> str:
    return f"{ms / 1000:,.2f}"


# ---------------------------------------------------------------- the table of tasks


def tasks() -> str:
    """Each task by each family: with the rule, and by rejection."""
    cells, rows = control.read(), []
    for name, said, gap in asked():
        for process in processes(cells):
            rows.append([said, process, *ruled_cells(held(cells, process, name))])
            rows[-1] += tried_cells(*tried(cells, process, name, gap))
    head = ["task", "family", "fit", "judge", "4-grams", "calls", "seconds"]
    head += ["fit without", f"one of {control.TRIES} fits", "calls for one", "seconds for one"]
    return table([*head, "judge of those"], rows)


def ruled_cells(cell: dict) -> list[str]:
    if "share" not in cell:
        return [refusal(cell) or NOTHING, "", "", "", ""]
    return [
        parts(cell),
        bits(cell),
        parts(cell, "variety"),
        f"{cell['calls']:,}",
        seconds(cell["ms"]),
    ]


def tried_cells(free: dict, fit: dict) -> list[str]:
    if not fit:
        return [refusal(free) or NOTHING, "", "", "", ""]
    judged = bits(fit) if fit["n"] >= ENOUGH else ""
    cost = until_one(free, fit, "ms")
    time = seconds(cost) if math.isfinite(cost) else f"> {seconds(free['ms'] * free['n'])}"
    return [parts(fit), percent(fit["best"]), at_least(free, fit, "calls"), time, judged]


# ---------------------------------------------------------------- who wins


class Way(NamedTuple):
    """A family that does a task, in one of the two ways."""

    process: str
    how: str
    bits: Mean
    ms: float  # for one that fits

    def __str__(self) -> str:
        return f"{self.process} {self.how}"


def ways(cells: dict, name: str, gap: bool) -> list[Way]:
    """Every way in which a task was done, of which there are enough texts to tell."""
    found = []
    for process in processes(cells):
        cell, (free, fit) = held(cells, process, name), tried(cells, process, name, gap)
        how = RULE if name != control.MOOD else "with the label"
        if cell.get("share") and cell.get("bits") is not None:
            found.append(Way(process, how, mean(cell, "bits"), cell["ms"] / cell["share"]))
        if fit and fit["n"] >= ENOUGH:
            cost = until_one(free, fit, "ms")
            found.append(Way(process, TRIED, mean(fit, "bits"), cost))
    return found


def winners() -> str:
    """Each task: who writes the likeliest texts, and who is the first to have one."""
    cells, rows = control.read(), []
    for name, said, gap in asked():
        known = ways(cells, name, gap)
        if not known:
            continue
        best, *others = sorted(known, key=lambda way: way.bits.value)
        level = [way for way in others if not apart(way.bits, best.bits)]
        second = next((way for way in others if way not in level), None)
        quick = min(known, key=lambda way: way.ms)
        rows.append(
            [
                said,
                "; ".join(f"{way}: {way.bits}" for way in (best, *level)),
                f"{second}: {second.bits}" if second else "",
                f"{quick}: {seconds(quick.ms)} s",
                never(cells, name, gap),
            ]
        )
    head = ["task", "the judge likes best", "then", "quickest to one that fits"]
    return table([*head, "fits by chance"], rows)


def apart(one: Mean, other: Mean) -> bool:
    """Are two means surely apart?"""
    error = math.hypot(one.error or 0, other.error or 0)
    return abs(one.value - other.value) > SURE * error


def never(cells: dict, name: str, gap: bool) -> str:
    """How often a text fits that is written without the rule: from the least to the most, over all
    families."""
    found = [fit["share"] for p in processes(cells) if (fit := tried(cells, p, name, gap)[1])]
    if not found:
        return ""
    low, high = f"{100 * min(found):.2g}", f"{100 * max(found):.2g}"
    return f"{low} %" if low == high else f"{low} to {high} %"


# ---------------------------------------------------------------- moods and early ends


def moods() -> str:
    """How many texts are sad by the lexicon, over guidance, and what the judge makes of them."""
    cells, rows = control.read(), []
    there = list(dict.fromkeys(n.split("/")[1] for n in cells if n.startswith("label/")))
    plain = [tried(cells, process, control.MOOD, False) for process in there]
    rows.append(["no label", ""])
    for free, fit in plain:
        rows[-1] += [parts(fit), bits(free), parts(free, "variety")] if fit else [""] * 3
    for guidance in control.GUIDED:
        for kind in ("even", "late"):
            each = [cells.get(f"label/{process}/{guidance:g}/{kind}", {}) for process in there]
            if any(each):
                row = [f"{guidance:g}", kind if guidance else ""]
                for cell in each:
                    row += [parts(cell), bits(cell), parts(cell, "variety")]
                rows.append(row)
    head = ["guidance", ""]
    for process in there:
        head += [f"{process}, {control.MOOD}", "judge", "4-grams"]
    return table(head, rows)


def early() -> str:
    """Runs to their end beside the same runs that end when they are stable."""
    rows = []
    for name, cell in control.read().items():
        if not name.startswith("early/"):
            continue
        _, process, sampler = name.split("/")
        full, short = cell["full"], cell["early"]
        more = mean(cell, "more")
        rows.append(
            [
                f"{process}, `{sampler}`",
                f"{full['looks']:.1f}",
                f"{short['looks']:.1f}",
                parts(cell, "saved"),
                percent(cell["ended"]),
                percent(cell["same"]),
                bits(full),
                written(more.value, more.error, signed=True) if more.error else "0",
            ]
        )
    head = ["", "looks", "with `--stable 1`", "calls saved", "ended before", "same text"]
    return table([*head, "judge", "more with it"], rows)


def about() -> str:
    """With what it was measured."""
    cells = control.read()
    known = {}
    for cell in cells.values():
        for what, value in (cell["on"] | cell["with"]).items():
            known.setdefault(what, []).append(value)
    one = {what: ", ".join(sorted(set(map(str, values)))) for what, values in known.items()}
    weights = {
        name.split("/")[1]: cell["with"]["weights"][:8]
        for name, cell in cells.items()
        if name.startswith("free/")
    }
    listed = ", ".join(f"{process} ({digest})" for process, digest in weights.items())
    return (
        f"Measured {one['date']}, seed {one['seed']}, {one['precision']}, on {one['hardware']}; "
        f"{one['length']} tokens at the most, {one['looks']} looks, temperature "
        f"{one['temperature']}; judge: {one['judge']}. Weights: {listed}."
    )


TABLES: dict[str, Callable[[], str]] = {
    "control": tasks,
    "winners": winners,
    "moods": moods,
    "early": early,
    "controlled": about,
}
