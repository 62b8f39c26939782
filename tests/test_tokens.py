"""Tokens of several characters: what a tokenizer promises, on the way from a text file to a
text."""

import json
import math
import random
from collections import Counter

import pytest
import torch
from tokenizers import Tokenizer as Cutter

from tests.conftest import brief
from tests.languages import Pieces
from tinydiff import exact
from tinydiff.cli.commands import main
from tinydiff.endings import texts_of, until
from tinydiff.generate import generate
from tinydiff.measure import evaluate
from tinydiff.processes import PROCESSES, build
from tinydiff.randomness import seeded
from tinydiff.runs import begin
from tinydiff.show import render
from tinydiff.store import checkpoint
from tinydiff.text import Canvas, Characters, Subwords, corpus, tokenizers
from tinydiff.text.corpora import paragraphs
from tinydiff.text.tokenizers import TOKENIZERS, joined
from tinydiff.train.loop import PRESETS, train

STORY = "Once upon a time, a king and a queen had a fool.\nThe fool sat by the sea and sang. "
TEXTS = [
    "Once upon a time",
    "",
    " \n\t ",
    "naïve café",
    "你好，世界",
    "🙂🙃 and 👩‍👩‍👧",
    "a_b <|endoftext|> c",
    "\x00\x7f",
    "e\u0301",
]


@pytest.fixture(scope="module")
def words():
    """290 pieces, 33 of them longer than a byte."""
    return Subwords.learned([STORY * 20], 290)


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_can_be_written(words, text):
    """In any language, and back; each character is counted once, where it begins; what each token
    adds is the text."""
    ids, plain = words.encode(text), words.typed(text)
    assert (
        words.decode(ids)
        == "".join(words.spell(ids))
        == joined(words.pieces[i] for i in ids.tolist())
        == plain
    )
    assert words.counts(ids).sum() == len(plain)
    assert words.encoded(ids) == plain.encode()
    assert words.end_id not in ids.tolist()


def test_tokens_that_are_no_text(words):
    """Bytes in an order that is no character, and masks, are shown and counted without an error."""
    rng = seeded(0)
    ids = torch.randint(len(words) + 1, (2000,), generator=rng)
    assert words.decode(ids) == "".join(words.spell(ids))
    assert words.counts(ids).shape == ids.shape and words.counts(torch.tensor([words.mask_id])) == 0
    assert (
        words.counts(torch.tensor([words.end_id])) == 0
        and words.decode(torch.tensor([words.mask_id])) == "·"
    )


def test_a_character_does_not_reach_over_the_end(words):
    """What lies behind the END of a text makes nothing whole that stands before it."""
    first, second = words.encode("é").tolist()
    whole = torch.tensor([first, words.end_id, second])
    assert words.decode(whole) == "\ufffd\ufffd" and words.decode(whole[:1]) == "\ufffd"
    assert words.decode(torch.tensor([first, second, words.end_id])) == "é"


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_each_token_has_a_sign(words, kind):
    """One character each, no two the same, none the mask's; a picture's signs can be read."""
    tokenizer = {"characters": Characters("abc\n "), "subwords": words}[kind]
    signs = tokenizer.signs
    assert len(set(signs)) == len(signs) == len(tokenizer) and render.MASK not in signs
    assert tokenizer.tokens(signs + render.MASK).tolist() == [
        *range(len(tokenizer)),
        tokenizer.mask_id,
    ]


