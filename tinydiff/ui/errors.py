"""What visitors are told when something is not possible: one sentence, without a traceback."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import gradio as gr

from tinydiff.sentences import brief


def refusal(words: str) -> gr.Error:
    """The error that shows a sentence to the visitor. The sentence may hold what a stranger typed,
    and the toast reads HTML."""
    return gr.Error(html.escape(words, quote=False), print_exception=False)


def said(error: gr.Error) -> dict:
    """The value with which a player or a panel shows the sentence of an error at the field it is
    about, and keeps what it shows."""
    return {"refused": html.unescape(str(error.message))}


@contextmanager
def refusals() -> Iterator[None]:
    """A ValueError inside becomes a gr.Error with the same sentence."""
    try:
        yield
    except ValueError as error:
        raise refusal(str(error)) from None


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """The value, which must be one of the choices. Raises gr.Error that lists them."""
    if not isinstance(value, str) or value not in choices:
        raise refusal(f"There is no {name} {brief(value)}; there are {', '.join(choices)}.")
    return value
