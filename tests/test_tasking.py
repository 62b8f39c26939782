"""How well tasks are done: BLEU, chrF and their errors, the beam that finds the best of all, the
bounds by task, and what commands make of a checkpoint of tasks."""

import itertools
import json
import math
import random
import re
import sys
from dataclasses import replace

import pytest
import torch

from tests.test_tasks import FRENCH, WORDS, sentence, the_sentence
from tinydiff import exact, rewrite
from tinydiff.cli.commands import main
from tinydiff.generate import generate
from tinydiff.measure import beam, brief, scores, shrink, tables, tasking
from tinydiff.processes import build
from tinydiff.store import catalogue, checkpoint, scored
from tinydiff.text import Canvas, Characters, gather, tasks
from tinydiff.text.tasks import canvas_of
from tinydiff.train.loop import Config, train

NAMES = ("reply", "restore", "summarise-long", "translate-en-fr")
FAMILIES = ("masked", "gaussian", "autoregressive")
FEW = tasking.Amount(texts=6, along=3, held=4, draws=2)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Pairs of four tasks, and the file beside them; of its translations one source has two
    targets, and one is too short to be measured."""
    folder, rng = tmp_path_factory.mktemp("pairs"), random.Random(3)
    for name, n in (("toy_train.tsv", 80), ("toy_valid.tsv", 16)):
        rows = []
        for _ in range(n):
            english, french = sentence(rng, WORDS, 4, 8), sentence(rng, FRENCH, 4, 8)
            rows += [("translate-en-fr", english, french), ("reply", english, french)]
            rows += [("restore", english.lower().strip("."), english)]
            rows += [("summarise-long", sentence(rng, WORDS, 14, 18), english)]
        more = [("One old king sat.", french), ("One old king sat.", "Le roi."), ("No.", "Non.")]
        rows += [("translate-en-fr", *pair) for pair in more]
        gather.write(rows, folder / name)
    return folder / "toy_train.tsv"


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    """A checkpoint of each family, of four steps."""
    out = tmp_path_factory.mktemp("tasks")
    for process in FAMILIES:
        config = Config(
            process=process,
            corpus=str(table),
            tokenizer="bpe-400",
            preset="tiny",
            steps=4,
            batch=2,
            compile=False,
            validate_every=4,
            save_every=4,
            out=str(out / process),
        )
        for _ in train(config):
            pass
    return out


def made_quick(patch):
    for name, value in (("STEPS", (1, 2)), ("USUAL", 2), ("SEEDS", 3), ("CANDIDATES", 2)):
        patch.setattr(tasking, name, value)


@pytest.fixture
def quick(monkeypatch):
    """Two numbers of steps, three seeds."""
    made_quick(monkeypatch)


@pytest.fixture(scope="module")
def measured(trained, table):
    """What is found of each family."""
    with pytest.MonkeyPatch.context() as patch:
        made_quick(patch)
        return {
            name: tasking.run(trained / name, tasking.text_of(trained / name, str(table)), FEW)
            for name in FAMILIES
        }


# ---------------------------------------------------------------- BLEU and chrF


TEXTS = [
    "The cat sat on the mat by the old sea today.",
    "A young queen had one fool who sat there.",
    "It rains.",
    "",
    "He wants to sell his old car to a man in Kobe.",
]
TRUTHS = [
    ["The cat sat on the mat by the sea.", "A cat sat on the mat by the old sea today."],
    ["A young queen had a fool who sat by her."],
    ["It is raining.", "It rains.", "Rain falls."],
    ["Nothing at all."],
    ["He wants to sell his car to a man in Kobe."],
]


def streams(truths):
    return list(itertools.zip_longest(*truths))


def test_scores_are_sacrebleu_s():
    """Of a corpus, with several truths of some texts; of one in which no word is right 0; of one
    whose longer n-grams are all wrong what is smoothed."""
    metrics = scores.library()
    for texts in (TEXTS, ["Nothing"] * 5, ["The sat cat mat on the."] * 5):
        whole = metrics.BLEU().corpus_score(texts, streams(TRUTHS)).score
        assert scores.bleu(texts, TRUTHS).value == pytest.approx(whole, abs=1e-9)
        whole = metrics.CHRF().corpus_score(texts, streams(TRUTHS)).score
        assert scores.chrf_whole(texts, TRUTHS) == whole
    each = scores.chrf_each(TEXTS, TRUTHS)
    assert each[2] == 100 and each[3] == 0 and 50 < each[4] < 100
    assert scores.mean(each).value == pytest.approx(sum(each) / 5)


def test_the_error_of_bleu_is_the_jackknife_s():
    """Each text left out once and the rest scored anew by the library; of one text there is none;
    four times as many texts have half of it."""
    n, metric = len(TEXTS), scores.library().BLEU()
    without = []
    for i in range(n):
        texts, truths = (part[:i] + part[i + 1 :] for part in (TEXTS, TRUTHS))
        without.append(metric.corpus_score(texts, streams(truths)).score)
    mean = sum(without) / n
    error = ((n - 1) / n * sum((one - mean) ** 2 for one in without)) ** 0.5
    assert scores.bleu(TEXTS, TRUTHS).error == pytest.approx(error)
    assert scores.bleu(TEXTS[:1], TRUTHS[:1]).error is None
    four = scores.bleu(TEXTS * 4, TRUTHS * 4)
    assert four.error == pytest.approx(error / 2, rel=0.2)


def test_how_alike_texts_are():
    """100 of the same, 0 where no letter is shared, the mean over pairs between."""
    same, other = "A king sat.", "zzzz"
    assert scores.alike([same] * 3) == 100 and scores.alike([same, other]) == 0
    assert scores.alike([same, same, other]) == pytest.approx(100 / 3)


def test_without_the_library(monkeypatch, trained, table):
    """One sentence; briefly measured, a checkpoint has its bounds all the same."""
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    data = tasking.text_of(trained / "masked", str(table))
    assert "pip install sacrebleu" in the_sentence(
        lambda: tasking.run(trained / "masked", data, FEW)
    )
    found = brief.measured(checkpoint.load(trained / "masked"), data)
    assert found["bound"]["nats"] > 0 and "tasks" not in found and found["brief"]
    assert "Bound on held-out pairs" in "\n".join(scored.measurements(found))


# ---------------------------------------------------------------- the beam


# greedy takes an a, whose texts are many; the likeliest text begins with b
STRINGS = ["aa..", "ab..", "aab.", "aba.", "abb.", "b...", "bab.", "ba.."]
SHARES = [0.11, 0.12, 0.09, 0.12, 0.13, 0.3, 0.08, 0.05]


def language():
    return exact.Enumerated(STRINGS, SHARES, Characters(".ab"))


def best_of(log_p, penalty, room):
    """The best text by its score, and the score: a text has its letters and an END, as far as there
    is room for it."""
    length = {text: min(len(text.rstrip(".")) + 1, room) for text in log_p}
    found = {text: value / ((5 + length[text]) / 6) ** penalty for text, value in log_p.items()}
    return max(found.items(), key=lambda item: item[1])


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("given", ["", "a", "ab"])
def test_a_wide_beam_finds_the_best_of_all(penalty, given):
    """In a language that is known, behind nothing and behind a beginning, for every penalty, with
    the score that it has."""
    known = language()
    model, end = exact.perfect("autoregressive", known), int(known.tokenizer.encode("."))
    canvas = Canvas.prompt(known.tokenizer, given, 4, batch=2)
    found = beam.search(model, canvas, end, width=8, penalty=penalty)
    able = [text for text in STRINGS if text.startswith(given)]
    share = sum(p for text, p in zip(STRINGS, SHARES) if text in able)
    log_p = {
        text[len(given) :]: math.log(p / share) for text, p in zip(STRINGS, SHARES) if text in able
    }
    best, score = best_of(log_p, penalty, 4 - len(given))
    assert [known.tokenizer.decode(row) for row in found.tokens] == [given + best] * 2
    assert found.score.tolist() == pytest.approx([score] * 2, abs=1e-5)


def test_a_beam_of_one_is_greedy():
    """And misses the likeliest text here, which a wider one finds; it ends when all has ended."""
    known = language()
    model, canvas = exact.perfect("autoregressive", known), Canvas.blank(4, 3)
    end = int(known.tokenizer.encode("."))
    one = beam.search(model, canvas, end, width=1, penalty=0)
    *_, greedy = generate(model, canvas, temperature=0)
    assert one.tokens.equal(greedy.tokens)
    wide = beam.search(model, canvas, end, width=4, penalty=0)
    assert known.tokenizer.decode(wide.tokens[0]) == "b..."
    assert (wide.score > one.score).all() and wide.calls < 4


def test_a_beam_keeps_its_own_past():
    """With a network that reads through its cache: the best of all texts that there are, each
    scored by the network's own bound; rows of a batch do not mix."""
    torch.manual_seed(0)
    cut = Characters(".ab")
    model = build("autoregressive", cut, layers=2, heads=2, width=16, length=8).eval()
    torch.nn.init.normal_(model.net.head.weight, std=1.5)
    texts = ["".join(part) for n in range(5) for part in itertools.product("ab", repeat=n)]
    for penalty in (0.0, 1.0):
        for given in ("a", "b"):
            rows = torch.stack([cut.encode((given + text).ljust(5, ".")) for text in texts])
            canvas = Canvas(rows, (torch.arange(5) < 1).expand(rows.shape))
            ends = (rows == 0).cumsum(1) > 1
            with torch.no_grad():
                nats = model.bound(replace(canvas, padding=ends), None)
            log_p = dict(zip(texts, (-nats).tolist()))
            best, score = best_of(log_p, penalty, 4)
            both = torch.cat([canvas.tokens[:1], 1 + (canvas.tokens[:1] != 1).long()])
            both = Canvas(both, canvas.given[:2])
            found = beam.search(model, both, 0, width=32, penalty=penalty)
            assert cut.decode(found.tokens[0]).rstrip(".") == given + best
            assert found.score[0].item() == pytest.approx(score, abs=1e-4)


