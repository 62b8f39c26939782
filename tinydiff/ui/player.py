"""The Player: a gr.HTML that plays the values of `render.Wire`. Its markup, program and style are
files in ui/static.

    player = Player()
    button.click(handler, inputs, player)  # a handler yields wire.value()

The template holds no `${value}`: text reaches the page through textContent, in player.js.
"""

from __future__ import annotations

import gradio as gr

from tinydiff.paths import STATIC
from tinydiff.show.curves import of as curves

EVENTS = "/* 'stop', 'looked', 'touched', 'presented' */ "  # Gradio reads their names there

__all__ = ["Player", "curves"]


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
