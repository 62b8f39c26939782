"""Frame -> what the player draws, and back: Pictures, Runs, and the wire between the server and the
browser.

A Picture is a Frame of one text as plain Python; a Run is all of them with the settings that made
them. On the wire a picture is what changed since the one before: `[place, character, place,
character, ...]`, or the whole string where that is shorter; the mask is one ASCII byte outside
every vocabulary. Pictures travel in chunks and the server keeps all chunks, so that a browser which
misses a message loses nothing; a chunk is one string of JSON, because Gradio's page walks through
everything else at each message. `ui/static/wire.js` is the other end.

This file does not know about gradio, and does no arithmetic on tensors beyond `tolist`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tinydiff.frames import TOP, Frame
from tinydiff.noises import NOISES
from tinydiff.paths import STATIC
from tinydiff.processes import Process
from tinydiff.sentences import is_text
from tinydiff.text import Canvas, Tokenizer
from tinydiff.text.tokenizers import drawn, joined

MASK = "\x7f"  # what stands on the wire where nothing is written
# what is drawn where one text of a stream ends and the next begins: a noncharacter of Unicode,
# which stands in no text
BREAK = "\ufdd0"
EVERY = 0.05  # seconds between two messages to the browser
UNSURE = 0.3  # a character written with less probability than this is shown as unsure
TOPS = 64  # pictures of a run that hold the likeliest tokens, at most about
FIRST = 33  # a share travels as one printable ASCII character: chr(33) is 0
LEVELS = 93  # and chr(33 + 93) is 1
SIGNS = "".join(map(chr, range(FIRST, FIRST + LEVELS + 1)))

# the state of a cell, one letter each
MASKED, NEW, AGAIN, GIVEN, DOUBT, WRITTEN, NOISE, BEHIND = "mnaguwxe"
PIECE = 200  # characters that a token spells at the most

STYLE = STATIC / "style.css"
COLOUR = r"--td-([a-z0-9-]+):\s*(#[0-9a-fA-F]{6})"
SPARE = 4  # colours of families that STYLE does not name


@dataclass(frozen=True)
class Picture:
    """One text after one step, as plain Python. Tuples have an element a character."""

    step: int
    t: float
    calls: int
    seconds: float
    text: str  # a sign a token (see `Tokenizer.signs`); MASK where nothing is written
    best: str  # the likeliest tokens; MASK where the prediction is uniform
    confidence: tuple[float, ...]
    entropy: tuple[float, ...]
    given: tuple[bool, ...]
    # for each cell MASK (as before), or the five likeliest tokens, each followed by its probability
    top: str = ""
    view: str = ""  # Frame.view at the positions of the scene, K levels each
    scene: dict | None = None  # on the first picture: what all of them share (`scene`)
    # what signs of it spell that are in no picture before; None where each spells itself
    pieces: dict[str, str] | None = None
    # log10 of the probability, under the prediction that led here, of a text that keeps the rules
    match: float | None = None


@dataclass(frozen=True)
class Run:
    """A finished (or stopped) run, enough to replay it: what export, the page and links need."""

    # model, process, sampler, steps, length, temperature, top_p, seed, prompt, template, options:
    # plain JSON
    settings: dict
    frames: list[Picture]  # first the blank canvas (step 0), then one a step
    curves: dict[str, list] = field(default_factory=dict)  # over t, as curves.py has them


# ---------------------------------------------------------------- Frames -> Pictures


def record(
    process: Process, canvas: Canvas, frames: Iterable[Frame], row: int = 0
) -> Iterator[Picture]:
    """A Picture for each Frame of one row of the batch, preceded by one of the noise that the run
    starts from."""
    stage = scene(process, canvas, row)
    signs = process.tokenizer.signs + MASK
    naming = Naming(process.tokenizer)
    top = [""] * canvas.tokens.shape[1]
    for frame in frames:
        if frame.before is not None:
            yield naming(picture(frame.before, signs, row, MASK * len(top), stage, True))
        fresh = MASK * len(top)
        if has_top(frame):
            before, top = top, likeliest(frame, signs, row)
            fresh = "".join(
                [now if now != then and now else MASK for now, then in zip(top, before)]
            )
        yield naming(picture(frame, signs, row, fresh, stage, False))


class Naming:
    """Tells with each picture what its signs spell, each sign only once in a run."""

    def __init__(self, tokenizer: Tokenizer):
        signs, spelled = tokenizer.signs, tokenizer.pieces
        self.left = {} if signs == spelled else dict(zip(signs, spelled))

    def __call__(self, picture: Picture) -> Picture:
        met = (
            {sign for sign in {*picture.text, *picture.best, *picture.top} if sign in self.left}
            if self.left
            else ()
        )
        return (
            replace(picture, pieces={sign: self.left.pop(sign) for sign in sorted(met)})
            if met
            else picture
        )


def spelled(text: str, tokenizer: Tokenizer) -> str:
    """What each sign of a picture spells; MASK where nothing is written."""
    if tokenizer.signs == tokenizer.pieces:
        return text
    return joined(
        MASK if i == tokenizer.mask_id else tokenizer.pieces[i]
        for i in tokenizer.tokens(text).tolist()
    )


def is_naming(found: object) -> bool:
    """Whether `Naming` could have made it; for files that anybody may have written."""
    return isinstance(found, dict) and all(
        is_text(sign) and len(sign) == 1 and is_text(piece) and len(piece) <= PIECE
        for sign, piece in found.items()
    )


class Spelling:
    """What the signs of a run spell, as far as its pictures have told (`Naming`)."""

    def __init__(self):
        self.pieces: dict[str, str] = {}
        self.masks, self.between, self.settled = True, "", True

    def take(self, picture: Picture) -> None:
        self.pieces.update(picture.pieces or {})
        if picture.scene:
            self.masks, self.between = picture.scene["masks"], picture.scene.get("between", "")
        # noise without masks holds an END now and then
        self.settled = self.masks or picture.t == 0

    def each(self, text: str) -> list[str]:
        """What each sign spells; MASK spells itself."""
        return [self.pieces.get(sign, sign) for sign in text]

    def text(self, text: str) -> str:
        return joined(self.each(text)) if self.pieces else text

    def shown(self, text: str, states: Sequence[str]) -> list[str]:
        """What each sign adds to a text that is drawn: nothing behind the text's end."""
        pieces = ["" if s == BEHIND else piece for piece, s in zip(self.each(text), states)]
        return drawn(pieces) if self.pieces else pieces

    def parted(self, text: str, states: Sequence[str]) -> list[str]:
        """`shown`, with BREAK where one text of a stream ends and the next begins."""
        shown = self.shown(text, states)
        if not self.between or not self.settled:
            return shown
        return [piece + BREAK * (sign == self.between) for sign, piece in zip(text, shown)]


