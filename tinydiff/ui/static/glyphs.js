// What is drawn for a sign. The table is that of tinydiff/show/export.py.

export const CONTROLS = {"\x7f": "·", "\n": "↵", "\t": "⇥"};
const SPACE = "␣";   // a space that stands alone
const BROKEN = "▯";  // the bytes of a character that is not whole
const BYTES = /[\uee00-\ueeff]+/g;  // how they travel in pieces: tokenizers.HALVES

export const spells = (sign, pieces = {}) => pieces[sign] ?? sign;

// Only what a run names as a piece may hold bytes: a model of characters can have such a letter.
export function glyph(sign, pieces = {}) {
  if (pieces[sign] === undefined) return CONTROLS[sign] ?? sign;
  return pieces[sign].replace(BYTES, BROKEN).replace(/[\x7f\n\t]/g, (c) => CONTROLS[c]);
}

// the same for one that stands alone
export function alone(sign, pieces = {}) {
  return spells(sign, pieces) === " " ? SPACE : glyph(sign, pieces);
}

// a text to be read aloud: bytes that make a character together are it
export function readable(signs, pieces) {
  const whole = signs.map((sign) => spells(sign, pieces)).join("").replaceAll("\x7f", "·");
  if (!Object.keys(pieces).length) return whole;
  const decoder = new TextDecoder();
  return whole.replace(BYTES,
    (bytes) => decoder.decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0) & 255)));
}
