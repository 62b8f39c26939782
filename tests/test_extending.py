"""One file a method: noises, processes, a network, a tokenizer and guides from a folder outside the
package are found by everything, and no other file changes."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import gradio as gr
import pytest
import torch

from tests import programs
from tests.conftest import LIKE_OTHERS, brief
from tests.languages import enumerated, part_of, typed
from tests.test_exact import FEW, MANY, NEVER_EXACT, ONE_A_STEP, last, mean_bound, total_variation
from tinydiff import exact, guides, nets, noises, plugins, processes, runs, samplers
from tinydiff.cli.commands import main
from tinydiff.generate import generate
from tinydiff.predictions import Prediction
from tinydiff.show import render
from tinydiff.store import catalogue, checkpoint
from tinydiff.text import Canvas, Characters, tokenizers
from tinydiff.train.loop import PRESETS, train
from tinydiff.ui import cost, request

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "extensions"
REGISTRIES = (
    noises.NOISES,
    processes.PROCESSES,
    nets.NETS,
    samplers.SAMPLERS,
    guides.GUIDES,
    tokenizers.TOKENIZERS,
)
NEW = {
    "simplex": ["simplex", "ssd-lm"],
    "slanted": [
        *("slanted", "slanted-mask", "slanted-uniform"),
        *("ar-diffusion", "slanted-masked", "slanted-scores", "slanted-tokens"),
    ],
    "latent": ["mixed", "latent"],
    "bag": ["bag"],
    "syllables": ["syllables"],
    "student": ["student"],
    "favour": ["favour"],
    "gedi": ["gedi"],
    "no_doubles": ["no_doubles"],
}
SHAPE = dict(layers=1, heads=1, width=16, length=24)


@pytest.fixture(scope="module", autouse=True)
def extended():
    """The files of the folder are loaded, and taken out again."""
    before = [dict(registry) for registry in REGISTRIES]
    assert set(plugins.load(FOLDER)) >= set(NEW)
    yield
    for registry, old in zip(REGISTRIES, before):
        registry.clear()
        registry.update(old)
    for name in NEW:
        sys.modules.pop(f"tinydiff_plugins.{name}", None)


def cells(*names):
    return [(p, s) for p in names for s in samplers.column(processes.PROCESSES[p])]


def test_each_file_registers_what_it_defines():
    """All that the files define, and nothing else, is new."""
    there = {name for registry in REGISTRIES for name in registry}
    assert {name for names in NEW.values() for name in names} <= there
    assert {path.stem for path in FOLDER.glob("*.py")} == set(NEW)


BACK = ["ancestral", "renoise", "gibbs", "euler", "tweedie", "settle"]
SLANTED = {
    "ar-diffusion": ["ancestral", "settle", "ddim", "ddpm", "dpm_solver"],
    "slanted-masked": ["remask", *BACK],
    "slanted-scores": ["remask", *BACK],
    "slanted-tokens": BACK,
}
EXACT = [(name, sampler) for name, fitting in SLANTED.items() for sampler in fitting]
EXACT += [("ssd-lm", "ancestral"), ("ssd-lm", "ddim"), ("ssd-lm", "dpm_solver")]
# proven with another slanted noise, or of a noise with another sampler that is like it
ALIKE = {
    *(("ar-diffusion", sampler) for sampler in ("ddim", "ddpm")),
    *(("slanted-scores", sampler) for sampler in BACK if sampler != "euler"),
    *(("slanted-tokens", sampler) for sampler in ("renoise", "tweedie", "euler")),
    ("ssd-lm", "dpm_solver"),
}


def test_every_cell_of_a_slanted_noise_is_proven():
    """Those that fit are those that are tested below: what reveals by a share of the text, as if
    one time held for all of it, is refused."""
    for name, fitting in SLANTED.items():
        exact = set(samplers.column(processes.PROCESSES[name])) - NEVER_EXACT
        assert exact == set(fitting)


@pytest.mark.parametrize("texts,floor,error", [FEW, MANY])
@pytest.mark.parametrize("name,sampler", brief(EXACT, lambda *cell: cell not in ALIKE))
def test_new_noises_sample_the_language(name, sampler, texts, floor, error, language):
    """With their perfect networks; where time depends on the position, the solvers too."""
    model = exact.perfect(name, language)
    canvas = part_of(language, 2, "x___", batch=2 * texts)
    canvas.given[:texts] = False
    steps = 96 if texts > 1000 else 64
    settings = dict(sampler=sampler, steps=steps, seed=3, **ONE_A_STEP.get(sampler, {}))
    free, prompted = last(model, canvas, **settings).split(texts)
    assert total_variation(free, language) < floor
    assert abs((prompted == language.strings[2]).all(1).double().mean() - 0.8) < error


@pytest.mark.parametrize("name", ["ssd-lm", *SLANTED])
def test_new_bounds_are_the_entropy(name, language, rng):
    """Along any path of noise, also where it is not the same at every position."""
    batches = 120 if name == "slanted-tokens" else 60  # few texts that cost much
    found, error = mean_bound(exact.perfect(name, language), language, rng, batches=batches)
    assert error < 0.04
    assert abs(found - language.entropy(4)) < 4 * error


def test_the_bound_is_that_of_its_own_order(language, rng):
    """A network that guesses badly where it sees the last token and not the first: with slanted
    masks, under which the last is hidden first, that never happens, and bound and training
    objective are the entropy; with plain masks, which come off in any order, it pays for it."""
    x = language.sample(20_000, 4, rng)
    canvas, found = Canvas(x, torch.zeros_like(x, dtype=torch.bool)), {}
    for name in ("slanted-masked", "masked"):
        model = exact.perfect(name, language)

        def blunted(x, t, right=model.net.answer):
            mask = language.tokenizer.mask_id
            usual = ((x[:, :1] != mask) | (x[:, 3:] == mask))[..., None]
            return torch.where(usual, right(x, t), 0 * right(x, t))

        model.net.answer = blunted
        found[name] = [model.bound(canvas, rng).mean(), 4 * model.loss(canvas, rng).mean()]
    (own, path), (other, _) = found.values()
    assert abs(own - language.entropy(4)) < 0.05 and abs(path - language.entropy(4)) < 0.09
    assert other > own + 0.5


def test_a_view_of_its_own():
    """The positions, the map and the pictures of a view are what its noise says, over the wire too;
    a process cannot show a view that its noise has not."""
    model = processes.build("ssd-lm", Characters("abcdefgh"), **SHAPE)
    canvas = Canvas.prompt(model.tokenizer, "ab", 12)
    run = render.Run({}, list(render.record(model, canvas, generate(model, canvas, steps=2))))
    run = render.unpack(json.loads(json.dumps(render.pack(run, model.V))))
    scene = run.frames[0].scene
    assert scene["view"] == "corners" and scene["spots"] == [2, 3, 4]
    assert scene["map"][:4] == render.levels([1.0, 0.5, *[0.5 + 0.5**1.5] * 2])
    assert render.is_scene(scene, 12) and not render.is_scene(scene | {"map": "!!"}, 12)
    assert all(len(picture.view) == 2 * 3 for picture in run.frames)
    with pytest.raises(ValueError, match="noise 'simplex' has no view 'walk'; it has corners"):
        type("Wrong", (type(model),), {"name": "wrong", "view_name": "walk"})


def test_a_family_without_a_likelihood_has_no_perfect_network(language, rng):
    """It says so by its traits: it is not among the perfect models; it writes all the same, with a
    temperature, and from a prompt."""
    assert "latent" not in catalogue.perfect_families() and "ssd-lm" in catalogue.perfect_families()
    assert samplers.column(processes.PROCESSES["latent"]) == ["ancestral"]
    model = processes.build("latent", Characters("abc"), **SHAPE)
    canvas = Canvas.prompt(model.tokenizer, "ab", 12)
    *_, frame = generate(model, canvas, steps=4, temperature=0.7)
    assert frame.tokens[0, :2].tolist() == [0, 1] and frame.tokens.max() < 3


def test_a_network_behind_a_tokenizer(tmp_path):
    """A checkpoint of both is opened as what it is, writes the same, and its tokens spell text of
    several characters; a config that names a network that there is not is refused."""
    tokenizer = tokenizers.TOKENIZERS["syllables"]()
    model = processes.build("masked", tokenizer, **SHAPE, network="bag").eval()
    torch.nn.init.normal_(model.net.head.weight)
    config = checkpoint.config_of(model, {**SHAPE, "labels": 0}, "toy")
    checkpoint.save(model, config, tmp_path / "toy")
    again = checkpoint.load(tmp_path / "toy")
    assert again.net.name == "bag" and again.tokenizer == tokenizer
    canvas = Canvas.prompt(tokenizer, "bcaab", 12)
    assert canvas.given[0].sum() == 2
    texts = [
        [tokenizer.decode(f.tokens[0]) for f in generate(one, canvas, steps=4, seed=1)]
        for one in (again, checkpoint.load(tmp_path / "toy"))
    ]
    assert texts[0] == texts[1] and texts[0][-1].startswith("bcaab") and len(texts[0][-1]) > 12
    config["network"] = "none"
    (tmp_path / "toy" / "config.json").write_text(json.dumps(config))
    with pytest.raises(checkpoint.CheckpointError, match="there is no network 'none'"):
        checkpoint.load(tmp_path / "toy")


def test_the_page_counts_a_network_of_another_kind(labelled):
    """Every weight once a position, and what is drawn: more for a longer text and a wider network,
    and nothing like a perfect network's work; what a guide is handed is counted too."""
    made = {
        (width, length): cost.call(bag, 1, length, length)
        for width in (16, 64)
        for bag in [
            processes.build("masked", Characters("abc"), **SHAPE | {"width": width}, network="bag")
        ]
        for length in (64, 128)
    }
    assert made[16, 128] == 2 * made[16, 64] and made[64, 64] > made[16, 64]
    assert made[64, 128] < cost.PERFECT * 128
    asked = runs.request(dict(length=24, steps=4), checkpoint.load(labelled["abc"]))
    more = dict(expert=str(labelled["abc"]), kind="law")
    guided = runs.request(more | dict(length=24, steps=4), asked.process)
    assert cost.of(guided) == 2 * cost.of(asked)
    wide = processes.build("masked", Characters("abc"), **SHAPE | {"width": 512})
    assert cost.of(replace(guided, models={"expert": wide})) > 2 * cost.of(asked)


