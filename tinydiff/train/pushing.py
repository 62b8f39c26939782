"""A run that is kept on the Hub while it trains: pushed every few minutes in the background, from a
copy that no save touches."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

from tinydiff.store import checkpoint, hub
from tinydiff.store.checkpoint import CheckpointError
from tinydiff.text.corpora import without_places
from tinydiff.train.loop import TrainingRun


class Keeper:
    """Pushes a run to a Hub repository: `offer` now and then, in the background; `finish` at the
    end.

    minutes is the time between two pushes, 0 pushes at the end alone; with it, what resuming needs
    is pushed too. A push that fails leaves its error in `trouble`, one sentence, and is tried again
    with the next save; training does not wait for it. Raises ValueError for what is no Hub id.
    """

    def __init__(
        self, repo_id: str, private: bool = False, minutes: float = 0.0, token: str | None = None
    ):
        if not hub.is_repo_id(repo_id):
            raise ValueError(f"{repo_id!r} is not a Hub id: it has the form 'user/name'.")
        self.repo_id, self.private, self.every, self.token = repo_id, private, 60 * minutes, token
        self.address = self.trouble = ""
        self.pushed, self.at, self.thread = -1, time.monotonic(), None

    def offer(self, run: TrainingRun) -> None:
        """Push what the run has saved, if it is time, it is new, and no push is under way."""
        due = self.every and time.monotonic() - self.at >= self.every
        if due and run.saved > self.pushed and not self.busy and (copy := self.copy(run)):
            self.thread = threading.Thread(target=self.push, args=(copy, run.saved), daemon=True)
            self.thread.start()

    @property
    def busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def renew(self) -> None:
        """What was pushed is not all any more: `finish` pushes the step again."""
        self.pushed = -1

    def finish(self, run: TrainingRun) -> str:
        """Push what was saved last and wait for it: the address. Raises CheckpointError if it
        fails."""
        if self.busy:
            self.thread.join()
        if run.saved > self.pushed and (copy := self.copy(run)):
            self.push(copy, run.saved)
        if self.trouble:
            raise CheckpointError(self.trouble)
        return self.address

    def copy(self, run: TrainingRun) -> Path | None:
        """A copy of what is to be pushed; None, and a message in `trouble`, where the disk has no
        room for it."""
        try:
            return copied(run.out)
        except OSError as error:
            self.at = time.monotonic()
            self.trouble = (
                f"Nothing was pushed, because no copy of the run could be made here: {error}."
            )
            return None

    def push(self, folder: Path, step: int) -> None:
        try:
            self.address = hub.push(
                folder, self.repo_id, private=self.private, token=self.token, resume=self.every > 0
            )
            self.trouble, self.pushed = "", step
        except (CheckpointError, OSError) as error:
            self.trouble = str(error)
        finally:
            self.at = time.monotonic()
            shutil.rmtree(folder, ignore_errors=True)


def copied(out: Path) -> Path:
    """A copy of a run's files, which no save changes, and which names no place of this machine."""
    folder = out / "pushing"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(out, folder, ignore=shutil.ignore_patterns("*.partial", folder.name))
    without_old_figures(folder)
    config = json.loads((folder / "resume.json").read_text("utf-8"))
    names = {"corpus": without_places(config["corpus"]), "start": Path(config["start"]).name}
    (folder / "resume.json").write_text(json.dumps(config | names | {"out": ""}, indent=1), "utf-8")
    return folder


def without_old_figures(folder: Path) -> None:
    """Delete an evaluation of other weights than those that are there, as of a run that went on
    since, and a card that quotes it."""
    measured = checkpoint.card(folder).evaluation.get("weights", "")
    if not measured or measured == checkpoint.fingerprint(folder / "model.safetensors"):
        return
    (folder / "evaluation.json").unlink()
    card = folder / "README.md"
    if card.is_file() and measured in card.read_text("utf-8", "replace"):
        card.unlink()
