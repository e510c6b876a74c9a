/**
 * What is still kept of a user, looked for wherever it may be. A store is what its changelog says, and a changelog is read
 * by key: an erasure is done where the last record of each of the user's keys is a deletion. What each topology's stores
 * call a user's own is said in the topology (`owner`); where that is not said, it is what lies under the user's key.
 */
import { encodeKey } from '../log/keys.ts';
import { partitionOf } from '../log/murmur2.ts';
import type { Log, LogRecord, OffsetReader, TopicDescription } from '../log/port.ts';
import { readSchema } from '../log/schemas.ts';
import { ChangelogReader, SplitKeys } from '../stream/changelog.ts';
import { TIMERS } from '../stream/compile.ts';
import { namesOf, requestNamesOf } from '../stream/names.ts';
import { prefixOf, type DbChange } from '../stream/state-db.ts';
import { payloadOf } from '../stream/store.ts';
import { timerOf } from '../stream/timers.ts';
import type { OwnerSpec, StoreSpec, Topology } from '../stream/topology.ts';
import { workersOf } from './workers.ts';

/** Of a compacted topic: what the last record of each of the user's keys says. */
export interface Compacted {
  kind: 'store' | 'topic';
  /** null for a topic that several may read or write */
  topology: string | null;
  store: string | null;
  topic: string;
  partition: number;
  /** a table that others write: they must stop sending the user */
  foreign: boolean;
  /** whose last record is a deletion; compaction takes them too in the end */
  deleted: number;
  /** earlier records of the user that lie in the log until compaction takes them: nobody reads them as state */
  superseded: number;
  /** what remembers the erasure, by key */
  cutOffs: string[];
  /** what came after the erasure */
  since: string[];
  /** what should be gone */
  left: string[];
}

/** Of a topic that keeps by time: when the last copy of what is there of the user goes. */
export interface Retained {
  topic: string;
  partition: number;
  /** the newest record of the user, as far as it was looked for; null where there is none */
  newest: number | null;
  /** null: none is there, Infinity: never */
  goneBy: number | null;
}

export interface Proof {
  compacted: Compacted[];
  retained: Retained[];
  /** topics that a topology would have, if it had ever been deployed */
  missing: string[];
  /** the latest cut-off that a store remembers */
  erasedUntil: number | null;
}

export interface ProofOptions {
  log: Log;
  topologies: readonly Topology[];
  app: string;
  user: string;
  /** what was written later came after the erasure, where the user came back; null: take the cut-off that is found */
  requestedAt: number | null;
  now: number;
  /** a topic is done with; `of` so many */
  onTopic?: (done: number, of: number) => void;
}

/** A topic that keeps by time is looked through from its end, no further back than this. */
const LOOK_BACK = 1_000_000;

interface Entry {
  key: string;
  timestamp: number;
  role: 'cut-off' | 'timer of the cut-off' | 'other';
}

interface Found {
  row: Compacted;
  live: Entry[];
}

