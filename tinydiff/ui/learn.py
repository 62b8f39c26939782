"""The tab Train yours: a visitor's own text, a tiny model, a few minutes; then it is played with on
Watch, downloaded or pushed. How good it is, is measured on the text itself (measure/own.py): on the
last tenth, which it never sees.

The text is written to a file for the trainer to read, and removed before the first step. What was
learned is kept by visitor_models.py for the visit. `python -m tinydiff.ui.recordings train`
records the first view.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import gradio as gr

from tinydiff.endings import texts_of
from tinydiff.generate import check_number, generate
from tinydiff.measure import own
from tinydiff.paths import STATIC
from tinydiff.processes import PROCESSES, Process
from tinydiff.runs import DEFAULTS
from tinydiff.runs import text as checked_text
from tinydiff.store import card, catalogue, checkpoint, hub
from tinydiff.text import Canvas, Corpus
from tinydiff.train.loop import PRESETS, Progress, TrainingError, TrainingRun, start
from tinydiff.ui import denoise, downloads, recording, visitor_models
from tinydiff.ui.errors import one_of, refusal, refusals
from tinydiff.ui.fields import fields_of
from tinydiff.ui.fields import noises as noise_menu
from tinydiff.ui.request import read as read_run
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import QUICK, QUIET, SAMPLE, Panel, Site, Tab, first_model

SHORTEST, LARGEST = 2_000, 1_000_000  # characters; bytes
# different characters, each of them a token, as many as a long Chinese novel has: a step takes two
# to seven times as long as with 65, and still a few minutes hold hundreds of them
ALPHABET = 4096
UNITS = {"characters": "characters", "pieces of words": "bpe-1024"}  # what tokens are
MINUTES = (0.1, 5)
USUAL = dict(noise="masked", minutes=1.0, tokens="characters")
RATE = 0.01  # of learning: what a few hundred steps profit from most
NAME = "your text"  # what cards and files call it
POINTS, SLICE = 240, 0.25  # of the curve at the most; seconds that a point stands for at the least
VALIDATED = 200  # steps between two validations
BETWEEN_SAMPLES = 1.2  # seconds between samples at the least
MORE = 0.15  # and this share of the time that has passed
LINES = 3  # windows a sample
JUDGED = 32  # windows that are written at the end to be measured
# texts that are ready to be learned, by the names of their files
EXAMPLES = {
    "short names": "names",
    "riddles": "riddles",
    "weather reports": "weather",
    "nursery rhymes": "rhymes",
}
STEPS = 32  # in Watch to begin with, for each window of a small network
MOST = 100_000  # steps
FILLED = 0.9  # the share of the minutes that they may take; validations come on top
SPARE = 60.0  # seconds that samples, validations and a busy machine may add
LATE = "The training took longer than its minutes, so it was ended: what was learned stays."
TRAIN = dict(concurrency_id="train", concurrency_limit=1)


@dataclass(frozen=True)
class Lesson:
    """What is to be learned, checked. minutes: counted from the first step; tokens: one of
    UNITS."""

    text: str = field(repr=False)
    noise: str
    minutes: float
    tokens: str = USUAL["tokens"]

    @property
    def seconds(self) -> float:
        return 60 * self.minutes

    @property
    def nats(self) -> float:
        """The nats a character of a model that knows only the alphabet: log V."""
        return math.log(len(set(self.text)))


def read(text: object, noise: object, minutes: object, tokens: object = USUAL["tokens"]) -> Lesson:
    """Check everything, before anything is written or learned. Raises gr.Error in one sentence."""
    one_of("noise", noise, PROCESSES)
    one_of("tokens", tokens, UNITS)
    with refusals():
        check_number("minutes", minutes, *MINUTES)
        most = ALPHABET if tokens == USUAL["tokens"] else math.inf
        text = readable(checked_text("text", text), most)
        return Lesson(text, noise, float(minutes), tokens)


def readable(text: str, most: float = ALPHABET) -> str:
    """The text, if a model can learn from it; it may have `most` different characters. Raises
    ValueError that says what is wrong with it."""
    if not text.strip():
        raise ValueError("There is no text yet: paste one, open a file, or take a ready one.")
    if not set(text).isdisjoint("\0\x7f\ufffd") or any(
        "\ud800" <= c <= "\udfff" for c in set(text)
    ):
        raise ValueError(
            "This is no UTF-8 text, but a binary file or one in another encoding: save it as "
            "plain UTF-8."
        )
    if len(text.encode()) > LARGEST:
        raise ValueError(f"The text is larger than {LARGEST // 1_000_000} MB: give a part of it.")
    if len(text) < SHORTEST:
        raise ValueError(
            f"The text has {len(text):,} characters; there is too little to learn in fewer "
            f"than {SHORTEST:,}."
        )
    kinds = len(set(text))
    if kinds < 2:
        raise ValueError(f"The text is the character {text[0]!r} alone: there is nothing to learn.")
    if kinds > most:
        raise ValueError(
            f"The text has {kinds:,} different characters, and {most:,} is the most that are each "
            "a token: learn it in pieces of words, which write any character."
        )
    return text


# ---------------------------------------------------------------- what is seen of it


@dataclass
class Curve:
    """A training so far: the loss averaged over slices of time, validations, samples."""

    lesson: Lesson
    points: list[tuple[float, float]] = field(default_factory=list)  # seconds, nats a character
    valid: list[tuple[float, float]] = field(default_factory=list)
    samples: list[dict] = field(default_factory=list)  # newest last
    slice: list[float] = field(default_factory=list)  # losses of the slice that is being filled
    step: int = 0
    seconds: float = 0.0
    nats: float = 0.0  # a character, of a model that knows nothing but what its tokens are
    levels: list = field(default_factory=list)  # (name, nats a character) of who only counts
    rows: list = field(default_factory=list)  # what is written beside what is held out (`judge`)
    held: str = ""  # what the model never sees
    width: float = 1.0  # characters a token

    def __post_init__(self):
        self.nats = self.lesson.nats

    def begin(self, data: Corpus) -> None:
        """The text is cut into tokens."""
        tokens = len(data.train) / data.tokenizer.counts(data.train).sum().item()
        self.width = 1 / tokens
        self.nats = math.log(len(data.tokenizer)) * tokens
        self.held = data.tokenizer.decode(data.valid)
        found = own.counted(data.text, self.held)
        self.levels = [(name, round(nats, 4)) for name, nats in zip(COUNTED, found)]

    def take(self, progress: Progress, seconds: float) -> bool:
        """Add a step; returns whether a slice of time is complete."""
        self.step, self.seconds = progress.step, seconds
        self.slice.append(progress.loss)
        if progress.valid is not None:
            self.valid.append((round(seconds, 2), round(progress.valid, 4)))
        full = seconds - (self.points[-1][0] if self.points else 0) >= max(
            SLICE, self.lesson.seconds / POINTS
        )
        if full:
            self.points.append((round(seconds, 2), round(sum(self.slice) / len(self.slice), 4)))
            self.slice = []
        return full

    def add_sample(self, process: Process) -> None:
        """Let the model write a sample, always from the same noise."""
        self.samples.append(
            dict(seconds=round(self.seconds, 1), step=self.step, texts=written(process))
        )

    def judge(self, process: Process) -> None:
        """Measure what the model writes, and the held-out text in the same way, on the rest."""
        learned = self.lesson.text[: -len(self.held)]
        texts = written(process, JUDGED)
        self.rows = [
            [name, measure(texts, learned), measure([self.held], learned)]
            for name, measure in MEASURES.items()
        ]

    def said(self) -> str:
        """What the time has bought, in a sentence or two; "" before the first validation."""
        if not self.valid or not self.levels:
            return ""
        now, best = self.valid[-1][1], min(nats for _, nats in self.valid)
        (_, alone), (_, pairs) = self.levels
        learned = (
            "more than letters in pairs: it knows some words, and what stands beside them."
            if now < pairs
            else "more than how often each letter comes, and less than which follows which."
            if now < alone
            else "less than somebody who only counted letters: give it more time, or more text."
        )
        heart = " It begins to know its text by heart." if now > HEART * best else ""
        return (
            f"It read {self.read:,} characters, {self.times} your text. It knows {learned}{heart}"
        )

    @property
    def read(self) -> int:
        """How many characters it has read, to two digits; a character each time it is read."""
        many = self.step * TINY.batch * TINY.shape["length"] * self.width
        return int(float(f"{many:.2g}"))

    @property
    def times(self) -> str:
        """How often that is the text that it learns from."""
        often = self.read / max(1, len(self.lesson.text) - len(self.held))
        return (
            f"{often:.0f} times" if often >= 2 else "about once" if often >= 0.75 else "a part of"
        )

    def value(self, state: str) -> dict:
        """What the panel draws. state: "waiting", "learning", "stopped" or "done"."""
        return dict(
            state=state,
            family=self.lesson.noise,
            minutes=self.lesson.minutes,
            seconds=round(self.seconds, 1),
            step=self.step,
            nats=round(self.nats, 4),
            points=self.points,
            valid=self.valid,
            samples=self.samples,
            levels=self.levels,
            rows=self.rows,
            said=self.said(),
        )


COUNTED = ("letters counted", "letters in pairs")
MEASURES = {
    "words that stand in your text": own.words_in,
    f"copied from it, {own.RUN} letters in a row or more": own.copied,
}
TINY = PRESETS["tiny"]
HEART = 1.05  # times its best bound


def written(process: Process, many: int = LINES) -> list[str]:
    *_, frame = generate(
        process,
        Canvas.blank(process.length, many),
        steps=64,
        seed=1,
        temperature=DEFAULTS["temperature"],
    )
    return texts_of(process, frame)


# ---------------------------------------------------------------- learning


def learn(lesson: Lesson, job: Job, store: Callable[[Path, int], None]) -> Iterator[dict]:
    """Values for the panel while a model learns, for as long as its job is wanted; `store` gets the
    folder of the checkpoint and its step.

    Everything on the disk goes when the generator ends or is closed. Raises gr.Error in one
    sentence.
    """
    curve = Curve(lesson)
    yield curve.value("learning")
    with refusals(), tempfile.TemporaryDirectory(prefix="tinydiff-") as folder:
        try:
            yield from steps_of(curve, begun(lesson, Path(folder)), job)
        except TrainingError:
            raise ValueError(
                "The loss is no longer a number, so this training ended: try another noise."
            ) from None
        except checkpoint.CheckpointError:
            raise ValueError(
                "What was learned could not be saved, this machine has no room: try again later."
            ) from None
        store(Path(folder) / "model", curve.step)
    yield curve.value("done" if job.wanted else "stopped")


def begun(lesson: Lesson, folder: Path) -> TrainingRun:
    """The run that fills the minutes, in folder/model; the text is read, and gone before the first
    step."""
    path = folder / f"{NAME}.txt"
    path.write_text(lesson.text, encoding="utf-8")
    try:
        return start(
            replace(
                PRESETS["tiny"],
                process=lesson.noise,
                corpus=str(path),
                tokenizer=UNITS[lesson.tokens],
                out=str(folder / "model"),
                lr=RATE,
                steps=MOST,
                device="cpu",
                minutes=FILLED * lesson.minutes,
                validate_every=VALIDATED,
                save_every=MOST,
            )
        )
    finally:
        path.unlink()


def steps_of(curve: Curve, run: TrainingRun, job: Job) -> Iterator[dict]:
    """Take the steps while they are wanted, then save and write the card."""
    curve.begin(run.data)
    began, next_sample = time.monotonic(), BETWEEN_SAMPLES
    for progress in run.steps():
        fresh = curve.take(progress, time.monotonic() - began)
        if curve.seconds > next_sample:
            curve.add_sample(progress.process)
            next_sample = curve.seconds + max(BETWEEN_SAMPLES, MORE * curve.seconds)
            fresh = True
        if fresh:
            yield curve.value("learning")
        if not job.wanted:
            break
        if curve.seconds > curve.lesson.seconds + SPARE:
            gr.Warning(LATE, title="Time is over")
            break
    curve.add_sample(progress.process)
    curve.judge(progress.process)
    run.save()
    card.write(run.out)


# ---------------------------------------------------------------- the tab


def about() -> str:
    """What a few minutes buy, beside what the first model of the page took."""
    known, took = catalogue.card_of(first_model()), ""
    if known:
        hours = (known.config["seconds"] + known.config.get("before", {}).get("seconds", 0)) / 3600
        took = f" that took the model of Watch {hours:.0f} hours, and a larger network."
    return (
        "Your own text, a tiny network, a few minutes: watch letters, then words come. A minute "
        f"buys spelling and short phrases, not sense:{took or ' that takes hours.'} Your text is "
        "read, never kept; the model is yours for this visit."
    )


def build(site: Site) -> None:
    """The widgets and handlers of the tab; Watch, where one plays, is built before it."""
    gr.Markdown(about())
    session = site.session
    text, noise, tokens, minutes, go, stop = build_fields()
    with gr.Column(visible=False, elem_id="learn-take") as take:
        play, ask = build_take(session)
    file = gr.DownloadButton("Download", visible="hidden", elem_id="file-model")
    panel = Panel("train", recording.load("train") or None)
    line = dict(concurrency_id="learn", concurrency_limit=8)
    asked = go.click(
        ask_for, [session, text, noise, minutes, tokens], [panel, take], **line, **QUIET
    )
    asked.success(follow, session, [panel, take], **QUIET, **TRAIN)
    stop.click(lambda session: session.stop(TAB.name), session, None, **QUICK)
    played = play.click(play_with, session, [site.tabs, *site.fields], **QUIET)
    played.success(None, None, None, js="() => { tinydiff.come('denoise'); return []; }")
    fields = [session, *site.fields[1:]]
    run = dict(fn=denoise.TAB.start, inputs=fields, outputs=site.player)
    denoise.TAB.line_up(site, played.success(**run, api_visibility="private", **SAMPLE))
    ask.click(zipped, session, file, **QUIET).success(
        None, None, None, js=downloads.TAKE_JS % "model"
    )
    gr.api(learned, api_name="train", **TRAIN)


def build_fields() -> list:
    """The text, the noise, what tokens are, the minutes, Train and Stop."""
    with gr.Row(elem_classes="tt-controls tl-controls"):
        with gr.Column(scale=3, min_width=300):
            examples = gr.Radio(
                list(EXAMPLES),
                label="Take a ready text …",
                elem_id="learn-examples",
                elem_classes="td-chips",
            )
            text = gr.Textbox(
                "",
                label="… or your text",
                lines=9,
                max_lines=9,
                elem_id="learn-text",
                placeholder="Paste a text here.",
                info=f"What it learns: {SHORTEST:,} characters to {LARGEST // 1_000_000} MB, in "
                "any language.",
            )
            with gr.Row(elem_classes="td-take"):
                file = gr.Button("Open a .txt", size="sm", elem_id="learn-file")
        with gr.Column(scale=2, min_width=280):
            noise = gr.Radio(
                noises(),
                value=USUAL["noise"],
                label="Noise",
                info=PROCESSES[USUAL["noise"]].about,
                elem_classes="td-ticks td-many",
                elem_id="learn-noise",
            )
            tokens = gr.Radio(
                list(UNITS),
                value=USUAL["tokens"],
                label="What it writes at once (tokens)",
                info="Letters learn soonest; pieces of words suit long texts.",
                elem_classes="td-ticks",
                elem_id="learn-tokens",
            )
            minutes = gr.Slider(
                *MINUTES,
                USUAL["minutes"],
                step=0.1,
                label="Minutes",
                elem_id="learn-minutes",
                info="After these it stops by itself. One visitor trains at a time.",
            )
            with gr.Row(elem_classes="tl-go"):
                go = gr.Button("Train", variant="primary", elem_id="learn-run", min_width=120)
                stop = gr.Button("Stop", elem_id="learn-stop", min_width=90, scale=0)
    file.click(None, text, text, js=OPEN_JS)
    examples.input(example, examples, text, **QUICK)
    noise.input(noise_chosen, noise, noise, **QUICK)
    return [text, noise, tokens, minutes, go, stop]


def example(name: str) -> str:
    """A text that is ready to be learned."""
    path = STATIC / f"{EXAMPLES[one_of('example', name, EXAMPLES)]}.txt"
    return path.read_text("utf-8")


def noise_chosen(name: str) -> dict:
    """What stands under the noises."""
    return gr.update(info=PROCESSES[one_of("noise", name, PROCESSES)].about)


def noises() -> list[tuple[str, str]]:
    """Every noise that can be learned, those first of which there is a model."""
    first = noise_menu(catalogue.models())
    there = {name for _, name in first}
    rest = [(cls.plain or cls.title, name) for name, cls in PROCESSES.items() if name not in there]
    return first + rest


def ask_for(
    session: Session, text: str, noise: str, minutes: float, tokens: str, request: gr.Request
) -> tuple:
    """Train was pressed: what is shown until the turn comes."""
    lesson = read(text, noise, minutes, tokens)
    with refusals():
        visitor_models.CACHE.check_room(request.session_hash)
    session.begin(TAB.name).kept = lesson
    return Curve(lesson).value("waiting"), gr.update(visible=False)


def follow(session: Session, request: gr.Request) -> Iterator[tuple]:
    """The training that was asked for last: values for the panel, and at the end what can be done
    with the model."""
    lesson, job = session.kept(TAB.name), session.jobs.get(TAB.name)
    if lesson is None:
        raise refusal("Nothing was asked for: press Train first.")
    with refusals():
        visitor_models.CACHE.check_room(request.session_hash)
    if not job.wanted:  # stopped while it waited
        yield Curve(lesson).value(""), gr.skip()
        return

    def store(folder: Path, step: int) -> None:
        title = f"yours: {lesson.noise}, {step:,} steps"
        archive = visitor_models.packed(folder)
        model = visitor_models.VisitorModel(
            checkpoint.load(folder), title, archive, request.session_hash
        )
        session.secret = visitor_models.CACHE.add(model)

    for value in learn(lesson, job, store):
        yield value, gr.update(visible=value["state"] in ("done", "stopped"))


def learned(
    text: str,
    noise: str = USUAL["noise"],
    minutes: float = USUAL["minutes"],
    tokens: str = USUAL["tokens"],
) -> Iterator[dict]:
    """Train a tiny model on a text and watch: loss and samples as they come. The model itself is
    not kept."""
    yield from learn(read(text, noise, minutes, tokens), Job(), lambda folder, step: None)


# ---------------------------------------------------------------- what is done with the model


def build_take(session: gr.State) -> tuple[gr.Button, gr.Button]:
    """Play, download, push."""
    with gr.Row(elem_classes="td-take"):
        play = gr.Button(
            "Play with it on Watch", variant="primary", elem_id="learn-play", size="sm"
        )
        ask = gr.Button("Download", elem_id="take-model", size="sm")
    with gr.Accordion(
        "Push it to your account on the Hugging Face Hub", open=False, elem_id="learn-hub"
    ):
        build_push(session)
    return play, ask


def build_push(session: gr.State) -> None:
    """Where to, and by whose right: the login of the Space, or a token."""
    with gr.Row(elem_classes="tt-controls"):
        repo = gr.Textbox(
            label="Repository",
            placeholder="user/name",
            elem_id="learn-repo",
            min_width=200,
            max_lines=1,
            info="Made if it is not there.",
        )
        private = gr.Checkbox(
            True, label="Private", info="Only you see it.", elem_id="learn-private", min_width=120
        )
        if can_login():
            gr.LoginButton(min_width=160)
            push, right = pushed_logged_in, []
        else:
            token = gr.Textbox(
                label="Token",
                type="password",
                elem_id="learn-token",
                min_width=200,
                max_lines=1,
                info="With the right to write. Used once, then forgotten.",
                html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
            )
            push, right = pushed_with_token, [token]
        go = gr.Button("Push", elem_id="learn-push", min_width=100, scale=0)
    said = gr.Markdown(elem_id="learn-pushed")
    go.click(
        push,
        [session, repo, private, *right],
        [said, *right],
        show_progress="hidden",
        api_visibility="private",
        concurrency_id="push",
        concurrency_limit=2,
    )


def can_login() -> bool:
    """Does this Space offer the login of the Hub?"""
    return bool(os.environ.get("SPACE_ID") and os.environ.get("OAUTH_CLIENT_ID"))


def trained_model(session: Session) -> visitor_models.VisitorModel:
    """The visitor's model. Raises gr.Error where it is gone."""
    found = session.trained_model()
    if found is None:
        raise refusal("Your model is gone, it was kept for an hour at the most: train it again.")
    return found


