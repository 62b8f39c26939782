"""The tab Blocks: text of any length, block by block, with a cache or without; the bridge from
autoregression to diffusion; and how much the loss varies over windows of times.

A run streams its text as it comes. The pictures beside it are of the checkpoint (its evaluation:
bits and judge for every size; its metrics: the search for windows) and of the runs of this visit.
`python -m tinydiff.ui.recordings blocks` records the first view.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import gradio as gr

from tinydiff import runs
from tinydiff.endings import RULES, between, ending
from tinydiff.generate import MAX_STEPS, Frame, check_number, check_options
from tinydiff.measure import evaluate, families
from tinydiff.processes import PROCESSES, Process
from tinydiff.runs import DEFAULTS, Request
from tinydiff.samplers import SAMPLERS
from tinydiff.show import plots
from tinydiff.show.render import MASK
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.ui import cost, recording
from tinydiff.ui.errors import refusals
from tinydiff.ui.request import OPENING, frames, look_up, open_model
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import (
    HUB_QUEUE,
    QUIET,
    RESEARCH,
    Panel,
    Site,
    Tab,
    in_menus,
    menu,
    spaced,
    stale_line,
)

EVERY = 0.06  # seconds between two messages while text is written
STRIDE = 64  # characters over which a time is told
TOKENS = 256  # of the texts that evaluations time
WINDOW = 256  # characters that a network sees which has no window of its own
# what `pictures_of` shows beside a run: it is not of the run
BESIDE = ("family", "pictures", "lab", "note", "caches")
SAID_ITSELF = "The figures of this checkpoint came with it, measured by who made it."
KEPT = 4  # runs of a visit that the pictures show
BLOCKWISE = SAMPLERS["blockwise"]
LIMITS = {
    "each": (1, 64, True),
    "length": (64, 4096, True),
    "temperature": (0, 2, False),
    "seed": (0, 2**31 - 1, True),
}
USUAL = dict(
    block=16,
    each=16,
    length=512,
    rule="length",
    prompt="Once upon a time",
    temperature=DEFAULTS["temperature"],
    seed=7,
)


@dataclass
class Progress:
    """A run so far and what it took: (characters, seconds, calls) at every STRIDE characters."""

    text: str = ""
    ends: list[int] = field(default_factory=list)  # characters after which one text of it ends
    # where the block begins that is being written; what stands before it is finished
    start: int = 0
    written: int = 0  # tokens before the first that is not written
    shown: int = 0  # tokens that the text is, those of the block that is being written too
    calls: int = 0
    seconds: float = 0.0
    times: list[tuple[int, float, int]] = field(default_factory=lambda: [(0, 0.0, 0)])

    def take(self, request: Request, frame: Frame) -> None:
        tokens, process, block = frame.tokens[0], request.process, block_of(request)
        self.written = int((tokens != process.mask_id).cumprod(0).sum())
        first = self.written // block * block
        pieces = [
            MASK if i == process.mask_id else piece
            for i, piece in zip(tokens.tolist(), process.tokenizer.spell(tokens[: first + block]))
        ]
        self.shown, self.ends = len(pieces), between(process, tokens, pieces)
        self.text, self.start = "".join(pieces), sum(map(len, pieces[:first]))
        self.calls, self.seconds = frame.calls, frame.seconds
        done = sum(map(len, pieces[: self.written]))
        if done - self.times[-1][0] >= STRIDE or self.written == len(tokens):
            self.times.append((done, frame.seconds, frame.calls))

    def cut(self, end: int | None) -> None:
        """Leave out what stands after the end of the text."""
        self.text = self.text[:end]
        self.ends = [n for n in self.ends if n <= len(self.text)]

    def pace(self) -> list[tuple[int, float]]:
        """(characters, milliseconds for each of the last of them), without the prompt."""
        pairs = zip(self.times, self.times[1:])
        return [
            (n, 1000 * (seconds - then) / (n - before))
            for (before, then, _), (n, seconds, _) in pairs
            if n > before
        ]


# ---------------------------------------------------------------- the tab


ABOUT = (
    "Between one after the other and everything at once: text is written block by block, each by "
    "diffusion, and what is finished is never read again. So a text has no length that it must end "
    "at."
)


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    first = first_offered()
    process = catalogue.open_model(first.key)
    gr.Markdown(ABOUT)
    model, block, each = build_blocks(first.key, process)
    order, cache, rule, length = build_how(process)
    with gr.Row(elem_classes="tt-controls"):
        prompt = gr.Textbox(
            OPENING["prompt"] if first.key in catalogue.GUESTS else USUAL["prompt"],
            label="Prompt",
            max_length=1000,
            max_lines=2,
            min_width=160,
            scale=2,
            elem_id="blocks-prompt",
            info="How it begins.",
        )
        temperature = gr.Slider(
            0, 2, USUAL["temperature"], step=0.05, label="Temperature", min_width=150, scale=2
        )
        seed = gr.Number(USUAL["seed"], label="Seed", precision=0, minimum=0, min_width=100)
        run = gr.Button("Write", variant="primary", elem_id="blocks-run", min_width=120)
        stop = gr.Button("Stop", elem_id="blocks-stop", min_width=90, scale=0)
    stale_line(TAB.name)
    panel = Panel("blocks", first_view(first))
    fields = [model, block, each, order, cache, rule, length, prompt, temperature, seed]
    TAB.wire(site, [run.click], fields, panel, stop.click)
    chosen = [site.session, model, block]
    model.input(changed, chosen, [block, order, cache, panel, model], **QUIET, **HUB_QUEUE)
    site.offer(in_menus(model, of=offered), [model])
    block.input(resized, chosen, panel, **QUIET, **HUB_QUEUE)
    gr.api(blocks, api_name="blocks", concurrency_id="sample", concurrency_limit=2)


def build_blocks(first: str, process: Process) -> list:
    """The model, the size of its blocks, the steps for each."""
    with gr.Row(elem_classes="tt-controls"):
        model = gr.Dropdown(
            menu(offered()),
            value=first,
            label="Model",
            elem_id="blocks-model",
            min_width=200,
            scale=2,
            allow_custom_value=True,
            info="Or a Hub id. Of plain masked models the cache is an approximation.",
        )
        block = gr.Radio(
            **sizes(process, USUAL["block"]),
            label="Block",
            elem_classes="td-ticks",
            elem_id="blocks-block",
            min_width=300,
            scale=3,
        )
        each = gr.Slider(
            *LIMITS["each"][:2],
            USUAL["each"],
            step=1,
            label="Steps a block",
            elem_id="blocks-each",
            min_width=180,
            scale=2,
            info="1: all of it at once, each alone.",
        )
    return [model, block, each]


def build_how(process: Process) -> list:
    """The order within a block, the cache, where the text ends and how long it may become."""
    with gr.Row(elem_classes="tt-controls"):
        order = gr.Dropdown(
            **choices(process, "order"),
            label="Order",
            elem_id="blocks-order",
            elem_classes=RESEARCH,
            min_width=140,
            info="How a block is written.",
        )
        cache = gr.Dropdown(
            **choices(process, "cache"),
            label="Cache",
            elem_id="blocks-cache",
            elem_classes=RESEARCH,
            min_width=120,
            info="What is not read again.",
        )
        rule = gr.Dropdown(
            list(RULES),
            value=USUAL["rule"],
            label="Ends at",
            elem_id="blocks-rule",
            min_width=130,
            info="The length, or sooner.",
        )
        length = gr.Slider(
            *LIMITS["length"][:2],
            USUAL["length"],
            step=64,
            label="Length",
            elem_id="blocks-length",
            min_width=240,
            scale=2,
            info="At the most, in what a block is counted in.",
        )
    return [order, cache, rule, length]


def first_offered() -> Model:
    """The model that the tab opens with: the page's own where its owner named one that fits."""
    found = offered()
    named = [model for key, model in found.items() if catalogue.is_ready(key)]
    return next(iter(named or found.values()))


