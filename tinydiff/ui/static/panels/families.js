// Families: the table, its pictures, and the samplers' own errors as a table in shades.

import {Panel, add, colour, make, picture, put, row, table} from "../dom.js";

export class Families extends Panel {
  show({rows, head, pictures, errors, counts, note}) {
    this.root.textContent = "";
    add(this.root, rows.length ? families(head, rows) : make("p", "tt-about",
      "No checkpoint was evaluated yet: `python -m tinydiff families` fills this page."));
    add(put(this.root, "div", "tt-pictures"), ...pictures.map(picture));
    if (!errors.length) return;
    add(this.root, make("h2", "tt-title", "Each sampler's own error"), make("p", "tt-about", note),
      owned(counts, errors));
  }
}

// a number stays with its unit
const unbroken = (words) => words.replace(/([≤±]) | (%|M)/g, "$1\u00a0$2");

function families(head, rows) {
  const lines = rows.map(({process, title, cells}) => (
    colour(row(cells.map(unbroken), {title}), process)));
  return table("Families", "tt-table tt-axis", head, [add(make("tbody"), ...lines)]);
}

// A row a sampler, under the name of its noise; the figures that there are stand at the right.
function owned(counts, noises) {
  const bodies = noises.map(({process, title, rows}) => {
    const name = make("th", "tt-noise", title, {scope: "rowgroup", colspan: counts.length + 1});
    const lines = rows.map(({sampler, cells}) => {
      const empty = Array.from({length: counts.length - cells.length}, () => make("td"));
      return add(make("tr"), make("th", "tt-sampler", sampler, {scope: "row"}), ...empty,
        ...cells.map(figure));
    });
    return colour(add(make("tbody"), add(make("tr"), name), ...lines), process);
  });
  const head = ["steps", ...counts.map(String)];
  return table("Each sampler's own error", "tt-table tt-errors", head, bodies);
}

function figure({text, dark, calls}) {
  const cell = make("td", "tt-num", text);
  cell.style.setProperty("--dark", `${Math.round(38 * dark)}%`);
  if (calls !== null) put(cell, "small", "", `${calls} calls`);
  return cell;
}
