/** On which days a user was there, as far as it says how active somebody is: the last four weeks, in one number. */
const DAY = 86_400_000;
const DAYS = 28;

export interface VisitDays {
  /** event time of the newest event */
  newest: number;
  /** one bit a day up to that of `newest`, its lowest bit: the days with events */
  visits: number;
}

/** Notes an event's day. True where something changed that is to be kept. */
export function visit(at: VisitDays, time: number): boolean {
  const day = Math.floor(time / DAY);
  const newestDay = Math.floor(at.newest / DAY);
  const ahead = day - newestDay;
  const before = at.visits;
  if (ahead > 0) at.visits = (ahead >= DAYS ? 0 : (at.visits << ahead) & ((1 << DAYS) - 1)) | 1;
  else if (ahead > -DAYS) at.visits |= 1 << -ahead;
  // within a day it is not worth a write: `newest` is kept when something else is
  if (time > at.newest) at.newest = time;
  return ahead > 0 || at.visits !== before;
}

/** Days with events among the last 28, up to the newest. */
export function visitDays({ visits }: VisitDays): number {
  let count = 0;
  for (let rest = visits; rest !== 0; rest &= rest - 1) count++;
  return count;
}
