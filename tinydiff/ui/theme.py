"""What every page of the project looks like: its head, its theme, its styles, and how it is
launched."""

import gradio as gr

from tinydiff.paths import STATIC
from tinydiff.ui import server

HEAD = """
<a class="td-skip" href="#write">Skip to the button Write</a>
<header class="td-head"><h1>tinydiff</h1><p>text diffusion you can watch</p>
<button type="button" class="td-theme" aria-label="Light or dark" title="Light or dark">
<svg viewBox="0 0 20 20" aria-hidden="true">
<path d="M10 1a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2v14a7 7 0 0 1 0-14z"/></svg></button></header>
"""
THEME_JS = (
    "element.querySelector('.td-theme').addEventListener('click', () => "
    "document.body.classList.toggle('dark'));"
)
OPEN_JS = "(name) => ({selected: name, __type__: 'update'})"


class Nav(gr.HTML):
    """The list of the tabs, in the place of Gradio's own: all of them are seen at every width, and
    each has an address. Its value is the tab that is to be shown, at its event `opened`."""

    def __init__(self, tabs: list[list[str]], **more):
        more.setdefault("html_template", NAV)
        more.setdefault("js_on_load", "tinydiff.nav(element, props, () => trigger('opened'))")
        super().__init__(tabs[0][0], apply_default_css=False, elem_id="nav", tabs=tabs, **more)

    def get_block_name(self) -> str:
        return "html"


NAV = '<div class="td-nav" role="tablist" aria-label="Parts of the page"></div>'
LAUNCH = dict(
    css_paths=[STATIC / "style.css", STATIC / "tabs.css", STATIC / "story.css"],
    theme=gr.themes.Base(
        font=[
            "ui-sans-serif",
            "system-ui",
            "Segoe UI",
            "Helvetica Neue",
            "DejaVu Sans",
            "sans-serif",
        ],
        font_mono=["ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"],
    ),
    ssr_mode=False,
    footer_links=["api"],
    **server.LAUNCH,
)
