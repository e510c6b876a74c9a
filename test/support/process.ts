/**
 * Child processes that never outlive us: each one has a watchdog, a shell that waits for our end of a pipe to close
 * (which it does however we end) and then kills the child and removes `root`.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, openSync, closeSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

export interface Running {
  readonly pid: number;
  readonly exited: boolean;
  /** The last lines of what it said, for an error message. */
  tail(lines?: number): string;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
}

export function run(
  command: string,
  args: string[],
  options: { folder: string; root: string; output: string; env?: Record<string, string> },
): Running {
  const output = openSync(options.output, 'a');
  const child: ChildProcess = spawn(command, args, {
    cwd: options.folder,
    stdio: ['ignore', output, output],
    env: { ...process.env, ...options.env },
  });
  closeSync(output);
  let exited = false;
  const gone = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      createWriteStream(options.output, { flags: 'a' }).end(`${error.message}\n`);
      exited = true;
      resolve();
    });
    child.once('exit', () => {
      exited = true;
      resolve();
    });
  });
  const script = 'cat > /dev/null; kill -9 "$0" 2> /dev/null; rm -rf "$1"';
  const watchdog = spawn('sh', ['-c', script, String(child.pid ?? 0), options.root], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // a group of its own: Ctrl-C at the terminal must not take the watchdog with us
    detached: true,
  });
  child.unref();
  watchdog.unref();
  (watchdog.stdin as unknown as { unref?(): void }).unref?.();
  return {
    pid: child.pid ?? 0,
    get exited() {
      return exited;
    },
    tail(lines = 20) {
      return readFileSync(options.output, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
    },
    signal(signal) {
      child.kill(signal);
    },
    async kill() {
      watchdog.kill('SIGKILL');
      child.ref();
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** Polls until `ready` says so; throws what the process said when it ended or took too long. */
export async function ready(
  what: string,
  process: Running,
  within: number,
  check: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + within;
  while (!(await check().catch(() => false))) {
    if (process.exited) throw new Error(`${what} ended before it was ready:\n${process.tail()}`);
    if (Date.now() > deadline) throw new Error(`${what} was not ready after ${within} ms:\n${process.tail()}`);
    await sleep(100);
  }
}
