/**
 * Who asks the server of bench/serve.ts at a rate, in a process of its own: what the one that filled the cache has on its
 * heap would stop it for longer than the server takes.
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { getOf, ServeLoad, zipfUser, type Kind } from './serve-load.ts';
import { percentile } from './stats.ts';
import { randomOf } from './world.ts';

export interface RateOptions {
  port: number;
  kind: Kind;
  users: number;
  candidates: number;
  zipf: number;
  rate: number;
  seconds: number;
  warmUp: number;
  seed: string;
}

export interface RateResult {
  perSecond: number;
  p50: number;
  p99: number;
  p999: number;
  max: number;
  pending: number;
}

const { port, kind, users, candidates, zipf, rate, seconds, warmUp, seed } = JSON.parse(
  process.argv[2]!,
) as RateOptions;
const random = randomOf(seed, kind);
const load = new ServeLoad(random, candidates);
const user = zipfUser(random, users, zipf);
const ask = () => (kind === 'get' ? getOf(user()) : load.fuseOf(user()));
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
let pending = 0;

function answered({ body, ...options }: ReturnType<typeof ask>): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...options, host: '127.0.0.1', port, agent }, (response) => {
      if (response.statusCode === 202) pending++;
      else if (response.statusCode !== 200) reject(new Error(`${options.path}: ${response.statusCode}`));
      response.resume();
      response.on('end', resolve);
    });
    asking.on('error', reject);
    asking.end(body);
  });
}

/** From when each was due: at random times, as users come, that wait for no answer. (autocannon's rate comes in bursts.) */
async function latencies(forSeconds: number): Promise<number[]> {
  const found: number[] = [];
  const underWay: Promise<void>[] = [];
  let due = performance.now();
  for (const end = due + forSeconds * 1000; due < end; await sleep(1)) {
    for (; due <= performance.now() && due < end; due += (-Math.log(1 - random()) * 1000) / rate) {
      const since = due;
      underWay.push(answered(ask()).then(() => void found.push(performance.now() - since)));
    }
  }
  await Promise.all(underWay);
  return found;
}

await latencies(warmUp);
pending = 0;
process.send!('warm');
const found = await latencies(seconds);
process.send!({
  perSecond: found.length / seconds,
  p50: percentile(found, 0.5),
  p99: percentile(found, 0.99),
  p999: percentile(found, 0.999),
  max: percentile(found, 1),
  pending,
} satisfies RateResult);
agent.destroy();
process.disconnect();
