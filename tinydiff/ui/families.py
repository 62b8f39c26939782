"""The tab All families: every bundled family on one axis, and each sampler's own error, as `python -m tinydiff families`
measured them. Nothing is computed here.
"""

from __future__ import annotations

import gradio as gr

from tinydiff import families, plots
from tinydiff.processes import PROCESSES
from tinydiff.ui.sheet import Sheet

HEAD = ["family", "bits a character", *(f"judge, {n} steps" for n in families.AT), *(f"words, {n} steps" for n in families.AT),
        "ms a call", "parameters", "training steps", "minutes"]  # fmt: skip


def build() -> None:
    """The widgets of the tab, inside the current context."""
    gr.Markdown("Same characters, same network, same text to learn from; how many steps each had stands beside it. **Bits a character** are what a "
                "family needs for text that it never saw (an upper bound for all but the autoregressive one), so that discrete "
                "and continuous noise stand on one axis.")  # fmt: skip
    Sheet("families", story())


def story() -> dict:
    """Everything the sheet shows."""
    result = families.read()
    rows = result.get("rows", [])
    return {
        "head": HEAD,
        "rows": [dict(process=found["process"], title=found["title"], cells=families.cells(found)) for found in rows],
        "pictures": [axis(rows), *(against(result, *what) for what in QUALITY)] if rows else [],
        "errors": [dict(process=name, title=PROCESSES[name].title, picture=error(result, name))
                   for name in result.get("errors", {}) if name in PROCESSES],
        "note": f"{result.get('texts')} texts of {result.get('length')} characters by the perfect network of each noise, which knows its "
                "language exactly: what is left is the sampler's own error. The dashed line is what as many true texts give.",
    }  # fmt: skip


QUALITY = (("words", "share of real words"), ("bits", "judge, bits a character"))


def axis(rows: list[dict]) -> str:
    alt = "Bits a character on held-out text: " + "; ".join(f"{r['name']} {r['bits']:.3f}" for r in rows)
    return plots.both(lambda width: plots.on_one_axis(rows, width), alt, wide=620)


def against(result: dict, what: str, ylabel: str) -> str:
    """Quality against calls, a curve a family."""
    curves = [plots.Curve(r["name"], *points(r["curve"], what), r["process"], own=False) for r in result["rows"]]
    level = result["real"].get(what)
    levels = [plots.Level("real text", level)] if level is not None else []
    alt = f"{ylabel} against calls of the network: " + "; ".join(f"{c.label} {c.y[-1]:.2f} at {c.x[-1]} calls" for c in curves)
    return plots.both(lambda width: plots.against_calls(curves, ylabel, levels, width), alt, wide=540)


def points(rows: list[dict], what: str) -> tuple[list, list]:
    known = sorted((r["calls"], r[what]) for r in rows if r[what] is not None)
    return [x for x, _ in known], [y for _, y in known]


def error(result: dict, name: str) -> str:
    """Divergence against calls, a curve a sampler, for one noise."""
    found = {sampler: sorted(points) for sampler, points in result["errors"][name].items()}
    curves = [
        plots.Curve(sampler, [x for x, _ in p], [max(y, 1e-4) for _, y in p], name, own=False) for sampler, p in found.items()
    ]
    alt = f"Divergence from the language against calls, {name}: " + "; ".join(
        f"{c.label} {c.y[-1]:.3f} at {c.x[-1]}" for c in curves
    )
    levels = [plots.Level("true texts", result["floor"])]
    return plots.both(lambda width: plots.against_calls(curves, "nats a character", levels, width, log=True), alt, wide=540)
