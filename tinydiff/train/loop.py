"""Training: train() is a generator of Progress; closing it stops the work, and `resume` goes on as
if it never had.

Muon for the matrices inside the blocks, AdamW for the rest; an average of the weights (EMA) is what
is kept. Training times are drawn from a normal distribution around 1/2, which learns faster;
validation weighs all times alike, its figure is the bound itself. The trainer knows no process by
name. metrics.jsonl holds a row for each validation, and one for step 0 where the process decides
something before it (`tune`); see checkpoint.py for what is written.

Under `accelerate launch` a step has `batch` windows on each process; `accumulate` computes a
process's windows in parts. All draw the same random numbers and keep their own rows of them
(`TorchRng`), gradients are averaged, and the first process writes: the losses are those of
one process that computes the whole batch at once.
"""

from __future__ import annotations

import copy
import json
import math
import re
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tinydiff import files, rewrite
from tinydiff.classifier import Classifier
from tinydiff.doubt import Doubt
from tinydiff.drafts import HIDDEN, RANK, Drafts
from tinydiff.endings import read_of
from tinydiff.generate import check_number, generate
from tinydiff.nets import fast_bf16, precision
from tinydiff.nets.adapter import Adapter
from tinydiff.nets.causal import Causal
from tinydiff.nets.memory import keep_all_freed
from tinydiff.nets.precision import is_bf16
from tinydiff.processes import PROCESSES, Process, build
from tinydiff.randomness import TorchRng, seeded
from tinydiff.sentences import HUGE, brief, listed
from tinydiff.store import adapters, catalogue, checkpoint
from tinydiff.text import (
    Canvas,
    Corpus,
    Documents,
    Pairs,
    Tasks,
    Tokenizer,
    check_window,
    corpus,
    is_table,
    memory,
    pairs,
    tasks,
)
from tinydiff.text.corpora import MEGABYTES
from tinydiff.train.muon import Muon

AVERAGE = "average"  # the teacher that is the average of what is learned
TIED = 512  # tokens from which on an embedding of their own for the head would be most weights
TUNED = 128  # windows of text that a process looks at to decide what it may
# bytes of a layer's numbers from which on glibc gives memory back at every step, which costs
# time
LARGE = 16 << 20
COMPILING = 60.0  # seconds that it takes on two slow cores
COMPILED_GAIN = 0.15  # the share of the time that it may save
SHAPES = {
    "tiny": dict(layers=2, heads=2, width=64, length=64),
    "small": dict(layers=4, heads=4, width=256, length=256),
    "base": dict(layers=6, heads=6, width=384, length=256),
    "classifier": dict(layers=2, heads=4, width=128, length=256),
    "drafts": dict(layers=30, heads=9, width=576, length=144),  # SmolLM2-135M's, for its memory
}


