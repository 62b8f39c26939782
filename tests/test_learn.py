"""The tab Train: what visitors may learn from, what is kept of it and for whom, and that nothing
else stays anywhere."""

import io
import json
import math
import tempfile
import time
import zipfile
from pathlib import Path

import gradio as gr
import pytest

from tests.conftest import brief
from tests.loopback import Hub
from tinydiff.measure import own
from tinydiff.paths import STATIC
from tinydiff.processes import PROCESSES
from tinydiff.store import catalogue, checkpoint, hub
from tinydiff.ui import denoise, learn, request, visitor_models
from tinydiff.ui.session import Job, Session

TEXT = (STATIC / "rhymes.txt").read_text("utf-8")
VERSE = (Path(__file__).parent / "verse.txt").read_text("utf-8")
SECRET_LINE = "Mulberry-77 stands here and nowhere else.\n"
FILES = {"config.json", "model.safetensors", "metrics.jsonl", "README.md"}
TOKEN = "hf_NotARealTokenButAsLongAsOne42"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where temporary files are made in this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def cache(monkeypatch):
    """An empty cache."""
    fresh = visitor_models.ModelCache()
    monkeypatch.setattr(visitor_models, "CACHE", fresh)
    return fresh


class Visitor:
    """A session of the page, without the page."""

    def __init__(self, name: str):
        self.session, self.request = Session(), gr.Request(session_hash=name)

    def train(self, text=TEXT, noise="masked", minutes=0.02, tokens="characters"):
        self.session.begin("train").kept = learn.Lesson(text, noise, minutes, tokens)
        return learn.follow(self.session, self.request)


def refusal(call, *values) -> str:
    with pytest.raises(gr.Error) as caught:
        call(*values)
    return caught.value.message


def owned(session="someone") -> visitor_models.VisitorModel:
    return visitor_models.VisitorModel(
        catalogue.open_model("perfect-masked"), "yours", b"", session
    )


# ---------------------------------------------------------------- what may be asked

BAD = [
    (("", "masked", 1), "no text"),
    ((" \n" * 2000, "masked", 1), "no text"),
    ((None, "masked", 1), "give a text"),
    (("abc " * 400, "masked", 1), "1,600 characters"),
    (("a" * 3000, "masked", 1), "alone"),
    (("ab " * 400_000, "masked", 1), "1 MB"),
    (("é" * 300_000 + "e" * 500_000, "masked", 1), "1 MB"),
    (("".join(map(chr, range(0x4E00, 0x5E01))), "masked", 1), "4,097 different"),
    ((TEXT + "\0", "masked", 1), "no UTF-8 text"),
    ((TEXT + "\ufffd", "masked", 1), "no UTF-8 text"),
    ((TEXT + "\ud800", "masked", 1), "no UTF-8 text"),
    ((TEXT, "nonsense", 1), "nonsense"),
    ((TEXT, None, 1), "no noise"),
    ((TEXT, "masked", 1, "words"), "no tokens"),
    *(
        ((TEXT, "masked", minutes), "minutes")
        for minutes in (math.nan, math.inf, 0, -1, 6, "one", None, True)
    ),
]


@pytest.mark.parametrize("values,word", BAD, ids=range(len(BAD)))
def test_a_bad_wish_is_one_sentence(values, word):
    """It is refused before anything is learned, in one short sentence that names what is wrong."""
    words = refusal(learn.read, *values)
    assert (
        word in words and 10 < len(words) < 300 and "\n" not in words and "Traceback" not in words
    )


