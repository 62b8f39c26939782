"""tinydiff: text diffusion that you can watch, in one notation.

    B batch   L tokens   V vocabulary   D width
    t in [0, 1]: 0 is clean text, 1 is pure noise; s < t.  One time axis everywhere: nets, losses,
              samplers, plots, the page
    alpha(t)  what is left of the text at time t; alpha(0) = 1, alpha(1) = floor > 0  (schedules.py)
    x_0 clean, x_t noised
    time is PER POSITION, shape (B, L): a position that is given (prompt, infill context, source)
              has t = 0

A family owns its mathematics (noises/ and processes/), a role owns the control flow (samplers/),
and `generate` turns any pair of them into Frames. Read text -> schedules -> noises -> nets ->
processes -> samplers -> guides -> generate; imports only point left in that line.
"""

from tinydiff.text import Canvas, Tokenizer, corpus
from tinydiff.schedules import SCHEDULES, schedule
from tinydiff.processes import PROCESSES, Prediction, Process
from tinydiff.samplers import SAMPLERS, Range, Step, column, matrix, sampler
from tinydiff.guides import GUIDES, guide
from tinydiff.generate import Frame, generate
from tinydiff.train.loop import PRESETS, Config, Progress, train
from tinydiff.store.catalogue import load
from tinydiff import rewrite

__all__ = [
    "load",
    "generate",
    "rewrite",
    "train",
    "Canvas",
    "Tokenizer",
    "corpus",
    "Frame",
    "Config",
    "PRESETS",
    "Progress",
    "PROCESSES",
    "Process",
    "Prediction",
    "SAMPLERS",
    "Range",
    "Step",
    "sampler",
    "column",
    "GUIDES",
    "guide",
    "matrix",
    "SCHEDULES",
    "schedule",
]
