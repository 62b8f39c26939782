"""The models that are there: the bundled checkpoints and the perfect networks, by name; and load(),
which opens anything.

A model is "stories/masked" or "shakespeare/autoregressive" (a folder of assets/checkpoints) or
"perfect-masked" (the Markov language of the bundled bigrams with the exact denoiser of that noise).
Checkpoints with a task, the `rewriters`, are listed apart: they need a source to write from.

Beside them stand the `GUESTS`: checkpoints of the Hub, or of a folder, that the owner of a page
named for everybody who visits it. Judges and yardsticks are never among them.

Before there were stories "masked" was the model of Shakespeare, and still is (`named`).
"""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tinydiff.exact import Markov, perfect
from tinydiff.paths import ASSETS, PACKAGE
from tinydiff.processes import PROCESSES, Process
from tinydiff.sentences import brief
from tinydiff.store import adapters, bases, checkpoint, hub, told
from tinydiff.store.checkpoint import Card, CheckpointError

CHECKPOINTS = ASSETS / "checkpoints"
CLASSIFIERS = ASSETS / "classifiers"
DOUBTS = ASSETS / "doubts"
DRAFTS = ASSETS / "drafts"
LANGUAGE = ASSETS / "bigrams"
STORIES, SHAKESPEARE = "stories/", "shakespeare/"  # the folders of two corpora
JUDGE = "autoregressive"  # by its process: whatever else writes is scored by it
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
    corpus: str = ""  # the name of what it learned

    @property
    def playable(self) -> bool:
        """Whether its weights are there. To save room a checkpoint may come with its card and
        evaluation alone."""
        return self.folder is None or (self.folder / "model.safetensors").is_file()


@dataclass(frozen=True)
class Guest:
    """A checkpoint that a page's owner named, and what is kept of it for as long as the page is
    served: its network and its card; None of one that is not pulled yet."""

    model: Model
    process: Process | None = None
    card: Card | None = None


GUESTS: dict[str, Guest] = {}  # by the keys of their models, the one that was named first


def models() -> dict[str, Model]:
    """Every model that writes plain text: guests, then trained ones in the order of their names."""
    exact = {
        PERFECT + name: Model(
            PERFECT + name,
            name,
            f"Perfect network of two-character Shakespeare, {name}",
            None,
            corpus=BIGRAMS,
        )
        for name in perfect_families()
        if LANGUAGE.is_dir()
    }
    return guests("text") | own_models() | exact


def own_models() -> dict[str, Model]:
    """The bundled models that write plain text, with weights."""
    return {key: model for key, model in bundled().items() if not model.task and model.playable}


def guests(kind: str) -> dict[str, Model]:
    """The guests that write plain "text", or "lines"."""
    return {
        key: guest.model
        for key, guest in GUESTS.items()
        if bool(guest.model.task) == (kind == "lines")
    }


def is_ready(key: str) -> bool:
    """Is it a guest that is open?"""
    return key in GUESTS and GUESTS[key].process is not None


def perfect_families() -> list[str]:
    """The processes that have a perfect network: those whose noise has a likelihood for every
    position."""
    return [name for name, cls in PROCESSES.items() if "likelihood" in cls.traits]


def hub_models(source: str, seconds: float = hub.PATIENCE) -> tuple[dict[str, Model], Process]:
    """The models in a repository of the Hub by their pinned ids, and the first that writes plain
    text, pulled and opened. Raises CheckpointError where none does."""
    end = time.monotonic() + seconds
    every = hub_contents(source, seconds)
    found = [key for key, model in every.items() if not model.task]
    if not found:
        raise CheckpointError(
            f"{source!r} holds no model that writes plain text, only such as rewrite."
        )
    pulled = hub.pull(found[0], max(1.0, end - time.monotonic()))
    return every, from_hub(*pulled)


def hub_contents(source: str, seconds: float = hub.PATIENCE) -> dict[str, Model]:
    """All models in a repository of the Hub by their pinned ids, those that rewrite too. Raises
    CheckpointError."""
    found = [hub_model(*one) for one in hub.contents(source, seconds)]
    return {model.key: model for model in found}


