"""The canvas that a visitor can touch: words of a finished text are hidden and written again, kept,
or typed over; a run is forked at any step; a text of the visitor's own is noised and rewritten; and
the visitor is the sampler.

Everything here turns what is on the player, and what was done to it, into a Request that is run as
any other. What was there before is kept, to be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from tinydiff.generate import noised
from tinydiff.processes import T_MIN, Process
from tinydiff.runs import Request
from tinydiff.samplers import State
from tinydiff.sentences import brief
from tinydiff.show import render
from tinydiff.text import Canvas
from tinydiff.ui.request import LIMITS
from tinydiff.ui.session import Session

PAST = 20  # that can be undone
# in which the machine uncovers a text alone, to compare with the visitor's
ORDERS = {"confidence": "surest first", "random": "by chance"}
FEW, USUAL = 3, 8  # looks in which some words are written again; so many tokens a look are few


@dataclass(frozen=True)
class Held:
    """What is on the player: the request that made it, and its value."""

    request: Request
    value: dict

    @cached_property
    def pictures(self) -> list[render.Picture]:
        return render.unpack(self.value).frames

    @property
    def tokens(self) -> Tensor:
        """Its last text, (1, L)."""
        return ids(self.request.process, self.pictures[-1].text)


def ids(process: Process, signs: str) -> Tensor:
    """Tokens (1, L) of the signs of a picture; the mask where nothing is written."""
    return process.tokenizer.tokens(signs).long()[None]


# ---------------------------------------------------------------- what can be done


def why_not(process: Process, deed: str) -> str:
    """Why a process cannot do it, in a sentence; "" if it can."""
    if "diffusion" not in process.traits:
        return (
            "This noise writes from left to right and sees nothing behind the word it writes: "
            "choose another, such as hidden words, to change a text in its middle."
        )
    if deed == "take" and "mask" not in process.traits:
        return "Only where words are hidden can you uncover one: choose the noise hidden words."
    return ""


def check(process: Process, deed: str) -> None:
    """Raises ValueError for what a process cannot do."""
    if words := why_not(process, deed):
        raise ValueError(words)


def places(cells: object, length: int) -> list[int]:
    """Cells of a text. Raises ValueError."""
    good = isinstance(cells, Sequence) and not isinstance(cells, str)
    if not good or any(type(i) is not int or not 0 <= i < length for i in cells):
        raise ValueError(f"The words chosen are {brief(cells)}; choose some of the text.")
    if not cells:
        raise ValueError("No word is chosen: mark some of the text first.")
    return sorted(set(cells))


def over(wanted: Request, held: Held, tokens: Tensor, open_: Sequence[int]) -> Request:
    """What the panel asks for, on a text of which all is given but some cells. Raises ValueError
    where the panel's model reads text in other tokens."""
    if wanted.process.tokenizer != held.request.process.tokenizer:
        raise ValueError(
            "The model beside this text reads text in other pieces: write a text with it first."
        )
    given = torch.ones_like(tokens, dtype=torch.bool)
    given[0, list(open_)] = False
    canvas = Canvas(tokens, given, wanted.canvas.label)
    return by_hand(wanted, dict(length=tokens.shape[1], prompt="", template=None), canvas=canvas)


def by_hand(wanted: Request, settings: dict, **more) -> Request:
    """A request with other settings, canvas or start, which no link makes again."""
    return replace(wanted, settings=wanted.settings | settings, linked=False, **more)


def again(wanted: Request, held: Held, cells: object) -> Request:
    """Some cells are hidden and written again; the rest is given. It takes a few looks, and no more
    than there are cells."""
    check(wanted.process, "again")
    tokens = held.tokens
    chosen = places(cells, tokens.shape[1])
    asked = over(wanted, held, tokens, chosen)
    few = len(chosen) <= FEW * USUAL
    steps = min(wanted.settings["steps"], len(chosen), *[USUAL] * few)
    return replace(asked, settings=asked.settings | {"steps": max(1, steps)})


def another_seed(wanted: Request, session: Session) -> Request:
    """The same with a seed that nothing was written again with: the panel's would only say once
    more what it said."""
    session.tries += 1
    most = LIMITS["seed"][1] + 1
    return by_hand(wanted, {"seed": (wanted.settings["seed"] + session.tries) % most})


def typed(wanted: Request, held: Held, cells: object, text: object) -> Request:
    """What a visitor typed in the place of some cells, given like all the rest: fewer or more
    tokens move what is behind them. Raises ValueError where no room is left."""
    tokens = held.tokens
    chosen = places(cells, tokens.shape[1])
    if not isinstance(text, str) or not text.strip():
        raise ValueError("Nothing was typed: write what is to stand there, or press Escape.")
    first, last = chosen[0], chosen[-1]
    if chosen != list(range(first, last + 1)):
        raise ValueError("The words chosen do not stand side by side: mark one piece of the text.")
    row, process = tokens[0], held.request.process
    spelled = render.spelled(held.pictures[-1].text[first], process.tokenizer)
    words = " " + text.strip() if spelled.startswith(" ") else text.strip()
    new = process.tokenizer.encode(words)
    whole = fitted(torch.cat([row[:first], new, row[last + 1 :]]), row, process)
    asked = over(wanted, held, whole[None], [])
    given = torch.zeros_like(asked.canvas.given)
    given[0, first : first + len(new)] = True
    return replace(asked, canvas=replace(asked.canvas, given=given))


