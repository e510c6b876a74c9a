import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generate } from 'selfsigned';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileConfig, type Config } from '../../src/cli/config.ts';
import { openLog, openSerdes } from '../../src/cli/environment.ts';
import { createLogger } from '../../src/cli/logging.ts';
import { runServe, serverOptions } from '../../src/cli/serve.ts';
import { rolesOf } from '../../src/cli/topic-plan.ts';
import { buildTopologies } from '../../src/cli/topologies.ts';
import type { Log } from '../../src/log/port.ts';
import type { Serdes } from '../../src/log/serde.ts';
import type { Topology } from '../../src/stream/topology.ts';
import { listOf, makeTopics, NOW, publish, triggersIn, until } from '../nearline/serve/given.ts';

let folder: string;
let log: Log;
let serdes: Serdes;
const TOKEN = 'a-token-for-tests-1';
const config = (serve: object = {}, env: Record<string, string> = { SERAL_SERVE_TOKENS: TOKEN }): Config =>
  compileConfig(
    {
      log: { kind: 'embedded' },
      embedded: { path: join(folder, 'log') },
      runtime: { stateDir: join(folder, 'state'), stopDeadline: '5s' },
      http: { port: 0 },
      serve: { port: 0, lookupTimeout: '10s', ...serve },
    },
    env,
  ).config;
const problems = (serve: object): string => {
  try {
    config(serve);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-serve-'));
  log = await openLog(config());
  serdes = await openSerdes(config());
});
afterEach(async () => {
  await serdes.close();
  await log.close();
  await rm(folder, { recursive: true });
});

async function running(given: Config) {
  const stop = new AbortController();
  const probes = Promise.withResolvers<string>();
  const api = Promise.withResolvers<string>();
  const logger = await createLogger({ level: 'silent' });
  const ended = runServe({
    config: given,
    ...{ log, serdes, logger, version: '1.2.3', stop: stop.signal, now: () => NOW },
    onListening: probes.resolve,
    onServing: api.resolve,
  });
  ended.catch(api.reject);
  const urls = { probes: await probes.promise, api: await api.promise };
  return { ...urls, ended, stop: () => (stop.abort(), ended) };
}

const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };

it('serves, answers probes, asks for what is missing, and ends when told', async () => {
  await makeTopics(log);
  await publish(log, serdes, listOf('ada'));
  const { api, probes, stop } = await running(config());
  await until(async () => (await fetch(`${probes}/ready`)).status === 200);
  const get = (user: string) => fetch(`${api}/v1/users/${user}/candidates`, { headers });
  expect((await (await get('ada')).json()) as object).toMatchObject({ status: 'ready', user_id: 'ada' });
  expect((await get('nobody')).status).toBe(202);
  expect((await fetch(`${api}/v1/users/ada/candidates`)).status).toBe(401);
  const body = JSON.stringify({ user_id: 'ada', size: 2, candidates: [{ item_id: 'p', score: 1 }] });
  const fused: any = await (await fetch(`${api}/v1/fuse`, { method: 'POST', headers, body })).json();
  expect(fused.items.map(({ source }: any) => source)).toEqual(['personalised', 'serendipity']);
  await until(async () => (await triggersIn(log, serdes)).length === 1);
  expect(await triggersIn(log, serdes)).toEqual([{ user_id: 'nobody', requested_at: NOW, arm: null }]);
  const ready: any = await (await fetch(`${probes}/ready`)).json();
  expect(ready.topologies[0]).toMatchObject({ topology: 'serve', ready: true, cache: { stale: false, lag: 0 } });
  expect((await fetch(`${probes}/live`)).status).toBe(200);
  const metrics = await (await fetch(`${probes}/metrics`)).text();
  expect(metrics).toContain('seral_serve_candidates_total{outcome="hit"} 2');
  expect(metrics).toContain('seral_serve_cache_lag_records 0');
  expect(metrics).not.toContain('nobody');
  await stop();
  await expect(fetch(`${api}/v1/openapi.json`)).rejects.toThrow();
  await expect(fetch(`${probes}/live`)).rejects.toThrow();
});

it('answers what was asked before it was told to end', async () => {
  await makeTopics(log);
  const { api, stop } = await running(config());
  let send!: () => void;
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(Buffer.from('{"user_id":"ada","size":1,"candidates":'));
      await new Promise<void>((resolve) => (send = resolve));
      controller.enqueue(Buffer.from('[{"item_id":"p","score":1}]}'));
      controller.close();
    },
  });
  const asked = fetch(`${api}/v1/fuse`, { method: 'POST', headers, body, duplex: 'half' } as RequestInit);
  await sleep(50);
  const ended = stop();
  await sleep(50);
  send();
  const answer: any = await (await asked).json();
  expect(answer.items).toHaveLength(1);
  await ended;
});

