"""Text as tokens: tokenizers, the Canvas that a sampler writes on, corpora, pairs of lines.

This room does not know about noise: the mask is one id outside the vocabulary, `mask_id`.
"""

from tinydiff.text import tokenizers
from tinydiff.text.canvas import BLANK, MAX_CANVAS, Canvas, blanks
from tinydiff.text.corpora import Corpus, check_window, corpus, memory, random_given, windows
from tinydiff.text.documents import Documents
from tinydiff.text.pairs import TASKS, Pairs, ended, halves, paired, pairs, plain
from tinydiff.text.tasks import Tasks, is_table, tasks
from tinydiff.text.tokenizers import MASK_SIGN, Tokenizer, subwords
from tinydiff.text.tokenizers.characters import Characters
from tinydiff.text.tokenizers.subwords import Subwords

__all__ = [
    "BLANK",
    "Canvas",
    "Characters",
    "Corpus",
    "Documents",
    "MASK_SIGN",
    "MAX_CANVAS",
    "Pairs",
    "Subwords",
    "TASKS",
    "Tasks",
    "Tokenizer",
    "blanks",
    "check_window",
    "corpus",
    "ended",
    "halves",
    "is_table",
    "memory",
    "paired",
    "pairs",
    "plain",
    "random_given",
    "subwords",
    "tasks",
    "tokenizers",
    "windows",
]
