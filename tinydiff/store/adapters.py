"""Adapters of pretrained models on disk: config.json and model.safetensors, as every checkpoint.
They name their base by id and revision and hold only what was trained; of its tokens the hash, so
that an adapter is opened without its base, and refused beside another.
"""

from __future__ import annotations

from pathlib import Path

from tinydiff.drafts import Drafts, Vocabulary
from tinydiff.files import replacing
from tinydiff.nets.adapter import PARTS, Adapter
from tinydiff.sentences import NAME, brief, is_text
from tinydiff.store import checkpoint

LIMITS = {
    "layers": (1, 256),
    "width": (1, 1 << 14),
    "rank": (1, 256),
    "hidden": (1, 1 << 14),
    "masks": (1, 15),
    "tokens": (1, 1 << 20),
}


def config_of(drafts: Drafts, base: str, revision: str = "", **more) -> dict:
    """The contents of config.json. base, revision: of the model beside which it was trained."""
    net = drafts.net
    sizes = dict(layers=net.layers, width=net.width, rank=net.rank, hidden=net.up.out_features)
    shapes = {name: list(shape) for name, shape in net.shapes.items()}
    words = dict(tokens=len(drafts.words), vocabulary=drafts.words.digest)
    named = dict(base=base, revision=revision, masks=drafts.masks, shapes=shapes)
    return {"format": checkpoint.FORMAT, "drafts": named | sizes | words, **more}


def is_adapter(config: dict) -> bool:
    return isinstance(config.get("drafts"), dict)


def save(drafts: Drafts, config: dict, folder: str | Path, bits: int = 16) -> Path:
    """Write both files, or neither. bits: of a weight in a large matrix, as checkpoint.BITS."""
    with replacing(folder) as new:
        checkpoint.write(drafts, config, new, bits)
    return Path(folder)


def load(folder: str | Path) -> Drafts:
    """The adapter in a folder. Raises CheckpointError, in one sentence."""
    folder = Path(folder)
    config = checkpoint.read_config(folder)
    with checkpoint.blamed(folder):
        told = checked(config["drafts"])
        words = Vocabulary(told["tokens"], told["vocabulary"])
        sizes = (told[name] for name in ("layers", "width", "rank", "hidden"))
        net = Adapter(told["shapes"], *sizes)
        drafts = Drafts(net, words, masks=told["masks"])
    found = checkpoint.read_header(folder)
    drafts.load_state_dict(checkpoint.read_weights(folder, drafts, found))
    drafts.base, drafts.revision = told["base"], told["revision"]
    return drafts.eval()


def checked(told: dict) -> dict:
    """What a config says of an adapter. Raises ValueError, KeyError or TypeError."""
    for name, (low, high) in LIMITS.items():
        if type(told[name]) is not int or not low <= told[name] <= high:
            raise ValueError(
                f"drafts.{name} is {brief(told[name])}; it must be a whole number from {low} to "
                f"{high}."
            )
    for name in ("base", "revision", "vocabulary"):
        if not is_text(told[name]) or len(told[name]) > NAME:
            raise ValueError(f"drafts.{name} must be a text of at most {NAME} characters.")
    shapes = {name: tuple(told["shapes"][name]) for name in PARTS}
    high = LIMITS["width"][1]
    for name, shape in shapes.items():
        if len(shape) != 2 or any(type(n) is not int or not 1 <= n <= 4 * high for n in shape):
            raise ValueError(f"the shape of {name} is {brief(list(shape))}.")
    return told | {"shapes": shapes}
