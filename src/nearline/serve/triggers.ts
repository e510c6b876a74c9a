/**
 * Asks the channel for new candidates of users who have none that are valid (paper, 4.4.2). Nobody waits for the log: a
 * trigger is put into a bounded line, and sent when the log takes it. At least once: an answer of the log that is lost has
 * them sent again, which the channel takes for one.
 *
 *   created   start() → waiting (for triggers)
 *   waiting   → sending; a failure → pausing → sending, with a new producer
 *   closing   what is in the line is sent, for so long → closed
 */
import { LRUCache } from 'lru-cache';
import { BadRecordError, messageOf } from '../../errors.ts';
import { encodeKey } from '../../log/keys.ts';
import type { Log, OutRecord, Producer } from '../../log/port.ts';
import type { Serde, Serdes } from '../../log/serde.ts';
import { TRIGGERS, type ChannelTrigger } from '../../serengpt/records.ts';
import type { Logger } from '../../stream/logger.ts';
import type { CompiledOptions } from '../../stream/options.ts';
import { backoff } from '../../stream/patience.ts';
import { pause } from '../../stream/state-db.ts';
import type { Clock } from '../../stream/task-context.ts';
import type { ServeMetrics } from './metrics.ts';

/** What whoever asks is told: new ones are asked for, were so a moment ago, or cannot be for now. */
export type Asked = 'triggered' | 'pending' | 'budget';

export interface TriggerOptions {
  log: Log;
  serdes: Serdes;
  /** a user is asked for once in so long */
  everyMs: number;
  /** triggers that wait for the log, at most */
  buffered: number;
  clock: Pick<Clock, 'elapsed' | 'random'>;
  /** the clock of the events */
  now: () => number;
  runtime: Pick<CompiledOptions, 'rebuildBackoffMs' | 'rebuildBackoffMaxMs'>;
  logger: Logger;
  metrics: ServeMetrics;
}

/** Users that were asked for lately, at most: past that the oldest may be asked for again too early. */
const REMEMBERED = 200_000;
const BATCH = 500;

export class TriggerSender {
  readonly #options: TriggerOptions;
  readonly #lately: LRUCache<string, true>;
  readonly #stop = new AbortController();
  readonly #line: ChannelTrigger[] = [];
  #closing = false;
  #wake: () => void = () => {};
  #serde: Serde<ChannelTrigger> | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(options: TriggerOptions) {
    this.#options = options;
    const { everyMs, clock } = options;
    this.#lately = new LRUCache({
      max: REMEMBERED,
      ttl: everyMs,
      ttlResolution: 0,
      perf: { now: () => clock.elapsed() },
    });
  }

  get waiting(): number {
    return this.#line.length;
  }

  start(): void {
    this.#running = this.#run();
  }

  ask(user: string, arm: string | null): Asked {
    const { buffered, metrics, now } = this.#options;
    if (this.#lately.has(user)) {
      metrics.trigger('suppressed');
      return 'pending';
    }
    if (this.#line.length >= buffered || this.#closing) {
      metrics.trigger('dropped');
      return 'budget';
    }
    this.#lately.set(user, true);
    this.#line.push({ user_id: user, requested_at: now(), arm });
    this.#wake();
    return 'triggered';
  }

  /** What waits is sent, for at most so long; what is left then is dropped and counted. */
  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    this.#wake();
    const late = setTimeout(() => this.#stop.abort(), withinMs);
    await this.#running;
    clearTimeout(late);
    this.#options.metrics.trigger('dropped', this.#line.splice(0).length);
  }

  async #run(): Promise<void> {
    const { runtime, clock, logger } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted && !(await this.#ended());) {
      try {
        await this.#send(() => (failures = 0));
      } catch (error) {
        if (signal.aborted) return;
        const waitMs = backoff(failures++, runtime, clock);
        logger.warn({ topic: TRIGGERS.topic, error: messageOf(error), waitMs }, 'triggers cannot be sent for now');
        await pause(waitMs, signal);
      }
    }
  }

  /** Waits until there is one to send; true where there will be none. */
  async #ended(): Promise<boolean> {
    while (this.#line.length === 0) {
      if (this.#closing) return true;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return false;
  }

  /** With one producer, until it fails or there will be nothing more. */
  async #send(onSent: () => void): Promise<void> {
    const { log, serdes, metrics } = this.#options;
    const { signal } = this.#stop;
    this.#serde ??= await serdes.serde<ChannelTrigger>(TRIGGERS.topic, TRIGGERS.schema);
    const producer = log.producer();
    try {
      await this.#unlessLate(producer.open());
      while (!(await this.#ended()) && !signal.aborted) {
        const batch = this.#line.slice(0, BATCH);
        const records = batch.flatMap((trigger) => this.#recordOf(trigger));
        if (records.length > 0) await this.#unlessLate(producer.send(records));
        this.#line.splice(0, batch.length);
        metrics.trigger('sent', records.length);
        metrics.trigger('refused', batch.length - records.length);
        onSent();
      }
    } finally {
      await quietly(producer);
    }
  }

  /** A log that hangs must not hold up the end. */
  #unlessLate<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#stop;
    return new Promise((resolve, reject) => {
      const late = () => reject(signal.reason as Error);
      if (signal.aborted) late();
      signal.addEventListener('abort', late, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', late));
    });
  }

  #recordOf(trigger: ChannelTrigger): OutRecord[] {
    try {
      const { user_id: user, requested_at: timestamp } = trigger;
      return [{ topic: TRIGGERS.topic, key: encodeKey(user), value: this.#serde!.encode(trigger), timestamp }];
    } catch (error) {
      if (error instanceof BadRecordError) return [];
      throw error;
    }
  }
}

async function quietly(producer: Producer): Promise<void> {
  try {
    await producer.close();
  } catch {
    // it has failed already, and that was said
  }
}
