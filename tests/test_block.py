"""Block diffusion: the exact language at every block size, the limits that are other models, and a
cache that is exact."""

import json
import math
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.conftest import SHAPE, brief, random_process
from tests.languages import part_of
from tests.test_exact import FEW, MANY, last, mean_bound, total_variation
from tinydiff import exact
from tinydiff.generate import generate
from tinydiff.measure import evaluate
from tinydiff.processes import build
from tinydiff.processes.block import SIZES, WINDOWS, BlockCache, block_means, may_see, variances_of
from tinydiff.randomness import seeded
from tinydiff.store import card, checkpoint
from tinydiff.text import Canvas, Characters, corpus
from tinydiff.train.loop import PRESETS, start, train

DIVIDING = ("1", "2", "4")  # the sizes that divide the four tokens of the language


def perfect(language, size):
    return exact.perfect("block", language, block=size)


def open_canvas(x):
    return Canvas(x, torch.zeros_like(x, dtype=torch.bool))


def untrained(size="4", length=24, **options):
    torch.manual_seed(0)
    process = build(
        "block",
        Characters("abcdefgh \n"),
        **{**SHAPE, "length": length},
        options=dict(block=size, **options),
    )
    torch.nn.init.normal_(process.net.head.weight, std=0.5)
    return process.eval()


@pytest.mark.parametrize("size", DIVIDING)
@pytest.mark.parametrize("given", [0, 1])
def test_the_bound_is_the_entropy_at_every_size(size, given, language, rng):
    """Also with a prompt. The network obeys its attention mask, so one that leaks would bring the
    bound below the entropy."""
    found, error = mean_bound(perfect(language, size), language, rng, given, batches=40)
    first = torch.bincount(language.strings[:, 0], weights=language.log_p.exp())
    entropy = language.entropy(4) + given * (first * first.log()).nansum().item()
    assert error < 0.03 and abs(found - entropy) < 4 * error + 1e-9


def test_blocks_of_one_are_exact_text_by_text(language, rng):
    """At block 1 everything open is masked: the bound is -log p of each text, without any draw."""
    x = language.strings
    assert torch.allclose(
        perfect(language, "1").bound(open_canvas(x), rng), -language.log_prob(x), atol=1e-9
    )


def test_blocks_of_one_are_the_autoregressive_likelihood(rng):
    """On the same weights: the mean over positions of one pass of [masks ; text] is what a chain of
    prefixes gives."""
    process = untrained("1")
    x = torch.randint(10, (3, 24), generator=rng)
    with torch.no_grad():
        found = process.bound(open_canvas(x), rng)
        told = [
            process.denoise(torch.cat([x[:, :i], torch.full((3, 1), 10)], 1), None).log_x0[:, i]
            for i in range(24)
        ]
    chain = -torch.stack([p.gather(1, x[:, i : i + 1])[:, 0] for i, p in enumerate(told)]).sum(0)
    assert torch.allclose(found, chain, rtol=1e-5)


def test_one_block_for_everything_is_mdlm(rng):
    """On the same weights, draw by draw."""
    block, masked = untrained("32", 32), random_process("masked")
    masked.net.load_state_dict(block.net.state_dict())
    x = torch.randint(10, (4, 32), generator=rng)
    given = torch.arange(32).expand(4, -1) < 5
    for what in ("bound", "denoise"):
        if what == "bound":
            one, two = (p.bound(Canvas(x, given), seeded(5)) for p in (block, masked))
        else:
            noisy = masked.noise.corrupt(x, torch.full(x.shape, 0.5), rng)
            one, two = (p.denoise(noisy, torch.full(x.shape, 0.5)).log_x0 for p in (block, masked))
        assert torch.allclose(one, two, atol=1e-4)