def test_it_comes_back_from_a_checkpoint(words, tmp_path):
    """The same tokens, whatever the folder is called; another tokenizer is another."""
    process = build("masked", words, layers=1, heads=1, width=16, length=8)
    config = checkpoint.config_of(
        process, dict(layers=1, heads=1, width=16, length=8, labels=0), "a story"
    )
    checkpoint.save(process, config, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["tokenizer"] == {
        "kind": "subwords",
        "size": 290,
    }
    found = checkpoint.load(tmp_path).tokenizer
    assert (
        found == words
        and hash(found) == hash(words)
        and found.encode(STORY).equal(words.encode(STORY))
    )
    assert found != Subwords.learned([STORY], 289) and found != Characters("abc")


def damaged(words, change):
    made = json.loads(words.data)
    change(made)
    return json.dumps(made).encode()


def with_model(**more):
    return lambda made: made["model"].update(more)


DAMAGE = {
    "no JSON": b"\xff\xfe",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "null": b"null",
    "no model": b'{"model": null}',
    "another kind": with_model(type="WordPiece"),
    "a pattern of a stranger's": lambda made: made.update(
        pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+)+$"}}
    ),
    "no cuts": lambda made: made.update(pre_tokenizer=None),
    "it changes what is written": lambda made: made.update(normalizer={"type": "Lowercase"}),
    "a space in front": lambda made: made["pre_tokenizer"].update(add_prefix_space=True),
    "tokens by chance": with_model(dropout=0.5),
    "ends of words": with_model(end_of_word_suffix="</w>"),
    "a normalizer in another": lambda made: made.update(
        normalizer={"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}
    ),
    "a byte is missing": lambda made: made["model"]["vocab"].update(
        {"a ": made["model"]["vocab"].pop("a")}
    ),
    "a number is missing": lambda made: made["model"]["vocab"].update(a=999),
    "numbers that are none": lambda made: made["model"]["vocab"].update(a="x"),
    "a long piece": lambda made: made["model"]["vocab"].update(
        {"a" * 999: len(made["model"]["vocab"])}
    ),
    "pieces that are no bytes": lambda made: made["model"]["vocab"].update(
        {"你好": len(made["model"]["vocab"])}
    ),
    "merges of nothing": with_model(merges=[["zz", "qq"]]),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_file_that_is_no_tokenizer(words, tmp_path, what):
    """One sentence that names the file, in a checkpoint and where one is asked for by path."""
    change = DAMAGE[what]
    data = change if isinstance(change, bytes) else damaged(words, change)
    with pytest.raises(ValueError) as told:
        Subwords(data)
    assert (
        "tokenizer.json" in str(told.value)
        and "\n" not in str(told.value)
        and len(str(told.value)) < 200
    )
    (tmp_path / "tokenizer.json").write_bytes(data)
    (tmp_path / "text.txt").write_text(STORY * 9)
    with pytest.raises(
        ValueError, match="The tokenizer 'tokenizer.json' cannot be used: its tokenizer.json"
    ):
        corpus(tmp_path / "text.txt", tokenizer=str(tmp_path / "tokenizer.json"))


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A tiny model of each of some kinds that learned a story in pieces for a few steps, by its
    kind."""
    folder = tmp_path_factory.mktemp("stories")
    (folder / "story.txt").write_text(STORY * 60)
    for process in ("masked", "autoregressive"):
        config = PRESETS["tiny"].__class__(
            process=process,
            corpus=str(folder / "story.txt"),
            tokenizer="bpe-290",
            preset="tiny",
            steps=4,
            batch=4,
            validate_every=2,
            save_every=2,
            out=str(folder / process),
            device="cpu",
            compile=False,
        )
        assert all(p.loss > 0 for p in train(config))
    return folder


@pytest.mark.parametrize(
    "broken,words",
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
        (
            lambda folder: (folder / "tokenizer.json").write_bytes(
                Subwords.learned([STORY], 280).data
            ),
            "has 280 tokens, and it says 290",
        ),
        (lambda folder: rewritten(folder, tokenizer={"kind": "subwords", "size": 10**9}), "257 to"),
        (lambda folder: rewritten(folder, tokenizer={"kind": "subwords"}), "'size' is missing"),
        (lambda folder: rewritten(folder, tokenizer={"kind": "spells"}), "characters or subwords"),
        (lambda folder: rewritten(folder, tokenizer=7), "characters or subwords"),
        (lambda folder: rewritten(folder, tokenizer={"kind": "subwords", "size": [1]}), "257 to"),
        (
            lambda folder: (folder / "tokenizer.json").write_bytes(b" " * (1 << 23) + b" "),
            "over 8,388,608 bytes",
        ),
    ],
)
def test_a_checkpoint_whose_tokenizer_does_not_fit(story, tmp_path, broken, words):
    """One sentence."""
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes((story / "masked" / name).read_bytes())
    broken(tmp_path)
    with pytest.raises(checkpoint.CheckpointError, match=words):
        checkpoint.load(tmp_path)


def test_a_tokenizer_that_is_too_large_is_blamed_itself(story, tmp_path):
    """And not the config.json beside it."""
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((story / "masked" / name).read_bytes())
    (folder / "tokenizer.json").write_bytes(b" " * ((1 << 23) + 1))
    for read in (checkpoint.load, checkpoint.cutter):
        with pytest.raises(checkpoint.CheckpointError) as told:
            read(folder)
        assert str(told.value) == (
            "The tokenizer.json in 'm' is over 8,388,608 bytes: it is not one of ours."
        )


def rewritten(folder, **more):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | more))


def test_from_a_file_to_a_text(story, capsys, monkeypatch):
    """Training, evaluation, resuming and sampling speak of tokens; figures are of characters."""
    for name, few in (("STEPS", (2, 8)), ("FEWER", (8,)), ("trade_samplers", lambda _: [])):
        monkeypatch.setattr(evaluate, name, few)
    monkeypatch.setitem(evaluate.DEFAULT, "steps", 8)
    few = ["--texts", "4", "--draws", "4"]
    asked = ["eval", str(story / "masked"), "--corpus", str(story / "story.txt"), *few]
    assert main(asked) in (None, 0)
    found = json.loads(capsys.readouterr().out)["bound"]
    held = corpus(story / "story.txt", tokenizer=checkpoint.cutter(story / "masked")).valid
    counts = sum(many * count for many, count in found["counts"])
    assert counts == checkpoint.load(story / "masked").tokenizer.counts(held).sum() > len(held)
    assert main(["train", "--resume", "--out", str(story / "masked"), "--steps", "6"]) in (None, 0)
    capsys.readouterr()
    assert main(
        ["sample", "--model", str(story / "masked"), "--prompt", "A queen, 你好", "--length", "30"]
    ) in (None, 0)
    assert capsys.readouterr().out.startswith("A queen, 你好")


def test_pictures_tell_what_their_signs_spell(story, tmp_path):
    """Each sign once, before or as it is met; the wire and a file of JSON bring the same run back,
    and the text is the tokens'."""
    _, total, pictures = begin(
        {"model": str(story / "masked"), "length": 20, "steps": 6, "prompt": "Once upon"}
    )
    pictures, spelling, told = list(pictures), render.Spelling(), []
    tokenizer = checkpoint.load(story / "masked").tokenizer
    for picture in pictures:
        spelling.take(picture)
        told += picture.pieces or {}
        assert {*picture.text, *picture.best} - {render.MASK} <= {*told}
        assert spelling.text(picture.text).replace(render.MASK, "·") == tokenizer.decode(
            tokenizer.tokens(picture.text)
        )
    assert len(told) == len({*told})
    back = render.unpack(render.pack(render.Run({}, pictures), len(tokenizer)))
    assert [(p.text, p.pieces) for p in back.frames] == [(p.text, p.pieces) for p in pictures]


def test_characters_that_look_like_halves_stay():
    """Private code points that are characters of a model are not taken for bytes."""
    text = "a\uee41\uee42" + render.MASK
    assert render.spelled(text, Characters("a\uee41\uee42")) == text == render.Spelling().text(text)


@pytest.mark.parametrize("size", [256, 10**6])
def test_a_size_that_cannot_be(story, size):
    with pytest.raises(ValueError, match="257 to 53,248 tokens"):
        corpus(story / "story.txt", tokenizer=f"bpe-{size}")


@pytest.fixture
def endless(words):
    """The file of a tokenizer with special tokens, of which none is END."""
    made = Cutter.from_str(words.data.decode())
    named = json.loads(made.to_str())
    named["model"]["vocab"]["<s>"] = named["model"]["vocab"].pop("<|endoftext|>")
    named["added_tokens"][0]["content"] = "<s>"
    made = Cutter.from_str(json.dumps(named))
    made.add_special_tokens(["<|im_start|>"])
    return made.to_str().encode()


DOCUMENTS = "".join(
    f"Story {i}: {'the fool sang. ' * (i % 5 * 9 + 1)}\n<|endoftext|>\n" for i in range(60)
)


@pytest.mark.parametrize("label", [[], ["--label", "length"]])
def test_a_tokenizer_without_an_end_gets_one(endless, tmp_path, capsys, label):
    """Where the text is made of documents: behind its own tokens, which cut a text as they did. It
    comes back from the checkpoint, and ends what is written there."""
    text, path, out = (tmp_path / name for name in ("text.txt", "tokenizer.json", "run"))
    text.write_text(DOCUMENTS), path.write_bytes(endless)
    bare = Subwords(endless)
    assert bare.end_id is None and len(bare) == 291
    few = ["--preset", "tiny", "--steps", "2", "--batch", "4", "--out", str(out), *label]
    asked = ["train", "--corpus", str(text), "--tokenizer", str(path), *few]
    assert main(asked) in (None, 0), capsys.readouterr().err
    process = checkpoint.load(out)
    end = process.tokenizer.end_id
    assert end == 291 and len(process.tokenizer) == 292 and process.ends
    assert process.tokenizer.encode(STORY).equal(bare.encode(STORY))
    assert end not in process.tokenizer.encode("a <|endoftext|> b").tolist()
    assert b"<|endoftext|>" in (out / "tokenizer.json").read_bytes() and b"<|end" not in endless
    data = corpus(text, tokenizer=checkpoint.cutter(out), label=label[1] if label else None)
    assert data.tokenizer == process.tokenizer and data.ended
    assert (torch.cat([data.train, data.valid]) == end).sum() == 60
    canvas = Canvas.prompt(process.tokenizer, "Story", 12)
    canvas.tokens[0, 5], canvas.given[0, 5] = end, True
    *_, frame = until(generate(process, canvas, sampler="left_to_right"), process, "end")
    written = process.tokenizer.decode(frame.tokens[0, :5])
    assert texts_of(process, frame) == [written] and written.startswith("Story")
    assert main(["train", "--resume", "--out", str(out), "--steps", "3"]) in (None, 0)
    assert main(["sample", "--model", str(out), "--prompt", "Story", "--length", "9"]) in (None, 0)


def test_an_end_is_added_only_where_it_is_missed(words, endless, tmp_path):
    """To texts that are no documents nothing is added, and a tokenizer that has END stays as it is,
    byte by byte; a piece that is spelled so becomes END; of several texts each is cut alike."""
    text, plain, path = (tmp_path / name for name in ("text.txt", "plain.txt", "tokenizer.json"))
    text.write_text(DOCUMENTS), plain.write_text(STORY * 9), path.write_bytes(endless)
    assert corpus(plain, tokenizer=str(path)).tokenizer.data == endless
    both = corpus(f"{text}:2,{text}", tokenizer=str(path))
    assert both.ended and both.tokenizer == corpus(text, tokenizer=str(path)).tokenizer
    path.write_bytes(damaged(words, lambda made: made.update(added_tokens=[])))
    assert Subwords(path.read_bytes()).end_id is None
    found = corpus(text, tokenizer=str(path))
    assert found.ended and len(found.tokenizer) == 290
    assert found.tokenizer.end_id == words.end_id
    path.write_bytes(words.data + b"\n")
    assert corpus(text, tokenizer=str(path)).tokenizer.data == words.data + b"\n"


def test_an_end_that_cannot_be_added(endless, tmp_path, monkeypatch):
    """One sentence, where there is no room for a token; and where a tokenizer, which stays what it
    is, is given for documents with labels."""
    text, path = tmp_path / "text.txt", tmp_path / "tokenizer.json"
    text.write_text(DOCUMENTS), path.write_bytes(endless)
    with pytest.raises(ValueError) as told:
        corpus(text, tokenizer=Subwords(endless), label="length")
    assert str(told.value) == (
        "The tokenizer has no token <|endoftext|>, with which a document ends, and so no labels: "
        "leave out the label, or name the tokenizer's file, to which it is added."
    )
    assert not corpus(text, tokenizer=Subwords(endless)).ended
    for name, most in (("MOST", 291), ("MOST_BYTES", len(endless))):
        with monkeypatch.context() as patch, pytest.raises(ValueError) as told:
            patch.setattr(f"tinydiff.text.tokenizers.subwords.{name}", most)
            corpus(text, tokenizer=str(path))
        assert str(told.value) == (
            "The tokenizer 'tokenizer.json' cannot be used: its tokenizer.json has no token "
            "<|endoftext|>, with which a document ends, and no room for it."
        )


def test_no_such_tokenizer(story):
    """A name, a path, plays; one sentence each."""
    for name in ("bpe-", "bpe-x", "words", "/nowhere/tokenizer.json"):
        with pytest.raises(ValueError, match="There is no tokenizer"):
            corpus(story / "story.txt", tokenizer=name)
    with pytest.raises(ValueError, match="read as characters"):
        corpus("shakespeare", tokenizer="bpe-290")


def test_a_tokenizer_of_the_hub(words, story, tmp_path, monkeypatch):
    """By its id, read as a file is; where the Hub does not answer, or gives what is none or is too
    large, one sentence."""
    path, asked = tmp_path / "tokenizer.json", []
    path.write_bytes(words.data)

    def download(*what):
        asked.append(what)
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert corpus(story / "story.txt", tokenizer="owner/name").tokenizer == words
    assert asked == [("owner/name", "tokenizer.json")]
    for data, says in (
        (b"{}", "not one of the library"),
        (b" " * (1 << 23) + b" ", "is over 8,388"),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=says):
            corpus(story / "story.txt", tokenizer="owner/name")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: 1 / 0)
    with pytest.raises(ValueError, match="here, and the Hub gave none .ZeroDivisionError.: name"):
        corpus(story / "story.txt", tokenizer="owner/name")


def test_stories_that_do_not_end_are_told(tmp_path):
    """Where documents are asked for by the name of the file; any other is one text."""
    for name in ("tinystories_train.txt", "other.txt"):
        (tmp_path / name).write_text(STORY * 20)
    with pytest.raises(ValueError, match="'tinystories_train.txt' no story ends: put a line <"):
        corpus(tmp_path / "tinystories_train.txt", tokenizer="bpe-290")
    assert not corpus(tmp_path / "other.txt", tokenizer="bpe-290").ended


def test_documents(tmp_path):
    """Each ends with the end token, none is split between training and validation, and what ends
    them is no text."""
    told = [f"Story {i}: {'the fool sang. ' * (i % 5 + 1)}" for i in range(40)]
    (tmp_path / "stories.txt").write_text("\n<|endoftext|>\n".join(told) + "\n<|endoftext|>\n")
    data = corpus(tmp_path / "stories.txt", tokenizer="bpe-280")
    parts = [data.tokenizer.decode(part) for part in (data.train, data.valid)]
    assert (torch.cat([data.train, data.valid]) == data.tokenizer.end_id).sum() == 40
    assert "".join(parts) == "".join(told) and parts[1].startswith("Story")
    assert data.train[-1] == data.valid[-1] == data.tokenizer.end_id


def test_a_text_in_parts_is_cut_as_the_whole(words):
    """Where it is parted, no token would reach across."""
    rng = random.Random(0)
    text = "".join(
        rng.choice([STORY, "\n\n", " \n ", "\t", "a\n", "'s", " 12"]) for _ in range(3000)
    )
    parts = paragraphs(text)
    assert len(parts) > 8 and "".join(parts) == text
    assert [i for part in words.encode_all(parts) for i in part] == words.encode(text).tolist()


def test_a_space_before_a_blank_belongs_to_it(words):
    """Pieces of words begin with their space: "a ␣ b" has no piece that is one space, and the text
    around it is cut as without the blank. A character stands for itself."""
    canvas = Canvas.template(words, "the ␣␣ king ␣")
    given = canvas.tokens[0][canvas.given[0]].tolist()
    assert given == [*words.encode("the").tolist(), *words.encode(" king").tolist()]
    assert (~canvas.given).sum() == 3
    assert (~Canvas.template(Characters("a "), "a ␣").given[0]).tolist() == [False, False, True]


def test_blanks_of_a_template(words):
    """Each is a token; the sign that is made for it is always one, an underscore only where it
    cannot be written."""
    open_ = ~Canvas.template(words, "a_b ␣␣ fool␣").given[0]
    assert open_.sum() == 3 and open_[-1]
    letters = Characters("ab_ ")
    assert (~Canvas.template(letters, "a_␣b").given[0]).tolist() == [False, False, True, False]
    assert (~Canvas.template(Characters("ab "), "a_␣b").given[0]).tolist() == [
        False,
        True,
        True,
        False,
    ]
    assert (~Canvas.template(Characters("ab␣"), "a␣b").given[0]).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="write '␣' for each of the tokens"):
        Canvas.template(words, "a_b")
    with pytest.raises(ValueError, match="The prompt has 9 tokens and the text only 9"):
        Canvas.prompt(words, "你好吗", 9)


