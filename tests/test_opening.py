"""What the first minute of the page is made of: sentences for each moment, the guesses of one look,
texts at other numbers of looks, words that are none, and one field for all that is given."""

import math
import re
import threading
import time
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import pytest

from tests.conftest import random_process
from tinydiff import guides
from tinydiff.measure import evaluate, sense
from tinydiff.nets.precision import auto_is_fp32
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show import render
from tinydiff.show.moments import moments, plain
from tinydiff.store import catalogue
from tinydiff.text import Canvas, Characters
from tinydiff.ui import denoise, fields, looks, request, steering, writing
from tinydiff.ui.request import LOOKS, OPENING
from tinydiff.ui.session import Job, Session

SMALL = {"model": "perfect-masked", "length": 32, "steps": 4, "prompt": "", "temperature": 0.7}


def done(settings: dict) -> dict:
    """The last value of a run."""
    *_, value = denoise.TAB.alone(request.read(settings))
    return value


def text_of(value: dict, process) -> str:
    return render.spelled(render.unpack(value).frames[-1].text, process.tokenizer)


# ---------------------------------------------------------------- sentences


@pytest.mark.parametrize("name", PROCESSES)
def test_every_moment_of_every_noise_has_its_sentence(name):
    """Each begins with a capital or with dots that go on, ends, and has its words filled in; what
    guesses nothing says what it does instead. The first and the last sampler of each process, and
    with the first, in order: hidden or wrong, guesses, what is kept, later looks."""
    process, known = random_process(name), []
    for sampler in column(process):
        told = moments(process, sampler)
        known.append(told)
        one_by_one = "diffusion" not in process.traits or sampler == "left_to_right"
        last = ["order"] if one_by_one else ["guess", "keep", "run"]
        assert list(told) == ["start", *(["run"] if "blocks" in process.traits else last)]
        for words in told.values():
            assert re.fullmatch(r"(?:[A-Z]|… )[^{}]*[.…]", words) and "  " not in words, words
    if "mask" in process.traits and "diffusion" in process.traits:
        assert known[0]["start"].startswith("Hidden words")
        assert any("surest" in told.get("keep", "") for told in known)
    assert plain(name) and plain(name) == plain(name).strip()


def test_names_are_plain():
    """Noise is called as somebody new would call it, each by another name; what nobody knows keeps
    its own."""
    said = [plain(name) for name in PROCESSES]
    assert len(set(said)) == len(said)
    wanted = {"hidden words", "wrong words", "blurred words", "binary noise", "one after the other"}
    assert wanted <= set(said)
    assert plain("of another program") == "of another program"
    menu = fields.noises(catalogue.models())
    assert menu[0] == ("hidden words", "masked")
    assert {name for _, name in menu} == {m.process for m in catalogue.models().values()}
    assert fields.noise_about(PROCESSES["masked"]).startswith(PROCESSES["masked"].about)
    assert fields.noise_info(PROCESSES["masked"]).startswith("[Masked (MDLM) ↗](https://arxiv.org/")


# ---------------------------------------------------------------- the guesses of one look


@pytest.mark.parametrize("model", ["perfect-masked", "perfect-uniform", "perfect-gaussian"])
def test_guesses_are_the_text_of_one_look(model):
    """What is shown as all guesses of the first look is, sign for sign, the text that one look
    alone writes with the same settings."""
    settings = {**SMALL, "model": model, "seed": 5}
    held = done(settings)["head"]["guess"]["text"]
    alone = render.unpack(done({**settings, "steps": 1})).frames[-1].text
    assert held == alone and render.MASK not in held
    assert held != render.unpack(done(settings)).frames[-1].text


def test_what_writes_one_after_the_other_has_no_guesses():
    """It guesses nothing else."""
    assert "guess" not in done({**SMALL, "model": "perfect-autoregressive"})["head"]


def test_the_recorded_guesses_are_the_recorded_text_of_one_look():
    """Of the run that the page opens with; and it is the text of one look that is made here."""
    guess, made = denoise.example()["head"]["guess"], looks.recorded()["made"]
    one = render.unpack(made["1"])
    assert guess["text"] == one.frames[-1].text
    with auto_is_fp32():
        asked = request.read({"steps": 1})
        *_, frame = asked.frames()
    spelling = render.Spelling()
    for picture in one.frames:
        spelling.take(picture)
    written = asked.process.tokenizer.decode(frame.tokens[0])
    assert spelling.text(one.frames[-1].text) == written


# ---------------------------------------------------------------- other numbers of looks


