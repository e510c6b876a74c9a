import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeKey, encodeKey } from '../../../src/log/keys.ts';
import type { OutRecord } from '../../../src/log/port.ts';
import { confluentSerdes } from '../../../src/log/registry/confluent.ts';
import type { Serdes } from '../../../src/log/serde.ts';
import { CANDIDATES, type UserCandidates } from '../../../src/nearline/records.ts';
import {
  GENERATIONS,
  REGENERATION_REQUESTS,
  RETRIEVED,
  type Generation,
  type RegenerationRequest,
  type RetrievedItems,
} from '../../../src/serengpt/records.ts';
import { eventFromJson, type BehaviorEvent } from '../../../src/shop/behaviour.ts';
import type { CatalogItem } from '../../../src/shop/catalog.ts';
import { randomFrom } from '../../oracle/random-logs.ts';
import { committedRecords } from '../../support/committed-records.ts';
import { freePort, run, type Running } from '../../support/process.ts';
import { sample } from '../../support/sample.ts';
import { seral } from '../../support/seral.ts';
import type { Scenario } from '../scenario.ts';
import type { World } from '../world.ts';

const SECONDS = 60;
const KILLS = 8;
const EVENTS = 4000;
const DAY = 86_400_000;
const PARTITIONS = 4;
const SETTLED_MS = 180_000;

/** What runs, each in a process of its own. */
const PARTS = {
  topologies: ['run', 'regeneration', 'candidates'],
  serengpt: ['worker', 'serengpt'],
  retrieval: ['worker', 'retrieval'],
  serve: ['serve'],
} as const;
type Part = keyof typeof PARTS;
const parts = Object.keys(PARTS) as Part[];

/** The channel as its operator runs it: the commands, with the models that come with the project. */
class ChannelJob {
  readonly app = `channel-${randomUUID().slice(0, 8)}`;
  readonly #world: World;
  readonly #folder: string;
  readonly #ports = new Map<Part, number>();
  readonly #running = new Map<Part, Running>();
  /** every list that the server gave out, and how many it had none for */
  readonly served = { lists: 0, none: 0, away: 0 };

  constructor(world: World) {
    this.#world = world;
    this.#folder = join(world.folder, this.app);
    mkdirSync(this.#folder);
  }

  get #env(): Record<string, string> {
    const { kafka, registry } = this.#world;
    return {
      SERAL_APP: this.app,
      SERAL_KAFKA_BROKERS: kafka.brokers,
      SERAL_REGISTRY_URL: registry.url,
      SERAL_TOPICS_PARTITIONS: String(PARTITIONS),
      SERAL_RUNTIME_SESSION_TIMEOUT: '4s',
      // above what a worker takes to come back, and well below the round
      SERAL_REGENERATION_DEADLINE: '20s',
      SERAL_REGENERATION_RETRY_PAUSE: '1s',
      SERAL_REGENERATION_ATTEMPTS: '20',
      SERAL_SERVE_AUTH: 'none',
    };
  }

