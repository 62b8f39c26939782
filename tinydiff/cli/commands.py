"""python -m tinydiff: sample, fill, doubt, mend, rewrite, tasks, train, eval, compare, push, pull,
sweep, matrix, docs, released, families, claim, control, drafting, texts, bench, export, deploy.

Work is done elsewhere; here are the names of the commands.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tinydiff import endings, gaps, guides, mending, plugins, rewrite, runs
from tinydiff.cli import (
    claiming,
    controlling,
    documents,
    drafting,
    errors,
    flags,
    released,
    sweeping,
    terminal,
    training,
)
from tinydiff.files import replacing
from tinydiff.measure import bench, evaluate, families, outside, tasking
from tinydiff.measure import shrink as shrinking
from tinydiff.options import check_number
from tinydiff.sentences import brief, say
from tinydiff.show import export
from tinydiff.store import catalogue, hub
from tinydiff.text import MAX_CANVAS, gather, plain
from tinydiff.text.canvas import GAP
from tinydiff.text.tasks import cutter_of, names_of
from tinydiff.train.loop import SHAPES
from tinydiff.uncertainty import written

MEASURED = ("small", "base")  # the presets of `bench`
TOGETHER = 64  # lines that are rewritten at once
NO_JUDGE = (
    "This installation carries no judge: bits under it are left out, and real words are those of "
    "the text that was learned."
)


def sample(args: argparse.Namespace) -> None:
    """Write a text, animated where there is a terminal, else the finished text alone."""
    asked = asked_of(args)
    if sys.stdout.isatty():
        settings, total, pictures = runs.begin(asked)
        terminal.play(pictures, settings, total, Console())
        return
    request = runs.request(asked)
    *_, frame = request.frames()
    (text,) = endings.read_of(request.process, frame, request.settings["until"])
    say(text)


def doubt(args: argparse.Namespace) -> None:
    """Say how much a model doubts each word of a text: the words, each with a percentage, those
    first that it doubts most."""
    process, head = catalogue.load(args.model), head_of(args)
    words = mending.doubts(process, head, args.text)
    for word in sorted(words, key=lambda word: -word.doubt)[: args.words]:
        say(f"{word.doubt:4.0%}  {args.text[word.start : word.stop]}")


def mend(args: argparse.Namespace) -> None:
    """Mend a text: what a model doubts is taken out and written anew; what it did stands before
    the text on stderr."""
    process, head, text = catalogue.load(args.model), head_of(args), args.text
    settings = {"model": args.model, "steps": args.steps, "seed": args.seed}
    for one, now in mending.mend(settings, process, head, text, args.limit, args.each):
        old = args.text[one.start : one.stop]
        done = "stays" if one.new == old else f"-> {one.new!r}"
        say(f"{old!r} {done} ({one.bits[0]:.2f} -> {one.bits[1]:.2f} bits)", sys.stderr)
        text = now
    say(text)


def head_of(args: argparse.Namespace):
    """The head that doubts, or None for the model's own bets."""
    return catalogue.load(args.head) if args.head else None


def fill(args: argparse.Namespace) -> None:
    """Fill a gap of any length: widths are tried, and the text is written that the model itself
    finds likeliest; the others stand before it on stderr."""
    asked, each = asked_of(args) | {"template": args.text}, args.each
    process = catalogue.load(asked["model"])
    found = []
    for one in gaps.candidates(asked, process, args.widths, each, args.draws):
        found.append(one)
        say(f"{one.bits:.3f} bits a character, {one.width} tokens: {one.inside!r}", sys.stderr)
    say(gaps.best(found).text)


def asked_of(args: argparse.Namespace) -> dict:
    """The settings of a run, from the flags; a name that stands for another model than it did is
    told."""
    settings = flags.settings_of(args)
    tell_other_models(settings.get(name) for name in ("model", *guides.models()))
    return settings


