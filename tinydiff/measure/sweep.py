"""Prompts x seeds x samplers x numbers of steps, each a run of its own: a row a run, and means with
their standard errors over seeds.

A run here is the run that the same settings give anywhere. The error of a mean is that of the means
of seeds, each over all prompts: seeds are drawn by themselves, prompts are chosen.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tinydiff import uncertainty
from tinydiff.endings import read_of, texts_of
from tinydiff.frames import Frame
from tinydiff.measure import evaluate
from tinydiff.runs import Request, request
from tinydiff.samplers import SAMPLERS
from tinydiff.sentences import brief
from tinydiff.show.sheets import JUDGED, table

MOST = 100_000  # runs of one sweep
ROW = {
    "model": "model",
    "sampler": "sampler",
    "steps": "steps",
    "seed": "seed",
    "prompt": "prompt",
    "text": "text",
    "calls": "calls of the network",
    "ms": "time [ms]",
    "bits": JUDGED["bits"],
    "words": JUDGED["words"],
}
MEANS = ("calls", "ms", "bits", "words")
SUMMARY = {"model": "model", "sampler": "sampler", "steps": "steps", "seeds": "seeds"} | {
    "prompts": "prompts"
}
for _name in MEANS:
    SUMMARY |= {_name: f"{ROW[_name]}, mean", f"{_name}_error": f"{ROW[_name]}, standard error"}


def plan(
    prompts: Sequence[str],
    seeds: Sequence[int],
    samplers: Sequence[str | None] = (None,),
    steps: Sequence[int] = (64,),
    more: Mapping = {},
    check: Callable[[Mapping], Request] = request,
) -> Iterator[Request]:
    """The runs of a sweep, checked, those of a sampler and a number of steps after each other. A
    sampler that takes a call a token runs once, whatever numbers of steps there are; None is the
    model's first.

    more:  the other settings of all runs
    check: what makes a Request of settings
    Raises ValueError, in one sentence.
    """
    every = {"prompts": prompts, "seeds": seeds, "samplers": samplers, "steps": steps}
    for what, values in every.items():
        if not isinstance(values, (list, tuple, range)) or not values:
            raise ValueError(f"The {what} are {brief(values)}; give a list with one or more.")
    if (count := len(prompts) * len(seeds) * len(samplers) * len(steps)) > MOST:
        raise ValueError(f"That would be {count:,} runs, and a sweep has {MOST:,} at the most.")
    for sampler in samplers:
        known = SAMPLERS.get(sampler) if isinstance(sampler, str) else None
        some = steps if known is None or known.steps_matter else steps[:1]
        for many, prompt, seed in itertools.product(some, prompts, seeds):
            named = dict(sampler=sampler, steps=many, prompt=prompt, seed=seed)
            yield check({**more, **named})


def row(asked: Request, frames: Callable[[Request], Iterator[Frame]] = Request.frames) -> dict:
    """One run: its settings, its text as it is read, what it cost and how good it is (of a single
    text; None where no judge learned the same)."""
    settings, process = asked.settings, asked.process
    *_, frame = frames(asked)
    rule = settings["until"]
    quality = evaluate.judged(texts_of(process, frame, rule), process)
    counted = SAMPLERS[settings["sampler"]].steps_matter
    return dict(
        model=settings["model"],
        sampler=settings["sampler"],
        steps=settings["steps"] if counted else None,
        seed=settings["seed"],
        prompt=settings["prompt"],
        text=read_of(process, frame, rule)[0],
        calls=frame.calls,
        ms=1000 * frame.seconds,
        bits=quality.bits,
        words=quality.words,
    )


def summary(rows: Iterable[Mapping]) -> list[dict]:
    """The means of each sampler and number of steps, and their standard errors over seeds: None for
    a single seed."""
    groups: dict[tuple, list[Mapping]] = {}
    for each in rows:
        groups.setdefault((each["model"], each["sampler"], each["steps"]), []).append(each)
    found = []
    for (model, sampler, steps), some in groups.items():
        many = {name: len({each[name] for each in some}) for name in ("seed", "prompt")}
        line = dict(model=model, sampler=sampler, steps=steps)
        line |= dict(seeds=many["seed"], prompts=many["prompt"])
        for name in MEANS:
            mean = over_seeds(some, name)
            line |= {name: mean and mean.value, f"{name}_error": mean and mean.error}
        found.append(line)
    return found


def over_seeds(rows: Iterable[Mapping], name: str) -> uncertainty.Mean | None:
    """The mean of the means of seeds; None where nothing was measured."""
    seeds: dict[int, list[float]] = {}
    for each in rows:
        if each[name] is not None:
            seeds.setdefault(each["seed"], []).append(each[name])
    means = [sum(values) / len(values) for values in seeds.values()]
    return uncertainty.mean(means, [1] * len(means), consecutive=False) if means else None


def sheet(rows: Iterable[Mapping]) -> str:
    """The rows as CSV."""
    return table(ROW, rows)


def summary_sheet(rows: Iterable[Mapping]) -> str:
    """The summary of rows as CSV."""
    return table(SUMMARY, summary(rows))


# ---------------------------------------------------------------- as they are typed


def numbers(what: str, text: str) -> list[int]:
    """Whole numbers as they are typed: "7", "1,5,9", "0:8" for 0 to 7. Raises ValueError."""
    found: list[int] = []
    for part in text.split(","):
        span = re.fullmatch(r"\s*(\d{1,18})(?::(\d{1,18}))?\s*", part)
        first, stop = (int(span[1]), int(span[2] or int(span[1]) + 1)) if span else (0, 0)
        if stop <= first or stop - first > MOST:
            raise ValueError(
                f"The {what} are {brief(text)}; give whole numbers such as 16,64 or 0:8, which is "
                "0 to 7."
            )
        found += range(first, stop)
    return list(dict.fromkeys(found))
