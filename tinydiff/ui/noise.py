"""The tab Noise: the visitor's sentence under the forward process of every kind of noise, and what
its noisy state still says about it.

The server answers once for a sentence, for all noise levels; the slider and the schedules then work
in the browser, since a schedule only maps times to noise levels. Every level is drawn with the same
random numbers, so that a character that is lost stays lost. The same time is not the same amount of
noise: a second slider goes by the information that is left in the state of a character
(exact.information). The perfect observer has no network: it knows the bundled Markov language and
the process's `likelihood`. The other observer is the trained network. Processes that share a noise
share a row.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from functools import lru_cache

import gradio as gr
import torch
from torch import Tensor

from tinydiff import exact
from tinydiff.processes import PROCESSES, Process
from tinydiff.randomness import seeded
from tinydiff.schedules import SCHEDULES, Schedule, schedule
from tinydiff.sentences import brief
from tinydiff.show import plots
from tinydiff.store import catalogue
from tinydiff.store.catalogue import Model
from tinydiff.ui import cost, recording, visitor_models
from tinydiff.ui.errors import refusal, refusals
from tinydiff.ui.request import look_up, open_model
from tinydiff.ui.session import Job, Session
from tinydiff.ui.tab import HUB_QUEUE, QUICK, QUIET, Panel, Site, Tab, in_menus, menu, stale_line
from tinydiff.ui.turns import Pace, Turn

SENTENCE = "But soft, what light through yonder window breaks?"
LONGEST = 128
TIMES = 101  # and as many levels of noise
SHARED = 4  # levels in a row for which a network that depends on the time is called once
PERFECT, TRAINED = "perfect, without a network", "the trained network"
MASK = "\x7f"  # what a mask is on the wire
LETTERS = (("those of letters, one of each noise", ""),)
NUMBERS = 1 << 24  # probabilities of all levels together
SOME = 256  # tokens whose noise is measured where there are more
TELLS: dict[str, list[float]] = {}  # what was measured of models, by their keys
RECENT = 16  # of them that are kept
DRAWN = Pace()  # how long that takes lately


def build(site: Site) -> None:
    """The widgets and handlers of the tab."""
    gr.Markdown(
        "Noise is what a network learns to undo. Write a sentence, then drag *t*: above, "
        "what is left of it; below each "
        "lost character, the best guess of an observer: one who knows only how often one "
        "letter follows another, but that "
        "perfectly, or the network that was trained."
    )
    box = gr.Textbox(
        SENTENCE,
        label="Your sentence",
        max_length=LONGEST,
        max_lines=2,
        elem_id="noise-sentence",
        info=f"Up to {LONGEST} characters; the pictures follow as you type.",
    )
    observer = gr.Radio(
        [PERFECT, TRAINED],
        value=PERFECT,
        label="Observer",
        elem_classes="td-ticks",
        elem_id="noise-observer",
    )
    network, first = build_network(observer, box)
    stale_line(TAB.name)
    panel = Panel("noise", first)
    # a box's `input` is heard when a key is pressed, and so not of what is pasted, deleted or typed
    # on a phone
    changes = [box.change, observer.input, network.input]
    gr.on(changes, None, None, None, js=FOLLOWS_JS)
    drawn = gr.on(
        changes,
        typed_by,
        [site.session, box, observer, network],
        panel,
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_id="noise",
        concurrency_limit=2,
        api_visibility="private",
    )
    observer.input(lambda chosen: gr.update(visible=chosen == TRAINED), observer, network, **QUICK)
    network.input(network_chosen, [site.session, network], network, **QUIET, **HUB_QUEUE)
    site.offer(in_menus(network, of=offered, more=LETTERS), [network])
    TAB.line_up(site, drawn, ask)
    gr.api(answer, api_name="noise", concurrency_id="noise", concurrency_limit=2)


# the picture is marked until it has followed; that of a sentence that is refused stays marked
FOLLOWS_JS = "() => { tinydiff.stale('noise'); tinydiff.asked('noise'); return []; }"


def build_network(observer: gr.Radio, box: gr.Textbox) -> tuple[gr.Dropdown, dict]:
    """Which trained network observes, and what the panel shows first: where the page's owner named
    a checkpoint that can, what that one sees."""
    named, first = next((key for key in offered() if catalogue.is_ready(key)), ""), None
    if named:
        with suppress(ValueError):
            first = observed(SENTENCE, *open_observer(named))
    if first:
        observer.value = TRAINED
    network = gr.Dropdown(
        [*menu(offered()), *LETTERS],
        value=named if first else "",
        label="Network",
        visible=first is not None,
        allow_custom_value=True,
        elem_id="noise-network",
        info="Or a Hub id.",
    )
    return network, first or dissolved(SENTENCE)


def offered(session: Session | None = None) -> dict[str, Model]:
    """The trained networks that can observe."""
    known = session.local_models() if session else catalogue.models()
    return {k: m for k, m in known.items() if suits(m) and not k.startswith(catalogue.PERFECT)}


def suits(model: Model) -> bool:
    """Has its noise a likelihood for every position?"""
    return not model.task and "likelihood" in PROCESSES[model.process].traits


def open_observer(name: object, session: Session | None = None) -> tuple[Model, Process]:
    """A trained network that can observe. Raises ValueError."""
    model, process = open_model(name, session)
    if not suits(model) or model.key.startswith(catalogue.PERFECT):
        raise ValueError(
            f"The model {brief(model.key)} cannot observe here: take a trained network of "
            f"{', '.join(catalogue.perfect_families())}."
        )
    return model, process


def network_chosen(session: Session, name: str) -> dict:
    """Another network: the networks to choose from."""
    with refusals():
        key = open_observer(look_up(name, session, suits), session)[0].key if name else ""
    return gr.update(choices=[*menu(offered(session)), *LETTERS], value=key)


def typed_by(session: Session, sentence: str, observer: str, network: str) -> dict:
    """`typed`, observed by one network where one is chosen."""
    if observer != TRAINED or not network:
        return typed(sentence, observer)
    if sentence == "":
        return gr.skip()
    try:
        checked(sentence)
        return observed(sentence, *open_observer(look_up(network, session, suits), session))
    except (ValueError, gr.Error) as error:
        words = error.message if isinstance(error, gr.Error) else refusal(str(error)).message
        gr.Warning(words, title="Not possible")
        return gr.skip()


def ask(session: Session, sentence: str, observer: str, network: str) -> Turn:
    """The pictures of a sentence, before their turn."""
    return Turn(DRAWN.seconds)


def typed(sentence: str, observer: str) -> dict:
    """`answer` while the visitor types; an empty sentence leaves the panel as it is. Errors are not
    raised, because after an error the page would forget what was typed meanwhile."""
    if sentence == "":
        return gr.skip()
    try:
        return answer(sentence, observer)
    except gr.Error as error:
        gr.Warning(error.message, title=error.title)
        return gr.skip()


def checked(sentence: object) -> str:
    """A sentence of a length that is taken. Raises gr.Error."""
    if not isinstance(sentence, str) or not 0 < len(sentence) <= LONGEST:
        raise refusal(f"Give a sentence of 1 to {LONGEST} characters.")
    return sentence


def answer(sentence: str, observer: str = PERFECT, model: str = "") -> dict:
    """What the panel shows of a sentence. model: the trained network that observes, by its name or
    its Hub id; "" stands for those of letters. Raises gr.Error in one sentence."""
    if model and observer == TRAINED:
        with refusals():
            return observed(checked(sentence), *open_observer(model))
    if not (sentence := catalogue.bigrams().tokenizer.typed(checked(sentence))[:LONGEST]):
        raise refusal(f"Give a sentence of 1 to {LONGEST} characters.")
    if observer not in (PERFECT, TRAINED):
        raise refusal(f"There is no such observer; there are {PERFECT!r} and {TRAINED!r}.")
    began = time.monotonic()
    with refusals():
        drawn = dissolved(sentence, observer)
    DRAWN.take(1.0, time.monotonic() - began)
    return drawn


@lru_cache(maxsize=64)
def dissolved(sentence: str, observer: str = PERFECT) -> dict:
    """The sentence at every level of noise, under every noise. Raises ValueError for characters
    outside the vocabulary."""
    x0 = catalogue.bigrams().tokenizer.encode(sentence)
    job, rows = Job(), []
    for names in (names for names in noises() if observer == PERFECT or trained_process(names[0])):
        if job.over:
            raise ValueError(
                "To ask the networks took longer than this page may: give a shorter "
                "sentence, or try again later."
            )
        rows.append(row(names, x0, observer))
    return whole(sentence, observer, rows)


def observed(sentence: str, model: Model, process: Process) -> dict:
    """The sentence at every level of the noise of one trained network, which observes it. Raises
    ValueError for what it cannot read at once."""
    tokenizer = process.tokenizer
    x0 = tokenizer.encode(tokenizer.typed(sentence))
    most = min(process.length or LONGEST, NUMBERS // (TIMES * process.V))
    if not 0 < len(x0) <= most:
        raise ValueError(
            f"The sentence has {len(x0)} {tokenizer.unit}, and with {brief(model.key)} there is "
            f"room for 1 to {most}: give another."
        )
    cost.call(process, TIMES, len(x0), len(x0))
    job = Job()
    found = row([process.name], x0, TRAINED, process, model.key)
    if job.over:
        raise ValueError("To ask this network took longer than this page may: take a smaller one.")
    own = dict(
        text="".join(tokenizer.signs[i] for i in x0.tolist()),
        unit=tokenizer.unit,
        ceiling=math.log(process.V),
        title=f"{PROCESSES[process.name].title}, {catalogue.short_name(model.key)}",
    )
    if tokenizer.signs != tokenizer.pieces:
        named = {sign for shown, guess, *_ in found["states"] for sign in shown + guess}
        own |= dict(
            pieces={
                sign: piece
                for sign, piece in zip(tokenizer.signs, tokenizer.pieces)
                if sign in named or sign in own["text"]
            }
        )
    return whole(sentence, TRAINED, [found | own])


def whole(sentence: str, observer: str, rows: list[dict]) -> dict:
    """Everything that the panel shows."""
    return {
        "text": sentence,
        "times": TIMES,
        "observer": "a perfect observer" if observer == PERFECT else "the network",
        "ceiling": math.log(len(catalogue.bigrams().tokenizer)),
        "rows": rows,
        "lane": f"your sentence, {rows[0]['process']}",
        "schedules": {name: numbers(schedule(name)) for name in SCHEDULES},
        "known": information_pictures(),
        "pictures": pictures(),
    }


def noises() -> list[list[str]]:
    """The names of the processes that share a noise, the one named after the noise first, for every
    noise that a perfect observer can read: noises on tokens, on numbers, and those without time."""
    groups: dict[str, list[str]] = {}

    def place(cls):
        traits = cls.traits
        return (
            "diffusion" not in traits,
            "tokens" not in traits,
            not cls.name.startswith(cls.over.name),
        )

    for cls in sorted((PROCESSES[name] for name in catalogue.perfect_families()), key=place):
        groups.setdefault(cls.over.name, []).append(cls.name)
    return list(groups.values())


def numbers(curve: Schedule) -> dict:
    """alpha and the loss weight at each time, and the level of noise that holds there; None where
    the weight is infinite."""
    t = torch.linspace(0, 1, TIMES, dtype=torch.float64)
    alpha, weight = curve.alpha(t), curve.weight(t).tolist()
    level = ((1 - alpha) / (1 - schedule("linear").floor) * (TIMES - 1)).round().long()
    return {
        "alpha": alpha.tolist(),
        "weight": [w if math.isfinite(w) else None for w in weight],
        "level": level.tolist(),
    }


def trained_process(name: str) -> Process | None:
    """The first bundled checkpoint of a process that reads the visitor's characters."""
    keys = [
        key
        for key, model in catalogue.models().items()
        if model.process == name and model.folder and model.corpus == catalogue.BIGRAMS
    ]
    alike = (
        process
        for process in map(catalogue.open_model, keys)
        if process.tokenizer.characters == letters()[:-1]
    )
    return next(alike, None)