def tell_other_models(names: Iterable[str | None]) -> None:
    """Say on stderr, once, where a name stands for another model than it did; folders are what they
    are."""
    for name in dict.fromkeys(filter(None, names)):
        if not Path(name).is_dir() and (said := catalogue.instead(catalogue.bare(name))):
            say(said, sys.stderr)


def rewrite_(args: argparse.Namespace) -> None:
    """Write what belongs to each line: plain words with their capitals and punctuation, or by a
    task that the model has, a translation, a summary, a reply."""
    process = catalogue.load(args.model or rewriter_for(args.task))
    if not process.task:
        raise ValueError(
            f"The model {args.model!r} writes plain text and was not trained to rewrite: "
            "open it with `sample`."
        )
    task, lines = rewrite.task_of(process, args.task), args.words or typed_lines()
    sources = [plain(line) if task in ("", "restore") else line for line in lines]
    settings = {
        name: getattr(args, name)
        for name in ("sampler", "steps", "seed", "temperature", "candidates")
    }
    for start in range(0, max(1, len(sources)), TOGETHER):
        some = sources[start : start + TOGETHER]
        say("\n".join(rewrite.best(process, some, **settings, task=task)))


def rewriter_for(task: str) -> str:
    """The first bundled model that has a task; of "" the first that rewrites. Raises ValueError
    where none has it."""
    known = catalogue.rewriters()
    if not task:
        return next(iter(known), "restore-masked")
    able = [key for key, model in known.items() if task in (model.task, *names_of(model.task))]
    if not able:
        raise ValueError(
            f"No model here has the task {brief(task)}: name a checkpoint that has it with --model."
        )
    return able[0]


def typed_lines() -> list[str]:
    """The lines of the standard input. Raises ValueError where they are no text, or more than there
    is room for."""
    try:
        text = sys.stdin.read(MAX_CANVAS + 1)
    except UnicodeDecodeError:
        raise ValueError(
            "What comes from the standard input is not UTF-8: give plain text."
        ) from None
    if len(text) > MAX_CANVAS:
        raise ValueError(
            f"More than {MAX_CANVAS:,} characters come from the standard input: give fewer "
            "lines at once."
        )
    return text.splitlines()


def train(args: argparse.Namespace) -> int:
    """Train a model and write its checkpoint."""
    tell_other_models(getattr(args, name, None) for name in ("start", "teacher"))
    return training.train_command(args, "python -m tinydiff train")


def tasks_(args: argparse.Namespace) -> None:
    """Gather pairs for several tasks, as train.tsv and valid.tsv, and learn their tokenizer."""
    paths = [Path(name) if name else None for name in (args.pairs, args.stories)]
    found, out = gather.gathered(*paths, seed=args.seed), Path(args.out)
    cutter = cutter_of(f"bpe-{args.pieces}", found["train"])
    for split, rows in found.items():
        gather.write(rows, out / f"{split}.tsv")
        counts = Counter(task for task, *_ in rows)
        say(f"{split}: " + ", ".join(f"{n:,} {task}" for task, n in sorted(counts.items())))
    with replacing(out) as new:
        for name, data in cutter.files().items():
            new(name).write_bytes(data)
    say(
        f"Written to {out}; train with: python -m tinydiff train --corpus {out / 'train.tsv'} "
        f"--tokenizer {out / 'tokenizer.json'}"
    )


def eval_(args: argparse.Namespace) -> None:
    """Measure a checkpoint and write its evaluation.json and its card."""
    measure = eval_tasks if tasking.learned_by(args.folder) else eval_text
    say(json.dumps(measure(args), indent=1, ensure_ascii=False))


