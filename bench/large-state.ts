/**
 * A job with a large state and little else, as a process that can be killed, and the log it runs on:
 *   node bench/large-state.ts '{"brokers": ..., "runtime": ...}'   runs the job; its log goes to stdout, a JSON object a line
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Registry } from 'prom-client';
import { encodeKey } from '../src/log/keys.ts';
import { kafkaLog } from '../src/log/kafka/index.ts';
import type { Log, OutRecord } from '../src/log/port.ts';
import type { Serdes } from '../src/log/serde.ts';
import type { Logger } from '../src/stream/logger.ts';
import { Metrics } from '../src/stream/metrics.ts';
import { namesOf, requiredTopics } from '../src/stream/names.ts';
import type { RuntimeOptions } from '../src/stream/options.ts';
import { Topology, type Processor, type ProcessorContext } from '../src/stream/topology.ts';
import { Worker } from '../src/stream/worker.ts';
import { startKafka } from '../test/support/kafka-harness.ts';
import { run, type Running } from '../test/support/process.ts';
import { NODE_FLAGS } from './node-flags.ts';

export const APP = 'bench';
export const TOUCHES = 'bench.touches';

interface User {
  touches: number;
  rest: Buffer;
}

/** Each touch rewrites the user's state, of `bytes` bytes. */
export const largeState = (bytes: number): Topology =>
  new Topology('large-state')
    .source<Buffer>({ name: 'touches', topic: TOUCHES, schema: 'Bytes' })
    .store<User>({
      name: 'users',
      codec: {
        encode: ({ touches, rest }) => {
          const value = Buffer.allocUnsafe(4 + rest.length);
          value.writeUInt32BE(touches);
          rest.copy(value, 4);
          return value;
        },
        decode: (value) => ({ touches: value.readUInt32BE(), rest: Buffer.from(value.subarray(4)) }),
        size: ({ rest }) => rest.length + 100,
      },
    })
    .processor({
      name: 'touch',
      from: ['touches'],
      stores: ['users'],
      create: (context: ProcessorContext): Processor<Buffer> => {
        const users = context.store<User>('users');
        return {
          keys: ({ key }, want) => want('users', key),
          process: ({ key }) => {
            const user = users.get(key) ?? { touches: 0, rest: restOf(key, bytes - 4) };
            user.touches++;
            users.put(key, user);
          },
        };
      },
    });

/** Bytes that differ from user to user and compress as records do, by a half or so. */
function restOf(key: string, bytes: number): Buffer {
  const rest = Buffer.alloc(bytes, key);
  for (let i = 0, mixed = Number(key.slice(5)) | 0; i < bytes; i += 2) {
    mixed = (Math.imul(mixed, 1_664_525) + 1_013_904_223) | 0;
    rest[i] = mixed >>> 24;
  }
  return rest;
}

const plainSerdes = {
  serde: () => Promise.resolve({ decode: (b: Buffer | null) => b, encode: (v: Buffer) => v, prepare: () => undefined }),
  close: () => Promise.resolve(),
} as unknown as Serdes;

export interface Settings {
  brokers: string;
  /** of a user's state */
  bytes: number;
  runtime: RuntimeOptions;
}

export async function createTopics(log: Log, partitions: number): Promise<void> {
  const admin = log.admin();
  await admin.create(requiredTopics(largeState(100), { app: APP, partitions, replication: 1 }));
  await admin.close();
}

/** Touches of the users from `from` on. */
export async function touch(log: Log, from: number, count: number, onSent?: (sent: number) => void): Promise<void> {
  const producer = log.producer();
  await producer.open();
  for (let sent = 0; sent < count;) {
    const records: OutRecord[] = [];
    for (; sent < count && records.length < 10_000; sent++) {
      records.push({ topic: TOUCHES, key: encodeKey(`user-${from + sent}`), value: Buffer.of(1) });
    }
    await producer.send(records);
    onSent?.(sent);
  }
  await producer.close();
}

/** How far each partition of the touches is processed and committed, and where it ends. */
export async function progressOf(log: Log): Promise<{ partition: number; committed: number; end: number }[]> {
  const admin = log.admin();
  try {
    const ends = await admin.offsets(TOUCHES);
    const { group } = namesOf('large-state', { app: APP });
    const committed = await admin.committed(
      group,
      ends.map(({ partition }) => ({ topic: TOUCHES, partition })),
    );
    return ends.map(({ partition, end }, i) => ({ partition, end, committed: committed[i] ?? 0 }));
  } finally {
    await admin.close();
  }
}

