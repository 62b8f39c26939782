"""What was measured of control (measure/control.py), as tables of Markdown for docs/control.md and
docs/steering.md: nothing in them is typed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from tinydiff.measure import control
from tinydiff.measure.tables import plain, table
from tinydiff.uncertainty import Mean, percent, written

RULE, TRIED = "with the rule", "without, until one fits"
RIVAL = "autoregressive"
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
    """Why a family has no figure, in two words."""
    return "refuses" if "refused" in cell else NOTHING if cell else "no labels"


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

HEAD = ("task", "family", "fit", "judge", "more than without", "4-grams", "calls", "seconds")
WITHOUT = ("fit without", f"one of {control.TRIES} fits", "calls for one", "seconds for one")


def tasks() -> str:
    """Each task by each family: with the rule, and by rejection."""
    cells, rows = control.read(), []
    for name, said, gap in asked():
        for process in processes(cells):
            free, fit = tried(cells, process, name, gap)
            row = [said, process, *ruled_cells(held(cells, process, name), free)]
            rows.append([*row, *tried_cells(free, fit)])
    return table([*HEAD, *WITHOUT, "judge of those"], rows)


def ruled_cells(cell: dict, free: dict) -> list[str]:
    if "share" not in cell:
        return [refusal(cell), "", "", "", "", ""]
    return [
        parts(cell),
        bits(cell),
        above(cell, free),
        parts(cell, "variety"),
        f"{cell['calls']:,}",
        seconds(cell["ms"]),
    ]


def above(cell: dict, free: dict) -> str:
    """How many bits more than texts of the same model without the rule."""
    more = minus(cell, free)
    return written(more.value, more.error, signed=True) if more else ""


def minus(cell: dict, other: dict) -> Mean | None:
    one, two = mean(cell, "bits"), mean(other, "bits")
    return apart(one, two) if one and two else None


def tried_cells(free: dict, fit: dict) -> list[str]:
    if not fit:
        return [refusal(free), "", "", "", ""]
    judged = bits(fit) if fit["n"] >= ENOUGH else ""
    cost = until_one(free, fit, "ms")
    time = seconds(cost) if math.isfinite(cost) else f"> {seconds(free['ms'] * free['n'])}"
    best = percent(fit["best"]) if free["n"] > control.TRIES else ""
    return [parts(fit), best, at_least(free, fit, "calls"), time, judged]


def amounts() -> str:
    """How many texts a family's rows are of."""
    cells = control.read()
    told = []
    for process in processes(cells):
        ruled = {c["n"] for n, c in cells.items() if n.startswith(f"rule/{process}/") and "n" in c}
        told.append(
            f"{process} {'/'.join(map(str, sorted(ruled)))} and {cells[f'free/{process}'].get('n')}"
        )
    return f"Texts with a rule, and without: {', '.join(told)}."


# ---------------------------------------------------------------- who wins


class Way(NamedTuple):
    """A family that does a task, in one of the two ways."""

    process: str
    bits: Mean
    ms: float  # for one that fits
    rise: Mean | None = None  # bits more than texts of the same model without the rule

    def __str__(self) -> str:
        return f"{self.process} {self.bits}, {seconds(self.ms)} s"


def by_rule(cells: dict, name: str, gap: bool) -> list[Way]:
    """The families that were measured with the rule, whom the judge likes best first."""
    found = []
    for process in processes(cells):
        cell, (free, _) = held(cells, process, name), tried(cells, process, name, gap)
        if cell.get("share") and cell.get("bits") is not None:
            cost = cell["ms"] / cell["share"]
            found.append(Way(process, mean(cell, "bits"), cost, minus(cell, free)))
    return sorted(found, key=lambda way: way.bits.value)


def by_chance(cells: dict, name: str, gap: bool) -> list[Way]:
    """The families of which enough texts fit without the rule, the quickest to one first."""
    each = {process: tried(cells, process, name, gap) for process in processes(cells)}
    found = [
        Way(process, mean(fit, "bits"), until_one(free, fit, "ms"))
        for process, (free, fit) in each.items()
        if fit and fit["n"] >= ENOUGH
    ]
    return sorted(found, key=lambda way: way.ms)


def winners() -> str:
    """Each task: the rival token by token, the family of diffusion that the judge likes best, what
    the rule costs them, and who is the first to have a text that fits without it."""
    cells, rows = control.read(), []
    for name, said, gap in asked():
        known, chance = by_rule(cells, name, gap), by_chance(cells, name, gap)
        rival = next((way for way in known if way.process == RIVAL), None)
        ours = next((way for way in known if way.process != RIVAL), None)
        rises = [way.rise for way in (ours, rival) if way and way.rise]
        row = [said, str(rival or refusal(held(cells, RIVAL, name))), signed(rival)]
        row += [str(ours or NOTHING), signed(ours)]
        row += [str(chance[0]) if chance else NOTHING, never(cells, name, gap)]
        rows.append([*row, verdict(apart(*rises)) if len(rises) == 2 else NOTHING])
    head = ["task", f"{RIVAL} {RULE}", "more than without", f"best diffusion {RULE}"]
    head += ["more than without", TRIED, "fits by chance", "who pays less for the rule"]
    return table(head, rows)


def signed(way: Way | None) -> str:
    """What the rule costs in bits."""
    return written(way.rise.value, way.rise.error, signed=True) if way and way.rise else ""


def verdict(more: Mean) -> str:
    """Who pays less, where diffusion pays so much more."""
    if abs(more.value) <= SURE * (more.error or 0):
        return "neither surely"
    return RIVAL if more.value > 0 else "diffusion"


