/**
 * The pre-ranker that can be exchanged while it works (paper, 5.1.4: retrieval and pre-ranking models are trained and updated all the time).
 * The folder is looked at every so often. What is new in it is loaded beside the model that is in use, checked, asked, and
 * only then put in its place; what fails is refused, and the old one goes on. An old one is closed when its last batch is done.
 *
 *   none ─► in use ─► replaced ─► closed        at any time: a refused one changes nothing
 */
import { InferenceError, SeralError, messageOf } from '../../errors.ts';
import type { Ranker } from '../../inference/ranker.ts';
import type { Logger } from '../../stream/logger.ts';
import { columnsOf, FEATURES } from './features.ts';
import { loadedAside, signatureOf } from './model-copy.ts';
import { checkScores, smoke } from './smoke.ts';

/** Makes a ranker of a model's folder. Throws InferenceError. */
export type LoadRanker = (folder: string) => Promise<Ranker>;

export interface SwapObserver {
  /** null: there is none, items go by their retrieval score */
  inUse(model: string | null): void;
  swapped(): void;
  refused(code: string): void;
}

export interface SwappingRankerOptions {
  folder: string;
  load: LoadRanker;
  /** whose cosines the features are: a model that was trained beside another one's is refused */
  embedder: string;
  /** ms between two looks */
  pollMs: number;
  logger: Logger;
  observer: SwapObserver;
}

interface InUse {
  ranker: Ranker;
  batches: number;
  replaced: boolean;
}

export class SwappingRanker {
  readonly #options: SwappingRankerOptions;
  readonly #closing = new Set<Promise<void>>();
  #current: InUse | null = null;
  #seen: string | null = null;
  #looking: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: SwappingRankerOptions) {
    this.#options = options;
    options.observer.inUse(null);
  }

  /** The model's name and version; null: there is none. */
  get name(): string | null {
    return this.#current?.ranker.name ?? null;
  }

  /** Takes the model that is there, if there is one that can be used, and looks for another from now on. */
  async start(): Promise<void> {
    await this.look();
    if (this.name === null) {
      const { folder, logger } = this.#options;
      logger.warn({ folder }, 'no pre-ranking model: items go by their retrieval score until there is one');
    }
    this.#schedule();
  }

  /**
   * `rows` as featuresOf makes them. Scores, and whose they are; null where there is no model. Throws InferenceError where
   * the model fails.
   */
  async score(rows: Float32Array): Promise<{ scores: Float32Array; name: string } | null> {
    const current = this.#current;
    if (current === null) return null;
    const { name, features } = current.ranker;
    if (rows.length === 0) return { scores: new Float32Array(0), name };
    current.batches++;
    try {
      const scores = await current.ranker.score(columnsOf(rows, features));
      checkScores(scores, name);
      if (scores.length !== rows.length / FEATURES.length) {
        throw new InferenceError('BAD_SCORES', `${name} gives ${scores.length} scores`);
      }
      return { scores, name };
    } finally {
      current.batches--;
      this.#closeIfIdle(current);
    }
  }

  /** Looks at the folder now. Never throws. */
  look(): Promise<void> {
    return (this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    }));
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
    this.#replace(null);
    await Promise.all(this.#closing);
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.look().then(() => this.#schedule()), this.#options.pollMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const { folder, logger, observer } = this.#options;
    const signature = await signatureOf(folder);
    // a folder that is empty for a moment, or for good, takes no model away
    if (signature === null || signature === this.#seen || this.#closed) return;
    this.#seen = signature;
    try {
      const ranker = await this.#loaded();
      if (this.#closed) return await ranker.close();
      const before = this.name;
      this.#replace(ranker);
      observer.inUse(ranker.name);
      observer.swapped();
      logger.info({ model: ranker.name, before }, 'pre-ranking model in use');
    } catch (error) {
      const code = error instanceof SeralError ? error.code : 'BAD_MODEL';
      observer.refused(code);
      const goesOn = this.name ?? 'retrieval score';
      logger.error({ folder, code, error: messageOf(error), goesOn }, 'a pre-ranking model is refused');
    }
  }

  async #loaded(): Promise<Ranker> {
    const { folder, load, embedder } = this.#options;
    const { ranker, trainedBeside } = await loadedAside(folder, load);
    try {
      if (trainedBeside !== null && trainedBeside !== embedder) {
        throw new InferenceError(
          'OTHER_EMBEDDER',
          `${ranker.name} was trained beside ${trainedBeside}, not ${embedder}`,
        );
      }
      const unknown = ranker.features.filter((name) => !(FEATURES as readonly string[]).includes(name));
      if (unknown.length > 0) {
        throw new InferenceError('UNKNOWN_FEATURE', `${ranker.name} asks for ${unknown.join(', ')}`);
      }
      await smoke(ranker);
      return ranker;
    } catch (error) {
      await ranker.close();
      throw error;
    }
  }

  #replace(ranker: Ranker | null): void {
    const old = this.#current;
    this.#current = ranker === null ? null : { ranker, batches: 0, replaced: false };
    if (old === null) return;
    old.replaced = true;
    this.#closeIfIdle(old);
  }

  #closeIfIdle(one: InUse): void {
    if (!one.replaced || one.batches > 0) return;
    const { logger } = this.#options;
    const closing = one.ranker
      .close()
      .catch((error: unknown) => logger.warn({ error: messageOf(error) }, 'an old model could not be closed'))
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
