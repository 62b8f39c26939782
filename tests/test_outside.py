"""The outside judge, on a model that knows nothing and one that knows everything."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from tinydiff.measure.outside import Judge


def judge(sure):
    """A judge whose tokens are the 26 letters: with sure=0 it knows nothing, else that after each
    letter the next of the alphabet comes, and first of all "b"."""
    made = Judge.__new__(Judge)
    made.begin = 26
    made.tokenizer = lambda text, add_special_tokens: {"input_ids": [ord(c) - 97 for c in text]}

    def model(tokens):
        following = torch.nn.functional.one_hot((tokens + 1) % 26, 26).float()
        return SimpleNamespace(logits=sure * following)

    made.model = model
    return made


def test_who_knows_nothing_needs_all_bits():
    """log2 26 bits for each letter, the first one too, in texts of any length; empty ones count
    nothing. Who knows the alphabet needs none but for the first letter."""
    found = judge(0.0).bits(["abc", "", "zz"])
    assert found.value == pytest.approx(math.log2(26)) and found.error == pytest.approx(0, abs=1e-6)
    assert judge(1e3).nats("bcdef") == pytest.approx(0, abs=1e-6)
    assert judge(1e3).nats("ba") > 900


def test_where_the_nats_of_a_text_lie():
    """Each token's own, with its place, whatever is read beside it; all of them make the text's."""
    made = judge(1e3)

    def read(texts, **_):
        return {
            "input_ids": [[ord(c) - 97 for c in text] for text in texts],
            "offset_mapping": [[(i, i + 1) for i in range(len(text))] for text in texts],
        }

    plain = made.tokenizer
    made.tokenizer = read
    texts = ["bcda", "b", "", "zz", *["bcdefg"] * 9]
    spans = made.spans(texts)
    made.tokenizer = plain
    assert [place for place, _ in spans[0]] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [nats > 900 for _, nats in spans[0]] == [False, False, False, True]
    for text, found in zip(texts, spans):
        assert sum(nats for _, nats in found) == pytest.approx(made.nats(text), abs=1e-3)


def test_without_the_library(monkeypatch):
    """A sentence says what to install."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"needs `pip install 'tinydiff\[judge\]'`"):
        Judge()