def has_top(frame: Frame) -> bool:
    """Whether the picture of this frame holds the likeliest tokens: in every picture they would be
    more than all the rest."""
    return (
        frame.step == frame.steps
        or frame.step * TOPS // frame.steps != (frame.step - 1) * TOPS // frame.steps
    )


def picture(frame: Frame, signs: str, row: int, top: str, stage: dict, first: bool) -> Picture:
    """The Picture of one row; `top` holds the likeliest tokens of the cells where they changed."""
    view = "" if frame.view is None else levels(frame.view[row, stage["spots"]].flatten().tolist())
    return Picture(
        frame.step,
        frame.t,
        frame.calls,
        frame.seconds,
        spell(frame.tokens[row].tolist(), signs),
        spell(frame.best[row].tolist(), signs),
        tuple(frame.confidence[row].tolist()),
        tuple(frame.entropy[row].tolist()),
        tuple(frame.given[row].tolist()),
        top,
        view,
        stage if first else None,
        match=None if frame.match is None else min(0.0, frame.match[row].item() / math.log(10)),
    )


def scene(process: Process, canvas: Canvas, row: int = 0) -> dict:
    """What is the same in all pictures of a run, as plain JSON.

    masks:  whether a mask stands where nothing is written; else noise stands there
    least:  the least confidence with which a change is marked, so that noise that changes into
            noise is not
    view:   the name of what `Picture.view` shows
    spots:  of which positions it is shown, as the view says
    signs:  for a view that is drawn over a map alone, the characters
    map:    for such a view, where they lie, two levels each
    end:    the sign of the token that ends a text, "" where texts do not end themselves
    between: in a stream of texts the sign of the token that ends one, behind which the next
            begins; left out where there is none
    wide:   whether every cell has the room of two letters, as a page of Chinese has
    unit:   the word for its tokens
    """
    noise, view = process.noise, process.noise.view_called(process.view_name)
    least = (
        0.0 if "prefix" in process.traits else UNSURE / 3 if "tokens" in process.traits else UNSURE
    )
    stage = {"masks": "prefix" in process.traits, "least": least, "view": view.name}
    if view.mapped:
        places = noise.token_map(view.name).flatten().tolist()
        stage |= {"signs": process.tokenizer.signs, "map": levels(places)}
    tokenizer = process.tokenizer
    sign = "" if tokenizer.end_id is None else tokenizer.signs[tokenizer.end_id]
    end, between = (sign, "") if process.ends else ("", sign)
    stage |= {"between": between} if between else {}
    stage |= {"spots": view.spots(canvas.given[row]), "end": end}
    return stage | {"wide": of_wide(tokenizer), "unit": tokenizer.unit}


