"""The influence of each word of a source on each of its target, on networks whose answer is known:
one that ignores the source, one that copies it, and one that was hardly taught."""

import pytest
import torch

from tinydiff.measure.alignment import alignment, influence, words_of
from tinydiff.nets import Network
from tinydiff.processes import build
from tinydiff.text import Subwords
from tinydiff.text.tasks import canvas_of

FAMILIES = ["masked", "autoregressive", "gaussian", "uniform"]
TEXTS = ["the old king saw a young queen", "le vieux roi", "l'eau, dit-il."]
LENGTH, TASK = 64, "translate-en-fr"
SOURCE, TARGET = "the old king", "le roi, vieux"


class Answers(Network):
    """Logits that `answer` makes of what is read."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, t, label=None, *, mask=None, cache=None, places=None):
        return self.answer(x)


def made(process, answer=None):
    """A process of random weights, or whose network is an answer."""
    torch.manual_seed(0)
    cut = Subwords.learned(TEXTS * 9, 300, [f"<{TASK}>"])
    model = build(process, cut, layers=1, heads=2, width=32, length=LENGTH)
    torch.nn.init.normal_(model.net.head.weight, std=0.5)
    if answer:
        model.net = Answers(answer)
    return model.eval()


@pytest.mark.parametrize("process", FAMILIES)
def test_its_shape_and_that_it_is_finite(process):
    """A number for each pair of words; not all of them 0 for a network that reads the source."""
    found = alignment(made(process), TASK, SOURCE, TARGET)
    assert found.source == ["the", "old", "king"] and found.target == ["le", "roi,", "vieux"]
    assert found.influence.shape == (3, 3) and found.influence.isfinite().all()
    assert found.influence.abs().max() > 1e-3


@pytest.mark.parametrize("process", ["masked", "autoregressive", "uniform"])
def test_a_network_that_ignores_the_source(process):
    """No word has an influence where what is bet depends on the target alone."""
    cut = made(process).tokenizer
    S = int(canvas_of(cut, TASK, [SOURCE], LENGTH).given.sum())

    def answer(x):
        behind = x[:, S:].double().cumsum(1)  # of the target all that stands before
        whole = torch.nn.functional.pad(behind, (S, 0))[..., None] * torch.arange(len(cut))
        return whole.sin().float()

    found = alignment(made(process, answer), TASK, SOURCE, TARGET)
    assert found.influence.shape == (3, 3) and found.influence.abs().max() == 0


def test_a_network_that_copies_the_source():
    """With a bet of p on the token so many places before, and an even one where that is hidden,
    each word rests on its own copy, by log(p V) a token, and on no other."""
    plain = made("masked")
    S = int(canvas_of(plain.tokenizer, TASK, [SOURCE], LENGTH).given.sum())
    V = plain.V

    def answer(x):
        before = x.roll(S - 1, 1)  # the source begins at 1, the target at S
        sure = torch.nn.functional.one_hot(before.clamp_max(V), V + 1)[..., :V]
        return 5.0 * sure

    found = alignment(made("masked", answer), TASK, SOURCE, SOURCE)
    p = torch.tensor(5.0).exp() / (torch.tensor(5.0).exp() + V - 1)
    tokens = [len(span) for _, span in words_of(plain.tokenizer, plain.tokenizer.encode(SOURCE), 0)]
    assert found.influence.float().allclose(
        torch.diag((p * V).log() * torch.tensor(tokens)), atol=1e-4
    )


def test_what_a_causal_network_is_asked():
    """The fall of a word of two tokens is that of log p(first) + log p(second | first), each bet
    with what stands before it in place: computed here by one call for each source."""
    model = made("autoregressive")
    cut = model.tokenizer
    canvas = canvas_of(cut, TASK, [SOURCE], LENGTH)
    S, ids = int(canvas.given.sum()), cut.encode(TARGET)
    tokens = canvas.tokens[0].clone()
    tokens[S : S + len(ids)] = ids
    source, target = [[1], [2, 3]], [[S], [S + 1, S + 2]]
    found = influence(model, tokens, source, target)

    def bets(hidden):
        x = tokens.clone()
        x[hidden] = model.mask_id
        read = torch.cat([torch.tensor([model.mask_id]), x[:-1]])
        log_p = model.net(read[None], torch.zeros(1, len(x)))[0].log_softmax(-1)
        return torch.stack([sum(log_p[i, tokens[i]] for i in word) for word in target])

    with torch.no_grad():
        wanted = torch.stack([bets([]) - bets(gone) for gone in source], 1)
    assert found.float().allclose(wanted, atol=1e-4)


def test_words_with_their_tokens():
    """Words with what stands behind them; the positions are all, in order; spelled together they
    are the text."""
    cut = made("masked").tokenizer
    for text, words in (
        ("l'eau, dit-il.", ["l'", "eau,", "dit-", "il."]),
        ("It isn't « so » ?", ["It", "isn'", "t", "«", "so", "»", "?"]),
        ("été à", ["été", "à"]),
    ):
        ids = cut.encode(text)
        found = words_of(cut, ids, 5)
        assert [word for word, _ in found] == words
        assert [place for _, span in found for place in span] == list(range(5, 5 + len(ids)))
    assert words_of(cut, cut.encode(""), 0) == []


@pytest.mark.parametrize("target", ["", "le " * 60])
def test_targets_that_do_not_fit(target):
    with pytest.raises(ValueError, match="there is room for 1 to"):
        alignment(made("masked"), TASK, SOURCE, target)
