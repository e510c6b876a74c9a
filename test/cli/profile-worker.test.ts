import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { compileConfig } from '../../src/cli/config.ts';
import { openLog, openSerdes } from '../../src/cli/environment.ts';
import { createLogger } from '../../src/cli/logging.ts';
import { runProfileWorker } from '../../src/cli/profile-worker.ts';
import { planTopics, rolesOf, wantedTopics } from '../../src/cli/topic-plan.ts';
import type { Log } from '../../src/log/port.ts';
import type { Serdes } from '../../src/log/serde.ts';
import type { ProfileProposals, ProfileRequest } from '../../src/profile/records.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { bought, requestWith } from '../profile/worker/requests.ts';
import { ModelServer } from '../support/model-server.ts';

let folder: string;
let log: Log;
let serdes: Serdes;
let server: ModelServer;
const config = (profileWorker: object) =>
  compileConfig(
    {
      log: { kind: 'embedded' },
      embedded: { path: join(folder, 'log') },
      topics: { partitions: 2 },
      runtime: { stopDeadline: '5s' },
      http: { port: 0 },
      profileWorker,
    },
    { SERAL_PROFILE_WORKER_API_KEY: 'sk-secret' },
  ).config;
const topology = profilesTopology();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-worker-'));
  log = await openLog(config({}));
  serdes = await openSerdes(config({}));
  server = await ModelServer.start(() => ({ text: '{"category": [{"tag": "tents"}]}' }));
});
afterEach(async () => {
  await server.close();
  await serdes.close();
  await log.close();
  await rm(folder, { recursive: true });
});

async function makeTopics(): Promise<void> {
  const admin = log.admin();
  await admin.create(wantedTopics([topology], config({})));
  await admin.close();
}

async function until(check: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 15_000; !(await check()); await sleep(20)) {
    if (Date.now() > deadline) throw new Error('it did not come to be within 15 s');
  }
}

async function ask(request: ProfileRequest): Promise<void> {
  const serde = await serdes.serde<ProfileRequest>('profile.refresh-requests', 'ProfileRequest');
  const producer = log.producer();
  await producer.open();
  const key = Buffer.from(request.user_id);
  await producer.send([{ topic: 'profile.refresh-requests', key, value: serde.encode(request) }]);
  await producer.close();
}

async function answers(): Promise<ProfileProposals[]> {
  const serde = await serdes.serde<ProfileProposals>('profile.proposals', 'ProfileProposals');
  const reader = log.reader();
  const found: ProfileProposals[] = [];
  for (const partition of [0, 1]) {
    for await (const { records } of reader.read({ topic: 'profile.proposals', partition }, 0)) {
      found.push(...records.map(({ value }) => serde.decode(value)));
    }
  }
  await reader.close();
  return found;
}

it.each([
  ['with a model', () => ({ engine: 'openai', url: server.url, model: 'stub-1' }), 'stub-1', 'tents'],
  ['without one', () => ({}), 'extractive', 'snack crackers'],
])('answers requests %s, answers probes, and ends when told', async (_, settings, profiler, tag) => {
  await makeTopics();
  const logger = await createLogger({ level: 'silent' });
  const stop = new AbortController();
  const listening = Promise.withResolvers<string>();
  const running = runProfileWorker({
    config: config(settings()),
    log,
    serdes,
    logger,
    stop: stop.signal,
    onListening: listening.resolve,
  });
  const url = await listening.promise;
  await until(async () => (await fetch(`${url}/ready`)).status === 200);
  expect((await fetch(`${url}/live`)).status).toBe(200);
  await ask(requestWith({ purchases: [bought('snack crackers, 9 oz', { category: 'snack crackers' })] }));
  await until(async () => (await answers()).length === 1);
  expect((await answers())[0]).toMatchObject({ profiler, proposals: [{ tag }] });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('seral_requests_total{worker="profile-worker"} 1');
  expect(metrics).toContain('seral_requests_limit{worker="profile-worker"} 16');
  expect(server.asked.map(({ headers }) => headers.authorization)).toEqual(
    profiler === 'stub-1' ? ['Bearer sk-secret'] : [],
  );
  stop.abort();
  await running;
  await expect(fetch(`${url}/live`)).rejects.toThrow();
});

it('names the topics that are missing, and what makes them', async () => {
  const logger = await createLogger({ level: 'silent' });
  const { signal } = new AbortController();
  await expect(runProfileWorker({ config: config({}), log, serdes, logger, stop: signal })).rejects.toThrow(
    'profile.refresh-requests, profile.proposals, profile-worker.dlq, catalog.items: not there. ' +
      'Run `seral topics apply profiles`',
  );
});

it('fails at the start where its prompts are not there', async () => {
  await makeTopics();
  const logger = await createLogger({ level: 'silent' });
  const { signal } = new AbortController();
  const settings = { engine: 'openai', url: server.url, model: 'm', promptFolder: join(folder, 'none') };
  await expect(runProfileWorker({ config: config(settings), log, serdes, logger, stop: signal })).rejects.toMatchObject(
    {
      code: 'UNKNOWN_PROMPT',
    },
  );
});

it("makes the worker's dead letters with the topics of the topology that asks it", () => {
  const wanted = wantedTopics([topology], config({}));
  const letters = wanted.find(({ topic }) => topic === 'profile-worker.dlq');
  expect(letters).toEqual({ ...wanted.find(({ topic }) => topic === 'profiles.dlq'), topic: 'profile-worker.dlq' });
  const planned = planTopics(
    wanted,
    wanted.map(() => null),
    rolesOf([topology], config({})),
  );
  expect(planned.every(({ action }) => action === 'create')).toBe(true);
  expect(rolesOf([topology], config({})).ours.has('profile-worker.dlq')).toBe(true);
  const found = (changes: object) =>
    planTopics(
      [letters!],
      [{ ...letters!, config: letters!.config ?? {}, ...changes }],
      rolesOf([topology], config({})),
    );
  expect(found({})).toMatchObject([{ action: 'keep' }]);
  expect(found({ partitions: letters!.partitions + 1 })).toMatchObject([{ action: 'refuse' }]);
  const change = { 'retention.ms': letters!.config!['retention.ms'] };
  expect(found({ config: { ...letters!.config, 'retention.ms': '1000' } })).toMatchObject([
    { action: 'change', change },
  ]);
});
