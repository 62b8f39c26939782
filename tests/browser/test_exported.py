"""The exported page in a browser: one file, opened from the disk, with nothing beside it."""

import math

import pytest
from playwright.sync_api import expect

from tinydiff import runs
from tinydiff.show import export, render
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
    expect(page.locator(".td-where")).to_have_text("step 12 of 12", timeout=30_000)
    cells = page.locator(".td-cells span")
    assert "".join(cells.all_text_contents()) == TEXT
    assert page.locator("b", has_text="that").count() == 0
    page.locator(".td-sheet").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.locator(".td-where").inner_text() == "step 1 of 12"
    assert asked == [address] and wrong == []


def test_tokens_of_several_characters(page, tmp_path):
    """They are drawn as what they spell, line breaks and half characters with a sign of their own;
    nothing fails."""
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
    expect(page.locator(".td-where")).to_have_text("step 1 of 1", timeout=30_000)
    assert page.locator(".td-cells span").all_text_contents() == [
        "Once",
        "upon",
        "\u21b5",
        "\u25af",
        "<b>",
    ]
    assert page.locator(".td-cells").text_content() == "Once upon\u21b5\u25af<b>"
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
    shown = page.locator(".td-cells").inner_text()
    assert shown.endswith("rab\u220e") and "gone" not in shown


def test_it_fits_its_width(page, tmp_path):
    """Neither on a desk nor on a telephone do the cells stick out of their sheet."""
    for width in (1280, 375):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(written(tmp_path))
        inner, outer = (page.locator(name).bounding_box() for name in (".td-cells", ".td-sheet"))
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
    expect(page.locator(".td-where")).to_have_text("step 6 of 6", timeout=30_000)
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
    expect(page.locator(".td-where")).to_have_text("step 1 of 1", timeout=30_000)
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
    expect(page.locator(".td-status")).to_have_text("Finished after 1 steps: café!\ufffd")


def test_a_family_that_nobody_has_heard_of(page, tmp_path):
    """It plays, without a view of its own, in the colour that pictures give it; a name that is no
    word of a style gives it plain ink."""
    scene = {"masks": False, "least": 0.3, "view": "toString", "spots": [0, 1], "noise": 1}
    for name in ("swarm", "swarms", "uniform", "url(//x)"):
        wrong = replayed(page, tmp_path, name, scene=(scene, None), view=("AB", "AB"))
        assert wrong == [] and page.locator(".td-noise-view").is_hidden()
        line = page.locator(".td-line").first.evaluate("e => getComputedStyle(e).stroke")
        key = render.colour_name(name) if name.isalpha() else "ink"
        colour = render.palette()[key]
        assert line == f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


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
