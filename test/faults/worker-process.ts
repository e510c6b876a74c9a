import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, type Running } from '../support/process.ts';
import type { WorkerSettings } from './worker.ts';

const script = join(import.meta.dirname, 'worker.ts');

export interface Line {
  level: string;
  msg: string;
  code?: string;
  error?: string;
  partition?: number;
  partitions?: number[];
  state?: string;
  done?: number;
  remaining?: number;
}

let started = 0;

/** test/faults/worker.ts as a process, and what its log says of it. */
export class WorkerProcess {
  readonly #process: Running;
  readonly #output: string;

  /** `root` is removed when we end, however that is; `compiled` is a folder in which one start leaves code for the next. */
  constructor(root: string, settings: WorkerSettings, compiled: string) {
    mkdirSync(settings.runtime.stateDir, { recursive: true });
    this.#output = join(root, `worker-${++started}.log`);
    this.#process = run(process.execPath, ['--disable-warning=ExperimentalWarning', script, JSON.stringify(settings)], {
      folder: root,
      root,
      output: this.#output,
      env: { NODE_COMPILE_CACHE: compiled },
    });
  }

  lines(): Line[] {
    const text = readFileSync(this.#output, 'utf8');
    // a line that is being written, or was when it was killed
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    return whole.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []));
  }

  tail(): string {
    return this.#process.tail(30);
  }

  get partitions(): number[] {
    return this.lines().findLast(({ msg }) => msg === 'assigned')?.partitions ?? [];
  }

  get running(): boolean {
    const lines = this.lines();
    const stateOf = (partition: number) =>
      lines.findLast((line) => line.msg === 'task' && line.partition === partition)?.state;
    const { partitions } = this;
    return partitions.length > 0 && partitions.every((partition) => stateOf(partition) === 'running');
  }

  /** Records that were restored for each partition it has run. */
  get restored(): Map<number, number> {
    const found = new Map<number, number>();
    const lines = this.lines();
    for (const { msg, state, partition } of lines) if (msg === 'task' && state === 'running') found.set(partition!, 0);
    for (const { msg, partition, done } of lines) {
      if (msg === 'restoring' && found.has(partition!)) {
        found.set(partition!, Math.max(found.get(partition!)!, done!));
      }
    }
    return found;
  }

  /** How often it said so. */
  times(msg: string): number {
    return this.lines().filter((line) => line.msg === msg).length;
  }

  get wiped(): boolean {
    return this.lines().some(({ msg }) => msg.includes('wiped'));
  }

  /** Throws what it said where it ended by itself. */
  check(): void {
    if (this.#process.exited) throw new Error(`a worker has ended:\n${this.tail()}`);
  }

  get exited(): boolean {
    return this.#process.exited;
  }

  /** Until it has ended by itself. */
  async ended(withinMs = 60_000): Promise<void> {
    for (const deadline = Date.now() + withinMs; !this.#process.exited; await sleep(50)) {
      if (Date.now() > deadline) throw new Error(`a worker has not ended within ${withinMs} ms:\n${this.tail()}`);
    }
  }

  /** SIGSTOP: it stands still and knows nothing of it. */
  freeze(): void {
    this.#process.signal('SIGSTOP');
  }

  thaw(): void {
    this.#process.signal('SIGCONT');
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  async stop(withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    // before it listens, a signal is just its end
    while (this.times('starting') === 0 && !this.#process.exited && Date.now() < deadline) await sleep(50);
    this.#process.signal('SIGTERM');
    for (; !this.#process.exited; await sleep(50)) {
      if (Date.now() > deadline) throw new Error(`a worker has not stopped within ${withinMs} ms:\n${this.tail()}`);
    }
    if (this.lines().at(-1)?.msg !== 'stopped') throw new Error(`a worker has not stopped in peace:\n${this.tail()}`);
    await this.#process.kill();
  }
}
