/**
 * Runs a model in a thread of its own. Jobs wait in a bounded line and run one at a time; an aborted one that runs is
 * abandoned at once and stops between two steps. A thread that dies is replaced for the next job.
 *
 *   opening ─► idle ⇄ working ─► closed
 *                ▲       │ the thread died: its job fails, the next one starts another
 *                └───────┘
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { InferenceError, messageOf } from '../../errors.ts';
import type { FromThread, Job, Port, ResultOf, ThreadData, ToThread } from './jobs.ts';
import { badModel } from './model-folder.ts';

export interface HostOptions {
  /** the .onnx file */
  model: string;
  /** that one run may use; one is the fastest where others work beside it */
  threads?: number;
  /** jobs that may wait */
  queue?: number;
}

const THREADS = 1;
const QUEUE = 64;

/** ms that the end of the process waits for a step of a model */
const LAST_STEP = 5000;

/**
 * A process that ends while a thread is within the engine is aborted by it (exit code 134, whatever it was to be): the end
 * waits until each has come out.
 */
const open = new Set<OnnxHost>();
function atExit(): void {
  for (const host of open) host.stopNow();
}

interface Waiting {
  job: Job;
  stop: Int32Array;
  settle: (outcome: { result: unknown } | { error: unknown }) => void;
  settled: boolean;
}

export class OnnxHost {
  readonly #options: HostOptions;
  readonly #line: Waiting[] = [];
  #inputs: readonly Port[] = [];
  #outputs: readonly Port[] = [];
  /** null: none, or one that died */
  #worker: Worker | null = null;
  #busy = new Int32Array(new SharedArrayBuffer(4));
  #running: Waiting | null = null;
  #starting: Promise<void> | null = null;
  #closed = false;

  private constructor(options: HostOptions) {
    this.#options = options;
  }

  /** Throws InferenceError: BAD_MODEL where the file is none, NO_ENGINE where onnxruntime cannot run here. */
  static async open(options: HostOptions): Promise<OnnxHost> {
    const host = new OnnxHost(options);
    if (open.size === 0) process.on('exit', atExit);
    open.add(host);
    try {
      await host.#start();
    } catch (error) {
      host.#forget();
      throw error;
    }
    return host;
  }

  get inputs(): readonly Port[] {
    return this.#inputs;
  }

  get outputs(): readonly Port[] {
    return this.#outputs;
  }

  /**
   * Throws the signal's reason, or InferenceError: MODEL_OVERLOADED (the line is full), MODEL_FAILED (the model threw),
   * MODEL_UNAVAILABLE (its thread died), MODEL_CLOSED.
   */
  run<J extends Job>(job: J, signal?: AbortSignal): Promise<ResultOf<J>> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#closed) throw closed();
      const { queue = QUEUE } = this.#options;
      if (this.#line.length >= queue) {
        throw new InferenceError('MODEL_OVERLOADED', `${queue} jobs wait for the model already`, { retriable: true });
      }
      const waiting: Waiting = {
        job,
        stop: new Int32Array(new SharedArrayBuffer(4)),
        settled: false,
        settle: (outcome) => {
          if (waiting.settled) return;
          waiting.settled = true;
          signal?.removeEventListener('abort', abort);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.result as ResultOf<J>);
        },
      };
      const abort = (): void => {
        Atomics.store(waiting.stop, 0, 1);
        const place = this.#line.indexOf(waiting);
        if (place >= 0) this.#line.splice(place, 1);
        waiting.settle({ error: signal!.reason });
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#line.push(waiting);
      this.#next();
    });
  }

  /** Ends what waits with MODEL_CLOSED, stops what runs between two steps, and returns when the thread is gone. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiting of this.#line.splice(0)) waiting.settle({ error: closed() });
    if (this.#running !== null) {
      Atomics.store(this.#running.stop, 0, 1);
      this.#running.settle({ error: closed() });
    }
    await this.#starting?.catch(() => {});
    const worker = this.#worker;
    if (worker !== null) {
      const gone = once(worker, 'exit');
      this.#tell(worker, { kind: 'close' });
      await gone;
    }
    this.#forget();
  }

  /** For the end of the process, where nothing can be awaited: stops what runs, and returns when it has. */
  stopNow(): void {
    if (this.#running !== null) Atomics.store(this.#running.stop, 0, 1);
    Atomics.wait(this.#busy, 0, 1, LAST_STEP);
  }

  #forget(): void {
    open.delete(this);
    if (open.size === 0) process.off('exit', atExit);
  }

  #next(): void {
    if (this.#running !== null || this.#starting !== null) return;
    if (this.#worker === null) {
      if (this.#line.length > 0 && !this.#closed) void this.#restart();
      return;
    }
    const waiting = this.#line.shift();
    if (waiting === undefined) return;
    this.#running = waiting;
    Atomics.store(this.#busy, 0, 1);
    this.#tell(this.#worker, { kind: 'job', job: waiting.job, stop: waiting.stop });
  }

  async #restart(): Promise<void> {
    this.#starting = this.#start();
    try {
      await this.#starting;
    } catch (error) {
      for (const waiting of this.#line.splice(0)) waiting.settle({ error });
    }
    this.#starting = null;
    this.#next();
  }

  async #start(): Promise<void> {
    const { model, threads = THREADS } = this.#options;
    this.#busy = new Int32Array(new SharedArrayBuffer(4));
    Atomics.store(this.#busy, 0, 1);
    const data: ThreadData = { model, threads, busy: this.#busy };
    const worker = new Worker(new URL('./thread.ts', import.meta.url), { workerData: data });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let refused: InferenceError | null = null;
    worker.on('message', (message: FromThread) => {
      if (message.kind === 'ready') {
        this.#inputs = message.inputs;
        this.#outputs = message.outputs;
        this.#worker = worker;
        resolve();
      } else if (message.kind === 'refused') refused = refusal(model, message);
      else this.#ended(message);
    });
    const died = (why: unknown): void => {
      const error =
        refused ??
        new InferenceError('MODEL_UNAVAILABLE', `the model's thread is gone: ${messageOf(why)}`, {
          retriable: true,
          cause: why,
        });
      reject(error);
      this.#died(worker, error);
    };
    worker.on('error', died);
    worker.on('exit', (code) => died(new Error(`it ended with code ${code}`)));
    await promise;
  }

  #ended(message: Extract<FromThread, { kind: 'done' | 'failed' }>): void {
    const running = this.#running;
    this.#running = null;
    if (message.kind === 'done') running?.settle({ result: message.result });
    else running?.settle({ error: new InferenceError('MODEL_FAILED', `the model failed: ${message.message}`) });
    if (!this.#closed) this.#next();
  }

  #died(worker: Worker, error: InferenceError): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#running?.settle({ error });
    this.#running = null;
    if (!this.#closed) this.#next();
  }

  #tell(worker: Worker, message: ToThread): void {
    worker.postMessage(message);
  }
}

const closed = (): InferenceError => new InferenceError('MODEL_CLOSED', 'the model was closed');

function refusal(model: string, { what, message }: Extract<FromThread, { kind: 'refused' }>): InferenceError {
  if (what === 'model') return badModel(model, message);
  return new InferenceError('NO_ENGINE', `onnxruntime-node cannot be loaded here: ${message}`, { fatal: true });
}
