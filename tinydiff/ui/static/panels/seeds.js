// Nine texts of one setting: what several say alike is underlined, and how good each is.

import {Panel, add, colour, make, meter, percent, pieces, put} from "../dom.js";

export class Seeds extends Panel {
  show({family, looks, texts, summary, status}) {
    this.root.textContent = "";
    colour(this.root, family);
    const many = looks === null ? "" : `${looks} look${looks === 1 ? "" : "s"}. `;
    put(this.root, "p", "tt-status", texts.length ? many + status : status, {role: "status"});
    if (summary) add(put(this.root, "div", "tt-spread"), strip(texts), make("p", "", summary));
    const says = {tabindex: 0, role: "group", "aria-label": "Texts of nine seeds"};
    if (texts.length) add(put(this.root, "div", "tt-nine", null, says), ...texts.map(sheet));
  }
}

// where each text stands between 0 and 100 %
function strip(texts) {
  const box = make("div", "tt-strip", null, {"aria-hidden": "true"});
  put(box, "span", "", "0 %");
  const line = put(box, "div");
  for (const {measure} of texts) {
    if (measure.name) put(line, "i").style.left = percent(measure.share).replace(" ", "");
  }
  return add(box, make("span", "", "100 %"));
}

function sheet({seed, measure, pieces: parts, shared}) {
  const box = make("article", "tt-card"), head = put(box, "header");
  put(head, "h3", "", `seed ${seed}`);
  if (measure.name) add(head, meter(measure));
  add(put(box, "p", "tt-still"), ...pieces(parts, shared));
  box.style.setProperty("--share", measure.share ?? 0);
  return box;
}
