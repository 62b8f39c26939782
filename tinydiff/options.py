"""Options: what samplers and guides declare in their signatures, and how a value is checked.

Keyword-only parameters annotated with a Range, a Choice, a Words or a Model are options. Sliders,
menus, command-line flags, settings, links and documentation are all made from the signature.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from tinydiff.sentences import brief, is_number, is_text

__all__ = [
    "Annotated",
    "Choice",
    "Model",
    "Option",
    "Range",
    "Words",
    "check",
    "check_number",
    "declared",
]


@dataclass(frozen=True)
class Range:
    """The values that an option may take, both ends included, and in one line what it does. If the
    default is a whole number, all values must be."""

    low: float
    high: float
    about: str


@dataclass(frozen=True)
class Choice:
    """An option with a few possible values, which depend on the process; the default is the first
    of them. refused: those that are offered to be seen to fail, each with the sentence of why."""

    of: Callable[[Any], Sequence]
    about: str
    refused: Mapping[Any, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Words:
    """An option that is a text of at most `most` characters; "" stands for no text."""

    most: int
    about: str


@dataclass(frozen=True)
class Model:
    """An option of a guide that is another model, of the same tokens; None is none. Settings name
    it, whoever reads them opens it (`runs.request`), and the guide gets the opened Process."""

    about: str


class Option(NamedTuple):
    """An option as its signature declares it. default: None where it depends on the process."""

    default: float | str | None
    span: Range | Choice | Words | Model


def declared(function: Callable) -> dict[str, Option]:
    """The options of a function, in the order of its signature."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {
        name: Option(p.default, annotation(hints.get(name), name))
        for name, p in inspect.signature(function).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }


def first_sentence(function: Callable, who: str) -> str:
    """The first paragraph of a docstring, on one line. Raises ValueError where there is none."""
    if not (words := inspect.getdoc(function)):
        raise ValueError(f"{who} has no docstring, whose first sentence is shown to people.")
    return " ".join(words.split("\n\n")[0].split())


def annotation(hint, name: str) -> Range | Choice | Words | Model:
    """The Range, Choice, Words or Model of a parameter's annotation. Python 3.10 wraps the
    annotation in Optional if the default is None. Raises ValueError where there is none."""
    for part in (hint, *typing.get_args(hint)):
        if hasattr(part, "__metadata__"):
            return part.__metadata__[0]
    raise ValueError(
        f"The option {name!r} is not Annotated with a Range, a Choice, Words or a Model."
    )


def check(name: str, value: object, option: Option, process) -> None:
    """Raises ValueError, in one sentence, unless the value is one that the option may take with
    this process."""
    span = option.span
    if isinstance(span, Range):
        check_number(name, value, span.low, span.high, whole=type(option.default) is int)
    elif isinstance(span, Words):
        if not is_text(value) or len(value) > span.most:
            raise ValueError(
                f"{name} is {brief(value)}; give a text of at most {span.most} characters."
            )
    elif isinstance(span, Model):
        check_model(name, value, process)
    elif not any(type(value) is type(known) and value == known for known in span.of(process)):
        raise ValueError(
            f"{name} is {brief(value)}; with '{process.name}' there are "
            f"{', '.join(map(str, span.of(process)))}."
        )
    elif value in span.refused:
        raise ValueError(span.refused[value])


def check_model(name: str, value: object, process) -> None:
    """Raises ValueError unless value is an opened model of the process's tokens, or None."""
    if value is not None and not hasattr(value, "tokenizer"):  # it was not opened
        raise ValueError(f"{name} is {brief(value)}; give a model that was opened, or None.")
    if value is not None and value.tokenizer != process.tokenizer:
        raise ValueError(
            f"{name} is a model of other tokens than the one that writes: name one of the same."
        )


def check_number(name: str, value: object, low: float, high: float, whole: bool = False) -> None:
    """Raises ValueError unless value is a finite number from low to high, and a whole one if
    `whole`."""
    if not is_number(value) or not low <= value <= high or (whole and value != int(value)):
        span = f"{plainly(low)} to {plainly(high)}"
        raise ValueError(
            f"{name} is {brief(value)}; give a {'whole ' if whole else ''}number from {span}."
        )


def plainly(number: float) -> str:
    """A limit as people write it: 1 and not 1.0."""
    return str(number) if isinstance(number, int) else f"{number:g}"
