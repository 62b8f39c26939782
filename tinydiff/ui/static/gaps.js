// What could stand in a gap of any length: the likeliest text of each width, a button each.

import {add, make, put} from "./dom.js";

const TRIES = {1: "one", 2: "the likelier of two tries"};
const NOTE = "Bits a character: how surprised the network is by all from the gap on; the fewer, "
  + "the likelier. Likely is not the same as good: what is said twice is likely.";

// what is told of a gap that is being filled: {of, rows: [{width, inside, bits}], best, shown, left
// (widths that are still to be tried), unit, tries}; pick(deed) is told which is chosen
export function drawGaps(box, told, pick) {
  box.hidden = !told;
  const at = box.contains(document.activeElement)
    ? [...box.querySelectorAll("button")].indexOf(document.activeElement) : -1;
  box.textContent = "";
  if (!told) return;
  const {rows, left, unit} = told, head = put(box, "p", "td-gaps-head");
  const which = TRIES[told.tries] ?? `the likeliest of ${told.tries} tries`;
  add(head, make("b", "", "What could stand in the gap"), left.length
    ? ` Now gaps of ${left[0]} ${unit} are tried.`
    : ` Of each length ${which}. Click another to put it in.`);
  const list = put(box, "ol", "td-gaps-list");
  add(put(list, "li", "td-gaps-names", null, {"aria-hidden": "true"}), make("span", "", unit),
    make("span", "", ""), make("span", "", "bits a character"));
  rows.forEach((row, place) => {
    const button = put(put(list, "li"), "button", "td-gap", null, {
      type: "button", "aria-pressed": String(place === told.shown),
      "aria-label": spoken(row, unit, place === told.best),
    });
    add(button, make("span", "td-gap-width", row.width), make("span", "td-gap-words", row.inside),
      make("span", "td-gap-bits", row.bits.toFixed(2)));
    if (place === told.best) put(button, "span", "td-gap-best", "likeliest");
    button.disabled = left.length > 0;
    button.addEventListener("click", () => {
      if (place !== told.shown) pick({do: "pick", of: told.of, place});
    });
  });
  for (const width of left) {
    const row = put(put(list, "li"), "div", "td-gap td-gap-left");
    add(row, make("span", "td-gap-width", width), make("span", "td-gap-words", "…"));
  }
  put(box, "p", "td-gaps-note", NOTE);
  box.querySelectorAll("button")[at]?.focus({preventScroll: true});
}

function spoken({width, inside, bits}, unit, best) {
  const wide = `${width} ${width === 1 ? unit.slice(0, -1) : unit}`;
  const mark = best ? ", the likeliest" : "";
  return `${wide}: “${inside.trim()}”, ${bits.toFixed(2)} bits a character${mark}`;
}
