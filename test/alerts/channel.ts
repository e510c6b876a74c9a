/**
 * The whole serendipity channel in this process, as its commands run it: the topologies, SerenGPT's worker with a model server
 * on a script, the retrieval worker, the server. The log's time is the test's (`at`); T is an hour of it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileConfig } from '../../src/cli/config.ts';
import { openLog, openSerdes } from '../../src/cli/environment.ts';
import { createLogger } from '../../src/cli/logging.ts';
import { runRetrievalWorker } from '../../src/cli/retrieval-worker.ts';
import { runTopologies } from '../../src/cli/run-topologies.ts';
import { runSerengptWorker } from '../../src/cli/serengpt-worker.ts';
import { runServe } from '../../src/cli/serve.ts';
import { wantedTopics } from '../../src/cli/topic-plan.ts';
import { buildTopologies } from '../../src/cli/topologies.ts';
import { encodeKey } from '../../src/log/keys.ts';
import type { EventType } from '../../src/shop/behaviour.ts';
import { item } from '../nearline/given.ts';
import { eventOf, HOUR, NOW } from '../serengpt/channel.ts';
import { eventually } from '../stream/bench.ts';
import { produce } from '../support/apart.ts';
import { ModelServer, type Act } from '../support/model-server.ts';
import { readAll } from '../support/outcome-of.ts';

export const T = HOUR;
export const RETRY_AFTER = 10 * 60_000;
/** What a model in good order says: two things that the catalog has. */
export const GOOD: Act = { texts: ['A lamp', 'A stove'] };

const CATALOG = ['tent', 'lamp', 'stove'].map((id) =>
  item(id, `A ${id}`, { category_id: `${id}s`, category_path: [`${id}s`], seller_id: 'seller-1' }),
);

export type Process = 'topologies' | 'serengpt' | 'retrieval' | 'serve';
type Series = Record<string, string>;

export class ChannelInProcess {
  readonly urls: Record<Process, string>;
  readonly api: string;
  /** the log's time, and that of the server's clock */
  at = NOW;
  model: ModelServer;
  readonly #write: <T>(topic: string, schema: string, key: string, value: T) => Promise<void>;
  readonly #letters: (topic: string) => Promise<number>;
  readonly #stop: () => Promise<void>;

  private constructor(given: {
    urls: Record<Process, string>;
    api: string;
    model: ModelServer;
    write: <T>(topic: string, schema: string, key: string, value: T) => Promise<void>;
    letters: (topic: string) => Promise<number>;
    stop: () => Promise<void>;
  }) {
    this.urls = given.urls;
    this.api = given.api;
    this.model = given.model;
    this.#write = given.write;
    this.#letters = given.letters;
    this.#stop = given.stop;
  }

