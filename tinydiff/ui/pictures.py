"""The pictures that the page opens with, drawn anew into assets/pictures: `python -m
tinydiff.ui.pictures`, in the folder of app.py.

Wanted when a figure that a picture shows has changed, or plots.py, schedules.py or a colour: until
then the page draws what it does not find, and starts the later for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tinydiff.nets.precision import auto_is_fp32
from tinydiff.show import picture_cache
from tinydiff.store import catalogue
from tinydiff.ui import claims, noise, recording


@contextmanager
def drawing() -> Iterator[dict[str, object]]:
    """Within it everything is made anew; the dictionary holds what was made, by its file's name."""
    made, found = {}, picture_cache.stored

    def anew(make: Callable, *what, reads: object = ()):
        made[picture_cache.key(make, what, reads)] = value = make(*what)
        return value

    picture_cache.stored = anew
    try:
        yield made
    finally:
        picture_cache.stored = found


def forget() -> None:
    """What tabs remember of their first view."""
    some = (noise.dissolved, noise.information_pictures, noise.pictures, claims.packed)
    for remembered in some:
        remembered.cache_clear()


def draw() -> dict[str, object]:
    """All pictures of the first view and of the claims, by their files' names."""
    with drawing() as made:
        import app  # builds the page

        if not made:  # it was built before
            forget()
            app.page()
        claims.packed.cache_clear()
        claims.packed()
    return made


def stored() -> bytes:
    """All files of the folder as one, of which assets/recorded/made.json keeps the digest."""
    paths = sorted(picture_cache.FOLDER.glob("*.json.gz"))
    return b"".join(path.name.encode() + path.read_bytes() for path in paths)


def write() -> None:
    """Draw all, leave nothing else in the folder, and note of which weights the figures are."""
    made = draw()
    for path in picture_cache.FOLDER.glob("*.json.gz"):
        path.unlink()
    for key, value in made.items():
        picture_cache.write(picture_cache.FOLDER / f"{key}.json.gz", value)
    with auto_is_fp32():  # evaluations are made in float32
        recording.note("pictures", stored(), evaluated())


def evaluated() -> list[str]:
    """The bundled models with weights and an evaluation: what pictures show."""
    return [
        key
        for key, model in catalogue.bundled().items()
        if model.playable and catalogue.found_card(key).evaluation
    ]


if __name__ == "__main__":
    write()
