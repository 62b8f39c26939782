"""The tab Train: a visitor's own text, a tiny model, a few minutes; then it is played with in
Denoise, downloaded or pushed.

The text is written to a file for the trainer to read, and removed before the first step. What was
learned is kept by visitor_models.py for the visit. `python -m tinydiff.ui.learn` records the first
view.
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

from tinydiff.generate import check_number, generate
from tinydiff.paths import STATIC
from tinydiff.processes import PROCESSES, Process
from tinydiff.store import card, catalogue, checkpoint, hub
from tinydiff.text import Canvas
from tinydiff.train.loop import PRESETS, Progress, Run, TrainingError, start
from tinydiff.ui import denoise, inputs, visitor_models
from tinydiff.ui.tab import Sheet, keep, known, recorded

SHORTEST, LARGEST = 2_000, 1_000_000  # characters; bytes
ALPHABET = 200  # different characters: more would take more than a few minutes
MINUTES = (0.1, 5)
USUAL = dict(noise="masked", minutes=1.0)
RATE = 0.01  # of learning: what a few hundred steps profit from most
NAME = "your text"  # what cards and files call it
POINTS, SLICE = 240, 0.25  # of the curve at the most; seconds that a point stands for at the least
VALIDATED = 200  # steps between two validations
# seconds between samples, and the share of the time that has passed if that is longer
LOOK, MORE = (
    1.2,
    0.15,
)
LINES = 3  # windows a sample
STEPS = 32  # in Denoise to begin with, for each window of a small network
# steps; the share of the minutes that they may take, validations come on top
MOST, FILLED = (
    100_000,
    0.9,
)
SPARE = 60.0  # seconds that looks, validations and a busy machine may add
LATE = "The training took longer than its minutes, so it was ended: what was learned stays."
TRAIN = dict(concurrency_id="train", concurrency_limit=1)


@dataclass(frozen=True)
class Asked:
    """What is to be learned, checked. minutes: from the first step on."""

    text: str = field(repr=False)
    noise: str
    minutes: float

    @property
    def seconds(self) -> float:
        return 60 * self.minutes

    @property
    def nats(self) -> float:
        """What a character costs who knows nothing but the alphabet."""
        return math.log(len(set(self.text)))


def read(text: object, noise: object, minutes: object) -> Asked:
    """Check everything, before anything is written or learned. Raises gr.Error in one sentence."""
    known("noise", noise, PROCESSES)
    with inputs.told():
        check_number("minutes", minutes, *MINUTES)
        return Asked(readable(inputs.text("text", text)), noise, float(minutes))


def readable(text: str) -> str:
    """The text, if a model can learn from it. Raises ValueError that says what is wrong with it."""
    if not text.strip():
        raise ValueError("There is no text yet: paste one, open a file, or take the rhymes.")
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
    if kinds > ALPHABET:
        raise ValueError(
            f"The text has {kinds:,} different characters; the tiny model learns {ALPHABET} "
            "at the most."
        )
    return text


# ---------------------------------------------------------------- what is seen of it


@dataclass
class Story:
    """A training as far as it has come: the loss in slices of time, validations, samples."""

    asked: Asked
    points: list[tuple[float, float]] = field(default_factory=list)  # seconds, nats a character
    valid: list[tuple[float, float]] = field(default_factory=list)
    samples: list[dict] = field(default_factory=list)  # newest last
    slice: list[float] = field(default_factory=list)  # losses of the slice that is being filled
    step: int = 0
    seconds: float = 0.0

    def take(self, progress: Progress, seconds: float) -> bool:
        """Add a step; has a slice been filled?"""
        self.step, self.seconds = progress.step, seconds
        self.slice.append(progress.loss)
        if progress.valid is not None:
            self.valid.append((round(seconds, 2), round(progress.valid, 4)))
        full = seconds - (self.points[-1][0] if self.points else 0) >= max(
            SLICE, self.asked.seconds / POINTS
        )
        if full:
            self.points.append((round(seconds, 2), round(sum(self.slice) / len(self.slice), 4)))
            self.slice = []
        return full

    def look(self, process: Process) -> None:
        """Let the model write, always from the same noise."""
        self.samples.append(
            dict(seconds=round(self.seconds, 1), step=self.step, texts=written(process))
        )

    def value(self, state: str) -> dict:
        """What the sheet draws. state: "waiting", "learning", "stopped" or "done"."""
        return dict(
            state=state,
            family=self.asked.noise,
            minutes=self.asked.minutes,
            seconds=round(self.seconds, 1),
            step=self.step,
            nats=round(self.asked.nats, 4),
            points=self.points,
            valid=self.valid,
            samples=self.samples,
        )


def written(process: Process) -> list[str]:
    *_, frame = generate(
        process,
        Canvas.blank(process.length, LINES),
        steps=64,
        seed=1,
        temperature=inputs.DEFAULTS["temperature"],
    )
    return [process.tokenizer.decode(row) for row in frame.tokens]


# ---------------------------------------------------------------- learning


def learn(
    asked: Asked, wanted: Callable[[], bool], keep: Callable[[Path, int], None]
) -> Iterator[dict]:
    """Values for the sheet while a model learns, for as long as it is wanted; `keep` gets the
    folder of the checkpoint and its step.

    Everything on the disk goes when the generator ends or is closed. Raises gr.Error in one
    sentence.
    """
    story = Story(asked)
    yield story.value("learning")
    with inputs.told(), tempfile.TemporaryDirectory(prefix="tinydiff-") as folder:
        try:
            yield from trained(story, begun(asked, Path(folder)), wanted)
        except TrainingError:
            raise ValueError(
                "The loss is no longer a number, so this training ended: try another noise."
            ) from None
        except checkpoint.CheckpointError:
            raise ValueError(
                "What was learned could not be saved, this machine has no room: try again later."
            ) from None
        keep(Path(folder) / "model", story.step)
    yield story.value("done" if wanted() else "stopped")


def begun(asked: Asked, folder: Path) -> Run:
    """The run that fills the minutes, in folder/model; the text is read, and gone before the first
    step."""
    path = folder / f"{NAME}.txt"
    path.write_text(asked.text, encoding="utf-8")
    try:
        return start(
            replace(
                PRESETS["tiny"],
                process=asked.noise,
                corpus=str(path),
                out=str(folder / "model"),
                lr=RATE,
                steps=MOST,
                device="cpu",
                minutes=FILLED * asked.minutes,
                validate_every=VALIDATED,
                save_every=MOST,
            )
        )
    finally:
        path.unlink()


def trained(story: Story, run: Run, wanted: Callable[[], bool]) -> Iterator[dict]:
    """Take the steps while they are wanted, then save and write the card."""
    began, next_look = time.monotonic(), LOOK
    for progress in run.steps():
        fresh = story.take(progress, time.monotonic() - began)
        if story.seconds > next_look:
            story.look(progress.process)
            next_look = story.seconds + max(LOOK, MORE * story.seconds)
            fresh = True
        if fresh:
            yield story.value("learning")
        if not wanted():
            break
        if story.seconds > story.asked.seconds + SPARE:
            gr.Warning(LATE, title="Time is over")
            break
    story.look(progress.process)
    run.save()
    card.write(run.out)


# ---------------------------------------------------------------- the tab


class Bench:
    """What a visitor has on this tab: what is to be learned, and which training is theirs."""

    def __init__(self):
        self.turn, self.stopped = 0, 0
        self.asked: Asked | None = None

    def begin(self, asked: Asked) -> dict:
        """What the sheet shows until it is their turn."""
        self.asked, self.turn = asked, self.turn + 1
        return Story(asked).value("waiting")

    def stop(self) -> None:
        self.stopped = self.turn

    def wanted(self, turn: int) -> bool:
        return self.turn == turn and self.stopped != turn


def build(page: gr.Blocks, tabs: gr.Tabs, desk: gr.State, player: gr.HTML, fields: list) -> None:
    """The widgets and handlers of the tab, inside the current context; the others are Denoise's,
    where one plays."""
    bench = gr.State(Bench())
    gr.Markdown(
        "Your own text, a tiny network, a few minutes: watch letters, then words come. The "
        "text is read, never kept; the "
        "model is yours for this visit, to play with, to download, to push to the Hub."
    )
    text, noise, minutes, go, stop = build_fields()
    with gr.Column(visible=False, elem_id="learn-take") as take:
        play, ask = build_take(desk)
    file = gr.DownloadButton("Download", visible="hidden", elem_id="file-model")
    sheet = Sheet("train", recorded("train") or None)
    quiet = dict(show_progress="hidden", api_visibility="private")
    asked = go.click(
        wished,
        [bench, text, noise, minutes],
        [sheet, take],
        concurrency_id="learn",
        concurrency_limit=8,
        **quiet,
    )
    asked.success(follow, [bench, desk], [sheet, take], **quiet, **TRAIN)
    stop.click(lambda bench: bench.stop(), bench, None, queue=False, **quiet)
    played = play.click(play_with, desk, [tabs, *fields], **quiet)
    played.success(
        denoise.start, [desk, *fields[3:]], player, api_visibility="private", **denoise.SAMPLE
    )
    ask.click(zipped, desk, file, **quiet).success(None, None, None, js=denoise.TAKE_JS % "model")
    gr.api(learned, api_name="train", **TRAIN)


def build_fields() -> list:
    """The text, the noise, the minutes, Train and Stop."""
    with gr.Row(elem_classes="tt-controls tl-controls"):
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(
                "",
                label="Your text",
                lines=9,
                max_lines=9,
                elem_id="learn-text",
                placeholder="Paste a text here.",
                info=f"What it learns: {SHORTEST:,} characters to {LARGEST // 1_000_000} MB, "
                f"{ALPHABET} different ones at the most.",
            )
            with gr.Row(elem_classes="td-take"):
                file = gr.Button("Open a .txt", size="sm", elem_id="learn-file")
                rhymes = gr.Button("Take the rhymes", size="sm", elem_id="learn-rhymes")
        with gr.Column(scale=2, min_width=280):
            noise = gr.Radio(
                denoise.noises(catalogue.models()),
                value=USUAL["noise"],
                label="Noise",
                info=PROCESSES[USUAL["noise"]].about,
                elem_classes="td-ticks td-many",
                elem_id="learn-noise",
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
    quick = dict(queue=False, show_progress="hidden", api_visibility="private")
    file.click(None, text, text, js=OPEN_JS)
    rhymes.click(lambda: (STATIC / "rhymes.txt").read_text("utf-8"), None, text, **quick)
    noise.input(
        lambda name: gr.update(info=PROCESSES[known("noise", name, PROCESSES)].about),
        noise,
        noise,
        **quick,
    )
    return [text, noise, minutes, go, stop]


def wished(bench: Bench, text: str, noise: str, minutes: float, request: gr.Request) -> tuple:
    """Train was pressed: what is shown until the turn comes."""
    asked = read(text, noise, minutes)
    with inputs.told():
        visitor_models.SHELF.check(request.session_hash)
    return bench.begin(asked), gr.update(visible=False)


def follow(bench: Bench, desk: denoise.Desk, request: gr.Request) -> Iterator[tuple]:
    """The training that was asked for last: values for the sheet, and at the end what can be done
    with the model."""
    asked, turn = bench.asked, bench.turn
    if asked is None:
        raise inputs.sentence("Nothing was asked for: press Train first.")
    with inputs.told():
        visitor_models.SHELF.check(request.session_hash)
    if not bench.wanted(turn):  # stopped while it waited
        yield Story(asked).value(""), gr.skip()
        return

    def keep(folder: Path, step: int) -> None:
        title = f"yours: {asked.noise}, {step:,} steps"
        own = visitor_models.Own(
            checkpoint.load(folder), title, visitor_models.packed(folder), request.session_hash
        )
        desk.secret = visitor_models.SHELF.keep(own)

    for value in learn(asked, lambda: bench.wanted(turn), keep):
        yield value, gr.update(visible=value["state"] in ("done", "stopped"))


def learned(
    text: str, noise: str = USUAL["noise"], minutes: float = USUAL["minutes"]
) -> Iterator[dict]:
    """Train a tiny model on a text and watch: loss and samples as they come. The model itself is
    not kept."""
    yield from learn(read(text, noise, minutes), lambda: True, lambda folder, step: None)


# ---------------------------------------------------------------- what is done with the model


def build_take(desk: gr.State) -> tuple[gr.Button, gr.Button]:
    """Play, download, push."""
    with gr.Row(elem_classes="td-take"):
        play = gr.Button(
            "Play with it in Denoise", variant="primary", elem_id="learn-play", size="sm"
        )
        ask = gr.Button("Download", elem_id="take-model", size="sm")
    with gr.Accordion(
        "Push it to your account on the Hugging Face Hub", open=False, elem_id="learn-hub"
    ):
        build_push(desk)
    return play, ask


def build_push(desk: gr.State) -> None:
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
        [desk, repo, private, *right],
        [said, *right],
        show_progress="hidden",
        api_visibility="private",
        concurrency_id="push",
        concurrency_limit=2,
    )


def can_login() -> bool:
    """Does this Space offer the login of the Hub?"""
    return bool(os.environ.get("SPACE_ID") and os.environ.get("OAUTH_CLIENT_ID"))


def own_model(desk: denoise.Desk) -> visitor_models.Own:
    """The visitor's model. Raises gr.Error where it is gone."""
    found = desk.own()
    if found is None:
        raise inputs.sentence(
            "Your model is gone, it was kept for an hour at the most: train it again."
        )
    return found


