/**
 * Texts on their way to vectors: an embedder may take its time, the catalog does not wait for it. Of a key the newest text
 * counts. What fails is tried again after a pause, for as long as it takes: an item without its vector is still found by its words.
 */
import { messageOf } from '../../errors.ts';
import type { Embedder } from '../../inference/embedder.ts';
import type { Logger } from '../../stream/logger.ts';

const BATCH = 256;
const PAUSE_MS = 2000;

export interface EmbeddingQueueOptions {
  embedder: Embedder;
  logger: Logger;
  /** told of each vector that is still wanted */
  embedded: (entries: { id: string; vector: Int8Array }[]) => void;
  pauseMs?: number;
}

export class EmbeddingQueue {
  readonly #options: EmbeddingQueueOptions;
  readonly #wanted = new Map<string, string>();
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;

  constructor(options: EmbeddingQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#wanted.size;
  }

  want(id: string, text: string): void {
    if (this.#stop.signal.aborted) return;
    this.#wanted.set(id, text);
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
  }

  forget(id: string): void {
    this.#wanted.delete(id);
  }

  /** Resolves when all that is wanted is made, or it was closed. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wanted.clear();
    await this.settled();
  }

  async #run(): Promise<void> {
    const { embedder, logger, embedded, pauseMs = PAUSE_MS } = this.#options;
    const { signal } = this.#stop;
    // what comes in one go is embedded together
    await turn();
    while (this.#wanted.size > 0 && !signal.aborted) {
      const batch: [string, string][] = [];
      for (const entry of this.#wanted) if (batch.push(entry) === BATCH) break;
      try {
        const vectors = await embedder.embed(batch.map(([, text]) => text));
        const made = batch.map(([id, text], i) => ({ id, text, vector: vectors[i]! }));
        const current = made.filter(({ id, text }) => this.#wanted.get(id) === text);
        for (const { id } of current) this.#wanted.delete(id);
        embedded(current);
      } catch (error) {
        logger.warn({ embedder: embedder.name, items: this.#wanted.size, error: messageOf(error) }, 'embedding failed');
        await paused(pauseMs, signal);
      }
      // probes, heartbeats and requests have their turn while a large catalog is read
      await turn();
    }
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function paused(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
