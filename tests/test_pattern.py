"""Patterns: automata are the languages that they are lifted from, a bet that matches is Bayes' rule
over all texts, and every finished text matches, of every noise and sampler."""

import random
import re
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.conftest import random_process
from tests.languages import ALPHABETS, LANGUAGES, enumerated, part_of
from tests.test_exact import CROSS, FITS, OWN, total_variation
from tinydiff import exact
from tinydiff.generate import generate
from tinydiff.guides.pattern import KINDS, joined
from tinydiff.matching import Edges, Matching
from tinydiff.predictions import LOG_ZERO, Prediction
from tinydiff.processes import PROCESSES
from tinydiff.randomness import seeded
from tinydiff.show import export, render
from tinydiff.show.render import Run
from tinydiff.text import Canvas, Characters, automata
from tinydiff.text.automata import Automaton, both, least, lifted

CPU = torch.device("cpu")
# what an alternation, a repetition, a set, a class and a character of two bytes are
EXPRESSIONS = ["a|ab", "(ab|ba)*c?", "[^a]*", "a.b", "(?s)a.*é|é{2}", "((a|b)*c){2}(a|b)*"]


def texts_of(tokenizer, length):
    """All texts of so many tokens: as tokens (N, length), and as strings."""
    tokens = np.array([*product(range(len(tokenizer)), repeat=length)]).reshape(
        len(tokenizer) ** length, length
    )
    return tokens, ["".join(tokenizer.pieces[i] for i in row) for row in tokens]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_automaton_is_its_expression(expression):
    """All texts of up to five characters, against Python's own engine."""
    tokenizer = Characters("abcé\n")
    found = lifted(expression, tokenizer)
    for length in range(6):
        tokens, texts = texts_of(tokenizer, length)
        wanted = [re.fullmatch(expression, text) is not None for text in texts]
        assert found.matches(tokens).tolist() == wanted


def test_tokens_of_several_characters_and_the_end_of_a_text():
    """A token may end in the middle of a repetition; behind END stands nothing but END, and before
    it a text that matches."""
    tokenizer = ALPHABETS["pieces"](6)  # a, ab, END, b, aa, ba
    found = lifted("(ab)+", tokenizer)
    for length in range(1, 5):
        for row in texts_of(tokenizer, length)[0]:
            ids = row.tolist()
            cut = ids.index(2) if 2 in ids else length
            text = "".join(tokenizer.pieces[i] for i in ids[:cut])
            right = re.fullmatch("(ab)+", text) is not None and set(ids[cut:]) <= {2}
            assert found.matches(row[None])[0] == right


def random_automaton(rng, V, states=6):
    """A random automaton over V tokens that accepts something."""
    while True:
        moves = np.array(
            [[rng.choice([-1, *range(states)]) for _ in range(V)] for _ in range(states)]
        )
        accepting = np.array([rng.random() < 0.4 for _ in range(states)])
        made = least(moves, np.arange(V), accepting)
        if not made.empty:
            return made, (moves, accepting)


def test_the_least_automaton_and_what_two_have_in_common():
    """Against the tables that they are made of; of two automata for one language, and of twice the
    same, comes one of the same size."""
    rng, tokens = random.Random(0), texts_of(Characters("abc"), 5)[0]
    for _ in range(30):
        (a, (moves, accepting)), (b, _) = random_automaton(rng, 3), random_automaton(rng, 3)
        raw = Automaton(moves, np.arange(3), accepting)
        assert (a.matches(tokens) == raw.matches(tokens)).all()
        assert len(both(a, a).moves) == len(a.moves) <= len(moves)
        assert (both(a, b).matches(tokens) == (a.matches(tokens) & b.matches(tokens))).all()
    assert len(lifted("(a|b)*", Characters("ab")).moves) == 1
    assert len(lifted("(a*b*)*(ab)?", Characters("ab")).moves) == 1


def bet_on(automaton, log_p, fixed=(), tokens=None):
    """A Matching of a bet log_p (B, L, V)."""
    B, L, _ = log_p.shape
    stands = torch.zeros(B, L, dtype=torch.bool)
    stands[:, list(fixed)] = True
    x = torch.zeros(B, L, dtype=torch.int64) if tokens is None else tokens
    end = automaton.accepting[None].repeat(B, 0)
    begin = np.zeros(B, np.int64)
    return Matching(Prediction(log_p, log_p), x, stands, Edges(automaton, CPU), begin, end)


