"""Left to right, one token after the other: the only order for an autoregressive network, one of
many for a masked one."""

import torch

from tinydiff.nets import Cache
from tinydiff.samplers import Step, hidden, sampler


@sampler(
    "left_to_right",
    needs={"prefix", "clock"},
    paper="arXiv:1706.03762",
    steps_matter=False,
    weighs=True,
    computes=lambda process, window: 1 if "cache" in process.traits else window,
)
def left_to_right(process, denoise, start, times, rng):
    """Write from left to right, one token a call; with a cache where the network has one."""
    x, canvas = start.x, start.canvas
    total = start.memory or int((~canvas.given).any(0).sum())
    columns = (hidden(x, process) & ~canvas.given).any(0).nonzero()[:, 0].tolist()
    cache = Cache() if "cache" in process.traits else None
    while columns:
        i, left = columns.pop(0), len(columns)
        # a causal network needs nothing beyond what it is to predict
        read = slice(None) if cache is None else slice(i + 1)
        first = 0 if cache is None else len(cache)
        prediction = denoise(
            x[:, read], canvas.time(when(process, left + 1, total))[:, read], cache
        )
        new = prediction.columns(i - first, i - first + 1).draw(rng)[:, 0]
        x = x.clone()
        x[:, i] = torch.where(canvas.given[:, i], canvas.tokens[:, i], new)
        sent = yield Step(x, prediction, left / total, first, memory=total)
        if sent is not None:
            x, canvas, cache = sent.x, sent.canvas, None if cache is None else Cache()
            columns = (hidden(x, process) & ~canvas.given).any(0).nonzero()[:, 0].tolist()


def when(process, left, total):
    """The time at which `left` of `total` tokens are masked, for networks that take the time."""
    return process.noise.schedule.time(torch.tensor(1 - left / total, dtype=torch.float64)).item()