def hub_model(source: hub.Source, config: dict) -> Model:
    """A model of the Hub."""
    return Model(
        str(source),
        config["process"],
        describe(source.name, config),
        None,
        config.get("task", ""),
        config["corpus"],
    )


def find(name: str) -> tuple[Model, Process]:
    """A model by its name, or by its id on the Hub, from which it is pulled once; the model's key
    then names the commit. Raises ValueError."""
    known = models() | rewriters()
    key = named(name, known)
    if key in GUESTS and GUESTS[key].process:
        return GUESTS[key].model, GUESTS[key].process
    if key not in GUESTS and (key in known or not of_hub(name)):
        process = opened(key)
        return known[key], process
    pulled = hub.pull(name)
    return hub_model(pulled.source, checkpoint.read_config(pulled.folder)), from_hub(*pulled)


def named(name: str, known: Iterable[str]) -> str:
    """The key that a name stands for among those that are known: itself; the model of Shakespeare,
    where it names a family alone; of a family that Shakespeare's text is not learned by any more,
    the model of stories. What stands for none is returned as it is."""
    if not isinstance(name, str):
        return name
    family = name.removeprefix(SHAKESPEARE)
    keys = (name, SHAKESPEARE + name, STORIES + family)
    return next((key for key in keys if key in known), name)


def short_name(key: str) -> str:
    """A key as menus and pictures have it: of a commit the first digits."""
    return f"{key[:-33]}" if re.fullmatch(r".+@[0-9a-f]{40}", key) else key


def of_hub(name: str) -> bool:
    """Whether a name is an id on the Hub, user/name, and no key of ours, with weights or
    without."""
    return hub.is_source(name) and not name.startswith((STORIES, SHAKESPEARE))


def bare(source: str | Path) -> str:
    """A name as `load` looks it up: a bundled model may be named with its folder in the
    repository."""
    return str(source).removeprefix("assets/").removeprefix("checkpoints/")


def instead(name: str) -> str:
    """A sentence where a name stands for another model than it did, as old links have it; else
    ""."""
    key, family = named(name, known := models()), name.removeprefix(SHAKESPEARE)
    if key in known and key != name and key == STORIES + family:
        return (
            f"The weights of {family!r} that had learned Shakespeare are not kept any more: this "
            f"is {key!r}."
        )
    return ""


def rewriters() -> dict[str, Model]:
    """Every model that rewrites: guests, then in the order of their names, masked noise first: it
    makes the fewest errors."""
    found = {key: model for key, model in bundled().items() if model.task and model.playable}
    own = dict(sorted(found.items(), key=lambda item: item[1].process != "masked"))
    return guests("lines") | own


def classifiers() -> list[str]:
    """The names of the bundled classifiers."""
    return sorted(path.parent.name for path in CLASSIFIERS.glob("*/config.json"))


@lru_cache(maxsize=4)
def opened_classifier(name: str) -> Process:
    return checkpoint.load(CLASSIFIERS / name)


def doubts() -> list[str]:
    """The names of the bundled heads that doubt."""
    return sorted(path.parent.name for path in DOUBTS.glob("*/config.json"))


def doubt_beside(model: str) -> str:
    """The name of the bundled head that was trained beside a model; "" where there is none."""
    made = {name: checkpoint.read_config(DOUBTS / name)["training"] for name in doubts()}
    return next((name for name, how in made.items() if how.get("doubt") == model), "")


@lru_cache(maxsize=2)
def opened_doubt(name: str) -> Process:
    return checkpoint.load(DOUBTS / name)


def of_masks() -> list[str]:
    """The bundled models of masks that write plain text."""
    noises = {key: PROCESSES[model.process].over.name for key, model in own_models().items()}
    return [key for key, noise in noises.items() if noise == "mask"]


def drafters() -> list[str]:
    """The names of the bundled adapters that draft for a pretrained model."""
    return sorted(path.parent.name for path in DRAFTS.glob("*/config.json"))