def offered(session: Session | None = None) -> dict[str, Model]:
    """The models that write in blocks of masks: those that learned it, other trained ones, perfect
    networks; with those that the visitor used."""
    known = session.local_models() if session else catalogue.models()
    found = {key: model for key, model in known.items() if suits(model)}
    return dict(
        sorted(
            found.items(), key=lambda item: (item[1].folder is None, not learned(item[1].process))
        )
    )


def fits(traits: frozenset[str]) -> bool:
    """Whether a process with these traits can write in blocks of masks."""
    return {"pieces", "prefix"} <= traits


def suits(model: Model) -> bool:
    return not model.task and fits(PROCESSES[model.process].traits)


def learned(process: str) -> bool:
    return "blocks" in PROCESSES[process].traits


def open_offered(name: object, session: Session | None = None) -> tuple[Model, Process]:
    """A model that writes in blocks. Raises ValueError for any other."""
    model, process = open_model(name, session)
    if not fits(process.traits):
        raise ValueError(
            f"The model {model.key!r} does not write in blocks: take one of "
            f"{', '.join(offered())}, or another that writes masks."
        )
    return model, process


def values(process: Process, option: str) -> list:
    """What an option of `blockwise` may be with a model."""
    _, span = BLOCKWISE.options[option]
    return list(span.of(process))


