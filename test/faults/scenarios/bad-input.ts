/**
 * Whatever a producer may send: each record that cannot be used is in the dead-letter topic with its code, the good ones
 * before and after it are labelled, and what was mended comes back.
 */
import { strict as assert } from 'node:assert';
import {
  placeOf,
  readDeadLetters,
  replayDeadLetters,
  replayedTopic,
  type DeadLetter,
} from '../../../src/cli/dead-letters.ts';
import { kafkaLog } from '../../../src/log/kafka/index.ts';
import { encodeKey } from '../../../src/log/keys.ts';
import { partitionOf } from '../../../src/log/murmur2.ts';
import type { Log, OutRecord } from '../../../src/log/port.ts';
import type { RawEvent } from '../../oracle/oracle.ts';
import { produce, removeTopics } from '../../support/apart.ts';
import { eventOf } from '../../support/sample.ts';
import { Handmade } from '../handmade.ts';
import type { Job } from '../job.ts';
import type { Scenario } from '../scenario.ts';

const PARTITIONS = 2;
const MB = 1 << 20;

interface Bad {
  code: string;
  /** standing at which user's key */
  make: (user: string) => Omit<OutRecord, 'topic'>;
}

const of = (user: string, value: Buffer | null): Omit<OutRecord, 'topic'> => ({ key: encodeKey(user), value });
const item = (item_id: string) => [{ item_id, category_id: 'c' }];
/** A good one, to be broken. */
const bytesOf = (shop: Handmade, user: string, rest?: Partial<RawEvent>): Buffer =>
  shop.record(shop.event(user, 'visit', rest)).value!;

const badsOf = (shop: Handmade, ahead: (raw: RawEvent) => OutRecord): Record<string, Bad> => ({
  'truncated Avro': {
    code: 'MALFORMED',
    make: (user) => of(user, bytesOf(shop, user).subarray(0, 12)),
  },
  'bytes behind the record': {
    code: 'MALFORMED',
    make: (user) => of(user, Buffer.concat([bytesOf(shop, user), Buffer.of(1)])),
  },
  'an unknown schema id': {
    code: 'UNKNOWN_SCHEMA_ID',
    make: (user) => {
      const value = bytesOf(shop, user);
      value.writeInt32BE(0x7ffffff0, 1);
      return of(user, value);
    },
  },
  'a wrong magic byte': { code: 'MAGIC_BYTE', make: (user) => of(user, Buffer.from('{"event_id":"json"}')) },
  'an empty value': { code: 'MAGIC_BYTE', make: (user) => of(user, Buffer.alloc(0)) },
  'a null value': { code: 'NULL_VALUE', make: (user) => of(user, null) },
  'garbage of 10 MB': {
    code: 'MALFORMED',
    make: (user) => of(user, Buffer.concat([bytesOf(shop, user), Buffer.alloc(10 * MB, 7)])),
  },
  'an id of 2 MB': {
    code: 'TOO_LONG',
    make: (user) => of(user, shop.record(shop.event(user, 'exposure', { items: item('x'.repeat(2 * MB)) })).value!),
  },
  'an arm of 2 MB': {
    code: 'TOO_LONG',
    make: (user) =>
      of(user, shop.record(shop.event(user, 'exposure', { arm: 'x'.repeat(2 * MB), items: item('x') })).value),
  },
  'a user of 2 MB': {
    code: 'TOO_LONG',
    make: () => shop.record(shop.event('u'.repeat(2 * MB), 'visit')),
  },
  'invalid UTF-8': {
    code: 'INVALID_UTF8',
    make: (user) => {
      const value = bytesOf(shop, user, { query: 'QQQQ' });
      value.fill(0xff, value.indexOf('QQQQ'), value.indexOf('QQQQ') + 4);
      return of(user, value);
    },
  },
  'a time before 1970': {
    code: 'BAD_TIME',
    make: (user) => of(user, shop.record(shop.event(user, 'visit', { event_time: -1 })).value),
  },
  'a time far ahead': {
    code: 'FUTURE_EVENT',
    make: (user) => of(user, shop.record(shop.event(user, 'visit', { event_time: Date.now() + 3_600_000 })).value),
  },
  'an empty event_id': {
    code: 'EMPTY_ID',
    make: (user) => of(user, shop.record(shop.event(user, 'visit', { event_id: '' })).value),
  },
  'an empty item_id': {
    code: 'EMPTY_ID',
    make: (user) => of(user, shop.record(shop.event(user, 'click', { items: item('') })).value),
  },
  'an empty user_id': {
    code: 'EMPTY_ID',
    make: (user) => ({ ...shop.record(shop.event('', 'visit')), key: encodeKey(user) }),
  },
  "another user's key": {
    code: 'KEY_MISMATCH',
    make: (user) => ({ ...shop.record(shop.event(`not ${user}`, 'visit')), key: encodeKey(user) }),
  },
  'an unknown type of event': {
    code: 'UNKNOWN_ENUM',
    make: (user) => ahead(shop.event(user, 'share')),
  },
  'no key': {
    code: 'NULL_KEY',
    make: (user) => ({ ...shop.record(shop.event(user, 'visit')), key: null }),
  },
  'a key that is not UTF-8': {
    code: 'INVALID_UTF8',
    make: (user) => ({ ...shop.record(shop.event(user, 'visit')), key: Buffer.of(0xff, 0xfe) }),
  },
});

