"""An outside judge: a pretrained language model that learned from the whole web tells how many bits
a character a text takes. It knows no more of our models than a reader does, and our own judge may
share their faults.

Needs the extra `judge` (transformers), and the package gguf for a file of that kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from tinydiff import uncertainty
from tinydiff.nets import precision
from tinydiff.sentences import brief
from tinydiff.uncertainty import Mean

USUAL = "HuggingFaceTB/SmolLM2-135M-Instruct"
# what stands before a text, in the first of these names that the tokenizer has; else its own first
# token: it ends the document before
BEGINS = ("<|endoftext|>",)
MOST = 8192  # tokens of a text
TOGETHER = 8  # texts that are read at once


class Judge:
    """A causal language model of the Hub, or of a .gguf file.

    Raises ValueError, in one sentence, where it cannot be opened.
    """

    def __init__(self, source: str = USUAL):
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError:
            raise ValueError(
                "The outside judge needs `pip install 'tinydiff[judge]'` (transformers)."
            ) from None
        path = Path(source)
        where = (path.parent, {"gguf_file": path.name}) if path.suffix == ".gguf" else (source, {})
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(where[0], **where[1])
            self.model = AutoModelForCausalLM.from_pretrained(where[0], **where[1]).eval()
        except Exception as error:
            raise ValueError(
                f"The judge {brief(source)} cannot be opened ({type(error).__name__}): name a "
                "language model of the Hub, or a .gguf file (pip install gguf)."
            ) from None
        self.name = path.stem if path.suffix == ".gguf" else source
        vocabulary = self.tokenizer.get_vocab()
        known = [vocabulary[name] for name in BEGINS if name in vocabulary]
        self.begin = known[0] if known else self.tokenizer.bos_token_id

    def nats(self, text: str) -> float:
        """-log p of a text as a document, without its end."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"][:MOST]
        tokens = torch.tensor([[self.begin, *ids]])
        with torch.no_grad():
            logits = self.model(tokens).logits[0, :-1].float()
        return F.cross_entropy(logits, tokens[0, 1:], reduction="sum").item()

    def spans(self, texts: Sequence[str]) -> list[list[tuple[tuple[int, int], float]]]:
        """-log p of each token of texts given all before it, with the characters that it spells,
        [first, end); in bf16 where this machine multiplies it fast."""
        read = self.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
        ids, places = ([one[:MOST] for one in read[key]] for key in ("input_ids", "offset_mapping"))
        found: list[list] = [[] for _ in texts]
        order = sorted(range(len(texts)), key=lambda i: len(ids[i]))
        for first in range(0, len(order), TOGETHER):
            some = order[first : first + TOGETHER]
            rows = torch.zeros(len(some), 1 + len(ids[some[-1]]), dtype=torch.int64)
            rows[:, 0] = self.begin
            for row, i in zip(rows, some):
                row[1 : 1 + len(ids[i])] = torch.tensor(ids[i], dtype=torch.int64)
            # what fills a row stands behind all that is asked of it
            with torch.no_grad(), precision("auto", rows.device)():
                logits = self.model(rows).logits[:, :-1].float()
            nats = F.cross_entropy(logits.mT, rows[:, 1:], reduction="none")
            for row, i in zip(nats, some):
                found[i] = list(zip(places[i], row.tolist()))
        return found

    def bits(self, texts: list[str]) -> Mean:
        """Bits a character of texts that are not empty, all together, with the error over texts."""
        texts = [text for text in texts if text]
        nats = [self.nats(text) / math.log(2) for text in texts]
        return uncertainty.mean(nats, [len(text) for text in texts], consecutive=False)
