"""Classifier guidance: exact on a language whose p(label | x_t) is known, for every noise and
sampler that it fits; what is of first order is the derivative; a classifier is trained, kept,
opened and refused as a model is."""

import json

import pytest
import torch

from tests.conftest import LIKE_OTHERS, SHAPE, brief
from tinydiff import exact, load, processes, runs, samplers
from tinydiff.classifier import Classifier, Tells
from tinydiff.cli.commands import main
from tinydiff.generate import generate
from tinydiff.processes import PROCESSES
from tinydiff.store import checkpoint
from tinydiff.text import Canvas, Characters

LANGUAGE = exact.Enumerated(["abca", "abcc", "baca", "cbab", "bbbb"], [0.35, 0.25, 0.2, 0.15, 0.05])
LABEL_OF, LABELS = [0, 1, 0, 1, 1], ("yes", "no")
PAIRS = [
    (name, sampler)
    for (name, sampler), fits in samplers.matrix().items()
    if fits
    and "likelihood" in PROCESSES[name].traits
    and "diffusion" in PROCESSES[name].traits
    and sampler != "mask_again"  # it is not exact in the limit (correct.py)
    # it takes tokens from the bet, and of numbers a classifier moves the mean code alone
    and not (sampler == "settle" and "reals" in PROCESSES[name].traits)
]
# draws of several tokens at once, as if independent, are no matter of steps
ONE_AT_A_TIME = {"gibbs": {"redraw": 1}, "renoise": {"share": 0.01}}


def told(process):
    return exact.Told(LANGUAGE, LABEL_OF, LABELS, process.noise)


def distance(tokens, label, given=None):
    """Total variation from the true conditional, with tokens `given` at the beginning."""
    p = LANGUAGE.log_p.exp() * torch.tensor([of == LABELS.index(label) for of in LABEL_OF])
    if given is not None:
        p = p * (LANGUAGE.strings[:, : len(given)] == given).all(1)
    share = (tokens[:, None] == LANGUAGE.strings).all(-1).double().mean(0)
    return 0.5 * ((share - p / p.sum()).abs().sum() + 1 - share.sum()).item()


def written(process, batch=1000, canvas=None, **how):
    canvas = canvas or Canvas.blank(4, batch)
    *_, last = generate(process, canvas, classifier=told(process), seed=3, **how)
    return last.tokens


@pytest.mark.parametrize(
    "name,sampler",
    brief(
        PAIRS,
        lambda name, sampler: name not in LIKE_OTHERS or sampler in ("ancestral", "euler", "ddim"),
    ),
)
def test_the_true_conditional(name, sampler):
    """At weight 1, within sampling error and what the steps leave; without it, it is far away."""
    process = exact.perfect(name, LANGUAGE)
    how = dict(sampler=sampler, steps=64, **ONE_AT_A_TIME.get(sampler, {}))
    assert distance(written(process, aim="yes", **how), "yes") < 0.05
    assert distance(written(process, batch=200, aim="no", push=0.0, **how), "no") > 0.3


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian", "bits"])
def test_with_a_beginning(name):
    process = exact.perfect(name, LANGUAGE)
    canvas = Canvas.prompt(LANGUAGE.tokenizer, "ab", 4, batch=1000)
    tokens = written(process, canvas=canvas, aim="no", steps=32)
    assert distance(tokens, "no", LANGUAGE.tokenizer.encode("ab")) < 0.03


def test_rules_are_kept_beside_it():
    process = exact.perfect("gaussian", LANGUAGE)
    tokens = written(process, batch=200, aim="no", steps=32, pattern="a.*")
    texts = [LANGUAGE.tokenizer.decode(row) for row in tokens]
    assert all(text[0] == "a" for text in texts) and texts.count("abcc") > 150