def test_a_student_learns_what_its_teacher_says(language, rng):
    """With the perfect network as both, the loss is what the teacher itself is unsure of: that of
    the bound; a student that says something else pays more."""
    teacher, student = exact.perfect("masked", language), exact.perfect("student", language)
    student.taught_by(teacher)
    x = language.sample(4000, 4, rng)
    canvas = Canvas(x, torch.zeros_like(x, dtype=torch.bool))
    own = student.loss(canvas, rng).mean()
    student.net.answer = lambda x, t, right=student.net.answer: 0.3 * right(x, t).clamp_min(-20)
    assert own < student.loss(canvas, rng).mean() - 0.01
    assert not any("teacher" in name for name in student.state_dict())


@pytest.mark.parametrize("teacher", ["", "average", "checkpoint", "nobody"])
def test_a_student_is_trained(tmp_path, teacher):
    """By a checkpoint or by its own average; without one it says so, and with one that is not
    there too."""
    text = tmp_path / "text.txt"
    text.write_text("abc cab bca " * 400)
    made = {**vars(PRESETS["tiny"])} | dict(
        corpus=str(text), steps=2, validate_every=2, save_every=2
    )
    config = type(PRESETS["tiny"])
    if teacher == "checkpoint":
        teacher = str(tmp_path / "teacher")
        list(train(config(**made | dict(out=teacher))))
    settings = config(**made | dict(process="student", teacher=teacher, out=str(tmp_path / "one")))
    if teacher in ("", "nobody"):
        with pytest.raises(ValueError, match="learns from a teacher|no model 'nobody'"):
            list(train(settings))
    else:
        *_, end = train(settings)
        assert end.step == 2 and checkpoint.load(tmp_path / "one").name == "student"