def letters() -> str:
    """All characters, and the sign that a mask has."""
    return catalogue.bigrams().tokenizer.characters + MASK


@lru_cache(maxsize=16)
def process_of(name: str) -> Process:
    """A process with this noise, with learned codes if a checkpoint has them."""
    return trained_process(name) or exact.perfect(name, catalogue.bigrams())


def times(process: Process, L: int) -> Tensor:
    """When each level of noise holds: the level is 1 - alpha, of L positions in the mean, or the
    time itself where there is no alpha."""
    level = torch.linspace(0, 1, TIMES, dtype=torch.float64)
    if "diffusion" not in process.traits:
        return level
    return process.noise.when(1 - level * (1 - process.noise.floor), L)[:, 0]


# ---------------------------------------------------------------- a row


def row(
    names: list[str], x0: Tensor, observer: str, process: Process | None = None, key: str = ""
) -> dict:
    """One kind of noise at every level: [shown, guess, how sure of it, nats known, how near what is
    shown], the shares in tenths, and what the state of one character tells of it, nats.

    process: whose noise it is, by default that of the names; key: of its model
    """
    own, process = process, process or process_of(names[0])
    t = times(process, len(x0))[:, None].expand(-1, len(x0))
    x = torch.cat([process.noise.corrupt(x0[None], at[None], seeded(3)) for at in t])
    log_p = posteriors(process, x, t, observer)
    sure, best = log_p.max(-1)
    known = math.log(process.V) + (log_p.exp() * log_p).sum(-1).mean(-1)
    near = process.noise.likelihood(x, t).log_softmax(-1).amax(-1)
    channels = (
        spelled(process.noise.read(x), process),
        spelled(best, process),
        tenths(sure),
        [round(nats, 3) for nats in known.tolist()],
        tenths(near),
    )
    cls = PROCESSES[names[0]]
    return dict(
        process=names[0],
        title=cls.title,
        about=cls.about,
        also=[PROCESSES[name].title for name in names[1:]],
        timed="diffusion" in cls.traits,
        states=list(zip(*channels)),
        tells=tells_of(own, key) if own else tells(names[0]),
    )


