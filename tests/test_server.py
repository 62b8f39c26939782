"""What stands between the network and the tabs: who waits in which line, what is read of a request,
which routes there are, what a session leaves behind. Against a page of a few functions, served on
this machine.
"""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio_client import Client

from tests.programs import Program
from tinydiff.ui import server, story
from tinydiff.ui.theme import LAUNCH

SENTENCE = 12  # characters that a sentence has at the least


def wait(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def let_go(lines):
    """Nobody waits any more, and what runs is stopped."""
    for event in lines.everybody():
        lines.drop(event)
    for event in [event for job in lines.active_jobs for event in job or []]:
        event.alive = False


class Kept:
    """What a session keeps; counts those that were cleared away."""

    left = 0

    def leave(self):
        Kept.left += 1


class Served:
    """A page whose `train` works until `go` is set, `run` answers at once, and `press` is a
    button's."""

    def __init__(self):
        self.go, self.started, self.ended = threading.Event(), [], []
        with server.Page(analytics_enabled=False) as page:
            desk = gr.State(Kept(), delete_callback=Kept.leave)
            box = gr.Textbox()
            number = gr.Slider(1, 9, 1, label="Nine")
            choice, button = gr.Radio(["a", "b"], label="Choice"), gr.Button()
            quiet = dict(api_visibility="private")
            button.click(
                self.press,
                [desk, box, number, choice],
                [box, desk],
                concurrency_id="sample",
                concurrency_limit=1,
                **quiet,
            )
            button.click(lambda: "quick", None, box, queue=False, api_name="quick")
            button.click(self.withdraw, None, None, queue=False, api_name="withdraw")
            gr.api(self.train, api_name="train", concurrency_id="train", concurrency_limit=1)
            gr.api(self.run, api_name="run", concurrency_id="sample")
        self.page = page.queue()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        look = {k: v for k, v in LAUNCH.items() if k not in ("css_paths", "theme")}
        page.launch(
            **look,
            prevent_thread_lock=True,
            quiet=True,
            server_name="127.0.0.1",
            server_port=self.port,
        )
        self.lines, self.url = page._queue, f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url + "/gradio_api", timeout=20)
        self.ids = {fn.name: i for i, fn in page.fns.items()}

    def train(self, text: str) -> Iterator[str]:
        self.started.append(text)
        try:
            yield "learning"
            while not self.go.wait(0.02):
                yield "learning"
            yield "learned"
        finally:
            self.ended.append(text)

    def run(self, text: str) -> str:
        if text == "wrong":
            raise KeyError(text)
        return text.upper()

    def press(self, desk, text: str, number: float, choice: str):
        self.started.append(text)
        self.go.wait(20)
        return text.upper(), desk

    async def withdraw(self, request: gr.Request):
        self.page.withdraw(self.ids["press"], request.session_hash)

    def post(self, name: str, *data, session=None) -> httpx.Response:
        return self.http.post(
            f"/call/{name}", json=dict(data=data, **({"session_hash": session} if session else {}))
        )

    def join(self, *data, session: str) -> httpx.Response:
        body = dict(data=[None, *data], fn_index=self.ids["press"], session_hash=session)
        return self.http.post("/queue/join", json=body)

    @contextmanager
    def reading(self, path: str):
        """Listen to a stream of answers: yields its lines."""
        with self.http.stream("GET", path) as stream:
            yield stream.iter_lines()

    def answer(self, name: str, *data) -> str:
        """What the API says at last."""
        event = self.post(name, *data).json()["event_id"]
        with self.reading(f"/call/{name}/{event}") as lines:
            return [line for line in lines if line.startswith("data:")][-1]


@pytest.fixture(scope="module")
def whole():
    served = Served()
    yield served
    served.page.close(verbose=False)


@pytest.fixture
def served(whole):
    whole.go.clear(), whole.started.clear(), whole.ended.clear()
    yield whole
    whole.go.set(), let_go(whole.lines)
    wait(lambda: not any(whole.lines.active_jobs))


