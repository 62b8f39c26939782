// The forward process under a slider: everything was computed once for the sentence, so that moving t asks nobody.
// The slider goes by time, the same for all, or by what the state of a character still tells of it, each noise at its own time.
let v = null, t = 0.5, chosen = "linear", by = "time", cells = [], rows = [], lanes = [], sweep = 0;

const step = () => Math.round(t * (v.times - 1));
const levels = (row) => v.schedules[row.timed ? chosen : "linear"].level;
// by information: the first level at which no more than that is known
const level = (row) => (by === "time" ? levels(row)[step()] : Math.max(0, row.tells.findIndex((known) => known <= 1 - t + 5e-4)));
const at = (row) => row.states[level(row)];

function when(row) {
  const later = levels(row).findIndex((k) => k >= level(row));
  return (later < 0 ? v.times - 1 : later) / (v.times - 1);
}

function build() {
  root.textContent = "";
  cells = []; rows = []; lanes = [];
  add(root, clock(), ...v.rows.map(row), key(), known(), schedules());
  show();
}

function clock() {
  const bar = make("div", "tt-clock"), play = make("button", "tt-button", "▶ Dissolve", {type: "button"});
  const label = make("label", "tt-time"), name = make("span", "tt-by");
  const slide = make("input", "", null, {type: "range", min: 0, max: 1, step: 1 / (v.times - 1), value: t});
  slide.addEventListener("input", () => { stop(); t = Number(slide.value); show(); });
  play.addEventListener("click", () => (sweep ? stop() : start()));
  add(label, name, slide);
  const ways = make("fieldset", "tt-ways");
  add(ways, make("legend", "td-hidden", "What is the same for every noise"));
  for (const [way, words] of [["time", "same time"], ["known", "same information left"]]) {
    const choice = make("label", ""), pick = make("input", "", null, {type: "radio", name: "tt-by", value: way});
    pick.checked = way === by;
    pick.addEventListener("change", () => { by = way; show(); });
    add(ways, add(choice, pick, make("span", "", words)));
  }
  return add(bar, ways, play, make("span", "tt-end", "text"), label, make("span", "tt-end", "noise"), make("output", "tt-now"));
}

function start() {
  const begun = performance.now(), from = t >= 1 ? 0 : t;
  root.querySelector(".tt-button").textContent = "■ Halt";
  const tick = (now) => {
    t = Math.min(1, from + (now - begun) / 7000);
    show();
    if (t < 1) sweep = requestAnimationFrame(tick); else stop();
  };
  sweep = requestAnimationFrame(tick);
}

function stop() {
  cancelAnimationFrame(sweep); sweep = 0;
  const play = root.querySelector(".tt-button");
  if (play) play.textContent = "▶ Dissolve";
}

function row(data) {
  const box = make("section", "tt-row", null, {style: `--family:var(--td-${data.process},var(--td-ink))`});
  const head = add(make("div", "tt-row-head"), make("h2", "", data.title), make("span", "tt-about", data.about));
  if (data.also.length) add(head, make("span", "tt-about", `The same noise: ${data.also.join(", ")}.`));
  const grid = make("div", "tt-grid tt-two", null, {"aria-hidden": "true"});
  const mine = Array.from(v.text, () => {
    const cell = make("span", "tt-cell"), upper = make("b"), lower = make("i");
    grid.append(add(cell, upper, lower));
    return {cell, upper, lower};
  });
  const facts = make("p", "tt-facts");
  cells.push(mine); rows.push(facts);
  return add(box, head, grid, facts);
}

function key() {
  const box = make("p", "tt-key"), item = (sample, text, kind) => add(make("span", kind), make("b", "", sample), " " + text);
  return add(box, item("·", "hidden"), item("x", "the fainter, the less the character itself can be trusted"),
    item("u", "the observer's guess where it is another, right", "tt-key-hit"), item("e", "its guess, wrong", "tt-key-miss"),
    item("▂", "how sure it is: the bar's length"));
}

function known() {
  const box = make("section", "tt-known"), words = make("div", "");
  add(words, make("h2", "", "The same time is not the same noise"),
    make("p", "tt-about", "What the state of a character still tells of it, if any character is as likely as any other: its mutual information with "
      + "the character, as a share of all there is to know. Masks take a character or leave it; a random character might be the true one, so it "
      + "tells less than it shows. A point among many numbers is found again through much noise, a few bits only through less."));
  const drawn = make("div", "tt-knowns");
  for (const p of v.known) add(drawn, add(make("div", p.kind), picture(p.svg)));
  return add(box, drawn, words);
}

