/** A shop whose regeneration is stepped record by record. */
import { REGENERATION_DEFAULTS, type RegenerationOptions } from '../../src/serengpt/options.ts';
import type { RegenerationRequest, RetrievedItems } from '../../src/serengpt/records.ts';
import type { BehaviorEvent, EventType } from '../../src/shop/behaviour.ts';
import { TopologyTestDriver } from '../../src/stream/driver.ts';
import type { LocalRecord } from '../../src/stream/local-task.ts';
import { regenerationTopology } from '../../topologies/regeneration.ts';

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
/** noon of some day, by the wall clock and in the log */
export const NOW = 20_000 * DAY + DAY / 2;

export const CATALOG = new Map(
  ['tent', 'kettle', 'kibble', 'lamp', 'rope', 'stove'].map((item) => [
    item,
    { title: `A ${item}`, category: `${item}s`, brand: null },
  ]),
);

export const eventOf = (
  user: string,
  type: EventType,
  time: number,
  more: { item?: string; query?: string; id?: string } = {},
): BehaviorEvent => ({
  event_id: more.id ?? `${user}-${type}-${time}-${more.item ?? more.query ?? ''}`,
  event_type: type,
  event_time: time,
  user_id: user,
  request_id: null,
  scene: null,
  arm: null,
  items:
    more.item === undefined
      ? []
      : [
          {
            item_id: more.item,
            category_id: null,
            brand_id: null,
            seller_id: null,
            position: null,
            viewable: true,
            price: null,
            quantity: 1,
          },
        ],
  query: more.query ?? null,
});

/** What a profile says of a tag beside what the channel reads. */
const TAG = {
  group: 'interest',
  prior: 0,
  posterior: 1,
  support: 1,
  recency: 1,
  reason: null,
  evidence: [],
  first_given: NOW,
  times_given: 1,
  times_proposed: 1,
  given_at: [],
  frequency: 1,
  regularity: 1,
  effectiveness: 1,
};

export const profileOf = (user: string, refreshedAt: number, tags: string[], kind: 'short' | 'long' = 'short') => ({
  user_id: user,
  refreshed_at: refreshedAt,
  refresh: 1,
  request_id: 'r',
  profiler: 'p',
  prompt_version: 'v',
  ...(kind === 'short' ? { static_profile: null } : {}),
  tags: tags.map((tag, i) => ({ ...TAG, tag, score: 1 - i / 10 })),
  refused: [],
});

export const retrievedOf = (request: RegenerationRequest, more: Partial<RetrievedItems> = {}): RetrievedItems => ({
  request_id: request.request_id,
  user_id: request.user_id,
  round: request.round,
  attempt: request.attempt,
  asked_at: request.asked_at,
  expires_at: request.expires_at,
  valid_until: request.valid_until,
  generated_at: NOW,
  retrieved_at: NOW,
  outcome: 'retrieved',
  error: null,
  model: 'm',
  prompt_version: request.prompt_version,
  retriever: 'r',
  ranker: 'k',
  items: [],
  dropped: [],
  ...more,
});

export class Channel {
  readonly driver: TopologyTestDriver;
  readonly options: RegenerationOptions;

  constructor(options: Partial<RegenerationOptions> = {}, { commitEach = true } = {}) {
    this.options = { ...REGENERATION_DEFAULTS, partitions: 1, ...options };
    this.driver = new TopologyTestDriver(regenerationTopology(this.options), {
      tables: { catalog: CATALOG, users: new Map([['ann', 'age 35-44, Married']]) },
      now: NOW,
      checkNow: Infinity,
      commitEach,
    });
  }

  event(user: string, type: EventType, time: number, more: { item?: string; query?: string; id?: string } = {}): void {
    this.pipe({ source: 'events', key: user, value: eventOf(user, type, time, more) });
  }

  click(user: string, time: number, item = 'tent'): void {
    this.event(user, 'click', time, { item });
  }

  visit(user: string, time: number): void {
    this.event(user, 'visit', time);
  }

  profile(user: string, refreshedAt: number, tags: string[], kind: 'short' | 'long' = 'short'): void {
    this.pipe({ source: `${kind}-term`, key: user, value: profileOf(user, refreshedAt, tags, kind) });
  }

  trigger(user: string, at: number): void {
    this.pipe({ source: 'triggers', key: user, value: { user_id: user, requested_at: at, arm: null } });
  }

  erase(user: string, until: number): void {
    this.pipe({ source: 'erasures', key: user, value: { user_id: user, requested_at: until } });
  }

  answer(request: RegenerationRequest, more: Partial<RetrievedItems> = {}): void {
    this.pipe({ source: 'retrieved', key: request.user_id, value: retrievedOf(request, more) });
  }

  pipe(...records: LocalRecord[]): void {
    this.driver.pipeAll(records);
  }

  /** Sent since the last call. */
  requests(): RegenerationRequest[] {
    return this.driver.read<RegenerationRequest>('requests').map(({ value }) => value);
  }

  count(name: string, labels?: Record<string, string>): number {
    return this.driver.count(labels === undefined ? name : `${name}${JSON.stringify(labels)}`);
  }
}
