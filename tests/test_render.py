"""Pictures, states and the wire: what is packed comes back, and what is drawn is what was
written."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tinydiff import Canvas, generate
from tinydiff.exact import Markov, perfect
from tinydiff.processes import PROCESSES
from tinydiff.show import export, render
from tinydiff.show.render import (
    AGAIN,
    BEHIND,
    DOUBT,
    GIVEN,
    MASK,
    MASKED,
    NEW,
    NOISE,
    WRITTEN,
    Picture,
    Run,
)
from tinydiff.text import Characters

TEXT = "to be or not to be that is the question "


@pytest.fixture(scope="module")
def process():
    tokenizer = Characters.of(TEXT)
    return perfect("masked", Markov.of(tokenizer.encode(TEXT), tokenizer))


@pytest.fixture(scope="module")
def run(process):
    canvas = Canvas.prompt(process.tokenizer, "to be", 24)
    frames = list(generate(process, canvas, sampler="confidence", steps=6, seed=1))
    return Run({"seed": 1}, list(render.record(process, canvas, frames)))


def picture(text: str, confidence: float = 1.0, given: int = 0, step: int = 0) -> Picture:
    L = len(text)
    return Picture(
        step,
        1.0,
        0,
        0.0,
        text,
        text,
        (confidence,) * L,
        (0.0,) * L,
        tuple(i < given for i in range(L)),
    )


def test_a_run_begins_blank_and_ends_written(run):
    """The first picture holds what is given and masks; the last has no mask; steps count up by
    one."""
    first, last = run.frames[0], run.frames[-1]
    assert first.text == "to be" + MASK * 19 and first.given == (True,) * 5 + (False,) * 19
    assert MASK not in last.text and last.text.startswith("to be")
    assert [p.step for p in run.frames] == list(range(7))


def test_pictures_are_the_frames(process):
    """Text and likeliest tokens of a picture are the frame's tokens, decoded."""
    canvas = Canvas.blank(12)
    frames = list(generate(process, canvas, sampler="ancestral", steps=5, seed=3))
    first, *others = render.record(process, canvas, frames)
    assert first.text == MASK * 12 and first.step == 0
    for frame, shown in zip(frames, others):
        assert shown.text.replace(MASK, "·") == process.tokenizer.decode(frame.tokens[0])
        assert shown.best.replace(MASK, "·") == process.tokenizer.decode(frame.best[0])
        assert shown.confidence == pytest.approx(frame.confidence[0].tolist())


def test_a_row_of_the_batch(process):
    """Each row of a batch is a run of its own."""
    canvas = Canvas.blank(12, batch=3)
    frames = list(generate(process, canvas, sampler="ancestral", steps=4, seed=3))
    ends = [list(render.record(process, canvas, frames, row))[-1].text for row in range(3)]
    assert ends == [process.tokenizer.decode(row) for row in frames[-1].tokens]


def test_the_likeliest_tokens_fall_and_sum_to_at_most_one(run):
    """For each cell a mask, or five different characters with falling probabilities, which the
    best leads."""
    for shown in run.frames[1:]:
        for cell, signs in enumerate(cells(shown.top)):
            if signs == MASK:
                continue
            shares = [render.share_of(s) for s in signs[1::2]]
            assert len(set(signs[::2])) == 5 and shares == sorted(shares, reverse=True)
            assert sum(shares) < 1 + 5 / render.LEVELS and signs[0] == shown.best[cell]


def cells(top: str, pairs: int = 5) -> list[str]:
    found, place = [], 0
    while place < len(top):
        width = 1 if top[place] == MASK else 2 * pairs
        found.append(top[place : place + width])
        place += width
    return found


def test_the_likeliest_tokens_cover_every_cell(run):
    """A picture's likeliest tokens name every cell once."""
    assert all(len(cells(p.top)) == len(p.text) for p in run.frames)


@pytest.mark.parametrize(
    "before, now",
    [("abc", "abc"), ("abc", "xyz"), ("a" * 40, "a" * 39 + "b"), ("", "abc"), ("ab", "abc")],
)
def test_delta_and_apply(before, now):
    """apply(before, delta(before, now)) is now, and a delta is never longer than the text."""
    change = render.delta(before, now)
    assert render.apply(before, change) == now
    assert len(json.dumps(change)) <= len(json.dumps(now)) + 2 or before == now