def fitted(whole: Tensor, row: Tensor, process: Process) -> Tensor:
    """Tokens in as much room as there was: what fills a text behind its end grows or shrinks.
    Raises ValueError where the text itself does not fit."""
    room, end = len(row), process.tokenizer.end_id
    ends = process.ends and end is not None
    if len(whole) < room and ends:
        return torch.cat([whole, whole.new_full((room - len(whole),), end)])
    # behind the first END all are END, and one stays
    if len(whole) > room and not (ends and bool((whole[room - 1 :] == end).all())):
        least = len(whole) - room
        raise ValueError(
            f"There is no room for that: {least} {process.tokenizer.unit} too many. Type less, or "
            "shorten the text elsewhere first."
        )
    return whole[:room]


def forked(wanted: Request, held: Held, state: State | None) -> Request:
    """The run goes on from one of its states with the panel's sampler, steps, seed and guides."""
    check(wanted.process, "fork")
    if state is None:
        raise ValueError(
            "This run cannot be taken up in its middle: write it again here first, with Write."
        )
    if type(wanted.process) is not type(held.request.process):
        raise ValueError(
            "A run goes on with the model that began it: choose that model beside the text."
        )
    canvas = held.request.canvas
    kept = dict(length=canvas.tokens.shape[1], prompt="", template=None)
    start = state._replace(step=0, memory=None, guides=None)
    return by_hand(wanted, kept, canvas=canvas, start=start)


def state_of(held: Held, step: int) -> State | None:
    """The state after a step of a run by masks, from what is shown of it: that is all there is of
    it."""
    process, pictures = held.request.process, held.pictures
    if "mask" not in process.traits or not 0 <= step < len(pictures):
        return None
    picture = pictures[step]
    return State(ids(process, picture.text), held.request.canvas, picture.t)


def rewritten(wanted: Request, t: object) -> Request:
    """A text of the visitor's own (`prompt` of the panel), noised to a time and written on from
    there (SDEdit, arXiv:2108.01073); t = 1 leaves nothing of it."""
    process, text = wanted.process, wanted.settings["prompt"]
    check(process, "rewrite")
    good = isinstance(t, int | float) and not isinstance(t, bool) and T_MIN <= t <= 1
    if not good:
        raise ValueError(f"The share to rewrite is {brief(t)}; give a number from 0 to 1.")
    if not text.strip():
        raise ValueError("There is no text to rewrite: write one under “Begin with”.")
    tokens = process.tokenizer.encode(text)
    room = wanted.settings["length"]
    if len(tokens) > room:
        raise ValueError(
            f"The text has {len(tokens)} {process.tokenizer.unit} and there is room for {room}: "
            "shorten it, or take a greater length under More."
        )
    if process.ends:
        behind = tokens.new_full((room - len(tokens),), process.tokenizer.end_id)
        tokens = torch.cat([tokens, behind])
    nothing = torch.zeros(1, len(tokens), dtype=torch.bool)
    canvas = Canvas(tokens[None], nothing, wanted.canvas.label)
    start = noised(process, canvas, float(t), wanted.settings["seed"])
    settings = {"length": len(tokens), "prompt": "", "template": None}
    return by_hand(wanted, settings, canvas=canvas, start=start)


# ---------------------------------------------------------------- the visitor is the sampler


def begun(wanted: Request) -> Request:
    """One look at a text of which nothing is uncovered yet: the bets of all places."""
    check(wanted.process, "take")
    return by_hand(wanted, {"steps": 1})


def taken(held: Held, cell: object, token: object) -> Request:
    """One more cell is given: the visitor's choice. Raises ValueError."""
    process, canvas = held.request.process, held.request.canvas
    (place,) = places([cell], canvas.tokens.shape[1])
    if not isinstance(token, str) or len(token) != 1:
        raise ValueError(f"The choice is {brief(token)}; take one of the bets.")
    tokens, given = canvas.tokens.clone(), canvas.given.clone()
    chosen = int(ids(process, token)[0, 0])
    if chosen >= process.V:
        raise ValueError(f"The choice is {brief(token)}; take one of the bets.")
    tokens[0, place], given[0, place] = chosen, True
    return replace(held.request, canvas=replace(canvas, tokens=tokens, given=given))


# ---------------------------------------------------------------- what was before


def remember(session: Session, held: Held) -> None:
    """Keep what is on the player, to be undone."""
    session.past = [*session.past[1 - PAST :], held]


def undone(session: Session) -> Held:
    """What was on the player before. Raises ValueError where there is nothing."""
    if not session.past:
        raise ValueError("There is nothing to undo: no word of this text was changed.")
    held = session.past.pop()
    return replace(held, value=held.value | {"run": render.fresh_run()})


# ---------------------------------------------------------------- what a visitor did


def request_of(deed: dict, wanted: Request, held: Held, states: Sequence[State]) -> Request:
    """What a deed asks for: {"do": "again" | "type" | "fork" | "rewrite" | "begin" | "take" |
    "finish", and what belongs to it}. Raises ValueError.

    wanted: what the panel asks for
    states: those of the run that is held, one a step, as far as they are kept
    """
    match deed.get("do"):
        case "again":
            return again(wanted, held, deed.get("cells"))
        case "type":
            return typed(wanted, held, deed.get("cells"), deed.get("text"))
        case "fork":
            step = deed.get("step")
            kept = type(step) is int and 1 <= step <= len(states)
            state = states[step - 1] if kept else state_of(held, step if type(step) is int else -1)
            return forked(wanted, held, state)
        case "rewrite":
            return rewritten(wanted, deed.get("t"))
        case "begin":
            return begun(wanted)
        case "take":
            return taken(held, deed.get("cell"), deed.get("token"))
        case "finish":
            check(wanted.process, "take")
            canvas = held.request.canvas
            length = dict(length=canvas.tokens.shape[1], prompt="", template=None)
            return by_hand(wanted, length, canvas=canvas)
    raise ValueError(f"There is no {brief(deed.get('do'))} that can be done to a text.")