def test_all_numbers_of_looks_of_the_opening_are_recorded():
    """With the run that plays at load they are those of the slider, each is done, with its measure,
    and its link is the opening's with that number of steps; more looks make more sense."""
    found, first = looks.recorded(), denoise.example()
    values = {int(count): value for count, value in found["made"].items()}
    assert found["run"] == first["run"] and OPENING["steps"] not in values
    values[OPENING["steps"]] = first
    assert sorted(values) == sorted(first["head"]["looks"]) == list(LOOKS)
    usual = request.read({}).settings
    for count, value in values.items():
        settings = usual | value["head"]["settings"]  # without options that came later
        assert value["done"] and settings == usual | {"steps": count}
        assert (
            value["measure"]["name"] == "smooth sentences" and 0 <= value["measure"]["share"] <= 1
        )
        query = dict(parse_qsl(value["head"]["query"]))
        assert query.get("steps", str(OPENING["steps"])) == str(count)
    assert values[1]["measure"]["share"] < values[32]["measure"]["share"]


@pytest.fixture
def several():
    """The numbers of looks of a finished run of four steps, of which nothing else is there yet."""
    asked = request.read(SMALL)
    *_, value = denoise.TAB.alone(asked)
    return looks.Looks.of(asked, value)


def test_texts_at_other_numbers_of_looks_are_those_of_the_same_settings(several):
    """Each that is computed behind a run is what its settings write by themselves with that number
    of steps."""
    *_, value = looks.behind(several, lambda: True, lambda: True)
    assert [*map(int, value["made"])] == [n for n in several.counts if n != 4]
    assert len(value["made"]) >= 4 and value["run"] == several.run
    for count, made in value["made"].items():
        alone = done({**SMALL, "steps": int(count)})
        assert render.unpack(made).frames[-1].text == render.unpack(alone).frames[-1].text
        assert made["measure"] == alone["measure"] and made["done"]


def test_what_the_visitor_waits_for_is_computed_first(several):
    """The number of looks at which the slider stands; then those that take least."""
    several.chosen = 16
    order = []
    for value in looks.behind(several, lambda: True, lambda: True):
        order += [int(n) for n in value["made"] if int(n) not in order]
    assert order == [16, 1, 2, 8, 32] + [n for n in several.counts if n > 32]


def test_dragging_on_changes_what_comes_next(several):
    """A number that is asked for while another is computed is the next."""
    values = looks.behind(several, lambda: True, lambda: True)
    assert [*next(values)["made"]] == ["1"]
    several.chosen = 8
    assert [*next(values)["made"]] == ["1", "8"]


def test_nothing_is_computed_while_somebody_waits(several, monkeypatch):
    """Nor begun, while a run is there or waits; a text that was begun when somebody came is given
    up and made later."""
    quiet, begun, real = [False, False, True, False, False, *[True] * 99], [], looks.written
    monkeypatch.setattr(looks, "PAUSE", 0.001)
    asked = SimpleNamespace(n=0)

    def is_quiet():
        asked.n += 1
        return quiet[asked.n - 1]

    def counted(request, count, wanted):
        begun.append((count, asked.n))
        return real(request, count, wanted)

    monkeypatch.setattr(looks, "written", counted)
    first = next(looks.behind(several, lambda: True, is_quiet))
    assert [*first["made"]] == ["1"]
    assert begun == [(1, 3), (1, 6)]


def test_nothing_is_computed_for_who_is_gone(several, monkeypatch):
    """A newer run of the visitor, or a closed page, ends it, in the middle of a text too."""
    assert [*looks.behind(several, lambda: False, lambda: True)] == []
    wanted = iter([True, True, False, False])
    assert [*looks.behind(several, lambda: next(wanted), lambda: True)] == []
    assert [*several.made] == [4]


def test_one_text_at_a_time_is_computed_behind(several, monkeypatch):
    """Whoever else has the turn is waited for."""
    monkeypatch.setattr(looks, "PAUSE", 0.01)
    came = []

    def make():
        came.append(next(looks.behind(several, lambda: True, lambda: True)))

    with looks.TURN:
        other = threading.Thread(target=make)
        other.start()
        time.sleep(0.2)
        assert not came
    other.join(60)
    assert len(came) == 1


