/**
 * `seral forget`: asks every topology to erase a user, waits until each has committed that it did, and proves it.
 *
 *   request   a record of `erasure.requests`, and a deletion in each compacted topic that others write (users)
 *   wait      until the group of each topology that ever ran has passed the request
 *   proof     src/cli/forget-proof.ts
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SeralError, UsageError } from '../errors.ts';
import { encodeKey } from '../log/keys.ts';
import { partitionOf } from '../log/murmur2.ts';
import type { Log, LogAdmin, OutRecord } from '../log/port.ts';
import { readSchema } from '../log/schemas.ts';
import type { Serdes } from '../log/serde.ts';
import type { ErasureRequest } from '../shop/users.ts';
import { namesOf } from '../stream/names.ts';
import type { Topology } from '../stream/topology.ts';
import { proveErased, schemaFields, type Proof } from './forget-proof.ts';

export const ERASURES = 'erasure.requests';

/** A request as it stands in the log. */
export interface Request {
  partition: number;
  offset: number;
  requestedAt: number;
}

export interface Progress {
  topology: string;
  group: string;
  /** `passed`: it has erased the user. `never ran`: it has committed nothing, ever. */
  state: 'passed' | 'behind' | 'never ran';
  members: number;
}

export interface ForgetReport extends Proof {
  user: string;
  /** null: there is none, or it is no longer kept */
  request: Request | null;
  topologies: Progress[];
  /** nothing is left, and every topology that runs has passed the request */
  erased: boolean;
}

export interface ForgetOptions {
  log: Log;
  serdes: Serdes;
  topologies: readonly Topology[];
  app: string;
  user: string;
  timeoutMs: number;
  now?: () => number;
  pollMs?: number;
  /** so many topologies of so many have passed the request */
  onWait?: (done: number, of: number) => void;
  onTopic?: (done: number, of: number) => void;
}

/** Erases a user, and says what is left. */
export async function forget(options: ForgetOptions): Promise<ForgetReport> {
  if (options.user === '') throw new UsageError('a user_id is not empty');
  const request = await ask(options);
  const topologies = await wait(options, request);
  return report(options, request, topologies);
}

/** What is left of a user, without asking for anything. */
export async function checkForgotten(options: Omit<ForgetOptions, 'timeoutMs'>): Promise<ForgetReport> {
  const request = await lastRequest(options);
  return report(options, request, await progressOf(options, request));
}

async function report(
  options: Omit<ForgetOptions, 'timeoutMs'>,
  request: Request | null,
  topologies: Progress[],
): Promise<ForgetReport> {
  const { log, app, user, now = Date.now, onTopic } = options;
  const proof = await proveErased({
    log,
    topologies: options.topologies,
    app,
    user,
    requestedAt: request?.requestedAt ?? null,
    now: now(),
    ...(onTopic === undefined ? {} : { onTopic }),
  });
  const erased =
    topologies.every(({ state }) => state !== 'behind') && proof.compacted.every(({ left }) => left.length === 0);
  return { user, request, topologies, erased, ...proof };
}

async function ask({ log, serdes, topologies, user, now = Date.now }: ForgetOptions): Promise<Request> {
  const key = encodeKey(user);
  const tables = await tablesOfUsers(topologies);
  const admin = log.admin();
  let from: number;
  let partition: number;
  let there: string[];
  try {
    const [requests, ...described] = await admin.describe([ERASURES, ...tables]);
    if (requests == null) {
      throw new SeralError('MISSING_TOPICS', `${ERASURES} is not there. Run \`seral topics apply\``, { fatal: true });
    }
    there = tables.filter((_, i) => described[i] !== null);
    partition = partitionOf(key, requests.partitions);
    from = (await admin.offsets(ERASURES)).find((one) => one.partition === partition)!.end;
  } finally {
    await admin.close();
  }
  const serde = await serdes.serde<ErasureRequest>(ERASURES, 'ErasureRequest');
  const requestedAt = now();
  const records: OutRecord[] = [
    { topic: ERASURES, partition, key, value: serde.encode({ user_id: user, requested_at: requestedAt }) },
    ...there.map((topic): OutRecord => ({ topic, key, value: null })),
  ];
  const producer = log.producer();
  await producer.open();
  try {
    await producer.send(records);
  } finally {
    await producer.close();
  }
  const written = await find(log, serdes, user, partition, from);
  if (written === null) throw new SeralError('REQUEST_LOST', `the request is not in ${ERASURES}`);
  return written;
}

