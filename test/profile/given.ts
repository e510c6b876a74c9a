/** A user's behaviour and a model's proposals, said shortly. */
import { bytesOf } from '../../src/inference/embedder.ts';
import { NgramEmbedder } from '../../src/inference/ngram-embedder.ts';
import { Behaviour } from '../../src/profile/evidence.ts';
import { PROFILES_DEFAULTS, type ApprovalOptions } from '../../src/profile/options.ts';
import { ProductReader, type Product } from '../../src/profile/products.ts';
import { Recent } from '../../src/profile/recent.ts';
import type { TagGroup, TagProposal } from '../../src/profile/records.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';

export const DAY = 86_400_000;
export const embedder = new NgramEmbedder();
export const options: ApprovalOptions = PROFILES_DEFAULTS.approval;

export const item = (item_id: string, title: string, path: string[], more: Partial<CatalogItem> = {}): CatalogItem => ({
  item_id,
  title,
  category_id: path.join(' > '),
  category_path: path,
  brand_id: null,
  brand_name: null,
  seller_id: null,
  tags: [],
  price: null,
  ...more,
});

export const SHOP: CatalogItem[] = [
  item('tent', 'Alpine 2 person tent', ['outdoor', 'camping', 'tents'], {
    seller_id: 's1',
    brand_id: 'hilla',
    brand_name: 'Hilla',
  }),
  item('stove', 'Gas stove for hikers', ['outdoor', 'camping', 'stoves'], {
    seller_id: 's2',
    brand_id: 'hilla',
    brand_name: 'Hilla',
  }),
  item('kibble', 'Crunchy kibble, 2 kg', ['pets', 'cats', 'cat food'], { seller_id: 's3' }),
  item('novel', 'A long novel', ['books', 'fiction'], { seller_id: 's4' }),
  item('mug', 'Blue enamel mug', ['kitchen', 'mugs'], { seller_id: 's1' }),
  item('mug2', 'White enamel mug', ['kitchen', 'mugs'], { seller_id: 's5' }),
];

export function shop(items: readonly CatalogItem[] = SHOP, kind: 'ngram' | 'none' = 'ngram') {
  const reader = new ProductReader(kind);
  return { reader, catalog: new Map<string, Product>(items.map((one) => [one.item_id, reader.read(one)])) };
}

export interface Did {
  search?: string;
  click?: string;
  buy?: string;
  at: number;
}

export function recentOf(dids: readonly Did[], items: readonly CatalogItem[] = SHOP): Recent {
  const recent = new Recent();
  for (const { search, click, buy, at } of dids) {
    if (search !== undefined) recent.search(at, search);
    const id = click ?? buy;
    if (id === undefined) continue;
    const product = items.find(({ item_id }) => item_id === id);
    recent.touch(click === undefined ? 'purchase' : 'click', at, {
      item: id,
      title: product?.title ?? null,
      category: product?.category_id ?? null,
      brand: product?.brand_id ?? null,
      seller: product?.seller_id ?? null,
    });
  }
  return recent;
}

export function behaviourOf(
  dids: readonly Did[],
  {
    items = SHOP,
    from = 0,
    until = 28 * DAY,
    kind = 'ngram' as 'ngram' | 'none',
    approval = options,
    /** what made the tags' vectors; else the reader's */
    embedder = undefined as string | undefined,
  } = {},
): Behaviour {
  const { reader, catalog } = shop(items, kind);
  const done = recentOf(dids, items).within(from, until, PROFILES_DEFAULTS);
  return new Behaviour(done, from, until, catalog, reader, embedder ?? reader.embedder, approval);
}

export const proposal = (tag: string, group: TagGroup = 'category', reason: string | null = null): TagProposal => ({
  tag,
  group,
  reason,
  behaviours: [],
  embedding: bytesOf(embedder.embedNow(tag)),
});
