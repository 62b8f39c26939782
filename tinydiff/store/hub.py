"""The Hugging Face Hub: pull() a checkpoint that anybody made, contents() of a repository, push()
one of ours.

A repository holds one checkpoint, or a folder for each of several. Pulling trusts nothing. It sends
plain GETs without a login, so that nobody can read private repositories of this machine's owner
through it; all requests together have a time limit; no more is read of a file than the Hub listed;
the commit is pinned; only config.json and model.safetensors (and a tokenizer's file) are read, as
checkpoint.py describes, and what it tells of itself, as told.py does; and what is found unsound is
deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

from tinydiff.files import PATIENCE, PAUSE
from tinydiff.generate import check_number
from tinydiff.store import card, checkpoint, told
from tinydiff.store.checkpoint import MAX_CONFIG, CheckpointError
from tinydiff.text import subwords

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}"
REPO = re.compile(rf"{NAME}/{NAME}")
SOURCE = re.compile(
    rf"(?P<repo>{NAME}/{NAME})(?:/(?P<folder>{NAME}))?"
    r"(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9_.-]{0,99}))?"
)
SHA = re.compile(r"[0-9a-f]{40}")
LIMITS = {"config.json": MAX_CONFIG, "model.safetensors": 1 << 26}  # bytes of what is pulled
ALSO = {subwords.FILE: subwords.MOST_BYTES}  # the same of what only some checkpoints have
# and of what it tells of itself, which is left out where it is larger
TOLD = {told.METRICS: 1 << 21, told.EVALUATION: 1 << 20}
MAX_LISTING = 1 << 22  # bytes of the description of a repository
MAX_LISTED = 16  # checkpoints of one repository that are looked at
LONGEST = 86_400  # seconds that may be waited
# bytes, and checkpoints, of those that were pulled and are kept; what was used last is kept
# longest
KEPT = (1 << 29, 24)
FRESH = 60.0  # seconds: what is in use and not thrown away
LEFT = 86_400.0  # seconds: what a killed program has left behind
# what is pushed, beside the card
OWN = ("config.json", "model.safetensors", "metrics.jsonl", "evaluation.json", subwords.FILE)
RESUME = ("resume.safetensors", "resume.json")


@dataclass(frozen=True)
class Source:
    """A checkpoint on the Hub, as people write it: user/name, user/name@revision,
    user/name/folder@revision."""

    repo: str
    folder: str = ""  # "" is the repository's root
    revision: str = ""  # a branch, a tag or a commit's 40 digits; "" is the newest

    @staticmethod
    def parse(text: str) -> Source:
        """Raises CheckpointError if it has not that form."""
        found = SOURCE.fullmatch(text)
        if not found or ".." in text or "--" in text:
            raise CheckpointError(
                f"{text[:120]!r} is not a Hub id: it has the form 'user/name', "
                "'user/name/folder' or 'user/name@revision'."
            )
        return Source(found["repo"], found["folder"] or "", found["revision"] or "")

    def __str__(self) -> str:
        return "/".join(filter(None, (self.repo, self.folder))) + (
            f"@{self.revision}" if self.revision else ""
        )

    @property
    def name(self) -> str:
        """Its folder's name, or its repository's."""
        return self.folder or self.repo.split("/")[1]

    def path(self, file: str) -> str:
        """The path inside the repository of one of its files."""
        return f"{self.folder}/{file}" if self.folder else file


class Pulled(NamedTuple):
    folder: Path  # of a sound checkpoint on this machine
    source: Source  # where it came from, its revision the commit


class Listed(NamedTuple):
    """One of the checkpoints in a repository."""

    source: Source  # pinned to the commit
    config: dict


def is_repo_id(text: str) -> bool:
    return bool(REPO.fullmatch(text)) and ".." not in text and "--" not in text


def is_source(text: str) -> bool:
    return bool(SOURCE.fullmatch(text)) and ".." not in text and "--" not in text


# ---------------------------------------------------------------- asking


class Requests:
    """Plain GETs without a login, which share a time limit. Raises CheckpointError, in one sentence
    that names `what`."""

    def __init__(self, what: str, seconds: float):
        check_number("seconds", seconds, 0, LONGEST)
        self.what, self.seconds, self.end = what, seconds, time.monotonic() + seconds

    def read(self, url: str, limit: int) -> bytes:
        """The answer of a URL, at most `limit` bytes."""
        with tempfile.SpooledTemporaryFile(limit) as sink:
            self.fetch(url, sink, limit)
            sink.seek(0)
            return sink.read()

    def fetch(self, url: str, sink: BinaryIO, limit: int) -> None:
        """Write the answer of a URL into `sink`. A thread asks for it, because a server that sends
        its head byte by byte, or a name lookup without end, outlasts every timeout of a connection;
        a thread that is late finds its connection closed."""
        from httpx import Client

        failed: list[Exception] = []
        headers = {"Accept-Encoding": "identity", "User-Agent": "tinydiff"}
        client = Client(follow_redirects=True, max_redirects=5, timeout=PAUSE, headers=headers)
        asking = threading.Thread(
            target=attempt, args=(failed, self.stream, client, url, sink, limit), daemon=True
        )
        asking.start()
        asking.join(max(0.0, self.end - time.monotonic()))
        late = asking.is_alive()
        client.close()
        if late:
            raise self.too_slow()
        if failed:
            raise self.error(failed[0])

    def stream(self, client, url: str, sink: BinaryIO, limit: int) -> None:
        size = 0
        with client.stream("GET", url) as response:
            response.raise_for_status()
            for piece in response.iter_raw():
                size += len(piece)
                if size > limit:
                    raise CheckpointError(
                        f"The Hub sends more of {self.what!r} than it may have, {limit:,} "
                        "bytes: nothing is kept of it."
                    )
                if time.monotonic() > self.end:
                    raise self.too_slow()
                sink.write(piece)

    def too_slow(self) -> CheckpointError:
        return CheckpointError(
            f"{self.what!r} did not come from the Hub within {self.seconds:.0f} seconds: try "
            "again, or fetch it with `python -m tinydiff pull`."
        )

    def error(self, error: Exception) -> CheckpointError:
        """The CheckpointError, in one sentence, for an exception of a request."""
        if isinstance(error, CheckpointError):
            return error
        if isinstance(error, OSError):
            return CheckpointError(
                f"This machine could not keep {self.what!r} ({error.strerror}): make room on "
                "its disk."
            )
        response = getattr(error, "response", None)
        if response is None:
            return CheckpointError(
                f"The Hub cannot be reached ({type(error).__name__}): try again later, or "
                "use a model of this copy."
            )
        return CheckpointError(
            read_error(self.what, response.status_code, response.headers.get("X-Error-Code", ""))
        )


def attempt(failed: list[Exception], function: Callable, *arguments) -> None:
    try:
        function(*arguments)
    except Exception as error:
        failed.append(error)


def read_error(what: str, status: int, code: str) -> str:
    """Message for an HTTP status, and the Hub's error code, that a read was answered with."""
    if code == "GatedRepo" or status == 403:
        return (
            f"{what!r} is gated: only those whom its owner lets in may read it, and it is asked "
            "for without a login."
        )
    if code == "RevisionNotFound":
        return (
            f"{what!r} has no such revision: leave out what stands after the @ for the newest one."
        )
    if status in (401, 404):
        return (
            f"There is no public model {what!r} on the Hub: look at its spelling; private ones "
            "are not opened here."
        )
    return temporary_error(what, status)


