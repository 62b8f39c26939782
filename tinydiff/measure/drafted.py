"""What was measured of drafts (measure/drafting.py), as tables of Markdown for docs/drafts.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinydiff.measure import drafting
from tinydiff.measure.tables import table
from tinydiff.uncertainty import percent, written


def rows_of(check: str) -> Iterator[tuple[str, int, dict, dict]]:
    """Kind of prompts, guesses before a check, what was measured, and the same one by one."""
    for kind, rows in drafting.read().get("kinds", {}).items():
        for name, row in rows.items():
            ahead, checked = name.split("/")
            if checked == check:
                yield kind, int(ahead), row, rows["0/yes"]


def drafts() -> str:
    """Tokens a call and a second, and the share of guesses that is kept, by place."""
    rows = []
    for kind, ahead, row, one in rows_of("yes"):
        speed, plain = (each["tokens"] / each["seconds"] for each in (row, one))
        rows.append(
            [
                kind,
                f"{ahead}" if ahead else "one by one",
                f"{row['tokens'] / row['calls']:.2f}",
                f"{speed:.1f}",
                f"{speed / plain:.2f}",
                " ".join(percent(share) for share in row["kept"]),
            ]
        )
    head = ["prompts", "guesses a check", "tokens a call", "tokens a second", "of one by one"]
    return table([*head, "kept: the first, the second ..."], rows)


def unchecked() -> str:
    """Bits a token, under the model itself, of what guesses make of a text that nobody checks."""
    rows = [
        [
            kind,
            f"{ahead}",
            written(row["bits"], row["bits_error"]),
            written(one["bits"], one["bits_error"]),
        ]
        for kind, ahead, row, one in rows_of("no")
    ]
    return table(["prompts", "guesses a call", "bits a token", "checked"], rows)


def about() -> str:
    """With what it was measured."""
    found = drafting.read()
    if not found:
        return "Not measured yet."
    on = found["on"]
    return (
        f"Measured {on['date']}, {found['base']}, {on['precision']}, on {on['hardware']}; "
        f"{found['length']} tokens behind each of {len(drafting.PROMPTS['stories'])} prompts of a "
        f"kind, temperature {found['temperature']:g}."
    )


TABLES: dict[str, Callable[[], str]] = {
    "drafts": drafts,
    "unchecked": unchecked,
    "drafted": about,
}
