"""Rewriting: pairs that leak nothing, sources that stay, bounds that are the conditional entropy,
and the measures."""

import io
import json
import math
import shutil
from dataclasses import replace

import gradio as gr
import pytest
import torch

from tests.conftest import SPEAKS, brief, taught_tasks
from tests.languages import Pieces
from tinydiff import exact, rewrite, uncertainty
from tinydiff.cli.commands import main
from tinydiff.generate import generate
from tinydiff.measure import brief as in_brief
from tinydiff.measure import evaluate
from tinydiff.measure.alignment import alignment
from tinydiff.processes import PROCESSES
from tinydiff.randomness import seeded
from tinydiff.show import render
from tinydiff.store import catalogue, checkpoint
from tinydiff.text import Canvas, Characters, Corpus, Pairs, corpus, paired, pairs, plain
from tinydiff.text.tasks import source_room, target_room
from tinydiff.train.loop import PRESETS, train
from tinydiff.ui import recording, request, training
from tinydiff.ui import rewrite as tab
from tinydiff.ui import tasks as said
from tinydiff.ui.session import Session
from tinydiff.ui.tab import Site

SHOP = [("ab", "AB."), ("ba", "Ba"), ("b", "B"), ("bab", "bAB")]  # of windows of eight characters


def windows(*both):
    """Pairs as the strings of an Enumerated language."""
    return ["".join(side.ljust(4, "\n") for side in pair) for pair in both]


def as_rows(tokenizer, strings):
    return torch.stack([tokenizer.encode(s) for s in strings])


# what each of those letters is where tokens are pieces of several characters
SPELLED = {"a": "king", "b": "ki", "A": "King", "B": "Ki", "C": "Kin", "D": "gs", ".": "?!"}


@pytest.fixture(params=["characters", "pieces"])
def spelled(request):
    """The letters of a text, as they are or as pieces."""
    pieces = SPELLED if request.param == "pieces" else {}
    return lambda text: [pieces.get(letter, letter) for letter in text]


def paired_language(spelled, both, probabilities):
    """The language of pairs whose letters are characters, or pieces."""
    strings = windows(*both)
    letters = sorted({*"".join(strings)})
    if spelled(letters) == letters:
        return exact.Enumerated(strings, probabilities)
    typed = ["|".join(spelled(string)) for string in strings]
    return exact.Enumerated(typed, probabilities, Pieces(*spelled(letters)))


@pytest.fixture
def shelf(rewriter, monkeypatch):
    """The library with that checkpoint among those it holds."""
    monkeypatch.setattr(catalogue, "CHECKPOINTS", rewriter.parent)
    monkeypatch.setattr(rewrite, "STEPS", (1, 8))
    catalogue.opened.cache_clear(), catalogue.fingerprint.cache_clear()
    yield
    catalogue.opened.cache_clear(), catalogue.fingerprint.cache_clear()


# ---------------------------------------------------------------- pairs


def test_what_is_stripped():
    """Capitals, punctuation and apostrophes go, words stay apart, spaces are squeezed; accents and
    digits are letters."""
    assert plain("  O'er the hills--and far,\taway!") == "oer the hills and far away"
    assert (
        plain("DON’T") == "dont"
        and plain("l’été, 1600") == "lété 1600"
        and plain("e\u0301") == "e\u0301"
    )
    assert plain("?!, --") == ""
    assert plain(plain("Well-a-day, sir!")) == plain("Well-a-day, sir!")


def test_pairs_are_lines_and_come_back(lines):
    """Every target is a line of the corpus, every source its plain form; the source of a line comes
    from nowhere else."""
    data, whole = pairs(corpus(lines), "restore", 32), set(lines.read_text().split("\n"))
    for rows in (data.train, data.valid):
        sources, targets = data.texts(rows)
        assert (
            set(targets) <= whole and sources == [plain(t) for t in targets] and rows.shape[1] == 32
        )


