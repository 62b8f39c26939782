"""Compression of what a visitor loads first, the page itself and its description: 1.6 MB, a sixth
of that compressed.

Gradio compresses files by their endings, and these answers have none. This is an ASGI layer between
the server and Gradio, installed where a page is launched, in theme.py.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from functools import lru_cache

KINDS = (b"text/html", b"application/json")
LEAST = 1024  # bytes that are worth it

Message = dict
App = Callable[
    [dict, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class Packed:
    """Answers of KINDS that come as a whole, as gzip where the browser takes it; what comes in
    pieces is a stream of events, of which each piece is awaited, and passes as it is.
    """

    def __init__(self, app: App):
        self.app = app

    async def __call__(self, scope: dict, receive, send) -> None:
        wanted = (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and b"gzip" in header(scope["headers"], b"accept-encoding")
        )
        if not wanted:
            return await self.app(scope, receive, send)
        waiting: list[Message] = []

        async def packed(message: Message) -> None:
            if message["type"] == "http.response.start" and worth_it(message["headers"]):
                waiting.append(message)  # until it is known whether the body is whole
                return
            if waiting:
                start = waiting.pop()
                if not message.get("more_body") and len(message.get("body", b"")) >= LEAST:
                    message = message | {"body": await asyncio.to_thread(gzip, message["body"])}
                    start = start | {
                        "headers": packed_headers(start["headers"], len(message["body"]))
                    }
                await send(start)
            await send(message)

        await self.app(scope, receive, packed)


def worth_it(headers: list[tuple[bytes, bytes]]) -> bool:
    return header(headers, b"content-type").startswith(KINDS) and not header(
        headers, b"content-encoding"
    )


def header(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Its value in lower case; empty where there is none."""
    return next((value.lower() for key, value in headers if key.lower() == name), b"")


def packed_headers(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """The headers of the packed answer."""
    kept = [(key, value) for key, value in headers if key.lower() != b"content-length"]
    more = [
        (b"content-encoding", b"gzip"),
        (b"content-length", str(length).encode()),
        (b"vary", b"accept-encoding"),
    ]
    return kept + more


@lru_cache(maxsize=2)
def gzip(body: bytes) -> bytes:
    """Packed once for all visitors: the page and its description are the same for each."""
    pack = zlib.compressobj(wbits=31)  # 15, and 16 for gzip's own head
    return pack.compress(body) + pack.flush()