def base_of(drafter: Path) -> str:
    """The pretrained model beside which the adapter in a folder was trained, "user/name" or
    "user/name@revision"; "" where it names none. Nothing of it is opened. Raises
    CheckpointError."""
    told = checkpoint.read_json(drafter / "config.json").get("drafts")
    told = told if isinstance(told, dict) else {}
    base, revision = told.get("base") or "", told.get("revision") or ""
    return f"{base}@{revision}" if base and revision else str(base)


def drafted_base() -> str:
    """That of the first bundled adapter; "" where there is none."""
    return next((base_of(DRAFTS / name) for name in drafters()), "")


@lru_cache(maxsize=2)
def opened_drafter(name: str) -> Process:
    return adapters.load(DRAFTS / name)


def bundled() -> dict[str, Model]:
    """The checkpoints in `assets/`, stories first, then in the order of their names, with weights
    or without."""
    found = {
        path.parent.relative_to(CHECKPOINTS).as_posix(): path.parent
        for path in CHECKPOINTS.glob("**/config.json")
    }
    folders = dict(sorted(found.items(), key=lambda item: (STORIES not in item[0], item[0])))
    shelf = {
        key: model_in(key, folder, (folder / "config.json").stat().st_mtime_ns)
        for key, folder in folders.items()
    }
    return {key: model for key, model in shelf.items() if model.process in PROCESSES}


@lru_cache(maxsize=128)
def model_in(key: str, folder: Path, written: int) -> Model:
    """The checkpoint of a folder, whose config.json was `written` then (nanoseconds)."""
    config = checkpoint.read_config(folder)
    about, task = describe(key, config), config.get("task", "")
    return Model(key, config["process"], about, folder, task, config["corpus"])


def describe(name: str, config: dict) -> str:
    net = config["net"]
    return (
        f"{name}: {net['layers']} layers, width {net['width']}, trained on "
        f"{config['corpus'].replace('_', ' ')}"
    )


def open_model(key: str) -> Process:
    """The process of a model by its name, loaded once, or by its Hub id, "user/name/folder@commit".
    Raises ValueError that lists the keys."""
    return find(key)[1]


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
    """The hash of a bundled model's weights, of a classifier's, a head's or an adapter's, or of the
    language of a perfect network."""
    for folder in (CLASSIFIERS, DOUBTS, DRAFTS):
        if (weights := folder / key / "model.safetensors").is_file():
            return checkpoint.fingerprint(weights)
    known = models() | rewriters()
    folder = known[named(key, known)].folder or LANGUAGE
    return checkpoint.fingerprint(folder / "model.safetensors")


def card_of(key: str) -> Card | None:
    """Config, training curve and evaluation of a model, with weights or without, or of one of the
    Hub by its pinned id; None for a perfect network. Raises CheckpointError."""
    known = models() | bundled()
    key = named(key, known)
    if key in GUESTS and GUESTS[key].card:
        return GUESTS[key].card
    if key in GUESTS or (key not in known and of_hub(key)):
        return card_of_hub(key)
    folder = known[key].folder
    return checkpoint.card(folder) if folder else None


def brings_card(key: str) -> bool:
    """Is it a checkpoint that somebody else evaluated: of the Hub, or a guest?"""
    return key in GUESTS or (of_hub(key) and key not in bundled())


@lru_cache(maxsize=8)
def card_of_hub(key: str) -> Card:
    """The card of a pinned checkpoint of the Hub, as far as it can be drawn."""
    return told.card(hub.pull(key).folder)


def found_card(source: str) -> Card:
    """The card of a bundled model, with weights or without, of a checkpoint folder, or of a model
    of the Hub. Raises CheckpointError where there is none."""
    if source in GUESTS or (key := named(source, known := bundled())) in known:
        return card_of(source if source in GUESTS else key)
    if not Path(source).is_dir():
        if not of_hub(source):
            raise unknown(source, known)
        return told.card(hub.pull(source).folder)
    return checkpoint.card(source)


def real_text(corpus: str = BIGRAMS) -> dict:
    """The quality of a corpus's own text (evaluate.Quality), from the first of its checkpoints that
    was evaluated; {} if none was."""
    return measured(corpus, "real")


def yardsticks(corpus: str = BIGRAMS) -> dict:
    """Both ends of a corpus's scale of real words (evaluate.yardsticks), from the first of its
    checkpoints that has them; {} if none has."""
    return measured(corpus, "yardsticks")


