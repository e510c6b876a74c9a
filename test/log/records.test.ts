import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decompress } from '../../src/log/kafka/codecs.ts';
import { crc32c } from '../../src/log/kafka/crc32c.ts';
import { BATCH_HEADER_BYTES, readBatches, recordBytes, writeBatch } from '../../src/log/kafka/records.ts';
import type { OutRecord } from '../../src/log/port.ts';

const NOW = 1_700_000_000_000;
const CONTROL_BIT = 0x20;

interface BatchOptions {
  producerId?: number;
  transactional?: boolean;
  baseOffset?: number;
}

/** A batch as the broker stores it: what the producer wrote, with its offset set. */
function batch(
  records: OutRecord[],
  { producerId = 7, transactional = false, baseOffset = 0 }: BatchOptions = {},
): Buffer {
  const room = records.reduce((sum, record) => sum + recordBytes(record), BATCH_HEADER_BYTES);
  const buffer = Buffer.alloc(room);
  const producer = { producerId: BigInt(producerId), producerEpoch: 1, transactional };
  const end = writeBatch(buffer, 0, records, producer, 0, NOW);
  expect(end).toBeLessThanOrEqual(room);
  buffer.writeBigInt64BE(BigInt(baseOffset), 0);
  return buffer.subarray(0, end);
}

const record = (value: string, extra: Partial<OutRecord> = {}): OutRecord => ({
  topic: 't',
  key: null,
  value: Buffer.from(value),
  ...extra,
});

function marker(type: 'abort' | 'commit', producerId: number, baseOffset: number): Buffer {
  const key = Buffer.from([0, 0, 0, type === 'abort' ? 0 : 1]);
  const written = batch([record('coordinator', { key })], { producerId, transactional: true, baseOffset });
  written.writeInt16BE(written.readInt16BE(21) | CONTROL_BIT, 21);
  return written;
}

describe('a record batch', () => {
  it('comes back as it was written', () => {
    const records: OutRecord[] = [
      record('a', { key: Buffer.from('k'), timestamp: NOW }),
      record('', { key: Buffer.alloc(0), timestamp: NOW - 1 }),
      { topic: 't', key: null, value: null, timestamp: NOW + 1 },
      // further than 32 bits of milliseconds from the first, both ways
      record('past', { timestamp: 0 }),
      record('future', { timestamp: NOW * 2 }),
      record('x'.repeat(63)),
      record('x'.repeat(10_000), { headers: { a: Buffer.from('1'), ключ: Buffer.alloc(300, 1) } }),
      record('small with headers', { headers: { h: Buffer.alloc(0) } }),
    ];
    const { records: read, position } = readBatches(batch(records, { baseOffset: 2 ** 40 }), 2 ** 40, []);
    expect(position).toBe(2 ** 40 + records.length);
    expect(read).toEqual(
      records.map(({ key, value, timestamp, headers }, i) => ({
        offset: 2 ** 40 + i,
        timestamp: timestamp ?? NOW,
        key,
        value,
        ...(headers === undefined ? {} : { headers }),
      })),
    );
  });

  it('carries a checksum that a reader of Kafka would accept', () => {
    // RFC 3720, and the usual check value
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    const written = batch([record('a')]);
    expect(written.readUInt32BE(17)).toBe(crc32c(written, 21));
  });

  it('gives slices of what was fetched, not copies', () => {
    const fetched = batch([record('value')]);
    expect(readBatches(fetched, 0, []).records[0]!.value!.buffer).toBe(fetched.buffer);
  });

  it('is left for the next fetch where it is cut off, and passed where it lies before the position', () => {
    const whole = batch([record('a'), record('b'), record('c')], { baseOffset: 10 });
    const fetched = Buffer.concat([whole, batch([record('d')], { baseOffset: 13 }).subarray(0, -1)]);
    const { records, position } = readBatches(fetched, 12, []);
    expect(records.map((r) => r.offset)).toEqual([12]);
    expect(position).toBe(13);
    expect(readBatches(whole, 13, [])).toEqual({ records: [], position: 13 });
  });

  it('is refused where it is broken', () => {
    const broken = Buffer.from(batch([record('a')]));
    broken[BATCH_HEADER_BYTES] = 0xfe;
    expect(() => readBatches(broken, 0, [])).toThrowError(expect.objectContaining({ code: 'LOG_CORRUPT' }));
  });
});

