/**
 * Serendipitous clicks (Definition 1) as what SerenGPT learns from (paper, 4.3.2): the prompt as the channel would have
 * asked at the visit that led to the click, and the title that was clicked. Nothing in a prompt is of the click's own
 * request or later: history ends, and profiles were published, before that request first showed anything.
 */
import { Prompts } from '../src/inference/prompts.ts';
import type { SerendipityLabel } from '../src/serendipity/records.ts';
import type { ShortTermProfile } from '../src/profile/records.ts';
import { promptOf } from '../src/serengpt/prompt.ts';
import type { ChannelBehaviour, ChannelTag } from '../src/serengpt/records.ts';
import { distinctItems, type BehaviorEvent } from '../src/shop/behaviour.ts';
import type { CatalogItem } from '../src/shop/catalog.ts';

export const PROMPT_VERSION = 'serengpt-compact-1';
/** as many as a request of the channel may carry: the prompt takes the newest of them */
export const MOST_BEHAVIOURS = 50;
/** Definition 1 says N; a user with fewer visits finds everything new */
export const MATURE = 10;

export interface Example {
  user_id: string;
  /** of the request that showed the item, its first exposure; what is known is from before */
  asked_at: number;
  click_time: number;
  prompt: string;
  title: string;
  item_id: string;
  category_id: string | null;
  /** tags in the prompt's profiles, best first, and titles of the history, newest last: for retrieval without a model */
  tags: string[];
  history: string[];
  /** the user had at least N visit days */
  mature: boolean;
  split: 'train' | 'test';
}

export type Profiled = Pick<ShortTermProfile, 'user_id' | 'refreshed_at'> & {
  long_term: boolean;
  tags: readonly { tag: string; group: string; score: number }[];
};

export interface Known {
  catalog: ReadonlyMap<string, CatalogItem>;
  /** clause by user */
  statics: ReadonlyMap<string, string | null>;
  labels: readonly SerendipityLabel[];
  /** of all users, as they were published */
  profiles: readonly Profiled[];
  events: readonly BehaviorEvent[];
  /** events from here on are not learned from; milliseconds since the epoch */
  cutOff: number;
}

export interface Timeline {
  behaviours: ChannelBehaviour[];
  profiles: Profiled[];
  /** first exposure by request */
  requests: Map<string, number>;
}

/** In order of time. */
export function examplesOf({ catalog, statics, labels, profiles, events, cutOff }: Known): Example[] {
  const prompts = new Prompts();
  const users = timelines(events, profiles, catalog);
  const examples: Example[] = [];
  for (const label of labels) {
    const title = catalog.get(label.item_id)?.title ?? null;
    if (!label.serendipitous || title === null || title.trim() === '') continue;
    const known = users.get(label.user_id)!;
    const asked = known.requests.get(label.request_id ?? '') ?? label.exposure_time ?? label.click_time;
    const history = known.behaviours.filter(({ time }) => time < asked).slice(-MOST_BEHAVIOURS);
    const tags = [false, true].flatMap((long) => tagsOf(known.profiles, long, asked));
    const request = { static_profile: statics.get(label.user_id) ?? null, tags, history };
    examples.push({
      user_id: label.user_id,
      asked_at: asked,
      click_time: label.click_time,
      prompt: promptOf(prompts, PROMPT_VERSION, request).user,
      title,
      item_id: label.item_id,
      category_id: label.category_id,
      tags: tags.map(({ tag }) => tag),
      history: history.map(({ text }) => text),
      mature: label.visit_days >= MATURE,
      split: label.click_time < cutOff ? 'train' : 'test',
    });
  }
  return examples.sort((a, b) => a.click_time - b.click_time || (a.item_id < b.item_id ? -1 : 1));
}

/** Of the newest profile of its kind that was published before. */
export function tagsOf(profiles: readonly Profiled[], long: boolean, before: number): ChannelTag[] {
  const newest = profiles.findLast(({ long_term, refreshed_at }) => long_term === long && refreshed_at < before);
  return (newest?.tags ?? []).map(({ tag, group, score }) => ({ tag, group, score, long_term: long }));
}

export function timelines(
  events: readonly BehaviorEvent[],
  profiles: readonly Profiled[],
  catalog: ReadonlyMap<string, CatalogItem>,
): Map<string, Timeline> {
  const users = new Map<string, Timeline>();
  const of = (user: string): Timeline => {
    let one = users.get(user);
    if (one === undefined) users.set(user, (one = { behaviours: [], profiles: [], requests: new Map() }));
    return one;
  };
  for (const event of events) {
    const { behaviours, requests } = of(event.user_id);
    const time = event.event_time;
    if (event.event_type === 'exposure') {
      const request = event.request_id ?? '';
      requests.set(request, Math.min(time, requests.get(request) ?? Infinity));
    } else if (event.event_type === 'search') {
      const none = { item_id: null, category_id: null, brand_id: null };
      behaviours.push({ time, kind: 'search', text: event.query ?? '', ...none });
    } else if (event.event_type === 'click' || event.event_type === 'purchase') {
      for (const { item_id, category_id, brand_id } of distinctItems(event)) {
        const text = catalog.get(item_id)?.title ?? null;
        if (text !== null) behaviours.push({ time, kind: event.event_type, text, item_id, category_id, brand_id });
      }
    }
  }
  for (const profile of profiles) of(profile.user_id).profiles.push(profile);
  for (const { behaviours, profiles: own } of users.values()) {
    behaviours.sort((a, b) => a.time - b.time);
    own.sort((a, b) => a.refreshed_at - b.refreshed_at);
  }
  return users;
}
