"""The first tab: one text, written before one's eyes.

A run streams to the player as it is made; what it showed last is kept for the visitor's downloads.
Under the text a slider swaps between other numbers of looks (looks.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import gradio as gr
import torch

from tinydiff import runs
from tinydiff.nets.memory import keep_some_freed
from tinydiff.paths import ASSETS
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show import render
from tinydiff.store import catalogue, hub
from tinydiff.store.catalogue import Model
from tinydiff.ui import (
    doubting,
    downloads,
    gaps,
    looks,
    originals,
    presenter,
    recording,
    steering,
    touch,
)
from tinydiff.ui import fields as panel
from tinydiff.ui.errors import one_of, refusal, refusals, said
from tinydiff.ui.fields import FIELDS, HUB, fields_of, fitted, menus, options, unchanged
from tinydiff.ui.gaps import Filling
from tinydiff.ui.memory import MEMORY
from tinydiff.ui.player import Player
from tinydiff.ui.request import OPENING, Request, from_query, number, open_model, read
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import HUB_QUEUE, QUICK, QUIET, SAMPLE, Site, Tab, stale_line
from tinydiff.ui.turns import PACE, Turn
from tinydiff.ui.writing import bets, still, write
from tinydiff.uncertainty import percent

EXAMPLE = ASSETS / "example.json"
# that the opening run of a model may take which nobody has recorded, and its other looks
FIRST_SECONDS, MORE_SECONDS = 20.0, 5.0
REST = 1.0  # seconds after a run in which many write again at once

keep_some_freed()
# two visitors share two cores; threads that wait for each other cost more than they bring
torch.set_num_threads(1)


# ---------------------------------------------------------------- the recorded run


def example() -> dict:
    """The run that plays at load, as one value for the player; under the text it says so where the
    same seed would not make it again here.
    """
    if not looks.is_recorded():
        return first_run(OPENING["model"])[0]
    value, words = json.loads(EXAMPLE.read_text("utf-8")), recording.caption("example")
    return value | {"stats": [*value["stats"], ["", "", words]]} if words else value


@lru_cache(maxsize=1)
def first_run(model: str) -> tuple[dict, dict]:
    """The opening run of a model that nobody has recorded, and other numbers of looks for it, as
    many as come in a while."""
    asked, job = read({"model": model}), Job()
    job.seconds = FIRST_SECONDS
    *_, value = write(asked, job)
    value = {**value, "run": 0}
    found = looks.Looks.of(asked, value)
    end = time.monotonic() + MORE_SECONDS
    if not job.late:
        for _ in looks.behind(found, lambda: time.monotonic() < end, quiet):
            pass
    value["head"] = value["head"] | {"looks": sorted(found.made) if len(found.made) > 1 else []}
    return value, found.value()


def quiet() -> bool:
    """Nobody waits before the page is served."""
    return True


def record_example(path: Path = EXAMPLE) -> None:
    """Write the opening run as the one that plays at load, and its other numbers of looks."""
    request = read({})
    *_, value = TAB.alone(request)
    value = {**value, "run": 0}
    recording.save("example", value, [OPENING["model"]], path)
    if path == EXAMPLE:
        looks.record(request, value)


def other_looks() -> dict:
    """Other numbers of looks for the run that plays at load, as `Looks.value`."""
    return looks.recorded() if looks.is_recorded() else first_run(OPENING["model"])[1]


def again(request: Request | Filling, job: Job, made: dict) -> dict:
    """An earlier run of the same settings, as a run of its own."""
    if isinstance(request, Filling):
        gaps.again(request, job, made)
    else:
        job.request, job.kept = request, made | {"run": render.fresh_run()}
    job.looks = looks.Looks.of(job.request, job.kept)
    return job.kept


def remember_opening() -> None:
    """Whoever asks for the opening need not wait for it, where the bundled recording is what the
    same seed writes here."""
    if recording.is_reproducible("example"):
        MEMORY.keep(TAB.key(read({})), example())


def on_player(session: Session) -> dict:
    """The run on the player: the visitor's own, with as many looks as they chose, or the recorded
    one."""
    found = looks.of_session(session, TAB.name)
    if found and found.chosen in found.made:
        return found.made[found.chosen]
    if kept := session.kept(TAB.name):
        return kept
    return other_looks().get("made", {}).get(str(session.looks)) or example()


# ---------------------------------------------------------------- handlers


def read_fields(session: Session, noise: str, *values) -> Request | Filling:
    """What the widgets of the page ask for."""
    return gaps.asked(panel.raw_settings(*fitted(session, noise, values)), session)


def started(request: Request | Filling, job: Job) -> Iterator[dict]:
    """A run; when it is over there may be other numbers of looks for it."""
    if isinstance(request, Filling):
        yield from gaps.write(request, job)
    else:
        job.request, job.keeps_states = request, "diffusion" in request.process.traits
        yield from write(request, job)
    if job.wanted and not job.late:
        job.looks = looks.Looks.of(job.request, job.kept)


def held(session: Session) -> touch.Held:
    """What is on the player; the recorded run where the visitor has made none."""
    job = session.jobs.get(TAB.name)
    value = on_player(session)
    if originals.is_recording(value):
        raise ValueError(originals.CLOSED)
    request = job.request if job and job.request else read({})
    steps = len(render.unpack(value).frames) - 1
    return touch.Held(replace(request, settings=request.settings | {"steps": max(1, steps)}), value)


def touched(event: gr.EventData, session: Session, noise: str, *values) -> Iterator[dict]:
    """The visitor did something to the text (`touch.request_of`), or takes it back."""
    deed = event._data if isinstance(event._data, dict) else {}
    yield from done_to(session, deed, fitted(session, noise, values))


def done_to(session: Session, deed: dict, values: Sequence) -> Iterator[dict]:
    """The values of a deed. What cannot be done is said beside the text, {"refused": sentence}."""
    try:
        if deed.get("do") == "undo":
            before = touch.undone(session)
            yield settled(session, before.request, before.value)
            return
        was, job = held(session), session.jobs.get(TAB.name)
        if deed.get("do") == "pick":
            request, value = gaps.picked(job and job.filled, deed)
            touch.remember(session, was)
            yield settled(session, request, value)
            session.jobs[TAB.name].looks = looks.Looks.of(request, value)
            return
        chosen = job.looks.chosen if job and job.looks else None
        own = job and chosen == (job.request.settings["steps"] if job.request else None)
        raw = panel.raw_settings(*values)
        if deed.get("do") in ("doubt", "mend"):
            shown = (session.kept(TAB.name) or was.value)["run"]  # with whatever number of looks
            yield from doubting.answered(session, deed, was, shown, raw, putting(session, was))
            return
        if deed.get("do") not in ("rewrite", "begin"):  # the field of the text plays no part
            raw |= {"prompt": "", "template": None}
        wanted = read(raw, session)
        if deed.get("do") == "again":
            wanted = touch.another_seed(wanted, session)
        request = touch.request_of(deed, wanted, was, job.states if own else [])
    except ValueError as error:
        yield {"refused": str(error), "beside": True}  # the text, and at no field
        return
    except gr.Error as error:
        yield said(error)
        return
    if deed["do"] == "begin":
        session.turn = request
    if deed["do"] != "take":
        touch.remember(session, was)
    if deed["do"] == "type":
        yield settled(session, request, still(request))
    elif deed["do"] in ("begin", "take"):
        yield settled(session, request, bets(request))
    else:
        job = session.begin(TAB.name)
        yield from job.values(started(request, job))
        if deed["do"] == "finish" and session.turn and job.wanted:
            yield scored(session.turn, request, job)


def scored(turn: Request, request: Request, job: Job) -> dict:
    """The visitor's finished text, with how good it is beside those that the machine writes alone:
    from where the visitor began, with the same steps and seed, in orders of its own."""
    steps, found = request.settings["steps"], []
    for name, words in touch.ORDERS.items():
        if name in column(request.process):
            settings = request.settings | {"sampler": name, "options": {}}
            alone = replace(request, canvas=turn.canvas, settings=settings)
            made = looks.written(alone, steps, lambda: job.wanted)
            if made and made.get("measure"):
                found.append(f"{words} {percent(made['measure']['share'])}")
    mine = job.kept.get("measure")
    if mine and found:
        row = [f"your {mine['name']}", percent(mine["share"]), f"alone: {', '.join(found)}"]
        job.kept = job.kept | {"stats": [row, *job.kept["stats"]]}
    return job.kept


def putting(session: Session, was: touch.Held):
    """What puts a text as it stands in the place of what is on the player, to be undone."""

    def put(request: Request) -> dict:
        touch.remember(session, was)
        return settled(session, request, still(request))

    return put


def tried(session: Session, chip: object, noise: str, *values) -> Iterator[dict]:
    """What is ready to be tried was chosen: its text is written, or doubted."""
    if chip in panel.SLIPS:
        yield from done_to(session, {"do": "doubt", "mine": True}, fitted(session, noise, values))
    else:
        yield from TAB.start(session, noise, *values)


def ask_tried(session: Session, chip: object, *values) -> Turn:
    """The same before its turn."""
    return Turn(PACE.seconds) if chip in panel.SLIPS else TAB.ask(session, *values)


def settled(session: Session, request: Request, value: dict) -> dict:
    """A value that is there at once becomes the visitor's newest run."""
    job = session.begin(TAB.name)
    job.request, job.kept = request, value | {"still": True}
    return job.kept