def test_a_bet_that_matches_is_bayes_rule():
    """P(match), marginals and the likeliest text of random bets and random automata, against a sum
    over all texts; with what stands there for good."""
    rng, torch_rng = random.Random(1), seeded(1)
    tokens = torch.as_tensor(texts_of(Characters("abc"), 4)[0])
    for _ in range(30):
        automaton = random_automaton(rng, 3)[0]
        ok = torch.as_tensor(automaton.matches(tokens.numpy()))
        if not ok.any():
            continue
        stands = tokens[ok][torch.randint(int(ok.sum()), (1,), generator=torch_rng)]
        for fixed in ((), (1,), (0, 3)):
            log_p = (3 * torch.randn(1, 4, 3, generator=torch_rng)).double().log_softmax(-1)
            fits = ok & (tokens[:, list(fixed)] == stands[:, list(fixed)]).all(1)
            open_ = [i for i in range(4) if i not in fixed]
            each = log_p[0, open_].gather(1, tokens[:, open_].T).sum(0)
            share = torch.where(fits, each, -torch.inf)
            found = bet_on(automaton, log_p, fixed, stands)
            assert found.log_match[0].item() == pytest.approx(share.logsumexp(0).item(), abs=1e-9)
            weights = share.softmax(0)
            marginal = torch.stack([torch.bincount(column, weights, 3) for column in tokens.T])
            assert torch.allclose(found.log_x0[0].exp(), marginal, atol=1e-9)
            best = found.best()[0]
            where = (tokens == best).all(1)
            assert fits[where].all() and share[where].item() == pytest.approx(share.max().item())


def test_a_draw_that_matches_is_bayes_rule():
    """20,000 draws of a bet have the law of its texts that match, columns of them too."""
    n, log_p = 20_000, torch.randn(1, 4, 3, generator=seeded(2)).log_softmax(-1)
    tokens = torch.as_tensor(texts_of(Characters("abc"), 4)[0])
    automaton = lifted("(a|b)*c(a|b)*", Characters("abc"))
    ok = torch.as_tensor(automaton.matches(tokens.numpy()))
    each = torch.where(ok, log_p[0].gather(1, tokens.T).sum(0), -torch.inf).softmax(0)
    found = bet_on(automaton, log_p.expand(n, -1, -1))
    code = torch.tensor([27, 9, 3, 1])
    share = torch.bincount((found.draw(seeded(0)) * code).sum(1), minlength=81) / n
    assert 0.5 * (share - each).abs().sum() < 0.02
    assert found.draw(seeded(1)) is found.draw(seeded(2)), "a prediction draws once"
    middle = found.columns(1, 3)
    assert torch.equal(middle.draw(seeded(3)), found.draw(seeded(3))[:, 1:3])
    assert not torch.equal(middle.anew().draw(seeded(3)), middle.draw(seeded(3)))
    assert torch.equal(middle.best(), found.best()[:, 1:3])


def test_no_bet_rules_out_what_is_needed():
    """Where every token that the pattern needs has no probability, it stands there all the same."""
    log_p = torch.full((1, 12, 2), LOG_ZERO)
    log_p[..., 1] = 0.0
    found = bet_on(lifted("a{12}", Characters("ab")), log_p)
    assert found.draw(seeded(0)).tolist() == found.best().tolist() == [[0] * 12]


# ---------------------------------------------------------------- every noise and sampler

SEES_BOTH = [cell for cell in FITS if "causal" not in PROCESSES[cell[0]].traits]
SOME = [cell for cell in FITS if cell in CROSS or cell in OWN]


def cells(all_of_them, some):
    return [
        pytest.param(*cell, marks=[] if cell in some else pytest.mark.long) for cell in all_of_them
    ]


def wrote(model, canvas, **settings):
    *_, frame = generate(model, canvas, **settings)
    return frame.tokens


@pytest.mark.parametrize("process,sampler", cells(FITS, SOME))
def test_every_finished_text_matches(process, sampler):
    """However few the steps, from nothing, behind a beginning, before an end and around a middle,
    with every guide that makes zeros."""
    language = LANGUAGES["characters"]
    model, expression = exact.perfect(process, language), "(a|c)*b(a|c)*[ab]?"
    both_sides = (process, sampler) in SEES_BOTH
    for text, places in ((2, "____"), (2, "x___"), (0, "___x"), (1, "_x__")):
        if "x" in places[1:] and not both_sides:
            continue
        canvas = part_of(language, text, places, batch=30)
        for options in ({"steps": 1}, {"steps": 3, "temperature": 0.0}, {"steps": 3, "top_p": 0.1}):
            found = wrote(model, canvas, sampler=sampler, pattern=expression, **options)
            assert lifted(expression, language.tokenizer).matches(found.numpy()).all()
            assert (found == canvas.tokens)[canvas.given].all()