def test_no_validation_line_is_trained_on(lines):
    """No target of the validation pairs is among the training ones, each stands there once, and
    none was cut by the split."""
    data = pairs(corpus(lines), "restore", 32)
    train, valid = (data.texts(rows)[1] for rows in (data.train, data.valid))
    assert len(data.train) > 800 and 1 <= len(data.valid) <= 6
    assert not set(train) & set(valid) and len(set(valid)) == len(valid)


def test_lines_that_do_not_fit_are_left_out():
    """Longer than half a window less its END, without a letter, empty, or with a source that cannot
    be written."""
    # the split cut the last line
    train = "abcdefg\nabcdefgh\n...\n\nZb\nAb.\nab"
    valid = "ab\nba\n"
    tokenizer = Characters.of(train)
    data = pairs(
        Corpus("few", tokenizer, tokenizer.encode(train), tokenizer.encode(valid)), "restore", 16
    )
    assert data.texts(data.train)[1] == ["abcdefg", "Ab."] and data.texts(data.valid)[1] == ["ba"]


def test_the_source_is_given_and_the_target_is_open(lines, rng):
    """A batch: the first half given and at time 0, the second open; the target and its END count,
    the rest is padding."""
    data = pairs(corpus(lines), "restore", 32)
    canvas = data.canvases("train", 32, 64, rng, 0.25)
    assert (
        canvas.given[:, :16].all()
        and not canvas.given[:, 16:].any()
        and canvas.time(0.7)[:, :16].max() == 0
    )
    _, targets = data.texts(canvas.tokens)
    assert canvas.counted.sum(1).tolist() == [len(t) + 1 for t in targets]
    assert (canvas.counted | canvas.padding | canvas.given).all() and not (
        canvas.counted & canvas.padding
    ).any()
    assert canvas.slice(16, 32).padding.equal(canvas.padding[:, 16:]) and canvas.to(
        "cpu"
    ).padding.equal(canvas.padding)


def test_without_padding_all_that_is_open_counts():
    """As it was before there was any."""
    canvas = Canvas.prompt(Characters("ab"), "ab", 5)
    assert canvas.counted.equal(~canvas.given)


def test_corpora_without_pairs_are_told(lines, plays):
    """One sentence each: no such task, no lines that fit, and labels."""
    data = corpus(lines)
    with pytest.raises(ValueError, match="no task 'translate'; there are restore"):
        pairs(data, "translate")
    with pytest.raises(ValueError, match="too few lines of 1 to 3 characters"):
        pairs(data, "restore", 8)
    one = Characters("ab")
    with pytest.raises(ValueError, match="a line break after each line"):
        pairs(Corpus("one line", one, one.encode("ab" * 50), one.encode("ab")), "restore", 32)
    with pytest.raises(ValueError, match="has no labels"):
        train(replace(PRESETS["tiny"], task="restore", corpus="shakespeare", label="genre"))


# ---------------------------------------------------------------- exact


@pytest.mark.parametrize("name", PROCESSES)
def test_a_perfect_network_restores_the_target(name, spelled):
    """Where a source has one target, every process writes it, whatever the seed."""
    model = exact.perfect(name, paired_language(spelled, SHOP, [0.4, 0.3, 0.2, 0.1]))
    model.length = 8
    bar = "|" if isinstance(model.tokenizer, Pieces) else ""
    sources, targets = zip(*((bar.join(spelled(s)), "".join(spelled(t))) for s, t in SHOP))
    for seed in range(3):
        assert rewrite.write(model, sources * 4, steps=16, seed=seed) == [*targets * 4]


