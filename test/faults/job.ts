/** A job of worker processes in a place of its own, what is done to it, and whether it is exact. */
import { mkdtempSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OutRecord } from '../../src/log/port.ts';
import { namesOf, type Names } from '../../src/stream/names.ts';
import type { RuntimeOptions } from '../../src/stream/options.ts';
import { createTopics, removeTopics, untilProcessed, type Place } from '../support/apart.ts';
import { committedRecords, type Committed } from '../support/committed-records.ts';
import type { Subject } from './subject.ts';
import { WorkerProcess } from './worker-process.ts';
import type { WorkerSettings } from './worker.ts';
import type { World } from './world.ts';

/** Generous: machines that run this are busy. */
const WITHIN_MS = 120_000;
const TICK_MS = 100;

export type JobOptions = Omit<RuntimeOptions, 'app' | 'suffix' | 'stateDir'>;

export class Job {
  readonly subject: Subject;
  readonly place: Place;
  readonly names: Names;
  readonly source: string;
  readonly sinks: readonly string[];
  /** by slot; a slot keeps its state folder */
  readonly workers: (WorkerProcess | undefined)[] = [];
  readonly folder: string;
  readonly #world: World;
  readonly #options: JobOptions;
  readonly #all: WorkerProcess[] = [];
  #topics: string[] = [];

  constructor(world: World, subject: Subject, place: Place, options: JobOptions) {
    this.#world = world;
    this.#options = options;
    this.subject = subject;
    this.place = place;
    this.names = namesOf(subject.topology.name, place);
    this.source = this.names.source(subject.topology.sources[0]!);
    this.sinks = subject.topology.sinks.map((sink) => this.names.sink(sink));
    this.folder = mkdtempSync(join(world.folder, 'job-'));
  }

  get topics(): readonly string[] {
    return this.#topics;
  }

  async prepare(config: Record<string, Record<string, string>> = {}): Promise<void> {
    const { log, registry } = this.#world;
    this.#topics = await createTopics(log, [this.subject.topology], this.place, config);
    await this.subject.prepare(log, registry.url);
  }

