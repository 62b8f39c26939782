"""What visitors, links and the API may ask: every bad value is one sentence, every good one
survives its link."""

import json
import math
import re
import types
from pathlib import Path
from urllib.parse import parse_qsl

import gradio as gr
import pytest
import torch
from huggingface_hub import constants

from tests.loopback import Hub
from tinydiff import guides
from tinydiff.processes import build
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show import render
from tinydiff.store import catalogue, checkpoint, hub
from tinydiff.text import Subwords
from tinydiff.ui import blocks, denoise, downloads, race, request, steering, steps
from tinydiff.ui import fields as form
from tinydiff.ui.request import LIMITS, OPENING
from tinydiff.ui.session import Session

PERFECT = {"model": "perfect-masked"}


def refusal(raw: dict) -> str:
    with pytest.raises(gr.Error) as caught:
        request.read({**PERFECT, **raw})
    return caught.value.message


BAD = [
    *(
        {name: value}
        for name in LIMITS
        for value in ("abc", None, math.nan, math.inf, -1, 10**9 + 0.5, [], {}, True)
    ),
    {"steps": 0},
    {"steps": 10**9},
    {"steps": 2.5},
    {"length": 0},
    {"length": 10**7},
    {"seed": 10**12},
    {"sampler": "nonsense"},
    {"sampler": None},
    {"sampler": 3},
    {"model": "nonsense"},
    {"model": None},
    {"model": "../../etc"},
    {"model": "/etc"},
    {"model": ""},
    {"model": "user/name"},
    {"model": "user/name/folder@main"},
    {"model": "user/../name"},
    {"model": "a/b@../c"},
    {"prompt": "é"},
    {"prompt": 5},
    {"prompt": "a" * 256},
    {"prompt": "\x7f"},
    {"template": ""},
    {"template": "no blank"},
    {"template": "_é"},
    {"template": "_" * 5000},
    {"template": 3},
    {"options": "abc"},
    {"options": {"nonsense": 1}},
    {"options": [1]},
    {"sampler": "threshold", "options": {"at_least": 7}},
    {"sampler": "threshold", "options": {"at_least": "x"}},
    {"nonsense": 1},
]


@pytest.mark.parametrize("raw", BAD, ids=repr)
def test_a_bad_value_is_one_sentence(raw):
    """It is refused in one sentence that is short and ends, names what is wrong, and shows no
    traceback."""
    words = refusal(raw)
    assert words.endswith((".", "}", "_", "\u23ce")) or ":" in words
    assert (
        10 < len(words) < 400
        and "\n" not in words
        and "Traceback" not in words
        and "Error" not in words
    )


def test_where_a_wrong_character_stands():
    """A character outside the vocabulary is named, with its place."""
    words = refusal({"prompt": "abcé"})
    assert "'é'" in words and "position 4" in words


def test_what_a_stranger_typed_is_no_markup():
    """A refusal holds no markup, whatever was typed."""
    for raw in ({"model": "<b>x</b>"}, {"sampler": "<i>"}, {"prompt": "<"}, {"steps": "<u>"}):
        assert "<" not in refusal(raw)


def test_defaults_are_a_run():
    """Nothing asked is the usual run: the limits hold the defaults, and the settings say which
    sampler was meant."""
    assert all(low <= request.opening()[name] <= high for name, (low, high, _) in LIMITS.items())
    asked = request.read(PERFECT)
    assert asked.settings["sampler"] in column(asked.process) and asked.canvas.tokens.shape == (
        1,
        OPENING["length"],
    )


def test_a_prompt_is_given():
    """The prompt stands at the start and may not change."""
    asked = request.read({**PERFECT, "prompt": "ROMEO:", "length": 32})
    assert asked.canvas.given[0].tolist() == [True] * 6 + [False] * 26


@pytest.mark.parametrize("model,blank", [("perfect-masked", "_"), ("stories/masked", "␣")])
def test_an_empty_template_names_the_blank_of_its_model(model, blank):
    """A model in pieces of words can write an underscore itself, so its blank is another sign."""
    said = refusal({"model": model, "template": ""})
    assert said == f"The template is empty: write {blank} for each token to be filled in."
    assert request.read({"model": model, "template": blank * 2}).canvas.given.tolist() == [
        [False, False]
    ]


