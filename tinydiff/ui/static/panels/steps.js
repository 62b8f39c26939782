// A card for each number of looks; its curves are drawn under the sheet of seeds.

import {Panel, add, colour, fixed, make, meter, percent, pieces, put} from "../dom.js";
import {Curves} from "./curves.js";

export class Steps extends Panel {
  show({family, pictures, note, status, about, cards}) {
    this.root.textContent = "";
    colour(this.root, family);
    put(this.root, "p", "tt-about tt-legend", about);
    put(this.root, "p", "tt-status", status, {role: "status"});
    const names = new Set(cards.map((c) => c.sampler));
    for (const name of names) {
      put(this.root, "h2", names.size > 1 ? "tt-family" : "td-hidden", name);
      const says = {tabindex: 0, role: "group", "aria-label": `Texts of ${name}`};
      add(put(this.root, "div", "tt-cards", null, says),
        ...cards.filter((c) => c.sampler === name).map(card));
    }
    if (!cards.length) put(this.root, "p", "tt-about", "No texts yet: press “Write all”.");
    Curves.of({pictures, note});
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
  put(head, "h3", "", c.steps === null ? "a look a word" : count(c.steps, "look"));
  if (c.measure?.name) add(head, meter(c.measure));
  add(put(box, "p", "tt-still"), ...pieces(c.pieces));
  const foot = put(box, "footer", "tt-num");
  for (const fact of factsOf(c)) put(foot, "span", "", fact);
  box.style.setProperty("--share", c.measure?.share ?? 0);
  return box;
}

function factsOf({steps, calls, ms, divergence, texts, bits, words}) {
  const took = calls === steps ? time(ms) : `looked ${count(calls, "time")}, ${time(ms)}`;
  return divergence === undefined
    ? [took, `how odd ${fixed(bits, 2)}`, `real words ${percent(words)}`]
    : [took, `${divergence.toFixed(3)} nats a character off, over ${texts} texts`];
}