def of_wide(tokenizer: Tokenizer) -> bool:
    """Are most of its tokens wide characters?"""
    return 2 * sum(map(is_wide, tokenizer.pieces)) > len(tokenizer)


def is_wide(character: str) -> bool:
    """Does it take the room of two letters (Unicode's annex 11)?"""
    return len(character) == 1 and unicodedata.east_asian_width(character) in "WF"


def is_scene(found: object, L: int) -> bool:
    """Whether `scene` could have made it for L characters; for files that anybody may have
    written."""
    if (
        not isinstance(found, dict)
        or not is_text(found.get("view"))
        or len(found["view"]) > PIECE
        or not isinstance(found.get("spots"), list)
    ):
        return False
    over = (found.get("signs", ""), found.get("map", ""))
    ends = (found.get("end", ""), found.get("between", ""))
    mapped = {view.name for noise in NOISES.values() for view in noise.views if view.mapped}
    return (
        isinstance(found.get("masks"), bool)
        and isinstance(found.get("wide", False), bool)
        and is_text(found.get("unit", ""))
        and len(found.get("unit", "")) <= PIECE
        and isinstance(found.get("least"), float)
        and all(isinstance(spot, int) and 0 <= spot < L for spot in found["spots"])
        and all(map(is_text, (*over, *ends)))
        and all(len(sign) <= 1 for sign in ends)
        and len(over[1]) == 2 * len(over[0])
        and bool(over[0]) == (found["view"] in mapped)
    )


def spell(ids: list[int], signs: str) -> str:
    return "".join([signs[i] for i in ids])


def likeliest(frame: Frame, signs: str, row: int) -> list[str]:
    """The likeliest tokens of each cell, each followed by its probability; "" where the prediction
    is certain or uniform."""
    tokens, p = frame.top_tokens[row], frame.top_probabilities[row]
    pairs = [""] * (2 * tokens.numel())
    pairs[::2], pairs[1::2] = spell(tokens.flatten().tolist(), signs), levels(p.flatten().tolist())
    whole, width, mask = "".join(pairs), 2 * tokens.shape[-1], len(signs) - 1
    return [
        whole[i * width : (i + 1) * width] if best != mask and first < 0.9995 else ""
        for i, (best, first) in enumerate(zip(frame.best[row].tolist(), p[:, 0].tolist()))
    ]


# ---------------------------------------------------------------- states


