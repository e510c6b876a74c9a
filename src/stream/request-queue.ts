/**
 * The requests of one partition, from their fetching until what came of them is committed. They are answered in any order
 * and at the same time; the position that may be committed follows the oldest that is not done. All of it outlives a
 * producer: what was answered and could not be committed is sent again.
 */
import { BadRecordError, SeralError, messageOf } from '../errors.ts';
import { decodeKey } from '../log/keys.ts';
import type { LogRecord, OutRecord, RecordBatch } from '../log/port.ts';
import type { Serde } from '../log/serde.ts';
import { deadRecord, failureOf, type Failure } from './dead-letters.ts';
import type { Logger } from './logger.ts';
import type { CompiledOptions } from './options.ts';
import { RegistryPatience } from './patience.ts';
import type { RequestMetrics } from './request-metrics.ts';
import { RequestWindow, type WindowEntry } from './request-window.ts';
import type { Clock } from './task-context.ts';

/** What comes of a request: an answer, and where it is one that says "failed", why: for the dead letters. */
export interface Handled<A> {
  answer: A;
  failure?: Failure;
}

/** A kind of request, and who answers it. */
export interface RequestHandler<Q, A> {
  requests: { topic: string; schema: string };
  answers: { topic: string; schema: string };
  /** Refuses a request that cannot be one. Throws BadRecordError. */
  check?(request: Q, key: string): void;
  /** by the wall clock: nobody waits for an answer any longer */
  expiresAt(request: Q): number;
  /** What it throws makes a dead letter of the request, unless `signal` was aborted. */
  handle(request: Q, signal: AbortSignal): Promise<Handled<A>>;
}

export interface QueueContext<Q, A> {
  handler: RequestHandler<Q, A>;
  partition: number;
  deadLetters: string;
  requestSerde: Serde<Q>;
  answerSerde: Serde<A>;
  options: CompiledOptions;
  /** requests that wait for their turn; above, no more are fetched */
  mostWaiting: number;
  /** requests that were begun since the oldest that is not done; above, no more are: they would be done again after a crash */
  mostOpen: number;
  metrics: RequestMetrics;
  logger: Logger;
  clock: Clock;
  /** there is something to commit, or less to wait for */
  onMoved: () => void;
  /** there are requests to be begun */
  onFetched: () => void;
}

/** What a commit is to write, and how far it goes. */
export interface Due {
  records: OutRecord[];
  position: number;
  counts: DueCounts;
}

export interface DueCounts {
  done: number;
  answers: number;
  /** dead letters by code */
  letters: Map<string, number>;
  /** requests that could not be read or broke the handler: more of them than a share, and the worker stops */
  broken: number;
}

const TELLS_EVERY_MS = 60_000;

const nothing = (): DueCounts => ({ done: 0, answers: 0, letters: new Map(), broken: 0 });

interface Waiting<Q> {
  entry: WindowEntry;
  record: LogRecord;
  request: Q;
}

export class RequestQueue<Q, A> {
  readonly #context: QueueContext<Q, A>;
  readonly #window: RequestWindow;
  readonly #calledOff = new AbortController();
  readonly #closed = new AbortController();
  #waiting: Waiting<Q>[] = [];
  #running = 0;
  #records: OutRecord[] = [];
  #counts = nothing();
  #committed: number;
  #end: number;
  #blocked: (() => void)[] = [];
  /** requests that have failed since it was last said, and when that was */
  #untold = 0;
  #toldAt = -Infinity;

  constructor(context: QueueContext<Q, A>, position: number, end: number) {
    this.#context = context;
    this.#window = new RequestWindow(position);
    this.#committed = position;
    this.#end = end;
  }

  get fetched(): number {
    return this.#window.fetched;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#running;
  }

  /** Something is not committed that could be. */
  get moved(): boolean {
    return this.#records.length > 0 || this.#window.position !== this.#committed;
  }

