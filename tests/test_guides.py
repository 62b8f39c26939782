"""Guides: off at their defaults, wrapped in the declared order, found wherever settings are read,
refused in one sentence, and each of them is what it says."""

import inspect
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import pytest
import torch

from tests.conftest import SHAPE, random_process
from tests.languages import LANGUAGES, enumerated, part_of, typed
from tinydiff import exact, guides, load, runs
from tinydiff.cli import flags
from tinydiff.cli.commands import main, parser
from tinydiff.generate import generate
from tinydiff.guides import GUIDES, STAGES, Context, Model, Range, Steered, Words, guide
from tinydiff.guides.classifier_free import classifier_free
from tinydiff.guides.temperature import temperature
from tinydiff.guides.top_k import top_k
from tinydiff.guides.top_p import top_p
from tinydiff.predictions import Prediction
from tinydiff.processes import PROCESSES
from tinydiff.randomness import seeded
from tinydiff.samplers import column
from tinydiff.show import export
from tinydiff.store import checkpoint
from tinydiff.text import Canvas
from tinydiff.ui import cost, denoise, fields, request, steering
from tinydiff.ui.session import Session


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
    process = SimpleNamespace(
        state_likelihood=lambda x, t: state.log(), V=p.shape[-1], mixes_raw=False, traits=set()
    )
    return lambda x, t, cache=None: Prediction(p.log(), p), Context(process, Canvas.blank(1))


def probabilities(denoise):
    return denoise(None, None).log_x0.exp()


P, OWN = torch.tensor([[[0.5, 0.3, 0.15, 0.05]]]), torch.tensor([[[0.1, 0.1, 0.2, 0.6]]])


# ---------------------------------------------------------------- each is what it says


@pytest.mark.parametrize("state", [None, OWN])
def test_temperature_divides_what_the_rest_of_the_text_says(state):
    """By hand: what the state says is left as it is."""
    own = torch.ones(1, 1, 4) if state is None else state
    answer = (P / own) ** 0.5 * own
    warm = probabilities(temperature(*said(P, state), temperature=2.0))
    assert torch.allclose(warm, (answer / answer.sum()).double())


@pytest.mark.parametrize("name", ["uniform", "gaussian", "score-uniform", "masked"])
def test_temperature_divides_what_the_network_says(name):
    """Not what the noisy state says, in closed form: Bayes' rule with the network's part to the
    power of 1 / T."""
    process = random_process(name)
    rng, t = seeded(0), torch.full((2, 24), 0.9)
    x = process.noise.corrupt(torch.randint(10, (2, 24), generator=rng), t, rng)
    context = Context(process, Canvas.blank(24, 2))
    with torch.no_grad():
        whole = process.denoise(x, t).log_x0.double()
        state = process.noise.likelihood(x, t).double()
        warm = temperature(process.denoise, context, temperature=0.5)(x, t).log_x0
    assert torch.allclose(warm.exp(), (2 * (whole - state) + state).softmax(-1), atol=1e-4)


# P / OWN is (0.57, 0.34, 0.08, 0.01): two reach 0.9
@pytest.mark.parametrize("state,share", [(None, 0.75), (OWN, 0.9)])
def test_top_p_keeps_the_fewest_that_reach_it(state, share):
    """By what the rest of the text says; the others have no probability, and what the state says
    of those that are kept is in the prediction again."""
    cut = probabilities(top_p(*said(P, state), top_p=share))
    assert torch.allclose(cut, torch.tensor([[[0.625, 0.375, 0, 0]]]).double(), atol=1e-6)


@pytest.mark.parametrize("state", [None, OWN])
def test_top_k_keeps_the_k_likeliest(state):
    """In their proportion, by what the rest of the text says; of equals no more than asked for."""
    for k in (1, 2, 3):
        kept = torch.where(torch.arange(4) < k, P, 0)
        cut = probabilities(top_k(*said(P, state), top_k=k))
        assert torch.allclose(cut, (kept / kept.sum()).double(), atol=1e-6)
    assert probabilities(top_k(*said(torch.full((1, 1, 4), 0.25)), top_k=2)).tolist() == [
        [[0.5, 0.5, 0, 0]]
    ]


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
    mixed = probabilities(classifier_free(denoise, context, guidance=1.0))
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


