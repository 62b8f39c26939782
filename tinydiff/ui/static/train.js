// Train: the loss as it falls, the text that is kept back, and what the model writes by then.
let v = null;

function frame() {
  root.textContent = "";
  const left = add(make("div", "tl-left"), make("div", "tl-plot"), make("p", "tt-status", "", {role: "status"}), make("p", "tt-about"));
  const right = add(make("section", "tt-book", null, {"aria-label": "What it writes"}), make("h2"), make("div", "tl-now"));
  const before = add(make("section", "tl-before", null, {"aria-label": "What it wrote before"}), make("h2", "", "Before, from the same noise"), make("div", "tl-list"));
  add(root, add(make("div", "tl-top"), left, right), before);
  new ResizeObserver(plot).observe(root.querySelector(".tl-plot"));
}

const clock = (seconds) => (seconds < 60 ? `${fixed(seconds, seconds % 1 ? 1 : 0)} s` : `${Math.floor(seconds / 60)} min${Math.floor(seconds % 60) ? ` ${Math.floor(seconds % 60)} s` : ""}`);
const SAID = {
  "": "Nothing yet: give a text and press “Train”.",
  waiting: "Waiting for its turn: one visitor trains at a time, for five minutes at the most.",
  learning: "Learning …",
  stopped: "Stopped: what it has learned is yours.",
  done: "Learned: it is yours.",
  recorded: "Recorded: two nursery rhymes, learned in a minute.",
};

function words() {
  const steps = v.step ? ` ${v.step.toLocaleString("en")} steps in ${clock(v.seconds)}.` : "";
  root.querySelector(".tt-status").textContent = SAID[v.state] + steps;
  root.querySelector(".tt-about").textContent = "Line: the loss on what it learns from. Dots: the bound on the last tenth of the text, which it never sees; where they turn "
    + "up again, it learns by heart.";
}

const svg = (tag, attributes, text = "") => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  return node;
};

function plot() {
  const box = root.querySelector(".tl-plot"), width = box.clientWidth;
  if (!v || !width) return;
  const height = 260, left = 34, right = 8, top = 14, bottom = 34, end = 60 * v.minutes;
  const all = [v.nats, ...v.points.map((p) => p[1]), ...v.valid.map((p) => p[1])], high = Math.ceil(2 * Math.max(...all)) / 2;
  const low = Math.min(Math.floor(Math.min(...all)), high - 1);
  const x = (s) => left + (width - left - right) * s / Math.max(end, v.seconds), y = (n) => top + (height - top - bottom) * (high - n) / (high - low);
  const last = v.points.length ? v.points[v.points.length - 1][1] : v.nats;
  const art = svg("svg", {viewBox: `0 0 ${width} ${height}`, class: "tl-svg", role: "img",
    "aria-label": `Loss against time: ${fixed(last, 2)} nats a character after ${clock(v.seconds)}; it began at ${fixed(v.nats, 2)}.`});
  for (let n = Math.ceil(low); n <= high; n += high - low > 5 ? 2 : 1) add(art, svg("line", {x1: left, x2: width - right, y1: y(n), y2: y(n), class: "tl-rule"}), svg("text", {x: left - 8, y: y(n) + 4, class: "tl-right"}, n));
  for (let i = 0; i <= 4; i++) add(art, svg("text", {x: x(end * i / 4), y: height - 12, class: i ? (i === 4 ? "tl-right" : "tl-middle") : ""}, i ? clock(end * i / 4) : "0"));
  add(art, svg("line", {x1: left, x2: width - right, y1: y(v.nats), y2: y(v.nats), class: "tl-level"}), svg("text", {x: width - right, y: y(v.nats) - 5, class: "tl-right"}, `knowing nothing ${fixed(v.nats, 2)}`));
  add(art, svg("text", {x: left + 4, y: height - bottom - 6}, "nats a character"));
  add(art, svg("path", {d: v.points.map(([s, n], i) => `${i ? "L" : "M"}${x(s).toFixed(1)} ${y(n).toFixed(1)}`).join(""), class: "tl-line"}));
  for (const [s, n] of v.valid) add(art, svg("circle", {cx: x(s), cy: y(n), r: 4.5, class: "tl-dot"}));
  if (v.points.length) add(art, svg("text", {x: Math.min(x(v.seconds), width - right), y: y(Math.max(...v.points.slice(-20).map((p) => p[1]))) - 8, class: "tl-right tl-value"}, fixed(last, 2)));
  box.replaceChildren(art);
}

const about = (sample) => `after ${clock(sample.seconds)}, step ${sample.step.toLocaleString("en")}`;

function samples() {
  const now = v.samples[v.samples.length - 1], before = spaced(v.samples.slice(0, -1));
  root.querySelector(".tt-book h2").textContent = now ? `It writes, ${about(now)}` : "What it writes";
  root.querySelector(".tl-now").replaceChildren(...(now ? now.texts : []).map((text) => make("p", "tl-text", text)));
  root.querySelector(".tl-before").hidden = !before.length;
  root.querySelector(".tl-list").replaceChildren(...before.map((sample) => add(make("article"), make("h3", "", about(sample)), make("p", "tl-text", sample.texts[0]))));
}

// at most six of them, the first and last among them
const spaced = (some) => [...new Set([0, .2, .4, .6, .8, 1].map((share) => Math.round(share * (some.length - 1))))].filter((i) => some[i]).map((i) => some[i]);

function show() {
  if (!root.querySelector(".tl-plot")) frame();
  root.style.setProperty("--family", `var(--td-${v.family},var(--td-ink))`);
  words(); plot(); samples();
}

whenReady(() => { if (props.value && props.value !== v) { v = props.value; show(); } });
