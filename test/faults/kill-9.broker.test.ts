/**
 * Workers killed in the middle of their transactions, again and again, while real baskets come in: every label is there,
 * once, as the oracle has it.
 *   SEED=7 KILLS=10 EVENTS=67808 npx vitest run --project broker test/faults/kill-9
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { encodeKey } from '../../src/log/keys.ts';
import type { Log, LogAdmin, OutRecord } from '../../src/log/port.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { registerSchemas } from '../../src/log/registry/subjects.ts';
import type { BehaviorEvent, CatalogItem, SerendipityLabel } from '../../src/serendipity/events.ts';
import { namesOf } from '../../src/stream/names.ts';
import { labelsTopology } from '../../topologies/labels.ts';
import { randomFrom } from '../oracle/random-logs.ts';
import { apart, createTopics, newPlace, produce, removeTopics, schemasOf, untilProcessed } from '../support/apart.ts';
import { describeWithKafkaAndRegistry, kafkaBrokers, registryUrl } from '../support/broker.ts';
import { committedRecords } from '../support/committed-records.ts';
import { lastRevisions } from '../support/outcome-of.ts';
import { eventOf } from '../support/sample.ts';
import { arrivalsOf, type Arrivals } from '../topologies/arrivals.ts';
import { WorkerProcess } from './worker-process.ts';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e6));
const kills = Number(process.env.KILLS ?? 3);
const count = Number(process.env.EVENTS ?? 8000);

const PARTITIONS = 4;
const COMMIT_MS = 1500;
/** the least that a broker allows, and a bit: so long do the others wait for a member that was killed */
const SESSION_MS = 8000;
const ROUND_MS = SESSION_MS + 5000;
const TICK_MS = 100;