def posteriors(process: Process, x: Tensor, t: Tensor, observer: str) -> Tensor:
    """log p(x_0 | x) at every level, (N, L, V), by Bayes' rule or by the trained network; the same
    state is computed once."""

    def ask(x: Tensor, t: Tensor) -> Tensor:
        if observer == PERFECT:
            return catalogue.bigrams().posterior(process.noise.likelihood(x, t))
        return process.denoise(x, t.float()).log_x0

    index = torch.arange(len(x))
    if observer != PERFECT:
        index = index // SHARED * SHARED
    if "timeless" in process.traits:  # the time tells nothing that the state does not
        _, index = x.unique(dim=0, return_inverse=True)
        first = torch.full((len(x),), len(x)).scatter_reduce(0, index, torch.arange(len(x)), "amin")
        index = first[index]
    once, back = index.unique(return_inverse=True)
    with torch.no_grad():
        return ask(x[once], t[once]).double()[back]


def spelled(tokens: Tensor, process: Process) -> list[str]:
    signs = process.tokenizer.signs + MASK
    return ["".join([signs[i] for i in ids]) for ids in tokens.tolist()]


def tenths(log_p: Tensor) -> list[str]:
    """Probabilities as digits: 9 is certain."""
    return ["".join(map(str, row)) for row in (log_p.exp() * 9).round().long().tolist()]


