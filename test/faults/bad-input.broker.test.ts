/**
 * Whatever a producer may send: each record that cannot be used is in the dead-letter topic with its code, the good ones
 * before and after it are labelled, and what was mended comes back.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SchemaRegistryClient } from '@confluentinc/schemaregistry/dist/schemaregistry-client.js';
import avsc from 'avsc';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { placeOf, readDeadLetters, replayDeadLetters, type DeadLetter } from '../../src/cli/dead-letters.ts';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { encodeKey } from '../../src/log/keys.ts';
import { partitionOf } from '../../src/log/murmur2.ts';
import type { Log, OutRecord } from '../../src/log/port.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { registerSchemas } from '../../src/log/registry/subjects.ts';
import { readSchema, subjectOf } from '../../src/log/schemas.ts';
import type { Serde, Serdes } from '../../src/log/serde.ts';
import type { BehaviorEvent, SerendipityLabel } from '../../src/serendipity/events.ts';
import { silent } from '../../src/stream/logger.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { namesOf } from '../../src/stream/names.ts';
import { Worker } from '../../src/stream/worker.ts';
import { labelsTopology } from '../../topologies/labels.ts';
import { oracle, type RawEvent } from '../oracle/oracle.ts';
import { apart, createTopics, newPlace, produce, removeTopics, schemasOf, untilProcessed } from '../support/apart.ts';
import { describeWithKafkaAndRegistry, kafkaBrokers, registryUrl } from '../support/broker.ts';
import { lastRevisions, readAll } from '../support/outcome-of.ts';
import { eventOf } from '../support/sample.ts';

const PARTITIONS = 2;
const MB = 1 << 20;

describeWithKafkaAndRegistry('bad input', () => {
  const place = newPlace('bad', PARTITIONS);
  const topology = apart(labelsTopology(), place);
  const names = namesOf(topology.name, place);
  const source = names.source(topology.sources[0]!);
  const labels = names.sink(topology.sinks[0]!);
  const start = Date.now() - 3_600_000;
  let log: Log;
  let serdes: Serdes;
  let serde: Serde<BehaviorEvent>;
  let topics: string[];
  let stateDir: string;
  let worker: Worker;
  let failed: Error | null = null;
  /** what was produced and can be used, for the oracle */
  const good: RawEvent[] = [];

  beforeAll(async () => {
    log = kafkaLog({ brokers: kafkaBrokers.split(','), maxBatchBytes: 12 * MB });
    await registerSchemas({ url: registryUrl }, schemasOf([topology], place));
    topics = await createTopics(log, [topology], place, { [source]: { 'max.message.bytes': String(16 * MB) } });
    serdes = confluentSerdes({ url: registryUrl });
    serde = await serdes.serde(source, 'BehaviorEvent');
    stateDir = await mkdtemp(join(tmpdir(), 'seral-bad-input-'));
    worker = new Worker({
      topology,
      log,
      serdes,
      options: { app: place.app, suffix: place.suffix, stateDir, rebuildBudget: 3 },
      metrics: new Metrics(new Registry()),
      logger: process.env.LOGS === undefined ? silent : { ...silent, warn: console.warn, error: console.error },
      now: Date.now,
      random: Math.random,
      onFatal: (error) => (failed ??= error),
    });
    await worker.start();
  });
  afterAll(async () => {
    await worker?.stop();
    await serdes?.close();
    if (topics !== undefined) await removeTopics(log, [...topics, `${names.deadLetters}.replayed`]);
    await log?.close();
    if (stateDir !== undefined) await rm(stateDir, { recursive: true, force: true });
  });

  let moment = 0;
  const event = (user: string, type: RawEvent['event_type'], rest: Partial<RawEvent> = {}): RawEvent => {
    const n = ++moment;
    return {
      event_id: `e${n}`,
      event_type: type,
      event_time: start + n * 1000,
      user_id: user,
      request_id: null,
      ...rest,
    };
  };
  const shown = (user: string, item: string): RawEvent =>
    event(user, 'exposure', { request_id: `r-${item}`, items: [{ item_id: item, category_id: `c-${item}` }] });
  const clicked = (user: string, item: string): RawEvent =>
    event(user, 'click', { request_id: `r-${item}`, items: [{ item_id: item, category_id: `c-${item}` }] });

  const recordOf = (raw: RawEvent, key = raw.user_id): OutRecord => ({
    topic: source,
    key: encodeKey(key),
    value: serde.encode(eventOf(raw)),
  });
  /** A good one, as bytes to be broken. */
  const bytesOf = (user: string, rest?: Partial<RawEvent>): Buffer => recordOf(event(user, 'visit', rest)).value!;

  /** A schema of a producer that is ahead of us: it knows a type of event that we do not. */
  const withAnotherType = async (): Promise<{ type: avsc.Type; id: number }> => {
    const schema = (await readSchema('BehaviorEvent')).replace('"visit"]', '"visit","share"]');
    const client = new SchemaRegistryClient({ baseURLs: [registryUrl], maxRetries: 0 });
    const id = await client.register(subjectOf(source), { schema, schemaType: 'AVRO' });
    await client.close();
    return { type: avsc.Type.forSchema(JSON.parse(schema)), id };
  };

  interface Bad {
    code: string;
    /** beginning at which user's key */
    make: (user: string) => Omit<OutRecord, 'topic'> | Promise<Omit<OutRecord, 'topic'>>;
  }
  const valued = (value: Buffer | null) => (user: string) => ({ key: encodeKey(user), value });
  const broken = (raw: (user: string) => RawEvent) => (user: string) => ({
    key: encodeKey(user),
    value: serde.encode(eventOf(raw(user))),
  });
  const item = (item_id: string) => [{ item_id, category_id: 'c' }];
  const bads: Record<string, Bad> = {
    'truncated Avro': {
      code: 'MALFORMED',
      make: (user) => valued(bytesOf(user).subarray(0, 12))(user),
    },
    'bytes behind the record': {
      code: 'MALFORMED',
      make: (user) => valued(Buffer.concat([bytesOf(user), Buffer.of(1)]))(user),
    },
    'an unknown schema id': {
      code: 'UNKNOWN_SCHEMA_ID',
      make: (user) => {
        const value = bytesOf(user);
        value.writeInt32BE(0x7ffffff0, 1);
        return valued(value)(user);
      },
    },
    'a wrong magic byte': { code: 'MAGIC_BYTE', make: valued(Buffer.from('{"event_id":"json"}')) },
    'an empty value': { code: 'MAGIC_BYTE', make: valued(Buffer.alloc(0)) },
    'a null value': { code: 'NULL_VALUE', make: valued(null) },
    'garbage of 10 MB': {
      code: 'MALFORMED',
      make: (user) => valued(Buffer.concat([bytesOf(user), Buffer.alloc(10 * MB, 7)]))(user),
    },
    'an id of 2 MB': {
      code: 'TOO_LONG',
      make: (user) => valued(recordOf(event(user, 'exposure', { items: item('x'.repeat(2 * MB)) })).value!)(user),
    },
    'an arm of 2 MB': {
      code: 'TOO_LONG',
      make: broken((user) => event(user, 'exposure', { arm: 'x'.repeat(2 * MB), items: item('x') })),
    },
    'a user of 2 MB': {
      code: 'TOO_LONG',
      make: () => recordOf(event('u'.repeat(2 * MB), 'visit')),
    },
    'invalid UTF-8': {
      code: 'INVALID_UTF8',
      make: (user) => {
        const value = bytesOf(user, { query: 'QQQQ' });
        value.fill(0xff, value.indexOf('QQQQ'), value.indexOf('QQQQ') + 4);
        return valued(value)(user);
      },
    },
    'a time before 1970': { code: 'BAD_TIME', make: broken((user) => event(user, 'visit', { event_time: -1 })) },
    'a time far ahead': {
      code: 'FUTURE_EVENT',
      make: broken((user) => event(user, 'visit', { event_time: Date.now() + 3_600_000 })),
    },
    'an empty event_id': { code: 'EMPTY_ID', make: broken((user) => event(user, 'visit', { event_id: '' })) },
    'an empty item_id': { code: 'EMPTY_ID', make: broken((user) => event(user, 'click', { items: item('') })) },
    'an empty user_id': {
      code: 'EMPTY_ID',
      make: (user) => ({ ...recordOf(event('', 'visit')), key: encodeKey(user) }),
    },
    "another user's key": {
      code: 'KEY_MISMATCH',
      make: (user) => ({ ...recordOf(event(`not ${user}`, 'visit')), key: encodeKey(user) }),
    },
    'an unknown type of event': {
      code: 'UNKNOWN_ENUM',
      make: async (user) => {
        const { type, id } = await withAnotherType();
        const header = Buffer.alloc(5);
        header.writeInt32BE(id, 1);
        const value = { ...eventOf(event(user, 'visit')), event_type: 'share' };
        return valued(Buffer.concat([header, type.toBuffer(value)]))(user);
      },
    },
    'no key': {
      code: 'NULL_KEY',
      make: (user) => ({ ...recordOf(event(user, 'visit')), key: null }),
    },
    'a key that is not UTF-8': {
      code: 'INVALID_UTF8',
      make: (user) => ({ ...recordOf(event(user, 'visit')), key: Buffer.of(0xff, 0xfe) }),
    },
  };
  const users = Object.fromEntries(Object.keys(bads).map((what, n) => [what, `u${n}`]));

  const processed = () =>
    untilProcessed(log, [topology], place, {
      check: () => {
        if (failed !== null) throw failed;
      },
    });
  const published = async () => {
    const labelSerde = await serdes.serde<SerendipityLabel>('serendipity.labels', 'SerendipityLabel');
    return lastRevisions((await readAll(log, labels)).map(({ value }) => labelSerde.decode(value)));
  };
  const letters = async (): Promise<DeadLetter[]> => {
    const found: DeadLetter[] = [];
    for await (const letter of readDeadLetters(log, names.deadLetters)) found.push(letter);
    return found;
  };

  it('is in the dead-letter topic, with its code, and what stands around it is labelled', async () => {
    const expected: { at: number; code: string; key: Buffer | null }[] = [];
    for (const [what, { code, make }] of Object.entries(bads)) {
      const user = users[what]!;
      const partition = partitionOf(encodeKey(user), PARTITIONS);
      const around = [shown(user, 'before'), clicked(user, 'before'), shown(user, 'after'), clicked(user, 'after')];
      good.push(...around);
      const bad = { partition, topic: source, ...(await make(user)) };
      bad.partition = partition;
      bad.topic = source;
      expected.push({ at: partition, code, key: bad.key?.subarray(0, 450_000) ?? null });
      const [one, two, three, four] = around.map((raw) => recordOf(raw));
      await produce(log, [one!, two!, bad, three!, four!]);
    }
    await processed();

    const inOrder = (await letters())
      .sort((a, b) => a.source!.offset - b.source!.offset)
      .map(({ source: from, code, key }) => ({ at: from!.partition, code, key }));
    for (let at = 0; at < PARTITIONS; at++) {
      expect(inOrder.filter((one) => one.at === at)).toEqual(expected.filter((one) => one.at === at));
    }
    expect(await published()).toEqual(oracle(good).labels);
    const big = (await letters()).find(({ truncated }) => truncated !== null && truncated > 10 * MB)!;
    expect(big.value!.length).toBeLessThan(MB);
  });

  it('is not an exposure of 10,000 items', async () => {
    const many = event('much', 'exposure', {
      request_id: 'r-much',
      items: Array.from({ length: 10_000 }, (_, n) => ({ item_id: `i${n}`, category_id: `c${n % 700}`, position: n })),
    });
    const click = event('much', 'click', { request_id: 'r-much', items: [{ item_id: 'i9999' }] });
    const before = (await letters()).length;
    const [again, more] = [shown('much', 'again'), clicked('much', 'again')];
    good.push(many, click, again, more);
    await produce(
      log,
      [many, click, again, more].map((raw) => recordOf(raw)),
    );
    await processed();
    expect(await letters()).toHaveLength(before);
    expect(await published()).toEqual(oracle(good).labels);
  });

  it('comes back once it is mended', async () => {
    const keyOf = (what: string): string => users[what]!;
    const letterOf = async (what: string): Promise<DeadLetter> =>
      (await letters()).find(({ key }) => key?.equals(encodeKey(keyOf(what))) === true)!;
    const schemaOf = (topic: string) => (topic === source ? 'BehaviorEvent' : undefined);

    const exposure = shown(keyOf('an empty item_id'), 'mended');
    const mended = clicked(keyOf('an empty item_id'), 'mended');
    await produce(log, [recordOf(exposure)]);
    const places = [placeOf(await letterOf('an empty item_id'))];
    const value = eventOf(mended);
    const sent = await replayDeadLetters(log, names.deadLetters, { places, mended: { value, schemaOf, serdes } });
    expect(sent.sent).toHaveLength(1);
    good.push(exposure, mended);

    // the value was right, the key was another's
    const misplaced = placeOf(await letterOf("another user's key"));
    const moved = await replayDeadLetters(log, names.deadLetters, {
      places: [misplaced],
      key: `not ${keyOf("another user's key")}`,
    });
    expect(moved.sent).toHaveLength(1);

    const before = (await letters()).length;
    const again = await replayDeadLetters(log, names.deadLetters, { places: [...places, misplaced] });
    expect(again.sent).toEqual([]);
    expect(again.skipped.map(({ why }) => why)).toEqual(['it was replayed before', 'it was replayed before']);

    await processed();
    expect(await letters()).toHaveLength(before);
    const found = await published();
    expect(found).toEqual(oracle(good).labels);
    expect(found.some(({ label_id }) => label_id === `${mended.event_id}#mended`)).toBe(true);
  });
});