def temporary_error(what: str, status: int) -> str:
    """Message for rate limits and server errors."""
    if status == 429:
        return "The Hub asks for patience (429): try again in some minutes."
    return f"The Hub answers {status} for {what!r}: try again later."


# ---------------------------------------------------------------- pulling


@dataclass(frozen=True)
class Listing:
    """The files of a repository at a commit: size in bytes and, where the Hub lists it, a hash:
    git's (the SHA-1 of the blob) or, for a large file that is stored apart, SHA-256."""

    sha: str
    sizes: dict[str, int]
    digests: dict[str, str]

    def is_file(self, path: str, data: bytes) -> bool:
        """Whether this is the content of the file that is listed."""
        known = self.digests.get(path)
        return known is None or known == (
            git_name(data) if len(known) == 40 else hashlib.sha256(data).hexdigest()
        )


def git_name(data: bytes) -> str:
    """git's hash of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def pull(source: Source | str, seconds: float = PATIENCE) -> Pulled:
    """A public checkpoint on the Hub, fetched unless that commit is here already. Raises
    CheckpointError, in one sentence, for anything that is no sound checkpoint or does not arrive
    within the seconds."""
    source = source if isinstance(source, Source) else Source.parse(source)
    requests = Requests(str(source), seconds)
    if not (SHA.fullmatch(source.revision) and place(source).is_dir()):
        found = listing(requests, source)
        source = replace(source, revision=found.sha)
        if not place(source).is_dir():
            fetched(requests, source, found)
    use(place(source))
    return Pulled(place(source), source)


def fetched(requests: Requests, source: Source, found: Listing) -> None:
    """Fetch a checkpoint, check it, and move it to its place. Raises CheckpointError."""
    check_sizes(source, found)
    try:
        with apart(place(source)) as partial:
            for name in wanted(source, found.sizes):
                fetch(requests, source, name, found, partial)
            checkpoint.load(partial)
    except OSError as error:
        raise requests.error(error) from None


def wanted(source: Source, sizes: Mapping[str, int]) -> list[str]:
    """The files of a checkpoint that are pulled, of those that its repository holds, in bytes."""
    there = [name for name in ALSO if source.path(name) in sizes]
    return [*LIMITS, *there, *(n for n in TOLD if sizes.get(source.path(n), math.inf) <= TOLD[n])]


def use(folder: Path) -> None:
    """Mark a pulled checkpoint as used now, and delete the least recently used ones until the rest
    is within KEPT in number and size; delete also what killed programs left behind."""
    with contextlib.suppress(
        OSError
    ):  # another program may tidy up, too, or the disk is only to be read
        os.utime(folder)
        size, most = KEPT
        by_use = sorted(
            ((path.stat().st_mtime, path) for path in cache().glob("*/*/*/*") if path.is_dir()),
            reverse=True,
        )
        for count, (used, path) in enumerate(by_use):
            size -= sum(file.stat().st_size for file in path.iterdir())
            if (size < 0 or count >= most) and time.time() - used > FRESH:
                forget(path)
        for left in cache().glob("partial-*"):
            if time.time() - left.stat().st_mtime > LEFT:
                shutil.rmtree(left, ignore_errors=True)


# ---------------------------------------------------------------- what is here already


def is_here(name: str) -> bool:
    """Is it a checkpoint at a commit that was pulled?"""
    source = Source.parse(name)
    return bool(SHA.fullmatch(source.revision)) and place(source).is_dir()


def held(source: Source) -> list[Listed]:
    """The checkpoints of a pinned source that are on this machine, in the order of their names;
    nothing is asked. [] where its revision is no commit."""
    if not SHA.fullmatch(source.revision):
        return []
    root = place(source).parents[1]
    found = []
    for path in sorted(root.glob(f"{source.folder or '*'}/*/config.json")):
        inside = path.parents[1].name
        one = replace(source, folder="" if inside == "@" else inside)
        with contextlib.suppress(CheckpointError):
            checkpoint.check_config(config := checkpoint.read_config(path.parent), path.parent)
            found.append(Listed(one, config))
    return found


def take_preloaded(source: Source) -> bool:
    """Bring to their place the checkpoints of a pinned source that the Hub's own client has fetched
    here, as a Space does with its `preload_from_hub`; False where there are none. Each is checked
    as one that is pulled, and left out where it is unsound. For what the machine's owner names
    alone: that client may have used a login."""
    from huggingface_hub import constants

    if not SHA.fullmatch(source.revision):
        return False
    found, name = False, f"models--{source.repo.replace('/', '--')}"
    root = Path(constants.HF_HUB_CACHE) / name / "snapshots" / source.revision
    files = {path.relative_to(root).as_posix(): path for path in root.glob("**/*")}
    sizes = {name: path.stat().st_size for name, path in files.items() if path.is_file()}
    here = Listing(source.revision, sizes, {})
    for folder in [source.folder] if source.folder else folders(here)[:MAX_LISTED]:
        one = replace(source, folder=folder)
        with contextlib.suppress(CheckpointError, OSError):
            check_sizes(one, here)
            if not place(one).is_dir():
                with apart(place(one)) as partial:
                    for name in wanted(one, sizes):
                        shutil.copyfile(files[one.path(name)], partial / name)
                    checkpoint.load(partial)
            found = True
    return found


def forget(folder: Path) -> None:
    """Delete a pulled checkpoint, and the folders above it that this leaves empty. It disappears in
    one move: whoever looks for it finds all of it or nothing."""
    with tempfile.TemporaryDirectory(prefix="partial-", dir=cache()) as gone:
        os.replace(folder, Path(gone) / "it")
    for parent in list(folder.parents)[:3]:
        with contextlib.suppress(OSError):
            parent.rmdir()


def contents(source: Source | str, seconds: float = PATIENCE) -> list[Listed]:
    """The checkpoints in a repository, or the one in the folder that is named, in the order of
    their names; only their configs are fetched. Raises CheckpointError if none can be read."""
    source = source if isinstance(source, Source) else Source.parse(source)
    requests = Requests(str(source), seconds)
    found = listing(requests, source)
    source, listed, wrong = replace(source, revision=found.sha), [], []
    for folder in [source.folder] if source.folder else folders(found)[:MAX_LISTED]:
        one = replace(source, folder=folder)
        try:
            check_sizes(one, found)
            listed.append(Listed(one, config_of(requests, one, found)))
        except CheckpointError as error:
            wrong.append(error)
    if not listed:
        raise (
            wrong[0]
            if wrong
            else CheckpointError(
                f"{source.repo!r} holds no checkpoint of tinydiff: config.json and "
                "model.safetensors, in its root or in folders."
            )
        )
    return listed


def sizes_of(source: Source, seconds: float = PATIENCE) -> dict[str, int]:
    """The bytes of each file of a repository. Raises CheckpointError."""
    return listing(Requests(str(source), seconds), source).sizes


def folders(found: Listing) -> list[str]:
    """The folders that hold checkpoints; "" is the root."""
    places = {
        name.removesuffix("config.json").removesuffix("/")
        for name in found.sizes
        if name.split("/")[-1] == "config.json"
    }
    return sorted(place for place in places if place == "" or is_source(f"user/name/{place}"))


def listing(requests: Requests, source: Source) -> Listing:
    """The Hub's description of a repository, of which only what has the right form is accepted."""
    at = f"/revision/{quote(source.revision, safe='')}" if source.revision else ""
    data = requests.read(f"{endpoint()}/api/models/{source.repo}{at}?blobs=true", MAX_LISTING)
    try:
        answer = json.loads(data)
        sha, files = answer["sha"], {file["rfilename"]: file for file in answer["siblings"]}
        if not SHA.fullmatch(sha):
            raise ValueError
        sizes = {
            name: file["size"]
            for name, file in files.items()
            if type(file.get("size")) is int and file["size"] >= 0
        }
        digests = {
            name: str(file["lfs"].get("sha256") if file.get("lfs") else file["blobId"])
            for name, file in files.items()
            if file.get("lfs") or file.get("blobId")
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CheckpointError(
            f"The Hub's answer for {source.repo!r} cannot be read: try again later."
        ) from None
    if answer.get("gated"):
        raise CheckpointError(read_error(source.repo, 403, "GatedRepo"))
    return Listing(sha, sizes, digests)


def check_sizes(source: Source, found: Listing) -> None:
    for name, limit in (LIMITS | ALSO).items():
        size = found.sizes.get(source.path(name), 0 if name in ALSO else None)
        if size is None:
            raise CheckpointError(
                f"{str(replace(source, revision=''))!r} has no {name}, so it is no "
                "checkpoint of tinydiff; other formats are not loaded."
            )
        if size > limit:
            raise CheckpointError(
                f"{name} of {source.repo!r} has {size:,} bytes, over the {limit:,} that are "
                "allowed."
            )


def fetch(requests: Requests, source: Source, name: str, found: Listing, folder: Path) -> None:
    """Fetch one file into a folder and check its size and content against the listing."""
    path = source.path(name)
    with open(folder / name, "wb+") as file:
        requests.fetch(
            f"{endpoint()}/{source.repo}/resolve/{source.revision}/{path}", file, found.sizes[path]
        )
        if file.tell() != found.sizes[path]:
            raise CheckpointError(f"{name} of {source.repo!r} came cut short: try again.")
        file.seek(0)
        if not found.is_file(path, file.read()):
            raise CheckpointError(
                f"{name} of {source.repo!r} is not the file that the Hub lists: nothing is "
                "kept of it."
            )


def config_of(requests: Requests, source: Source, found: Listing) -> dict:
    with tempfile.TemporaryDirectory(prefix="tinydiff-") as folder:
        there = Path(folder) / source.name
        there.mkdir()
        fetch(requests, source, "config.json", found, there)
        config = checkpoint.read_config(there)
        checkpoint.check_config(config, there)
        return config


def place(source: Source) -> Path:
    """The folder of a pinned checkpoint on this machine."""
    return (
        cache()
        / source.repo.replace("/", "--")
        / source.revision
        / (source.folder or "@")
        / source.name
    )


@contextmanager
def apart(folder: Path) -> Iterator[Path]:
    """A context with a temporary folder that becomes `folder` at its end, and is deleted if
    something fails."""
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=cache()) as work:
        partial = Path(work) / folder.name
        partial.mkdir()
        yield partial
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(partial, folder)
        except OSError:
            if not folder.is_dir():  # nobody else was quicker
                raise


