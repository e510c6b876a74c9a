import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogRecord, OutRecord } from '../../src/log/port.ts';
import { ChangelogReader, SplitKeys, writeChanges } from '../../src/stream/changelog.ts';
import { MemoryDb } from '../../src/stream/memory-db.ts';
import { prefixOf, type DbChange } from '../../src/stream/state-db.ts';
import { finishNow } from '../../src/stream/steps.ts';

const topics = { partition: 0, topicOf: (store: string) => `${store}-changelog` };
const PART = 500_000;

/** A log cleaner: drops records whose key comes again before `upTo`. */
const compact = (log: LogRecord[], upTo: number): LogRecord[] => {
  const last = new Map(log.filter((r) => r.offset < upTo).map((r) => [r.key!.toString('latin1'), r.offset]));
  return log.filter((r) => r.offset >= upTo || last.get(r.key!.toString('latin1')) === r.offset);
};

describe('a changelog', () => {
  const sizes = fc.constantFrom(null, 1, 100, PART, PART + 1, 2 * PART, 3 * PART + 7);
  const write = fc.record({ key: fc.constantFrom('a', 'a\0', 'ü', '\xff'), size: sizes, commit: fc.boolean() });

  it('gives back what was written to it, compacted anywhere, interrupted anywhere', () => {
    fc.assert(
      fc.property(
        fc.array(write, { maxLength: 12, size: 'max' }),
        fc.nat(1000),
        fc.nat(1000),
        (writes, cleaned, stopped) => {
          const split = new SplitKeys();
          const truth = new Map<string, Buffer>();
          let log: LogRecord[] = [];
          const append = ({ key, value, headers }: OutRecord) =>
            log.push({ offset: log.length, timestamp: 0, key, value, ...(headers && { headers }) });
          let fill = 0;
          for (const { key, size } of writes) {
            const value = size === null ? null : Buffer.alloc(size, ++fill);
            if (value === null) truth.delete(key);
            else truth.set(key, value);
            writeChanges([{ store: 's', key: Buffer.from(key), value }], split, topics).records.forEach(append);
          }
          const end = log.length;
          log = compact(log, end === 0 ? 0 : cleaned % (end + 1));

          const db = new MemoryDb();
          const restore = (from: number, to: number): number => {
            const known = new SplitKeys();
            finishNow(known.open(db));
            const reader = new ChangelogReader('s', known);
            const rows: DbChange[] = [];
            for (const record of log) if (record.offset >= from && record.offset < to) reader.apply(record, rows);
            db.write(rows);
            if (to === end) reader.end();
            return reader.resumeAt(to);
          };
          restore(restore(0, end === 0 ? 0 : stopped % (end + 1)), end);

          const prefix = prefixOf('s');
          const found = db.scan(prefix, Buffer.from('s\x01'), 100);
          expect(new Map(found.map((row) => [row.key.toString('utf8', prefix.length), row.value.length]))).toEqual(
            new Map([...truth].map(([key, value]) => [key, value.length])),
          );
          for (const { key, value } of found)
            expect(value.equals(truth.get(key.toString('utf8', prefix.length))!)).toBe(true);
          const known = new SplitKeys();
          finishNow(known.open(db));
          for (const [key, value] of truth) {
            const parts = value.length > PART ? Math.ceil(value.length / PART) : 0;
            expect(known.get('s', Buffer.from(key))).toBe(parts);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('that lacks a part of a value at its end is not trusted', () => {
    const reader = new ChangelogReader('s', new SplitKeys());
    const { records } = writeChanges(
      [{ store: 's', key: Buffer.from('k'), value: Buffer.alloc(PART * 2) }],
      new SplitKeys(),
      topics,
    );
    const log = records.map(({ key, value, headers }, offset) => ({
      offset,
      timestamp: 0,
      key,
      value,
      headers: headers ?? {},
    }));
    for (const record of log.slice(1)) reader.apply(record, []);
    expect(() => reader.end()).toThrow(expect.objectContaining({ code: 'CHANGELOG_BROKEN' }));
    // nor where it is read on by another, as a task goes on from its standby's disk
    const next = new ChangelogReader('s', new SplitKeys());
    const from = reader.resumeAt(log.length);
    for (const record of log) if (record.offset >= from) next.apply(record, []);
    expect(() => next.end()).toThrow(expect.objectContaining({ code: 'CHANGELOG_BROKEN' }));
    // nor one whose parts are not of one value
    const mixed = new ChangelogReader('s', new SplitKeys());
    for (const record of log)
      mixed.apply(record.offset === 0 ? { ...record, value: Buffer.alloc(PART, 1) } : record, []);
    expect(() => mixed.end()).toThrow(expect.objectContaining({ code: 'CHANGELOG_BROKEN' }));
    for (const record of log) mixed.apply(record, []);
    mixed.end();
  });
});
