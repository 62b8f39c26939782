"""Labels of several attributes: what a document has, what a network learns of them, and how they
are asked for."""

import random
import re
import sys
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
import torch

from tests.conftest import SHAPE, random_process
from tinydiff import runs
from tinydiff.cli.commands import main
from tinydiff.generate import generate
from tinydiff.measure import shrink
from tinydiff.nets.transformer import Transformer
from tinydiff.processes import PROCESSES, build
from tinydiff.randomness import seeded
from tinydiff.store import card, checkpoint
from tinydiff.text import Canvas, Characters, Documents, corpus, labels
from tinydiff.train.loop import Config, start
from tinydiff.ui import request, steering

END, LENGTH = "<|endoftext|>", 32
KINDS = {"mood": ("glad", "sad", "neither"), "speech": ("dialogue", "no dialogue")}
VALUES = labels.flat(KINDS)


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """A file of 200 documents, glad, sad or neither, with speech or without, some of several
    windows, and its twin to validate on."""
    rng, folder = random.Random(0), tmp_path_factory.mktemp("stories")
    ends = ["The fool was very happy and smiled.", "The fool was sad and cried.", "It was a door."]
    for name, n in (("tinystories_train.txt", 200), ("tinystories_valid.txt", 20)):
        told = (
            "The king sat. " * rng.choice([1, 3, 9, 80])
            + rng.choice(['"Oh!" he said. ', ""])
            + rng.choice(ends)
            for _ in range(n)
        )
        (folder / name).write_text(f"\n{END}\n".join(told) + f"\n{END}\n", "utf-8")
    return folder / "tinystories_train.txt"


