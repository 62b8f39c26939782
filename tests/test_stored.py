"""What was drawn before is what would be drawn now, and the page opens without drawing."""

import ast
import importlib
import math
import re
import sys
from dataclasses import dataclass

import matplotlib
import pytest

from tinydiff.show import picture_cache, plots
from tinydiff.ui import claims, noise, pictures, tab, training

ANEW = "run `python -m tinydiff.ui.pictures`"


@dataclass(frozen=True)
class Given:
    x: list


def double(given):
    return [2 * x for x in given.x]


def other(given):
    return [3 * x for x in given.x]


def test_a_stored_value_is_found_by_all_that_it_was_made_from(tmp_path, monkeypatch):
    """Stored for one function, what it was given and what it reads, it is found for these alone; in
    the last digit of a number, in another function, in what is read or in the text of the code, it
    is another value and is made.
    """
    monkeypatch.setattr(picture_cache, "FOLDER", tmp_path)
    key = picture_cache.key(double, (Given([0.1]),), "red")
    picture_cache.write(tmp_path / f"{key}.json.gz", "found")
    near = math.nextafter(0.1, 1)
    assert picture_cache.stored(double, Given([0.1]), reads="red") == "found"
    assert picture_cache.stored(double, Given([near]), reads="red") == [2 * near]
    assert picture_cache.stored(other, Given([0.1]), reads="red") == [3 * 0.1]
    assert picture_cache.stored(double, Given([0.1]), reads="blue") == [0.2]
    monkeypatch.setattr(picture_cache, "text", lambda path: "other code")
    assert picture_cache.stored(double, Given([0.1]), reads="red") == [0.2]


def test_a_function_that_is_given_counts_by_its_name(tmp_path):
    """Two runs of Python give it the same key, and two functions have two."""
    keys = {
        picture_cache.key(plots.pair, (draw, [1.0]), ())
        for draw in (plots.alpha, plots.weight, plots.alpha)
    }
    assert len(keys) == 2 and not any(
        "0x" in repr(picture_cache.named(draw)) for draw in (plots.alpha, plots.weight)
    )


def test_all_code_that_a_picture_depends_on_is_part_of_its_key():
    """Every module of ours that plots.py imports from, but for render.py, of which it takes the
    inks, which are part of it too."""
    tree = ast.parse(picture_cache.text(plots.__file__))
    ours = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tinydiff")
    ]
    modules = {node.module.removeprefix("tinydiff.") for node in ours}
    assert modules - {"paths", "show", "show.render"} == {path.stem for path in plots.CODE}
    assert [n.names[0].name for n in ours if n.module == "tinydiff.show"] == ["picture_cache"]
    assert plots.INKS in plots.read() and all(
        picture_cache.text(path) in plots.read() for path in plots.CODE
    )


def test_the_page_opens_without_drawing(monkeypatch):
    """Every picture of the first view and of the claims lies in assets/pictures, as it would be
    drawn from today's figures by today's code; and nothing else lies there.
    """

    def drawn(*_):
        raise AssertionError(f"A picture of the first view is not stored: {ANEW}.")

    used, key = set(), picture_cache.key
    monkeypatch.setattr(picture_cache, "key", lambda *what: used.add(found := key(*what)) or found)
    monkeypatch.setattr(plots, "empty", drawn)
    monkeypatch.delitem(sys.modules, "app", raising=False)
    pictures.forget()
    importlib.import_module("app")
    claims.packed()
    assert used == {
        path.name.removesuffix(".json.gz") for path in picture_cache.FOLDER.iterdir()
    }, ANEW


def same(made: dict) -> None:
    """What was made is what is stored, letter by letter where the same matplotlib drew both; where
    another did, all words."""
    for key, now in made.items():
        before = picture_cache.read(picture_cache.FOLDER / f"{key}.json.gz")
        if f'data-by="matplotlib {matplotlib.__version__}"' in str(before):
            assert now == before, ANEW
        else:
            words = [re.findall(r">([^<>]*)</text>", str(value)) for value in (now, before)]
            assert words[0] == words[1], ANEW


def test_some_stored_pictures_are_what_is_drawn():
    """Those of the first model's training and of the schedules."""
    pictures.forget()
    with pictures.drawing() as made:
        training.story(tab.first_model())
        noise.pictures()
    assert len(made) == 3
    same(made)


@pytest.mark.long
def test_all_stored_pictures_are_what_is_drawn():
    """Each of them, drawn anew."""
    made = pictures.draw()
    assert len(made) == len(list(picture_cache.FOLDER.iterdir()))
    same(made)