@pytest.mark.parametrize("name", brief(PROCESSES))
def test_the_bound_with_padding_is_the_entropy_of_the_target(name, spelled, rng):
    """Targets of unequal length, "B" or "BCD": the mean of the bound is H(target | source) = log 2.
    The padding, which follows from the target, adds nothing to it, but must be in the sum.
    """
    language = paired_language(spelled, [("a", "B"), ("a", "BCD")], [1, 1])
    model, means = exact.perfect(name, language), []
    for _ in range(60):
        means.append(
            model.bound(paired(language.sample(500, 8, rng), language.tokenizer), rng)
            .double()
            .mean()
        )
    means = torch.stack(means).detach()
    error = means.std().item() / 60**0.5
    assert error < 0.03
    assert abs(means.mean().item() - math.log(2)) < 4 * error + 1e-6


def test_a_sum_without_the_padding_would_be_no_bound(spelled, rng):
    """The trap: left out of the sum but seen by the network, the padding tells the length for
    nothing. Of "B" in any order, the second of its three ENDs comes before the first half of the
    time and takes the surprise with it: 3/4 log 2 is left.
    """
    language = paired_language(spelled, [("a", "B"), ("a", "BCD")], [1, 1])
    model = exact.perfect("masked", language)
    canvas = paired(language.sample(40_000, 8, rng), language.tokenizer)
    rank = (
        torch.where(canvas.given, 2.0, torch.rand(canvas.given.shape, generator=rng))
        .argsort(1)
        .argsort(1)
    )
    k = torch.randint(1, 5, (40_000, 1), generator=rng)
    x = torch.where(rank < k, model.mask_id, canvas.tokens)
    nats = torch.where(x == model.mask_id, 4 / k * model.surprise(x, canvas), 0)
    assert nats.sum(1).mean().item() == pytest.approx(math.log(2), abs=0.02)
    assert torch.where(canvas.counted, nats, 0).sum(1).mean().item() == pytest.approx(
        0.75 * math.log(2), abs=0.02
    )


def test_bound_over_divides_by_what_counts(spelled):
    """A network to which all V tokens are alike: L/2 log V nats a pair, whatever counts of them;
    what counts are the characters of the target and its END."""
    language = paired_language(spelled, SHOP, [1] * 4)
    data = Pairs("shop", language.tokenizer, "restore", language.strings, language.strings)
    model = exact.perfect("masked", language)
    model.net = torch.nn.Identity()
    model.surprise = lambda x, canvas: torch.full(x.shape, math.log(model.V))
    found = evaluate.bound_over(model, paired(data.train, data.tokenizer), draws=4)
    counted = sum(len("".join(spelled(target))) + 1 for _, target in SHOP)
    assert found.nats == pytest.approx(4 * 4 * math.log(model.V) / counted, rel=1e-5)
    assert found.windows == 4


# ---------------------------------------------------------------- measures


def test_edit_distance():
    """Known values, and on random strings the axioms of a metric with the bounds that lengths
    give."""
    assert (
        rewrite.distance("kitten", "sitting") == 3
        and rewrite.distance("", "abc") == 3
        and rewrite.distance("ab", "ba") == 2
    )
    rng = seeded(0)
    some = ["".join("ab"[i] for i in torch.randint(2, (n % 6,), generator=rng)) for n in range(24)]
    d = torch.tensor([[rewrite.distance(a, b) for b in some] for a in some])
    assert d.equal(d.T) and ((d == 0) == torch.tensor([[a == b for b in some] for a in some])).all()
    assert (d[:, None] <= d[:, :, None] + d[None]).all()
    size = torch.tensor([len(a) for a in some])
    assert (d >= (size[:, None] - size).abs()).all() and (
        d <= torch.maximum(size[:, None], size)
    ).all()


def test_error_rate_and_exact_match():
    """Errors add up over all texts before they are divided by the characters of the truth."""
    assert rewrite.character_error_rate(["abd", "x"], ["abc", "xyz"]) == pytest.approx(3 / 6)
    assert (
        rewrite.character_error_rate(["abc"], ["abc"]) == 0
        and rewrite.character_error_rate(["aaaa"], ["b"]) == 4
    )
    assert rewrite.exact_match(["a", "b", "c"], ["a", "x", "c"]) == pytest.approx(2 / 3)


