"""What the page shows before anybody ran anything is what the bundled weights write, or it says
that it is not."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from tinydiff.cli import released
from tinydiff.cli.commands import main
from tinydiff.measure import families, shrink, tables
from tinydiff.nets.precision import auto_is_fp32
from tinydiff.paths import ASSETS
from tinydiff.show import render
from tinydiff.store import card, catalogue, checkpoint
from tinydiff.ui import denoise, originals, pictures, recording, recordings, request

PATHS = {name: ASSETS / "recorded" / f"{name}.json" for name in recordings.RECORDINGS} | {
    "example": denoise.EXAMPLE
}
PATHS |= {"looks": recording.FOLDER / "looks.json"}  # made with the example
PATHS |= {"gif": released.GIF, "families": families.RECORDED, "twenty": tables.TWENTY}
if not PATHS[originals.NAME].is_file():  # of weights that are not bundled, and may be nowhere
    del PATHS[originals.NAME]
# noises and formulas alone, and what was trained for it
NO_WEIGHTS = {"noise", "train", "claims", originals.NAME}
EVALUATED = [key for key, found in catalogue.bundled().items() if catalogue.card_of(key).evaluation]


def anew(name: str) -> str:
    return f"make {name} anew: python -m tinydiff released {name}"


def test_everything_released_is_of_the_bundled_weights():
    """Every recording, the table, the GIF and the page's pictures are the files that were noted,
    made in float32 (Real model, which shows durations, as it runs), and the weights that they were
    made with are the bundled ones."""
    files = {name: path.read_bytes() for name, path in PATHS.items()}
    files["pictures"] = pictures.stored()
    made = recording.made_with()
    assert made.keys() == files.keys()
    for name, note in made.items():
        assert recording.digest(files[name]) == note["file"], anew(name)
        assert note["precision"] == "fp32" or name == "real"
        assert bool(note["weights"]) != (name in NO_WEIGHTS)
        now = {key: catalogue.fingerprint(key) for key in note["weights"]}
        assert note["weights"] == now, anew(name)


@pytest.mark.parametrize("key", EVALUATED)
def test_cards_are_of_the_bundled_weights(key):
    """A card is what would be written today from the evaluation beside it, and says of which
    weights and in which precision its figures are; so do its pictures. Where the weights are not
    bundled, it says that they are not noted."""
    known = catalogue.found_card(key)
    text = (known.path / "README.md").read_text("utf-8")
    assert text == card.text(known), anew("cards")
    made = {}
    if catalogue.bundled()[key].playable:
        made = card.origin(known)
        assert made["precision"] == "fp32"
        assert f"Measured with the weights `{made['weights']}` in fp32." in text, anew("cards")
        assert f"`{catalogue.fingerprint(key)}`" in text, anew("cards")
    elif "weights" not in known.evaluation:
        assert "The weights that these figures were measured with are not noted." in text
    drawn = sorted(known.path.glob("*.png"))
    assert {path.name for path in drawn} >= {card.TRAINING}
    for path in drawn:
        found = Image.open(path).text
        assert {name: found.get(name) for name in made} == made, anew("cards")


def test_another_models_card_is_noticed(tmp_path):
    """A card written for other weights, and a picture without a note, are not those of the bundled
    model."""
    known = catalogue.found_card("masked")
    other = replace(known, evaluation=known.evaluation | {"weights": "0" * 16})
    assert card.text(other) != card.text(known)
    (tmp_path / "other.png").write_bytes(card.pictures(other)[card.TRAINING])
    assert Image.open(tmp_path / "other.png").text["weights"] == "0" * 16
    bare = replace(known, evaluation={k: v for k, v in known.evaluation.items() if k != "weights"})
    assert card.origin(bare) == {} and "are not noted" in card.text(bare)


def test_the_same_seed_writes_the_opening_run_again():
    """In float32 the run of DEFAULTS is the recorded one, to its last character."""
    recorded = render.unpack(json.loads(denoise.EXAMPLE.read_text("utf-8")))
    with auto_is_fp32():
        asked = request.read({})
        *_, frame = asked.frames()
    spelling = render.Spelling()
    for picture in recorded.frames:
        spelling.take(picture)
    written = spelling.text(recorded.frames[-1].text)
    assert written == asked.process.tokenizer.decode(frame.tokens[0])


def test_a_recording_that_is_not_made_again_here_says_so(monkeypatch):
    """In another precision, with other weights, and where nobody noted what it was made with; else
    nothing is said."""
    with auto_is_fp32():
        assert recording.caption("example") == ""
        assert "recording" not in str(denoise.example()["stats"])
        assert "other weights" in recording.caption("nothing of the kind")
        made = recording.made_with()
        monkeypatch.setattr(
            recording,
            "made_with",
            lambda: made | {"example": made["example"] | {"weights": {"masked": "older"}}},
        )
        assert "other weights" in recording.caption("example")
    monkeypatch.undo()
    monkeypatch.setattr(recording, "live_precision", lambda: "bf16")
    assert "in fp32, and here networks run in bf16" in recording.caption("example")
    assert denoise.example()["stats"][-1] == ["", "", recording.caption("example")]


def test_one_command_records_all(tmp_path, monkeypatch, capsys):
    """Every recording by its name, in float32; an unknown name is told and nothing is recorded."""
    done = []
    monkeypatch.setattr(
        recordings,
        "RECORDINGS",
        {
            n: lambda n=n: done.append((n, recording.live_precision()))
            for n in recordings.RECORDINGS
        },
    )
    assert recordings.main([]) == 0 and done == [(name, "fp32") for name in recordings.RECORDINGS]
    assert (
        recordings.main(["nothing"]) == 1
        and "there are example" in capsys.readouterr().err
        and len(done) == len(recordings.RECORDINGS)
    )
    monkeypatch.setattr(recording, "MADE", tmp_path / "made.json")
    recording.save("race", {"a": "\u2019"}, ["masked"], tmp_path / "race.json")
    note = recording.made_with()["race"]
    assert note["weights"] == {"masked": catalogue.fingerprint("masked")}
    assert note["file"] == recording.digest((tmp_path / "race.json").read_bytes())
    with pytest.raises(KeyError):
        recording.save("race", {}, ["nobody"], tmp_path / "race.json")


def test_what_is_released_is_made_by_one_command(monkeypatch, capsys):
    """All parts in their order, each in float32; some by name; an unknown name is one sentence and
    nothing is made."""
    done, known = [], released.parts()
    assert list(known)[-6:] == ["families", "cards", "gif", "twenty", "pictures", "docs"]
    assert known.keys() >= recordings.RECORDINGS.keys()
    made = {n: lambda n=n: done.append((n, recording.live_precision())) for n in known}
    monkeypatch.setattr(released, "parts", lambda: made)
    assert main(["released"]) == 0 and done == [(name, "fp32") for name in known]
    assert main(["released", "gif"]) == 0 and done[-1][0] == "gif" and len(done) == len(known) + 1
    assert main(["released", "gif", "nothing"]) == 2 and len(done) == len(known) + 1
    assert "There is no part 'nothing'; there are" in capsys.readouterr().err


def test_the_figures_of_the_table_are_the_checkpoints_own():
    """families.json was made from the evaluations that lie beside the weights: bits, errors and
    quality of each row are theirs."""
    for row in families.read()["rows"]:
        (known,) = (
            card for card in families.cards_of(row["corpus"]) if card.path.name == row["name"]
        )
        found = known.evaluation
        assert row["bits"] == found["bound"]["bits"] and row["quality"] == families.quality(found)


@pytest.mark.parametrize("key", [key for key in catalogue.bundled() if key.startswith("stories/")])
def test_what_is_bundled_is_the_best_by_validation(key):
    """Of all that its training saw, and of what it was begun with where that was of its family."""
    bounds = [bound for _, bound in checkpoint.curve(catalogue.found_card(key))]
    assert bounds[-1] == min(bounds)


def test_evaluations_are_of_the_bundled_weights():
    """What cards and tables say was measured with the weights that lie beside it, and every model
    that can be played was measured."""
    playable = [key for key, model in catalogue.bundled().items() if model.playable]
    assert len(playable) >= 11
    for key in playable:
        assert (found := catalogue.found_card(key).evaluation), f"measure {key}: eval"
        shrunk = found.get("shrunk", {"weights": found["weights"], "change": 0.0})
        assert abs(shrunk["change"]) <= shrink.WORSE, f"measure {key} anew: eval"
        made = shrunk["weights"], found["precision"]
        assert made == (catalogue.fingerprint(key), "fp32"), f"measure {key} anew: eval"
