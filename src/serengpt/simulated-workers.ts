/**
 * SerenGPT's workers as a queue with servers, for `seral simulate cache`: each takes so long for a generation, whatever is
 * asked, and the others wait in line. One that is past its deadline when its turn comes is dropped, as the real worker does;
 * one that is ready too late was work for nothing.
 */
import type { RegenerationRequest } from './records.ts';

export interface WorkerOptions {
  /** generations at once; Infinity: nobody waits */
  workers: number;
  /** ms of one generation, with its retrieval */
  serviceMs: number;
  /** requests that may wait; more are refused */
  queue: number;
}

export type Outcome = 'done' | 'late' | 'dropped' | 'refused';

export interface Finished {
  request: RegenerationRequest;
  at: number;
  outcome: Outcome;
}

export class SimulatedWorkers {
  readonly #options: WorkerOptions;
  /** all take equally long, so the first to begin is the first to end */
  readonly #running = new Line<{ request: RegenerationRequest; at: number }>();
  readonly #waiting = new Line<RegenerationRequest>();

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** When the next one ends; Infinity: none runs. */
  get nextAt(): number {
    return this.#running.first?.at ?? Infinity;
  }

  /** Requests that have no outcome yet. */
  *open(): Generator<RegenerationRequest> {
    for (const { request } of this.#running) yield request;
    yield* this.#waiting;
  }

  /** Null where it was taken; else it is over at once. */
  submit(request: RegenerationRequest, now: number): Finished | null {
    if (this.#running.length < this.#options.workers) this.#start(request, now);
    else if (this.#waiting.length < this.#options.queue) this.#waiting.push(request);
    else return { request, at: now, outcome: 'refused' };
    return null;
  }

  /** Ends the next one, and begins those behind it; what is dropped on the way comes after it. */
  finish(): Finished[] {
    const { request, at } = this.#running.shift()!;
    const finished: Finished[] = [{ request, at, outcome: at > request.expires_at ? 'late' : 'done' }];
    while (this.#waiting.length > 0 && this.#running.length < this.#options.workers) {
      const next = this.#waiting.shift()!;
      if (next.expires_at <= at) finished.push({ request: next, at, outcome: 'dropped' });
      else this.#start(next, at);
    }
    return finished;
  }

  #start(request: RegenerationRequest, now: number): void {
    this.#running.push({ request, at: now + this.#options.serviceMs });
  }
}

/** First in, first out, without moving the others at each step. */
class Line<T> {
  #items: T[] = [];
  #gone = 0;

  get length(): number {
    return this.#items.length - this.#gone;
  }

  get first(): T | undefined {
    return this.#items[this.#gone];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#gone++];
    if (this.#gone > 1000 && this.#gone * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#gone);
      this.#gone = 0;
    }
    return item;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = this.#gone; i < this.#items.length; i++) yield this.#items[i]!;
  }
}