def test_minimum_bayes_risk_picks_the_centre():
    """The one between two others; of a majority one of it; alone, itself; and its risk is its mean
    distance."""
    assert rewrite.mbr(["aabb", "aaab", "aaaa"]) == 1
    assert rewrite.mbr(["zzz", "abc", "abc", "abd"]) == 1
    assert rewrite.mbr(["a"]) == 0 and rewrite.risks(["a"]) == [0]
    assert rewrite.risks(["aabb", "aaab", "aaaa"]) == [1.5, 1, 1.5]


@pytest.mark.parametrize(
    "source,says",
    [
        ("", "nothing to rewrite"),
        ("   ", "nothing to rewrite"),
        ("a" * 16, "has 16|have 16"),
        ("a£", "'£' at position 2"),
    ],
)
def test_sources_that_cannot_be_are_told(source, says):
    """In one sentence."""
    with pytest.raises(ValueError, match=says) as error:
        rewrite.canvas_of(Characters("ab\n "), [source], 32)
    assert "\n" not in str(error.value)


def test_what_stands_behind_the_end_is_not_read():
    """Two texts that differ behind their first END are the same target; one without an END is its
    whole half."""
    tokenizer = Characters("ab\n")
    rows = as_rows(tokenizer, ["a\n\n\nab\na", "a\n\n\nab\n\n", "a\n\n\nabab"])
    assert rewrite.targets(tokenizer, rows) == ["ab", "ab", "abab"]


# ---------------------------------------------------------------- training and evaluation


def test_it_learns_to_restore(rewriter, lines):
    """On lines it never saw, the learned model makes fewer errors than copying does, and all 32
    cells keep the source."""
    process, data = checkpoint.load(rewriter), pairs(corpus(lines), "restore", 32)
    sources, truth = data.texts(data.valid)
    written = rewrite.write(process, sources, steps=16)
    assert rewrite.character_error_rate(written, truth) < 0.5 * rewrite.character_error_rate(
        sources, truth
    )
    canvas = rewrite.canvas_of(process.tokenizer, sources, 32)
    for frame in generate(process, canvas, steps=4):
        assert frame.tokens[:, :16].equal(canvas.tokens[:, :16])
    shown = checkpoint.card(rewriter).metrics[-1]["sample"].split("\n")
    assert [line.split(" -> ")[0] for line in shown] == data.texts(rewrite.evenly(data.valid, 6))[0]


def test_resuming_a_task(lines, tmp_path):
    """Stopped and resumed, a run of pairs has the losses of one never stopped; the checkpoint says
    its task."""
    config = replace(
        PRESETS["tiny"],
        task="restore",
        corpus=str(lines),
        steps=6,
        validate_every=6,
        save_every=3,
        precision="fp32",
    )
    whole = [p.loss for p in train(replace(config, out=str(tmp_path / "whole")))]
    broken = replace(config, out=str(tmp_path / "broken"))
    run = train(broken)
    first = [next(run).loss for _ in range(4)]
    run.close()
    assert first[:3] + [p.loss for p in train(broken, resume=True)] == whole
    found = checkpoint.read_config(tmp_path / "broken")
    assert found["task"] == "restore" and found["net"]["length"] == 32


