"""The tab Race: one prompt and one seed in two to five settings, on one timeline: one word after
the other, everywhere at once, in blocks, and into a gap whose end is given.

Every lane is computed first, one after the other, so that none slows another down; then one clock
in the browser shows all of them with their real durations, slowed equally. The first view is a
recorded race (assets/recorded/race.json, which `python -m tinydiff.ui.recordings` writes).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import gradio as gr

from tinydiff import runs
from tinydiff.measure import evaluate
from tinydiff.processes import PROCESSES, Process
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
from tinydiff.text import Tokenizer
from tinydiff.text.canvas import BLANK
from tinydiff.text.tokenizers import joined
from tinydiff.ui import cost, originals, recording
from tinydiff.ui.errors import one_of, refusal, refusals
from tinydiff.ui.request import OPENING, STEPS, frames, look_up, open_model, read, writes
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import (
    HUB_QUEUE,
    QUICK,
    QUIET,
    Panel,
    Site,
    Tab,
    first_model,
    in_menus,
    menu,
    stale_line,
    with_steps,
)
from tinydiff.ui.touch import why_not
from tinydiff.ui.writing import measure_of

LANES = 5
EVERY = 0.25  # seconds between two messages while a lane is being written
WATCHABLE = 9.0  # seconds that the slowest lane is to last, about
PACES = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100)
NOBODY = "nobody"
DEFAULTS = [  # model, sampler, looks, and whether the end is given
    ("stories/autoregressive", "left_to_right", 64, False),
    ("stories/masked", "ancestral", 16, False),
    ("stories/masked", "ancestral", 64, False),
    ("stories/block", "blockwise", 64, False),
    ("stories/masked", "ancestral", 64, True),
]
PROMPT, END = OPENING["prompt"], "They were best friends."
SEED, LENGTH = 7, OPENING["length"]
NO_LANE = (("nobody", NOBODY),)
OTHERS = "This is a recorded race of bundled models: press Race for one of the lanes below."


# ---------------------------------------------------------------- the tab


ABOUT = (
    "The same beginning and the same seed, on one clock: one word after the other, everywhere at "
    "once in few looks or in many, in blocks, and into a gap whose end is given. Durations are "
    "real, slowed equally."
)


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    gr.Markdown(ABOUT)
    lanes, models = [], []
    panel = Panel("race", first_view())
    with gr.Row(elem_classes="tt-entries"):
        for place in range(LANES):
            with gr.Column(min_width=200, elem_classes="tt-entry"):
                lanes += lane(site, place)
                models.append(lanes[-4])
    with gr.Row(elem_classes="tt-controls"):
        prompt = gr.Textbox(
            PROMPT,
            label="Begin with",
            max_length=200,
            max_lines=3,
            info="How every lane's text begins.",
            scale=2,
        )
        end = gr.Textbox(
            END,
            label="End with",
            max_length=200,
            max_lines=3,
            info="Of the lanes to which the end is given.",
            elem_id="race-end",
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
        if originals.race():
            old = gr.Button("Tiny Diffusion (recorded)", elem_id="race-original", min_width=150)
            old.click(original, None, panel, **QUICK)
    stale_line(TAB.name)
    TAB.wire(site, [run.click], [prompt, end, seed, *lanes], panel, stop.click)
    for some, more in ((models[:2], ()), (models[2:], NO_LANE)):
        site.offer(in_menus(*some, of=Session.local_models, more=more), some)
    gr.api(race, api_name="race", concurrency_id="sample", concurrency_limit=2)


def first_view() -> dict | None:
    """The recorded race, and a sentence where it is not what the lanes say."""
    first = recording.load("race")
    if not first:
        return None
    other = first_model() != runs.DEFAULTS["model"]
    return first | {"status": OTHERS if other else recording.caption("race")}


def original() -> dict:
    """The recorded race of models that are not bundled."""
    return originals.race() | {"run": fresh_run()}


def lane(site: Site, place: int) -> list:
    """Model, sampler and steps of a lane, and whether the end is given; where it would be
    the first model of the bundle, it is the one that the page opens with."""
    session = site.session
    key, name, count, closed = DEFAULTS[place]
    usual = key == runs.DEFAULTS["model"] or key not in catalogue.models()
    key = first_model() if usual else key
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
            scale=2,
            min_width=110,
        )
        steps = gr.Dropdown(
            STEPS,
            value=count,
            label="Looks (steps)",
            visible=counted(key, sampler.value),
            min_width=100,
        )
    fills = key != NOBODY and can_fill(PROCESSES[catalogue.models()[key].process])
    ends = gr.Checkbox(
        closed and fills, label="the end is given", visible=fills, elem_id=f"race-ends-{place}"
    )
    entering = [model, sampler, steps, ends]
    model.input(entering_of(place), [session, model], entering, **QUIET, **HUB_QUEUE)
    sampler.input(chosen, [model, sampler], steps, **QUIET)
    return [model, sampler, steps, ends]


def can_fill(process: type[Process] | Process) -> bool:
    """Can it write before an end that is given?"""
    return not why_not(process, "again")


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
    """Another model in a lane: the models to choose from and `more`, its samplers, whether it has
    steps, and whether the end can be given."""
    names, fills = offered(key) if key == NOBODY else [], False
    if key != NOBODY:
        with refusals():
            model, process = open_model(look_up(key, session, writes), session)
        key, names, fills = model.key, column(process), can_fill(process)
    models = gr.update(choices=[*menu(session.local_models()), *more], value=key)
    samplers = gr.Dropdown(choices=names, value=names[0], visible=key != NOBODY)
    ends = gr.Checkbox(visible=True) if fills else gr.Checkbox(False, visible=False)
    return models, samplers, gr.Dropdown(visible=counted(key, names[0])), ends


def chosen(key: str, sampler: str) -> dict:
    """Another sampler in a lane: has it steps?"""
    return gr.Dropdown(visible=counted(key, one_of("sampler", sampler, SAMPLERS)))


# ---------------------------------------------------------------- the race


def read_fields(session: Session, prompt: str, end: str, seed: int, *settings) -> list[Request]:
    """A request for each lane; the settings are the values of each lane's widgets."""
    lanes = [list(settings[i : i + 4]) for i in range(0, len(settings), 4)]
    asked = [[*lane, end] if closed else lane for *lane, closed in lanes if lane[0] != NOBODY]
    return read_lanes(prompt, seed, asked, session)