def test_a_pull_is_tweedies(rng):
    """sqrt(alpha) E[e | x_t, y] is sqrt(alpha) E[e | x_t] + (1 - alpha) times the gradient, where
    both expectations are of the exact language."""
    process = exact.perfect("gaussian", LANGUAGE)
    x0, t = LANGUAGE.sample(6, 4, rng), torch.full((6, 4), 0.4)
    x, alpha = process.noise.corrupt(x0, t, rng), process.noise.alpha(t)[..., None]
    codes = process.noise.codes()
    chosen = exact.Enumerated(["abca", "baca"], [0.35, 0.2], LANGUAGE.tokenizer)
    seen = process.noise.likelihood(x, t)
    means = [one.posterior(seen).exp().float() @ codes for one in (LANGUAGE, chosen)]
    moved = (1 - alpha) / alpha.sqrt() * told(process).pull(x, t, 0)
    torch.testing.assert_close(means[0] + moved, means[1], atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["masked", "uniform"])
def test_changes_are_bayes(name, rng):
    """p(x_0_i = v | x_t) p(y | x_t, x_0_i = v) is the posterior of the texts of a label."""
    process = exact.perfect(name, LANGUAGE)
    x0, t = LANGUAGE.sample(6, 4, rng), torch.full((6, 4), 0.6)
    x = process.noise.corrupt(x0, t, rng)
    chosen = exact.Enumerated(["abca", "baca"], [0.35, 0.2], LANGUAGE.tokenizer)
    seen = process.noise.likelihood(x, t)
    possible = (
        seen.gather(2, LANGUAGE.strings[[0, 2]].expand(6, -1, -1)[:, 0, :, None]) > -50
    ).any()
    before = LANGUAGE.posterior(seen) + told(process).log_changed(x, t, 0, x == x).view(6, 4, -1)
    after = chosen.posterior(seen)
    alive = (told(process).log_of(x, t, 0) > -20)[:, None, None] & possible
    assert alive.any()
    found = torch.where(alive, before.log_softmax(-1).exp(), 0)
    torch.testing.assert_close(found, torch.where(alive, after.exp(), 0), atol=1e-6, rtol=1e-5)


@pytest.fixture(scope="module")
def net():
    """A classifier with random weights, on masks."""
    torch.manual_seed(0)
    process = PROCESSES["masked"]
    made = Classifier.build(
        process, Characters("abc"), process.over.schedule_of(), **SHAPE | {"labels": 2}
    )
    made.label_names = {"label": ("law", "play")}
    torch.nn.init.normal_(made.net.head.weight)
    return made.eval().requires_grad_(False)


def test_the_first_order_is_the_derivative(net):
    """Along what a token in the place of the mask would change in the network's input."""
    x, t, size = torch.full((1, 5), net.mask_id), torch.ones(1, 5), 1e-2
    slope, weight = net.slope(x, t, 1)[0, 2], net.net.embed.weight
    for v in range(3):
        along, ends = weight[v] - weight[net.mask_id], []
        for step in (size * along, -size * along):
            moved = torch.zeros(1, 5, 1).index_fill(1, torch.tensor(2), 1.0) * step
            hook = net.net.embed.register_forward_hook(
                lambda module, inputs, output, moved=moved: output + moved
            )
            ends.append(net.log_of(x, t, 1).item())
            hook.remove()
        measured = (ends[0] - ends[1]) / (2 * size)
        assert measured == pytest.approx((slope @ along).item(), abs=2e-4)
        assert net.first_order(x, t, 1, x == x)[2, v] == pytest.approx((slope @ weight[v]).item())


@pytest.mark.parametrize("name", ["masked", "uniform"])
def test_evidence_knows_all_changes(name):
    """A network in which each token speaks for itself says at once, and exactly, what reading every
    changed text says."""
    torch.manual_seed(1)
    kind, shape = PROCESSES[name], dict(length=5, layers=1, heads=1, width=8)
    net = Classifier.build(
        kind, Characters("abcd"), kind.over.schedule_of(), labels=5, network="evidence", **shape
    ).eval()
    net.label_names = {"kind": ("law", "play"), "end": ("glad", "sad", "neither")}
    for weight in net.net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    t = torch.tensor([[0.5, 0.5, 0.0, 0.5, 0.5, 0.5]] * 3)
    x = torch.randint(0, 4, (3, 6))
    where = t > 0
    for label in (1, 3):
        quick = net.log_changed(x, t, label, where)
        slow = Tells.log_changed(net, x, t, label, where)
        torch.testing.assert_close(quick, slow.float(), atol=1e-4, rtol=1e-4)


