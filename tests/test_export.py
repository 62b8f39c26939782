"""Runs as files: what is written can be read back, looks as it was drawn, and trusts no string."""

import io
import json
import math
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.conftest import SHAPE, random_process
from tinydiff import runs
from tinydiff.cli import terminal
from tinydiff.show import export, fonts, plots, render
from tinydiff.show.render import MASK, Picture, Run
from tinydiff.store import checkpoint

PROMPT = "abc\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """70 characters, six steps a window, with a prompt, written by an untrained network that
    changes its mind."""
    process = random_process("masked")
    folder = checkpoint.save(
        process,
        checkpoint.config_of(process, {**SHAPE, "labels": 0}, "noise"),
        tmp_path_factory.mktemp("model"),
    )
    return runs.record(
        {
            "model": str(folder),
            "sampler": "remask",
            "steps": 6,
            "length": 70,
            "prompt": PROMPT,
            "seed": 1,
            "options": {"share": 1.0},
        }
    )


def one(text, given=()):
    """A picture of `text` with nothing else to say."""
    L = len(text)
    return Picture(
        1,
        0.0,
        1,
        0.1,
        text,
        text,
        (0.9,) * L,
        (math.log(65),) * L,
        tuple(i in given for i in range(L)),
    )


# ---------------------------------------------------------------- runs


def test_a_run_begins_with_its_prompt_and_ends_written(run):
    """The first picture is the prompt and masks, the last has no mask, and the prompt stands in
    every one of them."""
    assert run.frames[0].text == PROMPT + MASK * 66
    assert MASK not in run.frames[-1].text
    assert all(p.text.startswith(PROMPT) and p.given == run.frames[0].given for p in run.frames)
    assert run.settings["process"] == "masked" and run.settings["length"] == 70
    assert json.loads(json.dumps(run.settings)) == run.settings


def test_the_settings_of_a_run_make_it_again(run):
    """A run is reproduced, text for text, from the settings that it carries."""
    again = runs.record(run.settings)
    assert [p.text for p in again.frames] == [p.text for p in run.frames]
    assert again.settings == run.settings


def test_given_stays_what_was_asked_for(run):
    """Text longer than the window goes on window after window; only the prompt is called given."""
    assert sum(run.frames[-1].given) == len(PROMPT)


# ---------------------------------------------------------------- JSON


def test_json_holds_the_run(run, tmp_path):
    """load_json gives back what json wrote: everything equal, shares and entropies to five
    decimals."""
    export.json(run, tmp_path / "run.json")
    back = export.load_json(tmp_path / "run.json")
    assert back.settings == run.settings | {"model": Path(run.settings["model"]).name} and len(
        back.frames
    ) == len(run.frames)
    for was, now in zip(run.frames, back.frames):
        assert replace(now, confidence=(), entropy=()) == replace(was, confidence=(), entropy=())
        assert now.confidence == pytest.approx(was.confidence, abs=1e-5)
        assert now.entropy == pytest.approx(was.entropy, abs=1e-5)
    export.json(back, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "run.json").read_bytes()


def damaged(data):
    """Files that are nearly a run."""
    frame = data["frames"][0]
    yield "", "[]", "{}", "nonsense", "[" * 100_000, "\x00"
    yield (
        {**data, "format": 2},
        {**data, "frames": []},
        {**data, "frames": [7]},
        {**data, "settings": []},
    )
    for key in ("text", "best", "confidence", "entropy", "given", "t", "step"):
        yield (
            {**data, "frames": [{k: v for k, v in frame.items() if k != key}]},
            {**data, "frames": [{**frame, key: None}]},
        )
    yield (
        {**data, "frames": [{**frame, "text": frame["text"] + "a"}]},
        {**data, "frames": [{**frame, "t": math.inf}]},
    )
    yield (
        {
            **data,
            "frames": [
                frame,
                {
                    **frame,
                    **{k: frame[k][:5] for k in ("text", "best", "confidence", "entropy", "given")},
                },
            ],
        },
    )


def test_what_is_no_run_is_refused_in_one_sentence(run, tmp_path):
    """A file that is missing, cut short, or holds something else never becomes a Run, nor an error
    of another kind."""
    path = tmp_path / "run.json"
    with pytest.raises(ValueError, match="no file"):
        export.load_json(path)
    export.json(run, path)
    whole = path.read_text("utf-8")
    cases = [case for some in damaged(json.loads(whole)) for case in some]
    for case in [*cases, whole[: len(whole) // 2]]:
        path.write_text(case if isinstance(case, str) else json.dumps(case), encoding="utf-8")
        with pytest.raises(ValueError, match="is not a run") as error:
            export.load_json(path)
        assert "\n" not in str(error.value)


def test_no_file_names_a_place_of_this_machine(run, tmp_path, monkeypatch):
    """JSON and HTML tell the name of the folder that wrote the run, not where it is; what is on the
    Hub keeps its whole name."""
    folder = Path(run.settings["model"])
    for write, name in ((export.json, "run.json"), (export.html, "run.html")):
        write(run, tmp_path / name)
        text = (tmp_path / name).read_text("utf-8")
        assert str(folder.parent) not in text and f'"model":"{folder.name}"' in text.replace(
            '": "', '":"'
        )
    monkeypatch.chdir(folder.parent)
    shared = {
        name: export.shared({"model": name})["model"]
        for name in ("masked", "user/name@v1", "./" + folder.name, "../x/y")
    }
    assert shared == {
        "masked": "masked",
        "user/name@v1": "user/name@v1",
        "./" + folder.name: folder.name,
        "../x/y": "y",
    }


VALUES = (
    None,
    True,
    -1,
    0.5,
    2,
    1e308,
    10**400,
    math.nan,
    math.inf,
    "",
    "x",
    "\ud800",
    "<script>",
    "\n",
    "\x1b]0;x\x07",
    "x" * 3000,
    [],
    [[]],
    {},
    {"x": []},
    [0.5] * 70,
    ["x"] * 70,
    [10**400] * 70,
    [math.nan] * 70,
    [-0.5] * 70,
    [77.0] * 70,
    "\ud800" * 70,
)


def places(value, above=()):
    """Every place in JSON, of lists the first."""
    yield above
    for key, inner in (
        value.items()
        if isinstance(value, dict)
        else list(enumerate(value))[:1]
        if isinstance(value, list)
        else ()
    ):
        yield from places(inner, (*above, key))


def put(data, place, value):
    if not place:
        return value
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[place[0]] = put(copy[place[0]], place[1:], value)
    return copy


def page_of(run, tmp_path) -> str:
    """The page that a run is exported as."""
    export.html(run, tmp_path / "run.html")
    return (tmp_path / "run.html").read_text("utf-8")


def hostile(run, tmp_path, rng, share):
    """A share of all runs that have one value in the place of another: each is refused in a
    sentence, or becomes every kind of file. How many of each.
    """
    export.json(
        replace(run, frames=[replace(run.frames[0]), run.frames[-1]]), tmp_path / "whole.json"
    )
    whole = json.loads((tmp_path / "whole.json").read_text("utf-8"))
    path = tmp_path / "run.json"
    counts = [0, 0]
    for place in places(whole):
        for value in VALUES:
            if rng.random() >= share:
                continue
            path.write_text(json.dumps(put(whole, place, value)), encoding="utf-8")
            try:
                found = export.load_json(path)
            except ValueError as error:
                counts[0] += 1
                assert "is not a run" in str(error) and len(str(error)) < 200
                continue
            counts[1] += 1
            json.loads(
                re.search(r'id="run">(.*?)</script>', page_of(found, tmp_path), re.S)[1],
                parse_constant=pytest.fail,
            )
            export.json(found, tmp_path / "again.json")
            if rng.random() < 0.1:
                export.gif(found, tmp_path / "run.gif")
    return counts


def test_lines_of_pieces_end_between_words():
    """Nothing is lost, no row is too long, and a word is cut only where it is longer than a row."""
    text = "a young queen and the old king who sat by the sea " + "x" * 30 + " end"
    cut = [row for (row,) in export.rows(text, width=12, words=True)]
    assert "".join(cut) == text and max(map(len, cut)) <= 12
    assert cut[:4] == ["a young ", "queen and ", "the old ", "king who "]
    assert [row for row in cut if "x" in row] == ["x" * 12, "x" * 12, "x" * 6 + " end"]


def test_a_hostile_run_is_refused_or_drawn(run, tmp_path):
    """No value anywhere in the file ends in an error of another kind; what is drawn is drawn
    whole."""
    refused, drawn = hostile(run, tmp_path, random.Random(0), 0.15)
    assert refused > 50 and drawn > 5
    path = tmp_path / "run.json"
    for text in (
        '{"format": 1, "settings": {}, "frames": ' + "[" * 99_999,
        "9" * 5000,
        '{"format": ' + "9" * 5000 + "}",
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match="is not a run"):
            export.load_json(path)
    for name in ("/dev/zero", tmp_path, "/proc/self/mem"):
        (tmp_path / "link.json").unlink(missing_ok=True)
        (tmp_path / "link.json").symlink_to(name)
        with pytest.raises(ValueError, match="no file|cannot be read"):
            export.load_json(tmp_path / "link.json")


@pytest.mark.long
def test_every_hostile_run_is_refused_or_drawn(run, tmp_path):
    """All of them."""
    hostile(run, tmp_path, random.Random(1), 1.0)


def test_a_film_that_is_too_large_is_refused(run, tmp_path):
    """Before a picture is drawn: too many of them, and such as are higher than a GIF may be."""
    high = replace(
        run.frames[0],
        **{
            name: getattr(run.frames[0], name) * 3000
            for name in ("text", "best", "confidence", "entropy", "given")
        },
    )
    for frames in ([run.frames[0]] * 10_000, [high] * 2):
        for write in (export.gif, export.mp4):
            if write is export.gif or shutil.which("ffmpeg"):
                with pytest.raises(
                    ValueError, match="too much for a film: export the run as HTML or JSON"
                ):
                    write(Run(run.settings, frames), tmp_path / "run.gif")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- pictures


def test_a_gif_shows_every_picture(run, tmp_path):
    """The file's frames, decoded, look as they were drawn; it loops for ever, and the finished text
    stands longest."""
    path = tmp_path / "run.gif"
    export.gif(run, path, pause=2.0)
    drawn = list(export.images(run))
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0
        shown, times = [], []
        for k in range(gif.n_frames):
            gif.seek(k)
            shown.append(gif.convert("RGB"))
            times.append(gif.info["duration"])
    assert len(drawn) == len(run.frames) + export.DRY
    drawn = [
        now
        for now, before in zip(drawn, [None, *drawn])
        if before is None or ImageChops.difference(now, before).getbbox()
    ]
    # a picture that repeats the one before is that one, shown longer
    assert len(shown) == len(drawn)
    assert times[-1] >= 2000 and times[-1] == max(times)
    for was, now in zip(drawn, shown):
        difference = ImageChops.difference(was, now).convert("L")
        assert sum(difference.histogram()[64:]) < 0.002 * was.width * was.height
    assert not (tmp_path / "run.gif.partial").exists()


def test_a_gif_of_64_steps_is_small(tmp_path):
    """256 characters in 64 steps take less than a megabyte, however the text falls."""
    alphabet = "the quick brown fox jumps over a lazy dog, "
    text = (alphabet * 7)[:256]
    frames = [
        one("".join(c if (i * 37) % 256 < 4 * k else MASK for i, c in enumerate(text)))
        for k in range(65)
    ]
    export.gif(
        Run(
            {"process": "masked", "sampler": "random"},
            [replace(p, step=k) for k, p in enumerate(frames)],
        ),
        tmp_path / "a.gif",
    )
    assert (tmp_path / "a.gif").stat().st_size < 1_000_000


def test_each_cell_is_drawn_in_its_place():
    """A character changes its own cell of the picture and no other."""
    texts = MASK * 130, MASK * 70 + "M" + MASK * 59
    a, b = (export.drawn([(c, "w", 0.0) for c in text], 3, "", 0.0) for text in texts)
    left, top, right, bottom = ImageChops.difference(a, b).getbbox()
    x, y = export.EDGE + export.INSET + 6 * export.CELL, export.EDGE + export.INSET + export.LINE
    assert x <= left < right <= x + export.CELL and y <= top < bottom <= y + export.LINE


@pytest.mark.parametrize("state", [render.NEW, render.AGAIN, render.GIVEN])
def test_states_differ_by_more_than_colour(state):
    """In grey, too, a cell that is new, changed again or given differs from one that is simply
    written."""
    plain = export.tile("o", render.WRITTEN, 0.0).convert("1")
    assert ImageChops.difference(
        plain, export.tile("o", state, 1.0 if state != render.GIVEN else 0.0).convert("1")
    ).getbbox()


def test_a_new_character_dries(run):
    """The last picture has no wet ink: it is the same as if the text had always stood there."""
    *_, end = export.images(run)
    last = run.frames[-1]
    kinds = [render.GIVEN if given else render.WRITTEN for given in last.given]
    words = export.caption(run.settings, last.step, last.calls, len(run.frames) - 1)
    cells = [(c, kind, 0.0) for c, kind in zip(last.text, kinds)]
    assert not ImageChops.difference(end, export.drawn(cells, 2, words, 1.0)).getbbox()


def test_pictures_have_even_sides():
    """H.264 wants even sides, for any number of rows."""
    assert all(side % 2 == 0 for lines in range(1, 9) for side in export.background(lines).size)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")
def test_mp4_is_written(run, tmp_path):
    """The film begins as MP4 files do, and no half-written file is left."""
    export.mp4(run, tmp_path / "run.mp4")
    assert (tmp_path / "run.mp4").read_bytes()[4:8] == b"ftyp"
    assert [p.name for p in tmp_path.iterdir()] == ["run.mp4"]


def test_mp4_without_ffmpeg_says_so(run, tmp_path, monkeypatch):
    """Where there is no ffmpeg, one sentence names it."""
    monkeypatch.setattr(export.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="ffmpeg"):
        export.mp4(run, tmp_path / "run.mp4")


# ---------------------------------------------------------------- HTML


def data_of(page):
    return json.loads(
        re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.S)[1]
    )


def test_html_holds_the_whole_run(run, tmp_path):
    """The JSON in the page unpacks to the texts of the run, and the page asks for no other file."""
    export.html(run, tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text("utf-8")
    assert [p.text for p in render.unpack(data_of(page)).frames] == [p.text for p in run.frames]
    asked = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s>]+)", page)
    assert not [a for a in asked if a.startswith(("http", "//", "/"))]
    assert "default-src 'none'" in page and not re.search(r"\{\{[A-Z]+\}\}", page)


@pytest.mark.parametrize(
    "evil",
    ["</script><script>alert(1)</script>", "<!--<script>", "{{RUN}}{{STYLE}}", "\u2028'\"&<"],
)
def test_text_cannot_leave_its_script_tag(run, tmp_path, evil):
    """Whatever a visitor wrote, the page has the tags that a harmless text gives, and the text
    comes back as it was."""
    harmless = page_of(run, tmp_path)
    settings = {**run.settings, "prompt": evil, "sampler": evil, "model": evil}
    frames = [replace(p, text=(evil + p.text)[: len(p.text)]) for p in run.frames]
    page = page_of(Run(settings, frames), tmp_path)
    assert [page.count(tag) for tag in ("<script", "</script", "<!--")] == [
        harmless.count(t) for t in ("<script", "</script", "<!--")
    ]
    assert data_of(page)["head"]["settings"] == settings
    assert render.unpack(data_of(page)).frames[-1].text.startswith(evil)


# ---------------------------------------------------------------- files


def test_every_ending_has_its_writer(tmp_path):
    """Endings are known in either case; others, and a folder that is not there, are refused by
    name."""
    assert export.writer(tmp_path / "A.GIF") is export.gif and set(export.WRITERS) == {
        ".gif",
        ".mp4",
        ".html",
        ".json",
        ".csv",
    }
    (tmp_path / "folder.gif").mkdir()
    for wrong in ("a.png", "a", "nowhere/a.gif", "folder.gif"):
        with pytest.raises(ValueError, match=wrong.split("/")[0]):
            export.writer(tmp_path / wrong)
    with pytest.raises(ValueError, match="Nothing can be written into '/proc"):
        export.writer("/proc/self/a.gif")


def test_rows_cut_all_channels_alike():
    """Rows of every channel have the same length and join to the whole."""
    cut = list(export.rows("a" * 130, "b" * 130, width=64))
    assert [len(a) for a, b in cut] == [len(b) for a, b in cut] == [64, 64, 2]


# ---------------------------------------------------------------- wide characters

VERSE = "白日依山尽，\n黄河入海流。Ab🙂"


def test_wide_characters_have_two_columns():
    """In a text of them every cell has two; elsewhere they alone, and none is parted by the end of
    a row; in a terminal as many columns are filled."""
    for width in (7, 10, 64):
        for wide in (False, True):
            cut = [row for (row,) in export.rows(VERSE, width=width, wide=wide)]
            taken = [sum(export.columns(c, wide) for c in row) for row in cut]
            assert "".join(cut) == VERSE and max(taken) <= width
            assert all(width - n < 2 for n in taken[:-1])
            assert cut == [
                row for row, states in export.rows(VERSE, "w" * len(VERSE), width=width, wide=wide)
            ]
            lines = [terminal.styled(row, "w" * len(row), wide) for row in cut]
            assert [line.cell_len for line in lines] == taken
    a, b = (export.drawn([(c, "w", 0.0) for c in t], 3, "", 0.0) for t in ("日Ab", "日A "))
    left, _, right, _ = ImageChops.difference(a, b).getbbox()
    x = export.EDGE + export.INSET + 3 * export.CELL
    assert x <= left < right <= x + export.CELL


@pytest.fixture
def a_font(tmp_path, monkeypatch):
    """a_font(signs): a font of the machine that has those signs, as full squares."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib import font_manager

    manager = font_manager.fontManager
    bare = [entry for entry in manager.ttflist if entry.name not in fonts.FAMILIES]
    monkeypatch.setattr(manager, "ttflist", bare)
    here = lambda: list(map(str, tmp_path.glob("*.ttf")))  # noqa: E731
    monkeypatch.setattr(font_manager, "findSystemFonts", here)

    def forget():
        for each in (
            fonts.installed,
            fonts.file_of,
            fonts.has,
            fonts.face,
            export.font,
            export.tile,
        ):
            each.cache_clear()

    def make(signs):
        pen = TTGlyphPen(None)
        pen.moveTo((50, 0))
        for corner in ((50, 700), (950, 700), (950, 0)):
            pen.lineTo(corner)
        pen.closePath()
        square = pen.glyph()
        names = [".notdef", *(f"uni{ord(s):04X}" for s in signs)]
        builder = FontBuilder(1000, isTTF=True)
        builder.setupGlyphOrder(names)
        builder.setupCharacterMap({ord(s): name for s, name in zip(signs, names[1:])})
        builder.setupGlyf(dict.fromkeys(names, square))
        builder.setupHorizontalMetrics({name: (1000, 50) for name in names})
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable(dict(familyName="WenQuanYi Micro Hei", styleName="Regular"))
        builder.setupOS2(), builder.setupPost()
        builder.save(tmp_path / "font.ttf")
        forget()

    forget()
    yield make
    forget()