def eval_text(args: argparse.Namespace) -> dict:
    """Of a checkpoint that writes or restores plain text."""
    if not catalogue.has_judge():
        say(NO_JUDGE, sys.stderr)
    texts, along = 16 if args.texts is None else args.texts, args.along or 0
    check_number("texts", texts, 4, 1024, whole=True)
    check_number("draws", args.draws, 2, 1024, whole=True)
    check_number("along", along, 0, 1024, whole=True)
    judge = outside.Judge(args.judge) if args.judge else None
    if judge:
        say(f"The texts are read by {judge.name} too.", sys.stderr)
    data = tasking.text_of(args.folder, args.corpus)
    return evaluate.run(Path(args.folder), data, texts, args.draws, args.samplers, judge, along)


def eval_tasks(args: argparse.Namespace) -> dict:
    """Of a checkpoint of several tasks. Raises ValueError where a judge is asked for."""
    if args.judge:
        raise ValueError("What tasks are for is read by no judge: leave out --judge.")
    amount = tasking.Amount(draws=args.draws, samplers=tuple(args.samplers))
    amount = amount if args.texts is None else replace(amount, texts=args.texts)
    along = min(amount.along, amount.texts) if args.along is None else args.along
    amount = replace(amount, along=along)
    tasking.check(amount)
    return tasking.run(args.folder, tasking.text_of(args.folder, args.corpus), amount)


def shrink(args: argparse.Namespace) -> None:
    """Write a checkpoint with fewer bits a weight, as few as its bound allows."""
    folder = Path(args.folder)
    data = tasking.text_of(folder, args.corpus)
    changes = shrinking.shrink(folder, Path(args.out), data)
    for bits, nats in changes.items():
        say(f"{bits} bits a weight: {nats:+.5f} nats a character")
    say(f"Written to {args.out} with {list(changes)[-1]} bits.")


def compare(args: argparse.Namespace) -> None:
    """Tell how much more one checkpoint needs for the same text than another, with the error of the
    difference."""
    bounds = [catalogue.found_card(name).evaluation for name in args.models]
    try:
        found = evaluate.compare(*(known.get("bound", {}) for known in bounds))
    except (LookupError, TypeError, AttributeError, ArithmeticError):
        raise ValueError(
            "One of the two has a damaged evaluation.json: measure it again with `eval`."
        ) from None
    one, other = args.models
    say(
        f"{one} - {other}: {written(found.value, found.error, signed=True)} nats a "
        "character, on the same windows"
    )


def push(args: argparse.Namespace) -> None:
    """Upload checkpoints to the Hugging Face Hub: one into a repository, or several, each into a
    folder of one."""
    target = hub.Source.parse(args.target)
    if target.revision or (target.folder and len(args.folders) > 1):
        raise ValueError(
            f"{args.target!r} is no place to push to: give user/name, or user/name/folder "
            "for one checkpoint."
        )
    for folder in args.folders:
        inside = Path(folder).resolve().name if len(args.folders) > 1 else target.folder
        say(
            f"Pushed {folder} to "
            f"{hub.push(folder, target.repo, private=args.private, inside=inside)}"
        )


def pull(args: argparse.Namespace) -> None:
    """Fetch a checkpoint from the Hugging Face Hub, without a login; its folder, and the commit
    that it is."""
    found = hub.pull(args.source, seconds=args.seconds)
    say(found.folder)
    say(found.source.revision)


def matrix(args: argparse.Namespace) -> None:
    """Print which sampler fits which process, and which guides there are."""
    if args.markdown:
        say(documents.matrix_table())
    else:
        Console().print(terminal.matrix_table())
        Console().print(terminal.guides_table())


def docs(args: argparse.Namespace) -> int:
    """Write what README.md and docs/ hold that is computed: matrix, tables, the tree."""
    return documents.write_all(args.check)


def released_(args: argparse.Namespace) -> None:
    """Make anew what depends on the bundled checkpoints: recordings, tables, cards, pictures."""
    released.make(args.parts)


def families_(args: argparse.Namespace) -> None:
    """Put every bundled family on one axis, and measure each sampler's own error; written to
    assets/recorded/families.json."""
    tell = Console(stderr=True)
    result = released.make_families(lambda line: tell.print(line, style="dim"), anew=args.errors)
    say(families.markdown(result))


