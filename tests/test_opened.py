"""A page that is opened with a checkpoint: pinned, checked, played in every tab, kept when the Hub
is gone; what cannot be had leaves the bundled page and a sentence. Against a stand-in for the Hub.
"""

import json
import shutil

import gradio as gr
import pytest
import torch

from tests import loopback
from tests.loopback import Hub
from tests.test_hub import sentence, weights_with_norm
from tests.test_keep import hub_of
from tinydiff.store import catalogue, checkpoint, hub, told
from tinydiff.ui import (
    blocks,
    denoise,
    families,
    noise,
    opened,
    race,
    request,
    rewrite,
    steps,
    tab,
    training,
)
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import Site
from tinydiff.ui.tabs import TABS

TOKEN = "hf_secretOfTheOwner"
SHELF = catalogue.CHECKPOINTS
ALL = ("config.json", "model.safetensors", "metrics.jsonl", "evaluation.json", "tokenizer.json")


def files_of(model: str, inside: str = "") -> dict[str, bytes]:
    """What a repository with a bundled checkpoint holds."""
    there = [SHELF / model / name for name in ALL]
    return {f"{inside}{path.name}": path.read_bytes() for path in there if path.is_file()}


# samplers, seed, temperature and prompt of Steps
SET = (["ancestral"], 7, 0.6, "")
MANY = {
    **files_of("shakespeare/masked", "letters/"),
    **files_of("restore-masked", "lines/"),
    **files_of("stories/block", "stories/"),
}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The stand-in, taken for the Hub by this process, whose owner is logged in; afterwards the
    page is as it is bundled."""
    from huggingface_hub import constants

    with Hub({TOKEN: "owner"}) as server:
        home = tmp_path / "home"
        for name, value in (hub_of(server.url, home) | {"HF_HUB_CACHE": str(home / "hub")}).items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
        assert not server.sent_tokens()
    opened.open_with("")


def pinned(server, name: str) -> str:
    return f"{name}@{server.model('/'.join(name.split('/')[:2])).refs['heads/main']}"


def choices(update) -> list:
    return [value for _, value in update["choices"]]


# ---------------------------------------------------------------- opened with it


def test_it_is_pinned_when_the_page_starts(server):
    """What the repository becomes later changes nothing, and neither does a Hub that is gone or a
    disk that forgot it: nothing is asked any more, and the weights are the first ones."""
    first = files_of("shakespeare/masked")
    server.add("stranger/model", first)
    found = opened.open_with("stranger/model")
    key = pinned(server, "stranger/model")
    assert (found.said, found.missed) == (f"The page opens with {key}.", False)
    assert tab.first_model() == request.opening()["model"] == key
    server.add("stranger/model", weights_with_norm(first, 2.0))
    asked = len(server.log)
    shutil.rmtree(hub.cache())
    model, process = request.open_model(key, Session())
    own = catalogue.open_model("shakespeare/masked")
    assert model.key == key and process.net.norm.weight.equal(own.net.norm.weight)
    assert catalogue.card_of(key).evaluation["bound"]["nats"] > 1
    *_, value = denoise.TAB.alone(request.read({"steps": 2, "length": 32}))
    assert value["done"] and value["head"]["settings"]["model"] == key
    assert len(server.log) == asked


def test_all_of_a_repository_is_in_the_menus(server):
    """The first that writes plain text is opened, the others are chosen among, its rewriter where
    lines are rewritten; one of them is opened by its folder, a revision by its name."""
    server.add("stranger/many", MANY)
    said = opened.open_with("stranger/many").said
    keys = [pinned(server, f"stranger/many/{name}") for name in ("letters", "stories", "lines")]
    assert said.startswith(f"The page opens with {keys[0]}, and 2 more")
    assert list(catalogue.models())[:2] == keys[:2] and next(iter(catalogue.rewriters())) == keys[2]
    assert request.open_model(keys[1])[1].name == "block"
    assert opened.open_with("stranger/many/stories@main").said == f"The page opens with {keys[1]}."
    assert list(catalogue.GUESTS) == [keys[1]]
    said = opened.open_with("stranger/many/lines").said
    assert "in the tab Tasks" in said and tab.first_model() == opened.USUAL["model"]


def test_a_guest_judges_nobody(server):
    """A stranger's model of the same text as the judge is not the judge, and its figures are
    nobody's yardstick."""
    judge, real = catalogue.judge("tinystories"), catalogue.real_text("tinystories")
    files = files_of("stories/autoregressive")
    told_ = json.loads(files["evaluation.json"]) | {"real": {"bits": 99.0}}
    server.add("stranger/judge", files | {"evaluation.json": json.dumps(told_).encode()})
    assert not opened.open_with("stranger/judge").missed
    assert catalogue.judge("tinystories") is judge
    assert catalogue.real_text("tinystories") == real


