// A map of the codes of all tokens, and a few tokens of the text on their way to them.

import {path} from "../chart.js";
import {add, put, svg} from "../dom.js";
import {alone} from "../glyphs.js";
import {HALF, share} from "../wire.js";

const WIDE = 560, HIGH = 300, EDGE = 12;
const RIM = 0.12;   // of the map, in which noise finds room
const NAMED = 300;  // codes that have their names; of more each is a dot
const TRAIL = 14;   // steps that a trail is long

export const walk = {
  words: "The codes of all tokens, seen along two of their directions, and a few tokens of the "
    + "text (marked above) on their way to them",
  marks: true,

  stage(box, {scene, frames, pieces}) {
    const signs = Array.from(scene.signs), point = placing(signs.length, scene.map);
    const picture = svg("svg", {viewBox: `0 0 ${WIDE} ${HIGH}`, "aria-hidden": "true"});
    const places = signs.map((_, v) => point(scene.map, v));
    if (signs.length > NAMED) {
      const d = places.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
      add(picture, svg("path", {d, class: "td-dots"}));
    } else {
      places.forEach(([x, y], v) => {
        add(picture, svg("text", {x, y, class: "td-code"}, alone(signs[v], pieces)));
      });
    }
    add(box, picture);
    const list = put(box, "ol", "td-walkers"), walkers = scene.spots.map(() => walker(picture));
    scene.spots.forEach((cell, k) => Object.assign(walkers[k], reading(list, cell)));
    return (frame, at) => scene.spots.forEach((cell, k) => {
      const some = frames.slice(Math.max(0, at - TRAIL), at + 1);
      walkers[k].trail.setAttribute("d", path(some.map((f) => point(f.view, k))));
      move(walkers[k], point(frame.view, k), alone(frame.text[cell], pieces),
        share(frame.sure[cell]));
    });
  },
};

// where point k of a list of levels lies in the picture: as wide as the codes lie, and a rim
function placing(count, map) {
  const ends = [0, 1].map((axis) => {
    const along = Array.from({length: count}, (_, v) => share(map[2 * v + axis]));
    const low = Math.min(...along), high = Math.max(...along), rim = RIM * (high - low);
    return [low - rim, high + rim];
  });
  return (levels, k) => [0, 1].map((axis) => {
    const [low, high] = ends[axis], p = (share(levels[2 * k + axis]) - low) / (high - low);
    const inside = Math.min(1, Math.max(0, p));
    return axis ? (1 - inside) * (HIGH - 2 * EDGE) + EDGE : inside * (WIDE - 2 * EDGE) + EDGE;
  });
}

function walker(picture) {
  const trail = svg("path", {class: "td-trail"}), dot = svg("g", {class: "td-walker"});
  const sign = svg("text");
  add(picture, trail, add(dot, svg("circle", {r: 10}), sign));
  return {trail, dot, sign};
}

function reading(list, cell) {
  const row = put(list, "li");
  put(row, "span", "", `character ${cell + 1}`);
  return {reads: put(row, "b"), sure: put(row, "span", "td-top-share")};
}

function move({dot, sign, reads, sure}, [x, y], text, p) {
  dot.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
  dot.classList.toggle("near", p >= HALF);
  sign.textContent = reads.textContent = text;
  sure.textContent = `${Math.round(100 * p)} %`;
}
