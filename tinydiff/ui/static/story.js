// The guided story: a dialog over the page, eight scenes with an address each (#story=3). What is
// shown comes from tinydiff/ui/story.py, once it is asked for.

import {Cells} from "./cells.js";
import {add, colour, make, percent, put, reduced} from "./dom.js";
import {readable} from "./glyphs.js";
import {Slider} from "./slider.js";
import {BEHIND, MASK, Run, share} from "./wire.js";

const FADE = 7000;    // milliseconds in which the first scene goes from text to noise
const LOOK = 700;     // for which a look is seen in the fifth scene,
const QUICK = 260;    // and where several texts are written side by side
const PLACE = /^#story(?:=(\d+))?$/;
const FIELD = "input, textarea, select";

const place = () => {
  const found = PLACE.exec(location.hash);
  return found && Math.max(1, Number(found[1] ?? 1));
};

export function tell(element, ask, props, watch) {
  const story = new Story(element.querySelector("dialog"), ask);
  watch("value", () => story.take(props.value));
  story.take(props.value);
  story.follow();
}

class Story {
  #scenes = null;
  #at = 0;
  #asked = false;
  #drawn = false;
  #stop = null;  // ends what moves in the scene

  constructor(box, ask) {
    Object.assign(this, {box, ask});
    this.build();
    for (const name of ["popstate", "hashchange"]) addEventListener(name, () => this.follow());
    document.addEventListener("keydown", (event) => this.pressed(event), true);
    box.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    box.addEventListener("close", () => {
      if (place()) this.close();  // the browser may shut it
    });
  }

