"""The guided story in a browser: scenes by button, key and address, with and without motion, and
what a visitor does in them."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import BROKEN, ONE_LOOK
from tests.programs import ROOT
from tinydiff.ui import story

BOX = "dialog.ts-story"
TITLE = f"{BOX} .ts-title"
TITLES = [scene.title for scene in story.SCENES]
WAIT = 60_000


@pytest.fixture(scope="module")
def told(stay):
    """told(n): the page with scene n, opened by its address, without motion."""
    page = stay()

    def tell(n: int):
        page.evaluate("(hash) => { location.hash = hash; }", f"story={n}")
        return at(page, n)

    return tell


def at(page, n: int):
    """Wait until scene n is shown."""
    expect(page.locator(TITLE)).to_have_text(TITLES[n - 1], timeout=WAIT)
    expect(page.locator(f"{BOX} .ts-scene-{n}")).to_have_count(1)
    return page


def signs(page, sheet: int = 0) -> list[str]:
    """The state of each cell of a sheet."""
    cells = page.locator(f"{BOX} .td-cells").nth(sheet)
    return cells.evaluate("(box) => [...box.children].map((cell) => cell.classList[0])")


def test_from_the_opening_to_the_end_and_back(visit):
    """The link opens it and only then its texts are asked for; Next and Back, the list and the keys
    turn the page, each scene is an address, the browser goes back; closed, the link has the focus
    again."""
    page = visit()
    asked = []
    page.on("response", lambda response: asked.append(response.url))
    assert page.evaluate(f"document.querySelector('{TITLE}').textContent") == ""
    page.click(".ts-open")
    at(page, 1)
    assert any("/run/" in url or "/queue/" in url for url in asked)
    expect(page.locator(TITLE)).to_be_focused()
    page.click(f"{BOX} .ts-next")
    at(page, 2)
    assert page.url.endswith("#story=2")
    page.keyboard.press("ArrowRight")
    at(page, 3)
    page.keyboard.press("PageDown")
    at(page, 4)
    page.keyboard.press("ArrowLeft")
    at(page, 3)
    page.go_back()
    at(page, 4)
    page.go_back()
    at(page, 3)
    page.go_forward()
    at(page, 4)
    page.click(f"{BOX} .ts-places a >> nth=7")
    at(page, 8)
    assert page.url.endswith("#story=8")
    page.click(f"{BOX} .ts-back")
    at(page, 7)
    page.keyboard.press("Escape")
    expect(page.locator(BOX)).to_be_hidden()
    assert "story" not in page.url
    expect(page.locator(".ts-open")).to_be_focused()
    page.go_back()
    at(page, 7)
    page.click(f"{BOX} .ts-shut")
    expect(page.locator(BOX)).to_be_hidden()


def test_an_address_opens_its_scene(visit, server):
    """`#story=6` at load; its formula, its file and its paper are a click away; the last scene's
    button ends the story."""
    page = visit("#story=8")
    at(page, 8)
    page.click(f"{BOX} .ts-links summary")
    assert story.SCENES[7].formula in page.inner_text(f"{BOX} .ts-more")
    links = page.locator(f"{BOX} .ts-links")
    code = links.locator(".ts-code a").evaluate("(link) => link.href")
    assert code == f"{server.url}/source/{story.SCENES[7].file}"
    assert page.request.get(code).text() == (ROOT / story.SCENES[7].file).read_text("utf-8")
    paper = links.locator("> a").get_attribute("href")
    assert paper == story.ARXIV + story.SCENES[7].arxiv
    page.click(f"{BOX} .ts-next")
    expect(page.locator(BOX)).to_be_hidden()


@pytest.mark.usefixtures("motion")
def test_a_scene_plays(visit):
    """With motion the fifth scene begins by itself, slowly, and Halt stops it."""
    page = visit("#story=5")
    at(page, 5)
    slider = page.locator(f"{BOX} .ts-stage input[type=range]")
    page.wait_for_function(
        f"() => Number(document.querySelector('{BOX} .ts-stage input[type=range]').value) >= 2"
    )
    page.click(f"{BOX} .ts-stage .tt-button")
    value = slider.input_value()
    page.wait_for_timeout(1000)
    assert slider.input_value() == value and float(value) < 20


def test_the_story_fades_in_the_visitors_hand(told):
    """The slider by its keys: at its start all can be read, at its end nothing, and back."""
    page = told(1)
    slider = page.locator(f"{BOX} .ts-stage input[type=range]")
    slider.press("Home")
    assert "m" not in signs(page)
    slider.press("End")
    assert set(signs(page)) == {"m"}
    expect(page.locator(f"{BOX} output")).to_have_text(re.compile(r"t = 1\.00, (\d+) of \1 hidden"))
    slider.press("ArrowLeft")
    at(page, 1)  # the arrows are the slider's
    slider.press("Home")
    assert "m" not in signs(page)


def test_the_visitor_bets_first(told):
    """No bet is seen before the visitor's own, which is found among them; an unlikely word is told
    so, an empty one changes nothing."""
    page = told(2)
    rows = page.locator(f"{BOX} .ts-bets li")
    assert signs(page).count("m") == 1
    page.click(f"{BOX} .ts-guess button[type=submit]")
    expect(rows).to_have_count(0)
    page.fill(f"{BOX} .ts-guess input", "Happy")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(5)
    expect(page.locator(f"{BOX} .ts-bets .on b")).to_have_text("happy")
    expect(page.locator(f"{BOX} .ts-said")).to_contain_text("place 2")
    page.fill(f"{BOX} .ts-guess input", "zebra")
    page.keyboard.press("Enter")
    expect(page.locator(f"{BOX} .ts-said")).to_contain_text("less than")
    expect(page.locator(f"{BOX} .ts-bets .on")).to_have_count(0)
    page.click(f"{BOX} .ts-guess button:has-text('sad')")
    expect(page.locator(f"{BOX} .ts-bets li >> nth=0")).to_have_class("on")


def test_one_look_fills_what_is_hidden(told):
    """For each share: as many words are hidden as it says, and after the look none."""
    page = told(3)
    counts = []
    for i in range(3):
        page.locator(f"{BOX} .ts-choice input").nth(i).check(force=True)
        counts.append(signs(page).count("m"))
        said = page.locator(f"{BOX} .ts-said")
        expect(said).to_contain_text(f"{counts[-1]} of ")
        page.click(f"{BOX} .ts-stage button:has-text('Look once')")
        assert not signs(page).count("m")
        assert signs(page).count("n") + signs(page).count("a") == counts[-1]
        expect(said).to_contain_text(f"{signs(page).count('n')} of {counts[-1]}")
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_two_words_that_do_not_fit(told):
    """Two words are framed, each the first of its bets; with the first kept the second is not among
    them."""
    page = told(4)
    lists = page.locator(f"{BOX} .ts-bets")
    framed = page.locator(f"{BOX} .ts-framed").all_text_contents()
    assert [word.strip() for word in framed] == ["girl", "Tim"]
    for i, word in enumerate(framed):
        expect(lists.nth(i).locator("li >> nth=0")).to_contain_text(word.strip())
    page.click(f"{BOX} .ts-stage button")
    expect(lists.nth(1)).not_to_contain_text("Tim")
    expect(page.locator(f"{BOX} .ts-said")).to_contain_text("falls from 58 %")


def test_the_slider_of_looks_swaps_texts(told):
    """Every number of looks has its text and its measure."""
    page = told(6)
    slider, seen = page.locator(f"{BOX} .ts-looks input"), set()
    slider.press("Home")
    for _ in range(8):
        seen.add(page.locator(f"{BOX} .td-hidden").text_content())
        slider.press("ArrowRight")
    assert len(seen) == 8
    assert slider.get_attribute("aria-valuetext").startswith("128 looks, smooth sentences ")


def test_without_motion_texts_are_finished(told):
    """Nothing plays: what is shown is the end of each run, and the slider goes back by hand."""
    for n, sheets in ((5, 1), (7, 4), (8, 3)):
        page = told(n)
        assert page.locator(f"{BOX} .td-cells").count() == sheets
        slider = page.locator(f"{BOX} .ts-stage input[type=range]")
        end = slider.get_attribute("max")
        page.wait_for_timeout(300)
        assert slider.input_value() == end
        assert not any("m" in signs(page, i) for i in range(sheets))
        slider.press("Home")
        assert "m" in signs(page)
    page.click(f"{BOX} .ts-choice label >> nth=1")
    for i in range(3):
        text = page.locator(f"{BOX} .ts-sheet .td-hidden").nth(i).text_content()
        assert text.strip().endswith(story.END)


@pytest.mark.parametrize(("theme", "width"), ONE_LOOK)
def test_scenes_can_be_read_by_everybody(server, browser, theme, width):
    """axe finds nothing in any scene, nothing lies beside the screen, and Next can be reached
    without scrolling."""
    context = browser.new_context(
        viewport={"width": width, "height": 812 if width < 900 else 720}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{server.url}/?__theme={theme}#story=1")
    for n in range(1, 9):
        at(page, n)
        found = Axe().run(page, context=BOX, options=BROKEN).response["violations"]
        assert not found, [(one["id"], one["nodes"][0]["html"]) for one in found]
        main = page.locator(f"{BOX} .ts-main")
        assert main.evaluate("(box) => box.scrollWidth <= box.clientWidth")
        if width >= 900:
            assert main.evaluate("(box) => box.scrollHeight <= box.clientHeight + 1"), n
        expect(page.locator(f"{BOX} .ts-next")).to_be_in_viewport(ratio=1)
        page.click(f"{BOX} .ts-next")
    context.close()
