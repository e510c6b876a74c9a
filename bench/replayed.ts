import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Digest } from './digest.ts';
import { generate, toLine, type GeneratorOptions } from './generate.ts';

/** What `seral replay labels` says of the first so many events of a generated log, by count and digest. */
export async function replayed(options: GeneratorOptions, events: number): Promise<{ count: number; digest: string }> {
  const seral = join(import.meta.dirname, '../bin/seral');
  const child = spawn(seral, ['replay', 'labels', '--input', '-', '--output', '-', '--cache', '256MB'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = `${said}${String(chunk)}`.slice(-4000)));
  child.stdin.on('error', () => {}); // it ended early, which its exit code says
  const digest = new Digest();
  const reading = (async () => {
    for await (const line of createInterface({ input: child.stdout })) digest.add(line);
  })();
  let left = events;
  let text = '';
  for await (const event of generate(options)) {
    if (left-- === 0) break;
    text += toLine(event);
    if (text.length < 1 << 18) continue;
    if (!child.stdin.write(text)) await Promise.race([once(child.stdin, 'drain'), ended]);
    text = '';
  }
  child.stdin.end(text);
  await reading;
  const [code] = (await ended) as [number | null];
  if (code !== 0) throw new Error(`the file replay failed with exit code ${code}\n${said}`);
  return { count: digest.count, digest: String(digest) };
}
