// All candidates for one source, the chosen one marked; beside them, where it is known, the target.
// Over them the words of a translation with those of the source on which each rests.

import {Panel, add, colour, fixed, make, percent, put, svg} from "../dom.js";

// how many times smaller the bet for a word must be without another, by shade
const TIMES = [1.5, 3, 10, 30];
const LINKED = 2;  // the shade from which two words are linked by a line
const NAMED = 3;   // words that are named in the sentence

export class Rewrite extends Panel {
  #resized = null;

  show({family, status, rows, about, aligned, prose}) {
    this.#resized?.disconnect();
    this.root.textContent = "";
    colour(this.root, family);
    put(this.root, "p", "tt-status", status, {role: "status"});
    if (!rows.length) return;
    if (aligned) {
      const words = new Words(this.root, aligned);
      this.#resized = new ResizeObserver(() => words.link());
      this.#resized.observe(words.box);
    }
    const lines = put(this.root, "ol", prose ? "tr-lines tr-prose" : "tr-lines");
    add(lines, ...rows.map(line));
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

// from 0 to 4
const shade = (fall) => TIMES.filter((times) => Math.exp(fall) >= times).length;
const quoted = (word) => `\u201c${word}\u201d`;

// Words of a target; one that is pointed at, or has the focus, shades those of the source.
class Words {
  #at = -1;

  constructor(root, {source, target, falls}) {
    this.falls = falls;
    this.box = put(root, "section", "tr-words", null, {"aria-label": "What each word rests on"});
    put(this.box, "h2", "", "What each word rests on");
    put(this.box, "p", "tt-about", "Choose a word of the candidate that was chosen: the stronger "
      + "a word of the source is shaded, the less the network would bet on it, were that hidden.");
    this.drawing = put(this.box, "div", "tr-linked");
    const from = put(this.drawing, "p", "tr-from");
    this.source = source.map((word) => wordIn(from, "span", word));
    this.links = this.drawing.appendChild(svg("svg", {"aria-hidden": "true"}));
    const to = put(this.drawing, "div", "tr-to", null,
      {role: "group", "aria-label": "The translation: choose a word"});
    this.target = target.map((word, j) => this.#button(to, word, j));
    this.said = put(this.box, "p", "tr-said", "", {role: "status"});
    const strongest = falls.map((row) => Math.max(...row));
    this.choose(strongest.indexOf(Math.max(...strongest)));
  }

  #button(to, word, j) {
    const button = wordIn(to, "button", word);
    button.type = "button";
    for (const event of ["pointerenter", "focus", "click"]) {
      button.addEventListener(event, () => this.choose(j));
    }
    button.addEventListener("keydown", (event) => this.#pressed(event, j));
    return button;
  }

  // one stop of the keyboard, with arrows inside
  #pressed(event, j) {
    const last = this.target.length - 1;
    const places = {ArrowRight: Math.min(last, j + 1), ArrowLeft: Math.max(0, j - 1), Home: 0,
      End: last};
    if (!(event.key in places)) return;
    event.preventDefault();
    this.target[places[event.key]].focus();
  }

  choose(j) {
    if (j === this.#at) return;
    this.#at = j;
    this.target.forEach((button, k) => {
      button.setAttribute("aria-pressed", String(k === j));
      button.tabIndex = k === j ? 0 : -1;
    });
    this.source.forEach((word, i) => { word.className = `tr-h${shade(this.falls[j][i])}`; });
    this.said.textContent = this.#sentence(j);
    this.link();
  }

  #sentence(j) {
    const word = quoted(this.target[j].textContent);
    const falls = this.falls[j].map((fall, i) => ({fall, word: this.source[i].textContent}));
    const most = falls.filter(({fall}) => shade(fall)).sort((a, b) => b.fall - a.fall);
    if (!most.length) return `${word} rests on no single word: what stands around it is enough.`;
    const parts = most.slice(0, NAMED).map(({fall, word: without}) => (
      `${times(fall)} without ${quoted(without)}`));
    return `The bet on ${word} is ${parts.join(", ")}.`;
  }

  // lines between words that stand in one row each; where they wrap, shades alone
  link() {
    this.links.textContent = "";
    const wraps = [this.source, this.target].some((words) => (
      words[0].offsetTop !== words[words.length - 1].offsetTop));
    const rows = [...this.falls.entries()].map(([j, row]) => [j, [...row.entries()].filter(
      ([, fall]) => shade(fall) >= LINKED)]);
    const apart = wraps || rows.every(([, linked]) => !linked.length);
    this.drawing.classList.toggle("tr-apart", apart);
    if (apart) return;
    const {left, width, height} = this.links.getBoundingClientRect();
    this.links.setAttribute("viewBox", `0 0 ${Math.max(1, width)} ${Math.max(1, height)}`);
    const middle = (node) => {
      const box = node.getBoundingClientRect();
      return box.left + box.width / 2 - left;
    };
    for (const [j, linked] of rows) {
      for (const [i, fall] of linked) {
        const [x, y] = [middle(this.source[i]), middle(this.target[j])], bend = height / 2;
        this.links.append(svg("path", {
          d: `M${x} 0C${x} ${bend} ${y} ${height - bend} ${y} ${height}`,
          class: `tr-link tr-w${shade(fall)}${j === this.#at ? " tr-on" : ""}`,
        }));
      }
    }
  }
}

// a word with a space behind it
function wordIn(parent, tag, word) {
  const node = put(parent, tag, "", word);
  parent.append(" ");
  return node;
}

// a fall in nats as how many times smaller a probability is
function times(fall) {
  const factor = Math.exp(fall);
  return factor >= 1000 ? "over 1,000 times smaller"
    : `${factor < 10 ? factor.toFixed(1) : Math.round(factor)} times smaller`;
}
