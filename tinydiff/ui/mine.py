"""What visitors trained, kept in memory: each model under a secret that only its visitor's session holds.

The shelf is small and forgets: the oldest goes when it is full, each goes after an hour, and
with the session that it belongs to.
"""

from __future__ import annotations

import io
import secrets
import threading
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from tinydiff.processes import Process

NAME = "mine"  # as what the model menus and the settings know the model of the visitor who asks
MOST, LIFE = 8, 3600  # models, seconds
FILES = ("config.json", "model.safetensors", "metrics.jsonl", "README.md", "*.png")  # of a checkpoint, what is kept


@dataclass(frozen=True)
class Own:
    """A model that a visitor trained. archive: the checkpoint's files, zipped."""

    process: Process
    title: str
    archive: bytes = field(repr=False)
    session: str
    made: float = field(default_factory=time.monotonic)


class Shelf:
    """The models of all visitors by their secrets."""

    def __init__(self):
        self.models: dict[str, Own] = {}
        self.lock = threading.Lock()

    def keep(self, own: Own) -> str:
        """The secret under which it can be found again; a session has one model, its newest."""
        secret = secrets.token_urlsafe(24)
        self.forget(own.session)
        with self.lock:
            self.tidy(room=1)
            self.models[secret] = own
        return secret

    def find(self, secret: str) -> Own | None:
        with self.lock:
            self.tidy()
            return self.models.get(secret)

    def forget(self, session: str) -> None:
        """A session has ended."""
        with self.lock:
            self.models = {secret: own for secret, own in self.models.items() if own.session != session}

    def tidy(self, room: int = 0) -> None:
        """Take down what is too old, and the oldest until there is room."""
        young = [(secret, own) for secret, own in self.models.items() if time.monotonic() - own.made < LIFE]
        self.models = dict(young[max(0, len(young) + room - MOST) :])


SHELF = Shelf()


def packed(folder: Path) -> bytes:
    """The files of a checkpoint as a zip."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (path for pattern in FILES for path in folder.glob(pattern)):
            archive.write(path, path.name)
    return whole.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Write what `packed` took."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(folder)
