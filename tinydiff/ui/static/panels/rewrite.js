// All candidates for one source, the chosen one marked; beside them the source and, where it is
// known, the printed line.

import {Panel, add, colour, fixed, make, percent, put} from "../dom.js";

export class Rewrite extends Panel {
  show({family, status, rows, about}) {
    this.root.textContent = "";
    colour(this.root, family);
    put(this.root, "p", "tt-status", status, {role: "status"});
    if (!rows.length) return;
    add(put(this.root, "ol", "tr-lines"), ...rows.map(line));
    put(this.root, "p", "tt-about tt-note", about);
  }
}

function line({name, mark, text, apart, errors}) {
  const item = make("li", mark ? "tr-line tr-chosen" : "tr-line");
  const names = put(item, "span", "tr-name");
  put(names, "span", "", name);
  if (mark) put(names, "strong", "", mark);
  put(item, "span", "tr-text", text || "(nothing)");
  const facts = put(item, "span", "tr-facts tt-num");
  if (apart !== null) put(facts, "span", "", `${fixed(apart, 1)} apart`);
  if (errors !== null) put(facts, "span", "", `${percent(errors)} errors`);
  return item;
}