class States:
    """Called with one picture after the other, it gives the state of each cell as a letter: given,
    masked or noise, new, changed again, unsure or written; or behind the end of the text, once
    that is written up to there, where nothing is drawn."""

    def __init__(self):
        self.before, self.seen, self.masks, self.least, self.end = "", [], True, 0.0, ""

    def __call__(self, picture: Picture) -> str:
        if picture.scene:
            self.masks, self.least = picture.scene["masks"], picture.scene["least"]
            self.end = picture.scene.get("end", "")
        letters, text = self.letters(picture), picture.text
        end = text.find(self.end) + 1 if self.end else 0
        # noise without masks holds an END now and then; it counts when the run is over
        if not end or not (self.masks or picture.t == 0):
            return letters
        behind = MASK not in text[:end]  # else only what fills the canvas, one END after the other
        rest = (BEHIND if behind or s == self.end else c for s, c in zip(text[end:], letters[end:]))
        return letters[:end] + "".join(rest)

    def letters(self, picture: Picture) -> str:
        before, seen = self.before or picture.text, self.seen or [False] * len(picture.text)
        changed = [
            now not in (then, MASK) and p >= self.least
            for now, then, p in zip(picture.text, before, picture.confidence)
        ]
        self.before, self.seen = picture.text, [s or c for s, c in zip(seen, changed)]
        doubt = DOUBT if self.masks else NOISE
        return "".join(
            [
                GIVEN
                if given
                else MASKED
                if now == MASK
                else (AGAIN if s else NEW)
                if c
                else doubt
                if p < UNSURE
                else WRITTEN
                for now, given, c, s, p in zip(
                    picture.text, picture.given, changed, seen, picture.confidence
                )
            ]
        )


def states(pictures: Iterable[Picture]) -> Iterator[str]:
    """The states of the cells of each picture of a run, which begins with the first."""
    return map(States(), pictures)


# ---------------------------------------------------------------- the wire


def level(share: float) -> str:
    """A number from 0 to 1 as one printable ASCII character."""
    return SIGNS[int(LEVELS * min(1.0, max(0.0, share)) + 0.5)]


def levels(shares: Iterable[float], scale: float = 1.0) -> str:
    """`level` of each share divided by `scale`, for many at once; the shares lie between 0 and
    `scale`, up to rounding."""
    return "".join([SIGNS[int(LEVELS * share / scale + 0.5)] for share in shares])


def share_of(sign: str) -> float:
    """The share that `level` encoded."""
    return (ord(sign) - FIRST) / LEVELS


def delta(before: str, now: str) -> list | str:
    """The change from one picture's string to the next: [place, character, ...], or all of `now`
    where that is shorter."""
    if before == now:
        return []
    changes = [y for i, (a, b) in enumerate(zip(before, now)) if a != b for y in (i, b)]
    return changes if len(changes) * 3.5 < len(now) and len(before) == len(now) else now


def apply(before: str, change: list | str) -> str:
    """The string after a change that `delta` made."""
    if isinstance(change, str):
        return change
    now = list(before)
    for place, character in zip(change[::2], change[1::2]):
        now[place] = character
    return "".join(now)


