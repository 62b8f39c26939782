"""Top-k: of each prediction the k likeliest tokens are kept (Fan et al., arXiv:1805.04833)."""

from tinydiff.guides import Annotated, Range, guide, reweighed
from tinydiff.predictions import LOG_ZERO


@guide("top_k", stage="cut", paper="arXiv:1805.04833")
def top_k(
    denoise,
    context,
    *,
    top_k: Annotated[int, Range(0, 1000, "how many of the likeliest tokens are kept, 0: all")] = 0,
):
    """Keep only the likeliest tokens, this many of each prediction.

    They are the likeliest by what the rest of the text says, as with top-p; of equally likely ones
    those that stand first in the vocabulary.
    """

    def likeliest(rest):
        order = rest.argsort(dim=-1, descending=True, stable=True)
        return rest.scatter(-1, order[..., int(top_k) :], LOG_ZERO)

    def cut(x, t, cache=None):
        return reweighed(denoise(x, t, cache), x, t, context.process, likeliest)

    return cut if 0 < top_k < context.process.V else denoise
