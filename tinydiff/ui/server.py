"""How visitors reach the page: what is read of a request, which routes there are, who waits in
which queue, what a session leaves behind. Everything here stands between the network and the tabs,
and knows no tab.

Gradio's queue counts all lines together, keeps events that nobody reads, and holds a copy of every
widget for every visitor. So the page has a queue of its own (`FairQueue`), a filter of requests
that knows who is listening (`RequestFilter`), and sessions that are small (`VisitorState`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from copy import copy
from urllib.parse import parse_qs

import gradio as gr
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import HTTPException
from gradio import queueing
from gradio.route_utils import get_fn
from gradio.server_messages import ProcessCompletedMessage, ProcessGeneratingMessage
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import error_payload
from starlette.middleware import Middleware

from tinydiff.paths import PACKAGE
from tinydiff.sentences import brief
from tinydiff.show.bundle import bundle
from tinydiff.ui.compressed import Packed
from tinydiff.ui.turns import PACE, Ask, Turn, sentence, waits

# bytes of a request: a text of LARGEST bytes, however its JSON is written, and no more
BODY = 4 << 20
FIELDS = 1 << 18  # bytes of all values that join a line which takes no long text
LONG = {"train", "learn"}  # the lines that do
WAITING = {"train": 8}  # events that a line holds; every other line holds MANY
MANY, OWN, ALL = 200, 8, 400  # of any other line, of one session in a line, of all lines
UNREAD = 15.0  # seconds for which an event waits for somebody who reads its answer; then it goes
# seconds between two looks for events that can begin, while somebody waits and while nobody does;
# Gradio looks a thousand times a second, which takes a tenth of a core
LOOK, REST = 0.01, 0.08
TIDY = 5.0  # seconds between two looks at what has been left behind
TELL = 0.2  # and between two looks at whose place in a line has changed
ASKERS = 8  # runs that are checked at the same time, before they join their line
SESSIONS = 256  # that are remembered
GRACE = 60.0  # seconds for which one whose page is closed is among them
LOG = logging.getLogger("tinydiff")
WRONG = "That went wrong here, and not by your doing: try other settings, or reload the page."

# it loads pyplot with the first event, for a second, and no picture of ours uses that
gr.utils.MatplotlibBackendMananger = nullcontext

# what the page and its API need, and Gradio's other routes, which the filter keeps shut
ROUTES = {
    "/",
    "/config",
    "/config/",
    "/theme.css",
    "/favicon.ico",
    "/robots.txt",
    "/manifest.json",
    "/pwa_icon",
    "/pwa_icon/{size}",
    "/static/{path:path}",
    "/svelte/{path:path}",
    "/assets/{path:path}",
    "/login/huggingface",
    "/login/callback",
    "/logout",
    *(
        "/gradio_api" + path
        for path in (
            "/startup-events",
            "/app_id",
            "/app_id/",
            "/info",
            "/info/",
            "/openapi.json",
            "/theme.css",
            "/heartbeat/{session_hash}",
            "/queue/join",
            "/queue/data",
            "/queue/status",
            "/cancel",
            "/reset",
            "/reset/",
            "/run/{api_name}",
            "/run/{api_name}/",
            "/call/{api_name}",
            "/call/{api_name}/",
            "/call/{api_name}/{event_id}",
            "/call/v2/{api_name}",
            "/call/v2/{api_name}/",
            "/call/v2/{api_name}/{event_id}",
            "/file={path_or_url:path}",
        )
    ),
}
SHUT = {
    "/openapi.json",
    "/login",
    "/login/",
    "/monitoring",
    "/monitoring/summary",
    "/monitoring/{key}",
    "/gradio_api/deep_link",
    *(
        "/gradio_api" + path
        for path in (
            "/user",
            "/user/",
            "/login_check",
            "/login_check/",
            "/token",
            "/token/",
            "/dev/reload",
            "/runs",
            "/runs/",
            "/custom_component/{id}/{environment}/{type}/{file_name}",
            "/proxy={url_path:path}",
            "/file/{path:path}",
            "/stream/{event_id}",
            "/stream/{event_id}/close",
            "/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
            "/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
            "/stream/{session_hash}/{run}/{component_id}/playlist-file",
            "/api/{api_name}",
            "/api/{api_name}/",
            "/component_server",
            "/component_server/",
            "/upload_progress",
            "/upload",
            "/process_recording",
            "/vibe-edit",
            "/vibe-edit/",
            "/undo-vibe-edit",
            "/undo-vibe-edit/",
            "/vibe-code",
            "/vibe-code/",
            "/vibe-starter-queries",
            "/vibe-starter-queries/",
        )
    ),
}
# the program's own files, which the guided story points at
SOURCES = {
    f"/source/{PACKAGE.name}/{file.relative_to(PACKAGE).as_posix()}": file
    for file in sorted(PACKAGE.rglob("*.py"))
}
OPEN = re.compile(
    "|".join(re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{\w+:path\}", ".*", path)) for path in ROUTES)
)


# ---------------------------------------------------------------- the page


class Page(gr.Blocks):
    """Blocks whose visitors are told in a sentence what is wrong, and wait in `FairQueue`."""

    def queue(self) -> Page:
        """Done as the page is begun. Gradio's own would build all routes once more, here and again
        when it is launched."""
        self.api_open = False  # what computes is reached through its line alone
        self.asks: dict[int, Ask] = {}  # by the events that are asked for before they wait
        self._queue = FairQueue(self)
        return self

    def is_quiet(self) -> bool:
        """Does nobody run anything, or wait for it?"""
        return self._queue.is_quiet("sample")

    def withdraw(self, fn: int, session: str | None) -> None:
        """A visitor's event that waits for its turn is not run. To be called in the event loop."""
        self._queue.replace(self.fns[fn], session)

    def launch(self, *, app_kwargs: dict | None = None, **more):
        more.setdefault("head", scripts())  # by now all plug-ins are loaded, which may bring views
        return super().launch(app_kwargs=dict(app_kwargs or {}), **more)  # Gradio writes into it

    async def preprocess_data(self, block_fn, inputs, state, explicit_call=False):
        wanted = len(block_fn.inputs)
        if len(inputs) < wanted:
            raise refusal(
                f"This takes {wanted} values and got {len(inputs)}: reload the page, or see "
                "the API's description."
            )
        try:
            values = await super().preprocess_data(block_fn, inputs, state, explicit_call)
            if any(
                value is None and isinstance(field, gr.Dataset)
                for field, value in zip(block_fn.inputs, values)
            ):
                # Gradio's own handler takes it for one
                raise ValueError("None of the examples was chosen.")
            return values
        except Exception as error:
            LOG.warning("a value was refused: %s", type(error).__name__)
            named = ", ".join(unfit(block_fn.inputs, inputs, state)) or "A field"
            raise refusal(
                f"{named}: what was sent does not fit. Choose among what the field offers, "
                "or reload the page."
            ) from None

    async def process_api(self, *args, **more):
        try:
            return await super().process_api(*args, **more)
        except gr.Error as error:
            error.print_exception = False  # it was meant for the visitor
            raise
        except Exception:
            traceback.print_exc()
            raise refusal(WRONG) from None


