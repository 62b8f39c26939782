// Blocks: the text as it grows, with the block that is being written; what it took; the pictures.

import {Panel, add, colour, make, picture, put, row, table} from "../dom.js";
import {CONTROLS, ENDED} from "../glyphs.js";
import {MASK} from "../wire.js";

const CUT = "\ufffd";  // bytes of a character that is not whole yet
const PARTED = `${ENDED}\n\n`;  // where one text of a stream ends and the next begins
const NEAR = 40;  // pixels from its end at which the page follows the text
const WRITTEN = {
  writing: "Writing …",
  stopped: "Stopped: what was written stays.",
  ended: "It came to its end before its length.",
  done: "Written to its length.",
  "": "",
};
const CACHES = [
  "cache", "predictions off, nats", "ms a token", "judge, bits/char", "real words",
];
const BESIDE = ["pictures", "lab", "note", "caches"];  // what does not change while a text grows
const EMPTY = {state: "", text: "", start: 0, given: 0, total: 0, window: 0, facts: []};

export class Blocks extends Panel {
  #shown = null;
  #follow = true;  // does the page keep the end of the text in sight

  show(value) {
    if (!this.find(".tb-page")) this.frame();
    const before = this.#shown, now = {...(before || EMPTY), ...value};
    const began = now.state === "writing" && before?.state !== "writing";
    if (began) this.#follow = true;
    this.text(now, before?.state);
    this.facts(now);
    const rest = (v) => JSON.stringify(BESIDE.map((name) => v?.[name]));
    if (rest(before) !== rest(now)) this.beside(now);
    this.#shown = now;
  }

  frame() {
    this.root.textContent = "";
    const page = make("div", "tb-page", null,
      {tabindex: 0, role: "region", "aria-label": "The text"});
    const parts = ["tb-given", "tb-done", "tb-block"].map((classes) => make("span", classes));
    add(put(page, "p", "tb-text"), ...parts);
    page.addEventListener("scroll", () => {
      this.#follow = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR;
    });
    const track = add(make("div", "tb-track"), make("div", "tb-fill"), make("div", "tb-window"));
    const status = make("p", "tt-status", "", {role: "status"});
    add(put(this.root, "div", "tb-top"),
      add(make("div", "tb-left"), page, track, status), make("dl", "tb-facts"));
    put(this.root, "p", "tt-about tt-note");
    put(this.root, "div", "tt-pictures");
    put(this.root, "section", "tb-lab", null, {"aria-label": "The variance lab"});
  }

  text({text, ends = [], given, start, state}, before) {
    const page = this.find(".tb-page"), block = this.find(".tb-block");
    const from = Math.max(given, start);
    const signs = Array.from(text), parted = new Set(ends);
    this.find(".tb-given").textContent = signs.slice(0, given).join("");
    this.find(".tb-done").textContent = signs.slice(given, from)
      .map((c, i) => (parted.has(given + i + 1) ? c + PARTED : c)).join("");
    block.textContent = "";
    signs.slice(from).forEach((c, i) => {
      const open = c === MASK || c === CUT;
      put(block, "span", open ? "tb-mask" : "tb-new", open ? CONTROLS[MASK] : c);
      if (parted.has(from + i + 1)) put(block, "span", "tb-new", PARTED);
    });
    if (!text) put(block, "span", "tb-mask", "Nothing yet: press “Write”.");
    if (state === "writing" && this.#follow) page.scrollTop = page.scrollHeight;
    if (state !== "writing" && state !== before) page.scrollTop = state ? page.scrollHeight : 0;
  }

  facts({facts, text, total, window, state, unit = "characters", written}) {
    const list = this.find(".tb-facts"), share = (n) => `${100 * n / Math.max(1, total)}%`;
    const come = Math.min(total, written ?? Array.from(text).length);
    list.textContent = "";
    for (const [what, much] of facts) add(list, make("dt", "", what), make("dd", "", much));
    const from = Math.max(0, Math.ceil((come - window) / (window / 2))) * window / 2;
    const seen = this.find(".tb-window"), end = Math.min(total, from + window);
    this.find(".tb-fill").style.width = share(come);
    seen.style.left = share(from);
    seen.style.width = share(Math.min(window, Math.max(0, total - from)));
    seen.hidden = !text;
    const place = `${unit} ${from + 1} to ${end} of ${total.toLocaleString("en")}`;
    this.find(".tt-status").textContent = WRITTEN[state]
      + (text ? ` The network's window: ${place}.` : "");
  }

  beside({family, note, pictures, caches, lab}) {
    colour(this.root, family);
    this.find(".tt-note").textContent = note;
    this.find(".tt-pictures").replaceChildren(...pictures.map(picture));
    const box = this.find(".tb-lab");
    box.textContent = "";
    if (caches.length) {
      add(box, make("h2", "", "What the caches cost"), table("What the caches cost", "tt-table",
        CACHES, [add(make("tbody"), ...caches.map((cells) => row(cells)))]));
    }
    if (!lab) return;
    put(box, "h2", "", "The variance lab");
    add(put(box, "div", "tb-lab-body"), picture(lab.picture), make("p", "tt-about", lab.words));
  }
}
