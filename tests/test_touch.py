"""The canvas that a visitor touches: what is hidden and written again, typed, forked, rewritten and
uncovered by hand."""

import random

import gradio as gr
import pytest
import torch

from tinydiff import guides
from tinydiff.generate import generate
from tinydiff.show import render
from tinydiff.store import catalogue
from tinydiff.ui import denoise, looks, presenter, steering, touch
from tinydiff.ui.fields import options
from tinydiff.ui.request import opening, read
from tinydiff.ui.session import Job, Session

PLAIN = dict(model="stories/masked", sampler="ancestral", length=64, steps=8, seed=3)


def values(**settings):
    """What the fields of the panel hold, behind the noise."""
    s = opening() | PLAIN | settings
    steered = [""] * len(steering.LABELS) + [s[name] for name in guides.options()]
    first = [s[name] for name in ("model", "sampler", "steps", "length", "seed", "prompt")]
    return [*first, s["spacing"], *steered, *[None] * len(options())]


@pytest.fixture(scope="module")
def written():
    """A run of a visitor: its request, its value, its states."""
    request, job = read(PLAIN), Job()
    *_, value = denoise.started(request, job)
    return request, value, job


@pytest.fixture
def session(written):
    """A visitor with that run on the player."""
    request, value, done = written
    session = Session()
    job = session.begin("denoise")
    job.request, job.kept, job.states = request, value, done.states
    job.looks = looks.Looks.of(request, value)
    return session


def do(session, deed, **settings):
    """The last value of a deed."""
    *_, value = denoise.done_to(session, deed, values(**settings))
    return value


def signs(value):
    return [picture.text for picture in render.unpack(value).frames]


def spelled(text, model="stories/masked"):
    return render.spelled(text, catalogue.load(model).tokenizer)


@pytest.mark.parametrize("model, sampler", [("masked", "confidence"), ("uniform", "ancestral")])
def test_the_rest_is_given_while_words_are_written_again(session, written, model, sampler):
    """Whatever noise and sampler: only what was hidden may change, in all pictures, and it takes
    few looks; the same can be undone."""
    before, cells = signs(written[1])[-1], [10, 11, 12, 20, 21]
    value = do(session, {"do": "again", "cells": cells}, model=f"stories/{model}", sampler=sampler)
    for text in signs(value):
        assert [i for i in range(64) if text[i] != before[i]] == [
            i for i in cells if text[i] != before[i]
        ]
    assert render.MASK not in signs(value)[-1] and 2 <= len(signs(value)) <= 1 + len(cells)
    assert value["head"]["query"] == ""  # no link makes it again
    assert signs(do(session, {"do": "undo"}))[-1] == before
    assert "nothing to undo" in do(session, {"do": "undo"})["refused"]


def test_what_is_written_again_is_what_generate_writes(session, written):
    """The page adds nothing: it is the run from the canvas with those cells open."""
    request, value, _ = written
    cells = list(range(12, 18))
    new = do(session, {"do": "again", "cells": cells}, seed=4)  # the first try is of the next
    tokens = touch.Held(request, value).tokens
    given = torch.ones_like(tokens, dtype=torch.bool)
    given[0, cells] = False
    canvas = touch.Canvas(tokens, given)
    *_, frame = generate(request.process, canvas, steps=6, seed=5, temperature=0.6)
    assert render.spell(frame.tokens[0].tolist(), request.process.tokenizer.signs) == signs(new)[-1]


def test_typed_words_stand_in_the_text(session, written):
    """What is typed stands in the place of what was chosen, given; what is behind it moves up."""
    tokenizer = written[0].process.tokenizer
    before = spelled(signs(written[1])[-1])
    pieces = [spelled(sign) for sign in signs(written[1])[-1]]
    first = next(i for i in range(8, 60) if pieces[i].startswith(" ") and len(pieces[i]) > 2)
    new = tokenizer.encode(" huge green dragon")
    cells = list(range(first, first + len(new) + 1))
    value = do(session, {"do": "type", "cells": cells, "text": "huge green dragon"})
    after = spelled(signs(value)[-1])
    start = len("".join(pieces[:first]))
    typed = after[start:].startswith(" huge green dragon")
    assert typed and after[:start] == before[:start]
    behind = before[len("".join(pieces[: cells[-1] + 1])) :]
    more = after[start + len(" huge green dragon") :]
    assert more.startswith(behind)
    given = render.unpack(value).frames[-1].given
    assert [i for i in range(64) if given[i]] == list(range(first, first + len(new)))


