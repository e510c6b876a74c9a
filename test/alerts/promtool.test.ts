/** What Prometheus' own tool says of the rules, on made-up series (alerts/*.test.yaml). */
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { prometheusProgram } from '../support/prometheus.ts';

const folder = join(import.meta.dirname, '../../alerts');
const promtool = prometheusProgram('promtool');
const all = globSync('*.yaml', { cwd: folder });
const tests = all.filter((file) => file.endsWith('.test.yaml'));
const rules = all.filter((file) => !tests.includes(file));
/** Throws with what it said, where anything is wrong. */
const say = async (...args: string[]): Promise<string> => {
  const { stdout } = await promisify(execFile)(promtool!, args, { cwd: folder });
  return stdout;
};

it.runIf(promtool !== null)('the rules are in order', async () => {
  expect(await say('check', 'rules', ...rules)).toContain('SUCCESS');
});

it.runIf(promtool !== null).each(tests)('%s: alerts fire when they are to, and at no other time', async (file) => {
  expect(await say('test', 'rules', file)).toContain('SUCCESS');
});
