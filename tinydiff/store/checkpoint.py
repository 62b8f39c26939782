"""Checkpoints: a folder with config.json and model.safetensors, and beside them metrics.jsonl and a
card, README.md.

JSON and safetensors only: nothing in a checkpoint is ever executed, whoever wrote it. Weights are
bfloat16 on disk, or whole numbers of 8 or 6 bits with a scale for each row, and float32 in memory.
Everything is written under a temporary name and renamed, so a reader sees the old or the new,
whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tinydiff.classifier import Classifier
from tinydiff.doubt import Doubt
from tinydiff.files import CheckpointError, Unread, read_whole, replacing
from tinydiff.nets import NETS, Network
from tinydiff.processes import PROCESSES, Process, build
from tinydiff.schedules import Schedule, schedule
from tinydiff.sentences import NAME, brief, is_number, is_text
from tinydiff.text import TASKS, Corpus, Documents, Pairs, Tasks, Tokenizer, tokenizers
from tinydiff.text.labels import Attributes, flat
from tinydiff.text.tasks import names_of, tag_of

FORMAT = 1
RENAMED = {"bell": "time_spread"}  # settings of a training, as older versions wrote them
MAX_CONFIG, MAX_WEIGHTS, MAX_MEASURED = 1 << 18, 1 << 28, 1 << 26  # bytes
BOUNDS = {
    "layers": (1, 24),
    "heads": (1, 32),
    "width": (8, 1536),
    "length": (1, 4096),
    "labels": (0, 10_000),
    "attributes": (1, 4),
    "tied": (0, 1),
    "positions": (0, 1),
}
UNTOLD = {"tied", "positions", "attributes"}  # of these, those that a config may leave out
USUAL = "transformer"  # the network of a config that names none
FLOOR = 1e-9  # the least that a schedule may leave
MAX_HEADER, MAX_TENSORS = 1 << 20, 10_000
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1}  # of the numbers that weights may be
SCALE, ROW = ".scale", 64  # the name behind a matrix of whole numbers; its shortest rows
BITS = (16, 8, 6)  # of a weight on disk: bf16, I8, four of them in three U8


@dataclass(frozen=True)
class Card:
    """What a checkpoint holds beside its weights."""

    path: Path
    config: dict
    metrics: list[dict]
    evaluation: dict  # {} where it was not evaluated


def config_of(process: Process, shape: dict, corpus: str, **more) -> dict:
    """The contents of config.json. shape: layers, heads, width, length, labels, and
    attributes where there are several."""
    return {
        "format": FORMAT,
        "process": process.name,
        "schedule": {"name": process.noise.schedule.name, "floor": process.noise.schedule.floor},
        "net": shape,
        **process.tokenizer.config(),
        "corpus": corpus,
        **({"options": process.options} if process.options else {}),
        **({"network": network} if (network := network_of(process)) != USUAL else {}),
        **more,
    }


def network_of(process: Process) -> str:
    """The name of its network; the usual one's where it has none, as a perfect one."""
    return getattr(process.net, "name", USUAL)


def trained(card: Card, name: str) -> dict:
    """What a checkpoint of this name was trained, with what the one it was begun with had had: the
    steps of its weights, seconds in all, and its family with its `curve`; {} where it does not
    say."""
    config = card.config
    if "step" not in config or "seconds" not in config:
        return {}
    before = config.get("before") or dict(step=0, seconds=0)
    return dict(
        name=name,
        step=config.get("best", config["step"]) + before["step"],
        seconds=round(config["seconds"] + before["seconds"], 1),
        process=config["process"],
        curve=curve(card),
    )


def curve(card: Card) -> list[list[float]]:
    """The validations of a training as [step, bound in nats a character], behind those of the
    network that it was begun with, where that was of the same family; the last is that of the
    weights, which may be an earlier one than the run's."""
    before = card.config.get("before") or {}
    same = before.get("process") == card.config["process"]
    first = before.get("step", 0) if same else 0
    last = card.config.get("best", math.inf)
    rows = (row for row in card.metrics if row["step"] <= last)
    found = [[first + row["step"], row.get("valid")] for row in rows]
    known = [[step, round(valid, 6)] for step, valid in found if is_number(valid)]
    return (before.get("curve", []) if same else []) + known


def save(process: Process, config: dict, folder: str | Path) -> Path:
    """Write config.json and model.safetensors, both or neither; weights that are computed from
    others are left out."""
    with replacing(folder) as new:
        write(process, config, new)
    return Path(folder)


