"""What is taken away: code that writes the same text again, tables, names, papers, sweeps."""

import contextlib
import csv
import io
import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.conftest import SHAPE, random_process
from tinydiff import papers, recipes, runs
from tinydiff.cli.commands import main, parser
from tinydiff.endings import read_of
from tinydiff.guides import GUIDES
from tinydiff.measure import families, sweep
from tinydiff.processes import PROCESSES
from tinydiff.samplers import SAMPLERS
from tinydiff.schedules import SCHEDULES, schedule
from tinydiff.show import charts, curves, export, render, sheets
from tinydiff.store import catalogue, checkpoint
from tinydiff.ui import away
from tinydiff.ui.errors import gr
from tinydiff.ui.request import opening, read
from tinydiff.ui.session import Session

ROOT = Path(__file__).resolve().parent.parent
STORY = {"model": "stories/masked", "length": 40, "steps": 2}
NASTY = [
    "Once\nupon",
    r"a \n b \\n c \\\n d \t \ ",
    "\\",
    'it\'s "said" $HOME `ls` $(ls) !x #y ~',
    "-- minus",
    "--steps 3",
    "naïve 日本 🙂 <b>{x}%s",
    "  spaces  ",
    "a\r b\t c",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint folder of an untrained masked process with random weights."""
    folder, process = tmp_path_factory.mktemp("away"), random_process("masked")
    config = checkpoint.config_of(process, {**SHAPE, "labels": 0}, "noise", step=1)
    return str(checkpoint.save(process, config, folder))


@pytest.fixture(scope="module")
def run(model):
    return runs.record({"model": model, "sampler": "remask", "steps": 6, "length": 40, "seed": 1})


def text_of(asked):
    *_, frame = asked.frames()
    return read_of(asked.process, frame, asked.settings["until"])[0]


def ran(program):
    """What a program prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program, "taken", "exec"), {})
    return out.getvalue()


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


# ---------------------------------------------------------------- code

RUNS = [
    {},
    {"prompt": "Once upon a time", "seed": 7, "temperature": 1.0},
    {"prompt": NASTY[3], "seed": 3, "sampler": "confidence", "options": {"noise": 0.5}},
    {"prompt": NASTY[1], "top_p": 0.9, "spacing": "cosine"},
    {"template": 'Lily "found" a ␣␣\n\\n in␣␣␣ the garden.', "temperature": 0.0},
    {"model": "stories/block", "options": {"block": 8}, "until": "length"},
    {"model": "stories/gaussian", "sampler": "ddim", "top_k": 5},
    {"model": "stories/autoregressive", "length": 12},
    {"model": "perfect-uniform", "prompt": "ROMEO:\n", "until": "blank line"},
]


@pytest.mark.parametrize("settings", RUNS, ids=str)
def test_code_writes_the_same_text(settings, capsys):
    """The program, executed, and the command, as a shell parts its words, print the text of the
    run itself."""
    asked = runs.request(STORY | settings)
    text = text_of(asked) + "\n"
    assert ran(recipes.python(asked)) == text
    words = shlex.split(recipes.command(asked))
    assert words[:4] == ["python", "-m", "tinydiff", "sample"]
    assert main(words[3:]) == 0
    assert capsys.readouterr().out == text


def test_labels_are_in_the_code(capsys, tmp_path):
    """A run with a label, as Python and as a command."""
    process = random_process("masked", labels=3)
    config = checkpoint.config_of(process, {**SHAPE, "labels": 3}, "noise", step=1)
    config |= {"labels": ["glad", "sad", "an odd, one"]}
    folder = checkpoint.save(process, config, tmp_path / "labelled")
    for label in ("sad", "an odd, one"):
        asked = runs.request(dict(model=str(folder), length=20, steps=4, label=label, guidance=2.0))
        text = text_of(asked) + "\n"
        assert ran(recipes.python(asked)) == text
        assert main(shlex.split(recipes.command(asked))[3:]) == 0
        assert capsys.readouterr().out == text


def test_usual_settings_are_left_out():
    """A run of the usual settings is a command without flags, and a call of the page's opening one
    without settings; what a model decides is not said."""
    assert recipes.command(runs.request({})) == "python -m tinydiff sample"
    assert '{"data": [{}]}' in recipes.curl(read({}), "http://a", opening())
    program = recipes.python(runs.request({"temperature": 1.0}))
    assert "generate(process, canvas)" in program


