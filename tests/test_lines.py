"""A line whose runs are asked for before they wait: what visitors see meanwhile, what is answered
at once, and how a place becomes free. Against a page of two buttons, served on this machine."""

import json
import re
import threading
import time
from contextlib import contextmanager

import gradio as gr
import httpx
import pytest
from gradio_client.utils import apply_diff

from tests.browser.conftest import free_port
from tests.test_server import let_go, wait
from tinydiff.ui import server
from tinydiff.ui.theme import LAUNCH
from tinydiff.ui.turns import Ask, Turn

PLACE = re.compile(r"(You are next|\d+ before you), about \d+ (s|min)")


class Served:
    """A page whose runs count until `go` is set, one at a time; `known` are remembered, "wrong" is
    refused, "none" asks for nothing, "slow" is asked for until `asked` is set."""

    def __init__(self):
        self.go, self.asked, self.known = threading.Event(), threading.Event(), {}
        self.started, self.begun, self.ended, self.closed = [], [], [], []
        with server.Page(analytics_enabled=False) as page:
            box, other, shown = gr.Textbox(), gr.Textbox(), gr.HTML()
            line = dict(concurrency_id="sample", concurrency_limit=1, api_visibility="private")
            button = gr.Button()
            press = button.click(self.run, box, [shown, other], **line)
            aside = button.click(self.run, box, [shown, other], **line)
            taken = button.click(self.withdraw, None, None, queue=False, api_name="withdraw")
        page.asks |= {press["id"]: Ask("one", self.ask), aside["id"]: Ask("two", self.ask)}
        self.ids, self.page = [press["id"], aside["id"], taken["id"]], page
        look = {k: v for k, v in LAUNCH.items() if k not in ("css_paths", "theme")}
        port = free_port()
        page.launch(
            **look,
            prevent_thread_lock=True,
            quiet=True,
            server_name="127.0.0.1",
            server_port=port,
        )
        self.lines = page._queue
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}/gradio_api", timeout=20)

    def ask(self, text: str) -> Turn | None:
        if text == "wrong":
            raise gr.Error("This text is wrong: write another.", print_exception=False)
        if text == "broken":
            raise KeyError("secret")
        if text == "slow":
            self.asked.wait(20)
        return (
            None
            if text == "none"
            else Turn(
                lambda: 2.0,
                lambda: self.begun.append(text),
                lambda: text in self.known,
                lambda: self.known.get(text),
                lambda: self.ended.append(text),
            )
        )

    def run(self, text: str):
        self.started.append(text)
        try:
            n = 0
            while not self.go.wait(0.02) and text not in self.ended:
                n += 1
                yield {"text": text, "n": n}, gr.skip()
            yield {"text": text, "n": "done"}, "more"
        finally:
            self.closed.append(text)

    async def withdraw(self, request: gr.Request):
        self.page.withdraw(self.ids[0], request.session_hash)

    def stop(self, session: str) -> None:
        body = dict(data=[], fn_index=self.ids[2], session_hash=session)
        assert self.http.post("/run/withdraw", json=body).status_code == 200

    def join(self, session: str, text: str, button: int = 0) -> None:
        body = dict(data=[text], fn_index=self.ids[button], session_hash=session)
        assert self.http.post("/queue/join", json=body).status_code == 200


class Shown:
    """What a page shows of its answers, as the browser reads them."""

    def __init__(self, stream):
        self.lines, self.values, self.first, self.done = stream.iter_lines(), {}, [], []
        self.leave = stream.close

    def read(self, until) -> object:
        """Read messages until the condition holds of the value of the first output."""
        for line in self.lines:
            message = json.loads(line[6:]) if line.startswith("data: ") else {}
            event, output = message.get("event_id"), message.get("output") or {}
            if message.get("msg") == "process_generating":
                before = self.values.get(event)
                values = output["data"]
                if before is not None:
                    values = [apply_diff(old, diff) for old, diff in zip(before, values)]
                self.values[event] = values
                self.first.append(values[0])
            elif message.get("msg") == "process_completed":
                self.done.append(message)
                self.first.append(output.get("error") or output["data"][0])
            else:
                continue
            if until(self.first[-1]):
                return self.first[-1]
        raise AssertionError(f"The stream ended after {self.first}.")

    def place(self) -> str:
        return self.read(lambda value: value.get("waiting"))["waiting"]


@pytest.fixture(scope="module")
def whole():
    served = Served()
    yield served
    served.page.close(verbose=False)


@pytest.fixture
def served(whole):
    for part in (whole.started, whole.begun, whole.ended, whole.closed, whole.known):
        part.clear()
    whole.go.clear(), whole.asked.clear()
    yield whole
    whole.go.set(), whole.asked.set(), let_go(whole.lines)
    lines = whole.lines
    wait(lambda: not (any(lines.active_jobs) or lines.asked or lines.turns or lines.told))


@contextmanager
def pressing(served, session: str, text: str, button: int = 0):
    """A page: it presses, then listens."""
    served.join(session, text, button)
    path = f"/queue/data?session_hash={session}"
    with served.http.stream("GET", path) as stream:
        yield Shown(stream)


def running(shown):
    return shown.read(lambda value: value.get("n"))