describeWithKafkaAndRegistry(`workers killed ${kills} times (SEED=${seed})`, () => {
  const place = newPlace('kill', PARTITIONS);
  const topology = apart(labelsTopology(), place);
  const names = namesOf(topology.name, place);
  const root = mkdtempSync(join(tmpdir(), 'seral-kill-9-'));
  const random = randomFrom(seed);
  let log: Log;
  let admin: LogAdmin;
  let topics: string[];
  let given: Arrivals;
  let records: OutRecord[];
  const workers: WorkerProcess[] = [];

  const [source, items] = [names.source(topology.sources[0]!), topology.tables[0]!.topic];
  const sinks = topology.sinks.map((sink) => names.sink(sink));
  const labels = sinks[0]!;

  beforeAll(
    async () => {
      given = await arrivalsOf(count, seed, PARTITIONS);
      await registerSchemas({ url: registryUrl }, schemasOf([topology], place));
      log = kafkaLog({ brokers: kafkaBrokers.split(',') });
      admin = log.admin();
      topics = await createTopics(log, [topology], place);
      const serdes = confluentSerdes({ url: registryUrl });
      const eventSerde = await serdes.serde<BehaviorEvent>(source, 'BehaviorEvent');
      const itemSerde = await serdes.serde<CatalogItem>(items, 'CatalogItem');
      await serdes.close();
      records = given.arrivals.map((raw) => ({
        topic: source,
        key: encodeKey(raw.user_id),
        value: eventSerde.encode(eventOf(raw)),
      }));
      await produce(
        log,
        given.catalog.map((item) => ({ topic: items, key: encodeKey(item.item_id), value: itemSerde.encode(item) })),
      );
    },
    120_000 + count * 2,
  );

  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    if (topics !== undefined) await removeTopics(log, topics);
    await log?.close();
    await rm(root, { recursive: true, force: true });
  });

  const start = (slot: number, folder = `state-${slot}`): WorkerProcess => {
    const { app, suffix } = place;
    const runtime = {
      app,
      suffix,
      stateDir: join(root, folder),
      commitIntervalMs: COMMIT_MS,
      sessionTimeoutMs: SESSION_MS,
    };
    return (workers[slot] = new WorkerProcess(root, { brokers: kafkaBrokers, registryUrl, runtime }));
  };

  const until = async (what: string, check: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> => {
    for (const deadline = Date.now() + withinMs; !(await check()); await sleep(20)) {
      for (const worker of workers) worker.check();
      if (Date.now() > deadline) {
        throw new Error(`${what}: not within ${withinMs} ms\n${workers.map((worker) => worker.tail()).join('\n\n')}`);
      }
    }
  };

  const positions = (partitions: number[]) =>
    admin.committed(
      names.group,
      partitions.map((partition) => ({ topic: source, partition })),
    );

  /** Partitions of a topic that have something in a transaction without an end. */
  const openIn = async (topic: string, partitions?: number[]): Promise<number[]> => {
    const committed = await admin.offsets(topic, 'committed');
    const all = await admin.offsets(topic, 'uncommitted');
    return all
      .filter(({ partition, end }) => end > committed.find((one) => one.partition === partition)!.end)
      .map(({ partition }) => partition)
      .filter((partition) => partitions === undefined || partitions.includes(partition));
  };

  const changelogEnds = async (): Promise<number[]> => {
    const ends = new Array<number>(PARTITIONS).fill(0);
    for (const topic of topics.filter((one) => one.includes('-changelog'))) {
      for (const { partition, end } of await admin.offsets(topic, 'uncommitted')) ends[partition]! += end;
    }
    return ends;
  };

  /** All that is to come, as evenly as the rounds that are left allow; in one go once there is none. */
  const pace = { roundsLeft: kills, failed: null as unknown };
  const feed = async (): Promise<void> => {
    const producer = log.producer();
    await producer.open();
    for (let at = 0; at < records.length;) {
      const ticks = (pace.roundsLeft * ROUND_MS) / TICK_MS;
      const some = Math.min(pace.roundsLeft === 0 ? 2000 : Math.ceil((records.length - at) / ticks), 2000);
      await producer.send(records.slice(at, at + some));
      at += some;
      if (pace.roundsLeft > 0) await sleep(TICK_MS);
    }
    await producer.close();
  };

  it(
    "publishes the oracle's labels, each revision once",
    async () => {
      console.log(`kill-9: SEED=${seed} KILLS=${kills} EVENTS=${count}`);
      const began = Date.now();
      start(0);
      start(1);
      await until('both workers run', () =>
        workers.every((worker) => worker.running && worker.partitions.length === PARTITIONS / 2),
      );
      const feeding = feed().catch((error: unknown) => (pace.failed = error));
      // partitions that a state folder holds the state of
      const known = workers.map((worker) => new Set(worker.partitions));
      const rounds: { victim: number; leftOpen: number; restored: [number, number][]; of: number[] }[] = [];

      for (let round = 0; round < kills; round++) {
        const slot = Math.floor(random() * workers.length);
        const victim = workers[slot]!;
        const own = victim.partitions;
        const before = await positions(own);
        let committed: number[] = [];
        await until('a commit of the next victim', async () => {
          const now = await positions(own);
          committed = own.filter((_, i) => (now[i] ?? 0) > (before[i] ?? 0));
          return committed.length > 0;
        });
        await sleep(random() * COMMIT_MS);
        await until('an open transaction', async () => (await openIn(labels, own)).length > 0);
        await victim.kill();
        const leftOpen = (await openIn(labels, own)).length;
        expect(victim.wiped, victim.tail()).toBe(false);
        const of = await changelogEnds();

        const next = start(slot);
        await until('the new worker runs', () => next.running);
        const restored = [...next.restored];
        for (const [partition, records] of restored) {
          // the tail at most: where the folder had the state of a commit
          if (known[slot]!.has(partition) && committed.includes(partition)) {
            expect(records).toBeLessThan(of[partition]!);
          }
        }
        for (const [i, worker] of workers.entries())
          for (const partition of worker.partitions) known[i]!.add(partition);
        rounds.push({ victim: slot, leftOpen, restored, of: own.map((partition) => of[partition]!) });
        pace.roundsLeft--;
      }
      await feeding;
      if (pace.failed !== null) throw pace.failed;
      const check = () => workers.forEach((worker) => worker.check());
      await untilProcessed(log, [topology], place, { check, withinMs: 120_000 });
      for (const worker of workers.splice(0)) {
        await worker.stop(20_000);
        expect(worker.wiped, worker.tail()).toBe(false);
      }

      // one that has nothing restores all of it: what the others restored was counted rightly, and was the tail
      const fresh = start(0, 'state-none');
      await until('a worker without state runs', () => fresh.running && fresh.partitions.length === PARTITIONS);
      await fresh.stop(20_000);
      workers.splice(0);
      const whole = await changelogEnds();
      for (const [partition, records] of fresh.restored) expect(records).toBeGreaterThan(whole[partition]! / 2);

      // no transaction hangs: what read_committed may read ends where the log ends
      for (const topic of topics) expect([topic, await openIn(topic)]).toEqual([topic, []]);

      const serdes = confluentSerdes({ url: registryUrl });
      const serde = await serdes.serde<SerendipityLabel>('serendipity.labels', 'SerendipityLabel');
      await serdes.close();
      const published = await committedRecords(kafkaBrokers, labels);
      const found = lastRevisions(published.records.map(({ value }) => serde.decode(value)));
      console.log(
        JSON.stringify({
          seed,
          seconds: Math.round((Date.now() - began) / 1000),
          labels: found.length,
          published: published.records.length,
          aborted: published.aborted,
          rounds,
          whole: [...fresh.restored],
        }),
      );
      expect(published.open).toBe(0);
      expect(found).toEqual(given.expected.labels);
      expect(rounds.filter(({ leftOpen }) => leftOpen > 0).length).toBeGreaterThan(kills / 2);
      expect(published.aborted).toBeGreaterThan(0);
      expect((await committedRecords(kafkaBrokers, names.deadLetters)).records).toEqual([]);
    },
    120_000 + kills * 60_000 + count * 2,
  );
});
