// The place of a run in its line, as the server tells it: {waiting: "3 before you, about 20 s"}
// comes in the place of a run until that begins, and {waiting: ""} where it will not.

import {make} from "./dom.js";

// Show it over what a node shows; is the value such a place?
export function waited(node, {waiting}) {
  let line = node.querySelector(":scope > .td-waiting");
  if (!waiting) {
    line?.remove();
    return waiting !== undefined;
  }
  if (!line) {
    line = make("p", "td-waiting", "", {role: "status"});
    node.prepend(line);
  }
  line.textContent = `${waiting}.`;
  return true;
}
