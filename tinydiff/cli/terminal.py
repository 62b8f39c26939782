"""What a terminal shows: a run as it is written, and which sampler fits which process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from tinydiff import guides
from tinydiff.cli.flags import flag
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, matrix
from tinydiff.sentences import clean
from tinydiff.show import render
from tinydiff.show.export import COLUMNS, caption, glyph, rows
from tinydiff.show.render import Picture

STYLES = {
    render.MASKED: "dim",
    render.NEW: "bold red",
    render.AGAIN: "bold magenta reverse",
    render.GIVEN: "underline",
    render.DOUBT: "italic dim",
    render.NOISE: "dim strike",
    render.WRITTEN: "",
}
LEGEND = {
    render.NEW: "new",
    render.AGAIN: "changed again",
    render.GIVEN: "given",
    render.DOUBT: "unsure",
    render.NOISE: "noise",
}


def play(pictures: Iterable[Picture], settings: dict, total: int, console: Console) -> Picture:
    """Show a run in the terminal as it comes; the last picture."""
    states, spelling, wide = render.States(), render.Spelling(), False
    with contextlib.closing(pictures), Live(console=console, refresh_per_second=30) as live:
        for picture in pictures:
            spelling.take(picture)
            now = states(picture)
            wide = wide or bool(picture.scene and picture.scene["wide"])
            cells = by_character(spelling.parted(picture.text, now), now)
            room = min(COLUMNS, console.width)
            pieces = bool(spelling.pieces)
            live.update(frame(picture, *cells, settings, total, room, wide, pieces))
    return picture


def by_character(pieces: list[str], states: str) -> tuple[str, str]:
    """Pieces with a state each as characters with a state each."""
    return "".join(pieces), "".join(state * len(piece) for piece, state in zip(pieces, states))


def frame(
    picture: Picture,
    text: str,
    states: str,
    settings: dict,
    total: int,
    width: int,
    wide: bool = False,
    pieces: bool = False,
) -> Group:
    """One picture as what rich draws: rows of cells, a line of facts, a legend. wide: every cell
    has two columns; pieces: lines end between words."""
    lines = rows(text, states, width=width, wide=wide, words=pieces)
    page = Text("\n").join(styled(*line, wide) for line in lines)
    legend = Text("   ").join(Text(name, STYLES[state]) for state, name in LEGEND.items())
    words = caption(settings, picture.step, picture.calls, total)
    return Group(page, Text(""), Text(clean(words), "dim"), legend)


def styled(text: str, states: str, wide: bool) -> Text:
    row = Text(no_wrap=True)
    for character, state in zip(text, states):
        narrow = " " * (wide and not render.is_wide(glyph(character)))
        row.append(clean(glyph(character)) + narrow, STYLES[state])
    return row


def guides_table() -> Table:
    """The guides, the outermost last, for a terminal."""
    table = Table(
        Column("guide", no_wrap=True),
        Column("options", ratio=1),
        Column("needs", ratio=1),
        Column("what it does", ratio=2),
    )
    for each in guides.in_order():
        words = [flag(name) for name in each.options], sorted(each.needs)
        table.add_row(each.name, *map(", ".join, words), each.about)
    return table


def matrix_table() -> Table:
    """The process x sampler table, for a terminal."""
    fits = matrix()
    table = Table(
        Column("sampler", no_wrap=True),
        Column("processes", ratio=1),
        Column("what it does", ratio=2),
    )
    for name, chosen in SAMPLERS.items():
        table.add_row(name, ", ".join(p for p in PROCESSES if fits[p, name]), chosen.about)
    return table