export async function proveErased(options: ProofOptions): Promise<Proof> {
  const { log, user, topologies } = options;
  const places = await placesOf(options);
  const admin = log.admin();
  const reader = log.reader();
  try {
    const named = [...places.stores.map(({ topic }) => topic), ...places.topics.keys()];
    const described = new Map((await admin.describe(named)).map((found, i) => [named[i]!, found]));
    const there = named.filter((topic) => described.get(topic) != null);
    let done = 0;
    const step = () => options.onTopic?.(++done, there.length);
    const proof: Proof = {
      compacted: [],
      retained: [],
      missing: named.filter((topic) => described.get(topic) == null),
      erasedUntil: null,
    };
    const bounds = async (topic: string) => {
      const partition = partitionOf(encodeKey(user), described.get(topic)!.partitions);
      return (await admin.offsets(topic)).find((one) => one.partition === partition)!;
    };

    const found: Found[] = [];
    const erasures: { topology: string; until: number; since: boolean }[] = [];
    for (const { topology, spec, topic } of places.stores) {
      if (described.get(topic) == null) continue;
      const scan = await scanStore(reader, topic, await bounds(topic), spec, user);
      found.push({ row: { ...scan.row, topology, store: spec.name }, live: scan.live });
      if (scan.erasure !== null) erasures.push({ topology, ...scan.erasure });
      step();
    }
    for (const [topic, { isTable }] of places.topics) {
      const about = described.get(topic);
      if (about == null) continue;
      if (about.config['cleanup.policy']?.includes('compact') === true) {
        const scan = await scanTopic(reader, topic, await bounds(topic), user);
        found.push({ row: { ...scan.row, foreign: isTable }, live: scan.live });
      } else proof.retained.push(await scanRetained(reader, about, await bounds(topic), user, options.now));
      step();
    }

    proof.erasedUntil = erasures.length === 0 ? null : Math.max(...erasures.map(({ until }) => until));
    const requestedAt = options.requestedAt ?? proof.erasedUntil ?? Infinity;
    const cameBack = erasures.some(({ since }) => since);
    for (const { row, live } of found) {
      const remembers = erasures.some(({ topology }) => topology === row.topology);
      for (const { key, timestamp, role } of live) {
        if (role === 'cut-off' || (role === 'timer of the cut-off' && remembers)) row.cutOffs.push(key);
        else if (cameBack && !row.foreign && timestamp >= requestedAt) row.since.push(key);
        else row.left.push(key);
      }
      proof.compacted.push(row);
    }
    return proof;
  } finally {
    await reader.close();
    await admin.close();
  }

  /** The stores of all topologies, and the topics beside them in which there may be something of a user. */
  async function placesOf({ app }: ProofOptions) {
    const stores: { topology: string; spec: Pick<StoreSpec, 'name' | 'codec' | 'owner'>; topic: string }[] = [];
    const topics = new Map<string, { isTable: boolean }>();
    const ofUsers = async (schema: string) => schemaFields(await readSchema(schema)).includes('user_id');
    for (const topology of topologies) {
      const { name } = topology;
      const names = namesOf(name, { app });
      for (const spec of [timersSpec, ...topology.stores]) {
        stores.push({ topology: name, spec, topic: names.changelog(spec.name) });
      }
      for (const spec of topology.sources) {
        if (await ofUsers(spec.schema)) topics.set(names.source(spec), { isTable: false });
      }
      for (const spec of topology.sinks) {
        if (await ofUsers(spec.schema)) topics.set(names.sink(spec), { isTable: false });
      }
      for (const { topic, schema } of topology.tables) if (await ofUsers(schema)) topics.set(topic, { isTable: true });
      topics.set(names.deadLetters, { isTable: false });
    }
    for (const { name, requests, answers } of workersOf(topologies)) {
      const own = [requests.topic, answers.topic, requestNamesOf(name, { app }).deadLetters];
      for (const topic of own) if (!topics.has(topic)) topics.set(topic, { isTable: false });
    }
    return { stores, topics };
  }
}

/** Of a record's schema, the names of its fields: a record of a user says so in `user_id`, and the user is its key. */
export const schemaFields = (schema: string): string[] =>
  (JSON.parse(schema) as { fields: { name: string }[] }).fields.map(({ name }) => name);

const timersSpec: Pick<StoreSpec, 'name' | 'codec' | 'owner'> = {
  name: TIMERS,
  codec: {
    encode: () => Buffer.alloc(0),
    decode: () => undefined,
    size: () => 0,
  },
};

interface Bounds {
  partition: number;
  start: number;
  end: number;
}

const newRow = (kind: Compacted['kind'], topic: string, partition: number): Compacted => ({
  kind,
  topology: null,
  store: null,
  topic,
  partition,
  foreign: false,
  deleted: 0,
  superseded: 0,
  cutOffs: [],
  since: [],
  left: [],
});

