// The player: draws a run that the server streams, at its own clock. The other end of the wire is tinydiff/render.py.
//
// This is a function body with the arguments (element, trigger, props, watch). `element` holds ui/static/player.html;
// props.value is the run so far:
//   {run, total, head, chunks, done}   run: a number that no other run has; total: pictures expected
//   head   {settings, family, curves: {alpha, weight}, query, pace}, optional; nats, the
//          largest entropy; pairs, bets a cell; scene, what kind of noise it is (render.scene)
//   chunks lists of pictures, each list a string of JSON; a picture has text, best, state, sure, spread, view as deltas ([place, character, ...]
//          or the whole string), step, t, calls and at (seconds)
//   done   adds bets (a string a picture), stats ([name, value, reference] triples) and stopped
// With head.pace, pictures appear at their own seconds times pace; else at the chosen number a second.
// props.linked writes head.query into the address; props.group lets the document's event "td-all" drive several players.
// Text from outside enters the page through textContent only.

const MASK = "\x7f", DOT = "\u00b7", FIRST = 33, LEVELS = 93;
const CHANNELS = ["text", "best", "state", "sure", "spread", "view"];
const HALF = 0.6;      // surer characters are written in full ink, where noise is no mask
const TRAIL = 14;      // steps that a walker's trail is long
const OFTEN = ["never", "once", "twice", "3 times", "more often"];
const find = (selector) => element.querySelector(selector);
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const player = find(".td-player"), box = find(".td-cells"), seek = find(".td-seek");

let run = null;        // the value being shown
const gone = new Set(); // the runs that others have taken the place of: what comes of them still is not shown
let frames = [];       // decoded pictures
let read = 0;          // chunks decoded
let now = {};          // the channels of the last decoded picture
let spans = [];        // one a cell
let pieces = {};       // what signs spell that do not spell themselves: tokens of several characters
let scene = null;      // of head
let at = -1, playing = false, view = "text", picked = -1, timer = 0, last = 0, base = 0;

// ---------------------------------------------------------------- decoding

const share = (sign) => (sign.charCodeAt(0) - FIRST) / LEVELS;

function applied(before, change) {
  if (change === undefined) return before;
  if (typeof change === "string") return Array.from(change);
  const cells = before.slice();
  for (let i = 0; i < change.length; i += 2) cells[change[i]] = change[i + 1];
  return cells;
}

function decode(value) {
  for (; read < value.chunks.length; read++) {
    for (const packed of JSON.parse(value.chunks[read])) {
      const frame = {step: packed.step, t: packed.t, calls: packed.calls, at: packed.at};
      Object.assign(pieces, packed.pieces);
      for (const name of CHANNELS) frame[name] = now[name] = applied(now[name] || [], packed[name]);
      frames.push(summed(frame, frames[frames.length - 1] || frame, value.head.nats));
    }
  }
}

function summed(frame, before, nats) {
  let open = 0, masked = 0, spread = 0, changing = 0;
  frame.count = before.count ? before.count.slice() : new Uint16Array(frame.text.length);  // how often each cell changed so far
  for (let i = 0; i < frame.text.length; i++) {
    if (frame.state[i] === "g") continue;
    const other = frame.text[i] !== before.text[i];
    open++; masked += frame.text[i] === MASK; spread += nats * share(frame.spread[i]);
    changing += other; frame.count[i] += other && frame.text[i] !== MASK;
  }
  const all = Math.max(1, open);
  return Object.assign(frame, {open, masked: masked / all, changing: changing / all, entropy: spread / all});
}

// ---------------------------------------------------------------- the text

const spells = (sign) => pieces[sign] ?? sign;

// what is drawn for a sign: what it spells, one placeholder for the bytes of a character that is not whole
function glyph(sign) {
  if (sign === MASK) return DOT;
  return spells(sign).replace(/[\uee00-\ueeff]+/g, "\u25af").replace(/\n/g, "\u21b5").replace(/\t/g, "\u21e5");
}

