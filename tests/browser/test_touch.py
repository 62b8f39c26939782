"""The text that a visitor touches, in a browser: by mouse, by keyboard and by finger."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_denoise import STARTED, P, finished, state, until

CELLS = P + ".td-sheet:not(.td-pinned) .td-cells [data-cell]"
SMALL = "?model=stories/masked&seed=3&length=48&steps=8&prompt=Once+upon+a+time"
HELD = f"""() => [...document.querySelectorAll("{CELLS}")].map((s) => s.textContent)"""


@pytest.fixture
def small(visit):
    """A short text of a visitor, finished."""
    page = visit(SMALL)
    until(page, "!s.running && s.end === 8")
    finished(page)
    return page


def words(page, first, last):
    """Choose words with the mouse, from a cell to another."""
    cells = page.locator(CELLS)
    a, b = cells.nth(first).bounding_box(), cells.nth(last).bounding_box()
    page.mouse.move(a["x"] + 3, a["y"] + a["height"] / 2)
    page.mouse.down()
    page.mouse.move(b["x"] + b["width"] - 3, b["y"] + b["height"] / 2, steps=6)
    page.mouse.up()
    page.wait_for_selector(P + ".td-tools", state="visible")


def ran(page, act, seconds=60):
    """Do it, and wait until another run is finished; its cells."""
    before = page.evaluate(HELD)
    act()
    held = f"JSON.stringify(({HELD})()) !== {json_of(before)!r}"
    page.wait_for_function(f"() => {held}", timeout=1000 * seconds)
    if state(page)["end"]:  # what was typed is one picture
        finished(page)
    return before, page.evaluate(HELD)


def json_of(cells):
    return json.dumps(cells, ensure_ascii=False, separators=(",", ":"))


def test_words_are_hidden_and_written_again(small):
    """Words that are chosen with the mouse are written again, the rest stays; Undo brings them
    back."""
    words(small, 28, 35)
    chosen = small.locator(P + ".td-cells .sel")
    picked = [int(chosen.nth(i).get_attribute("data-cell")) for i in range(chosen.count())]
    assert set(range(28, 36)) <= set(picked) and len(picked) < 14
    before, after = ran(small, lambda: small.click(P + "[data-do=again]"))
    assert {i for i in range(48) if before[i] != after[i]} <= set(picked)
    back, now = ran(small, lambda: small.click(P + "[data-deed=undo]"))
    assert now == before and back == after


def test_locked_words_stay(small):
    """Locked words stay when the rest is written again; what is locked can be unlocked."""
    words(small, 12, 14)
    small.click(P + "[data-do=lock]")
    kept = small.locator(P + ".td-cells .kept")
    locked = [int(kept.nth(i).get_attribute("data-cell")) for i in range(kept.count())]
    assert small.inner_text(P + "[data-do=lock]") == "unlock"
    before, after = ran(small, lambda: small.click(P + "[data-deed=rest]"))
    assert all(before[i] == after[i] for i in locked) and before != after


def test_words_are_typed_over(small):
    """What is typed stands there; what does not fit is refused beside the text, and nothing is
    lost."""
    small.locator(CELLS).nth(9).click()
    small.click(P + "[data-do=type]")
    small.keyboard.insert_text("so " * 60)
    before = small.evaluate(HELD)
    small.keyboard.press("Enter")
    small.wait_for_selector(P + ".td-refusal", state="visible")
    assert "no room for that" in small.inner_text(P + ".td-refusal")
    assert small.evaluate(HELD) == before and small.locator(".toast-body").count() == 0
    small.locator(CELLS).nth(9).click()
    small.click(P + "[data-do=type]")
    small.keyboard.insert_text("dog")
    before, after = ran(small, lambda: small.keyboard.press("Enter"))
    assert after[9].strip() == "dog" and not small.is_visible(P + ".td-refusal")


def test_by_keyboard_alone(small):
    """The sheet takes Enter and Shift with arrows to choose; Tab reaches what can be done; Escape
    lets go."""
    small.locator(P + ".td-sheet").first.focus()
    small.keyboard.press("Enter")
    for _ in range(12):
        small.keyboard.press("Shift+ArrowRight")
    assert small.locator(P + ".td-cells .sel").count() >= 12
    small.keyboard.press("Tab")
    assert small.evaluate("document.activeElement.dataset.do") == "again"
    small.keyboard.press("ArrowRight")
    assert small.evaluate("document.activeElement.dataset.do") == "lock"
    small.keyboard.press("Escape")
    assert not small.is_visible(P + ".td-tools")


def test_a_fork_leaves_both(small):
    """Back at a step the run goes on from there with another seed; both texts stay, side by side,
    with what differs marked."""
    small.locator(P + ".td-seek").fill("4")
    shown = small.evaluate(HELD)
    small.click(".td-more .label-wrap >> nth=0")
    small.fill("#seed input", "11")
    small.click(P + "[data-deed=fork]")
    title = small.locator(P + ".td-pinned .td-title")
    expect(title).to_contain_text("seed 3", timeout=60_000)  # the other run has begun
    finished(small)
    small.locator(P + ".td-last").click()
    assert small.locator(P + ".td-cells .d").count() > 0
    small.locator(P + ".td-first").click()
    assert small.evaluate(HELD) == shown
    small.click(P + ".td-unpin")
    assert not small.is_visible(P + ".td-pinned")


def test_the_visitor_uncovers_the_words(small):
    """One look at a time: a hidden word shows five bets; the one that is taken stands; the machine
    finishes, and the score is told."""
    small.click("#hands .label-wrap")
    small.click("#your-turn")
    small.wait_for_function(f"() => document.querySelectorAll('{P}.td-cells .m').length > 40")
    place = small.locator(P + ".td-cells .m").nth(5)
    cell = int(place.get_attribute("data-cell"))
    place.click()
    bets = small.locator(P + ".td-bet")
    assert bets.count() == 5
    choice = bets.nth(1).locator(".td-top-sign").inner_text().strip()
    before, after = ran(small, lambda: bets.nth(1).click())
    assert after[cell].strip() == choice.strip("␣") and before[cell] != after[cell]
    small.click(P + "[data-deed=finish]")
    finished(small)
    small.wait_for_function(
        "() => /your smooth sentences.*surest first/s"
        f".test(document.querySelector('{P}.td-stats').innerText)",
        timeout=60_000,
    )
    assert small.evaluate(HELD)[cell] == after[cell]


def test_a_text_of_ones_own(visit):
    """A text under "Begin with" is noised and written again."""
    page = visit("?model=stories/masked&seed=3&length=32&steps=8&prompt=Tom")
    until(page, "!s.running && s.end === 8")
    page.fill("#prompt textarea", "Once upon a time there was a little red fox in a forest.")
    page.click("#hands .label-wrap")
    page.wait_for_selector("#rewrite-mine", state="visible")
    page.click("#rewrite-mine")
    page.wait_for_function(
        f"() => document.querySelector('{P}.td-cells').textContent.includes('fo')"
    )
    finished(page)
    text = page.inner_text(P + ".td-cells")
    assert text.startswith("Once") or "there" in text or "fox" in text


@pytest.mark.parametrize("model", ["block", pytest.param("autoregressive", marks=pytest.mark.long)])
def test_what_a_family_cannot_do_is_not_offered(visit, model):
    """No tools for words where nothing behind them can be seen."""
    page = visit(f"?model=stories/{model}&seed=3&length=32&steps=8&prompt=Once+upon+a+time")
    own = (
        f"!s.running && document.querySelectorAll('{CELLS}').length === 32"  # not the recorded run
    )
    until(page, f"{own} && s.text.startsWith('Onceupon')")
    finished(page)
    page.locator(CELLS).nth(12).click()
    assert not page.is_visible(P + ".td-tools")
    assert "rewrite" not in page.inner_text(P + ".td-caption")


# ---------------------------------------------------------------- addresses, refusals, presenter


def shown(page):
    return page.evaluate(
        "[...document.querySelectorAll('.tabitem')].find((t) => t.offsetParent).id"
    )


def test_every_tab_has_an_address(visit):
    """An address opens its tab; a click changes the address; back and forward go through them; the
    list is one stop of the keyboard."""
    page = visit()
    names = page.evaluate(
        "[...document.querySelectorAll('.td-nav button')].map((b) => b.dataset.tab)"
    )
    assert len(names) > 6 and page.locator(".td-nav [tabindex='0']").count() == 1
    for name in names[1:4]:
        page.click(f"#nav-{name}")
        page.wait_for_function(f"() => location.hash === '#{name}'")
        assert page.get_attribute(f"#nav-{name}", "aria-selected") == "true"
    first = page.evaluate("document.querySelector('.tabitem:not([style*=none])') && 1")
    assert first
    page.go_back()
    page.wait_for_function(f"() => location.hash === '#{names[2]}'")
    assert page.get_attribute(f"#nav-{names[2]}", "aria-selected") == "true"
    page.keyboard.press("Tab")
    page.focus(f"#nav-{names[2]}")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => location.hash === '#{names[3]}'")


def test_a_refusal_stands_at_its_field(visit):
    """A prompt that is too long is one sentence under its field, without a toast; the text stays;
    the next run takes the sentence away."""
    page = visit(SMALL)
    until(page, "!s.running && s.end === 8")
    finished(page)
    before = page.evaluate(HELD)
    page.fill("#prompt textarea", "word " * 90)
    page.click("#write")
    page.wait_for_selector("#prompt .td-refused-here")
    said = page.inner_text("#prompt .td-refused-here")
    assert "92" in said and re.fullmatch(r"[^\n]+\.", said)
    assert page.evaluate(HELD) == before and page.locator(".toast-body").count() == 0
    page.fill("#prompt textarea", "Tom")
    page.click("#write")
    page.wait_for_selector("#prompt .td-refused-here", state="detached")
    page.click(".td-more .label-wrap >> nth=0")
    page.fill("#steps input", "900")
    page.click("#write")
    page.wait_for_selector("#steps .td-refused-here")


def test_back_and_forward_between_runs(visit):
    """The browser's back shows the run before, with its address, and says that the panel has other
    settings."""
    page = visit(SMALL)
    until(page, "!s.running && s.end === 8")
    finished(page)
    first, address = page.evaluate(HELD), page.url
    page.fill("#prompt textarea", "The dog")
    page.click("#write")
    until(page, "!s.running && s.text.startsWith('Thedog')")
    finished(page)
    assert page.url != address
    page.go_back()
    page.wait_for_function(f"() => JSON.stringify(({HELD})()) === {json_of(first)!r}")
    assert page.url == address and "Changed" in page.inner_text(".td-stale")
    page.go_forward()
    until(page, "s.text.startsWith('Thedog')")
    assert state(page)["text"].startswith("Thedog")


def test_the_presenter_shows_a_code(visit):
    """P fills the screen with large text; a code of the link can be scanned; Escape ends it."""
    page = visit(SMALL)
    until(page, "!s.running && s.end === 8")
    finished(page)
    page.locator(P + ".td-sheet").first.focus()
    page.keyboard.press("p")
    page.wait_for_selector("#qr svg", state="visible")
    size = page.evaluate(
        f"parseFloat(getComputedStyle(document.querySelector('{P}.td-cells')).fontSize)"
    )
    over = "document.elementFromPoint(innerWidth - 90, 300).closest('.td-player') !== null"
    assert size >= 34 and page.evaluate(over)
    page.keyboard.press("Escape")
    assert not page.evaluate(over) and not page.is_visible("#qr svg")


def test_words_written_again_are_not_the_same_again(small):
    """Each time another seed is used, and when it is over a sentence says what came of it."""
    seen = []
    for _ in range(3):
        words(small, 28, 35)
        small.evaluate(STARTED)
        small.click(P + "[data-do=again]")
        small.wait_for_function("() => window.started", timeout=90_000)
        finished(small)
        said, text = state(small)["caption"], state(small)["text"]
        assert re.match(r"(Written again: \d+ words? changed\.|The same came again)", said)
        same = bool(seen) and seen[-1] == text
        assert not seen or same == said.startswith("The same")
        seen.append(text)
    assert len(set(seen)) > 1
