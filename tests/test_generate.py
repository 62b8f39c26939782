"""generate(): the same seed gives the same frames, closing it stops the work, calls are counted,
long texts go on."""

import math

import pytest
import torch

from tests.conftest import brief, random_process
from tinydiff import exact
from tinydiff.generate import generate, windows
from tinydiff.processes import PROCESSES
from tinydiff.randomness import seeded
from tinydiff.samplers import SAMPLERS, Range, column, matrix
from tinydiff.text import Canvas

CELLS = [cell for cell, fits in matrix().items() if fits]


def counting(name):
    """A process with a list, `asked`, that grows with each call of its network or of a copy of
    it."""
    process = random_process(name)
    process.asked = asked = []
    process.net.register_forward_hook(lambda *_: asked.append(1))
    return process


@pytest.mark.parametrize("process,sampler", brief(CELLS))
def test_frames_are_whole_and_reproducible(process, sampler):
    """Same seed, same frames; another seed, another text; the last frame has no mask; calls are the
    network's own count."""
    model = counting(process)
    canvas = Canvas.prompt(model.tokenizer, "abc", 20, batch=2)
    one = list(generate(model, canvas, sampler=sampler, steps=12, seed=5))
    assert one[-1].calls == len(model.asked)
    two = list(generate(model, canvas, sampler=sampler, steps=12, seed=5))
    other = list(generate(model, canvas, sampler=sampler, steps=12, seed=6))
    assert len(one) == len(two) and all(
        a.tokens.equal(b.tokens) and a.best.equal(b.best) for a, b in zip(one, two)
    )
    assert not one[-1].tokens.equal(other[-1].tokens)
    assert (one[-1].tokens != model.mask_id).all() and one[-1].tokens[:, :3].equal(
        canvas.tokens[:, :3]
    )
    assert [f.step for f in one] == list(range(1, len(one) + 1)) and len(one) <= one[0].steps
    for frame in one:
        assert all(
            x.shape == (2, 20)
            for x in (
                frame.tokens,
                frame.best,
                frame.confidence,
                frame.entropy,
                frame.changed,
                frame.given,
            )
        )
        assert (frame.confidence >= 0).all() and (frame.confidence <= 1 + 1e-6).all()
        assert (frame.entropy >= 0).all() and (frame.entropy <= math.log(model.V) + 1e-4).all()


@pytest.mark.parametrize("process,sampler", CELLS)
def test_changed_says_what_changed(process, sampler):
    """`changed` is the difference from the frame before, and given characters never change."""
    model = random_process(process)
    canvas = Canvas.prompt(model.tokenizer, "abc", 20)
    before = None
    for frame in generate(model, canvas, sampler=sampler, steps=12):
        before = frame.before.tokens if before is None else before
        assert frame.changed.equal(frame.tokens != before)
        assert not frame.changed[canvas.given].any()
        before = frame.tokens


@pytest.mark.parametrize("name", PROCESSES)
def test_before_the_first_frame_stands_the_noise_it_came_from(name):
    """The first frame knows x_1 of the same seed: masks where the noise is masks, else random
    characters, from which a sampler with nothing to do would change nothing; no later frame has
    one.
    """
    model = random_process(name)
    canvas = Canvas.prompt(model.tokenizer, "abc", 20, batch=2)
    first, *later = generate(model, canvas, steps=6, seed=5)
    start, rng = first.before, seeded(5)
    assert start.tokens.equal(model.noise.read(model.noise.prior(canvas, rng)))
    assert (start.step, start.steps, start.t, start.calls) == (
        0,
        first.steps,
        1.0,
        0,
    ) and not start.changed.any()
    assert (
        start.tokens[canvas.given].equal(canvas.tokens[canvas.given])
        and (start.confidence[canvas.given] == 1).all()
    )
    assert (start.tokens[~canvas.given] == model.mask_id).all() == ("prefix" in model.traits)
    assert first.before.before is None and all(frame.before is None for frame in later)


@pytest.mark.parametrize("name", ["gaussian", "bits", "uniform"])
def test_certainty_is_of_now(name, language):
    """Where noise is no mask, what stands is weighed at every step: real-valued states by how near
    they are, so that the first noise is as unsure as can be and the end is certain; the confidence
    of a token that stays does not stay, unless it is 0, because it can never stand there.
    """
    model = exact.perfect(name, language)
    frames = list(generate(model, Canvas.blank(4, 200), sampler="ancestral", steps=16, seed=3))
    start, end = frames[0].before, frames[-1]
    # of three tokens or four
    assert start.confidence.mean() < 0.45 and end.confidence.mean() > 0.95
    stays = ~frames[8].changed & (frames[8].confidence > 0)
    assert (frames[8].confidence != frames[7].confidence)[stays].float().mean() > 0.9