describe('aborted transactions', () => {
  const read = (batches: Buffer[], position: number, ...aborted: [producerId: number, firstOffset: number][]) => {
    const list = aborted.map(([producerId, firstOffset]) => ({ producerId: BigInt(producerId), firstOffset }));
    const { records, position: end } = readBatches(Buffer.concat(batches), position, list);
    return { values: records.map((r) => String(r.value)), end };
  };
  const from = (producerId: number, baseOffset: number, ...values: string[]): Buffer =>
    batch(
      values.map((value) => record(value, { key: Buffer.from([0, 0, 0, 0]) })),
      { producerId, baseOffset, transactional: true },
    );

  it('are dropped up to their marker, in whatever order the broker lists them', () => {
    const log = [
      from(1, 0, 'a1'),
      from(2, 1, 'a2'),
      from(3, 2, 'c'),
      marker('abort', 2, 3),
      from(1, 4, 'a1 too'),
      from(2, 5, 'later'),
      marker('abort', 1, 6),
      marker('commit', 3, 7),
      marker('commit', 2, 8),
    ];
    expect(read(log, 0, [2, 1], [1, 0])).toEqual({ values: ['c', 'later'], end: 9 });
    // both are open where the fetch begins
    expect(read(log.slice(1), 1, [2, 1], [1, 0])).toEqual({ values: ['c', 'later'], end: 9 });
    expect(read(log.slice(4), 4, [1, 0])).toEqual({ values: ['later'], end: 9 });
  });

  it('do not end with a commit marker of another producer, nor take in records without a transaction', () => {
    const plain = batch([record('plain')], { producerId: 1, baseOffset: 1 });
    expect(
      read([from(1, 0, 'x'), plain, marker('commit', 2, 2), from(1, 3, 'x'), marker('abort', 1, 4)], 0, [1, 0]),
    ).toEqual({
      values: ['plain'],
      end: 5,
    });
  });

  it('leave nothing but a position where they are all there is', () => {
    expect(read([from(1, 0, 'x'), marker('abort', 1, 1)], 0, [1, 0])).toEqual({ values: [], end: 2 });
    expect(read([marker('abort', 1, 1)], 1, [1, 0])).toEqual({ values: [], end: 2 });
  });
});

describe('compressed batches', () => {
  const text = Array.from({ length: 40 }, (_, i) => `user-${(i * 7) % 97}${i % 5 === 0 ? '|' : 'abcabcabcabc'}`).join(
    '',
  );

  it('are read from gzip and zstd', () => {
    const data = Buffer.from(text.repeat(1_000));
    expect(decompress(1, gzipSync(data)).equals(data)).toBe(true);
    expect(decompress(4, zstdCompressSync(data)).equals(data)).toBe(true);
  });

  // from kafka-clients 4.1.0; large and incompressible ones are the broker suite's
  it("are read from snappy, in Java's frames and bare", () => {
    const framed = Buffer.from(
      [
        'glNOQVBQWQAAAAABAAAAAQAAAN6aBRh1c2VyLTB8BQcMN2FiYxUDBRIEMTQVEARhYgkTBDIxRhMAADhCEwAEMzUJUwQ0MkIbAAQ0',
        'OUITAAQ1NkITAAQ2M0ITAAA3EadGqAAAOEaoAAA5RqgARhIAADgJpgQxNUJtAAAyRrkAADJGuQAAM0a5AAQ0MwlUBDUwQlQAADVG',
        'uQAANka5AAA3RqcAADcNqAA4RqgAADlKqABCeQBGuQAEMTYJpgAyRmcBADNGuQAAM0a5AAA0RrkABDUxCVQANUYPAgA2RrkAADdG',
        'pwA0NzlhYmNhYmNhYmNhYmM=',
      ].join(''),
      'base64',
    );
    expect(String(decompress(2, framed))).toBe(text);
    expect(String(decompress(2, framed.subarray(20)))).toBe(text);
  });

  it('are read from lz4', () => {
    const frame = Buffer.from(
      [
        'BCJNGGBAgr4AAABxdXNlci0wfAcARTdhYmMDAAESACUxNBAABBMALjIxEwAdOBMAIjM1UwAtNDIbAC00ORMALTU2EwAtNjMTABQ3',
        'pwAOqAAeOKgAHjmoAA4SABI4pgAtMTVtAB4yuQAeMrkAHjO5ACI0M1QALTUwVAAeNbkAHja5AB43pwATN6gAHjioAB85qAAADXkA',
        'DrkAIjE2pgAeMmcBHjO5AB4zuQAeNLkAIjUxVAAeNQ8CHja5AB43uQAUN6gAUGJjYWJjAAAAAA==',
      ].join(''),
      'base64',
    );
    expect(String(decompress(3, frame))).toBe(text);
  });

  it('are refused with a clear error where they are broken or unknown', () => {
    const codeOf = (codec: number, data: Buffer): unknown => {
      try {
        return decompress(codec, data).length;
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    for (const codec of [1, 2, 3, 4])
      expect(codeOf(codec, Buffer.from([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]))).toBe('LOG_CORRUPT');
    expect(codeOf(6, Buffer.alloc(10))).toBe('UNSUPPORTED_CODEC');
  });
});
