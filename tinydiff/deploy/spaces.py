"""Deploying to Hugging Face: the page (or the trainer) as a Gradio Space, or the recorded runs as a
static one.

A folder is written first, which holds everything that the Space will hold; then it is uploaded as
one commit that replaces what was there. Secrets are set on the Space itself: their values are read
from the environment, and stand in no file, no address and no message.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import HfApi, SpaceCardData, SpaceHardware, get_token
from huggingface_hub.errors import HfHubHTTPError

from tinydiff.deploy import gallery
from tinydiff.paths import ASSETS
from tinydiff.store import catalogue, hub
from tinydiff.store.checkpoint import CheckpointError

ROOT = ASSETS.parent
# of assets/; pictures and cards stay behind
KEPT = {".js", ".css", ".html", ".json", ".jsonl", ".gz", ".safetensors"}
PROGRAM = {".py", ".js", ".css", ".html", ".txt", ".gz"}
START = "assets/checkpoints/shakespeare/masked/"  # the one model that a training may begin with
HARDWARE = [kind.value for kind in SpaceHardware]
ZERO = "zero-a10g"
ZERO_TORCH = "torch>=2.8,<2.12"  # what ZeroGPU has
# without CUDA: 0.2 GB in the place of 3
CPU_WHEELS = "--extra-index-url https://download.pytorch.org/whl/cpu"
PARQUET = "pyarrow>=15"  # reads the corpora of the Hub
PRETRAINED = "transformers>=4.56"  # reads the pretrained model of the page
BASE = ("config.json", "tokenizer.json", "model.safetensors")  # the files of that model
PYTHON = "3.12"  # ZeroGPU has this and 3.10
OPENING = "assets/opening.txt"  # names the checkpoint that the page opens with
SECONDS = 60.0  # for what is asked of the Hub about it
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Target:
    """What is deployed, and where to."""

    repo_id: str
    hardware: str = "cpu-basic"
    static: bool = False
    train: bool = False  # the trainer in the place of the page
    private: bool = False  # of a new Space
    # checkpoints of the Hub that the Space is linked with; a page opens with the first
    models: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()  # names of environment variables
    variables: tuple[str, ...] = ()  # "NAME=value"


# ---------------------------------------------------------------- what may be asked


def check(target: Target) -> None:
    """Raises ValueError, in one sentence, before anything is written or asked."""
    if not hub.is_repo_id(target.repo_id):
        raise ValueError(f"{target.repo_id!r} is not a Hub id: it has the form 'user/name'.")
    for name in target.models:
        hub.Source.parse(name)
    if target.hardware not in HARDWARE:
        raise ValueError(
            f"There is no hardware {target.hardware!r}; there are {', '.join(HARDWARE)}."
        )
    if target.static and (target.train or target.models or target.secrets or target.variables):
        raise ValueError(
            "A static Space runs no program: it takes no --train, --model, --secret or --variable."
        )
    if target.train and target.hardware == ZERO:
        raise ValueError(
            "ZeroGPU lends a GPU for a minute at a time, too short to train: choose "
            "cpu-basic or a GPU of its own."
        )
    for name in (*target.secrets, *variables(target)):
        if not NAME.fullmatch(name):
            raise ValueError(
                "The name of a secret or a variable is made of letters, digits and _, and "
                "does not begin with a digit."
            )
    for name in target.secrets:
        if not os.environ.get(name):
            raise ValueError(
                f"The secret {name} is read from the environment, where it is not set."
            )


def variables(target: Target) -> dict[str, str]:
    """{name: value}. Raises ValueError for what is not NAME=value."""
    if not all("=" in pair for pair in target.variables):
        raise ValueError("A variable is given as NAME=value.")
    return dict(pair.split("=", 1) for pair in target.variables)


@dataclass(frozen=True)
class Opening:
    """The checkpoint that a page opens with, pinned to its commit, and the files that the Space
    fetches of it when it is built (`preload_from_hub`)."""

    source: hub.Source
    files: tuple[str, ...]


def opening(target: Target) -> Opening | None:
    """What the page is to open with; None where no model is named, or it is the trainer. The Hub is
    asked, without a login, as the page itself asks. Raises CheckpointError where the page could not
    play it."""
    if target.train or not target.models:
        return None
    every = hub.contents(target.models[0], SECONDS)
    hub.pull(every[0].source, SECONDS)
    asked, sizes = hub.Source.parse(target.models[0]), hub.sizes_of(every[0].source, SECONDS)
    source = replace(asked, revision=every[0].source.revision)
    files = (one.source.path(f) for one in every for f in hub.wanted(one.source, sizes))
    return Opening(source, tuple(files))


# ---------------------------------------------------------------- the folder


def build(target: Target, folder: Path) -> None:
    """Write all files of the Space into an empty folder. Raises CheckpointError where the model
    that the page is to open with cannot be had."""
    first = opening(target)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"The folder {str(folder)!r} is not empty: name a new one.")
    if target.static:
        gallery.build(folder)
    else:
        for name in files(target.train):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        (folder / "requirements.txt").write_text(
            requirements(target.hardware, target.train), "utf-8"
        )
    if first:
        (folder / OPENING).write_text(f"{first.source}\n", "utf-8")
    (folder / "README.md").write_text(card(target, first), "utf-8")


def files(train: bool = False) -> list[str]:
    """The files of a Gradio Space, as paths from the root: programs, and what they open in
    assets/."""
    assets = [path for path in ROOT.glob("assets/**/*") if path.is_file() and path.suffix in KEPT]
    program = [
        *(path for path in ROOT.glob("tinydiff/**/*") if path.suffix in PROGRAM),
        *(ROOT / name for name in ("app.py", "train_space.py", "LICENSE")),
    ]
    names = sorted(path.relative_to(ROOT).as_posix() for path in (*program, *assets))
    return [name for name in names if not (train and played(name))]


def played(name: str) -> bool:
    """Whether these weights are needed by the page and not by the trainer."""
    return (
        name.startswith("assets/checkpoints/")
        and name.endswith(".safetensors")
        and not name.startswith(START)
    )


def requirements(hardware: str, train: bool = False) -> str:
    """requirements.txt for the hardware: ours, but for gradio, which comes with `sdk_version`, and
    for where torch comes from."""
    rows = [
        row
        for row in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
        if not row.startswith("gradio")
    ]
    if hardware == ZERO:
        rows = [ZERO_TORCH if row.startswith("torch==") else row for row in rows] + ["spaces"]
    if train:
        rows = [*rows, PARQUET]
    elif catalogue.drafted_base():
        rows = [*rows, PRETRAINED]
    if hardware.startswith("cpu"):
        rows = [CPU_WHEELS, *rows]
    return "\n".join(rows) + "\n"


def gradio_version() -> str:
    """The installed one, as three numbers, which is how a Space wants it."""
    version = importlib.metadata.version("gradio")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(
            f"A Space needs a released gradio, and {version} is installed: `pip install gradio`."
        )
    return version


def card(target: Target, first: Opening | None = None) -> str:
    """README.md: the front matter that configures the Space, and a few words. first: what the page
    opens with."""
    about = dict(
        title="tinydiff",
        emoji="📜",
        colorFrom="red",
        colorTo="gray",
        license="mit",
        pinned=False,
        tags=["text-diffusion", "diffusion", "text-generation"],
    )
    if target.static:
        kind = dict(
            sdk="static",
            app_file="index.html",
            short_description="Recorded runs of text diffusion, step by step",
        )
    else:
        kind = dict(
            sdk="gradio",
            sdk_version=gradio_version(),
            python_version=PYTHON,
            suggested_hardware=target.hardware,
            models=list(dict.fromkeys(map(repository, target.models))) or None,
            preload_from_hub=preloads(target.train, first) or None,
            hf_oauth=True,
            **program(target.train),
        )
    return f"---\n{SpaceCardData(**about, **kind).to_yaml()}\n---\n\n{WORDS}"


def repository(name: str) -> str:
    return hub.Source.parse(name).repo


def preloads(train: bool, first: Opening | None) -> list[str]:
    """`preload_from_hub`: what the page opens with, and the pretrained model for which an adapter
    is bundled; the trainer needs neither."""
    found = [preloaded(first.source.repo, first.files, first.source.revision)] if first else []
    if base := "" if train else catalogue.drafted_base():
        repo, _, revision = base.partition("@")
        found.append(preloaded(repo, BASE, revision))
    return found


def preloaded(repo: str, files: tuple[str, ...], revision: str) -> str:
    """An entry: the repository, its files, the commit where one is named."""
    return f"{repo} {','.join(files)} {revision}".strip()


def program(train: bool) -> dict[str, object]:
    """What differs between the page, which may push a visitor's model to a new repository of
    theirs, and the trainer, which asks who is there and pushes with its own secret.
    """
    if train:
        return dict(
            app_file="train_space.py",
            short_description="Train a small text diffusion model and watch it learn",
        )
    return dict(
        app_file="app.py",
        short_description="Text diffusion you can watch, every family, step by step",
        hf_oauth_scopes=["contribute-repos"],
    )


WORDS = """# tinydiff