# ---------------------------------------------------------------- the first visit


def test_the_page_is_packed(served):
    """The page and its description come as gzip, and are what they are without it; a browser that
    takes none gets them plain."""
    for path in ("/", "/config"):
        with httpx.Client(base_url=served.url) as client:
            packed, plain = (
                client.get(path, headers={"accept-encoding": takes})
                for takes in ("br, gzip", "identity")
            )
        assert (
            packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
        )
        assert packed.headers["vary"] == "accept-encoding" and packed.text == plain.text
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3


def test_asking_whether_it_is_there_draws_no_page(served, monkeypatch):
    """HEAD is answered at once, and the page, which takes a while, is not written for it: so a
    start under load does not fail."""
    monkeypatch.setattr(
        gr.routes.templates,
        "TemplateResponse",
        lambda *_, **__: pytest.fail("The page was written."),
    )
    told = httpx.head(served.url)
    assert (
        told.status_code == 200
        and told.headers["content-type"].startswith("text/html")
        and not told.content
    )


def test_a_stream_is_not_held_up(served):
    """Whoever takes gzip gets the first words of a run before its last: what comes in pieces is
    passed on as it comes."""
    event = served.post("train", "a text").json()["event_id"]
    with served.http.stream(
        "GET", f"/call/train/{event}", headers={"accept-encoding": "br, gzip"}
    ) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data:"))
        assert (
            "content-encoding" not in stream.headers
            and "learning" in next(lines)
            and "learning" in next(lines)
        )
        served.go.set()
        assert "learned" in list(lines)[-1]


def test_an_event_does_not_load_pyplot(served, monkeypatch):
    """Gradio chooses a backend of matplotlib around every event, and loads it for the first, who
    waits; ours draw without one."""
    asked = []
    monkeypatch.setattr("matplotlib.use", lambda *what: asked.append(what))
    monkeypatch.setattr("matplotlib.get_backend", lambda *what: asked.append(what))
    assert "ABC" in served.answer("run", "abc") and not asked


def test_an_idle_page_sleeps(served, monkeypatch):
    """Nothing to do, and no task of the server wakes more than 100 times in a second in all; while
    somebody waits work is looked for more often.
    """
    naps, sleep = [], asyncio.sleep

    async def nap(seconds, *result):
        naps.append(seconds)
        await sleep(seconds, *result)

    time.sleep(0.2)
    monkeypatch.setattr(server.queueing.asyncio, "sleep", nap)
    time.sleep(1)
    monkeypatch.undo()
    assert (
        1 < naps.count(server.REST) <= len(naps) < 100
        and server.REST <= 0.1
        and not naps.count(server.LOOK)
    )
    served.lines.attend("somebody")
    assert served.lines.sleep_when_free == server.LOOK < server.REST
    served.lines.leave("somebody")


# ---------------------------------------------------------------- lines


def test_events_that_nobody_reads_stop_nobody(served, monkeypatch):
    """Thirty trainings whose answers nobody reads begin nothing, refuse nobody, and are gone after
    a while."""
    events = [served.post("train", f"unread {i}") for i in range(30)]
    assert {event.status_code for event in events} == {200}
    assert served.answer("run", "me") == 'data: ["ME"]'
    served.go.set()
    assert served.answer("train", "me") == 'data: ["learned"]' and served.started == ["me"]
    monkeypatch.setattr(server, "UNREAD", 0.0)
    served.lines.tidy()
    assert (
        not served.lines.unattended
        and not {event.json()["event_id"] for event in events}
        & served.lines.event_ids_to_events.keys()
    )
    # that of the last answer goes when it is read
    wait(lambda: not served.lines.event_ids_to_events)


