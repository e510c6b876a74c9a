import { BadRecordError } from '../errors.ts';

/** contracts: an item of the shop. */
export interface CatalogItem {
  item_id: string;
  title: string | null;
  category_id: string | null;
  category_path: string[];
  brand_id: string | null;
  brand_name: string | null;
  seller_id: string | null;
  tags: string[];
  price: number | null;
  /** in stock; true where nothing is said */
  available?: boolean;
  /** int8 a dimension; only the direction counts */
  embedding?: Buffer | null;
  /** what made the embedding */
  embedder?: string | null;
}

/** Makes a CatalogItem of parsed JSON: what is missing gets its default. Throws BadRecordError CATALOG_ITEM. */
export function catalogFromJson(json: unknown): CatalogItem {
  const item = json as Partial<CatalogItem> | undefined;
  if (typeof item?.item_id !== 'string' || item.item_id === '') {
    throw new BadRecordError('CATALOG_ITEM', 'a row of the catalog has no item_id');
  }
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  const texts = (value: unknown) => (Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []);
  return {
    item_id: item.item_id,
    title: text(item.title),
    category_id: text(item.category_id),
    category_path: texts(item.category_path),
    brand_id: text(item.brand_id),
    brand_name: text(item.brand_name),
    seller_id: text(item.seller_id),
    tags: texts(item.tags),
    price: typeof item.price === 'number' ? item.price : null,
    available: item.available !== false,
  };
}
