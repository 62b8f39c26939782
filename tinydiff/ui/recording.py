"""The recording of a tab: what it shows before anybody ran anything, computed before and kept in
assets/recorded.

made.json beside the recordings says of each with which weights and in which precision it was made,
so that the page can say where the same seed writes another text here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import torch

from tinydiff.files import write_text
from tinydiff.nets.precision import is_bf16
from tinydiff.paths import ASSETS
from tinydiff.store import catalogue
from tinydiff.ui.gpu import device

FOLDER = ASSETS / "recorded"
MADE = FOLDER / "made.json"


def load(name: str) -> dict:
    """The recording of a tab, {} where there is none."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def save(name: str, value: dict, models: Iterable[str], path: Path | None = None) -> None:
    """Write what `load` reads, or to another path, and note what it was made with: the bundled
    models by their weights, and the precision.
    """
    path = path or FOLDER / f"{name}.json"
    whole = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    path.parent.mkdir(exist_ok=True)
    write_text(path, whole)
    note(name, whole.encode(), models)


def note(name: str, data: bytes, models: Iterable[str]) -> None:
    """Keep what a file was made with: the bundled models by their weights, and the precision."""
    weights = {key: catalogue.fingerprint(key) for key in models}
    made = dict(file=digest(data), precision=live_precision(), weights=weights)
    write_text(MADE, json.dumps(dict(sorted((made_with() | {name: made}).items())), indent=1))


def digest(data: bytes) -> str:
    """By which a recording is known again."""
    return hashlib.sha256(data).hexdigest()[:16]


def made_with() -> dict[str, dict]:
    """What each recording was made with: "file", the digest of what was written; "precision";
    "weights" by model."""
    return json.loads(MADE.read_text("utf-8")) if MADE.is_file() else {}


def live_precision() -> str:
    """In which precision this page runs its networks."""
    return "bf16" if is_bf16("auto", torch.device(device())) else "fp32"


def is_reproducible(name: str) -> bool:
    """Does the same seed make the recording again here: with the same weights, in the same
    precision?"""
    made = made_with().get(name)
    models = catalogue.models() | catalogue.rewriters()
    same = made and all(
        key in models and catalogue.fingerprint(key) == weights
        for key, weights in made["weights"].items()
    )
    return bool(same) and made["precision"] == live_precision()


def caption(name: str) -> str:
    """The sentence beside a recording that the same seed does not make again here; nothing where it
    does."""
    if is_reproducible(name):
        return ""
    made = made_with().get(name)
    why = (
        f"in {made['precision']}, and here networks run in {live_precision()}"
        if made and made["precision"] != live_precision()
        else "with other weights"
    )
    return f"This is a recording, made {why}: the same seed may write another text."
