"""Runs as files: GIF, MP4, one HTML page that needs nothing else, and JSON that holds the whole
run.

The pictures are drawn in the page's colours with the fonts that matplotlib carries, so a GIF is the
same on every machine, but for signs that only a font of the machine has (fonts.py): 64 columns, a
cell a character, two columns where it is wide, no re-flow. A new character appears in the accent
colour and fades to ink in a few frames. Text of a visitor enters the HTML page only as JSON
in a script tag, where `<` is escaped.
"""

from __future__ import annotations

import html as markup
import json as plain_json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from itertools import repeat
from pathlib import Path

from PIL import Image, ImageDraw

from tinydiff.files import Unread, check_writable, read_whole, write_text
from tinydiff.paths import STATIC
from tinydiff.samplers import SAMPLERS
from tinydiff.sentences import HUGE, NAME, brief, is_number, is_text
from tinydiff.show import curves, fonts, render, sheets
from tinydiff.show.bundle import bundle
from tinydiff.show.charts import Strip, font, inks, mixed
from tinydiff.show.render import BREAK, MASK, Picture, Run
from tinydiff.text import MASK_SIGN, MAX_CANVAS

FORMAT = 1
COLUMNS = 64
CONTROLS = {"\n": "↵", "\t": "⇥", MASK: MASK_SIGN}
SIGNS = CONTROLS | {BREAK: "∎"}
MAX_JSON = 1 << 28  # bytes
MAX_DRAWN = 1 << 31  # bytes of all pictures of a film together
MAX_SIDE = 65_535  # pixels of a side that a GIF may have
MOST_NATS = 14.0  # of a prediction: more than the log of all characters there are


def plain(text: str) -> str:
    """A picture's text to be read: masks as dots."""
    return text.replace(MASK, MASK_SIGN)


def glyph(character: str) -> str:
    """The sign that is drawn for a character."""
    return SIGNS.get(character, character)


def columns(character: str, wide: bool) -> int:
    """How many columns a cell has; `wide`: of a text of wide characters (`render.scene`)."""
    return 1 + (wide or render.is_wide(glyph(character)))


def rows(
    text: str,
    *channels: Sequence,
    width: int = COLUMNS,
    wide: bool = False,
    words: bool = False,
) -> Iterator[tuple[Sequence, ...]]:
    """A text and what goes with its characters, cut into rows of at most `width` columns: ((row of
    the text, row of the first, ...), ...). words: between words, unless one is longer than a
    row. Behind a BREAK the row ends, and an empty one follows."""
    starts, room = [0] * bool(text), width
    for i, character in enumerate(text):
        taken = columns(character, wide)
        if text[i - 1 : i] == BREAK:
            starts += [i, i]
            room = width
        elif taken > room:
            word = text.rfind(" ", starts[-1], i) + 1 if words else 0  # the one that is cut
            starts.append(word if word > starts[-1] else i)
            room = width - sum(columns(c, wide) for c in text[starts[-1] : i])
        room -= taken
    for start, stop in zip(starts, [*starts[1:], len(text)]):
        yield tuple(channel[start:stop] for channel in (text, *channels))


def caption(settings: dict, step: int, calls: int, total: int) -> str:
    """One line: process, sampler, step and calls."""
    named = f"{settings.get('process')} · {settings.get('sampler')}"
    return f"{named} · step {step} of {total} · {calls} call{'' if calls == 1 else 's'}"


# ---------------------------------------------------------------- JSON


def json(run: Run, path: str | Path) -> None:
    """Write everything that the run holds as JSON, numbers to five decimals."""
    data = {
        "format": FORMAT,
        "settings": shared(run.settings),
        **({"curves": run.curves} if run.curves else {}),
        "frames": [rounded(asdict(picture)) for picture in run.frames],
    }
    write_text(Path(path), plain_json.dumps(data, ensure_ascii=False, separators=(",", ":")))


def shared(settings: dict) -> dict:
    """Settings as others may read them: a model in a folder of this machine appears by its name
    alone."""
    model = settings.get("model")
    here = isinstance(model, (str, Path)) and (
        Path(model).is_dir() or str(model).startswith((".", "/", "~"))
    )
    return settings | {"model": Path(model).resolve().name} if here else settings