def test_evaluating_a_rewriter_writes_its_card(rewriter, lines, shelf, monkeypatch):
    """evaluation.json has the bound, the errors at every number of steps, the copy and the choice;
    the card has them too."""
    monkeypatch.setattr(rewrite, "PAIRS", 40)
    result = evaluate.run(rewriter, corpus(lines), draws=2)
    assert json.loads((rewriter / "evaluation.json").read_text()) == result
    assert [row["steps"] for row in result["steps"]] == [1, 8] and 0 < result["bound"]["nats"] < 1
    assert result["mbr"]["cer"] < result["copy"]["cer"] and result["mbr"]["seeds"] == 5
    card = (rewriter / "README.md").read_text()
    bound = uncertainty.written(result["bound"]["nats"], result["bound"]["error"])
    assert (
        "--task restore" in card and "text2text-generation" in card and f"**{bound} nats**" in card
    )
    assert f"| the source as it is | | {100 * result['copy']['cer']:.1f} % |" in card
    assert [(row["sampler"], row["temperature"]) for row in result["others"]][:3] == [
        ("ancestral", 0.5),
        ("confidence", 1),
        ("confidence", 0.5),
    ]
    sample = result["samples"][0]
    assert sample["source"] == plain(sample["truth"]) and sample["truth"] in card
    assert said.known("restore-masked", "restore")[sample["source"]] == sample["truth"]
    model = catalogue.rewriters()["restore-masked"]
    assert sample["source"] in said.examples("restore-masked", model, "restore")


# ---------------------------------------------------------------- library and page


def test_a_brief_evaluation_of_one_that_rewrites(rewriter, lines, tmp_path):
    """A few pairs, and what is measured of them is on the card."""
    shutil.copytree(rewriter, tmp_path / "rewriter")
    found = in_brief.run(tmp_path / "rewriter", corpus(str(lines)))
    assert found["pairs"] <= in_brief.PAIRS and found["mbr"]["cer"] <= found["copy"]["cer"]
    assert "measured briefly" in (tmp_path / "rewriter" / "README.md").read_text()


def test_the_command_rewrites_lines(rewriter, shelf, capsys, monkeypatch):
    """A line for each line, of the arguments or the standard input, the same for the same seed, and
    the best of its candidates."""
    lines, flags = ["a red fog", "less fear"], ["--candidates", "3", "--steps", "8"]
    assert main(["rewrite", *lines, *flags]) == 0
    told = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("A red, fog!\nless FEAR\n"))
    assert main(["rewrite", "--model", str(rewriter), *flags]) == 0
    assert capsys.readouterr().out == told and len(told.splitlines()) == 2
    process = checkpoint.load(rewriter)
    found = rewrite.write(
        process, ["a red fog"] * 3 + ["less fear"] * 3, "confidence", 8, temperature=rewrite.SURER
    )
    assert told.splitlines() == [some[rewrite.mbr(some)] for some in (found[:3], found[3:])]


