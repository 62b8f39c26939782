"""The tab Rewrite: plain words go in, a line as it would be printed comes out beside them, several
times, and one is chosen.

The canvas is a window of the model's: its first half holds the words and is given, its second is
written. All candidates are rows of one batch, so that a step costs one call; the player shows the
first of them. Words whose printed line is known (the examples of the checkpoints' evaluations) are
compared with it. `python -m tinydiff.ui.rewrite` records the first view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from tinydiff.generate import Frame, check_number, check_sampler
from tinydiff.processes import PROCESSES, Process
from tinydiff.rewrite import (
    MOST,
    SEEDS,
    STEPS,
    SURER,
    USUAL,
    canvas_of,
    character_error_rate,
    mbr,
    risks,
    targets,
    usual_sampler,
)
from tinydiff.samplers import SAMPLERS, column
from tinydiff.show import render
from tinydiff.store import catalogue
from tinydiff.text import Canvas, plain
from tinydiff.ui import cost, inputs
from tinydiff.ui.denoise import SAMPLE, Desk, pictures, title
from tinydiff.ui.gpu import generate
from tinydiff.ui.player import Player, curves
from tinydiff.ui.tab import Sheet, keep, known, recorded

WORDS = "to be or not to be that is the question"
LONGEST = 500  # characters that are looked at, before what has no place in a source is taken out
EXAMPLES = 6
SEED = 7


# ---------------------------------------------------------------- the tab


def offered() -> bool:
    """Is there a model for this tab?"""
    return bool(catalogue.rewriters())


def build() -> None:
    """The widgets and handlers of the tab, inside the current context."""
    first, last = next(iter(catalogue.rewriters())), recorded("rewrite")
    desk = gr.State(Desk())
    gr.Markdown(
        "A source is given, a target is written beside it (DiffuSeq). These models learned "
        "to give a line back its capitals "
        "and its punctuation: the words stand in the first row and are never noised, the "
        "line appears in the second, "
        "everywhere at once."
    )
    with gr.Row(elem_classes="tt-controls"):
        words = gr.Textbox(
            WORDS,
            label="Your words",
            max_lines=2,
            scale=5,
            elem_id="rewrite-words",
            min_width=280,
            info=f"Up to {room(first)} characters. Capitals and punctuation are taken out before "
            "they are given.",
        )
        go = gr.Button("Rewrite", variant="primary", elem_id="rewrite-run", min_width=120)
    with gr.Row(elem_classes="tt-controls"):
        model = gr.Dropdown(
            list(catalogue.rewriters()),
            value=first,
            label="Model",
            elem_id="rewrite-model",
            min_width=190,
        )
        sampler = gr.Dropdown(
            **menu(first), label="Sampler", elem_id="rewrite-sampler", min_width=150
        )
        steps = gr.Dropdown(
            list(STEPS), value=USUAL, label="Steps", elem_id="rewrite-steps", min_width=90
        )
        count = gr.Slider(
            1,
            MOST,
            SEEDS,
            step=1,
            label="Candidates",
            elem_id="rewrite-candidates",
            min_width=150,
            scale=2,
        )
        temperature = gr.Slider(
            0,
            2,
            SURER,
            step=0.05,
            label="Temperature",
            elem_id="rewrite-temperature",
            min_width=150,
            scale=2,
        )
        seed = gr.Number(
            SEED, label="Seed", precision=0, minimum=0, elem_id="rewrite-seed", min_width=90
        )
    examples = gr.Examples(
        [[source] for source in known_lines()][:EXAMPLES] or [[WORDS]],
        [words],
        elem_id="rewrite-examples",
        label="Lines that no model was trained on",
        api_visibility="private",
    )
    player = Player(last.get("player"), elem_id="rewrite-player", elem_classes=["tr-player"])
    sheet = Sheet("rewrite", last.get("sheet") or blank())
    wire(
        desk, [model, words, sampler, steps, count, temperature, seed], player, sheet, go, examples
    )


def wire(
    desk: gr.State, fields: list, player: Player, sheet: Sheet, go: gr.Button, examples: gr.Examples
) -> None:
    model, words, sampler, steps, *_ = fields
    quick = dict(queue=False, show_progress="hidden", api_visibility="private")
    run = dict(
        fn=start,
        inputs=[desk, *fields],
        outputs=[player, sheet],
        api_visibility="private",
        **SAMPLE,
    )
    gr.on([go.click, words.submit], trigger_mode="multiple", **run)
    examples.load_input_event.success(**run)
    player.stop(lambda desk: desk.stop(), desk, None, **quick)
    model.input(
        lambda key: (gr.update(**menu(key)), gr.update(visible=True)),
        model,
        [sampler, steps],
        **quick,
    )
    sampler.input(
        lambda name: gr.update(visible=SAMPLERS[known("sampler", name, SAMPLERS)].steps_matter),
        sampler,
        steps,
        **quick,
    )
    gr.api(rewrite, api_name="rewrite", concurrency_id="sample", concurrency_limit=2)


def menu(key: str) -> dict:
    """The sampler menu of a model."""
    models = catalogue.rewriters()
    names = column(PROCESSES[models[known("model", key, models)].process])
    return dict(choices=[(title(name), name) for name in names], value=usual_sampler(names))


def room(key: str) -> int:
    """Characters that a source may have."""
    return catalogue.open_model(key).length // 2 - 1


def known_lines() -> dict[str, str]:
    """Sources of the validation text with their printed lines, from the evaluations of the
    checkpoints."""
    cards = [catalogue.card_of(key) for key in catalogue.rewriters()]
    return {
        row["source"]: row["truth"] for card in cards for row in card.evaluation.get("samples", [])
    }


# ---------------------------------------------------------------- what is asked


@dataclass
class Asked:
    """Checked settings, ready to run; `last` is the newest frame of the run."""

    settings: dict
    process: Process
    canvas: Canvas
    source: str
    last: Frame | None = None

    def frames(self, clock: cost.Clock) -> Iterator[Frame]:
        s = self.settings
        frames = generate(
            self.process,
            self.canvas,
            sampler=s["sampler"],
            steps=s["steps"],
            seed=s["seed"],
            temperature=s["temperature"],
        )
        for frame in clock.watch(frames):
            self.last = frame
            yield frame


def read(
    model: str,
    words: str,
    sampler: str | None,
    steps: int,
    candidates: int,
    temperature: float,
    seed: int,
) -> Asked:
    """Check everything. Raises gr.Error in one sentence."""
    key = known("model", model, catalogue.rewriters())
    with inputs.told():
        if not isinstance(words, str) or len(words) > LONGEST:
            raise ValueError(f"Give a line of words, {LONGEST} characters at the most.")
        check_number("candidates", candidates, 1, MOST, whole=True)
        numbers = dict(steps=steps, temperature=temperature, seed=seed)
        numbers = {name: inputs.number(name, value) for name, value in numbers.items()}
        process, source = catalogue.open_model(key), plain(words)
        sampler = check_sampler(process, sampler).name
        canvas = canvas_of(process.tokenizer, [source] * int(candidates), process.length)
        cost.check([cost.work(process, canvas, sampler=sampler, steps=numbers["steps"])])
    return Asked(dict(model=key, sampler=sampler, **numbers), process, canvas, source)


# ---------------------------------------------------------------- a run


def start(desk: Desk, *values) -> Iterator[tuple[dict, dict]]:
    """A run with the settings on the page: values for the player and the sheet."""
    yield from write(read(*values), desk)


def rewrite(
    words: str,
    model: str = "",
    steps: int = USUAL,
    candidates: int = SEEDS,
    temperature: float = SURER,
    seed: int = SEED,
) -> dict:
    """Write lines for plain words: every candidate, its mean distance to the others, and which is
    nearest to them."""
    key = model or next(iter(catalogue.rewriters()), "")
    *_, (_, sheet) = write(read(key, words, None, steps, candidates, temperature, seed), Desk())
    return sheet


def write(asked: Asked, desk: Desk) -> Iterator[tuple[dict, dict]]:
    """Player and sheet while the target is written; at last all candidates, compared."""
    turn, process, clock = desk.begin(), asked.process, cost.Clock()
    wire = render.Wire(
        asked.settings["steps"] + 1,
        process.V,
        settings=asked.settings,
        family=process.name,
        curves=curves(process),
    )
    status = "Every candidate is being written; the first is shown."
    for value in render.stream(pictures(asked, wire, lambda: desk.wanted(turn), clock), wire):
        if desk.turn != turn:
            return
        yield value, sheet_of(asked, [], status)
    if desk.turn == turn:
        stopped = clock.late or desk.stopped == turn
        found = [] if stopped else targets(process.tokenizer, asked.last.tokens)
        why = clock.words if clock.late else "Stopped: there is nothing to compare."
        told = sheet_of(asked, found, why if stopped else "")
        yield wire.value(done=True, stats=stats(wire.end), stopped=stopped), told


def stats(end: render.Picture) -> list[list[str]]:
    """The line under the text: name, value, nothing to compare it with."""
    calls = max(1, end.calls)
    return [["calls", f"{end.calls:,}", ""], ["a call", f"{1000 * end.seconds / calls:.1f} ms", ""]]


# ---------------------------------------------------------------- the sheet


def blank() -> dict:
    """The sheet before anything was run or recorded."""
    return dict(family="", rows=[], status="No line yet: press “Rewrite”.", about="")


def sheet_of(asked: Asked, candidates: list[str], status: str) -> dict:
    """Everything that the sheet draws: the candidates, the words as they are, and the printed line
    where it is known."""
    truth, rows = known_lines().get(asked.source), []
    if candidates:
        best, apart = mbr(candidates), risks(candidates)
        rows = [
            row(
                f"candidate {i + 1}",
                text,
                truth,
                "nearest to the others" if i == best and len(candidates) > 1 else "",
                apart[i],
            )
            for i, text in enumerate(candidates)
        ]
        rows += [row("your words as they are", asked.source, truth)]
        rows += [row("in print", truth, truth)] if truth else []
    return dict(
        family=asked.process.name,
        rows=rows,
        status=status,
        about=about(len(candidates), truth) if rows else "",
    )


def row(
    name: str, text: str, truth: str | None, mark: str = "", apart: float | None = None
) -> dict:
    """A line of the sheet. apart: its mean distance to the other candidates; errors: where the
    truth is known."""
    return dict(
        name=name,
        text=text,
        mark=mark,
        apart=apart,
        errors=None if truth is None else character_error_rate([text], [truth]),
    )


def about(candidates: int, truth: str | None) -> str:
    """What the columns are."""
    apart = (
        (
            "Apart: characters to change to make another candidate of it, on average over "
            "the others; the one with the fewest is "
            "chosen (minimum Bayes risk)."
        )
        if candidates > 1
        else "One candidate alone leaves nothing to choose."
    )
    return apart + (
        " Errors: characters to change to make the printed line of it, over its length."
        if truth
        else ""
    )


def record() -> None:
    """Write the first view: the first line that is known in print."""
    source = next(iter(known_lines()), WORDS)
    model = next(iter(catalogue.rewriters()))
    *_, (value, told) = write(
        read(model, source, menu(model)["value"], USUAL, SEEDS, SURER, SEED), Desk()
    )
    keep("rewrite", {"player": value, "sheet": told}, [model])