@lru_cache(maxsize=16)
def tells(name: str) -> list[float]:
    """`information` of a noise, as it was measured once for assets/recorded/noise.json."""
    return recording.load("noise").get(name) or information(name)


def tells_of(process: Process, key: str) -> list[float]:
    """`tells` of a model's own noise; of many tokens some are measured."""
    if key in TELLS:
        return TELLS[key]
    many = process.V > SOME
    some = torch.randperm(process.V, generator=seeded(0))[:SOME] if many else None
    known = interpolated(process, 4 if many else 32, some)
    if key != visitor_models.NAME:  # which is another one for each visitor
        TELLS[key] = known
    while len(TELLS) > RECENT:
        TELLS.pop(next(iter(TELLS)), None)
    return known


@lru_cache(maxsize=16)
def information(name: str) -> list[float]:
    """exact.information at every level, as a share of log V."""
    return interpolated(process_of(name))


def interpolated(process: Process, draws: int = 128, of: Tensor | None = None) -> list[float]:
    """exact.information at every level, as a share of log V: measured at some levels and
    interpolated linearly."""
    found = exact.information(process, times(process, LONGEST)[::SHARED], draws, of)
    share = found / math.log(process.V)
    every = torch.nn.functional.interpolate(
        share[None, None], TIMES, mode="linear", align_corners=True
    )[0, 0]
    return [round(known, 4) for known in every.tolist()]


# ---------------------------------------------------------------- pictures


@lru_cache(maxsize=1)
def information_pictures() -> list[dict]:
    """The information that every noise leaves of a character, at the widths of a desktop and of a
    phone, with the lengths of both markers' ways."""
    curves = {names[0]: tells(names[0]) for names in noises()}
    alt = (
        "what each noise leaves known of a character, from all at no noise to nothing: masks "
        "take it evenly, the others do not"
    )
    return [
        {"kind": kind, **plots.marked(plots.information, curves, width, alt=alt)}
        for kind, width in (("tt-wide", 560), ("tt-narrow", 345))
    ]


@lru_cache(maxsize=1)
def pictures() -> list[dict]:
    """Both pictures of all schedules, with the length of the t axis that the marker travels."""
    drawn = (
        (
            plots.alpha,
            "alpha of t for every schedule: what is left of the text, from 1 at t = 0 to "
            "nearly 0 at t = 1",
        ),
        (
            plots.weight,
            "weight of the loss for every schedule, on a logarithmic axis: infinite at t = "
            "0, falling with t",
        ),
    )
    return [plots.marked(draw, alt=alt) for draw, alt in drawn]


# ---------------------------------------------------------------- the recording


def record() -> None:
    """Measure anew what the pictures show of every noise."""
    recording.save("noise", {names[0]: information(names[0]) for names in noises()}, [])


TAB = Tab("noise", "Noise", build=build, record=record)