def write(process: Process, config: dict, new: Callable[[str], Path], bits: int = 16) -> None:
    """The files of a checkpoint, each where `new` says. bits: of a weight in a matrix, one of
    BITS."""
    weights: dict[str, torch.Tensor] = {}
    for name, p in process.state_dict().items():
        if bits < 16 and p.ndim == 2 and p.shape[1] >= ROW and p.shape[1] % 4 == 0:
            weights[name], weights[name + SCALE] = in_whole_numbers(p.detach().cpu(), bits)
        else:
            weights[name] = p.detach().to("cpu", torch.bfloat16).contiguous()
    save_file(weights, new("model.safetensors"))
    new("config.json").write_text(
        json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8"
    )
    for name, data in process.files().items():
        new(name).write_bytes(data)


def in_whole_numbers(matrix: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix (n, m) as whole numbers of 8 bits (n, m), or of 6 (n, 3 m / 4), and their scales
    (n,); it is nearly their product."""
    most = 2 ** (bits - 1) - 1
    scale = (matrix.abs().amax(1).clamp_min(1e-3) / most).half()
    whole = (matrix / scale.float()[:, None]).round().clamp(-most, most).to(torch.int8)
    return whole if bits == 8 else packed(whole), scale


def packed(whole: torch.Tensor) -> torch.Tensor:
    """Numbers from -32 to 31, (n, m) int8, four of them in three bytes, (n, 3 m / 4) uint8."""
    a, b, c, d = (whole.int() + 32).unflatten(1, (-1, 4)).unbind(2)
    three = a << 2 | b >> 4, (b & 15) << 4 | c >> 2, (c & 3) << 6 | d
    return torch.stack(three, 2).flatten(1).to(torch.uint8)


def unpacked(three: torch.Tensor) -> torch.Tensor:
    """What `packed` was made from."""
    a, b, c = three.int().unflatten(1, (-1, 3)).unbind(2)
    four = a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63
    return (torch.stack(four, 2).flatten(1) - 32).to(torch.int8)


def load(folder: str | Path, device: str = "cpu") -> Process:
    """The process in a checkpoint folder, in evaluation mode. Raises CheckpointError, in one
    sentence."""
    folder = Path(folder)
    config = read_config(folder)
    shape, found = check_config(config, folder), read_header(folder)
    if not config.get("doubt"):  # a head is far smaller than the network whose shape it names
        check_room(NETS[config.get("network", USUAL)], shape, found, folder)
    with blamed(folder):
        tokenizer = tokenizer_of(config, folder)
        for name in names_of(config.get("task", "")):
            tag_of(tokenizer, name)  # raises where there is no token of it
        made = dict(network=config.get("network", USUAL), options=config.get("options", {}))
        if config.get("classifier") or config.get("doubt"):
            kind = Classifier if config.get("classifier") else Doubt
            known, net = PROCESSES[config["process"]], dict(network=made["network"], **shape)
            process = kind.build(known, tokenizer, noise_of(config), **net)
        else:
            process = build(config["process"], tokenizer, noise_of(config), **shape, **made)
    process.load_state_dict(read_weights(folder, process, found))
    try:
        process.check()
    except ValueError as error:
        raise CheckpointError(f"The weights in {folder.name!r} cannot be used: {error}") from None
    process.task, process.corpus = config.get("task", ""), config["corpus"]
    process.ends = config.get("ends", False)
    process.label_names = attributes_of(config)
    return process.to(device).eval()


def read_config(folder: Path) -> dict:
    config = read_object(folder, "config.json")
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"The config.json in {folder.name!r} is not of format {FORMAT}, the one this "
            "version reads."
        )
    if isinstance(made := config.get("training"), dict):
        config["training"] = renamed(made)
    return config


def renamed(settings: dict) -> dict:
    """Settings of a training with their names of today, whatever version wrote them."""
    return {RENAMED.get(name, name): value for name, value in settings.items()}


def read_object(folder: Path, name: str, limit: int = MAX_CONFIG) -> dict:
    """The JSON object in a file. Raises CheckpointError, in one sentence, if there is none."""
    try:
        data = read_whole(folder / name, limit)
        found = data and json.loads(data)
    except ValueError as error:
        raise CheckpointError(
            f"The {name} in {folder.name!r} "
            f"{error if isinstance(error, Unread) else 'is not JSON'}."
        ) from None
    except RecursionError:
        raise CheckpointError(f"The {name} in {folder.name!r} is not JSON.") from None
    if found is None:
        raise CheckpointError(f"{str(folder)!r} is not a checkpoint: there is no {name} in it.")
    if not isinstance(found, dict):
        raise CheckpointError(
            f"The {name} in {folder.name!r} is not JSON of any format that this version reads."
        )
    return found


def check_config(config: dict, folder: Path) -> dict[str, int]:
    """The shape of the network that a config describes, after checking the whole config."""
    with blamed(folder):
        check_names(config)
        tokenizers.check(config), noise_of(config)
        told = BOUNDS.keys() - (UNTOLD - config["net"].keys())
        return {key: bounded(config["net"], key, folder) for key in BOUNDS if key in told}


@contextmanager
def blamed(folder: Path) -> Iterator[None]:
    """A context in which errors become a CheckpointError that names the config."""
    try:
        yield
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)[:300]
        raise CheckpointError(
            f"The config.json in {folder.name!r} does not describe a model: {what}"
        ) from None


def tokenizer_of(config: dict, folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint. Raises ValueError or KeyError."""

    def read(name: str, limit: int) -> bytes:
        try:
            data = read_whole(folder / name, limit)
        except Unread as error:
            raise CheckpointError(f"The {name} in {folder.name!r} {error}.") from None
        if data is None:
            raise ValueError(f"there is no {name} beside it.")
        return data

    return tokenizers.load(config, read)


def cutter(folder: Path) -> str | Tokenizer:
    """How to cut a corpus for a checkpoint: into its characters, or by its own tokenizer. Raises
    CheckpointError."""
    config = read_config(folder)
    with blamed(folder):
        found = tokenizer_of(config, folder)
    return "characters" if found.kind == "characters" else found


def noise_of(config: dict) -> Schedule:
    return schedule(config["schedule"]["name"], config["schedule"]["floor"])


def bounded(net: dict, key: str, folder: Path) -> int:
    low, high = BOUNDS[key]
    value = net[key]
    if type(value) is not int or not low <= value <= high:
        raise CheckpointError(
            f"In {folder.name!r} net.{key} is {str(value)[:60]}; it must be a whole number "
            f"from {low} to {high}."
        )
    return value


def check_names(config: dict) -> None:
    """Raises ValueError where a name or a number in a config is invalid."""
    corpus, floor = config["corpus"], config["schedule"]["floor"]
    if config["process"] not in PROCESSES:
        raise ValueError(
            f"there is no process {str(config['process'])[:60]!r}; there are "
            f"{', '.join(PROCESSES)} (one of a plug-in is found with --plugins)."
        )
    if config.get("network", USUAL) not in NETS:
        raise ValueError(
            f"there is no network {brief(config['network'])}; there are {', '.join(NETS)}."
        )
    if not isinstance(corpus, str) or len(corpus) > NAME:
        raise ValueError(f"corpus must be a name of at most {NAME} characters.")
    if 0 < floor < FLOOR:
        raise ValueError(f"the schedule's floor must be at least {FLOOR:g}, not {floor!r}.")
    task = config.get("task", "")
    if task not in ("", *TASKS) and not (isinstance(task, str) and names_of(task)):
        raise ValueError(
            f"there is no task {str(config['task'])[:60]!r}; there are {', '.join(TASKS)}."
        )
    check_story(config)


def check_story(config: dict) -> None:
    """Raises ValueError where what a config tells people about its training has a wrong type."""
    kinds = {"training": dict, "before": dict, "options": dict, "ends": bool}
    kinds |= {"classifier": bool, "doubt": bool}
    kinds |= {"hardware": str, "fingerprint": str}
    if wrong := [
        key for key, kind in kinds.items() if key in config and not isinstance(config[key], kind)
    ]:
        raise ValueError(f"{wrong[0]} is {brief(config[wrong[0]])}.")
    check_labels(config)
    if "before" in config and not isinstance(config["before"].get("name"), str):
        raise ValueError(f"before is {brief(config['before'])}.")
    for told in (config, config.get("before", {})):
        if any(not is_number(told.get(key, 0)) for key in ("step", "seconds", "best")) or any(
            type(told.get(key, 0)) is not int for key in ("step", "best")
        ):
            raise ValueError("step, best and seconds must be numbers.")
    for row in config.get("before", {}).get("curve", []):
        if not (type(row) is list and len(row) == 2 and all(map(is_number, row))):
            raise ValueError(f"before.curve has {brief(row)}.")


def names_of_labels(attributes: Attributes) -> list | dict:
    """The values of each attribute as a config holds them; of a single one, which needs no name, a
    list."""
    if len(attributes) < 2:
        return list(flat(attributes))
    return {name: list(values) for name, values in attributes.items()}


def attributes_of(config: dict) -> Attributes:
    """What `names_of_labels` was given."""
    labels = config.get("labels", [])
    told = labels if isinstance(labels, dict) else {"label": labels} if labels else {}
    return {name: tuple(values) for name, values in told.items()}


def check_labels(config: dict) -> None:
    """Raises ValueError unless the labels, where a config names them, are those of its network."""
    labels, net = config.get("labels", []), config["net"]
    several = isinstance(labels, dict)
    if not several and not isinstance(labels, list):
        raise ValueError(f"labels is {brief(labels)}.")
    if several and any(not isinstance(values, list) for values in labels.values()):
        raise ValueError("labels must hold a list of names for each attribute.")
    names = [*chain(*labels.values()), *labels] if several else labels
    if any(not is_text(name) or not 0 < len(name) <= NAME for name in names):
        raise ValueError(f"labels must be names of at most {NAME} characters.")
    if several and any("," in name or name != name.strip() for name in names):
        raise ValueError("labels must be names without commas where a text has several.")
    known = attributes_of(config)
    if labels and not len(set(flat(known))) == len(flat(known)) == net["labels"]:
        raise ValueError(
            f"labels names {len(set(flat(known)))} classes, and its network knows "
            f"{brief(net['labels'])}."
        )
    if labels and len(known) != net.get("attributes", 1):
        raise ValueError(
            f"labels names {len(known)} attributes, and its network knows "
            f"{brief(net.get('attributes', 1))}."
        )


def check_text(config: dict, folder: Path, data: Corpus | Documents | Pairs | Tasks) -> None:
    """Raises CheckpointError unless a corpus is what a checkpoint learned from: it has the same
    tokens in the same order, because tokens are stored as numbers, and, where the checkpoint holds
    its hash, the same text."""
    with blamed(folder):
        here, there = data.tokenizer, tokenizer_of(config, folder)
    learned = f"{folder.name!r} learned from {brief(config['corpus'])}"
    if here != there:
        other = here.unlike(there) or "numbers its tokens otherwise"
        raise CheckpointError(
            f"{learned}, and the corpus {brief(data.name)} {other}: give the text that it "
            "learned from."
        )
    if config.get("fingerprint", data.fingerprint) != data.fingerprint:
        raise CheckpointError(
            f"{learned}, and the corpus {brief(data.name)} is another text, or a changed "
            "one: give the text that it learned from."
        )


def check_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(
            f"{folder.name!r} has no model.safetensors; other formats of weights are not loaded."
        )
    if path.stat().st_size > MAX_WEIGHTS:
        raise CheckpointError(
            f"The weights in {folder.name!r} are over {MAX_WEIGHTS:,} bytes: too large for "
            "this page."
        )


def read_header(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights from the header of their file, after checking it against the
    size of the file."""
    check_weights(folder)
    path = folder / "model.safetensors"
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, MAX_HEADER):
                raise ValueError("its header is longer than it may be")
            header = json.loads(file.read(length))
        return scaled({name: placed(tensor, size - 8 - length) for name, tensor in entries(header)})
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = (
            "its header is not what it should be"
            if isinstance(error, (KeyError, AttributeError, RecursionError))
            else error
        )
        raise CheckpointError(
            f"The model.safetensors in {folder.name!r} is damaged or cut short ({why})."
        ) from None


def entries(header: dict) -> list[tuple[str, dict]]:
    """The tensors that a header lists. Raises ValueError if they are too many."""
    found = [(name, tensor) for name, tensor in header.items() if name != "__metadata__"]
    if len(found) > MAX_TENSORS:
        raise ValueError(f"{len(found):,} tensors")
    return found


def scaled(found: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors by their names, given with their kinds, without the scales of those of
    whole numbers. Raises ValueError where a scale is missing, or does not fit."""
    whole = {name: shape for name, (kind, shape) in found.items() if kind in ("I8", "U8")}
    for name, shape in whole.items():
        if len(shape) != 2 or found.get(name + SCALE) != ("F16", shape[:1]):
            raise ValueError(f"{name[:60]!r} lacks the scales of its rows")
    scales = {name + SCALE for name in whole}
    return {
        name: (shape[0], shape[1] // 3 * 4) if kind == "U8" else shape
        for name, (kind, shape) in found.items()
        if name not in scales
    }


def placed(tensor: dict, room: int) -> tuple[str, tuple[int, ...]]:
    """The kind and the shape of a tensor that lies within `room` bytes and is as long as its shape
    says. Raises ValueError."""
    kind, shape, (start, stop) = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if kind not in BYTES:
        raise ValueError(f"numbers of the kind {str(kind)[:20]!r}; {', '.join(BYTES)} are read")
    if (
        any(type(n) is not int or not 0 <= n <= MAX_WEIGHTS for n in (*shape, start, stop))
        or len(shape) > 8
    ):
        raise ValueError("a shape or a place that cannot be")
    if not start <= stop <= room or stop - start != math.prod(shape) * BYTES[kind]:
        raise ValueError("a tensor that does not lie where it is said to")
    return kind, tuple(shape)


def check_room(
    net: type[Network], shape: dict[str, int], found: dict[str, tuple[int, ...]], folder: Path
) -> None:
    """Raises CheckpointError if there are fewer weights than the network has at the least, before
    memory is taken for it."""
    needed, there = net.least_weights(shape), sum(math.prod(s) for s in found.values())
    if needed > there:
        raise CheckpointError(
            f"The weights in {folder.name!r} do not fit its config.json, which describes "
            f"more than {needed:,}; there are {there:,}."
        )


def read_weights(
    folder: Path, process: Process, found: dict[str, tuple[int, ...]]
) -> dict[str, torch.Tensor]:
    """The weights as float32, after checking that their shapes are those of the process, and that
    all values are finite."""
    needed = {name: tuple(p.shape) for name, p in process.state_dict().items()}
    stored = {new: old for old, new in process.stored_as.items() if old in found}
    found = {process.stored_as.get(name, name): shape for name, shape in found.items()}
    if found != needed:
        wrong = min(name for name in found.keys() | needed if found.get(name) != needed.get(name))
        raise CheckpointError(
            f"The weights in {folder.name!r} do not fit its config.json: {wrong[:60]!r} differs."
        )
    try:
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            weights = {name: stored_weight(file, stored.get(name, name)) for name in needed}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"The model.safetensors in {folder.name!r} is damaged or cut short ({error})."
        ) from None
    if not all(w.isfinite().all() for w in weights.values()):
        raise CheckpointError(
            f"The weights in {folder.name!r} are not all finite numbers: the training went wrong."
        )
    return weights


def stored_weight(file, name: str) -> torch.Tensor:
    """A tensor of a file of weights as float32."""
    found = file.get_tensor(name)
    if found.dtype not in (torch.int8, torch.uint8):
        return found.float()
    whole = found if found.dtype == torch.int8 else unpacked(found)
    return whole.float() * file.get_tensor(name + SCALE).float()[:, None]


def card(folder: str | Path) -> Card:
    """Config, training curve and evaluation of a checkpoint; only the config must be there. Shares
    of real words from evaluations without "letters" are left out: they counted short words too."""
    folder = Path(folder)
    config, evaluation = read_config(folder), read_json(folder / "evaluation.json")
    evaluation = evaluation if "letters" in evaluation else without_words(evaluation)
    return Card(folder, config, read_jsonl(folder / "metrics.jsonl"), evaluation)


def without_words(found):
    """An evaluation, or a part of it, with every share of real words set to None."""
    if isinstance(found, list):
        return [without_words(part) for part in found]
    if isinstance(found, dict):
        return {key: None if key == "words" else without_words(part) for key, part in found.items()}
    return found


def fingerprint(weights: Path) -> str:
    """The hash of a file of weights, 16 hexadecimal digits."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:16]


def read_json(path: Path) -> dict:
    """The JSON object in a file, {} where there is none. Raises CheckpointError."""
    return read_object(path.parent, path.name, MAX_MEASURED) if path.is_file() else {}


def read_jsonl(path: Path) -> list[dict]:
    """The rows of a JSON-lines file up to the first that is damaged or cut short."""
    rows = []
    try:
        data = read_whole(path, MAX_MEASURED) or b""
    except Unread as error:
        raise CheckpointError(f"The {path.name} in {path.parent.name!r} {error}.") from None
    for line in data.split(
        b"\n"
    ):  # and nowhere else: a sample may hold signs that other programs take for line ends
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            break
        if not (isinstance(rows[-1], dict) and is_number(rows[-1].get("step"))):
            return rows[:-1]
    return rows


def finite(value: float) -> float | None:
    """The number, or None if JSON cannot hold it."""
    return value if math.isfinite(value) else None