def test_the_wire_brings_a_run_back(process, run):
    """unpack(pack(run)) is the run, with shares to within one level."""
    value = json.loads(json.dumps(render.pack(run, process.V)))
    back = render.unpack(value)
    assert back.settings == run.settings and value["done"]
    for a, b in zip(run.frames, back.frames, strict=True):
        assert (a.step, a.calls, a.text, a.best, a.given, a.top) == (
            b.step,
            b.calls,
            b.text,
            b.best,
            b.given,
            b.top,
        )
        assert b.confidence == pytest.approx(a.confidence, abs=0.5 / render.LEVELS + 1e-9)
        assert b.entropy == pytest.approx(
            a.entropy, abs=math.log(process.V) * 0.5 / render.LEVELS + 1e-9
        )


def test_streamed_in_pieces_is_the_whole(process, run):
    """However the pictures fall into chunks, the last value unpacks to the same run, and each holds
    those before."""
    wire = render.Wire(len(run.frames), process.V)
    values = [*render.stream(run.frames, wire, every=0), wire.value(done=True)]
    assert len(values) == len(run.frames) + 1
    for earlier, later in zip(values, values[1:]):
        assert later["chunks"][: len(earlier["chunks"])] == earlier["chunks"]
    assert [p.text for p in render.unpack(values[-1]).frames] == [p.text for p in run.frames]


def test_stream_is_not_faster_than_every(process, run):
    """The first two pictures go out at once, the others wait for `every`; nothing is lost."""
    wire = render.Wire(len(run.frames), process.V)
    assert len(list(render.stream(run.frames, wire, every=60))) == 2
    assert len(render.unpack(wire.value(done=True)).frames) == len(run.frames)


def test_states():
    """Each state is what the cell went through: given, masked, new, changed again, unsure,
    written."""
    story = [
        picture("a" + MASK * 3, given=1),
        picture("ab" + MASK * 2, given=1),
        picture("acx" + MASK, given=1),
        picture("a" + MASK + "x" + MASK, 0.1, given=1),
        picture("adx" + MASK, given=1),
    ]
    first, second, third, fourth, fifth = render.states(story)
    assert first == GIVEN + MASKED * 3
    assert second == GIVEN + NEW + MASKED * 2
    assert third == GIVEN + AGAIN + NEW + MASKED
    assert fourth == GIVEN + MASKED + DOUBT + MASKED
    assert fifth == GIVEN + AGAIN + WRITTEN + MASKED


def test_states_of_noise_without_masks():
    """The same signs: a change is new, then changed again; but noise that changes into noise is
    noise, and what stands unsure is not yet text. How sure a change must be is the scene's.
    """
    scene = {"masks": False, "least": 0.3, "view": "", "spots": []}
    story = [
        replace(picture("axyz", 0.1, given=1), scene=scene),
        picture("apyz", 0.1, given=1),
        picture("aqyz", 0.5, given=1),
        picture("aryz", 0.9, given=1),
        picture("aryz", 0.2, given=1),
    ]
    assert list(render.states(story)) == [
        GIVEN + NOISE * 3,
        GIVEN + NOISE * 3,
        GIVEN + NEW + WRITTEN * 2,
        GIVEN + AGAIN + WRITTEN * 2,
        GIVEN + NOISE * 3,
    ]
    lower = [replace(story[0], scene=scene | {"least": 0.0}), *story[1:]]
    assert list(render.states(lower))[1] == GIVEN + NEW + NOISE * 2


def older(part):
    """JSON of a run with the keys that older versions wrote."""
    names = {"entropy": "spread", "top": "bets", "view": "sight"}
    head, scene = part["head"], part["head"]["scene"]
    chunks = [
        json.dumps(
            [{("spread" if k == "entropy" else k): v for k, v in frame.items()} for frame in c]
        )
        for c in map(json.loads, part["chunks"])
    ]
    scene = {names.get(key, key): value for key, value in scene.items()}
    part = {names.get(key, key): value for key, value in part.items()}
    return part | {"head": head | {"scene": scene}, "chunks": chunks}