def endpoint() -> str:
    """The Hub's address. Raises CheckpointError under HF_HUB_OFFLINE."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise CheckpointError(
            "The Hub is not asked, because HF_HUB_OFFLINE is set: unset it, or use a model "
            "of this copy."
        )
    return constants.ENDPOINT


def cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "tinydiff"


# ---------------------------------------------------------------- pushing


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    inside: str = "",
    resume: bool = False,
) -> str:
    """Upload a checkpoint folder as one commit, tagged with its step; the address of the
    repository, which is made if it is not there. What belongs to the checkpoint is pushed and
    nothing else; the card names the id to load it by. May be called from any thread.

    private:  whether a repository that is made is private
    token:    the login to use, by default this machine's; it is sent to the Hub alone
    inside:   a folder of the repository
    resume:   push also what training needs to go on elsewhere (`pull_run`)

    Raises CheckpointError, in one sentence.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    target, folder = push_target(repo_id, inside), Path(folder)
    config = checkpoint.read_config(folder)
    checkpoint.read_header(folder)
    names = [name for name in (*OWN, *(RESUME if resume else ())) if (folder / name).is_file()]
    here = {name: (folder / name).read_bytes() for name in names} | card_of(folder, str(target))
    files = {target.path(name): data for name, data in here.items()}
    with write_errors(repo_id):
        patient()
        api = HfApi(token=token)
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        if inside and not api.file_exists(repo_id, "README.md"):
            files["README.md"] = card.collection(repo_id).encode()
        adding = [CommitOperationAdd(path, data) for path, data in files.items()]
        words = message(config, checkpoint.card(folder), inside)
        commit = api.create_commit(repo_id, adding, commit_message=words)
    tag = "-".join(filter(None, (inside, "step", str(config.get("step", 0)))))
    set_tag(api, repo_id, tag, commit.oid, address)
    return str(address)


