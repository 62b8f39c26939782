"""A crowd at the page, on this machine: `python -m tests.crowd URL --visitors 100 --same 30
--within 60 --pid SERVER` prints what it met.

Each visitor opens the page, as a browser does, and presses the button of the first tab at a moment
of their own, some with the settings that the page opens with, the others with a seed of their own;
they watch until the text is there, and close the page. An answer is the first that is shown: the
place in the line, or text.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from gradio_client.utils import apply_diff

REST = 75.0  # seconds in which the server forgets who has left
PATIENCE = 600.0  # seconds after which a visitor is said to have got nothing


@dataclass
class Visit:
    """What one visitor met. Times are seconds after the press."""

    same: bool  # with the settings of the opening
    answered: float | None = None  # the place, or text
    text: float | None = None  # the first picture of a text
    done: float | None = None
    places: list[str] = field(default_factory=list)  # that were shown, in their order
    places_at: list[float] = field(default_factory=list)
    value: dict = field(default_factory=dict)  # the last run that was shown
    failed: str = ""

    @property
    def ordered(self) -> bool:
        """Are the pictures those of the steps from the first to the last, each once?"""
        steps = [p["step"] for chunk in self.value.get("chunks", ()) for p in json.loads(chunk)]
        return bool(steps) and steps == list(range(len(steps)))


class Page:
    """What a browser knows of the page: the event of the button, and the values of the fields."""

    def __init__(self, config: dict):
        self.events = {d["api_name"]: d for d in config["dependencies"]}
        self.held = {c["id"]: c["props"].get("value") for c in config["components"]}
        named = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
        self.named = named

    def body(self, session: str, event: str, **values) -> dict:
        """What is sent when the event happens; values: in the place of fields', by their names."""
        found = self.events[event]
        held = self.held | {self.named[name]: value for name, value in values.items()}
        data = [held.get(i) for i in found["inputs"]]
        return dict(data=data, fn_index=found["id"], session_hash=session)


@asynccontextmanager
async def opened(client: httpx.AsyncClient, page: Page) -> AsyncIterator[str]:
    """The page, from its first request to its last: the name of its session."""
    (await client.get("/")).raise_for_status()
    session = secrets.token_hex(6)

    async def beat() -> None:
        async with client.stream("GET", f"/gradio_api/heartbeat/{session}") as stream:
            async for _ in stream.aiter_lines():
                pass

    beating = asyncio.create_task(beat())
    try:
        for event in ("opened", "linked"):
            await heard(client, page.body(session, event))
        yield session
    finally:
        beating.cancel()


async def heard(client: httpx.AsyncClient, body: dict) -> None:
    """An event whose answer is waited for, and not looked at."""
    async for _ in answers(client, body):
        pass


async def answers(client: httpx.AsyncClient, body: dict) -> AsyncIterator[object]:
    """The values of the first output of an event, one after the other. Raises ValueError with the
    sentence where it is refused."""
    answer = await client.post("/gradio_api/queue/join", json=body)
    if answer.status_code != 200:
        raise ValueError(answer.text)
    done, before, path = False, None, f"/gradio_api/queue/data?session_hash={body['session_hash']}"
    async with client.stream("GET", path) as stream:
        async for line in stream.aiter_lines():
            message = json.loads(line[6:]) if line.startswith("data: ") else {}
            kind, output = message.get("msg"), message.get("output") or {}
            if kind == "process_generating":
                value = output["data"][0]
                before = value if before is None else apply_diff(before, value)
                yield before
            elif kind == "process_completed":
                if not message["success"]:
                    raise ValueError(output.get("error"))
                if output.get("data"):
                    yield output["data"][0]
                done = True
    if not done:
        raise ValueError("The stream of answers ended before the last of them.")


async def visit(
    client: httpx.AsyncClient, page: Page, same: bool, values: dict, wait: float
) -> Visit:
    """Open the page, wait, press, watch, close. values: of fields that are changed before."""
    met = Visit(same)
    try:
        async with opened(client, page) as session:
            await asyncio.sleep(wait)
            body = page.body(session, "run_denoise", **values)
            await asyncio.wait_for(watch(client, body, met), PATIENCE)
    except (ValueError, httpx.HTTPError, asyncio.TimeoutError, TimeoutError) as error:
        met.failed = f"{type(error).__name__}: {error}"
    return met


async def watch(client: httpx.AsyncClient, body: dict, met: Visit) -> None:
    """Press, and note what is shown."""
    pressed = time.monotonic()
    async for value in answers(client, body):
        passed = time.monotonic() - pressed
        met.answered = passed if met.answered is None else met.answered
        if value.get("waiting"):
            met.places.append(value["waiting"])
            met.places_at.append(passed)
        elif "chunks" in value:
            met.text = passed if met.text is None else met.text
            met.value = value
    if not met.value.get("done"):
        raise ValueError("The text was not finished.")
    met.done = time.monotonic() - pressed


async def crowd(url: str, visitors: int, same: int, within: float, **values) -> list[Visit]:
    """So many visitors, of whom `same`, evenly among the others, press with the opening's settings;
    all of them press within so many seconds. values: what the others choose beside a seed."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:
        page = Page((await client.get("/config")).json())

        async def come(i: int) -> Visit:
            await asyncio.sleep(within * i / visitors)
            opening = i * same // visitors != (i + 1) * same // visitors  # evenly among the others
            own = {} if opening else values | {"seed": 1000 + i}
            return await visit(client, page, opening, own, within / visitors)

        return await asyncio.gather(*(come(i) for i in range(visitors)))


def share(values: list[float], part: float) -> float:
    """The value below which that part of them lies; infinite where one is missing there."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("inf")


def told(visits: list[Visit]) -> dict:
    """The figures of a crowd, in seconds."""
    answered = [met.answered if met.answered is not None else float("inf") for met in visits]
    again = [met.done for met in visits if met.same and met.done is not None]
    own = [met.done for met in visits if not met.same and met.done is not None]
    figures = dict(
        answered_median=share(answered, 0.5),
        answered_99=share(answered, 0.99),
        answered_last=max(answered),
        opening_done_median=share(again, 0.5),
        opening_done_last=max(again, default=0.0),
        own_done_median=share(own, 0.5),
        own_done_last=max(own, default=0.0),
    )
    return {name: round(value, 2) for name, value in figures.items()} | dict(
        visitors=len(visits),
        waited=sum(bool(met.places) for met in visits),
        texts=sum(met.done is not None for met in visits),
        failed=[met.failed for met in visits if met.failed],
        disordered=sum(met.done is not None and not met.ordered for met in visits),
    )


def memory(pid: int) -> float:
    """MB that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("url")
    for name, usual in (
        ("visitors", 100),
        ("same", 30),
        ("within", 60),
        ("steps", 0),  # that the others take; 0: as many as the page opens with
        ("pid", 0),
    ):
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    own = {"steps": args.steps} if args.steps else {}
    asyncio.run(crowd(args.url, 1, 0, 0))  # so that nobody of the crowd is the very first
    before = memory(args.pid) if args.pid else 0.0
    visits = asyncio.run(crowd(args.url, args.visitors, args.same, args.within, **own))
    after = memory(args.pid) if args.pid else 0.0
    figures = told(visits)
    if args.pid:
        time.sleep(REST)
        held = dict(before=before, after=after, rested=memory(args.pid))
        figures |= {f"memory_{when}_mb": round(much) for when, much in held.items()}
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
