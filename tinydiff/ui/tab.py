"""What a tab of the page is made of: the Tab itself, the Panel that it draws on, the Site in which
it stands, and the queues and menus that tabs share.

A panel draws itself: the server sends one value, a script of ui/static/panels draws and animates
it. Visitor text reaches the page only through `textContent`; markup in a value comes from plots.py
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import gradio as gr

from tinydiff.samplers import SAMPLERS
from tinydiff.store import catalogue
from tinydiff.ui.errors import said
from tinydiff.ui.request import OPENING
from tinydiff.ui.session import Job, Session

# the line of all runs: two at a time, which share the machine
SAMPLE = dict(concurrency_id="sample", concurrency_limit=2, show_progress="hidden")
HUB_QUEUE = dict(concurrency_id="hub", concurrency_limit=8)  # nobody's run waits for the Hub
QUIET = dict(show_progress="hidden", api_visibility="private")  # what widgets do among themselves
QUICK = dict(queue=False, **QUIET)


class Panel(gr.HTML):
    """An HTML component that the class of ui/static/panels/NAME.js redraws whenever its value
    changes, on a `server.Page`, which holds the scripts."""

    def __init__(self, name: str, value: dict | None = None, **more):
        super().__init__(
            value=value,
            html_template=f'<div class="tt-panel tt-{name}"></div>',
            js_on_load=f"tinydiff.panel({name.capitalize()!r}, element, props, watch)",
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
    of Denoise the player and the fields, for tabs that bring something to play with."""

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


@dataclass(frozen=True)
class Tab:
    """A tab of the page: one file, which names it, builds its widgets, checks what is asked of it
    and runs that.

    name:    its id, and the name of its jobs and its first view
    build:   makes the widgets and connects them, with `wire` where there are runs
    read:    the visitor's session and the widgets' values -> a request; raises gr.Error
    run:     a request and its job -> values of the outputs, one after the other
    offered: is there anything to show?
    record:  writes the first view (recording.py)
    refused: the values of the outputs, from that of the first, when a request is refused
    """

    name: str
    title: str
    build: Callable[[Site], None]
    read: Callable[..., object] | None = None
    run: Callable[[object, Job], Iterator] | None = None
    offered: Callable[[], bool] = lambda: True
    record: Callable[[], None] | None = None
    refused: Callable[[dict], object] = lambda value: value

    def start(self, session: Session, *values) -> Iterator:
        """A run with the values of the widgets, which replaces the visitor's older one; where they
        cannot be, a sentence at the field, and what is shown stays."""
        try:
            request = self.read(session, *values)
        except gr.Error as error:
            yield self.refused(said(error))
            return
        job = session.begin(self.name)
        yield from job.values(self.run(request, job))

    def alone(self, request: object) -> Iterator:
        """A run that belongs to no visitor: for the API and for recordings."""
        return self.run(request, Job())

    def wire(
        self, site: Site, events: list, values: list, outputs, stop: Callable, then=None
    ) -> dict:
        """Let a run begin at these events and end at `stop`; how it was connected, for an event of
        another kind. then: connects what comes behind the run."""
        run = dict(fn=self.start, inputs=[site.session, *values], outputs=outputs)
        run |= dict(api_name=f"run_{self.name}", api_visibility="private", **SAMPLE)
        ran = gr.on(events, trigger_mode="multiple", **run)

        if then:
            then(ran)

        async def end(session: Session, request: gr.Request) -> None:
            """Stop the visitor's run, also where it waits for its turn."""
            session.stop(self.name)
            site.page.withdraw(ran["id"], request.session_hash)

        stop(end, site.session, None, **QUICK)
        return run


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