def rounded(row: dict) -> dict:
    """The channels of a picture with its numbers shortened."""
    return row | {name: [round(x, 5) for x in row[name]] for name in ("confidence", "entropy")}


def load_json(path: str | Path) -> Run:
    """The run that `json` wrote. Raises ValueError, in one sentence, for anything else."""
    path = Path(path)
    try:
        text = read_whole(path, MAX_JSON)
    except Unread as error:
        raise ValueError(f"The file {brief(path.name)} {error}.") from None
    if text is None:
        raise ValueError(
            f"There is no file {brief(str(path), 200)}: name a run that was exported as JSON."
        )
    try:
        return run_of(plain_json.loads(text, parse_constant=refuse))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{brief(path.name)} is not a run that was exported as JSON.") from None


class Strange(ValueError):
    """Raised for JSON that is no run of ours."""


def refuse(value: object) -> None:
    """Raises Strange for NaN and Infinity, which are no JSON, and which browsers do not read."""
    raise Strange(str(value))


def run_of(data: dict) -> Run:
    """A run from JSON that anybody may have written. Raises Strange, or what Python raises for a
    wrong type."""
    drawn = data.get("curves", {})  # of older runs there are none
    if data["format"] != FORMAT or not is_settings(data["settings"]) or not curves.are(drawn):
        raise Strange
    pictures = [picture_of(row) for row in data["frames"]]
    if not pictures or len({len(p.text) for p in pictures}) != 1:
        raise Strange
    return Run(data["settings"], pictures, drawn)


def is_settings(found: object) -> bool:
    """Whether it is plain values by name, with one level of options, and short one-line texts where
    it is drawn or printed."""
    options = found.get("options") or {}
    values = [*(value for name, value in found.items() if name != "options"), *options.values()]
    lines = [found.get(name) or "" for name in ("model", "process", "sampler")]
    return (
        all(isinstance(x, bool) or x is None or is_number(x) or is_text(x) for x in values)
        and all(is_text(x) for x in (*found, *options))
        and all(is_text(line) and len(line) <= NAME and line.isprintable() for line in lines)
    )


def picture_of(row: dict) -> Picture:
    """A picture from JSON; every channel must have a value for each character, of its type and
    within its limits."""
    row = render.renamed(row)
    if isinstance(row.get("scene"), dict):
        row["scene"] = render.renamed(row["scene"])
    known = {field.name: row[field.name] for field in fields(Picture) if field.name in row}
    picture = Picture(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in known.items()
        }
    )
    L = len(picture.text)
    if not 0 < L <= MAX_CANVAS or not all(
        map(is_text, (picture.text, picture.best, picture.top, picture.view))
    ):
        raise Strange
    if any(
        len(channel) != L
        for channel in (picture.best, picture.confidence, picture.entropy, picture.given)
    ):
        raise Strange
    spans = (
        (picture.confidence, 1 + 1e-4),
        (picture.entropy, MOST_NATS),
        ((picture.t,), 1),
        ((picture.seconds,), HUGE),
    )
    if not all(is_number(x) and 0 <= x <= most for numbers, most in spans for x in numbers):
        raise Strange
    if any(type(x) is not int or not 0 <= x <= MAX_JSON for x in (picture.step, picture.calls)):
        raise Strange
    if not all(type(given) is bool for given in picture.given) or not set(picture.view) <= set(
        render.SIGNS
    ):
        raise Strange
    if not (picture.scene is None or render.is_scene(picture.scene, L)):
        raise Strange
    if not (picture.pieces is None or render.is_naming(picture.pieces)):
        raise Strange
    match = picture.match
    if not (match is None or (is_number(match) and -HUGE <= match <= 0)):
        raise Strange
    return picture


# ---------------------------------------------------------------- CSV


def csv(run: Run, path: str | Path) -> None:
    """Write the curves of a run as CSV, a line a picture."""
    write_text(Path(path), sheets.of_run(run))


# ---------------------------------------------------------------- HTML


def html(run: Run, path: str | Path) -> None:
    """One page with the player in it: no other file, no network."""
    V = round(math.exp(max(1.0, *(nats for picture in run.frames for nats in picture.entropy))))
    played_html(render.pack(run, V, family=run.settings.get("process")), path)


def played_html(value: dict, path: str | Path) -> None:
    """`html` for a value that was packed for the player already."""
    write_text(Path(path), page(value))