@pytest.mark.parametrize("length, fits", [(4, True), (90, False)])
def test_what_is_typed_fits_or_is_refused(length, fits):
    """What fills a text behind its end makes room; where there is none it is refused, and nothing
    of the text is cut."""
    process = catalogue.load("stories/masked")
    end = process.tokenizer.end_id
    row = torch.tensor([5] * 20 + [end] * 12)
    whole = torch.cat([row[:3], torch.full((length,), 7), row[3:]])
    if fits:
        found = touch.fitted(whole, row, process)
        assert len(found) == 32 and (found[: 20 + length] != end).all() and found[-1] == end
    else:
        with pytest.raises(ValueError, match="no room for that: 90 tokens too many"):
            touch.fitted(whole, row, process)


def test_fewer_tokens_leave_ends_behind(session, written):
    """A text that gets shorter is filled behind its end."""
    process = written[0].process
    end = process.tokenizer.end_id
    row = torch.tensor([5] * 20 + [end] * 12)
    found = touch.fitted(torch.cat([row[:2], row[10:]]), row, process)
    assert len(found) == 32 and (found[12:] == end).all() and (found[:12] == 5).all()


def test_a_fork_goes_on_from_its_state(session, written):
    """It goes on from the state of its step and not from the text that is shown; with the same
    sampler, steps and options it keeps all that was uncovered by then, and both texts stay."""
    request, value, job = written
    text = signs(value)[4]
    new = do(session, {"do": "fork", "step": 4}, seed=99)
    assert signs(new)[0] == text
    kept = [i for i, sign in enumerate(text) if sign != render.MASK]
    assert all(signs(new)[-1][i] == text[i] for i in kept) and len(kept) < 64
    state = job.states[3]
    start = state._replace(step=0, memory=None, guides=None)
    asked = dict(start=start, steps=8, seed=99, temperature=0.6)
    *_, frame = generate(request.process, request.canvas, **asked)
    assert render.spell(frame.tokens[0].tolist(), request.process.tokenizer.signs) == signs(new)[-1]
    assert signs(do(session, {"do": "undo"})) == signs(value)


def test_a_recorded_run_is_forked_from_what_is_shown():
    """By masks all of the state is seen; of other noise it is not, and that is one sentence."""
    new = do(Session(), {"do": "fork", "step": 30}, length=128, steps=64)
    assert signs(new)[0] == signs(denoise.example())[30]
    process = catalogue.load("stories/gaussian")
    request = read({"model": "stories/gaussian", "length": 16, "steps": 2})
    *_, value = denoise.TAB.alone(request)
    assert touch.state_of(touch.Held(request, value), 1) is None and process is not None
    with pytest.raises(ValueError, match="cannot be taken up in its middle"):
        touch.forked(request, touch.Held(request, value), None)


@pytest.mark.parametrize("model", ["masked", "uniform", "gaussian", "bits"])
def test_a_text_of_ones_own_is_rewritten(model):
    """Noised a little it stays nearly as it is; to the end nothing of it is left: then it is a text
    from noise."""
    text = "Once upon a time there was a little fox. He lived in a big forest."
    settings = dict(model=f"stories/{model}", prompt=text, length=32, steps=16)
    wanted = read(settings)
    n = len(wanted.process.tokenizer.encode(text))
    same = []
    for t in (0.02, 1.0):
        request = touch.rewritten(wanted, t)
        *_, value = denoise.TAB.alone(request)
        now = touch.ids(wanted.process, signs(value)[-1])[0, :n]
        same.append((now == request.canvas.tokens[0, :n]).float().mean().item())
    assert same[0] > 0.8 and same[1] < 0.5


