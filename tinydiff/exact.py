"""Languages whose probabilities are known, and their perfect networks.

A perfect network answers what Bayes' rule says, p(x_0_i | x_t), from the process's own
`likelihood`. With it in the place of a trained one, every error that is left is the sampler's, and
every bound must equal the language's entropy. Three languages:

    Enumerated   a handful of strings with known probabilities; for tests
    Markov       a chain of characters, any length; forward-backward, L V^2 operations a call; for
                 tests and for the page
    Mixture      one of several chains, drawn once a text: every character tells which it is, so
                 that the first is of use to the last; for claims about long memory
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tinydiff.classifier import Tells
from tinydiff.files import write_text
from tinydiff.noises import Noise
from tinydiff.processes import PROCESSES, Process
from tinydiff.randomness import categorical, seeded
from tinydiff.schedules import Schedule
from tinydiff.text import Characters, Tokenizer

ENTROPY_TEXTS = 20_000  # whose mean stands for an entropy that has no closed form


class Language(ABC):
    """A distribution over texts that is known exactly. All probabilities float64, natural
    logarithms."""

    tokenizer: Tokenizer

    @abstractmethod
    def sample(self, batch: int, length: int, rng: torch.Generator) -> Tensor:
        """Texts, (B, L) int64."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) of texts (B, L), (B,)."""

    @abstractmethod
    def entropy(self, length: int) -> float:
        """Nats of a text of this length."""

    @abstractmethod
    def posterior(self, log_likelihood: Tensor) -> Tensor:
        """log p(x_0_i = v | x_t), (B, L, V), from log q(x_t_i | x_0_i = v), (B, L, V)."""

    @abstractmethod
    def following(self, x: Tensor) -> Tensor:
        """log p(x_i = v | x_1 .. x_{i-1}), (B, L, V). Undefined where the past holds the
        mask id."""


class Enumerated(Language):
    """A language of a few strings.

    strings:       all of the same number of tokens
    probabilities: one for each string, up to a common factor
    tokenizer:     by default the characters that occur in the strings
    """

    def __init__(
        self, strings: list[str], probabilities: list[float], tokenizer: Tokenizer | None = None
    ):
        self.tokenizer = tokenizer or Characters.of("".join(strings))
        self.strings = torch.stack([self.tokenizer.encode(s) for s in strings])  # (N, L)
        self.log_p = torch.tensor(probabilities, dtype=torch.float64).log().log_softmax(0)  # (N,)

    def sample(self, batch, length, rng):
        return self.strings[categorical(self.log_p.expand(batch, -1), rng)]

    def log_prob(self, x):
        same = (x[:, None] == self.strings).all(-1)
        return torch.where(same, self.log_p, -torch.inf).logsumexp(-1)

    def entropy(self, length):
        return -(self.log_p.exp() * self.log_p).sum().item()

    def posterior(self, log_likelihood):
        strings = self.strings.T[: log_likelihood.shape[1]]
        # (B, L, N)
        each = log_likelihood.double().gather(2, strings.expand(len(log_likelihood), -1, -1))
        return self.mix(each.sum(1, keepdim=True), each.shape[1])

    def following(self, x):
        # (B, L, N)
        right = torch.where(x[..., None] == self.strings.T[: x.shape[1]], 0.0, -1e9).double()
        return self.mix(right.cumsum(1) - right, x.shape[1])

    def mix(self, log_weight: Tensor, length: int) -> Tensor:
        """log p(x_0_i = v) (B, L, V), from log-weights of the strings at each of `length` positions
        or, (B, 1, N), at all of them; the strings' prior is added here."""
        p = (log_weight + self.log_p).softmax(-1).expand(-1, length, -1)
        # (L, N, V)
        onehot = torch.nn.functional.one_hot(self.strings.T[:length], len(self.tokenizer)).double()
        return torch.einsum("bln,lnv->blv", p, onehot).clamp_min(1e-300).log()