def test_a_folder_opens_it_and_its_place_is_told_to_nobody(tmp_path):
    """A checkpoint of this machine, under its folder's name or, where that is taken, another."""
    for name, key in (("my model", "my-model"), ("masked", "masked-here"), ("mine", "mine-here")):
        folder = shutil.copytree(SHELF / "shakespeare/masked", tmp_path / name)
        said = opened.open_with(str(folder)).said
        assert said == f"The page opens with {key}." and tab.first_model() == key
        shutil.rmtree(folder)
        *_, value = denoise.TAB.alone(request.read({"steps": 2, "length": 32}))
        assert value["done"] and str(tmp_path) not in json.dumps(value)
        assert request.origin(key) == "The page was opened with it."
    assert opened.open_with("stories/block").said == "The page opens with stories/block."
    assert opened.open_with("").said == "" and tab.first_model() == "stories/masked"


def test_a_model_that_cannot_write_the_prompt(lines, tmp_path):
    """Small letters alone, a short window: the opening has no prompt and the window's length, and
    runs."""
    from dataclasses import replace

    from tinydiff.train.loop import PRESETS, train

    text = tmp_path / "small.txt"
    text.write_text(lines.read_text().lower().replace(" ", "_"))
    made = replace(PRESETS["tiny"], corpus=str(text), out=str(tmp_path / "low"), steps=2, batch=2)
    list(train(replace(made, precision="fp32", validate_every=2, save_every=2)))
    assert opened.open_with(str(tmp_path / "low")).said == "The page opens with low."
    asked = request.read({"steps": 2})
    assert asked.settings["prompt"] == "" and asked.settings["length"] == asked.process.length
    opened.open_with("")
    assert request.OPENING == opened.USUAL


MISSED = {
    "nobody/nothing": "no public model",
    "owner/private": "no public model",
    "stranger/broken": "answers 500",
    "stranger/pickle": "no model.safetensors",
    "stranger/damaged": "damaged",
    "../etc": "it is no Hub id",
    "a b": "no such folder",
    "stranger/model@nothing": "no such revision",
}


@pytest.mark.parametrize("name", MISSED)
def test_what_cannot_be_had_is_one_sentence(server, name):
    """It names what was asked for, what is there in its place, and why; the page is the bundled
    one."""
    files = files_of("shakespeare/masked")
    server.add("stranger/model", files)
    server.add("owner/private", files, private=True)
    server.add("stranger/pickle", {"config.json": files["config.json"], "model.bin": b"\x80"})
    server.add("stranger/damaged", files | {"model.safetensors": files["model.safetensors"][:-9]})
    server.lie("stranger/broken", loopback.status(500))
    server.lie("revision/nothing", loopback.status(404, "RevisionNotFound"))
    found = opened.open_with(name)
    assert found.missed and sentence(found.said) and MISSED[name] in found.said
    assert found.said.startswith(
        f"The page opens with the bundled stories/masked, not with {name!r}"
    )
    assert tab.first_model() == "stories/masked" and not catalogue.GUESTS


