"""Steps, Race, Blocks, Noise, Train yours and How ours learned as a visitor and as a program uses
them."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client

from tests.browser.conftest import BROKEN, ONE_LOOK
from tinydiff.claims import VERDICTS
from tinydiff.runs import DEFAULTS

TABS = {  # their titles, and their names in addresses
    "Steps": "steps",
    "Race": "race",
    "Blocks": "blocks",
    "Noise": "noise",
    "Train yours": "train",
    "How ours learned": "training",
    "Claims": "claims",  # the last: axe reads what other tabs hide, too, and this one is large
}


def tab(visit, name: str, query: str = ""):
    """The page with a tab open, its panel drawn."""
    return opened(visit(query), name)


def opened(page, name: str):
    """A tab of a page that is there, its panel drawn."""
    select(page, name)
    page.wait_for_function(
        "(s) => document.querySelector(s)?.children.length > 0",
        arg=f"#{TABS[name]}-panel .tt-panel",
    )
    return page


def select(page, name: str):
    """Open a tab; all of them are seen at every width."""
    page.get_by_role("tab", name=name, exact=True).click()


def move(page, panel: str, value: float) -> float:
    """Move a panel's slider as a visitor does; milliseconds until the page has drawn it."""
    return page.evaluate(
        """async ([panel, value]) => {
          const slide = document.querySelector(panel + " input[type=range]");
          const begun = performance.now();
          slide.value = value;
          slide.dispatchEvent(new Event("input", {bubbles: true}));
          await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          return performance.now() - begun;
        }""",
        [panel, value],
    )


