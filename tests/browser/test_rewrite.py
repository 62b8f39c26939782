"""Rewrite as a visitor and as a program uses it, on a page whose library holds a tiny rewriter."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client

from tests.browser.conftest import BROKEN, ONE_LOOK, Server
from tests.browser.test_tabs import refused, select, write
from tests.conftest import taught_to_restore
from tinydiff import rewrite
from tinydiff.measure import evaluate
from tinydiff.store import catalogue
from tinydiff.text import corpus

APP = """
import pathlib
from tinydiff.store import catalogue
catalogue.CHECKPOINTS = pathlib.Path({0!r})
import app
app.demo.launch(**app.LAUNCH)
"""


@pytest.fixture(scope="module")
def server(lines, tmp_path_factory):
    """The page with the bundled checkpoints and a tiny one that has hardly learned, evaluated in
    small."""
    shelf = tmp_path_factory.mktemp("shelf")
    for folder in catalogue.CHECKPOINTS.iterdir():
        (shelf / folder.name).symlink_to(folder)
    (shelf / "restore-masked").unlink(missing_ok=True)
    taught_to_restore(lines, shelf / "restore-masked", 2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rewrite, "PAIRS", 12)
        patched.setattr(rewrite, "STEPS", (1, 8))
        evaluate.run(shelf / "restore-masked", corpus(lines), draws=1)
    served = Server("-c", APP.format(str(shelf)))
    yield served
    served.close()


def tab(visit, query=""):
    page = visit(query)
    select(page, "Rewrite")
    page.wait_for_selector("#rewrite-panel .tt-status", state="attached")
    # the recorded view
    page.evaluate(
        "document.querySelectorAll('#rewrite-panel .tr-line').forEach((line) => line.remove())"
    )
    return page


def finished(page, count):
    """Wait until so many candidates stand on the panel; the texts of all its lines."""
    page.wait_for_function(
        "(n) => document.querySelectorAll('#rewrite-panel .tr-line').length > n",
        arg=count,
        timeout=60_000,
    )
    return page.locator("#rewrite-panel .tr-text").all_inner_texts()


def test_words_are_rewritten(visit):
    """The words stand on the canvas as they were stripped, five candidates come, and one of them is
    chosen."""
    page = tab(visit)
    write(page, "#rewrite-words textarea", "KING, sea")
    page.click("#rewrite-run")
    assert finished(page, 5)[5] == "king sea"
    assert page.locator("#rewrite-panel .tr-chosen").count() == 1
    page.get_by_role("button", name="To the end").locator("visible=true").click()
    cells = page.locator("#rewrite-player .td-cells span").all_text_contents()
    assert (
        "".join(cells[:9]) == "king sea↵"
        and page.locator("#rewrite-player .td-cells .g").count() == 16
    )


def test_an_example_is_compared_with_print(visit):
    """A click on a validation line writes it; the printed line stands below, without an error."""
    page = tab(visit)
    page.locator(".gallery-item").locator("visible=true").first.click()
    assert len(finished(page, 6)) == 7
    assert page.locator("#rewrite-panel .tr-line").last.inner_text().split("\n")[0] == "in print"
    assert "0 % errors" in page.locator("#rewrite-panel .tr-line").last.inner_text()


def test_words_that_cannot_be_are_told(visit):
    """One sentence, and the page stays as it was."""
    page = tab(visit)
    write(page, "#rewrite-words textarea", "king 7")
    page.click("#rewrite-run")
    assert "'7' at position 6" in refused(page, "#rewrite-words")


@pytest.mark.parametrize("scheme,width", ONE_LOOK)
def test_nothing_for_axe(visit, page, scheme, width):
    """No violation of the accessibility rules, and nothing that scrolls sideways, before a run and
    after it."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(reduced_motion="reduce")
    tab(visit, f"?__theme={scheme}")
    for _ in range(2):
        found = Axe().run(page, options=BROKEN)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        write(page, "#rewrite-words textarea", "king sea")
        page.click("#rewrite-run")
        finished(page, 5)
        page.wait_for_timeout(400)


def test_programs_rewrite_too(server):
    """The API answers with the candidates."""
    found = Client(server.url, verbose=False).predict(
        "king sea", "", 8, 3, 1.0, 1, api_name="/rewrite"
    )
    assert [row["name"] for row in found["rows"]] == [
        "candidate 1",
        "candidate 2",
        "candidate 3",
        "your words as they are",
    ]
