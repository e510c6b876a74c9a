/** What the server counts, for Prometheus. No label holds anything of a user. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1];
const MINUTE = 60;
const HOUR = 3600;
const AGES = [MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 18 * HOUR, 24 * HOUR, 36 * HOUR, 48 * HOUR];

/** How the user's candidates were found when somebody asked for them. */
export type Found = 'hit' | 'missing' | 'expired' | 'loading' | 'unavailable';
/** What became of the wish for new ones. */
export type TriggerOutcome = 'sent' | 'suppressed' | 'dropped' | 'refused';

export interface CacheFigures {
  lag: number;
  /** seconds since it was last known to be at the topic's end */
  behindSeconds: number;
  memoryBytes: number;
  stale: boolean;
  waitingTriggers: number;
}

export class ServeMetrics {
  readonly #requests: Counter<'route' | 'status'>;
  readonly #seconds: Histogram<'route'>;
  readonly #found: Counter<'outcome'>;
  readonly #reads: Counter<'from'>;
  readonly #age: Histogram;
  readonly #triggers: Counter<'outcome'>;
  readonly #fused: Counter<'arm' | 'outcome'>;
  readonly #fusedItems: Counter<'arm' | 'source'>;
  readonly #records: Counter;
  readonly #unreadable: Counter<'code'>;
  readonly #removed: Counter;
  readonly #rebuilt: Counter;

  /** `figures` is asked when somebody scrapes. */
  constructor(registry: Registry, figures: () => CacheFigures) {
    const registers = [registry];
    const gauge = (name: string, help: string, of: (figures: CacheFigures) => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(of(figures()));
        },
      });
    this.#requests = new Counter({
      name: 'seral_serve_requests_total',
      help: 'requests answered',
      labelNames: ['route', 'status'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'seral_serve_request_seconds',
      help: 'time from a request to the end of its answer',
      labelNames: ['route'],
      buckets: SECONDS,
      registers,
    });
    this.#found = new Counter({
      name: 'seral_serve_candidates_total',
      help: 'look-ups of a user, by how the candidates were found',
      labelNames: ['outcome'],
      registers,
    });
    this.#reads = new Counter({
      name: 'seral_serve_cache_reads_total',
      help: 'look-ups, by where the cache looked',
      labelNames: ['from'],
      registers,
    });
    this.#age = new Histogram({
      name: 'seral_serve_candidate_age_seconds',
      help: 'age of the candidates when they were served, since the visit that asked for them',
      buckets: AGES,
      registers,
    });
    this.#triggers = new Counter({
      name: 'seral_serve_triggers_total',
      help: 'wishes for new candidates, by what became of them',
      labelNames: ['outcome'],
      registers,
    });
    this.#fused = new Counter({
      name: 'seral_serve_fused_lists_total',
      help: 'fused lists, by what there was of candidates',
      labelNames: ['arm', 'outcome'],
      registers,
    });
    this.#fusedItems = new Counter({
      name: 'seral_serve_fused_items_total',
      help: 'rows of fused lists',
      labelNames: ['arm', 'source'],
      registers,
    });
    this.#records = new Counter({
      name: 'seral_serve_cache_records_total',
      help: 'records of serengpt.candidates taken in',
      registers,
    });
    this.#unreadable = new Counter({
      name: 'seral_serve_cache_unreadable_total',
      help: 'records of serengpt.candidates that cannot be read and were left out',
      labelNames: ['code'],
      registers,
    });
    this.#removed = new Counter({
      name: 'seral_serve_cache_removed_total',
      help: 'users removed from the cache because their candidates had expired',
      registers,
    });
    this.#rebuilt = new Counter({
      name: 'seral_serve_cache_rebuilds_total',
      help: 'times the cache on the disk was thrown away and read anew',
      registers,
    });
    gauge('seral_serve_cache_lag_records', 'offsets of serengpt.candidates still to be read', ({ lag }) => lag);
    gauge(
      'seral_serve_cache_behind_seconds',
      'time since the cache was last known to be at the end of serengpt.candidates',
      ({ behindSeconds }) => behindSeconds,
    );
    gauge('seral_serve_cache_stale', '1: served from the disk, the log was not reached since the start', (of) =>
      of.stale ? 1 : 0,
    );
    gauge('seral_serve_cache_memory_bytes', 'decoded candidates in memory, estimated', (of) => of.memoryBytes);
    gauge('seral_serve_triggers_waiting', 'triggers that wait for the log', (of) => of.waitingTriggers);
  }

  answered(route: string, status: number, seconds: number): void {
    this.#requests.inc({ route, status });
    this.#seconds.observe({ route }, seconds);
  }

  found(outcome: Found): void {
    this.#found.inc({ outcome });
  }

  read(from: 'memory' | 'disk'): void {
    this.#reads.inc({ from });
  }

  served(ageMs: number): void {
    this.#age.observe(ageMs / 1000);
  }

  trigger(outcome: TriggerOutcome, count = 1): void {
    this.#triggers.inc({ outcome }, count);
  }

  /** `arm`: one that the configuration names, or `other`. */
  fused(arm: string, outcome: string, personalised: number, serendipity: number): void {
    this.#fused.inc({ arm, outcome });
    this.#fusedItems.inc({ arm, source: 'personalised' }, personalised);
    this.#fusedItems.inc({ arm, source: 'serendipity' }, serendipity);
  }

  taken(records: number): void {
    this.#records.inc(records);
  }

  unreadable(code: string): void {
    this.#unreadable.inc({ code });
  }

  removed(users: number): void {
    this.#removed.inc(users);
  }

  rebuilt(): void {
    this.#rebuilt.inc();
  }
}