def scripts() -> str:
    """What the page's components call, once for all of them."""
    return f"<script>{bundle('page.js')}</script>"


def unfit(fields: list, values: list, state) -> list[str]:
    """The labels of the fields that refuse their value. Of those that hold files nothing is
    said."""
    found = []
    for field, value in zip(fields, values):
        if field.stateful or getattr(field, "data_model", None) or not field.label:
            continue
        try:  # as the field is for this visitor, whose menus may hold other choices
            (state[field._id] if state and field._id in state else field).preprocess(value)
        except Exception:
            found.append(field.label)
    return found


def end_at_sigterm() -> None:
    """SIGTERM ends the program as its own end would: what visitors have left on the disk goes. Call
    it in the main thread."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def refusal(words: str) -> gr.Error:
    """A sentence for the visitor, which holds nothing that a stranger wrote."""
    return gr.Error(words, print_exception=False)


# ---------------------------------------------------------------- who waits


class FairQueue(queueing.Queue):
    """Gradio's queue of events, one line for each `concurrency_id`: every line has its own length,
    and nobody waits who has gone.

    An event stands in its line while somebody listens for its answer (`attend`). Before and after
    that it is `unattended`, for UNREAD seconds: a page closes its stream with each last answer and
    opens another for the next question, which may come before the one is closed. In a line the
    second event of a session stands behind the first of everybody else's.

    A run of a tab (`Page.asks`) is asked for before it joins its line, beside all that computes:
    what cannot be run, and what is remembered, is answered at once, whoever waits. It is `asked`
    meanwhile, then it has a Turn in `turns`, until it is done.
    """

    def __init__(self, blocks: gr.Blocks):
        super().__init__(True, blocks.max_threads, 1, None, blocks)
        self.progress_update_sleep_when_free = TIDY  # no run tells its progress in that way
        self.readers: Counter[str] = Counter()  # open streams of answers by session or event
        self.unattended: dict[str, queueing.Event] = {}
        self.asked: dict[str, queueing.Event] = {}
        self.turns: dict[str, Turn] = {}
        self.told: dict[str, str] = {}  # by event, what its visitor has read last
        self.askers = CapacityLimiter(ASKERS)
        # sessions, and events that run, to which nobody listened at the last look
        self.left: set[str] = set()

    @property
    def sleep_when_free(self) -> float:
        """Seconds until the next look."""
        return LOOK if self.readers or self.unattended else REST

    @sleep_when_free.setter
    def sleep_when_free(self, seconds: float) -> None:
        """Gradio has a number of its own, which does not know who waits."""

    def compute_analytics_summary(self, records):
        """Nobody reads it."""
        return self.cached_event_analytics_summary

    async def push(self, body, request, username):
        fn = get_fn(self.blocks, None, body)
        if words := self.too_much(fn, body, request):
            raise HTTPException(429, words)
        if fn.api_visibility == "private":
            self.replace(fn, body.session_hash)
        done = await super().push(body, request, username)
        event = self.event_ids_to_events.get(done[1]) if done[0] else None
        self.event_analytics.clear()
        if event is not None and fn._id in self.blocks.asks:
            self.queue_of(event).queue.remove(event)
            self.asked[event._id] = event
            self.begin_task(self.ask(event))
        elif event is not None and not self.attended(event):
            self.queue_of(event).queue.remove(event)
            self.unattended[event._id] = event
        elif event is not None:
            self.enqueue(event)
        return done

    def too_much(self, fn, body, request) -> str:
        """Why an event cannot wait, in a sentence; "" if it can."""
        name, size = fn.concurrency_id, request.scope.get("tinydiff.body", 0)
        if size > FIELDS and name not in LONG:
            return f"The values are {size:,} bytes long; give at most {FIELDS:,}."
        if name != "train" and len(self.unattended) >= MANY:
            self.drop(next(iter(self.unattended.values())))  # nobody has come for it yet
        waiting = self.waiting(name)
        if (
            body.session_hash is not None
            and sum(event.session_hash == body.session_hash for event in waiting) >= OWN
        ):
            return f"{OWN} of your runs wait already: wait for them, or stop one."
        if len(waiting) >= WAITING.get(name, MANY):
            return f"{len(waiting)} others wait already: try again in a few minutes."
        if len(self) >= ALL:
            return f"{len(self)} others wait already: try again in a minute."
        return ""

    def waiting(self, name: str) -> list[queueing.Event]:
        """The events of a line, and those that are asked for."""
        line = self.event_queue_per_concurrency_id.get(name)
        asked = [event for event in self.asked.values() if event.concurrency_id == name]
        return [*(line.queue if line else ()), *asked]

    def is_quiet(self, name: str) -> bool:
        """Is a line empty, and does nothing of it run?"""
        line = self.event_queue_per_concurrency_id.get(name)
        return line is None or not (line.queue or line.current_concurrency)

    def queue_of(self, event: queueing.Event) -> queueing.EventQueue:
        return self.event_queue_per_concurrency_id[event.concurrency_id]

    def enqueue(self, event: queueing.Event) -> None:
        """Let it stand where it is fair: behind all who have no more before it than its own session
        has."""
        line = self.queue_of(event).queue
        if event in line:
            line.remove(event)
        seen: Counter[str] = Counter()
        earlier, place = sum(other.session_hash == event.session_hash for other in line), len(line)
        for i, other in enumerate(line):
            if seen[other.session_hash] > earlier:
                place = i
                break
            seen[other.session_hash] += 1
        line.insert(place, event)
        self.broadcast_estimations(event.concurrency_id, place)
        if event._id in self.turns and not self.has_room(event.concurrency_id):
            self.tell(event.concurrency_id)

    # ------------------------------------------------------------ before the line

    async def ask(self, event: queueing.Event) -> None:
        """Let a run join its line once it is checked; what needs no computing is answered."""
        try:
            turn = await self.turn_of(event)
            found = None
            if turn is not None and event._id in self.asked:
                if turn.begin is not None:
                    turn.begin()
                    self.leave_others(event)
                if turn.known():
                    found = await run_sync(turn.find, limiter=self.askers)
        except Exception as error:
            if not isinstance(error, gr.Error):
                traceback.print_exc()
                error = refusal(WRONG)
            return self.refuse(event, error)
        if event._id not in self.asked:  # taken back, or pressed again
            if turn is not None:
                turn.end()
        elif turn is None or found is not None:
            await self.answer(event, found)
        else:
            del self.asked[event._id]
            self.turns[event._id] = turn
            if self.attended(event):
                self.enqueue(event)
            else:
                event.enqueue_time = time.monotonic()
                self.unattended[event._id] = event

    async def turn_of(self, event: queueing.Event) -> Turn | None:
        """The Turn of what an event asks for."""
        state = self.blocks.app.state_holder[event.session_hash]
        values = await self.blocks.preprocess_data(event.fn, event.data.data, state)
        ask = self.blocks.asks[event.fn._id].turn
        return await run_sync(ask, *values, limiter=self.askers)

    def leave_others(self, event: queueing.Event) -> None:
        """What else its visitor waits for is not run: this is their newest."""
        for other in self.everybody():
            if (
                other is not event
                and other.session_hash == event.session_hash
                and other.fn._id in self.blocks.asks
                and other.concurrency_id == event.concurrency_id
            ):
                self.skip(other)

    async def recall(self, event: queueing.Event, turn: Turn) -> None:
        """A run of the same settings was finished while this one waited: it is played."""
        found = await run_sync(turn.find, limiter=self.askers)
        if event._id in self.asked and found is not None:
            await self.answer(event, found)
        elif event._id in self.asked:  # it was forgotten again
            del self.asked[event._id]
            self.enqueue(event)

    async def answer(self, event: queueing.Event, found: object) -> None:
        """The outputs of an event that is not run; None leaves them as they are."""
        if found is None:
            return self.skip(event)
        state = self.blocks.app.state_holder[event.session_hash]
        data = await self.blocks.postprocess_data(event.fn, found, state)
        self.finish(event, {"data": data})

    def refuse(self, event: queueing.Event, error: gr.Error) -> None:
        """Answer with the sentence of an error."""
        said = error_payload(error, self.blocks.show_error)
        self.finish(event, said, success=False, title=said.get("title", "Error"))

    def skip(self, event: queueing.Event) -> None:
        """Answer with no change."""
        self.finish(event, {"data": self.waits_with("" if event._id in self.told else None, event)})

    def finish(self, event: queueing.Event, output: dict, success: bool = True, **more) -> None:
        """The last message to an event that was not begun; it is in no line any more."""
        session = event.session_hash
        ids = self.pending_event_ids_session.get(session, set()) - {event._id}
        output |= {"is_generating": False} if success else {}
        if session in self.pending_messages_per_session:  # else nobody is there any more
            message = ProcessCompletedMessage(output=output, success=success, **more)
            self.send_message(event, message)
            ids = ids | {event._id}  # until the answer is read
        self.drop(event)
        if ids:
            self.pending_event_ids_session[session] = ids

    def begin_task(self, work) -> None:
        """Do it beside what else there is to do."""
        task = asyncio.get_running_loop().create_task(work)
        self._asyncio_tasks.add(task)
        task.add_done_callback(self._asyncio_tasks.discard)

    # ------------------------------------------------------------ what who waits sees

    async def keep_told(self) -> None:
        while True:
            await asyncio.sleep(TELL)
            for name in {event.concurrency_id for event in self.everybody()}:
                self.recall_known(name)
                self.tell(name)

    def recall_known(self, name: str) -> None:
        """Whatever of a line has been finished for somebody else meanwhile is played."""
        for event in list(self.line(name)):
            turn = self.turns.get(event._id)
            if turn is not None and turn.known():
                self.queue_of(event).queue.remove(event)
                self.asked[event._id] = event
                self.begin_task(self.recall(event, turn))

    def line(self, name: str) -> list[queueing.Event]:
        line = self.event_queue_per_concurrency_id.get(name)
        return line.queue if line else []

    def has_room(self, name: str) -> bool:
        """Will the only event of a line begin at once?"""
        line = self.event_queue_per_concurrency_id[name]
        return len(line.queue) < 2 and line.current_concurrency < line.concurrency_limit

    def tell(self, name: str) -> None:
        """Send each page that waits in a line its place, where that has changed."""
        late = time.monotonic() - TELL
        asked = [
            event
            for event in self.waiting(name)
            if event._id in self.asked.keys() - self.turns.keys() and event.enqueue_time < late
        ]
        waiting = [*self.line(name), *asked]
        if not any(event.fn._id in self.blocks.asks for event in waiting):
            return
        turns = [self.turns.get(event._id) for event in waiting]
        takes = [turn.seconds() if turn else PACE.seconds() for turn in turns]
        left = [
            self.turns[event._id].left() if event._id in self.turns else PACE.seconds()
            for job in self.active_jobs
            for event in job or ()
            if event.concurrency_id == name
        ]
        places = self.event_queue_per_concurrency_id[name].concurrency_limit or len(waiting)
        for before, (event, wait) in enumerate(zip(waiting, waits(takes, left, places))):
            words = sentence(before, wait)
            if event.fn._id in self.blocks.asks and words != self.told.get(event._id):
                self.send_place(event, words)

    def send_place(self, event: queueing.Event, words: str) -> None:
        """The first message to an event holds whole values, the others what changes in them."""
        data, first = self.waits_with(words, event), event._id not in self.told
        if not first:
            data = [replaced(data[0]), *[[]] * (len(data) - 1)]
        self.told[event._id] = words
        output = {"data": data, "is_generating": True}
        super().send_message(event, ProcessGeneratingMessage(output=output, success=True))

    def send_message(self, event, event_message):
        """The first picture of a run takes the place of the sentence that was shown before it."""
        if event_message.msg == "process_generating" and self.told.pop(event._id, None) is not None:
            output = event_message.output
            changes = [replaced(value) for value in output["data"]]
            event_message.output = output | {"data": changes}
        super().send_message(event, event_message)

    def waits_with(self, words: str | None, event: queueing.Event) -> list:
        """Outputs of an event: the sentence on the first, where there is one, nothing new on the
        others."""
        nothing = [{"__type__": "update"}] * len(event.fn.outputs)
        return nothing if words is None else [{"waiting": words}, *nothing[1:]]

    async def process_events(self, events, batch, begin_time, fn):
        for event in events:
            if event._id in self.turns:
                self.turns[event._id].began = time.monotonic()
        try:
            await super().process_events(events, batch, begin_time, fn)
        finally:
            for event in events:
                if not event.alive:  # its stream ended first, and it was not seen to be gone
                    self.end(event)
                self.forget(event)

    def forget(self, event: queueing.Event) -> None:
        """What is known of an event that is done, or will not be."""
        for known in (self.unattended, self.asked, self.turns, self.told):
            known.pop(event._id, None)

    # ------------------------------------------------------------ who listens

    def attended(self, event: queueing.Event) -> bool:
        return bool(self.readers[event.session_hash] or self.readers[event._id])

    def attend(self, key: str) -> None:
        """Somebody listens for the answers to a session, or to one event."""
        self.readers[key] += 1
        for event in [
            event for event in self.unattended.values() if key in (event.session_hash, event._id)
        ]:
            del self.unattended[event._id]
            self.enqueue(event)

    def gone(self, session: str) -> None:
        """A visitor's page is closed: what is computed for it ends now, in the middle of its
        work."""
        for event in [event for job in self.active_jobs for event in job or ()]:
            if event.session_hash == session and event._id in self.turns:
                self.end(event)
                event.alive = False

    def end(self, event: queueing.Event) -> None:
        """Nobody wants a run any more: it ends, once."""
        turn = self.turns.pop(event._id, None)
        if turn is not None:
            turn.end()

    def leave(self, key: str) -> None:
        """They listen no more; what they waited for waits for somebody else who does."""
        self.readers[key] -= 1
        if self.readers[key] > 0:
            return
        del self.readers[key]
        for event in self.everybody():
            if (
                key in (event.session_hash, event._id)
                and event._id not in self.unattended
                and event._id not in self.asked
                and not self.attended(event)
            ):
                self.queue_of(event).queue.remove(event)
                event.enqueue_time = time.monotonic()
                self.unattended[event._id] = event

    def everybody(self) -> list[queueing.Event]:
        lines = [
            event for line in self.event_queue_per_concurrency_id.values() for event in line.queue
        ]
        return [*lines, *self.unattended.values(), *self.asked.values()]

    def drop(self, event: queueing.Event) -> None:
        """An event that is not begun yet."""
        self.forget(event)
        with suppress(ValueError):
            self.queue_of(event).queue.remove(event)
        self.event_ids_to_events.pop(event._id, None)
        self.pending_event_ids_session.get(event.session_hash, set()).discard(event._id)

    def replace(self, fn, session: str | None) -> None:
        """A visitor presses again before their turn has come: the former press is answered with no
        change."""
        for event in [
            event for event in self.everybody() if event.fn is fn and event.session_hash == session
        ]:
            self.skip(event)

    async def clean_events(self, *, session_hash=None, event_id=None):
        gone = [
            event
            for event in self.everybody()
            if session_hash == event.session_hash or event_id == event._id
        ]
        await super().clean_events(session_hash=session_hash, event_id=event_id)
        for event in gone:
            self.drop(event)

    async def remove_from_queue(self, event_id: str):
        for event in [event for event in self.everybody() if event._id == event_id]:
            self.drop(event)
        await super().remove_from_queue(event_id)

    # ------------------------------------------------------------ what is left behind

    async def keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY)
            self.tidy()
            self.blocks.app.state_holder.tidy()

    def tidy(self) -> None:
        """Forget events that nobody has come for, stop those whose visitor has not come back, and
        forget the answers of sessions to which nobody listens.
        """
        late = time.monotonic() - UNREAD
        for event in [event for event in self.unattended.values() if event.enqueue_time < late]:
            self.drop(event)
        alive = {event.session_hash for event in self.event_ids_to_events.values()}
        kept = {*self.pending_messages_per_session, *self.pending_event_ids_session}
        quiet = {session for session in kept if session not in alive and not self.readers[session]}
        for session in quiet & self.left:
            self.pending_messages_per_session.pop(session, None)
            self.pending_event_ids_session.pop(session, None)
        unheard = {
            event._id: event
            for job in self.active_jobs
            for event in job or []
            if not self.attended(event)
        }
        for event in unheard.keys() & self.left:
            unheard[event].alive = False
        self.left = quiet | unheard.keys()


def replaced(value: object) -> list:
    """As what a page gets a new value that has one."""
    return [["replace", [], value]]


# ---------------------------------------------------------------- what a session keeps


class VisitorState(SessionState):
    """A session without the copy of every widget that Gradio keeps for deep links, which the page
    has not."""

    def __init__(self, blocks: gr.Blocks):
        self.blocks_config = copy(blocks.default_config)
        self.config_values, self.state_data, self._state_ttl = {}, {}, {}
        self.is_closed, self.STATE_TTL_WHEN_CLOSED = False, 3600

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key):
        pass

    def _update_value_in_config(self, key, value):
        pass


class VisitorStates(StateHolder):
    """The sessions there are, SESSIONS at the most. A session whose page is closed is forgotten
    after GRACE seconds."""

    def __init__(self):
        super().__init__()
        self.streams: Counter[str] = Counter()  # open streams of each
        self.touched: dict[str, float] = {}

    def __getitem__(self, session_id: str) -> VisitorState:
        self.touched[session_id] = time.monotonic()
        if session_id not in self.session_data:
            self.session_data[session_id] = VisitorState(self.blocks)
            self.tidy()
        return super().__getitem__(session_id)

    def hold(self, session_id: str) -> None:
        """A stream has been opened."""
        self.streams[session_id] += 1

    def release(self, session_id: str) -> None:
        """It is closed."""
        self.streams[session_id] -= 1
        if self.streams[session_id] <= 0:
            del self.streams[session_id]
        if session_id in self.session_data:
            self.touched[session_id] = time.monotonic()

    def tidy(self) -> None:
        """Forget who has gone; and the longest unused, where there are too many."""
        early = time.monotonic() - GRACE
        for session in [
            s
            for s in list(self.session_data)
            if not self.streams[s] and self.touched.get(s, 0) < early
        ]:
            self.forget(session)
        while len(self.session_data) > SESSIONS:
            self.forget(next(iter(self.session_data)))

    def forget(self, session_id: str) -> None:
        """Clear away a session and what it has kept (`gr.State.delete_callback`)."""
        session = self.session_data.pop(session_id, None)
        self.time_last_used.pop(session_id, None)
        self.touched.pop(session_id, None)
        for key, value in session.state_data.items() if session else ():
            session.blocks_config.blocks[key].delete_callback(value)


# ---------------------------------------------------------------- the filter of requests


class RequestFilter:
    """ASGI: reads no more than BODY bytes of a request, knows who listens, and answers in a
    sentence where Gradio would not."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if file := SOURCES.get(path):
            return await send_text(send, file.read_bytes())
        if not OPEN.fullmatch(path):
            return await send_answer(
                send, 404, "There is nothing at this address: the page is at /."
            )
        if (
            scope["method"] == "HEAD" and path == "/"
        ):  # so Gradio asks at the start whether it is there, and gives up after 3 s
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", b"text/html; charset=utf-8")],
                }
            )
            return await send({"type": "http.response.body"})
        if scope["method"] not in ("GET", "HEAD"):
            body = await read(receive)
            if body is None:
                return await send_answer(send, 413, f"That is more than {BODY:,} bytes: send less.")
            scope["tinydiff.body"] = len(body)
            receive = again(body, receive)
        with listening(scope["app"], *listener(scope, path)):
            await self.guarded(scope, receive, send)

    async def guarded(self, scope, receive, send):
        begun = False

        async def watched(message):
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            LOG.warning(
                "a request was refused: %s %s: %s",
                scope["method"],
                brief(scope["path"]),
                type(error).__name__,
            )
            if not begun:
                await send_answer(
                    send,
                    400,
                    "This request cannot be read: the page's footer says how its API is used.",
                )


