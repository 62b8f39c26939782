// Train yours: the loss as it falls beside what counting letters reaches, the text that is kept
// back, what the model writes by then, and how good that is.

import {timed} from "../chart.js";
import {Panel, add, colour, fixed, make, percent, put, row, table} from "../dom.js";

const LEARNED = {
  "": "Nothing yet: give a text and press “Train”.",
  waiting: "Waiting for its turn: one visitor trains at a time, for five minutes at the most.",
  learning: "Learning …",
  stopped: "Stopped: what it has learned is yours.",
  done: "Learned: it is yours.",
  recorded: "Recorded: two nursery rhymes, learned in a minute.",
};
const ABOUT = "How unsure it is of a letter; lower is better (loss, bits a character). Line: on "
  + "what it learns from. Dots: at most, on the last tenth of the text, which it never sees; where "
  + "they turn up again, it learns by heart. Dashed: who only counts letters, on the same tenth.";
const BITS = 1 / Math.LN2;  // a nat
const BEFORE = [0, 0.2, 0.4, 0.6, 0.8, 1];  // which of the earlier samples are shown

export class Train extends Panel {
  #value = null;

  show(value) {
    this.#value = value;
    if (!this.find(".tl-plot")) this.frame();
    colour(this.root, value.family);
    this.words(value);
    this.plot();
    this.samples(value.samples);
  }

  frame() {
    this.root.textContent = "";
    const left = add(make("div", "tl-left"), make("div", "tl-plot"),
      make("p", "tt-status", "", {role: "status"}), make("p", "tl-said"),
      make("p", "tt-about", ABOUT));
    const right = add(make("section", "tt-book", null, {"aria-label": "What it writes"}),
      make("h2"), make("div", "tl-now"), make("div", "tl-rows"));
    add(put(this.root, "div", "tl-top"), left, right);
    add(put(this.root, "section", "tl-before", null, {"aria-label": "What it wrote before"}),
      make("h2", "", "Before, from the same noise"), make("div", "tl-list"));
    new ResizeObserver(() => this.plot()).observe(this.find(".tl-plot"));
  }

  words({state, step, seconds, said, rows}) {
    const done = step ? ` ${step.toLocaleString("en")} steps in ${clock(seconds)}.` : "";
    this.find(".tt-status").textContent = LEARNED[state] + done;
    this.find(".tl-said").textContent = said || "";
    const body = add(make("tbody"), ...(rows || []).map(([name, ...found]) => (
      row([name, ...found.map(percent)]))));
    const head = ["share of", "what it writes", "your last tenth"];
    this.find(".tl-rows").replaceChildren(
      ...(rows?.length ? [table("How good it is", "tt-table tl-table", head, [body])] : []));
  }

  plot() {
    const box = this.find(".tl-plot"), {minutes, seconds} = this.#value;
    if (!box.clientWidth) return;
    const bits = (pairs) => (pairs || []).map(([at, n]) => [at, n * BITS]);
    const [points, valid] = [bits(this.#value.points), bits(this.#value.valid)];
    const levels = [["knowing nothing", this.#value.nats * BITS], ...bits(this.#value.levels)];
    const all = [...levels, ...points, ...valid].map(([, n]) => n);
    const high = Math.ceil(2 * Math.max(...all)) / 2;
    const last = fixed(points.length ? points[points.length - 1][1] : levels[0][1], 2);
    box.replaceChildren(timed(box.clientWidth, {
      label: `Loss against time: ${last} bits a character after ${clock(seconds)}; `
        + levels.map(([name, n]) => `${name} ${fixed(n, 2)}`).join(", ") + ".",
      unit: "bits a character", end: 60 * minutes, at: clock,
      low: Math.min(Math.floor(Math.min(...all)), high - 1), high,
      line: points, dots: valid, last,
      levels: levels.map(([name, n]) => [`${name} ${fixed(n, 2)}`, n]),
    }));
  }

  samples(samples) {
    const now = samples[samples.length - 1], before = spaced(samples.slice(0, -1));
    this.find(".tt-book h2").textContent = now ? `It writes, ${about(now)}` : "What it writes";
    this.find(".tl-now").replaceChildren(
      ...(now ? now.texts : []).map((text) => make("p", "tl-text", text)));
    this.find(".tl-before").hidden = !before.length;
    this.find(".tl-list").replaceChildren(...before.map((sample) => (
      add(make("article"), make("h3", "", about(sample)), make("p", "tl-text", sample.texts[0])))));
  }
}

function clock(seconds) {
  if (seconds < 60) return `${fixed(seconds, seconds % 1 ? 1 : 0)} s`;
  const rest = Math.floor(seconds % 60);
  return `${Math.floor(seconds / 60)} min${rest ? ` ${rest} s` : ""}`;
}

const about = ({seconds, step}) => `after ${clock(seconds)}, step ${step.toLocaleString("en")}`;

// at most six of them, the first and last among them
function spaced(some) {
  const places = new Set(BEFORE.map((share) => Math.round(share * (some.length - 1))));
  return [...places].filter((i) => some[i]).map((i) => some[i]);
}