def choices(process: Process, option: str) -> dict:
    """A menu of an option's values."""
    found = values(process, option)
    return dict(choices=[(spaced(str(value)), value) for value in found], value=found[0])


def sizes(process: Process, wanted: int) -> dict:
    """The menu of a model's sizes of blocks."""
    found, unit = sorted(values(process, "block")), process.tokenizer.unit
    return dict(
        choices=[(str(n), n) for n in found],
        value=wanted if wanted in found else values(process, "block")[0],
        info=f"{unit.capitalize()} a block. 1: one after the other. {found[-1]}: all at once.",
    )


# ---------------------------------------------------------------- a run


def read(
    model, block, each, order, cache, rule, length, prompt, temperature, seed, session=None
) -> Request:
    """Check everything; an order or a cache that is "" is the model's usual one. Raises gr.Error in
    one sentence."""
    numbers = dict(each=each, length=length, temperature=temperature, seed=seed)
    with refusals():
        chosen, process = open_offered(model, session)
        order, cache = order or values(process, "order")[0], cache or values(process, "cache")[0]
        for name, value in numbers.items():
            low, high, whole = LIMITS[name]
            check_number("steps a block" if name == "each" else name, value, low, high, whole)
        options = dict(block=block, order=order, cache=cache)
        check_options(process, BLOCKWISE, options)
        steps = int(each) * blocks_of(process, int(length), block)
        if steps > MAX_STEPS:
            raise ValueError(
                f"{int(each)} steps a block are {steps:,} for the network's window; it takes "
                f"{MAX_STEPS:,}: take fewer steps, or larger blocks."
            )
        settings = dict(model=chosen.key, sampler=BLOCKWISE.name, steps=steps, options=options)
        settings |= dict(prompt=process.tokenizer.typed(runs.text("prompt", prompt)), until=rule)
        settings |= dict(length=int(length), temperature=float(temperature), seed=int(seed))
        request = runs.request(settings, process)
        cost.check([cost.of(request)])
    return request