RUNS = itertools.count(time.monotonic_ns() // 1000)


def fresh_run() -> int:
    """A number that no other run of this program has. Not a time: clocks may be set back."""
    return next(RUNS)


CHANNELS = ("text", "best", "state", "sure", "entropy", "view")
# in runs of older versions: keys of the wire, of exported JSON and of scenes
OLDER = {"spread": "entropy", "bets": "top", "sight": "view"}


def renamed(stored: dict) -> dict:
    """A part of a stored run with its keys as they are called today."""
    return {OLDER.get(key, key): value for key, value in stored.items()}


class Wire:
    """Packs pictures for the player. `value()` is always the whole run so far.

    total:  how many pictures are expected
    V:      tokens in the vocabulary
    head:   what the player needs before the first picture: `settings`, `family`, `curves`,
            `query`, `pace` (see player.js)
    """

    def __init__(self, total: int, V: int, **head):
        self.run, self.total, self.nats = fresh_run(), total, math.log(max(2, V))
        self.head = {"nats": self.nats, "pairs": min(TOP, V), **head}
        self.chunks, self.buffer, self.top = [], [], []
        self.end: Picture | None = None  # the last picture
        self.states, self.last = States(), dict.fromkeys(CHANNELS, "")

    def add(self, picture: Picture) -> None:
        """Append a picture to the chunk that is not sent yet."""
        if picture.scene:
            self.head["scene"] = picture.scene
        self.end, now = picture, self.channels(picture)
        changes = {
            name: change for name in CHANNELS if (change := delta(self.last[name], now[name])) != []
        }
        named = {"pieces": picture.pieces} if picture.pieces else {}
        if picture.match is not None:
            self.head["rules"], named["match"] = True, round(picture.match, 3)
        self.buffer.append(
            {
                **changes,
                **named,
                "step": picture.step,
                "t": round(picture.t, 5),
                "calls": picture.calls,
                "at": round(picture.seconds, 4),
            }
        )
        self.last = now
        self.top.append("" if picture.top == MASK * len(picture.text) else picture.top)

    def channels(self, picture: Picture) -> dict[str, str]:
        sure, entropy = levels(picture.confidence), levels(picture.entropy, self.nats)
        return dict(
            zip(
                CHANNELS,
                (picture.text, picture.best, self.states(picture), sure, entropy, picture.view),
            )
        )

    def value(self, done: bool = False, **tail) -> dict:
        """The run so far. With `done` it includes the likeliest tokens, and the entries of `tail`
        (`stats`, `stopped`)."""
        if self.buffer:
            packed = json.dumps(self.buffer, ensure_ascii=False, separators=(",", ":"))
            self.chunks, self.buffer = [*self.chunks, packed], []
        end = {"top": self.top, **tail} if done else {}
        return {
            "run": self.run,
            "total": self.total,
            "head": self.head,
            "chunks": self.chunks,
            "done": done,
            **end,
        }


def stream(pictures: Iterable[Picture], wire: Wire, every: float = EVERY) -> Iterator[dict]:
    """Values for the player: at once for the first two pictures, then at most one every `every`
    seconds. The last pictures may still be in the wire when this ends; `wire.value(done=True)`
    includes them."""
    sent = 0.0
    for count, picture in enumerate(pictures):
        wire.add(picture)
        if count < 2 or time.perf_counter() - sent >= every:
            sent = time.perf_counter()
            yield wire.value()


def pack(run: Run, V: int, **head) -> dict:
    """A whole run as one value for the player."""
    known = {"curves": run.curves} if run.curves else {}
    wire = Wire(len(run.frames), V, settings=run.settings, **known, **head)
    for picture in run.frames:
        wire.add(picture)
    return wire.value(done=True)


def unpack(value: dict) -> Run:
    """The run in a player's value; shares are restored to within a percent."""
    last, frames, nats = dict.fromkeys(CHANNELS, ""), [], value["head"]["nats"]
    value = renamed(value)
    scene = value["head"].get("scene")
    top = iter(value.get("top", ()))
    for frame in (renamed(frame) for chunk in value["chunks"] for frame in json.loads(chunk)):
        last = {name: apply(last[name], frame.get(name, [])) for name in CHANNELS}
        frames.append(
            Picture(
                frame["step"],
                frame["t"],
                frame["calls"],
                frame["at"],
                last["text"],
                last["best"],
                tuple(share_of(c) for c in last["sure"]),
                tuple(nats * share_of(c) for c in last["entropy"]),
                tuple(c == GIVEN for c in last["state"]),
                next(top, "") or MASK * len(last["text"]),
                last["view"],
                None if frames or scene is None else renamed(scene),
                frame.get("pieces"),
                frame.get("match"),
            )
        )
    return Run(value["head"].get("settings", {}), frames, value["head"].get("curves") or {})


# ---------------------------------------------------------------- colours


def palette(dark: bool = False) -> dict[str, str]:
    """The page's colours by name ("paper", "ink", "new", "masked", ...), read from the one place
    that defines them: the two blocks of custom properties at the top of ui/static/style.css."""
    light, shade = re.findall(r"\{([^}]*--td-paper[^}]*)\}", STYLE.read_text("utf-8"))[:2]
    names = dict(re.findall(COLOUR, light))
    return names | (dict(re.findall(COLOUR, shade)) if dark else {})


def colour_name(family: str) -> str:
    """The name in `palette` of a family's colour: its own, or a spare one for families that the
    style does not name, chosen as `ink` of ui/static/dom.js chooses it."""
    return family if family in palette() else f"spare-{sum(map(ord, family)) % SPARE}"