def page(value: dict) -> str:
    """The HTML page of a value for the player; it leaves the address bar alone."""
    head = {name: part for name, part in value["head"].items() if name != "query"}
    head["settings"] = shared(head.get("settings", {}))
    last = plain_json.loads(value["chunks"][-1])[-1]
    title = caption(head["settings"], last["step"], last["calls"], last["step"])
    parts = {
        "TITLE": markup.escape(title),
        "STYLE": (STATIC / "style.css").read_text("utf-8"),
        "PLAYER": (STATIC / "player.html").read_text("utf-8"),
        "SCRIPT": bundle("exported.js"),
        "RUN": in_script(value | {"head": head}),
    }
    return filled("export.html", parts)


def filled(name: str, parts: dict[str, str]) -> str:
    """A page of ui/static with each {{NAME}} replaced by that part; a {{NAME}} inside a
    part stays."""
    head, *rest = (STATIC / name).read_text("utf-8").split("{{")
    return head + "".join(
        parts[name] + after for name, after in (piece.split("}}", 1) for piece in rest)
    )


def in_script(value: object) -> str:
    """JSON that can stand in a script tag, whatever strings it holds: no `<` is left that could
    begin a tag."""
    return plain_json.dumps(value).replace("<", "\\u003c")


# ---------------------------------------------------------------- drawing


CELL, LINE = 12, 27  # pixels: a cell's width, a row's height
SIZE, SMALL = 20, 13  # of the fonts
BASE = 19  # the line that letters stand on
EDGE = 16  # of the paper around the sheet
INSET = 22  # of the sheet around the text
FOOT = 40  # of the paper under the sheet
DRY = 4  # frames in which a new character dries to ink
UNDER = {render.GIVEN: (23, 24), render.AGAIN: (22, 24)}  # lines under a cell, as on the page


@lru_cache(maxsize=8192)
def tile(character: str, state: str, wet: float, wide: bool = False) -> Image.Image:
    """One drawn cell: a character in its state; `wet` is how much of the accent colour is left, 1
    when it is written, 0 when it has faded. wide: of a text of wide characters."""
    width = CELL * columns(character, wide)
    ink = inks()
    struck = state == render.NEW and wet == 1
    image = Image.new(
        "RGB", (width, LINE), mixed(ink["new"], ink["sheet"], 1 if struck else 0.14 * wet)
    )
    pale = {render.DOUBT: "faded", render.NOISE: "ghost"}
    dry = ink["ghost"] if character in SIGNS else ink[pale.get(state, "ink")]
    colour = ink["sheet"] if struck else mixed(ink["new"], dry, wet)
    draw = ImageDraw.Draw(image)
    draw.text(
        (width / 2, BASE),
        glyph(character),
        colour,
        font(SIZE, wet == 1 or state == render.GIVEN, glyph(character)),
        anchor="ms",
    )
    for line in UNDER.get(state, ()):
        draw.line((0, line, width, line), colour)
    return image


def images(run: Run, plots: bool = True) -> Iterator[Image.Image]:
    """The run as images, one a step, and a few more in which the last characters fade. plots: with
    the charts of charts.py under the text."""
    if not plots:
        yield from texts_drawn(run)
        return
    strip, last = Strip(run, background_size(1)[0]), len(run.frames) - 1
    for k, text in enumerate(texts_drawn(run)):
        image = Image.new("RGB", (text.width, text.height + strip.height))
        image.paste(text, (0, 0))
        image.paste(strip.drawn(min(k, last)), (0, text.height))
        yield image


def texts_drawn(run: Run) -> Iterator[Image.Image]:
    """`images` without plots."""
    total = len(run.frames) - 1
    wet = [0.0] * len(run.frames[0].text)
    kinds = [""] * len(run.frames[0].text)
    last, spelling, lines = run.frames[-1], render.Spelling(), lines_of(run)
    made = [*zip(run.frames, render.states(run.frames))]
    dry = "".join(s if s in (render.GIVEN, render.BEHIND) else render.WRITTEN for s in made[-1][1])
    for picture, states in made + [(last, dry)] * DRY:
        fresh = [state in (render.NEW, render.AGAIN) for state in states]
        wet = [1.0 if new else max(0.0, w - 1 / DRY) for new, w in zip(fresh, wet)]
        kinds = [s if new or not w else kind for s, new, w, kind in zip(states, fresh, wet, kinds)]
        spelling.take(picture)
        cells = [
            cell
            for piece, *how in zip(spelling.parted(picture.text, states), kinds, wet)
            for cell in zip(piece, *map(repeat, how))
        ]
        yield drawn(
            cells,
            lines,
            caption(run.settings, picture.step, picture.calls, total),
            min(1.0, picture.step / max(1, total)),
            is_wide(run),
            of_pieces(run),
        )


