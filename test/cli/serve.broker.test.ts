/** The server over a broker that is killed, that is not there at the start, and that comes back. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compileConfig } from '../../src/cli/config.ts';
import { openLog } from '../../src/cli/environment.ts';
import { createLogger } from '../../src/cli/logging.ts';
import { runServe } from '../../src/cli/serve.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { listOf, makeTopics, NOW, publish, triggersIn } from '../nearline/serve/given.ts';
import { eventually } from '../log/contract.ts';
import { hasJava } from '../support/artifacts.ts';
import { describeWithKafka } from '../support/broker.ts';
import { startKafka, type RunningKafka } from '../support/kafka-harness.ts';

const canKill = await hasJava();

describeWithKafka('seral serve', () => {
  let kafka: RunningKafka;
  let folder: string;

  beforeAll(async () => {
    if (!canKill) return;
    kafka = await startKafka();
    folder = await mkdtemp(join(tmpdir(), 'seral-serve-'));
  });
  afterAll(async () => {
    await kafka?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  it.runIf(canKill)('answers on without its broker, starts without it, and catches up', async () => {
    const config = compileConfig(
      {
        kafka: { brokers: [kafka.brokers], connectionTimeout: '1s', requestTimeout: '3s' },
        runtime: { stateDir: folder, stopDeadline: '20s' },
        http: { port: 0 },
        serve: { port: 0, auth: 'none', lookupTimeout: '10s' },
      },
      {},
    ).config;
    const serdes = await embeddedSerdes();
    const outside = await openLog(config);
    await makeTopics(outside, 3);
    await publish(outside, serdes, listOf('ada'), listOf('bob'));

    const start = async () => {
      const log = await openLog(config);
      const logger = await createLogger({ level: 'silent' });
      const stop = new AbortController();
      const [probes, api] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
      const ended = runServe({
        ...{ config, log, serdes, logger, version: '1', stop: stop.signal, now: () => NOW },
        onListening: probes.resolve,
        onServing: api.resolve,
      });
      ended.catch(api.reject);
      const [probe, url] = [await probes.promise, await api.promise];
      return {
        ready: async () => (await (await fetch(`${probe}/ready`)).json()) as any,
        get: async (user: string) => (await (await fetch(`${url}/v1/users/${user}/candidates`)).json()) as any,
        fuse: async (user_id: string) => {
          const body = JSON.stringify({ user_id, size: 3, candidates: [{ item_id: 'p', score: 1 }] });
          const headers = { 'content-type': 'application/json' };
          return (await (await fetch(`${url}/v1/fuse`, { method: 'POST', headers, body })).json()) as any;
        },
        stop: async () => {
          stop.abort();
          await ended;
          await log.close();
        },
      };
    };

    const first = await start();
    await eventually(async () => expect((await first.ready()).ready).toBe(true), 60_000);
    expect(await first.get('ada')).toMatchObject({ status: 'ready', round: 1 });
    await kafka.kill9();
    expect(await first.get('bob')).toMatchObject({ status: 'ready', round: 1 });
    expect(await first.get('eve')).toMatchObject({ status: 'triggered' });
    expect((await first.fuse('eve')).items).toHaveLength(1);
    await first.stop();

    const second = await start();
    expect(await second.get('ada')).toMatchObject({ status: 'ready', round: 1 });
    expect((await second.fuse('ada')).items).toHaveLength(3);
    await eventually(async () => {
      const { ready, topologies } = await second.ready();
      expect([ready, topologies[0].cache.stale]).toEqual([true, true]);
    }, 60_000);
    expect(await second.get('zoe')).toMatchObject({ status: 'triggered' });
    await kafka.restart();
    await publish(outside, serdes, listOf('ada', { round: 2 }), { key: 'bob', value: null });
    await eventually(async () => {
      expect((await second.ready()).topologies[0].cache).toMatchObject({ stale: false, lag: 0 });
      expect(await second.get('ada')).toMatchObject({ round: 2 });
      expect((await second.get('bob')).status).not.toBe('ready');
      const asked = (await triggersIn(outside, serdes)).map(({ user_id }) => user_id);
      expect(asked).toContain('zoe');
    }, 90_000);
    await second.stop();
    await serdes.close();
    await outside.close();
  });
});
