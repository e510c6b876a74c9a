import { compactPartition, expirePartition, worthCompacting } from './compaction.ts';
import type { Core } from './core.ts';
import { type Topic, isCompacted } from './partition.ts';

const EVERY_MS = 10_000;

/**
 * Compaction and retention beside the traffic: when the log is opened and every few seconds a look (in memory) at which
 * partitions have gathered enough garbage. One pass at a time; a close ends it between two chunks.
 */
export class Maintenance {
  readonly #core: Core;
  readonly #timer: NodeJS.Timeout;
  #last: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(core: Core) {
    this.#core = core;
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
    this.#timer.unref();
    core.onClose(async () => {
      clearInterval(this.#timer);
      await this.#last;
    });
    this.#look();
  }

  /** Compacts and expires these topics, now. */
  run(topics: readonly Topic[]): Promise<void> {
    return this.#queue(() => this.#pass(topics, true));
  }

  #look(): void {
    if (this.#busy || this.#core.closed) return;
    this.#busy = true;
    this.#queue(() => this.#pass([...this.#core.topics.values()], false))
      // a failed write is told to whoever writes next; here it only ends the pass
      .catch(() => {})
      .finally(() => (this.#busy = false));
  }

  #queue(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #pass(topics: readonly Topic[], all: boolean): Promise<void> {
    const core = this.#core;
    for (const topic of topics) {
      for (const partition of topic.partitions) {
        const stopped = () => core.closed || topic.removed;
        if (stopped()) break;
        await expirePartition(core, partition, stopped);
        if (all ? isCompacted(topic) : worthCompacting(partition)) await compactPartition(core, partition, stopped);
      }
    }
  }
}
