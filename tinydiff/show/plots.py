"""Pictures to be read: schedules, training, quality against calls; matplotlib Figures, never
pyplot's global state.

A Figure is drawn in the inks of the light theme, on nothing; `svg` turns each ink into its CSS
variable, so that the same picture follows the page's theme, and `png` lays it on paper, for files
and cards. The colours stand in ui/static/style.css and nowhere else: a family has the same one in
every picture and on every tab. matplotlib takes a while to load, so it is loaded with the first
picture that is drawn. This file does not know gradio.
"""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tinydiff.paths import PACKAGE
from tinydiff.schedules import SCHEDULES, Schedule, schedule
from tinydiff.show import picture_cache
from tinydiff.show.render import colour_name, palette
from tinydiff.uncertainty import written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILY_OTHER = "ink"
INKS = {
    name: colour
    for name, colour in palette().items()
    if name not in {"new", "again", "sheet", "shade", "edge", "ghost"}
}
SIZE = 11.5  # of letters, points at 72 an inch: a CSS pixel each
LINES = ("-", "--", "-.", ":")
MARKS = "osD^vP"
# that a picture depends on beside this file
CODE = [PACKAGE / "uncertainty.py", PACKAGE / "schedules.py"]
TIMES = torch.linspace(0.005, 1, 120, dtype=torch.float64)


@dataclass(frozen=True)
class Curve:
    """A line of a picture: its name, its points in rising x, the family whose colour it has."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    family: str = FAMILY_OTHER
    heavy: bool = True  # drawn heavy, as a visitor's runs are; bundled models are thin


@dataclass(frozen=True)
class Level:
    """A value to compare with, as a dashed line across the picture."""

    label: str
    y: float


def ink(name: str) -> str:
    """The light theme's colour of a family, or of what else the style names."""
    return INKS.get(colour_name(name), INKS[FAMILY_OTHER])


# ---------------------------------------------------------------- empty pictures


def empty(width: float, height: float, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """An empty picture of width x height CSS pixels with both axes named."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.set_xlabel(xlabel, color=ink("faded"), fontsize=SIZE)
    axes.set_ylabel(ylabel, color=ink("faded"), fontsize=SIZE)
    axes.tick_params(colors=ink("faded"), labelsize=SIZE, which="both", length=3, width=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(ink("rule"))
    axes.grid(axis="y", color=ink("rule"), linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def name(axes: Axes, text: str, x: float, y: float, colour: str, **where) -> None:
    """A label at a point; the page's CSS puts a rim of the background's colour around it, so that
    no line runs through it."""
    axes.annotate(
        text,
        (x, y),
        textcoords="offset points",
        color=colour,
        fontsize=SIZE,
        annotation_clip=False,
        **{"xytext": (6, 0), "va": "center", **where},
    )


def level(axes: Axes, at: Level) -> None:
    level_line(axes, at)
    level_name(axes, at)


def level_line(axes: Axes, at: Level) -> None:
    axes.axhline(at.y, color=ink("ink"), linewidth=1, linestyle=(0, (5, 4)))


def level_name(axes: Axes, at: Level, side: int = 1) -> None:
    """Over its line, or, with side -1, under it."""
    name(
        axes,
        f"{at.label} {at.y:.2f}",
        0,
        at.y,
        ink("ink"),
        xycoords=("axes fraction", "data"),
        xytext=(4, 4 * side),
        va="bottom" if side > 0 else "top",
    )


def name_levels(axes: Axes, levels: Sequence[Level], height: float) -> None:
    """The names of levels over their lines; under its line where the next would run through it."""
    scale, gap = room(axes, height)
    ordered = sorted(levels, key=lambda at: at.y)
    for at, above in zip(ordered, [*ordered[1:], None]):
        close = above is not None and scale(above.y) - scale(at.y) < gap
        level_name(axes, at, -1 if close else 1)


def room(axes: Axes, height: float) -> tuple[Callable[[float], float], float]:
    """The scale of the y axis of a picture of `height` CSS pixels, and what a line of letters takes
    of it."""
    scale = math.log if axes.get_yscale() == "log" else float
    low, high = map(scale, axes.get_ylim())
    return scale, 1.35 * SIZE * (high - low) / (0.78 * height)


def calls_axis(axes: Axes, last: float) -> None:
    """Powers of two, from one call."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    ticks = [2**k for k in range(0, max(2, math.ceil(math.log2(max(2, last))) + 1))]
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.85, ticks[-1] * 1.15)
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()


