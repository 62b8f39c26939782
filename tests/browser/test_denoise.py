"""The tab Watch as a visitor uses it, by mouse, by keyboard and by link."""

import re
import time
from contextlib import closing

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client

from tests.browser.conftest import BROKEN, LOOKS, dry
from tests.browser.test_tabs import refused
from tinydiff.ui.fields import CHIPS
from tinydiff.ui.request import OPENING

P = "#denoise-player "
CELLS = P + ".td-sheet:not(.td-pinned) .td-cells span"
STALE = "document.querySelector('.td-stale')"
PROMPT = OPENING["prompt"]
BEGIN = PROMPT.replace(" ", "")  # pieces of words have their spaces between their cells
LONG = "?model=perfect-masked&length=1024&steps=256&prompt="  # a run that takes its time
STATE = """() => {
  const root = document.querySelector("#denoise-player"), q = (s) => root.querySelector(s);
  return {at: Number(q(".td-seek").value), end: Number(q(".td-seek").max),
          running: !q(".td-stop").hidden, status: q(".td-status").textContent,
          playing: q(".td-player").classList.contains("playing"),
          caption: q(".td-caption").textContent, where: q(".td-where").textContent,
          text: [...q(".td-cells").querySelectorAll("span")].map((s) => s.textContent).join("")};
}"""


def state(page) -> dict:
    return page.evaluate(STATE)


def until(page, condition: str, seconds: float = 90):
    """Wait until a condition on the state `s` holds."""
    page.wait_for_function(
        f"() => {{ const s = ({STATE})(); return {condition}; }}", timeout=1000 * seconds
    )
    return state(page)


STARTED = """() => {
  window.started = false;
  new MutationObserver(() => { window.started = true; })
    .observe(document.querySelector("#denoise-player .td-stop"),
             {attributes: true, attributeFilter: ["hidden"]});
}"""


def generate(page):
    """Click and wait until the run has begun, however short it is."""
    page.evaluate(STARTED)
    page.click("#write")
    page.wait_for_function("() => window.started", timeout=90_000)


def played(page, seconds: float = 90) -> dict:
    """Wait until the run that is shown has played to its end by itself."""
    return until(page, "!s.running && !s.playing && s.at === s.end && s.end > 0", seconds)


AT_THE_LAST = f"""() => {{
  const s = ({STATE})();
  if (s.running || s.end === 0) return false;
  if (s.at === s.end && !s.playing)  // and what Gradio itself shows is gone
    return ![...document.querySelectorAll(".loading")].some((words) => words.offsetParent);
  document.querySelector("#denoise-player .td-last").click();
}}"""


def finished(page, seconds: float = 90) -> dict:
    """Go to the last step as soon as all are there, again if another run begins meanwhile."""
    page.wait_for_function(AT_THE_LAST, timeout=1000 * seconds)
    return state(page)


def more(page):
    """What is folded under "More" is open."""
    if not page.locator("#steps input").is_visible():
        page.get_by_role("button", name="More", exact=False).first.click()
        page.locator("#steps input").wait_for(state="visible")


def choose(page, menu: str, option: str):
    """An option of a menu, once that is open and stands still."""
    page.locator(f"{menu} input").click()
    page.get_by_role("option", name=option, exact=True).wait_for()
    page.wait_for_timeout(300)
    page.get_by_role("option", name=option, exact=True).click()


def choose_steps(page, count: int):
    more(page)
    page.locator("#steps input").fill(str(count))


def focus_sheet(page):
    page.locator(P + ".td-sheet").first.focus()


PLACES = """() => {
  window.places = new Set();
  new MutationObserver(() => {
    const seek = document.querySelector("#denoise-player .td-seek");
    if (seek) window.places.add(seek.value);
  }).observe(document, {subtree: true, childList: true, attributes: true,
                        attributeFilter: ["aria-valuetext"]});
}"""


@pytest.mark.usefixtures("motion")
def test_the_recorded_run_plays_at_load(visit, page):
    """The page is alive before anybody clicks: the recorded run plays, step by step, to its end,
    and it is text."""
    page.add_init_script(f"({PLACES})()")
    page = visit()
    end = played(page)
    assert page.evaluate("window.places.size") > 3
    assert end["text"].startswith(BEGIN) and "·" not in end["text"]


