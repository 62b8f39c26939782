"""The first minute of the page: what it says while the text appears, the slider of looks, plots,
presenter, and what is seen without scrolling."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.browser.test_denoise import (
    CELLS,
    STALE,
    P,
    choose,
    client,  # noqa: F401  a fixture
    finished,
    generate,
    more,
    played,
    state,
    until,
)
from tests.browser.test_tabs import refused
from tinydiff.processes import PROCESSES
from tinydiff.show import render
from tinydiff.store import catalogue
from tinydiff.ui import denoise, looks
from tinydiff.ui.request import LOOKS, OPENING

SWAPPED = 100  # ms, the median: nothing that was asked of the server could be there
LETTERS = 34  # px, of the presenter


def plain(text: str) -> str:
    """A text up to the sign of its end, without spaces and line ends."""
    return "".join(text.partition("∎")[0].replace("↵", "").split())


def text_of(value: dict) -> str:
    """The finished text of a value for the player, as `plain` has it."""
    run, spelling = render.unpack(value), render.Spelling()
    for picture in run.frames:
        spelling.take(picture)
    end = run.frames[0].scene.get("end")
    signs = run.frames[-1].text
    return plain(spelling.text(signs.partition(end)[0] if end else signs))


@pytest.fixture(scope="module")
def recorded() -> dict[int, dict]:
    """The values of the opening by number of looks."""
    made = {int(count): value for count, value in looks.recorded()["made"].items()}
    return dict(sorted((made | {OPENING["steps"]: denoise.example()}).items()))


# what the player said from the first moment, since when, and the text that stood there
SAID = f"""() => {{
  window.said = [];
  new MutationObserver(() => {{
    const words = document.querySelector("{P}.td-caption")?.textContent;
    if (!words || window.said.at(-1)?.words === words) return;
    const cells = [...document.querySelectorAll("{CELLS}")];
    window.said.push({{words, at: performance.now(),
      text: cells.map((span) => span.textContent).join("")}});
  }}).observe(document, {{subtree: true, childList: true, characterData: true}});
}}"""


@pytest.mark.usefixtures("motion")
def test_the_first_look_is_told_sentence_by_sentence(visit, page, recorded):
    """Hidden words, all guesses, those it keeps, later looks, done, in this order, each long enough
    to be read; while the guesses are said, they are seen: the text of one look with the same seed.
    Then it rests, and can be played again."""
    page.add_init_script(f"({SAID})()")
    page = visit()
    end = played(page)
    said = page.evaluate("window.said")
    told = recorded[OPENING["steps"]]["head"]["told"]
    wanted = [told[moment] for moment in ("start", "guess", "keep", "run")]
    wanted.append(f"Done: {OPENING['steps']} looks. Choose words to rewrite.")
    assert [one["words"] for one in said] == wanted
    assert wanted[0].startswith("Hidden words") and "guesses all" in wanted[1]
    assert "surest" in wanted[2] or "chance" in wanted[2]
    gaps = [later["at"] - one["at"] for one, later in zip(said, said[1:])]
    assert min(gaps[:3]) > 500, gaps
    assert plain(said[1]["text"]) == text_of(recorded[1])
    assert "·" in said[0]["text"] and "·" in said[2]["text"] and "·" not in end["text"]
    page.select_option(P + ".td-speed", "60")
    page.locator("body").press("r")
    until(page, "s.playing && s.at < s.end")
    assert plain(played(page)["text"]) == plain(end["text"])


SWAP = f"""(i) => {{
  const q = (s) => document.querySelector("{P}" + s), range = q(".td-scale input");
  range.value = i;
  const begun = performance.now();
  range.dispatchEvent(new Event("input", {{bubbles: true}}));
  const took = performance.now() - begun;
  return {{took, text: [...document.querySelectorAll("{CELLS}")].map((s) => s.textContent).join(""),
    pale: document.querySelectorAll("{CELLS}.f").length, where: q(".td-where").textContent,
    measure: q(".td-measure dt").firstChild.textContent, percent: q(".td-percent").textContent,
    meter: parseFloat(q(".td-meter i").style.width), says: range.getAttribute("aria-valuetext"),
    said: q(".td-caption").textContent}};
}}"""


def swap(page, count: int, counts=LOOKS) -> dict:
    """Drag the slider of looks to a number of them; what stands there at once."""
    return page.evaluate(SWAP, list(counts).index(count))


def test_the_slider_swaps_the_finished_text_at_once(visit, page, recorded, record_property):
    """Each of the eight numbers of looks shows the text that the same settings write, its made-up
    words pale and its measure, in no time and without a question to the server."""
    page = visit()
    finished(page)
    assert page.locator(P + ".td-scale li").all_inner_texts() == [*map(str, LOOKS)]
    page.wait_for_function(f"() => document.querySelectorAll('{P}.td-scale li.there').length === 8")
    page.wait_for_timeout(1500)  # what the page itself asks for at its start is over
    asked, took, seen = [], [], []
    page.on("request", lambda request: asked.append(request.url))
    for count in [*reversed(LOOKS), *LOOKS]:
        now, value = swap(page, count), recorded[count]
        took.append(now["took"])
        seen.append(now["text"])
        assert plain(now["text"]) == text_of(value)
        assert now["pale"] == len(value["strange"])
        end = len(render.unpack(value).frames) - 1  # where nothing is left to do it ends earlier
        assert now["where"] == f"look {end} of {end}" and now["said"].startswith("Done: ")
        share = value["measure"]["share"]
        assert now["measure"] == "smooth sentences" and now["percent"] == f"{round(100 * share)} %"
        assert now["meter"] == pytest.approx(100 * share, abs=0.01)
        real = round(100 * value["measure"]["real"])
        assert page.inner_text(P + ".td-measure .td-term") == f"real text {real} %"
        assert (
            now["says"]
            == f"{count} look{'s' * (count > 1)}, smooth sentences {round(100 * share)} %"
        )
    assert len({*seen}) == len(LOOKS) and asked == []
    assert sorted(took)[len(took) // 2] < SWAPPED
    record_property("swap_ms", round(sorted(took)[len(took) // 2], 2))


def test_playing_then_plays_that_number(visit, page, recorded):
    """From the first look to the last of those that the slider stands at; the keyboard moves it
    too, and the address is that of what is shown."""
    page = visit()
    finished(page)
    page.locator(P + ".td-scale input").focus()
    page.keyboard.press("Home")
    assert state(page)["where"] == "look 1 of 1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert state(page)["where"] == "look 4 of 4"
    page.wait_for_function("() => location.search.includes('steps=4')")
    page.click(P + ".td-play")
    until(page, "s.at < 4 && s.end === 4")
    end = played(page)
    assert end["end"] == 4 and plain(end["text"]) == text_of(recorded[4])


def test_one_look_can_be_kept_beside_the_text(visit, page, recorded):
    """It stays there while the other is swapped, with its measure, and is put away again."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page = visit()
    finished(page)
    pinned, pin = page.locator(P + ".td-pinned"), page.locator(P + ".td-pin")
    assert not pinned.is_visible()
    pin.click()
    assert pinned.is_visible() and pin.get_attribute("aria-pressed") == "true"
    share = round(100 * recorded[1]["measure"]["share"])
    for count in (2, 128):
        swap(page, count)
        kept = "".join(pinned.locator(".td-cells span").all_text_contents())
        assert plain(kept) == text_of(recorded[1])
        assert plain(state(page)["text"]) == text_of(recorded[count])
        title = pinned.locator(".td-title").inner_text()
        assert title.startswith("1 look") and f"smooth sentences {share} %" in title
    left, right = (page.locator(P + s).bounding_box() for s in (".td-sheet >> nth=0", ".td-pinned"))
    assert left["x"] + left["width"] <= right["x"] + 1 and left["y"] == pytest.approx(right["y"])
    pin.click()
    assert not pinned.is_visible()


