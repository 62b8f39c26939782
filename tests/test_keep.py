"""A run that is kept on the Hub: pushed while it trains, gone on with elsewhere, also when it is
killed; the training Space, the job."""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.loopback import Hub, status
from tests.programs import ROOT, Program
from tinydiff.cli import training
from tinydiff.deploy.spaces import PARQUET
from tinydiff.measure import brief, evaluate, families
from tinydiff.store import checkpoint, hub, told
from tinydiff.store.checkpoint import CheckpointError
from tinydiff.text import corpus
from tinydiff.train.loop import PRESETS, start, train
from tinydiff.train.pushing import Keeper
from tinydiff.ui import trainer

TOKEN = "hf_secretOfTheOwner"
LOOKING = ("masked", "block")  # processes that write in steps
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tinydiff.train.pushing", "torch._dynamo"])


@pytest.fixture
def config(lines, tmp_path):
    return replace(
        PRESETS["tiny"],
        corpus=str(lines),
        out=str(tmp_path / "whole"),
        steps=30,
        batch=4,
        validate_every=10,
        save_every=5,
        precision="fp32",
        device="cpu",
    )


def login(url: str, home: Path) -> None:
    """Take the server for the Hub in this process."""
    from huggingface_hub import constants

    for name, value in hub_of(url, home).items():
        setattr(constants, name, value)
    os.environ["HF_TOKEN"] = TOKEN


def hub_of(url: str, home: Path) -> dict:
    """The client's constants that say where the Hub is."""
    return dict(
        ENDPOINT=url,
        HF_HUB_OFFLINE=False,
        HF_HOME=str(home),
        HF_HUB_DISABLE_XET=True,
        HUGGINGFACE_CO_URL_TEMPLATE=url + "/{repo_id}/resolve/{revision}/{filename}",
    )


