import { serengptWorkerOptions, usingSampler } from '../src/cli/serengpt-worker.ts';
import { compileConfig } from '../src/cli/config.ts';
import {
  GENERATIONS,
  REGENERATION_REQUESTS,
  type Generation,
  type RegenerationRequest,
} from '../src/serengpt/records.ts';
import { SerengptWorker } from '../src/serengpt/worker/serengpt-worker.ts';
import { answersOf, WARM_UP } from './answered.ts';
import { requestOf, shippedItems } from './asked.ts';
import { Digest } from './digest.ts';
import type { StageResult } from './stages.ts';

/** From requests on the log to generations on the log, with the embedded model. */
export async function serengpt({ folder, requests }: { folder: string; requests: number }): Promise<StageResult> {
  const items = await shippedItems(5000);
  const now = Date.now();
  const asked = Array.from({ length: WARM_UP + requests }, (_, user) => requestOf(user, items, now));
  return usingSampler(compileConfig(null, {}).config, async (sampler) => {
    const { answers, ...took } = await answersOf<RegenerationRequest, Generation>({
      folder,
      requests: REGENERATION_REQUESTS,
      answers: GENERATIONS,
      topics: SerengptWorker.topics(),
      worker: ({ config, ...given }) => new SerengptWorker({ ...serengptWorkerOptions(config), sampler, ...given }),
      asked,
    });
    const digest = new Digest();
    let samples = 0;
    for (const { user_id, outcome, error, texts, dropped } of answers) {
      if (outcome !== 'generated' || texts.length === 0) throw new Error(`${user_id}: ${error}`);
      const given = texts.reduce((sum, { times }) => sum + times, 0);
      const seen = dropped.reduce((sum, { count }) => sum + count, given);
      if (seen !== asked[0]!.samples) throw new Error(`${user_id}: ${seen} samples are not those that were asked for`);
      samples += seen;
      digest.add(JSON.stringify([user_id, texts.map(({ text, times }) => [text, times])]));
    }
    return { ...took, count: digest.count, digest: String(digest), work: { generations: answers.length, samples } };
  });
}
