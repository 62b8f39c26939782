// What a model doubts in a text, and what was put in its place: marks in the text, and what is said
// and can be done under it. The other end is tinydiff/ui/doubting.py.

import {add, make, put} from "./dom.js";

const STRONGER = [3, 30];  // times rarer than the limit, from which a line is thicker
const RARE = 1e6;  // more exact is no estimate
const LOOKED = {bets: "a look for each word", head: "one look"};
const ASKED = "Would the model write this word here, given all the others?";
const HINT = "Point at an underlined word, or come to it with Tab, to see how seldom.";
const TRUST = {
  bets: "Each word is hidden in turn, and the network bets on it. It finds nearly all slips in "
    + "stories, and underlines about one right word in thirty as well.",
  head: "A small head on the network judges all words at once (PRISM, arXiv:2510.01384). It is "
    + "quick, and misses most slips.",
};
const LIKELY = "Bits a character: how surprised the network is by all from there on; the fewer, "
  + "the likelier. Likely is not the same as right.";

// how often the model would write a word where it stands, in words
export function often(doubt) {
  const p = 1 - doubt;
  if (p >= 0.1) return `about ${Math.round(10 * p)} times in 10`;
  if (p >= 0.01) return `about ${Math.round(100 * p)} times in 100`;
  if (p * RARE < 1) return "less than once in a million times";
  const times = Number((1 / p).toPrecision(p < 1e-3 ? 1 : 2));
  return `about once in ${times.toLocaleString("en")} times`;
}

// from 1 to 3
function strength(doubt, limit) {
  const times = (1 - limit) / Math.max(1 - doubt, 1e-9);
  return 1 + STRONGER.filter((least) => times >= least).length;
}

// told: {text, way, ways, words ([start, stop, doubt]), limit, changes ({start, stop, new, bits}),
// now ([start, stop], what is open), busy, left, stopped, over}; do(deed) is told what is wanted
export function drawProof(sheet, box, told, act) {
  const at = box.contains(document.activeElement) ? document.activeElement.dataset.act : null;
  sheet.hidden = box.hidden = !told;
  sheet.textContent = box.textContent = "";
  if (!told) return;
  const line = make("p", "td-doubts-word", told.left ? HINT : "", {"aria-live": "polite"});
  marked(put(sheet, "div"), told, (words) => { line.textContent = words; });
  const head = put(box, "p", "td-doubts-head");
  add(head, make("b", "", told.over ? "What was mended" : "What it doubts"),
    ` ${told.over ? "" : ASKED}`);
  if (told.changes.length) became(put(box, "ol", "td-gaps-list td-changes"), told);
  else box.append(line);
  const deeds = put(box, "div", "td-doubts-deeds", null, {role: "group", "aria-label": "Doubt"});
  for (const [name, words] of offered(told)) {
    const button = put(deeds, "button", name === "mend" ? "td-mend" : "", words,
      {type: "button", "data-act": name});
    if (name in LOOKED) button.setAttribute("aria-pressed", String(name === told.way));
    button.addEventListener("click", () => act(name));
  }
  put(box, "p", "td-gaps-note", told.changes.length ? LIKELY : TRUST[told.way]);
  if (at) deeds.querySelector(`[data-act=${at}]`)?.focus({preventScroll: true});
}

// what can be done
function offered({busy, ways, left, changes: made, over}) {
  if (busy) return [];
  const found = [];
  if (left && !made.length) found.push(["mend", "Mend it"]);
  if (made.length) found.push(["undo", "Take back"]);
  if (!over && ways.length > 1) found.push(...ways.map((way) => [way, LOOKED[way]]));
  return [...found, ["close", made.length ? "Show the text alone" : "Put away"]];
}

// in a sentence, beside the text
export function summary({busy, words, limit, changes: made, over, stopped}) {
  if (busy) return busy;
  const better = made.filter((one) => one.bits[1] < one.bits[0]).length;
  if (over) {
    const found = better ? `${better} of ${made.length} places were written anew.`
      : "Nothing likelier was found: the text stays.";
    return stopped ? `Stopped: ${found}` : found;
  }
  if (stopped) return "Stopped before all words were looked at.";
  const count = words.filter(([, , doubt]) => doubt > limit).length;
  return count ? `It doubts ${count} of ${words.length} words.` : "It doubts no word of this text.";
}

// the text with its marks
function marked(node, {text, words, limit, changes: made, now}, say) {
  const opened = made.map((one) => [one.start, one.stop, one]);
  if (now) opened.push([...now, null]);
  const inside = ([start]) => opened.some(([from, to]) => start >= from && start < to);
  const kept = words.filter((word) => !inside(word)).map((word) => [...word.slice(0, 2), word]);
  let at = 0;
  for (const [start, stop, what] of [...kept, ...opened].sort((a, b) => a[0] - b[0])) {
    add(node, text.slice(at, start));
    const old = text.slice(start, stop);
    if (!what) put(node, "span", "td-open", old);
    else if (!Array.isArray(what)) add(node, ...replaced(old, what));
    else if (what[2] > limit) doubted(node, old, what[2], strength(what[2], limit), say);
    else put(node, "span", "", old, {title: `It would write it here ${often(what[2])}.`});
    at = stop;
  }
  add(node, text.slice(at));
  arrows(node);
}

function doubted(node, word, doubt, strong, say) {
  const words = `“${word}”: it would write it here ${often(doubt)}.`;
  const button = put(node, "button", `td-doubt td-doubt-${strong}`, word,
    {type: "button", title: words, "aria-label": `${word}, doubted`, "aria-description": words});
  for (const event of ["pointerenter", "focus", "click"]) {
    button.addEventListener(event, () => say(words));
  }
}

// what stood there struck through, and what stands there now
function replaced(old, one) {
  if (one.bits[0] === one.bits[1]) return [make("span", "td-stays", old, {title: "It stays."})];
  const gone = make("del", "", old);
  return one.new ? [gone, " ", make("ins", "", one.new)] : [gone];
}

// what was replaced by what, in the order of the text
function became(list, {text, changes: made}) {
  for (const {start, stop, new: words, bits} of [...made].reverse()) {
    const row = put(list, "li"), [before, after] = bits.map((value) => value.toFixed(2));
    put(row, "del", "", text.slice(start, stop));
    if (bits[0] === bits[1]) put(row, "span", "", "stays: nothing likelier was found");
    else {
      add(row, make("span", "", "→"), make("ins", "", words || "nothing"),
        make("span", "td-gap-bits", `${before} → ${after} bits`));
    }
  }
}

// One stop of the keyboard for all that is doubted, with arrows inside.
function arrows(node) {
  const all = [...node.querySelectorAll("button")];
  all.forEach((button, i) => { button.tabIndex = i ? -1 : 0; });
  node.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    const at = all.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    all[at].tabIndex = -1;
    const next = all[(at + step + all.length) % all.length];
    next.tabIndex = 0;
    next.focus();
  });
}
