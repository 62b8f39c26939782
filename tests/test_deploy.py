"""Deploying to a stand-in for the Hub, with the real client; what is there afterwards is started as
a Space would start it."""

import importlib.metadata
import inspect
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from gradio_client import Client
from huggingface_hub import SpaceCard

from tests import programs
from tests.browser.conftest import free_port, wait_until_served
from tests.conftest import random_process
from tests.loopback import Hub, status
from tests.test_keep import hub_of
from tinydiff import generate, runs
from tinydiff.deploy import gallery, spaces
from tinydiff.deploy.spaces import Target
from tinydiff.text import Canvas
from tinydiff.ui import gpu

ROOT = Path(__file__).parent.parent
SECRET = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def hub():
    with Hub() as served:
        yield served


def deployed(hub, home, *arguments, token="hf_test"):
    """`python -m tinydiff deploy` with these arguments."""
    return hub.run("-m", "tinydiff", "deploy", *arguments, home=home, token=token)


@pytest.fixture(scope="module")
def space(hub, tmp_path_factory):
    """A Space that was deployed with a secret and a variable: (what it was told, the
    repository)."""
    home = tmp_path_factory.mktemp("home")
    os.environ["TINY_SECRET"] = SECRET
    try:
        told = deployed(
            hub,
            home,
            "tester/page",
            "--private",
            "--secret",
            "TINY_SECRET",
            "--variable",
            "COLOUR=red",
        )
    finally:
        del os.environ["TINY_SECRET"]
    assert told.returncode == 0, told.stderr
    return told, hub.space("tester/page")


def front(text):
    """The front matter as the Hub's own reader has it."""
    return SpaceCard(text, ignore_metadata_errors=False).data.to_dict()


# ---------------------------------------------------------------- a Gradio Space


def test_a_space_is_made_and_its_link_printed(hub, space):
    """One line, the address; the Space is private, on the hardware of the flag's default, and made
    for gradio."""
    told, repo = space
    assert told.stdout.strip() == f"{hub.url}/spaces/tester/page"
    assert repo.private and repo.space == {"sdk": "gradio", "hardware": "cpu-basic"}


def test_it_holds_what_the_page_opens_and_nothing_else(space):
    """Every program and asset as it is here, and no test, no picture of the README, nothing
    hidden."""
    files = space[1].files()
    assert {name.split("/")[0] for name in files} == {
        "app.py",
        "train_space.py",
        "tinydiff",
        "assets",
        "requirements.txt",
        "README.md",
        "LICENSE",
        ".gitattributes",
    }
    made = {"requirements.txt", "README.md", ".gitattributes"}
    assert all(
        (ROOT / name).read_bytes() == data for name, data in files.items() if name not in made
    )
    assert not [
        name
        for name in files
        if re.search(r"__pycache__|\.partial$|\.pyc$|\.gif$|/\.|resume", name)
    ]
    weights = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("assets/**/*.safetensors")}
    assert {name for name in files if name.endswith(".safetensors")} == weights


def test_the_front_matter_is_what_spaces_read(space):
    """Every field, the installed gradio as three numbers, and a description that the Hub does not
    cut."""
    data = front(space[1].files()["README.md"].decode())
    assert data == dict(
        title="tinydiff",
        emoji="📜",
        colorFrom="red",
        colorTo="gray",
        sdk="gradio",
        sdk_version=importlib.metadata.version("gradio"),
        python_version="3.12",
        app_file="app.py",
        license="mit",
        pinned=False,
        suggested_hardware="cpu-basic",
        tags=["text-diffusion", "diffusion", "text-generation"],
        hf_oauth=True,
        hf_oauth_scopes=["contribute-repos"],
        short_description="Text diffusion you can watch, every family, step by step",
        **({"preload_from_hub": found} if (found := spaces.preloads(False, None)) else {}),
    )


def test_the_trainer_s_front_matter():
    """Another program, the models it is linked with, and no right to a visitor's repositories."""
    data = front(spaces.card(Target("a/b", models=("c/d",), train=True)))
    assert data["app_file"] == "train_space.py" and data["models"] == ["c/d"]
    assert data["hf_oauth"] is True and "hf_oauth_scopes" not in data


