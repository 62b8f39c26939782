// What cannot be done is said at the field it is about, in one sentence; the picture stays.

import {make} from "./dom.js";

// settings by the labels of their fields, where those have another name
const NAMED = {
  prompt: "begin with", template: "begin with", steps: "looks", text: "begin with",
  "this model does not know": "begin with|your words", source: "your words",
  words: "your words", nothing: "your words", label: "label",
};

const spaced = (words) => words.toLowerCase().replace(/[-_]/g, " ");

// the field of a tab that a sentence speaks of first; null where it speaks of none
function fieldOf(root, words) {
  const said = spaced(words);
  let found = null, first = Infinity;
  for (const label of root.querySelectorAll("[data-testid=block-info], .label-wrap span")) {
    const block = label.closest(".block"), name = spaced(label.textContent.trim());
    if (!block || !name) continue;
    const called = (key) => NAMED[key].split("|").some((start) => name.startsWith(start));
    const names = [name, ...Object.keys(NAMED).filter(called)];
    for (const one of names) {
      const at = said.indexOf(one);
      if (at >= 0 && at < first) [found, first] = [block, at];
    }
  }
  return found;
}

export function unfold(fold) {
  fold?.querySelector(".label-wrap:not(.open)")?.click();
}

// Says it, and takes away what was said before; "" only takes that away. Whether there was a field
// for it.
export function refuse(root, words) {
  root?.querySelectorAll(".td-refused-here").forEach((node) => node.remove());
  if (!root || !words) return false;
  const field = fieldOf(root, words);
  if (!field) return false;
  unfold(field.closest(".td-more"));
  field.append(make("p", "td-refused-here", words, {role: "alert"}));
  field.scrollIntoView({block: "nearest"});
  field.querySelector("input, textarea")?.focus({preventScroll: true});
  return true;
}
