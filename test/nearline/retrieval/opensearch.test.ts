/**
 * The OpenSearch retriever and its indexer, over a stand-in for the documented API; and over the real one where OPENSEARCH_URL
 * names it (OPENSEARCH_USERNAME, OPENSEARCH_PASSWORD): without, only the stand-in has been asked.
 */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NgramEmbedder } from '../../../src/inference/ngram-embedder.ts';
import { embeddedSerdes } from '../../../src/log/registry/embedded.ts';
import { OpenSearchClient, type OpenSearchClientOptions } from '../../../src/nearline/retrieval/opensearch/client.ts';
import { CatalogIndexer, type IndexerOptions } from '../../../src/nearline/retrieval/opensearch/indexer.ts';
import { OpenSearchRetriever } from '../../../src/nearline/retrieval/opensearch/retriever.ts';
import { OPENSEARCH_DEFAULTS } from '../../../src/nearline/retrieval/opensearch/settings.ts';
import type { CatalogItem } from '../../../src/shop/catalog.ts';
import { Bench, eventually } from '../../stream/bench.ts';
import { OpenSearchStub } from '../../support/opensearch-stub.ts';
import { item, said } from '../given.ts';
import { retrieverContract, type RetrieverUnderTest } from './contract.ts';

const { OPENSEARCH_URL, OPENSEARCH_USERNAME, OPENSEARCH_PASSWORD } = process.env;
const TOPIC = { topic: 'catalog.items', schema: 'CatalogItem' };
const { signal } = new AbortController();
const embedder = new NgramEmbedder();

/** A log with a catalog, and what keeps an index at it. */
class Shop {
  readonly bench: Bench;
  readonly settings = { ...OPENSEARCH_DEFAULTS, index: `seral-test-${randomUUID()}`, replicas: 0 };
  readonly client: OpenSearchClient;
  readonly indexers: CatalogIndexer[] = [];
  written = 0;

  private constructor(bench: Bench, options: Partial<OpenSearchClientOptions> & { url: string }) {
    this.bench = bench;
    const patient = { requestTimeoutMs: 20_000, attemptTimeoutMs: 10_000, backoffMs: 1 };
    this.client = new OpenSearchClient({ ...this.settings, ...patient, auth: null, ...options });
  }

  static async open(options: Partial<OpenSearchClientOptions> & { url: string }): Promise<Shop> {
    const bench = await Bench.open();
    const admin = bench.log.admin();
    await admin.create([{ topic: TOPIC.topic, partitions: 2 }]);
    await admin.close();
    return new Shop(bench, options);
  }

  async indexer(given: Partial<IndexerOptions> = {}): Promise<CatalogIndexer> {
    const { bench, client, settings } = this;
    const indexer = new CatalogIndexer({
      client,
      settings,
      embedder,
      topic: TOPIC,
      log: bench.log,
      serdes: await embeddedSerdes(),
      app: 'test',
      logger: bench.logger,
      now: Date.now,
      onFatal: (error) => bench.fatal.push(error),
      pauseMs: 5,
      ...given,
    });
    this.indexers.push(indexer);
    return indexer;
  }

  retriever(): OpenSearchRetriever {
    return new OpenSearchRetriever({ client: this.client, settings: this.settings, embedder });
  }

  async write(...changes: (CatalogItem | string)[]): Promise<void> {
    const serde = await (await embeddedSerdes()).serde<CatalogItem>(TOPIC.topic, TOPIC.schema);
    const producer = this.bench.log.producer();
    await producer.open();
    await producer.send(
      changes.map((one) => ({
        topic: TOPIC.topic,
        key: Buffer.from(typeof one === 'string' ? one : one.item_id),
        value: typeof one === 'string' ? null : serde.encode(one),
      })),
    );
    await producer.close();
    this.written += changes.length;
  }

  /** Until all that was written has been indexed, by all indexers together, and can be found. */
  async settled(): Promise<void> {
    await eventually(() => {
      const rows = this.indexers.reduce((sum, indexer) => sum + indexer.status().rows, 0);
      expect(rows).toBeGreaterThanOrEqual(this.written);
    });
    await this.client.call({ method: 'POST', path: `/${this.settings.index}/_refresh` }, signal);
  }

  async close(): Promise<void> {
    await Promise.all(this.indexers.map((indexer) => indexer.stop()));
    await this.bench.close();
  }
}

async function underTest(shop: Shop, end: () => Promise<unknown>): Promise<RetrieverUnderTest> {
  const indexer = await shop.indexer();
  await indexer.start();
  return {
    retriever: shop.retriever(),
    async change(...changes) {
      await shop.write(...changes);
      await shop.settled();
    },
    async close() {
      await shop.close();
      await end();
    },
  };
}

