// The forward process under a slider: everything was computed once for the sentence, so that moving
// t asks nobody. The slider goes by time, the same for all, or by what the state of a character
// still tells of it, each noise at its own time.

import {Panel, add, colour, fixed, make, picture, put} from "../dom.js";
import {alone, glyph} from "../glyphs.js";
import {Slider} from "../slider.js";
import {MASK} from "../wire.js";

const WHOLE = 7000;  // milliseconds in which a text dissolves
const WAYS = [["time", "same time"], ["known", "same information left"]];
const KEY = [
  ["·", "hidden"],
  ["x", "the fainter, the less the character itself can be trusted"],
  ["u", "the observer's guess where it is another, right", "tt-key-hit"],
  ["e", "its guess, wrong", "tt-key-miss"],
  ["▂", "how sure it is: the bar's length"],
];
const KNOWN = "What the state of a character still tells of it, if any character is as likely as "
  + "any other: its mutual information with the character, as a share of all there is to know. "
  + "Masks take a character or leave it; a random character might be the true one, so it "
  + "tells less than it shows. A point among many numbers is found again through much noise, "
  + "a few bits only through less.";

export class Noise extends Panel {
  #by = "time";
  #chosen = "linear";  // the schedule
  #t = 0.5;
  #slider = null;
  #rows = [];
  #lanes = [];

