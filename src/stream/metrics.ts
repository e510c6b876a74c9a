/**
 * Figures of the runtime, for Prometheus. The hot path adds to plain numbers; they are published at commits, so what
 * is counted is what was committed.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const TASK = ['topology', 'partition'] as const;
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** One a process; its metrics are shared by all topologies and told apart by labels. */
export class Metrics {
  readonly #registry: Registry;
  readonly #custom = new Map<string, Counter>();
  readonly #levels = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();

  constructor(registry: Registry) {
    this.#registry = registry;
    const counter = (name: string, help: string, labelNames: readonly string[] = TASK) =>
      this.#counters.set(name, new Counter({ name: `seral_${name}`, help, labelNames, registers: [registry] }));
    const gauge = (name: string, help: string, labelNames: readonly string[] = TASK) =>
      this.#gauges.set(name, new Gauge({ name: `seral_${name}`, help, labelNames, registers: [registry] }));
    const histogram = (name: string, help: string) =>
      this.#histograms.set(
        name,
        new Histogram({ name: `seral_${name}`, help, labelNames: TASK, buckets: SECONDS, registers: [registry] }),
      );
    counter('records_total', 'source records processed and committed');
    counter('outputs_total', 'records written to sinks, committed', [...TASK, 'sink']);
    counter('dead_letters_total', 'records and timers sent to the dead-letter topic', [...TASK, 'code']);
    counter('changelog_records_total', 'changelog records written');
    counter('changelog_bytes_total', 'bytes of state changes written to changelogs');
    counter('timers_fired_total', 'timers fired');
    counter('expired_entries_total', 'state entries deleted because their time to live was over');
    counter('state_cache_hits_total', 'state keys found in memory');
    counter('state_cache_misses_total', 'state keys read from disk');
    counter('rebuilds_total', 'times a task was rebuilt from its last commit');
    counter('fenced_total', 'times a task closed because another owner took over');
    counter('restored_records_total', 'changelog records restored');
    counter('standby_records_total', 'changelog records taken in by standbys');
    gauge('lag_records', 'offsets between the last processed record and the end of the sources');
    gauge('restore_remaining_records', 'changelog offsets still to be restored');
    gauge('restore_rate', 'changelog records restored a second');
    gauge('restore_seconds_left', 'time until the restore is done, at its rate so far');
    gauge('standby_lag_records', 'changelog offsets that a standby has still to read');
    gauge('state_cache_bytes', 'memory held by decoded state, estimated');
    gauge('stream_time_seconds', 'newest event time of a task');
    gauge('task_state', '1 for the state a task is in', [...TASK, 'state']);
    gauge('table_rows', 'rows of a global table in memory', ['topology', 'table']);
    histogram('commit_seconds', 'time to commit, all steps');
    histogram('process_seconds', 'time of one micro-batch in the topology');
  }

  task(topology: string, partition: number): TaskMetrics {
    return new TaskMetrics(this, { topology, partition: String(partition) });
  }

  inc(name: string, labels: Record<string, string>, by: number): void {
    if (by > 0) this.#counters.get(name)!.inc(labels, by);
  }

  set(name: string, labels: Record<string, string>, value: number): void {
    this.#gauges.get(name)!.set(labels, value);
  }

  unset(name: string, labels: Record<string, string>): void {
    this.#gauges.get(name)!.remove(labels);
  }

  observe(name: string, labels: Record<string, string>, value: number): void {
    this.#histograms.get(name)!.observe(labels, value);
  }

  /** A counter of a topology's own: `context.count`. The first use of a name decides its labels. */
  count(name: string, topology: string, labels: Record<string, string> | undefined, by: number): void {
    let counter = this.#custom.get(name);
    if (counter === undefined) {
      counter = new Counter({
        name: `seral_${name}_total`,
        help: `${name.replaceAll('_', ' ')}, as counted by a topology`,
        labelNames: ['topology', ...Object.keys(labels ?? {})],
        registers: [this.#registry],
      });
      this.#custom.set(name, counter);
    }
    counter.inc({ topology, ...labels }, by);
  }

  /** A gauge of a topology's own: `context.level`. Undefined: its partition is no longer here. */
  level(name: string, labels: Record<string, string>, value: number | undefined): void {
    let gauge = this.#levels.get(name);
    if (gauge === undefined) {
      gauge = new Gauge({
        name: `seral_${name}`,
        help: `${name.replaceAll('_', ' ')}, as a topology says`,
        labelNames: TASK,
        registers: [this.#registry],
      });
      this.#levels.set(name, gauge);
    }
    if (value === undefined) gauge.remove(labels);
    else gauge.set(labels, value);
  }
}

export class TaskMetrics {
  readonly labels: { topology: string; partition: string };
  readonly #metrics: Metrics;
  #state: string | null = null;
  /** `context.count` since the last commit: series -> what to add */
  #counted = new Map<string, { name: string; labels: Record<string, string> | undefined; by: number }>();
  readonly #levels = new Map<string, number>();
  readonly #published = new Set<string>();

  constructor(metrics: Metrics, labels: { topology: string; partition: string }) {
    this.#metrics = metrics;
    this.labels = labels;
  }

  inc(name: string, by = 1, labels?: Record<string, string>): void {
    this.#metrics.inc(name, labels === undefined ? this.labels : { ...this.labels, ...labels }, by);
  }

  set(name: string, value: number): void {
    this.#metrics.set(name, this.labels, value);
  }

  observe(name: string, seconds: number): void {
    this.#metrics.observe(name, this.labels, seconds);
  }

  state(state: string): void {
    if (this.#state !== null) this.#metrics.unset('task_state', { ...this.labels, state: this.#state });
    this.#metrics.set('task_state', { ...this.labels, state }, 1);
    this.#state = state;
  }

  /** Counts for a processor; nothing shows before `publishCounts`. */
  readonly count = (name: string, by: number, labels?: Record<string, string>): void => {
    const series = labels === undefined ? name : `${name} ${JSON.stringify(labels)}`;
    const counted = this.#counted.get(series);
    if (counted === undefined) this.#counted.set(series, { name, labels, by });
    else counted.by += by;
  };

  /** Sets a level for a processor; nothing shows before `publishCounts`. */
  readonly level = (name: string, value: number): void => {
    this.#levels.set(name, value);
  };

  publishCounts(): void {
    for (const { name, labels, by } of this.#counted.values()) {
      this.#metrics.count(name, this.labels.topology, labels, by);
    }
    this.#counted.clear();
    for (const [name, value] of this.#levels) {
      this.#metrics.level(name, this.labels, value);
      this.#published.add(name);
    }
    this.#levels.clear();
  }

  /** The counted work was thrown away. */
  dropCounts(): void {
    this.#counted.clear();
    this.#levels.clear();
  }

  /** The partition has gone to another owner: its gauges would stand still for ever. */
  gone(): void {
    for (const name of [
      'lag_records',
      'restore_remaining_records',
      'restore_rate',
      'restore_seconds_left',
      'standby_lag_records',
      'state_cache_bytes',
      'stream_time_seconds',
    ]) {
      this.#metrics.unset(name, this.labels);
    }
    if (this.#state !== null) this.#metrics.unset('task_state', { ...this.labels, state: this.#state });
    this.#state = null;
    for (const name of this.#published) this.#metrics.level(name, this.labels, undefined);
    this.#published.clear();
  }
}
