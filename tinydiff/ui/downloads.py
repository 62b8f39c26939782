"""What stands under a text: the way to the guided story, and what can be taken away: its link,
pictures, data, papers, and code that makes it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from tinydiff.files import write_text
from tinydiff.show import export, render
from tinydiff.ui import away
from tinydiff.ui.errors import said
from tinydiff.ui.session import Session
from tinydiff.ui.tab import QUIET, Panel

# what writes a value for the player as a file; a page holds it as it is
WRITERS: dict[str, Callable[[dict, Path], None]] = {
    "GIF": lambda value, path: export.gif(render.unpack(value), path),
    "HTML": export.played_html,
    "JSON": lambda value, path: export.json(render.unpack(value), path),
    "CSV": lambda value, path: write_text(path, away.csv(value)),
    "BibTeX": lambda value, path: write_text(path, away.bibtex(value)),
}
ENDINGS = {"BibTeX": "bib"}  # of files that are not called as their kind
STORY = '<a class="ts-open" href="#story=1">Take the guided story <small>5 min</small></a>'
BY_HAND = (
    "This text was changed by hand, and no settings make it again: take it as HTML or JSON instead."
)
LINE = dict(concurrency_id="file", concurrency_limit=1)


def build(session: gr.State, on_player: Callable[[Session], dict]) -> None:
    """A button each, and a hidden one that holds the file once it is made. on_player: the run that
    is shown to a visitor."""
    with gr.Row(elem_classes="td-take"):
        gr.HTML(html_template=STORY, apply_default_css=False, elem_id="take-story")
        link = gr.Button("Link", size="sm", elem_id="take-link")
        link.click(None, None, None, js=LINK_JS)
        for name, writer in WRITERS.items():
            kind = ENDINGS.get(name, name.lower())
            ask = gr.Button(name, size="sm", elem_id=f"take-{kind}")
            file = gr.DownloadButton(name, visible="hidden", elem_id=f"file-{kind}")
            made = ask.click(maker(writer, kind, on_player), session, file, **QUIET, **LINE)
            made.success(None, None, None, js=TAKE_JS % kind)
        code = gr.Button("Code", size="sm", elem_id="take-code")
    panel = Panel("code")
    code.click(coder(on_player), session, panel, **QUIET, **LINE)


def maker(writer, kind: str, on_player: Callable[[Session], dict]):
    """A handler that writes the run on the player as a file of this kind."""

    def make(session: Session) -> str:
        value = on_player(session)
        # in a folder of its own: files of the same name are of different runs
        path = session.file(str(value["run"])) / export.file_name(value["head"]["settings"], kind)
        path.parent.mkdir(exist_ok=True)
        writer(value, path)
        return str(path)

    return make


def coder(on_player: Callable[[Session], dict]):
    """A handler that gives the run on the player as code, {python, curl, command}."""

    def code(session: Session, request: gr.Request) -> dict:
        value = on_player(session)
        if value["head"].get("query") == "":
            return {"refused": BY_HAND}
        host = request.headers.get("host", "127.0.0.1:7860")
        base = request.headers.get("origin") or f"http://{host}"
        try:
            return away.code(value, base, session)
        except gr.Error as error:
            return said(error)

    return code


LINK_JS = """() => {
  const button = document.querySelector("#take-link");
  const said = (words) => {
    button.textContent = words;
    setTimeout(() => { button.textContent = "Link"; }, 1500);
  };
  if (tinydiff.byHand("denoise-player")) {
    said("Changed by hand: take HTML");
    return [];
  }
  const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject();
  copied.then(() => said("Copied"), () => said("See the address"));
  return [];
}"""
TAKE_JS = """() => {
  setTimeout(() => {
    const file = document.querySelector("#file-%s");
    (file.closest("a") || file.querySelector("a") || file).click();
  }, 200);
  return [];
}"""