def test_what_a_beam_refuses(trained):
    masked = checkpoint.load(trained / "masked")
    rival = checkpoint.load(trained / "autoregressive")
    canvas = canvas_of(rival.tokenizer, "reply", ["A king."], 64)
    assert "does not write from left to right" in the_sentence(
        lambda: beam.search(masked, canvas, 0)
    )
    gap = replace(canvas, given=canvas.given.flip(1))
    assert "behind what is given" in the_sentence(lambda: beam.search(rival, gap, 0))
    full = replace(canvas, given=torch.ones_like(canvas.given))
    assert "Nothing is left" in the_sentence(lambda: beam.search(rival, full, 0))
    assert "width" in the_sentence(lambda: beam.search(rival, canvas, 0, width=0))


# ---------------------------------------------------------------- what is written


def test_writing_ends_when_all_have_ended(trained, monkeypatch):
    """From left to right, with what is read unchanged; a network that writes everywhere takes all
    of its steps."""
    sources = ["One old king sat.", "A young queen had one fool who sat by a sea."]
    rival = checkpoint.load(trained / "autoregressive")
    ended = rewrite.performed(rival, "reply", sources, seed=3)
    monkeypatch.setattr(rewrite, "is_over", lambda process, frame: False)
    whole = rewrite.performed(rival, "reply", sources, seed=3)
    assert ended.texts == whole.texts and ended.calls <= whole.calls
    biased = checkpoint.load(trained / "autoregressive")
    monkeypatch.undo()
    logits, more = biased.logits, torch.zeros(biased.V)
    more[biased.tokenizer.end_id] = 9  # of logits that differ little
    biased.logits = lambda *args: logits(*args) + more
    assert rewrite.performed(biased, "reply", sources).calls < whole.calls
    masked = checkpoint.load(trained / "masked")
    assert rewrite.performed(masked, "reply", sources, steps=3).calls == 3


