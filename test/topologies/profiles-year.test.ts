/** A year of the shipped households, twice: the second time with the first one's answers, cut into other batches. */
import { expect, test } from 'vitest';
import { NgramEmbedder } from '../../src/inference/ngram-embedder.ts';
import { PROFILES_DEFAULTS } from '../../src/profile/options.ts';
import type { Pool } from '../../src/profile/pool.ts';
import type { ProfileProposals, ProfileRequest } from '../../src/profile/records.ts';
import { answerExtractively } from '../../src/profile/worker/answering.ts';
import { CatalogWords } from '../../src/profile/worker/catalog-words.ts';
import { TopologyTestDriver } from '../../src/stream/driver.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { eventOf, sample } from '../support/sample.ts';

const options = { ...PROFILES_DEFAULTS, partitions: 1, requestsPerMinute: null };

test('a year gives the same pools and profiles again, given the same answers', { timeout: 180_000 }, async () => {
  const { events, catalog } = await sample(Infinity, 5);
  const words = new CatalogWords();
  for (const item of catalog) words.add(CatalogWords.row(item));
  const embedder = new NgramEmbedder();
  const recorded = new Map<string, ProfileProposals>();

  const year = (batch: number, answer: (request: ProfileRequest) => ProfileProposals) => {
    const topology = profilesTopology(options);
    const driver = new TopologyTestDriver(topology, {
      tables: { catalog: new Map(catalog.map((item) => [item.item_id, topology.tables[0]!.project(item)])) },
      checkNow: Infinity,
    });
    const profiles: unknown[] = [];
    for (let from = 0; from < events.length; from += batch) {
      const records = events.slice(from, from + batch).map(eventOf);
      driver.pipeAll(records.map((value) => ({ source: 'events', key: value.user_id, value })));
      for (let asked = driver.read<ProfileRequest>('requests'); asked.length > 0;) {
        driver.pipeAll(asked.map(({ key, value }) => ({ source: 'proposals', key, value: answer(value) })));
        asked = driver.read<ProfileRequest>('requests');
      }
      for (const sink of ['short-term', 'long-term']) {
        for (const { value } of driver.read<ProfileProposals>(sink)) profiles.push([sink, value]);
      }
    }
    expect(driver.deadLetters).toEqual([]);
    return { pools: driver.store<Pool>('pool'), profiles: profiles.map((one) => JSON.stringify(one)).sort() };
  };

  const first = year(400, (request) => {
    const answer = answerExtractively(request, words, { embedder, same: options.approval.same, at: request.asked_at });
    recorded.set(answer.request_id, answer);
    return answer;
  });
  const second = year(1100, (request) => recorded.get(request.request_id)!);
  expect(first.pools.size).toBe(45);
  expect(first.profiles.length).toBeGreaterThan(800);
  expect(second.profiles).toEqual(first.profiles);
  expect(second.pools).toEqual(first.pools);
});
