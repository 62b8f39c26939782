// The player: draws a run that the server streams, at its own clock.
//
// `element` holds player.html; props.value is a run as wire.js describes it. With head.pace,
// pictures appear at their own seconds times pace; else at the chosen number a second, the first
// look slowly, so that its halves are seen. props.linked writes head.query into the address. What
// is particular to a noise is its view (views/NAME.js):
//   words, stage(box, run)   under the text: builds it, and gives draw(frame, at)
//   marks                    are the tokens that it shows marked in the text
//   shade                    a shade of the cells, as in cells.js

import {Cells, changes} from "./cells.js";
import {add, colour, make, mark, put, reduced, remembered} from "./dom.js";
import {drawGaps} from "./gaps.js";
import {alone, readable} from "./glyphs.js";
import {Looks} from "./looks.js";
import {looks, plots} from "./plots.js";
import {drawProof, summary} from "./proof.js";
import {refuse} from "./refusals.js";
import {Hand, bets, changed, differences} from "./touch.js";
import {BEHIND, MASK, Run, isOpen, share} from "./wire.js";
import {waited} from "./waiting.js";
import * as views from "./views/*.js";

const ROW = 64;        // cells that Shift and an arrow go up or down
const SPOKEN = 400;    // characters of the finished text that are read aloud
// milliseconds that the start, the guesses, and each of the next pictures are seen; the first time
// on a page, and then
const SLOW = {start: 900, guess: 1300, then: [1000, 450, 250]};
const SHOWN = 12;      // runs that the browser can go back to
const NARROW = 900;  // px, under which the text stands over the panel
const OUT_OF_SIGHT = 80;  // pixels: less of a text is none
const SOON = 200;  // milliseconds after a swap in which another may follow
const OLD = "This is the text from before: what you asked for was not written.";
const REST = 900;  // milliseconds for which what came last is marked as new
const QUICK = {start: 250, guess: 600, then: [450, 200, 120]};
const ROOMY = [[170, 1], [300, .84], [Infinity, .72]];  // up to so many tokens, letters so large
const LONG = 280;  // characters of a source from which its letters are small
// what the page says of noise by masks, and of other noise
const MASKED = {
  hidden: ["x"], share: "masked", word: "hidden", title: "left to do",
  best: "In the place of each mask the likeliest token; the paler, the less sure",
};
const NOISY = {
  hidden: ["m", "u"], share: "changing", word: "changing", title: "changed by this look",
  best: "Under the noise the likeliest token; the paler, the less sure",
};

const players = new Map();  // by the id of their element

export function play(element, trigger, props, watch) {
  const player = new Player(element, trigger, props);
  players.set(element.closest(".block")?.id, player);
  watch("value", () => player.arrived());
  player.arrived();
}

// Other numbers of looks for the run of a player, as they come: {run, made}, its number and values
// by number of looks, each as JSON.
export function takeOthers(id, props, watch) {
  const arrived = () => players.get(id)?.take(props.value);
  watch("value", arrived);
  arrived();
}

// is what a player shows a text that no link makes again?
export function changedByHand(id) {
  return players.get(id)?.run.head.query === "";
}

class Player {
  run = null;
  #gone = new Set();  // runs that others have taken the place of: what comes of them is not shown
  #at = -1;
  #playing = false;
  #timer = 0;
  #last = 0;          // when the clock was last asked; 0 as it starts
  #base = 0;
  #due = 0;           // when the next picture is to be seen
  #phase = "";        // "guess" while the guesses of the first look are seen, "rest" at the end
  #resting = 0;       // until what came last is marked no more
  #pauses = SLOW;
  #main = null;       // the run that was asked for; `run` is that or one of its other looks
  #others = null;     // of which the newest is
  #kept = null;       // a run that stands beside the other
  #again = null;      // the last picture before words are written again
  #past = 0;          // deeds that can be undone
  #shown = new Map(); // runs that the browser can go back to, by number
  #linking = 0;       // until the address is that of what is shown
  #charts = [];
  #proof = null;      // what is doubted in a run: {told, run}
  #asked = null;      // the run of which that was asked
  #ruled = false;     // is there one for the rules?
  #stage = null;      // draws what is particular to the noise, under the text
  #shades = {changes};

