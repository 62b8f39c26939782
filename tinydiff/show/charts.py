"""The small charts under a film, as the page has them under a text: what is still visible of the
text, the weight of a mistake in the loss, the loss on held-out text there, what is left to do, and
a marker that moves through all of them. And the fonts and colours of films.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from tinydiff.show import fonts, render
from tinydiff.show.curves import Point, along, at, weight_at
from tinydiff.show.render import Run

EDGE, GAP = 16, 22  # pixels: beside the charts, between two
HEAD, HIGH, ENDS = 20, 46, 18  # heights of title, chart and what stands under its axis
BELOW = 12  # under all of it
LETTERS = 12  # size of the font
FINE = 4  # lines are drawn so many times larger, and made smaller
HEAVIEST = 100.0  # of the loss weight that is drawn: its axis is of powers of ten
FINEST = 64  # parts of a curve over time


@lru_cache(maxsize=64)
def font(size: int, bold: bool = False, sign: str = "") -> ImageFont.FreeTypeFont:
    """DejaVu Sans Mono, whose cells are 0.602 of its size wide, or where it lacks a sign, another
    font that has it."""
    return ImageFont.truetype(fonts.path(sign, bold), size)


@lru_cache(maxsize=1)
def inks() -> dict[str, tuple[int, ...]]:
    """The page's colours by name, in its light theme, (red, green, blue)."""
    return {name: tuple(bytes.fromhex(colour[1:])) for name, colour in render.palette().items()}


def mixed(a: tuple[int, ...], b: tuple[int, ...], share: float) -> tuple[int, ...]:
    """`share` of colour a, the rest of b."""
    return tuple(round(share * x + (1 - share) * y) for x, y in zip(a, b))


@dataclass(frozen=True)
class Chart:
    """One of them. lines: each a list of (x, y); at: of each picture the points of the lines, at
    one x; said: what is written at each picture. All x and y are from 0 to 1."""

    title: str
    ends: tuple[str, str]  # of its axis
    lines: list[list[tuple[float, float]]]
    at: list[Sequence[tuple[float, float]]]
    said: list[str]


def charts(run: Run) -> list[Chart]:
    """Those of a run, as many as are known of it."""
    points, curves = along(run), run.curves
    found, times = [], [k / FINEST for k in range(FINEST + 1)]
    if "alpha" in curves:
        found.append(
            over_time(
                "still visible",
                [(t, at(curves["alpha"], t)) for t in times],
                [(p.t, p.alpha, f"{100 * p.alpha:.0f} %") for p in points],
            )
        )
    if "weight" in curves:
        known = [(t, weight_at(curves["weight"], t)) for t in times]
        found.append(
            over_time(
                "weight in the loss",
                [(t, tenfold(y)) for t, y in known],
                [(p.t, tenfold(p.weight), told(p.weight)) for p in points],
            )
        )
    if "loss" in curves:
        top = max(1.0, *(nats for _, nats in curves["loss"]))
        found.append(
            over_time(
                "loss here, nats",
                [(t, y / top) for t, y in [(0.0, 0.0), *curves["loss"]]],
                [(p.t, p.loss / top, f"{p.loss:.2f}") for p in points],
            )
        )
    return [*found, left(run, points)]


def tenfold(weight: float | None) -> float:
    """How high a weight of the loss is drawn, on an axis of powers of ten that ends at HEAVIEST;
    None has no bound."""
    return 1.0 if weight is None else math.log10(max(1.0, weight)) / math.log10(HEAVIEST)


def told(weight: float | None) -> str:
    """A weight of the loss as it is written."""
    if weight is None or weight >= HEAVIEST:
        return f"≥ {HEAVIEST:.0f}×"
    return f"{weight:.1f}×" if weight < 10 else f"{weight:.0f}×"


def over_time(title: str, line: list, points: list) -> Chart:
    """A curve over t, noise on the left. line: (t, y); points: of each picture (t, y, what is
    written); y from 0 to 1."""
    drawn = sorted((1 - t, bounded(y)) for t, y in line)
    return Chart(
        title,
        ("noise", "text"),
        [drawn],
        [[(1 - t, bounded(y))] for t, y, _ in points],
        [said for *_, said in points],
    )