class Markov(Language):
    """p(x) = start(x_1) times the product of step(x_{i+1} | x_i).

    start (V,) and step (V, V) are probabilities; rows of step sum to one.
    """

    def __init__(self, tokenizer: Tokenizer, start: Tensor, step: Tensor):
        self.tokenizer, self.start, self.step = tokenizer, start.double(), step.double()

    @classmethod
    def of(cls, ids: Tensor, tokenizer: Tokenizer, smoothing: float = 0.01) -> Markov:
        """The bigram chain of a corpus (N,), started in its stationary frequencies. `smoothing` is
        added to every count, so that no text is impossible.
        """
        V = len(tokenizer)
        counts = (
            torch.bincount(ids[:-1] * V + ids[1:], minlength=V * V).view(V, V).double() + smoothing
        )
        step = counts / counts.sum(1, keepdim=True)
        start = torch.full((V,), 1 / V, dtype=torch.float64)
        for _ in range(500):
            start = start @ step
        return cls(tokenizer, start, step)

    @classmethod
    def load(cls, folder: str | Path) -> Markov:
        """The language that `save` wrote."""
        tokenizer = Characters(
            json.loads((Path(folder) / "config.json").read_text("utf-8"))["characters"]
        )
        return cls(tokenizer, **load_file(Path(folder) / "model.safetensors"))

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors, as a checkpoint is written."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_file({"start": self.start, "step": self.step}, Path(folder) / "model.safetensors")
        write_text(
            Path(folder) / "config.json",
            json.dumps({"characters": self.tokenizer.characters}, ensure_ascii=False),
        )

    def sample(self, batch, length, rng):
        x = [categorical(self.start.log().expand(batch, -1), rng)]
        for _ in range(length - 1):
            x.append(categorical(self.step[x[-1]].log(), rng))
        return torch.stack(x, 1)

    def log_prob(self, x):
        return self.start.log()[x[:, 0]] + self.step.log()[x[:, :-1], x[:, 1:]].sum(1)

    def entropy(self, length):
        first = -(self.start * self.start.log()).nansum()
        later, total = -(self.step * self.step.log()).nansum(1), self.start
        for _ in range(length - 1):
            first, total = first + total @ later, total @ self.step
        return first.item()

    def posterior(self, log_likelihood):
        """Forward-backward (Rabiner 1989), with every message normalised."""
        # L times (B, V)
        seen = (log_likelihood.double() - log_likelihood.amax(-1, keepdim=True)).exp().unbind(1)
        forward, backward = [self.start.expand(len(seen[0]), -1)], [torch.ones_like(seen[0])]
        for here in seen[:-1]:
            forward.append(normal((forward[-1] * here) @ self.step))
        for here in reversed(seen[1:]):
            backward.append(normal((backward[-1] * here) @ self.step.T))
        p = torch.stack([f * b * s for f, b, s in zip(forward, reversed(backward), seen)], 1)
        return normal(p).clamp_min(1e-300).log()

    def following(self, x):
        past = x[:, :-1].clamp_max(len(self.tokenizer) - 1)
        return (
            torch.cat([self.start.expand(len(x), 1, -1), self.step[past]], 1)
            .clamp_min(1e-300)
            .log()
        )

    def evidence(self, log_likelihood: Tensor) -> Tensor:
        """log of the sum over all texts x of p(x) times the product of q(x_t_i | x_i), (B,), from
        log q (B, L, V): the forward half of `posterior`, with what its messages were divided by."""
        most = log_likelihood.double().amax(-1)  # (B, L)
        seen = (log_likelihood.double() - most[..., None]).exp().unbind(1)
        forward, total = self.start.expand(len(most), -1), most.sum(1)
        for here in seen:
            mass = (forward * here).sum(-1, keepdim=True)
            total = total + mass[:, 0].log()
            forward = (forward * here / mass) @ self.step
        return total


