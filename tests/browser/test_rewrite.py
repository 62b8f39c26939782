"""Tasks as a visitor and as a program uses it, on a page whose library holds a tiny model of four
tasks and one of one."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client

from tests.browser.conftest import BROKEN, ONE_LOOK, Server
from tests.browser.test_tabs import refused, select, write
from tests.conftest import taught_tasks, taught_to_restore
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
    for name in ("restore-masked", "tasks-masked"):  # else the bundled one would be written to
        (shelf / name).unlink(missing_ok=True)
    taught_to_restore(lines, shelf / "restore-masked", 2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rewrite, "PAIRS", 12)
        patched.setattr(rewrite, "STEPS", (1, 8))
        evaluate.run(shelf / "restore-masked", corpus(lines), draws=1)
    taught_tasks(tmp_path_factory.mktemp("pairs"), shelf / "tasks-tiny", 60)
    served = Server("-c", APP.format(str(shelf)))
    yield served
    served.close()


def tab(visit, query=""):
    page = visit(query)
    select(page, "Tasks")
    page.wait_for_selector("#rewrite-panel .tt-status", state="attached")
    return page


def choose(page, task):
    """Choose a task and wait until the field says what it asks for."""
    before = page.locator("#rewrite-words").inner_text()
    page.locator(f"#rewrite-task input[value={task}]").click()
    page.wait_for_function(
        "(before) => document.querySelector('#rewrite-words').innerText !== before", arg=before
    )


def begin(page, words):
    write(page, "#rewrite-words textarea", words)
    page.click("#rewrite-run")


def finished(page, count):
    """Wait until so many candidates stand on the panel; the texts of all its lines."""
    page.wait_for_function(
        "(n) => document.querySelectorAll('#rewrite-panel .tr-line').length > n",
        arg=count,
        timeout=60_000,
    )
    return page.locator("#rewrite-panel .tr-text").all_inner_texts()


def test_a_translation_stands_beside_its_source(visit):
    """The source as it was typed, five candidates of which one is chosen; what is written ends at
    its end, and nothing of the source is among it."""
    page = tab(visit)
    begin(page, "king sea rose")
    finished(page, 4)
    assert page.locator("#rewrite-panel .tr-chosen").count() == 1
    assert page.inner_text("#rewrite-player .td-source .td-words") == "king sea rose"
    assert "translate to French" in page.inner_text("#rewrite-player .td-source")
    page.get_by_role("button", name="To the end").locator("visible=true").click()
    assert page.locator("#rewrite-player .td-cells .g").count() == 0
    shown = page.locator("#rewrite-player .td-sheet .td-cells").first.inner_text()
    first = page.locator("#rewrite-panel .tr-text").first.inner_text()
    assert shown.replace("∎", "").split() == first.split()
    boxes = [
        page.locator(f"#rewrite-player {part}").first.bounding_box()
        for part in (".td-source", ".td-sheet")
    ]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] and boxes[0]["y"] == boxes[1]["y"]


def test_words_of_a_translation_shade_their_sources(visit):
    """A word that is pointed at, tapped, or reached with the arrows is the chosen one; what it
    rests on is said and shaded, and one stop of the keyboard is enough for all of them."""
    page = tab(visit)
    begin(page, "king sea rose fool")
    finished(page, 4)
    words = page.locator("#rewrite-panel .tr-to button")
    assert words.count() >= 2
    assert page.locator("#rewrite-panel .tr-from span").all_inner_texts() == [
        "king",
        "sea",
        "rose",
        "fool",
    ]

    def chosen():
        pressed = [words.nth(i).get_attribute("aria-pressed") for i in range(words.count())]
        assert page.locator("#rewrite-panel .tr-to button[tabindex='0']").count() == 1
        return [i for i, said in enumerate(pressed) if said == "true"]

    assert len(chosen()) == 1
    words.nth(0).click()
    assert chosen() == [0]
    words.nth(0).press("ArrowRight")
    assert chosen() == [1]
    assert words.nth(1).inner_text() in page.inner_text("#rewrite-panel .tr-said")
    words.nth(1).press("Home")
    assert chosen() == [0]
    words.nth(1).hover()
    assert chosen() == [1]
    shades = page.locator("#rewrite-panel .tr-from span").evaluate_all(
        "(all) => all.map((one) => one.className)"
    )
    named = page.inner_text("#rewrite-panel .tr-said")
    assert all(shade[:-1] == "tr-h" for shade in shades)
    assert ("without" in named) == any(shade != "tr-h0" for shade in shades)


def test_a_task_brings_its_example(visit):
    """In the place of another; a click on one of them writes, and what people made of it stands
    below."""
    page = tab(visit)
    field = page.locator("#rewrite-words textarea")
    before = field.input_value()
    choose(page, "reply")
    page.wait_for_function(
        "(before) => document.querySelector('#rewrite-words textarea').value !== before", arg=before
    )
    assert "in a story" in page.inner_text("#rewrite-words")
    page.locator("#rewrite-examples .gallery-item").locator("visible=true").last.click()
    finished(page, 5)
    assert "what the story answers" in page.locator("#rewrite-panel .tr-line").last.inner_text()
    assert page.locator("#rewrite-panel .tr-words").count() == 0
    write(page, "#rewrite-words textarea", "my own words")
    choose(page, "translate-en-fr")
    assert field.input_value() == "my own words"


def test_a_model_of_one_task(visit):
    """Offers that one, with lines of its evaluation; the printed line stands below, without an
    error, and the source above the line that is written."""
    page = tab(visit)
    page.locator(".tr-more .label-wrap").click()
    page.locator("#rewrite-model input").click()
    page.get_by_role("option", name="restore-masked").click()
    page.wait_for_function("document.querySelectorAll('#rewrite-task input').length === 1")
    page.locator("#rewrite-examples .gallery-item").locator("visible=true").first.click()
    assert len(finished(page, 6)) == 7
    assert page.locator("#rewrite-panel .tr-line").last.inner_text().split("\n")[0] == "in print"
    assert "0 % errors" in page.locator("#rewrite-panel .tr-line").last.inner_text()
    assert page.locator("#rewrite-player .td-sheets.td-above").count() == 1
    write(page, "#rewrite-words textarea", "king 7")
    page.click("#rewrite-run")
    assert "'7' at position 6" in refused(page, "#rewrite-words")


@pytest.mark.parametrize("words,says", [("king " * 80, "there is room for"), (" ", "nothing to")])
def test_words_that_cannot_be_are_told(visit, words, says):
    """One sentence at the field, and the page stays as it was."""
    page = tab(visit)
    begin(page, words)
    assert says in refused(page, "#rewrite-words")


@pytest.mark.parametrize("scheme,width", ONE_LOOK)
def test_nothing_for_axe(visit, page, scheme, width):
    """No violation of the accessibility rules, and nothing that scrolls sideways, before a run and
    after it."""
    page.set_viewport_size({"width": width, "height": 900})
    tab(visit, f"?__theme={scheme}")
    for _ in range(2):
        found = Axe().run(page, options=BROKEN)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        begin(page, "king sea")
        finished(page, 4)
        page.wait_for_timeout(400)


def test_programs_rewrite_too(server, browser_name):
    """The API answers with the candidates. (Who asks for the browser shares its server.)"""
    found = Client(server.url, verbose=False).predict(
        "king sea", "restore-masked", 8, 3, 1.0, 1, "restore", api_name="/rewrite"
    )
    assert [row["name"] for row in found["rows"]] == [
        "candidate 1",
        "candidate 2",
        "candidate 3",
        "your words as they are",
    ]
