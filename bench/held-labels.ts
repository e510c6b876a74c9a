import type { SerendipityLabel } from '../src/serendipity/records.ts';
import { Digest } from './digest.ts';

/**
 * The labels that hold, from all that were published: the last revision of each, without those withdrawn. A revision that
 * is left out, comes twice or out of order is an error, so that a digest that fits says "exactly once" too.
 */
export class HeldLabels {
  readonly #last = new Map<string, { revision: number; hash: bigint | null }>();
  readonly #held = new Digest();
  published = 0;

  add(published: SerendipityLabel): void {
    const { revision, withdrawn, ...label } = published;
    const key = `${label.label_id}\0${label.user_id}`;
    const before = this.#last.get(key);
    if (revision !== (before?.revision ?? -1) + 1)
      throw new Error(`${label.label_id} has revision ${revision} after ${before?.revision ?? 'none'}`);
    if (before !== undefined && before.hash !== null) this.#held.drop(before.hash);
    const hash = withdrawn ? null : Digest.of(JSON.stringify(label));
    if (hash !== null) this.#held.put(hash);
    this.#last.set(key, { revision, hash });
    this.published++;
  }

  get count(): number {
    return this.#held.count;
  }

  get digest(): string {
    return String(this.#held);
  }
}
