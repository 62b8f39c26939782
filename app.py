"""The page: `python app.py`. Widgets and wiring only; what they do is in tinydiff/ui, what they show in tinydiff/render.py."""

from __future__ import annotations

import sys

import gradio as gr

from tinydiff.ui import blocks, denoise, families, learn, noise, race, rewrite, steps, training
from tinydiff.ui.player import ASSETS

HEAD = """
<header class="td-head"><h1>tinydiff</h1><p>text diffusion you can watch</p>
<button type="button" class="td-theme" aria-label="Light or dark" title="Light or dark">
<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M10 1a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2v14a7 7 0 0 1 0-14z"/></svg></button></header>
"""
THEME_JS = "element.querySelector('.td-theme').addEventListener('click', () => document.body.classList.toggle('dark'));"
LAUNCH = dict(
    css_paths=[ASSETS / "style.css", ASSETS / "tabs.css"],
    theme=gr.themes.Base(
        font=["ui-sans-serif", "system-ui", "Segoe UI", "Helvetica Neue", "DejaVu Sans", "sans-serif"],
        font_mono=["ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"],
    ),
    ssr_mode=False,
    footer_links=["api"],
)


def page() -> gr.Blocks:
    """All tabs."""
    with gr.Blocks(
        title="tinydiff: text diffusion you can watch", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)
    ) as whole:
        gr.HTML(html_template=HEAD, js_on_load=THEME_JS, apply_default_css=False)
        with gr.Tabs() as tabs:
            with gr.Tab("Denoise", id="denoise"):
                playing = denoise.build(whole)
            rewriting = {"Rewrite": rewrite.build} if rewrite.offered() else {}
            rest = {
                "Steps": steps.build,
                "Race": race.build,
                "Blocks": blocks.build,
                **rewriting,
                "Noise": noise.build,
                "Train": lambda: learn.build(whole, tabs, *playing),
                "Training": training.build,
                "All families": families.build,
            }
            for name, build in rest.items():
                with gr.Tab(name, id=name.lower().replace(" ", "-")):
                    build()
    return whole.queue(max_size=20)


demo = page()

if __name__ == "__main__":
    demo.launch(**LAUNCH, inbrowser=sys.stdout.isatty())