def test_many_sources_are_written_in_parts(trained, monkeypatch):
    """At most so many at once, those of one size together, each in its place."""
    sizes, sources = [], ["One old king sat."] * 5 + ["A young queen had a fool by a sea of salt."]
    masked = checkpoint.load(trained / "masked")

    def write(canvas):
        sizes.append(len(canvas.tokens))
        tokens = canvas.tokens.clone()
        tokens[~canvas.given] = masked.tokenizer.encode("k")[0]
        return torch.where(canvas.given, canvas.tokens, tokens), len(sizes)

    monkeypatch.setattr(rewrite, "TOGETHER", 2)
    found = rewrite.together(masked, "reply", sources, write)
    assert sizes == [2, 2, 1, 1] and found.calls == (2 * 1 + 2 * 2 + 3 + 4) / 6
    assert len(set(found.texts[:5])) == 1 and len(found.texts[5]) > len(found.texts[0])


def test_which_task_is_meant(trained):
    """The one that is named; a network's only one needs no name."""
    several = checkpoint.load(trained / "masked")
    assert rewrite.task_of(several, "reply") == "reply"
    assert "has several tasks: name one of reply" in the_sentence(lambda: rewrite.task_of(several))
    assert "no task 'dance'" in the_sentence(lambda: rewrite.task_of(several, "dance"))
    several.task = "<reply>"
    assert rewrite.task_of(several) == "reply"
    several.task = "restore"
    assert rewrite.task_of(several) == rewrite.task_of(several, "restore") == ""
    assert "no task 'reply'" in the_sentence(lambda: rewrite.task_of(several, "reply"))