Text diffusion that you can watch: sentences appear out of noise, every denoising step live. Made
by `python -m tinydiff deploy`.
"""


def listing(folder: Path) -> list[tuple[str, int]]:
    """(path, bytes) of every file, in order."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in found)


# ---------------------------------------------------------------- the Hub


@contextmanager
def asking(target: Target) -> Iterator[None]:
    """A context that turns every error into a CheckpointError of one sentence, as
    `hub.write_errors` does; Spaces have one more, 402."""
    with hub.write_errors(target.repo_id):
        try:
            yield
        except HfHubHTTPError as error:
            if getattr(error.response, "status_code", 0) == 402:
                raise CheckpointError(PAID.format(target.hardware)) from None
            raise


PAID = (
    "The Hub answers 402: {} needs a paid plan; a free account may host --static and --hardware "
    "zero-a10g."
)


def login(target: Target) -> HfApi:
    """The Hub's client, after the Hub has accepted the login: recording runs takes a minute, and
    should not be in vain."""
    if not get_token():
        raise CheckpointError(hub.LOGIN)
    with asking(target):
        hub.patient()
        api = HfApi()
        api.whoami()
    return api


def push(api: HfApi, target: Target, folder: Path) -> str:
    """Make the Space or take the one there is, and let it hold what the folder holds; its
    address."""
    with asking(target):
        url = opened(api, target)
        for name in target.secrets:
            api.add_space_secret(target.repo_id, name, os.environ[name])
        for name, value in variables(target).items():
            api.add_space_variable(target.repo_id, name, value)
        words = "tinydiff, " + ("recorded runs" if target.static else f"for {target.hardware}")
        api.upload_folder(
            repo_id=target.repo_id,
            repo_type="space",
            folder_path=folder,
            delete_patterns="*",
            commit_message=words,
        )
    return url


