import type { CatalogItem } from '../shop/catalog.ts';

export interface SerendipityLabel {
  label_id: string;
  revision: number;
  withdrawn: boolean;
  user_id: string;
  item_id: string;
  request_id: string | null;
  scene: string | null;
  arm: string | null;
  category_id: string | null;
  brand_id: string | null;
  seller_id: string | null;
  position: number | null;
  click_time: number;
  exposure_time: number | null;
  attribution: 'request' | 'item' | 'none';
  serendipitous: boolean;
  novel_category: boolean;
  novel_brand: boolean;
  novel_seller: boolean;
  serendipity_related: boolean;
  category_last_seen: number | null;
  visit_days: number;
  unlabelled: 'no_category' | null;
}

/** Absolute counts of one user on one day in one arm. `events` is 0 where a revision took the user out of the arm. */
export interface UserDay {
  user_id: string;
  day: string;
  arm: string | null;
  revision: number;
  events: number;
  exposures: number;
  s_exposures: number;
  clicks: number;
  s_clicks: number;
  purchases: number;
  s_purchases: number;
}

/** What the labels need to know of an item, where the event does not say it. */
export interface ItemFacts {
  category: string | null;
  brand: string | null;
  seller: string | null;
}

export const itemFacts = (item: CatalogItem): ItemFacts => ({
  category: item.category_id || null,
  brand: item.brand_id || null,
  seller: item.seller_id || null,
});