# ---------------------------------------------------------------- what is measured


def test_which_sources_are_taken(trained, table):
    """Held-out ones alone, in their order, each once with all of its truths; of translations those
    with four words or more; the first of them are the same however many are taken."""
    data = tasking.text_of(trained / "masked", str(table))
    lines = tasking.lines_of(data, "translate-en-fr", replace(FEW, texts=100))
    held = {source for task, source, _ in data.rows["valid"] if task == "translate-en-fr"}
    assert set(lines.sources) == held - {"No."} and len(lines.sources) == len(held) - 1
    two = lines.truths[lines.sources.index("One old king sat.")]
    assert len(two) == 2 and two[1] == "Le roi."
    few = tasking.lines_of(data, "translate-en-fr", FEW)
    assert few == lines.first(6) and few.name != lines.name
    assert len(tasking.lines_of(data, "reply", replace(FEW, texts=40)).sources) == 10
    assert [tasking.fits("translate-fr-en", *pair) for pair in (("a", "b c d e"), ("b c d e", "a"))]
    assert not tasking.fits("translate-fr-en", "b c d e", "a")


def test_long_rows_are_fewer():
    """Of rows that take the usual tokens all that are asked for; of those that take eight times as
    many an eighth, and one at least."""
    usual, long = torch.full((99,), tasking.TOKENS), torch.full((99,), 8 * tasking.TOKENS)
    assert tasking.spared(usual, 40) == 40 and tasking.spared(usual, 400) == 99
    assert tasking.spared(long, 40) == 5 and tasking.spared(long, 2) == 1


@pytest.mark.parametrize("file", ["toy_train.tsv", "toy_valid.tsv"])
def test_the_text_of_a_checkpoint(trained, table, file):
    """Either file stands for both, with the fingerprint of all that was learned, though few pairs
    of training are read; another file is refused, and a text."""
    folder = trained / "masked"
    data = tasking.text_of(folder, str(table.with_name(file)))
    checkpoint.check_text(checkpoint.read_config(folder), folder, data)
    whole = tasks(table, "all", data.tokenizer, 64)
    few = tasks(table, "all", data.tokenizer, 64, few=5)
    assert few.fingerprint == whole.fingerprint == data.fingerprint
    assert (
        few.train.task.bincount().tolist() == [5] * 4 and few.rows["valid"] == whole.rows["valid"]
    )
    assert "is no file of pairs" in the_sentence(lambda: tasking.text_of(folder, "tinystories"))


def test_the_bound_by_task(trained, table):
    """Of an autoregressive network it is -log p of the target and its END, whatever the batches;
    of each task it is that of its rows alone."""
    model = checkpoint.load(trained / "autoregressive")
    data = tasking.text_of(trained / "autoregressive", str(table))
    which = tasking.held(data, "valid", 4)
    found = tasking.bound(model, data, "valid", which, 8)
    alone = [data.canvas("valid", one[None]) for one in which]
    with torch.no_grad():
        nats = torch.stack([model.bound(canvas, None)[0] for canvas in alone])
    count = torch.tensor([int(one.characters(model.tokenizer)) for one in alone])
    assert found.nats == pytest.approx((nats.sum() / count.sum()).item(), rel=1e-5)
    each = tasking.bounds(model, data, FEW)["by_task"]
    for number, name in enumerate(NAMES):
        here = data.valid.task[which] == number
        assert each[name]["pairs"] == here.sum() > 0
        assert each[name]["nats"] == pytest.approx(
            (nats[here].sum() / count[here].sum()).item(), rel=1e-5
        )


