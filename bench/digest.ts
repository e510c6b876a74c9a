import { createHash } from 'node:crypto';

/** Of records in whatever order: two rows that wrote the same ones in another order have the same digest. */
export class Digest {
  count = 0;
  #sum = 0n;

  static of(record: string | Buffer): bigint {
    return createHash('sha256').update(record).digest().readBigUInt64BE();
  }

  add(record: string | Buffer): void {
    this.put(Digest.of(record));
  }

  put(hash: bigint): void {
    this.count++;
    this.#sum = (this.#sum + hash) & 0xffff_ffff_ffff_ffffn;
  }

  /** Takes back what was put. */
  drop(hash: bigint): void {
    this.count--;
    this.#sum = (this.#sum - hash) & 0xffff_ffff_ffff_ffffn;
  }

  toString(): string {
    return this.#sum.toString(16).padStart(16, '0');
  }
}