def test_one_look_is_not_kept_beside_itself(visit, page):
    """Where the slider stands at one look the button is off; the line over a kept text says no
    more than what differs, on one line."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page = visit()
    finished(page)
    pin, title = page.locator(P + ".td-pin"), page.locator(P + ".td-pinned .td-title")
    swap(page, 1)
    assert pin.is_disabled()
    swap(page, 64)
    assert pin.is_enabled()
    page.click(P + "[data-deed=keep]")
    swap(page, 8)
    assert title.locator("b").inner_text() == "64 looks"
    assert title.bounding_box()["height"] < 50
    page.click(P + ".td-unpin")
    swap(page, 1)
    assert pin.is_disabled()


@pytest.mark.parametrize(
    "reach", ["button", *(pytest.param(way, marks=pytest.mark.long) for way in ("slider", "looks"))]
)
def test_a_finished_text_rests_unmarked(visit, page, reach):
    """However its end was reached: what came with the last look is marked for a while only."""
    page = visit()
    end = finished(page)["end"]
    marked = page.locator(f"{CELLS}.n")
    page.locator(P + ".td-seek").fill(str(end // 2))
    page.wait_for_timeout(1200)
    assert marked.count() > 0, "before the end they stay"
    if reach == "button":
        page.click(P + ".td-last")
    elif reach == "slider":
        page.locator(P + ".td-seek").fill(str(end))
    else:
        page.click(P + ".td-next", click_count=end - end // 2)
    assert state(page)["at"] == end and marked.count() > 0
    marked.first.wait_for(state="detached", timeout=3000)
    page.click(P + ".td-play")
    page.wait_for_function(f"() => document.querySelector('{CELLS}.n')")


def test_the_bets_of_a_word_go_with_a_click_elsewhere(visit, page):
    """They stay where the text is moved on, and stand over no menu."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page = visit()
    finished(page)
    bets = page.locator(P + ".td-top")
    page.locator(CELLS).nth(40).click()
    assert bets.is_visible()
    page.click(P + ".td-prev")
    assert bets.is_visible()
    page.locator("#noise input").click()
    assert not bets.is_visible() and page.locator(CELLS + ".picked").count() == 0


