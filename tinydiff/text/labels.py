"""Labels of documents: attributes, of each of which a document has one value.

    mood      glad, sad, neither        of the last three sentences, by VADER (Hutto & Gilbert 2014)
    dialogue  dialogue, no dialogue     does anybody speak, in quotation marks?
    length    short, middle, long       in characters

Values are numbered through all attributes, so that a set of numbers says what is known of a text:
"glad, short". The limits were measured on 15,716 stories of TinyStories. By VADER's usual 0.05
and -0.05, 90 % of them are glad and 3 % neither; by those here 82 % are glad, 9 % sad and 9 %
neither. Somebody speaks in 66 %, and a third each is short, middle or long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tinydiff.sentences import brief, listed

SENTENCES = 3  # at the end of a text, which decide its mood
SAD, GLAD = 0.0, 0.2  # the mean of what VADER says of them, in [-1, 1]: below, and from here on
MIDDLE, LONG = 665, 812  # characters from which on a text is no longer short, and is long
QUOTES = '"\u201c\u201d\u201e\u00ab\u00bb\u300c'
Attributes = dict[str, tuple[str, ...]]  # the values of each


def mood() -> Callable[[str], int]:
    """Raises ValueError where VADER is not installed."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        raise ValueError(
            "The label 'mood' needs `pip install vaderSentiment`; or leave it out."
        ) from None
    score = SentimentIntensityAnalyzer().polarity_scores

    def of(text: str) -> int:
        last = re.split(r"(?<=[.!?])[\"']?\s+", text.strip())[-SENTENCES:]
        mean = sum(score(one)["compound"] for one in last) / len(last)
        return 0 if mean >= GLAD else 1 if mean < SAD else 2

    return of


def dialogue() -> Callable[[str], int]:
    return lambda text: int(not any(sign in text for sign in QUOTES))


def length() -> Callable[[str], int]:
    return lambda text: (len(text) >= MIDDLE) + (len(text) >= LONG)


ATTRIBUTES = {
    "mood": (("glad", "sad", "neither"), mood),
    "dialogue": (("dialogue", "no dialogue"), dialogue),
    "length": (("short", "middle", "long"), length),
}


def asked(names: str) -> Attributes:
    """The attributes that "mood,length" names, in the order of ATTRIBUTES. Raises ValueError for
    one that there is not, and where there is none."""
    told = [name.strip() for name in names.split(",")]
    if strange := [name for name in told if name not in ATTRIBUTES]:
        raise ValueError(
            f"Documents have no label {brief(strange[0])}; they have {listed(list(ATTRIBUTES))}."
        )
    return {name: values for name, (values, _) in ATTRIBUTES.items() if name in told}


def of_documents(texts: list[str], attributes: Attributes) -> Tensor:
    """The numbers of the values that documents have, (N, attributes) int16. Raises ValueError as
    the attributes do."""
    columns, first = [], 0
    for name, values in attributes.items():
        of = ATTRIBUTES[name][1]()
        columns.append(torch.tensor([first + of(text) for text in texts], dtype=torch.int16))
        first += len(values)
    return torch.stack(columns, 1)


def flat(attributes: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names of all values, in the order of their numbers."""
    return tuple(value for values in attributes.values() for value in values)