class Mixture(Language):
    """One of several chains, drawn once a text, writes all of it: p(x) = sum over k of w_k p_k(x).

    chains: Markov languages of one tokenizer, in which no text is impossible
    shares: w_k, up to a common factor; by default all alike

    Raises ValueError for no chain, for chains of several tokenizers, and for other shares than one
    above 0 for each.
    """

    def __init__(self, chains: Sequence[Markov], shares: Sequence[float] | None = None):
        shares = [1.0] * len(chains) if shares is None else shares
        if not chains or any(one.tokenizer != chains[0].tokenizer for one in chains):
            raise ValueError("A mixture is made of chains over one tokenizer: give at least one.")
        if len(shares) != len(chains) or min(shares) <= 0:
            raise ValueError("A mixture needs a share above 0 for each of its chains.")
        self.chains, self.tokenizer = list(chains), chains[0].tokenizer
        self.log_w = torch.tensor(shares, dtype=torch.float64).log().log_softmax(0)  # (K,)

    def sample(self, batch, length, rng):
        which = categorical(self.log_w.expand(batch, -1), rng)
        written = torch.stack([one.sample(batch, length, rng) for one in self.chains])
        return written[which, torch.arange(batch)]

    def log_prob(self, x):
        each = torch.stack([one.log_prob(x) for one in self.chains], -1)  # (B, K)
        return (self.log_w + each).logsumexp(-1)

    def entropy(self, length):
        """By the mean over texts, the same at every call; its standard error is a few hundredths of
        a nat for 64 characters."""
        return -self.log_prob(self.sample(ENTROPY_TEXTS, length, seeded(0))).mean().item()

    def posterior(self, log_likelihood):
        """Of each chain, weighed by how likely it makes all that is seen."""
        weight = torch.stack([one.evidence(log_likelihood) for one in self.chains])  # (K, B)
        weight = (self.log_w[:, None] + weight).log_softmax(0)
        each = torch.stack([one.posterior(log_likelihood) for one in self.chains])
        return (weight[..., None, None] + each).logsumexp(0)

    def following(self, x):
        """Of each chain, weighed by how likely it makes the past."""
        each = torch.stack([one.following(x) for one in self.chains])  # (K, B, L, V)
        known = x.clamp_max(len(self.tokenizer) - 1)[..., None]
        told = each.gather(-1, known.expand(len(each), *known.shape))[..., 0]
        weight = self.log_w[:, None, None] + told.cumsum(-1) - told
        return (weight.log_softmax(0)[..., None] + each).logsumexp(0)


def normal(p: Tensor) -> Tensor:
    return p / p.sum(-1, keepdim=True)


class PerfectNetwork(nn.Module):
    """Takes the place of a trained network. answer(x, t) -> (B, n, outputs) is Bayes' rule;
    answer_seen(x, t, mask, places) is the same where each query sees only some of the keys."""

    labels = 0

    def __init__(self, answer, answer_seen=None):
        super().__init__()
        self.answer, self.answer_seen = answer, answer_seen

    def forward(self, x, t, label=None, *, mask=None, cache=None, places=None):
        n = x.shape[1]
        if cache is not None:  # what it has read is all it remembers
            x = cache.extend(0, x[:, None, :, None], x[:, None, :, None])[0][:, 0, :, 0]
        with torch.autocast(
            x.device.type, enabled=False
        ):  # it is exact, whatever others compute in
            if mask is not None:
                return self.answer_seen(
                    x, t, mask, torch.arange(x.shape[1]) if places is None else places
                )
            return self.answer(x, t)[:, -n:]


def seen(language: Language, log_likelihood: Tensor, mask: Tensor, places: Tensor) -> Tensor:
    """log p(x_0 at each query's place | the keys that the query sees), (B, n, V), from log q(key |
    x_0 at its place = v), (B, m, V), mask (n, m) bool, and the places (m,) of the keys, of which
    the last n are the queries'. A place may have several keys, or none that is seen."""
    at = torch.nn.functional.one_hot(places).double()  # (m, L)
    # queries that see the same keys are answered together
    rows, group = mask.unique(dim=0, return_inverse=True)
    evidence = torch.einsum("rk,kl,bkv->brlv", rows.double(), at, log_likelihood.double())
    answer = language.posterior(evidence.flatten(0, 1)).view(evidence.shape)
    return answer[:, group, places[-len(mask) :]]