def test_the_slider_chooses_what_is_shown_and_computed(several):
    """Where it is let go is the number of steps of the next run and of what can be taken away; a
    number that is none is refused."""
    session, job = Session(), Job()
    session.jobs["denoise"] = job
    job.kept, job.looks = several.made[4], several
    assert denoise.looked(session, SimpleNamespace(_data={"count": 16})) == 16
    assert several.chosen == 16 and denoise.on_player(session) is several.made[4]
    next(looks.behind(several, lambda: True, lambda: True))
    assert denoise.on_player(session) is several.made[16]
    for wrong in ({"count": "<b>"}, {"count": 10**9}, {}, None):
        with pytest.raises((gr.Error, ValueError)):
            denoise.looked(session, SimpleNamespace(_data=wrong))
    assert several.chosen == 16


def test_of_the_opening_the_slider_chooses_too():
    """What can be taken away is then the recorded text of that number of looks."""
    session = Session()
    denoise.looked(session, SimpleNamespace(_data={"count": 2}))
    assert denoise.on_player(session) == looks.recorded()["made"]["2"]


def test_where_looks_do_not_matter_there_is_no_slider():
    """A sampler that takes a call a token has one number of looks; else there are no
    more of them than make a difference, the run's own among them."""
    assert writing.looks(request.read({**SMALL, "sampler": "left_to_right"})) == []
    assert writing.looks(request.read({**SMALL, "model": "perfect-autoregressive"})) == []
    for settings in (SMALL, {**SMALL, "model": "perfect-block"}, {**SMALL, "steps": 100}):
        asked = request.read(settings)
        plan, counts = SAMPLERS[asked.settings["sampler"]].planned, writing.looks(asked)
        planned = [plan(asked.process, asked.canvas, n) for n in counts]
        assert len(set(planned)) == len(counts) > 2 and asked.settings["steps"] in counts


# ---------------------------------------------------------------- words that are none


def signs_of(text: str, given: int = 0) -> SimpleNamespace:
    """A finished picture of a text in characters, the first of which are given."""
    return SimpleNamespace(text=text, given=[i < given for i in range(len(text))])


def test_made_up_words_are_found():
    """Every letter of a word that is in no dictionary, and nothing of a word that is in one, of
    punctuation, of what is given, and of a word that the window cuts."""
    _, process = request.open_model("shakespeare/masked")
    text = "xhe king and thoumbly lord, the frindle sun qzz"
    found = writing.strange(signs_of(text), process)
    marked = "".join(sign if i in found else "_" for i, sign in enumerate(text))
    assert marked.replace("_", " ").split() == ["thoumbly", "frindle"]
    assert text.index("thoumbly") in found
    given = writing.strange(signs_of(text, given=text.index("lord")), process)
    assert "".join(text[i] for i in given) == "frindle"


def test_made_up_words_of_pieces():
    """All pieces of such a word are marked, though each of them is a common one."""
    _, process = request.open_model("stories/masked")
    tokenizer = process.tokenizer
    tokens = tokenizer.encode("Once there was a dog named Glimfrop. He was big.")
    text = "".join(tokenizer.signs[i] for i in tokens)
    found = writing.strange(signs_of(text), process)
    said = "".join(render.spelled(text[i], tokenizer) for i in found)
    assert said.strip() == "Glimfrop" and len(found) > 1


def test_without_a_dictionary_nothing_is_marked():
    """A corpus that nobody judges."""
    process = random_process("masked")
    assert evaluate.judge_of(process) is None
    assert writing.strange(signs_of("abc hgfed abc"), process) == []
    assert writing.measure_of("abc hgfed abc", process) == {}


# ---------------------------------------------------------------- sense


STORY = (
    "Once upon a time there was a little girl named Lily. She had a big red ball. One day she went "
    "to the park with her mom and played with the ball all day. Then they went home and were happy."
)


@pytest.fixture(scope="module")
def stories():
    return request.open_model("stories/masked")[1]


def test_every_word_has_its_surprise(stories):
    """Its pieces together, with the space before it, and each sign by itself; all of them are what
    the judge needs for the text, also of one that is longer than its window."""
    judge = evaluate.judge_of(stories)
    found = sense.surprises(STORY, judge)
    words = [STORY[begin:end] for (begin, end), _ in found]
    assert "".join(words) == STORY and words[:5] == ["Once", " upon", " a", " time", " there"]
    assert " Lily" in words and words[-1] == "."
    for text in (STORY, " ".join([STORY] * 12)):
        nats = sum(nats for _, nats in sense.surprises(text, judge))
        bits = evaluate.judge_bits([text], judge).value
        assert nats == pytest.approx(bits * len(text) * math.log(2), rel=1e-4)
    letters = catalogue.judge("tiny_shakespeare")
    assert sense.surprises("", judge) == sense.surprises("caf\u00e9", letters) == ()


