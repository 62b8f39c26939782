"""A visitor whose turn has not come: what they see on the page, and Stop; and a crowd, all of whom
are answered."""

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from playwright.sync_api import expect

from tests import crowd

PLACE = re.compile(r"^(You are next|\d+ before you), about \d+ (s|min)\.$")
LONG = dict(model="masked", steps=256, length=1024)
# visitors, those with the opening's settings, seconds within which all press; steps of the others
SMALL = dict(visitors=16, same=5, within=6, steps=32)
ANSWERED, LATEST = 1.0, 3.0  # seconds in which nearly all, and in which all have an answer
READY = 20.0  # seconds that a slow machine takes to start the page; one that does other work, more
SPARE = 200  # MB that the server may have more after a crowd, the model and the judge among them


@contextmanager
def writing(server, api: dict):
    """A run of the API, which takes one of the two places."""
    session = secrets.token_hex(6)
    with httpx.Client(base_url=server.url + "/gradio_api", timeout=60) as client:
        body = dict(data=[LONG], fn_index=api["denoise"], session_hash=session)
        assert client.post("/queue/join", json=body).status_code == 200
        with client.stream("GET", f"/queue/data?session_hash={session}") as stream:
            lines = stream.iter_lines()  # is kept, else the stream is closed
            assert next(line for line in lines if "process_generating" in line)
            yield lines


@pytest.fixture
def full(server):
    """Two long runs are being written while the test goes on."""
    config = httpx.get(server.url + "/config", timeout=60).json()
    api = {d["api_name"]: d["id"] for d in config["dependencies"]}
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(writing(server, api))
        yield


def test_who_waits_is_told_and_can_stop(visit, full):
    """Their place stands over the text within half a second, Stop takes the run back, and the text
    that was there stays, in whatever tab they looked meanwhile; then another waits as well."""
    page = visit()
    player = page.locator("#denoise-player")
    place = player.locator(".td-waiting")
    player.locator(".td-last").click()
    before = text_of(page)
    page.fill("#prompt textarea", "A crowd")  # which no earlier visitor asked for
    page.click("#write")
    expect(place).to_have_text(PLACE, timeout=2000)
    assert not hidden_by_others(page)
    page.get_by_role("tab", name="Race").click()
    page.get_by_role("tab", name="Watch").click()
    expect(place).to_have_text(PLACE)
    player.locator(".td-stop").click()
    expect(place).to_have_count(0, timeout=2000)
    expect(player.locator(".td-stop")).to_be_hidden()
    assert text_of(page) == before
    page.click("#write")
    expect(place).to_have_text(PLACE, timeout=2000)
    page.get_by_role("tab", name="Race").click()
    page.click("#race-run")
    expect(page.locator("#race-panel .td-waiting")).to_have_text(PLACE, timeout=2000)
    page.get_by_role("tab", name="Watch").click()
    expect(place).to_have_count(0)  # a visitor's new run takes the place of their older one


def text_of(page) -> str:
    return page.locator("#denoise-player .td-cells").first.text_content()


def hidden_by_others(page) -> bool:
    """Does something lie over the sentence?"""
    return page.evaluate(
        """() => {
          const line = document.querySelector("#denoise-player .td-waiting");
          line.scrollIntoView({block: "center"});
          const {left, top, width, height} = line.getBoundingClientRect();
          return document.elementFromPoint(left + width / 2, top + height / 2) !== line;
        }"""
    )


def come(*args, **values) -> list[crowd.Visit]:
    """A crowd, in a thread of its own: in this one the browser's loop runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, crowd.crowd(*args, **values)).result()


@pytest.mark.long
def test_a_crowd_is_answered(server):
    """Many press within a few seconds, some with the settings of the opening: each sees their place
    or text soon, all get their text, whose pictures come in order; those who ask for what an
    earlier one got wait less than the others, and the server's memory is bounded."""
    come(server.url, visitors=1, same=1, within=0)
    before = server.memory()
    visits = come(server.url, **SMALL)
    figures = crowd.told(visits)
    print(figures)
    assert not figures["failed"] and figures["texts"] == SMALL["visitors"]
    assert not figures["disordered"]
    slow = max(1.0, server.ready_after / READY)
    assert figures["answered_last"] <= slow * LATEST
    assert crowd.share([met.answered for met in visits], 0.9) <= slow * ANSWERED
    assert all(met.done < slow * LATEST for met in visits if met.same)
    texts = {met.value["chunks"][-1] for met in visits if not met.same}
    assert len(texts) == SMALL["visitors"] - SMALL["same"]
    assert (server.memory() - before) / 2**20 < SPARE
