import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { rowsOfLog } from '../../src/cli/report-days.ts';
import { makeReport } from '../../src/cli/report.ts';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import type { UserDay } from '../../src/serendipity/records.ts';
import { day, inArm, person, randomOf } from '../report/people.ts';

let folder: string;
let out: string;
let err: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-report-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  out = err = '';
  for (const name of Object.keys(process.env)) if (name.startsWith('SERAL_')) vi.stubEnv(name, undefined);
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((err += String(chunk)), true));
});
afterEach(() => {
  process.exitCode = undefined;
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

async function file(name: string, rows: readonly unknown[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

const random = randomOf(1);
const people = (arms: readonly (string | null)[]): UserDay[] =>
  Array.from({ length: 200 }, (_, i) => inArm(person(`u${i}`, random), arms[i % arms.length]!)).flat();

describe('over a file', () => {
  it('prints arms, lifts, the split and days', async () => {
    const input = await file('two.ndjson', people(['control', 'seral']));
    expect(await main(['report', '--input', input, '--bootstrap', '100'])).toBe(0);
    expect(err).toBe('');
    expect(out).toContain('2026-01-01 to 2026-01-04, 4 days with data; 95 % intervals');
    expect(out).toContain('lift over control');
    expect(out).toMatch(/seral +S-PVR +\d+\.\d\d% +\d+\.\d\d% +[+-]\d+\.\d\d \[/);
    expect(out).toContain('relative, bootstrap');
    expect(out).toContain('control 100 of 100, seral 100 of 100; p = 1.000');
    expect(out).toMatch(/2026-01-01 +seral .*pt\)/);
  });

  it('of one arm has no lifts', async () => {
    const input = await file('one.ndjson', people([null]));
    expect(await main(['report', '--input', input])).toBe(0);
    expect(out).toContain('(none)');
    expect(out).not.toContain('lift');
  });

  it('takes the last days with data, unless told otherwise', async () => {
    const days = ['01', '03', '04', '09', '10', '11', '20', '21', '22'];
    const input = await file(
      'days.ndjson',
      days.map((d) => day('u1', { day: `2026-01-${d}` })),
    );
    const period = async (...more: string[]) => {
      out = '';
      expect(await main(['report', '--input', input, '--json', '-', ...more])).toBe(0);
      const { from, to } = JSON.parse(out) as { from: string; to: string };
      return [from, to];
    };
    expect(await period()).toEqual(['2026-01-04', '2026-01-22']);
    expect(await period('--to', '2026-01-12')).toEqual(['2026-01-01', '2026-01-12']);
    expect(await period('--from', '2026-01-10')).toEqual(['2026-01-10', '2026-01-22']);
    vi.stubEnv('SERAL_REPORT_DAYS', '2');
    expect(await period()).toEqual(['2026-01-21', '2026-01-22']);
  });

  it('writes JSON and CSV, in which no name is a formula', async () => {
    const input = await file('formula.ndjson', people(['control', '=cmd()']));
    const [json, csv] = [join(folder, 'r.json'), join(folder, 'r.csv')];
    expect(await main(['report', '--input', input, '--json', json, '--csv', csv])).toBe(0);
    const report = JSON.parse(await readFile(json, 'utf8')) as { baseline: string; period: { lifts: unknown[] } };
    expect([report.baseline, report.period.lifts.length]).toEqual(['control', 7]);
    const lines = (await readFile(csv, 'utf8')).split('\n');
    expect(lines[0]).toMatch(/^day,arm,metric,value,low,high/);
    expect(lines.filter((line) => line.startsWith('period,'))).toHaveLength(14);
    expect(lines.some((line) => line.startsWith("period,'=cmd(),s_pvr,0."))).toBe(true);
    expect(lines.some((line) => line.includes(',=cmd'))).toBe(false);
  });

  it('counts lines that are no rows', async () => {
    const input = await file('bad.ndjson', [day('u1'), { user_id: 'u2' }, day('u3', { day: '2026-02-31' }), 7]);
    expect(await main(['report', '--input', input])).toBe(0);
    expect(err).toContain('warning UNREADABLE: 3 records');
  });

  it('is loud about a split that went wrong', async () => {
    const input = await file('srm.ndjson', people(['control', 'seral', 'seral', 'seral']));
    expect(await main(['report', '--input', input])).toBe(0);
    expect(err).toContain('warning SAMPLE_RATIO_MISMATCH: SAMPLE RATIO MISMATCH');
    err = '';
    vi.stubEnv('SERAL_REPORT_SHARES', 'control=1,seral=3');
    expect(await main(['report', '--input', input])).toBe(0);
    expect(err).toBe('');
  });
});

describe('wrong use', () => {
  it('ends with 2, and says what is there', async () => {
    const input = await file('abc.ndjson', people(['a', 'b', null]));
    expect(await main(['report', '--input', input])).toBe(2);
    expect(err).toContain('none of them is called control (report.baseline), so --baseline ARM is needed');
    expect(err).toContain('a, b, (none)');
    expect(await main(['report', '--input', input, '--baseline', 'x'])).toBe(2);
    expect(await main(['report', '--input', input, '--baseline', 'b'])).toBe(0);
    expect(await main(['report', '--input', input, '--baseline', '(none)'])).toBe(0);
    expect(await main(['report', '--from', '2026-13-01'])).toBe(2);
    expect(await main(['report', '--from', '2026-02-01', '--to', '2026-01-01'])).toBe(2);
    expect(await main(['report', '--input', '-'])).toBe(2);
    expect(await main(['report', '--json', '-', '--csv', '-'])).toBe(2);
  });

  it('is not that there is nothing: that ends with 1', async () => {
    const input = await file('none.ndjson', people(['a']));
    expect(await main(['report', '--input', input, '--from', '2027-01-01', '--to', '2027-01-02'])).toBe(1);
    expect(err).toContain('error NO_DATA');
    vi.stubEnv('SERAL_LOG_KIND', 'embedded');
    vi.stubEnv('SERAL_EMBEDDED_PATH', join(folder, 'empty'));
    expect(await main(['report'])).toBe(1);
    expect(err).toContain('error MISSING_TOPICS');
  });
});

describe('over a log', () => {
  it('takes the last revisions, all partitions, and checks them against metrics.daily', async () => {
    const log = await embeddedLog({ path: join(folder, 'log') });
    const serdes = await embeddedSerdes();
    try {
      const admin = log.admin();
      await admin.create([
        { topic: 'serendipity.user-days', partitions: 3 },
        { topic: 'metrics.daily', partitions: 3 },
      ]);
      await admin.close();
      const rows = people(['control', 'seral']);
      const serde = await serdes.serde<UserDay>('serendipity.user-days', 'UserDay');
      const record = (row: UserDay) => ({
        topic: 'serendipity.user-days',
        key: Buffer.from(row.user_id),
        value: serde.encode(row),
        timestamp: Date.parse(row.day) + 1000,
      });
      const producer = log.producer();
      await producer.open();
      await producer.send([
        ...rows.map((row) => record({ ...row, clicks: 99 })),
        ...rows.map((row) => record({ ...row, revision: 1 })),
        { topic: 'serendipity.user-days', key: Buffer.from('u1'), value: Buffer.from('x'), timestamp: 0 },
        record(day('long-ago', { day: '2020-01-01', arm: 'other' })),
      ]);
      await producer.close();

      const from = await rowsOfLog(log, serdes, () => {});
      const options = { days: 7, usualBaseline: 'control', confidence: 0.95, shares: null, resamples: 0, seed: 1 };
      const report = await makeReport(from, { ...options, from: '2026-01-01', to: null, baseline: undefined });
      expect(report.to).toBe('2026-01-04');
      expect(report.period.arms.map(({ arm, users }) => [arm, users])).toEqual([
        ['control', 100],
        ['seral', 100],
      ]);
      const clicks = report.period.arms.reduce((sum, { sums }) => sum + sums.clicks, 0);
      expect(clicks).toBe(rows.reduce((sum, row) => sum + row.clicks, 0));
      expect(report.uncheckedDays).toHaveLength(4);
    } finally {
      await serdes.close();
      await log.close();
    }
  });
});