@pytest.mark.parametrize("prompt", NASTY)
def test_any_prompt_is_quoted(prompt):
    """A real shell hands over exactly the words of the command and of the call, and both mean the
    prompt; so does the program's text."""
    asked = runs.request(STORY | {"prompt": prompt})
    assert repr(prompt) in recipes.python(asked)
    command = recipes.command(asked)
    told = subprocess.run(
        ["sh", "-c", "printf '%s\\0' " + command], capture_output=True, check=True
    ).stdout.decode()
    words = told.split("\0")[:-1]
    args = parser().parse_args(words[3:])
    assert recipes.meant(args.prompt) == prompt
    first, second = recipes.curl(asked, "http://127.0.0.1:1/", opening()).splitlines()
    spied = 'curl() { printf \'%s\\0\' "$@" > "$SPY"; echo \'{"event_id":"abc"}\'; }\n'
    script = f'{spied}SPY=/dev/stderr\n{first}\necho "$event"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    sent = done.stderr.decode().split("\0")
    assert json.loads(sent[sent.index("-d") + 1])["data"][0]["prompt"] == prompt
    assert done.stdout == b"abc\n" and "\n" not in second


def test_backslashes_before_n_come_back():
    """`meant` undoes `typed`, and \\n alone is still a new line."""
    for count in range(5):
        for after in ("n", "x", "", "\n", "nn"):
            text = "a" + "\\" * count + after
            assert recipes.meant(recipes.typed(text)) == text
    assert recipes.meant(r"a\nb") == "a\nb"
    with pytest.raises(ValueError, match="no command line"):
        recipes.flag("prompt", "a\0b")


def test_the_page_gives_the_code_of_a_value(run):
    """From the value of a player; the model of a visitor has none."""
    asked = read({"steps": 2, "length": 30})
    value = render.pack(render.Run(asked.settings, run.frames), 12)
    code = away.code(value, "http://here")
    assert code["python"] == recipes.python(asked) and set(code) == {"python", "curl", "command"}
    assert "http://here/gradio_api/call/denoise" in code["curl"]
    assert "@misc{sahoo2024simple" in away.bibtex(value)
    assert len(read_csv(away.csv(value))) == len(run.frames)
    with pytest.raises(gr.Error):
        mine = render.Run({**asked.settings, "model": "mine"}, run.frames)
        away.code(render.pack(mine, 12), "http://here", Session())


# ---------------------------------------------------------------- curves


@pytest.mark.parametrize("name", SCHEDULES)
def test_curves_are_those_of_the_noise(name):
    """Between their points, too, they are what the schedule says."""
    process = random_process("masked")
    process.noise.schedule = schedule(name)
    found = curves.of(process)
    for t in (0.031, 0.26, 0.5, 0.777, 0.97):
        exact = torch.tensor([[t]], dtype=torch.float64)
        alpha, weight = process.noise.alpha(exact).item(), process.noise.weight(exact).item()
        assert curves.at(found["alpha"], t) == pytest.approx(alpha, abs=0.03)
        assert curves.weight_at(found["weight"], t) == pytest.approx(weight, rel=0.15, abs=1e-4)
    linear = curves.of(random_process("masked"))
    assert curves.weight_at(linear["weight"], 0.31) == pytest.approx(1 / 0.31, rel=0.01)
    assert curves.weight_at(linear["weight"], 0.0) is None


def test_a_run_carries_the_loss_of_its_checkpoint():
    """As its evaluation stores it, 33 levels; none where it was not measured."""
    levels = catalogue.card_of("stories/masked").evaluation["levels"]
    found = runs.curves(runs.request(STORY))["loss"]
    assert len(found) == len(levels) == 33
    for row, (t, nats) in zip(levels, found):
        assert curves.loss_at(found, row["t"]) == pytest.approx(row["nats"], abs=2e-3)
        assert (t, nats) == pytest.approx((row["t"], row["nats"]), abs=1e-4)
    assert curves.loss_at(found, 0.0) == 0
    assert "loss" not in runs.curves(runs.request({"model": "perfect-masked"}))


