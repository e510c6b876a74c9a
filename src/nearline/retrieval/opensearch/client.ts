/**
 * OpenSearch over its REST API and fetch. A request has attempts within a time of its own and within a budget of second
 * attempts that all requests share; 429, 502, 503, 504, cut connections and time-outs may be tried again, any other refusal
 * not. TLS by the URL; a CA of one's own by NODE_EXTRA_CA_CERTS.
 */
import { InferenceError } from '../../../errors.ts';
import { boundedText, prefixOf } from '../../../inference/openai/bounded-body.ts';
import { RetryBudget } from '../../../inference/openai/retry-budget.ts';
import type { OpenSearchSettings } from './settings.ts';

export interface OpenSearchClientOptions extends OpenSearchSettings {
  url: string;
  auth: { username: string; password: string } | null;
  /** bytes of one answer */
  maxAnswerBytes?: number;
  backoffMs?: number;
  random?: () => number;
  elapsed?: () => number;
}

export interface OpenSearchCall {
  method: 'GET' | 'PUT' | 'POST';
  path: string;
  /** one object, or the lines of a bulk or a multi-search */
  body?: object | readonly object[];
  /** statuses that are answers too */
  also?: readonly number[];
}

export interface OpenSearchAnswer {
  status: number;
  body: any;
}

const MOST_BYTES = 64 << 20;
const BACKOFF_MS = 100;
const BACKOFF_MAX_MS = 2000;
const RETRIES_A_SECOND = 1;
const RETRIES_SAVED = 10;
const REFUSAL_BYTES = 1000;
const PASSING = new Set([429, 502, 503, 504]);

export class OpenSearchClient {
  readonly #options: OpenSearchClientOptions;
  readonly #budget: RetryBudget;
  readonly #random: () => number;
  readonly #elapsed: () => number;

  constructor(options: OpenSearchClientOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#elapsed = options.elapsed ?? (() => performance.now());
    this.#budget = new RetryBudget({
      share: options.retryShare,
      perSecond: RETRIES_A_SECOND,
      most: RETRIES_SAVED,
      elapsed: this.#elapsed,
    });
  }

  /** Throws InferenceError RETRIEVER_UNAVAILABLE, RETRIEVER_TIMEOUT, RETRIEVER_REFUSED, ANSWER_TOO_LARGE, or the signal's reason. */
  async call(call: OpenSearchCall, signal: AbortSignal): Promise<OpenSearchAnswer> {
    const { attempts, requestTimeoutMs, attemptTimeoutMs, backoffMs = BACKOFF_MS } = this.#options;
    const deadline = this.#elapsed() + requestTimeoutMs;
    this.#budget.earn();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(call, Math.min(attemptTimeoutMs, deadline - this.#elapsed()), signal);
      } catch (error) {
        signal.throwIfAborted();
        const again = error instanceof InferenceError && error.retriable && attempt < attempts;
        // whoever finds the budget empty does not wait for it: his user is asked about again
        if (!again || this.#budget.take() > 0) throw error;
        const wait = this.#random() * Math.min(backoffMs * 2 ** (attempt - 1), BACKOFF_MAX_MS);
        if (this.#elapsed() + wait >= deadline) throw error;
        await paused(wait, signal);
      }
    }
  }

  async #attempt(call: OpenSearchCall, ms: number, signal: AbortSignal): Promise<OpenSearchAnswer> {
    const { method, path, body, also = [] } = call;
    const { url, auth, maxAnswerBytes = MOST_BYTES } = this.#options;
    const timeout = AbortSignal.timeout(Math.max(Math.round(ms), 1));
    const lines = Array.isArray(body);
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': lines ? 'application/x-ndjson' : 'application/json' }),
          ...(auth === null ? {} : { authorization: basic(auth) }),
        },
        ...(body === undefined ? {} : { body: lines ? ndjson(body) : JSON.stringify(body) }),
        // the password goes nowhere else
        redirect: 'error',
        signal: AbortSignal.any([signal, timeout]),
      });
      const { status } = response;
      if (response.ok || also.includes(status)) {
        const text = await boundedText(response, maxAnswerBytes);
        return { status, body: text === '' ? null : JSON.parse(text) };
      }
      const said = (await prefixOf(response, REFUSAL_BYTES)).replace(/\s+/g, ' ');
      const passing = PASSING.has(status);
      throw new InferenceError(
        passing ? 'RETRIEVER_UNAVAILABLE' : 'RETRIEVER_REFUSED',
        `OpenSearch answers ${status} to ${method} ${path.split('?')[0]}: ${said}`,
        { retriable: passing },
      );
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof InferenceError) throw error;
      if (timeout.aborted) {
        throw new InferenceError('RETRIEVER_TIMEOUT', `no whole answer within ${Math.round(ms)} ms`, {
          retriable: true,
        });
      }
      throw new InferenceError('RETRIEVER_UNAVAILABLE', `no answer from OpenSearch: ${causeOf(error)}`, {
        retriable: true,
      });
    }
  }
}

const basic = ({ username, password }: { username: string; password: string }): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

const ndjson = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

/** What fetch throws says little; its cause has a code. */
function causeOf(error: unknown): string {
  const { cause, name } = error as { cause?: { code?: unknown; message?: unknown }; name?: string };
  return String(cause?.code ?? cause?.message ?? name ?? 'unknown');
}

export function paused(ms: number, signal: AbortSignal): Promise<void> {
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
