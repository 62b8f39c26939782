"""The card of a checkpoint, README.md, which is also the Hub's model card: written from what was
measured, and from nothing else.

What it is, how to use it in three lines, its curves, its quality over steps, a sample, the command
that made it, and of which weights the figures are. It does not measure: that is evaluate.py.
"""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tinydiff import rewrite
from tinydiff.files import write_text
from tinydiff.paths import ASSETS
from tinydiff.sentences import is_number, listed, table
from tinydiff.show import fonts, plots
from tinydiff.store import checkpoint, scored
from tinydiff.store.checkpoint import Card
from tinydiff.text.tasks import names_of
from tinydiff.uncertainty import percent, written

# of training, what a card's command leaves out
NOT_LEARNED = {"device", "precision", "compile", "validate_every", "save_every"}
# on the Hub, of the corpora that are there
DATASETS = {
    "tiny_shakespeare": "karpathy/tiny_shakespeare",
    "tinystories": "roneneldan/TinyStories",
}
TRAINING, STEPS = "training.png", "steps.png"
USE = """*_, frame = tinydiff.generate(process, tinydiff.Canvas.blank(256))
print(process.tokenizer.decode(frame.tokens[0]))"""
LOADED = re.compile(r'(?<=tinydiff\.load\(")[^"\n]*(?="\))')


def write(folder: str | Path, source: str = "") -> None:
    """Write README.md and its pictures. source: the Hub id to load the checkpoint by; "" is its
    folder's name."""
    model = checkpoint.card(folder)
    for name, data in pictures(model).items():
        (model.path / name).write_bytes(data)
    write_text(model.path / "README.md", text(model, source))


def files_for(folder: Path, source: str) -> dict[str, bytes]:
    """The card and its pictures for a Hub id: the existing card with the id put into its lines of
    use, or a new one."""
    path = folder / "README.md"
    if path.is_file():
        own = {picture.name: picture.read_bytes() for picture in sorted(folder.glob("*.png"))}
        return own | {"README.md": LOADED.sub(source, path.read_text("utf-8")).encode()}
    model = checkpoint.card(folder)
    return pictures(model) | {"README.md": text(model, source).encode()}


def collection(repo: str) -> str:
    """The card of a repository that holds a folder for each of several checkpoints."""
    return f"""---
library_name: tinydiff
pipeline_tag: text-generation
license: mit
tags: [tinydiff, text-diffusion]
---

# {repo.split("/")[1]}

Checkpoints of tinydiff, a folder each with a card of its own.

```python
import tinydiff
process = tinydiff.load("{repo}/FOLDER")
{USE}
```
"""


def text(model: Card, source: str = "") -> str:
    return front_matter(model) + "\n" + body(model, source)


def bits(model: Card) -> str | None:
    """Bits a character on held-out text: the evaluation's bound, or else the last validation."""
    if "bound" in model.evaluation:
        return bits_of(model.evaluation["bound"])
    rows = drawable(model.metrics)
    return written(rows[-1]["valid"] / math.log(2), None) if rows else None


def drawable(metrics: list[dict]) -> list[dict]:
    """The rows that can be drawn; others may be cut short, or hold no finite numbers."""
    return [
        row for row in metrics if all(is_number(row.get(key)) for key in ("step", "loss", "valid"))
    ]


# ---------------------------------------------------------------- metadata


def front_matter(model: Card) -> str:
    """The metadata that the Hub reads. YAML includes JSON, so names are written as JSON."""
    process, corpus = model.config["process"], model.config["corpus"]
    kind = "text2text-generation" if model.config.get("task") else "text-generation"
    lines = ["---", "library_name: tinydiff", f"pipeline_tag: {kind}", "license: mit"]
    lines += [f"datasets: [{DATASETS[corpus]}]"] if corpus in DATASETS else []
    lines += [f"tags: [tinydiff, text-diffusion, {process}]"]
    return "\n".join([*lines, *model_index(model, kind), "---", ""])


