"""Drafts of a pretrained model: how many of them are kept, what a call yields, and what becomes of
the text where nobody checks.

`python -m tinydiff drafting` writes assets/recorded/drafting.json: for prompts of two kinds and for
each number of guesses before a check the tokens a call and a second, both beside the same model one
by one in the same run, and the share kept by place; and without the check the bits a token of what
was written under the model itself. Times are of a process, on as many threads as torch has.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tinydiff import uncertainty
from tinydiff.files import write_text
from tinydiff.generate import generate
from tinydiff.measure.control import kept, made_on, rounded
from tinydiff.paths import ASSETS
from tinydiff.processes import Process
from tinydiff.store import checkpoint
from tinydiff.text import Canvas

RECORDED = ASSETS / "recorded" / "drafting.json"
TEMPERATURE, LENGTH = 0.8, 64
AHEAD = (0, 1, 2, 3, 5)  # guesses before a check; 0 is one by one
PROMPTS = {
    "stories": (
        "Once upon a time there was a little fox who lived behind the mill",
        "Anna found an old key in the garden and showed it to her brother",
        "It was raining, and the children did not know what to play",
        "The baker's dog was never hungry, and everybody knew why",
        "One morning the sun did not rise, so the rooster went to look for it",
        "Tom wanted to build a boat that could fly",
        "Grandmother opened the big red box and smiled",
        "There was once a small star that was afraid of the night",
    ),
    "general": (
        "The history of paper begins in",
        "To bake a simple bread you need",
        "A bicycle stays upright because",
        "The three most important rules of writing a letter are",
        "Rivers flow from the mountains to the sea, and on their way they",
        "In economics, the price of a good is",
        "Dear Sir or Madam, I am writing to you because",
        "The best way to learn a language is",
    ),
}


def canvas_of(base: Process, prompt: str, length: int) -> Canvas:
    """A text that begins with a prompt, of `length` tokens more."""
    return Canvas.prompt(base.tokenizer, prompt, len(base.tokenizer.encode(prompt)) + length)


def written(base: Process, prompts, length: int, **how) -> dict:
    """What some texts cost, and of their guesses how many were kept, by place: after those before
    them were."""
    tokens = calls = 0
    tried: dict[int, list[int]] = {}
    texts, began = [], time.process_time()
    for seed, prompt in enumerate(prompts):
        for frame in generate(base, canvas_of(base, prompt, length), seed=seed, **how):
            for place, stands in enumerate(outcomes(frame, base.mask_id)):
                tried.setdefault(place, []).append(stands)
        tokens, calls = tokens + length, calls + frame.calls
        texts.append(frame.tokens[0])
    seconds = time.process_time() - began
    return dict(
        tokens=tokens,
        calls=calls,
        seconds=rounded(seconds),
        kept=[rounded(sum(each) / len(each)) for _, each in sorted(tried.items())],
        **kept("bits", bits(base, prompts, texts)),
    )


def outcomes(frame, mask_id: int) -> Iterator[int]:
    """Of each guess of a step that was looked at, whether it was kept."""
    if frame.drafts is None:
        return
    columns = (frame.drafts[0] != mask_id).nonzero()[:, 0].tolist()
    for column in columns:
        if not frame.changed[0, column]:
            return
        stands = int(frame.drafts[0, column] == frame.tokens[0, column])
        yield stands
        if not stands:
            return


@torch.no_grad()
def bits(base: Process, prompts, texts) -> uncertainty.Mean:
    """Bits a token of what stands behind the prompts, under the model itself."""
    found, counts = [], []
    for prompt, text in zip(prompts, texts):
        n = len(base.tokenizer.encode(prompt))
        canvas = Canvas(text[None], (torch.arange(len(text)) < n)[None])
        found.append(base.bound(canvas, None).item() / math.log(2))
        counts.append(len(text) - n)
    return uncertainty.mean(found, counts, consecutive=False)


def record(
    base: Process,
    drafter: Process,
    named: str,
    say: Callable[[str], None],
    path: Path = RECORDED,
    few: bool = False,
) -> dict:
    """Measure all of it and write it. few: toy sizes, nothing is found out."""
    how = dict(temperature=TEMPERATURE)
    length = 6 if few else LENGTH
    found: dict = {"base": named, "on": made_on(), "temperature": TEMPERATURE, "length": length}
    found |= {"threads": torch.get_num_threads(), "kinds": {}}
    for kind, prompts in PROMPTS.items():
        prompts = prompts[:1] if few else prompts
        rows = found["kinds"][kind] = {}
        written(base, prompts[:1], 2, sampler="left_to_right", **how)  # what is first is slower
        for check in ("yes", "no"):
            for ahead in AHEAD[check == "no" :]:
                say(f"{kind}, {ahead} ahead, check {check}")
                more = dict(sampler="speculative", ahead=ahead, check=check, drafter=drafter)
                one = dict(sampler="left_to_right")
                asked = how | (more if ahead else one)
                rows[f"{ahead}/{check}"] = written(base, prompts, length, **asked)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(found, indent=1) + "\n")
    return found


def read() -> dict:
    """What was measured; {} where nothing was."""
    return checkpoint.read_json(RECORDED)
