/** How long is waited for what may pass by itself. */
import { messageOf, RegistryError, TaskError } from '../errors.ts';
import type { Logger } from './logger.ts';
import type { CompiledOptions } from './options.ts';
import { pause } from './state-db.ts';
import type { Clock } from './task-context.ts';

/** Before the next attempt: growing, and never the same for two that failed together. */
export function backoff(
  attempt: number,
  options: Pick<CompiledOptions, 'rebuildBackoffMs' | 'rebuildBackoffMaxMs'>,
  clock: Pick<Clock, 'random'>,
): number {
  const most = Math.min(options.rebuildBackoffMs * 2 ** Math.min(attempt, 20), options.rebuildBackoffMaxMs);
  return Math.round(most * (0.5 + clock.random() / 2));
}

/** What a task may fail, and how long it waits after each time, until it fails once too often within `rebuildWindow`. */
export class RebuildBudget {
  readonly #options: CompiledOptions;
  readonly #clock: Clock;
  #failures: number[] = [];
  #inARow = 0;

  constructor(options: CompiledOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** ms before the next try; or, where there is none, the error to end with. */
  spend(error: unknown): number | TaskError {
    const { rebuildWindowMs, rebuildBudget } = this.#options;
    const now = this.#clock.elapsed();
    this.#failures = [...this.#failures.filter((time) => now - time < rebuildWindowMs), now];
    if (this.#failures.length <= rebuildBudget) return backoff(this.#inARow++, this.#options, this.#clock);
    const what = `${this.#failures.length} failures within ${rebuildWindowMs / 1000} s, the last: ${messageOf(error)}`;
    return new TaskError('REBUILD_BUDGET', what, { fatal: true, cause: error });
  }

  /** Something was committed: the next failure is the first in a row. */
  achieved(): void {
    this.#inARow = 0;
  }
}

interface Waiting {
  options: CompiledOptions;
  clock: Clock;
  logger: Logger;
  /** ends the wait, and the patience with it */
  signal: AbortSignal;
}

/** With a schema registry that does not answer: it is asked again for `registryPatience`. */
export class RegistryPatience {
  readonly #waiting: Waiting;
  readonly #since: number;
  #attempts = 0;

  constructor(waiting: Waiting) {
    this.#waiting = waiting;
    this.#since = waiting.clock.elapsed();
  }

  static concerns(error: unknown): error is RegistryError {
    return error instanceof RegistryError && error.retriable;
  }

  /** Waits and says whether it may be tried again; at once false where the error is another one. */
  async waits(error: unknown): Promise<boolean> {
    const { options, clock, logger, signal } = this.#waiting;
    if (!RegistryPatience.concerns(error) || signal.aborted) return false;
    if (clock.elapsed() - this.#since >= options.registryPatienceMs) return false;
    const waitMs = backoff(this.#attempts++, options, clock);
    logger.warn({ error: error.message, waitMs }, 'the schema registry does not answer');
    await pause(waitMs, signal);
    return !signal.aborted;
  }
}

/** What `ask` gives, asked again with the registry's patience. */
export async function patiently<T>(waiting: Waiting, ask: () => Promise<T>): Promise<T> {
  const patience = new RegistryPatience(waiting);
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(await patience.waits(error))) throw error;
    }
  }
}