  constructor(element, trigger, props) {
    Object.assign(this, {element, trigger, props});
    this.root = this.find(".td-player");
    this.seek = this.find(".td-seek");
    this.cells = new Cells(this.find(".td-cells"));
    this.pinned = new Cells(this.find(".td-pinned .td-cells"));
    this.looks = new Looks(this.find(".td-looks"), (run) => this.swap(run),
      (count) => this.trigger("looked", {count}));
    this.hand = new Hand(this.find(".td-sheet"), this.find(".td-cells"), () => this.run,
      (deed) => (deed ? this.touch(deed) : this.drawDeeds()));
    this.resized = new ResizeObserver(() => this.drawPlots(true));
    this.resized.observe(this.find(".td-plots"));
    document.addEventListener("keydown", (event) => this.pressedAnywhere(event));
    document.addEventListener("click", (event) => this.clickedAnywhere(event), true);
    element.addEventListener("click", (event) => this.clicked(event));
    element.addEventListener("keydown", (event) => this.pressed(event));
    roving(this.find(".td-moves"));
    roving(this.find(".td-views"));
    roving(this.find(".td-tools"));
    addEventListener("popstate", ({state}) => this.back(state?.run));
    if (props.linked) this.cameFrom(remembered("claim"));
    element.addEventListener("input", (event) => {
      if (event.target === this.seek) this.go(Number(this.seek.value));
    });
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  // Above a run that a claim led to stands the claim, until another run begins.
  cameFrom(claim) {
    if (!claim?.search || claim.search !== location.search) return;
    const line = this.find(".td-claim"), link = line.querySelector("a");
    line.hidden = false;
    link.textContent = claim.said;
    link.href = `#claims=${claim.name}`;
  }

  // -------------------------------------------------------------- arriving runs

  arrived() {
    const value = this.props.value;
    if (value && waited(this.root, value)) return this.waits(!!value.waiting);
    if (value?.refused) {
      this.rests(this.run?.done ?? true);  // it waited for its turn, and will have none
      return this.refuse(value.refused, value.beside);
    }
    if (value?.proof && value.run === this.#main?.number) return this.prove(value.proof);
    if (!value || !value.chunks || this.#gone.has(value.run)) return;
    const fresh = value.run !== this.#main?.number;
    if (fresh) this.begin(value); else this.#main.take(value);
    if (this.run !== this.#main) return this.grow();
    const {done, end, frames, filling} = this.run;
    this.rests(done && !filling);
    this.grow();
    this.drawGaps();
    if (filling) this.say(`Gaps of ${filling} ${this.run.gaps.unit} are tried.`);
    if (fresh) {
      const length = frames[0].text.length, {unit = "characters"} = this.run.scene;
      if (!filling) {
        this.say(done ? "A run is ready to be played."
          : `Writing ${length} ${unit} in ${looks(this.run)}.`);
      }
      if (value.still) this.swap(this.run);
      else {
        this.paint(0);
        if (!reduced.matches) this.setPlaying(true);
      }
    } else if (this.#at >= 0) this.paint(this.#at);
    if (reduced.matches && done && !filling) {
      this.paint(end);
      this.announce();
    }
    if (value.proof) {
      this.#past++;  // the text before it
      this.prove(value.proof);
    }
  }

  // What is doubted in the text that is shown, and what comes of that; the text of which it was
  // asked may be another by now.
  prove(told) {
    this.rests(!told.busy);
    if (this.#asked && this.#asked !== this.run) return;
    this.leave();
    if (this.#playing || this.#at < this.run.end) {
      this.setPlaying(false);
      this.#phase = "rest";
      this.paint(this.run.end);
    }
    this.#proof = {told, run: this.run};
    this.drawProof();
    this.say(summary(told));
  }

  drawProof() {
    const told = this.#proof?.told;
    this.root.classList.toggle("td-proving", !!told);
    drawProof(this.find(".td-proof"), this.find(".td-doubts"), told, (name) => this.proved(name));
    this.find(".td-caption").textContent = this.caption();
    this.drawDeeds();
  }

  // what is done with what is doubted
  proved(name) {
    if (name !== "close") return this.touch({do: name in {mend: 1, undo: 1} ? name : "doubt",
      way: name});
    this.#proof = null;
    this.drawProof();
    this.find(".td-sheet").focus({preventScroll: true});
  }

  // what else could stand in a gap
  drawGaps() {
    const gaps = this.props.linked ? this.run.gaps : null;
    this.root.classList.toggle("td-filled", !!gaps);
    drawGaps(this.find(".td-gaps"), gaps, (deed) => this.touch(deed));
  }

  // A run waits for its turn, or does no more: what ran before it stays as far as it came.
  waits(on) {
    this.rests(!on);
    if (!on) this.say("Stopped: nothing waits any more.");
  }

  // whether nothing is written now, and so nothing to stop
  rests(on) {
    this.find(".td-stop").hidden = on;
    this.root.classList.toggle("running", !on);
  }

  begin(value) {
    if (!value.done) this.makeRoom();  // measures: before anything is changed
    if (this.#main) this.leaveRun(this.#main);
    if (this.#main?.number) this.find(".td-claim").hidden = true;
    if (this.#main?.told) this.#pauses = QUICK;
    this.setPlaying(false);
    this.#phase = "";
    this.#main = this.run = new Run(value);
    this.#asked = null;
    this.run.before = this.run.head.query === "" ? this.#again : null;
    this.#again = null;
    this.#at = this.cells.picked = -1;
    this.find(".td-top").hidden = true;
    const {family = "masked", noise, pace, looks: counts, settings} = this.run.head;
    this.root.dataset.family = family;
    colour(this.root, family);
    this.find(".td-speed-label").hidden = !!pace;
    this.find(".td-big span").textContent = noise ?? "";
    this.drawSource(this.run.head.source);
    const [, size] = ROOMY.find(([most]) => this.run.frames[0].text.length <= most);
    this.root.style.setProperty("--td-size", size);
    // whoever asked for a text sees it, one that was there at once too; the run at load stays put
    const asked = !value.done || (this.run.number && (!value.still || value.proof));
    const sheets = this.find(".td-sheets");
    if (asked && (innerWidth < NARROW || sheets.getBoundingClientRect().bottom < OUT_OF_SIGHT)) {
      sheets.scrollIntoView({behavior: reduced.matches ? "auto" : "smooth"});
    }
    if (this.run.number) this.link();  // the run at load leaves the address alone
    else this.#shown.set(0, this.run);
    if (this.props.linked) mark("denoise", false);
    this.looks.begin(this.run, this.props.linked && counts || [], settings?.steps);
    this.refuse("");
    this.hand.locked.clear();
    this.hand.choose(null);
    if (this.#kept?.head.looks && this.#kept.number === this.run.number) this.#kept = null;
    this.pin(this.#kept);
    this.makeCharts();
    this.makeView();
    if (this.#others) this.take(this.#others);
  }

  // the address of what is shown; a run of the visitor's is a place to come back to
  link() {
    clearTimeout(this.#linking);
    const {run} = this, {query} = run.head;
    if (!this.props.linked || !query) return;
    this.#shown.set(run.number, run);
    for (const number of [...this.#shown.keys()].slice(0, -SHOWN)) this.#shown.delete(number);
    const before = history.state?.run, state = {...history.state, run: run.number};
    const again = before === undefined || before === run.number || run !== this.#main;
    history[again ? "replaceState" : "pushState"](state, "", `?${query}${location.hash}`);
  }

  // the browser goes back, or forward, to a run that was shown
  back(number) {
    const run = this.#shown.get(number);
    if (!run || run === this.run || !run.done) return;
    this.swap(run);
    this.drawGaps();
    mark("denoise", true);
  }

  // another takes its place: what came of it is what it is
  leaveRun(run) {
    this.#gone.add(run.number);
    if (run.done) return;
    Object.assign(run, {done: true, stopped: true, end: run.frames.length - 1});
  }

  // other numbers of looks for the run, {run, made}
  take(found) {
    if (!found?.made) return;
    this.#others = found;
    if (found.run !== this.#main?.number) return;
    for (const [count, value] of Object.entries(found.made)) {
      if (this.looks.runs.has(Number(count))) continue;
      this.looks.add(Number(count), new Run(JSON.parse(value)));
    }
    this.drawPinned();
  }

  // the same run with another number of looks, finished
  swap(run) {
    this.setPlaying(false);
    this.#phase = "rest";
    this.run = run;
    this.grow();  // measures: before anything is changed
    this.cells.box.classList.add("td-still");
    if (this.run.scene.view) this.makeView();
    this.paint(run.end);
    clearTimeout(this.#linking);
    this.#linking = setTimeout(() => this.link(), SOON);
    requestAnimationFrame(() => this.cells.box.classList.remove("td-still"));
  }

  // a run beside the other, or none
  pin(run) {
    this.#kept = run || null;
    this.find(".td-pinned").hidden = !run;
    this.find(".td-sheets").classList.toggle("td-both", !!run);
    this.drawPinned();
  }

  // It goes by the same clock. When both are over, what differs is marked; a first look has nothing
  // in common.
  drawPinned() {
    const one = this.looks.runs.get(1), box = this.find(".td-pinned"), kept = this.#kept;
    const pressed = !!kept && kept === one;
    this.find(".td-pin").disabled = !one || one === this.run && !pressed;  // it would stand twice
    this.find(".td-pin").setAttribute("aria-pressed", String(pressed));
    if (box.hidden || !kept) return;
    const {end} = this.run, over = this.#at >= end;
    box.querySelector(".td-title b").textContent = named(kept, this.run);
    box.querySelector(".td-title span").textContent = said(kept);
    const share = Math.max(0, this.#at) / Math.max(1, end);
    const k = kept === one || over ? kept.end : Math.round(share * kept.end);
    this.pinned.draw(kept.frames[k], kept, null, over);
    if (!over || kept === one || !kept.done || !this.run.done) return;
    const texts = [this.run, kept].map(({frames, end: last}) => frames[last]);
    const all = differences(...texts.map(({text}) => text));
    [this.cells, this.pinned].forEach((cells, i) => cells.mark(all[i]));
  }

  // ------------------------------------------------------------ what is done to the text

  // something the server is to do
  touch(deed) {
    this.refuse("");
    this.pick(-1);
    this.#again = deed.do === "again" ? this.hand.whole : null;
    const beside = deed.do === "doubt" || deed.do === "mend";  // the text stays
    this.#asked = beside ? this.run : null;
    if (deed.do === "undo") this.#past = Math.max(0, this.#past - 1);
    else if (deed.do !== "take" && !beside) this.#past++;
    this.trigger("touched", deed);
  }

  // why it was not done: at the field it is about, or beside the text
  refuse(words, beside) {
    const line = this.find(".td-refusal"), page = this.element.closest(".tabitem");
    const there = refuse(page, beside ? "" : words);
    line.textContent = there ? "" : words;
    line.hidden = there || !words;
    if (!beside) this.root.classList.toggle("td-old", !!words);
    if (words && !beside) {
      Object.assign(this.find(".td-changed"), {hidden: false, textContent: OLD});
    }
  }

  drawDeeds() {
    const {done, end, frames, head, scene} = this.run, can = head.touch === "";
    const over = done && this.#at >= end;
    for (const name of ["m", "n"]) {
      this.find(`.td-kinds .${name}`).parentNode.classList.toggle("td-past", over && !head.yours);
    }
    const given = !done || frames[end].state.includes("g");
    this.find(".td-kinds .g").parentNode.classList.toggle("td-past", !given);
    const offered = {
      undo: this.#past > 0, rest: can && over && this.hand.locked.size > 0 && !head.yours,
      fork: can && done && this.#at > 0 && this.#at < end, finish: head.yours, keep: over,
      doubt: can && over && scene.masks && !head.yours && !this.#proof && !frames[end].masked,
    };
    const {asked} = this.run, strange = done && this.run.strange?.size > 0;
    this.find(".td-kinds .asked").parentNode.hidden = !over || !asked.cells.size;
    this.find(".td-kinds .f").parentNode.classList.toggle("td-past", !strange);
    // while it plays nothing comes or goes beside the sentence
    this.find(".td-deeds").hidden = !this.props.linked || this.#playing;
    for (const button of this.find(".td-deeds").children) {
      button.hidden = !offered[button.dataset.deed];
    }
  }

  deed(name) {
    const acts = {
      undo: () => this.touch({do: "undo"}),
      rest: () => this.touch({do: "again", cells: this.hand.rest}),
      finish: () => this.touch({do: "finish"}),
      keep: () => this.pin(this.run),
      doubt: () => this.touch({do: "doubt"}),
      fork: () => {
        this.#kept = this.run;  // both stay
        this.touch({do: "fork", step: this.#at});
      },
    };
    acts[name]?.();
  }

  // For what comes when a run ends, so that nothing moves then: Stop, and as much as the numbers of
  // the run before took.
  makeRoom() {
    const list = this.find(".td-stats");
    if (list.style.minHeight) list.style.minHeight = "";
    const {height} = list.getBoundingClientRect();
    this.root.classList.add("live");
    list.classList.toggle("held", height > 0);
    if (height) list.style.minHeight = `${height}px`;
  }

  // what a run has more of with every picture
  grow() {
    const {end, frames, head, scene, stats} = this.run;
    if (!!head.rules !== this.#ruled) this.makeCharts();
    for (const chart of this.#charts.filter((c) => c.grows)) chart.draw(frames, looks(this.run));
    if (this.looks.counts.length && this.run === this.#main) this.looks.mark(this.looks.at);
    const list = this.find(".td-stats");
    list.textContent = "";
    for (const [name, value, reference] of stats || []) {
      const row = add(put(list, "div"), make("dt", "", name), make("dd", "", value));
      if (reference) put(row, "dd", "td-reference", reference);
    }
    // how often a cell changed is worth a view where one did more than once
    const again = !scene.masks || frames.some((frame) => frame.state.includes("a"));
    this.find("[data-view=changes]").hidden = !again;
    for (const name of [".td-learned", ".td-story"]) this.find(name).hidden = !this.props.linked;
    this.find("[data-view=lines]").hidden = Object.keys(this.run.pieces).length > 0;
    if (this.find(`[data-view="${this.viewName}"]`)?.hidden !== false) this.setView("text");
  }

  // -------------------------------------------------------------- what is shown

  paint(k) {
    const {end, frames} = this.run || {frames: []};
    if (!frames.length) return;
    this.#at = Math.max(0, Math.min(k, frames.length - 1));
    const frame = frames[this.#at], where = `look ${this.#at} of ${end}`;
    const rest = this.#phase === "rest";
    this.cells.draw(frame, this.run, this.#phase === "guess" ? this.run.guess : null, rest);
    if (this.hand.chosen && (this.#at < end || !this.run.done)) this.hand.choose(null);
    else this.hand.draw();
    if (this.#playing) this.cells.hold();
    this.seek.max = end;
    this.seek.value = this.#at;
    this.seek.style.setProperty("--done", `${end ? 100 * this.#at / end : 0}%`);
    this.seek.setAttribute("aria-valuetext", where);
    this.find(".td-where").textContent = where;
    this.find(".td-big b").textContent = `${this.#at} / ${end}`;
    if (this.#proof && (this.#proof.run !== this.run || this.#at < end)) {
      this.#proof = null;
      this.drawProof();
    }
    this.find(".td-caption").textContent = this.caption();
    this.drawTitle();
    this.drawPinned();
    this.drawDeeds();
    for (const chart of this.#charts) chart.mark(frame, this.#at);
    if (frame.view.length) this.#stage?.(frame, this.#at);
    this.drawShades(frame);
    this.drawTop(frame);
    this.restSoon();
  }

  // what happens at this moment
  caption() {
    const {done, end, stopped, filling, head: {told}} = this.run, at = this.#at;
    if (this.#proof) return summary(this.#proof.told);
    if (filling) return "The likeliest so far; other lengths are being tried.";
    if (done && at >= end) {
      if (stopped) return `Stopped after ${looks(this.run)}: what came is kept.`;
      if (this.run.before) return this.outcome;
      if (this.run.head.yours) return "Your turn: click a hidden word, and take one of its bets.";
      const more = this.props.linked && this.hand.can && end ? " Choose words to rewrite." : "";
      return end === 1 ? "Done: 1 look. Every first guess was kept."
        : end ? `Done: ${end} looks.${more}` : "Changed by hand. Choose words to rewrite.";
    }
    if (!told) return "";
    if (this.#phase === "guess") return told.guess;
    if (at === 0) return told.start;
    return at === 1 && told.keep ? told.keep : told.order ?? told.run ?? "";
  }

  // what came of words that were written again
  get outcome() {
    const {before, end, frames, pieces} = this.run, count = changed(before, frames[end], pieces);
    return !count ? "The same came again: the network is that sure."
      : count === 1 ? "Written again: 1 word changed." : `Written again: ${count} words changed.`;
  }

  // what the text is written from, beside it; above it where its lines are of one width
  drawSource(source) {
    const box = this.find(".td-source"), {classList} = this.find(".td-sheets");
    box.hidden = !source;
    classList.toggle("td-written", !!source);
    classList.toggle("td-above", !!source?.above);
    if (!source) return;
    box.querySelector("span").textContent = source.name;
    box.querySelector(".td-words").textContent = source.text;
    box.classList.toggle("td-long", source.text.length > LONG);
  }

  // over the text, where two are side by side
  drawTitle() {
    const title = this.find(".td-sheet .td-title");
    title.querySelector("b").textContent = this.run.head.title ?? looks(this.run);
    title.querySelector("span").textContent = said(this.run);
  }

  drawShades(frame) {
    const list = this.find(".td-shades"), {shade} = this.cells;
    list.hidden = !shade;
    this.find(".td-kinds").hidden = !!shade;
    list.textContent = "";
    if (!shade) return;
    if (shade.heading) put(list, "li", "", shade.heading);
    const open = [...frame.text.keys()].filter((i) => isOpen(frame, i));
    for (const [level, words] of shade.legend(frame, open)) {
      add(put(list, "li"), make("span", `td-cell h${level}`, "a"), ` ${words}`);
    }
  }

  drawTop(frame) {
    const box = this.find(".td-top"), {picked} = this.cells, {run} = this;
    box.textContent = "";
    box.hidden = picked < 0;
    if (picked < 0) return;
    const found = run.done && frame.state[picked] !== "g" ? run.topOf(picked, this.#at) : null;
    const unit = Object.keys(run.pieces).length ? "Token" : "Character";
    const mine = run.head.yours && found && frame.text[picked] === MASK;
    if (mine) {
      put(box, "p", "td-top-head", "What could stand here? Take one of the network's bets:");
      this.place(box);
      return bets(box, found.signs, share, run.pieces,
        (token) => this.touch({do: "take", cell: picked, token}));
    }
    put(box, "p", "td-top-head",
      `${unit} ${picked + 1}, look ${this.#at}: ${this.source(frame, found)}`);
    this.place(box);
    if (!found) return;
    const list = put(box, "ol", "td-top-list");
    for (let i = 0; i < found.signs.length; i += 2) {
      const [sign, level] = found.signs.slice(i, i + 2), p = share(level);
      const row = put(list, "li", frame.text[picked] === sign ? "taken" : "");
      put(row, "span", "td-top-sign", alone(sign, run.pieces));
      put(row, "span", "td-top-bar").style.setProperty("--share", `${100 * p}%`);
      put(row, "span", "td-top-share", p < 0.01 ? "< 1 %" : `${Math.round(100 * p)} %`);
    }
  }

  // near its cell, under what can be done with that
  place(box) {
    const sheet = this.find(".td-sheet").getBoundingClientRect();
    const cell = this.cells.rect(this.cells.picked), tools = this.find(".td-tools");
    box.style.top = `${cell.bottom - sheet.top + 8 + (tools.hidden ? 0 : 44)}px`;
    const left = Math.min(cell.left - sheet.left, sheet.width - box.offsetWidth - 8);
    box.style.left = `${Math.max(8, left)}px`;
  }

  // of what step the likeliest tokens are
  source(frame, found) {
    if (frame.state[this.cells.picked] === "g") return "given, so nothing is predicted.";
    if (!this.run.done) return "the likeliest can be seen when the run is finished.";
    if (!found) return "no prediction yet.";
    const now = found.k === this.#at;
    return now ? "the network's prediction" : `the last prediction here was at look ${found.k}`;
  }

  pick(cell) {
    this.cells.picked = cell >= 0 && cell < this.cells.count ? cell : -1;
    this.paint(this.#at);
  }

  // from where words were first chosen to a cell
  extend(cell) {
    const [first, last] = this.hand.chosen ?? [cell, cell];
    this.pick(cell);
    this.hand.choose([cell >= first ? first : last, cell]);
  }

  leave() {
    this.hand.choose(null);
    this.pick(-1);
  }

  setView(name) {
    this.viewName = name;
    this.cells.best = name === "best";
    this.cells.shade = this.#shades[name] || null;
    this.cells.box.classList.toggle("lines", name === "lines");
    for (const button of this.element.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === name));
    }
  }

  makeCharts() {
    const box = this.find(".td-plots");
    box.textContent = "";
    this.#ruled = !!this.run.head.rules;
    const before = this.#charts;
    this.#charts = plots(box, () => this.run, this.run.scene.masks ? MASKED : NOISY);
    // to measure takes long while all of the page changes
    const alike = before.length === this.#charts.length;
    if (alike) this.#charts.forEach((chart, i) => chart.sizeAs(before[i]));
    this.drawPlots(!alike);
  }

  drawPlots(anew) {
    if (!this.run) return;
    if (anew) for (const chart of this.#charts) chart.measure();
    for (const chart of this.#charts) chart.draw(this.run.frames);
    const frame = this.run.frames[this.#at];
    if (frame) for (const chart of this.#charts) chart.mark(frame, this.#at);
  }

  // what is particular to the noise of this run
  makeView() {
    const {scene} = this.run, kind = scene.masks ? MASKED : NOISY;
    const view = Object.hasOwn(views, scene.view) ? views[scene.view] : {};
    const words = Object.keys(this.run.pieces).length > 0;
    const hidden = new Set([...kind.hidden, ...words ? ["u"] : ["f"]]);
    if (scene.masks) hidden.add("a");
    for (const name of ["m", "u", "x", "a", "f"]) {
      this.find(`.td-kinds .${name}`).parentNode.hidden = hidden.has(name);
    }
    this.find("[data-view=best]").title = kind.best;
    this.offer(view.shade);
    this.cells.marked = new Set(view.marks ? scene.spots : []);
    const figure = this.find(".td-noise-view");
    figure.textContent = "";
    figure.hidden = !view.stage || !scene.spots.length;
    if (view.words) put(figure, "figcaption", "", view.words);
    const box = figure.hidden ? null : put(figure, "div", `td-stage td-${scene.view}`);
    this.#stage = box && view.stage(box, this.run);
  }

  // a button for the shade that a noise brings
  offer(shade) {
    this.find("[data-brought]")?.remove();
    this.#shades = shade ? {changes, [shade.name]: shade} : {changes};
    if (!shade) return;
    const says = {type: "button", title: shade.title, "aria-pressed": "false", "data-brought": ""};
    put(this.find(".td-views"), "button", "", shade.name, {...says, "data-view": shade.name});
  }

  say(words) {
    const line = this.find(".td-status");
    if (line.textContent !== words) line.textContent = words;
  }

  announce() {
    const {end, frames, scene, stopped} = this.run;
    const told = this.run.pieces, {between} = scene;
    const came = this.run.before && !stopped ? `${this.outcome} ` : "";
    const pieces = between ? {...told, [between]: " "} : told;
    const {state, text: signs} = frames[frames.length - 1];
    const text = readable(signs.filter((_, i) => state[i] !== BEHIND), pieces).slice(0, SPOKEN);
    const {words} = this.run.asked, has = words.length ? `It has ${words.join(", ")}. ` : "";
    this.say(`${stopped ? "Stopped" : "Finished"} after ${looks(this.run)}: ${came}${has}${text}`);
  }

  // -------------------------------------------------------------- the clock

  setPlaying(on) {
    this.#playing = on && this.run !== null;
    this.root.classList.toggle("playing", this.#playing);
    this.find(".td-play").setAttribute("aria-label", this.#playing ? "Pause" : "Play");
    cancelAnimationFrame(this.#timer);
    if (on && this.#phase === "rest") this.#phase = "";
    if (!this.#playing) {
      this.cells.release();
      return;
    }
    this.cells.hold();
    this.#last = this.#due = 0;
    this.#timer = requestAnimationFrame((time) => this.tick(time));
  }

  tick(time) {
    const {done, frames, head} = this.run;
    if (head.told && !head.pace && this.#at < 4) this.first(time);
    else {
      const due = head.pace ? this.paced(time) : this.spaced(time);
      const k = Math.min(due, frames.length - 1);
      if (k > this.#at) this.paint(k);
    }
    if (this.#at >= frames.length - 1 && done) {
      this.setPlaying(false);
      this.restSoon();
      this.announce();
    } else this.#timer = requestAnimationFrame((later) => this.tick(later));
  }

  // the first look, slowly: what is given, all guesses, those that are kept; and the next three
  first(time) {
    const {frames} = this.run, {start, guess, then} = this.#pauses;
    if (!this.#due) this.#due = time + (this.#at ? then[this.#at - 1] ?? 0 : start);
    if (time < this.#due || this.#at + 1 >= frames.length) return;
    if (this.#at === 0 && this.run.guess && this.#phase !== "guess") {
      this.#phase = "guess";
      this.#due = time + guess;
      return this.paint(0);
    }
    this.#phase = "";
    this.#due = time + (then[this.#at] ?? 0);
    this.#last = time;
    this.paint(this.#at + 1);
  }

  // However the end was reached, what came last is marked as new no more after a while.
  restSoon() {
    const {done, end, head} = this.run;
    clearTimeout(this.#resting);
    if (this.#playing || this.#phase === "rest" || !done || this.#at < end || head.pace) return;
    this.#resting = setTimeout(() => {
      this.#phase = "rest";
      this.paint(end);
    }, REST);
  }

  // the picture that is due where each has its own seconds
  paced(time) {
    const {frames, head} = this.run, when = (k) => 1000 * head.pace * frames[k].at;
    if (!this.#last) this.#base = time - when(Math.max(0, this.#at));
    this.#last = time;
    let k = this.#at;
    while (k + 1 < frames.length && when(k + 1) <= time - this.#base) k++;
    return k;
  }

  // and where so many are shown a second
  spaced(time) {
    const gap = 1000 / Number(this.find(".td-speed").value);
    if (!this.#last) this.#last = time - gap;
    const passed = Math.floor((time - this.#last + 2) / gap);
    if (passed > 0) this.#last = Math.max(this.#last + passed * gap, time - gap);
    return this.#at + passed;
  }

  go(k) {
    this.setPlaying(false);
    this.#phase = "";
    this.paint(k);
  }

  replay() {
    this.go(0);
    this.setPlaying(true);
  }

  // the sheet alone, in large letters
  present(on) {
    document.body.classList.toggle("td-show", on);
    this.root.classList.toggle("shown", on);
    this.find(".td-present").setAttribute("aria-pressed", String(on));
    this.find(".td-sheet").focus({preventScroll: true});
    if (on && this.props.linked) this.trigger("presented", {url: location.href});
    this.drawPlots(true);
  }

  get showing() {
    return this.root.classList.contains("shown");
  }

  toggle() {
    if (!this.run) return;
    if (!this.#playing && this.#at >= this.run.frames.length - 1 && this.run.done) this.paint(0);
    this.setPlaying(!this.#playing);
  }

  // -------------------------------------------------------------- hands

  clicked({target}) {
    const button = target.closest("button"), cell = target.closest(".td-cells [data-cell]");
    const acts = {
      "td-play": () => this.toggle(), "td-first": () => this.go(0),
      "td-prev": () => this.go(this.#at - 1), "td-next": () => this.go(this.#at + 1),
      "td-last": () => this.go(this.run?.end),
      "td-pin": () => {
        const one = this.looks.runs.get(1);
        this.pin(this.#kept === one ? null : one);
      },
      "td-unpin": () => this.pin(null),
      "td-present": () => this.present(!this.showing),
      "td-stop": () => {
        this.say("Stopping.");
        this.trigger("stop");
      },
    };
    if (button?.dataset.deed) this.deed(button.dataset.deed);
    else if (button?.dataset.do) return;
    else if (button?.dataset.view) {
      this.setView(button.dataset.view);
      this.paint(this.#at);
    } else if (button) {
      for (const [name, act] of Object.entries(acts)) if (button.classList.contains(name)) act();
    } else if (cell) {
      const place = Number(cell.dataset.cell);
      this.pick(place === this.cells.picked ? -1 : place);
      const words = this.cells.picked >= 0 && !this.run.head.yours;
      this.hand.choose(words ? [place, place] : null);
      this.drawTop(this.run.frames[this.#at]);
    }
  }

  pressed(event) {
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (event.target.matches("select") || modified || !this.run) return;
    const act = this.meant(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  // a click elsewhere puts the bets away; what moves the text goes on with them
  clickedAnywhere({target}) {
    const ours = ".td-cells, .td-top, .td-tools, .td-bar, .td-looks";
    if (this.cells.picked < 0) return;
    if (!this.element.contains(target) || !target.closest(ours)) this.leave();
  }

  // keys of the player wherever no field has the focus
  pressedAnywhere(event) {
    const {key, target} = event, modified = event.ctrlKey || event.metaKey || event.altKey;
    if (modified || event.defaultPrevented || !this.run || !this.root.offsetParent && !this.showing
      || target.closest?.("input, select, textarea, [contenteditable], [role=listbox]")) return;
    if (key === "Escape" && this.showing) return this.present(false);
    const here = this.element.contains(target);
    const acts = {p: () => this.present(!this.showing), r: () => this.replay()};
    if (this.showing && !here) Object.assign(acts, {" ": () => this.toggle(),
      arrowleft: () => this.go(this.#at - 1), arrowright: () => this.go(this.#at + 1)});
    const act = acts[key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // what a key means where it was pressed
  meant({key, shiftKey, target}) {
    const {picked, count} = this.cells, onSheet = target.matches(".td-sheet");
    if (key === " ") return target.closest("button") ? null : () => this.toggle();
    if (onSheet && this.#proof && key !== "Escape") return null;
    if (key === "Escape" && this.#proof && !this.showing) return () => this.proved("close");
    if (onSheet && key === "Enter") return () => this.pick(picked < 0 ? 0 : -1);
    if (key === "Escape" && this.showing) return () => this.present(false);
    if (onSheet && key === "Escape") return () => this.leave();
    if (onSheet && shiftKey && key.startsWith("Arrow")) {
      const by = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: ROW, ArrowUp: -ROW}[key];
      return () => this.extend(Math.max(0, Math.min(count - 1, picked + by)));
    }
    if (target.matches("input") || shiftKey) return null;
    const places = {ArrowRight: this.#at + 1, ArrowLeft: this.#at - 1, Home: 0, End: this.run.end};
    return key in places ? () => this.go(places[key]) : null;
  }
}

// one stop of the keyboard for a group of buttons, with arrows inside
function roving(group) {
  const buttons = () => [...group.querySelectorAll("button")].filter((b) => !b.hidden);
  const only = (one) => buttons().forEach((b) => { b.tabIndex = b === one ? 0 : -1; });
  only(group.querySelector("[data-first]") ?? buttons()[0]);
  group.addEventListener("keydown", (event) => {
    const all = buttons(), at = all.indexOf(document.activeElement);
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const next = all[(at + step + all.length) % all.length];
    only(next);
    next.focus();
  });
}

// a run that is kept, in words: its looks, and what it has of its own beside another
function named(run, other) {
  const {sampler, seed} = run.head.settings ?? {}, beside = other.head.settings ?? {};
  const own = [looks(run)];
  if (sampler && sampler !== beside.sampler) own.push(sampler.replaceAll("_", " "));
  if (sampler && seed !== beside.seed) own.push(`seed ${seed}`);
  return own.join(", ");
}

// the measure of a run, in words
function said({measure}) {
  return measure ? `${measure.name} ${Math.round(100 * measure.share)} %` : "";
}
