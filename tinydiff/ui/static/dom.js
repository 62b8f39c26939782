// Making elements. What visitors wrote enters the page as textContent alone.

const SVG = "http://www.w3.org/2000/svg";
const SPARE = 4;  // inks of style.css for families that it does not name: --td-spare-0 and so on

export const reduced = matchMedia("(prefers-reduced-motion: reduce)");

function dressed(node, text, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}

export function make(tag, classes = "", text = null, attributes = {}) {
  const node = dressed(document.createElement(tag), text, attributes);
  if (classes) node.className = classes;
  return node;
}

export function svg(tag, attributes = {}, text = null) {
  return dressed(document.createElementNS(SVG, tag), text, attributes);
}

export function add(parent, ...nodes) {
  parent.append(...nodes);
  return parent;
}

// make and add; what was made
export function put(parent, ...what) {
  return parent.appendChild(make(...what));
}

// most of what is drawn again is as it was
export function update(node, text, classes) {
  if (node.textContent !== text) node.textContent = text;
  if (node.className !== classes) node.className = classes;
}

// markup of ours: it comes from tinydiff/show/plots.py
export function picture(markup) {
  const box = make("div", "tt-picture");
  box.innerHTML = markup;
  return box;
}

// the colour of a family as render.colour_name has it, and --td-family for all that is in a node
export function ink(family) {
  if (!/^[\w-]+$/.test(family)) return "var(--td-ink)";
  const sum = Array.from(family).reduce((n, c) => n + c.codePointAt(0), 0);
  return `var(--td-${family}, var(--td-spare-${sum % SPARE}))`;
}

export function colour(node, family) {
  node.style.setProperty("--td-family", ink(family || ""));
  return node;
}

const CHANGED = "Changed since this was written: press Write.";

// Marks what a tab shows as not of the settings beside it.
export function mark(tab, on) {
  const line = document.querySelector(`#stale-${tab} .td-stale`);
  if (line) line.textContent = on ? "Changed since this was written." : "";
  const band = document.querySelector(`#${tab}-player .td-changed`);
  if (band) Object.assign(band, {hidden: !on, textContent: CHANGED});
}

// what a tab's panel draws on
export class Panel {
  constructor(root) {
    this.root = root;
  }

  find(selector) {
    return this.root.querySelector(selector);
  }
}

// a table that scrolls sideways where it is too wide; its first column names the rows
export function table(label, classes, head, bodies) {
  const box = make("div", "tt-scroll", null, {tabindex: 0, role: "group", "aria-label": label});
  const names = add(make("tr"), ...head.map((words) => make("th", "", words, {scope: "col"})));
  return add(box, add(make("table", classes), add(make("thead"), names), ...bodies));
}

export function row(words, attributes = {}) {
  const [name, ...cells] = words;
  return add(make("tr"), make("th", "", name, {scope: "row", ...attributes}),
    ...cells.map((text) => make("td", "tt-num", text)));
}

// What this tab of the browser remembers from page to page: null where it remembers nothing.
export function remembered(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {  // a visitor may have forbidden it
    return null;
  }
}

export function remember(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {}
}

// numbers; a dash where there is none
const known = (x) => x !== null && x !== undefined && Number.isFinite(x);
export const fixed = (x, digits) => (known(x) ? x.toFixed(digits) : "\u2013");
export const percent = (x) => (known(x) ? `${Math.round(100 * x)} %` : "\u2013");

// the one large measure of a text: {name, share, about}
export function meter({name, share, about}) {
  const box = make("span", "tt-measure", null, {title: about});
  return add(box, make("b", "", percent(share)), make("span", "", name));
}

// A text of [piece, is it in a dictionary?]: words that are none are pale; of what lies in `spans`,
// [first, end] characters each, words are underlined.
export function pieces(parts, spans = []) {
  const found = [];
  let at = 0;
  for (const [part, real] of parts) {
    const cuts = [0, part.length];
    for (const edge of spans.flat()) if (edge > at && edge < at + part.length) cuts.push(edge - at);
    cuts.sort((a, b) => a - b);
    for (let i = 1; i < cuts.length; i++) {
      const first = at + cuts[i - 1];
      const same = spans.some(([from, to]) => first >= from && first < to);
      const piece = part.slice(cuts[i - 1], cuts[i]);
      found.push(make(real ? "span" : "s", same ? "tt-same" : "", piece));
    }
    at += part.length;
  }
  return found;
}