def test_a_full_line_refuses_in_a_sentence(served):
    """One trains, as many wait as the line holds, the next is told so; who leaves makes room, and
    stops what they began. The other lines do not notice.
    """
    streams = [
        served.reading(f"/call/train/{served.post('train', str(i)).json()['event_id']}")
        for i in range(9)
    ]
    for i, stream in enumerate(streams):
        stream.__enter__()
        wait(lambda i=i: served.started == ["0"] and len(served.lines.waiting("train")) == i)
    assert served.started == ["0"] and len(served.lines.waiting("train")) == server.WAITING["train"]
    refused = served.post("train", "late")
    assert refused.status_code == 429 and "8 others wait" in refused.json()["detail"]
    assert served.answer("run", "me") == 'data: ["ME"]'
    streams[4].__exit__(None, None, None)
    wait(lambda: len(served.lines.waiting("train")) == 7)
    assert served.post("train", "late").status_code == 200
    streams[0].__exit__(None, None, None)
    wait(lambda: served.ended == ["0"] and served.started == ["0", "1"])
    for stream in streams[1:4] + streams[5:]:
        stream.__exit__(None, None, None)


def test_a_second_press_takes_the_place_of_the_first(served):
    """Of a visitor's presses that wait only the last is run; the others are answered with no
    change. Nobody who waits stands behind the second wish of one who wished twice.
    """
    with pressing(served, "other", "holds"):
        wait(lambda: served.started == ["holds"])
        with pressing(served, "one", "first") as answers:
            for text in ("second", "third"):
                assert served.join(text, 1, "a", session="one").status_code == 200
            wait(
                lambda: (
                    [event.data.data[1] for event in served.lines.waiting("sample")] == ["third"]
                )
            )
            served.go.set()
            done = [json.loads(line[6:]) for line in answers if "process_completed" in line]
    assert served.started == ["holds", "third"] and all(message["success"] for message in done)
    assert [message["output"]["data"][0] for message in done] == [{"__type__": "update"}] * 2 + [
        "THIRD"
    ]


def test_stop_takes_a_run_back_that_waits(served):
    """A press whose turn has not come is answered with no change and never run; those of others
    stay in their line."""
    with pressing(served, "other", "holds"):
        wait(lambda: served.started == ["holds"])
        with pressing(served, "one", "mine") as answers, pressing(served, "two", "theirs"):
            wait(lambda: len(served.lines.waiting("sample")) == 2)
            body = dict(data=[], fn_index=served.ids["withdraw"], session_hash="one")
            assert served.http.post("/run/withdraw", json=body).status_code == 200
            done = next(json.loads(line[6:]) for line in answers if "process_completed" in line)
            served.go.set()
            wait(lambda: served.started == ["holds", "theirs"])
    assert done["success"] and done["output"]["data"] == [{"__type__": "update"}] * 2


def test_a_question_while_the_last_stream_closes_is_answered(served):
    """A page closes its stream with an answer and opens another for its next question. The server
    may hear the question first."""
    served.go.set()
    served.lines.attend("typist")  # the stream of the last answer
    served.lines.active_jobs[:] = [[]] * len(served.lines.active_jobs)  # nobody's turn comes
    assert served.join("more", 1, "a", session="typist").status_code == 200
    served.lines.leave("typist")
    served.lines.active_jobs[:] = [None] * len(served.lines.active_jobs)
    with served.reading("/queue/data?session_hash=typist"):
        wait(lambda: served.started == ["more"])


def test_whoever_comes_back_finds_the_run_and_whoever_does_not_stops_it(served):
    """A run to which nobody listens goes on from one look to the next, and is stopped at that."""
    lines = served.lines
    event = served.post("train", "left").json()["event_id"]
    lines.attend(event)
    wait(lambda: served.started == ["left"])
    lines.leave(event), lines.tidy()
    assert not served.ended
    lines.attend(event), lines.tidy(), lines.leave(event), lines.tidy()
    time.sleep(0.2)
    assert not served.ended
    lines.tidy()
    wait(lambda: served.ended == ["left"])


@contextmanager
def pressing(served, session: str, text: str):
    """A page: it presses, then listens for the answers of its session."""
    assert served.join(text, 1, "a", session=session).status_code == 200
    with served.reading(f"/queue/data?session_hash={session}") as lines:
        yield lines


