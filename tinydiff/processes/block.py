"""Block diffusion: BD3-LM (Arriola et al., arXiv:2503.09573). Autoregressive over blocks, masked
diffusion within each.

    -log p(x_0) =   sum over blocks b of  -log p(x_b | x_<b)
               <=   sum over blocks of E_t [ -alpha' / (1 - alpha) * S_b(t) ]
    S_b(t)      =   sum over masked i in b of  -log p(x_0_i | x_t_b, x_<b)

One pass over [x_t ; x_0], 2 L positions, gives all terms (section 3.2): `may_see` lets a noisy
position see the noisy ones of its own block and the clean ones of the blocks before; the clean half
is causal by blocks, so what was computed for a finished block never changes, and sampling keeps it
in a Cache, exactly. Blocks of one character are the autoregressive factorisation, one block for
everything is MDLM; within a block all is as in masked.py.

Training draws t for each block from a window [low, high] instead of [0, 1]: masks almost everywhere
and almost nowhere say little and vary much (section 4.2). The window is that of the least variance
among `WINDOWS`, found anew now and then (`tune`). A block of one character is always learned
masked: that is its only question. The bound knows no window.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tinydiff.nets import Cache
from tinydiff.noises.mask import Mask
from tinydiff.processes import SIZES, T_MIN, YES_NO, Piece, Process
from tinydiff.processes.masked import Masked, some_masked
from tinydiff.randomness import Rng, rows
from tinydiff.text import Canvas

# of the windows of t that are tried (section 5.3)
WIDTHS = [round(0.5 + 0.05 * k, 2) for k in range(11)]
WINDOWS = [
    (round(0.05 * k, 2), round(0.05 * k + width, 2))
    for width in WIDTHS
    for k in range(round((1 - width) / 0.05) + 1)
]


class BlockCache(Cache):
    """A Cache of finished blocks of `size` characters."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size


