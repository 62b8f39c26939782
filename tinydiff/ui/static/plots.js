// The plots under a text: what the schedule, the weight of the loss, the held-out loss and the run
// itself are at the moment that is shown.

import {Chart} from "./chart.js";

const RAREST = 12;  // powers of ten of the probability of a text that keeps the rules
const UNASKED = "How likely the network's bets alone would keep the rules. They are imposed, so "
  + "the finished text always does.";
const HEAVIEST = 100;  // of the loss weight that is drawn: its axis is of powers of ten
const RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079";
const parts = {
  height: (v) => v / 100, ticks: [[0, "0"], [100, "100 %"]], said: (v) => `${Math.round(v)} %`,
};

// the value of a curve that is given at evenly spaced times from 0 to 1
const even = (values) => (t) => values[Math.round(t * (values.length - 1))];

// of one that is given as [t, value] pairs, straight between them
function between(pairs) {
  return (t) => {
    const next = pairs.findIndex(([s]) => s >= t);
    if (next <= 0) return next ? pairs[pairs.length - 1][1] : pairs[0][1];
    const [[s0, v0], [s1, v1]] = [pairs[next - 1], pairs[next]];
    return v0 + (v1 - v0) * (t - s0) / (s1 - s0);
  };
}

// a chart over time, noise on the left: of(t) is its value
function overTime(box, of, times, more) {
  const points = times.map((t) => [1 - t, of(t)]).sort((a, b) => a[0] - b[0]);
  return new Chart(box, {
    from: "noise", to: "text", place: (f) => 1 - f.t,
    lines: [{value: (f) => of(Math.min(1, Math.max(0, f.t))), points}], ...more,
  });
}

// The charts of a run, in a box that is empty. now(): the run, or the same with other looks;
// hidden: the word for what is not done yet, and its share of a picture.
export function plots(box, now, hidden) {
  const {curves = {}, nats = 1} = now().head, charts = [];
  const times = Array.from({length: 65}, (_, i) => i / 64);
  if (curves.alpha) {
    const of = even(curves.alpha);
    charts.push(overTime(box, (t) => 100 * of(t), times,
      {title: "share still visible", term: "α(t)", ...parts}));
  }
  if (curves.weight) {
    const of = even(curves.weight), high = Math.log10(HEAVIEST);
    charts.push(overTime(box, of, times, {
      title: "weight of a mistake", term: "w(t)",
      height: (v) => Math.min(1, Math.max(0, Math.log10(Math.max(v, 1e-9)) / high)),
      ticks: [[1, "1×"], [10, "10×"], [HEAVIEST, `${HEAVIEST}×`]],
      said: (v) => (v >= HEAVIEST ? `≥ ${HEAVIEST}×` : `${v.toFixed(v < 10 ? 1 : 0)}×`),
    }));
  }
  if (curves.loss?.length) {
    const pairs = [[0, 0], ...curves.loss], of = between(pairs);
    const top = Math.max(1, Math.ceil(Math.max(...pairs.map(([, v]) => v))));
    charts.push(overTime(box, of, pairs.map(([t]) => t), {
      title: "loss at this noise", term: "nats",
      height: (v) => Math.min(1, v / top), ticks: [[0, "0"], [top, String(top)]],
      said: (v) => v.toFixed(2),
    }));
  }
  const steps = (f, k) => k / Math.max(1, now().end);
  charts.push(new Chart(box, {
    title: hidden.title, term: "this run", from: "0", to: looks(now()), place: steps, ...parts,
    lines: [
      {value: (f) => 100 * f[hidden.share], words: hidden.word},
      {value: (f) => 100 * f.meanEntropy / nats, words: "unsure"},
    ],
  }));
  if (now().head.rules) {
    charts.push(new Chart(box, {
      title: "rules kept unasked", term: "P", from: "0", to: looks(now()),
      place: steps, height: (v) => Math.max(0, 1 + v / RAREST),
      ticks: [[0, "all"], [-RAREST / 2, power(-RAREST / 2)], [-RAREST, power(-RAREST)]],
      said: rarity, help: UNASKED, lines: [{value: (f) => f.match ?? -RAREST}],
    }));
  }
  return charts;
}

// a probability by its log10
function rarity(v) {
  if (v > -2) return `${Math.round(100 * 10 ** v)} %`;
  if (v > -6) return `1 in ${Math.round(10 ** -v).toLocaleString("en")}`;
  return power(v);
}

// ten to a negative power, as it is printed
function power(v) {
  return `10\u207b${[...String(Math.round(-v))].map((digit) => RAISED[digit]).join("")}`;
}

export const looks = ({end}) => `${end} look${end === 1 ? "" : "s"}`;
