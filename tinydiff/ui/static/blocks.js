// Blocks: the text as it grows, with the block that is being written; what it took; the pictures.
let v = null, still = null, follow = true;

function frame() {
  root.textContent = "";
  const page = make("div", "tb-page", null, {tabindex: 0, role: "region", "aria-label": "The text"});
  add(page, add(make("p", "tb-text"), make("span", "tb-given"), make("span", "tb-done"), make("span", "tb-block")));
  page.addEventListener("scroll", () => { follow = page.scrollHeight - page.scrollTop - page.clientHeight < 40; });
  const track = add(make("div", "tb-track"), make("div", "tb-fill"), make("div", "tb-window"));
  add(root, add(make("div", "tb-top"), add(make("div", "tb-left"), page, track, make("p", "tt-status", "", {role: "status"})), make("dl", "tb-facts")));
  add(root, make("p", "tt-about tt-note"), make("div", "tt-pictures"), make("section", "tb-lab", null, {"aria-label": "The variance lab"}));
}

function text() {
  const page = root.querySelector(".tb-page"), block = root.querySelector(".tb-block");
  root.querySelector(".tb-given").textContent = v.text.slice(0, v.given);
  root.querySelector(".tb-done").textContent = v.text.slice(v.given, Math.max(v.given, v.start));
  block.textContent = "";
  for (const c of v.text.slice(Math.max(v.given, v.start))) add(block, make("span", c === MASK ? "tb-mask" : "tb-new", c === MASK ? "·" : c));
  if (!v.text) add(block, make("span", "tb-mask", "Nothing yet: press “Write”."));
  if (v.state === "writing" && follow) page.scrollTop = page.scrollHeight;
  if (v.state !== "writing" && v.state !== still?.state) page.scrollTop = v.state ? page.scrollHeight : 0;
}

const SAID = {writing: "Writing …", stopped: "Stopped: what was written stays.", ended: "It came to its end before its length.", done: "Written to its length.", "": ""};

function facts() {
  const list = root.querySelector(".tb-facts");
  list.textContent = "";
  for (const [what, much] of v.facts) add(list, make("dt", "", what), make("dd", "", much));
  const share = (n) => `${(100 * n) / Math.max(1, v.total)}%`, slides = Math.max(0, Math.ceil((v.text.length - v.window) / (v.window / 2)));
  const from = slides * v.window / 2, seen = root.querySelector(".tb-window");
  root.querySelector(".tb-fill").style.width = share(v.text.length);
  seen.style.left = share(from);
  seen.style.width = share(Math.min(v.window, Math.max(0, v.total - from)));
  seen.hidden = !v.text;
  const window_ = v.text ? ` The network's window: characters ${from + 1} to ${Math.min(v.total, from + v.window)} of ${v.total.toLocaleString("en")}.` : "";
  root.querySelector(".tt-status").textContent = SAID[v.state] + window_;
}

function beside() {
  root.style.setProperty("--family", `var(--td-${v.family},var(--td-ink))`);
  root.querySelector(".tt-note").textContent = v.note;
  const pictures = root.querySelector(".tt-pictures"), lab = root.querySelector(".tb-lab");
  pictures.textContent = ""; lab.textContent = "";
  add(pictures, ...v.pictures.map(picture));
  if (v.caches.length) add(lab, make("h2", "", "What the caches cost"), caches());
  if (v.lab) add(lab, make("h2", "", "The variance lab"), add(make("div", "tb-lab-body"), picture(v.lab.picture), make("p", "tt-about", v.lab.words)));
}

const HEAD = ["cache", "predictions off, nats", "ms a character", "judge, bits/char", "real words"];

function caches() {
  const box = make("div", "tt-scroll", null, {tabindex: 0, role: "group", "aria-label": "What the caches cost"}), sheet = make("table", "tt-table");
  const row = (cells) => add(make("tr"), ...cells.map((words, i) => make(i ? "td" : "th", i ? "tt-num" : "", words, i ? {} : {scope: "row"})));
  const head = add(make("tr"), ...HEAD.map((words) => make("th", "", words, {scope: "col"})));
  return add(box, add(sheet, add(make("thead"), head), add(make("tbody"), ...v.caches.map(row))));
}

function show() {
  if (!root.querySelector(".tb-page")) frame();
  v = {...(still || {state: "", text: "", start: 0, given: 0, total: 0, window: 0, facts: []}), ...v};
  if (v.state === "writing" && still?.state !== "writing") follow = true;
  text(); facts();
  if (!still || JSON.stringify([still.pictures, still.lab, still.note, still.caches]) !== JSON.stringify([v.pictures, v.lab, v.note, v.caches])) beside();
  still = v;
}

whenReady(() => { if (props.value && props.value !== v) { v = props.value; show(); } });