def others_of(site: Site):
    """A handler that computes other numbers of looks for the visitor's newest run, while nobody
    waits for a run; after a rest, or at once when the slider is dragged."""

    def others(session: Session) -> Iterator[dict]:
        job, found = session.jobs.get(TAB.name), looks.of_session(session, TAB.name)
        if found is None:
            yield gr.skip()
            return
        begin = time.monotonic() + REST

        def wanted() -> bool:
            return session.jobs.get(TAB.name) is job and job.wanted

        def free() -> bool:
            dragged = found.chosen not in found.made
            return (dragged or time.monotonic() >= begin) and site.page.is_quiet()

        yield from map(looks.packed, looks.behind(found, wanted, free))

    return others


def looked(session: Session, event: gr.EventData):
    """The slider was let go at a number of looks: the next run takes as many, and where it is not
    there yet it is computed before the others."""
    with refusals():
        count = number("steps", event._data.get("count") if isinstance(event._data, dict) else None)
    session.looks = count
    if found := looks.of_session(session, TAB.name):
        found.chosen = count if count in found.counts else found.chosen
    return count


def denoise(settings: dict) -> Iterator[dict]:
    """Write a text; the settings are those of a link: model, sampler, steps, spacing, length, seed,
    prompt, template, until, label, the options of guides by their names (temperature, top_k, top_p,
    guidance ...) and options, those of the sampler; each may be left out. Streams the run so far as
    tinydiff/show/render.py packs it.
    """
    if not isinstance(settings, dict):
        raise refusal(
            "The settings are not a JSON object: give names and values, or {} for the usual ones."
        )
    yield from TAB.alone(read(settings))