def choose(page, menu: str, option: str):
    """An option of a menu."""
    page.locator(f"{menu} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def write(page, box: str, text: str):
    """Type over what stands in a box."""
    page.click(box)
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def toast(page) -> str:
    """What the page says is wrong, which is then closed."""
    page.wait_for_selector(".toast-body")
    words = page.inner_text(".toast-body")
    page.dispatch_event(".toast-close", "click")
    page.wait_for_selector(".toast-body", state="detached")
    return words


REFUSED = ".td-refused-here, .td-refusal:not([hidden])"


def refused(page, field: str = "") -> str:
    """The sentence that says what is wrong, at that field (a selector) where one is named."""
    page.wait_for_selector(f"{field} .td-refused-here" if field else REFUSED)
    return page.locator(f"{field} .td-refused-here" if field else REFUSED).first.inner_text()


def test_the_first_view_is_not_empty(stay):
    """Every tab shows something bundled at once: text that can be read, before anything is
    pressed. What takes a moment says so."""
    page = stay()
    for name in TABS:
        opened(page, name)
        page.wait_for_selector(f"#{TABS[name]}-panel .tt-coming", state="detached")
        assert len(page.inner_text(f"#{TABS[name]}-panel")) > 300, name


STALE = "document.querySelector('#stale-TAB .td-stale').textContent"


def test_a_changed_setting_marks_the_picture(stay):
    """On every tab with a run a change says that what is shown is of other settings; a run takes
    the mark away. Noise follows at once, and what it refuses stays marked. Text may be typed or
    pasted, which is one event and no key."""
    page = stay()
    for name, field, value in (
        ("Steps", "#steps-prompt :is(input, textarea)", "A fox"),
        ("Race", "#race-end :is(input, textarea)", "They slept."),
        ("Blocks", "#blocks-prompt :is(input, textarea)", "A fox"),
    ):
        opened(page, name)
        mark = STALE.replace("TAB", TABS[name])
        before = page.locator(field).first.input_value()
        assert page.evaluate(mark) == ""
        if name == "Race":
            page.locator(field).first.fill(value)
        else:
            write(page, field, value)
        page.wait_for_function(f"() => {mark} === 'Changed since this was written.'")
        write(page, field, before)
    page.click("#blocks-run")
    page.wait_for_function(f"() => {mark} === ''", timeout=60000)
    page.click("#blocks-stop")
    opened(page, "Noise")
    mark = STALE.replace("TAB", "noise")
    page.locator("#noise-sentence textarea").fill("A fox €")
    assert "€" in toast(page) and page.evaluate(mark) != ""
    page.locator("#noise-sentence textarea").fill("A fox")
    page.wait_for_function(f"() => {mark} === ''")


def test_what_is_for_researchers_is_marked(stay):
    """Fields that a learner need not understand say so beside their names, the others do not."""
    page = stay()
    select(page, "Watch")
    page.click(".td-more:has(#spacing, .label-wrap) button >> nth=0")
    page.wait_for_selector("#spacing")
    opened(page, "Blocks")
    told = """(id) => getComputedStyle(document.querySelector(`${id} [data-testid=block-info]`),
      "::after").content"""
    for field in ("#spacing", "#blocks-order", "#blocks-cache", "#top_k", "#top_p"):
        assert "for researchers" in page.evaluate(told, field), field
    for field in ("#prompt", "#noise", "#steps", "#temperature", "#blocks-prompt"):
        assert "researchers" not in page.evaluate(told, field), field


WIDTHS = """() => [...document.querySelectorAll("#families-panel .tt-scroll")]
  .map((box) => [box.scrollWidth, box.clientWidth])"""
INNER = """() => [...document.querySelectorAll(".block:has(input[type=range])")]
  .filter((box) => box.checkVisibility() && getComputedStyle(box).overflowY !== "visible")
  .map((box) => box.innerText)"""


def test_tables_fit_a_desk_and_sliders_a_phone(visit, page):
    """Every column of Families is in sight at 1280; on a phone the edge of what scrolls is in
    shade, and no slider has a scrollbar in its box."""
    page.set_viewport_size({"width": 1280, "height": 900})
    visit()
    select(page, "Families")
    page.locator("#families-panel .tt-scroll").first.wait_for()
    assert all(whole <= seen for whole, seen in page.evaluate(WIDTHS))
    page.set_viewport_size({"width": 375, "height": 900})
    assert page.evaluate(WIDTHS)[0][0] > 375
    edge = page.locator("#families-panel .tt-scroll").first
    assert "local" in edge.evaluate("(box) => getComputedStyle(box).backgroundAttachment")
    opened(page, "Blocks")
    assert page.locator("#blocks-length input[type=range]").is_visible()
    assert page.evaluate(INNER) == []


def looked_at(page, name: str):
    """axe finds nothing on the tab that is open, and nothing scrolls sideways. Of a picture it
    reads what the picture says it shows, and none of its thousands of lines."""
    page.wait_for_timeout(400)
    page.evaluate("document.querySelectorAll('svg[role=img]').forEach((s) => s.replaceChildren())")
    found = Axe().run(page, options=BROKEN)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


@pytest.mark.parametrize("scheme,width", ONE_LOOK)
def test_nothing_for_axe(visit, page, scheme, width):
    """No violation of the accessibility rules, and nothing that scrolls sideways, in light, in dark
    and on a phone: one tab after the other on one page.
    """
    page.set_viewport_size({"width": width, "height": 900})
    visit(f"?__theme={scheme}")
    for name in TABS:
        looked_at(opened(page, name), name)


@pytest.mark.long
@pytest.mark.parametrize("name", TABS)
@pytest.mark.parametrize("scheme,width", [("light", 1280), ("dark", 1280), ("light", 375)])
def test_nothing_for_axe_on_a_fresh_page(visit, page, name, scheme, width):
    """The same with every tab the first that is opened."""
    page.set_viewport_size({"width": width, "height": 900})
    looked_at(tab(visit, name, f"?__theme={scheme}"), name)


# ---------------------------------------------------------------- Noise


def left(page) -> list[str]:
    """What is left of the sentence in each row."""
    rows = page.locator("#noise-panel .tt-row")
    return [
        "".join(rows.nth(i).locator(".tt-cell b").all_text_contents()) for i in range(rows.count())
    ]


def test_noise_takes_letters_and_never_gives_them_back(stay):
    """With growing t a row only loses characters, whatever the noise: all are there at 0, hardly
    any at 1."""
    page = tab(stay, "Noise")
    seen = []
    for t in (0, 0.2, 0.5, 0.8, 1):
        move(page, "#noise-panel", t)
        seen.append(left(page))
    for states in zip(*seen):
        kept = [{i for i, c in enumerate(state) if c == states[0][i]} for state in states]
        assert all(later <= earlier for earlier, later in zip(kept, kept[1:]))
        assert "·" not in states[0] and len(kept[-1]) <= 6  # a random character may be the true one


def test_the_same_information_is_another_time_for_each_noise(stay):
    """By information, every row keeps half of what a character tells of itself: uniform noise
    early, points in space late; by time again, all are at one time and keep different shares.
    """
    page = tab(stay, "Noise")
    page.get_by_role("radio", name="same information left").check(force=True)
    move(page, "#noise-panel", 0.5)
    facts = page.locator("#noise-panel .tt-facts").all_inner_texts()
    titles = page.locator("#noise-panel .tt-row h2").all_inner_texts()
    when = {
        title: float(re.search(r"at t = ([\d.]+)", words)[1]) for title, words in zip(titles, facts)
    }
    assert all(abs(int(re.search(r"tells (\d+) %", words)[1]) - 50) <= 2 for words in facts)
    at = {
        key: next(t for title, t in when.items() if title.startswith(key))
        for key in ("Masked", "Uniform", "Gaussian")
    }
    assert at["Uniform"] < at["Masked"] < at["Gaussian"]
    page.get_by_role("radio", name="same time").check(force=True)
    told = [
        int(re.search(r"tells (\d+) %", words)[1])
        for words in page.locator("#noise-panel .tt-facts").all_inner_texts()
    ]
    assert max(told) - min(told) > 20


def test_processes_with_one_noise_share_a_row(stay):
    """Score entropy has the noise of its base, and is named beside it."""
    page = tab(stay, "Noise")
    heads = page.locator("#noise-panel .tt-row-head").all_inner_texts()
    assert len(heads) == 5 and sum("Score entropy" in head for head in heads) == 2


def test_moving_time_feels_live(stay):
    """A move of the slider is drawn within 150 ms (the median of several), without asking the
    server."""
    page = tab(stay, "Noise")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    took = sorted(move(page, "#noise-panel", i / 10) for i in range(11))
    assert took[5] < 150
    assert not [url for url in asked if "/queue/" in url]


def test_the_marker_stands_at_t(stay):
    """In every picture the marker is where the slider is: at the share t of its way."""
    page = tab(stay, "Noise")
    places = []
    for t in (0, 0.5, 1):
        move(page, "#noise-panel", t)
        boxes = [
            marker.bounding_box()
            for marker in page.locator("#noise-panel .marker").all()
            if marker.is_visible()
        ]
        places.append([box["x"] for box in boxes])
    for begin, middle, end in zip(*places):
        assert end - begin > 150 and middle == pytest.approx((begin + end) / 2, abs=1)


def test_a_schedule_drives_the_rows(stay):
    """The rows change with the schedule; the linear one's alpha is 1 - t."""
    page = tab(stay, "Noise")
    move(page, "#noise-panel", 0.4)
    assert page.locator("#noise-panel .tt-lane .tt-num").nth(2).inner_text() == "0.60"
    before = left(page)[0]
    page.get_by_role("radio", name=re.compile("^ddpm ")).check()
    assert left(page)[0].count("·") > before.count("·")


CELLS = (
    "(many) => document.querySelectorAll('#noise-panel "
    ".tt-row')[0].querySelectorAll('.tt-cell').length === many"
)


def test_the_visitor_s_sentence(stay):
    """What is typed or pasted is what is dissolved; a character that the model does not know is
    named, and the last sentence stays.
    """
    page = tab(stay, "Noise")
    write(page, "#noise-sentence textarea", "My kingdom")
    page.wait_for_function(CELLS, arg=10)
    move(page, "#noise-panel", 0)
    assert left(page)[0].replace("\u00a0", " ") == "My kingdom"
    page.locator("#noise-sentence textarea").press_sequentially("€")
    assert "'€' at position 11" in toast(page)
    assert left(page)[0].replace("\u00a0", " ") == "My kingdom"
    page.locator("#noise-sentence textarea").fill("pasted")
    page.wait_for_function(CELLS, arg=6)


def test_the_trained_network_observes_too(stay):
    """Chosen as the observer, the network is the one who knows, for every noise that has one."""
    page = tab(stay, "Noise")
    assert page.locator("#noise-panel").get_by_text("a perfect observer knows").count() == 5
    page.locator("#noise-observer").get_by_role("radio", name="the trained network").check()
    page.locator("#noise-panel").get_by_text("the network knows").nth(1).wait_for(timeout=30_000)


# ---------------------------------------------------------------- How ours learned


def test_training_of_each_model(stay):
    """A checkpoint has its curve, hardware and a text; the perfect network says that it was never
    trained."""
    page = tab(stay, "How ours learned")
    panel = page.locator("#training-panel")
    assert panel.locator("svg[role=img]").count() >= 1
    assert all(what in panel.inner_text() for what in ("Hardware", "Steps", "Time", "Parameters"))
    choose(page, "#training-model", "perfect network, masked")
    page.wait_for_function(
        "() => /it knows its language exactly/.test("
        "document.querySelector('#training-panel').innerText)"
    )
    assert len(panel.locator(".tt-page").inner_text()) > 200


# ---------------------------------------------------------------- Steps


def test_steps_come_one_after_the_other_and_stop(stay):
    """The panel grows while the run goes on, and Stop ends it with what came."""
    page = tab(stay, "Steps")
    page.click("#steps-run")
    cards = "document.querySelectorAll('#steps-panel .tt-card').length"
    page.wait_for_function(f"() => {cards} === 2", timeout=60000)
    page.click("#steps-stop")
    page.wait_for_timeout(1500)
    stopped = page.evaluate(cards)
    page.wait_for_timeout(2500)
    assert page.evaluate(cards) == stopped < 8


FOLD = """() => document.querySelector("#steps-panel .tt-still").getBoundingClientRect().bottom"""


def test_cards_begin_above_the_fold(visit, page):
    """At 1280 x 720 the first row of cards is in sight with its texts; each says how much sense it
    makes; the curves and nine seeds stand below."""
    page.set_viewport_size({"width": 1280, "height": 720})
    tab(visit, "Steps")
    assert page.evaluate(FOLD) < 720
    texts = page.locator("#steps-panel .tt-card").all_inner_texts()
    assert len(texts) == 8 and all(re.search(r"\d+ %\s*smooth sentences", text) for text in texts)
    assert page.locator("#seeds-panel .tt-card").count() == 9
    assert page.locator("#seeds-panel .tt-same").count() >= 9
    edge = page.locator("#seeds-panel .tt-nine").bounding_box()
    below = page.locator("#curves-panel svg").first.bounding_box()
    assert edge["y"] > page.evaluate(FOLD) and below["y"] > edge["y"] + edge["height"]


def test_nine_seeds_of_another_number_of_looks(stay):
    """A press writes nine others; before it the sheet is marked as not of these looks."""
    page = tab(stay, "Steps")
    page.locator("#seeds-looks").get_by_role("radio", name="2", exact=True).check(force=True)
    page.wait_for_function(f"() => {STALE} !== ''".replace("TAB", "seeds"))
    page.click("#seeds-run")
    page.wait_for_function(
        "() => /^2 looks. All nine/.test("
        "document.querySelector('#seeds-panel .tt-status').textContent)",
        timeout=60000,
    )
    assert page.evaluate(STALE.replace("TAB", "seeds")) == ""
    assert page.locator("#seeds-panel .tt-card").count() == 9


def test_steps_of_a_perfect_network_are_measured_exactly(stay):
    """The perfect autoregressive network is as close to its language as as many true texts are, at
    temperature 1, which comes with it."""
    page = tab(stay, "Steps")
    temperature = page.locator("#steps-temperature input")
    assert float(temperature.input_value()) == DEFAULTS["temperature"]
    choose(page, "#steps-model", "perfect network, autoregressive")
    page.wait_for_function(
        "() => document.querySelector('#curves-panel').innerText.includes('true texts')"
    )
    assert float(temperature.input_value()) == 1
    page.click("#steps-run")
    page.wait_for_function(
        "() => /All 1 texts/.test(document.querySelector('#steps-panel').innerText)", timeout=60000
    )
    card = page.locator("#steps-panel .tt-card").inner_text()
    floor = float(
        re.search(r"true texts ([\d.]+)", page.locator("#curves-panel svg").first.text_content())[1]
    )
    assert float(re.search(r"([\d.]+) nats", card)[1]) == pytest.approx(floor, rel=0.3)


# ---------------------------------------------------------------- Race


def test_the_first_to_finish_was_the_quickest(stay):
    """Places follow durations, and at the end no lane holds a mask."""
    page = tab(stay, "Race")
    move(page, "#race-panel", 10**9)
    lanes = page.locator("#race-panel .tt-race-lane").all()
    times = [
        float(re.search(r"(\d+) ms", lane.locator(".tt-score").inner_text())[1]) for lane in lanes
    ]
    places = [int(lane.locator(".tt-place").inner_text()[0]) for lane in lanes]
    assert sorted(places) == list(range(1, len(lanes) + 1))
    assert [place for _, place in sorted(zip(times, places))] == sorted(places)
    assert all("·" not in lane.locator(".tt-grid").inner_text() for lane in lanes)


@pytest.mark.long
def test_a_race_of_one_s_own(stay):
    """Race runs what the lanes say, and starts the clock when all are written."""
    page = tab(stay, "Race")
    page.emulate_media(reduced_motion="no-preference")
    move(page, "#race-panel", 0)
    steps = page.get_by_label("Looks (steps)").locator("visible=true")
    for place in range(2):
        choose(page, f"#race-model-{place}", "perfect network, masked")
        page.wait_for_timeout(400)
        steps.nth(place).click()
        page.get_by_role("option", name="8", exact=True).click()
    for place in (2, 3, 4):
        choose(page, f"#race-model-{place}", "nobody")
    move(page, "#race-panel", 10**9)
    assert "1st" in page.locator("#race-panel .tt-place").all_inner_texts()
    page.click("#race-run")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#race-panel .tt-place')].every(p => !p.innerText)",
        timeout=30000,
    )
    page.wait_for_function(
        "() => [...document.querySelectorAll('#race-panel header p')].filter(p => "
        "p.innerText.startsWith('perfect-masked')).length === 2",
        timeout=90000,
    )
    page.wait_for_function(
        "() => document.querySelector('#race-panel .tt-status').innerText.startsWith('Finished')",
        timeout=60000,
    )
    page.emulate_media(reduced_motion="reduce")


