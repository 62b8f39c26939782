"""`python -m tinydiff drafting`: drafts of a pretrained model, how many are kept and what they
save."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinydiff.measure import drafting
from tinydiff.options import check_number
from tinydiff.sentences import say
from tinydiff.store import catalogue
from tinydiff.train import texts


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


def texts_command(args: argparse.Namespace) -> None:
    """Have a model write texts, from the first words of others on, for an adapter to learn from;
    those that are there stay."""
    check_number("number", args.number, 1, 10**6, whole=True)
    check_number("tokens", args.tokens, 1, 4096, whole=True)
    model, out = catalogue.load(args.model), Path(args.out)
    prompts = texts.beginnings(Path(args.begin), args.number, args.seed)
    for done in texts.write(model, prompts, out, args.tokens, args.temperature, args.seed):
        say(f"{done:,} of {args.number:,} texts")
    say(f"They are in {out}; `train_space.py --drafts MODEL --corpus {out}` learns from them.")


def texts_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("model", help="who writes: a pretrained model, or any other")
    made.add_argument("out", help="the file of texts")
    made.add_argument("--begin", required=True, help="a file of documents that texts begin as")
    made.add_argument("--number", type=int, default=1000, help="of texts (1000)")
    made.add_argument("--tokens", type=int, default=160, help="behind what is given (160)")
    made.add_argument("--temperature", type=float, default=0.8, help="(0.8)")
    made.add_argument("--seed", type=int, default=0, help="of beginnings and texts (0)")


def drafting_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("--drafter", required=True, help="an adapter, bundled or a folder")
    made.add_argument("--model", default="", help="its base (what the adapter names)")
    made.add_argument("--quick", action="store_true", help="toy sizes: nothing is found out")
    made.add_argument("--out", default=str(drafting.RECORDED), help="the file that is written")