@pytest.mark.parametrize(
    "target", [Target("a/b"), Target("a/b", train=True), Target("a/b", static=True)]
)
def test_a_description_is_not_cut(target):
    """The Hub takes sixty characters, and three numbers of gradio."""
    data = front(spaces.card(target))
    assert len(data["short_description"]) <= 60
    assert target.static or re.fullmatch(r"\d+\.\d+\.\d+", data["sdk_version"])


@pytest.mark.parametrize("hardware", spaces.HARDWARE)
def test_requirements_fit_the_hardware(hardware):
    """Gradio is never among them; torch is once; CPUs take the wheels without CUDA, ZeroGPU a torch
    that it has; the rest is ours."""
    rows = spaces.requirements(hardware).splitlines()
    ours = (ROOT / "requirements.txt").read_text().splitlines()
    assert (
        not any(row.startswith("gradio") for row in rows)
        and sum(row.startswith("torch") for row in rows) == 1
    )
    assert (
        "--extra-index-url https://download.pytorch.org/whl/cpu" in rows
    ) == hardware.startswith("cpu")
    assert ("spaces" in rows) == (hardware == "zero-a10g") == ("torch>=2.8,<2.12" in rows)
    assert {row for row in ours if not row.startswith(("gradio", "torch"))} <= set(rows)


def test_the_trainer_takes_one_model():
    """With --train the weights that the page plays with stay behind, but for those that a training
    may begin with."""
    left = set(spaces.files()) - set(spaces.files(train=True))
    assert left and all(name.endswith("model.safetensors") for name in left)
    assert "assets/checkpoints/shakespeare/masked/model.safetensors" in spaces.files(train=True)


def test_a_secret_is_set_and_stands_nowhere(hub, space):
    """Its value is in the request that sets it and in no other, in no file, no address and no
    output; neither is the token."""
    told, repo = space
    assert repo.secrets == {"TINY_SECRET": SECRET} and repo.variables == {"COLOUR": "red"}
    said = told.stdout + told.stderr + " ".join(str(told.args))
    for hidden in (SECRET, "hf_test"):
        assert hidden not in said and not any(
            hidden.encode() in data for data in repo.files().values()
        )
        assert not [request for request in hub.log if hidden in request.path]
        bodies = [request.path for request in hub.log if hidden.encode() in request.body]
        assert all(path.endswith("/secrets") for path in bodies) and bool(bodies) == (
            hidden == SECRET
        )


def test_a_second_deploy_replaces_the_first(hub, space, tmp_path):
    """What is no longer there goes, the hardware follows, the Space stays private, secrets stay,
    and it is one more commit."""
    repo = space[1]
    repo.commit({**repo.head.files, "old.py": repo.head.files["app.py"]}, "by hand")
    before = len(repo.commits)
    told = deployed(hub, tmp_path, "tester/page", "--hardware", "zero-a10g")
    assert told.returncode == 0 and "old.py" not in repo.files() and len(repo.commits) == before + 1
    assert (
        repo.space["hardware"] == "zero-a10g"
        and repo.private
        and repo.secrets == {"TINY_SECRET": SECRET}
    )
    assert front(repo.files()["README.md"].decode())["suggested_hardware"] == "zero-a10g"
    assert b"\nspaces\n" in repo.files()["requirements.txt"]


