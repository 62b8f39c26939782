"""Networks. Each maps a state, a time for each position and perhaps a label to (B, L, outputs)."""

from tinydiff.nets.precision import fast_bf16, lowered, precision
from tinydiff.nets.transformer import Cache, Transformer

__all__ = ["Cache", "Transformer", "fast_bf16", "lowered", "precision"]