def read_lanes(
    prompt: str, seed: int, lanes: list, session: Session | None = None
) -> list[Request]:
    """Check two to five of [model, sampler, steps], or with the end of the text behind them. Raises
    gr.Error in one sentence."""
    if (
        not isinstance(lanes, list)
        or not 2 <= len(lanes) <= LANES
        or not all(isinstance(e, list) and len(e) in (3, 4) for e in lanes)
    ):
        raise refusal(
            f"A race needs two to {LANES} lanes, each a model, a sampler and a number of steps."
        )
    plan = [read_lane(prompt or "", seed, *lane, session=session) for lane in lanes]
    with refusals():
        cost.check(map(cost.of, plan))
    return plan


def read_lane(
    prompt: str, seed: int, model: str, sampler: str, steps: int, end: str = "", *, session=None
) -> Request:
    """A lane of LENGTH tokens; where there is an end, all between prompt and end is written."""
    asked = dict(model=model, sampler=sampler, steps=steps, seed=seed, length=LENGTH)
    if not end:
        return read(asked | dict(prompt=prompt), session)
    with refusals():
        found, process = opened = open_model(model, session)
        if words := why_not(process, "again"):
            raise ValueError(words)
        begin, end = runs.text("prompt", prompt), runs.text("end", end)
        template = gap(process.tokenizer, begin, end)
    return read(asked | dict(model=found.key, template=template, prompt=""), session, opened)


def gap(tokenizer: Tokenizer, prompt: str, end: str) -> str:
    """The template of LENGTH tokens that begins and ends so. Raises ValueError where there is no
    room between them."""
    prompt, end = tokenizer.typed(prompt).rstrip(), tokenizer.typed(end).strip()
    end = f" {end}" if prompt else end
    room = LENGTH - len(tokenizer.encode(prompt)) - len(tokenizer.encode(end))
    if room < 1:
        raise ValueError(f"The end leaves no room: all of it has {LENGTH} {tokenizer.unit}.")
    return prompt + BLANK * room + end


def race(prompt: str, seed: int, lanes: list) -> Iterator[dict]:
    """The race as it is being prepared, then whole. lanes: two to five of [model, sampler, steps],
    or, for those that fill a gap, [model, sampler, steps, end of the text].

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
        term=term(request),
        family=request.process.name,
        calls=last.calls,
        ms=round(1000 * last.seconds, 2),
        bits=quality.bits,
        words=quality.words,
        measure=measure_of(written, request.process, quality),
        weights=sum(weight.numel() for weight in request.process.parameters()),
        start=shown[0][1],
        states=shown[0][2],
        frames=deltas(shown),
    )


def title(request: Request) -> str:
    """A lane as somebody new would call it."""
    settings, process = request.settings, request.process
    looks = f", {settings['steps']} look{'s' * (settings['steps'] > 1)}"
    counted = looks if SAMPLERS[settings["sampler"]].steps_matter else ""
    given = ", the end given" if settings.get("template") else ""
    return (process.plain or process.title) + counted + given


def term(request: Request) -> str:
    """A lane as the field calls it."""
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
    about = verdict(lanes)
    return dict(run=run, done=True, lanes=lanes, pace=pace(slowest), about=about, status="")


def verdict(lanes: list[dict]) -> str:
    """What the durations say, and of what they say nothing."""
    first, fewest = (min(lanes, key=lambda lane: lane[by]) for by in ("ms", "calls"))
    each = [f"{lane['ms'] / max(1, lane['calls']):.0f} ms" for lane in (first, fewest)]
    most = max(lane["weights"] for lane in lanes)
    size = f" ({most / 1e6:.1f} million weights)" if most else ""
    said = f"At this size{size} and on this machine “{first['name']}” was first"
    if first is fewest:
        return f"{said}, with {first['calls']} looks of {each[0]}."
    return (
        f"{said}: {first['calls']} looks of {each[0]}. “{fewest['name']}” looked "
        f"{fewest['calls']} times, {each[1]} a look, because each look reads the whole text; where "
        "a look takes as long for one word as for all, as it nearly does for one text on a large "
        "GPU, the fewest looks win."
    )


def pace(slowest: float) -> int:
    """How many times slower than real to show it, so that the slowest lane lasts about WATCHABLE
    seconds."""
    return min(PACES, key=lambda p: abs(p * slowest - WATCHABLE))


def record_race() -> None:
    """Write the first view: the usual race."""
    lanes = [[*lane, END] if closed else lane for *lane, closed in DEFAULTS]
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
