"""Programs under test, each a process of its own, forked from one that has loaded torch: a fresh
Python takes seconds for that.

Nothing of this project is loaded before, nor anything that reads the environment when it is
imported.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MESSAGE = 1 << 17  # bytes of a request at the most: arguments and environment


class Program:
    """`python *arguments`, where these are -m and a module, -c and code, or a script, each with
    what it is given.

    stdout, stderr: text streams; with heard=False it writes where this process writes. returncode:
    None until `wait`, `poll` or `communicate` has seen the end, then as subprocess has it.
    """

    def __init__(
        self,
        *arguments: object,
        cwd: Path = ROOT,
        env: dict[str, str] | None = None,
        heard: bool = True,
    ):
        self.args, self.returncode = list(map(str, arguments)), None
        (out, out_end), (err, err_end) = (
            (os.pipe(), os.pipe()) if heard else ((None, os.dup(1)), (None, os.dup(2)))
        )
        self.stdout, self.stderr = (end and os.fdopen(end, encoding="utf-8") for end in (out, err))
        self.end, other = socket.socketpair()
        asked = dict(
            arguments=self.args, cwd=str(cwd), env=dict(os.environ if env is None else env)
        )
        socket.send_fds(parent(), [json.dumps(asked).encode()], [out_end, err_end, other.fileno()])
        os.close(out_end), os.close(err_end), other.close()
        self.pid = int(self.end.recv(20))

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def poll(self) -> int | None:
        with suppress(TimeoutError, BlockingIOError):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.end.settimeout(timeout)
            self.returncode = os.waitstatus_to_exitcode(int(self.end.recv(20)))
            self.end.close()
        return self.returncode

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """All that is left of both streams, when it has ended; a program that is late is killed
        (TimeoutError)."""
        with ThreadPoolExecutor(2) as readers, self.stdout, self.stderr:
            said = [readers.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except TimeoutError:
                self.send_signal(signal.SIGKILL)
                raise
            return tuple(stream.result() for stream in said)


def run(*arguments: object, timeout: float = 120, **more) -> subprocess.CompletedProcess:
    """A program from its beginning to its end."""
    program = Program(*arguments, **more)
    out, err = program.communicate(timeout)
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


@lru_cache(maxsize=1)
def parent() -> socket.socket:
    """Where programs are asked for. Their parent ends with this process, because this socket then
    closes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    theirs.close()
    return ours


# ---------------------------------------------------------------- in the parent of all programs


def serve(asked: socket.socket) -> dict | None:
    """Fork a program a request, and one process more that waits for its end. Returns in each
    program what it is to do, and in the parent None, at the end.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, ends, *_ = socket.recv_fds(asked, MESSAGE, 3)
        if not message:
            return None
        if os.fork():
            for end in ends:
                os.close(end)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asked.close()
        out, err, end = ends
        if pid := os.fork():
            os.close(out), os.close(err)
            with socket.socket(fileno=end) as teller:
                teller.sendall(str(pid).encode().ljust(20))
                status = os.waitpid(pid, 0)[1]
                with suppress(BrokenPipeError):  # nobody waits for it
                    teller.sendall(str(status).encode().ljust(20))
            os._exit(0)
        os.close(end)
        os.dup2(out, 1), os.dup2(err, 2), os.close(out), os.close(err)
        return json.loads(message)


def live(asked: dict) -> None:
    """Become a program to its end, as Python ends one, but without taking torch to pieces, which
    takes two seconds."""
    status = 0
    try:
        become(**asked)
    except SystemExit as end:
        status = end.code or 0
    if not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status & 0xFF)


def become(arguments: list[str], cwd: str, env: dict[str, str]) -> None:
    """What `python *arguments` does, in this process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # torch has looked for it in the parent's environment
    kind, *rest = arguments
    sys.stdout, sys.stderr = (os.fdopen(end, "w", 1, "utf-8", closefd=False) for end in (1, 2))
    place = "" if kind in ("-m", "-c") else str(Path(kind).resolve().parent)
    sys.path[:1] = [place, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    import torch._dynamo  # noqa: F401  what takes the time; an optimizer loads it

    if asked := serve(socket.socket(fileno=int(sys.argv[1]))):
        live(asked)
