// The run as code: Python, a call of this page, the command line.

import {Panel, add, make, put} from "../dom.js";

const TITLES = {python: "Python", curl: "A call of this page", command: "The command line"};

export class Code extends Panel {
  show(value) {
    this.root.textContent = "";
    if (value.refused) put(this.root, "p", "td-refused-here", value.refused, {role: "alert"});
    for (const [name, title] of Object.entries(TITLES)) {
      if (!value[name]) continue;
      const copy = make("button", "tc-copy", "Copy", {type: "button"});
      const text = make("code", "", value[name]);
      copy.addEventListener("click", () => {
        const copied = navigator.clipboard?.writeText(value[name]) ?? Promise.reject();
        copied.then(() => { copy.textContent = "Copied"; }, () => getSelection()
          .selectAllChildren(text));
      });
      const head = add(put(this.root, "div", "tc-head"), make("h3", "", title), copy);
      head.after(add(make("pre", "", null, {tabindex: 0, "aria-label": title}), text));
    }
    const close = put(this.root, "button", "tc-copy", "Put away", {type: "button"});
    close.addEventListener("click", () => { this.root.textContent = ""; });
    this.root.scrollIntoView({block: "nearest"});
  }
}
