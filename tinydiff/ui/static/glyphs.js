// What is drawn for a sign. CONTROLS are those of tinydiff/show/export.py, the bytes and their
// UNIT those of tinydiff/text/tokenizers, WIDE is what Unicode calls so.

export const CONTROLS = {"\x7f": "·", "\n": "↵", "\t": "⇥"};
export const ENDED = "∎";  // what stands for the token that ends a text
const SPACE = "␣";   // a space that stands alone
const BROKEN = "▯";  // the bytes of a character that is not whole
const BYTES = /[\uee00-\ueeff]+/g;  // how they travel in pieces
const UNIT = new RegExp("[\ueec2-\ueedf][\uee80-\ueebf]|[\ueee0-\ueeef][\uee80-\ueebf]{2}"
  + "|[\ueef0-\ueef4][\uee80-\ueebf]{3}|[\uee00-\ueeff][\uee80-\ueebf]*", "g");
const WIDE = new RegExp("(?!\\p{RI})[\\p{Emoji_Presentation}\u1100-\u115f\u2329\u232a\u2e80-\u303e"
  + "\u3041-\u3247\u3250-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19"
  + "\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18d08}\u{1aff0}-\u{1b2fb}"
  + "\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]", "u");

export const spells = (sign, pieces = {}) => pieces[sign] ?? sign;

// Only what a run names as a piece may hold bytes: a model of characters can have such a letter.
export function glyph(sign, pieces = {}) {
  if (pieces[sign] === undefined) return CONTROLS[sign] ?? sign;
  return seen(pieces[sign].replace(BYTES, BROKEN));
}

const seen = (text) => text.replace(/[\x7f\n\t]/g, (c) => CONTROLS[c]);

// the same for one that stands alone
export function alone(sign, pieces = {}) {
  return spells(sign, pieces) === " " ? SPACE : glyph(sign, pieces);
}

// What each of the signs in a row adds to a text: a character whose bytes lie in several stands at
// the last of them, and so does one BROKEN for those of one that is not whole.
export function drawn(signs, pieces = {}) {
  if (!Object.keys(pieces).length) return signs.map((sign) => glyph(sign));
  const spelled = signs.map((sign) => spells(sign, pieces));
  const text = spelled.join(""), units = text.split("");
  for (const {0: unit, index} of text.matchAll(UNIT)) {
    const end = index + unit.length;
    units.fill("", index, end)[end - 1] = whole(unit);
  }
  let place = 0;
  return spelled.map((piece) => seen(units.slice(place, place += piece.length).join("")));
}

// one character, or BROKEN
function whole(unit) {
  const text = decoded(unit);
  return text.startsWith("\ufffd") ? BROKEN : text;
}

const decoded = (bytes) => (
  new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0) & 255)));

// a text to be read aloud: bytes that make a character together are it
export function readable(signs, pieces) {
  const whole = signs.map((sign) => spells(sign, pieces)).join("").replaceAll("\x7f", "·");
  if (!Object.keys(pieces).length) return whole;
  return whole.replace(BYTES, decoded);
}

// does it take the room of two letters
export const isWide = (sign) => WIDE.test(sign);