BAR = """() => {
  window.places = [];
  const root = document.querySelector("#denoise-player");
  const look = () => {
    if (root.querySelector(".td-player").classList.contains("playing"))
      window.places.push(root.querySelector(".td-bar").getBoundingClientRect().top + scrollY);
    requestAnimationFrame(look);
  };
  look();
}"""


@pytest.mark.usefixtures("motion")
def test_what_is_under_the_text_does_not_come_up(visit):
    """Words are shorter than the masks they stand behind, and a text may end early: while it plays
    nothing under it moves up; when it is over it takes the room that it needs."""
    page = visit("?steps=16&length=64&prompt=Tom")
    until(page, "!s.running && s.end === 16")  # not the recorded run
    finished(page)
    page.evaluate(BAR)
    page.click(P + ".td-play")
    played(page)
    places = page.evaluate("window.places")
    assert len(places) > 3 and places == sorted(places)
    assert page.evaluate(f"document.querySelector('{P}.td-cells').style.minHeight") == ""


# of a run from its first step until it has played: what moved that is no part of the text, and how
# often the text did
MOVED = """() => {
  const root = document.querySelector("#denoise-player");
  const player = root.querySelector(".td-player"), seek = root.querySelector(".td-seek");
  const moved = window.moved = {text: 0, others: [], done: false, over: false};
  const shifts = [];
  const name = (node) => `${node?.nodeName}.${node?.className ?? node?.parentNode?.className}`;
  const take = (list) => shifts.push(...list.getEntries());
  const observer = new PerformanceObserver(take);
  let begun = 0;
  const step = new MutationObserver(() => {
    if (!begun && Number(seek.value) >= 1 && player.classList.contains("playing"))
      begun = performance.now();
    if (!begun) return;
    if (player.classList.contains("playing")) {
      moved.done ||= !player.classList.contains("running");
      return;
    }
    const ended = performance.now();
    step.disconnect();
    take({getEntries: () => observer.takeRecords()});
    for (const shift of shifts.filter((s) => begun < s.startTime && s.startTime < ended)) {
      for (const {node} of shift.sources) {
        if (node?.parentNode && root.querySelector(".td-cells").contains(node)) moved.text++;
        else moved.others.push(name(node));
      }
    }
    moved.over = true;
  });
  observer.observe({type: "layout-shift"});
  step.observe(player, {attributes: true, subtree: true,
    attributeFilter: ["class", "aria-valuetext"]});
}"""


@pytest.mark.parametrize(
    "width, height", [pytest.param(1280, 2000, marks=pytest.mark.long), (375, 2900)]
)
@pytest.mark.usefixtures("motion")
def test_only_the_text_moves_during_a_run(visit, page, width, height):
    """From the first step to the last, the run's end on the server between them, the browser itself
    sees nothing move but words: all of the page is in sight of it."""
    page.set_viewport_size({"width": width, "height": height})
    page = visit()
    finished(page)
    page.evaluate(MOVED)
    generate(page)
    page.wait_for_function("() => window.moved.over", timeout=90_000)
    moved = page.evaluate("window.moved")
    assert moved["others"] == [] and moved["text"] > 20 and moved["done"]
    assert state(page)["end"] == OPENING["steps"]


def test_write_is_in_sight(stay):
    """On a laptop's screen the button that matters stays in sight."""
    page, before = stay(), stay().viewport_size
    page.set_viewport_size({"width": 1280, "height": 800})
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#write").bounding_box()
    assert box["y"] > 0 and box["y"] + box["height"] <= 800
    over = """() => {
      const r = document.querySelector("#write").getBoundingClientRect(), found = new Set();
      for (let y = r.top + 3; y < r.bottom; y += 6)
        for (let x = r.left + 4; x < r.right; x += 12)
          found.add(document.elementFromPoint(x, y).closest("#write")?.id);
      return [...found];
    }"""
    for scrolled in (0, 60, 120, 180):
        page.mouse.wheel(0, 60 if scrolled else 0)
        assert page.evaluate(over) == ["write"]
    page.set_viewport_size(before)


