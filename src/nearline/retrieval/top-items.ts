import { compareIds } from '../../shop/behaviour.ts';

export interface Scored {
  id: string;
  score: number;
}

/** The best few of many, best first. Equal ones in the order of their ids: the same on every machine. */
export class TopItems {
  readonly #k: number;
  readonly #best: Scored[] = [];

  constructor(k: number) {
    this.#k = k;
  }

  offer(id: string, score: number): void {
    const best = this.#best;
    if (best.length === this.#k && !before(id, score, best[best.length - 1]!)) return;
    if (best.length === this.#k) best.pop();
    // k is small: finding the place from the end costs less than keeping a heap
    let at = best.length;
    while (at > 0 && before(id, score, best[at - 1]!)) at--;
    best.splice(at, 0, { id, score });
  }

  list(): Scored[] {
    return this.#best;
  }
}

const before = (id: string, score: number, other: Scored): boolean =>
  score > other.score || (score === other.score && compareIds(id, other.id) < 0);
