"""What a visitor takes away: a run as code, its papers, its curves; and a sweep of prompts, seeds,
samplers and numbers of steps, over the page's API.

    value   of a player, as render.py packs it
"""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from tinydiff import recipes
from tinydiff.measure import sweep as sweeping
from tinydiff.runs import Request
from tinydiff.show import render, sheets
from tinydiff.ui import cost, visitor_models
from tinydiff.ui.errors import refusal, refusals
from tinydiff.ui.request import frames, opening, read
from tinydiff.ui.session import Job, Session

MOST = 64  # runs of a sweep of the page


def code(value: dict, base: str, session: Session | None = None) -> dict[str, str]:
    """The run on a player as "python", "curl" and "command". base: the page's address. Raises
    gr.Error for a run of a visitor's own model, which is nowhere else."""
    asked = asked_of(value, session)
    if visitor_models.NAME in (asked.settings["model"], *asked.settings["options"].values()):
        raise refusal(
            "A model that was trained here is nowhere else: run this with one of the page's or of "
            "the Hub, and take that as code."
        )
    with refusals():
        command = recipes.command(asked)
    return {
        "python": recipes.python(asked),
        "curl": recipes.curl(asked, base, opening()),
        "command": command,
    }


def asked_of(value: dict, session: Session | None) -> Request:
    """The settings of the run on a player, checked."""
    return read({k: v for k, v in value["head"]["settings"].items() if v is not None}, session)


def bibtex(value: dict) -> str:
    """The papers of the methods of the run on a player, and this program."""
    return recipes.bibtex(value["head"]["settings"])


def csv(value: dict) -> str:
    """The curves of the run on a player."""
    return sheets.of_run(render.unpack(value))


# ---------------------------------------------------------------- a sweep


def sweep(
    prompts: list[str],
    seeds: list[int],
    samplers: list[str],
    steps: list[int],
    settings: dict,
) -> Iterator[dict]:
    """Run every prompt with every seed, sampler and number of steps, 64 runs at the most; settings
    are the others of a run, {} for the usual ones. Streams {done, of}, and at last also rows,
    summary, and both as csv and summary_csv.
    """
    asked, job = plan(prompts, seeds, samplers, steps, settings), Job()
    rows: list[dict] = []
    for one in asked:
        yield dict(done=len(rows), of=len(asked))
        found = sweeping.row(one, lambda request: frames(request, job))
        if job.ended:
            break
        rows.append(found)
    yield dict(
        done=len(rows),
        of=len(asked),
        rows=rows,
        summary=sweeping.summary(rows),
        csv=sweeping.sheet(rows),
        summary_csv=sweeping.summary_sheet(rows),
    )


def plan(prompts, seeds, samplers, steps, settings) -> list[Request]:
    """The runs of a sweep, checked, together no more than a run of the page may take. Raises
    gr.Error in one sentence."""
    if not isinstance(settings, dict):
        raise refusal("The settings are not a JSON object: give names and values, or {}.")
    every = (prompts, seeds, samplers, steps)
    count = 1
    for values in every:
        count *= len(values) if isinstance(values, list) else 1
    if count > MOST:
        raise refusal(
            f"That would be {count:,} runs, and a sweep of this page has {MOST} at the most: take "
            "fewer, or use `python -m tinydiff sweep` on your own machine."
        )
    with refusals():
        asked = list(sweeping.plan(*every, settings, read))
        cost.check(map(cost.of, asked))
    return asked


def build() -> None:
    """Offer the sweep as an endpoint; called while the page is built."""
    gr.api(sweep, api_name="sweep", concurrency_id="sample", concurrency_limit=2)