class Block(Process):
    name, title, paper = "block", "Blocks (BD3-LM)", "arXiv:2503.09573"
    plain = "hidden words, block by block"
    about = (
        "Text is written block by block, each as masked diffusion that sees the finished blocks "
        "before it."
    )
    traits = (Mask.traits - {"mask", "ratios"}) | {"timeless", "pieces", "blocks"}
    choices = {"block": ("any", *map(str, SIZES)), "clip": YES_NO}
    caches = ("exact", "none")
    over, writes_with = Mask, Masked
    # a block is read and written as masked text is
    network, predict = Masked.network, Masked.predict

    def __init__(self, net, tokenizer, schedule, length, options):
        super().__init__(net, tokenizer, schedule, length, options)
        self.writer = Masked(None, tokenizer, schedule, length)
        self.sizes = sizes_of(self.options["block"], length)
        even = [(1.0, 1.0) if self.clipped and size == 1 else (0.0, 1.0) for size in self.sizes]
        # of the times of training, for each size
        self.register_buffer("window", torch.tensor(even))

    @property
    def clipped(self) -> bool:
        return self.chooses("clip")

    # ------------------------------------------------------------ the network

    def denoise(self, x, t, label=None, cache=None):
        """Each position's prediction from its own block and the text before it; positions that the
        last block lacks count as masks.

        Without a cache: for all of x, (B, L, V), in blocks of the usual size. With a BlockCache:
        for the last block of x alone, (B, n, V), in blocks of the cache's size; the blocks before
        it are finished, and are read into the cache.
        """
        n, size = x.shape[1], self.sizes[0] if cache is None else cache.size
        start, lacking = (n - 1) // size * size, min(-n % size, max(0, (self.length or n) - n))
        x = F.pad(x, (0, lacking), value=self.mask_id)
        if cache is None:
            raw, shown = self.both(x, x, label, size)[:, :n], x[:, :n]
        else:
            raw, shown = self.onward(x, label, cache, start)[:, : n - start], x[:, start:n]
        return self.predict(raw, shown, t)

    def denoise_known(self, x, t, canvas):
        """As in training: each block of the usual size is read behind the text itself."""
        return self.predict(self.both(x, canvas.tokens, canvas.label, self.sizes[0]), x, t)

    def onward(self, x, label, cache, start):
        """The network's output for the last block of x, whose first column is `start`; the blocks
        between the cache's end and that one are read in the same pass, and stay in the cache."""
        block = torch.arange(x.shape[1], device=x.device) // cache.size
        mask, known, whole = block[len(cache) :, None] >= block, len(cache), cache.fork()
        raw = self.net(x[:, known:], None, label, cache=whole, mask=mask)
        cache.layers = whole.first(start)
        return raw[:, start - known :]

    def ahead(self, size=None):
        return size or self.sizes[0]

    def at(self, size: int) -> Block:
        """The same network with blocks of `size` only, which is one of `sizes`."""
        one = copy.copy(self)
        one.sizes = (size,)
        return one

    def pieces(self, size, cache):
        return pieces_of(self.writer, size, cache)

    def computed(self, size, cache, window):
        return {"exact": min(size, window), "none": window}[cache]

    def both(self, x, clean, label, size):
        """The network's output for noisy x given clean text, (B, L, V), in one pass over both."""
        L = x.shape[1]
        places = torch.arange(L, device=x.device)
        return self.net(
            torch.cat([x, clean], 1),
            None,
            label,
            mask=may_see(L, size, x.device),
            places=places.repeat(2),
        )[:, :L]

    # ------------------------------------------------------------ loss and bound

    def loss(self, canvas, rng):
        which = int(rng.common(1, purpose="size") * len(self.sizes))
        nats, _ = self.nats(canvas, rng, self.sizes[which], *self.window[which].tolist())
        return nats.sum(1) / canvas.given.shape[1]

    def nats(self, canvas, rng, size, low, high):
        """The integrand of the bound at one t for each block, drawn uniformly from [low, high], and
        those times, both (B, L)."""
        B, L = canvas.tokens.shape
        drawn = strata(B, -(-L // size), rng) * (high - low) + low
        t = canvas.time(drawn.clamp_min(T_MIN).to(self.device).repeat_interleave(size, 1)[:, :L])
        x = self.noise.corrupt(canvas.tokens, t, rng)
        weight = torch.where(x == self.mask_id, self.noise.weight(t.clamp_min(1e-6)), 0)
        return weight * self.surprise(x, canvas, size), t

    def bound(self, canvas, rng):
        """As Masked's, in every block: exactly k masks, k drawn with its weight."""
        L = canvas.tokens.shape[1]
        size = min(self.sizes[0], L)
        x, weight, _ = some_masked(blocks_of(canvas, size), self.noise, rng)
        x, weight = (part.view(len(canvas.tokens), -1)[:, :L] for part in (x, weight))
        return (weight * torch.where(x == self.mask_id, self.surprise(x, canvas, size), 0)).sum(1)

    def surprise(self, x, canvas, size):
        """-log p(x_0_i | x_t in the block of i, x_0 before it), (B, L), meant for the masked
        positions."""
        raw = self.both(x, canvas.tokens, canvas.label, size)
        return F.cross_entropy(raw.mT, canvas.tokens, reduction="none")

    @torch.no_grad()
    def tune(self, canvas, rng) -> dict:
        """Find for each size the window in which a block's estimate of the loss has the least
        variance, and train in it from now on (BD3-LM, section 5.3). One uniform t a block serves
        all windows: each window takes the blocks whose t lies in it.

        Returns {"windows": {size: [low, high]}, "variances": {size: {"low-high": the variance of a
        block's nats a character}}}.
        """
        windows, variances = {}, {}
        for which, size in enumerate(self.sizes):
            if size > 1 and self.clipped:
                nats, t = self.nats(canvas, rng, size, 0.0, 1.0)
                variances[str(size)] = variances_of(
                    *(block_means(part, canvas, size) for part in (nats, t))
                )
                best = min(variances[str(size)], key=variances[str(size)].get)
                windows[str(size)] = [float(end) for end in best.split("-")]
                self.window[which] = torch.tensor(windows[str(size)])
        return {"windows": windows, "variances": variances} if windows else {}


def pieces_of(writer: Process, size: int, cache: str):
    """How a text is written block by block (`Process.pieces`), each as `writer`, a process of
    masks, writes it; the whole text so far is handed to ask, with the cache of finished blocks."""
    memory = BlockCache(size)
    memories = {"exact": lambda: memory, "none": lambda: BlockCache(size)}

    def piece(canvas, start, stop, denoise, noise):
        before = canvas.tokens[:, :start]

        def within(x, t, _=None):
            whole, t = torch.cat([before, x], 1), F.pad(t, (start, 0))
            return denoise(whole, t, memories[cache]())

        return Piece(writer, canvas.slice(start, stop), within, start)

    return piece


def sizes_of(option: str, length: int | None) -> tuple[int, ...]:
    """The sizes of blocks that an option means, the usual one first. Raises ValueError if they do
    not fit the window."""
    if option == "any":
        return tuple(size for size in SIZES if not length or length % size == 0)
    size = int(option)
    if length and length % size:
        how = "are longer than" if size > length else "do not divide"
        raise ValueError(
            f"Blocks of {size} characters {how} the window of {length}: choose a size that "
            "divides it."
        )
    return (size,)


def variances_of(nats: Tensor, t: Tensor) -> dict[str, float]:
    """The variance of the blocks' nats (n,) within each of WINDOWS, by "low-high"."""
    inside = {f"{low:.2f}-{high:.2f}": nats[(t >= low) & (t <= high)] for low, high in WINDOWS}
    return {
        window: part.double().var().item() if len(part) > 1 else math.inf
        for window, part in inside.items()
    }


def block_means(x: Tensor, canvas: Canvas, size: int) -> Tensor:
    """The mean of x (B, L) over the open positions of each block, for the blocks that have any,
    (blocks,)."""
    short = -x.shape[1] % size
    open_ = F.pad(~canvas.given, (0, short)).reshape(-1, size)
    total = F.pad(x, (0, short)).reshape(-1, size).mul(open_).sum(1)
    return (total / open_.sum(1).clamp_min(1))[open_.any(1)]


def may_see(L: int, size: int, device=None) -> Tensor:
    """Which keys a query of [x_t ; x_0] may see, (2 L, 2 L) bool (BD3-LM, section 3.2 and appendix
    B.6)."""
    place = torch.arange(2 * L, device=device)
    clean, block = place >= L, place % L // size
    q_clean, q = clean[:, None], block[:, None]
    own = (q_clean == clean) & (q == block)
    return own | (clean & (q > block))


def blocks_of(canvas: Canvas, size: int) -> Canvas:
    """Every block as a canvas of its own, (B blocks, size); a short last block is filled up with
    given positions."""
    short = -canvas.tokens.shape[1] % size
    tokens, given = F.pad(canvas.tokens, (0, short)), F.pad(canvas.given, (0, short), value=True)
    return Canvas(tokens.reshape(-1, size), given.reshape(-1, size))


def strata(batch: int, columns: int, rng: Rng) -> Tensor:
    """Uniform numbers in [0, 1), (batch, columns), stratified: each column has one number in each
    of `batch` equal parts, in random order."""

    def drawn(n: int) -> Tensor:
        order, within = rng.common(2, n, columns, purpose="time")
        return (order.argsort(0) + within) / n

    return rows(drawn, batch, rng)
