"""The guided story: eight scenes for somebody who knows no mathematics, over texts that the bundled
models wrote (assets/recorded/story.json). The page asks for them when the story is opened; the
slider of the sixth scene swaps between the texts of the opening (looks.py).

How the examples were chosen, so that they are clear; what they say is what the models made:

STORY      was written for this page, no model has seen it
ONE        a beginning after which a girl and Tim are each the likeliest in their places and do not
           fit together; the first seed at which a look draws a girl named Tim
RUN        of the seeds 1 to 20 one with few slips; its place is that which gets surest while it
           waits for its word (`waiting`)
ALIKE      of the seeds 1 to 6 one at which hidden words make no slip
SEED       the first, for both tasks and for all three
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import gradio as gr
import torch
from torch import Tensor

from tinydiff import runs
from tinydiff.processes import Process
from tinydiff.randomness import seeded
from tinydiff.runs import Request
from tinydiff.show import render
from tinydiff.show.moments import plain
from tinydiff.show.render import Picture
from tinydiff.store import catalogue
from tinydiff.ui import denoise, looks, recording
from tinydiff.ui.tab import QUICK, Site
from tinydiff.ui.writing import measure_of, strange

NAME = "story"
MODEL = "stories/masked"
OTHERS = ["uniform", "gaussian", "bits", "autoregressive", "block"]
STORY = (
    "One sunny day, Mia found a tiny boat by the pond. It was blue, and it had a big white sail. "
    '"I want to see it go," she said. She put the boat on the water. But the wind took it away, '
    "and Mia was sad. Then a duck came and pushed the boat back to her. "
    '"Thank you, duck!" said Mia. She gave him some bread, and they played by the pond all day.'
)
WORD, BEFORE = " sad", "and Mia was"  # the hidden word of the second scene, and what stands before
OFFERED = ("happy", "sad", "wet", "scared")  # for who does not want to type
LEAST = 1e-4  # of shares that the page knows of a typed word
TIMES = 100  # of the slider of noise
SHARES = (0.15, 0.5, 0.9)  # that are hidden in the third scene; the first is BERT's
NOISE_SEED = 3  # of what is hidden in the first and the third scene
BEGIN = "Once upon a time, there was a little"
ONE = dict(prompt="In the park, there was a little", length=48, steps=1, seed=99)
PAIR = (" girl", " Tim")  # drawn together by that look
RUN = dict(prompt=BEGIN, length=64, steps=24, seed=4)
NOISES = ("masked", "uniform", "gaussian", "bits")
ALIKE = dict(prompt=BEGIN, length=48, steps=32, seed=2)
GAP = 36  # tokens that are to be written in both tasks
SEED = 1
BEGUN = "Lily wanted to make a cake."
END = " Lily was sad because the cake was gone."
WAYS = ("autoregressive", "block", "masked")
ARXIV = "https://arxiv.org/abs/"


@dataclass(frozen=True)
class Scene:
    """What is read in a scene, and where to read on: the formula in a line, the file of this
    project that computes it, the paper and its number at arXiv."""

    title: str
    text: str
    formula: str
    file: str
    paper: str
    arxiv: str


SCENES = (
    Scene(
        "A story fades",
        "Drag the slider: the more noise, the more words are hidden. A diffusion model learns one "
        "thing, to bring them back.",
        "q(xₜ | x₀): each word stays with chance α(t) = 1 − t, else it is hidden",
        "tinydiff/noises/mask.py",
        "Austin et al., 2021",
        "2107.03006",
    ),
    Scene(
        "Guess the hidden word",
        "What did Mia feel? You guess first; then see what the network bets.",
        "p(word | all the others), one share for each of its 4,096 pieces of words",
        "tinydiff/nets/transformer.py",
        "Vaswani et al., 2017",
        "1706.03762",
    ),
    Scene(
        "One look fills every gap",
        "A network that fills a few gaps is called BERT. Teach it to fill any share of them, and "
        "you have one step of diffusion; but look what happens when nearly all are hidden.",
        "loss = average over t of 1/t × Σ over hidden words of −log p(word | what is seen)",
        "tinydiff/processes/masked.py",
        "BERT: Devlin et al., 2018",
        "1810.04805",
    ),
    Scene(
        "All at once does not work",
        "Now all is hidden, and every place guesses for itself: “girl” is a good guess, and so is "
        "“Tim”. Together they are not, and no place knows what the other took.",
        "one look draws from p(a) × p(b), where p(a) × p(b | a) is meant",
        "tinydiff/predictions.py",
        "Gu et al., 2017",
        "1711.02281",
    ),
    Scene(
        "A few words at a time",
        "So keep only a few words of each look, and look again. Watch the framed place: as its "
        "neighbours come in, its bets get surer.",
        "from t to s a hidden word is uncovered with chance (α(s) − α(t)) / (1 − α(t))",
        "tinydiff/samplers/ancestral.py",
        "MDLM: Sahoo et al., 2024",
        "2406.07524",
    ),
    Scene(
        "What looks buy",
        "One look is quick and writes nonsense. Drag, and see how many looks a story needs; after "
        "some sixty, more hardly help.",
        "smooth = sentences without a word of −log p(word | all before) > 9, of all sentences",
        "tinydiff/measure/sense.py",
        "MaskGIT: Chang et al., 2022",
        "2202.04200",
    ),
    Scene(
        "Words can fade in other ways",
        "Hiding is one kind of noise. The same beginning, four times: each kind starts from its "
        "own chaos. With networks as small as these, hidden words read best, binary noise worst.",
        "xₜ = √α(t) × the word’s numbers + √(1 − α(t)) × noise, for the last two",
        "tinydiff/noises/gaussian.py",
        "Diffusion-LM: Li et al., 2022",
        "2205.14217",
    ),
    Scene(
        "One after the other, or anywhere",
        "Chatbots append word after word, and over many stories that reads best here too. But who "
        "appends cannot know what comes later: only words set at any place can lead to a given "
        "end, here in half the looks. Blocks are the road between; ours reads worst.",
        "append: Π p(wordᵢ | words before); anywhere: p(hidden words | all that is seen)",
        "tinydiff/processes/block.py",
        "Arriola et al., 2025",
        "2503.09573",
    ),
)
ABOUT = {  # what a noise does, in a sentence
    "masked": "Words are hidden, and uncovered a few at a time.",
    "uniform": "Words are swapped for wrong ones, and nobody says which are right.",
    "gaussian": "Each word is a point on a map; noise pushes it off, and it walks back.",
    "bits": "Each word is a number in zeros and ones that noise has smudged.",
}
APPEND, BLOCKS, ANYWHERE = "append", "in blocks", "set at any place"


# ---------------------------------------------------------------- the page


class Story(gr.HTML):
    """The dialog in which the story is told (ui/static/story.js). Empty until its event `opened`,
    with which it asks for the scenes; on a `server.Page`, which holds the scripts."""

    def __init__(self, **more):
        more.setdefault("html_template", DIALOG)
        more.setdefault(
            "js_on_load", "tinydiff.story(element, () => trigger('opened'), props, watch)"
        )
        super().__init__(None, apply_default_css=False, elem_id="story", **more)

    def get_block_name(self) -> str:
        return "html"


DIALOG = '<dialog class="ts-story" aria-labelledby="ts-title"></dialog>'


def build(site: Site) -> None:
    """The dialog and its wiring; the link to it stands under the opening (downloads.py)."""
    here = Story()
    here.opened(answer, None, here, **QUICK)


def answer() -> dict:
    """What the page is told when the story is opened: one string of JSON, which Gradio's page does
    not walk through."""
    return {"packed": packed()}


@lru_cache(maxsize=1)
def packed() -> str:
    told = {"scenes": scenes(), "note": recording.caption(NAME)}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def scenes() -> list[dict]:
    """Each scene with what is shown in it."""
    shown = [*recording.load(NAME).get("shown", [])]
    if not shown:
        return []
    beside(*(ways for _, ways in shown[-1]["tasks"]))
    shown.insert(5, {"texts": opening_texts()})
    return [
        asdict(scene) | {"url": ARXIV + scene.arxiv, "shown": data}
        for scene, data in zip(SCENES, shown)
    ]


def beside(free: list[dict], towards: list[dict]) -> None:
    """Put what is to be said of each way of the eighth scene beside it: of a beginning what an
    outside judge says of many stories (evaluate.py, in bits a character), of a given end whether it
    was seen."""
    real = catalogue.real_text(catalogue.load(MODEL).corpus)["outside"]
    for way in free:
        found = catalogue.card_of(f"stories/{way['family']}").evaluation
        way["about"] = (
            "How odd to another model, over many stories: "
            f"{found['default']['outside']:.2f}; real ones {real:.2f}."
        )
    for way in towards:
        seen = way["family"] == "masked"
        way["about"] = "It saw the end from the first look." if seen else "It saw no end coming."


def opening_texts() -> list[dict]:
    """The recorded text of the opening at each number of looks, ascending, with its measure."""
    value = json.loads(denoise.EXAMPLE.read_text("utf-8"))
    made = {value["head"]["settings"]["steps"]: value}
    made |= {int(count): value for count, value in looks.recorded().get("made", {}).items()}
    return [{"looks": count, **still(made[count])} for count in sorted(made)]


# ---------------------------------------------------------------- what is recorded


def record() -> None:
    """Compute and keep what is shown in all scenes but the sixth."""
    process = catalogue.load(MODEL)
    shown = [fading(process), guessing(process), filling(process), alone(process), few(), noises()]
    shown.append(orders())
    models = [MODEL, *(f"stories/{name}" for name in OTHERS)]
    recording.save(NAME, {"shown": shown}, models)


def fading(process: Process) -> dict:
    """The story, and the time at which each of its words is hidden: the noise draws one number a
    word and compares it with alpha(t), at every time the same."""
    x0 = process.tokenizer.encode(STORY)[None]
    gone = torch.full_like(x0, TIMES, dtype=torch.int64)
    for step in reversed(range(1, TIMES + 1)):
        t = torch.full(x0.shape, step / TIMES)
        x = process.noise.corrupt(x0, t, seeded(NOISE_SEED))
        gone = torch.where(x == process.mask_id, step, gone)
    return cells(process, x0[0]) | {"gone": gone[0].tolist(), "times": TIMES}


def guessing(process: Process) -> dict:
    """The story with one word hidden, its place, and the network's bets: the five likeliest, and
    of each whole word with a share that counts."""
    tokenizer = process.tokenizer
    x0 = tokenizer.encode(STORY)
    place = len(tokenizer.encode(STORY[: STORY.index(BEFORE) + len(BEFORE)]))
    hidden = torch.zeros_like(x0, dtype=torch.bool)
    hidden[place] = True
    p = bets(process, torch.where(hidden, process.mask_id, x0))[place]
    words = {
        tokenizer.pieces[i].strip().lower(): round(p[i].item(), 4)
        for i in p.argsort(descending=True).tolist()
        if p[i] >= LEAST and tokenizer.pieces[i].startswith(" ")
    }
    return cells(process, x0) | {
        "place": place,
        "bets": top(process, p),
        "words": words,
        "offered": list(OFFERED),
    }


def filling(process: Process) -> dict:
    """The story with several shares of it hidden, and the likeliest word of each hidden place after
    one look."""
    x0, found = process.tokenizer.encode(STORY), []
    for share in SHARES:
        t = torch.full(x0[None].shape, share)
        x = process.noise.corrupt(x0[None], t, seeded(NOISE_SEED))[0]
        hidden = x == process.mask_id
        best = torch.where(hidden, bets(process, x).argmax(-1), x0)
        right = int((best == x0)[hidden].sum())
        drawn = cells(process, best)
        found.append(drawn | dict(share=share, hidden=places(hidden), right=right))
    return cells(process, x0) | {"looks": found}


def alone(process: Process) -> dict:
    """The text of one look with two words that do not fit, the bets of their places, and those of
    the second once the first is written."""
    request = asked(MODEL, **ONE)
    *_, last = render.record(process, request.canvas, request.frames())
    tokens = process.tokenizer.tokens(last.text)
    first, second = [int((tokens == token(process, word)).nonzero()[0]) for word in PAIR]
    x = torch.where(request.canvas.given, request.canvas.tokens, process.mask_id)[0]
    before = bets(process, x, request.settings["temperature"])
    written = x.clone()
    written[first] = tokens[first]
    after = bets(process, written, request.settings["temperature"])
    name = token(process, PAIR[1])
    return cells(process, tokens, request.canvas.given[0]) | {
        "pair": [first, second],
        "first": top(process, before[first]),
        "second": top(process, before[second]),
        "after": top(process, after[second]),
        "name": [round(p[second, name].item(), 4) for p in (before, after)],
    }


def few() -> dict:
    """A run, and the place whose bets get surest while it waits for its word."""
    request = asked(MODEL, **RUN)
    value, frames = played(request)
    return {"run": value, "place": waiting(frames)}


def waiting(frames: list[Picture]) -> int:
    """Of the places that are hidden for most of a run and end with a word of letters, which is the
    one that they were sure of, that whose share of its likeliest word rose most."""
    pieces = render.Spelling()
    for frame in frames:
        pieces.take(frame)
    late = frames[2 * len(frames) // 3]
    words = pieces.each(frames[-1].text)
    open_ = [
        i
        for i, sign in enumerate(late.text)
        if sign == render.MASK
        and words[i].startswith(" ")
        and words[i].strip().isalpha()
        # it is the word that the bets come to, and stay with
        and all(f.best[i] == frames[-1].text[i] for f in frames if f.confidence[i] > 0.6)
    ]
    return max(open_, key=lambda i: late.confidence[i] - frames[1].confidence[i])


def noises() -> dict:
    """The same beginning under four noises."""
    found = []
    for name in NOISES:
        value, _ = played(asked(f"stories/{name}", **ALIKE))
        found.append({"name": plain(name), "about": ABOUT[name], "family": name, "run": value})
    return {"runs": found}


def orders() -> dict:
    """Two tasks, each in three ways: from a beginning, and towards an end that is given. Who
    appends sees nothing of the end; it stands behind what was written."""
    free, towards = [], []
    for name, way in zip(WAYS, (APPEND, BLOCKS, ANYWHERE)):
        model, process = f"stories/{name}", catalogue.load(f"stories/{name}")
        start = len(process.tokenizer.encode(BEGUN))
        begun = dict(prompt=BEGUN, length=start + GAP, steps=GAP, seed=SEED)
        value, _ = played(asked(model, **begun))
        free.append({"name": way, "family": name, "run": value})
        if name == "masked":
            gap = dict(template=BEGUN + " ␣" * GAP + END, steps=GAP // 2, seed=SEED)
            value, _ = played(asked(model, **gap))
        else:
            value, _ = played(asked(model, **begun), process.tokenizer.encode(END))
        towards.append({"name": way, "family": name, "run": value})
    return {"tasks": [["Go on from a beginning", free], ["Write towards an end", towards]]}


# ---------------------------------------------------------------- how it is packed


def asked(model: str, **settings) -> Request:
    return runs.request(dict(model=model, **settings))


def bets(process: Process, x: Tensor, temperature: float = 1.0) -> Tensor:
    """What the network bets on at each place of a text (L,) with masks, (L, V)."""
    hidden = x == process.mask_id
    t = torch.where(hidden, hidden.float().mean(), 0.0)
    with torch.no_grad():
        log_p = process.denoise(x[None], t[None]).log_x0[0]
    return (log_p / temperature).softmax(-1)


def top(process: Process, p: Tensor) -> list[list]:
    """The five likeliest pieces of (V,) shares, with their shares."""
    shares, tokens = p.topk(render.TOP)
    return [
        [process.tokenizer.pieces[i].strip(), round(share, 4)]
        for i, share in zip(tokens.tolist(), shares.tolist())
    ]


def token(process: Process, word: str) -> int:
    (found,) = process.tokenizer.encode(word).tolist()
    return found


def places(where: Tensor) -> list[int]:
    return where.nonzero()[:, 0].tolist()


def cells(process: Process, tokens: Tensor, given: Tensor | None = None) -> dict:
    """A text (L,) for the page: a sign a token, and what each sign spells."""
    tokenizer, ids = process.tokenizer, tokens.tolist()
    signs = [tokenizer.signs[i] for i in ids]
    return {
        "text": "".join(signs),
        "pieces": dict(zip(signs, (tokenizer.pieces[i] for i in ids))),
        "given": [] if given is None else places(given),
        "end": "" if tokenizer.end_id is None else tokenizer.signs[tokenizer.end_id],
    }


def played(request: Request, behind: Tensor | None = None) -> tuple[dict, list[Picture]]:
    """A whole run as a value for the page, and its pictures. behind: tokens that stand behind what
    was written, and were not seen."""
    process = request.process
    pictures = list(render.record(process, request.canvas, request.frames()))
    if behind is not None:
        pictures = [with_end(picture, process, behind) for picture in pictures]
    wire = render.Wire(len(pictures), process.V, family=process.name)
    for picture in pictures:
        wire.add(picture)
    end, numbers = pictures[-1], {}
    if render.MASK not in end.text:
        text = render.spelled(end.text, process.tokenizer)
        numbers = dict(measure=measure_of(text, process), strange=strange(end, process))
    return {**wire.value(done=True, **numbers), "run": 0, "calls": end.calls}, pictures


def with_end(picture: Picture, process: Process, behind: Tensor) -> Picture:
    """The picture with given tokens behind it."""
    tokenizer, ids, n = process.tokenizer, behind.tolist(), len(behind)
    signs = "".join(tokenizer.signs[i] for i in ids)
    named = (picture.pieces or {}) | {tokenizer.signs[i]: tokenizer.pieces[i] for i in ids}
    return replace(
        picture,
        text=picture.text + signs,
        best=picture.best + signs,
        confidence=picture.confidence + (1.0,) * n,
        entropy=picture.entropy + (0.0,) * n,
        given=picture.given + (True,) * n,
        top=picture.top + render.MASK * n,
        pieces=named,
    )


def still(value: dict) -> dict:
    """The end of a run as `cells`, with its measure and the places of words that are none."""
    run, spelling, states = render.unpack(value), render.Spelling(), render.States()
    for picture in run.frames:
        spelling.take(picture)
        last = states(picture)
    text = run.frames[-1].text
    return {
        "text": text,
        "pieces": {sign: spelling.pieces[sign] for sign in {*text} if sign in spelling.pieces},
        "given": [i for i, state in enumerate(last) if state == render.GIVEN],
        "behind": [i for i, state in enumerate(last) if state == render.BEHIND],
        "end": (run.frames[0].scene or {}).get("end", ""),
        "strange": value.get("strange", []),
        "share": (value.get("measure") or {}).get("share"),
        "measure": (value.get("measure") or {}).get("name", ""),
    }
