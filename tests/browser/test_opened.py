"""A page whose owner named a checkpoint: what could not be had is said on it, and what a visitor
opened in one tab stands in the menus of the others."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import BROKEN, Server, Watch
from tests.loopback import Hub

CHECKPOINTS = Path(__file__).resolve().parents[2] / "assets" / "checkpoints"
NAMES = ("config.json", "model.safetensors", "metrics.jsonl", "evaluation.json")
WAIT = 60_000


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        files = {name: (CHECKPOINTS / "shakespeare/masked" / name).read_bytes() for name in NAMES}
        server.add("stranger/letters", files)
        yield server


def served(hub, home, name: str) -> Server:
    where = dict(HF_HUB_OFFLINE="0", HF_ENDPOINT=hub.url, HF_HOME=str(home))
    return Server("app.py", name, **where)


def come(page, tab: str) -> None:
    page.get_by_role("tab", name=tab, exact=True).first.click()
    page.wait_for_selector(f"#{tab.lower()}-panel .tt-panel > *", timeout=WAIT)


def test_a_page_opened_with_a_checkpoint(hub, page, tmp_path):
    """It writes with that one, at its commit, in each tab."""
    server, watch = served(hub, tmp_path, "stranger/letters"), Watch(page)
    sha = hub.model("stranger/letters").refs["heads/main"]
    try:
        page.goto(server.url)
        page.wait_for_selector("#denoise-player .td-cells span")
        assert page.locator("#model input").input_value().startswith("letters: 4 layers")
        assert page.get_by_text(f"From the Hub, commit {sha[:12]}.").count()
        assert not page.locator("#opened-with").count()
        come(page, "Steps")
        assert page.locator("#steps-model input").input_value() == f"stranger/letters@{sha[:7]}"
        assert "its evaluation" in page.inner_text("#curves-panel")
        come(page, "Race")
        assert page.locator("#race-model-1 input").input_value().startswith("stranger/letters@")
    finally:
        server.close()
    watch.good()


@pytest.mark.long
def test_what_could_not_be_had_and_what_was_used(hub, page, tmp_path):
    """The bundled page with a sentence. A Hub id that is typed in Steps is pinned there, and Race
    has it in its menu; axe finds nothing about the sentence."""
    server, watch = served(hub, tmp_path, "nobody/nothing"), Watch(page)
    try:
        page.goto(server.url)
        page.wait_for_selector("#denoise-player .td-cells span")
        said = page.inner_text("#opened-with")
        assert said.startswith("The page opens with the bundled stories/masked, not with 'nobody/")
        assert "no public model 'nobody/nothing'" in said
        report = Axe().run(page, "#opened-with", options=BROKEN)
        assert report.violations_count == 0, report.generate_report()
        come(page, "Steps")
        page.locator("#steps-model input").fill("stranger/letters")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "() => document.querySelector('#steps-model input').value.includes('letters@')",
            timeout=WAIT,
        )
        come(page, "Race")
        page.wait_for_timeout(1000)
        page.locator("#race-model-1 input").click()
        name = f"stranger/letters@{hub.model('stranger/letters').refs['heads/main'][:7]}"
        page.get_by_role("option", name=name, exact=True).wait_for(timeout=WAIT)
    finally:
        server.close()
    watch.good()
