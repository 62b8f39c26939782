"""Checkpoints: a folder with config.json and model.safetensors, and beside them metrics.jsonl and a card, README.md.

JSON and safetensors only: nothing in a checkpoint is ever executed, whoever wrote it. Weights are bfloat16 on disk and
float32 in memory. Everything is written under a temporary name and renamed, so a reader sees the old or the new, whole.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tinydiff.processes import Process, build
from tinydiff.schedules import schedule
from tinydiff.text import Tokenizer

FORMAT = 1
MAX_CONFIG, MAX_WEIGHTS = 1 << 18, 1 << 28  # bytes
BOUNDS = {"layers": (1, 24), "heads": (1, 32), "width": (8, 1536), "length": (1, 4096), "labels": (0, 10_000)}


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded; the message is one sentence that says why."""


@dataclass(frozen=True)
class Card:
    """What is known of a loaded checkpoint beside its weights."""

    path: Path
    config: dict
    metrics: list[dict]
    evaluation: dict  # {} where it was not evaluated


def config_of(process: Process, shape: dict, corpus: str, **more) -> dict:
    """The contents of config.json. shape: layers, heads, width, length, labels."""
    return {
        "format": FORMAT,
        "process": process.name,
        "schedule": {"name": process.schedule.name, "floor": process.schedule.floor},
        "net": shape,
        "characters": process.tokenizer.characters,
        "corpus": corpus,
        **({"options": process.options} if process.options else {}),
        **more,
    }


def save(process: Process, config: dict, folder: str | Path) -> Path:
    """Write config.json and model.safetensors, both or none; weights that are computed from others are left out."""
    with replacing(folder) as new:
        write(process, config, new)
    return Path(folder)


def write(process: Process, config: dict, new: Callable[[str], Path]) -> None:
    """The two files of a checkpoint, each where `new` says."""
    weights = {name: p.detach().to("cpu", torch.bfloat16).contiguous() for name, p in process.state_dict().items()}
    save_file(weights, new("model.safetensors"))
    new("config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8")


@contextmanager
def replacing(folder: str | Path) -> Iterator[Callable[[str], Path]]:
    """Inside, write each file to the path that is given for its name. At the end they are on the disk and take the places of
    the old ones; if any cannot be written, none does, and CheckpointError says why."""
    folder, partials = Path(folder), {}

    def new(name: str) -> Path:
        return partials.setdefault(name, folder / f"{name}.partial")

    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield new
        for partial in partials.values():
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
        for name, partial in partials.items():
            os.replace(partial, folder / name)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(
            f"Nothing could be saved in {str(folder)!r} ({why}): make room there; what was saved before is still whole."
        ) from None
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def load(folder: str | Path, device: str = "cpu") -> Process:
    """The process in a checkpoint folder, in evaluation mode. Raises CheckpointError, in one sentence."""
    folder = Path(folder)
    config = read_config(folder)
    try:
        tokenizer = Tokenizer(config["characters"])
        noise = schedule(config["schedule"]["name"], config["schedule"]["floor"])
        shape = {key: bounded(config["net"], key, folder) for key in BOUNDS}
        check_weights(folder)
        process = build(config["process"], tokenizer, noise, **shape, options=config.get("options", {}))
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"The config.json in {folder.name!r} does not describe a model: {what}") from None
    process.load_state_dict(read_weights(folder, process))
    try:
        process.check()
    except ValueError as error:
        raise CheckpointError(f"The weights in {folder.name!r} cannot be used: {error}") from None
    process.task = str(config.get("task", ""))
    return process.to(device).eval()


def read_config(folder: Path) -> dict:
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{str(folder)!r} is not a checkpoint: there is no config.json in it.")
    if path.stat().st_size > MAX_CONFIG:
        raise CheckpointError(f"The config.json in {folder.name!r} is over {MAX_CONFIG:,} bytes: it is not one of ours.")
    try:
        config = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise CheckpointError(f"The config.json in {folder.name!r} is not JSON.") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"The config.json in {folder.name!r} is not of format {FORMAT}, the one this version reads.")
    return config


def bounded(net: dict, key: str, folder: Path) -> int:
    low, high = BOUNDS[key]
    value = net[key]
    if type(value) is not int or not low <= value <= high:
        raise CheckpointError(f"In {folder.name!r} net.{key} is {value!r}; it must be a whole number from {low} to {high}.")
    return value


def check_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{folder.name!r} has no model.safetensors; other formats of weights are not loaded.")
    if path.stat().st_size > MAX_WEIGHTS:
        raise CheckpointError(f"The weights in {folder.name!r} are over {MAX_WEIGHTS:,} bytes: too large for this page.")


def read_weights(folder: Path, process: Process) -> dict[str, torch.Tensor]:
    """The weights as float32, after comparing the header with what the process needs and the values with finiteness."""
    needed = {name: tuple(p.shape) for name, p in process.state_dict().items()}
    try:
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
            if found != needed:
                wrong = sorted(name for name in found.keys() | needed if found.get(name) != needed.get(name))
                raise CheckpointError(f"The weights in {folder.name!r} do not fit its config.json: {wrong[0]!r} differs.")
            weights = {name: file.get_tensor(name).float() for name in needed}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise CheckpointError(f"The model.safetensors in {folder.name!r} is damaged or cut short ({error}).") from None
    if not all(w.isfinite().all() for w in weights.values()):
        raise CheckpointError(f"The weights in {folder.name!r} are not all finite numbers: the training went wrong.")
    return weights


def card(folder: str | Path) -> Card:
    """Config, training curve and evaluation of a checkpoint; only the config must be there."""
    folder = Path(folder)
    config = read_config(folder)
    return Card(folder, config, read_jsonl(folder / "metrics.jsonl"), read_json(folder / "evaluation.json"))


def read_json(path: Path) -> dict:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def read_jsonl(path: Path) -> list[dict]:
    """The rows of a JSON-lines file; a last row that was cut short is left out."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def write_text(path: Path, text: str) -> None:
    """Write whole or not at all."""
    with replacing(path.parent) as new:
        new(path.name).write_text(text, encoding="utf-8")


def finite(value: float) -> float | None:
    """A number that JSON can hold."""
    return value if math.isfinite(value) else None
