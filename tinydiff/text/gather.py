"""Pairs for several tasks, gathered from translated sentences and from stories.

    translate-en-fr, translate-fr-en   the two sides of a translated pair
    paraphrase                         two English sides that share a French one
    summarise-short, summarise-long    a story; its sentence of 4 - 9, of 10 - 30 words that ranks
                                       highest by TextRank (Mihalcea and Tarau 2004; the library
                                       `summa`)
    reply                              what is said in quotes in a story; what is said next
    restore                            a sentence without case and punctuation; the sentence

No English or French sentence of validation is in training: translated pairs that share a side are
kept together, and so are split by either. A pair of validation is left out where its source or its
target stands anywhere in training, whatever the task is there.

Pairs from elsewhere, as two columns of a data set of the Hub, are written by `write` as well:

    rows = datasets.load_dataset("USER/NAME", split="train")
    gather.write([("my-task", row["a"], row["b"]) for row in rows], Path("train.tsv"))
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from random import Random

from tinydiff.files import replacing
from tinydiff.sentences import brief
from tinydiff.text.corpora import halves_of
from tinydiff.text.pairs import plain
from tinydiff.text.tasks import Row, lines_of

VALID = 0.05  # of the translated pairs
MOST = {"paraphrase": 30_000, "reply": 40_000, "restore": 60_000}  # pairs of training
MOST_VALID = 2_000  # of validation, of each task but translation
STORY = 150  # words of a story that is summarised, at most
LENGTHS = {"short": (4, 9), "long": (10, 30)}  # words of a summary
WORDS = (2, 25)  # of what is said, and of a sentence to be restored
BETWEEN = 200  # characters between what is said and the reply
SAID = re.compile(r'"([^"]+)"')
SENTENCE = re.compile(r'(?<=[.!?])\s+|(?<=[.!?]")\s+')
PRONOUN = re.compile(r"(?:Then |And |So )?(?:he|she|they|it)\b", re.I)


def gathered(pairs: Path | None, stories: Path | None, seed: int = 0) -> dict[str, list[Row]]:
    """Rows (task, source, target) of training and of validation, the tasks one behind the other.

    pairs:   a file of lines that are an English sentence, TAB, a French one
    stories: a file of stories, each ended by a line <|endoftext|>; NAME_train.txt is validated on
             NAME_valid.txt beside it

    Raises ValueError, in one sentence, where neither is given, for files that are no such pairs and
    no such stories, and without `summa`.
    """
    if pairs is None and stories is None:
        raise ValueError("There is nothing to gather pairs from: give --pairs, --stories or both.")
    found: dict[str, list[Row]] = {"train": [], "valid": []}
    plain_from: dict[str, list[list[str]]] = {"train": [], "valid": []}  # what is restored
    rng = Random(seed)
    if pairs is not None:
        for split, some in split_pairs(translated(pairs), rng).items():
            found[split] += translations(some) + paraphrases(some)
            plain_from[split].append(list(dict.fromkeys(english for english, _ in some)))
    if stories is not None:
        for split, some in zip(found, halves_of(stories)):
            found[split] += summaries(some) + replies(some)
            told = (sentence for story in some for sentence in sentences(story))
            plain_from[split].append(list(dict.fromkeys(told)))
    for split, groups in plain_from.items():
        most = MOST["restore"] // len(groups)
        found[split] += [row for group in groups for row in restored(group, most, rng)]
    train = limited(found["train"], MOST, rng)
    seen = {side for _, *both in train for side in both}
    unseen = [row for row in found["valid"] if not seen.intersection(row[1:])]
    few = dict.fromkeys((task for task, *_ in unseen if "translate" not in task), MOST_VALID)
    return {"train": train, "valid": limited(unseen, few, rng)}


def write(rows: Iterable[Row], path: Path) -> None:
    """Rows as a file of lines `task TAB source TAB target`; white space within a text becomes one
    space."""
    with replacing(path.parent) as new:
        lines = ("\t".join(" ".join(part.split()) for part in row) + "\n" for row in rows)
        new(path.name).write_text("".join(lines), encoding="utf-8")


def limited(rows: list[Row], most: dict[str, int], rng: Random) -> list[Row]:
    """The rows, each once, in the order of their tasks; of a task that has too many, some."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in dict.fromkeys(rows):
        groups[row[0]].append(row)
    kept = []
    for task, group in groups.items():
        rng.shuffle(group)
        kept += group[: most.get(task)]
    return kept


# ---------------------------------------------------------------- translated sentences


def translated(path: Path) -> list[tuple[str, str]]:
    """English and French sides, spaces of every kind as one space. Raises ValueError for a line
    that is no pair."""
    found = []
    for number, line in lines_of(path):
        sides = [" ".join(side.split()) for side in line.split("\t")]
        if len(sides) != 2 or not all(sides):
            raise ValueError(
                f"Line {number} of {brief(path.name)} is no pair: write an English sentence, a TAB "
                "and a French one."
            )
        found.append((sides[0], sides[1]))
    return list(dict.fromkeys(found))


