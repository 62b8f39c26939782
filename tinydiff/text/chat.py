"""The chat form of a pretrained model (ChatML): an instruction, and the place where its reply
begins.

    <|im_start|>user \\n words <|im_end|> \\n <|im_start|>assistant \\n reply <|im_end|>

Signs are put in by their ids. Whoever types their names has typed plain text, which ends nothing.
Of the model's own template it knows nothing: no system's words stand before.
"""

from __future__ import annotations

import json

import torch
from torch import Tensor

from tinydiff.text.tokenizers.subwords import Subwords

BEGIN, END = "<|im_start|>", "<|im_end|>"


def signs(tokenizer: Subwords) -> dict[str, int]:
    """The ids of BEGIN and END. Raises ValueError for a tokenizer that lacks one."""
    added = json.loads(tokenizer.data).get("added_tokens") or []
    found = {one["content"]: one["id"] for one in added if one["content"] in (BEGIN, END)}
    if len(found) < 2:
        raise ValueError("This model knows no instructions: give it your words as a beginning.")
    return found


def asked(tokenizer: Subwords, words: str) -> Tensor:
    """The tokens (n,) of an instruction, up to where the reply begins. Raises ValueError for a
    model without a chat form."""
    ids = signs(tokenizer)
    begin, end = (torch.tensor([ids[name]]) for name in (BEGIN, END))
    line = tokenizer.encode("\n")
    user, assistant = (tokenizer.encode(part) for part in (f"user\n{words}", "assistant\n"))
    return torch.cat([begin, user, end, line, begin, assistant])


def ends(tokenizer: Subwords, chat: bool) -> set[int]:
    """The tokens that end a text, or a reply."""
    end = {tokenizer.end_id} - {None}
    return end | {signs(tokenizer)[END]} if chat else end
