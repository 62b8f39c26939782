"""Finished runs, kept in memory: who asks for what an earlier visitor asked for is played theirs.

A run is known again by its settings and the weights that it was made with, since the same seed
writes the same text. Runs are kept packed, those used longest ago go first, and all together they
take no more than BYTES. What a visitor's own model wrote is nobody else's, and is not kept.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable

from tinydiff import guides
from tinydiff.options import Choice
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS
from tinydiff.store import catalogue
from tinydiff.ui import visitor_models

BYTES = 64 << 20  # a run of 64 steps and 256 places takes 0.1 MB


class Memory:
    """Values as JSON by their keys, at most so many bytes of them."""

    def __init__(self, most: int = BYTES):
        self.most, self.size = most, 0
        self.runs: OrderedDict[str, bytes] = OrderedDict()
        self.lock = threading.Lock()

    def __contains__(self, key: str | None) -> bool:
        return key in self.runs

    def keep(self, key: str | None, value: object) -> None:
        """Remember a value of plain JSON, and forget the longest unused where there is no room; a
        key that is None is nobody's, and a value that is larger than all the room is left out."""
        if key is None:
            return
        packed = zlib.compress(json.dumps(value).encode(), 1)
        with self.lock:
            self.size -= len(self.runs.pop(key, b""))
            if len(packed) > self.most:
                return
            self.runs[key] = packed
            self.size += len(packed)
            while self.size > self.most:
                self.size -= len(self.runs.popitem(last=False)[1])

    def find(self, key: str | None) -> object | None:
        """A copy of the value, with lists for tuples; None where it is not remembered."""
        with self.lock:
            packed = self.runs.get(key)
            if packed is None:
                return None
            self.runs.move_to_end(key)
        return json.loads(zlib.decompress(packed))


MEMORY = Memory()


def key(tab: str, requests: Iterable[Request]) -> str | None:
    """By what a run of a tab is known again; None for one that is not to be remembered."""
    parts = []
    for request in requests:
        names = [request.settings[name] for name in ("model", *guides.models())]
        weights = [made_of(name) for name in names if name]
        if None in weights or not request.linked:
            return None
        parts.append([spelled_out(request), list(request.canvas.tokens.shape), weights])
    return json.dumps([tab, parts], sort_keys=True)


def made_of(model: str) -> str | None:
    """The weights of a model: their hash, or the commit of the Hub that its key names; None for a
    visitor's own."""
    if model == visitor_models.NAME:
        return None
    return model if catalogue.of_hub(model) else catalogue.fingerprint(model)


def spelled_out(request: Request) -> dict:
    """Its settings without the options that are as they usually are, which fields name and links
    leave out."""
    settings, process = request.settings, request.process
    known = SAMPLERS[settings["sampler"]].options

    def usual(name: str) -> object:
        default, span = known[name]
        values = span.of(process) if default is None and isinstance(span, Choice) else ()
        return next(iter(values), default)

    told = {name: v for name, v in settings["options"].items() if v != usual(name)}
    return {name: v for name, v in settings.items() if v is not None} | {"options": told}