def bench_(args: argparse.Namespace) -> None:
    """Measure the speed of this machine, beside what it could do."""
    tell = Console(stderr=True)
    if args.json and (Path(args.json).is_dir() or not Path(args.json).parent.is_dir()):
        raise ValueError(
            f"{args.json!r} is no place for a file: name one in a folder that is there."
        )
    report = bench.bench(
        tuple(args.preset or MEASURED),
        repeats=args.repeats,
        training=args.training,
        compiled=args.compile,
        bf16=args.bf16,
        device=args.device,
        say=lambda line: tell.print(line, style="dim"),
    )
    if args.json:
        Path(args.json).write_text(json.dumps(report.plain(), indent=1), encoding="utf-8")
    for table in bench.tables(report):
        Console(width=None if sys.stdout.isatty() else 130).print(table)


def export_(args: argparse.Namespace) -> None:
    """Write a run to files; the kind of each is its ending."""
    writers = [(export.writer(path), path) for path in args.files]
    run = export.load_json(args.run_file) if args.run_file else runs.record(asked_of(args))
    for write, path in writers:
        write(run, path, **({"plots": False} if write in export.FILMS and not args.plots else {}))
        say(path)


def deploy_(args: argparse.Namespace) -> None:
    """Make a Hugging Face Space of the page, or of recorded runs."""
    catalogue.check_assets("A Space")
    from tinydiff.deploy import spaces  # the Hub's client takes a while to load

    names = {
        field: getattr(args, field)
        for field in ("repo_id", "hardware", "static", "train", "private")
    }
    lists = {field: tuple(getattr(args, field)) for field in ("models", "secrets", "variables")}
    spaces.deploy(spaces.Target(**names, **lists), args.dry_run, say)


def parser() -> argparse.ArgumentParser:
    """All commands and their flags."""
    prog = "tinydiff" if Path(sys.argv[0]).stem == "tinydiff" else "python -m tinydiff"
    top = errors.Parser(prog=prog, description="Text diffusion that you can watch.")
    top.add_argument("--plugins", metavar="FOLDER", help=plugins.ABOUT)
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, run) -> argparse.ArgumentParser:
        about = run.__doc__
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(run=run)
        return made

    flags.run_flags(command("sample", sample))
    fill_flags(command("fill", fill))
    doubt_flags(command("doubt", doubt))
    mend_flags(command("mend", mend))
    rewrite_flags(command("rewrite", rewrite_))
    flags.train_flags(command("train", train))
    tasks_flags(command("tasks", tasks_))
    eval_flags(command("eval", eval_))
    shrink_flags(command("shrink", shrink))
    compare_flags(command("compare", compare))
    push_flags(command("push", push))
    pull_flags(command("pull", pull))
    sweeping.sweep_flags(command("sweep", sweeping.sweep_command))
    command("matrix", matrix).add_argument(
        "--markdown", action="store_true", help="as it stands in the README"
    )
    command("docs", docs).add_argument(
        "--check", action="store_true", help="write nothing; fail where something is out of date"
    )
    command("released", released_).add_argument(
        "parts", nargs="*", metavar="PART", help="some of it by name (everything)"
    )
    command("families", families_).add_argument(
        "--errors",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure all samplers' errors anew, not only those that are not recorded",
    )
    claiming.claim_flags(command("claim", claiming.claim_command))
    controlling.control_flags(command("control", controlling.control_command))
    drafting.drafting_flags(command("drafting", drafting.drafting_command))
    drafting.texts_flags(command("texts", drafting.texts_command))
    bench_flags(command("bench", bench_))
    export_flags(command("export", export_))
    deploy_flags(command("deploy", deploy_))
    return top


