/**
 * The cache age T against what it costs and buys (paper, 5.3.3, Figure 4). The topology `regeneration` itself runs over the
 * log, on a clock that stands where the log's events do; workers that are simulated answer what it asks. So budget, spread,
 * deadlines and retries are those of the live job.
 */
import type { Asking } from '../serengpt/asking.ts';
import { CacheTally, type CacheFigures } from '../serengpt/cache-tally.ts';
import type { RegenerationOptions } from '../serengpt/options.ts';
import type { RegenerationRequest, RetrievedItems } from '../serengpt/records.ts';
import type { Named } from '../serengpt/regenerator.ts';
import { SimulatedWorkers, type Finished, type WorkerOptions } from '../serengpt/simulated-workers.ts';
import type { BehaviorEvent } from '../shop/behaviour.ts';
import { compile } from '../stream/compile.ts';
import { LocalTask, type LocalRecord } from '../stream/local-task.ts';
import { MemoryDb } from '../stream/memory-db.ts';
import { finishNow } from '../stream/steps.ts';
import type { Table } from '../stream/topology.ts';
import { regenerationTopology } from '../../topologies/regeneration.ts';

export interface SimulationOptions {
  /** maxAge is T; `partitions` is taken as 1: all users are in one task */
  regeneration: RegenerationOptions;
  workers: WorkerOptions;
  onProgress?: (events: number) => void;
}

export interface Simulated extends CacheFigures {
  events: number;
  /** ms from the first event to the last */
  spanMs: number;
  /** what the topology counted, by series */
  counts: Map<string, number>;
}

/** Every item has a name, its id: which one is told to a model changes nothing of when it is asked. */
const EVERY_ITEM: Table<Named> = { get: (id) => ({ title: id, category: null, brand: null }), size: Infinity };

/** `events` in the order of time. */
export function simulateCache(events: Iterable<BehaviorEvent>, options: SimulationOptions): Simulated {
  const simulation = new Simulation(options);
  let [count, first, last] = [0, 0, 0];
  for (const event of events) {
    if (count++ === 0) first = event.event_time;
    last = Math.max(last, event.event_time);
    simulation.event(event);
    if (count % 1000 === 0) options.onProgress?.(count);
  }
  options.onProgress?.(count);
  simulation.end();
  return { events: count, spanMs: last - first, counts: simulation.counts, ...simulation.figures(last - first) };
}

class Simulation {
  readonly #task: LocalTask;
  readonly #workers: SimulatedWorkers;
  readonly #tally = new CacheTally();
  #now = -Infinity;
  /** requests that came out and are with nobody yet */
  #asked: RegenerationRequest[] = [];

  constructor({ regeneration, workers }: SimulationOptions) {
    this.#workers = new SimulatedWorkers(workers);
    const topology = compile(regenerationTopology({ ...regeneration, partitions: 1 }));
    this.#task = new LocalTask({
      topology,
      backend: new MemoryDb(),
      cacheBytes: Infinity,
      tables: new Map<string, Table<unknown>>([
        ['catalog', EVERY_ITEM],
        ['users', new Map()],
      ]),
      now: () => this.#now,
      checkNow: () => Infinity,
      onOutput: (_sink, _key, value) => this.#asked.push(value as RegenerationRequest),
      onDeadLetter: ({ code, error }) => {
        throw new Error(`${code}: ${error}`);
      },
      strict: true,
      sweepEveryCommits: Infinity,
      timersInMemory: Infinity,
    });
    finishNow(this.#task.open());
  }

  get counts(): Map<string, number> {
    return this.#task.counts;
  }

  event(event: BehaviorEvent): void {
    this.#advanceTo(event.event_time);
    if (event.event_type === 'exposure') this.#tally.page(this.#askingOf(event.user_id), this.#now);
    this.#feed([{ source: 'events', key: event.user_id, value: event }]);
  }

  /** What has missed its deadline by the last event has failed, whether its turn had come or not. */
  end(): void {
    for (const { expires_at } of this.#workers.open()) if (expires_at <= this.#now) this.#tally.ended('dropped');
  }

  figures(spanMs: number): CacheFigures {
    return this.#tally.figures(spanMs);
  }

  #askingOf(user: string): Asking | undefined {
    return this.#task.state.byName.get('asking')!.peek(user) as Asking | undefined;
  }

  /** Everything that happens up to a time, in its order; an answer before a deadline of the same moment. */
  #advanceTo(time: number): void {
    for (;;) {
      const next = Math.min(this.#workers.nextAt, this.#task.nextTick);
      if (next > time) break;
      this.#now = Math.max(this.#now, next);
      if (this.#workers.nextAt <= this.#now) this.#deliver(this.#workers.finish());
      else {
        finishNow(this.#task.tick());
        this.#handOver();
      }
    }
    this.#now = Math.max(this.#now, time);
  }

  #feed(records: readonly LocalRecord[]): void {
    finishNow(this.#task.feed(records));
    this.#handOver();
  }

  #handOver(): void {
    finishNow(this.#task.commit());
    while (this.#asked.length > 0) {
      const asked = this.#asked;
      this.#asked = [];
      for (const request of asked) {
        this.#tally.asked(this.#now);
        const refused = this.#workers.submit(request, this.#now);
        if (refused !== null) this.#deliver([refused]);
      }
    }
  }

  /** Of what is past its deadline nobody is told, and the topology finds out by itself. */
  #deliver(finished: readonly Finished[]): void {
    for (const { outcome } of finished) this.#tally.ended(outcome);
    const told = finished.filter(({ outcome }) => outcome === 'done' || outcome === 'refused');
    if (told.length === 0) return;
    this.#feed(told.map((one) => ({ source: 'retrieved', key: one.request.user_id, value: answerOf(one) })));
  }
}

function answerOf({ request, at, outcome }: Finished): RetrievedItems {
  const { request_id, user_id, round, attempt, asked_at, expires_at, valid_until, prompt_version } = request;
  return {
    request_id,
    user_id,
    round,
    attempt,
    asked_at,
    expires_at,
    valid_until,
    generated_at: at,
    retrieved_at: at,
    outcome: outcome === 'done' ? 'retrieved' : 'failed',
    error: outcome === 'done' ? null : outcome,
    model: 'simulated',
    prompt_version,
    retriever: 'simulated',
    ranker: 'simulated',
    items: [],
    dropped: [],
  };
}