def test_the_limits_themselves_are_allowed():
    """The shortest text, the longest, the richest alphabet and both ends of the minutes are
    taken."""
    rich = "".join(map(chr, range(0x4E00, 0x4E00 + learn.ALPHABET))) * 10
    for text in (rich, "ab" * (learn.SHORTEST // 2), "ab" * (learn.LARGEST // 2)):
        for minutes in learn.MINUTES:
            assert learn.read(text, "masked", minutes).text == text
    richer = "".join(map(chr, range(0x4E00, 0x4E00 + 2 * learn.ALPHABET)))
    assert learn.read(richer, "masked", 1, "pieces of words").text == richer


# ---------------------------------------------------------------- learning


def test_ready_texts_can_be_learned():
    """Each is long enough, and what counting reaches on its last tenth is better than nothing."""
    for name in learn.EXAMPLES:
        lesson = learn.read(learn.example(name), "masked", 1.0)
        cut = int(0.9 * len(lesson.text))
        letters, pairs = own.counted(lesson.text[:cut], lesson.text[cut:])
        assert pairs < letters < lesson.nats
    assert "no example" in refusal(learn.example, "nothing")


def test_what_a_training_says_of_itself(cache):
    """How often it has read the text, what it knows beside counting, and the same measures of what
    it writes and of what it never saw; nothing before it has begun."""
    lesson = learn.Lesson(TEXT, "masked", 0.03)
    assert learn.Curve(lesson).value("waiting")["said"] == ""
    *_, value = learn.learn(lesson, Job(), lambda *_: None)
    read = value["step"] * learn.TINY.batch * learn.TINY.shape["length"]
    said = float(value["said"].split()[2].replace(",", ""))
    assert said == pytest.approx(read, rel=0.06)
    knows = value["valid"][-1][1]
    (_, letters), (_, pairs) = value["levels"]
    word = "some words" if knows < pairs else "how often" if knows < letters else "only counted"
    assert word in value["said"] and pairs < letters < value["nats"]
    held = TEXT[int(0.9 * len(TEXT)) :]
    for (_, wrote, own_share), measure in zip(value["rows"], learn.MEASURES.values()):
        assert 0 <= wrote <= 1 and own_share == measure([held], TEXT[: -len(held)])


def test_the_noises_are_offered_once():
    """Under one name each."""
    names = [name for _, name in learn.noises()]
    assert sorted(names) == sorted(set(names)) == sorted(PROCESSES)


@pytest.mark.parametrize("noise", brief(PROCESSES, lambda noise: noise in {"masked", "gaussian"}))
def test_every_noise_learns_and_plays(noise, cache):
    """A training shows a loss that falls from the start, samples and a validation; its model writes
    in Denoise for its visitor."""
    visitor = Visitor("one")
    # the search for its windows of times comes before its first step
    minutes = 0.2 if noise == "block" else 0.04
    *_, (value, take) = visitor.train(noise=noise, minutes=minutes)
    assert value["state"] == "done" and take["visible"] and value["step"] >= 3
    assert (
        min(loss for _, loss in value["points"]) < value["nats"]
        and value["samples"][-1]["step"] == value["step"]
    )
    asked = request.read(
        {"model": visitor_models.NAME, "prompt": "", "length": 96, "steps": 2}, visitor.session
    )
    *_, last = denoise.TAB.alone(asked)
    assert last["done"] and asked.process.name == noise


@pytest.mark.long
def test_chinese_verse_is_learned_in_pieces(cache):
    """The loss begins near what a model that knows nothing needs, nats a character; the model
    writes verse in Denoise, also after a prompt of signs that it never saw."""
    visitor = Visitor("one")
    *_, (value, _) = visitor.train(VERSE, minutes=0.04, tokens="pieces of words")
    text = visitor.session.trained_model().process.tokenizer
    tokens = len(text.encode(VERSE)) / len(VERSE)
    assert value["state"] == "done" and value["nats"] == pytest.approx(
        math.log(len(text)) * tokens, rel=0.1
    )
    asked = request.read(
        {"model": visitor_models.NAME, "prompt": "龘ñ", "length": 96, "steps": 2}, visitor.session
    )
    assert asked.process.tokenizer.decode(asked.canvas.tokens[0]).startswith("龘ñ")


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """What a visitor's training left: the model, and the folder in which its temporary files
    were."""
    place = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(place))
        patched.setattr(visitor_models, "CACHE", visitor_models.ModelCache())
        visitor = Visitor("one")
        list(visitor.train())
        return visitor.session.trained_model(), place


@pytest.fixture(scope="module")
def learned(taught):
    """A model that was trained for a second."""
    return taught[0]


@pytest.fixture
def owner(cache, learned):
    """The visitor who trained it."""
    visitor = Visitor("one")
    visitor.session.secret = cache.add(learned)
    return visitor


def test_what_can_be_downloaded(owner, taught, place):
    """The zip holds a checkpoint that loads, its card and its curve; none of them names a folder of
    this machine."""
    with zipfile.ZipFile(learn.zipped(owner.session)) as files:
        assert set(files.namelist()) >= FILES
        held = {name: files.read(name) for name in files.namelist()}
        files.extractall(place / "out")
    assert checkpoint.load(place / "out").name == "masked"
    assert json.loads(held["config.json"])["corpus"] == learn.NAME
    folders = (str(place).encode(), str(taught[1]).encode(), b"tinydiff-0")
    assert not any(folder in content for content in held.values() for folder in folders)
    assert json.loads(held["metrics.jsonl"].splitlines()[-1])["valid"] > 0


def test_stop_keeps_what_was_learned(cache):
    """After Stop no further step is taken, and the model of that step is the visitor's."""
    visitor = Visitor("one")
    training = visitor.train(minutes=5)
    while not (value := next(training)[0])["points"]:
        pass
    visitor.session.stop("train")
    *_, (last, take) = training
    assert (
        last["state"] == "stopped"
        and take["visible"]
        and value["step"] <= last["step"] <= value["step"] + 50
    )
    with zipfile.ZipFile(io.BytesIO(visitor.session.trained_model().archive)) as files:
        assert json.loads(files.read("config.json"))["step"] == last["step"]


def test_stop_before_the_turn_comes(cache):
    """Who stops while others train gets no training."""
    visitor = Visitor("one")
    training = visitor.train()
    visitor.session.stop("train")
    assert [value["state"] for value, _ in training] == [
        ""
    ] and visitor.session.trained_model() is None


@pytest.mark.parametrize("how", ["finished", "stopped", "closed"])
def test_nothing_stays_on_the_disk(how, place, cache):
    """The text is on the disk at no step; when the training ends, however it ends, nothing of it
    is."""
    visitor = Visitor("one")
    training = visitor.train(text=TEXT + SECRET_LINE * 20)
    next(training), next(training)
    lying = [path for path in place.rglob("*") if path.is_file()]
    assert lying and not any(SECRET_LINE.encode() in path.read_bytes() for path in lying)
    if how == "closed":
        training.close()
    else:
        visitor.session.stop("train") if how == "stopped" else None
        list(training)
    assert list(place.iterdir()) == []
    assert (visitor.session.trained_model() is None) == (how == "closed")


def test_a_training_that_goes_wrong(monkeypatch, place):
    """It ends in one sentence without a folder's name, and leaves nothing behind."""

    def wrong(*_):
        raise learn.TrainingError(
            f"The loss is not finite; the last good checkpoint is in {place}."
        )

    monkeypatch.setattr(learn, "steps_of", wrong)
    words = refusal(list, learn.learn(learn.Lesson(TEXT, "masked", 0.02), Job(), lambda *_: None))
    assert "another noise" in words and str(place) not in words and list(place.iterdir()) == []


# ---------------------------------------------------------------- whose it is


def test_nobody_else_has_it(owner):
    """Another visitor neither finds it in a menu nor opens it by its name; the one who trained it
    does both."""
    one, other = owner, Visitor("other")
    assert visitor_models.NAME in one.session.local_models() and visitor_models.NAME not in {
        **other.session.local_models(),
        **catalogue.models(),
    }
    assert "who trained it" in refusal(
        request.read, {"model": visitor_models.NAME, "prompt": ""}, other.session
    )
    assert "gone" in refusal(learn.play_with, other.session) and "gone" in refusal(
        learn.zipped, other.session
    )
    assert learn.play_with(one.session)[0]["selected"] == "denoise"


def test_a_link_does_not_carry_it(owner):
    """The link and the values that reach the browser hold no secret."""
    one = owner
    asked = request.read(
        {"model": visitor_models.NAME, "prompt": "", "steps": 2, "length": 32}, one.session
    )
    *_, value = denoise.TAB.alone(asked)
    assert one.session.secret and one.session.secret not in json.dumps(value) + request.query(
        asked.settings
    )


def test_a_full_cache_refuses_the_newcomer(cache):
    """Nobody's model makes room for another's: who comes when it is full is told so, before they
    train and if they have trained; who has a model there may train again, and when one leaves there
    is room.
    """
    secrets = [cache.add(owned(f"session {i}")) for i in range(visitor_models.MOST)]
    assert len(set(secrets)) == visitor_models.MOST and min(map(len, secrets)) >= 32
    visitor = Visitor("newcomer")
    wish = (visitor.session, TEXT, "masked", 1.0, "characters")
    for words in (refusal(learn.ask_for, *wish, visitor.request), refusal(list, visitor.train())):
        assert "no room" in words and "\n" not in words
    with pytest.raises(ValueError, match="no room"):
        cache.add(owned("newcomer"))
    assert all(cache.find(secret) for secret in secrets)
    assert learn.ask_for(*wish, gr.Request(session_hash="session 3"))[0]["state"] == "waiting"
    cache.remove(secrets[5])
    assert learn.ask_for(*wish, visitor.request)[0]["state"] == "waiting"


def test_files_go_with_the_visit(cache, learned, place):
    """What was downloaded lies in one place, from which it is served; when the visit is over it is
    gone, and the model too."""
    visitor = Visitor("one")
    visitor.session.secret = cache.add(learned)
    path = Path(learn.zipped(visitor.session))
    assert path.is_file() and path.is_relative_to(place / "gradio")
    visitor.session.end()
    assert not list((place / "gradio").iterdir()) and visitor.session.trained_model() is None


def test_the_cache_forgets(monkeypatch):
    """A session's model goes with the session or with its next model; every model goes after an
    hour."""
    cache = visitor_models.ModelCache()
    first, second, other = cache.add(owned("a")), cache.add(owned("a")), cache.add(owned("b"))
    assert cache.find(first) is None and cache.find(second)
    cache.forget("a")
    assert cache.find(second) is None and cache.find(other)
    later = time.monotonic() + visitor_models.LIFE + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert cache.find(other) is None and not cache.models


# ---------------------------------------------------------------- pushing


def test_a_push_hands_on_the_files_and_the_token(owner, monkeypatch, place, capfd):
    """The Hub gets the four files, the visitor's wish and the token, which is then nowhere: not in
    the answer, on the disk, in what the visitor keeps on the page, or in the log.
    """
    got = {}

    def push(folder, repo_id, *, private, token):
        got.update(
            files=sorted(path.name for path in Path(folder).iterdir()),
            repo=repo_id,
            private=private,
            token=token,
        )
        return f"https://huggingface.co/{repo_id}"

    monkeypatch.setattr(hub, "push", push)
    said = learn.pushed(owner.session, " user/name ", True, TOKEN)
    assert set(got.pop("files")) >= FILES
    assert got == dict(repo="user/name", private=True, token=TOKEN)
    assert "user/name" in said and list(place.iterdir()) == []
    assert TOKEN not in said + repr(vars(owner.session)) + "".join(capfd.readouterr())


def test_a_push_to_a_hub(owner, monkeypatch, capfd):
    """On a Hub it is a private repository under the visitor's name whose card names it; only the
    visitor's token was ever sent, and the files do not hold it; a token that the Hub does not know
    is one sentence without it.
    """
    from huggingface_hub import constants

    with Hub({TOKEN: "user"}) as here:
        (
            monkeypatch.setattr(constants, "ENDPOINT", here.url),
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False),
        )
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        assert f"{here.url}/user/name" in learn.pushed(owner.session, "user/name", True, TOKEN)
        repo = here.model("user/name")
        assert (
            repo.private
            and repo.files().keys() >= FILES
            and b'load("user/name")' in repo.files()["README.md"]
        )
        assert here.sent_tokens() == {TOKEN} and not any(
            TOKEN.encode() in data for data in repo.files().values()
        )
        words = refusal(learn.pushed, owner.session, "user/other", True, TOKEN[::-1])
    assert "\n" not in words and TOKEN[::-1] not in words + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "repo,token,word",
    [
        ("user/name", "", "token"),
        ("user/name", "hf_with space", "token"),
        ("user/name", "hf_line\nbreak", "token"),
        ("user/name", "x" * 9999, "token"),
        ("user/name", None, "token"),
        ("user/name", 5, "token"),
        ("nonsense", TOKEN, "Hub id"),
        ("../../etc", TOKEN, "Hub id"),
        ("", TOKEN, "Hub id"),
        (None, TOKEN, "repository"),
        ("user/name", TOKEN, "push"),
    ],
)
def test_a_push_that_cannot_be_is_one_sentence(owner, repo, token, word, capfd, place):
    """A token or a name that cannot be right, and a Hub that is not reached: one sentence each, and
    no token in it or the log."""
    words = refusal(learn.pushed, owner.session, repo, True, token)
    assert word in words and "\n" not in words and len(words) < 300
    said = words + "".join(capfd.readouterr())
    assert "Traceback" not in said and (
        not isinstance(token, str) or len(token) < 8 or token not in said
    )
    assert list(place.iterdir()) == []


def test_the_login_of_a_space(owner, monkeypatch):
    """Where a Space offers the login of the Hub it takes the place of the token; without one there
    is a sentence."""
    assert not learn.can_login()
    monkeypatch.setenv("SPACE_ID", "user/space"), monkeypatch.setenv("OAUTH_CLIENT_ID", "id")
    assert learn.can_login()
    assert "not logged in" in refusal(
        learn.pushed_logged_in, owner.session, "user/name", True, None
    )
