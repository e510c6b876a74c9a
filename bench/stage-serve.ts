import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { compileConfig } from '../src/cli/config.ts';
import { serverOptions } from '../src/cli/serve.ts';
import { serveApi } from '../src/nearline/serve/api.ts';
import { CandidateCache } from '../src/nearline/serve/cache.ts';
import { ServeMetrics } from '../src/nearline/serve/metrics.ts';
import { silent } from '../src/stream/logger.ts';
import { MemoryDb } from '../src/stream/memory-db.ts';
import { Digest } from './digest.ts';
import { NODE_FLAGS } from './node-flags.ts';
import type { AskingOptions, AskingResult } from './serve-asking.ts';
import {
  ARMS,
  asker,
  codecOfCandidates,
  nameOf,
  ServeLoad,
  SIZE,
  TOKEN,
  type Kind,
  type ServeRow,
} from './serve-load.ts';
import { meter, type StageResult } from './stages.ts';
import { randomOf } from './world.ts';

/** All of them in memory, decoded. */
const USERS = 1000;
const CANDIDATES = 50;

interface Body {
  user_id: string;
  status?: string;
  candidates?: { item_id: string }[];
  serendipity?: { status: string; inserted: number };
  items?: { item_id: string }[];
}

/** The API over HTTP in this process, asked by another one: what it takes of the processor is the server's alone. */
export async function serve(kind: Kind, { requests, seed }: { requests: number; seed: string }): Promise<StageResult> {
  const { config } = compileConfig({ serve: { rateLimit: { requests: 1e9 } } }, { SERAL_SERVE_TOKENS: TOKEN });
  config.serve.arms = ARMS;
  const given = serverOptions(config);
  const metrics = new ServeMetrics(new Registry(), () => ({
    ...{ lag: 0, behindSeconds: 0, memoryBytes: 0, stale: false, waitingTriggers: 0 },
  }));
  const codec = await codecOfCandidates();
  const onBroken = (error: Error) => {
    throw error;
  };
  const cache = new CandidateCache({ ...given, codec, now: Date.now, metrics, onBroken });
  cache.attach(new MemoryDb());
  cache.complete = true;
  const load = new ServeLoad(randomOf(seed, 'lists'), CANDIDATES);
  const users = Array.from({ length: USERS }, (_, i) => nameOf(i));
  await cache.write(users.map((user) => ({ user, row: codec.encode(load.listOf(user)) })));
  const ask = () => {
    throw new Error('a user was not in the cache');
  };
  const api = await serveApi({
    ...given,
    ...{ cache, metrics, triggers: { ask }, now: Date.now, logger: silent, version: 'bench' },
  });
  try {
    await api.listen({ host: '127.0.0.1', port: 0 });
    const { port } = api.server.address() as AddressInfo;
    const row: ServeRow = { kind, requests, users: USERS, candidates: CANDIDATES, seed };
    const digest = await everyUser(port, row);
    return { ...(await asked({ ...row, port })), count: digest.count, digest: String(digest), work: { requests } };
  } finally {
    await api.close();
  }
}

/** Asked for once and looked into. */
async function everyUser(port: number, row: ServeRow): Promise<Digest> {
  const next = asker(row);
  const digest = new Digest();
  for (let n = 0; n < row.users; n++) {
    const { user, path, body, ...one } = next();
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { ...one, body: body ?? null });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
    digest.add(looked(row.kind, user, text));
  }
  return digest;
}

/** What an answer says of items. Throws where it is not of the user, or says too little. */
function looked(kind: Kind, user: string, json: string): string {
  const { user_id, status, candidates = [], serendipity, items = [] } = JSON.parse(json) as Body;
  const whole =
    kind === 'get'
      ? status === 'ready' && candidates.length === CANDIDATES
      : serendipity?.status === 'ready' && serendipity.inserted > 0 && items.length === SIZE;
  if (user_id !== user || !whole) throw new Error(`${user}: ${json.slice(0, 200)}`);
  return JSON.stringify([user, [...candidates, ...items].map(({ item_id }) => item_id)]);
}

async function asked(options: AskingOptions): Promise<Pick<StageResult, 'seconds' | 'cpuSeconds'>> {
  const script = join(import.meta.dirname, 'serve-asking.ts');
  const asking = fork(script, [JSON.stringify(options)], { execArgv: NODE_FLAGS });
  const ended = once(asking, 'exit').then(([code]) => {
    throw new Error(`who asks ended with exit code ${code}`);
  });
  ended.catch(() => {});
  const said = () => Promise.race([once(asking, 'message'), ended]);
  await said();
  const measured = meter();
  asking.send('go');
  const [{ seconds, answered, pending }] = (await said()) as [AskingResult];
  const { cpuSeconds } = measured();
  if (answered !== options.requests || pending > 0)
    throw new Error(`${answered} of ${options.requests} requests were answered, ${pending} of them without candidates`);
  return { seconds, cpuSeconds };
}