async def read(receive) -> bytes | None:
    """The whole body of a request; None where it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= BODY:
            parts.append(part)
    return b"".join(parts) if size <= BODY else None


def again(body: bytes, receive):
    """`receive` of a request whose body was read."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def received():
        return waiting.pop() if waiting else await receive()

    return received


async def send_answer(send, status: int, words: str) -> None:
    await send_all(send, status, "application/json", json.dumps({"detail": words}).encode())


async def send_text(send, content: bytes) -> None:
    await send_all(send, 200, "text/plain; charset=utf-8", content)


async def send_all(send, status: int, kind: str, content: bytes) -> None:
    head = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": content})


def listener(scope, path: str) -> tuple[str, str]:
    """(the session or the event whose answers a request listens for, the session that it keeps
    open); "" for none."""
    parts = path.strip("/").split("/")
    if scope["method"] != "GET" or parts[0] != "gradio_api":
        return "", ""
    if parts[1:] == ["queue", "data"]:
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        return session, session
    if parts[1] == "call" and len(parts) > 3:
        return parts[-1], parts[-1]
    return "", parts[-1] if parts[1] == "heartbeat" else ""


@contextmanager
def listening(app, answers: str, session: str):
    """The lines and the sessions know of an open stream."""
    lines, visits = app.get_blocks()._queue, app.state_holder
    if answers:
        lines.attend(answers)
    if session:
        visits.hold(session)
    try:
        yield
    finally:
        if answers:
            lines.leave(answers)
        if session:
            visits.release(session)
            if not visits.streams[session]:
                lines.gone(session)


@asynccontextmanager
async def opened(app):
    """Before the first request: sessions are small, the lines are kept tidy."""
    app.state_holder = VisitorStates()
    app.state_holder.set_blocks(app.get_blocks())
    lines = app.get_blocks()._queue
    tasks = [asyncio.create_task(work()) for work in (lines.keep_tidy, lines.keep_told)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


LAUNCH = dict(
    app_kwargs=dict(middleware=[Middleware(RequestFilter), Middleware(Packed)], lifespan=opened),
    max_file_size=BODY,
    run_history=False,  # it would ask the Hub, as whoever runs this
    enable_monitoring=False,
    state_session_capacity=SESSIONS,
)
