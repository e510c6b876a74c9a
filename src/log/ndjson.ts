import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { once } from 'node:events';
import { createGunzip } from 'node:zlib';

/** One line of a file, parsed. `value` is undefined where the line is no JSON; `raw` is its text then. */
export interface Line {
  number: number;
  value: unknown;
  raw: string | null;
}

export interface LinesOptions {
  /** told the bytes read of the file so far, compressed ones where it is compressed */
  onProgress?: (bytes: number) => void;
  /** lines a batch */
  batch?: number;
}

/** Bytes of a file, for progress; null for standard input. */
export const sizeOf = async (path: string): Promise<number | null> => (path === '-' ? null : (await stat(path)).size);

const GZIP = Buffer.from([0x1f, 0x8b]);

/**
 * The records of an .ndjson file, `.gz` allowed (known by its first bytes, so standard input may be compressed too), in
 * batches. `-` is standard input. Empty lines are passed over; a UTF-8 byte order mark is too.
 */
export async function* readLines(
  path: string,
  { onProgress, batch = 2000 }: LinesOptions = {},
): AsyncGenerator<Line[]> {
  const file: Readable = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 1 << 18 });
  let bytes = 0;
  let stream: Readable | null = null;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of file as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      onProgress?.(bytes);
      yield chunk;
    }
  }
  const chunks = counted();
  const first = await chunks.next();
  if (first.done === true) return;
  async function* all(): AsyncGenerator<Buffer> {
    yield first.value as Buffer;
    yield* chunks;
  }
  let source: AsyncIterable<Buffer> = all();
  if ((first.value as Buffer).subarray(0, 2).equals(GZIP)) {
    const gunzip = createGunzip({ chunkSize: 1 << 18 });
    stream = gunzip;
    void pump(source, gunzip);
    source = gunzip as AsyncIterable<Buffer>;
  }
  try {
    let number = 0;
    let lines: Line[] = [];
    let rest: Buffer | null = null;
    const take = (line: Buffer): void => {
      number++;
      const text = line.toString('utf8').trim();
      if (text === '') return;
      lines.push(parse(number, number === 1 ? text.replace(/^\uFEFF/, '') : text));
    };
    for await (const chunk of source) {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        const part: Buffer = chunk.subarray(from, end);
        take(rest === null ? part : Buffer.concat([rest, part]));
        rest = null;
        from = end + 1;
        if (lines.length >= batch) {
          yield lines;
          lines = [];
        }
      }
      if (from < chunk.length) {
        const part: Buffer = chunk.subarray(from);
        rest = rest === null ? Buffer.from(part) : Buffer.concat([rest, part]);
      }
    }
    if (rest !== null) take(rest);
    if (lines.length > 0) yield lines;
  } finally {
    stream?.destroy();
    if (path !== '-') file.destroy();
  }
}

function parse(number: number, text: string): Line {
  try {
    return { number, value: JSON.parse(text), raw: null };
  } catch {
    return { number, value: undefined, raw: text };
  }
}

async function pump(from: AsyncIterable<Buffer>, to: Writable): Promise<void> {
  try {
    for await (const chunk of from) if (!to.write(chunk)) await once(to, 'drain');
    to.end();
  } catch (error) {
    to.destroy(error as Error);
  }
}

/** Writes text to a file or, for `-`, to standard output; waits where the reader is slower. */
export class TextFile {
  readonly #stream: Writable;
  readonly #path: string;
  #pending = '';
  #failed: Error | null = null;

  constructor(path: string) {
    this.#path = path;
    this.#stream = path === '-' ? process.stdout : createWriteStream(path);
    this.#stream.on('error', (error) => (this.#failed = error));
  }

  async write(text: string): Promise<void> {
    this.#pending += text;
    if (this.#pending.length > 1 << 16) await this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#failed !== null) throw this.#failed;
    const text = this.#pending;
    this.#pending = '';
    if (!this.#stream.write(text)) await once(this.#stream, 'drain');
  }

  async close(): Promise<void> {
    await this.#flush();
    if (this.#path !== '-') await new Promise<void>((done) => this.#stream.end(done));
    if (this.#failed !== null) throw this.#failed;
  }
}
