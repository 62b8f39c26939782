"""Pictures: what is drawn is what was measured, in the page's colours, and every picture can be
read without seeing it."""

import io
import math
import re
import xml.etree.ElementTree as xml

import pytest
import torch

from tinydiff import exact
from tinydiff.randomness import seeded
from tinydiff.schedules import SCHEDULES, schedule
from tinydiff.show import plots, points
from tinydiff.show.render import palette
from tinydiff.store import catalogue

CURVES = [
    plots.Curve("bundled", [1, 4, 16], [5.0, 3.0, 2.5], "faded", heavy=False),
    plots.Curve("mine", [1, 2, 4], [6.0, 4.0, 2.6], "masked"),
]
ROWS = [dict(step=100 * i, loss=2 + 1 / i, valid=2.1 + 1 / i) for i in range(1, 9)]


def pictures():
    return {
        "calls": plots.against_calls(
            CURVES, "judge, bits a character", [plots.Level("real text", 1.9)]
        ),
        "frontier": plots.frontier(CURVES, (90.0, 0.8), "our judge, bits a character"),
        "training": plots.training(ROWS, 2.2, "masked"),
        "alpha": plots.alpha(),
        "weight": plots.weight(),
    }


@pytest.fixture(scope="module")
def drawn():
    return pictures()


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    "name", ["ink", "faded", "masked", "autoregressive", "uniform", "gaussian", "bits", "block"]
)
def test_inks_can_be_read(name, dark):
    """Every ink that writes letters has a contrast of at least 4.5 on the paper of its theme (WCAG
    AA)."""
    colours = palette(dark)
    assert contrast(colours[name], colours["paper"]) >= 4.5


def test_every_picture_names_both_axes(drawn):
    """No axis is left without a name."""
    for figure in drawn.values():
        for axes in figure.axes:
            assert axes.get_xlabel() and axes.get_ylabel()


@pytest.mark.parametrize("name", ["calls", "training", "alpha", "weight"])
def test_svg_is_readable_and_follows_the_theme(drawn, name):
    """The SVG is well-formed, has its name for those who do not see it, letters as letters, and no
    ink of its own."""
    markup = plots.svg(drawn[name], 'a "picture" of <curves>')
    root = xml.fromstring(markup)
    assert root.get("role") == "img" and root.get("aria-label") == 'a "picture" of <curves>'
    assert "<text" in markup and "<path" in markup
    bare = re.sub(r"var\(--td-[\w-]+,#[0-9a-f]{6}\)", "", markup)
    assert not [colour for colour in plots.INKS.values() if colour in bare]


def test_two_pictures_share_no_meaningful_id(drawn):
    """Groups are classes: what a script looks for in one picture cannot be found in another."""
    ids = re.findall(r'<g id="', plots.svg(drawn["alpha"], "alpha"))
    assert not ids


def test_curves_are_drawn_where_they_were_measured(drawn):
    """The lines of the picture hold the points that were given, the visitor's heavier than the
    bundled."""
    lines = {tuple(line.get_xdata()): line for line in drawn["calls"].axes[0].lines}
    for curve in CURVES:
        assert list(lines[tuple(curve.x)].get_ydata()) == curve.y
    assert lines[(1, 2, 4)].get_linewidth() > lines[(1, 4, 16)].get_linewidth()


def test_real_text_is_a_dashed_line(drawn):
    """The value to compare with lies across the whole picture, dashed."""
    (line,) = [
        line for line in drawn["calls"].axes[0].lines if list(line.get_ydata()) == [1.9, 1.9]
    ]
    assert line.is_dashed() and list(line.get_xdata()) == [0, 1]


def test_both_axes_of_training_say_the_same(drawn):
    """A height on the left, in nats, is log 2 times the height on the right, in bits."""
    figure = drawn["training"]
    figure.draw_without_rendering()
    (bits,) = figure.axes[0].child_axes
    assert bits.get_ylim() == pytest.approx([y / math.log(2) for y in figure.axes[0].get_ylim()])


def test_schedules_are_all_there(drawn):
    """Each schedule is a line of its own values, and is named."""
    names = {text.get_text() for text in drawn["alpha"].axes[0].texts}
    lines = {line.get_gid(): line for line in drawn["alpha"].axes[0].lines}
    for key in SCHEDULES:
        assert key in names
        assert torch.allclose(
            torch.as_tensor(lines[f"curve-{key}"].get_ydata()), schedule(key).alpha(plots.TIMES)
        )


def test_the_marker_travels_the_whole_axis(drawn):
    """The length told to the page is the distance from t = 0 to t = 1 in the SVG."""
    figure = drawn["alpha"]
    length = plots.span(figure)
    ends = figure.axes[0].transData.transform([(0, 0), (1, 0)])[:, 0]
    assert length == pytest.approx(ends[1] - ends[0])


def test_names_do_not_touch():
    """Moved labels keep their order and are at least the gap apart."""
    moved = plots.separated([3.0, 1.0, 1.01, 1.02], 0.5)
    assert sorted(moved) == pytest.approx([1.0, 1.5, 2.0, 3.0])
    assert moved[1] < moved[2] < moved[3] <= moved[0]


def test_averages_keep_a_straight_line():
    """A mean over as many neighbours on both sides leaves a straight line as it is, to its ends."""
    line = [3.0 - 0.25 * i for i in range(12)]
    assert plots.averaged(line) == pytest.approx(line)


def test_one_row_can_be_drawn():
    """A checkpoint that was validated once has a picture, too."""
    assert plots.svg(plots.training(ROWS[:1]), "one").startswith("<svg")


def test_png_is_a_picture(drawn):
    """The file for a card is a PNG."""
    assert plots.png(drawn["alpha"])[:8] == b"\x89PNG\r\n\x1a\n"
    assert io.BytesIO(plots.png(drawn["calls"])).getbuffer().nbytes > 5000


# ---------------------------------------------------------------- the divergence that is drawn


def chain(tokenizer, step):
    step = torch.tensor(step, dtype=torch.float64)
    return exact.Markov(tokenizer, torch.tensor([0.5, 0.5]), step)


def test_divergence_is_the_closed_form(alphabet):
    """Texts of one chain against another: the mean Kullback-Leibler divergence of their rows."""
    p, q = [[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]]
    samples = chain(alphabet(2), p).sample(64, 2000, seeded(0))
    want = 0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4)
    found = exact.bigram_divergence(samples, chain(alphabet(2), q))
    assert found == pytest.approx(want, rel=0.02)


def test_divergence_of_true_texts_is_its_bias():
    """True texts are off by no more than the bias the docstring tells, which falls with the number
    of characters."""
    language, rng = catalogue.bigrams(), seeded(0)
    few, many = (
        exact.bigram_divergence(language.sample(batch, 128, rng), language) for batch in (16, 256)
    )
    assert 0 < many < few
    pairs = 256 * 127
    assert many < len(language.tokenizer) ** 2 / (2 * pairs)


def test_numbers_on_an_axis_do_not_run_into_each_other():
    """124 and 126 calls are one mark; powers of two all stay."""
    assert points.apart([124, 126, 496, 992]) == [124, 496, 992]
    assert points.apart([2**k for k in range(8)]) == [2**k for k in range(8)]
    line = points.Line("blocks", [124, 126, 496], [1.0, 2.0, 3.0], [None] * 3, "block")
    (axes,) = points.picture([line], "calls", "bits", doubling=True, log=False).axes
    assert [*axes.get_xticks()] == [124, 496]