def separated(places: list[float], gap: float) -> list[float]:
    """The places, moved apart until each is at least `gap` above the one below it, their order
    kept."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for below, above in zip(order, order[1:]):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved


# ---------------------------------------------------------------- pictures


def against_calls(
    curves: Sequence[Curve],
    ylabel: str,
    levels: Sequence[Level] = (),
    width: float = 560,
    *,
    height: float = 300,
    log: bool = False,
) -> Figure:
    """Quality against calls of the network, on an axis of powers of two: each curve is named at its
    last point, and curves of one family differ in line style and marker. log: a logarithmic y axis.
    """
    figure, axes = empty(width, height, "calls of the network", ylabel)
    if log:
        axes.set_yscale("log")
    seen: dict[tuple[str, bool], int] = {}
    for curve in curves:
        kind = seen.setdefault((curve.family, curve.heavy), 0)
        seen[curve.family, curve.heavy] += 1
        draw_curve(axes, curve, kind)
    for at in levels:
        level_line(axes, at)
    calls_axis(axes, max((max(c.x) for c in curves if len(c.x)), default=256))
    axes.margins(y=0.12)
    name_levels(axes, levels, height)
    name_ends(axes, [c for c in curves if len(c.x)], height)
    return figure


def error_against_calls(
    curves: Sequence[Curve], ylabel: str, levels: Sequence[Level], width: float = 560
) -> Figure:
    """`against_calls` with a logarithmic y axis."""
    return against_calls(curves, ylabel, levels, width, log=True)


def frontier(
    curves: Sequence[Curve], real: tuple[float, float], ylabel: str, width: float = 560
) -> Figure:
    """Quality against diversity over temperatures: distinct 4-grams of words, in percent, to the
    right, bits under a judge upwards, a curve a family, real text a star. The further a curve runs
    to the right and below, the better (arXiv:2604.02718).
    """
    figure, axes = empty(width, 320, "distinct 4-grams of words, %", ylabel)
    for curve in curves:
        draw_curve(axes, curve, 0)
    axes.plot(*([value] for value in real), "*", color=ink(FAMILY_OTHER), markersize=11)
    axes.margins(x=0.04, y=0.12)
    name_ends(axes, [*curves, Curve("real text", *([value] for value in real))], 320)
    return figure


def draw_curve(axes: Axes, curve: Curve, kind: int) -> None:
    weight = (
        dict(linewidth=2.4, markersize=6, alpha=1)
        if curve.heavy
        else dict(linewidth=1.1, markersize=3, alpha=0.75)
    )
    style = dict(
        linestyle=LINES[kind % len(LINES)], marker=MARKS[kind % len(MARKS)], markeredgewidth=0
    )
    # a curve of one point is drawn large enough to be seen
    weight |= {"markersize": 6, "alpha": 1} if len(curve.x) == 1 else {}
    axes.plot(curve.x, curve.y, color=ink(curve.family), **weight, **style)


def name_ends(axes: Axes, curves: Sequence[Curve], height: float) -> None:
    """The names of curves to the right of their last points, moved apart where they would touch."""
    scale, gap = room(axes, height)
    for curve, y in zip(curves, separated([scale(c.y[-1]) for c in curves], gap)):
        y = math.exp(y) if scale is math.log else y
        name(
            axes,
            curve.label,
            curve.x[-1],
            y,
            ink(curve.family),
            xytext=(9, 0),
            weight="bold" if curve.heavy else "normal",
        )


def on_one_axis(rows: Sequence[dict], width: float = 560) -> Figure:
    """Bits a character of every family with its standard error, the fewest on top; rows of
    families.measured(). Errors of models on the same text move together, and do not tell how sure a
    difference is.
    """
    figure, axes = empty(
        width,
        60 + 30 * len(rows),
        "bits a character on held-out text, ± its error as a sample of texts",
        "",
    )
    for place, found in enumerate(reversed(rows)):
        colour = ink(found["process"])
        axes.errorbar(
            found["bits"],
            place,
            xerr=found["error"] or 0,
            color=colour,
            marker="o",
            markersize=6,
            capsize=3,
            linewidth=1.6,
        )
        value = written(found["bits"], found["error"]).partition(" ")[0]
        name(axes, value, found["bits"] + (found["error"] or 0), place, colour, xytext=(8, 0))
    axes.set_yticks(range(len(rows)), [found["name"] for found in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.margins(x=0.18)
    return figure


def against_position(curves: Sequence[Curve], width: float = 560) -> Figure:
    """Milliseconds a character against the place in the text."""
    figure, axes = empty(width, 300, "characters written", "ms a character")
    for kind, curve in enumerate(curves):
        draw_curve(axes, curve, kind)
    axes.set_ylim(0, 1.15 * max((max(c.y) for c in curves), default=1))
    axes.set_xlim(0, max((c.x[-1] for c in curves), default=1))
    name_ends(axes, curves, 300)
    return figure


def bridge(
    measured: Curve | None,
    errors: Sequence[float],
    runs: Sequence[Curve],
    levels: Sequence[Level],
    ylabel: str,
    width: float = 560,
) -> Figure:
    """A quantity against the size of blocks, on an axis of powers of two: the curve that was
    measured, with its standard errors where there are any, and the visitor's runs, each a point.
    """
    figure, axes = empty(width, 300, "tokens a block  (1: autoregression, all: diffusion)", ylabel)
    if measured:
        axes.errorbar(
            measured.x,
            measured.y,
            yerr=errors or None,
            color=ink(measured.family),
            marker="o",
            markersize=5,
            capsize=3,
            linewidth=1.6,
        )
    for curve in runs:
        axes.plot(curve.x, curve.y, color=ink("masked"), linestyle="", marker="D", markersize=8)
        name(
            axes, curve.label, curve.x[-1], curve.y[-1], ink("masked"), weight="bold", xytext=(9, 0)
        )
    for at in levels:
        level(axes, at)
    calls_axis(axes, 256)
    axes.margins(y=0.18)
    return figure


def windows(
    variances: dict[tuple[float, float], float],
    chosen: tuple[float, float],
    family: str,
    width: float = 420,
) -> Figure:
    """The variance of the loss for each window [low, high] of times, as a multiple of the least,
    one cell a window; the chosen window is framed.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    figure, axes = empty(width, 0.82 * width, "lowest time", "highest time")
    axes.grid(visible=False)
    least, most = min(variances.values()), max(variances.values())
    for (low, high), variance in variances.items():
        dark = math.log(variance / least) / max(1e-9, math.log(most / least))
        here = (low, high) == chosen
        cell = dict(
            facecolor=(*to_rgb(ink(family)), 0.04 + 0.5 * dark),
            edgecolor=ink("masked") if here else "none",
            linewidth=2.4,
        )
        axes.add_patch(
            Rectangle((low - 0.024, high - 0.024), 0.048, 0.048, zorder=3 if here else 2, **cell)
        )
        text = f"{variance / least:.1f}" if variance / least < 9.95 else f"{variance / least:.0f}"
        axes.text(
            low, high, text, color=ink("ink"), fontsize=SIZE - 3, ha="center", va="center", zorder=4
        )
    axes.set_xlim(-0.03, 0.53)
    axes.set_ylim(0.47, 1.03)
    return figure


