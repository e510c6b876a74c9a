/** A state backend in memory: for the test driver, and wherever state fits and need not last. It answers at once. */
import type { DbChange, Row, StateBackend } from './state-db.ts';

export class MemoryDb implements StateBackend {
  readonly #rows = new Map<string, Buffer>();
  /** keys in order, as binary strings; null after a key came or went */
  #sorted: string[] | null = null;

  getMany(keys: Buffer[]): (Buffer | null)[] {
    return keys.map((key) => this.#rows.get(key.toString('latin1')) ?? null);
  }

  scan(from: Buffer, until: Buffer, limit: number): Row[] {
    this.#sorted ??= [...this.#rows.keys()].sort();
    const end = until.toString('latin1');
    const rows: Row[] = [];
    for (
      let i = lowerBound(this.#sorted, from.toString('latin1'));
      i < this.#sorted.length && rows.length < limit;
      i++
    ) {
      const key = this.#sorted[i]!;
      if (key >= end) break;
      rows.push({ key: Buffer.from(key, 'latin1'), value: this.#rows.get(key)! });
    }
    return rows;
  }

  write(changes: readonly DbChange[]): void {
    for (const { key, value } of changes) {
      const id = key.toString('latin1');
      if (value === null ? this.#rows.delete(id) : !this.#rows.has(id)) this.#sorted = null;
      if (value !== null) this.#rows.set(id, value);
    }
  }
}

function lowerBound(sorted: string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