def test_a_classifier_is_heard(alphabet):
    """Of one token it is Bayes' rule: p(v) exp(w [v is favoured]), normalised; a piece is favoured
    for a character of it."""
    one = enumerated(alphabet(3), "abc", [0.6, 0.1, 0.3])
    assert one.tokenizer.pieces[1] in ("b", "ab")
    tokens = last(
        exact.perfect("masked", one), Canvas.blank(1, 20_000), steps=4, favoured="b", weight=2.0
    )
    p = torch.tensor([0.6, 0.1 * torch.tensor(2.0).exp(), 0.3])
    share = torch.bincount(tokens[:, 0], minlength=3) / 20_000
    assert (share - p / p.sum()).abs().max() < 0.012


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """The folder of a checkpoint that knows two labels, with random weights, of one that reads
    other tokens, and of one that reads pieces of several characters."""
    torch.manual_seed(0)
    folders = {}
    for letters in ("abc", "abcd", "syllables"):
        known = tokenizers.TOKENIZERS.get(letters, lambda letters=letters: Characters(letters))
        model = processes.build("masked", known(), **SHAPE, labels=2)
        torch.nn.init.normal_(model.net.head.weight)
        torch.nn.init.normal_(model.net.label.weight)
        config = checkpoint.config_of(model, {**SHAPE, "labels": 2}, "toy")
        config["labels"] = ["law", "play"]
        folders[letters] = tmp_path_factory.mktemp("classifiers") / letters
        checkpoint.save(model, config, folders[letters])
    return folders


