"""Classifier-free guidance: the prediction with a label, extrapolated away from the one without.

    (1 + w) log p(x_0 | x_t, label) - w log p(x_0 | x_t)

renormalised (LLaDA, arXiv:2502.09992, eq. 16, with the same weight; other papers' scale is 1 + w).
Nisonoff et al. (arXiv:2406.01572) mix rates and do not renormalise, which also changes how fast
text is revealed (arXiv:2507.08965). They find that it does better weak while most
is noise, and strong at the end: with `guidance_late` it grows evenly from 0 to 2 w.

Predictions of x_0 are mixed, whatever the noise. What the state says is in both of them and so
counts once, and every sampler fits. Over uniform noise one could also mix the log-posteriors of a
step, log p(x_s | x_t) (arXiv:2412.10193, section 4): that gives another text, which depends on the
length of the steps, and fits the ancestral sampler alone. For a text of one character, mixed
predictions sample exactly p(v | label)^(1 + w) p(v)^-w; for longer texts neither way has such a
distribution behind it, except at w = 0, the label as learned. Where the network predicts a mean
code (gaussian.py), the means are mixed.
"""

from tinydiff.guides import Annotated, Range, guide
from tinydiff.predictions import LOG_ZERO
from tinydiff.sentences import listed


def check(process, canvas, guidance, guidance_late):
    """Raises ValueError where the canvas has no label to guide to."""
    if guidance and canvas.label is None:
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
    asks=lambda guidance=0.0, guidance_late=0: 2 if guidance else 1,
)
def classifier_free(
    denoise,
    context,
    *,
    guidance: Annotated[
        float, Range(0, 20, "how strongly the label is followed, 0: as learned")
    ] = 0.0,
    guidance_late: Annotated[
        int,
        Range(0, 1, "1: guidance is weak at first and strong at the end, 0: the same throughout"),
    ] = 0,
):
    """Write more clearly what the label asks for: away from the prediction without it."""
    if guidance == 0:
        return denoise
    plain, process = context.unlabelled(), context.process

    def guided(x, t, cache=None):
        labelled, unlabelled = denoise(x, t, cache), plain(x, t, cache)
        w = guidance
        if guidance_late:  # from 0 to twice as much, so as much in the mean
            w = 2 * guidance * (1 - t.double().amax(1)[:, None, None])

        def mixed(with_label, without):
            return (1 + w) * with_label - w * without

        if process.mixes_raw:
            raw = mixed(labelled.raw, unlabelled.raw).to(labelled.raw.dtype)
            return process.predict(raw, x, t)
        log_x0 = mixed(labelled.log_x0.double(), unlabelled.log_x0.double())
        return labelled.with_log_x0(log_x0.log_softmax(-1).clamp_min(LOG_ZERO))

    return guided
