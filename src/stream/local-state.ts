/** The state of a partition on this machine's disk: where it lies, how it is opened, and how current it is. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError, messageOf } from '../errors.ts';
import type { Claim, LogAdmin } from '../log/port.ts';
import { SplitKeys } from './changelog.ts';
import { TIMERS, type CompiledTopology } from './compile.ts';
import type { Logger } from './logger.ts';
import type { Names } from './names.ts';
import type { CompiledOptions } from './options.ts';
import { isStale, StateMismatch } from './restore.ts';
import { changelogPositionKey, CURRENT_KEY, decodePosition, StateDb } from './state-db.ts';
import { finish } from './steps.ts';

interface Place {
  options: CompiledOptions;
  names: Names;
  partition: number;
}

export const statePath = ({ options, names, partition }: Place): string =>
  join(options.stateDir, names.folder(partition));

/** The timers are a store too. */
export const storesOf = (topology: CompiledTopology): string[] => [
  TIMERS,
  ...topology.stores.map((store) => store.name),
];

/**
 * Opens it and hands it to `use`. Wiped, once, only where it is broken or fits no changelog: then said. Whatever `use`
 * throws, it is closed.
 */
export async function openState<T>(
  context: Place & { logger: Logger },
  signal: AbortSignal,
  use: (db: StateDb, split: SplitKeys) => Promise<T>,
): Promise<T> {
  const { options, logger } = context;
  const path = statePath(context);
  for (let wiped = false; ; wiped = true) {
    let db: StateDb | null = null;
    try {
      db = await StateDb.open(path, {
        writeBufferBytes: options.writeBufferBytes,
        lockRetries: options.lockRetries,
        lockRetryMs: options.lockRetryMs,
        signal,
      });
      const split = new SplitKeys();
      await finish(split.open(db));
      return await use(db, split);
    } catch (error) {
      await db?.close();
      const broken =
        error instanceof StateMismatch || (error instanceof StoreError && error.code === 'STORE_CORRUPTED');
      if (!broken || wiped) throw error;
      logger.error({ path, error: messageOf(error) }, 'the local state is wiped and restored from the changelog');
      await StateDb.wipe(path);
    }
  }
}

/** By store: the next record of its changelog that the state has not; null where it has none. */
export type Positions = ReadonlyMap<string, number | null>;

/**
 * What a worker has on its disk of a topology's partitions, which it claims when it joins. What lies there unused is
 * looked at once, without the lock, and then remembered until somebody opens it.
 */
export class LocalStates {
  readonly #place: { topology: CompiledTopology; names: Names; options: CompiledOptions };
  readonly #admin: LogAdmin;
  readonly #now: () => number;
  readonly #stores: string[];
  readonly #idle = new Map<number, Promise<Positions | null>>();

  /** How long the changelogs remember a deletion; known once they are. */
  deletionsKeptMs = Infinity;

  constructor(
    place: { topology: CompiledTopology; names: Names; options: CompiledOptions },
    admin: LogAdmin,
    now: () => number,
  ) {
    this.#place = place;
    this.#admin = admin;
    this.#now = now;
    this.#stores = storesOf(place.topology);
  }

  /** Somebody opens it, or has: what is remembered holds no more. */
  changed(partition: number): void {
    this.#idle.delete(partition);
  }

  /** `open` says how current a partition is that somebody has open; null where nobody has. */
  async claims(open: (partition: number) => Positions | 'current' | null): Promise<Claim[]> {
    const bounds = await Promise.all(
      this.#stores.map((store) => this.#admin.offsets(this.#place.names.changelog(store), 'committed')),
    );
    const partitions = bounds[0]!.map(({ partition }) => partition);
    const claims = await Promise.all(
      partitions.map(async (partition): Promise<Claim | null> => {
        const positions = open(partition) ?? (await this.#look(partition));
        if (positions === null) return null;
        let behind = 0;
        let of = 0;
        for (const [i, store] of this.#stores.entries()) {
          const found = bounds[i]!.find((one) => one.partition === partition);
          if (found === undefined) return null;
          const { start, end } = found;
          of += end - start;
          if (positions === 'current') continue;
          const position = positions.get(store) ?? -1;
          // what does not lie within the changelog will be wiped
          behind += position < start || position > end ? end - start : end - position;
        }
        return { partition, behind, of };
      }),
    );
    return claims.filter((claim) => claim !== null);
  }

  #look(partition: number): Promise<Positions | null> {
    let found = this.#idle.get(partition);
    if (found === undefined) {
      found = this.#read(partition);
      this.#idle.set(partition, found);
    }
    return found;
  }

  async #read(partition: number): Promise<Positions | null> {
    const path = statePath({ ...this.#place, partition });
    if (!existsSync(join(path, 'CURRENT'))) return null;
    try {
      const values = await StateDb.peek(path, [...this.#stores.map(changelogPositionKey), CURRENT_KEY]);
      const positions = values.map(decodePosition);
      const current = positions.pop()!;
      if (isStale(current, { deletionsKeptMs: this.deletionsKeptMs, now: this.#now })) return null;
      if (positions.every((position) => position === null)) return null;
      return new Map(this.#stores.map((store, i) => [store, positions[i]!]));
    } catch {
      // broken, or being written: whoever opens it will say
      return null;
    }
  }
}
