"""A page of Chinese verse, learned as characters and as pieces of words, and played."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.test_exported import watched
from tinydiff import runs
from tinydiff.show import export, render
from tinydiff.show.bundle import bundle
from tinydiff.text.tokenizers import BROKEN, HALVES, drawn
from tinydiff.train.loop import PRESETS, train

VERSE = Path(__file__).parents[1] / "verse.txt"
PROMPT = "春风"


@pytest.fixture(scope="module", params=["characters", "bpe-512"])
def poem(request, tmp_path_factory):
    """How the verse was cut, and a run of what learned it for a few steps."""
    out = tmp_path_factory.mktemp("verse") / request.param
    shape = dict(corpus=str(VERSE), tokenizer=request.param, out=str(out), precision="fp32")
    few = dict(steps=12, batch=8, warmup=2, validate_every=12, save_every=12, lr=0.01, device="cpu")
    losses = [progress.loss for progress in train(replace(PRESETS["tiny"], **shape, **few))]
    assert sum(losses[-4:]) < 0.95 * sum(losses[:4])
    return request.param, runs.record(
        {"model": str(out), "prompt": PROMPT, "length": 64, "steps": 8, "seed": 2}
    )


CELLS = """() => [...document.querySelectorAll(".td-cells span")].map((span) => {
  const r = span.getBoundingClientRect();
  return {text: span.textContent, x: r.x, y: r.y, width: r.width, letters: span.scrollWidth};
})"""


def test_verse_is_played(page, tmp_path, poem):
    """As characters every cell has the room of two letters, 32 in a line, and none moves from the
    first picture to the last. As pieces the text is the tokens', the bytes of a sign that is not
    whole yet are one placeholder, and those of one that is, are that sign."""
    how, run = poem
    export.html(run, tmp_path / "run.html")
    _, wrong = watched(page, (tmp_path / "run.html").as_uri())
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(page.locator(".td-where")).to_have_text("look 8 of 8", timeout=30_000)
    spelling, where = render.Spelling(), []
    for k, picture in enumerate(run.frames):
        spelling.take(picture)
        page.locator(".td-first" if k == 0 else ".td-next").click()
        cells = page.evaluate(CELLS)
        shown = drawn(spelling.each(picture.text)) if spelling.pieces else list(picture.text)
        signs = ["".join(map(export.glyph, piece)) for piece in shown]
        if how == "characters":
            where.append([(cell["x"], cell["y"]) for cell in cells])
            assert [cell["text"] for cell in cells] == signs
            assert max(cell["letters"] for cell in cells) <= cells[0]["width"] + 1
        text = page.locator(".td-cells").first.text_content()
        whole = "".join(signs).replace(" ", "")
        if how != "characters":
            whole = whole.replace("↵", "")  # there the line ends
        assert text.replace(" ", "") == whole
        assert text.startswith(PROMPT) and not HALVES.search(text) and "\ufffd" not in text
    assert wrong == []
    if how == "characters":
        assert where[0] == where[-1] and len({x for x, _ in where[0]}) == 32
        assert cells[0]["width"] == pytest.approx(cells[1]["x"] - cells[0]["x"])


def test_bytes_and_widths_are_those_of_python(page):
    """Whatever bytes lie in whatever pieces, both sides draw the same; the bytes of one character
    are one placeholder until it is whole; what is wide there is wide here."""
    pieces = ["a", "\ueee5", "\uee8f\ueea4", "\ueee5\uee8f", "\x7f", "\ueea4", " \ueef0\uee9f"]
    pieces += ["\uee99\uee82!\ueec3", "\ueee5\uee8f", "\ueee5", "\ueea0\ueea0", "\n\ueec0\uee80"]
    expected = ["a", "", "古", BROKEN, "·", BROKEN, " "]
    expected += ["🙂!" + BROKEN, BROKEN, "", "堠", "↵" + BROKEN]
    assert ["".join(map(export.glyph, piece)) for piece in drawn(pieces)] == expected
    page.evaluate(bundle("glyphs.js"))
    names = {chr(0x100 + i): piece for i, piece in enumerate(pieces)}
    assert page.evaluate("(p) => tinydiff.drawn(Object.keys(p), p)", names) == expected
    texts = VERSE.read_text("utf-8") + "abc“”…—·□ÄЖא한글ひらカタ、ｱＡ🙂🇩🇪①㋀﹏\U00020000"
    signs = sorted(set(texts))
    assert page.evaluate("(s) => s.map(tinydiff.isWide)", signs) == list(map(render.is_wide, signs))