def perfect(
    name: str, language: Language, schedule: Schedule | None = None, **options: str
) -> Process:
    """The process `name` with the perfect network of a language; it writes texts of any length."""
    schedule = schedule or PROCESSES[name].over.schedule_of()
    process = PROCESSES[name](None, language.tokenizer, schedule, None, options)
    process.net = PerfectNetwork(
        lambda x, t: process.perfect(language, x, t),
        lambda x, t, mask, places: seen(language, process.noise.likelihood(x, t), mask, places),
    )
    return process.eval()


@torch.no_grad()
def information(process: Process, t: Tensor, draws: int = 128, of: Tensor | None = None) -> Tensor:
    """The mutual information between a character and its own state at rising times t (N,), nats,
    (N,):

        I(x_0_i ; x_t_i) = log V + E[ log p(x_0_i | x_t_i) ]

    with all characters equally likely. A Monte Carlo estimate over `draws` of each character, or of
    each of those in `of` (n,) where there are too many for that, with the same random numbers at
    every time; since the information cannot rise with t, the estimate is made never to rise.
    """
    x0 = (torch.arange(process.V) if of is None else of).repeat(1, draws)
    known = []
    for time in t.tolist():
        at = torch.full(x0.shape, time, dtype=torch.float64)
        log_p = process.noise.likelihood(process.noise.corrupt(x0, at, seeded(0)), at).log_softmax(
            -1
        )
        known.append(math.log(process.V) + log_p.gather(-1, x0[..., None]).double().mean())
    return torch.stack(known).clamp_min(0).cummin(0).values


def bigram_divergence(samples: Tensor, language: Markov) -> float:
    """How far texts are from a Markov language, nats a character.

    The Kullback-Leibler divergence of the samples' transitions from those of the chain,

        sum over pairs (a, b) of q(a, b) log( q(b | a) / step(b | a) ),

    with q the frequencies of neighbouring characters in `samples` (B, L), which hold no masks. If
    the samples come from a Markov chain themselves, it is the rate of evidence by which an observer
    who knows both chains distinguishes them from true texts. The plug-in estimate is biased upwards
    by about (pairs seen - characters seen) / (2 N) for N pairs, for true samples too: compare it
    with the estimate on as many characters of `language.sample`. Never below 0.
    """
    V = len(language.tokenizer)
    counts = (
        torch.bincount((samples[:, :-1] * V + samples[:, 1:]).flatten(), minlength=V * V)
        .view(V, V)
        .double()
    )
    follows = counts / counts.sum(1, keepdim=True).clamp_min(1)
    ratio = torch.where(counts > 0, follows / language.step, 1.0).log()
    return ((counts * ratio).sum() / counts.sum()).item()


class Told(Tells):
    """The perfect classifier of an enumerated language: p(label | x_t) by Bayes' rule.

    label_of: the number of each string's label
    """

    def __init__(
        self, language: Enumerated, label_of: Sequence[int], labels: Sequence[str], noise: Noise
    ):
        self.language, self.noise, self.labels = language, noise, tuple(labels)
        self.tokenizer, self.label_of = language.tokenizer, torch.tensor(label_of)

    def log_p(self, x, t):
        strings = self.language.strings.T[: x.shape[1]]
        each = self.noise.likelihood(x, t).double().gather(2, strings.expand(len(x), -1, -1))
        each = each.sum(1) + self.language.log_p
        parts = [each[:, self.label_of == k].logsumexp(1) for k in range(len(self.labels))]
        return torch.stack(parts, 1).log_softmax(1)
