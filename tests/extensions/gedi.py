"""GeDi (Krause et al., arXiv:2009.06367): a model that was learned with labels is a classifier by
Bayes' rule, p(y | x_0_i = v, x_t) ~ p(x_0_i = v | x_t, y), all labels being as likely before. It
weighs the bet of any model on the same noise, which may know no labels itself."""

from typing import Annotated

import torch

from tinydiff.guides import Model, Range, Words, guide
from tinydiff.predictions import LOG_ZERO
from tinydiff.processes import Process
from tinydiff.sentences import brief, listed


def check(process, canvas, expert, kind, heard):
    """The expert reads what the sampler writes, and knows the label."""
    if expert.over is not process.over:
        raise ValueError(
            f"The expert '{expert.name}' was not learned on the noise of '{process.name}': "
            f"name one on '{process.over.name}'."
        )
    if kind not in expert.labels:
        known = listed(expert.labels) or "none"
        raise ValueError(f"kind is {brief(kind)}; the expert knows the labels {known}.")


@guide(
    "gedi",
    stage="classifier",
    paper="arXiv:2009.06367",
    check=lambda process, canvas, expert=None, **how: (
        check(process, canvas, expert, **how) if expert else None
    ),
    asks=lambda expert=None, **_: 2 if expert else 1,
)
def gedi(
    denoise,
    context,
    *,
    expert: Annotated[Process | None, Model("a model with labels that weighs the bet")] = None,
    kind: Annotated[str, Words(60, "the label that it is to find")] = "",
    heard: Annotated[float, Range(0, 20, "how much it is heard")] = 1.0,
):
    """Write what another model takes for text of a kind."""
    if expert is None:
        return denoise
    wanted, labels = expert.labels.index(kind), range(len(expert.labels))

    def guided(x, t, cache=None):
        prediction = denoise(x, t, cache)
        said = [expert.denoise(x, t, torch.full_like(x[:, 0], y)).log_x0 for y in labels]
        said = torch.stack(said).double()[:, :, -prediction.log_x0.shape[1] :].log_softmax(0)
        log_x0 = (prediction.log_x0.double() + heard * said[wanted]).log_softmax(-1)
        return prediction.with_log_x0(log_x0.clamp_min(LOG_ZERO))

    return guided