def test_without_a_network(server, monkeypatch):
    """What was never here is missed at once; a pinned commit that was pulled before opens."""
    server.add("stranger/model", files_of("shakespeare/masked"))
    key = pinned(server, "stranger/model")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in opened.open_with(key).said
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    hub.pull(key)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert opened.open_with(key).said == f"The page opens with {key}."


def test_what_a_space_preloads_asks_nobody(server, monkeypatch):
    """The real client fetches a commit as `preload_from_hub` does; then the page opens with it
    where there is no Hub. What is unsound there is not opened."""
    from huggingface_hub import hf_hub_download

    server.add("stranger/many", MANY)
    key = pinned(server, "stranger/many")
    sha = key.partition("@")[2]
    cache = str(hub.cache().parent / "hub")
    monkeypatch.delenv("HF_TOKEN")
    for name in MANY:
        hf_hub_download("stranger/many", name, revision=sha, cache_dir=cache, token=False)
    asked = len(server.log)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = opened.open_with(key).said
    assert said.startswith(f"The page opens with stranger/many/letters@{sha}, and 2 more")
    assert catalogue.card_of(f"stranger/many/letters@{sha}").metrics
    assert len(server.log) == asked
    shutil.rmtree(hub.cache())
    for path in hub.cache().parent.glob(f"hub/*/snapshots/{sha}/*/config.json"):
        path.unlink(), path.write_text("{}")
    assert "HF_HUB_OFFLINE" in opened.open_with(key).said


def test_what_names_it(monkeypatch, tmp_path):
    """The command line before the variable before the file; anything else on the command line is a
    sentence."""
    (tmp_path / "opening.txt").write_text("a/file\n")
    assert opened.written(tmp_path / "opening.txt") == "a/file"
    assert opened.written(tmp_path / "nothing") == opened.written(tmp_path) == ""
    monkeypatch.setattr(opened, "written", lambda: "a/file")
    assert opened.named([]) == "a/file"
    monkeypatch.setenv("TINYDIFF_MODEL", " a/variable ")
    assert opened.named([]) == "a/variable" and opened.named(["a/word"]) == "a/word"
    for argv in (["--port", "1"], ["a/b", "c/d"], ["-h"]):
        with pytest.raises(opened.UsageError, match="takes no flags") as told_:
            opened.named(argv)
        assert sentence(str(told_.value))


# ---------------------------------------------------------------- every tab


def built() -> dict:
    """The page's widgets by their ids."""
    with gr.Blocks() as page:
        site = Site(page, gr.Tabs(), gr.State(Session()))
        for one in TABS:
            one.build(site)
        site.wire_menus(site.tabs.select)
    return {block.elem_id: block for block in page.blocks.values() if getattr(block, "elem_id", 0)}


def test_every_tab_opens_with_it(server):
    """Its model stands in every menu that can hold it, and its figures, its own run and its noise
    are there before anything is pressed."""
    server.add("stranger/many", MANY)
    opened.open_with("stranger/many")
    letters, stories, lines = (
        pinned(server, f"stranger/many/{name}") for name in ("letters", "stories", "lines")
    )
    page = built()
    for menu in ("model", "steps-model", "race-model-1", "blocks-model", "training-model"):
        values = [value for _, value in page[menu].choices]
        assert page[menu].value == letters and letters in values, menu
    assert {letters, stories} <= {value for _, value in page["blocks-model"].choices}
    assert page["rewrite-model"].value == lines
    assert page["noise-network"].value == page["families-model"].value == letters
    assert page["denoise-player"].value["head"]["settings"]["model"] == letters
    assert steps.ITSELF in str(page["steps-panel"].value["pictures"])
    card = catalogue.card_of("shakespeare/masked")
    shown = page["training-panel"].value
    assert len(shown["pages"]) == sum("sample" in row for row in card.metrics)
    short = catalogue.short_name(letters)
    names = [row["cells"][0] for row in page["families-panel"].value["rows"]]
    assert short in names and short.startswith("stranger/many/letters@") and len(short) < 40
    (row,) = page["noise-panel"].value["rows"]
    assert short in row["title"] and len(row["states"]) == noise.TIMES


