"""Classifier guidance: another network says what the text will be, and the prediction is weighed by
it. The one that writes need not know any label.

Tokens: Bayes' rule for each token at each position (classifier.py), whatever the noise, so that
rules, temperature and every sampler go on from there. Numbers: the mean code is moved along the
gradient, once a step. Weight 1 is the true conditional, in the limit of many steps, where the
classifier is right; there is no distribution behind another weight.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tinydiff.classifier import Tells
from tinydiff.guides import Annotated, Model, Range, Steered, Words, guide
from tinydiff.noises.gaussian import LEAST
from tinydiff.predictions import LOG_ZERO
from tinydiff.randomness import MANY
from tinydiff.sentences import brief, listed

RATE = 0.1  # of Adagrad's steps, as Diffusion-LM has it


def check(process, canvas, classifier, aim, push, pushes):
    """Raises ValueError where the classifier reads another noise than the process's, other codes,
    or does not know the label."""
    if classifier is None:
        wished = f"aim is {brief(aim)}" if aim else "push and pushes say how a classifier is heard"
        raise ValueError(f"{wished}, but no classifier is named: name one, or leave it out.")
    if not isinstance(classifier, Tells):
        raise ValueError(
            f"The classifier '{getattr(classifier, 'name', '?')}' writes text and tells no labels: "
            "name one that was trained with --classifier."
        )
    if type(classifier.noise) is not type(process.noise):
        raise ValueError(
            f"The classifier knows the noise {classifier.noise.name!r}, and this model undoes "
            f"{process.noise.name!r}: name one that was trained for it."
        )
    if "reals" in process.traits and not near(classifier.noise.codes(), process.noise.codes()):
        raise ValueError(
            "The classifier knows other codes of the tokens than this model: name one that was "
            "trained for it."
        )
    if aim not in classifier.labels:
        raise ValueError(
            f"aim is {brief(aim)}; the classifier knows the labels {listed(classifier.labels)}."
        )
    if pushes > 1 and "reals" not in process.traits:
        raise ValueError(
            f"pushes is {pushes}, which is for real-valued noise, and this model's is of tokens: "
            "leave it out."
        )


def near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), atol=1e-2)


@guide("classifier", stage="classifier", needs={"diffusion"}, paper="arXiv:2412.10193", check=check)
def classifier(
    denoise,
    context,
    *,
    classifier: Annotated[
        Tells | None, Model("a network that tells labels of noised text, trained for this model")
    ] = None,
    aim: Annotated[str, Words(60, "the label that the classifier is to find in the text")] = "",
    push: Annotated[
        float, Range(0, 50, "how strongly the classifier is heard, 1: as probabilities say")
    ] = 1.0,
    pushes: Annotated[
        int,
        Range(1, 10, "steps along the gradient a step, of real-valued noise, 1: by the formula"),
    ] = 1,
):
    """Write what a classifier takes for text of a label."""
    if classifier is None or push == 0:
        return denoise
    label, process = classifier.labels.index(aim), context.process

    def told(x, t, cache=None):
        prediction = denoise(x, t, cache)
        n = prediction.log_x0.shape[1]
        open_ = t > 0 if "prefix" not in process.traits else x == process.mask_id
        if "reals" in process.traits:
            if pushes > 1:
                return prediction
            alpha = process.noise.alpha(t)[..., None]
            shift = push * (1 - alpha) / alpha.clamp_min(LEAST).sqrt()
            shift = (shift * classifier.pull(x, t, label))[:, -n:]
            return prediction.shifted(torch.where(open_[:, -n:, None], shift, 0))
        open_[:, :-n] = False  # with a cache only the last columns are asked
        log_x0, here = prediction.log_x0, open_[:, -n:]
        log_x0 = log_x0.clone() if log_x0.shape[-1] > MANY else log_x0.to(torch.float64, copy=True)
        more = classifier.log_changed(x, t, label, open_).to(log_x0.dtype)
        log_x0[here] = (log_x0[here] + push * more).log_softmax(-1).clamp_min(LOG_ZERO)
        return prediction.with_log_x0(log_x0)

    def pulled(x, t, step):
        """Diffusion-LM's control (arXiv:2205.14217, section 5.1): Adagrad's steps on the new state,
        along the classifier and towards where the step led."""
        noise, canvas = process.noise, step.canvas or context.canvas
        new, total = step.x, torch.zeros_like(step.x)
        at = canvas.time(step.t)
        if step.t <= 0:
            return step.x
        wide = (1 - noise.alpha(at))[..., None].clamp_min(LEAST)
        for _ in range(pushes):
            along = push * classifier.pull(new, at, label) - (new - step.x) / wide
            total = total + along.square()
            new = new + RATE * along / (total.sqrt() + LEAST)
        return noise.pin(new.to(step.x.dtype), canvas)

    several = "reals" in process.traits and pushes > 1
    return Steered(told, pulled if several else None)
