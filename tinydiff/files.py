"""Atomic writes, reads with a limit, and the lock of a folder; every error is one sentence.

And files of the Hub that are no checkpoints, by the Hub's own client: `from_hub`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
PATIENCE = 9.0  # seconds for all that is asked of the Hub at once
PAUSE = 4.0  # seconds without a byte after which it is dead


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded; the message is one sentence that says why."""


@contextmanager
def replacing(folder: str | Path) -> Iterator[Callable[[str], Path]]:
    """A context in which each file is written to the path that the given function returns for its
    name. At its end the files are flushed to the disk and take the places of the old ones; if one
    cannot be written, none does, and CheckpointError says why."""
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
        why, what = write_error(error)
        raise CheckpointError(
            f"Nothing could be saved in {str(folder)!r} ({why}): {what}; what was saved "
            "before is still whole."
        ) from None
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def write_error(error: OSError | SafetensorError) -> tuple[str, str]:
    """Why a write failed, in the system's words, and what to do about it."""
    number = re.search(r"os error (\d+)", str(error))  # as safetensors writes it
    number = int(number[1]) if number else getattr(error, "errno", None)
    why = os.strerror(number) if number else " ".join(str(error).split())[:200]
    if number in FULL:
        return why, "make room there"
    if number in CLOSED:
        return why, "make it writable, or choose another folder"
    return why, "see whether another program is at work there, or choose another folder"


def check_writable(folder: Path) -> None:
    """Raises CheckpointError if no file can be written into a folder, so that this is known before
    hours of work and not after them."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
    except OSError as error:
        why, what = write_error(error)
        raise CheckpointError(
            f"Nothing can be written into {str(folder)!r} ({why}): {what}."
        ) from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A context that holds the lock of a folder, so that one training at a time uses it; the folder
    is made if it is missing. The lock ends with the program, however that ends. Raises
    CheckpointError if another program holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if fcntl and hasattr(os, "O_DIRECTORY"):
            handle = os.open(folder, os.O_DIRECTORY)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CheckpointError(
                    f"Another training is running in {str(folder)!r}: wait for its end, or "
                    "choose another folder."
                ) from None
            except OSError:
                pass  # a file system that knows no locks
        yield


class Unread(ValueError):
    """A file that was not read; the message completes a sentence that names the file."""


def read_whole(path: Path, limit: int) -> bytes | None:
    """The bytes of a regular file, None where there is no such file; devices and pipes, which may
    have no end, are not read. Raises Unread."""
    try:
        with open(
            path,
            "rb",
            opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)),
        ) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            data = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise Unread(f"cannot be read ({error.strerror})") from None
    if len(data) > limit:
        raise Unread(f"is over {limit:,} bytes: it is not one of ours")
    return data


def from_hub(repo: str, name: str, **more) -> Path:
    """A file of a repository of the Hub; where the Hub does not answer, as an earlier call kept it.
    more: repo_type and revision, as hf_hub_download has them. Raises what that raises, and what the
    request raised that was not answered."""
    from huggingface_hub import constants, hf_hub_download, hf_hub_url

    if constants.HF_HUB_OFFLINE or (failed := unanswered(hf_hub_url(repo, name, **more))) is None:
        return Path(hf_hub_download(repo, name, **more))
    with contextlib.suppress(Exception):  # it is not here either
        return Path(hf_hub_download(repo, name, local_files_only=True, **more))
    raise failed


def unanswered(url: str) -> Exception | None:
    """Why the Hub does not answer for a URL; None where it answers, whatever it says of the file.
    It is asked once, because the Hub's own client asks six times, and prints each, for half a
    minute; in a thread, because a name lookup may outlast every timeout of a connection."""
    found: list[Exception | None] = [TimeoutError()]
    asking = threading.Thread(target=lambda: found.append(asked(url)), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return found[-1]


def asked(url: str) -> Exception | None:
    """One HEAD request without a login: the error that it ended with, if it did."""
    from httpx import head

    try:
        response = head(url, timeout=PAUSE)
        if response.status_code == 429 or response.status_code >= 500:
            response.raise_for_status()
    except Exception as error:
        return error


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path.parent) as new:
        new(path.name).write_text(text, encoding="utf-8")