def sense(corpus: str = BIGRAMS) -> dict:
    """Both ends of a corpus's scale of sense (measure/sense.py), from the first of its checkpoints
    that has them; {} if none has."""
    return measured(corpus, "sense")


def measured(corpus: str, what: str) -> dict:
    """What the first evaluation of a corpus's checkpoints says of it; {} if none does."""
    keys = (key for key, model in bundled().items() if model.corpus == corpus and not model.task)
    return next((found for key in keys if (found := card_of(key).evaluation.get(what))), {})


@lru_cache(maxsize=1)
def bigrams() -> Markov:
    """The Markov language of Tiny Shakespeare's character pairs, from assets/bigrams."""
    return Markov.load(LANGUAGE)


@lru_cache(maxsize=2)
def words(corpus: str = BIGRAMS) -> frozenset[str]:
    """The words, in lower case, that count as real in the texts of who learned a corpus: for Tiny
    Shakespeare the CMU Pronouncing Dictionary and its training text; for stories the words of
    13 MB of them, of which held-out stories have 99.8 % of their words of four letters or more."""
    name = "stories" if corpus == "tinystories" else "words"
    return frozenset(
        gzip.decompress((PACKAGE / "measure" / f"{name}.txt.gz").read_bytes()).decode().split()
    )


def has_judge() -> bool:
    """Whether this copy holds a judge."""
    return any(model.process == JUDGE for model in own_models().values())


def judge(corpus: str = BIGRAMS) -> Process | None:
    """The bundled autoregressive model of a corpus, under which the texts of all that learned it
    are scored; None where there is none."""
    alike = (m for m in own_models().values() if m.corpus == corpus)
    return next((opened(model.key) for model in alike if model.process == JUDGE), None)


def load(source: str | Path, device: str = "cpu") -> Process:
    """A process from a checkpoint folder, a bundled model's name, or a Hub id:
    "user/name/folder@revision".

    Raises CheckpointError (a ValueError), in one sentence, for anything that is not a sound
    checkpoint.
    """
    path = Path(source)
    if path.is_dir() and adapters.is_adapter(config := checkpoint.read_json(path / "config.json")):
        return adapters.load(path).to(device)
    if path.suffix == ".gguf" or (path.is_dir() and "architectures" in config):
        return bases.base(str(source)).to(device)
    if path.is_dir():
        return checkpoint.load(path, device)
    known = models() | rewriters()
    if (key := named(bare(source), known)) in known:
        return open_model(key).to(device)
    if str(source) in drafters():
        return opened_drafter(str(source)).to(device)
    if str(source) in doubts():
        return opened_doubt(str(source)).to(device)
    if str(source) in classifiers():
        return opened_classifier(str(source)).to(device)
    if of_hub(str(source)):
        try:
            return open_model(str(source)).to(device)
        except CheckpointError:
            if not bases.is_base(str(source)):
                raise
            return bases.base(str(source)).to(device)
    raise unknown(str(source), models())


def unknown(name: str, known: Iterable[str]) -> CheckpointError:
    """The error for a name that no model of this copy has."""
    kinds = "a checkpoint folder or a Hub id (user/name)"
    if not (listed := ", ".join(short(known))):
        return CheckpointError(
            f"There is no model {brief(name)}, because this installation carries no weights: "
            f"name {kinds}, as in `tinydiff sample --model PATH`."
        )
    return CheckpointError(f"There is no model {brief(name)}: name {kinds}, or one of {listed}.")


def short(known: Iterable[str]) -> list[str]:
    """The names of models for a sentence: those that were trained, and how perfect networks are
    named."""
    trained = [key for key in known if not key.startswith(PERFECT)]
    return trained + [f"{PERFECT}NOISE"] * (len(trained) < len(list(known)))


def check_assets(user: str) -> None:
    """Raises CheckpointError where the bundled models are missing. user: what needs them, a command
    or the page."""
    if not CHECKPOINTS.is_dir():
        raise CheckpointError(
            f"{user} is made of the bundled models, and this installation carries none: run it in "
            "a clone of the repository."
        )
