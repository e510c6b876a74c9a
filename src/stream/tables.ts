/**
 * Global tables: compacted topics that this process reads whole and then follows. One for all tasks of a worker; what is
 * kept of a row is the topology's choice (`project`), held in memory.
 */
import { setMaxListeners } from 'node:events';
import { LogError, messageOf } from '../errors.ts';
import { decodeKey } from '../log/keys.ts';
import type { Log, LogAdmin, RecordBatch, TopicPartition } from '../log/port.ts';
import type { Serde } from '../log/serde.ts';
import type { Logger } from './logger.ts';
import { pause } from './state-db.ts';
import type { Table, TableSpec } from './topology.ts';

const RETRY_MS = 1000;

export interface GlobalTableOptions {
  spec: TableSpec;
  serde: Serde<unknown>;
  log: Log;
  admin: LogAdmin;
  logger: Logger;
  retryMs?: number;
  /** told of each row that comes, changes or goes, before and after; undefined: it was not, or is no longer there */
  onChange?: (before: any, after: any) => void;
}

/** Life: loading → ready (following) → closed. A reading that fails goes on from where it was; a table is never half gone. */
export class GlobalTable implements Table<any> {
  readonly name: string;
  /** resolves when every partition was read to the end it had at the start */
  readonly loaded: Promise<void>;
  /** rows that could not be read; they are logged and left out */
  unreadable = 0;
  ready = false;
  readonly #options: GlobalTableOptions;
  readonly #stop = new AbortController();
  readonly #following: Promise<unknown>;
  #rows = new Map<string, any>();

  constructor(options: GlobalTableOptions) {
    this.name = options.spec.name;
    this.#options = options;
    // one for each partition that is read
    setMaxListeners(0, this.#stop.signal);
    const partitions = this.#bounds();
    this.loaded = partitions
      .then((list) => Promise.all(list.map(({ caughtUp }) => caughtUp)))
      .then(() => {
        this.ready = !this.#stop.signal.aborted;
      });
    // whoever awaits `loaded` hears of a failure; without anyone, it must not end the process
    this.loaded.catch(() => {});
    this.#following = partitions.then((list) => Promise.allSettled(list.map(({ done }) => done)));
    this.#following.catch(() => {});
  }

  get(key: string): any {
    return this.#rows.get(key);
  }

  get size(): number {
    return this.#rows.size;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#following.catch(() => {});
    this.#rows = new Map();
  }

  async #bounds(): Promise<{ caughtUp: Promise<void>; done: Promise<void> }[]> {
    const { spec, admin } = this.#options;
    const bounds = await admin.offsets(spec.topic);
    return bounds.map(({ partition, start, end }) => {
      let heard!: () => void;
      const caughtUp = new Promise<void>((resolve) => (heard = resolve));
      // a table that is closed while it loads keeps nobody waiting
      this.#stop.signal.addEventListener('abort', heard, { once: true });
      return { caughtUp, done: this.#follow({ topic: spec.topic, partition }, start, end, heard) };
    });
  }

  async #follow(at: TopicPartition, start: number, end: number, heard: () => void): Promise<void> {
    const { log, logger, admin, retryMs = RETRY_MS } = this.#options;
    const { signal } = this.#stop;
    let position = start;
    while (!signal.aborted) {
      const reader = log.reader();
      try {
        // to the end by position first: its tail may be markers and holes
        for (const to of position < end ? [end, Infinity] : [Infinity]) {
          if (to === Infinity) heard();
          for await (const batch of reader.read(at, position, to, { signal })) {
            await this.#take(batch);
            position = batch.position;
          }
        }
      } catch (error) {
        if (signal.aborted) break;
        logger.warn(
          { table: this.name, ...at, position, error: messageOf(error) },
          'reading a table failed, trying again',
        );
        if (error instanceof LogError && error.code === 'OFFSET_OUT_OF_RANGE') {
          position =
            (await admin.offsets(at.topic).catch(() => [])).find((o) => o.partition === at.partition)?.start ??
            position;
        }
      } finally {
        await reader.close().catch(() => {});
      }
      await pause(retryMs, signal);
    }
  }

  async #take(batch: RecordBatch): Promise<void> {
    const { serde, spec, logger, onChange } = this.#options;
    const wait = serde.prepare(batch.records.map((record) => record.value));
    if (wait !== undefined) await wait;
    for (const record of batch.records) {
      try {
        const key = decodeKey(record.key);
        const row = record.value === null ? undefined : spec.project(serde.decode(record.value));
        onChange?.(this.#rows.get(key), row);
        if (row === undefined) this.#rows.delete(key);
        else this.#rows.set(key, row);
      } catch (error) {
        this.unreadable++;
        logger.warn(
          {
            table: this.name,
            topic: batch.topic,
            partition: batch.partition,
            offset: record.offset,
            error: messageOf(error),
          },
          'a row of a table cannot be read and is left out',
        );
      }
    }
  }
}
