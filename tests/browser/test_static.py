"""The recorded runs in a browser, from a plain file server: every family can be chosen and played,
and nobody else is asked."""

import subprocess
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import BROKEN, LOOKS, Watch, free_port, wait_until_served
from tinydiff import runs
from tinydiff.deploy import gallery

STEPS, FEWER = 12, 6


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where a folder with short runs of every family is served."""
    folder, port = tmp_path_factory.mktemp("runs"), free_port()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gallery, "RUNS", ((None, STEPS), ("confidence", FEWER)))
        patched.setitem(runs.DEFAULTS, "length", 64)
        gallery.build(folder)
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    wait_until_served(f"http://127.0.0.1:{port}/", server)
    yield f"http://127.0.0.1:{port}/"
    server.terminate()
    server.wait(15)


@pytest.fixture
def watched(page):
    """A page whose console stays empty and which asks this machine alone."""
    watch = Watch(page)
    yield page
    assert not watch.strangers, "A request left the machine."
    assert not watch.errors, "The console holds errors."


def played(page, steps=STEPS, after=""):
    """Wait for the end of the run that follows the text `after`; the text that stands there."""
    where = page.locator(".td-where")
    expect(where).to_have_text(f"look {steps} of {steps}", timeout=30_000)
    expect(page.locator(".td-cells").first).not_to_have_text(after or "nothing", timeout=30_000)
    expect(where).to_have_text(f"look {steps} of {steps}", timeout=30_000)
    return "".join(page.locator(".td-cells span").all_text_contents())


def ended(page, steps=STEPS, after=""):
    """`played` of another run than that of the text `after`, without waiting for its words."""
    expect(page.locator(".td-cells").first).not_to_have_text(after, timeout=30_000)
    page.locator(".td-last").click()
    return played(page, steps, after)


@pytest.mark.parametrize("width", [1280, pytest.param(375, marks=pytest.mark.long)])
@pytest.mark.usefixtures("motion")
def test_it_plays_and_another_family_can_be_chosen(watched, address, width):
    """The first run plays to a text with its prompt; another family and another run of it are two
    clicks; nothing sticks out."""
    page = watched
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address)
    first = played(page)
    assert first.startswith("Onceuponatime") and "·" not in first
    page.get_by_role("link", name="uniform", exact=True).click()
    expect(page.locator("h2")).to_have_text("Uniform (D3PM)")
    second = ended(page, after=first)
    assert second != first
    page.get_by_role("link", name="masked", exact=True).click()
    page.get_by_role("link", name=f"confidence, {FEWER} steps").click()
    assert ended(page, FEWER, second) != first
    expect(page.locator(".td-runs [aria-current]")).to_have_text(f"confidence, {FEWER} steps")
    page.go_back()
    assert played(page) == first
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    inner, outer = (page.locator(name).first.bounding_box() for name in (".td-cells", ".td-sheet"))
    assert (
        outer["x"] <= inner["x"]
        and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 0.5
    )


def test_every_family_is_there_with_its_sentence_and_its_paper(watched, address):
    """Each of the menu's families plays, says what its noise is, and links to the paper."""
    page = watched
    page.goto(address)
    for name, family in gallery.PROCESSES.items():
        page.get_by_role("link", name=name.replace("-", " "), exact=True).click()
        expect(page.locator(".td-about")).to_have_text(family.about)
        expect(page.get_by_role("link", name=family.paper)).to_have_attribute(
            "href", f"https://arxiv.org/abs/{family.paper[6:]}"
        )
        expect(page.locator(".td-player")).to_have_attribute("data-family", name)
        page.locator(".td-last").click()
        masks = page.locator(".td-cells span:not(.e)", has_text="·")  # none before its end
        expect(masks).to_have_count(0, timeout=30_000)


def test_a_link_opens_its_run_and_the_keyboard_plays_it(watched, address):
    """The address names family and run; Tab and Enter choose another; keys step through the
    text."""
    page = watched
    page.goto(f"{address}#masked/confidence-{FEWER}")
    played(page, FEWER)
    page.locator(".td-sheet").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".td-where")).to_have_text(f"look 1 of {FEWER}")
    page.get_by_role("link", name="autoregressive", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("h2")).to_have_text("Autoregressive")


def test_without_motion_the_text_stands_there(watched, address):
    """Whoever wants no motion sees the last picture at once, and the slider works."""
    page = watched
    page.emulate_media(reduced_motion="reduce")
    page.goto(address)
    assert "·" not in played(page)
    page.locator(".td-seek").fill("0")
    assert "·" in "".join(page.locator(".td-cells span").all_text_contents())


@pytest.mark.parametrize(
    ("scheme", "width"), [*LOOKS, pytest.param("dark", 375, marks=pytest.mark.long)]
)
def test_nothing_for_axe(watched, address, scheme, width):
    """No violation of the accessibility rules in light, in dark and on a phone; the switch changes
    the colours."""
    page = watched
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(reduced_motion="reduce", color_scheme=scheme)
    page.goto(address)
    played(page)
    found = Axe().run(page, options=BROKEN)
    assert found.violations_count == 0, found.generate_report()
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(colour) != before


@pytest.mark.long
def test_a_run_that_is_missing_is_one_sentence(page, address):
    """A server that lost a file: the page says so, and another run still plays."""
    page.route("**/runs/masked-*", lambda route: route.fulfill(status=404, body=""))
    page.goto(address)
    expect(page.get_by_role("alert")).to_contain_text("could not be fetched")
    page.get_by_role("link", name="uniform", exact=True).click()
    played(page)
    expect(page.locator(".td-trouble")).to_be_hidden()
