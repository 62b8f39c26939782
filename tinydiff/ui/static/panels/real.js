// Real model: its text as guesses are kept and dropped, the same model one by one beside it, both
// on one clock, which can be gone through slowly afterwards. The other end is tinydiff/ui/real.py.

import {Panel, add, colour, fixed, make, put, reduced} from "../dom.js";
import {Slider} from "../slider.js";

const LOOK = 1100;  // milliseconds of a look, on average, when it is gone through slowly
const SEEN = 0.5;  // the share of a look for which it is seen what the one before brought
const MEGA = 1e6;
const NARROW = 760;  // of a page whose text lies below what is pressed
const SIGNS = [
  ["span", "tm-guess", "guessed", "by the helper, not looked at yet"],
  ["del", "", "dropped", "the model would have written something else"],
  ["b", "", "its own", "written by the model itself; all else was guessed, and kept"],
];

export class Real extends Panel {
  #slider = null;
  #value = null;

  show(value) {
    const before = this.#value;
    this.#value = value.lanes || !before?.lanes ? value : {...before, ...value};
    this.#slider?.stop();
    if (!this.find(".tt-status")) this.frame();
    this.find(".tt-status").textContent = value.status || (value.busy ? "It writes …" : "");
    this.fetched(value.fetched);
    if (!value.lanes) return;
    if (value.busy && !this.root.classList.contains("tm-live") && innerWidth < NARROW) {
      this.root.scrollIntoView({behavior: reduced.matches ? "auto" : "smooth"});
    }
    this.root.classList.toggle("tm-live", Boolean(value.busy));
    this.words(value);
    this.slow(value);
    this.draw(Infinity);
  }

  frame() {
    this.root.textContent = "";
    put(this.root, "p", "tt-status", "", {role: "status"});
    put(this.root, "div", "tm-share");
    put(this.root, "p", "tm-asked");
    put(this.root, "div", "tm-lanes");
    put(this.root, "div", "tt-clock tm-clock");
    put(this.root, "p", "tt-about tm-signs");
    put(this.root, "p", "tt-about tm-note");
  }

  // how much of the model has come
  fetched(bytes) {
    const box = this.find(".tm-share");
    if (!bytes) return box.replaceChildren();
    const [done, total] = bytes.map((n) => Math.round(n / MEGA));
    const words = total ? `Fetching it: ${done} of ${total} MB` : "Fetching it …";
    this.find(".tt-status").textContent = total ? "" : words;
    if (!total) return box.replaceChildren();
    const bar = make("progress", "", null, {max: total, value: done, "aria-label": words});
    box.replaceChildren(bar, make("span", "", words));
  }

  words({words, chat, lanes, note}) {
    const asked = this.find(".tm-asked"), drafted = lanes[0].name === "With guesses";
    asked.replaceChildren();
    if (chat) add(asked, make("b", "", "You: "), words);
    this.find(".tm-note").textContent = note || "";
    const signs = this.find(".tm-signs");
    signs.replaceChildren();
    for (const [tag, classes, name, says] of drafted ? SIGNS : []) {
      add(put(signs, "span"), make(tag, classes, name), ` ${says}`);
    }
    const box = this.find(".tm-lanes");
    if (box.children.length === lanes.length) return;
    box.replaceChildren(...lanes.map(({name}) => {
      const made = make("section", "tm-lane", null, {"aria-label": name});
      colour(made, name === "With guesses" ? "masked" : "autoregressive");
      return add(made, make("h2", "", name), make("p", "tm-text"), make("dl", "tm-counts"));
    }));
  }

  // the whole run again, slowly, once it is over
  slow({lanes, busy}) {
    const box = this.find(".tm-clock"), looks = lanes[0].steps.length;
    this.#slider = null;
    box.replaceChildren();
    box.hidden = Boolean(busy) || looks < 2;
    if (box.hidden) return;
    const end = Math.max(...lanes.map(({steps}) => sum(steps)));
    const whole = LOOK * looks * end / sum(lanes[0].steps);
    this.#slider = new Slider({
      max: end, step: end / 1000, value: end, whole, words: "▶ See it slowly",
      label: "seconds of the run",
      moved: (at) => this.draw(at >= end ? Infinity : at, end),
    });
    add(box, this.#slider.button, this.#slider.box, this.#slider.now);
    this.#slider.say(`${fixed(end, 1)} s`);
  }

  // what stands after so many seconds of each lane's own
  draw(at) {
    const {lanes, words, chat} = this.#value;
    lanes.forEach((lane, i) => {
      const box = this.find(".tm-lanes").children[i];
      text(box.querySelector(".tm-text"), lane, at, chat ? "" : words);
      counts(box.querySelector(".tm-counts"), lane, at);
    });
    if (at < Infinity) this.#slider?.say(`${fixed(at, 1)} s`);
    else if (this.#slider) this.#slider.say(`${fixed(this.#slider.max, 1)} s`);
  }
}

const sum = (steps) => steps.reduce((all, [, , , seconds]) => all + seconds, 0);

// looks that are done after so many seconds, and how much of the next one is
function reached(steps, at) {
  let left = at, done = 0;
  while (done < steps.length && steps[done][3] <= left) left -= steps[done++][3];
  return [done, done < steps.length ? left / steps[done][3] : 0];
}

function text(box, {steps, pieces, over, name}, at, given) {
  const [done, share] = reached(steps, at), made = [make("span", "tm-given", given)];
  const guesses = name === "With guesses", rests = done === steps.length && over;
  const judged = !rests && share < SEEN ? done - 1 : -1;  // the look whose end is seen
  let place = 0;
  const next = (count) => pieces.slice(place, (place += count)).join("");
  for (let i = 0; i < done; i++) {
    const [kept, own, dropped] = steps[i], fresh = i === judged;
    made.push(make("span", fresh ? "tm-kept" : "", next(kept)));
    if (fresh && dropped) made.push(make("del", "", dropped));
    made.push(...itsOwn(next(own), guesses || fresh ? "b" : "span", fresh ? "tm-new" : ""));
  }
  if (guesses && done < steps.length && share >= SEEN) {
    const [kept, , dropped] = steps[done];
    made.push(make("span", "tm-guess", next(kept) + dropped));
  }
  box.replaceChildren(...made.filter((node) => node.textContent ?? node));
}

// the space before a word is not marked
function itsOwn(words, tag, classes) {
  const word = words.trimStart();
  return [words.slice(0, words.length - word.length), make(tag, classes, word)];
}

function counts(box, {steps, looks, pieces}, at) {
  const [done] = reached(steps, at), seen = steps.slice(0, done);
  const tokens = seen.reduce((all, [kept, own]) => all + kept + own, 0);
  const seconds = sum(seen), asked = done === steps.length ? looks : done;
  const facts = [
    ["tokens", String(done === steps.length ? pieces.length : tokens)],
    ["looks", String(asked)],
    ["tokens a look", fixed(asked ? tokens / asked : null, 1)],
    ["tokens a second", fixed(seconds ? tokens / seconds : null, 1)],
  ];
  box.replaceChildren(...facts.map(([name, number]) => (
    add(make("div"), make("dt", "", name), make("dd", "", number)))));
}