function set(span, text, name) {
  if (span.textContent !== text) span.textContent = text;
  if (span.className !== name) span.className = name;
}

function cellsFor(count) {
  box.classList.toggle("pieces", Object.keys(pieces).length > 0);
  if (spans.length === count) return;
  box.textContent = "";
  spans = Array.from({length: count}, (_, i) => {
    const span = box.appendChild(document.createElement("span"));
    span.dataset.cell = i;
    return span;
  });
}

function drawCell(frame, i) {
  const bet = view === "best" && better(frame, i), character = bet ? frame.best[i] : frame.text[i];
  const names = [bet ? "b" + fifth(scene.masks ? share(frame.sure[i]) : 1 - share(frame.spread[i])) : shade(frame, i) || frame.state[i]];
  if (spells(character).endsWith("\n")) names.push("nl");
  if (names[0] === "w" && !scene.masks && share(frame.sure[i]) < HALF) names.push("half");
  if (walkers.has(i)) names.push("walks");
  if (i === picked) names.push("picked");
  set(spans[i], glyph(character), names.join(" "));
}

const fifth = (p) => Math.min(4, Math.floor(p * 5));

// does the network bet on something that does not stand there yet
function better(frame, i) {
  if (frame.best[i] === MASK || frame.state[i] === "g") return false;
  return scene.masks ? frame.text[i] === MASK : frame.best[i] !== frame.text[i];
}

// the class of a cell in the views "changes" and "pull"
function shade(frame, i) {
  if (frame.state[i] === "g") return "";
  if (view === "changes") return frame.text[i] === MASK ? "" : "h" + Math.min(OFTEN.length - 1, frame.count[i]);
  return view === "pull" && frame.view[i] ? "h" + fifth(share(frame.view[i])) : "";
}

function drawShades(frame) {
  const list = find(".td-shades");
  list.hidden = view !== "changes" && view !== "pull";
  find(".td-kinds").hidden = !list.hidden;
  list.textContent = "";
  if (list.hidden) return;
  const open = frame.text.map((_, i) => i).filter((i) => frame.state[i] !== "g");
  const item = (name, words) => { const row = make("li", "", list); make("span", "td-cell " + name, row, "a"); row.append(" " + words); };
  if (view === "changes") {
    make("li", "", list, "changed");
    OFTEN.forEach((words, k) => item("h" + k, `${words}: ${open.filter((i) => Math.min(OFTEN.length - 1, frame.count[i]) === k).length}`));
  } else {
    item("h0", "fits"); item("h2", "torn");
    item("h4", `another fits better: ${open.filter((i) => share(frame.view[i]) > 0.5).length} of ${open.length}`);
  }
}

function paint(k) {
  if (!frames.length) return;
  at = Math.max(0, Math.min(k, frames.length - 1));
  const frame = frames[at], end = run.total - 1;
  cellsFor(frame.text.length);
  for (let i = 0; i < spans.length; i++) drawCell(frame, i);
  seek.max = end; seek.value = at;
  seek.style.setProperty("--done", (end ? 100 * at / end : 0) + "%");
  seek.setAttribute("aria-valuetext", `step ${at} of ${end}`);
  find(".td-where").textContent = `step ${at} of ${end}`;
  drawMarkers(frame); drawShades(frame); drawSight();
  if (picked >= 0) drawBets();
}

// ---------------------------------------------------------------- the clock

function setPlaying(on) {
  playing = on && frames.length > 0;
  player.classList.toggle("playing", playing);
  const button = find(".td-play");
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
  cancelAnimationFrame(timer);
  if (playing) { last = 0; timer = requestAnimationFrame(tick); }
}

const pace = () => 1000 * (run.head.pace || 0);

function due(time) {
  if (pace()) {
    if (!last) base = time - frames[Math.max(0, at)].at * pace();
    last = time;
    let k = at;
    while (k + 1 < frames.length && frames[k + 1].at * pace() <= time - base) k++;
    return k;
  }
  const gap = 1000 / Number(find(".td-speed").value);
  if (!last) last = time - gap;
  const passed = Math.floor((time - last + 2) / gap);
  if (passed > 0) last = Math.max(last + passed * gap, time - gap);
  return at + passed;
}

