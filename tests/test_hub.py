"""The Hub: what is pushed is what is pulled, and nothing that a stranger's repository holds or a
server does is believed.

All against a stand-in on this machine (loopback.py); `pytest -m real_hub` makes the same round trip
over the real Hub.
"""

import json
import math
import os
import re
import shutil
import struct
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.torch import load, save

from tests import loopback, programs
from tests.loopback import Hub
from tinydiff.files import from_hub
from tinydiff.generate import generate
from tinydiff.store import card, catalogue, checkpoint, hub
from tinydiff.store.checkpoint import CheckpointError
from tinydiff.text import Canvas, corpora, subwords
from tinydiff.train.loop import PRESETS, start, train

TOKEN = "hf_secretOfTheOwner"
FRAMES = """
import json, sys, tinydiff
for source in sys.argv[1:]:
    process = tinydiff.load(source)
    frames = tinydiff.generate(process, tinydiff.Canvas.blank(24), steps=8, seed=3)
    print(json.dumps([process.tokenizer.decode(frame.tokens[0]) for frame in frames]))
"""


@pytest.fixture(scope="session")
def trained(lines, tmp_path_factory):
    """A checkpoint of fifty steps, with all that training needs to go on."""
    out = tmp_path_factory.mktemp("trained") / "mine"
    small = replace(
        PRESETS["tiny"], corpus=str(lines), out=str(out), steps=50, validate_every=25, save_every=50
    )
    list(train(replace(small, batch=8, precision="fp32")))
    return out