def apart(one: Mean, other: Mean) -> Mean:
    """one - other, of different texts."""
    return Mean(one.value - other.value, math.hypot(one.error or 0, other.error or 0))


def never(cells: dict, name: str, gap: bool) -> str:
    """How often a text fits that is written without the rule: from the least to the most, over all
    families."""
    found = [fit["share"] for p in processes(cells) if (fit := tried(cells, p, name, gap)[1])]
    if not found:
        return ""
    low, high = f"{100 * min(found):.2g}", f"{100 * max(found):.2g}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def first() -> str:
    """The first text of each rule, by the rival and by masked noise, none left out."""
    cells, lines = control.read(), []
    for task in control.TASKS:
        for process in (RIVAL, "masked"):
            if text := cells.get(f"rule/{process}/{task.name}", {}).get("text"):
                lines.append(f"*{task.said}*, {process}: {plain(text)}")
    return "\n\n".join(lines)


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
        n = {cell["n"] for name, cell in cells.items() if name.startswith(f"label/{process}/")}
        number = "/".join(map(str, sorted(n)))
        head += [f"{process}, {control.MOOD} of {number}", "judge", "4-grams"]
    return table(head, rows)


def pushes() -> str:
    """The same, steered by a classifier, over its weight."""
    cells, rows = control.read(), []
    ways = list(dict.fromkeys(tuple(n.split("/")[1::2]) for n in cells if n.startswith("push/")))
    head = ["weight"]
    for process, steps in ways:
        n = {cell["n"] for name, cell in cells.items() if name.startswith(f"push/{process}/")}
        title = process if steps == "1" else f"{process}, `--pushes {steps}`"
        head += [f"{title}: {control.MOOD} of {'/'.join(map(str, sorted(n)))}", "judge", "4-grams"]
    rows.append(["none"])
    for process, _ in ways:
        free, fit = tried(cells, process, control.MOOD, False)
        rows[-1] += [parts(fit), bits(free), parts(free, "variety")]
    for push in control.PUSHES:
        rows.append([f"{push:g}"])
        for process, steps in ways:
            cell = cells.get(f"push/{process}/{push:g}/{steps}", {})
            rows[-1] += [parts(cell), bits(cell), parts(cell, "variety")]
    return table(head, rows)


SLIPS = {
    "mistyped": "a letter mistyped",
    "swapped": "neighbours swapped",
    "foreign": "a word of another story",
}
DOUBTERS = {"bets": "own bets", "head": "PRISM's head"}


def slipped() -> str:
    """What was damaged, found and mended, and what became of right words."""
    cells, rows = control.read(), []
    for kind, said in SLIPS.items():
        for by, doubter in DOUBTERS.items():
            cell = cells.get(f"slip/masked/{by}/{kind}", {})
            if not cell:
                continue
            row = [said, doubter, f"{cell['slips']}", parts(cell, "found"), parts(cell, "mended")]
            row += [parts(cell, "taken"), parts(cell, "broken")]
            row += [str(mean(cell, what)) for what in ("true", "slipped", "mended_text")]
            rows.append([*row, seconds(cell["ms"])])
    head = ["", "who doubts", "slips", "found", "mended", "right words doubted", "and broken"]
    return table([*head, "judge: true", "with slips", "mended", "seconds a story"], rows)


def first_mended() -> str:
    """The first story of each kind with its slips, and mended by own bets."""
    cells, lines = control.read(), []
    for kind, said in SLIPS.items():
        if cell := cells.get(f"slip/masked/bets/{kind}"):
            before, after = map(plain, cell["text"])
            lines.append(f"*{said}*: {before}\n\n*mended*: {after}")
    return "\n\n".join(lines)


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
                f"{full['n']}",
                f"{full['looks']:.1f}",
                f"{short['looks']:.1f}",
                parts(cell, "saved"),
                percent(cell["ended"]),
                percent(cell["same"]),
                bits(full),
                written(more.value, more.error, signed=True) if more.error else "0",
            ]
        )
    head = ["", "texts", "looks", "with `--stable 1`", "calls saved", "ended before", "same text"]
    return table([*head, "judge", "more with it"], rows)


def on(kind: str = "") -> str:
    """With what the cells were measured whose names begin so."""
    known: dict[str, dict] = {}
    for name, cell in control.read().items():
        if name.startswith(kind):
            for what, value in (cell["on"] | cell["with"]).items():
                known.setdefault(what, {})[str(value)] = None
    one = {what: ", ".join(values) for what, values in known.items()}
    return (
        f"Measured {one['date']}, seed {one['seed']}, {one['precision']}, on {one['hardware']}; "
        f"judge: {one['judge']}."
    )


def about() -> str:
    """With what the table of tasks was measured."""
    cells = control.read()
    weights = {
        name.split("/")[1]: cell["with"]["weights"][:8]
        for name, cell in cells.items()
        if name.startswith("free/")
    }
    listed = ", ".join(f"{process} ({digest})" for process, digest in weights.items())
    return (
        f"{on('free/')} {control.LENGTH} tokens at the most, {control.LOOKS} looks, temperature "
        f"{control.TEMPERATURE}. {amounts()} Weights: {listed}."
    )


TABLES: dict[str, Callable[[], str]] = {
    "control": tasks,
    "winners": winners,
    "firsttexts": first,
    "moods": moods,
    "early": early,
    "pushes": pushes,
    "pushed": partial(on, "push/"),
    "slips": slipped,
    "firstslips": first_mended,
    "slipped": partial(on, "slip/"),
    "controlled": about,
}