def test_it_starts_as_a_space_starts_it(space, tmp_path):
    """The files of the Space alone, in a folder elsewhere, serve the page and write a text."""
    for name, data in space[1].files().items():
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).write_bytes(data)
    port = free_port()
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME")
    }
    env |= {
        "HF_HUB_OFFLINE": "1",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=tmp_path / "app", env=env, stdout=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_served(url, process)
        value = Client(url, verbose=False).predict({"steps": 4, "length": 32}, api_name="/denoise")
        assert value["done"] and value["total"] == 5
    finally:
        process.terminate()
        process.wait(15)


# ---------------------------------------------------------------- opened with a model


@pytest.fixture(scope="module")
def opened(hub, tmp_path_factory):
    """A Space that is deployed with a repository of two checkpoints: (its repository, the
    commit)."""
    shelf = ROOT / "assets" / "checkpoints"
    files = {
        f"{inside}/{path.name}": path.read_bytes()
        for inside, model in (("letters", "shakespeare/masked"), ("lines", "restore-masked"))
        for path in (shelf / model).iterdir()
        if path.suffix != ".png"
    }
    sha = hub.add("stranger/many", files)
    home, asked = tmp_path_factory.mktemp("home"), len(hub.log)
    models = ("--model", "stranger/many", "--model", "stranger/other/folder@v1")
    told = deployed(hub, home, "tester/opened", *models)
    assert told.returncode == 0, told.stderr
    reads = [r for r in hub.log[asked:] if "stranger" in r.path and r.method == "GET"]
    assert reads and not any(request.token for request in reads)
    hub.add("stranger/many", {"README.md": b"It holds nothing any more."})
    return hub.space("tester/opened"), sha


def test_a_space_opens_with_a_pinned_model(opened):
    """Its commit stands in a file; the Space is linked with the repositories, and fetches what is
    played, and no more, of that commit when it is built."""
    repo, sha = opened
    files = repo.files()
    assert files["assets/opening.txt"].decode() == f"stranger/many@{sha}\n"
    data = front(files["README.md"].decode())
    assert data["models"] == ["stranger/many", "stranger/other"]
    entry, *_ = data["preload_from_hub"]
    name, held, commit = entry.split(" ")
    assert (name, commit) == ("stranger/many", sha)
    names = ("config.json", "model.safetensors", "metrics.jsonl", "evaluation.json")
    assert set(held.split(",")) == {
        f"{inside}/{n}" for inside in ("letters", "lines") for n in names
    }


@pytest.mark.long
def test_it_starts_with_what_was_preloaded(hub, opened, tmp_path):
    """Built as the Hub builds it, with the real client, and started where there is no Hub: the page
    writes with that model at that commit, and the command line says so."""
    repo, sha = opened
    for name, data in repo.files().items():
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).write_bytes(data)
    entry, *_ = front(repo.files()["README.md"].decode())["preload_from_hub"]
    name, held, commit = entry.split(" ")
    fetch = (
        "import sys; from huggingface_hub import hf_hub_download as get; "
        "[get(sys.argv[1], f, revision=sys.argv[3]) for f in sys.argv[2].split(',')]"
    )
    built = hub.run("-c", fetch, name, held, commit, home=tmp_path / "home")
    assert built.returncode == 0, built.stderr
    port = free_port()
    env = hub.environment(tmp_path / "home") | {
        "HF_HUB_OFFLINE": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "PYTHONPATH": "",
    }
    env.pop("TINYDIFF_MODEL", None)
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=tmp_path / "app", env=env, stdout=said
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_served(url, process)
        key = f"stranger/many/letters@{sha}"
        asked = {"steps": 2, "length": 32}
        value = Client(url, verbose=False).predict(asked, api_name="/denoise")
        assert value["done"] and value["head"]["settings"]["model"] == key
    finally:
        process.terminate()
        process.wait(15)
    assert f"The page opens with {key}, and 1 more" in (tmp_path / "said").read_text()