def test_on_a_phone_write_covers_nothing_that_is_scrolled_to(visit, page):
    """The measure is seen at once, the way to the story right under the text."""
    page.set_viewport_size({"width": 375, "height": 812})
    page = visit()
    finished(page)
    page.evaluate("scrollTo(0, 0)")
    edge = page.locator("#write").bounding_box()["y"]
    for name in (".td-measure", ".td-story", ".td-pin", ".td-plots", ".td-stats"):
        box = page.locator(P + name)
        if name in (".td-pin", ".td-plots", ".td-stats"):
            box.evaluate("(e) => e.scrollIntoView({block: 'nearest', behavior: 'instant'})")
        there = box.bounding_box()
        assert there["y"] + there["height"] <= edge, name
    page.click(P + ".td-story")
    page.wait_for_selector(".ts-story[open]")
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement.matches('.td-story')")


def test_on_a_phone_a_text_comes_into_sight(visit, page):
    """Whoever presses Write sees the text, also one that the page remembers and has at once. The
    claim that led to a run stands above that run alone."""
    page.set_viewport_size({"width": 375, "height": 812})
    link, claim = "?steps=4&length=32", "It can be."
    kept = json.dumps({"name": "robust", "said": claim, "search": link})
    page.add_init_script(f"sessionStorage.claim = JSON.stringify({kept})")
    page = visit(link)
    until(page, "!s.running && s.end === 4 && s.at === 4")
    assert page.locator(P + ".td-claim a").inner_text() == claim
    top = "document.querySelector('#denoise-player .td-sheets').getBoundingClientRect().top"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate(top) < -100
    generate(page)
    page.wait_for_function(f"() => Math.abs({top}) < 200")
    assert not page.locator(P + ".td-claim").is_visible()


def test_other_looks_of_a_run_of_ones_own(visit, page, client):  # noqa: F811
    """They are computed behind it; the one that was dragged to is shown when it comes, and is what
    its settings write by themselves."""
    settings = {"model": "stories/masked", "seed": 21, "steps": 8, "length": 32}
    page = visit("?" + "&".join(f"{name}={value}" for name, value in settings.items()))
    until(page, "!s.running && s.end === 8 && s.at === 8")
    scale = page.locator(P + ".td-scale input")
    scale.fill(str(LOOKS.index(64)))
    scale.dispatch_event("change")
    until(page, "s.end === 64 && s.at === 64")
    shown = {64: plain(state(page)["text"])}
    there = f"document.querySelectorAll('{P}.td-scale li.there').length"
    page.wait_for_function(f"() => {there} === {len(LOOKS)}", timeout=90_000)
    for count in (1, 8):
        shown[count] = plain(swap(page, count)["text"])
    for count, text in shown.items():
        assert text_of(client.predict({**settings, "steps": count}, api_name="/denoise")) == text


