"""Networks. Each maps a state, a time for each position and perhaps a label to (B, L, outputs).

One file here is one network. Files are discovered: a Network with a `name` in a new file of this
folder can be trained (`--network NAME`) and is found again in its checkpoints.
"""

from __future__ import annotations

from tinydiff.nets.network import NETS, Network
from tinydiff.nets.precision import fast_bf16, lowered, precision
from tinydiff.nets.transformer import Cache, Transformer
from tinydiff.plugins import discover

__all__ = ["NETS", "Cache", "Network", "Transformer", "fast_bf16", "lowered", "precision"]

discover(__name__, __path__)
