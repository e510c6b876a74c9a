/**
 * Decompression of record batches, as other clients write them. gzip and zstd are Node's own; snappy and lz4 are small
 * enough to be read here, which spares users a native module for topics that they do not write themselves.
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { LogError } from '../../errors.ts';

const GZIP = 1;
const SNAPPY = 2;
const LZ4 = 3;
const ZSTD = 4;

/** The codec is the one of a batch's attributes. */
export function decompress(codec: number, data: Buffer): Buffer {
  try {
    switch (codec) {
      case GZIP:
        return gunzipSync(data);
      case SNAPPY:
        return snappy(data);
      case LZ4:
        return lz4(data);
      case ZSTD:
        return zstdDecompressSync(data);
    }
  } catch (cause) {
    throw new LogError('LOG_CORRUPT', 'a compressed record batch cannot be read', { fatal: true, cause });
  }
  throw new LogError('UNSUPPORTED_CODEC', `records are compressed with codec ${codec}, which is not known`, {
    fatal: true,
  });
}

/** What is decompressed grows at its end and is copied from itself: both formats are literals and references back. */
class Output {
  private data: Buffer;
  private length = 0;

  constructor(size: number) {
    this.data = Buffer.allocUnsafeSlow(size);
  }

  get bytes(): Buffer {
    return this.data.subarray(0, this.length);
  }

  reserve(more: number): void {
    if (this.length + more <= this.data.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.data.length * 2, this.length + more));
    this.data.copy(larger, 0, 0, this.length);
    this.data = larger;
  }

  literal(from: Buffer, start: number, end: number): void {
    if (end > from.length) throw new RangeError('it ends too early');
    this.reserve(end - start);
    from.copy(this.data, this.length, start, end);
    this.length += end - start;
  }

  back(distance: number, count: number): void {
    if (distance === 0 || distance > this.length) throw new RangeError('it refers to before its start');
    this.reserve(count);
    const { data } = this;
    const end = this.length + count;
    // byte by byte where it reaches into what it writes, which repeats a short pattern
    if (distance >= count) data.copyWithin(this.length, this.length - distance, this.length - distance + count);
    else for (let at = this.length; at < end; at++) data[at] = data[at - distance]!;
    this.length = end;
  }
}

/** Java's clients write blocks with lengths before them, behind a header; others write one bare block. */
function snappy(data: Buffer): Buffer {
  const framed = data.length >= 16 && data[0] === 0x82 && data.toString('latin1', 1, 7) === 'SNAPPY';
  const output = new Output(data.length * 4);
  if (!framed) snappyBlock(data, 0, data.length, output);
  for (let at = framed ? 16 : data.length; at + 4 <= data.length;) {
    const end = at + 4 + data.readInt32BE(at);
    snappyBlock(data, at + 4, end, output);
    at = end;
  }
  return output.bytes;
}

function snappyBlock(data: Buffer, start: number, end: number, output: Output): void {
  let at = start;
  // its decompressed length, which the output finds out by itself
  while (data[at++]! >= 0x80);
  while (at < end) {
    const tag = data[at++]!;
    const kind = tag & 3;
    if (kind === 0) {
      let length = tag >> 2;
      if (length >= 60) {
        const bytes = length - 59;
        length = data.readUIntLE(at, bytes);
        at += bytes;
      }
      output.literal(data, at, at + length + 1);
      at += length + 1;
    } else if (kind === 1) {
      output.back(((tag & 0xe0) << 3) | data[at++]!, ((tag >> 2) & 7) + 4);
    } else {
      const bytes = kind === 2 ? 2 : 4;
      output.back(data.readUIntLE(at, bytes), (tag >> 2) + 1);
      at += bytes;
    }
  }
}

const LZ4_MAGIC = 0x184d2204;

/** The frame format; checksums are not checked, as the batch has one of its own. */
function lz4(data: Buffer): Buffer {
  if (data.readUInt32LE(0) !== LZ4_MAGIC) throw new RangeError('it is not an LZ4 frame');
  const flags = data[4]!;
  const blockChecksum = (flags & 0x10) !== 0;
  // the magic, the flags, the block size, a checksum; the content's size and a dictionary's id where flagged
  let at = 7 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0);
  const output = new Output(data.length * 4);
  for (;;) {
    const size = data.readUInt32LE(at);
    at += 4;
    if (size === 0) return output.bytes;
    const length = size & 0x7fffffff;
    if (size > 0x7fffffff) output.literal(data, at, at + length);
    else lz4Block(data, at, at + length, output);
    at += length + (blockChecksum ? 4 : 0);
  }
}

function lz4Block(data: Buffer, start: number, end: number, output: Output): void {
  let at = start;
  while (at < end) {
    const token = data[at++]!;
    let literals = token >> 4;
    if (literals === 15) {
      do literals += data[at]!;
      while (data[at++] === 255);
    }
    output.literal(data, at, at + literals);
    at += literals;
    // the last sequence has no reference
    if (at >= end) return;
    const distance = data.readUInt16LE(at);
    at += 2;
    let count = (token & 15) + 4;
    if (count === 19) {
      do count += data[at]!;
      while (data[at++] === 255);
    }
    output.back(distance, count);
  }
}