def opened(api: HfApi, target: Target) -> str:
    """The address of the Space, which is made where there is none; one that is there gets the
    hardware that was asked for."""
    sdk, hardware = ("static", None) if target.static else ("gradio", target.hardware)
    there = api.repo_exists(target.repo_id, repo_type="space")
    url = api.create_repo(
        target.repo_id,
        repo_type="space",
        space_sdk=sdk,
        space_hardware=None if there else hardware,
        private=None if there else target.private,
        exist_ok=True,
    )
    if there and hardware:
        api.request_space_hardware(target.repo_id, hardware)
    return str(url)


def deploy(target: Target, dry: str | None = None, say: Callable[[str], None] = print) -> None:
    """Build the folder, and upload it or, with `dry`, list it: "" builds it in passing, else it
    names the folder to keep.

    Raises ValueError, in one sentence.
    """
    check(target)
    api = login(target) if dry is None else None
    with tempfile.TemporaryDirectory(prefix="tinydiff-") as passing:
        folder = Path(dry or passing)
        build(target, folder)
        if api:
            say(push(api, target, folder))
            return
        sizes = listing(folder)
        for name, size in sizes:
            say(f"{size:>12,}  {name}")
        say(f"{sum(size for _, size in sizes):>12,}  bytes in {len(sizes)} files")
