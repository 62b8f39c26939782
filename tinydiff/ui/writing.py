"""A run as values for the player: what it is told before, what is drawn, and the numbers of a text
that is finished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tinydiff import runs
from tinydiff.endings import usual
from tinydiff.frames import Frame
from tinydiff.measure import evaluate
from tinydiff.measure.sense import is_asked, sense, slips
from tinydiff.processes import Process
from tinydiff.runs import Request
from tinydiff.samplers import SAMPLERS
from tinydiff.show import render
from tinydiff.show.moments import moments, plain
from tinydiff.store import catalogue
from tinydiff.ui.request import LOOKS, frames, query
from tinydiff.ui.session import Job
from tinydiff.ui.touch import why_not
from tinydiff.uncertainty import percent


def write(request: Request, job: Job) -> Iterator[dict]:
    """Values for the player while the text is written; the last one is done and holds the
    numbers."""
    wire = wire_for(request)
    for value in render.stream(pictures(request, wire, frames(request, job)), wire):
        job.kept = value
        yield value
        if "guess" in wire.head["told"] and "guess" not in wire.head:
            wire.head["guess"] = guess(request)
    if not job.replaced:
        said = {"said": job.notice} if job.late else {}
        job.kept = done(request, wire, stopped=job.ended, **said)
        yield job.kept


def done(request: Request, wire: render.Wire, **more) -> dict:
    """The value of a run that is over, with its numbers."""
    process, end = request.process, wire.end
    numbers = stats(end)
    if render.MASK not in end.text:
        text = render.spelled(end.text, process.tokenizer)
        quality = evaluate.judged([text], process)
        more["measure"] = measure_of(text, process, quality)
        more["strange"] = strange(end, process)
        numbers += judged(text, quality, process.corpus)
    return wire.value(done=True, stats=numbers, **more)


def still(request: Request) -> dict:
    """A value of one picture: the canvas's text as it stands, of which nothing is to be written."""
    process, canvas = request.process, request.canvas
    text = render.spell(canvas.tokens[0].tolist(), process.tokenizer.signs)
    n, given, stage = len(text), tuple(canvas.given[0].tolist()), render.scene(process, canvas)
    facts = (0, 0.0, 0, 0.0, text, text, (1.0,) * n, (0.0,) * n, given)
    wire = wire_for(request)
    wire.head["looks"] = []
    wire.add(render.Naming(process.tokenizer)(render.Picture(*facts, scene=stage)))
    return done(request, wire)


def bets(request: Request) -> dict:
    """A value of two pictures of a text by masks: as it stands, and the same with the bets of one
    look for every hidden place."""
    process = request.process
    shown = render.record(process, request.canvas, frames(request, Job()))
    wire = wire_for(request)
    wire.head |= {"looks": [], "yours": True}
    before, after = shown
    wire.add(before)
    seen = dict(text=before.text, given=before.given, pieces=after.pieces)
    wire.add(replace(after, **seen))
    return wire.value(done=True, stats=[])


def guess(request: Request) -> dict:
    """All guesses of the first look: the text that one look alone would write with the same seed,
    as signs, and what they spell."""
    asked, spelled = replace(request, settings=request.settings | {"steps": 1}), {}
    for picture in render.record(asked.process, asked.canvas, frames(asked, Job())):
        spelled |= picture.pieces or {}
    return {"text": picture.text, "pieces": spelled}


def wire_for(request: Request) -> render.Wire:
    settings, process = request.settings, request.process
    return render.Wire(
        settings["steps"] + 1,
        process.V,
        settings=settings,
        query=query(settings, usual(process)) if request.linked else "",
        family=process.name,
        noise=plain(process.name),
        told=moments(process, settings["sampler"]),
        looks=looks(request),
        touch=why_not(process, "again"),
        curves=runs.curves(request),
    )


def looks(request: Request) -> list[int]:
    """The numbers of steps between which the slider swaps: LOOKS and the run's own, those that make
    a difference; none where the sampler takes a call a token."""
    settings = request.settings
    sampler = SAMPLERS[settings["sampler"]]
    if not sampler.steps_matter:
        return []
    asked = sorted({*LOOKS, settings["steps"]})
    made = sampler.different(request.process, request.canvas, asked)
    return list(made) if settings["steps"] in made and len(made) > 1 else []


def pictures(
    request: Request, wire: render.Wire, frames: Iterator[Frame]
) -> Iterator[render.Picture]:
    """The pictures of a run; the wire hears how many there will be."""

    def counted():
        for frame in frames:
            wire.total = frame.steps + 1
            yield frame

    return render.record(request.process, request.canvas, counted())


def stats(end: render.Picture) -> list[list[str]]:
    """The line under a text: name, value, and what it is to be compared with."""
    calls, seconds = max(1, end.calls), max(1e-9, end.seconds)
    idle = end.step - end.calls
    return [
        [
            "looked",
            f"{end.calls:,} time{'s' * (end.calls != 1)}",
            f"in {idle} of the {end.step} steps there was nothing to do" if idle > 0 else "",
        ],
        ["a look", f"{1000 * seconds / calls:.1f} ms", ""],
    ]


def judged(text: str, quality: evaluate.Quality, corpus: str) -> list[list[str]]:
    """What others say of a text of this quality; nothing of one that another text was learned for
    than the judge's."""
    real = catalogue.real_text(corpus)
    ends = catalogue.yardsticks(corpus)
    rows = []
    if quality.bits is not None:
        rows.append(
            [
                "how odd to a second model",
                f"{quality.bits:.2f} bits a character",
                f"real text {real['bits']:.2f}; lower is better" if "bits" in real else "",
            ]
        )
    if quality.words is not None:
        good, long = evaluate.word_counts(text, catalogue.words(corpus))
        real_words = f"real text {percent(ends['real']['words'])}" if ends else ""
        rows.append(["real words", f"{good} of {long}", real_words])
        if quality.distinct4_words is not None:
            # many texts together have more in common than one has with itself
            once = real.get("distinct4_words")
            least = f"real text {percent(once)} or more; lower repeats itself" if once else ""
            said = f"{percent(quality.distinct4_words)} of four words in a row"
            rows.append(["said only once", said, least])
    return rows


def strange(end: render.Picture, process: Process) -> list[int]:
    """The cells of a finished text that belong to slips (measure/sense.py), without those that are
    given; none where nobody judges the text."""
    parts = [render.spelled(sign, process.tokenizer) for sign in end.text]
    cell = [i for i, part in enumerate(parts) for _ in part]
    found = {cell[at] for span in slips("".join(parts), process) for at in range(*span)}
    return sorted(i for i in found if not end.given[i])


def measure_of(text: str, process: Process, quality: evaluate.Quality | None = None) -> dict:
    """The one large measure of a text, {name, share, about}: how much sense it makes to a second
    model where there is one that was measured, with the share of "real" text, else the share of
    real words; {} where there is neither. quality: of the text, where it is known."""
    found = sense([text], evaluate.judge_of(process)) if is_asked(process) else None
    if found is not None:
        ends = catalogue.sense(process.corpus)
        real, mixed = (percent(ends[name]["share"]) for name in ("real", "shuffled"))
        about = (
            "sentences in which a second model stumbles over no word, whether they fit together "
            f"or not; of real text {real}, of words in random order {mixed}"
        )
        share = round(found.value, 4)
        best = ends["real"]["share"]
        return dict(name="smooth sentences", share=share, real=best, about=about)
    quality = quality or evaluate.judged([text], process)
    if quality.words is not None:
        about = "of those with four letters or more"
        return dict(name="real words", share=round(quality.words, 4), about=about)
    return {}
