"""The tabs Steps and Race: a card is the run of Watch, nine seeds, and lanes into a gap."""

import gradio as gr
import pytest

from tinydiff.store import catalogue
from tinydiff.ui import cards, race, recording, request, sheet, steps
from tinydiff.ui.request import LOOKS, OPENING
from tinydiff.ui.session import Job, Session

TEXTS = [
    "Once upon a time, a fox sat. The end.",
    "once upon a time there was a hen",
    "Once upon a time: rain. A fox sat.",
]


def said(call, *values) -> str:
    with pytest.raises(gr.Error) as caught:
        call(*values)
    return caught.value.message


def test_what_several_texts_say_alike():
    """Only phrases that enough texts have, whatever their capitals and punctuation, and each as one
    span of characters."""
    marked = sheet.shared(TEXTS)
    found = [[text[a:b] for a, b in spans] for text, spans in zip(TEXTS, marked)]
    assert found == [["Once upon a time"], ["once upon a time"], ["Once upon a time"]]
    assert sheet.shared(TEXTS[:2]) == [[], []]
    assert sheet.shared([TEXTS[0]] * 3)[0] == [[0, len(TEXTS[0]) - 1]]


def test_the_spread_is_of_the_measures():
    """The mean with its error, and both ends; nothing of one text or of none that is measured."""
    texts = [{"measure": {"name": "smooth sentences", "share": share}} for share in (0.2, 0.4, 0.6)]
    words = sheet.summary(texts)
    assert words.startswith("Smooth sentences of 3 texts: 40 ± 12 %") and "from 20 to 60 %" in words
    assert sheet.summary(texts[:1]) == sheet.summary([{"measure": {}}] * 3) == ""


def test_nine_seeds_of_a_perfect_network():
    """Nine texts come one after the other, each the run of its seed, and differ."""
    plan = sheet.read_fields(Session(), "perfect-masked", ["ancestral"], 1.0, "", 4)
    *_, last = sheet.SHEET.alone(plan)
    texts = ["".join(piece for piece, _ in text["pieces"]) for text in last["texts"]]
    assert [text["seed"] for text in last["texts"]] == list(sheet.SEEDS) == list(range(1, 10))
    assert len(set(texts)) == 9 and "nine" in last["status"]
    asked = dict(model="perfect-masked", sampler="ancestral", steps=4, temperature=1.0, prompt="")
    third = request.read(asked | dict(length=cards.PERFECT_LENGTH, seed=3))
    *_, frame = third.frames()
    assert texts[2] == third.process.tokenizer.decode(frame.tokens[0])


@pytest.mark.parametrize(
    "values,word",
    [
        (("nobody", ["ancestral"], 1.0, "", 4), "nobody"),
        (("perfect-masked", [], 1.0, "", 4), "no sampler"),
        (("perfect-masked", ["ancestral"], 9.0, "", 4), "temperature"),
        (("perfect-masked", ["ancestral"], 1.0, "", 0), "steps"),
    ],
)
def test_a_bad_wish_is_one_sentence(values, word):
    words = said(sheet.read_fields, Session(), *values)
    assert word in words and "\n" not in words


def test_the_recorded_cards_are_the_slider_s_texts():
    """What Steps opens with is what Watch shows at each number of looks: the same settings, and so
    the same measure."""
    found = {card["steps"]: card for card in steps.recorded(catalogue.models()[OPENING["model"]])}
    shown = recording.load("looks")["made"]
    assert set(found) == set(LOOKS) and len(shown) > 5
    for count, value in shown.items():
        assert found[int(count)]["measure"] == value["measure"], count


def test_another_model_keeps_what_was_set():
    """A prompt that the visitor wrote stays and marks the recorded view; usual values follow the
    model, and nothing is marked."""
    session, usual = Session(), (OPENING["seed"], OPENING["temperature"], OPENING["prompt"])
    _, _, temperature, prompt, view = steps.changed(session, "perfect-masked", [], *usual)
    assert (temperature, prompt, view["stale"]) == (1.0, "", False)
    *_, prompt, view = steps.changed(session, "stories/masked", [], 7, 0.6, "A fox")
    assert prompt == "A fox" and view["stale"]


# ---------------------------------------------------------------- lanes into a gap


def test_a_lane_that_fills_a_gap():
    """It has as many tokens as the others, begins and ends as asked, and what is between is
    written."""
    plan = race.read_lanes("A king", 1, [["perfect-masked", "ancestral", 4, "for ever."]] * 2)
    tokenizer = plan[0].process.tokenizer
    assert plan[0].canvas.tokens.shape[1] == race.LENGTH
    shown, spelled = list(race.written(plan[0], Job()))[-1], tokenizer.decode
    given = plan[0].canvas.given[0]
    assert given[: len("A king")].all() and given[-len(" for ever.") :].all()
    assert (~given).sum() == race.LENGTH - len("A king for ever.")
    *_, frame = plan[0].frames()
    text = spelled(frame.tokens[0])
    assert text.startswith("A king") and text.endswith(" for ever.") and len(text) == race.LENGTH
    assert "the end given" in shown[1]["name"]


def test_who_sees_nothing_behind_gets_no_end():
    """Autoregression and blocks are refused one in a sentence, and so is an end without room."""
    for model, sampler in (("perfect-autoregressive", "left_to_right"),):
        words = said(race.read_lanes, "A", 1, [[model, sampler, 4, "The end."]] * 2)
        assert "left to right" in words
    long = [["perfect-masked", "ancestral", 4, "x" * race.LENGTH]] * 2
    assert "no room" in said(race.read_lanes, "A", 1, long)
    assert not race.entered(Session(), "perfect-autoregressive")[3].visible
    assert race.entered(Session(), "perfect-masked")[3].visible
