"""Drafts of a frozen language model, which it checks itself: what an adapter (nets/adapter.py)
learns.

Behind an anchor e the model has drawn token e from what it knows; M positions follow, each a token
or a mask, t a share of masks for each block. Position e + i says token e + i:

    everything to its right is hidden:  KL(p(x_j | x_<j) || q), the model's own law as the target
    something there is known:           -log q(x_j)

The model's law is right, and costs nothing, only where nothing to the right is visible: over texts
its mean is then the law given what is. The head, which knows all tokens to the left, learns the
same there.
"""

from __future__ import annotations

import copy
import hashlib

import torch
import torch.nn.functional as F
from torch import Tensor

from tinydiff.nets import Cache
from tinydiff.nets.adapter import Adapter
from tinydiff.nets.causal import Causal
from tinydiff.noises.mask import Mask
from tinydiff.predictions import Prediction
from tinydiff.processes import Process
from tinydiff.randomness import Rng, rand, seeded
from tinydiff.text import Tokenizer

RANK, HIDDEN = 8, 512
ANCHORS, MASKS = 10, 5  # of a text, and behind each
ALL = 0.5  # share of blocks of nothing but masks


class Vocabulary:
    """The tokens of a base, by their number and a hash of what each of them spells: equal to every
    tokenizer that has the same."""

    def __init__(self, size: int, digest: str):
        self.size, self.digest = size, digest

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Vocabulary:
        return cls(len(tokenizer), digest_of(tokenizer))

    def __len__(self) -> int:
        return self.size

    @property
    def mask_id(self) -> int:
        return self.size

    def files(self) -> dict[str, bytes]:
        return {}

    def __eq__(self, other: object) -> bool:
        mine, theirs = (
            (len(one), one.digest if isinstance(one, Vocabulary) else digest_of(one))
            if isinstance(one, Vocabulary | Tokenizer)
            else None
            for one in (self, other)
        )
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.size, self.digest))


def digest_of(tokenizer: Tokenizer) -> str:
    """A hash of what each token spells, 16 hexadecimal digits."""
    spelled = "\0".join(tokenizer.pieces).encode("utf-8", "surrogatepass")
    return hashlib.sha256(spelled).hexdigest()[:16]


