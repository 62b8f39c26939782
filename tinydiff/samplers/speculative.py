"""Drafts and checks (Leviathan et al., arXiv:2211.17192; Chen et al., arXiv:2302.01318): somebody
guesses the next tokens, and the network that would have written them one by one reads all of them
at once. What is kept has exactly the law of its own texts, however poor the guesses; they only
decide how many tokens a call yields.

    d_i ~ q_i, given all before it:  kept with min(1, p_i(d_i) / q_i(d_i)), else x_i ~ (p_i - q_i)+

    d_i from anywhere:               x_i ~ p_i, and it is kept if it is d_i

Behind the first guess that is not kept all others are dropped; behind the last one, if all are, one
token more is drawn. The rows of a batch go on together: where the guess of one is not kept, those
of the others that are stay as their tokens, and what is behind is guessed anew.
"""

import torch
from torch import Tensor

from tinydiff.nets.ahead import DRAFT, READ, TELL, Ahead
from tinydiff.predictions import LOG_ZERO, Prediction
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
    x, canvas, cache, L = start.x, start.canvas, Ahead(ahead), start.x.shape[1]
    total = start.memory or int((~canvas.given).any(0).sum())
    if start.memory is not None:
        read_again(denoise, x, canvas, cache, first_open(x, canvas, process))
    while (k := first_open(x, canvas, process)) < L:
        time, read = canvas.time(1.0), len(cache)
        m = min(ahead, L - 1 - k) if read else 0  # the first look reads what is given
        cache.drafts, laws = guesses(denoise, x, time, canvas, cache, k, m, rng)
        drafts, x, said = cache.drafts, x.clone(), []
        for i in range(m + 1):
            column, cache.task, rng.turn = k + i, TELL if i else READ, i
            said.append(denoise(x[:, : column + 1], time[:, : column + 1], cache))
            own = said[-1].columns(column - read if i == 0 else 0, column + 1)
            if i == m:
                token, kept = own.draw(rng)[:, 0], torch.tensor(False)
            elif check == YES_NO[0]:
                token, kept = checked(own, drafts[:, i], laws[:, i], rng)
            else:
                token, kept = drafts[:, i], torch.tensor(True)
            given = canvas.given[:, column]
            x[:, column] = torch.where(given, canvas.tokens[:, column], token)
            if not (kept | given).all():
                break
        rng.turn = 0
        cache.settle(column + 1)
        left = int((~canvas.given[:, column + 1 :]).any(0).sum())
        guessed = torch.full_like(x, process.mask_id)
        guessed[:, k : k + m] = drafts
        sent = yield Step(x, together(said), left / total, read, memory=total, drafts=guessed)
        if sent is not None and not torch.equal(sent.x, x):
            x, canvas, cache = sent.x, sent.canvas, Ahead(ahead)
            read_again(denoise, x, canvas, cache, first_open(x, canvas, process))


def first_open(x: Tensor, canvas, process) -> int:
    """The first column in which something is open; the text's length where nothing is."""
    columns = (hidden(x, process) & ~canvas.given).any(0).nonzero()[:, 0]
    return int(columns[0]) if len(columns) else x.shape[1]


def read_again(denoise, x: Tensor, canvas, cache: Ahead, k: int) -> None:
    """Read the first k tokens of a text that was begun elsewhere."""
    if k:
        denoise(x[:, :k], canvas.time(1.0)[:, :k], cache)
        cache.settle(k)


def guesses(denoise, x, time, canvas, cache, k: int, m: int, rng) -> tuple[Tensor, Tensor | None]:
    """Guesses for columns k .. k + m - 1, (B, m), and the laws that they were drawn from, (B, m, V)
    as log-probabilities. Whoever drafts says of how many columns at once; what is given there is
    its guess."""
    x, laws = x[:, : k + m].clone(), []
    cache.task = DRAFT
    while len(laws) < m:
        rng.turn = len(laws)
        law = denoise(x, time[:, : k + m], cache).log_x0
        here = slice(k + len(laws), k + len(laws) + law.shape[1])
        # each by itself: of texts that a rule draws jointly nobody knows the law of each token
        drawn = categorical(law, rng, "draft")
        x[:, here] = torch.where(canvas.given[:, here], canvas.tokens[:, here], drawn)
        laws += law.unbind(1)
    return x[:, k:], torch.stack(laws, 1) if laws else None


def together(said: list[Prediction]) -> Prediction:
    """The predictions of columns one behind the other as one."""
    parts = ([one.log_x0 for one in said], [one.raw for one in said])
    return said[0] if len(said) == 1 else Prediction(*(torch.cat(part, 1) for part in parts))


def checked(own: Prediction, draft: Tensor, law: Tensor, rng) -> tuple[Tensor, Tensor]:
    """The token of each row, as `own`, a prediction of one column, draws it, and whether it is the
    draft (B,), which was drawn from `law` (B, V), log-probabilities.

    A prediction that draws by rules of its own is left to draw: its token is the draft as often as
    it would have been anyway, which is right for a draft from anywhere.
    """
    if type(own) is not Prediction:
        token = own.draw(rng)[:, 0]
        return token, token == draft
    p, q = (part.double().softmax(-1) for part in (own.log_x0[:, 0], law))
    share = p.gather(1, draft[:, None]) / q.gather(1, draft[:, None])
    kept = rand(share, rng, "check").double() < share
    rest = (p - q).clamp_min(0)
    rest = torch.where(rest.sum(-1, keepdim=True) > 0, rest, p)
    other = categorical(rest.log().clamp_min(LOG_ZERO), rng, "other")
    return torch.where(kept[:, 0], draft, other), kept[:, 0]
