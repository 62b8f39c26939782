// Charts: the small ones under a text, which have a marker, and one with axes.

import {add, put, svg} from "./dom.js";

const WIDE = 200, HIGH = 48;  // of a small chart
const TOO_MUCH = 999;         // larger values are not written out

// points as a path
export function path(points) {
  const written = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
  return written.length ? `M${written.join("L")}` : "";
}

// A curve, a marker on it and the value there.
//   title, unit, ends    words; the ends of the axis
//   place(frame, k)      where picture k stands on the axis, from 0 to 1
//   value(frame, k)      what is shown of it
//   top                  of the axis; 0: the largest value so far, at least 1
export class Chart {
  constructor(box, {title, unit = "", ends, place, value, top = 0}) {
    Object.assign(this, {unit, place, value, top});
    const figure = put(box, "figure", "td-plot"), head = put(figure, "figcaption");
    put(head, "span", "td-plot-title", title);
    this.now = put(head, "span", "td-plot-now");
    const picture = svg("svg", {
      viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true",
    });
    this.area = svg("path", {class: "td-area"});
    this.line = svg("path", {class: "td-line"});
    this.marker = svg("line", {class: "td-marker", y1: 0, y2: HIGH});
    add(figure, add(picture, this.area, this.line, this.marker));
    const axis = put(figure, "div", "td-axis");
    this.ends = ends.map((words) => put(axis, "span", "", words));
  }

  // points (x, y), x from 0 to 1
  draw(points) {
    if (!points.length) return;
    const top = this.top || Math.max(1, ...points.map(([, y]) => y));
    const drawn = points.map(([x, y]) => [x * WIDE, HIGH - 1 - Math.min(1, y / top) * (HIGH - 3)]);
    const [first, last] = [drawn[0][0], drawn[drawn.length - 1][0]];
    this.line.setAttribute("d", path(drawn));
    this.area.setAttribute("d", path([[first, HIGH], ...drawn, [last, HIGH]]) + "Z");
  }

  mark(frame, k) {
    const x = Math.max(0.5, Math.min(WIDE - 0.5, WIDE * this.place(frame, k)));
    const y = this.value(frame, k);
    this.marker.setAttribute("x1", x);
    this.marker.setAttribute("x2", x);
    const digits = y >= 10 || this.top === 100 ? 0 : this.unit === " %" ? 1 : 2;
    this.now.textContent = (y > TOO_MUCH ? `> ${TOO_MUCH}` : y.toFixed(digits)) + this.unit;
  }
}

const HEIGHT = 260, LEFT = 34, RIGHT = 8, TOP = 14, BOTTOM = 34;  // of a chart with axes, pixels

// A line and dots over time, as an svg of so many pixels.
//   label, unit          what it says to who does not see it; what the values are
//   end                  of the time axis; at(time) writes a time out
//   low, high            whole or half numbers, the ends of the values
//   line, dots           lists of [time, value]
//   level, words         a dashed line to compare with, and what stands on it
//   last                 the words at the end of the line
export function timed(width, {label, unit, end, at, low, high, line, dots, level, words, last}) {
  const late = Math.max(end, ...line.map(([s]) => s)), wall = width - RIGHT;
  const x = (s) => LEFT + (wall - LEFT) * s / late;
  const y = (n) => TOP + (HEIGHT - TOP - BOTTOM) * (high - n) / (high - low);
  const art = svg("svg",
    {viewBox: `0 0 ${width} ${HEIGHT}`, class: "tl-svg", role: "img", "aria-label": label});
  const rule = (n, name) => svg("line", {x1: LEFT, x2: wall, y1: y(n), y2: y(n), class: name});
  const write = (x, y, name, text) => svg("text", {x, y, class: name}, text);
  for (let n = Math.ceil(low); n <= high; n += high - low > 5 ? 2 : 1) {
    add(art, rule(n, "tl-rule"), write(LEFT - 8, y(n) + 4, "tl-right", n));
  }
  for (const k of [0, 1, 2, 3, 4]) {
    const name = ["", "tl-middle", "tl-middle", "tl-middle", "tl-right"][k];
    add(art, write(x(end * k / 4), HEIGHT - 12, name, k ? at(end * k / 4) : "0"));
  }
  add(art, rule(level, "tl-level"), write(wall, y(level) - 5, "tl-right", words),
    write(LEFT + 4, HEIGHT - BOTTOM - 6, "", unit),
    svg("path", {d: path(line.map(([s, n]) => [x(s), y(n)])), class: "tl-line"}),
    ...dots.map(([s, n]) => svg("circle", {cx: x(s), cy: y(n), r: 4.5, class: "tl-dot"})));
  if (!line.length) return art;
  const [time] = line[line.length - 1], above = Math.max(...line.slice(-20).map(([, n]) => n));
  return add(art, write(Math.min(x(time), wall), y(above) - 8, "tl-right tl-value", last));
}
