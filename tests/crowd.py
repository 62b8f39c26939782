"""A crowd at the page, on this machine: `python -m tests.crowd URL --visitors 80 --seconds 120
--pid SERVER` prints what it met.

Every visitor opens the page, presses Generate with the usual settings and a seed of their own,
watches until the text is there, thinks, and presses again; who is refused presses again after two
seconds.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import time
from pathlib import Path

import httpx

THINK, AGAIN = 5.0, 2.0  # seconds


class Crowd:
    """What all of them met."""

    def __init__(self, url: str, seconds: float, steps: int = 0):
        self.url, self.end, self.steps = url, time.monotonic() + seconds, steps
        self.first, self.texts, self.refused, self.broken, self.never = [], 0, 0, 0, 0

    async def visitor(self, client: httpx.AsyncClient, start: dict, delay: float) -> None:
        await asyncio.sleep(delay)
        session = secrets.token_hex(6)
        beat = asyncio.create_task(self.beat(client, session))
        pressed, seen = time.monotonic(), False
        try:
            while time.monotonic() < self.end:
                body = dict(data=start["data"], fn_index=start["id"], session_hash=session)
                answer = await client.post("/gradio_api/queue/join", json=body)
                if answer.status_code != 200:
                    self.refused += 1
                    await asyncio.sleep(AGAIN)
                    continue
                came = await asyncio.wait_for(
                    self.watch(client, session), max(0.1, self.end - time.monotonic())
                )
                if came and not seen:
                    seen = True
                    self.first.append(came - pressed)
                self.texts += came is not None
                await asyncio.sleep(THINK)
        except (asyncio.TimeoutError, TimeoutError, httpx.HTTPError) as error:
            self.broken += isinstance(error, httpx.HTTPError)
        finally:
            self.never += not seen
            beat.cancel()

    async def watch(self, client: httpx.AsyncClient, session: str) -> float | None:
        """Until the text is there; when its first picture was."""
        first = None
        async with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
            async for line in stream.aiter_lines():
                if "process_generating" in line and first is None:
                    first = time.monotonic()
                if "process_completed" in line:
                    return first
        return first

    async def beat(self, client: httpx.AsyncClient, session: str) -> None:
        async with client.stream("GET", f"/gradio_api/heartbeat/{session}") as stream:
            async for _ in stream.aiter_lines():
                pass

    async def run(self, visitors: int) -> dict:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(base_url=self.url, timeout=None, limits=limits) as client:
            config = (await client.get("/config")).json()
            found = next(d for d in config["dependencies"] if d["api_name"] == "run_denoise")
            steps = next(
                (c["id"] for c in config["components"] if c["props"].get("elem_id") == "steps"),
                None,
            )
            held = {c["id"]: c["props"].get("value") for c in config["components"]}
            held[steps] = self.steps or held[steps]
            start = dict(id=found["id"], data=[held.get(i) for i in found["inputs"]])
            await asyncio.gather(*(self.visitor(client, start, i * 0.05) for i in range(visitors)))
        first = sorted(self.first)
        return dict(
            first_picture_median_s=round(statistics.median(first), 2) if first else None,
            shown=len(first),
            never=self.never,
            texts=self.texts,
            refused=self.refused,
            broken=self.broken,
        )


def memory(pid: int) -> float:
    """MB that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    for name, usual in (("visitors", 80), ("seconds", 120), ("steps", 0), ("pid", 0)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    before = memory(args.pid) if args.pid else 0.0
    alone = asyncio.run(Crowd(args.url, 20, args.steps).run(1))
    met = asyncio.run(Crowd(args.url, args.seconds, args.steps).run(args.visitors))
    after = memory(args.pid) if args.pid else 0.0
    print(
        json.dumps(
            dict(
                alone=alone["first_picture_median_s"],
                **met,
                memory_before=round(before),
                memory_after=round(after),
            )
        )
    )


if __name__ == "__main__":
    main()
