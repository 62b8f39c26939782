// What the page's components call: the player, and the sheets of the tabs.

import {play} from "./player.js";
import * as sheets from "./sheets/*.js";

export function player(element, trigger, props, watch) {
  play(element, trigger, props, watch);
}

// A sheet is a class with show(value), which draws a new value.
export function sheet(name, element, props, watch) {
  const drawn = new sheets[name](element.querySelector(".tt-sheet"));
  let shown = null;
  const ready = () => {
    if (!props.value || props.value === shown) return;
    shown = props.value;
    drawn.show(shown);
  };
  watch("value", ready);
  ready();
}