retrieverContract('OpenSearch, a stand-in', async () => {
  const stub = await OpenSearchStub.start();
  return underTest(await Shop.open({ url: stub.url }), () => stub.close());
});

if (OPENSEARCH_URL === undefined) {
  console.warn('\nOPENSEARCH_URL IS NOT SET: NO REAL OPENSEARCH HAS BEEN ASKED, ONLY A STAND-IN FOR IT\n');
} else {
  const auth =
    OPENSEARCH_USERNAME === undefined ? null : { username: OPENSEARCH_USERNAME, password: OPENSEARCH_PASSWORD ?? '' };
  retrieverContract(`OpenSearch at ${OPENSEARCH_URL}`, async () => {
    const shop = await Shop.open({ url: OPENSEARCH_URL, auth });
    return underTest(shop, () => fetch(`${OPENSEARCH_URL}/${shop.settings.index}`, { method: 'DELETE' }));
  });
}

describe('the indexer', () => {
  let stub: OpenSearchStub;
  let shop: Shop;
  beforeEach(async () => {
    stub = await OpenSearchStub.start();
    shop = await Shop.open({ url: stub.url, auth: { username: 'me', password: 'secret' } });
  });
  afterEach(async () => {
    await shop.close();
    await stub.close();
  });
  const documents = () => stub.indexes.get(shop.settings.index)!.documents;
  const bulks = () => stub.asked.filter(({ path }) => path.endsWith('/_bulk'));
  const things = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => item(`i${from + i}`, `thing ${from + i}`));

  it('is ready when all that there was is in the index, and goes on where it was', async () => {
    await shop.write(...things(0, 40));
    const first = await shop.indexer();
    await first.start();
    expect(first.status()).toEqual({ rows: 40, ready: true });
    expect(first.freshness().pending).toBe(0);
    expect([...documents().keys()].filter((id) => id.startsWith('i'))).toHaveLength(40);
    expect(stub.asked.every(({ authorization }) => authorization === 'Basic bWU6c2VjcmV0')).toBe(true);
    await first.stop();
    await shop.write(...things(40, 45));
    const second = await shop.indexer();
    await second.start();
    expect(second.status()).toEqual({ rows: 5, ready: true });
  });

  it('fills an index that was deleted from the start', async () => {
    await shop.write(...things(0, 10));
    const first = await shop.indexer();
    await first.start();
    await first.stop();
    stub.indexes.clear();
    const second = await shop.indexer();
    await second.start();
    expect(second.status().rows).toBe(10);
    expect(documents().get('i3')!.source.title).toBe('thing 3');
  });

  it('shares the catalog with others: each change is written by one', async () => {
    const both = [await shop.indexer(), await shop.indexer()];
    await Promise.all(both.map((indexer) => indexer.start()));
    await eventually(() => expect(both.every((indexer) => indexer.status().ready)).toBe(true));
    await shop.write(...things(0, 60));
    await shop.settled();
    const rows = both.map((indexer) => indexer.status().rows);
    expect(rows[0]! + rows[1]!).toBe(60);
    expect(Math.min(...rows)).toBeGreaterThan(0);
  });

  it('lets nothing older take the place of what is newer', async () => {
    await shop.write(item('a', 'old'), item('a', 'new'));
    const indexer = await shop.indexer();
    await indexer.start();
    const { version } = documents().get('a')!;
    const stale = [
      { index: { _id: 'a', version: version - 1, version_type: 'external_gte' } },
      { title: 'old', words: 'old' },
    ];
    const path = `/${shop.settings.index}/_bulk`;
    const { body } = await shop.client.call({ method: 'POST', path, body: stale }, signal);
    expect(body.items[0].index.status).toBe(409);
    expect(documents().get('a')!.source.title).toBe('new');
  });

  it('waits for an OpenSearch that is away, and passes nothing over', async () => {
    let away = 12;
    stub.fault = () => (away-- > 0 ? (away % 3 === 0 ? 'cut' : { status: 503 }) : null);
    await shop.write(...things(0, 5));
    const indexer = await shop.indexer();
    await indexer.start();
    expect([...documents().keys()].filter((id) => id.startsWith('i'))).toHaveLength(5);
    expect(shop.bench.saidThat('trying again').length).toBeGreaterThan(0);
  });

  it('writes a bulk again that was taken in part', async () => {
    let refused = 2;
    stub.fault = ({ path, body }) => {
      if (!path.endsWith('/_bulk') || !body.includes('thing') || refused-- <= 0) return null;
      const items = [{ index: { _id: 'i0', status: 429, error: { type: 'rejected_execution_exception' } } }];
      return { status: 200, body: { errors: true, items } };
    };
    await shop.write(...things(0, 3));
    const indexer = await shop.indexer();
    await indexer.start();
    expect([...documents().keys()].filter((id) => id.startsWith('i'))).toHaveLength(3);
  });

  it('leaves out and names what OpenSearch does not take', async () => {
    await shop.write(item('x'.repeat(600), 'long id'), item('ok', 'fine'));
    stub.fault = ({ path, body }) => {
      if (!path.endsWith('/_bulk') || !body.includes('fine')) return null;
      const items = [{ index: { _id: 'ok', status: 400, error: { type: 'mapper_parsing_exception' } } }];
      return { status: 200, body: { errors: true, items } };
    };
    const indexer = await shop.indexer();
    await indexer.start();
    expect(shop.bench.saidThat('left out')).toHaveLength(2);
    expect(bulks().length).toBeGreaterThan(0);
  });

  it('refuses an index that another embedder filled', async () => {
    await (await shop.indexer()).start();
    const other = Object.assign(new NgramEmbedder(), { name: 'another-1' });
    const second = await shop.indexer({ embedder: other });
    await expect(second.start()).rejects.toMatchObject({ code: 'INDEX_MISMATCH', fatal: true });
    const { client, settings } = shop;
    const retriever = new OpenSearchRetriever({ client, settings, embedder: other });
    await expect(retriever.prepare(signal)).rejects.toMatchObject({ code: 'INDEX_MISMATCH' });
  });

  it('says that an index is of another catalog', async () => {
    await shop.write(...things(0, 10));
    const first = await shop.indexer();
    await first.start();
    await first.stop();
    const other = await Shop.open({ url: stub.url });
    Object.assign(other.settings, { index: shop.settings.index });
    const second = await other.indexer();
    void second.start();
    await eventually(() => expect(other.bench.fatal).toMatchObject([{ code: 'INDEX_MISMATCH' }]));
    other.bench.fatal.length = 0;
    await other.close();
  });
});