  build() {
    const head = put(this.box, "header", "ts-head");
    put(head, "p", "ts-name", "The guided story");
    this.list = put(head, "ol", "ts-places", null, {"aria-label": "Scenes"});
    const shut = put(head, "button", "ts-shut", "Close", {type: "button", title: "Close (Esc)"});
    shut.addEventListener("click", () => this.close());
    const main = put(this.box, "div", "ts-main");
    this.title = put(main, "h2", "ts-title", "", {id: "ts-title", tabindex: -1});
    this.words = put(main, "p", "ts-words");
    this.stage = put(main, "div", "ts-stage");
    const foot = put(this.box, "div", "ts-foot");
    this.back = put(foot, "button", "ts-back", "Back", {type: "button"});
    this.links = put(foot, "div", "ts-links");
    this.next = put(foot, "button", "ts-next", "Next", {type: "button"});
    this.back.addEventListener("click", () => this.go(this.#at - 1));
    this.next.addEventListener("click", () => this.go(this.#at + 1));
  }

  take(value) {
    if (!value?.packed || this.#scenes) return;
    const {scenes, note} = JSON.parse(value.packed);
    Object.assign(this, {note});
    this.#scenes = scenes;
    scenes.forEach(({title}, i) => put(put(this.list, "li"), "a", "", String(i + 1),
      {href: `#story=${i + 1}`, "aria-label": `Scene ${i + 1}: ${title}`}));
    if (this.box.open) this.show(this.#at);
  }

  // what the address says
  follow() {
    const n = place();
    if (n) this.show(n); else this.hide();
  }

  go(n) {
    if (n > this.#scenes?.length) return this.close();
    if (n < 1 || !this.#scenes) return;
    history.pushState(history.state, "", `#story=${n}`);
    this.show(n);
  }

  close() {
    history.pushState(history.state, "", location.pathname + location.search);
    this.hide();
  }

  hide() {
    if (!this.#at) return;
    this.halt();
    this.box.close();
    this.#at = 0;
    // the one of the two links that is seen
    document.querySelectorAll(".ts-open, .td-story").forEach((link) => link.focus());
  }

  halt() {
    this.#stop?.();
    this.#stop = null;
  }

  show(n) {
    const there = this.#scenes, at = Math.min(n, there?.length ?? n);
    if (this.box.open && this.#drawn && at === this.#at) return;
    this.#at = at;
    if (!this.box.open) this.box.showModal();
    if (!there) return this.wait();
    this.halt();
    const scene = there[at - 1], {title, text} = scene;
    this.title.textContent = title;
    this.words.textContent = text;
    this.stage.replaceChildren();
    this.stage.className = `ts-stage ts-scene-${at}`;
    this.list.querySelectorAll("a").forEach((link, i) => {
      if (i + 1 === at) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    });
    this.back.disabled = at === 1;
    this.next.textContent = at === there.length ? "Done" : "Next";
    this.drawLinks(scene);
    if (scene.shown) this.#stop = STAGES[at - 1](this.stage, scene.shown);
    this.#drawn = true;
    this.box.querySelector(".ts-main").scrollTop = 0;
    this.title.focus({preventScroll: true});
  }

  wait() {
    this.title.textContent = "The guided story";
    this.words.textContent = "One moment …";
    if (!this.#asked) this.ask();
    this.#asked = true;
  }

  drawLinks({formula, file, paper, url}) {
    const more = make("details");
    put(more, "summary", "", "Formula");
    const away = (words, href) => make("a", "", words, {href, target: "_blank", rel: "noreferrer"});
    const code = () => away(file.split("/").pop(), `source/${file}`);
    add(put(more, "div", "ts-more"), make("p", "", formula), add(make("p", "ts-small"), code()),
      make("p", "ts-small", this.note));
    this.links.replaceChildren(more, add(make("span", "ts-code"), code()),
      away(`${paper} ↗`, url));
    if (this.note) put(this.links, "span", "ts-note", this.note);
  }

  // arrows turn the page but in what has use for them, Page Up and Page Down everywhere; the keys
  // of the page behind do nothing
  pressed(event) {
    const {key, target, ctrlKey, metaKey, altKey} = event;
    if (!this.box.open || ctrlKey || metaKey || altKey) return;
    if (key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      return this.close();
    }
    const field = target.closest?.(FIELD);
    const by = {PageDown: 1, PageUp: -1, ...field ? {} : {ArrowRight: 1, ArrowLeft: -1}}[key];
    if (by) {
      event.preventDefault();
      this.go(Math.max(1, Math.min(this.#scenes?.length ?? 1, this.#at + by)));
    }
    if (by || !field && ["p", "r"].includes(key.toLowerCase())) event.stopPropagation();
  }
}

// ---------------------------------------------------------------- what the scenes are made of

// A text on paper: draw(frame, run); what is read aloud of it is what it says at rest.
class Sheet {
  constructor(box, name = "", family = "") {
    const sheet = this.root = put(box, "article", "ts-sheet");
    if (family) colour(sheet, family);
    if (name) this.fact = put(add(put(sheet, "h3", "", name)), "small", "");
    this.cells = new Cells(put(sheet, "div", "td-cells td-still", null, {"aria-hidden": "true"}));
    this.read = put(sheet, "p", "td-hidden");
  }

  draw(frame, run, rest = true) {
    this.cells.draw(frame, run, null, rest);
    if (!rest) return;
    const seen = frame.text.filter((_, i) => frame.state[i] !== BEHIND);
    this.read.textContent = readable(seen, run.pieces).replaceAll("·", " … ");
  }
}

// a text that stands, as a run of one picture: state(i) is the state of a cell
function still(shown, state = () => "w") {
  const signs = Array.from(shown.text);
  const given = new Set(shown.given), behind = new Set(shown.behind);
  const states = signs.map((_, i) => (given.has(i) ? "g" : behind.has(i) ? BEHIND : state(i)));
  const text = signs.map((_, i) => (states[i] === "m" ? MASK : signs[i]));
  const frame = {text, state: states, best: text, sure: text.map(() => "~"), t: 0};
  return {frame, run: {head: {}, scene: {masks: true, end: shown.end}, pieces: shown.pieces,
    strange: new Set(shown.strange), frames: [frame], end: 0}};
}

function button(box, words, act, classes = "tt-button") {
  const made = put(box, "button", classes, words, {type: "button"});
  made.addEventListener("click", act);
  return made;
}

// radios, one stop of the keyboard: chosen(i)
function switcher(box, label, names, chosen) {
  const group = put(box, "fieldset", "ts-choice");
  put(group, "legend", "td-hidden", label);
  names.forEach((name, i) => {
    const item = put(group, "label");
    const radio = put(item, "input", "", null, {type: "radio", name: `ts-${label}`});
    put(item, "span", "", name);
    radio.checked = i === 0;
    radio.addEventListener("change", () => chosen(i));
  });
}

// five bets, and which words of them are marked
function betBars(box, pairs, marked = []) {
  const list = make("ol", "ts-bets");
  for (const [word, p] of pairs) {
    const row = put(list, "li", marked.includes(word) ? "on" : "");
    put(row, "b", "", word || "(a space)");
    put(row, "i").style.setProperty("--share", `${100 * p}%`);
    put(row, "span", "", chance(p));
  }
  box.replaceChildren(list);
}

const chance = (p) => (p < .005 ? "< 1 %" : percent(p));
const spoken = (p) => (p < .0001 ? "nearly nothing" : p < .01 ? `${(100 * p).toFixed(2)} %`
  : percent(p));

// A slider that plays: moved(k) draws; where motion is unwanted it stands at its end.
function storyClock(box, {steps, gap, words, label, moved, say}) {
  const slider = new Slider({max: steps, step: 1, whole: gap * steps, words, label,
    moved: (value) => {
      const k = Math.min(steps, Math.floor(value + 1e-6));
      moved(k);
      slider.say(say(k));
    }});
  add(put(box, "div", "ts-clock"), slider.button, slider.box, slider.now);
  slider.go(reduced.matches ? steps : 0);
  if (!reduced.matches) slider.start();
  return slider;
}

const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// ---------------------------------------------------------------- the scenes

// the first: t in the visitor's hand
function fades(box, shown) {
  const sheet = new Sheet(box), {gone, times} = shown;
  const slider = new Slider({max: times, step: 1, whole: FADE, words: "▶ Let it fade",
    label: "Noise, t", moved: (value) => {
      const hidden = (i) => gone[i] <= value, n = gone.filter((_, i) => hidden(i)).length;
      const {frame, run} = still(shown, (i) => (hidden(i) ? "m" : "w"));
      sheet.draw(frame, run);
      slider.say(`t = ${(value / times).toFixed(2)}, ${n} of ${gone.length} hidden`);
    }});
  add(put(box, "div", "ts-clock"), slider.button, slider.box, slider.now);
  slider.go(.3 * times);
  return () => slider.stop();
}

// the second: the visitor bets before the network does
function guess(box, shown) {
  const sheet = new Sheet(box), {place: at, words} = shown;
  const draw = (state) => {
    const {frame, run} = still(shown, (i) => (i === at ? state : "w"));
    sheet.draw(frame, run, false);
    sheet.cells.box.children[at].classList.add("ts-framed");
  };
  draw("m");
  const form = put(box, "form", "ts-guess");
  const field = put(put(form, "label", "", "Your guess "), "input", "", null,
    {type: "text", maxlength: 20, autocomplete: "off", autocapitalize: "off"});
  put(form, "button", "tt-button", "Bet", {type: "submit"});
  for (const word of shown.offered) button(form, word, () => bet(word));
  const said = put(box, "p", "ts-said", "", {role: "status"}), list = put(box, "div");
  const bet = (word) => {
    const mine = word.trim().toLowerCase();
    if (!mine) return field.focus();
    const p = words[mine], rank = Object.keys(words).indexOf(mine) + 1;
    said.textContent = rank
      ? `The network gives your word “${mine}” ${spoken(p)}: place ${rank} of its bets.`
      : `The network gives your word “${mine}” less than 0.01 %.`;
    betBars(list, shown.bets, [mine]);
    draw("n");
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    bet(field.value);
  });
}

// the third: several shares hidden, one look fills them
function fills(box, shown) {
  const bar = put(box, "div", "ts-clock"), sheet = new Sheet(box);
  const said = put(box, "p", "ts-said", "", {role: "status"}), truth = Array.from(shown.text);
  let at = 0;
  const draw = (looked) => {
    const one = shown.looks[at], hidden = new Set(one.hidden), guesses = Array.from(one.text);
    const filled = (i) => (guesses[i] === truth[i] ? "n" : "a");
    const state = (i) => (!hidden.has(i) ? "w" : looked ? filled(i) : "m");
    const {frame, run} = still(one, state);
    Object.assign(run, {pieces: {...one.pieces, ...shown.pieces}});
    if (!looked) frame.text = frame.text.map((sign, i) => (hidden.has(i) ? MASK : truth[i]));
    sheet.draw(frame, run, false);
    said.textContent = looked
      ? `${one.right} of ${hidden.size} are the words that stood there; the others are underlined.`
      : `${hidden.size} of ${truth.length} are hidden.`;
  };
  const names = shown.looks.map((one, i) => `${percent(one.share)}${i ? "" : ", as in BERT"}`);
  switcher(bar, "Hidden", names, (i) => {
    at = i;
    draw(false);
  });
  button(bar, "Look once", () => draw(true));
  draw(false);
}

// the fourth: two words that each fit, and do not fit together
function oneOnly(box, shown) {
  const sheet = new Sheet(box), {pair, first, second, after, name} = shown;
  const signs = Array.from(shown.text);
  const draw = (state) => {
    const drawn = still(shown, state);
    sheet.draw(drawn.frame, drawn.run);
    for (const i of pair) sheet.cells.box.children[i].classList.add("ts-framed");
    return drawn;
  };
  const {frame, run} = draw((i) => (signs[i] === shown.end ? BEHIND : "w"));
  const word = (i) => run.pieces[frame.text[i]].trim(), [one, two] = pair.map(word);
  const bar = put(box, "div", "ts-clock"), both = put(box, "div", "ts-both");
  const [left, right] = ["Bets for the first framed word", "Bets for the second"].map((head) => {
    const side = put(both, "section");
    put(side, "h3", "", head);
    return put(side, "div");
  });
  betBars(left, first, [one]);
  betBars(right, second, [two]);
  const more = button(bar, `Keep only “${one}”, and look again`, () => {
    draw((i) => (i === pair[0] ? "w" : "m"));
    betBars(right, after, [two]);
    said.textContent = `Now it knows of the ${one}: “${two}” falls from ${spoken(name[0])} to `
      + `${spoken(name[1])}.`;
    more.remove();
  });
  const said = put(bar, "p", "ts-said", "", {role: "status"});
}

// the fifth: a run, slowly, and what it bets on at one place
function few(box, shown) {
  const run = new Run(shown.run), sheet = new Sheet(box), at = shown.place;
  const bar = put(box, "div"), side = put(box, "section", "ts-side");
  const head = put(side, "h3", "", "Bets for the framed place"), list = put(side, "div");
  const slider = storyClock(bar, {steps: run.end, gap: LOOK, words: "▶ Play", label: "Look",
    say: (k) => `look ${k} of ${run.end}`,
    moved: (k) => {
      const frame = run.frames[k], rest = k === run.end;
      sheet.draw(frame, run, rest);
      sheet.cells.box.querySelectorAll("[data-cell]")[at].classList.add("ts-framed");
      const found = run.topOf(at, k), written = frame.text[at] !== MASK;
      head.textContent = written ? "The framed place has its word" : "Bets for the framed place";
      if (!found) return list.replaceChildren();
      const pairs = [];
      for (let i = 0; i < found.signs.length; i += 2) {
        pairs.push([run.pieces[found.signs[i]].trim(), share(found.signs[i + 1])]);
      }
      betBars(list, pairs, written ? [run.pieces[frame.text[at]].trim()] : []);
    }});
  return () => slider.stop();
}

// the sixth: the text of the opening at every number of looks
function bought(box, {texts}) {
  const bar = put(box, "div", "ts-clock"), sheet = new Sheet(box);
  const label = put(bar, "label", "ts-looks", "Looks ");
  const range = put(label, "input", "", null,
    {type: "range", min: 0, max: texts.length - 1, step: 1, value: 0});
  const now = put(bar, "output", "tt-now"), meter = put(bar, "span", "td-meter ts-meter");
  const fill = put(meter, "i"), said = put(bar, "b", "ts-sense");
  const draw = () => {
    const one = texts[range.value], {frame, run} = still(one), looks = count(one.looks, "look");
    sheet.draw(frame, run);
    now.textContent = looks;
    fill.style.width = `${100 * (one.share ?? 0)}%`;
    said.textContent = `${one.measure} ${percent(one.share)}`;
    range.setAttribute("aria-valuetext", `${looks}, ${said.textContent}`);
  };
  range.addEventListener("input", draw);
  draw();
}

// the seventh and the eighth: several runs side by side on one clock
function together(box, entries, label, say) {
  const bar = put(box, "div", "ts-bar"), sheets = put(box, "div", `ts-sheets ts-${entries.length}`);
  const shown = entries.map(({name, family, about, run}) => {
    const sheet = new Sheet(sheets, name, family), calls = run.calls;
    if (about) put(sheet.root, "p", "ts-about", about);
    return {sheet, run: new Run(run), calls};
  });
  return storyClock(bar, {steps: Math.max(...shown.map(({run}) => run.end)), gap: QUICK,
    words: "▶ Play", label, say: (k) => say(k),
    moved: (k) => {
      for (const {sheet, run, calls} of shown) {
        const at = Math.min(k, run.end), over = at === run.end;
        sheet.draw(run.frames[at], run, over);
        sheet.fact.textContent = over ? count(calls, "look") : `look ${at}`;
        sheet.fact.classList.toggle("on", over);
      }
    }});
}

function otherNoises(box, {runs}) {
  const slider = together(box, runs, "Look", (k) => `look ${k}`);
  return () => slider.stop();
}

function orders(box, {tasks}) {
  const bar = put(box, "div", "ts-clock"), room = put(box, "div");
  let slider = null;
  const open = (i) => {
    slider?.stop();
    room.replaceChildren();
    slider = together(room, tasks[i][1], "Look", (k) => `look ${k}`);
  };
  switcher(bar, "Task", tasks.map(([name]) => name), open);
  open(0);
  return () => slider.stop();
}

const STAGES = [fades, guess, fills, oneOnly, few, bought, otherNoises, orders];