@pytest.mark.usefixtures("motion")
def test_stop_keeps_what_came(visit):
    """Stop ends the run soon, and what was written can be scrubbed from the blank canvas to the
    last step that came."""
    page = visit(LONG)
    until(page, "s.running && s.at >= 1")
    page.dispatch_event(P + ".td-stop", "click")
    end = until(page, "!s.running", 15)
    assert 1 <= end["end"] < 256
    page.click(P + ".td-first")
    assert "·" in state(page)["text"]
    page.click(P + ".td-last")
    assert state(page)["at"] == end["end"]


def test_keyboard(stay):
    """Space plays and pauses; the arrows step; Home and End jump."""
    page = stay()
    finished(page)
    focus_sheet(page)
    page.keyboard.press("Home")
    assert state(page)["at"] == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert state(page)["at"] == 1 and not state(page)["playing"]
    page.keyboard.press("End")
    assert state(page)["at"] == state(page)["end"]
    page.keyboard.press("Space")
    assert state(page)["playing"]
    page.keyboard.press("Space")
    assert not state(page)["playing"]


def test_scrubbing(stay):
    """The scrubber says where it is, and the text goes with it."""
    page = stay()
    finished(page)
    page.locator(P + ".td-seek").fill("10")
    assert state(page)["at"] == 10
    assert page.get_attribute(P + ".td-seek", "aria-valuetext") == f"look 10 of {OPENING['steps']}"


def test_a_character_shows_its_likeliest(stay):
    """A click on a character that was written shows the five likeliest in its place; the keyboard
    reaches the same."""
    page = stay()
    finished(page)
    page.locator(CELLS).nth(40).click()
    rows = page.locator(P + ".td-top li").all_inner_texts()
    shares = [int(re.search(r"(\d+) %", row).group(1)) for row in rows]
    assert len(rows) == 5 and shares == sorted(shares, reverse=True)
    focus_sheet(page)
    page.keyboard.press("Shift+ArrowRight")
    assert "Token 42" in page.inner_text(P + ".td-top-head")


def test_a_link_shows_the_same_text(visit, server, page):
    """The same link shows the same run, in the settings and in every character."""
    page = visit("?seed=11&steps=16&prompt=JULIET%3A&sampler=confidence&length=64")
    first = until(page, "!s.running && s.end === 16 && s.at === 16")["text"]
    assert first.startswith("JULIET:") and page.input_value("#prompt textarea") == "JULIET:"
    # nothing is under way that the browser would break off
    page.wait_for_function(f"() => !document.querySelector('{P}.td-scale li:not(.there)')")
    page.wait_for_timeout(700)
    page.goto(f"{server.url}/{page.url.split('/')[-1]}")
    page.wait_for_selector(P + ".td-cells span")
    assert until(page, "!s.running && s.end === 16 && s.at === 16")["text"] == first


def test_a_wrong_prompt_is_one_sentence(visit, page):
    """A character that the model does not know is named, nothing of a traceback is seen, and the
    last good text stays."""
    page = written(visit, page, "shakespeare/masked")
    before = state(page)["text"]
    page.fill("#prompt textarea", "what <is> é")
    page.click("#write")
    words = refused(page, "#prompt")
    assert "'<'" in words and "Traceback" not in words
    assert state(page)["text"] == before


def test_samplers_bring_their_own_options(stay):
    """An option is seen with its sampler and with no other."""
    page = stay()
    more(page)
    chosen = page.input_value("input[aria-label=Sampler]")
    option = page.locator("#option-threshold-at_least")
    assert option.count() == 0 or not option.is_visible()
    page.locator("input[aria-label=Sampler]").click()
    page.get_by_role("option", name="threshold").click()
    option.wait_for(state="visible")
    page.locator("input[aria-label=Sampler]").click()
    page.get_by_role("option", name=chosen, exact=True).click()
    option.wait_for(state="hidden")


def test_a_number_of_steps_is_that_of_the_next_run(stay):
    """Typing a number of steps marks the picture as not of these settings; Write makes a run of
    just so many, and takes the mark away."""
    page = stay()
    choose_steps(page, 8)
    page.wait_for_function(f"() => {STALE}.textContent.startsWith('Changed')")
    generate(page)
    assert until(page, "s.end === 8 && !s.running")["end"] == 8
    assert page.evaluate(f"{STALE}.textContent") == ""


