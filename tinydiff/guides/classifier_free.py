"""Classifier-free guidance: the bet with a label, carried on away from the bet without one.

    (1 + w) log p(x_0 | x_t, label) - w log p(x_0 | x_t)

renormalised (LLaDA, arXiv:2502.09992, eq. 16, with the same weight; others' scale is 1 + w).
Nisonoff et al. (arXiv:2406.01572) mix rates and do not renormalise, which also changes how fast
text is revealed (arXiv:2507.08965).

Bets are mixed, whatever the noise. What the state says is in both and so counts once, and every
sampler serves. Over uniform noise the other choice is to mix the log-posteriors of a step,
log p(x_s | x_t) (arXiv:2412.10193, section 4): that writes another text, which depends on the
length of the steps, and serves the ancestral sampler alone. Of one character, mixed bets write
exactly p(v | label)^(1 + w) p(v)^-w; of more there is no such distribution behind either way,
except at w = 0, which is the label as learned. Where a network says a mean code in the place of a
bet (gaussian.py), the means are mixed.
"""

from tinydiff.guides import Annotated, Range, guide
from tinydiff.predictions import LOG_ZERO
from tinydiff.sentences import listed


def check(process, canvas, guidance):
    """Without a label there is nothing to guide to."""
    if canvas.label is None:
        raise ValueError(
            f"guidance is {guidance:g}, but the text has no label to be guided to: name one of "
            f"{listed(process.labels)}."
        )


@guide(
    "classifier_free",
    stage="label",
    needs={"labels"},
    paper="arXiv:2207.12598",
    check=check,
    asks=lambda guidance=0.0: 2 if guidance else 1,
)
def classifier_free(
    denoise,
    context,
    *,
    guidance: Annotated[
        float, Range(0, 20, "how strongly the label is followed, 0: as learned")
    ] = 0.0,
):
    """Write more clearly what the label asks for: away from what the network says without it."""
    if guidance == 0:
        return denoise
    plain, process = context.unlabelled(), context.process

    def mixed(labelled, unlabelled):
        return (1 + guidance) * labelled - guidance * unlabelled

    def guided(x, t, cache=None):
        labelled, unlabelled = denoise(x, t, cache), plain(x, t, cache)
        if process.mixes_raw:
            return process.predict(mixed(labelled.raw, unlabelled.raw), x, t)
        log_x0 = mixed(labelled.log_x0.double(), unlabelled.log_x0.double())
        return labelled.with_log_x0(log_x0.log_softmax(-1).clamp_min(LOG_ZERO))

    return guided