def test_a_word_out_of_place_is_a_slip(stories):
    """The sentence that holds it makes no sense, the others do; words at either end are not
    asked, for they may be cut."""
    assert sense.stumbles(STORY, evaluate.judge_of(stories)) == []
    wrong = STORY.replace("her mom and", "her mom the and")
    (span,) = sense.slips(wrong, stories)
    assert wrong[slice(*span)] in ("the", "and")
    assert sense.whole(STORY, []) == (4, 4) and sense.whole(wrong, [span]) == (3, 4)
    assert sense.whole('"No!" he said. ... And then', []) == (3, 3)
    assert sense.whole("... ?!", []) == (0, 0)


def test_a_story_makes_sense_and_its_words_in_random_order_do_not(stories):
    """By the judge itself, with the same words."""
    mixed = sense.shuffled(STORY)
    assert sorted(mixed.split()) == sorted(STORY.split()) and mixed != STORY
    assert sense.shuffled(STORY) == mixed != sense.shuffled(STORY, 1)
    told, other = (writing.measure_of(text, stories) for text in (STORY, mixed))
    assert told["name"] == other["name"] == "smooth sentences"
    assert told["share"] > 0.7 and other["share"] < 0.3
    assert "of real text 77" in told["about"]


def test_both_ends_of_sense_are_measured(stories):
    """As evaluation stores them; a corpus whose real text the judge does not understand is judged
    by its words, and nothing is measured where nobody judges."""
    found = sense.scale([STORY, STORY], stories)
    assert found["real"]["share"] == 1 and found["shuffled"]["share"] < 0.3
    ends = catalogue.sense("tinystories")
    assert ends["shuffled"]["share"] < 0.1 < sense.TELLING < ends["real"]["share"]
    _, verse = request.open_model("shakespeare/masked")
    assert catalogue.sense("tiny_shakespeare")["real"]["share"] < sense.TELLING
    assert (
        writing.measure_of("To be or not to be, that is the question", verse)["name"]
        == "real words"
    )
    nobody = random_process("masked")
    assert sense.scale(["abc"], nobody)["real"] == {"share": None, "error": None}
    assert sense.sense([], None) is None and not sense.is_asked(nobody)


# ---------------------------------------------------------------- what is given


@pytest.mark.parametrize(
    ("typed", "prompt", "template"),
    [
        ("Once upon a time", "Once upon a time", None),
        ("", "", None),
        ("Once …", "Once", None),
        ("Once……", "Once", None),
        ("Lily … home.", "", "Lily … home."),
        ("… home.", "", "… home."),
        ("a ␣ dog", "", "a ␣ dog"),
        ("a ␣", "", "a ␣"),
    ],
)
def test_one_field_holds_what_is_given(typed, prompt, template):
    """A text with something to be written before its end is a template; dots at the end go on."""
    usual = ["stories/masked", "ancestral", 4, 32, 7, typed, "uniform"]
    steered = [gr.skip()] * 0
    found = fields.raw_settings(*usual, *steered)
    assert (found["prompt"], found["template"]) == (prompt, template)


@pytest.mark.parametrize("name", fields.CHIPS)
def test_what_is_ready_to_be_tried_is_a_run(name):
    """Each is in the field as it stands here, can be asked for, and keeps what it gives."""
    typed, mood, *rest = fields.chosen_chip(Session(), "stories/masked", name)
    rules = rest[len(steering.LABELS) - 1 :]
    assert mood == fields.TOLD.get(name, "") and set(rest[: -len(rules)]) == {""}
    usual = ["stories/masked", "ancestral", 4, 64, 7, typed, "uniform"]
    asked = fields.raw_settings(*usual)
    read = request.read({k: v for k, v in asked.items() if k in ("prompt", "template")})
    assert fields.text_of(read) == typed
    tokenizer, canvas = read.process.tokenizer, read.canvas
    given = tokenizer.decode(canvas.tokens[0][canvas.given[0]])
    assert given.split() == typed.replace("…", " ").split()
    usual = guides.options()
    asked = {k: v for k, v in zip(steering.rules(), rules) if v != usual[k].default}
    assert asked == fields.RULES.get(name, {})
    if not asked:
        return
    *_, frame = request.read({"prompt": typed, "steps": 4, "length": 64, **asked}).frames()
    text = tokenizer.decode(frame.tokens[0])
    assert all(word in text for word in asked["contains"].split(", "))
    assert not set(asked["no_letters"]) & set(text)
    assert not canvas.given.all()