@pytest.mark.parametrize("model", ["nobody/nothing", "stranger/empty"])
def test_a_model_that_cannot_be_opened_is_not_deployed(hub, tmp_path, model):
    """One line that says why, before anything is made."""
    hub.add("stranger/empty", {"README.md": b""})
    told = deployed(hub, tmp_path, "tester/never", "--model", model)
    assert told.returncode == 2 and len(told.stderr.strip().splitlines()) == 1
    assert "no public model" in told.stderr or "holds no checkpoint" in told.stderr
    assert ("space", "tester/never") not in hub.repos


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target("page"), "'page' is not a Hub id"),
        (Target("tester/../etc"), "is not a Hub id"),
        (Target("https://huggingface.co/spaces/tester/page"), "is not a Hub id"),
        (Target("tester/new", hardware="toaster"), "no hardware 'toaster'"),
        (Target("tester/new", models=("nothing",)), "'nothing' is not a Hub id"),
        (Target("tester/new", secrets=("NOT_SET_ANYWHERE",)), "NOT_SET_ANYWHERE"),
        (Target("tester/new", secrets=("a=b",)), "letters, digits"),
        (Target("tester/new", variables=("COLOUR",)), "NAME=value"),
        (Target("tester/new", static=True, train=True), "runs no program"),
        (Target("tester/new", hardware="zero-a10g", train=True), "too short to train"),
    ],
)
def test_a_mistake_is_one_sentence(monkeypatch, target, words):
    """It says what is wrong, and the Hub is not asked."""
    monkeypatch.setattr(spaces, "login", lambda target: pytest.fail("The Hub was asked."))
    with pytest.raises(ValueError) as told:
        spaces.deploy(target)
    assert words in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("page", "is not a Hub id", marks=pytest.mark.long),
        ("other/new", "may not write to 'other/new'"),
    ],
)
def test_a_mistake_is_one_line_in_a_terminal(hub, tmp_path, name, words):
    """A name that is none, and somebody else's: exit status 2, one line, no traceback, nothing on
    the Hub."""
    told = deployed(hub, tmp_path, name)
    assert told.returncode == 2 and told.stdout == ""
    assert words in told.stderr and len(told.stderr.strip().splitlines()) == 1
    assert ("space", name) not in hub.repos


@pytest.mark.parametrize("token", [None, pytest.param("hf_of_nobody", marks=pytest.mark.long)])
def test_without_a_login_it_says_so(hub, tmp_path, token):
    """One sentence, before minutes go into recording runs; a token that is refused is not
    repeated."""
    told = deployed(hub, tmp_path, "tester/new", "--static", token=token)
    assert (
        told.returncode == 2
        and "hf auth login" in told.stderr
        and len(told.stderr.strip().splitlines()) == 1
    )
    assert "hf_of_nobody" not in told.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [(402, "paid plan"), pytest.param(500, "answers 500", marks=pytest.mark.long)],
)
def test_what_the_hub_refuses_is_one_sentence(tmp_path, code, words):
    """A plan that does not allow the Space, and a Hub that is broken."""
    with Hub() as broken:
        broken.lie(r"/api/repos/create", status(code))
        told = deployed(broken, tmp_path, "tester/new")
    assert (
        told.returncode == 2 and words in told.stderr and len(told.stderr.strip().splitlines()) == 1
    )


def test_without_a_network_it_says_so(hub, tmp_path):
    """Nobody listens there: one sentence."""
    env = hub.environment(tmp_path, "hf_test") | {"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    told = programs.run("-m", "tinydiff", "deploy", "tester/new", env=env)
    assert (
        told.returncode == 2
        and "cannot be reached" in told.stderr
        and len(told.stderr.strip().splitlines()) == 1
    )


# ---------------------------------------------------------------- a dry run, and recorded runs


def test_a_dry_run_lists_what_would_be_uploaded(tmp_path, monkeypatch):
    """The folder holds what is listed, byte for byte of size, and nobody was asked; a folder that
    is in use is left alone."""
    monkeypatch.setattr(spaces, "HfApi", lambda: pytest.fail("A dry run asked the Hub."))
    said = []
    spaces.deploy(Target("tester/page"), str(tmp_path / "space"), said.append)
    *rows, last = [line.split() for line in said]
    sizes = {name: int(size.replace(",", "")) for size, name in rows}
    found = [path for path in (tmp_path / "space").rglob("*") if path.is_file()]
    assert sizes == {
        path.relative_to(tmp_path / "space").as_posix(): path.stat().st_size for path in found
    }
    assert int(last[0].replace(",", "")) == sum(sizes.values())
    with pytest.raises(ValueError, match="not empty"):
        spaces.deploy(Target("tester/page"), str(tmp_path / "space"), said.append)


SHORT = ((None, 4), ("confidence", 2))


@pytest.fixture(scope="module")
def static(hub, tmp_path_factory):
    """(the files, the repository) of a static Space that was deployed by this process, with
    recorded runs of four steps and 64 characters."""
    from huggingface_hub import constants

    folder = tmp_path_factory.mktemp("static")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gallery, "RUNS", SHORT)
        patched.setitem(runs.DEFAULTS, "length", 64)
        patched.setenv("HF_TOKEN", "hf_test")
        for name, value in hub_of(hub.url, folder / "home").items():
            patched.setattr(constants, name, value)
        spaces.deploy(Target("tester/runs", static=True), say=lambda words: None)
    for name, data in (repo := hub.space("tester/runs")).files().items():
        (folder / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "site" / name).write_bytes(data)
    return folder / "site", repo


