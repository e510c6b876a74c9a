/** Keeps an engine's indexes at the catalog. */
import type { Log, LogAdmin } from '../../log/port.ts';
import type { Serdes } from '../../log/serde.ts';
import type { CatalogItem } from '../../shop/catalog.ts';
import type { Logger } from '../../stream/logger.ts';
import { compileOptions, type RuntimeOptions } from '../../stream/options.ts';
import { patiently } from '../../stream/patience.ts';
import { GlobalTable } from '../../stream/tables.ts';
import type { CatalogIndex, Retriever, RetrieverStatus } from '../retriever.ts';
import { CATALOG } from './settings.ts';

export interface CatalogFollower {
  /** Resolves when all that the catalog has by now can be found, or it was stopped. */
  start(): Promise<void>;
  status(): { rows: number; ready: boolean };
  /** Of indexes that the retriever itself knows nothing of. */
  freshness?(): Pick<RetrieverStatus, 'pending' | 'currentAt'>;
  /** Idempotent. */
  stop(): Promise<void>;
}

export interface TableFollowerOptions {
  index: CatalogIndex & Pick<Retriever, 'status'>;
  log: Log;
  serdes: Serdes;
  options: RuntimeOptions;
  logger: Logger;
  now: () => number;
  random: () => number;
  progressMs?: number;
}

const PROGRESS_MS = 5000;

/** The whole catalog into an index of this process, to its end; then it is followed. */
export class TableFollower implements CatalogFollower {
  readonly #given: TableFollowerOptions;
  readonly #admin: LogAdmin;
  readonly #stop = new AbortController();
  #table: GlobalTable | null = null;
  #ready = false;
  #stopped: Promise<void> | null = null;

  constructor(given: TableFollowerOptions) {
    this.#given = given;
    this.#admin = given.log.admin();
  }

  async start(): Promise<void> {
    const { serdes, log, logger, options, index, now, random } = this.#given;
    const { signal } = this.#stop;
    const clock = { now, checkNow: now, random, elapsed: () => performance.now() };
    const waiting = { options: compileOptions(options).options, clock, logger, signal };
    const serde = await patiently(waiting, () => serdes.serde<CatalogItem>(CATALOG.topic, CATALOG.schema));
    if (signal.aborted) return;
    const progress = this.#tellProgress();
    try {
      this.#table = new GlobalTable({
        spec: {
          ...CATALOG,
          name: 'catalog',
          // the index keeps what it needs: of the row itself, its name is enough to take it out again
          project: (item: CatalogItem) => {
            index.put(item);
            return item.item_id;
          },
        },
        serde,
        log,
        admin: this.#admin,
        logger,
        onChange: (before: string | undefined, after: string | undefined) => {
          if (before !== undefined && before !== after) index.remove(before);
        },
      });
      await this.#table.loaded;
      await index.settled();
      this.#ready = !signal.aborted;
    } finally {
      progress.end();
    }
  }

  status(): { rows: number; ready: boolean } {
    return { rows: this.#table?.size ?? 0, ready: this.#ready };
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await this.#table?.close();
    await this.#admin.close();
  }

  #tellProgress(): { end: () => void } {
    const { logger, index, progressMs = PROGRESS_MS } = this.#given;
    const begun = performance.now();
    const tell = (message: string) => {
      const { items, bytes, pending } = index.status();
      const seconds = Math.round((performance.now() - begun) / 100) / 10;
      logger.info({ rows: this.#table?.size ?? 0, items, bytes, pending, seconds }, message);
    };
    const timer = setInterval(() => tell('reading the catalog'), progressMs);
    return {
      end: () => {
        clearInterval(timer);
        if (!this.#stop.signal.aborted) tell('the catalog is read');
      },
    };
  }
}