  /** `attemptTimeout`: of a request to the model. */
  static async start({ attemptTimeout = '500ms' } = {}): Promise<ChannelInProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'seral-alerts-'));
    const model = await ModelServer.start(() => GOOD);
    const { config } = compileConfig(
      {
        log: { kind: 'embedded' },
        embedded: { path: join(folder, 'log') },
        topics: { partitions: 1 },
        runtime: { stateDir: join(folder, 'state'), stopDeadline: '10s', commitInterval: '20ms', sourceWait: '0s' },
        http: { port: 0 },
        regeneration: { maxAge: '1h', retryAfter: '10m', attempts: 2, retryPause: '50ms', samples: 2 },
        serengptWorker: {
          ...{ engine: 'openai', url: model.url, model: 'stub-1' },
          ...{ attempts: 1, attemptTimeout, requestTimeout: attemptTimeout },
        },
        retrievalWorker: { embedder: 'ngram', modelFolder: join(folder, 'none') },
        serve: { port: 0, auth: 'none', lookupTimeout: '10s', triggerEvery: '1ms' },
      },
      {},
    );
    const log = await openLog(config);
    const serdes = await openSerdes(config);
    const logger = await createLogger({ level: 'silent' });
    const topologies = buildTopologies(['regeneration', 'candidates'], config);
    const admin = log.admin();
    await admin.create(wantedTopics(topologies, config));
    await admin.close();
    const write = async <R>(topic: string, schema: string, key: string, value: R): Promise<void> => {
      const serde = await serdes.serde<R>(topic, schema);
      await produce(log, [{ topic, key: encodeKey(key), value: serde.encode(value) }]);
    };
    for (const one of CATALOG) await write('catalog.items', 'CatalogItem', one.item_id, one);

    const stop = new AbortController();
    const given = { config, log, serdes, logger, stop: stop.signal };
    const ended: Promise<void>[] = [];
    const start = (run: (onListening: (url: string) => void) => Promise<void>): Promise<string> => {
      const listening = Promise.withResolvers<string>();
      const running = run(listening.resolve);
      running.catch(listening.reject);
      ended.push(running);
      return listening.promise;
    };
    const api = Promise.withResolvers<string>();
    let channel: ChannelInProcess | null = null;
    const urls = {
      topologies: await start((onListening) => runTopologies({ ...given, topologies, onListening })),
      serengpt: await start((onListening) => runSerengptWorker({ ...given, onListening })),
      retrieval: await start((onListening) => runRetrievalWorker({ ...given, onListening })),
      serve: await start((onListening) =>
        runServe({
          ...{ ...given, version: '1.2.3', onListening, onServing: api.resolve },
          now: () => channel?.at ?? NOW,
        }),
      ),
    };
    channel = new ChannelInProcess({
      ...{ urls, model, write, api: await api.promise },
      letters: async (topic) => (await readAll(log, topic)).length,
      async stop() {
        stop.abort();
        // whoever has died says so here
        try {
          await Promise.all(ended);
        } finally {
          await Promise.allSettled(ended);
          await serdes.close();
          await log.close();
          await rm(folder, { recursive: true, force: true });
        }
      },
    });
    try {
      await eventually(async () => {
        for (const url of Object.values(urls)) {
          const response = await fetch(`${url}/ready`);
          if (response.status !== 200) throw new Error(await response.text());
        }
      }, 30_000);
    } catch (error) {
      await channel.stop();
      throw error;
    }
    return channel;
  }

  async stop(): Promise<void> {
    await this.model.close();
    await this.#stop();
  }

  /** In good order again, at the same address. */
  async modelBack(): Promise<void> {
    const port = Number(new URL(this.model.url).port);
    await this.model.close();
    this.model = await ModelServer.start(() => GOOD, port);
  }

  /** At the log's time of now. */
  event(user: string, type: EventType, more: { item?: string } = {}): Promise<void> {
    return this.#write('behavior.events', 'BehaviorEvent', user, eventOf(user, type, this.at, more));
  }

  async get(user: string): Promise<{ status: number; body: any }> {
    const response = await fetch(`${this.api}/v1/users/${user}/candidates`);
    return { status: response.status, body: await response.json() };
  }

  async fuse(user: string, candidates: readonly { item_id: string; score: number }[]) {
    const response = await fetch(`${this.api}/v1/fuse`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user_id: user, size: candidates.length, candidates }),
    });
    return { status: response.status, body: (await response.json()) as any };
  }

  /** The sum of a metric's series that have these labels; 0: there are none. */
  async metric(of: Process, name: string, labels: Series = {}): Promise<number> {
    const text = await (await fetch(`${this.urls[of]}/metrics`)).text();
    let sum = 0;
    for (const [, series, value] of text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))) {
      const found: Series = Object.fromEntries(
        [...(series ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, k, v]) => [k, v]),
      );
      if (Object.entries(labels).every(([label, wanted]) => found[label] === wanted)) sum += Number(value);
    }
    return sum;
  }

  /** Records in a dead-letter topic. */
  letters(topic: string): Promise<number> {
    return this.#letters(topic);
  }

  async live(): Promise<boolean> {
    const all = await Promise.all(Object.values(this.urls).map((url) => fetch(`${url}/live`)));
    return all.every(({ status }) => status === 200);
  }
}
