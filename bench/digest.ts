import { createHash } from 'node:crypto';

/** Adds up hashes of records, so that two rows that wrote the same records in another order have the same digest. */
export class Digest {
  count = 0;
  #sum = 0n;

  add(record: string | Buffer): void {
    this.count++;
    this.#sum = (this.#sum + createHash('sha256').update(record).digest().readBigUInt64BE()) & 0xffff_ffff_ffff_ffffn;
  }

  toString(): string {
    return this.#sum.toString(16).padStart(16, '0');
  }
}
