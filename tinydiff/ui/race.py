"""The tab Race: one prompt and one seed in two to four settings, on one timeline: diffusion against
autoregression.

Every lane is computed first, one after the other, so that none slows another down; then one clock
in the browser shows all of them with their real durations, slowed equally. The first view is a
recorded race (assets/recorded/race.json, which `python -m tinydiff.ui.recordings` writes).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import gradio as gr

from tinydiff.measure import evaluate
from tinydiff.processes import PROCESSES
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show.render import (
    Picture,
    Spelling,
    States,
    delta,
    fresh_run,
    of_wide,
    record,
)
from tinydiff.store import catalogue
from tinydiff.text.tokenizers import joined
from tinydiff.ui import cost, recording
from tinydiff.ui.errors import one_of, refusal, refusals
from tinydiff.ui.request import OPENING, STEPS, frames, look_up, open_model, read, writes
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import (
    HUB_QUEUE,
    QUIET,
    Panel,
    Site,
    Tab,
    first_model,
    in_menus,
    menu,
    with_steps,
)

LANES = 4
EVERY = 0.25  # seconds between two messages while a lane is being written
WATCHABLE = 9.0  # seconds that the slowest lane is to last, about
PACES = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100)
NOBODY = "nobody"
DEFAULTS = [
    ("stories/masked", "ancestral", 64),
    ("stories/uniform", "ancestral", 64),
    ("stories/gaussian", "ancestral", 64),
    ("stories/autoregressive", "left_to_right", 256),
]
PROMPT, SEED, LENGTH = "Once upon a time", 7, 256
NO_LANE = (("nobody", NOBODY),)
OTHERS = "This is a recorded race of bundled models: press Race for one of the lanes below."


# ---------------------------------------------------------------- the tab


ABOUT = (
    "The same prompt and the same seed in different settings, on one clock. Diffusion writes "
    "everywhere at once, out of masks, wrong characters or blurred points; autoregression writes "
    "one after the other, one a call. Durations are real, slowed equally."
)


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    gr.Markdown(ABOUT)
    lanes, models = [], []
    panel = Panel("race", first_view())
    with gr.Row(elem_classes="tt-entries"):
        for place in range(LANES):
            with gr.Column(min_width=240, elem_classes="tt-entry"):
                lanes += lane(site, place)
                models.append(lanes[-3])
    with gr.Row(elem_classes="tt-controls"):
        prompt = gr.Textbox(
            OPENING["prompt"],
            label="Prompt",
            max_length=200,
            max_lines=3,
            info="How every lane's text begins.",
            scale=2,
        )
        seed = gr.Number(
            SEED,
            label="Seed",
            precision=0,
            minimum=0,
            info="The same in every lane.",
            min_width=150,
        )
        run = gr.Button("Race", variant="primary", elem_id="race-run", min_width=150)
        stop = gr.Button("Stop", elem_id="race-stop", min_width=100, scale=0)
    TAB.wire(site, [run.click], [prompt, seed, *lanes], panel, stop.click)
    for some, more in ((models[:2], ()), (models[2:], NO_LANE)):
        site.offer(in_menus(*some, of=Session.local_models, more=more), some)
    gr.api(race, api_name="race", concurrency_id="sample", concurrency_limit=2)


def first_view() -> dict | None:
    """The recorded race, and a sentence where it is not what the lanes say."""
    first = recording.load("race")
    if not first:
        return None
    other = first_model() != DEFAULTS[0][0]
    return first | {"status": OTHERS if other else recording.caption("race")}


def lane(site: Site, place: int) -> list:
    """Model, sampler and steps of a lane; the first is of the model that the page opens with."""
    session = site.session
    key, name, count = DEFAULTS[place]
    key = first_model() if place == 0 or key not in catalogue.models() else key
    names = offered(key)
    model = gr.Dropdown(
        menu() + [*NO_LANE] * (place > 1),
        value=key,
        label=f"Lane {place + 1}",
        allow_custom_value=True,
        elem_id=f"race-model-{place}",
    )
    with gr.Row():
        sampler = gr.Dropdown(
            names,
            value=name if name in names else names[0],
            label="Sampler",
            visible=key != NOBODY,
            min_width=110,
        )
        steps = gr.Dropdown(
            STEPS, value=count, label="Steps", visible=counted(key, sampler.value), min_width=80
        )
    entering = [model, sampler, steps]
    model.input(entering_of(place), [session, model], entering, **QUIET, **HUB_QUEUE)
    sampler.input(chosen, [model, sampler], steps, **QUIET)
    return [model, sampler, steps]


def offered(key: str) -> list[str]:
    """The samplers of a bundled model; of nobody, those of the first model, which stay hidden."""
    models = catalogue.models()
    return column(PROCESSES[models.get(key, next(iter(models.values()))).process])


def counted(key: str, sampler: str | None) -> bool:
    """Is there a number of steps to choose?"""
    return key != NOBODY and sampler is not None and SAMPLERS[sampler].steps_matter


def entering_of(place: int) -> Callable:
    """`entered` for a lane."""
    return lambda session, key: entered(session, key, NO_LANE if place > 1 else ())


def entered(session: Session, key: str, more: Sequence = ()) -> tuple:
    """Another model in a lane: the models to choose from and `more`, its samplers, and whether it
    has steps."""
    if key == NOBODY:
        names = offered(key)
    else:
        with refusals():
            model, process = open_model(look_up(key, session, writes), session)
        key, names = model.key, column(process)
    models = gr.update(choices=[*menu(session.local_models()), *more], value=key)
    samplers = gr.Dropdown(choices=names, value=names[0], visible=key != NOBODY)
    return models, samplers, gr.Dropdown(visible=counted(key, names[0]))


def chosen(key: str, sampler: str) -> dict:
    """Another sampler in a lane: has it steps?"""
    return gr.Dropdown(visible=counted(key, one_of("sampler", sampler, SAMPLERS)))


# ---------------------------------------------------------------- the race


def read_fields(session: Session, prompt: str, seed: int, *settings) -> list[Request]:
    """A request for each lane; the settings are model, sampler and steps of each lane's widgets."""
    lanes = [list(settings[i : i + 3]) for i in range(0, len(settings), 3)]
    return read_lanes(prompt, seed, [lane for lane in lanes if lane[0] != NOBODY], session)


