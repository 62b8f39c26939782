"""Guides: off at their defaults, wrapped in the declared order, found wherever settings are read,
refused in one sentence, and each of them is what it says."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.conftest import random_process
from tinydiff import exact, guides
from tinydiff.generate import generate
from tinydiff.guides import GUIDES, STAGES, Context, Range, Steered, guide
from tinydiff.guides.classifier_free import classifier_free
from tinydiff.guides.temperature import temperature
from tinydiff.guides.top_k import top_k
from tinydiff.guides.top_p import top_p
from tinydiff.processes import PROCESSES, Prediction
from tinydiff.text import Canvas


@pytest.fixture
def registry():
    """What a test registers is taken out again."""
    before = dict(GUIDES)
    yield
    GUIDES.clear()
    GUIDES.update(before)


def labelled(length=20, labels=(0, 2)):
    return replace(Canvas.blank(length, len(labels)), label=torch.tensor(labels))


def said(p, state=None):
    """A denoise that says p, and the context in which the noisy state says `state`, evenly if
    none."""
    state = torch.ones_like(p) if state is None else state
    process = SimpleNamespace(own=lambda x, t: state.log(), V=p.shape[-1], means=None)
    return lambda x, t, cache=None: Prediction(p.log(), p), Context(process, Canvas.blank(1))


def bet(denoise):
    return denoise(None, None).log_x0.exp()


P, OWN = torch.tensor([[[0.5, 0.3, 0.15, 0.05]]]), torch.tensor([[[0.1, 0.1, 0.2, 0.6]]])


# ---------------------------------------------------------------- each is what it says


@pytest.mark.parametrize("state", [None, OWN])
def test_temperature_divides_what_the_rest_of_the_text_says(state):
    """By hand: what the state says is left as it is."""
    own = torch.ones(1, 1, 4) if state is None else state
    answer = (P / own) ** 0.5 * own
    warm = bet(temperature(*said(P, state), temperature=2.0))
    assert torch.allclose(warm, (answer / answer.sum()).double())


@pytest.mark.parametrize("name", ["uniform", "gaussian", "score-uniform", "masked"])
def test_temperature_divides_what_the_network_says(name):
    """Not what the noisy state says, in closed form: Bayes' rule with the network's part to the
    power of 1 / T."""
    process = random_process(name)
    rng, t = torch.Generator().manual_seed(0), torch.full((2, 24), 0.9)
    x = process.corrupt(torch.randint(10, (2, 24), generator=rng), t, rng)
    context = Context(process, Canvas.blank(24, 2))
    with torch.no_grad():
        whole, state = process.denoise(x, t).log_x0.double(), process.likelihood(x, t).double()
        warm = temperature(process.denoise, context, temperature=0.5)(x, t).log_x0
    assert torch.allclose(warm.exp(), (2 * (whole - state) + state).softmax(-1), atol=1e-4)


# P / OWN is (0.57, 0.34, 0.08, 0.01): two reach 0.9
@pytest.mark.parametrize("state,share", [(None, 0.75), (OWN, 0.9)])
def test_top_p_keeps_the_fewest_that_reach_it(state, share):
    """By what the rest of the text says; the others have no probability, and what the state says
    of those that are kept is in the bet again."""
    cut = bet(top_p(*said(P, state), top_p=share))
    assert torch.allclose(cut, torch.tensor([[[0.625, 0.375, 0, 0]]]).double(), atol=1e-6)


@pytest.mark.parametrize("state", [None, OWN])
def test_top_k_keeps_the_k_likeliest(state):
    """In their proportion, by what the rest of the text says; of equals no more than asked for."""
    for k in (1, 2, 3):
        kept = torch.where(torch.arange(4) < k, P, 0)
        cut = bet(top_k(*said(P, state), top_k=k))
        assert torch.allclose(cut, (kept / kept.sum()).double(), atol=1e-6)
    assert bet(top_k(*said(torch.full((1, 1, 4), 0.25)), top_k=2)).tolist() == [[[0.5, 0.5, 0, 0]]]


@pytest.mark.parametrize("name", PROCESSES)
def test_the_best_alone_is_the_greedy_bet(name):
    """top_k = 1 writes what temperature 0 writes, of every noise."""
    model = random_process(name)
    canvas = Canvas.prompt(model.tokenizer, "abc", 20, batch=2)
    greedy, one = (
        list(generate(model, canvas, steps=6, seed=5, **asked))
        for asked in ({"temperature": 0}, {"top_k": 1.0})
    )
    assert greedy[-1].tokens.equal(one[-1].tokens)
    *_, free = generate(model, canvas, steps=6, seed=5)
    assert not free.tokens.equal(greedy[-1].tokens)


def test_classifier_free_guidance_mixes_two_bets():
    """(1 + w) log p(label) - w log p, renormalised; w = 0 is the label as learned."""
    denoise, context = said(P)
    plain, _ = said(torch.full((1, 1, 4), 0.25))
    context = replace(context, unlabelled=lambda: plain)
    mixed = bet(classifier_free(denoise, context, guidance=1.0))
    assert torch.allclose(mixed, (P**2 / (P**2).sum()).double(), atol=1e-6)
    assert classifier_free(denoise, context, guidance=0.0) is denoise


def test_labels_guide():
    """A labelled network is asked twice a step, and the answer depends on the label and on the
    weight."""
    model, texts = random_process("masked", labels=3), {}
    for weight in (0.0, 5.0):
        *_, frame = generate(model, labelled(), steps=6, guidance=weight, sampler="random")
        texts[weight] = frame
    assert (texts[0.0].calls, texts[5.0].calls) == (6, 12)
    assert not texts[0.0].tokens.equal(texts[5.0].tokens)
    assert (guides.asks({}), guides.asks({"guidance": 5.0, "top_k": 3})) == (1, 2)


def test_a_cache_is_not_shared_by_both_readings():
    """Guidance reads a text twice, with its label and without; a network that remembers gives what
    it gives without memory."""
    model = random_process("autoregressive", labels=3)
    *_, frame = generate(model, labelled(12), guidance=2.0)
    model.traits = model.traits - {"cache"}
    *_, again = generate(model, labelled(12), guidance=2.0)
    assert frame.tokens.equal(again.tokens) and frame.calls == again.calls == 24


def test_self_conditioning_can_be_left_out():
    """0: the network is never told its last estimate, and writes another text than with it."""
    model, told = random_process("gaussian"), []
    plain = model.denoise

    def denoise(x, t, label=None, cache=None, hint=None):
        told.append(hint is not None)
        return plain(x, t, label, cache, hint=hint)

    model.denoise = denoise
    ends = {}
    for value in (1, 0):
        *_, ends[value] = generate(
            model, Canvas.blank(20), steps=4, self_conditioning=value, precision="fp32"
        )
    assert told == [False, True, True, True] + 4 * [False]
    assert not ends[0].tokens.equal(ends[1].tokens)


# ---------------------------------------------------------------- what all of them promise


@pytest.mark.parametrize("name", PROCESSES)
def test_at_its_default_a_guide_changes_nothing(name):
    """The same frames, bit for bit, as when no option is named."""
    model = random_process(name, labels=3)
    canvas = Canvas.prompt(model.tokenizer, "abc", 20, batch=2)
    usual = {option: guides.usual(each, model) for option, each in guides.options().items()}
    plain, named = (
        list(generate(model, canvas, steps=4, seed=5, **asked)) for asked in ({}, usual)
    )
    assert len(plain) == len(named)
    for a, b in zip(plain, named):
        assert a.tokens.equal(b.tokens) and a.odds.equal(b.odds) and a.calls == b.calls


def test_every_guide_documents_itself():
    """A sentence, a paper, a stage that there is, and a line for each option, whose default lies
    inside its range."""
    for each in GUIDES.values():
        assert each.about.endswith(".") and each.paper.startswith("arXiv:")
        assert each.stage in STAGES
        for option in each.options.values():
            assert len(option.span.about) > 10
            if isinstance(option.span, Range):
                assert option.span.low <= option.default <= option.span.high


def test_the_order_of_wrapping_is_the_declared_one(registry):
    """One guide in each stage, registered backwards: a call goes through the last stage first, and
    within a stage the names decide."""
    gone = []

    def traced(name):
        def wrap(denoise, context):
            """Note that it was asked."""

            def asked(x, t, cache=None):
                gone.append(name)
                return denoise(x, t, cache)

            return asked

        return wrap

    GUIDES.clear()
    names = [f"{place}{stage}" for place in "ab" for stage in STAGES]
    for name in reversed(names):
        guide(name, stage=name[1:], paper="arXiv:0000.00000")(traced(name))
    next(generate(random_process("masked"), Canvas.blank(8), steps=1))
    declared = [place + stage for stage in STAGES for place in "ab"]
    assert gone == declared[::-1]


def test_the_built_in_guides_stand_where_they_should():
    """Hints are the network's own, labels are mixed before the bet is changed, and temperature acts
    before top-k before top-p."""
    named = [each.name for each in guides.in_order()]
    assert named == ["self_conditioning", "classifier_free", "temperature", "top_k", "top_p"]


def test_what_stands_within_guidance_is_wrapped_for_both_readings():
    """With a label and without, each reading is told its own last estimate."""
    model, hints = random_process("gaussian", labels=3), []
    plain = model.denoise

    def denoise(x, t, label=None, cache=None, hint=None):
        found = plain(x, t, label, cache, hint=hint)
        hints.append((label is not None, hint, model.estimate(x, found, t)))
        return found

    model.denoise = denoise
    list(generate(model, labelled(20), steps=3, guidance=1.0, precision="fp32"))
    for told in (True, False):
        own = [(hint, made) for label, hint, made in hints if label == told]
        assert len(own) == 3 and own[0][0] is None
        assert all(after[0].equal(before[1]) for before, after in zip(own, own[1:]))


# ---------------------------------------------------------------- a guide from outside


def test_a_guide_sees_its_window_and_where_it_lies(registry):
    """The window's canvas, the whole text with what was written before it, and its first column; a
    text of several windows asks it once for each."""
    seen = []

    @guide("watcher", stage="pattern", paper="arXiv:0000.00000")
    def watcher(denoise, context, *, watch: guides.Annotated[int, Range(0, 1, "1: watch")] = 0):
        """Look."""
        seen.append((context, watch))
        return denoise

    model = random_process("masked")
    *_, end = generate(model, Canvas.prompt(model.tokenizer, "abc", 60), steps=4, watch=1)
    assert [context.start for context, _ in seen] == [0, 12, 24, 36]
    for context, watch in seen:
        window = slice(context.start, context.start + 24)
        assert watch == 1 and context.process is model and context.canvas.tokens.shape == (1, 24)
        assert context.canvas.given.equal(context.text.given[:, window])
        written = context.text.given
        assert context.text.tokens[written].equal(end.tokens[written])
    assert seen[1][0].text.given.sum() == 24


def test_a_guide_of_the_step_knows_where_it_leads(registry):
    """It is handed x_t, t and the Step, for every step of every window; what it makes of the state
    is what is shown."""
    moments = []

    @guide("stamp", stage="pattern", paper="arXiv:0000.00000")
    def stamp(denoise, context, *, stamp: guides.Annotated[int, Range(0, 1, "1: write a")] = 0):
        """Write a over what was written."""

        def change(x, t, step):
            moments.append((x, t, step.t))
            return torch.where(step.x == context.process.mask_id, step.x, 0)

        return Steered(denoise, change if stamp else None)

    model = random_process("masked")
    frames = list(generate(model, Canvas.blank(36), steps=4, stamp=1))
    assert [(t, s) for _, t, s in moments] == 2 * [(1, 0.75), (0.75, 0.5), (0.5, 0.25), (0.25, 0)]
    assert (moments[0][0] == model.mask_id).all() and moments[0][0].shape == (1, 24)
    for (after, _, _), frame in zip(moments[1:4], frames):
        assert after.equal(frame.tokens[:, :24])
    assert (frames[-1].tokens == 0).all()


def test_options_have_one_owner(registry):
    """A guide whose option has the name of a setting, of a sampler's or of another guide's is
    refused by name when it registers; the same guide again is not."""

    def named(option):
        def wrap(denoise, context, **more):
            """Nothing."""
            return denoise

        made = f"def wrap(denoise, context, *, {option}: A[float, R(0, 1, 'nothing')] = 0.0):\n"
        scope = {"A": guides.Annotated, "R": Range}
        exec(made + "    'Nothing.'\n    return denoise", scope)
        return scope["wrap"]

    for option, owner in (
        ("seed", "generate's settings"),
        ("label", "generate's settings"),
        ("eta", "the sampler 'ddim'"),
        ("top_p", "the guide 'top_p'"),
    ):
        with pytest.raises(ValueError, match=f"{option!r} of the guide 'odd'.*{owner}"):
            guide("odd", stage="cut", paper="arXiv:0000.00000")(named(option))
        assert "odd" not in GUIDES
    for _ in range(2):
        guide("odd", stage="cut", paper="arXiv:0000.00000")(named("oddness"))
    with pytest.raises(ValueError, match="the stage 'last'; there are hint, label"):
        guide("late", stage="last", paper="arXiv:0000.00000")(named("lateness"))


@pytest.mark.parametrize(
    "process,asked,says",
    [
        ("masked", {"guidance": 2}, "guidance is 2, which needs a model with labels"),
        ("masked", {"self_conditioning": 0}, None),
        ("gaussian", {"top_k": 2.5}, "top_k is 2.5; give a whole number from 0 to 1000"),
        ("masked", {"top_k": -1}, "top_k is -1"),
        ("masked", {"top_k": True}, "top_k is True"),
        ("masked", {"top_p": 0}, "top_p is 0"),
        ("masked", {"guidance": 99}, "guidance is 99; give a number from 0 to 20"),
        ("masked", {"nonsense": 1}, "no option 'nonsense'; it has greedy, and guides have"),
    ],
)
def test_refusals_are_one_sentence(process, asked, says):
    """A value that an option cannot have, and a guide that the model cannot do, named before
    anything is computed; a guide that the model cannot do anyway may be off."""
    model = random_process(process)
    if says is None:
        asked, says = {"self_conditioning": 0}, "self_conditioning is 0, which needs a model with"
    with pytest.raises(ValueError, match=says) as error:
        generate(model, Canvas.blank(8), sampler="ancestral", **asked)
    assert "\n" not in str(error.value) and str(error.value).count(". ") == 0


def test_guidance_without_a_label_is_told():
    """A model that knows labels, and a text that has none: their names are told."""
    model = random_process("masked", labels=2)
    model.label_names = ("tale", "law")
    with pytest.raises(ValueError, match="has no label to be guided to: name one of tale, law"):
        generate(model, Canvas.blank(8), guidance=2)
    assert exact.perfect("masked", exact.Enumerated(["ab"], [1])).labels == ()