def test_guidance_that_comes_late():
    """Nothing of it at t = 1, twice as much at t = 0, each text by its own time."""
    denoise, context = said(P.expand(2, -1, -1))
    plain, _ = said(torch.full((2, 1, 4), 0.25))
    context = replace(context, unlabelled=lambda: plain)
    late = classifier_free(denoise, context, guidance=1.0, guidance_late=1)
    found = late(torch.full((2, 1), 4), torch.tensor([[1.0], [0.0]])).log_x0.exp()
    thrice = (P**3 / (P**3).sum()).double().flatten()
    assert torch.allclose(found[:, 0], torch.stack([P.double().flatten(), thrice]), atol=1e-6)


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian", "bits"])
def test_a_run_ends_when_it_is_stable_and_sure(name):
    """It ends with the likeliest text, before its steps are over and with what is given; less sure,
    it goes on, and no text is another without the guide."""
    model = exact.perfect(name, LANGUAGES["characters"])
    canvas = part_of(LANGUAGES["characters"], 3, "x___", batch=3)
    settings = dict(steps=40, seed=2, sampler="ancestral")
    *_, whole = generate(model, canvas, **settings)
    *_, early = generate(model, canvas, **settings, stable=2, sure=0.5)
    assert early.step < whole.step == 40 and early.t == 0 and early.tokens[0, 0] == 1
    strings = LANGUAGES["characters"].strings
    assert all((strings == row).all(1).any() for row in early.tokens)
    assert early.tokens.equal(early.best)
    *_, never = generate(model, canvas, **settings, stable=16, sure=0.0)
    assert never.step == 40 and never.tokens.equal(whole.tokens)


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
        assert (
            a.tokens.equal(b.tokens)
            and a.top_probabilities.equal(b.top_probabilities)
            and a.calls == b.calls
        )


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
    """Guesses and hints are the network's own, labels are mixed before the prediction is changed,
    temperature acts before top-k before top-p, and a pattern has the last word."""
    named = [each.name for each in guides.in_order()]
    inner = ["drafter", "self_conditioning", "classifier_free", "classifier"]
    inner += ["temperature", "top_k", "top_p"]
    assert named == ["stable", *inner, "pattern"]


def test_what_stands_within_guidance_is_wrapped_for_both_readings():
    """With a label and without, each reading is told its own last estimate."""
    model, hints = random_process("gaussian", labels=3), []
    plain = model.denoise

    def denoise(x, t, label=None, cache=None, hint=None):
        found = plain(x, t, label, cache, hint=hint)
        hints.append((label is not None, hint, model.hint(found)))
        return found

    model.denoise = denoise
    list(generate(model, labelled(20), steps=3, guidance=1.0, precision="fp32"))
    for told in (True, False):
        own = [(hint, made) for label, hint, made in hints if label == told]
        assert len(own) == 3 and own[0][0] is None
        assert all(after[0].equal(before[1]) for before, after in zip(own, own[1:]))