def recent_shown(session: Session, process: str) -> list:
    """The noises and the models to choose from, with those that the visitor used elsewhere."""
    noises, known = panel.noises(session.models), isinstance(process, str)
    of_noise = panel.model_menu(process, session.models) if known else []
    return [gr.update(choices=noises), gr.update(choices=of_noise)]


def noise_chosen(session: Session, process: str, sampler: str):
    """Another noise: its models and its samplers. The usual sampler of one gives way to that of the
    other."""
    choices = panel.models_of(process, session.models)
    if not choices:
        raise refusal("The models of that repository are not here any more: load its Hub id again.")
    return model_chosen(session, choices[0][1], panel.usual(sampler))


def model_chosen(session: Session, model: str, sampler: str):
    """Another model of this noise, with samplers of its own; or the place for an id of the Hub, and
    until one is loaded nothing else changes."""
    if model == HUB:
        return gr.update(visible=True), *unchanged()
    session.choice = choice = object()
    with refusals():
        chosen, process = open_model(model, session)
    if session.choice is not choice:  # the next was quicker
        return gr.skip(), *unchanged()
    return gr.update(visible=False), *menus(session.models, chosen.key, process, sampler)


def hub_asked(session: Session, source: str, sampler: str):
    """The menus hold what a repository holds as well, for this visitor. A refusal stands under the
    id and changes nothing else."""
    try:
        every, first = catalogue.hub_models(runs.text("Hub id", source).strip())
    except ValueError as error:
        return panel.refused(str(error)), *unchanged()
    models = {key: model for key, model in every.items() if not model.task}
    session.remember(every)
    session.models = models | session.models
    shown = menus(session.models, next(iter(models)), first, sampler)
    return gr.update(info=hub_info(models), elem_classes=[]), *shown


