import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { compileConfig, type Config } from '../../src/cli/config.ts';
import { openLog, openSerdes } from '../../src/cli/environment.ts';
import { createLogger, type Logger } from '../../src/cli/logging.ts';
import { runTopologies } from '../../src/cli/run-topologies.ts';
import { wantedTopics } from '../../src/cli/topic-plan.ts';
import { buildTopologies } from '../../src/cli/topologies.ts';
import type { Log } from '../../src/log/port.ts';
import type { Serdes } from '../../src/log/serde.ts';

let folder: string;
let config: Config;
let log: Log;
let serdes: Serdes;
let logger: Logger;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-run-'));
  config = compileConfig(
    {
      log: { kind: 'embedded' },
      embedded: { path: join(folder, 'log') },
      topics: { partitions: 2 },
      runtime: { stateDir: join(folder, 'state'), stopDeadline: '5s' },
      http: { port: 0 },
    },
    {},
  ).config;
  log = await openLog(config);
  serdes = await openSerdes(config);
  logger = await createLogger({ level: 'silent' });
  const admin = log.admin();
  await admin.create(wantedTopics(buildTopologies([], config), config));
  await admin.close();
});
afterEach(async () => {
  await serdes.close();
  await log.close();
  await rm(folder, { recursive: true });
});

const get = async (url: string) => {
  const response = await fetch(url);
  return { status: response.status, text: await response.text() };
};

async function until(check: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 15_000; !(await check()); await sleep(20)) {
    if (Date.now() > deadline) throw new Error('it did not come to be within 15 s');
  }
}

it('runs several topologies, answers probes, and ends when told', async () => {
  const stop = new AbortController();
  const listening = Promise.withResolvers<string>();
  const running = runTopologies({
    config,
    topologies: buildTopologies([], config),
    log,
    serdes,
    logger,
    stop: stop.signal,
    onListening: listening.resolve,
  });
  const url = await listening.promise;
  await until(async () => (await get(`${url}/ready`)).status === 200);
  const { topologies } = JSON.parse((await get(`${url}/ready`)).text);
  expect(topologies.map(({ topology, tasks }: any) => [topology, tasks.length])).toEqual([
    ['labels', 2],
    ['metrics', 2],
    ['profiles', 2],
    ['regeneration', 2],
    ['candidates', 2],
  ]);
  expect(topologies[0].tasks[0]).toMatchObject({ partition: 0, state: 'running', lag: 0, restore: null });
  expect(await get(`${url}/live`)).toMatchObject({ status: 200 });
  const { text } = await get(`${url}/metrics`);
  expect(text).toContain('seral_task_state{topology="metrics",partition="1",state="running"} 1');
  expect(text).toContain('process_resident_memory_bytes');
  expect((await get(`${url}/nothing`)).status).toBe(404);
  stop.abort();
  await running;
  await expect(fetch(`${url}/live`)).rejects.toThrow();
});

it('fails when a worker does, after the others have ended in peace', async () => {
  const stop = new AbortController();
  const broken: Serdes = {
    serde: (topic, schema) =>
      topic === 'metrics.daily' ? Promise.reject(new Error('no such schema')) : serdes.serde(topic, schema),
    close: async () => {},
  };
  const running = runTopologies({
    config,
    topologies: buildTopologies([], config),
    log,
    serdes: broken,
    logger,
    stop: stop.signal,
  });
  await expect(running).rejects.toThrow('no such schema');
});

it('names all topics that are missing, and what makes them', async () => {
  const admin = log.admin();
  await admin.remove(['catalog.items', 'erasure.requests', 'metrics.dlq']);
  await admin.close();
  const { signal } = new AbortController();
  const topologies = buildTopologies([], config);
  await expect(runTopologies({ config, topologies, log, serdes, logger, stop: signal })).rejects.toThrow(
    'catalog.items, erasure.requests, metrics.dlq: not there. ' +
      'Run `seral topics apply labels metrics profiles regeneration candidates`',
  );
});
