// Quality against calls: where Steps draws its curves, which stand under the sheet of seeds.

import {Panel, add, picture, put} from "../dom.js";

let here = null, drawn = null;

export class Curves extends Panel {
  constructor(root) {
    super(root);
    here = this;
    if (drawn) this.show(drawn);
  }

  // the curves of what Steps shows, which may be there first
  static of(value) {
    drawn = value;
    here?.show(value);
  }

  show({pictures, note}) {
    this.root.textContent = "";
    put(this.root, "h2", "", "Quality against looks");
    const classes = pictures.length > 1 ? "tt-pictures" : "tt-pictures tt-single";
    add(put(this.root, "div", classes), ...pictures.map(picture));
    put(this.root, "p", "tt-about tt-note", note);
  }
}