export interface Line {
  at: number;
  /** CPU seconds that the job has used since its start */
  cpu: number;
  msg: string;
  partition?: number;
  partitions?: number[];
  standbys?: number[];
  state?: string;
  done?: number;
  remaining?: number;
  percent?: number;
  recordsPerSecond?: number;
  secondsLeft?: number | null;
  lag?: number;
}

/** Records restored, by what a job said. */
export function restoredIn(lines: readonly Line[]): number {
  const last = new Map<number, number>();
  for (const { msg, partition, done } of lines) if (msg === 'restoring') last.set(partition!, done!);
  return [...last.values()].reduce((sum, done) => sum + done, 0);
}

/** What a bench of a large state is told and runs on: a broker of its own unless KAFKA_BROKERS names one. */
export async function setting(name: string) {
  const { values } = parseArgs({
    options: {
      users: { type: 'string', default: '1000000' },
      bytes: { type: 'string', default: '500' },
      partitions: { type: 'string', default: '4' },
    },
  });
  const root = mkdtempSync(join(tmpdir(), `seral-bench-${name}-`));
  const kafka = process.env['KAFKA_BROKERS'] === undefined ? await startKafka({ jvm: 'full', heapMb: 1024 }) : null;
  const brokers = process.env['KAFKA_BROKERS'] ?? kafka!.brokers;
  const log = kafkaLog({ brokers: brokers.split(',') });
  return {
    users: Number(values.users),
    bytes: Number(values.bytes),
    partitions: Number(values.partitions),
    root,
    brokers,
    log,
    /** All that is in the log is processed. */
    idle: async (): Promise<true | undefined> =>
      (await progressOf(log)).every(({ committed, end }) => committed >= end) || undefined,
    end: async (): Promise<void> => {
      await log.close();
      await kafka?.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

let started = 0;

export class Job {
  readonly #process: Running;
  readonly #output: string;

  /** `root` is removed when we end, however that is. */
  constructor(root: string, settings: Settings) {
    mkdirSync(settings.runtime.stateDir, { recursive: true });
    this.#output = join(root, `job-${++started}.log`);
    this.#process = run(process.execPath, [...NODE_FLAGS, import.meta.filename, JSON.stringify(settings)], {
      folder: root,
      root,
      output: this.#output,
    });
  }

  lines(): Line[] {
    const text = readFileSync(this.#output, 'utf8');
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    return whole.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []));
  }

  get assigned(): Line | undefined {
    return this.lines().findLast(({ msg }) => msg === 'assigned');
  }

  /** What it said when the last of all that is assigned began to run; undefined where that is not so. */
  runningSince(): Line | undefined {
    const lines = this.lines();
    const { partitions = [] } = this.assigned ?? {};
    const last = partitions.map((partition) => lines.findLast((l) => l.msg === 'task' && l.partition === partition));
    if (last.length === 0 || last.some((line) => line?.state !== 'running')) return undefined;
    return last.reduce((a, b) => (a!.at > b!.at ? a : b));
  }

  async until<T>(what: string, found: () => T | undefined | Promise<T | undefined>, withinMs = 600_000): Promise<T> {
    for (const deadline = Date.now() + withinMs; ; await sleep(50)) {
      const value = await found();
      if (value !== undefined) return value;
      if (this.#process.exited) throw new Error(`the job has ended:\n${this.#process.tail()}`);
      if (Date.now() > deadline) throw new Error(`${what} was not reached in time:\n${this.#process.tail()}`);
    }
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }
}

async function main({ brokers, bytes, runtime }: Settings): Promise<void> {
  const say = (msg: string, fields: object): void => {
    const { user, system } = process.cpuUsage();
    process.stdout.write(`${JSON.stringify({ at: Date.now(), cpu: (user + system) / 1e6, msg, ...fields })}\n`);
  };
  const log = (fields: object, message: string): void => say(message, fields);
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  const worker = new Worker({
    topology: largeState(bytes),
    log: kafkaLog({ brokers: brokers.split(',') }),
    serdes: plainSerdes,
    options: runtime,
    metrics: new Metrics(new Registry()),
    logger,
    now: Date.now,
    random: Math.random,
    onFatal: (error) => {
      throw error;
    },
  });
  await worker.start();
}

if (process.argv[1] === import.meta.filename) await main(JSON.parse(process.argv[2]!) as Settings);