def play_with(session: Session) -> list:
    """Watch with the visitor's model chosen: the tab, then its fields."""
    trained_model(session)
    session.models = session.local_models()
    run = read_run({"model": visitor_models.NAME, "prompt": "", "steps": STEPS}, session)
    hidden = gr.update(visible=False)  # the Hub id
    return [gr.update(selected="denoise"), hidden, *fields_of(run, session.models)]


def zipped(session: Session) -> str:
    path = session.file("tinydiff-mine.zip")
    path.write_bytes(trained_model(session).archive)
    return str(path)


def pushed(session: Session, repo: str, private: bool, token: str) -> str:
    """Push with a token, which is handed on and nowhere kept; a line with the address."""
    model = trained_model(session)
    with refusals():
        repo = checked_text("repository", repo).strip()
        token = checked_text("token", token or "").strip()
        if not re.fullmatch(r"[!-~]{8,400}", token):
            raise ValueError(
                "Give a token of yours with the right to write; they begin with hf_ and have "
                "no spaces."
            )
        with tempfile.TemporaryDirectory(prefix="tinydiff-") as folder:
            visitor_models.unpack(model.archive, Path(folder))
            return f"It is at <{hub.push(folder, repo, private=bool(private), token=token)}>."


def pushed_with_token(session: Session, repo: str, private: bool, token: str) -> tuple[str, str]:
    """Push, and clear the token's field whether that worked or not: so what is wrong is told and
    not raised."""
    try:
        return pushed(session, repo, private, token), ""
    except gr.Error as error:
        gr.Warning(error.message, title=error.title)
        return "", ""


def pushed_logged_in(
    session: Session, repo: str, private: bool, login: gr.OAuthToken | None
) -> str:
    """Push with the login of the Space."""
    if login is None:
        raise refusal("You are not logged in: press the button beside this one first.")
    return pushed(session, repo, private, login.token)


# the file is read where it is: nothing is uploaded before Train
# so that one that is too large is seen to be
OPEN_JS = """(text) => new Promise((done) => {
  const file = document.createElement("input");
  file.type = "file"; file.accept = ".txt,text/plain";
  file.addEventListener("cancel", () => done(text));
  file.addEventListener("change", async () => {
    const bytes = await file.files[0].slice(0, LARGEST).arrayBuffer();
    done(new TextDecoder().decode(bytes));
  });
  file.click();
})""".replace("LARGEST", str(LARGEST + 4))


def record() -> None:
    """Write the first view: the rhymes, learned in a minute."""
    lesson = read((STATIC / "rhymes.txt").read_text("utf-8"), **USUAL)
    *_, value = learn(lesson, Job(), lambda folder, step: None)
    recording.save("train", value | {"state": "recorded"}, [])


TAB = Tab("train", "Train yours", build=build, record=record)