@pytest.mark.parametrize(
    "levels",
    [None, 7, "x", [7], [{}], [{"t": 1}], [{"t": 1, "nats": "x"}] * 3, [{"t": 2, "nats": 1}] * 3]
    + [[{"t": 0.5, "nats": -1}, {"t": 1, "nats": 1}], [{"t": 0.5, "nats": 1e999}] * 2],
)
def test_strange_levels_draw_nothing(levels):
    """An evaluation of anybody."""
    assert curves.of_levels(levels) == {}


def test_points_along_a_run(run):
    """Shares and means are over what is open, counted here by hand."""
    points = curves.along(run)
    assert [p.step for p in points] == [p.step for p in run.frames] and points[0].hidden == 1
    for k, (point, picture) in enumerate(zip(points, run.frames)):
        assert point.hidden == picture.text.count(render.MASK) / 40
        assert point.entropy == pytest.approx(sum(picture.entropy) / 40)
        before = run.frames[max(0, k - 1)].text
        assert point.changing == sum(a != b for a, b in zip(before, picture.text)) / 40
        assert point.alpha == pytest.approx(1 - point.t, abs=2e-3)


def test_curves_travel_with_the_run(run, tmp_path):
    """JSON, the wire and a page hold them; those of a stranger's file are looked at."""
    export.json(run, tmp_path / "a.json")
    assert run.curves and export.load_json(tmp_path / "a.json").curves == run.curves
    assert render.unpack(render.pack(run, 12)).curves == run.curves
    whole = json.loads((tmp_path / "a.json").read_text())
    strange = [7, [], {"alpha": []}, {"alpha": [0, None]}, {"beta": [0, 1]}, {"loss": [0, 1]}]
    strange += [{"loss": [[0.5, 1], [0.5, 1]]}, {"loss": [[0.5, 1], [2, 1]]}, {"alpha": [0, -1]}]
    for found in [*strange, {"alpha": [0.5] * 5000}]:
        (tmp_path / "b.json").write_text(json.dumps(whole | {"curves": found}))
        with pytest.raises(ValueError, match="is not a run"):
            export.load_json(tmp_path / "b.json")
    del whole["curves"]
    (tmp_path / "b.json").write_text(json.dumps(whole))
    assert export.load_json(tmp_path / "b.json").curves == {}


# ---------------------------------------------------------------- charts


def columns_of(image, colour):
    """The columns in which a colour stands, from left to right."""
    pixels = image.load()
    return [
        x for x in range(image.width) if any(pixels[x, y] == colour for y in range(image.height))
    ]


def test_one_marker_moves_through_all_charts(run):
    """At every picture it stands in each chart at the time, or the step, of that picture."""
    strip = charts.Strip(replace(run, curves=run.curves | {"loss": [[0.5, 0.4], [1.0, 2.0]]}), 844)
    assert len(strip.charts) == 4
    for k, picture in enumerate(run.frames):
        image = strip.drawn(k).crop((0, charts.HEAD, 844, charts.HEAD + charts.HIGH))
        found = columns_of(image, charts.inks()["new"])
        for place, chart in enumerate(strip.charts):
            left = strip.left(place)
            x = 1 - picture.t if place < 3 else k / (len(run.frames) - 1)
            at = left + round(x * (strip.wide - 1))
            here = [c for c in found if left - 4 <= c < left + strip.wide + 4]
            assert here and (here[0] + here[-1]) / 2 == pytest.approx(at, abs=1.5), chart.title
    assert [s for s in strip.charts[0].said][-1] == "100 %"


def test_plots_can_be_left_out(run, tmp_path, model):
    """--no-plots, and the film has the size of its text alone; a page cannot do without."""
    kept = tmp_path / "run.json"
    export.json(run, kept)
    sizes = {}
    for flag in ("--plots", "--no-plots"):
        path = tmp_path / f"{flag}.gif"
        assert main(["export", "--run", str(kept), flag, str(path), str(tmp_path / "a.html")]) == 0
        with Image.open(path) as film:
            sizes[flag] = film.size
    lines = export.lines_of(run)
    assert sizes["--no-plots"] == export.background_size(lines)
    assert sizes["--plots"][1] - sizes["--no-plots"][1] == charts.Strip.height
    assert charts.Strip.height % 2 == 0


