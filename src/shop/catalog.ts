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
  /** int8 a dimension; only the direction counts */
  embedding?: Buffer | null;
  /** what made the embedding */
  embedder?: string | null;
}
