// Curves, facts, and a flip-book of the samples through training.

import {Panel, add, colour, make, picture, put} from "../dom.js";
import {Slider} from "../slider.js";

const PAGE = 450;  // milliseconds of a page

export class Training extends Panel {
  #slider = null;

  show({family, facts, note, pages, picture: drawn}) {
    this.#slider?.stop();
    this.#slider = null;
    this.root.textContent = "";
    colour(this.root, family);
    const top = put(this.root, "div", drawn ? "tt-story" : "tt-story tt-story-plain");
    if (drawn) add(top, picture(drawn));
    const list = put(top, "dl", "tt-card-facts");
    for (const [what, words] of facts) add(list, make("dt", "", what), make("dd", "", words));
    put(this.root, "p", "tt-about tt-note", note);
    if (pages.length) this.book(pages);
  }

  book(pages) {
    const says = {"aria-label": "Samples through training"}, last = pages.length - 1;
    const box = put(this.root, "section", "tt-book", null, says), text = make("pre", "tt-page");
    put(box, "h2", "", last ? "What it wrote, through training" : "What it writes");
    const turn = (place) => {
      const page = pages[Math.round(place)];
      text.textContent = page.text;
      this.#slider?.say(`step ${page.step.toLocaleString("en")} · ${page.valid.toFixed(3)} nats`);
    };
    if (last) {
      const slider = new Slider({
        max: last, step: 1, value: last, whole: PAGE * last, words: "▶ Leaf through",
        label: "page", moved: turn,
      });
      this.#slider = slider;
      add(put(box, "div", "tt-clock"), slider.button, slider.box, slider.now);
    }
    add(box, text);
    turn(last);
  }
}