def test_a_template_is_as_long_as_it_is():
    """A template is as long as it is, whatever length was asked for; what is no blank is given."""
    asked = request.read({**PERFECT, "template": "a__b", "length": 200})
    assert asked.canvas.given[0].tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"seed": 3},
        {"prompt": "", "steps": 1},
        {"prompt": "a & b: c?", "temperature": 0.35},
        {"template": "a_\nb"},
        {"sampler": "threshold", "options": {"at_least": 0.5}},
        {"length": 64, "top_p": 0.9},
        {"top_k": 5, "spacing": "cosine"},
        {"model": "perfect-gaussian", "self_conditioning": 1},
    ],
)
def test_a_link_is_its_settings(raw):
    """Settings -> query -> settings is the identity."""
    asked = request.read({**PERFECT, **raw})
    again = request.read(
        request.from_query(dict(parse_qsl(request.query(asked.settings), keep_blank_values=True)))
    )
    assert again.settings == asked.settings


def test_a_link_opens_the_page_with_its_settings():
    """Opened with a link the page's fields show what it asks for, and its run is that of the link;
    without one nothing is changed."""
    session = Session()
    asked = request.read({**PERFECT, "length": 32, "steps": 3, "prompt": "A", "seed": 5})
    query = dict(parse_qsl(request.query(asked.settings), keep_blank_values=True))
    came, source, *fields = denoise.opened(session, types.SimpleNamespace(query_params=query))
    shown = dict(zip(form.FIELDS, fields))
    assert came is session and source == gr.skip()
    assert shown["model"]["value"] == "perfect-masked" and shown["steps"]["value"] == 3
    assert shown["seed"] == 5 and shown["text"] == "A"
    *_, value = denoise.linked(session)
    assert value["head"]["settings"] == asked.settings
    _, *nothing = denoise.opened(Session(), types.SimpleNamespace(query_params={"__theme": "dark"}))
    assert all(value == gr.skip() for value in nothing)


def test_a_link_may_hold_strange_names():
    """Names in the address that are not ours are left alone."""
    asked = {"__theme": "dark", "seed": "4", "model": "stories/masked", "length": "96"}
    assert request.from_query(asked) == {"seed": 4, "model": "stories/masked", "length": 96}


def test_links_from_before_there_were_stories():
    """They name no model, or one by its family alone, or no length, and open what they opened: the
    models of Shakespeare, 256 tokens; one that is gone opens the model of stories, and a sentence
    says so."""
    old = request.from_query({"seed": "4", "steps": "8"})
    assert old == request.BEFORE | request.LONG | {"seed": 4, "steps": 8}
    named = {"seed": "4", "model": "stories/masked"}
    assert request.from_query(named) == {"seed": 4, "model": "stories/masked", "length": 256}
    assert request.BEFORE["model"] == "shakespeare/masked" and request.BEFORE["steps"] == 128
    assert request.from_query({"steps": "8"}) == {"steps": 8}
    assert request.open_model("masked")[0].key == "shakespeare/masked"
    link = dict(parse_qsl(request.query(request.read({"model": "masked"}).settings)))
    assert link["model"] == "shakespeare/masked" and link["seed"] == "7"
    known = ["stories/uniform", "stories/masked", "shakespeare/masked", "restore-masked"]
    for name, key in (
        ("masked", "shakespeare/masked"),
        ("uniform", "stories/uniform"),
        ("shakespeare/uniform", "stories/uniform"),
        ("restore-masked", "restore-masked"),
        ("user/name", "user/name"),
    ):
        assert catalogue.named(name, known) == key


def test_another_model_is_told(monkeypatch):
    """Of a name that meant weights which are gone, and of no other."""
    monkeypatch.setattr(catalogue, "models", lambda: ["stories/uniform", "shakespeare/masked"])
    said = "The weights of 'uniform' that had learned Shakespeare are not kept any more"
    assert catalogue.instead("uniform").startswith(said)
    assert catalogue.instead("shakespeare/uniform").endswith("this is 'stories/uniform'.")
    for name in ("masked", "stories/uniform", "user/name"):
        assert catalogue.instead(name) == ""


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_option_has_a_slider(name):
    """The page has a slider for each option of each sampler, found by the signature alone."""
    own = [option for sampler, option in form.options() if sampler == name]
    assert own == list(SAMPLERS[name].options)
    values = tuple(range(len(form.options())))
    assert list(form.own_options(name, values)) == own


def test_the_same_settings_write_the_same_text():
    """Two runs with the same settings show the same pictures."""
    asked = request.read({**PERFECT, "length": 32, "steps": 4, "prompt": ""})
    first, second = ([frame.text for frame in render.unpack(last(asked)).frames] for _ in range(2))
    assert first == second


def started(session, **more):
    """A run of Denoise with the values of the page's fields in the order that they have there."""
    asked = request.read({**PERFECT, "length": 32, "steps": 32, "prompt": "", **more})
    job = session.begin("denoise")
    return job.values(denoise.write(asked, job))