  get lag(): number {
    return Math.max(this.#end - this.#window.position, 0);
  }

  /** Takes a fetched batch; the next one may come when the promise resolves. */
  async offer(batch: RecordBatch): Promise<void> {
    await this.#known(batch);
    if (this.#closed.signal.aborted) return;
    for (const record of batch.records) {
      // the consumer was started again meanwhile, and has brought it before
      if (record.offset < this.#window.fetched) continue;
      const entry = this.#window.take(record.offset);
      try {
        const { requestSerde, handler } = this.#context;
        const request = requestSerde.decode(record.value);
        handler.check?.(request, decodeKey(record.key));
        this.#waiting.push({ entry, record, request });
      } catch (error) {
        const failure = failureOf(error);
        this.#context.metrics.refused(failure.code);
        this.#bury(record, failure, true);
        this.#finish(entry);
      }
    }
    if (batch.position > this.#window.fetched) this.#window.moveTo(batch.position);
    this.#end = Math.max(this.#end, batch.end);
    this.#context.onMoved();
    this.#context.onFetched();
    while (this.#waiting.length > this.#context.mostWaiting && !this.#closed.signal.aborted) {
      await new Promise<void>((resolve) => this.#blocked.push(resolve));
    }
  }

  /** Fetching goes on elsewhere: what lay between is no longer kept. */
  moveTo(position: number): void {
    this.#window.moveTo(position);
    this.#context.onMoved();
  }

  seenEnd(end: number): void {
    this.#end = Math.max(this.#end, end);
  }

  /** Another owner got so far meanwhile. */
  finishBefore(position: number): void {
    if (position <= this.#committed) return;
    this.#waiting = this.#waiting.filter(({ entry }) => entry.offset >= position);
    this.#window.finishBefore(position);
    this.#committed = Math.min(position, this.#window.position);
  }

  /** Begins with the next request, unless there is none; the promise resolves when it is done with. */
  begin(): Promise<void> | null {
    const { clock, handler, metrics } = this.#context;
    while (this.#waiting.length > 0) {
      if (this.#running > 0 && this.#window.size - this.#waiting.length >= this.#context.mostOpen) return null;
      const next = this.#waiting.shift()!;
      if (this.#waiting.length <= this.#context.mostWaiting) this.#makeRoom();
      if (handler.expiresAt(next.request) > clock.now()) return this.#answer(next);
      metrics.refused('EXPIRED');
      this.#finish(next.entry);
      this.#context.onMoved();
    }
    return null;
  }

  /** What a commit is to write. It is the caller's now, and to be put back where the commit fails. */
  takeDue(): Due {
    const due = { records: this.#records, position: this.#window.position, counts: this.#counts };
    this.#records = [];
    this.#counts = nothing();
    return due;
  }

  putBack({ records, counts }: Due): void {
    this.#records = [...records, ...this.#records];
    const { letters } = this.#counts;
    for (const [code, count] of counts.letters) letters.set(code, (letters.get(code) ?? 0) + count);
    this.#counts.done += counts.done;
    this.#counts.answers += counts.answers;
    this.#counts.broken += counts.broken;
  }

  committed(position: number): void {
    this.#committed = position;
  }

  /** Nothing more is taken or begun. What is being answered goes on, unless it is called off. */
  close(): void {
    this.#closed.abort();
    this.#waiting = [];
    this.#makeRoom();
  }

  /** What is being answered is somebody else's now. */
  callOff(): void {
    this.close();
    this.#calledOff.abort();
  }

  async #answer({ entry, record, request }: Waiting<Q>): Promise<void> {
    const { handler, metrics, clock, logger } = this.#context;
    const { signal } = this.#calledOff;
    const begun = clock.elapsed();
    this.#running++;
    metrics.begun();
    let failure: Failure | null;
    try {
      const handled = await handler.handle(request, signal);
      failure = handled.failure ?? null;
      if (!signal.aborted) {
        this.#say(record, handled.answer);
        if (failure !== null) {
          this.#tell(failure, begun);
          this.#bury(record, failure, false);
        }
      }
    } catch (error) {
      failure = failureOf(error);
      if (!signal.aborted) {
        logger.warn({ ...failure, offset: record.offset }, 'a request goes to the dead-letter topic');
        this.#bury(record, failure, true);
      }
    }
    this.#running--;
    if (signal.aborted) metrics.calledOff();
    else {
      metrics.ended((clock.elapsed() - begun) / 1000, failure?.code ?? null);
      this.#finish(entry);
    }
    this.#context.onMoved();
  }

  /** A line a minute: an outage fails every request, and how many is in the metrics. */
  #tell(failure: Failure, now: number): void {
    this.#untold++;
    if (now - this.#toldAt < TELLS_EVERY_MS) return;
    this.#context.logger.warn(
      { ...failure, since: this.#untold },
      'requests fail for good, and go to the dead-letter topic',
    );
    this.#toldAt = now;
    this.#untold = 0;
  }

  #say(record: LogRecord, answer: A): void {
    const { answerSerde, handler, options, clock } = this.#context;
    const value = answerSerde.encode(answer);
    const bytes = value.length + (record.key?.length ?? 0);
    if (bytes > options.maxOutputBytes) throw new BadRecordError('OUTPUT_TOO_LARGE', `an answer of ${bytes} bytes`);
    this.#records.push({ topic: handler.answers.topic, key: record.key, value, timestamp: clock.now() });
    this.#counts.answers++;
  }

  #bury(record: LogRecord, failure: Failure, broken: boolean): void {
    const { deadLetters, partition, options, clock, handler } = this.#context;
    const place = { to: deadLetters, partition, now: clock.now(), maxBytes: Math.floor(options.maxOutputBytes * 0.9) };
    this.#records.push(deadRecord(handler.requests.topic, record, failure, place));
    this.#counts.letters.set(failure.code, (this.#counts.letters.get(failure.code) ?? 0) + 1);
    if (broken) this.#counts.broken++;
  }

  #finish(entry: WindowEntry): void {
    this.#counts.done++;
    this.#window.finish(entry);
  }

  #makeRoom(): void {
    for (const resolve of this.#blocked.splice(0)) resolve();
  }

  /** The schemas of a batch's writers; what cannot be read without a registry that is away for long is a dead letter. */
  async #known(batch: RecordBatch): Promise<void> {
    const { requestSerde, options, clock, logger } = this.#context;
    const { signal } = this.#closed;
    const patience = new RegistryPatience({ options, clock, logger, signal });
    const values = batch.records.map((record) => record.value);
    for (let gaveUp = false; ;) {
      try {
        await requestSerde.prepare(values);
        return;
      } catch (error) {
        if (await patience.waits(error)) continue;
        if (signal.aborted) return;
        const more = error instanceof SeralError && RegistryPatience.concerns(error) && !gaveUp;
        if (!more) throw error;
        gaveUp = true;
        requestSerde.giveUp?.();
        logger.error({ error: messageOf(error) }, 'the schema registry was waited for long enough');
      }
    }
  }
}