@pytest.mark.parametrize("name", PROCESSES)
def test_every_family_has_its_charts(name):
    """Also those without a time, and without masks; every value is written and within its chart."""
    process = random_process(name)
    *_, frame = frames = list(
        runs.Request(
            runs.complete({"steps": 3, "options": {}})
            | {"sampler": runs.check_sampler(process, None).name, "until": "length"},
            process,
            runs.Canvas.blank(24),
        ).frames()
    )
    pictures = list(render.record(process, runs.Canvas.blank(24), frames))
    made = charts.charts(render.Run({"process": name}, pictures, curves.of(process)))
    assert len(made) == (3 if process.traits & {"diffusion", "blocks"} else 1)
    for chart in made:
        assert len(chart.at) == len(chart.said) == len(pictures)
        assert all(0 <= x <= 1 and 0 <= y <= 1 for each in chart.at for x, y in each)


# ---------------------------------------------------------------- CSV


def test_the_curves_of_a_run_as_csv(run, tmp_path):
    """Every number of them, with units in the head."""
    export.csv(run, tmp_path / "run.csv")
    rows = read_csv((tmp_path / "run.csv").read_text("utf-8"))
    points = curves.along(run)
    assert len(rows) == len(points) and list(rows[0]) == [*sheets.RUN.values()]
    for row, point in zip(rows, points):
        for key, value in vars(point).items():
            written = row[sheets.RUN[key]]
            assert (
                (written == "")
                if value is None
                else float(written) == pytest.approx(value, rel=1e-5)
            )
    heads = " ".join(rows[0])
    assert all(unit in heads for unit in ("[s]", "[nats/token]", "[nats/character]", "[share]"))


def test_every_table_as_csv():
    """Families, curves, losses, cards and a race: as many lines as there are rows, and numbers that
    are those of the record."""
    result = families.read()
    rows = read_csv(sheets.of_families(result))
    assert [r["model"] for r in rows] == [r["name"] for r in result["rows"]]
    assert float(rows[0]["bound [bits/character]"]) == pytest.approx(
        result["rows"][0]["bits"], rel=1e-5
    )
    assert rows[0]["judge [bits/character], 128 steps"]
    count = sum(len(p) for s in result["errors"].values() for p in s.values())
    assert len(read_csv(sheets.of_errors(result))) == count + 1
    cards = {card.path.name: card.evaluation for card in families.cards_of("tinystories")}
    kept = [k for e in cards.values() for k in ("steps", "single", "temperatures") for _ in e[k]]
    assert len(read_csv(sheets.of_evaluations(cards))) == len(kept) > 20
    assert len(read_csv(sheets.of_losses(cards))) >= 33
    recorded = json.loads((ROOT / "assets/recorded/steps.json").read_text())
    recorded = recorded["cards"]["stories/masked"]
    found = read_csv(sheets.of_cards(recorded))
    assert [float(r["judge [bits/character]"]) for r in found] == pytest.approx(
        [c["bits"] for c in recorded], rel=1e-5
    )
    assert found[-1]["text"] == "".join(piece for piece, _ in recorded[-1]["pieces"])
    race = json.loads((ROOT / "assets/recorded/race.json").read_text())
    assert [r["lane"] for r in read_csv(sheets.of_race(race))] == [e["name"] for e in race["lanes"]]


# ---------------------------------------------------------------- names and the command


def test_files_are_named_after_their_run(model):
    """Model, steps and seed; nothing in a name that a file cannot have."""
    for settings, name in (
        (STORY | {"steps": 64, "seed": 7}, "tinydiff-stories-masked-64-steps-seed-7.gif"),
        (
            {"model": "stories/masked", "steps": 1, "seed": 0},
            "tinydiff-stories-masked-1-step-seed-0.gif",
        ),
        (
            {"model": "user/name@v1", "steps": 9, "seed": 1, "sampler": "left_to_right"},
            "tinydiff-user-name-v1-seed-1.gif",
        ),
        ({}, "tinydiff-run.gif"),
        (
            {"model": model, "seed": 3, "steps": 2},
            f"tinydiff-{Path(model).name}-2-steps-seed-3.gif",
        ),
        ({"model": 'a/<b>"\n..', "seed": 1}, "tinydiff-a-b-..-seed-1.gif"),
    ):
        assert export.file_name(settings, "gif") == name
    assert len(export.file_name({"model": "x" * 200, "seed": 1}, "gif")) < 255