def test_reduced_motion_shows_the_end(visit, page):
    """Who asked for less motion sees the race's end, and may still scrub."""
    tab(visit, "Race")
    page.wait_for_function(
        "() => document.querySelector('#race-panel .tt-place').innerText.length === 3"
    )
    move(page, "#race-panel", 0)
    assert "look 0" in page.locator("#race-panel .tt-place").first.inner_text()


# ---------------------------------------------------------------- Blocks

NUMBERS = """() => Object.fromEntries(
  [...document.querySelectorAll("#blocks-panel dt")]
    .map((t) => [t.textContent, t.nextSibling.textContent]))"""


def test_a_text_grows_and_stops(visit):
    """The text appears block by block; Stop keeps what is written; a text to the end tells its
    judge."""
    page = tab(visit, "Blocks")
    page.click("#blocks-run")
    page.wait_for_function(
        "() => document.querySelectorAll('#blocks-panel .tb-mask').length > 1", timeout=60000
    )
    written = "document.querySelector('#blocks-panel .tb-text').textContent.length"
    page.wait_for_function(f"() => {written} > 100 && {written} < 1000", timeout=60000)
    page.click("#blocks-stop")
    page.wait_for_function(
        "() => /Stopped/.test(document.querySelector('#blocks-panel .tt-status').textContent)",
        timeout=60000,
    )
    assert 100 < page.evaluate(written) < 1024 and page.evaluate(NUMBERS)["calls"]


