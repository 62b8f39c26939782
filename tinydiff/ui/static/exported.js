// The exported page: the player with the one run that the page holds.

import {play} from "./player.js";

export function replay() {
  const value = JSON.parse(document.getElementById("run").textContent);
  play(document.getElementById("player"), () => {}, {value}, () => {});
}