def training(
    metrics: Sequence[dict],
    bound: float | None = None,
    family: str = FAMILY_OTHER,
    width: float = 560,
) -> Figure:
    """Training loss and validation bound against the step, nats a character; the gap between them
    shaded.

    bound: the one on all of the held-out text, nats a character, where it was measured.
    """
    figure, axes = empty(width, 320, "optimizer step", "nats a character")
    step, loss, valid = ([row[key] for row in metrics] for key in ("step", "loss", "valid"))
    smooth = averaged(loss)
    axes.plot(step, loss, color=ink("faded"), linewidth=0.7, alpha=0.5)
    axes.plot(step, smooth, color=ink("faded"), linewidth=1.6, linestyle="--")
    axes.plot(step, valid, color=ink(family), linewidth=2.2, marker="o", markersize=3.5)
    axes.fill_between(step, smooth, valid, color=ink(family), alpha=0.12, linewidth=0)
    if bound is not None:
        level(axes, Level("bound on all held-out text", bound))
    fit(axes, valid + smooth)
    bits_axis(axes)
    upper = valid if valid[-1] >= smooth[-1] else smooth
    for y, text, colour in (
        (valid, "validation bound", ink(family)),
        (smooth, "training loss", ink("faded")),
    ):
        name(
            axes, text, step[-1], y[-1], colour, xytext=(-4, 14 if y is upper else -14), ha="right"
        )
    return figure


