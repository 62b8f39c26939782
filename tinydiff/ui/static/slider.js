// A slider that also runs by itself: a button, the slider, and what it says of its place.

import {add, make} from "./dom.js";

export class Slider {
  #begun = 0;
  #timer = 0;

  // max, step, value: of the slider; whole: milliseconds of its whole way; words on the button;
  // moved(value) draws; began() as it begins to run; ended() when it has run to its end
  constructor({max = 1, step, value = 0, whole, words, label, moved, began, ended}) {
    Object.assign(this, {max, value, whole, words, moved, began, ended});
    this.button = make("button", "tt-button", words, {type: "button"});
    this.range = make("input", "", null, {type: "range", min: 0, max, step, value});
    if (label) this.range.setAttribute("aria-label", label);
    this.now = make("output", "tt-now");
    this.box = add(make("div", "tt-time"), this.range);
    this.button.addEventListener("click", () => (this.#timer ? this.stop() : this.start()));
    this.range.addEventListener("input", () => {
      this.stop();
      this.go(Number(this.range.value));
    });
  }

  go(value) {
    this.value = Math.max(0, Math.min(this.max, value));
    this.moved(this.value);
    if (Number(this.range.value) !== this.value) this.range.value = this.value;
  }

  // what is read aloud, and what stands beside it
  say(aloud, words = aloud) {
    this.range.setAttribute("aria-valuetext", aloud);
    this.now.textContent = words;
  }

  start() {
    if (this.value >= this.max) this.go(0);
    this.#begun = performance.now() - this.whole * this.value / this.max;
    this.button.textContent = "■ Halt";
    this.began?.();
    const tick = (now) => {
      this.#timer = requestAnimationFrame(tick);
      this.go(this.max * Math.max(0, now - this.#begun) / this.whole);
      if (this.value < this.max) return;
      this.stop();
      this.ended?.();
    };
    this.#timer = requestAnimationFrame(tick);
  }

  stop() {
    cancelAnimationFrame(this.#timer);
    this.#timer = 0;
    this.button.textContent = this.words;
  }
}