def test_another_model_brings_its_caches(visit):
    """Of a plain masked model the caches are called approximate; the pictures and the note
    follow."""
    page = tab(visit, "Blocks")
    choose(page, "#blocks-model", "perfect network, masked")
    page.wait_for_function(
        "() => /approximate/.test(document.querySelector('#blocks-panel .tt-note').textContent)"
    )
    page.locator("#blocks-cache input").click()
    offered = page.locator("#blocks-cache [role=option]")
    offered.nth(2).wait_for()
    assert [words.split()[-1] for words in offered.all_inner_texts()] == ["none", "prefix", "dual"]


# ---------------------------------------------------------------- programs


BAD = [
    ("/noise", ("é",), "position 1"),
    ("/noise", ("a" * 5000,), "128 characters"),
    ("/noise", (None,), "sentence"),
    ("/training", ("nobody",), "no model 'nobody'"),
    ("/training", (None,), "no model"),
    ("/steps", ("masked", [], 7, 1.0, ""), "one to 3 samplers"),
    ("/steps", ("masked", ["left_handed"], 7, 1.0, ""), "left_handed"),
    ("/steps", ("masked", ["ancestral"], "abc", 1.0, ""), "seed"),
    ("/steps", ("masked", ["ancestral"], 7, -1, ""), "emperature"),
    ("/steps", ("masked", ["ancestral"], 7, 1.0, "x" * 300), "prompt"),
    ("/steps", ("nobody", ["ancestral"], 7, 1.0, ""), "nobody"),
    ("/race", ("", 7, [["masked", "confidence", 0], ["masked", "ancestral", 8]]), "steps"),
    ("/race", ("", "seven", [["masked", "confidence", 8], ["masked", "ancestral", 8]]), "seed"),
    ("/race", ("", 7, [["masked", "confidence", 8]]), "two to 5 lanes"),
    ("/race", ("", 7, "abc"), "two to 5 lanes"),
    ("/blocks", ("nobody",), "no model 'nobody'"),
    ("/blocks", ("perfect-block", 7), "block is 7"),
    ("/blocks", ("perfect-masked", 16, 8, "", "exact"), "cache is 'exact'"),
    ("/blocks", ("perfect-block", 16, 8, "", "", "length", 100_000), "length"),
    ("/train", ("", "masked", 1), "no text"),
    ("/train", ("abc " * 1000, "nonsense", 1), "nonsense"),
    ("/train", ("abc " * 1000, "masked", 9), "minutes"),
    (
        "/race",
        ("", 7, [["autoregressive", "confidence", 8], ["masked", "ancestral", 8]]),
        "confidence",
    ),
]


