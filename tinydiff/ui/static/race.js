// One clock for all lanes: real durations, slowed equally; places are given as lanes finish.
let v = null, lanes = [], now = 0, total = 1, playing = 0, begun = 0, stale = null;

function build() {
  root.textContent = "";
  total = Math.max(...v.lanes.map((lane) => lane.ms));
  const order = v.lanes.map((lane, i) => i).sort((a, b) => v.lanes[a].ms - v.lanes[b].ms);
  lanes = v.lanes.map((lane, i) => ({...decode(lane), place: order.indexOf(i) + 1}));
  add(root, clock(), make("p", "tt-status", "", {role: "status"}), add(make("div", "tt-race-lanes"), ...lanes.map(draw)));
  if (reduced.matches) seek(total); else { seek(0); play(); }
}

function decode(lane) {
  const frames = [{at: 0, cells: Array.from(lane.start), states: Array.from(lane.states)}];
  for (const [at, text, states] of lane.frames) {
    const last = frames[frames.length - 1];
    frames.push({at, cells: applied(last.cells, text), states: applied(last.states, states)});
  }
  return {lane, frames, shown: -1};
}

function applied(before, change) {
  if (typeof change === "string") return Array.from(change);
  const cells = before.slice();
  for (let i = 0; i < change.length; i += 2) cells[change[i]] = change[i + 1];
  return cells;
}

const STOPS = 500;  // of the slider: whole numbers, so that its end is the race's
const KINDS = {m: "tt-masked", x: "tt-masked", g: "tt-given", n: "tt-fresh", a: "tt-fresh"};  // by state (render.py)

function clock() {
  const bar = make("div", "tt-clock"), button = make("button", "tt-button tt-play", "▶ Again", {type: "button"});
  const slide = make("input", "", null, {type: "range", min: 0, max: STOPS, step: 1, value: 0, "aria-label": "time of the race"});
  button.addEventListener("click", () => { if (playing) halt(); else { if (now >= total) seek(0); play(); } });
  slide.addEventListener("input", () => { halt(); seek(total * slide.value / STOPS); });
  add(bar, button, add(make("div", "tt-time"), slide), make("output", "tt-now"));
  return add(bar, make("span", "tt-about", v.pace === 1 ? "shown as fast as it was" : `shown ${v.pace} times slower than it was`));
}

function draw(one) {
  const box = make("section", "tt-race-lane", null, {style: `--family:var(--td-${one.lane.family},var(--td-ink))`});
  const head = add(make("header", ""), make("h2", "", one.lane.name), one.badge = make("strong", "tt-place", ""));
  one.track = make("div", "tt-track", null, {"aria-hidden": "true"});
  const span = make("div", "tt-span");
  span.style.width = `${100 * one.lane.ms / total}%`;
  add(one.track, add(span, one.fill = make("div", "tt-fill")));
  const grid = make("div", "tt-grid tt-race-grid", null, {role: "img", "aria-label": `Text of ${one.lane.name}`});
  one.spans = one.frames[0].cells.map((_, i) => add(grid, make("span", "tt-cell")).lastChild);
  one.facts = make("dl", "tt-score");
  one.values = facts(one.lane).map(([name]) => add(one.facts, make("dt", "", name), make("dd", "", "")).lastChild);
  return add(box, head, one.track, add(make("div", "tt-race-body"), grid, one.facts));
}

function facts(lane) {
  return [["calls", String(lane.calls)], ["time", `${lane.ms.toFixed(0)} ms`], ["judge, bits/char", fixed(lane.bits, 2)],
    ["real words", percent(lane.words)]];
}

function seek(at) {
  now = Math.max(0, Math.min(total, at));
  for (const one of lanes) move(one);
  const slide = root.querySelector("input[type=range]");
  slide.value = STOPS * now / total;
  slide.setAttribute("aria-valuetext", `${Math.round(now)} milliseconds of ${Math.round(total)}`);
  root.querySelector(".tt-now").textContent = `${now.toFixed(0)} of ${total.toFixed(0)} ms`;
}

function move(one) {
  let k = one.frames.length - 1;
  while (k > 0 && one.frames[k].at > now) k--;
  const done = now >= one.lane.ms;
  one.fill.style.width = `${100 * Math.min(1, now / one.lane.ms)}%`;
  one.badge.textContent = done ? ["", "1st", "2nd", "3rd", "4th"][one.place] : "";
  facts(one.lane).forEach(([, value], i) => { one.values[i].textContent = done ? value : "·"; });
  if (!done) one.badge.textContent = `step ${k} of ${one.frames.length - 1}`;
  one.badge.classList.toggle("tt-running", !done);
  if (k !== one.shown) paint(one, k);
}

function paint(one, k) {
  const frame = one.frames[k], last = k === one.frames.length - 1;
  frame.cells.forEach((c, i) => {
    const span = one.spans[i], state = frame.states[i], kind = `tt-cell ${last && state !== "g" ? "" : KINDS[state] || ""}`;
    if (span.textContent !== sign(c)) span.textContent = sign(c);
    if (span.className !== kind) span.className = kind;
  });
  one.shown = k;
}

function play() {
  begun = performance.now() - now * v.pace;
  root.querySelector(".tt-play").textContent = "■ Halt";
  say("The race is on.");
  const tick = (at) => {
    seek((at - begun) / v.pace);
    if (now < total) playing = requestAnimationFrame(tick); else finish();
  };
  playing = requestAnimationFrame(tick);
}

function finish() {
  halt();
  const order = lanes.slice().sort((a, b) => a.place - b.place);
  say("Finished: " + order.map((one) => `${one.lane.name} in ${one.lane.ms.toFixed(0)} ms`).join("; ") + ".");
}

function halt() {
  cancelAnimationFrame(playing); playing = 0;
  const button = root.querySelector(".tt-play");
  if (button) button.textContent = now >= total ? "▶ Again" : "▶ Go on";
}

function say(text) { const line = root.querySelector(".tt-status"); if (line) line.textContent = text; }

whenReady(() => {
  if (!props.value || props.value === v) return;
  if (!props.value.done) {
    if (!root.firstChild) add(root, make("p", "tt-status", "", {role: "status"}));
    if (stale !== props.value.run) { stale = props.value.run; if (v) halt(); if (root.getBoundingClientRect().top < 0) root.scrollIntoView(); }
    say(props.value.status);
    return;
  }
  cancelAnimationFrame(playing); playing = 0;
  v = props.value; build();
});
