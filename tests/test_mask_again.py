"""The loop that makes BERT a generator: what it is, and what it does to a known language."""

import math
from zlib import crc32

import pytest
import torch

from tests.languages import enumerated
from tests.test_exact import last, total_variation
from tinydiff import exact
from tinydiff.generate import generate
from tinydiff.randomness import TorchRng
from tinydiff.samplers import SAMPLERS, State
from tinydiff.schedules import grid, schedule
from tinydiff.text import Canvas

MANY = 4000


class Named(TorchRng):
    """Numbers that depend on their names alone: whoever asks for the same gets the same."""

    def uniform(self, *shape, purpose, dtype=torch.float32):
        self.manual_seed(crc32(f"{self.step} {self.turn} {self.first} {purpose}".encode()))
        return super().uniform(*shape, purpose=purpose, dtype=dtype)


def states(sampler, process, canvas, steps, **options):
    """The state after every step, of numbers that are named."""
    rng = Named()
    begin = State(process.noise.prior(canvas, rng), canvas)
    times = grid(steps, process.noise.schedule)
    run, found = SAMPLERS[sampler].run(process, process.denoise, begin, times, rng, **options), []
    for step in run:
        found.append(step.x)
        rng.step += 1
    return found


@pytest.mark.parametrize("process", ["masked", "score-masked"])
def test_it_is_renoise_of_all(process, language):
    """State by state, with the same numbers; with a share below 1 it is another."""
    model, canvas = exact.perfect(process, language), Canvas.blank(4, 200)
    ours = states("mask_again", model, canvas, 6)
    theirs = states("renoise", model, canvas, 6, share=1.0)
    other = states("renoise", model, canvas, 6, share=0.9)
    assert len(ours) == 6 and all(a.equal(b) for a, b in zip(ours, theirs))
    assert not all(a.equal(b) for a, b in zip(ours, other))


def test_written_tokens_are_hidden_and_drawn_again(language):
    """Tokens that stood there give way to masks and to other tokens, which ancestral never does;
    the share that is masked is 1 - alpha at every step; what is given stays."""
    model, canvas = exact.perfect("masked", language), Canvas.blank(4, MANY)
    canvas.tokens[:], canvas.given[:, 0] = language.strings[0], True
    for sampler, again in (("mask_again", True), ("ancestral", False)):
        found = states(sampler, model, canvas, 8)
        pairs = list(zip(found, found[1:]))
        assert any((y == model.mask_id)[x != model.mask_id].any() for x, y in pairs) == again
        assert all((x[:, 0] == language.strings[0, 0]).all() for x in found)
        for t, x in zip(grid(8, model.noise.schedule)[1:], found):
            hidden = (x[:, 1:] == model.mask_id).double().mean().item()
            assert abs(hidden - (t and 1 - schedule("linear").alpha(torch.tensor(t)))) < 0.025


def wrong_share(steps, stop=1.0):
    """How often the filled text AA or BB stands after the looks up to the share `stop` of all, of
    the language AB or BA, when the linear schedule ends at 1e-3: both drawn at once are wrong half
    of the time, one of two is drawn rightly, what is not hidden stays as it is."""
    wrong = 0.5
    for k in range(1, round(steps * stop)):
        m = (1 - k / steps) * (1 - 1e-3)
        wrong = m**2 / 2 + (1 - m) ** 2 * wrong
    return wrong


@pytest.mark.parametrize("steps", [1, 2, 10, 64])
def test_its_error_on_ab_or_ba_is_known(steps, alphabet):
    """The share of wrong texts is that of the recurrence, within four standard errors; ancestral's
    is 1 / (2 steps)."""
    language = enumerated(alphabet(2), ["ab", "ba"], [1, 1])
    model = exact.perfect("masked", language)
    for sampler, true in (("mask_again", wrong_share(steps)), ("ancestral", 1 / (2 * steps))):
        tokens = last(model, Canvas.blank(2, MANY), sampler=sampler, steps=steps, seed=4)
        wrong = (tokens[:, 0] == tokens[:, 1]).double().mean().item()
        assert abs(wrong - true) < 4 * math.sqrt(true * (1 - true) / MANY) + 1e-3


def test_its_error_falls_with_the_root_of_the_steps():
    """As its docstring says: towards sqrt(pi / steps) / 8, so that four times the steps are worth
    half the error, and ten steps are worth six of ancestral's."""
    for steps in (1000, 4000):
        assert wrong_share(steps) == pytest.approx(math.sqrt(math.pi / steps) / 8, rel=0.03)
    assert wrong_share(1000) / wrong_share(4000) == pytest.approx(2, rel=0.02)
    assert 1 / (2 * 7) < wrong_share(10) < 1 / (2 * 6)


@pytest.mark.parametrize("steps", [16, 64])
def test_in_the_middle_its_error_stays(steps, alphabet):
    """At half of the time both tokens stand in a quarter of the texts, of which with every number
    of steps some 17 % are wrong; of ancestral's fewer with every step."""
    language = enumerated(alphabet(2), ["ab", "ba"], [1, 1])
    model, canvas = exact.perfect("masked", language), Canvas.blank(2, 4 * MANY)
    for sampler in ("mask_again", "ancestral"):
        frames = generate(model, canvas, sampler=sampler, steps=steps, seed=4)
        x = next(frame.tokens for frame in frames if abs(frame.t - 0.5) < 1e-9)
        both = x[(x != model.mask_id).all(1)]
        assert len(both) / len(x) == pytest.approx(0.25, abs=0.02)
        wrong = (both[:, 0] == both[:, 1]).double().mean().item()
        if sampler == "mask_again":
            assert abs(wrong - wrong_share(steps, 0.5)) < 0.025 and 0.14 < wrong < 0.21
        else:
            assert wrong < 2 / steps


def test_on_a_language_it_needs_more_steps_than_ancestral(language):
    """On five strings with sixteen steps it is further from them than ancestral, beyond any chance;
    with 128 much nearer than with 16; and the share of a token at a place is nearly right."""
    model = exact.perfect("masked", language)

    def far(sampler, steps):
        tokens = last(model, Canvas.blank(4, MANY), sampler=sampler, steps=steps, seed=4)
        own = torch.stack([(tokens == v).double().mean(0) for v in range(model.V)])
        there = torch.stack([(language.strings == v).double() for v in range(model.V)])
        true = torch.einsum("vnl,n->vl", there, language.log_p.exp())
        return total_variation(tokens, language), (own - true).abs().max().item()

    (ours, places), (theirs, _), (more, _) = (
        far("mask_again", 16),
        far("ancestral", 16),
        far("mask_again", 128),
    )
    assert ours > theirs + 0.02 and more < 0.6 * ours and places < ours / 2


def test_one_token_is_exact(alphabet):
    """Alone, a token is drawn from its own distribution at the last look, however many there
    were."""
    language = enumerated(alphabet(3), ["a", "b", "c"], [0.6, 0.3, 0.1])
    model = exact.perfect("masked", language)
    tokens = last(model, Canvas.blank(1, 20_000), sampler="mask_again", steps=3, seed=1)
    found = torch.bincount(tokens[:, 0], minlength=3) / 20_000
    assert torch.allclose(found.double(), language.log_p.exp(), atol=0.014)