def bounded(y: float) -> float:
    return min(1.0, max(0.0, y))


def left(run: Run, points: Sequence[Point]) -> Chart:
    """What is left to do: the share that is hidden, or that changes where nothing is, and how
    unsure the network is, as a share of knowing nothing."""
    masks, last = (run.frames[0].scene or {}).get("masks", True), max(1, len(points) - 1)
    nothing = max(1.0, *(nats for picture in run.frames for nats in picture.entropy))
    shares = [p.hidden if masks else p.changing for p in points]
    lines = [
        [(k / last, bounded(y)) for k, y in enumerate(values)]
        for values in (shares, [p.entropy / nothing for p in points])
    ]
    said = [f"{100 * y:.0f} %" for y in shares]
    word = "hidden" if masks else "changing"
    return Chart(f"{word}, unsure", ("0", looks(len(points) - 1)), lines, list(zip(*lines)), said)


def looks(count: int) -> str:
    return f"{count} look{'' if count == 1 else 's'}"


class Strip:
    """The charts of a run on one image of `width` pixels."""

    height = HEAD + HIGH + ENDS + BELOW

    def __init__(self, run: Run, width: int):
        self.charts = charts(run)
        self.wide = (width - 2 * EDGE - GAP * (len(self.charts) - 1)) // len(self.charts)
        self.paper = Image.new("RGB", (width, self.height), inks()["paper"])
        for place, chart in enumerate(self.charts):
            self.paper.paste(background(chart, self.wide), (self.left(place), 0))

    def left(self, place: int) -> int:
        return EDGE + place * (self.wide + GAP)

    def drawn(self, k: int) -> Image.Image:
        """The image at picture k."""
        image, ink = self.paper.copy(), inks()
        draw = ImageDraw.Draw(image)
        for place, chart in enumerate(self.charts):
            left, low = self.left(place), HEAD + HIGH
            across = left + round(chart.at[k][0][0] * (self.wide - 1))
            draw.line((across, HEAD, across, low), ink["new"])
            for _, y in chart.at[k]:
                height = low - 1 - round(y * (HIGH - 3))
                draw.ellipse((across - 3, height - 3, across + 3, height + 3), ink["new"])
            right = (left + self.wide, HEAD - 8)
            draw.text(right, chart.said[k], ink["ink"], font(LETTERS, bold=True), anchor="rm")
        return image


def background(chart: Chart, wide: int) -> Image.Image:
    """A chart without its marker; under its first line it is shaded, the second is thinner."""
    ink, low = inks(), HEAD + HIGH
    image = Image.new("RGB", (wide, Strip.height), ink["paper"])
    large = Image.new("RGB", (FINE * wide, FINE * HIGH), ink["paper"])
    draw, pale = ImageDraw.Draw(large), mixed(ink["ink"], ink["paper"], 0.08)
    for place, line in enumerate(chart.lines):
        drawn = [(x * (FINE * wide - 1), FINE * (HIGH - 1 - y * (HIGH - 3))) for x, y in line]
        if not place:
            bottom = FINE * HIGH
            draw.polygon([(drawn[0][0], bottom), *drawn, (drawn[-1][0], bottom)], pale)
        colour, heavy = (ink["faded"], FINE) if place else (ink["ink"], FINE * 3 // 2)
        draw.line(drawn, colour, heavy, joint="curve")
    image.paste(large.resize((wide, HIGH), Image.Resampling.BOX), (0, HEAD))
    draw = ImageDraw.Draw(image)
    draw.line((0, low, wide, low), ink["rule"])
    draw.text((0, HEAD - 8), chart.title, ink["faded"], font(LETTERS), anchor="lm")
    for words, x, anchor in ((chart.ends[0], 0, "lm"), (chart.ends[1], wide, "rm")):
        draw.text((x, low + 10), words, ink["faded"], font(LETTERS - 1), anchor=anchor)
    return image
