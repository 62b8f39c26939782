"""What a model doubts, and its mending, as a visitor sees it: by mouse, by keyboard, on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import BROKEN, LOOKS, dry
from tests.browser.test_denoise import P, finished, until
from tinydiff.ui.fields import CHIPS, SLIPS

DOUBTED = P + ".td-proof .td-doubt"
ASKED = "Would the model write this word here, given all the others?"


def doubt(page):
    page.click(P + "[data-deed=doubt]")
    page.wait_for_selector(P + "[data-act=close]", timeout=60_000)


def try_slips(page):
    """Click the example; its text is doubted, and not written on."""
    page.get_by_role("radio", name=SLIPS[0]).check(force=True)
    expect(page.locator(P + ".td-proof")).to_contain_text("thorw", timeout=60_000)
    page.wait_for_selector(P + "[data-act=mend]", timeout=60_000)


def cells(page):
    return page.evaluate(
        "() => document.querySelector('#denoise-player .td-cells').textContent.replace(/\\s/g, '')"
    )


def test_a_text_is_asked_about_and_put_away(visit):
    """What it doubts is underlined in the text that stands there, a click away, and the text is as
    it was when that is put away; a run that plays again puts it away too."""
    page = visit()
    before, where = cells(page), page.inner_text(P + ".td-where")
    doubt(page)
    assert ASKED in page.inner_text(P + ".td-doubts")
    assert not page.is_visible(P + ".td-cells") and not page.is_visible(P + "[data-deed=doubt]")
    count = page.locator(DOUBTED).count()
    assert page.inner_text(P + ".td-caption").startswith(f"It doubts {count} of ")
    assert page.locator(P + ".td-looks").is_visible()  # nothing else changed
    page.click(P + "[data-act=head]")
    page.wait_for_selector(P + "[data-act=head][aria-pressed=true]")
    page.click(P + "[data-act=close]")
    assert cells(page) == before and page.inner_text(P + ".td-where") == where
    assert page.is_visible(P + ".td-cells") and not page.is_visible(P + ".td-doubts")
    doubt(page)
    page.click(P + ".td-first")
    assert page.is_visible(P + ".td-cells") and not page.is_visible(P + ".td-proof")


def test_slips_are_found_by_keyboard_and_mended(visit):
    """One click fills in a text with slips; Tab and the arrows go through what is doubted, of which
    a number is told in words. Mend strikes out what stood there, and it comes back."""
    page = visit()
    try_slips(page)
    assert page.input_value("#prompt textarea") == CHIPS[SLIPS[0]]
    assert page.locator(DOUBTED).all_inner_texts() == ["thorw", "lake", "the", "cake"]
    page.locator(P + ".td-sheet").first.focus()
    page.keyboard.press("Tab")
    told = page.locator(P + ".td-doubts-word")
    for word in ("thorw", "lake"):
        expect(told).to_contain_text(f"“{word}”: it would write it here about once in")
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "the"
    assert "wavy" in page.locator(DOUBTED).first.evaluate(
        "(node) => getComputedStyle(node).textDecorationStyle"
    )
    page.click(P + "[data-act=mend]")
    page.wait_for_selector(P + ".td-proof .td-open", timeout=60_000)
    assert page.is_visible(P + ".td-stop")
    page.wait_for_selector(P + "[data-act=undo]", timeout=90_000)
    assert page.locator(P + ".td-proof del").all_inner_texts() == ["thorw", "lake the", "cake"]
    new = page.locator(P + ".td-proof ins").all_inner_texts()
    assert new == page.locator(P + ".td-changes ins").all_inner_texts() and "ball" in new
    assert not page.is_visible(P + ".td-stop")
    page.click(P + "[data-act=close]")
    assert "thorw" not in cells(page) and "".join(new[0].split()) in cells(page)
    page.click(P + "[data-deed=undo]")
    page.wait_for_function(f"() => document.querySelector('{P}.td-cells').innerText.match('thorw')")
    assert not page.is_visible(P + ".td-proof")


def test_mending_is_stopped(visit):
    """What was mended stays, and can be taken back."""
    page = visit()
    slow = CHIPS[SLIPS[0]].replace("Tim", "Tom").replace("ball", "kite")
    page.fill("#prompt textarea", slow)
    page.click("#hands .label-wrap")
    page.click("#doubt-mine")
    page.wait_for_selector(P + "[data-act=mend]", timeout=60_000)
    page.click(P + "[data-act=mend]")
    page.wait_for_selector(P + ".td-proof del", timeout=60_000)
    page.click(P + ".td-stop")
    page.wait_for_selector(P + "[data-act=undo]", timeout=60_000)
    assert page.inner_text(P + ".td-caption").startswith("Stopped: ")
    assert page.locator(P + ".td-changes li").count() < page.locator(DOUBTED).count()


def test_a_visitors_text_is_text(visit):
    """Markup in it is shown as it was typed, in the text, its numbers and the list of changes."""
    page = visit()
    page.fill("#prompt textarea", "<img src=x onerror=alert(1)> <b>Tim</b> saw a dgo & ran.")
    page.click("#hands .label-wrap")
    page.click("#doubt-mine")
    page.wait_for_selector(P + "[data-act=close]", timeout=60_000)
    assert page.inner_text(P + ".td-proof").startswith("<img src=x onerror=alert(1)> <b>Tim</b>")
    assert page.locator(P + ".td-proof :is(img, b), " + P + ".td-doubts img").count() == 0


def test_what_cannot_be_doubted_is_said_and_not_offered(visit):
    """A text of another noise has no such button, and one that is too long is a sentence."""
    page = visit("?model=stories/uniform&seed=3&length=32&steps=4&prompt=Once")
    until(page, "!s.running && s.end === 4")
    finished(page)
    assert page.is_visible(P + "[data-deed=keep]") and not page.is_visible(P + "[data-deed=doubt]")
    page.fill("#prompt textarea", "a dog " * 200)
    page.click("#hands .label-wrap")
    page.click("#doubt-mine")
    expect(page.locator(P + ".td-refusal")).to_contain_text("has no masks", timeout=60_000)


@pytest.mark.parametrize("scheme, width", LOOKS)
def test_it_can_be_read_by_everybody(visit, page, scheme, width):
    """What is underlined, and what was mended, in dark and on a phone: axe finds nothing, and
    nothing scrolls sideways."""
    page.set_viewport_size({"width": width, "height": 812})
    visit(f"?__theme={scheme}")
    try_slips(page)
    for act in ("mend", "undo"):
        page.wait_for_selector(P + f"[data-act={act}]", timeout=90_000)
        dry(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(page, options=BROKEN).response["violations"]
        assert not found, [(v["id"], v["nodes"][0]["html"]) for v in found]
        page.click(P + f"[data-act={act}]")


def test_write_is_in_reach_of_the_rules(visit, page):
    """However far the rules are unfolded; of five charts each has its whole title."""
    page.set_viewport_size({"width": 1280, "height": 720})
    visit()
    page.click(".td-rules .label-wrap")
    page.wait_for_selector(".td-rules .label-wrap.open")
    box = page.locator("#write").bounding_box()
    assert 0 < box["y"] < 720 - box["height"]
    titles = page.locator(P + ".td-plot figcaption")
    narrow = """(node) => { node.parentNode.style.width = '150px';
      const range = document.createRange(); range.selectNode(node.firstChild);
      return range.getBoundingClientRect().right <= node.getBoundingClientRect().right; }"""
    assert all(titles.nth(i).evaluate(narrow) for i in range(titles.count()))