@pytest.fixture
def visitor(server):
    """A visitor of a bundled page, and the pinned ids of a repository that they know."""
    server.add("stranger/many", MANY)
    names = ("letters", "stories", "lines")
    return Session(), [pinned(server, f"stranger/many/{name}") for name in names]


def test_a_visitor_plays_it_in_every_tab(visitor):
    """The name of a repository in each menu: the first that fits is opened, pinned, drawn with its
    own figures, and stays in all menus of this visitor and of nobody else."""
    session, (letters, stories, lines) = visitor
    model, *_, panel = steps.changed(session, "stranger/many", *SET)
    assert model["value"] == letters and {letters, stories} <= set(choices(model))
    assert steps.ITSELF in str(panel["pictures"]) and steps.SAID_ITSELF in panel["note"]
    model, *_ = race.entered(session, "stranger/many")
    assert model["value"] == letters
    plan = race.read_fields(
        session, "", "", 1, letters, "ancestral", 2, False, stories, "blockwise", 4, False
    )
    *_, whole = race.write(plan, Job())
    assert [lane["term"].partition(",")[0] for lane in whole["lanes"]] == [
        catalogue.short_name(letters),
        catalogue.short_name(stories),
    ]
    *_, panel, model = blocks.changed(session, stories, 16)
    assert model["value"] == stories and len(panel["pictures"]) >= 2 and panel["lab"]
    assert blocks.SAID_ITSELF in panel["note"]
    model, panel = training.changed(session, "stranger/many/lines")
    assert model["value"] == lines and panel["pages"] and panel["picture"]
    model, panel = families.changed(session, stories)
    assert catalogue.short_name(stories) in [row["cells"][0] for row in panel["rows"]]
    assert catalogue.short_name(stories) in panel["pictures"][0]
    model, sampler, *_ = rewrite.model_chosen(session, "stranger/many")
    assert model["value"] == lines and sampler["value"] == "confidence"
    asked = rewrite.read_fields(session, lines, "to be or not to be", "confidence", 2, 1, 0.5, 1)
    *_, (_, panel) = rewrite.TAB.alone(asked)
    assert panel["rows"][0]["text"]
    for other in (Session(), session):
        mine = other is session
        assert (letters in other.local_models()) == (lines in other.rewriters()) == mine
        assert (letters in other.models) == mine
    again = steps.changed(session, letters, *SET)[0]
    assert again["value"] == letters and lines not in choices(again)


def test_the_menus_of_a_tab_that_is_come_to(visitor):
    """Who opened a repository in one tab finds it in the others; who opened none is sent
    nothing."""
    session, (letters, stories, lines) = visitor
    with gr.Blocks() as page:
        site = Site(page, gr.Tabs(), gr.State(Session()))
        for one in TABS:
            one.build(site)
    values = ["masked"]
    assert all("choices" not in update for update in site.offered(session, *values))
    race.entered(session, "stranger/many")
    updates = site.offered(session, *values)
    widgets = [widget for *_, some in site.menus for widget in some]
    held = {w.elem_id: choices(update) for w, update in zip(widgets, updates, strict=True)}
    for name in ("model", "steps-model", *(f"race-model-{n}" for n in range(4)), "blocks-model"):
        assert letters in held[name], name
    assert {letters, lines} <= set(held["training-model"]) and held["rewrite-model"][-1] == lines
    assert letters in held["noise-network"] and letters in held["families-model"]
    assert race.NOBODY in held["race-model-3"] and race.NOBODY not in held["race-model-0"]