async function scanStore(
  reader: OffsetReader,
  topic: string,
  { partition, start, end }: Bounds,
  spec: Pick<StoreSpec, 'name' | 'codec' | 'owner'>,
  user: string,
): Promise<{ row: Compacted; live: Entry[]; erasure: { until: number; since: boolean } | null }> {
  const row = newRow('store', topic, partition);
  const timers = spec.name === TIMERS;
  const changelog = new ChangelogReader(spec.name, new SplitKeys());
  const prefix = prefixOf(spec.name);
  const last = new Map<string, { record: LogRecord; value: Buffer | null }>();
  /** of large values, by their own keys: each is to be deleted too */
  const parts = new Map<string, Buffer | null>();
  for await (const { records } of reader.read({ topic, partition }, start, end)) {
    for (const record of records) {
      const part = record.key === null ? null : baseOfPart(record.key);
      if (part !== null && isOwn(spec.owner, user, part, () => undefined)) {
        if (parts.get(record.key!.toString('latin1')) != null) row.superseded++;
        parts.set(record.key!.toString('latin1'), record.value);
      }
      const rows: DbChange[] = [];
      changelog.apply(record, rows);
      for (const { key, value } of rows) {
        if (!key.subarray(0, prefix.length).equals(prefix)) continue;
        const name = key.toString('utf8', prefix.length);
        const id = timers ? key.toString('latin1', prefix.length) : name;
        const before = last.get(id);
        const own = timers
          ? timerOf(key.subarray(prefix.length))?.key === user
          : isOwn(spec.owner, user, name, () => (value === null ? undefined : spec.codec.decode(payloadOf(value))));
        if (!own && before === undefined) continue;
        if (before != null && before.value !== null) row.superseded++;
        // one that was the user's by its value may be another's now: as good as deleted
        last.set(id, { record, value: own ? value : null });
      }
    }
  }
  const live: Entry[] = [];
  let erasure: { until: number; since: boolean } | null = null;
  for (const [key, { record, value }] of last) {
    if (value === null) {
      row.deleted++;
      continue;
    }
    const { timestamp } = record;
    if (timers) {
      const { kind, due } = timerOf(Buffer.from(key, 'latin1'))!;
      const what = `timer ${kind}, ${new Date(due).toISOString()}`;
      live.push({ key: what, timestamp, role: kind === 'forget' ? 'timer of the cut-off' : 'other' });
      continue;
    }
    const remembered = spec.owner?.erasure?.(spec.codec.decode(payloadOf(value))) ?? null;
    if (remembered !== null) erasure = remembered;
    live.push({ key, timestamp, role: remembered === null ? 'other' : 'cut-off' });
  }
  for (const [id, value] of parts) {
    const base = baseOfPart(Buffer.from(id, 'latin1'))!;
    // a part of a value that is there is told by that
    if (value === null || last.get(base)?.value != null) continue;
    live.push({ key: `part of ${base}`, timestamp: 0, role: 'other' });
  }
  return { row, live, erasure };
}

/** A part's key is FF, the key, FF and a number of two bytes (src/stream/changelog.ts). */
const baseOfPart = (key: Buffer): string | null => (key[0] === 0xff ? key.toString('utf8', 1, key.length - 3) : null);

const isOwn = (owner: OwnerSpec | undefined, user: string, key: string, value: () => unknown): boolean =>
  owner?.has === undefined ? key === user : owner.has(user, key, value);

async function scanTopic(
  reader: OffsetReader,
  topic: string,
  { partition, start, end }: Bounds,
  user: string,
): Promise<{ row: Compacted; live: Entry[] }> {
  const row = newRow('topic', topic, partition);
  const key = encodeKey(user);
  let last: LogRecord | null = null;
  for await (const { records } of reader.read({ topic, partition }, start, end)) {
    for (const record of records) {
      if (record.key?.equals(key) !== true) continue;
      if (last !== null && last.value !== null) row.superseded++;
      last = record;
    }
  }
  if (last === null) return { row, live: [] };
  if (last.value === null) row.deleted++;
  return { row, live: last.value === null ? [] : [{ key: user, timestamp: last.timestamp, role: 'other' }] };
}

async function scanRetained(
  reader: OffsetReader,
  { topic, config }: TopicDescription,
  { partition, start, end }: Bounds,
  user: string,
  now: number,
): Promise<Retained> {
  const key = encodeKey(user);
  const from = Math.max(start, end - LOOK_BACK);
  let newest: number | null = null;
  let first: number | null = null;
  for await (const { records } of reader.read({ topic, partition }, from, end)) {
    for (const record of records) {
      first ??= record.timestamp;
      if (record.key?.equals(key) === true) newest = Math.max(newest ?? -Infinity, record.timestamp);
    }
  }
  // not among those looked through: what there may be is older than them
  if (newest === null && from > start) newest = first ?? now;
  if (newest === null) return { topic, partition, newest, goneBy: null };
  const retention = Number(config['retention.ms'] ?? -1);
  if (retention < 0) return { topic, partition, newest, goneBy: Infinity };
  // records go by segments: one may wait until the newest of its segment goes
  const kept = retention + Number(config['segment.ms'] ?? 0);
  const goneBy = newest + kept;
  // where its own time is over and it is there, the log counts from another, and from now at the latest
  return { topic, partition, newest, goneBy: goneBy > now ? goneBy : now + kept };
}
