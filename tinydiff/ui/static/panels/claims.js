// What is said, and what was measured: a card a claim, the most surprising ones named first.

import {Panel, add, make, picture, put, remember, row, table} from "../dom.js";

const SHOWN = 2;  // pictures of a card; the rest is folded

export class Claims extends Panel {
  show({packed}) {
    const {cards, first, mistakes, originals, ...told} = JSON.parse(packed);
    this.root.textContent = "";
    if (first.length) {
      const list = put(this.root, "ol", "tq-first", null, {"aria-label": "Surprising"});
      for (const {name, text, verdict} of first) {
        const {said} = cards.find((one) => one.name === name);
        const link = this.link(name, said);
        add(put(list, "li"), link, make("b", "tq-verdict", verdict), make("p", "", text));
      }
    }
    add(this.root, this.contents(cards), meanings("Words used here", told.words),
      ...cards.map(claim));
    this.arrive();
    addEventListener("hashchange", () => this.arrive());
    if (originals.length) {
      put(this.root, "h2", "tq-title", "Tiny Diffusion as it is written");
      put(this.root, "p", "tt-about", "The model that essays print, and the same network with its "
        + "noise brought to the end, and with masks: recorded runs.");
      const links = put(this.root, "div", "tq-originals");
      for (const {title, link} of originals) {
        const play = put(links, "a", "tt-button tq-play", title, {href: link});
        // the race has a button of its own in its tab, which is made when that opens
        if (link === "#race") play.addEventListener("click", () => pressed("#race-original"));
      }
    }
    if (!mistakes.length) return;
    put(this.root, "h2", "tq-title", "Find the mistake");
    put(this.root, "p", "tt-about", "Formulas as they are printed in places, and what each costs, "
      + "measured where the right answer is known: a coin that falls on heads in 80 of 100 throws, "
      + "written by a network that knows just that. So 80 % is right.");
    add(this.root, meanings("Letters of the formulas", told.letters));
    add(put(this.root, "div", "tq-mistakes"), ...mistakes.map(mistake));
  }

  link(name, said) {
    const link = make("a", "", said, {href: `#claims=${name}`});
    link.addEventListener("click", (event) => {
      event.preventDefault();
      this.jump(name);
    });
    return link;
  }

  // all cards by what is said, with their answers
  contents(cards) {
    const box = make("details", "tq-how"), list = make("ul", "tq-contents");
    for (const {name, said, verdict} of cards) {
      add(put(list, "li"), this.link(name, said), make("b", "tq-verdict", verdict));
    }
    add(box, make("summary", "", `All ${cards.length} claims`), list);
    return box;
  }

  // An address may name a card.
  arrive() {
    const [tab, name] = location.hash.slice(1).split("=");
    if (tab === "claims" && name) this.jump(name);
  }

  jump(name) {
    const to = this.find(`[data-claim="${CSS.escape(name)}"]`);
    if (!to) return;
    to.scrollIntoView({block: "start"});
    to.querySelector("h2").focus();
  }
}

// press a button as soon as it is there
function pressed(selector, tries = 50) {
  const button = document.querySelector(selector);
  if (button?.getClientRects().length) button.click();
  else if (tries) setTimeout(() => pressed(selector, tries - 1), 100);
}

function meanings(label, words) {
  const list = make("dl", "tq-words", null, {"aria-label": label});
  for (const [word, means] of words) add(list, make("dt", "", word), make("dd", "", means));
  return list;
}

function claim({name, said, verdict, brief, answer, pictures, plays, ...more}) {
  const box = make("article", "tq-claim", null, {"data-claim": name});
  add(put(box, "header"), make("h2", "", said, {tabindex: -1}), make("b", "tq-verdict", verdict));
  put(box, "p", "tq-answer", brief);
  add(box, figures(pictures.slice(0, SHOWN)));
  const foot = put(box, "footer");
  for (const {title, link} of plays) {
    const play = put(foot, "a", "tt-button tq-play", `\u25b6 ${title}`, {href: link});
    // who comes back comes to this card, and the player says whose run it is
    play.addEventListener("click", () => {
      history.replaceState(null, "", `#claims=${name}`);
      remember("claim", {name, said, search: play.search});
    });
  }
  add(foot, folded("All figures", () => [make("p", "tq-figures", answer),
    figures(pictures.slice(SHOWN))]));
  add(foot, folded("How it was measured", () => measured(more)));
  return box;
}

function figures(pictures) {
  const box = make("div", "tt-pictures");
  for (const {title, svg} of pictures) {
    add(put(box, "figure", "tq-figure"), make("figcaption", "", title), picture(svg));
  }
  return box;
}

// what is made when it is first opened
function folded(title, parts) {
  const box = make("details", "tq-how");
  put(box, "summary", "", title);
  box.addEventListener("toggle", () => add(box, ...parts()), {once: true});
  return box;
}

function mistake({title, question, printed, right, hint, why, found, plays, unseen}) {
  const box = make("article", "tq-mistake");
  put(box, "h3", "", title);
  put(box, "p", "", question);
  put(box, "code", "tq-formula", printed);
  const help = put(box, "details");
  add(help, make("summary", "", "A hint"), make("p", "", hint));
  const end = put(box, "details");
  add(end, make("summary", "", "The mistake"), make("code", "tq-formula", right),
    make("p", "", why), ...found.map((words) => make("p", "tq-found", words)));
  for (const {title, link} of plays) put(end, "a", "tt-button tq-play", title, {href: link});
  if (!plays.length && unseen) put(end, "p", "tq-unseen", unseen);
  return box;
}

function measured({how, note, tables, facts}) {
  const list = make("dl", "tt-card-facts");
  for (const [name, value] of facts) add(list, make("dt", "", name), make("dd", "", value));
  const parts = [make("p", "", how), ...(note ? [make("p", "", note)] : []), list];
  for (const {title, head, rows} of tables) {
    const lines = rows.map((words) => row(words));
    parts.push(make("h3", "", title),
      table(title, "tt-table", head, [add(make("tbody"), ...lines)]));
  }
  return parts;
}
