"""The pretrained model of the page: where it lies, opened once for all visitors at the first wish,
and fetched where somebody asks for that.

Its owner names it (`TINYDIFF_BASE`: a folder, a .gguf file or a Hub id) and the adapter that drafts
for it (`TINYDIFF_DRAFTER`: a folder); without, they are the bundled adapter and the base that this
was trained beside. Before the first wish nothing of it is loaded, nor the library that reads it.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tinydiff.drafts import Drafts
from tinydiff.files import CheckpointError
from tinydiff.processes import Process
from tinydiff.sentences import brief
from tinydiff.store import adapters, bases, catalogue
from tinydiff.ui.session import Job

USUAL = "HuggingFaceTB/SmolLM2-135M-Instruct"  # where no adapter names another
LACKING = "Here the library transformers is missing: pip install 'tinydiff[pretrained]' brings it."
BROKEN = "The model could not be fetched ({}): try again, or let TINYDIFF_BASE name its folder."
PAUSE = 0.4  # seconds between two looks at what has come
QUIET = 120.0  # seconds without a byte, after which fetching is ended
# in a program of its own, which can be ended; plain HTTP tells how far it is
FETCH = """import sys
from huggingface_hub import snapshot_download
names = ["*.json", "*.safetensors"]
snapshot_download(sys.argv[1], revision=sys.argv[2] or None, allow_patterns=names)"""
ALONE = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}


@dataclass(frozen=True)
class Opened:
    """The model, and the adapter that drafts for it; without one what stood in the text before is
    its guess."""

    process: Process
    drafter: Drafts | None


# ---------------------------------------------------------------- where it is


def drafters() -> Iterator[Drafts]:
    """The adapters of this page: the one that its owner named, else those that are bundled."""
    if named := os.environ.get("TINYDIFF_DRAFTER"):
        yield adapters.load(named)
        return
    yield from map(catalogue.opened_drafter, catalogue.drafters())


def name() -> str:
    """The model of this page, a folder, a .gguf file or a Hub id."""
    if named := os.environ.get("TINYDIFF_BASE"):
        return named
    own = os.environ.get("TINYDIFF_DRAFTER")
    with suppress(CheckpointError):  # which is told where it is opened
        return (catalogue.base_of(Path(own)) if own else catalogue.drafted_base()) or USUAL
    return USUAL


def is_usual() -> bool:
    return name().partition("@")[0] == USUAL


def short(named: str) -> str:
    """As visitors read it: of a path its end."""
    source = bases.Source.parse(named)
    return Path(named).name if source is None or source.place else source.repo


def lacking() -> str:
    """Why no such model can be opened here, in a sentence; "" where one can be."""
    try:
        found = importlib.util.find_spec("transformers")
    except ValueError:  # it is there, and says nothing of itself
        found = True
    return "" if found else LACKING


def missing() -> str:
    """In a sentence that the model is not on this disk; "" where it is, or can be on none."""
    if bases.Source.parse(named := name()) is None:
        raise CheckpointError(f"There is no model {brief(short(named))}: its owner may name one.")
    if bases.place_of(named):
        return ""
    return f"The model {short(named)} is not here yet; it is fetched once, for everybody."


# ---------------------------------------------------------------- opened


class Shelf:
    """The model that is open, one for all visitors; another one's name puts it away."""

    def __init__(self):
        self.lock, self.name, self.held = threading.Lock(), "", None

    def is_open(self) -> bool:
        return self.held is not None and self.name == name()

    def take(self) -> Opened:
        """The model, opened if it is not; whoever comes meanwhile waits for it. Raises
        CheckpointError, in one sentence."""
        with self.lock:
            if not self.is_open():
                self.held = None
                self.held, self.name = opened(named := name()), named
            return self.held


SHELF = Shelf()


def opened(named: str) -> Opened:
    """Open a model of this disk and the adapter that fits it, and read a token with it: what is
    read for the first time comes from the disk."""
    place = bases.place_of(named)
    if place is None:
        raise CheckpointError(missing())
    try:
        process = bases.base(str(place))
    except CheckpointError as error:
        said = str(error).replace(brief(str(place)), brief(short(named)))
        raise CheckpointError(said) from None
    with torch.no_grad():
        process.net(torch.zeros(1, 1, dtype=torch.int64))
    return Opened(process, next((one for one in drafters() if fits(one, process)), None))


def fits(drafter: Drafts, process: Process) -> bool:
    """Was it trained beside this model, or one of its shape and tokens?"""
    return drafter.net.fits(process.net) and drafter.tokenizer == process.tokenizer


# ---------------------------------------------------------------- fetched


@dataclass
class Fetch:
    """The model while it is fetched, once for all who wait for it: it ends when it is here, when it
    fails, or when nobody waits any more.

    done, total: bytes
    said: why it failed, in a sentence
    """

    name: str
    waiting: list[Job] = field(default_factory=list)
    done: int = 0
    total: int = 0
    said: str = ""
    over: bool = False

    def begin(self) -> None:
        threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        try:
            source = bases.Source.parse(self.name)
            bases.check(self.name, source)
            self.total = bases.weights(self.name, source)
            self.follow(source)
        except CheckpointError as error:
            self.said = str(error)
        except Exception as error:  # of the Hub, of the network, of the disk
            self.said = BROKEN.format(type(error).__name__)
        self.over = True

    def follow(self, source: bases.Source) -> None:
        """Let a program fetch it, for as long as somebody waits and something comes."""
        words = [sys.executable, "-c", FETCH, source.repo, source.revision or ""]
        nowhere = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        program = subprocess.Popen(
            words, env=os.environ | ALONE, stderr=subprocess.DEVNULL, **nowhere
        )
        atexit.register(program.kill)
        came, last = time.monotonic(), -1
        try:
            while program.poll() is None and self.wanted:
                time.sleep(PAUSE)
                self.done = min(fetched(source.repo), self.total)
                if self.done != last:
                    came, last = time.monotonic(), self.done
                elif time.monotonic() - came > QUIET:
                    raise TimeoutError
        finally:
            program.kill()
            program.wait()
            atexit.unregister(program.kill)
        if self.wanted and not bases.place_of(self.name):
            self.said = BROKEN.format("not all of it came")

    @property
    def wanted(self) -> bool:
        return any(job.wanted for job in self.waiting)


def fetched(repo: str) -> int:
    """Bytes of a repository that the Hub's client has here, whole or not."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "blobs"
    total = 0
    for path in folder.glob("*"):
        with suppress(OSError):  # it has just got its name
            total += path.stat().st_size
    return total


_fetching: list[Fetch] = []  # at most one
_begins = threading.Lock()


def fetch(job: Job) -> Fetch:
    """What fetches the model of this page, begun where nothing does; the job waits for it."""
    with _begins:
        if not _fetching or _fetching[0].over or _fetching[0].name != name():
            _fetching[:] = [Fetch(name(), [job])]
            _fetching[0].begin()
        else:
            _fetching[0].waiting.append(job)
        return _fetching[0]
