"""Pretrained language models: of the Hub, of a folder as the library `transformers` writes it, or
of a .gguf file (with the package gguf). Each is opened as an autoregressive process, with its own
tokenizer.

Weights are safetensors of a known architecture, and nothing of a repository is run. Sizes are asked
for first. Needs the extra `pretrained`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from tinydiff.files import CheckpointError, from_hub, read_whole
from tinydiff.nets import fast_bf16
from tinydiff.nets.causal import KNOWN, Causal
from tinydiff.processes import PROCESSES, Process
from tinydiff.sentences import brief
from tinydiff.text.corpora import memory
from tinydiff.text.tokenizers.subwords import FILE, Subwords

CONFIG, WEIGHTS, MOST_CONFIG = "config.json", "model.safetensors", 1 << 20
LONGEST = 2048  # tokens of a text, at the most
NAME = re.compile(r"(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>[\w./-]{1,96}))?")
LACKING = "A pretrained model needs `pip install 'tinydiff[pretrained]'` (transformers)."
SHARE = 0.5  # of a machine's memory that the weights may take, in float32


class Source(NamedTuple):
    """Where a model lies: a folder, a .gguf file, or a repository of the Hub at a revision."""

    place: Path | None
    repo: str = ""
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Source | None:
        """None for what is no such place."""
        if (path := Path(text)).suffix == ".gguf":
            return cls(path) if path.is_file() else None
        if path.is_dir():
            return cls(path)
        found = NAME.fullmatch(text)
        return cls(None, found["repo"], found["revision"]) if found else None

    @property
    def is_gguf(self) -> bool:
        return self.place is not None and self.place.suffix == ".gguf"

    def read(self, name: str, limit: int) -> bytes | None:
        """A small file of it; None where there is none."""
        place = self.place
        if place is None:
            found = from_hub(self.repo, name, revision=self.revision)
            place, name = found.parent, found.name
        return read_whole(place / name, limit)

    def config(self) -> dict:
        """Its config.json; {} where there is none that is JSON."""
        try:
            found = json.loads(self.read(CONFIG, MOST_CONFIG) or b"{}")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def place_of(text: str) -> Path | None:
    """The folder or .gguf file in which a model lies on this disk: its own or, of a repository of
    the Hub, the one in which the Hub's client keeps it; None where it is not all here. Nobody is
    asked."""
    source = Source.parse(text)
    if source is None or source.place is not None:
        return source and source.place
    from huggingface_hub import try_to_load_from_cache

    def kept(name: str) -> str | None:
        found = try_to_load_from_cache(source.repo, name, revision=source.revision)
        return found if isinstance(found, str) else None

    sharded = kept(f"{WEIGHTS}.index.json")
    whole = kept(WEIGHTS) or (sharded and all(map(kept, shards(sharded))))
    found = kept(CONFIG) if whole and kept(FILE) else None
    return Path(found).parent if found else None


def shards(index: str) -> set[str]:
    """The files of which an index of weights tells."""
    try:
        return set(json.loads(Path(index).read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {""}


def is_base(text: str) -> bool:
    """Does it name a pretrained model? The Hub is asked where it is a name of that form."""
    source = Source.parse(text)
    if source is None or source.is_gguf:
        return source is not None
    try:
        return "architectures" in source.config()
    except Exception:  # of the Hub, of the network, of the disk
        return False


@lru_cache(maxsize=2)
def base(text: str) -> Process:
    """A pretrained model as an autoregressive process, in bf16 where this machine multiplies it
    fast. Raises CheckpointError, in one sentence."""
    return opened(text, torch.bfloat16 if fast_bf16(torch.device("cpu")) else torch.float32)


def opened(text: str, dtype: torch.dtype = torch.float32) -> Process:
    """`base` anew, with weights in `dtype`."""
    try:
        import transformers
    except ImportError:
        raise CheckpointError(LACKING) from None
    source = Source.parse(text)
    if source is None:
        raise CheckpointError(f"There is no pretrained model {brief(text)}: name one of the Hub.")
    if not source.is_gguf:
        check(text, source)
    where, more = str(source.place or source.repo), {}
    if source.is_gguf:
        where, more = str(source.place.parent), {"gguf_file": source.place.name}
    elif source.revision:
        more = {"revision": source.revision}
    safe = {} if source.is_gguf else {"use_safetensors": True}
    transformers.utils.logging.disable_progress_bar()
    try:
        data = tokenizer_of(source, where, more)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            where, **more, **safe, dtype=dtype
        )
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"The pretrained model {brief(text)} cannot be opened ({type(error).__name__}): name "
            "a language model of the Hub, a folder of one, or a .gguf file (pip install gguf)."
        ) from None
    return process_of(model, data, brief(text))


def check(text: str, source: Source) -> None:
    """Raises CheckpointError for an architecture that is not read here, code of its own, other
    formats of weights, and more of them than memory."""
    try:
        config, size = source.config(), weights(text, source)
    except CheckpointError:
        raise
    except Exception as error:  # of the Hub, of the network
        raise CheckpointError(
            f"The pretrained model {brief(text)} could not be fetched ({type(error).__name__}): "
            "try again, or name a folder that holds it."
        ) from None
    kinds = config.get("architectures")
    kind = kinds[0] if isinstance(kinds, list) and kinds else None
    if kind not in KNOWN:
        raise CheckpointError(
            f"{brief(text)} is of the architecture {brief(kind)}; {' and '.join(KNOWN)} are read."
        )
    if "auto_map" in config:
        raise CheckpointError(f"{brief(text)} comes with code of its own, which is never run.")
    if not size:
        raise CheckpointError(
            f"{brief(text)} has no safetensors; other formats of weights are not loaded."
        )
    if 2 * size > SHARE * memory():  # most are in two bytes a number, and four are taken
        raise CheckpointError(
            f"The weights of {brief(text)} are {size / 1e9:.1f} GB, too much for this machine: "
            "name a smaller model."
        )


def weights(text: str, source: Source) -> int:
    """Bytes of a model's safetensors, 0 where there are none."""
    if place := source.place or place_of(text):
        sizes = {path.name: path.stat().st_size for path in place.glob("*.safetensors")}
    else:
        from huggingface_hub import HfApi

        told = HfApi().model_info(source.repo, revision=source.revision, files_metadata=True)
        sizes = {one.rfilename: one.size or 0 for one in told.siblings or ()}
        sizes = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    return sum(sizes.values())