def test_where_texts_are_many_it_is_first_order(net, monkeypatch):
    x, t = torch.full((1, 5), net.mask_id), torch.ones(1, 5)
    exactly = net.log_changed(x, t, 1, x == x)
    monkeypatch.setattr("tinydiff.classifier.EXACT", 1)
    assert torch.equal(net.log_changed(x, t, 1, x == x), net.first_order(x, t, 1, x == x))
    assert not torch.allclose(exactly, net.first_order(x, t, 1, x == x).double())


def test_refusals(net):
    process = exact.perfect("masked", exact.Enumerated(["abc"], [1.0], Characters("abc")))
    other = exact.perfect("uniform", exact.Enumerated(["abc"], [1.0], Characters("abc")))
    reals = exact.perfect("gaussian", LANGUAGE)
    elsewhere = exact.perfect("gaussian", LANGUAGE)
    elsewhere.noise.points.data = torch.randn_like(elsewhere.noise.points)
    for model, how, words in (
        (process, dict(aim="law"), "no classifier is named"),
        (process, dict(classifier=net, aim="song"), "the classifier knows the labels law, play"),
        (process, dict(classifier=process, aim="law"), "writes text and tells no labels"),
        (other, dict(classifier=net, aim="law"), "knows the noise 'mask', and this model undoes"),
        (reals, dict(classifier=told(elsewhere), aim="yes"), "other codes of the tokens"),
        (
            process,
            dict(classifier=net, aim="law", pushes=3),
            "pushes is 3, which is for real-valued",
        ),
        (
            process,
            dict(classifier=told(exact.perfect("masked", LANGUAGE)), aim="yes", push=99.0),
            "push is 99",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            list(generate(model, Canvas.blank(4), **how))
    left = exact.perfect("autoregressive", LANGUAGE)
    with pytest.raises(ValueError, match="needs a model with diffusion"):
        list(generate(left, Canvas.blank(4), classifier=told(process_of("masked")), aim="yes"))


def process_of(name):
    return exact.perfect(name, LANGUAGE)


def test_several_steps_along_the_gradient(rng):
    """Diffusion-LM's control reaches the label too, less exactly."""
    process = exact.perfect("gaussian", LANGUAGE)
    assert distance(written(process, aim="yes", steps=64, pushes=3), "yes") < 0.35


def config_of(made):
    config = checkpoint.config_of(made, {**SHAPE, "labels": 2}, "toy")
    return config | {"labels": ["law", "play"], "classifier": True}


def test_it_is_kept_and_opened(net, tmp_path, capsys):
    """A folder of its own, which a flag names; it writes nothing itself."""
    checkpoint.save(net, config_of(net), tmp_path / "told")
    again = load(tmp_path / "told")
    x, t = torch.full((2, 5), net.mask_id), torch.ones(2, 5)
    torch.testing.assert_close(again.log_p(x, t), net.log_p(x, t), atol=2e-2, rtol=2e-2)
    assert again.labels == ("law", "play") and isinstance(again, Classifier)
    model = processes.build("masked", Characters("abc"), **SHAPE)
    config = checkpoint.config_of(model, {**SHAPE, "labels": 0}, "toy")
    checkpoint.save(model, config, tmp_path / "model")
    words = ["sample", "--model", str(tmp_path / "model"), "--length", "24", "--steps", "4"]
    texts = []
    for label in ("law", "play"):
        line = [*words, "--classifier", str(tmp_path / "told"), "--aim", label, "--push", "20"]
        assert main(line) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] != texts[1]
    with pytest.raises(ValueError, match="tells labels and writes nothing"):
        runs.request({"model": str(tmp_path / "told")})
    broken = config_of(net) | {"classifier": "yes"}
    (tmp_path / "told" / "config.json").write_text(json.dumps(broken))
    with pytest.raises(checkpoint.CheckpointError, match="classifier is 'yes'"):
        load(tmp_path / "told")
