/**
 * The JSON object in a model's text: between code fences, behind an introduction, before an explanation, or cut off. Found
 * by one walk over the characters each try, without recursion, so that no text can make it slow or overflow the stack.
 */

/** Objects and lists inside one another: what was asked for has four. */
const DEEPEST = 16;
/** Braces that turn out not to begin JSON, before the text is given up. */
const TRIES = 20;

export interface FoundJson {
  value: Record<string, unknown>;
  /** it ended too early; what was complete is in `value` */
  cut: boolean;
  /** where it stood */
  start: number;
  end: number;
}

/** The first object that `accepts`; null where there is none. */
export function findJson(text: string, accepts: (value: Record<string, unknown>) => boolean): FoundJson | null {
  let from = 0;
  for (let tries = 0; tries < TRIES; tries++) {
    const start = text.indexOf('{', from);
    if (start < 0) return null;
    const found = objectAt(text, start);
    if (found !== null && accepts(found.value)) return found;
    // one that is whole is passed over with all that is in it
    from = found === null || found.cut ? start + 1 : found.end;
  }
  return null;
}

function objectAt(text: string, start: number): FoundJson | null {
  /** what closes each that is open */
  const open: string[] = [];
  let quoted = false;
  /** the last end of an object in a list, and what was open there: the last whole tag */
  let whole: { end: number; open: string } | null = null;
  for (let i = start; i < text.length; i++) {
    const sign = text[i]!;
    if (quoted) {
      if (sign === '\\') i++;
      else if (sign === '"') quoted = false;
    } else if (sign === '"') quoted = true;
    else if (sign === '{' || sign === '[') {
      if (open.length === DEEPEST) return null;
      open.push(sign === '{' ? '}' : ']');
    } else if (sign === '}' || sign === ']') {
      if (open.pop() !== sign) return null;
      if (open.length === 0) return parsed(text, start, i + 1, '', false);
      if (sign === '}' && open.at(-1) === ']') whole = { end: i + 1, open: open.toReversed().join('') };
    }
  }
  return whole === null ? null : parsed(text, start, whole.end, whole.open, true);
}

function parsed(text: string, start: number, end: number, closing: string, cut: boolean): FoundJson | null {
  try {
    return { value: JSON.parse(text.slice(start, end) + closing) as Record<string, unknown>, cut, start, end };
  } catch {
    return null;
  }
}
