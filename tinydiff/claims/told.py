"""What claims found, as Markdown for docs/claims.md: nothing in it is typed."""

from __future__ import annotations

from tinydiff.claims import CLAIMS, Claim, Plot, Points, results
from tinydiff.measure.families import steps_and_minutes
from tinydiff.measure.tables import table
from tinydiff.store import catalogue, checkpoint
from tinydiff.uncertainty import written

COLUMNS = 12  # of a table, at the most


def figures(plot: Plot, name: str, measured: Points) -> list[list[str]]:
    """The figures of a picture: its head, then a row a line, with a column for each place."""
    lines = {
        label: {point.x: point for point in measured.line(name, label)}
        for label in measured.labels(name)
    }
    places = sorted({x for line in lines.values() for x in line})
    places = places[:: -(-len(places) // COLUMNS)] if len(places) > COLUMNS else places
    head = [plot.x, *(f"{x:,g}" for x in places)]
    return [
        head,
        *(
            [label, *(cell(line.get(x), plot.digits) for x in places)]
            for label, line in lines.items()
        ),
    ]


def cell(point, digits: int) -> str:
    if point is None:
        return ""
    return written(point.value, point.error) if point.error else f"{point.value:.{digits}f}"


def facts(claim: Claim, result: dict) -> list[tuple[str, str]]:
    """With what a claim was measured, in names and values."""
    weights = ", ".join(f"{key} ({digest[:8]})" for key, digest in result["weights"].items())
    texts = sorted({point[5] for point in result["points"] if point[5]})
    trainings = ", trainings and all" if claim.trainings() else ""
    return [
        ("command", f"python -m tinydiff claim {claim.name}"),
        ("takes", f"about {claim.minutes} minutes of two cores{trainings}"),
        ("measured", f"{result['date']}, seed {result['seed']}, {result['precision']}"),
        ("on", result["hardware"]),
        ("judge", result["judge"]),
        ("weights", weights or "those that it trains"),
        ("learned", "; ".join(map(learned, claim.models)) or "as the claim trains them"),
        ("errors", claim.error),
        ("texts a point", ", ".join(f"{n:,}" for n in texts)),
    ]


def learned(key: str) -> str:
    """How long a bundled model learned."""
    steps, minutes = steps_and_minutes(checkpoint.read_config(catalogue.bundled()[key].folder))
    return f"{key} {steps} steps, {minutes} minutes"


def markdown() -> str:
    """All claims that were measured, a section each."""
    return "\n\n".join(section(CLAIMS[name](), *found) for name, found in results.answers().items())


def section(claim: Claim, result: dict, measured: Points, answer) -> str:
    """A claim with its answer and its figures."""
    about = ". ".join(f"{name.capitalize()}: {value}" for name, value in facts(claim, result)[1:])
    parts = [
        f"### {claim.said}",
        f"**{answer.verdict.capitalize()}.** {answer.short}",
        answer.text,
        f"*How:* {claim.how} {claim.note}".rstrip(),
    ]
    for name, plot in claim.plots.items():
        if measured.labels(name):
            head, *rows = figures(plot, name, measured)
            parts += [f"{plot.title}: {plot.y}.", table(head, rows)]
    return "\n\n".join([*parts, f"`python -m tinydiff claim {claim.name}`. {about}."])