@pytest.mark.parametrize("tokens", ["abc", "syllables"])
def test_a_network_as_classifier(tokens, labelled):
    """A checkpoint that settings name is opened and handed to a guide: of one token it is Bayes'
    rule, p(v) p(y | v)^w, normalised, with what that network says as p(v | y)."""
    net = checkpoint.load(labelled[tokens])
    p = torch.tensor([0.6, 0.3, 0.1] if tokens == "abc" else [0.3, 0.2, 0.15, 0.15, 0.1, 0.1])
    one = exact.Enumerated([*net.tokenizer.pieces], p.tolist(), net.tokenizer)
    wish = dict(expert=str(labelled[tokens]), kind="play", heard=2.0, temperature=1.0)
    asked = runs.request(wish | dict(length=1, steps=4), exact.perfect("masked", one))
    assert asked.settings["expert"] == wish["expert"] and json.dumps(asked.settings)
    drawn = last(asked.process, Canvas.blank(1, 20_000), **asked.arguments)
    mask, ones = torch.full((2, 1), net.mask_id), torch.ones(2, 1)
    says = net.denoise(mask, ones, torch.tensor([0, 1])).log_x0[:, 0].detach().softmax(0)[1]
    assert says.max() - says.min() > 0.2
    p = p * says**2
    share = torch.bincount(drawn[:, 0], minlength=len(p)) / 20_000
    assert (share - p / p.sum()).abs().max() < 0.012


@pytest.mark.parametrize("tokens", ["abc", "syllables"])
def test_a_classifier_that_does_not_fit(tokens, labelled):
    """One that is not there, of other tokens, on other noise, without that label, and one that was
    not opened: a sentence each, before anything is written."""
    tokenizer = checkpoint.load(labelled[tokens]).tokenizer
    language = exact.Enumerated([*tokenizer.pieces], [1] * len(tokenizer), tokenizer)
    right = dict(expert=str(labelled[tokens]), kind="law")
    for name, changed, words in (
        ("masked", {"expert": "nobody"}, "no model 'nobody'"),
        ("masked", {"expert": 3}, "expert is 3; give a text"),
        ("masked", {"expert": str(labelled["abcd"])}, "expert is a model of other tokens"),
        ("uniform", {}, "not learned on the noise of 'uniform'"),
        ("masked", {"kind": "song"}, "kind is 'song'; the expert knows the labels law, play"),
    ):
        with pytest.raises(ValueError, match=words):
            runs.request(right | changed, exact.perfect(name, language))
    with pytest.raises(ValueError, match="give a model that was opened"):
        generate(exact.perfect("masked", language), Canvas.blank(1), **right)


def test_a_classifier_on_the_command_line(labelled, capsys):
    """Its flag takes a folder, and another kind writes another text."""
    words = ["sample", "--model", str(labelled["abc"]), "--length", "24", "--steps", "4"]
    guided = [*words, "--expert", str(labelled["abc"]), "--heard", "20", "--kind"]
    texts = []
    for line in (words, [*guided, "law"], [*guided, "play"]):
        assert main(line) == 0
        texts.append(capsys.readouterr().out)
    assert len(set(texts)) == 3


def test_a_classifier_on_the_page(labelled):
    """A visitor names it as a model is named: a folder of the machine is not opened, wherever it
    stands, a bundled model is; a link says it."""
    asked = dict(model="perfect-masked", prompt="")
    folder = str(labelled["abc"])
    for raw in ({"expert": folder}, {"options": {"expert": folder}}):
        with pytest.raises(gr.Error, match="There is no model|give a model that was opened"):
            request.read(asked | raw)
    with pytest.raises(gr.Error, match="the expert knows the labels none"):
        request.read(asked | {"expert": "masked"})
    link = request.query(request.read(asked).settings | {"expert": "12"})
    assert request.from_query(dict(parse_qsl(link)))["expert"] == "12"