@pytest.fixture
def server(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub({TOKEN: "owner"}) as server:
        for name, value in hub_of(server.url, tmp_path / "home").items():
            monkeypatch.setattr(constants, name, value)
        yield server


def kept_training(config, resume, url, home):
    """Train; push every save, in the background; as slow as the Hub."""
    login(url, home)
    run, keeper = start(config, resume=resume), Keeper("owner/run", minutes=1e-9)
    for _ in run.steps():
        keeper.offer(run)
        time.sleep(0.02)
    keeper.finish(run)


def rows(folder):
    return [(row["step"], row["loss"], row["valid"]) for row in checkpoint.card(folder).metrics]


# what is asked of the Hub, one after the other
PUSHING = (
    "preupload",
    "info/lfs",
    "_lfs/",
    "commit",
    "tag",
)


@pytest.mark.parametrize("moments", [PUSHING[1:2], pytest.param(PUSHING, marks=pytest.mark.long)])
def test_killed_while_it_is_pushed(config, server, tmp_path, moments):
    """SIGKILL in the middle of several pushes: what the Hub holds is always a whole checkpoint from
    which training can go on, what is here goes on too, and the end, here and on the Hub, is that of
    a run that was never killed.
    """
    list(train(config))
    killed, out = replace(config, out=str(tmp_path / "killed")), tmp_path / "killed"
    for kill, what in enumerate(moments):
        asked = len(server.log)
        child = context.Process(
            target=kept_training,
            args=(killed, (out / "resume.json").is_file(), server.url, tmp_path / "home"),
        )
        child.start()
        while child.is_alive() and not any(what in request.path for request in server.log[asked:]):
            time.sleep(0.001)
        assert child.is_alive(), "It was never in the middle of a push."
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        elsewhere = tmp_path / f"elsewhere-{kill}"
        if hub.pull_run("owner/run", elsewhere):
            step = checkpoint.read_config(elsewhere)["step"]
            assert checkpoint.load(elsewhere)
            further = replace(config, out=str(elsewhere))
            assert next(train(further, resume=True)).step == step + 1
    kept_training(killed, True, server.url, tmp_path / "home")
    assert rows(out) == rows(config.out)
    assert (
        server.model("owner/run").files()["model.safetensors"]
        == (tmp_path / "whole" / "model.safetensors").read_bytes()
    )
    told = json.loads(server.model("owner/run").files()["resume.json"])
    assert told["corpus"] == "lines.txt" and str(tmp_path) not in json.dumps(told)


def test_a_push_that_fails_is_told_and_tried_again(config, server, monkeypatch):
    """Training does not stop for it; the next save is pushed."""
    monkeypatch.setenv("HF_TOKEN", "hf_ofSomebodyElse")
    run, keeper = start(replace(config, steps=10)), Keeper("owner/run", minutes=1e-9)
    steps, troubles = run.steps(), []
    for now in steps:
        keeper.offer(run)
        while keeper.busy:
            time.sleep(0.01)
        troubles.append(keeper.trouble)
        if now.step == 5:
            monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert (
        "hf auth login" in troubles[4]
        and "hf_" not in troubles[4]
        and not troubles[-1]
        and keeper.finish(run).endswith("owner/run")
    )
    with pytest.raises(ValueError, match="not a Hub id"):
        Keeper("../etc")
    server.lie("preupload", status(403))
    run.saved += 1
    with pytest.raises(CheckpointError):
        keeper.finish(run)


def test_no_room_for_a_copy_does_not_end_the_training(config, server, monkeypatch):
    """It is told, and pushed when there is room again."""
    real, full = shutil.copytree, [True]

    def copytree(*args, **more):
        if full:
            raise OSError(28, "No space left on device")
        return real(*args, **more)

    monkeypatch.setattr(shutil, "copytree", copytree)
    run, keeper = start(replace(config, steps=10)), Keeper("owner/run", minutes=1e-9)
    for _ in run.steps():
        keeper.offer(run)
    assert (
        run.step == 10
        and "No space left" in keeper.trouble
        and ("model", "owner/run") not in server.repos
    )
    full.clear()
    assert keeper.finish(run).endswith("owner/run") and not keeper.trouble


FLAGS = [
    "--preset",
    "tiny",
    "--batch",
    "4",
    "--steps",
    "16",
    "--save-every",
    "8",
    "--validate-every",
    "8",
    "--device",
    "cpu",
    "--precision",
    "fp32",
]


def program(server, *flags, cwd, home, script=ROOT / "train_space.py", **environment):
    """train_space.py against the server, its output to be read."""
    env = {**server.environment(home, TOKEN), "GRADIO_ANALYTICS_ENABLED": "False", **environment}
    return Program(script, *flags, cwd=cwd, env=env)


@pytest.mark.long
def test_a_training_space_goes_on_after_a_restart(lines, server, tmp_path):
    """The app trains by itself with the flags of its variable, answers on its port, pushes, saves
    at SIGTERM; started again on an empty disk it goes on from the Hub to the end, which is that of
    the command line. No output names the login.
    """
    variables = dict(
        SPACE_ID="owner/space",
        GRADIO_SERVER_NAME="127.0.0.1",
        TINYDIFF_TRAIN=" ".join(
            [
                *FLAGS,
                "--steps",
                "4000",
                "--corpus",
                "lines.txt",
                "--push-to",
                "owner/run",
                "--push-every",
                "0.001",
            ]
        ),
    )
    said = []
    for part in ("one", "two"):
        (tmp_path / part).mkdir()
        shutil.copy(lines, tmp_path / part)
        app = program(server, cwd=tmp_path / part, home=tmp_path / "home", **variables)
        pushed = len(server.log)
        end = time.monotonic() + 90
        while not any("commit" in r.path for r in server.log[pushed:]) and time.monotonic() < end:
            time.sleep(0.05)
        app.send_signal(signal.SIGTERM)
        said.append("".join(app.communicate(timeout=60)))
        assert app.returncode == 143 and "Stopped at step" in said[-1] and TOKEN not in said[-1], (
            said[-1]
        )
    steps = [int(re.search(r"Stopped at step (\d+)", words)[1]) for words in said]
    assert steps[1] > steps[0] > 0
    whole = hub.pull_run("owner/run", tmp_path / "back")
    assert whole and checkpoint.read_config(tmp_path / "back")["step"] == steps[1]


@pytest.mark.long
def test_a_job_takes_its_code_from_a_space(lines, server, tmp_path):
    """train_space.py alone in a folder: the Space that is named holds the rest; without one, a
    sentence."""
    needed = [*ROOT.glob("tinydiff/**/*.py"), ROOT / "tinydiff" / "ui" / "static" / "style.css"]
    files = {str(path.relative_to(ROOT)): path.read_bytes() for path in needed}
    server.add("owner/tinydiff", files, kind="space")
    shutil.copy(ROOT / "train_space.py", tmp_path)
    shutil.copy(lines, tmp_path)
    flags = [*FLAGS, "--corpus", "lines.txt", "--out", "run", "--push-to", "owner/job"]
    alone = dict(
        script=tmp_path / "train_space.py", cwd=tmp_path, home=tmp_path / "home", PYTHONPATH=""
    )
    done = program(server, *flags, **alone, TINYDIFF_SPACE="owner/tinydiff")
    said = "".join(done.communicate(timeout=120))
    assert done.returncode == 0 and "Pushed to" in said and TOKEN not in said, said
    assert {"model.safetensors", "README.md"} <= set(server.model("owner/job").files())
    done = program(server, *flags, **alone)
    said = "".join(done.communicate(timeout=60))
    assert done.returncode and "set TINYDIFF_SPACE" in said and "Traceback" not in said


def test_the_job_needs_what_the_project_needs():
    """The header of train_space.py names the packages of requirements.txt, and what reads the Hub's
    corpora."""
    header = re.findall(r'^#   "(.+)",?$', (ROOT / "train_space.py").read_text(), re.M)
    assert sorted(header) == sorted([*(ROOT / "requirements.txt").read_text().split(), PARQUET])


@pytest.mark.long
def test_resuming_from_the_hub_by_command(lines, server, tmp_path, config):
    """`--push-every` keeps a run on the Hub, `--resume --push-to` goes on from there, with the
    settings it had."""
    flags = [*FLAGS, "--push-to", "owner/mine", "--push-every", "0.001"]
    first = program(
        server, *flags, "--corpus", lines, "--out", "run", cwd=tmp_path, home=tmp_path / "home"
    )
    first.communicate()
    assert first.returncode == 0
    more = [
        "--resume",
        "--push-to",
        "owner/mine",
        "--out",
        "other",
        "--steps",
        "24",
        "--corpus",
        lines,
    ]
    second = program(server, *more, cwd=tmp_path, home=tmp_path / "home2")
    said = "".join(second.communicate(timeout=120))
    assert second.returncode == 0 and "step 24 of 24" in said and "step 8 of 24" not in said, said
    assert (
        asdict(config)["batch"]
        == checkpoint.read_config(tmp_path / "other")["training"]["batch"]
        == 4
    )
    none = program(
        server,
        "--resume",
        "--push-to",
        "owner/none",
        "--out",
        "x",
        "--corpus",
        lines,
        cwd=tmp_path,
        home=tmp_path / "home",
    )
    assert "nothing to resume" in "".join(none.communicate(timeout=60)) and none.returncode == 2


# ---------------------------------------------------------------- measured before it is pushed


def command(server, *flags, cwd, home):
    """train_space.py to its end: what it said."""
    done = program(server, *flags, cwd=cwd, home=home)
    said = "".join(done.communicate(timeout=120))
    assert done.returncode == 0, said
    return said


def test_a_push_at_the_end_has_an_evaluation(lines, server, tmp_path):
    """The time is told before, the figures are of the very weights that are pushed, the card quotes
    them and names the repository; also where that step was pushed before, and not where the flag
    leaves it out, whose card tells what the training itself measured."""
    flags = [*FLAGS, "--corpus", lines, "--push-to"]
    more = ["owner/good", "--out", "good", "--push-every", "0.0001"]
    said = command(server, *flags, *more, cwd=tmp_path, home=tmp_path / "home")
    assert said.index("for its card, about 1 minute (--no-evaluate") < said.index("Pushed to")
    files = server.model("owner/good").files()
    found, card = json.loads(files["evaluation.json"]), files["README.md"].decode()
    (tmp_path / "weights").write_bytes(files["model.safetensors"])
    assert found["weights"] == checkpoint.fingerprint(tmp_path / "weights") and found["brief"]
    assert "Not evaluated" not in card and "measured briefly" in card
    assert f"{found['bound']['windows']} windows" in card and 'load("owner/good")' in card
    assert "Temperature at 128 steps" not in card and "model-index" in card
    more = ["owner/bare", "--out", "bare", "--no-evaluate"]
    said = command(server, *flags, *more, cwd=tmp_path, home=tmp_path / "home")
    bare = server.model("owner/bare").files()
    assert "for its card" not in said and "evaluation.json" not in bare
    card = bare["README.md"].decode()
    assert "Not evaluated" not in card and "At step 16 the training validated it" in card


def test_figures_of_older_weights_are_not_pushed(config, server):
    """A run that goes on leaves them and the card that quotes them behind; one's own card stays."""
    list(train(config))
    out = Path(config.out)
    (out / "evaluation.json").write_text(json.dumps({"weights": "0123456789abcdef", "bound": {}}))
    (out / "README.md").write_text("Measured with the weights `0123456789abcdef` in fp32.")
    run = start(replace(config, steps=40), resume=True)
    for _ in run.steps():
        pass
    for own in (False, True):
        if own:
            (out / "README.md").write_text("My own words.")
        keeper = Keeper("owner/run")
        assert keeper.finish(run).endswith("owner/run")
        files = server.model("owner/run").files()
        assert "evaluation.json" not in files
        assert (files["README.md"].decode() == "My own words.") == own
        assert b"0123456789abcdef" not in files["README.md"]


def test_what_cannot_be_measured_is_pushed_all_the_same(config, monkeypatch):
    """One sentence, also where somebody has enough of it; a page of a training says so too."""
    run = start(replace(config, steps=2, validate_every=2, save_every=2))
    for _ in run.steps():
        pass
    errors = [
        ValueError("The text is gone."),
        MemoryError(),
        RuntimeError("no"),
        KeyboardInterrupt(),
    ]
    for error in errors:

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(brief, "run", fail)
        *_, last = training.evaluated(run)
        assert "pushed as it is" in last and "\n" not in last


def test_the_page_of_a_training_measures_too(config, server, lines, tmp_path):
    """What it pushes at its end has figures."""
    args = argparse.Namespace(push_to="owner/page", private=False, push_every=0.0, evaluate=True)
    there = replace(config, steps=4, validate_every=4, save_every=4)
    run = trainer.BackgroundRun(args, lambda: there, training.evaluated)
    run.go()
    run.thread.join(120)
    assert "pushed to" in run.words and "evaluation.json" in server.model("owner/page").files()


@pytest.mark.parametrize(
    "process", ["autoregressive", *(pytest.param(p, marks=pytest.mark.long) for p in LOOKING)]
)
def test_a_brief_evaluation_is_what_a_whole_one_is(process, lines, tmp_path):
    """Of the same windows the same bound; what the page and the card draw is there; of those
    without steps too."""
    made = replace(PRESETS["tiny"], corpus=str(lines), steps=2, batch=2, precision="fp32")
    made = replace(made, process=process, validate_every=2, save_every=2, out=str(tmp_path))
    list(train(made))
    data, opened = corpus(str(lines)), checkpoint.load(tmp_path)
    found = brief.run(tmp_path, data)
    part = data.valid[: brief.WINDOWS * opened.length]
    whole = evaluate.bound(opened, part, brief.DRAWS)
    assert found["bound"]["nats"] == pytest.approx(whole.nats, abs=1e-6)
    assert told.evaluation(found)["steps" if process in LOOKING else "single"]
    assert "Measured with the weights" in (tmp_path / "README.md").read_text()
    assert families.quality(told.evaluation(found))
    assert 0 < brief.seconds(tmp_path, data) < 120
