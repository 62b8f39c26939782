"""The page's scripts: modules that import from each other, each thing in one of them, joined into
one script without a request."""

import re
from collections import Counter
from itertools import chain

import pytest

from tinydiff.paths import PACKAGE, STATIC
from tinydiff.processes import PROCESSES
from tinydiff.show import bundle, export, render
from tinydiff.ui.server import scripts

ENTRIES = ["page.js", "exported.js", "gallery.js"]
MODULES = {path: path.read_text("utf-8") for path in sorted(STATIC.rglob("*.js"))}
TOP = re.compile(r"^(?:export )?(?:async )?(?:function|class|const) (\w+)", re.M)
TABLE = re.compile(r"^(?:export )?const (\w+) = ([\[{].*?[\]}]);", re.M | re.S)
SAME = 4  # lines that two modules have in common are a copy


def test_lines_have_a_hundred_columns():
    """No script, style or template has a longer line."""
    for path in PACKAGE.rglob("*"):
        if path.suffix in {".js", ".css", ".html"}:
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                assert len(line) <= 100, f"{path.name}, line {number}, is {len(line)} long"


def test_nothing_is_defined_twice():
    """No function, class or table has two homes, by its name or by what is in it; what modules
    export has one name each; no four lines stand in two modules."""
    names = Counter(
        name
        for text in MODULES.values()
        for name in {*re.findall(r"^(?:export )?(?:async )?(?:function|class) (\w+)", text, re.M)}
        | {*bundle.exports(text)}
        | {name for name, _ in TABLE.findall(text)}
    )
    assert [name for name, count in names.items() if count > 1] == []
    tables = Counter(re.sub(r"\s+", "", t) for x in MODULES.values() for _, t in TABLE.findall(x))
    assert [table for table, count in tables.items() if count > 1] == []
    assert copies(MODULES.values()) == []


def copies(texts):
    """Runs of SAME lines that are in two of the texts; blank lines and lone brackets do not
    count."""
    seen = Counter()
    for text in texts:
        lines = [line for raw in text.splitlines() if len(line := raw.strip()) > 3]
        seen.update({tuple(lines[i : i + SAME]) for i in range(len(lines) - SAME + 1)})
    return [run for run, count in seen.items() if count > 1]


def test_a_copy_is_noticed():
    """Four lines of one module, differently indented in another one."""
    (text, *others) = MODULES.values()
    stolen = "\n".join("    " + line for line in text.splitlines()[20:32])
    assert copies([text, stolen, *others])


def test_one_table_of_glyphs():
    """The signs that stand for controls, lone spaces and broken characters are in one module, and
    its table is Python's."""
    for glyph in "↵⇥␣▯":
        assert [path.name for path, text in MODULES.items() if glyph in text] == ["glyphs.js"]
    assert not any("⏎" in text or "\\u21b5" in text for text in MODULES.values())
    (table,) = re.findall(r"^export const CONTROLS = \{(.*)\};", module("glyphs.js"), re.M)
    found = re.findall(r'"([^"]+)": "([^"]+)"', table)
    controls = {sign.encode().decode("unicode_escape"): glyph for sign, glyph in found}
    assert controls == export.CONTROLS


def test_both_ends_of_the_wire_agree():
    """Mask, levels, channels, and how many colours are to spare."""
    wire = module("wire.js")
    assert f'MASK = "\\x{ord(render.MASK):02x}"' in wire
    assert f"FIRST = {render.FIRST}, LEVELS = {render.LEVELS};" in wire
    channels = re.search(r"CHANNELS = \[(.*)\];", wire)[1]
    assert tuple(re.findall(r'"(\w+)"', channels)) == render.CHANNELS
    older = dict(re.findall(r'(\w+): "(\w+)"', re.search(r"OLDER = \{(.*)\};", wire)[1]))
    assert {was: now for now, was in older.items()} == render.OLDER
    assert f"SPARE = {render.SPARE};" in module("dom.js")


def module(name: str) -> str:
    return MODULES[STATIC / name]