def test_write_writes_a_text(stay):
    """A click on Write writes a text that begins with the prompt, has no masks left, and shows
    its numbers."""
    page = stay()
    finished(page)
    generate(page)
    end = finished(page)
    assert end["text"].startswith(BEGIN) and "·" not in end["text"]
    assert page.locator(CELLS).count() == OPENING["length"]
    numbers = page.inner_text(P + ".td-stats")
    named = ("looked", "8 times", "a look", "how odd to a second model", "said only once")
    assert all(name in numbers for name in named)


def test_first_frame_is_quick(stay, record_property):
    """The first picture is there soon after the click. The bound is wide: this machine may be busy;
    the number is kept."""
    page = stay()
    finished(page)
    generate(page), finished(page)
    start = time.perf_counter()
    generate(page)
    seconds = time.perf_counter() - start
    record_property("first_frame_seconds", round(seconds, 3))
    assert seconds < 2


def test_a_template_keeps_what_is_given(visit):
    """What a template gives stands in the text; each blank is a character."""
    page = visit("?model=shakespeare/masked&steps=8&length=32")
    until(page, "!s.running && s.end === 8")  # not the recorded run
    finished(page)
    page.fill("#prompt textarea", "To be, or ␣␣␣ to be")
    generate(page)
    end = until(page, "!s.running && s.text.length === 19")
    end = finished(page)
    assert end["text"].startswith("To be, or ") and end["text"].endswith(" to be")


def test_a_gap_that_is_ready_to_be_tried_is_filled_in(visit):
    """Whoever takes the example of a gap sees it in the field, under which stands what its signs
    are, and it is written at once: some words between those that are given."""
    page = visit()
    finished(page)
    hint = page.locator("#prompt").inner_text()
    assert "is a gap of any length" in hint and "␣ is one piece" in hint
    page.evaluate(STARTED)
    page.get_by_role("radio", name="a gap").check(force=True)
    page.wait_for_function("() => window.started", timeout=90_000)
    written = "".join(finished(page)["text"].split())
    before, after = ("".join(part.split()) for part in CHIPS["a gap"].split("…"))
    assert page.input_value("#prompt textarea") == CHIPS["a gap"]
    assert written.startswith(before) and written.endswith(after)
    page.wait_for_selector(".td-gap-left", state="detached", timeout=90_000)
    written = "".join(finished(page)["text"].split())
    chosen = page.locator(".td-gap[aria-pressed=true] .td-gap-words").inner_text()
    assert written == before + "".join(chosen.split()) + after


ASKED = "dragon, cake, sorry, no z, sad end"


def test_an_example_with_rules_shows_them_and_marks_the_words(visit):
    """One click fills the fold of rules, opens it and writes; the words that had to come are marked
    and read out. What is refused next leaves that text, dimmed, and says that it is of before."""
    page = visit()
    finished(page)
    assert not page.locator("#contains").is_visible()
    page.get_by_role("radio", name=ASKED).check(force=True)
    page.wait_for_selector(".td-kinds .asked", state="visible", timeout=90_000)
    field = page.locator("#contains textarea, #contains input").first
    assert field.is_visible() and field.input_value() == "dragon, cake, sorry"
    marked = page.locator(P + ".td-cells .asked").all_inner_texts()
    assert sorted("".join(marked)) == sorted("dragoncakesorry")
    assert "It has dragon, cake, sorry." in state(page)["status"]
    assert "label=sad" in page.evaluate("location.search")
    assert "would keep the rules" in page.locator(".td-help").inner_text()
    dry(page, rests=False)
    report = Axe().run(page, options=BROKEN)
    assert report.violations_count == 0, report.generate_report()
    field.fill("dragon, zebra")
    page.click("#write")
    page.wait_for_selector(".td-player.td-old")
    assert "text from before" in page.locator(".td-changed").inner_text()
    field.fill("dragon")
    generate(page)
    page.wait_for_selector(".td-player.td-old", state="detached")