@pytest.mark.parametrize("many", [40, pytest.param(200, marks=pytest.mark.long)])
def test_random_automata_with_random_pairs(many, monkeypatch):
    """No text of any pair of process and sampler that does not match."""
    rng = random.Random(5)
    for n in range(many):
        process, sampler = rng.choice(FITS)
        language = LANGUAGES[rng.choice([*LANGUAGES])]
        while True:
            automaton = random_automaton(rng, len(language.tokenizer), states=8)[0]
            if automaton.matches(texts_of(language.tokenizer, 4)[0]).any():
                break
        monkeypatch.setattr("tinydiff.guides.pattern.joined", lambda *_, made=automaton: made)
        model = exact.perfect(process, language)
        canvas = Canvas.blank(4, batch=20)
        steps = rng.choice([1, 2, 5])
        found = wrote(model, canvas, sampler=sampler, steps=steps, seed=n, pattern="any")
        assert automaton.matches(found.numpy()).all(), (process, sampler, steps, n)


def independent(shares):
    """A language whose positions know nothing of each other, shares[i] (V,) of each."""
    tokenizer = Characters("abc"[: len(shares[0])])
    strings = [*product("abc"[: len(shares[0])], repeat=len(shares))]
    p = [np.prod([s["abc".index(x)] for s, x in zip(shares, string)]) for string in strings]
    return enumerated(tokenizer, ["".join(string) for string in strings], p)


FREE = independent([(0.6, 0.3, 0.1), (0.2, 0.5, 0.3), (0.1, 0.3, 0.6)])
# of a product of bits no other law is to be had; what reads from left to right does not bet on what
# is behind
EXACT = [
    cell
    for cell in FITS
    if cell[0] not in ("bits", "autoregressive", "block") and cell[1] != "blockwise"
]


@pytest.mark.parametrize("process,sampler", cells(EXACT, SOME))
def test_the_law_is_exact_where_bets_are(process, sampler):
    """Where positions are independent, the bet is all there is to know: the texts that match have
    their true proportions."""
    model = exact.perfect(process, FREE)
    automaton = lifted("(b|c)*a(b|c)*|c+", FREE.tokenizer)
    ok = torch.as_tensor(automaton.matches(FREE.strings.numpy()))
    true = torch.where(ok, FREE.log_p, -torch.inf).softmax(0)
    options = {"redraw": 1} if sampler == "gibbs" else {}
    settings = dict(sampler=sampler, steps=48, seed=1, pattern="(b|c)*a(b|c)*|c+", **options)
    found = wrote(model, Canvas.blank(3, batch=1500), **settings)
    known = SimpleNamespace(strings=FREE.strings, log_p=true.log())
    assert total_variation(found, known) < 0.06  # of 100 times 1,500 true samples the worst: 0.043


@pytest.mark.parametrize("process,sampler", [("autoregressive", "left_to_right")])
def test_from_left_to_right_it_is_constrained_decoding(process, sampler):
    """Each token by itself, of those from which the text can still match."""
    model = exact.perfect(process, FREE)
    found = wrote(model, Canvas.blank(3, batch=4000), sampler=sampler, pattern="(ab|ba)c|ccc")
    first = found[:, 0].bincount(minlength=3) / 4000
    assert torch.allclose(first, torch.tensor([0.6, 0.3, 0.1]), atol=0.03)
    assert {FREE.tokenizer.decode(row) for row in found} == {"abc", "bac", "ccc"}


@pytest.mark.parametrize("name", [n for n in PROCESSES if n not in ("gaussian",)] + ["gaussian"])
def test_a_text_of_several_windows_matches(name):
    """The automaton's state is carried on from window to window."""
    process = random_process(name)  # of 24 characters
    expression = r"[a-d]{20}(e|f)*[g-h]{9} \n?[a-h]*"
    found = wrote(process, Canvas.blank(61), steps=4, pattern=expression)
    assert re.fullmatch(expression, process.tokenizer.decode(found[0]))


# ---------------------------------------------------------------- what has a name

ASCII = Characters("".join(map(chr, range(32, 127))) + "\n")
MATCH = {  # what matches, what does not
    "contains": ("cake, sorry", ["sorry, a cake.", "cake\nsorry"], ["cakes, sorry", "cake"]),
    "no_letters": ("zQ", ["a fox"], ["a Zoo", "quick"]),
    "ends_with": ("The end.", ["So. The end."], ["The end. So", "So.The end. So"]),
    "each_begins": ("She, He", ["She ran. He sat!", "He."], ["She ran. They sat.", "Sheep ran."]),
    "acrostic": ("ox", ["On we go\nXmas", "oh\n\nx y\n"], ["On\nwe", "ox"]),
    "line_ends": ("cat, hat", ["a cat,\nThe hat."], ["a cat\na dog", "chat"]),
    "form": ("9/9 Aa", ["on 3/4 Ma it"], ["13/4 Ma", "3/4 MA"]),
    "crossword": ("c.t", ["a cat", "Is a cot."], ["a cart", "scat"]),
    "passive": (1, ["It was painted by Tom."], ["Tom painted it.", "It was red by now."]),
    "pattern": ("^a+$", ["aaa"], ["ab"]),
}
EXACTLY = {
    "3 words": (["Tom can't go.", "a b c"], ["Tom can go now", "a b"]),
    "2 sentences": (["I am. You are!", 'A. "B?"'], ["I am.", "A. B. C."]),
    "2 lines": (["a\nb", "a b\n\nc d\n"], ["a", "a\nb\nc"]),
    "4 characters": (["abcd", "a b\n"], ["abc", "abcde"]),
}


