/** Of one attribute's value, in characters: what a shop's table holds is not ours to trust. */
const LONGEST = 80;
const PLACEHOLDER = /\{([\w.-]+)\}/g;

/**
 * The static profile (paper, 4.2.1): clauses over a user's attributes, joined by commas. A clause with an attribute that
 * is missing, null or blank is left out whole, so that nothing is said of what is not known. Null where nothing is left.
 */
export function staticProfile(
  clauses: readonly string[],
  attributes: Readonly<Record<string, string | null>> | undefined,
): string | null {
  if (attributes === undefined) return null;
  const said: string[] = [];
  for (const clause of clauses) {
    let whole = true;
    const text = clause.replace(PLACEHOLDER, (_, name: string) => {
      const value = Object.hasOwn(attributes, name) ? plain(attributes[name]) : '';
      if (value === '') whole = false;
      return value;
    });
    if (whole) said.push(text);
  }
  return said.length === 0 ? null : said.join(', ');
}

const plain = (value: string | null | undefined): string =>
  (value ?? '')
    // eslint-disable-next-line no-control-regex
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .trim()
    .slice(0, LONGEST);