def hub_info(models: dict[str, Model]) -> str:
    """What stands under a Hub id that was loaded."""
    sha = hub.Source.parse(next(iter(models))).revision
    return f"Commit {sha[:12]}: {len(models)} model{'s' if len(models) > 1 else ''} to play with."


def sampler_chosen(sampler: str):
    one_of("sampler", sampler, SAMPLERS)
    return gr.update(info=SAMPLERS[sampler].about), *panel.sampler_parts(sampler)


def opened(session: Session, request: gr.Request):
    """The page was opened: with a link, the widgets show its settings, and its run is what `linked`
    will make. The session is handed back so that Gradio clears it away some time after the visitor
    left.
    """
    query = dict(request.query_params)
    session.recorded, raw = query.get("recorded", ""), from_query(query)
    if session.recorded or not raw:
        return session, *[gr.skip()] * (1 + len(FIELDS) + steering.count() + len(options()))
    with refusals():
        model, process = open_model(asked := raw.get("model", OPENING["model"]))
    if other := catalogue.instead(asked):
        gr.Info(other, title="Another model")
    session.link = read(raw, opened=(model, process))
    place = gr.skip()
    if model.key not in catalogue.models():
        found = {model.key: model}
        session.remember(found)
        session.models = found | session.models
        place = gr.update(visible=True, value=model.key, info=hub_info(found))
    return session, place, *fields_of(session.link, session.models)


def ask_link(session: Session) -> Turn | None:
    """The run of the link with which the page was opened, if there was one, before its turn."""
    if session.recorded:
        return Turn(lambda: 0.0)
    return None if session.link is None else TAB.turn(session, session.link)


def linked(session: Session) -> Iterator[dict]:
    """The run of the link with which the page was opened, if there was one."""
    if session.recorded:
        with refusals():
            job, value = session.begin(TAB.name), originals.run(session.recorded)
        job.kept = value
        yield value
    elif session.link is None:
        yield gr.skip()
    else:
        job, request = session.take(TAB.name, ()) or (session.begin(TAB.name), session.link)
        yield from TAB.shown(job, request)


# ---------------------------------------------------------------- the widgets


def build(site: Site) -> None:
    """The widgets of the tab and their wiring."""
    with gr.Row(elem_classes="td-press"):
        with gr.Column(elem_classes="td-page"):
            player = Player(example(), linked=True, elem_id="denoise-player")
            code = gr.HTML("", elem_id="qr", apply_default_css=False)
            player.presented(presenter.shown, None, code, **QUICK)
            others_here = Others(looks.packed(other_looks()), elem_id="other-looks")
            downloads.build(site.session, on_player)
        with gr.Column(elem_classes="td-controls"):
            source, fields, go, chips, *hands = build_panel()
    site.player, site.fields = player, [source, *fields]
    wire(site, go, chips, others_here, fields)
    wire_hands(site, hands, others_here, fields)
    wire_hub(site, source, fields, others_here)


def build_panel() -> tuple:
    """The Hub id, the fields, the button and what is ready to be tried."""
    made = []

    def between() -> None:
        made.append(gr.Button("Write", variant="primary", elem_id="write", elem_classes="td-go"))
        stale_line(TAB.name)
        made.append(panel.build_chips())
        made.extend(panel.build_hands())

    source, fields = panel.build(between)
    return source, fields, *made


class Others(gr.HTML):
    """Holds other numbers of looks (`looks.packed`) for the player above it, and shows nothing."""

    def __init__(self, value: dict | None = None, **more):
        more.setdefault("html_template", "<i hidden></i>")
        more.setdefault("js_on_load", "tinydiff.others('denoise-player', props, watch)")
        more.setdefault("visible", "hidden")
        super().__init__(value, **more)

    def get_block_name(self) -> str:
        return "html"

    def api_info(self) -> dict:
        return {"type": "object", "title": "texts at other numbers of looks"}


