import type { EventType } from '../shop/behaviour.ts';
import { PROFILES_DEFAULTS } from '../profile/options.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export interface RegenerationOptions {
  /** partitions of the user-keyed topics: the budget is divided by them */
  partitions: number;
  /** T: ms of event time that candidates are used (paper, 4.4.1; 6, 12 and 24 hours are tried in 5.3.3) */
  maxAge: number;
  /** ms of event time since the last generation before which another profile asks for no new one */
  minAge: number;
  /** event time before which no visit asks; null: there is none. Of a job that begins over a log of before */
  since: number | null;
  /** types of events that count as a visit */
  visits: EventType[];
  /** of a user without a profile: behaviours without which nothing is asked */
  fewestBehaviours: number;
  /** last behaviours that a request tells of */
  history: number;
  /** titles, and search queries (paper, Appendix F), that a request asks for */
  samples: number;
  queries: number;
  promptVersion: string;
  /** of all partitions together; null: no limit */
  requestsPerSecond: number | null;
  /** ms over which the users whose candidates are too old are spread, by their bucket; 0: asked for at their visit */
  spread: number;
  buckets: number;
  /** a user with visits on so many of the last 28 days is active: asked for before others, where the budget is short */
  activeDays: number;
  /** ms of the clock, from the request to the retrieved items */
  deadline: number;
  /** of one request, before the user waits for `retryAfter` */
  attempts: number;
  /** ms of the clock before the second attempt; doubles with each */
  retryPause: number;
  /** ms of event time after the last attempt has failed */
  retryAfter: number;
  /** ms of event time after which a user without events is forgotten */
  userTtl: number;
  /** ms that an event may be ahead of the clock */
  futureTolerance: number;
  /** clauses of the static profile */
  staticProfile: string[];
}

export const REGENERATION_DEFAULTS: RegenerationOptions = {
  partitions: PROFILES_DEFAULTS.partitions,
  maxAge: 24 * HOUR,
  minAge: HOUR,
  since: null,
  visits: ['exposure', 'click', 'purchase', 'search', 'visit'],
  fewestBehaviours: 1,
  history: 20,
  samples: 30,
  queries: 0,
  promptVersion: 'serengpt-1',
  requestsPerSecond: null,
  spread: 0,
  buckets: 100,
  activeDays: PROFILES_DEFAULTS.activeDays,
  deadline: 10 * MINUTE,
  attempts: 3,
  retryPause: 30_000,
  retryAfter: HOUR,
  userTtl: PROFILES_DEFAULTS.userTtl,
  futureTolerance: PROFILES_DEFAULTS.futureTolerance,
  staticProfile: PROFILES_DEFAULTS.staticProfile,
};