def set_tag(api, repo_id: str, tag: str, commit: str, address: str) -> None:
    """Make a tag name a commit, also if it named another. Raises CheckpointError, which says that
    the commit itself is there."""
    try:
        with write_errors(repo_id):
            known = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id).tags}
            if known.get(tag, commit) != commit:
                api.delete_tag(repo_id, tag=tag)
            api.create_tag(repo_id, tag=tag, revision=commit, exist_ok=True)
    except CheckpointError as error:
        raise CheckpointError(
            f"The checkpoint is at {address}, but its tag {tag} could not be set, so push it "
            f"again. {error}"
        ) from None


def card_of(folder: Path, source: str) -> dict[str, bytes]:
    """The card and its pictures. Raises CheckpointError where the files that they are made from are
    damaged."""
    try:
        return card.files_for(folder, source)
    except CheckpointError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(
            f"No card can be written from what {folder.name!r} tells of itself "
            f"({type(error).__name__}): its "
            "evaluation.json or metrics.jsonl is damaged; delete it, or measure again with `eval`."
        ) from None


def push_target(repo_id: str, inside: str) -> Source:
    if not is_repo_id(repo_id):
        raise CheckpointError(f"{repo_id[:120]!r} is not a Hub id: it has the form 'user/name'.")
    return Source.parse("/".join(filter(None, (repo_id, inside))))