def blocks_of(process: Process, length: int, block: int) -> int:
    """How many blocks a window of the network has."""
    return max(1, min(length, process.length or WINDOW) // block)


def block_of(request: Request) -> int:
    return request.settings["options"]["block"]


def blocks(
    model: str,
    block: int = USUAL["block"],
    each: int = USUAL["each"],
    order: str = "",
    cache: str = "",
    rule: str = USUAL["rule"],
    length: int = USUAL["length"],
    prompt: str = USUAL["prompt"],
    temperature: float = USUAL["temperature"],
    seed: int = USUAL["seed"],
) -> dict:
    """Write a text block by block; what the panel shows at its end. An empty order or cache is the
    model's usual one."""
    *_, value = TAB.alone(
        read(model, block, each, order, cache, rule, length, prompt, temperature, seed)
    )
    return value


def write(request: Request, job: Job) -> Iterator[dict]:
    """The panel while the text is written: its text and numbers, and at the end its place in the
    pictures, which the job keeps."""
    progress, said, runs_before = Progress(), 0.0, job.kept or []
    chosen = request.settings["model"], request.process.name, block_of(request)
    still = pictures_of(runs_before, *chosen)
    for frame in frames(request, job):
        progress.take(request, frame)
        if job.wanted and time.monotonic() - said > EVERY:
            said = time.monotonic()
            yield still | running(request, progress, "writing")
    if job.replaced:
        return
    (end,) = ending(request.process, frame, request.settings["until"])
    progress.cut(end)
    if job.ended:
        late = {"said": job.notice} if job.late else {}
        yield still | running(request, progress, "stopped") | late
        return
    shown = running(request, progress, "ended" if end is not None else "done")
    job.made = dict(shown=shown, summary=summary(request, progress))
    yield again(request, job, job.made)


def again(request: Request, job: Job, made: dict) -> dict:
    """The panel at the end of a run, this one or an earlier one of the same settings, beside the
    visitor's own runs."""
    job.kept = [*(job.kept or []), made["summary"]][-KEPT:]
    chosen = request.settings["model"], request.process.name, block_of(request)
    return pictures_of(job.kept, *chosen) | made["shown"]


def running(request: Request, progress: Progress, state: str) -> dict:
    """What is shown of a run. state: "writing", "stopped", "ended" (by its rule) or "done"."""
    process, canvas = request.process, request.canvas
    given = int(canvas.given[0].int().cumprod(0).sum())
    given = len(process.tokenizer.decode(canvas.tokens[0, :given]))
    characters = max(1, len(progress.text) - given)
    return dict(
        state=state,
        text=progress.text,
        ends=progress.ends,
        start=progress.start if state == "writing" else len(progress.text),
        given=given,
        total=canvas.tokens.shape[1],
        window=process.length or WINDOW,
        written=progress.shown,
        unit=process.tokenizer.unit,
        facts=[
            ["characters", f"{len(progress.text):,}"],
            ["calls", f"{progress.calls:,}"],
            ["calls a character", f"{progress.calls / characters:.2f}"],
            ["ms a character", f"{1000 * progress.seconds / characters:.1f}"],
            *quality(progress, state, process),
        ],
    )


def quality(progress: Progress, state: str, process: Process) -> list[list[str]]:
    if state == "writing" or MASK in progress.text:
        return []
    found = evaluate.judged([progress.text], process)
    counts = evaluate.word_counts(progress.text, catalogue.words(process.corpus))
    words = (
        [["real words", "{} of {} long ones".format(*counts)]] if found.words is not None else []
    )
    return ([["judge", f"{found.bits:.2f} bits/char"]] if found.bits is not None else []) + words


def summary(request: Request, progress: Progress) -> dict:
    """What the pictures keep of a run."""
    options, length = request.settings["options"], request.settings["length"]
    found = evaluate.judged([progress.text], request.process)
    return dict(
        model=request.settings["model"],
        block=options["block"],
        each=request.settings["steps"] // blocks_of(request.process, length, options["block"]),
        cache=options["cache"],
        pace=progress.pace(),
        bits=found.bits,
    )


# ---------------------------------------------------------------- what stands beside it


def read_fields(session: Session, *values) -> Request:
    """What the widgets of the page ask for."""
    return read(*values, session)


def changed(session: Session, name: str, block: int) -> tuple:
    """Another model: its sizes, orders and caches, its pictures, and the models to choose from."""
    with refusals():
        model, process = open_offered(look_up(name, session, suits), session)
    models = gr.update(choices=menu(offered(session)), value=model.key)
    menus = sizes(process, block), choices(process, "order"), choices(process, "cache")
    runs, size = session.kept(TAB.name) or [], menus[0]["value"]
    pictures = pictures_of(runs, model.key, process.name, size)
    return *(gr.update(**shown) for shown in menus), pictures, models


def resized(session: Session, name: str, block: int) -> dict:
    """The pictures of a model and a size of blocks."""
    with refusals():
        model, process = open_offered(name, session)
    return pictures_of(session.kept(TAB.name) or [], model.key, process.name, block)


def first_view(model: Model) -> dict:
    """The recorded run, or none, with the pictures of the model that the tab opens with."""
    last = {} if model.key in catalogue.GUESTS else recording.load("blocks")
    pictures = pictures_of(last.get("runs", []), model.key, model.process, USUAL["block"])
    return last.get("run", nothing()) | pictures


def nothing() -> dict:
    return dict(state="", text="", start=0, given=0, total=0, window=0, facts=[])


def pictures_of(runs: list[dict], model: str, family: str, block: int) -> dict:
    """Everything but the run; runs: what was kept of the visitor's runs."""
    known = catalogue.models()
    card = catalogue.card_of(model) if model in known or catalogue.brings_card(model) else None
    corpus = card.config["corpus"] if card else ""
    rows = card.evaluation.get("blocks", []) if card else []
    of_model = [run for run in runs if run["model"] == model]
    found = [
        pace([run for run in of_model if run["block"] == block]),
        bits_bridge(rows, family, corpus),
        judge_bridge(rows, of_model, family, corpus),
    ]
    lab = search(card.metrics if card else [], block, family)
    caches = [cache_row(row) for row in card.evaluation.get("caches", [])] if card else []
    said = (
        f"{note(family)} {SAID_ITSELF}" if rows and catalogue.brings_card(model) else note(family)
    )
    return dict(family=family, pictures=[p for p in found if p], lab=lab, note=said, caches=caches)


def cache_row(row: dict) -> list[str]:
    """What a cache costs and saves, in the order of the columns of the table in
    ui/static/panels/blocks.js."""
    judge = "" if row["bits"] is None else f"{row['bits']:.2f}"
    words = "" if row["words"] is None else f"{100 * row['words']:.0f} %"
    return [
        row["cache"],
        f"{row['nats']:.1g}" if row["nats"] > 1e-6 else "0",
        f"{row['ms'] / TOKENS:.2f}",
        judge,
        words,
    ]


def note(family: str) -> str:
    """What is exact and what is approximate in the model's blocks, in a sentence or two."""
    process = PROCESSES[family]
    slides = (
        "The network sees 256 tokens: when they are full, the window slides by half, "
        "what it leaves behind is forgotten, and "
        "the half that stays is read anew, so that a long text is exact only for what the "
        "window holds."
    )
    kept = (
        "Its cache is exact: a finished block hears of nothing that comes after it."
        if "blocks" in process.traits
        else "It learned to see both sides, so its caches are approximate: what is kept was read "
        "when the block was all masks."
    )
    return f"{kept} {slides}"


def pace(runs: list[dict]) -> str:
    """Time a character against the place in the text, the last run with each cache."""
    last = {run["cache"]: run for run in runs if run["pace"]}
    if not last:
        return ""
    newest = list(last)[-1]
    curves = [
        plots.Curve(
            f"cache: {cache}",
            [n for n, _ in run["pace"]],
            [ms for _, ms in run["pace"]],
            "block" if cache == newest else "faded",
            heavy=cache == newest,
        )
        for cache, run in last.items()
    ]
    alt = "Milliseconds a character against the place in the text: " + "; ".join(
        f"{c.label} {c.y[-1]:.1f}" for c in curves
    )
    return plots.both(plots.against_position, curves, alt=alt, wide=540)


def bits_bridge(rows: list[dict], family: str, corpus: str) -> str:
    """Bits a character against the size of blocks, between the corpus's autoregressive and masked
    models."""
    if not rows:
        return ""
    curve = plots.Curve(
        family, [r["size"] for r in rows], [r["bound"]["bits"] for r in rows], family
    )
    errors = [r["bound"]["error"] * r["bound"]["bits"] / r["bound"]["nats"] for r in rows]
    ends = {
        card.path.name: card.evaluation.get("bound")
        for card in families.cards_of(corpus)
        if card.path.name in ("autoregressive", "masked")
    }
    levels = [plots.Level(key, bound["bits"]) for key, bound in ends.items() if bound]
    alt = "Bits a character on held-out text against the size of blocks: " + "; ".join(
        f"{x} {y:.3f}" for x, y in zip(curve.x, curve.y)
    )
    return plots.both(
        plots.bridge,
        curve,
        errors,
        [],
        levels,
        "bits a character, held-out text",
        alt=alt,
        wide=540,
    )


def judge_bridge(rows: list[dict], runs: list[dict], family: str, corpus: str) -> str:
    """The judge's bits against the size of blocks, with the visitor's runs."""
    points = [
        plots.Curve(f"yours, {r['each']} steps", [r["block"]], [r["bits"]], family)
        for r in runs
        if r["bits"] is not None
    ]
    rows = [r for r in rows if r["bits"] is not None]
    if not rows and not points:
        return ""
    curve = (
        plots.Curve(family, [r["size"] for r in rows], [r["bits"] for r in rows], family)
        if rows
        else None
    )
    real = catalogue.real_text(corpus).get("bits")
    levels = [plots.Level("real text", real)] if real is not None else []
    alt = "Judge's bits a character against the size of blocks: " + "; ".join(
        f"{c.label} {c.x[0]}: {c.y[0]:.2f}" for c in points
    )
    return plots.both(
        plots.bridge, curve, [], points, levels, "judge, bits a character", alt=alt, wide=540
    )


def search(metrics: list[dict], block: int, family: str) -> dict | None:
    """The last search for a window of times: its picture, and in words what it gains."""
    found = [
        row["variances"][str(block)] for row in metrics if str(block) in row.get("variances", {})
    ]
    if not found:
        return None
    variances = {
        tuple(float(end) for end in key.split("-")): value for key, value in found[-1].items()
    }
    low, high = min(variances, key=variances.get)
    even = variances[0.0, 1.0]
    alt = (
        f"Variance of the loss over windows of times at block {block}: least in {low:.2f} to "
        f"{high:.2f}"
    )
    words = (
        f"The loss of a block of {block}, as nats a character at one random time, drawn from "
        f"each of {len(variances)} windows: multiples of the "
        f"least variance. Even times vary {even / variances[low, high]:.1f} times as much as "
        f"the window from {low:.2f} to {high:.2f}, in which this "
        f"model is trained. The search was made {len(found)} time{'s' * (len(found) > 1)}."
    )
    return dict(
        picture=plots.both(plots.windows, variances, (low, high), family, alt=alt, wide=460),
        words=words,
    )


# ---------------------------------------------------------------- the recording


def record() -> None:
    """Write the first view: the usual run with each cache of the first model, the last the usual
    one."""
    job, key = Job(), next(iter(offered()))
    for cache in reversed(values(catalogue.open_model(key), "cache")):
        request = read(key, order="", cache=cache, **USUAL)
        *_, value = write(request, job := Job(job.kept))
    run = {name: part for name, part in value.items() if name not in BESIDE}
    recording.save("blocks", dict(run=run, runs=job.kept), [key])


TAB = Tab(
    "blocks",
    "Blocks",
    build=build,
    read=read_fields,
    run=write,
    again=again,
    record=record,
)
