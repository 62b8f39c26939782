"""All recorded first views anew: python -m tinydiff.ui.recordings, or some of them by their names;
`python -m tinydiff released` makes them and all else that depends on the bundled models.

They are made in float32, in which every machine writes the same text for the same seed, and
assets/recorded/made.json keeps of which weights they are. Race and Train show real durations:
record them on a quiet machine. Real model is about durations, and runs as it does for visitors.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tinydiff import runs
from tinydiff.measure.families import steps_and_minutes
from tinydiff.nets.precision import auto_is_fp32
from tinydiff.sentences import say
from tinydiff.store import checkpoint
from tinydiff.ui import originals, race, recording, story, writing
from tinydiff.ui.session import Job
from tinydiff.ui.tabs import TABS

SEED, LENGTH, STEPS = 7, 256, 128  # of the runs of models that are not bundled


def record_originals(folder: Path = originals.FOLDER) -> None:
    """Write a run of each model of originals.py whose weights are in a folder, and their race; of
    the others what there is stays."""
    kept, models = recording.load(originals.NAME), {}
    for name in originals.ORIGINALS:
        if (folder / name / "config.json").is_file():
            models[name] = folder / name
        else:
            say(f"{name} is kept as it is; its weights come from: {originals.command(name)}")
    made, lanes = {}, {lane["name"]: lane for lane in kept.get("race", {}).get("lanes", [])}
    for name, place in models.items():
        asked, title = original(name, place), originals.titled(name)
        steps, minutes = steps_and_minutes(checkpoint.read_config(place))
        learned = f"{steps} steps, {minutes} minutes of learning"
        *_, value = writing.write(asked, Job())
        words = f"{title}, recorded after {learned}. Its weights: {originals.command(name)}"
        more = dict(looks=[], touch=originals.CLOSED, query=f"recorded={name}")
        made[name] = value | {
            "stats": [*value["stats"], ["", "", words]],
            "head": value["head"] | more,
        }
        *_, (_, lane) = race.written(asked, Job())
        lanes[title] = lane | dict(name=title, term=f"recorded, after {learned}")
    value = dict(runs=kept.get("runs", {}) | made)
    if len(lanes) > 1:
        value["race"] = race.finished(0, [*lanes.values()])
    recording.save(originals.NAME, value, [])
    originals.recorded.cache_clear()


def original(name: str, folder: Path) -> runs.Request:
    """The run that is recorded of a model."""
    settings = dict(
        model=f"tiny-diffusion/{name}",
        sampler=originals.ORIGINALS[name].sampler,
        steps=STEPS,
        length=LENGTH,
        seed=SEED,
        prompt="",
        until="length",
        temperature=1.0,
    )
    return runs.request(settings, checkpoint.load(folder))


RECORDINGS = {
    {"denoise": "example"}.get(tab.name, tab.name): tab.record for tab in TABS if tab.record
} | {story.NAME: story.record, originals.NAME: record_originals}


def main(names: list[str]) -> int:
    """Record what is named, or everything."""
    if unknown := [name for name in names if name not in RECORDINGS]:
        print(
            f"There is no recording {unknown[0]!r}; there are {', '.join(RECORDINGS)}.",
            file=sys.stderr,
        )
        return 1
    with auto_is_fp32():
        for name in names or RECORDINGS:
            print(f"{name} ...", flush=True)
            RECORDINGS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