def test_a_changed_setting_marks_the_picture(visit, page):
    """Another beginning, another noise: the picture is said not to be of these settings, until the
    next run."""
    page = visit("?steps=4&length=32")
    until(page, "!s.running && s.end === 4 && s.at === 4")
    mark = f"{STALE}.textContent"
    assert page.evaluate(mark) == ""
    page.locator("#prompt textarea").press_sequentially(" ago")
    page.wait_for_function(f"() => {mark}.startsWith('Changed')")
    generate(page)
    assert page.evaluate(mark) == ""
    finished(page)
    band = page.locator(P + ".td-changed")
    assert not band.is_visible()
    place = "(name) => JSON.stringify(document.querySelector(name).getBoundingClientRect())"
    before = [page.evaluate(place, P + name) for name in NEEDED]
    choose(page, "#noise", "wrong words")
    page.wait_for_function(f"() => {mark}.startsWith('Changed')")
    assert band.is_visible() and "press Write" in band.inner_text()
    assert [page.evaluate(place, P + name) for name in NEEDED] == before
    page.wait_for_function(
        "(about) => document.querySelector('#noise').textContent.includes(about)",
        arg=PROCESSES["uniform"].about,
    )
    more(page)
    assert page.evaluate(mark) != ""


PLOTS = f"""() => [...document.querySelectorAll("{P}.td-plot")].map((plot) => ({{
  title: plot.querySelector("figcaption").firstChild.textContent,
  value: plot.querySelector(".td-value").textContent,
  marker: Number(plot.querySelector(".td-marker").getAttribute("transform").match(/[\\d.]+/)[0]),
  line: plot.querySelector(".td-line").getAttribute("d").length,
}}))"""


