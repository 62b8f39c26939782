// The slider under the text: between several numbers of looks it swaps the finished text at once.

import {make, percent, put} from "./dom.js";

export class Looks {
  runs = new Map();  // by number of looks
  wanted = 0;        // one that was dragged to and is not there yet

  // swap(run, moved) shows a run at its end; told(count) is called when the slider is let go
  constructor(box, swap, told) {
    Object.assign(this, {box, swap});
    this.range = box.querySelector("input");
    this.range.addEventListener("input", () => this.drag(this.counts[this.range.value]));
    this.range.addEventListener("change", () => told(this.counts[this.range.value]));
  }

  // another run: the numbers of looks that there are to be, and how many it has
  begin(run, counts, count) {
    Object.assign(this, {counts, wanted: 0});
    this.runs = new Map([[count, run]]);
    this.box.hidden = counts.length < 2;
    this.range.max = counts.length - 1;
    this.box.querySelector("ol").replaceChildren(...counts.map((n, i) => {
      const item = make("li", "", n);
      item.style.setProperty("--i", i / Math.max(1, counts.length - 1));
      return item;
    }));
    this.mark(count);
  }

  add(count, run) {
    this.runs.set(count, run);
    this.mark(this.at);
    if (this.wanted === count) this.drag(count);
  }

  drag(count) {
    const run = this.runs.get(count);
    this.wanted = run ? 0 : count;
    if (run) this.swap(run);
    this.mark(count);
  }

  // where the slider stands, what of it is there, and the measure of the text
  mark(count) {
    this.at = count;
    const i = this.counts.indexOf(count), last = Math.max(1, this.counts.length - 1);
    this.range.value = i;
    this.range.style.setProperty("--done", `${100 * i / last}%`);
    this.box.querySelectorAll("li").forEach((item, k) => {
      item.classList.toggle("on", k === i);
      item.classList.toggle("there", this.runs.has(this.counts[k]));
    });
    const all = this.counts.every((n) => this.runs.has(n));
    this.box.querySelector(".td-scale").title = all ? "" : "The pale ones are still being written";
    const run = this.runs.get(count), measure = run?.measure;
    const share = measure ? percent(measure.share) : run?.done ? "–" : "…";
    const words = this.wanted ? "being written" : measure?.name ?? "";
    this.range.setAttribute("aria-valuetext",
      `${count} look${count === 1 ? "" : "s"}, ${words} ${share}`);
    const real = this.wanted ? null : measure?.real, head = this.box.querySelector("dt");
    head.textContent = words;
    if (real) put(head, "span", "td-term", `real text ${percent(real)}`);
    const meter = this.box.querySelector(".td-meter");
    meter.classList.toggle("td-real", !!real);
    meter.style.setProperty("--real", `${100 * (real ?? 0)}%`);
    this.box.querySelector("dl").title = measure?.about ?? "";
    this.box.querySelector(".td-percent").textContent = share;
    this.box.querySelector(".td-meter i").style.width = `${100 * (measure?.share ?? 0)}%`;
  }
}
