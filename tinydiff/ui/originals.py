"""Tiny Diffusion as its essay writes it, beside the same network with the noise brought to its end
and with masks: runs of models that are not bundled, recorded for Watch and Race.

Their weights are one command each away (`command`); `python -m tinydiff released originals`
records those that it finds in FOLDER.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from tinydiff.sentences import brief
from tinydiff.show import render
from tinydiff.ui import recording

NAME = "originals"
FOLDER = Path("runs/tiny-diffusion")
CLOSED = "This run is a recording: its model is not here."


class Original(NamedTuple):
    """A model whose runs are recorded: what it is called, how it is trained, its sampler."""

    title: str
    flags: str
    sampler: str


ORIGINALS = {
    "as-written": Original("as it is written", "--preset tiny-diffusion-ddpm", "ddpm"),
    "rescaled": Original("noise to the end", "--preset tiny-diffusion-ddpm-rescaled", "ddpm"),
    "masked": Original(
        "masks in the place of blur",
        "--preset base --corpus tiny_shakespeare --process masked --batch 32 --lr 1e-3",
        "ancestral",
    ),
}


def command(name: str) -> str:
    """What trains a model."""
    return f"python -m tinydiff train {ORIGINALS[name].flags} --out {FOLDER / name}"


@lru_cache(maxsize=1)
def recorded() -> dict:
    """{"runs": {name: value for the player}, "race": value of Race}, {} where there is none."""
    return recording.load(NAME)


def run(name: object) -> dict:
    """A recorded run as a run of its own. Raises ValueError where there is none of that name."""
    known = recorded().get("runs", {})
    if name not in known:
        raise ValueError(f"There is no recorded run {brief(str(name))}; there are {listed(known)}.")
    return known[name] | {"run": render.fresh_run()}


def listed(known: Mapping) -> str:
    return ", ".join(known) or "none"


def race() -> dict:
    """The race of the recorded runs, {} where there is none."""
    return recorded().get("race", {})


def is_recording(value: Mapping) -> bool:
    """Is a value of the player a run that nothing here can go on with?"""
    return value["head"].get("touch") == CLOSED


def links() -> list[tuple[str, str]]:
    """(title, address) of all recorded runs, and of their race."""
    each = [(titled(name), f"?recorded={name}") for name in recorded().get("runs", {})]
    return [*each, ("A race of them", "#race")] if race() else each


def titled(name: str) -> str:
    return f"Tiny Diffusion, {ORIGINALS[name].title}"
