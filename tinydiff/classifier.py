"""A classifier of noised text: p(label | x_t) at any t, which steers a model that knows no labels.

    p(x_0_i = v | x_t, y)  ~  p(x_0_i = v | x_t)  p(y | x_t, x_0_i = v)                 (tokens)
    sqrt(alpha) E[e(x_0) | x_t, y]  =  sqrt(alpha) E[e(x_0) | x_t]
                                       + (1 - alpha) d log p(y | x_t) / d x_t           (numbers)

The first is Bayes' rule: where x_0_i is known, what noise made of it says nothing more, so the
state with v in its place, clean, is all that the classifier needs to see. Such a state has a time
of 0 at i, which a process knows anyway, as it gives its network a time for each position. L V texts
are read for it. Where each token speaks for itself (nets/evidence.py) their answers are known at
once; where they are too many, they are taken to first order in the network's input at i, by one
backward pass (Nisonoff et al., arXiv:2406.01572; Schiff et al., arXiv:2412.10193, section 4). The
second is Tweedie's formula, twice (Dhariwal & Nichol, arXiv:2105.05233, section 4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from tinydiff.nets import NETS
from tinydiff.noises import Noise
from tinydiff.processes import Process
from tinydiff.randomness import seeded

EXACT = 1 << 18  # tokens of all texts with one token changed: beyond, changes are of first order
AT_ONCE = 1 << 15  # of them, in one call
TIMES = (0.0, 0.5, 0.9)  # of a report


class Tells(ABC):
    """What tells labels of noised text: `log_p` alone, for every noise.

    noise: of the text that it reads; labels: the names of its classes
    """

    noise: Noise
    labels: tuple[str, ...]

    @abstractmethod
    def log_p(self, x: Tensor, t: Tensor) -> Tensor:
        """log p(label | x_t), (B, labels), of states x at times t (B, L)."""

    def log_of(self, x: Tensor, t: Tensor, label: int) -> Tensor:
        """log p(label | x_t), (B,)."""
        return self.log_p(x, t)[:, label]

    def log_changed(self, x: Tensor, t: Tensor, label: int, where: Tensor) -> Tensor:
        """log p(label | x_t, x_0_i = v), (N, V), of tokens x (B, L) at N positions i, `where` (B,
        L), up to a constant at each: exact where the texts that are read for it have EXACT tokens
        at the most."""
        (text, place), L, V = where.nonzero(as_tuple=True), x.shape[1], self.noise.V
        if len(text) * V * L > EXACT:
            return self.first_order(x, t, label, where)
        found = []
        for which in torch.arange(len(text) * V, device=x.device).split(max(1, AT_ONCE // L)):
            texts, times = (part[text[which // V]] for part in (x, t))
            rows, here = torch.arange(len(which), device=x.device), place[which // V]
            texts[rows, here], times[rows, here] = which % V, 0.0
            found.append(self.log_of(texts, times, label).double())
        return torch.cat(found).view(-1, V) if found else torch.zeros(0, V)

    def first_order(self, x: Tensor, t: Tensor, label: int, where: Tensor) -> Tensor:
        """`log_changed` to first order in what the network reads."""
        raise TypeError("This classifier has no network whose input could be changed.")

    def pull(self, x: Tensor, t: Tensor, label: int) -> Tensor:
        """d log p(label | x_t) / d x_t, (B, L, D), of numbers x."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.log_of(x, t, label).sum(), x)
        return gradient


