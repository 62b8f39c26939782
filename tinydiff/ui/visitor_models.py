"""What visitors trained, kept in memory: each model under a secret that only its visitor's session
holds.

The shelf is small and forgets: each model goes after an hour, and with the visit that it belongs
to. Nobody's model makes room for another's: a full shelf refuses the newcomer, before they have
trained.
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
MOST, LIFE = 24, 3600  # models, of about a megabyte each with their archives; seconds
# of a checkpoint, what is kept
FILES = (
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "README.md",
    "*.png",
)


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

    def check(self, session: str) -> None:
        """Raises ValueError where there is no room for a model of this session."""
        with self.lock:
            self.tidy()
            others = sum(own.session != session for own in self.models.values())
        if others >= MOST:
            raise ValueError(
                f"The page keeps {others} models for its visitors and has no room for "
                "another: try again later."
            )

    def keep(self, own: Own) -> str:
        """The secret under which it can be found again; a session has one model, its newest. Raises
        ValueError where there is no room.
        """
        self.check(own.session)
        secret = secrets.token_urlsafe(24)
        self.forget(own.session)
        with self.lock:
            self.models[secret] = own
        return secret

    def find(self, secret: str) -> Own | None:
        with self.lock:
            self.tidy()
            return self.models.get(secret)

    def forget(self, session: str) -> None:
        """A session has ended."""
        with self.lock:
            self.models = {
                secret: own for secret, own in self.models.items() if own.session != session
            }

    def drop(self, secret: str) -> None:
        """A visitor has left."""
        with self.lock:
            self.models.pop(secret, None)

    def tidy(self) -> None:
        """Take down what is too old."""
        now = time.monotonic()
        self.models = {secret: own for secret, own in self.models.items() if now - own.made < LIFE}


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