def test_a_line_is_fair(served):
    """The k-th event of a session stands behind the k-th of all others, whenever it came."""
    lines, order = served.lines, []
    wait(lambda: not any(lines.active_jobs) and not lines.everybody())
    for session, k in (("one", 1), ("one", 2), ("one", 3), ("two", 1), ("three", 1), ("two", 2)):
        lines.readers[session] = 1
        lines.active_jobs[:] = [[]] * len(lines.active_jobs)  # nobody's turn comes
        assert served.post("run", f"{session} {k}", session=session).status_code == 200
    order = [event.data.data[0] for event in lines.waiting("sample")]
    for session in ("one", "two", "three"):
        lines.readers[session] = 0
        let_go(lines)
    lines.active_jobs[:] = [None] * len(lines.active_jobs)
    assert order == ["one 1", "two 1", "three 1", "one 2", "two 2", "one 3"]


def test_one_session_cannot_fill_a_line(served):
    """It is told so in a sentence; another can still wait."""
    lines = served.lines
    lines.readers["greedy"] = 1
    lines.active_jobs[:] = [[]] * len(lines.active_jobs)  # nobody's turn comes
    answers = [served.post("run", "x", session="greedy") for _ in range(server.OWN + 2)]
    assert [answer.status_code for answer in answers] == [200] * server.OWN + [429] * 2
    assert (
        answers[-1].json()["detail"]
        == f"{server.OWN} of your runs wait already: wait for them, or stop one."
    )
    lines.active_jobs[:] = [None] * len(lines.active_jobs)
    assert served.answer("run", "me") == 'data: ["ME"]'
    lines.leave("greedy")


# ---------------------------------------------------------------- requests


def test_what_computes_is_reached_through_its_line(served):
    """`/run/` answers for what does not wait, and refuses the rest; gradio_client reaches all that
    is named."""
    assert served.http.post("/run/run", json={"data": ["x"]}).status_code == 404
    assert served.http.post("/run/train", json={"data": ["x"]}).status_code == 404
    assert (
        served.http.post(
            "/run/press", json={"data": [None, "x", 1, "a"], "fn_index": served.ids["press"]}
        ).status_code
        == 404
    )
    assert served.http.post("/run/quick", json={"data": []}).json()["data"] == ["quick"]
    client = Client(served.url, verbose=False)
    served.go.set()
    assert client.predict("me", api_name="/run") == "ME"
    assert list(client.submit("me", api_name="/train"))[-1] == "learned"


def test_a_large_request_is_refused(served):
    """Over BODY nothing is kept of it, whether its size is told or not; long values join no line
    that takes none."""
    big = json.dumps({"data": ["a" * server.BODY]}).encode()
    told = served.http.post("/call/run", content=big, headers={"content-type": "application/json"})
    parts = (big[i : i + 65536] for i in range(0, len(big), 65536))
    untold = served.http.post(
        "/call/run", content=parts, headers={"content-type": "application/json"}
    )
    assert told.status_code == untold.status_code == 413 and "bytes" in told.json()["detail"]
    assert served.post("run", "a" * (server.FIELDS + 1)).status_code == 429
    served.go.set()
    assert served.answer("train", "a" * (server.FIELDS + 1)) == 'data: ["learned"]'