def averaged(values: Sequence[float], reach: int = 2) -> list[float]:
    """The centred moving average over `reach` neighbours on each side, fewer at the ends: it shows
    the trend in the noise without delay."""
    near = [min(reach, i, len(values) - 1 - i) for i in range(len(values))]
    return [sum(values[i - n : i + n + 1]) / (2 * n + 1) for i, n in enumerate(near)]


def fit(axes: Axes, values: Sequence[float]) -> None:
    """Set a y range that shows the end of a run; it may cut off the first fall from log V."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, round(0.97 * len(ordered)))]
    margin = 0.15 * (high - ordered[0]) or 0.1
    axes.set_ylim(ordered[0] - margin, high + margin)


def bits_axis(axes: Axes) -> None:
    bits = axes.secondary_yaxis(
        "right", functions=(lambda nats: nats / math.log(2), lambda bits: bits * math.log(2))
    )
    bits.set_ylabel("bits a character", color=ink("faded"), fontsize=SIZE)
    bits.tick_params(colors=ink("faded"), labelsize=SIZE, length=3, width=0.8)
    bits.spines["right"].set_color(ink("rule"))


def schedules(
    what: Callable[[Schedule], torch.Tensor], ylabel: str, width: float = 420, *, log: bool = False
) -> Figure:
    """A quantity of every schedule against time, each named where it is furthest from the others,
    with a marker at t = 0 (groups `curve-NAME` and `marker`, which the page moves and highlights).

    what: schedule -> its values at TIMES.
    """
    figure, axes = empty(width, 280, "time t  (0 text, 1 noise)", ylabel)
    values = {key: what(schedule(key)) for key in SCHEDULES}
    for key, y in values.items():
        axes.plot(TIMES, y, color=ink("faded"), linewidth=1.2, gid=f"curve-{key}")
    if log:
        axes.set_yscale("log")
        axes.set_ylim(0.05, 60)
        axes.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        axes.minorticks_off()
    axes.set_xlim(0, 1)
    axes.axvline(0, color=ink("masked"), linewidth=1.6, gid="marker")
    for key, (x, y) in spots({key: y.log() if log else y for key, y in values.items()}).items():
        name(
            axes,
            key,
            x,
            math.exp(y) if log else y,
            ink("faded"),
            xytext=(0, 0),
            ha="center",
            gid=f"name-{key}",
        )
    return figure


def information(left: dict[str, Sequence[float]], width: float = 560) -> Figure:
    """The share of a character's information that is left, 1 to 0, against the noise level; curves
    that coincide are drawn once and named together. The page moves the markers at the left (group
    `marker`) and at the top (`level`).

    left: family -> its values at evenly spaced noise levels from 0 to 1.
    """
    figure, axes = empty(
        width,
        300,
        "noise: 1 \u2212 alpha, the time of the linear schedule",
        "share of a character still known",
    )
    drawn: dict[str, tuple[list[str], torch.Tensor]] = {}
    for family, y in ((family, torch.tensor(values)) for family, values in left.items()):
        same = next((f for f, (_, other) in drawn.items() if (y - other).abs().max() < 0.02), None)
        drawn.setdefault(same or family, ([], y))[0].append(family)
    at = torch.linspace(0, 1, len(y), dtype=torch.float64)
    for family, (_, y) in drawn.items():
        axes.plot(at, y, color=ink(family), linewidth=1.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.axvline(0, color=ink("ink"), linewidth=1.4, gid="marker")
    axes.axhline(1, color=ink("ink"), linewidth=1.4, gid="level")
    for family, (labels, y) in drawn.items():
        others = [other for f, (_, other) in drawn.items() if f != family]
        x, beside, side = free_side(at, y, others)
        where = (
            dict(xytext=(7, 6), ha="left", va="bottom")
            if side > 0
            else dict(xytext=(-7, -6), ha="right", va="top")
        )
        name(axes, ", ".join(labels), x, beside, ink(family), weight="bold", **where)
    return figure


def free_side(
    x: torch.Tensor, y: torch.Tensor, others: list[torch.Tensor]
) -> tuple[float, float, int]:
    """(x, y, side): the point of a falling curve beside which its name has most room, above and to
    the right of it (side 1) or below and to the left (-1)."""
    room = {}
    for side in (1, -1):
        gap = torch.stack(
            [torch.where((other - y) * side > 0, (other - y).abs(), 1.0) for other in others]
        ).amin(0)
        inner = (x > 0.3) & (x < 0.75) if side < 0 else (x > 0.1) & (x < 0.75)
        room[side] = torch.where(inner, gap.clamp_max(0.3) - (x - 0.5).abs() / 10, -1)
    side = max(room, key=lambda s: room[s].max())
    best = room[side].argmax()
    return x[best].item(), y[best].item(), side


def spots(curves: dict[str, torch.Tensor]) -> dict[str, tuple[float, float]]:
    """For each curve the point that is furthest from the other curves and from the names placed
    before it."""
    found: dict[str, tuple[float, float]] = {}
    height = max(y.max().item() for y in curves.values()) - max(
        -3.0, min(y.min().item() for y in curves.values())
    )
    inner = (TIMES > 0.08) & (TIMES < 0.9)
    for key, y in curves.items():
        room = (
            torch.stack([(y - other).abs() / height for k, other in curves.items() if k != key])
            .amin(0)
            .clamp_max(0.08)
        )
        for x0, y0 in found.values():
            room = torch.minimum(
                room,
                torch.maximum((TIMES - x0).abs() / 3, (y - y0).abs() / height * 1.5).clamp_max(0.1),
            )
        best = torch.where(inner & (y > -3), room, -1).argmax()
        found[key] = (TIMES[best].item(), y[best].item())
    return found


def alpha(width: float = 420) -> Figure:
    """What is left of the text at each time, for every schedule."""
    return schedules(lambda s: s.alpha(TIMES), "alpha(t): share that is left", width)


def weight(width: float = 420) -> Figure:
    """The weight of the masked loss at each time, for every schedule."""
    return schedules(lambda s: s.weight(TIMES), "weight of the loss", width, log=True)


def span(figure: Figure) -> float:
    """Length of the x axis in the SVG's units."""
    figure.draw_without_rendering()
    return figure.axes[0].get_window_extent().width * 72 / figure.dpi


