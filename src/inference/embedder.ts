/**
 * The `Embedder` port: texts to vectors whose direction is their meaning. On its way through topics and stores a vector is
 * int8 a dimension, so that a cosine is a sum of products of small whole numbers, the same on every machine.
 */
export interface Embedder {
  /** name and version: vectors of different embedders are not compared */
  readonly name: string;
  readonly dimensions: number;
  embed(texts: readonly string[]): Promise<Int8Array[]>;
}

/** Scales a vector to int8 by its largest part. All zeros stay so. */
export function quantize(vector: Float32Array | Float64Array): Int8Array {
  let largest = 0;
  for (const part of vector) largest = Math.max(largest, Math.abs(part));
  const out = new Int8Array(vector.length);
  if (largest > 0) for (let i = 0; i < vector.length; i++) out[i] = Math.round((vector[i]! / largest) * 127);
  return out;
}

/** From -1 to 1; 0 where one has no direction or their lengths differ. */
export function cosine(a: Int8Array, b: Int8Array): number {
  if (a.length !== b.length) return 0;
  let dot = 0;
  for (let i = 0; i < a.length; i++) dot += a[i]! * b[i]!;
  return dot === 0 ? 0 : dot / Math.sqrt(squares(a) * squares(b));
}

/** Of a vector's parts. The same vectors are compared over and over. */
function squares(vector: Int8Array): number {
  let sum = known.get(vector);
  if (sum === undefined) {
    sum = 0;
    for (const part of vector) sum += part * part;
    known.set(vector, sum);
  }
  return sum;
}
const known = new WeakMap<Int8Array, number>();

/** A vector as records and stores have it. */
export const vectorOf = (bytes: Buffer): Int8Array => new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
export const bytesOf = (vector: Int8Array): Buffer => Buffer.from(vector.buffer, vector.byteOffset, vector.length);
