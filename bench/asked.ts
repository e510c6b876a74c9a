/** Records of the channel for the rows that need some: of users that are made up, over the titles of the shipped catalog. */
import { join } from 'node:path';
import { readLines } from '../src/log/ndjson.ts';
import { REGENERATION_DEFAULTS } from '../src/serengpt/options.ts';
import type { Asked, Generation, RegenerationRequest, RetrievedItem, RetrievedItems } from '../src/serengpt/records.ts';
import { catalogFromJson, type CatalogItem } from '../src/shop/catalog.ts';

const HOUR = 3_600_000;
const TAGS = 16;
const TAG_LENGTH = 16;

/** `most`: about so many of them. */
export async function shippedItems(most = Infinity): Promise<CatalogItem[]> {
  const items: CatalogItem[] = [];
  const path = join(import.meta.dirname, '../data/completejourney/catalog.ndjson.gz');
  for await (const lines of readLines(path)) {
    items.push(...lines.map(({ value }) => catalogFromJson(value)));
    if (items.length > most) break;
  }
  return items;
}

/** As the topology `regeneration` asks of somebody who has bought things and has tags of both profiles. */
export function requestOf(user: number, items: readonly CatalogItem[], now: number): RegenerationRequest {
  const item = (i: number): CatalogItem => items[(user * 997 + i * 131) % items.length]!;
  const { history, samples, queries, promptVersion, maxAge } = REGENERATION_DEFAULTS;
  const user_id = `user-${user}`;
  return {
    // the seed of the samples comes of it: the same in each run
    request_id: `${user_id}/1`,
    user_id,
    round: 1,
    attempt: 1,
    asked_at: now,
    expires_at: now + HOUR,
    valid_until: now + maxAge,
    reason: 'missing',
    prompt_version: promptVersion,
    samples,
    queries,
    static_profile: 'age 35-44, income 50-74K, Married, Homeowner, household of 4',
    tags: Array.from({ length: TAGS }, (_, i) => {
      const tag = (item(50 + i).title ?? '').slice(0, TAG_LENGTH);
      return { tag, group: 'category', score: 1, long_term: i % 2 === 0 };
    }),
    history: Array.from({ length: history }, (_, i) => {
      const { item_id, title, category_id, brand_id } = item(i);
      return { time: now - HOUR + i, kind: 'purchase', text: title ?? '', item_id, category_id, brand_id };
    }),
  };
}

/** A title as a model says it: about the words of one, not quite. */
export function saidLike(title: string, otherWord: string, random: () => number): string {
  const kept = title.split(' ').filter(() => random() < 0.8);
  return [...kept, otherWord].join(' ');
}

/** The request, generated: with texts that were each given once. */
export function generationOf(request: RegenerationRequest, texts: readonly string[]): Generation {
  const { tags, history, prompt_version } = request;
  return {
    ...askedOf(request),
    generated_at: request.asked_at,
    outcome: 'generated',
    error: null,
    model: 'bench',
    prompt_version,
    texts: texts.map((text) => ({ text, kind: 'title', times: 1, logprob: -1 })),
    dropped: [],
    prompt_tokens: 0,
    completion_tokens: 0,
    tags,
    history,
  };
}

/** What ends a request's way through the workers. */
export const answerTo = (asked: Asked, items: RetrievedItem[]): RetrievedItems => ({
  ...askedOf(asked),
  generated_at: asked.asked_at,
  retrieved_at: asked.asked_at,
  outcome: 'retrieved',
  error: null,
  model: 'bench',
  prompt_version: 'bench',
  retriever: 'bench',
  ranker: 'bench',
  items,
  dropped: [],
});

const askedOf = ({ request_id, user_id, round, attempt, asked_at, expires_at, valid_until }: Asked): Asked => ({
  request_id,
  user_id,
  round,
  attempt,
  asked_at,
  expires_at,
  valid_until,
});

/** Throws where a request has no answer, two of them, or where an answer is nobody's. */
export function onceEach(asked: readonly Asked[], answers: readonly Asked[]): void {
  const open = new Set(asked.map(({ request_id }) => request_id));
  if (open.size !== asked.length) throw new Error('two requests have one id');
  for (const { request_id } of answers) {
    if (!open.delete(request_id)) throw new Error(`${request_id} was answered twice, or never asked`);
  }
  if (open.size > 0) throw new Error(`${open.size} of ${asked.length} requests have no answer`);
}