def test_another_text_for_a_gap_is_a_click_away(visit):
    """The likeliest of each width stands under the text, with its bits; the likeliest of all is in
    the gap until another is clicked, whose link makes it again, and which can be undone."""
    page = visit()
    finished(page)
    page.fill("#prompt textarea", "The dog was sad. ... Then it was happy.")
    generate(page)
    page.wait_for_selector(".td-gap:enabled", timeout=90_000)
    rows = page.locator("button.td-gap")
    assert rows.count() == 8
    bits = [float(one) for one in page.locator("button .td-gap-bits").all_inner_texts()]
    best = page.locator(".td-gap[aria-pressed=true]")
    assert float(best.locator(".td-gap-bits").inner_text()) == min(bits)
    assert best.locator(".td-gap-best").inner_text() == "likeliest"
    finished(page)
    words = page.locator("button .td-gap-words").all_inner_texts()
    place = next(i for i, one in enumerate(bits) if one != min(bits))
    rows.nth(place).click()
    page.wait_for_function(
        "(n) => document.querySelectorAll('.td-gap')[n].getAttribute('aria-pressed') === 'true'",
        arg=place,
    )
    whole = f"The dog was sad. {words[place].strip()} Then it was happy."
    assert finished(page)["text"] == "".join(whole.split())
    page.wait_for_function("() => location.search.includes('template')")
    link = page.evaluate("location.search")
    page.click("[data-deed=undo]")
    page.wait_for_function(
        "(n) => document.querySelectorAll('.td-gap')[n].getAttribute('aria-pressed') === 'false'",
        arg=place,
    )
    report = Axe().run(page, options=BROKEN)
    assert report.violations_count == 0, report.generate_report()
    page = visit(link)
    assert until(page, "!s.running && s.text.startsWith('Thedog')")["text"] == "".join(
        whole.split()
    )
    assert not page.locator(".td-gaps").is_visible()


def test_the_other_noise(stay):
    """Choosing autoregression changes the models and the samplers, and writes from left to
    right."""
    page = stay()
    page.emulate_media(reduced_motion="no-preference")
    choose(page, "#noise", "one after the other")
    page.wait_for_function(
        "document.querySelector('input[aria-label=Sampler]').value === 'left to right'"
    )
    generate(page)
    until(page, "s.at > 20", 60)
    page.keyboard.press("Escape")
    assert re.fullmatch(r"[^·]+·*", state(page)["text"])
    page.locator(P + ".td-seek").fill("3")
    assert state(page)["caption"].startswith("It writes the next word")
    page.emulate_media(reduced_motion="reduce")


def written(visit, page, model: str, more: str = ""):
    """The page with a finished run of eight steps of a model."""
    page = visit(f"?model={model}&steps=8&length=64&seed=3{more}")
    until(page, "!s.running && s.end === 8 && s.at === 8 && !s.playing")
    return page


def test_noise_without_masks_begins_as_noise_and_changes(visit, page):
    """Before the first step stand random characters, not masks; the legend and the plots speak of
    noise and of changes. The view of changes counts every open character once, and before the first
    step none has changed."""
    page = written(visit, page, "perfect-uniform")
    page.click(P + ".td-first")
    assert state(page)["text"].startswith(PROMPT) and "·" not in state(page)["text"]
    words = page.inner_text(P + ".td-kinds") + page.inner_text(P + ".td-plots")
    assert "noise" in words and "changing" in words and "masked" not in words
    assert "hidden" not in words and state(page)["caption"].startswith("Wrong words")
    page.click(P + "[data-view=changes]")
    for button in (".td-last", ".td-first"):
        page.click(P + button)
        counts = [int(n) for n in re.findall(r": (\d+)", page.inner_text(P + ".td-shades"))]
        assert sum(counts) == 64 - len(PROMPT)
    assert counts[0] == sum(counts)


def test_where_ratios_pull(visit, page, stay):
    """Of a noise with ratios one can see where they pull: the cells are shaded and counted; others
    have no such view."""
    page = written(visit, page, "perfect-score-uniform")
    page.click(P + "[data-view=pull]")
    page.locator(P + ".td-seek").fill("4")
    assert "another fits better" in page.inner_text(P + ".td-shades")
    assert page.locator(P + ".td-cells [class^=h]").count() == 64 - len(PROMPT)
    finished(stay())
    assert not stay().locator(P + "[data-view=pull]").is_visible()


