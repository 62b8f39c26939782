"""Every endpoint of the page and every link, asked for nonsense: each answers with a sentence, and
no traceback stands in the log.

The page is served as `app.py` serves it. A small part, always the same, is tried each time; `make
test-long` tries twenty times as much.
"""

import gc
import io
import json
import random
import shutil
import socket
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import gradio as gr
import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tinydiff import recipes
from tinydiff.show import render
from tinydiff.ui import race, request, server
from tinydiff.ui.session import Session

DEEP = "[" * 400 + "]" * 400
NONSENSE = [
    None,
    True,
    "",
    "x",
    "\0",
    "é" * 70,
    "<b>x</b>",
    "../../etc/passwd",
    "a" * 5000,
    -1,
    0,
    1,
    2.5,
    1e308,
    10**400,
    -(10**400),
    [],
    {},
    [[]],
    [1, 2, 3],
    ["masked"],
    {"a": 1},
    json.loads("[" * 150 + "]" * 150),
    {"path": "/etc/passwd"},
    "nan",
    "user/name",
    "masked",
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"__type__": "update", "value": 1},
    "perfect-masked",
    "length",
]
SETTINGS = [
    "model",
    "sampler",
    "steps",
    "length",
    "temperature",
    "top_p",
    "top_k",
    "guidance",
    "self_conditioning",
    "label",
    "spacing",
    "seed",
    "prompt",
    "template",
    "options",
    "strange",
]
QUERIES = [
    "9" * 400,
    "-" + "9" * 5000,
    DEEP,
    "[" * 20_000,
    '{"a":' * 900,
    "nan",
    "1e999",
    "\ud7ff",
    '{"sweeps": [1]}',
    "true",
    "x" * 3000,
]


@pytest.fixture(scope="module")
def whole():
    """The whole page on a port of this machine: its address, its functions, and what it writes to
    stderr from now on."""
    import app

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    app.demo.launch(
        **app.LAUNCH,
        prevent_thread_lock=True,
        quiet=True,
        server_name="127.0.0.1",
        server_port=port,
    )
    yield app.demo, f"http://127.0.0.1:{port}/gradio_api"
    app.demo.close(verbose=False)


def said(client: httpx.Client, fn, data: list, session: str) -> str | None:
    """What a function answers at last: a sentence, or None where it took the values."""
    body = dict(data=data, fn_index=fn._id, session_hash=session)
    if not fn.queue:
        answer = client.post(f"/run/{fn.api_name}", json=body).json()
        return answer.get("error") if "error" in answer else answer.get("detail")
    answer = client.post(
        "/queue/join", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    if answer.status_code != 200:
        return answer.json()["detail"]
    with client.stream("GET", f"/queue/data?session_hash={session}") as stream:
        for line in stream.iter_lines():
            if "process_completed" in line:
                return (json.loads(line[6:])["output"] or {}).get("error")
            if "process_generating" in line:  # it was taken, and works
                client.post(
                    "/cancel",
                    json=dict(
                        session_hash=session, fn_index=fn._id, event_id=answer.json()["event_id"]
                    ),
                )
                return None
    return "closed"


def wishes(functions: list, rng: random.Random, count: int):
    """(function, values) with nonsense in the place of some or all values."""
    for k in range(count):
        fn = functions[k % len(functions)]
        data = [rng.choice(NONSENSE) for _ in fn.inputs]
        if fn.api_name == "denoise":
            data = [
                rng.choice([{rng.choice(SETTINGS): rng.choice(NONSENSE)}, rng.choice(NONSENSE)])
            ]
        yield fn, data[: rng.choice([len(data)] * 5 + [max(0, len(data) - 1)])]


def fuzzed(whole, seed: int, count: int, monkeypatch) -> list:
    """All that was answered; fails where it is no sentence or a traceback was written."""
    demo, url = whole
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log), monkeypatch.setattr(sys, "stdout", log)
    functions = [fn for fn in demo.fns.values() if fn.fn is not None and not fn.cancels]
    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor(2) as pool:
        asked = list(wishes(functions, random.Random(seed), count))
        answers = list(
            pool.map(lambda i: said(client, *asked[i], f"fuzz-{seed}-{i}"), range(count))
        )
    monkeypatch.undo()
    for (fn, data), words in zip(asked, answers):
        assert "Traceback" not in log.getvalue(), (
            fn.name,
            repr(data)[:300],
            "".join(log.getvalue().split("Traceback")[1:3])[:3000],
        )
        if words is not None:
            assert (
                isinstance(words, str)
                and 10 < len(words) < 700
                and "not by your doing" not in words
            ), (
                fn.name,
                repr(data)[:300],
                words,
            )
    return answers


def test_nonsense_is_answered_in_a_sentence(whole, monkeypatch):
    """Each function of the page once or twice."""
    answers = fuzzed(whole, 1, 90, monkeypatch)
    assert sum(words is not None for words in answers) > 30