# ---------------------------------------------------------------- exact languages


TOY = exact.Enumerated(
    ["a| king|c|a", "ab|ab|a|c", "c|c| king| king", "ab|c|a|ab"],
    [0.4, 0.3, 0.2, 0.1],
    Pieces("a", "ab", " king", "c"),
)
# texts that end themselves; "ab" is written in two ways, and begins others
TOLD = exact.Enumerated(
    ["ab|$|$|$", "a|b|$|$", "ab|c|a|$", "a|b|c|a", "b|ab|$|$"],
    [0.3, 0.2, 0.25, 0.15, 0.1],
    Pieces("a", "ab", "b", "c", ""),
)
TEXTS_TOLD = {"ab": 0.5, "abca": 0.4, "bab": 0.1}


@pytest.mark.parametrize("name", PROCESSES)
def test_bits_are_of_characters(name, rng):
    """The bound of a perfect network, over the characters that the tokens spell, is the entropy
    over theirs."""
    texts = TOY.sample(1500, 4, rng)
    canvas = Canvas(texts, torch.zeros_like(texts, dtype=torch.bool))
    found = evaluate.bound_over(
        exact.perfect(name, TOY), canvas, draws=4, batch=6000, consecutive=False
    )
    truth = -TOY.log_prob(texts).sum().item() / TOY.tokenizer.counts(texts).sum().item()
    assert abs(found.nats - truth) < 4 * max(found.error, 0.004)
    assert TOY.tokenizer.counts(texts).sum() > 1.7 * texts.numel()


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian", "autoregressive"])
def test_given_tokens_stay_the_tokens_they_are(name):
    """'ab' given as one token is never the two tokens that spell the same."""
    canvas = Canvas(
        TOY.strings[1].repeat(400, 1), torch.tensor([[True, False, False, False]]).repeat(400, 1)
    )
    *_, frame = generate(exact.perfect(name, TOY), canvas, steps=32)
    assert (frame.tokens[:, 0] == 1).all()
    share = (frame.tokens == TOY.strings[1]).all(1).double().mean().item()
    assert abs(share - 0.75) < 0.09


