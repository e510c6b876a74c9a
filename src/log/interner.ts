/**
 * Short texts that come again and again (items, categories, arms) as one string each, found by their bytes: no text is
 * made twice, so nothing of it is collected, and a later look-up in a map has its hash at hand.
 *
 * A cache and no dictionary: one slot a hash, and who was asked for since the slot was last looked at stays. Texts that
 * come once (ids of events) so pass by without driving out those that return.
 */
const SLOTS = 1 << 19;
/** Bytes of a text that is kept. Longer ones are rarely names. */
const LONGEST = 24;

const texts: (string | undefined)[] = [];
const asked = new Uint8Array(SLOTS);

/** The text of `buffer[from, to)`; undefined where it is long or not all ASCII. */
export function intern(buffer: Buffer, from: number, to: number): string | undefined {
  if (to - from > LONGEST) return undefined;
  let hash = 0x811c9dc5;
  let bits = 0;
  for (let i = from; i < to; i++) {
    const byte = buffer[i]!;
    bits |= byte;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  if (bits >= 0x80) return undefined;
  const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
  // filled up as a plain array, at the first text
  if (texts.length === 0) for (let i = 0; i < SLOTS; i++) texts.push(undefined);
  const known = texts[slot];
  if (known !== undefined && same(known, buffer, from, to)) {
    asked[slot] = 1;
    return known;
  }
  const text = buffer.toString('latin1', from, to);
  if (asked[slot] === 0) texts[slot] = text;
  else asked[slot] = 0;
  return text;
}

function same(text: string, buffer: Buffer, from: number, to: number): boolean {
  if (text.length !== to - from) return false;
  for (let i = 0; from + i < to; i++) if (text.charCodeAt(i) !== buffer[from + i]) return false;
  return true;
}