def read_lanes(
    prompt: str, seed: int, lanes: list, session: Session | None = None
) -> list[Request]:
    """Check two to four of [model, sampler, steps]. Raises gr.Error in one sentence."""
    if (
        not isinstance(lanes, list)
        or not 2 <= len(lanes) <= LANES
        or not all(isinstance(e, list) and len(e) == 3 for e in lanes)
    ):
        raise refusal(
            f"A race needs two to {LANES} lanes, each a model, a sampler and a number of steps."
        )
    same = dict(prompt=prompt or "", seed=seed, length=LENGTH)
    plan = [read(same | dict(model=m, sampler=s, steps=n), session) for m, s, n in lanes]
    with refusals():
        cost.check(map(cost.of, plan))
    return plan


def race(prompt: str, seed: int, lanes: list) -> Iterator[dict]:
    """The race as it is being prepared, then whole. lanes: two to four of [model, sampler, steps].

    Raises gr.Error in one sentence, before anything is computed.
    """
    yield from TAB.alone(read_lanes(prompt, seed, lanes))


def write(plan: list[Request], job: Job) -> Iterator[dict]:
    """The race as it is being prepared, then whole, or those of its lanes that were done when its
    time was over. After Stop the race that was there before stays."""
    run, done = fresh_run(), []
    waiting = dict(run=run, done=False, lanes=[])
    for request in plan:
        for share, entry in written(request, job):
            if entry is not None:
                done.append(entry)
            else:
                yield waiting | {"status": progress(request, share, len(done), len(plan))}
        if job.ended or job.replaced:
            break
    if job.stopped:
        yield waiting | {"status": "Stopped: there is no race."}
    elif not done:
        raise refusal("The first lane took longer than a run of this page may: take fewer steps.")
    else:
        yield finished(run, done) | ({"status": job.notice} if job.late else {})


def progress(request: Request, share: float, place: int, lanes: int) -> str:
    return f"Lane {place + 1} of {lanes}, {title(request)}, is being written: {100 * share:.0f} %"


def written(request: Request, job: Job) -> Iterator[tuple[float, dict | None]]:
    """(share done, None) now and then, at last (1, the lane), if the job did not end before."""
    shown, spelling, states, said = [], Spelling(), States(), 0.0
    for picture in record(request.process, request.canvas, frames(request, job)):
        shown.append((picture.seconds, picture.text, states(picture)))
        spelling.take(picture)
        if time.perf_counter() - said > EVERY:
            said = time.perf_counter()
            yield 1 - picture.t, None
    if not job.ended and not job.replaced:
        yield 1.0, lane_of(request, picture, shown, spelling)


def lane_of(request: Request, last: Picture, shown: list, spelling: Spelling) -> dict:
    """A lane that was written: its numbers, and (seconds, text, states) of each picture as what
    changed; pieces: what the signs of its text spell, where they do not spell themselves; between:
    in a stream the sign behind which the next text begins; wide: whether each cell has the room of
    two letters."""
    written = joined(spelling.shown(last.text, shown[-1][2]))
    quality = evaluate.judged([written], request.process)
    named = {"pieces": spelling.pieces} if spelling.pieces else {}
    named |= {"between": spelling.between} if spelling.between else {}
    named |= {"wide": True} if of_wide(request.process.tokenizer) else {}
    return named | dict(
        name=title(request),
        family=request.process.name,
        calls=last.calls,
        ms=round(1000 * last.seconds, 2),
        bits=quality.bits,
        words=quality.words,
        start=shown[0][1],
        states=shown[0][2],
        frames=deltas(shown),
    )


def title(request: Request) -> str:
    settings = request.settings
    name = catalogue.short_name(settings["model"])
    return f"{name}, {with_steps(settings['sampler'], settings['steps'])}"


def deltas(shown: list[tuple[float, str, str]]) -> list[list]:
    """[milliseconds, what changed of the text, what of the states of its cells] for each picture
    after the first."""
    pairs = zip(shown, shown[1:])
    return [
        [round(1000 * at, 2), delta(before, now), delta(was, is_)]
        for (_, before, was), (at, now, is_) in pairs
    ]


def finished(run: int, lanes: list[dict]) -> dict:
    slowest = max(entry["ms"] for entry in lanes) / 1000
    return dict(run=run, done=True, lanes=lanes, pace=pace(slowest), status="")


def pace(slowest: float) -> int:
    """How many times slower than real to show it, so that the slowest lane lasts about WATCHABLE
    seconds."""
    return min(PACES, key=lambda p: abs(p * slowest - WATCHABLE))


def record_race() -> None:
    """Write the first view: the usual race."""
    lanes = [list(entry) for entry in DEFAULTS if entry[0] != NOBODY]
    *_, whole = race(PROMPT, SEED, lanes)
    recording.save("race", whole, [key for key, *_ in lanes])


TAB = Tab(
    "race",
    "Race",
    build=build,
    read=read_fields,
    run=write,
    parts=list,
    record=record_race,
)