def model_index(model: Card, kind: str) -> list[str]:
    """The bound and its standard error, in bits a character, with the text that they are of."""
    measured = model.evaluation.get("bound")
    if not measured:
        return []
    several = names_of(model.config.get("task", ""))
    split = "validation" if model.config.get("ends") or several else "last 10 %"
    corpus = json.dumps(
        model.evaluation.get("corpus") or model.config["corpus"], ensure_ascii=False
    )
    metrics = [("bits-per-character", "bits a character, upper bound", measured["bits"])]
    if measured["error"] is not None:
        about = (
            "its standard error"
            if measured.get("each")
            else "its standard error, windows taken for independent"
        )
        metrics += [("bits-per-character-standard-error", about, measured["error"] / math.log(2))]
    return [
        "model-index:",
        f"- name: tinydiff-{model.config['process']}",
        "  results:",
        f"  - task: {{type: {kind}}}",
        f"    dataset: {{name: {corpus}, type: text, split: {split}}}",
        "    metrics:",
        *(
            f'    - {{type: {name}, name: "{about}", value: {value:.4f}, verified: false}}'
            for name, about, value in metrics
        ),
    ]


# ---------------------------------------------------------------- what people read


def body(model: Card, source: str) -> str:
    config, task = model.config, model.config.get("task", "")
    several = names_of(task)
    part = "its training part" if config.get("ends") or several else "the first 90 %"
    made, net = config.get("training", {}), config["net"]
    flags = " ".join(
        flag(key, value) for key, value in made.items() if key not in NOT_LEARNED and value != ""
    )
    lines = [
        f"# tinydiff: {config['process']}",
        "",
        f"A Transformer of {net['layers']} layers, {net['heads']} heads and width "
        f"{net['width']} over {net['length']} {pieces(config)}, "
        f"trained on {config['corpus'].replace('_', ' ')} ({part})"
        f"{scored.names(model) if several else f' for the task {task}' if task else ''}.",
        *labels_of(config),
        "",
        "```python\nimport tinydiff\nprocess = "
        f'tinydiff.load("{source or name_of(model.path)}")\n{use_of(task)}\n```',
        "",
        f"Made by `python train_space.py {flags}` in {config.get('step', 0):,} steps, "
        f"{config.get('seconds', 0) / 60:.0f} minutes on "
        f"{config.get('hardware', 'unknown hardware')}{begun_with(config.get('before'))}."
        f"{best_of(config)}",
        *shown(model),
        *measured_with(model),
    ]
    plain = rewrite.measurements if task else measurements
    found = scored.measurements if several else plain
    told = found(model.evaluation) if model.evaluation else validated(model)
    return "\n".join(lines + told) + "\n"


def use_of(task: str) -> str:
    """The program that writes with a checkpoint."""
    if several := names_of(task):
        return scored.USE.format(several[0])
    return rewrite.USE if task else USE


def begun_with(before: dict | None) -> str:
    """What the network had learned before, where it was begun with another's."""
    if not before:
        return ""
    return (
        f"; begun with the network of {before['name']}, which had had {before['step']:,} steps, "
        f"{before['seconds'] / 60:.0f} minutes"
    )


def best_of(config: dict) -> str:
    """Of which step the weights are, where a later validation was worse."""
    if "best" not in config:
        return ""
    return f" The weights are those of step {config['best']:,}, the best at validation."


def name_of(folder: Path) -> str:
    """The name by which a checkpoint is opened: a bundled one's key, else its folder's name."""
    bundled, folder = (ASSETS / "checkpoints").resolve(), folder.resolve()
    inside = folder.is_relative_to(bundled)
    return folder.relative_to(bundled).as_posix() if inside else folder.name


def origin(model: Card) -> dict[str, str]:
    """The hash of the weights and the precision that a card's figures were measured with; {} where
    the evaluation does not name them."""
    found = model.evaluation
    if "weights" not in found:
        return {}
    return {"weights": found["weights"], "precision": found.get("precision", "unknown")}


def measured_with(model: Card) -> list[str]:
    """`origin` as a line of the card."""
    if not model.evaluation:
        return []
    words = "The weights that these figures were measured with are not noted."
    if made := origin(model):
        words = f"Measured with the weights `{made['weights']}` in {made['precision']}."
    if model.evaluation.get("brief"):
        words += " It was measured briefly: `python -m tinydiff eval` measures more."
    if shrunk := model.evaluation.get("shrunk"):
        words += (
            f" The weights here, `{shrunk['weights']}`, are those in {shrunk['bits']} bits: the "
            f"bound changes by {shrunk['change']:+.4f} nats a character."
        )
    return ["", words]


