"""The pictures that the page opens with, drawn anew into assets/pictures: `python -m
tinydiff.ui.pictures`, in the folder of app.py.

Wanted when a figure that a picture shows has changed, or plots.py, schedules.py or a colour: until
then the page draws what it does not find, and starts the later for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tinydiff.show import picture_cache
from tinydiff.ui import noise


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
    for remembered in (noise.dissolved, noise.known_pictures, noise.pictures):
        remembered.cache_clear()


def draw() -> dict[str, object]:
    """All pictures of the first view, by their files' names."""
    with drawing() as made:
        import app  # builds the page

        if not made:  # it was built before
            forget()
            app.page()
    return made


def write() -> None:
    """Draw all, and leave nothing else in the folder."""
    made = draw()
    for path in picture_cache.FOLDER.glob("*.json.gz"):
        path.unlink()
    for key, value in made.items():
        picture_cache.write(picture_cache.FOLDER / f"{key}.json.gz", value)


if __name__ == "__main__":
    write()