SOME = ("masked", "autoregressive", "block", "uniform")


@pytest.mark.parametrize("name", brief(PROCESSES, lambda name: name in SOME))
def test_texts_have_the_probabilities_of_the_language(name):
    """Not their tokens: a text that can be cut in two ways is as frequent as both together; it is
    over where its END stands. After 'ab' given as one token 'abca' has 5 / 11, whatever follows
    'a', 'b' given as two; where only 'c' fits between them, 'c' is written."""
    process = exact.perfect(name, TOLD)
    process.ends, many = True, 300
    parts = [Canvas.prompt(TOLD.tokenizer, text, 4, batch=many) for text in ("", "ab", "a|b")]
    tokens, given = (torch.cat([getattr(p, x) for p in parts]) for x in ("tokens", "given"))
    *_, frame = generate(process, Canvas(tokens, given), steps=64, seed=5)
    texts = texts_of(process, frame)
    told = {"ab": 6 / 11, "abca": 5 / 11}, {"ab": 4 / 7, "abca": 3 / 7}
    for k, shares in enumerate((TEXTS_TOLD, *told)):
        found = Counter(texts[k * many : (k + 1) * many])
        assert sum(found[text] for text in shares) > 0.97 * many
        for text, share in shares.items():  # four standard errors
            assert abs(found[text] / many - share) < 4 * (share * (1 - share) / many) ** 0.5
    if "causal" not in process.traits and "blocks" not in process.traits:
        gap = Canvas(TOLD.strings[3].repeat(50, 1), TOLD.strings[3].repeat(50, 1) != 3)
        *_, frame = generate(process, gap, steps=16, seed=5)
        assert texts_of(process, frame) == ["abca"] * 50