def labels_of(config: dict) -> list[str]:
    """What kinds of text can be asked for, as a line of the card."""
    known = checkpoint.attributes_of(config)
    if not known:
        return []
    kinds = "; ".join(listed(values) for values in known.values())
    return ["", f"It writes the kinds of text that are asked for by their labels, or any: {kinds}."]


def pieces(config: dict) -> str:
    """What a window's length counts: characters, or pieces of words."""
    return (
        "characters"
        if "tokenizer" not in config
        else f"of {config['tokenizer']['size']:,} pieces of words"
    )


def flag(name: str, value: object) -> str:
    """A setting as the trainer's command line takes it."""
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{dashed}" if value else f"--no-{dashed}"
    return f"--{dashed} {value}"


def validated(model: Card) -> list[str]:
    """What the training itself measured of a checkpoint that was not evaluated."""
    rows = drawable(model.metrics)
    if not rows:
        return ["", "Not evaluated yet."]
    known = f"{written(rows[-1]['valid'], None)} nats a character ({bits(model)} bits)"
    return [
        "",
        f"At step {rows[-1]['step']:,} the training validated it: {known} on some held-out text, "
        "a bound without its error. `python -m tinydiff eval` measures more.",
    ]


def measurements(result: dict) -> list[str]:
    heldout, seen, chosen = result["bound"], result["train_bound"], result["default"]
    return [
        "",
        f"Bound on held-out text: **{nats(heldout)} nats** a character ({bits_of(heldout)} bits), "
        f"over {heldout['windows']} windows; on text it was trained on {nats(seen)} nats. "
        f"{errors_of(heldout)}",
        "",
        f"With {chosen['sampler']}, {chosen['steps']} steps and temperature "
        f"{chosen['temperature']} (in brackets as much real text): "
        f"{', '.join(quality_of(chosen, result['real']))}.",
        "",
        about_words(result),
        "",
        f"Longest run copied from the training text, over {result['texts']} texts: "
        f"{result['longest_copy']} characters (real held-out text: "
        f"{result['real_longest_copy']}).",
        "",
        *([f"The outside judge is {name}.", ""] if (name := result.get("outside")) else []),
        *over_steps(result),
        "",
        *over_temperatures(result),
        "A sample:",
        "",
        f"```\n{result['samples'][0]}\n```",
    ]


def nats(bound: dict) -> str:
    """The bound in nats, to the digits that its error allows."""
    return written(bound["nats"], bound["error"])


def bits_of(bound: dict) -> str:
    return written(bound["bits"], bound["error"] and bound["error"] / math.log(2))


def errors_of(heldout: dict) -> str:
    """What the error of a bound stands for."""
    if heldout.get("each"):
        return (
            "Errors are standard errors, by blocks of consecutive windows, "
            "and are for this text as a sample of others: "
            "two models measured on it are compared window by window (`python -m tinydiff "
            "compare`), which is surer."
        )
    return (
        "The error is of windows taken for independent, because the weights are not there to "
        "measure it anew: by blocks of consecutive "
        "windows it is several times as large."
    )


def quality_of(row: dict, real: dict) -> list[str]:
    """The measured quality of texts in words, with that of real text."""
    words = (
        [f"{percent(row['words'], row.get('words_error'))} real words"]
        if row["words"] is not None
        else []
    )
    bits = (
        [f"{judge(row)} bits a character under the judge ({judge(real)})"]
        if row["bits"] is not None
        else []
    )
    beyond = [f"{outside(row)} under the outside judge ({outside(real)})"] if outside(row) else []
    phrases = (
        [f"{phrases_of(row)} distinct 4-grams of words ({phrases_of(real)})"]
        if phrases_of(row)
        else []
    )
    return [
        *words,
        *bits,
        *beyond,
        *phrases,
        f"{percent(row['distinct4'])} distinct 4-grams ({percent(real['distinct4'])})",
    ]


def judge(row: dict, who: str = "bits") -> str:
    """Bits a character under a judge, ours ("bits") or the outside one; "" where it was not
    asked."""
    if row.get(who) is None:
        return ""
    error = row.get(f"{who}_error")
    return written(row[who], error) if error else f"{row[who]:.2f}"


def outside(row: dict) -> str:
    """The outside judge's bits a character, with the perplexity of a word."""
    bits = judge(row, "outside")
    return f"{bits} (perplexity {row['perplexity']:.0f})" if bits else ""


