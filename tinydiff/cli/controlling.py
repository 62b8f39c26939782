"""`python -m tinydiff control`: how well texts keep what is asked of them, every family beside the
others."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinydiff import mending
from tinydiff.claims.lab import Lab, OwnJudge
from tinydiff.cli import flags
from tinydiff.measure import control, outside
from tinydiff.nets.memory import keep_all_freed
from tinydiff.options import check_number
from tinydiff.sentences import say


def control_command(args: argparse.Namespace) -> None:
    """Measure rules, labels and early ends, cell by cell; what was measured before is kept."""
    check_number("seed", args.seed, 0, 2**31, whole=True)
    judge = outside.Judge(args.judge) if args.judge else OwnJudge()
    keep_all_freed()  # bets on many texts take memory that would be given back at each call
    lab = Lab(judge, quick=args.quick)
    study = control.Study(judge, args.seed, args.quick, lambda: lab.heldout, mending.mend)
    path = Path(args.out)
    found = control.record(study, args.cells, path, say)
    say(f"{len(found)} cells are in {path}; `python -m tinydiff docs` writes the tables.")


def control_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "cells",
        nargs="*",
        metavar="CELL",
        help="beginnings of names of cells, such as rule/masked or label (everything, about "
        f"{control.MINUTES} minutes)",
    )
    made.add_argument(
        "--quick", action="store_true", help="toy sizes: all is done and nothing found out"
    )
    flags.judge_flag(made, "the bundled autoregressive model")
    made.add_argument("--out", default=str(control.RECORDED), help="the file of the cells")
    made.add_argument("--seed", type=int, default=0, help="of texts and noise (0)")