def test_who_waits_sees_their_place(served):
    """Within half a second of the press, then whenever the line has moved; the run itself takes
    its place on the same output, and leaves what the others hold."""
    with pressing(served, "a", "first") as first, pressing(served, "b", "second") as second:
        running(first), second.place()
        began = time.monotonic()
        with pressing(served, "c", "third") as third:
            place = third.place()
            assert time.monotonic() - began < 0.5
            assert PLACE.fullmatch(place) and place.startswith("1 before you")
            assert int(re.search(r"about (\d+)", place)[1]) in (2, 3, 4)
            served.ended.append("first")  # it is done
            running(second)
            began = time.monotonic()
            assert third.read(lambda v: "You are next" in v.get("waiting", ""))
            assert time.monotonic() - began < 0.5
            served.go.set()
            assert third.read(lambda v: v.get("n") == "done")["text"] == "third"
            third.read(lambda v: third.done)
        assert third.done[-1]["output"]["data"][1] == "more"
        waits = [value for value in third.first if "waiting" in value]
        assert all(not value.get("text") for value in waits) and third.first[0] in waits
        second.read(lambda value: value.get("n") == "done")
        counted = [value["n"] for value in second.first if "n" in value]
        assert counted == [*range(1, len(counted)), "done"]


def test_what_needs_no_turn_is_answered_at_once(served):
    """A line that stands still holds up neither what is remembered, nor what is refused, in one
    sentence, nor what asks for nothing."""
    served.known["old"] = ({"text": "old", "n": "remembered"}, "more")
    with pressing(served, "a", "holds") as first:
        running(first)
        for text, wanted in (
            ("old", {"text": "old", "n": "remembered"}),
            ("wrong", "This text is wrong: write another."),
            ("broken", server.WRONG),
            ("none", {"__type__": "update"}),
        ):
            began = time.monotonic()
            with pressing(served, text, text) as shown:
                assert shown.read(lambda value: True) == wanted
                assert shown.done[0]["success"] == isinstance(wanted, dict)
            assert time.monotonic() - began < 1.0
        assert served.started == ["holds"] and served.begun == ["holds", "old"]


def test_what_was_finished_meanwhile_is_played(served):
    """Who waits with the settings of a run that is finished leaves the line with it."""
    with pressing(served, "a", "holds") as first, pressing(served, "b", "twin") as second:
        running(first), second.place()
        served.known["twin"] = ({"text": "twin", "n": "remembered"}, "more")
        assert second.read(lambda value: value.get("n"))["n"] == "remembered"
        assert served.started == ["holds"] and not served.lines.waiting("sample")


def test_a_slow_question_holds_up_nobody(served):
    """While one run is asked for, its visitor is told a place, and another's begins."""
    with pressing(served, "a", "slow") as slow:
        assert PLACE.fullmatch(slow.place())
        with pressing(served, "b", "quick") as quick:
            running(quick)
            served.ended.append("quick"), served.asked.set()
            assert running(slow)["text"] == "slow"


def test_stop_takes_back_what_waits_or_is_asked_for(served):
    """The page is told that nothing is waited for, whatever was shown before, and it never runs."""
    with pressing(served, "a", "holds") as first, pressing(served, "b", "waits") as second:
        running(first), second.place()
        served.stop("b")
        assert second.read(lambda value: second.done) == {"waiting": ""}
        with pressing(served, "c", "slow") as third:
            third.place()
            served.stop("c")
            assert third.read(lambda value: third.done) == {"waiting": ""}
        served.asked.set(), served.go.set()
        first.read(lambda value: first.done)
    wait(lambda: not served.lines.asked)
    assert served.started == ["holds"] and "slow" not in served.begun


def test_a_new_run_leaves_the_line_of_another_tab(served):
    """The visitor's older wish is answered, and only the newer one runs."""
    with pressing(served, "a", "holds") as first, pressing(served, "b", "older") as second:
        running(first), second.place()
        served.join("b", "newer", button=1)
        second.read(lambda value: second.done)
        assert [event.data.data for event in served.lines.waiting("sample")] == [["newer"]]
        served.go.set()
        second.read(lambda value: value.get("n") == "done")
    assert served.started == ["holds", "newer"]


def test_a_closed_page_frees_its_place(served):
    """At once, in the middle of a computation as well as in the line; whoever else listens keeps
    theirs."""
    with pressing(served, "c", "stays") as third:
        running(third)
        with pressing(served, "b", "waits") as second:
            second.place()
        wait(lambda: not served.lines.waiting("sample"), 2)
        assert not served.ended
        with pressing(served, "d", "next") as fourth:
            fourth.place()
            third.leave()
            began = time.monotonic()
            assert running(fourth)["text"] == "next" and time.monotonic() - began < 1.5
            wait(lambda: served.ended == ["stays"], 2)  # told by another thread
    assert served.ended[:1] == ["stays"] and served.started == ["stays", "next"]


def test_whichever_notices_first_that_a_page_is_closed(served, monkeypatch):
    """A run that is over before its visitor is known to be gone is told that nobody wants it."""
    monkeypatch.setattr(served.lines, "gone", lambda session: None)
    with pressing(served, "c", "stays") as third:
        running(third)
    wait(lambda: served.ended == ["stays"])