def test_a_run_of_an_older_version_is_read(process, run, tmp_path):
    """What an older version recorded, or exported as JSON, under its keys (spread, bets, sight) is
    the same run."""
    value = render.pack(run, process.V)
    assert {"bets"} <= (was := older(value)).keys() and "top" not in was
    assert "sight" in was["head"]["scene"] and '"spread":' in was["chunks"][0]
    assert render.unpack(was) == render.unpack(value)
    export.json(run, tmp_path / "run.json")
    data = json.loads((tmp_path / "run.json").read_text("utf-8"))
    for row in data["frames"]:
        row["bets"] = row.pop("top")
    data["frames"][0]["scene"]["sight"] = data["frames"][0]["scene"].pop("view")
    (tmp_path / "older.json").write_text(json.dumps(data), "utf-8")
    assert export.load_json(tmp_path / "older.json") == export.load_json(tmp_path / "run.json")


@pytest.mark.parametrize("name", PROCESSES)
def test_every_noise_travels(name):
    """A run of each process comes over the wire with what is particular to its noise; before the
    first step stands its noise, masks or characters, and the positions that it shows are open ones.
    """
    tokenizer = Characters.of(TEXT)
    model = perfect(name, Markov.of(tokenizer.encode(TEXT), tokenizer))
    canvas = Canvas.prompt(tokenizer, "to be", 80)
    run = Run({}, list(render.record(model, canvas, generate(model, canvas, steps=4, seed=1))))
    back = render.unpack(json.loads(json.dumps(render.pack(run, model.V))))
    scene = back.frames[0].scene
    assert (
        scene == run.frames[0].scene
        and render.is_scene(scene, 80)
        and all(p.scene is None for p in run.frames[1:])
    )
    assert [p.view for p in back.frames] == [p.view for p in run.frames]
    assert (MASK in run.frames[0].text) == scene["masks"] and MASK not in run.frames[-1].text
    each = {
        "": 0,
        "ratios": 1,
        "walk": 2,
        "planes": model.noise.D if model.view_name == "planes" else 0,
    }[model.view_name]
    assert len(run.frames[2].view) == len(scene["spots"]) * each
    if model.view_name in ("walk", "planes"):
        assert scene["spots"] == sorted(set(scene["spots"])) and min(scene["spots"]) >= 5
        assert len(scene["spots"]) == model.noise.view_called(model.view_name).most


def test_what_is_no_scene_is_refused():
    """A scene that anybody wrote has the parts and the positions that the player reads."""
    good = {
        "masks": True,
        "least": 0.0,
        "view": "walk",
        "spots": [1],
        "signs": "ab",
        "map": "!!!!",
    }
    assert render.is_scene(good, 4)
    for bad in (
        {"masks": 1},
        {"wide": 1},
        {"unit": 1},
        {"unit": "x" * 999},
        {"least": "0"},
        {"view": "x"},
        {"view": 1},
        {"view": "x" * 999, "signs": "", "map": ""},
        {"spots": [4]},
        {"spots": ["1"]},
        {"map": "!"},
        {"signs": ""},
    ):
        assert not render.is_scene(good | bad, 4)
    assert not render.is_scene([], 4) and not render.is_scene({}, 4)
    assert render.is_scene(good | {"view": "unheard_of", "signs": "", "map": ""}, 4)


def test_walkers_end_on_their_codes():
    """At the end of a run a walker stands on the place of its character in the map, to within a
    level."""
    tokenizer = Characters.of(TEXT)
    model = perfect("gaussian", Markov.of(tokenizer.encode(TEXT), tokenizer))
    canvas = Canvas.blank(40)
    first, *_, last = render.record(model, canvas, generate(model, canvas, steps=16, seed=1))
    for k, cell in enumerate(first.scene["spots"]):
        v = first.scene["signs"].index(last.text[cell])
        assert last.view[2 * k : 2 * k + 2] == first.scene["map"][2 * v : 2 * v + 2]


def test_the_mask_is_no_character_of_a_model(process):
    """The wire's mask is one ASCII byte that no bundled vocabulary holds."""
    from tinydiff.store import catalogue

    assert len(MASK) == 1 and ord(MASK) < 128 and MASK not in process.tokenizer.characters
    assert MASK not in catalogue.bigrams().tokenizer.characters


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 1, -3, 7])
def test_levels_are_printable(share):
    """A share travels as one printable character and comes back, cut to 0 .. 1, to within half a
    level."""
    sign = render.level(share)
    assert sign.isascii() and sign.isprintable() and not sign.isspace()
    assert render.share_of(sign) == pytest.approx(min(1, max(0, share)), abs=0.5 / render.LEVELS)


