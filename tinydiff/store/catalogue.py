"""The models that are there: the bundled checkpoints and the perfect networks, by name; and load(),
which opens anything.

A model is "masked" or "autoregressive" (a folder of assets/checkpoints) or "perfect-masked" (the
Markov language of the bundled bigrams with the exact denoiser of that noise). Checkpoints with a
task, the `rewriters`, are listed apart: they need a source to write from.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tinydiff.exact import Markov, perfect
from tinydiff.paths import ASSETS, PACKAGE
from tinydiff.processes import PROCESSES, Process
from tinydiff.sentences import brief
from tinydiff.store import checkpoint, hub
from tinydiff.store.checkpoint import Card, CheckpointError

CHECKPOINTS = ASSETS / "checkpoints"
LANGUAGE = ASSETS / "bigrams"
JUDGE = "autoregressive"
PERFECT = "perfect-"
BIGRAMS = "tiny_shakespeare"  # the corpus whose pairs of characters the perfect networks know


@dataclass(frozen=True)
class Model:
    """A model that can be chosen. `folder` is None for a perfect network, and for a model of the
    Hub that is not pulled yet."""

    key: str
    process: str
    title: str
    folder: Path | None
    task: str = ""  # what it rewrites; "" writes plain text

    @property
    def playable(self) -> bool:
        """Whether its weights are there. To save room a checkpoint may come with its card and
        evaluation alone."""
        return self.folder is None or (self.folder / "model.safetensors").is_file()


def models() -> dict[str, Model]:
    """Every model that writes plain text, trained ones first, in the order of their names."""
    exact = {
        PERFECT + name: Model(
            PERFECT + name, name, f"Perfect network of two-character Shakespeare, {name}", None
        )
        for name in perfect_families()
        if LANGUAGE.is_dir()
    }
    return {
        key: model for key, model in bundled().items() if not model.task and model.playable
    } | exact


def perfect_families() -> list[str]:
    """The processes that have a perfect network: those whose noise has a likelihood for every
    position."""
    return [name for name, cls in PROCESSES.items() if "likelihood" in cls.traits]


def hub_models(source: str, seconds: float = hub.PATIENCE) -> tuple[dict[str, Model], Process]:
    """The models in a repository of the Hub that write plain text, by their pinned ids, and the
    first of them, pulled and opened. Raises CheckpointError."""
    end = time.monotonic() + seconds
    found = [hub_model(*one) for one in hub.contents(source, seconds) if not one.config.get("task")]
    if not found:
        raise CheckpointError(
            f"{source!r} holds no model that writes plain text, only such as rewrite."
        )
    pulled = hub.pull(found[0].key, max(1.0, end - time.monotonic()))
    return {model.key: model for model in found}, from_hub(*pulled)


def hub_model(source: hub.Source, config: dict) -> Model:
    """A model of the Hub."""
    return Model(
        str(source), config["process"], describe(source.name, config), None, config.get("task", "")
    )


def find(name: str) -> tuple[Model, Process]:
    """A model by its key, or by its id on the Hub, from which it is pulled once; the model's key
    then names the commit. Raises ValueError."""
    if not hub.is_source(name):
        process = opened(name)
        return (models() | rewriters())[name], process
    pulled = hub.pull(name)
    return hub_model(pulled.source, checkpoint.read_config(pulled.folder)), from_hub(*pulled)


def rewriters() -> dict[str, Model]:
    """Every model that rewrites, in the order of their names, masked noise first: it makes the
    fewest errors."""
    found = {key: model for key, model in bundled().items() if model.task and model.playable}
    return dict(sorted(found.items(), key=lambda item: item[1].process != "masked"))


def bundled() -> dict[str, Model]:
    """The checkpoints in `assets/`, in the order of their names, with weights or without."""
    folders = {
        folder.parent.name: folder.parent for folder in sorted(CHECKPOINTS.glob("*/config.json"))
    }
    configs = {key: checkpoint.read_config(folder) for key, folder in folders.items()}
    return {
        key: Model(
            key, config["process"], describe(key, config), folders[key], config.get("task", "")
        )
        for key, config in configs.items()
        if config["process"] in PROCESSES
    }


def describe(name: str, config: dict) -> str:
    net = config["net"]
    return (
        f"{name}: {net['layers']} layers, width {net['width']}, trained on "
        f"{config['corpus'].replace('_', ' ')}"
    )


def open_model(key: str) -> Process:
    """The process of a model by its key, loaded once, or by its Hub id, "user/name/folder@commit".
    Raises ValueError that lists the keys."""
    return from_hub(*hub.pull(key)) if hub.is_source(key) else opened(key)


@lru_cache(maxsize=3)
def from_hub(folder: Path, source: hub.Source) -> Process:
    """The process of a pulled checkpoint; a few are kept in memory."""
    return checkpoint.load(folder)


@lru_cache(maxsize=8)
def opened(key: str) -> Process:
    known = models() | rewriters()
    if key not in known:
        raise unknown(key, known)
    model = known[key]
    if model.folder:
        return checkpoint.load(model.folder)
    process = perfect(model.process, bigrams())
    process.corpus = BIGRAMS
    return process


@lru_cache(maxsize=64)
def fingerprint(key: str) -> str:
    """The hash of a bundled model's weights, or of the language of a perfect network."""
    return checkpoint.fingerprint(
        ((models() | rewriters())[key].folder or LANGUAGE) / "model.safetensors"
    )


