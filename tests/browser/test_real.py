"""Real model as a visitor uses it, with a tiny base that a stand-in for the Hub has: it is fetched,
it writes, and the run is gone through slowly."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import BROKEN, ONE_LOOK, Server, Watch, opener
from tests.browser.test_tabs import refused, select
from tests.loopback import Hub

pytest.importorskip("transformers")
from tests.test_real import ID, written

P = "#real-panel "
STATUS = P + ".tt-status"
LANES = P + ".tm-lane"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The page, whose model is on the Hub and not here."""
    folder, home = written(tmp_path_factory.mktemp("real")), tmp_path_factory.mktemp("home")
    with Hub() as hub:
        hub.add(ID, {path.name: path.read_bytes() for path in (folder / "base").iterdir()})
        named = dict(TINYDIFF_BASE=ID, TINYDIFF_DRAFTER=str(folder / "drafts" / "tiny"))
        served = Server(**hub.environment(home) | named | {"HF_HUB_OFFLINE": "0"})
        yield served
        served.close()


@pytest.fixture
def there(server, page):
    """The tab, open; with the model here, whichever test comes first."""
    watch = Watch(page)

    def come(query: str = ""):
        opener(server, page)(query)
        select(page, "Real model")
        return page

    yield come
    watch.good()


def write(page, words: str = "the cat", form: str = "a beginning"):
    """Write, and wait for the end; the model is fetched first where it is not here."""
    page.fill("#real-words textarea", words)
    page.locator("#real-form").get_by_role("radio", name=form).check(force=True)
    page.evaluate("(s) => { document.querySelector(s).textContent = ''; }", STATUS)
    page.click("#real-run")
    said = re.compile("not here yet|^Guessing|^Written")
    expect(page.locator(STATUS)).to_have_text(said, timeout=60_000)
    if page.is_visible("#real-fetch"):
        page.click("#real-fetch")
        expect(page.locator(STATUS)).to_have_text(re.compile("^It is here"), timeout=60_000)
        page.click("#real-run")
        expect(page.locator(STATUS)).to_have_text(said, timeout=60_000)


def test_it_is_fetched_and_writes(there):
    """What is missing is a sentence and a button; then both texts are written, with their figures,
    each token kept or the model's own; typed markup is text."""
    page = there()
    assert "opened at the first" in page.inner_text(STATUS)
    assert not page.is_visible("#real-fetch")
    write(page, "<img src=x onerror=alert(1)> <b>cat</b>")
    assert not page.is_visible("#real-fetch") and not page.is_visible("#real-cancel")
    for name in ("With guesses", "One by one"):
        lane = page.get_by_role("region", name=name)
        text = lane.locator(".tm-text").inner_text()
        assert text.startswith("<img src=x onerror=alert(1)> <b>cat</b>") and len(text) > 42
        figures = lane.locator("dd").all_inner_texts()
        assert len(figures) == 4 and all(float(one) > 0 for one in figures)
    assert page.locator(P + ":is(img, b b)").count() == 0
    write(page, "<i>who</i>", "an instruction")
    assert page.inner_text(P + ".tm-asked") == "You: <i>who</i>"
    assert page.locator(P + "i").count() == 0


def test_it_is_gone_through_slowly_by_keyboard(there):
    """Arrows go through the run: guesses, then which are struck out, and the model's own word,
    which is underlined and bold."""
    page = there()
    write(page)
    slide = page.locator(P + "input[type=range]")
    assert page.locator(P + ".tm-text :is(del, .tm-guess)").count() == 0
    slide.focus()
    page.keyboard.press("Home")
    seen = set()
    for _ in range(400):
        page.keyboard.press("ArrowRight")
        for kind in ("del", ".tm-guess", "b.tm-new"):
            if page.locator(P + f".tm-text {kind}").count():
                seen.add(kind)
        if len(seen) == 3:
            break
    assert seen == {"del", ".tm-guess", "b.tm-new"}
    style = "(node) => getComputedStyle(node).textDecorationLine"
    assert page.locator(P + ".tm-signs del").evaluate(style) == "line-through"
    assert page.locator(P + ".tm-signs b").evaluate(style) == "underline"
    page.keyboard.press("End")
    assert page.locator(P + ".tm-text :is(del, .tm-guess)").count() == 0


def test_unchecked_and_refused(there):
    """Without a check it is said what that means; 0 guesses are one text; an example is written at
    a click; what is too long is a sentence at its field, and the text stays."""
    page = there()
    write(page)
    page.uncheck("#real-check input")
    expect(page.locator("#stale-real .td-stale")).to_have_text(re.compile("^Changed"))
    write(page)
    assert "nobody looks whether" in page.inner_text(P + ".tm-note")
    page.fill("#real-guesses input[type=number]", "0")
    page.keyboard.press("Tab")
    write(page)
    assert page.locator(LANES).count() == 1 and not page.inner_text(P + ".tm-note")
    before = page.inner_text(P + ".tm-text")
    page.fill("#real-words textarea", "xq" * 600)
    page.click("#real-run")
    assert "Your words are" in refused(page, "#real-words")
    assert page.inner_text(P + ".tm-text") == before
    page.get_by_role("radio", name="counting").check(force=True)
    page.wait_for_function(
        "() => document.querySelector('#real-panel .tm-text').innerText.startsWith('One, two')",
        timeout=60_000,
    )


@pytest.mark.parametrize("scheme, width", ONE_LOOK)
def test_it_can_be_read_by_everybody(there, page, scheme, width):
    """In the middle of the run: axe finds nothing, and nothing scrolls sideways."""
    page.set_viewport_size({"width": width, "height": 812})
    there(f"?__theme={scheme}")
    write(page)
    page.locator(P + "input[type=range]").focus()
    page.keyboard.press("Home")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page, options=BROKEN).response["violations"]
    assert not found, [(v["id"], v["nodes"][0]["html"]) for v in found]
