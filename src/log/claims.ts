/** What a group's options say of state, with what holds where they do not. Both logs ask here. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { Wishes } from './assignment.ts';
import type { Claim, GroupOptions } from './port.ts';

/** A join is not held up for longer: without claims it is only less well balanced. */
const CLAIMS_WITHIN_MS = 5_000;
const WARM_WITHIN = 10_000;

export const wishesOf = ({ standbys = 0, warmWithin = WARM_WITHIN }: GroupOptions): Wishes => ({
  standbys,
  warmWithin,
});

export async function claimsOf(
  { claims, group }: GroupOptions,
  log: (level: 'warn', message: string, fields: object) => void,
): Promise<Claim[]> {
  if (claims === undefined) return [];
  const timer = new AbortController();
  try {
    const late = sleep(CLAIMS_WITHIN_MS, 'late' as const, { signal: timer.signal, ref: false }).catch(
      () => 'late' as const,
    );
    const found = await Promise.race([claims(), late]);
    if (found !== 'late') return found;
    log('warn', 'joining a group without a word of our state: it is not known in time', { group });
  } catch (error) {
    log('warn', 'joining a group without a word of our state', { group, error: messageOf(error) });
  } finally {
    timer.abort();
  }
  return [];
}
