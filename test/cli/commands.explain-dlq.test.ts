import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { dlqCommand } from '../../src/cli/commands/dlq.ts';
import { explainCommand } from '../../src/cli/commands/explain.ts';
import { UsageError } from '../../src/errors.ts';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import type { Log } from '../../src/log/port.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { deadRecord } from '../../src/stream/dead-letters.ts';
import { answerOf, itemOf } from '../nearline/candidates/given.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-commands-'));
  vi.stubEnv('SERAL_LOG_KIND', 'embedded');
  vi.stubEnv('SERAL_EMBEDDED_PATH', join(folder, 'log'));
});

afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** The log, for as long as no command has it. */
async function onLog<T>(use: (log: Log) => Promise<T>): Promise<T> {
  const log = await embeddedLog({ path: join(folder, 'log') });
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

async function seral(...argv: string[]): Promise<string> {
  const program = new Command('seral').option('--config <file>').exitOverride();
  explainCommand(program);
  dlqCommand(program);
  let out = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
  } finally {
    write.mockRestore();
  }
  return out;
}

const label = {
  label_id: 'e1#i1',
  user_id: 'u1',
  item_id: 'i1',
  category_id: 'c',
  click_time: 1000,
  exposure_time: 900,
  attribution: 'request',
  serendipitous: true,
  novel_category: true,
  novel_brand: false,
  novel_seller: false,
  serendipity_related: true,
  visit_days: 1,
};

const writeLabels = (labels: object[]) => write('serendipity.labels', 'SerendipityLabel', labels);

/** Records of `u1`; null is a tombstone. */
async function write(topic: string, schema: string, values: (object | null)[]): Promise<void> {
  await onLog(async (log) => {
    const admin = log.admin();
    if ((await admin.describe([topic]))[0] === null) await admin.create([{ topic, partitions: 2 }]);
    await admin.close();
    const serdes = await embeddedSerdes();
    const serde = await serdes.serde<object>(topic, schema);
    const producer = log.producer();
    await producer.open();
    await producer.send(
      values.map((value) => ({ topic, key: Buffer.from('u1'), value: value && serde.encode(value) })),
    );
    await producer.close();
    await serdes.close();
  });
}

describe('seral explain', () => {
  test('says so where there are no labels', async () => {
    expect(await seral('explain', 'u1')).toMatch(/^no labels of u1 in serendipity.labels/m);
  });

  test('prints the last sentences, in order of time, or JSON', async () => {
    await writeLabels([3, 1, 2].map((time) => ({ ...label, label_id: `e${time}#i1`, click_time: time * 86_400_000 })));
    const lines = (await seral('explain', 'u1', 'i1', '--limit', '2', '--only', 'labels')).trim().split('\n');
    expect(lines.map((line) => line.slice(0, 31))).toEqual([
      'u1 clicked i1 on 1970-01-03: se',
      'u1 clicked i1 on 1970-01-04: se',
    ]);
    const [last] = (await seral('explain', 'u1', '--limit', '1', '--format', 'json')).trim().split('\n');
    expect(JSON.parse(last!)).toMatchObject({ label_id: 'e3#i1', explanation: lines[1] });
  });
});

describe('seral explain, of candidates', () => {
  const candidate = {
    item_id: 'i1',
    title: 'Chai\u001b[2J tea',
    category_id: 'tea',
    brand_id: 'b',
    seller_id: 's',
    price: 3,
    score: 0.71,
    led_by: 'spiced tea for winter',
    led_by_kind: 'title',
    channels: ['keyword', 'vector'],
    novel_category: true,
    novel_brand: false,
    novel_seller: true,
    category_last_seen: null,
  };
  const list = {
    user_id: 'u1',
    request_id: 'u1/3',
    round: 3,
    revision: 2,
    asked_at: Date.parse('2024-05-01T12:00:00Z'),
    generated_at: 1,
    expires_at: Date.parse('2024-05-02T12:00:00Z'),
    model: 'model-1',
    prompt_version: 'serengpt-1',
    retriever: 'bm25+vectors',
    ranker: 'prior',
    candidates: [
      candidate,
      {
        ...candidate,
        item_id: 'i2',
        title: null,
        novel_category: false,
        category_last_seen: Date.parse('2024-04-22T08:30:00Z'),
      },
    ],
    left_out: [
      { rule: 'shown', count: 4 },
      { rule: 'not_related', count: 12 },
    ],
  };
  const told = async (...argv: string[]) =>
    (await seral('explain', 'u1', ...argv, '--only', 'candidates')).trim().split('\n');

  test('says what the list holds and why, where it comes from, and what was left out', async () => {
    await write('serengpt.candidates', 'UserCandidates', [{ ...list, revision: 0 }, list]);
    expect(await told()).toEqual([
      'candidates, asked for 2024-05-01 12:00 (round 3, shortened twice since), until 2024-05-02 12:00: 2. ' +
        'Generated by model-1 with prompt serengpt-1, found by bm25+vectors, ranked by prior',
      "  + Chai [2J tea (i1), score 0.71: its category 'tea' and its seller 's' are new to the user",
      "      found by keyword and vector for the title 'spiced tea for winter'",
      "  + i2, score 0.71: its seller 's' is new to the user; its category 'tea' was last shown 2024-04-22, 9 days before",
      "      found by keyword and vector for the title 'spiced tea for winter'",
      '  left out: 4 shown to the user, 12 of a category, brand and seller that the user knows',
    ]);
    expect((await told('i2'))[1]).toMatch(/^ {2}\+ i2, score/);
    expect(await told('i2')).toHaveLength(4);
    expect(await told('i7')).toContain('  i7 is not among them');
    const left = { ...itemOf({ item_id: 'i8', led_by: 'tea bags', led_by_kind: 'query' }) };
    await write('serengpt.retrieved', 'RetrievedItems', [
      answerOf({ user_id: 'u1', request_id: 'u1/2', items: [itemOf({ item_id: 'i7' })] }),
      answerOf({ user_id: 'u1', request_id: 'u1/3', items: [left] }),
    ]);
    expect(await told('i7')).toContain('  i7 is not among them');
    expect(await told('i8')).toContain(
      "  i8 is not among them: it was retrieved for the query 'tea bags', and left out",
    );
    expect(JSON.parse((await told('--format', 'json'))[0]!)).toEqual(list);
  });

  test('says so where there are none, and where there were some', async () => {
    expect(await told()).toEqual(['no candidates of u1: none were asked for or made yet']);
    await write('serengpt.candidates', 'UserCandidates', [list, null]);
    expect(await told()).toEqual(['no candidates of u1: the last ones have expired, or the user was forgotten']);
  });
});

describe('seral dlq', () => {
  const dead = (offset: number, code: string) =>
    deadRecord(
      'behavior.events',
      { offset, timestamp: 1, key: Buffer.from('u1'), value: Buffer.from('bytes') },
      { code, error: 'why' },
      { to: 'labels.dlq', partition: 0, now: offset * 1000, maxBytes: 100 },
    );

  beforeEach(async () => {
    await onLog(async (log) => {
      const admin = log.admin();
      await admin.create([
        { topic: 'labels.dlq', partitions: 1 },
        { topic: 'behavior.events', partitions: 1 },
      ]);
      await admin.close();
      const producer = log.producer();
      await producer.open();
      await producer.send([dead(7, 'MALFORMED'), dead(8, 'EMPTY_ID')]);
      await producer.close();
    });
  });

  test('lists what was refused, and from where', async () => {
    const lines = (await seral('dlq', 'list', 'labels')).trim().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[1]).toMatch(/^0:0 +1970-01-01T00:00:07.000Z +MALFORMED +behavior.events 0:7 +u1 +why$/);
    const json = JSON.parse(await seral('dlq', 'list', 'labels', '--code', 'EMPTY_ID', '--format', 'json'));
    expect(json).toEqual({
      partition: 0,
      offset: 1,
      code: 'EMPTY_ID',
      error: 'why',
      time: '1970-01-01T00:00:08.000Z',
      source: { topic: 'behavior.events', partition: 0, offset: 8 },
      timer: null,
      truncated: null,
      key: 'u1',
      value_base64: Buffer.from('bytes').toString('base64'),
      replayed: false,
    });
    expect(await seral('dlq', 'list', 'labels', '--code', 'X')).toBe('no dead letters of code X in labels.dlq\n');
  });

  test('brings a mended one back, once', async () => {
    const file = join(folder, 'mended.json');
    await writeFile(file, JSON.stringify({ event_id: 'e', event_type: 'visit', event_time: 5, user_id: 'u1' }));
    const mend = ['dlq', 'replay', 'labels', '--offset', '0:1', '--value-file', file];
    expect(await seral(...mend)).toBe('0:1 (EMPTY_ID) sent to behavior.events\n1 sent back, 0 left, of labels.dlq\n');
    expect(await seral(...mend)).toBe(
      '0:1 (EMPTY_ID) left: it was replayed before\n0 sent back, 1 left, of labels.dlq\n',
    );
    expect(await seral('dlq', 'list', 'labels')).toMatch(/0:1 .* yes +why/);
  });

  test('refuses a file that is no JSON, and a topology that is not there', async () => {
    await expect(seral('dlq', 'replay', 'labels', '--value-file', folder)).rejects.toThrow(UsageError);
    await expect(seral('dlq', 'list', 'labls')).rejects.toThrow('labels');
  });
});
