/** `bin/seral` as a process, as a user or an orchestrator runs it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const binary = join(import.meta.dirname, '../../bin/seral');

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface SeralProcess {
  readonly pid: number;
  stderr(): string;
  signal(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

/** Nothing of our own environment's settings reaches it. */
export function startSeral(args: string[], env: Record<string, string> = {}, folder?: string): SeralProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SERAL_'));
  const child = spawn(binary, args, {
    cwd: folder,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { pid: child.pid ?? 0, stderr: () => stderr, signal: (signal) => void child.kill(signal), ended };
}

export const seral = (args: string[], env?: Record<string, string>, folder?: string): Promise<Ended> =>
  startSeral(args, env, folder).ended;