def test_the_trainer_says_how_to_rewrite(lines, tmp_path, capsys):
    """What it names as the next command works on what it made."""
    flags = [
        "--preset",
        "tiny",
        "--steps",
        "1",
        "--batch",
        "2",
        "--corpus",
        str(lines),
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(["train", "--task", "restore", *flags]) == 0
    assert f'tinydiff rewrite "plain words" --model {tmp_path / "run"}' in capsys.readouterr().out
    assert main(["rewrite", "a red fog", "--model", str(tmp_path / "run")]) == 0


def test_rewriters_are_listed_apart(shelf):
    """No menu of plain text offers them; by name they open all the same."""
    assert (
        list(catalogue.rewriters()) == ["restore-masked"]
        and catalogue.rewriters()["restore-masked"].task == "restore"
    )
    assert "restore-masked" not in catalogue.models()
    assert (
        catalogue.open_model("restore-masked").length == 32
        and catalogue.load("restore-masked").length == 32
    )
    with pytest.raises(gr.Error, match="no model"):
        request.read({"model": "restore-masked"})


def test_training_tells_of_rewriters_too(shelf):
    """Its menu has them, with their task and what they made of lines while they learned."""
    story = training.answer("restore-masked")
    assert (
        ("Task", "restore") in story["facts"]
        and " -> " in story["pages"][-1]["text"]
        and story["picture"]
    )


def test_a_run_of_the_page(shelf):
    """Player and panel: the source stays, every candidate is told, one is chosen, the words as they
    are stand below."""
    values = list(tab.TAB.start(Session(), "restore-masked", "King, ROSE!", None, 8, 4, 1.0, 1))
    player, panel = values[-1]
    assert player["done"] and not player["stopped"] and json.loads(player["chunks"][-1])
    assert [row["name"] for row in panel["rows"]][:5] == [f"candidate {i}" for i in range(1, 5)] + [
        "your words as they are"
    ]
    assert panel["rows"][4]["text"] == "king rose"
    marked = [row for row in panel["rows"] if row["mark"]]
    assert len(marked) == 1 and marked[0]["apart"] == min(row["apart"] for row in panel["rows"][:4])
    assert (
        tab.rewrite("king rose", candidates=4, temperature=1, seed=1, steps=8)["rows"][:4]
        == panel["rows"][:4]
    )


def test_a_known_line_is_compared_with_print(shelf, monkeypatch):
    """Words whose printed line is known: it stands below, and every line has its errors."""
    monkeypatch.setattr(tab, "known", lambda model, task: {"sea sun": "Sea, sun."})
    rows = tab.rewrite("sea sun", candidates=1, steps=2)["rows"]
    assert [row["name"] for row in rows] == ["candidate 1", "your words as they are", "in print"]
    assert (
        rows[1]["errors"] == pytest.approx(3 / 9)
        and rows[2]["errors"] == 0
        and not any(row["mark"] for row in rows)
    )


@pytest.mark.parametrize(
    "change,says",
    [
        (dict(words="king " * 9), "44 characters and there is room for 15"),
        (dict(words="?!"), "nothing to rewrite"),
        (dict(words="king 7"), "'7' at position 6"),
        (dict(words=None), "a line of words"),
        (dict(words="a" * 10_000), "1,000 characters"),
        (dict(task="dance"), "no task 'dance' that this model has learned; there are restore"),
        (dict(task=7), "no task 7"),
        (dict(steps=0), "steps"),
        (dict(steps="8"), "steps"),
        (dict(candidates=9), "candidates"),
        (dict(seed=-1), "seed"),
        (dict(temperature=3), "temperature"),
        (dict(model="masked"), "no model 'masked'; there are restore-masked"),
    ],
)
def test_bad_wishes_are_told(shelf, change, says):
    """In one sentence, before anything is computed."""
    with pytest.raises(gr.Error, match=says) as error:
        tab.rewrite(**{"words": "king rose", **change})
    assert "\n" not in error.value.message


def test_a_stopped_run_compares_nothing(shelf):
    """After Stop the panel says so, and a newer run ends the older one's messages."""
    session = Session()
    run = tab.TAB.start(session, "restore-masked", "king rose", None, 64, 2, 1.0, 1)
    next(run)
    session.stop("rewrite")
    *_, (player, panel) = run
    assert player["stopped"] and panel["rows"] == [] and "Stopped" in panel["status"]


def test_the_tab_is_there_only_with_a_model(shelf, monkeypatch, tmp_path):
    """The page offers it where a rewriter is bundled, and builds."""
    with gr.Blocks() as page:
        tab.build(Site(page, None, gr.State(Session())))
    assert tab.offered()
    monkeypatch.setattr(catalogue, "CHECKPOINTS", tmp_path)
    assert not tab.offered()


# ---------------------------------------------------------------- a model of several tasks


TASKS = ["translate-en-fr", "translate-fr-en", "reply", "restore"]


@pytest.fixture(scope="module")
def talented(tmp_path_factory):
    """A tiny checkpoint that has learned four tasks."""
    folder = tmp_path_factory.mktemp("talents")
    return taught_tasks(folder, folder / "tasks-masked", 200)


@pytest.fixture
def both(rewriter, talented, tmp_path, monkeypatch):
    """The library with that checkpoint beside one that restores lines alone."""
    for folder in (rewriter, talented):
        shutil.copytree(folder, tmp_path / folder.name)
    monkeypatch.setattr(catalogue, "CHECKPOINTS", tmp_path)
    catalogue.opened.cache_clear(), catalogue.fingerprint.cache_clear()
    yield
    catalogue.opened.cache_clear(), catalogue.fingerprint.cache_clear()


def examples(task):
    return said.examples("tasks-masked", catalogue.rewriters()["tasks-masked"], task)


def values(chosen):
    return [value for _, value in chosen["choices"]]


def test_the_first_choice_is_the_task(both):
    """The tab opens with the model of the most tasks, in the order of the page, and an example; the
    task is the first thing that is asked."""
    with gr.Blocks() as page:
        tab.build(Site(page, None, gr.State(Session())))
    fields = [block for block in page.blocks.values() if getattr(block, "label", None)]
    assert fields[0].label == "Task" and [value for _, value in fields[0].choices] == TASKS
    assert fields[0].choices[0][0] == "translate to French" and tab.TAB.title == "Tasks"
    assert fields[1].value == examples("translate-en-fr")[0]
    assert next(field for field in fields if field.label == "Model").value == "tasks-masked"


def test_a_task_fills_in_its_example(both):
    """In the place of another example or of nothing; what was typed stays."""
    session, (french, *_) = Session(), examples("translate-fr-en")
    english = examples("translate-en-fr")[-1]
    for words in (english, " "):
        field, offers = tab.task_chosen(session, "tasks-masked", "translate-fr-en", words)
        assert field["value"] == french and "French" in field["info"]
        assert offers["samples"][0] == [french]
        assert tab.filled_in(session, "tasks-masked", "translate-fr-en", 0) == french
    field, _ = tab.task_chosen(session, "tasks-masked", "reply", "the king")
    assert "value" not in field
    with pytest.raises(gr.Error, match="example"):
        tab.filled_in(session, "tasks-masked", "reply", 99)
    with pytest.raises(gr.Error, match="no task 'dance'"):
        tab.task_chosen(session, "tasks-masked", "dance", "")


def test_another_model_offers_its_tasks(both):
    """One of a single task that one, with lines of its evaluation or the usual one; a task that
    both know stays chosen."""
    *_, chips, field, _ = tab.model_chosen(Session(), "restore-masked", "reply", "")
    assert values(chips) == ["restore"] and chips["value"] == "restore"
    assert field["value"] in {said.ONLY, *said.evaluated("restore-masked", "restore")}
    *_, chips, _, _ = tab.model_chosen(Session(), "tasks-masked", "restore", "a king")
    assert values(chips) == TASKS and chips["value"] == "restore"


def test_a_translation_on_the_page(both):
    """The player has the target alone and, beside it, its source; every candidate is told; of each
    word of the translation the word of the source that it translates has the most influence."""
    words = ["king", "sea", "rose"]
    run = tab.TAB.start(
        Session(), "tasks-masked", " ".join(words), "confidence", 8, 3, 0.5, 1, TASKS[0]
    )
    *_, (player, panel) = run
    assert player["head"]["source"]["text"] == "king sea rose"
    assert player["head"]["source"]["name"] == "translate to French"
    assert player["head"]["settings"]["task"] == TASKS[0]
    end = render.unpack(player).frames[-1]
    process = catalogue.open_model("tasks-masked")
    n = len(process.tokenizer.encode(" ".join(words)))
    assert not any(end.given) and len(end.text) == target_room(source_room(n))
    sign = process.tokenizer.signs[process.tokenizer.end_id]
    assert player["head"]["scene"]["end"] == sign and "between" not in player["head"]["scene"]
    shown = render.spelled(end.text.partition(sign)[0], process.tokenizer).strip()
    assert panel["rows"][0]["text"] == shown
    chosen = next(row["text"] for row in panel["rows"] if row["mark"])
    aligned, found = panel["aligned"], alignment(process, TASKS[0], " ".join(words), chosen)
    assert aligned["source"] == words and aligned["target"] == found.target and panel["prose"]
    assert torch.tensor(aligned["falls"]).allclose(found.influence.float(), atol=0.006)


def test_a_word_rests_on_the_one_that_it_translates(both):
    """In a language in which each word is always translated in the same way."""
    process, words = catalogue.open_model("tasks-masked"), ["king", "sea", "rose"]
    target = " ".join(SPEAKS[word] for word in words)
    found = alignment(process, TASKS[0], " ".join(words), target)
    assert found.influence.argmax(1).tolist() == [0, 1, 2] and found.influence.max() > 1


def test_the_same_words_for_two_tasks(both):
    """Are two runs, neither of which is remembered as the other; what is known of a line that was
    restored is counted, and nothing is drawn of it."""
    asked = [
        tab.read("tasks-masked", "king sea", None, 4, 2, 0.5, 1, task)
        for task in ("reply", "restore")
    ]
    assert tab.TAB.key(asked[0]) != tab.TAB.key(asked[1])
    panels = [list(tab.TAB.alone(one))[-1][1] for one in asked]
    assert panels[0]["rows"] != panels[1]["rows"]
    assert [panel["aligned"] for panel in panels] == [None, None]
    assert panels[1]["rows"][2]["name"] == "your words as they are"


def test_programs_name_a_task(both):
    """Alone it finds a model that knows it; a word that was typed with spaces is the same."""
    rows = tab.rewrite(" king   sea ", task="translate-en-fr", steps=8)["rows"]
    assert rows == tab.rewrite("king sea", "tasks-masked", 8, task="translate-en-fr")["rows"]
    known = tab.rewrite("We'll talk later.", task="translate-en-fr", steps=2, candidates=1)["rows"]
    assert known[-1]["name"] == "a person's translation" and known[-1]["errors"] is None
    assert known[-1]["text"] == said.bundled()["translate-en-fr"]["We'll talk later."]


@pytest.mark.parametrize(
    "words,task,says",
    [
        ("king " * 60, "reply", r"The source has \d+ tokens and there is room for \d+: give fewer"),
        ("  ", "reply", "There is nothing to write from"),
        ("?!", "restore", "There is nothing to write from"),
        ("king", "translate-de-fr", "There is no task 'translate-de-fr'.*; there are translate-en"),
    ],
)
def test_what_no_task_can_be_asked(both, words, task, says):
    with pytest.raises(gr.Error, match=says) as error:
        tab.read("tasks-masked", words, None, 4, 2, 0.5, 1, task)
    assert "\n" not in error.value.message and error.value.message.endswith(".")


def test_the_examples_that_come_along(both):
    """There are some of each task that the page names, each with its target; a model offers those
    for which it has room."""
    found = said.bundled()
    assert list(found) == list(said.SAID) and min(map(len, found.values())) >= 3
    assert all(source != target for some in found.values() for source, target in some.items())
    assert all(plain(target) == source for source, target in found["restore"].items())
    process = catalogue.open_model("tasks-masked")
    for source in [source for task in TASKS for source in examples(task)]:
        fits = len(process.tokenizer.encode(source)) <= said.room(process)
        assert fits or source == said.ONLY
    assert "We'll talk later." in examples(TASKS[0]) and said.ONLY not in examples(TASKS[0])
    assert said.tasks_of("<zebra> <reply> <restore>") == ["reply", "restore", "zebra"]
    assert said.choices("my-task") == [("my task", "my-task")] and said.tasks_of("") == []


def test_the_first_view_is_of_the_model_that_is_there(both, tmp_path, monkeypatch):
    """Recorded, it is shown; that of another model is not."""
    monkeypatch.setattr(recording, "FOLDER", tmp_path / "recorded")
    monkeypatch.setattr(recording, "MADE", tmp_path / "recorded" / "made.json")
    assert tab.recorded("tasks-masked") == {}
    tab.record()
    last = tab.recorded("tasks-masked")
    assert last["player"]["done"] and last["sheet"]["rows"] and tab.recorded("restore-masked") == {}
