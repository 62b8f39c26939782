"""A GPU for the page's runs, where the machine has one; of the rest of the page nothing knows about
it.

On a ZeroGPU Space the package `spaces` is there: a function that it decorates runs in a process of
its own, to which a GPU is lent until it ends. Its arguments and what it yields travel there and
back, so these are a model, a canvas, settings and Frames, all of them on the CPU. Elsewhere the
decorator is not there, or does nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

from tinydiff.frames import Frame
from tinydiff.generate import generate as here
from tinydiff.processes import Process
from tinydiff.text import Canvas

try:
    from spaces import GPU as lent
except ImportError:

    def lent(function):
        return function


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def generate(process: Process, canvas: Canvas, **settings) -> Iterator[Frame]:
    """`tinydiff.generate`, on the GPU where there is one. A perfect network is a computation
    without weights and stays here."""
    trained = next(process.parameters(), None) is not None
    if trained and device() != "cpu":
        return there(process, canvas, settings)
    return here(process, canvas, **settings)


@lent
def there(process: Process, canvas: Canvas, settings: dict) -> Iterator[Frame]:
    """The same with a copy of the model: the page's own stays on the CPU, where the judge and the
    plots look for it."""
    yield from here(copy.deepcopy(process).to(device()), canvas, **settings)
