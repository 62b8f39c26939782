"""Top-p: of each prediction the nucleus is kept (Holtzman et al., arXiv:1904.09751)."""

import numpy as np
import torch
from torch import Tensor

from tinydiff.guides import Annotated, Range, guide, reweighed
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
    """Keep only the fewest tokens that have this share of probability together, and those that
    are as likely as the last of them.

    It is the share by what the rest of the text says; what the state says is added afterwards. If
    it were counted too, the token that stands there would always be in the nucleus: a nucleus
    of 0.5 then let through a third of what it should have cut.
    """

    def nucleus(rest):
        log_p = rest.log_softmax(-1)
        return log_p.masked_fill(log_p < least_kept(log_p, top_p), LOG_ZERO)

    def cut(x, t, cache=None):
        return reweighed(denoise(x, t, cache), x, t, context.process, nucleus)

    return denoise if top_p == 1 else cut


def least_kept(log_p: Tensor, share: float) -> Tensor:
    """The least log-probability that is in the nucleus of each row (n, V), (n, 1). Sorted by NumPy,
    which takes a tenth of the time that torch takes on a CPU."""
    values = torch.from_numpy(np.sort(log_p.detach().cpu().numpy(), -1)).flip(-1).to(log_p.device)
    before = values.exp().cumsum(-1) - values.exp()
    return values.masked_fill(before >= share, 0.0).amin(-1, keepdim=True)