@dataclass(frozen=True)
class Config:
    """Everything that decides a training run. The command line's flags are these fields."""

    process: Annotated[str, "the kind of noise: a name from `python -m tinydiff matrix`"] = "masked"
    corpus: Annotated[
        str,
        "a UTF-8 file, or 'tiny_shakespeare', 'tinystories' or 'shakespeare'; or several files, "
        "FILE:WEIGHT,FILE:WEIGHT, of which one of weight 2 is read twice as often as one of 1; or "
        "pairs, FILE.tsv, with lines of a task, a source and a target (`python -m tinydiff tasks`)",
    ] = "tiny_shakespeare"
    megabytes: Annotated[float, "of 'tinystories' to learn from"] = MEGABYTES
    label: Annotated[
        str,
        "what 'shakespeare' is labelled with: genre, play or speaker; documents in pieces: any of "
        "mood,dialogue,length; empty is nothing",
    ] = ""
    tokenizer: Annotated[
        str,
        "'characters', 'bpe-4096' for as many pieces of words, or a tokenizer.json or its Hub id",
    ] = "characters"
    classifier: Annotated[
        str,
        "a model, bundled or not, that is to be steered: what is trained tells the labels of its "
        "noised texts (--label) and writes nothing; empty trains a model",
    ] = ""
    doubt: Annotated[
        str,
        "a model of masks, bundled or not: what is trained says which tokens of a text it would "
        "not write itself, and writes nothing; empty trains a model",
    ] = ""
    drafts: Annotated[
        str,
        "a pretrained language model: its id on the Hub, a folder or a .gguf file; what is trained "
        "is an adapter with which it drafts its own next tokens; empty trains a model",
    ] = ""
    task: Annotated[
        str,
        "'restore' learns to rewrite lines without case and punctuation as they were; of pairs, "
        "'all' or some of their tasks, 'translate,reply'; empty is plain text, of pairs all",
    ] = ""
    preset: Annotated[
        str,
        "the network's shape (tiny, small, base) or a whole recipe (classifier, doubt, drafts, "
        "tiny-diffusion-ddpm, with or without -rescaled)",
    ] = "small"
    schedule: Annotated[str, "noise schedule; empty is the one that suits the process"] = ""
    options: Annotated[str, "what the process leaves open, as name=value,name=value"] = ""
    steps: Annotated[int, "optimizer steps"] = 6000
    minutes: Annotated[
        float,
        "minutes of training after which it ends, if the steps have not ended it; 0 is no limit",
    ] = 0.0
    batch: Annotated[int, "windows a step, on each process of `accelerate launch`"] = 32
    accumulate: Annotated[
        int, "parts in which these windows are computed, where memory is short"
    ] = 1
    network: Annotated[str, "the network: 'transformer', or one of a plug-in"] = "transformer"
    teacher: Annotated[
        str,
        "whom a process that learns from another asks: a checkpoint, bundled or not, or 'average', "
        "its own average",
    ] = ""
    start: Annotated[
        str,
        "a checkpoint, bundled or not, with whose network it begins; of another family, with as "
        "much of it as fits; empty begins with random weights",
    ] = ""
    lr: Annotated[float, "highest learning rate"] = 3e-3
    warmup: Annotated[int, "steps in which the learning rate rises"] = 100
    decay: Annotated[
        float, "share of the way, at its end, in which the learning rate falls to 2 % of its height"
    ] = 0.15
    weight_decay: Annotated[float, "of the matrices"] = 0.1
    muon: Annotated[bool, "Muon for the matrices; without it AdamW for everything"] = True
    time_spread: Annotated[
        float,
        "standard deviation of training times around 1/2; 0 draws them uniformly; of no effect "
        "where the option `levels` sets them",
    ] = 0.2
    even_loss: Annotated[
        bool,
        "masked noise: weigh all noise levels alike, and not as the bound does; of no effect where "
        "the option `levels` sets the weights",
    ] = False
    streams: Annotated[
        float,
        "of documents: share of batches that are windows which begin anywhere in them, one behind "
        "the other",
    ] = 0.1
    given: Annotated[float, "share of windows of which a part is given"] = 0.25
    drop_label: Annotated[float, "share of windows trained without any label"] = 0.5
    drop_attribute: Annotated[
        float, "where there are several labels: chance of each to be left out of the others"
    ] = 0.3
    ema: Annotated[
        float, "decay of the averaged weights; the average is young at first, so that it follows"
    ] = 0.999
    clip: Annotated[float, "largest norm of the gradient"] = 1.0
    seed: Annotated[int, "of weights, windows and noise"] = 0
    precision: Annotated[
        str, "'auto' is bf16 where the hardware multiplies it fast, else 'fp32'"
    ] = "auto"
    compile: Annotated[
        bool,
        "compile the network where a trial finds that steps become faster, and the run is "
        "long enough to gain by it",
    ] = True
    device: Annotated[str, "'cpu', 'cuda', or 'auto'"] = "auto"
    validate_every: Annotated[int, "steps between validations"] = 250
    save_every: Annotated[int, "steps between saves of all that resuming needs"] = 250
    out: Annotated[str, "folder of the checkpoint"] = "runs/masked"

    @property
    def beside(self) -> str:
        """The model beside which something is trained that writes nothing itself; "" for none."""
        return self.classifier or self.doubt or self.drafts

    @property
    def shape(self) -> dict:
        """Layers, heads, width and length of the network. Raises ValueError for an unknown
        preset."""
        if self.preset not in PRESETS:
            raise ValueError(f"There is no preset {self.preset!r}; there are {', '.join(PRESETS)}.")
        shape = SHAPES[PRESETS[self.preset].preset]
        if self.task and not is_table(self.corpus):  # lines are shorter than pages
            return shape | {"length": shape["length"] // 2}
        return shape


DDPM = Config(
    preset="base",
    process="gaussian",
    options="parameterisation=epsilon,self_conditioning=no",
    schedule="ddpm-128",
    batch=32,
    lr=1e-3,
    muon=False,
    time_spread=0.0,
)
# what learns beside a frozen network, whose shape it has
BESIDE = Config(steps=1000, lr=1e-3, muon=False, time_spread=0.0, compile=False)
PRESETS = {
    "tiny": Config(
        preset="tiny",
        steps=300,
        warmup=20,
        batch=16,
        compile=False,
        validate_every=100,
        save_every=100,
    ),
    "small": Config(),
    "base": Config(preset="base", batch=64, steps=6000),
    "classifier": Config(
        preset="classifier", network="evidence", steps=1500, muon=False, lr=1e-3, time_spread=0.0
    ),
    "doubt": BESIDE,
    "drafts": replace(
        BESIDE,
        preset="drafts",
        **dict(steps=2000, batch=6, lr=2e-3, warmup=20, decay=0.4, weight_decay=0.0),
        **dict(validate_every=100, save_every=100),  # a step takes seconds
    ),
    # DDPM on embeddings as tutorials have it: 6 layers of width 384, 128 steps, beta from 1e-4 to
    # 0.02, which leaves a quarter of the text at t = 1
    "tiny-diffusion-ddpm": DDPM,
    "tiny-diffusion-ddpm-rescaled": replace(DDPM, schedule="ddpm"),
}


class TrainingError(RuntimeError):
    """Training stopped because it went wrong; the message says at which step and what is left."""


@dataclass(frozen=True)
class Progress:
    """Where training is. valid, bits and sample are None between validations."""

    step: int
    steps: int
    share: float  # of the way to the end, which is steps or minutes: 1 is the end
    loss: float  # nats a character, the training objective
    seconds: float  # since the run began, over all its resumptions
    process: Process = field(repr=False)  # the averaged weights
    valid: float | None = None  # nats a character, the bound on the validation text
    sample: str | None = None

    @property
    def bits(self) -> float | None:
        """Validation bits a character."""
        return None if self.valid is None else self.valid / math.log(2)


def train(config: Config, *, resume: bool = False) -> Iterator[Progress]:
    """Train and yield a Progress after every step. The checkpoint and metrics.jsonl are in
    config.out.

    resume goes on from what was saved there: the losses are those of a run that was never stopped.
    Raises ValueError for a config or corpus that cannot work, before the first step; TrainingError
    if the loss is no longer finite, with the last good checkpoint left in place.
    """
    return start(config, resume=resume).steps()


def start(config: Config, *, resume: bool = False) -> TrainingRun:
    """The run that `train` steps through, for who wants to save it at any moment. Raises as `train`
    does."""
    check(config)
    begun = resume and (Path(config.out) / "config.json").is_file() and not config.drafts
    cut = checkpoint.cutter(Path(config.out)) if begun else config.tokenizer
    if config.beside:
        known = catalogue.load(config.beside)
        cut, config = known.tokenizer, for_beside(config, known)
    data = data_of(config, cut)
    check_memory(config, len(data.tokenizer))
    return TrainingRun(config, data, resume)


Data = Corpus | Documents | Pairs | Tasks


def for_beside(config: Config, known: Process) -> Config:
    """The config with all that a model decides for what stands beside it. Raises ValueError where
    that cannot be trained."""
    if sum(map(bool, (config.classifier, config.doubt, config.drafts))) > 1:
        raise ValueError(
            "A classifier, a head that doubts or an adapter that drafts is trained, not several: "
            "name one model."
        )
    if config.label and not config.classifier:
        what = "What a model doubts" if config.doubt else "What a model drafts"
        raise ValueError(f"{what} has no labels: leave the label out.")
    if config.drafts:
        if not isinstance(known.net, Causal):
            raise ValueError(
                f"{brief(config.drafts)} is no pretrained language model: name one, as "
                "HuggingFaceTB/SmolLM2-135M-Instruct."
            )
        return replace(config, streams=0.0)
    if config.classifier and not config.label:
        raise ValueError(
            "A classifier tells labels: name them, as --label mood, with a corpus that has them."
        )
    if "diffusion" not in known.traits or (config.doubt and "mask" not in known.noise.traits):
        raise ValueError(
            f"{brief(config.beside)} is no model of noise that this can be trained for: name "
            "another, as stories/masked."
        )
    schedule = known.noise.schedule.name
    return replace(config, process=known.name, schedule=schedule, streams=0.0)


def data_of(config: Config, tokenizer: str | Tokenizer) -> Data:
    """What a config learns from, cut by a tokenizer (see `corpus`). Raises ValueError if it cannot
    be had or is too short."""
    length = config.shape["length"]
    label = config.label or None
    if (config.task or is_table(config.corpus)) and label:
        raise ValueError(
            f"The task {config.task or 'all'!r} has no labels: leave out the task or the label "
            f"{label!r}."
        )
    if is_table(config.corpus):
        return tasks(config.corpus, config.task, tokenizer, length)
    data = corpus(config.corpus, label=label, tokenizer=tokenizer, megabytes=config.megabytes)
    if not config.task:
        check_window(data, length)
        return Documents(data, length, config.streams) if data.ended else data
    return pairs(data, config.task, length)


class Objective(nn.Module):
    """The training loss of a process, as a module: what accelerate spreads over processes."""

    def __init__(self, process: Process):
        super().__init__()
        self.process = process

    def forward(self, canvas: Canvas, rng: TorchRng) -> Tensor:
        return self.process.loss(canvas, rng).mean()


def without_place(source: str) -> str:
    """A model as others may read of it: a bundled one by its key, one of the Hub by its id, else
    its folder's name."""
    known = source in catalogue.bundled() or not Path(source).exists()
    return source if known else Path(source).name


class TrainingRun:
    """A training run: the network, its average, the optimizers, the random state, and where all of
    it is saved."""

    def __init__(self, config: Config, data: Data, resume: bool):
        # takes a while to load, and only those who train wait for it
        from accelerate import Accelerator

        check(config)
        self.config, self.data, self.out = config, data, Path(config.out)
        self.together = Accelerator(cpu=config.device == "cpu")
        self.device = (
            self.together.device if self.together.num_processes > 1 else pick_device(config.device)
        )
        torch.manual_seed(config.seed)
        self.shape = {**config.shape, "labels": len(data.labels)}
        several = len(data.attributes)
        self.shape |= {"attributes": several} if several > 1 else {}
        self.shape |= {"tied": 1} if len(data.tokenizer) >= TIED else {}
        # what reads from left to right knows where it is
        knows = {name for name, process in PROCESSES.items() if "causal" in process.traits}
        told = self.from_beginning or isinstance(data, Tasks)
        told = told and config.process not in knows
        told = told or bool(config.beside)
        self.shape |= {"positions": 1} if told else {}
        self.process = self.new_process()
        self.before: dict = {}  # the training that the first network had had
        if config.start and not resume:
            self.begin_with(config.start)
            self.before = checkpoint.trained(
                catalogue.found_card(config.start), without_place(config.start)
            )
        self.average = copy.deepcopy(self.process).eval().requires_grad_(False)
        if self.process.learns_from and config.teacher:
            self.process.taught_by(self.teacher(config.teacher))
        self.rng = seeded(config.seed)
        # one machine of several may multiply bf16 fast and another not; all must take the same
        # steps
        fast, use = self.agreed(fast_bf16(self.device), is_bf16(config.precision, self.device))
        self.optimizers = optimizers(
            self.process, config, torch.bfloat16 if fast == 1 else torch.float32
        )
        self.autocast = precision("bf16" if use == 1 else "fp32", self.device)
        self.step, self.saved, self.seconds = 0, -1, 0.0  # saved: the step of the last save
        self.compiled: bool | None = None  # what the trial found; None before it
        # the average at the best validation, its step, and that validation and the last one
        self.best, self.best_step, self.least, self.valid = self.average, 0, math.inf, math.inf
        if resume:
            self.restore()
        elif (self.out / "resume.json").is_file():
            raise ValueError(
                f"There is a run in {config.out!r} already: resume it, or choose another folder."
            )
        self.objective = self.together.prepare_model(
            Objective(self.process), device_placement=False
        )

    def new_process(self) -> Process:
        """The process that is asked for, untrained."""
        config = self.config
        if config.beside:
            return self.new_beside(catalogue.load(config.beside)).to(self.device)
        process = build(
            config.process,
            self.data.tokenizer,
            config.schedule,
            **self.shape,
            network=config.network,
            options=options_of(config.options),
        ).to(self.device)
        process.time_spread, process.even_loss = config.time_spread, config.even_loss
        process.ends = self.from_beginning
        return process

    def new_beside(self, known: Process) -> Process:
        """What is to stand beside a model, untrained."""
        if self.config.drafts:
            made = Drafts(Adapter.of(known.net, RANK, HIDDEN), known.tokenizer)
            made.taught_by(known.requires_grad_(False))
            return made
        kind, schedule = type(known), known.noise.schedule
        if self.config.doubt:
            net = checkpoint.read_config(catalogue.found_card(self.config.doubt).path)["net"]
            self.shape |= {name: net[name] for name in ("layers", "heads", "width", "length")}
            made = Doubt.build(kind, self.data.tokenizer, schedule, **self.shape)
            made.taught_by(known.requires_grad_(False))
            return made
        net = dict(network=self.config.network, **self.shape)
        made = Classifier.build(kind, self.data.tokenizer, schedule, **net)
        made.noise.load_state_dict(known.noise.state_dict())
        made.noise.requires_grad_(False)
        made.label_names = self.data.attributes
        return made

    @property
    def from_beginning(self) -> bool:
        """Do texts begin at the first position of a window?"""
        return isinstance(self.data, Documents) and self.config.streams < 1

    @property
    def writes(self) -> bool:
        """Is this the process that writes and reports?"""
        return self.together.is_main_process

    @property
    def share(self) -> float:
        """How much of the way is done, by steps or by minutes, whichever is further."""
        limit = 60 * self.config.minutes
        return max(self.step / self.config.steps, min(1.0, self.seconds / limit) if limit else 0.0)

    def teacher(self, source: str) -> Process:
        """Who teaches: a checkpoint of the same tokens, or the average of the weights that are
        learned."""
        if source == AVERAGE:
            return self.average
        teacher = catalogue.load(source, self.device).requires_grad_(False)
        if teacher.tokenizer != self.process.tokenizer:
            raise ValueError(f"The teacher {source!r} has other tokens than the corpus.")
        return teacher

    def begin_with(self, source: str) -> None:
        """Take the weights of another checkpoint's network, of this family or another, where they
        fit; what only this network has, as its table of times, stays as it was drawn, but labels
        and positions are nothing at first, so that it says what that network says. Raises
        ValueError for other tokens or labels, and where less than half would fit."""
        other = catalogue.load(source)
        if other.tokenizer != self.process.tokenizer:
            raise ValueError(
                f"The network of {source!r} reads other tokens: begin with one that has the same "
                "tokenizer."
            )
        reads = self.data.labels and not self.config.beside
        if reads and other.labels and other.labels != self.data.labels:
            raise ValueError(
                f"The network of {source!r} knows the labels {listed(other.labels)}: begin with "
                "one that knows the same, or none."
            )
        weights, current = other.net.state_dict(), self.process.net.state_dict()
        if "head.weight" in current:  # where embedding and head are one table it is the head too
            weights.setdefault("head.weight", weights["embed.weight"])
        fitting = {
            name: weights[name]
            for name, value in current.items()
            if name in weights and weights[name].shape[1:] == value.shape[1:]
            if not (self.config.beside and name == "head.weight")
        }
        taken = 0
        for name, value in fitting.items():
            rows = min(len(value), len(current[name]))  # noise without a MASK has a row less
            current[name][:rows].copy_(value[:rows])
            taken += current[name][:rows].numel()
        if taken < sum(value.numel() for value in current.values()) / 2:
            raise ValueError(
                f"The network of {source!r} is of another shape: begin with one of the same preset."
            )
        for name in current.keys() - weights.keys():
            if name.startswith("label."):
                current[name].zero_()
        if other.name == self.process.name:  # what it learned beside its network: codes of tokens
            learned = other.state_dict()
            for name, own in self.process.state_dict().items():
                if (
                    name in learned
                    and not name.startswith("net.")
                    and own.shape == learned[name].shape
                ):
                    own.copy_(learned[name])

    def steps(self) -> Iterator[Progress]:
        """Train and yield a Progress after every step, with the folder locked. Raises
        CheckpointError where it is, by another."""
        with files.alone(self.out) if self.writes else nullcontext():
            yield from self.taken()

    def taken(self) -> Iterator[Progress]:
        config, clock = self.config, time.perf_counter()
        if self.step == 0:
            self.begin()
        self.speed_up()
        while self.share < 1:
            loss = self.advance()
            loss, spent = self.agreed(loss, time.perf_counter() - clock)
            self.seconds, clock = self.seconds + spent, time.perf_counter()
            last = self.share >= 1
            progress = Progress(
                self.step, config.steps, self.share, loss, self.seconds, self.average
            )
            if last or self.step % config.validate_every == 0:
                progress = replace(progress, valid=self.validate(), sample=self.sample())
                self.record(progress, self.tune())
                self.compare(progress.valid)
                clock = time.perf_counter()  # validation is not training time
            if last or self.step % config.save_every == 0:
                self.save()
                clock = time.perf_counter()
            yield progress

    def compare(self, valid: float) -> None:
        """Keep the weights of the best validation. The checkpoint holds these once a later one is
        worse, so that a run which overfits loses nothing."""
        self.valid = valid
        if valid <= self.least:
            self.best, self.best_step, self.least = copy.deepcopy(self.average), self.step, valid

    @property
    def worse(self) -> bool:
        """Was the last validation worse than an earlier one?"""
        return self.valid > self.least

    def begin(self) -> None:
        """An empty metrics.jsonl, and what the process decides before the first step."""
        if self.writes:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / "metrics.jsonl").write_text("")
        if tuned := self.tune():
            self.write(dict(step=0, **tuned))

    def speed_up(self) -> None:
        """Keep freed memory where steps are large, and compile the network if a trial finds it
        faster."""
        config, width = self.config, self.config.shape["width"]
        rows = config.batch // config.accumulate * config.shape["length"]
        if (
            self.device.type == "cpu" and rows * 4 * width * 4 >= LARGE
        ):  # the widest layer's numbers
            keep_all_freed()
        if config.compile and self.compiled is None:
            self.compiled = self.gains_by_compiling()
        if config.compile and self.compiled:
            self.process.net.compile()

    def gains_by_compiling(self) -> bool:
        """Time a step's forward and backward, not compiled and compiled. Weights and random state
        stay as they are."""
        net, config = self.process.net, self.config
        (plain,) = self.agreed(self.trial_seconds())
        limit = 60 * config.minutes - self.seconds if config.minutes else math.inf
        if min((config.steps - self.step) * plain, limit) * COMPILED_GAIN < COMPILING:
            return False
        net.compile()
        try:
            seconds = self.trial_seconds()
        except RuntimeError:  # no compiler on this machine, or one that cannot
            seconds = math.inf
        net._compiled_call_impl = None  # as before `compile`, which has no opposite
        return self.agreed(seconds)[0] < plain

    def trial_seconds(self, repeats: int = 2) -> float:
        """Seconds of the loss and its gradients on one batch; the least of some, after one that
        warms up."""
        config, took = self.config, []
        rng, part = seeded(0), config.batch // config.accumulate
        canvas = self.data.canvases("train", config.shape["length"], part, rng, config.given).to(
            self.device
        )
        for _ in range(1 + repeats):
            start = time.perf_counter()
            with self.autocast():
                loss = self.objective(canvas, seeded(0))
            self.together.backward(loss)
            loss.item()  # waits for the device
            took.append(time.perf_counter() - start)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        return min(took[1:])

    def advance(self) -> float:
        """One step of training; this process's part of the loss, in nats a character."""
        config, rng, parts = self.config, self.rng, self.config.accumulate
        self.process.train()
        rng.step, rng.part, rng.parts = self.step, 0, 1
        whole = self.data.canvases(
            "train",
            config.shape["length"],
            config.batch * self.together.num_processes,
            rng,
            config.given,
        )
        whole, drawn, loss = self.dropped(whole), rng.state(), 0.0
        for part in range(parts):
            rng.restore(drawn)
            rng.part = self.together.process_index * parts + part
            rng.parts = self.together.num_processes * parts
            last = part == parts - 1  # with whose backward the processes average their gradients
            with nullcontext() if last else self.together.no_sync(self.objective):
                with self.autocast():
                    nats = (
                        self.objective(whole.part(rng.part, rng.parts).to(self.device), rng) / parts
                    )
                if not nats.isfinite():
                    raise TrainingError(
                        f"The loss is not finite at step {self.step + 1}; {self.last_good()}."
                    )
                self.together.backward(nats)
                loss += nats.item()
        self.update()
        # the process gives a loss for each position; what is shown is for each character that
        # counts, as the bound is
        return loss * (whole.given.numel() / self.counted(whole))

    def counted(self, canvas: Canvas) -> int:
        """What losses are the mean over: characters, or texts where a text has one."""
        if self.config.beside:
            return len(canvas.tokens)
        return canvas.characters(self.data.tokenizer).sum().item()

    def update(self) -> None:
        """A step of the optimizers along the gradients, and of the average of the weights."""
        config = self.config
        nn.utils.clip_grad_norm_(self.process.parameters(), config.clip)
        self.lr = config.lr * rate(self.step, self.share, config.warmup, config.decay)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.lr
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        decay = min(config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.process.parameters()), 1 - decay
            )

    def agreed(self, *numbers: float) -> list[float]:
        """The mean of each number over all processes."""
        if self.together.num_processes == 1:
            return list(numbers)
        return self.together.reduce(
            torch.tensor(numbers, dtype=torch.float32, device=self.device), "mean"
        ).tolist()

    def dropped(self, canvas: Canvas) -> Canvas:
        """The canvas with the null class in the place of some labels, so that the network knows
        texts with them and without; where it has several, also texts with some of them."""
        label, B = canvas.label, len(canvas.tokens)
        if self.config.beside:
            return canvas
        null, several = len(self.data.labels), len(self.data.attributes)
        if label is None:
            return canvas.with_label(torch.full((B, several), null) if several else None)
        drop = self.rng.common(B, purpose="label") < self.config.drop_label
        if label.ndim == 2:
            drop = drop[:, None]
        if several > 1:
            each = self.rng.common(B, several, purpose="label")
            drop = drop | (each < self.config.drop_attribute)
        return canvas.with_label(torch.where(drop, null, label))

    @property
    def read_at_once(self) -> int:
        """Texts of a batch on which it is validated; few where a large model reads them too."""
        return 4 if self.config.drafts else 32

    def validate(self, batches: int = 8, batch: int | None = None) -> float:
        """The bound on windows of the validation text without their labels, the same ones and the
        same draws every time, nats a character."""
        rng = seeded(1)
        total = 0.0
        count = 0
        length = self.config.shape["length"]
        with torch.no_grad(), self.autocast():
            for _ in range(batches):
                rows = batch or self.read_at_once
                canvas = self.data.canvases("valid", length, rows, rng, 0.0)
                if not self.config.beside:
                    canvas = canvas.with_label(None)
                total += self.average.bound(canvas.to(self.device), rng).sum().item()
                count += self.counted(canvas)
        return total / count

    def tune(self) -> dict:
        """Let the process look at text that it learns from, and decide what it may."""
        rng, length = seeded(self.step), self.config.shape["length"]
        with self.autocast():
            found = self.process.tune(
                self.data.canvases("train", length, TUNED, rng, 0.0).to(self.device), rng
            )
        for kept, now in zip(self.average.buffers(), self.process.buffers()):
            kept.copy_(now)
        return found

    def sample(self) -> str:
        """A text; of a task a few lines of validation with what is made of them; of a classifier
        how many labels it tells."""
        if self.config.beside:
            length, rng = self.config.shape["length"], seeded(2)
            texts = (
                self.data.canvases("valid", length, self.read_at_once, rng, 0.0) for _ in range(8)
            )
            return self.average.report(texts)
        if isinstance(self.data, Pairs):
            return rewrite.page(self.average, self.data)
        if isinstance(self.data, Tasks):
            return rewrite.page_of_tasks(self.average, self.data)
        *_, frame = generate(
            self.average, Canvas.blank(self.config.shape["length"]), steps=64, seed=1
        )
        return read_of(self.average, frame)[0]

    def record(self, progress: Progress, tuned: dict) -> None:
        self.write(
            dict(
                step=progress.step,
                loss=progress.loss,
                valid=progress.valid,
                seconds=round(progress.seconds, 1),
                lr=self.lr,
                sample=progress.sample,
                **tuned,
            )
        )

    def write(self, row: dict) -> None:
        """A line of metrics.jsonl."""
        if not self.writes:
            return
        with open(self.out / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

    # ------------------------------------------------------------ saving and resuming

    def save(self) -> None:
        """The checkpoint and everything that resuming needs, all of it or nothing. Raises
        CheckpointError if it cannot be written; what was saved before stays.
        """
        if not self.writes:
            return
        config = self.described()
        about = {
            "step": str(self.step),
            "seconds": str(self.seconds),
            "compiled": str(self.compiled),
            "hardware": self.hardware(),
            "best_step": str(self.best_step),
            "least": str(self.least),
            "valid": str(self.valid),
        }
        with files.replacing(self.out) as new:
            checkpoint.write(self.best if self.worse else self.average, config, new)
            save_file(self.state(), new("resume.safetensors"), metadata=about)
            new("resume.json").write_text(json.dumps(asdict(self.config), indent=1), "utf-8")
        self.saved = self.step

    def described(self) -> dict:
        """The contents of config.json; as others may read them, they name no place of this
        machine."""
        training = {k: v for k, v in asdict(self.config).items() if k != "out"} | {
            "corpus": self.data.name
        }
        places = ("start", "teacher", "classifier", "doubt", "drafts")
        training |= {name: without_place(training[name]) for name in places}
        if Path(training["tokenizer"]).is_file():
            training["tokenizer"] = Path(training["tokenizer"]).name
        made = dict(
            training=training,
            step=self.step,
            seconds=round(self.seconds, 1),
            hardware=self.hardware(),
        )
        made |= {"best": self.best_step} if self.worse else {}
        made |= {"before": self.before} if self.before else {}
        made |= {"task": self.data.task} if isinstance(self.data, Pairs | Tasks) else {}
        made |= {"ends": True} if self.process.ends else {}
        made |= {"classifier": True} if self.config.classifier else {}
        made |= {"doubt": True} if self.config.doubt else {}
        if self.config.drafts:
            made |= dict(corpus=self.data.name, fingerprint=self.data.fingerprint)
            return adapters.config_of(self.average, training["drafts"], **made)
        names = checkpoint.names_of_labels(self.data.attributes)
        made |= dict(labels=names, fingerprint=self.data.fingerprint)
        return checkpoint.config_of(self.average, self.shape, self.data.name, **made)

    def state(self) -> dict[str, Tensor]:
        """Weights, their average, the optimizers and the random state, by name."""
        tensors = {f"process.{k}": v for k, v in self.process.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        if self.best_step:
            tensors |= {f"best.{k}": v for k, v in self.best.state_dict().items()}
        for i, optimizer in enumerate(self.optimizers):
            for key, slots in optimizer.state_dict()["state"].items():
                tensors |= {
                    f"optimizer.{i}.{key}.{slot}": torch.as_tensor(v) for slot, v in slots.items()
                }
        tensors["rng"] = self.rng.get_state()
        return {k: v.cpu().contiguous() for k, v in tensors.items()}

    def hardware(self) -> str:
        processes = self.together.num_processes
        return hardware(self.device) + (f", {processes} processes" if processes > 1 else "")

    def restore(self) -> None:
        """Take up the run that was saved in this folder. Raises ValueError if there is none,
        CheckpointError if it is another than is asked for, if what is left of it is damaged, or if
        it is still running.
        """
        path = self.out / "resume.safetensors"
        if not path.is_file():
            raise ValueError(f"There is nothing to resume in {str(self.out)!r}: start without it.")
        self.check_same(config := checkpoint.read_config(self.out))
        self.before = config.get("before", {})
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
            self.take(load_file(path))
            self.step, self.seconds = int(about["step"]), float(about["seconds"])
            self.best_step = int(about.get("best_step", 0))  # of an older version's run: not known
            self.least = float(about.get("least", math.inf))
            self.valid = float(about.get("valid", math.inf))
            if (
                about.get("hardware") == self.hardware()
            ):  # on another machine the trial is made anew
                self.compiled = {"True": True, "False": False}.get(about.get("compiled"))
            check_number("the step", self.step, 0, NUMBERS["steps"][1])
            check_number("the time", self.seconds, 0, HUGE)
        except (
            SafetensorError,
            OSError,
            LookupError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            why = " ".join(str(error).split())[:120]
            raise checkpoint.CheckpointError(
                f"What resuming needs, {path.name} in {str(self.out)!r}, is damaged ({why}): "
                "begin anew in another folder; "
                "--start takes the weights of a checkpoint."
            ) from None
        self.saved = self.step
        if self.writes:
            with files.alone(self.out):
                self.rewind()

    def check_same(self, known: dict) -> None:
        """Raises CheckpointError if a config.json is that of another run than this one: of another
        make, or on another text."""
        if self.config.drafts:
            return self.check_same_drafts(known)
        checkpoint.check_config(known, self.out)
        known = known | {
            "muon": known.get("training", {}).get("muon", self.config.muon),
            "options": self.process.usual_options | known.get("options", {}),
        }
        current = self.described() | {"muon": self.config.muon, "options": self.process.options}
        for key, flag in (
            ("process", "process"),
            ("task", "task"),
            ("labels", "label"),
            ("net", "preset"),
            ("schedule", "schedule"),
            ("options", "options"),
            ("muon", "muon"),
        ):
            there, here = (some.get(key, "") for some in (known, current))
            if there != here:
                raise checkpoint.CheckpointError(
                    f"The run in {str(self.out)!r} has the {key} {brief(there, 120)}, and "
                    f"{brief(here, 120)} is asked for: resume it "
                    f"without --{flag}, or begin another run in another folder."
                )
        checkpoint.check_text(known, self.out, self.data)

    def check_same_drafts(self, known: dict) -> None:
        """The same of an adapter."""
        for key in ("drafts", "fingerprint"):
            if known.get(key) != self.described()[key]:
                raise checkpoint.CheckpointError(
                    f"The run in {str(self.out)!r} is of another model or another text: begin "
                    "another run in another folder."
                )

    def take(self, tensors: dict[str, Tensor]) -> None:
        """Take up weights, optimizers and the random state. Raises what torch raises, or
        ValueError, if they are not this run's."""
        if not all(
            value.isfinite().all() for value in tensors.values() if value.is_floating_point()
        ):
            raise ValueError("not all numbers are finite")
        for name, module in (("process", self.process), ("average", self.average)):
            module.load_state_dict(inside(tensors, name))
        if best := inside(tensors, "best"):
            self.best = copy.deepcopy(self.average)
            self.best.load_state_dict(best)
        for i, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in inside(tensors, f"optimizer.{i}").items():
                index, slot = key.split(".")
                state.setdefault(int(index), {})[slot] = value
            check_slots(optimizer, state)
            optimizer.load_state_dict(
                {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
            )
        self.rng.set_state(tensors["rng"])

    def rewind(self) -> None:
        """Take the rows out of metrics.jsonl that were written after the last save."""
        rows = [
            row
            for row in checkpoint.read_jsonl(self.out / "metrics.jsonl")
            if row["step"] <= self.step
        ]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        files.write_text(self.out / "metrics.jsonl", text)

    def last_good(self) -> str:
        path = self.out / "config.json"
        if not path.is_file():
            return "no checkpoint was written before it"
        return (
            f"the last good checkpoint, of step {checkpoint.read_config(self.out)['step']}, is "
            f"in {str(self.out)!r}"
        )


NUMBERS = {  # of Config: what each may be, both ends included
    "steps": (1, 10**9),
    "megabytes": (0.1, 10**4),
    "minutes": (0, 10**6),
    "batch": (1, 10**6),
    "accumulate": (1, 10**6),
    "lr": (1e-8, 1),
    "warmup": (0, 10**9),
    "decay": (0, 1),
    "streams": (0, 1),
    "weight_decay": (0, 10),
    "time_spread": (0, 10),
    "given": (0, 1),
    "drop_label": (0, 1),
    "drop_attribute": (0, 1),
    "ema": (0, 1),
    "clip": (1e-6, 10**6),
    "seed": (0, 2**63 - 1),
    "validate_every": (1, 10**9),
    "save_every": (1, 10**9),
}


def check(config: Config) -> None:
    """Raises ValueError, in one sentence, for values with which nothing can be trained."""
    for field_ in fields(Config):
        value, kind = getattr(config, field_.name), type(field_.default)
        if field_.name in NUMBERS:
            # 4.0 windows are no number of windows
            value = repr(value) if kind is int and isinstance(value, float) else value
            check_number(field_.name, value, *NUMBERS[field_.name], whole=kind is int)
        elif type(value) is not kind:
            raise ValueError(
                f"{field_.name} is {brief(value)}; give "
                f"{'a text' if kind is str else 'true or false'}."
            )
    if config.batch % config.accumulate:
        raise ValueError(
            f"A batch of {config.batch} cannot be computed in {config.accumulate} equal "
            "parts: choose a divisor."
        )
    taught = config.process in PROCESSES and PROCESSES[config.process].learns_from
    if taught != bool(config.teacher):
        raise ValueError(
            f"'{config.process}' learns from a teacher: name a checkpoint, or {AVERAGE!r}."
            if taught
            else f"'{config.process}' learns from no teacher: leave {brief(config.teacher)} out."
        )
    pick_device(config.device)


def least_memory(config: Config, V: int) -> int:
    """Bytes that a step takes at the least, beside the weights: the windows, and what is kept of
    each position for the way back, 16 vectors of the width a layer (both norms, q, k, v and their
    rotations, the values, the four times wider layer before and after its function) and two of the
    vocabulary.
    """
    shape, size = config.shape, 4 if config.precision == "fp32" else 2
    kept = size * (16 * shape["layers"] * shape["width"] + 2 * V)
    return shape["length"] * (config.batch * 24 + config.batch // config.accumulate * kept)


def check_memory(config: Config, V: int) -> None:
    """Raises ValueError, before anything is allocated, for a batch that is larger than memory."""
    device = pick_device(config.device)
    room = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else memory()
    if (needed := least_memory(config, V)) > room:
        raise ValueError(
            f"A step of {config.batch:,} windows of {config.shape['length']} tokens "
            f"takes more than {needed / 1e9:,.0f} GB of memory "
            f"and there are {room / 1e9:,.0f}: give a smaller batch, or compute it in parts "
            "(accumulate)."
        )


def options_of(text: str) -> dict[str, str]:
    """ "name=value,name=value" as a dictionary. Raises ValueError for anything else."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(key.strip() and sign for key, sign, _ in pairs):
        raise ValueError(f"The options are {text!r}; write them as name=value,name=value.")
    return {key.strip(): value.strip() for key, _, value in pairs}


def check_slots(optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Tensor]]) -> None:
    """Raises ValueError unless what an optimizer remembers of its parameters has their shapes, and
    is the same of all."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    if len({frozenset(slots) for slots in state.values()}) > 1:
        raise ValueError("the optimizer remembers more of some weights than of others")
    for index, slots in state.items():
        if not 0 <= index < len(params) or any(
            v.ndim and v.shape != params[index].shape for v in slots.values()
        ):
            raise ValueError("the optimizer's state is of other weights")


def inside(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under a prefix, without it."""
    return {
        key.removeprefix(prefix + "."): value
        for key, value in tensors.items()
        if key.startswith(prefix + ".")
    }


def rate(step: int, share: float, warmup: int, decay: float) -> float:
    """Share of the highest learning rate: a linear rise over `warmup` steps, and a linear fall to 2
    % over the last `decay` of the way, whose share is done. In between it is constant, so that a
    run may go on for as long as one likes."""
    fall = min(1.0, (1 - share) / decay) if decay else 1.0
    return min(1.0, (step + 1) / max(1, warmup)) * (0.02 + 0.98 * fall)


def optimizers(process: Process, config: Config, dtype: torch.dtype) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks (Jordan 2024, scaled as in arXiv:2502.16982), which
    iterates in `dtype`; AdamW for everything else.
    """
    matrices = [
        p
        for name, p in process.net.named_parameters()
        if p.ndim == 2 and name.startswith("blocks.")
    ]
    chosen = {id(p) for p in matrices}
    rest = [p for p in process.parameters() if id(p) not in chosen]
    adam = dict(lr=config.lr, betas=(0.9, 0.98))
    if not config.muon:
        return [
            torch.optim.AdamW(
                [
                    dict(params=rest, weight_decay=0.0),
                    dict(params=matrices, weight_decay=config.weight_decay),
                ],
                **adam,
            )
        ]
    muon = Muon(
        matrices, dtype=dtype, lr=config.lr, weight_decay=config.weight_decay, momentum=0.95
    )
    return [torch.optim.AdamW(rest, weight_decay=0.0, **adam), muon]


def pick_device(name: str) -> torch.device:
    """The device that is called "cpu", "cuda", "cuda:1" ... or "auto", a GPU where there is one.
    Raises ValueError, in one sentence, for what is no such name and for a GPU that is not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = re.fullmatch(r"cpu|cuda(?::(\d{1,3}))?", name)
    if not found:
        raise ValueError(f"There is no device {brief(name)}; there are 'cpu', 'cuda' and 'auto'.")
    if name != "cpu" and int(found[1] or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"The device {name!r} is not here: give 'cpu', or 'auto' for whatever there is."
        )
    return torch.device(name)


def hardware(device: torch.device) -> str:
    """What this runs on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    names = [line.split(":")[1].strip() for line in cpuinfo() if line.startswith("model name")]
    return f"{torch.get_num_threads()} CPU threads, {names[0] if names else 'unknown processor'}"


def cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []
