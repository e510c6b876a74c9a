import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { labelsOf } from '../../src/cli/labels-of.ts';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import type { Log } from '../../src/log/port.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import type { Serdes } from '../../src/log/serde.ts';
import type { SerendipityLabel } from '../../src/serendipity/records.ts';

const TOPIC = 'serendipity.labels';
let path: string;
let log: Log;
let serdes: Serdes;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'seral-labels-of-'));
  log = await embeddedLog({ path });
  serdes = await embeddedSerdes();
});

afterEach(async () => {
  await serdes.close();
  await log.close();
  await rm(path, { recursive: true });
});

const label = (user: string, item: string, time: number, more: Partial<SerendipityLabel> = {}): SerendipityLabel => ({
  label_id: `e${time}#${item}`,
  revision: 0,
  withdrawn: false,
  user_id: user,
  item_id: item,
  request_id: null,
  scene: null,
  arm: null,
  category_id: 'c',
  brand_id: null,
  seller_id: null,
  position: null,
  click_time: time,
  exposure_time: time,
  attribution: 'item',
  serendipitous: true,
  novel_category: true,
  novel_brand: false,
  novel_seller: false,
  serendipity_related: true,
  category_last_seen: null,
  visit_days: 1,
  unlabelled: null,
  ...more,
});

async function publish(labels: (SerendipityLabel | { user_id: string; bytes: Buffer })[]): Promise<void> {
  const admin = log.admin();
  await admin.create([{ topic: TOPIC, partitions: 4 }]);
  await admin.close();
  const serde = await serdes.serde<SerendipityLabel>(TOPIC, 'SerendipityLabel');
  const producer = log.producer();
  await producer.open();
  await producer.send(
    labels.map((one) => ({
      topic: TOPIC,
      key: Buffer.from(one.user_id),
      value: 'bytes' in one ? one.bytes : serde.encode(one),
    })),
  );
  await producer.close();
}

describe("a user's labels", () => {
  test('are the last revisions, in order of time, and of this user alone', async () => {
    await publish([
      label('u1', 'b', 200),
      label('u1', 'a', 100),
      label('u2', 'a', 150),
      label('u1', 'b', 200, { revision: 1, withdrawn: true }),
    ]);
    const { labels } = await labelsOf(log, serdes, 'u1');
    expect(labels.map((one) => [one.label_id, one.revision, one.withdrawn])).toEqual([
      ['e100#a', 0, false],
      ['e200#b', 1, true],
    ]);
  });

  test('can be those of one item', async () => {
    await publish([label('u1', 'b', 200), label('u1', 'a', 100)]);
    expect((await labelsOf(log, serdes, 'u1', 'b')).labels.map((one) => one.item_id)).toEqual(['b']);
  });

  test('are none where there are none, or no topic', async () => {
    expect(await labelsOf(log, serdes, 'u1')).toEqual({ labels: [], unreadable: 0 });
    await publish([label('u1', 'a', 100)]);
    expect((await labelsOf(log, serdes, 'u3')).labels).toEqual([]);
  });

  test('are told although a record among them cannot be read', async () => {
    await publish([{ user_id: 'u1', bytes: Buffer.from('not avro') }, label('u1', 'a', 100)]);
    const found = await labelsOf(log, serdes, 'u1');
    expect(found.labels).toHaveLength(1);
    expect(found.unreadable).toBe(1);
  });
});
