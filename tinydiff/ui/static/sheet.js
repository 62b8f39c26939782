// What every sheet uses: making elements (visitor text only as textContent), and the character grid.
const root = element.querySelector(".tt-sheet");
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const make = (tag, classes = "", text = null, attributes = {}) => {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  if (text !== null) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};
const add = (parent, ...nodes) => { parent.append(...nodes); return parent; };
const picture = (markup) => { const box = make("div", "tt-picture"); box.innerHTML = markup; return box; };
const MASK = "\x7f";
const sign = (c) => (c === MASK ? "·" : c === "\n" ? "⏎" : c === " " ? "\u00a0" : c);
const fixed = (x, digits) => (x === null || x === undefined || !isFinite(x) ? "–" : x.toFixed(digits));
const percent = (x) => (x === null || x === undefined ? "–" : `${Math.round(100 * x)} %`);
const whenReady = (draw) => { watch("value", draw); draw(); };
