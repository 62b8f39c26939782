"""Everything that depends on the bundled checkpoints, made anew by one command: `python -m tinydiff
released`, or some of it by name.

Recordings, which the page shows before anybody ran anything; the table of families; the cards; the
picture of the README; the pictures that the page opens with; the documents. Each carries the hash
of the weights and the precision that it was made with: cards in a line and in the text of their
pictures, everything else in assets/recorded/made.json. Race, Train and the table show durations:
make them on a quiet machine.
"""

from __future__ import annotations

from collections.abc import Callable

from tinydiff import runs
from tinydiff.claims import results
from tinydiff.claims.lab import Lab
from tinydiff.cli import documents
from tinydiff.endings import texts_of
from tinydiff.measure import control, families, outside
from tinydiff.nets.precision import auto_is_fp32
from tinydiff.paths import ASSETS
from tinydiff.sentences import brief, say
from tinydiff.show import export
from tinydiff.store import card, catalogue

GIF = ASSETS / "run.gif"
# the run of the README's picture: the one that the page opens with, in fewer steps
RUN = {"model": "stories/masked", "prompt": "Once upon a time", "seed": 7, "steps": 32}


def parts() -> dict[str, Callable[[], object]]:
    """What there is to be made, by its name, in the order in which one is made from the other."""
    from tinydiff.ui import pictures, recordings  # gradio takes a while to load

    return {
        **recordings.RECORDINGS,
        "answers": make_answers,
        "control": make_control,
        "families": make_families,
        "cards": make_cards,
        "gif": make_gif,
        "twenty": make_twenty,
        "pictures": pictures.write,
        "docs": documents.write_all,
    }


def make_families(tell: Callable[[str], None] = say, anew: bool = True) -> dict:
    """The table of families, in float32; what was written (see `families.record`)."""
    from tinydiff.ui import recording

    with auto_is_fp32():
        result = families.record(tell, anew)
        recording.note("families", families.RECORDED.read_bytes(), catalogue.models())
    return result


def make_cards() -> None:
    """The cards of all checkpoints that have their weights, or were evaluated."""
    for key, model in catalogue.bundled().items():
        if model.playable or catalogue.card_of(key).evaluation:
            card.write(model.folder)


def make_gif() -> None:
    from tinydiff.ui import recording

    export.gif(runs.record(RUN), GIF)
    recording.note("gif", GIF.read_bytes(), [RUN["model"]])


def make_twenty() -> None:
    """The stories of twenty seeds at the settings that the page opens with, none left out."""
    from tinydiff.ui import recording
    from tinydiff.ui.request import OPENING

    model = runs.DEFAULTS["model"]
    texts = []
    for seed in range(1, 21):
        asked = runs.request(OPENING | {"seed": seed})
        *_, frame = asked.frames()
        texts += texts_of(asked.process, frame)
    recording.save("twenty", dict(settings=OPENING, texts=texts), [model])


def make_answers() -> None:
    """The claims that need no training, of which the weights have changed since; the outside judge
    reads them."""
    judge = None
    for claim in results.outdated():
        judge = judge or outside.Judge()
        say(f"{claim.name}: about {claim.minutes} minutes")
        results.write(results.measured(claim, Lab(judge, tell=say)))


def make_control() -> None:
    """The cells of control of which the weights have changed since; the outside judge reads
    them."""
    if control.outdated():
        control.record(control.Study(outside.Judge()), control.outdated(), say=say)


def make(names: list[str]) -> None:
    """Make what is named, or everything, in float32. Raises ValueError for an unknown name and
    CheckpointError where no models are bundled."""
    catalogue.check_assets("What is released")
    known = parts()
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"There is no part {brief(unknown[0])}; there are {', '.join(known)}.")
    with auto_is_fp32():
        for name in names or known:
            say(f"{name} ...")
            known[name]()
