// Runs as they come from the server. The other end of the wire is tinydiff/show/render.py.
//
// A value is the run so far: {run, total, head, chunks, done}
//   run    a number that no other run has; total: how many pictures are expected
//   head   {settings, family, noise, told (sentences by moment), guess (the text of one look, and
//          what its signs spell), looks (numbers of steps of the
//          slider), curves: {alpha, weight, loss}, query, pace, source (what stands beside the
//          text: {text, name, above})}, optional; nats, the largest
//          entropy; pairs, likeliest tokens a cell; scene, what kind of noise it is (render.scene)
//   chunks lists of pictures, each list a string of JSON; a picture has text, best, state, sure,
//          entropy, view as changes ([place, character, ...] or the whole string), step, t, calls,
//          at (seconds), and match with rules (log10 of the probability of a text that keeps them,
//          under what was predicted before this step; the head then says `rules`)
//   done   adds top (the likeliest tokens, a string a picture), stats ([name, value, reference]
//          triples), stopped, measure ({name, share, about}, the one large number) and strange
//          (the cells of words that are none)
//   gaps   of a gap of any length: what else could stand there (gaps.js)

import {spells} from "./glyphs.js";

export const MASK = "\x7f";
export const BEHIND = "e";  // the state of a cell behind the end of the text: it is not drawn
const FIRST = 33, LEVELS = 93;
const CHANNELS = ["text", "best", "state", "sure", "entropy", "view"];
const OLDER = {entropy: "spread", top: "bets", view: "sight"};  // keys in older versions' runs
const PLAIN = {masks: true, view: "", spots: []};

// from 0 to 1, as one character
export const share = (sign) => (sign.charCodeAt(0) - FIRST) / LEVELS;

const read = (stored, name) => stored[name] ?? stored[OLDER[name]];

export const HALF = 0.6;  // who is surer is near the text, where noise is no mask

// which fifth of the way from 0 to 1
export const fifth = (p) => Math.min(4, Math.floor(p * 5));

export function applied(before, change) {
  if (change === undefined) return before;
  if (typeof change === "string") return Array.from(change);
  const cells = before.slice();
  for (let i = 0; i < change.length; i += 2) cells[change[i]] = change[i + 1];
  return cells;
}

const NOTHING = {cells: new Set(), words: []};
const LETTER = /\p{L}/u;

// where words stand in a text with no letter before and behind them
function places(text, words) {
  const found = [];
  for (let i = text.indexOf(words); i >= 0; i = text.indexOf(words, i + 1)) {
    const around = [text[i - 1], text[i + words.length]];
    if (!around.some((sign) => sign && LETTER.test(sign))) found.push(i);
  }
  return found;
}

export class Run {
  frames = [];
  pieces = {};  // what signs spell that do not spell themselves: tokens of several characters
  #read = 0;    // chunks decoded
  #now = {};    // the channels of the last decoded picture

  constructor(value) {
    this.number = value.run;
    const {scene} = value.head;
    this.scene = scene ? {...scene, view: read(scene, "view")} : PLAIN;
    this.take(value);
  }

  take(value) {
    const {chunks, head, total, done, stats, stopped, measure, strange} = value;
    this.head = head;
    if (head.guess && !this.guess) this.#guessed(head.guess);
    Object.assign(this, {done, top: read(value, "top"), stats, stopped, measure});
    this.gaps = value.gaps;  // what else could stand in a gap
    this.strange = new Set(strange);
    for (; this.#read < chunks.length; this.#read++) {
      for (const packed of JSON.parse(chunks[this.#read])) this.#add(packed);
    }
    this.end = (done ? this.frames.length : total) - 1;
    this.asked = done ? this.#required() : NOTHING;
    if (done && !stopped && this.head.rules) this.frames[this.end].match = 0;  // it keeps them
  }

  // the words that the text had to have, as far as it has them, and their cells
  #required() {
    const {contains, ends_with: end} = this.head.settings ?? {};
    const {text, state} = this.frames[this.end], cells = new Set(), words = [], starts = [];
    let whole = "";
    text.forEach((sign, i) => {
      starts.push(whole.length);
      whole += state[i] === BEHIND ? "" : spells(sign, this.pieces);
    });
    const wanted = [...`${contains || ""}`.split(","), `${end || ""}`];
    for (const word of wanted.map((part) => part.trim())) {
      const found = word ? places(whole, word) : [];
      if (found.length) words.push(word);
      for (const from of found) {
        text.forEach((_, i) => {
          const [begin, stop] = [starts[i], starts[i + 1] ?? whole.length];
          if (begin < from + word.length && stop > from) cells.add(i);
        });
      }
    }
    return {cells, words};
  }

  // of a gap of any length the width that is being tried, while it is
  get filling() {
    return this.gaps?.left[0];
  }

  // all guesses of the first look, up to the first end; nothing stands behind that
  #guessed({text, pieces}) {
    Object.assign(this.pieces, pieces);
    const signs = Array.from(text), end = signs.indexOf(this.scene.end);
    this.guess = signs.map((sign, i) => (end >= 0 && i > end ? "" : sign));
  }

  #add(packed) {
    const frame = {step: packed.step, t: packed.t, calls: packed.calls, at: packed.at};
    Object.assign(this.pieces, packed.pieces);
    for (const name of CHANNELS) {
      frame[name] = this.#now[name] = applied(this.#now[name] || [], read(packed, name));
    }
    const before = this.frames[this.frames.length - 1] || frame;
    if (packed.match !== undefined) before.match = frame.match = packed.match;
    this.frames.push(summed(frame, before, this.head.nats));
  }

  // The likeliest tokens of a cell at picture k or, if it has none, at the last before it: {k,
  // signs}, signs and probabilities by turns. They are decoded on demand; a picture has a mask, or
  // such pairs, for each cell.
  topOf(cell, k) {
    for (; k > 0; k--) {
      const signs = Array.from(this.top?.[k] || "");
      for (let i = 0, place = 0; place < signs.length; i++) {
        const length = signs[place] === MASK ? 1 : 2 * this.head.pairs;
        if (i === cell && length > 1) return {k, signs: signs.slice(place, place + length)};
        place += length;
        if (i === cell) break;
      }
    }
    return null;
  }
}

// is it written by the run, and not given or behind the end?
export const isOpen = (frame, i) => frame.state[i] !== "g" && frame.state[i] !== BEHIND;

// what the charts show of a picture, and how often each of its cells changed so far
function summed(frame, before, nats) {
  let open = 0, masked = 0, entropy = 0, changing = 0;
  frame.count = before.count ? before.count.slice() : new Uint16Array(frame.text.length);
  for (let i = 0; i < frame.text.length; i++) {
    if (!isOpen(frame, i)) continue;
    const other = frame.text[i] !== before.text[i], mask = frame.text[i] === MASK;
    open++;
    masked += mask;
    changing += other;
    entropy += nats * share(frame.entropy[i]);
    frame.count[i] += other && !mask;
  }
  const all = Math.max(1, open);
  return Object.assign(frame,
    {open, masked: masked / all, changing: changing / all, meanEntropy: entropy / all});
}
