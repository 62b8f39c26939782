"""The checkpoint that the page's owner opens it with.

`python app.py user/name` names one, or a folder, and so does the variable TINYDIFF_MODEL, or
assets/opening.txt, which `deploy --model` writes into a Space. What the Hub has under that name is
pinned to its commit once, when the page starts, checked as any stranger's checkpoint, and kept in
memory for as long as the page is served, so that nothing that happens to the repository changes the
page. All of a repository's checkpoints are in the menus, its rewriters too. What cannot be had
leaves the page as it is bundled, and one sentence says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinydiff import runs
from tinydiff.files import PATIENCE, Unread, read_whole
from tinydiff.paths import ASSETS
from tinydiff.processes import Process
from tinydiff.sentences import brief, sentence
from tinydiff.store import catalogue, checkpoint, hub, told
from tinydiff.store.catalogue import GUESTS, Guest, Model
from tinydiff.store.checkpoint import CheckpointError
from tinydiff.ui import cost, visitor_models
from tinydiff.ui.request import LIMITS, OPENING, opening

VARIABLE, FILE = "TINYDIFF_MODEL", ASSETS / "opening.txt"
SECONDS = 60.0  # for all that the Hub is asked at the start
ANSWER = PATIENCE  # seconds for a repository's description, with which one knows that it is there
USUAL = dict(OPENING)


class UsageError(ValueError):
    """A command line that app.py does not understand; the message is one sentence."""


@dataclass(frozen=True)
class Opened:
    """What the page was opened with, in a sentence; "" as it is bundled. missed: it could not be
    had."""

    said: str = ""
    missed: bool = False


def named(argv: Sequence[str]) -> str:
    """The checkpoint that the command line names, or else the variable, or else the file; "" where
    none does. Raises UsageError."""
    if len(argv) > 1 or any(word.startswith("-") for word in argv):
        raise UsageError(
            "app.py takes no flags: GRADIO_SERVER_PORT and GRADIO_SERVER_NAME say where it "
            "listens, `python app.py user/name` opens it with a checkpoint, and `python -m "
            "tinydiff --help` has the commands."
        )
    asked = argv[0] if argv else os.environ.get(VARIABLE) or written()
    return asked.strip()


def written(path: Path = FILE) -> str:
    """The name in the file; "" where there is no such file, or it cannot be read."""
    try:
        return (read_whole(path, checkpoint.MAX_CONFIG) or b"").decode("utf-8", "replace").strip()
    except Unread:
        return ""


def open_with(name: str) -> Opened:
    """Open the page that is built next with a checkpoint: its settings are in OPENING, its models
    among the GUESTS. Where it cannot be had, or none is named, all is as it is bundled."""
    GUESTS.clear()
    OPENING.update(USUAL)
    if not name:
        return Opened()
    try:
        return Opened(taken_in(name))
    except (ValueError, OSError) as error:
        GUESTS.clear()
        OPENING.update(USUAL)
        words = f"The page opens with the bundled {USUAL['model']}, not with {brief(name)}: {error}"
        return Opened(sentence(words), missed=True)


def taken_in(name: str) -> str:
    """Take a checkpoint in and set the opening; a sentence on what it is. Raises ValueError."""
    known = catalogue.models() | catalogue.rewriters()
    key, folder = catalogue.named(catalogue.bare(name), known), Path(name).resolve()
    own = key in known and known[key].folder
    if key in known and (not folder.is_dir() or (own and own.resolve() == folder)):
        found, process = {key: known[key]}, catalogue.open_model(key)
    else:
        guests = of_folder(folder) if folder.is_dir() else of_hub(name)
        GUESTS.update(guests)
        found = {key: guest.model for key, guest in guests.items()}
        process = next(iter(guests.values())).process
    key, model = next(iter(found.items()))
    if not model.task:
        settle(key, process)
    where = ", in the tab Tasks" if model.task else ""
    return f"The page opens with {key}{where}{beside(len(found) - 1)}."


def beside(more: int) -> str:
    return f", and {more} more of that repository in its menus" if more else ""


def settle(key: str, process: Process) -> None:
    """Let the page open with a run of this model that it can make. Raises ValueError where the page
    can make none."""
    low, high, _ = LIMITS["length"]
    length = min(USUAL["length"], max(low, process.length or high))
    OPENING.update(model=key, length=length)
    try:
        request = runs.request(opening(), process)
    except ValueError:  # it does not know the prompt's characters
        OPENING.update(prompt="")
        request = runs.request(opening(), process)
    cost.check([cost.of(request)])


# ---------------------------------------------------------------- where it comes from


def of_folder(folder: Path) -> dict[str, Guest]:
    """The checkpoint in a folder of this machine, under a name that tells nobody where that is.
    Raises CheckpointError."""
    process, card = checkpoint.load(folder), told.card(folder)
    name = key = hub_like(folder.name)
    known = {*catalogue.models(), *catalogue.bundled(), visitor_models.NAME}
    while catalogue.named(key, known) in known:
        key += "-here"
    about = catalogue.describe(name, card.config)
    model = Model(key, process.name, about, folder, process.task, process.corpus)
    return {key: Guest(model, process, card)}


def hub_like(name: str) -> str:
    """A folder's name with signs that links and plots can hold alone."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name) or "own"


def of_hub(name: str) -> dict[str, Guest]:
    """All checkpoints of a repository, or the one that is named. The first that writes plain text
    and the first that rewrites are pulled; what cannot be had before them is left out. Raises
    CheckpointError where neither is there."""
    if not hub.is_source(name):
        raise CheckpointError(
            "There is no such folder, and it is no Hub id, which has the form 'user/name', "
            "'user/name/folder' or 'user/name@revision'."
        )
    every = contents(name)
    found: dict[str, Guest] = {}
    wrong: list[CheckpointError] = []
    for task in (False, True):
        some = {key: model for key, model in every.items() if bool(model.task) == task}
        ready = False
        for key, model in some.items():
            try:
                found[key] = Guest(model) if ready else pulled(model)
                ready = True
            except CheckpointError as error:
                wrong.append(error)
    if not found:
        raise wrong[0]
    return found


def contents(name: str) -> Mapping[str, Model]:
    """What a source holds; of a pinned one what a Space has preloaded, which asks nobody, or what
    was pulled before where the Hub does not answer. Raises CheckpointError."""
    source = hub.Source.parse(name)
    if not hub.take_preloaded(source):
        try:
            return catalogue.hub_contents(name, ANSWER)
        except CheckpointError:
            if not hub.held(source):
                raise
    here = [catalogue.hub_model(*one) for one in hub.held(source)]
    return {model.key: model for model in here}


def pulled(model: Model) -> Guest:
    """A checkpoint of the Hub with its network and its card."""
    found = hub.pull(model.key, SECONDS)
    return Guest(model, checkpoint.load(found.folder), told.card(found.folder))
