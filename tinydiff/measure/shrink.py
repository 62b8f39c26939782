"""Smaller files: a checkpoint's weights with as few bits as its bound allows."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch

from tinydiff.files import replacing
from tinydiff.measure import evaluate, tasking
from tinydiff.nets.precision import auto_is_fp32
from tinydiff.processes import Process
from tinydiff.randomness import seeded
from tinydiff.store import checkpoint
from tinydiff.text import Corpus, Documents, Tasks, paired, pairs

WORSE = 0.002  # nats a character by which fewer bits may change the bound
DRAWS = 4  # noisings of each window
KEPT = ("metrics.jsonl",)  # what else of a folder goes along


def shrink(
    folder: Path, out: Path, corpus: Corpus | Tasks, worse: float = WORSE
) -> dict[int, float]:
    """Write the checkpoint in `folder` to `out` with the fewest bits a weight of which its bound,
    on the same windows of the validation text with the same noise, is at most `worse` nats a
    character from that of its own weights. The change by bits that were tried, the last one taken.
    An evaluation of the weights in `folder` goes along, with a note of what was done since.

    Raises CheckpointError for a text that it has not learned from, and where nothing can be
    written.
    """
    config = checkpoint.read_config(folder)
    checkpoint.check_config(config, folder)
    checkpoint.check_text(config, folder, corpus)
    process, changes = checkpoint.load(folder), {}
    before = bound_on_some(process, corpus)
    with tempfile.TemporaryDirectory() as place:
        for bits in sorted(checkpoint.BITS):
            with replacing(place) as new:
                checkpoint.write(process, config, new, bits)
            changes[bits] = bound_on_some(checkpoint.load(place), corpus) - before
            if abs(changes[bits]) <= worse or bits == max(checkpoint.BITS):
                break
        with replacing(out) as new:
            kept = [folder / name for name in KEPT if (folder / name).is_file()]
            for path in (*Path(place).iterdir(), *kept):
                shutil.copyfile(path, new(path.name))
            if found := evaluated(folder):
                noted = dict(bits=bits, change=changes[bits])
                noted["weights"] = checkpoint.fingerprint(Path(place) / "model.safetensors")
                whole = evaluate.compact(found | {"shrunk": noted})
                new("evaluation.json").write_text(whole, encoding="utf-8")
    return changes


def evaluated(folder: Path) -> dict:
    """The evaluation of exactly the weights in `folder`, {} where there is none."""
    found = checkpoint.read_json(folder / "evaluation.json")
    own = checkpoint.fingerprint(folder / "model.safetensors")
    return found if found.get("weights") == own else {}


def bound_on_some(process: Process, corpus: Corpus | Tasks) -> float:
    """The bound in nats a character on the same windows of the validation text, with the same
    draws, whatever the weights are."""
    with auto_is_fp32():
        if isinstance(corpus, Tasks):
            some = tasking.held(corpus, "valid", max(1, evaluate.SEEN // len(corpus.names)))
            return tasking.bound(process, corpus, "valid", some, DRAWS).nats
        if process.task:
            data = pairs(corpus, process.task, process.length)
            canvas = paired(data.valid[: evaluate.SEEN], data.tokenizer)
            return evaluate.bound_over(process, canvas, DRAWS).nats
        if process.ends and corpus.ended:
            data = Documents(corpus, process.length)
            some = torch.randperm(len(data.valid.room), generator=seeded(0))[: evaluate.SEEN]
            return evaluate.bound_of_documents(process, data, "valid", some, DRAWS).nats
        part = corpus.valid[: evaluate.SEEN * process.length]
        return evaluate.bound(process, part, DRAWS).nats
