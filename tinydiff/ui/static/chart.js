// Charts: the small ones under a text, which have a marker, and one with axes.

import {add, put, svg} from "./dom.js";

const TALL = 86;              // of a small chart where its box has no height of its own
const EDGE = {left: 40, right: 7, top: 19, bottom: 17};  // room around it
const SAID = 30;              // px a number takes beside the marker

// points as a path
export function path(points) {
  const written = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
  return written.length ? `M${written.join("L")}` : "";
}

// A small chart under the text: one or two curves, and a marker that moves through them.
//   title, term          in plain words, and in the field's
//   from, to             words at the ends of the axis
//   place(frame, k)      where picture k stands on the axis, from 0 to 1
//   height(value)        where a value stands, from 0 to 1; ticks: [value, words] pairs
//   lines                {value(frame, k), points, words}: points are [place, value]; where there
//                        are none the line grows with the run, and `draw` is told its pictures
//   said(value)          the number that goes with the marker, of the first line
//   help                 a sentence on what is drawn, under it
export class Chart {
  #points = [];
  #width = 0;
  #tall = TALL;

  constructor(box, {title, term, from, to, place, height, ticks, lines, said, help}) {
    Object.assign(this, {title, from, to, place, height, ticks, lines, said});
    this.grows = lines.some((line) => !line.points);
    const figure = put(box, "figure", "td-plot"), head = put(figure, "figcaption", "", title);
    if (term) put(head, "span", "td-term", term);
    this.box = put(figure, "div", "td-draw");
    if (help) put(figure, "p", "td-help", help);
    this.#points = lines.map((line) => line.points || []);
  }

  // how large its box is
  measure() {
    const {width, height} = this.box.getBoundingClientRect();
    if (width !== this.#width || (height || TALL) !== this.#tall) this.drawn = false;
    [this.#width, this.#tall] = [width, height || TALL];
  }

  // as large as another, which stood in its place
  sizeAs(other) {
    [this.#width, this.#tall] = [other.#width, other.#tall];
  }

  // with the pictures of the run, for lines that grow; what does not grow is drawn once a size
  draw(frames, to) {
    if (!this.grows && this.drawn) return;
    if (to) this.to = to;
    this.lines.forEach((line, i) => {
      if (!line.points) {
        this.#points[i] = frames.map((f, k) => [this.place(f, k), line.value(f, k)]);
      }
    });
    const width = this.#width, tall = this.#tall;
    if (!width) return;
    this.drawn = true;
    const {left, right, top, bottom} = EDGE;
    this.x = (s) => left + s * (width - left - right);
    this.y = (v) => tall - bottom - this.height(v) * (tall - top - bottom);
    const art = svg("svg", {role: "img", width, height: tall, "aria-label": this.label()});
    for (const [value, words] of this.ticks) {
      const at = Math.round(this.y(value)) + .5, low = !this.height(value);
      const rule = {class: low ? "td-axis" : "td-grid", d: `M${left} ${at}H${width - right}`};
      add(art, svg("path", rule),
        svg("text", {x: left - 6, y: at + 4, "text-anchor": "end"}, words));
    }
    add(art, svg("text", {x: left, y: tall - 3}, this.from),
      svg("text", {x: width - right, y: tall - 3, "text-anchor": "end"}, this.to));
    this.#points.forEach((points, i) => add(art, ...this.#curve(points, this.lines[i], i)));
    this.marker = svg("path", {class: "td-marker", d: `M0 ${top - 4}V${tall - bottom}`});
    this.dots = this.lines.map(() => svg("circle", {class: "td-dot", r: 4}));
    this.value = svg("text", {class: "td-value", y: top - 7});
    add(art, this.marker, ...this.dots, this.value);
    this.box.replaceChildren(art);
    if (this.at) this.mark(...this.at);
  }

  label() {
    return `${this.title}, from ${this.from} to ${this.to}`;
  }

  #curve(points, {words}, i) {
    if (!points.length) return [];
    const drawn = points.map(([s, v]) => [this.x(s), this.y(v)]);
    const found = [svg("path", {class: `td-line${i ? " second" : ""}`, d: path(drawn)})];
    if (words && drawn.length > 4) {
      const [x, y] = drawn[Math.floor(drawn.length * (i ? .15 : .5))];
      const aside = {x: x + (i ? 3 : 7), y: y - (i ? 5 : 3)};
      found.push(svg("text", {class: "td-name", ...aside}, words));
    }
    return found;
  }

  mark(frame, k) {
    this.at = [frame, k];
    if (!this.marker) return;
    const s = Math.min(1, Math.max(0, this.place(frame, k))), x = this.x(s);
    this.marker.setAttribute("transform", `translate(${x.toFixed(1)} 0)`);
    this.lines.forEach((line, i) => {
      this.dots[i].setAttribute("cx", x);
      this.dots[i].setAttribute("cy", this.y(line.value(frame, k)));
    });
    this.value.textContent = this.said(this.lines[0].value(frame, k));
    const {left, right} = EDGE, end = this.x(1) + right;
    const side = x - SAID < left ? "start" : x + SAID > end ? "end" : "middle";
    const near = side === "start" ? Math.max(2, x - 4) : side === "end" ? end : x;
    this.value.setAttribute("x", near);
    this.value.setAttribute("text-anchor", side);
  }
}

const HEIGHT = 260, LEFT = 34, RIGHT = 8, TOP = 14, BOTTOM = 34;  // of a chart with axes, pixels

// A line and dots over time, as an svg of so many pixels.
//   label, unit          what it says to who does not see it; what the values are
//   end                  of the time axis; at(time) writes a time out
//   low, high            whole or half numbers, the ends of the values
//   line, dots           lists of [time, value]
//   levels               dashed lines to compare with, [what stands on it, value] each
//   last                 the words at the end of the line
export function timed(width, {label, unit, end, at, low, high, line, dots, levels, last}) {
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
  for (const [words, level] of levels) {
    add(art, rule(level, "tl-level"), write(wall, y(level) - 5, "tl-right", words));
  }
  add(art, write(LEFT + 4, HEIGHT - BOTTOM - 6, "", unit),
    svg("path", {d: path(line.map(([s, n]) => [x(s), y(n)])), class: "tl-line"}),
    ...dots.map(([s, n]) => svg("circle", {cx: x(s), cy: y(n), r: 4.5, class: "tl-dot"})));
  if (!line.length) return art;
  const [time] = line[line.length - 1], above = Math.max(...line.slice(-20).map(([, n]) => n));
  return add(art, write(Math.min(x(time), wall), y(above) - 8, "tl-right tl-value", last));
}
