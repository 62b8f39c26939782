"""The Player: a gr.HTML that plays the values of `render.Wire`. Its markup, program and style are
files in assets/.

Every tab uses it:

    player = Player()                     # the whole instrument
    small = Player(compact=True)          # the text and the transport alone
    button.click(handler, inputs, player) # a handler yields wire.value()

The template holds no `${value}`: text reaches the page through textContent, in player.js.
"""

from __future__ import annotations

import gradio as gr
import torch

from tinydiff.paths import STATIC
from tinydiff.processes import Process

POINTS = 65  # of each curve under the text


class Player(gr.HTML):
    """Plays a run while it arrives and afterwards.

    compact: text and transport only. linked: writes the run's link into the address bar. group: a
    name that several players share, so that the document's event "td-all" with {group, act: "play"
    | "pause" | "restart"} drives them together. Its event `stop` is the visitor's Stop.
    """

    def __init__(
        self,
        value: dict | None = None,
        *,
        compact: bool = False,
        linked: bool = False,
        group: str = "",
        **more,
    ):
        classes = ["td-host", *(["td-compact"] if compact else []), *more.pop("elem_classes", [])]
        more.setdefault("html_template", (STATIC / "player.html").read_text("utf-8"))
        more.setdefault("js_on_load", (STATIC / "player.js").read_text("utf-8"))
        super().__init__(
            value, elem_classes=classes, apply_default_css=False, linked=linked, group=group, **more
        )

    def api_info(self):
        return {
            "type": "object",
            "title": "a run, as tinydiff/render.py packs it",
            "properties": {},
        }

    def example_payload(self):
        return None

    def example_value(self):
        return None

    def get_block_name(self):
        return "html"


def curves(process: Process) -> dict[str, list[float]]:
    """alpha(t) and the loss weight at evenly spaced times from 0 to 1, for the plots; nothing where
    a process has no time."""
    if "diffusion" not in process.traits:
        return {}
    t = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    weight = process.noise.weight(t.clamp_min(1e-3))
    return {"alpha": rounded(process.noise.schedule.alpha(t)), "weight": rounded(weight)}


def rounded(values: torch.Tensor) -> list[float]:
    return [round(v, 4) for v in values.tolist()]
