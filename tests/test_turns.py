"""Runs that wait: their estimates, the sentence about their place, what is remembered of those that
were finished, and by what a run is known again."""

import json
import random

import pytest

from tinydiff.ui import denoise, memory, race, request, turns
from tinydiff.ui.memory import Memory
from tinydiff.ui.session import Session

PERFECT = {"model": "perfect-masked", "length": 32, "steps": 4, "prompt": ""}


@pytest.fixture
def forgotten(monkeypatch):
    """An empty memory, for this test alone."""
    fresh = Memory()
    for module in (memory, denoise, denoise.TAB.turn.__globals__):
        if isinstance(module, dict):
            monkeypatch.setitem(module, "MEMORY", fresh)
        else:
            monkeypatch.setattr(module, "MEMORY", fresh)
    return fresh


# ---------------------------------------------------------------- estimates


def test_a_line_is_served_in_its_order():
    """Each run begins when the first place is free: by hand, and the last is done no sooner than
    all work at full speed."""
    assert list(turns.waits([4, 1, 1, 1], [2, 5], 2)) == [2, 5, 6, 6]
    assert list(turns.waits([3, 3, 3], [], 2)) == [0, 0, 3]
    rng = random.Random(1)
    takes, left = [rng.random() for _ in range(40)], [rng.random() for _ in range(2)]
    begins = list(turns.waits(takes, left, 2))
    ends = [begin + take for begin, take in zip(begins, takes)]
    assert begins == sorted(begins) and max(ends) >= (sum(takes) + sum(left)) / 2


def test_the_pace_is_that_of_the_last_runs():
    """Work that took twice as long is thought to take twice as long, and what was long ago is
    forgotten."""
    pace = turns.Pace()
    for _ in range(turns.RECENT):
        pace.take(100.0, 2.0)
    assert pace.seconds(50.0) == pytest.approx(1.0) and pace.seconds() == pytest.approx(2.0)
    for _ in range(turns.RECENT):
        pace.take(100.0, 8.0)
    assert pace.seconds(50.0) == pytest.approx(4.0)


@pytest.mark.parametrize(
    "before, seconds, words",
    [
        (3, 20.4, "3 before you, about 20 s"),
        (0, 0.0, "You are next, about 1 s"),
        (1, 9.2, "1 before you, about 10 s"),
        (70, 300, "70 before you, about 5 min"),
    ],
)
def test_a_place_is_a_sentence(before, seconds, words):
    """As a visitor reads it."""
    assert turns.sentence(before, seconds) == words


# ---------------------------------------------------------------- memory


def test_the_memory_has_a_bound():
    """However much is kept, all together it takes no more than its bytes; what was used last
    stays, and what is larger than the memory is left out."""
    noise = random.Random(2)
    texts = {str(i): "".join(chr(noise.randrange(33, 126)) for _ in range(4000)) for i in range(40)}
    small = Memory(most=40_000)
    for name, text in texts.items():
        small.keep(name, {"text": text})
        assert small.size == sum(map(len, small.runs.values())) <= small.most
        assert small.find("0") == {"text": texts["0"]}  # it is asked for all the time
    assert "39" in small and "1" not in small and len(small.runs) > 5
    small.keep("large", {"text": "".join(texts.values())})
    small.keep(None, "nobody's")
    assert "large" not in small and None not in small and small.find("1") is None


def test_what_is_found_is_a_copy():
    """A visitor's value can be changed, and the next one gets it as it was."""
    kept = Memory()
    kept.keep("a", ({"rows": [1]}, [2]))
    kept.find("a")[0]["rows"].append(3)
    assert kept.find("a") == [{"rows": [1]}, [2]]


def key(**more) -> str | None:
    return denoise.TAB.key(request.read(PERFECT | more))


def test_a_run_is_known_by_all_that_it_depends_on(monkeypatch):
    """The same settings have one key, every other setting another, and so have other weights and
    another tab; options that are as usual need not be named."""
    same, others = (
        key(),
        [key(**{name: v}) for name, v in dict(seed=1, prompt="a", steps=5).items()],
    )
    gibbs = dict(model="perfect-uniform", sampler="gibbs")
    usual = {
        name: option.default
        for name, option in denoise.SAMPLERS["gibbs"].options.items()
        if option.default is not None
    }
    assert key() == same and len({same, *others}) == 4
    assert usual and key(**gibbs) == key(**gibbs, options=usual)
    asked = request.read(PERFECT)
    assert race.TAB.key([asked]) != same and race.TAB.key([asked]) != race.TAB.key([asked] * 2)
    monkeypatch.setattr(memory.catalogue, "fingerprint", lambda key: "others")
    assert key() != same


def test_a_visitor_s_own_model_is_not_remembered():
    """Its runs have no key."""
    asked = request.read(PERFECT)
    asked.settings["model"] = memory.visitor_models.NAME
    assert denoise.TAB.key(asked) is None


def values_of_the_page() -> list:
    """What the untouched fields of Denoise send."""
    import gradio as gr

    from tinydiff.ui.tab import Site

    with gr.Blocks() as page:
        site = Site(page, gr.Tabs(), gr.State(Session()))
        denoise.TAB.build(site)
    return [field.value for field in site.fields[1:]]


def test_the_page_presses_with_the_key_of_the_opening(forgotten, monkeypatch):
    """The fields as they open ask for the recorded run, which is played where this machine would
    make it again, and as a run of its own; else it is not there."""
    monkeypatch.setattr(denoise.recording, "is_reproducible", lambda name: False)
    values, session = values_of_the_page(), Session()
    assert not forgotten.runs
    monkeypatch.setattr(denoise.recording, "is_reproducible", lambda name: True)
    denoise.remember_opening()
    turn = denoise.TAB.ask(session, *values)
    turn.begin()
    first, again = turn.find(), turn.find()
    recorded = json.loads(denoise.EXAMPLE.read_text("utf-8"))
    assert turn.known() and first["chunks"] == recorded["chunks"] and first["done"]
    assert len({0, first["run"], again["run"]}) == 3
    assert "seed=7" in first["head"]["query"] and denoise.on_player(session)["run"] == again["run"]


def test_only_finished_runs_are_remembered(forgotten):
    """A run that was stopped or replaced is not; one that was finished is played to the next
    visitor as it was."""
    asked, session = request.read(PERFECT | {"seed": 3}), Session()
    for end in (lambda job: session.stop("denoise"), lambda job: setattr(job, "replaced", True)):
        job = session.begin("denoise")
        values = denoise.TAB.shown(job, asked)
        next(values), end(job), list(values)
        assert not forgotten.runs
    *_, whole = denoise.TAB.shown(session.begin("denoise"), asked)
    turn = denoise.TAB.turn(other := Session(), asked)
    turn.begin()
    found = turn.find()
    assert found | {"run": 0} == json.loads(json.dumps(whole)) | {"run": 0}
    assert found["run"] != whole["run"] and denoise.on_player(other) == found


def test_a_turn_that_has_come_is_not_read_again():
    """What was asked for is what runs, once; other values are read anew, and a run in another tab
    stops what waits."""
    session = Session()
    asked = request.read(PERFECT | {"seed": 4})
    turn = denoise.TAB.turn(session, asked, ("values",))
    turn.begin()
    job = session.jobs["denoise"]
    assert session.take("denoise", ("others",)) is None
    assert session.take("denoise", ("values",)) == (job, asked)
    assert session.take("denoise", ("values",)) is None
    session.begin("race")
    assert job.stopped
    turn.end()
    assert job.replaced and not job.finished
