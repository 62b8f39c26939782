"""The tab Race: one prompt and one seed in two to four settings, on one timeline: diffusion against
autoregression.

Every lane is computed first, one after the other, so that none slows another down; then one clock
in the browser shows all of them with their real durations, slowed equally. The first view is a
recorded race (assets/recorded/race.json, which `python -m tinydiff.ui.recordings` writes).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import gradio as gr

from tinydiff.measure import evaluate
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show.render import States, delta, fresh_run, record
from tinydiff.store import catalogue
from tinydiff.ui import cost, inputs
from tinydiff.ui.tab import Sheet, first_model, keep, known, menu, recorded, told

LANES = 4
EVERY = 0.25  # seconds between two messages while a lane is being written
WATCHABLE = 9.0  # seconds that the slowest lane is to last, about
PACES = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100)
NOBODY = "nobody"
DEFAULTS = [
    ("masked", "ancestral", 64),
    ("uniform", "ancestral", 64),
    ("gaussian", "ancestral", 64),
    ("autoregressive", "left_to_right", 256),
]
PROMPT, SEED, LENGTH = "ROMEO:\n", 7, 256


# ---------------------------------------------------------------- the tab


def build() -> None:
    """The widgets and handlers of the tab, inside the current context."""
    gr.Markdown(
        "The same prompt and the same seed in different settings, on one clock. Diffusion "
        "writes everywhere at once, out of "
        "masks, wrong characters or blurred points; autoregression writes one character a "
        "call. Durations are real, slowed "
        "equally."
    )
    first = recorded("race")
    sheet = Sheet("race", first | {"status": told("race")} if first else None)
    lanes: list = []
    with gr.Row(elem_classes="tt-entries"):
        for place in range(LANES):
            with gr.Column(min_width=240, elem_classes="tt-entry"):
                lanes += lane(place)
    with gr.Row(elem_classes="tt-controls"):
        prompt = gr.Textbox(
            PROMPT,
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
    ran = run.click(
        started,
        [prompt, seed, *lanes],
        sheet,
        show_progress="hidden",
        concurrency_id="sample",
        concurrency_limit=2,
        api_visibility="private",
    )
    stop.click(None, cancels=[ran], api_visibility="private")
    gr.api(race, api_name="race", concurrency_id="sample", concurrency_limit=2)


def lane(place: int) -> list:
    """Model, sampler and steps of a lane."""
    key, name, count = DEFAULTS[place]
    key = key if key in catalogue.models() or key == NOBODY else first_model()
    names = offered(key)
    model = gr.Dropdown(
        menu() + [("nobody", NOBODY)] * (place > 1),
        value=key,
        label=f"Lane {place + 1}",
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
            inputs.STEPS, value=count, label="Steps", visible=counted(key, name), min_width=80
        )
    model.input(
        entered, [model, steps], [sampler, steps], show_progress="hidden", api_visibility="private"
    )
    sampler.input(chosen, [model, sampler], steps, show_progress="hidden", api_visibility="private")
    return [model, sampler, steps]


def offered(key: str) -> list[str]:
    """The samplers of a model; of nobody, those of the first model, which stay hidden."""
    models = catalogue.models()
    return column(PROCESSES[models.get(key, next(iter(models.values()))).process])


def counted(key: str, sampler: str | None) -> bool:
    """Is there a number of steps to choose?"""
    return key != NOBODY and sampler is not None and SAMPLERS[sampler].steps_matter


def entered(key: str, steps: int) -> tuple:
    """Another model in a lane: its samplers, and whether it has steps."""
    names = offered(known("model", key, [*catalogue.models(), NOBODY]))
    return gr.Dropdown(choices=names, value=names[0], visible=key != NOBODY), gr.Dropdown(
        visible=counted(key, names[0])
    )


def chosen(key: str, sampler: str) -> dict:
    """Another sampler in a lane: has it steps?"""
    known("model", key, [*catalogue.models(), NOBODY])
    return gr.Dropdown(visible=counted(key, known("sampler", sampler, SAMPLERS)))


# ---------------------------------------------------------------- the race


def started(prompt: str, seed: int, *settings) -> Iterator[dict]:
    """The race of the tab's widgets: model, sampler and steps of each lane."""
    lanes = [list(settings[i : i + 3]) for i in range(0, len(settings), 3)]
    yield from race(prompt, seed, [entry for entry in lanes if entry[0] != NOBODY])


def race(prompt: str, seed: int, lanes: list) -> Iterator[dict]:
    """The race as it is being prepared, then whole. lanes: two to four of [model, sampler, steps].

    Raises gr.Error in one sentence, before anything is computed.
    """
    if (
        not isinstance(lanes, list)
        or not 2 <= len(lanes) <= LANES
        or not all(isinstance(e, list) and len(e) == 3 for e in lanes)
    ):
        raise inputs.sentence(
            f"A race needs two to {LANES} lanes, each a model, a sampler and a number of steps."
        )
    asked = [
        inputs.read(
            dict(prompt=prompt or "", seed=seed, length=LENGTH, model=m, sampler=s, steps=n)
        )
        for m, s, n in lanes
    ]
    with inputs.told():
        cost.check(a.work for a in asked)
    run, done, clock = fresh_run(), [], cost.Clock()
    for a in asked:
        for share, entry in written(a, clock):
            if entry is None:
                yield dict(
                    run=run, done=False, lanes=[], status=progress(a, share, len(done), len(asked))
                )
            elif not clock.late:
                done.append(entry)
        if clock.late:
            break
    if not done:
        raise inputs.sentence(
            "The first lane took longer than a run of this page may: take fewer steps."
        )
    yield finished(run, done) | ({"status": clock.words} if clock.late else {})


def progress(asked: inputs.Asked, share: float, place: int, lanes: int) -> str:
    return f"Lane {place + 1} of {lanes}, {title(asked)}, is being written: {100 * share:.0f} %"


def written(asked: inputs.Asked, clock: cost.Clock) -> Iterator[tuple[float, dict | None]]:
    """(share done, None) now and then, at last (1, the lane)."""
    shown, states, last, said = [], States(), None, 0.0
    for picture in record(asked.process, asked.canvas, asked.frames(clock)):
        shown.append((picture.seconds, picture.text, states(picture)))
        last = picture
        if time.perf_counter() - said > EVERY:
            said = time.perf_counter()
            yield 1 - picture.t, None
    quality = evaluate.judged([last.text], asked.process)
    yield (
        1.0,
        dict(
            name=title(asked),
            family=asked.process.name,
            calls=last.calls,
            ms=round(1000 * last.seconds, 2),
            bits=quality.bits,
            words=quality.words,
            start=shown[0][1],
            states=shown[0][2],
            frames=deltas(shown),
        ),
    )


def title(asked: inputs.Asked) -> str:
    settings = asked.settings
    count = (
        f", {settings.steps} step{'s' * (settings.steps > 1)}"
        if counted(settings.model, settings.sampler)
        else ""
    )
    return f"{settings.model}, {settings.sampler.replace('_', ' ')}{count}"


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
    keep("race", whole, [key for key, *_ in lanes])
