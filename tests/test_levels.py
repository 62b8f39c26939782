"""BERT is one step: at which shares of masks a network may learn, and that its bound and the
schedule do not depend on it."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.test_exact import entropy_of
from tinydiff import exact
from tinydiff.processes import build
from tinydiff.processes.masked import LEVELS
from tinydiff.randomness import seeded
from tinydiff.schedules import SCHEDULES, schedule
from tinydiff.store import checkpoint
from tinydiff.text import Canvas, Characters
from tinydiff.train.loop import PRESETS, train

ROWS, L = 40, 4000


@pytest.fixture
def config(tmp_path):
    """A training of twelve steps on words in a random order."""
    words = ["the king ", "a rose\n", "my lord ", "to be ", "or not "]
    text = tmp_path / "words.txt"
    text.write_text("".join(words[i] for i in torch.randint(5, (2000,), generator=seeded(0))))
    often = dict(steps=12, batch=4, validate_every=6, save_every=4, precision="fp32")
    return replace(PRESETS["tiny"], corpus=str(text), out=str(tmp_path / "run"), **often)


SOME = ["linear", "cosine-0.008", "sqrt"]


class Listening(torch.nn.Module):
    """A network that says something by chance and keeps what it was shown and said."""

    def forward(self, x, t, label=None):
        self.x, self.raw = x, torch.randn(*x.shape, 5, generator=seeded(2))
        return self.raw


def learning(levels, noise="linear"):
    """A masked process that listens, and what it has learned from once: the states, (ROWS, L), what
    was said of them, the text, and the loss of each row."""
    process = exact.perfect(
        "masked", exact.Enumerated(["abcde"], [1.0]), schedule(noise), levels=levels
    )
    process.net = Listening()
    x0 = torch.randint(5, (ROWS, L), generator=seeded(1))
    given = (torch.arange(L) < L // 4).expand(ROWS, -1)
    loss = process.loss(Canvas(x0, given), seeded(3))
    return process.net.x == process.mask_id, process.net.raw, Canvas(x0, given), loss


@pytest.mark.parametrize("noise", SOME)
@pytest.mark.parametrize("levels", LEVELS)
def test_the_masks_have_these_shares(levels, noise):
    """In every row one of the levels' shares of the open tokens is masked, within five standard
    errors of a row; each level has as many rows as the others; nothing that is given is masked."""
    masked, _, canvas, _ = learning(levels, noise)
    assert not (masked & canvas.given).any()
    found = (masked.sum(1) / (~canvas.given).sum(1)).sort().values.double()
    true = torch.tensor(sorted(LEVELS[levels])).repeat_interleave(ROWS // len(LEVELS[levels]))
    assert torch.allclose(found, true.double(), atol=5 * 0.5 / math.sqrt(0.75 * L))


@pytest.mark.parametrize("levels", LEVELS)
def test_the_loss_is_the_plain_cross_entropy_of_the_masked(levels):
    """Of each row: the mean over its masked tokens, times the share of the row that is open, to the
    few percent by which their number is not the expected one; and exactly their sum by that
    number."""
    masked, raw, canvas, loss = learning(levels)
    nats = torch.nn.functional.cross_entropy(raw.mT, canvas.tokens, reduction="none")
    count = masked.sum(1)
    total = torch.where(masked, nats, 0).sum(1)
    shares = torch.tensor(LEVELS[levels])
    share = shares[(count[:, None] / (0.75 * L) - shares).abs().argmin(1)]
    assert torch.allclose(loss, total / (share * L), rtol=1e-5)
    assert torch.allclose(loss, 0.75 * total / count, rtol=0.3)
    plain = nats[masked].mean()
    assert abs(loss.mean() / 0.75 - plain) < 0.03 * plain


@pytest.mark.parametrize("levels", LEVELS)
def test_a_perfect_network_pays_what_the_masked_leave_open(levels, language, rng):
    """The mean of its loss is the entropy of a masked token given those that are not, by summing
    over all sixteen ways to mask four tokens; its bound is that of all levels, draw by draw."""
    process = exact.perfect("masked", language, levels=levels)
    x = language.sample(8000, 4, rng)
    canvas = Canvas(x, torch.zeros_like(x, dtype=torch.bool))
    loss = process.loss(canvas, rng).double()
    true = sum(at_share(language, min(m, 0.999)) / m for m in LEVELS[levels]) / len(LEVELS[levels])
    assert abs(loss.mean().item() - true / 4) < 4 * loss.std().item() / 8000**0.5
    usual = exact.perfect("masked", language).bound(canvas, seeded(7))
    assert process.bound(canvas, seeded(7)).equal(usual)


def at_share(language, m):
    """Nats of all masked tokens of four, each given what is not masked, of which each is with
    probability m."""
    total = 0.0
    for masked in torch.cartesian_prod(*[torch.tensor([False, True])] * 4):
        k, known = int(masked.sum()), entropy_of(language, ~masked)
        nats = sum(
            entropy_of(language, ~masked | one) - known for one in torch.eye(4).bool() & masked
        )
        total += m**k * (1 - m) ** (4 - k) * nats
    return float(total)


def test_spread_times_and_even_weights_change_no_level():
    """Both are of no effect where the levels are set; elsewhere they are."""
    x = torch.randint(3, (64, 50), generator=seeded(0))
    canvas = Canvas(x, torch.zeros_like(x, dtype=torch.bool))
    for levels in ("all", "bert"):
        process = exact.perfect("masked", exact.Enumerated(["abc"], [1.0]), levels=levels)
        process.net = Listening()
        plain = process.loss(canvas, seeded(3))
        process.time_spread, process.even_loss = 0.2, True
        assert process.loss(canvas, seeded(3)).equal(plain) == (levels == "bert")


def test_a_level_that_there_is_not(alphabet):
    """One sentence with those that there are."""
    with pytest.raises(ValueError, match="levels of 'masked' is 'half'; there are all, ten, bert"):
        exact.perfect("masked", exact.Markov.of(torch.arange(4), alphabet(4)), levels="half")


def test_a_run_at_berts_share(config):
    """It trains, its checkpoint says so and is opened again; what it reports is the bound of all
    levels, which starts near log V."""
    *_, last = train(replace(config, options="levels=bert"))
    assert last.process.options == {"levels": "bert"}
    assert checkpoint.read_config(Path(config.out))["options"] == {"levels": "bert"}
    assert checkpoint.load(Path(config.out)).options == {"levels": "bert"}
    assert 0.5 * math.log(last.process.V) < last.valid < 1.2 * math.log(last.process.V)


def test_a_run_from_before_there_were_levels_goes_on(config):
    """Its config.json names no option, and the usual ones are meant: it resumes, it opens, and it
    is not one at BERT's share."""
    list(train(replace(config, steps=8)))
    path = Path(config.out) / "config.json"
    told = json.loads(path.read_text())
    assert told.pop("options") == {"levels": "all"}
    path.write_text(json.dumps(told))
    assert checkpoint.load(Path(config.out)).options == {"levels": "all"}
    with pytest.raises(checkpoint.CheckpointError, match="without --options"):
        list(train(replace(config, options="levels=bert"), resume=True))
    *_, last = train(config, resume=True)
    assert last.step == config.steps


