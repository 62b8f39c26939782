"""`python -m tinydiff drafting`: drafts of a pretrained model, how many are kept and what they
save."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinydiff.measure import drafting
from tinydiff.sentences import say
from tinydiff.store import catalogue


def drafting_command(args: argparse.Namespace) -> None:
    """Measure an adapter beside its base, with the check and without it."""
    drafter = catalogue.load(args.drafter)
    source = args.model or getattr(drafter, "base", "")
    base = catalogue.load(source)
    if not hasattr(drafter, "masks"):
        raise ValueError(f"{args.drafter!r} is no adapter that drafts: name one.")
    drafter.taught_by(base)
    drafting.record(base, drafter, drafter.base, say, Path(args.out), args.quick)
    say(f"It is in {args.out}; `python -m tinydiff docs` writes the tables.")


def drafting_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("--drafter", required=True, help="an adapter, bundled or a folder")
    made.add_argument("--model", default="", help="its base (what the adapter names)")
    made.add_argument("--quick", action="store_true", help="toy sizes: nothing is found out")
    made.add_argument("--out", default=str(drafting.RECORDED), help="the file that is written")
