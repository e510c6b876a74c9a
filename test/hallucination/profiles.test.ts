/**
 * The whole way over the embedded log: real households, the real topology and worker, and a model server that lies, breaks
 * and hangs. What is published may hold nothing of its lies, and the stream may wait for none of it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OpenAiGenerator } from '../../src/inference/openai/client.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import type { Serdes } from '../../src/log/serde.ts';
import { PROFILES_DEFAULTS } from '../../src/profile/options.ts';
import { ProfileWorker } from '../../src/profile/worker/profile-worker.ts';
import type { ProfileProposals, ProfileRequest, ShortTermProfile } from '../../src/profile/records.ts';
import { PROFILE_WORKER_DEFAULTS } from '../../src/profile/worker/settings.ts';
import { eventFromJson, type BehaviorEvent } from '../../src/shop/behaviour.ts';
import { DEAD_LETTER_HEADERS } from '../../src/stream/dead-letters.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { DAY, proposal } from '../profile/given.ts';
import { Bench, eventually } from '../stream/bench.ts';
import { ModelServer } from '../support/model-server.ts';
import { closing } from '../support/sample.ts';
import { BEGIN, END, households, type Household } from './households.ts';
import {
  CHINESE,
  EVIL,
  FAILS,
  INJECTED,
  ROLES,
  WHOLE_BEFORE_CUT,
  extraEvents,
  keyOf,
  offerTo,
  roleOf,
} from './lies.ts';

const HOUSEHOLDS = 24;
const PARTITIONS = 2;
const ATTEMPTS = 2;
const HOUR = DAY / 24;
const MINUTE = 60_000;
/** Household number 0 is the first. */
const ROLE_OF = Array.from({ length: HOUSEHOLDS }, (_, n) => roleOf(n, HOUSEHOLDS));
const HANG = ROLE_OF.filter((role) => role === 'silence' || role === 'forged' || role === 'drip').length;
const FAILED_FOR_GOOD = ROLE_OF.filter((role) => role in FAILS && role !== 'broken once' && role !== 'forged');

let bench: Bench;
let serdes: Serdes;
let server: ModelServer;
let worker: ProfileWorker | undefined;
let all: Household[];
const seconds = { begun: 0, ended: 0 };
/** as of the moment at which all that was sent meanwhile had been processed */
const meanwhile = { hanging: 0, profiles: 0 };

const options = {
  ...PROFILES_DEFAULTS,
  partitions: PARTITIONS,
  requestsPerMinute: null,
  // asked about at the visits that follow END, and at none before
  spread: MINUTE,
  retryAfter: END - BEGIN + 2 * HOUR,
  attempts: ATTEMPTS,
  retryPause: 200,
  deadline: 60_000,
  staticProfile: ['household {name}'],
};

async function write<T>(topic: string, schema: string, rows: [string, T][]): Promise<void> {
  const serde = await serdes.serde<T>(topic, schema);
  await bench.write(
    topic,
    rows.map(([key, value]) => ({ key, value: serde.encode(value) })),
  );
}
async function read<T>(topic: string, schema: string): Promise<T[]> {
  const serde = await serdes.serde<T>(topic, schema);
  return (await bench.records(topic)).map(({ value }) => serde.decode(value));
}
const send = (events: BehaviorEvent[]) =>
  write(
    'behavior.events',
    'BehaviorEvent',
    events.map((event) => [event.user_id, event]),
  );
const visits = (at: number, name: string): BehaviorEvent[] =>
  all.map(({ id }) => eventFromJson({ event_id: `${name}-${id}`, event_type: 'visit', event_time: at, user_id: id }));
/** Moves the time of every partition. */
const pass = (at: number, name: string): BehaviorEvent[] =>
  closing([], PARTITIONS, 0, name).map((event) => eventFromJson({ ...event, event_time: at }));
const profiles = () => read<ShortTermProfile>('profile.short-term', 'ShortTermProfile');
const letters = async (topic: string) =>
  (await bench.records(topic)).map(({ key, headers }) => ({
    user: String(key),
    code: String(headers![DEAD_LETTER_HEADERS.code]),
    why: String(headers![DEAD_LETTER_HEADERS.error]),
  }));
const numberOf = (id: string): number => all.findIndex((one) => one.id === id);

/** An answer by somebody who may write to the topic: true and false tags, all with the vector of a true one. */
async function forge(): Promise<void> {
  const victim = all[ROLE_OF.indexOf('forged')]!;
  const request = (await read<ProfileRequest>('profile.refresh-requests', 'ProfileRequest')).find(
    ({ user_id }) => user_id === victim.id,
  )!;
  const { truths, lies } = offerTo(victim, ROLE_OF.indexOf('forged'));
  const { embedding } = proposal(truths[0]!);
  const answer: ProfileProposals = {
    ...request,
    answered_at: Date.now(),
    outcome: 'proposed',
    error: null,
    profiler: 'forged',
    embedder: 'ngram-256-1',
    proposals: [...lies, ...truths].map((tag) => ({ ...proposal(tag), embedding })),
    dropped: [],
    prompt_tokens: 0,
    completion_tokens: 0,
  };
  await write('profile.proposals', 'ProfileProposals', [
    [victim.id, { ...answer, request_id: `${victim.id}/short_term/1` }],
    [all[0]!.id, answer],
    [victim.id, answer],
    [victim.id, answer],
  ]);
}

