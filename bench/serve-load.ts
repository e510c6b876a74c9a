/** What `seral serve` is asked in its benches, and by whom. */
import { CANDIDATES, type UserCandidates } from '../src/nearline/records.ts';
import { EntryCodec } from '../src/nearline/serve/entry.ts';
import { readSchema } from '../src/log/schemas.ts';
import { randomOf } from './world.ts';

export const TOKEN = 'a-token-for-the-bench';
export const ARMS = { bold: { weight: 0.8, atLeast: 2 } };
/** rows of a fusion's answer */
export const SIZE = 50;
/** personalised items of a fusion, and different lists of them */
const PERSONALISED = 200;
const BODIES = 500;
const HOUR = 3_600_000;
const WORDS =
  'walking boots rain jacket tent stove lamp ceramic teapot garden linen dark chocolate puzzle winter set'.split(' ');

export const codecOfCandidates = async (): Promise<EntryCodec> => new EntryCodec(await readSchema(CANDIDATES.schema));

export const nameOf = (i: number): string => `user-${String(i).padStart(8, '0')}`;

export interface Asked {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  body?: string;
}

const HEADERS = { authorization: `Bearer ${TOKEN}` };

export const getOf = (user: string): Asked => ({
  method: 'GET',
  path: `/v1/users/${user}/candidates`,
  headers: HEADERS,
});

/** Users by Zipf's law: rank r comes in proportion to 1 / r^s. */
export function zipfUser(random: () => number, users: number, s: number): () => string {
  const cumulative = new Float64Array(users);
  for (let i = 0, sum = 0; i < users; i++) cumulative[i] = sum += 1 / (i + 1) ** s;
  return () => {
    const at = random() * cumulative[users - 1]!;
    let [low, high] = [0, users - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! < at) low = middle + 1;
      else high = middle;
    }
    // neighbours in rank are no neighbours on the disk
    return nameOf((low * 7919) % users);
  };
}

export type Kind = 'get' | 'fuse';

/** Of a row that asks for each of its users in turn. */
export interface ServeRow {
  kind: Kind;
  requests: number;
  users: number;
  /** of a user */
  candidates: number;
  seed: string;
}

/** The same requests each time, neighbours far apart. */
export function asker({ kind, users, candidates, seed }: ServeRow): () => Asked & { user: string } {
  const load = new ServeLoad(randomOf(seed, 'asked'), candidates);
  let n = 0;
  return () => {
    const user = nameOf((n++ * 7919) % users);
    return { user, ...(kind === 'get' ? getOf(user) : load.fuseOf(user)) };
  };
}

export class ServeLoad {
  readonly #random: () => number;
  readonly #candidates: number;
  readonly #bodies: string[];

  constructor(random: () => number, candidates: number) {
    this.#random = random;
    this.#candidates = candidates;
    this.#bodies = Array.from({ length: BODIES }, () => this.#personalised());
  }

  fuseOf(user: string): Asked {
    const body = `{"user_id":"${user}","request_id":"r-${this.#below(1e9)}","arm":"bold","size":${SIZE},"candidates":${this.#bodies[this.#below(BODIES)]}}`;
    return { method: 'POST', path: '/v1/fuse', headers: { ...HEADERS, 'content-type': 'application/json' }, body };
  }

  /** Valid for almost a day from now. */
  listOf(user_id: string): UserCandidates {
    const now = Date.now();
    const candidates = this.#candidates;
    return {
      user_id,
      request_id: `${user_id}-${now}-1`,
      round: 1,
      revision: 0,
      asked_at: now - HOUR,
      generated_at: now - HOUR,
      expires_at: now + 23 * HOUR,
      model: 'serengpt-7b',
      prompt_version: 'serengpt-1',
      retriever: 'bm25-vectors-1',
      ranker: 'logistic-1',
      candidates: Array.from({ length: candidates }, (_, i) => ({
        item_id: `item-${this.#below(1e7)}-${i}`,
        title: this.#words(9),
        category_id: `category-${this.#below(500)}`,
        brand_id: `brand-${this.#below(5000)}`,
        seller_id: `seller-${this.#below(50_000)}`,
        price: this.#below(10_000) / 100,
        score: 1 - (i + this.#random()) / candidates,
        led_by: this.#words(6),
        led_by_kind: i % 5 === 0 ? 'query' : 'title',
        channels: i % 2 === 0 ? ['keyword', 'vector'] : ['vector'],
        novel_category: true,
        novel_brand: true,
        novel_seller: true,
        category_last_seen: null,
      })),
      left_out: [{ rule: 'NOT_NOVEL', count: 12 }],
    };
  }

  #personalised(): string {
    let score = 20;
    return JSON.stringify(
      Array.from({ length: PERSONALISED }, (_, i) => ({
        item_id: `item-${this.#below(1e7)}-p${i}`,
        score: (score -= this.#random() / 10),
        category_id: `category-${this.#below(500)}`,
      })),
    );
  }

  #words(count: number): string {
    return Array.from({ length: count }, () => WORDS[this.#below(WORDS.length)]).join(' ');
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }
}
