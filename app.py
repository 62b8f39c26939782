"""The page: `python app.py`, or `python app.py user/name` to open it with a checkpoint.

Widgets and wiring only; what they do is in tinydiff/ui, what they show in tinydiff/show.
"""

from __future__ import annotations

import html
import sys

import tinydiff.ui  # noqa: F401  before gradio, which then loads sooner

# isort: split
import gradio as gr

from tinydiff import plugins
from tinydiff.sentences import say
from tinydiff.store import catalogue
from tinydiff.store.checkpoint import CheckpointError
from tinydiff.ui import opened, story
from tinydiff.ui.server import Page, end_at_sigterm
from tinydiff.ui.session import Session
from tinydiff.ui.tab import Site
from tinydiff.ui.tabs import TABS
from tinydiff.ui.theme import HEAD, LAUNCH, OPEN_JS, THEME_JS, Nav


def page(named: str = "") -> Page:
    """All tabs, opened with the checkpoint that is named, a Hub id or a folder; the bundled one
    where that cannot be had. Raises CheckpointError where no models are bundled."""
    catalogue.check_assets("The page")
    found = opened.open_with(named)
    if found.said:
        say(found.said, sys.stderr if found.missed else sys.stdout)
    with Page(
        title="tinydiff: text diffusion you can watch",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(600, 3600),
    ) as whole:
        gr.HTML(html_template=HEAD, js_on_load=THEME_JS, apply_default_css=False)
        if found.missed:
            words = f'<p role="status">{html.escape(found.said)}</p>'
            gr.HTML(words, elem_id="opened-with", apply_default_css=False)
        session = gr.State(Session(), delete_callback=Session.end)
        offered = [tab for tab in TABS if tab.offered()]
        nav = Nav([[tab.name, tab.title] for tab in offered])
        with gr.Tabs(elem_classes="td-pages") as tabs:
            site = Site(whole, tabs, session, asks=whole.asks)
            for tab in offered:
                with gr.Tab(tab.title, id=tab.name):
                    tab.build(site)
        nav.opened(None, nav, tabs, js=OPEN_JS)
        site.wire_menus(nav.opened)
        story.build(site)
    return whole


try:
    plugins.load_on_the_page()
    demo = page(opened.named(sys.argv[1:] if __name__ == "__main__" else []))
except (CheckpointError, plugins.PluginError, opened.UsageError) as error:
    sys.exit(str(error))

if __name__ == "__main__":
    end_at_sigterm()
    demo.launch(**LAUNCH, inbrowser=sys.stdout.isatty())
