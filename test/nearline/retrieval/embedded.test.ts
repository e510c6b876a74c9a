import { describe, expect, it } from 'vitest';
import { NgramEmbedder } from '../../../src/inference/ngram-embedder.ts';
import { EmbeddedRetriever } from '../../../src/nearline/retrieval/embedded.ts';
import { silent } from '../../../src/stream/logger.ts';
import { item, said } from '../given.ts';
import { retrieverContract } from './contract.ts';

const { signal } = new AbortController();
const open = (embed = new NgramEmbedder()) =>
  new EmbeddedRetriever({ embedder: embed, logger: silent, now: () => 1000 });

retrieverContract('embedded', () => {
  const retriever = open();
  return Promise.resolve({
    retriever,
    async change(...changes) {
      for (const one of changes) {
        if (typeof one === 'string') retriever.remove(one);
        else retriever.put(one);
      }
      await retriever.settled();
    },
    close: () => retriever.close(),
  });
});

/** An embedder that waits until it is let. */
class Gated extends NgramEmbedder {
  asked: string[][] = [];
  fail = 0;
  #gate = Promise.withResolvers<void>();

  override async embed(texts: readonly string[]): Promise<Int8Array[]> {
    this.asked.push([...texts]);
    await this.#gate.promise;
    if (this.fail-- > 0) throw new Error('no');
    return super.embed(texts);
  }

  open(): void {
    this.#gate.resolve();
  }

  shut(): void {
    this.#gate = Promise.withResolvers<void>();
  }
}

const ids = async (retriever: EmbeddedRetriever, text: string) =>
  (await retriever.retrieve([said(text)], 10, signal)).found.map((one) => one.item.item_id);

describe('the embedded retriever', () => {
  it('embeds items together, and only what has another text', async () => {
    const embedder = new Gated();
    embedder.open();
    const retriever = open(embedder);
    for (let i = 0; i < 600; i++) retriever.put(item(`i${i}`, `thing ${i}`));
    await retriever.settled();
    expect(embedder.asked.map((texts) => texts.length)).toEqual([256, 256, 88]);
    retriever.put(item('i1', 'thing 1', { price: 5 }));
    retriever.put(item('i2', 'thing 2', { available: false }));
    retriever.put(item('i2', 'thing 2'));
    await retriever.settled();
    expect(embedder.asked).toHaveLength(3);
    expect(retriever.status()).toMatchObject({ items: { keyword: 600, vector: 600 }, pending: 0, currentAt: 1000 });
    expect(await ids(retriever, 'thing 2')).toContain('i2');
    await retriever.close();
  });

  it('finds an item by its words while its vector is made, and not by a vector of what it was', async () => {
    const embedder = new Gated();
    const retriever = open(embedder);
    retriever.put(item('a', 'old name'));
    await new Promise((resolve) => setImmediate(resolve));
    retriever.put(item('a', 'new title'));
    expect(retriever.status()).toMatchObject({ items: { keyword: 1, vector: 0 }, pending: 1, currentAt: null });
    embedder.open();
    await retriever.settled();
    expect(embedder.asked).toEqual([['old name'], ['new title']]);
    const { found } = await retriever.retrieve([said('new title')], 5, signal);
    expect(found[0]!.vector).toEqual({ text: 0, score: 1 });
    await retriever.close();
  });

  it('makes no vector of an item that has gone meanwhile', async () => {
    const embedder = new Gated();
    const retriever = open(embedder);
    retriever.put(item('a', 'name'));
    await new Promise((resolve) => setImmediate(resolve));
    retriever.remove('a');
    embedder.open();
    await retriever.settled();
    expect(retriever.status().items).toEqual({ keyword: 0, vector: 0 });
    await retriever.close();
  });

  it('tries again where the embedder failed, and ends when closed', async () => {
    const embedder = new Gated();
    embedder.open();
    embedder.fail = 1e9;
    const retriever = open(embedder);
    retriever.put(item('a', 'name'));
    await new Promise((resolve) => setImmediate(resolve));
    await retriever.close();
    expect(retriever.status().pending).toBe(0);
  });

  it('leaves out what was sold out while the texts were embedded', async () => {
    const embedder = new Gated();
    embedder.open();
    const retriever = open(embedder);
    retriever.put(item('a', 'camping tent'));
    await retriever.settled();
    embedder.shut();
    const asked = ids(retriever, 'camping tent');
    retriever.put(item('a', 'camping tent', { available: false }));
    embedder.open();
    expect(await asked).toEqual([]);
    await retriever.close();
  });
});
