"""What a tab of the page is made of: the Tab itself, the Panel that it draws on, the Site in which
it stands, and the queues and menus that tabs share.

A panel draws itself: the server sends one value, a script of ui/static/panels draws and animates
it. Visitor text reaches the page only through `textContent`; markup in a value comes from plots.py
alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import gradio as gr

from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS
from tinydiff.store import catalogue
from tinydiff.ui import cost
from tinydiff.ui.errors import said
from tinydiff.ui.memory import MEMORY, key
from tinydiff.ui.request import OPENING
from tinydiff.ui.session import Job, Session
from tinydiff.ui.turns import PACE, Ask, Turn

# the line of all runs: two at a time, which share the machine
SAMPLE = dict(concurrency_id="sample", concurrency_limit=2, show_progress="hidden")
HUB_QUEUE = dict(concurrency_id="hub", concurrency_limit=8)  # nobody's run waits for the Hub
QUIET = dict(show_progress="hidden", api_visibility="private")  # what widgets do among themselves
QUICK = dict(queue=False, **QUIET)
RESEARCH = ["td-research"]  # the class of a field that is for researchers, which is said beside it


class Menu(gr.Dropdown):
    """A menu that holds other choices when another field changes. What the page sends may be of
    those before, so who reads it looks whether it fits."""

    def preprocess(self, payload):
        return payload

    def get_block_name(self) -> str:
        return "dropdown"


class Panel(gr.HTML):
    """An HTML component that the class of ui/static/panels/NAME.js redraws whenever its value
    changes, on a `server.Page`, which holds the scripts."""

    def __init__(self, name: str, value: dict | None = None, **more):
        drawing = f"tinydiff.panel({name.capitalize()!r}, element, props, watch)"
        more.setdefault("js_on_load", drawing)
        super().__init__(
            value=value,
            html_template=f'<div class="tt-panel tt-{name}"></div>',
            apply_default_css=False,
            elem_id=f"{name}-panel",
            **more,
        )

    def get_block_name(self) -> str:
        return "html"

    def api_info(self) -> dict:
        return {"type": "object", "title": "what the panel shows"}


@dataclass
class Site:
    """What the tabs share while the page is built: the page, its tabs, the visitor's session, and
    of Watch the player and the fields, for tabs that bring something to play with; and how the
    runs of events are asked for, which the page's queue does (`Page.asks`)."""

    page: gr.Blocks
    tabs: gr.Tabs
    session: gr.State
    player: gr.HTML | None = None
    fields: list = field(default_factory=list)
    menus: list[tuple[Callable, list, list]] = field(default_factory=list)

    def offer(self, shown: Callable, outputs: list, inputs: Sequence = ()) -> None:
        """Let menus hold what a visitor has used, whenever they come to a tab. shown: the session
        and the values of the inputs -> an update for each of the outputs."""
        self.menus.append((shown, list(inputs), outputs))

    def wire_menus(self, comes: Callable) -> None:
        """What `offer` was told, once all tabs are built. comes: the event of a visitor who comes
        to a tab."""
        inputs = [widget for _, more, _ in self.menus for widget in more]
        outputs = [widget for *_, some in self.menus for widget in some]
        comes(self.offered, [self.session, *inputs], outputs, **QUICK)

    def offered(self, session: Session, *values) -> list:
        """The updates of all menus; none where there is nothing of the visitor's own."""
        if not session.recent and session.trained_model() is None:
            return [gr.skip() for *_, some in self.menus for _ in some]
        found, values = [], list(values)
        for shown, inputs, _ in self.menus:
            found += shown(session, *values[: len(inputs)])
            del values[: len(inputs)]
        return found

    asks: dict[int, Ask] = field(default_factory=dict)


