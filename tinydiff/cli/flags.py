"""Flags made from signatures, and what they say as plain values.

No flag is typed twice: one of training is a field of `train.Config` with its annotation, one of a
sampler or a guide is an option of its signature with its Range.
"""

from __future__ import annotations

import argparse
import typing
from collections.abc import Collection
from dataclasses import fields, replace
from pathlib import Path

from tinydiff import endings, guides, recipes, runs
from tinydiff.measure import outside
from tinydiff.options import Choice, Model, Range, Words
from tinydiff.samplers import SAMPLERS
from tinydiff.schedules import GRIDS
from tinydiff.sentences import brief
from tinydiff.store import checkpoint
from tinydiff.train.loop import PRESETS, Config, check


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def judge_flag(made: argparse.ArgumentParser, usual: str) -> None:
    """Who reads all texts; `usual`: who does where nobody is named, in words."""
    made.add_argument(
        "--judge",
        nargs="?",
        const=outside.USUAL,
        default="",
        metavar="MODEL",
        help="a language model of the Hub, or a .gguf file, that reads all texts; without a name "
        f"{outside.USUAL} ({usual})",
    )


def escaped(about: str) -> str:
    """Help as argparse wants it."""
    return about.replace("%", "%%")


def config_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each field of train.Config. What is not given stays out of the namespace: the
    preset decides it."""
    hints = typing.get_type_hints(Config, include_extras=True)
    for field in fields(Config):
        kind, about = typing.get_args(hints[field.name])
        how = (
            {"action": argparse.BooleanOptionalAction}
            if kind is bool
            else {"type": kind, "metavar": kind.__name__}
        )
        parser.add_argument(
            flag(field.name),
            default=argparse.SUPPRESS,
            help=escaped(f"{about} ({field.default})"),
            **how,
        )


def config_of(args: argparse.Namespace) -> Config:
    """The Config that the flags ask for: their preset's with what is given, or that of the run to
    be resumed."""
    given = {f.name: getattr(args, f.name) for f in fields(Config) if hasattr(args, f.name)} | {
        "out": str(out_of(args))
    }
    if args.resume and (out_of(args) / "resume.json").is_file():
        return replace(saved_config(out_of(args)), **given)
    return replace(PRESETS.get(given.get("preset", ""), Config()), **given)


def saved_config(folder: Path) -> Config:
    """The Config of a run that was saved in a folder. Raises CheckpointError where that cannot be
    read."""
    saved = checkpoint.renamed(checkpoint.read_object(folder, "resume.json"))
    if strange := saved.keys() - {f.name for f in fields(Config)}:
        raise checkpoint.CheckpointError(
            f"The resume.json in {folder.name!r} has {brief(min(strange))}, which this "
            "version does not know: it is damaged or a newer one's."
        )
    check(config := Config(**saved | {"device": "auto"}))  # it may have trained on another machine
    return replace(config, device=saved.get("device", "auto"))


def out_of(args: argparse.Namespace) -> Path:
    """The folder of the run that the flags ask for."""
    preset = PRESETS.get(getattr(args, "preset", ""), Config())
    return Path(getattr(args, "out", "") or f"runs/{getattr(args, 'process', preset.process)}")


def option_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each option of any sampler; whose it is stands in its help."""
    owners: dict[str, list] = {}
    for chosen in SAMPLERS.values():
        for name, (default, span) in chosen.options.items():
            owners.setdefault(name, []).append((chosen.name, default, span))
    for name, uses in owners.items():
        about = "; ".join(
            f"{who}: {span.about} ({reach(default, span)})" for who, default, span in uses
        )
        kind = KINDS[type(uses[0][2])]
        parser.add_argument(flag(name), dest=f"option_{name}", help=escaped(about), **kind)


