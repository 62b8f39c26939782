// Curves, facts, and a flip-book of the samples through training.
let v = null, page = 0, timer = 0;

function build() {
  root.textContent = "";
  root.style.setProperty("--family", `var(--td-${v.family},var(--td-ink))`);
  page = v.pages.length - 1;
  const list = make("dl", "tt-card-facts");
  for (const [what, text] of v.facts) add(list, make("dt", "", what), make("dd", "", text));
  const top = make("div", v.picture ? "tt-story" : "tt-story tt-story-plain");
  if (v.picture) add(top, picture(v.picture));
  add(root, add(top, list), make("p", "tt-about tt-note", v.note));
  if (v.pages.length) add(root, book());
  show();
}

function book() {
  const box = make("section", "tt-book", null, {"aria-label": "Samples through training"});
  add(box, make("h2", "", v.pages.length > 1 ? "What it wrote, through training" : "What it writes"));
  if (v.pages.length > 1) {
    const bar = make("div", "tt-clock"), play = make("button", "tt-button", "▶ Leaf through", {type: "button"});
    const slide = make("input", "", null, {type: "range", min: 0, max: v.pages.length - 1, step: 1, "aria-label": "page"});
    slide.addEventListener("input", () => { stop(); page = Number(slide.value); show(); });
    play.addEventListener("click", () => (timer ? stop() : start()));
    add(bar, play, add(make("div", "tt-time"), slide), make("output", "tt-now"));
    add(box, bar);
  }
  return add(box, make("pre", "tt-page"));
}

function start() {
  page = page >= v.pages.length - 1 ? 0 : page;
  root.querySelector(".tt-button").textContent = "■ Halt";
  timer = setInterval(() => { page += 1; show(); if (page >= v.pages.length - 1) stop(); }, 450);
  show();
}

function stop() {
  clearInterval(timer); timer = 0;
  const play = root.querySelector(".tt-button");
  if (play) play.textContent = "▶ Leaf through";
}

function show() {
  if (!v.pages.length) return;
  const now = v.pages[page], slide = root.querySelector("input[type=range]"), text = root.querySelector(".tt-page");
  const about = `step ${now.step.toLocaleString("en")} · ${now.valid.toFixed(3)} nats`;
  text.textContent = now.text;
  if (!slide) return;
  slide.value = page;
  slide.setAttribute("aria-valuetext", about);
  root.querySelector(".tt-now").textContent = about;
}

whenReady(() => { if (props.value && props.value !== v) { v = props.value; stop(); build(); } });