def test_export_records_where_no_run_is_named(model, tmp_path, capsys):
    """`export out.json` is `export --record out.json`; a CSV is one of its kinds."""
    flags = ["--model", model, "--length", "20", "--steps", "3", "--seed", "2"]
    one, other, table = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "a.csv"
    assert main(["export", *flags, str(one), str(table)]) == 0
    assert main(["export", "--record", *flags, str(other)]) == 0
    texts = [[p.text for p in export.load_json(path).frames] for path in (one, other)]
    assert texts[0] == texts[1]
    assert len(read_csv(table.read_text())) == len(texts[0])


# ---------------------------------------------------------------- papers


def test_every_method_has_an_entry():
    """Of every paper that a method of this package names, author, title and year are known; keys
    are used once."""
    methods = [*PROCESSES.values(), *SAMPLERS.values(), *GUIDES.values()]
    for paper in {method.paper for method in methods}:
        found = papers.entry(paper)
        assert all(f"  {name} = {{" in found for name in ("title", "author", "year", "url")), paper
        assert found.count("{") == found.count("}")
    keys = [key for key, *_ in papers.PAPERS.values()]
    assert len(set(keys)) == len(keys)
    for number, (key, _, authors, year) in papers.PAPERS.items():
        assert key.startswith(re.sub("[^a-z]", "", authors.split(" and ")[0].split()[-1].lower()))
        assert str(year) in key and str(year)[2:] == number[:2]


def test_bibtex_names_what_was_used():
    """Process, sampler, and guides that changed something; each paper once, and this program."""
    plain = recipes.bibtex(runs.request(STORY | {"temperature": 1.0}).settings)
    assert re.findall("@.*{(.*),", plain) == ["sahoo2024simple", "ho2020denoising", "tinydiff"]
    more = runs.request(STORY | {"sampler": "confidence", "top_k": 3, "top_p": 0.5}).settings
    keys = ["sahoo2024simple", "chang2022maskgit", "holtzman2019curious", "fan2018hierarchical"]
    assert re.findall("@.*{(.*),", recipes.bibtex(more)) == [*keys, "tinydiff"]
    bits = recipes.bibtex(runs.complete({"sampler": "ddim"}) | {"process": "bits"})
    assert bits.count("2208.04202") == 2  # its eprint and its address, once
    assert papers.entry("arXiv:9912.12345").startswith("@misc{arxiv9912.12345,\n  eprint")
    assert papers.entry("none") == ""


def test_the_citation_is_of_this_version():
    """CITATION.cff, BibTeX and the package say the same."""
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    cff = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version: {version}\n" in cff and f"version = {{{version}}}" in papers.OURS
    title = "tinydiff: text diffusion that you can watch"
    assert title in cff and title in papers.OURS


# ---------------------------------------------------------------- sweeps


def test_a_sweep_is_the_runs_that_it_names(model, tmp_path, capsys):
    """A row for each, with the text that `sample` prints for those settings; a sampler without
    steps runs once; means and errors are those of the rows."""
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out.csv"
    prompts.write_text("abc\n\nb\\nd\n", encoding="utf-8")
    flags = ["--model", model, "--length", "20", "--temperature", "1"]
    words = ["sweep", str(prompts), "--out", str(out), "--seeds", "0:3", "--steps", "2,4"]
    assert main([*words, "--samplers", "ancestral,first_hitting", *flags]) == 0
    told = capsys.readouterr().out
    rows = read_csv(out.read_text("utf-8"))
    assert len(rows) == 2 * 3 * 2 + 2 * 3 and {r["prompt"] for r in rows} == {"abc", "b\nd"}
    for row in rows[::5]:
        steps = ["--steps", row["steps"]] if row["steps"] else []
        asked = ["--sampler", row["sampler"], "--seed", row["seed"], "--prompt", row["prompt"]]
        assert main(["sample", *flags, *steps, *asked]) == 0
        assert capsys.readouterr().out == row["text"] + "\n"
    means = read_csv((tmp_path / "out.summary.csv").read_text("utf-8"))
    assert [(m["sampler"], m["steps"]) for m in means] == [
        ("ancestral", "2"),
        ("ancestral", "4"),
        ("first_hitting", ""),
    ]
    for mean in means:
        some = [r for r in rows if (r["sampler"], r["steps"]) == (mean["sampler"], mean["steps"])]
        each = [sum(float(r["time [ms]"]) for r in some if r["seed"] == s) / 2 for s in "012"]
        spread = torch.tensor(each, dtype=torch.float64)
        assert float(mean["time [ms], mean"]) == pytest.approx(spread.mean().item(), rel=1e-4)
        error = spread.std().item() / 3**0.5
        assert float(mean["time [ms], standard error"]) == pytest.approx(error, rel=1e-3)
        assert (mean["seeds"], mean["prompts"]) == ("3", "2")
    assert "ancestral, 2 steps: 2 calls" in told and str(out) in told