def test_a_run_goes_on_with_what_guides_remember():
    """From a Frame's state a run with self-conditioning and guidance goes on exactly, though the
    first one went on itself meanwhile: both readings' estimates are in the state."""
    model, asked = random_process("gaussian", labels=3), dict(steps=6, guidance=1.0, seed=5)
    frames = list(generate(model, labelled(20), **asked))
    *_, end = generate(model, labelled(20), start=frames[2].state, **asked | {"seed": None})
    *_, again = generate(model, labelled(20), start=frames[2].state, **asked | {"seed": None})
    assert end.tokens.equal(frames[-1].tokens) and again.state.x.equal(end.state.x)
    assert end.state.x.equal(frames[-1].state.x)


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


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian", "autoregressive"])
def test_the_example_of_contributing(name, registry, alphabet):
    """The guide in CONTRIBUTING.md as it stands: of one token the others keep their
    proportion, whatever the noise; empty, it changes nothing."""
    text = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text("utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", text, re.S) if "@guide" in b)
    exec(compile(block, "CONTRIBUTING.md", "exec"), {"__name__": "example"})
    model = exact.perfect(name, enumerated(alphabet(3), "abc", [0.5, 0.3, 0.2]))
    shares = {}
    for without in ("", "b"):
        unwanted = typed(model.tokenizer, without)
        *_, end = generate(model, Canvas.blank(1, 3000), steps=16, seed=3, without=unwanted)
        shares[without] = torch.bincount(end.tokens[:, 0], minlength=3) / 3000
    for found, target in ((shares[""], [0.5, 0.3, 0.2]), (shares["b"], [5 / 7, 0, 2 / 7])):
        assert 0.5 * (found - torch.tensor(target)).abs().sum() < 0.03
    assert shares["b"][1] == 0


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


@pytest.mark.parametrize("name", PROCESSES)
def test_a_step_that_is_left_as_it_is_changes_nothing(name, registry):
    """A guide that hands back the state of every step: the same text, whatever the sampler
    remembers beside it."""

    @guide("idle", stage="pattern", paper="arXiv:0000.00000")
    def idle(denoise, context, *, idle: guides.Annotated[int, Range(0, 1, "1: look on")] = 0):
        """Look on."""
        return Steered(denoise, (lambda x, t, step: step.x.clone()) if idle else None)

    model = random_process(name)
    canvas = Canvas.prompt(model.tokenizer, "abc", 30)
    for sampler in {column(model)[0], column(model)[-1]}:
        *_, plain = generate(model, canvas, sampler=sampler, steps=5)
        *_, watched = generate(model, canvas, sampler=sampler, steps=5, idle=1)
        assert plain.tokens.equal(watched.tokens), sampler


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
    with pytest.raises(ValueError, match="the stage 'last'; there are end, hint, label"):
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