  async prepare(): Promise<void> {
    for (const args of [
      ['topics', 'apply', 'regeneration', 'candidates'],
      ['schemas', 'register', 'regeneration', 'candidates'],
    ]) {
      const { code, stderr } = await seral(args, this.#env, this.#folder);
      if (code !== 0) throw new Error(`seral ${args.join(' ')}: ${stderr}`);
    }
  }

  async start(part: Part): Promise<void> {
    const [http, api] = [await freePort(), await freePort()];
    this.#ports.set(part, part === 'serve' ? api : http);
    const binary = join(import.meta.dirname, '../../../bin/seral');
    const env = {
      ...this.#env,
      SERAL_HTTP_PORT: String(http),
      SERAL_SERVE_PORT: String(api),
      SERAL_RUNTIME_STATE_DIR: join(this.#folder, `state-${part}`),
    };
    const output = join(this.#folder, `${part}.log`);
    this.#running.set(part, run(binary, [...PARTS[part]], { folder: this.#folder, root: output, output, env }));
  }

  async kill(part: Part): Promise<void> {
    await this.#running.get(part)!.kill();
  }

  check(): void {
    this.#world.signal.throwIfAborted();
    for (const [part, running] of this.#running)
      if (running.exited) throw new Error(`${part} ended:\n${running.tail()}`);
  }

  /** Asks the server; it may be away, and what it says must be in time. */
  async ask(user: string): Promise<UserCandidates | null> {
    const now = Date.now();
    let response: Response;
    try {
      response = await fetch(`http://127.0.0.1:${this.#ports.get('serve')!}/v1/users/${user}/candidates`);
    } catch {
      this.served.away++;
      return null;
    }
    const answer = (await response.json()) as UserCandidates;
    if (response.status !== 200) {
      assert.equal(response.status, 202);
      this.served.none++;
      return null;
    }
    assert.ok(answer.expires_at > now, `a list that expired ${now - answer.expires_at} ms ago was served`);
    assert.equal(answer.user_id, user);
    this.served.lists++;
    return answer;
  }

  async stop(): Promise<void> {
    for (const running of this.#running.values()) running.signal('SIGTERM');
    for (const [part, running] of this.#running) {
      for (const deadline = Date.now() + 60_000; !running.exited; await sleep(50)) {
        if (Date.now() > deadline) throw new Error(`${part} does not stop:\n${running.tail()}`);
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.values()].map((running) => running.kill()));
  }

  logs(): string {
    return parts
      .map((part) => `${part}:\n${readFileSync(join(this.#folder, `${part}.log`), 'utf8').slice(-3000)}`)
      .join('\n');
  }
}

/** The last two weeks of the sample as if they ended now, and what it sells. */
async function behaviour(serdes: Serdes): Promise<{ catalog: OutRecord[]; events: OutRecord[]; users: string[] }> {
  const { events, catalog } = await sample(EVENTS, 1);
  const shift = Date.now() - 1000 - events.reduce((newest, { event_time }) => Math.max(newest, event_time), 0);
  const items = await serdes.serde<CatalogItem>('catalog.items', 'CatalogItem');
  const values = await serdes.serde<BehaviorEvent>('behavior.events', 'BehaviorEvent');
  const shifted = events
    .map((raw) => eventFromJson({ ...raw, event_time: raw.event_time + shift }))
    .filter(({ event_time }) => event_time > Date.now() - 14 * DAY);
  return {
    catalog: catalog.map((item) => ({
      topic: 'catalog.items',
      key: encodeKey(item.item_id),
      value: items.encode({ ...item, available: true }),
    })),
    events: shifted.map((event) => ({
      topic: 'behavior.events',
      key: encodeKey(event.user_id),
      value: values.encode(event),
    })),
    users: [...new Set(shifted.map(({ user_id }) => user_id))],
  };
}

interface Read {
  requests: RegenerationRequest[];
  generations: Generation[];
  retrieved: RetrievedItems[];
  /** in the order of each partition; null is a tombstone */
  lists: { user: string; list: UserCandidates | null }[];
}

async function readAll(world: World, serdes: Serdes): Promise<Read> {
  const read = async <T>({
    topic,
    schema,
  }: {
    topic: string;
    schema: string;
  }): Promise<{ user: string; value: T | null }[]> => {
    const serde = await serdes.serde<T>(topic, schema);
    const { records, stale } = await committedRecords(world.kafka.brokers, topic);
    assert.equal(stale, 0, `${topic}: a fenced owner wrote`);
    await serde.prepare(records.map(({ value }) => value));
    return records.map(({ key, value }) => ({
      user: decodeKey(key),
      value: value === null ? null : serde.decode(value),
    }));
  };
  const values = async <T>(from: { topic: string; schema: string }): Promise<T[]> =>
    (await read<T>(from)).map(({ value }) => value!);
  return {
    requests: await values<RegenerationRequest>(REGENERATION_REQUESTS),
    generations: await values<Generation>(GENERATIONS),
    retrieved: await values<RetrievedItems>(RETRIEVED),
    lists: (await read<UserCandidates>(CANDIDATES)).map(({ user, value }) => ({ user, list: value })),
  };
}

const roundOf = ({ user_id, round }: { user_id: string; round: number }): string => `${user_id} ${round}`;

/** Rounds that were asked for and have no items yet. */
function openRounds({ requests, retrieved }: Read): string[] {
  const done = new Set(retrieved.filter(({ outcome }) => outcome === 'retrieved').map(roundOf));
  return [...new Set(requests.map(roundOf))].filter((round) => !done.has(round));
}

function verify(read: Read): void {
  const { requests, retrieved, lists } = read;
  assert.deepEqual(openRounds(read), [], 'rounds without an answer');
  const newest = new Map<string, number>();
  for (const { user_id, round } of retrieved) newest.set(user_id, Math.max(newest.get(user_id) ?? 0, round));
  const said = new Map<string, { round: number; revision: number }>();
  for (const { user, list } of lists) {
    if (list === null) continue;
    const before = said.get(user) ?? { round: 0, revision: -1 };
    const follows = list.round > before.round ? list.revision === 0 : list.revision === before.revision + 1;
    assert.ok(
      follows && list.round >= before.round,
      `${user}: ${list.round}.${list.revision} after ${JSON.stringify(before)}`,
    );
    assert.equal(list.expires_at - list.asked_at, DAY);
    said.set(user, list);
  }
  for (const user of new Set(requests.map(({ user_id }) => user_id))) {
    // older rounds may have been overtaken by the newest; that one counts, unless its time was over when it came
    const last = said.get(user)?.round ?? 0;
    const over = retrieved.some(
      (one) => one.user_id === user && one.round === newest.get(user) && one.valid_until <= Date.now(),
    );
    assert.ok(
      last === newest.get(user) || over,
      `${user}: the list is of round ${last}, the last answer of ${newest.get(user)}`,
    );
  }
}

export const channelKills: Scenario = {
  name: 'channel-kills',
  title:
    'the channel with its real models: topologies, SerenGPT worker, retrieval worker and server are killed (-9) at random, 8 times in a minute of visits',
  brokers: 1,
  faults: KILLS,
  async round(world, seed) {
    const random = randomFrom(seed);
    const job = new ChannelJob(world);
    const serdes = confluentSerdes({ url: world.registry.url });
    const killed = new Map<Part, number>();
    try {
      await job.prepare();
      const { catalog, events, users } = await behaviour(serdes);
      const producer = world.log.producer();
      await producer.open();
      try {
        for (let at = 0; at < catalog.length; at += 2000) await producer.send(catalog.slice(at, at + 2000));
        for (const part of parts) await job.start(part);
        let next = 0;
        let at = 0;
        const began = Date.now();
        for (let spent = 0; spent < SECONDS * 1000; spent = Date.now() - began) {
          job.check();
          const until = Math.floor((events.length * spent) / (SECONDS * 1000));
          if (until > at) await producer.send(events.slice(at, until));
          at = Math.max(at, until);
          await job.ask(users[Math.floor(random() * users.length)]!);
          if (spent > ((next + 0.3 + 0.6 * random()) * SECONDS * 1000) / KILLS && next < KILLS) {
            next++;
            const part = parts[Math.floor(random() * parts.length)]!;
            killed.set(part, (killed.get(part) ?? 0) + 1);
            await job.kill(part);
            await job.start(part);
          }
          await sleep(100);
        }
        await producer.send(events.slice(at));
      } finally {
        await producer.close();
      }
      let read: Read;
      for (const deadline = Date.now() + SETTLED_MS; ; await sleep(1000)) {
        job.check();
        read = await readAll(world, serdes);
        if (read.requests.length > 0 && openRounds(read).length === 0) break;
        if (Date.now() > deadline) break;
      }
      // what the answers led to is to be written yet
      await sleep(3000);
      await job.stop();
      read = await readAll(world, serdes);
      verify(read);
      for (const letters of ['regeneration', 'candidates', 'serengpt-worker', 'retrieval-worker']) {
        const { records } = await committedRecords(world.kafka.brokers, `${letters}.dlq`);
        assert.equal(records.length, 0, `${letters}.dlq has ${records.length} records`);
      }
      assert.ok(job.served.lists > 0, 'the server gave out no list');
      const victims = [...killed].map(([part, times]) => `${part} ${times}`).join(', ');
      const { requests, generations, retrieved, lists } = read;
      return (
        `${new Set(requests.map(roundOf)).size} rounds in ${requests.length} requests, ${generations.length} generations, ` +
        `${retrieved.length} answers, ${lists.length} lists; served ${job.served.lists} lists, ${job.served.none} times none, ` +
        `${job.served.away} times away; killed: ${victims}`
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${job.logs()}`, { cause: error });
    } finally {
      await job.close();
      await serdes.close();
      const admin = world.log.admin();
      const left = (await admin.topics()).filter((topic) => !topic.startsWith('__'));
      await admin.remove(left);
      await admin.close();
    }
  },
};