describe('a retriever without its OpenSearch', () => {
  let stub: OpenSearchStub;
  let shop: Shop;
  const opened = async (options: Partial<OpenSearchClientOptions>) => {
    shop = await Shop.open({ url: stub.url, ...options });
    await shop.retriever().prepare(signal);
    return shop.retriever();
  };
  beforeEach(async () => {
    stub = await OpenSearchStub.start();
  });
  afterEach(async () => {
    await shop.close();
    await stub.close();
  });

  it.each([
    ['cut off', 'cut', 'RETRIEVER_UNAVAILABLE', 3],
    ['overloaded', { status: 429 }, 'RETRIEVER_UNAVAILABLE', 3],
    ['silent', 'hang', 'RETRIEVER_TIMEOUT', 3],
    ['refusing', { status: 403 }, 'RETRIEVER_REFUSED', 1],
  ] as const)('says so where it is %s, after as many attempts as may help', async (_, fault, code, attempts) => {
    const retriever = await opened({ attemptTimeoutMs: 50, requestTimeoutMs: 5000 });
    stub.asked.length = 0;
    stub.fault = () => fault;
    await expect(retriever.retrieve([said('tea')], 5, signal)).rejects.toMatchObject({ name: 'InferenceError', code });
    expect(stub.asked).toHaveLength(attempts);
  });

  it('is not asked again once the budget of second attempts is spent', async () => {
    const retriever = await opened({ retryShare: 0, elapsed: () => 0 });
    stub.asked.length = 0;
    stub.fault = () => ({ status: 503 });
    for (let i = 0; i < 20; i++) await retriever.retrieve([said('tea')], 5, signal).catch(() => {});
    expect(stub.asked).toHaveLength(20 + 10);
  });

  it('says of a search of several that is refused', async () => {
    const retriever = await opened({});
    stub.fault = () => ({ status: 200, body: { responses: [{ error: { type: 'x' }, status: 500 }, {}] } });
    const asked = retriever.retrieve([said('tea')], 5, signal);
    await expect(asked).rejects.toMatchObject({ code: 'RETRIEVER_REFUSED' });
  });

  it('ends at once when it is called off', async () => {
    const retriever = await opened({});
    stub.fault = () => 'hang';
    const controller = new AbortController();
    const asked = retriever.retrieve([said('tea')], 5, controller.signal);
    setTimeout(() => controller.abort(new Error('enough')), 20);
    await expect(asked).rejects.toThrow('enough');
  });
});
