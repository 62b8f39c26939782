"""A Hub id on the tab Watch: the menus hold what the repository holds, a link reproduces it, a
refusal stands at its place."""

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import BROKEN, ONE_LOOK, Server, Watch, dry
from tests.browser.test_denoise import choose, finished, generate, state, until
from tests.loopback import Hub, status
from tinydiff.ui.fields import HUB

CHECKPOINTS = Path(__file__).resolve().parents[2] / "assets" / "checkpoints"
TOKEN = "hf_secretOfTheOwner"


@pytest.fixture(scope="module")
def hub():
    with Hub({TOKEN: "owner"}) as server:
        files = {
            f"{folder}/{name}": (CHECKPOINTS / model / name).read_bytes()
            for folder, model in (
                ("mine", "shakespeare/masked"),
                ("wild", "shakespeare/autoregressive"),
            )
            for name in ("config.json", "model.safetensors")
        }
        server.add("stranger/many", files)
        server.add(
            "owner/private",
            {
                name.removeprefix("mine/"): data
                for name, data in files.items()
                if name.startswith("mine/")
            },
            private=True,
        )
        server.lie("stranger/broken", status(500))
        yield server


@pytest.fixture(scope="module")
def served(hub, tmp_path_factory):
    """The page of an owner who is logged in to that Hub."""
    home = str(tmp_path_factory.mktemp("home"))
    server = Server("app.py", HF_HUB_OFFLINE="0", HF_ENDPOINT=hub.url, HF_HOME=home, HF_TOKEN=TOKEN)
    yield server
    server.close()


@pytest.fixture
def opened(served, page):
    watch = Watch(page)

    def open_(query: str = ""):
        page.goto(f"{served.url}/{query}")
        page.wait_for_selector("#denoise-player .td-cells span")
        return page

    yield open_
    assert not watch.strangers and not watch.errors


def ask(page, source: str):
    """Type an id of the Hub and press Enter."""
    if not page.locator("#hub-id").is_visible():
        choose(page, "#model", HUB)
        page.locator("#hub-id").wait_for(state="visible")
    page.locator("#hub-id textarea, #hub-id input").fill(source)
    page.keyboard.press("Enter")


def menu_of(page, menu: str) -> list[str]:
    """What a menu offers."""
    page.locator(f"{menu} input").click()
    offered = page.locator("[role=listbox] [role=option]")
    offered.first.wait_for()
    found = offered.all_inner_texts()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")  # so that a click opens it again
    return [words.strip().removeprefix("✓").strip() for words in found]


def told(page, words: str):
    page.locator("#hub-id", has_text=words).wait_for(timeout=30_000)


def test_a_hub_id_fills_the_menus(opened, hub):
    """Nothing is asked of the Hub at load. A repository's noises are the noises, its commit is
    shown, its model writes a text, and the link with that model and commit writes the same text for
    another visitor; then the bundled models come back.
    """
    before = len(hub.log)
    page = opened("?steps=8&length=64")
    assert len(hub.log) == before
    ask(page, "stranger/many")
    sha = hub.model("stranger/many").refs["heads/main"]
    told(page, f"Commit {sha[:12]}: 2 models")
    assert menu_of(page, "#noise")[:2] == ["hidden words", "one after the other"]
    assert "mine: 4 layers" in page.locator("#model input").input_value()
    choose(page, "#noise", "one after the other")
    page.wait_for_function(
        "() => document.querySelector('#model input').value.startsWith('wild:')", timeout=30_000
    )
    generate(page)
    text = finished(page)["text"]
    assert f"stranger%2Fmany%2Fwild%40{sha}" in page.url
    page.wait_for_timeout(1500)  # nothing is under way that the browser would break off
    page.goto(page.url)
    page.wait_for_selector("#denoise-player .td-cells span")
    told(page, f"Commit {sha[:12]}")
    # the recorded run may still stand there
    until(page, f"!s.running && s.text === {json.dumps(text)}")
    known = menu_of(page, "#model")
    assert known[0].startswith("wild:") and known[-1] == HUB and len(known) > 2
    choose(page, "#model", known[1])
    generate(page)
    assert finished(page)["text"] != text and "stranger" not in page.url
    assert not hub.sent_tokens()


def test_a_refusal_stands_at_its_place(opened, hub):
    """A sentence under the id; what stood on the panel and in the menus stays. The owner's private
    model is not there."""
    page = opened()
    before = finished(page)["text"]
    choose(page, "#model", HUB)
    model = page.locator("#model input").input_value()
    for source, words in (
        ("nobody/nothing", "no public model 'nobody/nothing'"),
        ("owner/private", "no public model 'owner/private'"),
        ("../../etc", "'../../etc' is not a Hub id"),
        ("stranger/broken", "answers 500"),
        ("<img src=x onerror=alert(1)>", "onerror=alert(1)›' is not a Hub id"),
    ):
        ask(page, source)
        told(page, words)
        assert state(page)["text"] == before and page.locator("#model input").input_value() == model
        assert page.locator("#hub-id img").count() == 0
    assert not hub.sent_tokens()


@pytest.mark.parametrize("scheme,width", ONE_LOOK)
def test_the_id_is_for_everybody(opened, page, scheme, width):
    """axe finds nothing, also where a refusal stands; and nothing scrolls sideways."""
    page.set_viewport_size({"width": width, "height": 900})
    page = opened(f"?__theme={scheme}")
    finished(page)
    ask(page, "nobody/nothing")
    told(page, "no public model")
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    dry(page)
    report = Axe().run(page, options=BROKEN)
    assert report.violations_count == 0, report.generate_report()
