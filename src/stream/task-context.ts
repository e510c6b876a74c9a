/** What a task is given: all of it belongs to the worker, nothing is closed by the task. */
import type { LogAdmin, Log, TopicPartition } from '../log/port.ts';
import type { Serde } from '../log/serde.ts';
import type { CompiledTopology } from './compile.ts';
import type { Failure } from './dead-letters.ts';
import type { Logger } from './logger.ts';
import type { TaskMetrics } from './metrics.ts';
import type { Names } from './names.ts';
import type { CompiledOptions } from './options.ts';
import type { Table } from './topology.ts';

export interface Clock {
  /** wall clock, milliseconds since the epoch */
  now(): number;
  /** the clock that `check` sees: the wall clock, or Infinity in a replay */
  checkNow(): number;
  /** monotonic milliseconds, for durations */
  elapsed(): number;
  /** 0 <= x < 1, for jitter */
  random(): number;
}

/** What whoever has the state of a partition is given, a task or a standby. */
export interface PartitionContext {
  topology: CompiledTopology;
  partition: number;
  names: Names;
  options: CompiledOptions;
  log: Log;
  admin: LogAdmin;
  /** how long the changelogs remember a deletion */
  deletionsKeptMs: number;
  metrics: TaskMetrics;
  logger: Logger;
  clock: Clock;
}

export interface TaskContext extends PartitionContext {
  /** by source name and by sink name */
  sourceSerdes: ReadonlyMap<string, Serde<unknown>>;
  sinkSerdes: ReadonlyMap<string, Serde<unknown>>;
  tables: ReadonlyMap<string, Table<any>>;
  /** delivery of the task's source partitions */
  consumer: { start(at: TopicPartition, position: number): void; pause(at: TopicPartition): void };
}

/** Records and timers that broke the topology: known to the task, so that its next session steps over them. */
export class Poison {
  readonly #records = new Map<string, Map<number, Failure>>();
  readonly #timers = new Map<string, Failure>();

  addRecord(topic: string, offset: number, failure: Failure): void {
    let offsets = this.#records.get(topic);
    if (offsets === undefined) this.#records.set(topic, (offsets = new Map()));
    offsets.set(offset, failure);
  }

  addTimer(id: string, failure: Failure): void {
    this.#timers.set(id, failure);
  }

  record(topic: string, offset: number): Failure | undefined {
    return this.#records.size === 0 ? undefined : this.#records.get(topic)?.get(offset);
  }

  timer(id: string): Failure | undefined {
    return this.#timers.get(id);
  }

  /** What was committed comes no more. */
  committed(topic: string, position: number): void {
    const offsets = this.#records.get(topic);
    if (offsets === undefined) return;
    for (const offset of offsets.keys()) if (offset < position) offsets.delete(offset);
    if (offsets.size === 0) this.#records.delete(topic);
  }

  timerCommitted(id: string): void {
    this.#timers.delete(id);
  }
}
