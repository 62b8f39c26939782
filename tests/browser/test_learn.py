"""Train yours as a visitor uses it: take or paste a text, watch, stop, play on Watch, download."""

import io
import re
import time
import zipfile

import pytest

from tests.browser.test_tabs import select, toast
from tinydiff.store import checkpoint
from tinydiff.ui.request import OPENING

TEXT = "the quick brown fox jumps over the lazy dog; the dog sleeps on. " * 60
STATUS = "document.querySelector('#train-panel .tt-status').textContent"
CURVE = "document.querySelector('#train-panel .tl-line').getAttribute('d')"


def press(page, button):
    """Press a button where the page may be moving: what a mouse aims at there may have gone on."""
    page.wait_for_selector(button)
    page.dispatch_event(button, "click")


def train(visit, minutes: str = "2", text: str = TEXT):
    """The tab with a training that has begun."""
    page = visit()
    select(page, "Train yours")
    page.fill("#learn-text textarea", text)
    page.fill("#learn-minutes input[type=number]", minutes)
    page.keyboard.press("Tab")
    press(page, "#learn-run")
    return page


def stopped(page):
    page.wait_for_function(
        f"() => /Learning/.test({STATUS}) && document.querySelectorAll('.tl-now .tl-text').length",
        timeout=30_000,
    )
    press(page, "#learn-stop")
    page.wait_for_function(f"() => /Stopped/.test({STATUS})", timeout=30_000)
    page.wait_for_selector("#learn-play")


def test_a_curve_and_a_sample_come_at_once(visit):
    """Within seconds of Train the curve grows and a sample of the visitor's own characters stands
    beside it; time left ends it."""
    page, begun = train(visit), time.monotonic()
    page.wait_for_function(
        f"() => /Learning/.test({STATUS}) && {CURVE}.length > 10", timeout=30_000
    )
    first = page.evaluate(CURVE)
    page.wait_for_function(
        "() => document.querySelectorAll('.tl-now .tl-text').length === 3", timeout=30_000
    )
    assert time.monotonic() - begun < 10
    page.wait_for_function(f"() => {CURVE}.length > {len(first) + 20}", timeout=30_000)
    assert set("".join(page.locator(".tl-now .tl-text").all_text_contents())) <= set(TEXT)
    stopped(page)


def test_stopped_played_with_and_downloaded(visit):
    """Stop keeps what was learned: it is downloaded as a checkpoint that loads, and one press has
    it chosen on Watch, where it writes with the characters of its text; another visit is offered
    nothing of it.
    """
    page = train(visit)
    stopped(page)
    with page.expect_download() as waiting:
        press(page, "#take-model")
    with zipfile.ZipFile(io.BytesIO(waiting.value.path().read_bytes())) as files:
        files.extractall(waiting.value.path().parent / "mine")
    assert set(checkpoint.load(waiting.value.path().parent / "mine").tokenizer.characters) == set(
        TEXT
    )
    press(page, "#learn-play")
    page.wait_for_url("**model=mine**")
    page.wait_for_selector("#denoise-player .td-cells span", state="visible")
    assert page.get_by_role("tab", name="Watch").get_attribute("aria-selected") == "true"
    assert page.get_by_label("Model", exact=True).first.input_value().startswith("yours: masked")
    page.wait_for_function(
        "() => !document.querySelector('#denoise-player .td-cells').textContent.includes('·')",
        timeout=60_000,
    )
    written = "".join(page.locator("#denoise-player .td-cells span").all_text_contents())
    assert len(written) == OPENING["length"] and not set(written.replace("↵", "\n")) - set(TEXT)
    other = page.context.browser.new_context().new_page()
    other.goto(page.url)
    assert "who trained it" in toast(other)
    other.close()


@pytest.mark.long
def test_a_ready_text_and_what_it_bought(visit):
    """A chip fills the field; when the training is over, the page says how much was read and what
    that brought beside counting letters, and measures what is written on the visitor's own text."""
    page = visit()
    select(page, "Train yours")
    page.locator("#learn-examples").get_by_role("radio", name="weather reports").check(force=True)
    page.wait_for_function(
        "() => document.querySelector('#learn-text textarea').value.startsWith('Monday')"
    )
    page.fill("#learn-minutes input[type=number]", "0.1")
    page.keyboard.press("Tab")
    press(page, "#learn-run")
    page.wait_for_function(f"() => /^Learned/.test({STATUS})", timeout=120_000)
    said = page.inner_text("#train-panel .tl-said")
    assert re.search(r"It read [\d,]+ characters, .* your text. It knows (more|less) than", said)
    rows = page.locator("#train-panel .tl-rows td").all_inner_texts()
    assert len(rows) == 4 and all(re.fullmatch(r"\d+ %", found) for found in rows)
    assert page.locator("#train-panel .tl-level").count() == 3


def test_a_file_of_text(visit, tmp_path):
    """A file fills the text field; one that is no text, and an empty field, are told in a
    sentence."""
    page = visit()
    select(page, "Train yours")
    for name, content in (("mine.txt", TEXT.encode()), ("mine.png", b"\x89PNG\0\xff" * 999)):
        (tmp_path / name).write_bytes(content)
        with page.expect_file_chooser() as chooser:
            page.click("#learn-file")
        chooser.value.set_files(tmp_path / name)
        page.wait_for_function(
            "(n) => document.querySelector('#learn-text textarea').value.length === n",
            arg=len(content.decode(errors="replace")),
        )
    press(page, "#learn-run")
    assert "no UTF-8 text" in toast(page)


def test_a_token_leaves_the_field(visit):
    """After Push the field is empty, whether it worked or not, and what the page says of it does
    not hold it."""
    page = train(visit)
    stopped(page)
    press(page, "#learn-hub button >> nth=0")
    page.fill("#learn-repo input, #learn-repo textarea", "user/name")
    page.fill("#learn-token input", "hf_NotARealToken42")
    press(page, "#learn-push")
    assert "push" in toast(page)
    page.wait_for_function("() => document.querySelector('#learn-token input').value === ''")
    assert "hf_NotARealToken42" not in page.content() + page.url
