"""A pattern, as an automaton: no token stands beside its like. Draws, the best and the mean of a
prediction obey it, whatever the noise: forward filtering and backward sampling over a chain."""

import torch

from tinydiff.guides import Annotated, Range, guide
from tinydiff.predictions import Prediction, certain
from tinydiff.randomness import categorical

NO = -1e6


class Chained(Prediction):
    """A prediction whose text is a path that the automaton allows.

    log_p: (B, n, V) of every position from the beginning of the text, of which the prediction's own
    are the columns from `first` on.
    """

    def __init__(self, prediction, log_p, first):
        super().__init__(prediction.log_x0, prediction.raw)
        self.log_p, self.first = log_p.double(), first
        V = log_p.shape[-1]
        self.step = torch.where(torch.eye(V, dtype=torch.bool), NO, 0.0).double()
        self.path = None

    def own(self, x):
        return x[:, self.first : self.first + self.log_x0.shape[1]]

    def messages(self, total):
        """What the positions to the right say, (B, n, V); total is logsumexp or the maximum."""
        said = [torch.zeros_like(self.log_p[:, 0])]
        for here in self.log_p.flip(1).unbind(1)[:-1]:
            said.append(total((here + said[-1])[:, None] + self.step, -1))
        return torch.stack(said[::-1], 1)

    def follow(self, choose, total):
        messages, path = self.messages(total), []
        for i, here in enumerate((self.log_p + messages).unbind(1)):
            path.append(choose(here if i == 0 else here + self.step[path[-1]]))
        return torch.stack(path, 1)

    def draw(self, rng):
        if self.drawn is None:
            if self.path is None:
                self.path = self.follow(lambda log_p: categorical(log_p, rng), torch.logsumexp)
            self.drawn = self.own(self.path)
        return self.drawn

    def best(self):
        return self.own(self.follow(lambda p: p.argmax(-1), lambda p, d: p.amax(d)))

    def mean_over(self, codes):
        forward = [torch.zeros_like(self.log_p[:, 0])]
        for here in self.log_p.unbind(1)[:-1]:
            forward.append(torch.logsumexp((here + forward[-1])[:, None] + self.step, -1))
        total = torch.stack(forward, 1) + self.log_p + self.messages(torch.logsumexp)
        return self.own(total.softmax(-1)).to(codes.dtype) @ codes

    def columns(self, start, stop):
        new = super().columns(start, stop)
        new.first = self.first + start
        return new


@guide("no_doubles", stage="pattern", paper="arXiv:2005.00770")
def no_doubles(
    denoise,
    context,
    *,
    no_doubles: Annotated[int, Range(0, 1, "1: no token stands beside its like")] = 0,
):
    """Let no two neighbours be the same."""
    process = context.process

    def obeying(x, t, cache=None):
        prediction = denoise(x, t, cache)
        n, m = x.shape[1], prediction.log_x0.shape[1]
        log_p = prediction.log_x0
        if m < n:  # only the last columns were asked: what stands before them stands
            log_p = torch.cat([certain(x[:, : n - m], process.V), log_p], 1)
        return Chained(prediction, log_p, n - m)

    return obeying if no_doubles else denoise
