import { StoreError } from '../errors.ts';
import { intern } from '../log/interner.ts';

/**
 * Compact binary state: varints, length-prefixed UTF-8, null as its own mark. One writer is reused for everything that is
 * encoded; `take` copies out what was written.
 */
export class Writer {
  #buffer = Buffer.allocUnsafe(16_384);
  #at = 0;

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }

  byte(value: number): void {
    this.#room(1);
    this.#buffer[this.#at++] = value;
  }

  /** A whole number from 0 to 2^53. */
  uint(value: number): void {
    this.#room(9);
    const buffer = this.#buffer;
    let at = this.#at;
    while (value > 0x7fffffff) {
      buffer[at++] = (value % 128) | 0x80;
      value = Math.floor(value / 128);
    }
    while (value > 0x7f) {
      buffer[at++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    buffer[at++] = value;
    this.#at = at;
  }

  /** A whole number of either sign. */
  int(value: number): void {
    this.uint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  double(value: number): void {
    this.#room(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  text(value: string): void {
    const n = value.length;
    this.#room(n * 3 + 9);
    if (n < 48) {
      // most ids are short and ASCII: writing them here beats the call into native code
      const buffer = this.#buffer;
      const start = this.#at;
      let at = start + 1;
      let i = 0;
      for (; i < n; i++) {
        const c = value.charCodeAt(i);
        if (c > 0x7f) break;
        buffer[at++] = c;
      }
      if (i === n) {
        buffer[start] = n;
        this.#at = at;
        return;
      }
    }
    const bytes = Buffer.byteLength(value);
    this.uint(bytes);
    this.#at += this.#buffer.write(value, this.#at, 'utf8');
  }

  /** Bytes as they are, but for flags that are added to the one at `flagsAt` among them. */
  copy(from: Buffer, start: number, length: number, flagsAt: number, flags: number): void {
    this.#room(length);
    const buffer = this.#buffer;
    const at = this.#at;
    // so short that a loop beats the call into native code
    for (let i = 0; i < length; i++) buffer[at + i] = from[start + i];
    buffer[at + flagsAt] |= flags;
    this.#at = at + length;
  }

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.#at;
  }

  /** Null is 0, a text is 1 more than itself would be. */
  optional(value: string | null): void {
    if (value === null) this.byte(0);
    else {
      this.byte(1);
      this.text(value);
    }
  }

  /** A copy of all that was written; the writer is empty again. */
  take(): Buffer {
    const out = Buffer.allocUnsafe(this.#at);
    this.#buffer.copy(out, 0, 0, this.#at);
    this.#at = 0;
    return out;
  }
}

export class Reader {
  readonly buffer: Buffer;
  /** where reading goes on */
  at = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  byte(): number {
    return this.buffer[this.at++];
  }

  uint(): number {
    const buffer = this.buffer;
    let byte = buffer[this.at++];
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let unit = 128;
    do {
      byte = buffer[this.at++];
      value += (byte & 0x7f) * unit;
      unit *= 128;
    } while (byte >= 0x80);
    return value;
  }

  int(): number {
    const value = this.uint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  double(): number {
    const value = this.buffer.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  text(): string {
    const n = this.uint();
    const at = this.at;
    this.at += n;
    return intern(this.buffer, at, at + n) ?? this.buffer.toString('utf8', at, at + n);
  }

  skipText(): void {
    const n = this.uint();
    this.at += n;
  }

  optional(): string | null {
    return this.byte() === 0 ? null : this.text();
  }
}

/** Reads the version that bytes of state begin with. Throws StoreError STATE_VERSION for one that this build does not know. */
export function versionOf(reader: Reader, what: string, newest: number): number {
  const found = reader.byte();
  if (found < 1 || found > newest) {
    throw new StoreError(
      'STATE_VERSION',
      `${what} was written by version ${found} of its format; this build reads up to ${newest}`,
      { fatal: true },
    );
  }
  return found;
}
