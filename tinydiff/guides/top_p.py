"""Top-p: of each prediction the nucleus is kept (Holtzman et al., arXiv:1904.09751)."""

import torch

from tinydiff.guides import Annotated, Range, apart, guide, joined
from tinydiff.predictions import LOG_ZERO


@guide("top_p", stage="cut", paper="arXiv:1904.09751")
def top_p(
    denoise,
    context,
    *,
    top_p: Annotated[
        float,
        Range(1e-6, 1, "the share of probability that is kept, 1: every token has its chance"),
    ] = 1.0,
):
    """Keep only the fewest characters that have this share of probability together.

    It is the share by what the rest of the text says; what the state says is added afterwards. If
    it were counted too, the character that stands there would always be in the nucleus: a nucleus
    of 0.5 then let through a third of what it should have cut.
    """

    def cut(x, t, cache=None):
        prediction = denoise(x, t, cache)
        rest, state = apart(prediction, x, t, context.process)
        log_p, order = rest.log_softmax(-1).sort(-1, descending=True)
        before = log_p.exp().cumsum(-1) - log_p.exp()
        kept = torch.where(before < top_p, log_p, LOG_ZERO)
        return joined(prediction, torch.empty_like(kept).scatter_(-1, order, kept), state)

    return denoise if top_p == 1 else cut
