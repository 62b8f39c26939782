"""A picture of measured points with their standard errors, lines named at their ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydiff.show.plots import LINES, MARKS, Curve, empty, ink, name_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 260
TICKS = 8  # of an axis of powers of two, at the most
APART = 0.09  # of the axis, what a number of four digits takes


@dataclass(frozen=True)
class Line:
    """A line of a picture: its points in rising x, each with its error or None."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    errors: Sequence[float | None]
    family: str

    @property
    def curve(self) -> Curve:
        return Curve(self.label, self.x, self.y, self.family, heavy=False)


def picture(
    lines: Sequence[Line], xlabel: str, ylabel: str, doubling: bool, log: bool, width: float = 560
) -> Figure:
    """Lines with error bars. doubling: x on a scale of powers of two; log: y on a logarithmic one.
    Lines of one family differ in style and marker."""
    figure, axes = empty(width, HEIGHT, xlabel, ylabel)
    if log:
        scale(axes)
    seen: dict[str, int] = {}
    for line in lines:
        kind = seen.setdefault(line.family, 0)
        seen[line.family] += 1
        draw(axes, line, kind)
    places = sorted({x for line in lines for x in line.x})
    if doubling and places and places[0] > 0:
        double(axes, places)
    elif places and len(places) <= TICKS and all(float(x).is_integer() for x in places):
        axes.set_xticks(places)  # nothing is measured between quarters of a text
    axes.margins(x=0.04, y=0.12)
    name_ends(axes, [line.curve for line in lines], HEIGHT)
    return figure


def draw(axes: Axes, line: Line, kind: int) -> None:
    # where a figure is exact, or of one training, there is no bar
    errors = [error or 0.0 for error in line.errors]
    axes.errorbar(
        line.x,
        line.y,
        errors if any(errors) else None,
        color=ink(line.family),
        linewidth=1.6,
        linestyle=LINES[kind % len(LINES)],
        marker=MARKS[kind % len(MARKS)],
        markersize=4.5 if len(line.x) < 20 else 0,
        markeredgewidth=0,
        elinewidth=1.1,
        capsize=2.5,
    )


def scale(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers at 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def double(axes: Axes, places: Sequence[float]) -> None:
    """The x axis on a scale of powers of two, with marks where something was measured, as many as
    there is room for."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log", base=2)
    if len(places) > TICKS:
        low, high = math.log2(places[0]), math.log2(places[-1])
        places = [2.0**k for k in range(math.ceil(low), math.floor(high) + 1)]
        places = places[:: -(-len(places) // TICKS)]
    axes.set_xticks(apart(places))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()


def apart(places: Sequence[float]) -> list[float]:
    """The places whose numbers do not run into the one before."""
    kept, gap = [*places[:1]], APART * math.log2(places[-1] / places[0])
    for place in places[1:]:
        if math.log2(place / kept[-1]) >= gap:
            kept.append(place)
    return kept