def test_one_palette():
    """Every colour of the page has a value in light and in dark, and every family has its own."""
    light, dark = render.palette(), render.palette(dark=True)
    assert light.keys() == dark.keys() and light != dark
    for colours in (light, dark):
        assert len({colours[name] for name in FAMILIES}) == len(FAMILIES)


FAMILIES = [
    "masked",
    "autoregressive",
    "uniform",
    "score-masked",
    "score-uniform",
    "gaussian",
    "bits",
    "block",
]
SPARE = [f"spare-{i}" for i in range(render.SPARE)]
# what is left of linear red, green and blue without the cones for red, or for green (Machado et al.
# 2009, severity 1)
EYES = {
    "all cones": np.eye(3),
    "protan": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deutan": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ]
    ),
}


def oklab(colour: str, eye: str) -> np.ndarray:
    """As perceived, lightness from 0 to 100 (Ottosson 2020)."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    rgb = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    lms = np.array(
        [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
    ) @ (EYES[eye] @ rgb).clip(0, 1)
    return (
        100
        * np.array(
            [
                [0.21045, 0.79362, -0.00407],
                [1.97800, -2.42859, 0.45059],
                [0.02590, 0.78277, -0.80868],
            ]
        )
        @ np.cbrt(lms)
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("eye", EYES)
def test_families_are_told_apart(dark, eye):
    """Any two families differ by 10 in OKLab, and by 6 for readers who do not see red or green as
    others do: three times what can just be told apart side by side. Every process of the page has a
    colour.
    """
    colours = render.palette(dark)
    seen = [oklab(colours[name], eye) for name in FAMILIES]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > (10 if eye == "all cones" else 5.9)
    assert set(PROCESSES) <= set(FAMILIES)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("eye", EYES)
def test_a_family_without_a_colour_is_told_apart_too(dark, eye):
    """The colours to spare differ from each other and from those of all families as families
    do."""
    colours = render.palette(dark)
    seen = [oklab(colours[name], eye) for name in [*SPARE, *FAMILIES]]
    least = 10 if eye == "all cones" else 5.9
    for i in range(len(SPARE)):
        assert min(np.linalg.norm(seen[i] - other) for other in seen[i + 1 :]) > least


def test_every_name_has_a_colour():
    """A family that the style names has its own, any other one of those to spare, and the same
    name the same one; all of them are taken."""
    assert all(render.colour_name(name) == name for name in FAMILIES)
    taken = [render.colour_name(f"plug-in {i}") for i in range(40)]
    assert set(taken) == set(SPARE) == {n for n in render.palette() if n.startswith("spare")}
    assert taken == [render.colour_name(f"plug-in {i}") for i in range(40)]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("ink", ["ink", "faded", "new", *FAMILIES, *SPARE])
@pytest.mark.parametrize("ground", ["paper", "sheet"])
def test_contrast(dark, ink, ground):
    """Text is readable on what it stands on: a contrast of at least 4.5 (WCAG AA)."""
    colours = render.palette(dark)
    a, b = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
    assert (a + 0.05) / (b + 0.05) >= 4.5


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_behind_the_end_nothing_is_drawn():
    """Of texts that end themselves, as soon as all before the END is written; of noise without
    masks when the run is over, because noise holds an END now and then. Other texts have none."""
    scene = {"masks": True, "least": 0.0, "view": "", "spots": [], "end": "Z"}
    texts = f"a{MASK}Z{MASK}", "abZ" + MASK, "abZc"
    found = [*render.states(replace(picture(text), scene=scene) for text in texts)]
    assert [states.count(BEHIND) for states in found] == [0, 1, 1]
    filled = f"a{MASK}Z{MASK}ZZ"
    assert next(render.states([replace(picture(filled), scene=scene)])).endswith("mee")
    noisy = {**scene, "masks": False}
    times = (replace(picture("abZc"), scene=noisy, t=t) for t in (0.5, 0.0))
    assert [states.count(BEHIND) for states in render.states(times)] == [0, 1]
    plain = {**scene, "end": ""}
    assert BEHIND not in next(render.states([replace(picture("abZc"), scene=plain)]))
    assert render.Spelling().shown("abZc", found[2]) == ["a", "b", "Z", ""]
    assert render.is_scene(scene, 4) and not render.is_scene({**scene, "end": "ZZ"}, 4)
