"""The exported page in a browser: one file, opened from the disk, with nothing beside it."""

import math

import pytest
from playwright.sync_api import expect

from tests.browser.test_tabs import move
from tinydiff import runs
from tinydiff.paths import STATIC
from tinydiff.show import export, render
from tinydiff.show.bundle import bundle
from tinydiff.show.render import MASK, Picture, Run

TEXT = "to be, or not to be: </script><b>that</b> is the question"


def written(tmp_path, steps=12):
    """A page of a run in which TEXT appears, three or four characters a step."""
    L = len(TEXT)
    frames = [
        Picture(
            k,
            1 - k / steps,
            k,
            0.01 * k,
            "".join(c if i * 17 % L < L * k / steps else MASK for i, c in enumerate(TEXT)),
            TEXT,
            (0.9,) * L,
            (math.log(65) * (1 - k / steps),) * L,
            tuple(i < 5 for i in range(L)),
        )
        for k in range(steps + 1)
    ]
    export.html(
        Run({"process": "masked", "sampler": "random", "prompt": TEXT[:5]}, frames),
        tmp_path / "run.html",
    )
    return (tmp_path / "run.html").as_uri()


def watched(page, address):
    """Open a page; what it asks for and what goes wrong from then on."""
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console",
        lambda message: (
            wrong.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(address)
    return asked, wrong


def test_it_plays_alone_and_obeys_the_keyboard(page, tmp_path):
    """The text ends as the run does, letter for letter; keys step through it; nothing else is asked
    for and nothing fails."""
    address = written(tmp_path)
    asked, wrong = watched(page, address)
    expect(page.locator(".td-where")).to_have_text("look 12 of 12", timeout=30_000)
    cells = page.locator(".td-cells span")
    assert "".join(cells.all_text_contents()) == TEXT
    assert page.locator("b", has_text="that").count() == 0
    page.locator(".td-sheet").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.locator(".td-where").inner_text() == "look 1 of 12"
    assert asked == [address] and wrong == []


def test_tokens_of_several_characters(page, tmp_path):
    """They are drawn as what they spell, half characters with a sign of their own; after a line
    break the line ends; nothing fails."""
    pieces = {
        "\u0101": "Once",
        "\u0102": " upon",
        "\u0103": "\n",
        "\u0104": "\ueee5\uee8f",
        "\u0105": "<b>",
    }
    text = "".join(pieces)
    frames = [
        Picture(
            k,
            1 - k,
            k,
            0.01,
            (MASK * 5, text)[k],
            text,
            (0.9,) * 5,
            (1.0,) * 5,
            (False,) * 5,
            pieces=[pieces, None][k],
        )
        for k in range(2)
    ]
    export.html(Run({"process": "masked", "sampler": "random"}, frames), tmp_path / "run.html")
    asked, wrong = watched(page, (tmp_path / "run.html").as_uri())
    expect(page.locator(".td-where")).to_have_text("look 1 of 1", timeout=30_000)
    assert page.locator(".td-cells span").all_text_contents() == [
        "Once",
        "upon",
        "",
        "\u25af",
        "<b>",
    ]
    assert page.locator(".td-cells").first.text_content() == "Once upon\u25af<b>"
    tops = [cell.bounding_box()["y"] for cell in page.locator(".td-cells span").all()]
    assert tops[0] == tops[1] < tops[3] == tops[4]
    assert wrong == [] and len(asked) == 1


def test_words_are_not_broken(page, tmp_path):
    """On a telephone a line ends between words, also of several pieces, and after a line break of
    the text; the END is a sign, and behind it nothing is drawn."""
    page.set_viewport_size({"width": 375, "height": 800})
    pieces = {"\u0101": " rab", "\u0102": "bits", "\u0103": "\n", "\u0104": "", "\u0105": " gone"}
    text = "\u0101\u0102" * 30 + "\u0103\u0101\u0104" + "\u0105" * 9
    scene = {"masks": True, "least": 0.0, "view": "", "spots": [], "end": "\u0104"}
    assert replayed(page, tmp_path, text=text, pieces=(pieces, None), scene=(scene, None)) == []
    page.set_viewport_size({"width": 375, "height": 800})
    tops = page.evaluate(
        "[...document.querySelectorAll('.td-cells span')].map(s => s.getBoundingClientRect().top)"
    )
    assert all(tops[i] == tops[i + 1] for i in range(0, 60, 2)) and len({*tops[:60]}) > 3
    assert tops[61] > tops[60] == tops[59]
    shown = page.locator(".td-cells").first.inner_text()
    assert shown.endswith("rab\u220e") and "gone" not in shown


def places(page):
    """Where the cells begin, and the height of a line."""
    return page.evaluate(
        """() => {
          const spans = [...document.querySelectorAll(".td-cells span")];
          const line = parseFloat(getComputedStyle(spans[0].parentNode).lineHeight);
          return [line, ...spans.map((s) => {
            const r = s.getClientRects()[0];
            return r ? [r.x, r.y] : null;
          })];
        }"""
    )


def test_a_stream_is_parted(page, tmp_path):
    """Where one text of a stream ends and the next begins stand a sign and an empty line; what is
    read aloud has a space there. Before it is written there is none, and noise without masks, which
    holds an END now and then, has one when the run is over."""
    page.set_viewport_size({"width": 1280, "height": 800})
    pieces = {"\u0101": " rab", "\u0102": "bits", "\u0103": "", "\u0104": "Then"}
    text = "\u0101\u0102\u0103\u0104\u0101"
    scene = {"masks": True, "least": 0.0, "view": "", "spots": [], "end": "", "between": "\u0103"}
    assert replayed(page, tmp_path, text=text, pieces=(pieces, None), scene=(scene, None)) == []
    line, *cells = places(page)
    assert page.locator(".td-cells").first.inner_text() == "rabbits\u220eThen rab"
    assert cells[3][0] == pytest.approx(cells[0][0], abs=1)
    assert cells[3][1] - cells[2][1] == pytest.approx(2 * line, abs=1)
    expect(page.locator(".td-status")).to_have_text("Finished after 1 look: rabbits Then rab")
    page.locator(".td-first").click()
    assert page.locator(".parts").count() == 0 and len({y for _, y in places(page)[1:]}) == 1
    L = len(text)
    frames = [
        Picture(k, 1 - k / 2, k, 0.01, text, text, (0.9,) * L, (1.0,) * L, (False,) * L, **first)
        for k, first in enumerate([dict(pieces=pieces, scene={**scene, "masks": False}), {}, {}])
    ]
    export.html(Run({"process": "uniform", "sampler": "random"}, frames), tmp_path / "run.html")
    _, wrong = watched(page, (tmp_path / "run.html").as_uri())
    expect(page.locator(".td-where")).to_have_text("look 2 of 2", timeout=30_000)
    assert page.locator(".parts").count() == 1
    page.locator(".td-prev").click()
    assert page.locator(".parts").count() == 0 and wrong == []


BOXES = """() => [...document.querySelectorAll(".tt-cell")].flatMap((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return [...range.getClientRects()].map(({left, right, top}) => ({left, right, top}));
})"""


@pytest.fixture
def panel(page):
    """shown(name, value): the text of a tab's panel that was given a value."""

    def shown(name: str, value: dict, text: str) -> str:
        page.set_content(
            f"<style>{(STATIC / 'tabs.css').read_text('utf-8')}</style>"
            "<div class='tt-panel' id='panel'></div>"
        )
        page.evaluate(bundle(f"panels/{name.lower()}.js"))
        page.evaluate(
            "([name, value]) => new tinydiff[name](document.getElementById('panel')).show(value)",
            [name, value],
        )
        return page.locator(text).inner_text()

    return shown


def test_panels_part_streams(panel, page):
    """Blocks and Race show the same, also of letters that JavaScript counts as two."""
    page.emulate_media(reduced_motion="reduce")
    told = dict(state="writing", text="One \U0001f98a.Then a\x7fNow\x7f", ends=[6, 13], given=2)
    more = dict(start=7, total=16, window=16, written=4, facts=[], family="block", note="")
    more |= dict(pictures=[], caches=[], lab=None)
    shown = panel("Blocks", told | more, ".tb-text")
    assert shown == "One \U0001f98a.\u220e\n\nThen a\u00b7\u220e\n\nNow\u00b7"
    assert page.locator(".tb-done").inner_text() == "e \U0001f98a.\u220e\n\nT"
    older = {name: part for name, part in told.items() if name != "ends"}
    assert panel("Blocks", older | more, ".tb-text") == "One \U0001f98a.Then a\u00b7Now\u00b7"
    lane = dict(
        name="a", family="block", calls=1, ms=9, bits=None, words=None, start="\x7f\x7f\x7f"
    )
    lane |= dict(
        states="mmm", frames=[[9, "abc", "nnn"]], pieces={"a": "One.", "b": "", "c": "Then"}
    )
    race = dict(run=1, done=True, lanes=[lane | {"between": "b"}, lane], pace=1, status="")
    shown = panel("Race", race, ".tt-race-grid >> nth=0")
    assert shown == "One.\u220eThen"
    assert page.locator(".tt-race-grid").nth(1).inner_text() == "One.Then"
    boxes = [cell.bounding_box() for cell in page.locator(".tt-cell").all()]
    assert boxes[2]["x"] == boxes[0]["x"] and boxes[5]["x"] > boxes[3]["x"]
    assert boxes[2]["y"] - boxes[0]["y"] > 1.5 * boxes[0]["height"]


def test_words_of_a_race_stand_side_by_side(panel, page):
    """Also while noise stands there: no piece lies over the next, whatever its length, and the room
    of a lane does not shrink."""
    signs = "abcdefgh"
    words = ["Once", " attractive", ",", " d", " sandbox", "laughed", " is", " flexible"]
    texts = [signs * 20, signs[::-1] * 20, "a" * 160]
    lane = dict(name="a", family="uniform", calls=2, ms=9, bits=None, words=None, start=texts[0])
    lane |= dict(states="x" * 160, pieces=dict(zip(signs, words)))
    lane |= dict(frames=[[4, texts[1], "xn" * 80], [9, texts[2], "n" * 160]])
    race = dict(run=1, done=True, lanes=[lane], pace=1, status="")
    page.emulate_media(reduced_motion="reduce")
    heights = []
    for stop in (0, 250, 500):
        if not stop:
            panel("Race", race, ".tt-race-grid")
        move(page, "#panel", stop)
        heights.append(page.locator(".tt-race-grid").bounding_box()["height"])
        drawn = page.evaluate(BOXES)
        assert len(drawn) >= 160, stop
        for before, after in zip(drawn, drawn[1:]):
            assert after["top"] > before["top"] or -1 < after["left"] - before["right"] < 1, stop
    assert heights == sorted(heights)


def test_a_bar_of_blocks_stays_in_its_frame(panel, page):
    """Whatever a recording tells: what is written is counted in what the length is counted in, and
    is no more than it."""
    told = dict(state="done", text="abcd" * 480, start=1920, given=4, total=512, window=256)
    told |= dict(facts=[], family="block", note="", pictures=[], caches=[], lab=None)
    for more, unit in (({}, "characters"), (dict(written=512, unit="tokens"), "tokens")):
        panel("Blocks", told | more, ".tb-text")
        status = page.locator(".tt-status").inner_text()
        assert status.endswith(f"window: {unit} 257 to 512 of 512.")
        track, fill, window = (
            page.locator(f".tb-{name}").bounding_box() for name in ("track", "fill", "window")
        )
        assert fill["width"] == pytest.approx(track["width"], abs=1)
        assert window["width"] == pytest.approx(track["width"] / 2, abs=1)


def test_it_fits_its_width(page, tmp_path):
    """Neither on a desk nor on a telephone do the cells stick out of their sheet."""
    for width in (1280, 375):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(written(tmp_path))
        inner, outer = (
            page.locator(name).first.bounding_box() for name in (".td-cells", ".td-sheet")
        )
        assert (
            outer["x"] <= inner["x"]
            and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 0.5
        )
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_particular_to_a_noise_travels_along(page, tmp_path):
    """The page of a run in space holds the map and its walkers, in ink that the style allows, and
    nothing fails."""
    run = runs.record(
        {"model": "perfect-gaussian", "steps": 6, "length": 48, "prompt": "ROMEO:", "seed": 3}
    )
    export.html(run, tmp_path / "run.html")
    asked, wrong = watched(page, (tmp_path / "run.html").as_uri())
    expect(page.locator(".td-where")).to_have_text("look 6 of 6", timeout=30_000)
    assert (
        page.locator(".td-walker").count() == 8
        and page.locator(".td-trail").first.get_attribute("d").count("L") == 6
    )
    assert "".join(page.locator(".td-cells span").all_text_contents()).startswith("ROMEO:")
    assert len(asked) == 1 and wrong == []


def replayed(page, tmp_path, name="masked", text="abc", **parts):
    """The page of two pictures, masks and then `text`, played to its end; what went wrong."""
    L = len(text)
    frames = [
        Picture(
            k,
            1 - k,
            k,
            0.01,
            (MASK * L, text)[k],
            text,
            (0.9,) * L,
            (1.0,) * L,
            (False,) * L,
            **{what: both[k] for what, both in parts.items()},
        )
        for k in range(2)
    ]
    export.html(Run({"process": name, "sampler": "random"}, frames), tmp_path / "run.html")
    _, wrong = watched(page, (tmp_path / "run.html").as_uri())
    expect(page.locator(".td-where")).to_have_text("look 1 of 1", timeout=30_000)
    return wrong


def test_a_letter_that_is_private_is_no_byte(page, tmp_path):
    """A model of characters may have a letter where pieces keep their bytes: it is drawn as it
    is."""
    assert replayed(page, tmp_path, text="a\uee41\n") == []
    assert page.locator(".td-cells span").all_text_contents() == ["a", "\uee41", "\u21b5"]


def test_what_is_read_aloud_is_whole(page, tmp_path):
    """Bytes of one character in two pieces are that character; a byte alone is broken."""
    pieces = {"\u0101": "caf", "\u0102": "\ueec3", "\u0103": "\ueea9", "\u0104": "!\uee80"}
    assert replayed(page, tmp_path, text="".join(pieces), pieces=(pieces, None)) == []
    expect(page.locator(".td-status")).to_have_text("Finished after 1 look: café!\ufffd")


# the colour of the family, as all that is drawn in it has it
INK = """(player) => {
  const probe = player.appendChild(document.createElement("i"));
  probe.style.color = "var(--td-family)";
  return getComputedStyle(probe).color;
}"""


def test_a_family_that_nobody_has_heard_of(page, tmp_path):
    """It plays, without a view of its own, in the colour that pictures give it; a name that is no
    word of a style gives it plain ink."""
    scene = {"masks": False, "least": 0.3, "view": "toString", "spots": [0, 1], "noise": 1}
    for name in ("swarm", "swarms", "uniform", "url(//x)"):
        wrong = replayed(page, tmp_path, name, scene=(scene, None), view=("AB", "AB"))
        assert wrong == [] and page.locator(".td-noise-view").is_hidden()
        ink = page.locator(".td-player").evaluate(INK)
        key = render.colour_name(name) if name.isalpha() else "ink"
        colour = render.palette()[key]
        assert ink == f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize("key", ["view", "sight"])  # today's, and that of older versions
def test_a_noise_from_outside_brings_its_view(page, tmp_path, brought, key):
    """The script that lies beside a process draws what its pictures hold."""
    brought(
        "swarm",
        (
            'import {put} from "../dom.js";\n'
            'import {share} from "../wire.js";\n'
            "export const swarm = {\n"
            '  words: "A swarm",\n'
            "  stage(box) {\n"
            '    const node = put(box, "b");\n'
            "    return (frame, k) => { node.textContent = `${k}: ${share(frame.view[0])}`; };\n"
            "  },\n"
            "};\n"
        ),
    )
    scene = {"masks": True, "least": 0.0, key: "swarm", "spots": [0]}
    wrong = replayed(page, tmp_path, "swarm", scene=(scene, None), view=("!", "~"))
    assert wrong == []
    expect(page.locator(".td-noise-view")).to_have_text("A swarm1: 1")