def test_walkers_walk_to_their_codes(visit, page):
    """The map names every character, and at the end each of eight walkers stands on the code of the
    character it reads."""
    page = written(visit, page, "perfect-gaussian")
    assert (
        page.locator(P + ".td-code").count() == 65
        and page.locator(P + ".td-walkers li").count() == 8
    )
    places = """() => {
      const at = (node) => {
        const b = node.getBoundingClientRect();
        return [b.x + b.width / 2, b.y + b.height / 2];
      };
      const root = document.querySelector("#denoise-player");
      const codes = [...root.querySelectorAll(".td-code")];
      return [...root.querySelectorAll(".td-walker")].map((walker) => {
        const [x, y] = at(walker.querySelector("circle"));
        const sign = walker.querySelector("text").textContent;
        const same = codes.filter((c) => c.textContent === sign).map(at);
        return Math.min(...same.map(([a, b]) => Math.hypot(a - x, b - y)));
      });
    }"""
    assert max(page.evaluate(places)) < 8
    page.locator(P + ".td-seek").fill("2")
    assert max(page.evaluate(places)) > 20


def test_bits_sharpen(visit, page):
    """Grey at the beginning, ink or paper at the end."""
    page = written(visit, page, "perfect-bits")
    inks = (
        f"() => [...document.querySelectorAll('{P}.td-planes rect')].map((r) => "
        "Number(r.getAttribute('fill-opacity')))"
    )
    end = page.evaluate(inks)
    assert len(end) == 7 * (64 - len(PROMPT)) and set(end) == {0, 1}
    page.click(P + ".td-first")
    assert sum(0.1 < bit < 0.9 for bit in page.evaluate(inks)) > len(end) / 2


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(f"perfect-{name}", marks=pytest.mark.long)
        for name in ("gaussian", "uniform", "bits")
    ],
)
def test_other_noises_are_accessible(visit, page, model):
    """axe finds nothing in what is particular to a noise, in the middle of a run, in the dark and
    on a phone."""
    page.set_viewport_size({"width": 375, "height": 900})
    page = written(visit, page, model, "&__theme=dark")
    page.locator(P + ".td-seek").fill("5")
    page.click(P + "[data-view=changes]")
    page.mouse.move(0, 0)
    dry(page, rests=False)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    report = Axe().run(page, options=BROKEN)
    assert report.violations_count == 0, report.generate_report()


def test_reduced_motion(visit):
    """Who asked for less motion sees the last picture at once, and the scrubber works."""
    page = visit()
    now = state(page)
    assert now["at"] == now["end"] and not now["playing"]
    page.locator(P + ".td-seek").fill("5")
    assert state(page)["at"] == 5


@pytest.mark.parametrize("scheme, width", LOOKS)
def test_accessible(visit, page, scheme, width):
    """axe finds nothing, in light, in dark and on a phone, with what is folded open; and nothing
    scrolls sideways."""
    page.set_viewport_size({"width": width, "height": 900})
    page = visit(f"?__theme={scheme}")
    finished(page)
    more(page)
    dry(page)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    report = Axe().run(page, options=BROKEN)
    assert report.violations_count == 0, report.generate_report()


def stop(page):
    """End the run, if it has not ended by itself."""
    page.evaluate("document.querySelector('#denoise-player .td-stop:not([hidden])')?.click()")
    until(page, "!s.running", 30)


@pytest.fixture(scope="module")
def client(server):
    return Client(server.url, verbose=False)


# when each step of the runs that follow was first shown, in milliseconds
WATCH = f"""() => {{
  window.seen = new Map();
  setInterval(() => {{
    const s = ({STATE})();
    if (s.running && !window.seen.has(s.at)) window.seen.set(s.at, Date.now());
  }}, 10);
}}"""


@pytest.mark.long
def test_two_visitors_both_animate(visit, server):
    """While one run is made, another visitor's run is made too."""
    page = visit(LONG)
    other = page.context.new_page()
    other.goto(f"{server.url}/{LONG}")
    other.wait_for_selector(P + ".td-cells span")
    for visitor in (page, other):
        until(visitor, "s.end === 256")
        stop(visitor)
        visitor.evaluate(WATCH)
    for visitor in (page, other):  # both are there by now: their runs begin side by side
        generate(visitor)
    for visitor in (page, other):
        visitor.wait_for_function("() => window.seen.size > 4", timeout=90_000)
    seen = [visitor.evaluate("() => [...window.seen.values()]") for visitor in (page, other)]
    for visitor in (page, other):
        stop(visitor)
    other.close()
    begun, last = zip(*((times[1], times[-1]) for times in seen))
    assert max(begun) < min(last)