def test_stop_ends_a_run_with_what_came():
    """After Stop the run makes no further step; what was written stays, marked as stopped."""
    session = Session()
    values = started(session)
    next(values), next(values), session.stop("denoise")
    *_, end = values
    assert end["done"] and end["stopped"]
    assert len(render.unpack(denoise.on_player(session)).frames) <= 4


def test_a_new_run_replaces_the_old_one():
    """When a visitor starts another run, the old one ends without a last word, in whatever tab it
    is."""
    session = Session()
    old, other = started(session), session.begin("race")
    next(old)
    *_, new = started(session)
    assert not any(value["done"] for value in old)
    assert denoise.on_player(session) is new and not other.wanted


def test_a_page_holds_what_the_player_played(tmp_path):
    """The exported page holds the very pictures that were packed for the player, once, and not the
    address of the run; the other files are made from them too."""
    session = Session()
    *_, value = started(session, steps=4)
    made = {
        name: Path(downloads.maker(writer, name.lower(), denoise.on_player)(session))
        for name, writer in downloads.WRITERS.items()
    }
    assert len(made.pop("CSV").read_text("utf-8").splitlines()) == 6  # a head, a row a picture
    for name, path in made.items():
        assert path.stat().st_size > (200 if name == "BibTeX" else 500), name
    downloads.WRITERS["HTML"](value, tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text("utf-8")
    held = json.loads(re.search(r'<script[^>]*id="run"[^>]*>(.*?)</script>', page, re.S)[1])
    assert held["chunks"] == value["chunks"] and held["top"] == value["top"]
    assert "query" in value["head"] and "query" not in held["head"]


def last(asked) -> dict:
    *_, value = denoise.TAB.alone(asked)
    return value


def test_the_recorded_run_is_a_run():
    """What plays at load unpacks to a finished text."""
    run = render.unpack(denoise.on_player(Session()))
    assert run.frames[0].step == 0 and "\x7f" not in run.frames[-1].text


# ---------------------------------------------------------------- a model of the Hub


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """The files of a checkpoint with random weights whose tokens are pieces of words."""
    torch.manual_seed(0)
    words = Subwords.learned(["Once upon a time, a king had a fool.\n" * 20], 280)
    shape = dict(layers=1, heads=1, width=16, length=32, labels=0)
    model = build("masked", words, **{k: v for k, v in shape.items() if k != "labels"})
    torch.nn.init.normal_(model.net.head.weight, std=0.5)
    folder = tmp_path_factory.mktemp("pieces") / "m"
    checkpoint.save(model, checkpoint.config_of(model, shape, "a story"), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def of_hub(pieces, tmp_path, monkeypatch):
    """The id of that checkpoint on a stand-in for the Hub, and a list that grows with each pull."""
    pulls, pull = [], hub.pull
    with Hub() as server:
        server.add("stranger/stories", pieces)
        for name, value in dict(
            ENDPOINT=server.url, HF_HUB_OFFLINE=False, HF_HOME=str(tmp_path)
        ).items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr(hub, "pull", lambda *asked: pulls.append(asked) or pull(*asked))
        yield "stranger/stories", pulls


def test_another_noise_brings_its_usual_sampler():
    """What stood there as the usual one of a noise is not kept for another that could use it too:
    from left to right would hide what masks are for. A sampler that was chosen is kept."""
    session, told = Session(), []
    for noise in ("autoregressive", "block", "masked"):
        _, _, _, menu, *_ = denoise.noise_chosen(session, noise, told[-1] if told else "ancestral")
        told.append(menu["value"])
    assert told == ["left_to_right", "blockwise", "ancestral"]
    assert denoise.noise_chosen(session, "score-masked", "confidence")[3]["value"] == "confidence"


def test_a_model_of_the_hub_is_pulled_once_a_request(of_hub):
    """Whether it is asked for by its id, loaded into the menus, chosen there, opened with a link or
    run at nine numbers of steps."""
    name, pulls = of_hub
    session = Session()
    asked = request.read({"model": name, "prompt": "", "length": 32, "steps": 2})
    assert pulls.pop() and not pulls
    shown = denoise.hub_asked(session, name, "ancestral")
    assert "1 model" in shown[0]["info"] and pulls.pop() and not pulls
    denoise.noise_chosen(session, "masked", "ancestral")
    assert pulls.pop() and not pulls
    query = dict(parse_qsl(request.query(asked.settings), keep_blank_values=True))
    denoise.opened(session, types.SimpleNamespace(query_params=query))
    assert pulls.pop() and not pulls
    plan = steps.read_fields(session, name, ["ancestral"], 1, 1.0, "")
    assert len(plan.requests) > 5 and pulls.pop() and not pulls


def test_every_tab_plays_a_model_of_pieces(of_hub):
    """Denoise writes with it, and its link reopens the page with the same run; lengths are counted
    in its tokens; Steps, Race and Blocks run it, and show what its tokens spell."""
    name, _ = of_hub
    session = Session()
    asked = request.read({"model": name, "prompt": "A king", "length": 32, "steps": 4})
    text = spelled(last(asked), asked)
    assert text.startswith("A king") and render.MASK not in text
    query = dict(parse_qsl(request.query(asked.settings), keep_blank_values=True))
    _, source, *fields = denoise.opened(session, types.SimpleNamespace(query_params=query))
    shown = dict(zip(form.FIELDS, fields))
    assert source["visible"] and "Commit" in source["info"]
    assert shown["length"]["info"].startswith("Tokens in all")
    *_, value = denoise.linked(session)
    assert spelled(value, asked) == text
    plan = steps.read_fields(session, name, ["ancestral"], 1, 1.0, "")
    plan = steps.Plan(plan.model, plan.requests[:2])
    *_, panel = steps.TAB.alone(plan)
    assert [card["steps"] for card in panel["cards"]] == [1, 2]
    *_, whole = race.race("A king", 1, [[name, "ancestral", 2], [name, "confidence", 4]])
    lane = whole["lanes"][0]
    assert "".join(lane["pieces"].get(sign, sign) for sign in lane["start"]).startswith("A king")
    block, *_ = blocks.changed(session, name, 16)
    assert block["info"].startswith("Tokens a block")
    panel = blocks.blocks(name, block=16, each=2, length=64, prompt="A king", seed=1)
    assert panel["state"] == "done" and panel["text"].startswith("A king")
    assert panel["written"] == panel["total"] == 64 and panel["unit"] == "tokens"
    assert panel["given"] == len("A king") and panel["start"] == len(panel["text"])


def spelled(value: dict, asked) -> str:
    """The text of a value for the player."""
    return render.spelled(render.unpack(value).frames[-1].text, asked.process.tokenizer)


def test_a_model_that_writes_no_blocks(of_hub):
    """Blocks says so in a sentence, also of the Hub's or the page's other models."""
    with pytest.raises(gr.Error, match="does not write in blocks"):
        blocks.changed(Session(), "perfect-uniform", 16)


def usual_values(**settings) -> list:
    """What the fields of Watch hold, behind the noise."""
    s = request.opening() | settings
    steered = [""] * len(steering.LABELS) + [s[name] for name in guides.options()]
    first = [s[name] for name in ("model", "sampler", "steps", "length", "seed", "prompt")]
    return [*first, s["spacing"], *steered, *[None] * len(form.options())]


@pytest.mark.parametrize(
    "noise, model, sampler, wanted",
    [
        ("block", "stories/bits", "ancestral", ("stories/block", "blockwise")),
        ("masked", "stories/autoregressive", "left_to_right", ("stories/masked", "ancestral")),
        (
            "autoregressive",
            "stories/autoregressive",
            "ancestral",
            ("stories/autoregressive", "left_to_right"),
        ),
        ("masked", "stories/masked", "confidence", ("stories/masked", "confidence")),
    ],
)
def test_write_asks_for_what_was_chosen_before_the_menus_have_come(noise, model, sampler, wanted):
    """With a model or a sampler of the noise before, the run is what the menus are about to hold;
    what fits is left as it is, and what is no sampler at all is refused."""
    session, sent = Session(), usual_values(model=model, sampler=sampler, label="")
    asked = denoise.read_fields(session, noise, *sent).settings
    assert (asked["model"], asked["sampler"]) == wanted
    shown = denoise.noise_chosen(session, noise, sampler)
    assert sampler == "confidence" or wanted == (shown[2]["value"], shown[3]["value"])
    for wrong in ("nonsense", ["ancestral"], {}):
        with pytest.raises(gr.Error) as caught:
            denoise.read_fields(session, "masked", "stories/masked", wrong, *sent[2:])
        assert "Traceback" not in str(caught.value)


def test_the_newest_choice_of_a_noise_counts(monkeypatch):
    """A model that takes its time to open does not undo what was chosen after it."""
    session, open_model = Session(), denoise.open_model

    def slow(name, session):
        monkeypatch.setattr(denoise, "open_model", open_model)
        denoise.noise_chosen(session, "uniform", "")
        return open_model(name, session)

    monkeypatch.setattr(denoise, "open_model", slow)
    late = denoise.noise_chosen(session, "masked", "")
    assert not any("value" in update for update in late)