def test_every_noise_has_its_view():
    """What a process of the package names is a module of views, which exports just that name."""
    views = {
        p.stem: bundle.exports(text) for p, text in MODULES.items() if p.parent.name == "views"
    }
    assert {cls.view_name for cls in PROCESSES.values()} - {""} <= set(views)
    assert all(names == [name] for name, names in views.items())


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_bundle_needs_nothing_else(entry):
    """Nothing is left of the language of modules, no tag of HTML can end the script, and each
    module stands before those that use it."""
    text = bundle.bundle(entry)
    assert not re.search(r"^ *(import|export)\b|\bimport\(", text, re.M) and "</script" not in text
    made = re.findall(r"^const (\$\w+) = \(", text, re.M)
    assert len(made) == len(set(made)) and f"return {made[-1]};" in text
    for i, name in enumerate(made):
        assert f"{name};" not in text[: text.index(f"const {name} = ")], name
        assert i == len(made) - 1 or text.count(name) > 1, f"{name} is used by nobody"


def test_all_modules_are_used():
    """Each is part of one of the three scripts."""
    texts = "".join(map(bundle.bundle, ENTRIES))
    assert all(f"const {bundle.place(path)} = " in texts for path in MODULES)


def test_the_page_holds_its_scripts_once():
    """A component brings a call, the page what it calls."""
    from tinydiff.ui.player import Player
    from tinydiff.ui.tab import Panel

    assert scripts().count("const $dom = ") == 1
    for path in (STATIC / "panels").glob("*.js"):
        called = Panel(path.stem).js_on_load
        assert len(called) < 100 and called.startswith("tinydiff.panel(")
        (name,) = re.findall(r"'(\w+)'", called)
        assert bundle.exports(MODULES[path]) == [name]
    names, call = re.fullmatch(r"/\* (.*) \*/ (.*)", Player().js_on_load).groups()
    triggered = re.findall(r'\btrigger\("(\w+)"', module("player.js"))  # Gradio reads them there
    assert sorted(re.findall(r"'(\w+)'", names)) == sorted(set(triggered))
    assert call.startswith("tinydiff.player(") and len(call) < 100


# ---------------------------------------------------------------- the joining


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of modules in the place of the package's: folder(name=text, ...)."""

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.js").write_text(text, "utf-8")

    monkeypatch.setattr(bundle, "STATIC", tmp_path)
    return write


@pytest.mark.parametrize(
    ("a", "words"),
    [
        (
            'import {f} from "./b.js";\nimport {g} from "./a.js";\n',
            "a.js and a.js import each other",
        ),
        ('import {g} from "./b.js";\n', "imports g, which ./b.js does not export"),
        ('import {f} from "./c.js";\n', "imports ./c.js, and there is no such file"),
        ('import f from "./b.js";\n', "a form that is not understood"),
        ("export default 1;\n", "a form that is not understood"),
        ("export {x};\n", "a form that is not understood"),
        ("export let x = 1;\n", "a form that is not understood"),
    ],
)
def test_other_forms_are_refused_in_a_sentence(folder, a, words):
    """What would be joined wrongly is not joined."""
    folder(a=a, b="export function f() {}\n")
    with pytest.raises(ValueError, match=re.escape(words)):
        bundle.bundle("a.js")


def test_comments_go_and_order_is_need(folder):
    """A module is joined once, after what it imports; whole-line comments are left out."""
    folder(
        a='import {b} from "./b.js";\nimport {c} from "./c.js";\n// words\nexport const a = b;\n',
        b='import {c} from "./c.js";\nexport const b = c;\n',
        c='export const c = "//";  // more\n',
    )
    text = bundle.bundle("a.js")
    assert re.findall(r"^const (\$\w+)", text, re.M) == ["$c", "$b", "$a"]
    assert "// words" not in text and 'c = "//"' in text
    assert "const {b} = $b;\nconst {c} = $c;" in text


VIEW = """import {put} from "../dom.js";

export const swarm = {
  words: "A swarm",
  stage: (box) => { const b = put(box, "b", "swarm"); return (f, k) => { b.textContent = k; }; },
};
"""


def test_a_noise_from_outside_brings_its_view(brought):
    """simplex.py's view is simplex.js beside it, and no other file knows of it."""
    brought("swarm", VIEW)
    for entry in ENTRIES:
        text = bundle.bundle(entry)
        assert "const $views_swarm = " in text and "...$views_swarm" in text


def test_a_process_without_a_file_brings_none(monkeypatch):
    """A class that was made in a terminal or by exec."""
    monkeypatch.setitem(PROCESSES, "typed", type("Typed", (), {"__module__": "example"}))
    assert bundle.brought() == [] and "typed" not in "".join(chain(bundle.bundle("exported.js")))