beforeAll(async () => {
  const sample = await households(HOUSEHOLDS, 5);
  all = sample.all;
  bench = await Bench.open();
  serdes = await embeddedSerdes();
  const times = new Map<string, number>();
  server = await ModelServer.start(({ prompt }) => {
    const id = /household (\w+)/.exec(prompt)![1]!;
    const n = numberOf(id);
    times.set(id, (times.get(id) ?? 0) + 1);
    return ROLES[ROLE_OF[n]!]!(offerTo(all[n]!, n).said, times.get(id)!);
  });
  const topology = profilesTopology(options);
  await bench.topics(topology, PARTITIONS);
  const admin = bench.log.admin();
  await admin.create([{ topic: 'profile-worker.dlq', partitions: PARTITIONS }]);
  await admin.close();
  await write(
    'catalog.items',
    'CatalogItem',
    [...sample.catalog, ...EVIL, ...CHINESE].map((item) => [item.item_id, item]),
  );
  await write(
    'users',
    'UserAttributes',
    all.map(({ id }) => [id, { user_id: id, attributes: { name: id } }]),
  );
  await send([...visits(BEGIN - HOUR, 'first'), ...pass(BEGIN - HOUR / 2, 'first')]);
  const extras = all.flatMap((one, n) => extraEvents(one, n, BEGIN + 20 * DAY));
  const events = [...all.flatMap((one) => one.events), ...extras];
  await send(events.sort((a, b) => a.event_time - b.event_time));
  await bench.started(topology, {}, { serdes });
  worker = new ProfileWorker({
    ...PROFILE_WORKER_DEFAULTS,
    generator: (metrics) =>
      new OpenAiGenerator({
        url: server.url,
        model: 'stub-1',
        apiKey: null,
        structuredOutput: 'json_schema',
        requestTimeoutMs: 6000,
        attemptTimeoutMs: 5000,
        attempts: 2,
        retryShare: 0.2,
        maxAnswerBytes: 400_000,
        backoffMs: 1,
        onRetry: (code) => metrics.retried(code),
      }),
    log: bench.log,
    serdes,
    options: { app: 'test', stateDir: 'none', commitIntervalMs: 20 },
    registry: bench.registry,
    metrics: bench.metrics,
    logger: bench.logger,
    drainMs: 1000,
    onFatal: (error) => bench.fatal.push(error),
  });
  await worker.start();
  await bench.settled('behavior.events', 'test-profiles');
  expect(server.asked).toEqual([]);

  seconds.begun = performance.now();
  await send([...visits(END + 4 * HOUR, 'due'), ...pass(END + 5 * HOUR, 'due')]);
  await eventually(() => expect(server.running).toBeGreaterThanOrEqual(HANG));
  // while the server hangs: more behaviour for everybody, answers for the others, and a forged one
  await send([...visits(END + 6 * HOUR, 'more'), ...pass(END + 7 * HOUR, 'more')]);
  await bench.settled('behavior.events', 'test-profiles');
  await forge();
  const answered = HOUSEHOLDS - FAILED_FOR_GOOD.length - 1;
  await eventually(async () => expect((await profiles()).length).toBe(answered));
  meanwhile.hanging = server.running;
  meanwhile.profiles = answered;
  await eventually(async () => {
    const given = await bench.metric('profile_requests_given_up_total').catch(() => 0);
    expect(given).toBe(FAILED_FOR_GOOD.length);
  }, 30_000);
  await bench.settled('profile.refresh-requests', 'test-profile-worker');
  await bench.settled('profile.proposals', 'test-profiles');
  seconds.ended = performance.now();
}, 110_000);

afterAll(async () => {
  await worker?.stop();
  await eventually(() => expect(server.running).toBe(0));
  await server.close();
  await bench.close();
});