# ---------------------------------------------------------------- the schedule


EVERY = [*SCHEDULES, "cosine-0.008"]


@pytest.mark.parametrize("noise", EVERY)
def test_the_bound_of_masks_knows_no_schedule(noise, language, rng):
    """Draw by draw the same number under every schedule, whatever share of masks it would reach:
    only the order in which tokens are hidden counts. Its mean is the entropy: tests/test_exact.py.
    """
    x = language.sample(500, 4, rng)
    canvas = Canvas(x, (torch.arange(4) < 1).expand(x.shape))
    linear, other = (exact.perfect("masked", language, schedule(n)) for n in ("linear", noise))
    assert torch.allclose(
        linear.bound(canvas, seeded(7)), other.bound(canvas, seeded(7)), atol=1e-5
    )


def test_the_short_table_as_written_does_not_reach_the_masks():
    """0.28 of the text stands where writing begins: refused in one sentence for masks; what is
    rescaled is not, nor any other schedule."""
    shape = dict(layers=1, heads=1, width=8, length=8)
    with pytest.raises(ValueError, match="leaves 28% of the text at t = 1, so 'masked' could not"):
        build("masked", Characters("ab"), "ddpm-128", **shape)
    for noise in set(EVERY) - {"ddpm-128"}:
        assert build("masked", Characters("ab"), noise, **shape).noise.schedule.floor < 0.01


def test_the_short_table_as_written_gives_a_loss_that_is_no_bound(language, rng):
    """It never asks for more than 0.72 of masks, so a perfect network pays about half of the
    entropy, as the levels up to there cost; the rest, from nothing to there, it does not count."""
    x = language.sample(20_000, 4, rng)
    model = exact.perfect("masked", language, schedule("ddpm-128"))
    nats = 4 * model.loss(Canvas(x, torch.zeros_like(x, dtype=torch.bool)), rng).double()
    shares = (torch.arange(40) + 0.5) / 40 * (1 - model.noise.schedule.floor)
    true = sum(at_share(language, m) / m for m in shares.tolist()) / 40
    true *= 1 - model.noise.schedule.floor
    assert abs(nats.mean().item() - true) < 4 * nats.std().item() / 20_000**0.5 + 0.005
    assert true < 0.6 * language.entropy(4)


@pytest.mark.parametrize("noise", [name for name in EVERY if name != "ddpm-128"])
def test_a_run_under_a_schedule_draws_times_evenly(config, noise, monkeypatch):
    """With a spread of 0 training sees times that are even in t, and so shares of masks that are
    the schedule's; a masked token weighs -alpha' / (1 - alpha)."""
    seen = []
    own = sys.modules["tinydiff.processes.masked"].Masked.training_times

    def heard(self, canvas, rng):
        seen.append(own(self, canvas, rng))
        return seen[-1]

    monkeypatch.setattr(sys.modules["tinydiff.processes.masked"].Masked, "training_times", heard)
    settings = dict(schedule=noise, time_spread=0.0, given=0.0, batch=16, steps=8)
    *_, last = train(replace(config, **settings))
    noise = last.process.noise.schedule
    assert noise.name == settings["schedule"] and len(seen) == 8
    for t, weight in seen:
        assert (t[:, 0].sort().values - torch.arange(16) / 16).abs().max() < 1 / 16 + 2e-3
        assert torch.allclose(weight, -noise.slope(t) / (1 - noise.alpha(t)))
