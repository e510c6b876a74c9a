/**
 * A server that speaks OpenAI's protocol, as far as everything that asks it has in common. Built on fetch, because a
 * stream needs the whole of the control: a time-out an attempt and one over all, second attempts within a budget that
 * all requests share, answers that are cut off at a size, and an AbortSignal that ends everything.
 *
 * An attempt that ends in 429, 5xx, a cut connection or a time-out may be made again, any other refusal not.
 */
import { InferenceError } from '../../errors.ts';
import { AttemptFailed, refusalOf } from './answers.ts';
import { boundedText, prefixOf } from './bounded-body.ts';
import { RetryBudget } from './retry-budget.ts';

export interface EndpointOptions {
  /** up to and without /chat/completions, such as http://localhost:8000/v1 */
  url: string;
  model: string;
  apiKey: string | null;
  /** ms for one request, all its attempts and pauses */
  requestTimeoutMs: number;
  /** ms for one attempt */
  attemptTimeoutMs: number;
  /** attempts of one request */
  attempts: number;
  /** second attempts of all requests, as a share of the requests */
  retryShare: number;
  /** bytes of one answer */
  maxAnswerBytes: number;
  /** before a second attempt, at most; doubles with each */
  backoffMs?: number;
  backoffMaxMs?: number;
  /** told of each second attempt, with the code of what the last one failed of */
  onRetry?: (code: string) => void;
  random?: () => number;
  elapsed?: () => number;
}

const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 20_000;
/** However few the requests, the retries that they may make together. */
const RETRIES_A_SECOND = 1;
const RETRIES_SAVED = 10;
const REFUSAL_BYTES = 2048;

export class Endpoint {
  readonly budget: RetryBudget;
  readonly elapsed: () => number;
  readonly #options: EndpointOptions;
  readonly #random: () => number;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.elapsed = options.elapsed ?? (() => performance.now());
    this.budget = new RetryBudget({
      share: options.retryShare,
      perSecond: RETRIES_A_SECOND,
      most: RETRIES_SAVED,
      elapsed: this.elapsed,
    });
  }

  /** When a request that begins now is to be over, on `elapsed`. */
  deadline(): number {
    return this.elapsed() + this.#options.requestTimeoutMs;
  }

  /** `attempt` until it succeeds, or what it throws may not be tried again. Throws InferenceError, or the signal's reason. */
  async request<T>(attempt: (signal: AbortSignal) => Promise<T>, signal: AbortSignal, deadline = this.deadline()) {
    const { attempts, attemptTimeoutMs, onRetry } = this.#options;
    this.budget.earn();
    for (let tried = 1; ; tried++) {
      let failure: AttemptFailed;
      try {
        return await within<T>(Math.min(attemptTimeoutMs, deadline - this.elapsed()), signal, attempt);
      } catch (error) {
        if (!(error instanceof AttemptFailed) || !error.retriable || tried >= attempts) throw error;
        failure = error;
      }
      const asked = Math.max(failure.retryAfterMs, this.#backoff(tried));
      if (!(await this.#waits(asked, deadline, signal))) throw failure;
      onRetry?.(failure.code);
    }
  }

  /**
   * One POST of `fields` and the model's name; the body of a response of status 200. `prompts`: what no error is to repeat.
   * Throws AttemptFailed, InferenceError ANSWER_TOO_LARGE, or the signal's reason.
   */
  async post(path: string, fields: object, prompts: readonly string[], signal: AbortSignal): Promise<string> {
    const { url, model, apiKey, maxAnswerBytes } = this.#options;
    try {
      const response = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify({ model, ...fields }),
        // neither the prompt nor the key goes anywhere else
        redirect: 'error',
        signal,
      });
      if (response.status === 200) return await boundedText(response, maxAnswerBytes);
      const body = await prefixOf(response, REFUSAL_BYTES);
      throw refusalOf(response.status, response.headers.get('retry-after'), body, apiKey, prompts);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof InferenceError) throw error;
      throw new AttemptFailed('MODEL_UNAVAILABLE', `no answer from the model server: ${causeOf(error)}`, {
        retriable: true,
      });
    }
  }

  /** Full jitter: those that failed together do not come back together. */
  #backoff(tried: number): number {
    const { backoffMs = BACKOFF_MS, backoffMaxMs = BACKOFF_MAX_MS } = this.#options;
    return this.#random() * Math.min(backoffMs * 2 ** (tried - 1), backoffMaxMs);
  }

  /** Waits, then for the budget; false where the time is not enough. */
  async #waits(ms: number, deadline: number, signal: AbortSignal): Promise<boolean> {
    let wait = ms;
    do {
      if (this.elapsed() + wait >= deadline) return false;
      await pause(wait, signal);
      wait = this.budget.take();
    } while (wait > 0);
    return true;
  }
}

/** What fetch and its streams throw says little; its cause has a code. */
function causeOf(error: unknown): string {
  const { cause, name } = error as { cause?: { code?: unknown; message?: unknown }; name?: string };
  return String(cause?.code ?? cause?.message ?? name ?? 'unknown');
}

/** `use` within so many ms, and no longer than `signal` lets it. */
async function within<T>(ms: number, signal: AbortSignal, use: (limited: AbortSignal) => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const end = () => controller.abort(signal.reason);
  const timer = setTimeout(
    () =>
      controller.abort(
        new AttemptFailed('MODEL_TIMEOUT', `no whole answer within ${Math.round(ms)} ms`, { retriable: true }),
      ),
    Math.max(ms, 1),
  );
  signal.addEventListener('abort', end, { once: true });
  try {
    return await use(controller.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const end = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end);
      resolve();
    }, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
