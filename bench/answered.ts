/** A worker of the channel at its defaults over an embedded log, with requests that are there to be answered. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino, type Logger } from 'pino';
import { Registry } from 'prom-client';
import { compileConfig, type Config } from '../src/cli/config.ts';
import { embeddedLog } from '../src/log/embedded/index.ts';
import type { Log } from '../src/log/port.ts';
import { readTopic } from '../src/log/read-topic.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { Serdes } from '../src/log/serde.ts';
import type { Asked } from '../src/serengpt/records.ts';

import { Metrics } from '../src/stream/metrics.ts';
import { onceEach } from './asked.ts';
import { meter, type StageResult } from './stages.ts';

interface Of {
  topic: string;
  schema: string;
}

export interface Given {
  config: Config;
  log: Log;
  serdes: Serdes;
  registry: Registry;
  metrics: Metrics;
  logger: Logger;
  onFatal: (error: Error) => void;
}

export interface Worked<Q> {
  folder: string;
  requests: Of;
  answers: Of;
  topics: string[];
  /** what is on the log before the worker is */
  before?: (log: Log, serdes: Serdes) => Promise<void>;
  worker: (given: Given) => { start(): Promise<void>; stop(): Promise<void> };
  /** WARM_UP, and those that are counted */
  asked: readonly Q[];
}

/** Requests that are answered before the clock runs, and are not counted: what is made once is no request's cost. */
export const WARM_UP = 8;
const PATIENCE_MS = 600_000;

/** Runs until each request has its answer on the log, committed. Throws where one has none, or two. */
export async function answersOf<Q extends Asked, A extends Asked>(
  given: Worked<Q>,
): Promise<Pick<StageResult, 'seconds' | 'cpuSeconds'> & { answers: A[] }> {
  const { folder, requests, answers: to, topics, before, worker: make, asked } = given;
  const { config } = compileConfig({ runtime: { stateDir: join(folder, 'state') } }, {});
  const log = await embeddedLog({ path: join(folder, 'log') });
  const serdes = await embeddedSerdes();
  const registry = new Registry();
  let fatal: Error | null = null;
  const admin = log.admin();
  // of several the catalog would come in another order each time, and the graph of neighbours, so the items found, with it
  await admin.create(topics.map((topic) => ({ topic, partitions: 1 })));
  await admin.close();
  await before?.(log, serdes);
  const onFatal = (error: Error): void => void (fatal ??= error);
  const worker = make({
    config,
    log,
    serdes,
    registry,
    metrics: new Metrics(registry),
    logger: pino({ level: 'silent' }),
    onFatal,
  });
  const serde = await serdes.serde<A>(to.topic, to.schema);
  const read = async (): Promise<A[]> => {
    const found: A[] = [];
    await readTopic(log, to.topic, ({ value }) => found.push(serde.decode(value)));
    return found;
  };
  const answered = async (): Promise<number> =>
    (await registry.getSingleMetric('seral_requests_total')!.get()).values.reduce((sum, { value }) => sum + value, 0);
  const until = async (there: () => Promise<boolean>): Promise<void> => {
    for (const deadline = Date.now() + PATIENCE_MS; fatal === null && !(await there()); await sleep(20)) {
      if (Date.now() > deadline) throw new Error('requests stay without an answer');
    }
    if (fatal !== null) throw fatal as Error;
  };
  try {
    await worker.start();
    await write(log, serdes, requests, asked.slice(0, WARM_UP));
    await until(async () => (await answered()) >= WARM_UP);
    const measured = meter();
    await write(log, serdes, requests, asked.slice(WARM_UP));
    await until(async () => (await answered()) >= asked.length);
    await until(async () => (await read()).length >= asked.length);
    const took = measured();
    await worker.stop();
    const all = await read();
    onceEach(asked, all);
    const warm = new Set(asked.slice(0, WARM_UP).map(({ request_id }) => request_id));
    return { ...took, answers: all.filter(({ request_id }) => !warm.has(request_id)) };
  } finally {
    await worker.stop();
    await serdes.close();
    await log.close();
  }
}

/** Of records that name their user, or of an item that names itself. */
export async function write<T extends { user_id: string } | { item_id: string }>(
  log: Log,
  serdes: Serdes,
  { topic, schema }: Of,
  values: readonly T[],
): Promise<void> {
  const serde = await serdes.serde<T>(topic, schema);
  const producer = log.producer();
  await producer.open();
  for (let from = 0; from < values.length; from += 500) {
    await producer.send(
      values.slice(from, from + 500).map((value) => {
        const key = Buffer.from('user_id' in value ? value.user_id : value.item_id);
        return { topic, key, value: serde.encode(value) };
      }),
    );
  }
  await producer.close();
}