@pytest.fixture(scope="session")
def files(trained):
    """What a repository with that checkpoint holds."""
    return {name: (trained / name).read_bytes() for name in ("config.json", "model.safetensors")}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def here(monkeypatch, home):
    """The stand-in, taken for the Hub by this process, whose owner is logged in."""
    from huggingface_hub import constants

    with Hub({TOKEN: "owner"}) as server:
        changed = dict(
            ENDPOINT=server.url,
            HF_HUB_OFFLINE=False,
            HF_HOME=str(home),
            HF_HUB_DISABLE_XET=True,
            HUGGINGFACE_CO_URL_TEMPLATE=server.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        for name, value in changed.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def refused(source="stranger/model", **more) -> str:
    """The sentence with which a source is refused."""
    begun = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        hub.pull(source, **more)
    assert time.monotonic() - begun < 10
    return str(caught.value)


def sentence(words: str) -> bool:
    """One, of a reasonable length, without a traceback or a login."""
    return (
        "\n" not in words
        and 20 < len(words) < 400
        and words[-1] in ".)"
        and TOKEN not in words
        and "Traceback" not in words
    )


def kept(home) -> list:
    """Every file that a pull left on the disk."""
    return [path for path in (home / "tinydiff").rglob("*") if path.is_file()]


def weights_with_norm(files: dict, factor: float) -> dict:
    """The checkpoint with other weights."""
    weights = load(files["model.safetensors"])
    weights["net.norm.weight"] = weights["net.norm.weight"] * factor
    return {**files, "model.safetensors": save(weights)}


# ---------------------------------------------------------------- the round trip


def test_what_is_pushed_is_what_is_pulled(trained, tmp_path):
    """Train, push; a fresh process that knows no login pulls by id, by commit, by tag and from a
    collection, and writes the same frames for the same seed.
    """
    process = checkpoint.load(trained)
    frames = [
        process.tokenizer.decode(f.tokens[0])
        for f in generate(process, Canvas.blank(24), steps=8, seed=3)
    ]
    other = shutil.copytree(trained, tmp_path / "other")
    with Hub({TOKEN: "owner"}) as server:
        command = ("-m", "tinydiff", "push")
        for arguments in ([str(trained), "owner/one"], [str(trained), str(other), "owner/many"]):
            pushed = server.run(*command, *arguments, home=tmp_path / "a", token=TOKEN)
            assert pushed.returncode == 0 and f"{server.url}/{arguments[-1]}" in pushed.stdout, (
                pushed.stderr
            )
        sha, asked = server.model("owner/one").refs["heads/main"], len(server.log)
        sources = [
            "owner/one",
            f"owner/one@{sha}",
            "owner/one@step-50",
            "owner/many/mine",
            "owner/many/other@main",
        ]
        pulled = server.run("-c", FRAMES, *sources, home=tmp_path / "b")
        assert pulled.returncode == 0, pulled.stderr
        assert [json.loads(line) for line in pulled.stdout.splitlines()] == [frames] * len(sources)
        told = server.run("-m", "tinydiff", "pull", "owner/one", home=tmp_path / "b")
        assert told.stdout.splitlines()[1] == sha
        assert not any(request.token for request in server.log[asked:])


def test_a_push_is_one_commit_with_a_tag(here, trained, tmp_path):
    """It tells the step and the bits, holds the checkpoint's own files and nothing else, and may be
    done again."""
    folder = shutil.copytree(trained, tmp_path / "folder")
    (folder / "secret.txt").write_text("no")
    (folder / "model.safetensors.partial").write_text("no")
    for _ in range(2):
        assert hub.push(folder, "owner/model", private=True) == f"{here.url}/owner/model"
    repo = here.model("owner/model")
    # the first is the repository's own, the second push had nothing new
    assert repo.private and len(repo.commits) == 2
    valid = checkpoint.card(folder).metrics[-1]["valid"]
    assert repo.head.title == f"masked: step 50, {valid / 0.6931471805599453:.3f} bits a character"
    assert repo.refs["tags/step-50"] == repo.refs["heads/main"]
    own = {"config.json", "model.safetensors", "metrics.jsonl", "README.md", card.TRAINING}
    assert set(repo.files()) - {".gitattributes"} == own


def test_a_second_push_of_a_step_moves_its_tag(here, trained, files, tmp_path):
    """Other weights of the same step: the tag names the commit that holds them, and whoever asks
    for it gets them."""
    folder = shutil.copytree(trained, tmp_path / "folder")
    hub.push(folder, "owner/model")
    first = here.model("owner/model").refs["tags/step-50"]
    (folder / "model.safetensors").write_bytes(weights_with_norm(files, 2.0)["model.safetensors"])
    hub.push(folder, "owner/model")
    repo = here.model("owner/model")
    assert repo.refs["tags/step-50"] == repo.refs["heads/main"] != first
    new, old = (
        checkpoint.load(hub.pull(f"owner/model@{at}").folder).net.norm.weight
        for at in ("step-50", first)
    )
    assert new.equal(2 * old)


def test_a_push_whose_tag_fails_says_what_was_pushed(here, trained, monkeypatch):
    """The weights are there: the sentence says so, and that only the tag is missing; a second push
    sets it."""
    for answer in (loopback.status(500), loopback.status(403, "Forbidden")):
        here.lies.clear()
        here.lie("/tag/", answer)
        with pytest.raises(
            CheckpointError,
            match="is at .*owner/model, but its tag step-50 could not be set, so push it again",
        ) as told:
            hub.push(trained, "owner/model")
        assert sentence(str(told.value)) and "nothing was changed" not in str(told.value)
        assert "model.safetensors" in here.model("owner/model").files()
    here.lies.clear()
    hub.push(trained, "owner/model")
    assert (
        here.model("owner/model").refs["tags/step-50"]
        == here.model("owner/model").refs["heads/main"]
    )


@pytest.mark.parametrize(
    "name,data",
    [
        ("evaluation.json", b"{"),
        ("evaluation.json", b"[]"),
        ("evaluation.json", b'{"x": 1}'),
        ("evaluation.json", b'{"bound": 7}'),
        ("evaluation.json", b'{"bound": {"bits": "x"}}'),
        ("metrics.jsonl", b'{"step": 1, "loss": 1e400, "valid": 1}\n'),
        ("metrics.jsonl", b'{"step": 1, "loss": 1%s, "valid": 1}\n' % (b"0" * 400)),
        ("metrics.jsonl", b"\xff"),
        ("metrics.jsonl", b"[]"),
    ],
)
def test_what_a_damaged_folder_tells_of_itself(here, trained, tmp_path, name, data):
    """A card that cannot be written is a sentence before anything is asked; rows that are none are
    left out."""
    folder = shutil.copytree(trained, tmp_path / "folder")
    (folder / "README.md").unlink(missing_ok=True)
    (folder / name).write_bytes(data)
    if name == "metrics.jsonl":
        assert hub.push(folder, "owner/model").endswith("owner/model")
        return
    with pytest.raises(CheckpointError, match="evaluation.json") as told:
        hub.push(folder, "owner/model")
    assert sentence(str(told.value)) and not here.log


def test_the_pushed_card(here, trained):
    """The Hub's own reader finds its metadata, the id to load it by stands in its program, and its
    picture is beside it."""
    from huggingface_hub import ModelCard

    hub.push(trained, "owner/many", inside="masked")
    files = here.model("owner/many").files()
    read = ModelCard(files["masked/README.md"].decode())
    assert (
        read.data.library_name == "tinydiff"
        and read.data.pipeline_tag == "text-generation"
        and read.data.license == "mit"
    )
    assert 'tinydiff.load("owner/many/masked")' in read.text and f"({card.TRAINING})" in read.text
    assert files[f"masked/{card.TRAINING}"].startswith(b"\x89PNG")
    assert "tags/masked-step-50" in here.model("owner/many").refs
    whole = ModelCard(files["README.md"].decode())
    assert (
        whole.data.library_name == "tinydiff" and 'tinydiff.load("owner/many/FOLDER")' in whole.text
    )


def test_a_card_that_is_there_is_kept(here, trained, tmp_path):
    """What somebody wrote into it stays; the lines of use name the repository it is in now."""
    folder = shutil.copytree(trained, tmp_path / "folder")
    card.write(folder, "other/place")
    path = folder / "README.md"
    path.write_text(path.read_text() + "\nMy own words.\n")
    hub.push(folder, "owner/model")
    pushed = here.model("owner/model").files()["README.md"].decode()
    assert (
        pushed.endswith("My own words.\n")
        and 'load("owner/model")' in pushed
        and "other/place" not in pushed
    )
    assert "other/place" in path.read_text()


def test_a_collection_names_what_it_holds(here, files):
    """Every folder with a checkpoint, in the order of their names, pinned; a folder that is none is
    passed over."""
    config = json.loads(files["config.json"])
    other = json.dumps({**config, "process": "uniform"}).encode()
    here.add(
        "stranger/many",
        {
            **{f"b/{name}": data for name, data in files.items()},
            "a/config.json": other,
            "a/model.safetensors": files["model.safetensors"],
            "c/config.json": b"{}",
            "c/model.safetensors": b"",
            "d/config.json": b"{}",
            "e/f/config.json": b"{}",
            "README.md": b"",
        },
    )
    sha = here.model("stranger/many").refs["heads/main"]
    held = hub.contents("stranger/many")
    assert [(str(one.source), one.config["process"]) for one in held] == [
        (f"stranger/many/a@{sha}", "uniform"),
        (f"stranger/many/b@{sha}", "masked"),
    ]
    assert [one.source.folder for one in hub.contents("stranger/many/b")] == ["b"]
    with pytest.raises(CheckpointError, match="format"):
        hub.contents("stranger/many/c")
    here.add("stranger/empty", {"README.md": b""})
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        hub.contents("stranger/empty")
    assert not any(request.token for request in here.log)


def test_a_folder_called_like_its_repository(here, files):
    """Is another model than the one in the repository's root; a folder that no id can name is
    passed over."""
    other = weights_with_norm(files, 2.0)
    here.add(
        "stranger/model",
        {
            **files,
            **{f"model/{n}": d for n, d in other.items()},
            **{f"a..b/{n}": d for n, d in files.items()},
        },
    )
    held = hub.contents("stranger/model")
    assert [one.source.folder for one in held] == ["", "model"]
    root, folder = (catalogue.open_model(str(one.source)).net.norm.weight for one in held)
    assert folder.equal(2 * root)


def test_what_is_here_is_not_asked_for_again(here, files, home):
    """A commit that was pulled is read from the disk, also where there is no Hub; a name is asked
    for its commit alone."""
    here.add("stranger/model", files)
    found = hub.pull("stranger/model")
    assert {path.name for path in found.folder.iterdir()} == {"config.json", "model.safetensors"}
    before = len(here.log)
    assert hub.pull(str(found.source)) == found and len(here.log) == before
    assert hub.pull("stranger/model") == found and len(here.log) == before + 1
    assert catalogue.open_model(str(found.source)) is catalogue.open_model(str(found.source))


def test_a_repository_that_moves_on_does_not_change_what_is_pinned(here, files):
    """The old commit stays the old model, the name means the new one."""
    here.add("stranger/model", files)
    first = hub.pull("stranger/model")
    here.add("stranger/model", weights_with_norm(files, 2.0))
    second = hub.pull("stranger/model")
    assert first.source.revision != second.source.revision and hub.pull(str(first.source)) == first
    one, two = (catalogue.open_model(str(p.source)).net.norm.weight for p in (first, second))
    assert two.equal(2 * one)


def test_a_run_goes_on_from_the_hub(here, trained, lines, tmp_path):
    """What `resume` pushed comes back whole and training goes on from its step; without it there is
    nothing to go on from."""
    new = tmp_path / "new"
    assert hub.pull_run("owner/run", new, TOKEN) is False
    hub.push(trained, "owner/run", private=True, token=TOKEN)
    assert hub.pull_run("owner/run", new, TOKEN) is False and not new.exists()
    from_thread(hub.push, trained, "owner/run", token=TOKEN, resume=True)
    assert hub.pull_run("owner/run", new, TOKEN) is True
    lacking = {"evaluation.json", "tokenizer.json"}
    assert {p.name for p in new.iterdir()} == {*hub.OWN, *hub.RESUME} - lacking
    for name in ("model.safetensors", "resume.safetensors", "metrics.jsonl"):
        assert (new / name).read_bytes() == (trained / name).read_bytes()
    config = json.loads((new / "resume.json").read_text()) | {"out": str(new), "steps": 60}
    assert start(replace(PRESETS["tiny"], **config), resume=True).step == 50


def from_thread(function, *args, **kwargs):
    """Call it in another thread, and wait for its end."""
    there = threading.Thread(target=function, args=args, kwargs=kwargs)
    there.start(), there.join()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "a/b/c/d",
        "../../etc",
        "a/..",
        "a/b/..",
        "a/../b",
        "a/b@..",
        "a/b@../x",
        "/etc/passwd",
        "a//b",
        "a/b/",
        "a\\b",
        "a/b@",
        "https://huggingface.co/a/b",
        "a/b@x/y",
        "a/b?x=1",
        "a/b#c",
        "a/b%2e%2e",
        "ä/b",
        "a/b\n",
        "a" * 200 + "/b",
        "-a/b",
        "a/.b",
        "a--b/c",
    ],
)
def test_what_is_no_id_is_not_asked_for(here, text):
    """Not even a request is made: no traversal, no address, no second meaning."""
    words = refused(text)
    assert sentence(words) and "is not a Hub id" in words and not here.log