@pytest.mark.parametrize("size", ["1", "2", "4", "8"])
def test_the_cache_is_exact(size):
    """The prediction for a block from the cache is that of one pass over everything."""
    process, cache = untrained(size), BlockCache(int(size))
    x = torch.randint(10, (2, 24), generator=seeded(1))
    n = int(size)
    with torch.no_grad():
        for start in range(0, 24, n):
            noisy = x[:, : start + n].clone()
            noisy[:, start + n // 2 :] = process.mask_id
            for _ in range(2):  # asking twice adds nothing to what is remembered
                kept = process.denoise(noisy, None, cache=cache)
            whole = process.denoise(noisy, None)
            assert torch.allclose(kept.raw, whole.raw[:, start:], atol=1e-5)
            assert len(cache) == start


def test_the_cache_is_exact_over_a_long_text():
    """Over 1,024 characters: the half-masked blocks' predictions from the cache are those of one
    pass over everything, to 1e-5."""
    process, cache = untrained("16", 1024), BlockCache(16)
    clean = torch.randint(10, (1, 1024), generator=seeded(1))
    noisy = torch.where(torch.arange(1024) % 16 < 8, clean, process.mask_id)
    with torch.no_grad():
        whole = process.both(noisy, clean, None, 16)
        for start in range(0, 1024, 16):
            x = torch.cat([clean[:, :start], noisy[:, start : start + 16]], 1)
            assert torch.allclose(
                process.denoise(x, None, cache=cache).raw, whole[:, start : start + 16], atol=1e-5
            )
    assert len(cache) == 1008


def test_a_long_text_slides_exactly_where_nothing_is_forgotten(alphabet):
    """A language whose tokens depend on the one before loses nothing when the window slides: pairs
    of tokens are as in true texts, also those astride two windows; the cache holds no more than a
    window.
    """
    step = torch.tensor([[0.7, 0.2, 0.1], [0.05, 0.15, 0.8], [0.5, 0.1, 0.4]], dtype=torch.float64)
    language = exact.Markov(alphabet(3), torch.linalg.matrix_power(step, 99)[0], step)
    held = []

    class Watched(BlockCache):
        def __len__(self):
            held.append(super().__len__())
            return held[-1]

    process = exact.perfect("block", language, block="4")
    process.length = 16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinydiff.processes.block.BlockCache", Watched)
        *_, frame = generate(
            process, Canvas.blank(96, 1000), sampler="blockwise", order="first_hitting", seed=1
        )
    pairs = torch.bincount(
        frame.tokens[:, :-1].flatten() * 3 + frame.tokens[:, 1:].flatten(), minlength=9
    ).view(3, 3)
    seams = torch.bincount(
        (frame.tokens[:, 15:95:8] * 3 + frame.tokens[:, 16:96:8]).flatten(), minlength=9
    ).view(3, 3)
    for found, off in ((pairs, 0.008), (seams, 0.025)):  # four standard errors of the rarest row
        assert (found / found.sum(1, keepdim=True) - step).abs().max() < off
    assert 0 < max(held) <= 16


class SecondOrder(exact.Markov):
    """A chain whose tokens depend on the two before: a chain of their pairs (a, b), number a V
    + b. after: p(c | a, b), (V, V, V).
    """

    def __init__(self, tokenizer, after):
        self.tokenizer, self.V, self.after = tokenizer, len(tokenizer), after
        step = (
            (after[:, :, None] * torch.eye(self.V).double()[None, :, :, None])
            .flatten(2)
            .flatten(0, 1)
        )
        self.pairs = exact.Markov(None, torch.linalg.matrix_power(step, 99)[0], step)

    def posterior(self, log_likelihood):
        found = self.pairs.posterior(log_likelihood.repeat(1, 1, self.V))
        return found.unflatten(-1, (self.V, self.V)).logsumexp(-2)

    def off(self, triples):
        """Total variation of triples (N, 3) from the chain's own."""
        found = torch.bincount(
            (triples * torch.tensor([self.V**2, self.V, 1])).sum(1), minlength=self.V**3
        ) / len(triples)
        true = self.pairs.start[:, None] * self.after.flatten(0, 1)
        return 0.5 * (found - true.flatten()).abs().sum().item()


@pytest.mark.parametrize(
    "name", brief(["masked", "block", "uniform"], lambda name: name != "masked")
)
def test_a_window_that_slides_hands_on_what_is_needed(name, alphabet):
    """Tokens that depend on two before them keep to that over the seams of windows, block by
    block, as long as a window hands on two; where it hands on one alone, it shows.
    """
    after = torch.tensor(
        [[[0.85, 0.15], [0.2, 0.8]], [[0.3, 0.7], [0.75, 0.25]]], dtype=torch.float64
    )
    language = SecondOrder(alphabet(2), after)
    for window, exactly in ((8, True), (2, False)):
        process = exact.perfect(name, language, **({"block": "2"} if name == "block" else {}))
        process.length = window
        *_, frame = generate(
            process, Canvas.blank(14, 500), sampler="blockwise", block=2, steps=24, seed=1
        )
        first = range(window, 14, window // 2)  # columns of windows after the first
        seams = torch.cat(
            [frame.tokens[:, i + k - 2 : i + k + 1] for i in first for k in (0, 1) if i + k < 14]
        )
        assert (language.off(seams) < 0.05) == exactly, language.off(seams)


def test_a_prompt_longer_than_the_window():
    """It stands as it was given, and what follows is written with the last window of it."""
    process = untrained("4")
    canvas = Canvas.prompt(process.tokenizer, "abcd efgh\n" * 5, 80)
    *_, frame = generate(process, canvas, sampler="blockwise", steps=24, seed=1)
    assert frame.tokens[:, :50].equal(canvas.tokens[:, :50]) and (frame.tokens < process.V).all()
    other = Canvas(
        torch.where(torch.arange(80) < 30, (canvas.tokens + 1) % process.V, canvas.tokens),
        canvas.given,
    )
    *_, again = generate(process, other, sampler="blockwise", steps=24, seed=1)
    # what the window has left behind is forgotten
    assert frame.tokens[:, 50:].equal(again.tokens[:, 50:])


def test_who_may_see_whom():
    """Written out for four characters in blocks of two: noisy sees its noisy block and clean blocks
    before it; clean sees clean up to its own block.
    """
    picture = [
        "11000000",
        "11000000",
        "00111100",
        "00111100",
        "00001100",
        "00001100",
        "00001111",
        "00001111",
    ]
    assert may_see(4, 2).int().tolist() == [[int(c) for c in row] for row in picture]


def test_a_later_character_changes_nothing_before_its_block():
    """No prediction hears of a later block, nor of the clean text of its own."""
    process = untrained("4")
    x = torch.randint(10, (1, 24), generator=seeded(2))
    noisy = torch.where(torch.arange(24) % 3 > 0, x, process.mask_id)
    changed = x.clone()
    changed[:, 9] = (x[:, 9] + 1) % 10
    with torch.no_grad():
        one, two = (process.both(noisy, clean, None, 4) for clean in (x, changed))
    assert torch.equal(one[:, :12], two[:, :12]) and not torch.equal(one[:, 12:], two[:, 12:])


@pytest.mark.parametrize("size", [1, 4, 16])
def test_the_loss_is_the_bound_for_evenly_drawn_times(size, language, rng):
    """Within four standard errors; without a window the objective is the bound up to the T_MIN that
    is cut off."""
    model = exact.perfect("block", language, block=str(size), clip="no")
    x = language.sample(40_000, 4, rng)
    nats = model.loss(open_canvas(x), rng) * 4
    assert (
        abs(nats.mean().item() - language.entropy(4))
        < 4 * (nats.std() / len(nats) ** 0.5).item() + 0.01
    )


def test_the_window_is_the_one_that_varies_least(language, rng):
    """Measured for all that are tried, at every size; the loss draws its times from the winner; a
    block of one has its own."""
    model = exact.perfect("block", language, block="any")
    found = model.tune(open_canvas(language.sample(2000, 4, rng)), rng)
    assert list(found["windows"]) == [str(size) for size in SIZES if size > 1]
    for which, size in enumerate(SIZES):
        low, high = model.window[which].tolist()
        if size == 1:
            assert (low, high) == (1, 1)
            continue
        variances = found["variances"][str(size)]
        assert len(variances) == len(WINDOWS) == 66
        assert (
            variances[f"{low:.2f}-{high:.2f}"] == min(variances.values()) < variances["0.00-1.00"]
        )
    assert (
        exact.perfect("block", language, clip="no").tune(open_canvas(language.strings), rng) == {}
    )


@pytest.mark.parametrize("low, high", [pytest.param(0.0, 1.0, marks=pytest.mark.long), (0.3, 0.8)])
def test_the_variance_of_a_window(low, high, language, rng):
    """That of draws within the window, which the search reads from draws over all times."""
    model = perfect(language, "2")
    canvas = open_canvas(language.sample(100_000, 4, rng))
    nats, t = (block_means(part, canvas, 2) for part in model.nats(canvas, rng, 2, 0.0, 1.0))
    direct = block_means(model.nats(canvas, rng, 2, low, high)[0], canvas, 2).double()
    # standard error of a variance
    quarter = ((direct - direct.mean()) ** 2).var().sqrt().item() / len(direct) ** 0.5
    found = variances_of(nats, t)[f"{low:.2f}-{high:.2f}"]
    assert abs(found - direct.var().item()) < 8 * quarter + 1e-3


def test_one_network_for_all_sizes(rng):
    """ "any" trains every size that fits and answers for each, on the same weights."""
    process = untrained("any")
    assert process.sizes == (1, 2, 4, 8) and untrained("any", 256).sizes == SIZES
    x = torch.randint(10, (2, 24), generator=rng)
    with torch.no_grad():
        nats = [
            process.at(size).bound(open_canvas(x), seeded(0)).sum().item() for size in (1, 4, 8)
        ]
    assert len({round(n, 3) for n in nats}) == 3 and all(math.isfinite(n) for n in nats)
    assert process.at(4).net is process.net and process.sizes == (1, 2, 4, 8)


@pytest.mark.parametrize(
    "size, says",
    [
        ("16", "do not divide the window of 24"),
        ("32", "are longer than the window of 24"),
        ("0", "block"),
        ("7", "block"),
    ],
)
def test_sizes_that_do_not_fit(size, says):
    with pytest.raises(ValueError, match=says):
        untrained(size)


@pytest.mark.parametrize("size", DIVIDING)
@pytest.mark.parametrize("order", ["ancestral", "confidence", "first_hitting"])
@pytest.mark.parametrize("cache", ["exact", "none"])
@pytest.mark.parametrize("texts,floor,_", [FEW, MANY])
def test_block_by_block_is_the_language(size, order, cache, texts, floor, _, language):
    """Every block size that divides the text, three orders within, with and without the cache."""
    tokens = last(
        perfect(language, size),
        Canvas.blank(4, texts),
        sampler="blockwise",
        steps=128 if texts > 1000 else 64,
        order=order,
        cache=cache,
    )
    assert total_variation(tokens, language) < floor


@pytest.mark.parametrize("texts,floor,error", [FEW, MANY])
@pytest.mark.parametrize(
    "name",
    brief(
        ["masked", "uniform", "gaussian", "bits", "score-masked"],
        lambda name: name in ("masked", "gaussian"),
    ),
)
def test_any_noise_writes_block_by_block(name, texts, floor, error, language):
    """A process that reads the text so far again is as exact; also where two tokens are given, in
    the same batch."""
    canvas = part_of(language, 0, "xx__", batch=2 * texts)
    canvas.given[:texts] = False
    steps = 256 if texts > 1000 else 128
    tokens = last(exact.perfect(name, language), canvas, sampler="blockwise", block=2, steps=steps)
    free, prompted = tokens.split(texts)
    assert total_variation(free, language) < floor
    shares = [(prompted == language.strings[i]).all(1).double().mean().item() for i in (0, 1)]
    # a share of 0.58 scatters by a quarter more
    assert abs(shares[0] - 0.35 / 0.6) < 1.25 * error and abs(sum(shares) - 1) < 0.02


BEHIND = {
    "block": ["____b___", "__b___cc", "ab_____b_", "a___bb__"],
    "autoregressive": ["_b", "ab_c_"],
}
BEFORE = {"block": ["abc__", "ab_c", "_b_c____", "ab_____"], "autoregressive": ["ab__"]}


@pytest.mark.parametrize("name", BEHIND)
def test_what_cannot_be_seen_is_refused(name):
    """A network that reads from left to right does not see what is given behind what it writes: one
    sentence that says where to go, before anything is computed. In its own block it sees both
    sides.
    """
    process = untrained("4") if name == "block" else random_process(name)
    for template in BEHIND[name]:
        with pytest.raises(
            ValueError, match="would not see what is given behind .* such as 'masked'"
        ) as error:
            generate(process, Canvas.template(process.tokenizer, template))
        assert "\n" not in str(error.value)
    for template in BEFORE[name]:
        *_, frame = generate(process, Canvas.template(process.tokenizer, template), steps=8)
        assert (frame.tokens < process.V).all()
    long = torch.arange(60) >= 58  # in the last of several windows
    with pytest.raises(ValueError, match="would not see"):
        generate(process, Canvas(torch.zeros(1, 60, dtype=torch.int64), long[None]))


def test_the_block_that_is_asked_for_decides_what_is_seen(language):
    """Of one network for all sizes: both sides of a block of four, not of two."""
    process = exact.perfect("block", language)
    canvas = part_of(language, 0, "x__x", batch=50)
    *_, frame = generate(process, canvas, sampler="blockwise", block=4, steps=16)
    assert (frame.tokens == language.strings[0]).all()
    with pytest.raises(ValueError, match="the 2 tokens of a block"):
        generate(process, canvas, sampler="blockwise", block=2)


# ---------------------------------------------------------------- caches that are approximate


def asked_twice(layers, cache):
    """Predictions of a masked network for a block of 8 in 24: when it is all masks, and with two
    characters in it."""
    torch.manual_seed(0)
    process = build("masked", Characters("abcdefgh \n"), **{**SHAPE, "layers": layers}).eval()
    for (
        weights
    ) in process.net.parameters():  # so large that every part of the text weighs on every other
        torch.nn.init.normal_(weights, std=0.3)
    x = torch.randint(10, (2, 24), generator=seeded(1))
    canvas = Canvas(torch.where(torch.arange(24) < 8, x, 0), (torch.arange(24) < 8).expand(2, -1))
    ask = lambda x, t, cache: process.denoise(x, t, cache=cache)  # noqa: E731
    part = process.pieces(8, cache)(canvas, 8, 16, ask, process.noise.prior(canvas, None))
    empty = torch.full((2, 8), process.mask_id)
    begun = torch.where(torch.arange(8) % 4 == 0, x[:, 8:16], process.mask_id)
    with torch.no_grad():
        return [
            part.denoise(state, torch.full((2, 8), 0.5)).log_x0 for state in (empty, empty, begun)
        ]


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_fast_caches_are_exact_until_something_changes(cache):
    """What is kept is what was read when the block was empty. Of one layer it never changes; of two
    it does, and more so where what stands behind is kept as well.
    """
    for layers, exact_after in ((1, True), (2, False)):
        for i, (kept, whole) in enumerate(
            zip(asked_twice(layers, cache), asked_twice(layers, "none"))
        ):
            assert torch.allclose(kept, whole, atol=1e-4) == (i < 2 or exact_after)


def test_the_error_of_a_cache():
    """Nothing where it is exact; of a network of two layers something, more where more is kept, and
    of one layer nothing."""
    assert evaluate.cache_error(untrained("4"), "exact", 2) < 1e-5
    errors = {}
    for layers in (1, 2):
        torch.manual_seed(0)
        process = build(
            "masked", Characters("abcdefgh \n"), **{**SHAPE, "layers": layers, "length": 64}
        ).eval()
        for weights in process.net.parameters():
            torch.nn.init.normal_(weights, std=0.3)
        errors |= {
            (layers, cache): evaluate.cache_error(process, cache, 4) for cache in process.caches
        }
    assert (
        errors[2, "none"] == 0
        and max(errors[1, cache] for cache in ("none", "prefix", "dual")) < 1e-4
    )
    assert 1e-4 < errors[2, "prefix"] < errors[2, "dual"], errors


def test_a_cache_that_a_process_has_not(language):
    with pytest.raises(ValueError, match="cache is 'exact'; with 'uniform' there are none"):
        generate(
            exact.perfect("uniform", language), Canvas.blank(4), sampler="blockwise", cache="exact"
        )


def test_guidance_keeps_two_caches():
    """With a label a text is read twice, and what is remembered of each reading is its own."""
    torch.manual_seed(0)
    process = build(
        "block", Characters("abcdefgh \n"), **SHAPE, options=dict(block="4"), labels=3
    ).eval()
    torch.nn.init.normal_(process.net.head.weight, std=0.5)
    torch.nn.init.normal_(process.net.label.weight)
    blank = Canvas.blank(24, 2)
    canvas = Canvas(blank.tokens, blank.given, torch.tensor([0, 2]))
    texts = [
        list(generate(process, canvas, guidance=1.5, cache=cache))[-1].tokens
        for cache in process.caches
    ]
    assert texts[0].equal(texts[1])


def test_what_it_costs():
    """The steps are shared by the blocks; as many frames come as were announced; one call each at
    least."""
    process = untrained("4")
    for steps, calls in ((24, 24), (60, 60), (2, 6)):
        *_, frame = generate(
            process, Canvas.blank(24), sampler="blockwise", steps=steps, order="random"
        )
        assert frame.step == frame.steps == calls and frame.calls <= calls
    *_, frame = generate(
        process, Canvas.blank(24), sampler="blockwise", steps=2, order="first_hitting"
    )
    assert frame.step == frame.steps == frame.calls == 24


@pytest.mark.parametrize(
    "options, says",
    [
        (dict(block=7), "block is 7; with 'block' there are 4"),
        (dict(block=0), "block is 0"),
        (dict(order="magic"), "order is 'magic'; with 'block' there are ancestral"),
        (dict(order="blockwise"), "order is 'blockwise'"),
        (dict(cache="prefix"), "cache is 'prefix'; with 'block' there are exact, none"),
    ],
)
def test_what_cannot_be_asked(options, says):
    """One sentence each, before anything is computed."""
    with pytest.raises(ValueError, match=says):
        generate(untrained("4"), Canvas.blank(24), sampler="blockwise", **options)


# ---------------------------------------------------------------- training


def run_config(out, lines, **more):
    return replace(
        PRESETS["tiny"],
        corpus=str(lines),
        out=str(out),
        steps=4,
        validate_every=2,
        save_every=2,
        batch=4,
        precision="fp32",
        **{"process": "block", "options": "block=4", **more},
    )


def test_training_notes_the_window(lines, tmp_path, monkeypatch):
    """The start and every validation tell the variances of all windows; the checkpoint keeps the
    window; stopped and resumed it is the same run."""
    monkeypatch.setattr(sys.modules["tinydiff.train.loop"], "TUNED", 16)
    whole = [p.loss for p in train(run_config(tmp_path / "a", lines))]
    rows = checkpoint.read_jsonl(tmp_path / "a" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [0, 2, 4]  # the first step has a window already
    assert all(len(row["variances"]["4"]) == len(WINDOWS) and row["windows"] for row in rows)
    assert checkpoint.load(tmp_path / "a").window[0].tolist() == pytest.approx(
        rows[-1]["windows"]["4"], abs=0.01
    )
    first = [p.loss for p, _ in zip(train(run_config(tmp_path / "b", lines)), range(2))]
    rest = [p.loss for p in train(run_config(tmp_path / "b", lines), resume=True)]
    assert first + rest == pytest.approx(whole, abs=1e-5)


def test_training_may_begin_with_the_masked_network(lines, tmp_path):
    """The first loss is that of its weights; a network of another shape is refused in one
    sentence."""
    list(train(run_config(tmp_path / "masked", lines, process="masked", options="")))
    config = run_config(tmp_path / "block", lines, start=str(tmp_path / "masked"))
    run = start(config, resume=False)
    weights = checkpoint.load(tmp_path / "masked").net.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in run.process.net.state_dict().items())
    assert all(torch.equal(v, weights[k]) for k, v in run.average.net.state_dict().items())
    with pytest.raises(ValueError, match="another shape"):
        start(replace(config, preset="small"), resume=False)
    with pytest.raises(ValueError, match="other tokens"):
        start(replace(config, tokenizer="bpe-300"), resume=False)


def test_what_the_first_network_had_had_is_told(lines, tmp_path):
    """Its steps and seconds, and those before it, in the config, after resuming too, and in the
    card."""
    names = ("a", "b", "c")
    for name, before in zip(names, (None, *names)):
        begun = dict(start=str(tmp_path / before)) if before else {}
        config = run_config(tmp_path / name, lines, **begun)
        list(zip(train(config), range(2)))
        list(train(config, resume=True))
    told = [checkpoint.read_config(tmp_path / name) for name in names]
    assert "before" not in told[0]
    assert [(one["before"]["name"], one["before"]["step"]) for one in told[1:]] == [
        ("a", told[0]["step"]),
        ("b", told[0]["step"] + told[1]["step"]),
    ]
    last = checkpoint.card(tmp_path / "c")
    assert "begun with the network of b, which had had" in card.text(last)
    steps = [step for step, bound in checkpoint.curve(last)]
    own = [len(checkpoint.curve(checkpoint.card(tmp_path / name))) for name in names]
    assert steps == sorted(steps) and own[0] < own[1] < own[2] == len(steps)
    assert steps[-1] == sum(one["step"] for one in told)
    config = tmp_path / "c" / "config.json"
    config.write_text(json.dumps(told[2] | {"before": told[2]["before"] | {"curve": [[1, "x"]]}}))
    with pytest.raises(checkpoint.CheckpointError, match="before.curve has"):
        checkpoint.load(tmp_path / "c")


# ---------------------------------------------------------------- what is measured


def test_every_size_is_measured(lines):
    """A row a size, each with its own bound on all held-out characters; blocks of one need no
    draws; more steps than blocks can share are counted once.
    """
    found, process = corpus(str(lines)), untrained_on(corpus(str(lines)))
    rows = [
        evaluate.of_size(process.at(size), found, reader(process, found), 2, 8)
        for size in sorted(process.sizes)
    ]
    assert [row["size"] for row in rows] == [1, 2, 4, 8] and [
        row["bound"]["draws"] for row in rows
    ] == [1, 2, 2, 2]
    assert len({row["bound"]["nats"] for row in rows}) == 4 and all(
        row["entropy"] is not None for row in rows
    )
    # six blocks: six calls at the least
    assert evaluate.counts(process.at(4), "blockwise") == (
        8,
        16,
        32,
        64,
        128,
    )


def test_a_long_text_is_told_in_parts(lines):
    """A row a part, each of its own characters alone."""
    found, process = corpus(str(lines)), untrained_on(corpus(str(lines)))
    rows = evaluate.along(process, reader(process, found), 120, 40)
    assert [row["until"] for row in rows] == [40, 80, 120] and len(
        {row["entropy"] for row in rows}
    ) > 1


def reader(process, found):
    lexicon = evaluate.vocabulary(process, found)
    return partial(evaluate.judged, process=process, lexicon=lexicon)


def untrained_on(found):
    torch.manual_seed(0)
    process = build("block", found.tokenizer, **SHAPE, options=dict(block="any"))
    torch.nn.init.normal_(process.net.head.weight, std=0.2)
    return process.eval()