def message(config: dict, model: checkpoint.Card, inside: str) -> str:
    """The title of a commit: "masked: step 6000, 2.42 ± 0.06 bits a character"."""
    bits = card.bits(model)
    said = f"step {config.get('step', 0)}" + ("" if bits is None else f", {bits} bits a character")
    return f"{inside or config['process']}: {said}"


def pull_run(repo_id: str, folder: str | Path, token: str | None = None) -> bool:
    """Fetch a training run that was pushed with `resume` from one's own repository, with one's own
    login, into a folder. False if there is none. Each file arrives whole or not at all, and those
    that resuming starts from arrive last. Raises CheckpointError, in one sentence."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    target, folder = push_target(repo_id, ""), Path(folder)
    with write_errors(repo_id):
        patient()
        api = HfApi(token=token)
        try:
            info = api.model_info(repo_id, files_metadata=True, timeout=PATIENCE)
        except RepositoryNotFoundError:
            return False
        sizes = {file.rfilename: file.size for file in info.siblings}
        wanted = [name for name in (*OWN, *RESUME) if name in sizes]
        if not set(RESUME) <= set(wanted):
            return False
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="partial-", dir=folder) as work:
            api.snapshot_download(repo_id, revision=info.sha, local_dir=work, allow_patterns=wanted)
            if any((Path(work) / name).stat().st_size != sizes[name] for name in wanted):
                raise CheckpointError(f"The run in {target.repo!r} came cut short: try again.")
            for name in wanted:
                os.replace(Path(work) / name, folder / name)
    return True


def patient() -> None:
    """huggingface_hub's client waits for ever where nobody answers; here it gives up after a minute
    without a byte."""
    from huggingface_hub import get_session

    get_session().timeout = 60


@contextmanager
def write_errors(repo_id: str) -> Iterator[None]:
    """A context that turns every error into a CheckpointError of one sentence; none quotes an
    answer of the Hub, which could hold a login."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except CheckpointError:
        raise
    except LocalTokenNotFoundError:
        raise CheckpointError(LOGIN) from None
    except OfflineModeIsEnabled:
        raise CheckpointError(
            "The Hub is not asked, because HF_HUB_OFFLINE is set: unset it to push."
        ) from None
    except HfHubHTTPError as error:
        raise CheckpointError(write_error(repo_id, error)) from None
    except Exception as error:
        raise CheckpointError(
            f"The Hub cannot be reached ({type(error).__name__}): try again later."
        ) from None


LOGIN = (
    "The Hub does not know who you are: run `hf auth login`, or set HF_TOKEN to a token that may "
    "write."
)


def write_error(repo_id: str, error) -> str:
    """Message for an HTTP error that a push was answered with."""
    status = getattr(error.response, "status_code", 0)
    if status in (402, 413, 507) or (
        status == 403 and re.search(r"storage|quota", str(error), re.I)
    ):
        return (
            f"The Hub has no room left for {repo_id!r}: delete what is not needed there, or ask "
            "for more storage."
        )
    if status == 401:
        return LOGIN
    if status == 403:
        return (
            f"This login may not write to {repo_id!r}: the name before the / must be yours, and "
            "the token one that may write."
        )
    if status == 404:
        return (
            f"The Hub has no {repo_id!r} that this login can write to: look at its spelling and "
            "at the token."
        )
    if status in (409, 412):
        return (
            f"{repo_id!r} is being changed by somebody else, or its name is taken: try again, or "
            "choose another name."
        )
    return temporary_error(repo_id, status)
