"""Many visitors at once, through gradio_client: nobody crashes, nobody sees another's text, and the
server forgets them."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from tinydiff.show import render

# writers, leavers, learners; what one learner sees is looked at in test_learn
CROWDS = [(4, 1, 0), pytest.param((15, 3, 2), marks=pytest.mark.long)]
PROMPTS = [f"VISITOR {chr(65 + i)} SAYS:" for i in range(15)]
TEXT = "the quick brown fox jumps over the lazy dog; the dog sleeps on. " * 60
# bytes that the server may keep of a crowd; of twenty 3 to 55 MiB were measured, of 700
SPARE = 96 * 2**20


class Tab:
    """A page in a browser, as the server knows it: a session, events that join the queue, one
    stream that brings the answers."""

    def __init__(self, url: str, names: dict | None = None):
        self.client, self.session = httpx.Client(base_url=url, timeout=60), secrets.token_hex(6)
        self.names = names or {
            d["api_name"]: d["id"] for d in self.client.get("/config").json()["dependencies"]
        }

    def ask(self, name: str, *data) -> httpx.Response:
        body = dict(data=data, fn_index=self.names[name], session_hash=self.session)
        return self.client.post("/gradio_api/queue/join", json=body)

    def close_after(self, messages: int) -> None:
        """Watch until so many answers have come, and close."""
        with self.client.stream(
            "GET", "/gradio_api/queue/data", params={"session_hash": self.session}
        ) as stream:
            came = (line for line in stream.iter_lines() if "process_generating" in line)
            assert len(list(islice(came, messages))) == messages
        self.client.close()


def wish(i: int) -> dict:
    return dict(model="masked", prompt=PROMPTS[i], seed=i, steps=32, length=128)


def written(client: Client, settings: dict) -> str:
    """The text that a visitor gets."""
    *_, value = client.submit(settings, api_name="/denoise")
    return render.unpack(value).frames[-1].text


def leave(url: str) -> None:
    """Ask for a long text, see it begin, and close the tab."""
    tab = Tab(url)
    assert tab.ask("denoise", dict(model="masked", steps=256, length=1024)).status_code == 200
    tab.close_after(1)


def taught(client: Client) -> list[dict]:
    """Everything that is shown of a training."""
    return list(client.submit(TEXT, "masked", 0.1, api_name="/train"))


def storm(
    server, clients: list[Client], writers: int, leavers: int
) -> tuple[list[str], list[list[dict]]]:
    """All at once: the texts of the writers, what the learners saw."""
    with ThreadPoolExecutor(len(clients) + leavers) as crowd:
        lessons = [crowd.submit(taught, client) for client in clients[writers:]]
        gone = [crowd.submit(leave, server.url) for _ in range(leavers)]
        texts = [
            crowd.submit(written, client, wish(i)) for i, client in enumerate(clients[:writers])
        ]
        assert all(leaver.result(120) is None for leaver in gone)
        return [text.result(120) for text in texts], [lesson.result(120) for lesson in lessons]


@pytest.mark.parametrize("crowd", CROWDS)
def test_many_visitors_at_once(server, crowd):
    """Some write, some close in the middle, some train. Each writer gets the very text of a visitor
    who is alone; the learners see their own characters; runs that nobody watches stop, and memory
    and the disk are as they were after the first crowd.
    """
    writers, leavers, learners = crowd
    with ThreadPoolExecutor(4) as pool:
        clients = list(
            pool.map(lambda _: Client(server.url, verbose=False), range(writers + learners))
        )
    alone = [written(clients[i], wish(i)) for i in range(writers)]
    assert (
        all(text.startswith(prompt) for text, prompt in zip(alone, PROMPTS))
        and len(set(alone)) == writers
    )
    levels = []
    for _ in range(2):
        texts, lessons = storm(server, clients, writers, leavers)
        assert texts == alone
        for values in lessons:
            shown = [
                text for value in values for sample in value["samples"] for text in sample["texts"]
            ]
            assert values[-1]["state"] == "done" and shown and set("".join(shown)) <= set(TEXT)
        quiet(server)
        levels.append(server.memory())
    print(
        f"memory after {sum(crowd)} visitors {levels[0] / 2**20:.0f} MiB, after as many more "
        f"{levels[1] / 2**20:.0f} MiB"
    )
    assert levels[1] - levels[0] < SPARE


def quiet(server) -> None:
    """Wait until nothing is computed and nothing of a training lies on the disk."""
    end = time.monotonic() + 30
    while server.busy(0.5) > 0.2 or list(Path(server.place).glob("tinydiff-*")):
        assert time.monotonic() < end, "Somebody's run goes on."


@pytest.mark.long
def test_a_closed_tab_leaves_nothing(server):
    """Who closes the tab while a model learns leaves no file and no work behind, and the next one
    can train at once."""
    tab = Tab(server.url)
    assert tab.ask("train", TEXT, "masked", 5, "characters").status_code == 200
    tab.close_after(4)
    quiet(server)
    assert taught(Client(server.url, verbose=False))[-1]["state"] == "done"


def test_nobody_is_refused_while_one_holds_the_line(server):
    """A visitor may have eight runs waiting, and is told so; visitors who never come for their
    answers hold nobody up; the next one gets their text.
    """
    greedy, long = Tab(server.url), dict(model="masked", steps=128, length=256)
    codes = [greedy.ask("denoise", long).status_code]
    with greedy.client.stream(
        "GET", "/gradio_api/queue/data", params={"session_hash": greedy.session}
    ) as stream:
        listening = stream.iter_lines()
        next(listening)
        while (
            429 not in codes and len(codes) < 30
        ):  # eight wait; some are being written, and some are done meanwhile
            codes.append((over := greedy.ask("denoise", long)).status_code)
        assert codes == [200] * (len(codes) - 1) + [429] and len(codes) > 8
        assert "wait" in over.json()["detail"] and "\n" not in over.json()["detail"]
        strangers = [Tab(server.url, greedy.names).ask("denoise", long) for _ in range(26)]
        assert {answer.status_code for answer in strangers} == {200}
        assert written(Client(server.url, verbose=False), wish(0)).startswith(PROMPTS[0])
    quiet(server)
