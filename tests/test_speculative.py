"""Drafts and checks: the text has the law of the network that checks, whoever drafts, and what is
remembered of it is the checked prefix alone."""

import pytest
import torch

from tests.languages import LANGUAGES
from tests.test_exact import FLOOR, last, total_variation
from tinydiff import exact, load
from tinydiff.generate import generate
from tinydiff.nets import Cache
from tinydiff.nets.ahead import Ahead, repeated
from tinydiff.predictions import Prediction
from tinydiff.randomness import seeded
from tinydiff.samplers.speculative import checked
from tinydiff.text import Canvas

LANGUAGE = LANGUAGES["characters"]
N = 4000


class Hostile(torch.nn.Module):
    """A network of masks that is sure of what is wrong."""

    def forward(self, x, t=None, label=None, **more):
        V = len(LANGUAGE.tokenizer)
        worst = LANGUAGE.following(torch.zeros_like(x)).mean(0).argmin(-1)
        return torch.nn.functional.one_hot(worst, V).float().expand(*x.shape, V) * 8.0


def drafter(kind):
    made = exact.perfect("masked", LANGUAGE)
    if kind == "hostile":
        made.net = Hostile()
    return {"none": None}.get(kind, made)


@pytest.mark.parametrize("kind", ["none", "perfect", "hostile"])
@pytest.mark.parametrize("ahead", [1, 3])
def test_the_law_is_that_of_who_checks(kind, ahead):
    """With a prompt and without one, in a batch whose rows have prompts of different lengths."""
    model, how = exact.perfect("autoregressive", LANGUAGE), dict(sampler="speculative")
    how |= dict(ahead=ahead, drafter=drafter(kind), precision="fp32")
    x = last(model, Canvas.blank(4, N), seed=1, **how)
    assert total_variation(x, LANGUAGE) < FLOOR
    strings, p = LANGUAGE.strings, LANGUAGE.log_p.exp()
    tokens, given = strings[:1].repeat(N, 1), torch.zeros(N, 4, dtype=torch.bool)
    given[:, 0], given[: N // 2, 1] = True, True
    x = last(model, Canvas(tokens, given), seed=2, **how)
    for rows, first in ((slice(N // 2), 2), (slice(N // 2, N), 1)):
        fit = (strings[:, :first] == tokens[0, :first]).all(1)
        share = torch.stack([(x[rows] == s).all(1).double().mean() for s in strings])
        assert 0.5 * (share - p * fit / p[fit].sum()).abs().sum() < 1.5 * FLOOR


@pytest.mark.parametrize("temperature,top_p", [(0.5, 1.0), (1.0, 0.7), (0.0, 1.0)])
def test_temperature_and_nucleus_act_on_both(temperature, top_p):
    """The law is that of one token after the other with the same temperature and nucleus."""
    model, how = exact.perfect("autoregressive", LANGUAGE), dict(precision="fp32")
    how |= dict(temperature=temperature, top_p=top_p)
    more = dict(sampler="speculative", ahead=3, drafter=drafter("perfect"))
    one = last(model, Canvas.blank(4, N), sampler="left_to_right", seed=1, **how)
    many = last(model, Canvas.blank(4, N), seed=2, **how, **more)
    shares = [
        torch.stack([(x == s).all(1).double().mean() for s in LANGUAGE.strings])
        for x in (one, many)
    ]
    assert 0.5 * (shares[0] - shares[1]).abs().sum() < 1.5 * FLOOR


def test_without_the_check_guesses_stand():
    """Guesses that are made at once know nothing of each other: far from the language."""
    model = exact.perfect("autoregressive", LANGUAGE)
    how = dict(sampler="speculative", ahead=3, drafter=drafter("perfect"), check="no")
    frames = list(generate(model, Canvas.blank(4, N), **how))
    assert total_variation(frames[-1].tokens, LANGUAGE) > 2 * FLOOR
    assert frames[-1].calls == 3  # the first token, two guesses at once, the last token


def test_a_good_drafter_saves_calls():
    """The network's own law as a draft is always kept; a hostile one never is; both are counted."""
    model, canvas = exact.perfect("autoregressive", LANGUAGE), Canvas.blank(4, 1)
    how = dict(sampler="speculative", ahead=1, precision="fp32")

    def calls(kind):
        found = [
            [*generate(model, canvas, seed=s, drafter=drafter(kind), **how)] for s in range(40)
        ]
        return sum(frames[-1].calls for frames in found) / 40

    assert calls("perfect") == 4  # the first, a guess that is checked and one more, the last
    assert 5 < calls("hostile") <= 6  # the first and the last, two guesses, each checked


def test_frames_show_the_guesses():
    """What was guessed in each step, and what of it stands: the kept ones, then a token more."""
    model = exact.perfect("autoregressive", LANGUAGE)
    how = dict(sampler="speculative", ahead=2, drafter=drafter("perfect"), precision="fp32")
    for seed in range(9):
        before = None
        for frame in generate(model, Canvas.blank(4), seed=seed, **how):
            guessed = (frame.drafts != model.mask_id)[0]
            new = frame.changed[0].nonzero()[:, 0].tolist()
            same = [i for i in new if guessed[i] and frame.drafts[0, i] == frame.tokens[0, i]]
            assert len(new) in (len(same), len(same) + 1) and same == new[: len(same)]
            assert before is None or guessed.any() or len(new) == 1
            before = frame


def test_the_two_coins():
    """A draft whose law does not follow the text so far may not be weighed as if it did: the
    example of two fair coins, by the rule for drafts from anywhere (a law of one token)."""
    rng, n = seeded(0), 20_000
    own = torch.tensor([[[0.9, 0.1]]]).log().expand(n, 1, 2)
    draft = torch.ones(n, dtype=torch.int64)
    sure = torch.nn.functional.one_hot(draft, 2).double().clamp_min(1e-300).log()
    token, kept = checked(Prediction(own, own), draft, sure, rng)
    assert kept.double().mean().item() == pytest.approx(0.1, abs=0.01)
    assert token.double().mean().item() == pytest.approx(0.1, abs=0.01)


def test_it_remembers_the_checked_prefix(monkeypatch):
    """After each step the cache holds what a fresh reading of the text so far gives, to 1e-5."""
    model = load("stories/autoregressive")
    seen, settle = [], Ahead.settle

    def watched(cache, known):
        settle(cache, known)
        seen.append((known, [(k.clone(), v.clone()) for k, v in cache.layers]))

    monkeypatch.setattr(Ahead, "settle", watched)
    how = dict(sampler="speculative", ahead=3, drafter=load("stories/masked"), precision="fp32")
    *_, frame = generate(model, Canvas.blank(24, 2), **how)
    assert len(seen) > 6 and seen[-1][0] == 24
    for known, layers in seen:
        fresh = Cache()
        with torch.no_grad():
            model.denoise(frame.tokens[:, :known], torch.zeros(2, known), cache=fresh)
        for (k, v), (k2, v2) in zip(layers, fresh.layers, strict=True):
            assert k.shape[2] == known
            torch.testing.assert_close(k, k2[:, :, :known], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(v, v2[:, :, :known], atol=1e-5, rtol=1e-5)


def test_greedy_texts_are_the_same():
    """At temperature 0 it writes what is written one by one, token for token."""
    model, canvas = load("stories/autoregressive"), Canvas.blank(80)
    how = dict(temperature=0.0, precision="fp32")
    one = last(model, canvas, sampler="left_to_right", **how)
    more = dict(sampler="speculative", ahead=4, drafter=load("stories/masked"))
    assert torch.equal(one, last(model, canvas, **how, **more))
    assert torch.equal(one, last(model, canvas, **how, sampler="speculative", ahead=7))


def test_what_stood_before_is_guessed():
    x = torch.tensor([[1, 2, 3, 4, 1, 2], [5, 6, 7, 8, 9, 9]])
    assert repeated(x, 6).tolist() == [[3, 4, 1, 2, 3, 4], [9] * 6]
    assert repeated(x[:, :1], 2).tolist() == [[1, 1], [5, 5]]
    assert repeated(x[:, :0], 2).tolist() == [[0, 0], [0, 0]]


def test_bad_drafters_are_refused():
    model = exact.perfect("autoregressive", LANGUAGE)
    with pytest.raises(ValueError, match="does not work with masks"):
        last(model, Canvas.blank(4), drafter=exact.perfect("uniform", LANGUAGE))
    with pytest.raises(ValueError, match="needs a model with"):
        last(drafter("perfect"), Canvas.blank(4), drafter=drafter("perfect"))
    with pytest.raises(ValueError, match="ahead is 99"):
        last(model, Canvas.blank(4), sampler="speculative", ahead=99)
