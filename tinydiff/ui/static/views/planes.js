// A strip of bit planes: a square a bit, its ink the bit's value.

import {add, put, svg, update} from "../dom.js";
import {alone} from "../glyphs.js";
import {share} from "../wire.js";

const MANY = 64, FEW = 32, NARROW = 600;  // tokens, also where the page is so narrow, in pixels

export const planes = {
  words: "The bits of the first tokens, one column each, the largest at the top: paper is "
    + "\u22121, ink is 1, grey is undecided",

  stage(box, {scene, frames, pieces}) {
    const most = box.clientWidth && box.clientWidth < NARROW ? FEW : MANY;
    const count = Math.min(scene.spots.length, most);
    const depth = frames[0].view.length / scene.spots.length;
    const picture = svg("svg", {
      viewBox: `0 0 ${count} ${depth}`, preserveAspectRatio: "none", "aria-hidden": "true",
    });
    const bits = Array.from({length: count * depth}, (_, i) => (
      svg("rect", {x: Math.floor(i / depth), y: i % depth, width: 1, height: 1})));
    add(box, add(picture, ...bits));
    const line = put(box, "div", "td-planes-text");
    line.style.setProperty("--columns", count);
    const letters = Array.from({length: count}, () => put(line, "span"));
    return (frame) => {
      bits.forEach((bit, i) => bit.setAttribute("fill-opacity", share(frame.view[i]).toFixed(2)));
      letters.forEach((letter, k) => {
        const cell = scene.spots[k], noise = frame.state[cell] === "x";
        update(letter, alone(frame.text[cell], pieces), noise ? "x" : "");
      });
    };
  },
};