@pytest.mark.parametrize(
    "model", ["stories/masked", pytest.param("stories/block", marks=pytest.mark.long)]
)
def test_the_plots_move_with_the_text(visit, page, model):
    """Share visible, weight, held-out loss and what is left to do: a marker goes through all of
    them from the noise to the text, and each says its number there; for blocks too."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page = visit(f"?model={model}&steps=16&length=64&seed=3")
    end = until(page, "!s.running && s.at === s.end && s.end > 10 && s.end < 64")["end"]
    assert catalogue.bundled()[model].playable
    seen = []
    for at in (0, end // 2, end):
        page.locator(P + ".td-seek").fill(str(at))
        seen.append(page.evaluate(PLOTS))
    titles = [plot["title"] for plot in seen[0]]
    assert titles[:3] == ["share still visible", "weight of a mistake", "loss at this noise"]
    assert len(titles) == 4
    for first, middle, last in zip(*seen):
        assert first["line"] > 40 and first["marker"] < last["marker"], first["title"]
        assert first["marker"] <= middle["marker"] <= last["marker"]
        assert len({first["value"], middle["value"], last["value"]}) > 1 and last["value"]
    assert seen[0][0]["value"] == "0 %" and seen[2][0]["value"] == "100 %"
    losses = [float(plots[2]["value"]) for plots in seen]
    assert losses[0] > losses[2] == 0


def test_rules_are_kept_and_have_a_plot(visit):
    """What a link asks of the text stands in it; beside the other plots stands how likely it was;
    a rule that nothing keeps is refused at its field."""
    page = visit("?model=stories/masked&steps=8&length=48&seed=3&contains=cake&no_letters=z")
    until(page, "!s.running && s.end <= 8 && s.at === s.end")
    text = plain(state(page)["text"])
    assert "cake" in text and "z" not in text
    kept = page.locator(P + ".td-plot").last
    assert kept.inner_text().startswith("rules kept") and "100 %" in kept.inner_text()
    page.get_by_role("button", name="Rules for the text").click()
    page.locator("#exactly textarea, #exactly input").fill("0 words")
    page.click("#write")
    assert "1 to 80 words" in refused(page, "#exactly")
    page.locator("#exactly textarea, #exactly input").fill("")
    page.locator("#contains textarea, #contains input").fill("zoo")
    page.click("#write")
    page.wait_for_selector("#no_letters .td-refused-here")
    assert "rule each other out" in refused(page, "#no_letters")
    # nothing waits, and there is nothing to stop
    assert page.locator(".td-waiting").count() == 0
    assert not page.locator(P + ".td-stop").is_visible()


def test_the_link_of_a_run_says_what_differs(visit, page):
    """Of the opening's own settings model, length and seed alone; of others these and what
    differs."""
    page = visit()
    finished(page)
    assert urlsplit(page.url).query == ""
    generate(page)
    usual = {name: str(OPENING[name]) for name in ("model", "length", "seed")}
    page.wait_for_function("() => location.search.includes('model=')")
    assert dict(parse_qsl(urlsplit(page.url).query)) == usual
    finished(page)
    page.fill("#prompt textarea", "One day")
    generate(page)
    page.wait_for_function("() => location.search.includes('prompt=')")
    assert dict(parse_qsl(urlsplit(page.url).query)) == usual | {"prompt": "One day"}
    finished(page)


def test_the_presenter(visit, page):
    """P shows the text alone, in letters that are read from the last row, with its number of looks
    and its noise; arrows step, R plays again, Esc ends it."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page = visit()
    finished(page)
    page.locator("body").press("p")
    page.wait_for_selector(P + ".td-player.shown")
    size = page.locator(P + ".td-cells").first.evaluate("(e) => getComputedStyle(e).fontSize")
    assert float(size.removesuffix("px")) >= LETTERS
    box = page.locator(P + ".td-sheet").first.bounding_box()
    assert box["width"] > 0.9 * 1280 and box["x"] >= 0
    over = """() => [[640, 200], [1200, 300], [640, 690]]
      .map(([x, y]) => document.elementFromPoint(x, y)?.closest(".shown") !== null)"""
    assert page.evaluate(over) == [True] * 3
    assert not page.locator("#write").evaluate(
        "(b) => { const r = b.getBoundingClientRect(); return b.checkVisibility() && "
        "document.elementFromPoint(r.x + 5, r.y + 5)?.closest('#write') !== null; }"
    )
    big = page.locator(P + ".td-big")
    assert big.inner_text().startswith("hidden words")
    page.keyboard.press("ArrowLeft")
    steps = OPENING["steps"]
    assert state(page)["at"] == steps - 1 and big.inner_text().endswith(f"{steps - 1} / {steps}")
    page.keyboard.press("ArrowRight")
    assert state(page)["at"] == steps
    page.keyboard.press("r")
    until(page, "s.playing && s.at < 5")
    page.keyboard.press(" ")
    assert not state(page)["playing"]
    page.keyboard.press("Escape")
    assert page.locator(P + ".td-player.shown").count() == 0
    assert page.locator("#write").is_visible()


NEEDED = [".td-sheet .td-cells", ".td-caption", ".td-bar", ".td-looks"]
SIZES = [  # the lowest desk, a tablet, a phone; and larger ones
    *[(1280, 720), (768, 1024), (375, 812)],
    *(pytest.param(*size, marks=pytest.mark.long) for size in ((1280, 900), (1920, 1080))),
]


@pytest.mark.parametrize("width, height", SIZES)
def test_nothing_that_is_needed_lies_below_the_fold(visit, page, width, height):
    """Text, sentence, player, slider of looks and Write are seen without scrolling; on a desk the
    plots and the field for the beginning too; nothing scrolls sideways."""
    page.set_viewport_size({"width": width, "height": height})
    page = visit()
    finished(page)
    wanted = [P + name for name in NEEDED] + ["#write"]
    if width > 1000:
        wanted += [P + ".td-plots", "#prompt textarea"]
    page.evaluate("scrollTo(0, 0)")
    out = {}
    for name in wanted:
        box = page.locator(name).first.bounding_box()
        if box["y"] < 0 or box["y"] + box["height"] > height or box["width"] <= 0:
            out[name] = box
        if box["x"] < 0 or box["x"] + box["width"] > width + 0.5:
            out[name] = box
    assert out == {}, json.dumps(out)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
