"""BLEU and chrF of texts, as sacrebleu counts them (Post 2018), with their errors over sentences.

chrF (Popovic 2015): the F-score, recall twice as heavy, of the characters' n-grams up to 6, the
mean over texts. Whole, as a corpus has it, the counts are added before. BLEU (Papineni et al. 2002)
is of the whole alone; its error is the jackknife's, each text left out once. Both from 0 to 100;
where a source has several truths, a text may be like any of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from tinydiff import uncertainty
from tinydiff.uncertainty import Mean

Truths = Sequence[Sequence[str]]  # the truths of each text
ORDER = 4  # of BLEU's longest n-grams, in words


def library():
    """sacrebleu's metrics. Raises ValueError where it is not installed."""
    try:
        from sacrebleu import metrics
    except ImportError:
        raise ValueError(
            "BLEU and chrF are counted by the library sacrebleu: pip install sacrebleu."
        ) from None
    return metrics


def is_there() -> bool:
    """Is the library installed?"""
    try:
        return bool(library())
    except ValueError:
        return False


def chrf_each(texts: Sequence[str], truths: Truths) -> list[float]:
    """chrF of each text."""
    metric = library().CHRF()
    return [metric.sentence_score(text, list(some)).score for text, some in zip(texts, truths)]


def chrf_whole(texts: Sequence[str], truths: Truths) -> float:
    """chrF of all texts as one corpus."""
    return library().CHRF().corpus_score(list(texts), list(zip_longest(*truths))).score


def mean(each: Sequence[float]) -> Mean:
    """The mean over texts, each drawn by itself."""
    return uncertainty.mean(each, [1] * len(each), consecutive=False)


def bleu(texts: Sequence[str], truths: Truths) -> Mean:
    """BLEU of all texts as one corpus."""
    metric = library().BLEU(effective_order=True)
    scores = [metric.sentence_score(text, list(some)) for text, some in zip(texts, truths)]
    counted = torch.tensor(
        [[*one.counts, *one.totals, one.sys_len, one.ref_len] for one in scores],
        dtype=torch.float64,
    )
    whole, n = counted.sum(0), len(texts)
    value = bleu_of(whole[None])[0].item()
    if n < 2:
        return Mean(value, None)
    without = bleu_of(whole - counted)
    return Mean(value, ((n - 1) / n * (without - without.mean()).square().sum()).sqrt().item())


def bleu_of(counted: Tensor) -> Tensor:
    """BLEU from what was counted of each of N corpora, (N, 2 ORDER + 2): n-grams that are right,
    n-grams, words, words of the truths. Where an order has none that is right, the k-th of them
    counts as 1 / 2^k right, as sacrebleu has it; 0 where an order has none at all."""
    right, total, words, true = counted.split([ORDER, ORDER, 1, 1], 1)
    missing = right == 0
    right = torch.where(missing, 0.5 ** missing.cumsum(1), right)
    precision = (right / total.clamp_min(1)).log().mean(1)
    brevity = (1 - true / words.clamp_min(1)).clamp_max(0)[:, 0]
    found = 100 * (precision + brevity).exp()
    return torch.where((total > 0).all(1) & (counted[:, :ORDER] > 0).any(1), found, 0.0)


def alike(texts: Sequence[str]) -> float:
    """How alike texts are, the mean chrF of each pair."""
    metric = library().CHRF()
    pairs = [(one, other) for i, one in enumerate(texts) for other in texts[:i]]
    found = (metric.sentence_score(one, [other]).score for one, other in pairs)
    return math.fsum(found) / max(1, len(pairs))
