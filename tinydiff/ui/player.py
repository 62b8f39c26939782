"""The Player: a gr.HTML that plays the values of `render.Wire`. Its markup, program and style are
files in ui/static.

    player = Player()
    button.click(handler, inputs, player)  # a handler yields wire.value()

The template holds no `${value}`: text reaches the page through textContent, in player.js.
"""

from __future__ import annotations

import gradio as gr
import torch

from tinydiff.paths import STATIC
from tinydiff.processes import Process
from tinydiff.store import catalogue

EVENTS = "/* 'stop', 'looked', 'touched', 'presented' */ "  # Gradio reads their names there
PLACES = 64  # of a text of any length
POINTS = 65  # of each curve under the text


class Player(gr.HTML):
    """Plays a run while it arrives and afterwards, on a `server.Page`, which holds the scripts.

    linked: writes the run's link into the address bar. Its events: `stop` is the
    visitor's Stop, `looked` the slider that is let go at a number of looks,
    `touched` what the visitor does to the text, `presented` that it fills the screen.
    """

    def __init__(self, value: dict | None = None, *, linked: bool = False, **more):
        more.setdefault("html_template", (STATIC / "player.html").read_text("utf-8"))
        more.setdefault("js_on_load", EVENTS + "tinydiff.player(element, trigger, props, watch)")
        super().__init__(
            value,
            elem_classes=["td-host", *more.pop("elem_classes", [])],
            apply_default_css=False,
            linked=linked,
            **more,
        )

    def api_info(self):
        return {
            "type": "object",
            "title": "a run, as tinydiff/show/render.py packs it",
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
    if not process.traits & {"diffusion", "blocks"}:
        return {}
    t = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    # of a text: where time depends on the position, the mean over it
    each = t[:, None].expand(-1, process.length or PLACES)
    alpha, weight = process.noise.alpha(each), process.noise.weight(each.clamp_min(1e-3))
    weight[0] = weight[1]  # at t = 0 there is no noise and no mistake
    return {"alpha": rounded(alpha.mean(1)), "weight": rounded(weight.mean(1))}


def losses(model: str) -> dict[str, list[list[float]]]:
    """The held-out loss of a bundled model over noise levels, [t, nats a character] each, as its
    evaluation stores it; nothing where it was not measured."""
    card = catalogue.card_of(model) if model in catalogue.models() else None
    found = card.evaluation.get("levels", []) if card else []
    known = [[row["t"], row["nats"]] for row in found if row["nats"] is not None]
    return {"loss": [[round(t, 4), round(nats, 4)] for t, nats in known]} if known else {}


def rounded(values: torch.Tensor) -> list[float]:
    return [round(v, 4) for v in values.tolist()]
