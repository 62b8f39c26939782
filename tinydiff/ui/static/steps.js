// Quality against calls, and a card for each number of steps.
let v = null;

function build() {
  root.textContent = "";
  root.style.setProperty("--family", `var(--td-${v.family},var(--td-ink))`);
  add(root, add(make("div", v.pictures.length > 1 ? "tt-pictures" : "tt-pictures tt-single"), ...v.pictures.map(picture)));
  add(root, make("p", "tt-about tt-note", v.note), make("p", "tt-status", v.status, {role: "status"}));
  for (const name of new Set(v.cards.map((c) => c.sampler))) {
    const some = v.cards.filter((c) => c.sampler === name);
    add(root, make("h2", "tt-family", name), add(make("div", "tt-cards", null, {tabindex: 0, role: "group", "aria-label": `Texts of ${name}`}), ...some.map(card)));
  }
  if (!v.cards.length) add(root, make("p", "tt-about", "No texts yet: press “Run the steps”."));
}

function card(c) {
  const box = make("article", "tt-card"), head = make("header", "");
  const title = c.steps === null ? "a call a character" : c.steps === 1 ? "1 step" : `${c.steps} steps`;
  add(head, make("h3", "", title), make("span", "tt-num", `${c.calls} call${c.calls === 1 ? "" : "s"} · ${time(c.ms)}`));
  const text = make("p", "tt-still");
  for (const [part, real] of c.pieces) add(text, make(real ? "span" : "s", "", part));
  return add(box, head, text, quality(c));
}

const time = (ms) => (ms >= 10000 ? `${(ms / 1000).toFixed(0)} s` : ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms.toFixed(0)} ms`);

function quality(c) {
  const foot = make("footer", "tt-num");
  if (c.divergence !== undefined) return add(foot, make("span", "", `${c.divergence.toFixed(3)} nats a character off, over ${c.texts} texts`));
  add(foot, make("span", "", `judge ${fixed(c.bits, 2)} bits/char`), make("span", "", `real words ${percent(c.words)}`));
  foot.style.setProperty("--share", c.words === null ? 0 : c.words);
  return foot;
}

whenReady(() => { if (props.value && props.value !== v) { v = props.value; build(); } });
