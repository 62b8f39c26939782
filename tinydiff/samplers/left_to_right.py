"""Writing order: one character after the other. The only way for an autoregressive network, one of
many for a masked one."""

import torch

from tinydiff.nets import Cache
from tinydiff.processes import draw
from tinydiff.samplers import Step, sampler


@sampler("left_to_right", needs={"prefix"}, paper="arXiv:1706.03762", steps_matter=False)
def left_to_right(process, denoise, canvas, times, rng):
    """Write from left to right, one character a call; with a cache where the network has one."""
    x = process.prior(canvas, rng)
    cache = Cache() if "cache" in process.traits else None
    columns = (~canvas.given).any(0).nonzero()[:, 0].tolist()
    # the times at which as much is masked, for networks that are told it
    moments = process.schedule.time(
        torch.arange(len(columns), dtype=torch.float64) / len(columns)
    ).tolist()
    for k, (i, t) in enumerate(zip(columns, moments)):
        first = 0 if cache is None else len(cache)
        # a causal network needs nothing beyond what it is to predict
        read = slice(None) if cache is None else slice(i + 1)
        prediction = denoise(x[:, read], canvas.time(t)[:, read], cache)
        new = draw(prediction.log_x0[:, i - first], rng)
        x = x.clone()
        x[:, i] = torch.where(canvas.given[:, i], canvas.tokens[:, i], new)
        yield Step(x, prediction, 1 - (k + 1) / len(columns), first)