@pytest.fixture(scope="module")
def client(server):
    return Client(server.url, verbose=False)


@pytest.mark.parametrize("name,arguments,word", BAD)
def test_bad_input_is_answered_in_one_sentence(client, name, arguments, word):
    """Whatever a program sends, the answer is one sentence that names what is wrong, and no
    traceback."""
    with pytest.raises(Exception) as refused:
        client.submit(*arguments, api_name=name).result(timeout=60)
    said = str(refused.value)
    assert word in said and "Traceback" not in said and "\n" not in said.strip()


def test_claims_are_told_with_figures_and_a_run_to_watch(visit, page):
    """The cards come when the tab is seen: a claim, its verdict, two pictures, all figures and how
    they were measured, and a run of Watch, from which the way back leads to the card."""
    tab(visit, "Claims")
    first = page.locator("#claims-panel .tq-claim").first
    assert first.locator("h2").inner_text().endswith(".")
    assert first.locator(".tq-verdict").inner_text() in VERDICTS
    assert first.locator("figure").count() == 2
    figures, measured = first.locator("summary").all()
    figures.click()
    assert first.locator("figure").count() > 2 and "±" in first.locator(".tq-figures").inner_text()
    measured.click()
    assert first.locator("table").first.is_visible()
    assert "python -m tinydiff claim" in first.locator("dl").inner_text()
    mistake = page.locator("#claims-panel .tq-mistake").first
    mistake.locator("summary").last.click()
    assert "%" in mistake.locator(".tq-found").first.inner_text()
    last = page.locator("#claims-panel .tq-claim:has(.tq-play[href*=model])").last
    name, said = last.get_attribute("data-claim"), last.locator("h2").inner_text()
    last.locator(".tq-play").first.click()
    page.wait_for_url("**/?*model=*")
    kept = json.loads(page.evaluate("sessionStorage.claim"))
    assert (kept["name"], kept["said"]) == (name, said) and page.url.endswith(kept["search"])
    page.go_back()
    page.wait_for_selector("#claims-panel .tq-claim h2:focus")
    assert page.url.endswith(f"#claims={name}")
    assert page.locator(".tq-claim:has(h2:focus)").get_attribute("data-claim") == name


def test_a_surprising_answer_leads_to_its_card(visit, page):
    tab(visit, "Claims")
    link = page.locator("#claims-panel .tq-first a").first
    words = link.inner_text()
    link.click()
    heading = page.locator("#claims-panel .tq-claim h2:focus")
    assert heading.inner_text() == words
