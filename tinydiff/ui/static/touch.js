// What a visitor does to the text with their hands: words are chosen, hidden and written again,
// kept, or typed over.

import {MASK, isOpen} from "./wire.js";
import {add, make, put} from "./dom.js";
import {CONTROLS, alone, drawn} from "./glyphs.js";

const RETURN = CONTROLS["\n"];
const TOP = 6;  // px between the words that are chosen and what can be done with them

// the words of a text, as [first, last] cells; a piece that begins with a space begins one
export function words(frame, pieces) {
  const found = [];
  drawn(frame.text, pieces).forEach((text, i) => {
    if (frame.state[i] === "e" || !text) return;
    const last = found[found.length - 1];
    if (!last || /^\s/.test(text) || text.startsWith(RETURN) || frame.text[i] === MASK
      || last[1] !== i - 1) {
      found.push([i, i]);
    } else last[1] = i;
  });
  return found;
}

// how many words of a text are not as in the one before, which is as long
export function changed(before, frame, pieces) {
  const other = (_, i) => frame.text[i] !== before.text[i], all = [...frame.text.keys()];
  const places = new Set(all.filter(other));
  const count = (one) => words(one, pieces)
    .filter(([first, last]) => all.slice(first, last + 1).some((i) => places.has(i))).length;
  return Math.max(count(before), count(frame));  // a text may end sooner
}

// The words that are chosen of a finished text, and the tools beside them. tell(deed) is told what
// is to be done; run() is what is shown.
export class Hand {
  chosen = null;       // [first, last] cells
  locked = new Set();  // cells that stay when the rest is written again

  constructor(sheet, cells, run, tell) {
    Object.assign(this, {sheet, cells, run, tell});
    this.tools = sheet.querySelector(".td-tools");
    this.input = this.tools.querySelector("input");
    cells.addEventListener("pointerup", () => setTimeout(() => this.fromSelection()));
    document.addEventListener("pointerdown", ({target}) => {
      if (this.chosen && !sheet.contains(target)) this.choose(null);
    });
    this.tools.addEventListener("click", ({target}) => this.act(target.dataset.do));
    this.tools.addEventListener("keydown", (event) => this.key(event));
  }

  get whole() {
    const {frames, end, done} = this.run();
    return done ? frames[end] : null;
  }

  // the mouse, or a long touch: the words that the browser's selection meets
  fromSelection() {
    const selection = getSelection(), frame = this.whole;
    if (!frame || selection.isCollapsed || !this.cells.contains(selection.anchorNode)) return;
    const range = selection.getRangeAt(0);
    const hit = [...this.cells.querySelectorAll("[data-cell]")]
      .filter((span) => span.textContent && range.intersectsNode(span))
      .map((span) => Number(span.dataset.cell));
    selection.removeAllRanges();
    if (hit.length) this.choose([hit[0], hit[hit.length - 1]]);
  }

  // from one cell to another, widened to whole words
  choose(range) {
    const frame = this.whole;
    if (!range || !frame || !this.can) {
      this.chosen = null;
    } else {
      const all = words(frame, this.run().pieces), [first, last] = [Math.min(...range),
        Math.max(...range)];
      const hit = all.filter(([from, to]) => to >= first && from <= last);
      this.chosen = hit.length ? [hit[0][0], hit[hit.length - 1][1]] : null;
    }
    this.draw();
  }

  // is the run one whose words can be changed? head.touch is "" then, else a sentence
  get can() {
    return this.run().head.touch === "";
  }

  get picked() {
    if (!this.chosen) return [];
    const [first, last] = this.chosen;
    return Array.from({length: last - first + 1}, (_, i) => first + i);
  }

  draw() {
    const inside = new Set(this.picked), spans = this.cells.querySelectorAll("[data-cell]");
    spans.forEach((span, i) => {
      span.classList.toggle("sel", inside.has(i));
      span.classList.toggle("kept", this.locked.has(i));
    });
    this.tools.hidden = !inside.size;
    this.input.hidden = true;
    if (!inside.size) return;
    const held = this.picked.every((i) => this.locked.has(i));
    this.tools.querySelector("[data-do=lock]").textContent = held ? "unlock" : "lock";
    const frame = this.sheet.getBoundingClientRect();
    const first = spans[this.chosen[0]].getBoundingClientRect();
    const last = spans[this.chosen[1]].getBoundingClientRect();
    const from = last.top > first.bottom ? last.left - 60 : first.left;
    this.tools.style.top = `${last.bottom - frame.top + TOP}px`;
    const room = frame.width - this.tools.offsetWidth - 8;
    this.tools.style.left = `${Math.max(8, Math.min(from - frame.left, room))}px`;
  }

  act(what) {
    const cells = this.picked;
    if (what === "again") this.done({do: "again", cells});
    if (what === "lock") {
      const held = cells.every((i) => this.locked.has(i));
      cells.forEach((i) => (held ? this.locked.delete(i) : this.locked.add(i)));
      this.draw();
      this.tell(null);
    }
    if (what === "type") {
      const {pieces} = this.run(), {text} = this.whole;
      this.input.value = drawn(cells.map((i) => text[i]), pieces).join("").trim();
      this.input.hidden = false;
      this.input.select();
    }
  }

  key(event) {
    event.stopPropagation();
    if (event.key === "Escape") {
      this.choose(null);
      this.sheet.focus();
    } else if (event.key === "Enter" && event.target === this.input) {
      this.done({do: "type", cells: this.picked, text: this.input.value});
    }
  }

  done(deed) {
    this.choose(null);
    this.tell(deed);
  }

  // all that is not given and not locked
  get rest() {
    const frame = this.whole;
    return [...frame.text.keys()].filter((i) => isOpen(frame, i) && !this.locked.has(i));
  }
}

// The bets for a place as buttons, for a visitor who is the sampler. take(sign) is told the choice.
export function bets(box, signs, share, pieces, take) {
  const list = put(box, "ol", "td-top-list td-bets");
  for (let i = 0; i < signs.length; i += 2) {
    const [sign, level] = signs.slice(i, i + 2), p = share(level);
    const button = make("button", "td-bet", null, {type: "button"});
    add(button, make("span", "td-top-sign", alone(sign, pieces)),
      make("span", "td-top-share", p < 0.01 ? "< 1 %" : `${Math.round(100 * p)} %`));
    button.addEventListener("click", () => take(sign));
    add(put(list, "li"), button);
  }
  list.querySelector("button")?.focus({preventScroll: true});
}

// of two rows of signs, the places of each that have no partner in the other (a longest common
// subsequence)
export function differences(a, b) {
  const width = b.length + 1, best = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i * width + j] = a[i] === b[j] ? 1 + best[(i + 1) * width + j + 1]
        : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    }
  }
  const mine = new Set(), other = new Set();
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) i++, j++;
    else {
      const [down, right] = [best[(i + 1) * width + j], best[i * width + j + 1]];
      if (j >= b.length || i < a.length && down >= right) mine.add(i++);
      else other.add(j++);
    }
  }
  return [mine, other];
}