@dataclass(frozen=True)
class Tab:
    """A tab of the page: one file, which names it, builds its widgets, checks what is asked of it
    and runs that.

    name:    its id, and the name of its jobs and its first view
    build:   makes the widgets and connects them, with `wire` where there are runs
    read:    the visitor's session and the widgets' values -> a request; raises gr.Error
    run:     a request and its job -> values of the outputs, one after the other
    parts:   what is computed for a request: all that the run depends on beside the visitor
    costs:   multiplications of what a request asks for, about; those of its parts where None
    again:   a request, its job and what `memory` has kept of such a run -> the run's last value
    offered: is there anything to show?
    record:  writes the first view (recording.py)
    refused: the values of the outputs, from that of the first, when a request is refused
    remembered: is a finished run played to who asks for the same?
    """

    name: str
    title: str
    build: Callable[[Site], None]
    read: Callable[..., object] | None = None
    run: Callable[[object, Job], Iterator] | None = None
    parts: Callable[[object], list[Request]] = lambda request: [request]
    costs: Callable[[object], float] | None = None
    again: Callable[[object, Job, object], object] = lambda request, job, made: made
    offered: Callable[[], bool] = lambda: True
    record: Callable[[], None] | None = None
    refused: Callable[[dict], object] = lambda value: value
    remembered: bool = True

    def start(self, session: Session, *values) -> Iterator:
        """A run with the values of the widgets, which replaces the visitor's older one; where they
        cannot be, a sentence at the field, and what is shown stays."""
        if (waited := session.take(self.name, values)) is not None:
            yield from self.shown(*waited)
            return
        try:
            request = self.read(session, *values)
        except gr.Error as error:
            yield self.refused(said(error))
            return
        yield from self.shown(session.begin(self.name), request)

    def shown(self, job: Job, request: object) -> Iterator:
        """The values of a run; one that is finished is remembered, and how long it took."""
        began, last = time.monotonic(), None
        for last in job.values(self.run(request, job)):
            yield last
        if job.finished:
            PACE.take(self.work(request), time.monotonic() - began)
            MEMORY.keep(self.key(request), last if job.made is None else job.made)

    def ask(self, session: Session, *values) -> Turn:
        """A run with the values of the widgets, before its turn; where they cannot be, its sentence
        is known."""
        try:
            return self.turn(session, self.read(session, *values), values)
        except gr.Error as error:
            sentence = self.refused(said(error))
            return Turn(lambda: 0.0, known=lambda: True, find=lambda: sentence)

    def turn(self, session: Session, request: object, values: tuple = ()) -> Turn:
        """What is known of a run that was checked and waits for its turn."""
        job, work, known = Job(asked=(values, request)), self.work(request), self.key(request)

        def find() -> object | None:
            if (made := MEMORY.find(known)) is None:
                return None
            job.asked = None
            return self.again(request, job, made)

        def end() -> None:
            job.replaced = True

        def begin() -> None:
            session.begin(self.name, job)

        return Turn(lambda: PACE.seconds(work), begin, lambda: known in MEMORY, find, end)

    def work(self, request: object) -> float:
        """Multiplications of what a request asks for, about."""
        return self.costs(request) if self.costs else sum(map(cost.of, self.parts(request)))

    def key(self, request: object) -> str | None:
        """By what `memory` knows a run again; None of one that it does not keep."""
        return key(self.name, self.parts(request)) if self.remembered else None

    def alone(self, request: object) -> Iterator:
        """A run that belongs to no visitor: for the API and for recordings."""
        return self.run(request, Job())

    def wire(
        self, site: Site, events: list, values: list, outputs, stop: Callable, then=None
    ) -> dict:
        """Let a run begin at these events and end at `stop`; how it was connected, for an event of
        another kind. then: connects what comes behind the run. A change of the values marks what
        is shown as not of these settings (`stale_line`)."""
        marked(self.name, values, events)
        run = dict(fn=self.start, inputs=[site.session, *values], outputs=outputs)
        run |= dict(api_name=f"run_{self.name}", api_visibility="private", **SAMPLE)
        ran = gr.on(events, trigger_mode="multiple", **run)
        self.line_up(site, ran)
        if then:
            then(ran)

        async def end(session: Session, request: gr.Request) -> None:
            """Stop the visitor's run, also where it waits for its turn."""
            session.stop(self.name)
            for fn in [fn for fn, ask in site.asks.items() if ask.tab == self.name]:
                site.page.withdraw(fn, request.session_hash)

        stop(end, site.session, None, **QUICK)
        return run

    def line_up(self, site: Site, event: gr.events.Dependency, ask: Callable | None = None) -> None:
        """The runs of an event are asked for before they wait, and while they do their first output
        is told their place: {"waiting": a sentence}, "" when nothing is waited for any more."""
        site.asks[event["id"]] = Ask(self.name, ask or self.ask)


def stale_line(name: str) -> gr.HTML:
    """Where it is said that what a tab shows is not of the settings beside it."""
    line = '<p class="td-stale" role="status"></p>'
    return gr.HTML(
        line, elem_id=f"stale-{name}", elem_classes="td-stale-line", apply_default_css=False
    )


def marked(name: str, fields: list, starts: list) -> None:
    """A change of a field marks what the tab shows; the first value of a run that began at one of
    the events takes the mark away. What is pasted is no event of Gradio's: the script hears it."""
    changes = [change for field in fields if (change := getattr(field, "input", None))]
    for text in fields:
        if isinstance(text, gr.Textbox):
            text.elem_classes = [*text.elem_classes, f"td-typed-{name}"]
    gr.on(changes, None, None, None, js=f"() => {{ tinydiff.stale('{name}'); return []; }}")
    gr.on(starts, None, None, None, js=asked_js(name))


def asked_js(name: str) -> str:
    """What tells the page that a run of a tab was asked for."""
    return f"() => {{ tinydiff.asked('{name}'); return []; }}"


def menu(models: dict[str, catalogue.Model] | None = None) -> list[tuple[str, str]]:
    """Models for a menu, all that can be played with if none are named: (short name, key)."""
    perfect, models = catalogue.PERFECT, models or catalogue.models()
    return [
        (
            f"perfect network, {m.process}"
            if key.startswith(perfect)
            else catalogue.short_name(key),
            key,
        )
        for key, m in models.items()
    ]


def in_menus(*widgets: gr.Dropdown, of: Callable[[Session], dict], more: Sequence = ()) -> Callable:
    """Fills menus with the visitor's models, for `Site.offer`. more: choices behind them."""
    return lambda session: [gr.update(choices=[*menu(of(session)), *more]) for _ in widgets]


def first_model() -> str:
    """The model that a tab opens with."""
    models = catalogue.models()
    return OPENING["model"] if OPENING["model"] in models else next(iter(models))


def spaced(name: str) -> str:
    """A name of the code as people read it."""
    return name.replace("_", " ")


def with_steps(sampler: str, steps: int) -> str:
    """A sampler as people read it, with its number of steps where that matters."""
    counted = f", {steps} step{'s' * (steps > 1)}" if SAMPLERS[sampler].steps_matter else ""
    return spaced(sampler) + counted
