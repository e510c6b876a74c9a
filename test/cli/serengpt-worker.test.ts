import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { compileConfig } from '../../src/cli/config.ts';
import { openLog, openSerdes } from '../../src/cli/environment.ts';
import { runSerengptWorker } from '../../src/cli/serengpt-worker.ts';
import { buildTopology, topicSchemas } from '../../src/cli/topologies.ts';
import { planTopics, rolesOf, wantedTopics } from '../../src/cli/topic-plan.ts';
import type { Log } from '../../src/log/port.ts';
import type { Serdes } from '../../src/log/serde.ts';
import type { Generation, RegenerationRequest } from '../../src/serengpt/records.ts';
import { createLogger } from '../../src/cli/logging.ts';
import { requestWith } from '../serengpt/worker/requests.ts';
import { ModelServer } from '../support/model-server.ts';

let folder: string;
let log: Log;
let serdes: Serdes;
let server: ModelServer;
const config = (serengptWorker: object) =>
  compileConfig(
    {
      log: { kind: 'embedded' },
      embedded: { path: join(folder, 'log') },
      topics: { partitions: 2 },
      runtime: { stopDeadline: '5s' },
      http: { port: 0 },
      serengptWorker,
    },
    { SERAL_SERENGPT_WORKER_API_KEY: 'sk-secret' },
  ).config;
const model = () => ({ engine: 'openai', url: server.url, model: 'stub-1' });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-worker-'));
  log = await openLog(config({}));
  serdes = await openSerdes(config({}));
  server = await ModelServer.start(() => ({ texts: ['Head lamp', 'A big knife', 'A rope', 'лампа'] }));
});
afterEach(async () => {
  await server.close();
  await serdes.close();
  await log.close();
  await rm(folder, { recursive: true });
});

async function makeTopics(): Promise<void> {
  const admin = log.admin();
  await admin.create(wantedTopics([buildTopology('regeneration', config({}))], config({})));
  // what the worker answers on belongs to whoever reads it
  await admin.create([{ topic: 'serengpt.generations', partitions: 2 }]).catch(() => {});
  await admin.close();
}

async function until(check: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 15_000; !(await check()); await sleep(20)) {
    if (Date.now() > deadline) throw new Error('it did not come to be within 15 s');
  }
}

async function ask(request: RegenerationRequest): Promise<void> {
  const topic = 'serengpt.regeneration-requests';
  const serde = await serdes.serde<RegenerationRequest>(topic, 'RegenerationRequest');
  const producer = log.producer();
  await producer.open();
  await producer.send([{ topic, key: Buffer.from(request.user_id), value: serde.encode(request) }]);
  await producer.close();
}

async function generations(): Promise<Generation[]> {
  const topic = 'serengpt.generations';
  const serde = await serdes.serde<Generation>(topic, 'Generation');
  const reader = log.reader();
  const found: Generation[] = [];
  for (const partition of [0, 1]) {
    for await (const { records } of reader.read({ topic, partition }, 0)) {
      found.push(...records.map(({ value }) => serde.decode(value)));
    }
  }
  await reader.close();
  return found;
}

it('answers requests by a server, answers probes, and ends when told', async () => {
  await makeTopics();
  const blockedFile = join(folder, 'blocked.txt');
  await writeFile(blockedFile, '# not in this shop\nknives # nor any other\n\n');
  const stop = new AbortController();
  const listening = Promise.withResolvers<string>();
  const running = runSerengptWorker({
    config: config({ ...model(), blockedFile, blocked: ['rope'], scripts: ['Latin'] }),
    log,
    serdes,
    logger: await createLogger({ level: 'silent' }),
    stop: stop.signal,
    onListening: listening.resolve,
  });
  const url = await listening.promise;
  await until(async () => (await fetch(`${url}/ready`)).status === 200);
  await ask(requestWith({ samples: 4 }));
  await until(async () => (await generations()).length === 1);
  expect((await generations())[0]).toMatchObject({
    model: 'stub-1',
    prompt_version: 'serengpt-1',
    outcome: 'generated',
    texts: [{ text: 'Head lamp', kind: 'title', times: 1, logprob: null }],
    dropped: [
      { rule: 'blocked', count: 2 },
      { rule: 'script', count: 1 },
    ],
  });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('seral_requests_total{worker="serengpt-worker"} 1');
  expect(metrics).toContain('seral_samples_dropped_total{kind="title",rule="blocked"} 2');
  expect(server.asked.map(({ headers, path }) => [headers.authorization, path])).toEqual([
    ['Bearer sk-secret', '/v1/completions'],
  ]);
  stop.abort();
  await running;
  await expect(fetch(`${url}/live`)).rejects.toThrow();
});

it('answers requests by the model that comes with it, which needs no server and has its own prompt', async () => {
  await makeTopics();
  const stop = new AbortController();
  const logger = await createLogger({ level: 'silent' });
  const running = runSerengptWorker({ config: config({}), log, serdes, logger, stop: stop.signal });
  await ask(requestWith({ queries: 2 }));
  await until(async () => (await generations()).length === 1);
  stop.abort();
  await running;
  const [generation] = await generations();
  expect(generation).toMatchObject({ outcome: 'generated', error: null, prompt_version: 'serengpt-compact-1' });
  expect(generation!.texts.length).toBeGreaterThan(5);
  for (const { kind, logprob } of generation!.texts) {
    expect(kind).toBe('title');
    expect(logprob).toBeLessThan(0);
  }
});

it('names the topics that are missing, and what makes them', async () => {
  const { signal } = new AbortController();
  await expect(
    runSerengptWorker({
      config: config(model()),
      log,
      serdes,
      logger: await createLogger({ level: 'silent' }),
      stop: signal,
    }),
  ).rejects.toThrow(
    'serengpt.regeneration-requests, serengpt.generations, serengpt-worker.dlq: not there. ' +
      'Run `seral topics apply regeneration`',
  );
});

it.each([
  ['its prompts', () => ({ ...model(), promptFolder: join(folder, 'none') }), 'UNKNOWN_PROMPT'],
  ['its model', () => ({ modelFolder: join(folder, 'none') }), 'BAD_MODEL'],
])('fails at the start where %s are not there', async (_, settings, code) => {
  await makeTopics();
  const { signal } = new AbortController();
  const running = runSerengptWorker({
    config: config(settings()),
    log,
    serdes,
    logger: await createLogger({ level: 'silent' }),
    stop: signal,
  });
  await expect(running).rejects.toMatchObject({ code });
});

it("makes the worker's dead letters, and what it answers on, with the topics of the topology that asks it", () => {
  const topology = buildTopology('regeneration', config({}));
  const wanted = wantedTopics([topology], config({}));
  const names = wanted.map(({ topic }) => topic);
  expect(names).toContain('serengpt-worker.dlq');
  const roles = rolesOf([topology], config({}));
  expect(roles.ours.has('serengpt.triggers')).toBe(true);
  expect(
    planTopics(
      wanted,
      wanted.map(() => null),
      roles,
    ).every(({ action }) => action === 'create'),
  ).toBe(true);
  expect(topicSchemas([topology], config({}))).toContainEqual({ topic: 'serengpt.generations', schema: 'Generation' });
  const compacted = wanted.filter(({ config }) => config?.['cleanup.policy'] === 'compact').map(({ topic }) => topic);
  expect(compacted).toEqual(expect.arrayContaining(['profile.short-term', 'profile.long-term']));
});
