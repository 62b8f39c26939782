"""`python -m tinydiff claim`: measure what is said of text diffusion, and keep it."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinydiff.claims import ordered, results
from tinydiff.claims.lab import Lab
from tinydiff.cli import flags
from tinydiff.measure import outside
from tinydiff.nets.memory import keep_all_freed
from tinydiff.options import check_number
from tinydiff.sentences import say


def claim_command(args: argparse.Namespace) -> None:
    """Measure claims made of text diffusion, training what they need, and write what was found."""
    if bool(args.names) == args.all:
        raise ValueError(f"Name claims, or give --all; there are {', '.join(ordered())}.")
    check_number("seed", args.seed, 0, 2**31, whole=True)
    claims = results.chosen(args.names or ordered())
    judge = outside.Judge(args.judge) if args.judge else None
    keep_all_freed()  # many texts at once take memory that would be given back at each call
    lab = Lab(judge, Path(args.folder), args.quick, args.seed, say)
    for claim in claims:
        say(f"{claim.name}: about {claim.minutes} minutes" if not args.quick else claim.name)
        result = results.measured(claim, lab)
        answer = claim.answer(results.points_of(result))
        path = results.write(result, Path(args.out))
        say(f"{claim.said}\n  {answer.verdict}. {answer.text}\n  {path}")


def claim_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ordered())}")
    made.add_argument("--all", action="store_true", help="every claim")
    made.add_argument(
        "--quick", action="store_true", help="toy sizes: all is done and nothing found out"
    )
    flags.judge_flag(made, "the bundled autoregressive model")
    made.add_argument(
        "--folder",
        default="runs/claims",
        help="of the networks that are trained; what is there is gone on with (runs/claims)",
    )
    made.add_argument("--out", default=str(results.FOLDER), help="where results are written to")
    made.add_argument("--seed", type=int, default=0, help="of texts and noise (0)")