@pytest.mark.parametrize(
    "name,value,right,wrong",
    [(name, *rest) for name, rest in MATCH.items()]
    + [("exactly", value, *rest) for value, rest in EXACTLY.items()],
)
def test_named_patterns(name, value, right, wrong):
    expressions = KINDS[name](str(value))
    made = joined(tuple((name, one) for one in expressions), ASCII)
    for text in right + wrong:
        assert made.matches(ASCII.encode(text).numpy()[None])[0] == (text in right), text


def test_every_named_pattern_is_tested():
    assert {*KINDS} == {*MATCH, "exactly"}


REFUSED = [
    (dict(pattern="(a"), "brackets"),
    (dict(pattern=r"\ba"), "edge of a word"),
    (dict(pattern="a(?=b)"), "look ahead"),
    (dict(pattern="x+"), "can write matches"),
    (dict(pattern="a{3}"), "change the length"),
    (dict(pattern="(?:[ab]{40}){120}"), "states"),
    (dict(pattern="a*", contains="b"), "take one of them away"),
    (dict(contains="a,,b"), "empty place"),
    (dict(exactly="many words"), "a number and one of"),
    (dict(exactly="999 words"), "1 to 80"),
    (dict(crossword="a1"), "a dot for each"),
    (dict(no_letters=" "), "names no character"),
    (dict(pattern="a" * 501), "500 characters"),
    (dict(pattern="a[^a]*", prompt="b"), "what is given"),
]


@pytest.mark.parametrize("asked,said", REFUSED)
def test_what_cannot_be_had_is_one_sentence(asked, said):
    """Before anything is computed."""
    language = LANGUAGES["characters"]
    asked = {**asked}
    canvas = part_of(language, 3, "x___" if asked.pop("prompt", "") else "____")
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        next(generate(exact.perfect("masked", language), canvas, **asked))
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_a_reading_without_bets_refuses():
    """epsilon, v and x0 step by codes and not by a bet over tokens."""
    from tinydiff.processes import build
    from tinydiff.schedules import schedule

    options = {"parameterisation": "epsilon", "self_conditioning": "no"}
    shape = dict(layers=1, heads=1, width=8, length=8)
    process = build("gaussian", Characters("ab"), schedule("sqrt"), **shape, options=options)
    with pytest.raises(ValueError, match="x0-ce"):
        next(generate(process, Canvas.blank(4), pattern="a*"))


def test_a_pattern_that_would_take_all_memory_ends(monkeypatch):
    """It is read outside this process, with a limit of time."""
    monkeypatch.setattr(automata, "SECONDS", 1)
    with pytest.raises(ValueError, match="within 1 seconds"):
        lifted("(?s)(.*a.{25})", Characters("abcd"))


# ---------------------------------------------------------------- what is shown of it


def test_how_likely_a_text_is_that_keeps_the_rules(tmp_path):
    """Each picture says how likely one is under the bet that led to it: of nothing the exact
    probability, at the end certainty; the player is told, and JSON holds it. Without rules, and
    where a block alone is in the bet, nothing is said."""
    model, canvas = exact.perfect("masked", FREE), Canvas.blank(3)
    settings = dict(sampler="left_to_right", pattern="(b|c)*a(b|c)*", seed=4)
    run = Run({}, list(render.record(model, canvas, generate(model, canvas, **settings))))
    found = [picture.match for picture in run.frames]
    ok = torch.as_tensor(lifted("(b|c)*a(b|c)*", FREE.tokenizer).matches(FREE.strings.numpy()))
    true = FREE.log_p[ok].logsumexp(0).item() / np.log(10)
    assert found[0] is None and found[1] == pytest.approx(true, abs=1e-6)
    value = render.pack(run, 3)
    assert value["head"]["rules"] is True
    assert [picture.match for picture in render.unpack(value).frames][1] == round(true, 3)
    export.json(run, tmp_path / "run.json")
    assert export.load_json(tmp_path / "run.json").frames[1].match == pytest.approx(true)
    plain = list(render.record(model, canvas, generate(model, canvas, sampler="left_to_right")))
    assert [picture.match for picture in plain] == [None] * 4
    assert "rules" not in render.pack(Run({}, plain), 3)["head"]
    block = exact.perfect("block", LANGUAGES["characters"])
    *_, last = generate(block, Canvas.blank(4), sampler="blockwise", block=2, pattern="(?s).*")
    assert last.match is None