def is_wide(run: Run) -> bool:
    """Is it of wide characters?"""
    return bool((run.frames[0].scene or {}).get("wide"))


def lines_of(run: Run) -> int:
    """How many lines the longest picture of a run takes."""
    how = dict(wide=is_wide(run), words=of_pieces(run))
    return max(sum(1 for _ in rows(text, **how)) for text in texts(run))


def of_pieces(run: Run) -> bool:
    """Are its tokens pieces of words?"""
    return any(picture.pieces for picture in run.frames)


def texts(run: Run) -> list[str]:
    """The whole text of each picture, as it is drawn."""
    spelling, found = render.Spelling(), []
    for picture in run.frames:
        spelling.take(picture)
        found.append("".join(spelling.parted(picture.text, render.WRITTEN * len(picture.text))))
    return found


def drawn(
    cells: list[tuple[str, str, float]],
    lines: int,
    told: str,
    done: float,
    wide: bool = False,
    words: bool = False,
) -> Image.Image:
    """One image: the cells, (character, state, wet) each, and under them the caption, `told`, and
    a bar of progress. words: lines end between words."""
    image, left, y = background(lines).copy(), EDGE + INSET, EDGE + INSET
    for _, row in rows("".join(cell[0] for cell in cells), cells, wide=wide, words=words):
        x = left
        for character, kind, w in row:
            cell = tile(character, kind, round(w, 2), wide)
            image.paste(cell, (x, y))
            x += cell.width
        y += LINE
    ink, draw, right, low = inks(), ImageDraw.Draw(image), image.width - EDGE, image.height - FOOT
    draw.line(
        (EDGE, low - 1, EDGE + round((right - EDGE - 1) * done), low - 1),
        ink["new"] if done else ink["rule"],
        2,
    )
    draw.text((EDGE, low + FOOT / 2), told, ink["faded"], font(SMALL), anchor="lm")
    draw.text((right, low + FOOT / 2), "tinydiff", ink["ghost"], font(SMALL), anchor="rm")
    return image


@lru_cache(maxsize=4)
def background(lines: int) -> Image.Image:
    """An image of empty paper with room for `lines` rows of cells. Its sides are even, as H.264
    requires."""
    ink = inks()
    image = Image.new("RGB", background_size(lines), ink["paper"])
    width, low = image.width, image.height - FOOT
    ImageDraw.Draw(image).rectangle(
        (EDGE, EDGE, width - EDGE - 1, low - 1), ink["sheet"], ink["rule"]
    )
    ImageDraw.Draw(image).line((EDGE, low - 1, width - EDGE - 1, low - 1), ink["rule"], 2)
    return image


def background_size(lines: int) -> tuple[int, int]:
    """Its width and height in pixels."""
    return 2 * (EDGE + INSET) + COLUMNS * CELL, (
        EDGE + 2 * INSET + lines * LINE + FOOT + 1
    ) // 2 * 2


def milliseconds(frames: int) -> int:
    """How long each picture is shown: a run takes about five seconds, whatever its number
    of steps."""
    return 10 * min(50, max(3, round(500 / frames)))


# ---------------------------------------------------------------- moving pictures