def phrases_of(row: dict) -> str:
    return percent(row.get("distinct4_words"))


def about_words(result: dict) -> str:
    """How to read a share of real words."""
    if not result.get("letters"):
        return (
            "Real words were not measured as they are today, in words of four letters or more, "
            "and are left out."
        )
    ends = {
        name: percent(found["words"], found["error"])
        for name, found in result["yardsticks"].items()
    }
    return (
        f"Real words are of {result['letters']} letters or more: letters drawn by chance "
        f"reach {ends['letters']}, letters in pairs {ends['pairs']}, "
        f"real text {ends['real']}. Errors are over texts. Where a cell is empty, it was "
        "measured otherwise and is left out."
    )


QUALITY = {  # the columns of every table
    "judge, bits/char": judge,
    "outside judge, bits/char": outside,
    "real words": lambda row: percent(row["words"], row.get("words_error")),
    "distinct 4-grams of words": phrases_of,
    "distinct 4-grams": lambda row: percent(row["distinct4"]),
    "entropy, bits": lambda row: f"{row['entropy']:.2f}",
}


def columns(result: dict) -> dict:
    """The columns of QUALITY of which real text has a value."""
    return {name: cell for name, cell in QUALITY.items() if cell(result["real"])}


def over_steps(result: dict) -> list[str]:
    """The table of real text and of every sampler."""
    known = columns(result)
    rows = [
        f"{row['sampler']} | {row['steps']} | {row['calls']} | {table_cells(row, known)}"
        for row in result["steps"] + result["single"]
    ]
    real = f"real text | | | {table_cells(result['real'], known)}"
    return table(f"sampler | steps | calls | {' | '.join(known)}", real, *rows)


def over_temperatures(result: dict) -> list[str]:
    """The table of temperatures under its title; [] where none was tried."""
    known = columns(result)
    rows = [
        f"{row['sampler']} | {row['temperature']} | {table_cells(row, known)}"
        for row in result["temperatures"]
    ]
    head = f"sampler | temperature | {' | '.join(known)}"
    title = "Temperature at 128 steps: quality against entropy."
    return [title, "", *table(head, *rows), ""] if rows else []


def table_cells(row: dict, columns: dict) -> str:
    return " | ".join(cell(row) for cell in columns.values())


# ---------------------------------------------------------------- pictures


def pictures(model: Card) -> dict[str, bytes]:
    """The training curve and quality over calls as PNG, by their names, each with `origin` as its
    text; what was not measured is not drawn."""
    family, found = model.config["process"], {}
    if rows := drawable(model.metrics):
        found[TRAINING] = plots.training(
            rows, model.evaluation.get("bound", {}).get("nats"), family
        )
    if curves := quality(model):
        real = model.evaluation["real"]["bits"]
        levels = [] if real is None else [plots.Level("real text", real)]
        found[STEPS] = plots.against_calls(curves, "bits a character under the judge", levels)
    return {
        name: small(plots.png(fonts.lend(figure), origin(model))) for name, figure in found.items()
    }


def small(png: bytes) -> bytes:
    """A PNG with a palette of 256 colours, a third of the bytes; its texts are kept."""
    picture, told, out = Image.open(io.BytesIO(png)), PngInfo(), io.BytesIO()
    for name, text in picture.text.items():
        told.add_text(name, text)
    few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(out, "PNG", optimize=True, pnginfo=told)
    return out.getvalue()


def quality(model: Card) -> list[plots.Curve]:
    """The curve of the family's first sampler; the other samplers are in the table."""
    rows = [row for row in model.evaluation.get("steps", ()) if row.get("bits") is not None]
    points = sorted(
        (row["calls"], row["bits"]) for row in rows if row["sampler"] == rows[0]["sampler"]
    )
    return (
        [plots.Curve(rows[0]["sampler"], *zip(*points), family=model.config["process"])]
        if len(points) > 1
        else []
    )


def shown(model: Card) -> list[str]:
    """The lines of the card that show its pictures."""
    rows = drawable(model.metrics)
    curve = (
        f"![Training loss and validation bound over {rows[-1]['step']:,} steps]({TRAINING})"
        if rows
        else ""
    )
    calls = f"![Quality against calls of the network]({STEPS})" if quality(model) else ""
    return [line for picture in (curve, calls) if picture for line in ("", picture)]