REPOSITORIES = {  # what one holds, and a word of the sentence
    "pickle only": (
        lambda f: {"config.json": f["config.json"], "pytorch_model.bin": b"\x80\x04cos\nsystem\n"},
        "no model.safetensors",
    ),
    "nothing": (lambda f: {"README.md": b"hello"}, "no config.json"),
    "traversal in names": (
        lambda f: {
            "../../config.json": f["config.json"],
            "../../model.safetensors": f["model.safetensors"],
        },
        "no config.json",
    ),
}


def header_of(data: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def config_with(files: dict, **net) -> dict:
    config = json.loads(files["config.json"])
    config["net"] |= net
    return {**files, "config.json": json.dumps(config).encode()}


def other_words(files: dict) -> dict:
    return {
        **files,
        "config.json": json.dumps(
            json.loads(files["config.json"]) | {"characters": "abc"}
        ).encode(),
    }


CONFIGS = {
    "config too large": (lambda f: {**f, "config.json": b" " * (1 << 20)}, "1,048,576 bytes"),
    "config nested without end": (lambda f: {**f, "config.json": b"[" * 200_000}, "not JSON"),
    "config of another kind": (
        lambda f: {**f, "config.json": b'{"model_type": "llama"}'},
        "format 1",
    ),
    "huge dimensions": (lambda f: config_with(f, width=10**12), "net.width"),
    "negative dimensions": (lambda f: config_with(f, layers=-3), "net.layers"),
    "the largest that is allowed": (
        lambda f: config_with(f, layers=24, width=1536, length=4096),
        "do not fit its config.json",
    ),
    "numbers that are none": (
        lambda f: {
            **f,
            "config.json": f["config.json"].replace(b'"floor": ', b'"floor": NaN, "x": '),
        },
        "floor",
    ),
    "wrong vocabulary": (other_words, "do not fit its config.json"),
    "a character that is half of one": (
        lambda f: {
            **f,
            "config.json": f["config.json"].replace(b'"characters": "', b'"characters": "\\ud800'),
        },
        "characters",
    ),
}


def weights_with(files: dict, change) -> dict:
    """The checkpoint with another header before the same numbers."""
    told, rest = header_of(files["model.safetensors"])
    change(told)
    text = json.dumps(told).encode()
    return {**files, "model.safetensors": struct.pack("<Q", len(text)) + text + rest}


def tensors_with(files: dict, change) -> dict:
    weights = load(files["model.safetensors"])
    change(weights)
    return {**files, "model.safetensors": save(weights)}


def first_tensor(told: dict) -> dict:
    return next(value for name, value in told.items() if name != "__metadata__")


TENSORS = {
    "header longer than the file": (
        lambda f: {
            **f,
            "model.safetensors": struct.pack("<Q", 1 << 60) + f["model.safetensors"][8:],
        },
        "damaged",
    ),
    "header nested without end": (
        lambda f: {**f, "model.safetensors": struct.pack("<Q", 200_000) + b"[" * 200_000},
        "damaged",
    ),
    "tensor outside the file": (
        lambda f: weights_with(f, lambda t: first_tensor(t).update(data_offsets=[0, 1 << 40])),
        "damaged",
    ),
    "tensor of negative size": (
        lambda f: weights_with(f, lambda t: first_tensor(t).update(shape=[-1, 4])),
        "damaged",
    ),
    "tensor of huge size": (
        lambda f: weights_with(f, lambda t: first_tensor(t).update(shape=[1 << 60, 1 << 60])),
        "damaged",
    ),
    "tensor that claims more than it has": (
        lambda f: weights_with(f, lambda t: first_tensor(t).update(shape=[9999])),
        "damaged",
    ),
    "objects for numbers": (
        lambda f: weights_with(f, lambda t: first_tensor(t).update(dtype="OBJECT")),
        "damaged",
    ),
    "cut short": (lambda f: {**f, "model.safetensors": f["model.safetensors"][:-100]}, "damaged"),
    "NaN weights": (
        lambda f: tensors_with(f, lambda w: w["net.norm.weight"].fill_(torch.nan)),
        "not all finite",
    ),
    "one weight too many": (
        lambda f: tensors_with(f, lambda w: w.update(more=torch.zeros(3))),
        "'more' differs",
    ),
}
HOSTILE = REPOSITORIES | CONFIGS | TENSORS


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_repository_is_refused(here, files, home, name):
    """In one sentence that says why, within ten seconds, without our login, and nothing of it
    stays."""
    make, says = HOSTILE[name]
    here.add("stranger/model", make(files))
    words = refused()
    assert sentence(words) and says in words, words
    assert not kept(home) and not here.sent_tokens()
    with pytest.raises(CheckpointError):
        catalogue.load("stranger/model")


def listing(sizes: dict, **more):
    """The answer that a repository holds files of these sizes."""
    files = [{"rfilename": name, "size": size} for name, size in sizes.items()]
    return loopback.whole(json.dumps({"sha": "a" * 40, "siblings": files} | more).encode())


LISTED, WEIGHTS, CONFIG = "/api/models/", "/resolve/[0-9a-f]+/model", "/resolve/[0-9a-f]+/config"
DISHONEST = {  # (path, answer, a word of the sentence)
    "404": (LISTED, loopback.status(404, "RepoNotFound"), "no public model"),
    "401": (LISTED, loopback.status(401, "RepoNotFound"), "no public model"),
    "403": (LISTED, loopback.status(403, "GatedRepo"), "gated"),
    "gated files": (CONFIG, loopback.status(403, "GatedRepo"), "gated"),
    "gated files, without a login": (WEIGHTS, loopback.status(401, "GatedRepo"), "gated"),
    "429": (LISTED, loopback.status(429), "patience"),
    "500": (LISTED, loopback.status(500), "answers 500"),
    "503 for the weights": (WEIGHTS, loopback.status(503), "answers 503"),
    "endless redirect": (LISTED, loopback.redirects, "TooManyRedirects"),
    "endless redirect of the weights": (WEIGHTS, loopback.redirects, "TooManyRedirects"),
    "a listing without end": (LISTED, loopback.endless(), "more"),
    "a config without end": (CONFIG, loopback.endless(), "more"),
    "a config that claims a gigabyte": (
        CONFIG,
        loopback.whole(b"{}", claimed=1 << 30),
        "cannot be reached",
    ),
    "weights without end": (WEIGHTS, loopback.endless(b"\0" * 65536), "more"),
    "a listing that is a page": (LISTED, loopback.whole(b"<html>hello</html>"), "cannot be read"),
    "a listing nested without end": (LISTED, loopback.whole(b"[" * 1_000_000), "cannot be read"),
    "a commit that is a path": (
        LISTED,
        loopback.whole(b'{"sha": "../../../../tmp/x", "siblings": []}'),
        "cannot be read",
    ),
    "negative sizes": (
        LISTED,
        listing({"config.json": -1, "model.safetensors": True}),
        "no config.json",
    ),
    "a config of a gigabyte": (
        LISTED,
        listing({"config.json": 1 << 30, "model.safetensors": 1 << 20}),
        "1,073,741,824 bytes",
    ),
    "other weights than listed": (r"/_cdn/", loopback.whole(b"\0" * 100), "cut short"),
    "a gated listing": (
        LISTED,
        listing({}, gated="manual"),
        "gated",
    ),
}


@pytest.mark.parametrize("name", DISHONEST)
def test_a_dishonest_server_is_refused(here, files, home, name):
    """In one sentence that says why, within ten seconds, without our login, and nothing of it
    stays."""
    path, answer, says = DISHONEST[name]
    here.add("stranger/model", files)
    here.lie(path, answer)
    words = refused()
    assert sentence(words) and says in words, words
    assert not kept(home) and not here.sent_tokens()


def test_weights_with_another_content_are_refused(here, files, home):
    """As long as they should be, but not the file whose digest is listed."""
    here.add("stranger/model", files)
    here.lie("/_cdn/", loopback.whole(files["model.safetensors"][:-1] + b"\x01"))
    assert "not the file that the Hub lists" in refused() and not kept(home)


def test_a_small_file_with_another_content_is_refused(here, files, home):
    """A config as long as it should be, and sound, but not the one whose hash is listed: the Hub's
    SHA-1 of it is compared."""
    here.add("stranger/model", files)
    other = files["config.json"].replace(b'"corpus": "lines"', b'"corpus": "liens"')
    assert len(other) == len(files["config.json"]) and other != files["config.json"]
    here.lie(CONFIG, loopback.whole(other))
    assert (
        "config.json of 'stranger/model' is not the file that the Hub lists" in refused()
        and not kept(home)
    )


@pytest.mark.parametrize("seconds", [math.inf, math.nan, -1, 10**400, 1e300])
def test_seconds_that_are_none(here, files, seconds):
    """Whoever waits for ever, or not at all, is told before anything is asked, also for what is
    here already."""
    with pytest.raises(ValueError, match="seconds is ") as told:
        hub.pull("stranger/model", seconds=seconds)
    assert len(str(told.value)) < 200 and not here.log


def test_the_cache_forgets_what_was_used_least_recently(here, files, home, monkeypatch):
    """Of many checkpoints that are pulled as many stay as there is room for, by number and by size;
    one that was opened again outlives newer ones; what is in use stays; a killed program's
    leftovers go.
    """
    here.add(
        "stranger/many", {f"m{i}/{name}": data for i in range(6) for name, data in files.items()}
    )
    monkeypatch.setattr(hub, "FRESH", -1.0)
    monkeypatch.setattr(hub, "KEPT", (1 << 40, 3))
    (home / "tinydiff" / "partial-left").mkdir(parents=True)
    (home / "tinydiff" / "partial-new").mkdir()
    os.utime(home / "tinydiff" / "partial-left", (0, 0))

    def held():
        return sorted(path.parent.name for path in (home / "tinydiff").rglob("config.json"))

    for i in (0, 1, 2, 0, 3, 4):
        hub.pull(f"stranger/many/m{i}")
        time.sleep(0.02)  # as fine as the clocks of file systems are
    assert held() == ["m0", "m3", "m4"]
    size = sum(len(data) for data in files.values())
    monkeypatch.setattr(hub, "KEPT", (2 * size + 1, 24))
    hub.pull("stranger/many/m5")
    assert held() == ["m4", "m5"] and {p.name for p in (home / "tinydiff").iterdir()} == {
        "stranger--many",
        "partial-new",
    }
    monkeypatch.setattr(hub, "FRESH", 60.0)
    monkeypatch.setattr(hub, "KEPT", (0, 0))
    hub.pull("stranger/many/m0")
    assert held() == ["m0", "m4", "m5"]
    assert checkpoint.load(hub.pull("stranger/many/m1").folder)


SLOW = [
    (answer, path)
    for path in (r"/api/models/{}\?", "/{}/resolve/[0-9a-f]+/config", "/{}/resolve/[0-9a-f]+/model")
    for answer in (loopback.drip, loopback.silence, loopback.slow_head)
]


def test_a_slow_server_is_given_up(here, files, home):
    """A byte now and then, in the body or in the head, or nothing at all, for any of the three
    requests: each ends within ten seconds with a sentence, nothing stays, and no thread goes on
    waiting.
    """
    names = [f"stranger/slow{i}" for i in range(len(SLOW))]
    for name, (answer, path) in zip(names, SLOW):
        here.add(name, files)
        here.lie(path.format(name), answer)
    with ThreadPoolExecutor(len(SLOW)) as pool:
        said = list(pool.map(refused, names))
    for words, (answer, _) in zip(said, SLOW):
        assert (
            sentence(words)
            and ("cannot be reached" if answer is loopback.silence else "within 9 seconds") in words
        )
    assert not kept(home) and not here.sent_tokens()
    end = time.monotonic() + 5
    while (
        waiting := [thread for thread in threading.enumerate() if "attempt" in thread.name]
    ) and time.monotonic() < end:
        time.sleep(0.1)
    assert not waiting


def test_without_a_network_it_says_so_at_once(here, monkeypatch):
    """Where nothing listens, and where the network is switched off by HF_HUB_OFFLINE."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    begun = time.monotonic()
    words = refused()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    more = refused()
    assert time.monotonic() - begun < 3 and sentence(words) and sentence(more)
    assert "cannot be reached" in words and "HF_HUB_OFFLINE" in more


def test_nobody_reads_the_owner_s_private_models(here, files, home):
    """A private repository of whoever runs this is not there for those who type its name, and the
    login is not sent."""
    here.add("owner/private", files, private=True)
    words = refused("owner/private")
    assert (
        sentence(words) and "no public model" in words and not kept(home) and not here.sent_tokens()
    )
    with pytest.raises(CheckpointError):
        hub.contents("owner/private")
    assert not here.sent_tokens()


def test_a_disk_that_is_full_is_a_sentence(here, files, monkeypatch):
    """And nothing is kept."""
    here.add("stranger/model", files)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    words = refused()
    assert sentence(words) and "No space left" in words


# ---------------------------------------------------------------- files that are no checkpoints


@pytest.fixture
def cached(here, home, monkeypatch):
    """The stand-in, and a cache of its own for the Hub's client."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    return here


def test_a_file_of_the_hub_is_kept(cached):
    """It is fetched by the Hub's client, with the login of whoever runs this; where the Hub does
    not answer any more it is the one that is here."""
    cached.add("owner/words", {"tokenizer.json": b"{}"}, private=True)
    path = from_hub("owner/words", "tokenizer.json")
    assert path.read_bytes() == b"{}" and cached.sent_tokens() == {TOKEN}
    for status in (429, 500, 503):
        cached.lie("words", loopback.status(status))
        assert from_hub("owner/words", "tokenizer.json") == path
    cached.lies.clear()
    with pytest.raises(RepositoryNotFoundError):
        from_hub("stranger/words", "tokenizer.json")


@pytest.mark.parametrize(
    "answer,why",
    [
        (loopback.status(503), "HTTPStatusError"),
        (loopback.status(429), "HTTPStatusError"),
        (loopback.silence, "ReadTimeout"),
    ],
)
def test_a_hub_that_does_not_answer_is_asked_once(cached, capfd, monkeypatch, answer, why):
    """For a tokenizer as for a model: a sentence within seconds, and nothing of the Hub's client
    beside it."""
    monkeypatch.setattr("tinydiff.files.PAUSE", 2.0)
    asked = []
    cached.lie("", lambda request: asked.append(request) or answer(request))
    begun = time.monotonic()
    with pytest.raises(ValueError, match=f"here, and the Hub gave none .{why}.: name"):
        subwords.made("someone/nothing", [])
    assert time.monotonic() - begun < 8 and capfd.readouterr() == ("", "")
    assert [request.token for request in asked] == [""]


def test_a_name_that_is_looked_up_without_end(cached, monkeypatch):
    """Is given up, whatever the connection waits for."""
    monkeypatch.setattr("tinydiff.files.PATIENCE", 0.2)
    monkeypatch.setattr("tinydiff.files.asked", lambda url: time.sleep(5))
    begun = time.monotonic()
    with pytest.raises(ValueError, match="the Hub gave none .TimeoutError.: name"):
        subwords.made("someone/nothing", [])
    assert time.monotonic() - begun < 3 and not cached.log


@pytest.mark.parametrize(
    "asked,says",
    [
        (
            ["--tokenizer", "someone/nothing"],
            "There is no tokenizer 'someone/nothing' here, and the Hub gave none (ConnectError): "
            "name characters, bpe-4096 or the like, the path of a tokenizer.json, or a Hub id.\n",
        ),
        (
            ["--tokenizer", "bpe-300", "--corpus", "tinystories"],
            "TinyStories could not be fetched from the Hub (ConnectError): name a local copy of "
            "it, tinystories_train.txt.\n",
        ),
    ],
)
def test_training_without_a_network_says_so_at_once(lines, tmp_path, asked, says):
    """One sentence, whatever is fetched; `sample` has another test."""
    environment = Hub().environment(tmp_path) | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    begun = time.monotonic()
    done = programs.run(
        *("-m", "tinydiff", "train", "--corpus", str(lines), "--out", str(tmp_path / "run")),
        *asked,
        env=environment,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", says)
    assert time.monotonic() - begun < 20


def test_tiny_shakespeare_without_a_network(cached, monkeypatch, capfd):
    """Its three parts are asked for as a tokenizer is."""
    monkeypatch.setitem(sys.modules, "pyarrow", types.ModuleType("pyarrow"))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", types.ModuleType("pyarrow.parquet"))
    cached.lie("", loopback.status(503))
    with pytest.raises(ValueError, match="fetched from the Hub .HTTPStatusError.: name a local"):
        corpora.corpus("tiny_shakespeare")
    assert [request.path for request in cached.log] == [
        "/datasets/karpathy/tiny_shakespeare/resolve/refs%2Fconvert%2Fparquet/default/train/"
        "0000.parquet"
    ]
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- pushing that fails


@pytest.mark.parametrize(
    "path,answer,says",
    [
        ("/repos/create", loopback.status(401, "Unauthorized"), "hf auth login"),
        ("/repos/create", loopback.status(403, "Forbidden"), "may not write"),
        ("/commit/", loopback.status(403, "Private storage limit reached"), "no room left"),
        ("/preupload/", loopback.status(413), "no room left"),
        ("/commit/", loopback.status(412), "somebody else"),
        ("/commit/", loopback.status(429), "patience"),
        ("/repos/create", loopback.status(500), "answers 500"),
    ],
)
def test_a_push_that_fails_says_why(here, trained, monkeypatch, path, answer, says):
    """In one sentence, without the login."""
    here.lie(path, answer)
    with pytest.raises(CheckpointError, match=says) as caught:
        hub.push(trained, "owner/model", token=TOKEN)
    assert sentence(str(caught.value))


def test_a_push_to_others_or_by_nobody(here, trained, tmp_path, monkeypatch, home):
    """Another's name, no login, no checkpoint, no network: a sentence each, and no repository comes
    of it."""
    cases = [
        ("other/model", trained, "may not write"),
        ("no id", trained, "not a Hub id"),
        ("owner/x", tmp_path, "no config.json"),
    ]
    for repo, folder, says in cases:
        with pytest.raises(CheckpointError, match=says) as caught:
            hub.push(folder, repo)
        assert sentence(str(caught.value))
    monkeypatch.delenv("HF_TOKEN")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    with pytest.raises(CheckpointError, match="hf auth login"):
        hub.push(trained, "owner/model")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="cannot be reached"):
        hub.push(trained, "owner/model", token=TOKEN)
    assert not here.repos


def test_the_login_is_written_nowhere(trained, tmp_path):
    """Not in what a push prints, also when it fails and when everything is told, not in a file, a
    card, an address or an error."""
    with Hub({TOKEN: "owner"}) as server:
        said = ""
        for target in ("owner/model", "other/model"):
            done = server.run(
                "-m", "tinydiff", "push", str(trained), target, home=tmp_path, token=TOKEN
            )
            said += done.stdout + done.stderr
        server.lie("/repos/create", loopback.status(500))
        code = (
            "import logging, sys; logging.basicConfig(level=10); from tinydiff.store import hub; "
            f"hub.push({str(trained)!r}, 'owner/model')"
        )
        done = server.run("-c", code, home=tmp_path, token=TOKEN)
        assert done.returncode and "answers 500" in done.stderr
        said += done.stdout + done.stderr
        assert TOKEN in server.sent_tokens()
        assert TOKEN not in said and not any(TOKEN in request.path for request in server.log)
        assert not any(
            TOKEN.encode() in data for data in server.model("owner/model").files().values()
        )
    written = [path for path in [*tmp_path.rglob("*"), *trained.rglob("*")] if path.is_file()]
    assert not any(TOKEN.encode() in path.read_bytes() for path in written)


def test_the_card_is_safe_yaml(trained, tmp_path):
    """A corpus whose name is full of signs is a name in the metadata, not syntax, and the measured
    bits come with their error."""
    from huggingface_hub import ModelCard

    folder = shutil.copytree(trained, tmp_path / "folder")
    corpus = 'my: "text", [of] {mine} #1'
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "corpus": corpus}))
    known = checkpoint.card(folder)
    known.evaluation["bound"] = dict(
        nats=0.6931471805599453, error=0.06931471805599453, bits=1.0, windows=3, draws=4
    )
    read = ModelCard(card.front_matter(known)).data.eval_results
    assert [(r.metric_type, r.metric_value, r.dataset_name, r.dataset_split) for r in read] == [
        ("bits-per-character", 1.0, corpus, "last 10 %"),
        ("bits-per-character-standard-error", 0.1, corpus, "last 10 %"),
    ]