# ---------------------------------------------------------------- settings, links, command line


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint of an untrained masked process that knows two labels by name."""
    folder, process = tmp_path_factory.mktemp("model"), random_process("masked", labels=2)
    config = checkpoint.config_of(process, {**SHAPE, "labels": 2}, "noise", labels=["tale", "law"])
    return str(checkpoint.save(process, config, folder))


STEERED = dict(top_k=3, guidance=0.5, temperature=2.0, top_p=0.95, label="law", spacing="cosine")


def test_settings_reach_generate(model):
    """Every option of a guide, the label and the spacing are settings of a run; what comes out is
    what generate writes with them."""
    asked = dict(model=model, length=20, steps=5, sampler="ancestral", prompt="ab", **STEERED)
    run, process = runs.record(asked), load(model)
    canvas = Canvas.prompt(process.tokenizer, "ab", 20).with_label(torch.tensor([1]))
    told = {name: value for name, value in STEERED.items() if name != "label"}
    *_, frame = generate(process, canvas, sampler="ancestral", steps=5, **told)
    assert process.tokenizer.decode(frame.tokens[0]) == run.frames[-1].text
    assert {name: run.settings[name] for name in STEERED} == STEERED
    for changed in (dict(label="tale"), dict(spacing="uniform"), dict(top_k=0)):
        other = runs.record(asked | changed)
        assert [f.text for f in other.frames] != [f.text for f in run.frames], changed


def test_an_exported_run_has_its_settings(model, tmp_path):
    """JSON gives back what was asked of the guides."""
    run = runs.record(dict(model=model, length=12, steps=2, **STEERED))
    export.json(run, tmp_path / "run.json")
    again = export.load_json(tmp_path / "run.json").settings
    assert {name: again[name] for name in STEERED} == STEERED


def test_all_settings_are_defaults_or_options_of_guides():
    """Nothing else is one, and no guide may take the name of one of those; nor of an argument of
    generate."""
    arguments = inspect.signature(generate).parameters
    fixed = [name for name, p in arguments.items() if p.kind is not p.VAR_KEYWORD]
    options = set(guides.options())
    assert set(runs.defaults()) == set(runs.DEFAULTS) | options
    assert set(runs.DEFAULTS) - options | set(fixed) <= guides.TAKEN


@pytest.mark.parametrize("wanted", ["law", "1", 1])
def test_a_label_is_meant_by_its_name_or_its_number(model, wanted):
    """The settings then have its name."""
    asked = runs.request(dict(model=model, label=wanted))
    assert asked.settings["label"] == "law" and asked.canvas.label.tolist() == [1]


@pytest.mark.parametrize(
    "asked,says",
    [
        (dict(label="poem"), "'poem'; this model knows tale, law"),
        (dict(label="2"), "'2'; this model knows tale, law"),
        (dict(label=True), "True; this model knows tale, law"),
        (dict(label=[1]), "this model knows tale, law"),
        (dict(label="law", model="perfect-masked"), "'perfect-masked', knows no labels"),
        (dict(guidance=1), "no label to be guided to: name one of tale, law"),
        (dict(spacing="even"), "no grid 'even'; there are uniform, cosine"),
        (dict(spacing=3), "no grid 3"),
        (dict(top_k="many"), "top_k is 'many'"),
        (dict(options={"top_k": -1}), "top_k is -1"),
        (dict(strange=1), "There is no setting 'strange'; there are"),
    ],
)
def test_settings_are_refused_in_one_sentence(model, asked, says):
    """Before anything is computed."""
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        runs.request(dict(model=model) | asked)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "labels,says",
    [
        (["one"], "labels names 1 classes, and its network knows 2"),
        (["one", "one"], "labels names 1 classes"),
        (["one", 2], "labels must be names"),
        (["one", "x" * 201], "labels must be names"),
        ([["one"], "two"], "labels must be names"),
    ],
)
def test_names_of_labels_in_a_checkpoint_are_checked(model, labels, says, tmp_path):
    """They are as many as its network knows, and names."""
    shutil.copytree(model, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": labels}))
    with pytest.raises(checkpoint.CheckpointError, match=says):
        checkpoint.load(tmp_path / "copy")


def test_a_checkpoint_knows_the_names_of_its_labels(model):
    """Where it has none they are numbers."""
    assert load(model).labels == ("tale", "law")
    assert random_process("masked", labels=2).labels == ("0", "1")


def test_every_option_of_every_guide_is_a_flag(model, capsys):
    """`sample` takes each under its name, as a number or a word, and prints what the settings
    write; what is not given is not among the settings."""
    told = [word for k, value in STEERED.items() for word in (flags.flag(k), str(value))]
    line = ["sample", "--model", model, "--length", "20", "--steps", "5", *told]
    settings = flags.settings_of(parser().parse_args(line))
    assert {name: settings[name] for name in STEERED} == STEERED
    assert type(settings["top_k"]) is int
    assert main(line) == 0
    assert capsys.readouterr().out == runs.record(settings).frames[-1].text + "\n"
    for name, option in guides.options().items():
        value = "a text" if isinstance(option.span, (Words, Model)) else option.span.high
        line = ["sample", flags.flag(name), str(value)]
        assert flags.settings_of(parser().parse_args(line))[name] == value
    bare = flags.settings_of(parser().parse_args(["sample"]))
    assert not set(bare) & set(guides.options())


def test_the_matrix_command_lists_the_guides(capsys):
    """With what each needs and does."""
    main(["matrix"])
    said = " ".join(capsys.readouterr().out.split())
    for each in GUIDES.values():
        assert each.name in said and all(trait in said for trait in each.needs)


# ---------------------------------------------------------------- the page


@pytest.fixture
def mine(model):
    """A visitor who trained a model that knows labels, and how the page opens it."""
    session, found = Session(), load(model)
    session.trained_model = lambda: SimpleNamespace(process=found, title="mine")
    return session


def test_a_link_names_guides_label_and_spacing(mine):
    """Settings -> link -> settings is the identity, with every option of every guide."""
    asked = request.read({"model": "mine", "prompt": "", **STEERED}, mine)
    link = request.query(asked.settings)
    raw = request.from_query(dict(parse_qsl(link, keep_blank_values=True)))
    assert {name: raw[name] for name in STEERED} == STEERED
    again = request.read(raw, mine)
    assert again.settings == asked.settings and again.canvas.label.tolist() == [1]


# those of a pattern, which ask for nothing
RULES = {name: option.default for name, option in GUIDES["pattern"].options.items()}


def test_old_links_open_what_they_named():
    """A link from before there were guides: the same settings, and guides that change nothing."""
    old = "model=perfect-masked&steps=16&temperature=0.5&top_p=0.9&seed=3&prompt=&length=32"
    old += "&sampler=confidence&options=%7B%22noise%22%3A+0.5%7D"
    asked = request.read(request.from_query(dict(parse_qsl(old, keep_blank_values=True))))
    assert asked.arguments == dict(
        sampler="confidence",
        steps=16,
        seed=3,
        noise=0.5,
        temperature=0.5,
        top_p=0.9,
        spacing="uniform",
        top_k=0,
        guidance=0.0,
        guidance_late=0,
        self_conditioning=1,
        stable=0,
        sure=0.005,
        aim="",
        push=1.0,
        pushes=1,
        **RULES,
    )
    canvas = Canvas.blank(32)
    *_, told = asked.frames()
    *_, plain = generate(
        asked.process,
        canvas,
        sampler="confidence",
        steps=16,
        seed=3,
        noise=0.5,
        temperature=0.5,
        top_p=0.9,
    )
    assert told.tokens.equal(plain.tokens)


def test_the_page_shows_what_a_model_can(mine, model):
    """Labels, by name, and guidance only where the network knows labels, self-conditioning only
    where it takes hints; what is hidden has its usual value; the others always."""
    names = [*steering.LABELS, *guides.options()]
    plain, labelled = (
        dict(zip(names, steering.menus(p))) for p in (random_process("gaussian"), load(model))
    )
    seen = lambda menus: {name for name, update in menus.items() if update["visible"]}  # noqa: E731
    always = {"temperature", "top_k", "top_p", "stable", "sure", *RULES}
    always |= {"classifier", "aim", "push", "pushes"}
    assert seen(plain) == always | {"self_conditioning"}
    assert seen(labelled) == always | {"label", "guidance", "guidance_late"}
    assert plain["label"]["value"] == "" and plain["guidance"]["value"] == 0
    assert labelled["self_conditioning"]["value"] == 1 and "value" not in labelled["temperature"]
    assert [value for _, value in labelled["label"]["choices"]] == ["", "tale", "law"]


def test_the_fields_of_the_page_are_its_settings(mine):
    """What the widgets hold comes out as the settings that were put into them."""
    asked = request.read({"model": "mine", "prompt": "", **STEERED}, mine)
    shown = fields.fields_of(asked, mine.local_models())
    values = [update["value"] if isinstance(update, dict) else update for update in shown]
    again = denoise.read_fields(mine, *values).settings
    assert again | {"options": {}} == asked.settings and again["options"] == {"greedy": 0}


def test_guidance_costs_two_calls(mine):
    """A run with guidance is counted as twice the work."""
    one, two = (
        request.read({"model": "mine", "prompt": "", "label": "law", "guidance": weight}, mine)
        for weight in (0, 2)
    )
    assert cost.of(two) == 2 * cost.of(one)


@pytest.mark.parametrize(
    "raw,says",
    [
        ({"top_k": 101}, "top_k is 101"),
        ({"top_k": "x"}, "top_k is 'x'"),
        ({"top_k": None}, "The top_k is None"),
        ({"guidance": 1}, "no label to be guided to"),
        ({"guidance": []}, "guidance is []"),
        ({"label": "poem"}, "this model knows tale, law"),
        ({"label": None}, "The label is None"),
        ({"spacing": "even"}, "no grid 'even'"),
        ({"self_conditioning": 0}, "needs a model with hint"),
    ],
)
def test_the_page_refuses_in_one_sentence(mine, raw, says):
    """From widgets, links or the API."""
    with pytest.raises(gr.Error) as error:
        request.read({"model": "mine", "prompt": "", **raw}, mine)
    assert says in error.value.message and "\n" not in error.value.message


def test_a_guide_from_outside_is_found_everywhere(registry, model, mine, capsys):
    """One function, registered: generate, settings, command line, the list of guides, links and the
    page know it, a number, a choice and a text each as what it is."""

    @guide("echo", stage="cut", paper="arXiv:0000.00000")
    def echo(
        denoise,
        context,
        *,
        echo_share: guides.Annotated[float, Range(0, 1, "how much is said again")] = 0.0,
        echo_kind: guides.Annotated[
            str | None, guides.Choice(lambda process: ("soft", process.name), "what it sounds like")
        ] = None,
        echo_word: guides.Annotated[str, guides.Words(9, "the word that is said again")] = "",
    ):
        """Say it again."""
        heard.append((echo_share, echo_kind, echo_word))
        return denoise

    heard, argv = [], ["sample", "--model", model, "--length", "12", "--steps", "2"]
    argv += ["--echo-share", "0.5", "--echo-kind", "masked", "--echo-word", "12"]
    assert main(argv) == 0 and heard == [(0.5, "masked", "12")]
    next(generate(load(model), Canvas.blank(8)))
    assert heard[1:] == [(0.0, "soft", "")]
    whole = runs.request(dict(model=model, echo_share=0.25)).settings
    assert (whole["echo_share"], whole["echo_kind"], whole["echo_word"]) == (0.25, None, "")
    capsys.readouterr()
    for asked, says in (
        (dict(echo_kind="loud"), "echo_kind is 'loud'; with 'masked' there are soft, masked."),
        (dict(echo_word="0123456789"), "give a text of at most 9 characters"),
        (dict(echo_word=5), "echo_word is 5"),
    ):
        with pytest.raises(ValueError, match=says):
            runs.request(dict(model=model) | asked)
    main(["matrix"])
    assert "--echo-word" in capsys.readouterr().out
    asked = request.read(dict(model="mine", prompt="", echo_share=0.5, echo_word="5"), mine)
    link = dict(parse_qsl(request.query(asked.settings), keep_blank_values=True))
    assert request.read(request.from_query(link), mine).settings == asked.settings
    with gr.Blocks():
        _, widgets = fields.build(lambda: None)
        found = {field.elem_id: field for field in widgets}
    assert (found["echo_share"].value, found["echo_word"].value) == (0.0, "")
    assert [value for _, value in found["echo_kind"].choices] == ["soft", "masked"]
    shown = fields.fields_of(asked, mine.local_models())
    values = [update["value"] if isinstance(update, dict) else update for update in shown]
    again = denoise.read_fields(mine, *values).settings
    assert (again["echo_share"], again["echo_kind"], again["echo_word"]) == (0.5, "soft", "5")


def test_guidance_without_a_label_is_told():
    """A model that knows labels, and a text that has none: their names are told."""
    model = random_process("masked", labels=2)
    model.label_names = {"kind": ("tale", "law")}
    with pytest.raises(ValueError, match="has no label to be guided to: name one of tale, law"):
        generate(model, Canvas.blank(8), guidance=2)
    assert exact.perfect("masked", exact.Enumerated(["ab"], [1])).labels == ()
