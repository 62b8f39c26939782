"""Where a text ends: each rule on texts that are known, and that the work stops there."""

from types import SimpleNamespace

import pytest
import torch

from tests.conftest import random_process
from tinydiff import endings
from tinydiff.endings import LEAST, SPAN, character_bits, until
from tinydiff.generate import generate
from tinydiff.processes import build
from tinydiff.text import Canvas, Subwords


def test_a_blank_line():
    """The first one after the prompt ends the text, and belongs to it."""
    assert endings.blank_line("a\n\nbc\n\nd", 0) == 3
    assert endings.blank_line("a\n\nbc\n\nd", 3) == 7
    assert endings.blank_line("a\nb\n", 0) is None


def test_repetition():
    """Text of many characters goes on; where one character comes again and again it ends; a prompt
    is not blamed."""
    rich = "".join(chr(97 + i % 20) for i in range(3 * SPAN))
    assert character_bits(rich) > LEAST and endings.repetition(rich, 0) is None
    stop = endings.repetition(rich + "ha" * SPAN, 0)
    assert len(rich) < stop <= len(rich) + SPAN
    assert endings.repetition("ha" * SPAN, 2 * SPAN) is None


def test_the_work_stops():
    """Once the blank line stands that ends the text, the calls that are left are not made; by
    another rule they are."""
    process = random_process("masked")
    canvas = Canvas.template(process.tokenizer, "ab__\n\n_______")
    for rule, calls in (("blank line", 2), ("length", 9)):
        *_, frame = until(generate(process, canvas, sampler="left_to_right"), process, rule)
        (end,) = endings.ending(process, frame, rule)
        assert frame.calls == calls and (end is None if rule == "length" else 3 < end <= 6)


@pytest.mark.parametrize("name", ["uniform", "score-uniform", "gaussian", "bits"])
def test_noise_ends_nothing(name):
    """Noise without masks holds an END now and then, from the first picture on: all steps are
    taken, and the text that stands at the end is cut."""
    words = Subwords.learned(["ab cd"], 260)
    process = build(name, words, layers=1, heads=2, width=16, length=16)
    process.ends = True
    ended = []
    for seed in range(8):
        canvas, asked = Canvas.blank(256), dict(seed=seed, steps=2)
        first, *_, last = [*until(generate(process, canvas, **asked), process, "end")]
        ended.append((first.before.tokens == words.end_id).any())
        assert last.t == 0
    assert any(ended)


def test_an_unknown_rule():
    with pytest.raises(ValueError, match="no rule 'tea'.*length, end, blank line, repetition"):
        until(iter(()), random_process("masked"), "tea")


def test_a_text_ends_itself():
    """Of a model that learned documents, where the token stands that ends one: what lies behind it
    is not written, and not part of the text; an END behind a mask ends nothing yet."""
    words = Subwords.learned(["ab cd"], 260)
    process = build("masked", words, layers=1, heads=2, width=16, length=16)
    assert endings.usual(process) == "length"
    process.ends = True
    assert endings.usual(process) == "end"
    a, b = words.encode("a b").tolist()[::2]
    tokens = torch.tensor([[a, words.end_id, b, b], [a, process.mask_id, words.end_id, b]])
    frame = SimpleNamespace(tokens=tokens, given=torch.zeros(2, 4, dtype=torch.bool))
    assert endings.ending(process, frame, "end") == [1, None]
    assert endings.texts_of(process, frame, "end") == ["a", "a·b"]
    canvas = Canvas.blank(16)
    canvas.tokens[0, 3], canvas.given[0, 3] = words.end_id, True
    frames = until(generate(process, canvas, sampler="left_to_right"), process, "end")
    assert list(frames)[-1].calls == 3
