"""What happens at each moment of a run, in sentences for somebody who has never seen one.

start   before the first look
guess   the network has looked; all of its guesses are shown
keep    what of them the sampler keeps
run     a later look
order   every look, where a look writes one token and guesses nothing else
"""

from __future__ import annotations

from tinydiff.processes import PROCESSES, Process
from tinydiff.samplers import SAMPLERS

# by the name of the noise
STARTS = {
    "mask": "Hidden words: only what was given can be read.",
    "uniform": "Wrong words: each is a random one, and nobody says which are right.",
    "gaussian": "Blurred words: each is a point that noise has moved; its nearest word is shown.",
    "bits": "Binary noise: each word is a number whose digits noise has blurred.",
    "erasure": "Nothing is there but what was given.",
}
RUNS = {
    "mask": "It guesses the rest again, and keeps {keeps}.",
    "uniform": "It looks again at all of them, and changes {keeps}.",
    "gaussian": "It guesses again, and moves every point a little towards its guess.",
    "bits": "It guesses again, and moves every digit a little towards its guess.",
}
BLOCKS = "It uncovers the words of one block, a few at a time; what stands before them stays."
MOVED = "… and takes a small step towards them: most of the noise stays."


def plain(name: str) -> str:
    """What a newcomer would call the process of this name; the name itself where no such process is
    here, in a run from elsewhere."""
    known = PROCESSES.get(name)
    return (known.plain or known.title) if known else name


def moments(process: Process, sampler: str) -> dict[str, str]:
    """The sentences of a run by moment. Where a look writes one token there is "order" in the place
    of "guess", "keep" and "run"."""
    noise, keeps = process.noise.name, SAMPLERS[sampler].keeps
    start = {"start": STARTS.get(noise, process.about)}
    if "blocks" in process.traits:
        return start | {"run": BLOCKS}
    if "diffusion" not in process.traits:
        return start | {"order": "It writes the next word, and looks again."}
    if sampler == "left_to_right":
        return start | {"order": "It uncovers the next word, and looks again."}
    run = RUNS.get(noise, "It guesses again, and keeps {keeps}.")
    return start | {
        "guess": "It guesses all of them at once …",
        "keep": MOVED if "reals" in process.traits else f"… and keeps {keeps}.",
        "run": run.format(keeps=keeps),
    }