def test_the_visitor_is_the_sampler():
    """All places are hidden and have bets; what the visitor takes stands, the machine finishes, and
    the score stands beside those of its own orders."""
    session = Session()
    before, now = render.unpack(do(session, {"do": "begin"}, length=24, steps=6)).frames
    hidden = [i for i, sign in enumerate(now.text) if sign == render.MASK]
    assert before.text == now.text and len(hidden) == 20
    top = now.top.split(render.MASK)
    assert len(top) > 1 and any(top)
    place = hidden[3]
    choice = catalogue.load("stories/masked").tokenizer.signs[77]
    taken = do(session, {"do": "take", "cell": place, "token": choice}, length=24, steps=6)
    assert signs(taken)[-1][place] == choice
    end = do(session, {"do": "finish"}, length=24, steps=6)
    assert signs(end)[-1][place] == choice and render.MASK not in signs(end)[-1]
    name, share, beside = end["stats"][0]
    assert name == "your smooth sentences" and "surest first" in beside and "by chance" in beside


REFUSED = [
    ({"do": "nothing"}, "no 'nothing'"),
    ({}, "no None"),
    ({"do": "again"}, "choose some of the text"),
    ({"do": "again", "cells": []}, "No word is chosen"),
    ({"do": "again", "cells": [64]}, "choose some of the text"),
    ({"do": "again", "cells": ["1"]}, "choose some of the text"),
    ({"do": "again", "cells": [True]}, "choose some of the text"),
    ({"do": "type", "cells": [3], "text": " "}, "Nothing was typed"),
    ({"do": "type", "cells": [3, 9], "text": "a"}, "do not stand side by side"),
    ({"do": "type", "cells": [3], "text": "so " * 99}, "no room for that"),
    ({"do": "fork", "step": "1"}, "cannot be taken up"),
    ({"do": "fork", "step": 99}, "cannot be taken up"),
    ({"do": "rewrite", "t": 2}, "give a number from 0 to 1"),
    ({"do": "rewrite", "t": True}, "give a number from 0 to 1"),
    ({"do": "take", "cell": 3, "token": "ab"}, "take one of the bets"),
    ({"do": "take", "cell": -1, "token": "a"}, "choose some of the text"),
]


@pytest.mark.parametrize("deed, words", REFUSED)
def test_what_cannot_be_done_is_one_sentence(session, written, deed, words):
    """And the run on the player stays."""
    value = do(session, deed)
    assert words in value["refused"] and value["refused"].endswith(".")
    assert denoise.on_player(session) is written[1] and session.past == []


@pytest.mark.parametrize("model, sampler", [("autoregressive", None), ("block", None)])
def test_who_sees_nothing_behind_says_so(session, model, sampler):
    """Families that write from left to right cannot change a middle: it is not offered, and a
    sentence says why."""
    settings = dict(model=f"stories/{model}", sampler="left_to_right")
    if model == "block":
        settings["sampler"] = "blockwise"
    value = do(session, {"do": "again", "cells": [9]}, **settings)
    assert "sees nothing behind the word" in value["refused"]
    assert touch.why_not(catalogue.load(f"stories/{model}"), "again")


def test_other_pieces_are_refused(session):
    """A model that reads characters cannot go on with pieces."""
    value = do(session, {"do": "again", "cells": [9]}, model="shakespeare/masked")
    assert "in other pieces" in value["refused"]


def test_any_deed_is_answered(session):
    """Whatever a page sends: a value of a run, or a sentence."""
    rng = random.Random(1)
    odd = [None, -1, 0, 3, 63, 64, 1.5, "x", [], [1, 2], ["a"], {}, True]
    names = ("do", "cells", "cell", "text", "token", "step", "t")
    for _ in range(40):
        deed = {name: rng.choice(odd) for name in names}
        deed["do"] = rng.choice(["again", "type", "fork", "take", "undo", None, 7])
        try:
            value = do(session, deed)
        except gr.Error as error:
            value = {"refused": error.message}
        assert value.get("refused") or value["chunks"]


def test_the_code_of_a_link():
    """A square for an address of a page, nothing for what is none."""
    svg = presenter.code("http://127.0.0.1:7860/?seed=7")
    assert svg.startswith("<svg") and "path" in svg
    for odd in (None, 3, "", "javascript:alert(1)", "http://", "http://a/" + "x" * 2000):
        assert presenter.code(odd) == ""


def test_each_try_has_a_seed_of_its_own(session):
    """Also after an undo, and at the end of what a seed can be."""
    seeds = []
    for seed in (3, 3, 3, 2**31 - 1):
        do(session, {"do": "again", "cells": [12, 13]}, seed=seed)
        seeds.append(session.jobs["denoise"].request.settings["seed"])
        do(session, {"do": "undo"})
    assert seeds == [4, 5, 6, 3]