async function lettersOf(log: Log, job: Job): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  for await (const letter of readDeadLetters(log, job.names.deadLetters)) found.push(letter);
  return found;
}

/** Each bad record among good ones of the same user. */
async function refuses(log: Log, job: Job, shop: Handmade, bads: Record<string, Bad>): Promise<void> {
  const expected: { at: number; code: string; key: Buffer | null }[] = [];
  for (const [what, { code, make }] of Object.entries(bads)) {
    const partition = partitionOf(encodeKey(what), PARTITIONS);
    const around = [shop.shown(what, 'before'), shop.clicked(what, 'before')];
    around.push(shop.shown(what, 'after'), shop.clicked(what, 'after'));
    shop.good.push(...around);
    const bad = { ...make(what), partition, topic: shop.source };
    expected.push({ at: partition, code, key: bad.key?.subarray(0, 450_000) ?? null });
    const [one, two, three, four] = around.map((raw) => shop.record(raw));
    await produce(log, [one!, two!, bad, three!, four!]);
  }
  await job.settled();
  const letters = await lettersOf(log, job);
  const inOrder = [...letters].sort((a, b) => a.source!.offset - b.source!.offset);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const here = inOrder.filter(({ source }) => source!.partition === partition);
    assert.deepEqual(
      here.map(({ source, code, key }) => ({ at: source!.partition, code, key })),
      expected.filter(({ at }) => at === partition),
    );
  }
  const big = letters.find(({ truncated }) => truncated !== null && truncated > 10 * MB)!;
  assert.ok(big.value!.length < MB);
}

/** Unusual, and right. */
async function takes(log: Log, job: Job, shop: Handmade, ahead: (raw: RawEvent) => OutRecord): Promise<void> {
  const before = (await lettersOf(log, job)).length;
  const many = shop.event('much', 'exposure', {
    request_id: 'r-much',
    items: Array.from({ length: 10_000 }, (_, n) => ({ item_id: `i${n}`, category_id: `c${n % 700}`, position: n })),
  });
  const ones = [many, shop.event('much', 'click', { request_id: 'r-much', items: [{ item_id: 'i9999' }] })];
  ones.push(shop.shown('much', 'again'), shop.clicked('much', 'again'));
  // of types that we know, though their writer knows one more
  const known = [shop.shown('ahead', 'thing'), shop.clicked('ahead', 'thing')];
  shop.good.push(...ones, ...known);
  await produce(log, [...ones.map((raw) => shop.record(raw)), ...known.map(ahead)]);
  await job.settled();
  assert.equal((await lettersOf(log, job)).length, before);
}

/** With its value mended, or under the right key; once each. */
async function comesBack(log: Log, job: Job, shop: Handmade): Promise<void> {
  const { deadLetters } = job.names;
  const placeOfUser = async (user: string): Promise<string> =>
    placeOf((await lettersOf(log, job)).find(({ key }) => key?.equals(encodeKey(user)) === true)!);
  const user = 'an empty item_id';
  const [exposure, mended] = [shop.shown(user, 'mended'), shop.clicked(user, 'mended')];
  await produce(log, [shop.record(exposure)]);
  const broken = await placeOfUser(user);
  const schemaOf = (topic: string): string | undefined => (topic === shop.source ? 'BehaviorEvent' : undefined);
  const { sent } = await replayDeadLetters(log, deadLetters, {
    places: [broken],
    mended: { value: eventOf(mended), schemaOf, serdes: shop.serdes },
  });
  assert.equal(sent.length, 1);
  shop.good.push(exposure, mended);

  const misplaced = await placeOfUser("another user's key");
  const moved = await replayDeadLetters(log, deadLetters, { places: [misplaced], key: "not another user's key" });
  assert.equal(moved.sent.length, 1);

  const before = (await lettersOf(log, job)).length;
  const again = await replayDeadLetters(log, deadLetters, { places: [broken, misplaced] });
  assert.deepEqual(
    [again.sent, again.skipped.map(({ why }) => why)],
    [[], ['it was replayed before', 'it was replayed before']],
  );
  await job.settled();
  assert.equal((await lettersOf(log, job)).length, before);
}

export const badInput: Scenario = {
  name: 'bad-input',
  title: 'every record that cannot be used, among good ones of the same user; some mended and sent back',
  brokers: 1,
  async round(world) {
    // it brings what a broker would take and a reader should not have to
    const log = kafkaLog({ brokers: world.kafka.brokers.split(','), maxBatchBytes: 12 * MB });
    const made: { shop?: Handmade } = {};
    try {
      return await world.with(
        (place) => (made.shop = new Handmade(place)),
        {
          partitions: PARTITIONS,
          commitIntervalMs: 200,
          topics: () => ({ [made.shop!.source]: { 'max.message.bytes': String(16 * MB) } }),
        },
        async (job, shop) => {
          job.mayRefuse = true;
          const ahead = await shop.writer('"visit"]', '"visit","share"]');
          const bads = badsOf(shop, ahead);
          job.start(0);
          await refuses(log, job, shop, bads);
          await takes(log, job, shop, ahead);
          await comesBack(log, job, shop);
          const { seen } = await job.finish();
          await removeTopics(log, [replayedTopic(job.names.deadLetters)]);
          return `${seen}; ${Object.keys(bads).length} kinds of bad records`;
        },
      );
    } finally {
      await made.shop?.close();
      await log.close();
    }
  },
};