def play_with(desk: denoise.Desk) -> list:
    """Denoise with the visitor's model chosen: the tab, then its fields."""
    own_model(desk)
    desk.models = desk.here()
    asked = inputs.read({"model": visitor_models.NAME, "prompt": "", "steps": STEPS}, desk.own())
    place = denoise.BUNDLED, gr.update(visible=False)
    return [
        gr.update(selected="denoise"),
        *place,
        *denoise.widgets_for(asked, desk.models, desk.own()),
    ]


def zipped(desk: denoise.Desk) -> str:
    path = desk.file("tinydiff-visitor_models.zip")
    path.write_bytes(own_model(desk).archive)
    return str(path)


def pushed(desk: denoise.Desk, repo: str, private: bool, token: str) -> str:
    """Push with a token, which is handed on and nowhere kept; a line with the address."""
    own = own_model(desk)
    with inputs.told():
        repo, token = (
            inputs.text("repository", repo).strip(),
            inputs.text("token", token or "").strip(),
        )
        if not re.fullmatch(r"[!-~]{8,400}", token):
            raise ValueError(
                "Give a token of yours with the right to write; they begin with hf_ and have "
                "no spaces."
            )
        with tempfile.TemporaryDirectory(prefix="tinydiff-") as folder:
            visitor_models.unpack(own.archive, Path(folder))
            return f"It is at <{hub.push(folder, repo, private=bool(private), token=token)}>."


def pushed_with_token(desk: denoise.Desk, repo: str, private: bool, token: str) -> tuple[str, str]:
    """Push, and clear the token's field whether that worked or not: so what is wrong is told and
    not raised."""
    try:
        return pushed(desk, repo, private, token), ""
    except gr.Error as error:
        gr.Warning(error.message, title=error.title)
        return "", ""


def pushed_logged_in(
    desk: denoise.Desk, repo: str, private: bool, login: gr.OAuthToken | None
) -> str:
    """Push with the login of the Space."""
    if login is None:
        raise inputs.sentence("You are not logged in: press the button beside this one first.")
    return pushed(desk, repo, private, login.token)


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
    asked = read((STATIC / "rhymes.txt").read_text("utf-8"), USUAL["noise"], USUAL["minutes"])
    *_, value = learn(asked, lambda: True, lambda folder, step: None)
    keep("train", value | {"state": "recorded"}, [])
