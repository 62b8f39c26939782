"""A sampler starts from any state, may be sent another, and a Frame gives its own: runs fork."""

import pytest
import torch

from tests.conftest import LIKE_OTHERS, brief, random_process
from tests.test_exact import ONE_A_STEP, total_variation
from tinydiff import exact
from tinydiff.generate import generate, noised
from tinydiff.processes import PROCESSES
from tinydiff.randomness import TorchRng, seeded
from tinydiff.samplers import SAMPLERS, State, matrix
from tinydiff.schedules import grid
from tinydiff.text import Canvas

CELLS = brief(
    [cell for cell, fits in matrix().items() if fits], lambda name, sampler: name not in LIKE_OTHERS
)
DIFFUSION = [name for name in PROCESSES if "diffusion" in PROCESSES[name].traits]


def asking(process):
    """Its denoise, as samplers call it."""
    return lambda x, t, cache=None: process.denoise(x, t, cache=cache)


def texts(frames):
    return [frame.tokens.tolist() for frame in frames]


@pytest.mark.parametrize("name,sampler", CELLS)
def test_a_run_forks_exactly(name, sampler):
    """From the state of a frame, with the same settings, the rest of the run is what it was, step
    by step; with another seed it is another."""
    process, options = random_process(name), ONE_A_STEP.get(sampler, {})
    settings = dict(sampler=sampler, steps=8, **options)
    canvas = Canvas.prompt(process.tokenizer, "ab", 24, batch=2)
    whole = list(generate(process, canvas, seed=5, **settings))
    middle = max(1, len(whole) // 2)
    state = whole[middle - 1].state
    assert texts(generate(process, canvas, seed=None, start=state, **settings)) == texts(
        whole[middle:]
    )
    *_, other = generate(process, canvas, seed=6, start=state, **settings)
    if sampler not in ("ddim", "dpm_solver"):  # which draw nothing
        assert not other.tokens.equal(whole[-1].tokens)


@pytest.mark.parametrize("name,sampler", CELLS)
def test_a_state_that_is_sent_back_changes_nothing(name, sampler):
    """Where memory is kept with it; so that whoever looks at each state may leave it as it is."""
    process = random_process(name)
    canvas = Canvas.blank(24, 2)

    def run(send):
        rng = seeded(3)
        begin = State(process.noise.prior(canvas, rng), canvas)
        times = grid(6, process.noise.schedule)
        steps = SAMPLERS[sampler].run(process, asking(process), begin, times, rng)
        sent, found = None, []
        with torch.no_grad():
            while True:
                try:
                    step = steps.send(sent)
                except StopIteration:
                    return found
                found.append(process.noise.read(step.x).tolist())
                if send:
                    sent = State(step.x, step.canvas or canvas, step.t, step.memory)

    with torch.no_grad():
        assert run(True) == run(False)


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian"])
def test_what_is_sent_is_gone_on_from(name):
    """The state of one text sent to both rows of a deterministic end makes both the same."""
    process, canvas = random_process(name), Canvas.blank(24, 2)
    sampler, options = ("ddim", {}) if name == "gaussian" else ("ancestral", {"greedy": 1})
    rng, times = seeded(3), grid(4, process.noise.schedule)
    with torch.no_grad():
        begin = State(process.noise.prior(canvas, rng), canvas)
        steps = SAMPLERS[sampler].run(process, process.denoise, begin, times, rng, **options)
        last = [next(steps) for _ in range(3)][-1]
        assert not process.noise.read(last.x)[0].equal(process.noise.read(last.x)[1])
        end = steps.send(State(last.x[:1].repeat(2, *[1] * (last.x.ndim - 1)), canvas, last.t))
        text = process.noise.read(end.x)
        assert text[0].equal(text[1])


@pytest.mark.parametrize("name", brief(DIFFUSION))
def test_writing_on_from_noised_text_samples_the_language(name, language, rng):
    """Texts of the language noised to t and written on from there are texts of the language: the
    reverse chain from x_t ends in p(x_0)."""
    model, many = exact.perfect(name, language), 1500
    canvas = Canvas.blank(4, many)
    true = Canvas(language.sample(many, 4, rng), canvas.given)
    state = noised(model, true, 0.6, seed=4)
    *_, frame = generate(model, canvas, start=state, steps=96, seed=5, sampler="ancestral")
    assert total_variation(frame.tokens, language) < 0.05
    kept = (frame.tokens == true.tokens).all(1).double().mean().item()
    chance = language.log_p.exp().square().sum().item()
    assert chance + 0.05 < kept < 0.95  # it remembers the text, but not all of it


def test_bad_states_are_one_sentence():
    """Of another shape, another kind, another time, for a text beyond the window, without numbers
    to go on with."""
    process, canvas = random_process("masked"), Canvas.blank(24)
    good = noised(process, canvas, 0.5)
    for state, words in (
        (good._replace(x=good.x[:, :5]), "starts from"),
        (good._replace(x=good.x.float()), "starts from"),
        (good._replace(t=1.5), "the state's time is 1.5"),
    ):
        with pytest.raises(ValueError, match=words):
            generate(process, canvas, start=state)
    with pytest.raises(ValueError, match="fits the window"):
        generate(process, Canvas.blank(60), start=good)
    with pytest.raises(ValueError, match="seed is None"):
        generate(process, canvas, seed=None)
    with pytest.raises(ValueError, match="t is 0"):
        noised(process, canvas, 0)


@pytest.mark.parametrize("name,sampler", CELLS)
def test_every_number_has_a_name_of_its_own(name, sampler, monkeypatch):
    """Step, turn within it, first column and purpose are never the same twice in a run, so that a
    generator that knows nothing else repeats no number."""
    asked = []

    def named(method):
        def ask(self, *args, purpose, **more):
            asked.append((self.step, self.turn, self.first, purpose))
            return method(self, *args, purpose=purpose, **more)

        return ask

    for method in ("uniform", "normal", "integers", "common"):
        monkeypatch.setattr(TorchRng, method, named(getattr(TorchRng, method)))
    list(generate(random_process(name), Canvas.blank(36), sampler=sampler, steps=3))
    assert asked and len(set(asked)) == len(asked)


def test_a_start_is_told_as_it_is():
    """Of a text noised to .3 as many frames are told as come, from that time on; what the canvas
    gives is written, and stays, whatever the state held there."""
    process = random_process("masked")
    canvas = Canvas.blank(24)
    frames = list(generate(process, canvas, start=noised(process, canvas, 0.3), steps=10))
    assert [f.step for f in frames] == list(range(1, frames[0].steps + 1))
    assert frames[0].before.t == pytest.approx(0.3) and frames[0].before.step == 0
    prompt = Canvas.prompt(process.tokenizer, "b", 24)
    *_, end = generate(process, prompt, start=noised(process, canvas, 0.3), steps=10)
    assert end.tokens[0, 0] == 1 and end.given[0, 0]
    whole = list(generate(process, canvas, steps=8))
    again = list(generate(process, canvas, steps=8, start=whole[2].state, seed=None))
    assert [f.step for f in again] == [4, 5, 6, 7, 8] and {f.steps for f in again} == {8}