class Classifier(Process, Tells):
    """A network that tells labels, on the noise of a process that it is to steer. It writes nothing
    and is no family, but it is trained, kept and opened as a process is.

    kind: the process whose noise it knows
    """

    unit = "a text"

    def __init__(self, kind: type[Process], *args, **kwargs):
        self.over, self.name, self.title = kind.over, kind.name, f"Classifier of {kind.title}"
        self.paper, self.about, self.traits = "arXiv:2105.05233", "It tells labels.", frozenset()
        super().__init__(*args, **kwargs)

    @classmethod
    def build(
        cls,
        kind: type[Process],
        tokenizer,
        schedule,
        *,
        labels: int,
        attributes: int = 1,
        tied: bool = False,
        network: str = "transformer",
        **shape,
    ) -> Classifier:
        """An untrained one of so many labels; other arguments as `processes.build` has them."""
        made = cls(kind, None, tokenizer, schedule, shape["length"])
        reals, timed = "reals" in kind.over.traits, "mask" not in kind.over.traits
        inputs = made.noise.D if reals else made.V + (not timed)
        made.net = NETS[network](inputs=inputs, outputs=labels, reals=reals, timed=timed, **shape)
        return made

    def network(self):
        raise TypeError("A classifier builds its own network.")

    def log_p(self, x, t):
        """A softmax over each attribute's labels, of logits that are the mean over the text."""
        said = self.net(x, t).mean(1)
        return torch.cat([part.log_softmax(1) for part in said.split(self.sizes, 1)], 1)

    @property
    def sizes(self) -> list[int]:
        """How many labels each attribute has."""
        return [len(values) for values in self.attributes.values()]

    def log_changed(self, x, t, label, where):
        if not hasattr(self.net, "changed"):
            return super().log_changed(x, t, label, where)
        with torch.no_grad():
            said, first = self.net.changed(x, t, self.V, where), 0
            for size in self.sizes:
                if first <= label < first + size:
                    break
                first += size
            return said[label] - said[first : first + size].logsumexp(0)

    def first_order(self, x, t, label, where):
        return self.slope(x, t, label)[where] @ self.net.embed.weight[: self.V].T

    def slope(self, x: Tensor, t: Tensor, label: int) -> Tensor:
        """The derivative of log p(label | x_t) by what the network reads at each position, (B, L,
        width)."""
        seen: list[Tensor] = []

        def keep(module, inputs, output):
            seen.append(output.detach().requires_grad_())
            return seen[0]

        hook = self.net.embed.register_forward_hook(keep)
        try:
            with torch.enable_grad():
                (gradient,) = torch.autograd.grad(self.log_of(x, t, label).sum(), seen)
        finally:
            hook.remove()
        return gradient

    def loss(self, canvas, rng):
        """Cross-entropy of the labels of noised text, all times alike."""
        t = canvas.time(self.times(len(canvas.tokens), rng))
        return self.nats(canvas, t, rng) / canvas.given.shape[1]

    def bound(self, canvas, rng):
        """`loss`, at times that are uniform."""
        t = rng.uniform(len(canvas.tokens), purpose="time").to(self.device)
        return self.nats(canvas, canvas.time(t), rng).double()

    def nats(self, canvas, t: Tensor, rng) -> Tensor:
        log_p = self.log_p(self.noise.corrupt(canvas.tokens, t, rng), t)
        return -log_p.gather(1, canvas.label.reshape(len(log_p), -1)).sum(1)

    def denoise(self, x, t, label=None, cache=None):
        raise TypeError("A classifier writes nothing.")

    def predict(self, raw, x, t):
        raise TypeError("A classifier writes nothing.")

    @torch.no_grad()
    def report(self, canvases: Iterator) -> str:
        """The share of texts whose label is the likeliest, at each of TIMES, in words."""
        right, texts = dict.fromkeys(TIMES, 0), 0
        for canvas in canvases:
            for time in TIMES:
                t = canvas.time(time)
                log_p = self.log_p(self.noise.corrupt(canvas.tokens, t, seeded(texts)), t)
                label = canvas.label.reshape(len(log_p), -1)
                first = 0
                for k, values in enumerate(self.attributes.values()):
                    best = first + log_p[:, first : first + len(values)].argmax(1)
                    right[time] += (best == label[:, k]).sum().item() / len(self.attributes)
                    first += len(values)
            texts += len(canvas.tokens)
        return ", ".join(f"{n / texts:.0%} told right at t = {time:g}" for time, n in right.items())