def test_a_visitor_s_menus_are_bounded(server):
    """However many repositories they open, RECENT models stay, the newest."""
    session = Session()
    for n in range(30):
        model = catalogue.Model(f"a/b{n}@{'0' * 40}", "masked", "", None)
        session.remember({model.key: model})
    assert len(session.recent) == 24 and next(iter(session.recent)).startswith("a/b29@")


NOISES = ("letters", "stories")


def test_a_network_of_the_hub_observes(visitor):
    """One row, of its own noise, in its own tokens: all is known without noise, and hardly anything
    of pieces of words at the end."""
    session, (letters, *_) = visitor
    shown = noise.typed_by(session, "What light?", noise.TRAINED, letters)
    (row,) = shown["rows"]
    assert row["text"] == "What light?" and "pieces" not in row
    assert row["states"][0][0] == row["states"][0][1] == "What light?"
    key = "stories/masked"
    (row,) = noise.typed_by(session, "Once upon a time", noise.TRAINED, key)["rows"]
    spelled = "".join(row["pieces"][sign] for sign in row["text"])
    assert spelled == "Once upon a time" and len(row["text"]) < len(spelled)
    assert row["states"][0][:2] == (row["text"], row["text"])
    assert set(row["states"][-1][0]) == {noise.MASK}
    assert row["ceiling"] > 6 and row["tells"][0] == pytest.approx(1, abs=0.02)
    assert row["tells"][-1] < 0.05
    with pytest.raises(gr.Error, match="cannot observe"):
        noise.answer("What", noise.TRAINED, "perfect-masked")
    with pytest.raises(gr.Error, match="there is room for 1 to"):
        noise.answer("a b c d e f g h i j k l m n o p q r s t u v w x y z " * 2, noise.TRAINED, key)


def test_what_does_not_fit_a_tab_is_one_sentence(visitor, server):
    """A rewriter where plain text is written, a writer where lines are rewritten, no evaluation
    where there is a table, a noise that the tab has not: each at once, and the menu stays."""
    session, (letters, _, lines) = visitor
    bare = {n: d for n, d in files_of("shakespeare/masked").items() if "." in n[:7] or "model" in n}
    server.add("stranger/bare", bare)
    cases = [
        (lambda: steps.read_fields(session, lines, ["ancestral"], 1, 1.0, ""), "rewrites lines"),
        (lambda: rewrite.model_chosen(session, letters), "writes plain text"),
        (lambda: blocks.changed(session, lines, 16), "rewrites lines|does not write in blocks"),
        (lambda: families.changed(session, "stranger/bare"), "brought no evaluation"),
        (lambda: families.changed(session, "stories/masked"), "no checkpoint of the Hub"),
        (lambda: training.changed(session, "nobody/nothing"), "no public model"),
        (lambda: race.entered(session, "owner/nothing"), "no public model"),
        (lambda: noise.network_chosen(session, "what/ever/is/it"), "There is no model"),
    ]
    for ask, words in cases:
        with pytest.raises(gr.Error, match=words) as caught:
            ask()
        assert sentence(caught.value.message)
    assert not training.changed(session, "stranger/bare")[1]["picture"]


# ---------------------------------------------------------------- what a stranger tells of it


WRONG = [None, True, "x", "$x^{$", "\ud800", -1, 0, 1e300, 10**400, [], {}, [[]], [{}], {"a": {}}]


def spoiled(found, rng):
    """The same with one value, anywhere, in the place of another."""
    place = found
    while True:
        keys = list(place if isinstance(place, dict) else range(len(place)))
        key = keys[int(torch.randint(len(keys), (1,), generator=rng))]
        inner = place[key]
        deeper = (
            isinstance(inner, (dict, list)) and len(inner) and torch.rand(1, generator=rng) < 0.8
        )
        if not deeper:
            place[key] = WRONG[int(torch.randint(len(WRONG), (1,), generator=rng))]
            return found
        place = inner


