// The page of recorded runs: a menu of families, a menu of runs, and the player (player.js, whose body is play()).
// The address says what is shown, "#family/run", so that links, the keyboard and the browser's way back work by themselves.

document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);

document.addEventListener("DOMContentLoaded", () => {
  const SECONDS = 4;  // that a run takes, about
  const shelf = JSON.parse(document.getElementById("shelf").textContent);
  const find = (selector) => document.querySelector(selector);
  const props = {value: null};
  let changed = () => {}, turn = 0;

  play(find("#player"), () => {}, props, (name, act) => { changed = act; });

  function link(nav, address, words) {
    const a = nav.appendChild(document.createElement("a"));
    a.href = "#" + address; a.textContent = words;
  }

  function mark(nav, address) {
    for (const a of nav.children) a.getAttribute("href") === "#" + address ? a.setAttribute("aria-current", "true") : a.removeAttribute("aria-current");
  }

  function wanted() {
    const [name, key] = location.hash.slice(1).split("/");
    const family = shelf.find((f) => f.name === name) || shelf[0];
    return [family, family.runs.find((r) => r.key === key) || family.runs[0]];
  }

  function describe(family) {
    find("h2").textContent = family.title;
    find(".td-about").textContent = family.about;
    const source = find(".td-source"), paper = document.createElement("a");
    paper.href = "https://arxiv.org/abs/" + family.paper.replace("arXiv:", "");
    paper.rel = "noopener"; paper.target = "_blank"; paper.textContent = family.paper;
    source.replaceChildren(family.model + ". ", paper);
    const runs = find(".td-runs");
    runs.textContent = "";
    for (const run of family.runs) link(runs, `${family.name}/${run.key}`, run.title);
  }

  // the slowest speed at which a run is over in time
  function pace(pictures) {
    const menu = find(".td-speed");
    menu.value = [...menu.options].map((o) => o.value).find((speed) => pictures / speed <= SECONDS) || "60";
  }

  async function show() {
    const [family, run] = wanted(), mine = ++turn;
    if (find("h2").textContent !== family.title) describe(family);
    mark(find(".td-families"), family.name);
    mark(find(".td-runs"), `${family.name}/${run.key}`);
    find(".td-sampler").textContent = run.about;
    const value = await fetch(run.file).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
    if (mine !== turn) return;
    find(".td-trouble").hidden = value !== null;
    find("#player").hidden = value === null;
    if (value === null) { find(".td-trouble").textContent = "This run could not be fetched: the page must come from a web server that has all its files."; return; }
    pace(run.pictures);
    props.value = {...value, run: mine};
    changed();
  }

  for (const family of shelf) link(find(".td-families"), family.name, family.name.replace("-", " "));
  find(".td-theme").addEventListener("click", () => document.documentElement.classList.toggle("dark"));
  addEventListener("hashchange", show);
  show();
});