def measured_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("folder", help="of the checkpoint")
    made.add_argument(
        "--corpus",
        default="tiny_shakespeare",
        help="what it was trained on (tiny_shakespeare); of tasks their train.tsv",
    )


def doubt_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("text", help="a text, no longer than what the model reads at once")
    made.add_argument("--model", default=runs.DEFAULTS["model"], help="a model of masks")
    made.add_argument(
        "--head",
        default="",
        help="a head that doubts in one call: a bundled one, as stories, or a checkpoint that was "
        "trained with --doubt (none: the model's own bets, a call for each token)",
    )
    made.add_argument("--words", type=int, default=20, help="words to show (20)")


def mend_flags(made: argparse.ArgumentParser) -> None:
    doubt_flags(made)
    made.add_argument(
        "--limit",
        type=float,
        help="doubt from which on a word is taken out "
        f"({mending.LIMITS['bets']} of bets, {mending.LIMITS['head']} of a head)",
    )
    made.add_argument("--each", type=int, default=4, help="texts of each width of a gap (4)")
    made.add_argument("--steps", type=int, default=8, help="steps of each of them (8)")
    made.add_argument("--seed", type=int, default=0, help="the same seed mends alike (0)")


def fill_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("text", help=f"with one {GAP} where words of any length are to stand")
    made.add_argument(
        "--widths",
        type=lambda typed: [int(part) for part in typed.split(",")],
        default=gaps.WIDTHS,
        help=f"tokens of the gap ({','.join(map(str, gaps.WIDTHS))})",
    )
    made.add_argument("--each", type=int, default=4, help="texts of each width (4)")
    made.add_argument(
        "--draws", type=int, default=gaps.DRAWS, help=f"noisings for the bound ({gaps.DRAWS})"
    )
    flags.run_flags(made, without=("prompt", "template", "length", "until"))


def tasks_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("--out", required=True, metavar="FOLDER", help="the folder to write to")
    made.add_argument(
        "--pairs", metavar="FILE", help="lines that are an English sentence, a TAB, a French one"
    )
    made.add_argument(
        "--stories",
        metavar="FILE",
        help="stories, each ended by a line <|endoftext|>; needs the library summa",
    )
    made.add_argument("--pieces", type=int, default=4096, help="tokens of the tokenizer (4096)")
    made.add_argument("--seed", type=int, default=0, help="which pairs are taken (0)")


def eval_flags(made: argparse.ArgumentParser) -> None:
    measured_flags(made)
    made.add_argument(
        "--samplers",
        nargs="*",
        default=[],
        metavar="SAMPLER",
        help="whose texts are measured over steps and temperatures (all that it has)",
    )
    made.add_argument(
        "--texts",
        type=int,
        help="written for a figure (16); of tasks so many translations each way, and a fourth of "
        "them of each other task (500)",
    )
    made.add_argument(
        "--along",
        type=int,
        metavar="TEXTS",
        help="written for a figure along the steps (half of --texts; of tasks 64, and of them 0 "
        "measures the usual steps alone)",
    )
    made.add_argument(
        "--draws", type=int, default=16, help="noisings of a window for the bound (16)"
    )
    flags.judge_flag(made, "nobody")


def shrink_flags(made: argparse.ArgumentParser) -> None:
    measured_flags(made)
    made.add_argument("out", help="the folder to write to")


def compare_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "models",
        nargs=2,
        metavar="MODEL",
        help="a bundled model or a checkpoint folder that was evaluated",
    )


def push_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("folders", nargs="+", metavar="FOLDER", help="of a checkpoint")
    made.add_argument(
        "target",
        metavar="USER/NAME",
        help="a repository, which is made if it is not there; or USER/NAME/FOLDER",
    )
    made.add_argument("--private", action="store_true", help="make the repository a private one")


def pull_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("source", metavar="USER/NAME[/FOLDER][@REVISION]", help="a public checkpoint")
    made.add_argument("--seconds", type=float, default=600, help="after which it is given up (600)")


