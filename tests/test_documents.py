"""Documents as windows: each token is learned once an epoch, and a text ends itself."""

import io
import json
import math
import random
import re
from collections import Counter
from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from tinydiff.cli.commands import main
from tinydiff.cli.flags import saved_config
from tinydiff.measure import evaluate, shrink
from tinydiff.predictions import LOG_ZERO
from tinydiff.processes import PROCESSES, build
from tinydiff.processes.block import BlockCache
from tinydiff.randomness import seeded
from tinydiff.store import card, checkpoint
from tinydiff.text import Canvas, Documents, corpus
from tinydiff.text.documents import how_many, room, rows, windows_of
from tinydiff.train.loop import Config, data_of, rate, start, train

END, LENGTH = "<|endoftext|>", 32
WORDS = re.findall(
    r"\w+", "the old king and a young queen had one fool who sat by the sea and sang"
)


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """A file of 300 documents, of which the longest are of several windows, and its twin to
    validate on."""
    rng, folder = random.Random(0), tmp_path_factory.mktemp("stories")
    for name, n in (("tinystories_train.txt", 300), ("tinystories_valid.txt", 40)):
        told = (" ".join(rng.choices(WORDS, k=rng.choice([3, 9, 15, 70]))) + "." for _ in range(n))
        (folder / name).write_text(f"\n{END}\n".join(told) + f"\n{END}\n", "utf-8")
    return folder / "tinystories_train.txt"


@pytest.fixture(scope="module")
def data(stories):
    return Documents(corpus(stories, tokenizer="bpe-290"), LENGTH)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_every_token_is_open_in_one_window(data, split):
    """The open tokens of all windows, one window behind the other, are the text; a window begins
    where a document does, or shows half a window of it again; what fills it is END."""
    windows, ids = getattr(data, split), getattr(data.corpus, split)
    shown = [data.canvas(split, torch.tensor([i])) for i in range(len(windows.start))]
    open_ = [one.tokens[0, ~(one.given | one.padding)[0]] for one in shown]
    assert torch.cat(open_).equal(ids.long())
    begins = {0, *((ids == 0).nonzero()[:, 0] + 1).tolist()}
    for i, one in enumerate(shown):
        given, start = one.given.sum().item(), windows.start[i].item()
        assert (given == 0 and start in begins) or given == LENGTH // 2
        assert one.given[0, :given].all() and one.tokens[0, one.padding[0]].eq(0).all()
        assert (one.tokens[0, ~one.padding[0]] == 0).sum() <= 1, "of another document too"
    assert windows.given.max() == LENGTH // 2, "no document is longer than a window"


def test_little_is_padding():
    """Of a window of any size less than a fifth, and there are few sizes."""
    size = torch.arange(1, 4097)
    found = room(size)
    assert (found >= size).all() and ((found - size) / found < 0.2).all()
    assert len(found.unique()) < 60 and room(torch.tensor([256, 129, 257])).tolist() == [
        256,
        160,
        320,
    ]


def test_a_document_without_an_end():
    """The last one of a text may be cut short: it is learned, and ends nowhere."""
    windows = windows_of(torch.tensor([5, 0, 6, 7, 8]), 0, 4)
    assert windows.start.tolist() == [0, 2] and windows.size.tolist() == [2, 3]


def test_an_epoch_reads_every_window_once(data):
    """Once, but for those that fill the last batch of their size; in batches of one size; the next
    epoch in another order. What a step reads does not depend on what was read before."""
    tokens, sizes = 8 * LENGTH, data.train.room
    n = how_many(data.train, tokens)
    first, second = ([data.turn(k + epoch * n, tokens) for k in range(n)] for epoch in (0, 1))
    for epoch in (first, second):
        assert all(len(sizes[which].unique()) == 1 for which in epoch)
        read = Counter(torch.cat(epoch).tolist())
        assert set(read) == set(range(len(sizes)))
        assert read.total() - len(sizes) < sum(
            rows(size, tokens) for size in sizes.unique().tolist()
        )
    assert not all(map(torch.equal, first, second))
    assert Documents(data.corpus, LENGTH).turn(3, tokens).equal(first[3])


