"""Drafts and checks (Leviathan et al., arXiv:2211.17192; Chen et al., arXiv:2302.01318): somebody
guesses the next tokens, and the network that would have written them one by one reads all of them
at once. What is kept has exactly the law of its own texts, however poor the guesses; they only
decide how many tokens a call yields.

    d_i ~ q_i, given all before it:  kept with min(1, p_i(d_i) / q_i(d_i)), else x_i ~ (p_i - q_i)+

Behind the first guess that is not kept all others are dropped; behind the last one, if all are, one
token more is drawn. The rows of a batch go on together: where the guess of one is not kept, those
of the others that are stay as their tokens, and what is behind is guessed anew.
"""

import torch
from torch import Tensor

from tinydiff.nets.ahead import Ahead
from tinydiff.predictions import LOG_ZERO
from tinydiff.processes import YES_NO
from tinydiff.randomness import categorical, rand
from tinydiff.samplers import Annotated, Choice, Range, Step, hidden, sampler


@sampler(
    "speculative",
    needs={"causal", "cache"},
    paper="arXiv:2302.01318",
    steps_matter=False,
    keeps="those that stand the check",
    computes=lambda process, window, ahead=4, check=YES_NO[0]: ahead + 1,
)
def speculative(
    process,
    denoise,
    start,
    times,
    rng,
    *,
    ahead: Annotated[int, Range(0, 15, "tokens that are guessed before each check")] = 4,
    check: Annotated[
        str, Choice(lambda process: YES_NO, "no keeps every guess as it is, right or wrong")
    ] = YES_NO[0],
):
    """Guess several tokens ahead, by a drafter or from what stood in the text before, and check all
    of them in one call."""
    x, canvas, cache, L = start.x, start.canvas, Ahead(), start.x.shape[1]
    total = start.memory or int((~canvas.given).any(0).sum())
    while (k := first_open(x, canvas, process)) < L:
        time, m, read = canvas.time(1.0), min(ahead, L - 1 - k), len(cache)
        drafts, laws = guesses(denoise, x, time, canvas, cache, k, m, rng)
        cache.drafts = drafts
        prediction = denoise(x[:, : k + m + 1], time[:, : k + m + 1], cache)
        own, x, known = prediction.log_x0[:, k - read :], x.clone(), k
        for i in range(m + 1):
            if i < m:
                token, kept = checked(own[:, i], drafts[:, i], laws[:, i], rng)
                if check != YES_NO[0]:
                    token, kept = drafts[:, i], torch.ones_like(kept)
            else:
                token, kept = categorical(own[:, i], rng), torch.tensor(False)
            given = canvas.given[:, known]
            x[:, known] = torch.where(given, canvas.tokens[:, known], token)
            known += 1
            if not (kept | given).all():
                break
        cache.settle(known)
        left = int((~canvas.given[:, known:]).any(0).sum())
        sent = yield Step(x, prediction, left / total, read, memory=total)
        if sent is not None:
            x, canvas, cache = sent.x, sent.canvas, Ahead()


def first_open(x: Tensor, canvas, process) -> int:
    """The first column in which something is open; the text's length where nothing is."""
    columns = (hidden(x, process) & ~canvas.given).any(0).nonzero()[:, 0]
    return int(columns[0]) if len(columns) else x.shape[1]


def guesses(denoise, x, time, canvas, cache, k: int, m: int, rng) -> tuple[Tensor, Tensor | None]:
    """Guesses for columns k .. k + m - 1, (B, m), and the laws that they were drawn from, (B, m, V)
    as log-probabilities. Whoever drafts says of how many columns at once; what is given there is
    its guess."""
    x, laws = x[:, : k + m].clone(), []
    cache.drafting = True
    while len(laws) < m:
        prediction = denoise(x, time[:, : k + m], cache)
        n = prediction.log_x0.shape[1]
        here = slice(k + len(laws), k + len(laws) + n)
        drawn = prediction.draw(rng)
        x[:, here] = torch.where(canvas.given[:, here], canvas.tokens[:, here], drawn)
        laws += prediction.log_x0.unbind(1)
    cache.drafting = False
    return x[:, k:], torch.stack(laws, 1) if laws else None


def checked(own: Tensor, draft: Tensor, law: Tensor, rng) -> tuple[Tensor, Tensor]:
    """The token of each row, which has the law `own` (B, V), and whether it is the draft (B,) that
    was kept, drawn from `law`; both are log-probabilities."""
    p, q, place = own.double().softmax(-1), law.double().softmax(-1), draft[:, None]
    share = p.gather(1, place) / q.gather(1, place)
    kept = rand(share, rng, "check").double() < share
    rest = (p - q).clamp_min(0)
    rest = torch.where(rest.sum(-1, keepdim=True) > 0, rest, p)
    other = categorical(rest.log().clamp_min(LOG_ZERO), rng, "other")
    return torch.where(kept[:, 0], draft, other), kept[:, 0]
