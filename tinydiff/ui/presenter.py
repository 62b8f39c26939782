"""What a lecturer shows: the link of a run as a QR code, for the telephones of a class."""

from __future__ import annotations

import io
from urllib.parse import urlsplit

import gradio as gr
import segno

LONGEST = 1200  # letters of an address; a code of more is too fine to be read from a wall


def code(url: object) -> str:
    """An SVG of the QR code of an address of a page, as a square of modules in the colours of the
    page; "" for what is no such address, or too long."""
    if not isinstance(url, str) or len(url) > LONGEST:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return ""
    out = io.BytesIO()
    segno.make(url, error="l", micro=False).save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=True,
        scale=1,
        border=2,
        dark="#211d18",
        light="#fffdf8",
        omitsize=True,
        title="The link of this run",
    )
    return out.getvalue().decode()


def shown(event: gr.EventData) -> str:
    """The code beside the text, when the sheet fills the screen."""
    return code(event._data.get("url") if isinstance(event._data, dict) else None)
