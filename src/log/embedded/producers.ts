import { LogError, messageOf } from '../../errors.ts';
import type {
  CommitResult,
  OutRecord,
  Producer,
  SourceOffsets,
  TransactionOptions,
  TransactionalProducer,
} from '../port.ts';
import type { Core, TransactionalId } from './core.ts';
import { chunkKey, epochKey, groupKey, groupName } from './keys.ts';
import { Transaction } from './transaction.ts';
import type { Changes } from './writer.ts';

function store(core: Core, changes: Changes, transaction: Transaction): void {
  for (const [partition, chunk] of transaction.chunks(core.now())) {
    if (partition.topic.removed) continue;
    changes.put(chunkKey(partition.topic.id, partition.index, chunk.last), chunk.bytes);
  }
  for (const partition of transaction.partitions) changes.touch(partition);
}

/** The hole that a dropped transaction leaves is stored before anyone may pass it: a crash must not give its offsets anew. */
async function drop(core: Core, transaction: Transaction): Promise<void> {
  await core.writer.submit(
    (changes) => {
      for (const partition of transaction.partitions) changes.touch(partition);
    },
    () => transaction.release(),
  );
}

/** Everything undecided of a transactional id, which is no longer its own. */
function takeOpen(id: TransactionalId): Transaction[] {
  const taken = [id.open, id.committing].filter((transaction) => transaction !== null);
  id.open = null;
  id.committing = null;
  return taken;
}

/** Raises the epoch of a transactional id, which gives it, and drops whatever older producers of it left undecided. */
export async function fence(core: Core, name: string, id: TransactionalId): Promise<number> {
  let epoch = -1;
  let left: Transaction[] = [];
  await core.writer.submit(
    (changes) => {
      epoch = ++id.epoch;
      left = takeOpen(id);
      for (const transaction of left) for (const partition of transaction.partitions) changes.touch(partition);
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeUInt32LE(epoch);
      changes.put(epochKey(name), bytes);
    },
    () => left.forEach((transaction) => transaction.release()),
  );
  return epoch;
}

export class EmbeddedProducer implements Producer {
  readonly #core: Core;
  #opened = false;

  constructor(core: Core) {
    this.#core = core;
  }

  async open(): Promise<void> {
    this.#core.checkOpen();
    this.#opened = true;
  }

  async send(records: readonly OutRecord[]): Promise<void> {
    const core = this.#core;
    core.checkOpen();
    if (!this.#opened) throw new LogError('LOG_CLOSED', 'the producer is not open');
    const transaction = new Transaction(core.now());
    transaction.add(core.topics, records, core.now());
    await core.writer.submit(
      (changes) => store(core, changes, transaction),
      () => transaction.release(),
    );
  }

  async close(): Promise<void> {
    this.#opened = false;
  }
}

/** Life: new -> open (send, commit, abort in turn) -> dead, by close, by an error of any call, or by a newer producer. */
export class EmbeddedTransactionalProducer implements TransactionalProducer {
  readonly #core: Core;
  readonly #name: string;
  #id: TransactionalId | null = null;
  #epoch = -1;
  #death: LogError | null;

  constructor(core: Core, options: TransactionOptions) {
    this.#core = core;
    this.#name = options.transactionalId;
    this.#death = new LogError('LOG_CLOSED', `producer ${this.#name} is not open`);
  }

  async open(): Promise<void> {
    const core = this.#core;
    core.checkOpen();
    if (this.#id !== null) throw new LogError('TRANSACTION_FAILED', `producer ${this.#name} was opened before`);
    let id = core.transactionalIds.get(this.#name);
    if (id === undefined) core.transactionalIds.set(this.#name, (id = { epoch: 0, open: null, committing: null }));
    this.#epoch = await fence(core, this.#name, id);
    this.#id = id;
    this.#death = null;
  }

  async send(records: readonly OutRecord[]): Promise<void> {
    try {
      const id = this.#alive();
      id.open ??= new Transaction(this.#core.now());
      id.open.add(this.#core.topics, records, this.#core.now());
    } catch (error) {
      throw await this.#die(error);
    }
  }

  async commit(offsets: SourceOffsets | null): Promise<CommitResult> {
    const core = this.#core;
    try {
      const id = this.#alive();
      if (id.committing !== null) throw new LogError('TRANSACTION_FAILED', 'a commit is under way');
      const transaction = id.open;
      if (transaction === null && offsets === null) return { written: [] };
      // what is sent from now on belongs to the next transaction
      id.open = null;
      id.committing = transaction;
      const written = transaction?.written() ?? [];
      const positions = (offsets?.positions ?? []).map((at): [string, number] => [
        groupName(offsets!.group, at.topic, at.partition),
        at.position,
      ]);
      await core.writer.submit(
        (changes) => {
          // asked again here: a newer producer's epoch may have been written since
          this.#alive();
          if (transaction !== null) store(core, changes, transaction);
          id.committing = null;
          for (const [name, position] of positions) {
            const bytes = Buffer.allocUnsafe(8);
            bytes.writeDoubleLE(position);
            changes.put(groupKey(name), bytes);
          }
        },
        () => {
          for (const [name, position] of positions) core.positions.set(name, position);
          transaction?.release();
        },
      );
      return { written };
    } catch (error) {
      throw await this.#die(error);
    }
  }

  async abort(): Promise<void> {
    try {
      const id = this.#alive();
      const transaction = id.open;
      id.open = null;
      if (transaction !== null) await drop(this.#core, transaction);
    } catch (error) {
      throw await this.#die(error);
    }
  }

  async close(): Promise<void> {
    await this.#die(new LogError('LOG_CLOSED', `producer ${this.#name} is closed`));
  }

  #alive(): TransactionalId {
    this.#core.checkOpen();
    if (this.#death !== null) throw this.#death;
    if (this.#id!.epoch !== this.#epoch) {
      throw new LogError('FENCED', `a newer producer of ${this.#name} has taken over`, { fenced: true });
    }
    return this.#id!;
  }

  /** Dead from now on, with nothing left open. */
  async #die(error: unknown): Promise<LogError> {
    const death =
      error instanceof LogError
        ? error
        : new LogError('TRANSACTION_FAILED', `producer ${this.#name} failed: ${messageOf(error)}`, { cause: error });
    const first = this.#death === null;
    this.#death ??= death;
    if (!first || this.#core.closed) return death;
    const id = this.#id!;
    // a commit that the writer comes to later finds its producer dead, so it is dropped here as well
    if (id.epoch === this.#epoch) {
      await Promise.all(takeOpen(id).map((transaction) => drop(this.#core, transaction).catch(() => {})));
    }
    return death;
  }
}
