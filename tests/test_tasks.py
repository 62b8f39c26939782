"""Several tasks in one network: pairs that leak nothing, tags that no text spells, canvases that
are the same in training and in writing, and what is said of files that are none."""

import random
import re
from collections import Counter

import pytest
import torch

from tinydiff import rewrite
from tinydiff.cli.commands import main
from tinydiff.processes import build
from tinydiff.randomness import seeded
from tinydiff.store import checkpoint
from tinydiff.text import Subwords, gather, plain, tasks
from tinydiff.text.documents import how_many
from tinydiff.text.tasks import (
    LONGEST,
    SHORTEST,
    canvas_of,
    cutter_of,
    longest_source,
    names_of,
    rows_of,
    source_room,
    target_room,
    written,
)
from tinydiff.train.loop import Config, data_of, start, train

WORDS = [
    "the",
    "old",
    "king",
    "and",
    "a",
    "young",
    "queen",
    "had",
    "one",
    "fool",
    "who",
    "sat",
    "by",
    "a",
    "sea",
    "of",
    "salt",
]
FRENCH = [
    "le",
    "vieux",
    "roi",
    "et",
    "une",
    "jeune",
    "reine",
    "avaient",
    "un",
    "fou",
    "qui",
    "restait",
    "pres",
    "de",
    "la",
    "mer",
]
NAMES = ("reply", "summarise-long", "translate-en-fr", "translate-fr-en")
LENGTH = 64


def sentence(rng, words, low=2, high=9):
    return " ".join(rng.choices(words, k=rng.randint(low, high))).capitalize() + "."


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A file of four tasks, and the one beside it to validate on."""
    folder, rng = tmp_path_factory.mktemp("pairs"), random.Random(0)
    for name, n in (("toy_train.tsv", 160), ("toy_valid.tsv", 24)):
        rows = []
        for _ in range(n):
            english, french = sentence(rng, WORDS), sentence(rng, FRENCH)
            rows += [("translate-en-fr", english, french), ("translate-fr-en", french, english)]
            rows.append(("reply", english, sentence(rng, WORDS)))
            rows.append(("summarise-long", sentence(rng, WORDS, 20, 28), english))
        gather.write(rows, folder / name)
    return folder / "toy_train.tsv"


@pytest.fixture(scope="module")
def data(table):
    return tasks(table, "all", "bpe-400", LENGTH)


@pytest.fixture(scope="module")
def translated(tmp_path_factory):
    """Translated sentences, of which some share a side."""
    rng = random.Random(1)
    english = [f"{sentence(rng, WORDS)[:-1]} {i}." for i in range(300)]
    pairs = [(one, f"{sentence(rng, FRENCH)[:-1]} {i}.") for i, one in enumerate(english)]
    pairs += [(rng.choice(english), french) for _, french in pairs[::3]]
    path = tmp_path_factory.mktemp("translated") / "eng-fra.tsv"
    path.write_text("".join(f"{one}\t{other}\n" for one, other in pairs), "utf-8")
    return path


def the_sentence(call):
    """What a call is refused with: one sentence."""
    with pytest.raises(ValueError) as caught:
        call()
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and len(said) < 250
    return said


# ---------------------------------------------------------------- gathering


def test_no_sentence_of_validation_is_in_training(translated):
    """No English side and no French one, in whatever task, and both directions are there of all."""
    found = gather.gathered(translated, None)
    train, valid = ({side for _, *both in found[split] for side in both} for split in found)
    assert len(valid) > 20 and not train & valid
    counts = Counter(task for task, *_ in found["train"])
    assert counts["translate-en-fr"] == counts["translate-fr-en"] > 300
    english = {source for task, source, _ in found["train"] if task == "translate-en-fr"}
    assert {target for task, *_, target in found["train"] if task == "translate-fr-en"} == english


def test_paraphrases_share_a_french_side(translated):
    """And are two sentences; who gathers again gathers the same, with another seed others."""
    found = gather.gathered(translated, None)
    french = {}
    for english, other in gather.translated(translated):
        french.setdefault(english, set()).add(other)
    some = [row[1:] for row in found["train"] if row[0] == "paraphrase"]
    assert len(some) > 50 and all(a != b and french[a] & french[b] for a, b in some)
    assert {(b, a) for a, b in some} == set(some)
    assert gather.gathered(translated, None) == found != gather.gathered(translated, None, 1)


def test_what_is_restored(translated):
    found = [row[1:] for row in gather.gathered(translated, None)["train"] if row[0] == "restore"]
    assert len(found) > 100 and all(source == plain(target) for source, target in found)


STORY = """Tom and Anna went to the sea. "Where is my hat," asked Tom. "I lost it." Anna laughed \
and ran. Anna replied, "It is on your head!"
"Thank you very much," said Tom. He added, "It was there all day." "So it was!" """


def test_who_replies():
    """Quotes of one speaker are one turn; he who speaks after a pronoun may be the same, and is no
    reply; a new line, or another quote at once, is another speaker."""
    assert gather.replies([STORY]) == [
        ("reply", "Where is my hat, I lost it.", "It is on your head!"),
        ("reply", "It is on your head!", "Thank you very much."),
        ("reply", "It was there all day.", "So it was!"),
    ]


def test_a_summary_is_a_sentence_of_the_story(monkeypatch):
    """The one of its length that ranks highest, and the first of those that tie; a story that is
    too long has none."""
    story = "A cat sat here. The big cat ate a very old fish that the sea had left. The cat slept."
    ranked = [(one, score) for one, score in zip(gather.sentences(story), (0.3, 0.2, 0.3))]
    monkeypatch.setattr(gather, "ranks", lambda text: ranked)
    assert gather.summaries([story, "word " * (gather.STORY + 1)]) == [
        ("summarise-short", story, "A cat sat here."),
        ("summarise-long", story, ranked[1][0]),
    ]


def test_ranks_are_the_library_s():
    """What is linked with more of the story ranks higher."""
    pytest.importorskip("summa")
    story = (
        "The cat likes fish. The dog likes bones. The cat and the dog like fish and bones. Rain."
    )
    ranked = gather.ranks(story)
    assert max(ranked, key=lambda one: one[1])[0].startswith("The cat and the dog")
    assert all(one in story for one, _ in ranked)


def test_the_command_gathers_and_its_files_train(translated, tmp_path, capsys):
    """It says how many of each task, and what to run next; what it wrote is read with its
    tokenizer."""
    out = tmp_path / "new"
    assert main(["tasks", "--out", str(out), "--pairs", str(translated), "--pieces", "400"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"train: \d+ paraphrase, \d+ restore, \d+ translate-en-fr", said)
    found = tasks(out / "train.tsv", "translate,restore", str(out / "tokenizer.json"), LENGTH)
    assert found.names == ("restore", "translate-en-fr", "translate-fr-en") and found.name == "new"
    assert len(found.tokenizer) == 400 and found.left_out < 20


# ---------------------------------------------------------------- tags and canvases


def test_tags_are_single_tokens_and_come_first(data):
    """Each row begins with the token of its task; no text that is typed becomes one; they spell
    nothing."""
    assert data.names == NAMES and set(data.tokenizer.tags) == set(NAMES)
    tags = torch.tensor([data.tokenizer.tags[name] for name in data.names])
    for split in ("train", "valid"):
        layout = getattr(data, split)
        assert layout.ids[layout.start].long().equal(tags[layout.task])
        assert len(layout.start) == len(data.rows[split])
    typed = data.tokenizer.encode("<reply> <translate-en-fr>")
    assert not set(typed.tolist()) & set(tags.tolist())
    assert data.tokenizer.decode(tags) == "" and data.tokenizer.counts(tags).eq(0).all()


@pytest.mark.parametrize("split", ["train", "valid"])
def test_what_is_given_what_is_padding_what_counts(data, split):
    """Tag, source and what fills it are given; of the rest the target and its END count."""
    layout, cut = getattr(data, split), data.tokenizer
    for i, (task, source, target) in enumerate(data.rows[split]):
        canvas = data.canvas(split, torch.tensor([i]))
        given, open_ = canvas.tokens[canvas.given], canvas.tokens[~canvas.given]
        S, inside = len(given), cut.encode(source).tolist()
        ends = [cut.end_id] * (S - 1 - len(inside))
        assert given.tolist() == [cut.tags[task], *inside, *ends] and ends
        assert canvas.given[0, :S].all() and len(open_) == target_room(S) and layout.source[i] == S
        assert canvas.tokens[canvas.counted].tolist() == [*cut.encode(target).tolist(), cut.end_id]
        assert canvas.tokens[canvas.padding].eq(cut.end_id).all()
        assert written(cut, canvas, canvas.tokens) == [target]


def test_training_and_writing_see_the_same_canvas(data):
    """What is given, and the room for the target, follow from the source alone."""
    for i, (task, source, _) in enumerate(data.rows["valid"]):
        learned = data.canvas("valid", torch.tensor([i]))
        asked = canvas_of(data.tokenizer, task, [source], LENGTH)
        assert asked.given.equal(learned.given)
        assert asked.tokens[asked.given].equal(learned.tokens[learned.given])


def test_rooms():
    """A source has room for its tag and an END and little more; a target for at least as much as
    its source, up to LONGEST."""
    for n in range(1, 400):
        S, T = source_room(n), target_room(source_room(n))
        assert n + 2 <= S and (S - n - 2) / S < 0.2 and SHORTEST <= T <= LONGEST
        assert n < T or T == LONGEST
    most = longest_source(256)
    assert most == 190 and source_room(most) + target_room(source_room(most)) == 240
    assert source_room(most + 1) + target_room(source_room(most + 1)) > 256


def test_an_epoch_reads_every_pair_once(data):
    """In batches of one size, of many tasks, of as many tokens as are asked for; the same for the
    same step."""
    tokens, seen, mixed = 16 * LENGTH, Counter(), 0
    steps = how_many(data.train, tokens)
    for step in range(steps):
        which = data.turn(step, tokens)
        sizes = data.train.room[which].unique()
        assert len(sizes) == 1 and len(which) == max(1, tokens // int(sizes))
        seen.update(which.tolist())
        mixed += len(data.train.task[which].unique()) > 1
    assert set(seen) == set(range(len(data.train.room))) and mixed > steps / 2
    rng = seeded(0)
    rng.step = 3
    canvas = data.canvases("train", LENGTH, 16, rng, 0.9)
    assert canvas.tokens.equal(data.canvas("train", data.turn(3, tokens)).tokens)


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("process", ["masked", "gaussian", "autoregressive"])
def test_losses_are_finite_and_of_the_target(data, process):
    """Loss and bound of a batch; what stands in the source's place is no part of them, and an
    untrained autoregressive network needs log V for each token of the target and its END."""
    torch.manual_seed(0)
    model = build(process, data.tokenizer, layers=1, heads=2, width=32, length=LENGTH, tied=False)
    canvas = data.canvas("train", data.turn(0, 8 * LENGTH))
    loss, bound = model.loss(canvas, seeded(0)), model.bound(canvas, seeded(0))
    assert loss.shape == bound.shape == (len(canvas.tokens),)
    assert loss.isfinite().all() and bound.isfinite().all() and bound.min() > 0
    loss.mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    if process == "autoregressive":
        sure = canvas.counted.sum(1) * torch.tensor(float(len(data.tokenizer))).log()
        assert bound.detach().allclose(sure, rtol=1e-4)


@pytest.mark.parametrize(
    "process",
    ["masked", *(pytest.param(p, marks=pytest.mark.long) for p in ("gaussian", "autoregressive"))],
)
def test_a_run_learns_writes_and_resumes(table, tmp_path, process):
    """It samples a pair of each task, its checkpoint names the tasks and writes each of them, and
    it goes on as if it had never stopped."""
    config = Config(
        process=process,
        corpus=str(table),
        tokenizer="bpe-400",
        preset="tiny",
        steps=4,
        batch=2,
        compile=False,
        validate_every=2,
        save_every=2,
        out=str(tmp_path / process),
    )
    whole = [progress.loss for progress in train(config)]
    row = checkpoint.read_jsonl(tmp_path / process / "metrics.jsonl")[-1]
    assert all(f"<{name}> " in row["sample"] for name in NAMES) and row["sample"].count("->") == 4
    model = checkpoint.load(tmp_path / process)
    assert names_of(model.task) == NAMES and model.length == LENGTH
    sources = ["The old king.", sentence(random.Random(5), WORDS, 12, 12)]
    made = rewrite.perform(model, "reply", sources, steps=4)
    assert len(made) == 2 and made[0] == rewrite.perform(model, "reply", sources[:1], steps=4)[0]
    parts = start(Config(**{**vars(config), "out": str(tmp_path / "parts")}))
    steps = parts.steps()
    first = [next(steps).loss for _ in range(2)]
    steps.close()
    again = train(Config(**{**vars(config), "out": str(tmp_path / "parts")}), resume=True)
    assert first + [progress.loss for progress in again] == whole


def test_a_checkpoint_names_no_place_of_this_machine(table, tmp_path):
    """Neither that of its text nor that of its tokenizer."""
    shape = dict(preset="tiny", steps=1, batch=2, compile=False, corpus=str(table))
    first, other = tmp_path / "first", tmp_path / "other"
    list(train(Config(**shape, tokenizer="bpe-400", out=str(first))))
    list(train(Config(**shape, tokenizer=str(first / "tokenizer.json"), out=str(other))))
    for folder in (first, other):
        assert str(tmp_path.parent) not in (folder / "config.json").read_text("utf-8")
    assert checkpoint.load(first).tokenizer == checkpoint.load(other).tokenizer


# ---------------------------------------------------------------- what is refused


def test_lines_that_are_no_pairs(tmp_path):
    """Each is told with its number."""
    path, good = tmp_path / "some.tsv", "reply\tYes?\tNo.\n"
    for bad, said in (
        ("one column\n", "Line 2 of 'some.tsv' has 1 column:"),
        ("\n", "Line 2 of 'some.tsv' has 1 column:"),
        ("a\tb\tc\td\n", "Line 2 of 'some.tsv' has 4 columns:"),
        ("reply\tYes?\t \n", "Line 2 of 'some.tsv' has an empty target:"),
        ("reply\t\tNo.\n", "Line 2 of 'some.tsv' has an empty source:"),
        ("Re ply\tYes?\tNo.\n", "Line 2 of 'some.tsv' has the task 'Re ply':"),
        ("Yes?\tNo.\n", "Line 2 of 'some.tsv' has 2 columns:"),
    ):
        path.write_text(good + bad + good, "utf-8")
        assert the_sentence(lambda: rows_of(path, "all")).startswith(said)
    path.write_text("Yes?\tNo.\nOh?\tNo.\n", "utf-8")
    assert rows_of(path, "my-task") == [("my-task", "Yes?", "No."), ("my-task", "Oh?", "No.")]


def test_files_that_hold_none(tmp_path):
    path = tmp_path / "none.tsv"
    assert "no corpus file" in the_sentence(lambda: rows_of(path, "all"))
    path.write_text("\n", "utf-8")
    assert "'none.tsv' is empty" in the_sentence(lambda: rows_of(path, "all"))
    path.write_text(f"reply\t{'word ' * 99}\tNo.\n" * 20, "utf-8")
    said = the_sentence(lambda: tasks(path, "all", "bpe-300", LENGTH))
    assert "have none to train on" in said
    path.write_text("Hello.\n", "utf-8")
    said = the_sentence(lambda: gather.gathered(path, None))
    assert said.startswith("Line 1 of 'none.tsv' is no pair")
    assert "give --pairs" in the_sentence(lambda: gather.gathered(None, None))


def test_tasks_that_are_unknown(table, data):
    """Of the file, of the tokenizer, of a checkpoint."""
    assert "There is no task 'dance' in 'toy_train.tsv'; there are reply," in the_sentence(
        lambda: rows_of(table, "translate,dance")
    )
    assert {name for name, *_ in rows_of(table, "translate")} == {*NAMES[2:]}
    said = the_sentence(lambda: canvas_of(data.tokenizer, "dance", ["A king."], LENGTH))
    assert said.startswith("There is no task 'dance'; there are reply,")
    assert names_of("restore") == names_of("") == names_of("<a> b") == ()


def test_sources_that_do_not_fit(data):
    def refused(*sources):
        return the_sentence(lambda: canvas_of(data.tokenizer, "reply", sources, LENGTH))

    most = longest_source(LENGTH)
    assert f"and there is room for {most}:" in refused("king " * 99)
    assert "nothing to write from" in refused("  ")
    assert "same room" in refused("A king.", sentence(random.Random(5), WORDS, 12, 12))


def test_tokenizers_that_do_not_fit(table, tmp_path):
    rows = rows_of(table, "all")
    assert "give the tokenizer bpe-4096" in the_sentence(lambda: cutter_of("characters", rows))
    path = tmp_path / "other.json"
    path.write_bytes(Subwords.learned(["a king"], 300).data)
    assert "has no token <reply>" in the_sentence(lambda: cutter_of(str(path), rows))
    config = Config(corpus=str(table), tokenizer="bpe-400", preset="tiny", label="mood")
    assert "has no labels" in the_sentence(lambda: data_of(config, config.tokenizer))