  show(value) {
    this.#slider?.stop();
    this.value = value;
    this.root.textContent = "";
    this.#rows = value.rows.map((data) => new Row(data, Array.from(value.text)));
    add(this.root, this.clock(), ...this.#rows.map((row) => row.box), key(), this.known(),
      this.schedules());
    this.move(this.#t);
  }

  // -------------------------------------------------------------- which level holds when

  // the schedule's level at each time; a process without time has none of its own
  levels({timed}) {
    return this.value.schedules[timed ? this.#chosen : "linear"].level;
  }

  get moment() {
    return Math.round(this.#t * (this.value.times - 1));
  }

  // by information: the first level at which no more than that is known
  level(data) {
    if (this.#by === "time") return this.levels(data)[this.moment];
    return Math.max(0, data.tells.findIndex((known) => known <= 1 - this.#t + 5e-4));
  }

  // the time, from 0 to 1, at which the level of a row holds
  when(data) {
    const level = this.level(data), later = this.levels(data).findIndex((k) => k >= level);
    return later < 0 ? 1 : later / (this.value.times - 1);
  }

  // -------------------------------------------------------------- what stands on the panel

  clock() {
    const slider = this.#slider = new Slider({
      step: 1 / (this.value.times - 1), value: this.#t, whole: WHOLE, words: "▶ Dissolve",
      moved: (t) => this.move(t),
    });
    const label = add(make("label", "tt-time"), make("span", "tt-by"), slider.range);
    const ways = make("fieldset", "tt-ways");
    put(ways, "legend", "td-hidden", "What is the same for every noise");
    for (const [way, words] of WAYS) {
      const pick = choice("tt-by", way, way === this.#by, () => {
        this.#by = way;
        this.move(this.#t);
      });
      add(put(ways, "label"), pick, make("span", "", words));
    }
    return add(make("div", "tt-clock"), ways, slider.button, make("span", "tt-end", "text"), label,
      make("span", "tt-end", "noise"), slider.now);
  }

  known() {
    const box = make("section", "tt-known"), drawn = put(box, "div", "tt-knowns");
    for (const {kind, svg} of this.value.known) add(put(drawn, "div", kind), picture(svg));
    add(put(box, "div"), make("h2", "", "The same time is not the same noise"),
      make("p", "tt-about", KNOWN));
    return box;
  }

  schedules() {
    const box = make("section", "tt-schedules"), list = put(box, "fieldset", "tt-pick");
    put(list, "legend", "",
      "The same moment under every schedule; choose the one that drives the rows above");
    add(put(list, "div", "tt-lane tt-lane-head", null, {"aria-hidden": "true"}),
      make("span", "tt-lane-name", "schedule"), make("span", "tt-num", "alpha"),
      make("span", "tt-num", "weight"), make("span", "tt-lane-text", this.value.lane));
    this.#lanes = Object.entries(this.value.schedules).map(
      ([name, schedule]) => this.lane(list, name, schedule));
    add(put(box, "div", "tt-pictures"), ...this.value.pictures.map(({svg}) => picture(svg)));
    return box;
  }

  lane(list, name, schedule) {
    const pick = choice("tt-schedule", name, name === this.#chosen, () => {
      this.#chosen = name;
      this.move(this.#t);
    });
    const lane = add(put(list, "label", "tt-lane"), pick, make("span", "tt-lane-name", name));
    const [alpha, weight, text] = ["tt-num", "tt-num", "tt-lane-text"].map(
      (classes) => put(lane, "span", classes));
    return {name, schedule, lane, alpha, weight, text};
  }

  // -------------------------------------------------------------- moving

  move(t) {
    this.#t = t;
    const time = this.#by === "time", left = `${Math.round(100 * (1 - t))} % left`;
    this.#slider.say(time ? `t = ${t.toFixed(2)}` : left);
    this.find(".tt-by").textContent = time ? "time t" : "information left";
    const {observer, ceiling} = this.value;
    for (const row of this.#rows) {
      row.draw(this.level(row.data), time ? null : this.when(row.data), observer, ceiling);
    }
    this.moveLanes(time ? this.moment : Math.round(
      this.when(this.#rows[0].data) * (this.value.times - 1)));
    this.movePictures(time);
  }

  moveLanes(moment) {
    for (const {name, schedule, lane, alpha, weight, text} of this.#lanes) {
      const [shown] = this.value.rows[0].states[schedule.level[moment]];
      alpha.textContent = fixed(schedule.alpha[moment], 2);
      weight.textContent = written(schedule.weight[moment]);
      text.textContent = Array.from(shown, (sign) => glyph(sign)).join("");
      lane.classList.toggle("tt-on", name === this.#chosen);
    }
  }

  movePictures(time) {
    const drawn = this.root.querySelectorAll(".tt-pictures .tt-picture");
    this.value.pictures.forEach(({span}, i) => {
      const marker = drawn[i].querySelector(".marker");
      slide(marker, `translateX(${this.#t * span}px)`);
      // else each noise is at its own time
      if (marker) marker.style.visibility = time ? "" : "hidden";
      for (const curve of drawn[i].querySelectorAll("[class^=curve-],[class^=name-]")) {
        const [, name] = curve.classList[0].match(/^\w+-(.*)/);
        curve.classList.toggle("tt-on", name === this.#chosen);
      }
    });
    const box = this.find(".tt-known"), {level} = this.value.schedules[this.#chosen];
    box.classList.toggle("tt-by-known", !time);
    for (const {kind, span, rise} of this.value.known) {
      const share = level[this.moment] / (this.value.times - 1);
      slide(box.querySelector(`.${kind} .marker`), `translateX(${share * span}px)`);
      slide(box.querySelector(`.${kind} .level`), `translateY(${this.#t * rise}px)`);
    }
  }
}

// One kind of noise: what is shown of the sentence, and below each lost character a guess.
class Row {
  constructor(data, text) {
    // of a network with tokens of its own the row has its own text, in their signs
    if (data.text) text = Array.from(data.text);
    Object.assign(this, {data, text, pieces: data.pieces});
    this.box = colour(make("section", "tt-row"), data.process);
    const head = put(this.box, "div", "tt-row-head"), also = data.also.join(", ");
    put(head, "h2", "", data.title);
    put(head, "span", "tt-about", data.about);
    if (also) put(head, "span", "tt-about", `The same noise: ${also}.`);
    const kind = `tt-grid tt-two${this.pieces ? " tt-wordy" : ""}`;
    const grid = put(this.box, "div", kind, null, {"aria-hidden": "true"});
    this.cells = text.map(() => {
      const cell = put(grid, "span", "tt-cell");
      return {cell, upper: put(cell, "b"), lower: put(cell, "i"), drawn: ""};
    });
    this.facts = put(this.box, "p", "tt-facts");
  }

  draw(level, when, observer, ceiling) {
    const [shown, guess, sure, knows, near] = this.data.states[level];
    let left = 0, right = 0;
    this.text.forEach((true_, i) => {
      left += shown[i] === true_;
      right += shown[i] !== true_ && guess[i] === true_;
      this.drawCell(this.cells[i], true_, [shown[i], guess[i], sure[i], near[i]]);
    });
    const lost = this.text.length - left, tells = Math.round(100 * this.data.tells[level]);
    this.facts.textContent = [
      ...(when === null ? [] : [`at t = ${when.toFixed(2)}`]),
      `${left} of ${this.text.length} ${this.data.unit ?? "characters"} as they were`,
      `each tells ${tells} % of itself`,
      `${observer} knows ${knows.toFixed(2)} of ${(this.data.ceiling ?? ceiling).toFixed(2)} nats `
        + (this.data.text ? "of each" : "a character"),
      ...(lost ? [`its best guess is right for ${right} of the ${lost} others`] : []),
    ].join(" · ");
  }

  drawCell(one, true_, [shown, guess, sure, near]) {
    const drawn = shown + guess + sure + near;  // most cells are as they were a moment ago
    if (one.drawn === drawn) return;
    one.drawn = drawn;
    const doubted = guess !== shown, kind = !doubted ? "left" : guess === true_ ? "hit" : "miss";
    one.upper.textContent = glyph(shown, this.pieces);
    one.upper.style.setProperty("--near", shown === MASK ? 1 : tenth(near));
    one.lower.textContent = doubted ? alone(guess, this.pieces) : "";
    one.cell.className = `tt-cell tt-${kind}${shown === MASK ? " tt-hidden" : ""}`;
    one.cell.style.setProperty("--sure", doubted ? tenth(sure) : 0);
  }
}

const tenth = (digit) => (Number(digit) / 9).toFixed(2);

function written(weight) {
  return weight === null ? "∞" : weight.toFixed(weight >= 100 ? 0 : 2);
}

function slide(line, way) {
  if (line) line.style.transform = way;
}

function choice(name, value, checked, chosen) {
  const pick = make("input", "", null, {type: "radio", name, value});
  pick.checked = checked;
  pick.addEventListener("change", chosen);
  return pick;
}

function key() {
  return add(make("p", "tt-key"), ...KEY.map(([sample, words, kind = ""]) => (
    add(make("span", kind), make("b", "", sample), ` ${words}`))));
}
