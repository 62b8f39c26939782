// The page of recorded runs: a menu of families, a menu of runs, and the player. The address says
// what is shown, "#family/run", so that links, the keyboard and the browser's way back work by
// themselves.

import {make, put} from "./dom.js";
import {play} from "./player.js";

const SECONDS = 4;  // that a run takes, about
const LOST = "This run could not be fetched: the page must come from a web server that has all its "
  + "files.";

export function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark", dark);
  document.addEventListener("DOMContentLoaded", () => new Gallery());
}

class Gallery {
  #props = {value: null};
  #changed = () => {};
  #turn = 0;  // which press was the last

  constructor() {
    this.families = JSON.parse(find("#families").textContent);
    play(find("#player"), () => {}, this.#props, (_, act) => { this.#changed = act; });
    for (const {name} of this.families) link(find(".td-families"), name, name.replace("-", " "));
    find(".td-theme").addEventListener("click",
      () => document.documentElement.classList.toggle("dark"));
    addEventListener("hashchange", () => this.show());
    this.show();
  }

  get wanted() {
    const [name, key] = location.hash.slice(1).split("/");
    const family = this.families.find((f) => f.name === name) || this.families[0];
    return [family, family.runs.find((r) => r.key === key) || family.runs[0]];
  }

  async show() {
    const [family, run] = this.wanted, turn = ++this.#turn;
    if (find("h2").textContent !== family.title) describe(family);
    current(find(".td-families"), family.name);
    current(find(".td-runs"), `${family.name}/${run.key}`);
    find(".td-sampler").textContent = run.about;
    const value = await fetched(run.file);
    if (turn !== this.#turn) return;
    find(".td-trouble").textContent = LOST;
    find(".td-trouble").hidden = value !== null;
    find("#player").hidden = value === null;
    if (value === null) return;
    slowest(run.pictures);
    this.#props.value = {...value, run: turn};
    this.#changed();
  }
}

const find = (selector) => document.querySelector(selector);

function fetched(file) {
  return fetch(file).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
}

function link(nav, address, words) {
  put(nav, "a", "", words, {href: `#${address}`});
}

function current(nav, address) {
  for (const a of nav.children) {
    if (a.getAttribute("href") === `#${address}`) a.setAttribute("aria-current", "true");
    else a.removeAttribute("aria-current");
  }
}

function describe({name, title, about, model, paper, runs}) {
  find("h2").textContent = title;
  find(".td-about").textContent = about;
  const href = `https://arxiv.org/abs/${paper.replace("arXiv:", "")}`;
  find(".td-source").replaceChildren(`${model}. `,
    make("a", "", paper, {href, rel: "noopener", target: "_blank"}));
  find(".td-runs").textContent = "";
  for (const run of runs) link(find(".td-runs"), `${name}/${run.key}`, run.title);
}

// choose the slowest speed at which a run is over in time
function slowest(pictures) {
  const menu = find(".td-speed"), speeds = [...menu.options].map((option) => option.value);
  menu.value = speeds.find((speed) => pictures / speed <= SECONDS) || "60";
}