def guide_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each option of any guide. What is not given stays out of the settings."""
    usual = runs.defaults()
    for name, option in guides.options().items():
        about = f"{option.span.about} ({reach(usual[name], option.span)})"
        kind = KINDS[type(option.span)]
        parser.add_argument(flag(name), dest=f"guide_{name}", help=escaped(about), **kind)


def reach(default: float | str | None, span: Range | Choice | Words | Model) -> str:
    """The values that an option takes, and its default, as help says it."""
    if isinstance(span, Range):
        return f"{span.low:g} to {span.high:g}, {default}"
    return default or ("the first that the model has" if isinstance(span, Choice) else "none")


def number(text: str) -> int | float:
    """A whole number where it is written as one."""
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def word(text: str) -> int | str:
    """A value of a choice, as a number if it is written as one."""
    return int(text) if text.isdecimal() else text


KINDS = {
    Range: dict(type=number, metavar="number"),
    Choice: dict(type=word, metavar="choice"),
    Words: dict(metavar="text"),
    Model: dict(metavar="model"),
}


def run_flags(parser: argparse.ArgumentParser, without: Collection[str] = ()) -> None:
    """What makes a run: the settings of runs.py, but those of some names, and the samplers'
    options."""
    default = runs.DEFAULTS
    for name, about in (
        ("model", "a bundled model, a checkpoint folder or a Hub id (masked)"),
        ("sampler", "a name from `python -m tinydiff matrix` (the model's first)"),
        ("prompt", r"what the text starts with; \n is a new line, \\n is \n"),
        (
            "template",
            "a text with _ (␣ where the model writes _ itself) for each token to be filled in, "
            "in the place of a prompt",
        ),
        ("length", "tokens, the prompt included (256)"),
        (
            "until",
            f"where the text ends: {', '.join(endings.RULES)} (end, of a model that learned where "
            "its texts end; else length)",
        ),
        ("steps", f"denoising steps ({default['steps']})"),
        ("seed", f"the same seed gives the same text ({default['seed']})"),
        ("spacing", f"how the steps lie in time: {', '.join(GRIDS)} ({default['spacing']})"),
        (
            "label",
            "what kind of text, of a model that knows labels: a name or a number, of several "
            "attributes some: 'glad, short'",
        ),
    ):
        if name in without:
            continue
        value = default[name]
        kind = str if value is None else type(value)
        parser.add_argument(flag(name), type=kind, default=value, help=about)
    guide_flags(parser.add_argument_group("guides, which steer what is written"))
    option_flags(parser.add_argument_group("options of the samplers"))


def settings_of(args: argparse.Namespace) -> dict:
    """The settings of a run as plain JSON, from the flags."""
    names = ("model", "sampler", "steps", "length", "seed", "until", "spacing", "label")
    options, steering = (
        {
            name.removeprefix(whose): value
            for name, value in vars(args).items()
            if name.startswith(whose) and value is not None
        }
        for whose in ("option_", "guide_")
    )
    texts = {name: getattr(args, name, None) for name in ("prompt", "template")}
    text = {name: recipes.meant(typed) for name, typed in texts.items() if typed is not None}
    named = {name: getattr(args, name) for name in names if hasattr(args, name)}
    return named | text | steering | {"options": options}


def train_flags(parser: argparse.ArgumentParser) -> None:
    config_flags(parser)
    add = parser.add_argument
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --out, or with the one that was pushed to --push-to, with the "
        "settings it had",
    )
    add(
        "--push-to",
        metavar="USER/NAME",
        help="upload the checkpoint to the Hugging Face Hub at the end",
    )
    add(
        "--push-every",
        metavar="MINUTES",
        type=float,
        default=0.0,
        help="upload it during the training too, in the background, with all that resuming needs; "
        "0 is never (0)",
    )
    add(
        "--evaluate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure the checkpoint briefly before it is pushed at the end, so that its card "
        "tells how good it is",
    )
    add("--private", action="store_true", help="make that Hub repository a private one")
    add("--trackio", metavar="PROJECT", help="log the run to trackio as well, if it is installed")
