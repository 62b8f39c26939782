"""Classifier guidance (Dhariwal and Nichol, arXiv:2105.05233): log p(x_0 | x_t, y) is log p(x_0 |
x_t) + w log p(y | x_0). The classifier here looks for one character."""

import torch

from tinydiff.guides import Annotated, Range, Words, guide
from tinydiff.predictions import LOG_ZERO


@guide("favour", stage="classifier", paper="arXiv:2105.05233")
def favour(
    denoise,
    context,
    *,
    favoured: Annotated[str, Words(8, "characters that a classifier looks for")] = "",
    weight: Annotated[float, Range(0, 20, "how much it is heard")] = 1.0,
):
    """Write more of the characters that are named."""
    pieces = context.process.tokenizer.pieces
    score = torch.tensor([float(any(c in favoured for c in piece)) for piece in pieces])

    def guided(x, t, cache=None):
        prediction = denoise(x, t, cache)
        log_x0 = (prediction.log_x0.double() + weight * score).log_softmax(-1)
        return prediction.with_log_x0(log_x0.clamp_min(LOG_ZERO))

    return guided if favoured else denoise
