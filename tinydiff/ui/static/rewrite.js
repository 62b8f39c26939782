// All candidates for one source, the chosen one marked; beside them the source and, where it is known, the printed line.
let v = null;

function build() {
  root.textContent = "";
  root.style.setProperty("--family", v.family ? `var(--td-${v.family},var(--td-ink))` : "var(--td-ink)");
  add(root, make("p", "tt-status", v.status, {role: "status"}));
  if (!v.rows.length) return;
  const list = make("ol", "tr-lines");
  for (const row of v.rows) add(list, line(row));
  add(root, list, make("p", "tt-about tt-note", v.about));
}

function line(row) {
  const item = make("li", row.mark ? "tr-line tr-chosen" : "tr-line"), facts = make("span", "tr-facts tt-num");
  if (row.apart !== null) add(facts, make("span", "", `${fixed(row.apart, 1)} apart`));
  if (row.errors !== null) add(facts, make("span", "", `${percent(row.errors)} errors`));
  const name = add(make("span", "tr-name"), make("span", "", row.name));
  if (row.mark) add(name, make("strong", "", row.mark));
  return add(item, name, make("span", "tr-text", row.text || "(nothing)"), facts);
}

whenReady(() => { if (props.value && props.value !== v) { v = props.value; build(); } });