def test_what_is_found_of_each_family(measured, trained):
    """Every way of every task, with calls and errors; the same sources for all; the file holds it,
    and the card tells it."""
    for name, found in measured.items():
        assert json.loads((trained / name / "evaluation.json").read_text()) == found
        assert list(found["tasks"]) == list(NAMES)
        masked, rival = name == "masked", name == "autoregressive"
        for task, one in found["tasks"].items():
            ways = [(row["way"], row["sampler"], row["steps"]) for row in one["ways"]]
            usual = dict(masked="confidence", gaussian="ancestral").get(name, "left_to_right")
            steps = [("drawn", usual, n) for n in ((None,) if rival else (2, 1))]
            more = [("drawn", "ancestral", n) for n in (1, 2)] if masked else []
            sure = [("greedy", usual, None if rival else 2)]
            assert ways == steps + more + sure + ([("beam", usual, None)] if rival else [])
            assert all(row["calls"] > 0 and row["ms"] > 0 for row in one["ways"])
            assert one["ways"][0]["lines"] == one["lines"] == (6 if "translate" in task else 4)
            assert all(len(values) == one["lines"] for values in one["each"].values())
            assert 0 < one["seeds"]["distinct"] <= 1 and one["seeds"]["lines"] == 3
            assert ("to_source" in one["copy"]) == ("translate" not in task)
            assert ("cut" in one["copy"]) == ("summarise" in task)
            assert one["text"] == measured["masked"]["tasks"][task]["text"]
        restore = found["tasks"]["restore"]
        assert restore["copy"]["chrf"] > 60 > restore["chance"]["chrf"]
        assert restore["copy"]["to_source"] == 100
        card = (trained / name / "README.md").read_text()
        assert "for the tasks reply, restore," in card and 'perform(process, "reply"' in card
        assert "| summarise-long |" in card and f"<{NAMES[0]}> " in card
        assert checkpoint.card(trained / name).evaluation["by_task"] == found["by_task"]


def test_a_ratio_and_its_error():
    """Of sums over sources; where one is the other times a number it is that, without an error;
    None of other sources, and where a way was not measured."""
    one = dict(text="a", each=dict(drawn=[10, 30, 50], greedy=[5, 50, 10]))
    rival = dict(text="a", each=dict(drawn=[20, 60, 100], beam=[0, 0, 0]))
    half = scored.ratio(one, rival, "drawn", "drawn")
    assert half.value == 0.5 and half.error == pytest.approx(0, abs=1e-12)
    assert scored.ratio(one, rival, "greedy", "drawn").error > 0.01
    assert scored.ratio(one, rival, "greedy", "greedy") is None
    assert scored.ratio(one, rival, "drawn", "beam") is None
    assert scored.ratio(one, rival | {"text": "b"}, "drawn", "drawn") is None


def test_the_tables_of_documents(measured, trained, monkeypatch):
    """A row for each sampler of each family and task, with the figures of the evaluations; without
    any a sentence."""
    monkeypatch.setattr(catalogue, "CHECKPOINTS", trained)
    rows = tables.tasks().splitlines()
    assert len(rows) == 2 + 4 * 4 and "| beam |" in rows[0] and "| a token a call |" in rows[0]
    assert len({row.count("|") for row in rows}) == 1
    drawn = measured["masked"]["tasks"]["reply"]["ways"][0]
    assert f"| {scored.value(drawn)} |" in rows[2] and "masked, `confidence`" in rows[2]
    assert len(tables.beside().splitlines()) == 2 + 4 * 3
    ratios = tables.ratios().splitlines()
    assert [row.split(" | ")[0] for row in ratios[2:]] == [f"| {name}" for name in NAMES]
    assert tables.rewriters() == []
    monkeypatch.setattr(catalogue, "CHECKPOINTS", trained / "nowhere")
    assert tables.tasks() == tables.beside() == tables.ratios() == tables.NO_TASKS