  start(
    slot: number,
    folder = `state-${slot}`,
    more: Partial<RuntimeOptions> = {},
    settings: Partial<WorkerSettings> = {},
  ): WorkerProcess {
    const { kafka, registry } = this.#world;
    const { app, suffix } = this.place;
    const runtime = { ...this.#options, ...more, app, suffix, stateDir: join(this.folder, folder) };
    const worker = new WorkerProcess(
      this.folder,
      { brokers: kafka.brokers, registryUrl: registry.url, topology: this.subject.name, runtime, ...settings },
      join(this.#world.folder, 'compiled'),
    );
    this.#all.push(worker);
    return (this.workers[slot] = worker);
  }

  /** So many workers, which together run every partition. */
  async startAll(count: number): Promise<void> {
    for (let slot = 0; slot < count; slot++) this.start(slot);
    await this.running();
  }

  /** Those that are meant to be alive. */
  get alive(): WorkerProcess[] {
    return this.workers.filter((worker) => worker !== undefined);
  }

  async kill(slot: number): Promise<WorkerProcess> {
    const worker = this.workers[slot]!;
    this.workers[slot] = undefined;
    await worker.kill();
    return worker;
  }

  async stop(slot: number, withinMs = 60_000): Promise<WorkerProcess> {
    const worker = this.workers[slot]!;
    this.workers[slot] = undefined;
    await worker.stop(withinMs);
    return worker;
  }

  async until(what: string, check: () => boolean | Promise<boolean>, withinMs = WITHIN_MS): Promise<void> {
    for (const deadline = Date.now() + withinMs; !(await check()); await sleep(50)) {
      this.#check();
      if (Date.now() > deadline) {
        throw new Error(
          `${what}: not within ${withinMs} ms\n${this.alive.map((worker) => worker.tail()).join('\n\n')}`,
        );
      }
    }
  }

  /** Until each partition runs somewhere, and each of these workers has one. */
  running(workers: readonly WorkerProcess[] = this.alive): Promise<void> {
    return this.until('all partitions run', () => {
      const run = new Set(workers.filter((worker) => worker.running).flatMap((worker) => worker.partitions));
      return run.size === this.place.partitions && workers.every((worker) => worker.running);
    });
  }

  feed(records: readonly OutRecord[]): Promise<void> {
    return this.#produce(records, { overMs: 0 });
  }

  /** Produces evenly over a time, or until `rest` is called, which sends what is left at once. */
  flow(records: readonly OutRecord[], overMs: number): { rest(): Promise<void> } {
    const pace = { overMs };
    const done = this.#produce(records, pace);
    // said by `rest`
    done.catch(() => {});
    return {
      rest: () => {
        pace.overMs = 0;
        return done;
      },
    };
  }

  async #produce(records: readonly OutRecord[], pace: { overMs: number }): Promise<void> {
    const producer = this.#world.log.producer();
    await producer.open();
    try {
      const some = Math.ceil((records.length * TICK_MS) / Math.max(pace.overMs, TICK_MS));
      for (let at = 0; at < records.length;) {
        this.#world.signal.throwIfAborted();
        const until = at + Math.min(pace.overMs === 0 ? Infinity : some, 2000);
        await producer.send(records.slice(at, until));
        at = until;
        if (pace.overMs > 0) await sleep(TICK_MS);
      }
    } finally {
      await producer.close();
    }
  }

  /** Positions up to which the source was processed; 0 where none was committed. */
  async positions(): Promise<number[]> {
    const partitions = Array.from({ length: this.place.partitions }, (_, partition) => partition);
    const at = partitions.map((partition) => ({ topic: this.source, partition }));
    return (await this.#world.admin.committed(this.names.group, at)).map((position) => position ?? 0);
  }

  /** Partitions of an output that have something in a transaction without an end. */
  async openIn(topic: string, partitions?: readonly number[]): Promise<number[]> {
    const [committed, all] = [
      await this.#world.admin.offsets(topic, 'committed'),
      await this.#world.admin.offsets(topic, 'uncommitted'),
    ];
    return all
      .filter(({ partition, end }) => end > committed.find((one) => one.partition === partition)!.end)
      .map(({ partition }) => partition)
      .filter((partition) => partitions === undefined || partitions.includes(partition));
  }

  /** Where each partition's changelogs end, added up: a bound of what a worker that has nothing restores. */
  async changelogEnds(): Promise<number[]> {
    const ends = new Array<number>(this.place.partitions).fill(0);
    for (const topic of this.#topics.filter((one) => one.includes('-changelog'))) {
      for (const { partition, end } of await this.#world.admin.offsets(topic)) ends[partition]! += end;
    }
    return ends;
  }

  /** Until all that was produced is processed and committed. */
  processed(withinMs = WITHIN_MS): Promise<void> {
    const check = (): void => this.#check();
    return untilProcessed(this.#world.log, [this.subject.topology], this.place, { check, withinMs });
  }

  /**
   * Holds what was published against the input up to the committed positions, read by another client. For a job that
   * rests: everything is processed, or every worker has ended.
   */
  async verify(): Promise<Committed & { seen: string }> {
    const { brokers } = this.#world.kafka;
    const positions = await this.positions();
    const input = await committedRecords(brokers, this.source);
    const outputs: Committed[] = [];
    for (const sink of this.sinks) outputs.push(await committedRecords(brokers, sink));
    const letters = await committedRecords(brokers, this.names.deadLetters);
    if (letters.records.length > 0) throw new Error(`${letters.records.length} records went to the dead letters`);
    const seen = this.subject.verify(
      input.records.filter(({ partition, offset }) => offset < positions[partition]!),
      outputs.map(({ records }) => records),
    );
    const sum = (of: (output: Committed) => number): number => outputs.reduce((total, one) => total + of(one), 0);
    const stale = sum((output) => output.stale);
    if (stale > 0) throw new Error(`${stale} batches of an owner that was fenced stand behind its successor's`);
    for (const worker of this.#all) if (worker.wiped) throw new Error(`state was wiped:\n${worker.tail()}`);
    return {
      seen,
      records: outputs.flatMap(({ records }) => records),
      aborted: sum(({ aborted }) => aborted),
      open: sum(({ open }) => open),
      hanging: outputs.flatMap(({ hanging }) => hanging),
      stale,
    };
  }

  /** Everything processed, and exact; the workers run on. */
  async settled(): Promise<Committed & { seen: string }> {
    await this.processed();
    return this.verify();
  }

  /** Everything processed, all workers stopped in peace, and exact; no transaction hangs. */
  async finish(): Promise<Committed & { seen: string }> {
    await this.processed();
    const slots = this.workers.flatMap((worker, slot) => (worker === undefined ? [] : [slot]));
    await Promise.all(slots.map((slot) => this.stop(slot)));
    const found = await this.verify();
    const { brokers } = this.#world.kafka;
    for (const topic of this.#topics) {
      const { open, hanging } = await committedRecords(brokers, topic);
      if (open > 0 || hanging.length > 0) throw new Error(`a transaction hangs in ${topic} ${String(hanging)}`);
    }
    return { ...found, seen: found.seen + this.#warnings() };
  }

  /** What the workers complained of, and how often. */
  #warnings(): string {
    const counts = new Map<string, number>();
    for (const { level, msg } of this.#all.flatMap((worker) => worker.lines())) {
      if (level === 'warn' || level === 'error') counts.set(msg, (counts.get(msg) ?? 0) + 1);
    }
    return [...counts].map(([msg, count]) => ` (${count} × "${msg}")`).join('');
  }

  /** How often any of the workers said so. */
  times(msg: string): number {
    return this.#all.reduce((sum, worker) => sum + worker.times(msg), 0);
  }

  /** Ends what is left and takes everything away; of a round that failed the workers' logs stay, in the folder it names. */
  async close(failed: boolean): Promise<string | null> {
    await Promise.all(this.#all.map((worker) => worker.kill()));
    let kept: string | null = null;
    if (failed) {
      kept = mkdtempSync(join(tmpdir(), 'seral-faults-'));
      await cp(this.folder, kept, { recursive: true, filter: (path) => !path.includes('state-') });
    }
    await rm(this.folder, { recursive: true, force: true });
    await removeTopics(this.#world.log, this.#topics);
    return kept;
  }

  #check(): void {
    this.#world.signal.throwIfAborted();
    for (const worker of this.alive) worker.check();
  }
}
