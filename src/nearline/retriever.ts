/**
 * The `Retriever` port: from what SerenGPT said to items of the shop (paper, 4.4.1: keyword-based and vector-based
 * retrieval). Texts are untrusted: whoever implements it bounds what he makes of them.
 */
import type { CatalogItem } from '../shop/catalog.ts';
import type { GeneratedText } from '../serengpt/records.ts';

export const CHANNELS = ['keyword', 'vector'] as const;
export type Channel = (typeof CHANNELS)[number];

/** What is known of an item while it is ranked. */
export interface ShopItem {
  item_id: string;
  title: string | null;
  category_id: string | null;
  category_path: readonly string[];
  brand_id: string | null;
  seller_id: string | null;
  price: number | null;
  /** of the retriever's embedder; null: not yet, or its text says nothing */
  vector: Int8Array | null;
}

/** The text that led to an item best, in one channel. */
export interface Lead {
  /** its place among the texts */
  text: number;
  /** 0 to 1 */
  score: number;
}

export interface Found {
  item: ShopItem;
  keyword: Lead | null;
  vector: Lead | null;
  /** 0 to 1: reciprocal ranks over all texts and both channels (fusion.ts) */
  fused: number;
  /** 0 to 1: of the samples, those whose text found it in some channel */
  share: number;
}

export interface Retrieval {
  /** each item once, the best `fused` first */
  found: Found[];
  /** what each channel took */
  seconds: Record<Channel, number>;
}

export interface Retriever {
  /** the engine and the embedder, with their versions */
  readonly name: string;
  /** Called before the first request. Throws what no waiting will cure. */
  prepare(signal: AbortSignal): Promise<void>;
  /**
   * Items in stock, at most `k` for each text and channel. Throws InferenceError (RETRIEVER_UNAVAILABLE, RETRIEVER_TIMEOUT,
   * RETRIEVER_REFUSED, or the embedder's), or the signal's reason.
   */
  retrieve(texts: readonly GeneratedText[], k: number, signal: AbortSignal): Promise<Retrieval>;
  /** What is known of items, in stock or not; unknown ones are not in it. Throws as `retrieve` does. */
  items(ids: readonly string[], signal: AbortSignal): Promise<Map<string, ShopItem>>;
  status(): RetrieverStatus;
  close(): Promise<void>;
}

export interface RetrieverStatus {
  /** items that may be found, by channel; null: another machine knows */
  items: Record<Channel, number> | null;
  /** bytes of the indexes in this process, roughly */
  bytes: Record<Channel, number> | null;
  /** changes of the catalog that are not in the indexes yet */
  pending: number;
  /** wall clock: when the indexes last took a change in, or had none to take in; null: not yet */
  currentAt: number | null;
}

/** A retriever whose indexes are in this process: it is told of each change of the catalog. */
export interface CatalogIndex {
  /** An item that is new or has changed. */
  put(item: CatalogItem): void;
  remove(item_id: string): void;
  /** Resolves when all that was put by now can be found. */
  settled(): Promise<void>;
}