def test_a_gap_is_as_long_as_some_words():
    """48 characters, or twelve pieces of words; two of them are twice as many."""
    shakespeare = request.open_model("shakespeare/masked")[1].tokenizer
    canvas = Canvas.template(shakespeare, "To be … to be")
    assert canvas.given[0].tolist() == [True] * 6 + [False] * 48 + [True] * 6
    stories = request.open_model("stories/masked")[1].tokenizer
    for gaps in (1, 2):
        canvas = Canvas.template(stories, "Lily saw a dog. " + "…" * gaps + " They went home.")
        assert (~canvas.given).sum().item() == 12 * gaps
        assert canvas.given[0, 0] and canvas.given[0, -1]


def test_a_gap_may_be_a_letter():
    """Of an alphabet that has the sign it stays what it is."""
    canvas = Canvas.template(Characters("ab…"), "a…_b")
    assert canvas.given[0].tolist() == [True, True, False, True]


# ---------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, set()),
        ({"steps": 8}, {"steps"}),
        ({"temperature": 0.5, "prompt": "A"}, {"temperature", "prompt"}),
        ({"sampler": "confidence"}, {"sampler"}),
        ({"model": "stories/autoregressive"}, set()),
        ({"template": "a … b"}, {"template"}),
    ],
)
def test_links_carry_what_differs_from_the_usual(raw, said):
    """And model, length and seed, which say which run it is; never the usual sampler of a model."""
    query = writing.wire_for(request.read(raw)).head["query"]
    found = dict(parse_qsl(query, keep_blank_values=True))
    assert set(found) == {"model", "length", "seed"} | said


# ---------------------------------------------------------------- the plots


STORIES = [key for key in catalogue.bundled() if key.startswith("stories/")]


@pytest.mark.parametrize("model", STORIES)
def test_every_model_has_its_curves(model):
    """What goes through time has a schedule, a weight and a held-out loss at noise levels, blocks
    too; the loss grows with the noise. What writes one after the other has no time, and
    of ratios of random letters no level by itself has a likelihood."""
    asked = request.read({"model": model, "prompt": "", "length": 32, "steps": 4})
    curves = writing.wire_for(asked).head["curves"]
    if model.endswith("autoregressive"):
        assert curves == {}
        return
    assert len(curves["alpha"]) == len(curves["weight"]) == 65
    assert curves["alpha"][0] == pytest.approx(1, abs=0.01) and curves["alpha"][-1] < 0.05
    if model.endswith("score-uniform"):
        assert "loss" not in curves
        return
    times, losses = zip(*curves["loss"])
    assert len(times) >= 5 and list(times) == sorted(times) and 0 <= times[0] < times[-1] <= 1
    assert losses[-1] > 2 * losses[0]


def test_what_is_asked_of_nobody_has_no_loss():
    """A perfect network has no held-out loss that was stored."""
    assert "loss" not in writing.wire_for(request.read(SMALL)).head["curves"]


# ---------------------------------------------------------------- the numbers


def test_the_numbers_are_in_plain_words():
    """How often it looked, what a look takes, and what a second model says, with what is better."""
    rows = {row[0]: row[1:] for row in done({"steps": 4, "length": 48})["stats"]}
    names = ["looked", "a look", "how odd to a second model", "real words", "said only once"]
    assert list(rows) == names
    assert rows["looked"][0] == "4 times" and rows["a look"][0].endswith(" ms")
    assert rows["how odd to a second model"][1].endswith("lower is better")
    assert done({"steps": 1, "length": 48})["stats"][0][1] == "1 time"


def test_what_is_said_again_is_counted():
    """Of four words in a row, the share that is said only once: a text that says a sentence twice
    has fewer; a text of three words has no such number."""
    words = ["the", "fox", "ran", "home", "to", "see", "her", "friend"]

    def once(text: str) -> str | None:
        quality = evaluate.judged([text], request.read({}).process)
        rows = {row[0]: row[1] for row in writing.judged(text, quality, "tinystories")}
        return rows.get("said only once")

    assert once(" ".join(words)).startswith("100 %")
    # 13 fours in a row, of which the 5 of the sentence come twice
    assert once(" ".join(words + words)).startswith("62 %")
    assert once("the fox ran") is None


def test_every_sampler_says_what_it_keeps():
    """In words that go on after "and keeps"."""
    for sampler in SAMPLERS.values():
        assert re.fullmatch(r"[a-z][a-z ,]*[a-z]", sampler.keeps), sampler.name