def test_a_sweep_of_stories_is_judged():
    """Bits under the judge and real words, of each text and in the means; no error of one seed."""
    rows = [sweep.row(one) for one in sweep.plan(["Once upon"], [1], [None], [2], STORY)]
    assert rows[0]["bits"] > 0 and 0 <= rows[0]["words"] <= 1
    (mean,) = sweep.summary(rows)
    assert mean["bits"] == rows[0]["bits"] and mean["bits_error"] is None


@pytest.mark.parametrize(
    "words, says",
    [
        (["--seeds", "x"], "x"),
        (["--seeds", "3:3"], "3:3"),
        (["--seeds", "-1"], "-1"),
        (["--seeds", "0:999999999999"], "0:9"),
        (["--seeds", "0:90000", "--steps", "1,2"], "180,000 runs"),
        (["--steps", "0"], "steps"),
        (["--samplers", "magic"], "magic"),
        (["--length", "0"], "length"),
        (["--out", "a.txt"], ".csv"),
        (["--out", "/nowhere/at/all.csv"], "nowhere"),
        (["--prompt", "a"], "--prompt"),
    ],
)
def test_a_bad_sweep_is_one_sentence(words, says, model, tmp_path, capsys):
    """Before anything is computed or written."""
    prompts = tmp_path / "p.txt"
    prompts.write_text("abc\n")
    out = ["--out", str(tmp_path / "o.csv")] if "--out" not in words else []
    try:
        status = main(["sweep", str(prompts), "--model", model, *out, *words])
    except SystemExit as stop:
        status = stop.code
    told, err = capsys.readouterr()
    assert status == 2 and told == "" and err.count("\n") == 1 and says in err
    assert [p.name for p in tmp_path.iterdir()] == ["p.txt"]


@pytest.mark.parametrize(
    "data, says", [(b"", "empty"), (b"\n \n", "empty"), (b"\xff", "UTF-8"), (None, "no file")]
)
def test_a_bad_file_of_prompts_is_one_sentence(data, says, model, tmp_path, capsys):
    path = tmp_path / "prompts.txt"
    if data is not None:
        path.write_bytes(data)
    assert main(["sweep", str(path), "--out", str(tmp_path / "o.csv"), "--model", model]) == 2
    assert says in capsys.readouterr().err


def test_the_page_sweeps_within_bounds():
    """Progress, then everything; too many runs, too much work and wrong types are refused before
    anything is computed."""
    small = {"length": 16}
    *before, last = away.sweep(["Once", "A"], [1, 2], ["ancestral"], [1, 2], small)
    assert [b["done"] for b in before] == [*range(8)] and last["done"] == last["of"] == 8
    assert len(read_csv(last["csv"])) == 8 and len(read_csv(last["summary_csv"])) == 2
    same = text_of(read(small | dict(prompt="A", seed=2, steps=2, sampler="ancestral")))
    assert last["rows"][-1]["text"] == same
    for wrong in (
        (["a"] * 9, [1] * 9, ["ancestral"], [1], {}),
        (["a"], [*range(64)], ["ancestral"], [256], {"length": 1024}),
        ([], [1], ["ancestral"], [1], {}),
        ("abc", [1], ["ancestral"], [1], {}),
        ([7], [1], ["ancestral"], [1], {}),
        (["a"], [1], ["magic"], [1], {}),
        (["a"], [1], ["ancestral"], [1], []),
        (["a"], [1], ["ancestral"], ["x"], {}),
        (["a"], [None], ["ancestral"], [1], {}),
        (["a"], [1], ["ancestral"], [1], {"flavour": 1}),
    ):
        with pytest.raises(gr.Error):
            next(away.sweep(*wrong))
