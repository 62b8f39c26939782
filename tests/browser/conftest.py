"""The page in a real browser: Debian's Chromium, one server for all tests, and what every page is
watched for.

Where there is no Chromium these tests are skipped in one line, except in CI. All of them run one
after the other in one process, beside the other tests in another (tests/conftest.py): they share
the servers, and what they time would not bear a second browser.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.programs import ROOT, Program

FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--metrics-recording-only",
    "--hide-scrollbars",
    "--mute-audio",
]
# scheme and width in which a page is looked at: light and dark, desk and phone; the third when
# there is time
LOOKS = [("dark", 1280), ("light", 375), pytest.param("light", 1280, marks=pytest.mark.long)]
# where another test has both
ONE_LOOK = [
    LOOKS[0],
    *(pytest.param("light", width, marks=pytest.mark.long) for width in (375, 1280)),
]
# of axe: what is kept of its answer, and no second reading of the styles; both take it long
BROKEN = {"resultTypes": ["violations"], "preload": False}


def chromium():
    return (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    if not chromium():
        missing = "There is no Chromium: the browser tests need `apt-get install chromium`."
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return {**browser_type_launch_args, "executable_path": chromium(), "args": FLAGS}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_served(url: str, server: subprocess.Popen, seconds: float = 180) -> float:
    """Seconds until the page answers."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        try:
            urllib.request.urlopen(url, timeout=60).read()
            return time.monotonic() - start
        except OSError:
            time.sleep(0.1)
        assert server.poll() is None, "The server ended while it started."
    raise AssertionError(f"The page was not there after {seconds} seconds.")


class Server:
    """`python app.py` as a visitor of the repository starts it, or a program (tests/programs.py) in
    another environment."""

    def __init__(self, *program: str, **environment: str):
        port = free_port()
        env = {
            **os.environ,
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(port),
            **environment,
        }
        self.url = f"http://127.0.0.1:{port}"
        self.process = (
            Program(*program, env=env, heard=False)
            if program
            else subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env)
        )
        try:
            self.ready_after = wait_until_served(self.url, self.process)
        except BaseException:
            self.process.send_signal(signal.SIGKILL)
            raise

    def memory(self) -> int:
        """Bytes of resident memory."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def busy(self, seconds: float) -> float:
        """Cores that the server keeps busy, on average over so many seconds from now."""
        before = self.cpu_seconds()
        time.sleep(seconds)
        return (self.cpu_seconds() - before) / seconds

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        # utime and stime, man proc
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        """At once: how it ends by itself is tested in test_server."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(15)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The page, whose temporary files lie in `place`."""
    place = tmp_path_factory.mktemp("server")
    served = Server(TMPDIR=str(place))
    served.place = place
    yield served
    served.close()


# what Gradio's client writes of a stream that ended because its page was left
LEFT = ("AbortError: signal is aborted", "Unexpected error Connection errored out")


class Watch:
    """What a page may never do: write an error to the console, or ask another machine for
    anything. A page that was left for another may say so of what it was still reading."""

    def __init__(self, page):
        self.errors, self.strangers, self.loads = [], [], 0
        page.on("load", lambda _: setattr(self, "loads", self.loads + 1))
        page.on(
            "console", lambda message: message.type == "error" and self.errors.append(message.text)
        )
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.look(request.url))

    def look(self, url: str):
        if url.startswith(("http", "ws")) and "//127.0.0.1" not in url:
            self.strangers.append(url)

    def good(self):
        assert not self.strangers, "A request left the machine."
        left = LEFT if self.loads > 1 else ()
        errors = [error for error in self.errors if not error.startswith(left)]
        assert not errors, "The console holds errors."


def dry(page, rests: bool = True):
    """Wait until all inks are dry; of a text that rests at its end, until the words that came last
    are marked no more."""
    if rests:
        page.wait_for_selector("#denoise-player .td-cells .n", state="detached")
    page.wait_for_function("() => document.getAnimations().every((a) => a.playState !== 'running')")


@pytest.fixture(scope="session")
def visitors(browser):
    """One browser's memory for all tests: what a page loads is compiled once, which takes half of
    the time of a first visit. A page that stays open holds its window: another window for each test
    would take a third of their time."""
    context = browser.new_context()
    context.new_page()
    yield context
    context.close()


@pytest.fixture
def page(visitors):
    """A page of its own, which knows nothing of those before: what they have stored is gone. Its
    visitor wants less motion, so that a run's end is there at once."""
    page = visitors.new_page()
    page.emulate_media(reduced_motion="reduce")
    yield page
    page.close()
    visitors.clear_cookies()


@pytest.fixture
def motion(page):
    """The visitor of this test wants to see things move."""
    page.emulate_media(reduced_motion="no-preference")


def opener(server, page):
    """open(query) opens the page and waits for the player."""

    def open_(query: str = ""):
        page.goto(f"{server.url}/{query}")
        page.wait_for_selector("#denoise-player .td-cells span")
        return page

    return open_


@pytest.fixture
def visit(server, page):
    """visit(query) opens the page and waits for the player; afterwards the console and the requests
    are looked at."""
    watch = Watch(page)
    yield opener(server, page)
    watch.good()


@pytest.fixture(scope="module")
def stay(server, visitors):
    """stay() is one page for the tests of a file that only look, or leave what the next ones need:
    it is opened once, by somebody who wants less motion."""
    page = visitors.new_page()
    page.emulate_media(reduced_motion="reduce")
    watch = Watch(page)
    opener(server, page)()
    yield lambda query="": page
    page.close()
    watch.good()