@pytest.mark.parametrize("name", PROCESSES)
def test_the_view_is_what_the_process_says(name):
    """A process that names a view shows it for every character at every step, in numbers from 0 to
    1; the others nothing."""
    model = random_process(name)
    for frame in generate(model, Canvas.prompt(model.tokenizer, "abc", 60), steps=4):
        for shown in filter(None, (frame, frame.before)):
            assert (shown.view is not None) == bool(model.view_name)
            if shown.view is not None:
                assert (
                    shown.view.shape[:2] == (1, 60)
                    and shown.view.min() >= 0
                    and shown.view.max() <= 1
                )


@pytest.mark.parametrize("name", PROCESSES)
def test_predictions_are_distributions_in_bf16(name):
    """Whatever the network computes in, what is said of characters is a distribution to single
    precision."""
    model = random_process(name)
    canvas = Canvas.prompt(model.tokenizer, "abc", 24)
    x = model.noise.prior(canvas, seeded(1))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        log_x0 = model.denoise(x, canvas.time(0.5)).log_x0
    assert log_x0.dtype != torch.bfloat16 and (log_x0.exp().sum(-1) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("name", PROCESSES)
def test_closing_stops_the_work(name):
    """After close() the network is not asked again."""
    model = counting(name)
    frames = generate(model, Canvas.blank(20), steps=20)
    next(frames), next(frames)
    asked = len(model.asked)
    frames.close()
    assert len(model.asked) == asked <= 3


def test_unchanged_steps_cost_no_call():
    """Ancestral with far more steps than characters: as many calls as steps in which something was
    revealed, at most 21."""
    model = counting("masked")
    frames = list(generate(model, Canvas.blank(20), sampler="ancestral", steps=500))
    revealing = sum(bool(frame.changed.any()) for frame in frames)
    assert len(frames) == 500 and revealing <= frames[-1].calls == len(model.asked) <= revealing + 1


def test_dilated_never_reveals_neighbours_together():
    """Where a step writes a quarter of the text at the most, no two tokens of it stand side by
    side, whatever is given."""
    process = random_process("masked")
    canvas = Canvas.prompt(process.tokenizer, "abc", 20)
    for steps in (5, 9):
        revealed = [
            frame.changed[0].nonzero()[:, 0].diff()
            for frame in generate(process, canvas, sampler="dilated", steps=steps)
        ]
        assert max(map(len, revealed)) == -(-17 // steps) - 1
        assert all((apart > 1).all() for apart in revealed)
    *_, frame = generate(process, Canvas.blank(1), sampler="dilated", steps=1)
    assert frame.tokens.shape == (1, 1) and frame.tokens != process.mask_id


def test_cached_equals_uncached_left_to_right(rng):
    """The autoregressive sampler with its cache draws what whole, uncached calls draw with the same
    random numbers."""
    model = random_process("autoregressive")
    canvas = Canvas.prompt(model.tokenizer, "ab", 16, batch=3)
    cached = list(generate(model, canvas, seed=3, precision="fp32"))[-1].tokens
    from tinydiff.randomness import categorical as draw

    rng.manual_seed(3)
    x = model.noise.prior(canvas, rng)
    for i in range(2, 16):
        with torch.no_grad():
            x[:, i] = draw(model.denoise(x, canvas.time(1.0)).log_x0[:, i], rng)
    assert cached.equal(x)


def test_text_longer_than_the_window_goes_on():
    """Windows overlap by half; each character is written once, with what stands before it given."""
    assert windows(60, 24) == [(0, 24, 0), (12, 36, 24), (24, 48, 36), (36, 60, 48)]
    assert windows(61, 24)[-1] == (37, 61, 60)
    assert windows(10**6, None) == [(0, 10**6, 0)]
    for name in PROCESSES:
        model = random_process(name)
        frames = list(generate(model, Canvas.prompt(model.tokenizer, "abc", 60), steps=8))
        written = torch.stack([frame.changed[0] for frame in frames]).sum(0)
        assert (frames[-1].tokens != model.mask_id).all() and written[:3].tolist() == [0] * 3
        if "prefix" in model.traits:
            assert written.tolist() == [0] * 3 + [1] * 57
        begun = next(frame for frame in frames if (frame.tokens != model.mask_id)[0, 24:].any())
        # a window is not begun before the one before it is done
        assert (begun.tokens != model.mask_id)[0, :24].all()
        assert frames[-1].step == frames[-1].steps


def test_a_given_end_is_kept_in_long_texts():
    """A suffix beyond the first window is still there at the end."""
    model = random_process("masked")
    *_, frame = generate(model, Canvas.prompt(model.tokenizer, "", 60, suffix="hhh"), steps=4)
    assert model.tokenizer.decode(frame.tokens[0]).endswith("hhh")


def test_entropy_and_confidence_are_the_prediction_s(language):
    """On the first frame: the entropy of each token's own distribution, and the probability of
    what was written or is likeliest, as the language says.
    """
    model = exact.perfect("masked", language)
    *_, frame = [next(generate(model, Canvas.blank(4), steps=4, seed=2))]
    each = [
        torch.bincount(column, weights=language.log_p.exp(), minlength=model.V)
        for column in language.strings.T
    ]
    entropy = torch.stack([-(p * p.clamp_min(1e-30).log()).sum() for p in each])
    assert torch.allclose(frame.entropy[0].double(), entropy, atol=1e-5) and entropy.min() > 0.5
    for p, token, best, sure in zip(each, frame.tokens[0], frame.best[0], frame.confidence[0]):
        assert best == p.argmax()
        assert sure.item() == pytest.approx(p[token if token < model.V else best].item(), abs=1e-5)


def test_temperature_zero_takes_the_best(language):
    """Left to right at temperature 0 writes the likeliest tokens, whatever the seed."""
    model = exact.perfect("autoregressive", language)
    for seed in range(5):
        *_, frame = generate(model, Canvas.blank(4), temperature=0, seed=seed)
        assert frame.tokens[0].equal(language.strings[0])


@pytest.mark.parametrize("name", brief(["uniform", "gaussian", "bits", "score-uniform", "masked"]))
def test_a_low_temperature_writes_likely_texts(name, language):
    """Whatever the noise, what is written stays in the language, and its likeliest text (0.35)
    comes more often."""
    *_, frame = generate(
        exact.perfect(name, language), Canvas.blank(4, 1000), steps=64, temperature=0.1
    )
    shares = torch.stack([(frame.tokens == s).all(1).double().mean() for s in language.strings])
    assert shares.sum() > 0.97 and shares[0] > 0.42


NAN = float("nan")


@pytest.mark.parametrize(
    "asked,says",
    [
        (dict(steps=0), "steps is 0"),
        (dict(steps=10**9), "from 1 to 4096"),
        (dict(steps="abc"), "steps is 'abc'"),
        (dict(steps=2.5), "whole"),
        (dict(steps=True), "steps is True"),
        (dict(steps=None), "steps is None"),
        (dict(temperature=NAN), "temperature is nan"),
        (dict(temperature=-1), "temperature is -1"),
        (dict(temperature=math.inf), "temperature is inf"),
        (dict(top_p=0), "top_p is 0"),
        (dict(top_p=1.5), "top_p is 1.5"),
        (dict(steps=10**400), r"steps is 10{59}\.\.\. \(401 characters\)"),
        (dict(temperature=-(10**5000)), "thousands of digits"),
        (dict(sampler="confidence", noise=10**400), "noise is 1000"),
        (dict(seed=-1), "seed is -1"),
        (dict(guidance=NAN), "guidance is nan"),
        (dict(sampler="magic"), "no sampler 'magic'; 'masked' offers ancestral"),
        (dict(sampler="confidence", noise=99.0), "noise is 99.0; give a number from 0 to 10"),
        (dict(sampler="confidence", noise="much"), "noise is 'much'"),
        (dict(sampler="confidence", wrong=1.0), "has no option 'wrong'; it has noise"),
        (dict(spacing="even"), "no grid 'even'"),
    ],
)
def test_bad_input_is_told_before_anything_is_computed(asked, says):
    """One sentence that names what is wrong and what there is, at the call, not at the first
    frame."""
    model = counting("masked")
    with pytest.raises(ValueError, match=says) as error:
        generate(model, Canvas.blank(8), **asked)
    assert "\n" not in str(error.value) and len(model.asked) == 0


def test_a_sampler_the_process_cannot_do_is_told():
    """It says which samplers there are instead."""
    with pytest.raises(ValueError, match="'autoregressive' offers left_to_right"):
        generate(random_process("autoregressive"), Canvas.blank(8), sampler="confidence")


def test_nothing_to_write_and_unknown_labels_are_told():
    """A canvas that is full, and a label that the model does not have."""
    model = random_process("masked")
    with pytest.raises(ValueError, match="Nothing is left to write"):
        generate(
            model, Canvas(torch.zeros(1, 4, dtype=torch.int64), torch.ones(1, 4, dtype=torch.bool))
        )
    with pytest.raises(ValueError, match="knows 0 labels"):
        generate(
            model,
            Canvas(
                torch.zeros(1, 4, dtype=torch.int64),
                torch.zeros(1, 4, dtype=torch.bool),
                torch.tensor([7]),
            ),
        )


def test_every_sampler_documents_itself():
    """A sentence, a paper, and a range with a line for each option, whose default lies inside
    it."""
    for each in SAMPLERS.values():
        assert each.about.endswith(".") and each.paper.startswith("arXiv:")
        for default, span in each.options.values():
            assert len(span.about) > 10
            if isinstance(span, Range):
                assert span.low <= default <= span.high
                continue
            choices = span.of(PROCESSES["masked"])
            assert choices and default in (None, choices[0])


def test_every_process_has_a_sampler():
    """No column of the matrix is empty."""
    assert all(column(cls) for cls in PROCESSES.values())