def wire(site: Site, go: gr.Button, chips: gr.Radio, here: Others, fields: list) -> None:
    """What starts and stops a run, what depends on the sampler, and what marks the picture as not
    of these settings."""
    sampler, steps = fields[2:4]
    text, sliders = fields[FIELDS.index("text")], fields[len(FIELDS) + steering.count() :]
    player = site.player

    def then(ran) -> None:
        ran.success(others_of(site), site.session, here, **BEHIND)

    starts = [go.click, text.submit]
    run = TAB.wire(site, starts, fields, player, player.stop, then=then)
    steered = fields[len(FIELDS) :][: steering.count()]
    told = [*steered[: len(steering.LABELS)], *steered[-len(steering.rules()) :]]
    chips.input(None, chips, None, js=panel.unfolded())
    chosen = [site.session, fields[FIELDS.index("model")], chips]
    filled = chips.input(panel.chosen_chip, chosen, [text, *told], **QUICK)
    ran = filled.success(**run | dict(fn=tried, inputs=[site.session, chips, *fields]))
    TAB.line_up(site, ran, ask_tried)
    then(ran)
    player.looked(looked, site.session, steps, **QUICK)
    sampler.input(sampler_chosen, sampler, [sampler, steps, *sliders], **QUICK)
    gr.api(denoise, api_name="denoise", concurrency_id="sample", concurrency_limit=2)


def wire_hands(site: Site, hands: list, here: Others, fields: list) -> None:
    """What a visitor does to the text itself."""
    doubts, share, rewrite, mine = hands
    player, session, values = site.player, site.session, fields

    def again(session: Session, share: float, noise: str, *values) -> Iterator[dict]:
        deed = {"do": "rewrite", "t": share}
        yield from done_to(session, deed, fitted(session, noise, values))

    def begin(session: Session, noise: str, *values) -> Iterator[dict]:
        yield from done_to(session, {"do": "begin"}, fitted(session, noise, values))

    def doubt(session: Session, noise: str, *values) -> Iterator[dict]:
        deed = {"do": "doubt", "mine": True}
        yield from done_to(session, deed, fitted(session, noise, values))

    player.stop(lambda session: session.stop(doubting.NAME), session, None, **QUICK)
    ran = [
        doubts.click(doubt, [session, *values], player, **QUIET_RUN),
        player.touched(touched, [session, *values], player, **QUIET_RUN),
        rewrite.click(again, [session, share, *values], player, **QUIET_RUN),
        mine.click(begin, [session, *values], player, **QUIET_RUN),
    ]
    for event in ran:
        TAB.line_up(site, event, lambda session, *_: Turn(PACE.seconds, end=leaving(session)))
        event.success(others_of(site), session, here, **BEHIND)


def leaving(session: Session):
    """What ends what a visitor who has gone had doubted or mended."""
    return lambda: session.stop(doubting.NAME)


def wire_hub(site: Site, source: gr.Textbox, fields: list, here: Others) -> None:
    """What may have to ask the Hub."""
    session, (noise, model, sampler, *_) = site.session, fields
    shown = [source, *fields[:5], *fields[len(FIELDS) :]]
    asks = QUIET | HUB_QUEUE
    chosen = asks | dict(trigger_mode="multiple")  # the newest counts
    noise.input(noise_chosen, [session, noise, sampler], shown, **chosen)
    model.input(model_chosen, [session, model, sampler], shown, **chosen)
    asked = [session, source, sampler]
    loads = asks | dict(trigger_mode="always_last", show_progress="minimal")
    source.submit(hub_asked, asked, shown, **loads)
    site.offer(recent_shown, [noise, model], [noise])
    loaded = site.page.load(opened, session, [session, source, *fields], **asks)
    ran = loaded.success(linked, session, site.player, api_visibility="private", **SAMPLE)
    TAB.line_up(site, ran, ask_link)
    ran.success(others_of(site), session, here, **BEHIND)
    remember_opening()


TAB = Tab(
    "denoise",
    "Watch",
    build=build,
    read=read_fields,
    run=started,
    parts=gaps.parts,
    costs=gaps.work_of,
    again=again,
    record=record_example,
)
QUIET_RUN = dict(trigger_mode="multiple", api_visibility="private", **SAMPLE)
# behind runs: many wait, one computes
BEHIND = dict(concurrency_id="behind", concurrency_limit=16, **QUIET)
