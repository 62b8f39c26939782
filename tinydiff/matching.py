"""A prediction that is made to match an automaton: a regular language, imposed on a factorised bet
exactly, by dynamic programming over the automaton's states.

    beta_L(q)  = [q accepts]
    beta_i(q)  = sum over v of p_i(v) beta_{i+1}(q v)               P(match) = beta_0(start)
    draw       from q take v with probability p_i(v) beta_{i+1}(q v) / beta_i(q)

p_i(v) is what the network predicts of position i, whatever the noise is, so nothing here knows
masks from embeddings. The draw is a joint one: all its positions together match, and so do those
that a sampler keeps with those that this draw would have put beside them. What a token leads to
matters, not which it is, and the edges between states are far fewer than tokens. The loops over
positions are NumPy's, whose calls take a fifth of the time of torch's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tinydiff.predictions import LOG_ZERO, Prediction, certain
from tinydiff.randomness import MANY, Rng, inverse
from tinydiff.text.automata import Automaton

# log of what every token of an open position has at the least: a later prediction may not rule out
# what an earlier text needs (top-p, temperature 0 and exact zeros of ratios do)
FLOOR = -69.0
LOW = -1e300  # in the place of the largest of nothing


class Edges:
    """The edges between an automaton's states, sorted by the state that they leave.

    source, target: (E,) states
    takes:          (E, G) 1 where the tokens of a group take an edge
    out:            (Q, most) the edges that leave each state, E where there are fewer
    """

    def __init__(self, automaton: Automaton, device: torch.device):
        moves = automaton.moves
        self.states, groups = moves.shape
        source, group = np.nonzero(moves >= 0)
        code = source * self.states + moves[source, group]
        codes, edge = np.unique(code, return_inverse=True)
        self.E = len(codes)
        self.source, self.target = codes // self.states, codes % self.states
        takes = np.zeros((self.E, groups))
        takes[edge.reshape(-1), group] = 1
        self.takes = torch.as_tensor(takes, device=device)
        self.member = torch.as_tensor(np.eye(groups)[automaton.group], device=device)  # (V, G)
        self.group_of = torch.as_tensor(automaton.group, device=device)
        self.leave, self.reach = (Runs(of, self.states) for of in (self.source, self.target))
        counts = np.bincount(self.source, minlength=self.states)
        within = np.arange(self.E) - np.repeat(counts.cumsum() - counts, counts)
        self.out = np.full((self.states, max(1, counts.max(initial=0))), self.E)
        self.out[self.source, within] = np.arange(self.E)

    def each(self, bet: Tensor) -> Tensor:
        """The log-probability of each edge, (n, E) float64, from those of each token, (n, V)."""
        grouped = (bet.exp() @ self.member.to(bet.dtype)).double()
        return (grouped @ self.takes.T).log()

    def likeliest(self, bet: Tensor) -> Tensor:
        """The log-probability of the likeliest token of each edge, (n, E)."""
        best = bet.new_full((len(bet), self.takes.shape[1]), -torch.inf, dtype=torch.float64)
        best.scatter_reduce_(1, self.group_of.expand_as(bet), bet.double(), "amax")
        return torch.stack([best[:, row > 0].amax(1) for row in self.takes], -1)

    def back(self, each: np.ndarray, end: np.ndarray, together) -> np.ndarray:
        """The messages from the right, (B, L + 1, Q), for `end` (B, Q) at the end; `together` joins
        the edges that leave a state."""
        found = np.empty((each.shape[0], each.shape[1] + 1, self.states))
        found[:, -1] = end
        for i in reversed(range(each.shape[1])):
            found[:, i] = together(each[:, i] + found[:, i + 1][:, self.target], self.leave)
        return found

    def onwards(self, each: np.ndarray, begin: np.ndarray) -> np.ndarray:
        """The messages from the left, (B, L, Q), for states `begin` (B,)."""
        found = np.full((each.shape[0], each.shape[1], self.states), -np.inf)
        np.put_along_axis(found[:, 0], begin[:, None], 0.0, 1)
        for i in range(each.shape[1] - 1):
            found[:, i + 1] = log_sum(each[:, i] + found[:, i][:, self.source], self.reach)
        return found


class Runs:
    """Values (E,) that belong to states `of` (E,), to be reduced to one a state."""

    def __init__(self, of: np.ndarray, states: int):
        order = np.argsort(of, kind="stable")
        self.states = states
        self.order = slice(None) if (np.diff(of) >= 0).all() else order
        self.there, self.start = np.unique(of[order], return_index=True)
        self.again = np.searchsorted(self.there, of[order])

    def spread(self, x: np.ndarray) -> np.ndarray:
        """x of the states that are there, (B, ...), as one of all, (B, states)."""
        if len(self.there) == self.states:
            return x
        found = np.full((len(x), self.states), -np.inf)
        found[:, self.there] = x
        return found


def log_sum(x: np.ndarray, runs: Runs) -> np.ndarray:
    """log of the sum of exp(x), x (B, E), of each state, (B, states); to be called where NumPy says
    nothing of log 0."""
    x = x[:, runs.order]
    top = np.maximum(np.maximum.reduceat(x, runs.start, 1), LOW)
    sums = np.add.reduceat(np.exp(x - top[:, runs.again]), runs.start, 1)
    return runs.spread(np.log(sums) + top)


def log_max(x: np.ndarray, runs: Runs) -> np.ndarray:
    """The largest of x (B, E) of each state, (B, states)."""
    return runs.spread(np.maximum.reduceat(x[:, runs.order], runs.start, 1))


class Matching(Prediction):
    """A prediction whose texts all match.

    before:    the prediction without that, whose log_x0 (B, L, V) is the bet
    x, fixed:  (B, L) tokens, and which of them are there for good
    begin:     (B,) the automaton's states before the first column
    end:       (B, Q) bool: from which states a text can be finished behind the last one
    log_match: (B,) float64, log P(match) of a text drawn from the bet
    """

    def __init__(
        self,
        before: Prediction,
        x: Tensor,
        fixed: Tensor,
        edges: Edges,
        begin: np.ndarray,
        end: np.ndarray,
    ):
        super().__init__(before.log_x0, before.raw)
        self.shift = before.shift
        self.before, self.edges, self.begin = before, edges, begin
        self.x, self.open = x, ~fixed
        bet = before.log_x0[self.open]
        self.bet = (bet if bet.shape[-1] > MANY else bet.double()).clamp_min(FLOOR)
        with np.errstate(divide="ignore"):
            self.end = np.log(end.astype(float))
            self.each = self.along_text(edges.each(self.bet))
            self.right = edges.back(self.each, self.end, log_sum)
        self.log_match = self.begun(self.right)
        self.conditional: Tensor | None = None

    def along_text(self, each: Tensor) -> np.ndarray:
        """Of each edge at each position, (B, L, E), from those at the open ones, (n, E); the edges
        that a fixed token takes are certain."""
        taken = self.edges.takes.T.log()  # (G, E)
        found = taken.new_empty(*self.x.shape, self.edges.E)
        found[self.open] = each
        found[~self.open] = taken[self.edges.group_of[self.x[~self.open]]]
        return found.cpu().numpy()

    def begun(self, right: np.ndarray) -> Tensor:
        """The message from the right at the state before the first column, (B,)."""
        return torch.as_tensor(right[np.arange(len(self.begin)), 0, self.begin])

    def log_match_with(self, evidence: Tensor) -> Tensor:
        """log P(match) when more is known, (B,): evidence is a log-likelihood of each token of each
        position, (B, L, V), up to a constant."""
        each = self.edges.each((self.bet + evidence[self.open]).log_softmax(-1))
        with np.errstate(divide="ignore"):
            return self.begun(self.edges.back(self.along_text(each), self.end, log_sum))

    @property
    def log_x0(self) -> Tensor:
        """log p(x_0_i = v | x_t, match), (B, L, V), of each position by itself."""
        if self.conditional is None:
            self.conditional = self.marginal()
        return self.conditional

    @log_x0.setter
    def log_x0(self, value: Tensor) -> None:
        self.given = value

    def marginal(self) -> Tensor:
        edges = self.edges
        with np.errstate(divide="ignore"):
            left = edges.onwards(self.each, self.begin)
            # what each edge is worth beside its own probability
            worth = left[..., edges.source] + self.right[:, 1:][..., edges.target]
            top = np.maximum(worth.max(-1, keepdims=True), LOW)
            share = torch.as_tensor(np.exp(worth - top)).to(edges.takes.device)
        top = (torch.as_tensor(top) - self.log_match[:, None, None]).to(share)
        grouped = (share[self.open] @ edges.takes).log() + top[self.open]
        made = grouped.to(self.bet.dtype)[:, edges.group_of].add_(self.bet)
        found = certain(self.x, made.shape[-1]).to(self.given.dtype)
        found[self.open] = made.clamp_(LOG_ZERO, 0).to(found.dtype)
        return found

    def draw(self, rng: Rng) -> Tensor:
        if self.drawn is None:
            B, L, _ = self.each.shape
            turn, which = (
                rng.uniform(B, L, 1, purpose=purpose, dtype=torch.float64)
                for purpose in ("pattern", "x0")
            )
            turn, which = turn[..., 0].cpu().numpy(), which.to(self.bet.device)
            taken = self.along(self.each, self.right, lambda i, s: inverted(s, turn[:, i]))
            drawn = inverse(self.spelling(taken), which[self.open])
            self.drawn = self.x.masked_scatter(self.open, drawn)
        return self.drawn

    def best(self) -> Tensor:
        """The likeliest text that matches, (B, L) (Viterbi)."""
        each = self.along_text(self.edges.likeliest(self.bet))
        right = self.edges.back(each, self.end, log_max)
        taken = self.along(each, right, lambda i, scores: scores.argmax(1))
        return self.x.masked_scatter(self.open, self.spelling(taken).argmax(-1))

    def along(self, each: np.ndarray, right: np.ndarray, choose) -> np.ndarray:
        """The edges of a text, (B, L), chosen from left to right: choose(i, scores (B, n)) says
        which of those that leave the state where the text is."""
        edges, state, rows = self.edges, self.begin, np.arange(len(self.begin))
        taken = np.empty(each.shape[:2], np.int64)
        scores = np.full((*each.shape[:2], edges.E + 1), -np.inf)
        scores[..., :-1] = each + right[:, 1:][..., edges.target]
        for i in range(each.shape[1]):
            out = edges.out[state]
            taken[:, i] = out[rows, choose(i, scores[rows[:, None], i, out])]
            state = edges.target[taken[:, i]]
        return taken

    def spelling(self, taken: np.ndarray) -> Tensor:
        """The bet on the tokens of edges (B, L), LOG_ZERO for all others, at open positions, (n,
        V)."""
        edges = self.edges
        allowed = edges.takes.new_zeros(edges.takes.shape).masked_fill(edges.takes == 0, LOG_ZERO)
        here = torch.as_tensor(taken, device=allowed.device)[self.open]
        return allowed.to(self.bet.dtype)[here][:, edges.group_of].add_(self.bet)

    def anew(self) -> Matching:
        new = object.__new__(type(self))
        new.__dict__ = {**self.__dict__, "drawn": None, "averaged": None}
        return new

    def with_log_x0(self, log_x0: Tensor) -> Prediction:
        """A prediction that need not match: who changes what is likely stands outside."""
        return Prediction(log_x0, self.raw)

    def rows(self, rows: Tensor) -> Matching:
        new, of = self.anew(), rows.cpu().numpy()
        place = torch.zeros_like(self.x).masked_scatter(
            self.open, torch.arange(len(self.bet), device=self.x.device)
        )
        new.x, new.open = self.x[rows], self.open[rows]
        new.before, new.raw = self.before.rows(rows), self.raw[rows]
        new.bet = self.bet[place[rows][new.open]]
        new.shift = None if self.shift is None else self.shift[rows]
        new.given, new.log_match = self.given[rows], self.log_match[rows.cpu()]
        new.begin, new.end = self.begin[of], self.end[of]
        new.each, new.right = self.each[of], self.right[of]
        new.conditional = None if self.conditional is None else self.conditional[rows]
        return new

    def columns(self, start: int, stop: int) -> Columns:
        return Columns(self, start, stop)


def inverted(log_p: np.ndarray, u: np.ndarray) -> np.ndarray:
    """A category for each row of log-probabilities (n, k), up to a constant, by numbers u (n,) in
    [0, 1)."""
    sums = np.exp(log_p - log_p.max(1, keepdims=True)).cumsum(1, dtype=np.float64)
    return (u[:, None] * sums[:, -1:] >= sums).sum(1).clip(max=log_p.shape[1] - 1)


class Columns(Prediction):
    """Columns start .. stop of a Matching: what is drawn of them can be completed."""

    def __init__(self, whole: Matching, start: int, stop: int):
        self.whole, self.here = whole, slice(start, stop)
        super().__init__(whole.log_x0[:, start:stop], whole.raw[:, start:stop])
        self.shift = None if whole.shift is None else whole.shift[:, start:stop]

    def draw(self, rng: Rng) -> Tensor:
        if self.drawn is None:
            self.drawn = self.whole.draw(rng)[:, self.here]
        return self.drawn

    def best(self) -> Tensor:
        return self.whole.best()[:, self.here]

    def columns(self, start: int, stop: int) -> Columns:
        return Columns(self.whole, self.here.start + start, self.here.start + stop)

    def anew(self) -> Columns:
        return Columns(self.whole.anew(), self.here.start, self.here.stop)
