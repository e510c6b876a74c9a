/**
 * Vectors of items by direction: a graph of neighbours (HNSW, usearch) over int8, kept as items come and go. What it says is
 * approximate in what it finds, not in its scores: those are cosines of the very vectors.
 */
import usearch, { type Index } from 'usearch';
import { cosine } from '../../inference/embedder.ts';
import { TopItems, type Scored } from './top-items.ts';

/** Neighbours of a node, and how widely is looked when one is added and when one is searched for. */
const CONNECTIVITY = 16;
const WIDTH_ADD = 128;
const WIDTH_SEARCH = 96;
/** Removed vectors leave gaps in the graph: after as many as there are vectors, and at least so many, it is made anew. */
const FEW_REMOVED = 10_000;

export class VectorIndex {
  readonly dimensions: number;
  readonly #fewRemoved: number;
  #graph: Index;
  /** by slot */
  #ids: (string | null)[] = [];
  readonly #free: number[] = [];
  readonly #slots = new Map<string, number>();
  readonly #vectors = new Map<string, Int8Array>();
  #removed = 0;

  constructor(dimensions: number, options: { fewRemoved?: number } = {}) {
    this.dimensions = dimensions;
    this.#fewRemoved = options.fewRemoved ?? FEW_REMOVED;
    this.#graph = this.#emptyGraph();
  }

  get size(): number {
    return this.#slots.size;
  }

  /** Of the vectors, here and in the graph, and of its edges. */
  get bytes(): number {
    const edges = 2 * CONNECTIVITY * 4 + 16;
    return this.#graph.capacity() * (this.dimensions + edges) + this.#slots.size * this.dimensions;
  }

  /** Adds or replaces. All are of `dimensions`, and have a direction. The index keeps them. */
  put(entries: readonly { id: string; vector: Int8Array }[]): void {
    const keys = new BigUint64Array(entries.length);
    const flat = new Int8Array(entries.length * this.dimensions);
    const last = new Map(entries.map((entry) => [entry.id, entry.vector]));
    // all of them before any slot is given: the last one removed may have the graph made anew
    for (const id of last.keys()) this.remove(id);
    let count = 0;
    for (const [id, vector] of last) {
      const slot = this.#free.pop() ?? this.#ids.length;
      this.#ids[slot] = id;
      this.#slots.set(id, slot);
      this.#vectors.set(id, vector);
      keys[count] = BigInt(slot);
      flat.set(vector, count++ * this.dimensions);
    }
    // one thread: the machine is shared with whatever else the process does
    if (count > 0) this.#graph.add(keys.subarray(0, count), flat.subarray(0, count * this.dimensions), 1);
  }

  remove(id: string): void {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    this.#graph.remove(BigInt(slot));
    this.#slots.delete(id);
    this.#vectors.delete(id);
    this.#ids[slot] = null;
    this.#free.push(slot);
    this.#removed++;
    if (this.#removed > Math.max(this.#fewRemoved, this.#slots.size)) this.#rebuild();
  }

  /** For each vector the nearest `k`, best first, with their cosines from 0 to 1: what points elsewhere is not near. */
  search(vectors: readonly Int8Array[], k: number): Scored[][] {
    if (this.#slots.size === 0 || k <= 0) return vectors.map(() => []);
    return vectors.map((vector) => {
      const top = new TopItems(k);
      for (const key of this.#graph.search(vector, k, 1).keys) {
        const id = this.#ids[Number(key)];
        if (id == null) continue;
        const score = cosine(vector, this.#vectors.get(id)!);
        if (score > 0) top.offer(id, Math.min(score, 1));
      }
      return top.list();
    });
  }

  #emptyGraph(): Index {
    return new usearch.Index({
      dimensions: this.dimensions,
      metric: usearch.MetricKind.Cos,
      quantization: usearch.ScalarKind.I8,
      connectivity: CONNECTIVITY,
      expansion_add: WIDTH_ADD,
      expansion_search: WIDTH_SEARCH,
      multi: false,
    });
  }

  #rebuild(): void {
    const entries = [...this.#vectors].map(([id, vector]) => ({ id, vector }));
    this.#graph = this.#emptyGraph();
    this.#ids = [];
    this.#free.length = 0;
    this.#slots.clear();
    this.#removed = 0;
    this.put(entries);
  }
}
