"""A model that doubts itself: for each token of a text, would the model write it here, given all
the others? A small head on the frozen network says so for all tokens in one call (PRISM,
arXiv:2510.01384).

It is learned from the network's own guesses: of a noised text some masks are filled with draws from
the prediction, and the head tells right ones from wrong ones, so that in the limit

    doubt_i(y)  =  1 - p(x_0_i = y_i | the other tokens of y)

exactly for one guess at a time; with several the others are guesses too. `alone` asks the network
itself, with a mask in each place in turn: a call for each token, and the rival of the head.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinydiff.nets.transformer import Block, RMSNorm, rotation
from tinydiff.predictions import Prediction
from tinydiff.processes import Process
from tinydiff.randomness import Rng, rand, seeded

HEADS = 4  # of its attention
HIDDEN = 256  # numbers between what the network's layers say and the answer
FALSE_ALARMS = 0.05  # of right guesses, at which a report counts the wrong ones that are found
AT_ONCE = 32  # texts with a mask, in one call


class Head(nn.Module):
    """What all layers of a network say of each token, normalised, to a single number, by one layer
    of attention: a network of masks does not look at its other tokens to judge one that is
    written."""

    labels = 0

    def __init__(self, layers: int, width: int):
        super().__init__()
        self.up, self.block = nn.Linear(layers * width, HIDDEN), Block(HIDDEN, HEADS)
        self.norm, self.down = RMSNorm(HIDDEN), nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.down.weight)

    def forward(self, states: list[Tensor]) -> Tensor:
        seen = torch.cat([F.rms_norm(h.float(), h.shape[-1:]) for h in states], -1)
        places = torch.arange(seen.shape[1], device=seen.device)
        turn = rotation(places, HIDDEN // HEADS // 2)
        h = self.block(self.up(seen), turn, None, False, None)
        return self.down(self.norm(h))[..., 0]


class Doubt(Process):
    """The head, over masks, of a process that it is `taught_by`: it writes nothing and is no
    family, but it is trained, kept and opened as a process is."""

    unit = "a guess"

    def __init__(self, kind: type[Process], *args, **kwargs):
        self.over, self.name, self.title = kind.over, kind.name, "What a model doubts"
        self.paper, self.about, self.traits = "arXiv:2510.01384", "It doubts.", frozenset()
        super().__init__(*args, **kwargs)

    @classmethod
    def build(cls, kind: type[Process], tokenizer, schedule, **shape) -> Doubt:
        """An untrained one for a network of this shape. Raises ValueError for noise that is no
        mask."""
        if "mask" not in kind.over.traits:
            raise ValueError("Doubt is learned from filled masks: name a model of masks.")
        made = cls(kind, None, tokenizer, schedule, shape["length"])
        made.net = Head(shape["layers"], shape["width"])
        return made

    def network(self):
        raise TypeError("A head builds its own network.")

    def right(self, x: Tensor) -> Tensor:
        """The probability that the model would write each token of x where it stands, (B, L)."""
        return self.logits(x).sigmoid()

    def logits(self, x: Tensor) -> Tensor:
        return self.net(states(self.teacher, x))

    def loss(self, canvas, rng):
        """Cross-entropy of "is this guess right?" over the guesses of a row."""
        return self.nats(canvas, rng)[0] / canvas.given.shape[1]

    def bound(self, canvas, rng):
        return self.nats(canvas, rng)[0].double()

    def nats(self, canvas, rng: Rng) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Nats a guess of each row, and which tokens are guesses, which of them are right, and the
        logit of that, (B, L)."""
        noised = canvas.time(self.times(len(canvas.tokens), rng))
        x = self.noise.corrupt(canvas.tokens, noised, rng)
        with torch.no_grad():
            guess = self.teacher.denoise(x, noised).draw(rng)
        few = rng.uniform(len(x), 1, purpose="share").to(x.device).square()
        guessed = (x == self.mask_id) & (rand(x, rng, "guess") < few)
        logits = self.logits(torch.where(guessed, guess, x))
        right = guess == canvas.tokens
        nats = F.binary_cross_entropy_with_logits(logits, right.to(logits.dtype), reduction="none")
        mean = (nats * guessed).sum(1) / guessed.sum(1).clamp_min(1)
        return mean, guessed, right, logits

    def denoise(self, x, t, label=None, cache=None) -> Prediction:
        raise TypeError("A head that doubts writes nothing.")

    def predict(self, raw, x, t):
        raise TypeError("A head that doubts writes nothing.")

    @torch.no_grad()
    def report(self, canvases: Iterator) -> str:
        """How many wrong guesses it finds where it doubts FALSE_ALARMS of the right ones."""
        good, bad = [], []
        for n, canvas in enumerate(canvases):
            _, guessed, right, logits = self.nats(canvas, seeded(n))
            good.append(logits[guessed & right]), bad.append(logits[guessed & ~right])
        limit = torch.cat(good).quantile(FALSE_ALARMS)
        found = (torch.cat(bad) < limit).double().mean()
        return f"{found:.0%} of wrong guesses found, beside {FALSE_ALARMS:.0%} of right ones"


def states(process: Process, x: Tensor) -> list[Tensor]:
    """What each layer of a process's network says of a text without noise, layers of (B, L, width).
    Raises ValueError for a network that has no layers."""
    blocks = getattr(process.net, "blocks", None)
    if blocks is None:
        raise ValueError("This model's network has no layers to look into: name another model.")
    found: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda module, inputs, output: found.append(output))
        for block in blocks
    ]
    try:
        with torch.no_grad():
            process.net(x, torch.zeros(x.shape, device=x.device), None)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@torch.no_grad()
def alone(process: Process, x: Tensor) -> Tensor:
    """p(x_0_i = x_i | the other tokens) by the network's own bet, (B, L), a call for each."""
    B, L = x.shape
    found = torch.empty(B, L, dtype=torch.float64)
    for b in range(B):
        for place in torch.arange(L).split(AT_ONCE):
            texts, rows = x[b].repeat(len(place), 1), torch.arange(len(place))
            texts[rows, place] = process.mask_id
            t = (texts == process.mask_id).float() * 1e-3
            log_x0 = process.denoise(texts, t).log_x0
            found[b, place] = log_x0[rows, place].gather(-1, x[b, place][:, None])[:, 0].double()
    return found.exp()