describe('what is published', () => {
  test('holds no injected tag and no false one', async () => {
    const wrong = (await profiles()).flatMap(({ user_id, tags }) => {
      const { lies } = offerTo(all[numberOf(user_id)]!, numberOf(user_id));
      const keys = new Set([...lies, ...INJECTED].map(keyOf));
      return tags.filter(({ tag }) => keys.has(keyOf(tag))).map(({ tag, evidence }) => ({ user_id, tag, evidence }));
    });
    expect(wrong).toEqual([]);
  });

  test('holds nothing that was not offered', async () => {
    for (const { user_id, tags } of await profiles()) {
      const { truths } = offerTo(all[numberOf(user_id)]!, numberOf(user_id));
      const keys = truths.map(keyOf);
      for (const { tag } of tags) expect(keys).toContain(keyOf(tag));
    }
  });

  test('says of each refused tag why, and whoever was lied about was lied about in vain', async () => {
    const codes = new Map<string, number>();
    for (const { refused, tags } of await profiles()) {
      expect(tags.length + refused.length).toBeGreaterThan(5);
      for (const { code, why } of refused) {
        codes.set(code, (codes.get(code) ?? 0) + 1);
        expect(why).toMatch(/\w+ \w+/);
      }
    }
    console.log('refused:', Object.fromEntries(codes));
    for (const code of ['NO_EVIDENCE', 'ONE_TITLE']) expect(codes.get(code)).toBeGreaterThan(10);
  });

  test('holds at least 0.7 of the true tags that readable answers offered, in whatever words', async () => {
    let offered = 0;
    let found = 0;
    for (const { user_id, tags } of await profiles()) {
      const n = numberOf(user_id);
      const { truths, said } = offerTo(all[n]!, n);
      const heard = new Set((ROLE_OF[n] === 'cut JSON' ? said.slice(0, WHOLE_BEFORE_CUT) : said).map(keyOf));
      const keys = new Set(tags.map(({ tag }) => keyOf(tag)));
      const readable = truths.map(keyOf).filter((key) => heard.has(key));
      offered += readable.length;
      found += readable.filter((key) => keys.has(key)).length;
    }
    console.log(`true tags: ${offered} offered, ${found} approved, recall ${(found / offered).toFixed(3)}`);
    expect(offered).toBeGreaterThan(80);
    expect(found / offered).toBeGreaterThanOrEqual(0.7);
  });
});

describe('the stream', () => {
  test('did not wait for a server that hangs: everybody else was answered meanwhile', () => {
    expect(meanwhile.hanging).toBeGreaterThan(0);
    expect(meanwhile.profiles).toBe(HOUSEHOLDS - FAILED_FOR_GOOD.length - 1);
  });

  test('asked about each household once, and again where that failed', async () => {
    const asked = await read<ProfileRequest>('profile.refresh-requests', 'ProfileRequest');
    const times = new Map<string, number>();
    for (const { user_id } of asked) times.set(user_id, (times.get(user_id) ?? 0) + 1);
    const expected = all.map(({ id }, n): [string, number] => [
      id,
      ROLE_OF[n]! in FAILS && ROLE_OF[n] !== 'forged' ? ATTEMPTS : 1,
    ]);
    expect(Object.fromEntries(times)).toEqual(Object.fromEntries(expected));
  });

  test('kept what failed with its reason, counted it, and gave up what failed each time', async () => {
    const kept = new Map<string, string[]>();
    for (const { user, code, why } of await letters('profile-worker.dlq')) {
      kept.set(user, [...(kept.get(user) ?? []), code]);
      expect(why).toMatch(/\w+ \w+/);
    }
    const expected = all.flatMap(({ id }, n): [string, string[]][] => {
      const role = ROLE_OF[n]!;
      if (!(role in FAILS)) return [];
      return [[id, Array.from({ length: FAILED_FOR_GOOD.includes(role) ? ATTEMPTS : 1 }, () => FAILS[role]!)]];
    });
    expect(Object.fromEntries(kept)).toEqual(Object.fromEntries(expected));
    const failures = expected.reduce((sum, [, codes]) => sum + codes.length, 0);
    expect(await bench.metric('requests_failed_total')).toBe(failures);
    expect(await bench.metric('profile_requests_given_up_total')).toBe(FAILED_FOR_GOOD.length);
    expect(await bench.metric('proposals_dropped_total', { rule: 'code_fence' })).toBe(1);
    expect(await bench.metric('proposals_dropped_total', { rule: 'cut_off' })).toBe(1);
    expect(await bench.metric('proposals_dropped_total', { rule: 'too_many' })).toBeGreaterThan(2000);
  });

  test('tried again within its budget', async () => {
    const retries = await bench.metric('model_retries_total');
    const requests = await bench.metric('requests_total');
    expect(retries).toBeGreaterThan(0);
    expect(retries).toBeLessThanOrEqual(10 + 0.2 * requests + (seconds.ended - seconds.begun) / 1000 + 1);
  });

  test('took a forged answer for what its words are, once, and no answer to another request or user', async () => {
    const victim = all[ROLE_OF.indexOf('forged')]!;
    const forged = (await profiles()).filter(({ profiler }) => profiler === 'forged');
    expect(forged.map(({ user_id }) => user_id)).toEqual([victim.id]);
    expect(forged[0]!.tags.map(({ tag }) => keyOf(tag)).sort()).toEqual(victim.truths.map(keyOf).sort());
    expect(await letters('profiles.dlq')).toMatchObject([{ user: all[0]!.id, code: 'KEY_MISMATCH' }]);
    // to another request, the second one, and the worker's own, which came too late
    expect(await bench.metric('profile_answers_dropped_total')).toBe(3);
  });

  test('is at rest: nothing in flight, no lag, no fatal error', async () => {
    expect(await bench.metric('requests_in_flight')).toBe(0);
    expect(worker!.status().tasks.map(({ lag }) => lag)).toEqual(Array.from({ length: PARTITIONS }, () => 0));
    expect(worker!.status().live).toBe(true);
    expect(bench.fatal).toEqual([]);
    expect(server.running).toBe(0);
  });
});