# ---------------------------------------------------------------- the real one


@pytest.mark.real_hub
def test_the_round_trip_over_the_real_hub(trained, tmp_path):
    """HF_TOKEN=... pytest -m real_hub: push to a new public repository of one's own, pull it
    without a login, same frames."""
    import subprocess

    token = os.environ.get("HF_TOKEN")
    assert token, "Set HF_TOKEN to a token that may write."
    code = f"""
import os, sys, tinydiff
from huggingface_hub import HfApi
from tinydiff.store import hub
api = HfApi()
repo = api.whoami()["name"] + "/tinydiff-test-{os.getpid()}"
try:
    hub.push({str(trained)!r}, repo)
    for source in ({str(trained)!r}, repo, repo + "@step-50"):
        process = tinydiff.load(source)
        frames = tinydiff.generate(process, tinydiff.Canvas.blank(24), steps=8, seed=3)
        print([f.tokens.tolist() for f in frames])
finally:
    api.delete_repo(repo, missing_ok=True)
"""
    env = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(loopback.ROOT)}
    env.pop("HF_HUB_OFFLINE")
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, text=True, capture_output=True, timeout=300
    )
    assert done.returncode == 0, re.sub(token, "", done.stderr)
    assert len(set(done.stdout.splitlines())) == 1 and token not in done.stdout + done.stderr