def gif(run: Run, path: str | Path, pause: float = 3.0, plots: bool = True) -> None:
    """Write an endlessly repeated GIF; the finished text is shown for `pause` seconds. Only what
    changes from picture to picture is stored. plots: see `images`."""
    pictures = drawable(run, plots)
    common = commonest(a_few(pictures))
    frames = [picture.quantize(palette=common, dither=Image.Dither.NONE) for picture in pictures]
    times = [milliseconds(len(run.frames))] * len(frames)
    times[0], times[-1] = max(600, times[0]), int(1000 * pause)
    partial = Path(path).with_name(Path(path).name + ".partial")
    try:
        frames[0].save(
            partial,
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=times,
            loop=0,
            optimize=True,
        )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def drawable(run: Run, plots: bool = True) -> list[Image.Image]:
    """All pictures of a film. Raises ValueError, before the first is drawn, if they are too large,
    or too many for memory, or if no font has a character of the text that was written."""
    (width, height), count = background_size(lines_of(run)), len(run.frames) + DRY
    size = width, height + (Strip.height if plots else 0)
    if max(size) > MAX_SIDE or 3 * count * math.prod(size) > MAX_DRAWN:
        raise ValueError(
            f"{count:,} pictures of {len(run.frames[0].text):,} characters are too much for "
            "a film: export the run as HTML or JSON."
        )
    fonts.check("".join(map(glyph, texts(run)[-1])))
    return list(images(run, plots))


def commonest(image: Image.Image, colours: int = 62) -> Image.Image:
    """The palette of an image's most frequent colours, so that paper and ink keep their exact
    colours."""
    counted = sorted(image.getcolors(image.width * image.height), reverse=True)[:colours]
    palette = Image.new("P", (1, 1))
    palette.putpalette([channel for _, colour in counted for channel in colour])
    return palette


def a_few(pictures: list[Image.Image]) -> Image.Image:
    """Six of the pictures on one image, from which the palette is taken."""
    some = [pictures[i * (len(pictures) - 1) // 5] for i in range(6)]
    image = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for i, picture in enumerate(some):
        image.paste(picture, (0, i * picture.height))
    return image


def mp4(run: Run, path: str | Path, pause: float = 3.0, plots: bool = True) -> None:
    """Write an H.264 film, with ffmpeg; plots: see `images`. Raises ValueError where there is
    none."""
    if shutil.which("ffmpeg") is None:
        raise ValueError(
            "MP4 needs the program ffmpeg, which is not here: install it, or export a GIF."
        )
    pictures = drawable(run, plots)
    rate = 1000 / milliseconds(len(run.frames))
    pictures += pictures[-1:] * round(pause * rate)
    partial = Path(path).with_name(Path(path).name + ".partial.mp4")
    width, height = pictures[0].size
    raw = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate:.4f} -i -"
    film = "-pix_fmt yuv420p -movflags +faststart"
    done = subprocess.run(
        f"ffmpeg -y -loglevel error {raw} {film}".split() + [f"file:{os.path.abspath(partial)}"],
        input=b"".join(picture.tobytes() for picture in pictures),
        capture_output=True,
    )
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise ValueError(
            f"ffmpeg could not write {str(path)!r}: "
            f"{done.stderr.decode(errors='replace').strip()[:200]}"
        )
    os.replace(partial, path)


FILMS = (gif, mp4)  # which may have plots
WRITERS: dict[str, Callable[..., None]] = {
    ".gif": gif,
    ".mp4": mp4,
    ".html": html,
    ".json": json,
    ".csv": csv,
}


def file_name(settings: dict, kind: str) -> str:
    """What a file of a run is called: "tinydiff-stories-masked-64-steps-seed-7.gif"; without steps
    where the sampler takes a call a token."""
    chosen, steps = SAMPLERS.get(settings.get("sampler")), settings.get("steps")
    counted = steps is not None and (chosen is None or chosen.steps_matter)
    parts = ["tinydiff", str(shared(settings).get("model") or settings.get("process") or "run")]
    parts += [f"{steps}-step{'s' * (steps != 1)}"] * counted
    parts += [f"seed-{settings['seed']}"] if settings.get("seed") is not None else []
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts))[:NAME] + f".{kind}"


def writer(path: str | Path) -> Callable[..., None]:
    """The function that writes a file with this ending. Raises ValueError that lists the endings,
    or for a folder that does not exist."""
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(
            f"{path.name!r} has no ending that can be written; there are {', '.join(WRITERS)}."
        )
    if not path.parent.is_dir():
        raise ValueError(
            f"There is no folder {str(path.parent)!r} to write {path.name!r} into: make it first."
        )
    if path.exists() and not path.is_file():
        raise ValueError(f"{str(path)!r} is no file that could be written: choose another name.")
    check_writable(path.parent)
    return WRITERS[path.suffix.lower()]
