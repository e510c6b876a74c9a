import { compileConfig } from '../src/cli/config.ts';
import { retrievalWorkerOptions, usingEmbedder } from '../src/cli/retrieval-worker.ts';
import { RetrievalWorker } from '../src/nearline/worker/retrieval-worker.ts';
import { CATALOG, NO_RANKER, RETRIEVAL_ANSWERS, RETRIEVAL_REQUESTS } from '../src/nearline/worker/settings.ts';
import type { Generation, RetrievedItems } from '../src/serengpt/records.ts';
import { answersOf, WARM_UP, write } from './answered.ts';
import { generationOf, requestOf, saidLike, shippedItems } from './asked.ts';
import { Digest } from './digest.ts';
import type { StageResult } from './stages.ts';
import { randomOf } from './world.ts';

export interface RetrievalRow {
  folder: string;
  requests: number;
  seed: string;
}

/** From generations on the log to pre-ranked items on the log, over the shipped catalog. */
export async function retrieval({ folder, requests, seed }: RetrievalRow): Promise<StageResult> {
  const items = await shippedItems();
  const titled = items.flatMap(({ title }) => title ?? []);
  const random = randomOf(seed, 'said');
  const title = () => titled[Math.floor(random() * titled.length)]!;
  const now = Date.now();
  const asked = Array.from({ length: WARM_UP + requests }, (_, user) => {
    const request = requestOf(user, items, now);
    const texts = Array.from({ length: request.samples }, () => saidLike(title(), title().split(' ').at(-1)!, random));
    return generationOf(request, texts);
  });
  return usingEmbedder(compileConfig(null, {}).config, async (embedder) => {
    const { answers, ...took } = await answersOf<Generation, RetrievedItems>({
      folder,
      requests: RETRIEVAL_REQUESTS,
      answers: RETRIEVAL_ANSWERS,
      topics: RetrievalWorker.topics(),
      before: (log, serdes) => write(log, serdes, CATALOG, items),
      worker: ({ registry, metrics, ...given }) =>
        new RetrievalWorker({ ...retrievalWorkerOptions({ ...given, embedder }), registry, metrics }),
      asked,
    });
    const digest = new Digest();
    for (const { user_id, outcome, error, ranker, items } of answers) {
      if (outcome !== 'retrieved' || items.length === 0) throw new Error(`${user_id}: ${error}`);
      if (ranker === NO_RANKER) throw new Error(`${user_id}: no model has ranked its items`);
      if (items.some(({ score }, i) => i > 0 && score > items[i - 1]!.score))
        throw new Error(`${user_id}: its items are not in the order of their scores`);
      digest.add(JSON.stringify([user_id, items.map(({ item_id }) => item_id)]));
    }
    return { ...took, count: digest.count, digest: String(digest), work: { requests: answers.length } };
  });
}