def split_pairs(pairs: list[tuple[str, str]], rng: Random) -> dict[str, list[tuple[str, str]]]:
    """Pairs to train and to validate on, VALID of them, so that those that share a side, or share
    one with pairs that do, stay together."""
    group: dict[tuple[int, str], tuple[int, str]] = {}

    def root(side: tuple[int, str]) -> tuple[int, str]:
        group.setdefault(side, side)
        while group[side] != side:
            group[side] = group[group[side]]
            side = group[side]
        return side

    for english, french in pairs:
        group[root((0, english))] = root((1, french))
    together: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
    for english, french in pairs:
        together[root((0, english))].append((english, french))
    groups, wanted = list(together.values()), max(1, round(VALID * len(pairs)))
    rng.shuffle(groups)
    found: dict[str, list[tuple[str, str]]] = {"train": [], "valid": []}
    for some in groups:
        found["valid" if len(found["valid"]) < wanted else "train"] += some
    return found


def translations(pairs: list[tuple[str, str]]) -> list[Row]:
    """Both directions."""
    return [("translate-en-fr", english, french) for english, french in pairs] + [
        ("translate-fr-en", french, english) for english, french in pairs
    ]


def paraphrases(pairs: list[tuple[str, str]]) -> list[Row]:
    """Two different English sides that share a French one, each as the other's source."""
    sides: dict[str, list[str]] = defaultdict(list)
    for english, french in pairs:
        sides[french].append(english)
    return [
        ("paraphrase", one, other)
        for some in sides.values()
        for one in some
        for other in some
        if one != other
    ]


# ---------------------------------------------------------------- stories


def sentences(story: str) -> list[str]:
    """The sentences of a story; a quote that spans several is part of none that is cut."""
    parts = (part for line in story.split("\n") for part in SENTENCE.split(line))
    return [part for part in parts if part and part.count('"') % 2 == 0]


def summaries(stories: list[str]) -> list[Row]:
    """For stories of at most STORY words: of each of LENGTHS the sentence that ranks highest."""
    found = []
    for story in stories:
        if len(story.split()) <= STORY:
            text, ranked = " ".join(story.split()), ranks(story)
            for name, (low, high) in LENGTHS.items():
                fitting = [
                    (score, -place, sentence)
                    for place, (sentence, score) in enumerate(ranked)
                    if low <= len(sentence.split()) <= high
                ]
                if fitting:
                    found.append((f"summarise-{name}", text, max(fitting)[2]))
    return found


def ranks(story: str) -> list[tuple[str, float]]:
    """The sentences of a story in their order, with TextRank's scores; those that are linked with
    no other are left out, and so are those in which a quote is open. Raises ValueError without
    `summa`."""
    try:
        from summa.summarizer import summarize
    except ImportError:
        raise ValueError(
            "Summaries are picked by the library summa: pip install summa, or leave out --stories."
        ) from None
    found = summarize(story, ratio=1.0, scores=True) or []
    return [
        (" ".join(text.split()), float(score)) for text, score in found if text.count('"') % 2 == 0
    ]


def replies(stories: list[str]) -> list[Row]:
    """What is said in a story, and what is said next by somebody else, as far as one can tell."""
    found = []
    for story in stories:
        turns = spoken(story)
        for (one, _), (other, answers) in zip(turns, turns[1:]):
            if answers and all(fits(text) for text in (one, other)):
                found.append(("reply", one, other))
    return found


def spoken(story: str) -> list[tuple[str, bool]]:
    """What is said, turn by turn, and whether it answers the turn before. Quotes belong to one turn
    if words stand between them, but no new sentence and no new line begins; who is called by a
    pronoun there may be the speaker still, so that this is no answer."""
    turns: list[tuple[str, bool]] = []
    last = 0
    for found in SAID.finditer(story):
        between, text = story[last : found.start()], " ".join(found[1].split())
        began = re.split(r"[.!?]\s+(?=\S)|\n", between)
        if turns and len(began) == 1 and between.strip():
            turns[-1] = f"{turns[-1][0]} {text}", turns[-1][1]
        else:
            answers = len(between) <= BETWEEN and not PRONOUN.match(began[-1].strip())
            turns.append((text, bool(turns) and answers))
        last = found.end()
    return [(re.sub(",$", ".", text), answers) for text, answers in turns]


def fits(text: str) -> bool:
    return WORDS[0] <= len(text.split()) <= WORDS[1]


def restored(group: list[str], most: int, rng: Random) -> list[Row]:
    """At most so many sentences with their plain words as the source."""
    some = [text for text in group if fits(text) and plain(text)]
    rng.shuffle(some)
    return [("restore", plain(text), text) for text in some[:most]]