/** The global tables whose rows are of users: written by the shop, and to be deleted by whoever erases. */
async function tablesOfUsers(topologies: readonly Topology[]): Promise<string[]> {
  const tables = new Map(topologies.flatMap((topology) => topology.tables).map(({ topic, schema }) => [topic, schema]));
  const found: string[] = [];
  for (const [topic, schema] of tables) {
    if (schemaFields(await readSchema(schema)).includes('user_id')) found.push(topic);
  }
  return found;
}

async function lastRequest({ log, serdes, user }: Omit<ForgetOptions, 'timeoutMs'>): Promise<Request | null> {
  const admin = log.admin();
  let bounds: { partition: number; start: number }[];
  try {
    if ((await admin.describe([ERASURES]))[0] === null) return null;
    bounds = await admin.offsets(ERASURES);
  } finally {
    await admin.close();
  }
  const partition = partitionOf(encodeKey(user), bounds.length);
  return find(log, serdes, user, partition, bounds.find((one) => one.partition === partition)!.start);
}

/** The user's last request from an offset on. */
async function find(log: Log, serdes: Serdes, user: string, partition: number, from: number): Promise<Request | null> {
  const key = encodeKey(user);
  const serde = await serdes.serde<ErasureRequest>(ERASURES, 'ErasureRequest');
  const reader = log.reader();
  let last: Request | null = null;
  try {
    for await (const { records } of reader.read({ topic: ERASURES, partition }, from)) {
      const own = records.filter((record) => record.key?.equals(key) === true);
      await serde.prepare(own.map(({ value }) => value));
      for (const { offset, value } of own) {
        try {
          last = { partition, offset, requestedAt: serde.decode(value).requested_at };
        } catch (error) {
          // what no topology could read either went to their dead letters
          if (!(error instanceof SeralError)) throw error;
        }
      }
    }
  } finally {
    await reader.close();
  }
  return last;
}

async function wait(options: ForgetOptions, request: Request): Promise<Progress[]> {
  const { timeoutMs, pollMs = 500, onWait } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const progress = await progressOf(options, request);
    const waited = progress.filter(({ state }) => state !== 'never ran');
    const passed = waited.filter(({ state }) => state === 'passed').length;
    onWait?.(passed, waited.length);
    if (passed === waited.length || performance.now() > deadline) return progress;
    await sleep(pollMs);
  }
}

async function progressOf(
  { log, topologies, app }: Omit<ForgetOptions, 'timeoutMs'>,
  request: Request | null,
): Promise<Progress[]> {
  const admin = log.admin();
  try {
    const found: Progress[] = [];
    for (const topology of topologies) {
      const { group } = namesOf(topology.name, { app });
      const { members } = await admin.group(group);
      const state = await stateOf(admin, topology, app, request);
      found.push({ topology: topology.name, group, state, members: members.length });
    }
    return found;
  } finally {
    await admin.close();
  }
}

async function stateOf(
  admin: LogAdmin,
  topology: Topology,
  app: string,
  request: Request | null,
): Promise<Progress['state']> {
  const names = namesOf(topology.name, { app });
  const sources = topology.sources.map((source) => names.source(source));
  const described = await admin.describe(sources);
  const places = described.flatMap((one) =>
    one === null ? [] : Array.from({ length: one.partitions }, (_, partition) => ({ topic: one.topic, partition })),
  );
  const committed = places.length === 0 ? [] : await admin.committed(names.group, places);
  if (committed.every((position) => position === null)) return 'never ran';
  if (request === null) return 'passed';
  const at = places.findIndex(({ topic, partition }) => topic === ERASURES && partition === request.partition);
  return at >= 0 && (committed[at] ?? -1) > request.offset ? 'passed' : 'behind';
}
