// One clock for all lanes: real durations, slowed equally; places are given as lanes finish.

import {Panel, add, colour, fixed, make, percent, put, reduced, update} from "../dom.js";
import {ENDED, drawn, isWide, spells} from "../glyphs.js";
import {Slider} from "../slider.js";
import {BEHIND, applied} from "../wire.js";

const STOPS = 500;  // of the slider: whole numbers, so that its end is the race's
const PLACES = ["", "1st", "2nd", "3rd", "4th", "5th"];
// by state (render.py)
const KINDS = {m: "tt-masked", x: "tt-noise", g: "tt-given", n: "tt-fresh", a: "tt-fresh",
  e: "e"};
const AGAIN = "▶ Again", ON = "▶ Go on";

export class Race extends Panel {
  #lanes = [];
  #slider = null;
  #waited = null;  // the run that is being written while an earlier one is shown

  show(value) {
    if (value.done) this.build(value); else this.wait(value);
  }

  wait({run, status}) {
    if (!this.root.firstChild) put(this.root, "p", "tt-status", "", {role: "status"});
    if (this.#waited !== run) {
      this.#waited = run;
      this.#slider?.stop();
      for (const lane of this.#lanes) lane.clear();
      if (this.root.getBoundingClientRect().top < 0) this.root.scrollIntoView();
    }
    this.say(status);
  }

  build({lanes, pace, about: verdict}) {
    this.#slider?.stop();
    this.root.textContent = "";
    const times = lanes.map((lane) => lane.ms), total = Math.max(...times);
    const order = lanes.map((_, i) => i).sort((a, b) => times[a] - times[b]);
    this.#lanes = lanes.map((lane, i) => new Lane(lane, total, order.indexOf(i) + 1));
    const slider = this.#slider = new Slider({
      max: STOPS, step: 1, whole: total * pace, words: ON, label: "time of the race",
      moved: (stop) => this.seek(total * stop / STOPS, total),
      began: () => this.say("The race is on."),
      ended: () => this.finish(),
    });
    slider.button.classList.add("tt-play");
    const about = pace === 1 ? "shown as fast as it was" : `shown ${pace} times slower than it was`;
    add(put(this.root, "div", "tt-clock"), slider.button, slider.box, slider.now,
      make("span", "tt-about", about));
    put(this.root, "p", "tt-status", "", {role: "status"});
    add(put(this.root, "div", "tt-race-lanes"), ...this.#lanes.map((lane) => lane.box));
    if (verdict) put(this.root, "p", "tt-about tt-note", verdict);
    slider.go(reduced.matches ? STOPS : 0);
    if (!reduced.matches) slider.start();
  }

  seek(now, total) {
    for (const lane of this.#lanes) lane.move(now);
    this.#slider.words = now >= total ? AGAIN : ON;
    this.#slider.say(`${Math.round(now)} milliseconds of ${Math.round(total)}`,
      `${now.toFixed(0)} of ${total.toFixed(0)} ms`);
  }

  finish() {
    const times = this.#lanes.slice().sort((a, b) => a.place - b.place).map((lane) => lane.finish);
    this.say(`Finished: ${times.join("; ")}.`);
  }

  say(words) {
    this.find(".tt-status").textContent = words;
  }
}

class Lane {
  #shown = -1;
  #room = {width: 0, height: 0};  // what the text has taken, at this width

  constructor(lane, total, place) {
    const finish = `${lane.name} in ${lane.ms.toFixed(0)} ms`;
    Object.assign(this, {ms: lane.ms, place, finish});
    Object.assign(this, {pieces: lane.pieces, between: lane.between});
    this.masks = lane.states.includes("m");
    this.frames = decoded(lane);
    this.box = colour(make("section", "tt-race-lane"), lane.family);
    const head = put(this.box, "header");
    const names = put(head, "div");
    put(names, "h2", "", lane.name);
    if (lane.term) put(names, "p", "tt-about", lane.term);
    this.badge = put(head, "strong", "tt-place");
    const track = put(this.box, "div", "tt-track", null, {"aria-hidden": "true"});
    const span = put(track, "div", "tt-span");
    span.style.width = `${100 * lane.ms / total}%`;
    this.fill = put(span, "div", "tt-fill");
    const body = put(this.box, "div", "tt-race-body"), says = `Text of ${lane.name}`;
    const kind = lane.pieces ? "tt-words" : lane.wide ? "tt-wide" : "";
    const grid = this.grid = put(body, "div", `tt-grid tt-race-grid ${kind}`, null,
      {role: "img", "aria-label": says});
    this.cells = this.frames[0].cells.map(() => put(grid, "span", "tt-cell"));
    const list = put(body, "dl", "tt-score");
    this.facts = facts(lane).map(([name, value]) => {
      const fact = put(list, "div");
      put(fact, "dt", "", name);
      return {value, node: put(fact, "dd")};
    });
  }

  // Nobody has a place while another race is written.
  clear() {
    this.badge.textContent = "";
    this.fill.style.width = "0";
    for (const {node} of this.facts) node.textContent = "·";
  }

  move(now) {
    const done = now >= this.ms, last = this.frames.length - 1;
    let k = last;
    while (k > 0 && this.frames[k].at > now) k--;
    this.fill.style.width = `${100 * Math.min(1, now / this.ms)}%`;
    this.badge.textContent = done ? PLACES[this.place] : `look ${k} of ${last}`;
    this.badge.classList.toggle("tt-running", !done);
    for (const {value, node} of this.facts) node.textContent = done ? value : "·";
    if (k !== this.#shown) this.paint(k);
  }

  paint(k) {
    const {cells, states} = this.frames[k], last = k === this.frames.length - 1;
    const texts = drawn(cells, this.pieces);
    cells.forEach((sign, i) => {
      const plain = last && states[i] !== "g" && states[i] !== BEHIND;
      const names = ["tt-cell", plain ? "" : KINDS[states[i]] || ""];
      if (isWide(sign)) names.push("tt-wide");
      if (spells(sign, this.pieces).endsWith("\n")) names.push("nl");
      const parts = (last || this.masks) && sign === this.between;
      if (parts) names.push("parts");
      update(this.cells[i], parts ? ENDED : texts[i], names.join(" "));
    });
    this.#shown = k;
    if (this.pieces) this.hold();
  }

  // What lies under a text of words stays where it is while words come that are shorter.
  hold() {
    const {width, height} = this.grid.getBoundingClientRect(), room = this.#room;
    if (width === room.width && height <= room.height) return;
    this.grid.style.minHeight = "";
    this.#room = {width, height: this.grid.getBoundingClientRect().height};
    this.grid.style.minHeight = `${this.#room.height}px`;
  }
}

function decoded(lane) {
  const frames = [{at: 0, cells: Array.from(lane.start), states: Array.from(lane.states)}];
  for (const [at, text, states] of lane.frames) {
    const last = frames[frames.length - 1];
    frames.push({at, cells: applied(last.cells, text), states: applied(last.states, states)});
  }
  return frames;
}

function facts({calls, ms, bits, measure}) {
  const large = measure?.name ? [[measure.name, percent(measure.share)]] : [];
  return [...large, ["looked", `${calls} times`], ["time", `${ms.toFixed(0)} ms`],
    ["how odd", fixed(bits, 2)]];
}