def test_briefly(trained, table):
    """The usual steps alone; how long it takes is told beforehand."""
    folder = trained / "gaussian"
    data = tasking.text_of(folder, str(table))
    assert 0 < brief.seconds(folder, data) < 600
    found = brief.run(folder, data)
    assert found["brief"] and {len(one["ways"]) for one in found["tasks"].values()} == {1}
    assert all(one["seeds"] == {} for one in found["tasks"].values())
    assert "It was measured briefly" in (folder / "README.md").read_text()


def test_amounts_that_there_are_not(trained, table):
    data = tasking.text_of(trained / "masked", str(table))

    def refused(**amount):
        return the_sentence(lambda: tasking.run(trained / "masked", data, replace(FEW, **amount)))

    assert "texts" in refused(texts=1) and "draws" in refused(draws=1)
    assert "along" in refused(along=7) and "left_to_write" in refused(samplers=("left_to_write",))


# ---------------------------------------------------------------- commands


def test_the_commands(trained, table, tmp_path, capsys, quick):
    """`eval` on either file, `shrink`, `rewrite` by a task; what each refuses."""
    folder, valid = trained / "masked", str(table.with_name("toy_valid.tsv"))
    few = ["--texts", "4", "--along", "0", "--draws", "2"]
    assert main(["eval", str(folder), "--corpus", valid, *few]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"]["reply"]["lines"] == 4
    assert main(["shrink", str(folder), str(tmp_path / "small"), "--corpus", str(table)]) == 0
    assert "bits a weight" in capsys.readouterr().out
    small = checkpoint.load(tmp_path / "small")
    data = tasking.text_of(folder, valid)
    change = shrink.bound_on_some(small, data) - shrink.bound_on_some(checkpoint.load(folder), data)
    assert abs(change) <= shrink.WORSE and small.task == "<reply> <restore> " + " ".join(
        f"<{name}>" for name in NAMES[2:]
    )
    said = ["rewrite", "--steps", "2", "--candidates", "2", "--model", str(folder)]
    assert main([*said, "--task", "translate-en-fr", "One old king.", "A sea."]) == 0
    assert capsys.readouterr().out.count("\n") == 2
    for words, error in (
        ([*said, "A king."], "several tasks: name one of reply, restore"),
        ([*said, "--task", "dance", "A king."], "no task 'dance'"),
        (["rewrite", "--task", "dance", "A king."], "No model here has the task 'dance'"),
        (["eval", str(folder)], "give the train.tsv"),
        (["eval", str(folder), "--corpus", valid, "--judge"], "leave out --judge"),
        (["eval", str(folder), "--corpus", valid, "--texts", "2"], "texts"),
    ):
        assert main(words) == 2
        assert error in capsys.readouterr().err


def test_plain_words_are_plain_in_a_task_too(trained, capsys):
    """To restore, capitals and punctuation are taken from what is typed; of other tasks they are
    part of it."""
    said = ["rewrite", "--steps", "2", "--candidates", "1", "--model", str(trained / "masked")]
    for task, same in (("restore", True), ("reply", False)):
        found = []
        for words in ("A young king, who sat!", "a young king who sat"):
            assert main([*said, "--task", task, words]) == 0
            found.append(capsys.readouterr().out)
        assert (found[0] == found[1]) == same


def test_the_trainer_says_how_to_write(table, tmp_path, capsys):
    """What it names as the next command works on what it made."""
    flags = ["--preset", "tiny", "--steps", "1", "--batch", "2", "--tokenizer", "bpe-400"]
    out = str(tmp_path / "run")
    assert main(["train", *flags, "--corpus", str(table), "--out", out, "--no-compile"]) == 0
    said = re.search(r"python -m tinydiff (rewrite.*)", capsys.readouterr().out)[1]
    assert said == f'rewrite --task reply "some words" --model {out}'
    assert main(["rewrite", "--task", "reply", "some words", "--model", out]) == 0
