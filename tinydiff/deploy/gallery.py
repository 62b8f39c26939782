"""The player with recorded runs of every family, as a folder that any web server can serve: no
Python behind it.

index.html holds the list of runs; each run is a file that the page fetches when somebody wants to
see it, from the same server and from nowhere else. A family whose weights are not here is written
by its perfect network, and the page says so.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tinydiff.paths import STATIC
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show.bundle import bundle
from tinydiff.show.export import filled, in_script
from tinydiff.store import catalogue

# None: the family's own chain
RUNS = ((None, 128), (None, 16), ("confidence", 64), ("renoise", 128), ("dpm_solver", 16))
FIRST, SEED = "masked", 7  # as on the page


def build(folder: Path) -> None:
    """Record the runs and write the folder. A few seconds a run."""
    recorded = [record(name, folder) for name in families()]
    parts = {"PLAYER": (STATIC / "player.html").read_text("utf-8"), "FAMILIES": in_script(recorded)}
    (folder / "index.html").write_text(filled("gallery.html", parts), "utf-8")
    (folder / "gallery.js").write_text(bundle("gallery.js") + "tinydiff.start();\n", "utf-8")
    for name in ("style.css", "gallery.css"):
        shutil.copyfile(STATIC / name, folder / name)


def families() -> list[str]:
    """The families, trained ones first, and of those first the one that the page opens with."""
    names = dict.fromkeys(model.process for model in catalogue.models().values())
    return sorted(names, key=lambda name: name != FIRST)


def chosen(name: str) -> list[tuple[str, int]]:
    """(sampler, steps) of a family's recorded runs: those of RUNS that fit, but for a number of
    steps that would not matter."""
    names = column(PROCESSES[name])
    runs = [
        (sampler or names[0], steps)
        for sampler, steps in RUNS
        if sampler is None or sampler in names
    ]
    return [run for i, run in enumerate(runs) if SAMPLERS[run[0]].steps_matter or i == 0]


def record(name: str, folder: Path) -> dict:
    """Write a family's runs to the folder; what the page says of them."""
    family = PROCESSES[name]
    model = next(model for model in catalogue.models().values() if model.process == name)
    return {
        "name": name,
        "title": family.title,
        "about": family.about,
        "paper": family.paper,
        "model": model.title
        + ("" if model.folder else ", because no trained weights of this noise are in this copy"),
        "runs": [record_run(model.key, sampler, steps, folder) for sampler, steps in chosen(name)],
    }


def record_run(model: str, sampler: str, steps: int, folder: Path) -> dict:
    """Write one run to the folder, as the tab Watch would have shown it."""
    # gradio takes seconds, and only those who record wait for it
    from tinydiff.ui import denoise, request

    asked = request.read({"model": model, "sampler": sampler, "steps": steps, "seed": SEED})
    *_, value = denoise.TAB.alone(asked)
    value["head"].pop("query", None)  # a run that is played leaves the address alone
    counted = SAMPLERS[sampler].steps_matter
    key = f"{sampler.replace('_', '-')}-{steps}" if counted else sampler.replace("_", "-")
    path = folder / "runs" / f"{asked.settings['process']}-{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), "utf-8")
    words = sampler.replace("_", " ") + (f", {steps} steps" if counted else "")
    return {
        "key": key,
        "title": words,
        "about": SAMPLERS[sampler].about,
        "file": f"runs/{path.name}",
        "pictures": value["total"],
    }
