"""Top-k: of each prediction the k likeliest tokens are kept (Fan et al., arXiv:1805.04833)."""

from tinydiff.guides import Annotated, Range, apart, guide, joined
from tinydiff.predictions import LOG_ZERO


@guide("top_k", stage="cut", paper="arXiv:1805.04833")
def top_k(
    denoise,
    context,
    *,
    top_k: Annotated[int, Range(0, 1000, "how many of the likeliest tokens are kept, 0: all")] = 0,
):
    """Keep only the likeliest characters, this many of each prediction.

    They are the likeliest by what the rest of the text says, as with top-p; of equally likely ones
    those that stand first in the vocabulary.
    """

    def cut(x, t, cache=None):
        prediction = denoise(x, t, cache)
        rest, state = apart(prediction, x, t, context.process)
        order = rest.argsort(dim=-1, descending=True, stable=True)
        kept = rest.scatter(-1, order[..., int(top_k) :], LOG_ZERO)
        return joined(prediction, kept, state)

    return cut if 0 < top_k < context.process.V else denoise