def card_of(key: str) -> Card | None:
    """Config, training curve and evaluation of a model, with weights or without; None for a perfect
    network."""
    folder = (models() | bundled())[key].folder
    return checkpoint.card(folder) if folder else None


def found_card(source: str) -> Card:
    """The card of a bundled model, with weights or without, or of a checkpoint folder. Raises
    CheckpointError where there is neither."""
    if source in (known := bundled()):
        return card_of(source)
    if not Path(source).is_dir():
        raise unknown(source, known)
    return checkpoint.card(source)


def real_text() -> dict:
    """The quality of real text (evaluate.Quality), from the first checkpoint that was evaluated; {}
    if none was."""
    return next((real for key in bundled() if (real := card_of(key).evaluation.get("real"))), {})


def yardsticks() -> dict:
    """Both ends of the scale of real words (evaluate.yardsticks), from the first checkpoint that
    has them; {} if none has."""
    return next(
        (ends for key in bundled() if (ends := card_of(key).evaluation.get("yardsticks"))), {}
    )


@lru_cache(maxsize=1)
def bigrams() -> Markov:
    """The Markov language of Tiny Shakespeare's character pairs, from assets/bigrams."""
    return Markov.load(LANGUAGE)


@lru_cache(maxsize=1)
def words() -> frozenset[str]:
    """Real words in lower case: the CMU Pronouncing Dictionary and the training text of Tiny
    Shakespeare."""
    return frozenset(
        gzip.decompress((PACKAGE / "measure" / "words.txt.gz").read_bytes()).decode().split()
    )


def has_judge() -> bool:
    """Whether this copy holds the judge."""
    return JUDGE in models()


def judge() -> Process:
    """The bundled autoregressive model, under which the texts of all models are scored."""
    return open_model(JUDGE)


def load(source: str | Path, device: str = "cpu") -> Process:
    """A process from a checkpoint folder, a bundled model's name, or a Hub id:
    "user/name/folder@revision".

    Raises CheckpointError (a ValueError), in one sentence, for anything that is not a sound
    checkpoint.
    """
    path = Path(source)
    if path.is_dir():
        return checkpoint.load(path, device)
    name = str(source).removeprefix("assets/").removeprefix("checkpoints/")
    if name in models() | rewriters():
        return open_model(name).to(device)
    if hub.is_source(str(source)):
        return open_model(str(source)).to(device)
    raise unknown(str(source), models())


def unknown(name: str, known: Iterable[str]) -> CheckpointError:
    """The error for a name that no model of this copy has."""
    kinds = "a checkpoint folder or a Hub id (user/name)"
    if not (listed := ", ".join(known)):
        return CheckpointError(
            f"There is no model {brief(name)}, because this installation carries no weights: "
            f"name {kinds}, as in `tinydiff sample --model PATH`."
        )
    return CheckpointError(f"There is no model {brief(name)}: name {kinds}, or one of {listed}.")


def check_assets(user: str) -> None:
    """Raises CheckpointError where the bundled models are missing. user: what needs them, a command
    or the page."""
    if not CHECKPOINTS.is_dir():
        raise CheckpointError(
            f"{user} is made of the bundled models, and this installation carries none: run it in "
            "a clone of the repository."
        )