def test_nothing_in_the_place_of_a_value(whole, monkeypatch):
    """Each function of the page, called with nothing at all in each field, answers in a sentence or
    takes it."""
    demo, url = whole
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log), monkeypatch.setattr(sys, "stdout", log)
    functions = [
        fn for fn in demo.fns.values() if fn.fn is not None and not fn.cancels and fn.inputs
    ]
    with httpx.Client(base_url=url, timeout=120) as client:
        asked = [(fn, nothing) for fn in functions for nothing in (None, "")]
        answers = {
            (fn.name, nothing): said(client, fn, [nothing] * len(fn.inputs), f"{nothing}-{fn._id}")
            for fn, nothing in asked
        }
    monkeypatch.undo()
    assert "Traceback" not in log.getvalue(), log.getvalue()[-3000:]
    assert not [name for name, words in answers.items() if words and "not by your doing" in words]


def test_lists_in_the_place_of_a_choice():
    """A menu takes a list of its choices for one of them; the handlers do not."""
    for call, values in (
        (race.entered, (Session(), ["masked"])),
        (race.chosen, ("masked", ["ancestral"])),
    ):
        with pytest.raises(gr.Error, match="There is no|give a text"):
            call(*values)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_much_nonsense_is_answered_in_a_sentence(whole, seed, monkeypatch):
    """Each function thirty times for each seed."""
    fuzzed(whole, 100 + seed, 1800, monkeypatch)


def test_links_of_nonsense(whole, monkeypatch):
    """Opened with a link that holds no settings the page says so in a sentence, and is not gone."""
    demo, url = whole
    opened = next(fn for fn in demo.fns.values() if fn.name == "opened")
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with httpx.Client(base_url=url, timeout=120) as client:
        for i, (name, value) in enumerate(
            (name, value) for name in ("options", "steps", "seed", "template") for value in QUERIES
        ):
            body = dict(
                data=[None] * len(opened.inputs), fn_index=opened._id, session_hash=f"link-{i}"
            )
            referer = {"referer": f"{url.removesuffix('/gradio_api')}/?{urlencode({name: value})}"}
            event = client.post(
                f"/queue/join?{urlencode({name: value})}", json=body, headers=referer
            )
            assert event.status_code == 200, event.text
            with client.stream("GET", f"/queue/data?session_hash=link-{i}") as stream:
                done = next(
                    json.loads(line[6:])
                    for line in stream.iter_lines()
                    if "process_completed" in line
                )
            if not done["success"]:
                words = done["output"]["error"]
                assert 10 < len(words) < 700 and "not by your doing" not in words, (
                    name,
                    value[:50],
                    words,
                )
    monkeypatch.undo()
    assert "Traceback" not in log.getvalue(), log.getvalue()[-3000:]


def test_three_hundred_visitors_leave_nothing(whole):
    """The sessions of three hundred visitors of the whole page take a tenth of a megabyte each at
    the most, no more than SESSIONS of them are kept, and when three hundred others have come no
    more is held than before.
    """
    demo, _ = whole
    visits = demo.app.state_holder
    states = [key for key, block in demo.blocks.items() if block.get_block_name() == "state"]

    def come(name: str) -> int:
        for i in range(300):
            for key in states:
                visits[f"{name} {i}"][key]
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    first, second = come("one"), come("other")
    tracemalloc.stop()
    assert len(visits.session_data) == server.SESSIONS
    assert first - before < server.SESSIONS * 1e5 and second - first < 1e6


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_a_run_as_a_call_of_the_page(whole):
    """The two commands for a shell, run as they are: the last value that comes holds the text of
    the run itself, whatever stands in its prompt."""
    _, url = whole
    base = url.removesuffix("/gradio_api")
    for prompt in ('it\'s "said" $HOME `ls` \\n', "Once\nupon 日本"):
        asked = request.read({"prompt": prompt, "steps": 2, "length": 40, "seed": 3})
        commands = recipes.curl(asked, base, request.opening())
        told = subprocess.run(["sh", "-c", commands], capture_output=True, timeout=120, check=True)
        lines = [line for line in told.stdout.decode().splitlines() if line.startswith("data: [")]
        end = render.unpack(json.loads(lines[-1][6:])[0]).frames[-1].text
        *_, frame = asked.frames()
        assert end == "".join(asked.process.tokenizer.signs[i] for i in frame.tokens[0])


def test_a_sweep_over_the_api(whole):
    """As the documents call it: progress comes, and at last rows, means and both as CSV."""
    _, url = whole
    client = Client(url.removesuffix("/gradio_api"), verbose=False)
    job = client.submit(["Once"], [1, 2], ["ancestral"], [1, 2], {"length": 20}, api_name="/sweep")
    *before, last = job
    assert before[0] == {"done": 0, "of": 4} and last["done"] == len(last["rows"]) == 4
    assert [m["seeds"] for m in last["summary"]] == [2, 2]
    assert last["csv"].count("\n") >= 5
    with pytest.raises(AppError, match="64 at the most"):
        client.predict(["a"] * 65, [1], ["ancestral"], [1], {}, api_name="/sweep")
