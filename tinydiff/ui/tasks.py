"""What the page says of tasks: their names, what is written into the field, and examples.

The examples are sentences that no model was trained on, from the evaluation of a checkpoint where
it has some of the task, else of static/tasks.txt: of Tatoeba (CC BY 2.0 FR) and TinyStories
(CDLA-Sharing-1.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tinydiff.paths import STATIC
from tinydiff.processes import Process
from tinydiff.sentences import brief
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.text.tasks import longest_source, names_of

EXAMPLES = 5
RESTORE = "restore"  # the task whose source is what is left of its target (text.plain)
TRANSLATE = "translate-"
ONLY = "to be or not to be that is the question"  # of a model that brings no example of its own


@dataclass(frozen=True)
class Said:
    """What is said of a task: its title, what the field asks for, what is said of its examples'
    known targets."""

    title: str
    asks: str = "A source."
    truth: str = "as the collection has it"


# in the order of the page
SAID = {
    "translate-en-fr": Said(
        "translate to French", "An English sentence.", "a person's translation"
    ),
    "translate-fr-en": Said("translate to English", "A French sentence.", "a person's translation"),
    "paraphrase": Said("say it otherwise", "An English sentence.", "another sentence of people"),
    "summarise-short": Said("sum up, short", "A children's story.", "a sentence by TextRank"),
    "summarise-long": Said("sum up, longer", "A children's story.", "a sentence by TextRank"),
    "reply": Said("reply", "What somebody says in a story.", "what the story answers"),
    RESTORE: Said(
        "restore capitals and punctuation",
        "English words. Capitals and punctuation are taken out before they are given.",
        "in print",
    ),
}


def said(task: str) -> Said:
    """What is said of a task; of one that nobody has described, its name."""
    return SAID.get(task) or Said(task.replace("-", " "))


def tasks_of(task: str) -> list[str]:
    """The tasks of a model by what its config holds, in the order of the page; [] of one that
    writes plain text."""
    names = names_of(task) or ((task,) if task else ())
    known = list(SAID)
    return sorted(names, key=lambda name: (known.index(name) if name in known else 99, name))


def choices(task: str) -> list[tuple[str, str]]:
    """The same for a menu: (title, name)."""
    return [(said(name).title, name) for name in tasks_of(task)]


def check_task(model: Model, task: object) -> str:
    """The task, or the model's first one for "". Raises ValueError for one that it has not
    learned."""
    known = tasks_of(model.task)
    if task in ("", None):
        return known[0]
    if not isinstance(task, str) or task not in known:
        raise ValueError(
            f"There is no task {brief(task)} that this model has learned; there are "
            f"{', '.join(known)}."
        )
    return task


def first_model() -> str:
    """The model that the tab opens with: the one that the page's owner named, else the one of the
    most tasks."""
    models = catalogue.rewriters()
    guests = [key for key in models if key in catalogue.GUESTS]
    return (guests or [max(models, key=lambda key: len(tasks_of(models[key].task)))])[0]


def able(task: str) -> str:
    """The first model that does a task, that of the tab where it does; "" where none does."""
    models = catalogue.rewriters()
    keys = [key for key in [first_model(), *models] if task in tasks_of(models[key].task)]
    return keys[0] if keys else ""


# ---------------------------------------------------------------- examples


@lru_cache(maxsize=1)
def bundled() -> dict[str, dict[str, str]]:
    """The targets of sources of static/tasks.txt, by task."""
    found: dict[str, dict[str, str]] = {}
    for line in (STATIC / "tasks.txt").read_text("utf-8").splitlines():
        task, source, target = line.split("\t")
        found.setdefault(task, {})[source] = target
    return found


def shown(key: str) -> list[dict]:
    """The samples of a model's evaluation; [] of one without."""
    card = catalogue.card_of(key)
    return card.evaluation.get("samples", []) if card else []


def evaluated(key: str, task: str) -> dict[str, str]:
    """The targets of the sources of a task among them."""
    return {row["source"]: row["truth"] for row in shown(key) if row.get("task", task) == task}


def examples(key: str, model: Model, task: str) -> list[str]:
    """Sources of a task for which a model has room, at least one."""
    found = [*evaluated(key, task)]
    if not found and names_of(model.task):
        process = catalogue.open_model(key)
        most, cut = room(process), process.tokenizer
        found = [source for source in bundled().get(task, {}) if len(cut.encode(source)) <= most]
    return found[:EXAMPLES] or [ONLY]


def room(process: Process) -> int:
    """Tokens that a source may have."""
    several = names_of(process.task)
    return longest_source(process.length) if several else process.length // 2 - 1


def known(key: str, task: str) -> dict[str, str]:
    """The targets that are known of sources of a task: of all bundled models, and of the model."""
    own = {
        name: model for name, model in catalogue.rewriters().items() if name not in catalogue.GUESTS
    }
    found = dict(bundled().get(task, {}))
    for name in [name for name, model in own.items() if task in tasks_of(model.task)]:
        found |= evaluated(name, task)
    return found | (evaluated(key, task) if catalogue.brings_card(key) else {})


def is_example(text: str, key: str) -> bool:
    """Is a text an example of some task?"""
    every = {source for some in bundled().values() for source in some}
    return text in every | {row["source"] for row in shown(key)} | {ONLY}
