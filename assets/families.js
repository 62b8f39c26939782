// All families: the table, its pictures, and the samplers' own errors.
let v = null;

function table() {
  const box = make("div", "tt-scroll", null, {tabindex: 0, role: "group", "aria-label": "All families"}), sheet = make("table", "tt-table");
  const head = add(make("tr"), ...v.head.map((words) => make("th", "", words, {scope: "col"})));
  const rows = v.rows.map((row) => {
    const line = add(make("tr"), ...row.cells.map((words, i) => make(i ? "td" : "th", i ? "tt-num" : "", words, i ? {} : {scope: "row", title: row.title})));
    line.style.setProperty("--family", `var(--td-${row.process},var(--td-ink))`);
    return line;
  });
  return add(box, add(sheet, add(make("thead"), head), add(make("tbody"), ...rows)));
}

function build() {
  root.textContent = "";
  if (v.rows.length) add(root, table(), add(make("div", "tt-pictures"), ...v.pictures.map(picture)));
  else add(root, make("p", "tt-about", "No checkpoint was evaluated yet: `python -m tinydiff families` fills this page."));
  if (!v.errors.length) return;
  add(root, make("h2", "tt-title", "Each sampler's own error"), make("p", "tt-about", v.note));
  add(root, add(make("div", "tt-pictures"), ...v.errors.map((e) => {
    const box = make("section", "tt-error"), title = make("h3", "tt-family", e.title);
    box.style.setProperty("--family", `var(--td-${e.process},var(--td-ink))`);
    return add(box, title, picture(e.picture));
  })));
}

whenReady(() => { if (props.value && props.value !== v) { v = props.value; build(); } });