def rise(figure: Figure) -> float:
    """Length of the way from 1 to 0 on the y axis in the SVG's units, for a picture whose range
    ends at 0."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    return axes.get_window_extent().height * 72 / figure.dpi / axes.get_ylim()[1]


# ---------------------------------------------------------------- files


def svg(figure: Figure, alt: str) -> str:
    """The picture as inline SVG with text as text, its inks as CSS variables, and `alt` as its
    name.

    gids become classes, so that two pictures on one page never share an id with a meaning.
    """
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for key, light in INKS.items():
        text = text.replace(light, f"var(--td-{key},{light})")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'<g id="([\w.-]+)"', r'<g class="\1"', text)
    text = re.sub(r"font-family: [^;]+;", "font-family: inherit;", text)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    by = f"matplotlib {matplotlib.__version__}"
    return text.replace(
        "<svg ",
        f'<svg role="img" class="tt-plot" data-by="{by}" aria-label="{html.escape(alt)}" ',
        1,
    )


def read() -> list:
    """What every picture depends on, beside its arguments and the text of this file."""
    return [INKS, *map(picture_cache.text, CODE)]


def both(
    draw: Callable[..., Figure], *what, alt: str, wide: float = 560, narrow: float = 345
) -> str:
    """draw(*what, width) at the width of a desktop and of a phone; CSS shows one of them, so that
    letters keep their size."""
    return picture_cache.stored(pair, draw, what, alt, wide, narrow, reads=read())


def pair(draw: Callable[..., Figure], what: tuple, alt: str, wide: float, narrow: float) -> str:
    """`both`, drawn now and not taken from the cache."""
    widths = (("wide", wide), ("narrow", narrow))
    return "".join(
        f'<div class="tt-{kind}">{svg(draw(*what, width), alt)}</div>' for kind, width in widths
    )


def marked(draw: Callable[..., Figure], *what, alt: str) -> dict:
    """draw(*what) as {svg, span, rise}, for the page to move its markers."""
    return picture_cache.stored(marked_now, draw, what, alt, reads=read())


def marked_now(draw: Callable[..., Figure], what: tuple, alt: str) -> dict:
    """`marked`, drawn now and not taken from the cache."""
    figure = draw(*what)
    return dict(svg=svg(figure, alt), span=span(figure), rise=rise(figure))


def png(figure: Figure, about: dict[str, str] | None = None) -> bytes:
    """The picture on paper, 144 dots an inch, for cards and files; `about` becomes its text
    chunks."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=144, facecolor=ink("paper"), metadata=about)
    return out.getvalue()
