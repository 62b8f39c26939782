"""A gap of any length on the page: what is asked for, what is shown, and what is refused."""

import html

import gradio as gr
import pytest

from tinydiff import gaps as filling
from tinydiff.runs import Request
from tinydiff.show import render
from tinydiff.ui import cost, denoise, fields, gaps, memory
from tinydiff.ui.request import read
from tinydiff.ui.session import Job, Session

TEXT = "Lily saw a dog. … They went home."
QUICK = dict(model="stories/masked", steps=2, seed=5, template=TEXT, prompt="")


def asked(**more):
    return gaps.asked(QUICK | more)


@pytest.fixture(scope="module")
def made():
    """A gap that was filled: what was asked for, the job, its values."""
    request, job = asked(), Job()
    return request, job, [*denoise.started(request, job)]


def text_of(value):
    """What a finished value reads."""
    end = render.unpack(value).frames[-1].text
    return render.spelled(end, read(QUICK).process.tokenizer)


def test_each_text_is_a_run_of_its_own():
    """Two of each width, with blanks and a seed which make it again."""
    request = asked()
    assert len(request.requests) == gaps.EACH * len(filling.WIDTHS)
    for place, one in enumerate(request.requests):
        settings = one.settings
        width = filling.WIDTHS[place // gaps.EACH]
        assert settings["template"] == TEXT.replace("…", "␣" * width) and one.linked
        assert settings["seed"] == 5 + place % gaps.EACH
        assert gaps.width(one) == width


def test_widths_come_one_after_the_other(made):
    """First what is given, then a row more with each width, and the likeliest so far in the gap;
    at last it is a run of its own, of which the player knows where it comes from."""
    request, job, (first, *values) = made
    assert not first["done"] and "gaps" not in first
    assert [len(value["gaps"]["rows"]) for value in values] == [*range(1, 9)]
    for value in values:
        rows, best = value["gaps"]["rows"], value["gaps"]["best"]
        assert rows[best]["bits"] == min(row["bits"] for row in rows)
        assert text_of(value) == TEXT.replace(" …", rows[best]["inside"])
    *busy, last = values
    assert [value["gaps"]["left"] for value in busy] == [[*filling.WIDTHS[k:]] for k in range(1, 8)]
    assert all(value["head"]["query"] is None and value["still"] for value in busy)
    assert last["head"]["query"] and not last["gaps"]["left"] and "still" not in last
    assert job.kept == last and job.looks.run == last["run"] != busy[-1]["run"]
    again = read({k: v for k, v in job.request.settings.items() if k != "process"})
    *_, frame = again.frames()
    assert again.process.tokenizer.decode(frame.tokens[0]) == text_of(last)


def test_the_terminal_writes_the_same(made):
    """With the same settings, widths and tries."""
    request, job, _ = made
    settings = {k: v for k, v in QUICK.items() if k != "prompt"} | {"length": 128}
    process = job.request.process
    found = [*filling.candidates(settings, process, each=gaps.EACH)]
    best = filling.best(found)
    row = job.kept["gaps"]["rows"][job.kept["gaps"]["best"]]
    assert (row["width"], row["inside"]) == (best.width, best.inside)
    assert row["bits"] == pytest.approx(best.bits, abs=2e-3)


def session_of(job):
    session = Session()
    session.jobs["denoise"] = job
    return session


def test_another_is_picked_and_undone(made):
    """It becomes the visitor's newest run with a link of its own; what was there before comes
    back."""
    _, job, _ = made
    session, told = session_of(job), job.kept["gaps"]
    place = (told["best"] + 1) % len(told["rows"])
    deed = {"do": "pick", "of": told["of"], "place": place}
    (value,) = denoise.done_to(session, deed, ())
    assert value["gaps"]["shown"] == place and value["still"] and value["head"]["query"]
    assert text_of(value) == TEXT.replace(" …", told["rows"][place]["inside"])
    assert session.jobs["denoise"].looks.run == value["run"]
    (before,) = denoise.done_to(session, {"do": "undo"}, ())
    assert text_of(before) == text_of(job.kept)
    (value,) = denoise.done_to(session, deed, ())  # they are still kept
    assert value["gaps"]["shown"] == place


@pytest.mark.parametrize(
    "more, said",
    [({"of": 1}, "not kept any more"), ({"place": 8}, "no such text"), ({"place": "1"}, "no such")],
)
def test_what_cannot_be_picked(made, more, said):
    _, job, _ = made
    deed = {"do": "pick", "of": job.filled.of, "place": 0} | more
    (value,) = denoise.done_to(session_of(job), deed, ())
    assert said in value["refused"]


def test_a_run_that_is_stopped_keeps_the_widths_that_were_tried():
    request, job = asked(), Job()
    for value in denoise.started(request, job):
        if len(value.get("gaps", {}).get("rows", ())) == 2:
            job.stopped = True
    assert value["stopped"] and len(value["gaps"]["rows"]) == 2 and not value["gaps"]["left"]
    job = Job()
    job.stopped = True  # before the first was there
    values = [*denoise.started(request, job)]
    assert len(values) == 1 and "gaps" not in values[0]


def test_a_run_that_was_finished_is_remembered(made):
    """And played to whoever asks for the same, with all that could stand there."""
    request, job, _ = made
    kept = memory.Memory()
    kept.keep("x", job.made)
    other = Job()
    value = denoise.again(asked(), other, kept.find("x"))
    assert value["gaps"]["rows"] == job.kept["gaps"]["rows"] and value["run"] != job.kept["run"]
    assert other.filled.of != job.filled.of and other.request.settings == job.request.settings
    assert denoise.TAB.key(request) == denoise.TAB.key(asked())
    assert denoise.TAB.key(request) != denoise.TAB.key(asked(seed=6))


@pytest.mark.parametrize(
    "typed, template",
    [
        ("She ... home.", "She … home."),
        ("... home.", "… home."),
        ("She waited... home.", None),  # a text may pause
        ("She waits ...", None),  # a beginning
        ("Wait.... what", None),
    ],
)
def test_three_dots_that_stand_alone_are_a_gap(typed, template):
    usual = ["stories/masked", "ancestral", 4, 64, 7, typed, "uniform"]
    assert fields.raw_settings(*usual)["template"] == template


@pytest.mark.parametrize("template", ["A … b … c.", "She ␣ … home.", "She ␣ home."])
def test_a_text_with_more_than_a_gap_is_one_run(template):
    """Each gap is as wide as some words then."""
    assert isinstance(asked(template=template), Request)


def test_gaps_of_letters_are_wider():
    request = asked(model="shakespeare/masked", template="To be … to be")
    assert [gaps.width(one) for one in request.requests[:: gaps.EACH]] == [
        4 * width for width in filling.WIDTHS
    ]


def test_widths_in_which_the_rules_cannot_hold_are_left_out():
    request = asked(contains="dragon, cake, sorry")
    found = {gaps.width(one) for one in request.requests}
    assert found and 1 not in found and 16 in found


@pytest.mark.parametrize(
    "more, said",
    [
        ({"model": "stories/autoregressive"}, "writes from left to right"),
        ({"template": "a" * 1100 + " … b"}, "there is room for 1,024"),
        ({"steps": 999}, "steps is 999"),
        ({"contains": "dragon, castle, princess, mountain, adventure, butterfly, umbrella"}, "."),
        ({"model": "nobody"}, "There is no model"),
    ],
)
def test_what_is_refused(more, said):
    """In one sentence, before anything is written."""
    with pytest.raises(gr.Error) as error:
        asked(**more)
    assert said in html.unescape(error.value.message) and "\n" not in error.value.message


def test_the_wait_counts_the_bounds():
    """A gap takes the runs of all texts, and the judging of each."""
    request = asked()
    runs = sum(map(cost.of, request.requests))
    length = min(one.canvas.tokens.shape[1] for one in request.requests)
    process = request.requests[0].process
    least = cost.bound(process, length, filling.DRAWS, filling.BATCH)
    assert denoise.TAB.work(request) >= runs + len(request.requests) * least
    assert denoise.TAB.work(read(QUICK | {"template": None})) < least * len(request.requests)
