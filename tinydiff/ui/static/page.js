// What the page's components call: the player, and the panels of the tabs.

import {mark, put} from "./dom.js";
import {Nav} from "./nav.js";
import {refuse, unfold} from "./refusals.js";
import {changedByHand, play, takeOthers} from "./player.js";
import {waited} from "./waiting.js";
import {tell} from "./story.js";
import * as panels from "./panels/*.js";

export function player(element, trigger, props, watch) {
  play(element, trigger, props, watch);
}

export function others(id, props, watch) {
  takeOthers(id, props, watch);
}

let tabs = null;

export function nav(element, props, opened) {
  tabs = new Nav(element, props, (name) => {
    props.value = name;
    opened();
  });
}

// Opens a tab as a click on its name does.
export function come(name) {
  tabs.go(name);
}

export function byHand(id) {
  return changedByHand(id);
}

export function story(element, ask, props, watch) {
  tell(element, ask, props, watch);
}

// A panel that is empty until it is seen, and then asks for what it shows.
export function asking(name, element, ask, props, watch) {
  const seen = new IntersectionObserver(([entry]) => {
    if (!entry.isIntersecting) return;
    seen.disconnect();
    put(element.querySelector(".tt-panel"), "p", "tt-status tt-coming", "One moment, please …",
      {role: "status"});
    ask();
  });
  seen.observe(element.querySelector(".tt-panel"));
  panel(name, element, props, watch);
}

// Opens what is folded.
export function open(selector) {
  unfold(document.querySelector(selector));
}

const runs = new Set();  // tabs of which a run was asked for that has shown nothing yet

// A setting of a tab was changed: what it shows is of other settings.
export function stale(tab) {
  runs.delete(tab);
  mark(tab, true);
}

// Text that is pasted, cut or dropped is no event of Gradio's.
addEventListener("input", ({target}) => {
  const field = target.closest?.("[class*=td-typed-]");
  if (field) stale(/td-typed-(\w+)/.exec(field.className)[1]);
});

// A run was asked for: what the tab shows next is of the settings beside it.
export function asked(tab) {
  runs.add(tab);
}

// A panel is a class with show(value), which draws a new value.
export function panel(name, element, props, watch) {
  const root = element.querySelector(".tt-panel"), drawn = new panels[name](root);
  let shown = null;
  const tab = name.toLowerCase();
  const ready = () => {
    if (!props.value || props.value === shown || waited(root.parentNode, props.value)) return;
    shown = props.value;
    const begun = runs.delete(tab) && !shown.refused;
    if (begun || shown.stale !== undefined) mark(tab, shown.stale ?? false);
    const page = element.closest(".tabitem");
    refuse(page, "");
    if (!shown.refused || name === "Code") return drawn.show(shown);
    if (!refuse(page, shown.refused)) drawn.root.querySelector(".tt-status")?.replaceChildren(
      shown.refused);
  };
  watch("value", ready);
  ready();
}
