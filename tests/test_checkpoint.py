"""Checkpoints: what is saved is what is loaded, and every folder that is not sound is refused with
a sentence."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import SHAPE, random_process
from tinydiff import files
from tinydiff.generate import generate
from tinydiff.processes import build
from tinydiff.schedules import schedule
from tinydiff.store import catalogue, checkpoint
from tinydiff.store.checkpoint import CheckpointError
from tinydiff.text import Canvas, Characters


@pytest.fixture
def folder(tmp_path):
    process = random_process("masked")
    return checkpoint.save(
        process, checkpoint.config_of(process, {**SHAPE, "labels": 0}, "test"), tmp_path / "model"
    )


def test_round_trip(small, tmp_path):
    """A loaded process writes the same frames as the one that was saved (whose weights bf16 holds
    exactly), and saving again gives the same bytes; nothing but JSON and safetensors is written.
    """
    for p in small.parameters():
        p.data = p.data.bfloat16().float()
    config = checkpoint.config_of(small, {**SHAPE, "labels": 0}, "test")
    folder = checkpoint.save(small, config, tmp_path / "one")
    loaded = tinyload(folder)
    one, two = (
        list(generate(p, Canvas.blank(20), steps=8, seed=1))[-1].tokens for p in (small, loaded)
    )
    assert one.equal(two)
    again = checkpoint.save(loaded, config, tmp_path / "two")
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert all(
        (folder / name).read_bytes() == (again / name).read_bytes()
        for name in ("config.json", "model.safetensors")
    )


def test_a_schedule_with_an_offset_comes_back(tmp_path):
    """The offset of the cosine is part of its name, so a config needs no more than before."""
    process = build("masked", random_process("masked").tokenizer, "cosine-0.008", **SHAPE)
    folder = checkpoint.save(
        process, checkpoint.config_of(process, {**SHAPE, "labels": 0}, "test"), tmp_path
    )
    loaded, t = checkpoint.load(folder), torch.linspace(0, 1, 9)
    assert (
        json.loads((folder / "config.json").read_text())["schedule"]["name"]
        == loaded.noise.schedule.name
        == "cosine-0.008"
    )
    assert loaded.noise.schedule.alpha(t).equal(
        process.noise.schedule.alpha(t)
    ) and not loaded.noise.schedule.alpha(t).equal(schedule("cosine").alpha(t))


def tinyload(folder):
    return catalogue.load(folder)


def change(folder, **edits):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key, value in edits.items():
        target = config
        *parents, name = key.split("__")
        for parent in parents:
            target = target[parent]
        if value is KeyError:
            del target[name]
        else:
            target[name] = value
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    "edit,says",
    [
        (dict(net__width=-1), "net.width is -1; it must be a whole number from 8 to 1536"),
        (dict(net__width=10**9), "net.width is 1000000000"),
        (dict(net__layers=2.5), "net.layers is 2.5"),
        (dict(net__layers=True), "net.layers is True"),
        (dict(net__heads=3), "cannot be shared by 3 heads"),
        (dict(net__width=64), "do not fit its config.json"),
        (dict(net__layers=3), "do not fit its config.json"),
        (dict(process="magic"), "no process 'magic'"),
        (dict(process="__class__"), "no process"),
        (dict(schedule__name="lineal"), "no schedule 'lineal'"),
        (dict(schedule__floor=0), "floor"),
        (dict(schedule__floor="x"), "does not describe a model"),
        (dict(schedule=[]), "does not describe a model"),
        (dict(characters="aab"), "each of them once"),
        (dict(characters="ab"), "do not fit"),
        (dict(characters=7), "does not describe"),
        (dict(net=KeyError), "'net' is missing"),
        (dict(net__labels=KeyError), "'labels' is missing"),
        (dict(format=2), "format 1"),
    ],
)
def test_a_wrong_config_is_refused(folder, edit, says):
    """Each with one sentence, before any memory is taken for it."""
    change(folder, **edit)
    with pytest.raises(CheckpointError, match=says) as error:
        checkpoint.load(folder)
    assert "\n" not in str(error.value)


def places(config: dict, above=()):
    for key, value in config.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


@pytest.mark.parametrize(
    "value",
    [None, -1, 1e308, float("nan"), 10**400, "x" * 1000, [], {}, True],
    ids=lambda v: repr(v)[:9],
)
def test_any_value_anywhere_in_a_config(folder, value):
    """Whatever stands in the place of whatever: a sentence, or a model that writes."""
    sound = json.loads((folder / "config.json").read_text()) | {"task": "", "options": {}}
    for path in places(sound):
        (folder / "config.json").write_text(json.dumps(sound))
        change(folder, **{"__".join(path): value})
        try:
            *_, frame = generate(checkpoint.load(folder), Canvas.blank(8), steps=1)
            assert frame.tokens.shape == (1, 8)
        except CheckpointError as error:
            assert "\n" not in str(error) and len(str(error)) < 420


@pytest.mark.parametrize(
    "text,says",
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "format"),
        (" " * (checkpoint.MAX_CONFIG + 1), "over 262,144 bytes"),
    ],
)
def test_a_config_that_is_no_config(folder, text, says):
    """Empty, cut short, nested without end, of another kind, too large."""
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=says):
        checkpoint.load(folder)


def test_missing_and_foreign_files_are_refused(folder, tmp_path):
    """No folder, no config, no safetensors; a pickle beside them changes nothing."""
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        checkpoint.load(tmp_path / "none")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    checkpoint.load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no model.safetensors"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:5],
        lambda data: b"",
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"}" + data[9:],
    ],
)
def test_damaged_weights_are_refused(folder, damage):
    """Cut short, empty, or with a header that lies about its size."""
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        checkpoint.load(folder)


def whole(folder, bits=8):
    """A checkpoint whose matrices are whole numbers."""
    shape = SHAPE | {"width": checkpoint.ROW}
    process = build("masked", Characters("abcdefgh \n"), schedule("linear"), **shape)
    torch.nn.init.normal_(process.net.head.weight, std=0.5)
    config = checkpoint.config_of(process, {**shape, "labels": 0}, "test")
    with files.replacing(folder) as new:
        checkpoint.write(process, config, new, bits)
    return process, folder


@pytest.mark.parametrize(("bits", "size"), [(8, 0.55), (6, 0.43)])
def test_matrices_of_whole_numbers(tmp_path, bits, size):
    """Every weight is within half a step of what was saved, a row of zeros too; what is loaded and
    saved again is the same bytes, and takes the part of bf16 that its bits are."""
    process, folder = whole(tmp_path / "one", bits)
    loaded, path = checkpoint.load(folder), folder / "model.safetensors"
    for (name, p), q in zip(process.state_dict().items(), loaded.state_dict().values()):
        step = p.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
        assert ((p - q).abs() <= 0.51 * step + 1e-8).all(), name
    config = checkpoint.read_config(folder)
    bf16 = checkpoint.save(loaded, config, tmp_path / "bf16") / "model.safetensors"
    assert path.stat().st_size < size * bf16.stat().st_size + 4000  # of which its header is some
    with files.replacing(tmp_path / "two") as new:
        checkpoint.write(loaded, config, new, bits)
    assert (tmp_path / "two" / "model.safetensors").read_bytes() == path.read_bytes()
    zeros, scale = checkpoint.in_whole_numbers(torch.zeros(2, 64), 8)
    assert zeros.eq(0).all() and scale.isfinite().all()


def test_four_numbers_in_three_bytes():
    """Every number of 6 bits, beside every other, comes back."""
    every = torch.cartesian_prod(torch.arange(-32, 32), torch.arange(-32, 32)).to(torch.int8)
    numbers = every.repeat(1, 2)
    assert checkpoint.packed(numbers).shape == (4096, 3)
    assert checkpoint.unpacked(checkpoint.packed(numbers)).equal(numbers)


@pytest.mark.parametrize("damage", ["missing", "kind", "size"])
def test_scales_that_do_not_fit_are_refused(tmp_path, damage):
    """A matrix of whole numbers without the scales of its rows is damaged."""
    _, folder = whole(tmp_path / "one")
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith(checkpoint.SCALE))
    scale = weights.pop(name)
    weights |= {"kind": {name: scale.float()}, "size": {name: scale[1:]}}.get(damage, {})
    save_file(weights, path)
    with pytest.raises(CheckpointError, match="lacks the scales of its rows"):
        checkpoint.load(folder)


def test_weights_that_are_no_numbers_are_refused(folder):
    """One NaN is enough; an extra tensor is, too."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["net.norm.weight"][0] = torch.nan
    save_file(weights, path)
    with pytest.raises(CheckpointError, match="not all finite"):
        checkpoint.load(folder)
    weights["extra"] = torch.zeros(1)
    save_file(weights, path)
    with pytest.raises(CheckpointError, match="'extra' differs"):
        checkpoint.load(folder)


def test_load_says_what_there_is():
    """A name that is nothing; an id that has the form of a Hub id but cannot be reached is told as
    such."""
    with pytest.raises(CheckpointError, match="name a checkpoint folder or a Hub id .*, or one of"):
        catalogue.load("no such thing")
    with pytest.raises(CheckpointError, match="Hub"):
        catalogue.load("nobody/nothing")


def test_metrics_survive_a_cut(tmp_path):
    """A last row that was cut short is left out."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [row["step"] for row in checkpoint.read_jsonl(path)] == [1, 2]
