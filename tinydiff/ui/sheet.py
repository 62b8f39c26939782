"""A sheet of the page that draws itself: the server sends one value, a script of assets/ draws and animates it.

Visitor text reaches the page only through `textContent`; markup in a value comes from plots.py alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from tinydiff import library
from tinydiff.checkpoint import write_text
from tinydiff.ui import inputs
from tinydiff.ui.inputs import known

__all__ = ["Sheet", "first_model", "keep", "known", "menu", "recorded"]

ASSETS = Path(__file__).resolve().parents[2] / "assets"


class Sheet(gr.HTML):
    """An HTML component whose script, assets/NAME.js, redraws it whenever its value changes."""

    def __init__(self, name: str, value: dict | None = None, **more):
        script = "\n".join((ASSETS / f"{part}.js").read_text("utf-8") for part in ("sheet", name))
        super().__init__(value=value, html_template=f'<div class="tt-sheet tt-{name}"></div>', js_on_load=script,
                         apply_default_css=False, elem_id=f"{name}-sheet", **more)  # fmt: skip

    def get_block_name(self) -> str:
        return "html"

    def api_info(self) -> dict:
        return {"type": "object", "title": "what the sheet shows"}


def menu(models: dict[str, library.Model] | None = None) -> list[tuple[str, str]]:
    """Models for a menu, all that can be played with if none are named: (short name, key)."""
    perfect, models = library.PERFECT, models or library.models()
    return [(f"perfect network, {m.process}" if key.startswith(perfect) else key, key) for key, m in models.items()]


def first_model() -> str:
    """The model that a tab opens with."""
    return inputs.DEFAULTS["model"] if inputs.DEFAULTS["model"] in library.models() else next(iter(library.models()))


def recorded(name: str) -> dict:
    """What was computed before and lies in assets/recorded: the first view of a tab. {} where there is none."""
    path = ASSETS / "recorded" / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def keep(name: str, value: dict) -> None:
    """Write what `recorded` reads."""
    (ASSETS / "recorded").mkdir(exist_ok=True)
    write_text(ASSETS / "recorded" / f"{name}.json", json.dumps(value, ensure_ascii=False, separators=(",", ":")))