def test_a_static_space_holds_a_run_of_every_family(static, monkeypatch):
    """Each family once, with the runs that fit it, each in its file; the front matter is that of a
    static Space."""
    monkeypatch.setattr(gallery, "RUNS", SHORT)
    folder, _ = static
    page = (folder / "index.html").read_text("utf-8")
    recorded = json.loads(
        re.search(r'<script type="application/json" id="families">(.*?)</script>', page, re.S)[1]
    )
    assert {family["name"] for family in recorded} == set(gallery.PROCESSES)
    for family in recorded:
        assert [run["key"] for run in family["runs"]] == [
            key_of(run) for run in gallery.chosen(family["name"])
        ]
        for run in family["runs"]:
            value = json.loads((folder / run["file"]).read_text("utf-8"))
            assert (
                value["done"]
                and value["total"] == run["pictures"]
                and value["head"]["family"] == family["name"]
            )
    assert front((folder / "README.md").read_text("utf-8"))["sdk"] == "static"
    assert {p.suffix for p in folder.rglob("*") if p.is_file() and p.name != ".gitattributes"} == {
        ".html",
        ".js",
        ".css",
        ".json",
        ".md",
    }


def key_of(run):
    sampler, steps = run
    return "left-to-right" if sampler == "left_to_right" else f"{sampler}-{steps}"


def test_a_static_space_is_uploaded(static):
    """The repository is a static Space without hardware, and holds the page."""
    _, repo = static
    assert repo.space == {"sdk": "static"} and {"index.html", "gallery.js", "README.md"} <= set(
        repo.files()
    )


# ---------------------------------------------------------------- a GPU that is lent


def test_the_page_s_runs_are_offered_to_zerogpu(monkeypatch):
    """Where `spaces` can be imported, exactly one function is decorated, and it is a generator,
    which ZeroGPU streams."""
    decorated = []
    fake = types.ModuleType("spaces")
    fake.GPU = lambda function: decorated.append(function) or function
    monkeypatch.setitem(sys.modules, "spaces", fake)
    source = compile(Path(gpu.__file__).read_text("utf-8"), gpu.__file__, "exec")
    exec(source, {"__name__": "again"})
    assert [function.__name__ for function in decorated] == [
        "there"
    ] and inspect.isgeneratorfunction(decorated[0])


def test_a_lent_gpu_writes_the_same_text(monkeypatch):
    """With a copy of the model, the frames are those of generate(), and what travels to the GPU and
    back can be sent."""
    import pickle

    process, canvas = random_process("masked"), Canvas.blank(12)
    settings = dict(sampler="ancestral", steps=3, seed=5)
    monkeypatch.setattr(gpu, "device", lambda: "meta")  # any but "cpu"
    sent = []
    monkeypatch.setattr(
        gpu, "there", lambda *args: sent.append(pickle.loads(pickle.dumps(args))) or iter(())
    )
    assert list(gpu.generate(process, canvas, **settings)) == [] and len(sent) == 1
    monkeypatch.undo()
    monkeypatch.setattr(gpu, "device", lambda: "cpu")
    frames = [pickle.loads(pickle.dumps(frame)) for frame in gpu.there(*sent[0])]
    expected = list(generate(process, canvas, **settings))
    assert [torch.equal(a.tokens, b.tokens) for a, b in zip(frames, expected)] == [True] * 3


def test_the_readme_has_the_head_of_a_space():
    """That of a deployed page; its gradio is the one of constraints.txt."""
    readme, card = (ROOT / "README.md").read_text("utf-8"), spaces.card(Target("user/tinydiff"))
    assert SpaceCard(readme).data.to_dict() == SpaceCard(card).data.to_dict()
    pin = re.search(r"^gradio==(.+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)[1]
    assert SpaceCard(readme).data.sdk_version == pin