def test_a_font_of_the_machine_draws_what_ours_lacks(a_font):
    """Where it has one, also one that was installed after matplotlib looked; else one sentence
    names what cannot be drawn and what to install. What is not of the finished text is no
    hindrance."""
    with pytest.raises(ValueError) as told:
        fonts.check(VERSE)
    words = str(told.value)
    assert words.startswith("This machine has no font for 白, 日, 依, 山, 尽 and 8 more: install")
    assert "fonts-noto-cjk" in words and "HTML" in words and len(words) < 300
    fonts.check("plain ·↵▯ naïve Жя")
    steps = [replace(one("日日日"), step=k) for k in range(2)]
    film = Run({"process": "masked", "sampler": "random"}, [*steps, one("abc")])
    assert len(export.drawable(film)) == 3 + export.DRY
    with pytest.raises(ValueError, match="no font for 日: install"):
        export.drawable(replace(film, frames=steps))
    a_font("日山")
    assert fonts.path("日").endswith("font.ttf") and not fonts.path("a").endswith("font.ttf")
    ink = export.tile("日", render.WRITTEN, 0.0).getcolors()
    assert max(count for count, colour in ink if colour == export.inks()["ink"]) > 200
    assert len(export.drawable(replace(film, frames=steps))) == 2 + export.DRY


def test_figures_are_drawn_with_it_too(a_font):
    """The name of a model in Chinese is in a picture of a file as it is in one of the page."""
    curve = plots.Curve("日", [1, 2], [1.0, 2.0])

    def dark(name):
        picture = plots.png(fonts.lend(plots.against_calls([replace(curve, label=name)], "bits")))
        return sum(Image.open(io.BytesIO(picture)).convert("L").histogram()[:90])

    a_font("日")
    assert dark("日日") > dark("") + 2 * 200
