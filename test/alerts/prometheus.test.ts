/** A real Prometheus that scrapes the running channel and goes by the alerts, with seconds for their minutes. */
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { eventually } from '../stream/bench.ts';
import { freePort, ready, run, type Running } from '../support/process.ts';
import { prometheusProgram } from '../support/prometheus.ts';
import { ChannelInProcess } from './channel.ts';

const RULES = join(import.meta.dirname, '../../alerts/serendipity-channel.yaml');
const WINDOW = '6s';
const EVERY = '500ms';
const PATIENCE_MS = 60_000;
/** visitors between a user's click and the question for the user's candidates */
const BEHIND = 10;

const program = prometheusProgram('prometheus');
let channel: ChannelInProcess;
let url: string;
/** What is to be ended, the last first. */
let ends: (() => Promise<void>)[] = [];

/** The rules with a few seconds in the place of each range, offset and `for`. */
async function quickened(): Promise<string> {
  const file = parse(await readFile(RULES, 'utf8'));
  for (const group of file.groups) {
    for (const rule of group.rules) {
      delete rule.for;
      rule.expr = rule.expr
        .replaceAll(/\[\w+:\w+\]/g, `[${WINDOW}:${EVERY}]`)
        .replaceAll(/\[\w+\]/g, `[${WINDOW}]`)
        .replaceAll(/offset \w+/g, `offset ${WINDOW}`);
    }
  }
  return stringify(file);
}

async function startPrometheus(): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'seral-prometheus-'));
  await mkdir(join(root, 'data'));
  await writeFile(join(root, 'rules.yaml'), await quickened());
  const config = {
    global: { scrape_interval: EVERY, scrape_timeout: EVERY, evaluation_interval: EVERY },
    rule_files: ['rules.yaml'],
    scrape_configs: [
      {
        job_name: 'seral',
        static_configs: [{ targets: Object.values(channel.urls).map((at) => new URL(at).host) }],
      },
    ],
  };
  await writeFile(join(root, 'prometheus.yml'), stringify(config));
  const address = `127.0.0.1:${await freePort()}`;
  url = `http://${address}`;
  const args = ['prometheus.yml', 'data'].map((name) => join(root, name));
  const prometheus: Running = run(
    program!,
    [`--config.file=${args[0]}`, `--storage.tsdb.path=${args[1]}`, `--web.listen-address=${address}`],
    { folder: root, root, output: join(root, 'output') },
  );
  ends.push(async () => {
    await prometheus.kill();
    await rm(root, { recursive: true, force: true });
  });
  await ready('Prometheus', prometheus, PATIENCE_MS, async () => (await fetch(`${url}/-/ready`)).ok);
}

/** Users who come for the first time, one after the other; a little later the shop asks for the candidates of each. */
function startVisitors(): void {
  let on = true;
  const coming = (async () => {
    for (let i = 0; on; i++) {
      await channel.event(`user-${i}`, 'click', { item: 'tent' });
      if (i >= BEHIND) await channel.get(`user-${i - BEHIND}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  coming.catch(() => {});
  ends.push(() => {
    on = false;
    return coming;
  });
}

async function firing(): Promise<Set<string>> {
  const { data } = (await (await fetch(`${url}/api/v1/alerts`)).json()) as any;
  return new Set(data.alerts.filter(({ state }: any) => state === 'firing').map(({ labels }: any) => labels.alertname));
}

/** The first value of an expression; null: there is none. */
async function value(expression: string): Promise<number | null> {
  const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const { data } = (await response.json()) as any;
  return data.result.length === 0 ? null : Number(data.result[0].value[1]);
}

beforeEach(async () => {
  if (program === null) return;
  channel = await ChannelInProcess.start();
  ends = [() => channel.stop()];
  await startPrometheus();
  startVisitors();
});
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
});

it.runIf(program !== null)('alerts fire when the model server is away, and end when it is back', async () => {
  const OURS = [
    'SeralModelServerFailing',
    'SeralModelServerDown',
    'SeralCandidatesMissing',
    'SeralRegenerationGivesUp',
  ];
  const ours = async () => {
    const all = await firing();
    return OURS.filter((name) => all.has(name));
  };
  const good = () =>
    eventually(async () => {
      expect(await value('count(up{job="seral"} == 1)')).toBe(4);
      expect(await value(`sum(rate(seral_requests_total{worker="serengpt-worker"}[${WINDOW}]))`)).toBeGreaterThan(0);
      expect(await value(`sum(rate(seral_serve_candidates_total{outcome="hit"}[${WINDOW}]))`)).toBeGreaterThan(0);
      const all = await firing();
      for (const name of [...OURS, 'SeralServeMissing', 'SeralChannelProcessMissing']) expect(all).not.toContain(name);
    }, PATIENCE_MS);
  await good();
  // of a worker that has no model to rank by, as here
  await eventually(async () => expect(await firing()).toContain('SeralPreRankFallback'), PATIENCE_MS);

  await channel.model.close();
  await eventually(async () => expect(await ours()).toEqual(OURS), PATIENCE_MS);

  await channel.modelBack();
  await good();
  // what the model failed is no dead letter to be looked at
  expect(await value('max_over_time(ALERTS{alertname="SeralChannelDeadLetters"}[10m])')).toBe(null);
});
