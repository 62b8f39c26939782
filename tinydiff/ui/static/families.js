// All families: the table, its pictures, and the samplers' own errors as a table in shades.
let v = null;

function table() {
  const box = make("div", "tt-scroll", null, {tabindex: 0, role: "group", "aria-label": "All families"}), sheet = make("table", "tt-table tt-axis");
  const head = add(make("tr"), ...v.head.map((words) => make("th", "", words, {scope: "col"})));
  const rows = v.rows.map((row) => {
    const line = add(make("tr"), ...row.cells.map((words, i) => make(i ? "td" : "th", i ? "tt-num" : "", words.replace(/([≤±]) | (%|M)/g, "$1\u00a0$2"), i ? {} : {scope: "row", title: row.title})));
    line.style.setProperty("--family", `var(--td-${row.process},var(--td-ink))`);
    return line;
  });
  return add(box, add(sheet, add(make("thead"), head), add(make("tbody"), ...rows)));
}

// A row a sampler, under the name of its noise; the figures that there are stand at the right.
function errors() {
  const box = make("div", "tt-scroll", null, {tabindex: 0, role: "group", "aria-label": "Each sampler's own error"}), sheet = make("table", "tt-table tt-errors");
  const head = add(make("tr"), make("th", "", "steps", {scope: "col"}), ...v.counts.map((n) => make("th", "", String(n), {scope: "col"})));
  add(sheet, add(make("thead"), head));
  for (const noise of v.errors) {
    const body = make("tbody"), title = add(make("tr"), make("th", "tt-noise", noise.title, {scope: "rowgroup", colspan: v.counts.length + 1}));
    body.style.setProperty("--family", `var(--td-${noise.process},var(--td-ink))`);
    const rows = noise.rows.map(({sampler, cells}) => {
      const empty = Array.from({length: v.counts.length - cells.length}, () => make("td"));
      return add(make("tr"), make("th", "tt-sampler", sampler, {scope: "row"}), ...empty, ...cells.map(figure));
    });
    add(sheet, add(body, title, ...rows));
  }
  return add(box, sheet);
}

function figure({text, dark, calls}) {
  const cell = make("td", "tt-num", text);
  cell.style.setProperty("--dark", `${Math.round(38 * dark)}%`);
  return calls === null ? cell : add(cell, make("small", "", `${calls} calls`));
}

function build() {
  root.textContent = "";
  if (v.rows.length) add(root, table());
  else add(root, make("p", "tt-about", "No checkpoint was evaluated yet: `python -m tinydiff families` fills this page."));
  add(root, add(make("div", "tt-pictures"), ...v.pictures.map(picture)));
  if (v.errors.length) add(root, make("h2", "tt-title", "Each sampler's own error"), make("p", "tt-about", v.note), errors());
}

whenReady(() => { if (props.value && props.value !== v) { v = props.value; build(); } });
