// The text of a picture, a cell a sign.

import {make, update} from "./dom.js";
import {CONTROLS, ENDED, drawn, isWide, spells} from "./glyphs.js";
import {BEHIND, HALF, MASK, fifth, isOpen, share} from "./wire.js";

const RETURN = CONTROLS["\n"];
const NEW = new Set(["n", "a"]);
// lines of room that pieces of words are held to: a text may be longer than its masks
const SPARE = [[500, 4], [Infinity, 2]];  // by the width of the sheet, px
const OFTEN = ["never", "once", "twice", "3 times", "more often"];

// A shade of the cells: its name and title on a button; of(frame, i), from 0 to 4 or null, for what
// is not given; legend(frame, open), [shade, words] pairs, after a heading.
export const changes = {
  name: "changes",
  heading: "changed",
  of: (frame, i) => (frame.text[i] === MASK ? null : Math.min(OFTEN.length - 1, frame.count[i])),
  legend(frame, open) {
    const often = open.map((i) => Math.min(OFTEN.length - 1, frame.count[i]));
    return OFTEN.map((words, k) => [k, `${words}: ${often.filter((n) => n === k).length}`]);
  },
};

export class Cells {
  picked = -1;
  marked = new Set();  // cells that the noise's view follows
  best = false;        // is the likeliest token shown
  shade = null;
  #spans = [];
  #room = 0;           // px, what it is held to
  #gaps = [];          // of pieces of words: the space before each, at which a line may end

  constructor(box) {
    this.box = box;
  }

  get count() {
    return this.#spans.length;
  }

  // Takes no less room than it has taken since `release`, so that what lies under it stays while
  // words come that are shorter than their masks.
  hold() {
    const {height, width} = this.box.getBoundingClientRect();
    if (height <= this.#room) return;
    this.#room = Math.max(height, this.#gaps.length ? this.#content() + this.#spare(width) : 0);
    this.box.style.minHeight = `${this.#room}px`;
  }

  // the height of the text itself
  #content() {
    const last = this.#spans[this.#spans.length - 1].getBoundingClientRect();
    const {top} = this.box.getBoundingClientRect();
    return last.bottom - top + parseFloat(getComputedStyle(this.box).paddingBottom);
  }

  #spare(width) {
    const lines = SPARE.find(([most]) => width <= most)[1];
    return lines * parseFloat(getComputedStyle(this.box).lineHeight);
  }

  release() {
    this.#room = 0;
    this.box.style.minHeight = "";
  }

  // guesses: signs that are shown wherever something is open
  // rest: nothing is marked as new
  draw(frame, {head, scene, pieces, strange, asked, frames, end}, guesses = null, rest = false) {
    this.#fit(frame.text.length, pieces);
    this.box.classList.toggle("wide", !!scene.wide);
    const best = guesses ?? frame.best;
    const ahead = frame.text.map((_, i) => (guesses
      ? frame.state[i] !== "g" && best[i] !== undefined
      : this.best && differs(frame, i, scene.masks) && frame.state[i] !== BEHIND));
    const signs = frame.text.map((sign, i) => ahead[i] ? best[i] : sign);
    const last = frames[end]?.text;
    // of a text that was changed by hand most is given: what was written last is what counts
    const byHand = head.query === "" && end > 0;
    const texts = drawn(signs, pieces);
    const settled = scene.masks || frame.t === 0;  // other noise holds an END now and then
    this.#spans.forEach((span, i) => {
      const sign = signs[i];
      const sure = () => `b${surety(frame, i, scene.masks)}`;
      const names = [ahead[i] ? guesses ? "q" : sure() : this.#state(frame, i)];
      if (rest && NEW.has(names[0])) names[0] = byHand ? "r" : "w";
      if (rest && byHand && names[0] === "g") names[0] = "w";
      if (strange?.has(i) && !ahead[i] && frame.text[i] === last?.[i]) names.push("f");
      if (asked?.cells.has(i) && !ahead[i] && sign === last?.[i]) names.push("asked");
      const parts = settled && sign === scene.between;  // one text of a stream from the next
      if (spells(sign, pieces).endsWith("\n")) names.push("nl");
      if (parts) names.push("parts");
      if (names[0] === "w" && !scene.masks && share(frame.sure[i]) < HALF) names.push("half");
      if (isWide(sign)) names.push("wide");
      if (this.marked.has(i)) names.push("walks");
      if (i === this.picked) names.push("picked");
      this.#write(i, parts || sign === scene.end ? ENDED : texts[i], names);
    });
  }

  rect(i) {
    return this.#spans[i].getBoundingClientRect();
  }

  // marks cells that differ from another text
  mark(different) {
    this.#spans.forEach((span, i) => span.classList.toggle("d", different.has(i)));
  }

  // A space that begins a piece stands between the cells, so that lines end between words.
  #write(i, text, names) {
    const gap = this.#gaps[i], apart = gap && (text.startsWith(" ") || names[0] === "m");
    if (gap) text = text.replaceAll(RETURN, "");  // the line ends there
    if (gap && gap.data !== (apart ? " " : "")) gap.data = apart ? " " : "";
    update(this.#spans[i], apart ? text.trimStart() : text, names.join(" "));
  }

  #fit(count, pieces) {
    const words = Object.keys(pieces).length > 0;
    this.box.classList.toggle("pieces", words);
    if (this.#spans.length === count && words === this.#gaps.length > 0) return;
    this.box.textContent = "";
    this.#spans = Array.from({length: count}, (_, i) => make("span", "", "", {"data-cell": i}));
    this.#gaps = words ? this.#spans.map(() => new Text("")) : [];
    this.#spans.forEach((span, i) => this.box.append(...this.#gaps.slice(i, i + 1), span));
  }

  #state(frame, i) {
    const shade = this.shade && isOpen(frame, i) ? this.shade.of(frame, i) : null;
    return shade === null ? frame.state[i] : `h${shade}`;
  }
}

// does something else stand there than the likeliest token
function differs(frame, i, masks) {
  if (frame.best[i] === MASK || frame.state[i] === "g") return false;
  return masks ? frame.text[i] === MASK : frame.best[i] !== frame.text[i];
}

function surety(frame, i, masks) {
  return fifth(masks ? share(frame.sure[i]) : 1 - share(frame.entropy[i]));
}
