"""Tokenizer, Canvas, corpora and windows, and each bad input with its sentence."""

import pytest
import torch

from tinydiff.text import MAX_CANVAS, Canvas, Tokenizer, check_window, corpus, random_given, windows


@pytest.fixture
def tokenizer():
    return Tokenizer.of("hello world\n")


def test_round_trip(tokenizer):
    """decode undoes encode, and the mask is shown as a dot."""
    assert tokenizer.decode(tokenizer.encode("hold well")) == "hold well"
    assert tokenizer.decode(torch.tensor([tokenizer.mask_id])) == "·"
    assert tokenizer.mask_id == len(tokenizer) == 9


def test_an_unknown_character_is_named_with_its_place(tokenizer):
    """Which, and where."""
    with pytest.raises(ValueError, match=r"'x' at position 3"):
        tokenizer.encode("hex")


SHAKESPEARE = Tokenizer("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize("typed,means", [
    ("’tis ‘so’", "'tis 'so'"), ("“Ay”", "'Ay'"), ('"Ay"', "'Ay'"), ("come—go", "come--go"), ("a–b ‐ ‑ −", "a-b - - -"),
    ("well…", "well..."), ("my\u00a0lord", "my lord"), ("ﬁre, ﬂag", "fire, flag"), ("ＲＯＭＥＯ：", "ROMEO:"), ("so\u00adft\u200b", "soft"),
    ("a\r\nb\u2028c\td", "a\nb\nc d"),
])  # fmt: skip
def test_typographic_characters_are_written_plainly(typed, means):
    """As prompt, suffix and template; the length counts what is then written."""
    assert SHAKESPEARE.typed(typed) == means
    assert SHAKESPEARE.decode(SHAKESPEARE.encode(typed)) == means
    canvas = Canvas.prompt(SHAKESPEARE, typed, len(means) + 5, suffix="…")
    assert SHAKESPEARE.decode(canvas.tokens[0][canvas.given[0]]) == means + "..."
    canvas = Canvas.template(SHAKESPEARE, typed + "_" + typed)
    assert canvas.given[0].tolist() == [True] * len(means) + [False] + [True] * len(means)


def test_what_an_alphabet_has_stays_as_it_is():
    """A model that learned curly quotes and dashes writes them; an accent that is typed apart finds its letter; what the
    alphabet has not even plainly stays, to be named."""
    own = Tokenizer("’'“\"—-… .é")
    assert own.typed("’“—… é") == "’“—… é" and own.typed("e\u0301") == "é"
    assert Tokenizer("ab").typed("a“—…b") == "a“—…b"
    assert Tokenizer("a…").typed("a...") == "a..."


def test_strange_characters_are_named_and_nothing_is_listed():
    """Each once, the first with its place, and what to do; an alphabet of 65 is no part of a sentence."""
    with pytest.raises(ValueError) as error:
        SHAKESPEARE.encode("naïve café, 5 € or 7 € 中")
    said = str(error.value)
    assert all(repr(c) in said for c in "ïé5") and "at position 3" in said and "3 more" in said and "leave them out" in said
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


@pytest.mark.parametrize("make,says", [
    (lambda t: Canvas.prompt(t, "hello world", 8), "shorten the prompt"),
    (lambda t: Canvas.prompt(t, "hello", 5), "shorten the prompt"),
    (lambda t: Canvas.template(t, ""), "no blank"),
    (lambda t: Canvas.template(t, "hello"), "no blank"),
    (lambda t: Canvas.template(t, "h_l", blank="h"), "cannot stand for a blank"),
    (lambda t: Canvas.template(t, "x_"), "'x' at position 1"),
    (lambda t: Canvas.blank(0), "at least one character"),
    (lambda t: Canvas.blank("9"), "at least one character"),
    (lambda t: Canvas.blank(MAX_CANVAS + 1), "more than"), (lambda t: Canvas.blank(10**400), "more than"),
])  # fmt: skip
def test_bad_canvases_are_told(tokenizer, make, says):
    """One sentence each."""
    with pytest.raises(ValueError, match=says) as error:
        make(tokenizer)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize("data,says", [
    (b"", "empty"), (b"abc\0def", "binary"), ("é".encode("latin-1") * 9, "not UTF-8 at byte 0"),
])  # fmt: skip
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
    """The first 90 % train, the rest validates; nothing is lost; one shorter than a window is told."""
    path = tmp_path / "text.txt"
    path.write_bytes(b"abcdefghij\r\n" * 100)
    data = corpus(path)
    assert (len(data.train), len(data.valid)) == (990, 110)
    assert data.text + data.tokenizer.decode(data.valid) == "abcdefghij\n" * 100
    check_window(data, 100)
    with pytest.raises(ValueError, match="at least 2,560 characters or a smaller length"):
        check_window(data, 256)


@pytest.mark.parametrize("label,classes", [("genre", 6), ("play", 38), ("speaker", 65)])
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
