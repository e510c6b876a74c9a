import type { SerendipityLabel } from '../serendipity/records.ts';

/** A label as explained; a file replay's labels carry no revision and no withdrawn. */
export type ExplainableLabel = Omit<SerendipityLabel, 'revision' | 'withdrawn'> &
  Partial<Pick<SerendipityLabel, 'revision' | 'withdrawn'>>;

export interface WordsOptions {
  /** the item's title, where the catalog knows it */
  title?: string | null;
  /** the business time zone that days and times are told in */
  timeZone?: string;
  /** N of Definition 1: a user with fewer visit days is young */
  visitDays?: number;
}

/** One plain sentence: why a label is what it is. */
export function explainLabel(label: ExplainableLabel, options: WordsOptions = {}): string {
  const { title, timeZone = 'UTC', visitDays = 10 } = options;
  const item = plain(label.item_id);
  const what = title ? `${plain(title)} (${item})` : item;
  const clicked = `${plain(label.user_id)} clicked ${what} on ${dayOf(label.click_time, timeZone)}`;
  return `${clicked}: ${verdictOf(label, timeZone, visitDays)}${foundBy(label)}`;
}

function verdictOf(label: ExplainableLabel, timeZone: string, n: number): string {
  const outcome = label.serendipitous ? 'serendipitous' : 'not serendipitous';
  if (label.withdrawn === true) {
    return (
      `this label was withdrawn (it said ${outcome}): an event that arrived later took its place, ` +
      `such as an earlier click on the same exposure`
    );
  }
  if (label.unlabelled === 'no_category') {
    return `not labelled, as neither the event nor the catalog names its category${alsoNew(label, 'but')}`;
  }
  const category = `its category '${plain(label.category_id ?? '')}'`;
  if (label.serendipitous) {
    if (label.visit_days >= n) return `serendipitous, ${category} was in none of the last ${daysOf(n, 'visit day')}`;
    return `serendipitous, ${category} was not shown before (a young user: ${onlySoFar(label.visit_days, n)})`;
  }
  const young = label.visit_days < n ? ` (${onlySoFar(label.visit_days, n)})` : '';
  if (label.category_last_seen === null) return `not serendipitous, ${category} was shown before${young}`;
  const shown = label.exposure_time ?? label.click_time;
  const ago = agoOf(label.category_last_seen, shown, timeZone);
  const last = momentOf(label.category_last_seen, timeZone);
  return `not serendipitous, ${category} was last shown ${last}, ${ago} before${young}${alsoNew(label, 'but')}`;
}

/** The paper's online variant asks the brand and the seller too. */
function alsoNew(label: ExplainableLabel, and: string): string {
  const fresh: string[] = [];
  if (label.novel_brand) fresh.push(`brand '${plain(label.brand_id ?? '')}'`);
  if (label.novel_seller) fresh.push(`seller '${plain(label.seller_id ?? '')}'`);
  if (fresh.length === 0) return '';
  return `, ${and} its ${fresh.join(' and its ')} ${fresh.length === 1 ? 'is' : 'are'} new`;
}

function foundBy({ attribution, withdrawn }: ExplainableLabel): string {
  if (withdrawn === true || attribution === 'request') return '';
  return attribution === 'item'
    ? '; the item had been shown by another request'
    : '; no exposure of the item was found, so the click itself was judged';
}

const daysOf = (count: number, what = 'day'): string => `${count} ${what}${count === 1 ? '' : 's'}`;

const onlySoFar = (days: number, n: number): string =>
  days === 0 ? `no visit day before, of ${n}` : `only ${daysOf(days, 'visit day')} so far, of ${n}`;

/** Days on the calendar; within one day hours, minutes, seconds. */
export function agoOf(from: number, to: number, timeZone: string): string {
  const days = Math.round((Date.parse(dayOf(to, timeZone)) - Date.parse(dayOf(from, timeZone))) / 86_400_000);
  if (days > 0) return daysOf(days);
  const seconds = Math.max(0, (to - from) / 1000);
  if (seconds >= 3600) return daysOf(Math.floor(seconds / 3600), 'hour');
  if (seconds >= 60) return daysOf(Math.floor(seconds / 60), 'minute');
  return 'less than a minute';
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** ISO's order of a date, in the zone: Swedish has it. */
function local(time: number, timeZone: string): string {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
    formats.set(timeZone, format);
  }
  return format.format(time);
}

export const dayOf = (time: number, timeZone: string): string => local(time, timeZone).split(' ')[0]!;
/** Date and time. */
export const momentOf = (time: number, timeZone: string): string => local(time, timeZone);

/** Ids and titles come from outside: on one line, and nothing that a terminal would obey. */
export const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
