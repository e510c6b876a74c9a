import type { SoldItem } from '../../../src/nearline/candidates/rules.ts';
import type { UserCandidates } from '../../../src/nearline/records.ts';
import type { RetrievedItem, RetrievedItems } from '../../../src/serengpt/records.ts';
import { eventFromJson, type BehaviorEvent } from '../../../src/shop/behaviour.ts';
import { TopologyTestDriver } from '../../../src/stream/driver.ts';
import { CANDIDATES_DEFAULTS, candidatesTopology } from '../../../topologies/candidates.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const T = Date.parse('2024-05-01T12:00:00Z');

export const itemOf = (item: Partial<RetrievedItem> & { item_id: string }): RetrievedItem => ({
  title: `title of ${item.item_id}`,
  category_id: null,
  brand_id: null,
  seller_id: null,
  price: null,
  score: 0.5,
  retrieval_score: 0.5,
  led_by: 'a title',
  led_by_kind: 'title',
  channels: ['keyword'],
  ...item,
});

/** An answer for the user `u` that asked at T and holds for a day. */
export const answerOf = (answer: Partial<RetrievedItems>): RetrievedItems => {
  const { user_id = 'u', asked_at = T, round = 1 } = answer;
  return {
    request_id: `${user_id}/${round}`,
    user_id,
    round,
    attempt: 1,
    asked_at,
    expires_at: asked_at + 10 * MINUTE,
    valid_until: asked_at + DAY,
    generated_at: asked_at + MINUTE,
    retrieved_at: asked_at + 2 * MINUTE,
    outcome: 'retrieved',
    error: null,
    model: 'model-1',
    prompt_version: 'prompt-1',
    retriever: 'retriever-1',
    ranker: 'ranker-1',
    items: [],
    dropped: [],
    ...answer,
  };
};

export type RawItem = string | { item_id: string; [field: string]: unknown };

/** An item `x` is of category `c-x`, brand `b-x` and seller `s-x`, where nothing else is said. */
export const full = (item: RawItem): { item_id: string } =>
  typeof item === 'string'
    ? ({ item_id: item, category_id: `c-${item}`, brand_id: `b-${item}`, seller_id: `s-${item}` } as {
        item_id: string;
      })
    : item;

let events = 0;
export const eventOf = (type: string, time: number, items: RawItem[] = [], more: object = {}): BehaviorEvent =>
  eventFromJson({
    event_id: `e${events++}`,
    event_type: type,
    event_time: time,
    user_id: 'u',
    items: items.map((item) => ({ ...full(item) })),
    ...more,
  });

/** The topology with a catalog that sells whatever is asked for, unless it says otherwise. */
export class Filtering {
  readonly catalog = new Map<string, SoldItem>();
  readonly driver: TopologyTestDriver;

  constructor(options: Partial<typeof CANDIDATES_DEFAULTS> = {}, { commitEach = true } = {}) {
    const catalog = this.catalog;
    const sells = new Proxy(catalog, {
      get: (map, name) => {
        if (name === 'get') {
          return (id: string) => map.get(id) ?? { category: null, brand: null, seller: null, available: true };
        }
        const value: unknown = Reflect.get(map, name);
        return typeof value === 'function' ? value.bind(map) : value;
      },
    });
    this.driver = new TopologyTestDriver(candidatesTopology({ ...CANDIDATES_DEFAULTS, ...options }), {
      tables: { catalog: sells },
      checkNow: Infinity,
      commitEach,
    });
  }

  event(type: string, time: number, items: RawItem[] = [], more: object = {}): void {
    const event = eventOf(type, time, items, more);
    this.driver.pipe('events', event.user_id, event);
  }

  /** An answer with these items; nothing is taken from the catalog for one of whom all is said. */
  answer(items: RawItem[], more: Partial<RetrievedItems> = {}): void {
    const answer = answerOf({ ...more, items: items.map((item) => itemOf(full(item))) });
    this.driver.pipe('retrieved', answer.user_id, answer);
  }

  erase(until: number, user = 'u'): void {
    this.driver.pipe('erasures', user, { user_id: user, requested_at: until });
  }

  /** What was said since the last call: lists, and null where one ended. */
  said(): (UserCandidates | null)[] {
    return this.driver.read<UserCandidates | null>('candidates').map(({ value }) => value);
  }

  /** The last list that was said since the last call, in ids; null: a tombstone, undefined: nothing. */
  ids(): string[] | null | undefined {
    const said = this.said().at(-1);
    return said && said.candidates.map(({ item_id }) => item_id);
  }

  answers(outcome: string): number {
    return this.driver.count(`candidate_answers${JSON.stringify({ outcome })}`);
  }
}
