import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { ask } from '../../../src/cli/doctor/facts.ts';
import type { Finding } from '../../../src/cli/doctor/findings.ts';
import { folderFacts } from '../../../src/cli/doctor/folder.ts';
import { page } from '../../../src/cli/doctor/page.ts';
import { LogError } from '../../../src/errors.ts';
import { seral } from '../../support/seral.ts';

// each command is a process
vi.setConfig({ testTimeout: 180_000 });

let folder: string;
let silent: Server | null = null;
const sockets: Socket[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-doctor-'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  silent?.close();
  silent = null;
});

const findings = async (
  env: Record<string, string>,
  ...options: string[]
): Promise<{ code: number | null; all: Finding[] }> => {
  const { code, stdout, stderr } = await seral(['doctor', '--format', 'json', ...options], env, folder);
  expect(stderr).toBe('');
  return {
    code,
    all: stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Finding),
  };
};
const codes = (all: readonly Finding[], severity: Finding['severity']) =>
  all.filter((one) => one.severity === severity).map(({ code }) => code);

it('looks at an embedded log, and makes none', async () => {
  const env = { SERAL_LOG_KIND: 'embedded', SERAL_EMBEDDED_PATH: join(folder, 'log') };
  const before = await findings(env);
  expect(before.code).toBe(0);
  expect(codes(before.all, 'note')).toContain('NO_LOG_YET');
  expect(existsSync(env.SERAL_EMBEDDED_PATH)).toBe(false);
  expect(await seral(['topics', 'apply', 'labels'], env, folder)).toMatchObject({ code: 0 });
  const partly = await findings(env);
  expect(partly.code).toBe(1);
  expect(codes(partly.all, 'error')).toEqual(['MISSING_TOPICS']);
  expect(await seral(['topics', 'apply'], env, folder)).toMatchObject({ code: 0 });
  const whole = await findings(env);
  expect(codes(whole.all, 'error')).toEqual([]);
  const starts = whole.all.filter(({ code }) => code === 'NEVER_RAN').map(({ todo }) => todo);
  const topologies = ['labels', 'metrics', 'profiles', 'regeneration', 'candidates'];
  const workers = ['profile', 'serengpt', 'retrieval'];
  expect(starts).toEqual([
    ...topologies.map((name) => `seral run ${name}`),
    ...workers.map((name) => `seral worker ${name}`),
  ]);
  const letters = whole.all.filter(({ code }) => code === 'DEAD_LETTERS').map(({ what }) => what.split(':')[0]);
  expect(letters).toEqual([...topologies, ...workers.map((name) => `${name}-worker`)].map((name) => `${name}.dlq`));
});

it('names a broker and a registry that are not there', async () => {
  const { code, all } = await findings({
    SERAL_KAFKA_BROKERS: '127.0.0.1:1',
    SERAL_REGISTRY_URL: 'http://127.0.0.1:1',
  });
  expect(code).toBe(1);
  expect(codes(all, 'error')).toEqual(['LOG_UNAVAILABLE', 'REGISTRY_UNAVAILABLE']);
});

it('ends though a broker and a registry take the connection and never answer', async () => {
  silent = createServer((socket) => sockets.push(socket.on('error', () => {})));
  await new Promise<void>((resolve) => silent!.listen(0, '127.0.0.1', resolve));
  const at = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const { all } = await findings(
    { SERAL_KAFKA_BROKERS: at, SERAL_REGISTRY_URL: `http://${at}` },
    '--deadline',
    '500ms',
  );
  expect(codes(all, 'error')).toEqual(['LOG_UNAVAILABLE', 'REGISTRY_UNAVAILABLE']);
});

it('names every problem of the configuration, and still looks at this machine', async () => {
  const { code, all } = await findings({ SERAL_LABELS_GRACE: 'soon', SERAL_TOPICS_PARTITIONS: '0' });
  expect(code).toBe(1);
  expect(codes(all, 'error')).toEqual(['CONFIG_INVALID', 'CONFIG_INVALID']);
  expect(codes(all, 'ok')).toEqual(['NODE', 'ROCKSDB']);
});

it('takes an answer, a failure with its code, or none in time', async () => {
  expect(await ask(10_000, () => 1)).toEqual({ value: 1 });
  const refused = () => Promise.reject(new LogError('LOG_REFUSED', 'no'));
  expect(await ask(10_000, refused)).toEqual({ code: 'LOG_REFUSED', problem: 'no' });
  expect(await ask(10, () => new Promise(() => {}))).toEqual({ code: 'NO_ANSWER', problem: 'no answer within 0.01 s' });
});

it('judges a folder that is not made yet by the one that it would be made in', () => {
  const facts = folderFacts(join(folder, 'a/b/c'));
  expect(facts).toMatchObject({ looked: folder, writable: true });
  expect(facts.freeBytes).toBeGreaterThan(0);
  expect(facts.freeBytes).toBeLessThanOrEqual(facts.totalBytes);
  expect(existsSync(join(folder, 'a'))).toBe(false);
});

it('is words elsewhere, and on a terminal signs in lines that fit and nothing that it would obey', () => {
  const finding: Finding = {
    severity: 'error',
    code: 'X',
    area: 'log',
    what: 'a topic \u001b[2J and many words '.repeat(4).trim(),
    todo: 'do this and that and more',
  };
  const plain = page([finding], { terminal: false, width: null });
  expect(plain).toMatch(/^log\n {2}ERROR {3}a topic .*\n {10}-> do this and that and more\n\n1 error, 0 warnings\n$/);
  const shown = page([finding, { ...finding, severity: 'warning', todo: null }], { terminal: true, width: 40 });
  // eslint-disable-next-line no-control-regex
  const bare = shown.replaceAll(/\u001b\[[\d;]*m/g, '');
  expect(bare).not.toContain('\u001b');
  expect(bare.split('\n').every((line) => line.length <= 40)).toBe(true);
  expect(bare).toContain('✗ a topic');
  expect(page([{ ...finding, severity: 'ok' }], { terminal: false, width: null })).toContain('all is well');
});