def drawn(session: Session, key: str) -> None:
    """All that the tabs draw of a checkpoint's own figures; a refusal is a sentence."""
    asks = (
        lambda: steps.changed(session, key, *SET),
        lambda: blocks.changed(session, key, 16),
        lambda: training.changed(session, key),
        lambda: families.changed(session, key),
    )
    for ask in asks:
        try:
            ask()
        except gr.Error as error:
            assert sentence(error.message)


def test_whatever_it_tells_can_be_drawn(monkeypatch, tmp_path):
    """An evaluation, metrics and the story in a config with anything in any place: every tab draws
    what is left, or says what is missing; nothing else is raised."""
    folder = tmp_path / "stranger"
    shutil.copytree(SHELF / "shakespeare/block", folder)
    whole = json.loads((folder / "evaluation.json").read_text())
    rows = [json.loads(row) for row in (folder / "metrics.jsonl").read_text().splitlines()][-3:]
    config = json.loads((folder / "config.json").read_text())
    key = "stranger/model@" + "0" * 40
    process = catalogue.open_model("shakespeare/block")
    model = catalogue.Model(key, "block", "", None, corpus=process.corpus)
    monkeypatch.setattr(request, "opened_among", lambda name, known, session: (model, process))
    monkeypatch.setattr(training, "opened_among", lambda name, known, session: (model, process))
    monkeypatch.setattr(hub, "is_here", lambda name: True)
    monkeypatch.setattr(catalogue, "card_of_hub", lambda key: told.card(folder))
    rng, session = torch.Generator().manual_seed(0), Session()
    monkeypatch.setattr(
        "tinydiff.show.plots.both", lambda draw, *args, alt, wide: draw(*args, width=wide) and ""
    )
    monkeypatch.setattr(steps, "bundled_curves", lambda what, corpus: [])
    for n in range(12):
        copies = (json.loads(json.dumps(part)) for part in (whole, rows, config))
        evaluation, metrics, told_ = copies
        for _ in range(1 + n % 4):
            evaluation = spoiled(evaluation, rng)
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
        lines_ = spoiled(metrics, rng)
        (folder / "metrics.jsonl").write_text("\n".join(json.dumps(row) for row in lines_))
        told_["training"] = spoiled({"steps": 1, "batch": 2, "more": {"a": 1}}, rng)
        (folder / "config.json").write_text(json.dumps(told_))
        drawn(session, key)
    for data in (b"[" * 100_000, b"\xff", b"[]", b'{"letters": 4}', b"{}"):
        (folder / "evaluation.json").write_bytes(data)
        (folder / "metrics.jsonl").write_bytes(data)
        drawn(session, key)


def test_what_is_sound_is_left_as_it_is():
    """Of the bundled checkpoints all that the tabs draw is left."""
    for key in ("stories/block", "shakespeare/masked", "stories/autoregressive", "restore-masked"):
        own, found = checkpoint.card(SHELF / key), told.card(SHELF / key)
        assert found.config == own.config and found.metrics == [
            {k: v for k, v in row.items() if k in ("step", "loss", "valid", "sample", "variances")}
            for row in own.metrics
        ]
        for part in ("steps", "single", "temperatures", "blocks", "caches"):
            rows = own.evaluation.get(part, [])
            if key != "restore-masked":
                assert len(found.evaluation[part]) == len(rows)
            for row, kept in zip(rows, found.evaluation[part]):
                assert all(
                    row.get(name) == value for name, value in kept.items() if name != "bound"
                )
        assert found.evaluation["bound"] == {
            k: own.evaluation["bound"].get(k) for k in found.evaluation["bound"]
        }


def test_figures_that_are_too_large_are_left_behind(server, monkeypatch):
    """The model is played without them."""
    files = files_of("shakespeare/masked")
    server.add("stranger/model", files | {"evaluation.json": b" " * ((1 << 20) + 1)})
    found = hub.pull("stranger/model").folder
    assert {path.name for path in found.iterdir()} == set(files) - {"evaluation.json"}
