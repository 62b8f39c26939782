"""A sheet of the page that draws itself: the server sends one value, a script of assets/ draws and
animates it.

Visitor text reaches the page only through `textContent`; markup in a value comes from plots.py
alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import gradio as gr
import torch

from tinydiff.files import write_text
from tinydiff.nets.precision import is_bf16
from tinydiff.paths import ASSETS, STATIC
from tinydiff.store import catalogue
from tinydiff.ui import inputs
from tinydiff.ui.gpu import device
from tinydiff.ui.inputs import known

__all__ = ["Sheet", "first_model", "keep", "known", "menu", "recorded", "told"]

MADE = ASSETS / "recorded" / "made.json"


class Sheet(gr.HTML):
    """An HTML component whose script, ui/static/NAME.js, redraws it whenever its value changes."""

    def __init__(self, name: str, value: dict | None = None, **more):
        script = "\n".join((STATIC / f"{part}.js").read_text("utf-8") for part in ("sheet", name))
        super().__init__(
            value=value,
            html_template=f'<div class="tt-sheet tt-{name}"></div>',
            js_on_load=script,
            apply_default_css=False,
            elem_id=f"{name}-sheet",
            **more,
        )

    def get_block_name(self) -> str:
        return "html"

    def api_info(self) -> dict:
        return {"type": "object", "title": "what the sheet shows"}


def menu(models: dict[str, catalogue.Model] | None = None) -> list[tuple[str, str]]:
    """Models for a menu, all that can be played with if none are named: (short name, key)."""
    perfect, models = catalogue.PERFECT, models or catalogue.models()
    return [
        (f"perfect network, {m.process}" if key.startswith(perfect) else key, key)
        for key, m in models.items()
    ]


def first_model() -> str:
    """The model that a tab opens with."""
    return (
        inputs.DEFAULTS["model"]
        if inputs.DEFAULTS["model"] in catalogue.models()
        else next(iter(catalogue.models()))
    )


def recorded(name: str) -> dict:
    """What was computed before and lies in assets/recorded: the first view of a tab. {} where there
    is none."""
    path = ASSETS / "recorded" / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def keep(name: str, value: dict, models: Iterable[str], path: Path | None = None) -> None:
    """Write what `recorded` reads, or to another path, and note what it was made with: the bundled
    models by their weights, and the precision.
    """
    path = path or ASSETS / "recorded" / f"{name}.json"
    whole = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    path.parent.mkdir(exist_ok=True)
    write_text(path, whole)
    weights = {key: catalogue.fingerprint(key) for key in models}
    made = made_with() | {
        name: dict(file=named(whole), precision=live_precision(), weights=weights)
    }
    write_text(MADE, json.dumps(dict(sorted(made.items())), indent=1))


def named(whole: str) -> str:
    """A name for a text."""
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def made_with() -> dict[str, dict]:
    """What each recording was made with: "file", a name for what was written; "precision";
    "weights" by model."""
    return json.loads(MADE.read_text("utf-8")) if MADE.is_file() else {}


def live_precision() -> str:
    """In which precision this page runs its networks."""
    return "bf16" if is_bf16("auto", torch.device(device())) else "fp32"


def replayed(name: str) -> bool:
    """Does the same seed make the recording again here: with the same weights, in the same
    precision?"""
    made = made_with().get(name)
    models = catalogue.models() | catalogue.rewriters()
    same = made and all(
        key in models and catalogue.fingerprint(key) == weights
        for key, weights in made["weights"].items()
    )
    return bool(same) and made["precision"] == live_precision()


def told(name: str) -> str:
    """The sentence beside a recording that the same seed does not make again here; nothing where it
    does."""
    if replayed(name):
        return ""
    made = made_with().get(name)
    why = (
        f"in {made['precision']}, and here networks run in {live_precision()}"
        if made and made["precision"] != live_precision()
        else "with other weights"
    )
    return f"This is a recording, made {why}: the same seed may write another text."