function schedules() {
  const box = make("section", "tt-schedules"), list = make("fieldset", "tt-pick");
  add(list, make("legend", "", "The same moment under every schedule; choose the one that drives the rows above"));
  add(list, add(make("div", "tt-lane tt-lane-head", null, {"aria-hidden": "true"}), make("span", "tt-lane-name", "schedule"),
    make("span", "tt-num", "alpha"), make("span", "tt-num", "weight"), make("span", "tt-lane-text", v.lane)));
  for (const name of Object.keys(v.schedules)) {
    const lane = make("label", "tt-lane"), pick = make("input", "", null, {type: "radio", name: "tt-schedule", value: name});
    pick.checked = name === chosen;
    pick.addEventListener("change", () => { chosen = name; show(); });
    const alpha = make("span", "tt-num"), weight = make("span", "tt-num"), text = make("span", "tt-lane-text");
    add(list, add(lane, pick, make("span", "tt-lane-name", name), alpha, weight, text));
    lanes.push({name, lane, alpha, weight, text});
  }
  return add(box, list, add(make("div", "tt-pictures"), ...v.pictures.map((p) => picture(p.svg))));
}

function show() {
  const k = step(), slide = root.querySelector("input[type=range]"), now = by === "time" ? `t = ${t.toFixed(2)}` : `${Math.round(100 * (1 - t))} % left`;
  if (Number(slide.value) !== t) slide.value = t;
  slide.setAttribute("aria-valuetext", now);
  root.querySelector(".tt-now").textContent = now;
  root.querySelector(".tt-by").textContent = by === "time" ? "time t" : "information left";
  v.rows.forEach((data, r) => paint(data, cells[r], rows[r]));
  const moment = by === "time" ? k : Math.round(when(v.rows[0]) * (v.times - 1));
  for (const lane of lanes) {
    const [shown] = v.rows[0].states[v.schedules[lane.name].level[moment]];
    lane.alpha.textContent = fixed(v.schedules[lane.name].alpha[moment], 2);
    const weight = v.schedules[lane.name].weight[moment];
    lane.weight.textContent = weight === null ? "∞" : weight >= 100 ? weight.toFixed(0) : weight.toFixed(2);
    lane.text.textContent = Array.from(shown, sign).join("");
    lane.lane.classList.toggle("tt-on", lane.name === chosen);
  }
  v.pictures.forEach((p, i) => mark(root.querySelectorAll(".tt-pictures .tt-picture")[i], p));
  const box = root.querySelector(".tt-known");
  box.classList.toggle("tt-by-known", by === "known");
  v.known.forEach((p) => {
    slid(box.querySelector(`.${p.kind} .marker`), `translateX(${v.schedules[chosen].level[k] / (v.times - 1) * p.span}px)`);
    slid(box.querySelector(`.${p.kind} .level`), `translateY(${t * p.rise}px)`);
  });
}

function slid(line, way) { if (line) line.style.transform = way; }

function paint(data, mine, facts) {
  const [shown, guess, sure, knows, near] = at(data);
  let left = 0, lost = 0, right = 0;
  mine.forEach(({cell, upper, lower}, i) => {
    const kept = shown[i] === v.text[i], hit = guess[i] === v.text[i], doubted = guess[i] !== shown[i];
    left += kept; lost += !kept; right += !kept && hit;
    const drawn = shown[i] + guess[i] + sure[i] + near[i];  // most cells are as they were a moment ago
    if (cell.drawn === drawn) return;
    cell.drawn = drawn;
    upper.textContent = sign(shown[i]);
    upper.style.setProperty("--near", shown[i] === MASK ? 1 : digit(near[i]));
    lower.textContent = !doubted ? "" : guess[i] === " " ? "␣" : sign(guess[i]);
    cell.className = `tt-cell ${doubted ? (hit ? "tt-hit" : "tt-miss") : "tt-left"}${shown[i] === MASK ? " tt-hidden" : ""}`;
    cell.style.setProperty("--sure", doubted ? digit(sure[i]) : 0);
  });
  facts.textContent = (by === "known" ? `at t = ${when(data).toFixed(2)} · ` : "")
    + `${left} of ${mine.length} characters as they were · each tells ${Math.round(100 * data.tells[level(data)])} % of itself · `
    + `${v.observer} knows ${knows.toFixed(2)} of ${v.ceiling.toFixed(2)} nats a character`
    + (lost ? ` · its best guess is right for ${right} of the ${lost} others` : "");
}

const digit = (c) => ("0123456789".indexOf(c) / 9).toFixed(2);

function mark(box, p) {
  const line = box.querySelector(".marker");
  slid(line, `translateX(${t * p.span}px)`);
  if (line) line.style.visibility = by === "time" ? "" : "hidden";  // each noise is then at its own time
  for (const curve of box.querySelectorAll("[class^=curve-],[class^=name-]"))
    curve.classList.toggle("tt-on", curve.classList[0].slice(curve.classList[0].indexOf("-") + 1) === chosen);
}

whenReady(() => { if (props.value && props.value !== v) { v = props.value; stop(); build(); } });
