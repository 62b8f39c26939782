"""What claims measured, as it is kept: a file in assets/claims, its points with the seed, the
weights, the judge, the hardware and the date."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import torch

from tinydiff.claims import CLAIMS, Answer, Claim, Point, Points, ordered
from tinydiff.claims.lab import Lab
from tinydiff.files import write_text
from tinydiff.nets.precision import is_bf16
from tinydiff.paths import ASSETS
from tinydiff.sentences import brief
from tinydiff.store import catalogue
from tinydiff.train.loop import hardware

FOLDER = ASSETS / "claims"
DIGITS = 5  # significant ones of a kept number


def chosen(names: Iterable[str]) -> list[Claim]:
    """Claims by their names. Raises ValueError for an unknown one."""
    if unknown := [name for name in names if name not in CLAIMS]:
        raise ValueError(
            f"There is no claim {brief(unknown[0])}; there are {', '.join(sorted(CLAIMS))}."
        )
    return [CLAIMS[name]() for name in names]


def measured(claim: Claim, lab: Lab) -> dict:
    """Measure a claim: what is to be kept of it."""
    began = time.perf_counter()
    points = list(claim.measure(lab))
    device = torch.device("cpu")
    return dict(
        name=claim.name,
        date=date.today().isoformat(),
        seed=lab.seed,
        judge=lab.judge.name,
        quick=lab.quick,
        hardware=hardware(device),
        precision="bf16" if is_bf16("auto", device) else "fp32",
        minutes=round((time.perf_counter() - began) / 60, 1),
        weights={key: catalogue.fingerprint(key) for key in claim.models},
        points=[kept(point) for point in points],
    )


def kept(point: Point) -> list:
    """A point as JSON holds it."""
    return [rounded(value) if isinstance(value, float) else value for value in point]


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def write(result: dict, folder: Path = FOLDER) -> Path:
    """Write a result, a point a line; its file."""
    head = {name: value for name, value in result.items() if name != "points"}
    lines = ",\n".join(json.dumps(point, ensure_ascii=False) for point in result["points"])
    whole = json.dumps(head, indent=1, ensure_ascii=False)[:-2]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['name']}.json"
    write_text(path, f'{whole},\n "points": [\n{lines}\n ]\n}}\n')
    return path


def read(name: str, folder: Path = FOLDER) -> dict | None:
    """What was kept of a claim; None where it was not measured."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def points_of(result: dict) -> Points:
    """The points of what was kept."""
    return Points(Point(*point) for point in result["points"])


def outdated(folder: Path = FOLDER) -> list[Claim]:
    """The claims that train nothing and were measured with other weights than are bundled."""
    found = []
    for name in ordered():
        result, claim = read(name, folder), CLAIMS[name]()
        if result and not claim.trainings():
            weights = {key: catalogue.fingerprint(key) for key in claim.models}
            found += [claim] * (weights != result["weights"])
    return found


def answers(folder: Path = FOLDER) -> dict[str, tuple[dict, Points, Answer]]:
    """All claims that were measured, by name, in the order in which they are told: what was kept,
    its points and its answer."""
    found = {}
    for name in ordered():
        if (result := read(name, folder)) is not None:
            points = points_of(result)
            found[name] = (result, points, CLAIMS[name]().answer(points))
    return found