function tick(time) {
  const k = Math.min(due(time), frames.length - 1);
  if (k > at) paint(k);
  if (at >= frames.length - 1 && run.done) { setPlaying(false); announce(); return; }
  timer = requestAnimationFrame(tick);
}

function announce() {
  const text = frames[frames.length - 1].text.map((c) => c === MASK ? DOT : spells(c)).join("");
  say(`${run.stopped ? "Stopped" : "Finished"} after ${frames.length - 1} steps: ${text.slice(0, 400)}`);
}

function say(words) { const line = find(".td-status"); if (line.textContent !== words) line.textContent = words; }

function go(k) { setPlaying(false); paint(k); }

function toggle() {
  if (!playing && at >= frames.length - 1 && run && run.done) paint(0);
  setPlaying(!playing);
}

// ---------------------------------------------------------------- the plots

const SVG = "http://www.w3.org/2000/svg", WIDE = 200, HIGH = 48;
let panels = [];

function svg(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return parent.appendChild(node);
}

function make(tag, name, parent, words = "") {
  const node = document.createElement(tag);
  node.className = name; node.textContent = words;
  return parent.appendChild(node);
}

function panel(title, unit, ends, values, where) {
  const figure = make("figure", "td-plot", find(".td-plots")), head = make("figcaption", "", figure);
  make("span", "td-plot-title", head, title);
  const value = make("span", "td-plot-now", head);
  const picture = svg("svg", {viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true"}, figure);
  const area = svg("path", {class: "td-area"}, picture), line = svg("path", {class: "td-line"}, picture);
  const marker = svg("line", {class: "td-marker", y1: 0, y2: HIGH}, picture);
  const axis = make("div", "td-axis", figure);
  const labels = ends.map((words) => make("span", "", axis, words));
  return {unit, value, area, line, marker, values, where, labels};
}

function drawLine(chart, points, top) {
  if (!points.length) return;
  const path = points.map(([x, y]) => `${(x * WIDE).toFixed(1)} ${(HIGH - 1 - Math.min(1, y / top) * (HIGH - 3)).toFixed(1)}`).join("L");
  chart.line.setAttribute("d", "M" + path);
  chart.area.setAttribute("d", `M${(points[0][0] * WIDE).toFixed(1)} ${HIGH}L${path}L${(points[points.length - 1][0] * WIDE).toFixed(1)} ${HIGH}Z`);
}

function makePlots() {
  find(".td-plots").textContent = "";
  const curves = run.head.curves || {}, byTime = (f) => 1 - f.t, byStep = (f) => f.index / Math.max(1, run.total - 1);
  panels = [];
  for (const [key, title] of [["alpha", "alpha(t), text left"], ["weight", "loss weight"]]) {
    if (!curves[key]) continue;
    const values = curves[key], top = key === "alpha" ? 1 : Math.min(12, Math.max(...values)), n = values.length - 1;
    const chart = panel(title, "", ["t = 1, noise", "t = 0, text"], (f) => values[Math.round(f.t * n)], byTime);
    drawLine(chart, values.map((y, i) => [1 - i / n, y]).reverse(), top);
    panels.push(chart);
  }
  panels.push(scene.masks
    ? Object.assign(panel("masked", " %", ["step 0", ""], (f) => 100 * f.masked, byStep), {grows: true, top: 100})
    : Object.assign(panel("changing", " %", ["step 0", ""], (f) => 100 * f.changing, byStep), {grows: true, top: 0}));
  panels.push(Object.assign(panel("entropy of bets", " nats", ["step 0", ""], (f) => f.entropy, byStep), {grows: true, top: run.head.nats}));
}

function growPlots() {
  for (const chart of panels.filter((p) => p.grows)) {
    const points = frames.map((f, index) => [index / Math.max(1, run.total - 1), chart.values({...f, index})]);
    drawLine(chart, points, chart.top || Math.max(1, ...points.map(([, y]) => y)));
    chart.labels[1].textContent = `step ${run.total - 1}`;
  }
}

function drawMarkers(frame) {
  for (const chart of panels) {
    const x = Math.max(0.5, Math.min(WIDE - 0.5, WIDE * chart.where({...frame, index: at})));
    const y = chart.values({...frame, index: at});
    chart.marker.setAttribute("x1", x); chart.marker.setAttribute("x2", x);
    const digits = y >= 10 || chart.top === 100 ? 0 : chart.unit === " %" ? 1 : 2;
    chart.value.textContent = (y > 999 ? "> 999" : y.toFixed(digits)) + chart.unit;
  }
}

// ---------------------------------------------------------------- what is particular to a noise

let walkers = new Map();  // cell -> its place in the view, where some walk
let stage = {};           // what drawSight moves

const sights = {
  walk: {make: makeWalk, draw: drawWalk,
    words: "The codes of all characters, seen along two of their directions, and a few characters of the text (marked above) on their way to them"},
  planes: {make: makePlanes, draw: drawPlanes,
    words: "The bits of the first characters, one column each, the largest at the top: paper is \u22121, ink is 1, grey is undecided"},
};

function makeSight() {
  const figure = find(".td-sight"), sight = sights[scene.sight];
  figure.textContent = ""; stage = {};
  figure.hidden = !sight || !scene.spots.length;
  walkers = new Map(scene.sight === "walk" ? scene.spots.map((cell, k) => [cell, k]) : []);
  find("[data-view=pull]").hidden = scene.sight !== "ratios";
  for (const name of ["m", "u"]) find(`.td-kinds .${name}`).parentNode.hidden = !scene.masks;
  find(".td-kinds .x").parentNode.hidden = scene.masks;
  find("[data-view=best]").title = (scene.masks ? "In the place of each mask, what the network would bet on" : "What the network would bet on under the noise")
    + "; the paler, the less sure";
  if (figure.hidden) return;
  make("figcaption", "", figure, sight.words);
  sight.make(make("div", "td-stage td-" + scene.sight, figure));
}

function drawSight() {
  if (sights[scene.sight] && frames[at].view.length) sights[scene.sight].draw();
}

const spelled = (sign) => (spells(sign) === " " ? "\u2423" : glyph(sign));

// a map of codes: as wide as they lie, with a rim in which noise finds room
function makeWalk(box) {
  const [wide, high] = [560, 300], signs = Array.from(scene.signs), ends = [0, 1].map((axis) => {
    const along = signs.map((_, v) => share(scene.map[2 * v + axis]));
    const low = Math.min(...along), high = Math.max(...along), rim = 0.12 * (high - low);
    return [low - rim, high + rim];
  });
  stage.point = (view, k) => [0, 1].map((axis) => {
    const [low, high] = ends[axis], p = Math.min(1, Math.max(0, (share(view[2 * k + axis]) - low) / (high - low)));
    return axis ? (1 - p) * (300 - 24) + 12 : p * (560 - 24) + 12;
  });
  const picture = svg("svg", {viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true"}, box);
  signs.forEach((sign, v) => {
    const [x, y] = stage.point(scene.map, v);
    svg("text", {x, y, class: "td-code"}, picture).textContent = spelled(sign);
  });
  stage.walkers = scene.spots.map(() => ({trail: svg("path", {class: "td-trail"}, picture)}));
  for (const walker of stage.walkers) {
    walker.dot = svg("g", {class: "td-walker"}, picture);
    svg("circle", {r: 10}, walker.dot);
    walker.sign = svg("text", {}, walker.dot);
  }
  const list = make("ol", "td-walkers", box);
  scene.spots.forEach((cell, k) => {
    const row = make("li", "", list);
    make("span", "", row, `character ${cell + 1}`);
    stage.walkers[k].reads = make("b", "", row);
    stage.walkers[k].sure = make("span", "td-bet-share", row);
  });
}

function drawWalk() {
  const frame = frames[at];
  stage.walkers.forEach((walker, k) => {
    const cell = scene.spots[k], sign = spelled(frame.text[cell]), [x, y] = stage.point(frame.view, k);
    const path = frames.slice(Math.max(0, at - TRAIL), at + 1).map((f) => stage.point(f.view, k).map((z) => z.toFixed(1)).join(" "));
    walker.trail.setAttribute("d", "M" + path.join("L"));
    walker.dot.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    walker.dot.classList.toggle("near", share(frame.sure[cell]) >= HALF);
    walker.sign.textContent = walker.reads.textContent = sign;
    walker.sure.textContent = Math.round(100 * share(frame.sure[cell])) + " %";
  });
}

// a strip of bit planes: a square a bit, its ink the bit's value
function makePlanes(box) {
  const count = Math.min(scene.spots.length, box.clientWidth && box.clientWidth < 600 ? 32 : 64), depth = frames[0].view.length / scene.spots.length;
  const picture = svg("svg", {viewBox: `0 0 ${count} ${depth}`, preserveAspectRatio: "none", "aria-hidden": "true"}, box);
  stage.bits = Array.from({length: count * depth}, (_, i) => svg("rect", {x: Math.floor(i / depth), y: i % depth, width: 1, height: 1}, picture));
  const line = make("div", "td-planes-text", box);
  line.style.setProperty("--columns", count);
  stage.letters = Array.from({length: count}, () => make("span", "", line));
}

function drawPlanes() {
  const frame = frames[at];
  stage.bits.forEach((bit, i) => bit.setAttribute("fill-opacity", share(frame.view[i]).toFixed(2)));
  stage.letters.forEach((letter, k) => set(letter, spelled(frame.text[scene.spots[k]]), frame.state[scene.spots[k]] === "x" ? "x" : ""));
}

// ---------------------------------------------------------------- what the network bet

function betAt(cell, k) {
  // the bets of a picture are read only when somebody asks: a mask, or five characters with their shares, for each cell
  for (; k > 0; k--) {
    const signs = Array.from((run.bets && run.bets[k]) || "");
    for (let i = 0, place = 0; place < signs.length; i++) {
      const length = signs[place] === MASK ? 1 : 2 * run.head.pairs;
      if (i === cell && length > 1) return {k, signs: signs.slice(place, place + length)};
      place += length;
      if (i === cell) break;
    }
  }
  return null;
}

function drawBets() {
  const panel = find(".td-bets"), frame = frames[at];
  panel.textContent = ""; panel.hidden = picked < 0;
  if (picked < 0) return;
  const found = betAt(picked, at), head = make("p", "td-bets-head", panel);
  const name = `${box.classList.contains("pieces") ? "Token" : "Character"} ${picked + 1}, step ${at}`;
  if (frame.state[picked] === "g") { head.textContent = `${name}: given, so nobody bet.`; return; }
  if (!run.done) { head.textContent = `${name}: its bets can be seen when the run is finished.`; return; }
  if (!found) { head.textContent = `${name}: the network was not asked yet.`; return; }
  head.textContent = found.k === at ? `${name}: the network's bet` : `${name}: its last bet here was at step ${found.k}`;
  const list = make("ol", "td-bets-list", panel);
  for (let i = 0; i < found.signs.length; i += 2) {
    const p = share(found.signs[i + 1]), row = make("li", frame.text[picked] === found.signs[i] ? "taken" : "", list);
    make("span", "td-bet-sign", row, spelled(found.signs[i]));
    make("span", "td-bet-bar", row).style.setProperty("--share", 100 * p + "%");
    make("span", "td-bet-share", row, p < 0.01 ? "< 1 %" : Math.round(100 * p) + " %");
  }
}

function pick(cell) {
  picked = cell >= 0 && cell < spans.length ? cell : -1;
  if (at >= 0) paint(at);
  if (picked < 0) find(".td-bets").hidden = true;
}

// ---------------------------------------------------------------- what the cells show

function look(name) {
  view = name;
  box.classList.toggle("lines", view === "lines");
  for (const button of element.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === view));
}

// how often a cell changed is worth a view where one did more than once
function offerViews() {
  const again = !scene.masks || frames.some((f) => f.state.includes("a"));
  find("[data-view=changes]").hidden = !again;
  if (find(`[data-view=${view}]`).hidden) look("text");
}

// ---------------------------------------------------------------- arriving runs

function drawStats() {
  const list = find(".td-stats");
  list.textContent = "";
  for (const [name, value, reference] of run.stats || []) {
    const row = make("div", "", list);
    make("dt", "", row, name);
    make("dd", "", row, value);
    if (reference) make("dd", "td-reference", row, reference);
  }
}

function begin(value) {
  frames = []; read = 0; now = {}; pieces = {}; at = -1; picked = -1;
  setPlaying(false);
  find(".td-bets").hidden = true;
  scene = value.head.scene || {masks: true, sight: "", spots: []};
  player.dataset.family = (value.head.family || "masked");
  find(".td-speed-label").hidden = !!value.head.pace;
  if (props.linked && value.head.query) history.replaceState(null, "", "?" + value.head.query);
}

function arrived() {
  const value = props.value;
  if (!value || !value.chunks || gone.has(value.run)) return;
  const fresh = !run || value.run !== run.run;
  if (run && fresh) gone.add(run.run);
  if (fresh) begin(value);
  run = {...value, head: value.head, total: value.total};
  decode(value);
  if (run.done) run.total = frames.length;
  player.classList.toggle("running", !run.done);
  find(".td-stop").hidden = run.done;
  if (fresh) { makePlots(); makeSight(); }
  growPlots(); drawStats(); offerViews();
  if (fresh) {
    say(run.done ? "A run is ready to be played." : `Writing ${frames[0].text.length} characters in ${run.total - 1} steps.`);
    paint(0);
    if (!reduced.matches) setPlaying(true);
  } else if (at >= 0) paint(at);
  if (reduced.matches && run.done) { paint(frames.length - 1); announce(); }
}

// ---------------------------------------------------------------- hands

const clicks = {
  "td-play": toggle, "td-first": () => go(0), "td-prev": () => go(at - 1),
  "td-next": () => go(at + 1), "td-last": () => go(frames.length - 1),
  "td-stop": () => { say("Stopping."); trigger("stop"); },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button"), cell = event.target.closest("[data-cell]");
  if (button && button.dataset.view) {
    look(button.dataset.view);
    paint(at);
  } else if (button) {
    for (const [name, act] of Object.entries(clicks)) if (button.classList.contains(name)) act();
  } else if (cell) pick(Number(cell.dataset.cell) === picked ? -1 : Number(cell.dataset.cell));
});

element.addEventListener("input", (event) => { if (event.target === seek) go(Number(seek.value)); });

const keys = {ArrowRight: () => go(at + 1), ArrowLeft: () => go(at - 1), Home: () => go(0), End: () => go(frames.length - 1)};

element.addEventListener("keydown", (event) => {
  if (event.target.matches("select") || event.ctrlKey || event.metaKey || event.altKey || !run) return;
  const onSheet = event.target.matches(".td-sheet"), onButton = event.target.closest("button");
  let act = null;
  if (event.key === " " && !onButton) act = toggle;
  else if (onSheet && event.key === "Enter") act = () => pick(picked < 0 ? 0 : -1);
  else if (onSheet && event.key === "Escape") act = () => pick(-1);
  else if (onSheet && event.shiftKey && event.key.startsWith("Arrow")) {
    const by = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: 64, ArrowUp: -64}[event.key];
    act = () => pick(Math.max(0, Math.min(spans.length - 1, picked + by)));
  } else if (event.target !== seek && !event.shiftKey) act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});

document.addEventListener("td-all", (event) => {
  if (!element.isConnected || !run || !props.group || event.detail.group !== props.group) return;
  ({play: () => setPlaying(true), pause: () => setPlaying(false), restart: () => { paint(0); setPlaying(true); }})[event.detail.act]?.();
});

watch("value", arrived);
arrived();