def config_of(stories, folder, **more):
    config = Config(preset="tiny", corpus=str(stories), tokenizer="bpe-280", steps=4, batch=4)
    return replace(config, validate_every=2, save_every=2, out=str(folder), **more)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint, untrained, that knows two attributes by name."""
    torch.manual_seed(0)
    shape = SHAPE | {"labels": len(VALUES), "attributes": len(KINDS)}
    process = build("masked", Characters("abcdefgh \n"), **shape)
    torch.nn.init.normal_(process.net.head.weight, std=0.5)
    torch.nn.init.normal_(process.net.label.weight)
    told = checkpoint.names_of_labels(KINDS)
    config = checkpoint.config_of(process, shape, "noise", labels=told)
    return checkpoint.save(process, config, tmp_path_factory.mktemp("model"))


# ---------------------------------------------------------------- of documents


@pytest.mark.parametrize(
    "text,wanted",
    [
        ("A dog. Tom was very happy. They laughed and had fun.", "glad, no dialogue, short"),
        ("They had fun. " * 99 + "He fell. He cried. It was sad.", "sad, no dialogue, long"),
        ('"Look", she said. ' + "A door. " * 85, "neither, dialogue, middle"),
        ("\u201cNo\u201d! It hurt. " + "x" * 625 + ". Now it was bad.", "sad, dialogue, short"),
    ],
)
def test_what_a_text_is(text, wanted):
    """The mood is that of the last three sentences alone, and one value of each attribute holds."""
    known = labels.asked("length, mood,dialogue")
    assert list(known) == list(labels.ATTRIBUTES), "in their own order, however they are named"
    (found,) = labels.of_documents([text], known).tolist()
    assert ", ".join(labels.flat(known)[number] for number in found) == wanted


def test_labels_that_cannot_be_had(stories, tmp_path, monkeypatch):
    """An attribute that there is not, a text without documents or in characters, and VADER where it
    is not installed: one sentence each."""
    (tmp_path / "page.txt").write_text("One page of many words.\n" * 200)
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    for path, label, cut, says in (
        (stories, "mood,taste", "bpe-280", "no label 'taste'; they have mood, dialogue, length"),
        (stories, "", "bpe-280", "no label ''"),
        (stories, "length", "characters", "tinystories_train.txt' has no labels: "),
        (tmp_path / "page.txt", "length", "bpe-270", "page.txt' has no labels: "),
        (stories, "length,mood", "bpe-280", "'mood' needs `pip install vaderSentiment`"),
    ):
        with pytest.raises(ValueError, match=re.escape(says)) as told:
            corpus(path, label=label, tokenizer=cut)
        assert "\n" not in str(told.value)
    assert corpus(stories, label="dialogue", tokenizer="bpe-280").labels


def test_a_window_has_the_labels_of_its_document(stories):
    """The whole one, though the window shows the end of it or its beginning alone; windows that
    begin anywhere have none."""
    data = Documents(corpus(stories, label="dialogue,length", tokenizer="bpe-280"), LENGTH, 0.5)
    texts = [one.strip("\n") for one in stories.read_text().split(END) if one.strip()]
    kinds, which = labels.asked("dialogue,length"), torch.arange(len(data.train.size))
    assert max(data.train.document.bincount()) > 3
    for one in which.split(64):
        canvas = data.canvas("train", one)
        own = [texts[i] for i in data.train.document[one]]
        assert canvas.label.equal(labels.of_documents(own, kinds).long())
    rng, seen = seeded(0), set()
    for rng.step in range(4):
        canvas = data.canvases("train", LENGTH, 8, rng, 0.0)
        assert (canvas.label is None) == (canvas.padding is None)
        seen.add(canvas.label is None)
    assert seen == {True, False}
    assert corpus(stories, tokenizer="bpe-280").train_label is None


# ---------------------------------------------------------------- networks


def test_embeddings_of_attributes_are_added():
    """In whatever order they are told; what is not told is the null class, alone or of a row; with
    one attribute it is the network of old."""
    shape = dict(inputs=10, outputs=9, layers=1, heads=2, width=16, length=8, labels=5)
    net, one = Transformer(**shape, attributes=2), Transformer(**shape)
    torch.nn.init.normal_(net.head.weight)
    one.load_state_dict(net.state_dict())
    x = torch.randint(10, (2, 8))
    says = lambda *rows: net(x, None, torch.tensor(rows))  # noqa: E731
    assert says([0, 4], [1, 3]).equal(says([4, 0], [3, 1]))
    assert says([0, 5], [1, 3]).equal(torch.stack([says([0], [1])[0], says([0, 4], [1, 3])[1]]))
    assert net(x).equal(says([5, 5], [5, 5])) and says(0, 1).equal(says([0], [1]))
    assert not torch.allclose(says([0, 4], [1, 3]), says([0], [1]))
    with torch.no_grad():
        total = net.label.weight[0] + net.label.weight[4]
        one.label.weight[2] = total
    assert torch.allclose(one(x, None, torch.tensor([2, 2])), says([0, 4], [0, 4]), atol=1e-6)


@pytest.mark.parametrize("name", PROCESSES)
def test_any_process_reads_some_labels(name):
    """Its loss, its bound and what it writes depend on each of them, and some may be left out."""
    torch.manual_seed(0)
    shape = SHAPE | {"labels": 5, "attributes": 2}
    process = build(name, Characters("abcdefgh \n"), **shape).eval()
    torch.nn.init.normal_(process.net.head.weight, std=0.5)
    torch.nn.init.normal_(process.net.label.weight)
    process.label_names = KINDS
    blank = Canvas(torch.randint(10, (2, 20)), torch.zeros(2, 20, dtype=torch.bool))
    rows = None, [[0, 5], [1, 5]], [[0, 4], [1, 4]], [[0, 3], [1, 4]]
    canvases = [blank.with_label(None if row is None else torch.tensor(row)) for row in rows]
    for nats in (process.loss, process.bound):
        assert len({nats(canvas, seeded(0)).sum().item() for canvas in canvases}) == 4
    written = [list(generate(process, c, steps=4, guidance=1.0))[-1].tokens for c in canvases[1:]]
    assert not written[0].equal(written[1]) and not written[1].equal(written[2])
    assert written[1][1].equal(written[2][1]), "of the row whose labels are the same"


def test_each_attribute_is_learned_and_may_be_missing():
    """Texts xy, in which one attribute decides x, the other y: a network that was told some of them
    knows with both the text, with one its half, with none nothing, and never more."""
    torch.manual_seed(0)
    shape = dict(layers=1, heads=2, width=32, length=2, labels=4, attributes=2)
    process = build("autoregressive", Characters("abcd"), **shape)
    rng, weights = seeded(0), list(process.parameters())
    for step in range(150):
        tokens = torch.randint(2, (64, 2), generator=rng) + torch.tensor([0, 2])
        label = torch.where(torch.rand(64, 2, generator=rng) < 0.4, 4, tokens)
        canvas = Canvas(tokens, torch.zeros(64, 2, dtype=torch.bool), label)
        nats = process.loss(canvas, rng).mean()
        with torch.no_grad():  # each weight a little along the sign of its gradient
            for p, slope in zip(weights, torch.autograd.grad(nats, weights)):
                p -= 0.01 * (1 - step / 150) * slope.sign()
    x = torch.tensor([[0, 2]])
    for label in ([0, 2], [1, 3], [1], [3], [4, 4]):
        with torch.no_grad():
            p = process.logits(x, torch.ones(1, 2), torch.tensor([label]))[0].softmax(-1)
        for place, values in enumerate(([0, 1], [2, 3])):
            for value in values:
                known = set(values) & set(label)
                wanted = float(value in known) if known else 0.5
                assert abs(p[place, value] - wanted) < 0.12, (label, p)


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("name", ["masked", "gaussian", "block", "autoregressive"])
def test_labels_are_begun_with_later(stories, tmp_path, name):
    """A run with labels that begins with a network which has none says exactly what that says,
    whatever the labels; then they are learned."""
    bare = config_of(stories, tmp_path / "bare", process=name)
    without = start(bare)
    torch.nn.init.normal_(without.average.net.head.weight, std=0.3)
    without.save()
    run = start(
        replace(bare, label="mood,dialogue,length", start=bare.out, out=str(tmp_path / "x"))
    )
    before, net = checkpoint.load(bare.out), run.process
    canvas = run.data.canvas("valid", torch.arange(3)[:1])
    assert canvas.label.shape == (1, 3) and net.net.label.weight.shape[0] == 9
    net.eval()
    expected = before.bound(canvas.with_label(None), seeded(0))
    assert torch.equal(net.bound(canvas, seeded(0)), expected)
    assert torch.equal(net.bound(canvas.with_label(None), seeded(0)), expected)
    run.advance()
    assert net.net.label.weight.any()


def test_training_with_labels(stories, tmp_path, capsys):
    """The checkpoint knows their names; a run that was stopped gives the losses of one that was
    not; in 6 bits a weight it still writes; another start or other labels are refused."""
    config = config_of(stories, tmp_path / "a", label="length,mood,dialogue")
    run = start(config)
    run.begin(), run.advance(), run.save()
    whole = [run.advance() for _ in range(2)]
    again = start(config, resume=True)
    assert whole == [again.advance() for _ in range(2)]
    found = checkpoint.load(config.out)
    assert found.attributes == labels.asked("mood,dialogue,length")
    for label in ("mood", ""):
        with pytest.raises(ValueError, match="has the labels"):
            start(replace(config, label=label), resume=True)
    with pytest.raises(ValueError, match="knows the labels glad, .*: begin with one that knows"):
        start(replace(config, label="mood", start=config.out, out=str(tmp_path / "c")))
    written = card.text(checkpoint.card(tmp_path / "a"))
    assert "glad, sad, neither; dialogue, no dialogue; short, middle, long." in written
    shrink.shrink(tmp_path / "a", tmp_path / "small", corpus(stories, tokenizer="bpe-280"))
    line = ["sample", "--model", str(tmp_path / "small"), "--length", "12", "--steps", "2"]
    capsys.readouterr()
    assert main([*line, "--label", "short, glad", "--guidance", "1"]) == 0
    assert main([*line, "--label", "glad,sad"]) == 2
    assert "give one of glad, sad, neither" in capsys.readouterr().err


def test_how_many_labels_are_dropped(stories, tmp_path):
    """Half of the texts lose all, of the rest each label with chance 0.3, independently; a text
    without any has as many null classes, and validation is without."""
    config = config_of(stories, tmp_path / "run", label="dialogue,length")
    run = start(config)
    canvas = Canvas.blank(1, 20_000).with_label(torch.tensor([[0, 2]]).repeat(20_000, 1))
    kept = run.dropped(canvas).label != 5
    both = kept.all(1).double().mean().item(), kept.any(1).double().mean().item()
    assert both == pytest.approx((0.5 * 0.7**2, 0.5 * (1 - 0.3**2)), abs=0.012)
    assert kept.double().mean(0).tolist() == pytest.approx([0.35, 0.35], abs=0.012)
    assert run.dropped(Canvas.blank(1, 3)).label.tolist() == [[5, 5]] * 3
    torch.nn.init.normal_(run.average.net.head.weight)
    before = run.validate(1, 4)
    torch.nn.init.normal_(run.average.net.label.weight[:5])
    assert run.validate(1, 4) == before


# ---------------------------------------------------------------- asking for them


@pytest.mark.parametrize(
    "wanted,settled,numbers",
    [
        ("glad", "glad", [[0]]),
        ("no dialogue,sad", "sad, no dialogue", [[1, 4]]),
        (" glad , dialogue, ", "glad, dialogue", [[0, 3]]),
        ("3", "dialogue", [[3]]),
        (2, "neither", [[2]]),
        ("", "", None),
    ],
)
def test_some_labels_are_asked_for(model, wanted, settled, numbers):
    """By their names, which say of which attribute they are; the settings have them in order."""
    asked = runs.request(dict(model=str(model), label=wanted, length=20))
    assert asked.settings["label"] == settled
    label = asked.canvas.label
    assert (label if label is None else label.view(1, -1).tolist()) == numbers
    again = runs.request(asked.settings)
    assert again.settings == asked.settings
    assert (again.canvas.label is None) == (label is None)


@pytest.mark.parametrize(
    "asked,says",
    [
        (dict(label="glad, rude"), "The label is 'rude'; this model knows glad, sad, neither, d"),
        (dict(label="glad, sad"), "The label is 'glad, sad'; give one of glad, sad, neither."),
        (dict(label="5"), "The label is '5'; this model knows"),
        (dict(guidance=1.0), "no label to be guided to: name one of glad"),
    ],
)
def test_labels_are_refused_in_one_sentence(model, asked, says):
    """Unknown ones, two of one attribute, guidance without any."""
    with pytest.raises(ValueError, match=re.escape(says)) as told:
        runs.request(dict(model=str(model)) | asked)
    assert "\n" not in str(told.value)


def test_two_of_an_attribute_on_a_canvas(model):
    """generate refuses them, and numbers that are none; the null class stands for what is not
    told."""
    process, blank = checkpoint.load(model), Canvas.blank(8, 2)
    for rows, says in (
        ([[0, 1], [0, 3]], "A text has one mood: give one of glad, sad, neither."),
        ([[0, 6], [0, 3]], "knows 5 labels, numbered from 0; 6 is not one"),
        ([[0, -1], [0, 3]], "-1 is not one"),
        ([[0, 5, 5], [0, 3, 5]], "A text of this model has 2 labels at the most, not 3."),
    ):
        with pytest.raises(ValueError, match=says):
            generate(process, blank.with_label(torch.tensor(rows)))
    texts = [
        list(generate(process, blank.with_label(torch.tensor(rows)), steps=3, guidance=2.0))[-1]
        for rows in ([[0, 5], [5, 5]], [[0, 3], [5, 5]], [[0], [5]])
    ]
    assert texts[0].tokens.equal(texts[2].tokens)
    assert not texts[0].tokens[0].equal(texts[1].tokens[0])


@pytest.mark.parametrize(
    "told,says",
    [
        (
            {"mood": ["glad", "sad"], "speech": ["a", "b"]},
            "names 4 classes, and its network knows 5",
        ),
        ({"mood": ["glad", "sad", "x"], "speech": ["glad", "b"]}, "names 4 classes"),
        ({"mood": list("abcde")}, "names 1 attributes, and its network knows 2"),
        (list("abcde"), "names 1 attributes, and its network knows 2"),
        ({"mood": list("abc"), "speech": ["d,e", "f"]}, "names without commas"),
        ({"mood": list("abc"), "speech": ["d", 3]}, "labels must be names"),
        ({"mood": list("abc"), "speech": "de"}, "a list of names for each attribute"),
        ({"mood": list("abcd"), "": ["e"]}, None),
        ({"mood": list("abcd"), "x" * 300: ["e"]}, "labels must be names"),
        ("abcde", "labels is 'abcde'"),
    ],
)
def test_attributes_in_a_checkpoint_are_checked(model, told, says, tmp_path):
    """They are as many as the network knows, with as many values of different names."""
    process = checkpoint.load(model)
    shape = SHAPE | {"labels": 5, "attributes": 2}
    config = checkpoint.config_of(process, shape, "noise", labels=told)
    folder = checkpoint.save(process, config, tmp_path / "m")
    with pytest.raises(checkpoint.CheckpointError, match=says or "labels must be names"):
        checkpoint.load(folder)


def test_the_page_has_a_menu_for_each_attribute(model):
    """Those of the model that is open, by their names; what they hold is the label of a link, and
    comes out as the settings that were put in."""
    process = checkpoint.load(model)
    menus = dict(zip(steering.LABELS, steering.menus(process)))
    assert [menus[name]["label"] for name in steering.LABELS[:2]] == [
        "Label: mood",
        "Label: speech",
    ]
    assert [menu["visible"] for menu in menus.values()] == [True, True, False, False]
    assert [value for _, value in menus["label-2"]["choices"]] == ["", "dialogue", "no dialogue"]
    single = steering.menus(random_process("masked", labels=2))
    assert single[0]["label"] == "Label" and [one["visible"] for one in single[:3]] == [1, 0, 0]
    for label in ("sad, no dialogue", "no dialogue", "glad", ""):
        asked = runs.request(dict(model=str(model), label=label))
        shown = steering.values_of(asked.settings, steering.menus(process))
        values = tuple(update.get("value") for update in shown)
        assert steering.settings_of(values)["label"] == label
        link = dict(parse_qsl(request.query(asked.settings), keep_blank_values=True))
        assert link.get("label", "") == label
