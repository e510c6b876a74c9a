/**
 * Whoever the attacks of this folder are held against: a shop of honest items, and a user who did honest things there.
 * An attack adds items, behaviour and what a lying answer says; it has succeeded where a tag of its own is credible.
 */
import { bytesOf } from '../../src/inference/embedder.ts';
import { PROFILES_DEFAULTS } from '../../src/profile/options.ts';
import { approve, remember } from '../../src/profile/approval.ts';
import { Behaviour } from '../../src/profile/evidence.ts';
import { Pool } from '../../src/profile/pool.ts';
import type { TagProposal } from '../../src/profile/records.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';
import { DAY, embedder, item, options, recentOf, shop, type Did } from '../profile/given.ts';

export const FAMILIES = [
  'one crook',
  'collusion',
  'brand field',
  'unseen characters',
  'title as tag',
  'tags field',
  'no seller',
  'keyword stuffing',
  'item embedding',
  'forged tag embedding',
  'generic',
  'shared word',
  'prior poisoning',
  'thousands',
  'negation',
  'ads',
  'prompt as tag',
  'markup',
  'signs',
  'numbers',
] as const;

export interface Attack {
  family: (typeof FAMILIES)[number];
  name: string;
  /** beside the honest ones */
  items?: CatalogItem[];
  did?: Did[];
  /** what the answers say, refresh by refresh, 15 days apart; the attack's tags and honest ones */
  says: (string | TagProposal)[][];
  /** those of them that are honest, and may be approved */
  honest?: string[];
  /** what made the vectors */
  embedder?: string;
  /** it gets through, and why it is left at that */
  open?: string;
}

export const vector = (text: string): Int8Array => embedder.embedNow(text);
export const at = (day: number): number => day * DAY;
export const clicks = (...ids: string[]): Did[] => ids.map((click, n) => ({ click, at: at(26) + n }));
export const buys = (...ids: string[]): Did[] => ids.map((buy, n) => ({ buy, at: at(26) + n }));
export const toy = ['toys', 'games'];
/** A toy of a seller. */
export const by = (seller_id: string | null, id: string, title: string, more: Partial<CatalogItem> = {}): CatalogItem =>
  item(id, title, toy, { seller_id, ...more });

export interface Verdict {
  approved: string[];
  /** of the attack's tags that were refused: code and words */
  refused: { tag: string; code: string; why: string }[];
}

const own = (id: string, title: string, path: string[], more: Partial<CatalogItem> = {}) =>
  item(id, title, path, { brand_id: `b-${id}`, ...more });

export const HONEST: CatalogItem[] = [
  own('milk', 'Whole milk, 1 gallon', ['grocery', 'dairy', 'fluid milk'], { seller_id: 'farm', brand_id: 'b-farm' }),
  own('cheese', 'Shredded cheddar, 8 oz', ['grocery', 'dairy', 'cheese'], { seller_id: 'farm', brand_id: 'b-farm' }),
  own('coffee', 'Ground coffee, dark roast, 12 oz', ['grocery', 'drinks', 'coffee'], { seller_id: 'roaster' }),
  own('bread', 'Whole wheat bread, 20 oz', ['grocery', 'bakery', 'bread'], { seller_id: 'baker' }),
  own('soup', 'Tomato soup, 12 oz', ['grocery', 'canned', 'soup'], { seller_id: 'canner' }),
  own('tent', 'Alpine 2 person tent', ['outdoor', 'camping', 'tents'], { seller_id: 'hilla', brand_name: 'Hilla' }),
  own('lamp', 'Head lamp, rechargeable', ['outdoor', 'camping', 'lamps'], { seller_id: 'lumen' }),
  own('kibble', 'Crunchy kibble for cats, 2 kg', ['pets', 'cats', 'cat food'], { seller_id: 'pets4u' }),
  own('litter', 'Clumping litter, 10 kg', ['pets', 'cats', 'cat litter'], { seller_id: 'pets4u' }),
  own('novel', 'A long novel', ['books', 'fiction'], { seller_id: 'pages' }),
  own('mug', 'Blue enamel mug', ['kitchen', 'mugs'], { seller_id: 'potter' }),
  own('stove', '户外露营炉具', ['户外', '露营', '炉具'], { seller_id: 'huwai' }),
];

export const HONEST_DID: Did[] = [
  { search: 'rain jacket', at: 12 * DAY },
  ...['milk', 'cheese', 'coffee', 'bread', 'soup', 'tent', 'kibble', 'litter', 'stove', 'mug'].map((buy, n) => ({
    buy,
    at: (8 + n) * DAY,
  })),
  { buy: 'milk', at: 22 * DAY },
  { buy: 'kibble', at: 23 * DAY },
  { click: 'lamp', at: 24 * DAY },
  { click: 'novel', at: 25 * DAY },
];

/** A tag with a vector that is not its own. */
export const forged = (tag: string, vector: Int8Array): TagProposal => ({
  tag,
  group: 'interest',
  reason: 'the user loves it',
  behaviours: [],
  embedding: bytesOf(vector),
});

/** What a tag of the honest worker looks like. */
const plain = (tag: string): TagProposal => forged(tag, embedder.embedNow(tag));

export function attempt(attack: Attack): Verdict {
  const items = [...HONEST, ...(attack.items ?? [])];
  const { reader, catalog } = shop(items);
  const recent = recentOf([...HONEST_DID, ...(attack.did ?? [])], items);
  const made = attack.embedder ?? embedder.name;
  const pool = new Pool();
  const honest = new Set(attack.honest);
  const verdict: Verdict = { approved: [], refused: [] };
  for (const [n, says] of attack.says.entries()) {
    const at = (28 + 15 * n) * DAY;
    const behaviour = new Behaviour(
      recent.within(at - 28 * DAY, at, PROFILES_DEFAULTS),
      at - 28 * DAY,
      at,
      catalog,
      reader,
      made,
      options,
    );
    const proposals = says.map((one) => (typeof one === 'string' ? plain(one) : one));
    const input = { proposals, embedder: made, pool, behaviour, at, tagLength: 16, options };
    const approval = approve(input);
    remember(input, approval);
    // whoever is credible counts, were there room or not
    for (const { tag } of [...approval.tags, ...approval.belowTop]) if (!honest.has(tag)) verdict.approved.push(tag);
    for (const { tag, code, why } of approval.refused) if (!honest.has(tag)) verdict.refused.push({ tag, code, why });
  }
  return verdict;
}