def export_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "files", nargs="+", metavar="FILE", help="ending in " + ", ".join(export.WRITERS)
    )
    source = made.add_mutually_exclusive_group()
    source.add_argument(
        "--run", dest="run_file", metavar="JSON", help="a run that was exported as JSON"
    )
    source.add_argument(
        "--record", action="store_true", help="make a new run with the settings below (as usual)"
    )
    made.add_argument(
        "--plots",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the small charts under the text of a film",
    )
    flags.run_flags(made)


def rewrite_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "words",
        nargs="*",
        metavar="LINE",
        help="plain words, or what else the task reads; without any, each line of the standard "
        "input",
    )
    made.add_argument(
        "--task",
        default="",
        metavar="NAME",
        help="of a model that has several, as translate-en-fr",
    )
    made.add_argument(
        "--model",
        help="a bundled model that rewrites, a checkpoint folder or a Hub id (the first that is "
        "bundled and has the task)",
    )
    made.add_argument(
        "--sampler",
        help="a name from `python -m tinydiff matrix` (the surest first, where the model has it)",
    )
    made.add_argument(
        "--steps", type=int, default=rewrite.USUAL, help=f"denoising steps ({rewrite.USUAL})"
    )
    made.add_argument(
        "--candidates",
        type=int,
        default=rewrite.SEEDS,
        help=f"lines to choose from ({rewrite.SEEDS})",
    )
    made.add_argument(
        "--temperature",
        type=float,
        default=rewrite.SURER,
        help=f"below 1 surer, above 1 wilder ({rewrite.SURER})",
    )
    made.add_argument("--seed", type=int, default=0, help="the same seed gives the same lines (0)")


def bench_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--preset",
        action="append",
        choices=SHAPES,
        help="shapes to measure, may be repeated (small and base)",
    )
    made.add_argument(
        "--repeats", type=int, default=15, help="measurements of which the median is taken (15)"
    )
    made.add_argument(
        "--training",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure training steps too",
    )
    made.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure compiled training too",
    )
    made.add_argument(
        "--bf16",
        action="store_true",
        help="measure bfloat16 even where this machine multiplies it slowly",
    )
    made.add_argument("--device", default="auto", help="'cpu', 'cuda' or 'auto'")
    made.add_argument("--json", metavar="FILE", help="write the measurements to this file as well")


def deploy_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "repo_id", metavar="user/name", help="of the Space; one that is there is replaced"
    )
    made.add_argument(
        "--hardware",
        default="cpu-basic",
        help="'cpu-basic', 'zero-a10g' or another that Spaces have (cpu-basic)",
    )
    made.add_argument(
        "--static",
        action="store_true",
        help="recorded runs of every family, with no program behind them",
    )
    made.add_argument(
        "--train", action="store_true", help="train_space.py in the place of the page"
    )
    made.add_argument("--private", action="store_true", help="nobody else sees a Space that is new")
    made.add_argument(
        "--dry-run",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="write the files, to this folder if it is named, and list them; nothing is uploaded",
    )

    def many(flag: str, metavar: str, about: str) -> None:
        made.add_argument(
            flag,
            dest=f"{flag[2:]}s",
            action="append",
            default=[],
            metavar=metavar,
            help=f"{about}; may be repeated",
        )

    many(
        "--model",
        "user/name",
        "a checkpoint of the Hub that the Space is linked with; the page opens with the first, at "
        "the commit that it has now",
    )
    many("--secret", "NAME", "set a secret to the value that this environment variable has here")
    many("--variable", "NAME=value", "set a variable that everybody may see")


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit status."""
    folder, argv = plugins.folder_of(sys.argv[1:] if argv is None else argv)
    if (status := errors.guarded(lambda: plugins.load(folder) and None)) != 0:
        return status
    args = parser().parse_args(argv)
    return errors.guarded(lambda: args.run(args))
