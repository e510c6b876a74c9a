/** A model is asked before it counts: does it give scores, and do they say anything? */
import { InferenceError } from '../../errors.ts';
import type { Ranker } from '../../inference/ranker.ts';

const ROWS = 64;
const LEAST_SPREAD = 1e-6;

/** Rows at the corners of what features can be, and many between; the same each time. */
export function smokeRows(width: number): Float32Array {
  const rows = new Float32Array(ROWS * width);
  rows.fill(1, width, 2 * width);
  let state = 1;
  for (let i = 2 * width; i < rows.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    rows[i] = (state >>> 8) / 2 ** 24;
  }
  return rows;
}

/** Throws InferenceError BAD_SCORES where a score is none, is outside 0 to 1, or all are the same. */
export async function smoke(ranker: Ranker): Promise<void> {
  const scores = await ranker.score(smokeRows(ranker.features.length));
  const bad = (what: string) => new InferenceError('BAD_SCORES', `${ranker.name} ${what}`);
  if (scores.length !== ROWS) throw bad(`gives ${scores.length} scores for ${ROWS} rows`);
  checkScores(scores, ranker.name);
  if (Math.max(...scores) - Math.min(...scores) < LEAST_SPREAD) throw bad('gives every row the same score');
}

/** Throws InferenceError BAD_SCORES. */
export function checkScores(scores: Float32Array, name: string): void {
  for (const score of scores) {
    if (!(score >= 0 && score <= 1)) throw new InferenceError('BAD_SCORES', `${name} gives ${score} for a score`);
  }
}