@pytest.mark.parametrize(
    "path,body",
    [
        ("/call/run", b"{"),
        ("/call/run", b"[" * 100_000),
        ("/call/run", b'{"data": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
        ("/call/run", b'{"data": [' + b"9" * 5000 + b"]}"),
        ("/call/nothing", b'{"data": []}'),
        ("/call/v2/run", b"{}"),
        ("/call/v2/nothing", b"{}"),
        ("/call/v2/run", b'{"txt": 1}'),
        ("/call/run", b"\xff\xfe"),
        ("/call/run", b""),
        ("/queue/join", b'{"data": [], "fn_index": 99999, "session_hash": "x"}'),
        ("/queue/join", b'{"data": [], "fn_index": ' + b"9" * 400 + b', "session_hash": "x"}'),
        ("/queue/join", b'{"data": [], "fn_index": 0}'),
        ("/cancel", b"{}"),
        ("/run/quick", b'{"data": 1}'),
        ("/cancel", b'{"session_hash": "x", "fn_index": 1, "event_id": "y"}'),
        ("/reset", b"{}"),
        ("/upload", b"x"),
        (
            "/component_server",
            b'{"data": 1, "component_id": 1, "session_hash": "x", "fn_name": "y"}',
        ),
    ],
)
def test_a_request_that_cannot_be_read(served, path, body, capfd):
    """It is answered with a code and a word on it, and no traceback stands in the log."""
    answer = served.http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 404, 413, 422, 429) and len(answer.content) < 2000
    assert "Traceback" not in answer.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "data,words",
    [
        ([], "4 values and got 1"),
        (["x", "nine", "a"], "Nine: what was sent"),
        (["x", [1], "a"], "Nine: what"),
        (["x", 10**400, "a"], "does not fit"),
        (["x", 1, "c" * 5000], "does not fit"),
        ([{"path": "/etc/passwd"}, 1, ["a"]], "does not fit"),
        ([{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, 1, "a"], "does not fit"),
    ],
)
def test_a_value_that_no_field_has(served, data, words, capfd):
    """A page's handler that gets it answers in one short sentence, and no traceback stands in the
    log."""
    served.join(*data, session="fuzz")
    with served.reading("/queue/data?session_hash=fuzz") as lines:
        last = [line for line in lines if "process_completed" in line][-1]
    said = json.loads(last.removeprefix("data: "))["output"]["error"]
    assert (
        words in said
        and SENTENCE < len(said) < 200
        and "Traceback" not in "".join(capfd.readouterr())
    )


def test_what_goes_wrong_here_is_said(served, capfd):
    """The visitor gets a sentence without the error's own words; whoever runs the page finds them
    in the log."""
    said = served.answer("run", "wrong")
    assert (
        "not by your doing" in said
        and "KeyError" not in said
        and "KeyError" in "".join(capfd.readouterr())
    )


# ---------------------------------------------------------------- routes


def routes(found, prefix=""):
    """Every path that a FastAPI application answers, those of routers within it too."""
    for route in found:
        inner = getattr(route, "original_router", None)
        yield from routes(inner.routes) if inner is not None else [route.path]


def test_every_route_is_known(served):
    """Each of them was looked at: it is needed, or shut. A new one of another version of Gradio
    fails here."""
    found = set(routes(served.page.app.router.routes))
    assert found <= server.ROUTES | server.SHUT and not server.ROUTES & server.SHUT
    assert not any("run-history" in path for path in found)


def filled(path: str) -> str:
    """A path with something in the place of each parameter."""
    values = {
        "{api_name}": "run",
        "{session_hash}": "strange",
        "{event_id}": "none",
        "{path_or_url:path}": "/etc/passwd",
        "{key}": "k",
        "{path:path}": "x",
        "{url_path:path}": "https://huggingface.co/x",
    }
    for name, value in values.items():
        path = path.replace(name, value)
    return path.replace("{", "").replace("}", "")


