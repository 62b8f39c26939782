"""The cache of models that visitors trained: in memory, each under a secret that only its visitor's
session holds.

The cache is small and forgets: each model goes after an hour, and with the session that it belongs
to. Nobody's model makes room for another's: a full cache refuses the newcomer, before they have
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

NAME = "mine"  # as what menus and settings know the model of the visitor who asks
MOST, LIFE = 24, 3600  # models, of about a megabyte each with their archives; seconds
# of a checkpoint, what is kept
FILES = ("config.json", "model.safetensors", "metrics.jsonl", "README.md", "*.png")


@dataclass(frozen=True)
class VisitorModel:
    """A model that a visitor trained. archive: the checkpoint's files, zipped; session: Gradio's
    name for the visitor's session."""

    process: Process
    title: str
    archive: bytes = field(repr=False)
    session: str
    made: float = field(default_factory=time.monotonic)


class ModelCache:
    """The models of all visitors by their secrets."""

    def __init__(self):
        self.models: dict[str, VisitorModel] = {}
        self.lock = threading.Lock()

    def check_room(self, session: str) -> None:
        """Raises ValueError where there is no room for a model of this session."""
        with self.lock:
            self.expire()
            others = sum(model.session != session for model in self.models.values())
        if others >= MOST:
            raise ValueError(
                f"The page keeps {others} models for its visitors and has no room for "
                "another: try again later."
            )

    def add(self, model: VisitorModel) -> str:
        """The secret under which it can be found again; a session has one model, its newest. Raises
        ValueError where there is no room.
        """
        self.check_room(model.session)
        secret = secrets.token_urlsafe(24)
        self.forget(model.session)
        with self.lock:
            self.models[secret] = model
        return secret

    def find(self, secret: str) -> VisitorModel | None:
        with self.lock:
            self.expire()
            return self.models.get(secret)

    def forget(self, session: str) -> None:
        """Remove the model of a session."""
        self.keep_only(lambda secret, model: model.session != session)

    def remove(self, secret: str) -> None:
        self.keep_only(lambda known, model: known != secret)

    def keep_only(self, wanted) -> None:
        with self.lock:
            self.models = {s: model for s, model in self.models.items() if wanted(s, model)}

    def expire(self) -> None:
        """Remove what is too old; whoever calls it holds the lock."""
        now = time.monotonic()
        self.models = {s: model for s, model in self.models.items() if now - model.made < LIFE}


CACHE = ModelCache()


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
