/**
 * What an event adds to its user's counts of a day and an arm, and takes back when it is decided again or replaced. Each
 * function that adds is false where the day is out of reach, so that nothing was counted.
 */
import type { Action, DayCounts, Mark, Page, User } from './user.ts';

export function countPage(user: User, page: Page): boolean {
  page.counted = user.count(page.day, page.arm);
  if (page.counted !== null) addPage(page.counted, page, 1);
  return page.counted !== null;
}

/** So many of the page's exposures are serendipity-related now. */
export function countRelated(page: Page, related: number): void {
  if (page.counted !== null && related !== page.countedRelated) {
    page.counted.sExposures += related - page.countedRelated;
    page.counted.changed = true;
  }
  page.countedRelated = related;
}

export function uncountPage(page: Page): void {
  if (page.counted !== null) addPage(page.counted, page, -1);
}

export function countMark(user: User, mark: Mark): boolean {
  mark.counted = user.count(mark.day, mark.arm);
  if (mark.counted !== null) addEvents(mark.counted, 1);
  return mark.counted !== null;
}

export function uncountMark(mark: Mark): void {
  if (mark.counted !== null) addEvents(mark.counted, -1);
}

/** An action counts on its own day, in the arm of its exposure, else in its own. */
export function countAction(user: User, action: Action, related: boolean): boolean {
  const arm = action.page === null ? action.arm : action.page.arm;
  const before = action.counted;
  if (before !== null && before.arm === arm && action.countedRelated === related) return true;
  uncountAction(action);
  action.counted = user.count(action.day, arm);
  action.countedRelated = related;
  if (action.counted !== null) addAction(action.counted, action, 1);
  return action.counted !== null;
}

export function uncountAction(action: Action): void {
  if (action.counted !== null) addAction(action.counted, action, -1);
}

function addEvents(counts: DayCounts, by: 1 | -1): void {
  counts.events += by;
  counts.changed = true;
}

function addPage(counts: DayCounts, page: Page, by: 1 | -1): void {
  addEvents(counts, by);
  counts.exposures += by * page.length;
  counts.sExposures += by * page.countedRelated;
}

function addAction(counts: DayCounts, action: Action, by: 1 | -1): void {
  addEvents(counts, by);
  if (action.purchase) counts.purchases += by;
  else counts.clicks += by;
  if (!action.countedRelated) return;
  if (action.purchase) counts.sPurchases += by;
  else counts.sClicks += by;
}