def tokenizer_of(source: Source, where: str, more: dict) -> bytes:
    """Its tokenizer.json."""
    if source.is_gguf:
        from transformers import AutoTokenizer

        found = AutoTokenizer.from_pretrained(where, **more)
        return found.backend_tokenizer.to_str().encode()
    data = source.read(FILE, 1 << 23)
    if data is None:
        raise CheckpointError(f"There is no {FILE} beside the weights of {brief(where)}.")
    return data


def process_of(model: torch.nn.Module, data: bytes, name: str) -> Process:
    """The process of a model of `transformers` and its tokenizer.json."""
    try:
        tokenizer = Subwords(data)
        ids = json.loads(data)["model"]["vocab"]
        config = model.config
        begin = tokenizer.end_id if tokenizer.end_id is not None else config.bos_token_id
        if not isinstance(begin, int):
            begin = min(ids.values())
        if (end := config.eos_token_id) in range(len(tokenizer)) and not tokenizer.bytes[end]:
            tokenizer.end_id = end  # of a model that was taught to chat, the end of a reply
        net = Causal(model.eval().requires_grad_(False), begin)
        if len(tokenizer) > len(net.embedding):
            raise ValueError(f"its {FILE} has more tokens than it has embeddings.")
    except ValueError as error:
        raise CheckpointError(f"The pretrained model {name} cannot be used: {error}") from None
    net.outputs = len(tokenizer)
    kind = PROCESSES["autoregressive"]
    length = min(LONGEST, config.max_position_embeddings)
    process = kind(net, tokenizer, kind.over.schedule_of(""), length, {})
    process.ends, process.corpus = tokenizer.end_id is not None, name
    return process.eval()