def test_some_batches_are_streams(data):
    """The share that is asked for, windows of the whole length that know no document. They begin in
    the middle of one: their first half is given, or else a text would begin in the middle too."""
    mixed, rng = Documents(data.corpus, LENGTH, streams=0.25), seeded(0)
    kinds = []
    for rng.step in range(40):
        canvas = mixed.canvases("train", LENGTH, 8, rng, 0.0)
        kinds.append(canvas.padding is None)
        if kinds[-1]:
            assert canvas.given[:, : LENGTH // 2].all() and not canvas.given[:, LENGTH // 2 :].any()
    assert sum(kinds) == 10
    always = Documents(data.corpus, LENGTH, streams=1.0)
    canvas = always.canvases("train", LENGTH, 8, seeded(0), 0.0)
    assert canvas.tokens.shape == (8, LENGTH) and not canvas.given.any()


def test_no_row_is_given_whole(data):
    """What is given at random leaves something of the text to write, beside the padding."""
    rng = seeded(0)
    for rng.step in range(200):
        canvas = data.canvases("train", LENGTH, 8, rng, 1.0)
        assert canvas.counted.any(1).all()


def test_padding_costs_the_rival_nothing(data):
    """From left to right a text is over with its END: its nats are those without the padding. Of
    noise that sees all places, padding tells where the text ends, and is paid for."""
    which = (data.train.size < data.train.room).nonzero()[:3, 0]
    canvas = data.canvas("train", which[:1])
    size = int(data.train.size[which[0]])
    bare = Canvas(canvas.tokens[:, :size], canvas.given[:, :size])
    for name, more in (("autoregressive", False), ("masked", True)):
        process = build(name, data.tokenizer, **shape(), tied=True)
        costs = (process.bound(one, seeded(0)).sum() for one in (canvas, bare))
        assert (next(costs) - next(costs) > 1e-3) == more


def shape():
    return dict(layers=1, heads=2, width=16, length=LENGTH)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_tied_head_is_the_embedding(name, data, tmp_path):
    """Where a network reads tokens it has no other; where it reads numbers, it keeps its own. A
    checkpoint says so, and one that does not is as it was."""
    process = build(name, data.tokenizer, **shape(), tied=True)
    own = build(name, data.tokenizer, **shape())
    reads_tokens = isinstance(process.net.embed, torch.nn.Embedding)
    assert ("head.weight" in process.net.state_dict()) != reads_tokens
    assert "head.weight" in own.net.state_dict()
    told = shape() | {"labels": 0, "tied": 1}
    folder = checkpoint.save(process, checkpoint.config_of(process, told, "x"), tmp_path / name)
    back = checkpoint.load(folder)
    assert back.net.state_dict().keys() == process.net.state_dict().keys()
    assert checkpoint.check_config(checkpoint.read_config(folder), folder)["tied"] == 1


def test_every_family_may_begin_with_the_masked_network(stories, data, tmp_path):
    """What fits is taken: all layers, as many rows of the embedding as there are tokens, and the
    embedding as the head of a network that reads numbers."""
    told = Config(preset="tiny").shape | {"length": LENGTH, "labels": 0, "tied": 1}
    masked = build("masked", data.tokenizer, **told)
    folder = checkpoint.save(masked, checkpoint.config_of(masked, told, "x"), tmp_path / "masked")
    given = checkpoint.load(folder).net.state_dict()
    config = Config(preset="tiny", corpus=str(stories), tokenizer="bpe-290", start=str(folder))
    for name in PROCESSES:
        run = start(replace(config, process=name, out=str(tmp_path / name)), resume=False)
        for key, value in run.process.net.state_dict().items():
            if key.startswith(("blocks.", "norm.")):
                assert value.equal(given[key]), (name, key)
        embed = run.process.net.embed.weight
        if isinstance(run.process.net.embed, torch.nn.Embedding):
            assert embed.equal(given["embed.weight"][: len(embed)]), name
        elif name == "gaussian":
            assert run.process.net.head.weight.equal(given["embed.weight"][:-1])


@pytest.mark.parametrize(
    ("name", "streams", "told"),
    [("masked", 0.1, True), ("gaussian", 0.1, True), ("masked", 1.0, False)]
    + [("autoregressive", 0.1, False)],
)
def test_who_is_told_the_positions(name, streams, told, stories, tmp_path):
    """Noise that sees all places at once, where texts begin at the first; a checkpoint keeps them,
    and what begins with a network that had none says at first what that one says."""
    config = Config(preset="tiny", corpus=str(stories), tokenizer="bpe-290", process=name)
    run = start(replace(config, streams=streams, out=str(tmp_path / "a")), resume=False)
    assert run.shape.get("positions", 0) == told == (run.process.net.position is not None)
    if not told:
        return
    torch.nn.init.normal_(run.process.net.position.weight)
    folder = checkpoint.save(
        run.process, checkpoint.config_of(run.process, run.shape, "x"), tmp_path / "told"
    )
    assert checkpoint.load(folder).net.position.weight.std() > 0.5
    bare = replace(config, streams=1.0, out=str(tmp_path / "bare"))
    bare = start(bare, resume=False)
    folder = checkpoint.save(
        bare.process, checkpoint.config_of(bare.process, bare.shape, "x"), tmp_path / "saved"
    )
    begun = replace(config, start=str(folder), out=str(tmp_path / "b"))
    assert start(begun, resume=False).process.net.position.weight.eq(0).all()


def test_a_file_beside_it_validates(stories, tmp_path):
    """NAME_train.txt on NAME_valid.txt; without that, on its own last tenth."""
    both = corpus(stories, tokenizer="bpe-290")
    assert both.name == "tinystories" and both.ended
    assert (both.train == 0).sum() == 300 and (both.valid == 0).sum() == 40
    alone = tmp_path / stories.name
    alone.write_bytes(stories.read_bytes())
    split = corpus(alone, tokenizer="bpe-290")
    assert (split.train == 0).sum() + (split.valid == 0).sum() == 300 and len(split.valid)


def test_tinystories_are_typewritten(tmp_path):
    """Of typographic quotes and dashes; in any other corpus they stay."""
    text = f"\u201cHi\u201d \u2014 it\u2019s\n{END}\n" * 20
    found = []
    for name in ("tinystories_train.txt", "other.txt"):
        (tmp_path / name).write_text(text, "utf-8")
        found.append(corpus(tmp_path / name, tokenizer="bpe-270").text)
    assert '"Hi" - it\'s' in found[0] and "\u201cHi\u201d \u2014" in found[1]


def test_training_reads_documents(stories, tmp_path):
    """A run on documents learns from windows of several sizes, and resumes as if never stopped."""
    config = Config(preset="tiny", corpus=str(stories), tokenizer="bpe-290", steps=6, batch=4)
    config = replace(config, validate_every=3, save_every=3, out=str(tmp_path / "a"))
    assert isinstance(data_of(config, "bpe-290"), Documents)
    whole = [progress.loss for progress in train(config)]
    half = replace(config, out=str(tmp_path / "b"))
    steps = train(half)
    for _ in range(3):
        next(steps)
    steps.close()
    assert whole[3:] == [progress.loss for progress in train(half, resume=True)]


def test_documents_of_several_files(stories, tmp_path):
    """Each file's as often as its weight says, validated once; a run on them resumes as if never
    stopped, by what it stored, and what it shares names no place."""
    both = f"{stories}:2,{stories.with_name('tinystories_valid.txt')}"
    mixed = corpus(both, tokenizer="bpe-290")
    alone = corpus(stories.with_name("tinystories_valid.txt"), tokenizer="bpe-290")
    ends = [(half == 0).sum() for half in (mixed.train, mixed.valid, alone.train, alone.valid)]
    assert mixed.ended and ends[0] == 2 * 300 + ends[2] and ends[1] == 40 + ends[3]
    few = dict(validate_every=2, save_every=2, out=str(tmp_path / "a"))
    config = Config(preset="tiny", corpus=both, tokenizer="bpe-290", steps=4, batch=4, **few)
    whole = [progress.loss for progress in train(config)]
    steps = train(replace(config, out=str(tmp_path / "b")))
    next(steps), next(steps), steps.close()
    again = saved_config(tmp_path / "b")
    assert again.corpus == both
    assert whole[2:] == [progress.loss for progress in train(again, resume=True)]
    assert str(stories.parent) not in (tmp_path / "b" / "config.json").read_text()
    assert checkpoint.read_config(tmp_path / "b")["corpus"] == "tinystories+tinystories_valid"


def test_the_learning_rate_is_constant_until_the_end():
    """So that a run may end on any day: it falls over the last part alone."""
    assert rate(50, 0.5, 10, 0.15) == rate(50, 0.85, 10, 0.15) == 1
    assert rate(50, 0.925, 10, 0.15) == pytest.approx(0.51)
    assert rate(50, 1.0, 10, 0.15) == pytest.approx(0.02)
    assert rate(0, 0.0, 10, 0.15) == 0.1 and rate(50, 1.0, 10, 0.0) == 1


class Hub:
    """The part of HfFileSystem that reads TinyStories, on a shelf of its own."""

    asked: ClassVar[list[str]] = []

    def open(self, path, mode):
        self.asked.append(path)
        return io.BytesIO(f"Once.\n{END}\nTwice.\n{END}\nThri".encode() * 9000)


def test_tinystories_come_from_the_hub(tmp_path, monkeypatch):
    """As much as is asked for, in whole stories, and once; where the Hub does not answer, a
    sentence says what else can be done."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.HfFileSystem", Hub)
    some = corpus("tinystories", tokenizer="bpe-270", megabytes=0.1)
    size = len(some.text) + len(f"\n{END}\n") * (some.train == 0).sum()
    assert 0.99e5 < size <= 1e5 and some.text.endswith(".")
    assert some.ended and len(some.valid) * 8 < len(some.train) < len(some.valid) * 12
    corpus("tinystories", tokenizer="bpe-270", megabytes=0.1)
    assert len(Hub.asked) == 2
    monkeypatch.setattr(Hub, "open", lambda *_: 1 / 0)
    with pytest.raises(ValueError, match="could not be fetched .* name a local copy"):
        corpus("tinystories", tokenizer="bpe-270", megabytes=0.2)


def test_the_bound_of_documents(data):
    """Of the rival it is -log p of each document, whatever its window was filled with; of noise
    that sees both sides the size of the window is paid for; each character counts once."""
    names = "autoregressive", "masked"
    rival, masked = (random_weights(build(name, data.tokenizer, **shape())) for name in names)
    whole_ones = (data.valid.size < LENGTH) & (data.valid.given == 0)
    short = whole_ones.nonzero()[:4, 0]
    found = evaluate.bound_of_documents(rival, data, "valid", short, 8)
    for nats, i in zip(found.each, short.tolist()):
        start, size = int(data.valid.start[i]), int(data.valid.size[i])
        document = data.corpus.valid[start : start + size][None].long()
        bare = Canvas(document, torch.zeros_like(document, dtype=torch.bool))
        assert nats == pytest.approx(rival.bound(bare, seeded(0)).item(), abs=1e-3)
    everything = torch.arange(len(data.valid.size))
    whole = evaluate.bound_of_documents(masked, data, "valid", everything, 2)
    assert sum(whole.counts) == data.tokenizer.counts(data.corpus.valid).sum()
    rooms, rng = data.valid.room, seeded(0)
    canvases = [data.canvas("valid", everything[rooms == size]) for size in rooms.unique()]
    bare = sum(evaluate.nats_of(masked, canvas, 2, 16, rng).sum() for canvas in canvases)
    paid = data.size_nats("valid").sum()
    assert paid > 1 and sum(whole.each) == pytest.approx((bare + paid).item())


def test_sizes_are_a_distribution(data):
    """What is paid for the sizes of the training text is their entropy: their shares sum to 1."""
    nats, windows = data.size_nats("train"), data.train
    first = windows.given == 0
    each = [nats[first & (windows.room == size)][0] for size in windows.room[first].unique()]
    assert torch.stack(each).neg().exp().sum() == pytest.approx(1)


def test_the_loss_over_noise(data):
    """A network that knows nothing needs log V for what is masked, and nothing for what stands:
    in proportion to t under the linear schedule; who predicts one place a call has no such curve.
    """
    masked = build("masked", data.tokenizer, **shape())
    texts = [data.canvas("valid", torch.arange(40)[data.valid.room[:40] == LENGTH][:8])]
    rows = evaluate.loss_over_noise(masked, texts, 4)
    tokens = (texts[0].counted.sum() / texts[0].characters(data.tokenizer).sum()).item()
    full = math.log(len(data.tokenizer)) * tokens
    assert [row["t"] for row in rows] == [0.25, 0.5, 0.75, 1.0]
    assert rows[-1]["nats"] == pytest.approx(full, rel=0.02)
    assert all(row["nats"] == pytest.approx(row["t"] * full, rel=0.25) for row in rows)
    assert evaluate.loss_over_noise(build("autoregressive", data.tokenizer, **shape()), texts) == []


def test_the_loss_of_what_has_no_probability_is_no_number(data, monkeypatch):
    """A prediction that rules the text out has an infinite loss: JSON cannot hold it."""
    process = build("score-uniform", data.tokenizer, **shape())
    canvas = data.canvas("valid", torch.arange(1))
    rows = evaluate.loss_over_noise(process, [canvas], 2)
    assert all(0 < row["nats"] < 100 for row in rows)
    told = process.predict

    def ruled_out(raw, x, t):
        found = told(raw, x, t)
        return found.with_log_x0(found.log_x0.scatter(-1, canvas.tokens[..., None], LOG_ZERO))

    monkeypatch.setattr(process, "predict", ruled_out)
    rows = evaluate.loss_over_noise(process, [canvas], 2)
    assert [row["nats"] for row in rows] == [None, None]


def test_in_blocks_each_is_noised_behind_the_text_itself(data):
    """The loss over noise of `block` reads what is before a block as it is: each block's prediction
    is the one that is made when all before it is written, and it has as many levels as others."""
    process = random_weights(build("block", data.tokenizer, **shape(), options={"block": "4"}))
    whole = torch.arange(40)[data.valid.room[:40] == LENGTH]
    canvas, rng = data.canvas("valid", whole[:2]), seeded(0)
    x = process.noise.corrupt(canvas.tokens, canvas.time(0.5), rng)
    found = process.denoise_known(x, canvas.time(0.5), canvas).log_x0
    for at in range(0, x.shape[1], 4):
        part = torch.cat([canvas.tokens[:, :at], x[:, at : at + 4]], 1)
        t = torch.full(part.shape, 0.5)
        alone = process.denoise(part, t, canvas.label, BlockCache(4)).log_x0
        assert found[:, at : at + 4].allclose(alone, atol=1e-5)
    rows = evaluate.loss_over_noise(process, [canvas], 4)
    assert [row["t"] for row in rows] == [0.25, 0.5, 0.75, 1.0]
    assert all(one["nats"] < other["nats"] for one, other in zip(rows, rows[1:]))


def random_weights(process):
    torch.manual_seed(0)
    torch.nn.init.normal_(process.net.head.weight, std=0.3)
    return process


def test_documents_are_evaluated(stories, tmp_path, monkeypatch):
    """A checkpoint of documents gets its card: whole texts, on windows of theirs."""
    # minutes, measured in test_evaluate and test_block
    nothing = dict(steps=[], single=[], temperatures=[])
    monkeypatch.setattr(evaluate, "curves", lambda *_: nothing)
    monkeypatch.setattr(evaluate, "of_blocks", lambda *_: {})
    monkeypatch.setitem(evaluate.DEFAULT, "steps", 8)
    config = Config(preset="tiny", corpus=str(stories), tokenizer="bpe-290", steps=2, batch=4)
    out = tmp_path / "run"
    list(train(replace(config, validate_every=2, save_every=2, out=str(out))))
    result = evaluate.run(out, corpus(stories, tokenizer="bpe-290"), batch=2, draws=1)
    assert result["bound"]["windows"] > 40 and len(result["levels"]) == evaluate.LEVELS
    assert (out / "README.md").is_file()


def test_a_checkpoint_is_written_smaller(stories, tmp_path, capsys):
    """With the fewest bits of which the bound is as it was, to a limit; with none at all to spare
    it stays in bf16, where nothing changes."""
    config = Config(preset="tiny", corpus=str(stories), tokenizer="bpe-290", steps=2, batch=4)
    run, text = tmp_path / "run", corpus(stories, tokenizer="bpe-290")
    list(train(replace(config, validate_every=2, save_every=2, out=str(run))))
    main(["shrink", str(run), str(tmp_path / "small"), "--corpus", str(stories)])
    assert "6 bits a weight: " in (said := capsys.readouterr().out) and "with 6 bits" in said
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("run", "small")]
    assert sizes[1] < 0.6 * sizes[0] and (tmp_path / "small" / "metrics.jsonl").is_file()
    checkpoint.load(tmp_path / "small")
    own = checkpoint.fingerprint(run / "model.safetensors")
    for of, goes_along in ((own, True), ("others", False)):
        (run / "evaluation.json").write_text(json.dumps({"weights": of, "precision": "fp32"}))
        changes = shrink.shrink(run, tmp_path / of, text)
        assert (tmp_path / of / "evaluation.json").is_file() == goes_along
    shrunk = tmp_path / own
    found = checkpoint.read_json(shrunk / "evaluation.json")
    here = checkpoint.fingerprint(shrunk / "model.safetensors")
    assert found["shrunk"] == dict(bits=6, change=changes[6], weights=here) and here != own
    assert f"`{here}`, are those in 6 bits" in card.measured_with(checkpoint.card(shrunk))[1]
    changes = shrink.shrink(run, tmp_path / "same", text, worse=-1.0)
    assert list(changes) == [6, 8, 16] and changes[16] == 0 and changes[8] != 0
