import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LongTermProfile, ShortTermProfile } from '../../src/profile/records.ts';
import { seral } from '../support/seral.ts';

const data = join(import.meta.dirname, '../../data/completejourney');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-profiles-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const digest = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

const replay = (output: string, ...more: string[]) =>
  seral([
    'replay',
    'profiles',
    ...['--input', join(data, 'events.ndjson.gz')],
    ...['--catalog', join(data, 'catalog.ndjson.gz')],
    ...['--users', join(data, 'users.ndjson')],
    ...['--output', output, '--history', ...more],
  ]);

test('a year gives the same profiles again from the answers that were recorded', { timeout: 180_000 }, async () => {
  const [first, second, answers] = ['a', 'b', 'answers'].map((name) => join(folder, `${name}.ndjson`));
  const made = await replay(first!, '--record', answers!);
  expect(made.code, made.stderr).toBe(0);
  const again = await replay(second!, '--answers', answers!);
  expect(again.code, again.stderr).toBe(0);
  expect(again.stderr).not.toContain('no recorded answer');
  expect(await digest(second!)).toBe(await digest(first!));

  const rows = (await readFile(first!, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { topic: string; profile: ShortTermProfile | LongTermProfile });
  expect(new Set(rows.map(({ profile }) => profile.user_id)).size).toBe(45);
  // about one in 15 days, and not sooner
  const times = new Map<string, number>();
  for (const { topic, profile } of rows) {
    if (topic !== 'profile.short-term') continue;
    const before = times.get(profile.user_id);
    if (before !== undefined) expect(profile.refreshed_at - before).toBeGreaterThanOrEqual(15 * 86_400_000);
    times.set(profile.user_id, profile.refreshed_at);
    expect(profile.profiler).toBe('extractive');
    for (const { tag, score } of profile.tags) {
      expect([...tag].length).toBeLessThanOrEqual(16);
      expect(score).toBeGreaterThan(0);
    }
  }
  expect(rows.filter(({ topic }) => topic === 'profile.long-term').length).toBeGreaterThan(45);
});

test('says which requests have no recorded answer, and refuses what is no recording', { timeout: 60_000 }, async () => {
  const none = join(folder, 'none.ndjson');
  await writeFile(none, '');
  const output = join(folder, 'c.ndjson');
  const lacking = await replay(output, '--answers', none);
  expect(lacking.code).toBe(0);
  expect(lacking.stderr).toMatch(/requests have no recorded answer/);
  expect(await readFile(output, 'utf8')).toBe('');

  await writeFile(none, '{"what":1}\n');
  const wrong = await replay(output, '--answers', none);
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain('BAD_ANSWERS');
});