class Drafts(Process):
    """An adapter beside the model that it is `taught_by`. It writes nothing itself and is no
    family, but it is trained, kept and opened as a process is."""

    unit = "a guess"

    def __init__(self, net: Adapter, tokenizer: Vocabulary | Tokenizer, masks: int = MASKS):
        self.over, self.name, self.title = Mask, "drafts", "Drafts of a language model"
        self.paper, self.about, self.traits = "arXiv:2507.11851", "It drafts.", frozenset()
        if isinstance(tokenizer, Tokenizer):
            tokenizer = Vocabulary.of(tokenizer)
        super().__init__(net, tokenizer, Mask.schedule_of(), None)
        self.masks = masks  # tokens that it learned to draft at once
        self.base = self.revision = ""  # of the model beside which it was trained

    def network(self):
        raise TypeError("An adapter builds its own network.")

    def taught_by(self, teacher):
        """Raises ValueError unless the teacher is a pretrained causal network of the adapter's
        shape and tokens."""
        if not isinstance(teacher.net, Causal):
            raise ValueError(
                f"'{teacher.name}' is no pretrained language model that reads from left to right: "
                "name one, as HuggingFaceTB/SmolLM2-135M-Instruct."
            )
        if not self.net.fits(teacher.net) or self.tokenizer != teacher.tokenizer:
            raise ValueError(
                "The adapter was trained beside another model: name the one that its card names."
            )
        super().taught_by(teacher)

    def __deepcopy__(self, memo):
        """The model beside it is not copied."""
        memo |= {id(teacher): teacher for teacher in self.teachers}
        memo[id(self)] = made = type(self).__new__(type(self))
        made.__dict__ = copy.deepcopy(self.__dict__, memo)
        return made

    def denoise(self, x, t, label=None, cache=None) -> Prediction:
        raise TypeError("An adapter drafts beside its model and is asked by it.")

    def predict(self, raw, x, t):
        raise TypeError("An adapter drafts beside its model and is asked by it.")

    def loss(self, canvas, rng):
        """Nats a mask by itself and nats a mask by the head, divided by the length of the row."""
        plain, headed, open_, behind = self.nats(canvas, rng)
        nats = mean(plain, open_) + mean(headed, open_ & ~behind)
        return nats / canvas.given.shape[1]

    def bound(self, canvas, rng):
        """Nats a draft by which the head's laws differ from the model's own, where all is
        hidden."""
        _, headed, open_, _ = self.nats(canvas, rng, all_=1.0)
        return mean(headed, open_).double()

    def nats(self, canvas, rng: Rng, all_: float = ALL) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Nats of each position of each block, (B, A, M): of a mask by itself, and by the head;
        which positions are open and count, and behind which something is known."""
        plain, headed, own, places, open_ = self.laws(canvas, rng, all_)
        tokens, counted = (
            part.gather(1, places.flatten(1)).view_as(places)
            for part in (canvas.tokens, canvas.counted)
        )
        shown = (~open_).flip(-1).cumsum(-1).flip(-1)
        behind = shown - (~open_).long() > 0
        surprise = -plain.gather(-1, tokens[..., None])[..., 0]
        apart, headed = (divergence(own, q) for q in (plain, headed))
        return torch.where(behind, surprise, apart), headed, open_ & counted, behind

    def laws(self, canvas, rng: Rng, all_: float):
        """Log-probabilities (B, A, M, V) by masks alone, by the head and by the model itself, the
        places (B, A, M) that they are of, and which of them are open."""
        x, net = canvas.tokens, self.teacher.net
        (B, L), M = x.shape, self.masks
        if L < M + 3:
            raise ValueError(f"Drafts are learned from texts of {M + 3} tokens or more, not {L}.")
        anchors = rng.integers(L - M - 1, B, ANCHORS, purpose="anchor").to(x.device)
        places = anchors[..., None] + 1 + torch.arange(M, device=x.device)
        moved = F.pad(x[:, :-1], (1, 0), value=self.teacher.mask_id)
        with torch.no_grad():
            cache = Cache()
            states = net.states(net.embed(moved), cache=cache)
            own = net.logits(taken(states, places)).log_softmax(-1)
            tokens = net.embed(moved.gather(1, places.flatten(1))).view(B, ANCHORS, M, -1)
        share = rand(places[..., :1].float(), rng, "share")
        share = torch.where(rand(share, rng, "all") < all_, 1.0, share)
        # of the tokens from that behind the anchor on: each position reads the one before it
        masked = rng.uniform(B, ANCHORS, M + 1, purpose="mask").to(x.device) < share
        inputs = torch.where(masked[..., :M, None], self.net.mask, tokens)
        found = self.beside(inputs, anchors, places, cache)
        laws = (found, self.net.chain(found, tokens))
        plain, headed = (net.logits(part).log_softmax(-1) for part in laws)
        return plain, headed, own, places, masked[..., 1:]

    def beside(self, inputs: Tensor, anchors: Tensor, places: Tensor, cache: Cache) -> Tensor:
        """The last states (B, A, M, D) of a second stream with these inputs, behind anchors (B, A)
        in a text that was read into the cache."""
        (B, A, M), L = places.shape, len(cache)
        known = torch.arange(L, device=places.device) <= anchors[..., None]
        known = known.repeat_interleave(M, 1)  # (B, A M, L)
        group = torch.arange(A, device=places.device).repeat_interleave(M)
        own = (group[:, None] == group).expand(B, -1, -1)
        states = self.teacher.net.states(
            inputs.flatten(1, 2),
            mask=torch.cat([known, own], 2),
            cache=cache.fork(),
            places=places.flatten(1),
            adapted=self.net.beside(),
        )
        return states.float().view(B, A, M, -1)

    @torch.no_grad()
    def report(self, canvases) -> str:
        """The chance of a draft to be kept, by its place, where those before it were."""
        kept, counts = 0.0, 0.0
        for n, canvas in enumerate(canvases):
            _, headed, own, places, _ = self.laws(canvas, seeded(n), 1.0)
            counted = canvas.counted.gather(1, places.flatten(1)).view_as(places)
            kept += (torch.minimum(headed, own).exp().sum(-1) * counted).sum((0, 1))
            counts += counted.sum((0, 1))
        share = kept / counts
        calls = 1 + share.cumprod(0).sum()
        listed = " ".join(f"{100 * part:.0f}" for part in share)
        return f"kept {listed} %, {calls:.2f} tokens a call"


def mean(nats: Tensor, where: Tensor) -> Tensor:
    """The mean of each text's blocks over some of their positions, (B,)."""
    nats, where = nats.flatten(1), where.flatten(1)
    return (nats * where).sum(1) / where.sum(1).clamp_min(1)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last dimension."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def taken(states: Tensor, places: Tensor) -> Tensor:
    """The states (B, L, D) at places (B, A, M), (B, A, M, D)."""
    flat = places.flatten(1)[..., None].expand(-1, -1, states.shape[-1])
    return states.gather(1, flat).view(*places.shape, -1)
