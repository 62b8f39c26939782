"""Patterns that people ask for by name, as regular expressions (text/automata.py has the syntax).

Each function takes what is typed into its field and gives expressions that the whole text matches.
It raises ValueError, in words that follow the field's name, for what it cannot read.
"""

from __future__ import annotations

import re

LETTER = "[A-Za-zÀ-ÖØ-öø-ÿ]"
NO_LETTER = "[^A-Za-zÀ-ÖØ-öø-ÿ]"
SENTENCE_END = "[.!?][\"”']?"
IN_SENTENCE, NO_LETTER_IN = "[^.!?]", "[^A-Za-zÀ-ÖØ-öø-ÿ.!?]"
SPACE = "[ \\n\\t\\r]"
# letters, perhaps with an ending like 's and 'll, or digits; signs of a sentence around them
WORD = f'["(]*(?:{LETTER}+(?:[\'’]{LETTER}{{1,2}})?|[0-9]+)[.,;:!?)"]*'
# what can be counted, and how many at the most: an automaton knows how many there were
UNITS = {"characters": 120, "lines": 100, "sentences": 100, "words": 80}


def listed(text: str) -> list[str]:
    """The parts between commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError("it has an empty place: write words with a comma between two of them.")
    return parts


def one_of(parts: list[str]) -> str:
    return "(?:" + "|".join(map(re.escape, parts)) + ")"


def whole(words: str) -> str:
    """Those words somewhere, with no letter before and behind them."""
    return f"(?s:(?:.*{NO_LETTER})?{words}(?:{NO_LETTER}.*)?)"


def contains(text: str) -> list[str]:
    """Each of the words, in any order."""
    return [whole(re.escape(word)) for word in listed(text)]


def ends_with(text: str) -> list[str]:
    return [f"(?s:(?:.*{NO_LETTER})?){re.escape(text)}"]


def without(text: str) -> list[str]:
    """None of these characters, large or small."""
    signs = {sign for each in text if not each.isspace() for sign in (each.lower(), each.upper())}
    signs = sorted(sign for sign in signs if len(sign) == 1)
    if not signs:
        raise ValueError("it names no character.")
    return ["[^" + "".join(re.escape(sign) for sign in signs) + "]*"]


def acrostic(text: str) -> list[str]:
    """A line for each letter, which begins with it."""
    letters = [sign for sign in text if not sign.isspace()]
    if not letters:
        raise ValueError("it has no letter.")
    lines = ["[" + "".join({x.lower(), x.upper()}) + "][^\\n]*" for x in map(re.escape, letters)]
    return ["\\n+".join(lines) + "\\n*"]


def each_begins(text: str) -> list[str]:
    """Every sentence begins with one of the words."""
    first = one_of(listed(text))
    sentence = f"{first}(?:{NO_LETTER_IN}{IN_SENTENCE}*)?{SENTENCE_END}"
    return [f"{sentence}(?:\\s+{sentence})*\\s*"]


def exactly(text: str) -> list[str]:
    """A number of words, sentences, lines or characters: "20 words"."""
    found = re.fullmatch(r"\s*(\d{1,4})\s+(\w+?)s?\s*", text)
    unit = f"{found[2]}s" if found else ""
    if unit not in UNITS:
        raise ValueError(f"it is to be a number and one of {', '.join(UNITS)}.")
    n = int(found[1])
    if not 1 <= n <= UNITS[unit]:
        raise ValueError(f"1 to {UNITS[unit]} {unit} can be asked for.")
    if unit == "characters":
        return [f"(?s:.{{{n}}})"]
    if unit == "words":
        more = f"(?:{SPACE}+{WORD}){{{n - 1}}}"
        return [f"{SPACE}*{WORD}{more}{SPACE}*"]
    if unit == "lines":
        return [f"[^\\n]+(?:\\n+[^\\n]+){{{n - 1}}}\\n*"]
    sentence = f"{IN_SENTENCE}+{SENTENCE_END}"
    return [f"(?:{sentence}){{{n}}}\\s*"]


def passive(text: str) -> list[str]:
    """A passive: was, were or is, a word in -ed, and by."""
    return [whole(f"(?:was|were|is|are) {LETTER}{{2,}}ed by")]


def line_ends(text: str) -> list[str]:
    """Every line ends with one of the words: a rhyme."""
    line = f"(?:[^\\n]*{NO_LETTER})?{one_of(listed(text))}[^A-Za-z\\n]*"
    return [f"{line}(?:\\n+{line})*\\n*"]


def form(text: str) -> list[str]:
    """Something of this form somewhere: 9 is a digit, A a capital, a a small letter."""
    signs = {"9": "[0-9]", "A": "[A-Z]", "a": "[a-z]"}
    return [
        f"(?s:(?:.*[^0-9A-Za-z])?){''.join(signs.get(x, re.escape(x)) for x in text)}"
        "(?s:(?:[^0-9A-Za-z].*)?)"
    ]


def crossword(text: str) -> list[str]:
    """A word of a crossword's row somewhere: a dot is any letter."""
    if not re.fullmatch(rf"(?:\.|{LETTER})+", text.strip()):
        raise ValueError("it is to be letters, with a dot for each that is not known.")
    return [whole("".join(LETTER if x == "." else re.escape(x) for x in text.strip()))]


def written(text: str) -> list[str]:
    """A regular expression. ^ at its beginning and $ at its end say what is so anyway."""
    text = text.removeprefix("^")
    return [text[:-1] if text.endswith("$") and not text.endswith("\\$") else text]