def test_a_closed_tab_stops_the_work(server, visitors):
    """Once the visitor is gone the server computes nothing: over two seconds it is as idle as it
    was before, to 5 %."""
    idle = server.busy(2)
    with closing(visitors.new_page()) as page:
        page.goto(f"{server.url}/{LONG}&seed=3")
        page.wait_for_selector(P + ".td-cells span")
        until(page, "s.running && s.at >= 2")
        assert server.busy(1) > idle + 0.2
    deadline = time.monotonic() + 30
    while server.busy(2) > idle + 0.05:
        assert time.monotonic() < deadline, "The run goes on without its visitor."


def test_markup_is_text(visit):
    """What a link carries is shown as it is typed, never run."""
    page = visit("?model=shakespeare/masked&prompt=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    page.wait_for_selector(".toast-body")
    assert page.locator("img[src=x]").count() == 0


SMALL = {"model": "perfect-masked", "length": 16, "steps": 2, "prompt": ""}


def test_the_page_is_ready_soon(server, record_property):
    """`python app.py` answers soon. The bound is wide: this machine may be busy; the number is
    kept."""
    record_property("ready_seconds", round(server.ready_after, 2))
    assert server.ready_after < 60


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": 10**9},
        {"steps": "abc"},
        {"temperature": -1},
        {"sampler": "nonsense"},
        {"model": "nonsense"},
        {"model": "autoregressive", "sampler": "ancestral"},
        {"template": ""},
        {"model": "shakespeare/masked", "prompt": "\u00e9"},
        "abc",
        None,
        [1],
    ],
    ids=repr,
)
def test_the_api_refuses_in_one_sentence(client, settings):
    """A bad value through the API comes back as one sentence, never a traceback."""
    with pytest.raises(Exception) as caught:
        client.predict(settings, api_name="/denoise")
    words = str(caught.value)
    assert 10 < len(words) < 400 and "Traceback" not in words and "\n" not in words


def test_the_api_streams_a_run(client):
    """Each value holds all chunks of the one before; the last is done."""
    values = list(client.submit(SMALL, api_name="/denoise"))
    assert values[-1]["done"] and not any(value["done"] for value in values[:-1])
    for earlier, later in zip(values, values[1:]):
        assert later["chunks"][: len(earlier["chunks"])] == earlier["chunks"]


@pytest.mark.parametrize("runs", [5, pytest.param(150, marks=pytest.mark.long)])
def test_memory_is_flat(client, server, runs):
    """After the first runs, many more leave the server hardly larger: 8 megabytes, and 0.1 for
    each."""
    for _ in range(runs):
        client.predict(SMALL, api_name="/denoise")
    before = server.memory()
    for _ in range(2 * runs):
        client.predict(SMALL, api_name="/denoise")
    assert server.memory() - before < (8 + 0.1 * runs) * 2**20


# Write is pressed when the server has answered what comes next, and the page has not heard it
PRESSED = """() => {
  const ask = window.fetch;
  window.fetch = async (...what) => {
    const answer = await ask(...what);
    if (String(what[0]?.url ?? what[0]).includes("/queue/join")) {
      window.fetch = ask;
      setTimeout(() => {
        for (const end = performance.now() + 1000; performance.now() < end;);
        document.querySelector("#write").click();
      }, 20);
    }
    return answer;
  };
}"""


def test_write_does_not_wait_for_the_menus(visit):
    """Whoever chooses a noise, then another, and presses Write while the server still says what the
    menus hold gets a text of the noise they chose last, and no error."""
    page = visit("?steps=4&length=32&seed=2")
    until(page, "!s.running && s.end === 4")
    finished(page)
    choose(page, "#noise", "binary noise")
    page.wait_for_function(
        "document.querySelector('#model input').value.startsWith('stories/bits')"
    )
    page.wait_for_timeout(500)
    page.evaluate(PRESSED)
    choose(page, "#noise", "hidden words, block by block")
    page.wait_for_function("() => location.search.includes('stories%2Fblock')", timeout=90_000)
    assert page.locator(".toast-body").count() == 0
    page.wait_for_function(
        "document.querySelector('#model input').value.startsWith('stories/block')"
    )
    assert page.input_value("#noise input") == "hidden words, block by block"
    assert state(page)["caption"] != ""