@pytest.mark.parametrize(
    "name,sampler",
    brief(
        [cell for cell, fits in samplers.matrix().items() if fits],
        lambda name, sampler: name not in LIKE_OTHERS or sampler in ("ancestral", "euler", "ddim"),
    ),
)
def test_a_pattern_holds_for_every_family(name, sampler, alphabet):
    """Whatever the noise and the order, no two neighbours are the same, also beside what is given;
    without the guide they are."""
    chain = exact.Markov(
        alphabet(4), torch.full((4,), 0.25), torch.full((4, 4), 0.1) + 0.6 * torch.eye(4)
    )
    model = exact.perfect(name, chain)
    canvas = Canvas.prompt(chain.tokenizer, typed(chain.tokenizer, "ab"), 16, batch=12)
    settings = dict(sampler=sampler, steps=8, seed=2)
    free, kept = last(model, canvas, **settings), last(model, canvas, no_doubles=1, **settings)
    assert (free[:, 1:] == free[:, :-1]).double().mean() > 0.2
    assert not (kept[:, 1:] == kept[:, :-1]).any() and (kept[:, :2] == canvas.tokens[:, :2]).all()


def test_a_constrained_draw_is_the_language_given_the_pattern(rng):
    """Draw, best and mean of a chained prediction are those of independent tokens, given that no
    two neighbours are the same: by summing over all texts."""
    Chained = sys.modules["tinydiff_plugins.no_doubles"].Chained
    log_p = torch.randn(1, 3, 3, generator=rng).double().log_softmax(-1)
    texts = torch.cartesian_prod(*[torch.arange(3)] * 3)
    weight = log_p[0].gather(1, texts.T).sum(0).exp()
    weight = torch.where((texts[:, 1:] == texts[:, :-1]).any(1), 0.0, weight)
    weight = weight / weight.sum()
    many = 20_000
    wide = Prediction(log_p.expand(many, -1, -1), log_p)
    drawn = Chained(wide, wide.log_x0, 0).draw(rng)
    share = torch.bincount(drawn @ torch.tensor([9, 3, 1]), minlength=27) / many
    assert (share - weight).abs().max() < 0.015
    one = Chained(Prediction(log_p, log_p), log_p, 0)
    assert one.best()[0].equal(texts[weight.argmax()])
    marginal = torch.nn.functional.one_hot(texts, 3).double().mul(weight[:, None, None]).sum(0)
    assert torch.allclose(one.mean(torch.eye(3).double())[0], marginal, atol=1e-9)


def program(*words, **variables):
    """A program in the folder of the project, with these variables, from beginning to end."""
    return programs.run(*words, cwd=ROOT, env=os.environ | variables)


def test_commands_show_them(tmp_path, capsys):
    """The matrix of a program that is told of the folder, and flags; a folder that there is not,
    and a file that cannot be run, are one sentence."""
    shown = program("-m", "tinydiff", "--plugins", str(FOLDER), "matrix", "--markdown")
    assert shown.returncode == 0 and all(name in shown.stdout for name in ("ssd-lm", "latent"))
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    usage = capsys.readouterr().out
    assert "--no-doubles" in usage and "--favoured" in usage
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    for folder, words in ((tmp_path, "broken.py' cannot be loaded"), ("nowhere", "no folder")):
        assert main(["--plugins", str(folder), "matrix"]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1


def test_the_page_starts_with_them():
    """With all of them loaded, the page is built; the tabs offer what fits them, and a guide's
    options have their fields."""
    code = (
        "import app, json; from tinydiff.store import catalogue; "
        "print(json.dumps([list(catalogue.models()), app.demo.get_config_file()], default=str))"
    )
    page = program("-c", code, TINYDIFF_PLUGINS=str(FOLDER))
    assert page.returncode == 0, page.stderr
    models, config = json.loads(page.stdout.splitlines()[-1])
    assert "perfect-ssd-lm" in models and "perfect-latent" not in models
    words = json.dumps(config)
    assert "no token stands beside its like" in words and "Latent (a toy)" in words