def test_no_route_uses_the_owner_s_token(served, monkeypatch):
    """Whatever route is asked, by whoever looks local or carries the headers of a Space, no token
    is looked up and no other machine is asked; what is shut answers that there is nothing.
    """
    import huggingface_hub

    monkeypatch.setenv("HF_TOKEN", "hf_TheOwnersOwnToken")
    asked, real = [], socket.socket.connect

    def connect(self, address):
        if isinstance(address, tuple) and address[1] != served.port:
            asked.append(address)
            raise OSError("not in a test")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    utils = huggingface_hub.utils
    for module in (huggingface_hub, utils, utils._headers, utils._auth):
        if hasattr(module, "get_token"):
            monkeypatch.setattr(module, "get_token", lambda: asked.append("token"))
    headers = {
        "x-gradio-run-history-bucket": "owner/bucket",
        "x-forwarded-for": "127.0.0.1",
        "x-hf-authorization": "Bearer x",
    }
    history = {f"/gradio_api/run-history/{name}" for name in ("buckets", "connect")}
    for path in sorted(server.ROUTES | server.SHUT | history):
        for method in ("GET", "POST"):
            status, chunk = beginning(served, method, filled(path), headers)
            assert b"TheOwnersOwnToken" not in chunk
            if path in server.ROUTES:
                assert status < 500, path
            else:
                assert status == 404 and b"nothing at this address" in chunk, path
    assert not asked


def test_the_files_that_the_story_points_at_can_be_read(served):
    """As plain text, each file of the package, and nothing beside it."""
    for scene in story.SCENES:
        answer = served.http.get(f"{served.url}/source/{scene.file}")
        assert answer.status_code == 200, scene.file
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text == Path(scene.file).read_text("utf-8")
    for path in ("source/app.py", "source/tinydiff/../app.py", "source/tinydiff/%2e%2e/app.py"):
        assert served.http.get(f"{served.url}/{path}").status_code == 404, path


def beginning(served, method, path, headers):
    """The status of an answer, and its first bytes."""
    sent = dict(json={}) if method == "POST" else {}
    with served.http.stream(method, served.url + path, headers=headers, **sent) as got:
        return got.status_code, next(got.iter_bytes(), b"")


# ---------------------------------------------------------------- sessions

PROGRAM = """
from pathlib import Path
import gradio as gr
from tinydiff.ui import learn, server
from tinydiff.ui.session import Job, Session
with server.Page() as page:
    gr.Button()
session, lesson = Session(), learn.Lesson("to be or not to be, " * 200, "masked", 5.0)
session.file("mine.zip").write_text("secret")
learn.begun = lambda lesson, folder: (folder / "half.txt").write_text("secret")
learn.steps_of = lambda *_: iter([{}])
training = learn.learn(lesson, Job(), lambda *_: None)
next(training), next(training)
server.end_at_sigterm()
page.launch(prevent_thread_lock=True, quiet=True)
print("ready", flush=True)
page.block_thread()
"""


def test_nothing_stays_after_sigterm(tmp_path):
    """A visitor's download and a training in its middle are gone when the server is told to end,
    which it does at once."""
    env = {**os.environ, "TMPDIR": str(tmp_path), "GRADIO_ANALYTICS_ENABLED": "False"}
    program = Program("-c", PROGRAM, env=env)
    assert program.stdout.readline() == "ready\n"
    lying = [path for path in tmp_path.rglob("*") if path.is_file()]
    began = time.monotonic()
    program.send_signal(signal.SIGTERM)
    assert program.wait(30) == 143 and time.monotonic() - began < 20
    assert lying and not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_sessions_are_few_and_small(served, monkeypatch):
    """However many come, SESSIONS are remembered, without a copy of the widgets; those whose page
    is closed go after GRACE, with what they kept, and one that is open stays.
    """
    visits = served.page.app.state_holder
    visits.tidy(), visits.session_data.clear()
    desk = next(key for key, block in served.page.blocks.items() if isinstance(block, gr.State))
    with served.reading("/heartbeat/open") as beat:
        next(beat)
        for i in range(server.SESSIONS + 50):
            visits[f"session {i}"][desk]
            visits["open"][desk]
        assert len(visits.session_data) == server.SESSIONS and "open" in visits.session_data
        assert not visits["open"].config_values
        cleared, Kept.left = Kept.left, 0
        monkeypatch.setattr(server, "GRACE", -1.0)
        visits.tidy()
        assert (
            set(visits.session_data) == {"open"}
            and Kept.left == server.SESSIONS - 1
            and cleared >= 50
        )
    wait(lambda: not visits.streams["open"])
    visits.tidy()
    assert not visits.session_data
