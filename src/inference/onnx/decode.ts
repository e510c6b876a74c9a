/**
 * Many continuations of one prompt: the prompt is read once, its cache repeated to a row for each sample, and all rows go
 * on together. Rows that have ended leave the batch when enough of them have.
 */
import type { Cache, Step } from './cached-model.ts';
import type { Decoded, DecodeJob } from './jobs.ts';
import { pick, randomOf } from './pick.ts';

/** Rows that ended cost a step each; taking them out costs a copy of the cache. */
const WORTH_A_COPY = 0.75;

/** What of a model the loop uses. */
export interface Stepping {
  empty(): Cache;
  step(tokens: readonly number[], cache: Cache): Promise<Step>;
  rows(cache: Cache, which: readonly number[]): Cache;
}

interface Row {
  tokens: number[];
  logprobs: number;
  random: () => number;
  /** tokens of the prompt and of this row */
  seen: Uint8Array;
  ended: boolean;
  said: number;
}

/** `stopped`: asked between steps; what there is by then is returned. */
export async function decode(model: Stepping, job: DecodeJob, stopped: () => boolean): Promise<Decoded[]> {
  const { prompt, samples, maxTokens, ends } = job;
  const read = await model.step(prompt, model.empty());
  const { vocabulary } = read;
  const never = masked(vocabulary, job.never);
  const rows = Array.from({ length: samples }, (_, row): Row => ({
    tokens: [],
    logprobs: 0,
    // each row has its own: which token one row draws does not hang on when another ends
    random: randomOf(job.seed, row),
    seen: masked(vocabulary, prompt),
    ended: false,
    said: 0,
  }));
  const take = (row: Row, logits: Float32Array): void => {
    const { token, logprob } = pick(logits, { ...job, seen: row.seen, never, random: row.random });
    row.logprobs += logprob;
    row.said++;
    row.seen[token] = 1;
    if (ends.includes(token)) row.ended = true;
    else row.tokens.push(token);
  };
  for (const row of rows) take(row, read.logits);

  let batch = rows;
  let cache: Cache | null = null;
  for (let said = 1; said < maxTokens && !stopped(); said++) {
    const left = batch.filter(({ ended }) => !ended);
    if (left.length === 0) break;
    if (cache === null) {
      cache = model.rows(read.cache, new Array<number>(left.length).fill(0));
      batch = left;
    } else if (left.length <= batch.length * WORTH_A_COPY) {
      cache = model.rows(
        cache,
        [...batch.keys()].filter((i) => !batch[i]!.ended),
      );
      batch = left;
    }
    // an ended row goes on with whatever it said last, to nobody
    const step = await model.step(
      batch.map(({ tokens }) => tokens.at(-1) ?? 0),
      cache,
    );
    cache = step.cache;
    batch.forEach((row, i) => {
      if (!row.ended) take(row, step.logits.subarray(i * vocabulary, (i + 1) * vocabulary));
    });
  }
  return rows.map(({ tokens, logprobs, ended, said }) => ({ tokens, logprob: logprobs / said, finished: ended }));
}

function masked(size: number, which: readonly number[]): Uint8Array {
  const mask = new Uint8Array(size);
  for (const one of which) mask[one] = 1;
  return mask;
}