it('names the topics that are missing, and what makes them', async () => {
  const { ended } = await running(config());
  await expect(ended).rejects.toThrow(
    'serengpt.candidates, serengpt.triggers: not there. Run `seral topics apply candidates regeneration`',
  );
});

it('lets in whoever has a certificate of the authority, and nobody else', async () => {
  await makeTopics(log);
  const authority = await generate([{ name: 'commonName', value: 'authority' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'keyUsage', keyCertSign: true, digitalSignature: true },
    ],
  });
  const signed = (name: string, ca?: { key: string; cert: string }) =>
    generate([{ name: 'commonName', value: name }], {
      keyType: 'ec',
      algorithm: 'sha256',
      extensions: [
        { name: 'basicConstraints', cA: false },
        { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
      ],
      ...(ca && { ca }),
    } as never);
  const ca = { key: authority.private, cert: authority.cert };
  const server = await signed('server', ca);
  const files = { certFile: server.cert, keyFile: server.private, caFile: authority.cert };
  const tls: Record<string, string> = {};
  for (const [key, text] of Object.entries(files)) await writeFile((tls[key] = join(folder, `${key}.pem`)), text);
  const { api, stop } = await running(config({ auth: 'mtls', tls }));
  const ask = (client?: { cert: string; private: string }) =>
    new Promise<number>((resolve, reject) => {
      const options = { ca: authority.cert, agent: false, ...(client && { cert: client.cert, key: client.private }) };
      request(`${api}/v1/users/ada/candidates`, options, (response) => {
        response.resume();
        resolve(response.statusCode!);
      })
        .on('error', reject)
        .end();
    });
  expect(await ask((await signed('shop', ca)) as never)).toBe(202);
  await expect(ask()).rejects.toThrow();
  await expect(ask((await signed('stranger')) as never)).rejects.toThrow();
  await stop();
});

describe('the configuration', () => {
  it('lets anybody in on a loopback host alone', () => {
    expect(problems({ auth: 'none' })).toBe('');
    expect(problems({ auth: 'none', host: '::1' })).toBe('');
    for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.evil.example']) {
      expect(problems({ auth: 'none', host })).toContain('serve.auth: none is for a loopback host');
    }
  });

  it('asks for a token that is long enough, and takes several', async () => {
    expect(() => serverOptions(config({}, {}))).toThrow('SERAL_SERVE_TOKENS');
    expect(() => serverOptions(config({}, { SERAL_SERVE_TOKENS: 'short' }))).toThrow('at least 16 characters');
    const tokensFile = join(folder, 'tokens');
    await writeFile(tokensFile, `${TOKEN}\n${TOKEN}-next\n`);
    expect(serverOptions(config({ tokensFile }, {})).auth).toEqual({
      kind: 'token',
      tokens: [TOKEN, `${TOKEN}-next`],
    });
    expect(problems({ tokens: TOKEN })).toContain('may not stand in the file');
  });

  it('names what mtls lacks', () => {
    expect(problems({ auth: 'mtls' })).toContain('mtls needs certFile, keyFile, and caFile');
    expect(problems({ tls: { certFile: 'x' } })).toContain('TLS needs both');
    expect(problems({ tls: { caFile: 'x' } })).toContain('which only serve.auth: mtls asks for');
  });

  it("takes an arm's rule as what differs from the one of all", () => {
    const { arms } = serverOptions(
      config({ fusion: { weight: 0.4 }, arms: { control: { weight: 0 }, bold: { atLeast: 2 } } }),
    );
    expect(Object.fromEntries(arms)).toEqual({
      default: { weight: 0.4, atLeast: 1, within: 10, perCategory: 3 },
      control: { weight: 0, atLeast: 1, within: 10, perCategory: 3 },
      bold: { weight: 0.4, atLeast: 2, within: 10, perCategory: 3 },
    });
    const env = { SERAL_SERVE_TOKENS: TOKEN, SERAL_SERVE_ARMS: '{"control":{"weight":0}}' };
    expect(serverOptions(config({}, env)).arms.get('control')!.weight).toBe(0);
    expect(problems({ arms: { control: { wait: 0 } } })).toContain('serve.arms: expected arms with a rule each');
    expect(problems({ arms: { control: { weight: 2 } } })).toContain('serve.arms');
    expect(problems({ arms: { bold: { atLeast: 11 } } })).toContain('serve.arms.bold: atLeast is more than within');
  });

  it('has the topic of triggers as one of ours', () => {
    const all = buildTopologies([], config());
    const reader = { ...all[0]!, sources: [{ ...all[0]!.sources[0]!, topic: 'serengpt.triggers' }] } as Topology;
    expect(rolesOf([reader], config()).ours.has('serengpt.triggers')).toBe(true);
  });
});