@pytest.mark.parametrize("name", brief(PROCESSES, lambda name: name in SOME))
def test_bits_of_texts_that_can_be_cut_in_two_ways(name, rng):
    """The bound over one cut of each is above the entropy of texts, by what the cut still tells;
    END and what lies behind it spell nothing, and are paid for."""
    tokens = TOLD.sample(1500, 4, rng)
    canvas = Canvas(tokens, torch.zeros_like(tokens, dtype=torch.bool))
    found = evaluate.bound_over(
        exact.perfect(name, TOLD), canvas, draws=4, batch=6000, consecutive=False
    )
    characters = TOLD.tokenizer.counts(tokens).sum().item()
    truth = -TOLD.log_prob(tokens).sum().item() / characters
    assert abs(found.nats - truth) < 4 * max(found.error, 0.004)
    told = map(TOLD.tokenizer.decode, tokens)
    texts = -sum(math.log(TEXTS_TOLD[text]) for text in told) / characters
    assert truth > texts + 0.1


def test_tokenizers_are_found():
    """Every kind that there is says how its tokens are called, and its files can be told from
    others'."""
    assert {"characters", "subwords"} <= TOKENIZERS.keys()
    with pytest.raises(ValueError, match="characters or subwords"):
        tokenizers.load({"tokenizer": {"kind": "none"}}, lambda name, limit: b"")
