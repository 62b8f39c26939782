"""What the documents hold that is computed."""

from __future__ import annotations

from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS, matrix


def matrix_table() -> str:
    """The process x sampler table as it stands in the README."""
    fits = matrix()
    lines = [
        "| sampler | " + " | ".join(PROCESSES) + " | what it does |",
        "|---|" + ":-:|" * len(PROCESSES) + "---|",
    ]
    for name, chosen in SAMPLERS.items():
        marks = " | ".join("✓" if fits[p, name] else " " for p in PROCESSES)
        lines.append(f"| `{name}` | {marks} | {chosen.about} |")
    return "\n".join(lines)
