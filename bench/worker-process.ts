import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer, Usage, WorkerSettings } from './worker.ts';
import { NODE_FLAGS } from './node-flags.ts';

/** bench/worker.ts as a process: started as bin/seral starts the job, asked, stopped or killed. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #ended: string | null = null;
  #failed: string | null = null;
  #stopping = false;
  readonly #waiting: { key: keyof Answer | string; give: (answer: Answer) => void; refuse: (error: Error) => void }[] =
    [];

  /** What it has to say goes to a file, or nowhere. */
  constructor(settings: WorkerSettings, output: string | null = null) {
    const fd = output === null ? null : openSync(output, 'a');
    const script = join(import.meta.dirname, 'worker.ts');
    this.#child = spawn(process.execPath, [...NODE_FLAGS, script, JSON.stringify(settings)], {
      stdio: ['ignore', 'ignore', fd ?? 'ignore', 'ipc'],
      env: { MALLOC_ARENA_MAX: '2', ...process.env },
    });
    if (fd !== null) closeSync(fd);
    this.#child.on('message', (answer: Answer) => this.#take(answer));
    this.#gone = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        this.#ended = `a worker ended (${signal ?? `exit code ${code}`})`;
        for (const { refuse } of this.#waiting.splice(0)) refuse(new Error(this.#failed ?? this.#ended));
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when it is loaded and can be told to start. */
  loaded(): Promise<unknown> {
    return this.#next('ready');
  }

  start(): void {
    this.#child.send('start');
  }

  async running(): Promise<boolean> {
    const answer = this.#next('running');
    this.#child.send('running');
    return ((await answer) as { running: boolean }).running;
  }

  async usage(): Promise<Usage> {
    const answer = this.#next('usage');
    this.#child.send('usage');
    return ((await answer) as { usage: Usage }).usage;
  }

  /** Throws where it has ended by itself. */
  check(): void {
    if (this.#failed !== null) throw new Error(`a worker failed: ${this.#failed}`);
    if (this.#ended !== null && !this.#stopping) throw new Error(this.#ended);
  }

  /** Ends in peace; throws where it does not. */
  async stop(): Promise<void> {
    this.check();
    this.#stopping = true;
    this.#child.send('stop');
    await this.#gone;
    if (this.#failed !== null || this.#child.exitCode !== 0) throw new Error(this.#failed ?? this.#ended!);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#stopping = true;
    this.#child.kill('SIGKILL');
    await this.#gone;
  }

  #next(key: string): Promise<Answer> {
    if (this.#ended !== null) return Promise.reject(new Error(this.#failed ?? this.#ended));
    return new Promise((give, refuse) => this.#waiting.push({ key, give, refuse }));
  }

  #take(answer: Answer): void {
    if ('failed' in answer) {
      this.#failed = answer.failed;
      return;
    }
    const at = this.#waiting.findIndex(({ key }) => key in answer);
    if (at >= 0) this.#waiting.splice(at, 1)[0]!.give(answer);
  }
}
