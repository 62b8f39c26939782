// Quality against calls, and a card for each number of steps.

import {Panel, add, colour, fixed, make, percent, picture, put} from "../dom.js";

export class Steps extends Panel {
  show({family, pictures, note, status, cards}) {
    this.root.textContent = "";
    colour(this.root, family);
    const classes = pictures.length > 1 ? "tt-pictures" : "tt-pictures tt-single";
    add(put(this.root, "div", classes), ...pictures.map(picture));
    put(this.root, "p", "tt-about tt-note", note);
    put(this.root, "p", "tt-status", status, {role: "status"});
    for (const name of new Set(cards.map((c) => c.sampler))) {
      put(this.root, "h2", "tt-family", name);
      const says = {tabindex: 0, role: "group", "aria-label": `Texts of ${name}`};
      add(put(this.root, "div", "tt-cards", null, says),
        ...cards.filter((c) => c.sampler === name).map(card));
    }
    if (!cards.length) put(this.root, "p", "tt-about", "No texts yet: press “Run the steps”.");
  }
}

const count = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

function time(ms) {
  const [amount, unit, digits] = ms >= 10000 ? [ms / 1000, "s", 0]
    : ms >= 1000 ? [ms / 1000, "s", 1] : [ms, "ms", 0];
  return `${amount.toFixed(digits)} ${unit}`;
}

function card(c) {
  const box = make("article", "tt-card"), head = put(box, "header");
  put(head, "h3", "", c.steps === null ? "a call a token" : count(c.steps, "step"));
  put(head, "span", "tt-num", `${count(c.calls, "call")} · ${time(c.ms)}`);
  const words = c.pieces.map(([part, real]) => make(real ? "span" : "s", "", part));
  add(put(box, "p", "tt-still"), ...words);
  return add(box, quality(c));
}

function quality({divergence, texts, bits, words}) {
  const foot = make("footer", "tt-num");
  if (divergence !== undefined) {
    put(foot, "span", "", `${divergence.toFixed(3)} nats a character off, over ${texts} texts`);
    return foot;
  }
  put(foot, "span", "", `judge ${fixed(bits, 2)} bits/char`);
  put(foot, "span", "", `real words ${percent(words)}`);
  foot.style.setProperty("--share", words === null ? 0 : words);
  return foot;
}
